/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks behind this host: what "forward" nat and isolated and port forwards mean, as one nftables table of ours, replaced as a whole in one
 * transaction of the kernel. Tables of others are not touched; what they drop stays dropped.
 *
 *   isolated   the machines reach each other and the host's address of the network, nothing else; internal: the same, with such an address for sure
 *   private    they reach each other only; the host's bridge has no address, takes no part in ARP, and what comes for the host is dropped
 *   nat        they also get out, with the host's address or that of outboundNat (IPv4 only); from outside only answers and forwarded ports get in;
 *              a machine gets to a forwarded port of its own network at the host's outer addresses, and seems to be the host there, so that the
 *              answer comes back this way
 *
 * Two networks with nat may have the same addresses. A connection that begins in one is tracked in a zone of its own (its answers, which come for the
 * host's address, are not) and has the network's mark, as have those to its forwarded ports; a packet gets the mark of its connection before its way is
 * looked for, and a rule leads it into the network's table (topology.c). Broadcasts, as those of DHCP, stay without: each of them is alike in all
 * networks and its answers are none. Where ports have stateful rules the bridge tracks a connection before the host does, and it is put into its zone
 * there, that of a network without nat, too (net_nft_bridge_zones()). The highest bit of a mark is port.c's. What the host itself begins with such an
 * address goes to one of them.
 *
 * The table's comment is the digest of its text: it tells whether the kernel has the table that is wanted, without comparing nft's spelling of rules.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define TABLE "inet berth"
#define MARK 0x42650000u
#define MARK_NETWORKS 65000u
#define EXCEPTIONS_MAX 100
#define SET_MARK "ct mark set ct mark & 0x80000000 | 0x%x"
#define TAKE_MARK "ct mark & 0x7fff0000 == 0x42650000 meta mark set ct mark & 0x7fffffff\n"

/* Of what nft says, without its pointing at the place. g_free */
static char *first_line(const char *text)
{
	return g_strndup(text, strcspn(text, "\n"));
}

/* libnftables has state beyond its contexts. */
static pthread_mutex_t nft_lock = PTHREAD_MUTEX_INITIALIZER;

static char *run(const char *command, bool only_check, char **ret_problem)
{
	struct nft_ctx *nft;
	char *output = NULL;
	AUTO_LOCK(&nft_lock);

	if (!(nft = nft_ctx_new(NFT_CTX_DEFAULT)))
		return NULL;
	nft_ctx_buffer_output(nft);
	nft_ctx_buffer_error(nft);
	nft_ctx_set_dry_run(nft, only_check);
	if (nft_run_cmd_from_buffer(nft, command) == 0)
		output = g_strdup(nft_ctx_get_output_buffer(nft));
	else if (ret_problem)
		*ret_problem = first_line(nft_ctx_get_error_buffer(nft));
	nft_ctx_free(nft);
	return output;
}

char *net_nft_run(const char *command, char **ret_problem)
{
	return run(command, /* only_check= */ false, ret_problem);
}

bool net_nft_check(const char *command, char **ret_problem)
{
	g_autofree char *output = run(command, /* only_check= */ true, ret_problem);

	return output != NULL;
}

char *net_nft_digest(const char *ruleset)
{
	return *ruleset ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, ruleset, -1) : g_strdup("");
}

char *net_nft_read(void)
{
	g_autofree char *listing = net_nft_run("list table " TABLE, NULL);
	const char *comment = listing ? strstr(listing, "comment \"") : NULL;

	if (!listing)
		return g_strdup("");
	return comment ? g_strndup(comment + strlen("comment \""), 64) : g_strdup("unknown");
}

int net_nft_write(const char *ruleset)
{
	g_autofree char *digest = net_nft_digest(ruleset);
	g_autofree char *command = *ruleset ? g_strdup_printf("add table " TABLE "\ndelete table " TABLE "\ntable " TABLE " {\ncomment \"%s\"\n%s}\n", digest, ruleset)
					    : g_strdup("add table " TABLE "\ndelete table " TABLE "\n");
	g_autofree char *output = net_nft_run(command, NULL);

	return output ? 0 : EINVAL;
}

/* ---- the rules of a configuration ---- */

static bool is_nat(const struct network_config *config)
{
	return !g_strcmp0(config->forward, "nat");
}

static bool is_private(const struct network_config *config)
{
	return !g_strcmp0(config->forward, "private");
}

static bool is_closed(const struct network_config *config)
{
	return is_private(config) || !g_strcmp0(config->forward, "isolated") || !g_strcmp0(config->forward, "internal");
}

