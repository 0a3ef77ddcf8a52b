/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the kernel's state and a request to the steps between them.
 *
 * Planning touches nothing: it reads a copy of the state and changes that copy as the steps would, so that later wishes of the same request see what
 * earlier ones will have done (a nic freed by one network can be taken by the next). Removals come first. Every step carries what it needs to be
 * undone. A wish that is already true gives no steps.
 *
 * A network is a bridge of the same name, here without ports or with one nic. Ours are only the networks of the running configuration: a link
 * that has a network's name and is none of ours is left alone and the wish refused; addresses that we did not put on a bridge stay. A nic's own
 * addresses are moved to the bridge when the network has the same ones; a nic with others is in use.
 */
#include <arpa/inet.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define MTU_DEFAULT 1500
#define ROUTE_STATIC 4                    /* RTPROT_STATIC */

static const char *const kind_names[] = { [STEP_BRIDGE_ADD] = "bridge add", [STEP_LINK_DELETE] = "link delete", [STEP_UP] = "up", [STEP_DOWN] = "down",
	[STEP_MASTER] = "master", [STEP_MTU] = "mtu", [STEP_STP] = "stp", [STEP_ADDRESS_ADD] = "address add", [STEP_ADDRESS_DELETE] = "address delete",
	[STEP_ROUTE_ADD] = "route add", [STEP_ROUTE_DELETE] = "route delete", NULL };

void net_step_free(void *data)
{
	struct net_step *step = data;

	g_free(step->link);
	g_free(step->value);
	g_free(step->old);
	g_free(step);
}

static void add(GPtrArray *steps, enum net_step_kind kind, const char *link, const char *value, const char *old)
{
	struct net_step *step = g_new0(struct net_step, 1);

	step->kind = kind;
	step->link = g_strdup(link);
	step->value = g_strdup(value ? value : "");
	step->old = g_strdup(old ? old : "");
	g_ptr_array_add(steps, step);
}

static void add_number(GPtrArray *steps, enum net_step_kind kind, const char *link, unsigned value, unsigned old)
{
	g_autofree char *text = g_strdup_printf("%u", value);
	g_autofree char *before = g_strdup_printf("%u", old);

	add(steps, kind, link, text, before);
}

json_t *net_steps_to_json(const GPtrArray *steps)
{
	json_t *array = json_array();

	for (guint i = 0; i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];

		json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s}", "step", kind_names[step->kind], "link", step->link, "value", step->value,
						       "old", step->old));
	}
	return array;
}

GPtrArray *net_steps_from_json(const json_t *json)
{
	GPtrArray *steps = g_ptr_array_new_with_free_func(net_step_free);

	for (size_t i = 0; i < json_array_size(json); i++) {
		const char *kind, *link, *value, *old;
		int number;

		if (json_unpack(json_array_get(json, i), "{s:s, s:s, s:s, s:s}", "step", &kind, "link", &link, "value", &value, "old", &old) == 0 &&
		    (number = enum_value(kind_names, kind)) >= 0)
			add(steps, (enum net_step_kind)number, link, value, old);
	}
	return steps;
}

/* ---- small parts ---- */

static bool given(const char *text)
{
	return text && text[0];
}

static bool has_address(const struct net_link *link, const char *text)
{
	struct net_prefix a, b;

	for (guint i = 0; i < link->addresses->len; i++) {
		const struct net_address *address = link->addresses->pdata[i];

		if (net_prefix_parse(address->text, &a) && net_prefix_parse(text, &b) && a.family == b.family && a.length == b.length &&
		    !memcmp(&a.address, &b.address, a.family == AF_INET ? 4 : 16))
			return true;
	}
	return false;
}

/* In the kernel's spelling, so that it can be compared. g_free; NULL: none */
static char *normal(const char *text)
{
	struct net_prefix prefix;

	return text && net_prefix_parse(text, &prefix) ? net_prefix_text(&prefix) : NULL;
}

