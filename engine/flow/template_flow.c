/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates.
 *
 *	create   record (template, its disks, the VM and its disks locked) > volumes > data > settle (ok; the VM is down again)
 *	remove   lock > disks (each a flow of its own) > forget
 *
 * Interrupted both go on. A creation that fails takes back what it made, and the VM is as it was. An engine killed between the announcement and the end of the
 * first step leaves two flows that do the same, one after the other: to the second everything is done. A removal that fails leaves the template with the disks
 * that are left, ok when none of them is missing, else illegal: then it can only be removed.
 */
#include "engine/flow/template_flow.h"

#include <string.h>

#include "common/error.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/image_copies.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

/* Event codes, appendix C */
#define EVENT_CREATED 51
#define EVENT_CREATE_FAILED 52
#define EVENT_REMOVE_BEGUN 50
#define EVENT_REMOVED 251

/* ---- create ---- */

json_t *template_create_data(struct engine *engine, const struct template *template, const struct vm *vm, const GPtrArray *from, const GPtrArray *to, GError **error)
{
	const char *domain_id = from->len ? disk_domain(from->pdata[0]) : NULL;
	struct storage_domain *domain = domain_id ? model_get(engine->model, &storage_domain_kind, domain_id) : NULL;
	g_autofree char *host = domain ? storage_host(engine, domain, error) : NULL;
	json_t *copies = json_array(), *ids = json_array(), *data;

	for (guint i = 0; i < from->len; i++) {
		copies_add(copies, from->pdata[i], disk_domain(from->pdata[i]), to->pdata[i], disk_domain(to->pdata[i]));
		json_array_append_new(ids, json_string(object_id(from->pdata[i])));
	}
	data = json_pack("{s:s?, s:s?, s:s, s:s, s:s, s:o, s:o}", "host", host, "pool", domain ? domain->data_center.id : NULL, "name", template->name, "vm", vm->id,
			 "vm_name", vm->name, "vm_disks", ids, "copies", copies);
	record_unref(domain);
	if (from->len && !host)
		g_clear_pointer(&data, json_decref);
	return data;
}

static struct template *template_of(const struct flow *flow)
{
	return model_get(flow->engine->model, &template_kind, flow->object_id);
}

static bool is_settled(const struct flow *flow)
{
	struct template *template = template_of(flow);
	bool settled = template && template->state == TEMPLATE_OK;

	record_unref(template);
	return settled;
}

static bool record(struct flow *flow, GError **error)
{
	struct template *template = template_of(flow);

	flow_took_over(flow);
	if (!template)
		error_set(error, ERR_NOT_FOUND, "template '%s'", flow_text(flow, "name"));
	record_unref(template);
	return template != NULL;
}

/* In the change that ends the creation: as long as the template is locked, the locks of the VM and its disks are ours. */
static void release_vm(const struct flow *flow, struct change *change)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow_text(flow, "vm")), *copy;
	size_t i;
	json_t *id;

	if (vm && vm->state == VM_IMAGE_LOCKED) {
		copy = record_copy(vm);
		SET(copy, state, VM_DOWN);
		change_replace(change, vm, copy);
		record_unref(copy);
	}
	record_unref(vm);
	json_array_foreach(json_object_get(flow->data, "vm_disks"), i, id) {
		struct disk *disk = model_get(flow->engine->model, &disk_kind, json_string_value(id));

		if (disk && disk->state == DISK_LOCKED)
			disk_change_state(change, disk, DISK_OK);
		record_unref(disk);
	}
}

static bool forget(struct flow *flow, GError **error)
{
	struct template *template = template_of(flow);
	g_autoptr(GPtrArray) disks = template_disks(flow->engine->model, flow->object_id);
	struct change *change;
	bool ok = true;

	if (template && template->state == TEMPLATE_LOCKED) {
		change = change_new(flow->engine->store);
		for (guint i = 0; i < disks->len; i++)
			change_remove(change, disks->pdata[i]);
		change_remove(change, template);
		release_vm(flow, change);
		ok = change_commit(change, error);
	}
	record_unref(template);
	return ok;
}

static bool make(struct flow *flow, GError **error)
{
	return is_settled(flow) || copies_make(flow, error);
}

static bool unmake(struct flow *flow, GError **error)
{
	return is_settled(flow) || copies_unmake(flow, error);
}

static bool run(struct flow *flow, GError **error)
{
	return is_settled(flow) || copies_run(flow, error);
}

static bool settle_disk(const struct flow *flow, struct change *change, const struct disk *disk, GError **error)
{
	int64_t capacity, used;
	struct disk *copy;

	if (!copies_sizes(flow, disk->id, &capacity, &used, error))
		return false;
	copy = record_copy(disk);
	SET(copy, state, DISK_OK);
	SET(copy, size, capacity);
	SET(copy, actual_size, used);
	change_replace(change, disk, copy);
	record_unref(copy);
	return true;
}

static bool edit_settle(void *record, struct change *change, void *data, GError **error)
{
	struct flow *flow = data;
	struct template *template = record;
	g_autoptr(GPtrArray) disks = template_disks(flow->engine->model, flow->object_id);

	if (template->state != TEMPLATE_LOCKED)
		return false;
	for (guint i = 0; i < disks->len; i++)
		if (!settle_disk(flow, change, disks->pdata[i], error))
			return false;
	SET(template, state, TEMPLATE_OK);
	release_vm(flow, change);
	change_event(change, EVENT_CREATED, &flow->actor, (void *[]){ template, NULL }, "Creation of Template %s from VM %s has been completed.", template->name,
		     flow_text(flow, "vm_name"));
	return true;
}

