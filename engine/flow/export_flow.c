/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports.
 *
 *	export   lock (VM image_locked, template locked; disks locked) > check > volumes > data > definition > clear (what was to be overwritten) > unlock
 *	remove   definition > images
 *
 * Both are interrupted and go on. The definition comes last and goes first: what an export domain lists is whole. What is overwritten stays as it is until the
 * new one is: a disk that is there already gets another volume beside the old one, which the new definition, put in the place of the old in one go, does
 * not name. So an export that fails takes its volumes away again, and the old one is still there. From the definition on the new one counts: what then cannot
 * be cleared away is told and left. Disks that VMs share are not exported: they belong to none of them.
 */
#include "engine/flow/export_flow.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "engine/flow/agent.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/image_copies.h"
#include "engine/flow/pool_calls.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"
#include "engine/model/vm_base.h"
#include "engine/store/store.h"

/* Event codes, appendix C, and AuditLogType of ovirt-engine */
#define EVENT_EXPORTED 131
#define EVENT_EXPORT_FAILED 132
#define EVENT_TEMPLATE_EXPORTED 133
#define EVENT_TEMPLATE_EXPORT_FAILED 134
#define EVENT_REMOVED 1160
#define EVENT_REMOVE_FAILED 1161
#define EVENT_TEMPLATE_REMOVED 1154
#define EVENT_TEMPLATE_REMOVE_FAILED 1155

static bool is_of_template(const struct flow *flow)
{
	return flow_flag(flow, "template");
}

static const char *noun_of(const struct flow *flow)
{
	return is_of_template(flow) ? "Template" : "VM";
}

static const struct kind *kind_of_flow(const struct flow *flow)
{
	return is_of_template(flow) ? &template_kind : &vm_kind;
}

/* ---- data ---- */

/* more: others that go with it, although it does not, or cannot, name them; NULL: none */
static json_t *images_of(const struct definition *definition, const json_t *more)
{
	json_t *images = more ? json_deep_copy(more) : json_array();

	for (guint i = 0; definition->ovf && i < definition->ovf->disks->len; i++)
		json_array_append_new(images, json_string(object_id(definition->ovf->disks->pdata[i])));
	return images;
}

static bool has_text(const json_t *array, const char *text)
{
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)array, i, item)
		if (!g_strcmp0(json_string_value(item), text))
			return true;
	return false;
}

/* Is the image one of what is to be overwritten? */
static bool is_old(const json_t *old, const char *image)
{
	size_t i;
	json_t *one;

	json_array_foreach((json_t *)old, i, one)
		if (has_text(json_object_get(one, "images"), image))
			return true;
	return false;
}

static void add_copy(json_t *copies, const struct disk *disk, const struct storage_domain *target, const json_t *old)
{
	struct disk *to = record_copy(disk);

	if (is_old(old, disk->id)) {
		set_string(&to->image_id, NULL);
		to->image_id = g_uuid_string_random();
	}
	copies_add(copies, disk, disk_domain(disk), to, target->id);
	record_unref(to);
}

json_t *export_data(struct engine *engine, const void *object, const struct storage_domain *target, const GPtrArray *old, GError **error)
{
	bool is_template = vm_base_is_template(object);
	const char *own = object_id(object);
	g_autofree char *host = storage_host(engine, target, error);
	g_autoptr(GPtrArray) disks = vm_base_disks(engine->model, object);
	json_t *data, *copies = json_array(), *ids = json_array(), *gone = json_array();

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (disk->shareable || !disk->image_id || !disk_domain(disk))
			continue;
		json_array_append_new(ids, json_string(disk->id));
	}
	for (guint i = 0; i < old->len; i++) {
		const struct definition *definition = old->pdata[i];

		json_array_append_new(gone, json_pack("{s:s, s:o}", "id", definition->id, "images", images_of(definition, strcmp(definition->id, own) ? NULL : ids)));
	}
	for (guint i = 0; i < disks->len; i++)
		if (has_text(ids, object_id(disks->pdata[i])))
			add_copy(copies, disks->pdata[i], target, gone);
	data = json_pack("{s:s?, s:b, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "host", host, "template", is_template, "pool", target->data_center.id, "target",
			 target->id, "target_name", target->name, "name", object_name(object), "copies", copies, "disks", ids, "old", gone);
	if (!host)
		g_clear_pointer(&data, json_decref);
	return data;
}

