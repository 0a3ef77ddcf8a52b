/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_DISK_H
#define BERTH_ENGINE_MODEL_DISK_H
/*
 * Disks (REST 15.6.1, 16). id is the image's id on the storage, image_id the id of its volume. A disk without vm floats. One that is a LUN of its own has
 * neither storage domain nor volume; chapter 15 calls its place lun_storage, chapter 16 lunStorage/storage: both are taken and shown.
 */
#include "common/record.h"
#include "engine/model/logical_unit.h"

enum disk_state { DISK_ILLEGAL, DISK_INVALID, DISK_LOCKED, DISK_OK, DISK_STATE_MAX };
extern const char *const disk_state_names[];
enum disk_interface { DISK_IDE, DISK_VIRTIO, DISK_VIRTIO_SCSI, DISK_INTERFACE_MAX };
extern const char *const disk_interface_names[];
enum disk_format { DISK_COW, DISK_RAW, DISK_FORMAT_MAX };
extern const char *const disk_format_names[];

struct disk {
	struct record record;
	char *id, *name;                     /* name: element "alias" ("name" is taken too) */
	char *description, *comment;
	struct ref vm;                       /* parent; absent: floating, unless it is a template's */
	struct ref template;
	char *image_id;
	GPtrArray *storage_domains;          /* struct object_ref */
	int64_t size;                        /* "size" and "provisioned_size" */
	int64_t actual_size;
	char *type;                          /* "system" */
	int state;                           /* enum disk_state */
	int interface;
	int format;
	bool sparse, bootable, shareable, wipe_after_delete, propagate_errors, active, read_only;
	struct ref disk_profile;             /* of its storage domain */
	char *quota;
	char *lun_type;
	GPtrArray *logical_units;            /* struct logical_unit: the one that the disk is; NULL: it has a volume */
	struct ref lun_host;                 /* INPUT_ONLY */
	GPtrArray *connections;              /* struct object_ref: storage connections by which the LUN is reached */
	GPtrArray *lun_hosts;                /* char *: ids of hosts that may have logged in for it */
	char *snapshot;                      /* INPUT_ONLY */
};
extern const struct record_type disk_type;

bool disk_is_lun(const struct disk *disk);
/* The disk's (first) storage domain or NULL. */
const char *disk_domain(const struct disk *disk);

#endif
