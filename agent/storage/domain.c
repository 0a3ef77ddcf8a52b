/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage domains: found, opened, made and erased. One in a volume group is made by block_domain.c and read by form_block.c; one on a file system, in
 * storage format 5:
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
 * A connection holds one domain. Domains are found by looking for <id>/dom_md/metadata behind the connections, on their own lanes; where one was seen
 * last is remembered, so that looking up a domain touches no other connection.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "agent/storage/form/block.h"
#include "common/log.h"

#define METADATA_PATH DIR_METADATA "/" FILE_METADATA
#define FILE_MODE 0644
#define LEASE_MODE 0660
#define DOMAIN_VERSION 5
#define MAILBOX_HOST_BYTES 4096

static const char *const required_keys[] = { "CLASS", "DESCRIPTION", "POOL_UUID", "ROLE", "SDUUID", "TYPE", "VERSION", NULL };
static const char *const class_names[] = { [STORAGE_CLASS_DATA] = "Data", [STORAGE_CLASS_ISO] = "Iso", [STORAGE_CLASS_BACKUP] = "Backup" };

static const char *const type_names[STORAGE_GLUSTERFS + 1] = {
	[STORAGE_NFS] = "NFS", [STORAGE_FCP] = "FCP", [STORAGE_ISCSI] = "ISCSI", [STORAGE_LOCALFS] = "LOCALFS", [STORAGE_CIFS] = "CIFS",
	[STORAGE_POSIXFS] = "POSIXFS", [STORAGE_GLUSTERFS] = "GLUSTERFS",
};

char *domain_lane(const char *id)
{
	return g_strdup_printf("domain/%s", id);
}

struct domain *domain_free(struct domain *domain)
{
	if (!domain)
		return NULL;
	if (domain->form)
		domain->form->close(domain);
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

/* The connection's directory where the domain was seen last, if it is still there. g_free */
static char *known_place(struct storage *storage, const char *id)
{
	g_autofree char *known = NULL;

	{
		AUTO_LOCK(&storage->lock);
		known = g_strdup(g_hash_table_lookup(storage->places, id));
	}
	return known && is_domain(known, id) ? g_steal_pointer(&known) : NULL;
}

static pthread_mutex_t *mutex_of(struct storage *storage, const char *id, const char *what)
{
	g_autofree char *key = g_strconcat(id, what, NULL);
	pthread_mutex_t *mutex;

	AUTO_LOCK(&storage->lock);
	mutex = g_hash_table_lookup(storage->changing, key);
	if (mutex)
		return mutex;
	mutex = g_new(pthread_mutex_t, 1);
	pthread_mutex_init(mutex, NULL);
	g_hash_table_insert(storage->changing, g_steal_pointer(&key), mutex);
	return mutex;
}

static bool load_file(struct domain *domain, char **ret_text, GError **error)
{
	domain->form = &form_file;
	domain->path = g_build_filename(domain->mount, domain->id, NULL);
	if ((domain->fd = files_open_dir(AT_FDCWD, domain->path)) >= 0 && (*ret_text = files_read(domain->fd, METADATA_PATH, METADATA_MAX)))
		return true;
	error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errno, "'%s' in '%s'", domain->id, domain->mount);
	return false;
}

/* Where it was seen last, else everywhere. */
static bool load_text(struct domain *domain, struct storage *storage, char **ret_text, GError **error)
{
	g_autoptr(GPtrArray) paths = NULL;

	if ((domain->mount = known_place(storage, domain->id)))
		return load_file(domain, ret_text, error);
	if ((paths = group_paths(storage, domain->id, /* scan= */ false)) || (paths = group_paths(storage, domain->id, /* scan= */ true)))
		return block_load(domain, storage, paths, ret_text, error);
	connection_scan(storage);
	if ((domain->mount = known_place(storage, domain->id)))
		return load_file(domain, ret_text, error);
	error_set(error, ERR_STORAGE_DOMAIN_DOES_NOT_EXIST, "'%s'", domain->id);
	return false;
}

