/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable files.
 *
 * A write counts when file and directory are on disk: every function here that makes something syncs it; what becomes visible does so by one
 * rename. Names that came from outside are single components (UUIDs); links are never followed (openat2(2)), so nothing reaches out of its domain.
 */
#include "agent/storage/files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define TREE_DEPTH_MAX 32
#define TEMPORARY_PREFIX "."
#define TEMPORARY_SUFFIX ".new"

void files_error(GError **error, enum error_code code, int errnum, const char *format, ...)
{
	g_autofree char *context = NULL;
	va_list args;

	va_start(args, format);
	context = g_strdup_vprintf(format, args);
	va_end(args);
	if (errnum == ENOSPC || errnum == EDQUOT)
		code = ERR_NO_SPACE_LEFT_ON_DOMAIN;
	error_set_errno(error, code, errnum, "%s", context);
}

/* Below a directory no component of the name may be a link, nor lead out of it: the storage's other hosts may have put one there. */
static int open_beneath(int at, const char *name, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

	return at == AT_FDCWD ? openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC) : (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
}

int files_open_dir(int at, const char *name)
{
	return open_beneath(at, name, O_RDONLY | O_DIRECTORY);
}

int files_open(int at, const char *name, int flags)
{
	return open_beneath(at, name, flags);
}

bool files_is_plain(int at, const char *name)
{
	autofd fd = open_beneath(at, name, O_PATH);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	errno = S_ISLNK(st.st_mode) ? ELOOP : EINVAL;
	return S_ISREG(st.st_mode);
}

char *files_read(int at, const char *name, size_t max)
{
	autofd fd = open_beneath(at, name, O_RDONLY | O_NONBLOCK);
	g_autofree char *text = NULL;
	size_t length = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return NULL;
	}
	if (st.st_size > (off_t)max) {
		errno = EFBIG;
		return NULL;
	}
	text = g_malloc(max + 2);
	while (length <= max) {
		ssize_t n = read(fd, text + length, max + 1 - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NULL;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	if (length > max || memchr(text, 0, length)) {
		errno = length > max ? EFBIG : EINVAL;
		return NULL;
	}
	text[length] = 0;
	return g_steal_pointer(&text);
}

static bool write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		length -= (size_t)n;
	}
	return true;
}

bool files_sync_dir(int at, const char *name)
{
	autofd fd = files_open_dir(at, name);

	return fd >= 0 && fsync(fd) == 0;
}

/* Removes what a failed step left, keeping errno. */
static bool undo_file(int at, const char *name)
{
	int errnum = errno;

	(void)unlinkat(at, name, 0);
	errno = errnum;
	return false;
}

bool files_write(int at, const char *name, const char *text, mode_t mode)
{
	g_autofree char *temporary = g_strconcat(TEMPORARY_PREFIX, name, TEMPORARY_SUFFIX, NULL);
	autofd fd = openat(at, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return false;
	if (fchmod(fd, mode) < 0 || !write_all(fd, text, strlen(text)) || fsync(fd) < 0 || renameat(at, temporary, at, name) < 0)
		return undo_file(at, temporary);
	return files_sync_dir(at, ".");
}

bool files_sweep(int fd)
{
	g_autoptr(GPtrArray) names = files_list(fd, ".");

	for (guint i = 0; names && i < names->len; i++)
		if (g_str_has_prefix(names->pdata[i], TEMPORARY_PREFIX) && g_str_has_suffix(names->pdata[i], TEMPORARY_SUFFIX) &&
		    unlinkat(fd, names->pdata[i], 0) < 0 && errno != ENOENT)
			return false;
	return names != NULL;
}

bool files_make_sparse(int at, const char *name, int64_t size, mode_t mode)
{
	autofd fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return false;
	if (fchmod(fd, mode) < 0 || ftruncate(fd, size) < 0 || fsync(fd) < 0)
		return undo_file(at, name);
	return true;
}

bool files_make_dir(int at, const char *name)
{
	return mkdirat(at, name, 0755) == 0 && fchmodat(at, name, 0755, 0) == 0;
}

bool files_rename_new(int from, const char *old_name, int to, const char *new_name)
{
	if (renameat2(from, old_name, to, new_name, RENAME_NOREPLACE) == 0)
		return true;
	if (errno != EINVAL && errno != ENOSYS)
		return false;
	/* the file system cannot say "only if new" (NFS): the lane of the domain keeps others away meanwhile */
	if (files_exists(to, new_name)) {
		errno = EEXIST;
		return false;
	}
	return renameat(from, old_name, to, new_name) == 0;
}

bool files_exists(int at, const char *name)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

GPtrArray *files_list(int at, const char *name)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	int fd = files_open_dir(at, name);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return NULL;
	if (!(dir = fdopendir(fd))) {
		close(fd);
		return NULL;
	}
	while (errno = 0, (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			g_ptr_array_add(names, g_strdup(entry->d_name));
	if (errno) {
		int errnum = errno;

		closedir(dir);
		errno = errnum;
		return NULL;
	}
	closedir(dir);
	return g_steal_pointer(&names);
}

static bool remove_tree(int at, const char *name, unsigned depth)
{
	g_autoptr(GPtrArray) names = NULL;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return true;
	if (errno != EISDIR && errno != EPERM)
		return false;
	if (depth == TREE_DEPTH_MAX) {
		errno = ELOOP;
		return false;
	}
	autofd fd = files_open_dir(at, name);

	if (fd < 0 || !(names = files_list(fd, ".")))
		return false;
	for (guint i = 0; i < names->len; i++)
		if (!remove_tree(fd, names->pdata[i], depth + 1))
			return false;
	return unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

bool files_remove_tree(int at, const char *name)
{
	return remove_tree(at, name, 0);
}

bool files_is_uuid(const char *name)
{
	return strlen(name) == 36 && g_uuid_string_is_valid(name);
}
