/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others have put on links, and what the kernel has by router advertisements: kept as the kernel tells it, so that it can be made again.
 *
 * A step carries it as "TEXT links INDEX=NAME,... raw HEX", where HEX is the kernel's message. The numbers of links in it are replaced by those that the
 * links with these names have by then; a hop over a link that is not in the list, or no longer there, is left out.
 *
 *   route          over one link: taken away, and put back
 *   shared         a route of several hops, next-hop objects, their groups and the routes that use them. Taken away by the kernel alone, as far as it
 *                  does so, because they are about other links as well; put back as they were
 *   learned        addresses, default and other routes of router advertisements. Put back, the kernel goes on with an address as if it had made it. Not
 *                  with a default route: one that is equal, and not its own, would keep it from taking in any further advertisement. So it is put back
 *                  with the next metric, until its life ends, and routers are asked to tell again
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netinet/icmp6.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/loop.h"

#ifndef IFAPROT_KERNEL_RA
#define IFAPROT_KERNEL_RA 2
#endif
#define KERNEL_TICKS 100                  /* a second, in what the kernel tells (USER_HZ) */
#define CARRIER_USEC (35 * G_USEC_PER_SEC)        /* a bridge with STP needs 30 s */
#define ADDRESS_SIZE(family) ((family) == AF_INET ? 4 : 16)

void net_foreign_free(void *data)
{
	struct net_foreign *foreign = data;

	g_free(foreign->route.destination);
	g_free(foreign->route.gateway);
	g_free(foreign->source);
	g_bytes_unref(foreign->raw);
	g_ptr_array_unref(foreign->hops);
	g_free(foreign);
}

static void hop_free(void *data)
{
	struct net_hop *hop = data;

	g_free(hop->link);
	g_free(hop->gateway);
	g_free(hop);
}

bool net_foreign_is_shared(const struct net_foreign *foreign)
{
	return foreign->type == RTM_NEWNEXTHOP || foreign->route.object || foreign->hops->len > 1;
}

/* ---- as it is read ---- */

static struct net_foreign *foreign_new(struct nlmsghdr *header)
{
	struct net_foreign *foreign = g_new0(struct net_foreign, 1);

	foreign->type = header->nlmsg_type;
	foreign->raw = g_bytes_new(header, header->nlmsg_len);
	foreign->hops = g_ptr_array_new_with_free_func(hop_free);
	foreign->route.destination = g_strdup("");
	foreign->route.gateway = g_strdup("-");
	return foreign;
}

/* link NULL: nothing */
static void add_hop(struct net_foreign *foreign, const struct net_link *link, int family, struct nlattr *gateway)
{
	char text[INET6_ADDRSTRLEN];
	struct net_hop *hop;

	if (!link)
		return;
	hop = g_new0(struct net_hop, 1);
	hop->index = link->index;
	hop->link = g_strdup(link->name);
	hop->gateway = g_strdup(gateway && nla_len(gateway) == ADDRESS_SIZE(family) ? inet_ntop(family, nla_data(gateway), text, sizeof(text)) : "-");
	g_ptr_array_add(foreign->hops, hop);
}

/* RTNH_OK() reads the hop before it looks at what is left. */
static bool hop_is_whole(const struct rtnexthop *hop, int left)
{
	return left >= (int)sizeof(*hop) && RTNH_OK(hop, left);
}

static void add_hops(struct net_foreign *foreign, const struct net_state *state, int family, struct nlattr *multipath)
{
	struct rtnexthop *hop = nla_data(multipath);

	for (int left = nla_len(multipath); hop_is_whole(hop, left); left -= (int)NLMSG_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		struct nlattr *a[RTA_MAX + 1];

		if (nla_parse(a, RTA_MAX, (struct nlattr *)(void *)RTNH_DATA(hop), hop->rtnh_len - (int)sizeof(*hop), NULL) == 0)
			add_hop(foreign, net_state_index(state, hop->rtnh_ifindex), family, a[RTA_GATEWAY]);
	}
}

static struct net_foreign *copy(const struct net_foreign *foreign)
{
	struct net_foreign *other = g_new0(struct net_foreign, 1);

	*other = *foreign;
	other->route.destination = g_strdup(foreign->route.destination);
	other->route.gateway = g_strdup(foreign->route.gateway);
	other->source = g_strdup(foreign->source);
	g_bytes_ref(other->raw);
	g_ptr_array_ref(other->hops);
	return other;
}

