/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions (REST 7.4.8): every resource has a sub-collection of them. One kind for all; a permission says by collection and id on what it is. They go
 * with the object (the store sees to it).
 */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_vm.h"
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include "engine/store/store.h"
#include <string.h>

static bool is_about(const struct permission *permission, const void *object)
{
	const struct kind *kind = kind_of(object);

	if (kind == &user_kind)                  /* below a user: what the user has, on whatever */
		return !g_strcmp0(permission->user.id, object_id(object));
	if (kind == &group_kind)
		return !g_strcmp0(permission->group.id, object_id(object));
	return kind && !g_strcmp0(permission->object_kind, kind->collection) && !g_strcmp0(permission->object_id, object_id(object));
}

GPtrArray *permission_list(struct request *request, GError **error)
{
	GPtrArray *all = model_list(request->engine->model, &permission_kind);

	for (unsigned i = all->len; i > 0; i--)
		if (!is_about(all->pdata[i - 1], request->parent))
			g_ptr_array_remove_index(all, i - 1);
	return all;
}

void *permission_view(struct request *request, void *record)
{
	struct permission *shown = record_copy(record);
	const struct { const struct kind *kind; struct ref *ref; } places[] = {
		{ &datacenter_kind, &shown->data_center }, { &cluster_kind, &shown->cluster }, { &host_kind, &shown->host }, { &vm_kind, &shown->vm },
		{ &template_kind, &shown->template }, { &storage_domain_kind, &shown->storage_domain }, { &network_kind, &shown->network },
		{ &disk_kind, &shown->disk },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
		if (!g_strcmp0(shown->object_kind, places[i].kind->collection))
			set_ref(places[i].ref, shown->object_id);
	return shown;
}

bool permission_add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct kind *kind = kind_of(request->parent);
	struct permission *permission = input;
	struct change *change;

	if (kind == &user_kind && !permission->user.id)
		set_ref(&permission->user, object_id(request->parent));
	else if (kind == &group_kind && !permission->group.id)
		set_ref(&permission->group, object_id(request->parent));
	if (!permission->user.id && !permission->group.id) {
		error_set(error, ERR_INCOMPLETE, "Permission [user.id|group.id] required for add");
		return false;
	}
	if (kind != &user_kind && kind != &group_kind) {
		set_string(&permission->object_kind, kind->collection);
		set_string(&permission->object_id, object_id(request->parent));
	}
	change = change_new(request->engine->store);
	change_add(change, permission);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(permission);
	return true;
}

const struct resource resource_vm_permission = PERMISSION_RESOURCE(&resource_vm);
const struct resource resource_disk_permission = PERMISSION_RESOURCE(&resource_disk);