/* ---- lock ---- */

/* All disks of the flow, in the change. */
static bool lock_disks(const struct flow *flow, struct change *change, GError **error)
{
	bool ok = true;
	size_t i;
	json_t *id;

	json_array_foreach(json_object_get(flow->data, "disks"), i, id) {
		struct disk *disk = model_get(flow->engine->model, &disk_kind, json_string_value(id));

		if (disk && disk->state == DISK_OK && !g_strcmp0(is_of_template(flow) ? disk->template.id : disk->vm.id, flow->object_id))
			disk_change_state(change, disk, DISK_LOCKED);
		else {
			error_set(error, ERR_WRONG_STATE, "disk '%s' is %s", disk ? disk_label(disk) : json_string_value(id),
				  !disk ? "gone" : disk->state != DISK_OK ? disk_state_names[disk->state] : "another's meanwhile");
			ok = false;
		}
		record_unref(disk);
		if (!ok)
			return false;
	}
	return true;
}

static void unlock_disks(const struct flow *flow, struct change *change)
{
	size_t i;
	json_t *id;

	json_array_foreach(json_object_get(flow->data, "disks"), i, id) {
		struct disk *disk = model_get(flow->engine->model, &disk_kind, json_string_value(id));

		if (disk && disk->state == DISK_LOCKED)
			disk_change_state(change, disk, DISK_OK);
		record_unref(disk);
	}
}

static bool edit_lock(void *copy, struct change *change, void *data, GError **error)
{
	struct flow *flow = data;

	if (vm_base_is_locked(copy) && flow_is_alone(flow, NULL))
		return false;
	if (!vm_base_is_at_rest(copy)) {
		error_set(error, ERR_WRONG_STATE, "%s '%s' is %s: only a VM that is down and a template that is ok can be exported", noun_of(flow), object_name(copy),
			  is_of_template(flow) ? template_state_names[((struct template *)copy)->state] : vm_state_names[((struct vm *)copy)->state]);
		return false;
	}
	vm_base_lock(copy, true);
	return lock_disks(flow, change, error);
}

static bool lock(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, kind_of_flow(flow), flow->object_id, edit_lock, flow, NULL, error))
		return false;
	json_object_set_new(flow->data, "locked", json_true());
	return true;
}

static bool edit_unlock(void *copy, struct change *change, void *data, GError **error)
{
	if (!vm_base_is_locked(copy))
		return false;
	vm_base_lock(copy, false);
	unlock_disks(data, change);
	return true;
}

static bool unlock(struct flow *flow, GError **error)
{
	return !flow_flag(flow, "locked") || store_modify(flow->engine->store, kind_of_flow(flow), flow->object_id, edit_unlock, flow, NULL, error);
}

/* ---- check ---- */

/* What is at the target is to be overwritten, or it is not ours to touch. */
static bool check_image(const struct flow *flow, const struct storage_call *call, const char *image, GError **error)
{
	const char *target = flow_text(flow, "target");
	json_t *volumes = is_old(json_object_get(flow->data, "old"), image) ? json_array() : image_volumes(call, flow_text(flow, "pool"), target, image, error);
	bool ok = volumes && !json_array_size(volumes);

	if (volumes && !ok)
		error_set(error, ERR_OPERATION_FAILED, "image %s is on storage domain '%s' already", image, flow_text(flow, "target_name"));
	json_decref(volumes);
	return ok;
}

