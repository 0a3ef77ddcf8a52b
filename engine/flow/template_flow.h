/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_TEMPLATE_FLOW_H
#define BERTH_ENGINE_TEMPLATE_FLOW_H
/* Templates made of VMs, and removed with their disks. */
#include "engine/flow/flow.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

/*
 * object: a template that is stored, locked, with its disks and the flow's announcement, as the VM is that it is made of; the disks are copied, then all are
 * as they shall be. Failed, the template is gone. data: template_create_data()
 */
extern const struct flow_type create_template_flow;
/* from: the VM's disks; to: the template's, one for each, on the same domain */
json_t *template_create_data(struct engine *engine, const struct template *template, const struct vm *vm, const GPtrArray *from, const GPtrArray *to, GError **error);

/* object: the template; it is refused while something is based on it. data: template_remove_data() */
extern const struct flow_type remove_template_flow;
json_t *template_remove_data(const struct template *template);

#endif
