/* SPDX-License-Identifier: Apache-2.0 */
/* Attachments as the capabilities show them. See host_network.h; changing them is in host_setup.c. */
#include "engine/api/host_network.h"

#include <string.h>

#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/qos.h"

#define MTU_DEFAULT 1500

#define CU (CREATE | UPDATE)

static const struct field assignment_fields[] = {
	FIELD_STRING_(struct address_assignment, address, "ip@address", CU, "address", .max = 64),
	FIELD_STRING_(struct address_assignment, netmask, "ip@netmask", CU, "mask", .max = 64),
	FIELD_STRING_(struct address_assignment, gateway, "ip@gateway", CU, "gateway", .max = 64),
	FIELD_ENUM_(struct address_assignment, method, "assignment_method", CU, boot_protocol_names, "how the address is got"),
};
const struct record_type address_assignment_type =
	RECORD_TYPE("ip_address_assignment", NULL, struct address_assignment, assignment_fields, "An address of a host on a network");

static const struct field property_fields[] = {
	FIELD_STRING_(struct network_property, name, "name", CU, "name", .min = 1, .max = 255),
	FIELD_STRING_(struct network_property, value, "value", CU, "value", .max = 4096),
};
const struct record_type network_property_type = RECORD_TYPE("property", NULL, struct network_property, property_fields, "A custom property");

static const struct field reported_fields[] = {
	FIELD_STRING_(struct reported_configuration, name, "name", READ_ONLY, "what is compared"),
	FIELD_STRING_(struct reported_configuration, expected, "expected_value", READ_ONLY, "as the network says"),
	FIELD_STRING_(struct reported_configuration, actual, "actual_value", READ_ONLY, "as the host has it"),
	FIELD_BOOL_(struct reported_configuration, in_sync, "in_sync", READ_ONLY, "they are the same"),
};
const struct record_type reported_configuration_type =
	RECORD_TYPE("reported_configuration", NULL, struct reported_configuration, reported_fields, "A value of the network and of the host");

static const struct field attachment_fields[] = {
	FIELD_STRING_(struct network_attachment, id, "@id", CREATE, "identity, made from the network's name", .max = 64),
	FIELD_STRING_(struct network_attachment, name, "name", INTERNAL, "name of the network"),
	FIELD_REF_(struct network_attachment, network, "network", CREATE | WEAK, "networks", "network that the host has"),
	FIELD_STRING_(struct network_attachment, host_nic_href, "host_nic@href", READ_ONLY, "where the interface is shown"),
	FIELD_STRING_(struct network_attachment, host_nic_id, "host_nic@id", CU, "interface it is on; none: a bridge without ports", .max = 64),
	FIELD_STRING_(struct network_attachment, host_nic_name, "host_nic/name", CU | INPUT_ONLY, "or its name", .max = 64),
	FIELD_LIST_(struct network_attachment, assignments, "ip_address_assignments/ip_address_assignment", CU, &address_assignment_type, "addresses of the host"),
	FIELD_STRING_(struct network_attachment, ip_address, "ip@address", CU | INPUT_ONLY, "short form of one static address", .max = 64),
	FIELD_STRING_(struct network_attachment, ip_netmask, "ip@netmask", CU | INPUT_ONLY, "its mask", .max = 64),
	FIELD_STRING_(struct network_attachment, ip_gateway, "ip@gateway", CU | INPUT_ONLY, "its gateway", .max = 64),
	FIELD_LIST_(struct network_attachment, properties, "properties/property", CU, &network_property_type, "custom properties, for hook scripts"),
	FIELD_BOOL_(struct network_attachment, in_sync, "reported_configurations/in_sync", READ_ONLY, "the host has the network as it is defined"),
	FIELD_LIST_(struct network_attachment, reported, "reported_configurations/reported_configuration", READ_ONLY, &reported_configuration_type, "in detail"),
	FIELD_REF_(struct network_attachment, host, "host", READ_ONLY | WEAK, "hosts", "the host"),
};
const struct record_type network_attachment_type =
	RECORD_TYPE("network_attachment", "network_attachments", struct network_attachment, attachment_fields, "A network that a host has");

static const struct field nic_label_fields[] = {
	FIELD_STRING_(struct nic_label, id, "@id", CREATE, "the label itself", .min = 1, .max = 50, .pattern = LABEL_PATTERN),
	FIELD_STRING_(struct nic_label, inner_id, "label@id", CREATE | INPUT_ONLY, "another place of the label", .min = 1, .max = 50, .pattern = LABEL_PATTERN),
	FIELD_STRING_(struct nic_label, host_nic_id, "host_nic@id", CREATE, "interface that has it", .max = 64),
	FIELD_STRING_(struct nic_label, host_nic_name, "host_nic/name", CREATE | INPUT_ONLY, "or its name", .max = 64),
};
const struct record_type nic_label_type = RECORD_TYPE("label", "labels", struct nic_label, nic_label_fields, "Ties networks to interfaces of hosts");

