/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about storage pools and about watching domains. */
#include "proto/pool.h"
#include "proto/verb.h"

#define POOL_READ(verb, parameters, ...) \
	{ .name = "StoragePool." verb, .params = &(parameters), .lane = VERB_POOL, .lane_key = "storagepoolID", ##__VA_ARGS__ }
#define POOL_ROW(verb, parameters, ...) POOL_READ(verb, parameters, .changes = true, ##__VA_ARGS__)

const struct verb pool_verbs[] = {
	POOL_ROW("connect", pool_connect_params_type,
		 .doc = "This host joins a pool: its active domains are usable here, also after a restart of the agent; again: with another list of domains",
		 .returns = "true", .errors = "304 323 324 325 374 661"),
	POOL_ROW("disconnect", pool_disconnect_params_type, .doc = "This host leaves a pool; one that is not in it: fine", .returns = "true", .errors = "656"),
	POOL_ROW("create", pool_create_params_type, .doc = "Makes a pool: attaches its domains and makes one of them the master; may be repeated",
		 .returns = "true", .errors = "317 319 327 358 380 398 1000"),
	POOL_ROW("destroy", pool_destroy_params_type, .doc = "Detaches all domains of a pool this host is in, and leaves it", .returns = "true",
		 .errors = "308 309 358 654"),
	POOL_READ("getInfo", pool_id_params_type, .kind = RESULT_JSON, .doc = "A pool this host is in, and its domains",
		  .returns = "{info: {name, type, version, master_uuid, master_ver, domains, spm_id, lver, pool_status, isoprefix}, "
			     "dominfo: {domain: {status, diskfree, disktotal, alerts, version, isoprefix}}}; sizes in bytes, as texts", .errors = "304 309"),
	POOL_ROW("refresh", pool_refresh_params_type, .doc = "Reads the master of a pool anew", .returns = "true", .errors = "304 309 324"),
	POOL_ROW("reconstructMaster", pool_reconstruct_params_type,
		 .doc = "Makes another domain the master of a pool whose master is lost; this host is not in the pool meanwhile", .returns = "true",
		 .errors = "304 317 319 325 326 327 369 375"),
	POOL_ROW("switchMaster", pool_switch_params_type, .kind = RESULT_JSON, .doc = "Moves the master role and what the master keeps (task)",
		 .returns = "task id", .errors = "309 317 319 324 326 369 375 654"),
	POOL_ROW("setDescription", pool_description_params_type, .doc = "Renames a pool", .returns = "true", .errors = "309 327"),
	POOL_ROW("upgrade", pool_upgrade_params_type, .kind = RESULT_JSON, .doc = "Brings the domains of a pool to a version of the metadata",
		 .returns = "\"started\"", .errors = "309 394 395"),
	POOL_ROW("spmStart", pool_spm_start_params_type, .kind = RESULT_JSON, .doc = "This host becomes the manager of a pool (task)", .returns = "task id",
		 .errors = "309 656"),
	POOL_ROW("spmStop", pool_id_params_type, .doc = "This host is no longer the manager of a pool; if it is not: fine", .returns = "true",
		 .errors = "309 653 660"),
	POOL_READ("getSpmStatus", pool_id_params_type, .kind = RESULT_RECORD, .result = &spm_status_type, .doc = "Who manages a pool",
		  .returns = "{spmStatus, spmLver, spmId}", .errors = "309"),
	POOL_ROW("updateVMs", pool_update_vms_params_type, .doc = "Keeps the OVFs of VMs in a domain", .returns = "true",
		 .errors = "309 322 369 397 1000"),
	POOL_ROW("removeVM", pool_remove_vm_params_type, .doc = "Forgets the OVF of a VM; one that is not there: fine", .returns = "true",
		 .errors = "309 322 369"),
	{ .name = "StoragePool.getBackedUpVmsInfo", .params = &pool_vms_info_params_type, .kind = RESULT_JSON, .lane = VERB_DOMAIN,
	  .lane_key = "storagedomainID", .doc = "OVFs of VMs that a domain keeps", .returns = "map VM -> OVF; VMs that are not there are left out",
	  .errors = "309 322 369 1000" },
	{ .name = "StoragePool.getBackedUpVmsList", .params = &pool_vms_list_params_type, .kind = RESULT_JSON, .lane = VERB_DOMAIN,
	  .lane_key = "storagedomainID", .doc = "VMs whose OVFs a domain keeps", .returns = "array of ids", .errors = "309 322 369" },
	{ .name = "Host.getConnectedStoragePools", .kind = RESULT_JSON, .lane = VERB_LOOP, .doc = "The pool this host is in", .returns = "array of at most one id" },
	{ .name = "Host.getStorageRepoStats", .params = &repo_stats_params_type, .kind = RESULT_JSON, .lane = VERB_LOOP,
	  .doc = "How the domains do that are watched here",
	  .returns = "map domain -> {code, lastCheck, delay, valid, version, acquired, actual}; times in seconds, as texts" },
	{ .name = "Host.startMonitoringDomain", .params = &monitor_start_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Watches a domain that is not active here and holds a host id in it, until the agent ends", .returns = "true", .errors = "325" },
	{ .name = "Host.stopMonitoringDomain", .params = &monitor_stop_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Ends that; of a domain that is not watched: fine", .returns = "true" },
};
const size_t n_pool_verbs = G_N_ELEMENTS(pool_verbs);
