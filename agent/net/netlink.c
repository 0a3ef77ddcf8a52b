/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has: dumps of links with their counters, addresses, routes and rules give the whole state. Messages are read with libnl's parser,
 * attribute by attribute: its link objects do not know a bridge's options nor a bond's.
 *
 * A socket belongs to one user at a time; making one is cheap. Blocks for as long as the kernel needs.
 */
#include "agent/net/net-priv.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DUMP_BUFFER (64 * 1024)
#define DUMP_TRIES 5

struct netlink {
	struct nl_sock *socket;
	int errnum;                      /* of the last refused message */
	struct net_state *state;         /* being read */
};

static int on_error(struct sockaddr_nl *peer, struct nlmsgerr *refusal, void *data)
{
	((struct netlink *)data)->errnum = -refusal->error;
	return NL_STOP;
}

struct netlink *netlink_free(struct netlink *netlink)
{
	if (!netlink)
		return NULL;
	nl_socket_free(netlink->socket);
	g_free(netlink);
	return NULL;
}

struct netlink *netlink_new(GError **error)
{
	struct netlink *netlink = g_new0(struct netlink, 1);
	int result = -NLE_NOMEM;

	if (!(netlink->socket = nl_socket_alloc()) || (result = nl_connect(netlink->socket, NETLINK_ROUTE)) < 0) {
		error_set(error, ERR_UNEXPECTED_ERROR, "netlink: %s", nl_geterror(result));
		return netlink_free(netlink);
	}
	nl_socket_set_msg_buf_size(netlink->socket, DUMP_BUFFER);
	nl_socket_disable_msg_peek(netlink->socket);
	nl_socket_modify_err_cb(netlink->socket, NL_CB_CUSTOM, on_error, netlink);
	return netlink;
}

/* ---- state ---- */

static void address_free(void *data)
{
	struct net_address *address = data;

	g_free(address->text);
	g_free(address->broadcast);
	g_free(address);
}

static void route_free(void *data)
{
	struct net_route *route = data;

	g_free(route->destination);
	g_free(route->gateway);
	g_free(route);
}

static void link_free(void *data)
{
	struct net_link *link = data;

	g_ptr_array_unref(link->addresses);
	g_ptr_array_unref(link->routes);
	g_ptr_array_unref(link->foreign);
	g_ptr_array_unref(link->learned);
	g_ptr_array_unref(link->peers);
	g_free(link->name);
	g_free(link->kind);
	g_free(link->mac);
	g_free(link->vlans);
	g_free(link->permanent_mac);
	g_free(link->active_slave);
	g_free(link->partner_mac);
	if (link->options)
		g_hash_table_unref(link->options);
	g_free(link);
}

struct net_state *net_state_new(void)
{
	struct net_state *state = g_new0(struct net_state, 1);

	state->links = g_ptr_array_new_with_free_func(link_free);
	state->rules = g_ptr_array_new_with_free_func(g_free);
	return state;
}

struct net_state *net_state_free(struct net_state *state)
{
	if (!state)
		return NULL;
	g_ptr_array_unref(state->links);
	g_ptr_array_unref(state->rules);
	g_free(state->resolv);
	g_free(state->nft);
	json_decref(state->ovs);
	g_free(state);
	return NULL;
}

struct net_link *net_state_add(struct net_state *state, const char *name, const char *kind)
{
	struct net_link *link = g_new0(struct net_link, 1), *last = state->links->len ? state->links->pdata[state->links->len - 1] : NULL;

	link->name = g_strdup(name);
	link->kind = g_strdup(kind);
	link->mac = g_strdup("");
	link->type = ARPHRD_ETHER;
	link->index = last ? last->index + 1 : 1;
	link->mtu = 1500;
	link->accept_ra = -1;
	link->addresses = g_ptr_array_new_with_free_func(address_free);
	link->routes = g_ptr_array_new_with_free_func(route_free);
	link->foreign = g_ptr_array_new_with_free_func(net_foreign_free);
	link->learned = g_ptr_array_new_with_free_func(net_foreign_free);
	link->peers = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(state->links, link);
	return link;
}

struct net_link *net_state_link(const struct net_state *state, const char *name)
{
	for (guint i = 0; i < state->links->len; i++) {
		struct net_link *link = state->links->pdata[i];

		if (!strcmp(link->name, name))
			return link;
	}
	return NULL;
}