/* Anybody who can write to the storage can seal what he likes. */
static bool has_sizes(metadata *values, const char *id, GError **error)
{
	const int64_t block = metadata_get_int(values, "BLOCK_SIZE", 512), alignment = metadata_get_int(values, "ALIGNMENT", 1 << 20);

	if ((block == 512 || block == 4096) && (alignment == 1 << 20 || alignment == 2 << 20 || alignment == 4 << 20 || alignment == 8 << 20))
		return true;
	error_set(error, ERR_INVALID_METADATA, "storage domain '%s': BLOCK_SIZE %" PRId64 ", ALIGNMENT %" PRId64, id, block, alignment);
	return false;
}

static bool load(struct domain *domain, struct storage *storage, const char *id, GError **error)
{
	g_autofree char *text = NULL;

	if (!load_text(domain, storage, &text, error))
		return false;
	if (!(domain->values = metadata_parse_domain(text, required_keys, error))) {
		error_wrap(error, "storage domain '%s'", id);
		return false;
	}
	if (strcmp(metadata_get(domain->values, "SDUUID"), id)) {
		error_set(error, ERR_INVALID_METADATA, "'%s' says it is domain '%s'", domain->path, metadata_get(domain->values, "SDUUID"));
		return false;
	}
	return has_sizes(domain->values, id, error);
}

struct domain *domain_open(struct storage *storage, const char *id, GError **error)
{
	struct domain *domain = g_new0(struct domain, 1);

	domain->storage = storage;
	domain->fd = -1;
	domain->id = g_strdup(id);
	domain->changing = mutex_of(storage, id, "");
	domain->activity = mutex_of(storage, id, "/activity");
	domain->group = mutex_of(storage, id, "/group");
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
	return domain->form->save(domain, error);
}

bool domain_probe(const struct domain *domain, int *ret_version, GError **error)
{
	*ret_version = (int)metadata_get_int(domain->values, "VERSION", 0);
	return domain->form->probe(domain, error);
}

GPtrArray *domain_list(struct storage *storage)
{
	GPtrArray *ids = group_domains(storage);
	GHashTableIter iter;
	void *id;

	connection_scan(storage);
	AUTO_LOCK(&storage->lock);
	g_hash_table_iter_init(&iter, storage->places);
	while (g_hash_table_iter_next(&iter, &id, NULL))
		if (!g_ptr_array_find_with_equal_func(ids, id, g_str_equal, NULL))
			g_ptr_array_add(ids, g_strdup(id));
	return ids;
}

void domain_rest(struct storage *storage, const char *id)
{
	g_autoptr(GPtrArray) paths = group_paths(storage, id, /* scan= */ false);
	autodomain domain = paths ? domain_open(storage, id, NULL) : NULL;

	if (domain)
		block_rest(domain);
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

/* Where another one of that id is, which is connected; NULL: nowhere. Asks no storage. g_free */
static char *other_place(struct storage *storage, const char *id, const char *mount)
{
	g_autofree char *known = NULL;

	{
		AUTO_LOCK(&storage->lock);
		known = g_strdup(g_hash_table_lookup(storage->places, id));
	}
	return known && strcmp(known, mount) && connection_exists(storage, known) ? g_steal_pointer(&known) : NULL;
}

/* A copy (a server's snapshot, a restored backup) must not get what is meant for the domain that is in use: the first that was seen stays. */
void domain_note_all(struct storage *storage, int mount_fd, const char *mount)
{
	g_autoptr(GPtrArray) names = files_list(mount_fd, ".");

	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *path = g_build_filename(names->pdata[i], METADATA_PATH, NULL);
		g_autofree char *other = NULL;

		if (!files_is_uuid(names->pdata[i]) || !files_exists(mount_fd, path))
			continue;
		if ((other = other_place(storage, names->pdata[i], mount))) {
			log_warn("storage domain %s is in '%s' and in '%s': the second is not used", (const char *)names->pdata[i], other, mount);
			continue;
		}
		AUTO_LOCK(&storage->lock);
		g_hash_table_replace(storage->places, g_strdup(names->pdata[i]), g_strdup(mount));
	}
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
	metadata_set(values, "TYPE", type_names[params->domain_type]);
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
	return files_write(md, FILE_METADATA, text, FILE_MODE) && files_sync_dir(fd, "master") && files_sync_dir(fd, ".");
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

	if (!type_names[params->domain_type])
		error_set(error, ERR_STORAGE_DOMAIN_TYPE_ERROR, "%d", params->domain_type);
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

static bool create_file(struct storage *storage, const struct domain_create_params *params, int block_size, GError **error)
{
	g_autofree char *path = connection_directory(storage, params->domain_type, params->type_args, error);
	bool local = params->domain_type == STORAGE_LOCALFS;
	g_autofree char *other = NULL;
	g_autoptr(metadata) values = NULL;
	autofd mount = -1;

	/* a local directory may say itself what is wrong with it; the mount point of what is not mounted is none */
	if (!path || (local && (mount = connection_open(path, error)) < 0))
		return false;
	if (!connection_exists(storage, path)) {
		error_set(error, ERR_STORAGE_DOMAIN_FS_NOT_MOUNTED, "'%s' is not connected (StoragePool.connectStorageServer)", params->type_args);
		return false;
	}
	if (mount < 0 && (mount = connection_open(path, error)) < 0)
		return false;
	if (!lock_mount(mount, path, error))
		return false;
	sweep_locked(mount);
	if ((other = domain_in(mount))) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_EMPTY, "'%s' already holds the domain '%s'", path, other);
		return false;
	}
	values = new_values(params, local ? path : params->type_args, block_size);
	if (!build_named(mount, params, values)) {
		files_error(error, ERR_STORAGE_DOMAIN_CREATION_ERROR, errno, "'%s' in '%s'", params->domain_id, path);
		return false;
	}
	AUTO_LOCK(&storage->lock);
	g_hash_table_replace(storage->places, g_strdup(params->domain_id), g_strdup(path));
	log_info("made storage domain %s in '%s'", params->domain_id, path);
	return true;
}