static void set_up(GPtrArray *steps, struct net_link *link)
{
	if (link->flags & IFF_UP)
		return;
	add(steps, STEP_UP, link->name, NULL, NULL);
	link->flags |= IFF_UP;
}

static void set_mtu(GPtrArray *steps, struct net_link *link, unsigned mtu)
{
	if (link->mtu == mtu)
		return;
	add_number(steps, STEP_MTU, link->name, mtu, link->mtu);
	link->mtu = mtu;
}

static void set_stp(GPtrArray *steps, struct net_link *bridge, bool stp)
{
	if (bridge->stp == stp)
		return;
	add(steps, STEP_STP, bridge->name, stp ? "on" : "off", bridge->stp ? "on" : "off");
	bridge->stp = stp;
}

static void set_master(GPtrArray *steps, const struct net_state *state, struct net_link *link, const struct net_link *master)
{
	const struct net_link *old = net_state_index(state, link->master);
	int index = master ? master->index : 0;

	if (link->master == index)
		return;
	add(steps, STEP_MASTER, link->name, master ? master->name : "", old ? old->name : "");
	link->master = index;
}

static char *route_text(const struct net_route *route)
{
	return g_strdup_printf("%s via %s metric %u proto %u", route->destination, route->gateway, route->metric, route->protocol);
}

static void delete_routes(GPtrArray *steps, struct net_link *link)
{
	for (guint i = 0; i < link->routes->len; i++) {
		g_autofree char *text = route_text(link->routes->pdata[i]);

		add(steps, STEP_ROUTE_DELETE, link->name, text, NULL);
	}
	g_ptr_array_set_size(link->routes, 0);
}

/* As it is in the kernel, so that undoing makes the same again. */
static void delete_address(GPtrArray *steps, const struct net_link *link, const struct net_address *address)
{
	g_autofree char *text = address->broadcast[0] ? g_strdup_printf("%s brd %s", address->text, address->broadcast) : g_strdup(address->text);

	add(steps, STEP_ADDRESS_DELETE, link->name, text, NULL);
}

static void delete_addresses(GPtrArray *steps, struct net_link *link)
{
	for (guint i = 0; i < link->addresses->len; i++) {
		const struct net_address *address = link->addresses->pdata[i];

		if (!address->link_local)
			delete_address(steps, link, address);
	}
	g_ptr_array_set_size(link->addresses, 0);
}

/* ---- removal ---- */

/* Ports of the bridge that the network does not own, "vnet0, vnet1"; NULL: none. g_free */
static char *foreign_ports(const struct net_state *state, const struct net_link *bridge, const char *nic)
{
	g_autoptr(GString) names = g_string_new(NULL);

	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		if (link->master == bridge->index && g_strcmp0(link->name, nic))
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", link->name);
	}
	return names->len ? g_strdup(names->str) : NULL;
}

static bool plan_removal(GPtrArray *steps, struct net_state *state, const char *name, const struct network_config *before, GError **error)
{
	struct net_link *bridge = net_state_link(state, name), *nic;
	g_autofree char *ports = NULL;

	if (!before) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s' does not exist", name);
		return false;
	}
	if (!bridge)
		return true;
	if (strcmp(bridge->kind, "bridge")) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s': the link of this name is no bridge", name);
		return false;
	}
	if ((ports = foreign_ports(state, bridge, before->nic))) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "network '%s' is used by %s", name, ports);
		return false;
	}
	delete_routes(steps, bridge);
	delete_addresses(steps, bridge);
	if (given(before->nic) && (nic = net_state_link(state, before->nic)) && nic->master == bridge->index)
		set_master(steps, state, nic, NULL);
	if (bridge->flags & IFF_UP)
		add(steps, STEP_DOWN, name, NULL, NULL);
	set_stp(steps, bridge, false);
	set_mtu(steps, bridge, MTU_DEFAULT);
	add(steps, STEP_LINK_DELETE, name, bridge->mac, NULL);
	g_ptr_array_remove(state->links, bridge);
	return true;
}

/* ---- addition and change ---- */

