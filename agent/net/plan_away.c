/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a plan: what is no longer wanted goes, links from bridges to nics, and what keeps one from going is named.
 *
 * Routes of others over a link of ours are not touched, but the kernel drops them with what they need: the link, its last IPv4 address, the address that
 * they are from. So that undoing brings them back they are steps of the plan, with all that the kernel told about them. They come back at once when what
 * there is then, by the same name, can carry them; those that do not are told in the log: to refuse the removal would leave a host where only somebody
 * who knows who made the route can remove the network. How they are kept is in foreign.c.
 */
#include <linux/rtnetlink.h>
#include <string.h>
#include "agent/net/plan.h"

static void delete_rule(struct plan *plan, const char *link, const char *rule)
{
	guint i;

	if (!g_ptr_array_find_with_equal_func(plan->state->rules, rule, g_str_equal, &i))
		return;
	net_step_add(plan->steps, STEP_RULE_DELETE, link, rule, NULL);
	g_ptr_array_remove_index(plan->state->rules, i);
}

/* ---- routes of others ---- */

static bool address_goes(const struct net_want *was, const struct net_want *will, const char *text)
{
	return plan_has(was->addresses, text) && !(will && plan_has(will->addresses, text));
}

static bool is_address(const char *text, const char *address)
{
	size_t length = strcspn(text, "/");

	return address && length == strlen(address) && !strncmp(text, address, length);
}

void plan_lost_free(void *data)
{
	struct lost *lost = data;

	net_foreign_free(lost->foreign);
	g_free(lost->link);
	g_free(lost);
}

static bool is_lost(const struct plan *plan, const struct net_foreign *foreign)
{
	for (guint i = 0; i < plan->lost->len; i++)
		if (g_bytes_equal(((const struct lost *)plan->lost->pdata[i])->foreign->raw, foreign->raw))
			return true;
	return false;
}

/* The i-th of the link. What is over several links is one step, the first: undone, it comes when all of them are as before. */
static void lose(struct plan *plan, struct net_link *link, guint i)
{
	const struct net_foreign *foreign = link->foreign->pdata[i];
	g_autofree char *route = plan_route_text(&foreign->route);
	g_autofree char *text = net_foreign_text(foreign, NULL, NULL);
	struct net_route *same = foreign->type == RTM_NEWROUTE ? plan_find_route(link, route) : NULL;
	struct lost *lost;

	if (same)
		g_ptr_array_remove(link->routes, same);
	if (is_lost(plan, foreign)) {
		g_ptr_array_remove_index(link->foreign, i);
		return;
	}
	net_step_add(plan->steps, STEP_FOREIGN_AWAY, link->name, text, NULL);
	lost = g_new0(struct lost, 1);
	*lost = (struct lost){ .link = g_strdup(link->name), .foreign = g_ptr_array_steal_index(link->foreign, i),
		.step = plan->steps->pdata[plan->steps->len - 1] };
	g_ptr_array_add(plan->lost, lost);
}

void plan_lose_routes(struct plan *plan, struct net_link *link, int family, const char *source)
{
	for (guint i = 0; i < link->foreign->len;) {
		const struct net_foreign *foreign = link->foreign->pdata[i];

		if ((family == AF_UNSPEC || (foreign->type == RTM_NEWROUTE && foreign->route.family == family)) &&
		    (!source || !g_strcmp0(foreign->source, source)))
			lose(plan, link, i);
		else
			i++;
	}
}

/* Of a link that goes, before its addresses: an object needs them when it comes back. */
static void lose_shared(struct plan *plan, struct net_link *link)
{
	for (guint i = 0; i < link->foreign->len;)
		if (net_foreign_is_shared(link->foreign->pdata[i]))
			lose(plan, link, i);
		else
			i++;
}

void plan_routes_back(struct plan *plan, const struct net_want *want, struct net_link *link)
{
	for (guint i = 0; i < plan->lost->len; i++) {
		struct lost *lost = plan->lost->pdata[i];
		const struct net_route *route = &lost->foreign->route;
		bool gateway = !strcmp(route->gateway, "-") || g_str_has_prefix(route->gateway, "fe80:"), source = lost->foreign->source == NULL, is = false;
		g_autofree char *text = NULL;

		if (strcmp(lost->link, want->name) || lost->back || net_foreign_is_shared(lost->foreign))
			continue;
		for (guint k = 0; k < want->addresses->len; k++) {
			struct net_prefix prefix;

			if (!net_prefix_parse(want->addresses->pdata[k], &prefix) || prefix.family != route->family)
				continue;
			gateway |= net_prefix_contains(&prefix, route->gateway);
			source |= is_address(want->addresses->pdata[k], lost->foreign->source);
		}
		for (guint k = 0; k < want->routes->len; k++)
			is |= plan_is_route(route, want->routes->pdata[k]);
		lost->back = is || (gateway && source);
		if (is || !lost->back)
			continue;
		text = net_foreign_text(lost->foreign, NULL, NULL);
		net_step_add(plan->steps, STEP_FOREIGN_BACK, link->name, text, NULL);
	}
}

