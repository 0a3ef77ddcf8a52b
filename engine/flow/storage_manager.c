/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager (SPM) of a pool: the one host that works on the domains themselves. The lease of the master domain makes it one: of two hosts that are asked
 * the agent of the second says no, so whatever the engine believes, there are no two.
 *
 *	none --spmStart: contending--> manager --spmStop; agent dead, lease lost; host down, in maintenance--> none
 *
 * Chosen is who is it already; else the hosts that are up are asked, the one with the highest priority first (priority -1: never), until one becomes it.
 * The diary, with [storage] manager_check = 10 s and io_timeout N = 10 s:
 *
 *	 0 s            the host of the manager dies
 *	 at 60 s        it is non_responsive (fleet/diary.h): another one is asked, and again every manager_check
 *	 at 8N+60 s     sanlock takes its lease to be free (lease/lock.c): the next that is asked becomes the manager
 *	 agent killed   sanlock frees the lease at once: the first host that is asked becomes it, usually the same one when its agent is back
 *
 * Every manager_check seconds the manager is asked whether it is still the one: a lease may be lost without a word. One that does not answer keeps the role
 * until the grace of its host is over. At the same time is looked how the master does (pool_master.c).
 *
 * One worker at a time works on a pool (its turn). What is stored (storage_manager, spm_state) follows what the agents said last.
 */
#include <string.h>

#include "common/config.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/flow/agent.h"
#include "engine/flow/pool_calls.h"
#include "engine/flow/storage_pool.h"
#include "engine/flow/turn.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

/* Event codes: appendix C; AuditLogType */
#define EVENT_FORCED 159
#define EVENT_CHOSEN 204
#define EVENT_NOBODY 979

/* ---- what is stored ---- */

struct role { struct model *model; const char *pool_id; int state; const struct actor *actor; };

/* No other host of the pool is it. */
static void dismiss_others(struct change *change, const struct role *role, const char *but)
{
	g_autoptr(GPtrArray) hosts = model_list(role->model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *other = hosts->pdata[i];
		struct host *copy;

		if (!strcmp(other->id, but) || g_strcmp0(other->pool_id, role->pool_id) || !other->storage_manager)
			continue;
		copy = record_copy(other);
		SET(copy, storage_manager, false);
		SET(copy, spm_state, SPM_NONE);
		change_replace(change, other, copy);
		record_unref(copy);
	}
}

static bool edit_role(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct role *role = data;
	bool is = role->state == SPM_SPM, was = host->storage_manager;

	if (is == was && host->spm_state == role->state)
		return false;
	SET(host, storage_manager, is);
	SET(host, spm_state, role->state);
	if (!is)
		return true;
	dismiss_others(change, role, host->id);
	if (role->actor)
		change_event(change, EVENT_FORCED, role->actor, (void *[]){ host, NULL }, "Host %s was force selected by %s", host->name, role->actor->user_name);
	if (!was)
		change_event(change, EVENT_CHOSEN, NULL, (void *[]){ host, NULL }, "Storage Pool Manager runs on Host %s (Address: %s).", host->name, host->address);
	return true;
}

static void note(struct engine *engine, const char *pool_id, const char *host_id, enum spm_state state, const struct actor *actor)
{
	struct role role = { engine->model, pool_id, state, actor };
	g_autoptr(GError) error = NULL;

	if (!store_modify(engine->store, &host_kind, host_id, edit_role, &role, NULL, &error) && error)
		log_warn("host %s: its role in pool %s is not stored: %s", host_id, pool_id, error->message);
	storage_follow(engine, pool_id);
}

/* The stored manager of the pool; new reference, NULL: none. */
static struct host *manager_of(struct model *model, const char *pool_id)
{
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		struct host *host = hosts->pdata[i];

		if (host->storage_manager && !g_strcmp0(host->pool_id, pool_id))
			return record_ref(host);
	}
	return NULL;
}

/* ---- choosing; the pool's turn is held ---- */

static int by_priority(const void *a, const void *b)
{
	const struct host *one = *(void *const *)a, *other = *(void *const *)b;

	return other->spm_priority != one->spm_priority ? other->spm_priority - one->spm_priority : strcmp(one->name, other->name);
}

