/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VLANs of machines' ports, in a bridge that filters them (bridge_opts vlan_filtering=1):
 *
 *   {"id": 20}                                             access: what the machine sends and gets has no tag, and is in VLAN 20
 *   {"trunk": "10-29,40", "pruned": "15", "native": 10}    tagged with one of these; without a tag: in VLAN 10, and without native refused
 *
 * A port without any is in the bridge's default VLAN, as the kernel has it. What a port may send is looked at twice: by rules of its chain, which count
 * what they drop, and by the bridge, which also keeps from the port what is of other VLANs.
 *
 * The link that a network is on (nic, bond or VLAN) gets each VLAN that a port of its bridge is in, tagged. It keeps them: nothing that is sent into a
 * VLAN without a port goes anywhere, and somebody else may have put it there.
 */
#define LOG_MODULE "net"
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

#define LIST_MAX 512                      /* characters of a list of ids */

static bool has(const uint8_t *set, unsigned id)
{
	return set[id / 8] & 1u << id % 8;
}

static void put(uint8_t *set, unsigned id, bool in)
{
	set[id / 8] = (uint8_t)(in ? set[id / 8] | 1u << id % 8 : set[id / 8] & ~(1u << id % 8));
}

/* ---- what is asked for ---- */

static bool read_list(const char *text, bool in, uint8_t *set)
{
	g_autoptr(GArray) ranges = strlen(text) <= LIST_MAX ? net_ranges_parse(text, NET_VLAN_MAX) : NULL;

	for (guint i = 0; ranges && i < ranges->len; i++)
		for (unsigned id = g_array_index(ranges, struct net_range, i).from; id <= g_array_index(ranges, struct net_range, i).to; id++)
			put(set, id, in);
	return ranges != NULL;
}

static bool is_id(const json_t *json)
{
	return json_is_integer(json) && json_integer_value(json) >= 1 && json_integer_value(json) <= NET_VLAN_MAX;
}

static const char *read_vlan(const json_t *json, struct net_vlan *vlan)
{
	static const char *const known[] = { "id", "trunk", "pruned", "native", NULL };
	const json_t *id = json_object_get(json, "id"), *trunk = json_object_get(json, "trunk"), *pruned = json_object_get(json, "pruned"),
		     *native = json_object_get(json, "native"), *value;
	const char *name;

	if (!json_is_object(json))
		return "is no object";
	json_object_foreach((json_t *)json, name, value)
		if (!g_strv_contains(known, name))
			return "has an unknown member";
	if (!id == !trunk || (id && json_object_size(json) > 1))
		return "has neither id alone nor trunk";
	if (id && !is_id(id))
		return "id is not 1 to 4094";
	if (native && !is_id(native))
		return "native is not 1 to 4094";
	if (trunk && !(json_is_string(trunk) && read_list(json_string_value(trunk), true, vlan->ids)))
		return "trunk is no list of ids 1 to 4094, 10-29,40";
	if (pruned && !(json_is_string(pruned) && read_list(json_string_value(pruned), false, vlan->ids)))
		return "pruned is no list of ids 1 to 4094, 10-29,40";
	vlan->trunk = trunk != NULL;
	vlan->untagged = (unsigned)json_integer_value(id ? id : native);
	if (vlan->untagged)
		put(vlan->ids, vlan->untagged, true);
	return NULL;
}

bool net_vlan_parse(const json_t *json, struct net_vlan *ret_vlan, GError **error)
{
	struct net_vlan vlan = { .given = json != NULL };
	const char *problem = json ? read_vlan(json, &vlan) : NULL;

	if (problem) {
		g_autofree char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

		error_set(error, ERR_INVALID_PARAMETER, "policies: vlan: %s: %.200s", problem, text);
		return false;
	}
	*ret_vlan = vlan;
	return true;
}

/* ---- as nftables say it ---- */

/* The next run of ids of set from *id on, which is moved behind it; false: there is none. */
static bool next_run(const uint8_t *set, unsigned *id, unsigned *ret_from, unsigned *ret_to)
{
	while (*id <= NET_VLAN_MAX && !has(set, *id))
		++*id;
	if (*id > NET_VLAN_MAX)
		return false;
	*ret_from = *id;
	while (*id <= NET_VLAN_MAX && has(set, *id))
		++*id;
	*ret_to = *id - 1;
	return true;
}

