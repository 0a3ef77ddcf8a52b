/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates (REST chapter 17). Blank cannot be changed or removed.
 *
 * A new one is stored, locked, with its disks and NICs and the announcement of its flow; the VM that it is made of and its disks are locked with it, in the
 * same change. The flow copies the disks. What the client does not say the template has from the VM. A version of another template is a template of its
 * own; it counts on from the versions that there are.
 */
#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "engine/api/res_data.h"
#include "engine/api/res_template.h"
#include "engine/api/res_vm.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/image_copies.h"
#include "engine/flow/rivals.h"
#include "engine/flow/template_flow.h"
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/nic.h"
#include "engine/model/template.h"
#include "engine/store/store.h"

/* Event codes, appendix C */
#define EVENT_ADD_BEGUN 48
#define EVENT_UPDATED 49
#define EVENT_ADD_FAILED 108

static bool check_blank(const struct template *template, const char *what, GError **error)
{
	if (strcmp(template->id, BLANK_ID))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "template '%s' is what all others are made from: it cannot be %s", template->name, what);
	return false;
}

bool template_check(const struct template *template, const char *done, GError **error)
{
	if (!check_blank(template, done, error))
		return false;
	if (template->state != TEMPLATE_OK)
		error_set(error, ERR_WRONG_STATE, "template '%s' is %s: it cannot be %s", template->name, template_state_names[template->state], done);
	return template->state == TEMPLATE_OK;
}

/* ---- create ---- */

/* A version has both: what it is a version of, and a name. */
static void missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct template *template = input;
	bool based = template->base_template.id || template->base_template.name;

	if (based && !template->version_name)
		g_ptr_array_add(names, g_strdup("version.version_name"));
	if (!based && template->version_name)
		g_ptr_array_add(names, g_strdup("version.base_template.id|name"));
}

/* Run by the writer; data: a struct template with the number that it would have. Nobody else has it, and what it counts on from begins a row of versions. */
static bool version_fits(struct model *model, void *data, GError **error)
{
	const struct template *template = data;
	struct template *base = model_get(model, &template_kind, template->base_template.id);
	g_autoptr(GPtrArray) versions = model_referring(model, &template_kind, offsetof(struct template, base_template), template->base_template.id);
	bool begins = base && (!base->base_template.id || !strcmp(base->base_template.id, base->id)), taken = false, ok;

	for (guint i = 0; i < versions->len; i++)
		taken = taken || (((const struct template *)versions->pdata[i])->version_number == template->version_number &&
				  strcmp(object_id(versions->pdata[i]), template->id));
	ok = !strcmp(template->base_template.id, template->id) || (begins && base->state == TEMPLATE_OK && !taken);
	if (!ok && !base)
		error_set(error, ERR_NOT_FOUND, "version/base_template: '%s'", template->base_template.id);
	else if (!ok && !begins)
		error_set(error, ERR_OPERATION_FAILED, "template '%s': version/base_template: template '%s' is a version itself", template->name, base->name);
	else if (!ok && base->state != TEMPLATE_OK)
		error_set(error, ERR_WRONG_STATE, "template '%s': version/base_template: template '%s' is %s", template->name, base->name,
			  template_state_names[base->state]);
	else if (!ok)
		error_set(error, ERR_CONFLICT, "template '%s': version %d of template '%s' was made meanwhile", template->name, template->version_number, base->name);
	record_unref(base);
	return ok;
}

static void number_version(struct model *model, struct template *template)
{
	g_autoptr(GPtrArray) versions = NULL;
	int last = 1;

	if (!template->base_template.id) {
		template_begin_versions(template);
		return;
	}
	versions = model_referring(model, &template_kind, offsetof(struct template, base_template), template->base_template.id);
	for (guint i = 0; i < versions->len; i++)
		last = MAX(last, ((const struct template *)versions->pdata[i])->version_number);
	SET(template, version_number, last + 1);
}

/* What is to be stored. */
struct creation { struct request *request; struct template *template; GPtrArray *from, *disks, *nics; json_t *data; };

