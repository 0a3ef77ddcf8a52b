/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual machines (REST chapter 15): the resource; its actions are in vm_actions.c. */
#include "engine/api/res_vm.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "engine/api/action.h"
#include "engine/api/res_qos.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/rivals.h"
#include "engine/flow/vm_flow.h"
#include "engine/model/cluster.h"
#include "engine/model/disk.h"
#include "engine/model/features.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/template.h"
#include "engine/ovf/ovf.h"
#include "engine/store/store.h"

/* Event codes, appendix C */
#define EVENT_ADDED 34
#define EVENT_UPDATED 35
#define EVENT_REMOVED 113

/* ---- live values ---- */

/* A console that listens on every address is reached at the host's. */
static void show_display(struct request *request, struct vm *vm, const struct vm_facts *facts)
{
	bool any = !g_strcmp0(facts->display_address, "0.0.0.0") || !g_strcmp0(facts->display_address, "::");
	struct host *host = any && vm->host.id ? model_get(request->engine->model, &host_kind, vm->host.id) : NULL;

	if (facts->display_address || host)
		set_string(&vm->display_address, host ? host->address : facts->display_address);
	record_unref(host);
	if (facts->display_port)
		SET(vm, display_port, facts->display_port);
	if (facts->display_secure_port)
		SET(vm, display_secure_port, facts->display_secure_port);
}

static void show_guest(struct vm *vm, const struct vm_facts *facts)
{
	g_auto(GStrv) addresses = g_strsplit(facts->guest_ips ? facts->guest_ips : "", " ", -1);

	for (char **address = addresses; *address; address++)
		if (**address) {
			struct ip *ip = list_add(&vm->guest_ips, &ip_type);

			set_string(&ip->address, *address);
		}
	set_string(&vm->guest_fqdn, facts->guest_fqdn);
	set_string(&vm->guest_os_family, facts->os_family);
	set_string(&vm->guest_os_distribution, facts->os_distribution);
	set_string(&vm->guest_os_version, facts->os_version);
	set_string(&vm->guest_os_kernel, facts->os_kernel);
	set_string(&vm->guest_os_architecture, facts->os_architecture);
}

/* Its configuration, as a client may keep it (15.3). */
static void show_definition(struct request *request, struct vm *shown)
{
	g_autoptr(GPtrArray) disks = model_children(request->engine->model, &disk_kind, shown->id);

	for (guint i = disks->len; i > 0; i--)
		if (!((const struct disk *)disks->pdata[i - 1])->image_id)
			g_ptr_array_remove_index(disks, i - 1);      /* a LUN is no file of the VM */
	if (!shown->initialization)
		shown->initialization = record_new(&vm_initialization_type);
	set_string(&shown->initialization->configuration_type, "ovf");
	g_free(shown->initialization->configuration_data);
	shown->initialization->configuration_data = ovf_write(request->engine->model, shown, disks, wall_msec());
}

static void *view(struct request *request, void *record)
{
	struct vm *vm = record, *shown;
	struct vm_figures *figures = vm_is_running(vm) ? fleet_vm_figures(request->engine->fleet, vm->id) : NULL;

	bool restoring = vm->state == VM_PAUSED && vm->memory_volume && vm->memory_state == MEMORY_LOADED;        /* its start lets it run next */

	if (!figures && !restoring && !request->all_content)
		return record_ref(vm);
	shown = request->all_content ? record_copy(vm) : record_shadow(vm);
	if (request->all_content)
		show_definition(request, shown);
	if (restoring)
		SET(shown, state, VM_RESTORING_STATE);
	if (figures) {
		show_display(request, shown, figures->facts);
		show_guest(shown, figures->facts);
	}
	figures_unref(figures);
	return shown;
}

/* ---- create ---- */

/* Guaranteed memory that was asked for must fit; what was not asked for follows the memory. */
static bool guarantee_memory(struct vm *vm, bool asked, GError **error)
{
	if (!HAS(vm, memory_guaranteed) || !HAS(vm, memory) || vm->memory_guaranteed <= vm->memory)
		return true;
	if (asked) {
		error_set(error, ERR_BAD_VALUE, "vm: memory_policy/guaranteed: %" G_GINT64_FORMAT " is more than memory, %" G_GINT64_FORMAT, vm->memory_guaranteed,
			  vm->memory);
		return false;
	}
	SET(vm, memory_guaranteed, vm->memory);
	return true;
}

