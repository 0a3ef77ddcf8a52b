/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the storage there? Every STORAGE_HEALTH_USEC the metadata block of each active domain is read past the page cache, and its free space is asked for; the
 * last answer of each is kept for storage_health(), which only reads memory. Changes are events, |storage|domain_status|<id>: reachable or not, room enough
 * ([storage] low_space) or not.
 *
 * A check runs on a lane of its own, "health/<domain>", not on the domain's: a job of an hour there (allocating a disk) must not look like dead storage,
 * and a read that hangs keeps only this lane. While a check hangs no other is started; lastCheck, the time since the last answer, then grows, which is
 * how clients see it. The timer runs only while a domain is watched.
 *
 * A domain of which is known that it is active, but not where it is (its connection was not there), is looked for at each check, and gets its link then.
 *
 * On storage that other hosts see, this host holds its number in each domain: whenever a check finds that it does not, it is taken (again), on the lane
 * "lease/<domain>", for that takes long (lock.c). A number whose renewals fail is an event of its own: who holds leases there is about to be ended.
 */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/storage/lease/lock.h"
#include "agent/storage/pool/pool.h"
#include "agent/storage/storage-priv.h"
#include "common/log.h"

#define EVENT_DOMAIN_STATUS "|storage|domain_status|"

struct watched *watched_new(const char *pool, const char *mount)
{
	struct watched *watched = g_new0(struct watched, 1);

	watched->pool = g_strdup(pool);
	watched->mount = g_strdup(mount);
	return watched;
}

void watched_free(void *data)
{
	struct watched *watched = data;

	if (!watched)
		return;
	g_free(watched->pool);
	g_free(watched->mount);
	g_free(watched);
}

/* ---- work on a lane of a domain ---- */

struct work { struct storage *storage; char *domain; void (*run)(struct storage *storage, const char *domain); };

static void work_free(void *data)
{
	struct work *work = data;

	storage_unref(work->storage);
	g_free(work->domain);
	g_free(work);
}

static void work_run(void *data)
{
	struct work *work = data;

	work->run(work->storage, work->domain);
}

bool storage_submit(struct storage *storage, const char *lanes, const char *domain, const char *name,
		    void (*run)(struct storage *storage, const char *domain))
{
	g_autofree char *lane = g_strdup_printf("%s/%s", lanes, domain);
	struct work *work = g_new0(struct work, 1);
	g_autoptr(GError) problem = NULL;

	work->storage = storage_ref(storage);
	work->domain = g_strdup(domain);
	work->run = run;
	if (lane_submit(storage->agent->lanes, lane, &(struct lane_job){ .name = name, .run = work_run, .data = work, .free_data = work_free }, &problem))
		return true;
	log_warn("%s of storage domain %s: %s, ignoring", name, domain, problem->message);
	work_free(work);
	return false;
}

/* ---- the host id ---- */

static int wanted_host_id(struct storage *storage, const char *domain)
{
	int host_id = pool_host_id(storage, domain);
	const struct watched *watched;
	AUTO_LOCK(&storage->lock);

	watched = g_hash_table_lookup(storage->watched, domain);
	return !watched ? 0 : watched->host_id ? watched->host_id : watched->pool ? host_id : 0;
}

bool health_joins(struct storage *storage, const char *domain)
{
	return pool_host_id(storage, domain) && !lock_host_id(storage->locks, domain);
}

static void join(struct storage *storage, const char *id)
{
	int host_id = wanted_host_id(storage, id);
	g_autoptr(GError) problem = NULL;
	autodomain domain = host_id && lock_host_id(storage->locks, id) != host_id ? domain_open(storage, id, NULL) : NULL;

	if (!domain)
		return;
	if (!lock_join(storage->locks, domain, host_id, &problem)) {
		log_error("%s", problem->message);         /* the next check has it tried again */
		return;
	}
	log_info("this host is number %d in storage domain %s", host_id, id);
	health_check(storage, id);
}

static bool is_wanted(void *storage, const char *domain)
{
	return wanted_host_id(storage, domain) > 0;
}

static void leave(struct storage *storage, const char *id)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *active = NULL;

	if (!lock_leave(storage->locks, id, is_wanted, storage, &problem))
		log_warn("%s, ignoring", problem->message);
	if (is_wanted(storage, id))
		return;
	active = pool_of_active(storage, id);
	if (!active)
		domain_rest(storage, id);        /* sanlock had its devices open until now */
}

void health_leave(struct storage *storage, const char *domain)
{
	(void)storage_submit(storage, "lease", domain, "give the host id back", leave);
}

/* ---- checks ---- */

static void settle(struct storage *storage, const char *id)
{
	autodomain domain = domain_open(storage, id, NULL);

	if (domain)
		volume_sweep(domain);
}