static bool settle(struct flow *flow, GError **error)
{
	g_autoptr(GPtrArray) disks = NULL;

	if (!store_modify(flow->engine->store, &template_kind, flow->object_id, edit_settle, flow, NULL, error))
		return false;
	disks = template_disks(flow->engine->model, flow->object_id);
	for (guint i = 0; i < disks->len; i++)
		domain_sizes_refresh(flow->engine, disk_domain(disks->pdata[i]));
	return true;
}

static void create_failed(struct flow *flow, const GError *cause)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow_text(flow, "vm"));

	store_event(flow->engine->store, EVENT_CREATE_FAILED, &flow->actor, (void *[]){ vm, NULL }, "Failed to complete creation of Template %s from VM %s: %s",
		    flow_text(flow, "name"), flow_text(flow, "vm_name"), cause->message);
	record_unref(vm);
}

static const struct flow_step create_steps[] = {
	{ "record", record, forget }, { "volumes", make, unmake }, { "data", run, copies_stop }, { "settle", settle, NULL },
};

const struct flow_type create_template_flow = {
	.name = "create_template", .kind = &template_kind, .steps = create_steps, .n_steps = G_N_ELEMENTS(create_steps), .forward = true,
	.failed = create_failed,
};

/* ---- remove ---- */

json_t *template_remove_data(const struct template *template)
{
	return json_pack("{s:s}", "name", template->name);
}

/* Run by the writer. data: the template */
static bool is_unused(struct model *model, void *data, GError **error)
{
	const struct template *template = data;
	g_autoptr(GPtrArray) vms = model_referring(model, &vm_kind, offsetof(struct vm, template), template->id);
	g_autoptr(GPtrArray) versions = model_referring(model, &template_kind, offsetof(struct template, base_template), template->id);

	if (vms->len)
		error_set(error, ERR_OPERATION_FAILED, "template '%s': VM '%s' is made from it", template->name, object_name(vms->pdata[0]));
	for (guint i = 0; i < versions->len && !vms->len; i++) {
		if (!strcmp(object_id(versions->pdata[i]), template->id))
			continue;
		error_set(error, ERR_OPERATION_FAILED, "template '%s': template '%s' is a version of it", template->name, object_name(versions->pdata[i]));
		return false;
	}
	return !vms->len;
}

static bool edit_lock(void *copy, struct change *change, void *data, GError **error)
{
	struct template *template = copy;
	struct flow *flow = data;

	if (template->state == TEMPLATE_LOCKED && flow_is_alone(flow, NULL))
		return false;                    /* before the engine was killed */
	if (template->state == TEMPLATE_LOCKED) {
		error_set(error, ERR_WRONG_STATE, "template '%s' is locked", template->name);
		return false;
	}
	SET(template, state, TEMPLATE_LOCKED);
	change_check(change, is_unused, template);
	change_event(change, EVENT_REMOVE_BEGUN, &flow->actor, (void *[]){ template, NULL }, "Removal of Template %s was initiated by %s.", template->name,
		     flow_user(flow));
	return true;
}

static bool lock(struct flow *flow, GError **error)
{
	g_autoptr(GPtrArray) disks = template_disks(flow->engine->model, flow->object_id);

	if (!store_modify(flow->engine->store, &template_kind, flow->object_id, edit_lock, flow, NULL, error))
		return false;
	json_object_set_new(flow->data, "locked", json_integer((json_int_t)disks->len + 1));
	return true;
}

static bool edit_unlock(void *copy, struct change *change, void *data, GError **error)
{
	struct template *template = copy;
	const struct flow *flow = data;
	g_autoptr(GPtrArray) disks = template_disks(flow->engine->model, flow->object_id);
	bool whole = (json_int_t)disks->len + 1 == json_integer_value(json_object_get(flow->data, "locked"));

	for (guint i = 0; i < disks->len; i++)
		whole = whole && ((const struct disk *)disks->pdata[i])->state == DISK_OK;
	if (template->state != TEMPLATE_LOCKED)
		return false;
	SET(template, state, whole ? TEMPLATE_OK : TEMPLATE_ILLEGAL);
	return true;
}

static bool unlock(struct flow *flow, GError **error)
{
	return !json_object_get(flow->data, "locked") || store_modify(flow->engine->store, &template_kind, flow->object_id, edit_unlock, flow, NULL, error);
}

static bool remove_disks(struct flow *flow, GError **error)
{
	g_autoptr(GPtrArray) disks = template_disks(flow->engine->model, flow->object_id);

	for (guint i = 0; i < disks->len; i++) {
		json_t *data = disk_flow_data(flow->engine, disks->pdata[i], error);

		if (!data || !flow_run(flow->engine, &remove_disk_flow, object_id(disks->pdata[i]), &flow->actor, data, NULL, error))
			return false;
	}
	return true;
}

static bool remove_template(struct flow *flow, GError **error)
{
	struct template *template = template_of(flow);
	struct change *change;
	bool ok;

	if (!template)
		return true;
	change = change_new(flow->engine->store);
	change_remove(change, template);
	change_event(change, EVENT_REMOVED, &flow->actor, NULL, "Removal of Template %s has been completed.", template->name);
	ok = change_commit(change, error);
	record_unref(template);
	return ok;
}

static const struct flow_step remove_steps[] = { { "lock", lock, unlock }, { "disks", remove_disks, NULL }, { "forget", remove_template, NULL } };

const struct flow_type remove_template_flow = {
	.name = "remove_template", .kind = &template_kind, .steps = remove_steps, .n_steps = G_N_ELEMENTS(remove_steps), .forward = true,
};
