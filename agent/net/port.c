/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies of machines' ports: which IP packets pass between a machine and its bridge, and what it may pretend to be.
 *
 *   {"acls": [{"direction": "in", "action": "allow", "tier": 0, "priority": 100, "protocol": "tcp", "localPorts": "80,443",
 *              "remote": "192.0.2.0/24", "remotePorts": "1024-65535", "stateful": true}],
 *    "macGuard": true, "dhcpGuard": true, "raGuard": true, "stormLimit": 100, "isolated": true, "vlan": {"id": 20},
 *    "bandwidth": {"out": {"limit": 10000000}}, "mirrorTo": "52:54:00:00:00:09"}
 *
 * in: to the machine; local is the machine's side, remote the other. The rule with the lowest priority number that matches decides: allow and block for
 * good, pass for its tier: the next higher tier is asked, as where no rule matches. What no tier decides about passes. Rules are about IP, with a VLAN tag
 * or without; ARP and IPv6 neighbour discovery pass, and what has two tags, where a rule could not look, is dropped as soon as there are rules. stateful:
 * the answers pass, too.
 * Guards are about what the machine sends: frames with another hardware address than its own, answers of DHCP servers, router advertisements, and more
 * than so many broadcasts and multicasts a second are dropped. Isolated ports do not reach each other, but all others of their bridge.
 *
 * All of it is the nftables table bridge berth: two maps from a tap's name to its chain, so that a frame is looked at by its own port's rules only, however
 * many ports there are; a third map leads to what an isolated one may not reach. A port's rules are replaced in one transaction of the kernel. They are
 * for a name: they are there before the tap is, so that nothing passes before them. Taps of ports that have policies from the start are therefore named by
 * us, after the NIC's hardware address.
 *
 * A port's VLANs are the bridge's (port_vlan.c), which can have them only when the tap is in it; who gets a copy of what it sends and gets is a filter of
 * the tap (mirror.c). Until they are set, which is tried whenever the kernel tells of a link, and while VLANs change, its rules begin with one that drops
 * everything, "waiting". What it may send and get is port_qos.c's.
 */
#define LOG_MODULE "net"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

#define TABLE "bridge berth"
#define RULES_MAX 1000
#define PORTS_MAX 64                      /* words of a list of ports */
#define STORM_MAX 1000000
#define TIER_MAX 9
/* Its type follows; nft's own word for it would not look behind a VLAN tag. */
#define ICMPV6 "meta protocol ip6 meta l4proto ipv6-icmp @th,0,8"
#define MARK 0x80000000                   /* of connections that a stateful rule let through: this bit, the others are nft.c's */

/* One change at a time: whether the table is there is looked at and acted on. Guards pending, too. */
static pthread_mutex_t port_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- what is asked for ---- */

struct acl {
	bool in, stateful;
	const char *verdict;             /* of nft; in a tier, return is to the next */
	json_int_t tier, priority;
	unsigned number;                 /* place in the list, from 1 */
	const char *protocol, *remote, *local_ports, *remote_ports;      /* NULL: any */
	json_int_t protocol_number;      /* -1: none */
};

static bool is_known(const char *name, const json_t *value)
{
	static const char *const guards[] = { "macGuard", "dhcpGuard", "raGuard", "isolated", NULL };

	if (!strcmp(name, "acls"))
		return json_is_array(value);
	if (!strcmp(name, "vlan") || !strcmp(name, "bandwidth"))
		return true;                     /* port_vlan.c and port_qos.c look */
	if (!strcmp(name, "mirrorTo"))
		return json_is_string(value);
	if (!strcmp(name, "stormLimit"))
		return json_integer_value(value) >= 1 && json_integer_value(value) <= STORM_MAX;
	return g_strv_contains(guards, name) && json_is_boolean(value);
}

static bool is_ports(const char *text)
{
	g_autoptr(GArray) ranges = net_ranges_parse(text, 65535);

	return ranges && ranges->len <= PORTS_MAX;
}

