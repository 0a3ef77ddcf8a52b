/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NBD servers of single volumes: one qemu-nbd each, so that QEMU's own locks keep writers apart, also from other hosts: a volume that a VM writes is
 * refused, and a VM whose disk is served does not start. A raw image that is only read QEMU lets others write; see keep_writers_out().
 *
 * A server outlives the agent (qemu-nbd --fork, systemd's KillMode=process), because its clients do. What is needed to know it again lies in run_dir/nbd:
 *
 *	<id>.pid     of qemu-nbd, by qemu-nbd
 *	<id>.json    what was asked for and the answer; written when it runs, before the caller is told
 *	<id>.sock, <id>.qcow2 (see bitmaps)
 *
 * After a restart each record whose process is there is taken over and holds its volumes again; every other process whose command line names one of our
 * pid files is ended: its start was never acknowledged, or its end was asked for. A boot removes all of it.
 *
 * Bitmaps: one that is in several volumes of a chain (each snapshot begins a new one of the same name) is merged into <id>.qcow2, an empty image on top
 * of the chain, which is then shown; qemu-nbd alone would show the uppermost. So does vdsm (lib/vdsm/storage/nbd.py).
 *
 * TLS: the agent's own certificate; only clients with a certificate of its CA get in (verify-peer).
 */
#define LOG_MODULE "nbd"
#include "agent/storage/transfer/nbd_server.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "agent/fault.h"
#include "agent/peer.h"
#include "agent/process.h"
#include "agent/storage/data/data.h"
#include "agent/storage/transfer/transfer.h"
#include "common/log.h"

#define START_USEC (60 * G_USEC_PER_SEC)
#define STOP_MSEC 10000
#define RECORD_MAX (64 * 1024)
#define DEVICES_MAX 256

const char *const nbd_use_names[] = { "served", "ticket", "socket", "device", NULL };

struct server {
	char *id, *url, *address;
	enum nbd_use use;
	struct nbd_config *config;
	bool busy;                       /* being started or ended, by one worker, whose it is meanwhile */
	struct domain *domain;           /* of hold; NULL: the volumes are not held (yet) */
	struct chain_hold hold;
	int lock_fd;                     /* while it is being started, see keep_writers_out(); 0: none */
};

struct nbd_servers {
	char *directory;
	GHashTable *table;               /* id -> struct server; under the storage's lock */
};

static void drop_lock(struct server *server)
{
	if (server->lock_fd)
		close(server->lock_fd);
	server->lock_fd = 0;
}

static void server_free(void *data)
{
	struct server *server = data;

	drop_lock(server);
	if (server->domain)
		chain_release(&server->hold);
	domain_free(server->domain);
	record_unref(server->config);
	g_free(server->id);
	g_free(server->url);
	g_free(server->address);
	g_free(server);
}

static char *file_of(struct storage *storage, const char *id, const char *suffix)
{
	return g_strdup_printf("%s/%s%s", storage->transfer->servers->directory, id, suffix);
}

char *nbd_socket_path(struct storage *storage, const char *id)
{
	return file_of(storage, id, ".sock");
}

static void remove_files(struct storage *storage, const char *id)
{
	static const char *const suffixes[] = { ".json", ".sock", ".qcow2", ".pid" };

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *path = file_of(storage, id, suffixes[i]);

		unlink(path);
	}
}

/* ---- processes ---- */

/* The option by which a process is known to be the server with this pid file; g_free */
static char *mark_of(const char *pid_file)
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
	g_autofree char *pid_file = file_of(storage, id, ".pid");
	g_autofree char *mark = mark_of(pid_file);
	pid_t pid = pid_in(pid_file);

	if (pid > 0 && !end_process(pid, mark, error))
		return false;
	remove_files(storage, id);
	return true;
}

/* ---- what qemu-nbd is told ---- */

/* A bitmap is not shown of these. */
static bool is_raw(const struct server *server)
{
	return server->use == NBD_TICKET || !strcmp(server->hold.format, "raw");
}

