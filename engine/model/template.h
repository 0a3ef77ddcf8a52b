/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_TEMPLATE_H
#define BERTH_ENGINE_MODEL_TEMPLATE_H
/* Templates (REST chapter 17). Blank has the id BLANK_ID and no cluster: it is there in all of them. */
#include "engine/model/misc.h"
#include "engine/model/vm.h"

enum template_state { TEMPLATE_ILLEGAL, TEMPLATE_LOCKED, TEMPLATE_OK, TEMPLATE_STATE_MAX };
extern const char *const template_state_names[];

struct template {
	VM_BASE_MEMBERS
	struct ref vm;                       /* INPUT_ONLY: made from */
	struct ref base_template;
	int version_number;
	char *version_name;                  /* base_template: itself, then it is the first */
};
extern const struct record_type template_type;

/* Its disks, in order of creation; its NICs. */
struct model;
GPtrArray *template_disks(struct model *model, const char *template_id);
GPtrArray *template_nics(struct model *model, const char *template_id);
/* What a VM made from it would be, with its name and id: for what can describe VMs only. New. */
struct vm *template_as_vm(const struct template *template);
/* It is the first version of itself; it has its id. */
void template_begin_versions(struct template *template);

#endif