/* Name-based (version 3). */
char *host_part_id(const char *what, const char *host_id, const char *name)
{
	g_autofree char *whole = g_strdup_printf("%s/%s/%s", host_id, what, name);
	g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_MD5, whole, -1);

	hex[12] = '3';
	hex[16] = "89ab"[g_ascii_xdigit_value(hex[16]) & 3];
	return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

struct network *host_network_named(struct model *model, const struct host *host, const char *name)
{
	struct cluster *cluster = host->cluster.id ? model_get(model, &cluster_kind, host->cluster.id) : NULL;
	g_autoptr(GPtrArray) networks = NULL;
	struct network *found = NULL;

	if (cluster && cluster->data_center.id)
		networks = model_referring(model, &network_kind, offsetof(struct network, data_center), cluster->data_center.id);
	for (guint i = 0; networks && i < networks->len && !found; i++)
		if (!g_ascii_strcasecmp(object_name(networks->pdata[i]), name))
			found = record_ref(networks->pdata[i]);
	record_unref(cluster);
	return found;
}

/* ---- one attachment ---- */

const char *host_json_text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value && *value ? value : NULL;
}

bool host_json_true(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_true(value) || !g_strcmp0(json_string_value(value), "true");
}

double host_json_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : json_is_string(value) ? g_ascii_strtod(json_string_value(value), NULL) : 0;
}

static void report(struct network_attachment *attachment, const char *name, const char *expected, const char *actual)
{
	struct reported_configuration *row = list_add(&attachment->reported, &reported_configuration_type);

	set_string(&row->name, name);
	set_string(&row->expected, expected);
	set_string(&row->actual, actual);
	SET(row, in_sync, !g_strcmp0(expected, actual));
	if (!row->in_sync)
		SET(attachment, in_sync, false);
}

bool network_carries_vms(const struct network *network)
{
	bool any = network->usages && network->usages->len;

	for (guint i = 0; any && i < network->usages->len; i++)
		if (!g_ascii_strcasecmp(network->usages->pdata[i], "vm"))
			return true;
	return !any;
}

#define BITS_PER_MBIT 1000000

/* The curves of the agent, the names that attachments call them, and where a QoS has them. A share is no rate, but a curve is all the same. */
static const struct { const char *curve, *reported; size_t member; } curves[] = {
	{ "ls", "outAverageLinkShare", offsetof(struct qos, outbound_average_linkshare) },
	{ "ul", "outAverageUpperLimit", offsetof(struct qos, outbound_average_upperlimit) },
	{ "rt", "outAverageRealTime", offsetof(struct qos, outbound_average_realtime) },
};

json_t *network_host_qos(struct model *model, const struct network *network)
{
	struct qos *qos = network->qos.id ? model_get(model, &qos_kind, network->qos.id) : NULL;
	json_t *out = qos ? json_object() : NULL;

	for (size_t i = 0; qos && i < G_N_ELEMENTS(curves); i++) {
		json_int_t rate = *(const int *)(const void *)((const char *)qos + curves[i].member);

		if (rate)
			json_object_set_new(out, curves[i].curve, json_pack("{s:I}", "m2", rate * BITS_PER_MBIT));
	}
	record_unref(qos);
	return out ? json_pack("{s:o}", "out", out) : NULL;
}

static char *rate_text(const json_t *host_qos, const char *curve)
{
	double rate = host_json_number(json_object_get(json_object_get(host_qos, "out"), curve), "m2");

	return rate > 0 ? g_strdup_printf("%.15g", rate / BITS_PER_MBIT) : NULL;
}

static void compare_qos(struct network_attachment *attachment, const json_t *wished, const json_t *found)
{
	const json_t *actual = json_object_get(found, "hostQos");

	for (size_t i = 0; (wished || actual) && i < G_N_ELEMENTS(curves); i++) {
		g_autofree char *expected_text = rate_text(wished, curves[i].curve), *actual_text = rate_text(actual, curves[i].curve);

		report(attachment, curves[i].reported, expected_text, actual_text);
	}
}

static void compare(struct network_attachment *attachment, const struct network *network, const json_t *found)
{
	g_autofree char *mtu = g_strdup_printf("%d", network->mtu ? network->mtu : MTU_DEFAULT);
	g_autofree char *vlan = network->vlan ? g_strdup_printf("%d", network->vlan) : NULL;
	const json_t *actual_vlan = json_object_get(found, "vlanid");
	g_autofree char *actual = json_is_integer(actual_vlan) ? g_strdup_printf("%d", (int)json_integer_value(actual_vlan))
								: g_strdup(host_json_text(found, "vlanid"));

	SET(attachment, in_sync, true);
	report(attachment, "mtu", mtu, host_json_text(found, "mtu"));
	report(attachment, "bridged", network_carries_vms(network) ? "true" : "false", host_json_true(found, "bridged") ? "true" : "false");
	report(attachment, "vlan", vlan, actual);
}