static bool profile_fits(struct model *model, const struct vm *vm, GError **error)
{
	struct cpu_profile *profile = vm->cpu_profile.id ? model_get(model, &cpu_profile_kind, vm->cpu_profile.id) : NULL;
	bool fits = !profile || !g_strcmp0(profile->cluster.id, vm->cluster.id);

	if (!fits)
		error_set(error, ERR_OPERATION_FAILED, "vm '%s': cpu_profile '%s' is not of its cluster", vm->name, profile->name);
	record_unref(profile);
	return fits;
}

static bool vm_quota_fits(struct model *model, const struct vm *vm, GError **error)
{
	struct cluster *cluster = model_get(model, &cluster_kind, vm->cluster.id);
	g_autofree char *what = g_strdup_printf("vm '%s'", vm->name);
	bool fits = quota_fits(model, vm->quota, cluster ? cluster->data_center.id : NULL, what, error);

	record_unref(cluster);
	return fits;
}

/* For change_check(), data is a struct vm. */
static bool limits_fit(struct model *model, void *data, GError **error)
{
	return profile_fits(model, data, error) && vm_quota_fits(model, data, error);
}

/* For change_check(), data is a struct vm: what is being made or removed is nothing to begin with, nor yet what has disks. */
static bool template_is_ok(struct model *model, void *data, GError **error)
{
	const struct vm *vm = data;
	struct template *template = model_get(model, &template_kind, vm->template.id);
	g_autoptr(GPtrArray) disks = template_disks(model, vm->template.id);
	bool ok = !template || (template->state == TEMPLATE_OK && !disks->len);

	if (!ok && template->state == TEMPLATE_OK)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "vm '%s': template '%s' has disks: VMs are not made of such templates yet", vm->name, template->name);
	else if (!ok)
		error_set(error, ERR_WRONG_STATE, "vm '%s': template '%s' is %s", vm->name, template->name, template_state_names[template->state]);
	record_unref(template);
	return ok;
}

/* What the client has not given, but the template or the cluster that the VM was in, goes where it does not fit. */
static void drop_misfits(struct model *model, struct vm *vm, bool own_profile, bool own_quota)
{
	if (!own_profile && !profile_fits(model, vm, NULL))
		set_ref(&vm->cpu_profile, NULL);
	if (!own_quota && !vm_quota_fits(model, vm, NULL))
		set_string(&vm->quota, NULL);
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct vm *vm = input;
	struct cluster *cluster = model_get(request->engine->model, &cluster_kind, vm->cluster.id);
	struct change *change = change_new(request->engine->store);
	bool own_profile = vm->cpu_profile.id, own_quota = vm->quota;
	struct template *template;

	if (vm->snapshots && vm->snapshots->len) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "vm: snapshots: creating a VM from a snapshot");
		change_free(change);
		record_unref(cluster);
		return false;
	}
	if (!guarantee_memory(vm, true, error) || !quota_is_seen(request, vm->quota, "vm", error)) {
		change_free(change);
		record_unref(cluster);
		return false;
	}
	template = model_get(request->engine->model, &template_kind, vm->template.id);
	if (template)
		vm_inherit(vm, template);
	record_unref(template);
	features_mask(request->engine->model, vm);
	drop_misfits(request->engine->model, vm, own_profile, own_quota);
	SET(vm, state, VM_DOWN);
	SET(vm, creation_time, wall_msec());
	SET(vm, stop_time, vm->creation_time);
	SET(vm, next_run_configuration_exists, false);
	if (cluster && !vm->cpu_architecture)
		set_string(&vm->cpu_architecture, cluster->cpu_architecture);
	record_unref(cluster);
	request_add(request, change, vm);
	change_check(change, limits_fit, vm);
	change_check(change, template_is_ok, vm);
	change_event(change, EVENT_ADDED, &request->actor, (void *[]){ vm, NULL }, "VM %s was created by %s.", vm->name, request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = model_get(request->engine->model, &vm_kind, vm->id);
	return true;
}

