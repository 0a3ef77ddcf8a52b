/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual functions of a host's interface (SR-IOV; REST 14.7.2.1): how many there are, and which networks they may carry: all, or those that are allowed one
 * by one or by their label. How many is the host's to know, and is gone with its next boot unless it is set up there; what they may carry is kept with the
 * host here (nic_vfs), also while all networks are allowed.
 *
 * The kernel changes the number by way of 0, so a change takes all of them away: it is refused while one of them has a network or is in a bond. The host
 * refuses it while a VM has one.
 */
#include "common/error.h"
#include "common/log.h"
#include "engine/api/action.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"
#include "engine/fleet/refresh.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define LOG_MODULE "api"
#define CHANGE_TIMEOUT_S 120            /* each function is a device of its own for the kernel */
#define REFRESH_TIMEOUT_S 30

/* Codes of our own */
#define EVENT_VFS_CHANGED 20370

static bool check_sriov(const struct host_nic *nic, GError **error)
{
	if (!nic->vfs_device)
		error_set(error, ERR_METHOD_NOT_ALLOWED, "host_nic '%s' has no virtual functions (SR-IOV)", nic->name);
	return nic->vfs_device != NULL;
}

bool host_nic_vfs_carry_all(const struct host *host, const char *nic)
{
	const json_t *kept = json_object_get(host->nic_vfs, nic);

	return !kept || json_is_true(json_object_get(kept, "all"));
}

/* ---- what is kept ---- */

/* What is kept of the interface, put there when it is missing. */
static json_t *kept_of(json_t *all, const char *nic)
{
	json_t *kept = json_object_get(all, nic);

	if (!kept)
		json_object_set_new(all, nic, kept = json_pack("{s:b, s:[], s:[]}", "all", true, "networks", "labels"));
	return kept;
}

static bool find(const json_t *list, const char *text, size_t *ret_index)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!g_strcmp0(json_string_value(json_array_get(list, i)), text)) {
			*ret_index = i;
			return true;
		}
	return false;
}

/* One change: whether all networks are allowed (all: a boolean or NULL), or a text that comes to a list or leaves it. what: for the event. */
struct keeping { struct request *request; const char *nic, *list, *text, *what; json_t *all; bool leaves; };

static bool edit_kept(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct keeping *keeping = data;
	json_t *vfs = host->nic_vfs ? json_deep_copy(host->nic_vfs) : json_object();
	json_t *kept = kept_of(vfs, keeping->nic), *list = keeping->list ? json_object_get(kept, keeping->list) : NULL;
	size_t i;
	bool there = find(list, keeping->text, &i), comes = list && !keeping->leaves, ok = false;

	if (comes && json_is_true(json_object_get(kept, "all")))
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s': its virtual functions may carry every network: set all_networks_allowed to false first",
			  keeping->nic);
	else if (comes && there)
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s': %s is allowed already", keeping->nic, keeping->what);
	else
		ok = true;
	if (ok && comes)
		json_array_append_new(list, json_string(keeping->text));
	else if (ok && there)
		json_array_remove(list, i);
	if (keeping->all)
		json_object_set(kept, "all", keeping->all);
	CLEAR(host, nic_vfs);
	host->nic_vfs = vfs;
	if (ok)
		change_event(change, EVENT_VFS_CHANGED, &keeping->request->actor, (void *[]){ host, NULL }, "Virtual functions of interface %s of host %s: %s, by %s.",
			     keeping->nic, host->name, keeping->what, keeping->request->actor.user_name);
	return ok;
}

static bool keep(const struct host_nic *nic, struct keeping *keeping, GError **error)
{
	return store_modify(keeping->request->engine->store, &host_kind, nic->host.id, edit_kept, keeping, NULL, error);
}

/* ---- updatevirtualfunctionsconfiguration ---- */

struct vfs_action { ACTION_MEMBERS bool all_networks; int number; };
#define V struct vfs_action
static const struct field vfs_fields[] = {
	ACTION_FIELDS(V),
	FIELD_BOOL_(V, all_networks, "virtual_functions_configuration/all_networks_allowed", CREATE, "they may carry every network; absent: as it is"),
	FIELD_INT_(V, number, "virtual_functions_configuration/number_of_virtual_functions", CREATE, "how many there are to be; absent: as many as there are",
		   .min = 0, .max = 65535),
};
const struct record_type host_nic_vfs_type = RECORD_TYPE("action", NULL, V, vfs_fields, "How an interface is to have virtual functions");

