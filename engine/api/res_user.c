/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users (REST chapter 22), groups (20), and the roles that they have on everything.
 *
 * Both are imported: they exist in a directory, are found there by name or id, and keep its id. A user is added with at least one role; roles on single
 * objects are permissions of these. What the directory says of a user is taken over again at each login.
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/auth/auth.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/user.h"
#include "engine/store/store.h"

#define EVENT_USER_ADDED 149
#define EVENT_USER_REMOVED 325
#define EVENT_USER_REMOVE_FAILED 326
#define EVENT_USER_ADD_FAILED 327

/* ---- finding ---- */

/* The directories that a domain (name or id), or else a user name's part after '@', means; all when neither is given. */
static bool is_meant(const struct directory *directory, const char *domain, const char *user_name)
{
	const char *at = user_name ? strrchr(user_name, '@') : NULL;

	if (domain)
		return !g_ascii_strcasecmp(domain, directory->name) || !strcmp(domain, directory->id);
	return !at || !g_ascii_strcasecmp(at + 1, directory->name);
}

/* Of what several directories say, that one could not be asked counts more than that another does not know him. Takes said. */
static void keep_worse(GError **error, GError *said)
{
	if (*error && (!error_is(*error, ERR_NOT_FOUND) || error_is(said, ERR_NOT_FOUND))) {
		g_error_free(said);
		return;
	}
	g_clear_error(error);
	*error = said;
}

static struct user *find_user(struct request *request, const struct user *wanted, GError **error)
{
	for (struct directory *const *directory = auth_directories(request->engine->auth); *directory; directory++) {
		GError *said = NULL;
		struct directory_user *person;
		struct user *user;

		if (!is_meant(*directory, wanted->domain, wanted->id ? NULL : wanted->user_name))
			continue;
		person = (*directory)->ops->user(*directory, wanted->id, wanted->id ? NULL : wanted->user_name, &said);
		if (!person) {
			keep_worse(error, said);
			continue;
		}
		g_clear_error(error);
		user = auth_import(person, *directory);
		record_unref(person);
		return user;
	}
	if (!*error)
		error_set(error, ERR_NOT_FOUND, "user '%s': there is no such domain", wanted->user_name ? wanted->user_name : wanted->id);
	return NULL;
}

static struct directory_group *find_group(struct request *request, const struct group *wanted, GError **error)
{
	for (struct directory *const *directory = auth_directories(request->engine->auth); *directory; directory++) {
		GError *said = NULL;
		struct directory_group *group;

		if (!is_meant(*directory, wanted->domain_name, NULL))
			continue;
		group = (*directory)->ops->group(*directory, wanted->id, wanted->id ? NULL : wanted->name, &said);
		if (group) {
			g_clear_error(error);
			return group;
		}
		keep_worse(error, said);
	}
	if (!*error)
		error_set(error, ERR_NOT_FOUND, "group '%s': there is no domain '%s'", wanted->name ? wanted->name : wanted->id, wanted->domain_name);
	return NULL;
}

/* ---- roles on everything ---- */

static bool check_giving(struct request *request, const char *role_id, GError **error)
{
	const char *missing;

	if (!request->access || access_covers_role(request->access, request->engine->model, role_id, NULL, &missing))
		return true;
	error_set(error, ERR_FORBIDDEN, "'%s' has no permit '%s' and cannot give a role that has it", request->actor.user_name, missing);
	return false;
}

/* told: with an event of its own */
static void give_role(struct request *request, struct change *change, const char *role_id, const void *holder, bool told)
{
	struct permission *permission = record_new(&permission_type);

	set_ref(&permission->role, role_id);
	set_ref(kind_of(holder) == &group_kind ? &permission->group : &permission->user, object_id(holder));
	change_add(change, permission);
	if (told)
		permission_tell(request, change, true, permission, NULL);
	record_unref(permission);
}

static bool is_on_everything(const struct permission *permission, const char *role_id)
{
	return !permission->object_id && (!role_id || !strcmp(permission->role.id, role_id));
}

