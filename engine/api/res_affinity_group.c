/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Affinity groups of a cluster (REST 10.7.3) and the VMs in them. A VM is in a group as long as both are in the same cluster: one that was removed or moved
 * since it was added is not shown, and does not count.
 */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/model/affinity_group.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define EVENT_ADDED 10350
#define EVENT_UPDATED 10352
#define EVENT_REMOVED 10354

const struct resource resource_cluster_affinity_group = {
	.kind = &affinity_group_kind, .path = "affinitygroups", .parent = &resource_cluster, .methods = RESOURCE_ALL,
	.event_added = EVENT_ADDED, .event_updated = EVENT_UPDATED, .event_removed = EVENT_REMOVED, .permit_add = "edit_cluster_configuration",
	.permit_update = "edit_cluster_configuration", .permit_remove = "edit_cluster_configuration", .doc = "VMs of the cluster to keep together or apart",
};

/* ---- its VMs ---- */

static const struct field member_fields[] = {
	FIELD_STRING_(struct object_ref, id, "@id", CREATE, "id of the VM", .max = 64),
	FIELD_STRING_(struct object_ref, name, "name", CREATE | HEAD, "name of the VM", .max = 255),
};
static const struct record_type member_type = RECORD_TYPE("vm", "vms", struct object_ref, member_fields, "A VM of an affinity group");

static struct object_ref *member_of(const struct vm *vm)
{
	struct object_ref *member = record_new(&member_type);

	set_string(&member->id, vm->id);
	set_string(&member->name, vm->name);
	return member;
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct affinity_group *group = request->parent;
	GPtrArray *members = list_new();

	for (guint i = 0; group->vms && i < group->vms->len; i++) {
		struct vm *vm = model_get(request->engine->model, &vm_kind, object_id(group->vms->pdata[i]));

		if (vm && !g_strcmp0(vm->cluster.id, group->cluster.id))
			g_ptr_array_add(members, member_of(vm));
		record_unref(vm);
	}
	return members;
}

struct membership { struct request *request; const struct vm *vm; const char *vm_id; bool joins; };

static bool edit_members(void *copy, struct change *change, void *data, GError **error)
{
	struct affinity_group *group = copy;
	const struct membership *membership = data;
	GPtrArray *members = list_new();
	void *cluster;

	/* those that are gone go with the next change */
	for (guint i = 0; group->vms && i < group->vms->len; i++) {
		const char *id = object_id(group->vms->pdata[i]);
		struct vm *vm = model_get(membership->request->engine->model, &vm_kind, id);

		if (vm && g_strcmp0(id, membership->vm_id))
			g_ptr_array_add(members, record_ref(group->vms->pdata[i]));
		else if (vm && membership->joins) {
			error_set(error, ERR_OPERATION_FAILED, "VM '%s' is in affinity group '%s' already", vm->name, group->name);
			record_unref(vm);
			g_ptr_array_unref(members);
			return false;
		}
		record_unref(vm);
	}
	CLEAR(group, vms);
	group->vms = members;
	if (membership->joins) {
		struct object_ref *ref = list_add(&group->vms, &object_ref_type);

		set_string(&ref->id, membership->vm_id);
	}
	cluster = model_get(membership->request->engine->model, &cluster_kind, group->cluster.id);
	change_event(change, EVENT_UPDATED, &membership->request->actor, (void *[]){ cluster, (void *)membership->vm, NULL },
		     "Affinity group %s (cluster %s) was updated by %s.", group->name, cluster ? object_name(cluster) : "-", membership->request->actor.user_name);
	record_unref(cluster);
	return true;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct affinity_group *group = request->parent;
	const struct object_ref *wish = input;
	struct model *model = request->engine->model;
	struct vm *vm = wish->id ? model_get(model, &vm_kind, wish->id) : wish->name ? model_find(model, &vm_kind, NULL, wish->name) : NULL;
	bool ok = false;

	if (!wish->id && !wish->name)
		error_set(error, ERR_INCOMPLETE, "Vm [id|name] required for add");
	else if (!vm)
		error_set(error, ERR_NOT_FOUND, "vm '%s'", wish->id ? wish->id : wish->name);
	else if (g_strcmp0(vm->cluster.id, group->cluster.id))
		error_set(error, ERR_OPERATION_FAILED, "VM '%s' is not in the cluster of affinity group '%s'", vm->name, group->name);
	else {
		struct membership membership = { request, vm, vm->id, true };

		ok = store_modify(request->engine->store, &affinity_group_kind, group->id, edit_members, &membership, NULL, error);
	}
	if (ok)
		*ret_record = member_of(vm);
	record_unref(vm);
	return ok;
}

static bool leave(struct request *request, const void *current, const void *options, GError **error)
{
	struct membership membership = { request, NULL, object_id(current), false };

	return store_modify(request->engine->store, &affinity_group_kind, object_id(request->parent), edit_members, &membership, NULL, error);
}

const struct resource resource_affinity_group_vm = {
	.type = &member_type, .path = "vms", .parent = &resource_cluster_affinity_group, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE,
	.links = no_links, .permit_add = "edit_cluster_configuration", .permit_remove = "edit_cluster_configuration", .doc = "VMs of the affinity group",
	.list = list, .add = add, .remove = leave,
};
