/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_BACKUP_H
#define BERTH_PROTO_BACKUP_H
/* Parameters of the verbs about backups of running VMs and their checkpoints. Wire names are those that vdsm reads (lib/vdsm/virt/backup.py, 4.5). */
#include "common/record.h"

struct backup_scratch { struct record record; char *path, *type, *domain_id, *image_id, *volume_id; };
extern const struct record_type backup_scratch_type;

enum backup_mode { BACKUP_FULL, BACKUP_INCREMENTAL };
struct backup_disk {
	struct record record;
	char *domain_id, *image_id, *volume_id;
	bool checkpoint;
	int mode;                        /* enum backup_mode */
	struct backup_scratch *scratch;
};
extern const struct record_type backup_disk_type;

struct backup_config {
	struct record record;
	char *id, *from_checkpoint, *to_checkpoint;
	GPtrArray *disks;                /* struct backup_disk */
	bool require_consistency;
	int64_t creation_time;           /* epoch, s */
};
extern const struct record_type backup_config_type;

struct checkpoint_spec { struct record record; char *id, *xml; struct backup_config *config; };
extern const struct record_type checkpoint_spec_type;

/* Of all these verbs; each has the members that its table names. */
struct backup_params {
	struct record record;
	char *vm_id, *backup_id, *checkpoint_id;
	struct backup_config *config;
	GPtrArray *checkpoint_ids, *checkpoints;      /* strings; struct checkpoint_spec */
};
extern const struct record_type backup_start_params_type, backup_stop_params_type, backup_info_params_type, checkpoints_redefine_params_type,
	checkpoints_delete_params_type, checkpoint_dump_params_type;

#endif
