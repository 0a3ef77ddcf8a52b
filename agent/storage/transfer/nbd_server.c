/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NBD servers of single volumes: one qemu-nbd each, so that QEMU's own locks keep writers apart: a volume that a VM writes is refused, and a VM whose
 * disk is served does not start. On other hosts, too, where the storage carries locks (NFS). How it is told what to show: nbd_run.c.
 *
 * A server outlives the agent (qemu-nbd --fork, systemd's KillMode=process), because its clients do. What is needed to know it again lies in run_dir/nbd:
 *
 *	<id>.pid     of qemu-nbd, by qemu-nbd
 *	<id>.json    what was asked for and the answer; written when it runs, before the caller is told
 *	<id>.sock, <id>.qcow2 and <id>.marks (see nbd_run.c)
 *
 * After a restart each record whose process is there is taken over and holds its volumes again; every other process whose command line names one of our
 * pid files is ended: its start was never acknowledged, or its end was asked for. A boot removes all of it.
 */
#define LOG_MODULE "nbd"
#include "agent/storage/transfer/nbd_server-priv.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "agent/fault.h"
#include "agent/storage/transfer/transfer.h"
#include "common/log.h"
#include "common/loop.h"

#define STOP_MSEC 10000
#define DEVICE_USEC (30 * G_USEC_PER_SEC)
#define DEVICE_LOOK_USEC 2000
#define RECORD_MAX (64 * 1024)

const char *const nbd_use_names[] = { "served", "ticket", "socket", "device", NULL };

struct nbd_servers {
	char *directory;
	GHashTable *table;               /* id -> struct nbd_server; under the storage's lock */
};

static void drop_lock(struct nbd_server *server)
{
	if (server->lock_fd)
		close(server->lock_fd);
	server->lock_fd = 0;
}

static void server_free(void *data)
{
	struct nbd_server *server = data;

	drop_lock(server);
	if (server->domain)
		chain_release(&server->hold);
	domain_free(server->domain);
	record_unref(server->config);
	g_free(server->id);
	g_free(server->url);
	g_free(server->address);
	g_free(server->moment);
	g_free(server);
}

char *nbd_file(struct storage *storage, const char *id, const char *suffix)
{
	return g_strdup_printf("%s/%s%s", storage->transfer->servers->directory, id, suffix);
}

void nbd_url_parts(const char *url, char **ret_socket, char **ret_name)
{
	const char *path = url + strlen("nbd:unix:"), *name = strstr(path, ":exportname=");

	*ret_socket = name ? g_strndup(path, (gsize)(name - path)) : g_strdup(path);
	*ret_name = g_strdup(name ? name + strlen(":exportname=") : "");
}

char *nbd_socket_path(struct storage *storage, const char *id)
{
	return nbd_file(storage, id, ".sock");
}

static void remove_files(struct storage *storage, const char *id)
{
	static const char *const suffixes[] = { ".json", ".sock", ".qcow2", ".marks", ".pid" };

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *path = nbd_file(storage, id, suffixes[i]);

		unlink(path);
	}
}

/* ---- processes ---- */

char *nbd_mark(const char *pid_file)
{
	return g_strconcat("--pid-file=", pid_file, NULL);
}

/* Is a word of its command line `mark`, or, with prefix, one that begins so? ret_word (may be NULL): that word, g_free */
static bool has_word(pid_t pid, const char *mark, bool prefix, char **ret_word)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
	g_autofree char *text = NULL;
	gsize length = 0;

	if (!g_file_get_contents(path, &text, &length, NULL))
		return false;
	for (const char *word = text; word < text + length; word += strlen(word) + 1)
		if (prefix ? g_str_has_prefix(word, mark) : !strcmp(word, mark)) {
			if (ret_word)
				*ret_word = g_strdup(word);
			return true;
		}
	return false;
}

