/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks (REST 15.6.1, 16): below their VM, floating, below their storage domain.
 *
 * A new disk is stored locked together with the announcement of its flow, answered (202), and made by the flow; so an engine killed at any time
 * either knows nothing of it or goes on with it. What needs a VM that is down (plug, unplug, what the guest would notice) is checked by the store's
 * writer, because a VM may start on another lane meanwhile.
 */
#include "engine/api/res_disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/disk_lun.h"
#include "engine/api/res_data.h"
#include "engine/api/res_image.h"
#include "engine/api/res_qos.h"
#include "engine/api/res_vm.h"
#include "engine/api/statistics.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/lun.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/vm_definition.h"
#include "engine/model/disk_profile.h"
#include "engine/model/features.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/storage_domain.h"
#include "engine/store/store.h"

#define SIZE_MIN 4096
#define SIZE_STEP 4096                  /* the agent rounds up to it */

/* Event codes, appendix C; from 2000 on those of floating disks and plugging */
#define EVENT_ADD_BEGUN 78
#define EVENT_FLOATING_ADD_BEGUN 2020
#define EVENT_ADD_FAILED 79
#define EVENT_FLOATING_ADD_FAILED 2023
#define EVENT_UPDATED 88
#define EVENT_ATTACHED 2016
#define EVENT_DETACHED 2018
#define EVENT_PLUGGED 2000
#define EVENT_UNPLUGGED 2002

/* ---- shown ---- */

/* Of its running VM; NULL: none. */
static struct vm_figures *figures_around(struct engine *engine, const struct disk *disk)
{
	return disk->vm.id && disk->active ? fleet_vm_figures(engine->fleet, disk->vm.id) : NULL;
}

void *disk_view(struct request *request, void *record)
{
	struct disk *disk = record, *shown;
	struct vm_figures *figures = figures_around(request->engine, disk);
	const struct disk_figures *now = figures_of_disk(figures, disk->id);

	if (now && now->actual_size > 0 && now->actual_size != disk->actual_size) {
		shown = record_copy(disk);
		SET(shown, actual_size, now->actual_size);
	} else
		shown = record_ref(disk);
	figures_unref(figures);
	return shown;
}

/* ---- rules ---- */

/* Run by the writer. data: a struct disk as it shall be */
static bool one_boot_disk(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;
	g_autoptr(GPtrArray) disks = disk->vm.id && disk->bootable ? model_children(model, &disk_kind, disk->vm.id) : NULL;

	for (guint i = 0; disks && i < disks->len; i++) {
		const struct disk *other = disks->pdata[i];

		if (!other->bootable || !strcmp(other->id, disk->id))
			continue;
		error_set(error, ERR_OPERATION_FAILED, "disk '%s': bootable: the VM boots from disk '%s' already", disk_label(disk), disk_label(other));
		return false;
	}
	return true;
}

static bool vm_is_down(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;
	struct vm *vm = disk->vm.id ? model_get(model, &vm_kind, disk->vm.id) : NULL;
	bool ok = !vm || !vm_is_running(vm);

	if (!ok)
		error_set(error, ERR_WRONG_STATE, "disk '%s': VM '%s' is %s; disks can be plugged, unplugged and changed only while it is down: hot plug is not "
			  "supported yet", disk_label(disk), vm->name, vm_state_names[vm->state]);
	record_unref(vm);
	return ok;
}

static bool check_combination(const struct disk *disk, GError **error)
{
	if (disk->shareable && disk->format == DISK_COW)
		error_set(error, ERR_OPERATION_FAILED, "disk '%s': a shareable disk must have the format raw", disk_label(disk));
	else if (disk->read_only && disk->interface == DISK_IDE)
		error_set(error, ERR_OPERATION_FAILED, "disk '%s': an IDE disk cannot be read_only", disk_label(disk));
	else
		return true;
	return false;
}

struct storage_domain *disk_usable_domain(struct model *model, const char *id, GError **error)
{
	struct storage_domain *domain = model_get(model, &storage_domain_kind, id);

	if (!domain)
		error_set(error, ERR_NOT_FOUND, "storage_domains: storage_domain '%.128s'", id);
	else if (domain->type != DOMAIN_DATA)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is no data domain: disks cannot be on it", domain->name);
	else if (domain->state != DOMAIN_ACTIVE)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: disks need an active one", domain->name, storage_domain_state_names[domain->state]);
	else
		return domain;
	record_unref(domain);
	return NULL;
}