/* To each link that it is over, once. */
static void note(const struct net_state *state, struct net_foreign *foreign)
{
	for (guint i = 0; i < foreign->hops->len; i++) {
		const struct net_hop *hop = foreign->hops->pdata[i];
		bool again = false;

		for (guint k = 0; k < i; k++)
			again |= ((const struct net_hop *)foreign->hops->pdata[k])->index == hop->index;
		if (!again)
			g_ptr_array_add(net_state_index(state, hop->index)->foreign, copy(foreign));
	}
	net_foreign_free(foreign);
}

/* The network of a route on the link itself: is it of an address that is not learned? Else by router advertisements, or left of an address. */
static bool has_own_address(const struct net_link *link, const char *destination, bool *ret_learned)
{
	bool own = false;

	*ret_learned = false;
	for (guint i = 0; i < link->addresses->len; i++) {
		const struct net_address *address = link->addresses->pdata[i];
		g_autofree char *network = address->family == AF_INET6 ? net_prefix_network(address->text) : NULL;

		if (g_strcmp0(network, destination))
			continue;
		if (address->learned)
			*ret_learned = true;
		else
			own = true;
	}
	return own;
}

static bool is_learned(const struct net_link *link, const struct net_route *route, struct nlattr **a)
{
	struct rta_cacheinfo *times = a[RTA_CACHEINFO] ? nla_data(a[RTA_CACHEINFO]) : NULL;
	bool learned;

	if (route->family != AF_INET6 || route->protocol == RTPROT_RA)
		return route->protocol == RTPROT_RA;
	return route->protocol == RTPROT_KERNEL && route->table == RT_TABLE_MAIN && !strcmp(route->gateway, "-") &&
	       !g_str_has_prefix(route->destination, "fe80:") && !has_own_address(link, route->destination, &learned) &&
	       (learned || (times && times->rta_expires));
}

void net_foreign_route(const struct net_state *state, struct net_link *link, const struct net_route *route, struct nlmsghdr *header, struct nlattr **a)
{
	bool learned = link && is_learned(link, route, a);
	struct net_foreign *foreign;
	char text[INET6_ADDRSTRLEN];

	if (!learned && (route->protocol == RTPROT_REDIRECT || route->protocol == RTPROT_KERNEL || route->protocol == RTPROT_RA || route->table == RT_TABLE_LOCAL))
		return;
	foreign = foreign_new(header);
	g_free(foreign->route.destination);
	g_free(foreign->route.gateway);
	foreign->route = *route;
	foreign->route.destination = g_strdup(route->destination);
	foreign->route.gateway = g_strdup(route->gateway);
	foreign->source = a[RTA_PREFSRC] ? g_strdup(inet_ntop(route->family, nla_data(a[RTA_PREFSRC]), text, sizeof(text))) : NULL;
	if (link)
		add_hop(foreign, link, route->family, a[RTA_GATEWAY]);
	else if (a[RTA_MULTIPATH])
		add_hops(foreign, state, route->family, a[RTA_MULTIPATH]);
	if (learned)
		g_ptr_array_add(link->learned, foreign);
	else
		note(state, foreign);
}

void net_foreign_address(struct net_link *link, struct nlmsghdr *header, struct nlattr **a)
{
	struct net_address *address = link->addresses->pdata[link->addresses->len - 1];
	uint32_t flags = a[IFA_FLAGS] ? nla_get_u32(a[IFA_FLAGS]) : 0, made = flags & (IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_PERMANENT);
	struct net_foreign *foreign;

	/* since Linux 5.18 it is told; programs that do the kernel's work make their own route */
	if (address->family != AF_INET6 || address->link_local ||
	    !(a[IFA_PROTO] ? nla_get_u8(a[IFA_PROTO]) == IFAPROT_KERNEL_RA : made == IFA_F_MANAGETEMPADDR || flags & IFA_F_TEMPORARY))
		return;
	address->learned = true;
	foreign = foreign_new(header);
	set_string(&foreign->route.destination, address->text);
	add_hop(foreign, link, AF_INET6, NULL);
	g_ptr_array_add(link->learned, foreign);
}

/* Next-hop objects of one state, in the order in which the kernel tells them. */
struct objects { const struct net_state *state; GPtrArray *singles, *groups; };

