/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLOW_DISK_MERGE_H
#define BERTH_ENGINE_FLOW_DISK_MERGE_H
/* Disks: a snapshot of one is given up. */
#include "engine/flow/flow.h"
#include "engine/model/disk.h"

/* object: the disk, locked meanwhile, which no VM uses. data: disk_merge_data() */
extern const struct flow_type merge_disk_flow;
/* snapshot: the volume whose moment is given up. NULL + error */
json_t *disk_merge_data(struct engine *engine, const struct disk *disk, const char *snapshot, GError **error);

/* Volumes of a chain, more than an agent lets one have: one that says so leads in a circle. */
#define DISK_CHAIN_MAX 128

#endif
