/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks behind this host: what "forward" nat and isolated and port forwards mean, as one nftables table of ours, replaced as a whole in one
 * transaction of the kernel. Tables of others are not touched; what they drop stays dropped.
 *
 *   isolated   the machines reach each other and the host's address of the network, nothing else
 *   nat        they also get out, with the host's address (IPv4 only); from outside only answers and forwarded ports get in
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

bool net_check_forward(const char *name, const struct network_config *config, GError **error)
{
	bool nat = is_nat(config);

	if (json_array_size(config->port_forwards) && !nat) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': portForwards without forward nat", name);
		return false;
	}
	if (!nat && g_strcmp0(config->forward, "isolated"))
		return true;
	if (net_given(config->nic) || net_given(config->bonding) || !config->bridged) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': forward %s needs a bridge without a nic", name, config->forward);
		return false;
	}
	if (nat && (!net_given(config->ipaddr) || config->default_route)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': forward nat %s", name, config->default_route ? "and defaultRoute exclude each other" : "needs ipaddr");
		return false;
	}
	if (config->port_forwards && !json_is_array(config->port_forwards)) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': portForwards is no array", name);
		return false;
	}
	for (size_t i = 0; i < json_array_size(config->port_forwards); i++)
		if (!check_port(name, config, json_array_get(config->port_forwards, i), error))
			return false;
	return true;
}

static bool add_ports(GString *rules, GHashTable *taken, const char *name, const struct network_config *config, GError **error)
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
		g_string_append_printf(rules, "iifname != \"%s\" fib daddr type local %s dport %d dnat ip to %s:%d\n", name, protocol, from, address, to);
	}
	return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

/* What comes into a network is settled before what leaves one, so that two of them do not reach each other. */
char *net_nft_ruleset(const struct net_config *config, GError **error)
{
	GList *names = g_list_sort(g_hash_table_get_keys(config->networks), compare_names);
	g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GString) in = g_string_new(NULL), out = g_string_new(NULL), masks = g_string_new(NULL), ports = g_string_new(NULL);
	bool good = true;

	for (GList *l = names; good && l; l = l->next) {
		const char *name = l->data;
		const struct network_config *network = g_hash_table_lookup(config->networks, name);
		g_autofree char *address = is_nat(network) ? net_config_ipv4(network) : NULL;
		g_autofree char *subnet = address ? net_prefix_network(address) : NULL;

		if (!is_nat(network) && g_strcmp0(network->forward, "isolated"))
			continue;
		g_string_append_printf(in, "iifname \"%s\" oifname \"%s\" accept\n", name, name);
		if (subnet) {
			g_string_append_printf(in, "oifname \"%s\" ct state established,related accept\noifname \"%s\" ct status dnat accept\n", name, name);
			g_string_append_printf(out, "iifname \"%s\" ip saddr %s accept\n", name, subnet);
			g_string_append_printf(masks, "ip saddr %s oifname != \"%s\" masquerade\n", subnet, name);
			good = add_ports(ports, taken, name, network, error);
		}
		g_string_append_printf(in, "oifname \"%s\" reject with icmpx admin-prohibited\n", name);
		g_string_append_printf(out, "iifname \"%s\" reject with icmpx admin-prohibited\n", name);
	}
	g_list_free(names);
	if (!good)
		return NULL;
	if (!in->len)
		return g_strdup("");
	return g_strdup_printf("chain forward {\ntype filter hook forward priority filter; policy accept;\n%s%s}\n"
			       "chain postrouting {\ntype nat hook postrouting priority srcnat; policy accept;\n%s}\n"
			       "chain prerouting {\ntype nat hook prerouting priority dstnat; policy accept;\n%s}\n", in->str, out->str, masks->str, ports->str);
}
