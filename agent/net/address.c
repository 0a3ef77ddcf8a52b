/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, and what one network or bond of a request may say by itself. */
#include <arpa/inet.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define NAME_MAX_BYTES (IFNAMSIZ - 1)
#define VLAN_MAX 4094

bool net_prefix_parse(const char *text, struct net_prefix *ret_prefix)
{
	g_auto(GStrv) parts = g_strsplit(text, "/", 3);
	struct net_prefix prefix = { 0 };
	guint64 length;

	if (g_strv_length(parts) != 2)
		return false;
	prefix.family = strchr(parts[0], ':') ? AF_INET6 : AF_INET;
	if (inet_pton(prefix.family, parts[0], &prefix.address) != 1 ||
	    !g_ascii_string_to_unsigned(parts[1], 10, 0, prefix.family == AF_INET ? 32 : 128, &length, NULL))
		return false;
	prefix.length = (unsigned)length;
	*ret_prefix = prefix;
	return true;
}

char *net_prefix_text(const struct net_prefix *prefix)
{
	char text[INET6_ADDRSTRLEN];

	return g_strdup_printf("%s/%u", inet_ntop(prefix->family, &prefix->address, text, sizeof(text)), prefix->length);
}

char *net_prefix_network(const char *text)
{
	struct net_prefix prefix;
	uint8_t *bytes = (uint8_t *)&prefix.address;

	if (!net_prefix_parse(text, &prefix))
		return NULL;
	for (unsigned bit = prefix.length; bit < (prefix.family == AF_INET ? 32u : 128u); bit++)
		bytes[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
	return net_prefix_text(&prefix);
}

bool net_prefix_contains(const struct net_prefix *prefix, const char *address)
{
	struct in6_addr other = IN6ADDR_ANY_INIT;
	const uint8_t *a = (const uint8_t *)&prefix->address, *b = (const uint8_t *)&other;
	unsigned bytes = prefix->length / 8, bits = prefix->length % 8;

	if (inet_pton(prefix->family, address, &other) != 1 || memcmp(a, b, bytes))
		return false;
	return !bits || (a[bytes] ^ b[bytes]) >> (8 - bits) == 0;
}

int net_mask_length(const char *netmask)
{
	struct in_addr mask;
	guint64 length;
	uint32_t bits;

	if (g_ascii_string_to_unsigned(netmask, 10, 0, 32, &length, NULL))
		return (int)length;
	if (inet_pton(AF_INET, netmask, &mask) != 1)
		return -1;
	bits = ntohl(mask.s_addr);
	for (length = 0; bits & 0x80000000u; bits <<= 1)
		length++;
	return bits ? -1 : (int)length;
}

char *net_mask_text(unsigned length)
{
	struct in_addr mask = { htonl(length ? 0xffffffffu << (32 - length) : 0) };
	char text[INET_ADDRSTRLEN];

	return g_strdup(inet_ntop(AF_INET, &mask, text, sizeof(text)));
}

GArray *net_ranges_parse(const char *text, unsigned max)
{
	g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(struct net_range));
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	for (size_t i = 0; words[i]; i++) {
		g_auto(GStrv) ends = g_strsplit(words[i], "-", 2);
		guint64 from, to;

		if (!ends[0] || !g_ascii_string_to_unsigned(ends[0], 10, 1, max, &from, NULL))
			return NULL;
		to = from;
		if (ends[1] && !g_ascii_string_to_unsigned(ends[1], 10, from, max, &to, NULL))
			return NULL;
		g_array_append_val(ranges, ((struct net_range){ (unsigned)from, (unsigned)to }));
	}
	return ranges->len ? g_steal_pointer(&ranges) : NULL;
}

/* "" is as good as absent: engines send both. */
bool net_given(const char *text)
{
	return text && text[0];
}

/* In the kernel's spelling, so that it can be compared. */
static char *normal(const char *text)
{
	struct net_prefix prefix;

	return net_prefix_parse(text, &prefix) ? net_prefix_text(&prefix) : NULL;
}

char *net_config_ipv4(const struct network_config *config)
{
	g_autofree char *text = net_given(config->ipaddr) ? g_strdup_printf("%s/%d", config->ipaddr, net_mask_length(config->netmask)) : NULL;

	return text ? normal(text) : NULL;
}

