/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks and bonds of Open vSwitch: what they may say, and what of it they need.
 *
 *   nic --(ovs)--> bridge "vdsmbr_1a2b3c4d" <--(ovs)-- port "blue", of VLAN 5
 *                                           <--(ovs)-- port "mgmt", of what has no VLAN
 *
 * One bridge for each nic or bond, named after it, and one for each network without them. A bond is a port of the bridge with several nics. A network
 * is a port that Open vSwitch makes, a link of the kernel with the host's addresses; machines of the network get ports of their own in its VLAN. A
 * port without a VLAN is of VLAN 0, as an access port: without that it would have the frames of all VLANs.
 */
#include <string.h>
#include "agent/net/net-priv.h"

bool net_is_ovs(const char *switch_type)
{
	return !g_strcmp0(switch_type, "ovs");
}

char *net_ovs_bridge(const char *name, const struct network_config *config)
{
	const char *lower = config && net_given(config->nic) ? config->nic : config && net_given(config->bonding) ? config->bonding : NULL;
	g_autofree char *key = lower ? g_strdup(lower) : g_strconcat("/", name, NULL);         /* no nic is named so */

	return g_strdup_printf("vdsmbr_%08x", g_str_hash(key));
}

int net_ovs_tag(const struct network_config *config)
{
	return HAS(config, vlan) ? config->vlan : 0;
}

/* ---- what may be asked for ---- */

bool net_check_ovs(const char *name, const struct network_config *config, GError **error)
{
	const struct { const char *member; bool given; } none[] = {
		{ "stp", config->stp }, { "custom/bridge_opts", net_given(json_string_value(json_object_get(config->custom, "bridge_opts"))) },
		{ "hostQos", json_object_size(config->host_qos) > 0 }, { "overlay", config->overlay != NULL },
		{ "forward", g_strcmp0(config->forward, "bridge") != 0 }, { "subnets", config->subnets && config->subnets->len },
		{ "portForwards", json_array_size(config->port_forwards) > 0 }, { "outboundNat", json_object_size(config->outbound_nat) > 0 },
	};

	for (size_t i = 0; net_is_ovs(config->switch_type) && i < G_N_ELEMENTS(none); i++)
		if (none[i].given) {
			error_set(error, ERR_UNSUPPORTED_OPERATION, "network '%s': %s is not supported with switch 'ovs'", name, none[i].member);
			return false;
		}
	return true;
}

/* Options of a bond -> members of its port. Numbers are those of the kernel's bonding driver, where it has the same. */
static const struct bond_option { const char *name, *value, *member, *set; } options[] = {
	{ "mode", "active-backup", "bond_mode", "active-backup" }, { "mode", "1", "bond_mode", "active-backup" },
	{ "mode", "balance-slb", "bond_mode", "balance-slb" }, { "mode", "balance-tcp", "bond_mode", "balance-tcp" },
	{ "mode", "802.3ad", "bond_mode", "balance-tcp" }, { "mode", "4", "bond_mode", "balance-tcp" }, { "mode", "lacp", "bond_mode", "balance-tcp" },
	{ "lacp", "off", "lacp", "off" }, { "lacp", "active", "lacp", "active" }, { "lacp", "passive", "lacp", "passive" },
	{ "lacp_rate", "fast", "other_config:lacp-time", "fast" }, { "lacp_rate", "1", "other_config:lacp-time", "fast" },
	{ "lacp_rate", "slow", "other_config:lacp-time", "slow" }, { "lacp_rate", "0", "other_config:lacp-time", "slow" },
	{ "miimon", NULL, "other_config:bond-miimon-interval", NULL }, { "updelay", NULL, "bond_updelay", NULL },
	{ "downdelay", NULL, "bond_downdelay", NULL }, { "primary", "", "other_config:bond-primary", NULL },
};

#define DELAY_MAX_MS 3600000

