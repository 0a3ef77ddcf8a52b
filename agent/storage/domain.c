/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One storage domain on a file system, in storage format 5:
 *
 *   <connection>/<domain id>/dom_md/{metadata,ids,inbox,leases,outbox,xleases}
 *                            images/<image id>/<volume id>{,.meta,.lease}
 *                            master/{tasks,vms}
 *
 * Made whole or not at all: it is built in <connection>/.berth-new-<id>, put on disk, and gets its name by one rename. Removal first renames it
 * to .berth-del-<id>. What a killed agent leaves behind has one of these names and is removed by the next connect or create in that directory.
 * Who makes, removes or sweeps holds flock() on the connection's directory, so that the half-made domain of one is not the leftover of another;
 * the lock ends with the process.
 *
 * A connection holds one domain. Domains are found by looking for <id>/dom_md/metadata behind the connections; where one was seen last is
 * remembered, so that looking up a domain touches no other connection.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "agent/storage/storage-priv.h"
#include "common/log.h"

#define METADATA "metadata"
#define METADATA_PATH DIR_METADATA "/" METADATA
#define FILE_MODE 0644
#define LEASE_MODE 0660
#define DOMAIN_VERSION 5
#define MAILBOX_HOST_BYTES 4096

static const char *const required_keys[] = { "CLASS", "DESCRIPTION", "POOL_UUID", "ROLE", "SDUUID", "TYPE", "VERSION", NULL };
static const char *const class_names[] = { [STORAGE_CLASS_DATA] = "Data", [STORAGE_CLASS_ISO] = "Iso", [STORAGE_CLASS_BACKUP] = "Backup" };

char *domain_lane(const char *id)
{
	return g_strdup_printf("domain/%s", id);
}

struct domain *domain_free(struct domain *domain)
{
	if (!domain)
		return NULL;
	if (domain->fd >= 0)
		close(domain->fd);
	if (domain->values)
		g_hash_table_unref(domain->values);
	g_free(domain->id);
	g_free(domain->mount);
	g_free(domain->path);
	g_free(domain);
	return NULL;
}

const char *domain_pool(const struct domain *domain)
{
	return metadata_get(domain->values, "POOL_UUID");
}

static bool is_domain(const char *mount, const char *id)
{
	g_autofree char *path = g_build_filename(mount, id, METADATA_PATH, NULL);

	return files_exists(AT_FDCWD, path);
}

/* The connection's directory that holds the domain. g_free */
static char *find(struct storage *storage, const char *id, GError **error)
{
	g_autoptr(GPtrArray) mounts = NULL;
	g_autofree char *known = NULL;

	{
		AUTO_LOCK(&storage->lock);
		known = g_strdup(g_hash_table_lookup(storage->places, id));
	}
	if (known && is_domain(known, id))
		return g_steal_pointer(&known);
	if (!(mounts = connection_list(storage, error)))
		return NULL;
	for (guint i = 0; i < mounts->len; i++) {
		if (!is_domain(mounts->pdata[i], id))
			continue;
		AUTO_LOCK(&storage->lock);
		g_hash_table_replace(storage->places, g_strdup(id), g_strdup(mounts->pdata[i]));
		return g_strdup(mounts->pdata[i]);
	}
	error_set(error, ERR_STORAGE_DOMAIN_DOES_NOT_EXIST, "'%s'", id);
	return NULL;
}

static pthread_mutex_t *changing_of(struct storage *storage, const char *id)
{
	pthread_mutex_t *mutex;

	AUTO_LOCK(&storage->lock);
	mutex = g_hash_table_lookup(storage->changing, id);
	if (mutex)
		return mutex;
	mutex = g_new(pthread_mutex_t, 1);
	pthread_mutex_init(mutex, NULL);
	g_hash_table_insert(storage->changing, g_strdup(id), mutex);
	return mutex;
}

