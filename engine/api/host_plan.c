/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client wishes for the networks of a host, made into what the agent is sent (host_network.h). Nothing is changed here: every wish is checked against
 * the host's capabilities and against the other wishes, so that a request is refused whole before anything happens.
 *
 *	bonds        what each will be made of; a free interface, or one that another wish frees
 *	labels       moved and removed; the networks that they bring and take away become wishes of their own
 *	attachments  those of the client, and those of the labels
 *	last         what holds of the whole: no network on an interface of a bond, one untagged network on a device, nothing left on a bond that goes
 */
#include "engine/api/host_network.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/res_host.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

#define MTU_DEFAULT 1500
#define BOND_PATTERN "^bond[0-4]$"
#define BRIDGE_OPTS_PATTERN "^[^\\s=]+=[^\\s=]+(\\s+[^\\s=]+=[^\\s=]+)*$"

struct planning {
	struct request *request;
	const struct host *host;
	const struct host_caps *caps;
	GPtrArray *current;                  /* struct network_attachment */
	struct network_plan *plan;
	GHashTable *dropped_labels;          /* "nic label": removed or moved away by this request */
};

/* ---- devices ---- */

const json_t *host_nic_object(const struct host_caps *caps, const char *name)
{
	return caps && caps->nics ? json_object_get(caps->nics, name) : NULL;
}

const json_t *host_bond_object(const struct host_caps *caps, const char *name)
{
	return caps && caps->bondings ? json_object_get(caps->bondings, name) : NULL;
}

const char *host_device_below(const struct host_caps *caps, const char *device)
{
	const char *iface = caps && caps->vlans ? host_json_text(json_object_get(caps->vlans, device), "iface") : NULL;

	return iface ? iface : device;
}

bool host_nic_has_label(const json_t *labels, const char *nic, const char *label)
{
	const json_t *list = json_object_get(labels, nic);
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)list, i, item)
		if (!g_strcmp0(json_string_value(item), label))
			return true;
	return false;
}

/* The bond as it will be: what is sent, or NULL. */
static const json_t *wished_bond(const struct planning *p, const char *name)
{
	return json_object_get(p->plan->bonds, name);
}

static bool goes_away(const json_t *sent)
{
	return json_is_true(json_object_get(sent, "remove"));
}

static bool is_bond(const struct planning *p, const char *name)
{
	const json_t *wished = wished_bond(p, name);

	return wished ? !goes_away(wished) : host_bond_object(p->caps, name) != NULL;
}

/* Name of a plain interface or bond of the host, those that this request makes too. NULL: there is none. */
static const char *device_named(const struct planning *p, const char *id, const char *name)
{
	json_t *const maps[] = { p->caps->nics, p->caps->bondings, p->plan->bonds };
	const char *key;
	json_t *value;

	for (size_t i = 0; i < G_N_ELEMENTS(maps); i++)
		if (maps[i])
			json_object_foreach(maps[i], key, value) {
				g_autofree char *own = host_part_id("nic", p->host->id, key);

				if (id ? !strcmp(id, own) : !g_strcmp0(name, key))
					return key;
			}
	return NULL;
}

/* Members of a bond as they will be: array of names, or NULL. */
static const json_t *members_of(const struct planning *p, const char *bond)
{
	const json_t *wished = wished_bond(p, bond);

	if (wished)
		return goes_away(wished) ? NULL : json_object_get(wished, "nics");
	return json_object_get(host_bond_object(p->caps, bond), "slaves");
}

/* The bond that the interface will be part of; NULL: none. except may be NULL. */
static const char *bond_with(const struct planning *p, const char *nic, const char *except)
{
	json_t *const maps[] = { p->caps->bondings, p->plan->bonds };
	const char *key;
	json_t *value, *member;
	size_t j;

	for (size_t i = 0; i < G_N_ELEMENTS(maps); i++)
		if (maps[i])
			json_object_foreach(maps[i], key, value) {
				if (!g_strcmp0(key, except))
					continue;
				json_array_foreach((json_t *)members_of(p, key), j, member)
					if (!g_strcmp0(json_string_value(member), nic))
						return key;
			}
	return NULL;
}

/* ---- bonds ---- */