static bool check_nic(const struct net_state *state, const char *name, const struct network_config *config, const struct net_link *bridge,
		      struct net_link **ret_nic, GError **error)
{
	struct net_link *nic = net_state_link(state, config->nic);
	const struct net_link *master;

	if (!nic || !net_link_is_nic(nic)) {
		error_set(error, ERR_BAD_NIC, "network '%s': nic '%s' %s", name, config->nic, nic ? "is no network interface card" : "does not exist");
		return false;
	}
	master = net_state_index(state, nic->master);
	if (master && master != bridge) {
		error_set(error, ERR_USED_NIC, "network '%s': nic '%s' is a port of '%s'", name, config->nic, master->name);
		return false;
	}
	if (nic->max_mtu && (unsigned)config->mtu > nic->max_mtu) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': mtu %d is above the %u of nic '%s'", name, config->mtu, nic->max_mtu, config->nic);
		return false;
	}
	*ret_nic = nic;
	return true;
}

/* The nic's addresses must be the network's. */
static bool check_nic_addresses(const char *name, const struct net_link *nic, const char *const *wanted, GError **error)
{
	for (guint i = 0; i < nic->addresses->len; i++) {
		const struct net_address *address = nic->addresses->pdata[i];

		if (address->link_local || g_strv_contains(wanted, address->text))
			continue;
		error_set(error, ERR_USED_NIC, "network '%s': nic '%s' has the address %s, which the network does not take over", name, nic->name,
			  address->text);
		return false;
	}
	return true;
}

static bool check_free_address(const struct net_state *state, const char *name, const struct net_link *bridge, const struct net_link *nic,
			       const char *address, GError **error)
{
	for (guint i = 0; address && i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		if (link == bridge || link == nic || !has_address(link, address))
			continue;
		error_set(error, ERR_BAD_ADDR, "network '%s': address %s is already on '%s'", name, address, link->name);
		return false;
	}
	return true;
}

static bool check_default_route(const struct net_state *state, const char *name, const struct net_link *bridge, const struct net_link *nic, int family,
				const char *gateway, GError **error)
{
	for (guint i = 0; given(gateway) && i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		for (guint j = 0; link != bridge && link != nic && j < link->routes->len; j++) {
			const struct net_route *route = link->routes->pdata[j];

			if (route->family != family || strcmp(route->destination, "default"))
				continue;
			error_set(error, ERR_BAD_PARAMS, "network '%s': there is a default route already, via %s on '%s'", name, route->gateway, link->name);
			return false;
		}
	}
	return true;
}

/* Routes of the nic that go on over the bridge (texts), default routes excepted: those are the network's own matter. */
static GPtrArray *kept_routes(const struct net_link *nic)
{
	GPtrArray *kept = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < nic->routes->len; i++) {
		const struct net_route *route = nic->routes->pdata[i];

		if (strcmp(route->destination, "default"))
			g_ptr_array_add(kept, route_text(route));
	}
	return kept;
}

static void plan_address(GPtrArray *steps, struct net_link *bridge, const char *wanted, const char *before)
{
	struct net_prefix prefix;
	g_autofree char *text = NULL;

	for (guint i = 0; before && g_strcmp0(before, wanted) && i < bridge->addresses->len; i++) {
		const struct net_address *address = bridge->addresses->pdata[i];

		if (strcmp(address->text, before))
			continue;
		delete_address(steps, bridge, address);
		g_ptr_array_remove_index(bridge->addresses, i--);
	}
	if (!wanted || has_address(bridge, wanted))
		return;
	net_link_add_address(bridge, wanted);
	if (net_prefix_parse(wanted, &prefix) && prefix.family == AF_INET && prefix.length < 31) {
		prefix.address.v4.s_addr |= htonl(0xffffffffu >> prefix.length);
		g_autofree char *last = net_prefix_text(&prefix);

		text = g_strdup_printf("%s brd %.*s", wanted, (int)strcspn(last, "/"), last);
	}
	add(steps, STEP_ADDRESS_ADD, bridge->name, text ? text : wanted, NULL);
}