/* Can the hop be as it was? Where nothing was lost, it is. */
static bool is_usable(const struct net_hop *hop, void *data)
{
	const struct plan *plan = data;
	const struct net_link *link = net_state_link(plan->state, hop->link);
	bool usable = link && (!strcmp(hop->gateway, "-") || g_str_has_prefix(hop->gateway, "fe80:"));

	for (guint i = 0; link && i < link->addresses->len; i++) {
		struct net_prefix prefix;

		usable |= net_prefix_parse(((const struct net_address *)link->addresses->pdata[i])->text, &prefix) && net_prefix_contains(&prefix, hop->gateway);
	}
	return usable;
}

static bool is_on_host(const struct plan *plan, const char *source)
{
	for (guint i = 0; i < plan->state->links->len; i++) {
		const struct net_link *link = plan->state->links->pdata[i];

		for (guint k = 0; k < link->addresses->len; k++)
			if (is_address(((const struct net_address *)link->addresses->pdata[k])->text, source))
				return true;
	}
	return false;
}

/*
 * Objects before groups before routes. A group or what uses objects comes back when all of it can. Of a route of several hops the kernel keeps those whose
 * link is without an address, for later; but forgets all of them when one's link is made anew: then those that can come back.
 */
void plan_shared_back(struct plan *plan)
{
	for (guint i = plan->lost->len; i-- > 0;) {
		struct lost *lost = plan->lost->pdata[i];
		const struct net_foreign *foreign = lost->foreign;
		guint usable = 0, gone = 0;
		g_autofree char *text = NULL;

		if (!net_foreign_is_shared(foreign))
			continue;
		for (guint k = 0; k < foreign->hops->len; k++) {
			const struct net_hop *hop = foreign->hops->pdata[k];
			const struct net_link *link = net_state_link(plan->state, hop->link);

			usable += is_usable(hop, plan);
			gone += !link || link->made;
		}
		lost->back = usable == foreign->hops->len && (!foreign->source || is_on_host(plan, foreign->source));
		if (!lost->back && (!usable || !gone || foreign->route.object))
			continue;
		text = net_foreign_text(foreign, is_usable, plan);
		net_step_add(plan->steps, STEP_FOREIGN_BACK, lost->link, text, NULL);
	}
}

void plan_mark_lost(struct plan *plan)
{
	for (guint i = 0; i < plan->lost->len; i++) {
		const struct lost *lost = plan->lost->pdata[i];

		if (!lost->back)
			set_string(&lost->step->old, NET_STEP_LOST);
	}
}

/* The kernel drops an IPv4 link's routes with its last address, and any that are from an address with that. */
static void lose_routes_of(struct plan *plan, const struct net_want *was, const struct net_want *will, struct net_link *link)
{
	bool any = false, all = true;

	for (guint i = 0; i < link->addresses->len; i++) {
		const struct net_address *address = link->addresses->pdata[i];
		bool goes = address_goes(was, will, address->text);
		g_autofree char *plain = g_strndup(address->text, strcspn(address->text, "/"));

		if (goes)
			plan_lose_routes(plan, link, address->family, plain);
		any |= goes && address->family == AF_INET;
		all &= goes || address->family != AF_INET;
	}
	if (any && all)
		plan_lose_routes(plan, link, AF_INET, /* source= */ NULL);
}

/* ---- links ---- */

/*
 * Has somebody made the link anew, so that it cannot become ours again? One that others are on goes only when they are in the request: who asks for one
 * network does not lose another.
 */
static bool is_other(const struct plan *plan, const struct net_want *was)
{
	const struct net_link *link = net_state_link(plan->state, was->name), *lower = link ? net_state_index(plan->state, link->lower) : NULL;
	GHashTableIter iter;
	void *name, *value;

	if (!link)
		return false;
	if (!strcmp(was->kind, "vlan"))
		return link->vlan != was->vlan || !lower || strcmp(lower->name, was->lower);
	if (!was->options || !link->options)
		return false;
	g_hash_table_iter_init(&iter, was->users);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		if (strcmp(name, was->name) && !g_hash_table_contains(plan->touched, name))
			return false;
	g_hash_table_iter_init(&iter, was->options);
	while (g_hash_table_iter_next(&iter, &name, &value)) {
		const char *actual = g_hash_table_lookup(link->options, name);

		if (!net_option_live(was->kind, name) && actual && strcmp(actual, value))
			return true;
	}
	return false;
}

