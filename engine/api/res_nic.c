/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of virtual machines (REST 15.6.2). */
#include <string.h>

#include "common/error.h"
#include "engine/api/res_qos.h"
#include "engine/api/res_vm.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/nic_mac.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/vnic_profile.h"
#include "engine/store/store.h"

/* Event codes, appendix C */
#define EVENT_ADDED 932
#define EVENT_UPDATED 934
#define EVENT_REMOVED 930

/* A NIC is on the network of its profile. given: what the client said */
static bool fit_profile(struct model *model, struct nic *nic, const struct nic *given, GError **error)
{
	struct vnic_profile *profile = nic->vnic_profile.id ? model_get(model, &vnic_profile_kind, nic->vnic_profile.id) : NULL;
	bool elsewhere = profile && g_strcmp0(profile->network.id, nic->network.id), fits = true;

	if (elsewhere && !HAS(given, network)) {
		set_ref(&nic->network, profile->network.id);
	} else if (elsewhere && !HAS(given, vnic_profile)) {
		CLEAR(nic, vnic_profile);
	} else if (elsewhere) {
		error_set(error, ERR_OPERATION_FAILED, "nic '%s': vnic_profile '%s' is of another network", nic->name, profile->name);
		fits = false;
	}
	record_unref(profile);
	return fits;
}

static bool check_pluggable(const struct vm *vm, const struct nic *nic, const char *what, GError **error)
{
	if (!vm_is_running(vm) || !nic->plugged)
		return true;
	error_set(error, ERR_WRONG_STATE, "cannot %s a plugged NIC '%s': VM '%s' is %s", what, nic->name, vm->name, vm_state_names[vm->state]);
	return false;
}

static bool commit(struct request *request, struct change *change, int event, const char *what, struct nic *nic, void **ret_record, GError **error)
{
	const struct vm *vm = request->parent;

	change_check(change, nic_mac_is_free, nic);
	change_event(change, event, &request->actor, (void *[]){ (void *)vm, NULL }, "Interface %s of VM %s was %s by %s.", nic->name, vm->name, what,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = model_get(request->engine->model, &nic_kind, nic->id);
	return true;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct vm *vm = request->parent;
	struct nic *nic = input;
	struct change *change;

	set_ref(&nic->vm, vm->id);
	if (!fit_profile(request->engine->model, nic, nic, error) || !check_pluggable(vm, nic, "add", error) ||
	    (!nic->mac && !nic_mac_draw(request->engine->model, nic, error)))
		return false;
	change = change_new(request->engine->store);
	change_add(change, nic);
	return commit(request, change, EVENT_ADDED, "added", nic, ret_record, error);
}

/* What a running VM takes: flow/vm_limits.h brings it to the agent. */
static bool only_limits_differ(const struct nic *before, const struct nic *nic)
{
	static const char *const paths[] = { "description", "vnic_profile", "port_mirroring/networks/network", NULL };

	for (size_t i = 0; i < nic_type.n_fields; i++)
		if (!g_strv_contains(paths, nic_type.fields[i].path) && !record_member_equal(before, nic, &nic_type.fields[i]))
			return false;
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct change *change;

	if (!fit_profile(request->engine->model, changed, input, error))
		return false;
	if (!only_limits_differ(current, changed) &&
	    (!check_pluggable(request->parent, current, "change", error) || !check_pluggable(request->parent, changed, "plug", error)))
		return false;
	change = change_new(request->engine->store);
	change_replace(change, current, changed);
	return commit(request, change, EVENT_UPDATED, "updated", changed, ret_record, error);
}

static bool remove_nic(struct request *request, const void *current, const void *options, GError **error)
{
	const struct vm *vm = request->parent;
	const struct nic *nic = current;
	struct change *change;

	if (!check_pluggable(vm, nic, "remove", error))
		return false;
	change = change_new(request->engine->store);
	change_remove(change, nic);
	change_event(change, EVENT_REMOVED, &request->actor, (void *[]){ (void *)vm, NULL }, "Interface %s of VM %s was removed by %s.", nic->name, vm->name,
		     request->actor.user_name);
	return change_commit(change, error);
}

static const char *const links[] = { "statistics", NULL };

const struct resource resource_vm_nic = {
	.kind = &nic_kind, .path = "nics", .parent = &resource_vm, .methods = RESOURCE_ALL, .links = links,
	.permit_add = "configure_vm_network", .permit_update = "configure_vm_network", .permit_remove = "configure_vm_network",
	.brief = true, .doc = "Network interfaces of a virtual machine", .add = add, .update = update, .updated = limits_of_device, .remove = remove_nic,
};
