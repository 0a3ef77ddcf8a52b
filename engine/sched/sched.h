/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SCHED_H
#define BERTH_ENGINE_SCHED_H
/* Where a virtual machine starts, and where it goes when it migrates. */
#include "engine/engine.h"
#include "engine/model/host.h"
#include "engine/model/vm.h"

/* A VM that runs and shall run on another host. Its placement policy says where it starts, and that it may migrate; not where to. */
struct sched_move {
	const char *to;                      /* id of the only host that comes into question; NULL: any */
	const json_t *but_not;               /* ids of hosts that do not; may be NULL */
};

/* Id of the host of the VM's cluster that is best for it (g_free). vm: as it will run. move: NULL for a start. Reads only; never blocks.
 * ERR_OPERATION_FAILED says why each host was left out. */
char *sched_pick_host(struct engine *engine, const struct vm *vm, const struct sched_move *move, GError **error);
/* How busy its processors are, in %, with what VMs that just start may do. */
double sched_load(struct engine *engine, const struct host *host);
/* For change_check(), where the VM (data, as it will run) is put on a host: other VMs that were put there since it was picked leave room for it.
 * ERR_RESOURCE_UNAVAILABLE: pick again. */
bool sched_still_fits(struct model *model, void *data, GError **error);

#endif