static GPtrArray *permissions_of(struct model *model, const void *holder)
{
	size_t member = kind_of(holder) == &group_kind ? offsetof(struct permission, group) : offsetof(struct permission, user);

	return model_referring(model, &permission_kind, member, object_id(holder));
}

static GPtrArray *holder_roles(struct request *request, GError **error)
{
	struct model *model = request->engine->model;
	g_autoptr(GPtrArray) permissions = permissions_of(model, request->parent);
	GPtrArray *roles = list_new();

	for (unsigned i = 0; i < permissions->len; i++) {
		const struct permission *permission = permissions->pdata[i];
		struct role *role = is_on_everything(permission, NULL) ? model_get(model, &role_kind, permission->role.id) : NULL;

		if (role && !g_ptr_array_find(roles, role, NULL))
			g_ptr_array_add(roles, role);
		else
			record_unref(role);
	}
	return roles;
}

static struct role *wanted_role(struct request *request, const struct role *input, GError **error)
{
	struct model *model = request->engine->model;
	struct role *role = input->id ? model_get(model, &role_kind, input->id) : model_find(model, &role_kind, NULL, input->name);

	if (!input->id && !input->name)
		error_set(error, ERR_INCOMPLETE, "Role [id|name] required for add");
	else if (!role)
		error_set(error, ERR_NOT_FOUND, "role '%s'", input->id ? input->id : input->name);
	return role;
}

static bool role_add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct role *role = wanted_role(request, input, error);
	g_autoptr(GPtrArray) there = NULL;
	struct change *change;

	if (!role)
		return false;
	there = holder_roles(request, NULL);
	change = change_new(request->engine->store);
	if (!g_ptr_array_find(there, role, NULL))
		give_role(request, change, role->id, request->parent, true);
	if (!check_giving(request, role->id, error)) {
		change_free(change);
		record_unref(role);
		return false;
	}
	if (!change_commit(change, error)) {
		record_unref(role);
		return false;
	}
	*ret_record = role;
	return true;
}

static bool role_remove(struct request *request, const void *current, const void *options, GError **error)
{
	g_autoptr(GPtrArray) permissions = permissions_of(request->engine->model, request->parent);
	struct change *change = change_new(request->engine->store);

	for (unsigned i = 0; i < permissions->len; i++)
		if (is_on_everything(permissions->pdata[i], object_id(current))) {
			change_remove(change, permissions->pdata[i]);
			permission_tell(request, change, false, permissions->pdata[i], NULL);
		}
	return change_commit(change, error);
}

/* ---- users ---- */

static void *user_view(struct request *request, void *record)
{
	struct user *shown = record_copy(record);

	SET(shown, logged_in, session_of(request->engine->auth, shown->id));
	return shown;
}

static bool import_user(struct request *request, const struct user *wanted, void **ret_record, GError **error)
{
	struct user *user = find_user(request, wanted, error);
	struct change *change;

	if (!user)
		return false;
	change = change_new(request->engine->store);
	change_add(change, user);
	for (unsigned i = 0; i < wanted->roles->len; i++)
		give_role(request, change, ((const struct object_ref *)wanted->roles->pdata[i])->id, user, false);
	change_event(change, EVENT_USER_ADDED, &request->actor, (void *[]){ user, NULL }, "User '%s' was added successfully to the system.", user->user_name);
	if (!change_commit(change, error)) {
		record_unref(user);
		return false;
	}
	*ret_record = user;
	return true;
}

static void user_missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct user *wanted = input;

	if (!wanted->id && !wanted->user_name)
		g_ptr_array_add(names, g_strdup("id|user_name"));
	if (!wanted->roles || wanted->roles->len == 0)
		g_ptr_array_add(names, g_strdup("roles.role"));
}

static bool user_add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct user *wanted = input;
	GError *problem = NULL;

	for (unsigned i = 0; i < wanted->roles->len; i++) {
		const struct object_ref *role = wanted->roles->pdata[i];

		if (!role->id) {
			error_set(error, ERR_INCOMPLETE, "User [roles.role.id|name] required for add");
			return false;
		}
		if (!check_giving(request, role->id, error))
			return false;
	}
	if (import_user(request, wanted, ret_record, &problem))
		return true;
	store_event(request->engine->store, EVENT_USER_ADD_FAILED, &request->actor, NULL, "Failed to add User '%s' to the system.",
		    wanted->user_name ? wanted->user_name : wanted->id);
	g_propagate_error(error, problem);
	return false;
}

