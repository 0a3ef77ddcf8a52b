/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_DATA_H
#define BERTH_ENGINE_RES_DATA_H
/* Resources that are data only: no agent is asked. For resources.c, in an order with parents before children. */
#include "engine/api/resource.h"

extern const struct resource resource_datacenter, resource_datacenter_cluster, resource_datacenter_network, resource_datacenter_permission,
	resource_datacenter_quota, resource_datacenter_iscsi_bond, resource_datacenter_qos;
extern const struct resource resource_cluster, resource_cluster_network, resource_cluster_permission, resource_cluster_cpu_profile,
	resource_cluster_gluster_volume, resource_gluster_brick, resource_cluster_gluster_hook, resource_cluster_affinity_group;
extern const struct resource resource_network, resource_network_permission, resource_network_vnic_profile, resource_network_label, resource_vnic_profile,
	resource_vnic_profile_permission;
extern const struct resource resource_affinity_group_vm, resource_disk_profile;
extern const struct resource resource_template, resource_template_permission, resource_template_disk, resource_template_nic, resource_template_cdrom,
	resource_template_watchdog;
extern const struct resource resource_cpu_profile, resource_cpu_profile_permission;
extern const struct resource resource_event, resource_tag;
extern const struct resource resource_user, resource_user_permission, resource_user_role, resource_user_tag;
extern const struct resource resource_group, resource_group_permission, resource_group_role, resource_group_tag;
extern const struct resource resource_domain, resource_domain_user, resource_domain_group;
extern const struct resource resource_role, resource_role_permit;
extern const struct resource resource_vm_tag, resource_host_tag, resource_template_tag;
/* Sub-collections of others' resources */
extern const struct resource resource_vm_permission, resource_disk_permission;

/* For rows like these elsewhere: permissions of any resource; sub-collections that are linked but have no members yet. */
GPtrArray *permission_list(struct request *request, GError **error);
void permission_missing(const struct request *request, const void *input, GPtrArray *names);
bool permission_add(struct request *request, void *input, void **ret_record, GError **error);
bool permission_remove(struct request *request, const void *current, const void *options, GError **error);
/* Adds the event that tells who has what on what (object NULL: everything) from now on, or no more. */
struct permission;
void permission_tell(struct request *request, struct change *change, bool given, const struct permission *permission, void *object);
GPtrArray *empty_list(struct request *request, GError **error);
extern const char *const no_links[];
#define PERMISSION_RESOURCE(of) { \
	.kind = &permission_kind, .path = "permissions", .parent = (of), .methods = RESOURCE_LIST | RESOURCE_GET | RESOURCE_ADD | RESOURCE_REMOVE, \
	.links = no_links, .permit_add = "manipulate_permissions", .permit_remove = "manipulate_permissions", \
	.doc = "Who may do what with it", .missing = permission_missing, .list = permission_list, .add = permission_add, .remove = permission_remove }
#define EMPTY_RESOURCE(of, segment, of_type, text) { \
	.type = (of_type), .path = (segment), .parent = (of), .methods = RESOURCE_READ, .links = no_links, .doc = (text), .list = empty_list }

#endif
