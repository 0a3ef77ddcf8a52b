/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subnets: which addresses and names the machines of a network get from this host. Here is what a wish must be, and what it is to the server (server.c),
 * dnsmasq: its configuration.
 *
 * Several hosts may serve one network, each with a host's address of its own. What a host gives, it gives from its own part of the addresses, its pool; it
 * is told the parts of the others only so that a wish in which they overlap is refused. A reservation may be known to all of them: it is for
 * one NIC, which is on one host at a time. It must be in no other host's pool, since that host may not have heard of it yet.
 *
 * Names: of a reservation, on each host that knows it; else what a machine told when it asked for its address, on the host that it got it from. Names from
 * outside are asked of the host's servers only where machines get out anyway: a network that is closed does not leak by DNS.
 */
#include <arpa/inet.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define RESERVATIONS_MAX 4096
#define POOLS_MAX 1024
#define SERVERS_MAX 8
#define LEASES_MAX 100000
#define PREFIX6_MIN 64                    /* DHCPv6 of dnsmasq; router advertisements want exactly that for autoconfiguration */

/* First and last address of a pool, in the order of the network. */
struct range { uint8_t first[16], last[16]; };

static size_t size_of(const struct net_prefix *prefix)
{
	return prefix->family == AF_INET ? 4 : 16;
}

/* Of the subnet's family, and one that a machine can have there? */
static bool read_address(const struct net_prefix *prefix, const char *text, uint8_t *ret_address)
{
	const uint8_t *network = (const uint8_t *)&prefix->address;
	uint8_t last[16] = { 0 };

	if (!text || !net_prefix_contains(prefix, text) || inet_pton(prefix->family, text, ret_address) != 1)
		return false;
	for (unsigned i = 0; i < size_of(prefix); i++)
		last[i] = network[i] | (prefix->length >= 8 * (i + 1) ? 0 : (uint8_t)(0xff >> (prefix->length > 8 * i ? prefix->length - 8 * i : 0)));
	return memcmp(ret_address, network, size_of(prefix)) && (prefix->family != AF_INET || memcmp(ret_address, last, size_of(prefix)));
}

/* What is wrong with it; NULL: nothing. */
static const char *read_range(const struct net_prefix *prefix, const char *text, struct range *ret_range)
{
	g_auto(GStrv) ends = g_strsplit(text, "-", 2);
	struct range range = { 0 };

	if (g_strv_length(ends) != 2)
		return "is not FIRST-LAST";
	if (!read_address(prefix, g_strstrip(ends[0]), range.first) || !read_address(prefix, g_strstrip(ends[1]), range.last))
		return "has an end that is no machine's address of the subnet";
	if (memcmp(range.first, range.last, size_of(prefix)) > 0)
		return "ends before it begins";
	*ret_range = range;
	return NULL;
}

static bool is_in(const struct net_prefix *prefix, const struct range *range, const uint8_t *address)
{
	return memcmp(address, range->first, size_of(prefix)) >= 0 && memcmp(address, range->last, size_of(prefix)) <= 0;
}

static bool is_name(const char *text, bool dots)
{
	return strlen(text) <= 253 && g_regex_match_simple(dots ? "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$" :
							    "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", text, G_REGEX_DOLLAR_ENDONLY | G_REGEX_CASELESS, 0);
}

/* What is looked at together: one subnet, its network, what was found in it so far. */
struct look {
	const char *name;
	const struct network_config *network;
	const struct subnet_config *subnet;
	struct net_prefix prefix;
	const char *host;                /* the host's address in it, without its length */
	struct range pool;
	GArray *others;                  /* struct range */
	GHashTable *seen;                /* "mac 52:...", "address 192...", "name a" */
};

