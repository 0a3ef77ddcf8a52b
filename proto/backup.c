/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/backup.h"

#include "proto/verb.h"
#include "proto/vm.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)

#define D struct backup_scratch
static const struct field backup_scratch_fields[] = {
	FIELD_STRING_(D, path, "path", NEED, "file or block device, qcow2, as large as the disk", .pattern = "/.+"),
	FIELD_STRING_(D, type, "type", NEED, "what it is: file, block", .pattern = "file|block"),
	FIELD_UUID_(D, domain_id, "domainID", IN, "storage domain, when it is a volume"),
	FIELD_UUID_(D, image_id, "imageID", IN, "image"),
	FIELD_UUID_(D, volume_id, "volumeID", IN, "volume"),
};
const struct record_type backup_scratch_type = RECORD_TYPE("scratch_disk", NULL, D, backup_scratch_fields, "Where QEMU keeps what the guest overwrites");
#undef D

#define D struct backup_disk
static const char *const modes[] = { "full", "incremental", NULL };
static const struct field backup_disk_fields[] = {
	FIELD_UUID_(D, domain_id, "domainID", NEED, "storage domain"),
	FIELD_UUID_(D, image_id, "imageID", NEED, "image (disk)"),
	FIELD_UUID_(D, volume_id, "volumeID", NEED, "the volume the disk is on"),
	FIELD_BOOL_(D, checkpoint, "checkpoint", IN, "the disk is part of the checkpoint that the backup makes", .def = "false"),
	FIELD_ENUM_(D, mode, "backup_mode", IN, modes, "full, incremental; absent: incremental when there is a from_checkpoint_id"),
	FIELD_RECORD_(D, scratch, "scratch_disk", IN, &backup_scratch_type, "absent: the agent makes one"),
};
const struct record_type backup_disk_type = RECORD_TYPE("disk", "disks", D, backup_disk_fields, "A disk of a backup");
#undef D

#define D struct backup_config
static const struct field backup_config_fields[] = {
	FIELD_UUID_(D, id, "backup_id", NEED, "id of the backup, chosen by the caller"),
	FIELD_LIST_(D, disks, "disks", IN, &backup_disk_type, "disks to back up"),
	FIELD_UUID_(D, from_checkpoint, "from_checkpoint_id", IN, "incremental: what changed since this checkpoint"),
	FIELD_UUID_(D, to_checkpoint, "to_checkpoint_id", IN, "checkpoint that is made at the moment of the backup"),
	FIELD_BOOL_(D, require_consistency, "require_consistency", IN, "fail when the guest's file systems cannot be frozen", .def = "false"),
	FIELD_LONG_(D, creation_time, "creation_time", IN, "of the checkpoint, when it is defined anew; epoch", .unit = "s", .min = 0, .max = -1),
};
const struct record_type backup_config_type = RECORD_TYPE("config", NULL, D, backup_config_fields, "A backup");
#undef D

#define D struct checkpoint_spec
static const struct field checkpoint_fields[] = {
	FIELD_UUID_(D, id, "id", NEED, "id of the checkpoint"),
	FIELD_STRING_(D, xml, "xml", IN, "libvirt's <domaincheckpoint>"),
	FIELD_RECORD_(D, config, "config", IN, &backup_config_type, "or: the backup that made it"),
};
const struct record_type checkpoint_spec_type = RECORD_TYPE("checkpoint", "checkpoints", D, checkpoint_fields, "A checkpoint that libvirt has forgotten");
#undef D

#define D struct backup_params
#define VM_ID FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM")
#define BACKUP_ID FIELD_UUID_(D, backup_id, "backup_id", NEED, "id of the backup")
#define PARAMS(symbol, verb, ...) \
	static const struct field symbol##_fields[] = { VM_ID, __VA_ARGS__ }; \
	const struct record_type symbol##_type = RECORD_TYPE(verb, NULL, D, symbol##_fields, "Parameters of " verb)
