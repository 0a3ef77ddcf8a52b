/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/snapshot.h"

#include "proto/verb.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define DEVICE_NAME "[A-Za-z0-9][A-Za-z0-9_.:-]*"

#define D struct disk_spec
#define DISK_IDS \
	FIELD_UUID_(D, pool_id, "poolID", IN, "storage pool"), \
	FIELD_UUID_(D, domain_id, "domainID", IN, "storage domain"), \
	FIELD_UUID_(D, image_id, "imageID", IN, "image (disk)"), \
	FIELD_UUID_(D, volume_id, "volumeID", IN, "volume")
static const struct field disk_spec_fields[] = { DISK_IDS };
const struct record_type disk_spec_type = RECORD_TYPE("disk", NULL, D, disk_spec_fields, "A volume of a disk");

static const struct field snapshot_disk_fields[] = {
	DISK_IDS,
	FIELD_UUID_(D, base_volume_id, "baseVolumeID", IN, "the volume the disk is on; volumeID is the one it goes over to, based on it"),
	FIELD_STRING_(D, guid, "GUID", IN, "or: multipath device it goes over to", .pattern = DEVICE_NAME),
	FIELD_STRING_(D, base_guid, "baseGUID", IN, "multipath device the disk is on", .pattern = DEVICE_NAME),
	FIELD_STRING_(D, uuid, "UUID", IN, "or: device with this file system UUID it goes over to", .pattern = DEVICE_NAME),
	FIELD_STRING_(D, base_uuid, "baseUUID", IN, "device the disk is on, by file system UUID", .pattern = DEVICE_NAME),
};
const struct record_type snapshot_disk_type = RECORD_TYPE("snapDrive", "snapDrives", D, snapshot_disk_fields, "A disk of a snapshot");
#undef D

#define D struct snapshot_params
static const struct field snapshot_fields[] = {
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_LIST_(D, disks, "snapDrives", NEED, &snapshot_disk_type, "disks to go over to new volumes, all at one instant"),
	FIELD_JSON_(D, memory, "snapMemory", IN,
		    "volumes for the memory and its description: \"domain,pool,image,volume,image,volume\", or {dst, dstparams} of {poolID, domainID, imageID, "
		    "volumeID} each; without memory when absent"),
	FIELD_BOOL_(D, frozen, "frozen", IN, "the caller has frozen the file systems and will thaw them", .def = "false"),
	FIELD_UUID_(D, job_id, "jobUUID", IN, "id of the job in Host.getJobs; when absent the answer comes when the snapshot is made"),
	FIELD_INT_(D, timeout, "timeout", IN, "time for the memory", .unit = "min", .def = "30", .min = 1, .max = 1440),
	FIELD_INT_(D, freeze_timeout, "freeze_timeout", IN, "time for all that comes before the snapshot", .unit = "min", .def = "8", .min = 1, .max = 1440),
	FIELD_INT_(D, frozen_limit, "frozenLimit", IN, "our own: the file systems are thawed after this time in any case; vm.frozen_limit when absent",
		   .unit = "s", .min = 1, .max = 600),
};
const struct record_type snapshot_params_type = RECORD_TYPE("VM.snapshot", NULL, D, snapshot_fields, "Parameters of VM.snapshot");
#undef D

#define D struct merge_params
static const struct field merge_fields[] = {
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_RECORD_(D, disk, "drive", NEED, &disk_spec_type, "the disk, by its active volume"),
	FIELD_UUID_(D, base, "baseVolUUID", NEED, "volume that takes the data"),
	FIELD_UUID_(D, top, "topVolUUID", NEED, "volume whose data go down, with all between"),
	FIELD_INT_(D, bandwidth, "bandwidth", IN, "at most this fast; 0: no limit", .unit = "MiB/s", .def = "0", .min = 0, .max = 1048576),
	FIELD_UUID_(D, job_id, "jobUUID", IN, "id of the job in vmJobs and Host.getJobs; made when absent"),
};
const struct record_type merge_params_type = RECORD_TYPE("VM.merge", NULL, D, merge_fields, "Parameters of VM.merge");
#undef D

#define D struct replicate_params
#define REPLICATE \
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"), \
	FIELD_RECORD_(D, from, "srcDisk", NEED, &disk_spec_type, "the disk, by its active volume"), \
	FIELD_RECORD_(D, to, "dstDisk", NEED, &disk_spec_type, "the volume it is copied to; to finish where it was: the same as srcDisk")
static const struct field replicate_start_fields[] = {
	REPLICATE,
	FIELD_BOOL_(D, need_extend, "needExtend", IN, "extend a thin dstDisk on block storage first", .def = "true"),
};
const struct record_type replicate_start_params_type =
	RECORD_TYPE("VM.diskReplicateStart", NULL, D, replicate_start_fields, "Parameters of VM.diskReplicateStart");
static const struct field replicate_finish_fields[] = { REPLICATE };
const struct record_type replicate_finish_params_type =
	RECORD_TYPE("VM.diskReplicateFinish", NULL, D, replicate_finish_fields, "Parameters of VM.diskReplicateFinish");
#undef D

const struct verb snapshot_verbs[] = {
	/* not on the VM's lane, which its job needs */
	{ .name = "VM.snapshot", .params = &snapshot_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Puts disks, and the memory, of a running VM into a snapshot; freezes and thaws its file systems; hooks before_vm_snapshot, after_vm_snapshot",
	  .returns = "true: with jobUUID when it has begun, without when it is done", .errors = "1 6 48 59 69 91 1500" },
	VM_ROW("merge", merge_params_type, .doc = "Merges a snapshot's volume into the one below while the VM runs; progress is in vmJobs and Host.getJobs",
	       .returns = "true when it has begun", .errors = "1 6 13 52 69 201"),
	VM_ROW("diskReplicateStart", replicate_start_params_type,
	       .doc = "Copies the active volume of a disk to another one and keeps the two alike until VM.diskReplicateFinish", .returns = "true when it has begun",
	       .errors = "1 6 13 55 201"),
	VM_ROW("diskReplicateFinish", replicate_finish_params_type, .doc = "Ends a replication: the VM goes over to dstDisk, or stays on srcDisk",
	       .returns = "true", .errors = "1 6 13 40 55 88"),
};
const size_t n_snapshot_verbs = G_N_ELEMENTS(snapshot_verbs);