static bool bond_fail(const char *bond, enum error_code code, GError **error, const char *format, ...) G_GNUC_PRINTF(4, 5);
static bool bond_fail(const char *bond, enum error_code code, GError **error, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	error_set(error, code, "host_nic '%s': %s", bond, text);
	return false;
}

/* "mode=4 miimon=100"; g_free */
static char *bond_options(const struct host_nic *wish, const json_t *now)
{
	GString *text = g_string_new(NULL);
	bool mode = false;
	const char *name;
	json_t *value;

	if (wish->bond_options)
		for (guint i = 0; i < wish->bond_options->len; i++) {
			const struct option_item *option = wish->bond_options->pdata[i];

			mode = mode || !g_strcmp0(option->name, "mode");
			g_string_append_printf(text, "%s%s=%s", text->len ? " " : "", option->name, option->value ? option->value : "");
		}
	else
		json_object_foreach(json_object_get(now, "opts"), name, value) {
			mode = mode || !strcmp(name, "mode");
			g_string_append_printf(text, "%s%s=%s", text->len ? " " : "", name, json_string_value(value) ? json_string_value(value) : "");
		}
	if (!mode)
		g_string_prepend(text, text->len ? "mode=4 " : "mode=4 miimon=100");
	return g_string_free(text, FALSE);
}

static bool add_member(struct planning *p, const char *bond, const struct object_ref *slave, json_t *members, GError **error)
{
	const char *nic = device_named(p, slave->id, slave->name);
	size_t i;
	json_t *member;

	if (!nic || !host_nic_object(p->caps, nic))
		return bond_fail(bond, ERR_NOT_FOUND, error, "bonding/slaves: host '%s' has no interface '%.128s'", p->host->name,
				 slave->id ? slave->id : slave->name ? slave->name : "");
	json_array_foreach(members, i, member)
		if (!strcmp(json_string_value(member), nic))
			return bond_fail(bond, ERR_BAD_VALUE, error, "bonding/slaves: '%s' is named twice", nic);
	json_array_append_new(members, json_string(nic));
	return true;
}

static bool plan_bond(struct planning *p, const struct host_nic *wish, GError **error)
{
	const char *name = wish->id ? device_named(p, wish->id, NULL) : wish->name;
	const json_t *now = name ? host_bond_object(p->caps, name) : NULL;
	g_autofree char *options = NULL;
	json_t *members;

	if (!name) {
		error_set(error, wish->id ? ERR_NOT_FOUND : ERR_INCOMPLETE, wish->id ? "host_nic '%.128s'" : "HostNic [id|name]%s required for a bond",
			  wish->id ? wish->id : "");
		return false;
	}
	if (!now && !g_regex_match_simple(BOND_PATTERN, name, 0, 0))
		return bond_fail(name, ERR_OPERATION_FAILED, error, "a bond is named bond0, bond1, bond2, bond3 or bond4");
	if (wished_bond(p, name))
		return bond_fail(name, ERR_BAD_VALUE, error, "the bond is named twice");
	members = json_array();
	for (guint i = 0; wish->bond_slaves && i < wish->bond_slaves->len; i++)
		if (!add_member(p, name, wish->bond_slaves->pdata[i], members, error)) {
			json_decref(members);
			return false;
		}
	if (!wish->bond_slaves && now) {
		json_decref(members);
		members = json_deep_copy(json_object_get(now, "slaves"));
	}
	options = bond_options(wish, now);
	json_object_set_new(p->plan->bonds, name, json_pack("{s:o, s:s}", "nics", members, "options", options));
	if (json_array_size(members) < 2)
		return bond_fail(name, ERR_OPERATION_FAILED, error, "bonding/slaves: a bond needs at least two interfaces");
	return true;
}

static bool plan_bond_removal(struct planning *p, const struct host_nic *wish, GError **error)
{
	const char *name = device_named(p, wish->id, wish->name);

	if (!name || !host_bond_object(p->caps, name)) {
		error_set(error, name ? ERR_OPERATION_FAILED : ERR_NOT_FOUND, name ? "host_nic '%.128s' is no bond: it cannot be removed" : "host_nic '%.128s'",
			  name ? name : wish->id ? wish->id : wish->name ? wish->name : "");
		return false;
	}
	if (wished_bond(p, name))
		return bond_fail(name, ERR_BAD_VALUE, error, "the bond is both changed and removed");
	json_object_set_new(p->plan->bonds, name, json_pack("{s:b}", "remove", true));
	return true;
}