static struct disk *plan_disk(const struct template *template, const struct disk *from, const struct storage_domain *domain)
{
	struct disk *disk = record_copy(from);

	set_string(&disk->id, NULL);
	set_string(&disk->image_id, NULL);
	disk->id = g_uuid_string_random();
	disk->image_id = g_uuid_string_random();
	set_ref(&disk->vm, NULL);
	set_ref(&disk->template, template->id);
	CLEAR(disk, active);
	copies_fit(disk, domain);
	SET(disk, state, DISK_LOCKED);
	SET(disk, actual_size, 0);
	return disk;
}

/* Those that are its own and have a volume: neither shared ones nor LUNs. */
static bool plan_disks(struct creation *creation, const struct vm *vm, GError **error)
{
	struct model *model = creation->request->engine->model;
	g_autoptr(GPtrArray) disks = model_children(model, &disk_kind, vm->id);
	bool ok = true;

	for (guint i = 0; ok && i < disks->len; i++) {
		const struct disk *from = disks->pdata[i];
		struct storage_domain *domain = from->image_id && !from->shareable && disk_domain(from) ? model_get(model, &storage_domain_kind, disk_domain(from)) : NULL;

		if (!domain)
			continue;
		domain_sizes_want(creation->request->engine, domain);
		ok = domain_has_space(domain, from->sparse ? from->actual_size : from->size, error);
		g_ptr_array_add(creation->from, record_ref(from));
		g_ptr_array_add(creation->disks, plan_disk(creation->template, from, domain));
		record_unref(domain);
	}
	return ok;
}

static void plan_nics(struct creation *creation, const struct vm *vm)
{
	g_autoptr(GPtrArray) nics = model_children(creation->request->engine->model, &nic_kind, vm->id);

	for (guint i = 0; i < nics->len; i++) {
		struct nic *nic = record_copy(nics->pdata[i]);

		set_string(&nic->id, NULL);
		nic->id = g_uuid_string_random();
		set_string(&nic->mac, NULL);
		set_ref(&nic->vm, NULL);
		set_ref(&nic->template, creation->template->id);
		g_ptr_array_add(creation->nics, nic);
	}
}

/* The VM's disks are those that were planned with, and nobody has them. */
static bool lock_disks(struct creation *creation, struct change *change, const struct vm *vm, GError **error)
{
	for (guint i = 0; i < creation->from->len; i++) {
		struct disk *disk = model_get(creation->request->engine->model, &disk_kind, object_id(creation->from->pdata[i]));
		bool ours = disk && disk->state == DISK_OK && !g_strcmp0(disk->vm.id, vm->id);

		if (ours)
			disk_change_state(change, disk, DISK_LOCKED);
		else
			error_set(error, ERR_WRONG_STATE, "disk '%s' is %s", disk_label(creation->from->pdata[i]),
				  !disk ? "gone" : disk->state != DISK_OK ? disk_state_names[disk->state] : "no longer the VM's");
		record_unref(disk);
		if (!ours)
			return false;
	}
	return true;
}

static bool edit_begin(void *copy, struct change *change, void *data, GError **error)
{
	struct creation *creation = data;
	struct request *request = creation->request;
	struct vm *vm = copy;

	if (!vm_check_down(vm, "make a template of", error) || !lock_disks(creation, change, vm, error))
		return false;
	SET(vm, state, VM_IMAGE_LOCKED);
	request_add(request, change, creation->template);
	change_check(change, version_fits, creation->template);
	for (guint i = 0; i < creation->disks->len; i++)
		change_add(change, creation->disks->pdata[i]);
	for (guint i = 0; i < creation->nics->len; i++)
		change_add(change, creation->nics->pdata[i]);
	flow_announce(change, &create_template_flow, creation->template->id, &request->actor, creation->data);
	change_event(change, EVENT_ADD_BEGUN, &request->actor, (void *[]){ creation->template, vm, NULL }, "Creation of Template %s from VM %s was initiated by %s.",
		     creation->template->name, vm->name, request->actor.user_name);
	return true;
}

