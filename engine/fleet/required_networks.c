/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/fleet/required_networks.h"

#include "engine/fleet/fleet.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"

static bool is_missing(const struct host_caps *caps, const struct network *network)
{
	return caps->networks && !network->management && !json_object_get(caps->networks, network->name);
}

char *required_networks_missing(struct model *model, const char *cluster_id, const struct host_caps *caps)
{
	g_autoptr(GPtrArray) members = cluster_id ? model_children(model, &cluster_network_kind, cluster_id) : NULL;
	GString *names = NULL;

	for (guint i = 0; members && i < members->len; i++) {
		const struct cluster_network *member = members->pdata[i];
		struct network *network = member->required ? model_get(model, &network_kind, member->network.id) : NULL;

		if (network && is_missing(caps, network)) {
			names = names ? g_string_append_c(names, ',') : g_string_new("");
			g_string_append(names, network->name);
		}
		record_unref(network);
	}
	return names ? g_string_free(names, FALSE) : NULL;
}

static bool lacks(struct fleet *fleet, const struct host *host, const struct network *network)
{
	struct host_caps *caps = host->state == HOST_UP ? fleet_host_caps(fleet, host->id) : NULL;
	bool missing = caps && is_missing(caps, network);

	record_unref(caps);
	return missing;
}

static bool one_lacks(struct engine *engine, const char *cluster_id, const struct network *network)
{
	g_autoptr(GPtrArray) hosts = model_referring(engine->model, &host_kind, offsetof(struct host, cluster), cluster_id);

	for (guint i = 0; i < hosts->len; i++)
		if (lacks(engine->fleet, hosts->pdata[i], network))
			return true;
	return false;
}

enum network_state required_network_state(struct engine *engine, const struct network *network, const char *cluster_id)
{
	g_autoptr(GPtrArray) members = model_referring(engine->model, &cluster_network_kind, offsetof(struct cluster_network, network), network->id);

	for (guint i = 0; i < members->len; i++) {
		const struct cluster_network *member = members->pdata[i];

		if (member->required && (!cluster_id || !g_strcmp0(member->cluster.id, cluster_id)) && one_lacks(engine, member->cluster.id, network))
			return NETWORK_NON_OPERATIONAL;
	}
	return NETWORK_OPERATIONAL;
}
