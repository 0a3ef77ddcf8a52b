/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of bonds, bridges and VXLANs: name (as in sysfs), netlink attribute, range, default. The tables are what the kernel's documentation of the bonding
 * driver (Documentation/networking/bonding.rst) and of bridges (IFLA_BR_* in linux/if_link.h) lists and what can be set; they check a request, write
 * the kernel's messages and read its answers. A value is a text without blanks: a number, a list with commas, a name where the kernel has names.
 *
 * Bond options that the kernel takes only without slaves or while the bond is down are not `live`: changing them makes the bond anew.
 */
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <string.h>
#include "agent/net/net-priv.h"

/* As in linux/if_bonding.h, which does not go with net/if.h. */
enum { BALANCE_RR, ACTIVE_BACKUP, BALANCE_XOR, BROADCAST, LACP, TLB, ALB };
#define TARGETS_MAX 16

#define MODE(n) (1u << (n))
#define ALL 0x7fu
#define NOT_ARP (MODE(LACP) | MODE(TLB) | MODE(ALB))
#define WITH_PRIMARY (MODE(ACTIVE_BACKUP) | MODE(TLB) | MODE(ALB))
#define MIIMON_DEFAULT "100"

enum value { U8, U16, U32, PORT, LINK, MAC, IPV4, IPV6, IPV4S, IPV6S };

struct net_option {
	const char *name;
	int attribute;
	enum value type;
	uint32_t min, max;
	const char *standard;            /* default of the kernel: not written when wanted */
	bool live;
	unsigned modes;                  /* bonds: in which modes it can be given */
	const char *const *names;
};

static const char *const modes[] = { "balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb", NULL };
static const char *const arp_validates[] = { "none", "active", "backup", "all", "filter", "filter_active", "filter_backup", NULL };
static const char *const any_all[] = { "any", "all", NULL };
static const char *const reselects[] = { "always", "better", "failure", NULL };
static const char *const fail_overs[] = { "none", "active", "follow", NULL };
static const char *const policies[] = { "layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac", NULL };
static const char *const rates[] = { "slow", "fast", NULL };
static const char *const selects[] = { "stable", "bandwidth", "count", NULL };
static const char *const off_on[] = { "off", "on", NULL };

#define NUMBER(option, id, width, low, high, def, is_live, in) \
	{ .name = option, .attribute = id, .type = width, .min = low, .max = high, .standard = def, .live = is_live, .modes = in }
#define NAMED(option, id, width, list, def, is_live, in) \
	{ .name = option, .attribute = id, .type = width, .max = G_N_ELEMENTS(list) - 2, .standard = def, .live = is_live, .modes = in, .names = list }
#define OTHER(option, id, kind, is_live, in) { .name = option, .attribute = id, .type = kind, .standard = "", .live = is_live, .modes = in }
#define INT_MAX_ 0x7fffffffu