/* Their permissions go along; whoever is logged in is out with the next request. */
static bool holder_remove(struct request *request, const void *current, const void *options, GError **error)
{
	const char *id = object_id(current);
	const char *name = kind_of(current) == &user_kind ? ((const struct user *)current)->user_name : object_name(current);
	struct change *change;

	if (!strcmp(id, ADMIN_USER_ID) || !strcmp(id, EVERYONE_GROUP_ID)) {
		error_set(error, ERR_OPERATION_FAILED, "'%s' is built in and cannot be removed", name);
		store_event(request->engine->store, EVENT_USER_REMOVE_FAILED, &request->actor, NULL, "Failed to remove User %s (User: %s).", name,
			    request->actor.user_name);
		return false;
	}
	change = change_new(request->engine->store);
	change_remove(change, current);
	change_event(change, EVENT_USER_REMOVED, &request->actor, NULL, "User %s was removed by %s.", name, request->actor.user_name);
	return change_commit(change, error);
}

/* ---- groups ---- */

static char *hex_of(const char *id)
{
	GString *hex = g_string_new(NULL);

	for (; *id; id++)
		g_string_append_printf(hex, "%02X", (guchar)*id);
	return g_string_free(hex, FALSE);
}

static bool group_add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct group *wanted = input;
	struct directory_group *found;
	struct group *group;
	struct change *change;

	if (!wanted->id && !wanted->name) {
		error_set(error, ERR_INCOMPLETE, "Group [id|name] required for add");
		return false;
	}
	found = find_group(request, wanted, error);
	if (!found)
		return false;
	group = record_new(&group_type);
	set_string(&group->id, found->id);
	set_string(&group->name, found->name);
	group->domain_entry_id = hex_of(found->id);
	set_string(&group->namespace_, "*");
	record_unref(found);
	change = change_new(request->engine->store);
	change_add(change, group);
	change_event(change, EVENT_USER_ADDED, &request->actor, NULL, "User '%s' was added successfully to the system.", group->name);
	if (!change_commit(change, error)) {
		record_unref(group);
		return false;
	}
	*ret_record = group;
	return true;
}

/* ---- rows ---- */

static const char *const user_links[] = { "roles", "tags", "permissions", NULL };
static const char *const group_links[] = { "tags", "permissions", "roles", NULL };
static const char *const role_links[] = { "permits", NULL };
static const struct action no_actions[] = { { 0 } };

const struct resource resource_user = {
	.kind = &user_kind, .path = "users", .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = user_links, .actions = no_actions,
	.permit_add = "manipulate_users", .permit_remove = "manipulate_users", .doc = "Users that may log in", .missing = user_missing, .view = user_view,
	.add = user_add, .remove = holder_remove,
};
const struct resource resource_user_permission = PERMISSION_RESOURCE(&resource_user);
const struct resource resource_group = {
	.kind = &group_kind, .path = "groups", .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = group_links,
	.permit_add = "manipulate_users", .permit_remove = "manipulate_users", .doc = "Groups of the directory", .add = group_add, .remove = holder_remove,
};
const struct resource resource_group_permission = PERMISSION_RESOURCE(&resource_group);

/* What a role allows is told where it stands by itself. */
static char *role_link(struct request *request, const void *seen, const char *name)
{
	return g_strdup_printf("%s/roles/%s/%s", request->base, object_id(seen), name);
}

#define ROLES_RESOURCE(of, text) { \
	.type = &assigned_role_type, .path = "roles", .parent = (of), .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = role_links, \
	.permit_add = "manipulate_users", .permit_remove = "manipulate_users", .doc = (text), .list = holder_roles, .link = role_link, \
	.add = role_add, .remove = role_remove }
const struct resource resource_user_role = ROLES_RESOURCE(&resource_user, "Roles that the user has on everything");
const struct resource resource_group_role = ROLES_RESOURCE(&resource_group, "Roles that the group has on everything");
