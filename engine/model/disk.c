/* SPDX-License-Identifier: Apache-2.0 */
/* Disks: the table. See disk.h. */
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

const char *const disk_state_names[] = { "illegal", "invalid", "locked", "ok", NULL };
const char *const disk_interface_names[] = { "ide", "virtio", "virtio_scsi", NULL };
const char *const disk_format_names[] = { "cow", "raw", NULL };
static const char *const lun_type_names[] = { "iscsi", "fcp", NULL };

#define CU (CREATE | UPDATE)
#define DISK_MAX 70368744177664.0      /* 64 TiB */

static const struct field disk_fields[] = {
	FIELD_UUID_(struct disk, id, "@id", CREATE, "identity; given on creation: attach that disk"),
	FIELD_STRING_(struct disk, description, "description", CU | HEAD | SEARCH, "free text", .max = 4096),
	FIELD_STRING_(struct disk, comment, "comment", CU | HEAD | SEARCH, "free text", .max = 4096),
	FIELD_REF_(struct disk, vm, "vm", READ_ONLY, "vms", "virtual machine that has it"),
	FIELD_REF_(struct disk, template, "template", READ_ONLY | WITHIN, "templates", "template that has it"),
	FIELD_STRING_(struct disk, name, "alias", CU | SEARCH, "name of the disk", .max = 255),
	FIELD_STRING_(struct disk, name, "name", CU | SEARCH, "the same, as other resources call it", .max = 255),
	FIELD_STRING_(struct disk, image_id, "image_id", READ_ONLY, "volume on the storage"),
	FIELD_LIST_(struct disk, storage_domains, "storage_domains/storage_domain", CU | WITHIN, &object_ref_type, "where it is stored",
		    .target = "storagedomains"),
	FIELD_LONG_(struct disk, size, "size", CU, "virtual size, old name", .unit = "bytes", .min = 0, .max = DISK_MAX),
	FIELD_LONG_(struct disk, size, "provisioned_size", CU | SEARCH, "virtual size", .unit = "bytes", .min = 0, .max = DISK_MAX),
	FIELD_LONG_(struct disk, actual_size, "actual_size", READ_ONLY, "space used", .unit = "bytes"),
	FIELD_STRING_(struct disk, type, "type", CREATE, "system or data", .max = 16),
	FIELD_ENUM_(struct disk, state, "status/state", SEARCH, disk_state_names, "may it be used", .search = "status"),
	FIELD_ENUM_(struct disk, interface, "interface", CU, disk_interface_names, "how the guest sees it"),
	FIELD_ENUM_(struct disk, format, "format", CREATE | SEARCH, disk_format_names, "cow: snapshots are possible; raw: faster"),
	FIELD_BOOL_(struct disk, sparse, "sparse", CREATE, "space is taken when it is needed"),
	FIELD_BOOL_(struct disk, bootable, "bootable", CU, "the VM boots from it"),
	FIELD_BOOL_(struct disk, shareable, "shareable", CU, "several VMs may use it"),
	FIELD_BOOL_(struct disk, wipe_after_delete, "wipe_after_delete", CU, "overwrite it with zeros when it is deleted"),
	FIELD_BOOL_(struct disk, propagate_errors, "propagate_errors", CU, "errors go to the guest instead of pausing it"),
	FIELD_BOOL_(struct disk, active, "active", CU, "plugged into the VM"),
	FIELD_BOOL_(struct disk, read_only, "read_only", CU, "the VM cannot write"),
	FIELD_REF_(struct disk, disk_profile, "disk_profile", CU, "diskprofiles", "limits, of those that its storage domain offers"),
	FIELD_STRING_(struct disk, quota, "quota@id", CU, "quota that it counts against", .max = 64),
	FIELD_STRING_(struct disk, lun_type, "lun_storage/type", CREATE, "direct LUN: iscsi or fcp", .names = lun_type_names),
	FIELD_LIST_(struct disk, logical_units, "lun_storage/logical_unit", CU, &logical_unit_type, "direct LUN; never becomes another one"),
	FIELD_STRING_(struct disk, lun_type, "lunStorage/storage/type", CREATE, "other place of lun_storage/type", .names = lun_type_names),
	FIELD_LIST_(struct disk, logical_units, "lunStorage/storage/logical_unit", CU, &logical_unit_type, "other place of lun_storage/logical_unit"),
	FIELD_REF_(struct disk, lun_host, "lun_storage/host", CREATE | INPUT_ONLY, "hosts", "host that looks at a direct LUN; absent: one that is up"),
	FIELD_LIST_(struct disk, connections, "connections/storage_connection", INTERNAL, &object_ref_type, "how the LUN is reached", .target = "storageconnections"),
	FIELD_STRINGS_(struct disk, lun_hosts, "lun_hosts/host", INTERNAL, "hosts that may have logged in for it"),
	FIELD_STRING_(struct disk, snapshot, "snapshot@id", CREATE | INPUT_ONLY, "attach the disk as it was in this snapshot", .max = 64),
};
const struct record_type disk_type = RECORD_TYPE("disk", "disks", struct disk, disk_fields, "A disk of a virtual machine, or a floating one");

bool disk_is_lun(const struct disk *disk)
{
	return disk->logical_units && disk->logical_units->len;
}

const char *disk_domain(const struct disk *disk)
{
	return disk->storage_domains && disk->storage_domains->len ? ((struct object_ref *)disk->storage_domains->pdata[0])->id : NULL;
}