void net_vlan_rules(GString *text, const char *rule, const struct net_vlan *vlan)
{
	unsigned from, to;

	if (!vlan->given)
		return;
	/* id 0 is no VLAN, only a priority */
	g_string_append_printf(text, "%s vlan id != { 0", rule);
	for (unsigned id = 1; vlan->trunk && next_run(vlan->ids, &id, &from, &to);)
		g_string_append_printf(text, from == to ? ", %u" : ", %u-%u", from, to);
	g_string_append(text, " } counter drop comment \"vlan\"\n");
	g_string_append_printf(text, "%s ether type 0x88a8 counter drop comment \"vlan\"\n", rule);
	if (!vlan->untagged)
		g_string_append_printf(text, "%s ether type != vlan counter drop comment \"vlan\"\n%s vlan id 0 counter drop comment \"vlan\"\n", rule, rule);
}

/* ---- what the kernel has ---- */

struct membership { uint8_t ids[NET_VLAN_BYTES]; unsigned untagged; bool other; };   /* other: one without a tag that is not that of what comes in */

static int on_port(struct nl_msg *message, void *data)
{
	struct nlmsghdr *header = nlmsg_hdr(message);
	const struct ifinfomsg *info = nlmsg_data(header);
	struct nlattr *all = nlmsg_find_attr(header, sizeof(*info), IFLA_AF_SPEC), *a;
	struct membership *found;
	unsigned begin = 0;
	int rest;

	if (header->nlmsg_type != RTM_NEWLINK || !all)
		return NL_OK;
	found = g_new0(struct membership, 1);
	g_hash_table_insert(data, GINT_TO_POINTER(info->ifi_index), found);
	nla_for_each_nested(a, all, rest) {
		struct bridge_vlan_info v;

		if (nla_type(a) != IFLA_BRIDGE_VLAN_INFO || nla_len(a) < (int)sizeof(v))
			continue;
		memcpy(&v, nla_data(a), sizeof(v));
		if (v.flags & BRIDGE_VLAN_INFO_RANGE_BEGIN) {
			begin = v.vid;
			continue;
		}
		for (unsigned id = v.flags & BRIDGE_VLAN_INFO_RANGE_END ? begin : v.vid; id <= v.vid && id <= NET_VLAN_MAX; id++)
			put(found->ids, id, true);
		if (v.flags & BRIDGE_VLAN_INFO_PVID && v.flags & BRIDGE_VLAN_INFO_UNTAGGED)
			found->untagged = v.vid;
		else if (v.flags & (BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED))
			found->other = true;
	}
	return NL_OK;
}

/* *ret_ports: index of a port -> struct membership. g_hash_table_unref. 0 or libnl's error */
static int dump_ports(struct netlink *netlink, GHashTable **ret_ports)
{
	GHashTable *ports = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	struct ifinfomsg info = { .ifi_family = AF_BRIDGE };
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETLINK, NLM_F_DUMP);
	int r;

	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	nla_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
	if ((r = netlink_dump(netlink, message, on_port, ports)) < 0)
		g_clear_pointer(&ports, g_hash_table_unref);
	*ret_ports = ports;
	return MIN(r, 0);
}

/* NULL: the kernel does not tell. */
static GHashTable *read_ports(struct netlink *netlink)
{
	GHashTable *ports;

	(void)dump_ports(netlink, &ports);
	return ports;
}

/* ---- changing it ---- */

static void put_vlan(struct nl_msg *message, unsigned id, unsigned flags)
{
	struct bridge_vlan_info v = { .vid = (uint16_t)id, .flags = (uint16_t)flags };

	nla_put(message, IFLA_BRIDGE_VLAN_INFO, sizeof(v), &v);
}

