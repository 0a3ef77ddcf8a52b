/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of a data center: its shared storage as its hosts know it (vdsm's StoragePool). A data center with local storage has none.
 *
 *	the first data domain is attached    one host writes the pool into it: it is the *master*
 *	the master is activated              a host joins and becomes the manager (SPM, storage_manager.c); then all others join
 *	a host comes up                      it reaches the active domains and joins
 *	a domain is activated, deactivated   by the manager; then all hosts are told the new list, which is joining again
 *	the master is deactivated            the manager makes another active data domain the master; without one all hosts leave: the pool rests
 *	a host goes to maintenance           it gives up to be the manager and leaves
 *	the master is detached               the last domain of the pool: a host joins, becomes the manager and ends the pool
 *
 * What a host was told is in its record: pool_id, which is set before it is asked to join and cleared after it left, and its number, by which sanlock knows
 * it. A host that comes up while the pool does not run, or in another data center, leaves first.
 *
 * A host is told on the lane "storage/<host>", so that one whose storage hangs keeps nobody waiting, and by one worker at a time (its turn); the list of
 * domains is read when it is its turn, so the last one told is the last one that was true. What cannot be reached is an event; the host stays up. Whether the
 * last attempt went well is in its record, too (pool_joined): a VM that needs shared storage starts on no other host (sched.c).
 *
 * The agent lets go of a domain's storage some time after the domain is left: sanlock gives the host's number back. Until then it refuses to disconnect.
 */
#include "engine/flow/storage_pool.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/flow/agent.h"
#include "engine/flow/lun.h"
#include "engine/flow/pool_calls.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/storage_target.h"
#include "engine/flow/turn.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/storage_domain.h"
#include "engine/store/store.h"
#include "proto/pool.h"

#define LOG_MODULE "flow"
#define EVENT_NOT_CONNECTED 188              /* appendix C */
#define DISCONNECT_TRIES 10                  /* one second apart */

/* ---- what it is ---- */

static bool is_active(const struct storage_domain *domain)
{
	return domain->state == DOMAIN_ACTIVE || domain->state == DOMAIN_MIXED || domain->state == DOMAIN_UNKNOWN;
}

/* What hosts are told of: also one that is just coming, lest a host that is told now drops it again. */
static bool is_used(const struct storage_domain *domain)
{
	return domain->master || is_active(domain) || domain->state == DOMAIN_ACTIVATING;
}

static GPtrArray *domains_of(struct model *model, const char *data_center_id)
{
	return model_referring(model, &storage_domain_kind, offsetof(struct storage_domain, data_center), data_center_id);
}

struct storage_pool *storage_pool_read(struct model *model, const char *data_center_id)
{
	struct datacenter *data_center = data_center_id ? model_get(model, &datacenter_kind, data_center_id) : NULL;
	g_autoptr(GPtrArray) domains = domains_of(model, data_center_id ? data_center_id : "");
	struct storage_pool *pool = NULL;

	if (data_center && !data_center->local) {
		pool = g_new0(struct storage_pool, 1);
		pool->id = g_strdup(data_center->id);
		pool->name = g_strdup(data_center->name);
		pool->master_version = HAS(data_center, master_version) ? data_center->master_version : 1;
		pool->domains = json_object();
	}
	record_unref(data_center);
	for (guint i = 0; pool && i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		json_object_set_new(pool->domains, domain->id, json_string(is_used(domain) ? "active" : "attached"));
		if (!domain->master)
			continue;
		g_free(pool->master_id);
		pool->master_id = g_strdup(domain->id);
		pool->runs = is_active(domain);
		pool->rests = domain->state == DOMAIN_MAINTENANCE || domain->state == DOMAIN_INACTIVE;
	}
	return pool && pool->master_id ? pool : storage_pool_free(pool);
}

struct storage_pool *storage_pool_free(struct storage_pool *pool)
{
	if (!pool)
		return NULL;
	json_decref(pool->domains);
	g_free(pool->id);
	g_free(pool->name);
	g_free(pool->master_id);
	g_free(pool);
	return NULL;
}

char *host_data_center(struct model *model, const struct host *host)
{
	struct cluster *cluster = host->cluster.id ? model_get(model, &cluster_kind, host->cluster.id) : NULL;
	char *id = cluster ? g_strdup(cluster->data_center.id) : NULL;

	record_unref(cluster);
	return id;
}

char *storage_pool_heir(struct model *model, const char *data_center_id)
{
	g_autoptr(GPtrArray) domains = domains_of(model, data_center_id);

	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (domain->type == DOMAIN_DATA && domain->state == DOMAIN_ACTIVE && !domain->master)
			return g_strdup(domain->id);
	}
	return NULL;
}

