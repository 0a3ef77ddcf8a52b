/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage connections: where storage comes from.
 *
 *   local directory     a link <repository>/mnt/<name> -> path
 *   NFS, GlusterFS,     a mount point <repository>/mnt/<name> (mount.c)
 *   CIFS, POSIX
 *   iSCSI               a session with a target through a portal (iscsi.c); several portals of one target are several connections
 *   Fibre Channel       nothing to do: the fabric shows what it shows (device.c)
 *
 * <name> is what is connected ("server:/path"), escaped: '/' -> '_', and '_' and '%' -> %XX. (Doubling the underscores, as other agents do, gives "/a_/b" and
 * "/a/_b" the same name.) Names that would be too long for a directory entry end in a digest instead.
 *
 * Truth is the link, the mount table, sysfs: all survive the agent. Two connections of the engine may be the same storage: <repository>/users/<name> has the
 * ids of those that asked for it, one a line; it is disconnected when the last of them asks for that. Both may be repeated. Disconnecting is refused while a
 * domain behind it is active.
 *
 * What cannot be connected is told per connection by `status` (0, else an error code) with a text in `message`. Each connection is worked at on a lane of
 * its own, "connection/<name>": a server that hangs stops neither its neighbours nor the request, which answers after CONNECT_WAIT_USEC; the attempt goes on.
 * On the same lane is looked which domains are there, for domain.c, which therefore never touches a connection it was not told of.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/connection/device.h"
#include "agent/storage/connection/errand.h"
#include "agent/storage/connection/iscsi.h"
#include "agent/storage/connection/mount.h"
#include "agent/storage/storage-priv.h"
#include "common/log.h"

#define LINK_NAME_MAX 200
#define DIR_USERS "users"
#define USERS_MAX (64 * 1024)
#define CONNECT_WAIT_USEC (60 * G_USEC_PER_SEC)
#define SCAN_WAIT_USEC (10 * G_USEC_PER_SEC)

/* One connection of a request, checked. */
struct connection {
	struct storage *storage;
	enum storage_wire_type type;
	char *id, *name, *path;          /* path: its directory on this host; NULL: none */
	struct mount_plan plan;
	struct iscsi_target target;
	GError *problem;                 /* what became of it; NULL: well */
	bool (*step)(struct connection *connection, GError **error);
};

static void connection_free(void *data)
{
	struct connection *connection = data;

	storage_unref(connection->storage);
	g_free(connection->id);
	g_free(connection->name);
	g_free(connection->path);
	mount_plan_clear(&connection->plan);
	iscsi_target_clear(&connection->target);
	g_clear_error(&connection->problem);
	g_free(connection);
}

/* ---- names ---- */

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

static char *mnt_path(struct storage *storage, const char *name)
{
	return g_build_filename(storage->repository, DIR_LINKS, name, NULL);
}

char *connection_directory(struct storage *storage, enum storage_wire_type type, const char *text, GError **error)
{
	g_autofree char *name = NULL;

	if (type == STORAGE_LOCALFS)
		return connection_path(text, error);
	name = connection_link_name(text);
	return mnt_path(storage, name);
}

static struct connection *connection_new(struct storage *storage, enum storage_wire_type type, const struct connection_ref *ref, GError **error)
{
	struct connection *connection = g_new0(struct connection, 1);
	bool fine = type == STORAGE_FCP || (ref->connection && ref->connection[0]);

	connection->storage = storage_ref(storage);
	connection->type = type;
	connection->id = g_strdup(ref->id ? ref->id : BLANK_UUID);
	if (!fine)
		error_set(error, ERR_STORAGE_SERVER_VALIDATION_ERROR, "connection '%s': connection is missing", connection->id);
	else if (type == STORAGE_FCP)
		connection->name = g_strdup("fcp");
	else if (type == STORAGE_ISCSI) {
		if ((fine = iscsi_target(ref, &connection->target, error)))
			connection->name = g_strdup_printf("iscsi %s %s", connection->target.portal, connection->target.iqn);
	} else {
		fine = type == STORAGE_LOCALFS || mount_plan(type, ref, &connection->plan, error);
		connection->path = fine ? connection_directory(storage, type, ref->connection, error) : NULL;
		fine = connection->path != NULL;
		if (fine)
			connection->name = connection_link_name(type == STORAGE_LOCALFS ? connection->path : connection->plan.source);
	}
	if (fine)
		return connection;
	connection_free(connection);
	return NULL;
}

/* ---- who uses it ---- */

static int open_below(struct storage *storage, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(storage->repository, name, NULL);
	int fd;

	(void)g_mkdir_with_parents(path, 0755);
	if ((fd = files_open_dir(AT_FDCWD, path)) < 0)
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "'%s'", path);
	return fd;
}