/* false + ERR_TIMEOUT: it hangs in its storage. */
static bool end_process(pid_t pid, const char *mark, GError **error)
{
	autofd pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	static const int signals[] = { SIGTERM, SIGKILL };

	/* the number may be another's by now; from here on it is not */
	if (pidfd < 0 || !has_word(pid, mark, /* prefix= */ false, NULL))
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
		(void)syscall(SYS_pidfd_send_signal, pidfd, signals[i], NULL, 0);
		if (poll(&end, 1, STOP_MSEC) > 0)
			return true;
	}
	error_set(error, ERR_TIMEOUT, "qemu-nbd with pid %d does not end", (int)pid);
	return false;
}

/* 0: none */
static pid_t pid_in(const char *pid_file)
{
	g_autofree char *text = files_read(AT_FDCWD, pid_file, 32);

	return text ? (pid_t)strtol(text, NULL, 10) : 0;
}

static bool end_server(struct storage *storage, const char *id, GError **error)
{
	g_autofree char *pid_file = nbd_file(storage, id, ".pid");
	g_autofree char *mark = nbd_mark(pid_file);
	pid_t pid = pid_in(pid_file);

	if (pid > 0 && !end_process(pid, mark, error))
		return false;
	remove_files(storage, id);
	return true;
}

/* ---- what may be shown ---- */

static bool check_config(const struct nbd_config *config, GError **error)
{
	const char *wrong = config->bitmap && !config->backing_chain ? "a bitmap is shown with the whole chain only"
			  : config->bitmap && !config->readonly ? "a bitmap is shown for reading only"
			  : config->checkpoint_id && !config->readonly ? "what it was at a checkpoint is shown for reading only"
			  : config->checkpoint_id && (config->bitmap || !config->backing_chain)
				  ? "what it was at a checkpoint is shown as a whole, without bitmaps" : NULL;

	if (wrong)
		error_set(error, ERR_MISC_UNSUPPORTED_OPERATION, "volume '%s': %s", config->volume_id, wrong);
	return !wrong;
}

/* Holds the volumes of the chain that will be opened. */
static bool hold_volumes(struct storage *storage, struct nbd_server *server, GError **error)
{
	const struct nbd_config *config = server->config;
	struct domain *domain;

	if (config->checkpoint_id)
		return true;             /* the VM holds them */
	domain = domain_open_active(storage, config->domain_id, error);
	if (domain && chain_hold(&server->hold, domain, config->image_id, config->volume_id, !config->readonly, /* allow_illegal= */ !config->readonly, error)) {
		server->domain = domain;
		return true;
	}
	domain_free(domain);
	return false;
}

/* Is there what it was at the checkpoint? True also when it is not about one. */
static bool check_moment(struct storage *storage, struct nbd_server *server, GError **error)
{
	const struct nbd_config *config = server->config;
	const struct storage_disk disk = { .domain = config->domain_id, .image = config->image_id, .volume = config->volume_id };

	if (!config->checkpoint_id)
		return true;
	g_free(server->moment);
	server->moment = storage_moment_url(storage, &disk, config->checkpoint_id, error);
	return server->moment;
}

/* What it will show is there, and may be shown so. */
static bool check_volume(struct storage *storage, struct nbd_server *server, GError **error)
{
	const struct nbd_config *config = server->config;
	g_autoptr(metadata) values = NULL;

	if (config->checkpoint_id)
		return check_moment(storage, server, error);
	if (!(values = volume_read(server->domain, config->image_id, config->volume_id, error)))
		return false;
	if (!config->readonly && !strcmp(metadata_get(values, "VOLTYPE"), "SHARED"))
		error_set(error, ERR_SHARED_VOLUME_NON_WRITABLE, "'%s'", config->volume_id);
	else if (config->bitmap && strcmp(server->hold.format, "qcow2"))
		error_set(error, ERR_MISC_UNSUPPORTED_OPERATION, "volume '%s' is raw and has no bitmaps", config->volume_id);
	else
		return true;
	return false;
}