static bool edit_follow(void *copy, struct change *change, void *data, GError **error)
{
	struct datacenter *data_center = copy;
	struct engine *engine = data;
	int state = datacenter_status(engine->model, data_center->id);

	if (HAS(data_center, state) && data_center->state == state)
		return false;
	SET(data_center, state, state);
	return true;
}

void storage_follow(struct engine *engine, const char *data_center_id)
{
	g_autoptr(GError) error = NULL;

	if (!store_modify(engine->store, &datacenter_kind, data_center_id, edit_follow, engine, NULL, &error) && error)
		log_warn("data center %s: state: %s, ignoring", data_center_id, error->message);
}

/* ---- one host ---- */

/* Run by the writer: no other host of the pool has this number. data: a struct host */
static bool number_is_free(struct model *model, void *data, GError **error)
{
	const struct host *wanted = data;
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];

		if (strcmp(host->id, wanted->id) && !g_strcmp0(host->pool_id, wanted->pool_id) && host->pool_number == wanted->pool_number) {
			error_set(error, ERR_CONFLICT, "host '%s': another host got number %d of the pool", wanted->name, wanted->pool_number);
			return false;
		}
	}
	return true;
}

static int free_number(struct model *model, const struct host *for_host, const char *pool_id)
{
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);
	g_autofree bool *taken = g_new0(bool, POOL_HOST_ID_MAX + 1);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];

		if (strcmp(host->id, for_host->id) && !g_strcmp0(host->pool_id, pool_id) && host->pool_number > 0 && host->pool_number <= POOL_HOST_ID_MAX)
			taken[host->pool_number] = true;
	}
	for (int number = 1; number <= POOL_HOST_ID_MAX; number++)
		if (!taken[number])
			return number;
	return 0;
}

struct entering { struct model *model; const char *pool_id; };

static bool edit_enter(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct entering *entering = data;
	int number;

	if (!g_strcmp0(host->pool_id, entering->pool_id))
		return false;
	if (!(number = free_number(entering->model, host, entering->pool_id))) {
		error_set(error, ERR_OPERATION_FAILED, "host '%s': all %d numbers of the data center's pool are taken", host->name, POOL_HOST_ID_MAX);
		return false;
	}
	set_string(&host->pool_id, entering->pool_id);
	SET(host, pool_number, number);
	SET(host, pool_joined, false);
	change_check(change, number_is_free, host);
	return true;
}

/* data: a bool, did it? */
static bool edit_joined(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const bool *joined = data;

	if (!host->pool_id || host->pool_joined == *joined)
		return false;
	SET(host, pool_joined, *joined);
	return true;
}

static bool edit_left(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;

	if (!host->pool_id && !host->storage_manager && host->spm_state == SPM_NONE)
		return false;
	set_string(&host->pool_id, NULL);
	CLEAR(host, pool_number);
	CLEAR(host, pool_joined);
	SET(host, storage_manager, false);
	SET(host, spm_state, SPM_NONE);
	return true;
}

bool storage_pool_reach(const struct storage_call *call, const struct storage_domain *domain, GError **error)
{
	json_t *targets = storage_targets(call->engine->model, call->host_id, domain->connections), *target;
	size_t i;
	bool ok = true;

	json_array_foreach(targets, i, target)
		ok = ok && storage_connect(call, target, error);
	json_decref(targets);
	return ok;
}

