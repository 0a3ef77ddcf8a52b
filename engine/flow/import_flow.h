/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_IMPORT_FLOW_H
#define BERTH_ENGINE_IMPORT_FLOW_H
/* VMs and templates from the definitions that storage domains keep. */
#include "engine/flow/flow.h"
#include "engine/model/storage_domain.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

/* What becomes of a definition: the VM or template, its disks and NICs as they will be stored. */
struct import {
	struct vm *vm;                       /* one of the two */
	struct template *template;
	GPtrArray *disks;                    /* struct disk, on their target domain */
	GPtrArray *sources;                  /* struct disk, the same as they are on `source`, one for each */
	GPtrArray *nics;                     /* struct nic; one whose address is taken gets another; a template's have none */
	const struct storage_domain *source, *target;
	const char *lost;                    /* NICs that come without their network, for the event; NULL: none */
};

/* object: the id of the VM or template, which is made by the flow: its disks are copied from the source. data: import_data() */
extern const struct flow_type import_vm_flow, import_template_flow;
/* The VM or template. */
void *import_object(const struct import *import);
json_t *import_data(struct engine *engine, const struct import *import, GError **error);

/* The VM or template is stored with disks that are where they are to be already. */
bool import_register(struct engine *engine, const struct import *import, const struct actor *actor, GError **error);

#endif
