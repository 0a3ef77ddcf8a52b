/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port mirroring: whose traffic is copied to whom.
 *
 *   a bridge     to each NIC whose portMirroring names its network
 *   a port       to the one NIC or end point that its policy mirrorTo names by hardware address, wherever on this host that is
 *
 * What is copied has the qdisc clsact, and there for each tap that gets a copy two u32 filters that match everything, one at the ingress (what comes into
 * the bridge; what the machine sends, before any policy is asked) and one at the egress (what the host sends into the bridge; what the machine gets), with
 * the action mirred. They end in TC_ACT_UNSPEC, so that several taps can get a copy and other filters are asked, too. A bridge is promiscuous as well, so
 * that its own device sees what is only forwarded. MIRROR_PRIORITY tells ours from those of others, which are not touched.
 *
 * The kernel leaves a filter whose tap is gone, without a target: such are removed with each change (and by net_mirror_sweep()), the qdisc with the
 * last filter, promiscuity with our last one.
 *
 * Taps come after what is wanted of them. What is wanted is in memory (who has policies sets them again after a restart) and settled when the kernel tells
 * of a link (net_mirrors_look()), which libvirt makes long before the machine runs. Of a port with mirrorTo nothing passes before its filters are there
 * (port.c), so that it never sends or gets what is not copied; when nobody is there to get the copy, it does without.
 */
#define LOG_MODULE "net"
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/errno.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

#define MIRROR_PRIORITY 0x4265

/* One change of filters at a time: whether a source has any left is looked at and acted on. Guards mirrored_ports and mirrored_nics, too. */
static pthread_mutex_t mirror_lock = PTHREAD_MUTEX_INITIALIZER;

static const uint32_t hooks[] = { TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS) };

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

static int add_filter(struct nl_sock *sock, int source, uint32_t hook, int tap)
{
	struct rtnl_cls *filter = rtnl_cls_alloc();
	struct rtnl_act *action = rtnl_act_alloc();
	int r;

	rtnl_tc_set_ifindex(TC_CAST(filter), source);
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

/* ---- one source ---- */

/* Which of a source's filters of ours are to go, beside those to links that are gone: none, those to one link, all but those to one link (0: all). */
enum goes { NONE, THOSE_TO, ALL_BUT };
/* Its filters: all, ours that stay, ours that are to go; whether a tap has one at each hook. */
struct found { unsigned all, stay, go; bool has[G_N_ELEMENTS(hooks)]; };

/* remove: those that are to go are removed. 0 or libnl's error. */
static int look(struct nl_sock *sock, const struct net_state *state, int source, enum goes which, int link, bool remove, struct found *ret_found)
{
	struct found found = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(hooks); i++) {
		struct nl_cache *cache = NULL;

		r = rtnl_cls_alloc_cache(sock, source, hooks[i], &cache);
		for (struct nl_object *object = r == 0 ? nl_cache_get_first(cache) : NULL; object && r == 0; object = nl_cache_get_next(object)) {
			struct rtnl_cls *filter = (struct rtnl_cls *)object;
			bool ours = is_ours(filter);
			int target = ours ? target_of(filter) : 0;
			bool goes = ours && (!net_state_index(state, target) || (which == THOSE_TO && target == link) || (which == ALL_BUT && target != link));

			found.all += TC_H_MIN(rtnl_tc_get_handle(TC_CAST(filter))) != 0;         /* u32 lists its tables, too */
			found.stay += ours && !goes;
			found.go += goes;
			found.has[i] |= ours && target == link;
			if (goes && remove)
				r = rtnl_cls_delete(sock, filter, 0);
		}
		nl_cache_free(cache);
	}
	*ret_found = found;
	return r;
}

/* All of ours. With its last filter u32 keeps a table, which only goes so. */
static int remove_filters(struct nl_sock *sock, int source)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(hooks); i++) {
		struct rtnl_cls *filter = rtnl_cls_alloc();

		rtnl_tc_set_ifindex(TC_CAST(filter), source);
		rtnl_tc_set_parent(TC_CAST(filter), hooks[i]);
		rtnl_cls_set_prio(filter, MIRROR_PRIORITY);
		rtnl_cls_set_protocol(filter, ETH_P_ALL);
		r = rtnl_cls_delete(sock, filter, 0);
		if (r == -NLE_OBJ_NOTFOUND)
			r = 0;
		rtnl_cls_put(filter);
	}
	return r;
}

static bool is_bridge(const struct net_link *link)
{
	return !strcmp(link->kind, "bridge");
}

static int mirror(struct nl_sock *sock, const struct net_state *state, const struct net_link *source, int tap)
{
	struct rtnl_qdisc *qdisc = net_tc_clsact(source->index);
	struct found found = { 0 };
	int r = net_tc_has_clsact(sock, source->index) ? 0 : rtnl_qdisc_add(sock, qdisc, NLM_F_CREATE | NLM_F_EXCL);

	rtnl_qdisc_put(qdisc);
	if (r == 0)
		r = look(sock, state, source->index, NONE, tap, /* remove= */ false, &found);
	for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(hooks); i++)
		if (!found.has[i])
			r = add_filter(sock, source->index, hooks[i], tap);
	return r == 0 && is_bridge(source) ? set_promiscuous(sock, source->index, true) : r;
}