static int on_object(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct objects *objects = data;
	struct nlattr *a[NHA_MAX + 1];
	struct net_foreign *foreign;
	struct nhmsg *info = nlmsg_data(header);

	if (header->nlmsg_type != RTM_NEWNEXTHOP || nlmsg_parse(header, sizeof(*info), a, NHA_MAX, NULL) < 0 || !a[NHA_ID] || (!a[NHA_OIF] && !a[NHA_GROUP]))
		return NL_OK;
	foreign = foreign_new(header);
	foreign->route.object = nla_get_u32(a[NHA_ID]);
	foreign->route.family = info->nh_family;
	g_free(foreign->route.destination);
	foreign->route.destination = g_strdup_printf("nexthop %u", foreign->route.object);
	if (a[NHA_OIF])
		add_hop(foreign, net_state_index(objects->state, (int)nla_get_u32(a[NHA_OIF])), info->nh_family, a[NHA_GATEWAY]);
	g_ptr_array_add(a[NHA_GROUP] ? objects->groups : objects->singles, foreign);
	return NL_OK;
}

/* A group is over the links of its members. */
static void add_members(struct net_foreign *group, const GPtrArray *singles)
{
	gsize size;
	struct nlmsghdr *header = (struct nlmsghdr *)g_bytes_get_data(group->raw, &size);
	struct nlattr *a = nlmsg_find_attr(header, sizeof(struct nhmsg), NHA_GROUP);
	const struct nexthop_grp *members = nla_data(a);

	for (guint i = 0; i < (guint)nla_len(a) / sizeof(*members); i++)
		for (guint k = 0; k < singles->len; k++) {
			const struct net_foreign *single = singles->pdata[k];
			const struct net_hop *hop = single->hops->len ? single->hops->pdata[0] : NULL;
			struct net_hop *mine;

			if (single->route.object != members[i].id || !hop)
				continue;
			mine = g_new0(struct net_hop, 1);
			*mine = (struct net_hop){ .index = hop->index, .link = g_strdup(hop->link), .gateway = g_strdup(hop->gateway) };
			g_ptr_array_add(group->hops, mine);
		}
}

int net_foreign_objects(struct netlink *netlink, struct net_state *state)
{
	g_autoptr(GPtrArray) singles = g_ptr_array_new(), groups = g_ptr_array_new();
	struct objects objects = { state, singles, groups };
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETNEXTHOP, NLM_F_DUMP);
	struct nhmsg info = { 0 };
	int result;

	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	result = netlink_dump(netlink, message, on_object, &objects);
	for (guint i = 0; i < groups->len; i++)
		add_members(groups->pdata[i], singles);
	/* what needs others is taken away before them */
	for (guint i = 0; i < groups->len; i++)
		note(state, groups->pdata[i]);
	for (guint i = 0; i < singles->len; i++)
		note(state, singles->pdata[i]);
	return result == -NLE_DUMP_INTR ? result : 0;             /* kernels before 5.3 have none */
}

/* ---- in steps ---- */

char *net_foreign_text(const struct net_foreign *foreign, bool (*uses)(const struct net_hop *hop, void *data), void *data)
{
	GString *text = g_string_new(foreign->route.destination);
	bool first = true;
	gsize size;
	const uint8_t *raw = g_bytes_get_data(foreign->raw, &size);

	if (foreign->type == RTM_NEWROUTE)
		g_string_append_printf(text, " via %s metric %u proto %u table %u", foreign->hops->len > 1 ? "several" : foreign->route.gateway,
				       foreign->route.metric, foreign->route.protocol, foreign->route.table);
	g_string_append(text, " links ");
	for (guint i = 0; i < foreign->hops->len; i++) {
		const struct net_hop *hop = foreign->hops->pdata[i];

		if (uses && !uses(hop, data))
			continue;
		g_string_append_printf(text, "%s%d=%s", first ? "" : ",", hop->index, hop->link);
		first = false;
	}
	g_string_append(text, " raw ");
	for (gsize i = 0; i < size; i++)
		g_string_append_printf(text, "%02x", raw[i]);
	return g_string_free(text, FALSE);
}

char *net_foreign_plain(const char *text)
{
	const char *end = strstr(text, " links ");

	return end ? g_strndup(text, (gsize)(end - text)) : g_strdup(text);
}

static GByteArray *read_hex(const char *text)
{
	GByteArray *bytes = g_byte_array_new();

	for (; g_ascii_isxdigit(text[0]) && g_ascii_isxdigit(text[1]); text += 2) {
		uint8_t byte = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));

		g_byte_array_append(bytes, &byte, 1);
	}
	return bytes;
}