static bool set_option(const char *bond, json_t *port, const char *word, GError **error)
{
	g_auto(GStrv) pair = g_strsplit(word, "=", 2);
	const char *name = pair[0], *value = pair[1] ? pair[1] : "";
	bool known = false;
	guint64 number;

	if (!strcmp(name, "bond_mode"))
		name = "mode";
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
		const struct bond_option *o = &options[i];

		if (strcmp(o->name, name))
			continue;
		known = true;
		if (o->value && *o->value ? strcmp(o->value, value) : o->value ? !*value :
		    !g_ascii_string_to_unsigned(value, 10, 0, DELAY_MAX_MS, &number, NULL))
			continue;
		json_object_set_new(port, o->member, json_string(o->set ? o->set : value));
		return true;
	}
	error_set(error, ERR_BAD_BONDING, known ? "bond '%s': option %s: '%s' is none of its values with switch 'ovs'" :
		  "bond '%s': there is no option '%s' with switch 'ovs'", bond, name, value);
	return false;
}

static void drop_zero(json_t *port, const char *member)
{
	if (g_ascii_strtoull(json_string_value(json_object_get(port, member)) ? json_string_value(json_object_get(port, member)) : "1", NULL, 10) == 0)
		json_object_del(port, member);
}

/* The port of the bond, without its interfaces. New reference; NULL + error */
static json_t *bond_port(const char *name, const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text ? text : "", " ", -1);
	json_t *port = json_object();
	const char *mode, *lacp;

	for (size_t i = 0; words[i]; i++)
		if (*words[i] && !set_option(name, port, words[i], error)) {
			json_decref(port);
			return NULL;
		}
	mode = json_string_value(json_object_get(port, "bond_mode"));
	lacp = json_string_value(json_object_get(port, "lacp"));
	if (!mode)
		json_object_set_new(port, "bond_mode", json_string("active-backup"));
	else if (!strcmp(mode, "balance-tcp") && !lacp)
		json_object_set_new(port, "lacp", json_string("active"));
	else if (!strcmp(mode, "balance-tcp") && !strcmp(lacp, "off")) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': mode '%s' needs lacp, which is 'off'", name, mode);
		json_decref(port);
		return NULL;
	}
	drop_zero(port, "bond_updelay");
	drop_zero(port, "bond_downdelay");
	drop_zero(port, "other_config:bond-miimon-interval");
	if (json_object_get(port, "other_config:bond-miimon-interval"))
		json_object_set_new(port, "other_config:bond-detect-mode", json_string("miimon"));
	return port;
}

bool net_check_ovs_bond(const char *name, const struct bond_config *config, GError **error)
{
	json_t *port = bond_port(name, config->options, error);
	const char *primary = json_string_value(json_object_get(port, "other_config:bond-primary"));
	bool good = port != NULL;

	if (good && net_given(config->hwaddr)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "bond '%s': hwaddr is not supported with switch 'ovs'", name);
		good = false;
	}
	if (good && primary && !g_ptr_array_find_with_equal_func(config->nics, primary, g_str_equal, NULL)) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': primary '%s' is none of its nics", name, primary);
		good = false;
	}
	json_decref(port);
	return good;
}

/* ---- what it needs ---- */