static const struct net_option bond_options[] = {
	NAMED("mode", IFLA_BOND_MODE, U8, modes, "0", false, ALL),
	NUMBER("miimon", IFLA_BOND_MIIMON, U32, 0, INT_MAX_, "0", true, ALL),
	NUMBER("updelay", IFLA_BOND_UPDELAY, U32, 0, INT_MAX_, "0", true, ALL),
	NUMBER("downdelay", IFLA_BOND_DOWNDELAY, U32, 0, INT_MAX_, "0", true, ALL),
	NUMBER("peer_notif_delay", IFLA_BOND_PEER_NOTIF_DELAY, U32, 0, 300000, "0", true, ALL),
	NUMBER("use_carrier", IFLA_BOND_USE_CARRIER, U8, 0, 1, "1", true, ALL),
	NUMBER("arp_interval", IFLA_BOND_ARP_INTERVAL, U32, 0, INT_MAX_, "0", true, ALL & ~NOT_ARP),
	OTHER("arp_ip_target", IFLA_BOND_ARP_IP_TARGET, IPV4S, true, ALL & ~NOT_ARP),
	OTHER("ns_ip6_target", IFLA_BOND_NS_IP6_TARGET, IPV6S, true, ALL & ~NOT_ARP),
	NAMED("arp_validate", IFLA_BOND_ARP_VALIDATE, U32, arp_validates, "0", true, ALL & ~NOT_ARP),
	NAMED("arp_all_targets", IFLA_BOND_ARP_ALL_TARGETS, U32, any_all, "0", true, ALL & ~NOT_ARP),
	NUMBER("arp_missed_max", IFLA_BOND_MISSED_MAX, U8, 1, 255, "2", true, ALL & ~NOT_ARP),
	OTHER("primary", IFLA_BOND_PRIMARY, LINK, true, WITH_PRIMARY),
	NAMED("primary_reselect", IFLA_BOND_PRIMARY_RESELECT, U8, reselects, "0", true, WITH_PRIMARY),
	NAMED("fail_over_mac", IFLA_BOND_FAIL_OVER_MAC, U8, fail_overs, "0", false, ALL),
	NAMED("xmit_hash_policy", IFLA_BOND_XMIT_HASH_POLICY, U8, policies, "0", true, ALL),
	NUMBER("resend_igmp", IFLA_BOND_RESEND_IGMP, U32, 0, 255, "1", true, ALL),
	NUMBER("num_grat_arp", IFLA_BOND_NUM_PEER_NOTIF, U8, 0, 255, "1", true, ALL),
	NUMBER("num_unsol_na", IFLA_BOND_NUM_PEER_NOTIF, U8, 0, 255, "1", true, ALL),
	NUMBER("all_slaves_active", IFLA_BOND_ALL_SLAVES_ACTIVE, U8, 0, 1, "0", true, ALL),
	NUMBER("min_links", IFLA_BOND_MIN_LINKS, U32, 0, INT_MAX_, "0", true, ALL),
	NUMBER("lp_interval", IFLA_BOND_LP_INTERVAL, U32, 1, INT_MAX_, "1", true, ALL),
	NUMBER("packets_per_slave", IFLA_BOND_PACKETS_PER_SLAVE, U32, 0, 65535, "1", true, MODE(BALANCE_RR)),
	NAMED("lacp_rate", IFLA_BOND_AD_LACP_RATE, U8, rates, "0", false, MODE(LACP)),
	NAMED("lacp_active", IFLA_BOND_AD_LACP_ACTIVE, U8, off_on, "1", false, MODE(LACP)),
	NAMED("ad_select", IFLA_BOND_AD_SELECT, U8, selects, "0", false, ALL),
	NUMBER("ad_actor_sys_prio", IFLA_BOND_AD_ACTOR_SYS_PRIO, U16, 1, 65535, "65535", true, MODE(LACP)),
	OTHER("ad_actor_system", IFLA_BOND_AD_ACTOR_SYSTEM, MAC, true, MODE(LACP)),
	NUMBER("ad_user_port_key", IFLA_BOND_AD_USER_PORT_KEY, U16, 0, 1023, "0", false, MODE(LACP)),
	NUMBER("tlb_dynamic_lb", IFLA_BOND_TLB_DYNAMIC_LB, U8, 0, 1, "1", false, MODE(TLB) | MODE(ALB)),
	{ NULL },
};

/* Times in 1/100 s. */
static const struct net_option bridge_options[] = {
	NUMBER("stp_state", IFLA_BR_STP_STATE, U32, 0, 1, "0", true, ALL),
	NUMBER("forward_delay", IFLA_BR_FORWARD_DELAY, U32, 0, 3000, "1500", true, ALL),
	NUMBER("hello_time", IFLA_BR_HELLO_TIME, U32, 100, 1000, "200", true, ALL),
	NUMBER("max_age", IFLA_BR_MAX_AGE, U32, 600, 4000, "2000", true, ALL),
	NUMBER("ageing_time", IFLA_BR_AGEING_TIME, U32, 0, INT_MAX_, "30000", true, ALL),
	NUMBER("priority", IFLA_BR_PRIORITY, U16, 0, 65535, "32768", true, ALL),
	NUMBER("vlan_filtering", IFLA_BR_VLAN_FILTERING, U8, 0, 1, "0", true, ALL),
	NUMBER("default_pvid", IFLA_BR_VLAN_DEFAULT_PVID, U16, 0, 4094, "1", true, ALL),
	NUMBER("group_fwd_mask", IFLA_BR_GROUP_FWD_MASK, U16, 0, 65535, "0", true, ALL),
	NUMBER("multicast_router", IFLA_BR_MCAST_ROUTER, U8, 0, 2, "1", true, ALL),
	NUMBER("multicast_snooping", IFLA_BR_MCAST_SNOOPING, U8, 0, 1, "1", true, ALL),
	NUMBER("multicast_query_use_ifaddr", IFLA_BR_MCAST_QUERY_USE_IFADDR, U8, 0, 1, "0", true, ALL),
	NUMBER("multicast_querier", IFLA_BR_MCAST_QUERIER, U8, 0, 1, "0", true, ALL),
	NUMBER("hash_max", IFLA_BR_MCAST_HASH_MAX, U32, 1, INT_MAX_, "4096", true, ALL),
	NUMBER("multicast_last_member_count", IFLA_BR_MCAST_LAST_MEMBER_CNT, U32, 0, INT_MAX_, "2", true, ALL),
	NUMBER("multicast_startup_query_count", IFLA_BR_MCAST_STARTUP_QUERY_CNT, U32, 0, INT_MAX_, "2", true, ALL),
	NUMBER("multicast_igmp_version", IFLA_BR_MCAST_IGMP_VERSION, U8, 2, 3, "2", true, ALL),
	NUMBER("nf_call_iptables", IFLA_BR_NF_CALL_IPTABLES, U8, 0, 1, "0", true, ALL),
	NUMBER("nf_call_ip6tables", IFLA_BR_NF_CALL_IP6TABLES, U8, 0, 1, "0", true, ALL),
	NUMBER("nf_call_arptables", IFLA_BR_NF_CALL_ARPTABLES, U8, 0, 1, "0", true, ALL),
	{ NULL },
};

