/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters (REST chapter 10) and their networks (10.7.1): an association record (kind clusternetworks) that is shown as the network.
 *
 * A new cluster gets the management network of its data center and a CPU profile; both go with it.
 */
#include "common/error.h"
#include "engine/api/res_cluster.h"
#include "engine/api/res_data.h"
#include "engine/api/res_scheduling_policy.h"
#include "engine/fleet/fleet.h"
#include "engine/fleet/refresh.h"
#include "engine/fleet/required_networks.h"
#include "engine/flow/host_policy.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/store/store.h"
#include <string.h>

#define EVENT_ADDED 809
#define EVENT_UPDATED 811
#define EVENT_REMOVED 813
#define EVENT_NETWORK_ATTACHED 946
#define EVENT_NETWORK_DETACHED 948
#define EVENT_NETWORK_UPDATED 1112

/* The level of its oldest host: it can be raised so far. */
static struct level lowest_host(struct model *model, const char *id)
{
	g_autoptr(GPtrArray) hosts = model_referring(model, &host_kind, offsetof(struct host, cluster), id);
	struct level lowest = { LEVEL_MAJOR, LEVEL_MINOR };

	for (guint i = 0; i < hosts->len; i++) {
		struct level level = host_level(hosts->pdata[i]);

		if (level_compare(&level, &lowest) < 0)
			lowest = level;
	}
	return lowest;
}

static void *view(struct request *request, void *record)
{
	struct cluster *shown = record_copy(record);
	struct level limit = lowest_host(request->engine->model, shown->id);

	level_list(&shown->supported_versions, (struct level) { shown->major, shown->minor }, &limit);
	if (!shown->required_rng_sources)
		shown->required_rng_sources = strings_new();
	if (shown->scheduling_policy) {
		shown->policy_id = scheduling_policy_id(shown->scheduling_policy);
		shown->policy_href = g_strdup_printf("%s/schedulingpolicies/%s", request->base, shown->policy_id);
		set_string(&shown->policy_name, shown->scheduling_policy);
	}
	return shown;
}

/* ---- adding ---- */

static void add_management(struct model *model, struct change *change, const struct cluster *cluster)
{
	g_autoptr(GPtrArray) networks = model_referring(model, &network_kind, offsetof(struct network, data_center), cluster->data_center.id);

	for (unsigned i = 0; i < networks->len; i++) {
		const struct network *network = networks->pdata[i];
		struct cluster_network *member;

		if (!network->management)
			continue;
		member = record_new(&cluster_network_type);
		set_ref(&member->cluster, cluster->id);
		set_ref(&member->network, network->id);
		SET(member, required, true);
		SET(member, display, true);
		member->usages = strings_new();
		g_ptr_array_add(member->usages, g_strdup("vm"));
		g_ptr_array_add(member->usages, g_strdup("display"));
		change_add(change, member);
		record_unref(member);
	}
}

static bool check_values(const struct cluster *cluster, GError **error)
{
	bool known = false;

	for (size_t i = 0; cpu_families[i].id && !known; i++)
		known = !strcmp(cpu_families[i].id, cluster->cpu_id);
	if (!known)
		error_set(error, ERR_OPERATION_FAILED, "cluster: cpu@id: '%s' is not a CPU family that the capabilities name", cluster->cpu_id);
	else if (HAS(cluster, threshold_low) && HAS(cluster, threshold_high) && cluster->threshold_low > cluster->threshold_high) {
		error_set(error, ERR_BAD_VALUE, "cluster: scheduling_policy/thresholds: low '%d' is above high '%d'", cluster->threshold_low, cluster->threshold_high);
		known = false;
	}
	return known;
}

/* A data center of local storage has one cluster with one host. */
static bool check_local(struct model *model, void *data, GError **error)
{
	const struct cluster *cluster = data;
	struct datacenter *dc = model_get(model, &datacenter_kind, cluster->data_center.id);
	g_autoptr(GPtrArray) others = model_referring(model, &cluster_kind, offsetof(struct cluster, data_center), cluster->data_center.id);
	bool good = !dc || !dc->local || !others->len;

	if (!good)
		error_set(error, ERR_OPERATION_FAILED, "data center '%s' is local and has a cluster already: '%s'", dc->name,
			  ((struct cluster *)others->pdata[0])->name);
	record_unref(dc);
	return good;
}