/* The image with its driver named, so that nothing is guessed. g_free */
static char *image_of(const struct server *server, const char *overlay)
{
	const char *format = is_raw(server) ? "raw" : "qcow2";
	struct stat st;
	bool device = !overlay && stat(server->hold.path, &st) == 0 && S_ISBLK(st.st_mode);
	json_t *image = json_pack("{s:s, s:{s:s, s:s}}", "driver", format, "file", "driver", device ? "host_device" : "file", "filename",
				  overlay ? overlay : server->hold.path);
	char *text, *name;

	if (!strcmp(format, "qcow2") && !server->config->backing_chain)
		json_object_set_new(image, "backing", json_null());
	text = json_dumps(image, JSON_COMPACT);
	name = g_strconcat("json:", text, NULL);
	free(text);
	json_decref(image);
	return name;
}

/* Where qemu-nbd looks for its certificates. NULL + error. g_free */
static char *credentials(struct storage *storage, GError **error)
{
	static const char *const files[] = { "ca-cert.pem", "server-cert.pem", "server-key.pem" };

	if (!config_bool(storage->agent->config, "rpc", "plain"))
		return peer_credentials(storage->agent, "nbd-pki", files, error);
	error_set(error, ERR_MISC_UNSUPPORTED_OPERATION, "tls: this agent works without TLS ([rpc] plain)");
	return NULL;
}

static void add(GPtrArray *argv, char *word)
{
	g_ptr_array_add(argv, word);
}

static GPtrArray *command(struct storage *storage, const struct server *server, const char *overlay)
{
	const struct nbd_config *config = server->config;
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *pid_file = file_of(storage, server->id, ".pid");

	add(argv, g_strdup("/usr/bin/qemu-nbd"));
	add(argv, g_strdup("--fork"));
	add(argv, mark_of(pid_file));
	add(argv, g_strdup("--persistent"));
	add(argv, g_strdup_printf("--shared=%d", NBD_CLIENTS_MAX));
	add(argv, g_strdup("--export-name="));
	if (server->domain->block) {
		/* other hosts write there too: what the page cache has may be old */
		add(argv, g_strdup("--cache=none"));
		add(argv, g_strdup("--aio=native"));
	}
	if (config->readonly)
		add(argv, g_strdup("--read-only"));
	if (config->discard && !config->readonly)
		add(argv, g_strdup("--discard=unmap"));
	if (config->detect_zeroes && !config->readonly)
		add(argv, g_strdup_printf("--detect-zeroes=%s", config->discard ? "unmap" : "on"));
	if (config->bitmap)
		add(argv, g_strdup_printf("--bitmap=%s", config->bitmap));
	if (!config->backing_chain)
		add(argv, g_strdup("--allocation-depth"));
	return argv;
}

/* ---- starting ---- */

/* The text of a failure, without the program's name before each line. */
static void blame(const struct process *process, const struct server *server, GError **error)
{
	g_strstrip(process->output->str);
	error_set(error, qemu_img_code(process->output->str), "NBD server of volume '%s': %s", server->config->volume_id, process->output->str);
}

/*
 * What QEMU does for formats with metadata: no one else may write. Its locks are read locks on single bytes of the open file: 100 + n for who does n, 200 + n
 * for who does not want others to (block/file-posix.c; n = 1: write). Such a lock belongs to the open file, which qemu-nbd inherits: it is there as
 * long as qemu-nbd.
 */
static bool keep_writers_out(struct server *server, GError **error)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1 };
	struct flock writer = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1 };
	int fd = volume_open(server->domain, server->config->image_id, server->config->volume_id, O_RDONLY, error);

	if (fd < 0)
		return false;
	server->lock_fd = fd;
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0 && fcntl(fd, F_OFD_GETLK, &writer) == 0 && writer.l_type == F_UNLCK)
		return true;
	error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is being written", server->config->volume_id);
	return false;
}