static void compare_text(struct network_attachment *attachment, const char *name, const json_t *sent, const char *key, const json_t *found, const char *actual_key)
{
	report(attachment, name, host_json_text(sent, key), host_json_text(found, actual_key));
}

/* What was sent last is what is expected; of a network that the host had before, what it has. */
static void compare_addresses(struct network_attachment *attachment, const json_t *sent, const json_t *found)
{
	static const char *const words[] = { [BOOT_DHCP] = "DHCP", [BOOT_STATIC] = "STATIC_IP", [BOOT_NONE] = "NONE" };
	int actual = host_json_true(found, "dhcpv4") ? BOOT_DHCP : host_json_text(found, "addr") ? BOOT_STATIC : BOOT_NONE;
	int wished = !g_strcmp0(host_json_text(sent, "bootproto"), "dhcp") ? BOOT_DHCP : host_json_text(sent, "ipaddr") ? BOOT_STATIC : BOOT_NONE;
	int expected = sent ? wished : actual;

	report(attachment, "boot_protocol", words[expected], words[actual]);
	if (!sent || expected != BOOT_STATIC)
		return;
	compare_text(attachment, "ip_address", sent, "ipaddr", found, "addr");
	compare_text(attachment, "netmask", sent, "netmask", found, "netmask");
	compare_text(attachment, "gateway", sent, "gateway", found, "gateway");
}

static void fill_properties(struct network_attachment *attachment, const json_t *sent)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(sent, "custom"), name, value) {
		struct network_property *property = list_add(&attachment->properties, &network_property_type);

		set_string(&property->name, name);
		set_string(&property->value, json_string_value(value));
	}
}

static void fill_addresses(struct network_attachment *attachment, const json_t *found)
{
	struct address_assignment *assignment = list_add(&attachment->assignments, &address_assignment_type);

	set_string(&assignment->address, host_json_text(found, "addr"));
	set_string(&assignment->netmask, host_json_text(found, "netmask"));
	set_string(&assignment->gateway, host_json_text(found, "gateway"));
	SET(assignment, method, host_json_true(found, "dhcpv4") ? BOOT_DHCP : assignment->address ? BOOT_STATIC : BOOT_NONE);
}

static bool host_is_device(const struct host_caps *caps, const char *name)
{
	return host_nic_object(caps, name) || host_bond_object(caps, name);
}

/* The interface or bond of the host that is below the network; NULL: none. */
static const char *nic_below(const struct host_caps *caps, const json_t *found)
{
	const char *southbound = host_json_text(found, "southbound"), *device;
	size_t i;
	json_t *item;

	if (southbound && host_is_device(caps, host_device_below(caps, southbound)))
		return host_device_below(caps, southbound);
	json_array_foreach(json_object_get(found, "ports"), i, item) {
		device = json_string_value(item) ? host_device_below(caps, json_string_value(item)) : NULL;
		if (device && host_is_device(caps, device))
			return device;
	}
	return NULL;
}

static struct network_attachment *make(struct request *request, const struct host *host, const struct host_caps *caps, const struct network *network,
				       const json_t *found)
{
	struct network_attachment *attachment = record_new(&network_attachment_type);
	const char *nic = nic_below(caps, found);
	const json_t *sent = json_object_get(host->networks, network->name);
	json_t *wished = network_host_qos(request->engine->model, network);

	attachment->id = host_part_id("attachment", host->id, network->name);
	set_string(&attachment->name, network->name);
	set_ref(&attachment->network, network->id);
	if (nic) {
		attachment->host_nic_id = host_part_id("nic", host->id, nic);
		attachment->host_nic_href = g_strdup_printf("%s/hosts/%s/nics/%s", request->base, host->id, attachment->host_nic_id);
		set_string(&attachment->host_nic_name, nic);
	}
	fill_addresses(attachment, found);
	fill_properties(attachment, sent);
	compare(attachment, network, found);
	compare_addresses(attachment, sent, found);
	compare_qos(attachment, nic ? wished : NULL, found);
	json_decref(wished);
	set_ref(&attachment->host, host->id);
	return attachment;
}

GPtrArray *host_attachments(struct request *request, const struct host *host, const struct host_caps *caps)
{
	GPtrArray *list = list_new();
	const char *name;
	json_t *found;

	if (caps && caps->networks)
		json_object_foreach(caps->networks, name, found) {
			struct network *network = host_network_named(request->engine->model, host, name);

			if (network)
				g_ptr_array_add(list, make(request, host, caps, network, found));
			record_unref(network);
		}
	return list;
}
