/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's ends of VMs' NICs: which bridge each is in, and which bridges' traffic is copied to it (port mirroring).
 *
 * A bridge that is mirrored is promiscuous, so that its own device sees what is only forwarded, and has the qdisc clsact. There each tap that gets a copy
 * has two u32 filters that match everything, one at the ingress (what comes into the bridge) and one at the egress (what the host sends into it), with the
 * action mirred. They end in TC_ACT_UNSPEC, so that several taps can mirror one bridge. MIRROR_PRIORITY tells ours from those of others, which are
 * not touched.
 *
 * The kernel leaves a filter whose tap is gone, without a target: such are removed with each change (and by net_mirror_sweep()), the qdisc with the
 * last filter, promiscuity with our last one.
 */
#define LOG_MODULE "net"
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

#define MIRROR_PRIORITY 0x4265

/* One change of filters at a time: whether a bridge has any left is looked at and acted on. */
static pthread_mutex_t mirror_lock = PTHREAD_MUTEX_INITIALIZER;

static const uint32_t hooks[] = { TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS) };

bool net_tap_bridge(struct net *net, const char *tap, const char *bridge, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	g_autofree char *master = g_strdup_printf("link master=%s", bridge);
	int errnum = netlink ? netlink_link(netlink, tap, master, /* add= */ false) : 0;
	bool good = netlink && !errnum;

	if (errnum)
		error_set_errno(error, ERR_FAILED_IFUP, errnum, "'%s' into bridge '%s'", tap, bridge);
	netlink_free(netlink);
	return good;
}

void net_tap_unlimit(struct net *net, const char *tap)
{
	struct nl_sock *sock = net_tc_socket(NULL);
	int index = (int)if_nametoindex(tap);
	struct rtnl_qdisc *root = net_tc_qdisc(index, TC_H_ROOT, 0, "noqueue"), *ingress = net_tc_qdisc(index, TC_H_INGRESS, 0, NULL);

	if (sock && index) {
		(void)rtnl_qdisc_add(sock, root, NLM_F_CREATE | NLM_F_REPLACE);         /* as libvirt leaves a tap without limits */
		(void)rtnl_qdisc_delete(sock, ingress);                                 /* there may be none */
	}
	rtnl_qdisc_put(root);
	rtnl_qdisc_put(ingress);
	nl_socket_free(sock);
}

/* ---- filters ---- */

static bool is_ours(struct rtnl_cls *filter)
{
	const char *kind = rtnl_tc_get_kind(TC_CAST(filter));

	return rtnl_cls_get_prio(filter) == MIRROR_PRIORITY && kind && !strcmp(kind, "u32") && TC_H_MIN(rtnl_tc_get_handle(TC_CAST(filter)));
}

/* Index of the link it copies to; 0: gone. */
static int target_of(struct rtnl_cls *filter)
{
	struct rtnl_act *action = rtnl_u32_get_action(filter);
	const char *kind = action ? rtnl_tc_get_kind(TC_CAST(action)) : NULL;

	return kind && !strcmp(kind, "mirred") ? (int)rtnl_mirred_get_ifindex(action) : 0;
}

static int add_filter(struct nl_sock *sock, int bridge, uint32_t hook, int tap)
{
	struct rtnl_cls *filter = rtnl_cls_alloc();
	struct rtnl_act *action = rtnl_act_alloc();
	int r;

	rtnl_tc_set_ifindex(TC_CAST(filter), bridge);
	rtnl_tc_set_parent(TC_CAST(filter), hook);
	rtnl_tc_set_kind(TC_CAST(filter), "u32");
	rtnl_cls_set_prio(filter, MIRROR_PRIORITY);
	rtnl_cls_set_protocol(filter, ETH_P_ALL);
	rtnl_u32_add_key_uint8(filter, 0, 0, 0, 0);
	rtnl_u32_set_cls_terminal(filter);
	rtnl_tc_set_kind(TC_CAST(action), "mirred");
	rtnl_mirred_set_action(action, TCA_EGRESS_MIRROR);
	rtnl_mirred_set_policy(action, TC_ACT_UNSPEC);
	rtnl_mirred_set_ifindex(action, (uint32_t)tap);
	rtnl_u32_add_action(filter, action);
	r = rtnl_cls_add(sock, filter, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_act_put(action);
	rtnl_cls_put(filter);
	return r;
}

static int set_promiscuous(struct nl_sock *sock, int bridge, bool on)
{
	struct rtnl_link *old = rtnl_link_alloc(), *change = rtnl_link_alloc();
	int r;

	rtnl_link_set_ifindex(old, bridge);
	(on ? rtnl_link_set_flags : rtnl_link_unset_flags)(change, IFF_PROMISC);
	r = rtnl_link_change(sock, old, change, 0);
	rtnl_link_put(old);
	rtnl_link_put(change);
	return r;
}

/* ---- one bridge ---- */

/* Its filters: all, ours that stay, ours that are to go; whether a tap has one at each hook. */
struct found { unsigned all, stay, go; bool has[G_N_ELEMENTS(hooks)]; };

/* To go: those to links that are not there and, with drop, those to tap. remove: they are removed. 0 or libnl's error. */
static int look(struct nl_sock *sock, const struct net_state *state, int bridge, int tap, bool drop, bool remove, struct found *ret_found)
{
	struct found found = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(hooks); i++) {
		struct nl_cache *cache = NULL;

		r = rtnl_cls_alloc_cache(sock, bridge, hooks[i], &cache);
		for (struct nl_object *object = r == 0 ? nl_cache_get_first(cache) : NULL; object && r == 0; object = nl_cache_get_next(object)) {
			struct rtnl_cls *filter = (struct rtnl_cls *)object;
			int target = is_ours(filter) ? target_of(filter) : 0;
			bool goes = is_ours(filter) && (!net_state_index(state, target) || (drop && target == tap));

			found.all += TC_H_MIN(rtnl_tc_get_handle(TC_CAST(filter))) != 0;         /* u32 lists its tables, too */
			found.stay += is_ours(filter) && !goes;
			found.go += goes;
			found.has[i] |= is_ours(filter) && target == tap;
			if (goes && remove)
				r = rtnl_cls_delete(sock, filter, 0);
		}
		nl_cache_free(cache);
	}
	*ret_found = found;
	return r;
}