struct net_link *net_state_index(const struct net_state *state, int index)
{
	for (guint i = 0; index && i < state->links->len; i++) {
		struct net_link *link = state->links->pdata[i];

		if (link->index == index)
			return link;
	}
	return NULL;
}

/* What a network can be put on: hardware, and what stands for hardware in containers and tests. */
bool net_link_is_nic(const struct net_link *link)
{
	return link->type == ARPHRD_ETHER && (!link->kind[0] || !strcmp(link->kind, "veth") || !strcmp(link->kind, "dummy"));
}

void net_link_add_address(struct net_link *link, const char *text)
{
	struct net_address *address = g_new0(struct net_address, 1);
	struct net_prefix prefix;

	address->text = g_strdup(text);
	address->broadcast = g_strdup("");
	address->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	address->link_local = net_prefix_parse(text, &prefix) && prefix.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&prefix.address.v6);
	g_ptr_array_add(link->addresses, address);
}

static uint64_t attribute_number(struct nlattr *attribute)
{
	return attribute ? nla_get_u32(attribute) : 0;
}

bool net_mac_parse(const char *text, uint8_t *m)
{
	int end = 0;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &end) == 6 && end == 17 && !text[17];
}

char *net_mac_text(const uint8_t *m)
{
	return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static char *attribute_mac(struct nlattr *attribute)
{
	return attribute && nla_len(attribute) == 6 ? net_mac_text(nla_data(attribute)) : NULL;
}

static void read_bond(struct net_link *link, struct nlattr *data)
{
	struct nlattr *bond[IFLA_BOND_MAX + 1], *ad[IFLA_BOND_AD_INFO_MAX + 1];
	char name[IF_NAMESIZE];

	if (nla_parse_nested(bond, IFLA_BOND_MAX, data, NULL) < 0)
		return;
	if (bond[IFLA_BOND_ACTIVE_SLAVE] && if_indextoname(nla_get_u32(bond[IFLA_BOND_ACTIVE_SLAVE]), name))
		link->active_slave = g_strdup(name);
	if (!bond[IFLA_BOND_AD_INFO] || nla_parse_nested(ad, IFLA_BOND_AD_INFO_MAX, bond[IFLA_BOND_AD_INFO], NULL) < 0)
		return;
	if (ad[IFLA_BOND_AD_INFO_AGGREGATOR])
		link->aggregator = nla_get_u16(ad[IFLA_BOND_AD_INFO_AGGREGATOR]);
	link->partner_mac = attribute_mac(ad[IFLA_BOND_AD_INFO_PARTNER_MAC]);
}

static void read_info(struct net_link *link, struct nlattr *info)
{
	struct nlattr *a[IFLA_INFO_MAX + 1], *data, *slave[IFLA_BOND_SLAVE_MAX + 1], *vlan[IFLA_VLAN_MAX + 1];

	if (!info || nla_parse_nested(a, IFLA_INFO_MAX, info, NULL) < 0)
		return;
	if (a[IFLA_INFO_SLAVE_KIND] && !strcmp(nla_get_string(a[IFLA_INFO_SLAVE_KIND]), "bond") && a[IFLA_INFO_SLAVE_DATA] &&
	    nla_parse_nested(slave, IFLA_BOND_SLAVE_MAX, a[IFLA_INFO_SLAVE_DATA], NULL) == 0) {
		link->permanent_mac = attribute_mac(slave[IFLA_BOND_SLAVE_PERM_HWADDR]);
		if (slave[IFLA_BOND_SLAVE_AD_AGGREGATOR_ID])
			link->aggregator = nla_get_u16(slave[IFLA_BOND_SLAVE_AD_AGGREGATOR_ID]);
	}
	if (!a[IFLA_INFO_KIND])
		return;
	g_free(link->kind);
	link->kind = g_strdup(nla_get_string(a[IFLA_INFO_KIND]));
	if (!(data = a[IFLA_INFO_DATA]))
		return;
	link->options = net_options_read(link->kind, data);
	if (!strcmp(link->kind, "bond"))
		read_bond(link, data);
	else if (!strcmp(link->kind, "vlan") && nla_parse_nested(vlan, IFLA_VLAN_MAX, data, NULL) == 0 && vlan[IFLA_VLAN_ID])
		link->vlan = nla_get_u16(vlan[IFLA_VLAN_ID]);
}

static void read_ipv6(struct net_link *link, struct nlattr *families)
{
	struct nlattr *inet6[IFLA_INET6_MAX + 1], *family;
	int rest;

	if (!families)
		return;
	nla_for_each_nested(family, families, rest)
		if (nla_type(family) == AF_INET6 && nla_parse_nested(inet6, IFLA_INET6_MAX, family, NULL) == 0 && inet6[IFLA_INET6_CONF] &&
		    (size_t)nla_len(inet6[IFLA_INET6_CONF]) >= (DEVCONF_ACCEPT_RA + 1) * sizeof(int32_t))
			link->accept_ra = ((const int32_t *)nla_data(inet6[IFLA_INET6_CONF]))[DEVCONF_ACCEPT_RA];
}

static void read_counters(struct net_link *link, struct nlattr *attribute)
{
	struct rtnl_link_stats64 stats = { 0 };

	if (!attribute)
		return;
	memcpy(&stats, nla_data(attribute), MIN((size_t)nla_len(attribute), sizeof(stats)));
	link->rx_bytes = stats.rx_bytes;
	link->tx_bytes = stats.tx_bytes;
	link->rx_errors = stats.rx_errors;
	link->tx_errors = stats.tx_errors;
	link->rx_dropped = stats.rx_dropped;
	link->tx_dropped = stats.tx_dropped;
}

static int on_link(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct ifinfomsg *info = nlmsg_data(header);
	struct nlattr *a[IFLA_MAX + 1];
	struct net_link *link;

	if (header->nlmsg_type != RTM_NEWLINK || nlmsg_parse(header, sizeof(*info), a, IFLA_MAX, NULL) < 0 || !a[IFLA_IFNAME])
		return NL_OK;
	link = net_state_add(((struct netlink *)data)->state, nla_get_string(a[IFLA_IFNAME]), "");
	link->index = info->ifi_index;
	link->flags = info->ifi_flags;
	link->type = info->ifi_type;
	link->running = (info->ifi_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	link->master = (int)attribute_number(a[IFLA_MASTER]);
	link->lower = (int)attribute_number(a[IFLA_LINK]);
	link->mtu = (uint32_t)attribute_number(a[IFLA_MTU]);
	link->max_mtu = (uint32_t)attribute_number(a[IFLA_MAX_MTU]);
	if (a[IFLA_ADDRESS] && nla_len(a[IFLA_ADDRESS]) == 6) {
		g_free(link->mac);
		link->mac = attribute_mac(a[IFLA_ADDRESS]);
	}
	read_info(link, a[IFLA_LINKINFO]);
	read_ipv6(link, a[IFLA_AF_SPEC]);
	read_counters(link, a[IFLA_STATS64]);
	return NL_OK;
}

static int on_address(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct ifaddrmsg *info = nlmsg_data(header);
	struct nlattr *a[IFA_MAX + 1], *address;
	struct net_prefix prefix = { 0 };
	struct net_link *link;

	if (header->nlmsg_type != RTM_NEWADDR || nlmsg_parse(header, sizeof(*info), a, IFA_MAX, NULL) < 0)
		return NL_OK;
	/* on point-to-point links IFA_ADDRESS is the peer */
	address = a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS];
	link = net_state_index(((struct netlink *)data)->state, (int)info->ifa_index);
	prefix.family = info->ifa_family;
	prefix.length = info->ifa_prefixlen;
	if (!address || !link || (size_t)nla_len(address) != (prefix.family == AF_INET ? 4u : 16u))
		return NL_OK;
	memcpy(&prefix.address, nla_data(address), (size_t)nla_len(address));
	g_autofree char *text = net_prefix_text(&prefix);
	net_link_add_address(link, text);
	net_foreign_address(link, header, a);
	if (prefix.family == AF_INET && a[IFA_BROADCAST]) {
		struct net_address *added = link->addresses->pdata[link->addresses->len - 1];
		char broadcast[INET_ADDRSTRLEN];

		g_free(added->broadcast);
		added->broadcast = g_strdup(inet_ntop(AF_INET, nla_data(a[IFA_BROADCAST]), broadcast, sizeof(broadcast)));
	}
	return NL_OK;
}

static int on_route(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct rtmsg *info = nlmsg_data(header);
	struct nlattr *a[RTA_MAX + 1];
	struct net_prefix gateway = { 0 }, destination = { 0 };
	const struct net_state *kept = ((struct netlink *)data)->state;
	struct net_route *route;
	struct net_link *link = NULL;
	char text[INET6_ADDRSTRLEN];
	uint32_t table;

	if (header->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(header, sizeof(*info), a, RTA_MAX, NULL) < 0 || info->rtm_type != RTN_UNICAST ||
	    (!a[RTA_OIF] && !a[RTA_MULTIPATH]) || (info->rtm_family != AF_INET && info->rtm_family != AF_INET6) || (info->rtm_flags & RTM_F_CLONED))
		return NL_OK;
	table = a[RTA_TABLE] ? nla_get_u32(a[RTA_TABLE]) : info->rtm_table;
	if (a[RTA_OIF] && !(link = net_state_index(kept, (int)attribute_number(a[RTA_OIF]))))
		return NL_OK;
	if (a[RTA_GATEWAY])
		memcpy(&gateway.address, nla_data(a[RTA_GATEWAY]), MIN((size_t)nla_len(a[RTA_GATEWAY]), sizeof(gateway.address)));
	route = g_new0(struct net_route, 1);
	route->family = info->rtm_family;
	route->protocol = info->rtm_protocol;
	route->metric = (uint32_t)attribute_number(a[RTA_PRIORITY]);
	route->table = table;
	route->object = (uint32_t)attribute_number(a[RTA_NH_ID]);
	route->gateway = g_strdup(a[RTA_GATEWAY] ? inet_ntop(info->rtm_family, &gateway.address, text, sizeof(text)) : "-");
	if (info->rtm_dst_len && a[RTA_DST]) {
		destination.family = info->rtm_family;
		destination.length = info->rtm_dst_len;
		memcpy(&destination.address, nla_data(a[RTA_DST]), MIN((size_t)nla_len(a[RTA_DST]), sizeof(destination.address)));
		route->destination = net_prefix_text(&destination);
	} else
		route->destination = g_strdup("default");
	net_foreign_route(kept, link, route, header, a);
	if (link && (table == RT_TABLE_MAIN ? a[RTA_GATEWAY] != NULL : info->rtm_protocol == NET_PROTOCOL))
		g_ptr_array_add(link->routes, route);
	else
		route_free(route);
	return NL_OK;
}

static int on_rule(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct fib_rule_hdr *info = nlmsg_data(header);
	struct nlattr *a[FRA_MAX + 1];
	struct net_prefix from = { 0 };
	GPtrArray *rules = ((struct netlink *)data)->state->rules;

	if (header->nlmsg_type != RTM_NEWRULE || nlmsg_parse(header, sizeof(*info), a, FRA_MAX, NULL) < 0 || !a[FRA_PROTOCOL] ||
	    nla_get_u8(a[FRA_PROTOCOL]) != NET_PROTOCOL || (!a[FRA_SRC] && !a[FRA_FWMARK]) || !a[FRA_TABLE])
		return NL_OK;
	if (a[FRA_FWMARK]) {
		g_ptr_array_add(rules, g_strdup_printf("fwmark %u table %u", nla_get_u32(a[FRA_FWMARK]), nla_get_u32(a[FRA_TABLE])));
		return NL_OK;
	}
	from.family = info->family;
	from.length = info->src_len;
	memcpy(&from.address, nla_data(a[FRA_SRC]), MIN((size_t)nla_len(a[FRA_SRC]), sizeof(from.address)));
	g_autofree char *text = net_prefix_text(&from);
	g_ptr_array_add(rules, g_strdup_printf("from %s table %u", text, nla_get_u32(a[FRA_TABLE])));
	return NL_OK;
}

static int on_peer(struct nl_msg *message, void *data)
{
	static const uint8_t all[6];
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct ndmsg *info = nlmsg_data(header);
	struct nlattr *a[NDA_MAX + 1];
	char text[INET6_ADDRSTRLEN];
	struct net_link *link;

	if (header->nlmsg_type != RTM_NEWNEIGH || nlmsg_parse(header, sizeof(*info), a, NDA_MAX, NULL) < 0 || !a[NDA_DST] || !a[NDA_LLADDR] ||
	    nla_len(a[NDA_LLADDR]) != 6 || memcmp(nla_data(a[NDA_LLADDR]), all, 6))
		return NL_OK;
	link = net_state_index(((struct netlink *)data)->state, info->ndm_ifindex);
	if (link && !strcmp(link->kind, "vxlan") && inet_ntop(nla_len(a[NDA_DST]) == 4 ? AF_INET : AF_INET6, nla_data(a[NDA_DST]), text, sizeof(text)))
		g_ptr_array_add(link->peers, g_strdup(text));
	return NL_OK;
}

static bool has_vxlan(const struct net_state *state)
{
	for (guint i = 0; i < state->links->len; i++)
		if (!strcmp(((const struct net_link *)state->links->pdata[i])->kind, "vxlan"))
			return true;
	return false;
}

int netlink_dump(struct netlink *netlink, struct nl_msg *message, int (*on_message)(struct nl_msg *message, void *data), void *data)
{
	int result;

	nl_socket_modify_cb(netlink->socket, NL_CB_VALID, NL_CB_CUSTOM, on_message, data);
	result = nl_send_auto(netlink->socket, message);
	nlmsg_free(message);
	return result < 0 ? result : nl_recvmsgs_default(netlink->socket);
}

static int dump(struct netlink *netlink, int type, int family, nl_recvmsg_msg_cb_t on_message)
{
	struct { struct rtmsg any; uint8_t rest[16]; } request = { .any.rtm_family = (unsigned char)family };
	size_t size = type == RTM_GETLINK ? sizeof(struct ifinfomsg) : type == RTM_GETADDR ? sizeof(struct ifaddrmsg) : sizeof(struct rtmsg);
	struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_DUMP);

	nlmsg_append(message, &request, size, NLMSG_ALIGNTO);
	return netlink_dump(netlink, message, on_message, netlink);
}

