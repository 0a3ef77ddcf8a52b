/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DISK_FLOW_H
#define BERTH_ENGINE_DISK_FLOW_H
/* Disks: their volumes made and removed. */
#include "engine/flow/flow.h"
#include "engine/flow/storage_calls.h"
#include "engine/model/disk.h"
#include "engine/store/store.h"

struct change;

/* object: a disk that is stored and locked; its volume is made on its storage domain, then it is ok. Failure removes the disk. data: disk_flow_data() */
extern const struct flow_type create_disk_flow;
/* object: a disk whose volume is removed, then the disk. data: disk_flow_data() */
extern const struct flow_type remove_disk_flow;

/*
 * Steps and undos of flows that make a disk and put something into it: their data is disk_flow_data() and more.
 *	record    it is stored already, locked, with the flow's announcement; undo: it is removed
 *	volume    made empty; undo: removed
 *	settle    ok, with the sizes that the volume has; tell: adds the event
 */
bool disk_record(struct flow *flow, GError **error);
bool disk_record_undo(struct flow *flow, GError **error);
bool disk_volume(struct flow *flow, GError **error);
bool disk_volume_undo(struct flow *flow, GError **error);
bool disk_settle(struct flow *flow, void (*tell)(struct flow *flow, struct change *change, struct disk *disk), GError **error);
/* As they stand in the flow's data. */
struct storage_call disk_flow_call(const struct flow *flow);
struct volume_place disk_flow_volume(const struct flow *flow);

/* What a flow must know after the disk is gone. NULL + error: its storage domain is gone or in no data center. */
json_t *disk_flow_data(struct engine *engine, const struct disk *disk, GError **error);
/* "disk d1": its name or its id. */
const char *disk_label(const struct disk *disk);
/* In the change, the disk gets that state. */
void disk_change_state(struct change *change, const struct disk *disk, int state);
/* For store_modify(): a disk that is locked gets this state. data: const int *; NULL: ok */
bool disk_edit_unlock(void *copy, struct change *change, void *data, GError **error);
/* For change_check(), so that a start of its VM comes wholly before or wholly after: no running VM has it plugged. data: a struct disk */
bool disk_is_at_rest(struct model *model, void *data, GError **error);
/* For change_check(), where the disk is locked for work on its data or its VM starts: its storage domain is active, so that a deactivation (domain_move.c,
 * which does not begin while there is such work) comes wholly before or wholly after. data: a struct disk */
bool disk_domain_is_active(struct model *model, void *data, GError **error);

#endif