/* ---- records ---- */

static bool write_record(struct storage *storage, const struct nbd_server *server, GError **error)
{
	json_t *record = json_pack("{s:s, s:s, s:s, s:o}", "url", server->url, "address", server->address, "use", nbd_use_names[server->use], "config",
				   record_to_json(server->config, RECORD_STORE));
	g_autofree char *path = nbd_file(storage, server->id, ".json");
	char *text = json_dumps(record, JSON_COMPACT);
	g_autofree char *name = g_path_get_basename(path);
	autofd fd = files_open_dir(AT_FDCWD, storage->transfer->servers->directory);
	bool good = fd >= 0 && files_write(fd, name, text, 0600);

	if (!good)
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "'%s'", path);
	free(text);
	json_decref(record);
	return good;
}

static struct nbd_server *read_record(const char *directory, const char *name)
{
	autofd fd = files_open_dir(AT_FDCWD, directory);
	g_autofree char *text = fd >= 0 ? files_read(fd, name, RECORD_MAX) : NULL;
	json_t *record = text ? json_parse(text, strlen(text), NULL) : NULL;
	const char *url = json_string_value(json_object_get(record, "url")), *address = json_string_value(json_object_get(record, "address"));
	const char *use = json_string_value(json_object_get(record, "use"));
	struct nbd_config *config = record_from_json(&nbd_config_type, json_object_get(record, "config"), &(struct record_input){ .dialect = RECORD_STORE }, NULL);
	struct nbd_server *server = NULL;

	if (config && url && use && enum_value(nbd_use_names, use) >= 0) {
		server = g_new0(struct nbd_server, 1);
		server->id = g_strndup(name, strlen(name) - strlen(".json"));
		server->url = g_strdup(url);
		server->address = g_strdup(address ? address : "");
		server->use = (enum nbd_use)enum_value(nbd_use_names, use);
		server->config = g_steal_pointer(&config);
	}
	record_unref(config);
	json_decref(record);
	return server;
}

/* ---- the interface ---- */

static struct nbd_server *find(struct storage *storage, const char *id)
{
	return g_hash_table_lookup(storage->transfer->servers->table, id);
}

bool nbd_has(struct storage *storage, const char *id)
{
	AUTO_LOCK(&storage->lock);
	return find(storage, id) != NULL;
}

/* Claims the id. true with *ret_server NULL: it runs already, *ret_url says where. */
static bool enter(struct storage *storage, const char *id, enum nbd_use use, const struct nbd_config *config, const char *address,
		  struct nbd_server **ret_server, char **ret_url, GError **error)
{
	struct nbd_server *server;
	AUTO_LOCK(&storage->lock);

	server = find(storage, id);
	if (server && !server->busy && server->use == use && record_equal(server->config, config)) {
		*ret_url = g_strdup(server->url);
		return true;
	}
	if (server) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "NBD server '%s' %s", id, server->busy ? "is being started or ended" : "shows something else");
		return false;
	}
	server = g_new0(struct nbd_server, 1);
	server->id = g_strdup(id);
	server->address = g_strdup(address);
	server->use = use;
	server->config = record_ref(config);
	server->busy = true;
	g_hash_table_insert(storage->transfer->servers->table, server->id, server);
	*ret_server = server;
	return true;
}

/* A server that is busy, and so ours, leaves the table. Releasing its volumes may take long: not under the lock. */
static void leave(struct storage *storage, struct nbd_server *server)
{
	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_steal(storage->transfer->servers->table, server->id);
	}
	server_free(server);
}

