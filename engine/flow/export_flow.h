/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_EXPORT_FLOW_H
#define BERTH_ENGINE_EXPORT_FLOW_H
/* VMs and templates to export domains, and out of them. */
#include "engine/flow/definitions.h"
#include "engine/flow/flow.h"
#include "engine/model/storage_domain.h"

/* object: a VM that is down, or a template that is ok. data: export_data() */
extern const struct flow_type export_vm_flow, export_template_flow;
/* old: struct definition *, what is there of that VM or template or of its name and shall go before (may be empty). NULL + error. */
json_t *export_data(struct engine *engine, const void *object, const struct storage_domain *target, const GPtrArray *old, GError **error);

/* object: the id of what is on the export domain. data: export_remove_data() */
extern const struct flow_type remove_export_flow;
json_t *export_remove_data(struct engine *engine, const struct storage_domain *domain, const struct definition *definition, GError **error);

#endif