static bool check_data_center(struct engine *engine, const struct vm *vm, const struct storage_domain *domain, GError **error)
{
	g_autofree char *data_center = vm ? vm_data_center(engine, vm) : NULL;

	if (!vm || !g_strcmp0(data_center, domain->data_center.id))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is not in the data center of VM '%s'", domain->name, vm->name);
	return false;
}

bool disk_limits_fit(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;
	struct storage_domain *domain = disk_domain(disk) ? model_get(model, &storage_domain_kind, disk_domain(disk)) : NULL;
	struct disk_profile *profile = disk->disk_profile.id ? model_get(model, &disk_profile_kind, disk->disk_profile.id) : NULL;
	bool profile_fits = !disk->disk_profile.id || (profile && domain && !g_strcmp0(profile->storage_domain.id, domain->id));
	g_autofree char *what = g_strdup_printf("disk '%s'", disk_label(disk));
	bool fits = quota_fits(model, disk->quota, domain ? domain->data_center.id : NULL, what, error);

	if (fits && !(fits = profile_fits))
		error_set(error, ERR_NOT_FOUND, "%s: disk_profile: '%s' of its storage domain", what, disk->disk_profile.id);
	record_unref(profile);
	record_unref(domain);
	return fits;
}

/* ---- create ---- */

static bool missing(const char *what, GError **error)
{
	error_set(error, ERR_INCOMPLETE, "Disk [%s] required for add", what);
	return false;
}

static bool check_input(const struct disk *disk, GError **error)
{
	if (!HAS(disk, size) && !disk_domain(disk))
		return missing("provisioned_size, storage_domains.storage_domain", error);
	if (!HAS(disk, size))
		return missing("provisioned_size", error);
	if (!disk_domain(disk))
		return missing("storage_domains.storage_domain", error);
	if (disk->storage_domains->len > 1) {
		error_set(error, ERR_BAD_VALUE, "disk: storage_domains: a disk is on one storage domain, %u are named", disk->storage_domains->len);
		return false;
	}
	if (disk->size < SIZE_MIN) {
		error_set(error, ERR_BAD_VALUE, "disk: provisioned_size: %" PRId64 " is below %d bytes", disk->size, SIZE_MIN);
		return false;
	}
	return true;
}

void disk_fill(struct model *model, const struct vm *vm, bool wipe, struct disk *disk)
{
	disk->id = g_uuid_string_random();
	if (!disk_is_lun(disk))
		disk->image_id = g_uuid_string_random();
	set_ref(&disk->vm, vm ? vm->id : NULL);
	if (vm && !disk->name) {
		g_autoptr(GPtrArray) disks = model_children(model, &disk_kind, vm->id);

		disk->name = g_strdup_printf("%s_Disk%u", vm->name, disks->len + 1);
	}
	SET(disk, size, (disk->size + SIZE_STEP - 1) / SIZE_STEP * SIZE_STEP);
	SET(disk, actual_size, 0);
	SET(disk, state, DISK_LOCKED);
	if (!HAS(disk, format))
		SET(disk, format, DISK_RAW);
	if (!HAS(disk, interface))
		SET(disk, interface, DISK_VIRTIO);
	if (!HAS(disk, sparse))
		SET(disk, sparse, true);
	if (!HAS(disk, wipe_after_delete))
		SET(disk, wipe_after_delete, wipe);
	if (!HAS(disk, bootable))
		SET(disk, bootable, false);
	if (!HAS(disk, shareable))
		SET(disk, shareable, false);
	if (!HAS(disk, propagate_errors))
		SET(disk, propagate_errors, false);
	if (!HAS(disk, read_only))
		SET(disk, read_only, false);
	if (!vm)
		CLEAR(disk, active);
	else if (!HAS(disk, active))
		SET(disk, active, true);
	if (!disk->type)
		set_string(&disk->type, "system");
	CLEAR(disk, snapshot);
}