static bool check_level(struct model *model, struct cluster *cluster, GError **error)
{
	struct datacenter *dc = model_get(model, &datacenter_kind, cluster->data_center.id);
	struct level level = { LEVEL_MAJOR, LEVEL_MINOR };
	bool good;

	if (dc)
		level = (struct level) { dc->major, dc->minor };
	if (!HAS(cluster, major))
		SET(cluster, major, level.major);
	if (!HAS(cluster, minor))
		SET(cluster, minor, level.minor);
	good = level_check(cluster->major, cluster->minor, error);
	if (good && dc && (cluster->major < level.major || (cluster->major == level.major && cluster->minor < level.minor))) {
		error_set(error, ERR_OPERATION_FAILED, "cluster '%s': level %d.%d is below %d.%d, that of data center '%s'", cluster->name, cluster->major,
			  cluster->minor, level.major, level.minor, dc->name);
		good = false;
	}
	record_unref(dc);
	return good;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct model *model = request->engine->model;
	struct cluster *cluster = input;
	struct cpu_profile *profile;
	struct change *change;

	if (!check_values(cluster, error) || !check_level(model, cluster, error))
		return false;
	change = change_new(request->engine->store);
	change_check(change, check_local, cluster);
	change_add(change, cluster);
	add_management(model, change, cluster);
	profile = record_new(&cpu_profile_type);
	set_string(&profile->name, cluster->name);
	set_ref(&profile->cluster, cluster->id);
	change_add(change, profile);
	record_unref(profile);
	change_event(change, EVENT_ADDED, &request->actor, (void *[]) { cluster, request->parent, NULL }, "Cluster %s was added by %s", cluster->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(cluster);
	return true;
}

/* ---- changing ---- */

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct cluster *before = current;
	struct cluster *cluster = changed;
	g_autofree char *what = g_strdup_printf("cluster '%s'", before->name);
	struct change *change;

	if (!check_values(cluster, error) ||
	    !level_check_change(what, (struct level) { before->major, before->minor }, (struct level) { cluster->major, cluster->minor },
				lowest_host(request->engine->model, cluster->id), error))
		return false;
	change = change_new(request->engine->store);
	change_replace(change, current, cluster);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]) { cluster, NULL }, "Cluster %s was updated by %s", cluster->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	if (before->ksm != cluster->ksm || before->ballooning_enabled != cluster->ballooning_enabled)
		cluster_policy_push(request->engine, cluster->id);
	*ret_record = record_ref(cluster);
	return true;
}

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	const struct cluster *cluster = current;
	struct change *change = change_new(request->engine->store);
	g_autoptr(GPtrArray) profiles =
		model_referring(request->engine->model, &cpu_profile_kind, offsetof(struct cpu_profile, cluster), cluster->id);

	change_remove(change, cluster);
	for (unsigned i = 0; i < profiles->len; i++)
		change_remove(change, profiles->pdata[i]);
	change_event(change, EVENT_REMOVED, &request->actor, NULL, "Cluster %s was removed by %s", cluster->name, request->actor.user_name);
	return change_commit(change, error);
}

static const char *const links[] = { "networks", "permissions", "glustervolumes", "glusterhooks", "affinitygroups", "cpuprofiles", NULL };
#define CLUSTER_RESOURCE .kind = &cluster_kind, .path = "clusters", .links = links, .permit_add = "create_cluster", \
	.permit_update = "edit_cluster_configuration", .permit_remove = "delete_cluster", .methods = RESOURCE_ALL, .view = view, .add = add, \
	.update = update, .remove = remove_
const struct resource resource_cluster = { CLUSTER_RESOURCE, .doc = "Hosts between which virtual machines can move" };
const struct resource resource_datacenter_cluster = {
	CLUSTER_RESOURCE, .by_itself = true, .type = &datacenter_cluster_type, .parent = &resource_datacenter, .doc = "Clusters of the data center"
};
const struct resource resource_cluster_permission = PERMISSION_RESOURCE(&resource_cluster);

/* ---- networks of a cluster ---- */

/* The network as the cluster has it: a new record, or NULL when the network is gone meanwhile. */
static struct network *show(struct engine *engine, const struct cluster_network *member)
{
	struct network *network = model_get(engine->model, &network_kind, member->network.id), *shown = network ? record_copy(network) : NULL;