/* qemu-nbd says that it is ready before the kernel has the device from it, which shows its pid then. Read or written earlier, it fails. No event tells. */
static bool wait_for_device(const struct nbd_server *server, GError **error)
{
	g_autofree char *name = server->use == NBD_DEVICE ? g_path_get_basename(server->url) : NULL;
	g_autofree char *pid = name ? g_strdup_printf("/sys/block/%s/pid", name) : NULL;

	for (int64_t end = now_usec() + DEVICE_USEC; pid && access(pid, F_OK) < 0; g_usleep(DEVICE_LOOK_USEC))
		if (now_usec() > end) {
			error_set(error, ERR_RESOURCE_TIMEOUT, "NBD server of volume '%s': the kernel did not take %s in time", server->config->volume_id, server->url);
			return false;
		}
	return true;
}

bool nbd_start(struct storage *storage, const char *id, enum nbd_use use, const struct nbd_config *config, const char *address, char **ret_url, GError **error)
{
	struct nbd_server *server = NULL;

	if (!check_config(config, error) || !claim_check(storage, config->domain_id, config->image_id, !config->readonly, error) ||
	    !enter(storage, id, use, config, address, &server, ret_url, error))
		return false;
	if (!server)
		return true;
	if (!hold_volumes(storage, server, error) || !check_volume(storage, server, error) || !nbd_run(storage, server, error)) {
		remove_files(storage, id);
		leave(storage, server);
		return false;
	}
	drop_lock(server);
	fault_point("nbd: started");
	/* the backup may have been asked to end before it could know of us */
	if (!wait_for_device(server, error) || !check_moment(storage, server, error) || !write_record(storage, server, error)) {
		if (!end_server(storage, id, NULL))
			log_error("NBD server %s, which nobody will be told of, does not end", id);
		leave(storage, server);
		return false;
	}
	log_info("volume %s is served at %s%s", config->volume_id, server->url, config->readonly ? ", read-only" : "");
	*ret_url = g_strdup(server->url);
	AUTO_LOCK(&storage->lock);
	server->busy = false;
	return true;
}

/* A device that is mounted, or part of something, cannot be opened alone. */
static bool check_unused(const struct nbd_server *server, GError **error)
{
	autofd fd = server->use == NBD_DEVICE ? open(server->url, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK) : -1;

	if (server->use != NBD_DEVICE || fd >= 0 || errno != EBUSY)
		return true;
	error_set(error, ERR_RESOURCE_UNAVAILABLE, "%s is in use", server->url);
	return false;
}

bool nbd_stop(struct storage *storage, const char *id, enum nbd_use use, GError **error)
{
	struct nbd_server *server;
	bool good;

	{
		AUTO_LOCK(&storage->lock);
		server = find(storage, id);
		if (!server || server->use != use)
			return true;
		if (server->busy) {
			error_set(error, ERR_RESOURCE_UNAVAILABLE, "NBD server '%s' is being started or ended", id);
			return false;
		}
		server->busy = true;
	}
	good = check_unused(server, error) && end_server(storage, id, error);
	if (good) {
		log_info("volume %s is no longer served at %s", server->config->volume_id, server->url);
		leave(storage, server);
		return true;
	}
	AUTO_LOCK(&storage->lock);
	server->busy = false;
	return false;
}

struct nbd_config *nbd_find_volume(struct storage *storage, const char *path, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	guint n = g_strv_length(parts), up = n >= 4 && !strcmp(parts[n - 3], "images") ? 4 : 3;
	struct chain_hold hold;
	autodomain domain = NULL;
	struct nbd_config *config;
	struct stat wanted, held;
	bool same;

	if (n < up || !files_is_uuid(parts[n - 1]) || !files_is_uuid(parts[n - 2]) || !files_is_uuid(parts[n - up])) {
		error_set(error, ERR_IMAGE_PATH_ERROR, "'%s' is no path of a volume", path);
		return NULL;
	}
	if (!(domain = domain_open_active(storage, parts[n - up], error)) ||
	    !chain_hold(&hold, domain, parts[n - 2], parts[n - 1], /* write= */ true, /* allow_illegal= */ true, error))
		return NULL;
	same = stat(path, &wanted) == 0 && stat(hold.path, &held) == 0 && wanted.st_dev == held.st_dev && wanted.st_ino == held.st_ino;
	chain_release(&hold);
	if (!same) {
		error_set(error, ERR_IMAGE_PATH_ERROR, "'%s' is not where volume '%s' is", path, parts[n - 1]);
		return NULL;
	}
	config = record_new(&nbd_config_type);
	config->domain_id = g_strdup(parts[n - up]);
	config->image_id = g_strdup(parts[n - 2]);
	config->volume_id = g_strdup(parts[n - 1]);
	record_defaults(config, 0);
	return config;
}

