/* SPDX-License-Identifier: Apache-2.0 */
/* vNIC profiles (REST 11.5.1), all of them and those of a network. A network for VMs is made with one of its own name. */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/host_network.h"
#include "engine/api/res_network.h"
#include "engine/api/res_qos.h"
#include "engine/model/kinds.h"
#include "engine/model/vnic_profile.h"
#include "engine/store/store.h"

/* Codes of the event log beyond the guide's table */
#define EVENT_ADDED 1122
#define EVENT_UPDATED 1124
#define EVENT_REMOVED 1126

void network_add_profile(struct change *change, const struct network *network)
{
	struct vnic_profile *profile = record_new(&vnic_profile_type);

	set_string(&profile->name, network->name);
	set_ref(&profile->network, network->id);
	record_defaults(profile, CREATE);
	change_add(change, profile);
	record_unref(profile);
}

/* Run by the writer. */
static bool check(struct model *model, void *record, GError **error)
{
	const struct vnic_profile *profile = record;
	struct network *network = model_get(model, &network_kind, profile->network.id);
	g_autofree char *what = g_strdup_printf("vnic_profile '%s'", profile->name);
	bool fits = !network || network_carries_vms(network);

	if (!fits)
		error_set(error, ERR_OPERATION_FAILED, "network '%s' is not for VMs: it can have no vNIC profile", network->name);
	else if (profile->port_mirroring && profile->pass_through) {
		error_set(error, ERR_OPERATION_FAILED, "vnic_profile: port_mirroring is not possible with pass_through");
		fits = false;
	}
	fits = fits && qos_fits(model, &profile->qos, QOS_NETWORK, network ? network->data_center.id : NULL, what, error);
	record_unref(network);
	return fits;
}

#define PROFILE_RESOURCE .kind = &vnic_profile_kind, .path = "vnicprofiles", .methods = RESOURCE_ALL, .by_itself = true, .check = check, \
	.updated = limits_of_all, .event_added = EVENT_ADDED, .event_updated = EVENT_UPDATED, .event_removed = EVENT_REMOVED, \
	.permit_add = "configure_storage_pool_network", \
	.permit_update = "configure_storage_pool_network", .permit_remove = "configure_storage_pool_network"
static const char *const links[] = { "permissions", NULL };
const struct resource resource_network_vnic_profile = {
	PROFILE_RESOURCE, .parent = &resource_network, .links = links, .doc = "vNIC profiles of the network"
};
const struct resource resource_vnic_profile = { PROFILE_RESOURCE, .links = links, .doc = "What interfaces of VMs may do on their networks" };
const struct resource resource_vnic_profile_permission = PERMISSION_RESOURCE(&resource_vnic_profile);