/* The number that the link has now; 0: it is not one of the step's, or not there. */
static int index_now(const char *text, int index)
{
	const char *list = strstr(text, " links ");
	g_autofree char *names = list ? g_strndup(list + strlen(" links "), strcspn(list + strlen(" links "), " ")) : g_strdup("");
	g_auto(GStrv) words = g_strsplit(names, ",", -1);

	for (size_t i = 0; words[i]; i++) {
		char *name = strchr(words[i], '=');

		if (name && atoi(words[i]) == index)
			return (int)if_nametoindex(name + 1);
	}
	return 0;
}

/* Of a route of several hops. false: none is left */
static bool put_hops(struct nl_msg *message, const char *text, struct nlattr *multipath)
{
	g_autoptr(GByteArray) hops = g_byte_array_new();
	struct rtnexthop *hop = nla_data(multipath);

	for (int left = nla_len(multipath); hop_is_whole(hop, left); left -= (int)NLMSG_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		static const uint8_t zeros[NLMSG_ALIGNTO];
		struct rtnexthop head = *hop;

		if (!(head.rtnh_ifindex = index_now(text, hop->rtnh_ifindex)))
			continue;
		head.rtnh_flags &= RTNH_F_ONLINK;
		g_byte_array_append(hops, (const uint8_t *)&head, sizeof(head));
		g_byte_array_append(hops, (const uint8_t *)hop + sizeof(head), hop->rtnh_len - (guint)sizeof(head));
		g_byte_array_append(hops, zeros, NLMSG_ALIGN(hop->rtnh_len) - hop->rtnh_len);
	}
	return hops->len && nla_put(message, RTA_MULTIPATH, (int)hops->len, hops->data) == 0;
}

static struct nl_msg *route_message(const char *text, struct nlmsghdr *header, bool add, int *ret_errnum)
{
	struct rtmsg info = *(struct rtmsg *)nlmsg_data(header);
	bool object = nlmsg_find_attr(header, sizeof(info), RTA_NH_ID), several = nlmsg_find_attr(header, sizeof(info), RTA_MULTIPATH);
	bool learned = info.rtm_family == AF_INET6 && info.rtm_protocol == RTPROT_RA;
	struct nl_msg *message;
	struct nlattr *a;
	int left, index;

	if (!add && (object || several))
		return NULL;
	info.rtm_flags &= RTNH_F_ONLINK;          /* the rest is the kernel's to tell */
	message = nlmsg_alloc_simple(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | (object || several ? NLM_F_REPLACE : NLM_F_EXCL) : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nlmsg_for_each_attr(a, header, sizeof(info), left)
		switch (nla_type(a)) {
		case RTA_OIF:
			if (object)
				break;           /* it says how; as do gateways and hops */
			if (!(index = index_now(text, (int)nla_get_u32(a))))
				*ret_errnum = ENODEV;
			nla_put_u32(message, RTA_OIF, (uint32_t)index);
			break;
		case RTA_MULTIPATH:
			if (!object && !put_hops(message, text, a))
				*ret_errnum = ENODEV;
			break;
		case RTA_CACHEINFO:
			if (add && info.rtm_family == AF_INET6 && ((struct rta_cacheinfo *)nla_data(a))->rta_expires > 0)
				nla_put_u32(message, RTA_EXPIRES, (uint32_t)MAX(((struct rta_cacheinfo *)nla_data(a))->rta_expires / KERNEL_TICKS, 1));
			break;
		case RTA_PRIORITY:
			nla_put_u32(message, RTA_PRIORITY, nla_get_u32(a) + (add && learned));
			break;
		default:
			if (!object || (nla_type(a) != RTA_GATEWAY && nla_type(a) != RTA_VIA && nla_type(a) != RTA_ENCAP && nla_type(a) != RTA_ENCAP_TYPE))
				nla_put(message, nla_type(a), nla_len(a), nla_data(a));
		}
	return message;
}

static struct nl_msg *object_message(const char *text, struct nlmsghdr *header, bool add, int *ret_errnum)
{
	struct nhmsg info = *(struct nhmsg *)nlmsg_data(header);
	struct nl_msg *message;
	struct nlattr *a;
	int left, index;

