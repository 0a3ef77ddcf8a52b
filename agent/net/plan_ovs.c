/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a plan: bridges of Open vSwitch and their ports. A bridge is one step (ovs.c says of what), and the links of its ports come and go with it.
 *
 * What goes goes first, of all bridges, then what is new is made: a port or nic may move from one to another. What is wanted of a bridge lacks the hardware
 * addresses of its ports: a port keeps the one it has, a new one has that of the nic, so that a DHCP server knows the network again.
 */
#include <string.h>
#include "agent/net/plan.h"

static bool read_ovs(struct plan *plan, GError **error)
{
	return plan->state->ovs || (plan->state->ovs = net_ovs_read(error));
}

static bool is_ours(const json_t *object)
{
	return json_is_true(json_object_get(object, "ours"));
}

static const char *text_of(const json_t *port, const char *member)
{
	const char *text = json_string_value(json_object_get(port, member));

	return text ? text : "";
}

/* The ports of the bridge that are ours, as a step has them. New reference; NULL: no bridge of ours */
static json_t *ours_of(const json_t *bridge)
{
	json_t *ports = json_object(), *port;
	const char *name;

	if (!is_ours(bridge)) {
		json_decref(ports);
		return NULL;
	}
	json_object_foreach(json_object_get(bridge, "ports"), name, port) {
		json_t *copy = is_ours(port) ? json_copy(port) : NULL;

		if (!copy)
			continue;
		json_object_del(copy, "ours");
		json_object_del(copy, "active");
		json_object_set_new(ports, name, copy);
	}
	return ports;
}

static char *document(const json_t *ports)
{
	return ports ? json_dumps(ports, JSON_COMPACT | JSON_SORT_KEYS) : g_strdup("");
}

static bool has_interface(const json_t *port, const char *name)
{
	g_auto(GStrv) names = g_strsplit(text_of(port, "interfaces"), " ", -1);

	return g_strv_contains((const char *const *)names, name);
}

/* The port that has this interface; NULL: none */
static const json_t *port_with(const json_t *ports, const char *name)
{
	const char *port_name;
	json_t *port;

	json_object_foreach((json_t *)ports, port_name, port)
		if (has_interface(port, name))
			return port;
	return NULL;
}

/* ---- the step, and what it does to the links ---- */

static void release(struct plan *plan, const json_t *port)
{
	g_auto(GStrv) names = g_strsplit(text_of(port, "interfaces"), " ", -1);

	for (size_t i = 0; names[i]; i++) {
		struct net_link *link = net_state_link(plan->state, names[i]);
		const struct net_link *master = link ? net_state_index(plan->state, link->master) : NULL;

		if (link && !strcmp(text_of(port, "type"), "internal"))
			g_ptr_array_remove(plan->state->links, link);
		else if (master && !strcmp(master->kind, "openvswitch"))
			link->master = 0;
	}
}

static void add_link(struct plan *plan, const char *name, const json_t *port)
{
	struct net_link *link;
	int index = 0;

	for (guint i = 0; i < plan->state->links->len; i++)
		index = MAX(index, ((const struct net_link *)plan->state->links->pdata[i])->index);
	link = net_state_add(plan->state, name, "openvswitch");
	link->index = index + 1;
	link->mtu = (uint32_t)g_ascii_strtoull(text_of(port, "mtu_request"), NULL, 10);
	link->made = true;
	link->accept_ra = plan_has_ipv6(plan) ? 1 : -1;
	g_free(link->mac);
	link->mac = g_strdup(text_of(port, "mac"));
}

/* Is there all that the bridge needs? ovs-vswitchd may have to make it still. */
static bool is_made(const struct plan *plan, const json_t *wanted)
{
	const char *name;
	json_t *port;

	json_object_foreach((json_t *)wanted, name, port)
		if (!strcmp(text_of(port, "type"), "internal") && !net_state_link(plan->state, name))
			return false;
	return true;
}