/* All of them only from the beginning. */
static const struct net_option vxlan_options[] = {
	NUMBER("vni", IFLA_VXLAN_ID, U32, 1, 16777215, "0", false, ALL),
	NUMBER("port", IFLA_VXLAN_PORT, PORT, 1, 65535, "0", false, ALL),
	OTHER("local", IFLA_VXLAN_LOCAL, IPV4, false, ALL),
	OTHER("local6", IFLA_VXLAN_LOCAL6, IPV6, false, ALL),
	OTHER("group", IFLA_VXLAN_GROUP, IPV4, false, ALL),
	OTHER("group6", IFLA_VXLAN_GROUP6, IPV6, false, ALL),
	OTHER("dev", IFLA_VXLAN_LINK, LINK, false, ALL),
	{ NULL },
};

static const struct net_option *table_of(const char *kind)
{
	return !strcmp(kind, "bond") ? bond_options : !strcmp(kind, "bridge") ? bridge_options : !strcmp(kind, "vxlan") ? vxlan_options : NULL;
}

static const struct net_option *option_find(const char *kind, const char *name)
{
	for (const struct net_option *option = table_of(kind); option && option->name; option++)
		if (!strcmp(option->name, name))
			return option;
	return NULL;
}

const char *net_option_standard(const char *kind, const char *name)
{
	return option_find(kind, name)->standard;
}

bool net_option_live(const char *kind, const char *name)
{
	return option_find(kind, name)->live;
}

char *net_options_text(const char *kind, GHashTable *options)
{
	GString *text = g_string_new(NULL);

	for (const struct net_option *option = table_of(kind); options && option && option->name; option++) {
		const char *value = g_hash_table_lookup(options, option->name);
		bool twin = option > table_of(kind) && option[-1].attribute == option->attribute && g_hash_table_contains(options, option[-1].name);

		/* modes differ in their default of miimon */
		if (value && !twin && (strcmp(value, option->standard) || !strcmp(option->name, "miimon")))
			g_string_append_printf(text, " %s=%s", option->name, value);
	}
	return g_string_free(text, FALSE);
}

/* ---- requests ---- */

static char *normal_list(const char *text, int family)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);
	g_autoptr(GString) list = g_string_new(NULL);
	char buffer[INET6_ADDRSTRLEN];
	struct in6_addr address;

	for (size_t i = 0; words[i]; i++) {
		if (inet_pton(family, words[i], &address) != 1)
			return NULL;
		g_string_append_printf(list, "%s%s", i ? "," : "", inet_ntop(family, &address, buffer, sizeof(buffer)));
	}
	return words[0] && g_strv_length(words) <= TARGETS_MAX ? g_strdup(list->str) : NULL;
}

