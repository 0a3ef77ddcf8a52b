/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system in the LV "master", where the pool's manager keeps definitions of VMs (ovf.c). It is no file system of a cluster: the caller sees to it that
 * only the manager comes here.
 *
 * It is mounted for one request at a time, and nowhere (fsmount(2)): the mount is what the returned directory lies in, and ends when that is closed. So an
 * agent that is killed leaves nothing mounted, and no other host, or kernel, can come to write late.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include "agent/storage/form/block.h"
#include "common/log.h"

#define FILE_SYSTEM "ext4"               /* reads vdsm's ext3, too */
#define REASON_MAX 1024

/* What the kernel has to say about it, or errno's text; errno is kept. */
static void explain(int fs, const char *path, GError **error)
{
	char reason[REASON_MAX];
	int errnum = errno;
	ssize_t n = fs < 0 ? -1 : read(fs, reason, sizeof(reason) - 1);

	reason[MAX(n, 0)] = 0;
	error_set_errno(error, ERR_STORAGE_DOMAIN_MASTER_ERROR, errnum, "'%s': %s", path, n > 0 ? g_strchomp(reason) : "cannot be mounted");
}

int block_open_master(const struct domain *domain, GError **error)
{
	g_autofree char *name = block_lv_name(domain, "master"), *path = block_lv_path(domain, "master");
	autofd fs = -1, mount = -1;
	int root;

	if (!g_file_test(path, G_FILE_TEST_EXISTS) &&
	    !block_lvm(domain, ERR_CANNOT_ACTIVATE_LOGICAL_VOLUMES, error, "lvchange", "-qq", "-ay", name, NULL))
		return -1;
	if ((fs = fsopen(FILE_SYSTEM, FSOPEN_CLOEXEC)) < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", path, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
	    (mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME)) < 0) {
		explain(fs, path, error);
		return -1;
	}
	/* what fsmount() gives cannot be synced */
	if ((root = files_open_dir(mount, ".")) < 0)
		error_set_errno(error, ERR_STORAGE_DOMAIN_MASTER_ERROR, errno, "'%s'", path);
	return root;
}
