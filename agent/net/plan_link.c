/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a plan: single changes of a link. Each is a step, and the copy of the state changes as the step would change the kernel's. */
#include <linux/rtnetlink.h>
#include <string.h>
#include "agent/net/plan.h"

const struct net_want *plan_want(const struct net_topology *topology, const char *name)
{
	return g_hash_table_lookup(topology->index, name);
}

bool plan_touches(const struct plan *plan, const struct net_want *want)
{
	GHashTableIter iter;
	void *user;

	g_hash_table_iter_init(&iter, want->users);
	while (g_hash_table_iter_next(&iter, &user, NULL))
		if (g_hash_table_contains(plan->touched, user))
			return true;
	return false;
}

const char *plan_user(const struct net_want *want)
{
	const char *first = NULL;
	GHashTableIter iter;
	void *user;

	g_hash_table_iter_init(&iter, want->users);
	while (g_hash_table_iter_next(&iter, &user, NULL))
		if (!first || strcmp(user, first) < 0)
			first = user;
	return first;
}

bool plan_has(const GPtrArray *texts, const char *text)
{
	for (guint i = 0; i < texts->len; i++)
		if (!strcmp(texts->pdata[i], text))
			return true;
	return false;
}

char *plan_route_text(const struct net_route *route)
{
	return g_strdup_printf("%s via %s metric %u proto %u table %u", route->destination, route->gateway, route->metric, route->protocol, route->table);
}

/* The kernel gives an IPv6 route a metric when it is told none. */
bool plan_is_route(const struct net_route *route, const char *text)
{
	g_autofree char *mine = plan_route_text(route);
	g_autofree char *plain = g_strdup_printf("%s via %s metric 0 proto %u table %u", route->destination, route->gateway, route->protocol, route->table);

	return !strcmp(mine, text) || (route->family == AF_INET6 && !strcmp(plain, text));
}

struct net_route *plan_find_route(const struct net_link *link, const char *text)
{
	for (guint i = 0; i < link->routes->len; i++)
		if (plan_is_route(link->routes->pdata[i], text))
			return link->routes->pdata[i];
	return NULL;
}

void plan_set(struct plan *plan, const struct net_link *link, const char *kind, const char *name, const char *value, const char *old)
{
	g_autofree char *text = g_strdup_printf("%s %s=%s", kind, name, value);
	g_autofree char *before = g_strdup_printf("%s %s=%s", kind, name, old);

	net_step_add(plan->steps, STEP_LINK_SET, link->name, text, before);
}

void plan_up(struct plan *plan, struct net_link *link, bool up)
{
	if (!(link->flags & IFF_UP) == !up)
		return;
	plan_set(plan, link, "link", "up", up ? "1" : "0", up ? "0" : "1");
	link->flags ^= IFF_UP;
}

bool plan_has_ipv6(const struct plan *plan)
{
	for (guint i = 0; i < plan->state->links->len; i++)
		if (((const struct net_link *)plan->state->links->pdata[i])->accept_ra >= 0)
			return true;
	return false;
}

/* A bond's slaves have its MTU. A link has IPv6 while it is large enough, and then as a new one has it. */
static void note_mtu(struct plan *plan, struct net_link *link, unsigned mtu)
{
	if (mtu < NET_IPV6_MTU_MIN)
		link->accept_ra = -1;
	else if (link->mtu < NET_IPV6_MTU_MIN && plan_has_ipv6(plan))
		link->accept_ra = ACCEPT_RA_NEW;
	link->mtu = mtu;
	link->auto_mtu = false;
	for (guint i = 0; !strcmp(link->kind, "bond") && i < plan->state->links->len; i++) {
		struct net_link *slave = plan->state->links->pdata[i];

		if (slave->master == link->index)
			slave->mtu = mtu;
	}
}

void plan_accept_ra(struct plan *plan, struct net_link *link, int wanted)
{
	g_autofree char *text = g_strdup_printf("%d", wanted);
	g_autofree char *old = g_strdup_printf("%d", link->accept_ra);

	if (link->accept_ra == wanted || (link->accept_ra < 0 && wanted != ACCEPT_RA_AUTOCONF))
		return;
	net_step_add(plan->steps, STEP_ACCEPT_RA, link->name, text, old);
	link->accept_ra = wanted;
}

void plan_keep_accept_ra(struct plan *plan, const struct net_link *link)
{
	g_autofree char *text = g_strdup_printf("%d", link->accept_ra);

	if (link->accept_ra >= 0 && link->accept_ra != ACCEPT_RA_NEW)
		net_step_add(plan->steps, STEP_ACCEPT_RA, link->name, text, text);
}

void plan_mtu(struct plan *plan, struct net_link *link, unsigned mtu)
{
	g_autofree char *text = g_strdup_printf("%u", mtu);
	g_autofree char *old = g_strdup_printf("%u", link->mtu);

	if (link->mtu == mtu)
		return;
	if (mtu < NET_IPV6_MTU_MIN)
		plan_keep_accept_ra(plan, link);
	plan_set(plan, link, "link", "mtu", text, old);
	note_mtu(plan, link, mtu);
}

