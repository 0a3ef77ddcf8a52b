/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes of a running VM's disks: VM.diskSizeExtend, VM.refresh_disk, and what statistics show.
 *
 * Statistics have the sizes of files and block devices (QEMU's own numbers are others: how far it wrote). They are looked at once in
 * SIZES_PERIOD_USEC on a lane of the storage domain, so that storage that hangs costs one thread however many VMs have disks there; a VM is
 * not asked about again before its last look is over.
 *
 * QEMU grows the volume and tells the guest; then the volume's metadata follow. An agent that dies in between leaves a volume that is larger than its
 * metadata say, which hurts nobody: the caller, who was not answered, asks again, and a disk that has the size already is only put down.
 */
#define LOG_MODULE "virt"
#include "agent/virt/disk/disk_size.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/fault.h"
#include "agent/storage/storage.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/disk/drive.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/device.h"

#define SECTOR 512
#define SIZES_PERIOD_USEC (60 * G_USEC_PER_SEC)

/* The size of a file or block device, and the room it takes; false: errno. */
static bool read_sizes(const char *path, struct disk_sizes *ret_sizes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), errnum;
	struct stat st;
	off_t end = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && (end = lseek(fd, 0, SEEK_END)) >= 0)
		*ret_sizes = (struct disk_sizes){ .apparent = (uint64_t)end, .taken = S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * SECTOR : (uint64_t)end };
	errnum = errno;
	if (fd >= 0)
		close(fd);
	errno = errnum;
	return end >= 0;
}

/* ---- for statistics ---- */

struct look {
	struct vm *vm;
	char *path;
};

static void look_run(void *data)
{
	struct look *look = data;
	struct disk_sizes sizes;

	if (!read_sizes(look->path, &sizes)) {
		log_debug("VM %s: size of '%s': %s", look->vm->id, look->path, g_strerror(errno));
		return;
	}
	AUTO_LOCK(&look->vm->vms->lock);
	g_hash_table_insert(look->vm->disk_sizes, g_strdup(look->path), g_memdup2(&sizes, sizeof(sizes)));
}

static void look_free(void *data)
{
	struct look *look = data;

	g_atomic_int_add(&look->vm->disk_looks, -1);
	vm_unref(look->vm);
	g_free(look->path);
	g_free(look);
}

static void look_begin(struct vm *vm, const struct domain_disk *disk)
{
	g_autofree char *lane = g_strconcat("sizes/", disk->domain_id ? disk->domain_id : "", NULL);
	struct look *look = g_new(struct look, 1);

	*look = (struct look){ .vm = vm_ref(vm), .path = g_strdup(disk->path) };
	g_atomic_int_inc(&vm->disk_looks);
	if (lane_submit(vm->vms->agent->lanes, lane, &(struct lane_job){ .name = "size of a disk", .run = look_run, .data = look, .free_data = look_free }, NULL))
		return;
	look_free(look);
}

static gboolean is_gone(gpointer path, gpointer sizes, gpointer info)
{
	return !domain_info_disk(info, path);
}

void disk_size_tick(struct vm *vm, int64_t now)
{
	if (!vm->info || g_atomic_int_get(&vm->disk_looks) || now < vm->disk_looks_at_usec)
		return;
	vm->disk_looks_at_usec = now + SIZES_PERIOD_USEC;
	g_hash_table_foreach_remove(vm->disk_sizes, is_gone, vm->info);
	for (guint i = 0; i < vm->info->disks->len; i++) {
		const struct domain_disk *disk = vm->info->disks->pdata[i];

		if (disk->path && !disk->removable)
			look_begin(vm, disk);
	}
}

/* ---- verbs ---- */

/* The volume's metadata, when the disk is a volume. */
static bool keep_size(const struct live *live, const xmlNode *disk, int64_t size, GError **error)
{
	xmlNode *kept = live_kept(live, disk, /* make= */ false);
	g_autofree char *domain = vm_metadata_get(kept, "domainID"), *image = vm_metadata_get(kept, "imageID"), *volume = vm_metadata_get(kept, "volumeID");

	return !domain || !image || !volume ||
	       storage_set_capacity(live->vm->vms->agent->storage, domain, image, volume, size, error);
}

static bool extend(struct live *live, const xmlNode *disk, int64_t size, GError **error)
{
	g_autofree char *target = drive_target(disk);
	virDomainBlockInfo info;

	if (drive_is_removable(disk) || xml_child(disk, "readonly")) {
		error_set(error, ERR_BAD_DISK_RESIZE_PARAMETER, "disk '%s' cannot be written to", target);
		return false;
	}
	if (!backup_allows(live->vm, target, ERR_BAD_DISK_RESIZE_PARAMETER, "resized", error))
		return false;
	if (virDomainGetBlockInfo(live->domain, target, &info, 0) < 0) {
		live_failed(live, error, ERR_BAD_DISK_RESIZE_PARAMETER, "disk '%s'", target);
		return false;
	}
	if (size < (int64_t)info.capacity) {
		error_set(error, ERR_BAD_DISK_RESIZE_PARAMETER, "newSize: %" G_GINT64_FORMAT " is less than disk '%s' has, %llu", size, target, info.capacity);
		return false;
	}
	if (size > (int64_t)info.capacity &&
	    virDomainBlockResize(live->domain, target, (unsigned long long)size, VIR_DOMAIN_BLOCK_RESIZE_BYTES) < 0) {
		live_failed(live, error, ERR_BAD_DISK_RESIZE_PARAMETER, "disk '%s'", target);
		return false;
	}
	log_info("VM %s: disk '%s' has %" G_GINT64_FORMAT " bytes, it had %llu", live->vm->id, target, size, info.capacity);
	fault_point("VM.diskSizeExtend: grown");
	return keep_size(live, disk, size, error);
}

bool disk_extend_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct resize_params *p = params;
	AUTO_LIVE live = NULL;
	xmlNode *disk;
	int64_t size;

	if (p->size <= 0 || p->size > INT64_MAX - SECTOR) {
		error_set(error, ERR_BAD_DISK_RESIZE_PARAMETER, "newSize: %" G_GINT64_FORMAT " is no size", p->size);
		return false;
	}
	size = (p->size + SECTOR - 1) / SECTOR * SECTOR;
	live = live_open_id(agent, p->vm_id, error);
	disk = live ? drive_need(live, p->drive, ERR_BAD_DISK_RESIZE_PARAMETER, error) : NULL;
	if (!disk || !extend(live, disk, size, error))
		return false;
	g_string_append_printf(ret_result, "\"%" G_GINT64_FORMAT "\"", size);
	return true;
}

bool disk_refresh_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct drive_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);
	xmlNode *disk = live ? drive_need(live, p->drive, ERR_CANNOT_REFRESH_DISK, error) : NULL;
	g_autofree char *path = disk ? drive_path(disk) : NULL;
	struct disk_sizes sizes;

	if (!disk)
		return false;
	if (!path || !read_sizes(path, &sizes)) {
		error_set_errno(error, ERR_CANNOT_REFRESH_DISK, path ? errno : ENOTSUP, "'%s'", path ? path : "a network disk");
		return false;
	}
	g_string_append_printf(ret_result, "{\"apparentsize\": \"%" G_GUINT64_FORMAT "\", \"truesize\": \"%" G_GUINT64_FORMAT "\"}", sizes.apparent,
			       sizes.taken);
	return true;
}

bool disk_alignment_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	error_set(error, ERR_UNSUPPORTED_OPERATION, "the alignment of partitions is not looked at: it is deprecated, and would read the guest's disks on the host");
	return false;
}