PARAMS(backup_start_params, "VM.start_backup", FIELD_RECORD_(D, config, "config", NEED, &backup_config_type, "what is backed up, and how"));
PARAMS(backup_stop_params, "VM.stop_backup", BACKUP_ID);
PARAMS(backup_info_params, "VM.backup_info", BACKUP_ID,
       FIELD_UUID_(D, checkpoint_id, "checkpoint_id", IN, "with the XML of this checkpoint"));
PARAMS(checkpoints_redefine_params, "VM.redefine_checkpoints",
       FIELD_LIST_(D, checkpoints, "checkpoints", NEED, &checkpoint_spec_type, "checkpoints, the oldest first"));
PARAMS(checkpoints_delete_params, "VM.delete_checkpoints", FIELD_STRINGS_(D, checkpoint_ids, "checkpoint_ids", NEED, "their ids, the oldest first"));
PARAMS(checkpoint_dump_params, "VM.dump_checkpoint", FIELD_UUID_(D, checkpoint_id, "checkpoint_id", NEED, "id of the checkpoint"));
#undef D

#define URLS "{disks: {imageID: \"nbd:unix:PATH:exportname=NAME\"}, checkpoint?: XML}"
#define SOME "{checkpoint_ids: [those that were], error?: {code, message}: libvirt's, of the first that was not}"
const struct verb backup_verbs[] = {
	VM_ROW("start_backup", backup_start_params_type, .kind = RESULT_JSON, .not_migrating = true,
	       .doc = "Shows disks of a running VM as they are at this moment, over NBD, until VM.stop_backup; freezes and thaws its file systems; hooks "
		      "before_vm_backup, after_vm_backup",
	       .returns = URLS ": checkpoint with to_checkpoint_id; when that backup runs already, the same", .errors = "1 6 51 1500 1600 1612"),
	{ .name = "VM.stop_backup", .params = &backup_stop_params_type, .kind = RESULT_JSON, .lane = VERB_ANY, .changes = true,
	  .doc = "Ends a backup; one that does not run is fine. Not while a disk is attached or served as it was at its moment (Image.attachLocal, NBD.start_server)",
	  .returns = "{code, message}", .errors = "1 1600" },
	{ .name = "VM.backup_info", .params = &backup_info_params_type, .kind = RESULT_JSON, .lane = VERB_VM, .lane_key = "vmID",
	  .doc = "Where the disks of a backup that runs are", .returns = URLS ": checkpoint with checkpoint_id", .errors = "1 6 1600 1601" },
	{ .name = "VM.list_checkpoints", .params = &vm_id_params_type, .kind = RESULT_JSON, .lane = VERB_VM, .lane_key = "vmID",
	  .doc = "The checkpoints of a running VM that libvirt knows", .returns = "[id], each after the one it is based on", .errors = "1 6 1610" },
	VM_ROW("redefine_checkpoints", checkpoints_redefine_params_type, .kind = RESULT_JSON, .not_migrating = true,
	       .doc = "Tells libvirt of checkpoints that it has forgotten, because the VM was started anew or came from another host", .returns = SOME,
	       .errors = "1 6 51 1600 1610"),
	VM_ROW("delete_checkpoints", checkpoints_delete_params_type, .kind = RESULT_JSON, .not_migrating = true,
	       .doc = "Forgets checkpoints of a running VM; what one has noted counts for the one before it", .returns = SOME ". One that is not there was",
	       .errors = "1 6 51"),
	{ .name = "VM.dump_checkpoint", .params = &checkpoint_dump_params_type, .kind = RESULT_JSON, .lane = VERB_VM, .lane_key = "vmID",
	  .doc = "libvirt's description of a checkpoint", .returns = "{checkpoint: XML}", .errors = "1 6 1610 1611" },
};
const size_t n_backup_verbs = G_N_ELEMENTS(backup_verbs);