/* Adds or takes away the connection's id; fresh: it was not connected, whoever is listed is of an earlier life. ret_left: how many there are then. */
static bool note_user(const struct connection *connection, bool add, bool fresh, guint *ret_left, GError **error)
{
	autofd fd = open_below(connection->storage, DIR_USERS, error);
	g_autofree char *text = fd < 0 || fresh ? NULL : files_read(fd, connection->name, USERS_MAX);
	g_auto(GStrv) ids = g_strsplit(text ? text : "", "\n", -1);
	g_autoptr(GString) out = g_string_new(NULL);
	guint left = add;

	if (fd < 0)
		return false;
	for (size_t i = 0; ids[i]; i++)
		if (ids[i][0] && strcmp(ids[i], connection->id)) {
			g_string_append_printf(out, "%s\n", ids[i]);
			left++;
		}
	if (add)
		g_string_append_printf(out, "%s\n", connection->id);
	*ret_left = left;
	if (left ? files_write(fd, connection->name, out->str, 0644) : unlinkat(fd, connection->name, 0) == 0 || errno == ENOENT)
		return true;
	error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "'%s/" DIR_USERS "/%s'", connection->storage->repository, connection->name);
	return false;
}

/* ---- links ---- */

/* Target of a link; NULL when it is none. */
static char *read_link(int at, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(at, name, target, sizeof(target) - 1);

	return n > 0 ? g_strndup(target, (gsize)n) : NULL;
}

static bool has_link(struct storage *storage, const char *path)
{
	g_autofree char *name = connection_link_name(path);
	autofd links = open_below(storage, DIR_LINKS, NULL);
	g_autofree char *target = links < 0 ? NULL : read_link(links, name);

	return target && !strcmp(target, path);
}

bool connection_exists(struct storage *storage, const char *path)
{
	return has_link(storage, path) || mount_exists(path);
}

GPtrArray *connection_list(struct storage *storage, GError **error)
{
	g_autofree char *mnt = mnt_path(storage, NULL);
	g_autoptr(GPtrArray) paths = mount_list(mnt, error);
	g_autoptr(GPtrArray) names = NULL;
	autofd links = paths ? open_below(storage, DIR_LINKS, error) : -1;

	if (links < 0)
		return NULL;
	if (!(names = files_list(links, "."))) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "'%s'", mnt);
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

/* ---- which domains are there ---- */

struct look { struct storage *storage; char *path; };

static void look_free(void *data)
{
	struct look *look = data;

	storage_unref(look->storage);
	g_free(look->path);
	g_free(look);
}

static void look_run(void *data)
{
	struct look *look = data;
	autofd fd = files_open_dir(AT_FDCWD, look->path);

	if (fd >= 0)
		domain_note_all(look->storage, fd, look->path);
}

void connection_scan(struct storage *storage)
{
	g_autoptr(GPtrArray) paths = connection_list(storage, NULL);
	g_autoptr(GPtrArray) errands = g_ptr_array_new();
	int64_t until_usec = now_usec() + SCAN_WAIT_USEC;

	for (guint i = 0; paths && i < paths->len; i++) {
		g_autofree char *mnt = mnt_path(storage, "");
		const char *path = paths->pdata[i];
		g_autofree char *name = g_str_has_prefix(path, mnt) ? g_path_get_basename(path) : connection_link_name(path);
		g_autofree char *lane = g_strconcat("connection/", name, NULL);
		struct look *look = g_new0(struct look, 1);
		struct errand *errand;

		look->storage = storage_ref(storage);
		look->path = g_strdup(path);
		if ((errand = errand_begin(storage->agent->lanes, lane, "look for domains", look_run, look, look_free, NULL)))
			g_ptr_array_add(errands, errand);
	}
	for (guint i = 0; i < errands->len; i++) {
		if (!errand_wait(errands->pdata[i], until_usec))
			log_warn("a storage connection does not answer: its domains are not looked for");
		errand_done(errands->pdata[i]);
	}
}

/* ---- connecting ---- */

static bool connect_local(struct connection *connection, bool *ret_fresh, GError **error)
{
	struct storage *storage = connection->storage;
	autofd links = open_below(storage, DIR_LINKS, error);

	if (links < 0)
		return false;
	*ret_fresh = !has_link(storage, connection->path);
	if (symlinkat(connection->path, links, connection->name) < 0 && errno != EEXIST) {
		error_set_errno(error, ERR_STORAGE_SERVER_CONNECTION_ERROR, errno, "link for '%s'", connection->path);
		return false;
	}
	if (!has_link(storage, connection->path)) {
		error_set(error, ERR_STORAGE_SERVER_CONNECTION_ERROR, "'%s/" DIR_LINKS "/%s' stands for something else", storage->repository,
			  connection->name);
		return false;
	}
	if (fsync(links) < 0) {
		error_set_errno(error, ERR_STORAGE_SERVER_CONNECTION_ERROR, errno, "'%s'", connection->path);
		return false;
	}
	return true;
}

