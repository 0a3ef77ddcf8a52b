/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pool.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY
#define D struct pool_params

#define POOL_ID FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool (data center)")
#define HOST_ID(path) FIELD_INT_(D, host_id, path, NEED, "number of this host in the pool: no two hosts share one", .min = 1, .max = POOL_HOST_ID_MAX)
#define SCSI_KEY FIELD_STRING_(D, scsi_key, "scsiKey", IN, "not used")
#define MASTER FIELD_UUID_(D, master_id, "masterSdUUID", NEED, "master domain")
#define MASTER_VERSION FIELD_INT_(D, master_version, "masterVersion", NEED, "version of the master: each change of master has a higher one", .min = 0)
#define NAME FIELD_STRING_(D, name, "name", NEED, "name of the pool")
#define LOCK_TIMES \
	FIELD_INT_(D, renewal_s, "lockRenewalIntervalSec", NEED, "not used: sanlock has its own diary", .unit = "s"), \
	FIELD_INT_(D, lease_s, "leaseTimeSec", NEED, "not used", .unit = "s"), \
	FIELD_INT_(D, io_timeout_s, "ioOpTimeoutSec", NEED, "not used", .unit = "s"), \
	FIELD_INT_(D, retries, "leaseRetries", NEED, "not used")
#define TABLE(table, verb, text, ...) \
	static const struct field table##_fields[] = { POOL_ID, ##__VA_ARGS__ }; \
	const struct record_type table##_type = RECORD_TYPE(verb, NULL, D, table##_fields, text)

TABLE(pool_connect_params, "StoragePool.connect", "This host joins a pool", HOST_ID("hostID"), SCSI_KEY, MASTER, MASTER_VERSION,
      FIELD_JSON_(D, domains, "domainDict", IN, "{domain id: \"active\", \"attached\", ...}; without it: the domains that were known before, and the master"));
TABLE(pool_disconnect_params, "StoragePool.disconnect", "This host leaves a pool", HOST_ID("hostID"), SCSI_KEY,
      FIELD_BOOL_(D, remove, "remove", IN, "not used", .def = "false"));
TABLE(pool_create_params, "StoragePool.create", "A new pool", NAME, MASTER, MASTER_VERSION,
      FIELD_STRINGS_(D, domain_ids, "domainList", NEED, "its domains, the master among them"), LOCK_TIMES);
TABLE(pool_destroy_params, "StoragePool.destroy", "The end of a pool", HOST_ID("hostID"), SCSI_KEY);
TABLE(pool_id_params, "pool id", "A pool");
TABLE(pool_refresh_params, "StoragePool.refresh", "A pool and its master", MASTER, MASTER_VERSION);
TABLE(pool_reconstruct_params, "StoragePool.reconstructMaster", "A pool gets another master", HOST_ID("hostId"), NAME, MASTER, MASTER_VERSION,
      FIELD_JSON_(D, domains, "domainDict", NEED, "{domain id: \"active\", \"attached\", ...}"), LOCK_TIMES);
TABLE(pool_switch_params, "StoragePool.switchMaster", "The master role moves",
      FIELD_UUID_(D, old_master_id, "oldMasterUUID", NEED, "the master until now"),
      FIELD_UUID_(D, master_id, "newMasterUUID", NEED, "the master from now on"), MASTER_VERSION);
TABLE(pool_description_params, "StoragePool.setDescription", "A name for a pool", FIELD_STRING_(D, name, "description", NEED, "name of the pool"));
TABLE(pool_upgrade_params, "StoragePool.upgrade", "A format for the domains of a pool",
      FIELD_INT_(D, target_version, "targetDomVersion", NEED, "version of the metadata"));
TABLE(pool_spm_start_params, "StoragePool.spmStart", "This host becomes the manager of a pool",
      FIELD_INT_(D, previous_id, "prevID", NEED, "host id of the manager before; -1: not known"),
      FIELD_STRING_(D, previous_lver, "prevLver", NEED, "version of its lease; -1: not known"),
      FIELD_STRING_(D, scsi_fencing, "enableScsiFencing", IN, "not used"),
      FIELD_INT_(D, max_host_id, "maxHostID", IN, "not used"), FIELD_STRING_(D, domain_version, "domVersion", IN, "not used: see upgrade"));
TABLE(pool_update_vms_params, "StoragePool.updateVMs", "Definitions of VMs to keep",
      FIELD_JSON_(D, vms, "vmList", NEED, "[{vm, ovf, imglist}]: the id of each VM, its OVF, its images (comma-separated; not used)"),
      FIELD_UUID_(D, domain_id, "storagedomainID", IN, "where; the master without it"));
TABLE(pool_remove_vm_params, "StoragePool.removeVM", "A definition of a VM", FIELD_UUID_(D, vm_id, "vmUUID", NEED, "VM"),
      FIELD_UUID_(D, domain_id, "storagedomainID", IN, "where; the master without it"));
TABLE(pool_vms_info_params, "StoragePool.getBackedUpVmsInfo", "Definitions of VMs in a domain",
      FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"), FIELD_STRINGS_(D, vm_ids, "vmList", IN, "VMs; all when absent or empty"));
TABLE(pool_vms_list_params, "StoragePool.getBackedUpVmsList", "A domain that keeps definitions of VMs",
      FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"));
#undef D

static const struct field spm_status_fields[] = {
	FIELD_STRING_(struct spm_status, status, "spmStatus", OUT, "of this host: SPM, Contend (it is becoming so), Free"),
	FIELD_LONG_(struct spm_status, lver, "spmLver", OUT, "version of the lease, -1: not known"),
	FIELD_INT_(struct spm_status, id, "spmId", OUT, "host id of who has the role, -1: nobody"),
};
const struct record_type spm_status_type = RECORD_TYPE("spmStatus", NULL, struct spm_status, spm_status_fields, "StoragePool.getSpmStatus");

static const struct field monitor_start_fields[] = {
	FIELD_UUID_(struct monitor_params, domain_id, "sdUUID", NEED, "domain"),
	FIELD_INT_(struct monitor_params, host_id, "hostID", NEED, "number of this host in the domain", .min = 1, .max = POOL_HOST_ID_MAX),
};
const struct record_type monitor_start_params_type =
	RECORD_TYPE("Host.startMonitoringDomain", NULL, struct monitor_params, monitor_start_fields, "A domain to watch");
static const struct field monitor_stop_fields[] = { FIELD_UUID_(struct monitor_params, domain_id, "sdUUID", NEED, "domain") };
const struct record_type monitor_stop_params_type =
	RECORD_TYPE("Host.stopMonitoringDomain", NULL, struct monitor_params, monitor_stop_fields, "A domain that is watched");
static const struct field repo_stats_fields[] = { FIELD_STRINGS_(struct monitor_params, domains, "domains", IN, "only these; all when absent or empty") };
const struct record_type repo_stats_params_type =
	RECORD_TYPE("Host.getStorageRepoStats", NULL, struct monitor_params, repo_stats_fields, "Which domains");
