/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_VM_MEMORY_H
#define BERTH_ENGINE_VM_MEMORY_H
/* The volume that holds a suspended VM's memory. */
#include "engine/flow/flow.h"

/* memory: vm.memory_volume. Fine when it is gone already. */
bool vm_memory_remove(struct flow *flow, const json_t *memory, GError **error);
/* How long slow storage may take for so many bytes. */
int vm_memory_seconds(int64_t size);

#endif