void plan_note_port(struct plan *plan, struct net_link *bridge)
{
	unsigned least = 0;

	for (guint i = 0; bridge->auto_mtu && i < plan->state->links->len; i++) {
		const struct net_link *port = plan->state->links->pdata[i];

		if (port->master == bridge->index && (!least || port->mtu < least))
			least = port->mtu;
	}
	if (least)
		bridge->mtu = least;
}

static bool is_last_in(const struct plan *plan, const struct net_link *link, const struct net_link *master)
{
	for (guint i = 0; i < plan->state->links->len; i++) {
		const struct net_link *other = plan->state->links->pdata[i];

		if (other != link && other->master == master->index)
			return false;
	}
	return true;
}

/* Changes nothing. Undone, when the bond has the address of whichever slave came back first, it gives back the one that it had. */
static void keep_mac(struct plan *plan, const struct net_link *bond)
{
	if (*bond->mac)
		plan_set(plan, bond, "link", "address", bond->mac, bond->mac);
}

void plan_master(struct plan *plan, struct net_link *link, struct net_link *master)
{
	const struct net_link *old = net_state_index(plan->state, link->master);
	int index = master ? master->index : 0;

	if (link->master == index)
		return;
	if (old && !strcmp(old->kind, "bond") && is_last_in(plan, link, old))
		keep_mac(plan, old);
	plan_set(plan, link, "link", "master", master ? master->name : "", old ? old->name : "");
	link->master = index;
	if (old && !strcmp(old->kind, "bond"))
		link->flags &= ~(unsigned)IFF_UP;
	if (master && !strcmp(master->kind, "bond"))
		link->mtu = master->mtu;
	else if (master)
		plan_note_port(plan, master);
}

/* The same route, as the other list has it. */
static void forget_foreign(struct net_link *link, const char *text)
{
	for (guint i = 0; i < link->foreign->len; i++) {
		g_autofree char *other = plan_route_text(&((const struct net_foreign *)link->foreign->pdata[i])->route);

		if (strcmp(other, text))
			continue;
		g_ptr_array_remove_index(link->foreign, i);
		return;
	}
}

void plan_drop_route(struct plan *plan, struct net_link *link, guint i)
{
	g_autofree char *text = plan_route_text(link->routes->pdata[i]);

	net_step_add(plan->steps, STEP_ROUTE_DELETE, link->name, text, NULL);
	forget_foreign(link, text);
	g_ptr_array_remove_index(link->routes, i);
}

/* As it is in the kernel, so that undoing makes the same again. */
void plan_drop_address(struct plan *plan, struct net_link *link, guint i)
{
	const struct net_address *address = link->addresses->pdata[i];
	g_autofree char *text = address->broadcast[0] ? g_strdup_printf("%s brd %s", address->text, address->broadcast) : g_strdup(address->text);

	net_step_add(plan->steps, STEP_ADDRESS_DELETE, link->name, text, NULL);
	g_ptr_array_remove_index(link->addresses, i);
}

void plan_drop_learned(struct plan *plan, struct net_link *link)
{
	for (guint i = 0; i < link->learned->len; i++) {
		const struct net_foreign *learned = link->learned->pdata[i];
		g_autofree char *text = net_foreign_text(learned, NULL, NULL);
		g_autofree char *route = plan_route_text(&learned->route);
		struct net_route *same = plan_find_route(link, route);

		net_step_add(plan->steps, STEP_LEARNED_AWAY, link->name, text, NULL);
		if (same)
			g_ptr_array_remove(link->routes, same);
	}
	g_ptr_array_set_size(link->learned, 0);
	for (guint i = link->addresses->len; i-- > 0;)
		if (((const struct net_address *)link->addresses->pdata[i])->learned)
			g_ptr_array_remove_index(link->addresses, i);
}

void plan_drop_peer(struct plan *plan, struct net_link *link, guint i)
{
	net_step_add(plan->steps, STEP_PEER_DELETE, link->name, link->peers->pdata[i], NULL);
	g_ptr_array_remove_index(link->peers, i);
}

void plan_drop_all(struct plan *plan, struct net_link *link)
{
	while (link->peers->len)
		plan_drop_peer(plan, link, 0);
	plan_drop_learned(plan, link);
	for (guint i = 0; i < link->routes->len;)
		if (((const struct net_route *)link->routes->pdata[i])->object)
			i++;
		else
			plan_drop_route(plan, link, i);
	plan_lose_routes(plan, link, AF_UNSPEC, /* source= */ NULL);
	for (guint i = 0; i < link->addresses->len;)
		if (((const struct net_address *)link->addresses->pdata[i])->link_local)
			i++;
		else
			plan_drop_address(plan, link, i);
}

bool plan_qos(struct plan *plan, const struct net_want *was, const struct net_want *will, const char *link, GError **error)
{
	const char *before = was ? was->qos : "", *after = will ? will->qos : "";
	g_autofree char *kind = NULL;

	if (!*before && !*after)
		return true;
	switch (net_qos_look(link, after, &kind)) {
	case NET_QOS_SAME:
		return true;
	case NET_QOS_FOREIGN:
		if (!*after)
			return true;            /* ours is gone already */
		error_set(error, ERR_USED_NIC, "network '%s': hostQos: '%s' has a qdisc of somebody else, %s", plan_user(will), link, kind);
		return false;
	case NET_QOS_OTHER:
		break;
	}
	net_step_add(plan->steps, STEP_QOS, link, after, before);
	return true;
}
