/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine may send and get:
 *
 *   {"in": {"limit": 10000000, "peak": 20000000, "burst": 1000000},
 *    "out": {"limit": 10000000, "burst": 1000000, "weight": 3, "reservation": 2000000}}
 *
 * limit: bit/s, never more in the long run; burst bytes may go at once, at peak bit/s if that is given. weight: its share, against those of the other
 * ports with a weight or reservation, of what the network may send over its nic or bond (hostQos/out/ul, or the nic's speed); reservation: bit/s that
 * it gets of that in any case.
 *
 * in: the tap has a root htb with one class. out: what comes from the tap goes over an ifb of its bridge, "bi" and the bridge's index, where each port has
 * a class of htb: under HTB_ALL, which is 98 % of the nic, those with weight or reservation, beside it the others. Which class it is a BPF program at the
 * tap's ingress says by skb->priority, as htb looks for it (the action skbedit, which does the same, is not in every kernel). A classifier at the ifb could
 * not tell the taps apart: addresses can be forged.
 *
 * Nothing is kept by us: the filter's name says what its port has. A change replaces filter and class in place, without
 * a lost packet; but another reservation is another class, and what waits in the old one is lost. Quantums are weights against the least of them, in units
 * of the largest packet that can come (with segmentation offload), else packets would share, not bytes.
 */
#define LOG_MODULE "net"
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/route/class.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/htb.h>
#include <netlink/route/tc.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

#define FILTER_PRIORITY 0x4266u
#define FILTER_HANDLE 1
#define HOOK TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define HTB_ALL 5002u                     /* of an ifb: the nic, which classes below borrow from */
#define MINOR_MAX 5000u
#define PACKET_MAX 65536u
#define RATE_MIN 8000                     /* bit/s */
#define RATE_MAX 1000000000000
#define BURST_MAX 1000000000              /* bytes */
#define WEIGHT_MAX 100
#define NIC_PERCENT 98                    /* of the nic: the queue must be here, where weights count, not at the nic */
#define UNKNOWN_RATE 12500000000u         /* bytes/s of a nic that does not tell its speed, or of none */
#define PROMISE_MIN 1000u                 /* bytes/s of a class that is promised nothing: htb knows no 0 */

/* ---- what is asked for ---- */

struct member { const char *name; json_int_t min, max; bool out_only; };
enum { LIMIT, PEAK, BURST, WEIGHT, RESERVATION, MEMBER_MAX };
static const struct member members[MEMBER_MAX] = { { "limit", RATE_MIN, RATE_MAX, false }, { "peak", RATE_MIN, RATE_MAX, false },
	{ "burst", 1, BURST_MAX, false }, { "weight", 1, WEIGHT_MAX, true }, { "reservation", RATE_MIN, RATE_MAX, true } };

static bool refuse(const char *way, const char *problem, const json_t *json, GError **error)
{
	g_autofree char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	error_set(error, ERR_INVALID_PARAMETER, "policies: bandwidth: %s: %s: %.200s", way, problem, text);
	return false;
}

static bool read_way(const char *way, const json_t *json, bool out, json_int_t *numbers, GError **error)
{
	const json_t *value;
	const char *name;

	if (!json_is_object(json))
		return refuse(way, "is no object", json, error);
	json_object_foreach((json_t *)json, name, value) {
		int i = 0;

		while (i < MEMBER_MAX && (strcmp(name, members[i].name) || (members[i].out_only && !out)))
			i++;
		if (i == MEMBER_MAX)
			return refuse(way, "has an unknown member", json, error);
		numbers[i] = json_integer_value(value);
		if (!json_is_integer(value) || numbers[i] < members[i].min || numbers[i] > members[i].max) {
			error_set(error, ERR_INVALID_PARAMETER, "policies: bandwidth: %s/%s is not %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT, way, name,
				  members[i].min, members[i].max);
			return false;
		}
	}
	if (!numbers[LIMIT] && !numbers[WEIGHT] && !numbers[RESERVATION])
		return refuse(way, out ? "has neither limit nor weight nor reservation" : "has no limit", json, error);
	if ((numbers[PEAK] || numbers[BURST]) && !numbers[LIMIT])
		return refuse(way, "peak and burst need limit", json, error);
	if (numbers[PEAK] && (numbers[WEIGHT] || numbers[RESERVATION]))
		return refuse(way, "peak and weight or reservation exclude each other: its peak is the nic's speed", json, error);
	if (numbers[PEAK] && numbers[PEAK] < numbers[LIMIT])
		return refuse(way, "peak is below limit", json, error);
	if (numbers[LIMIT] && numbers[RESERVATION] > numbers[LIMIT])
		return refuse(way, "reservation is above limit", json, error);
	return true;
}

static struct net_rate rate_of(const json_int_t *numbers)
{
	return (struct net_rate){ .limit = (uint64_t)numbers[LIMIT] / 8, .peak = (uint64_t)numbers[PEAK] / 8, .burst = (uint64_t)numbers[BURST],
		.reservation = (uint64_t)numbers[RESERVATION] / 8, .weight = (unsigned)numbers[WEIGHT] };
}

bool net_port_qos_parse(const json_t *json, struct net_port_qos *ret_qos, GError **error)
{
	static const char *const ways[] = { "in", "out" };
	json_int_t numbers[2][MEMBER_MAX] = { 0 };

	for (size_t i = 0; i < 2; i++) {
		const json_t *way = json_object_get(json, ways[i]), *other = json_object_get(json, ways[!i]);

		if (json && (!json_is_object(json) || (!way && !other) || json_object_size(json) != (size_t)!!way + !!other))
			return refuse("in, out", "it is no object of these", json, error);
		if (way && !read_way(ways[i], way, i, numbers[i], error))
			return false;
	}
	*ret_qos = (struct net_port_qos){ .in = rate_of(numbers[0]), .out = rate_of(numbers[1]) };
	return true;
}

static bool is_shared(const struct net_rate *rate)
{
	return rate->weight || rate->reservation;
}

/* ---- what ports have ---- */

/* One port of an ifb, as its filter's name says. */
struct entry { int link, bridge; unsigned minor; struct net_rate rate; };

static bool read_name(const char *name, struct entry *ret_entry)
{
	struct entry e = { 0 };
	unsigned long long limit, peak, burst, reservation;

	if (sscanf(name, "berth %d:%u limit %llu peak %llu burst %llu weight %u reservation %llu", &e.bridge, &e.minor, &limit, &peak, &burst, &e.rate.weight,
		   &reservation) != 7)
		return false;
	e.rate.limit = limit;
	e.rate.peak = peak;
	e.rate.burst = burst;
	e.rate.reservation = reservation;
	*ret_entry = e;
	return true;
}

static int on_filter(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	const struct tcmsg *info = nlmsg_data(header);
	struct nlattr *options = nlmsg_find_attr(header, sizeof(*info), TCA_OPTIONS), *name;
	struct entry entry;

	name = options && TC_H_MAJ(info->tcm_info) >> 16 == FILTER_PRIORITY ? nla_find(nla_data(options), nla_len(options), TCA_BPF_NAME) : NULL;
	if (header->nlmsg_type != RTM_NEWTFILTER || !name || !read_name(nla_get_string(name), &entry))
		return NL_OK;
	entry.link = info->tcm_ifindex;
	g_array_append_val((GArray *)data, entry);
	return NL_OK;
}

/* struct entry of all ports of the bridge, and of link (0: none). g_array_unref */
static GArray *read_entries(struct netlink *netlink, const struct net_state *state, int bridge, int link)
{
	GArray *entries = g_array_new(FALSE, FALSE, sizeof(struct entry));

	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *port = state->links->pdata[i];
		struct tcmsg info = { .tcm_ifindex = port->index, .tcm_parent = HOOK };
		struct nl_msg *message;

		if (port->master != bridge && port->index != link)
			continue;
		message = nlmsg_alloc_simple(RTM_GETTFILTER, NLM_F_DUMP);
		nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
		(void)netlink_dump(netlink, message, on_filter, entries);         /* one without clsact has none */
	}
	return entries;
}