	record_unref(network);
	if (!shown)
		return NULL;
	shown->record.type = &cluster_member_network_type;
	set_ref(&shown->cluster, member->cluster.id);
	SET(shown, state, required_network_state(engine, shown, member->cluster.id));
	SET(shown, required, member->required);
	SET(shown, display, member->display);
	CLEAR(shown, usages);
	shown->usages = strings_new();
	for (unsigned i = 0; member->usages && i < member->usages->len; i++)
		g_ptr_array_add(shown->usages, g_strdup(member->usages->pdata[i]));
	return shown;
}

static GPtrArray *member_networks(struct request *request, GError **error)
{
	g_autoptr(GPtrArray) members = model_children(request->engine->model, &cluster_network_kind, object_id(request->parent));
	GPtrArray *shown = g_ptr_array_new_with_free_func(record_unref);

	for (unsigned i = 0; i < members->len; i++) {
		struct network *network = show(request->engine, members->pdata[i]);

		if (network)
			g_ptr_array_add(shown, network);
	}
	return shown;
}

static struct cluster_network *find_member(struct model *model, const char *cluster_id, const char *network_id)
{
	g_autoptr(GPtrArray) members = model_children(model, &cluster_network_kind, cluster_id);

	for (unsigned i = 0; i < members->len; i++) {
		struct cluster_network *member = members->pdata[i];

		if (!g_strcmp0(member->network.id, network_id))
			return record_ref(member);
	}
	return NULL;
}

static bool has_usage(const GPtrArray *usages, const char *usage)
{
	return usages && g_ptr_array_find_with_equal_func((GPtrArray *)usages, usage, g_str_equal, NULL);
}

/* display and the usage "display" are one thing said twice; the usages win when both are given. */
static void take_settings(struct cluster_network *member, const struct network *input)
{
	if (HAS(input, required))
		SET(member, required, input->required);
	if (HAS(input, usages)) {
		CLEAR(member, usages);
		member->usages = strings_new();
		for (unsigned i = 0; i < input->usages->len; i++)
			if (!has_usage(member->usages, input->usages->pdata[i]))
				g_ptr_array_add(member->usages, g_strdup(input->usages->pdata[i]));
		SET(member, display, has_usage(member->usages, "display"));
	} else if (HAS(input, display) && input->display != has_usage(member->usages, "display")) {
		unsigned place;

		SET(member, display, input->display);
		if (input->display)
			g_ptr_array_add(member->usages, g_strdup("display"));
		else if (g_ptr_array_find_with_equal_func(member->usages, "display", g_str_equal, &place))
			g_ptr_array_remove_index(member->usages, place);
	}
}

/* By id, or by name among the networks of the cluster's data center. */
static struct network *named_network(struct model *model, const struct cluster *cluster, const struct network *input, GError **error)
{
	g_autoptr(GPtrArray) networks = model_referring(model, &network_kind, offsetof(struct network, data_center), cluster->data_center.id);

	if (!input->id && !input->name) {
		error_set(error, ERR_INCOMPLETE, "Network [id|name] required for add");
		return NULL;
	}
	for (unsigned i = 0; i < networks->len; i++) {
		struct network *network = networks->pdata[i];

		if (input->id ? !g_strcmp0(network->id, input->id) : !g_ascii_strcasecmp(network->name, input->name))
			return record_ref(network);
	}
	error_set(error, ERR_NOT_FOUND, "network '%s' in the data center of cluster '%s'", input->id ? input->id : input->name, cluster->name);
	return NULL;
}

struct membership { const char *cluster_id, *network_id, *cluster_name, *network_name; };

static bool check_new_member(struct model *model, void *data, GError **error)
{
	const struct membership *membership = data;
	struct cluster_network *member = find_member(model, membership->cluster_id, membership->network_id);

	if (member)
		error_set(error, ERR_OPERATION_FAILED, "cluster '%s' has network '%s' already", membership->cluster_name, membership->network_name);
	record_unref(member);
	return !member;
}

