/* SPDX-License-Identifier: Apache-2.0 */
/* External host providers (Foreman), and the errata that they tell of hosts. */
#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/api/res_provider.h"
#include "engine/foreman/foreman.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

static void find_missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct host_provider *provider = input;

	if (provider->requires_authentication && !provider->username)
		g_ptr_array_add(names, g_strdup("username"));
	if (provider->requires_authentication && !provider->password)
		g_ptr_array_add(names, g_strdup("password"));
}

/* Run by the writer: what an addition must have, a change must leave. */
static bool is_complete(struct model *model, void *data, GError **error)
{
	g_autoptr(GPtrArray) names = strings_new();

	find_missing(NULL, data, names);
	return provider_is_complete(names, "ExternalHostProvider", error);
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct host_provider *provider = input;
	struct change *change = change_new(request->engine->store);

	provider->id = g_uuid_string_random();
	change_add(change, provider);
	provider_tell(request, change, PROVIDER_ADDED, provider, NULL, "added");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(provider);
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct change *change = change_new(request->engine->store);

	change_check(change, is_complete, changed);
	change_replace(change, current, changed);
	provider_tell(request, change, PROVIDER_UPDATED, changed, NULL, "updated");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(changed);
	return true;
}

static bool remove_provider(struct request *request, const void *current, const void *options, GError **error)
{
	struct change *change = change_new(request->engine->store);

	change_remove(change, current);
	provider_tell(request, change, PROVIDER_REMOVED, current, NULL, "removed");
	return change_commit(change, error);
}

static bool test(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return foreman_check(request->engine, object_id(object), error);
}

static const struct action actions[] = {
	{ "testconnectivity", &plain_action_type, test, "edit_host_configuration", "Asks the server whether it is there, and lets the engine in" },
	{ 0 },
};

const struct resource resource_host_provider = {
	.kind = &host_provider_kind, .path = "externalhostproviders", .methods = RESOURCE_ALL, .links = no_links, .actions = actions,
	.permit_add = "create_host", .permit_update = "edit_host_configuration", .permit_remove = "delete_host",
	.doc = "Foreman servers, which know the updates that hosts lack", .missing = find_missing, .add = add, .update = update, .remove = remove_provider,
};

/* ---- errata of a host ---- */

static GPtrArray *erratum_list(struct request *request, GError **error)
{
	const struct host *host = request->parent;

	return host->provider.id ? foreman_errata(request->engine, host->provider.id, host->address, error) : list_new();
}

static void *erratum_get(struct request *request, const char *id, GError **error)
{
	const struct host *host = request->parent;

	if (host->provider.id)
		return foreman_erratum(request->engine, host->provider.id, host->address, id, error);
	error_set(error, ERR_NOT_FOUND, "erratum '%.128s': host '%s' has no external_host_provider", id, host->name);
	return NULL;
}

const struct resource resource_host_erratum = {
	.type = &erratum_type, .path = "katelloerrata", .parent = &resource_host, .methods = RESOURCE_READ, .links = no_links, .slow = true, .gated = true,
	.doc = "Updates that the host lacks, as its external host provider tells them now; none when it has no provider, or that does not know its address",
	.list = erratum_list, .get = erratum_get,
};
