/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_VM_BASE_H
#define BERTH_ENGINE_MODEL_VM_BASE_H
/* What a VM and a template have in common (VM_BASE_MEMBERS), for work that is the same on either: object is a struct vm or a struct template. */
#include <stdbool.h>
#include "engine/model/model.h"

bool vm_base_is_template(const void *object);
const char *vm_base_noun(const void *object);                        /* "VM", "template" */
GPtrArray *vm_base_disks(struct model *model, const void *object);   /* struct disk, references */
/* Locked: image_locked, locked. At rest, and what an end of the lock makes of it: down, ok. */
bool vm_base_is_locked(const void *object);
bool vm_base_is_at_rest(const void *object);
void vm_base_lock(void *object, bool locked);

#endif
