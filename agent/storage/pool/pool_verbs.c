/* SPDX-License-Identifier: Apache-2.0 */
/* Which verb of pools is done where. */
#include "agent/storage/pool/pool.h"

const struct verb_binding pool_bindings[] = {
	{ "StoragePool.connect", pool_connect_verb },
	{ "StoragePool.disconnect", pool_disconnect_verb },
	{ "StoragePool.refresh", pool_refresh_verb },
	{ "StoragePool.create", pool_create_verb },
	{ "StoragePool.destroy", pool_destroy_verb },
	{ "StoragePool.getInfo", pool_info_verb },
	{ "StoragePool.reconstructMaster", pool_reconstruct_verb },
	{ "StoragePool.switchMaster", pool_switch_verb },
	{ "StoragePool.setDescription", pool_describe_verb },
	{ "StoragePool.upgrade", pool_upgrade_verb },
	{ "StoragePool.spmStart", spm_start_verb },
	{ "StoragePool.spmStop", spm_stop_verb },
	{ "StoragePool.getSpmStatus", spm_status_verb },
	{ "StoragePool.updateVMs", ovf_update_verb },
	{ "StoragePool.removeVM", ovf_remove_verb },
	{ "StoragePool.getBackedUpVmsInfo", ovf_info_verb },
	{ "StoragePool.getBackedUpVmsList", ovf_list_verb },
	{ "Host.getConnectedStoragePools", pools_connected_verb },
	{ "Host.getStorageRepoStats", health_stats_verb },
	{ "Host.startMonitoringDomain", health_start_verb },
	{ "Host.stopMonitoringDomain", health_stop_verb },
	{ "ManagedVolume.attach_volume", managed_attach_verb },
	{ "ManagedVolume.detach_volume", managed_detach_verb },
	{ "ManagedVolume.volumes_info", managed_info_verb },
};
const size_t n_pool_bindings = G_N_ELEMENTS(pool_bindings);