/* The value as the kernel tells it; NULL: not allowed. g_free */
static char *normal_value(const struct net_option *option, const char *text)
{
	guint64 number;
	uint8_t mac[6];
	int index;

	switch (option->type) {
	case LINK:
		return g_strdup(text);
	case MAC:
		return net_mac_parse(text, mac) ? g_ascii_strdown(text, -1) : NULL;
	case IPV4:
	case IPV4S:
		return normal_list(text, AF_INET);
	case IPV6:
	case IPV6S:
		return normal_list(text, AF_INET6);
	default:
		break;
	}
	if (option->names && (index = enum_value(option->names, text)) >= 0)
		return g_strdup_printf("%d", index);
	return g_ascii_string_to_unsigned(text, 10, option->min, option->max, &number, NULL) ? g_strdup_printf("%" G_GUINT64_FORMAT, number) : NULL;
}

/* "name=value name=value" -> table. what: for messages, "bond 'bond0'". NULL + error */
static GHashTable *parse(const char *kind, const char *what, const char *text, enum error_code code, GError **error)
{
	g_autoptr(GHashTable) options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_auto(GStrv) words = g_strsplit_set(text ? text : "", " \t", -1);

	for (size_t i = 0; words[i]; i++) {
		char *value = strchr(words[i], '=');
		const struct net_option *option;
		char *normal;

		if (!words[i][0] || g_str_has_prefix(words[i], "custom="))           /* custom=: for hook scripts */
			continue;
		if (value)
			*value++ = '\0';
		option = option_find(kind, words[i]);
		if (!option || !value) {
			error_set(error, code, "%s: '%s' is no option of a %s%s", what, words[i], kind, option ? " without a value" : "");
			return NULL;
		}
		if (!(normal = normal_value(option, value))) {
			error_set(error, code, "%s: option %s: '%s' is not allowed", what, option->name, value);
			return NULL;
		}
		if (!g_hash_table_insert(options, g_strdup(option->name), normal)) {
			error_set(error, code, "%s: option %s is given twice", what, option->name);
			return NULL;
		}
	}
	return g_steal_pointer(&options);
}

static unsigned number_of(GHashTable *options, const char *name)
{
	const char *text = g_hash_table_lookup(options, name);

	return text ? (unsigned)g_ascii_strtoull(text, NULL, 10) : 0;
}

/* What the kernel would refuse or silently change. */
static bool check_bond(const char *name, GHashTable *options, GError **error)
{
	unsigned mode = number_of(options, "mode"), miimon = number_of(options, "miimon");
	static const char *const delays[] = { "updelay", "downdelay", "peer_notif_delay" };
	GHashTableIter iter;
	void *key;

	g_hash_table_iter_init(&iter, options);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		if (!(option_find("bond", key)->modes & MODE(mode))) {
			error_set(error, ERR_BAD_BONDING, "bond '%s': option %s cannot be given in mode %s", name, (char *)key, modes[mode]);
			return false;
		}
	if (miimon && number_of(options, "arp_interval")) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': miimon and arp_interval exclude each other", name);
		return false;
	}
	if (number_of(options, "arp_interval") && !g_hash_table_contains(options, "arp_ip_target") && !g_hash_table_contains(options, "ns_ip6_target")) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': arp_interval without arp_ip_target", name);
		return false;
	}
	if (g_hash_table_contains(options, "num_grat_arp") && g_hash_table_contains(options, "num_unsol_na")) {
		error_set(error, ERR_BAD_BONDING, "bond '%s': num_grat_arp and num_unsol_na are the same option", name);
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(delays); i++)
		if (number_of(options, delays[i]) && (!miimon || number_of(options, delays[i]) % miimon)) {
			error_set(error, ERR_BAD_BONDING, "bond '%s': %s %u is no multiple of miimon %u", name, delays[i], number_of(options, delays[i]), miimon);
			return false;
		}
	return true;
}

GHashTable *net_bond_options(const char *name, const char *text, GError **error)
{
	g_autofree char *what = g_strdup_printf("bond '%s'", name);
	g_autoptr(GHashTable) options = parse("bond", what, text, ERR_BAD_BONDING, error);

	if (!options)
		return NULL;
	if (!g_hash_table_contains(options, "miimon") && !g_hash_table_contains(options, "arp_interval"))
		g_hash_table_insert(options, g_strdup("miimon"), g_strdup(MIIMON_DEFAULT));
	if (!g_hash_table_contains(options, "mode"))
		g_hash_table_insert(options, g_strdup("mode"), g_strdup("0"));
	return check_bond(name, options, error) ? g_steal_pointer(&options) : NULL;
}

GHashTable *net_bridge_options(const char *name, const char *text, GError **error)
{
	g_autofree char *what = g_strdup_printf("network '%s': bridge_opts", name);

	return parse("bridge", what, text, ERR_BAD_PARAMS, error);
}

