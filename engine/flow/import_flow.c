/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports: check (nothing of it is there) > record (VM image_locked, disks locked, NICs) > volumes > data > settle (down, ok). Interrupted it goes on; failed,
 * what it made is taken back: there is no VM then, and nothing on the target domain. The source is only read.
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
#include "engine/store/store.h"

/* Event codes, appendix C, and AuditLogType of ovirt-engine */
#define EVENT_BEGUN 124
#define EVENT_FAILED 125
#define EVENT_IMPORTED 1152
#define EVENT_LOST_NETWORKS 9600
#define EVENT_REGISTERED 174

json_t *import_data(struct engine *engine, const struct import *import, GError **error)
{
	g_autofree char *host = storage_host(engine, import->target, error);
	json_t *copies = json_array(), *data;

	for (guint i = 0; i < import->disks->len; i++)
		copies_add(copies, import->sources->pdata[i], import->source->id, import->disks->pdata[i], import->target->id);
	data = json_pack("{s:s?, s:s, s:s, s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:o}", "host", host, "pool", import->target->data_center.id, "source",
			 import->source->id, "source_name", import->source->name, "target", import->target->id, "name", import->vm->name, "lost", import->lost,
			 "vm", record_to_json(import->vm, RECORD_STORE), "disks", storage_records_to_json(import->disks), "nics",
			 storage_records_to_json(import->nics), "copies", copies);
	if (!host)
		g_clear_pointer(&data, json_decref);
	return data;
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
	if (!is_new(model, &vm_kind, import->vm->id, error))
		return false;
	for (guint i = 0; i < import->disks->len; i++)
		if (!is_new(model, &disk_kind, object_id(import->disks->pdata[i]), error))
			return false;
	return true;
}

static void clear(struct import *import)
{
	record_unref(import->vm);
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
	struct import import = { .vm = storage_flow_record(json_object_get(flow->data, "vm"), &vm_type, error) };
	bool ok = read_list(json_object_get(flow->data, "disks"), &disk_type, &import.disks, import.vm ? error : NULL);

	ok = read_list(json_object_get(flow->data, "nics"), &nic_type, &import.nics, import.vm && ok ? error : NULL) && ok && import.vm;
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

/* The VM with all that belongs to it, for one change. */
static bool put(struct engine *engine, struct change *change, const struct import *import, int vm_state, int disk_state, GError **error)
{
	SET(import->vm, state, vm_state);
	change_add(change, import->vm);
	for (guint i = 0; i < import->disks->len; i++) {
		struct disk *disk = import->disks->pdata[i];

		SET(disk, state, disk_state);
		set_ref(&disk->vm, import->vm->id);
		change_add(change, disk);
	}
	for (guint i = 0; i < import->nics->len; i++) {
		struct nic *nic = import->nics->pdata[i];

		set_ref(&nic->vm, import->vm->id);
		if ((!nic->mac || is_among(import->nics, i, nic->mac) || nic_mac_is_taken(engine->model, nic->mac, NULL)) &&
		    !nic_mac_draw(engine->model, nic, error))
			return false;
		change_add(change, nic);
		change_check(change, nic_mac_is_free, nic);
	}
	return true;
}

static void tell_lost(struct change *change, const struct actor *actor, struct vm *vm, const char *lost)
{
	if (lost)
		change_event(change, EVENT_LOST_NETWORKS, actor, (void *[]){ vm, NULL }, "VM %s comes without networks that do not exist here: %s", vm->name, lost);
}

static bool record(struct flow *flow, GError **error)
{
	struct vm *there = model_get(flow->engine->model, &vm_kind, flow->object_id);
	struct import import;
	struct change *change;
	bool ok;

	record_unref(there);
	if (there)
		return true;            /* before the engine was killed */
	if (!read_data(flow, &import, error))
		return false;
	change = change_new(flow->engine->store);
	ok = put(flow->engine, change, &import, VM_IMAGE_LOCKED, DISK_LOCKED, error);
	change_event(change, EVENT_BEGUN, &flow->actor, (void *[]){ import.vm, NULL }, "Started VM import of %s (User: %s)", import.vm->name, flow_user(flow));
	tell_lost(change, &flow->actor, import.vm, flow_text(flow, "lost"));
	if (ok)
		ok = change_commit(change, error);
	else
		change_free(change);
	clear(&import);
	return ok;
}

/* The disks of the VM, which nobody but the flow may have changed. */
static bool each_disk(struct flow *flow, struct change *change, bool (*fn)(struct flow *flow, struct change *change, struct disk *disk, GError **error),
		      GError **error)
{
	g_autoptr(GPtrArray) disks = model_children(flow->engine->model, &disk_kind, flow->object_id);

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
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	struct change *change;
	bool ok = true;

	if (vm && vm->state == VM_IMAGE_LOCKED) {
		change = change_new(flow->engine->store);
		(void)each_disk(flow, change, remove_disk, NULL);
		change_remove(change, vm);
		ok = change_commit(change, error);
	}
	record_unref(vm);
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
	struct vm *vm = copy;
	struct storage_domain *source;
	bool ok = vm->state == VM_IMAGE_LOCKED && each_disk(flow, change, settle_disk, error);

	if (!ok)
		return false;
	SET(vm, state, VM_DOWN);
	source = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "source"));
	change_event(change, EVENT_IMPORTED, &flow->actor, (void *[]){ vm, source, NULL }, "Vm %s was imported successfully from %s by %s", vm->name,
		     flow_text(flow, "source_name"), flow_user(flow));
	record_unref(source);
	return true;
}

static bool settle(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_settle, flow, NULL, error))
		return false;
	domain_sizes_refresh(flow->engine, flow_text(flow, "target"));
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	store_event(flow->engine->store, EVENT_FAILED, &flow->actor, NULL, "Failed to import VM %s (User: %s): %s", flow_text(flow, "name"), flow_user(flow),
		    cause->message);
}

static const struct flow_step steps[] = {
	{ "check", check, NULL }, { "record", record, forget }, { "volumes", copies_make, copies_unmake }, { "data", copies_run, copies_stop },
	{ "settle", settle, NULL },
};

const struct flow_type import_vm_flow = {
	.name = "import_vm", .kind = &vm_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};

/* ---- without copying ---- */

bool import_register(struct engine *engine, const struct import *import, const struct actor *actor, GError **error)
{
	struct change *change;

	if (!check_new(engine->model, import, error))
		return false;
	change = change_new(engine->store);
	if (!put(engine, change, import, VM_DOWN, DISK_OK, error)) {
		change_free(change);
		return false;
	}
	change_event(change, EVENT_REGISTERED, actor, (void *[]){ import->vm, (void *)import->source, NULL },
		     "VM %s has been successfully imported from the given configuration.", import->vm->name);
	tell_lost(change, actor, import->vm, import->lost);
	return change_commit(change, error);
}