GPtrArray *storage_manager_candidates(struct model *model, const char *pool_id)
{
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);
	GPtrArray *found = list_new();

	for (guint i = 0; i < hosts->len; i++) {
		struct host *host = hosts->pdata[i];
		g_autofree char *own = host->state == HOST_UP ? host_data_center(model, host) : NULL;

		if (!g_strcmp0(own, pool_id))
			g_ptr_array_add(found, record_ref(host));
	}
	g_ptr_array_sort(found, by_priority);
	return found;
}

static bool is_manager(struct engine *engine, const char *pool_id, const char *host_id, GError **error)
{
	const struct storage_call call = { engine, host_id, NULL, AGENT_PATIENCE_NONE };

	return pool_is_managed(&call, pool_id, error);
}

static bool appoint(struct engine *engine, const struct storage_pool *pool, const struct host *host, const struct actor *actor, GError **error)
{
	const struct storage_call call = { engine, host->id, NULL, AGENT_PATIENCE_S };
	bool ok;

	note(engine, pool->id, host->id, SPM_CONTENDING, NULL);
	ok = storage_pool_join(engine, host->id, pool->id, error) && pool_manage(&call, pool->id, storage_io_timeout(engine), error);
	note(engine, pool->id, host->id, ok ? SPM_SPM : SPM_NONE, ok ? actor : NULL);
	return ok;
}

/* Is the stored manager still it, or may it be? */
static bool is_kept(struct engine *engine, const struct storage_pool *pool, const struct host *manager)
{
	g_autoptr(GError) error = NULL;

	if (!manager)
		return false;
	/* of a host that does not answer the grace decides */
	if (manager->state == HOST_CONNECTING || manager->state == HOST_UNASSIGNED)
		return true;
	return manager->state == HOST_UP && (is_manager(engine, pool->id, manager->id, &error) || agent_is_away(error));
}

static char *choose(struct engine *engine, const struct storage_pool *pool, GError **error)
{
	g_autoptr(GPtrArray) hosts = storage_manager_candidates(engine->model, pool->id);
	g_autoptr(GError) first = NULL;

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];

		if (g_strcmp0(host->pool_id, pool->id) || !is_manager(engine, pool->id, host->id, NULL))
			continue;
		note(engine, pool->id, host->id, SPM_SPM, NULL);
		return g_strdup(host->id);
	}
	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		GError *own = NULL;

		if (host->spm_priority < 0)
			continue;
		if (appoint(engine, pool, host, NULL, &own))
			return g_strdup(host->id);
		log_warn("host %s does not become the manager of pool %s: %s", host->id, pool->id, own->message);
		error_wrap(&own, "host '%s'", host->name);
		if (first)
			g_error_free(own);
		else
			first = own;
	}
	if (first)
		g_propagate_error(error, g_steal_pointer(&first));
	else
		error_set(error, ERR_WRONG_STATE, "data center '%s': no host is up that may be the storage manager", pool->name);
	return NULL;
}

char *storage_manager_elect(struct engine *engine, const struct storage_pool *pool, GError **error)
{
	struct host *manager = manager_of(engine->model, pool->id);
	char *id = is_kept(engine, pool, manager) ? g_strdup(manager->id) : NULL;

	if (!id && manager)
		note(engine, pool->id, manager->id, SPM_NONE, NULL);
	if (!id)
		id = choose(engine, pool, error);
	record_unref(manager);
	return id;
}

char *storage_manager_host(struct engine *engine, const char *data_center_id, GError **error)
{
	AUTO_TURN("pool/%s", data_center_id);
	autostorage_pool pool = storage_pool_read(engine->model, data_center_id);

	if (pool && pool->runs)
		return storage_manager_elect(engine, pool, error);
	error_set(error, ERR_WRONG_STATE, "data center '%s': its master domain is not active", pool ? pool->name : data_center_id);
	return NULL;
}