bool domain_create(struct storage *storage, const struct domain_create_params *params, GError **error)
{
	bool block = params->domain_type == STORAGE_FCP || params->domain_type == STORAGE_ISCSI;
	g_autoptr(GPtrArray) known = NULL;
	g_autoptr(metadata) values = NULL;
	int block_size;

	if (!check_params(params, &block_size, error))
		return false;
	known = domain_list(storage);
	if (g_ptr_array_find_with_equal_func(known, params->domain_id, g_str_equal, NULL)) {
		error_set(error, ERR_STORAGE_DOMAIN_ALREADY_EXISTS, "'%s'", params->domain_id);
		return false;
	}
	if (!block)
		return create_file(storage, params, block_size, error);
	values = new_values(params, params->type_args, block_size);
	return block_create(storage, params, values, error);
}

bool domain_remove(struct storage *storage, struct domain *domain, GError **error)
{
	g_autofree char *removed = g_strconcat(REMOVED_PREFIX, domain->id, NULL);
	autofd mount = -1;

	if (domain->block)
		return block_remove(storage, domain, error);
	if ((mount = connection_open(domain->mount, error)) < 0 || !lock_mount(mount, domain->mount, error))
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

/* The bounds are vdsm's (lib/vdsm/storage/blockSD.py, metadataValidity()): half of the 128 MiB that a group gets for its metadata, and a fifth of them free. */
#define METADATA_SMALL (INT64_C(64) << 20)
#define METADATA_FREE_PART 5

unsigned domain_warnings(const struct domain *domain)
{
	const struct block *block = domain->block;

	return !block ? 0 : (block->mda_size < METADATA_SMALL ? DOMAIN_SMALL_METADATA : 0) |
			    (block->mda_free <= block->mda_size / METADATA_FREE_PART ? DOMAIN_FULL_METADATA : 0);
}

json_t *domain_alerts(unsigned warnings)
{
	static const struct { enum domain_warning warning; enum error_code code; } alerts[] = {
		{ DOMAIN_SMALL_METADATA, ERR_SMALL_VG_METADATA }, { DOMAIN_FULL_METADATA, ERR_VG_METADATA_CRITICALLY_FULL },
	};
	json_t *list = json_array();

	for (size_t i = 0; i < G_N_ELEMENTS(alerts); i++)
		if (warnings & alerts[i].warning)
			json_array_append_new(list, json_pack("{s:i, s:s}", "code", (int)alerts[i].code, "message", error_info(alerts[i].code)->text));
	return list;
}
