/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SCHED_H
#define BERTH_ENGINE_SCHED_H
/* Where a virtual machine starts. */
#include "engine/engine.h"
#include "engine/model/vm.h"

/* Id of the host of the VM's cluster that is best for it (g_free). vm: as it will run. Reads only; never blocks.
 * ERR_OPERATION_FAILED says why each host was left out. */
char *sched_pick_host(struct engine *engine, const struct vm *vm, GError **error);
/* For change_check(), where the VM (data, as it will run) is put on a host: other VMs that were put there since it was picked leave room for it.
 * ERR_RESOURCE_UNAVAILABLE: pick again. */
bool sched_still_fits(struct model *model, void *data, GError **error);

#endif
