/* SPDX-License-Identifier: Apache-2.0 */
/* Networks on a host that its data center does not have: shown and removed. */
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"

struct unmanaged_network { struct record record; char *id, *name; struct ref host; char *host_nic_id, *host_nic_href; };
static const struct field unmanaged_network_fields[] = {
	FIELD_STRING_(struct unmanaged_network, id, "@id", READ_ONLY, "the name"),
	FIELD_STRING_(struct unmanaged_network, name, "name", HEAD, "name on the host"),
	FIELD_REF_(struct unmanaged_network, host, "host", READ_ONLY, "hosts", "host that has it"),
	FIELD_STRING_(struct unmanaged_network, host_nic_href, "host_nic@href", READ_ONLY, "where the interface is shown"),
	FIELD_STRING_(struct unmanaged_network, host_nic_id, "host_nic@id", READ_ONLY, "interface that it is on"),
};
static const struct record_type unmanaged_network_type =
	RECORD_TYPE("unmanaged_network", "unmanaged_networks", struct unmanaged_network, unmanaged_network_fields, "A network that only the host knows");

static GPtrArray *unmanaged_list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	struct host_caps *caps = fleet_host_caps(request->engine->fleet, host->id);
	GPtrArray *networks = list_new();
	const char *name;
	json_t *found;

	if (caps && caps->networks)
		json_object_foreach(caps->networks, name, found) {
			struct network *known = host_network_named(request->engine->model, host, name);
			struct unmanaged_network *network;
			const char *nic = host_json_text(found, "southbound") ? host_device_below(caps, host_json_text(found, "southbound")) : NULL;

			record_unref(known);
			if (known)
				continue;
			network = record_new(&unmanaged_network_type);
			set_string(&network->id, name);
			set_string(&network->name, name);
			set_ref(&network->host, host->id);
			if (nic) {
				network->host_nic_id = host_part_id("nic", host->id, nic);
				network->host_nic_href = g_strdup_printf("%s/hosts/%s/nics/%s", request->base, host->id, network->host_nic_id);
			}
			g_ptr_array_add(networks, network);
		}
	record_unref(caps);
	return networks;
}

static bool unmanaged_remove(struct request *request, const void *current, const void *options, GError **error)
{
	g_autoptr(GPtrArray) names = strings_new();
	struct network_setup setup = { .removed_unmanaged = names, .check_connectivity = true, .timeout_s = SETUP_TIMEOUT_S };

	g_ptr_array_add(names, g_strdup(object_id(current)));
	return host_setup_networks(request, request->parent, &setup, NULL, error);
}

const struct resource resource_host_unmanaged_network = {
	.type = &unmanaged_network_type, .path = "unmanagednetworks", .parent = &resource_host, .methods = RESOURCE_READ | RESOURCE_REMOVE, .links = no_links,
	.permit_remove = "configure_host_network", .doc = "Networks on a host that its data center does not have", .list = unmanaged_list,
	.remove = unmanaged_remove,
};
