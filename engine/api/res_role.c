/* SPDX-License-Identifier: Apache-2.0 */
/* Roles and their permits (REST chapter 21). Those that are built in stay as they are. Nobody puts a permit into a role that he has not himself. */
#include <stdlib.h>
#include <string.h>
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/auth/access.h"
#include "engine/model/kinds.h"
#include "engine/model/role.h"
#include "engine/store/store.h"

#define EVENT_ROLE_ADDED 854
#define EVENT_ROLE_UPDATED 856
#define EVENT_ROLE_REMOVED 858
#define EVENT_PERMIT_ADDED 860
#define EVENT_PERMIT_REMOVED 862

static bool check_mutable(const struct role *role, const char *what, GError **error)
{
	if (role->mutable)
		return true;
	error_set(error, ERR_OPERATION_FAILED, "role '%s' is built in and cannot be %s", role->name, what);
	return false;
}

/* What <permit id= /> or <permit><name> means: its number; 0 + error when it means nothing or may not be given. */
static int wanted_permit(const struct request *request, const struct permit *permit, bool administrative, GError **error)
{
	char *end = NULL;
	long number = permit->id ? strtol(permit->id, &end, 10) : permit->name ? permit_number(permit->name) : 0;
	int known = 0;

	if (!permit->id && !permit->name) {
		error_set(error, ERR_INCOMPLETE, "Permit [id|name] required for add");
		return 0;
	}
	while (permits[known].name)
		known++;
	if (number < 1 || number > known || (end && *end)) {
		error_set(error, ERR_NOT_FOUND, "permit '%s'", permit->id ? permit->id : permit->name);
		return 0;
	}
	if (permits[number - 1].administrative && !administrative) {
		error_set(error, ERR_OPERATION_FAILED, "permit '%s' is for administrators only, the role is not", permits[number - 1].name);
		return 0;
	}
	if (!request_permits(request, permits[number - 1].name, NULL)) {
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit '%s' and cannot give it", request->actor.user_name, permits[number - 1].name);
		return 0;
	}
	return (int)number;
}

static struct permit *permit_new(const struct role *role, int number)
{
	struct permit *permit = record_new(&permit_type);

	permit->id = g_strdup_printf("%d", number);
	set_string(&permit->name, permits[number - 1].name);
	SET(permit, administrative, permits[number - 1].administrative);
	set_ref(&permit->role, role->id);
	return permit;
}

/* ---- roles ---- */

static bool role_add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct role *role = input;
	g_autoptr(GPtrArray) wanted = g_steal_pointer(&role->permits);
	struct change *change;

	role->permits = list_new();
	for (unsigned i = 0; i < wanted->len; i++) {
		int number = wanted_permit(request, wanted->pdata[i], role->administrative, error);

		if (!number)
			return false;
		if (!role_has(role, number))
			g_ptr_array_add(role->permits, permit_new(role, number));
	}
	if (!role->permits->len) {
		error_set(error, ERR_INCOMPLETE, "Role [permits.permit] required for add");
		return false;
	}
	SET(role, mutable, true);
	change = change_new(request->engine->store);
	change_add(change, role);
	change_event(change, EVENT_ROLE_ADDED, &request->actor, NULL, "Role %s was added by %s.", role->name, request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(role);
	return true;
}

static bool role_update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct role *role = changed;
	struct change *change;

	if (!check_mutable(current, "changed", error))
		return false;
	for (unsigned i = 0; !role->administrative && role->permits && i < role->permits->len; i++) {
		const struct permit *permit = role->permits->pdata[i];

		if (permit->administrative) {
			error_set(error, ERR_OPERATION_FAILED, "role '%s' has the permit '%s', which is for administrators only", role->name, permit->name);
			return false;
		}
	}
	change = change_new(request->engine->store);
	change_replace(change, current, changed);
	change_event(change, EVENT_ROLE_UPDATED, &request->actor, NULL, "Role %s was updated by %s.", role->name, request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(changed);
	return true;
}

static bool role_remove(struct request *request, const void *current, const void *options, GError **error)
{
	const struct role *role = current;
	struct change *change;

	if (!check_mutable(role, "removed", error))
		return false;
	change = change_new(request->engine->store);
	change_remove(change, role);
	change_event(change, EVENT_ROLE_REMOVED, &request->actor, NULL, "Role %s was removed by %s.", role->name, request->actor.user_name);
	return change_commit(change, error);
}

static const char *const role_links[] = { "permits", NULL };
const struct resource resource_role = {
	.kind = &role_kind, .path = "roles", .methods = RESOURCE_ALL, .links = role_links, .permit_add = "manipulate_roles",
	.permit_update = "manipulate_roles", .permit_remove = "manipulate_roles", .doc = "Named sets of permits", .add = role_add, .update = role_update,
	.remove = role_remove,
};

/* ---- permits ---- */

static GPtrArray *role_permits(struct request *request, GError **error)
{
	const struct role *role = request->parent;
	GPtrArray *list = list_new();

	for (int number = 1; permits[number - 1].name; number++)
		if (role_has(role, number))
			g_ptr_array_add(list, permit_new(role, number));
	return list;
}

struct permit_change { struct request *request; int number; bool add; };

static bool edit_permits(void *copy, struct change *change, void *data, GError **error)
{
	struct role *role = copy;
	const struct permit_change *edit = data;
	const char *name = permits[edit->number - 1].name;

	if (role_has(role, edit->number) == edit->add)
		return false;
	if (edit->add) {
		g_ptr_array_add(role->permits, permit_new(role, edit->number));
	} else {
		if (role->permits->len == 1) {
			error_set(error, ERR_OPERATION_FAILED, "'%s' is the last permit of role '%s'", name, role->name);
			return false;
		}
		for (unsigned i = 0; i < role->permits->len; i++)
			if (permit_number(((const struct permit *)role->permits->pdata[i])->name) == edit->number)
				g_ptr_array_remove_index(role->permits, i--);
	}
	change_event(change, edit->add ? EVENT_PERMIT_ADDED : EVENT_PERMIT_REMOVED, &edit->request->actor, NULL, "Permit %s was %s Role %s by %s.", name,
		     edit->add ? "attached to" : "detached from", role->name, edit->request->actor.user_name);
	return true;
}

static bool permit_add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct role *role = request->parent;
	int number = check_mutable(role, "changed", error) ? wanted_permit(request, input, role->administrative, error) : 0;
	struct permit_change edit = { request, number, true };

	if (!number || !store_modify(request->engine->store, &role_kind, role->id, edit_permits, &edit, NULL, error))
		return false;
	*ret_record = permit_new(role, number);
	return true;
}

static bool permit_remove(struct request *request, const void *current, const void *options, GError **error)
{
	const struct role *role = request->parent;
	struct permit_change edit = { request, atoi(object_id(current)), false };

	return check_mutable(role, "changed", error) && store_modify(request->engine->store, &role_kind, role->id, edit_permits, &edit, NULL, error);
}

const struct resource resource_role_permit = {
	.type = &permit_type, .path = "permits", .parent = &resource_role, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links,
	.permit_add = "manipulate_roles", .permit_remove = "manipulate_roles", .doc = "What the role allows", .wrapped = true, .list = role_permits,
	.add = permit_add, .remove = permit_remove,
};
