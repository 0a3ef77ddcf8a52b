/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permissions (REST 7.4.8): every resource has a sub-collection of them. One kind for all; a permission says by collection and id on what it is. They go
 * with the object (the store sees to it).
 */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_vm.h"
#include "engine/auth/access.h"
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/user.h"
#include "engine/store/store.h"
#include <string.h>

#define EVENT_GIVEN 850
#define EVENT_TAKEN 852

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

/* What the body names, below a user or group. *ret_object: new reference, NULL when it names nothing. */
static bool named_object(struct request *request, struct permission *permission, void **ret_object, GError **error)
{
	struct model *model = request->engine->model;

	*ret_object = NULL;
	for (size_t i = 0; i < permission_type.n_fields; i++) {
		const struct field *field = &permission_type.fields[i];
		const struct ref *ref = (const void *)((const char *)permission + field->offset);
		const struct kind *kind;

		if (field->kind != FIELD_REF || !(field->flags & WEAK) || (!ref->id && !ref->name))
			continue;
		kind = kind_by_collection(field->target);
		*ret_object = ref->id ? model_get(model, kind, ref->id) : model_find(model, kind, NULL, ref->name);
		if (*ret_object && request_sees(request, *ret_object))
			return true;
		g_clear_pointer(ret_object, record_unref);
		error_set(error, ERR_NOT_FOUND, "%s '%.128s'", kind->type->name, ref->id ? ref->id : ref->name);
		return false;
	}
	return true;
}

static const char *holder_name(struct model *model, const struct permission *permission, void **ret_holder)
{
	*ret_holder = permission->user.id ? model_get(model, &user_kind, permission->user.id) : model_get(model, &group_kind, permission->group.id);
	if (!*ret_holder)
		return "-";
	return permission->user.id ? ((const struct user *)*ret_holder)->user_name : object_name(*ret_holder);
}

void permission_tell(struct request *request, struct change *change, bool given, const struct permission *permission, void *object)
{
	struct model *model = request->engine->model;
	void *holder, *role = model_get(model, &role_kind, permission->role.id);
	const char *name = holder_name(model, permission, &holder);

	change_event(change, given ? EVENT_GIVEN : EVENT_TAKEN, &request->actor, (void *[]){ object, NULL }, "User/Group %s %s Role %s on %s %s, by %s.", name,
		     given ? "was granted permission for" : "was removed from",
		     role ? object_name(role) : "-", object ? ((const struct record *)object)->type->name : "everything",
		     object ? (object_name(object) ? object_name(object) : object_id(object)) : "", request->actor.user_name);
	record_unref(role);
	record_unref(holder);
}

/* Nobody gives what he has not. */
static bool check_covered(struct request *request, const struct permission *permission, const void *object, GError **error)
{
	const char *missing;

	if (!request->access || access_covers_role(request->access, request->engine->model, permission->role.id, object, &missing))
		return true;
	error_set(error, ERR_FORBIDDEN, "'%s' has no permit '%s' and cannot give a role that has it", request->actor.user_name, missing);
	return false;
}

/* The one that is there with this holder, role and object. NULL: none */
static struct permission *same_permission(struct model *model, const struct permission *permission)
{
	size_t member = permission->user.id ? offsetof(struct permission, user) : offsetof(struct permission, group);
	g_autoptr(GPtrArray) held = model_referring(model, &permission_kind, member, permission->user.id ? permission->user.id : permission->group.id);

	for (guint i = 0; i < held->len; i++) {
		const struct permission *other = held->pdata[i];

		if (!g_strcmp0(other->role.id, permission->role.id) && !g_strcmp0(other->object_kind, permission->object_kind) &&
		    !g_strcmp0(other->object_id, permission->object_id))
			return record_ref(other);
	}
	return NULL;
}

static bool check_new(struct model *model, void *data, GError **error)
{
	struct permission *same = same_permission(model, data);

	if (same)
		error_set(error, ERR_OPERATION_FAILED, "permission: it is there already (id '%s')", same->id);
	record_unref(same);
	return !same;
}

/* Giving what somebody has changes nothing: the answer is what is there, as oVirt does it, and the event is as well. */
static bool add_on(struct request *request, struct permission *permission, void *object, void **ret_record, GError **error)
{
	struct permission *same;
	struct change *change;
	bool ok;

	if (!check_covered(request, permission, object, error))
		return false;
	permission_set_object(permission, object);
	same = same_permission(request->engine->model, permission);
	change = change_new(request->engine->store);
	if (!same) {
		change_check(change, check_new, permission);
		change_add(change, permission);
	}
	permission_tell(request, change, true, permission, object);
	ok = change_commit(change, error);
	if (ok)
		*ret_record = record_ref(same ? same : permission);
	record_unref(same);
	return ok;
}

void permission_missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct kind *kind = kind_of(request->parent);
	const struct permission *permission = input;

	if (kind != &user_kind && kind != &group_kind && !permission->user.id && !permission->user.name && !permission->group.id && !permission->group.name)
		g_ptr_array_add(names, g_strdup("user.id|group.id"));
}

bool permission_add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct kind *kind = kind_of(request->parent);
	struct permission *permission = input;
	bool of_holder = kind == &user_kind || kind == &group_kind, ok;
	void *object = NULL;

	if (kind == &user_kind && !permission->user.id)
		set_ref(&permission->user, object_id(request->parent));
	else if (kind == &group_kind && !permission->group.id)
		set_ref(&permission->group, object_id(request->parent));
	if (permission->user.id && permission->group.id) {
		error_set(error, ERR_BAD_VALUE, "permission: either user or group can be given, not both");
		return false;
	}
	if (of_holder && !named_object(request, permission, &object, error))
		return false;
	for (size_t i = 0; i < permission_type.n_fields; i++)
		if (permission_type.fields[i].flags & WEAK)
			record_clear(permission, permission_type.fields[i].offset);
	ok = add_on(request, permission, of_holder ? object : request->parent, ret_record, error);
	record_unref(object);
	return ok;
}

bool permission_remove(struct request *request, const void *current, const void *options, GError **error)
{
	const struct permission *permission = current;
	const struct kind *kind = permission->object_kind ? kind_by_collection(permission->object_kind) : NULL;
	void *object = kind ? model_get(request->engine->model, kind, permission->object_id) : NULL;
	struct change *change = change_new(request->engine->store);
	bool ok;

	change_remove(change, current);
	permission_tell(request, change, false, permission, object);
	ok = change_commit(change, error);
	record_unref(object);
	return ok;
}

const struct resource resource_vm_permission = PERMISSION_RESOURCE(&resource_vm);
const struct resource resource_disk_permission = PERMISSION_RESOURCE(&resource_disk);
