/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLOW_DISK_COPY_H
#define BERTH_ENGINE_FLOW_DISK_COPY_H
/* Disks: one more with the same content. */
#include "engine/flow/flow.h"
#include "engine/model/disk.h"
#include "engine/model/storage_domain.h"

/* object: the disk that is copied. It is locked, and so is the copy, which is stored with the announcement of the flow; both are ok at its end. Failure
 * removes the copy. data: disk_copy_data() */
extern const struct flow_type copy_disk_flow;
/* NULL + error: no host works on the target. */
json_t *disk_copy_data(struct engine *engine, const struct disk *from, const struct disk *to, const struct storage_domain *target, GError **error);

#endif