/* Would the link have to be made anew? */
static bool is_replaced(const struct plan *plan, const struct net_want *was, const struct net_want *will)
{
	const struct net_want *lower = *was->lower ? plan_want(plan->old, was->lower) : NULL;
	GHashTableIter iter;
	void *name, *value;

	if (!will || strcmp(was->kind, will->kind) || strcmp(was->lower, will->lower) || was->vlan != will->vlan || strcmp(was->mac, will->mac))
		return true;
	if (is_other(plan, was) || (lower && *lower->kind && is_replaced(plan, lower, plan_want(plan->new, was->lower))))
		return true;
	if (strcmp(was->kind, "bond") && strcmp(was->kind, "vxlan"))
		return false;
	for (int pass = 0; pass < 2; pass++) {
		GHashTable *here = pass ? will->options : was->options, *there = pass ? was->options : will->options;

		g_hash_table_iter_init(&iter, here);
		while (g_hash_table_iter_next(&iter, &name, &value)) {
			const char *other = g_hash_table_lookup(there, name);

			if (!net_option_live(was->kind, name) && strcmp(value, other ? other : net_option_standard(was->kind, name)))
				return true;
		}
	}
	return false;
}

/* What is above or in the link and is not ours, "vnet0, vnet1"; NULL: none. g_free */
static char *foreign_users(const struct plan *plan, const struct net_link *link)
{
	g_autoptr(GString) names = g_string_new(NULL);

	for (guint i = 0; i < plan->state->links->len; i++) {
		const struct net_link *other = plan->state->links->pdata[i];
		const struct net_want *want = plan_want(plan->old, other->name);
		bool in = other->master == link->index, above = other->lower == link->index && strcmp(other->kind, "veth");

		if ((in && !(want && !strcmp(want->master, link->name))) || (above && !(want && !strcmp(want->lower, link->name))))
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", other->name);
	}
	return names->len ? g_strdup(names->str) : NULL;
}

/* The link as it is, so that it could be made again: "vlan lower=bond0 id=5 mtu=1500 up=1". g_free */
static char *link_text(const struct plan *plan, const struct net_link *link)
{
	const struct net_link *lower = net_state_index(plan->state, link->lower), *master = net_state_index(plan->state, link->master);
	g_autofree char *options = net_options_text(link->kind, link->options);
	GString *text = g_string_new(link->kind);

	if (!strcmp(link->kind, "vlan") && lower)
		g_string_append_printf(text, " lower=%s id=%d", lower->name, link->vlan);
	if (*link->mac)
		g_string_append_printf(text, " address=%s", link->mac);
	g_string_append_printf(text, " mtu=%u", link->mtu);
	g_string_append(text, options);
	if (master)
		g_string_append_printf(text, " master=%s", master->name);
	if (link->flags & IFF_UP)
		g_string_append(text, " up=1");
	return g_string_free(text, FALSE);
}

static void release_ports(struct plan *plan, const struct net_link *link)
{
	for (guint i = 0; i < plan->state->links->len; i++) {
		struct net_link *port = plan->state->links->pdata[i];

		if (port->master == link->index)
			plan_master(plan, port, NULL);
	}
}

void plan_rest(struct plan *plan, struct net_link *link)
{
	g_autofree char *accept_ra = g_strdup_printf("%d", link->accept_ra);

	if (link->accept_ra >= 0)
		net_step_add(plan->steps, STEP_ACCEPT_RA, link->name, accept_ra, accept_ra);
	plan_up(plan, link, false);
}

static bool plan_removal(struct plan *plan, const struct net_want *was, const struct net_want *will, struct net_link *link, GError **error)
{
	g_autofree char *users = NULL;
	g_autofree char *text = NULL;

	if (strcmp(link->kind, was->kind)) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s': link '%s' is no %s any more, somebody else made it anew", plan_user(was), link->name, was->kind);
		return false;
	}
	if ((users = foreign_users(plan, link))) {
		error_set(error, strcmp(was->kind, "bond") ? ERR_RESOURCE_UNAVAILABLE : ERR_USED_BOND, "%s '%s' is used by %s",
			  strcmp(was->kind, "bond") ? "network" : "bond", strcmp(was->kind, "vlan") ? link->name : plan_user(was), users);
		return false;
	}
	plan_lose_routes(plan, link, AF_UNSPEC, /* source= */ NULL);
	plan_drop_all(plan, link);
	release_ports(plan, link);
	plan_keep_accept_ra(plan, link);
	if (will && !strcmp(will->kind, "ovs"))
		plan_rest(plan, link);
	text = link_text(plan, link);
	net_step_add(plan->steps, STEP_LINK_DELETE, link->name, text, NULL);
	g_ptr_array_remove(plan->state->links, link);
	return true;
}

