/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permits: the one place where an operation is allowed or refused. The permit stands in the operation's row (resource.h, action.h), the decision is
 * access_permits()'s.
 *
 *	POST         on what the URL is below, or else on what the new object names (a VM's cluster, a disk's storage domains)
 *	PUT          on the object, and on where the change puts it
 *	DELETE       on the object, or on what the URL is below (a NIC's VM, a VM's tag)
 *	actions      on the object
 *	GET          nothing but that the user sees it
 *
 * What the user does not see is not there: 404 for the object, for what is below it, and for a reference to it. What he sees and may not change is 403
 * and an event. Who makes a VM, a template or a disk and could not touch it afterwards is given the role for that on it,
 * in the same change.
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/api-priv.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/store/store.h"

/* Rows without a permit are for who may do everything. */
static const char *permit_of(const char *permit)
{
	return permit ? permit : "configure_engine";
}

bool request_sees(const struct request *request, const void *object)
{
	return !request->access || access_sees(request->access, request->engine->model, object, request->filter);
}

bool request_permits(const struct request *request, const char *permit, const void *object)
{
	return !request->access || access_permits(request->access, request->engine->model, permit_of(permit), object);
}

static bool refuse(const struct call *call, const char *permit, const void *object, GError **error)
{
	const struct actor *actor = &call->request.actor;
	const char *noun = object ? ((const struct record *)object)->type->name : NULL;
	const char *name = object && object_name(object) ? object_name(object) : object ? object_id(object) : NULL;
	g_autofree char *where = name ? g_strdup_printf(" on %s '%s'", noun, name) : g_strdup("");

	error_set(error, ERR_FORBIDDEN, "'%s' has no permit '%s'%s", actor->user_name, permit_of(permit), where);
	if (call->api->engine->store)
		store_event_once(call->api->engine->store, EVENT_NOT_PERMITTED, actor, object ? (void *[]){ (void *)object, NULL } : NULL,
				 "User %s was refused: no permit '%s'%s.", actor->user_name, permit_of(permit), where);
	return false;
}

bool api_permitted(const struct call *call, const char *permit, const void *object, GError **error)
{
	const struct request *request = &call->request;

	if (request_permits(request, permit, object) || (request->parent && request->parent != object && request_permits(request, permit, request->parent)))
		return true;
	return refuse(call, permit, object ? object : request->parent, error);
}

bool api_permitted_somewhere(const struct call *call, const char *permit, GError **error)
{
	const struct request *request = &call->request;

	if (!request->access || access_permits_somewhere(request->access, permit_of(permit)))
		return true;
	return refuse(call, permit, request->parent, error);
}

bool api_permitted_there(const struct call *call, const char *permit, const void *current, const void *changed, GError **error)
{
	const struct record_type *type = ((const struct record *)changed)->type;

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];
		if (!(field->flags & WITHIN) || field->kind != FIELD_REF || record_member_equal(current, changed, field))
			continue;
		const struct ref *ref = (const void *)((const char *)changed + field->offset);
		void *target = ref->id ? model_get(call->api->engine->model, kind_by_collection(field->target), ref->id) : NULL;
		bool ok = !target || request_permits(&call->request, permit, target) || refuse(call, permit, target, error);
		record_unref(target);
		if (!ok)
			return false;
	}
	return true;
}

/* ---- what one has made ---- */

static const struct { const struct kind *kind; const char *role; } makers[] = {
	{ &vm_kind, ROLE_USER_VM_MANAGER }, { &template_kind, ROLE_TEMPLATE_OWNER }, { &disk_kind, ROLE_DISK_OPERATOR },
};

void request_add(struct request *request, struct change *change, void *object)
{
	const struct kind *kind = kind_of(object);
	const char *missing;

	change_add(change, object);
	for (size_t i = 0; request->access && i < G_N_ELEMENTS(makers); i++) {
		if (makers[i].kind != kind || access_covers_role(request->access, request->engine->model, makers[i].role, object, &missing))
			continue;
		struct permission *permission = record_new(&permission_type);
		set_ref(&permission->role, makers[i].role);
		set_ref(&permission->user, request->actor.user_id);
		permission_set_object(permission, object);
		change_add(change, permission);
		record_unref(permission);
	}
}