/* ---- attachments ---- */

static bool fail(const struct network_attachment *attachment, enum error_code code, const char *why, GError **error)
{
	const char *which = attachment->name ? attachment->name : attachment->network.name ? attachment->network.name : attachment->network.id ?
			    attachment->network.id : attachment->id ? attachment->id : "";

	error_set(error, code, "network_attachment '%.128s': %s", which, why);
	return false;
}

static const struct network_attachment *attachment_by_id(const GPtrArray *attachments, const char *id)
{
	for (guint i = 0; i < attachments->len; i++)
		if (!g_strcmp0(object_id(attachments->pdata[i]), id))
			return attachments->pdata[i];
	return NULL;
}

static const struct network_attachment *attachment_of(const struct planning *p, const char *network_id)
{
	for (guint i = 0; i < p->current->len; i++)
		if (!g_strcmp0(((const struct network_attachment *)p->current->pdata[i])->network.id, network_id))
			return p->current->pdata[i];
	return NULL;
}

static bool cluster_has(struct model *model, const char *cluster_id, const char *network_id)
{
	g_autoptr(GPtrArray) members = model_children(model, &cluster_network_kind, cluster_id);

	for (guint i = 0; i < members->len; i++)
		if (!g_strcmp0(((const struct cluster_network *)members->pdata[i])->network.id, network_id))
			return true;
	return false;
}

/* The network of a new attachment. NULL + error; new reference. */
static struct network *wished_network(const struct planning *p, const struct network_attachment *wish, GError **error)
{
	struct model *model = p->request->engine->model;
	struct network *network;

	if (!wish->network.id && !wish->network.name) {
		error_set(error, ERR_INCOMPLETE, "NetworkAttachment [network.id|name] required for add");
		return NULL;
	}
	network = wish->network.id ? model_get(model, &network_kind, wish->network.id) : host_network_named(model, p->host, wish->network.name);
	if (!network)
		error_set(error, ERR_NOT_FOUND, "network '%.128s'", wish->network.id ? wish->network.id : wish->network.name);
	else if (!cluster_has(model, p->host->cluster.id, network->id)) {
		error_set(error, ERR_OPERATION_FAILED, "network '%s' is not in the cluster of host '%s'", network->name, p->host->name);
		record_unref(network);
		network = NULL;
	}
	return network;
}

/* Name of the interface or bond that is wished: "" none. NULL + error; g_free. */
static char *wished_device(const struct planning *p, const struct network_attachment *wish, GError **error)
{
	const char *device, *bond;

	if (!wish->host_nic_id && !wish->host_nic_name)
		return g_strdup("");
	device = device_named(p, wish->host_nic_id, wish->host_nic_name);
	if (!device) {
		error_set(error, ERR_NOT_FOUND, "host_nic '%.128s' of host '%s' (an interface or a bond)",
			  wish->host_nic_id ? wish->host_nic_id : wish->host_nic_name, p->host->name);
		return NULL;
	}
	bond = bond_with(p, device, NULL);
	if (bond) {
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s' is part of bond '%s': a network goes onto the bond", device, bond);
		return NULL;
	}
	if (goes_away(wished_bond(p, device))) {
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s' is removed by the same request", device);
		return NULL;
	}
	return g_strdup(device);
}

static bool set_addresses(struct network_config *config, const struct network_attachment *wish, GError **error)
{
	const struct address_assignment *given = NULL;

	if (wish->assignments && wish->assignments->len > 1)
		return fail(wish, ERR_UNSUPPORTED_OPERATION, "more than one address is not supported", error);
	if (wish->assignments && wish->assignments->len)
		given = wish->assignments->pdata[0];
	if (given && HAS(given, method) && given->method == BOOT_DHCP) {
		set_string(&config->bootproto, "dhcp");
		return true;
	}
	if (given && HAS(given, method) && given->method == BOOT_NONE)
		return true;
	set_string(&config->ipaddr, given ? given->address : wish->ip_address);
	set_string(&config->netmask, given ? given->netmask : wish->ip_netmask);
	set_string(&config->gateway, given ? given->gateway : wish->ip_gateway);
	if (given && HAS(given, method) && given->method == BOOT_STATIC && !config->ipaddr)
		return fail(wish, ERR_INCOMPLETE, "IpAddressAssignment [ip.address] required for static", error);
	if (config->ipaddr && !config->netmask)
		return fail(wish, ERR_INCOMPLETE, "IpAddressAssignment [ip.netmask] required with ip.address", error);
	if (config->gateway)
		SET(config, default_route, true);
	return true;
}

