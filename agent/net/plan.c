/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the kernel's state, what was wanted and what is wanted now to the steps between them.
 *
 * Planning changes nothing: it reads a copy of the state and changes that copy as the steps would. Every step carries what it needs to be undone. What
 * is already as it is wanted gives no steps: planning from a state to what was set up tells what somebody else has changed since.
 *
 * Ours are the bonds, VLANs and bridges that were wanted before, and the addresses, routes and rules that were. A link that has the name of one that is
 * to be made and is none of ours is left alone and the wish refused; addresses that others put on our links stay while the link does. A link's own
 * addresses and routes move to the bridge or bond it joins when the network has the same ones; one with others is in use. Only links are planned that
 * a network or bond of the request needs. What goes is planned in plan_away.c, single changes in plan_link.c.
 *
 * Order: what goes, from bridges to nics; bonds; bridges; VLANs; what joins; MTUs that sink, from bridges to nics; addresses; up; routes. So that a
 * device that carries the host's address is without it for the few steps in which it joins its bridge. Bridges of Open vSwitch (plan_ovs.c) come
 * after bonds.
 */
#include <linux/ipv6_route.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include "agent/net/plan.h"

/* ---- what is made ---- */

static bool has_address(const struct net_link *link, const char *text)
{
	for (guint i = 0; i < link->addresses->len; i++)
		if (!strcmp(((const struct net_address *)link->addresses->pdata[i])->text, text))
			return true;
	return false;
}

/* Without autoconf what routers told goes: it would stay as long as they said. */
static void settle_autoconf(struct plan *plan, const struct net_want *want, struct net_link *link)
{
	plan_accept_ra(plan, link, want->autoconf ? ACCEPT_RA_AUTOCONF : 0);
	if (!want->autoconf)
		plan_drop_learned(plan, link);
}

/* Locally administered, not multicast. An address of its own keeps a bridge's MAC when ports come and go. */
char *plan_random_mac(void)
{
	return g_strdup_printf("02:%02x:%02x:%02x:%02x:%02x", g_random_int_range(0, 256), g_random_int_range(0, 256), g_random_int_range(0, 256),
			       g_random_int_range(0, 256), g_random_int_range(0, 256));
}

/* The nic at the bottom of what is to be in the bridge: its MAC is the network's. NULL: none */
static const struct net_link *bottom_of(const struct plan *plan, const struct net_want *bridge)
{
	for (guint i = 0; i < plan->new->wants->len; i++) {
		const struct net_want *port = plan->new->wants->pdata[i];

		if (!strcmp(port->master, bridge->name))
			return net_state_link(plan->state, *port->lower ? port->lower : port->name);
	}
	return NULL;
}

static const struct net_want *first_slave(const struct plan *plan, const struct net_want *bond)
{
	for (guint i = 0; i < plan->new->wants->len; i++) {
		const struct net_want *nic = plan->new->wants->pdata[i];

		if (!strcmp(nic->master, bond->name))
			return nic;
	}
	return NULL;
}

static enum error_code code_of(const struct net_want *want)
{
	return !strcmp(want->kind, "bond") ? ERR_BAD_BONDING : !strcmp(want->kind, "vlan") ? ERR_BAD_VLAN : ERR_BAD_BRIDGE;
}

