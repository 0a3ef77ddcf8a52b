/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage connections. So far the local type: a directory of this host.
 *
 * A connection is a link <repository>/mnt/<escaped path> -> path. It is made when the directory is there and can be written, and it is the only
 * record of the connection: after a restart domains are looked for behind these links. Connecting again is fine. Disconnecting removes the
 * link; it is refused while a domain behind it is active. What cannot be connected is told per connection by `status` (0, else an error code)
 * with a text in `message`; one bad connection does not stop its neighbours.
 *
 * Escaping: '/' -> '_', and '_' and '%' -> %XX. (Doubling the underscores, as other agents do, gives "/a_/b" and "/a/_b" the same name.)
 * Names that would be too long for a directory entry end in a digest instead.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/storage-priv.h"
#include "common/log.h"

#define LINK_NAME_MAX 200

char *connection_path(const char *text, GError **error)
{
	g_auto(GStrv) parts = NULL;

	if (text[0] != '/' || strlen(text) >= PATH_MAX || !metadata_is_value(text)) {
		error_set(error, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH, "'%s' is not an absolute path of at most %d bytes", text, PATH_MAX - 1);
		return NULL;
	}
	parts = g_strsplit(text, "/", -1);
	if (g_strv_contains((const char *const *)parts, "..")) {
		error_set(error, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH, "'%s' contains '..'", text);
		return NULL;
	}
	return g_canonicalize_filename(text, "/");
}

char *connection_link_name(const char *path)
{
	GString *name = g_string_new(NULL);

	for (const char *p = path; *p; p++) {
		if (*p == '/')
			g_string_append_c(name, '_');
		else if (*p == '_' || *p == '%')
			g_string_append_printf(name, "%%%02X", (unsigned char)*p);
		else
			g_string_append_c(name, *p);
	}
	if (name->len > LINK_NAME_MAX) {
		g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, path, -1);

		g_string_truncate(name, LINK_NAME_MAX - 50);
		g_string_append_printf(name, "%%%s", digest);
	}
	return g_string_free(name, FALSE);
}

static int open_links(struct storage *storage, GError **error)
{
	g_autofree char *path = g_build_filename(storage->repository, DIR_LINKS, NULL);
	int fd = files_open_dir(AT_FDCWD, path);

	if (fd < 0)
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "%s", path);
	return fd;
}

/* Target of a link; NULL when it is none. */
static char *read_link(int at, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(at, name, target, sizeof(target) - 1);

	return n > 0 ? g_strndup(target, (gsize)n) : NULL;
}

bool connection_exists(struct storage *storage, const char *path)
{
	g_autofree char *name = connection_link_name(path);
	autofd links = open_links(storage, NULL);
	g_autofree char *target = links < 0 ? NULL : read_link(links, name);

	return target && !strcmp(target, path);
}

GPtrArray *connection_list(struct storage *storage, GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) names = NULL;
	autofd links = open_links(storage, error);

	if (links < 0)
		return NULL;
	if (!(names = files_list(links, "."))) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "%s/" DIR_LINKS, storage->repository);
		return NULL;
	}
	for (guint i = 0; i < names->len; i++) {
		char *target = read_link(links, names->pdata[i]);

		if (target)
			g_ptr_array_add(paths, target);
	}
	return g_steal_pointer(&paths);
}

int connection_open(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		bool denied = errno == EACCES || errno == EPERM;

		error_set_errno(error, denied ? ERR_STORAGE_SERVER_ACCESS_PERMISSION_ERROR : ERR_STORAGE_SERVER_VALIDATION_ERROR, errno, "'%s'", path);
		return -1;
	}
	if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0) {
		error_set_errno(error, ERR_STORAGE_SERVER_ACCESS_PERMISSION_ERROR, errno, "'%s'", path);
		close(fd);
		return -1;
	}
	return fd;
}