static bool set_properties(struct network_config *config, const struct network_attachment *wish, GError **error)
{
	for (guint i = 0; wish->properties && i < wish->properties->len; i++) {
		const struct network_property *property = wish->properties->pdata[i];
		g_autofree char *value = g_strstrip(g_strdup(property->value ? property->value : ""));
		g_auto(GStrv) words = NULL;
		g_autofree char *clean = NULL;

		if (!property->name)
			return fail(wish, ERR_INCOMPLETE, "Property [name] required", error);
		if (strcmp(property->name, "bridge_opts")) {
			error_set(error, ERR_OPERATION_FAILED, "properties/property/name: '%s' is not known, only bridge_opts", property->name);
			return false;
		}
		if (!g_regex_match_simple(BRIDGE_OPTS_PATTERN, value, 0, 0)) {
			error_set(error, ERR_OPERATION_FAILED, "properties/property/value: '%s' is not a list of key=value", value);
			return false;
		}
		words = g_regex_split_simple("\\s+", value, 0, 0);
		clean = g_strjoinv(" ", words);
		if (!config->custom)
			config->custom = json_object();
		json_object_set_new(config->custom, property->name, json_string(clean));
	}
	if (config->custom && !config->bridged)
		return fail(wish, ERR_OPERATION_FAILED, "properties: bridge_opts needs a network for VMs, which is a bridge", error);
	return true;
}

/* What the agent is sent for one wish; new reference. */
static json_t *config_of(const struct planning *p, const struct network *network, const struct network_attachment *wish, GError **error)
{
	struct network_config *config = record_new(&network_config_type);
	g_autofree char *device = wished_device(p, wish, error);
	json_t *json = NULL;

	SET(config, bridged, network_carries_vms(network));
	if (device && set_addresses(config, wish, error) && set_properties(config, wish, error)) {
		if (*device) {
			set_string(is_bond(p, device) ? &config->bonding : &config->nic, device);
			config->host_qos = network_host_qos(p->request->engine->model, network);
		}
		if (!config->bootproto)
			set_string(&config->bootproto, "none");
		if (network->vlan)
			SET(config, vlan, network->vlan);
		SET(config, mtu, network->mtu ? network->mtu : MTU_DEFAULT);
		SET(config, stp, network->stp);
		json = record_to_json(config, RECORD_CHANNEL);
	}
	record_unref(config);
	return json;
}

/* The attachment as it is, with what the wish says laid over it; a new record. */
static struct network_attachment *changed(const struct network_attachment *current, const struct network_attachment *wish)
{
	struct network_attachment *whole = record_copy(current);

	if (wish->host_nic_id || wish->host_nic_name) {
		set_string(&whole->host_nic_id, wish->host_nic_id);
		set_string(&whole->host_nic_name, wish->host_nic_name);
	}
	if (wish->assignments || wish->ip_address) {
		CLEAR(whole, assignments);
		if (wish->assignments)
			whole->assignments = g_ptr_array_ref(wish->assignments);
		set_string(&whole->ip_address, wish->ip_address);
		set_string(&whole->ip_netmask, wish->ip_netmask);
		set_string(&whole->ip_gateway, wish->ip_gateway);
	}
	if (wish->properties) {
		CLEAR(whole, properties);
		whole->properties = g_ptr_array_ref(wish->properties);
	}
	return whole;
}

static bool enter(struct planning *p, const char *name, json_t *config, GError **error)
{
	if (!config)
		return false;
	if (json_object_get(p->plan->networks, name)) {
		error_set(error, ERR_BAD_VALUE, "network '%s' is named twice", name);
		json_decref(config);
		return false;
	}
	json_object_set_new(p->plan->networks, name, config);
	return true;
}

/* A network that is where it is because of a label stays there while the label does. */
static bool check_label(const struct planning *p, const struct network_attachment *current, const char *network_label, GError **error)
{
	if (!network_label || !current->host_nic_name || !host_nic_has_label(p->plan->labels, current->host_nic_name, network_label))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "network_attachment '%s': the network and interface '%s' both have the label '%s'", current->name,
		  current->host_nic_name, network_label);
	return false;
}