static bool connect_mount(struct connection *connection, bool *ret_fresh, GError **error)
{
	autofd links = open_below(connection->storage, DIR_LINKS, error);

	*ret_fresh = false;
	if (links < 0)
		return false;
	if (mount_exists(connection->path))
		return true;
	*ret_fresh = true;
	if (!files_make_dir(links, connection->name) && errno != EEXIST) {
		error_set_errno(error, ERR_STORAGE_SERVER_CONNECTION_ERROR, errno, "'%s'", connection->path);
		return false;
	}
	if (mount_run(&connection->plan, connection->path, error))
		return true;
	/* a client in user space (Gluster) mounts before it knows that it cannot, and takes its time to go: the next attempt must not find that */
	if (mount_exists(connection->path))
		(void)mount_end(connection->path, NULL);
	(void)rmdir(connection->path);
	return false;
}

/* A directory that cannot be used is not left connected. */
static bool check_directory(const struct connection *connection, bool fresh, GError **error)
{
	autofd fd = connection_open(connection->path, error);

	if (fd >= 0) {
		domain_sweep(fd);
		domain_note_all(connection->storage, fd, connection->path);
		return true;
	}
	if (fresh && connection->type != STORAGE_LOCALFS && mount_end(connection->path, NULL))
		(void)rmdir(connection->path);
	return false;
}

static bool connect_step(struct connection *connection, GError **error)
{
	bool fresh = false, done = true;
	guint users;

	if (connection->type == STORAGE_FCP)
		return true;
	if (connection->type == STORAGE_ISCSI) {
		fresh = !iscsi_is_connected(&connection->target);
		done = !fresh || iscsi_login(&connection->target, error);
	} else if (connection->type == STORAGE_LOCALFS) {
		done = check_directory(connection, /* fresh= */ false, error) && connect_local(connection, &fresh, error);
	} else {
		done = connect_mount(connection, &fresh, error) && check_directory(connection, fresh, error);
	}
	return done && note_user(connection, /* add= */ true, fresh, &users, error);
}

/* ---- disconnecting ---- */

/* Name of an active domain behind the connection; NULL: none. g_free */
static char *active_domain(struct storage *storage, const char *path)
{
	GHashTableIter iter;
	void *domain, *watched;
	AUTO_LOCK(&storage->lock);

	g_hash_table_iter_init(&iter, storage->watched);
	while (g_hash_table_iter_next(&iter, &domain, &watched))
		if (!g_strcmp0(((struct watched *)watched)->mount, path))
			return g_strdup(domain);
	return NULL;
}

static gboolean is_place(gpointer domain, gpointer place, gpointer path)
{
	return !strcmp(place, path);
}

static bool disconnect_local(struct connection *connection, GError **error)
{
	autofd links = open_below(connection->storage, DIR_LINKS, error);

	if (links < 0)
		return false;
	if (!has_link(connection->storage, connection->path))
		return true;
	if ((unlinkat(links, connection->name, 0) < 0 && errno != ENOENT) || fsync(links) < 0) {
		error_set_errno(error, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, errno, "'%s'", connection->path);
		return false;
	}
	return true;
}

static bool disconnect_mount(struct connection *connection, GError **error)
{
	if (mount_exists(connection->path) && !mount_end(connection->path, error))
		return false;
	if (rmdir(connection->path) == 0 || errno == ENOENT)
		return true;
	error_set_errno(error, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, errno, "'%s'", connection->path);
	return false;
}

static bool disconnect_iscsi(struct connection *connection, GError **error)
{
	g_autofree char *busy = NULL;

	if (!iscsi_is_connected(&connection->target))
		return true;
	if ((busy = device_busy_of_target(connection->target.iqn)) && iscsi_count(connection->target.iqn) == 1) {
		error_set(error, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, "device '%s' of '%s' is in use", busy, connection->target.iqn);
		return false;
	}
	return iscsi_logout(&connection->target, error);
}