/* Is it one of another domain of the pool that is active, when the host stays there; or of a LUN that the host has logged in for? */
static bool is_needed(const struct storage_call *call, const struct storage_domain *left, bool stays, const json_t *target)
{
	struct model *model = call->engine->model;
	g_autoptr(GPtrArray) domains = stays ? domains_of(model, left->data_center.id ? left->data_center.id : "") : list_new();
	bool needed = lun_needs(model, json_string_value(json_object_get(target, "@id")), call->host_id);

	for (guint i = 0; i < domains->len && !needed; i++)
		needed = strcmp(object_id(domains->pdata[i]), left->id) && is_active(domains->pdata[i]) &&
			 storage_domain_uses(domains->pdata[i], json_string_value(json_object_get(target, "@id")));
	return needed;
}

/* stays: the host stays in the pool, whose other domains it goes on to use */
static void let_go(const struct storage_call *call, const struct storage_domain *domain, bool stays)
{
	json_t *targets = storage_targets(call->engine->model, call->host_id, domain->connections), *target;
	g_autoptr(GError) error = NULL;
	size_t i;

	json_array_foreach(targets, i, target)
		for (int try = 0; try < DISCONNECT_TRIES && !is_needed(call, domain, stays, target); try++) {
			g_clear_error(&error);
			if (storage_disconnect(call, target, &error) || agent_is_away(error))
				break;
			lane_pause(G_USEC_PER_SEC);          /* nobody tells when the last user is gone */
		}
	if (error)
		log_info("host %s: storage domain %s stays connected: %s, ignoring", call->host_id, domain->id, error->message);
	json_decref(targets);
}

/* The master must be reached, the others should. */
static bool reach_all(const struct storage_call *call, const struct host *host, const struct storage_pool *pool, GError **error)
{
	g_autoptr(GPtrArray) domains = domains_of(call->engine->model, pool->id);

	for (guint i = 0; i < domains->len; i++) {
		struct storage_domain *domain = domains->pdata[i];
		g_autoptr(GError) own = NULL;

		if (!is_used(domain) || storage_pool_reach(call, domain, &own))
			continue;
		if (agent_is_away(own)) {
			g_propagate_error(error, g_steal_pointer(&own));
			return false;
		}
		store_event(call->engine->store, EVENT_NOT_CONNECTED, NULL, (void *[]){ (void *)host, domain, NULL },
			    "Failed to connect Host %s to the Storage Domains %s. (%s)", host->name, domain->name, own->message);
		if (domain->master) {
			error_set(error, ERR_OPERATION_FAILED, "host '%s' does not reach the master domain '%s': %s", host->name, domain->name, own->message);
			return false;
		}
	}
	return true;
}

static bool leave(const struct storage_call *call, const struct host *host, GError **error)
{
	g_autoptr(GPtrArray) domains = domains_of(call->engine->model, host->pool_id ? host->pool_id : "");

	if (host->pool_id && (!pool_resign(call, host->pool_id, error) || !pool_leave(call, host->pool_id, host->pool_number, error)))
		return false;
	for (guint i = 0; i < domains->len; i++)
		let_go(call, domains->pdata[i], /* stays= */ false);
	return store_modify(call->engine->store, &host_kind, host->id, edit_left, NULL, NULL, error);
}

/* The host's turn is held. */
static bool leave_in_turn(struct engine *engine, const char *host_id, GError **error)
{
	const struct storage_call call = { engine, host_id, NULL, AGENT_PATIENCE_S };
	struct host *host = model_get(engine->model, &host_kind, host_id);
	bool ok = !host || leave(&call, host, error);

	record_unref(host);
	return ok;
}

bool storage_pool_leave(struct engine *engine, const char *host_id, GError **error)
{
	AUTO_TURN("storage/%s", host_id);

	return leave_in_turn(engine, host_id, error);
}

