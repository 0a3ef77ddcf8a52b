/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports of VMs and templates: check (nothing of it is there) > record (VM image_locked or template locked, disks locked, NICs) > volumes > data > settle (down or
 * ok). Interrupted it goes on; failed, what it made is taken back: there is no VM or template then, and nothing on the target domain. The source is only read.
 */
#include "engine/flow/import_flow.h"

#include <string.h>

#include "common/error.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/image_copies.h"
#include "engine/flow/nic_mac.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"
#include "engine/model/nic.h"
#include "engine/model/vm_base.h"
#include "engine/store/store.h"

/* Event codes, appendix C, and AuditLogType of ovirt-engine */
#define EVENT_BEGUN 124
#define EVENT_FAILED 125
#define EVENT_IMPORTED 1152
#define EVENT_LOST_NETWORKS 9600
#define EVENT_REGISTERED 174
#define EVENT_TEMPLATE_BEGUN 135
#define EVENT_TEMPLATE_FAILED 136
#define EVENT_TEMPLATE_IMPORTED 1158
#define EVENT_TEMPLATE_REGISTERED 180

void *import_object(const struct import *import)
{
	return import->vm ? (void *)import->vm : (void *)import->template;
}

json_t *import_data(struct engine *engine, const struct import *import, GError **error)
{
	g_autofree char *host = import->target ? storage_host(engine, import->target, error) : NULL;
	json_t *copies = json_array(), *data;

	for (guint i = 0; i < import->disks->len; i++)
		copies_add(copies, import->sources->pdata[i], import->source->id, import->disks->pdata[i], import->target->id);
	data = json_pack("{s:s?, s:s, s:s, s:s, s:s?, s:s, s:s?, s:o, s:o, s:o, s:o}", "host", host, "pool", import->source->data_center.id, "source",
			 import->source->id, "source_name", import->source->name, "target", import->target ? import->target->id : NULL, "name",
			 object_name(import_object(import)), "lost", import->lost, import->vm ? "vm" : "template", record_to_json(import_object(import), RECORD_STORE), "disks", storage_records_to_json(import->disks), "nics",
			 storage_records_to_json(import->nics), "copies", copies);
	if (import->target && !host)
		g_clear_pointer(&data, json_decref);
	return data;
}

static bool is_of_template(const struct flow *flow)
{
	return json_object_get(flow->data, "template") != NULL;
}

static const struct kind *kind_of_flow(const struct flow *flow)
{
	return is_of_template(flow) ? &template_kind : &vm_kind;
}

/* ---- check ---- */

static bool is_new(struct model *model, const struct kind *kind, const char *id, GError **error)
{
	void *there = model_get(model, kind, id);

	if (there)
		error_set(error, ERR_OPERATION_FAILED, "%s '%s' exists already; with clone=true it is imported as a new one", kind->type->name,
			  object_name(there) ? object_name(there) : id);
	record_unref(there);
	return !there;
}

static bool check_new(struct model *model, const struct import *import, GError **error)
{
	if (!is_new(model, kind_of(import_object(import)), object_id(import_object(import)), error))
		return false;
	for (guint i = 0; i < import->disks->len; i++)
		if (!is_new(model, &disk_kind, object_id(import->disks->pdata[i]), error))
			return false;
	return true;
}

static void clear(struct import *import)
{
	record_unref(import->vm);
	record_unref(import->template);
	g_ptr_array_unref(import->disks);
	g_ptr_array_unref(import->nics);
}

static bool read_list(const json_t *array, const struct record_type *type, GPtrArray **ret_list, GError **error)
{
	size_t i;
	json_t *item;

	*ret_list = list_new();
	json_array_foreach((json_t *)array, i, item) {
		void *record = storage_flow_record(item, type, error);

		if (!record)
			return false;
		g_ptr_array_add(*ret_list, record);
	}
	return true;
}