/* true: it ran, and process->status says how it went. Takes over words. */
static bool attempt(const struct server *server, GPtrArray *words, char *where, const char *image, struct process *process, GError **error)
{
	g_autoptr(GPtrArray) argv = words;

	add(argv, where);
	add(argv, g_strdup("--"));
	add(argv, g_strdup(image));
	add(argv, NULL);
	*process = (struct process){ .argv = (const char *const *)argv->pdata, .limit_usec = START_USEC, .keep_fd = server->lock_fd };
	return process_run(process, error);
}

static bool run_on_socket(struct storage *storage, struct server *server, const char *image, const char *overlay, GError **error)
{
	g_autofree char *path = nbd_socket_path(storage, server->id);
	struct process process;

	unlink(path);
	if (!attempt(server, command(storage, server, overlay), g_strconcat("--socket=", path, NULL), image, &process, error))
		return false;
	if (process.status)
		blame(&process, server, error);
	else
		server->url = g_strconcat("nbd:unix:", path, NULL);
	g_string_free(process.output, TRUE);
	return server->url;
}

/* The first free port. */
static bool run_on_port(struct storage *storage, struct server *server, const char *image, const char *overlay, GError **error)
{
	int first = (int)config_int(storage->agent->config, "transfer", "nbd_port");
	g_autofree char *directory = credentials(storage, error);
	g_autofree char *host = peer_uri_host(server->address);
	bool taken = directory != NULL;

	for (int port = first; taken && port < first + NBD_PORTS && port < 65536; port++) {
		GPtrArray *argv = command(storage, server, overlay);
		struct process process;

		add(argv, g_strdup("--object"));
		add(argv, g_strdup_printf("tls-creds-x509,id=tls0,endpoint=server,verify-peer=on,dir=%s", directory));
		add(argv, g_strdup("--tls-creds=tls0"));
		add(argv, g_strdup_printf("--bind=%s", config_string(storage->agent->config, "rpc", "address")));
		if (!attempt(server, argv, g_strdup_printf("--port=%d", port), image, &process, error))
			return false;
		if (!process.status)
			server->url = g_strdup_printf("nbds://%s:%d", host, port);
		else if (!strstr(process.output->str, "Address already in use"))
			blame(&process, server, error);
		taken = process.status && strstr(process.output->str, "Address already in use");
		g_string_free(process.output, TRUE);
	}
	if (taken)
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "NBD server of volume '%s': no free port from %d on", server->config->volume_id, first);
	return server->url;
}

/* The first free device of the kernel's nbd module: those that have a server have a pid. */
static bool run_on_device(struct storage *storage, struct server *server, const char *image, GError **error)
{
	for (int i = 0; i < DEVICES_MAX; i++) {
		g_autofree char *device = g_strdup_printf("/dev/nbd%d", i);
		g_autofree char *used = g_strdup_printf("/sys/block/nbd%d/pid", i);
		struct process process;

		if (!g_file_test(device, G_FILE_TEST_EXISTS))
			break;
		if (g_file_test(used, G_FILE_TEST_EXISTS))
			continue;
		if (!attempt(server, command(storage, server, NULL), g_strconcat("--connect=", device, NULL), image, &process, error))
			return false;
		if (!process.status)
			server->url = g_steal_pointer(&device);
		else
			blame(&process, server, error);
		g_string_free(process.output, TRUE);
		return server->url;
	}
	error_set(error, ERR_RESOURCE_UNAVAILABLE, "no free /dev/nbd*: is the module nbd loaded?");
	return false;
}

