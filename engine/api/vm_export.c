/* SPDX-License-Identifier: Apache-2.0 */
/* The action export of virtual machines (REST 15.7.11). */
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_vm.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/export_flow.h"
#include "engine/flow/vm_definition.h"
#include "engine/model/kinds.h"

struct export_action { ACTION_MEMBERS struct ref storage_domain; bool exclusive, discard_snapshots; };
static const struct field export_fields[] = {
	ACTION_FIELDS(struct export_action),
	FIELD_REF_(struct export_action, storage_domain, "storage_domain", CREATE | REQUIRED, "storagedomains", "export domain that takes it"),
	FIELD_BOOL_(struct export_action, exclusive, "exclusive", CREATE, "overwrite what is there of this VM, or of its name"),
	FIELD_BOOL_(struct export_action, discard_snapshots, "discard_snapshots", CREATE, "leave the snapshots out; copies never have any"),
};
const struct record_type export_action_type = RECORD_TYPE("action", NULL, struct export_action, export_fields, "Where to export a VM");

static bool check_target(struct request *request, const struct vm *vm, const struct storage_domain *target, GError **error)
{
	g_autofree char *data_center = vm_data_center(request->engine, vm);

	if (target->type != DOMAIN_EXPORT)
		error_set(error, ERR_OPERATION_FAILED, "storage_domain: storage domain '%s' is of type %s, not export", target->name,
			  storage_domain_flavor_names[target->type]);
	else if (target->state != DOMAIN_ACTIVE)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: an export needs an active one", target->name, storage_domain_state_names[target->state]);
	else if (g_strcmp0(data_center, target->data_center.id))
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is not in the data center of VM '%s'", target->name, vm->name);
	else if (!request_permits(request, "import_export_vm", target))
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'import_export_vm' on storage domain '%s'", request->actor.user_name, target->name);
	else
		return true;
	return false;
}

static bool check_space(struct request *request, const struct vm *vm, const struct storage_domain *target, GError **error)
{
	g_autoptr(GPtrArray) disks = model_children(request->engine->model, &disk_kind, vm->id);
	int64_t bytes = 0;

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		bytes += disk->sparse ? disk->actual_size : disk->size;
	}
	return domain_has_space(target, bytes, error);
}

static bool is_of(const struct definition *definition, const struct vm *vm)
{
	const struct vm *other = definition->ovf ? definition->ovf->vm : NULL;

	return !strcmp(definition->id, vm->id) || (other && !g_ascii_strcasecmp(other->name, vm->name));
}

/* What is there of this VM, or of another with its name: struct definition *, which `all` owns. */
static bool find_old(const GPtrArray *all, const struct vm *vm, const struct storage_domain *target, bool overwrite, GPtrArray *ret_old, GError **error)
{
	for (guint i = 0; i < all->len; i++) {
		if (!is_of(all->pdata[i], vm))
			continue;
		if (!overwrite) {
			error_set(error, ERR_OPERATION_FAILED, "VM '%s' is on storage domain '%s' already: exclusive=true overwrites it", vm->name, target->name);
			return false;
		}
		g_ptr_array_add(ret_old, all->pdata[i]);
	}
	return true;
}

bool vm_export(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;
	const struct export_action *how = params;
	struct storage_domain *target = model_get(request->engine->model, &storage_domain_kind, how->storage_domain.id);
	g_autoptr(GPtrArray) all = NULL, old = g_ptr_array_new();
	json_t *data = NULL;

	if (!target)
		error_set(error, ERR_NOT_FOUND, "storage_domain: '%s'", how->storage_domain.id);
	else if (vm_check_down(vm, "export", error) && check_target(request, vm, target, error) && check_space(request, vm, target, error))
		all = definitions_read(request->engine, target, error);
	if (all && find_old(all, vm, target, how->exclusive, old, error))
		data = export_data(request->engine, vm, target, old, error);
	record_unref(target);
	return data && flow_run(request->engine, &export_vm_flow, vm->id, &request->actor, data, NULL, error);
}