static void delete_default_route(GPtrArray *steps, struct net_link *bridge, int family, const char *gateway)
{
	for (guint i = 0; i < bridge->routes->len; i++) {
		const struct net_route *route = bridge->routes->pdata[i];
		g_autofree char *text = route_text(route);

		if (route->family != family || strcmp(route->destination, "default") || !g_strcmp0(route->gateway, gateway))
			continue;
		add(steps, STEP_ROUTE_DELETE, bridge->name, text, NULL);
		g_ptr_array_remove_index(bridge->routes, i--);
	}
}

static void plan_default_route(GPtrArray *steps, struct net_link *bridge, int family, const char *gateway)
{
	struct net_route *route;
	g_autofree char *text = NULL;

	for (guint i = 0; i < bridge->routes->len; i++) {
		route = bridge->routes->pdata[i];
		if (route->family == family && !strcmp(route->destination, "default") && !strcmp(route->gateway, gateway))
			return;
	}
	route = g_new0(struct net_route, 1);
	route->family = family;
	route->protocol = ROUTE_STATIC;
	route->destination = g_strdup("default");
	route->gateway = g_strdup(gateway);
	g_ptr_array_add(bridge->routes, route);
	text = route_text(route);
	add(steps, STEP_ROUTE_ADD, bridge->name, text, NULL);
}

/* The nic is no more a port of the network. */
static void release_nic(GPtrArray *steps, struct net_state *state, const struct net_link *bridge, const char *name)
{
	struct net_link *nic = given(name) ? net_state_link(state, name) : NULL;

	if (nic && nic->master == bridge->index)
		set_master(steps, state, nic, NULL);
}

/* Locally administered, not multicast. An address of its own keeps a bridge's MAC when ports come and go. */
static char *random_mac(void)
{
	return g_strdup_printf("02:%02x:%02x:%02x:%02x:%02x", g_random_int_range(0, 256), g_random_int_range(0, 256), g_random_int_range(0, 256),
			       g_random_int_range(0, 256), g_random_int_range(0, 256));
}

static struct net_link *plan_bridge(GPtrArray *steps, struct net_state *state, const char *name, const struct net_link *nic)
{
	g_autofree char *mac = nic ? g_strdup(nic->mac) : random_mac();
	struct net_link *bridge;
	int index = 0;

	for (guint i = 0; i < state->links->len; i++)
		index = MAX(index, ((struct net_link *)state->links->pdata[i])->index);
	add(steps, STEP_BRIDGE_ADD, name, mac, NULL);
	bridge = net_state_add(state, name, "bridge");
	bridge->index = index + 1;
	return bridge;
}

