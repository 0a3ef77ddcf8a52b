/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TPM state and UEFI variables.
 *
 * Where: swtpm writes into [libvirt] swtpm_dir/<vm> (the path is libvirt's), QEMU into state_dir/nvram/<vm>.fd (the path is ours, domain_os.c). libvirt is
 * told to leave both alone when the VM ends.
 *
 * Form on the wire, vdsm's: text "=0=" and base64 of the bzip2 of the data; without the mark, base64 of the data themselves. The data are the file, or the
 * tar.xz of the directory.
 *
 * The engine is told the data's SHA-256 in the statistics (tpmHash, nvramHash; looked at every EXTERNAL_PERIOD_USEC), fetches what changed with
 * VM.getExternalData, as a rule once more between the VM's end and VM.destroy, and sends it with the next VM.create, to whatever host. What came with VM.create
 * replaces what is here. VM.destroy removes the data when somebody fetched them as they are, or when the VM left for another host and took them along; else
 * they are only here, and stay: a VM whose engine does not care for them finds them at its next start on this host.
 *
 * A killed agent: files are replaced as a whole (rename), so that at each instant there is the old or the new state.
 */
#define LOG_MODULE "virt"
#include "agent/virt/domain/external_data.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/fault.h"
#include "common/lock.h"
#include "common/log.h"

#define EXTERNAL_PERIOD_USEC (60 * G_USEC_PER_SEC)
#define EXTERNAL_SIZE_MAX (16 << 20)            /* bytes, unpacked */
#define READ_TRIES 5
#define SWTPM_USER "tss"                        /* libvirt's default for swtpm_user */

static const char *const kind_names[] = { [EXTERNAL_TPM] = "tpm", [EXTERNAL_NVRAM] = "nvram", NULL };

/* ---- libarchive to and from memory ---- */

static la_ssize_t append(struct archive *archive, void *data, const void *buffer, size_t length)
{
	g_byte_array_append(data, buffer, (guint)length);
	return (la_ssize_t)length;
}

static bool fail(struct archive *archive, const char *what, GError **error)
{
	error_set(error, ERR_EXTERNAL_DATA_FAILED, "%s: %s", what, archive_error_string(archive));
	return false;
}

static bool add_entry(struct archive *archive, const char *name, const struct stat *st, const void *data, size_t length)
{
	struct archive_entry *entry = archive_entry_new();
	bool good;

	archive_entry_set_pathname_utf8(entry, name);
	archive_entry_set_filetype(entry, S_ISDIR(st->st_mode) ? AE_IFDIR : AE_IFREG);
	archive_entry_set_perm(entry, st->st_mode & 0777);
	archive_entry_set_mtime(entry, st->st_mtime, 0);
	archive_entry_set_size(entry, (la_int64_t)length);
	good = archive_write_header(archive, entry) == ARCHIVE_OK && (!length || archive_write_data(archive, data, length) == (la_ssize_t)length);
	archive_entry_free(entry);
	return good;
}

char *external_encode(GBytes *data)
{
	struct archive *archive = archive_write_new();
	g_autoptr(GByteArray) out = g_byte_array_new();
	const struct stat st = { .st_mode = S_IFREG | 0600 };
	gsize length;
	const void *bytes = g_bytes_get_data(data, &length);
	g_autofree char *base64 = NULL;
	bool good;

	archive_write_set_bytes_in_last_block(archive, 1);
	good = archive_write_set_format_raw(archive) == ARCHIVE_OK && archive_write_add_filter_bzip2(archive) == ARCHIVE_OK &&
	       archive_write_open2(archive, out, NULL, append, NULL, NULL) == ARCHIVE_OK && add_entry(archive, "data", &st, bytes, length) &&
	       archive_write_close(archive) == ARCHIVE_OK;
	archive_write_free(archive);
	if (!good)
		return NULL;
	base64 = g_base64_encode(out->data, out->len);
	return g_strconcat("=0=", base64, NULL);
}

/* All of the entry that was just read; NULL: too long or broken. */
static GBytes *read_entry(struct archive *archive)
{
	GByteArray *data = g_byte_array_new();
	char buffer[65536];
	la_ssize_t n;

	while ((n = archive_read_data(archive, buffer, sizeof(buffer))) > 0 && data->len + (size_t)n <= EXTERNAL_SIZE_MAX)
		g_byte_array_append(data, (const guint8 *)buffer, (guint)n);
	if (!n)
		return g_byte_array_free_to_bytes(data);
	g_byte_array_unref(data);
	return NULL;
}

static GBytes *unzip(const void *bytes, size_t length, GError **error)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	GBytes *data = NULL;

	archive_read_support_filter_bzip2(archive);
	archive_read_support_format_raw(archive);
	if (archive_read_open_memory(archive, bytes, length) == ARCHIVE_OK && archive_read_next_header(archive, &entry) == ARCHIVE_OK &&
	    archive_filter_code(archive, 0) == ARCHIVE_FILTER_BZIP2)
		data = read_entry(archive);
	if (!data)
		error_set(error, ERR_EXTERNAL_DATA_FAILED, "it is not compressed with bzip2, or is longer than %d bytes", EXTERNAL_SIZE_MAX);
	archive_read_free(archive);
	return data;
}