/* From what the bridge is to what is wanted of it (NULL: no bridge). */
static void set_bridge(struct plan *plan, const char *name, const json_t *wanted)
{
	json_t *old = ours_of(json_object_get(plan->state->ovs, name)), *port, *bridge;
	g_autofree char *before = document(old);
	g_autofree char *after = document(wanted);
	const char *port_name;

	if (strcmp(before, after) || !is_made(plan, wanted)) {
		net_step_add(plan->steps, STEP_OVS, name, after, before);
		json_object_foreach(old, port_name, port) {
			if (!json_object_get(wanted, port_name))
				release(plan, port);
		}
		json_object_foreach((json_t *)wanted, port_name, port) {
			if (!strcmp(text_of(port, "type"), "internal") && !net_state_link(plan->state, port_name))
				add_link(plan, port_name, port);
		}
		bridge = wanted ? json_pack("{s:b, s:o}", "ours", 1, "ports", json_deep_copy(wanted)) : NULL;
		json_object_foreach(json_object_get(bridge, "ports"), port_name, port)
			json_object_set_new(port, "ours", json_true());
		json_object_update_missing(json_object_get(bridge, "ports"), json_object_get(json_object_get(plan->state->ovs, name), "ports"));
		json_object_foreach(old, port_name, port) {
			if (!json_object_get(wanted, port_name))
				json_object_del(json_object_get(bridge, "ports"), port_name);
		}
		if (bridge)
			json_object_set_new(plan->state->ovs, name, bridge);
		else
			json_object_del(plan->state->ovs, name);
	}
	json_decref(old);
}

/* ---- what goes ---- */

static bool check_unused(const struct net_want *was, const char *user, GError **error)
{
	if (user)
		error_set(error, was->bond ? ERR_USED_BOND : ERR_RESOURCE_UNAVAILABLE, "%s '%s' is used by %s", was->bond ? "bond" : "network",
			  was->bond ? was->bond : plan_user(was), user);
	return !user;
}

bool plan_ovs_port_away(struct plan *plan, const struct net_want *was, const struct net_want *will, struct net_link *link, GError **error)
{
	bool stays = will && !strcmp(will->kind, "ovs") && !strcmp(will->ovs, was->ovs);
	g_autofree char *tag = g_strdup_printf("%d", was->vlan);

	if (!read_ovs(plan, error))
		return false;
	if ((!stays || will->vlan != was->vlan) && !check_unused(was, net_ovs_user(json_object_get(plan->state->ovs, was->ovs), tag), error))
		return false;
	if (!link)
		return true;
	plan_deletions(plan, was, stays ? will : NULL, link);
	if (stays)
		return true;
	plan_drop_all(plan, link);
	plan_rest(plan, link);
	return true;
}

bool plan_ovs_bridge_away(struct plan *plan, const struct net_want *was, const struct net_want *will, GError **error)
{
	json_t *now, *wanted, *port;
	const char *name;
	void *next;

	if (!read_ovs(plan, error))
		return false;
	now = json_object_get(plan->state->ovs, was->name);
	wanted = ours_of(now);
	if (!wanted)                           /* somebody else has removed it */
		return true;
	if (!will || strcmp(will->kind, "ovsbridge")) {
		json_decref(wanted);
		if (!check_unused(was, net_ovs_user(now, /* tag= */ NULL), error))
			return false;
		set_bridge(plan, was->name, NULL);
		return true;
	}
	json_object_foreach_safe(wanted, next, name, port)
		if (!json_object_get(will->ports, name))
			json_object_del(wanted, name);
	set_bridge(plan, was->name, wanted);
	json_decref(wanted);
	return true;
}

/* ---- what is made ---- */

