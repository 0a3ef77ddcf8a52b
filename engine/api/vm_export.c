/* SPDX-License-Identifier: Apache-2.0 */
/* The action export of virtual machines (REST 15.7.11) and templates (17.4.1). */
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_template.h"
#include "engine/api/res_vm.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/export_flow.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/vm_base.h"

struct export_action { ACTION_MEMBERS struct ref storage_domain; bool exclusive, discard_snapshots; };
static const struct field export_fields[] = {
	ACTION_FIELDS(struct export_action),
	FIELD_REF_(struct export_action, storage_domain, "storage_domain", CREATE | REQUIRED, "storagedomains", "export domain that takes it"),
	FIELD_BOOL_(struct export_action, exclusive, "exclusive", CREATE, "overwrite what is there of it, or of its name"),
	FIELD_BOOL_(struct export_action, discard_snapshots, "discard_snapshots", CREATE, "leave the snapshots out; copies never have any"),
};
const struct record_type export_action_type = RECORD_TYPE("action", NULL, struct export_action, export_fields, "Where to export a VM or template");

static char *data_center_of(struct model *model, const char *cluster_id)
{
	struct cluster *cluster = cluster_id ? model_get(model, &cluster_kind, cluster_id) : NULL;
	char *id = cluster ? g_strdup(cluster->data_center.id) : NULL;

	record_unref(cluster);
	return id;
}

static bool check_target(struct request *request, const void *object, const struct storage_domain *target, GError **error)
{
	const char *cluster = kind_of(object) == &template_kind ? ((const struct template *)object)->cluster.id : ((const struct vm *)object)->cluster.id;
	g_autofree char *data_center = data_center_of(request->engine->model, cluster);

	if (target->type != DOMAIN_EXPORT)
		error_set(error, ERR_OPERATION_FAILED, "storage_domain: storage domain '%s' is of type %s, not export", target->name,
			  storage_domain_flavor_names[target->type]);
	else if (target->state != DOMAIN_ACTIVE)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: an export needs an active one", target->name, storage_domain_state_names[target->state]);
	else if (g_strcmp0(data_center, target->data_center.id))
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is not in the data center of %s '%s'", target->name, vm_base_noun(object), object_name(object));
	else if (!request_permits(request, "import_export_vm", target))
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'import_export_vm' on storage domain '%s'", request->actor.user_name, target->name);
	else
		return true;
	return false;
}

static bool check_space(struct request *request, const void *object, const struct storage_domain *target, GError **error)
{
	struct model *model = request->engine->model;
	g_autoptr(GPtrArray) disks = vm_base_disks(model, object);
	int64_t bytes = 0;

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		bytes += disk->sparse ? disk->actual_size : disk->size;
	}
	return domain_has_space(target, bytes, error);
}

static bool is_of(const struct definition *definition, const void *object)
{
	const void *other = definition->ovf ? ovf_object(definition->ovf) : NULL;

	return !strcmp(definition->id, object_id(object)) ||
	       (other && kind_of(other) == kind_of(object) && !g_ascii_strcasecmp(object_name(other), object_name(object)));
}

/* What is there of this VM or template, or of another with its name: struct definition *, which `all` owns. */
static bool find_old(const GPtrArray *all, const void *object, const struct storage_domain *target, bool overwrite, GPtrArray *ret_old, GError **error)
{
	for (guint i = 0; i < all->len; i++) {
		if (!is_of(all->pdata[i], object))
			continue;
		if (!overwrite) {
			error_set(error, ERR_OPERATION_FAILED, "%s '%s' is on storage domain '%s' already: exclusive=true overwrites it", vm_base_noun(object), object_name(object),
				  target->name);
			return false;
		}
		g_ptr_array_add(ret_old, all->pdata[i]);
	}
	return true;
}

static bool export(struct request *request, const void *object, const struct export_action *how, const struct flow_type *type, GError **error)
{
	struct storage_domain *target = model_get(request->engine->model, &storage_domain_kind, how->storage_domain.id);
	g_autoptr(GPtrArray) all = NULL, old = g_ptr_array_new();
	json_t *data = NULL;

	if (!target)
		error_set(error, ERR_NOT_FOUND, "storage_domain: '%s'", how->storage_domain.id);
	else if (check_target(request, object, target, error) && check_space(request, object, target, error))
		all = definitions_read(request->engine, target, error);
	if (all && find_old(all, object, target, how->exclusive, old, error))
		data = export_data(request->engine, object, target, old, error);
	record_unref(target);
	return data && flow_run(request->engine, type, object_id(object), &request->actor, data, NULL, error);
}

bool vm_export(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return vm_check_down(object, "export", error) && export(request, object, params, &export_vm_flow, error);
}

bool template_export(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return template_check(object, "exported", error) && export(request, object, params, &export_template_flow, error);
}