static struct entry *find_entry(const GArray *entries, int link)
{
	for (guint i = 0; i < entries->len; i++)
		if (g_array_index(entries, struct entry, i).link == link)
			return &g_array_index(entries, struct entry, i);
	return NULL;
}

/* ---- the filter at the tap ---- */

/* skb->priority is the class; matches always. A descriptor; -1 and errno. */
static int load_program(uint32_t class)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (int32_t)class },
		{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_0, .off = offsetof(struct __sk_buff, priority) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attributes.insns = (uintptr_t)program;
	attributes.insn_cnt = G_N_ELEMENTS(program);
	attributes.license = (uintptr_t)"Apache-2.0";
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

static struct nl_msg *filter_message(int type, int link, int flags)
{
	struct tcmsg info = { .tcm_ifindex = link, .tcm_parent = HOOK, .tcm_handle = FILTER_HANDLE,
		.tcm_info = TC_H_MAKE(FILTER_PRIORITY << 16, htons(ETH_P_ALL)) };
	struct nl_msg *message = nlmsg_alloc_simple(type, flags);

	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put_string(message, TCA_KIND, "bpf");
	return message;
}

/* In the place of one that is there. 0 or errno. */
static int put_filter(struct netlink *netlink, const struct entry *entry, int ifb)
{
	struct tc_mirred mirred = { .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)ifb };
	int program = load_program(NET_TC_HANDLE | entry->minor), errnum = errno;
	struct nl_msg *message;
	struct nlattr *options, *actions, *action, *parameters;
	const struct net_rate *rate = &entry->rate;
	g_autofree char *name = g_strdup_printf("berth %d:%u limit %llu peak %llu burst %llu weight %u reservation %llu", entry->bridge, entry->minor,
						(unsigned long long)rate->limit, (unsigned long long)rate->peak, (unsigned long long)rate->burst,
						rate->weight, (unsigned long long)rate->reservation);

	if (program < 0)
		return errnum;
	message = filter_message(RTM_NEWTFILTER, entry->link, NLM_F_CREATE);
	options = nla_nest_start(message, TCA_OPTIONS);
	nla_put_u32(message, TCA_BPF_FD, (uint32_t)program);
	nla_put_string(message, TCA_BPF_NAME, name);
	actions = nla_nest_start(message, TCA_BPF_ACT);
	action = nla_nest_start(message, 1);
	nla_put_string(message, TCA_ACT_KIND, "mirred");
	parameters = nla_nest_start(message, TCA_ACT_OPTIONS);
	nla_put(message, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
	nla_nest_end(message, parameters);
	nla_nest_end(message, action);
	nla_nest_end(message, actions);
	nla_nest_end(message, options);
	errnum = netlink_transact(netlink, message);
	close(program);
	return errnum;
}

/* ---- the bridge's ifb ---- */

struct ifb { char name[IFNAMSIZ]; int index; const struct net_link *bridge; uint64_t rate; };    /* rate: of the nic, bytes/s */

static struct ifb ifb_of(struct net *net, const struct net_state *state, const struct net_link *bridge)
{
	struct ifb ifb = { .bridge = bridge };

	(void)net_qos_uplink(net, state, bridge, &ifb.rate);
	ifb.rate = ifb.rate / 100 * NIC_PERCENT;
	snprintf(ifb.name, sizeof(ifb.name), "bi%d", bridge->index);
	ifb.index = (int)if_nametoindex(ifb.name);
	return ifb;
}

static bool failed(const struct entry *entry, const char *what, int errnum, int r, GError **error)
{
	char name[IFNAMSIZ] = "";

	(void)if_indextoname((unsigned)entry->link, name);
	error_set(error, ERR_FAILED_IFUP, "bandwidth of '%s': %s: %s", name, what, r ? nl_geterror(r) : g_strerror(errnum));
	return false;
}

/* The class of all that share the nic. 0 or libnl's error. */
static int set_all(struct nl_sock *sock, const struct ifb *ifb)
{
	uint64_t rate = ifb->rate ? ifb->rate : UNKNOWN_RATE;

	return net_tc_htb(sock, ifb->index, NET_TC_HANDLE, HTB_ALL,
			  &(struct net_htb){ .rate = rate, .ceiling = rate, .quantum = PACKET_MAX, .burst = rate / 250 + PACKET_MAX, .ceiling_burst = rate / 250 + PACKET_MAX },
			  NLM_F_CREATE);
}

static bool make_ifb(struct netlink *netlink, struct nl_sock *sock, struct ifb *ifb, const struct entry *entry, GError **error)
{
	int errnum = ifb->index ? 0 : netlink_link(netlink, ifb->name, "ifb up=1", /* add= */ true), r;
	g_autofree char *kind = NULL;
	bool ours;

	if (errnum)
		return failed(entry, ifb->name, errnum, 0, error);
	ifb->index = (int)if_nametoindex(ifb->name);
	kind = net_tc_root(sock, ifb->index, &ours);
	if (!ours) {
		struct rtnl_qdisc *root = net_tc_qdisc(ifb->index, TC_H_ROOT, NET_TC_HANDLE, "htb");

		r = rtnl_qdisc_add(sock, root, NLM_F_CREATE | NLM_F_EXCL);
		rtnl_qdisc_put(root);
		if (r < 0)
			return failed(entry, ifb->name, 0, r, error);
	}
	r = set_all(sock, ifb);
	return r == 0 || failed(entry, ifb->name, 0, r, error);
}

static int set_class(struct nl_sock *sock, const struct ifb *ifb, const struct entry *entry, unsigned least)
{
	const struct net_rate *rate = &entry->rate;
	uint64_t all = ifb->rate ? ifb->rate : UNKNOWN_RATE, ceiling = rate->peak ? rate->peak : rate->limit ? rate->limit : all;
	struct net_htb htb = { .rate = is_shared(rate) ? MAX(rate->reservation, PROMISE_MIN) : rate->limit, .ceiling = ceiling,
		.quantum = PACKET_MAX * MAX(rate->weight, 1) / MAX(least, 1) };
	int r;

	/* a shared one is limited by its ceiling: what it is promised is not for bursts */
	htb.ceiling_burst = ceiling / 250 + PACKET_MAX + (is_shared(rate) ? rate->burst : 0);
	htb.burst = htb.rate / 250 + PACKET_MAX + (is_shared(rate) ? 0 : rate->burst);
	r = net_tc_htb(sock, ifb->index, NET_TC_HANDLE | (is_shared(rate) ? HTB_ALL : 0), entry->minor, &htb, NLM_F_CREATE);
	if (r == 0)
		net_tc_leaf(sock, ifb->index, entry->minor);
	return r;
}

static unsigned least_weight(const GArray *entries)
{
	unsigned least = WEIGHT_MAX;

	for (guint i = 0; i < entries->len; i++)
		least = MIN(least, MAX(g_array_index(entries, struct entry, i).rate.weight, 1));
	return least;
}

static unsigned free_minor(const GArray *entries)
{
	for (unsigned minor = 1; minor < MINOR_MAX; minor++) {
		bool taken = false;

		for (guint i = 0; i < entries->len && !taken; i++)
			taken = g_array_index(entries, struct entry, i).minor == minor;
		if (!taken)
			return minor;
	}
	return MINOR_MAX;
}

static bool is_promised(const struct ifb *ifb, const GArray *entries, const struct entry *entry, GError **error)
{
	uint64_t sum = 0;

	for (guint i = 0; i < entries->len; i++)
		sum += g_array_index(entries, struct entry, i).rate.reservation;
	if (!entry->rate.reservation || !ifb->rate || sum <= ifb->rate)
		return true;
	error_set(error, ERR_INVALID_PARAMETER, "policies: bandwidth: out/reservation: %llu bit/s are promised to ports of '%s', which can have %llu",
		  (unsigned long long)sum * 8, ifb->bridge->name, (unsigned long long)ifb->rate * 8);
	return false;
}

/* Removes the classes that no port has any more, and what is left when there is none. Others get quantums that fit. */
static void sweep_ifb(struct netlink *netlink, struct nl_sock *sock, const struct ifb *ifb, const GArray *entries)
{
	struct nl_cache *classes = NULL;
	unsigned used = 0;

	for (guint i = 0; i < entries->len; i++) {
		const struct entry *entry = &g_array_index(entries, struct entry, i);

		if (entry->bridge == ifb->bridge->index) {
			(void)set_class(sock, ifb, entry, least_weight(entries));
			used++;
		}
	}
	if (!used) {
		(void)netlink_link_delete(netlink, ifb->name);
		return;
	}
	if (rtnl_class_alloc_cache(sock, ifb->index, &classes) < 0)
		return;
	for (struct nl_object *object = nl_cache_get_first(classes); object; object = nl_cache_get_next(object)) {
		unsigned minor = TC_H_MIN(rtnl_tc_get_handle(TC_CAST(object)));
		bool stays = minor == HTB_ALL || TC_H_MAJ(rtnl_tc_get_handle(TC_CAST(object))) != NET_TC_HANDLE;

		for (guint i = 0; i < entries->len && !stays; i++)
			stays = g_array_index(entries, struct entry, i).minor == minor;
		if (!stays)
			(void)rtnl_class_delete(sock, (struct rtnl_class *)object);
	}
	nl_cache_free(classes);
}

/* ---- one port ---- */

static int on_any(struct nl_msg *message, void *data)
{
	++*(unsigned *)data;
	return NL_OK;
}

/* Our filter, and what it needed if nobody else needs it. */
static void remove_filter(struct netlink *netlink, struct nl_sock *sock, int link)
{
	static const uint32_t hooks[] = { HOOK, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS) };
	struct rtnl_qdisc *qdisc = net_tc_clsact(link);
	unsigned others = 0;

	(void)netlink_transact(netlink, filter_message(RTM_DELTFILTER, link, 0));
	for (size_t i = 0; i < G_N_ELEMENTS(hooks); i++) {
		struct tcmsg info = { .tcm_ifindex = link, .tcm_parent = hooks[i] };
		struct nl_msg *message = nlmsg_alloc_simple(RTM_GETTFILTER, NLM_F_DUMP);

		nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
		(void)netlink_dump(netlink, message, on_any, &others);
	}
	if (!others)
		(void)rtnl_qdisc_delete(sock, qdisc);
	rtnl_qdisc_put(qdisc);
}

