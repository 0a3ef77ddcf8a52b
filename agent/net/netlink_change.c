/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single changes: each is one message to the kernel and its answer, from the texts that steps carry.
 *
 * A link is "KIND name=value ...": KIND bridge, bond, vlan, vxlan; "link": none, when a link is only changed. Names: address (MAC), mtu, up, arp (0 or 1),
 * master, lower and id (of a VLAN); all others are options of the kind (options.c). The empty master is none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/net/net-priv.h"

#define RULE_PRIORITY 32000               /* before main (32766), after local */

const char *net_resolv_path = "/etc/resolv.conf";

#define WITH_INDEX(name) \
	int index = (int)if_nametoindex(name); \
	if (!index) \
		return errno

/* One word of the link itself. false: it is an option of its kind. *ret_errnum: 0 or why not */
static bool put_general(struct nl_msg *message, struct ifinfomsg *info, const char *name, const char *value, int *ret_errnum)
{
	uint8_t mac[6];
	unsigned index = 0;

	if (!strcmp(name, "up")) {
		info->ifi_change |= IFF_UP;
		info->ifi_flags |= value[0] == '1' ? IFF_UP : 0;
	} else if (!strcmp(name, "arp")) {
		info->ifi_change |= IFF_NOARP;
		info->ifi_flags |= value[0] == '0' ? IFF_NOARP : 0;
	} else if (!strcmp(name, "mtu"))
		nla_put_u32(message, IFLA_MTU, (uint32_t)g_ascii_strtoull(value, NULL, 10));
	else if (!strcmp(name, "address")) {
		if (net_mac_parse(value, mac))
			nla_put(message, IFLA_ADDRESS, sizeof(mac), mac);
		else
			*ret_errnum = EINVAL;
	} else if (!strcmp(name, "master") || !strcmp(name, "lower")) {
		if (value[0] && !(index = if_nametoindex(value)))
			*ret_errnum = errno;
		else
			nla_put_u32(message, name[0] == 'm' ? IFLA_MASTER : IFLA_LINK, index);
	} else
		return false;
	return true;
}

int netlink_link(struct netlink *netlink, const char *name, const char *text, bool add)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	struct ifinfomsg info = { 0 };
	struct nl_msg *message;
	struct nlattr *outer, *inner;
	int errnum = 0;

	if (!add && !(info.ifi_index = (int)if_nametoindex(name)))
		return errno;
	message = nlmsg_alloc_simple(RTM_NEWLINK, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	if (add)
		nla_put_string(message, IFLA_IFNAME, name);
	/* what is left of words: options of the kind */
	for (size_t i = 1; words[0] && words[i] && !errnum; i++) {
		char *value = strchr(words[i], '=');

		if (!value)
			errnum = EINVAL;
		else {
			*value = '\0';
			if (put_general(message, &info, words[i], value + 1, &errnum))
				words[i][0] = '\0';
		}
	}
	memcpy(nlmsg_data(nlmsg_hdr(message)), &info, sizeof(info));
	if (words[0] && strcmp(words[0], "link")) {
		outer = nla_nest_start(message, IFLA_LINKINFO);
		nla_put_string(message, IFLA_INFO_KIND, words[0]);
		inner = nla_nest_start(message, IFLA_INFO_DATA);
		for (size_t i = 1; words[i] && !errnum; i++) {
			const char *value = words[i] + strlen(words[i]) + 1;

			if (!strcmp(words[i], "id"))
				nla_put_u16(message, IFLA_VLAN_ID, (uint16_t)g_ascii_strtoull(value, NULL, 10));
			else if (words[i][0] && !net_option_put(message, words[0], words[i], value))
				errnum = EINVAL;
		}
		nla_nest_end(message, inner);
		nla_nest_end(message, outer);
	}
	if (errnum) {
		nlmsg_free(message);
		return errnum;
	}
	return netlink_transact(netlink, message);
}

