/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_SNAPSHOT_H
#define BERTH_PROTO_SNAPSHOT_H
/* Parameters of the verbs that change the volumes a running VM writes to: VM.snapshot, VM.merge, VM.diskReplicate*. Wire names are vdsm's. */
#include "common/record.h"

/* A disk of a VM, by the ids of its volume; "base" members: what it is now, where the others are what it becomes. */
struct disk_spec { struct record record; char *pool_id, *domain_id, *image_id, *volume_id, *base_volume_id, *guid, *base_guid, *uuid, *base_uuid; };
extern const struct record_type disk_spec_type, snapshot_disk_type;

struct snapshot_params {
	struct record record;
	char *vm_id, *job_id;
	GPtrArray *disks;                /* struct disk_spec */
	json_t *memory;
	bool frozen;
	int timeout, freeze_timeout;     /* minutes */
	int frozen_limit;                /* s */
};
extern const struct record_type snapshot_params_type;

struct merge_params { struct record record; char *vm_id, *base, *top, *job_id; struct disk_spec *disk; int bandwidth; };      /* MiB/s */
extern const struct record_type merge_params_type;

struct replicate_params { struct record record; char *vm_id; struct disk_spec *from, *to; bool need_extend; };
extern const struct record_type replicate_start_params_type, replicate_finish_params_type;

#endif