/* As it stands in the flow's data; clear() it. */
static bool read_data(const struct flow *flow, struct import *ret_import, GError **error)
{
	const json_t *template = json_object_get(flow->data, "template");
	struct import import = { 0 };
	bool there, ok;

	if (template)
		import.template = storage_flow_record(template, &template_type, error);
	else
		import.vm = storage_flow_record(json_object_get(flow->data, "vm"), &vm_type, error);
	there = import_object(&import) != NULL;
	ok = read_list(json_object_get(flow->data, "disks"), &disk_type, &import.disks, there ? error : NULL);
	ok = read_list(json_object_get(flow->data, "nics"), &nic_type, &import.nics, there && ok ? error : NULL) && ok && there;
	if (ok)
		*ret_import = import;
	else
		clear(&import);
	return ok;
}

static bool check(struct flow *flow, GError **error)
{
	struct import import;
	bool ok;

	if (!read_data(flow, &import, error))
		return false;
	ok = check_new(flow->engine->model, &import, error) && copies_check(flow, error);
	clear(&import);
	return ok;
}

/* ---- record ---- */

static bool is_among(const GPtrArray *nics, guint before, const char *mac)
{
	for (guint i = 0; i < before; i++) {
		const struct nic *nic = nics->pdata[i];

		if (nic->mac && !g_ascii_strcasecmp(nic->mac, mac))
			return true;
	}
	return false;
}

/* The VM or template with all that belongs to it, for one change. */
static bool put(struct engine *engine, struct change *change, const struct import *import, bool locked, GError **error)
{
	vm_base_lock(import_object(import), locked);
	change_add(change, import_object(import));
	for (guint i = 0; i < import->disks->len; i++) {
		struct disk *disk = import->disks->pdata[i];

		SET(disk, state, locked ? DISK_LOCKED : DISK_OK);
		set_ref(import->vm ? &disk->vm : &disk->template, object_id(import_object(import)));
		change_add(change, disk);
		if (locked)
			change_check(change, disk_domain_is_active, disk);
	}
	for (guint i = 0; i < import->nics->len; i++) {
		struct nic *nic = import->nics->pdata[i];

		set_ref(import->vm ? &nic->vm : &nic->template, object_id(import_object(import)));
		if (import->vm && (!nic->mac || is_among(import->nics, i, nic->mac) || nic_mac_is_taken(engine->model, nic->mac, NULL)) &&
		    !nic_mac_draw(engine->model, nic, error))
			return false;
		change_add(change, nic);
		change_check(change, nic_mac_is_free, nic);
	}
	return true;
}

static void tell_lost(struct change *change, const struct actor *actor, const struct import *import, const char *lost)
{
	void *object = import_object(import);

	if (lost)
		change_event(change, EVENT_LOST_NETWORKS, actor, (void *[]){ object, NULL }, "%s %s comes without networks that do not exist here: %s",
			     import->vm ? "VM" : "Template", object_name(object), lost);
}

static bool record(struct flow *flow, GError **error)
{
	void *there = model_get(flow->engine->model, kind_of_flow(flow), flow->object_id);
	struct import import;
	struct change *change;
	bool ok;

	record_unref(there);
	if (there)
		return true;            /* before the engine was killed */
	if (!read_data(flow, &import, error))
		return false;
	change = change_new(flow->engine->store);
	ok = put(flow->engine, change, &import, /* locked= */ true, error);
	change_event(change, import.vm ? EVENT_BEGUN : EVENT_TEMPLATE_BEGUN, &flow->actor, (void *[]){ import_object(&import), NULL },
		     "Started %s import of %s (User: %s)", import.vm ? "VM" : "Template", flow_text(flow, "name"), flow_user(flow));
	tell_lost(change, &flow->actor, &import, flow_text(flow, "lost"));
	if (ok)
		ok = change_commit(change, error);
	else
		change_free(change);
	clear(&import);
	return ok;
}

