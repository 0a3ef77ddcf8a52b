/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of virtual machines (REST 15.6.2). */
#include <string.h>

#include "common/error.h"
#include "engine/api/res_vm.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/nic_mac.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/store/store.h"

/* Event codes, appendix C */
#define EVENT_ADDED 932
#define EVENT_UPDATED 934
#define EVENT_REMOVED 930

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
	if (!check_pluggable(vm, nic, "add", error) || (!nic->mac && !nic_mac_draw(request->engine->model, nic, error)))
		return false;
	change = change_new(request->engine->store);
	change_add(change, nic);
	return commit(request, change, EVENT_ADDED, "added", nic, ret_record, error);
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct change *change;

	if (!check_pluggable(request->parent, current, "change", error) || !check_pluggable(request->parent, changed, "plug", error))
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
	.doc = "Network interfaces of a virtual machine", .add = add, .update = update, .remove = remove_nic,
};