/* The text of the definition that is about to be replaced is kept, for the case that the new one comes to nothing after all. */
static bool check(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	const char *pool = flow_text(flow, "pool"), *target = flow_text(flow, "target");
	json_t *which = json_pack("[s]", flow->object_id), *texts, *id;
	size_t i;

	json_array_foreach(json_object_get(flow->data, "disks"), i, id)
		if (!check_image(flow, &call, json_string_value(id), error)) {
			json_decref(which);
			return false;
		}
	texts = pool_definitions(&call, pool, target, which, error);
	if (texts && json_object_get(texts, flow->object_id))
		json_object_set(flow->data, "old_text", json_object_get(texts, flow->object_id));
	json_decref(which);
	json_decref(texts);
	return texts != NULL;
}

/* ---- definition ---- */

static char *definition_text(struct flow *flow, GError **error)
{
	void *object = model_get(flow->engine->model, kind_of_flow(flow), flow->object_id);
	g_autoptr(GPtrArray) disks = list_new();
	char *text;
	size_t i;
	json_t *id;

	if (!object) {
		error_set(error, ERR_NOT_FOUND, "%s '%s'", noun_of(flow), flow->object_id);
		return NULL;
	}
	json_array_foreach(json_object_get(flow->data, "disks"), i, id) {
		struct disk *disk = model_get(flow->engine->model, &disk_kind, json_string_value(id)), *there;

		if (!disk)
			continue;
		there = record_copy(disk);
		set_string(&there->image_id, copies_volume(flow, disk->id));
		g_ptr_array_add(disks, there);
		record_unref(disk);
	}
	text = ovf_write(flow->engine->model, object, disks, wall_msec());
	record_unref(object);
	return text;
}

static bool define(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	g_autofree char *text = definition_text(flow, error);

	return text && pool_keep_definition(&call, flow_text(flow, "pool"), flow_text(flow, "target"), flow->object_id, text, error);
}

static bool undefine(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	const char *old = flow_text(flow, "old_text");

	if (old)
		return pool_keep_definition(&call, flow_text(flow, "pool"), flow_text(flow, "target"), flow->object_id, old, error);
	return pool_forget_definition(&call, flow_text(flow, "pool"), flow_text(flow, "target"), flow->object_id, error);
}

/* ---- clear ---- */

static bool remove_images(const struct flow *flow, const struct storage_call *call, const char *domain, const json_t *images, GError **error)
{
	size_t i;
	json_t *image;

	json_array_foreach((json_t *)images, i, image)
		if (!copies_volume(flow, json_string_value(image)) &&
		    !image_remove(call, flow_text(flow, "pool"), domain, json_string_value(image), /* wipe= */ false, error)) {
			error_wrap(error, "image %s", json_string_value(image));
			return false;
		}
	return true;
}

static bool clear_old(struct flow *flow, const char *id, const json_t *images, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	const char *target = flow_text(flow, "target");

	return (!strcmp(id, flow->object_id) || pool_forget_definition(&call, flow_text(flow, "pool"), target, id, error)) &&
	       remove_images(flow, &call, target, images, error);
}

/* Nothing takes the new one back now. */
static bool clear(struct flow *flow, GError **error)
{
	struct storage_domain *target;
	GError *own = NULL;
	size_t i;
	json_t *old;

	json_array_foreach(json_object_get(flow->data, "old"), i, old)
		if (!own)
			(void)clear_old(flow, json_string_value(json_object_get(old, "id")), json_object_get(old, "images"), &own);
	if (!own && json_array_size(json_object_get(flow->data, "old")))
		(void)copies_renew(flow, &own);
	if (!own)
		return true;
	if (agent_is_away(own)) {
		g_propagate_error(error, own);
		return false;
	}
	target = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "target"));
	store_event(flow->engine->store, is_of_template(flow) ? EVENT_TEMPLATE_REMOVE_FAILED : EVENT_REMOVE_FAILED, &flow->actor, (void *[]){ target, NULL },
		    "Failed to remove the earlier %s %s from %s: %s", noun_of(flow), flow_text(flow, "name"), flow_text(flow, "target_name"), own->message);
	record_unref(target);
	g_error_free(own);
	return true;
}

/* ---- end ---- */