static bool add_of(struct request *request, struct template *template, const struct vm *vm, GError **error)
{
	struct creation creation = { request, template, list_new(), list_new(), list_new(), NULL };
	bool ok;

	template->id = g_uuid_string_random();
	template_inherit(template, vm);
	record_defaults(template, 0);
	number_version(request->engine->model, template);
	SET(template, state, TEMPLATE_LOCKED);
	SET(template, creation_time, wall_msec());
	CLEAR(template, vm);
	ok = plan_disks(&creation, vm, error);
	plan_nics(&creation, vm);
	if (ok)
		creation.data = template_create_data(request->engine, template, vm, creation.from, creation.disks, error);
	ok = creation.data && store_modify(request->engine->store, &vm_kind, vm->id, edit_begin, &creation, NULL, error);
	json_decref(creation.data);
	g_ptr_array_unref(creation.from);
	g_ptr_array_unref(creation.disks);
	g_ptr_array_unref(creation.nics);
	return ok;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct template *template = input;
	struct vm *vm = model_get(request->engine->model, &vm_kind, template->vm.id);
	GError *own = NULL;
	bool ok = false;

	if (!vm)
		error_set(error, ERR_NOT_FOUND, "vm: '%s'", template->vm.id);
	else if (!request_permits(request, "create_template", vm))
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'create_template' on VM '%s'", request->actor.user_name, vm->name);
	else
		ok = vm_check_down(vm, "make a template of", &own) && add_of(request, template, vm, &own);
	if (own) {
		store_event(request->engine->store, EVENT_ADD_FAILED, &request->actor, (void *[]){ vm, NULL },
			    "Failed to initiate creation of Template %s from VM %s (User: %s).", template->name, vm->name, request->actor.user_name);
		g_propagate_error(error, own);
	}
	record_unref(vm);
	if (ok)
		*ret_record = record_ref(template);
	return ok;
}

static bool finish(struct request *request, const void *record, GError **error)
{
	json_t *data = flow_announced(request->engine->model, object_id(record));

	return !data || flow_run(request->engine, &create_template_flow, object_id(record), &request->actor, data, NULL, error);
}

/* ---- update, remove ---- */

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct template *template = changed;
	struct change *change;

	if (record_equal(current, changed)) {
		*ret_record = record_ref(current);
		return true;
	}
	if (!template_check(current, "changed", error))
		return false;
	change = change_new(request->engine->store);
	change_replace(change, current, template);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]) { template, NULL }, "Template %s configuration was updated by %s.", template->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(template);
	return true;
}

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	const struct template *template = current;

	return check_blank(template, "removed", error) && flow_run(request->engine, &remove_template_flow, template->id, &request->actor,
								   template_remove_data(template), NULL, error);
}

static const struct action actions[] = {
	{ "export", &export_action_type, template_export, "copy_template", "Copies the template to an export domain" },
	{ 0 },
};

static const char *const links[] = { "disks", "nics", "cdroms", "permissions", "watchdogs", NULL };
const struct resource resource_template = {
	.kind = &template_kind, .path = "templates", .methods = RESOURCE_ALL, .links = links, .actions = actions, .asynchronous = true, .bare = true,
	.permit_add = "create_template", .permit_update = "edit_template_properties", .permit_remove = "delete_template", .doc = "What virtual machines are made from", .missing = missing,
	.add = add, .finish = finish, .update = update, .remove = remove_,
};

/* ---- below a template ---- */

const struct resource resource_template_disk = {
	.kind = &disk_kind, .path = "disks", .parent = &resource_template, .methods = RESOURCE_READ, .links = no_links, .doc = "Disks of the template",
};
const struct resource resource_template_nic = {
	.kind = &nic_kind, .path = "nics", .parent = &resource_template, .methods = RESOURCE_READ, .links = no_links, .doc = "Network interfaces of the template",
};
const struct resource resource_template_permission = PERMISSION_RESOURCE(&resource_template);
