/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is wanted (networks and bonds) to the links that it needs, and to what contradicts itself: a nic in two bonds, a VLAN id used twice on one
 * nic, two networks without a VLAN on it, two default routes, overlapping addresses, a bond that is none, a role of two networks.
 *
 *   nic --(master)--> bond <--(lower)-- VLAN "bond0.5" --(master)--> bridge, named as the network
 *                                       VXLAN "vx5001" --(master)--> bridge
 *
 * Those of Open vSwitch are in topology_ovs.c.
 *
 * Each part may be absent. The last link of a network's chain is its `top`: there are the host's addresses of the network. The MTU of a nic or bond
 * is the largest of its networks.
 *
 * A gateway of a network without the default route is for what the host sends from the network's own addresses: a routing table (its number is the
 * address, or for IPv6 its hash) with the network and the default route, and a rule that leads there.
 *
 * Networks behind this host (forward nat) may have equal addresses: what belongs to a connection of one has its mark (nft.c), and a rule leads what has
 * that mark to a table with the way into the network.
 */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define MTU_DEFAULT 1500

static const char *const kinds[] = { "", "bond", "ovsbridge", "ovs", "vlan", "vxlan", "bridge" };

static void want_free(void *data)
{
	struct net_want *want = data;

	g_free(want->name);
	g_free(want->lower);
	g_free(want->master);
	g_free(want->dhcp);
	g_free(want->dhcpv6);
	g_free(want->untagged);
	g_free(want->mac);
	g_free(want->qos);
	g_free(want->vip);
	g_free(want->ovs);
	g_free(want->bond);
	json_decref(want->ports);
	if (want->options)
		g_hash_table_unref(want->options);
	if (want->shares)
		g_array_unref(want->shares);
	g_hash_table_unref(want->users);
	g_ptr_array_unref(want->addresses);
	g_ptr_array_unref(want->routes);
	g_ptr_array_unref(want->rules);
	g_ptr_array_unref(want->peers);
	g_free(want);
}

struct net_topology *net_topology_free(struct net_topology *topology)
{
	if (!topology)
		return NULL;
	g_ptr_array_unref(topology->wants);
	g_hash_table_unref(topology->index);
	g_free(topology->resolver);
	g_free(topology->ruleset);
	g_hash_table_unref(topology->behind);
	if (topology->nameservers)
		g_ptr_array_unref(topology->nameservers);
	g_free(topology);
	return NULL;
}

struct net_want *net_want_find(const struct net_topology *topology, const char *name)
{
	return g_hash_table_lookup(topology->index, name);
}

struct net_want *net_want_add(struct net_topology *topology, const char *kind, const char *name)
{
	struct net_want *want = g_new0(struct net_want, 1);

	want->kind = kind;
	want->name = g_strdup(name);
	want->lower = g_strdup("");
	want->master = g_strdup("");
	want->mac = g_strdup("");
	want->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	want->addresses = g_ptr_array_new_with_free_func(g_free);
	want->routes = g_ptr_array_new_with_free_func(g_free);
	want->rules = g_ptr_array_new_with_free_func(g_free);
	want->peers = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(topology->wants, want);
	g_hash_table_insert(topology->index, want->name, want);
	return want;
}

static void use(struct net_want *want, const char *user)
{
	g_hash_table_add(want->users, g_strdup(user));
}

static void set(char **slot, const char *value)
{
	g_free(*slot);
	*slot = g_strdup(value);
}

/* ---- bonds ---- */

static bool add_bond(struct net_topology *topology, const char *name, const struct bond_config *config, GError **error)
{
	GHashTable *options;
	struct net_want *bond = net_want_find(topology, name);

	if (net_is_ovs(config->switch_type))
		return net_ovs_add_bond(topology, name, config, error);
	if (!(options = net_bond_options(name, config->options, error)))
		return false;
	if (bond) {
		error_set(error, ERR_BAD_BONDING, "bond '%s' is a nic of bond '%s'", name, bond->master);
		g_hash_table_unref(options);
		return false;
	}
	bond = net_want_add(topology, "bond", name);
	bond->options = options;
	if (net_given(config->hwaddr)) {
		g_free(bond->mac);
		bond->mac = g_ascii_strdown(config->hwaddr, -1);
	}
	use(bond, name);
	for (guint i = 0; i < config->nics->len; i++) {
		struct net_want *nic = net_want_find(topology, config->nics->pdata[i]);

		if (nic) {
			error_set(error, *nic->kind ? ERR_BAD_BONDING : ERR_USED_NIC, "bond '%s': nic '%s' is %s%s", name, (char *)config->nics->pdata[i],
				  *nic->kind ? "a bond itself" : nic->ovs ? "a nic of another bond, with switch 'ovs'" : "a nic of bond ", nic->master);
			return false;
		}
		nic = net_want_add(topology, "", config->nics->pdata[i]);
		set(&nic->master, name);
		use(nic, name);
	}
	return true;
}

