/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Talking to the kernel: three dumps (links with their counters, addresses, routes with a gateway) give the whole state; every change is one
 * message and its answer. Messages are read with libnl's parser, attribute by attribute: its link objects do not know a bridge's STP state.
 *
 * A socket belongs to one user at a time; making one is cheap. Blocks for as long as the kernel needs.
 */
#include "agent/net/net-priv.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
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
	g_free(link->name);
	g_free(link->kind);
	g_free(link->mac);
	g_free(link);
}

struct net_state *net_state_new(void)
{
	struct net_state *state = g_new0(struct net_state, 1);

	state->links = g_ptr_array_new_with_free_func(link_free);
	return state;
}

struct net_state *net_state_free(struct net_state *state)
{
	if (state)
		g_ptr_array_unref(state->links);
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
	link->addresses = g_ptr_array_new_with_free_func(address_free);
	link->routes = g_ptr_array_new_with_free_func(route_free);
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

static void read_info(struct net_link *link, struct nlattr *info)
{
	struct nlattr *attributes[IFLA_INFO_MAX + 1], *bridge[IFLA_BR_MAX + 1];

	if (!info || nla_parse_nested(attributes, IFLA_INFO_MAX, info, NULL) < 0 || !attributes[IFLA_INFO_KIND])
		return;
	g_free(link->kind);
	link->kind = g_strdup(nla_get_string(attributes[IFLA_INFO_KIND]));
	if (strcmp(link->kind, "bridge") || !attributes[IFLA_INFO_DATA] ||
	    nla_parse_nested(bridge, IFLA_BR_MAX, attributes[IFLA_INFO_DATA], NULL) < 0)
		return;
	link->stp = attribute_number(bridge[IFLA_BR_STP_STATE]) != 0;
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
		const uint8_t *m = nla_data(a[IFLA_ADDRESS]);

		g_free(link->mac);
		link->mac = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	}
	read_info(link, a[IFLA_LINKINFO]);
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
	struct net_route *route;
	struct net_link *link;
	char text[INET6_ADDRSTRLEN];

	if (header->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(header, sizeof(*info), a, RTA_MAX, NULL) < 0 || info->rtm_type != RTN_UNICAST ||
	    info->rtm_table != RT_TABLE_MAIN || !a[RTA_GATEWAY] || !a[RTA_OIF] || (info->rtm_family != AF_INET && info->rtm_family != AF_INET6) ||
	    (info->rtm_flags & RTM_F_CLONED))
		return NL_OK;
	if (!(link = net_state_index(((struct netlink *)data)->state, (int)attribute_number(a[RTA_OIF]))))
		return NL_OK;
	memcpy(&gateway.address, nla_data(a[RTA_GATEWAY]), MIN((size_t)nla_len(a[RTA_GATEWAY]), sizeof(gateway.address)));
	route = g_new0(struct net_route, 1);
	route->family = info->rtm_family;
	route->protocol = info->rtm_protocol;
	route->metric = (uint32_t)attribute_number(a[RTA_PRIORITY]);
	route->gateway = g_strdup(inet_ntop(info->rtm_family, &gateway.address, text, sizeof(text)));
	if (info->rtm_dst_len && a[RTA_DST]) {
		destination.family = info->rtm_family;
		destination.length = info->rtm_dst_len;
		memcpy(&destination.address, nla_data(a[RTA_DST]), MIN((size_t)nla_len(a[RTA_DST]), sizeof(destination.address)));
		route->destination = net_prefix_text(&destination);
	} else
		route->destination = g_strdup("default");
	g_ptr_array_add(link->routes, route);
	return NL_OK;
}

static int dump(struct netlink *netlink, int type, int family, nl_recvmsg_msg_cb_t on_message)
{
	struct { struct rtmsg any; uint8_t rest[16]; } request = { .any.rtm_family = (unsigned char)family };
	size_t size = type == RTM_GETLINK ? sizeof(struct ifinfomsg) : type == RTM_GETADDR ? sizeof(struct ifaddrmsg) : sizeof(struct rtmsg);
	int result;

	nl_socket_modify_cb(netlink->socket, NL_CB_VALID, NL_CB_CUSTOM, on_message, netlink);
	if ((result = nl_send_simple(netlink->socket, type, NLM_F_DUMP, &request, size)) < 0)
		return result;
	return nl_recvmsgs_default(netlink->socket);
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
		if (result >= 0)
			return g_steal_pointer(&netlink->state);
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

/* ---- changes ---- */

/* Sends and frees the message. 0 or errno */
static int transact(struct netlink *netlink, struct nl_msg *message)
{
	int result;

	netlink->errnum = 0;
	result = nl_send_auto(netlink->socket, message);
	nlmsg_free(message);
	if (result >= 0)
		result = nl_wait_for_ack(netlink->socket);
	return result >= 0 ? 0 : netlink->errnum ? netlink->errnum : EIO;
}

static struct nl_msg *link_message(int type, int flags, int index, unsigned up, unsigned change)
{
	struct ifinfomsg info = { .ifi_index = index, .ifi_flags = up, .ifi_change = change };
	struct nl_msg *message = nlmsg_alloc_simple(type, flags);

	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	return message;
}

static bool parse_mac(const char *text, uint8_t *mac)
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) == 6;
}