static void plan_addition(struct plan *plan, const struct net_want *want)
{
	struct net_link *link, *master = net_state_link(plan->state, want->master), *lower = net_state_link(plan->state, want->lower);
	bool is_bridge = !strcmp(want->kind, "bridge");
	const struct net_want *slave = !strcmp(want->kind, "bond") ? first_slave(plan, want) : NULL;
	const struct net_link *like = is_bridge ? bottom_of(plan, want) : slave ? net_state_link(plan->state, slave->name) : NULL;
	g_autofree char *mac = *want->mac ? g_strdup(want->mac) : like ? g_strdup(like->mac) : is_bridge ? plan_random_mac() : g_strdup("");
	g_autofree char *options = net_options_text(want->kind, want->options);
	g_autoptr(GString) text = g_string_new(want->kind);
	GHashTableIter iter;
	void *name, *value;
	int index = 0, accept_ra = plan_has_ipv6(plan) ? ACCEPT_RA_NEW : -1;

	for (guint i = 0; i < plan->state->links->len; i++)
		index = MAX(index, ((const struct net_link *)plan->state->links->pdata[i])->index);
	link = net_state_add(plan->state, want->name, want->kind);
	link->index = index + 1;
	link->mtu = is_bridge ? MTU_DEFAULT : want->mtu;
	link->made = true;
	link->auto_mtu = is_bridge;
	link->accept_ra = accept_ra;
	if (lower) {
		link->lower = lower->index;
		link->vlan = want->vlan;
		g_string_append_printf(text, " lower=%s id=%d", lower->name, want->vlan);
	}
	if (*mac)
		g_string_append_printf(text, " address=%s", mac);
	g_free(link->mac);
	link->mac = g_steal_pointer(&mac);
	if (!is_bridge)
		g_string_append_printf(text, " mtu=%u", want->mtu);
	if (want->options) {
		link->options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
		g_hash_table_iter_init(&iter, want->options);
		while (g_hash_table_iter_next(&iter, &name, &value))
			g_hash_table_insert(link->options, g_strdup(name), g_strdup(value));
	}
	g_string_append(text, options);
	if (master) {
		g_string_append_printf(text, " master=%s", master->name);
		link->master = master->index;
		plan_note_port(plan, master);
	}
	/* the host's addresses come before: the first thing it says is with them */
	if (!want->top) {
		g_string_append(text, " up=1");
		link->flags |= IFF_UP;
	}
	net_step_add(plan->steps, STEP_LINK_ADD, want->name, text->str, NULL);
	plan_mtu(plan, link, want->mtu);          /* before it has ports: from then on they do not change it */
}

/* The link that has what the link brings along when it joins: the last of its masters. */
static const struct net_want *top_of(const struct plan *plan, const struct net_want *want)
{
	while (*want->master && plan_want(plan->new, want->master))
		want = plan_want(plan->new, want->master);
	return want;
}

/* Routes that go on over another link (texts), default routes excepted: those are the network's own matter. */
struct kept { const char *link; char *route; };

static void kept_free(void *data)
{
	g_free(((struct kept *)data)->route);
	g_free(data);
}

void plan_keep_routes(struct net_link *link, const char *top, GPtrArray *kept)
{
	for (guint i = 0; i < link->routes->len; i++) {
		const struct net_route *route = link->routes->pdata[i];
		struct kept *keep;

		if (!strcmp(route->destination, "default") || route->table != RT_TABLE_MAIN || route->protocol == RTPROT_RA || route->object)
			continue;
		keep = g_new0(struct kept, 1);
		keep->link = top;
		keep->route = plan_route_text(route);
		g_ptr_array_add(kept, keep);
	}
}

bool plan_check_addresses(const struct net_want *want, const struct net_want *top, const struct net_link *link, GError **error)
{
	for (guint i = 0; i < link->addresses->len; i++) {
		const struct net_address *address = link->addresses->pdata[i];

		if (address->link_local || address->learned || plan_has(top->addresses, address->text) || (address->family == AF_INET ? top->dhcp : top->dhcpv6))
			continue;
		error_set(error, ERR_USED_NIC, "network '%s': nic '%s' has the address %s, which the network does not take over", plan_user(want), link->name,
			  address->text);
		return false;
	}
	return true;
}

/* Into its bridge or bond, or out of it. A nic joins a bond while it is down; the bond brings it up. */
static bool plan_join(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	struct net_link *master = net_state_link(plan->state, want->master), *now = net_state_index(plan->state, link->master);
	const struct net_want *top = top_of(plan, want), *was = plan_want(plan->old, want->name);
	bool bond = master && !strcmp(master->kind, "bond");

	if (now == master)
		return true;
	if (now && !(was && !strcmp(was->master, now->name))) {
		if (!master)
			return true;
		error_set(error, ERR_USED_NIC, "%s '%s': nic '%s' is a port of '%s'", bond ? "bond" : "network", bond ? master->name : plan_user(want), link->name,
			  now->name);
		return false;
	}
	if (master && !plan_check_addresses(want, top, link, error))
		return false;
	if (master) {
		plan_keep_routes(link, top->name, kept);
		plan_drop_all(plan, link);
	}
	if (bond)
		plan_up(plan, link, false);
	plan_master(plan, link, master);
	if (bond)
		link->flags |= IFF_UP;
	else
		plan_up(plan, link, true);
	return true;
}

