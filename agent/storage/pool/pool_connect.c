/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool (data center) this host is in: at most one.
 *
 * The engine says which domains a pool has and which of them are active (StoragePool.connect); of that the host keeps a copy, <repository>/<pool>/pool.json,
 * so that after a restart it is in its pool with the same number and the same domains without anybody asking. What the storage itself knows of a pool is
 * in each domain's metadata: POOL_UUID, and in one of them ROLE=Master with a MASTER_VERSION that grows with each change of master; so an old master that
 * comes back is not taken for the new one.
 *
 * Only the master is touched on the pool's lane. That the other domains are active is written down and shown at once; each is looked for on its own health
 * lane, now and whenever it was not there, so that a domain whose storage hangs is invalid and keeps no other waiting.
 *
 * Making, destroying and reconstructing a pool change several domains, one after the other, in such an order that killed at any instant the same
 * request may come again and goes on: members first and the master last when a pool is made, the master last when it ends.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/storage/lease/lock.h"
#include "agent/storage/pool/pool.h"
#include "agent/storage/storage-priv.h"
#include "common/json_file.h"
#include "common/log.h"

#define POOL_FILE "pool.json"

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	json_decref(pool->domains);
	g_free(pool->id);
	g_free(pool->name);
	g_free(pool->master);
	g_free(pool);
	return NULL;
}

static struct pool *copy(const struct pool *from)
{
	struct pool *pool = g_new0(struct pool, 1);

	pool->id = g_strdup(from->id);
	pool->name = g_strdup(from->name);
	pool->master = g_strdup(from->master);
	pool->host_id = from->host_id;
	pool->master_version = from->master_version;
	pool->domains = json_deep_copy(from->domains);
	return pool;
}

struct pool *pool_get(struct storage *storage, const char *id, GError **error)
{
	AUTO_LOCK(&storage->lock);

	if (storage->pool && (!id || !g_ascii_strcasecmp(storage->pool->id, id)))
		return copy(storage->pool);
	error_set(error, ERR_STORAGE_POOL_UNKNOWN, "('%s',)", id ? id : "");
	return NULL;
}

int pool_host_id(struct storage *storage, const char *domain)
{
	AUTO_LOCK(&storage->lock);

	return storage->pool && json_object_get(storage->pool->domains, domain) ? storage->pool->host_id : 0;
}

static char *directory_of(struct storage *storage, const char *pool)
{
	return g_build_filename(storage->repository, pool, NULL);
}

/* Reading, changing and writing it again is one step: lanes of domains do, and the pool's. Only the host's own disk is touched meanwhile. */
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

static bool put(struct storage *storage, const struct pool *pool, GError **error)
{
	g_autofree char *directory = directory_of(storage, pool->id);
	autofd repository = files_open_dir(AT_FDCWD, storage->repository);
	json_t *file = json_pack("{s:i, s:s, s:i, s:s, s:i, s:O}", "version", 1, "name", pool->name, "hostID", pool->host_id, "master", pool->master,
				 "masterVersion", pool->master_version, "domains", pool->domains);
	bool good = repository >= 0 && (files_make_dir(repository, pool->id) || errno == EEXIST);

	if (!good)
		error_set_errno(error, ERR_STORAGE_POOL_CONNECTION_ERROR, errno, "'%s'", directory);
	good = good && json_file_write(directory, POOL_FILE, file, error);
	json_decref(file);
	if (!good)
		return false;
	AUTO_LOCK(&storage->lock);
	pool_free(storage->pool);
	storage->pool = copy(pool);
	return true;
}

void pool_recall(struct storage *storage, const char *id)
{
	g_autofree char *directory = directory_of(storage, id);
	json_t *file = json_file_read(directory, POOL_FILE);
	const char *name, *master, *domain;
	json_t *domains, *status;
	struct pool pool = { .id = (char *)id };

	if (file && json_unpack(file, "{s:s, s:i, s:s, s:i, s:o}", "name", &name, "hostID", &pool.host_id, "master", &master, "masterVersion",
				&pool.master_version, "domains", &domains) == 0 && json_is_object(domains)) {
		pool.name = (char *)name;
		pool.master = (char *)master;
		pool.domains = domains;
		storage->pool = copy(&pool);
		json_object_foreach(domains, domain, status)
			if (!g_strcmp0(json_string_value(status), "Active") && !g_hash_table_contains(storage->watched, domain))
				g_hash_table_replace(storage->watched, g_strdup(domain), watched_new(id, NULL));
	} else if (file)
		log_error("what is kept of pool %s in '%s' is not valid: this host is in no pool", id, directory);
	json_decref(file);
}

