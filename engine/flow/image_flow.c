/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks from and to image services.
 *
 *	import   record (locked) > volume > data > settle (ok)       failed: volume and record are taken back; the same with the template that the
 *	         disk is of, when the image becomes one
 *	export   lock > image (a new one, without data) > data > end (ok)       failed: the image is removed, the disk is as it was
 *
 * Both are interrupted and go on. The data are moved by the host, in a job of the agent's whose id is ours, as is the image's. The engine asks for a token
 * whenever a step needs one: it is in no flow's data.
 */
#include "engine/flow/image_flow.h"

#include <string.h>

#include "common/error.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_calls.h"
#include "engine/glance/glance.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

/* Event codes: AuditLogType of ovirt-engine */
#define EVENT_IMPORT_BEGUN 2027
#define EVENT_IMPORTED 2028
#define EVENT_IMPORT_FAILED 2029
#define EVENT_EXPORT_BEGUN 2030
#define EVENT_EXPORTED 2031
#define EVENT_EXPORT_FAILED 2032

/* What both need besides the disk's. */
static json_t *data_of(struct engine *engine, const struct disk *disk, const char *provider_id, const char *image_id, const char *image_name,
		       const char *target_id, const char *target_name, GError **error)
{
	json_t *data = disk_flow_data(engine, disk, error);
	g_autofree char *job = g_uuid_string_random();

	if (!data)
		return NULL;
	json_object_set_new(data, "provider", json_string(provider_id));
	json_object_set_new(data, "image", json_string(image_id));
	json_object_set_new(data, "image_name", json_string(image_name));
	json_object_set_new(data, "target", json_string(target_id));
	json_object_set_new(data, "target_name", json_string(target_name));
	json_object_set_new(data, "job", json_string(job));
	return data;
}

static struct glance *open_service(const struct flow *flow, GError **error)
{
	return glance_open(flow->engine, flow_text(flow, "provider"), /* flow= */ true, error);
}

/* Where the hosts find the image's data, and the headers that they need. g_free, json_decref */
static bool data_place(const struct flow *flow, char **ret_url, json_t **ret_headers, GError **error)
{
	autoglance glance = open_service(flow, error);

	if (!glance)
		return false;
	*ret_url = glance_data_url(glance, flow_text(flow, "image"));
	*ret_headers = glance_data_headers(glance);
	return true;
}

static bool stop_data(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);

	return volume_copy_cancel(&call, flow_text(flow, "job"), error);
}

/* An event about the disk, if it is there, and the storage domain that takes what is moved. */
static void tell_failed(struct flow *flow, int code, const char *verb, const GError *cause)
{
	void *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	void *target = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "target"));
	void *refs[] = { target, disk, NULL };

	store_event(flow->engine->store, code, &flow->actor, target ? refs : refs + 1, "User %s failed to %s image %s to domain %s: %s", flow_user(flow), verb,
		    flow_text(flow, "image_name"), flow_text(flow, "target_name"), cause->message);
	record_unref(disk);
	record_unref(target);
}

bool image_provider_is_idle(struct model *model, void *data, GError **error)
{
	const struct image_provider *provider = data;
	g_autoptr(GPtrArray) flows = model_list(model, &flow_kind);

	for (guint i = 0; i < flows->len; i++) {
		const struct flow_record *record = flows->pdata[i];

		if (g_strcmp0(json_string_value(json_object_get(record->data, "provider")), provider->id))
			continue;
		error_set(error, ERR_WRONG_STATE, "image service '%s': image '%s' is on its way: wait until it has arrived", provider->name,
			  json_string_value(json_object_get(record->data, "image_name")));
		return false;
	}
	return true;
}

/* ---- import ---- */

json_t *image_import_data(struct engine *engine, const struct disk *disk, const struct storage_domain *source, const struct image *image,
			  const struct storage_domain *target, GError **error)
{
	json_t *data = data_of(engine, disk, source->provider.id, image->id, image->name, target->id, target->name, error);

	if (data) {
		json_object_set_new(data, "length", json_integer(image->size));
		if (image->checksum)
			json_object_set_new(data, "checksum", json_string(image->checksum));
		if (disk->template.id)
			json_object_set_new(data, "template", json_string(disk->template.id));
	}
	return data;
}