int netlink_bridge_add(struct netlink *netlink, const char *name, const char *mac)
{
	struct nl_msg *message = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	struct nlattr *info;
	uint8_t bytes[6];

	nla_put_string(message, IFLA_IFNAME, name);
	if (parse_mac(mac, bytes))
		nla_put(message, IFLA_ADDRESS, sizeof(bytes), bytes);
	info = nla_nest_start(message, IFLA_LINKINFO);
	nla_put_string(message, IFLA_INFO_KIND, "bridge");
	nla_nest_end(message, info);
	return transact(netlink, message);
}

#define WITH_INDEX(name) \
	int index = (int)if_nametoindex(name); \
	if (!index) \
		return errno

int netlink_link_delete(struct netlink *netlink, const char *name)
{
	WITH_INDEX(name);
	return transact(netlink, link_message(RTM_DELLINK, 0, index, 0, 0));
}

int netlink_set_up(struct netlink *netlink, const char *name, bool up)
{
	WITH_INDEX(name);
	return transact(netlink, link_message(RTM_NEWLINK, 0, index, up ? IFF_UP : 0, IFF_UP));
}

int netlink_set_master(struct netlink *netlink, const char *name, const char *master)
{
	unsigned above = 0;
	struct nl_msg *message;
	WITH_INDEX(name);

	if (master[0] && !(above = if_nametoindex(master)))
		return errno;
	message = link_message(RTM_NEWLINK, 0, index, 0, 0);
	nla_put_u32(message, IFLA_MASTER, above);
	return transact(netlink, message);
}

int netlink_set_mtu(struct netlink *netlink, const char *name, uint32_t mtu)
{
	struct nl_msg *message;
	WITH_INDEX(name);

	message = link_message(RTM_NEWLINK, 0, index, 0, 0);
	nla_put_u32(message, IFLA_MTU, mtu);
	return transact(netlink, message);
}

int netlink_set_stp(struct netlink *netlink, const char *name, bool stp)
{
	struct nl_msg *message;
	struct nlattr *info, *data;
	WITH_INDEX(name);

	message = link_message(RTM_NEWLINK, 0, index, 0, 0);
	info = nla_nest_start(message, IFLA_LINKINFO);
	nla_put_string(message, IFLA_INFO_KIND, "bridge");
	data = nla_nest_start(message, IFLA_INFO_DATA);
	nla_put_u32(message, IFLA_BR_STP_STATE, stp);
	nla_nest_end(message, data);
	nla_nest_end(message, info);
	return transact(netlink, message);
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
	return transact(netlink, message);
}

int netlink_route(struct netlink *netlink, const char *name, const char *route, bool add)
{
	struct rtmsg info = { .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST,
			      .rtm_scope = add ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE };
	g_auto(GStrv) words = g_strsplit(route, " ", -1);           /* destination via gateway metric N proto N */
	struct net_prefix destination = { 0 };
	struct in6_addr gateway;
	struct nl_msg *message;
	uint32_t metric;
	int size;
	WITH_INDEX(name);

	if (g_strv_length(words) != 7)
		return EINVAL;
	info.rtm_family = strchr(words[2], ':') ? AF_INET6 : AF_INET;
	size = info.rtm_family == AF_INET ? 4 : 16;
	if (inet_pton(info.rtm_family, words[2], &gateway) != 1 || (strcmp(words[0], "default") && !net_prefix_parse(words[0], &destination)))
		return EINVAL;
	metric = (uint32_t)g_ascii_strtoull(words[4], NULL, 10);
	info.rtm_dst_len = (uint8_t)destination.length;
	info.rtm_protocol = (uint8_t)g_ascii_strtoull(words[6], NULL, 10);
	message = nlmsg_alloc_simple(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	if (destination.length)
		nla_put(message, RTA_DST, size, &destination.address);
	nla_put(message, RTA_GATEWAY, size, &gateway);
	nla_put_u32(message, RTA_OIF, (uint32_t)index);
	if (metric)
		nla_put_u32(message, RTA_PRIORITY, metric);
	return transact(netlink, message);
}
