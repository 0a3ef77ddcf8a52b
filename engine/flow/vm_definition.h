/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_VM_DEFINITION_H
#define BERTH_ENGINE_VM_DEFINITION_H
/* A VM of the model as the agent's VM.create wants it. */
#include "engine/engine.h"
#include "engine/model/vm.h"
#include "proto/vm.h"

/* The VM with what holds for this run only laid over it; a new record. */
struct vm *vm_for_run(const struct vm *vm, GError **error);
/* The disc that a VM (as it runs, or as it is stored) has in its drive; NULL: none. */
const char *vm_disc(const struct vm *vm);
/* Parameters of VM.create on the VM's host: the VM with its active disks, plugged NICs and the disc in its drive. ERR_OPERATION_FAILED, ERR_NOT_FOUND name
 * what is missing. Worker. */
struct vm_create_params *vm_definition(struct engine *engine, const struct vm *vm, bool paused, GError **error);
/* Id of the data center of the VM's cluster; g_free; NULL when gone. */
char *vm_data_center(struct engine *engine, const struct vm *vm);

#endif
