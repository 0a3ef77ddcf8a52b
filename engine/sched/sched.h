/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SCHED_H
#define BERTH_ENGINE_SCHED_H
/* Where a virtual machine starts. */
#include "engine/engine.h"
#include "engine/model/vm.h"

/* Id of the host of the VM's cluster that is best for it (g_free). vm: as it will run. Reads only; never blocks.
 * ERR_OPERATION_FAILED says why each host was left out. */
char *sched_pick_host(struct engine *engine, const struct vm *vm, GError **error);

#endif
