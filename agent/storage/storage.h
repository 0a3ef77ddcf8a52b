/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_H
#define BERTH_AGENT_STORAGE_H
/* Storage of this host: connections, domains, volumes. Theory of operation in storage.c. Worker threads only, except where said. */
#include <stdbool.h>
#include <glib.h>
#include "agent/agent.h"

struct storage *storage_new(struct agent *agent, const char *repository, GError **error);      /* repository: "/var/lib/berth-agent/storage" */
struct storage *storage_free(struct storage *storage);
/* Certificates are read again. Loop thread. */
void storage_reload(struct storage *storage);

/* A disk of a VM. domain NULL: of no storage domain. */
struct storage_disk { const char *domain, *image, *volume, *path; };

/* Path of a volume that a VM may open until storage_rest(vm); chain checked. ret_format: "raw" or "qcow2" (static). */
bool storage_prepare(struct storage *storage, const char *vm, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format,
		     GError **error);

/* The VM has ended, or could not start: what was made ready for it is not needed any more. Any thread; done soon. */
void storage_rest(struct storage *storage, const char *vm);
struct storage_disk;
/* One disk of the VM is gone: the volumes of its chain, but those in `used` (ids, char *), may be deactivated. Reads storage; what fails is logged. */
void storage_rest_disk(struct storage *storage, const char *vm, const struct storage_disk *disk, const GPtrArray *used);

/* ---- chains that a running VM changes (chain.c) ---- */

/* The data of top and of all between go into base. child: the volume on top of top; NULL: top is the leaf, which the VM writes. */
struct storage_merge { const char *domain, *image, *base, *top, *child; };
/* Both volumes are there, and base is this image's own: ERR_MERGE_FAILED, ERR_VOLUME_DOES_NOT_EXIST, ... */
bool storage_merge_check(struct storage *storage, const struct storage_merge *merge, GError **error);
/*
 * The metadata say what is true after the merge: base is as large as top was; child is based on base. A leaf that was merged becomes illegal: nobody may
 * start a VM on it. So a leaf is recorded before the VM leaves it, the others when QEMU is done. May be repeated.
 */
bool storage_merge_record(struct storage *storage, const struct storage_merge *merge, GError **error);
/* The VM did not leave its leaf after all: it is legal again. */
bool storage_merge_undo(struct storage *storage, const struct storage_merge *merge, GError **error);
/* What the file itself says: is volume based on parent? */
bool storage_is_based(struct storage *storage, const char *domain, const char *image, const char *volume, const char *parent, bool *ret_based,
		      GError **error);

/*
 * Where a lease is, for libvirt's lock manager: with an image that of its volume `lease`, without (NULL) one of that name, a VM's (Lease.create).
 * ERR_NO_SUCH_LEASE, ERR_VOLUME_DOES_NOT_EXIST
 */
bool storage_lease(struct storage *storage, const char *domain, const char *image, const char *lease, char **ret_path, int64_t *ret_offset, GError **error);

/* A running VM has given the volume this virtual size: its metadata follow. */
bool storage_set_capacity(struct storage *storage, const char *domain, const char *image, const char *volume, int64_t bytes, GError **error);

/* A VM that ended left this bitmap in its volume; one without it is fine. ERR_VOLUME_IS_BUSY: it runs again */
bool storage_drop_bitmap(struct storage *storage, const char *domain, const char *image, const char *volume, const char *name, GError **error);

/* ---- disks of running VMs as they were at a moment: kept and served by a backup, which who runs the VMs knows of ---- */

/*
 * Where the disk can be read as it was then; moment: id of a checkpoint, or of the backup. "nbd:unix:<socket>:exportname=<name>", g_free; NULL + error:
 * there is none now. Any thread; does not block.
 */
typedef char *(*storage_moment)(struct agent *agent, const struct storage_disk *disk, const char *moment, GError **error);
/* At start, before anybody is served. */
void storage_moments(struct storage *storage, storage_moment find);
/*
 * Who reads a disk as it was at one of these moments (NULL at their end): "attachment <id> of image <id>; Image.detachLocal ends it", g_free; NULL: nobody.
 * Who comes later asks for the moment first, and when he is ready once more. Any thread; does not block.
 */
char *storage_moment_reader(struct storage *storage, const char *const *moments);

/* ---- room to write (room.c) ---- */

/*
 * Volumes of block storage that are thin end where nothing was needed yet: before a VM comes to that end, storage_extend() must be called. How far it may
 * write until then, in bytes from the start of the volume; 0: it grows by itself, as all files do.
 */
int64_t storage_watermark(struct storage *storage, const struct storage_disk *disk);
/* Makes room for at least STORAGE_ROOM more bytes, or sees that it is there. ERR_NO_SPACE_LEFT_ON_DOMAIN; errors of storage that cannot be reached. */
bool storage_extend(struct storage *storage, const struct storage_disk *disk, GError **error);
#define STORAGE_ROOM (INT64_C(4) << 20)

/*
 * Of a path that a caller gave: where it has the form of a domain's layout, <domain>/images/<image>/<file>, it is a plain file there, not a link that
 * somebody who can write to the storage has put in its place (or in that of a directory below the domain). ERR_IMAGE_PATH_ERROR
 */
bool storage_check_path(const char *path, GError **error);

/* {domain: {code, lastCheck, delay, valid, version, acquired, actual}} for Host.getStats, from the last checks; never blocks; new reference */
json_t *storage_health(struct storage *storage);

#endif
