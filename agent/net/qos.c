/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host QoS: how the networks on one nic or bond share what it sends.
 *
 * As VDSM does it (lib/vdsm/network/qos.py): the nic has the root qdisc hfsc with the handle 1389: and a class for each network, whose number is the
 * VLAN's id, or DEFAULT_CLASS for what has no VLAN and for networks without QoS. When no network of the latter asks for something, that class has the
 * largest share of the others. A class has up to three curves (tc-hfsc(7)), each {m1 bit/s for the first d us, then m2 bit/s}: ls its share of what is
 * free, ul what it never exceeds, rt what it gets in any case.
 *
 * One classic BPF filter finds the class for all: it reads the frame's VLAN id, which the kernel carries beside the frame. (VDSM has a filter for each
 * VLAN, of the kind basic.)
 *
 * A kernel without hfsc does it with htb: rt is the rate, ul the ceiling, ls the quantum; m1 for d becomes the burst.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/route/class.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/hfsc.h>
#include <netlink/route/qdisc/htb.h>
#include <netlink/route/tc.h>
#include <stdio.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define DEFAULT_CLASS 5000u
#define HTB_ALL 5002u                     /* of htb: the class that the others borrow from */
#define RATE_MAX ((json_int_t)UINT32_MAX * 8)
#define QUANTUM_MAX 60000u
#define QUANTUM_MIN 1514u
#define HTB_RATE_MIN 1000u                /* bytes/s of a class that is promised nothing: htb knows no 0 */

/* What a class gets: index CURVE_*; bytes/s and us; all 0: not given. */
enum { CURVE_LS, CURVE_UL, CURVE_RT, CURVE_MAX };
static const char *const curve_names[CURVE_MAX] = { "ls", "ul", "rt" };
struct share { unsigned id; struct tc_service_curve curves[CURVE_MAX]; };

/* ---- what is asked for ---- */

static bool read_number(const char *name, const char *curve, const json_t *json, const char *member, json_int_t max, json_int_t *ret_number, GError **error)
{
	const json_t *value = json_object_get(json, member);

	*ret_number = json_integer_value(value);
	if ((!value || json_is_integer(value)) && *ret_number >= 0 && *ret_number <= max)
		return true;
	error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos: %s/%s is not 0 to %" JSON_INTEGER_FORMAT, name, curve, member, max);
	return false;
}

static bool read_curve(const char *name, const char *curve, const json_t *json, struct tc_service_curve *ret_curve, GError **error)
{
	json_int_t m1, d, m2;

	if (!json_is_object(json)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos: %s is no object with m1, d and m2", name, curve);
		return false;
	}
	if (!read_number(name, curve, json, "m1", RATE_MAX, &m1, error) || !read_number(name, curve, json, "d", UINT32_MAX, &d, error) ||
	    !read_number(name, curve, json, "m2", RATE_MAX, &m2, error))
		return false;
	if (m2 < 8 || !m1 != !d) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos: %s needs m2 of 8 bit/s or more, and m1 and d both or none", name, curve);
		return false;
	}
	*ret_curve = (struct tc_service_curve){ .m1 = (uint32_t)(m1 / 8), .d = (uint32_t)d, .m2 = (uint32_t)(m2 / 8) };
	return true;
}

static bool read_share(const char *name, const struct network_config *config, struct share *ret_share, GError **error)
{
	const json_t *out = json_object_get(config->host_qos, "out"), *json;
	struct share share = { .id = HAS(config, vlan) ? (unsigned)config->vlan : DEFAULT_CLASS };
	const struct tc_service_curve *c = share.curves;
	const char *member;

	if (json_object_size(config->host_qos) != 1 || !json_is_object(out)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos has one member, the object out", name);
		return false;
	}
	json_object_foreach((json_t *)out, member, json) {
		int i = 0;

		while (i < CURVE_MAX && strcmp(member, curve_names[i]))
			i++;
		if (i == CURVE_MAX) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos: '%s' is none of ls, ul, rt", name, member);
			return false;
		}
		if (!read_curve(name, member, json, &share.curves[i], error))
			return false;
	}
	if (!c[CURVE_LS].m2 && (c[CURVE_UL].m2 || !c[CURVE_RT].m2)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos: %s without ls", name, c[CURVE_UL].m2 ? "ul" : "out");
		return false;
	}
	if (c[CURVE_UL].m2 && c[CURVE_RT].m2 > c[CURVE_UL].m2) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos: rt is above ul", name);
		return false;
	}
	*ret_share = share;
	return true;
}

