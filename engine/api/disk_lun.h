/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DISK_LUN_H
#define BERTH_ENGINE_DISK_LUN_H
/* New disks that are a LUN of their own (REST 15.6.1.1, 16.1). */
#include "engine/api/domain_luns.h"
#include "engine/model/disk.h"
#include "engine/model/vm.h"

/* After a merge: the disk's LUN is what it was; ERR_IMMUTABLE: another was asked for. */
bool disk_keep_lun(const struct disk *before, struct disk *disk, GError **error);
/* Was a LUN asked for? */
bool disk_wants_lun(const struct disk *disk);
/* Checks what was given, chooses the host that looks, and how the LUN is reached: the disk's connections, of which plan (domain_plan_new()) has those that are
 * not stored yet. vm: NULL: floating. Worker. */
bool disk_plan_lun(struct request *request, const struct vm *vm, struct disk *disk, struct domain_plan *plan, GError **error);

#endif