static bool load(struct domain *domain, struct storage *storage, const char *id, GError **error)
{
	g_autofree char *text = NULL;

	if (!(domain->mount = find(storage, id, error)))
		return false;
	domain->path = g_build_filename(domain->mount, id, NULL);
	if ((domain->fd = files_open_dir(AT_FDCWD, domain->path)) < 0 || !(text = files_read(domain->fd, METADATA_PATH, METADATA_MAX))) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errno, "'%s' in '%s'", id, domain->mount);
		return false;
	}
	if (!(domain->values = metadata_parse_domain(text, required_keys, error))) {
		error_wrap(error, "storage domain '%s'", id);
		return false;
	}
	if (strcmp(metadata_get(domain->values, "SDUUID"), id)) {
		error_set(error, ERR_INVALID_METADATA, "'%s' says it is domain '%s'", domain->path, metadata_get(domain->values, "SDUUID"));
		return false;
	}
	domain->changing = changing_of(storage, id);
	return true;
}

struct domain *domain_open(struct storage *storage, const char *id, GError **error)
{
	struct domain *domain = g_new0(struct domain, 1);

	domain->fd = -1;
	domain->id = g_strdup(id);
	return load(domain, storage, id, error) ? domain : domain_free(domain);
}

struct domain *domain_open_active(struct storage *storage, const char *id, GError **error)
{
	struct domain *domain = domain_open(storage, id, error);
	g_autofree char *pool = domain ? pool_of_active(storage, id) : NULL;

	if (!domain || pool)
		return domain;
	error_set(error, ERR_STORAGE_DOMAIN_NOT_ACTIVE, "'%s'", id);
	return domain_free(domain);
}

bool domain_save(struct domain *domain, GError **error)
{
	g_autofree char *text = metadata_domain_text(domain->values);
	autofd fd = files_open_dir(domain->fd, DIR_METADATA);

	if (fd < 0 || !files_write(fd, METADATA, text, FILE_MODE)) {
		files_error(error, ERR_META_DATA_GENERAL_ERROR, errno, "storage domain '%s'", domain->id);
		return false;
	}
	return true;
}

/* Past the page cache: a cached block says nothing about the storage. Falls back where O_DIRECT does not exist. */
bool domain_probe(const char *path, int *ret_version, GError **error)
{
	g_autofree char *file = g_build_filename(path, METADATA_PATH, NULL);
	autofd fd = open(file, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
	g_autoptr(metadata) values = NULL;
	void *block = NULL;
	ssize_t n = -1;
	int errnum;

	if (fd < 0 && errno == EINVAL)
		fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && posix_memalign(&block, 4096, METADATA_MAX + 4096) == 0)
		n = read(fd, block, METADATA_MAX);
	errnum = errno;
	if (n >= 0) {
		((char *)block)[n] = 0;
		values = metadata_parse_domain(block, required_keys, error);
	} else
		error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errnum, "'%s'", file);
	free(block);
	if (!values)
		return false;
	*ret_version = (int)metadata_get_int(values, "VERSION", 0);
	return true;
}

bool domain_check_layout(const struct domain *domain, GError **error)
{
	static const char *const directories[] = { DIR_METADATA, DIR_IMAGES };

	for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
		autofd fd = files_open_dir(domain->fd, directories[i]);

		if (fd < 0) {
			error_set_errno(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, errno, "'%s/%s'", domain->path, directories[i]);
			return false;
		}
		if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0) {
			error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errno, "'%s/%s'", domain->path, directories[i]);
			return false;
		}
	}
	return true;
}

/* ---- making and removing ---- */

static void sweep_locked(int mount_fd)
{
	g_autoptr(GPtrArray) names = files_list(mount_fd, ".");

	for (guint i = 0; names && i < names->len; i++) {
		const char *name = names->pdata[i];

		if (!g_str_has_prefix(name, NEW_PREFIX) && !g_str_has_prefix(name, REMOVED_PREFIX))
			continue;
		if (files_remove_tree(mount_fd, name))
			log_info("removed the leftover '%s' of an interrupted operation", name);
		else
			log_warn("cannot remove the leftover '%s': %s, ignoring", name, g_strerror(errno));
	}
}

