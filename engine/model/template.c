/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: the table. See template.h. */
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/nic.h"
#include "engine/model/template.h"
#include "engine/model/vm-fields.h"

const char *const template_state_names[] = { "illegal", "locked", "ok", NULL };

#define DEFAULT(text) text
static const struct field template_fields[] = {
	VM_FIELDS_HEAD(struct template, CU | REQUIRED | SEARCH | UNIQUE | HEAD, DEFAULT),
	FIELD_ENUM_(struct template, state, "status/state", SEARCH, template_state_names, "may it be used", .search = "status"),
	FIELD_STRING_(struct template, state_detail, "status/detail", READ_ONLY, "why it is in that state"),
	FIELD_REF_(struct template, vm, "vm", CREATE | REQUIRED | INPUT_ONLY, "vms", "virtual machine it is made from"),
	VM_FIELDS_HARDWARE(struct template, DEFAULT),
	VM_FIELDS_DISPLAY(struct template, DEFAULT),
	FIELD_REF_(struct template, cluster, "cluster", CREATE | SEARCH | WITHIN, "clusters", "cluster it belongs to; Blank: none"),
	VM_FIELDS_POLICY(struct template, DEFAULT),
	FIELD_ENUM_(struct template, numa_tune_mode, "numa_tune_mode", CU, numa_tune_mode_names, "how memory is taken from NUMA nodes",
		    .def = DEFAULT("interleave")),
	FIELD_REF_(struct template, base_template, "version/base_template", CREATE | WEAK, "templates", "template that this is a version of"),
	FIELD_INT_(struct template, version_number, "version/version_number", READ_ONLY, "counts the versions"),
	FIELD_STRING_(struct template, version_name, "version/version_name", CU, "name of the version", .max = 255),
};
const struct record_type template_type = RECORD_TYPE("template", "templates", struct template, template_fields, "What virtual machines are made from");

GPtrArray *template_disks(struct model *model, const char *template_id)
{
	return model_referring(model, &disk_kind, offsetof(struct disk, template), template_id);
}

GPtrArray *template_nics(struct model *model, const char *template_id)
{
	return model_referring(model, &nic_kind, offsetof(struct nic, template), template_id);
}

struct vm *template_as_vm(const struct template *template)
{
	struct vm *vm = record_new(&vm_type);

	set_string(&vm->id, template->id);
	set_string(&vm->name, template->name);
	set_string(&vm->description, template->description);
	set_string(&vm->comment, template->comment);
	set_ref(&vm->cluster, template->cluster.id);
	set_ref(&vm->template, template->id);
	vm_inherit(vm, template);
	if (HAS(template, creation_time))
		SET(vm, creation_time, template->creation_time);
	return vm;
}

void template_begin_versions(struct template *template)
{
	set_ref(&template->base_template, template->id);
	SET(template, version_number, 1);
	set_string(&template->version_name, "base version");
}