static bool plan_modified(struct planning *p, const struct network_attachment *wish, GError **error)
{
	const struct network_attachment *current = wish->id ? attachment_by_id(p->current, wish->id) : NULL;
	struct network_attachment *whole = current ? changed(current, wish) : record_ref(wish);
	struct network *network = NULL;
	bool ok = false;

	if (wish->id && !current)
		error_set(error, ERR_NOT_FOUND, "network_attachment '%.128s'", wish->id);
	else if (current && ((wish->network.id && strcmp(wish->network.id, current->network.id)) ||
			     (wish->network.name && g_ascii_strcasecmp(wish->network.name, current->name))))
		error_set(error, ERR_IMMUTABLE, "Attempt to set immutable field: network");
	else if (!current)
		network = wished_network(p, wish, error);
	else if (!(network = model_get(p->request->engine->model, &network_kind, current->network.id)))
		error_set(error, ERR_NOT_FOUND, "network '%s'", current->name);
	if (network) {
		const char *device = whole->host_nic_id || whole->host_nic_name ? device_named(p, whole->host_nic_id, whole->host_nic_name) : NULL;

		ok = (!current || !g_strcmp0(device, current->host_nic_name) || check_label(p, current, network->label, error)) &&
		     enter(p, network->name, config_of(p, network, whole, error), error);
		if (ok && !p->plan->first)
			p->plan->first = g_strdup(network->name);
	}
	record_unref(network);
	record_unref(whole);
	return ok;
}

static bool plan_removed(struct planning *p, const struct network_attachment *wish, GError **error)
{
	const struct network_attachment *current = attachment_by_id(p->current, wish->id);
	struct network *network;
	bool ok;

	if (!current) {
		error_set(error, ERR_NOT_FOUND, "network_attachment '%.128s'", wish->id ? wish->id : "");
		return false;
	}
	network = model_get(p->request->engine->model, &network_kind, current->network.id);
	if (network && network->management)
		ok = fail(current, ERR_OPERATION_FAILED, "the management network cannot be removed from a host", error);
	else
		ok = check_label(p, current, network ? network->label : NULL, error) && enter(p, current->name, json_pack("{s:b}", "remove", true), error);
	record_unref(network);
	return ok;
}

/* Only what the host has and the data center does not. */
static bool plan_unmanaged(struct planning *p, const char *name, GError **error)
{
	if (json_object_get(p->caps->networks, name))
		return enter(p, name, json_pack("{s:b}", "remove", true), error);
	error_set(error, ERR_NOT_FOUND, "network '%.128s' of host '%s'", name, p->host->name);
	return false;
}

/* ---- labels ---- */

static const char *label_text(const struct nic_label *label)
{
	return label->id ? label->id : label->inner_id;
}

static void drop_label(struct planning *p, const char *nic, const char *label)
{
	json_t *list = json_object_get(p->plan->labels, nic);
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
		if (!g_strcmp0(json_string_value(item), label)) {
			json_array_remove(list, i);
			g_hash_table_add(p->dropped_labels, g_strdup_printf("%s %s", nic, label));
			break;
		}
	if (list && !json_array_size(list))
		json_object_del(p->plan->labels, nic);
}

/* The interface that has the label; NULL: none. */
static const char *labelled_nic(const json_t *labels, const char *label)
{
	const char *nic;
	json_t *list;

	json_object_foreach((json_t *)labels, nic, list)
		if (host_nic_has_label(labels, nic, label))
			return nic;
	return NULL;
}

static bool plan_label(struct planning *p, const struct nic_label *wish, GError **error)
{
	const char *label = label_text(wish), *device, *before;
	json_t *list;

	if (!label || (!wish->host_nic_id && !wish->host_nic_name)) {
		error_set(error, ERR_INCOMPLETE, "Label [%s] required", label ? "hostNic.id|name" : "id");
		return false;
	}
	device = device_named(p, wish->host_nic_id, wish->host_nic_name);
	if (!device) {
		error_set(error, ERR_NOT_FOUND, "label '%s': host_nic '%.128s'", label, wish->host_nic_id ? wish->host_nic_id : wish->host_nic_name);
		return false;
	}
	if (bond_with(p, device, NULL)) {
		error_set(error, ERR_OPERATION_FAILED, "label '%s': interface '%s' is part of bond '%s'", label, device, bond_with(p, device, NULL));
		return false;
	}
	before = labelled_nic(p->plan->labels, label);
	if (before && strcmp(before, device)) {
		g_autofree char *copy = g_strdup(before);

		drop_label(p, copy, label);
	}
	list = json_object_get(p->plan->labels, device);
	if (!list) {
		list = json_array();
		json_object_set_new(p->plan->labels, device, list);
	}
	if (!host_nic_has_label(p->plan->labels, device, label))
		json_array_append_new(list, json_string(label));
	return true;
}

