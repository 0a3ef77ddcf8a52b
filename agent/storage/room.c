/* SPDX-License-Identifier: Apache-2.0 */
/* Room for a VM to write: see storage.h. Files grow by themselves until their file system is full; what is thin on block storage is extended here. */
#define LOG_MODULE "storage"
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include "agent/storage/storage-priv.h"

int64_t storage_watermark(struct storage *storage, const struct storage_disk *disk)
{
	return 0;
}

bool storage_extend(struct storage *storage, const struct storage_disk *disk, GError **error)
{
	const char *name = disk->volume ? disk->volume : disk->path;
	struct statvfs vfs;
	int64_t available;

	/* past the page cache: a file system that is gone still answers from memory */
	if (disk->domain) {
		autodomain domain = domain_open_active(storage, disk->domain, error);
		int version;

		if (!domain || !domain_probe(domain->path, &version, error))
			return false;
	}
	if (statvfs(disk->path, &vfs) < 0) {
		error_set_errno(error, ERR_GET_FILE_STATS_ERROR, errno, "'%s'", disk->path);
		return false;
	}
	available = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
	if (available >= STORAGE_ROOM)
		return true;
	error_set(error, ERR_NO_SPACE_LEFT_ON_DOMAIN, "'%s': %" PRId64 " bytes are available", name, available);
	return false;
}