/* Is one of them in use by the host itself? */
static bool check_unused(struct request *request, const struct host *host, const struct host_nic *nic, const struct host_caps *caps, GError **error)
{
	g_autoptr(GPtrArray) attachments = host_attachments(request, host, caps);
	const char *name;
	json_t *found;

	json_object_foreach(caps->nics, name, found) {
		const char *bond = host_nic_bond(caps, name);

		if (g_strcmp0(host_json_text(found, "physfn"), nic->name))
			continue;
		if (bond) {
			error_set(error, ERR_OPERATION_FAILED, "host_nic '%s': its virtual function '%s' is in bond '%s'", nic->name, name, bond);
			return false;
		}
		for (guint i = 0; i < attachments->len; i++) {
			const struct network_attachment *attachment = attachments->pdata[i];

			if (g_strcmp0(attachment->host_nic_name, name))
				continue;
			error_set(error, ERR_OPERATION_FAILED, "host_nic '%s': its virtual function '%s' has network '%s'", nic->name, name, attachment->name);
			return false;
		}
	}
	return true;
}

static bool change_number(struct request *request, const struct host *host, const struct host_nic *nic, int number, GError **error)
{
	struct host_caps *caps = host_capabilities(request, host, error);
	struct numvfs_params *params = record_new(&numvfs_params_type);
	g_autoptr(GError) own = NULL;
	bool ok;

	set_string(&params->device_name, nic->vfs_device);
	SET(params, numvfs, number);
	ok = caps && check_unused(request, host, nic, caps, error) &&
	     host_call(request, host, "Host.hostdevChangeNumvfs", params, CHANGE_TIMEOUT_S, NULL, error);
	if (ok && fleet_is_connected(request->engine->fleet, host->id) && !fleet_refresh(request->engine->fleet, host->id, REFRESH_TIMEOUT_S, &own))
		log_warn("host '%s': %s, ignoring", host->name, own->message);
	record_unref(params);
	record_unref(caps);
	return ok;
}

bool host_nic_vfs_update(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vfs_action *how = params;
	const struct host_nic *nic = object;
	g_autofree char *what = g_strdup_printf("%d, %s", HAS(how, number) ? how->number : nic->vfs_number,
						(HAS(how, all_networks) ? how->all_networks : nic->vfs_all_networks) ? "for every network" : "for allowed networks");
	struct keeping keeping = { .request = request, .nic = nic->name, .what = what, .all = HAS(how, all_networks) ? json_boolean(how->all_networks) : NULL };

	if (!check_sriov(nic, error))
		return false;
	if (!HAS(how, number) && !HAS(how, all_networks)) {
		error_set(error, ERR_INCOMPLETE, "Action [virtualFunctionsConfiguration] required for " HOST_NIC_VFS_ACTION);
		return false;
	}
	if (HAS(how, number) && how->number > nic->vfs_max) {
		error_set(error, ERR_BAD_VALUE, "number_of_virtual_functions: %d is above the %d of host_nic '%s'", how->number, nic->vfs_max, nic->name);
		return false;
	}
	if (HAS(how, number) && how->number != nic->vfs_number && !change_number(request, request->parent, nic, how->number, error))
		return false;
	return keep(nic, &keeping, error);
}

/* ---- which networks ---- */

static const json_t *kept_list(const struct host *host, const struct host_nic *nic, const char *name)
{
	return json_object_get(json_object_get(host ? host->nic_vfs : NULL, nic->name), name);
}

struct vfs_member { struct record record; char *id, *name; };
#define M struct vfs_member
static const struct field network_fields[] = {
	FIELD_STRING_(M, id, "@id", CREATE, "id of the network", .max = 64),
	FIELD_STRING_(M, name, "name", CREATE | HEAD, "its name", .max = 255),
};
static const struct record_type network_member_type = RECORD_TYPE("network", "networks", M, network_fields, "A network that virtual functions may carry");

static struct vfs_member *network_member(const struct network *network)
{
	struct vfs_member *shown = record_new(&network_member_type);

	set_string(&shown->id, network->id);
	set_string(&shown->name, network->name);
	return shown;
}

