/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the storage there? Every STORAGE_HEALTH_USEC the metadata block of each active domain is read past the page cache; the last answer of each
 * is kept for storage_health(), which only reads memory.
 *
 * A check runs on a lane of its own, "health/<domain>", not on the domain's: a job of an hour there (allocating a disk) must not look like dead storage,
 * and a read that hangs keeps only this lane. While a check hangs no other is started; lastCheck, the time since the last answer, then grows, which is
 * how clients see it. The timer runs only while a domain is active.
 */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/storage/storage-priv.h"
#include "common/log.h"

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

	g_free(watched->pool);
	g_free(watched->mount);
	g_free(watched);
}

void health_check(struct storage *storage, const char *domain)
{
	g_autofree char *path = NULL;
	g_autoptr(GError) problem = NULL;
	int64_t started_usec = now_usec();
	struct watched *watched;
	int version = 0, before = 0;

	{
		AUTO_LOCK(&storage->lock);
		if ((watched = g_hash_table_lookup(storage->watched, domain)))
			path = g_build_filename(watched->mount, domain, NULL);
	}
	if (!path)
		return;
	(void)domain_probe(path, &version, &problem);
	{
		AUTO_LOCK(&storage->lock);
		if (!(watched = g_hash_table_lookup(storage->watched, domain)))
			return;
		before = watched->code;
		watched->busy = false;
		watched->checked_usec = now_usec();
		watched->delay_usec = watched->checked_usec - started_usec;
		watched->code = problem ? problem->code : 0;
		if (!problem)
			watched->version = version;
	}
	if (problem && !before)
		log_error("storage domain %s: %s", domain, problem->message);
	else if (!problem && before)
		log_info("storage domain %s is reachable again", domain);
}

struct check { struct storage *storage; char *domain; };

static void check_free(void *data)
{
	struct check *check = data;

	storage_unref(check->storage);
	g_free(check->domain);
	g_free(check);
}

static void check_run(void *data)
{
	struct check *check = data;

	health_check(check->storage, check->domain);
}

static void submit(struct storage *storage, const char *domain)
{
	g_autofree char *lane = g_strdup_printf("health/%s", domain);
	struct check *check = g_new0(struct check, 1);
	g_autoptr(GError) problem = NULL;

	check->storage = storage_ref(storage);
	check->domain = g_strdup(domain);
	if (lane_submit(storage->agent->lanes, lane, &(struct lane_job){ .name = "health check", .run = check_run, .data = check, .free_data = check_free },
			&problem))
		return;
	log_warn("health check of storage domain %s: %s, ignoring", domain, problem->message);
	check_free(check);
	AUTO_LOCK(&storage->lock);
	struct watched *watched = g_hash_table_lookup(storage->watched, domain);

	if (watched)
		watched->busy = false;
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
		submit(storage, due->pdata[i]);
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
							   "valid", watched->code == 0, "version", watched->version, "acquired", 1, "actual",
							   watched->checked_usec != 0));
	}
	return all;
}
