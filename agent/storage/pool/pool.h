/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_POOL_POOL_H
#define BERTH_AGENT_STORAGE_POOL_POOL_H
/* The verbs of pools (pool_connect.c, pool_master.c, spm.c, ovf.c), of watching (health.c), of other providers (managed.c); pool_verbs.c binds them. Only
 * agent/storage uses this. */
#include "agent/storage/storage-priv.h"
#include "proto/pool.h"

#define POOL_VERB(name) bool name(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
POOL_VERB(pool_connect_verb);
POOL_VERB(pool_disconnect_verb);
POOL_VERB(pool_refresh_verb);
POOL_VERB(pool_create_verb);
POOL_VERB(pool_destroy_verb);
POOL_VERB(pool_info_verb);
POOL_VERB(pools_connected_verb);
POOL_VERB(pool_describe_verb);
POOL_VERB(pool_reconstruct_verb);
POOL_VERB(pool_switch_verb);
POOL_VERB(pool_upgrade_verb);
POOL_VERB(spm_start_verb);
POOL_VERB(spm_stop_verb);
POOL_VERB(spm_status_verb);
POOL_VERB(ovf_update_verb);
POOL_VERB(ovf_remove_verb);
POOL_VERB(ovf_info_verb);
POOL_VERB(ovf_list_verb);
POOL_VERB(health_stats_verb);
POOL_VERB(health_start_verb);
POOL_VERB(health_stop_verb);
POOL_VERB(managed_attach_verb);
POOL_VERB(managed_detach_verb);
POOL_VERB(managed_info_verb);

/* The directory of definitions of VMs in a domain; closed soon. -1 + error; ERR_SPM_STATUS_ERROR: the domain is one that only the manager opens */
int ovf_open(const struct domain *domain, GError **error);

/* Who manages the pool, as its master says; left as it is when nobody knows. */
void spm_look(struct storage *storage, const struct pool *pool, struct spm_status *ret_status);
/* This host does not manage its pool any more. ERR_RELEASE_LOCK_FAILURE */
bool spm_resign(struct storage *storage, GError **error);
/* Another domain is about to be the master: if this host is the manager it holds the lease of that one, too, and then no longer that of the old one. */
bool spm_take_new(struct storage *storage, const char *pool_id, const char *new_master, GError **error);
void spm_give_old(struct storage *storage, const char *old_master);
void switch_register(struct storage *storage);

#endif
