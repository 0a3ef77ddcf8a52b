/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data centers (REST chapter 9), their clusters and networks; storage domains of a data center are in res_storage_domain.c.
 *
 * A new data center gets the management network; that network goes with it. Everything else must be gone before it can be removed, unless it is
 * forced: then its data domains, and what lives on them, are forgotten; ISO and export domains are detached; clusters stay without a data center.
 */
#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_cluster.h"
#include "engine/api/res_data.h"
#include "engine/api/res_network.h"
#include "engine/flow/domain_content.h"
#include "engine/flow/storage_pool.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/storage_domain.h"
#include "engine/store/store.h"

#define EVENT_ADDED 950
#define EVENT_UPDATED 952
#define EVENT_REMOVED 954

static GPtrArray *clusters_of(struct model *model, const char *id)
{
	return model_referring(model, &cluster_kind, offsetof(struct cluster, data_center), id);
}

/* The lowest level of its clusters: it can be raised so far. */
static struct level lowest_cluster(struct model *model, const char *id)
{
	g_autoptr(GPtrArray) clusters = clusters_of(model, id);
	struct level lowest = { LEVEL_MAJOR, LEVEL_MINOR };

	for (unsigned i = 0; i < clusters->len; i++) {
		const struct cluster *cluster = clusters->pdata[i];

		if (cluster->major < lowest.major || (cluster->major == lowest.major && cluster->minor < lowest.minor))
			lowest = (struct level) { cluster->major, cluster->minor };
	}
	return lowest;
}

static void *view(struct request *request, void *record)
{
	struct datacenter *shown = record_copy(record);
	struct level limit = lowest_cluster(request->engine->model, shown->id);

	SET(shown, state, (int)datacenter_status(request->engine->model, shown->id));
	level_list(&shown->supported_versions, (struct level) { shown->major, shown->minor }, &limit);
	return shown;
}

bool level_check(int major, int minor, GError **error)
{
	if (level_known(major, minor))
		return true;
	error_set(error, ERR_BAD_VALUE, "version: %d.%d is not a compatibility level", major, minor);
	return false;
}

bool level_check_change(const char *what, struct level from, struct level to, struct level limit, GError **error)
{
	if (from.major == to.major && from.minor == to.minor)
		return true;
	if (!level_check(to.major, to.minor, error))
		return false;
	if (to.major < from.major || (to.major == from.major && to.minor < from.minor)) {
		error_set(error, ERR_OPERATION_FAILED, "%s has level %d.%d: it cannot be lowered to %d.%d", what, from.major, from.minor, to.major, to.minor);
		return false;
	}
	if (to.major > limit.major || (to.major == limit.major && to.minor > limit.minor)) {
		error_set(error, ERR_OPERATION_FAILED, "%s cannot be raised to level %d.%d: only up to %d.%d", what, to.major, to.minor, limit.major,
			  limit.minor);
		return false;
	}
	return true;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct datacenter *dc = input;
	struct change *change;

	if (!level_check(dc->major, dc->minor, error))
		return false;
	SET(dc, state, DATACENTER_UNINITIALIZED);
	change = change_new(request->engine->store);
	change_add(change, dc);
	network_add_management(change, dc->id);
	change_event(change, EVENT_ADDED, &request->actor, (void *[]) { dc, NULL }, "Data Center %s was added by %s", dc->name, request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(dc);
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct datacenter *before = current;
	struct datacenter *dc = changed;
	g_autofree char *what = g_strdup_printf("data center '%s'", before->name);
	struct change *change;

	if (!level_check_change(what, (struct level) { before->major, before->minor }, (struct level) { dc->major, dc->minor },
				lowest_cluster(request->engine->model, dc->id), error))
		return false;
	change = change_new(request->engine->store);
	change_replace(change, current, dc);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]) { dc, NULL }, "Data Center %s was updated by %s", dc->name, request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(dc);
	return true;
}

/* ---- removal ---- */

