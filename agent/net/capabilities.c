/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network part of Host.getCapabilities, and Host.getNetworkCapabilities: read from the kernel at each call; only which links are networks comes from
 * the running configuration, or that which is tried and nobody confirmed yet. What differs from it is what a plan from the kernel's state to it would
 * change. Who asks while links change waits for that, milliseconds.
 */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include "agent/net/net-priv.h"

static void set_text(json_t *object, const char *name, const char *value)
{
	json_object_set_new(object, name, json_string(value));
}

/* The host's, or that of the network's own routing table. */
static const struct net_route *default_route(const struct net_link *link, int family)
{
	const struct net_route *best = NULL;

	for (guint i = 0; i < link->routes->len; i++) {
		const struct net_route *route = link->routes->pdata[i];

		if (route->family == family && !strcmp(route->destination, "default") && (!best || route->table == RT_TABLE_MAIN))
			best = route;
	}
	return best;
}

static bool is_main(const struct net_route *route)
{
	return route && route->table == RT_TABLE_MAIN;
}

/* The members every device has. */
static json_t *device(const struct net_link *link)
{
	const struct net_route *route4 = default_route(link, AF_INET), *route6 = default_route(link, AF_INET6);
	json_t *object = json_object(), *ipv4 = json_array(), *ipv6 = json_array();
	g_autofree char *mtu = g_strdup_printf("%u", link->mtu);
	g_autofree char *address = NULL;
	g_autofree char *netmask = NULL;

	for (guint i = 0; i < link->addresses->len; i++) {
		const struct net_address *a = link->addresses->pdata[i];
		struct net_prefix prefix;

		json_array_append_new(a->family == AF_INET ? ipv4 : ipv6, json_string(a->text));
		if (a->family != AF_INET || address || !net_prefix_parse(a->text, &prefix))
			continue;
		address = g_strndup(a->text, strcspn(a->text, "/"));
		netmask = net_mask_text(prefix.length);
	}
	set_text(object, "addr", address ? address : "");
	set_text(object, "netmask", netmask ? netmask : "");
	set_text(object, "gateway", route4 ? route4->gateway : "");
	json_object_set_new(object, "ipv4addrs", ipv4);
	json_object_set_new(object, "ipv6addrs", ipv6);
	set_text(object, "ipv6gateway", route6 ? route6->gateway : "::");
	json_object_set_new(object, "ipv6autoconf", json_boolean(link->accept_ra > 0));
	json_object_set_new(object, "ipv4defaultroute", json_boolean(is_main(route4)));
	json_object_set_new(object, "dhcpv4", json_false());
	json_object_set_new(object, "dhcpv6", json_false());
	set_text(object, "mtu", mtu);
	return object;
}

static json_t *ports_of(const struct net_state *state, const struct net_link *bridge)
{
	json_t *ports = json_array();

	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		if (link->master == bridge->index)
			json_array_append_new(ports, json_string(link->name));
	}
	return ports;
}

static const char *option(const struct net_link *link, const char *name)
{
	const char *value = link->options ? g_hash_table_lookup(link->options, name) : NULL;

	return value ? value : "";
}

/* all: also those that are as the kernel makes them */
static json_t *options_object(const struct net_link *link, bool all)
{
	json_t *object = json_object();
	GHashTableIter iter;
	void *name, *value;

	if (!link->options)
		return object;
	g_hash_table_iter_init(&iter, link->options);
	while (g_hash_table_iter_next(&iter, &name, &value))
		if (all || strcmp(value, net_option_standard(link->kind, name)))
			set_text(object, name, value);
	return object;
}

static const char *stp_text(const struct net_link *link)
{
	return strcmp(option(link, "stp_state"), "0") && *option(link, "stp_state") ? "on" : "off";
}

static json_t *bridge_object(const struct net_state *state, const struct net_link *bridge)
{
	json_t *object = device(bridge);

	json_object_set_new(object, "ports", ports_of(state, bridge));
	set_text(object, "stp", stp_text(bridge));
	json_object_set_new(object, "opts", options_object(bridge, /* all= */ true));
	return object;
}