/* The members of a port forward; NULL: "" or 0. */
static void read_port(const json_t *port, const char **ret_protocol, int *ret_port, const char **ret_address, int *ret_to)
{
	*ret_protocol = json_string_value(json_object_get(port, "protocol"));
	*ret_port = (int)json_integer_value(json_object_get(port, "port"));
	*ret_address = json_string_value(json_object_get(port, "address"));
	*ret_to = json_object_get(port, "toPort") ? (int)json_integer_value(json_object_get(port, "toPort")) : *ret_port;
}

static bool check_port(const char *name, const struct network_config *config, const json_t *port, GError **error)
{
	g_autofree char *network = net_config_ipv4(config);
	struct net_prefix prefix;
	const char *protocol, *address;
	int from, to;

	read_port(port, &protocol, &from, &address, &to);
	if (!protocol || (strcmp(protocol, "tcp") && strcmp(protocol, "udp"))) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': portForwards: protocol '%s' is neither tcp nor udp", name, protocol ? protocol : "");
		return false;
	}
	if (from < 1 || from > 65535 || to < 1 || to > 65535) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': portForwards: port %d is not 1 to 65535", name, from < 1 || from > 65535 ? from : to);
		return false;
	}
	if (!address || !net_prefix_parse(network, &prefix) || !net_prefix_contains(&prefix, address) || !strcmp(address, config->ipaddr)) {
		error_set(error, ERR_BAD_ADDR, "network '%s': portForwards: address '%s' is none of a machine in %s", name, address ? address : "", network);
		return false;
	}
	return true;
}

static bool check_outbound(const char *name, const struct network_config *config, GError **error)
{
	static const char *const known[] = { "vip", "exceptions", NULL };
	g_autofree char *network = net_config_ipv4(config);
	const json_t *vip = json_object_get(config->outbound_nat, "vip"), *exceptions = json_object_get(config->outbound_nat, "exceptions"), *value;
	const char *text = json_string_value(vip), *member;
	struct net_prefix prefix;
	struct in_addr address;

	json_object_foreach(config->outbound_nat, member, value)
		if (!g_strv_contains(known, member)) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': outboundNat: '%s' is neither vip nor exceptions", name, member);
			return false;
		}
	if (exceptions && (!json_is_array(exceptions) || json_array_size(exceptions) > EXCEPTIONS_MAX)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': outboundNat: exceptions is no array of up to %d networks", name, EXCEPTIONS_MAX);
		return false;
	}
	if (vip && (!text || inet_pton(AF_INET, text, &address) != 1 || IN_MULTICAST(ntohl(address.s_addr)) || (ntohl(address.s_addr) >> 24) % 127 == 0 ||
		    !net_prefix_parse(network, &prefix) || net_prefix_contains(&prefix, text))) {
		error_set(error, ERR_BAD_ADDR, "network '%s': outboundNat: vip '%s' is no IPv4 address of a host outside of %s", name, text ? text : "", network);
		return false;
	}
	for (size_t i = 0; i < json_array_size(exceptions); i++) {
		text = json_string_value(json_array_get(exceptions, i));
		if (text && net_prefix_parse(text, &prefix) && prefix.family == AF_INET)
			continue;
		error_set(error, ERR_BAD_ADDR, "network '%s': outboundNat: exception '%s' is no IPv4 network as 192.0.2.0/24", name, text ? text : "");
		return false;
	}
	return true;
}

char *net_nat_vip(const struct network_config *config)
{
	const char *vip = json_string_value(json_object_get(config->outbound_nat, "vip"));

	return vip ? g_strdup_printf("%s/32", vip) : NULL;
}

bool net_check_forward(const char *name, const struct network_config *config, GError **error)
{
	bool nat = is_nat(config);

	if ((json_array_size(config->port_forwards) || json_object_size(config->outbound_nat)) && !nat) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': %s without forward nat", name, json_array_size(config->port_forwards) ? "portForwards" : "outboundNat");
		return false;
	}
	if (!nat && !is_closed(config))
		return true;
	if (net_given(config->nic) || net_given(config->bonding) || !config->bridged) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': forward %s needs a bridge without a nic", name, config->forward);
		return false;
	}
	if (nat && (!net_given(config->ipaddr) || config->default_route)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': forward nat %s", name, config->default_route ? "and defaultRoute exclude each other" : "needs ipaddr");
		return false;
	}
	if (!g_strcmp0(config->forward, "internal") && !net_given(config->ipaddr) && !net_given(config->ipv6addr)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': forward internal needs ipaddr or ipv6addr: the host is part of it", name);
		return false;
	}
	if (is_private(config) && (net_given(config->ipaddr) || net_given(config->ipv6addr) || !g_strcmp0(config->bootproto, "dhcp") || config->dhcpv6 ||
				   config->ipv6autoconf)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': forward private: the host has no address in it", name);
		return false;
	}
	for (size_t i = 0; i < json_array_size(config->port_forwards); i++)
		if (!check_port(name, config, json_array_get(config->port_forwards, i), error))
			return false;
	return !config->outbound_nat || check_outbound(name, config, error);
}