GPtrArray *nbd_ids(struct storage *storage, enum nbd_use use)
{
	GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *value;
	AUTO_LOCK(&storage->lock);

	g_hash_table_iter_init(&iter, storage->transfer->servers->table);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (((const struct nbd_server *)value)->use == use)
			g_ptr_array_add(ids, g_strdup(((const struct nbd_server *)value)->id));
	return ids;
}

char *storage_moment_reader(struct storage *storage, const char *const *moments)
{
	static const char *const ends[] = {
		[NBD_SERVED] = "NBD.stop_server", [NBD_TICKET] = "Host.remove_image_ticket", [NBD_SOCKET] = "Image.detachLocal", [NBD_DEVICE] = "Image.detachLocal",
	};
	GHashTableIter iter;
	void *value;
	AUTO_LOCK(&storage->lock);

	g_hash_table_iter_init(&iter, storage->transfer->servers->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct nbd_server *server = value;

		for (size_t i = 0; moments[i]; i++)
			if (!g_strcmp0(server->config->checkpoint_id, moments[i]))
				return g_strdup_printf("%s %s of image %s; %s ends it", server->use == NBD_SERVED ? "NBD server" : "attachment", server->id,
						       server->config->image_id, ends[server->use]);
	}
	return NULL;
}

GPtrArray *nbd_attachments(struct storage *storage)
{
	GPtrArray *list = list_new();
	GHashTableIter iter;
	void *value;
	AUTO_LOCK(&storage->lock);

	g_hash_table_iter_init(&iter, storage->transfer->servers->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct nbd_server *server = value;
		const char *path = server->url;
		struct attach_call *attachment;

		if ((server->use != NBD_SOCKET && server->use != NBD_DEVICE) || server->busy)
			continue;
		attachment = list_add(&list, &attachment_type);
		attachment->attachment_id = g_strdup(server->id);
		attachment->path = g_strdup(g_str_has_prefix(path, "nbd:unix:") ? path + strlen("nbd:unix:") : path);
		attachment->as = g_strdup(server->use == NBD_SOCKET ? "unix_socket" : "nbd_device");
		attachment->domain_id = g_strdup(server->config->domain_id);
		attachment->image_id = g_strdup(server->config->image_id);
		attachment->volume_id = g_strdup(server->config->volume_id);
		attachment->checkpoint_id = g_strdup(server->config->checkpoint_id);
		SET(attachment, readonly, server->config->readonly);
	}
	return list;
}

/* ---- after a restart ---- */

/* On the domain's lane: the volumes of its servers are held again. */
static void hold_again(struct storage *storage, const char *domain)
{
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *value;

	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_iter_init(&iter, storage->transfer->servers->table);
		while (g_hash_table_iter_next(&iter, NULL, &value)) {
			struct nbd_server *server = value;

			if (server->busy || server->domain || strcmp(server->config->domain_id, domain))
				continue;
			server->busy = true;
			g_ptr_array_add(ids, g_strdup(server->id));
		}
	}
	for (guint i = 0; i < ids->len; i++) {
		g_autoptr(GError) problem = NULL;
		struct nbd_server *server;

		{
			AUTO_LOCK(&storage->lock);
			server = find(storage, ids->pdata[i]);
		}
		if (!hold_volumes(storage, server, &problem))
			log_warn("volumes of NBD server %s are not held: %s", server->id, problem->message);
		AUTO_LOCK(&storage->lock);
		server->busy = false;
	}
}