static json_t *bond_object(const struct net_state *state, const struct net_link *bond)
{
	json_t *object = device(bond), *options = options_object(bond, /* all= */ false);
	const char *duplex;
	int speed;

	net_link_speed(bond->name, &speed, &duplex);
	set_text(options, "mode", option(bond, "mode"));
	set_text(object, "hwaddr", bond->mac);
	json_object_set_new(object, "slaves", ports_of(state, bond));
	set_text(object, "active_slave", bond->active_slave ? bond->active_slave : "");
	json_object_set_new(object, "opts", options);
	json_object_set_new(object, "speed", json_integer(speed));
	set_text(object, "switch", "legacy");
	if (bond->aggregator)
		json_object_set_new(object, "ad_aggregator_id", json_sprintf("%d", bond->aggregator));
	if (bond->partner_mac)
		set_text(object, "ad_partner_mac", bond->partner_mac);
	return object;
}

static json_t *vlan_object(const struct net_state *state, const struct net_link *vlan)
{
	const struct net_link *lower = net_state_index(state, vlan->lower);
	json_t *object = device(vlan);

	set_text(object, "iface", lower ? lower->name : "");
	json_object_set_new(object, "vlanid", json_integer(vlan->vlan));
	return object;
}

/* ---- Open vSwitch ---- */

/* Ports of the bridge: all (tag NULL), or those that a network of this VLAN has, its own excepted. */
static json_t *ovs_ports(const json_t *bridge, const char *own, const char *tag)
{
	json_t *ports = json_array(), *port;
	const char *name;

	json_object_foreach(json_object_get(bridge, "ports"), name, port) {
		const char *its = json_string_value(json_object_get(port, "tag"));

		if (!tag || (strcmp(name, own) && (!its || !strcmp(its, tag))))
			json_array_append_new(ports, json_string(name));
	}
	return ports;
}

/* The bond of this bridge; link: the one that the bridge has itself. */
static json_t *ovs_bond_object(const struct net_state *state, const struct net_want *want, const json_t *port, const struct net_link *link)
{
	json_t *object = device(link), *slaves = json_array(), *options = json_object(), *value;
	g_auto(GStrv) nics = g_strsplit(json_string_value(json_object_get(port, "interfaces")), " ", -1);
	const char *active = json_string_value(json_object_get(port, "active")), *member, *duplex;
	const struct net_link *nic = NULL;
	int speed = 0;

	for (size_t i = 0; nics[i]; i++) {
		const struct net_link *slave = net_state_link(state, nics[i]);

		json_array_append_new(slaves, json_string(nics[i]));
		if (slave && (!nic || !g_strcmp0(slave->mac, active)))
			nic = slave;
	}
	json_object_foreach(json_object_get(want->ports, want->bond), member, value) {
		const json_t *actual = json_object_get(port, member);

		if (strcmp(member, "interfaces") && actual)
			json_object_set(options, !strcmp(member, "bond_mode") ? "mode" : strchr(member, ':') ? strchr(member, ':') + 1 : member, (json_t *)actual);
	}
	if (nic)
		net_link_speed(nic->name, &speed, &duplex);
	json_object_set_new(object, "mtu", json_sprintf("%u", nic ? nic->mtu : 0));
	set_text(object, "hwaddr", nic ? nic->mac : "");
	json_object_set_new(object, "slaves", slaves);
	set_text(object, "active_slave", nic && !g_strcmp0(nic->mac, active) ? nic->name : "");
	json_object_set_new(object, "opts", options);
	json_object_set_new(object, "speed", json_integer(speed));
	set_text(object, "switch", "ovs");
	return object;
}