static bool edit_end(void *copy, struct change *change, void *data, GError **error)
{
	struct flow *flow = data;
	struct storage_domain *target = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "target"));
	bool changed = edit_unlock(copy, change, flow, error);

	if (changed)
		change_event(change, is_of_template(flow) ? EVENT_TEMPLATE_EXPORTED : EVENT_EXPORTED, &flow->actor, (void *[]){ copy, target, NULL },
			     "%s %s exported to %s by %s", noun_of(flow), object_name(copy), flow_text(flow, "target_name"), flow_user(flow));
	record_unref(target);
	return changed;
}

static bool end(struct flow *flow, GError **error)
{
	return store_modify(flow->engine->store, kind_of_flow(flow), flow->object_id, edit_end, flow, NULL, error);
}

static void export_failed(struct flow *flow, const GError *cause)
{
	void *object = model_get(flow->engine->model, kind_of_flow(flow), flow->object_id);

	store_event(flow->engine->store, is_of_template(flow) ? EVENT_TEMPLATE_EXPORT_FAILED : EVENT_EXPORT_FAILED, &flow->actor, (void *[]){ object, NULL },
		    "Failed to export %s %s to %s (User: %s): %s", noun_of(flow), flow_text(flow, "name"), flow_text(flow, "target_name"), flow_user(flow),
		    cause->message);
	record_unref(object);
}

static const struct flow_step export_steps[] = {
	{ "lock", lock, unlock }, { "check", check, NULL }, { "volumes", copies_make, copies_unmake }, { "data", copies_run, copies_stop },
	{ "definition", define, undefine }, { "clear", clear, NULL, .waits = true }, { "unlock", end, NULL },
};

const struct flow_type export_vm_flow = {
	.name = "export_vm", .kind = &vm_kind, .steps = export_steps, .n_steps = G_N_ELEMENTS(export_steps), .forward = true, .failed = export_failed,
};

const struct flow_type export_template_flow = {
	.name = "export_template", .kind = &template_kind, .steps = export_steps, .n_steps = G_N_ELEMENTS(export_steps), .forward = true,
	.failed = export_failed,
};

/* ---- remove ---- */

json_t *export_remove_data(struct engine *engine, const struct storage_domain *domain, const struct definition *definition, GError **error)
{
	g_autofree char *host = storage_host(engine, domain, error);
	const char *name = definition->ovf ? object_name(ovf_object(definition->ovf)) : definition->id;

	return host ? json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "host", host, "pool", domain->data_center.id, "domain", domain->id, "domain_name",
				domain->name, "name", name, "template", definition->ovf && definition->ovf->template, "images",
				images_of(definition, NULL)) : NULL;
}

static bool remove_definition(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);

	return pool_forget_definition(&call, flow_text(flow, "pool"), flow_text(flow, "domain"), flow->object_id, error);
}

static bool remove_rest(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	struct storage_domain *domain;

	if (!remove_images(flow, &call, flow_text(flow, "domain"), json_object_get(flow->data, "images"), error))
		return false;
	domain = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "domain"));
	store_event(flow->engine->store, flow_flag(flow, "template") ? EVENT_TEMPLATE_REMOVED : EVENT_REMOVED, &flow->actor, (void *[]){ domain, NULL },
		    "%s %s was removed from %s", noun_of(flow), flow_text(flow, "name"), flow_text(flow, "domain_name"));
	record_unref(domain);
	return true;
}

static void remove_failed(struct flow *flow, const GError *cause)
{
	struct storage_domain *domain = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "domain"));

	store_event(flow->engine->store, flow_flag(flow, "template") ? EVENT_TEMPLATE_REMOVE_FAILED : EVENT_REMOVE_FAILED, &flow->actor,
		    (void *[]){ domain, NULL }, "Failed to remove %s %s from %s: %s", noun_of(flow), flow_text(flow, "name"), flow_text(flow, "domain_name"),
		    cause->message);
	record_unref(domain);
}

static const struct flow_step remove_steps[] = { { "definition", remove_definition, NULL }, { "images", remove_rest, NULL } };

const struct flow_type remove_export_flow = {
	.name = "remove_export", .kind = &vm_kind, .steps = remove_steps, .n_steps = G_N_ELEMENTS(remove_steps), .forward = true, .failed = remove_failed,
};