void image_import_begun(struct change *change, const struct actor *actor, struct disk *disk, const struct image *image, struct storage_domain *target)
{
	change_event(change, EVENT_IMPORT_BEGUN, actor, (void *[]){ target, disk, NULL }, "User %s importing image %s to domain %s.", actor->user_name, image->name,
		     target->name);
}

static bool fetch(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);
	g_autofree char *url = NULL;
	json_t *headers = NULL;
	bool ok = data_place(flow, &url, &headers, error);
	const struct web_place place = { .url = url, .headers = headers, .length = json_integer_value(json_object_get(flow->data, "length")),
					 .checksum = flow_text(flow, "checksum") };

	ok = ok && volume_fetch(&call, &place, &volume, flow_text(flow, "job"), error);
	json_decref(headers);
	return ok;
}

/* The template that the image becomes, as long as it is locked; NULL: none. */
static struct template *locked_template(const struct flow *flow)
{
	const char *id = flow_text(flow, "template");
	struct template *template = id ? model_get(flow->engine->model, &template_kind, id) : NULL;

	if (template && template->state != TEMPLATE_LOCKED)
		g_clear_pointer(&template, record_unref);
	return template;
}

static bool record_undo(struct flow *flow, GError **error)
{
	struct template *template = locked_template(flow);
	struct change *change;
	bool ok = disk_record_undo(flow, error);

	if (ok && template) {
		change = change_new(flow->engine->store);
		change_remove(change, template);
		ok = change_commit(change, error);
	}
	record_unref(template);
	return ok;
}

/* In the change in which the disk is ok. */
static void tell_imported(struct flow *flow, struct change *change, struct disk *disk)
{
	struct storage_domain *target = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "target"));
	struct template *template = locked_template(flow), *copy = template ? record_copy(template) : NULL;

	if (copy) {
		SET(copy, state, TEMPLATE_OK);
		change_replace(change, template, copy);
	}
	record_unref(copy);
	record_unref(template);
	change_event(change, EVENT_IMPORTED, &flow->actor, (void *[]){ disk, target, NULL }, "User %s successfully imported image %s to domain %s.",
		     flow_user(flow), flow_text(flow, "image_name"), flow_text(flow, "target_name"));
	record_unref(target);
}

static bool settle(struct flow *flow, GError **error)
{
	return disk_settle(flow, tell_imported, error);
}

static void import_failed(struct flow *flow, const GError *cause)
{
	tell_failed(flow, EVENT_IMPORT_FAILED, "import", cause);
}

static const struct flow_step import_steps[] = {
	{ "record", disk_record, record_undo }, { "volume", disk_volume, disk_volume_undo }, { "data", fetch, stop_data }, { "settle", settle, NULL },
};

const struct flow_type import_image_flow = {
	.name = "import_image", .kind = &disk_kind, .steps = import_steps, .n_steps = G_N_ELEMENTS(import_steps), .forward = true, .failed = import_failed,
};

/* ---- export ---- */

json_t *image_export_data(struct engine *engine, const struct disk *disk, const struct storage_domain *target, GError **error)
{
	g_autofree char *image = g_uuid_string_random();

	return data_of(engine, disk, target->provider.id, image, disk_label(disk), target->id, target->name, error);
}

/* Run by the store's writer, so that a start of the VM comes wholly before or wholly after. data: a struct disk */
static bool vm_is_down(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;
	struct vm *vm = disk->vm.id ? model_get(model, &vm_kind, disk->vm.id) : NULL;
	bool ok = !vm || vm->state == VM_DOWN || (!disk->active && vm->state != VM_IMAGE_LOCKED);

	if (!ok)
		error_set(error, ERR_WRONG_STATE, "cannot export disk '%s': VM '%s' is %s", disk_label(disk), vm->name, vm_state_names[vm->state]);
	record_unref(vm);
	return ok;
}

static bool edit_lock(void *copy, struct change *change, void *data, GError **error)
{
	struct flow *flow = data;
	struct disk *disk = copy;
	struct storage_domain *target;

	/* ours, from before a restart, unless it is locked with its VM */
	if (disk->state == DISK_LOCKED && flow_is_alone(flow, NULL)) {
		(void)vm_is_down(flow->engine->model, disk, error);
		return false;
	}
	if (disk->state != DISK_OK) {
		error_set(error, ERR_WRONG_STATE, "disk '%s' is %s", disk_label(disk), disk_state_names[disk->state]);
		return false;
	}
	SET(disk, state, DISK_LOCKED);
	change_check(change, vm_is_down, disk);
	change_check(change, disk_domain_is_active, disk);
	target = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "target"));
	change_event(change, EVENT_EXPORT_BEGUN, &flow->actor, (void *[]){ disk, target, NULL }, "User %s exporting image %s to domain %s.", flow_user(flow),
		     flow_text(flow, "image_name"), flow_text(flow, "target_name"));
	record_unref(target);
	return true;
}

