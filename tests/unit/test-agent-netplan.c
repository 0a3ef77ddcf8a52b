/* SPDX-License-Identifier: Apache-2.0 */
/* Networks without a kernel: addresses, what a request may say, and the steps from a state to a wish. */
#include "cmocka-all.h"
#include <string.h>
#include "agent/net/net-priv.h"

static GHashTable *configs(const char *json)
{
	json_t *networks = json_loads(json, 0, NULL);
	GHashTable *table;

	assert_non_null(networks);
	table = net_configs(networks);
	assert_int_equal(g_hash_table_size(table), json_object_size(networks));
	json_decref(networks);
	return table;
}

/* eth0 and eth1, hardware; vnet0, a tap; br9, a bridge of somebody else */
static struct net_state *host(void)
{
	struct net_state *state = net_state_new();

	net_state_add(state, "lo", "")->type = 772;
	net_state_add(state, "eth0", "")->max_mtu = 9000;
	net_state_add(state, "eth1", "");
	net_state_add(state, "vnet0", "tun");
	net_state_add(state, "br9", "bridge");
	return state;
}

/* The steps as "step link value; ..."; "error CODE" */
static char *plan(struct net_state *state, const char *before, const char *wishes)
{
	g_autoptr(GHashTable) old = configs(before);
	g_autoptr(GHashTable) wanted = configs(wishes);
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) steps = net_plan(state, old, wanted, &error);
	GString *text = g_string_new(NULL);
	json_t *json, *step;
	size_t i;

	if (!steps) {
		print_message("# %s\n", error->message);
		g_string_printf(text, "error %d", error->code);
		return g_string_free(text, FALSE);
	}
	json = net_steps_to_json(steps);
	json_array_foreach(json, i, step) {
		const char *kind = json_string_value(json_object_get(step, "step")), *value = json_string_value(json_object_get(step, "value"));
		bool mac = !strcmp(kind, "bridge add") || !strcmp(kind, "link delete");

		g_string_append_printf(text, "%s%s %s%s%s", i ? "; " : "", kind, json_string_value(json_object_get(step, "link")), mac || !value[0] ? "" : " ",
				       mac ? "" : value);
	}
	/* the journal has all of it */
	g_autoptr(GPtrArray) again = net_steps_from_json(json);
	json_t *copy = net_steps_to_json(again);
	assert_true(json_equal(json, copy));
	json_decref(copy);
	json_decref(json);
	return g_string_free(text, FALSE);
}

static void assert_plan(struct net_state *state, const char *before, const char *wishes, const char *expected)
{
	g_autofree char *text = plan(state, before, wishes);

	net_state_free(state);
	assert_string_equal(text, expected);
}

#define NET1 "{\"net1\": {\"ipaddr\": \"192.0.2.1\", \"netmask\": \"255.255.255.0\"}}"

static void test_add(void **unused)
{
	struct net_state *state = host();

	assert_plan(host(), "{}", "{\"net1\": {}}", "bridge add net1; up net1");
	assert_plan(host(), "{}",
		    "{\"net1\": {\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"ipv6addr\": \"2001:DB8::1/64\", \"mtu\": 1400, \"stp\": true}}",
		    "bridge add net1; stp net1 on; mtu net1 1400; address add net1 192.0.2.1/24 brd 192.0.2.255; address add net1 2001:db8::1/64; up net1");
	assert_plan(host(), "{}", "{\"net1\": {\"nic\": \"eth0\", \"mtu\": 9000}}",
		    "bridge add net1; mtu eth0 9000; master eth0 net1; up eth0; mtu net1 9000; up net1");
	/* a nic that carries the host's address and routes: they move */
	net_state_link(state, "eth0")->flags = IFF_UP;
	net_link_add_address(net_state_link(state, "eth0"), "192.0.2.1/24");
	struct net_route *route = g_new0(struct net_route, 1);
	*route = (struct net_route){ AF_INET, g_strdup("default"), g_strdup("192.0.2.254"), 100, 16 };
	g_ptr_array_add(net_state_link(state, "eth0")->routes, route);
	assert_plan(state, "{}",
		    "{\"net1\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"255.255.255.0\", \"gateway\": \"192.0.2.254\", "
		    "\"defaultRoute\": true}}",
		    "bridge add net1; route delete eth0 default via 192.0.2.254 metric 100 proto 16; address delete eth0 192.0.2.1/24; master eth0 net1; "
		    "address add net1 192.0.2.1/24 brd 192.0.2.255; up net1; route add net1 default via 192.0.2.254 metric 0 proto 4");
}

