/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_POOL_H
#define BERTH_PROTO_POOL_H
/* Storage pools (data centers): who is in, who is master, who manages them (SPM), the OVFs they keep. Wire names are vdsm's. */
#include "common/record.h"

#define POOL_HOST_ID_MAX 2000            /* sanlock's limit for 512-byte blocks and 1 MiB leases */
#define POOL_NAME_MAX 50

/* One record for all verbs of a pool; each has a table with the members it takes. */
struct pool_params {
	struct record record;
	char *pool_id, *name, *master_id, *scsi_key, *previous_lver, *scsi_fencing, *domain_version, *old_master_id, *domain_id, *vm_id;
	int host_id, master_version, renewal_s, lease_s, io_timeout_s, retries, previous_id, max_host_id, target_version;
	bool remove;
	json_t *domains;                 /* {id: status} */
	json_t *vms;                     /* [{vm, ovf, imglist}] */
	GPtrArray *domain_ids, *vm_ids;
};
extern const struct record_type pool_connect_params_type, pool_disconnect_params_type, pool_create_params_type, pool_destroy_params_type, pool_id_params_type,
	pool_refresh_params_type, pool_reconstruct_params_type, pool_switch_params_type, pool_description_params_type, pool_upgrade_params_type,
	pool_spm_start_params_type, pool_update_vms_params_type, pool_remove_vm_params_type, pool_vms_info_params_type, pool_vms_list_params_type;

struct spm_status { struct record record; char *status; int64_t lver; int id; };
extern const struct record_type spm_status_type;

/* Host.getStorageRepoStats, Host.startMonitoringDomain, Host.stopMonitoringDomain */
struct monitor_params { struct record record; char *domain_id; int host_id; GPtrArray *domains; };
extern const struct record_type monitor_start_params_type, monitor_stop_params_type, repo_stats_params_type;

#endif
