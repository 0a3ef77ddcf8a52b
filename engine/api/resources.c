/* SPDX-License-Identifier: Apache-2.0 */
/* Every resource, parents before children. A row stands beside its handlers in res_<noun>.c. */
#include "engine/api/resource.h"

#define ROWS(ROW) \
	ROW(resource_datacenter) ROW(resource_attached_domain) ROW(resource_datacenter_cluster) ROW(resource_datacenter_iscsi_bond) \
	ROW(resource_datacenter_network) ROW(resource_datacenter_permission) ROW(resource_datacenter_qos) ROW(resource_datacenter_quota) \
	ROW(resource_cluster) ROW(resource_cluster_affinity_group) ROW(resource_affinity_group_vm) ROW(resource_cluster_cpu_profile) \
	ROW(resource_cluster_gluster_hook) \
	ROW(resource_cluster_gluster_volume) ROW(resource_gluster_brick) ROW(resource_cluster_network) ROW(resource_cluster_permission) \
	ROW(resource_network) ROW(resource_network_label) ROW(resource_network_permission) ROW(resource_network_vnic_profile) \
	ROW(resource_vnic_profile) ROW(resource_vnic_profile_permission) ROW(resource_scheduling_policy) \
	ROW(resource_host) ROW(resource_host_connection_extension) ROW(resource_host_device) ROW(resource_host_erratum) ROW(resource_host_fence_agent) \
	ROW(resource_host_hook) ROW(resource_host_network_attachment) ROW(resource_host_nic) ROW(resource_host_nic_label) ROW(resource_host_nic_statistic) \
	ROW(resource_host_nic_vfs_label) ROW(resource_host_nic_vfs_network) ROW(resource_nic_network_attachment) ROW(resource_host_numa_node) ROW(resource_host_numa_node_statistic) ROW(resource_host_permission) \
	ROW(resource_host_statistic) ROW(resource_host_tag) ROW(resource_host_storage) ROW(resource_host_unmanaged_network) \
	ROW(resource_storage_domain) ROW(resource_storage_domain_disk) ROW(resource_storage_domain_disk_profile) \
	ROW(resource_storage_domain_disk_snapshot) ROW(resource_disk_profile) \
	ROW(resource_storage_domain_file) ROW(resource_storage_domain_permission) ROW(resource_storage_domain_connection) ROW(resource_storage_connection) \
	ROW(resource_storage_domain_vm) ROW(resource_storage_domain_template) ROW(resource_storage_domain_image) ROW(resource_image_provider) ROW(resource_host_provider) \
	ROW(resource_template) ROW(resource_template_cdrom) ROW(resource_template_disk) ROW(resource_template_nic) ROW(resource_template_permission) \
	ROW(resource_template_watchdog) ROW(resource_template_tag) \
	ROW(resource_vm) ROW(resource_vm_cdrom) ROW(resource_vm_disk) ROW(resource_vm_disk_statistic) ROW(resource_vm_nic) ROW(resource_vm_nic_statistic) \
	ROW(resource_vm_permission) ROW(resource_vm_statistic) ROW(resource_vm_tag) \
	ROW(resource_disk) ROW(resource_disk_permission) ROW(resource_disk_statistic) \
	ROW(resource_cpu_profile) ROW(resource_cpu_profile_permission) \
	ROW(resource_domain) ROW(resource_domain_group) ROW(resource_domain_user) \
	ROW(resource_event) \
	ROW(resource_group) ROW(resource_group_permission) ROW(resource_group_role) ROW(resource_group_tag) \
	ROW(resource_role) ROW(resource_role_permit) \
	ROW(resource_tag) \
	ROW(resource_user) ROW(resource_user_permission) ROW(resource_user_role) ROW(resource_user_tag)

#define DECLARE(name) extern const struct resource name;
ROWS(DECLARE)

#define ADDRESS(name) &name,
const struct resource *const resources[] = { ROWS(ADDRESS) NULL };