/* host() after net1 was set up */
static struct net_state *with_net1(const char *nic)
{
	struct net_state *state = host();
	struct net_link *bridge = net_state_add(state, "net1", "bridge");

	bridge->flags = IFF_UP;
	net_link_add_address(bridge, "192.0.2.1/24");
	net_link_add_address(bridge, "fe80::1/64");
	if (nic) {
		net_state_link(state, nic)->master = bridge->index;
		net_state_link(state, nic)->flags = IFF_UP;
	}
	return state;
}

static void test_change(void **unused)
{
	struct net_state *state;

	assert_plan(with_net1(NULL), NET1, NET1, "");
	assert_plan(with_net1(NULL), NET1, "{\"net1\": {\"ipaddr\": \"192.0.2.2\", \"netmask\": \"24\"}}",
		    "address delete net1 192.0.2.1/24; address add net1 192.0.2.2/24 brd 192.0.2.255");
	assert_plan(with_net1("eth0"), "{\"net1\": {\"nic\": \"eth0\"}}", "{\"net1\": {\"nic\": \"eth1\"}}", "master eth0; master eth1 net1; up eth1");
	/* a nic freed by one network is taken by another in the same request */
	assert_plan(with_net1("eth0"), "{\"net1\": {\"nic\": \"eth0\"}}", "{\"net1\": {\"remove\": true}, \"net2\": {\"nic\": \"eth0\"}}",
		    "address delete net1 192.0.2.1/24; master eth0; down net1; link delete net1; bridge add net2; master eth0 net2; up net2");
	/* what others put there stays */
	state = with_net1(NULL);
	net_link_add_address(net_state_link(state, "net1"), "198.51.100.7/24");
	assert_plan(state, NET1, "{\"net1\": {}}", "address delete net1 192.0.2.1/24");
	/* gone behind our back */
	assert_plan(host(), NET1, NET1, "bridge add net1; address add net1 192.0.2.1/24 brd 192.0.2.255; up net1");
	assert_plan(host(), NET1, "{\"net1\": {\"remove\": true}}", "");
}

static void test_refused(void **unused)
{
	struct net_state *state;

	assert_plan(host(), "{}", "{\"net1\": {\"nic\": \"eth7\"}}", "error 23");
	assert_plan(host(), "{}", "{\"net1\": {\"nic\": \"lo\"}}", "error 23");
	assert_plan(host(), "{}", "{\"net1\": {\"nic\": \"vnet0\"}}", "error 23");
	assert_plan(with_net1("eth0"), "{\"net1\": {\"nic\": \"eth0\"}}", "{\"net2\": {\"nic\": \"eth0\"}}", "error 24");
	assert_plan(host(), "{}", "{\"net1\": {\"nic\": \"eth0\"}, \"net2\": {\"nic\": \"eth0\"}}", "error 24");
	assert_plan(host(), "{}", "{\"net1\": {\"nic\": \"eth0\", \"mtu\": 9001}}", "error 21");
	assert_plan(host(), "{}", "{\"br9\": {}}", "error 27");
	assert_plan(host(), "{}", "{\"eth0\": {}}", "error 27");
	assert_plan(host(), "{}", "{\"br9\": {\"remove\": true}}", "error 27");
	assert_plan(with_net1(NULL), NET1, "{\"net2\": {\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}}", "error 22");
	state = host();
	net_link_add_address(net_state_link(state, "eth0"), "198.51.100.7/24");
	assert_plan(state, "{}", "{\"net1\": {\"nic\": \"eth0\"}}", "error 24");
	state = with_net1(NULL);
	net_state_link(state, "vnet0")->master = net_state_link(state, "net1")->index;
	assert_plan(state, NET1, "{\"net1\": {\"remove\": true}}", "error 40");
	state = host();
	struct net_route *route = g_new0(struct net_route, 1);
	*route = (struct net_route){ AF_INET, g_strdup("default"), g_strdup("203.0.113.1"), 0, 4 };
	g_ptr_array_add(net_state_link(state, "eth0")->routes, route);
	assert_plan(state, "{}", "{\"net1\": {\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.254\", \"defaultRoute\": true}}",
		    "error 21");
}

