/* SPDX-License-Identifier: Apache-2.0 */
/* OpenStack image services. Each has a storage domain of its name, which is made, renamed and removed in the same change. */
#include "engine/api/res_image.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_data.h"
#include "engine/api/res_provider.h"
#include "engine/flow/image_flow.h"
#include "engine/glance/glance.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"

static void find_missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct image_provider *provider = input;
	const struct { const char *name, *value; } wanted[] = {
		{ "authenticationUrl", provider->authentication_url }, { "username", provider->username }, { "password", provider->password },
		{ "tenantName", provider->tenant_name },
	};

	for (size_t i = 0; provider->requires_authentication && i < G_N_ELEMENTS(wanted); i++)
		if (!wanted[i].value)
			g_ptr_array_add(names, g_strdup(wanted[i].name));
}

/* Run by the writer: what an addition must have, a change must leave. */
static bool is_complete(struct model *model, void *data, GError **error)
{
	g_autoptr(GPtrArray) names = strings_new();

	find_missing(NULL, data, names);
	return provider_is_complete(names, "OpenstackImageProvider", error);
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct image_provider *provider = input;
	struct storage_domain *domain = record_new(&storage_domain_type);
	struct change *change = change_new(request->engine->store);
	bool ok;

	provider->id = g_uuid_string_random();
	domain->id = g_uuid_string_random();
	set_string(&domain->name, provider->name);
	set_string(&domain->description, provider->description);
	set_ref(&domain->provider, provider->id);
	SET(domain, type, DOMAIN_IMAGE);
	SET(domain, storage_type, STORAGE_GLANCE);
	SET(domain, state, DOMAIN_UNATTACHED);
	SET(domain, master, false);
	record_defaults(domain, 0);
	change_add(change, provider);
	change_add(change, domain);
	provider_tell(request, change, PROVIDER_ADDED, provider, domain, "added");
	ok = change_commit(change, error);
	if (ok)
		*ret_record = record_ref(provider);
	record_unref(domain);
	return ok;
}

/* The domain that stands for it; new reference. */
static struct storage_domain *domain_of(struct model *model, const struct image_provider *provider)
{
	g_autoptr(GPtrArray) domains = model_referring(model, &storage_domain_kind, offsetof(struct storage_domain, provider), provider->id);

	return domains->len ? record_ref(domains->pdata[0]) : NULL;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct image_provider *provider = changed;
	struct storage_domain *domain = domain_of(request->engine->model, provider), *copy = domain ? record_copy(domain) : NULL;
	struct change *change = change_new(request->engine->store);
	bool ok;

	change_check(change, is_complete, provider);
	change_check(change, image_provider_is_idle, provider);
	change_replace(change, current, provider);
	if (copy) {
		set_string(&copy->name, provider->name);
		set_string(&copy->description, provider->description);
		change_replace(change, domain, copy);
	}
	provider_tell(request, change, PROVIDER_UPDATED, provider, copy, "updated");
	ok = change_commit(change, error);
	if (ok)
		*ret_record = record_ref(provider);
	record_unref(copy);
	record_unref(domain);
	return ok;
}

static bool remove_provider(struct request *request, const void *current, const void *options, GError **error)
{
	struct change *change = change_new(request->engine->store);

	change_check(change, image_provider_is_idle, (void *)current);
	change_remove(change, current);
	provider_tell(request, change, PROVIDER_REMOVED, current, NULL, "removed");
	return change_commit(change, error);
}

static bool test(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	autoglance glance = glance_open(request->engine, object_id(object), /* flow= */ false, error);

	return glance && glance_check(glance, error);
}

static const struct action actions[] = {
	{ "testconnectivity", &plain_action_type, test, "edit_storage_domain_configuration", "Asks the image service whether it is there, and lets the engine in" },
	{ 0 },
};

const struct resource resource_image_provider = {
	.kind = &image_provider_kind, .path = "openstackimageproviders", .methods = RESOURCE_ALL, .links = no_links, .actions = actions,
	.permit_add = "create_storage_domain", .permit_update = "edit_storage_domain_configuration", .permit_remove = "delete_storage_domain",
	.doc = "OpenStack image services; each has a storage domain of type image", .missing = find_missing, .add = add, .update = update,
	.remove = remove_provider,
};