static bool plan_wish(GPtrArray *steps, struct net_state *state, const char *name, const struct network_config *before,
		      const struct network_config *config, GError **error)
{
	struct net_link *bridge = net_state_link(state, name), *nic = NULL;
	g_autofree char *plain4 = net_config_ipv4(config);
	g_autofree char *ipv4 = normal(plain4);
	g_autofree char *ipv6 = normal(config->ipv6addr);
	g_autofree char *plain_before4 = before ? net_config_ipv4(before) : NULL;
	g_autofree char *before4 = normal(plain_before4);
	g_autofree char *before6 = normal(before ? before->ipv6addr : NULL);
	const char *wanted[] = { ipv4 ? ipv4 : ipv6, ipv4 ? ipv6 : NULL, NULL };
	const char *gateway4 = config->default_route && given(config->gateway) ? config->gateway : NULL;
	const char *gateway6 = config->default_route && given(config->ipv6gateway) ? config->ipv6gateway : NULL;
	g_autoptr(GPtrArray) kept = NULL;
	bool joins;

	if (bridge && (strcmp(bridge->kind, "bridge") || !before)) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s': there is a link of this name that is not ours", name);
		return false;
	}
	if (given(config->nic) && !check_nic(state, name, config, bridge, &nic, error))
		return false;
	joins = nic && (!bridge || nic->master != bridge->index);
	if ((joins && !check_nic_addresses(name, nic, wanted, error)) || !check_free_address(state, name, bridge, nic, ipv4, error) ||
	    !check_free_address(state, name, bridge, nic, ipv6, error) || !check_default_route(state, name, bridge, nic, AF_INET, gateway4, error) ||
	    !check_default_route(state, name, bridge, nic, AF_INET6, gateway6, error))
		return false;

	if (!bridge)
		bridge = plan_bridge(steps, state, name, nic);
	else if (before && g_strcmp0(before->nic, config->nic))
		release_nic(steps, state, bridge, before->nic);
	set_stp(steps, bridge, config->stp);
	if (nic)
		set_mtu(steps, nic, (unsigned)config->mtu);
	if (joins) {
		kept = kept_routes(nic);
		delete_routes(steps, nic);
		delete_addresses(steps, nic);
		set_master(steps, state, nic, bridge);
	}
	if (nic)
		set_up(steps, nic);
	set_mtu(steps, bridge, (unsigned)config->mtu);
	delete_default_route(steps, bridge, AF_INET, before && before->default_route ? gateway4 : NULL);
	delete_default_route(steps, bridge, AF_INET6, before && before->default_route ? gateway6 : NULL);
	plan_address(steps, bridge, ipv4, before4);
	plan_address(steps, bridge, ipv6, before6);
	set_up(steps, bridge);
	for (guint i = 0; kept && i < kept->len; i++)
		add(steps, STEP_ROUTE_ADD, name, kept->pdata[i], NULL);
	if (gateway4)
		plan_default_route(steps, bridge, AF_INET, gateway4);
	if (gateway6)
		plan_default_route(steps, bridge, AF_INET6, gateway6);
	return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *net_plan(struct net_state *state, GHashTable *before, GHashTable *wishes, GError **error)
{
	g_autoptr(GPtrArray) steps = g_ptr_array_new_with_free_func(net_step_free);
	guint n;
	g_autofree gpointer *names = g_hash_table_get_keys_as_array(wishes, &n);

	qsort(names, n, sizeof(*names), compare_names);      /* the same request gives the same steps */
	for (int removals = 1; removals >= 0; removals--)
		for (guint i = 0; i < n; i++) {
			const struct network_config *wish = g_hash_table_lookup(wishes, names[i]), *old = g_hash_table_lookup(before, names[i]);

			if (wish->remove != (removals == 1))
				continue;
			if (!(removals ? plan_removal(steps, state, names[i], old, error) : plan_wish(steps, state, names[i], old, wish, error)))
				return NULL;
		}
	return g_steal_pointer(&steps);
}

static bool verify_one(const struct net_state *state, const char *name, const struct network_config *wish, GError **error)
{
	const struct net_link *bridge = net_state_link(state, name), *nic = given(wish->nic) ? net_state_link(state, wish->nic) : NULL;
	g_autofree char *ipv4 = net_config_ipv4(wish);
	const char *missing = NULL;

	if (wish->remove)
		missing = bridge ? "its removal" : NULL;
	else if (!bridge)
		missing = "the bridge";
	else
		missing = !(bridge->flags & IFF_UP) ? "the state up" : bridge->mtu != (unsigned)wish->mtu ? "the mtu" : bridge->stp != wish->stp ? "stp" :
			  ipv4 && !has_address(bridge, ipv4) ? "ipaddr" : given(wish->ipv6addr) && !has_address(bridge, wish->ipv6addr) ? "ipv6addr" :
			  given(wish->nic) && (!nic || nic->master != bridge->index) ? "nic" : NULL;
	if (!missing)
		return true;
	error_set(error, ERR_FAILED_IFUP, "network '%s': %s did not take effect", name, missing);
	return false;
}

bool net_verify(const struct net_state *state, GHashTable *wishes, GError **error)
{
	GHashTableIter iter;
	void *name, *wish;

	g_hash_table_iter_init(&iter, wishes);
	while (g_hash_table_iter_next(&iter, &name, &wish))
		if (!verify_one(state, name, wish, error))
			return false;
	return true;
}