static bool plan_label_removal(struct planning *p, const struct nic_label *wish, GError **error)
{
	const char *label = label_text(wish), *nic = label ? labelled_nic(p->plan->labels, label) : NULL;
	g_autofree char *copy = g_strdup(nic);

	if (!nic) {
		error_set(error, label ? ERR_NOT_FOUND : ERR_INCOMPLETE, label ? "label '%.128s'" : "Label [id]%s required", label ? label : "");
		return false;
	}
	drop_label(p, copy, label);
	return true;
}

/* A network of the host's cluster with a label: onto the interface that has it, off the one that had it. What the client says of it himself counts more. */
static bool follow_label(struct planning *p, const struct network *network, GError **error)
{
	const struct network_attachment *current = attachment_of(p, network->id);
	const char *nic = labelled_nic(p->plan->labels, network->label);
	struct network_attachment *wish;
	g_autofree char *left = current && current->host_nic_name ? g_strdup_printf("%s %s", current->host_nic_name, network->label) : NULL;
	bool ok;

	if (json_object_get(p->plan->networks, network->name))
		return true;
	if (!nic)
		return !left || !g_hash_table_contains(p->dropped_labels, left) || network->management ||
		       enter(p, network->name, json_pack("{s:b}", "remove", true), error);
	if (current && !g_strcmp0(current->host_nic_name, nic))
		return true;
	wish = record_new(&network_attachment_type);
	set_string(&wish->id, current ? current->id : NULL);
	set_ref(&wish->network, network->id);
	set_string(&wish->host_nic_name, nic);
	ok = plan_modified(p, wish, error);
	record_unref(wish);
	return ok;
}

static bool follow_labels(struct planning *p, GError **error)
{
	struct model *model = p->request->engine->model;
	g_autoptr(GPtrArray) members = model_children(model, &cluster_network_kind, p->host->cluster.id);
	bool ok = true;

	for (guint i = 0; ok && i < members->len; i++) {
		struct network *network = model_get(model, &network_kind, ((const struct cluster_network *)members->pdata[i])->network.id);

		if (network && network->label)
			ok = follow_label(p, network, error);
		record_unref(network);
	}
	return ok;
}

/* ---- what holds of the whole ---- */

/* Where the network will be: its device ("" none), and whether it is tagged and a bridge. false: it will not be there. */
static bool place_of(const struct planning *p, const char *name, const char **ret_device, bool *ret_tagged, bool *ret_bridged)
{
	const json_t *sent = json_object_get(p->plan->networks, name), *now;

	if (sent) {
		const char *bond = host_json_text(sent, "bonding"), *nic = host_json_text(sent, "nic");

		*ret_device = bond ? bond : nic ? nic : "";
		*ret_tagged = json_object_get(sent, "vlan") != NULL;
		*ret_bridged = host_json_true(sent, "bridged");
		return !goes_away(sent);
	}
	now = json_object_get(p->caps->networks, name);
	*ret_device = host_json_text(now, "southbound") ? host_device_below(p->caps, host_json_text(now, "southbound")) : "";
	*ret_tagged = json_object_get(now, "vlanid") != NULL;
	*ret_bridged = host_json_true(now, "bridged");
	return now != NULL;
}

static bool check_bond_mode(const struct planning *p, const char *bond, const char *network, GError **error)
{
	const json_t *wished = wished_bond(p, bond), *now = host_bond_object(p->caps, bond);
	const char *options = host_json_text(wished, "options"), *mode = host_json_text(json_object_get(now, "opts"), "mode");
	g_auto(GStrv) words = options ? g_strsplit(options, " ", -1) : NULL;
	static const char *const unfit[] = { "0", "5", "6", "balance-rr", "balance-tlb", "balance-alb" };

	for (char **word = words; word && *word; word++)
		if (g_str_has_prefix(*word, "mode="))
			mode = *word + 5;
	for (size_t i = 0; mode && i < G_N_ELEMENTS(unfit); i++)
		if (!strcmp(mode, unfit[i]))
			return bond_fail(bond, ERR_OPERATION_FAILED, error, "mode %s cannot carry network '%s', which is for VMs", mode, network);
	return true;
}