char *net_config_ipv6(const struct network_config *config)
{
	return net_given(config->ipv6addr) ? normal(config->ipv6addr) : NULL;
}

char *net_config_link(const struct network_config *config)
{
	const char *lower = net_given(config->nic) ? config->nic : config->bonding;

	return HAS(config, vlan) ? g_strdup_printf("%s.%d", lower, config->vlan) : g_strdup(lower);
}

/* Not all bits behind the prefix are 0 or 1: those are the network's and its broadcast address. */
static bool is_host_of(const struct in_addr *address, unsigned length)
{
	uint32_t bits = length < 31 ? 0xffffffffu >> length : 0, host = ntohl(address->s_addr) & bits;

	return !bits || (host && host != bits);
}

static bool is_unicast(int family, const void *address)
{
	const struct in6_addr *v6 = address;
	uint32_t v4;

	if (family == AF_INET) {
		v4 = ntohl(((const struct in_addr *)address)->s_addr);
		return v4 >> 24 && v4 >> 24 != IN_LOOPBACKNET && !IN_MULTICAST(v4) && !IN_BADCLASS(v4);
	}
	return !IN6_IS_ADDR_UNSPECIFIED(v6) && !IN6_IS_ADDR_LOOPBACK(v6) && !IN6_IS_ADDR_MULTICAST(v6) && !IN6_IS_ADDR_V4MAPPED(v6) && !IN6_IS_ADDR_V4COMPAT(v6);
}

/* Another host of the prefix; with IPv6 routers are told by their link-local addresses, too. */
static bool is_gateway(const struct net_prefix *prefix, const char *gateway)
{
	struct in6_addr address = IN6ADDR_ANY_INIT;

	if (inet_pton(prefix->family, gateway, &address) != 1 || !memcmp(&address, &prefix->address, prefix->family == AF_INET ? 4 : 16))
		return false;
	if (prefix->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address))
		return true;
	return net_prefix_contains(prefix, gateway) && (prefix->family == AF_INET6 || is_host_of((const struct in_addr *)(const void *)&address, prefix->length));
}

static bool check_address(const char *name, const char *member, const char *address, int family, const char *gateway_member, const char *gateway,
			  GError **error)
{
	struct net_prefix prefix;

	if (!net_prefix_parse(address, &prefix) || prefix.family != family || !prefix.length || !is_unicast(family, &prefix.address)) {
		error_set(error, ERR_BAD_ADDR, "network '%s': %s '%s' is not an address of a host with its prefix length", name, member, address);
		return false;
	}
	if (family == AF_INET && !is_host_of(&prefix.address.v4, prefix.length)) {
		error_set(error, ERR_BAD_ADDR, "network '%s': %s '%s' is the network's own or its broadcast address", name, member, address);
		return false;
	}
	if (net_given(gateway) && !is_gateway(&prefix, gateway)) {
		error_set(error, ERR_BAD_ADDR, "network '%s': %s '%s' is not the address of another host in %s", name, gateway_member, gateway, address);
		return false;
	}
	return true;
}

static bool check_ipv4(const char *name, const struct network_config *config, GError **error)
{
	g_autofree char *address = NULL;

	if (!net_given(config->ipaddr)) {
		if (!net_given(config->netmask) && !net_given(config->gateway))
			return true;
		error_set(error, ERR_BAD_ADDR, "network '%s': %s without ipaddr", name, net_given(config->netmask) ? "netmask" : "gateway");
		return false;
	}
	if (!net_given(config->netmask) || net_mask_length(config->netmask) < 0) {
		error_set(error, ERR_BAD_ADDR, "network '%s': netmask '%s' is neither a mask nor a prefix length", name,
			  net_given(config->netmask) ? config->netmask : "");
		return false;
	}
	address = g_strdup_printf("%s/%d", config->ipaddr, net_mask_length(config->netmask));
	return check_address(name, "ipaddr", address, AF_INET, "gateway", config->gateway, error);
}