static void test_check(void **unused)
{
	static const struct { const char *name, *config; int code; } rows[] = {
		{ "net1", "{}", 0 },
		{ "a-_.Z9", "{}", 0 },
		{ "fifteen-letters", "{}", 0 },
		{ "sixteen-letters-", "{}", 27 },
		{ "", "{}", 27 },
		{ "a b", "{}", 27 },
		{ "a/b", "{}", 27 },
		{ "..", "{}", 27 },
		{ "n\n", "{}", 27 },
		{ "n", "{\"ipaddr\": \"192.0.2.1\"}", 22 },
		{ "n", "{\"netmask\": \"255.255.255.0\"}", 22 },
		{ "n", "{\"ipaddr\": \"192.0.2.1\", \"netmask\": \"255.0.255.0\"}", 22 },
		{ "n", "{\"ipaddr\": \"192.0.2.1\", \"netmask\": \"33\"}", 22 },
		{ "n", "{\"ipaddr\": \"192.0.2\", \"netmask\": \"24\"}", 22 },
		{ "n", "{\"ipaddr\": \"192.0.2.256\", \"netmask\": \"24\"}", 22 },
		{ "n", "{\"ipaddr\": \"224.0.0.1\", \"netmask\": \"24\"}", 22 },
		{ "n", "{\"ipaddr\": \"2001:db8::1\", \"netmask\": \"24\"}", 22 },
		{ "n", "{\"ipv6addr\": \"2001:db8::1\"}", 22 },
		{ "n", "{\"ipv6addr\": \"192.0.2.1/24\"}", 22 },
		{ "n", "{\"ipv6addr\": \"2001:db8::1/64\", \"mtu\": 1000}", 21 },
		{ "n", "{\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.3.1\", \"defaultRoute\": true}", 22 },
		{ "n", "{\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.254\"}", 75 },
		{ "n", "{\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.254\", \"defaultRoute\": true}", 0 },
		{ "n", "{\"vlan\": 5}", 75 },
		{ "n", "{\"bonding\": \"bond0\"}", 75 },
		{ "n", "{\"bootproto\": \"dhcp\"}", 75 },
		{ "n", "{\"bridged\": false}", 75 },
		{ "n", "{\"switch\": \"ovs\"}", 75 },
		{ "n", "{\"nameservers\": [\"192.0.2.53\"]}", 75 },
		{ "n", "{\"ipv6autoconf\": true}", 75 },
		{ "n", "{\"dhcpv6\": true}", 75 },
		{ "n", "{\"hostQos\": {\"out\": {}}}", 75 },
		{ "n", "{\"remove\": true, \"vlan\": 5}", 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *json = g_strdup_printf("{\"n\": %s}", rows[i].config);
		g_autoptr(GHashTable) table = configs(json);
		g_autoptr(GError) error = NULL;
		bool fine = net_check_config(rows[i].name, g_hash_table_lookup(table, "n"), &error);

		if (error)
			print_message("# %s\n", error->message);
		assert_true(fine == !error);
		assert_int_equal(error ? error->code : 0, rows[i].code);
	}
}

static void test_addresses(void **unused)
{
	struct net_prefix prefix;

	assert_true(net_prefix_parse("192.0.2.130/25", &prefix));
	assert_true(net_prefix_contains(&prefix, "192.0.2.129"));
	assert_false(net_prefix_contains(&prefix, "192.0.2.127"));
	assert_false(net_prefix_contains(&prefix, "2001:db8::1"));
	assert_true(net_prefix_parse("2001:db8::1/64", &prefix));
	assert_true(net_prefix_contains(&prefix, "2001:db8::ffff"));
	assert_false(net_prefix_contains(&prefix, "2001:db8:0:1::1"));
	assert_false(net_prefix_parse("192.0.2.1", &prefix));
	assert_false(net_prefix_parse("192.0.2.1/33", &prefix));
	assert_false(net_prefix_parse("192.0.2.1/24/1", &prefix));
	assert_false(net_prefix_parse("", &prefix));
	assert_int_equal(net_mask_length("255.255.255.0"), 24);
	assert_int_equal(net_mask_length("255.255.255.255"), 32);
	assert_int_equal(net_mask_length("0.0.0.0"), 0);
	assert_int_equal(net_mask_length("255.255.0.255"), -1);
	assert_int_equal(net_mask_length(""), -1);
	for (unsigned i = 0; i <= 32; i++) {
		g_autofree char *text = net_mask_text(i);

		assert_int_equal(net_mask_length(text), (int)i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_check), cmocka_unit_test(test_add), cmocka_unit_test(test_change),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