bool pool_note(struct storage *storage, const char *id, const char *domain, const char *status, GError **error)
{
	autopool pool = NULL;
	AUTO_LOCK(&changing);

	if (!(pool = pool_get(storage, id, NULL)) || !g_strcmp0(json_string_value(json_object_get(pool->domains, domain)), status))
		return true;
	if (status)
		json_object_set_new(pool->domains, domain, json_string(status));
	else
		json_object_del(pool->domains, domain);
	return put(storage, pool, error);
}

bool pool_update(struct storage *storage, const char *id, const char *name, const char *master, int version, GError **error)
{
	autopool pool = NULL;
	AUTO_LOCK(&changing);

	if (!(pool = pool_get(storage, id, NULL)))
		return true;
	if (name)
		set_string(&pool->name, name);
	if (master) {
		set_string(&pool->master, master);
		pool->master_version = version;
	}
	return put(storage, pool, error);
}

/* ---- the metadata of its domains ---- */

bool pool_write(struct storage *storage, const char *id, GError **error, ...)
{
	autodomain seen = domain_open(storage, id, error);
	autodomain domain = NULL;
	const char *key;
	va_list list;

	if (!seen)
		return false;
	AUTO_LOCK(seen->changing);
	if (!(domain = domain_open(storage, id, error)))
		return false;
	va_start(list, error);
	while ((key = va_arg(list, const char *)))
		metadata_set(domain->values, key, va_arg(list, const char *));
	va_end(list);
	return domain_save(domain, error);
}

bool pool_make_master(struct storage *storage, const char *domain, const char *pool, int version, GError **error)
{
	g_autofree char *text = g_strdup_printf("%d", version);

	return pool_write(storage, domain, error, "POOL_UUID", pool, "ROLE", "Master", "MASTER_VERSION", text, NULL);
}

bool pool_make_regular(struct storage *storage, const char *domain, GError **error)
{
	return pool_write(storage, domain, error, "ROLE", "Regular", "MASTER_VERSION", "0", NULL);
}

static bool is_master(const struct domain *domain)
{
	return !strcmp(metadata_get(domain->values, "ROLE"), "Master");
}

bool pool_check_master_class(const struct domain *domain, GError **error)
{
	const char *class_name = metadata_get(domain->values, "CLASS");

	if (!strcmp(class_name, "Data"))
		return true;
	error_set(error, !strcmp(class_name, "Iso") ? ERR_ISO_CANNOT_BE_MASTER_DOMAIN : ERR_BACKUP_CANNOT_BE_MASTER_DOMAIN, "'%s'", domain->id);
	return false;
}

bool pool_check_name(const char *name, GError **error)
{
	if (strlen(name) > POOL_NAME_MAX)
		error_set(error, ERR_STORAGE_POOL_DESCRIPTION_TOO_LONG_ERROR, "'%s' has %zu bytes, %d are allowed", name, strlen(name), POOL_NAME_MAX);
	else if (!metadata_is_value(name))
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "name: contains control characters");
	else
		return true;
	return false;
}

struct domain *pool_open_master(struct storage *storage, const struct pool *pool, GError **error)
{
	g_autoptr(GError) cause = NULL;
	struct domain *domain = domain_open(storage, pool->master, &cause);
	int64_t version = domain ? metadata_get_int(domain->values, "MASTER_VERSION", 0) : 0;

