/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs and templates below a storage domain (REST 12.6). Of an export domain: what it keeps, to be imported or deleted. Of a data domain: the VMs and templates with disks on
 * it; with ;unregistered what it brought along and the engine does not know. A definition that cannot be read is shown as a VM that is image_illegal, and why.
 */
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_data.h"
#include "engine/api/res_storage_domain.h"
#include "engine/api/vm_import.h"
#include "engine/flow/definitions.h"
#include "engine/flow/export_flow.h"
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

/* ---- shown ---- */

static struct vm *show_vm(struct request *request, const struct definition *definition)
{
	struct vm *vm = definition->ovf ? record_copy(definition->ovf->vm) : record_new(&vm_type);
	struct template *blank = model_get(request->engine->model, &template_kind, BLANK_ID);

	SET(vm, state, definition->ovf ? VM_DOWN : VM_IMAGE_ILLEGAL);
	set_string(&vm->id, definition->id);
	if (!definition->ovf) {
		set_string(&vm->name, definition->id);
		set_string(&vm->state_detail, definition->problem);
	} else
		vm_inherit(vm, blank);
	record_unref(blank);
	set_ref(&vm->storage_domain, object_id(request->parent));
	return vm;
}

static struct template *show_template(struct request *request, const struct definition *definition)
{
	struct template *template = record_copy(definition->ovf->template);

	SET(template, state, TEMPLATE_OK);
	record_defaults(template, 0);
	set_ref(&template->storage_domain, object_id(request->parent));
	return template;
}

/* The definition as a record of this kind; NULL: it is of the other. */
static void *show(struct request *request, const struct definition *definition)
{
	bool is_template = definition->ovf && definition->ovf->template;

	if (is_template != (request->resource->kind == &template_kind))
		return NULL;
	return is_template ? (void *)show_template(request, definition) : (void *)show_vm(request, definition);
}

/* ---- which ---- */

static bool has_disk_on(struct request *request, const char *id)
{
	struct model *model = request->engine->model;
	g_autoptr(GPtrArray) disks = request->resource->kind == &template_kind ? template_disks(model, id) : model_children(model, &disk_kind, id);

	for (guint i = 0; i < disks->len; i++)
		if (!g_strcmp0(disk_domain(disks->pdata[i]), object_id(request->parent)))
			return true;
	return false;
}

/* VMs or templates of the engine with disks on the domain, as they are shown here. */
static GPtrArray *registered(struct request *request)
{
	g_autoptr(GPtrArray) all = model_list(request->engine->model, request->resource->kind);
	GPtrArray *here = list_new();

	for (guint i = 0; i < all->len; i++)
		if (has_disk_on(request, object_id(all->pdata[i])))
			g_ptr_array_add(here, record_ref(all->pdata[i]));
	return here;
}

static bool is_known(struct request *request, const char *id)
{
	void *record = model_get(request->engine->model, request->resource->kind, id);

	record_unref(record);
	return record != NULL;
}

/* Its definitions can be read, and are what is asked for. */
static bool keeps_definitions(const struct request *request)
{
	const struct storage_domain *domain = request->parent;

	return domain->state == DOMAIN_ACTIVE && (domain->type == DOMAIN_EXPORT || domain->type == DOMAIN_DATA);
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct storage_domain *domain = request->parent;
	bool registered_ones = domain->type == DOMAIN_DATA && !request_flag(request, "unregistered");
	g_autoptr(GPtrArray) definitions = NULL;
	GPtrArray *shown;

	if (registered_ones)
		return registered(request);
	if (keeps_definitions(request) && !(definitions = definitions_read(request->engine, domain, error)))
		return NULL;
	shown = list_new();
	for (guint i = 0; definitions && i < definitions->len; i++) {
		const struct definition *definition = definitions->pdata[i];
		void *record = domain->type == DOMAIN_DATA && is_known(request, definition->id) ? NULL : show(request, definition);

		if (record)
			g_ptr_array_add(shown, record);
	}
	return shown;
}

static void *get(struct request *request, const char *id, GError **error)
{
	const struct storage_domain *domain = request->parent;
	autodefinition definition = NULL;
	void *record = NULL;

	if (domain->type == DOMAIN_DATA && has_disk_on(request, id))
		return model_get(request->engine->model, request->resource->kind, id);
	if (keeps_definitions(request) && !(domain->type == DOMAIN_DATA && is_known(request, id))) {
		if (!(definition = definition_read(request->engine, domain, id, error)))
			return NULL;
		record = show(request, definition);
	}
	if (!record)
		error_set(error, ERR_NOT_FOUND, "%s '%.128s' on storage domain '%s'", request->resource->kind->type->name, id, domain->name);
	return record;
}

/* ---- delete ---- */

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	const struct storage_domain *domain = request->parent;
	autodefinition definition = NULL;
	json_t *data;

	if (domain->type != DOMAIN_EXPORT) {
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is of type %s: only from an export domain is something deleted here", domain->name,
			  storage_domain_flavor_names[domain->type]);
		return false;
	}
	definition = definition_read(request->engine, domain, object_id(current), error);
	data = definition ? export_remove_data(request->engine, domain, definition, error) : NULL;
	return data && flow_run(request->engine, &remove_export_flow, object_id(current), &request->actor, data, NULL, error);
}

static const struct action vm_actions_here[] = {
	{ "import", &import_action_type, vm_import, "import_export_vm", "Copies the VM from the export domain into a data domain" },
	{ "register", &register_action_type, vm_register, "import_export_vm", "Takes up a VM that came with a data domain; its disks stay where they are" },
	{ 0 },
};

static const struct action template_actions[] = {
	{ "import", &template_import_type, vm_import, "import_export_vm", "Copies the template from the export domain into a data domain" },
	{ "register", &template_register_type, vm_register, "import_export_vm", "Takes up a template that came with a data domain; its disks stay where they are" },
	{ 0 },
};

const struct resource resource_storage_domain_vm = {
	.kind = &vm_kind, .path = "vms", .parent = &resource_storage_domain, .methods = RESOURCE_LIST | RESOURCE_GET | RESOURCE_REMOVE, .links = no_links,
	.actions = vm_actions_here, .permit_remove = "import_export_vm", .slow = true,
	.doc = "VMs that an export domain keeps; VMs with disks on a data domain, with ;unregistered those that it brought along", .list = list, .get = get,
	.remove = remove_,
};

const struct resource resource_storage_domain_template = {
	.kind = &template_kind, .path = "templates", .parent = &resource_storage_domain, .methods = RESOURCE_LIST | RESOURCE_GET | RESOURCE_REMOVE,
	.links = no_links, .actions = template_actions, .permit_remove = "import_export_vm", .slow = true, 
	.doc = "Templates that an export domain keeps; templates with disks on a data domain, with ;unregistered those that it brought along", .list = list,
	.get = get,
	.remove = remove_,
};