/* Which volumes of the chain have the bitmap: their paths, the uppermost first; ret_granularity: the finest. NULL + error. g_ptr_array_unref */
static GPtrArray *find_bitmaps(const struct server *server, int64_t *ret_granularity, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *directory = g_path_get_dirname(server->hold.path);

	*ret_granularity = 0;
	for (guint i = 0; i < server->hold.volumes->len; i++) {
		const char *volume = server->hold.volumes->pdata[i];
		g_autoptr(metadata) values = volume_read(server->domain, server->config->image_id, volume, error);
		g_autofree char *path = g_build_filename(directory, volume, NULL);
		json_t *bitmaps, *bitmap;
		int64_t granularity;

		if (!values)
			return NULL;
		if (strcmp(volume_format(values), "qcow2"))
			continue;
		if (!(bitmaps = qemu_img_bitmaps(path, "qcow2", error)))
			return NULL;
		if ((bitmap = json_object_get(bitmaps, server->config->bitmap))) {
			granularity = json_integer_value(json_object_get(bitmap, "granularity"));
			*ret_granularity = *ret_granularity ? MIN(*ret_granularity, granularity) : granularity;
			g_ptr_array_add(found, g_steal_pointer(&path));
		}
		json_decref(bitmaps);
	}
	if (found->len)
		return g_steal_pointer(&found);
	error_set(error, ERR_BITMAP_DOES_NOT_EXIST, "'%s' is in no volume of '%s' and below", server->config->bitmap, server->config->volume_id);
	return NULL;
}

/* ret_overlay: path of the image to show instead of the volume, or NULL. */
static bool join_bitmaps(struct storage *storage, const struct server *server, char **ret_overlay, GError **error)
{
	const char *name = server->config->bitmap;
	int64_t granularity;
	g_autoptr(GPtrArray) found = find_bitmaps(server, &granularity, error);
	g_autofree char *path = file_of(storage, server->id, ".qcow2");
	g_autoptr(metadata) values = NULL;

	if (!found)
		return false;
	if (found->len == 1)
		return true;
	values = volume_read(server->domain, server->config->image_id, server->config->volume_id, error);
	unlink(path);
	if (!values || !qemu_img_create(&(struct qemu_img_create){ .path = path, .format = "qcow2", .size = (uint64_t)metadata_get_int(values, "CAP", 0),
								   .backing = server->hold.path, .backing_format = "qcow2" }, error) ||
	    !qemu_img_bitmap_add(path, name, granularity, error))
		return false;
	for (guint i = 0; i < found->len; i++)
		if (!qemu_img_bitmap_merge(found->pdata[i], path, name, error))
			return false;
	*ret_overlay = g_steal_pointer(&path);
	return true;
}

static bool run_server(struct storage *storage, struct server *server, GError **error)
{
	g_autofree char *overlay = NULL;
	g_autofree char *image = NULL;

	if (server->config->bitmap && !join_bitmaps(storage, server, &overlay, error))
		return false;
	if (server->config->readonly && is_raw(server) && !keep_writers_out(server, error))
		return false;
	image = image_of(server, overlay);
	if (server->use == NBD_DEVICE)
		return run_on_device(storage, server, image, error);
	return server->config->tls ? run_on_port(storage, server, image, overlay, error) : run_on_socket(storage, server, image, overlay, error);
}

/* ---- what may be shown ---- */

static bool check_config(const struct nbd_config *config, GError **error)
{
	const char *wrong = config->bitmap && !config->backing_chain ? "a bitmap is shown with the whole chain only"
			  : config->bitmap && !config->readonly ? "a bitmap is shown for reading only" : NULL;

	if (wrong)
		error_set(error, ERR_MISC_UNSUPPORTED_OPERATION, "volume '%s': %s", config->volume_id, wrong);
	return !wrong;
}

/* Holds the volumes of the chain that will be opened. */
static bool hold_volumes(struct storage *storage, struct server *server, GError **error)
{
	const struct nbd_config *config = server->config;
	struct domain *domain = domain_open_active(storage, config->domain_id, error);

	if (domain && chain_hold(&server->hold, domain, config->image_id, config->volume_id, !config->readonly, /* allow_illegal= */ !config->readonly, error)) {
		server->domain = domain;
		return true;
	}
	domain_free(domain);
	return false;
}