	if (!domain)
		error_set(error, ERR_STORAGE_POOL_MASTER_NOT_FOUND, "pool '%s', domain '%s': %s", pool->id, pool->master, cause->message);
	else if (!is_master(domain) || strcmp(domain_pool(domain), pool->id))
		error_set(error, ERR_STORAGE_POOL_WRONG_MASTER, "domain '%s' is not the master of pool '%s': it is %s, of pool '%s'", pool->master, pool->id,
			  is_master(domain) ? "master" : "regular", domain_pool(domain));
	else if (version != pool->master_version)
		error_set(error, ERR_STORAGE_POOL_WRONG_MASTER, "domain '%s' has master version %" PRId64 ", not %d", pool->master, version, pool->master_version);
	else
		return domain;
	return domain_free(domain);
}

/* ---- in and out ---- */

/* The engine's words for it begin small: "active". */
static json_t *statuses(const json_t *given, GError **error)
{
	json_t *domains = json_object(), *value;
	const char *id;

	json_object_foreach((json_t *)given, id, value) {
		const char *text = json_string_value(value);
		g_autofree char *status = text ? g_ascii_strdown(text, -1) : NULL;

		if (!files_is_uuid(id) || !status || !*status) {
			error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "domainDict: '%s' is no domain with a status", id);
			json_decref(domains);
			return NULL;
		}
		status[0] = g_ascii_toupper(status[0]);
		json_object_set_new(domains, id, json_string(status));
	}
	return domains;
}

static bool is_active(const json_t *domains, const char *id)
{
	return !g_strcmp0(json_string_value(json_object_get(domains, id)), "Active");
}

/* What is active here follows the pool's list: added domains are looked for by their monitors, those that left it are no longer used here. */
static void follow(struct storage *storage, const struct pool *pool)
{
	g_autoptr(GPtrArray) added = g_ptr_array_new_with_free_func(g_free), gone = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer id, value;
	const char *domain;
	json_t *status;

	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_iter_init(&iter, storage->watched);
		while (g_hash_table_iter_next(&iter, &id, &value)) {
			const struct watched *watched = value;

			if (!g_strcmp0(watched->pool, pool->id) && !is_active(pool->domains, id))
				g_ptr_array_add(gone, g_strdup(id));
		}
		json_object_foreach(pool->domains, domain, status) {
			const struct watched *watched = g_hash_table_lookup(storage->watched, domain);

			if (!is_active(pool->domains, domain) || (watched && !g_strcmp0(watched->pool, pool->id)))
				continue;
			g_hash_table_replace(storage->watched, g_strdup(domain), watched_new(pool->id, NULL));
			g_ptr_array_add(added, g_strdup(domain));
		}
		for (guint i = 0; i < gone->len; i++)
			g_hash_table_remove(storage->watched, gone->pdata[i]);
	}
	for (guint i = 0; i < gone->len; i++) {
		(void)pool_unlink(storage, gone->pdata[i], pool->id);
		health_leave(storage, gone->pdata[i]);
	}
	for (guint i = 0; i < added->len; i++)
		health_submit(storage, added->pdata[i]);
	health_arm(storage);
}

bool pool_connect_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	struct storage *storage = agent->storage;
	autopool known = pool_get(storage, NULL, NULL);
	autodomain master = NULL;
	autopool pool = NULL;

	if (known && strcmp(known->id, p->pool_id)) {
		error_set(error, ERR_CANNOT_CONNECT_MULTIPLE_POOLS, "'%s': this host is in pool '%s'", p->pool_id, known->id);
		return false;
	}
	if (known && known->host_id != p->host_id) {
		error_set(error, ERR_STORAGE_POOL_CONNECTED, "'%s' with host id %d, not %d", p->pool_id, known->host_id, p->host_id);
		return false;
	}
	pool = known ? copy(known) : g_new0(struct pool, 1);
	if (!known) {
		pool->id = g_strdup(p->pool_id);
		pool->domains = json_object();
		pool->host_id = p->host_id;
	}
	set_string(&pool->master, p->master_id);
	pool->master_version = p->master_version;
	if (p->domains) {
		json_decref(pool->domains);
		if (!(pool->domains = statuses(p->domains, error)))
			return false;
		if (!is_active(pool->domains, pool->master)) {
			error_set(error, ERR_STORAGE_POOL_WRONG_MASTER, "domain '%s', the master, is not among the active ones", pool->master);
			return false;
		}
	}
	if (!(master = pool_open_master(storage, pool, error)))
		return false;
	json_object_set_new(pool->domains, pool->master, json_string("Active"));
	set_string(&pool->name, metadata_get(master->values, "POOL_DESCRIPTION"));
	{
		AUTO_LOCK(&changing);
		if (!put(storage, pool, error))
			return false;
	}
	follow(storage, pool);
	log_info("this host is number %d of pool %s, master %s version %d", pool->host_id, pool->id, pool->master, pool->master_version);
	return true;
}