static int mirror(struct nl_sock *sock, const struct net_state *state, int bridge, int tap)
{
	struct rtnl_qdisc *qdisc = net_tc_clsact(bridge);
	struct found found = { 0 };
	int r = net_tc_has_clsact(sock, bridge) ? 0 : rtnl_qdisc_add(sock, qdisc, NLM_F_CREATE | NLM_F_EXCL);

	rtnl_qdisc_put(qdisc);
	if (r == 0)
		r = look(sock, state, bridge, tap, /* drop= */ false, /* remove= */ false, &found);
	for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(hooks); i++)
		if (!found.has[i])
			r = add_filter(sock, bridge, hooks[i], tap);
	return r == 0 ? set_promiscuous(sock, bridge, true) : r;
}

/* No copy of the bridge to tap any more, nor to taps that are gone. The filters go last: killed before, all is tried again. */
static int unmirror(struct nl_sock *sock, const struct net_state *state, int bridge, int tap)
{
	struct rtnl_qdisc *qdisc;
	struct found found = { 0 };
	int r = net_tc_has_clsact(sock, bridge) ? look(sock, state, bridge, tap, /* drop= */ true, /* remove= */ false, &found) : 0;

	if (r < 0 || !found.go)
		return r;
	if (!found.stay && (r = set_promiscuous(sock, bridge, false)) < 0)
		return r;
	if (found.go < found.all)
		return look(sock, state, bridge, tap, /* drop= */ true, /* remove= */ true, &found);
	qdisc = net_tc_clsact(bridge);
	r = rtnl_qdisc_delete(sock, qdisc);
	rtnl_qdisc_put(qdisc);
	return r;
}

/* ---- all of them ---- */

static bool is_listed(const GPtrArray *names, const char *name)
{
	for (guint i = 0; names && i < names->len; i++)
		if (!strcmp(names->pdata[i], name))
			return true;
	return false;
}

/* tap NULL: only what is gone. */
static bool set_mirrors(const char *tap, const GPtrArray *bridges, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	struct nl_sock *sock = state ? net_tc_socket(error) : NULL;
	const struct net_link *link = state && tap ? net_state_link(state, tap) : NULL;
	bool good = sock && (link || !tap);
	int r = 0;

	if (sock && !good)
		error_set(error, ERR_FAILED_IFUP, "mirroring: there is no link '%s'", tap);
	for (guint i = 0; good && bridges && i < bridges->len; i++) {
		const struct net_link *bridge = net_state_link(state, bridges->pdata[i]);

		good = bridge && !strcmp(bridge->kind, "bridge") && (r = mirror(sock, state, bridge->index, link->index)) == 0;
		if (!good)
			error_set(error, ERR_FAILED_IFUP, "mirroring '%s' to '%s': %s", (char *)bridges->pdata[i], tap,
				  r < 0 ? nl_geterror(r) : "there is no such bridge");
	}
	for (guint i = 0; good && i < state->links->len; i++) {
		const struct net_link *bridge = state->links->pdata[i];

		if (strcmp(bridge->kind, "bridge") || is_listed(bridges, bridge->name))
			continue;
		r = unmirror(sock, state, bridge->index, link ? link->index : -1);
		if (r < 0)
			log_warn("bridge '%s' is still mirrored, ignoring: %s", bridge->name, nl_geterror(r));
	}
	nl_socket_free(sock);
	net_state_free(state);
	netlink_free(netlink);
	return good;
}

bool net_tap_mirror(struct net *net, const char *tap, const GPtrArray *bridges, GError **error)
{
	AUTO_LOCK(&mirror_lock);
	if (set_mirrors(tap, bridges, error))
		return true;
	(void)set_mirrors(tap, NULL, NULL);
	return false;
}

void net_mirror_sweep(struct net *net)
{
	g_autoptr(GError) error = NULL;

	AUTO_LOCK(&mirror_lock);
	if (!set_mirrors(NULL, NULL, &error))
		log_warn("mirrored bridges are not looked at, ignoring: %s", error->message);
}