/* ---- update ---- */

/* Members that take effect at once whatever the VM does. */
static bool is_label(const struct field *field)
{
	return !strcmp(field->path, "name") || !strcmp(field->path, "description") || !strcmp(field->path, "comment") ||
	       !strcmp(field->path, "delete_protected") || !strcmp(field->path, "cpu_profile");
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct vm *before = current;
	const struct vm *given = input;
	struct vm *vm = changed;
	struct change *change;

	if (vm_is_running(before) && g_strcmp0(before->cluster.id, vm->cluster.id)) {
		error_set(error, ERR_WRONG_STATE, "VM '%s' is %s: its cluster can be changed only while it is down", before->name,
			  vm_state_names[before->state]);
		return false;
	}
	if (!guarantee_memory(vm, HAS(given, memory_guaranteed), error) ||
	    (g_strcmp0(before->quota, vm->quota) && !quota_is_seen(request, vm->quota, "vm", error)))
		return false;
	if (g_strcmp0(before->cluster.id, vm->cluster.id))
		drop_misfits(request->engine->model, vm, given->cpu_profile.id, given->quota);
	if (vm_is_running(before))
		for (size_t i = 0; i < vm_type.n_fields; i++)
			if (!is_label(&vm_type.fields[i]) && !record_member_equal(before, vm, &vm_type.fields[i]))
				SET(vm, next_run_configuration_exists, true);
	change = change_new(request->engine->store);
	change_replace(change, before, vm);
	if (g_strcmp0(before->cluster.id, vm->cluster.id) || g_strcmp0(before->cpu_profile.id, vm->cpu_profile.id) || g_strcmp0(before->quota, vm->quota))
		change_check(change, limits_fit, vm);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]){ vm, NULL }, "VM %s configuration was updated by %s.", vm->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = model_get(request->engine->model, &vm_kind, vm->id);
	return true;
}

/* ---- remove ---- */

struct remove_action { ACTION_MEMBERS bool detach_only; };
static const struct field remove_fields[] = {
	ACTION_FIELDS(struct remove_action),
	FIELD_BOOL_(struct remove_action, detach_only, "vm/disks/detach_only", CREATE, "keep the disks, as floating ones"),
};
static const struct record_type remove_action_type = RECORD_TYPE("action", NULL, struct remove_action, remove_fields, "How to remove a VM");

static bool remove_vm(struct request *request, const void *current, const void *options, GError **error)
{
	const struct vm *vm = current;
	const struct remove_action *how = options;
	json_t *data = json_object();

	if (vm->delete_protected) {
		error_set(error, ERR_OPERATION_FAILED, "VM '%s' is protected from removal (delete_protected)", vm->name);
		json_decref(data);
		return false;
	}
	if (vm->state != VM_DOWN &&
	    !(how && how->force && !vm_is_running(vm) && !(vm->state == VM_IMAGE_LOCKED && flow_works_on(request->engine->model, vm->id)))) {
		error_set(error, ERR_WRONG_STATE, "VM '%s' is %s: only a VM that is down can be removed", vm->name, vm_state_names[vm->state]);
		json_decref(data);
		return false;
	}
	json_object_set_new(data, "name", json_string(vm->name));
	json_object_set_new(data, "keep", json_boolean(how && how->detach_only));
	return flow_run(request->engine, &remove_vm_flow, vm->id, &request->actor, data, NULL, error);
}

static const char *const links[] = { "disks", "nics", "cdroms", "permissions", "tags", "statistics", NULL };

const struct resource resource_vm = {
	.kind = &vm_kind, .path = "vms", .methods = RESOURCE_ALL, .links = links, .actions = vm_actions, .asynchronous = true,
	.permit_add = "create_vm", .permit_update = "edit_vm_properties", .permit_remove = "delete_vm", .doc = "Virtual machines",
	.view = view, .add = add, .update = update, .updated = limits_of_vm, .remove_params = &remove_action_type, .remove = remove_vm,
};