static bool set_clsact(struct nl_sock *sock, const struct entry *entry, GError **error)
{
	struct rtnl_qdisc *qdisc = net_tc_clsact(entry->link);
	int r = net_tc_has_clsact(sock, entry->link) ? 0 : rtnl_qdisc_add(sock, qdisc, NLM_F_CREATE | NLM_F_EXCL);

	rtnl_qdisc_put(qdisc);
	return r == 0 || failed(entry, r == -NLE_EXIST ? "it has an ingress queueing discipline of somebody else" : "clsact", 0, r, error);
}

/* Can it keep its class? None goes below another; and what it owes, up to 60 s of its rate, would count at the new one. */
static bool stays(const struct entry *old, const struct entry *entry)
{
	return old->bridge == entry->bridge && is_shared(&old->rate) == is_shared(&entry->rate) && old->rate.reservation == entry->rate.reservation;
}

static bool set_out(struct net *net, struct netlink *netlink, struct nl_sock *sock, const struct net_state *state, const struct net_link *link,
		    const struct net_rate *rate, GError **error)
{
	const struct net_link *bridge = net_state_index(state, link->master);
	g_autoptr(GArray) entries = read_entries(netlink, state, bridge ? bridge->index : -1, link->index);
	struct entry *old = find_entry(entries, link->index), entry = { .link = link->index, .rate = *rate };
	bool wanted = rate->limit || is_shared(rate);
	struct ifb ifb;
	int errnum;

	if (old && (!wanted || !bridge)) {
		remove_filter(netlink, sock, link->index);
		old->bridge = 0;
	}
	if (!bridge)
		return true;
	ifb = ifb_of(net, state, bridge);
	if (wanted) {
		entry.bridge = bridge->index;
		entry.minor = old && stays(old, &entry) ? old->minor : free_minor(entries);
		if (old)
			*old = entry;
		else
			g_array_append_val(entries, entry);
		if (entry.minor == MINOR_MAX)
			return failed(&entry, "too many ports", ENOSPC, 0, error);
		if (!is_promised(&ifb, entries, &entry, error) || !set_clsact(sock, &entry, error) || !make_ifb(netlink, sock, &ifb, &entry, error))
			return false;
		if ((errnum = set_class(sock, &ifb, &entry, least_weight(entries))) < 0)
			return failed(&entry, "htb", 0, errnum, error);
		if ((errnum = put_filter(netlink, &entry, ifb.index)))
			return failed(&entry, "BPF", errnum, 0, error);
	}
	if (ifb.index)
		sweep_ifb(netlink, sock, &ifb, entries);
	return true;
}