bool net_check_qos(const char *name, const struct network_config *config, GError **error)
{
	struct share share;

	if (!json_object_size(config->host_qos))
		return true;
	if (!net_given(config->nic) && !net_given(config->bonding)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos without nic and bonding", name);
		return false;
	}
	if (HAS(config, vlan) && !config->vlan) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': hostQos cannot be for vlan 0", name);
		return false;
	}
	return read_share(name, config, &share, error);
}

/* ---- the text that steps carry ---- */

static int compare_shares(gconstpointer a, gconstpointer b)
{
	return (int)((const struct share *)a)->id - (int)((const struct share *)b)->id;
}

void net_qos_add(GArray **shares, const char *name, const struct network_config *config)
{
	struct share share;

	if (!json_object_size(config->host_qos) || !read_share(name, config, &share, NULL))
		return;
	if (!*shares)
		*shares = g_array_new(FALSE, FALSE, sizeof(struct share));
	g_array_append_val(*shares, share);
}

char *net_qos_text(GArray *shares)
{
	struct share rest = { .id = DEFAULT_CLASS };
	GString *text = g_string_new(NULL);
	bool has_default = false;

	for (guint i = 0; shares && i < shares->len; i++) {
		const struct share *share = &g_array_index(shares, struct share, i);

		has_default |= share->id == DEFAULT_CLASS;
		rest.curves[CURVE_LS].m2 = MAX(rest.curves[CURVE_LS].m2, MAX(share->curves[CURVE_LS].m2, share->curves[CURVE_RT].m2));
	}
	if (shares && !has_default)
		g_array_append_val(shares, rest);
	if (shares)
		g_array_sort(shares, compare_shares);
	for (guint i = 0; shares && i < shares->len; i++) {
		const struct share *share = &g_array_index(shares, struct share, i);

		g_string_append_printf(text, "%s%u", i ? " " : "", share->id);
		for (int k = 0; k < CURVE_MAX; k++)
			g_string_append_printf(text, ":%s=%u,%u,%u", curve_names[k], share->curves[k].m1, share->curves[k].d, share->curves[k].m2);
	}
	return g_string_free(text, FALSE);
}

/* NULL: none of ours. g_array_unref */
static GArray *parse(const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	GArray *shares = g_array_new(FALSE, FALSE, sizeof(struct share));

	for (size_t i = 0; words[i]; i++) {
		struct share s = { 0 };
		struct tc_service_curve *c = s.curves;

		if (sscanf(words[i], "%u:ls=%u,%u,%u:ul=%u,%u,%u:rt=%u,%u,%u", &s.id, &c[0].m1, &c[0].d, &c[0].m2, &c[1].m1, &c[1].d, &c[1].m2, &c[2].m1, &c[2].d,
			   &c[2].m2) != 10) {
			g_array_unref(shares);
			return NULL;
		}
		g_array_append_val(shares, s);
	}
	return shares;
}

/* ---- what a class is in the kernel ---- */

static struct net_htb htb_of(const struct share *share, const GArray *shares, uint64_t all)
{
	const struct tc_service_curve *c = share->curves;
	uint32_t largest = 1;

	for (guint i = 0; i < shares->len; i++)
		largest = MAX(largest, g_array_index(shares, struct share, i).curves[CURVE_LS].m2);
	return (struct net_htb){ .rate = MAX(c[CURVE_RT].m2, HTB_RATE_MIN),
		.ceiling = MAX(c[CURVE_UL].m2 ? c[CURVE_UL].m2 : c[CURVE_LS].m2 ? all : c[CURVE_RT].m2, HTB_RATE_MIN),
		.quantum = MAX((uint32_t)((uint64_t)QUANTUM_MAX * c[CURVE_LS].m2 / largest), QUANTUM_MIN) };
}

static uint64_t speed_of(int link)
{
	char name[IF_NAMESIZE];
	const char *duplex;
	int speed = 0;

	if (if_indextoname((unsigned)link, name))
		net_link_speed(name, &speed, &duplex);
	return speed > 0 ? (uint64_t)speed * 1000 * 1000 / 8 : UINT32_MAX;
}

static int add_htb(struct nl_sock *sock, int link, uint32_t parent, unsigned id, struct net_htb htb, const struct tc_service_curve *first)
{
	htb.ceiling_burst = htb.ceiling / 250 + 2 * QUANTUM_MIN + (uint64_t)first->m1 * first->d / 1000000;
	return net_tc_htb(sock, link, parent, id, &htb, NLM_F_CREATE | NLM_F_EXCL);
}