/* No copy of the source to these any more, nor to taps that are gone. The filters go last: killed before, all is tried again. */
static int unmirror(struct nl_sock *sock, const struct net_state *state, const struct net_link *source, enum goes which, int link)
{
	struct rtnl_qdisc *qdisc;
	struct found found = { 0 };
	int r = net_tc_has_clsact(sock, source->index) ? look(sock, state, source->index, which, link, /* remove= */ false, &found) : 0;

	if (r < 0 || !found.go)
		return r;
	if (!found.stay && is_bridge(source) && (r = set_promiscuous(sock, source->index, false)) < 0)
		return r;
	if (found.stay)
		return look(sock, state, source->index, which, link, /* remove= */ true, &found);
	if (found.go < found.all)
		return remove_filters(sock, source->index);
	qdisc = net_tc_clsact(source->index);
	r = rtnl_qdisc_delete(sock, qdisc);
	rtnl_qdisc_put(qdisc);
	return r;
}

/* What a change needs of the kernel. */
struct kernel { struct netlink *netlink; struct net_state *state; struct nl_sock *sock; };

static bool kernel_open(struct kernel *kernel, GError **error)
{
	kernel->netlink = netlink_new(error);
	kernel->state = kernel->netlink ? net_state_read(kernel->netlink, /* addresses= */ false, error) : NULL;
	kernel->sock = kernel->state ? net_tc_socket(error) : NULL;
	return kernel->sock != NULL;
}

static void kernel_close(struct kernel *kernel)
{
	nl_socket_free(kernel->sock);
	net_state_free(kernel->state);
	netlink_free(kernel->netlink);
}

/* ---- bridges to NICs ---- */

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
	struct kernel kernel = { 0 };
	bool open = kernel_open(&kernel, error);
	const struct net_link *link = open && tap ? net_state_link(kernel.state, tap) : NULL;
	bool good = open && (link || !tap);
	int r = 0;

	if (open && !good)
		error_set(error, ERR_FAILED_IFUP, "mirroring: there is no link '%s'", tap);
	for (guint i = 0; good && link && bridges && i < bridges->len; i++) {
		const struct net_link *bridge = net_state_link(kernel.state, bridges->pdata[i]);

		good = bridge && is_bridge(bridge) && (r = mirror(kernel.sock, kernel.state, bridge, link->index)) == 0;
		if (!good)
			error_set(error, ERR_FAILED_IFUP, "mirroring '%s' to '%s': %s", (char *)bridges->pdata[i], tap,
				  r < 0 ? nl_geterror(r) : "there is no such bridge");
	}
	for (guint i = 0; good && i < kernel.state->links->len; i++) {
		const struct net_link *bridge = kernel.state->links->pdata[i];

		if (!is_bridge(bridge) || is_listed(bridges, bridge->name))
			continue;
		r = unmirror(kernel.sock, kernel.state, bridge, link ? THOSE_TO : NONE, link ? link->index : 0);
		if (r < 0)
			log_warn("bridge '%s' is still mirrored, ignoring: %s", bridge->name, nl_geterror(r));
	}
	kernel_close(&kernel);
	return good;
}

static bool mirror_bridges(const char *tap, const GPtrArray *bridges, GError **error)
{
	if (set_mirrors(tap, bridges, error))
		return true;
	(void)set_mirrors(tap, NULL, NULL);
	return false;
}

bool net_tap_mirror(struct net *net, const char *tap, const GPtrArray *bridges, GError **error)
{
	AUTO_LOCK(&mirror_lock);
	return mirror_bridges(tap, bridges, error);
}

void net_mirror_sweep(struct net *net)
{
	g_autoptr(GError) error = NULL;

	AUTO_LOCK(&mirror_lock);
	if (!set_mirrors(NULL, NULL, &error))
		log_warn("mirrored bridges are not looked at, ignoring: %s", error->message);
}

void net_mirror_expected(struct net *net, const char *mac, GPtrArray *bridges)
{
	g_autofree char *key = g_ascii_strdown(mac, -1);

	net_ports_await(net);
	AUTO_LOCK(&mirror_lock);
	if (bridges)
		g_hash_table_replace(net->mirrored_nics, g_steal_pointer(&key), g_ptr_array_ref(bridges));
	else
		g_hash_table_remove(net->mirrored_nics, key);
}

/* ---- ports to a NIC or end point ---- */

struct port { char *mac, *to; };         /* its own hardware address, that of who gets the copy */

void net_mirrored_free(void *data)
{
	struct port *port = data;

	g_free(port->mac);
	g_free(port->to);
	g_free(port);
}