static bool leave(struct storage *storage, const struct pool *pool, GError **error)
{
	g_autofree char *directory = directory_of(storage, pool->id);
	struct pool empty = *pool;
	json_t *none = json_object();

	if (pool_is_spm(storage, pool->id)) {
		error_set(error, ERR_IS_SPM, "pool '%s' (StoragePool.spmStop)", pool->id);
		json_decref(none);
		return false;
	}
	empty.domains = none;
	follow(storage, &empty);
	json_decref(none);
	AUTO_LOCK(&changing);
	json_file_remove(directory, POOL_FILE);
	{
		autofd repository = files_open_dir(AT_FDCWD, storage->repository);

		(void)unlinkat(repository, pool->id, AT_REMOVEDIR);
	}
	{
		AUTO_LOCK(&storage->lock);
		storage->pool = pool_free(storage->pool);
	}
	return true;
}

bool pool_disconnect_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, NULL);

	return !pool || leave(agent->storage, pool, error);
}

bool pool_refresh_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, error);
	autodomain master = NULL;

	if (!pool)
		return false;
	set_string(&pool->master, p->master_id);
	pool->master_version = p->master_version;
	return (master = pool_open_master(agent->storage, pool, error)) &&
	       pool_update(agent->storage, pool->id, NULL, pool->master, pool->master_version, error);
}

/* ---- making and ending a pool ---- */

static bool check_new_member(const struct domain *domain, const char *pool, int64_t *version, GError **error)
{
	int64_t own = metadata_get_int(domain->values, "VERSION", 0);

	if (domain_pool(domain)[0] && strcmp(domain_pool(domain), pool))
		error_set(error, ERR_STORAGE_DOMAIN_ALREADY_ATTACHED, "domain '%s' is attached to pool '%s'", domain->id, domain_pool(domain));
	else if (!strcmp(metadata_get(domain->values, "CLASS"), "Data") && *version && own != *version)
		error_set(error, ERR_MIXED_SD_VERSION_ERROR, "domain '%s' has version %" PRId64 ", another of the pool %" PRId64, domain->id, own, *version);
	else {
		*version = own;
		return true;
	}
	return false;
}

bool pool_create_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	g_autofree char *timeout = g_strdup_printf("%d", p->io_timeout_s), *renewal = g_strdup_printf("%d", p->renewal_s);
	g_autofree char *lease = g_strdup_printf("%d", p->lease_s), *retries = g_strdup_printf("%d", p->retries);
	bool has_master = false;
	int64_t version = 0;

	if (!pool_check_name(p->name, error))
		return false;
	for (guint i = 0; i < p->domain_ids->len; i++) {
		autodomain domain = domain_open(agent->storage, p->domain_ids->pdata[i], error);

		if (!domain || !check_new_member(domain, p->pool_id, &version, error))
			return false;
		if (!g_ascii_strcasecmp(domain->id, p->master_id)) {
			has_master = true;
			if (!pool_check_master_class(domain, error))
				return false;
		}
	}
	if (!has_master) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "masterSdUUID: '%s' is not in domainList", p->master_id);
		return false;
	}
	for (guint i = 0; i < p->domain_ids->len; i++) {
		const char *id = p->domain_ids->pdata[i];
		autodomain domain = NULL;

		/* the areas of locks are made with the times in it, and before anybody may use them */
		if (!pool_write(agent->storage, id, error, "IOOPTIMEOUTSEC", timeout, "LOCKRENEWALINTERVALSEC", renewal, "LEASETIMESEC", lease, "LEASERETRIES",
				retries, NULL) ||
		    !(domain = domain_open(agent->storage, id, error)) || (!domain_pool(domain)[0] && !lock_format_new(domain, error)))
			return false;
	}
	for (guint i = 0; i < p->domain_ids->len; i++)
		if (g_ascii_strcasecmp(p->domain_ids->pdata[i], p->master_id) &&
		    !pool_write(agent->storage, p->domain_ids->pdata[i], error, "POOL_UUID", p->pool_id, "ROLE", "Regular", NULL))
			return false;
	return pool_write(agent->storage, p->master_id, error, "POOL_DESCRIPTION", p->name, NULL) &&
	       pool_make_master(agent->storage, p->master_id, p->pool_id, p->master_version, error);
}