/* connections: that are stored with it (may be NULL) */
static bool store_new(struct request *request, const struct vm *vm, struct disk *disk, const GPtrArray *connections, void **ret_record, GError **error)
{
	json_t *data = disk_flow_data(request->engine, disk, error);
	struct change *change;
	bool ok;

	if (!data)
		return false;
	change = change_new(request->engine->store);
	for (guint i = 0; connections && i < connections->len; i++)
		change_add(change, connections->pdata[i]);
	request_add(request, change, disk);
	change_check(change, one_boot_disk, disk);
	change_check(change, lun_is_free, disk);
	change_check(change, disk_limits_fit, disk);
	if (vm && disk->active)
		change_check(change, vm_is_down, disk);
	flow_announce(change, &create_disk_flow, disk->id, &request->actor, data);
	json_decref(data);
	if (vm)
		change_event(change, EVENT_ADD_BEGUN, &request->actor, (void *[]){ (void *)vm, disk, NULL },
			     "Add-Disk operation of %s was initiated on VM %s by %s.", disk_label(disk), vm->name, request->actor.user_name);
	else
		change_event(change, EVENT_FLOATING_ADD_BEGUN, &request->actor, (void *[]){ disk, NULL }, "Add-Disk operation of '%s' was initiated by %s.",
			     disk_label(disk), request->actor.user_name);
	ok = change_commit(change, error);
	if (ok)
		*ret_record = record_ref(disk);
	return ok;
}

/* What is blocked for want of space leaves an event. */
static bool check_space(struct request *request, const struct vm *vm, const struct storage_domain *domain, const struct disk *disk, GError **error)
{
	GError *own = NULL;

	if (domain_has_space(domain, disk->sparse ? 0 : disk->size, &own))
		return true;
	store_event(request->engine->store, vm ? EVENT_ADD_FAILED : EVENT_FLOATING_ADD_FAILED, &request->actor,
		    (void *[]){ (void *)domain, (void *)vm, NULL }, "Add-Disk operation failed%s%s (User: %s). %s", vm ? " on VM " : "", vm ? vm->name : "",
		    request->actor.user_name, own->message);
	g_propagate_error(error, own);
	return false;
}

static bool create_lun(struct request *request, const struct vm *vm, struct disk *disk, void **ret_record, GError **error)
{
	struct domain_plan plan = domain_plan_new();
	bool ok = disk_plan_lun(request, vm, disk, &plan, error);

	if (ok) {
		disk_fill(request->engine->model, vm, /* wipe= */ false, disk);
		ok = check_combination(disk, error) && store_new(request, vm, disk, plan.connections, ret_record, error);
	}
	domain_plan_clear(&plan);
	return ok;
}

static bool create(struct request *request, const struct vm *vm, struct disk *disk, void **ret_record, GError **error)
{
	struct model *model = request->engine->model;
	struct storage_domain *domain;
	g_autofree char *host = NULL;
	bool ok;

	if (disk->snapshot) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "snapshot: disks of snapshots are not supported yet");
		return false;
	}
	if (!quota_is_seen(request, disk->quota, "disk", error))
		return false;
	if (disk_wants_lun(disk))
		return create_lun(request, vm, disk, ret_record, error);
	if (!check_input(disk, error) || !(domain = disk_usable_domain(model, disk_domain(disk), error)))
		return false;
	disk_fill(model, vm, domain->wipe_after_delete, disk);
	domain_sizes_want(request->engine, domain);
	ok = check_combination(disk, error) && check_data_center(request->engine, vm, domain, error) &&
	     check_space(request, vm, domain, disk, error);
	host = ok ? storage_host(request->engine, domain, error) : NULL;
	ok = host && store_new(request, vm, disk, /* connections= */ NULL, ret_record, error);
	record_unref(domain);
	return ok;
}

bool disk_finish(struct request *request, const void *record, GError **error)
{
	struct disk *disk = model_get(request->engine->model, &disk_kind, object_id(record));
	json_t *data;
	bool ok = true;

	/* attached ones have nothing more to come */
	if (disk && disk->state == DISK_LOCKED) {
		data = disk_flow_data(request->engine, disk, error);
		ok = data && flow_run(request->engine, &create_disk_flow, disk->id, &request->actor, data, NULL, error);
	}
	record_unref(disk);
	return ok;
}

/* Ids are for naming a disk that is there. */
static bool refuse_id(const struct disk *disk, GError **error)
{
	if (disk->id)
		error_set(error, ERR_OPERATION_FAILED, "disk: @id: the engine gives ids; POST the id to the disks of a VM to attach a disk");
	return !disk->id;
}

static bool add_floating(struct request *request, void *input, void **ret_record, GError **error)
{
	return refuse_id(input, error) && create(request, NULL, input, ret_record, error);
}

bool disk_add_on_domain(struct request *request, void *input, void **ret_record, GError **error)
{
	struct disk *disk = input;
	struct object_ref *ref;

	CLEAR(disk, storage_domains);
	ref = list_add(&disk->storage_domains, &object_ref_type);
	set_string(&ref->id, object_id(request->parent));
	return add_floating(request, disk, ret_record, error);
}

