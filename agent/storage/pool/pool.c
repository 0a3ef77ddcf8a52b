/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains and pools.
 *
 *            attach               activate
 *   unattached ----> inactive (POOL_UUID) ----> active (link on this host)
 *            <----                <----
 *            detach               deactivate
 *
 * Which pool a domain belongs to is written in the domain (POOL_UUID). That it is active on this host is the link
 * <repository>/<pool id>/<domain id> -> domain; the links are what remains after a restart, storage->watched is their copy in memory. Asking for
 * the state that is already there is fine (attach to the same pool, activate, deactivate).
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include "agent/storage/lease/lock.h"
#include "agent/storage/storage-priv.h"
#include "common/log.h"

char *pool_of_active(struct storage *storage, const char *domain)
{
	struct watched *watched;
	AUTO_LOCK(&storage->lock);

	watched = g_hash_table_lookup(storage->watched, domain);
	return watched ? g_strdup(watched->pool) : NULL;
}

bool pool_check_member(const struct domain *domain, const char *pool, GError **error)
{
	const char *own = domain_pool(domain);

	if (!strcmp(own, pool))
		return true;
	if (!own[0])
		error_set(error, ERR_STORAGE_DOMAIN_NOT_IN_POOL, "domain '%s' is not attached to pool '%s'", domain->id, pool);
	else
		error_set(error, ERR_STORAGE_DOMAIN_NOT_MEMBER_OF_POOL, "domain '%s' is attached to pool '%s', not to '%s'", domain->id, own, pool);
	return false;
}

/* Its locks are made with the times of those of the pool, where this host knows them: one that waits for the other's domains waits as long for this one. */
static struct domain *keep_pace(struct storage *storage, const struct domain *domain, const char *pool_id, GError **error)
{
	autopool pool = pool_get(storage, pool_id, NULL);
	autodomain master = pool ? domain_open(storage, pool->master, NULL) : NULL;
	const char *timeout = master ? metadata_get(master->values, "IOOPTIMEOUTSEC") : "";

	if (timeout[0] && !pool_write(storage, domain->id, error, "IOOPTIMEOUTSEC", timeout, NULL))
		return NULL;
	return domain_open(storage, domain->id, error);
}

bool pool_attach(struct storage *storage, struct domain *domain, const char *pool, GError **error)
{
	autodomain paced = NULL;
	const char *own = domain_pool(domain);

	if (!strcmp(pool, BLANK_UUID)) {
		error_set(error, ERR_STORAGE_POOL_UNKNOWN, "'%s'", pool);
		return false;
	}
	if (!strcmp(own, pool))
		return true;
	if (own[0]) {
		error_set(error, ERR_STORAGE_DOMAIN_ALREADY_ATTACHED, "domain '%s' is attached to pool '%s'", domain->id, own);
		return false;
	}
	return (paced = keep_pace(storage, domain, pool, error)) && lock_format_new(paced, error) && pool_write(storage, domain->id, error, "POOL_UUID", pool, NULL) &&
	       pool_note(storage, pool, domain->id, "Attached", error);
}

bool pool_link(struct storage *storage, const struct domain *domain, const char *pool)
{
	autofd repository = files_open_dir(AT_FDCWD, storage->repository);
	autofd fd = -1;

	if (repository < 0 || (!files_make_dir(repository, pool) && errno != EEXIST) || (fd = files_open_dir(repository, pool)) < 0)
		return false;
	(void)unlinkat(fd, domain->id, 0);       /* of an earlier life, when the domain was elsewhere */
	return symlinkat(domain->path, fd, domain->id) == 0 && fsync(fd) == 0 && fsync(repository) == 0;
}

static void watch(struct storage *storage, const struct domain *domain, const char *pool)
{
	struct watched *watched;
	AUTO_LOCK(&storage->lock);

	watched = g_hash_table_lookup(storage->watched, domain->id);
	if (!watched) {
		watched = watched_new(NULL, NULL);
		g_hash_table_replace(storage->watched, g_strdup(domain->id), watched);
	}
	set_string(&watched->pool, pool);
	set_string(&watched->mount, domain->mount);
}

bool pool_activate(struct storage *storage, struct domain *domain, const char *pool, GError **error)
{
	g_autofree char *active = pool_of_active(storage, domain->id);

	if (!pool_check_member(domain, pool, error) || !domain->form->check(domain, error))
		return false;
	if (active && !strcmp(active, pool))
		return true;
	volume_sweep(domain);
	if (!pool_link(storage, domain, pool)) {
		files_error(error, ERR_STORAGE_DOMAIN_ACTIVATE_ERROR, errno, "link for '%s' in '%s'", domain->id, storage->repository);
		return false;
	}
	watch(storage, domain, pool);
	health_check(storage, domain->id);
	health_arm(storage);
	return pool_note(storage, pool, domain->id, "Active", error);
}

