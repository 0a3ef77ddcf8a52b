/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels (REST 11.5.2, 14.7.2.4): an interface of a host gets every network of the host's cluster that has the same label. The label's text is its id; a
 * network has at most one (a member of its record), an interface any number (the host's nic_labels). The hosts follow a network's label by themselves; a
 * label of an interface and what it brings is one set-up of networks.
 */
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

/* Codes of our own */
#define EVENT_LABELLED 1132
#define EVENT_UNLABELLED 1134

static bool check_given(const struct nic_label *label, GError **error)
{
	if (!label->id)
		error_set(error, ERR_INCOMPLETE, "Label [id] required for add");
	return label->id != NULL;
}

/* ---- of networks ---- */

struct network_label { struct record record; char *id; struct ref network; };
static const struct field network_label_fields[] = {
	FIELD_STRING_(struct network_label, id, "@id", CREATE | REQUIRED, "the label itself", .min = 1, .max = 50, .pattern = LABEL_PATTERN),
	FIELD_REF_(struct network_label, network, "network", READ_ONLY, "networks", "network that has it"),
};
static const struct record_type network_label_type =
	RECORD_TYPE("label", "labels", struct network_label, network_label_fields, "Ties a network to interfaces of hosts");

static struct network_label *label_of(const struct network *network)
{
	struct network_label *label = record_new(&network_label_type);

	set_string(&label->id, network->label);
	set_ref(&label->network, network->id);
	return label;
}

static GPtrArray *network_list(struct request *request, GError **error)
{
	const struct network *network = request->parent;
	GPtrArray *labels = list_new();

	if (network->label)
		g_ptr_array_add(labels, label_of(network));
	return labels;
}

struct labelling { struct request *request; const char *label; };

static bool edit_label(void *copy, struct change *change, void *data, GError **error)
{
	struct network *network = copy;
	const struct labelling *labelling = data;

	if (network->label && labelling->label) {
		error_set(error, ERR_OPERATION_FAILED, "network '%s' has the label '%s': it can have only one", network->name, network->label);
		return false;
	}
	change_event(change, labelling->label ? EVENT_LABELLED : EVENT_UNLABELLED, &labelling->request->actor, (void *[]){ network, NULL },
		     labelling->label ? "Network %s was labelled %s by %s." : "Network %s lost its label %s by %s.", network->name,
		     labelling->label ? labelling->label : network->label, labelling->request->actor.user_name);
	set_string(&network->label, labelling->label);
	return true;
}

static bool network_add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct network_label *wish = input;
	struct labelling labelling = { request, wish->id };
	void *network = NULL;

	if (!store_modify(request->engine->store, &network_kind, object_id(request->parent), edit_label, &labelling, &network, error))
		return false;
	*ret_record = label_of(network);
	hosts_follow_label(request, network, /* lost= */ NULL);
	record_unref(network);
	return true;
}

static bool network_remove_label(struct request *request, const void *current, const void *options, GError **error)
{
	const struct network_label *label = current;
	struct labelling labelling = { request, NULL };
	void *network = NULL;

	if (!store_modify(request->engine->store, &network_kind, object_id(request->parent), edit_label, &labelling, &network, error))
		return false;
	hosts_follow_label(request, network, label->id);
	record_unref(network);
	return true;
}

const struct resource resource_network_label = {
	.type = &network_label_type, .path = "labels", .parent = &resource_network, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links,
	.permit_add = "configure_storage_pool_network", .permit_remove = "configure_storage_pool_network", .doc = "The label of the network", .list = network_list,
	.add = network_add, .remove = network_remove_label,
};

/* ---- of interfaces ---- */

static GPtrArray *nic_list(struct request *request, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct host *host = model_get(request->engine->model, &host_kind, nic->host.id);
	GPtrArray *labels = list_new();
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(host ? host->nic_labels : NULL, nic->name), i, item) {
		struct nic_label *label = record_new(&nic_label_type);

		set_string(&label->id, json_string_value(item));
		set_string(&label->host_nic_id, nic->id);
		g_ptr_array_add(labels, label);
	}
	record_unref(host);
	return labels;
}

static bool set_up(struct request *request, struct nic_label *label, bool removal, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct host *host = model_get(request->engine->model, &host_kind, nic->host.id);
	g_autoptr(GPtrArray) one = list_new();
	struct network_setup setup = { .check_connectivity = true, .timeout_s = SETUP_TIMEOUT_S };
	bool ok;

	set_string(&label->host_nic_id, nic->id);
	g_ptr_array_add(one, record_ref(label));
	if (removal)
		setup.removed_labels = one;
	else
		setup.modified_labels = one;
	if (!host)
		error_set(error, ERR_NOT_FOUND, "host '%s'", nic->host.id);
	ok = host && host_setup_networks(request, host, &setup, NULL, error);
	record_unref(host);
	return ok;
}

static bool on_another(struct request *request, const struct nic_label *label, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct host *host = model_get(request->engine->model, &host_kind, nic->host.id);
	const char *name;
	json_t *list;
	bool found = false;

	json_object_foreach(host ? host->nic_labels : NULL, name, list)
		if (!found && host_nic_has_label(host->nic_labels, name, label->id)) {
			error_set(error, ERR_OPERATION_FAILED, "label '%s' is on interface '%s' of the host already", label->id, name);
			found = true;
		}
	record_unref(host);
	return found;
}

static bool nic_add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct nic_label *label = input;

	if (!label->id)
		set_string(&label->id, label->inner_id);
	if (!check_given(label, error) || on_another(request, label, error) || !set_up(request, label, /* removal= */ false, error))
		return false;
	*ret_record = record_ref(label);
	return true;
}

static bool nic_remove(struct request *request, const void *current, const void *options, GError **error)
{
	struct nic_label *label = record_copy(current);
	bool ok = set_up(request, label, /* removal= */ true, error);

	record_unref(label);
	return ok;
}

const struct resource resource_host_nic_label = {
	.type = &nic_label_type, .path = "labels", .parent = &resource_host_nic, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links,
	.permit_add = "configure_host_network", .permit_remove = "configure_host_network", .doc = "Labels of an interface of a host", .list = nic_list,
	.add = nic_add, .remove = nic_remove,
};