/* Those that are gone meanwhile are not shown. */
static GPtrArray *network_list(struct request *request, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct host *host = model_get(request->engine->model, &host_kind, nic->host.id);
	GPtrArray *members = list_new();
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)kept_list(host, nic, "networks"), i, item) {
		struct network *network = model_get(request->engine->model, &network_kind, json_string_value(item));

		if (network)
			g_ptr_array_add(members, network_member(network));
		record_unref(network);
	}
	record_unref(host);
	return members;
}

/* By id or name, in the host's data center; new reference. */
static struct network *network_wanted(struct request *request, const struct vfs_member *wish, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct model *model = request->engine->model;
	struct host *host = model_get(model, &host_kind, nic->host.id);
	struct network *network = wish->id ? model_get(model, &network_kind, wish->id) : NULL;
	struct network *own = host && (network || wish->name) ? host_network_named(model, host, network ? network->name : wish->name) : NULL;

	if (!wish->id && !wish->name)
		error_set(error, ERR_INCOMPLETE, "Network [id|name] required for add");
	else if (!own || (network && g_strcmp0(own->id, network->id))) {
		error_set(error, ERR_NOT_FOUND, "network '%s' in the data center of the host", wish->id ? wish->id : wish->name);
		g_clear_pointer(&own, record_unref);
	}
	record_unref(network);
	record_unref(host);
	return own;
}

static bool network_add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct network *network = check_sriov(nic, error) ? network_wanted(request, input, error) : NULL;
	g_autofree char *what = network ? g_strdup_printf("network '%s'", network->name) : NULL;
	struct keeping keeping = { .request = request, .nic = nic->name, .list = "networks", .text = network ? network->id : NULL, .what = what };
	bool ok = network && keep(nic, &keeping, error);

	if (ok)
		*ret_record = network_member(network);
	record_unref(network);
	return ok;
}

static bool network_remove(struct request *request, const void *current, const void *options, GError **error)
{
	const struct vfs_member *member = current;
	const struct host_nic *nic = request->parent;
	g_autofree char *what = g_strdup_printf("network '%s' no longer", member->name);
	struct keeping keeping = { .request = request, .nic = nic->name, .list = "networks", .text = member->id, .what = what, .leaves = true };

	return keep(nic, &keeping, error);
}

#define VFS_RESOURCE .parent = &resource_host_nic, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links, \
	.permit_add = "configure_host_network", .permit_remove = "configure_host_network"
const struct resource resource_host_nic_vfs_network = {
	VFS_RESOURCE, .type = &network_member_type, .path = "virtualfunctionallowednetworks", .doc = "Networks that virtual functions of the interface may carry",
	.list = network_list, .add = network_add, .remove = network_remove,
};

/* ---- which labels ---- */

static const struct field label_fields[] = {
	FIELD_STRING_(M, id, "@id", CREATE | REQUIRED, "the label itself", .min = 1, .max = 50, .pattern = LABEL_PATTERN),
};
static const struct record_type label_type = RECORD_TYPE("label", "labels", M, label_fields, "A label whose networks virtual functions may carry");

static GPtrArray *label_list(struct request *request, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct host *host = model_get(request->engine->model, &host_kind, nic->host.id);
	GPtrArray *members = list_new();
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)kept_list(host, nic, "labels"), i, item) {
		struct vfs_member *shown = record_new(&label_type);

		set_string(&shown->id, json_string_value(item));
		g_ptr_array_add(members, shown);
	}
	record_unref(host);
	return members;
}

static bool label_change(struct request *request, const struct vfs_member *label, bool leaves, GError **error)
{
	const struct host_nic *nic = request->parent;
	g_autofree char *what = g_strdup_printf("label '%s'%s", label->id, leaves ? " no longer" : "");
	struct keeping keeping = { .request = request, .nic = nic->name, .list = "labels", .text = label->id, .what = what, .leaves = leaves };

	return check_sriov(nic, error) && keep(nic, &keeping, error);
}

static bool label_add(struct request *request, void *input, void **ret_record, GError **error)
{
	if (!label_change(request, input, /* leaves= */ false, error))
		return false;
	*ret_record = record_ref(input);
	return true;
}

static bool label_remove(struct request *request, const void *current, const void *options, GError **error)
{
	return label_change(request, current, /* leaves= */ true, error);
}

const struct resource resource_host_nic_vfs_label = {
	VFS_RESOURCE, .type = &label_type, .path = "virtualfunctionallowedlabels", .doc = "Labels whose networks virtual functions of the interface may carry",
	.list = label_list, .add = label_add, .remove = label_remove,
};