static bool add_ports(GString *rules, GHashTable *taken, const char *name, const struct network_config *config, uint32_t mark, GError **error)
{
	for (size_t i = 0; i < json_array_size(config->port_forwards); i++) {
		const char *protocol, *address, *other;
		int from, to;

		read_port(json_array_get(config->port_forwards, i), &protocol, &from, &address, &to);
		g_autofree char *key = g_strdup_printf("%s %d", protocol, from);
		if ((other = g_hash_table_lookup(taken, key))) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': portForwards: port %d of %s is forwarded by network '%s' already", name, from, protocol, other);
			return false;
		}
		g_hash_table_insert(taken, g_steal_pointer(&key), (char *)name);
		g_string_append_printf(rules, "iifname != \"%s\" fib daddr type local %s dport %d " SET_MARK " meta mark set 0x%x dnat ip to %s:%d\n",
				       name, protocol, from, mark, mark, address, to);
		g_string_append_printf(rules, "iifname \"%s\" ip daddr != %s fib daddr type local %s dport %d dnat ip to %s:%d\n", name, config->ipaddr, protocol, from,
				       address, to);
	}
	return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

/*
 * The number of each network: of its name, so that it stays when others come and go; the next when two names have the same. Those with nat are first: to
 * other networks it means less.
 */
static GHashTable *number_networks(const struct net_config *config)
{
	GHashTable *numbers = g_hash_table_new(g_str_hash, g_str_equal);
	GList *names = g_list_sort(g_hash_table_get_keys(config->networks), compare_names);
	g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);

	for (int pass = 0; pass < 2; pass++)
		for (GList *l = names; l; l = l->next) {
			uint32_t number = 1 + g_str_hash(l->data) % MARK_NETWORKS;

			if (is_nat(g_hash_table_lookup(config->networks, l->data)) == pass)
				continue;
			while (!g_hash_table_add(taken, GUINT_TO_POINTER(number)))
				number = 1 + number % MARK_NETWORKS;
			g_hash_table_insert(numbers, l->data, GUINT_TO_POINTER(number));
		}
	g_list_free(names);
	return numbers;
}

uint32_t net_nat_mark(const struct net_config *config, const char *name)
{
	const struct network_config *network = g_hash_table_lookup(config->networks, name);
	g_autoptr(GHashTable) numbers = network && is_nat(network) ? number_networks(config) : NULL;

	return numbers ? MARK | GPOINTER_TO_UINT(g_hash_table_lookup(numbers, name)) : 0;
}

/* Where the rules of a table go. */
struct rules { GString *zones, *marks, *in, *out, *masks, *ports; };

static bool add_nat(struct rules *r, GHashTable *taken, const char *name, const struct network_config *network, uint32_t mark, GError **error)
{
	g_autofree char *address = net_config_ipv4(network);
	g_autofree char *subnet = net_prefix_network(address);
	const json_t *exceptions = json_object_get(network->outbound_nat, "exceptions");
	const char *vip = json_string_value(json_object_get(network->outbound_nat, "vip"));
	g_autofree char *leaves = g_strdup_printf("ct mark & 0x7fffffff == 0x%x ip saddr %s oifname != \"%s\"", mark, subnet, name);

	g_string_append_printf(r->zones, "iifname \"%s\" ip saddr %s fib daddr type { unicast, local } ct original zone set %u\n", name, subnet, mark & 0xffff);
	g_string_append_printf(r->marks, "iifname \"%s\" ip saddr %s ct state new " SET_MARK "\n", name, subnet, mark);
	g_string_append_printf(r->in, "oifname \"%s\" ct state established,related accept\noifname \"%s\" ct status dnat accept\n", name, name);
	g_string_append_printf(r->out, "iifname \"%s\" ip saddr %s accept\n", name, subnet);
	for (size_t i = 0; i < json_array_size(exceptions); i++) {
		g_autofree char *exception = net_prefix_network(json_string_value(json_array_get(exceptions, i)));

		g_string_append_printf(r->masks, "%s ip daddr %s accept\n", leaves, exception);
	}
	g_string_append_printf(r->masks, vip ? "%s snat ip to %s\n" : "%s masquerade%s\n", leaves, vip ? vip : "");
	if (json_array_size(network->port_forwards))
		g_string_append_printf(r->masks, "ct mark & 0x7fffffff == 0x%x ip saddr %s oifname \"%s\" ct status dnat masquerade\n", mark, subnet, name);
	return add_ports(r->ports, taken, name, network, mark, error);
}