static bool adopt(struct storage *storage, const char *name)
{
	struct nbd_servers *servers = storage->transfer->servers;
	struct nbd_server *server = read_record(servers->directory, name);
	g_autofree char *pid_file = server ? nbd_file(storage, server->id, ".pid") : NULL;
	g_autofree char *mark = server ? nbd_mark(pid_file) : NULL;
	pid_t pid = server ? pid_in(pid_file) : 0;

	if (!server)
		return false;
	if (pid <= 0 || !has_word(pid, mark, /* prefix= */ false, NULL)) {
		log_warn("NBD server %s is gone", server->id);
		server_free(server);
		return false;
	}
	g_hash_table_insert(servers->table, server->id, server);
	log_info("NBD server %s at %s goes on", server->id, server->url);
	return true;
}

/* Processes with a pid file of ours that no record knows. */
static void end_strays(struct storage *storage)
{
	struct nbd_servers *servers = storage->transfer->servers;
	g_autofree char *prefix = g_strdup_printf("--pid-file=%s/", servers->directory);
	g_autoptr(GPtrArray) names = files_list(AT_FDCWD, "/proc");

	for (guint i = 0; names && i < names->len; i++) {
		pid_t pid = (pid_t)strtol(names->pdata[i], NULL, 10);
		g_autoptr(GError) problem = NULL;
		g_autofree char *word = NULL;
		g_autofree char *id = NULL;

		if (pid <= 0 || !has_word(pid, prefix, /* prefix= */ true, &word))
			continue;
		id = g_strndup(word + strlen(prefix), strlen(word) - strlen(prefix) - MIN(strlen(".pid"), strlen(word) - strlen(prefix)));
		if (find(storage, id))
			continue;
		log_info("NBD server %s, which nobody was told of, ends", id);
		if (!end_process(pid, word, &problem))
			log_error("NBD server %s: %s", id, problem->message);
	}
}

static void recover(struct storage *storage)
{
	struct nbd_servers *servers = storage->transfer->servers;
	g_autoptr(GPtrArray) names = files_list(AT_FDCWD, servers->directory);
	GHashTableIter iter;
	void *value;

	for (guint i = 0; names && i < names->len; i++)
		if (g_str_has_suffix(names->pdata[i], ".json"))
			(void)adopt(storage, names->pdata[i]);
	end_strays(storage);
	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *id = g_strndup(names->pdata[i], strcspn(names->pdata[i], "."));

		if (files_is_uuid(id) && !find(storage, id))
			remove_files(storage, id);
	}
	g_hash_table_iter_init(&iter, servers->table);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		(void)storage_submit(storage, "domain", ((struct nbd_server *)value)->config->domain_id, "hold served volumes", hold_again);
}

struct nbd_servers *nbd_servers_new(struct storage *storage)
{
	struct nbd_servers *servers = g_new0(struct nbd_servers, 1);

	servers->directory = g_build_filename(storage->agent->run_dir, "nbd", NULL);
	servers->table = g_hash_table_new(g_str_hash, g_str_equal);
	if (g_mkdir_with_parents(servers->directory, 0755) < 0)
		log_error("cannot make directory %s: %s", servers->directory, g_strerror(errno));
	storage->transfer->servers = servers;
	recover(storage);
	return servers;
}

struct nbd_servers *nbd_servers_free(struct nbd_servers *servers)
{
	GHashTableIter iter;
	void *value;

	if (!servers)
		return NULL;
	g_hash_table_iter_init(&iter, servers->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct nbd_server *server = value;

		/* the server goes on, and so does what it holds */
		chain_keep(&server->hold);
		g_clear_pointer(&server->domain, domain_free);
		server_free(server);
	}
	g_hash_table_unref(servers->table);
	g_free(servers->directory);
	g_free(servers);
	return NULL;
}