static bool check_place(const struct planning *p, const char *name, GHashTable *untagged, GError **error)
{
	const char *device, *other, *bond;
	bool tagged, bridged;

	if (!place_of(p, name, &device, &tagged, &bridged) || !*device)
		return true;
	bond = bond_with(p, device, NULL);
	if (bond)
		return bond_fail(bond, ERR_OPERATION_FAILED, error, "bonding/slaves: '%s' has the network '%s'", device, name);
	if (goes_away(wished_bond(p, device)))
		return bond_fail(device, ERR_OPERATION_FAILED, error, "it cannot be removed: network '%s' is on it", name);
	if (is_bond(p, device) && bridged && !check_bond_mode(p, device, name, error))
		return false;
	other = tagged ? NULL : g_hash_table_lookup(untagged, device);
	if (other) {
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s': networks '%s' and '%s' both without VLAN tag", device, other, name);
		return false;
	}
	if (!tagged)
		g_hash_table_insert(untagged, (gpointer)device, (gpointer)name);
	return true;
}

static bool check_bonds(const struct planning *p, GError **error)
{
	const char *bond, *other;
	json_t *sent, *member;
	size_t i;

	json_object_foreach(p->plan->bonds, bond, sent)
		json_array_foreach(json_object_get(sent, "nics"), i, member) {
			other = bond_with(p, json_string_value(member), bond);
			if (other)
				return bond_fail(bond, ERR_OPERATION_FAILED, error, "bonding/slaves: '%s' is part of bond '%s'", json_string_value(member), other);
		}
	return true;
}

static bool check_whole(const struct planning *p, GError **error)
{
	g_autoptr(GHashTable) untagged = g_hash_table_new(g_str_hash, g_str_equal);
	const char *name;
	json_t *value;

	if (!check_bonds(p, error))
		return false;
	json_object_foreach(p->plan->networks, name, value)
		if (!check_place(p, name, untagged, error))
			return false;
	if (p->caps->networks)
		json_object_foreach(p->caps->networks, name, value)
			if (!json_object_get(p->plan->networks, name) && !check_place(p, name, untagged, error))
				return false;
	return true;
}

/* ---- all of it ---- */

#define EACH(list, type, step) \
	for (guint i_ = 0; (list) && i_ < (list)->len; i_++) \
		if (!step(&p, (const type *)(list)->pdata[i_], error)) \
			goto end;

bool network_plan_make(struct request *request, const struct host *host, const struct host_caps *caps, const struct network_setup *setup,
		       struct network_plan *ret_plan, GError **error)
{
	struct network_plan plan = { json_object(), json_object(), host->nic_labels ? json_deep_copy(host->nic_labels) : json_object(), NULL };
	struct planning p = { request, host, caps, host_attachments(request, host, caps), &plan, NULL };
	bool ok = false;

	p.dropped_labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	EACH(setup->removed_bonds, struct host_nic, plan_bond_removal)
	EACH(setup->modified_bonds, struct host_nic, plan_bond)
	EACH(setup->removed_labels, struct nic_label, plan_label_removal)
	EACH(setup->modified_labels, struct nic_label, plan_label)
	EACH(setup->modified, struct network_attachment, plan_modified)
	EACH(setup->synchronized, struct network_attachment, plan_modified)
	EACH(setup->removed, struct network_attachment, plan_removed)
	EACH(setup->removed_unmanaged, char, plan_unmanaged)
	ok = follow_labels(&p, error) && check_whole(&p, error);
end:
	g_hash_table_unref(p.dropped_labels);
	g_ptr_array_unref(p.current);
	if (ok)
		*ret_plan = plan;
	else
		network_plan_clear(&plan);
	return ok;
}

void network_plan_clear(struct network_plan *plan)
{
	json_decref(plan->networks);
	json_decref(plan->bonds);
	json_decref(plan->labels);
	g_free(plan->first);
}
