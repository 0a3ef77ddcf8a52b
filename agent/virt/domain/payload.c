/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libarchive writes the CD in this process: what is in it, as a rule passwords, is never in a file of its own. A floppy is made by mtools, which read the
 * files' contents from memory (memfd) as their standard input.
 */
#define LOG_MODULE "virt"
#include "agent/virt/domain/payload.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/error.h"

#define FILE_MODE 0444

/* ---- CD ---- */

static bool add_file(struct archive *archive, const char *path, const char *base64)
{
	struct archive_entry *entry = archive_entry_new();
	gsize length = 0;
	g_autofree guchar *content = g_base64_decode(base64, &length);
	bool good;

	archive_entry_set_pathname_utf8(entry, path);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, FILE_MODE);
	archive_entry_set_size(entry, (la_int64_t)length);
	archive_entry_set_mtime(entry, time(NULL), 0);
	good = archive_write_header(archive, entry) == ARCHIVE_OK && (!length || archive_write_data(archive, content, length) == (la_ssize_t)length);
	archive_entry_free(entry);
	return good;
}

static bool write_cd(const char *path, int fd, const char *label, const json_t *files, GError **error)
{
	struct archive *archive = archive_write_new();
	const char *name;
	json_t *content;
	bool good;

	good = archive_write_set_format_iso9660(archive) == ARCHIVE_OK &&
	       (!label || archive_write_set_format_option(archive, "iso9660", "volume-id", label) == ARCHIVE_OK) &&
	       archive_write_open_fd(archive, fd) == ARCHIVE_OK;
	json_object_foreach((json_t *)files, name, content)
		good = good && add_file(archive, name, json_string_value(content));
	good = good && archive_write_close(archive) == ARCHIVE_OK;
	if (!good)
		error_set(error, ERR_IO_FAILED, "image %s: %s", path, archive_error_string(archive));
	archive_write_free(archive);
	return good;
}

/* ---- floppy ---- */

static int memory_file(const void *content, size_t length)
{
	int fd = memfd_create("payload", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, content, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Runs an mtool on the image; content NULL: no standard input. What it says is the error. */
static bool run(const char *path, const char *const *argv, const void *content, size_t length, GError **error)
{
	int in = memory_file(content, length), err = memory_file(NULL, 0), status = -1;
	g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "MTOOLSRC", "/dev/null", TRUE);
	g_autoptr(GError) cause = NULL;
	char said[256] = "";
	GPid pid;
	bool good = false;

	environment = g_environ_setenv(environment, "LC_ALL", "C", TRUE);
	if (in < 0 || err < 0)
		error_set_errno(error, ERR_IO_FAILED, errno, "image %s", path);
	else if (!g_spawn_async_with_pipes_and_fds(NULL, argv, (const char *const *)environment, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, in,
						   err, err, NULL, NULL, 0, &pid, NULL, NULL, NULL, &cause))
		error_set(error, ERR_IO_FAILED, "image %s: %s (package mtools)", path, cause->message);
	else {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		good = WIFEXITED(status) && !WEXITSTATUS(status);
	}
	if (!good && !(error && *error)) {
		if (pread(err, said, sizeof(said) - 1, 0) < 0)
			said[0] = '\0';
		g_strdelimit(said, "\n", ' ');
		error_set(error, ERR_INVALID_PARAMETER, "image %s: %s: %s", path, argv[0], g_strstrip(said));
	}
	if (in >= 0)
		close(in);
	if (err >= 0)
		close(err);
	return good;
}

/* The directories on the way to a file that are not in made yet. */
static bool make_directories(const char *path, const char *file, GHashTable *made, GError **error)
{
	for (const char *slash = strchr(file, '/'); slash; slash = strchr(slash + 1, '/')) {
		g_autofree char *name = g_strdup_printf("::/%.*s", (int)(slash - file), file);
		const char *const argv[] = { "mmd", "-i", path, name, NULL };

		if (!g_hash_table_contains(made, name) && !run(path, argv, NULL, 0, error))
			return false;
		g_hash_table_add(made, g_steal_pointer(&name));
	}
	return true;
}

static bool write_floppy(const char *path, const char *label, const json_t *files, GError **error)
{
	const char *const format[] = { "mformat", "-i", path, "-C", "-f", "1440", "-v", label ? label : "", "::", NULL };
	g_autoptr(GHashTable) made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	bool good = run(path, format, NULL, 0, error);
	const char *name;
	json_t *content;

	json_object_foreach((json_t *)files, name, content) {
		g_autofree char *target = g_strconcat("::/", name, NULL);
		const char *const copy[] = { "mcopy", "-i", path, "-", target, NULL };
		gsize length = 0;
		g_autofree guchar *bytes = g_base64_decode(json_string_value(content), &length);

		good = good && make_directories(path, name, made, error) && run(path, copy, bytes, length, error);
	}
	return good;
}

bool payload_write(const char *path, bool floppy, const char *label, const json_t *files, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good;

	if (fd < 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "image %s", path);
		return false;
	}
	good = floppy ? write_floppy(path, label, files, error) : write_cd(path, fd, label, files, error);
	close(fd);
	return good;
}
