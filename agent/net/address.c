/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text, and what a network of a request may say. */
#include <arpa/inet.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define NAME_MAX_BYTES (IFNAMSIZ - 1)
#define IPV6_MTU_MIN 1280

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

/* "" is as good as absent: engines send both. */
static bool given(const char *text)
{
	return text && text[0];
}

char *net_config_ipv4(const struct network_config *config)
{
	return given(config->ipaddr) ? g_strdup_printf("%s/%d", config->ipaddr, net_mask_length(config->netmask)) : NULL;
}

/* Members of later parts: refused, never half done. */
static const char *unsupported(const struct network_config *config)
{
	return given(config->bonding) ? "bonding" : HAS(config, vlan) ? "vlan" : given(config->bootproto) && !strcmp(config->bootproto, "dhcp") ?
	       "bootproto dhcp" : config->ipv6autoconf ? "ipv6autoconf" : config->dhcpv6 ? "dhcpv6" :
	       config->nameservers && config->nameservers->len ? "nameservers" : json_object_size(config->host_qos) ? "hostQos" :
	       given(config->switch_type) && !strcmp(config->switch_type, "ovs") ? "switch ovs" : HAS(config, bridged) && !config->bridged ?
	       "bridged false" : given(config->gateway) && !config->default_route ? "gateway without defaultRoute" :
	       given(config->ipv6gateway) && !config->default_route ? "ipv6gateway without defaultRoute" : NULL;
}

static bool is_host_address(const struct net_prefix *prefix)
{
	if (prefix->family == AF_INET) {
		uint32_t address = ntohl(prefix->address.v4.s_addr);

		return address && !IN_MULTICAST(address) && !IN_BADCLASS(address);
	}
	return !IN6_IS_ADDR_UNSPECIFIED(&prefix->address.v6) && !IN6_IS_ADDR_MULTICAST(&prefix->address.v6);
}

static bool check_address(const char *name, const char *member, const char *address, int family, const char *gateway_member, const char *gateway,
			  GError **error)
{
	struct net_prefix prefix;

	if (!net_prefix_parse(address, &prefix) || prefix.family != family || !is_host_address(&prefix)) {
		error_set(error, ERR_BAD_ADDR, "network '%s': %s '%s' is not an address with its prefix length", name, member, address);
		return false;
	}
	if (given(gateway) && !net_prefix_contains(&prefix, gateway)) {
		error_set(error, ERR_BAD_ADDR, "network '%s': %s '%s' is not in %s", name, gateway_member, gateway, address);
		return false;
	}
	return true;
}

static bool check_ipv4(const char *name, const struct network_config *config, GError **error)
{
	g_autofree char *address = NULL;

	if (!given(config->ipaddr)) {
		if (!given(config->netmask) && !given(config->gateway))
			return true;
		error_set(error, ERR_BAD_ADDR, "network '%s': %s without ipaddr", name, given(config->netmask) ? "netmask" : "gateway");
		return false;
	}
	if (!given(config->netmask) || net_mask_length(config->netmask) < 0) {
		error_set(error, ERR_BAD_ADDR, "network '%s': netmask '%s' is neither a mask nor a prefix length", name,
			  given(config->netmask) ? config->netmask : "");
		return false;
	}
	address = net_config_ipv4(config);
	return check_address(name, "ipaddr", address, AF_INET, "gateway", config->gateway, error);
}

static bool check_ipv6(const char *name, const struct network_config *config, GError **error)
{
	if (!given(config->ipv6addr)) {
		if (!given(config->ipv6gateway))
			return true;
		error_set(error, ERR_BAD_ADDR, "network '%s': ipv6gateway without ipv6addr", name);
		return false;
	}
	if (config->mtu && config->mtu < IPV6_MTU_MIN) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': mtu %d is below %d, which IPv6 needs", name, config->mtu, IPV6_MTU_MIN);
		return false;
	}
	return check_address(name, "ipv6addr", config->ipv6addr, AF_INET6, "ipv6gateway", config->ipv6gateway, error);
}

bool net_check_config(const char *name, const struct network_config *config, GError **error)
{
	const char *member;

	if (!g_regex_match_simple("^[-_.a-zA-Z0-9]+$", name, G_REGEX_DOLLAR_ENDONLY, 0) || strlen(name) > NAME_MAX_BYTES || !strcmp(name, ".") ||
	    !strcmp(name, "..")) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s': a name has 1 to %d letters, digits, '-', '_' or '.'", name, NAME_MAX_BYTES);
		return false;
	}
	if (config->remove)
		return true;
	if ((member = unsupported(config))) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "network '%s': %s is not supported by this agent yet", name, member);
		return false;
	}
	return check_ipv4(name, config, error) && check_ipv6(name, config, error);
}