static bool check_ipv6(const char *name, const struct network_config *config, GError **error)
{
	if (config->dhcpv6 && (net_given(config->ipv6addr) || net_given(config->ipv6gateway))) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': dhcpv6 and %s exclude each other", name,
			  net_given(config->ipv6addr) ? "ipv6addr" : "ipv6gateway");
		return false;
	}
	if ((config->dhcpv6 || config->ipv6autoconf || net_given(config->ipv6addr)) && config->mtu && config->mtu < NET_IPV6_MTU_MIN) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': mtu %d is below %d, which IPv6 needs", name, config->mtu, NET_IPV6_MTU_MIN);
		return false;
	}
	if (!net_given(config->ipv6addr)) {
		if (!net_given(config->ipv6gateway))
			return true;
		error_set(error, ERR_BAD_ADDR, "network '%s': ipv6gateway without ipv6addr", name);
		return false;
	}
	return check_address(name, "ipv6addr", config->ipv6addr, AF_INET6, "ipv6gateway", config->ipv6gateway, error);
}

bool net_check_switch(const char *kind, const char *name, const char *switch_type, GError **error)
{
	if (!net_is_ovs(switch_type) || net_has_openvswitch())
		return true;
	error_set(error, ERR_UNSUPPORTED_OPERATION, "%s '%s': switch '%s' is not supported: Open vSwitch does not run on this host", kind, name, switch_type);
	return false;
}

static bool check_name(const char *kind, const char *name, enum error_code code, GError **error)
{
	static const char *const reserved[] = { ".", "..", "all", "default", NULL };      /* what the kernel has in the directories of its links */

	if (!g_regex_match_simple("^[-_.a-zA-Z0-9]+$", name, G_REGEX_DOLLAR_ENDONLY, 0) || strlen(name) > NAME_MAX_BYTES) {
		error_set(error, code, "%s '%s': a name has 1 to %d letters, digits, '-', '_' or '.'", kind, name, NAME_MAX_BYTES);
		return false;
	}
	if (!g_strv_contains(reserved, name))
		return true;
	error_set(error, code, "%s '%s': no link can have this name", kind, name);
	return false;
}

/* Members that the record takes as they are. "" is as good as absent. */
static bool check_types(const char *name, const struct network_config *config, GError **error)
{
	const struct { const char *member; const json_t *value; json_type type; } members[] = {
		{ "custom", config->custom, JSON_OBJECT }, { "hostQos", config->host_qos, JSON_OBJECT },
		{ "outboundNat", config->outbound_nat, JSON_OBJECT }, { "portForwards", config->port_forwards, JSON_ARRAY },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
		const json_t *value = members[i].value;

		if (!value || json_is_null(value) || json_typeof(value) == members[i].type || !g_strcmp0(json_string_value(value), ""))
			continue;
		error_set(error, ERR_BAD_PARAMS, "network '%s': %s is no %s", name, members[i].member, members[i].type == JSON_ARRAY ? "array" : "object");
		return false;
	}
	return true;
}

static bool check_nameservers(const char *name, const struct network_config *config, GError **error)
{
	uint8_t address[16];

	if (config->nameservers && config->nameservers->len && !config->default_route) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': nameservers without defaultRoute", name);
		return false;
	}
	for (guint i = 0; config->nameservers && i < config->nameservers->len; i++) {
		const char *server = config->nameservers->pdata[i];

		if (inet_pton(AF_INET, server, address) == 1 || inet_pton(AF_INET6, server, address) == 1)
			continue;
		error_set(error, ERR_BAD_ADDR, "network '%s': nameserver '%s' is no address", name, server);
		return false;
	}
	return true;
}

static bool check_roles(const char *name, const struct network_config *config, GError **error)
{
	static const char *const known[] = { "management", "migration", "display", "vm", NULL };

	for (guint i = 0; config->roles && i < config->roles->len; i++) {
		const char *role = config->roles->pdata[i];

		if (!g_strv_contains(known, role)) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': role '%s' is none of management, migration, display, vm", name, role);
			return false;
		}
		if (!strcmp(role, "vm") && !config->bridged) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': role vm needs a bridge, but bridged is false", name);
			return false;
		}
	}
	return true;
}

