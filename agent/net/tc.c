/* SPDX-License-Identifier: Apache-2.0 */
/* Queueing disciplines and their classes through netlink: what qos.c, port_qos.c and mirror.c share. Ours have the handle NET_TC_HANDLE. */
#include <linux/pkt_sched.h>
#include <netlink/errno.h>
#include <netlink/route/class.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/fifo.h>
#include <netlink/route/qdisc/htb.h>
#include <netlink/route/tc.h>
#include "agent/net/net-priv.h"

#define LEAF_PACKETS 1000

struct nl_sock *net_tc_socket(GError **error)
{
	struct nl_sock *sock = nl_socket_alloc();
	int r = sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;

	if (r == 0)
		return sock;
	nl_socket_free(sock);
	error_set(error, ERR_UNEXPECTED_ERROR, "netlink: %s", nl_geterror(r));
	return NULL;
}

struct rtnl_qdisc *net_tc_qdisc(int link, uint32_t parent, uint32_t handle, const char *kind)
{
	struct rtnl_qdisc *qdisc = rtnl_qdisc_alloc();

	rtnl_tc_set_ifindex(TC_CAST(qdisc), link);
	rtnl_tc_set_parent(TC_CAST(qdisc), parent);
	if (handle)
		rtnl_tc_set_handle(TC_CAST(qdisc), handle);
	if (kind)
		rtnl_tc_set_kind(TC_CAST(qdisc), kind);
	return qdisc;
}

struct rtnl_qdisc *net_tc_clsact(int link)
{
	return net_tc_qdisc(link, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0), "clsact");
}

bool net_tc_has_clsact(struct nl_sock *sock, int link)
{
	struct nl_cache *cache = NULL;
	bool has = false;

	if (rtnl_qdisc_alloc_cache(sock, &cache) < 0)
		return false;
	for (struct nl_object *object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object)) {
		struct rtnl_tc *qdisc = TC_CAST(object);

		has |= rtnl_tc_get_ifindex(qdisc) == link && !g_strcmp0(rtnl_tc_get_kind(qdisc), "clsact");
	}
	nl_cache_free(cache);
	return has;
}

char *net_tc_root(struct nl_sock *sock, int link, bool *ret_ours)
{
	static const char *const standard[] = { "noqueue", "pfifo_fast", "mq", "fq_codel", "fq", NULL };
	struct nl_cache *cache = NULL;
	char *kind = g_strdup("");

	*ret_ours = false;
	if (rtnl_qdisc_alloc_cache(sock, &cache) < 0)
		return kind;
	for (struct nl_object *object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object)) {
		struct rtnl_tc *qdisc = TC_CAST(object);

		if (rtnl_tc_get_ifindex(qdisc) != link || rtnl_tc_get_parent(qdisc) != TC_H_ROOT || g_strv_contains(standard, rtnl_tc_get_kind(qdisc)))
			continue;
		g_free(kind);
		kind = g_strdup(rtnl_tc_get_kind(qdisc));
		*ret_ours = rtnl_tc_get_handle(qdisc) == NET_TC_HANDLE;
	}
	nl_cache_free(cache);
	return kind;
}

void net_tc_remove_root(struct nl_sock *sock, int link)
{
	struct rtnl_qdisc *root = net_tc_qdisc(link, TC_H_ROOT, NET_TC_HANDLE, /* kind= */ NULL);

	(void)rtnl_qdisc_delete(sock, root);
	rtnl_qdisc_put(root);
}

struct rtnl_class *net_tc_class(int link, uint32_t parent, unsigned id, const char *kind)
{
	struct rtnl_class *class = rtnl_class_alloc();

	rtnl_tc_set_ifindex(TC_CAST(class), link);
	rtnl_tc_set_parent(TC_CAST(class), parent);
	rtnl_tc_set_handle(TC_CAST(class), NET_TC_HANDLE | id);
	rtnl_tc_set_kind(TC_CAST(class), kind);
	return class;
}

int net_tc_htb(struct nl_sock *sock, int link, uint32_t parent, unsigned id, const struct net_htb *htb, int flags)
{
	struct rtnl_class *class = net_tc_class(link, parent, id, "htb");
	int r;

	rtnl_htb_set_rate64(class, htb->rate);
	rtnl_htb_set_ceil64(class, htb->ceiling);
	rtnl_htb_set_quantum(class, htb->quantum);
	rtnl_htb_set_cbuffer(class, (uint32_t)MIN(htb->ceiling_burst, UINT32_MAX));
	if (htb->burst)
		rtnl_htb_set_rbuffer(class, (uint32_t)MIN(htb->burst, UINT32_MAX));
	r = rtnl_class_add(sock, class, flags);
	rtnl_class_put(class);
	return r;
}

void net_tc_leaf(struct nl_sock *sock, int link, unsigned id)
{
	struct rtnl_qdisc *leaf = net_tc_qdisc(link, NET_TC_HANDLE | id, id << 16, "fq_codel");
	int r = rtnl_qdisc_add(sock, leaf, NLM_F_CREATE | NLM_F_EXCL);

	rtnl_qdisc_put(leaf);
	if (r != -NLE_OBJ_NOTFOUND)           /* no such kind */
		return;
	leaf = net_tc_qdisc(link, NET_TC_HANDLE | id, id << 16, "pfifo");
	(void)rtnl_qdisc_fifo_set_limit(leaf, LEAF_PACKETS);
	(void)rtnl_qdisc_add(sock, leaf, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_qdisc_put(leaf);
}