static bool disconnect_step(struct connection *connection, GError **error)
{
	g_autofree char *domain = connection->path ? active_domain(connection->storage, connection->path) : NULL;
	bool done;
	guint users;

	if (connection->type == STORAGE_FCP)
		return true;
	g_assert(connection->path || connection->type == STORAGE_ISCSI);
	if (domain) {
		error_set(error, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, "domain '%s' in '%s' is active", domain, connection->path);
		return false;
	}
	if (!note_user(connection, /* add= */ false, /* fresh= */ false, &users, error))
		return false;
	if (users)
		return true;
	done = connection->type == STORAGE_ISCSI ? disconnect_iscsi(connection, error) : connection->type == STORAGE_LOCALFS
	     ? disconnect_local(connection, error) : disconnect_mount(connection, error);
	if (!done) {
		/* it is still connected: whoever asks again finds it so */
		(void)note_user(connection, /* add= */ true, /* fresh= */ false, &users, NULL);
		return false;
	}
	if (connection->path) {
		AUTO_LOCK(&connection->storage->lock);
		g_hash_table_foreach_remove(connection->storage->places, is_place, connection->path);
	}
	return true;
}

/* ---- the verbs ---- */

static void step_run(void *data)
{
	struct connection *connection = data;

	(void)connection->step(connection, &connection->problem);
}

/* One member of connectionParams on its way. */
struct attempt { char *id; struct connection *connection; struct errand *errand; GError *problem; };

static void attempt_clear(void *data)
{
	struct attempt *attempt = data;

	errand_done(attempt->errand);
	g_free(attempt->id);
	g_clear_error(&attempt->problem);
}

static bool attempt_begin(struct attempt *attempt, struct storage *storage, const struct connection_params *params, size_t index,
			  bool (*step)(struct connection *connection, GError **error), GError **error)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct connection_ref *ref = record_from_json(&connection_ref_type, json_array_get(params->connections, index), &input, error);
	struct connection *connection;
	g_autofree char *lane = NULL;

	record_input_clear(&input);
	if (!ref)
		return false;
	attempt->id = g_strdup(ref->id ? ref->id : BLANK_UUID);
	connection = connection_new(storage, params->domain_type, ref, &attempt->problem);
	record_unref(ref);
	if (!connection)
		return true;
	connection->step = step;
	attempt->connection = connection;
	lane = g_strconcat("connection/", connection->name, NULL);
	attempt->errand = errand_begin(storage->agent->lanes, lane, "storage connection", step_run, connection, connection_free, &attempt->problem);
	return true;
}

static json_t *attempt_result(struct attempt *attempt, const char *verb, int64_t until_usec)
{
	GError *problem = attempt->problem;
	json_t *result;

	if (attempt->errand) {
		if (errand_wait(attempt->errand, until_usec))
			problem = attempt->connection->problem;
		else {
			error_set(&attempt->problem, ERR_STORAGE_SERVER_CONNECTION_ERROR, "'%s' has not answered for %d s; it is still tried",
				  attempt->connection->name, (int)(CONNECT_WAIT_USEC / G_USEC_PER_SEC));
			problem = attempt->problem;
		}
	}
	result = json_pack("{s:s, s:i}", "id", attempt->id, "status", problem ? problem->code : 0);
	if (problem) {
		log_error("%s %s: %s", verb, attempt->id, problem->message);
		json_object_set_new(result, "message", json_string(problem->message));
	}
	return result;
}

static bool each_connection(struct storage *storage, const struct connection_params *params, const char *verb,
			    bool (*step)(struct connection *connection, GError **error), GString *ret_result, GError **error)
{
	g_autoptr(GArray) attempts = g_array_new(FALSE, TRUE, sizeof(struct attempt));
	int64_t until_usec = now_usec() + CONNECT_WAIT_USEC;
	json_t *results;

	if (!json_is_array(params->connections)) {
		error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s: connectionParams is not an array", verb);
		return false;
	}
	g_array_set_size(attempts, (guint)json_array_size(params->connections));
	g_array_set_clear_func(attempts, attempt_clear);
	for (guint i = 0; i < attempts->len; i++)
		if (!attempt_begin(&g_array_index(attempts, struct attempt, i), storage, params, i, step, error)) {
			error_wrap(error, "%s: connectionParams[%u]", verb, i);
			return false;
		}
	results = json_array();
	for (guint i = 0; i < attempts->len; i++)
		json_array_append_new(results, attempt_result(&g_array_index(attempts, struct attempt, i), verb, until_usec));
	result_json(ret_result, results);
	return true;
}

bool connection_connect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return each_connection(agent->storage, params, "StoragePool.connectStorageServer", connect_step, ret_result, error);
}

bool connection_disconnect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return each_connection(agent->storage, params, "StoragePool.disconnectStorageServer", disconnect_step, ret_result, error);
}