bool pool_unlink(struct storage *storage, const char *domain, const char *pool)
{
	autofd repository = files_open_dir(AT_FDCWD, storage->repository);
	autofd fd = repository < 0 ? -1 : files_open_dir(repository, pool);

	if (fd < 0)
		return errno == ENOENT;
	if ((unlinkat(fd, domain, 0) < 0 && errno != ENOENT) || fsync(fd) < 0)
		return false;
	(void)unlinkat(repository, pool, AT_REMOVEDIR);      /* when it was the last */
	return true;
}

static bool make_inactive(struct storage *storage, const char *domain, const char *pool, GError **error)
{
	if (!pool_unlink(storage, domain, pool)) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_DEACTIVATE_ERROR, errno, "link of '%s' in '%s'", domain, storage->repository);
		return false;
	}
	{
		AUTO_LOCK(&storage->lock);
		struct watched *watched = g_hash_table_lookup(storage->watched, domain);

		if (watched && watched->monitored)
			g_clear_pointer(&watched->pool, g_free);
		else
			g_hash_table_remove(storage->watched, domain);
	}
	health_leave(storage, domain);
	return pool_note(storage, pool, domain, "Attached", error);
}

/* The domain itself is not needed: one whose storage is gone can be deactivated. */
bool pool_deactivate(struct storage *storage, const char *id, const char *pool, GError **error)
{
	g_autofree char *active = pool_of_active(storage, id);
	autodomain domain = NULL;

	if (!active) {
		domain = domain_open(storage, id, error);
		return domain && pool_check_member(domain, pool, error);
	}
	if (strcmp(active, pool)) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_IN_POOL, "domain '%s' is active in pool '%s', not in '%s'", id, active, pool);
		return false;
	}
	return make_inactive(storage, id, pool, error);
}

/* As the pool knows it; one that was away while another became the master still says of itself that it is. */
static bool is_master(struct storage *storage, const struct domain *domain, const char *pool)
{
	autopool known = pool_get(storage, pool, NULL);

	return known ? !strcmp(known->master, domain->id) : !strcmp(metadata_get(domain->values, "ROLE"), "Master");
}

bool pool_detach(struct storage *storage, struct domain *domain, const char *pool, bool force, GError **error)
{
	g_autofree char *active = pool_of_active(storage, domain->id);

	if (!force && !pool_check_member(domain, pool, error))
		return false;
	if (active && !force) {
		error_set(error, ERR_STORAGE_DOMAIN_ACTIVE, "'%s'", domain->id);
		return false;
	}
	if (active && !make_inactive(storage, domain->id, active, error))
		return false;
	if (!force && is_master(storage, domain, pool)) {
		error_set(error, ERR_CANNOT_DETACH_MASTER_STORAGE_DOMAIN, "domain '%s' is the master of pool '%s' (StoragePool.switchMaster, destroy)",
			  domain->id, pool);
		return false;
	}
	if (domain_pool(domain)[0] &&
	    !pool_write(storage, domain->id, error, "POOL_UUID", "", "ROLE", "Regular", "MASTER_VERSION", "0", NULL))
		return false;
	return pool_note(storage, pool, domain->id, NULL, error);
}

static void load_active(struct storage *storage, int repository, const char *pool, const char *domain)
{
	g_autofree char *path = g_build_filename(pool, domain, NULL);
	g_autofree char *mount = NULL;
	char target[PATH_MAX];
	ssize_t n;

	if (!files_is_uuid(domain) || (n = readlinkat(repository, path, target, sizeof(target) - 1)) <= 0)
		return;
	target[n] = 0;
	mount = g_path_get_dirname(target);
	AUTO_LOCK(&storage->lock);
	g_hash_table_replace(storage->watched, g_strdup(domain), watched_new(pool, mount));
	g_hash_table_replace(storage->places, g_strdup(domain), g_steal_pointer(&mount));
}

bool pool_load(struct storage *storage, GError **error)
{
	autofd repository = files_open_dir(AT_FDCWD, storage->repository);
	g_autoptr(GPtrArray) pools = repository < 0 ? NULL : files_list(repository, ".");

	if (!pools) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "'%s'", storage->repository);
		return false;
	}
	for (guint i = 0; i < pools->len; i++) {
		g_autoptr(GPtrArray) domains = NULL;

		if (!files_is_uuid(pools->pdata[i]) || !(domains = files_list(repository, pools->pdata[i])))
			continue;
		for (guint j = 0; j < domains->len; j++)
			load_active(storage, repository, pools->pdata[i], domains->pdata[j]);
		pool_recall(storage, pools->pdata[i]);
	}
	return true;
}