	if (!add)
		return NULL;
	info.nh_flags &= RTNH_F_ONLINK;
	info.nh_scope = 0;
	message = nlmsg_alloc_simple(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nlmsg_for_each_attr(a, header, sizeof(info), left)
		if (nla_type(a) == NHA_OIF) {
			if (!(index = index_now(text, (int)nla_get_u32(a))))
				*ret_errnum = ENODEV;
			nla_put_u32(message, NHA_OIF, (uint32_t)index);
		} else if (nla_type(a) <= NHA_FDB)              /* what follows is told otherwise than it is set */
			nla_put(message, nla_type(a), nla_len(a), nla_data(a));
	return message;
}

/* What the kernel made of an address that is of no long life it makes again. */
static struct nl_msg *address_message(const char *text, struct nlmsghdr *header, bool add, int *ret_errnum)
{
	struct ifaddrmsg info = *(struct ifaddrmsg *)nlmsg_data(header);
	struct nlattr *flags = nlmsg_find_attr(header, sizeof(info), IFA_FLAGS), *a;
	uint32_t had = flags ? nla_get_u32(flags) : info.ifa_flags;
	struct nl_msg *message;
	int left;

	if (add && had & IFA_F_TEMPORARY)
		return NULL;
	info.ifa_flags = 0;
	if (!(info.ifa_index = (uint32_t)index_now(text, (int)info.ifa_index)))
		*ret_errnum = ENODEV;
	message = nlmsg_alloc_simple(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nlmsg_for_each_attr(a, header, sizeof(info), left)
		if (nla_type(a) == IFA_FLAGS)
			nla_put_u32(message, IFA_FLAGS, had & IFA_F_MANAGETEMPADDR);
		else if (add || nla_type(a) == IFA_ADDRESS)
			nla_put(message, nla_type(a), nla_len(a), nla_data(a));
	return message;
}

/* What is not needed, or not to be done by us, is done already. */
static int set(struct netlink *netlink, const char *text, struct nlmsghdr *header, bool add)
{
	struct nl_msg *message = NULL;
	int errnum = 0;

	if (header->nlmsg_type == RTM_NEWROUTE && nlmsg_valid_hdr(header, sizeof(struct rtmsg)))
		message = route_message(text, header, add, &errnum);
	else if (header->nlmsg_type == RTM_NEWNEXTHOP && nlmsg_valid_hdr(header, sizeof(struct nhmsg)))
		message = object_message(text, header, add, &errnum);
	else if (header->nlmsg_type == RTM_NEWADDR && nlmsg_valid_hdr(header, sizeof(struct ifaddrmsg)))
		message = address_message(text, header, add, &errnum);
	else
		return EINVAL;
	if (!message || !errnum)
		return message ? netlink_transact(netlink, message) : 0;
	nlmsg_free(message);
	return errnum;
}

/* The kernel makes a next-hop object only when its link has a carrier, which one that was made anew has after a while. */
static int set_patiently(struct netlink *netlink, const char *text, struct nlmsghdr *header)
{
	int64_t end = now_usec() + CARRIER_USEC, left;
	struct nl_sock *events = nl_socket_alloc();
	int errnum = ENETDOWN;
	char news[4096];

	if (events && nl_connect(events, NETLINK_ROUTE) == 0 && nl_socket_add_memberships(events, RTNLGRP_LINK, 0) == 0)
		while ((errnum = set(netlink, text, header, true)) == ENETDOWN && (left = end - now_usec()) > 0) {
			struct pollfd wait = { .fd = nl_socket_get_fd(events), .events = POLLIN };

			if (poll(&wait, 1, (int)(left / 1000) + 1) > 0)
				(void)recv(wait.fd, news, sizeof(news), 0);
		}
	nl_socket_free(events);
	return errnum;
}

int net_foreign_set(struct netlink *netlink, const char *link, const char *text, bool add)
{
	const char *hex = strstr(text, " raw ");
	g_autoptr(GByteArray) raw = read_hex(hex ? hex + strlen(" raw ") : "");
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)raw->data;
	int errnum;

	if (!nlmsg_ok(header, (int)raw->len))
		return EINVAL;
	errnum = set(netlink, text, header, add);
	if (errnum == ENETDOWN && header->nlmsg_type == RTM_NEWNEXTHOP)
		errnum = set_patiently(netlink, text, header);
	if (add && !errnum && header->nlmsg_type == RTM_NEWROUTE && ((struct rtmsg *)nlmsg_data(header))->rtm_protocol == RTPROT_RA)
		net_solicit(link);
	return errnum;
}

/* Not heard: routers tell by themselves, later. */
void net_solicit(const char *link)
{
	struct sockaddr_in6 routers = { .sin6_family = AF_INET6, .sin6_addr = { .s6_addr = { 0xff, 2, [15] = 2 } }, .sin6_scope_id = if_nametoindex(link) };
	struct nd_router_solicit request = { .nd_rs_type = ND_ROUTER_SOLICIT };
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6), hops = 255;

	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops));
	(void)sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&routers, sizeof(routers));
	close(fd);
}