static bool lock(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_lock, flow, NULL, error))
		return false;
	json_object_set_new(flow->data, "locked", json_true());
	return true;
}

static bool unlock(struct flow *flow, GError **error)
{
	return !flow_flag(flow, "locked") || store_modify(flow->engine->store, &disk_kind, flow->object_id, disk_edit_unlock, /* state= */ NULL, NULL, error);
}

static bool make_image(struct flow *flow, GError **error)
{
	autoglance glance = open_service(flow, error);

	return glance && glance_make(glance, flow_text(flow, "image"), flow_text(flow, "image_name"), flow_flag(flow, "cow") ? "qcow2" : "raw", error);
}

static bool remove_image(struct flow *flow, GError **error)
{
	autoglance glance = open_service(flow, error);

	return glance && glance_remove(glance, flow_text(flow, "image"), error);
}

static bool is_active(struct flow *flow, bool *ret_active, GError **error)
{
	autoglance glance = open_service(flow, error);

	return glance && glance_is_active(glance, flow_text(flow, "image"), ret_active, error);
}

/* A raw volume on LUNs is larger than its disk: only the disk's bytes are sent. */
static bool send_length(struct flow *flow, int64_t *ret_length, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);
	int64_t used;

	*ret_length = 0;
	return flow_flag(flow, "cow") || volume_sizes(&call, &volume, ret_length, &used, error);
}

static bool send_data(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);
	struct web_place place = { 0 };
	g_autofree char *url = NULL;
	json_t *headers = NULL;
	bool ok = data_place(flow, &url, &headers, error) && send_length(flow, &place.length, error);

	place.url = url;
	place.headers = headers;
	ok = ok && volume_send(&call, &volume, &place, flow_text(flow, "job"), error);
	json_decref(headers);
	return ok;
}

/*
 * An image is active when all of its data are there, and then takes none any more. They were sent already when the engine was killed, so long ago that the
 * agent has forgotten its job; or when the agent was, before it could note that: it sends them again, and is refused.
 */
static bool send(struct flow *flow, GError **error)
{
	GError *own = NULL;
	bool active = false;

	if (!is_active(flow, &active, error) || active)
		return active;
	if (send_data(flow, &own))
		return true;
	if (is_active(flow, &active, NULL) && active)
		g_error_free(own);
	else
		g_propagate_error(error, own);
	return active;
}

static bool edit_end(void *copy, struct change *change, void *data, GError **error)
{
	struct flow *flow = data;
	struct disk *disk = copy;
	struct storage_domain *target = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "target"));
	bool changed = disk_edit_unlock(copy, change, /* state= */ NULL, error);

	if (changed)
		change_event(change, EVENT_EXPORTED, &flow->actor, (void *[]){ disk, target, NULL }, "User %s successfully exported image %s to domain %s.",
			     flow_user(flow), flow_text(flow, "image_name"), flow_text(flow, "target_name"));
	record_unref(target);
	return changed;
}

static bool end(struct flow *flow, GError **error)
{
	bool active;

	if (!is_active(flow, &active, error))
		return false;
	if (active)
		return store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_end, flow, NULL, error);
	error_set(error, ERR_PROVIDER_FAILURE, "storage domain '%s': its image service took the data of image '%s', but did not make it active",
		  flow_text(flow, "target_name"), flow_text(flow, "image"));
	return false;
}

static void export_failed(struct flow *flow, const GError *cause)
{
	tell_failed(flow, EVENT_EXPORT_FAILED, "export", cause);
}

static const struct flow_step export_steps[] = {
	{ "lock", lock, unlock }, { "image", make_image, remove_image }, { "data", send, stop_data }, { "end", end, NULL },
};

const struct flow_type export_image_flow = {
	.name = "export_image", .kind = &disk_kind, .steps = export_steps, .n_steps = G_N_ELEMENTS(export_steps), .forward = true, .failed = export_failed,
};
