/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks (REST chapter 11), all of them and those of a data center (9.5.2).
 *
 * Within a data center names and VLAN tags are unique. The management network can be neither removed nor renamed.
 */
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_network.h"
#include "engine/api/res_qos.h"
#include "engine/fleet/required_networks.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define EVENT_ADDED 942
#define EVENT_REMOVED 944
#define EVENT_UPDATED 1114

void network_add_management(struct change *change, const char *datacenter_id)
{
	struct network *network = record_new(&network_type);

	set_string(&network->name, MANAGEMENT_NETWORK);
	set_string(&network->description, "Management Network");
	set_ref(&network->data_center, datacenter_id);
	SET(network, management, true);
	network->usages = strings_new();
	g_ptr_array_add(network->usages, g_strdup("vm"));
	record_defaults(network, CREATE);
	change_add(change, network);
	network_add_profile(change, network);
	record_unref(network);
}

void network_remove(struct model *model, struct change *change, const struct network *network)
{
	g_autoptr(GPtrArray) members = model_referring(model, &cluster_network_kind, offsetof(struct cluster_network, network), network->id);

	change_remove(change, network);
	for (unsigned i = 0; i < members->len; i++)
		change_remove(change, members->pdata[i]);
}

static GPtrArray *networks_of(struct model *model, const char *datacenter_id)
{
	return model_referring(model, &network_kind, offsetof(struct network, data_center), datacenter_id);
}

/* Run by the writer: no two networks of the data center have the same name or tag, and its limits are of the data center, too. */
static bool check_others(struct model *model, void *data, GError **error)
{
	const struct network *network = data;
	g_autoptr(GPtrArray) others = networks_of(model, network->data_center.id);
	g_autofree char *what = g_strdup_printf("network '%s'", network->name);

	for (unsigned i = 0; i < others->len; i++) {
		const struct network *other = others->pdata[i];

		if (!g_strcmp0(other->id, network->id))
			continue;
		if (!g_ascii_strcasecmp(other->name, network->name)) {
			error_set(error, ERR_OPERATION_FAILED, "name '%s' is already used by a network of the data center", network->name);
			return false;
		}
		if (HAS(network, vlan) && HAS(other, vlan) && network->vlan == other->vlan) {
			error_set(error, ERR_OPERATION_FAILED, "VLAN %d is already used by network '%s'", network->vlan, other->name);
			return false;
		}
	}
	return qos_fits(model, &network->qos, QOS_HOSTNETWORK, network->data_center.id, what, error);
}

static bool check_values(const struct network *network, GError **error)
{
	bool for_vms = network->usages && g_ptr_array_find_with_equal_func(network->usages, "vm", g_str_equal, NULL);

	if (!g_ascii_strncasecmp(network->name, "bond", 4)) {
		error_set(error, ERR_BAD_VALUE, "network: name: '%s' begins with 'bond', as the names of bonds do", network->name);
		return false;
	}
	if (network->stp && !for_vms) {
		error_set(error, ERR_BAD_VALUE, "network: stp: 'true' needs a network for VMs (usages: vm)");
		return false;
	}
	if (network->mtu && network->mtu < 68) {
		error_set(error, ERR_BAD_VALUE, "network: mtu: '%d' is below the minimum 68", network->mtu);
		return false;
	}
	return true;
}

static void tell(struct request *request, struct change *change, int code, const struct network *network, const char *how)
{
	struct datacenter *dc = model_get(request->engine->model, &datacenter_kind, network->data_center.id);

	change_event(change, code, &request->actor, (void *[]) { (void *)network, dc, NULL }, "Network %s was %s by %s", network->name, how, request->actor.user_name);
	record_unref(dc);
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct network *network = input;
	struct change *change;

	network->record.type = &network_type;
	if (!HAS(network, usages)) {
		network->usages = strings_new();
		g_ptr_array_add(network->usages, g_strdup("vm"));
	}
	if (!check_values(network, error))
		return false;
	change = change_new(request->engine->store);
	change_check(change, check_others, network);
	change_add(change, network);
	if (network_carries_vms(network) && !(HAS(network, profile_required) && !network->profile_required))
		network_add_profile(change, network);
	tell(request, change, EVENT_ADDED, network, "added");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(network);
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct network *before = current;
	struct network *network = changed;
	struct change *change;

	if (!check_values(network, error))
		return false;
	if (before->management && g_ascii_strcasecmp(before->name, network->name)) {
		error_set(error, ERR_OPERATION_FAILED, "network '%s' is the management network: it cannot be renamed", before->name);
		return false;
	}
	change = change_new(request->engine->store);
	change_check(change, check_others, network);
	change_replace(change, current, network);
	tell(request, change, EVENT_UPDATED, network, "updated");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(network);
	return true;
}

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	const struct network *network = current;
	struct change *change;

	if (network->management) {
		error_set(error, ERR_OPERATION_FAILED, "network '%s' is the management network: it cannot be removed", network->name);
		return false;
	}
	change = change_new(request->engine->store);
	network_remove(request->engine->model, change, network);
	tell(request, change, EVENT_REMOVED, network, "removed");
	return change_commit(change, error);
}

static void *view(struct request *request, void *record)
{
	struct network *shown = record_shadow(record);

	SET(shown, state, required_network_state(request->engine, shown, /* cluster_id= */ NULL));
	return shown;
}

static const char *const links[] = { "permissions", "vnicprofiles", "labels", NULL };
#define NETWORK_RESOURCE .kind = &network_kind, .path = "networks", .links = links, .permit_add = "configure_storage_pool_network", \
	.permit_update = "configure_storage_pool_network", .permit_remove = "configure_storage_pool_network", .methods = RESOURCE_ALL, .view = view, \
	.update = update, .remove = remove_
const struct resource resource_network = { NETWORK_RESOURCE, .add = add, .doc = "Logical networks" };
const struct resource resource_network_permission = PERMISSION_RESOURCE(&resource_network);

/* A network of the data center that is named by id or name is answered as it is; any other name is a new network. */
static bool associate(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct datacenter *dc = request->parent;
	struct network *network = input;
	g_autoptr(GPtrArray) networks = networks_of(request->engine->model, dc->id);

	if (!network->id && !network->name) {
		error_set(error, ERR_INCOMPLETE, "Network [id|name] required for add");
		return false;
	}
	for (unsigned i = 0; i < networks->len; i++) {
		struct network *own = networks->pdata[i];

		if (network->id ? !g_strcmp0(own->id, network->id) : !g_ascii_strcasecmp(own->name, network->name)) {
			*ret_record = record_ref(own);
			return true;
		}
	}
	if (network->id) {
		struct network *other = model_get(request->engine->model, &network_kind, network->id);

		if (other)
			error_set(error, ERR_OPERATION_FAILED, "network '%s' belongs to another data center", other->name);
		else
			error_set(error, ERR_NOT_FOUND, "network '%s'", network->id);
		record_unref(other);
		return false;
	}
	set_ref(&network->data_center, dc->id);
	return add(request, network, ret_record, error);
}

const struct resource resource_datacenter_network = {
	NETWORK_RESOURCE, .by_itself = true, .add = associate, .type = &datacenter_network_type, .parent = &resource_datacenter, .doc = "Networks of the data center"
};
