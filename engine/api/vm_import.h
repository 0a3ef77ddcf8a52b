/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_VM_IMPORT_H
#define BERTH_ENGINE_VM_IMPORT_H
/* The actions import and register of VMs and templates below a storage domain. */
#include "engine/api/resource.h"

extern const struct record_type import_action_type, register_action_type, template_import_type, template_register_type;
/* Of both. */
bool vm_import(struct request *request, const void *object, const void *params, void **ret_result, GError **error);
bool vm_register(struct request *request, const void *object, const void *params, void **ret_result, GError **error);

#endif