static bool check_volume(const struct server *server, GError **error)
{
	const struct nbd_config *config = server->config;
	g_autoptr(metadata) values = volume_read(server->domain, config->image_id, config->volume_id, error);

	if (!values)
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

static bool write_record(struct storage *storage, const struct server *server, GError **error)
{
	json_t *record = json_pack("{s:s, s:s, s:s, s:o}", "url", server->url, "address", server->address, "use", nbd_use_names[server->use], "config",
				   record_to_json(server->config, RECORD_STORE));
	g_autofree char *path = file_of(storage, server->id, ".json");
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

static struct server *read_record(const char *directory, const char *name)
{
	autofd fd = files_open_dir(AT_FDCWD, directory);
	g_autofree char *text = fd >= 0 ? files_read(fd, name, RECORD_MAX) : NULL;
	json_t *record = text ? json_parse(text, strlen(text), NULL) : NULL;
	const char *url = json_string_value(json_object_get(record, "url")), *address = json_string_value(json_object_get(record, "address"));
	const char *use = json_string_value(json_object_get(record, "use"));
	struct nbd_config *config = record_from_json(&nbd_config_type, json_object_get(record, "config"), &(struct record_input){ .dialect = RECORD_STORE }, NULL);
	struct server *server = NULL;

	if (config && url && use && enum_value(nbd_use_names, use) >= 0) {
		server = g_new0(struct server, 1);
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

static struct server *find(struct storage *storage, const char *id)
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
		  struct server **ret_server, char **ret_url, GError **error)
{
	struct server *server;
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
	server = g_new0(struct server, 1);
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
static void leave(struct storage *storage, struct server *server)
{
	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_steal(storage->transfer->servers->table, server->id);
	}
	server_free(server);
}

bool nbd_start(struct storage *storage, const char *id, enum nbd_use use, const struct nbd_config *config, const char *address, char **ret_url, GError **error)
{
	struct server *server = NULL;

	if (!check_config(config, error) || !claim_check(storage, config->domain_id, config->image_id, !config->readonly, error) ||
	    !enter(storage, id, use, config, address, &server, ret_url, error))
		return false;
	if (!server)
		return true;
	if (!hold_volumes(storage, server, error) || !check_volume(server, error) || !run_server(storage, server, error)) {
		remove_files(storage, id);
		leave(storage, server);
		return false;
	}
	drop_lock(server);
	fault_point("nbd: started");
	if (!write_record(storage, server, error)) {
		if (!end_server(storage, id, NULL))
			log_error("NBD server %s, which could not be recorded, does not end", id);
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
static bool check_unused(const struct server *server, GError **error)
{
	autofd fd = server->use == NBD_DEVICE ? open(server->url, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK) : -1;

	if (server->use != NBD_DEVICE || fd >= 0 || errno != EBUSY)
		return true;
	error_set(error, ERR_RESOURCE_UNAVAILABLE, "%s is in use", server->url);
	return false;
}

bool nbd_stop(struct storage *storage, const char *id, enum nbd_use use, GError **error)
{
	struct server *server;
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
		if (((const struct server *)value)->use == use)
			g_ptr_array_add(ids, g_strdup(((const struct server *)value)->id));
	return ids;
}

GPtrArray *nbd_attachments(struct storage *storage)
{
	GPtrArray *list = list_new();
	GHashTableIter iter;
	void *value;
	AUTO_LOCK(&storage->lock);

	g_hash_table_iter_init(&iter, storage->transfer->servers->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct server *server = value;
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
			struct server *server = value;

			if (server->busy || server->domain || strcmp(server->config->domain_id, domain))
				continue;
			server->busy = true;
			g_ptr_array_add(ids, g_strdup(server->id));
		}
	}
	for (guint i = 0; i < ids->len; i++) {
		g_autoptr(GError) problem = NULL;
		struct server *server;

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
	struct server *server = read_record(servers->directory, name);
	g_autofree char *pid_file = server ? file_of(storage, server->id, ".pid") : NULL;
	g_autofree char *mark = server ? mark_of(pid_file) : NULL;
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
		(void)storage_submit(storage, "domain", ((struct server *)value)->config->domain_id, "hold served volumes", hold_again);
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
		struct server *server = value;

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