static bool connect_local(struct storage *storage, const char *text, GError **error)
{
	g_autofree char *path = connection_path(text, error);
	g_autofree char *name = path ? connection_link_name(path) : NULL;
	autofd fd = path ? connection_open(path, error) : -1;
	autofd links = fd < 0 ? -1 : open_links(storage, error);

	if (links < 0)
		return false;
	domain_sweep(fd);
	if (symlinkat(path, links, name) < 0 && errno != EEXIST) {
		error_set_errno(error, ERR_STORAGE_SERVER_CONNECTION_ERROR, errno, "link for '%s'", path);
		return false;
	}
	if (!connection_exists(storage, path)) {
		error_set(error, ERR_STORAGE_SERVER_CONNECTION_ERROR, "'%s/" DIR_LINKS "/%s' stands for something else", storage->repository, name);
		return false;
	}
	if (fsync(links) < 0) {
		error_set_errno(error, ERR_STORAGE_SERVER_CONNECTION_ERROR, errno, "'%s'", path);
		return false;
	}
	return true;
}

/* Name of an active domain behind the connection; NULL: none. g_free */
static char *active_domain(struct storage *storage, const char *path)
{
	GHashTableIter iter;
	void *domain, *watched;
	AUTO_LOCK(&storage->lock);

	g_hash_table_iter_init(&iter, storage->watched);
	while (g_hash_table_iter_next(&iter, &domain, &watched))
		if (!strcmp(((struct watched *)watched)->mount, path))
			return g_strdup(domain);
	return NULL;
}

static gboolean is_place(gpointer domain, gpointer place, gpointer path)
{
	return !strcmp(place, path);
}

static bool disconnect_local(struct storage *storage, const char *text, GError **error)
{
	g_autofree char *path = connection_path(text, error);
	g_autofree char *name = path ? connection_link_name(path) : NULL;
	g_autofree char *domain = path ? active_domain(storage, path) : NULL;
	autofd links = path ? open_links(storage, error) : -1;

	if (links < 0)
		return false;
	if (domain) {
		error_set(error, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, "domain '%s' in '%s' is active", domain, path);
		return false;
	}
	if (!connection_exists(storage, path))
		return true;
	if ((unlinkat(links, name, 0) < 0 && errno != ENOENT) || fsync(links) < 0) {
		error_set_errno(error, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, errno, "'%s'", path);
		return false;
	}
	AUTO_LOCK(&storage->lock);
	g_hash_table_foreach_remove(storage->places, is_place, path);
	return true;
}

typedef bool (*connection_step)(struct storage *storage, const char *path, GError **error);

static bool each_connection(struct storage *storage, const struct connection_params *params, const char *verb, connection_step step,
			    GString *ret_result, GError **error)
{
	json_t *results = json_array();

	if (!json_is_array(params->connections)) {
		json_decref(results);
		error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s: connectionParams is not an array", verb);
		return false;
	}
	for (size_t i = 0; i < json_array_size(params->connections); i++) {
		struct record_input input = { .dialect = RECORD_CHANNEL };
		struct connection_ref *connection = record_from_json(&connection_ref_type, json_array_get(params->connections, i), &input, error);
		GError *problem = NULL;
		json_t *result;

		record_input_clear(&input);
		if (!connection) {
			error_wrap(error, "%s: connectionParams[%zu]", verb, i);
			json_decref(results);
			return false;
		}
		if (params->domain_type != STORAGE_LOCALFS)
			error_set(&problem, ERR_MOUNT_TYPE_ERROR, "storage type %d is not supported by this agent, only %d (local directory)",
				  params->domain_type, STORAGE_LOCALFS);
		else if (!connection->connection)
			error_set(&problem, ERR_STORAGE_SERVER_VALIDATION_ERROR, "connectionParams[%zu]: connection is missing", i);
		else
			(void)step(storage, connection->connection, &problem);

		result = json_pack("{s:s, s:i}", "id", connection->id ? connection->id : BLANK_UUID, "status", problem ? problem->code : 0);
		if (problem) {
			log_error("%s %s: %s", verb, connection->id ? connection->id : BLANK_UUID, problem->message);
			json_object_set_new(result, "message", json_string(problem->message));
		}
		json_array_append_new(results, result);
		g_clear_error(&problem);
		record_unref(connection);
	}
	result_json(ret_result, results);
	return true;
}

bool connection_connect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return each_connection(agent->storage, params, "StoragePool.connectStorageServer", connect_local, ret_result, error);
}

bool connection_disconnect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return each_connection(agent->storage, params, "StoragePool.disconnectStorageServer", disconnect_local, ret_result, error);
}