/* ---- networks ---- */

/* The nic or bond of a network. NULL + error: contradiction */
static struct net_want *lower_of(struct net_topology *topology, const char *name, const struct network_config *config, GError **error)
{
	const char *lower = net_given(config->nic) ? config->nic : config->bonding;
	bool is_bond = !net_given(config->nic);
	struct net_want *want = net_want_find(topology, lower);

	if (!want) {
		want = net_want_add(topology, "", lower);
		want->is_bond = is_bond;
	} else if (want->ovs || !strcmp(want->kind, "ovsbridge")) {
		error_set(error, *want->kind ? ERR_USED_BOND : ERR_USED_NIC, "network '%s' with switch 'legacy': %s '%s' has switch 'ovs'", name,
			  *want->kind ? "bond" : "nic", lower);
		return NULL;
	} else if (!is_bond && !strcmp(want->kind, "bond")) {
		error_set(error, ERR_BAD_NIC, "network '%s': nic '%s' is a bond", name, lower);
		return NULL;
	} else if (strcmp(want->kind, "") && strcmp(want->kind, "bond")) {
		error_set(error, is_bond ? ERR_BAD_BONDING : ERR_BAD_NIC, "network '%s': '%s' is a %s of a network", name, lower, want->kind);
		return NULL;
	} else if (!*want->kind && want->master[0] && !want->untagged) {
		error_set(error, ERR_USED_NIC, "network '%s': nic '%s' is in bond '%s'", name, lower, want->master);
		return NULL;
	}
	return want;
}

static struct net_want *add_vlan(struct net_topology *topology, const char *name, struct net_want *lower, const struct network_config *config, GError **error)
{
	g_autofree char *link = net_config_link(config);
	int id = config->vlan;
	struct net_want *vlan = net_want_find(topology, link);

	if (strlen(link) >= IFNAMSIZ) {
		error_set(error, ERR_BAD_VLAN, "network '%s': the link of vlan %d would be '%s', which is longer than %d characters", name, id, link, IFNAMSIZ - 1);
		return NULL;
	}
	if (vlan && vlan->untagged) {
		error_set(error, ERR_BAD_VLAN, "network '%s': vlan %d on '%s' is network '%s' already", name, id, lower->name, vlan->untagged);
		return NULL;
	}
	if (vlan) {
		error_set(error, ERR_BAD_VLAN, "network '%s': the link of vlan %d would be '%s', as a %s is named", name, id, link, *vlan->kind ? vlan->kind : "nic");
		return NULL;
	}
	vlan = net_want_add(topology, "vlan", link);
	vlan->vlan = id;
	set(&vlan->lower, lower->name);
	set(&vlan->untagged, name);
	return vlan;
}

static struct net_want *add_vxlan(struct net_topology *topology, const char *name, const struct overlay_config *overlay, GError **error)
{
	g_autofree char *link = net_overlay_link(overlay);
	struct net_want *vxlan = net_want_find(topology, link);

	if (vxlan) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': overlay: vni %d is that of network '%s' already", name, overlay->vni,
			  vxlan->untagged ? vxlan->untagged : link);
		return NULL;
	}
	vxlan = net_want_add(topology, "vxlan", link);
	vxlan->options = net_overlay_options(overlay);
	g_ptr_array_unref(vxlan->peers);
	vxlan->peers = net_overlay_peers(overlay);
	set(&vxlan->untagged, name);
	return vxlan;
}

static uint32_t table_of(const struct net_prefix *prefix)
{
	g_autofree char *text = net_prefix_text(prefix);

	return prefix->family == AF_INET ? ntohl(prefix->address.v4.s_addr) : g_str_hash(text) | 0x10000;
}

static void add_gateway(struct net_want *top, const char *address, const char *gateway, bool is_default)
{
	g_autofree char *network = net_prefix_network(address);
	char via[INET6_ADDRSTRLEN];
	struct net_prefix prefix;
	struct in6_addr router;
	uint32_t table;

	/* in the kernel's spelling */
	(void)net_prefix_parse(address, &prefix);
	if (inet_pton(prefix.family, gateway, &router) == 1)
		gateway = inet_ntop(prefix.family, &router, via, sizeof(via));
	if (is_default) {
		g_ptr_array_add(top->routes, g_strdup_printf("default via %s metric 0 proto %u table %u", gateway, RTPROT_STATIC, RT_TABLE_MAIN));
		return;
	}
	table = table_of(&prefix);
	/* IPv6 routes have a metric always */
	g_ptr_array_add(top->routes, g_strdup_printf("%s via - metric %u proto %u table %u", network, prefix.family == AF_INET ? 0u : 1024u, NET_PROTOCOL, table));
	g_ptr_array_add(top->routes, g_strdup_printf("default via %s metric %u proto %u table %u", gateway, prefix.family == AF_INET ? 0u : 1024u,
						     NET_PROTOCOL, table));
	g_ptr_array_add(top->rules, g_strdup_printf("from %s table %u", network, table));
}