static bool is_remote(const char *text)
{
	struct net_prefix prefix;
	struct in6_addr address;

	return net_prefix_parse(text, &prefix) || inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static bool has_ports(const struct acl *acl)
{
	return acl->local_ports || acl->remote_ports;
}

/* What is wrong with it: the name of a member, or a sentence; NULL: nothing. */
static const char *read_acl(const json_t *json, struct acl *acl)
{
	static const char *const known[] = { "direction", "action", "tier", "priority", "protocol", "remote", "localPorts", "remotePorts", "stateful", NULL };
	static const char *const protocols[] = { "any", "tcp", "udp", "icmp", NULL };
	static const struct { const char *action, *verdict; } verdicts[] = { { "allow", "accept" }, { "block", "drop" }, { "pass", "return" } };
	const json_t *protocol = json_object_get(json, "protocol"), *priority = json_object_get(json, "priority"), *tier = json_object_get(json, "tier"), *value;
	const char *direction = json_string_value(json_object_get(json, "direction")), *action = json_string_value(json_object_get(json, "action"));
	const struct { const char *name; const char **text; } texts[] = { { "remote", &acl->remote }, { "localPorts", &acl->local_ports },
		{ "remotePorts", &acl->remote_ports } };
	const char *name;

	if (!json_is_object(json))
		return "is no object";
	json_object_foreach((json_t *)json, name, value)
		if (!g_strv_contains(known, name))
			return "has an unknown member";
	if (!direction || (strcmp(direction, "in") && strcmp(direction, "out")))
		return "direction is neither in nor out";
	for (size_t i = 0; i < G_N_ELEMENTS(verdicts); i++)
		if (!g_strcmp0(action, verdicts[i].action))
			acl->verdict = verdicts[i].verdict;
	if (!acl->verdict)
		return "action is none of allow, block, pass";
	if (tier && (!json_is_integer(tier) || json_integer_value(tier) < 0 || json_integer_value(tier) > TIER_MAX))
		return "tier is not 0 to 9";
	if (!json_is_integer(priority) || json_integer_value(priority) < 0 || json_integer_value(priority) > 65535)
		return "priority is not 0 to 65535";
	acl->in = !strcmp(direction, "in");
	acl->tier = json_integer_value(tier);
	acl->priority = json_integer_value(priority);
	acl->stateful = json_is_true(json_object_get(json, "stateful"));
	acl->protocol_number = json_is_integer(protocol) ? json_integer_value(protocol) : -1;
	acl->protocol = json_string_value(protocol);
	if (protocol && !(acl->protocol ? g_strv_contains(protocols, acl->protocol) : acl->protocol_number >= 0 && acl->protocol_number <= 255))
		return "protocol is none of any, tcp, udp, icmp, 0 to 255";
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		value = json_object_get(json, texts[i].name);
		*texts[i].text = json_string_value(value);
		if (value && (!*texts[i].text || !(i ? is_ports(*texts[i].text) : is_remote(*texts[i].text))))
			return i ? "localPorts or remotePorts is no list of ports, 80,443,1000-2000" : "remote is no address and no network";
	}
	if (json_object_get(json, "stateful") && (!json_is_boolean(json_object_get(json, "stateful")) || (acl->stateful && strcmp(action, "allow"))))
		return "stateful is for action allow, true or false";
	if (has_ports(acl) && g_strcmp0(acl->protocol, "tcp") && g_strcmp0(acl->protocol, "udp"))
		return "ports need protocol tcp or udp";
	return NULL;
}

static int compare_acls(gconstpointer a, gconstpointer b)
{
	const struct acl *x = a, *y = b;

	if (x->tier != y->tier)
		return x->tier < y->tier ? -1 : 1;
	return x->priority != y->priority ? (x->priority < y->priority ? -1 : 1) : (int)x->number - (int)y->number;
}

/* In the order in which they are looked at. NULL + ERR_INVALID_PARAMETER */
static GArray *read_acls(const json_t *policies, GError **error)
{
	const json_t *list = json_object_get(policies, "acls"), *value;
	g_autoptr(GArray) acls = g_array_new(FALSE, TRUE, sizeof(struct acl));
	const char *name;

	if (policies && !json_is_object(policies)) {
		error_set(error, ERR_INVALID_PARAMETER, "policies: it is no object");
		return NULL;
	}
	json_object_foreach((json_t *)policies, name, value)
		if (!is_known(name, value)) {
			error_set(error, ERR_INVALID_PARAMETER, "policies: '%s' is unknown or of a wrong kind", name);
			return NULL;
		}
	if (json_array_size(list) > RULES_MAX) {
		error_set(error, ERR_INVALID_PARAMETER, "policies: %zu acls are more than %d", json_array_size(list), RULES_MAX);
		return NULL;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct acl acl = { .number = (unsigned)i + 1 };
		const char *problem = read_acl(json_array_get(list, i), &acl);

		if (problem) {
			g_autofree char *text = json_dumps(json_array_get(list, i), JSON_COMPACT | JSON_ENCODE_ANY);

			error_set(error, ERR_INVALID_PARAMETER, "policies: acls/%zu: %s: %.200s", i, problem, text);
			return NULL;
		}
		g_array_append_val(acls, acl);
	}
	g_array_sort(acls, compare_acls);
	return g_steal_pointer(&acls);
}