static int add_hfsc(struct nl_sock *sock, int link, const struct share *share)
{
	static int (*const set[CURVE_MAX])(struct rtnl_class *, const struct tc_service_curve *) = { rtnl_class_hfsc_set_fsc, rtnl_class_hfsc_set_usc,
		rtnl_class_hfsc_set_rsc };
	struct rtnl_class *class = net_tc_class(link, NET_TC_HANDLE, share->id, "hfsc");
	int r;

	for (int i = 0; i < CURVE_MAX; i++)
		if (share->curves[i].m2)
			set[i](class, &share->curves[i]);
	r = rtnl_class_add(sock, class, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_class_put(class);
	return r;
}

/* The kernel calculates with rounded curves and tells what comes of that. */
static bool is_near(uint64_t a, uint64_t b)
{
	return MAX(a, b) - MIN(a, b) <= 2 + MAX(a, b) / 100;
}

static bool is_hfsc(const struct rtnl_class *class, const struct share *share)
{
	static int (*const get[CURVE_MAX])(const struct rtnl_class *, struct tc_service_curve *) = { rtnl_class_hfsc_get_fsc, rtnl_class_hfsc_get_usc,
		rtnl_class_hfsc_get_rsc };
	bool same = true;

	for (int i = 0; i < CURVE_MAX; i++) {
		const struct tc_service_curve *wanted = &share->curves[i];
		struct tc_service_curve there = { 0 };

		(void)get[i](class, &there);
		same = same && is_near(there.m2, wanted->m2) && (!wanted->d || (is_near(there.m1, wanted->m1) && is_near(there.d, wanted->d)));
	}
	return same;
}

static bool is_htb(struct rtnl_class *class, const struct net_htb *wanted)
{
	uint64_t rate = 0, ceiling = 0;

	(void)rtnl_htb_get_rate64(class, &rate);
	(void)rtnl_htb_get_ceil64(class, &ceiling);
	return is_near(rate, wanted->rate) && is_near(ceiling, wanted->ceiling) && is_near(rtnl_htb_get_quantum(class), wanted->quantum);
}

/* ---- what is there ---- */

/* Of htb: what all of it may send, which was the nic's speed when it was set. */
static uint64_t all_of(struct nl_cache *classes, int link)
{
	struct rtnl_class *class = rtnl_class_get(classes, link, NET_TC_HANDLE | HTB_ALL);
	uint64_t all = 0;

	if (class)
		(void)rtnl_htb_get_ceil64(class, &all);
	rtnl_class_put(class);
	return all;
}

static bool has_share(struct nl_cache *classes, int link, const struct share *share, const GArray *shares)
{
	struct rtnl_class *class = rtnl_class_get(classes, link, NET_TC_HANDLE | share->id);
	bool hfsc = class && !strcmp(rtnl_tc_get_kind(TC_CAST(class)), "hfsc");
	struct net_htb htb = htb_of(share, shares, hfsc ? 0 : all_of(classes, link));
	bool same = class && (hfsc ? is_hfsc(class, share) : is_htb(class, &htb));

	rtnl_class_put(class);
	return same;
}

/* Our root with exactly these classes; its own class of htb and hfsc is none. */
static bool has_shares(struct nl_sock *sock, int link, const GArray *shares)
{
	struct nl_cache *classes = NULL;
	unsigned n = 0;
	bool same = rtnl_class_alloc_cache(sock, link, &classes) == 0;

	for (guint i = 0; same && i < shares->len; i++)
		same = has_share(classes, link, &g_array_index(shares, struct share, i), shares);
	for (struct nl_object *object = same ? nl_cache_get_first(classes) : NULL; object; object = nl_cache_get_next(object)) {
		uint32_t id = TC_H_MIN(rtnl_tc_get_handle(TC_CAST(object)));

		n += TC_H_MAJ(rtnl_tc_get_handle(TC_CAST(object))) == NET_TC_HANDLE && id && id != HTB_ALL;
	}
	nl_cache_free(classes);
	return same && n == shares->len;
}

enum net_qos net_qos_look(const char *link, const char *text, char **ret_kind)
{
	struct nl_sock *sock = net_tc_socket(NULL);
	int index = (int)if_nametoindex(link);
	g_autofree char *kind = NULL;
	g_autoptr(GArray) shares = *text ? parse(text) : NULL;
	enum net_qos found = NET_QOS_OTHER;
	bool ours = false;

	if (sock && index) {
		kind = net_tc_root(sock, index, &ours);
		if (*kind && !ours)
			found = *text ? NET_QOS_FOREIGN : NET_QOS_SAME;
		else if (shares ? ours && has_shares(sock, index, shares) : !*kind)
			found = NET_QOS_SAME;
	}
	nl_socket_free(sock);
	if (ret_kind)
		*ret_kind = g_steal_pointer(&kind);
	return found;
}

/* ---- setting it ---- */

static int add_root(struct nl_sock *sock, int link, const char *kind)
{
	struct rtnl_qdisc *root = net_tc_qdisc(link, TC_H_ROOT, NET_TC_HANDLE, kind);
	int r;

	if (!strcmp(kind, "hfsc"))
		rtnl_qdisc_hfsc_set_defcls(root, DEFAULT_CLASS);
	else
		rtnl_htb_set_defcls(root, DEFAULT_CLASS);
	r = rtnl_qdisc_add(sock, root, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_qdisc_put(root);
	return r;
}

/* Class 1389:VLAN for what is tagged; the kernel takes the default class when there is none of that number, and for 0. */
static int add_filter(struct nl_sock *sock, int link)
{
	static const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_K, NET_TC_HANDLE),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct tcmsg info = { .tcm_family = AF_UNSPEC, .tcm_ifindex = link, .tcm_parent = NET_TC_HANDLE, .tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_ALL)) };
	struct nl_msg *message = nlmsg_alloc_simple(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *options;
	int r;

	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put_string(message, TCA_KIND, "bpf");
	options = nla_nest_start(message, TCA_OPTIONS);
	nla_put_u16(message, TCA_BPF_OPS_LEN, G_N_ELEMENTS(program));
	nla_put(message, TCA_BPF_OPS, sizeof(program), program);
	nla_nest_end(message, options);
	r = nl_send_auto(sock, message);
	nlmsg_free(message);
	return r < 0 ? r : nl_wait_for_ack(sock);
}

