/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_POOL_CALLS_H
#define BERTH_ENGINE_POOL_CALLS_H
/* The agent's verbs of storage pools, as storage_pool.c needs them: each may be repeated, and answers true when what it is for is the case. */
#include "engine/flow/storage_calls.h"

struct storage_pool;                         /* storage_pool.h */

/* io_timeout_s: how long one access to the locks of its domains may take; sets the pace of all locks (agent: lease/lock.c) */
bool pool_make(const struct storage_call *call, const struct storage_pool *pool, int io_timeout_s, GError **error);
/* The host joins, or learns which domains are active now and which is the master. */
bool pool_enter(const struct storage_call *call, const struct storage_pool *pool, int number, GError **error);
bool pool_leave(const struct storage_call *call, const char *pool_id, int number, GError **error);
/* The end of the pool, by its manager. */
bool pool_unmake(const struct storage_call *call, const char *pool_id, int number, GError **error);

/* Is the host the manager (SPM) of the pool? false without error: it is not, or is not in the pool. */
bool pool_is_managed(const struct storage_call *call, const char *pool_id, GError **error);
/* Waits until it is: as long as it takes until a manager that died has lost its lease. */
bool pool_manage(const struct storage_call *call, const char *pool_id, int io_timeout_s, GError **error);
bool pool_resign(const struct storage_call *call, const char *pool_id, GError **error);

/* Another active domain becomes the master, by the manager. */
bool pool_switch_master(const struct storage_call *call, const struct storage_pool *pool, const char *new_master_id, GError **error);
/* The pool gets this domain for its master, with the next version, by a host that is not in it. */
bool pool_reconstruct(const struct storage_call *call, const struct storage_pool *pool, const char *new_master_id, int number, int io_timeout_s, GError **error);
/* Does the host see the domain, which it watches? POOL_UNKNOWN: it does not answer, or does not watch it. */
enum pool_sight { POOL_UNKNOWN, POOL_UNSEEN, POOL_SEEN };
enum pool_sight pool_sees(const struct storage_call *call, const char *domain_id);
/* The pool that the domain is in, as the storage says; *ret_pool_id NULL: none. g_free */
bool pool_of_domain(const struct storage_call *call, const char *domain_id, char **ret_pool_id, GError **error);

/* ---- definitions of VMs and templates (OVF texts) that an active domain of the pool keeps ---- */
bool pool_keep_definition(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *id, const char *ovf, GError **error);
bool pool_forget_definition(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *id, GError **error);
/* Array of their ids. New reference. */
json_t *pool_definition_ids(const struct storage_call *call, const char *pool_id, const char *domain_id, GError **error);
/* Map id -> text of these (array of ids); one that is not there, or cannot be read, is left out. New reference. */
json_t *pool_definitions(const struct storage_call *call, const char *pool_id, const char *domain_id, const json_t *ids, GError **error);

#endif