static bool set_in(struct nl_sock *sock, const struct net_link *link, const struct net_rate *rate, GError **error)
{
	const struct entry entry = { .link = link->index };
	bool ours;
	g_autofree char *kind = net_tc_root(sock, link->index, &ours);
	struct rtnl_qdisc *root;
	struct net_htb htb = { .rate = rate->limit, .ceiling = rate->peak ? rate->peak : rate->limit, .quantum = PACKET_MAX };
	int r = 0;

	htb.burst = rate->limit / 250 + PACKET_MAX + rate->burst;
	htb.ceiling_burst = htb.ceiling / 250 + PACKET_MAX + (rate->peak ? 0 : rate->burst);
	if (!rate->limit) {
		if (ours)
			net_tc_remove_root(sock, link->index);
		return true;
	}
	if (*kind && !ours) {
		g_autofree char *what = g_strdup_printf("it has the queueing discipline %s of somebody else", kind);

		return failed(&entry, what, EEXIST, 0, error);
	}
	if (!ours) {
		root = net_tc_qdisc(link->index, TC_H_ROOT, NET_TC_HANDLE, "htb");
		rtnl_htb_set_defcls(root, 1);
		r = rtnl_qdisc_add(sock, root, NLM_F_CREATE | NLM_F_REPLACE);         /* libvirt puts noqueue there */
		rtnl_qdisc_put(root);
	}
	if (r == 0)
		r = net_tc_htb(sock, link->index, NET_TC_HANDLE, 1, &htb, NLM_F_CREATE);
	if (r < 0)
		return failed(&entry, "htb", 0, r, error);
	net_tc_leaf(sock, link->index, 1);
	return true;
}

