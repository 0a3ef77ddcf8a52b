/* SPDX-License-Identifier: Apache-2.0 */
/* One engine at a time: a lock that ends with the process that holds it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"
#include "engine/store/store-priv.h"

#define LOG_MODULE "store"

int store_lock(const char *file, const char *what, GError **error)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char pid[32] = "";
	ssize_t n;

	if (fd < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", file);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
			log_debug("%s: cannot note the process, ignoring", file);
		return fd;
	}
	n = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[MAX(n, 0)] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	error_set(error, ERR_STORE_FAILED, "%s is in use by another engine%s%s%s", what, *pid ? " (process " : "", pid, *pid ? ")" : "");
	(void)close(fd);
	return -1;
}
