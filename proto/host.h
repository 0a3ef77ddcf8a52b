/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_HOST_H
#define BERTH_PROTO_HOST_H
/* What agent and engine both know of a host: capabilities, hardware, statistics, jobs. */
#include "common/record.h"

struct host_caps {
	struct record record;
	char *kvm_enabled, *cpu_model, *cpu_speed, *cpu_flags, *online_cpus, *kernel_args, *boot_uuid, *uuid;
	int cpu_cores, cpu_threads, cpu_sockets, kdump_status, auto_numa_balancing;
	json_t *cpu_topology, *operating_system, *packages2, *cluster_levels, *supported_engines, *emulated_machines, *vm_types, *rng_sources,
	       *hugepages, *numa_nodes, *numa_node_distance, *hba_inventory, *domain_versions, *supported_block_size, *hooks, *selinux, *kernel_features,
	       *affinity, *additional_features, *networks, *bridges, *bondings, *nics, *vlans, *nameservers;
	bool nested_virtualization, realtime_kernel, fips_enabled, tsc_scaling, hosted_engine_deployed, vnc_encrypted, backup_enabled, cold_backup_enabled,
	     clear_bitmaps_enabled, cd_change_pdiv, refresh_disk_supported, replicate_extend, measure_subchain, measure_active, qemu_image_info_bitmaps,
	     deferred_preallocation, mailbox_events, zerocopy_migrations, ovn_configured, openvswitch, supports_ipv6, apparmor, tpm_supported;
	char *tsc_frequency, *version_name, *software_version, *software_revision, *guest_overhead, *reserved_mem, *iscsi_initiator, *live_snapshot,
	     *live_merge, *hostdev_passthrough, *net_config_dirty, *last_client_iface, *acceleration, *acceleration_reason;
	int64_t mem_size;
};
extern const struct record_type host_caps_type;

struct host_hardware {
	struct record record;
	char *manufacturer, *product_name, *version, *serial_number, *uuid, *family;
};
extern const struct record_type host_hardware_type;

struct host_stats {
	struct record record;
	double cpu_user, cpu_sys, cpu_idle, cpu_user_agent, cpu_sys_agent; double cpu_load;
	int mem_used; int64_t anon_huge_pages, mem_free, swap_total, swap_free, mem_shared, elapsed_time, boot_time;
	int64_t mem_committed, mem_available, mem_buffers, mem_cached, swap_cached;
	json_t *hugepages, *cpu_statistics, *numa_node_mem_free, *network, *storage_domains, *disk_stats, *ha_stats, *thp_state, *multipath_health, *v2v_jobs;
	int64_t rx_dropped, tx_dropped;
	int vm_count, vm_active, vm_migrating, incoming_migrations, outgoing_migrations, ksm_pages, ksm_cpu;
	char *date_time, *mom_status, *net_config_dirty;
	bool ksm_state, ksm_merge_across_nodes;
};
extern const struct record_type host_stats_type;

struct host_text_params { struct record record; char *message; };
extern const struct record_type host_echo_params_type;
struct host_log_level_params { struct record record; char *level, *name; };
extern const struct record_type host_log_level_params_type;
/* Which engine an agent belongs to: verbs of our own. */
struct host_claim_params { struct record record; char *engine_id, *engine_name; bool force; };
extern const struct record_type host_claim_params_type;
/* A new certificate for the agent: verbs of our own. */
struct certificate_request { struct record record; char *request, *certificate; };
extern const struct record_type certificate_request_type;
struct host_certificate_params { struct record record; char *certificate; };
extern const struct record_type host_certificate_params_type;
struct host_jobs_params { struct record record; char *job_type; GPtrArray *job_ids; };
extern const struct record_type host_jobs_params_type;
struct job_id_params { struct record record; char *job_id; };
extern const struct record_type job_id_params_type;

#endif