static void remove_networks(struct model *model, struct change *change, const char *id, bool all)
{
	g_autoptr(GPtrArray) networks = model_referring(model, &network_kind, offsetof(struct network, data_center), id);

	for (unsigned i = 0; i < networks->len; i++) {
		const struct network *network = networks->pdata[i];

		if (all || network->management)
			network_remove(model, change, network);
	}
}

/* Puts a copy of the object without the reference. */
static void let_go(struct change *change, const void *object, size_t member)
{
	void *copy = record_copy(object);

	record_clear(copy, member);
	change_replace(change, object, copy);
	record_unref(copy);
}

static bool forget_storage(struct request *request, struct change *change, GHashTable *gone, const char *id, GError **error)
{
	struct model *model = request->engine->model;
	g_autoptr(GPtrArray) domains = model_referring(model, &storage_domain_kind, offsetof(struct storage_domain, data_center), id), data = g_ptr_array_new();

	for (unsigned i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (domain->type == DOMAIN_DATA) {
			change_remove(change, domain);
			g_ptr_array_add(data, domain->id);
		} else {
			struct storage_domain *copy = record_copy(domain);

			CLEAR(copy, data_center);
			SET(copy, state, DOMAIN_UNATTACHED);
			SET(copy, master, false);
			change_replace(change, domain, copy);
			record_unref(copy);
		}
	}
	return domain_content_forget(model, change, data, &request->actor, gone, error);
}

/* NICs of VMs that stay lose the networks that go. */
static void disconnect_nics(struct model *model, struct change *change, GHashTable *gone, const char *id)
{
	g_autoptr(GPtrArray) nics = model_list(model, &nic_kind);

	for (unsigned i = 0; i < nics->len; i++) {
		const struct nic *nic = nics->pdata[i];
		struct network *network = nic->network.id && !g_hash_table_contains(gone, nic->vm.id) ? model_get(model, &network_kind, nic->network.id) : NULL;

		if (network && !g_strcmp0(network->data_center.id, id)) {
			struct nic *copy = record_copy(nic);

			CLEAR(copy, network);
			CLEAR(copy, vnic_profile);
			change_replace(change, nic, copy);
			record_unref(copy);
		}
		record_unref(network);
	}
}

static bool force(struct request *request, struct change *change, const struct datacenter *dc, GError **error)
{
	struct model *model = request->engine->model;
	g_autoptr(GHashTable) gone = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) clusters = clusters_of(model, dc->id);

	if (!forget_storage(request, change, gone, dc->id, error))
		return false;
	disconnect_nics(model, change, gone, dc->id);
	for (unsigned i = 0; i < clusters->len; i++)
		let_go(change, clusters->pdata[i], offsetof(struct cluster, data_center));
	return true;
}

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	struct model *model = request->engine->model;
	const struct plain_action *action = options;
	const struct datacenter *dc = current;
	bool forced = action && action->force;
	struct change *change = change_new(request->engine->store);

	change_remove(change, dc);
	if (forced && !force(request, change, dc, error)) {
		change_free(change);
		return false;
	}
	remove_networks(model, change, dc->id, forced);
	change_event(change, EVENT_REMOVED, &request->actor, NULL, "Data Center %s was removed by %s", dc->name, request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	storage_pool_spread(request->engine, dc->id, NULL);
	return true;
}

static const char *const links[] = { "storagedomains", "clusters", "networks", "permissions", "quotas", "iscsibonds", "qoss", NULL };
const struct resource resource_datacenter = {
	.kind = &datacenter_kind, .path = "datacenters", .methods = RESOURCE_ALL, .links = links, .permit_add = "create_storage_pool",
	.permit_update = "edit_storage_pool_configuration", .permit_remove = "delete_storage_pool", .doc = "Clusters that share storage and networks",
	.view = view, .add = add, .update = update, .remove_params = &plain_action_type, .remove = remove_,
};

const struct resource resource_datacenter_permission = PERMISSION_RESOURCE(&resource_datacenter);