void health_settle(struct storage *storage, const char *pool)
{
	g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *domain, *value;

	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_iter_init(&iter, storage->watched);
		while (g_hash_table_iter_next(&iter, &domain, &value))
			if (!g_strcmp0(((struct watched *)value)->pool, pool))
				g_ptr_array_add(domains, g_strdup(domain));
	}
	for (guint i = 0; i < domains->len; i++)
		(void)storage_submit(storage, "domain", domains->pdata[i], "settle", settle);
}

/* It was not known where it is: now it is active as if it had been activated. */
static void found(struct storage *storage, const struct domain *domain)
{
	g_autofree char *pool = NULL;

	{
		AUTO_LOCK(&storage->lock);
		struct watched *watched = g_hash_table_lookup(storage->watched, domain->id);

		if (!watched || watched->mount)
			return;
		watched->mount = g_strdup(domain->mount);
		pool = g_strdup(watched->pool);
	}
	if (!pool)
		return;
	if (!pool_link(storage, domain, pool))
		log_warn("no link for storage domain %s in '%s', ignoring", domain->id, storage->repository);
	(void)storage_submit(storage, "domain", domain->id, "settle", settle);
}

struct answer { int code, version; int64_t total, available; unsigned warnings; int phase; bool acquired; char *message; };

static void ask(struct storage *storage, const char *id, struct answer *answer)
{
	g_autoptr(GError) problem = NULL;
	autodomain domain = domain_open(storage, id, &problem);

	if (domain && domain_probe(domain, &answer->version, &problem) &&
	    domain->form->space(domain, &answer->total, &answer->available, &problem)) {
		found(storage, domain);
		answer->warnings = domain_warnings(domain);
		answer->acquired = !domain_is_shared(domain) || lock_host_id(storage->locks, id);
	}
	answer->phase = lock_own_phase(storage->locks, id);
	answer->acquired &= answer->phase == LOCK_LIVE;
	if (problem) {
		answer->code = problem->code;
		answer->message = g_strdup(problem->message);
	}
}

static bool is_low(const struct storage *storage, const struct answer *answer)
{
	return answer->total > 0 && (double)answer->available * 100 < (double)answer->total * storage->low_percent;
}

static void tell(struct storage *storage, const char *id, const struct watched *before, const struct watched *now, const struct answer *answer)
{
	g_autofree char *event = g_strconcat(EVENT_DOMAIN_STATUS, id, NULL);
	json_t *json;

	if (now->code && !before->code)
		log_error("storage domain %s: %s", id, answer->message);
	else if (!now->code && before->code)
		log_info("storage domain %s is reachable again", id);
	if (now->phase != before->phase && now->phase != LOCK_LIVE)
		log_error("storage domain %s: the host id is not renewed; what holds leases there is ended, others may take them when this host is dead", id);
	if (now->low != before->low)
		log_warn("storage domain %s: %" PRId64 " of %" PRId64 " bytes are free", id, now->available, now->total);
	if (now->warnings & ~before->warnings)
		log_warn("storage domain %s: the metadata area of its volume group is %s", id, now->warnings & DOMAIN_FULL_METADATA ? "nearly full" : "small");
	if (before->checked_usec && now->code == before->code && now->low == before->low && now->acquired == before->acquired && now->phase == before->phase)
		return;
	json = json_pack("{s:i, s:b, s:b, s:b, s:b, s:I, s:I}", "code", now->code, "valid", now->code == 0, "acquired", now->acquired, "expiring",
			 now->phase != LOCK_LIVE, "lowSpace", now->low, "disktotal", (json_int_t)now->total, "diskfree", (json_int_t)now->available);
	if (answer->message)
		json_object_set_new(json, "message", json_string(answer->message));
	events_publish(storage->agent->events, event, json);
}

void health_check(struct storage *storage, const char *domain)
{
	int64_t started_usec = now_usec();
	struct watched before, after, *watched;
	struct answer answer = { 0 };

	{
		AUTO_LOCK(&storage->lock);
		if (!g_hash_table_contains(storage->watched, domain))
			return;
	}
	ask(storage, domain, &answer);
	{
		AUTO_LOCK(&storage->lock);
		if (!(watched = g_hash_table_lookup(storage->watched, domain))) {
			g_free(answer.message);
			return;
		}
		before = *watched;
		watched->busy = false;
		watched->checked_usec = now_usec();
		watched->delay_usec = watched->checked_usec - started_usec;
		watched->code = answer.code;
		watched->phase = answer.phase;
		watched->acquired = answer.acquired;
		if (!answer.code) {
			watched->version = answer.version;
			watched->total = answer.total;
			watched->available = answer.available;
			watched->warnings = answer.warnings;
			watched->low = is_low(storage, &answer);
		}
		after = *watched;
	}
	tell(storage, domain, &before, &after, &answer);
	g_free(answer.message);
	if (!after.code && wanted_host_id(storage, domain) && !lock_host_id(storage->locks, domain))
		(void)storage_submit(storage, "lease", domain, "take the host id", join);
}

