/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What qemu-nbd is told, and how it is started: in the background when it answers (--fork), on a socket, a port or a block device.
 *
 * Bitmaps: one that is in several volumes of a chain (each snapshot begins a new one of the same name) is merged into <id>.qcow2, an empty image on top
 * of the chain, which is then shown; qemu-nbd alone would show the uppermost. So does vdsm (lib/vdsm/storage/nbd.py).
 *
 * TLS: the agent's own certificate; only clients with a certificate of its CA get in (verify-peer).
 *
 * A raw image that is only read QEMU lets others write; see keep_writers_out().
 *
 * The disk of a running VM as it was at a checkpoint is what the backup of that moment serves (backup.c of virt): qemu-nbd is a client of it then.
 */
#define LOG_MODULE "nbd"
#include "agent/storage/transfer/nbd_server-priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/peer.h"
#include "agent/process.h"
#include "agent/storage/transfer/transfer.h"

#define START_USEC (60 * G_USEC_PER_SEC)
#define DEVICES_MAX 256

static bool is_raw(const struct nbd_server *server)
{
	return server->use == NBD_TICKET || server->moment || !strcmp(server->hold.format, "raw");
}

/* What its driver reads, a JSON object as qemu-nbd wants it. */
static json_t *image_file(const struct nbd_server *server, const char *overlay)
{
	struct stat st;
	bool device = !server->moment && !overlay && stat(server->hold.path, &st) == 0 && S_ISBLK(st.st_mode);
	g_autofree char *socket = NULL, *export = NULL;

	if (!server->moment)
		return json_pack("{s:s, s:s}", "driver", device ? "host_device" : "file", "filename", overlay ? overlay : server->hold.path);
	nbd_url_parts(server->moment, &socket, &export);
	return json_pack("{s:s, s:{s:s, s:s}, s:s}", "driver", "nbd", "server", "type", "unix", "path", socket, "export", export);
}