/* ---- as nftables say it ---- */

/* A name that nft takes: what is no letter or digit becomes _HEX. g_free */
char *net_port_chain(const char *way, const char *tap)
{
	GString *name = g_string_new(way);

	g_string_append_c(name, '_');
	for (const char *c = tap; *c; c++)
		g_string_append_printf(name, g_ascii_isalnum(*c) ? "%c" : "_%02x", *c);
	return g_string_free(name, FALSE);
}

static void add_match(GString *text, const struct acl *acl)
{
	const char *family = acl->remote ? strchr(acl->remote, ':') ? "ip6" : "ip" : "{ ip, ip6 }";

	/* not the ether type: that is the tag's, if there is one */
	g_string_append_printf(text, "meta protocol %s", family);
	if (acl->remote)
		g_string_append_printf(text, " %s %s %s", family, acl->in ? "saddr" : "daddr", acl->remote);
	if (!g_strcmp0(acl->protocol, "icmp"))
		g_string_append(text, " meta l4proto { icmp, ipv6-icmp }");
	else if (acl->protocol && strcmp(acl->protocol, "any"))
		g_string_append_printf(text, " meta l4proto %s", acl->protocol);
	else if (acl->protocol_number >= 0)
		g_string_append_printf(text, " meta l4proto %d", (int)acl->protocol_number);
	if (acl->local_ports)
		g_string_append_printf(text, " th %s { %s }", acl->in ? "dport" : "sport", acl->local_ports);
	if (acl->remote_ports)
		g_string_append_printf(text, " th %s { %s }", acl->in ? "sport" : "dport", acl->remote_ports);
}

static bool is_stateful(const GArray *acls)
{
	for (guint i = 0; i < acls->len; i++)
		if (g_array_index(acls, struct acl, i).stateful)
			return true;
	return false;
}

/* The rules of one direction: those of a tier are a chain without a name, which goes with the rule that leads there. */
static void add_rules(GString *text, const char *chain, bool in, const GArray *acls)
{
	json_int_t tier = -1;

	if (acls->len)
		g_string_append_printf(text, "add rule " TABLE " %s meta protocol { vlan, 0x88a8 } counter drop comment \"tagged\"\n"
				       "add rule " TABLE " %s " ICMPV6 " { 133-136 } accept\n", chain, chain);         /* neighbour discovery */
	if (is_stateful(acls))
		g_string_append_printf(text, "add rule " TABLE " %s ct mark & 0x%x != 0 ct state established,related counter accept comment \"answers\"\n", chain, MARK);
	for (guint i = 0; i < acls->len; i++) {
		const struct acl *acl = &g_array_index(acls, struct acl, i);

		if (acl->in != in)
			continue;
		if (acl->tier != tier)
			g_string_append_printf(text, "%sadd rule " TABLE " %s jump {\n", tier < 0 ? "" : "}\n", chain);
		tier = acl->tier;
		add_match(text, acl);
		if (acl->stateful)
			g_string_append_printf(text, " ct state new,established ct mark set ct mark | 0x%x", MARK);
		g_string_append_printf(text, " counter %s comment \"acl %u\"\n", acl->verdict, acl->number);
	}
	if (tier >= 0)
		g_string_append(text, "}\n");
}

static void add_guards(GString *text, const char *chain, const char *mac, const json_t *policies)
{
	json_int_t storm = json_integer_value(json_object_get(policies, "stormLimit"));

	if (json_is_true(json_object_get(policies, "macGuard")))
		g_string_append_printf(text, "add rule " TABLE " %s ether saddr != %s counter drop comment \"macGuard\"\n"
				       "add rule " TABLE " %s meta protocol arp arp saddr ether != %s counter drop comment \"macGuard\"\n", chain, mac, chain, mac);
	if (json_is_true(json_object_get(policies, "dhcpGuard")))
		g_string_append_printf(text, "add rule " TABLE " %s udp sport { 67, 547 } counter drop comment \"dhcpGuard\"\n", chain);
	if (json_is_true(json_object_get(policies, "raGuard")))
		g_string_append_printf(text, "add rule " TABLE " %s " ICMPV6 " { 134, 137 } counter drop comment \"raGuard\"\n", chain);
	if (storm)
		g_string_append_printf(text, "add rule " TABLE " %s meta pkttype { broadcast, multicast } limit rate over %d/second burst %d packets "
				       "counter drop comment \"stormLimit\"\n", chain, (int)storm, (int)storm);
}