GBytes *external_decode(const char *text, GError **error)
{
	bool marked = text[0] == '=' && text[1] && text[2] == '=';
	const char *base64 = marked ? text + 3 : text;
	gsize length = 0;
	g_autofree guchar *bytes = NULL;

	if (marked && text[1] != '0') {
		error_set(error, ERR_EXTERNAL_DATA_FAILED, "its format '%c' is not known", text[1]);
		return NULL;
	}
	if (strspn(base64, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n") != strlen(base64)) {
		error_set(error, ERR_EXTERNAL_DATA_FAILED, "it is not base64");
		return NULL;
	}
	bytes = g_base64_decode(base64, &length);
	return marked ? unzip(bytes, length, error) : g_bytes_new(bytes, length);
}

/* ---- a directory as an archive ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, so that the same state always gives the same archive. */
static GPtrArray *names_in(const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, by_name);
	return names;
}

/* name: below the directory, "./tpm2"; files and directories, nothing else. */
static bool pack(struct archive *archive, const char *directory, const char *name, int depth)
{
	g_autofree char *path = g_build_filename(directory, name, NULL), *data = NULL;
	g_autoptr(GPtrArray) names = NULL;
	gsize length = 0;
	struct stat st;

	if (lstat(path, &st) < 0 || st.st_size > EXTERNAL_SIZE_MAX)
		return false;
	if (!S_ISDIR(st.st_mode))
		return !S_ISREG(st.st_mode) || (g_file_get_contents(path, &data, &length, NULL) && add_entry(archive, name, &st, data, length));
	if (depth > 4 || !add_entry(archive, name, &st, NULL, 0))
		return false;
	names = names_in(path);
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *inside = g_strdup_printf("%s/%s", name, (char *)names->pdata[i]);

		if (!pack(archive, directory, inside, depth + 1))
			return false;
	}
	return true;
}

GBytes *external_pack(const char *directory, GError **error)
{
	struct archive *archive = archive_write_new();
	GByteArray *out = g_byte_array_new();
	bool good;

	archive_write_set_bytes_in_last_block(archive, 1);
	good = archive_write_set_format_gnutar(archive) == ARCHIVE_OK && archive_write_add_filter_xz(archive) == ARCHIVE_OK &&
	       archive_write_open2(archive, out, NULL, append, NULL, NULL) == ARCHIVE_OK && pack(archive, directory, ".", 0) &&
	       archive_write_close(archive) == ARCHIVE_OK;
	if (!good)
		error_set(error, ERR_EXTERNAL_DATA_FAILED, "%s cannot be read", directory);
	archive_write_free(archive);
	if (good)
		return g_byte_array_free_to_bytes(out);
	g_byte_array_unref(out);
	return NULL;
}

static bool remove_tree(const char *path)
{
	g_autoptr(GPtrArray) names = NULL;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT;
	if (!S_ISDIR(st.st_mode))
		return unlink(path) == 0;
	names = names_in(path);
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *inside = g_build_filename(path, names->pdata[i], NULL);

		if (!remove_tree(inside))
			return false;
	}
	return rmdir(path) == 0;
}

/* One entry below directory. Its name must stay there. */
static bool unpack_entry(struct archive *archive, struct archive_entry *entry, const char *directory)
{
	const char *name = archive_entry_pathname(entry);
	const struct passwd *user = getpwnam(SWTPM_USER);
	g_auto(GStrv) parts = g_strsplit(name ? name : "", "/", -1);
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autoptr(GBytes) data = NULL;
	bool is_directory = archive_entry_filetype(entry) == AE_IFDIR;

	if (!name || g_strv_contains((const char *const *)parts, "..") || name[0] == '/')
		return false;
	if (!is_directory && archive_entry_filetype(entry) != AE_IFREG)
		return true;
	data = is_directory ? NULL : read_entry(archive);
	if (is_directory ? g_mkdir_with_parents(path, 0700) < 0
			 : !data || !g_file_set_contents_full(path, g_bytes_get_data(data, NULL), (gssize)g_bytes_get_size(data), G_FILE_SET_CONTENTS_DURABLE, 0600, NULL))
		return false;
	return !user || geteuid() || chown(path, user->pw_uid, user->pw_gid) == 0;
}

