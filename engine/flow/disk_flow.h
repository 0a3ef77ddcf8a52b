/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DISK_FLOW_H
#define BERTH_ENGINE_DISK_FLOW_H
/* Disks: their volumes made and removed. */
#include "engine/flow/flow.h"
#include "engine/model/disk.h"

/* object: a disk that is stored and locked; its volume is made on its storage domain, then it is ok. Failure removes the disk. data: disk_flow_data() */
extern const struct flow_type create_disk_flow;
/* object: a disk whose volume is removed, then the disk. data: disk_flow_data() */
extern const struct flow_type remove_disk_flow;

/* What a flow must know after the disk is gone. NULL + error: its storage domain is gone or in no data center. */
json_t *disk_flow_data(struct engine *engine, const struct disk *disk, GError **error);
/* "disk d1": its name or its id. */
const char *disk_label(const struct disk *disk);

#endif