/* Added each time: what is there already stays, but for the rules, which are put in anew. */
static const char base[] =
	"add table " TABLE "\n"
	"add map " TABLE " in { type ifname : verdict ; }\n"
	"add map " TABLE " out { type ifname : verdict ; }\n"
	"add map " TABLE " across { type ifname : verdict ; }\n"
	"add set " TABLE " isolated { type ifname ; }\n"
	"add chain " TABLE " prerouting { type filter hook prerouting priority -150 ; policy accept ; }\n"         /* after conntrack, -200 */
	"add chain " TABLE " postrouting { type filter hook postrouting priority 0 ; policy accept ; }\n"
	"add chain " TABLE " forward { type filter hook forward priority 0 ; policy accept ; }\n"
	"flush chain " TABLE " prerouting\nflush chain " TABLE " postrouting\nflush chain " TABLE " forward\n"
	"add rule " TABLE " forward iifname vmap @across\n"
	"add rule " TABLE " prerouting iifname vmap @out\n"
	"add rule " TABLE " postrouting oifname vmap @in\n";

/* Where bridges track connections: those of networks with equal addresses apart. */
static void add_zones(GString *text, struct net *net)
{
	struct net_config *config = net_running_config(net);
	g_autofree char *rules = net_nft_bridge_zones(config, TABLE " zones");

	g_string_append_printf(text, "add chain " TABLE " zones { type filter hook prerouting priority -300 ; policy accept ; }\n"
			       "flush chain " TABLE " zones\n%s", rules);
	net_config_free(config);
}

/* Chains of a port: what it gets, what it sends, what it sends to other ports. */
enum { IN, OUT, ACROSS, WAY_MAX };
static const char *const ways[WAY_MAX] = { "in", "out", "across" };

static void add_isolation(GString *text, const char *tap, bool isolated)
{
	/* what may not be there is made first */
	g_string_append_printf(text, "add element " TABLE " isolated { \"%s\" }\n", tap);
	if (!isolated)
		g_string_append_printf(text, "delete element " TABLE " isolated { \"%s\" }\n", tap);
}

static void add_removal(GString *text, const char *tap)
{
	add_isolation(text, tap, false);
	for (size_t i = 0; i < WAY_MAX; i++) {
		g_autofree char *chain = net_port_chain(ways[i], tap);

		g_string_append_printf(text, "add chain " TABLE " %s\nadd element " TABLE " %s { \"%s\" : jump %s }\n"
				       "delete element " TABLE " %s { \"%s\" : jump %s }\nflush chain " TABLE " %s\ndelete chain " TABLE " %s\n", chain, ways[i], tap,
				       chain, ways[i], tap, chain, chain, chain);
	}
}

/* All rules of a port that has some. waiting: nothing passes yet. */
static void add_port(GString *text, const char *tap, const char *mac, const json_t *policies, const GArray *acls, const struct net_vlan *vlan, bool waiting)
{
	bool isolated = json_is_true(json_object_get(policies, "isolated"));

	add_isolation(text, tap, isolated);
	for (size_t i = 0; i < WAY_MAX; i++) {
		g_autofree char *chain = net_port_chain(ways[i], tap);
		g_autofree char *rule = g_strdup_printf("add rule " TABLE " %s", chain);

		g_string_append_printf(text, "add chain " TABLE " %s\nflush chain " TABLE " %s\n", chain, chain);
		if (waiting)
			g_string_append_printf(text, "%s counter drop comment \"waiting\"\n", rule);
		if (i == OUT)
			add_guards(text, chain, mac, policies);
		if (i == OUT)
			net_vlan_rules(text, rule, vlan);
		if (i == ACROSS && isolated)
			g_string_append_printf(text, "%s oifname @isolated counter drop comment \"isolated\"\n", rule);
		if (i != ACROSS)
			add_rules(text, chain, i == IN, acls);
		g_string_append_printf(text, "add element " TABLE " %s { \"%s\" : jump %s }\n", ways[i], tap, chain);
	}
}