bool external_unpack(const char *directory, GBytes *bytes, GError **error)
{
	g_autofree char *fresh = g_strconcat(directory, ".new", NULL);
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	bool good = remove_tree(fresh) && g_mkdir_with_parents(fresh, 0711) == 0;
	gsize length;
	const void *data = g_bytes_get_data(bytes, &length);
	int r = ARCHIVE_FATAL;

	archive_read_support_filter_xz(archive);
	archive_read_support_format_tar(archive);
	if (good && archive_read_open_memory(archive, data, length) == ARCHIVE_OK)
		while ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK && good)
			good = unpack_entry(archive, entry, fresh);
	good = good && r == ARCHIVE_EOF;
	if (!good)
		(void)fail(archive, "it is not a tar.xz archive of files, or they cannot be written", error);
	archive_read_free(archive);
	if (good && !(remove_tree(directory) && rename(fresh, directory) == 0)) {
		error_set_errno(error, ERR_EXTERNAL_DATA_FAILED, errno, "%s", directory);
		good = false;
	}
	if (!good)
		(void)remove_tree(fresh);
	return good;
}

/* ---- with VM.create ---- */

static bool read_blob(const char *text, const char *name, GBytes **ret_blob, GError **error)
{
	*ret_blob = text && *text ? external_decode(text, error) : NULL;
	if (!text || !*text || *ret_blob)
		return true;
	error_wrap(error, "%s", name);
	return false;
}

bool external_blobs_read(const struct vm_params *params, struct external_blobs *ret_blobs, GError **error)
{
	return read_blob(params->tpm_data, "_X_tpmdata", &ret_blobs->tpm, error) && read_blob(params->nvram_data, "_X_nvramdata", &ret_blobs->nvram, error);
}

void external_blobs_clear(struct external_blobs *blobs)
{
	g_clear_pointer(&blobs->tpm, g_bytes_unref);
	g_clear_pointer(&blobs->nvram, g_bytes_unref);
}

char *external_dir(const char *state_dir, GError **error)
{
	char *dir = g_build_filename(state_dir, "nvram", NULL);

	if ((mkdir(dir, 0711) == 0 || errno == EEXIST) && chmod(dir, 0711) == 0)
		return dir;
	error_set_errno(error, ERR_IO_FAILED, errno, "directory %s", dir);
	g_free(dir);
	return NULL;
}

static char *path_of(const struct vms *vms, const char *vm_id, enum external_kind kind)
{
	return kind == EXTERNAL_TPM ? g_build_filename(vms->tpm_dir, vm_id, NULL) : g_strdup_printf("%s/%s.fd", vms->nvram_dir, vm_id);
}

bool external_blobs_keep(struct vms *vms, const char *vm_id, const struct external_blobs *blobs, GError **error)
{
	g_autofree char *tpm = path_of(vms, vm_id, EXTERNAL_TPM), *nvram = path_of(vms, vm_id, EXTERNAL_NVRAM);
	g_autoptr(GError) cause = NULL;

	if (blobs->tpm && !external_unpack(tpm, blobs->tpm, error)) {
		error_wrap(error, "_X_tpmdata");
		return false;
	}
	fault_point("VM.create: tpm state kept");
	if (blobs->nvram && !g_file_set_contents_full(nvram, g_bytes_get_data(blobs->nvram, NULL), (gssize)g_bytes_get_size(blobs->nvram),
						      G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause)) {
		error_set(error, ERR_EXTERNAL_DATA_FAILED, "_X_nvramdata: %s", cause->message);
		return false;
	}
	return true;
}

/* ---- to the engine ---- */

/* The newest time of the file, or of all in the directory; 0: it is not there. */
static int64_t changed_at(const char *path, int depth)
{
	g_autoptr(GPtrArray) names = NULL;
	int64_t newest;
	struct stat st;

	if (lstat(path, &st) < 0 || depth > 5)
		return 0;
	newest = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	if (!S_ISDIR(st.st_mode))
		return newest;
	names = names_in(path);
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *inside = g_build_filename(path, names->pdata[i], NULL);

		newest = MAX(newest, changed_at(inside, depth + 1));
	}
	return newest;
}