/* The image with its driver named, so that nothing is guessed. g_free */
static char *image_of(const struct nbd_server *server, const char *overlay)
{
	const char *format = is_raw(server) ? "raw" : "qcow2";
	json_t *image = json_pack("{s:s, s:o}", "driver", format, "file", image_file(server, overlay));
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

static GPtrArray *command(struct storage *storage, const struct nbd_server *server, const char *overlay)
{
	const struct nbd_config *config = server->config;
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *pid_file = nbd_file(storage, server->id, ".pid");

	add(argv, g_strdup("/usr/bin/qemu-nbd"));
	add(argv, g_strdup("--fork"));
	add(argv, nbd_mark(pid_file));
	add(argv, g_strdup("--persistent"));
	add(argv, g_strdup_printf("--shared=%d", NBD_CLIENTS_MAX));
	add(argv, g_strdup("--export-name="));
	if (server->domain && server->domain->block) {
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
static void blame(const struct process *process, const struct nbd_server *server, GError **error)
{
	enum error_code code = qemu_img_code(g_strstrip(process->output->str));

	error_set(error, code, "NBD server of volume '%s': %s%s", server->config->volume_id, process->output->str,
		  code == ERR_VOLUME_IS_BUSY && server->config->readonly ? "; while a VM writes it, it can be read as it was at a checkpoint" : "");
}

/* What QEMU does for formats with metadata: no one else may write, as long as there is this qemu-nbd, which inherits the file. */
static bool keep_writers_out(struct nbd_server *server, GError **error)
{
	int fd = volume_open(server->domain, server->config->image_id, server->config->volume_id, O_RDONLY, error);

	if (fd < 0)
		return false;
	server->lock_fd = fd;
	return volume_keep_writers_out(fd, server->config->volume_id, error);
}

/* true: it ran, and process->status says how it went. Takes over words. */
static bool attempt(const struct nbd_server *server, GPtrArray *words, char *where, const char *image, struct process *process, GError **error)
{
	g_autoptr(GPtrArray) argv = words;

	add(argv, where);
	add(argv, g_strdup("--"));
	add(argv, g_strdup(image));
	add(argv, NULL);
	*process = (struct process){ .argv = (const char *const *)argv->pdata, .limit_usec = START_USEC, .keep_fd = server->lock_fd };
	return process_run(process, error);
}

static bool run_on_socket(struct storage *storage, struct nbd_server *server, const char *image, const char *overlay, GError **error)
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
static bool run_on_port(struct storage *storage, struct nbd_server *server, const char *image, const char *overlay, GError **error)
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
static bool run_on_device(struct storage *storage, struct nbd_server *server, const char *image, GError **error)
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
static GPtrArray *find_bitmaps(const struct nbd_server *server, int64_t *ret_granularity, GError **error)
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

/* -1 + error */
static int64_t virtual_size(const char *path, GError **error)
{
	json_t *info = qemu_img_info(path, "qcow2", error);
	int64_t size = info ? json_integer_value(json_object_get(info, "virtual-size")) : -1;

	json_decref(info);
	return size;
}

/*
 * The volume's bitmap is joined with that of the overlay, which has this size. qemu-img joins only bitmaps of one size; that of a volume of another (the image
 * was made larger above it) goes by way of an image without data, which is resized with its bitmap.
 */
static bool join_bitmap(struct storage *storage, const struct nbd_server *server, const char *volume, const char *overlay, int64_t size, int64_t granularity,
			GError **error)
{
	const char *name = server->config->bitmap;
	g_autofree char *path = nbd_file(storage, server->id, ".marks");
	int64_t own = virtual_size(volume, error);
	bool good;

	if (own < 0 || own == size)
		return own == size && qemu_img_bitmap_merge(volume, overlay, name, error);
	unlink(path);
	good = qemu_img_create(&(struct qemu_img_create){ .path = path, .format = "qcow2", .size = (uint64_t)own }, error) &&
	       qemu_img_bitmap_add(path, name, granularity, error) && qemu_img_bitmap_merge(volume, path, name, error) &&
	       qemu_img_resize(path, "qcow2", (uint64_t)size, /* shrink= */ size < own, /* preallocate= */ false, error) &&
	       qemu_img_bitmap_merge(path, overlay, name, error);
	unlink(path);
	return good;
}

/* ret_overlay: path of the image to show instead of the volume, or NULL. */
static bool join_bitmaps(struct storage *storage, const struct nbd_server *server, char **ret_overlay, GError **error)
{
	const char *name = server->config->bitmap;
	int64_t granularity;
	g_autoptr(GPtrArray) found = find_bitmaps(server, &granularity, error);
	g_autofree char *path = nbd_file(storage, server->id, ".qcow2");
	int64_t size;

	if (!found)
		return false;
	if (found->len == 1 && !strcmp(found->pdata[0], server->hold.path))
		return true;
	unlink(path);
	if ((size = virtual_size(server->hold.path, error)) < 0 ||
	    !qemu_img_create(&(struct qemu_img_create){ .path = path, .format = "qcow2", .size = (uint64_t)size, .backing = server->hold.path,
							.backing_format = "qcow2" }, error) ||
	    !qemu_img_bitmap_add(path, name, granularity, error))
		return false;
	for (guint i = 0; i < found->len; i++)
		if (!join_bitmap(storage, server, found->pdata[i], path, size, granularity, error))
			return false;
	*ret_overlay = g_steal_pointer(&path);
	return true;
}

bool nbd_run(struct storage *storage, struct nbd_server *server, GError **error)
{
	g_autofree char *overlay = NULL;
	g_autofree char *image = NULL;

	if (server->config->bitmap && !join_bitmaps(storage, server, &overlay, error))
		return false;
	if (server->config->readonly && !server->moment && is_raw(server) && !keep_writers_out(server, error))
		return false;
	image = image_of(server, overlay);
	if (server->use == NBD_DEVICE)
		return run_on_device(storage, server, image, error);
	return server->config->tls ? run_on_port(storage, server, image, overlay, error) : run_on_socket(storage, server, image, overlay, error);
}