/* ---- the kernel's messages ---- */

static void put_list(struct nl_msg *message, const struct net_option *option, const char *value)
{
	g_auto(GStrv) words = g_strsplit(value, ",", -1);
	struct nlattr *list = nla_nest_start(message, option->attribute);
	struct in6_addr address;

	for (int i = 0; words[i]; i++)
		if (inet_pton(option->type == IPV4S ? AF_INET : AF_INET6, words[i], &address) == 1)
			nla_put(message, i, option->type == IPV4S ? 4 : 16, &address);
	nla_nest_end(message, list);
}

bool net_option_put(struct nl_msg *message, const char *kind, const char *name, const char *value)
{
	const struct net_option *option = option_find(kind, name);
	uint32_t number = (uint32_t)g_ascii_strtoull(value, NULL, 10);
	struct in6_addr address;
	uint8_t mac[6] = { 0 };

	if (!option)
		return false;
	switch (option->type) {
	case U8:
		return nla_put_u8(message, option->attribute, (uint8_t)number) == 0;
	case U16:
		return nla_put_u16(message, option->attribute, (uint16_t)number) == 0;
	case U32:
		return nla_put_u32(message, option->attribute, number) == 0;
	case PORT:
		return nla_put_u16(message, option->attribute, htons((uint16_t)number)) == 0;
	case IPV4:
	case IPV6:
		return inet_pton(option->type == IPV4 ? AF_INET : AF_INET6, value, &address) == 1 &&
		       nla_put(message, option->attribute, option->type == IPV4 ? 4 : 16, &address) == 0;
	case LINK:
		return nla_put_u32(message, option->attribute, value[0] ? if_nametoindex(value) : 0) == 0;
	case MAC:
		(void)net_mac_parse(value, mac);
		return nla_put(message, option->attribute, sizeof(mac), mac) == 0;
	case IPV4S:
	case IPV6S:
		put_list(message, option, value);
	}
	return true;
}

static char *read_list(struct nlattr *list, int family)
{
	GString *text = g_string_new(NULL);
	char buffer[INET6_ADDRSTRLEN];
	struct nlattr *item;
	int rest;

	nla_for_each_nested(item, list, rest)
		if (nla_len(item) == (family == AF_INET ? 4 : 16))
			g_string_append_printf(text, "%s%s", text->len ? "," : "", inet_ntop(family, nla_data(item), buffer, sizeof(buffer)));
	return g_string_free(text, FALSE);
}

static char *read_value(const struct net_option *option, struct nlattr *attribute)
{
	char name[IF_NAMESIZE], text[INET6_ADDRSTRLEN];
	const uint8_t *m = nla_data(attribute);

	switch (option->type) {
	case U8:
		return g_strdup_printf("%u", nla_get_u8(attribute));
	case U16:
		return g_strdup_printf("%u", nla_get_u16(attribute));
	case U32:
		return g_strdup_printf("%u", nla_get_u32(attribute));
	case PORT:
		return g_strdup_printf("%u", ntohs(nla_get_u16(attribute)));
	case IPV4:
	case IPV6:
		return g_strdup(inet_ntop(option->type == IPV4 ? AF_INET : AF_INET6, m, text, sizeof(text)));
	case LINK:
		return g_strdup(if_indextoname(nla_get_u32(attribute), name) ? name : "");
	case MAC:
		return nla_len(attribute) == 6 && memcmp(m, "\0\0\0\0\0\0", 6) ? net_mac_text(m) : g_strdup("");
	case IPV4S:
		return read_list(attribute, AF_INET);
	case IPV6S:
		return read_list(attribute, AF_INET6);
	}
	return NULL;
}

GHashTable *net_options_read(const char *kind, struct nlattr *data)
{
	struct nlattr *attributes[MAX(MAX(IFLA_BOND_MAX, IFLA_BR_MAX), IFLA_VXLAN_MAX) + 1];
	const struct net_option *table = table_of(kind);
	GHashTable *options;

	if (!table || nla_parse_nested(attributes, G_N_ELEMENTS(attributes) - 1, data, NULL) < 0)
		return NULL;
	options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (const struct net_option *option = table; option->name; option++)
		if (attributes[option->attribute])
			g_hash_table_insert(options, g_strdup(option->name), read_value(option, attributes[option->attribute]));
	return options;
}