static void plan_options(struct plan *plan, const struct net_want *want, struct net_link *link)
{
	const struct net_want *was = plan_want(plan->old, want->name);
	g_autoptr(GString) text = g_string_new(want->kind);
	g_autoptr(GString) before = g_string_new(want->kind);
	GHashTableIter iter;
	void *name, *value;

	for (int pass = 0; pass < 2; pass++) {
		GHashTable *options = pass ? (was ? was->options : NULL) : want->options;

		if (!options || !link->options)
			continue;
		g_hash_table_iter_init(&iter, options);
		while (g_hash_table_iter_next(&iter, &name, &value)) {
			const char *actual = g_hash_table_lookup(link->options, name), *standard = net_option_standard(want->kind, name);

			if (pass && g_hash_table_contains(want->options, name))
				continue;
			value = pass ? (void *)standard : value;
			/* the kernel tells the primary only while it is a slave */
			if (!strcmp(actual ? actual : standard, value) || (!actual && pass))
				continue;
			g_string_append_printf(text, " %s=%s", (char *)name, (char *)value);
			g_string_append_printf(before, " %s=%s", (char *)name, actual ? actual : standard);
			g_hash_table_replace(link->options, g_strdup(name), g_strdup(value));
		}
	}
	if (strchr(text->str, ' '))
		net_step_add(plan->steps, STEP_LINK_SET, link->name, text->str, before->str);
}

/* A bridge that no longer filters would make one network of its ports' VLANs. */
static bool check_filtering(const struct plan *plan, const struct net_want *want, const struct net_link *bridge, GError **error)
{
	const struct net_want *was = plan_want(plan->old, want->name);
	const char *now = bridge->options ? g_hash_table_lookup(bridge->options, "vlan_filtering") : NULL;
	const char *wish = want->options ? g_hash_table_lookup(want->options, "vlan_filtering") : NULL;

	if (!now || strcmp(now, "1") || (wish ? !strcmp(wish, "1") : !(was && was->options && g_hash_table_contains(was->options, "vlan_filtering"))))
		return true;
	for (guint i = 0; i < plan->state->links->len; i++) {
		const struct net_link *port = plan->state->links->pdata[i];

		if (port->master != bridge->index || !port->vlans || plan_want(plan->new, port->name))
			continue;
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "network '%s': vlan_filtering cannot be switched off while port '%s' has VLANs of its own, %s",
			  plan_user(want), port->name, port->vlans);
		return false;
	}
	return true;
}

static bool check_nic(const struct net_want *want, const struct net_link *nic, GError **error)
{
	const char *kind = want->is_bond ? "bond" : "nic";

	if (!nic || (want->is_bond ? strcmp(nic->kind, "bond") != 0 : !net_link_is_nic(nic))) {
		error_set(error, want->is_bond ? ERR_BAD_BONDING : ERR_BAD_NIC, "'%s': %s '%s' %s", plan_user(want), kind, want->name,
			  !nic ? "does not exist" : want->is_bond ? "is no bond" : "is no network interface card");
		return false;
	}
	if (nic->max_mtu && want->mtu > nic->max_mtu) {
		error_set(error, ERR_BAD_PARAMS, "'%s': mtu %u is above the %u of %s '%s'", plan_user(want), want->mtu, nic->max_mtu, kind, want->name);
		return false;
	}
	return true;
}

/* Is the link of this name ours to change? */
static bool check_ours(const struct plan *plan, const struct net_want *want, const struct net_link *link, GError **error)
{
	const struct net_want *was = plan_want(plan->old, want->name);

	if (was && !strcmp(link->kind, want->kind))
		return true;
	error_set(error, code_of(want), "%s '%s': there is a link '%s' that is not ours", strcmp(want->kind, "bond") ? "network" : "bond", plan_user(want),
		  want->name);
	return false;
}

/* One pass over the links of a kind that the request touches; link: NULL when it is to be made. */
static bool for_kind(struct plan *plan, const char *kind, GPtrArray *kept, GError **error,
		     bool (*function)(struct plan *, const struct net_want *, struct net_link *, GPtrArray *, GError **))
{
	for (guint i = 0; i < plan->new->wants->len; i++) {
		const struct net_want *want = plan->new->wants->pdata[i];

		if (!strcmp(want->kind, kind) && plan_touches(plan, want) && !function(plan, want, net_state_link(plan->state, want->name), kept, error))
			return false;
	}
	return true;
}