/* Two requests in one directory: the second is told to come again. */
static bool lock_mount(int mount_fd, const char *path, GError **error)
{
	if (flock(mount_fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	error_set_errno(error, ERR_MISC_OPERATION_IN_PROGRESS, errno, "another domain is made or removed in '%s'", path);
	return false;
}

void domain_sweep(int mount_fd)
{
	if (flock(mount_fd, LOCK_EX | LOCK_NB) < 0)
		return;
	sweep_locked(mount_fd);
	flock(mount_fd, LOCK_UN);
}

/* Id of a domain in the directory; NULL: none. g_free */
static char *domain_in(int mount_fd)
{
	g_autoptr(GPtrArray) names = files_list(mount_fd, ".");

	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *path = g_build_filename(names->pdata[i], METADATA_PATH, NULL);

		if (files_is_uuid(names->pdata[i]) && files_exists(mount_fd, path))
			return g_strdup(names->pdata[i]);
	}
	return NULL;
}

static int64_t lease_alignment(const struct domain_create_params *params, int block_size)
{
	if (block_size == 512 || params->max_hosts <= 250)
		return 1 << 20;
	return params->max_hosts <= 500 ? 2 << 20 : params->max_hosts <= 1000 ? 4 << 20 : 8 << 20;
}

static metadata *new_values(const struct domain_create_params *params, const char *path, int block_size)
{
	metadata *values = metadata_new();

	metadata_set_int(values, "ALIGNMENT", lease_alignment(params, block_size));
	metadata_set_int(values, "BLOCK_SIZE", block_size);
	metadata_set(values, "CLASS", class_names[params->domain_class]);
	metadata_set(values, "DESCRIPTION", params->name);
	metadata_set(values, "IOOPTIMEOUTSEC", "10");
	metadata_set(values, "LEASERETRIES", "3");
	metadata_set(values, "LEASETIMESEC", "60");
	metadata_set(values, "LOCKPOLICY", "");
	metadata_set(values, "LOCKRENEWALINTERVALSEC", "5");
	metadata_set(values, "MASTER_VERSION", "0");
	metadata_set(values, "POOL_UUID", "");
	metadata_set(values, "REMOTE_PATH", path);
	metadata_set(values, "ROLE", "Regular");
	metadata_set(values, "SDUUID", params->domain_id);
	metadata_set(values, "TYPE", "LOCALFS");
	metadata_set_int(values, "VERSION", DOMAIN_VERSION);
	return values;
}

/* Everything inside the new directory, on disk. false + errno */
static bool build(int fd, const struct domain_create_params *params, metadata *values)
{
	g_autofree char *text = metadata_domain_text(values);
	int64_t alignment = metadata_get_int(values, "ALIGNMENT", 1 << 20), mailbox = (int64_t)params->max_hosts * MAILBOX_HOST_BYTES;
	const struct { const char *name; int64_t size; } files[] = {
		{ "ids", alignment }, { "leases", 2 * alignment }, { "inbox", mailbox }, { "outbox", mailbox }, { "xleases", 1024 * alignment },
	};
	autofd md = -1;

	if (!files_make_dir(fd, DIR_IMAGES) || !files_make_dir(fd, DIR_METADATA) || !files_make_dir(fd, "master") || !files_make_dir(fd, "master/tasks") ||
	    !files_make_dir(fd, "master/vms"))
		return false;
	if ((md = files_open_dir(fd, DIR_METADATA)) < 0)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
		if (!files_make_sparse(md, files[i].name, files[i].size, LEASE_MODE))
			return false;
	return files_write(md, METADATA, text, FILE_MODE) && files_sync_dir(fd, "master") && files_sync_dir(fd, ".");
}

static bool build_named(int mount_fd, const struct domain_create_params *params, metadata *values)
{
	g_autofree char *temporary = g_strconcat(NEW_PREFIX, params->domain_id, NULL);
	autofd fd = -1;
	int errnum;

	if (files_make_dir(mount_fd, temporary) && (fd = files_open_dir(mount_fd, temporary)) >= 0 && build(fd, params, values) &&
	    files_rename_new(mount_fd, temporary, mount_fd, params->domain_id)) {
		if (fsync(mount_fd) == 0)
			return true;
		errnum = errno;
		(void)files_rename_new(mount_fd, params->domain_id, mount_fd, temporary);
		errno = errnum;
	}
	errnum = errno;
	(void)files_remove_tree(mount_fd, temporary);
	errno = errnum;
	return false;
}

static bool check_params(const struct domain_create_params *params, int *ret_block_size, GError **error)
{
	int block_size = params->block_size ? params->block_size : 512;

	if (params->domain_type != STORAGE_LOCALFS)
		error_set(error, ERR_STORAGE_DOMAIN_TYPE_ERROR, "type %d is not supported by this agent, only %d (local directory)", params->domain_type,
			  STORAGE_LOCALFS);
	else if (params->domain_class < STORAGE_CLASS_DATA || params->domain_class > STORAGE_CLASS_BACKUP)
		error_set(error, ERR_STORAGE_DOMAIN_CLASS_ERROR, "%d", params->domain_class);
	else if (params->version != DOMAIN_VERSION)
		error_set(error, ERR_UNSUPPORTED_DOMAIN_VERSION, "%d, this agent makes version %d", params->version, DOMAIN_VERSION);
	else if (block_size != 512 && block_size != 4096)
		error_set(error, ERR_STORAGE_DOMAIN_BLOCK_SIZE_MISMATCH, "%d is neither 512 nor 4096", block_size);
	else if (!metadata_is_value(params->name))
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "name: contains control characters");
	else {
		*ret_block_size = block_size;
		return true;
	}
	return false;
}

