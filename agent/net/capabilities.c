/* SPDX-License-Identifier: Apache-2.0 */
/* The network part of Host.getCapabilities: read from the kernel at each call; only which bridges are networks comes from the running configuration. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "agent/net/net-priv.h"

static void set_text(json_t *object, const char *name, const char *value)
{
	json_object_set_new(object, name, json_string(value));
}

static const struct net_route *default_route(const struct net_link *link, int family)
{
	for (guint i = 0; i < link->routes->len; i++) {
		const struct net_route *route = link->routes->pdata[i];

		if (route->family == family && !strcmp(route->destination, "default"))
			return route;
	}
	return NULL;
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
	json_object_set_new(object, "ipv6autoconf", json_false());
	json_object_set_new(object, "ipv4defaultroute", json_boolean(route4));
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

static json_t *bridge_object(const struct net_state *state, const struct net_link *bridge)
{
	json_t *object = device(bridge);

	json_object_set_new(object, "ports", ports_of(state, bridge));
	set_text(object, "stp", bridge->stp ? "on" : "off");
	json_object_set_new(object, "opts", json_object());
	return object;
}

static json_t *network_object(const struct net_state *state, const struct net_link *bridge, const struct network_config *config)
{
	json_t *object = device(bridge);

	set_text(object, "iface", bridge->name);
	json_object_set_new(object, "bridged", json_true());
	json_object_set_new(object, "ports", ports_of(state, bridge));
	set_text(object, "stp", bridge->stp ? "on" : "off");
	set_text(object, "southbound", config->nic ? config->nic : "");
	set_text(object, "switch", "legacy");
	set_text(object, "bootproto", "none");
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
	if (nic->master)
		set_text(object, "permhwaddr", nic->mac);
	return object;
}

static json_t *nameservers(void)
{
	json_t *servers = json_array();
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents("/etc/resolv.conf", &text, NULL, NULL))
		return servers;
	lines = g_strsplit(text, "\n", -1);
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

bool net_capabilities(struct net *net, const char *local_address, struct host_caps *caps, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ true, error) : NULL;
	json_t *running = net_running(net);
	GHashTable *configs = net_configs(running);
	const struct net_link *client;

	netlink_free(netlink);
	json_decref(running);
	if (!state) {
		g_hash_table_unref(configs);
		return false;
	}
	caps->networks = json_object();
	caps->bridges = json_object();
	caps->nics = json_object();
	caps->bondings = json_object();
	caps->vlans = json_object();
	caps->nameservers = nameservers();
	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];
		const struct network_config *config = g_hash_table_lookup(configs, link->name);

		if (!strcmp(link->kind, "bridge")) {
			json_object_set_new(caps->bridges, link->name, bridge_object(state, link));
			if (config)
				json_object_set_new(caps->networks, link->name, network_object(state, link, config));
		} else if (net_link_is_nic(link))
			json_object_set_new(caps->nics, link->name, nic_object(link));
	}
	SET(caps, supports_ipv6, true);
	set_string(&caps->net_config_dirty, net_config_dirty(net) ? "True" : "False");
	client = link_of_address(state, local_address);
	set_string(&caps->last_client_iface, client ? client->name : "");
	net_state_free(state);
	g_hash_table_unref(configs);
	return true;
}