int netlink_veth(struct netlink *netlink, const char *name, int space, const char *peer, const char *peer_mac)
{
	struct nl_msg *message = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg info = { 0 };
	struct nlattr *outer, *data, *other;
	uint8_t mac[6] = { 0 };

	(void)net_mac_parse(peer_mac, mac);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put_string(message, IFLA_IFNAME, name);
	outer = nla_nest_start(message, IFLA_LINKINFO);
	nla_put_string(message, IFLA_INFO_KIND, "veth");
	data = nla_nest_start(message, IFLA_INFO_DATA);
	other = nla_nest_start(message, VETH_INFO_PEER);
	nlmsg_append(message, &info, sizeof(info), 0);
	nla_put_string(message, IFLA_IFNAME, peer);
	nla_put(message, IFLA_ADDRESS, sizeof(mac), mac);
	nla_put_u32(message, IFLA_NET_NS_FD, (uint32_t)space);
	nla_nest_end(message, other);
	nla_nest_end(message, data);
	nla_nest_end(message, outer);
	return netlink_transact(netlink, message);
}

int netlink_link_delete(struct netlink *netlink, const char *name)
{
	struct ifinfomsg info = { 0 };
	struct nl_msg *message;
	WITH_INDEX(name);

	info.ifi_index = index;
	message = nlmsg_alloc_simple(RTM_DELLINK, 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	return netlink_transact(netlink, message);
}

int netlink_address(struct netlink *netlink, const char *name, const char *address, bool add)
{
	struct net_prefix prefix;
	struct ifaddrmsg info = { 0 };
	g_auto(GStrv) words = g_strsplit(address, " ", -1);         /* address, maybe "brd" and broadcast address */
	struct nl_msg *message;
	struct in_addr broadcast;
	size_t size;
	WITH_INDEX(name);

	if (!words[0] || !net_prefix_parse(words[0], &prefix))
		return EINVAL;
	size = prefix.family == AF_INET ? 4 : 16;
	info.ifa_family = (uint8_t)prefix.family;
	info.ifa_prefixlen = (uint8_t)prefix.length;
	info.ifa_index = (uint32_t)index;
	message = nlmsg_alloc_simple(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put(message, IFA_LOCAL, (int)size, &prefix.address);
	nla_put(message, IFA_ADDRESS, (int)size, &prefix.address);
	if (add && words[1] && words[2] && inet_pton(AF_INET, words[2], &broadcast) == 1)
		nla_put(message, IFA_BROADCAST, sizeof(broadcast), &broadcast);
	return netlink_transact(netlink, message);
}

int netlink_route(struct netlink *netlink, const char *name, const char *route, bool add)
{
	struct rtmsg info = { .rtm_table = RT_TABLE_UNSPEC, .rtm_type = RTN_UNICAST };
	g_auto(GStrv) words = g_strsplit(route, " ", -1);           /* destination via gateway metric N proto N table N */
	struct net_prefix destination = { 0 };
	struct in6_addr gateway;
	struct nl_msg *message;
	uint32_t metric;
	bool direct;
	int size;
	WITH_INDEX(name);

	if (g_strv_length(words) != 9 || (strcmp(words[0], "default") && !net_prefix_parse(words[0], &destination)))
		return EINVAL;
	direct = !strcmp(words[2], "-");
	info.rtm_family = strchr(direct ? words[0] : words[2], ':') ? AF_INET6 : AF_INET;
	size = info.rtm_family == AF_INET ? 4 : 16;
	if (!direct && inet_pton(info.rtm_family, words[2], &gateway) != 1)
		return EINVAL;
	metric = (uint32_t)g_ascii_strtoull(words[4], NULL, 10);
	info.rtm_dst_len = (uint8_t)destination.length;
	info.rtm_protocol = (uint8_t)g_ascii_strtoull(words[6], NULL, 10);
	info.rtm_scope = !add ? RT_SCOPE_NOWHERE : direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	message = nlmsg_alloc_simple(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	if (destination.length)
		nla_put(message, RTA_DST, size, &destination.address);
	if (!direct)
		nla_put(message, RTA_GATEWAY, size, &gateway);
	nla_put_u32(message, RTA_OIF, (uint32_t)index);
	nla_put_u32(message, RTA_TABLE, (uint32_t)g_ascii_strtoull(words[8], NULL, 10));
	if (metric)
		nla_put_u32(message, RTA_PRIORITY, metric);
	return netlink_transact(netlink, message);
}

/* Of a VXLAN: all that has no known place goes to this host, too. */
int netlink_peer(struct netlink *netlink, const char *name, const char *peer, bool add)
{
	struct ndmsg info = { .ndm_family = AF_BRIDGE, .ndm_state = NUD_PERMANENT | NUD_NOARP, .ndm_flags = NTF_SELF };
	const uint8_t all[6] = { 0 };
	int family = strchr(peer, ':') ? AF_INET6 : AF_INET;
	struct in6_addr address;
	struct nl_msg *message;
	WITH_INDEX(name);

	if (inet_pton(family, peer, &address) != 1)
		return EINVAL;
	info.ndm_ifindex = index;
	message = nlmsg_alloc_simple(add ? RTM_NEWNEIGH : RTM_DELNEIGH, add ? NLM_F_CREATE | NLM_F_APPEND : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put(message, NDA_LLADDR, sizeof(all), all);
	nla_put(message, NDA_DST, family == AF_INET ? 4 : 16, &address);
	return netlink_transact(netlink, message);
}

int netlink_rule(struct netlink *netlink, const char *rule, bool add)
{
	g_auto(GStrv) words = g_strsplit(rule, " ", -1);            /* from prefix table N, or fwmark N table N */
	struct fib_rule_hdr info = { .action = FR_ACT_TO_TBL };
	bool by_mark = !g_strcmp0(words[0], "fwmark");
	struct net_prefix from = { .family = AF_INET };
	struct nl_msg *message;

	if (g_strv_length(words) != 4 || (!by_mark && !net_prefix_parse(words[1], &from)))
		return EINVAL;
	info.family = (uint8_t)from.family;
	info.src_len = (uint8_t)from.length;
	message = nlmsg_alloc_simple(add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	if (by_mark)
		nla_put_u32(message, FRA_FWMARK, (uint32_t)g_ascii_strtoull(words[1], NULL, 10));
	else
		nla_put(message, FRA_SRC, from.family == AF_INET ? 4 : 16, &from.address);
	nla_put_u32(message, FRA_TABLE, (uint32_t)g_ascii_strtoull(words[3], NULL, 10));
	nla_put_u32(message, FRA_PRIORITY, RULE_PRIORITY);
	nla_put_u8(message, FRA_PROTOCOL, NET_PROTOCOL);
	return netlink_transact(netlink, message);
}

static int write_file(const char *path, const char *value)
{
	FILE *file = fopen(path, "we");
	int errnum;

	if (!file)
		return errno;
	errnum = fputs(value, file) < 0 ? errno : 0;
	if (fclose(file) && !errnum)
		errnum = errno;
	return errnum;
}

int net_set_accept_ra(const char *name, const char *value)
{
	g_autofree char *path = g_strdup_printf("/proc/sys/net/ipv6/conf/%s/accept_ra", name);
	int errnum = write_file(path, value);

	if (!errnum && *value != '0')
		net_solicit(name);                /* the kernel asks only when the link comes up */
	return errnum;
}

int net_set_forwarding(const char *value)
{
	return write_file("/proc/sys/net/ipv4/ip_forward", value);
}

int net_write_resolv(const char *content)
{
	g_autofree char *target = g_file_read_link(net_resolv_path, NULL);
	g_autoptr(GError) problem = NULL;

	if (target)                           /* somebody else's, who would overwrite it */
		return EBUSY;
	if (g_file_set_contents_full(net_resolv_path, content, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &problem))
		return chmod(net_resolv_path, 0644) == 0 ? 0 : errno;            /* whatever our umask is, all programs read it */
	return problem->code == G_FILE_ERROR_ACCES ? EACCES : problem->code == G_FILE_ERROR_NOSPC ? ENOSPC : EIO;
}