static void add_nat(struct net_want *top, const char *address, const struct network_config *config, uint32_t mark)
{
	g_autofree char *network = net_prefix_network(address);

	g_ptr_array_add(top->routes, g_strdup_printf("%s via - metric 0 proto %u table %u", network, NET_PROTOCOL, NET_NAT_TABLE(mark)));
	g_ptr_array_add(top->rules, g_strdup_printf("fwmark %u table %u", mark, NET_NAT_TABLE(mark)));
	top->vip = net_nat_vip(config);
}

static bool add_addresses(struct net_topology *topology, const char *name, struct net_want *top, const struct network_config *config, GError **error)
{
	g_autofree char *ipv4 = net_config_ipv4(config);
	g_autofree char *ipv6 = net_config_ipv6(config);
	const char *const texts[] = { ipv4, ipv6 }, *const gateways[] = { config->gateway, config->ipv6gateway };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		if (!texts[i])
			continue;
		for (guint w = 0; w < topology->wants->len; w++) {
			const struct net_want *other = topology->wants->pdata[w];

			for (guint a = 0; a < other->addresses->len; a++) {
				struct net_prefix mine, theirs;

				if (!net_prefix_parse(texts[i], &mine) || !net_prefix_parse(other->addresses->pdata[a], &theirs) || mine.family != theirs.family)
					continue;
				g_autofree char *plain = g_strndup(texts[i], strcspn(texts[i], "/"));
				g_autofree char *their_plain = g_strndup(other->addresses->pdata[a], strcspn(other->addresses->pdata[a], "/"));

				if ((!net_prefix_contains(&theirs, plain) && !net_prefix_contains(&mine, their_plain)) || (i == 0 && top->nat && other->nat))
					continue;
				error_set(error, ERR_BAD_ADDR, "network '%s': address %s overlaps with %s on '%s'", name, texts[i],
					  (char *)other->addresses->pdata[a], other->name);
				return false;
			}
		}
		g_ptr_array_add(top->addresses, g_strdup(texts[i]));
		if (net_given(gateways[i]))
			add_gateway(top, texts[i], gateways[i], config->default_route);
	}
	return true;
}

static bool add_network(struct net_topology *topology, const char *name, const struct network_config *config, uint32_t mark, GError **error)
{
	struct net_want *lower = NULL, *top = NULL, *bridge;
	const char *bridge_opts = json_string_value(json_object_get(config->custom, "bridge_opts"));

	if (net_is_ovs(config->switch_type)) {
		if (!(top = net_ovs_add_network(topology, name, config, error)))
			return false;
	} else if (net_given(config->nic) || net_given(config->bonding)) {
		if (!(top = lower = lower_of(topology, name, config, error)))
			return false;
		use(lower, name);
		lower->mtu = MAX(lower->mtu, (unsigned)config->mtu);
		net_qos_add(&lower->shares, name, config);
		if (HAS(config, vlan)) {
			if (!(top = add_vlan(topology, name, lower, config, error)))
				return false;
		} else if (lower->untagged) {
			error_set(error, *lower->kind ? ERR_USED_BOND : ERR_USED_NIC, "network '%s': '%s' carries network '%s' without a VLAN already", name,
				  lower->name, lower->untagged);
			return false;
		} else
			lower->untagged = g_strdup(name);
	}
	if (config->overlay && !(top = add_vxlan(topology, name, config->overlay, error)))
		return false;
	if (config->bridged && !net_is_ovs(config->switch_type)) {
		if (net_want_find(topology, name)) {
			error_set(error, ERR_BAD_BRIDGE, "network '%s': its bridge cannot be named as the %s of the same name", name,
				  *net_want_find(topology, name)->kind ? net_want_find(topology, name)->kind : "nic");
			return false;
		}
		bridge = net_want_add(topology, "bridge", name);
		if (!(bridge->options = net_bridge_options(name, bridge_opts, error)))
			return false;
		g_hash_table_insert(bridge->options, g_strdup("stp_state"), g_strdup(config->stp ? "1" : "0"));
		if (top) {
			use(top, name);
			top->mtu = MAX(top->mtu, (unsigned)config->mtu);
			set(&top->master, name);
		}
		top = bridge;
	}
	g_assert(top);                  /* a network that is neither bridged nor on a link was refused with its options */
	use(top, name);
	top->mtu = MAX(top->mtu, (unsigned)config->mtu);
	top->top = true;
	top->autoconf = config->ipv6autoconf;
	top->mute = !g_strcmp0(config->forward, "private");
	if (!g_strcmp0(config->bootproto, "dhcp"))
		top->dhcp = g_strdup(name);
	if (config->dhcpv6)
		top->dhcpv6 = net_lease_ipv6(name);
	if (config->default_route && config->nameservers && config->nameservers->len)
		topology->nameservers = g_ptr_array_ref(config->nameservers);
	if (config->default_route)
		topology->resolver = g_strdup(name);
	top->nat = mark != 0;
	if (!add_addresses(topology, name, top, config, error))
		return false;
	if (mark)
		add_nat(top, top->addresses->pdata[0], config, mark);
	return true;
}