/* Puts the port into the VLANs of ids, tagged but for untagged (0: none), or out of them. 0 or errno. */
static int change(struct netlink *netlink, int index, const uint8_t *ids, unsigned untagged, bool add)
{
	struct ifinfomsg info = { .ifi_family = AF_BRIDGE, .ifi_index = index };
	struct nl_msg *message = nlmsg_alloc_size(64 * 1024);
	struct nlattr *all;
	uint8_t tagged[NET_VLAN_BYTES];
	unsigned from, to;
	bool any = false;

	memcpy(tagged, ids, sizeof(tagged));
	nlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, add ? RTM_SETLINK : RTM_DELLINK, 0, NLM_F_REQUEST | NLM_F_ACK);
	nlmsg_append(message, &info, sizeof(info), NLMSG_ALIGNTO);
	all = nla_nest_start(message, IFLA_AF_SPEC);
	if (untagged) {
		put(tagged, untagged, false);
		put_vlan(message, untagged, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED);
		any = true;
	}
	for (unsigned id = 1; next_run(tagged, &id, &from, &to); any = true) {
		put_vlan(message, from, from == to ? 0 : BRIDGE_VLAN_INFO_RANGE_BEGIN);
		if (from < to)
			put_vlan(message, to, BRIDGE_VLAN_INFO_RANGE_END);
	}
	nla_nest_end(message, all);
	if (any)
		return netlink_transact(netlink, message);
	nlmsg_free(message);
	return 0;
}

static bool filters(const struct net_link *bridge)
{
	return bridge->options && !g_strcmp0(g_hash_table_lookup(bridge->options, "vlan_filtering"), "1");
}

/* The VLANs of ids pass the link of the bridge's network. */
static int open_uplink(struct net *net, struct netlink *netlink, const struct net_state *state, GHashTable *ports, const struct net_link *bridge,
		       const uint8_t *ids)
{
	uint64_t rate;
	const struct net_link *link = net_qos_uplink(net, state, bridge, &rate);
	const struct membership *now = link ? g_hash_table_lookup(ports, GINT_TO_POINTER(link->index)) : NULL;
	uint8_t lacks[NET_VLAN_BYTES];

	for (size_t i = 0; i < sizeof(lacks); i++)
		lacks[i] = (uint8_t)(ids[i] & ~(now ? now->ids[i] : 0));
	return link ? change(netlink, link->index, lacks, /* untagged= */ 0, /* add= */ true) : 0;
}

static int set_port(struct netlink *netlink, const struct net_link *link, const struct membership *now, const struct net_vlan *vlan)
{
	uint8_t surplus[NET_VLAN_BYTES];
	int errnum = change(netlink, link->index, vlan->ids, vlan->untagged, /* add= */ true);

	for (size_t i = 0; i < sizeof(surplus); i++)
		surplus[i] = (uint8_t)(now->ids[i] & ~vlan->ids[i]);
	return errnum ? errnum : change(netlink, link->index, surplus, /* untagged= */ 0, /* add= */ false);
}

/* The bridge's default VLAN, as the kernel puts ports into it. */
static void take_default(const struct net_link *bridge, struct net_vlan *vlan)
{
	const char *id = g_hash_table_lookup(bridge->options, "default_pvid");

	vlan->untagged = id ? (unsigned)g_ascii_strtoull(id, NULL, 10) : 1;
	if (vlan->untagged)
		put(vlan->ids, vlan->untagged, true);
}

static bool is_as(const struct membership *now, const struct net_vlan *vlan)
{
	return !now->other && now->untagged == vlan->untagged && !memcmp(now->ids, vlan->ids, sizeof(now->ids));
}

static bool may_have_ports(const struct net_link *bridge, GError **error)
{
	if (filters(bridge))
		return true;
	error_set(error, ERR_INVALID_PARAMETER, "policies: vlan: bridge '%s' does not filter VLANs; its network needs bridge_opts vlan_filtering=1", bridge->name);
	return false;
}