static bool add_member(struct request *request, void *input, void **ret_record, GError **error)
{
	struct model *model = request->engine->model;
	const struct cluster *cluster = request->parent;
	struct network *network = named_network(model, cluster, input, error);
	struct cluster_network *member;
	struct membership membership;
	struct change *change;
	bool good;

	if (!network)
		return false;
	member = record_new(&cluster_network_type);
	set_ref(&member->cluster, cluster->id);
	set_ref(&member->network, network->id);
	member->usages = strings_new();
	for (unsigned i = 0; network->usages && i < network->usages->len; i++)
		g_ptr_array_add(member->usages, g_strdup(network->usages->pdata[i]));
	record_defaults(member, CREATE);
	take_settings(member, input);
	membership = (struct membership) { cluster->id, network->id, cluster->name, network->name };
	change = change_new(request->engine->store);
	change_check(change, check_new_member, &membership);
	change_add(change, member);
	change_event(change, EVENT_NETWORK_ATTACHED, &request->actor, (void *[]) { network, (void *)cluster, NULL }, "Network %s attached to Cluster %s",
		     network->name, cluster->name);
	good = change_commit(change, error);
	if (good)
		*ret_record = show(request->engine, member);
	record_unref(member);
	record_unref(network);
	return good;
}

/* Only what belongs to the membership can be changed here. */
static bool check_settings(const struct network *before, const struct network *after, GError **error)
{
	const struct record_type *type = before->record.type;
	static const size_t own[] = { offsetof(struct network, required), offsetof(struct network, display), offsetof(struct network, usages) };

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];

		if (field->offset == own[0] || field->offset == own[1] || field->offset == own[2] || field->flags & ALIAS)
			continue;
		if (!record_member_equal(before, after, field)) {
			error_set(error, ERR_IMMUTABLE, "Attempt to set immutable field: %s", field->path);
			return false;
		}
	}
	return true;
}

/* What is not required any more may have been all that its hosts lacked. */
static void look_again(struct engine *engine, const char *cluster_id)
{
	g_autoptr(GPtrArray) hosts = model_referring(engine->model, &host_kind, offsetof(struct host, cluster), cluster_id);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];

		if (host->state == HOST_NON_OPERATIONAL && fleet_is_connected(engine->fleet, host->id))
			fleet_look_again(engine->fleet, host->id);
	}
}

static bool update_member(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct network *before = current;
	struct cluster_network *member = NULL, *copy;
	struct change *change;
	bool good;

	if (!check_settings(before, changed, error))
		return false;
	member = find_member(request->engine->model, object_id(request->parent), before->id);
	if (!member) {
		error_set(error, ERR_NOT_FOUND, "network '%s' in the cluster", before->name);
		return false;
	}
	copy = record_copy(member);
	if (!copy->usages)
		copy->usages = strings_new();
	take_settings(copy, input);
	change = change_new(request->engine->store);
	change_replace(change, member, copy);
	change_event(change, EVENT_NETWORK_UPDATED, &request->actor, (void *[]) { (void *)before, request->parent, NULL }, "Network %s on Cluster %s updated.",
		     before->name, object_name(request->parent));
	good = change_commit(change, error);
	if (good) {
		look_again(request->engine, member->cluster.id);
		*ret_record = show(request->engine, copy);
	}
	record_unref(copy);
	record_unref(member);
	return good;
}

static bool remove_member(struct request *request, const void *current, const void *options, GError **error)
{
	const struct network *network = current;
	struct cluster_network *member;
	struct change *change;

	if (network->management) {
		error_set(error, ERR_OPERATION_FAILED, "network '%s' is the management network: a cluster cannot be without it", network->name);
		return false;
	}
	member = find_member(request->engine->model, object_id(request->parent), network->id);
	if (!member) {
		error_set(error, ERR_NOT_FOUND, "network '%s' in the cluster", network->name);
		return false;
	}
	change = change_new(request->engine->store);
	change_remove(change, member);
	change_event(change, EVENT_NETWORK_DETACHED, &request->actor, (void *[]) { (void *)network, request->parent, NULL }, "Network %s detached from Cluster %s",
		     network->name, object_name(request->parent));
	record_unref(member);
	if (!change_commit(change, error))
		return false;
	look_again(request->engine, object_id(request->parent));
	return true;
}

const struct resource resource_cluster_network = {
	.type = &cluster_member_network_type, .path = "networks", .parent = &resource_cluster, .methods = RESOURCE_ALL, .links = no_links,
	.permit_add = "assign_cluster_network", .permit_update = "assign_cluster_network", .permit_remove = "assign_cluster_network",
	.doc = "Networks that every host of the cluster has", .list = member_networks, .add = add_member, .update = update_member, .remove = remove_member,
};
