/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_VM_FLOW_H
#define BERTH_ENGINE_VM_FLOW_H
#include "engine/flow/flow.h"

/* data: {"paused"?: bool, "once"?: stored form of a vm's members that hold for this run} */
extern const struct flow_type start_vm_flow;
/* data: {}; the VM runs. Afterwards it is suspended. */
extern const struct flow_type suspend_vm_flow;
/* data: {}; the VM is suspended. Afterwards it is down, its memory forgotten. */
extern const struct flow_type discard_memory_flow;
/* data: {"name", "keep": bool, disks stay as floating ones} */
extern const struct flow_type remove_vm_flow;

/* The VM is down now: its host, start time and values for this run are forgotten. Fine when it is down already. */
bool vm_mark_down(struct engine *engine, const char *vm_id, const char *reason, GError **error);

#endif