static void add_ovs(const struct net_state *state, const struct net_topology *topology, struct network_caps *caps)
{
	for (guint i = 0; i < topology->wants->len; i++) {
		const struct net_want *want = topology->wants->pdata[i];
		const json_t *bridge = json_object_get(state->ovs, want->name), *bond;
		const struct net_link *link = net_state_link(state, want->name);
		json_t *object;

		if (strcmp(want->kind, "ovsbridge") || !link || !bridge)
			continue;
		object = device(link);
		json_object_set_new(object, "ports", ovs_ports(bridge, "", NULL));
		set_text(object, "stp", "off");
		set_text(object, "switch", "ovs");
		json_object_set_new(object, "opts", json_object());
		json_object_set_new(caps->bridges, want->name, object);
		bond = want->bond ? json_object_get(json_object_get(bridge, "ports"), want->bond) : NULL;
		if (bond)
			json_object_set_new(caps->bondings, want->bond, ovs_bond_object(state, want, bond, link));
	}
}

/* top: the link with the network's addresses; south: the one below its bridge, else top itself ("": none). */
static json_t *network_object(const struct net_state *state, const struct net_link *top, const char *south, const struct network_config *config)
{
	bool is_ovs = net_is_ovs(config->switch_type);
	json_t *object = device(top);

	set_text(object, "iface", top->name);
	json_object_set_new(object, "bridged", json_boolean(config->bridged));
	if (is_ovs) {
		g_autofree char *bridge = net_ovs_bridge(top->name, config);
		g_autofree char *tag = g_strdup_printf("%d", net_ovs_tag(config));

		json_object_set_new(object, "ports", ovs_ports(json_object_get(state->ovs, bridge), top->name, tag));
	} else
		json_object_set_new(object, "ports", config->bridged ? ports_of(state, top) : json_pack("[s]", top->name));
	set_text(object, "stp", stp_text(top));
	set_text(object, "southbound", south);
	if (HAS(config, vlan))
		json_object_set_new(object, "vlanid", json_integer(config->vlan));
	set_text(object, "switch", is_ovs ? "ovs" : "legacy");
	set_text(object, "bootproto", config->bootproto ? config->bootproto : "none");
	json_object_set_new(object, "dhcpv4", json_boolean(!g_strcmp0(config->bootproto, "dhcp")));
	json_object_set_new(object, "dhcpv6", json_boolean(config->dhcpv6));
	set_text(object, "forward", config->forward ? config->forward : "bridge");
	if (config->overlay)
		json_object_set_new(object, "overlay", record_to_json(config->overlay, RECORD_CHANNEL));
	if (json_object_size(config->host_qos))
		json_object_set(object, "hostQos", config->host_qos);
	if (config->roles && config->roles->len) {
		json_t *roles = json_array();

		for (guint i = 0; i < config->roles->len; i++)
			json_array_append_new(roles, json_string(config->roles->pdata[i]));
		json_object_set_new(object, "roles", roles);
	}
	return object;
}

static json_t *nic_object(const struct net_link *nic)
{
	json_t *object = device(nic);
	const char *duplex;
	int speed;

	net_link_speed(nic->name, &speed, &duplex);
	set_text(object, "hwaddr", nic->mac);
	json_object_set_new(object, "speed", json_integer(speed));
	if (nic->permanent_mac)
		set_text(object, "permhwaddr", nic->permanent_mac);
	if (nic->aggregator)
		json_object_set_new(object, "ad_aggregator_id", json_sprintf("%d", nic->aggregator));
	net_describe_vfs(object, nic->name);
	return object;
}

json_t *net_nameservers(const char *resolv)
{
	json_t *servers = json_array();
	g_auto(GStrv) lines = g_strsplit(resolv ? resolv : "", "\n", -1);

	for (size_t i = 0; lines[i]; i++) {
		char address[64];

		if (sscanf(lines[i], " nameserver %63s", address) == 1)
			json_array_append_new(servers, json_string(address));
	}
	return servers;
}