/* The host's end of a NIC: named by us, or libvirt's, which has the NIC's address but for the first byte. NULL: it is not there. */
static const struct net_link *end_of(const struct net_state *state, const char *mac)
{
	g_autofree char *name = net_port_name(mac);
	const struct net_link *link = name ? net_state_link(state, name) : NULL;

	if (link && (!strcmp(link->kind, "tun") || !strcmp(link->kind, "veth")))
		return link;
	for (guint i = 0; name && i < state->links->len; i++) {
		link = state->links->pdata[i];
		if (!strcmp(link->kind, "tun") && link->mac && g_str_has_prefix(link->mac, "fe:") && !g_ascii_strcasecmp(link->mac + 3, mac + 3))
			return link;
	}
	return NULL;
}

/* 0 or libnl's error */
static int set_port(const struct kernel *kernel, const struct net_link *source, const char *to)
{
	const struct net_link *end = to ? end_of(kernel->state, to) : NULL;
	int r = end ? mirror(kernel->sock, kernel->state, source, end->index) : 0;

	return r == 0 ? unmirror(kernel->sock, kernel->state, source, ALL_BUT, end ? end->index : 0) : r;
}

/* Who gets the copy of that NIC; NULL: nobody. */
static const char *copy_of(struct net *net, const char *mac)
{
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, net->mirrored_ports);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		if (!strcmp(((const struct port *)value)->mac, mac))
			return ((const struct port *)value)->to;
	return NULL;
}

/* Copies of copies would go round for ever. */
static bool is_round(struct net *net, const char *mac, const char *to)
{
	guint steps = g_hash_table_size(net->mirrored_ports);

	while (to && strcmp(to, mac) && steps--)
		to = copy_of(net, to);
	return to && !strcmp(to, mac);
}

static bool change_port(const char *tap, const struct port *old, const char *to, GError **error)
{
	struct kernel kernel = { 0 };
	const struct net_link *source = kernel_open(&kernel, error) ? net_state_link(kernel.state, tap) : NULL;
	bool open = kernel.sock;
	int r = source ? set_port(&kernel, source, to) : 0;

	if (r < 0) {
		error_set(error, ERR_FAILED_IFUP, "policies of '%s': mirrorTo: %s", tap,
			  r == -NLE_EXIST ? "it has an ingress queueing discipline of somebody else" : nl_geterror(r));
		(void)set_port(&kernel, source, old ? old->to : NULL);
	}
	kernel_close(&kernel);
	return open && r == 0;
}

bool net_mirror_port(struct net *net, const char *tap, const char *mac, const char *to, GError **error)
{
	g_autofree char *own = g_ascii_strdown(mac, -1), *other = to ? g_ascii_strdown(to, -1) : NULL;
	AUTO_LOCK(&mirror_lock);

	if (other && is_round(net, own, other)) {
		error_set(error, ERR_INVALID_PARAMETER, "policies: mirrorTo: what '%s' gets is copied to '%s' itself", other, own);
		return false;
	}
	if (!change_port(tap, g_hash_table_lookup(net->mirrored_ports, tap), other, error))
		return false;
	if (other) {
		struct port *port = g_new0(struct port, 1);

		*port = (struct port){ .mac = g_steal_pointer(&own), .to = g_steal_pointer(&other) };
		g_hash_table_replace(net->mirrored_ports, g_strdup(tap), port);
	} else
		g_hash_table_remove(net->mirrored_ports, tap);
	return true;
}

void net_mirror_forget(struct net *net, const char *tap)
{
	AUTO_LOCK(&mirror_lock);
	g_hash_table_remove(net->mirrored_ports, tap);
}

/* ---- links come and go ---- */

static void look_at_ports(struct net *net, const struct kernel *kernel)
{
	GHashTableIter iter;
	void *tap, *value;

	g_hash_table_iter_init(&iter, net->mirrored_ports);
	while (g_hash_table_iter_next(&iter, &tap, &value)) {
		const struct net_link *source = net_state_link(kernel->state, tap);
		int r = source ? set_port(kernel, source, ((const struct port *)value)->to) : 0;

		if (r < 0)
			log_error("'%s' is not mirrored to '%s': %s", (char *)tap, ((const struct port *)value)->to, nl_geterror(r));
	}
}

static void look_at_nics(struct net *net, const struct kernel *kernel)
{
	GHashTableIter iter;
	void *mac, *bridges;

	g_hash_table_iter_init(&iter, net->mirrored_nics);
	while (g_hash_table_iter_next(&iter, &mac, &bridges)) {
		const struct net_link *end = end_of(kernel->state, mac);
		g_autoptr(GError) error = NULL;

		if (!end)
			continue;
		if (!mirror_bridges(end->name, bridges, &error))
			log_error("%s", error->message);
		g_hash_table_iter_remove(&iter);
	}
}

bool net_mirrors_look(struct net *net)
{
	struct kernel kernel = { 0 };
	g_autoptr(GError) error = NULL;
	AUTO_LOCK(&mirror_lock);

	if (!g_hash_table_size(net->mirrored_ports) && !g_hash_table_size(net->mirrored_nics))
		return false;
	if (kernel_open(&kernel, &error)) {
		look_at_ports(net, &kernel);
		look_at_nics(net, &kernel);
	} else
		log_error("mirrored ports are not looked at: %s", error->message);
	kernel_close(&kernel);
	return g_hash_table_size(net->mirrored_ports) || g_hash_table_size(net->mirrored_nics);
}