/* The disks of the VM or template, which nobody but the flow may have changed. */
static bool each_disk(struct flow *flow, struct change *change, bool (*fn)(struct flow *flow, struct change *change, struct disk *disk, GError **error),
		      GError **error)
{
	struct model *model = flow->engine->model;
	g_autoptr(GPtrArray) disks = is_of_template(flow) ? template_disks(model, flow->object_id) : model_children(model, &disk_kind, flow->object_id);

	for (guint i = 0; i < disks->len; i++)
		if (((const struct disk *)disks->pdata[i])->state == DISK_LOCKED && !fn(flow, change, disks->pdata[i], error))
			return false;
	return true;
}

static bool remove_disk(struct flow *flow, struct change *change, struct disk *disk, GError **error)
{
	change_remove(change, disk);
	return true;
}

static bool forget(struct flow *flow, GError **error)
{
	void *object = model_get(flow->engine->model, kind_of_flow(flow), flow->object_id);
	struct change *change;
	bool ok = true;

	if (object && vm_base_is_locked(object)) {
		change = change_new(flow->engine->store);
		(void)each_disk(flow, change, remove_disk, NULL);
		change_remove(change, object);
		ok = change_commit(change, error);
	}
	record_unref(object);
	return ok;
}

/* ---- settle ---- */

static bool settle_disk(struct flow *flow, struct change *change, struct disk *disk, GError **error)
{
	struct disk *copy = record_copy(disk);
	int64_t capacity, used;
	bool ok = copies_sizes(flow, disk->id, &capacity, &used, error);

	if (ok) {
		SET(copy, state, DISK_OK);
		SET(copy, size, capacity);
		SET(copy, actual_size, used);
		change_replace(change, disk, copy);
	}
	record_unref(copy);
	return ok;
}

static bool edit_settle(void *copy, struct change *change, void *data, GError **error)
{
	struct flow *flow = data;
	struct storage_domain *source;
	bool ok = vm_base_is_locked(copy) && each_disk(flow, change, settle_disk, error);

	if (!ok)
		return false;
	vm_base_lock(copy, false);
	source = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "source"));
	change_event(change, is_of_template(flow) ? EVENT_TEMPLATE_IMPORTED : EVENT_IMPORTED, &flow->actor, (void *[]){ copy, source, NULL },
		     "%s %s was imported successfully from %s by %s", is_of_template(flow) ? "Template" : "Vm", object_name(copy), flow_text(flow, "source_name"),
		     flow_user(flow));
	record_unref(source);
	return true;
}

static bool settle(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, kind_of_flow(flow), flow->object_id, edit_settle, flow, NULL, error))
		return false;
	if (flow_text(flow, "target"))
		domain_sizes_refresh(flow->engine, flow_text(flow, "target"));
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	store_event(flow->engine->store, is_of_template(flow) ? EVENT_TEMPLATE_FAILED : EVENT_FAILED, &flow->actor, NULL, "Failed to import %s %s (User: %s): %s",
		    is_of_template(flow) ? "Template" : "VM", flow_text(flow, "name"), flow_user(flow), cause->message);
}

static const struct flow_step steps[] = {
	{ "check", check, NULL }, { "record", record, forget }, { "volumes", copies_make, copies_unmake }, { "data", copies_run, copies_stop },
	{ "settle", settle, NULL },
};

const struct flow_type import_vm_flow = {
	.name = "import_vm", .kind = &vm_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};

const struct flow_type import_template_flow = {
	.name = "import_template", .kind = &template_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};

/* ---- without copying ---- */

bool import_register(struct engine *engine, const struct import *import, const struct actor *actor, GError **error)
{
	struct change *change;

	if (!check_new(engine->model, import, error))
		return false;
	change = change_new(engine->store);
	if (!put(engine, change, import, /* locked= */ false, error)) {
		change_free(change);
		return false;
	}
	change_event(change, import->vm ? EVENT_REGISTERED : EVENT_TEMPLATE_REGISTERED, actor, (void *[]){ import_object(import), (void *)import->source, NULL },
		     "%s %s has been successfully imported from the given configuration.", import->vm ? "VM" : "Template", object_name(import_object(import)));
	tell_lost(change, actor, import, import->lost);
	return change_commit(change, error);
}