/* management, migration and display are one network each; holders: role -> network. */
static bool take_roles(GHashTable *holders, const char *name, const struct network_config *config, GError **error)
{
	for (guint i = 0; config->roles && i < config->roles->len; i++) {
		const char *role = config->roles->pdata[i], *holder = g_hash_table_lookup(holders, role);

		if (holder) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': role '%s' is that of network '%s' already", name, role, holder);
			return false;
		}
		if (strcmp(role, "vm"))
			g_hash_table_insert(holders, (char *)role, (char *)name);
	}
	return true;
}

/* ---- all of it ---- */

static int rank(const struct net_want *want)
{
	int i = 0;

	while (strcmp(kinds[i], want->kind))
		i++;
	return i;
}

static int compare_wants(gconstpointer a, gconstpointer b)
{
	const struct net_want *x = *(struct net_want *const *)a, *y = *(struct net_want *const *)b;
	int difference = rank(x) - rank(y);

	return difference ? difference : strcmp(x->name, y->name);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

/* Who uses the bond, or bridge of Open vSwitch, uses its nics, and they have its MTU. */
static void pass_on(struct net_topology *topology)
{
	for (guint i = 0; i < topology->wants->len; i++) {
		struct net_want *want = topology->wants->pdata[i], *bond;
		GHashTableIter iter;
		void *user;

		if (!want->mtu)
			want->mtu = MTU_DEFAULT;
		want->qos = net_qos_text(want->shares);
		if (want->vip && !g_ptr_array_find_with_equal_func(want->addresses, want->vip, g_str_equal, NULL))
			g_ptr_array_add(want->addresses, g_strdup(want->vip));
		bond = *want->kind ? NULL : want->ovs ? net_want_find(topology, want->ovs) : want->master[0] ? net_want_find(topology, want->master) : NULL;
		if (!bond || !strcmp(bond->kind, "bridge"))
			continue;
		want->mtu = bond->mtu ? bond->mtu : MTU_DEFAULT;
		g_hash_table_iter_init(&iter, bond->users);
		while (g_hash_table_iter_next(&iter, &user, NULL))
			use(want, user);
	}
}

struct net_topology *net_topology_new(const struct net_config *config, GError **error)
{
	struct net_topology *topology = g_new0(struct net_topology, 1);
	GList *bonds = g_list_sort(g_hash_table_get_keys(config->bonds), compare_names);
	GList *networks = g_list_sort(g_hash_table_get_keys(config->networks), compare_names);
	g_autoptr(GHashTable) holders = g_hash_table_new(g_str_hash, g_str_equal);
	const char *first = NULL;
	bool good = true;

	topology->wants = g_ptr_array_new_with_free_func(want_free);
	topology->index = g_hash_table_new(g_str_hash, g_str_equal);
	topology->behind = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (GList *l = bonds; good && l; l = l->next)
		good = add_bond(topology, l->data, g_hash_table_lookup(config->bonds, l->data), error);
	for (GList *l = networks; good && l; l = l->next) {
		const struct network_config *network = g_hash_table_lookup(config->networks, l->data);

		if (network->default_route && first) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': there is a default route already, of network '%s'", (char *)l->data, first);
			good = false;
			break;
		}
		if (network->default_route)
			first = l->data;
		if (g_strcmp0(network->forward, "bridge"))
			g_hash_table_add(topology->behind, g_strdup(l->data));
		good = take_roles(holders, l->data, network, error) && add_network(topology, l->data, network, net_nat_mark(config, l->data), error);
	}
	good = good && (topology->ruleset = net_nft_ruleset(config, error));
	g_list_free(bonds);
	g_list_free(networks);
	if (!good)
		return net_topology_free(topology);
	pass_on(topology);
	g_ptr_array_sort(topology->wants, compare_wants);
	return topology;
}