/* ---- attach ---- */

static bool edit_attach(void *copy, struct change *change, void *data, GError **error)
{
	struct disk *disk = copy;
	struct request *request = data;
	const struct vm *vm = request->parent;

	if (disk->vm.id) {
		struct vm *owner = model_get(request->engine->model, &vm_kind, disk->vm.id);

		error_set(error, ERR_OPERATION_FAILED, "disk '%s' is attached to VM '%s'", disk_label(disk), owner ? owner->name : disk->vm.id);
		record_unref(owner);
		return false;
	}
	if (disk->template.id) {
		error_set(error, ERR_OPERATION_FAILED, "disk '%s' is a template's", disk_label(disk));
		return false;
	}
	if (disk->state != DISK_OK) {
		error_set(error, ERR_WRONG_STATE, "cannot attach disk '%s': it is %s", disk_label(disk), disk_state_names[disk->state]);
		return false;
	}
	set_ref(&disk->vm, vm->id);
	change_event(change, EVENT_ATTACHED, &request->actor, (void *[]){ (void *)vm, disk, NULL }, "Disk %s was successfully attached to VM %s by %s.",
		     disk_label(disk), vm->name, request->actor.user_name);
	return true;
}

struct attachment { struct request *request; const struct disk *input; };

static bool edit_attach_with(void *copy, struct change *change, void *data, GError **error)
{
	const struct attachment *attachment = data;
	const struct disk *input = attachment->input;
	struct disk *disk = copy;

	if (!edit_attach(disk, change, attachment->request, error))
		return false;
	SET(disk, active, HAS(input, active) && input->active);
	if (HAS(input, read_only))
		SET(disk, read_only, input->read_only);
	if (HAS(input, bootable))
		SET(disk, bootable, input->bootable);
	if (HAS(input, interface))
		SET(disk, interface, input->interface);
	change_check(change, one_boot_disk, disk);
	if (disk->active)
		change_check(change, vm_is_down, disk);
	return check_combination(disk, error) && features_check(attachment->request->engine->model, disk, NULL, error);
}

static bool attach(struct request *request, const struct disk *input, void **ret_record, GError **error)
{
	struct attachment attachment = { request, input };
	struct disk *disk = model_get(request->engine->model, &disk_kind, input->id);
	struct storage_domain *domain = NULL;
	bool ok;

	if (!disk || !request_sees(request, disk)) {
		error_set(error, ERR_NOT_FOUND, "disk '%.128s'", input->id);
		record_unref(disk);
		return false;
	}
	if (!request_permits(request, "attach_disk", disk)) {
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'attach_disk' on disk '%s'", request->actor.user_name, disk_label(disk));
		record_unref(disk);
		return false;
	}
	if (input->snapshot) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "snapshot: disks of snapshots are not supported yet");
		record_unref(disk);
		return false;
	}
	if (disk_domain(disk))
		domain = disk_usable_domain(request->engine->model, disk_domain(disk), error);
	ok = (disk_is_lun(disk) || (domain && check_data_center(request->engine, request->parent, domain, error))) &&
	     store_modify(request->engine->store, &disk_kind, disk->id, edit_attach_with, &attachment, ret_record, error);
	record_unref(domain);
	record_unref(disk);
	return ok;
}

static bool add_to_vm(struct request *request, void *input, void **ret_record, GError **error)
{
	struct disk *disk = input;

	return disk->id ? attach(request, disk, ret_record, error) : create(request, request->parent, disk, ret_record, error);
}

/* ---- update ---- */

/* Members that the guest does not notice. */
static bool is_label(const struct field *field)
{
	static const char *const paths[] = { "alias", "name", "description", "comment", "wipe_after_delete", "disk_profile", "quota@id", NULL };

	return g_strv_contains(paths, field->path);
}

