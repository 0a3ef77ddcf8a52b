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
#include "agent/storage/storage-priv.h"
#include "common/log.h"

char *pool_of_active(struct storage *storage, const char *domain)
{
	struct watched *watched;
	AUTO_LOCK(&storage->lock);

	watched = g_hash_table_lookup(storage->watched, domain);
	return watched ? g_strdup(watched->pool) : NULL;
}

/* Is the domain in this pool? ERR_STORAGE_DOMAIN_NOT_IN_POOL when in none, ERR_STORAGE_DOMAIN_NOT_MEMBER_OF_POOL when in another. */
static bool check_member(const struct domain *domain, const char *pool, GError **error)
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

bool pool_attach(struct storage *storage, struct domain *domain, const char *pool, GError **error)
{
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
	metadata_set(domain->values, "POOL_UUID", pool);
	return domain_save(domain, error);
}

static bool link_active(struct storage *storage, const struct domain *domain, const char *pool)
{
	autofd repository = files_open_dir(AT_FDCWD, storage->repository);
	autofd fd = -1;

	if (repository < 0 || (!files_make_dir(repository, pool) && errno != EEXIST) || (fd = files_open_dir(repository, pool)) < 0)
		return false;
	(void)unlinkat(fd, domain->id, 0);       /* of an earlier life, when the domain was elsewhere */
	return symlinkat(domain->path, fd, domain->id) == 0 && fsync(fd) == 0 && fsync(repository) == 0;
}

bool pool_activate(struct storage *storage, struct domain *domain, const char *pool, GError **error)
{
	g_autofree char *active = pool_of_active(storage, domain->id);

	if (!check_member(domain, pool, error) || !domain_check_layout(domain, error))
		return false;
	if (active && !strcmp(active, pool))
		return true;
	volume_sweep(domain);
	if (!link_active(storage, domain, pool)) {
		files_error(error, ERR_STORAGE_DOMAIN_ACTIVATE_ERROR, errno, "link for '%s' in '%s'", domain->id, storage->repository);
		return false;
	}
	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_replace(storage->watched, g_strdup(domain->id), watched_new(pool, domain->mount));
	}
	health_check(storage, domain->id);
	health_arm(storage);
	return true;
}

static bool unlink_active(struct storage *storage, const char *domain, const char *pool)
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
	if (!unlink_active(storage, domain, pool)) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_DEACTIVATE_ERROR, errno, "link of '%s' in '%s'", domain, storage->repository);
		return false;
	}
	AUTO_LOCK(&storage->lock);
	g_hash_table_remove(storage->watched, domain);
	return true;
}

/* The domain itself is not needed: one whose storage is gone can be deactivated. */
bool pool_deactivate(struct storage *storage, const char *id, const char *pool, GError **error)
{
	g_autofree char *active = pool_of_active(storage, id);
	autodomain domain = NULL;

	if (!active) {
		domain = domain_open(storage, id, error);
		return domain && check_member(domain, pool, error);
	}
	if (strcmp(active, pool)) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_IN_POOL, "domain '%s' is active in pool '%s', not in '%s'", id, active, pool);
		return false;
	}
	return make_inactive(storage, id, pool, error);
}

bool pool_detach(struct storage *storage, struct domain *domain, const char *pool, bool force, GError **error)
{
	g_autofree char *active = pool_of_active(storage, domain->id);

	if (!force && !check_member(domain, pool, error))
		return false;
	if (active && !force) {
		error_set(error, ERR_STORAGE_DOMAIN_ACTIVE, "'%s'", domain->id);
		return false;
	}
	if (active && !make_inactive(storage, domain->id, active, error))
		return false;
	if (!domain_pool(domain)[0])
		return true;
	metadata_set(domain->values, "POOL_UUID", "");
	return domain_save(domain, error);
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
		for (guint j = 0; j < domains->len; j++) {
			load_active(storage, repository, pools->pdata[i], domains->pdata[j]);
		}
	}
	return true;
}