static int add_all(struct nl_sock *sock, int link, const GArray *shares)
{
	bool hfsc = true;
	int r = add_root(sock, link, "hfsc");

	if (r == -NLE_OBJ_NOTFOUND) {         /* no such kind */
		hfsc = false;
		r = add_root(sock, link, "htb");
	}
	if (r == 0 && !hfsc) {
		struct net_htb all = { .rate = speed_of(link), .ceiling = speed_of(link), .quantum = QUANTUM_MAX };

		r = add_htb(sock, link, NET_TC_HANDLE, HTB_ALL, all, &(struct tc_service_curve){ 0 });
	}
	for (guint i = 0; r == 0 && i < shares->len; i++) {
		const struct share *share = &g_array_index(shares, struct share, i);
		struct net_htb htb = htb_of(share, shares, speed_of(link));

		r = hfsc ? add_hfsc(sock, link, share) : add_htb(sock, link, NET_TC_HANDLE | HTB_ALL, share->id, htb, &share->curves[CURVE_UL]);
		net_tc_leaf(sock, link, share->id);
	}
	return r == 0 ? add_filter(sock, link) : r;
}

int net_qos_set(const char *link, const char *text)
{
	struct nl_sock *sock = net_tc_socket(NULL);
	g_autoptr(GArray) shares = *text ? parse(text) : NULL;
	g_autofree char *kind = NULL;
	int index = (int)if_nametoindex(link), errnum = 0, r = 0;
	bool ours = false;

	if (!sock || !index || (*text && !shares))
		errnum = !index ? ENODEV : sock ? EINVAL : ENOMEM;
	else {
		kind = net_tc_root(sock, index, &ours);
		if (ours)
			net_tc_remove_root(sock, index);
		if (shares && (r = add_all(sock, index, shares)) < 0) {
			net_tc_remove_root(sock, index);
			errnum = r == -NLE_OBJ_NOTFOUND ? EOPNOTSUPP : r == -NLE_EXIST ? EEXIST : r == -NLE_RANGE || r == -NLE_INVAL ? EINVAL : EIO;
		}
	}
	nl_socket_free(sock);
	return errnum;
}

/* ---- for ports ---- */

const struct net_link *net_qos_uplink(struct net *net, const struct net_state *state, const struct net_link *bridge, uint64_t *ret_rate)
{
	json_t *running = net_running(net);
	struct net_config *config = net_config_new(running, /* leases= */ NULL);
	const struct network_config *network = g_hash_table_lookup(config->networks, bridge->name);
	g_autofree char *name = network ? net_config_link(network) : NULL;
	const struct net_link *link = name ? net_state_link(state, name) : NULL;
	struct share share = { 0 };
	const char *duplex;
	int speed = 0;

	if (link && link->master != bridge->index)
		link = NULL;
	if (link && json_object_size(network->host_qos))
		(void)read_share(bridge->name, network, &share, NULL);
	if (link && !share.curves[CURVE_UL].m2)
		net_link_speed(link->name, &speed, &duplex);
	*ret_rate = share.curves[CURVE_UL].m2 ? share.curves[CURVE_UL].m2 : (uint64_t)speed * 1000 * 1000 / 8;
	net_config_free(config);
	json_decref(running);
	return link;
}