/* What goes with a bridge, and what without. */
static bool check_bridge(const char *name, const struct network_config *config, GError **error)
{
	const json_t *options = json_object_get(config->custom, "bridge_opts");
	g_autoptr(GHashTable) parsed = NULL;

	if (options && !json_is_string(options)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': bridge_opts is no text", name);
		return false;
	}
	if (config->bridged) {
		if (!(parsed = net_bridge_options(name, json_string_value(options), error)))
			return false;
		if (!g_hash_table_contains(parsed, "stp_state"))
			return true;
		error_set(error, ERR_BAD_PARAMS, "network '%s': bridge_opts: stp_state is the member stp of the network", name);
		return false;
	}
	if (config->stp || net_given(json_string_value(options))) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': %s without a bridge: bridged is false", name, config->stp ? "stp" : "bridge_opts");
		return false;
	}
	if (net_given(config->nic) || net_given(config->bonding))
		return true;
	error_set(error, ERR_BAD_PARAMS, "network '%s': bridged false without nic and bonding: there is nothing to set up", name);
	return false;
}

bool net_check_config(const char *name, const struct network_config *config, GError **error)
{
	if (!check_name("network", name, ERR_BAD_BRIDGE, error))
		return false;
	if (config->remove)
		return true;
	if (!net_check_switch("network", name, config->switch_type, error) || !net_check_ovs(name, config, error))
		return false;
	if (net_given(config->nic) && net_given(config->bonding)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': nic '%s' and bonding '%s' exclude each other", name, config->nic, config->bonding);
		return false;
	}
	if (HAS(config, vlan) && (config->vlan < 0 || config->vlan > VLAN_MAX)) {
		error_set(error, ERR_BAD_VLAN, "network '%s': vlan %d is not 0 to %d", name, config->vlan, VLAN_MAX);
		return false;
	}
	if (HAS(config, vlan) && !net_given(config->nic) && !net_given(config->bonding)) {
		error_set(error, ERR_BAD_VLAN, "network '%s': vlan %d without nic and bonding", name, config->vlan);
		return false;
	}
	if (!g_strcmp0(config->bootproto, "dhcp") && (net_given(config->ipaddr) || net_given(config->gateway))) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': bootproto dhcp and %s exclude each other", name, net_given(config->ipaddr) ? "ipaddr" : "gateway");
		return false;
	}
	return check_types(name, config, error) && check_bridge(name, config, error) && check_roles(name, config, error) &&
	       check_ipv4(name, config, error) && check_ipv6(name, config, error) && check_nameservers(name, config, error) &&
	       net_check_forward(name, config, error) && net_check_overlay(name, config, error) && net_check_subnets(name, config, error) &&
	       net_check_qos(name, config, error);
}

bool net_check_bond(const char *name, const struct bond_config *config, GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GHashTable) options = NULL;
	static const uint8_t none[6];
	uint8_t mac[6];

	if (!check_name("bond", name, ERR_BAD_BONDING, error))
		return false;
	if (config->remove)
		return true;
	if (!net_check_switch("bond", name, config->switch_type, error))
		return false;
	if (!config->nics || !config->nics->len) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': no nics", name);
		return false;
	}
	for (guint i = 0; i < config->nics->len; i++)
		if (!g_hash_table_add(seen, config->nics->pdata[i])) {
			error_set(error, ERR_BAD_BONDING, "bond '%s': nic '%s' is given twice", name, (char *)config->nics->pdata[i]);
			return false;
		}
	if (net_given(config->hwaddr) && (!net_mac_parse(config->hwaddr, mac) || mac[0] & 1 || !memcmp(mac, none, sizeof(none)))) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': hwaddr '%s' is no MAC address of an interface", name, config->hwaddr);
		return false;
	}
	if (net_is_ovs(config->switch_type))
		return net_check_ovs_bond(name, config, error);
	if (!(options = net_bond_options(name, config->options, error)))
		return false;
	if (net_given(config->hwaddr) && !g_strcmp0(g_hash_table_lookup(options, "fail_over_mac"), "1") && !strcmp(g_hash_table_lookup(options, "mode"), "1")) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': hwaddr '%s' and fail_over_mac=active, which takes that of the active nic, exclude each other", name,
			  config->hwaddr);
		return false;
	}
	if (g_hash_table_contains(options, "primary") && !g_hash_table_contains(seen, g_hash_table_lookup(options, "primary"))) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': primary '%s' is none of its nics", name, (char *)g_hash_table_lookup(options, "primary"));
		return false;
	}
	return true;
}
