/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks over others: a VXLAN (RFC 7348) as a port of the network's bridge, so that the bridges of several hosts are one network.
 *
 * The hosts find each other by a list: what has no known place (broadcasts, addresses not yet learnt) is sent to each of them. Or by a multicast group,
 * where what is between the hosts carries multicast. A packet is 50 bytes longer on its way, 70 over IPv6: between listed hosts one that is too long goes in
 * fragments, with a group the network's MTU must leave that room.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "agent/net/net-priv.h"

#define REMOTES_MAX 1024

/* AF_INET, AF_INET6; 0: no address. text as the kernel spells it */
static int read_address(const char *address, char *ret_text, bool *ret_multicast)
{
	struct in6_addr parsed = IN6ADDR_ANY_INIT;
	int family = address && strchr(address, ':') ? AF_INET6 : AF_INET;
	struct in_addr ipv4;

	if (!address || inet_pton(family, address, &parsed) != 1 || !inet_ntop(family, &parsed, ret_text, INET6_ADDRSTRLEN))
		return 0;
	memcpy(&ipv4, &parsed, sizeof(ipv4));
	*ret_multicast = family == AF_INET ? IN_MULTICAST(ntohl(ipv4.s_addr)) : IN6_IS_ADDR_MULTICAST(&parsed);
	return family;
}

/* The longest packet that a VXLAN on the link takes, which does not send fragments itself then; 0: no such link. */
static int room_on(const char *dev, int family)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known;

	g_strlcpy(request.ifr_name, dev, sizeof(request.ifr_name));
	known = fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0;
	if (fd >= 0)
		close(fd);
	return known ? request.ifr_mtu - (family == AF_INET ? 50 : 70) : 0;
}

#define REFUSE(code, format, ...) \
	do { \
		error_set(error, code, "network '%s': overlay: " format, name, ##__VA_ARGS__); \
		return false; \
	} while (0)

static bool check_remotes(const char *name, const struct overlay_config *overlay, int family, const char *local, GError **error)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	char text[INET6_ADDRSTRLEN];
	bool multicast;

	if (overlay->remotes && overlay->remotes->len > REMOTES_MAX)
		REFUSE(ERR_BAD_PARAMS, "%u remotes are more than %d", overlay->remotes->len, REMOTES_MAX);
	for (guint i = 0; overlay->remotes && i < overlay->remotes->len; i++) {
		const char *remote = overlay->remotes->pdata[i];

		if (read_address(remote, text, &multicast) != family || multicast || !strcmp(text, local))
			REFUSE(ERR_BAD_ADDR, "remotes: '%s' is no address of another host, of the family of local", remote);
		if (!g_hash_table_add(seen, g_strdup(text)))
			REFUSE(ERR_BAD_PARAMS, "remotes: '%s' is there twice", remote);
	}
	return true;
}

bool net_check_overlay(const char *name, const struct network_config *config, GError **error)
{
	const struct overlay_config *overlay = config->overlay;
	char local[INET6_ADDRSTRLEN], group[INET6_ADDRSTRLEN];
	bool multicast = false;
	int family, room;

	if (!overlay)
		return true;
	if (net_given(config->nic) || net_given(config->bonding) || !config->bridged)
		REFUSE(ERR_BAD_PARAMS, "it needs a bridge without nic and bonding");
	if (!HAS(overlay, vni))
		REFUSE(ERR_BAD_PARAMS, "without vni");
	if (!(family = read_address(overlay->local, local, &multicast)) || multicast)
		REFUSE(ERR_BAD_ADDR, "local '%s' is no address of a host", overlay->local ? overlay->local : "");
	if (!check_remotes(name, overlay, family, local, error))
		return false;
	if (!net_given(overlay->group) != !net_given(overlay->dev))
		REFUSE(ERR_BAD_PARAMS, "group and dev go together");
	if (!net_given(overlay->group))
		return true;
	if (overlay->remotes && overlay->remotes->len)
		REFUSE(ERR_BAD_PARAMS, "group and remotes exclude each other");
	if (read_address(overlay->group, group, &multicast) != family || !multicast)
		REFUSE(ERR_BAD_ADDR, "group '%s' is no multicast address of the family of local", overlay->group);
	if (!(room = room_on(overlay->dev, family)))
		REFUSE(ERR_BAD_NIC, "dev '%s' does not exist", overlay->dev);
	if (config->mtu > room)
		REFUSE(ERR_BAD_PARAMS, "mtu %d is above the %d that dev '%s' leaves it", config->mtu, room, overlay->dev);
	return true;
}

char *net_overlay_link(const struct overlay_config *overlay)
{
	return g_strdup_printf("vx%d", overlay->vni);
}

static void set(GHashTable *options, const char *name, const char *value)
{
	g_hash_table_insert(options, g_strdup(name), g_strdup(value));
}

GHashTable *net_overlay_options(const struct overlay_config *overlay)
{
	GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	char text[INET6_ADDRSTRLEN], number[16];
	bool multicast;

	g_snprintf(number, sizeof(number), "%d", overlay->vni);
	set(options, "vni", number);
	g_snprintf(number, sizeof(number), "%d", overlay->port);
	set(options, "port", number);
	set(options, read_address(overlay->local, text, &multicast) == AF_INET ? "local" : "local6", text);
	if (net_given(overlay->group)) {
		set(options, read_address(overlay->group, text, &multicast) == AF_INET ? "group" : "group6", text);
		set(options, "dev", overlay->dev);
	}
	return options;
}

GPtrArray *net_overlay_peers(const struct overlay_config *overlay)
{
	GPtrArray *peers = g_ptr_array_new_with_free_func(g_free);
	char text[INET6_ADDRSTRLEN];
	bool multicast;

	for (guint i = 0; overlay->remotes && i < overlay->remotes->len; i++)
		if (read_address(overlay->remotes->pdata[i], text, &multicast))
			g_ptr_array_add(peers, g_strdup(text));
	return peers;
}