static bool check_update(const struct disk *before, const struct disk *disk, GError **error)
{
	if (before->state == DISK_LOCKED)
		error_set(error, ERR_WRONG_STATE, "disk '%s' is locked", disk_label(before));
	else if (disk->size < before->size)
		error_set(error, ERR_OPERATION_FAILED, "disk '%s': provisioned_size: a disk of %" PRId64 " bytes cannot shrink to %" PRId64, disk_label(before),
			  before->size, disk->size);
	else if (disk->size > before->size)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "disk '%s': provisioned_size: growing a disk is not supported yet", disk_label(before));
	else if (g_strcmp0(disk_domain(before), disk_domain(disk)) || (disk->storage_domains && disk->storage_domains->len > 1))
		error_set(error, ERR_UNSUPPORTED_OPERATION, "disk '%s': storage_domains: moving a disk is not supported yet", disk_label(before));
	else
		return check_combination(disk, error);
	return false;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct disk *before = current;
	struct disk *disk = changed;
	struct vm *vm = request->parent;
	struct change *change;
	bool noticed = false;

	if (!disk_keep_lun(before, disk, error) || !check_update(before, disk, error) ||
	    (g_strcmp0(before->quota, disk->quota) && !quota_is_seen(request, disk->quota, "disk", error)))
		return false;
	for (size_t i = 0; i < disk_type.n_fields; i++)
		noticed = noticed || (!is_label(&disk_type.fields[i]) && !record_member_equal(before, disk, &disk_type.fields[i]));
	change = change_new(request->engine->store);
	change_replace(change, before, disk);
	change_check(change, one_boot_disk, disk);
	if (g_strcmp0(before->quota, disk->quota) || g_strcmp0(before->disk_profile.id, disk->disk_profile.id))
		change_check(change, disk_limits_fit, disk);
	if (noticed)
		change_check(change, vm_is_down, disk);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]){ vm, disk, NULL }, "VM %s %s disk was updated by %s.", vm->name, disk_label(disk),
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(disk);
	return true;
}

/* ---- remove, detach ---- */

struct remove_disk { ACTION_MEMBERS bool detach; };
static const struct field remove_fields[] = {
	ACTION_FIELDS(struct remove_disk),
	FIELD_BOOL_(struct remove_disk, detach, "detach", CREATE, "only take it from the VM; it stays as a floating disk"),
};
static const struct record_type remove_disk_type = RECORD_TYPE("action", NULL, struct remove_disk, remove_fields, "How to remove a disk");

static bool detach(struct request *request, const struct disk *current, GError **error)
{
	struct vm *vm = request->parent;
	struct disk *disk;
	struct change *change;
	bool ok;

	if (current->state == DISK_LOCKED) {
		error_set(error, ERR_WRONG_STATE, "cannot detach disk '%s': it is locked", disk_label(current));
		return false;
	}
	disk = record_copy(current);
	set_ref(&disk->vm, NULL);
	CLEAR(disk, active);
	change = change_new(request->engine->store);
	change_replace(change, current, disk);
	if (current->active)
		change_check(change, vm_is_down, (void *)current);
	change_event(change, EVENT_DETACHED, &request->actor, (void *[]){ vm, disk, NULL }, "Disk %s was successfully detached from VM %s by %s.", disk_label(disk),
		     vm->name, request->actor.user_name);
	ok = change_commit(change, error);
	record_unref(disk);
	return ok;
}

bool disk_remove(struct request *request, const void *current, const void *options, GError **error)
{
	const struct disk *disk = current;
	struct storage_domain *domain = disk_domain(disk) ? disk_usable_domain(request->engine->model, disk_domain(disk), error) : NULL;
	g_autofree char *host = domain ? storage_host(request->engine, domain, error) : NULL;
	json_t *data = NULL;

	record_unref(domain);
	if (!host && !disk_is_lun(disk))
		return false;
	if (disk->template.id) {
		error_set(error, ERR_OPERATION_FAILED, "disk '%s' is a template's: it goes with the template", disk_label(disk));
		return false;
	}
	if (disk->state == DISK_LOCKED) {
		error_set(error, ERR_WRONG_STATE, "cannot remove disk '%s': it is locked", disk_label(disk));
		return false;
	}
	data = disk_flow_data(request->engine, disk, error);
	return data && flow_run(request->engine, &remove_disk_flow, disk->id, &request->actor, data, NULL, error);
}

static bool remove_from_vm(struct request *request, const void *current, const void *options, GError **error)
{
	const struct remove_disk *how = options;

	return how && how->detach ? detach(request, current, error) : disk_remove(request, current, options, error);
}

/* ---- actions ---- */

struct plugging { struct request *request; bool plug; };

static bool edit_plug(void *copy, struct change *change, void *data, GError **error)
{
	struct disk *disk = copy;
	const struct plugging *plugging = data;
	const struct vm *vm = plugging->request->parent;

	if (disk->state == DISK_LOCKED) {
		error_set(error, ERR_WRONG_STATE, "disk '%s' is locked", disk_label(disk));
		return false;
	}
	if (disk->active == plugging->plug)
		return false;
	SET(disk, active, plugging->plug);
	change_check(change, vm_is_down, disk);
	change_event(change, plugging->plug ? EVENT_PLUGGED : EVENT_UNPLUGGED, &plugging->request->actor, (void *[]){ (void *)vm, disk, NULL },
		     plugging->plug ? "VM %s disk %s was plugged by %s." : "VM %s disk %s was unplugged by %s.", vm->name, disk_label(disk),
		     plugging->request->actor.user_name);
	return true;
}