/* A file that is there as long as the table may be: libnftables at work costs 2 MiB, which an agent without policies is spared. */
static char *mark_path(const struct net *net)
{
	return g_build_filename(net->directory, "policies", NULL);
}

static bool has_table(const struct net *net)
{
	g_autofree char *mark = mark_path(net);
	g_autofree char *listing = access(mark, F_OK) == 0 ? net_nft_run("list tables bridge", NULL) : NULL;

	return listing && strstr(listing, "table " TABLE "\n");
}

/* ---- what others call ---- */

char *net_port_name(const char *mac)
{
	uint8_t m[6];

	return net_mac_parse(mac, m) ? g_strdup_printf("bt%02x%02x%02x%02x%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]) : NULL;
}

static bool run(const char *tap, const char *text, bool only_check, GError **error)
{
	g_autofree char *problem = NULL;
	g_autofree char *answer = only_check ? NULL : net_nft_run(text, &problem);

	if (answer || (only_check && net_nft_check(text, &problem)))
		return true;
	error_set(error, ERR_FAILED_IFUP, "policies of '%s': nftables: %s%s", tap, problem ? problem : "",
		  strstr(text, " ct mark") ? "; stateful needs connection tracking of bridges (nf_conntrack_bridge)" : "");
	return false;
}

/* Nothing passes the port until it is set again. */
static bool hold(const char *tap, GError **error)
{
	g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(struct acl));
	g_autoptr(GString) text = g_string_new(base);

	add_port(text, tap, /* mac= */ NULL, /* policies= */ NULL, none, &(struct net_vlan){ 0 }, /* waiting= */ true);
	return run(tap, text->str, /* only_check= */ false, error);
}

bool net_port_hold(struct net *net, const char *tap, GError **error)
{
	AUTO_LOCK(&port_lock);
	return hold(tap, error);
}

bool net_port_check(const char *bridge, const json_t *policies, GError **error)
{
	struct net_vlan vlan;

	return net_vlan_parse(json_object_get(policies, "vlan"), &vlan, error) && (!vlan.given || net_vlan_bridge(bridge, &vlan, error));
}

/* ---- ports that are to come ---- */

/* policies: of a port that waits; NULL: it does not. */
struct pending { char *mac; json_t *policies; };

void net_pending_free(void *data)
{
	struct pending *pending = data;

	g_free(pending->mac);
	json_decref(pending->policies);
	g_free(pending);
}

static void expect(struct net *net, const char *tap, const char *mac, const json_t *policies)
{
	struct pending *pending = g_new0(struct pending, 1);

	*pending = (struct pending){ .mac = g_strdup(mac), .policies = json_incref((json_t *)policies) };
	g_hash_table_replace(net->pending_ports, g_strdup(tap), pending);
}

/* Locked. */
static bool set(struct net *net, const char *tap, const char *mac, const json_t *policies, GError **error)
{
	const char *to = json_string_value(json_object_get(policies, "mirrorTo"));
	g_autoptr(GArray) acls = read_acls(policies, error);
	g_autoptr(GString) text = g_string_new(base);
	enum net_port_state state = NET_PORT_SET;
	struct net_port_qos qos;
	struct net_vlan vlan;
	uint8_t parsed[6];
	bool waits;

	if (!acls || !net_vlan_parse(json_object_get(policies, "vlan"), &vlan, error) ||
	    !net_port_qos_parse(json_object_get(policies, "bandwidth"), &qos, error))
		return false;
	if (strchr(tap, '"')) {
		error_set(error, ERR_INVALID_PARAMETER, "policies: a tap cannot be called '%s'", tap);
		return false;
	}
	if (!mac || !net_mac_parse(mac, parsed) || (to && !net_mac_parse(to, parsed))) {
		bool own = !mac || !net_mac_parse(mac, parsed);

		error_set(error, ERR_INVALID_PARAMETER, "policies: %s'%s' is no hardware address of a NIC", own ? "" : "mirrorTo: ", !own ? to : mac ? mac : "");
		return false;
	}
	if (!has_table(net)) {
		g_autofree char *mark = mark_path(net);
		g_autoptr(GError) cause = NULL;

		if (!json_object_size(policies))
			return true;
		if (!g_file_set_contents(mark, "", 0, &cause)) {
			error_set(error, ERR_FAILED_IFUP, "policies of '%s': %s", tap, cause->message);
			return false;
		}
	}
	if (!net_vlan_port(net, tap, &vlan, /* set= */ false, &state, error))
		return false;
	if (is_stateful(acls))
		add_zones(text, net);
	waits = state == NET_PORT_ABSENT || (to && !if_nametoindex(tap));
	if (json_object_size(policies))
		add_port(text, tap, mac, policies, acls, &vlan, waits);
	else
		add_removal(text, tap);
	if (((to || state == NET_PORT_OTHER) && !run(tap, text->str, /* only_check= */ true, error)) || !net_mirror_port(net, tap, mac, to, error))
		return false;
	if (state == NET_PORT_OTHER && (!hold(tap, error) || !net_vlan_port(net, tap, &vlan, /* set= */ true, &state, error)))
		return false;
	if (!net_port_qos_set(net, tap, &qos, error) || !run(tap, text->str, /* only_check= */ false, error))
		return false;
	if (g_hash_table_contains(net->pending_ports, tap) || (json_object_size(policies) && !if_nametoindex(tap)))
		expect(net, tap, mac, waits ? policies : NULL);
	return true;
}

