/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage of a pool's master is lost: another active data domain takes its place (vdsm's reconstructMaster).
 *
 * What the hosts see decides. At each look at the pool (storage_manager.c) the manager is asked how the master does, and when it does not see it well the other
 * hosts that are up; one that sees it well, or no host that answers, and nothing is done. The diary, with [storage] master_lost_after = 300 s:
 *
 *	  0 s    no host sees the master
 *	300 s    still none: one host leaves the pool and writes role and next version into the heir; in the model the master is inactive, the heir the master
 *	         all hosts are told, as after any change; one of them becomes the manager
 *	later    the old master is back: it has an older version, so nobody takes it for the master; it can be activated
 *
 * Killed between the write and the model, the engine does it again: the heir has the role already. The time is this process's: after a start it begins anew.
 */
#include <string.h>

#include "common/config.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/flow/agent.h"
#include "engine/flow/pool_calls.h"
#include "engine/flow/storage_pool.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/storage_domain.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

/* Event codes: AuditLogType */
#define EVENT_NO_HEIR 983
#define EVENT_DONE 984
#define EVENT_FAILED 985

/* ---- is it lost? ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *lost_since;                       /* id of a data center -> int64_t *: usec. Lock held. */

/* How long it has been so; usec, 0: it is not */
static int64_t note_lost(const char *pool_id, bool lost)
{
	AUTO_LOCK(&lock);
	int64_t *since;

	if (!lost_since)
		lost_since = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	if (!lost) {
		g_hash_table_remove(lost_since, pool_id);
		return 0;
	}
	if (!(since = g_hash_table_lookup(lost_since, pool_id))) {
		since = g_new(int64_t, 1);
		*since = now_usec();
		g_hash_table_insert(lost_since, g_strdup(pool_id), since);
	}
	return MAX(now_usec() - *since, 1);
}

static bool is_seen(struct engine *engine, const struct storage_pool *pool, const GPtrArray *hosts)
{
	bool answered = false;

	for (guint i = 0; i < hosts->len; i++) {
		const struct storage_call call = { engine, object_id(hosts->pdata[i]), NULL, AGENT_PATIENCE_NONE };
		enum pool_sight sight = pool_sees(&call, pool->master_id);

		if (sight == POOL_SEEN)
			return true;
		answered = answered || sight == POOL_UNSEEN;
	}
	return !answered;
}

/* ---- another one ---- */

static bool write_on(struct engine *engine, const struct storage_pool *pool, const struct host *host, const struct storage_domain *heir, GError **error)
{
	const struct storage_call call = { engine, host->id, NULL, AGENT_PATIENCE_NONE };
	int number = host->pool_number > 0 ? host->pool_number : 1;

	return storage_pool_leave(engine, host->id, error) && storage_pool_reach(&call, heir, error) &&
	       pool_reconstruct(&call, pool, heir->id, number, storage_io_timeout(engine), error);
}

static bool edit_inactive(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;

	if (domain->state != DOMAIN_ACTIVE && domain->state != DOMAIN_UNKNOWN && domain->state != DOMAIN_MIXED)
		return false;
	SET(domain, state, DOMAIN_INACTIVE);
	set_string(&domain->state_detail, "no host sees its storage");
	return true;
}

static void tell(struct engine *engine, const struct storage_pool *pool, int code, const char *format, const char *what)
{
	struct datacenter *data_center = model_get(engine->model, &datacenter_kind, pool->id);
	g_autofree char *text = g_strdup_printf("%s%s", pool->name, what);

	store_event_once(engine->store, code, NULL, (void *[]){ data_center, NULL }, format, text);
	record_unref(data_center);
}

static bool take_over(struct engine *engine, const struct storage_pool *pool, const GPtrArray *hosts, const struct storage_domain *heir, GError **error)
{
	g_autoptr(GError) first = NULL;
	bool written = false;

	for (guint i = 0; i < hosts->len && !written; i++) {
		GError *own = NULL;

		if ((written = write_on(engine, pool, hosts->pdata[i], heir, &own)))
			break;
		log_warn("host %s does not make storage domain %s the master of pool %s: %s", object_id(hosts->pdata[i]), heir->id, pool->id, own->message);
		error_wrap(&own, "host '%s'", object_name(hosts->pdata[i]));
		if (first)
			g_error_free(own);
		else
			first = own;
	}
	if (written)
		return store_modify(engine->store, &storage_domain_kind, pool->master_id, edit_inactive, NULL, NULL, error) &&
		       storage_pool_set_master(engine, pool, heir->id, error);
	g_propagate_error(error, g_steal_pointer(&first));
	return false;
}

bool storage_pool_rescue(struct engine *engine, const struct storage_pool *pool)
{
	g_autoptr(GPtrArray) hosts = storage_manager_candidates(engine->model, pool->id);
	int64_t lost = note_lost(pool->id, hosts->len && !is_seen(engine, pool, hosts));
	g_autofree char *heir_id = NULL;
	g_autoptr(GError) error = NULL;
	struct storage_domain *heir;

	if (lost < config_int(engine->config, "storage", "master_lost_after") * G_USEC_PER_SEC)
		return false;
	heir_id = storage_pool_heir(engine->model, pool->id);
	if (!heir_id || !(heir = model_get(engine->model, &storage_domain_kind, heir_id))) {
		tell(engine, pool, EVENT_NO_HEIR, "No valid Data Storage Domains are available in Data Center %s", " (please check your storage infrastructure).");
		return false;
	}
	if (take_over(engine, pool, hosts, heir, &error)) {
		(void)note_lost(pool->id, false);
		tell(engine, pool, EVENT_DONE, "Reconstruct Master Domain for Data Center %s", " completed.");
		storage_pool_spread(engine, pool->id, NULL);
		storage_follow(engine, pool->id);
	} else {
		g_autofree char *why = g_strconcat(": ", error->message, NULL);

		tell(engine, pool, EVENT_FAILED, "Failed to Reconstruct Master Domain for Data Center %s", why);
	}
	record_unref(heir);
	return !error;
}