int net_vlan_note(struct netlink *netlink, struct net_state *state)
{
	g_autoptr(GHashTable) ports = NULL;
	int r;

	for (guint i = 0; i < state->links->len; i++) {
		struct net_link *link = state->links->pdata[i];
		const struct net_link *bridge = net_state_index(state, link->master);
		const struct membership *now;
		struct net_vlan standard = { 0 };
		unsigned id = 1, from, to;
		g_autoptr(GString) text = NULL;

		if (!bridge || strcmp(bridge->kind, "bridge") || !filters(bridge))
			continue;
		if (!ports && (r = dump_ports(netlink, &ports)) < 0)
			return r;
		take_default(bridge, &standard);
		now = g_hash_table_lookup(ports, GINT_TO_POINTER(link->index));
		if (!now || is_as(now, &standard))
			continue;
		text = g_string_new(NULL);
		while (next_run(now->ids, &id, &from, &to))
			g_string_append_printf(text, from == to ? "%s%u" : "%s%u-%u", text->len ? "," : "", from, to);
		g_free(link->vlans);
		link->vlans = g_strdup(text->str);
	}
	return 0;
}

bool net_vlan_bridge(const char *name, const struct net_vlan *vlan, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	const struct net_link *bridge = state ? net_state_link(state, name) : NULL;
	bool good = state && (!vlan->given || !bridge || may_have_ports(bridge, error));

	net_state_free(state);
	netlink_free(netlink);
	return good;
}

/* Of a port in a bridge that filters. */
static bool settle_port(struct net *net, struct netlink *netlink, const struct net_state *state, const struct net_link *link, const struct net_vlan *vlan,
			bool set, enum net_port_state *ret_state, GError **error)
{
	const struct net_link *bridge = net_state_index(state, link->master);
	g_autoptr(GHashTable) ports = read_ports(netlink);
	const struct membership none = { 0 }, *now = ports ? g_hash_table_lookup(ports, GINT_TO_POINTER(link->index)) : NULL;
	struct net_vlan wanted = *vlan;
	int errnum = ports ? 0 : EIO;

	now = now ? now : &none;
	if (!vlan->given)
		take_default(bridge, &wanted);
	if (!errnum && set && !is_as(now, &wanted))
		errnum = set_port(netlink, link, now, &wanted);
	if (!errnum && set)
		errnum = open_uplink(net, netlink, state, ports, bridge, wanted.ids);
	if (errnum) {
		error_set_errno(error, ERR_FAILED_IFUP, errnum, "VLANs of '%s' in bridge '%s'", link->name, bridge->name);
		return false;
	}
	*ret_state = set || is_as(now, &wanted) ? NET_PORT_SET : NET_PORT_OTHER;
	return true;
}

bool net_vlan_port(struct net *net, const char *tap, const struct net_vlan *vlan, bool set, enum net_port_state *ret_state, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	const struct net_link *link = state ? net_state_link(state, tap) : NULL, *bridge = link ? net_state_index(state, link->master) : NULL;
	bool good = state != NULL;

	if (bridge && filters(bridge))
		good = settle_port(net, netlink, state, link, vlan, set, ret_state, error);
	else if (good) {
		good = !bridge || !vlan->given || may_have_ports(bridge, error);
		*ret_state = vlan->given ? NET_PORT_ABSENT : NET_PORT_SET;
	}
	net_state_free(state);
	netlink_free(netlink);
	return good;
}

void net_vlan_uplinks(struct net *net)
{
	g_autoptr(GError) error = NULL;
	struct netlink *netlink = netlink_new(&error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, &error) : NULL;
	g_autoptr(GHashTable) ports = NULL;

	for (guint i = 0; state && i < state->links->len; i++) {
		const struct net_link *bridge = state->links->pdata[i];
		uint8_t ids[NET_VLAN_BYTES] = { 0 };
		int errnum;

		if (strcmp(bridge->kind, "bridge") || !filters(bridge) || (!ports && !(ports = read_ports(netlink))))
			continue;
		for (guint j = 0; j < state->links->len; j++) {
			const struct net_link *port = state->links->pdata[j];
			const struct membership *now = port->master == bridge->index ? g_hash_table_lookup(ports, GINT_TO_POINTER(port->index)) : NULL;

			for (size_t k = 0; now && k < sizeof(ids); k++)
				ids[k] |= now->ids[k];
		}
		if ((errnum = open_uplink(net, netlink, state, ports, bridge, ids)))
			log_warn("VLANs of ports do not pass the link of network '%s', ignoring: %s", bridge->name, g_strerror(errnum));
	}
	if (error)
		log_warn("VLANs of bridges are not looked at, ignoring: %s", error->message);
	net_state_free(state);
	netlink_free(netlink);
}
