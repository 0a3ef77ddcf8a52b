/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORAGE_POOL_H
#define BERTH_ENGINE_STORAGE_POOL_H
/* The pool of a data center with shared storage: its hosts, its master domain, its manager. Theory of operation: storage_pool.c */
#include <jansson.h>
#include <stdbool.h>
#include "engine/engine.h"
#include "engine/model/host.h"
#include "engine/model/model.h"

/* What the agents are told of it. */
struct storage_pool {
	char *id, *name;                     /* of the data center */
	char *master_id;
	int master_version;
	json_t *domains;                     /* {id: "active" or "attached"}; the master is always active */
	bool runs;                           /* its master is active: hosts that are up are to be in it */
	bool rests;                          /* the master is put aside: no host is to be in it. Neither: it is about to begin or to end */
};
/* NULL: no data center with shared storage that has a master domain. */
struct storage_pool *storage_pool_read(struct model *model, const char *data_center_id);
struct storage_pool *storage_pool_free(struct storage_pool *pool);
static inline void storage_pool_drop(struct storage_pool **pool) { storage_pool_free(*pool); }
#define autostorage_pool __attribute__((cleanup(storage_pool_drop))) struct storage_pool *

/* The data center that the host is in; NULL: none. g_free */
char *host_data_center(struct model *model, const struct host *host);
/* The state of a data center, where it is stored, follows its domains and hosts. */
void storage_follow(struct engine *engine, const char *data_center_id);

/* ---- hosts; on workers ---- */
/* The host reaches the active domains and is in the pool, as they are when it is the host's turn. What it cannot reach beside the master is told by an
 * event. */
bool storage_pool_join(struct engine *engine, const char *host_id, const char *pool_id, GError **error);
/* The host is in no pool any more; it is not its manager. */
bool storage_pool_leave(struct engine *engine, const char *host_id, GError **error);
/* All hosts that are up do as the data center's pool now is, in the background. left (may be NULL): a domain that is not active any more. Any thread. */
void storage_pool_spread(struct engine *engine, const char *data_center_id, const char *left);
void storage_pool_host_up(struct engine *engine, const char *host_id);

/* ---- the manager (storage_manager.c) ---- */
/* Looks after the managers of all pools, every [storage] manager_check seconds. Loop thread. */
void storage_manager_begin(struct engine *engine);
void storage_manager_end(struct engine *engine);
/* Looks whether the pool has a manager and chooses one, in the background. Any thread. */
void storage_manager_want(struct engine *engine, const char *data_center_id);
/* A host is not up any more. Any thread. */
void storage_manager_host_lost(struct engine *engine, const char *host_id);
/* The id of the manager of the data center's pool; one that has none gets one. ERR_WRONG_STATE. g_free. Worker. */
char *storage_manager_host(struct engine *engine, const char *data_center_id, GError **error);
/* The same for who has the turn "pool/<id>". */
char *storage_manager_elect(struct engine *engine, const struct storage_pool *pool, GError **error);
/* Hosts of the data center that are up, the one that is asked first first. List of struct host; g_ptr_array_unref */
GPtrArray *storage_manager_candidates(struct model *model, const char *pool_id);
/* Makes this host the manager. Worker. */
bool storage_manager_force(struct engine *engine, const struct host *host, const struct actor *actor, GError **error);

/* ---- the master (pool_master.c, pool_steps.c); for who has the turn "pool/<id>" ---- */
/* When no host has seen the master for some time another domain takes its place: true. Worker. */
bool storage_pool_rescue(struct engine *engine, const struct storage_pool *pool);
/* In the model: the next version of the master, and which domain it is. */
bool storage_pool_set_master(struct engine *engine, const struct storage_pool *pool, const char *domain_id, GError **error);
struct storage_call;
struct storage_domain;
/* Connects a host to the storage of a domain. Worker. */
bool storage_pool_reach(const struct storage_call *call, const struct storage_domain *domain, GError **error);

/* How long one access to the locks of a pool may take, in seconds. */
int storage_io_timeout(const struct engine *engine);

/* ---- steps of flows (pool_steps.c): each may be repeated; on workers ---- */
/* The first data domain of a data center, reached by this host, becomes the master of a new pool. */
bool storage_pool_begin(struct engine *engine, const char *host_id, const char *flow_id, const char *data_center_id, GError **error);
/* The master is about to be active: a host joins and becomes the manager. */
bool storage_pool_raise(struct engine *engine, const char *data_center_id, GError **error);
/* Nobody is in the pool any more. A host that is away leaves when it is up again. */
bool storage_pool_lower(struct engine *engine, const char *data_center_id, GError **error);
/* The pool's last domain is no longer one of a pool. */
bool storage_pool_end(struct engine *engine, const char *host_id, const char *flow_id, const char *data_center_id, GError **error);
/* Another domain, which is active, becomes the master; it is in the model, too. */
bool storage_pool_pass(struct engine *engine, const char *flow_id, const char *data_center_id, const char *new_master_id, GError **error);
/* The active data domain that would be the next master. g_free; NULL: none */
char *storage_pool_heir(struct model *model, const char *data_center_id);

#endif