static int compare(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct net_want *add_bridge(struct net_topology *topology, const char *name, GError **error)
{
	struct net_want *bridge = net_want_find(topology, name);

	if (bridge) {
		error_set(error, ERR_BAD_BRIDGE, "'%s' cannot be the name of an Open vSwitch bridge: it is that of another link", name);
		return NULL;
	}
	bridge = net_want_add(topology, "ovsbridge", name);
	bridge->ports = json_object();
	return bridge;
}

static void add_nic(struct net_topology *topology, struct net_want *bridge, const char *name)
{
	struct net_want *nic = net_want_add(topology, "", name);

	nic->ovs = g_strdup(bridge->name);
}

bool net_ovs_add_bond(struct net_topology *topology, const char *name, const struct bond_config *config, GError **error)
{
	g_autofree char *bridge_name = g_strdup_printf("vdsmbr_%08x", g_str_hash(name));
	g_autoptr(GPtrArray) nics = g_ptr_array_new();
	struct net_want *bridge = add_bridge(topology, bridge_name, error), *other = net_want_find(topology, name);
	json_t *port;

	if (!bridge)
		return false;
	if (other) {
		error_set(error, ERR_BAD_BONDING, "bond '%s' is a nic of another bond", name);
		return false;
	}
	if (!(port = bond_port(name, config->options, error)))
		return false;
	bridge->bond = g_strdup(name);
	g_hash_table_insert(topology->index, bridge->bond, bridge);
	g_hash_table_add(bridge->users, g_strdup(name));
	for (guint i = 0; i < config->nics->len; i++) {
		const char *nic = config->nics->pdata[i];

		if ((other = net_want_find(topology, nic))) {
			error_set(error, *other->kind ? ERR_BAD_BONDING : ERR_USED_NIC, "bond '%s': nic '%s' is %s", name, nic,
				  *other->kind ? "a bond itself" : "in another bond");
			json_decref(port);
			return false;
		}
		add_nic(topology, bridge, nic);
		g_ptr_array_add(nics, (char *)nic);
	}
	g_ptr_array_sort(nics, compare);
	g_ptr_array_add(nics, NULL);
	g_autofree char *text = g_strjoinv(" ", (char **)nics->pdata);
	json_object_set_new(port, "interfaces", json_string(text));
	json_object_set_new(bridge->ports, name, port);
	return true;
}

/* The bridge of the network, with its nic in it. */
static struct net_want *bridge_of(struct net_topology *topology, const char *name, const struct network_config *config, GError **error)
{
	g_autofree char *bridge_name = net_ovs_bridge(name, config);
	const char *lower = net_given(config->nic) ? config->nic : config->bonding;
	struct net_want *bridge = net_want_find(topology, bridge_name), *below = net_given(lower) ? net_want_find(topology, lower) : NULL;

	if (!net_given(config->nic) && net_given(config->bonding)) {
		if (below && !strcmp(below->kind, "ovsbridge"))
			return below;
		error_set(error, ERR_USED_BOND, "network '%s' with switch 'ovs': bond '%s' %s", name, lower,
			  below ? "has switch 'legacy'" : "is none of those that are set up with switch 'ovs'");
		return NULL;
	}
	if (below && (*below->kind || g_strcmp0(below->ovs, bridge_name))) {
		const struct net_want *master = net_want_find(topology, below->master);

		error_set(error, ERR_USED_NIC, "network '%s' with switch 'ovs': nic '%s' %s", name, lower,
			  *below->kind ? "is a bond" : below->ovs || (master && !strcmp(master->kind, "bond")) ? "is in a bond" : "is that of a network with switch 'legacy'");
		return NULL;
	}
	if (below)
		return bridge;
	if (!(bridge = add_bridge(topology, bridge_name, error)))
		return NULL;
	if (net_given(lower)) {
		add_nic(topology, bridge, lower);
		json_object_set_new(bridge->ports, lower, json_pack("{s:s}", "interfaces", lower));
	}
	return bridge;
}

struct net_want *net_ovs_add_network(struct net_topology *topology, const char *name, const struct network_config *config, GError **error)
{
	struct net_want *bridge = bridge_of(topology, name, config, error), *port;
	g_autofree char *tag = g_strdup_printf("%d", net_ovs_tag(config));
	g_autofree char *mtu = g_strdup_printf("%d", config->mtu);
	const char *other;
	json_t *object;

	if (!bridge)
		return NULL;
	json_object_foreach(bridge->ports, other, object) {
		if (g_strcmp0(json_string_value(json_object_get(object, "tag")), tag))
			continue;
		if (net_ovs_tag(config))
			error_set(error, ERR_BAD_VLAN, "network '%s': vlan %s on '%s' is network '%s' already", name, tag,
				  net_given(config->nic) ? config->nic : config->bonding, other);
		else
			error_set(error, bridge->bond ? ERR_USED_BOND : ERR_USED_NIC, "network '%s': '%s' carries network '%s' without a VLAN already", name,
				  net_given(config->nic) ? config->nic : config->bonding, other);
		return NULL;
	}
	if (net_want_find(topology, name)) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s': its port cannot be named as the link of the same name", name);
		return NULL;
	}
	port = net_want_add(topology, "ovs", name);
	port->ovs = g_strdup(bridge->name);
	port->vlan = net_ovs_tag(config);
	port->untagged = g_strdup(name);
	if (!port->vlan)
		bridge->untagged = g_strdup(name);
	bridge->mtu = MAX(bridge->mtu, (unsigned)config->mtu);
	g_hash_table_add(bridge->users, g_strdup(name));
	json_object_set_new(bridge->ports, name, json_pack("{s:s, s:s, s:s, s:s}", "interfaces", name, "type", "internal", "tag", tag, "mtu_request", mtu));
	return port;
}