bool health_submit(struct storage *storage, const char *domain)
{
	if (storage_submit(storage, "health", domain, "health check", health_check))
		return true;
	AUTO_LOCK(&storage->lock);
	struct watched *watched = g_hash_table_lookup(storage->watched, domain);

	if (watched)
		watched->busy = false;
	return false;
}

void health_tick(void *data)
{
	struct storage *storage = data;
	g_autoptr(GPtrArray) due = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *domain, *value;
	bool any = false;

	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_iter_init(&iter, storage->watched);
		while (g_hash_table_iter_next(&iter, &domain, &value)) {
			struct watched *watched = value;

			any = true;
			if (watched->busy)
				continue;
			watched->busy = true;
			g_ptr_array_add(due, g_strdup(domain));
		}
	}
	for (guint i = 0; i < due->len; i++)
		(void)health_submit(storage, due->pdata[i]);
	if (any)
		timer_set(storage->timer, STORAGE_HEALTH_USEC);
}

static void arm(void *data)
{
	struct storage *storage = data;

	if (storage->timer)
		timer_set(storage->timer, STORAGE_HEALTH_USEC);
	storage_unref(storage);
}

void health_arm(struct storage *storage)
{
	loop_post(storage->agent->loop, arm, storage_ref(storage), storage_unref);
}

json_t *storage_health(struct storage *storage)
{
	int64_t now = now_usec();
	json_t *all = json_object();
	GHashTableIter iter;
	void *domain, *value;
	AUTO_LOCK(&storage->lock);

	g_hash_table_iter_init(&iter, storage->watched);
	while (g_hash_table_iter_next(&iter, &domain, &value)) {
		const struct watched *watched = value;
		g_autofree char *age = g_strdup_printf("%.1f", watched->checked_usec ? (double)(now - watched->checked_usec) / G_USEC_PER_SEC : 0.0);
		g_autofree char *delay = g_strdup_printf("%.5f", (double)watched->delay_usec / G_USEC_PER_SEC);

		json_object_set_new(all, domain, json_pack("{s:i, s:s, s:s, s:b, s:i, s:b, s:b}", "code", watched->code, "lastCheck", age, "delay", delay,
							   "valid", watched->code == 0, "version", watched->version, "acquired", watched->acquired, "actual",
							   watched->checked_usec != 0));
	}
	return all;
}

/* ---- verbs ---- */

bool health_stats_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct monitor_params *p = data;
	json_t *all = storage_health(agent->storage), *some;

	if (!p->domains || !p->domains->len) {
		result_json(ret_result, all);
		return true;
	}
	some = json_object();
	for (guint i = 0; i < p->domains->len; i++) {
		json_t *one = json_object_get(all, p->domains->pdata[i]);

		if (one)
			json_object_set(some, p->domains->pdata[i], one);
	}
	json_decref(all);
	result_json(ret_result, some);
	return true;
}

bool health_start_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct monitor_params *p = data;
	struct storage *storage = agent->storage;
	int held = lock_host_id(storage->locks, p->domain_id);

	if (held && held != p->host_id) {
		error_set(error, ERR_STORAGE_POOL_CONNECTED, "domain '%s': this host is number %d in it, not %d", p->domain_id, held, p->host_id);
		return false;
	}
	{
		AUTO_LOCK(&storage->lock);
		struct watched *watched = g_hash_table_lookup(storage->watched, p->domain_id);

		if (!watched) {
			watched = watched_new(NULL, NULL);
			g_hash_table_replace(storage->watched, g_strdup(p->domain_id), watched);
		}
		watched->monitored = true;
		watched->host_id = p->host_id;
	}
	health_arm(storage);
	(void)health_submit(storage, p->domain_id);           /* if not now, the timer will */
	return true;
}

bool health_stop_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct monitor_params *p = data;
	struct storage *storage = agent->storage;

	{
		AUTO_LOCK(&storage->lock);
		struct watched *watched = g_hash_table_lookup(storage->watched, p->domain_id);

		if (!watched || !watched->monitored)
			return true;
		watched->monitored = false;
		watched->host_id = 0;
		if (!watched->pool)
			g_hash_table_remove(storage->watched, p->domain_id);
	}
	health_leave(storage, p->domain_id);
	return true;
}