/* The host's turn is held. */
static bool join_in_turn(struct engine *engine, const char *host_id, const struct storage_pool *pool, GError **error)
{
	const struct storage_call call = { engine, host_id, NULL, AGENT_PATIENCE_S };
	struct entering entering = { engine->model, pool->id };
	struct host *host = model_get(engine->model, &host_kind, host_id);
	void *entered = NULL;
	bool ok;

	if (!host) {
		error_set(error, ERR_NOT_FOUND, "host '%s'", host_id);
		return false;
	}
	ok = !host->pool_id || !strcmp(host->pool_id, pool->id) || leave(&call, host, error);
	record_unref(host);
	if (!ok || !store_modify(engine->store, &host_kind, host_id, edit_enter, &entering, &entered, error))
		return false;
	host = entered;
	ok = reach_all(&call, host, pool, error) && pool_enter(&call, pool, host->pool_number, error);
	record_unref(host);
	return store_modify(engine->store, &host_kind, host_id, edit_joined, &ok, NULL, ok ? error : NULL) && ok;
}

bool storage_pool_join(struct engine *engine, const char *host_id, const char *pool_id, GError **error)
{
	AUTO_TURN("storage/%s", host_id);
	autostorage_pool pool = storage_pool_read(engine->model, pool_id);

	if (!pool)
		error_set(error, ERR_WRONG_STATE, "data center '%s' has no master domain", pool_id);
	return pool && join_in_turn(engine, host_id, pool, error);
}

/* ---- all hosts ---- */

struct task { struct engine *engine; char *host_id, *left; };

static void task_free(void *data)
{
	struct task *task = data;

	g_free(task->host_id);
	g_free(task->left);
	g_free(task);
}

/*
 * true: the host has joined, with the list of domains of now. The host's turn is held, since before the pool was read: who waits for it may be somebody who
 * goes on with the pool (its end is one), and what was true of it before he did would undo his work.
 */
static bool do_as_the_pool(struct engine *engine, const struct host *host)
{
	g_autofree char *data_center = host_data_center(engine->model, host);
	autostorage_pool pool = storage_pool_read(engine->model, data_center);
	g_autoptr(GError) error = NULL;
	bool joined = false;

	if (pool && pool->runs) {
		joined = join_in_turn(engine, host->id, pool, &error);
		if (joined)
			storage_manager_want(engine, pool->id);
	} else if (host->pool_id && (!pool || pool->rests || strcmp(pool->id, host->pool_id)))
		(void)leave_in_turn(engine, host->id, &error);
	if (error)
		log_warn("host %s: pool of data center %s: %s", host->id, data_center ? data_center : "(none)", error->message);
	return joined;
}

static void run(void *data)
{
	struct task *task = data;
	struct model *model = task->engine->model;
	AUTO_TURN("storage/%s", task->host_id);
	struct host *host = model_get(model, &host_kind, task->host_id);
	struct storage_domain *left = task->left ? model_get(model, &storage_domain_kind, task->left) : NULL;

	/* Who does not join leaves, now or soon, and lets go of all. */
	if (host && host->state == HOST_UP && do_as_the_pool(task->engine, host) && left && !is_active(left)) {
		const struct storage_call call = { task->engine, host->id, NULL, AGENT_PATIENCE_NONE };

		let_go(&call, left, /* stays= */ true);
	}
	record_unref(left);
	record_unref(host);
}

static void submit(struct engine *engine, const char *host_id, const char *left)
{
	g_autofree char *lane = g_strdup_printf("storage/%s", host_id);
	struct task *task = g_new0(struct task, 1);
	struct lane_job job = { .name = "storage of a host", .run = run, .data = task, .free_data = task_free };
	g_autoptr(GError) error = NULL;

	*task = (struct task){ engine, g_strdup(host_id), g_strdup(left) };
	if (!lane_submit(engine->lanes, lane, &job, &error)) {
		log_warn("host %s: storage: %s, ignoring", host_id, error->message);
		task_free(task);
	}
}

void storage_pool_spread(struct engine *engine, const char *data_center_id, const char *left)
{
	g_autoptr(GPtrArray) hosts = model_list(engine->model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		g_autofree char *own = host_data_center(engine->model, host);

		if (host->state == HOST_UP && (!g_strcmp0(own, data_center_id) || !g_strcmp0(host->pool_id, data_center_id)))
			submit(engine, host->id, left);
	}
}

void storage_pool_host_up(struct engine *engine, const char *host_id)
{
	submit(engine, host_id, NULL);
}