/* ---- what others call ---- */

bool net_port_qos_set(struct net *net, const char *tap, const struct net_port_qos *qos, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	struct nl_sock *sock = state ? net_tc_socket(error) : NULL;
	const struct net_link *link = state ? net_state_link(state, tap) : NULL;
	bool good = sock && (!link || (set_out(net, netlink, sock, state, link, &qos->out, error) && set_in(sock, link, &qos->in, error)));

	nl_socket_free(sock);
	net_state_free(state);
	netlink_free(netlink);
	return good;
}

void net_port_qos_sweep(struct net *net)
{
	g_autoptr(GError) error = NULL;
	struct netlink *netlink = netlink_new(&error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, &error) : NULL;
	struct nl_sock *sock = state ? net_tc_socket(&error) : NULL;

	for (guint i = 0; sock && i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i], *bridge;
		g_autoptr(GArray) entries = NULL;
		struct ifb ifb;
		int index;

		if (strcmp(link->kind, "ifb") || sscanf(link->name, "bi%d", &index) != 1)
			continue;
		if (!(bridge = net_state_index(state, index))) {
			(void)netlink_link_delete(netlink, link->name);
			continue;
		}
		ifb = ifb_of(net, state, bridge);
		entries = read_entries(netlink, state, bridge->index, /* link= */ 0);
		(void)set_all(sock, &ifb);
		sweep_ifb(netlink, sock, &ifb, entries);
	}
	if (error)
		log_warn("bandwidth of ports is not looked at, ignoring: %s", error->message);
	nl_socket_free(sock);
	net_state_free(state);
	netlink_free(netlink);
}