/* The device that has the address a client came in by. */
static const struct net_link *link_of_address(const struct net_state *state, const char *address)
{
	size_t length;

	if (!address || !address[0])
		return NULL;
	if (g_str_has_prefix(address, "::ffff:") && strchr(address, '.'))
		address += strlen("::ffff:");
	length = strcspn(address, "%");
	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		for (guint j = 0; j < link->addresses->len; j++) {
			const char *text = ((const struct net_address *)link->addresses->pdata[j])->text;

			if (!strncmp(text, address, length) && text[length] == '/')
				return link;
		}
	}
	return NULL;
}

/* What Open vSwitch has, which is asked once: it may not answer. */
struct ovs { json_t *bridges; GError *problem; };

static bool needs_ovs(const struct net_topology *topology)
{
	for (guint i = 0; i < topology->wants->len; i++)
		if (!strcmp(((const struct net_want *)topology->wants->pdata[i])->kind, "ovsbridge"))
			return true;
	return false;
}

/* What a plan for these would change; NULL + error: it cannot be made. */
static json_t *differences(struct netlink *netlink, const struct net_config *config, const struct ovs *ovs, GHashTable *touched, GError **error)
{
	struct net_state *state = net_state_read(netlink, /* addresses= */ true, error);
	g_autoptr(GPtrArray) steps = NULL;

	if (state && ovs->bridges)
		state->ovs = json_deep_copy(ovs->bridges);
	steps = state ? net_plan(state, config, config, touched, error) : NULL;
	net_state_free(state);
	return steps ? net_steps_differences(steps) : NULL;
}

/* Those of the links that the network needs; what is of no link is of the networks behind this host. */
static json_t *differences_of(json_t *list, const struct net_topology *topology, const char *network)
{
	json_t *mine = json_array(), *difference;
	size_t i;

	json_array_foreach(list, i, difference) {
		const char *link = json_string_value(json_object_get(difference, "link"));
		const struct net_want *want = g_hash_table_lookup(topology->index, link);

		if (want ? g_hash_table_contains(want->users, network) : *link ? !strcmp(link, network) : g_hash_table_contains(topology->behind, network))
			json_array_append(mine, difference);
	}
	return mine;
}

/* in_sync and what differs, for each network. When one cannot even be planned, each is by itself. */
static void add_differences(struct netlink *netlink, const struct net_config *config, const struct net_topology *topology, const struct ovs *ovs,
			    json_t *networks)
{
	json_t *all = ovs->problem ? NULL : differences(netlink, config, ovs, config->networks, NULL), *object;
	const char *name;

	json_object_foreach(networks, name, object) {
		g_autoptr(GHashTable) touched = g_hash_table_new(g_str_hash, g_str_equal);
		const struct network_config *network = g_hash_table_lookup(config->networks, name);
		bool unknown = ovs->problem && net_is_ovs(network->switch_type);
		g_autoptr(GError) problem = unknown ? g_error_copy(ovs->problem) : NULL;
		json_t *list;

		g_hash_table_add(touched, (char *)name);
		list = all ? differences_of(all, topology, name) : unknown ? NULL : differences(netlink, config, ovs, touched, &problem);
		if (!list)
			list = json_pack("[{s:s, s:s, s:s, s:s}]", "link", name, "property", "link", "expected", "usable", "actual", problem->message);
		json_object_set_new(object, "in_sync", json_boolean(json_array_size(list) == 0));
		json_object_set_new(object, "differences", list);
	}
	json_decref(all);
}

static const char *south_of(const struct net_want *top, const struct net_want *port, const struct network_config *network)
{
	if (!strcmp(top->kind, "ovs"))
		return net_given(network->nic) ? network->nic : network->bonding ? network->bonding : "";
	return !network->bridged ? top->name : port ? port->name : "";
}

/* The networks of the running configuration that have their link. */
static json_t *networks_object(const struct net_state *state, const struct net_config *config, const struct net_topology *topology)
{
	json_t *networks = json_object();

	for (guint i = 0; i < topology->wants->len; i++) {
		const struct net_want *want = topology->wants->pdata[i], *port = NULL;
		const struct net_link *link = net_state_link(state, want->name);
		const char *name = !strcmp(want->kind, "bridge") ? want->name : want->untagged;
		const struct network_config *network = name ? g_hash_table_lookup(config->networks, name) : NULL;

		if (!want->top || !link || !network)
			continue;
		for (guint k = 0; k < topology->wants->len && !port; k++)
			if (!strcmp(((struct net_want *)topology->wants->pdata[k])->master, want->name))
				port = topology->wants->pdata[k];
		json_object_set_new(networks, name, network_object(state, link, south_of(want, port, network), network));
	}
	return networks;
}