/* A nic that no network needs any more, or less of it: no master, the usual MTU; what routers tell it is heard as usual (plan_away). */
static void plan_release(struct plan *plan, const struct net_want *was, struct net_link *link)
{
	const struct net_link *master = net_state_index(plan->state, link->master);

	if (master && !strcmp(master->name, was->master))
		plan_master(plan, link, NULL);
	if (link->mtu == was->mtu)
		plan_mtu(plan, link, MTU_DEFAULT);
	plan_up(plan, link, true);             /* a bond lets go of it down */
}

/* Addresses, routes and rules that were ours and are no longer wanted here. */
void plan_deletions(struct plan *plan, const struct net_want *was, const struct net_want *will, struct net_link *link)
{
	for (guint i = 0; i < was->rules->len; i++)
		if (!will || !plan_has(will->rules, was->rules->pdata[i]))
			delete_rule(plan, was->name, was->rules->pdata[i]);
	for (guint i = 0; i < link->routes->len;) {
		bool ours = false, wanted = false;

		for (guint k = 0; k < was->routes->len; k++)
			ours |= plan_is_route(link->routes->pdata[i], was->routes->pdata[k]);
		for (guint k = 0; will && k < will->routes->len; k++)
			wanted |= plan_is_route(link->routes->pdata[i], will->routes->pdata[k]);
		if (ours && !wanted)
			plan_drop_route(plan, link, i);
		else
			i++;
	}
	for (guint i = 0; i < link->peers->len;)
		if (plan_has(was->peers, link->peers->pdata[i]) && !(will && plan_has(will->peers, link->peers->pdata[i])))
			plan_drop_peer(plan, link, i);
		else
			i++;
	lose_routes_of(plan, was, will, link);
	for (guint i = 0; i < link->addresses->len;) {
		if (address_goes(was, will, ((const struct net_address *)link->addresses->pdata[i])->text))
			plan_drop_address(plan, link, i);
		else
			i++;
	}
}

/* A nic or bond can stay when its network goes, but not while machines are attached to it directly. */
static bool check_machines(const struct plan *plan, const struct net_want *was, const struct net_want *will, const struct net_link *link, GError **error)
{
	if (!was->top || (will && will->top))
		return true;
	for (guint i = 0; i < plan->state->links->len; i++) {
		const struct net_link *other = plan->state->links->pdata[i];

		if (other->lower != link->index || strcmp(other->kind, "macvtap"))
			continue;
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "network '%s' is used by %s on '%s'", was->untagged ? was->untagged : plan_user(was), other->name,
			  link->name);
		return false;
	}
	return true;
}

bool plan_away(struct plan *plan, GError **error)
{
	for (guint i = plan->old->wants->len; i-- > 0;) {
		const struct net_want *was = plan->old->wants->pdata[i], *will = plan_want(plan->new, was->name);
		struct net_link *link = net_state_link(plan->state, was->name);
		bool replaced;

		if (!plan_touches(plan, was) && !(will && plan_touches(plan, will)))
			continue;
		if (!strcmp(was->kind, "ovs") || !strcmp(was->kind, "ovsbridge")) {
			if (*(was->kind + 3) ? !plan_ovs_bridge_away(plan, was, will, error) : !plan_ovs_port_away(plan, was, will, link, error))
				return false;
			continue;
		}
		if (!link)
			continue;
		if (!check_machines(plan, was, will, link, error))
			return false;
		replaced = *was->kind ? is_replaced(plan, was, will) : !will;
		if (replaced && *was->kind)
			lose_shared(plan, link);
		plan_deletions(plan, was, will, link);
		if (was->autoconf && !(will && will->top))
			plan_drop_learned(plan, link);
		if (was->top && !(will && will->top) && !(replaced && *was->kind))
			plan_accept_ra(plan, link, ACCEPT_RA_NEW);
		if (replaced && !plan_qos(plan, was, NULL, link->name, error))
			return false;
		if (!replaced)
			continue;
		if (!*was->kind)
			plan_release(plan, was, link);
		else if (!plan_removal(plan, was, will, link, error))
			return false;
	}
	return true;
}