static bool activate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	struct plugging plugging = { request, true };

	return store_modify(request->engine->store, &disk_kind, object_id(object), edit_plug, &plugging, NULL, error);
}

static bool deactivate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	struct plugging plugging = { request, false };

	return store_modify(request->engine->store, &disk_kind, object_id(object), edit_plug, &plugging, NULL, error);
}

#define EXPORT { "export", &disk_export_type, disk_export, "configure_disk_storage", "Copies the disk into a new image of an image service" }

const struct action disk_actions[] = {
	EXPORT,
	{ "copy", &copy_disk_type, disk_copy, "configure_disk_storage", "Makes another disk with the same content, on the same or another storage domain" },
	{ 0 },
};

static const struct action actions[] = {
	EXPORT,
	{ "activate", &plain_action_type, activate, "configure_disk_storage", "Plugs the disk into its VM, which must be down" },
	{ "deactivate", &plain_action_type, deactivate, "configure_disk_storage", "Unplugs the disk from its VM, which must be down" },
	{ 0 },
};

static const char *const links[] = { "statistics", "permissions", NULL };

const struct resource resource_vm_disk = {
	.kind = &disk_kind, .path = "disks", .parent = &resource_vm, .methods = RESOURCE_ALL, .links = links, .actions = actions, .asynchronous = true,
	.permit_add = "create_disk", .permit_update = "edit_disk_properties", .permit_remove = "delete_disk", .doc = "Disks of a virtual machine",
	.view = disk_view, .add = add_to_vm, .finish = disk_finish, .update = update, .updated = limits_of_device, .remove_params = &remove_disk_type,
	.remove = remove_from_vm,
};

const struct resource resource_disk = {
	.kind = &disk_kind, .path = "disks", .methods = RESOURCE_LIST | RESOURCE_GET | RESOURCE_ADD | RESOURCE_REMOVE, .links = links,
	.asynchronous = true,
	.permit_add = "create_disk", .permit_remove = "delete_disk", .doc = "All disks, those of VMs and floating ones", .view = disk_view, .add = add_floating,
	.finish = disk_finish, .remove = disk_remove, .actions = disk_actions,
};

/* ---- statistics ---- */

enum { READ_RATE, WRITE_RATE, READ_LATENCY, WRITE_LATENCY, FLUSH_LATENCY };
static const struct statistic_row rows[] = {
	[READ_RATE] = { "data.current.read", "Read data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[WRITE_RATE] = { "data.current.write", "Write data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[READ_LATENCY] = { "disk.read.latency", "Read latency", STATISTIC_SECONDS, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[WRITE_LATENCY] = { "disk.write.latency", "Write latency", STATISTIC_SECONDS, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[FLUSH_LATENCY] = { "disk.flush.latency", "Flush latency", STATISTIC_SECONDS, STATISTIC_GAUGE, STATISTIC_DECIMAL },
};

static GPtrArray *statistic_list(struct request *request, GError **error)
{
	const struct disk *disk = request->parent;
	struct vm_figures *figures = figures_around(request->engine, disk);
	const struct disk_figures *now = figures_of_disk(figures, disk->id);
	GPtrArray *list = statistics_new();

	statistic_add(list, disk, &rows[READ_RATE], now ? now->read_rate : 0);
	statistic_add(list, disk, &rows[WRITE_RATE], now ? now->write_rate : 0);
	statistic_add(list, disk, &rows[READ_LATENCY], now ? now->read_latency : 0);
	statistic_add(list, disk, &rows[WRITE_LATENCY], now ? now->write_latency : 0);
	statistic_add(list, disk, &rows[FLUSH_LATENCY], now ? now->flush_latency : 0);
	figures_unref(figures);
	return list;
}

const struct resource resource_vm_disk_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_vm_disk, .methods = RESOURCE_READ, .links = no_links, .doc = "Figures of a disk",
	.brief = true, .list = statistic_list,
};

const struct resource resource_disk_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_disk, .methods = RESOURCE_READ, .links = no_links, .doc = "Figures of a disk",
	.brief = true, .list = statistic_list,
};