#define REFUSE(code, format, ...) \
	do { \
		error_set(error, code, "network '%s': subnet %s: " format, look->name, look->subnet->prefix, ##__VA_ARGS__); \
		return false; \
	} while (0)

/* The prefix must be that of the host's address: a server can only give what is on its link. */
static bool look_prefix(struct look *look, GError **error)
{
	g_autofree char *ipv4 = net_config_ipv4(look->network), *ipv6 = net_config_ipv6(look->network);
	g_autofree char *network = NULL, *own = NULL;
	const char *text = look->subnet->prefix;
	bool is_ipv6 = text && strchr(text, ':');

	if (!text || !net_prefix_parse(text, &look->prefix)) {
		error_set(error, ERR_BAD_ADDR, "network '%s': subnets: prefix '%s' is no network, 192.0.2.0/24", look->name, text ? text : "");
		return false;
	}
	look->host = is_ipv6 ? ipv6 ? look->network->ipv6addr : NULL : look->network->ipaddr;
	network = net_prefix_network(text);
	own = (is_ipv6 ? ipv6 : ipv4) ? net_prefix_network(is_ipv6 ? ipv6 : ipv4) : NULL;
	if (g_strcmp0(network, own))
		REFUSE(ERR_BAD_ADDR, "it is not the network of %s, '%s'", is_ipv6 ? "ipv6addr" : "ipaddr", own ? own : "");
	(void)net_prefix_parse(network, &look->prefix);
	if (look->prefix.length > (is_ipv6 ? 126u : 30u) || (is_ipv6 && look->prefix.length < PREFIX6_MIN))
		REFUSE(ERR_BAD_ADDR, "a length of %u is not %d to %d", look->prefix.length, is_ipv6 ? PREFIX6_MIN : 1, is_ipv6 ? 126 : 30);
	return true;
}

/* The host's address, as text without its length. g_free */
static char *host_of(const struct look *look)
{
	return g_strndup(look->host, strcspn(look->host, "/"));
}

static bool same_address(const struct net_prefix *prefix, const char *a, const char *b)
{
	uint8_t x[16], y[16];

	return inet_pton(prefix->family, a, x) == 1 && inet_pton(prefix->family, b, y) == 1 && !memcmp(x, y, size_of(prefix));
}

static bool look_gateway(const struct look *look, GError **error)
{
	const char *gateway = look->subnet->gateway;
	g_autofree char *host = host_of(look);
	uint8_t address[16];

	if (!net_given(gateway))
		return true;
	if (!read_address(&look->prefix, gateway, address))
		REFUSE(ERR_BAD_ADDR, "gateway '%s' is not in it", gateway);
	if (look->prefix.family == AF_INET6 && !same_address(&look->prefix, gateway, host))
		REFUSE(ERR_BAD_ADDR, "gateway '%s' is not the network's ipv6addr: routers of IPv6 advertise themselves", gateway);
	return true;
}

static bool look_pools(struct look *look, GError **error)
{
	const struct subnet_config *subnet = look->subnet;
	g_autofree char *host = host_of(look);
	const char *const taken[] = { host, subnet->gateway };
	const char *problem;
	uint8_t address[16];

	if (net_given(subnet->pool) && (problem = read_range(&look->prefix, subnet->pool, &look->pool)))
		REFUSE(ERR_BAD_ADDR, "pool '%s' %s", subnet->pool, problem);
	for (size_t i = 0; net_given(subnet->pool) && i < G_N_ELEMENTS(taken); i++)
		if (net_given(taken[i]) && inet_pton(look->prefix.family, taken[i], address) == 1 && is_in(&look->prefix, &look->pool, address))
			REFUSE(ERR_BAD_ADDR, "%s %s is in the pool '%s'", i ? "gateway" : "the host's address", taken[i], subnet->pool);
	if (subnet->other_pools && subnet->other_pools->len > POOLS_MAX)
		REFUSE(ERR_BAD_PARAMS, "%u otherPools are more than %d", subnet->other_pools->len, POOLS_MAX);
	for (guint i = 0; subnet->other_pools && i < subnet->other_pools->len; i++) {
		const char *text = subnet->other_pools->pdata[i];
		struct range other;

		if ((problem = read_range(&look->prefix, text, &other)))
			REFUSE(ERR_BAD_ADDR, "otherPools '%s' %s", text, problem);
		if (net_given(subnet->pool) && (is_in(&look->prefix, &look->pool, other.first) || is_in(&look->prefix, &other, look->pool.first)))
			REFUSE(ERR_BAD_ADDR, "pool '%s' overlaps with '%s' of another host", subnet->pool, text);
		g_array_append_val(look->others, other);
	}
	return true;
}

static bool take(const struct look *look, const char *what, const char *value)
{
	return g_hash_table_add(look->seen, g_strdup_printf("%s %s", what, value));
}

static bool look_reservation(const struct look *look, const struct reservation_config *r, GError **error)
{
	g_autofree char *host = host_of(look), *mac = g_ascii_strdown(r->mac ? r->mac : "", -1), *name = g_ascii_strdown(r->name ? r->name : "", -1);
	uint8_t address[16], parsed[6];
	char plain[INET6_ADDRSTRLEN];

	if (!net_mac_parse(mac, parsed) || parsed[0] & 1)
		REFUSE(ERR_BAD_PARAMS, "reservations: mac '%s' is no hardware address of a NIC", mac);
	if (!read_address(&look->prefix, r->address, address))
		REFUSE(ERR_BAD_ADDR, "reservations: address '%s' of %s is no machine's address of the subnet", r->address ? r->address : "", mac);
	inet_ntop(look->prefix.family, address, plain, sizeof(plain));
	if (same_address(&look->prefix, plain, host) || (net_given(look->subnet->gateway) && same_address(&look->prefix, plain, look->subnet->gateway)))
		REFUSE(ERR_BAD_ADDR, "reservations: address %s of %s is that of the host or gateway", plain, mac);
	for (guint i = 0; i < look->others->len; i++)
		if (is_in(&look->prefix, &g_array_index(look->others, struct range, i), address))
			REFUSE(ERR_BAD_ADDR, "reservations: address %s of %s is in the pool of another host", plain, mac);
	if (net_given(r->name) && !is_name(name, /* dots= */ false))
		REFUSE(ERR_BAD_PARAMS, "reservations: name '%s' of %s is no name of a host", r->name, mac);
	if (!take(look, "mac", mac) || !take(look, "address", plain) || (net_given(r->name) && !take(look, "name", name)))
		REFUSE(ERR_BAD_PARAMS, "reservations: %s, %s or name '%s' is there twice", mac, plain, name);
	return true;
}

static bool look_rest(const struct look *look, GError **error)
{
	const struct subnet_config *subnet = look->subnet;
	uint8_t address[16];

	if (net_given(subnet->domain) && !is_name(subnet->domain, /* dots= */ true))
		REFUSE(ERR_BAD_PARAMS, "domain '%s' is no name of a domain", subnet->domain);
	if (subnet->dns && subnet->dns->len > SERVERS_MAX)
		REFUSE(ERR_BAD_PARAMS, "%u servers in dns are more than %d", subnet->dns->len, SERVERS_MAX);
	for (guint i = 0; subnet->dns && i < subnet->dns->len; i++)
		if (inet_pton(AF_INET, subnet->dns->pdata[i], address) != 1 && inet_pton(AF_INET6, subnet->dns->pdata[i], address) != 1)
			REFUSE(ERR_BAD_ADDR, "dns: '%s' is no address", (char *)subnet->dns->pdata[i]);
	if (subnet->reservations && subnet->reservations->len > RESERVATIONS_MAX)
		REFUSE(ERR_BAD_PARAMS, "%u reservations are more than %d", subnet->reservations->len, RESERVATIONS_MAX);
	for (guint i = 0; subnet->reservations && i < subnet->reservations->len; i++)
		if (!look_reservation(look, subnet->reservations->pdata[i], error))
			return false;
	return true;
}

static bool check_subnet(const char *name, const struct network_config *network, const struct subnet_config *subnet, GError **error)
{
	g_autoptr(GArray) others = g_array_new(FALSE, TRUE, sizeof(struct range));
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct look look = { .name = name, .network = network, .subnet = subnet, .others = others, .seen = seen };

	return look_prefix(&look, error) && look_gateway(&look, error) && look_pools(&look, error) && look_rest(&look, error);
}

bool net_check_subnets(const char *name, const struct network_config *config, GError **error)
{
	bool seen[2] = { false, false };

	if (config->subnets && config->subnets->len && !config->bridged) {
		error_set(error, ERR_BAD_PARAMS, "network '%s': subnets without a bridge: bridged is false", name);
		return false;
	}
	for (guint i = 0; config->subnets && i < config->subnets->len; i++) {
		const struct subnet_config *subnet = config->subnets->pdata[i];
		bool *family;

		if (!check_subnet(name, config, subnet, error))
			return false;
		family = &seen[strchr(subnet->prefix, ':') != NULL];
		if (*family) {
			error_set(error, ERR_BAD_PARAMS, "network '%s': subnet %s is the second one of its family", name, subnet->prefix);
			return false;
		}
		*family = true;
	}
	return true;
}

/* ---- as dnsmasq wants it ---- */

static void add_range(GString *text, const struct subnet_config *subnet, const struct net_prefix *prefix)
{
	g_autofree char *first = g_strndup(subnet->prefix, strcspn(subnet->prefix, "/")), *last = g_strdup("static");
	g_autofree char *mask = prefix->family == AF_INET ? net_mask_text(prefix->length) : NULL;

	if (net_given(subnet->pool)) {
		g_auto(GStrv) ends = g_strsplit(subnet->pool, "-", 2);

		g_free(first);
		g_free(last);
		first = g_strdup(g_strstrip(ends[0]));
		last = g_strdup(g_strstrip(ends[1]));
	}
	if (mask)
		g_string_append_printf(text, "dhcp-range=%s,%s,%s,%d\n", first, last, mask, subnet->lease_time);
	else
		g_string_append_printf(text, "dhcp-range=%s,%s,%u,%d\n", first, last, prefix->length, subnet->lease_time);
}

static void add_reservation(GString *text, const char *mac, const char *address, const char *name)
{
	bool is_ipv6 = strchr(address, ':');

	g_string_append_printf(text, "dhcp-host=%s,%s%s%s%s%s\n", mac, is_ipv6 ? "[" : "", address, is_ipv6 ? "]" : "", net_given(name) ? "," : "",
			       net_given(name) ? name : "");
	if (net_given(name))            /* also before the machine has asked for its address, and when another host gives it */
		g_string_append_printf(text, "host-record=%s,%s\n", name, address);
}

/* The subnet that the address, "192.0.2.5/24", is in; plain: without its length, g_free. NULL: none */
static const struct subnet_config *subnet_of(const struct network_config *network, const char *ip, char **ret_plain)
{
	struct net_prefix prefix;

	*ret_plain = g_strndup(ip, strcspn(ip, "/"));
	for (guint i = 0; network->subnets && i < network->subnets->len; i++) {
		const struct subnet_config *subnet = network->subnets->pdata[i];

		if (net_prefix_parse(subnet->prefix, &prefix) && net_prefix_contains(&prefix, *ret_plain))
			return subnet;
	}
	return NULL;
}

static bool has_reservation(const struct subnet_config *subnet, const char *mac, const char *plain)
{
	struct net_prefix prefix;

	(void)net_prefix_parse(subnet->prefix, &prefix);
	for (guint i = 0; subnet->reservations && i < subnet->reservations->len; i++) {
		const struct reservation_config *r = subnet->reservations->pdata[i];

		if (!g_ascii_strcasecmp(r->mac, mac) && same_address(&prefix, r->address, plain))
			return true;
	}
	return false;
}

bool net_subnets_check_address(const char *name, const struct network_config *network, const char *mac, const char *ip, const char *host, GError **error)
{
	g_autofree char *plain = NULL;
	const struct subnet_config *subnet = subnet_of(network, ip, &plain);
	struct reservation_config *reservation;
	struct subnet_config *with;
	bool good;

	if (!subnet || has_reservation(subnet, mac, plain))
		return true;
	reservation = record_new(&reservation_config_type);
	set_string(&reservation->mac, mac);
	set_string(&reservation->address, plain);
	set_string(&reservation->name, host);
	with = record_copy(subnet);
	if (!with->reservations)
		with->reservations = g_ptr_array_new_with_free_func(record_unref);
	g_ptr_array_add(with->reservations, reservation);
	good = check_subnet(name, network, with, error);
	record_unref(with);
	return good;
}

void net_subnets_reserve(const struct network_config *network, const char *mac, const char *ip, const char *host, GString *text)
{
	g_autofree char *plain = NULL;
	const struct subnet_config *subnet = subnet_of(network, ip, &plain);

	if (subnet && !has_reservation(subnet, mac, plain))
		add_reservation(text, mac, plain, host);
}

bool net_subnets_is_name(const char *host)
{
	return is_name(host, /* dots= */ false);
}

static void add_subnet(GString *text, const char *name, const struct network_config *network, const struct subnet_config *subnet)
{
	const char *gateway = subnet->gateway;
	struct net_prefix prefix = { 0 };

	(void)net_prefix_parse(subnet->prefix, &prefix);
	add_range(text, subnet, &prefix);
	if (prefix.family == AF_INET) {
		if (!net_given(gateway) && !g_strcmp0(network->forward, "nat"))
			gateway = network->ipaddr;
		g_string_append_printf(text, "dhcp-option=option:router%s%s\n", net_given(gateway) ? "," : "", net_given(gateway) ? gateway : "");
		g_string_append_printf(text, "dhcp-option=option:mtu,%d\n", network->mtu);
	} else                          /* its life is 0: it tells the prefix, and is no router */
		g_string_append_printf(text, "enable-ra\n%s%s%s", net_given(gateway) ? "" : "ra-param=", net_given(gateway) ? "" : name,
				       net_given(gateway) ? "" : ",0,0\n");
	for (guint i = 0; subnet->reservations && i < subnet->reservations->len; i++) {
		const struct reservation_config *r = subnet->reservations->pdata[i];

		add_reservation(text, r->mac, r->address, r->name);
	}
}

/* Who is asked for names from outside. */
static void add_servers(GString *text, const struct network_config *network)
{
	bool open = !g_strcmp0(network->forward, "nat") || !g_strcmp0(network->forward, "bridge"), given = false;

	for (guint i = 0; i < network->subnets->len; i++) {
		const struct subnet_config *subnet = network->subnets->pdata[i];

		for (guint k = 0; subnet->dns && k < subnet->dns->len; k++) {
			g_string_append_printf(text, "server=%s\n", (char *)subnet->dns->pdata[k]);
			given = true;
		}
	}
	if (given || !open)
		g_string_append(text, "no-resolv\n");
}

char *net_subnets_text(const char *name, const struct network_config *network)
{
	GString *text;
	const char *domain = NULL;
	bool alone = true;
	g_autofree char *lower = g_ascii_strdown(name, -1), *own = NULL;

	if (!network->subnets || !network->subnets->len)
		return NULL;
	own = g_strdup_printf("%s.internal", g_strdelimit(lower, "_.", '-'));
	for (guint i = 0; i < network->subnets->len; i++) {
		const struct subnet_config *subnet = network->subnets->pdata[i];

		domain = domain || !net_given(subnet->domain) ? domain : subnet->domain;
		alone &= !(subnet->other_pools && subnet->other_pools->len);
	}
	text = g_string_new(NULL);
	g_string_append_printf(text, "# network %s, written by berth-agent\ninterface=%s\nexcept-interface=lo\nbind-dynamic\nno-hosts\npid-file=\nlog-facility=-\n"
			       "quiet-dhcp\nquiet-dhcp6\nquiet-ra\ndhcp-lease-max=%d\ndomain=%s\nlocal=/%s/\nexpand-hosts\ndomain-needed\nbogus-priv\n",
			       name, name, LEASES_MAX, domain ? domain : own, domain ? domain : own);
	if (alone)                      /* else it would deny what another host gave */
		g_string_append(text, "dhcp-authoritative\n");
	add_servers(text, network);
	for (guint i = 0; i < network->subnets->len; i++)
		add_subnet(text, name, network, network->subnets->pdata[i]);
	return g_string_free(text, FALSE);
}

/* ---- leases ---- */

/*
 * dnsmasq's file: "1700000000 52:54:00:00:00:01 192.0.2.9 name clientid" a line, "*": none; after a line "duid ..." those of IPv6, with the IAID in the
 * place of the hardware address and the client's DUID at the end.
 */
json_t *net_subnets_leases(const char *content)
{
	g_auto(GStrv) lines = g_strsplit(content ? content : "", "\n", -1);
	json_t *leases = json_array();

	for (size_t i = 0; lines[i]; i++) {
		g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);
		json_t *lease;
		bool is_ipv6;

		if (g_strv_length(words) != 5)
			continue;
		is_ipv6 = strchr(words[2], ':');
		lease = json_pack("{s:s, s:s, s:I}", "address", words[2], is_ipv6 ? "duid" : "mac", is_ipv6 ? words[4] : words[1], "until",
				  (json_int_t)g_ascii_strtoll(words[0], NULL, 10));
		if (lease && strcmp(words[3], "*"))
			json_object_set_new(lease, "name", json_string(words[3]));
		if (lease)
			json_array_append_new(leases, lease);
	}
	return leases;
}