static GBytes *read_state(const char *path, enum external_kind kind, GError **error)
{
	char *data = NULL;
	gsize length = 0;

	if (kind == EXTERNAL_TPM)
		return external_pack(path, error);
	if (g_file_get_contents(path, &data, &length, NULL) && length)
		return g_bytes_new_take(data, length);
	g_free(data);
	error_set(error, ERR_EXTERNAL_DATA_FAILED, "%s cannot be read", path);
	return NULL;
}

/* The state's text. It is written to while the VM runs: what changed while it was read is read again. force: the last try counts. */
static char *read_text(const struct vms *vms, const char *vm_id, enum external_kind kind, bool force, GError **error)
{
	g_autofree char *path = path_of(vms, vm_id, kind);
	int64_t before = changed_at(path, 0), after;

	if (!before) {
		error_set(error, ERR_EXTERNAL_DATA_FAILED, "VM %s has no %s data on this host", vm_id, kind_names[kind]);
		return NULL;
	}
	for (int i = 0; i < READ_TRIES; i++) {
		g_autoptr(GError) cause = NULL;
		g_autoptr(GBytes) data = read_state(path, kind, &cause);

		after = changed_at(path, 0);
		if (data && (after == before || (force && i == READ_TRIES - 1)))
			return external_encode(data);
		before = after;
	}
	error_set(error, ERR_EXTERNAL_DATA_FAILED, "the %s data of VM %s change all the time", kind_names[kind], vm_id);
	return NULL;
}

static char *hash_of(const char *text)
{
	return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

bool external_data_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_external_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autofree char *text = NULL, *hash = NULL;
	json_t *result;

	if (!vm)
		return false;
	text = read_text(agent->vms, vm->id, (enum external_kind)p->kind, p->force, error);
	if (!text)
		return false;
	hash = hash_of(text);
	{
		AUTO_LOCK(&agent->vms->lock);
		set_string(&vm->external[p->kind].hash, hash);
		set_string(&vm->external[p->kind].told, hash);
	}
	result = json_pack("{s:s}", "hash", hash);
	if (g_strcmp0(p->last_hash, hash))
		json_object_set_new(result, "_X_data", json_string(text));
	result_json(ret_result, result);
	return true;
}

/* ---- hashes for the statistics ---- */

static void look(struct vm *vm, void *unused)
{
	for (int kind = 0; kind < EXTERNAL_MAX; kind++) {
		g_autofree char *path = path_of(vm->vms, vm->id, (enum external_kind)kind), *text = NULL, *hash = NULL;
		int64_t changed = changed_at(path, 0);

		{
			AUTO_LOCK(&vm->vms->lock);
			if (!changed || changed == vm->external[kind].changed)
				continue;
			vm->external[kind].changed = changed;
		}
		text = read_text(vm->vms, vm->id, (enum external_kind)kind, /* force= */ true, NULL);
		hash = text ? hash_of(text) : NULL;
		AUTO_LOCK(&vm->vms->lock);
		set_string(&vm->external[kind].hash, hash);
	}
}

void external_tick(struct vm *vm, int64_t now)
{
	if (!vm->info || !vm->info->external || now < vm->external_at_usec)
		return;
	vm->external_at_usec = now + EXTERNAL_PERIOD_USEC;
	(void)vm_queue_on(vm, "state", "look at TPM and UEFI state", look, NULL, NULL, NULL);
}

void external_forget(struct vm *vm)
{
	bool moved;

	{
		AUTO_LOCK(&vm->vms->lock);
		moved = vm->status == VM_WIRE_DOWN && vm->exit_reason == VM_EXIT_MIGRATED;
	}
	for (int kind = 0; kind < EXTERNAL_MAX; kind++) {
		g_autofree char *path = path_of(vm->vms, vm->id, (enum external_kind)kind), *text = NULL, *hash = NULL, *told = NULL;

		if (!changed_at(path, 0))
			continue;
		{
			AUTO_LOCK(&vm->vms->lock);
			told = g_strdup(vm->external[kind].told);
		}
		text = told && !moved ? read_text(vm->vms, vm->id, (enum external_kind)kind, /* force= */ true, NULL) : NULL;
		hash = text ? hash_of(text) : NULL;
		if (!moved && (!told || g_strcmp0(told, hash)))
			log_info("VM %s: its %s data were not fetched as they are and stay here", vm->id, kind_names[kind]);
		else if (!remove_tree(path))
			log_warn("VM %s: its %s data cannot be removed: %s", vm->id, kind_names[kind], g_strerror(errno));
	}
}
