/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_VM_H
#define BERTH_ENGINE_RES_VM_H
/* Virtual machines and what hangs on them. */
#include "engine/api/resource.h"
#include "engine/model/vm.h"

extern const struct resource resource_vm, resource_vm_nic, resource_vm_nic_statistic, resource_vm_disk, resource_vm_disk_statistic, resource_vm_cdrom,
	resource_vm_statistic, resource_disk;
extern const struct action vm_actions[];

/* ERR_WRONG_STATE naming the state unless the VM is down. */
bool vm_check_down(const struct vm *vm, const char *what, GError **error);

/* vm_export.c */
extern const struct record_type export_action_type;
bool vm_export(struct request *request, const void *object, const void *params, void **ret_result, GError **error);

#endif
