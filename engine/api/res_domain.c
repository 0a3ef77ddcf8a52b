/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory domains (REST chapter 19): who could be imported as user or group. Read-only. A directory may be a server elsewhere, so nothing below a domain
 * is answered by the loop (slow).
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/auth/auth.h"
#include "engine/model/kinds.h"
#include "engine/model/user.h"

static GPtrArray *domains(struct request *request, GError **error)
{
	GPtrArray *list = list_new();

	for (struct directory *const *directory = auth_directories(request->engine->auth); *directory; directory++) {
		struct directory_domain *domain = record_new(&directory_domain_type);

		set_string(&domain->id, (*directory)->id);
		set_string(&domain->name, (*directory)->name);
		g_ptr_array_add(list, domain);
	}
	return list;
}

static struct directory *directory_of(const struct request *request)
{
	return auth_directory(request->engine->auth, object_id(request->parent));
}

static GPtrArray *domain_users(struct request *request, GError **error)
{
	struct directory *directory = directory_of(request);

	return directory->ops->users(directory, error);
}

static void *domain_user(struct request *request, const char *id, GError **error)
{
	struct directory *directory = directory_of(request);

	return directory->ops->user(directory, id, NULL, error);
}

static GPtrArray *domain_groups(struct request *request, GError **error)
{
	struct directory *directory = directory_of(request);

	return directory->ops->groups(directory, error);
}

static void *domain_group(struct request *request, const char *id, GError **error)
{
	struct directory *directory = directory_of(request);

	return directory->ops->group(directory, id, NULL, error);
}

/* The searches, too, are told by links: "users/search" leads to ".../users?search={query}". */
static char *domain_link(struct request *request, const void *record, const char *rel)
{
	const char *slash = strchr(rel, '/');

	if (!slash)
		return g_strdup("");
	return g_strdup_printf("%s/domains/%s/%.*s?search={query}", request->base, object_id(record), (int)(slash - rel), rel);
}

static const char *const domain_links[] = { "users", "groups", "users/search", "groups/search", NULL };
const struct resource resource_domain = {
	.kind = &directory_domain_kind, .path = "domains", .methods = RESOURCE_READ, .links = domain_links, .doc = "Directories of users", .list = domains,
	.link = domain_link,
};
const struct resource resource_domain_user = {
	.kind = &directory_user_kind, .path = "users", .parent = &resource_domain, .methods = RESOURCE_READ, .links = no_links, .slow = true,
	.doc = "Users of the directory", .list = domain_users, .get = domain_user,
};
const struct resource resource_domain_group = {
	.kind = &directory_group_kind, .path = "groups", .parent = &resource_domain, .methods = RESOURCE_READ, .links = no_links, .slow = true,
	.doc = "Groups of the directory", .list = domain_groups, .get = domain_group,
};