/* Is a port of ours, or a nic, somebody else's in Open vSwitch? */
static bool check_foreign(const struct plan *plan, const struct net_want *want, GError **error)
{
	const char *bridge_name, *name;
	json_t *bridge, *port;

	json_object_foreach(plan->state->ovs, bridge_name, bridge) {
		bool same = !strcmp(bridge_name, want->name);

		if (same && !is_ours(bridge)) {
			error_set(error, ERR_BAD_BRIDGE, "network '%s': there is a bridge '%s' of Open vSwitch that is not ours", plan_user(want), want->name);
			return false;
		}
		json_object_foreach(want->ports, name, port) {
			g_auto(GStrv) interfaces = g_strsplit(text_of(port, "interfaces"), " ", -1);

			for (size_t i = 0; interfaces[i]; i++) {
				const json_t *other = port_with(json_object_get(bridge, "ports"), interfaces[i]);

				if (!other || (same && is_ours(other)))
					continue;
				error_set(error, ERR_USED_NIC, "network '%s': '%s' is a port of the Open vSwitch bridge '%s' of somebody else", plan_user(want),
					  interfaces[i], bridge_name);
				return false;
			}
		}
	}
	return true;
}

/* A link that has the name of a port that is to be made, and is none of Open vSwitch. */
static bool check_names(const struct plan *plan, const struct net_want *want, const json_t *now, GError **error)
{
	const char *name;
	json_t *port;

	json_object_foreach(want->ports, name, port) {
		if (strcmp(text_of(port, "type"), "internal") || !net_state_link(plan->state, name) || is_ours(json_object_get(now, name)))
			continue;
		error_set(error, ERR_BAD_BRIDGE, "network '%s': there is a link '%s' that is not ours", name, name);
		return false;
	}
	return true;
}

static bool join_nic(struct plan *plan, const struct net_want *nic, const struct net_want *bridge, GPtrArray *kept, GError **error)
{
	struct net_link *link = net_state_link(plan->state, nic->name);
	const struct net_link *master = net_state_index(plan->state, link->master);
	const struct net_want *top = bridge->untagged ? plan_want(plan->new, bridge->untagged) : nic;

	if (master && strcmp(master->kind, "openvswitch")) {
		error_set(error, ERR_USED_NIC, "%s '%s': nic '%s' is a port of '%s'", bridge->bond ? "bond" : "network",
			  bridge->bond ? bridge->bond : plan_user(nic), link->name, master->name);
		return false;
	}
	if (!plan_check_addresses(nic, top, link, error))
		return false;
	plan_keep_routes(link, top->name, kept);
	plan_drop_all(plan, link);
	return true;
}

/* What is wanted of the bridge, with the hardware addresses of its ports. New reference */
static json_t *with_macs(const struct plan *plan, const struct net_want *want, const json_t *now)
{
	json_t *wanted = json_deep_copy(want->ports), *port;
	const struct net_link *nic = NULL;
	const char *name;

	for (guint i = 0; i < plan->new->wants->len && !nic; i++) {
		const struct net_want *other = plan->new->wants->pdata[i];

		if (!*other->kind && !g_strcmp0(other->ovs, want->name))
			nic = net_state_link(plan->state, other->name);
	}
	json_object_foreach(wanted, name, port) {
		const char *mac = text_of(json_object_get(now, name), "mac");
		g_autofree char *new = *mac ? g_strdup(mac) : nic ? g_strdup(nic->mac) : plan_random_mac();

		if (!strcmp(text_of(port, "type"), "internal"))
			json_object_set_new(port, "mac", json_string(new));
	}
	return wanted;
}

bool plan_ovs_bridge(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error)
{
	const json_t *now;
	json_t *wanted;

	if (!read_ovs(plan, error))
		return false;
	now = json_object_get(json_object_get(plan->state->ovs, want->name), "ports");
	if (!check_foreign(plan, want, error) || !check_names(plan, want, now, error))
		return false;
	for (guint i = 0; i < plan->new->wants->len; i++) {
		const struct net_want *nic = plan->new->wants->pdata[i];

		if (!*nic->kind && !g_strcmp0(nic->ovs, want->name) && !port_with(now, nic->name) && !join_nic(plan, nic, want, kept, error))
			return false;
	}
	wanted = with_macs(plan, want, now);
	set_bridge(plan, want->name, wanted);
	json_decref(wanted);
	return true;
}
