/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_FILES_H
#define BERTH_AGENT_STORAGE_FILES_H
/* Durable files and directories, relative to directory descriptors. Only agent/storage uses this. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <glib.h>
#include "common/error.h"

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
/* autofd fd = open(...): closed at the end of the block */
#define autofd __attribute__((cleanup(close_fd))) int

/* Hands an autofd over. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* As error_set_errno(), but "no space" (ENOSPC, EDQUOT) is always ERR_NO_SPACE_LEFT_ON_DOMAIN. */
void files_error(GError **error, enum error_code code, int errnum, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* A directory below `at`, never through a link (AT_FDCWD: a path, whose last component is none). -1 + errno; ELOOP, EXDEV: it led elsewhere. */
int files_open_dir(int at, const char *name);
/* The same for a file, with flags as of open(2). */
int files_open(int at, const char *name, int flags);
/* Is it a regular file, found as by files_open_dir()? false + errno; ELOOP: a link, EINVAL: something else. Opens nothing that could hang. */
bool files_is_plain(int at, const char *name);
/* At most max bytes of a file, found as by files_open_dir(), as text (a zero byte inside is refused, EINVAL). NULL + errno; EFBIG when it is longer. */
char *files_read(int at, const char *name, size_t max);
/* Replaces or makes the file as a whole: after a crash it is the old or the new one. false + errno, nothing left behind. */
bool files_write(int at, const char *name, const char *text, mode_t mode);
/* Removes what a killed files_write() left in the directory; false + errno. */
bool files_sweep(int fd);
/* A new file of `size` bytes without blocks, on disk. false + errno. */
bool files_make_sparse(int at, const char *name, int64_t size, mode_t mode);
/* A new directory, traversable whatever the umask. false + errno. */
bool files_make_dir(int at, const char *name);
bool files_sync_dir(int at, const char *name);
/* Renames onto a name that must not exist (EEXIST). */
bool files_rename_new(int from, const char *old_name, int to, const char *new_name);
/* A file or a whole directory; one that is not there is fine. Never follows links. false + errno. */
bool files_remove_tree(int at, const char *name);
bool files_exists(int at, const char *name);
/* The names in a directory, without "." and ".."; NULL + errno. g_ptr_array_unref */
GPtrArray *files_list(int at, const char *name);
/* Are these bytes, at least one, all zero? */
static inline bool files_is_zero(const char *data, size_t length)
{
	return !data[0] && !memcmp(data, data + 1, length - 1);
}
/* "01234567-89ab-cdef-0123-456789abcdef" */
bool files_is_uuid(const char *name);

#endif