bool net_port_set(struct net *net, const char *tap, const char *mac, const json_t *policies, GError **error)
{
	net_ports_await(net);
	AUTO_LOCK(&port_lock);
	return set(net, tap, mac, policies, error);
}

void net_port_expected(struct net *net, const char *tap)
{
	AUTO_LOCK(&port_lock);
	if (!g_hash_table_contains(net->pending_ports, tap))
		expect(net, tap, /* mac= */ NULL, /* policies= */ NULL);
}

void net_port_settled(struct net *net, const char *tap)
{
	AUTO_LOCK(&port_lock);
	g_hash_table_remove(net->pending_ports, tap);
}

bool net_ports_look(struct net *net)
{
	g_autoptr(GPtrArray) taps = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *tap, *value;
	AUTO_LOCK(&port_lock);

	g_hash_table_iter_init(&iter, net->pending_ports);
	while (g_hash_table_iter_next(&iter, &tap, &value))
		if (((const struct pending *)value)->policies)
			g_ptr_array_add(taps, g_strdup(tap));
	for (guint i = 0; i < taps->len; i++) {
		const struct pending *pending = g_hash_table_lookup(net->pending_ports, taps->pdata[i]);
		g_autofree char *mac = g_strdup(pending->mac);
		json_t *policies = json_incref(pending->policies);
		g_autoptr(GError) error = NULL;

		if (if_nametoindex(taps->pdata[i]) && !set(net, taps->pdata[i], mac, policies, &error))
			log_error("'%s' still waits: %s", (char *)taps->pdata[i], error->message);
		json_decref(policies);
	}
	return taps->len;
}

void net_port_zones(struct net *net)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *there = NULL;
	g_autofree char *answer = NULL;
	g_autofree char *problem = NULL;
	AUTO_LOCK(&port_lock);

	if (!has_table(net) || !(there = net_nft_run("list chain " TABLE " zones", NULL)))
		return;
	add_zones(text, net);
	if (!(answer = net_nft_run(text->str, &problem)))
		log_warn("stateful rules of ports do not tell networks with equal addresses apart, ignoring: %s", problem);
}

/* Names in the answer to "list map ... in": "bt525400000001" : jump ... */
static unsigned add_gone(struct net *net, GString *text)
{
	g_autofree char *listing = net_nft_run("list map " TABLE " in", NULL);
	g_auto(GStrv) words = g_strsplit(listing ? listing : "", "\"", -1);
	unsigned there = 0;

	for (size_t i = 1; words[0] && words[i]; i += 2)
		if (!if_nametoindex(words[i]) && !g_hash_table_contains(net->pending_ports, words[i])) {
			add_removal(text, words[i]);
			net_mirror_forget(net, words[i]);
		} else
			there++;
	return there;
}

void net_port_sweep(struct net *net)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *mark = mark_path(net);
	g_autofree char *answer = NULL;
	g_autofree char *problem = NULL;
	bool last = true;
	AUTO_LOCK(&port_lock);

	if (has_table(net)) {
		last = !add_gone(net, text);
		if (last)
			g_string_assign(text, "delete table " TABLE "\n");
		if (text->len && !(answer = net_nft_run(text->str, &problem))) {
			log_warn("policies of ports that are gone stay, ignoring: %s", problem);
			last = false;
		}
	}
	if (access(mark, F_OK) == 0)
		net_port_qos_sweep(net);
	if (last)
		(void)unlink(mark);
}
