/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for a VM to write: see storage.h. Files grow by themselves until their file system is full; what is thin on block storage is extended here:
 *
 *   0 .................... written ........... mark ............ size            size: of the LV; most: what the image can need at all
 *
 * At the mark QEMU tells (it does so once), and the LV grows by BLOCK_CHUNK; the VM has the rest, half a chunk, to write until that is done. One that was
 * faster is paused by the error, and goes on when there is room.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include "agent/storage/data/data.h"
#include "agent/storage/form/block.h"

/* The domain of a disk on block storage, and how large its volume is and may become. NULL: it is on none, or the volume has all it needs; or error */
static struct domain *thin_volume(struct storage *storage, const struct storage_disk *disk, int64_t *ret_size, int64_t *ret_most, GError **error)
{
	autodomain domain = disk->domain && disk->volume ? domain_open_active(storage, disk->domain, error) : NULL;
	g_autoptr(metadata) values = NULL;
	int64_t ignored;

	if (!domain || !domain->block || !(values = volume_read(domain, disk->image, disk->volume, error)) || strcmp(metadata_get(values, "FORMAT"), "COW") ||
	    !volume_sizes(domain, disk->image, disk->volume, ret_size, &ignored, error))
		return NULL;
	*ret_most = (volume_largest(values) + domain->block->extent - 1) / domain->block->extent * domain->block->extent;
	return *ret_size < *ret_most ? g_steal_pointer(&domain) : NULL;
}

int64_t storage_watermark(struct storage *storage, const struct storage_disk *disk)
{
	int64_t size, most;
	autodomain domain = thin_volume(storage, disk, &size, &most, NULL);

	return domain ? size - MIN(BLOCK_CHUNK, size) / 2 : 0;
}

bool storage_extend(struct storage *storage, const struct storage_disk *disk, GError **error)
{
	const char *name = disk->volume ? disk->volume : disk->path;
	int64_t size, most, available;
	GError *problem = NULL;
	autodomain thin = thin_volume(storage, disk, &size, &most, &problem);
	struct statvfs vfs;

	if (problem) {
		g_propagate_error(error, problem);
		return false;
	}
	if (thin)
		return volume_fit(thin, disk->image, disk->volume, MIN(size + BLOCK_CHUNK, most), /* shrink= */ false, error);

	/* past the page cache: a file system that is gone still answers from memory */
	if (disk->domain) {
		autodomain domain = domain_open_active(storage, disk->domain, error);
		int version;

		if (!domain || !domain_probe(domain, &version, error))
			return false;
		if (domain->block)
			return true;
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