bool storage_manager_force(struct engine *engine, const struct host *host, const struct actor *actor, GError **error)
{
	g_autofree char *data_center = host_data_center(engine->model, host);
	AUTO_TURN("pool/%s", data_center);
	autostorage_pool pool = storage_pool_read(engine->model, data_center);
	struct host *manager;
	GError *own = NULL;

	if (!pool || !pool->runs) {
		error_set(error, ERR_WRONG_STATE, "host '%s': its data center has no active master domain, and so no storage manager", host->name);
		return false;
	}
	manager = manager_of(engine->model, pool->id);
	if (manager && !strcmp(manager->id, host->id) && is_manager(engine, pool->id, host->id, NULL))
		error_set(&own, ERR_OPERATION_FAILED, "host '%s' is the storage manager already", host->name);
	else if (manager && strcmp(manager->id, host->id) && manager->state == HOST_UP) {
		const struct storage_call call = { engine, manager->id, NULL, AGENT_PATIENCE_NONE };

		if (pool_resign(&call, pool->id, &own))
			note(engine, pool->id, manager->id, SPM_NONE, NULL);
		else
			error_wrap(&own, "host '%s', the storage manager, keeps the role", manager->name);
	}
	if (!own && !appoint(engine, pool, host, actor, &own)) {
		g_autofree char *other = choose(engine, pool, NULL);

		if (!other)
			log_warn("pool %s has no manager", pool->id);
	}
	record_unref(manager);
	if (own)
		g_propagate_error(error, own);
	return !own;
}

/* ---- in the background ---- */

struct wish { struct engine *engine; char *pool_id; };

static void wish_free(void *data)
{
	struct wish *wish = data;

	g_free(wish->pool_id);
	g_free(wish);
}

static void tend(void *data)
{
	struct wish *wish = data;
	struct engine *engine = wish->engine;
	AUTO_TURN("pool/%s", wish->pool_id);
	autostorage_pool pool = storage_pool_read(engine->model, wish->pool_id);
	g_autoptr(GError) error = NULL;
	bool runs = pool && pool->runs;
	char *id = runs ? storage_manager_elect(engine, pool, &error) : NULL;

	g_free(id);
	/* with another master the next look finds a manager */
	if (runs && !storage_pool_rescue(engine, pool) && error) {
		struct datacenter *data_center = model_get(engine->model, &datacenter_kind, pool->id);

		store_event_once(engine->store, EVENT_NOBODY, NULL, (void *[]){ data_center, NULL },
				 "Data Center %s has no Storage Pool Manager: %s", pool->name, error->message);
		record_unref(data_center);
	}
	if (pool)
		storage_follow(engine, pool->id);
}

void storage_manager_want(struct engine *engine, const char *data_center_id)
{
	g_autofree char *lane = g_strdup_printf("pool/%s", data_center_id);
	struct wish *wish = g_new0(struct wish, 1);
	struct lane_job job = { .name = "storage manager", .run = tend, .data = wish, .free_data = wish_free };
	g_autoptr(GError) error = NULL;

	*wish = (struct wish){ engine, g_strdup(data_center_id) };
	if (!lane_submit(engine->lanes, lane, &job, &error)) {
		log_warn("pool %s: %s, ignoring: it is looked at again", data_center_id, error->message);
		wish_free(wish);
	}
}

void storage_manager_host_lost(struct engine *engine, const char *host_id)
{
	struct host *host = model_get(engine->model, &host_kind, host_id);

	if (host && host->pool_id)
		storage_manager_want(engine, host->pool_id);
	record_unref(host);
}

static void tick(void *data)
{
	struct engine *engine = data;
	g_autoptr(GPtrArray) data_centers = model_list(engine->model, &datacenter_kind);

	for (guint i = 0; i < data_centers->len; i++) {
		const char *id = object_id(data_centers->pdata[i]);
		autostorage_pool pool = storage_pool_read(engine->model, id);

		if (pool && pool->runs)
			storage_manager_want(engine, id);
	}
	timer_set(engine->pool_timer, config_int(engine->config, "storage", "manager_check") * G_USEC_PER_SEC);
}

void storage_manager_begin(struct engine *engine)
{
	engine->pool_timer = timer_new(engine->loop, tick, engine);
	timer_set(engine->pool_timer, config_int(engine->config, "storage", "manager_check") * G_USEC_PER_SEC);
}

void storage_manager_end(struct engine *engine)
{
	engine->pool_timer = timer_free(engine->pool_timer);
}