bool pool_destroy_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	struct storage *storage = agent->storage;
	autopool pool = pool_get(storage, p->pool_id, error);
	json_t *status;
	const char *id;

	if (!pool || !pool_check_spm(storage, pool, error))
		return false;
	json_object_foreach(pool->domains, id, status)
		if (strcmp(id, pool->master) && is_active(pool->domains, id)) {
			error_set(error, ERR_STORAGE_POOL_DESTROYING_ERROR, "pool '%s': domain '%s' is active", pool->id, id);
			return false;
		}
	json_object_foreach(pool->domains, id, status)
		if (strcmp(id, pool->master) && !pool_write(storage, id, error, "POOL_UUID", "", "ROLE", "Regular", NULL))
			return false;
	if (!pool_write(storage, pool->master, error, "POOL_UUID", "", "ROLE", "Regular", "MASTER_VERSION", "0", "POOL_DESCRIPTION", "", NULL))
		return false;
	return spm_resign(storage, error) && leave(storage, pool, error);
}

/* ---- what it is ---- */

/* From the monitors: no storage is touched, and a domain that hangs is shown, too. */
static json_t *describe_domain(struct storage *storage, const char *id, const char *status)
{
	json_t *json = json_pack("{s:s, s:[], s:s, s:i}", "status", status, "alerts", "isoprefix", "", "version", -1);
	const struct watched *watched;
	AUTO_LOCK(&storage->lock);

	watched = g_hash_table_lookup(storage->watched, id);
	if (!watched || !watched->checked_usec || watched->code)
		return json;
	json_object_set_new(json, "version", json_integer(watched->version));
	json_object_set_new(json, "alerts", domain_alerts(watched->warnings));
	json_object_set_new(json, "disktotal", json_sprintf("%" PRId64, watched->total));
	json_object_set_new(json, "diskfree", json_sprintf("%" PRId64, watched->available));
	return json;
}

bool pool_info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, error);
	autodomain master = pool ? pool_open_master(agent->storage, pool, error) : NULL;
	g_autoptr(GString) list = g_string_new(NULL);
	struct spm_status spm = { .lver = -1, .id = -1 };
	json_t *info, *domains, *status;
	const char *id;

	if (!master)
		return false;
	spm_look(agent->storage, pool, &spm);
	domains = json_object();
	json_object_foreach(pool->domains, id, status) {
		g_string_append_printf(list, "%s%s:%s", list->len ? "," : "", id, json_string_value(status));
		json_object_set_new(domains, id, describe_domain(agent->storage, id, json_string_value(status)));
	}
	info = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:I, s:s, s:s}", "name", pool->name, "type", metadata_get(master->values, "TYPE"), "version",
			 metadata_get(master->values, "VERSION"), "master_uuid", pool->master, "master_ver", pool->master_version, "domains", list->str,
			 "spm_id", spm.id, "lver", (json_int_t)spm.lver, "pool_status", "connected", "isoprefix", "");
	result_json(ret_result, json_pack("{s:o, s:o}", "info", info, "dominfo", domains));
	return true;
}

bool pools_connected_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	autopool pool = pool_get(agent->storage, NULL, NULL);

	result_json(ret_result, pool ? json_pack("[s]", pool->id) : json_array());
	return true;
}

bool pool_describe_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, error);

	return pool && pool_check_name(p->name, error) && pool_write(agent->storage, pool->master, error, "POOL_DESCRIPTION", p->name, NULL) &&
	       pool_update(agent->storage, pool->id, p->name, NULL, 0, error);
}