static bool fill(struct net *net, struct netlink *netlink, const char *local_address, struct network_caps *caps, GError **error)
{
	AUTO_READ(&net->telling);
	struct net_state *state = net_state_read(netlink, /* addresses= */ true, error);
	struct net_config *config = net_tried_config(net);
	struct net_topology *topology = state ? net_topology_new(config, error) : NULL;
	const struct net_link *client;
	struct ovs ovs = { 0 };
	const char *name;
	json_t *network;

	if (topology) {
		if (needs_ovs(topology))
			ovs.bridges = net_ovs_read(&ovs.problem);
		state->ovs = json_incref(ovs.bridges);
		caps->networks = networks_object(state, config, topology);
		add_differences(netlink, config, topology, &ovs, caps->networks);
		json_object_foreach(caps->networks, name, network)
			net_servers_describe(net, name, g_hash_table_lookup(config->networks, name), network);
		caps->bridges = json_object();
		caps->nics = json_object();
		caps->bondings = json_object();
		caps->vlans = json_object();
		caps->nameservers = net_nameservers(state->resolv);
		for (guint i = 0; i < state->links->len; i++) {
			const struct net_link *link = state->links->pdata[i];

			if (!strcmp(link->kind, "bridge"))
				json_object_set_new(caps->bridges, link->name, bridge_object(state, link));
			else if (!strcmp(link->kind, "bond"))
				json_object_set_new(caps->bondings, link->name, bond_object(state, link));
			else if (!strcmp(link->kind, "vlan"))
				json_object_set_new(caps->vlans, link->name, vlan_object(state, link));
			else if (net_link_is_nic(link))
				json_object_set_new(caps->nics, link->name, nic_object(link));
		}
		add_ovs(state, topology, caps);
		json_decref(ovs.bridges);
		g_clear_error(&ovs.problem);
		SET(caps, supports_ipv6, true);
		SET(caps, openvswitch, net_has_openvswitch());
		set_string(&caps->net_config_dirty, net_config_dirty(net) ? "True" : "False");
		client = link_of_address(state, local_address);
		set_string(&caps->last_client_iface, client ? client->name : "");
	}
	net_topology_free(topology);
	net_config_free(config);
	net_state_free(state);
	return topology != NULL;
}

static struct network_caps *read_caps(struct net *net, const char *local_address, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct network_caps *caps = record_new(&network_caps_type);
	bool good = netlink && fill(net, netlink, local_address, caps, error);

	netlink_free(netlink);
	if (good)
		return caps;
	record_unref(caps);
	return NULL;
}

bool net_capabilities(struct net *net, const char *local_address, struct host_caps *caps, GError **error)
{
	struct network_caps *part = read_caps(net, local_address, error);

	if (!part)
		return false;
	caps->networks = json_incref(part->networks);
	caps->bridges = json_incref(part->bridges);
	caps->bondings = json_incref(part->bondings);
	caps->nics = json_incref(part->nics);
	caps->vlans = json_incref(part->vlans);
	caps->nameservers = json_incref(part->nameservers);
	SET(caps, supports_ipv6, part->supports_ipv6);
	SET(caps, openvswitch, part->openvswitch);
	set_string(&caps->net_config_dirty, part->net_config_dirty);
	set_string(&caps->last_client_iface, part->last_client_iface);
	record_unref(part);
	return true;
}

bool net_capabilities_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct network_caps *caps = read_caps(agent->net, call->local_address, error);

	if (!caps)
		return false;
	result_record(ret_result, caps);
	record_unref(caps);
	return true;
}