static bool make(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	if (!link) {
		plan_addition(plan, want);
		return true;
	}
	if (!check_ours(plan, want, link, error) || (!strcmp(want->kind, "bridge") && !check_filtering(plan, want, link, error)))
		return false;
	if (strcmp(want->kind, "bridge") && link->mtu < want->mtu)
		plan_mtu(plan, link, want->mtu);
	if (*want->mac && strcmp(want->mac, link->mac)) {
		plan_set(plan, link, "link", "address", want->mac, link->mac);
		g_free(link->mac);
		link->mac = g_strdup(want->mac);
	}
	plan_options(plan, want, link);
	if ((!strcmp(want->kind, "vlan") || !strcmp(want->kind, "vxlan")) && !plan_join(plan, want, link, kept, error))
		return false;
	if (!want->top)
		plan_up(plan, link, true);
	return true;
}

static bool check_nic_of(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	return check_nic(want, link, error);
}

/* Into a bond, or out of what it need not be in. */
static bool enslave(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	const struct net_want *master = plan_want(plan->new, want->master);

	return (master && strcmp(master->kind, "bond")) || plan_join(plan, want, link, kept, error);
}

/* Nics and bonds: before the VLANs on them, which cannot be up or have an MTU without them. */
static bool lift(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	if (want->top)
		settle_autoconf(plan, want, link);
	if (link->mtu < want->mtu)
		plan_mtu(plan, link, want->mtu);
	plan_up(plan, link, true);
	return true;
}

static bool join_bridge(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	const struct net_want *master = plan_want(plan->new, want->master);

	return (master && !strcmp(master->kind, "bond")) || plan_join(plan, want, link, kept, error);
}

static bool check_free(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	for (guint i = 0; i < plan->state->links->len; i++) {
		const struct net_link *other = plan->state->links->pdata[i];
		const struct net_want *theirs = plan_want(plan->new, other->name);

		for (guint k = 0; other != link && k < want->addresses->len; k++) {
			if (want->nat && theirs && theirs->nat)           /* they may have the same */
				break;
			if (!has_address(other, want->addresses->pdata[k]))
				continue;
			error_set(error, ERR_BAD_ADDR, "network '%s': address %s is already on '%s'", plan_user(want), (char *)want->addresses->pdata[k], other->name);
			return false;
		}
		for (guint k = 0; other != link && k < other->routes->len; k++) {
			const struct net_route *route = other->routes->pdata[k];

			if (strcmp(route->destination, "default") || route->table != RT_TABLE_MAIN)
				continue;
			for (guint r = 0; r < want->routes->len; r++)
				if (g_str_has_prefix(want->routes->pdata[r], "default ") && g_str_has_suffix(want->routes->pdata[r], " table 254") &&
				    !strchr(want->routes->pdata[r], ':') == (route->family == AF_INET)) {
					error_set(error, ERR_BAD_PARAMS, "network '%s': there is a default route already, via %s on '%s'", plan_user(want),
						  route->gateway, other->name);
					return false;
				}
		}
	}
	return true;
}

static void add_address(struct plan *plan, struct net_link *link, const char *wanted)
{
	struct net_prefix prefix;
	g_autofree char *text = NULL;

	if (has_address(link, wanted))
		return;
	net_link_add_address(link, wanted);
	if (net_prefix_parse(wanted, &prefix) && prefix.family == AF_INET && prefix.length < 31) {
		prefix.address.v4.s_addr |= htonl(0xffffffffu >> prefix.length);
		g_autofree char *last = net_prefix_text(&prefix);

		text = g_strdup_printf("%s brd %.*s", wanted, (int)strcspn(last, "/"), last);
	}
	net_step_add(plan->steps, STEP_ADDRESS_ADD, link->name, text ? text : wanted, NULL);
}

static void add_route(struct plan *plan, struct net_link *link, const char *text)
{
	if (!plan_find_route(link, text))
		net_step_add(plan->steps, STEP_ROUTE_ADD, link->name, text, NULL);
}

/*
 * A default route that came along with the link (of a DHCP client) gives way to the network's; later, one that somebody put in its place: the kernel has one
 * of each metric. Those of router advertisements are the kernel's.
 */
