/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_LIFE_END_SCRIPTS_H
#define BERTH_AGENT_VIRT_LIFE_END_SCRIPTS_H
#include "agent/virt/vm.h"

/* run_dir/ends, made when missing; g_free. NULL + ERR_IO_FAILED */
char *end_scripts_dir(const char *run_dir, GError **error);
/* From here on scripts know of the VM: they will be told of its end (vm_tell_end()), by whichever agent is there. Worker. */
void end_scripts_owe(struct vm *vm);
/* Its XML is another one. Worker. */
void end_scripts_keep(struct vm *vm);
/* What an earlier agent owed for it is owed again, and its XML known, if it is not. Any thread. */
void end_scripts_recall(struct vm *vm);
/* Loop, after a start, when all VMs are known that run, or that a job looks for: the scripts are told of the others. */
void end_scripts_resumed(struct vms *vms);

#endif