char *net_nft_bridge_zones(const struct net_config *config, const char *chain)
{
	g_autoptr(GHashTable) numbers = number_networks(config);
	GString *text = g_string_new(NULL);
	GHashTableIter iter;
	void *name, *number;

	g_hash_table_iter_init(&iter, numbers);
	while (g_hash_table_iter_next(&iter, &name, &number)) {
		const struct network_config *network = g_hash_table_lookup(config->networks, name);
		g_autofree char *address = is_nat(network) ? net_config_ipv4(network) : NULL;
		g_autofree char *subnet = address ? net_prefix_network(address) : NULL;

		/* what is for the host, or through it, is answered outside of the network; what is for another machine stays in it, both ways */
		for (int host = 1; host >= 0 && network->bridged; host--) {
			g_string_append_printf(text, "add rule %s meta ibrname \"%s\" ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00", chain, (char *)name);
			if (subnet)
				g_string_append_printf(text, " ip saddr %s", subnet);
			if (host)
				g_string_append(text, " meta pkttype host");
			g_string_append_printf(text, " ct %szone set %u accept\n", host ? "original " : "", GPOINTER_TO_UINT(number));
		}
	}
	return g_string_free(text, FALSE);
}

/* What comes into a network is settled before what leaves one, so that two of them do not reach each other. */
char *net_nft_ruleset(const struct net_config *config, GError **error)
{
	GList *names = g_list_sort(g_hash_table_get_keys(config->networks), compare_names);
	g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GString) in = g_string_new(NULL), out = g_string_new(NULL), masks = g_string_new(NULL), ports = g_string_new(NULL);
	g_autoptr(GString) zones = g_string_new(NULL), marks = g_string_new(NULL);
	struct rules rules = { zones, marks, in, out, masks, ports };
	g_autoptr(GString) here = g_string_new(NULL), away = g_string_new(NULL);
	bool good = true;

	for (GList *l = names; good && l; l = l->next) {
		const char *name = l->data;
		const struct network_config *network = g_hash_table_lookup(config->networks, name);

		if (!is_nat(network) && !is_closed(network))
			continue;
		if (is_private(network)) {
			g_string_append_printf(here, "iifname \"%s\" drop\n", name);
			g_string_append_printf(away, "oifname \"%s\" drop\n", name);
		}
		g_string_append_printf(in, "iifname \"%s\" oifname \"%s\" accept\n", name, name);
		if (is_nat(network))
			good = add_nat(&rules, taken, name, network, net_nat_mark(config, name), error);
		g_string_append_printf(in, "oifname \"%s\" reject with icmpx admin-prohibited\n", name);
		g_string_append_printf(out, "iifname \"%s\" reject with icmpx admin-prohibited\n", name);
	}
	g_list_free(names);
	if (!good)
		return NULL;
	if (!in->len)
		return g_strdup("");
	if (here->len) {
		g_string_prepend(here, "chain here {\ntype filter hook input priority filter; policy accept;\n");
		g_string_append_printf(here, "}\nchain away {\ntype filter hook output priority filter; policy accept;\n%s}\n", away->str);
	}
	/* the empty chain gives answers of the host a port of their own where two networks would have the same */
	return g_strdup_printf("%schain zones {\ntype filter hook prerouting priority raw; policy accept;\n%s}\n"
			       "chain marks {\ntype filter hook prerouting priority mangle; policy accept;\n%s" TAKE_MARK "}\n"
			       "chain output {\ntype route hook output priority mangle; policy accept;\n" TAKE_MARK "}\n"
			       "chain input {\ntype nat hook input priority 100; policy accept;\n}\n"
			       "chain forward {\ntype filter hook forward priority filter; policy accept;\n%s%s}\n"
			       "chain postrouting {\ntype nat hook postrouting priority srcnat; policy accept;\n%s}\n"
			       "chain prerouting {\ntype nat hook prerouting priority dstnat; policy accept;\n%s}\n",
			       here->str, zones->str, marks->str, in->str, out->str, masks->str, ports->str);
}
