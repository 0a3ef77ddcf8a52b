/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/vm_base.h"

#include "engine/model/kinds.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

bool vm_base_is_template(const void *object)
{
	return kind_of(object) == &template_kind;
}

const char *vm_base_noun(const void *object)
{
	return vm_base_is_template(object) ? "template" : "VM";
}

GPtrArray *vm_base_disks(struct model *model, const void *object)
{
	return vm_base_is_template(object) ? template_disks(model, object_id(object)) : model_children(model, &disk_kind, object_id(object));
}

bool vm_base_is_locked(const void *object)
{
	return vm_base_is_template(object) ? ((const struct template *)object)->state == TEMPLATE_LOCKED : ((const struct vm *)object)->state == VM_IMAGE_LOCKED;
}

bool vm_base_is_at_rest(const void *object)
{
	return vm_base_is_template(object) ? ((const struct template *)object)->state == TEMPLATE_OK : ((const struct vm *)object)->state == VM_DOWN;
}

void vm_base_lock(void *object, bool locked)
{
	if (vm_base_is_template(object))
		SET((struct template *)object, state, locked ? TEMPLATE_LOCKED : TEMPLATE_OK);
	else
		SET((struct vm *)object, state, locked ? VM_IMAGE_LOCKED : VM_DOWN);
}
