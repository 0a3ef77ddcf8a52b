/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_LIFE_START_H
#define BERTH_AGENT_VIRT_LIFE_START_H
/* Starting a VM that is in the table. Theory of operation in start.c. */
#include <stdbool.h>
#include <glib.h>
#include "agent/virt/life/memory_volume.h"
#include "agent/virt/vm.h"

/* Queues the start on the VM's lane: with this XML, or, where files has a memory, from there. files are taken over. */
bool vm_start(struct vm *vm, const char *xml, struct memory_files *files, GError **error);

#endif