bool domain_create(struct storage *storage, const struct domain_create_params *params, GError **error)
{
	g_autofree char *path = NULL;
	g_autofree char *other = NULL;
	g_autofree char *known = NULL;
	g_autoptr(metadata) values = NULL;
	autofd mount = -1;
	int block_size;

	if (!check_params(params, &block_size, error) || !(path = connection_path(params->type_args, error)) || (mount = connection_open(path, error)) < 0)
		return false;
	if (!connection_exists(storage, path)) {
		error_set(error, ERR_STORAGE_DOMAIN_FS_NOT_MOUNTED, "'%s' is not connected (StoragePool.connectStorageServer)", path);
		return false;
	}
	if ((known = find(storage, params->domain_id, NULL))) {
		error_set(error, ERR_STORAGE_DOMAIN_ALREADY_EXISTS, "'%s' in '%s'", params->domain_id, known);
		return false;
	}
	if (!lock_mount(mount, path, error))
		return false;
	sweep_locked(mount);
	if ((other = domain_in(mount))) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_EMPTY, "'%s' already holds the domain '%s'", path, other);
		return false;
	}
	values = new_values(params, path, block_size);
	if (!build_named(mount, params, values)) {
		files_error(error, ERR_STORAGE_DOMAIN_CREATION_ERROR, errno, "'%s' in '%s'", params->domain_id, path);
		return false;
	}
	log_info("made storage domain %s in '%s'", params->domain_id, path);
	return true;
}

bool domain_remove(struct storage *storage, struct domain *domain, GError **error)
{
	g_autofree char *removed = g_strconcat(REMOVED_PREFIX, domain->id, NULL);
	autofd mount = connection_open(domain->mount, error);

	if (mount < 0 || !lock_mount(mount, domain->mount, error))
		return false;
	sweep_locked(mount);
	if (renameat(mount, domain->id, mount, removed) < 0 || fsync(mount) < 0) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_FORMAT_ERROR, errno, "'%s'", domain->path);
		return false;
	}
	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_remove(storage->places, domain->id);
	}
	if (!files_remove_tree(mount, removed)) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_FORMAT_ERROR, errno, "'%s/%s' is left, to be removed by the next connect", domain->mount, removed);
		return false;
	}
	log_info("erased storage domain %s in '%s'", domain->id, domain->mount);
	return true;
}
