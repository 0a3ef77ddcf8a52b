/* SPDX-License-Identifier: Apache-2.0 */
/* Users (REST chapter 22), groups (20), directory domains (19), roles and their permits (21): what the engine itself knows of them, to be read. */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/user.h"

/* ---- users and groups ---- */

/* The roles that a user or group has anywhere, each once. */
static GPtrArray *holder_roles(struct request *request, GError **error)
{
	struct model *model = request->engine->model;
	size_t member = kind_of(request->parent) == &group_kind ? offsetof(struct permission, group) : offsetof(struct permission, user);
	g_autoptr(GPtrArray) permissions = model_referring(model, &permission_kind, member, object_id(request->parent));
	GPtrArray *roles = g_ptr_array_new_with_free_func(record_unref);

	for (unsigned i = 0; i < permissions->len; i++) {
		const struct permission *permission = permissions->pdata[i];
		struct role *role = model_get(model, &role_kind, permission->role.id);

		if (role && !g_ptr_array_find(roles, role, NULL))
			g_ptr_array_add(roles, role);
		else
			record_unref(role);
	}
	return roles;
}

static const char *const user_links[] = { "roles", "tags", NULL };
static const char *const group_links[] = { "tags", "permissions", "roles", NULL };
static const char *const role_links[] = { "permits", NULL };

const struct resource resource_user = {
	.kind = &user_kind, .path = "users", .methods = RESOURCE_READ, .links = user_links, .doc = "Users that may log in",
};
const struct resource resource_user_permission = PERMISSION_RESOURCE(&resource_user);
const struct resource resource_user_role = {
	.type = &role_type, .path = "roles", .parent = &resource_user, .methods = RESOURCE_READ, .links = role_links, .doc = "Roles of the user",
	.list = holder_roles,
};
const struct resource resource_group = {
	.kind = &group_kind, .path = "groups", .methods = RESOURCE_READ, .links = group_links, .doc = "Groups of the directory",
};
const struct resource resource_group_permission = PERMISSION_RESOURCE(&resource_group);
const struct resource resource_group_role = {
	.type = &role_type, .path = "roles", .parent = &resource_group, .methods = RESOURCE_READ, .links = role_links, .doc = "Roles of the group",
	.list = holder_roles,
};

/* ---- directory domains ---- */

static GPtrArray *domains(struct request *request, GError **error)
{
	GPtrArray *list = NULL;
	struct directory_domain *domain = list_add(&list, &directory_domain_type);

	set_string(&domain->id, INTERNAL_DOMAIN_ID);
	set_string(&domain->name, "internal");
	return list;
}

static GPtrArray *domain_users(struct request *request, GError **error)
{
	const struct directory_domain *domain = request->parent;
	GPtrArray *users = model_list(request->engine->model, &user_kind);

	for (unsigned i = users->len; i > 0; i--)
		if (g_strcmp0(((struct user *)users->pdata[i - 1])->domain, domain->name))
			g_ptr_array_remove_index(users, i - 1);
	return users;
}

static const char *const domain_links[] = { "users", "groups", NULL };
const struct resource resource_domain = {
	.type = &directory_domain_type, .path = "domains", .methods = RESOURCE_READ, .links = domain_links, .doc = "Directories of users", .list = domains,
};
const struct resource resource_domain_user = {
	.type = &user_type, .path = "users", .parent = &resource_domain, .methods = RESOURCE_READ, .links = no_links, .doc = "Users of the directory",
	.list = domain_users,
};
const struct resource resource_domain_group = EMPTY_RESOURCE(&resource_domain, "groups", &group_type, "Groups of the directory");

/* ---- roles ---- */

const struct resource resource_role = {
	.kind = &role_kind, .path = "roles", .methods = RESOURCE_READ, .links = role_links, .doc = "Named sets of permits",
};

static struct permit *permit_new(const struct role *role, int number)
{
	struct permit *permit = record_new(&permit_type);

	permit->id = g_strdup_printf("%d", number);
	set_string(&permit->name, permits[number - 1].name);
	SET(permit, administrative, permits[number - 1].administrative);
	set_ref(&permit->role, role->id);
	return permit;
}

static GPtrArray *role_permits(struct request *request, GError **error)
{
	const struct role *role = request->parent;
	GPtrArray *list = g_ptr_array_new_with_free_func(record_unref);

	for (int number = 1; !role->permits && permits[number - 1].name; number++)
		g_ptr_array_add(list, permit_new(role, number));
	for (unsigned i = 0; role->permits && i < role->permits->len; i++) {
		int number = permit_number(((struct permit *)role->permits->pdata[i])->name);

		if (number)
			g_ptr_array_add(list, permit_new(role, number));
	}
	return list;
}

const struct resource resource_role_permit = {
	.type = &permit_type, .path = "permits", .parent = &resource_role, .methods = RESOURCE_READ, .links = no_links, .doc = "What the role allows",
	.list = role_permits,
};