static void drop_default_routes(struct plan *plan, const struct net_want *want, struct net_link *link)
{
	bool is_new = !plan_want(plan->old, want->name);

	for (guint w = 0; w < want->routes->len; w++)
		for (guint i = 0; i < link->routes->len;) {
			const struct net_route *route = link->routes->pdata[i];
			bool gives_way = route->protocol != RTPROT_RA && !route->object;
			bool family = !strchr(want->routes->pdata[w], ':') == (route->family == AF_INET);
			bool instead = g_str_has_prefix(want->routes->pdata[w], "default ") && g_str_has_suffix(want->routes->pdata[w], " table 254") &&
				       route->metric == (route->family == AF_INET ? 0 : IP6_RT_PRIO_USER);

			if (family && gives_way && !strcmp(route->destination, "default") && route->table == RT_TABLE_MAIN && (is_new || instead) &&
			    !plan_is_route(route, want->routes->pdata[w]))
				plan_drop_route(plan, link, i);
			else
				i++;
		}
}

static void add_peers(struct plan *plan, const struct net_want *want, struct net_link *link)
{
	for (guint i = 0; i < want->peers->len; i++)
		if (!plan_has(link->peers, want->peers->pdata[i])) {
			net_step_add(plan->steps, STEP_PEER_ADD, link->name, want->peers->pdata[i], NULL);
			g_ptr_array_add(link->peers, g_strdup(want->peers->pdata[i]));
		}
}

/* What a link that is not to say anything says is nothing from before it is up. */
static void set_arp(struct plan *plan, struct net_link *link, bool mute)
{
	if (!(link->flags & IFF_NOARP) == !mute)
		return;
	plan_set(plan, link, "link", "arp", mute ? "0" : "1", mute ? "1" : "0");
	link->flags ^= IFF_NOARP;
}

static bool finish(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	add_peers(plan, want, link);
	if (!want->top)
		return true;
	if (!strcmp(want->kind, "bridge"))
		set_arp(plan, link, want->mute);
	settle_autoconf(plan, want, link);
	drop_default_routes(plan, want, link);
	for (guint i = 0; i < want->addresses->len; i++)
		add_address(plan, link, want->addresses->pdata[i]);
	plan_up(plan, link, true);
	for (guint i = 0; i < kept->len; i++) {
		const struct kept *keep = kept->pdata[i];

		if (!strcmp(keep->link, want->name))
			add_route(plan, link, keep->route);
	}
	for (guint i = 0; i < want->routes->len; i++)
		add_route(plan, link, want->routes->pdata[i]);
	plan_routes_back(plan, want, link);
	for (guint i = 0; i < want->rules->len; i++)
		if (!plan_has(plan->state->rules, want->rules->pdata[i])) {
			net_step_add(plan->steps, STEP_RULE_ADD, want->name, want->rules->pdata[i], NULL);
			g_ptr_array_add(plan->state->rules, g_strdup(want->rules->pdata[i]));
		}
	return true;
}

/* The MTU of a bridge, once its ports are in it. */
static bool settle(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	plan_mtu(plan, link, want->mtu);
	return true;
}

static bool shape(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	if (!link->made)
		return plan_qos(plan, plan_want(plan->old, want->name), want, want->name, error);
	if (*want->qos)
		net_step_add(plan->steps, STEP_QOS, want->name, want->qos, NULL);
	return true;
}

/* ---- the resolver's file ---- */

/* The file with these servers instead of what it has. */
static char *resolv_with(const char *old, const json_t *servers)
{
	g_auto(GStrv) lines = g_strsplit(old, "\n", -1);
	GString *text = g_string_new(NULL);

	for (size_t i = 0; i < json_array_size(servers); i++)
		g_string_append_printf(text, "nameserver %s\n", json_string_value(json_array_get(servers, i)));
	for (size_t i = 0; lines[i]; i++)
		if (!g_str_has_prefix(g_strchug(lines[i]), "nameserver") && (lines[i][0] || lines[i + 1]))
			g_string_append_printf(text, "%s\n", lines[i]);
	return g_string_free(text, FALSE);
}

/* Without servers of ours the file has those again that were there before; that step is of no link. */
static void plan_resolv(struct plan *plan)
{
	const struct net_topology *topology = plan->new->nameservers ? plan->new : plan->old;
	const char *old = plan->state->resolv ? plan->state->resolv : "";
	const json_t *before = json_object_get(plan->host, "nameservers");
	bool restores = topology == plan->old;
	json_t *servers;
	g_autofree char *text = NULL;

	if (!topology->nameservers || !g_hash_table_contains(plan->touched, topology->resolver) || (restores && !before))
		return;
	servers = restores ? json_deep_copy(before) : json_array();
	for (guint i = 0; !restores && i < topology->nameservers->len; i++)
		json_array_append_new(servers, json_string(topology->nameservers->pdata[i]));
	text = resolv_with(old, servers);
	json_decref(servers);
	if (!strcmp(text, old) && !restores)
		return;
	net_step_add(plan->steps, STEP_RESOLV, restores ? "" : topology->resolver, text, old);
	g_free(plan->state->resolv);
	plan->state->resolv = g_steal_pointer(&text);
}