/* What is not asked over this socket. */
static void read_rest(struct net_state *state)
{
	g_autofree char *forwarding = NULL;

	(void)g_file_get_contents(net_resolv_path, &state->resolv, NULL, NULL);
	state->forwarding = g_file_get_contents("/proc/sys/net/ipv4/ip_forward", &forwarding, NULL, NULL) && forwarding[0] == '1';
}

struct net_state *net_state_read(struct netlink *netlink, bool addresses, GError **error)
{
	int result = 0;

	/* the state may change while it is dumped: then once more */
	for (int i = 0; i < DUMP_TRIES; i++) {
		netlink->state = net_state_new();
		result = dump(netlink, RTM_GETLINK, AF_UNSPEC, on_link);
		if (result >= 0 && addresses)
			result = dump(netlink, RTM_GETADDR, AF_UNSPEC, on_address);
		if (result >= 0 && addresses)
			result = dump(netlink, RTM_GETROUTE, AF_INET, on_route);
		if (result >= 0 && addresses)
			result = dump(netlink, RTM_GETROUTE, AF_INET6, on_route);
		if (result >= 0 && addresses)
			result = net_foreign_objects(netlink, netlink->state);
		if (result >= 0 && addresses)
			result = dump(netlink, RTM_GETRULE, AF_UNSPEC, on_rule);
		if (result >= 0 && addresses && has_vxlan(netlink->state))
			result = dump(netlink, RTM_GETNEIGH, AF_BRIDGE, on_peer);
		if (result >= 0 && addresses)
			result = net_vlan_note(netlink, netlink->state);
		if (result >= 0) {
			if (addresses)
				read_rest(netlink->state);
			return g_steal_pointer(&netlink->state);
		}
		netlink->state = net_state_free(netlink->state);
		if (result != -NLE_DUMP_INTR)
			break;
	}
	error_set(error, ERR_UNEXPECTED_ERROR, "reading the links from the kernel: %s", nl_geterror(result));
	return NULL;
}

void net_link_speed(const char *name, int *ret_speed, const char **ret_duplex)
{
	struct ethtool_cmd command = { .cmd = ETHTOOL_GSET };
	struct ifreq request = { .ifr_data = (void *)&command };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret_speed = 0;
	*ret_duplex = "unknown";
	g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
	if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0) {
		uint32_t speed = (uint32_t)command.speed_hi << 16 | command.speed;          /* the header's own way shifts an int out of range */

		*ret_speed = speed == (uint32_t)SPEED_UNKNOWN || speed > G_MAXINT ? 0 : (int)speed;
		*ret_duplex = command.duplex == DUPLEX_FULL ? "full" : command.duplex == DUPLEX_HALF ? "half" : "unknown";
	}
	if (fd >= 0)
		close(fd);
}

int netlink_transact(struct netlink *netlink, struct nl_msg *message)
{
	int result;

	netlink->errnum = 0;
	result = nl_send_auto(netlink->socket, message);
	nlmsg_free(message);
	if (result >= 0)
		result = nl_wait_for_ack(netlink->socket);
	return result >= 0 ? 0 : netlink->errnum ? netlink->errnum : EIO;
}
