/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link changes, as the kernel tells them (netlink multicast), on the loop: what matters is noted and `changed` is called once,
 * WATCH_DEBOUNCE_USEC after the first of a burst. What matters: a nic (bond, VLAN) that comes, goes, or changes its state, and IPv4 addresses that
 * come or go. Taps of VMs and what they do to their bridge do not: else each start of a VM would make engines read all capabilities. For them, and for
 * the ends of containers' veths, `port` is called at each message.
 */
#define LOG_MODULE "net"
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/log.h"
#include "common/loop.h"

#define WATCH_DEBOUNCE_USEC (20 * 1000)
#define STATE_FLAGS ((unsigned)(IFF_UP | IFF_RUNNING | 0x10000 /* IFF_LOWER_UP */))

struct net_watch {
	struct nl_sock *socket;
	struct watch *watch;
	struct timer *timer;
	bool armed;
	GHashTable *seen;                /* index -> STATE_FLAGS of the links that matter, plus 1 */
	void (*changed)(void *data), (*port)(void *data);
	void *data;
};

static void arm(struct net_watch *watch)
{
	if (watch->armed)
		return;
	watch->armed = true;
	timer_set(watch->timer, WATCH_DEBOUNCE_USEC);
}

static void on_timer(void *data)
{
	struct net_watch *watch = data;

	watch->armed = false;
	watch->changed(watch->data);
}

/* "": a nic */
static const char *kind_of(struct nlattr *info)
{
	struct nlattr *attributes[IFLA_INFO_MAX + 1];

	if (!info || nla_parse_nested(attributes, IFLA_INFO_MAX, info, NULL) < 0 || !attributes[IFLA_INFO_KIND])
		return "";
	return nla_get_string(attributes[IFLA_INFO_KIND]);
}

static void on_link(struct net_watch *watch, struct nlmsghdr *header)
{
	static const char *const quiet[] = { "tun", "bridge", "macvtap", "ifb", NULL }, *const ports[] = { "tun", "veth", NULL };
	struct ifinfomsg *info = nlmsg_data(header);
	struct nlattr *a[IFLA_MAX + 1];
	const char *kind;
	void *key = GINT_TO_POINTER(info->ifi_index), *state = GUINT_TO_POINTER((info->ifi_flags & STATE_FLAGS) + 1);

	/* AF_BRIDGE: news of a bridge about its port */
	if (info->ifi_family != AF_UNSPEC || nlmsg_parse(header, sizeof(*info), a, IFLA_MAX, NULL) < 0)
		return;
	kind = kind_of(a[IFLA_LINKINFO]);
	if (g_strv_contains(ports, kind))
		watch->port(watch->data);
	if (g_strv_contains(quiet, kind))
		return;
	if (header->nlmsg_type == RTM_DELLINK) {
		if (g_hash_table_remove(watch->seen, key))
			arm(watch);
		return;
	}
	if (g_hash_table_lookup(watch->seen, key) == state)
		return;
	g_hash_table_insert(watch->seen, key, state);
	arm(watch);
}

static int on_message(struct nl_msg *message, void *data)
{
	struct net_watch *watch = data;
	struct nlmsghdr *header = nlmsg_hdr(message);

	if (header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK)
		on_link(watch, header);
	else if (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR)
		arm(watch);
	return NL_OK;
}

static void on_readable(int fd, unsigned what, void *data)
{
	struct net_watch *watch = data;
	int result;

	while ((result = nl_recvmsgs_default(watch->socket)) == 0)
		;
	if (result != -NLE_AGAIN) {
		log_warn("link events were lost (%s): as if something had changed", nl_geterror(result));
		arm(watch);
		watch->port(watch->data);
	}
}

/* So that the first message about a link is not taken for a change. */
static void note_present(struct net_watch *watch)
{
	g_autoptr(GError) problem = NULL;
	struct netlink *netlink = netlink_new(&problem);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, &problem) : NULL;

	for (guint i = 0; state && i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		if (net_link_is_nic(link) || !strcmp(link->kind, "vlan") || !strcmp(link->kind, "bond"))
			g_hash_table_insert(watch->seen, GINT_TO_POINTER(link->index), GUINT_TO_POINTER((link->flags & STATE_FLAGS) + 1));
	}
	if (problem)
		log_warn("%s, ignoring", problem->message);
	net_state_free(state);
	netlink_free(netlink);
}

struct net_watch *net_watch_free(struct net_watch *watch)
{
	if (!watch)
		return NULL;
	watch_free(watch->watch);
	timer_free(watch->timer);
	nl_socket_free(watch->socket);
	g_hash_table_unref(watch->seen);
	g_free(watch);
	return NULL;
}

struct net_watch *net_watch_new(struct loop *loop, void (*changed)(void *data), void (*port)(void *data), void *data, GError **error)
{
	struct net_watch *watch = g_new0(struct net_watch, 1);
	int result = -NLE_NOMEM;

	watch->changed = changed;
	watch->port = port;
	watch->data = data;
	watch->seen = g_hash_table_new(NULL, NULL);
	watch->timer = timer_new(loop, on_timer, watch);
	if ((watch->socket = nl_socket_alloc())) {
		nl_socket_disable_seq_check(watch->socket);
		nl_socket_modify_cb(watch->socket, NL_CB_VALID, NL_CB_CUSTOM, on_message, watch);
		result = nl_connect(watch->socket, NETLINK_ROUTE);
		if (result >= 0)
			result = nl_socket_add_memberships(watch->socket, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, 0);
		if (result >= 0)
			result = nl_socket_set_nonblocking(watch->socket);
	}
	if (result < 0) {
		error_set(error, ERR_UNEXPECTED_ERROR, "watching the links: %s", nl_geterror(result));
		return net_watch_free(watch);
	}
	note_present(watch);
	watch->watch = watch_new(loop, nl_socket_get_fd(watch->socket), on_readable, watch);
	watch_set(watch->watch, WATCH_READ);
	return watch;
}