/* ---- networks behind this host ---- */

static bool touches(const struct plan *plan, GHashTable *names)
{
	GHashTableIter iter;
	void *name;

	g_hash_table_iter_init(&iter, names);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		if (g_hash_table_contains(plan->touched, name))
			return true;
	return false;
}

/* With the last of them forwarding is as it was before the first. */
static void plan_ruleset(struct plan *plan)
{
	g_autofree char *wanted = net_nft_digest(plan->new->ruleset);
	struct net_state *state = plan->state;

	if (!touches(plan, plan->old->behind) && !touches(plan, plan->new->behind))
		return;
	if (!state->nft)                      /* asked only here: it takes longer than all the rest of the state */
		state->nft = net_nft_read();
	if (*plan->new->ruleset && !state->forwarding)
		net_step_add(plan->steps, STEP_FORWARDING, "", "1", "0");
	state->forwarding |= *plan->new->ruleset != '\0';
	if (!*plan->new->ruleset && json_is_false(json_object_get(plan->host, "forwarding"))) {
		net_step_add(plan->steps, STEP_FORWARDING, "", "0", state->forwarding ? "1" : "0");
		state->forwarding = false;
	}
	if (!strcmp(wanted, state->nft))
		return;
	net_step_add(plan->steps, STEP_RULESET, "", plan->new->ruleset, plan->old->ruleset);
	g_free(state->nft);
	state->nft = g_steal_pointer(&wanted);
}

/* ---- all of it ---- */

static bool plan_new(struct plan *plan, GError **error)
{
	g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(kept_free);

	if (!for_kind(plan, "", kept, error, check_nic_of) || !for_kind(plan, "bond", kept, error, make) || !for_kind(plan, "", kept, error, enslave) ||
	    !for_kind(plan, "", kept, error, lift) || !for_kind(plan, "bond", kept, error, lift) || !for_kind(plan, "ovsbridge", kept, error, plan_ovs_bridge) ||
	    !for_kind(plan, "bridge", kept, error, make) ||
	    !for_kind(plan, "vlan", kept, error, make) || !for_kind(plan, "vxlan", kept, error, make) ||
	    !for_kind(plan, "", kept, error, join_bridge) || !for_kind(plan, "bond", kept, error, join_bridge))
		return false;
	/* what sinks, from above */
	if (!for_kind(plan, "bridge", kept, error, settle) || !for_kind(plan, "ovs", kept, error, settle) || !for_kind(plan, "vxlan", kept, error, settle) ||
	    !for_kind(plan, "vlan", kept, error, settle) || !for_kind(plan, "bond", kept, error, settle) ||
	    !for_kind(plan, "", kept, error, settle))
		return false;
	for (size_t i = 0; i < 6; i++) {
		static const char *const kinds[] = { "", "bond", "ovs", "vlan", "vxlan", "bridge" };

		if (!for_kind(plan, kinds[i], kept, error, check_free) || !for_kind(plan, kinds[i], kept, error, finish))
			return false;
	}
	plan_shared_back(plan);
	if (!for_kind(plan, "", kept, error, shape) || !for_kind(plan, "bond", kept, error, shape))
		return false;
	plan_resolv(plan);
	plan_ruleset(plan);
	return true;
}

GPtrArray *net_plan(struct net_state *state, const struct net_config *before, const struct net_config *after, GHashTable *touched, GError **error)
{
	struct plan plan = { .state = state, .touched = touched, .host = before->host };
	bool good;

	plan.old = net_topology_new(before, error);
	plan.new = plan.old ? net_topology_new(after, error) : NULL;
	plan.steps = g_ptr_array_new_with_free_func(net_step_free);
	plan.lost = g_ptr_array_new_with_free_func(plan_lost_free);
	good = plan.new && plan_away(&plan, error) && plan_new(&plan, error);
	if (good)
		plan_mark_lost(&plan);
	g_ptr_array_unref(plan.lost);
	net_topology_free(plan.old);
	net_topology_free(plan.new);
	if (good)
		return plan.steps;
	g_ptr_array_unref(plan.steps);
	return NULL;
}
