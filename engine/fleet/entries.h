/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_ENTRIES_H
#define BERTH_ENGINE_ENTRIES_H
/*
 * Entries of runs that ended. An agent keeps a VM that went down in its list, with the reason, until VM.destroy: whoever took note of the reason does that.
 *
 * The end of a run is stored first, together with vm.entry_host; then the entry is dropped, then vm.entry_host is cleared. An engine that is killed in
 * between, or whose agent is away, finds the entry again in the next list of the host: what is Down there and not placed there by the model is dropped. The
 * entry of a VM that is removed before that is dropped by the removal (flow/vm_remove.c). VMs that the model does not know are somebody else's.
 *
 * VM.destroy also ends a VM that runs. Therefore the agent is asked first, and both happen on the VM's own lane, on which everything is that can start it.
 */
#include <stdbool.h>
#include "engine/fleet/fleet.h"

/* On the VM's lane, on a worker. *ret_gone: the host's agent has no entry of the VM (any more); false: it has one that is not down, which is left alone. */
bool entry_drop(struct fleet *fleet, const char *host_id, const char *vm_id, const char *flow_id, bool *ret_gone, GError **error);
/* The same when the VM's lane comes to it, unless the VM is placed on that host by then. Any thread. */
void entry_drop_later(struct fleet *fleet, const char *host_id, const char *vm_id);

#endif
