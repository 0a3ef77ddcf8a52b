/* SPDX-License-Identifier: Apache-2.0 */
/* Networks without a kernel: addresses, what a request may say, and the steps from a state to a wish. */
#include "cmocka-all.h"
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include "agent/net/net-priv.h"

/* {"networks", "bonds"}: text is of networks, or of both when it has "bonds". */
static json_t *both(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	return json_object_get(json, "bonds") ? json : json_pack("{s:o, s:{}}", "networks", json, "bonds");
}

/* eth0 and eth1, hardware; vnet0, a tap; br9, a bridge of somebody else */
static struct net_state *host(void)
{
	struct net_state *state = net_state_new();

	net_state_add(state, "lo", "")->type = 772;
	net_state_add(state, "eth0", "")->max_mtu = 9000;
	net_state_add(state, "eth1", "");
	net_state_add(state, "eth2", "");
	net_state_add(state, "vnet0", "tun");
	net_state_add(state, "br9", "bridge");
	return state;
}

static char said[300];                   /* the message of the last error */

/* The steps as "step link value; ...", without MACs; "error CODE". wishes: as in a request, laid over before */
static char *plan(struct net_state *state, const char *before, const char *wishes)
{
	json_t *old = both(before), *wanted = json_deep_copy(old), *request = both(wishes), *objects, *object, *json, *step;
	g_autoptr(GHashTable) touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct net_config *was, *will;
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) steps = NULL;
	GString *text = g_string_new(NULL);
	g_autoptr(GRegex) mac = g_regex_new(" address=[0-9a-f:]+", 0, 0, NULL);
	const char *part, *name;
	char *plain;
	size_t i;

	json_object_foreach(request, part, objects)
		json_object_foreach(objects, name, object) {
			g_hash_table_add(touched, g_strdup(name));
			if (json_is_true(json_object_get(object, "remove")))
				json_object_del(json_object_get(wanted, part), name);
			else
				json_object_set(json_object_get(wanted, part), name, object);
		}
	was = net_config_new(old, NULL);
	will = net_config_new(wanted, NULL);
	assert_int_equal(g_hash_table_size(will->networks), json_object_size(json_object_get(wanted, "networks")));
	steps = net_plan(state, was, will, touched, &error);
	net_config_free(was);
	net_config_free(will);
	json_decref(old);
	json_decref(wanted);
	json_decref(request);
	if (!steps) {
		print_message("# %s\n", error->message);
		g_string_printf(text, "error %d", error->code);
		g_strlcpy(said, error->message, sizeof(said));
		return g_string_free(text, FALSE);
	}
	json = net_steps_to_json(steps);
	json_array_foreach(json, i, step) {
		const char *kind = json_string_value(json_object_get(step, "step")), *value = json_string_value(json_object_get(step, "value"));

		g_string_append_printf(text, "%s%s %s %s", i ? "; " : "", kind, json_string_value(json_object_get(step, "link")), value);
	}
	/* the journal has all of it */
	g_autoptr(GPtrArray) again = net_steps_from_json(json);
	json_t *copy = net_steps_to_json(again);
	assert_true(json_equal(json, copy));
	json_decref(copy);
	json_decref(json);
	plain = g_regex_replace_literal(mac, text->str, -1, 0, "", 0, NULL);
	g_string_free(text, TRUE);
	return plain;
}

static void assert_plan(struct net_state *state, const char *before, const char *wishes, const char *expected)
{
	g_autofree char *text = plan(state, before, wishes);

	net_state_free(state);
	assert_string_equal(text, expected);
}

#define NET1 "{\"net1\": {\"ipaddr\": \"192.0.2.1\", \"netmask\": \"255.255.255.0\"}}"

static struct net_route *route(int family, const char *destination, const char *gateway, unsigned metric, unsigned protocol)
{
	struct net_route *route = g_new0(struct net_route, 1);

	*route = (struct net_route){ .family = family, .destination = g_strdup(destination), .gateway = g_strdup(gateway), .metric = metric,
				     .protocol = protocol, .table = 254 };
	return route;
}

/* What runs on this host is told with the refusal: a socket that nobody listens at any more is not enough. */
static void test_openvswitch(void **unused)
{
	g_autofree char *directory = g_dir_make_tmp("berth-ovs-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(directory, "db.sock", NULL);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	net_openvswitch_path = path;
	g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
	for (int runs = 0; runs < 3; runs++) {
		g_autoptr(GError) error = NULL;

		if (runs == 1) {
			assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
			assert_int_equal(listen(fd, 1), 0);
		} else if (runs == 2)
			close(fd);
		assert_int_equal(net_check_switch("network", "red", "ovs", &error), runs == 1);
		if (runs != 1) {
			assert_int_equal(error->code, 75);
			assert_non_null(strstr(error->message, "network 'red': switch 'ovs' is not supported: Open vSwitch does not run on this host"));
		}
		assert_true(net_check_switch("network", "red", "legacy", NULL));
	}
	unlink(path);
	rmdir(directory);
}

#define OVS_BLUE "\"blue\": {\"switch\": \"ovs\", \"nic\": \"eth0\", \"vlan\": 5, \"ipaddr\": \"10.5.0.1\", \"netmask\": \"24\"}"
#define OVS_MGMT "\"mgmt\": {\"switch\": \"ovs\", \"nic\": \"eth0\", \"mtu\": 9000}"
#define ETH0_BRIDGE "vdsmbr_7c966cd6"
#define ETH0_PORT "\"eth0\":{\"interfaces\":\"eth0\"}"
#define PORT(name, mtu, tag) \
	"\"" name "\":{\"interfaces\":\"" name "\",\"mac\":\"02:00:00:00:00:01\",\"mtu_request\":\"" mtu "\",\"tag\":\"" tag "\",\"type\":\"internal\"}"

/* The host, with what Open vSwitch has; text: bridges as net_ovs_read() tells them. Ports that it makes are links. */
static struct net_state *ovs_host(const char *text)
{
	struct net_state *state = host();
	struct net_link *eth0 = net_state_link(state, "eth0");
	const char *bridge_name, *name;
	json_t *bridge, *port;

	g_free(eth0->mac);
	eth0->mac = g_strdup("02:00:00:00:00:01");
	eth0->flags |= IFF_UP;
	state->ovs = json_loads(text, 0, NULL);
	assert_non_null(state->ovs);
	json_object_foreach(state->ovs, bridge_name, bridge)
		json_object_foreach(json_object_get(bridge, "ports"), name, port) {
			struct net_link *link = json_object_get(port, "type") ? net_state_add(state, name, "tun") : NULL;

			if (!link)
				continue;
			link->index = 90 + (int)state->links->len;
			link->flags = IFF_UP;
			link->type = 0;
		}
	return state;
}

/* A bridge is one step, whatever is in it. */
static void test_ovs(void **unused)
{
	static const char blue[] = "{\"" ETH0_BRIDGE "\": {\"ours\": true, \"ports\": {\"eth0\": {\"ours\": true, \"interfaces\": \"eth0\"}, "
				   "\"blue\": {\"ours\": true, \"interfaces\": \"blue\", \"mac\": \"02:00:00:00:00:01\", \"mtu_request\": \"1500\", "
				   "\"tag\": \"5\", \"type\": \"internal\"}%s}}}";
	g_autofree char *now = g_strdup_printf(blue, "");
	g_autofree char *used = g_strdup_printf(blue, ", \"vnet0\": {\"ours\": false, \"interfaces\": \"vnet0\", \"tag\": \"5\"}");
	struct net_state *state;
	char *text;

	/* made: the nic without a network of the kernel's, two networks at once, their MTU */
	assert_plan(ovs_host("{}"), "{}", "{" OVS_BLUE ", " OVS_MGMT "}",
		    "set eth0 link mtu=9000; ovs " ETH0_BRIDGE " {" PORT("blue", "1500", "5") "," ETH0_PORT "," PORT("mgmt", "9000", "0") "}; "
		    "address add blue 10.5.0.1/24 brd 10.5.0.255; set blue link up=1; set mgmt link up=1");
	/* what is there gives no steps but what differs */
	state = ovs_host(now);
	net_link_add_address(net_state_link(state, "blue"), "10.5.0.1/24");
	assert_plan(state, "{" OVS_BLUE "}", "{" OVS_BLUE "}", "");
	state = ovs_host(now);
	net_link_add_address(net_state_link(state, "blue"), "10.5.0.1/24");
	json_object_set_new(json_object_get(json_object_get(json_object_get(state->ovs, ETH0_BRIDGE), "ports"), "blue"), "tag", json_string("7"));
	assert_plan(state, "{" OVS_BLUE "}", "{" OVS_BLUE "}", "ovs " ETH0_BRIDGE " {" PORT("blue", "1500", "5") "," ETH0_PORT "}");
	/* gone: what has to be given back when it is undone is taken away first */
	state = ovs_host(now);
	net_link_add_address(net_state_link(state, "blue"), "10.5.0.1/24");
	assert_plan(state, "{" OVS_BLUE "}", "{\"blue\": {\"remove\": true}}",
		    "address delete blue 10.5.0.1/24; set blue link up=0; ovs " ETH0_BRIDGE " ");
	/* to the kernel's bridge of the same name */
	state = ovs_host(now);
	text = plan(state, "{" OVS_BLUE "}", "{\"blue\": {\"nic\": \"eth0\"}}");
	net_state_free(state);
	assert_string_equal(text, "set blue link up=0; ovs " ETH0_BRIDGE " ; link add blue bridge; set eth0 link master=blue; set blue link up=1");
	g_free(text);
	/* what machines use stays */
	assert_plan(ovs_host(used), "{" OVS_BLUE "}", "{\"blue\": {\"remove\": true}}", "error 40");
	assert_string_equal(said, "Resource unavailable: network 'blue' is used by vnet0");
	assert_plan(ovs_host(used), "{" OVS_BLUE "}", "{\"blue\": {\"switch\": \"ovs\", \"nic\": \"eth0\", \"vlan\": 6}}", "error 40");
	assert_plan(ovs_host(used), "{" OVS_BLUE "}", "{" OVS_BLUE ", " OVS_MGMT "}",
		    "set eth0 link mtu=9000; ovs " ETH0_BRIDGE " {" PORT("blue", "1500", "5") "," ETH0_PORT "," PORT("mgmt", "9000", "0") "}; "
		    "address add blue 10.5.0.1/24 brd 10.5.0.255; set mgmt link up=1");
	/* somebody else's */
	assert_plan(ovs_host("{\"br-ex\": {\"ours\": false, \"ports\": {\"eth0\": {\"ours\": false, \"interfaces\": \"eth0\"}}}}"), "{}",
		    "{" OVS_BLUE "}", "error 24");
	assert_non_null(strstr(said, "network 'blue': 'eth0' is a port of the Open vSwitch bridge 'br-ex' of somebody else"));
	assert_plan(ovs_host("{\"" ETH0_BRIDGE "\": {\"ours\": false, \"ports\": {}}}"), "{}", "{" OVS_BLUE "}", "error 27");
	assert_plan(ovs_host("{}"), "{}", "{\"br9\": {\"switch\": \"ovs\"}}", "error 27");
	/* one nic, two switches */
	assert_plan(ovs_host(now), "{" OVS_BLUE "}", "{\"a\": {\"nic\": \"eth0\"}}", "error 24");
	assert_non_null(strstr(said, "network 'blue' with switch 'ovs': nic 'eth0' is that of a network with switch 'legacy'"));
	/* a bond is a port with two nics */
	assert_plan(ovs_host("{}"), "{}", "{\"networks\": {}, \"bonds\": {\"bond0\": {\"switch\": \"ovs\", \"nics\": [\"eth1\", \"eth0\"], "
		    "\"options\": \"mode=4 lacp_rate=1\"}}}",
		    "set eth1 link up=1; ovs vdsmbr_0f2b2098 {\"bond0\":{\"bond_mode\":\"balance-tcp\",\"interfaces\":\"eth0 eth1\",\"lacp\":\"active\","
		    "\"other_config:lacp-time\":\"fast\"}}");
}

/* br: a bridge of ours that filters, with the tap vnet0 in it */
static struct net_state *filtering(const char *vlans)
{
	struct net_state *state = host();
	struct net_link *bridge = net_state_add(state, "br", "bridge"), *port = net_state_link(state, "vnet0");

	bridge->flags |= IFF_UP;
	bridge->options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_insert(bridge->options, g_strdup("vlan_filtering"), g_strdup("1"));
	port->master = bridge->index;
	port->vlans = g_strdup(vlans);
	return state;
}

static void test_filtering(void **unused)
{
	static const char before[] = "{\"br\": {\"custom\": {\"bridge_opts\": \"vlan_filtering=1\"}}}";
	static const char off[] = "{\"br\": {\"custom\": {\"bridge_opts\": \"vlan_filtering=0\"}}}";

	assert_plan(filtering("20"), before, off, "error 40");
	assert_non_null(strstr(said, "network 'br': vlan_filtering cannot be switched off while port 'vnet0' has VLANs of its own, 20"));
	assert_plan(filtering("20"), before, "{\"br\": {}}", "error 40");
	assert_plan(filtering("20"), before, before, "");
	assert_plan(filtering(NULL), before, off, "set br bridge vlan_filtering=0");
	assert_plan(filtering(NULL), before, "{\"br\": {}}", "set br bridge vlan_filtering=0");
	/* somebody else switched it on: his own matter */
	assert_plan(filtering("20"), "{\"br\": {}}", "{\"br\": {\"mtu\": 1400}}", "set br link mtu=1400");
}

static void test_add(void **unused)
{
	struct net_state *state = host();

	assert_plan(host(), "{}", "{\"net1\": {}}", "link add net1 bridge; set net1 link up=1");
	assert_plan(host(), "{}",
		    "{\"net1\": {\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"ipv6addr\": \"2001:DB8::1/64\", \"mtu\": 1400, \"stp\": true}}",
		    "link add net1 bridge stp_state=1; set net1 link mtu=1400; address add net1 192.0.2.1/24 brd 192.0.2.255; "
		    "address add net1 2001:db8::1/64; set net1 link up=1");
	assert_plan(host(), "{}", "{\"net1\": {\"nic\": \"eth0\", \"mtu\": 9000}}",
		    "set eth0 link mtu=9000; set eth0 link up=1; link add net1 bridge; set net1 link mtu=9000; set eth0 link master=net1; set net1 link up=1");
	/* a nic that carries the host's address and routes: they move */
	net_state_link(state, "eth0")->flags = IFF_UP;
	net_link_add_address(net_state_link(state, "eth0"), "192.0.2.1/24");
	g_ptr_array_add(net_state_link(state, "eth0")->routes, route(AF_INET, "default", "192.0.2.254", 100, 16));
	g_ptr_array_add(net_state_link(state, "eth0")->routes, route(AF_INET, "203.0.113.0/24", "192.0.2.253", 0, 3));
	assert_plan(state, "{}",
		    "{\"net1\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"255.255.255.0\", \"gateway\": \"192.0.2.254\", "
		    "\"defaultRoute\": true}}",
		    "link add net1 bridge; route delete eth0 default via 192.0.2.254 metric 100 proto 16 table 254; "
		    "route delete eth0 203.0.113.0/24 via 192.0.2.253 metric 0 proto 3 table 254; address delete eth0 192.0.2.1/24; set eth0 link master=net1; "
		    "address add net1 192.0.2.1/24 brd 192.0.2.255; set net1 link up=1; route add net1 203.0.113.0/24 via 192.0.2.253 metric 0 proto 3 table 254; "
		    "route add net1 default via 192.0.2.254 metric 0 proto 4 table 254");
}

#define BOND "link add bond0 bond mtu=1500 mode=1 miimon=100 up=1; "

/* VLANs, bonds, networks without a bridge: what is on what, and in which order. */
static void test_layers(void **unused)
{
	struct net_state *state;

	/* VLANs share their nic, whose MTU is the largest of theirs */
	assert_plan(host(), "{}", "{\"a\": {\"nic\": \"eth0\", \"vlan\": 5, \"mtu\": 9000}, \"b\": {\"nic\": \"eth0\", \"vlan\": 6}}",
		    "set eth0 link mtu=9000; set eth0 link up=1; link add a bridge; set a link mtu=9000; link add b bridge; "
		    "link add eth0.5 vlan lower=eth0 id=5 mtu=9000 master=a up=1; link add eth0.6 vlan lower=eth0 id=6 mtu=1500 master=b up=1; "
		    "set a link up=1; set b link up=1");
	/* a bond under a VLAN without a bridge, with its own gateway: a routing table of its own */
	assert_plan(host(), "{}",
		    "{\"bonds\": {\"bond0\": {\"nics\": [\"eth1\", \"eth2\"], \"options\": \"mode=active-backup\"}}, \"networks\": "
		    "{\"a\": {\"bonding\": \"bond0\", \"vlan\": 7, \"bridged\": false, \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.9\"}}}",
		    BOND "set eth1 link master=bond0; set eth2 link master=bond0; link add bond0.7 vlan lower=bond0 id=7 mtu=1500; "
		    "address add bond0.7 192.0.2.1/24 brd 192.0.2.255; set bond0.7 link up=1; "
		    "route add bond0.7 192.0.2.0/24 via - metric 0 proto 66 table 3221225985; "
		    "route add bond0.7 default via 192.0.2.9 metric 0 proto 66 table 3221225985; rule add bond0.7 from 192.0.2.0/24 table 3221225985");
	/* a bond of others can carry a network of ours, too */
	state = host();
	net_state_add(state, "team", "bond")->flags = IFF_UP;
	assert_plan(state, "{}", "{\"a\": {\"bonding\": \"team\"}}", "link add a bridge; set team link master=a; set a link up=1");
	/* a nic that is up goes down to join; what it carried moves to the bridge on the bond */
	state = host();
	net_state_link(state, "eth1")->flags = IFF_UP;
	net_link_add_address(net_state_link(state, "eth1"), "192.0.2.1/24");
	assert_plan(state, "{}",
		    "{\"bonds\": {\"bond0\": {\"nics\": [\"eth1\"], \"options\": \"mode=active-backup\"}}, \"networks\": "
		    "{\"a\": {\"bonding\": \"bond0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}}}",
		    BOND "address delete eth1 192.0.2.1/24; set eth1 link up=0; set eth1 link master=bond0; link add a bridge; set bond0 link master=a; "
		    "address add a 192.0.2.1/24 brd 192.0.2.255; set a link up=1");
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

#define NET1_ETH0 "{\"net1\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}}"

static void test_change(void **unused)
{
	struct net_state *state;

	assert_plan(with_net1(NULL), NET1, NET1, "");
	assert_plan(with_net1(NULL), NET1, "{\"net1\": {\"ipaddr\": \"192.0.2.2\", \"netmask\": \"24\"}}",
		    "address delete net1 192.0.2.1/24; address add net1 192.0.2.2/24 brd 192.0.2.255");
	assert_plan(with_net1("eth0"), NET1_ETH0, "{\"net1\": {\"nic\": \"eth1\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}}",
		    "set eth0 link master=; set eth1 link up=1; set eth1 link master=net1");
	/* a nic freed by one network is taken by another in the same request */
	assert_plan(with_net1("eth0"), NET1_ETH0, "{\"net1\": {\"remove\": true}, \"net2\": {\"nic\": \"eth0\"}}",
		    "address delete net1 192.0.2.1/24; set eth0 link master=; link delete net1 bridge mtu=1500 up=1; link add net2 bridge; "
		    "set eth0 link master=net2; set net2 link up=1");
	/* what others put there stays */
	state = with_net1(NULL);
	net_link_add_address(net_state_link(state, "net1"), "198.51.100.7/24");
	assert_plan(state, NET1, "{\"net1\": {}}", "address delete net1 192.0.2.1/24");
	/* gone behind our back */
	assert_plan(host(), NET1, NET1, "link add net1 bridge; address add net1 192.0.2.1/24 brd 192.0.2.255; set net1 link up=1");
	assert_plan(host(), NET1, "{\"net1\": {\"remove\": true}}", "");
	/* changed behind our back, but not asked for */
	state = with_net1(NULL);
	net_state_link(state, "net1")->mtu = 1400;
	assert_plan(state, NET1, "{\"net2\": {}}", "link add net2 bridge; set net2 link up=1");
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
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"eth1\", \"eth0\"]}}, \"networks\": {\"a\": {\"bonding\": \"bond0\", \"mtu\": 9001}}}",
		    "error 21");
	assert_non_null(strstr(said, "'a': mtu 9001 is above the 9000 of nic 'eth0'"));
	assert_plan(host(), "{}", "{\"br9\": {}}", "error 27");
	assert_plan(host(), "{}", "{\"eth0\": {}}", "error 27");
	assert_plan(host(), "{}", "{\"eth0\": {\"nic\": \"eth0\"}}", "error 27");
	assert_plan(with_net1(NULL), NET1, "{\"net2\": {\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}}", "error 22");
	assert_plan(with_net1(NULL), NET1, "{\"net2\": {\"ipaddr\": \"192.0.0.1\", \"netmask\": \"16\"}}", "error 22");
	assert_plan(host(), "{}", "{\"a\": {\"nic\": \"eth0\", \"vlan\": 5}, \"eth0.5\": {}}", "error 27");
	assert_plan(host(), "{}", "{\"eth0.5\": {}, \"x\": {\"nic\": \"eth0\", \"vlan\": 5}}", "error 26");
	assert_non_null(strstr(said, "network 'x': the link of vlan 5 would be 'eth0.5', as a bridge is named"));
	assert_plan(host(), "{}", "{\"a\": {\"nic\": \"eth0\", \"vlan\": 5}, \"b\": {\"nic\": \"eth0\", \"vlan\": 5}}", "error 26");
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"eth0\"]}, \"bond1\": {\"nics\": [\"eth0\"]}}, \"networks\": {}}", "error 24");
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"bond1\"]}, \"bond1\": {\"nics\": [\"bond0\"]}}, \"networks\": {}}", "error 25");
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"bond0\"]}}, \"networks\": {}}", "error 25");
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"eth7\"]}}, \"networks\": {}}", "error 23");
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"eth0\"]}}, \"networks\": {\"a\": {\"nic\": \"eth0\"}}}", "error 24");
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"eth0\"]}}, \"networks\": {\"a\": {\"nic\": \"bond0\"}}}", "error 23");
	assert_plan(host(), "{}", "{\"bonds\": {\"bond0\": {\"nics\": [\"eth0\"]}}, \"networks\": {\"a\": {\"bonding\": \"bond0\"}, \"b\": "
				  "{\"bonding\": \"bond0\", \"bridged\": false}}}", "error 31");
	assert_plan(host(), "{}", "{\"a\": {\"bonding\": \"bond9\"}}", "error 25");
	assert_plan(host(), "{}", "{\"a\": {\"bonding\": \"eth0\"}}", "error 25");
	assert_plan(host(), "{}", "{\"a\": {\"defaultRoute\": true}, \"b\": {\"defaultRoute\": true}}", "error 21");
	assert_plan(host(), "{}", "{\"a\": {\"roles\": [\"migration\", \"display\"]}, \"b\": {\"roles\": [\"display\"]}}", "error 21");
	assert_plan(host(), "{}", "{\"a\": {\"roles\": [\"vm\", \"vm\"]}, \"b\": {\"roles\": [\"vm\"]}}",
		    "link add a bridge; link add b bridge; set a link up=1; set b link up=1");
	state = host();
	net_link_add_address(net_state_link(state, "eth0"), "198.51.100.7/24");
	assert_plan(state, "{}", "{\"net1\": {\"nic\": \"eth0\"}}", "error 24");
	state = with_net1(NULL);
	net_state_link(state, "vnet0")->master = net_state_link(state, "net1")->index;
	assert_plan(state, NET1, "{\"net1\": {\"remove\": true}}", "error 40");
	state = host();
	g_ptr_array_add(net_state_link(state, "eth0")->routes, route(AF_INET, "default", "203.0.113.1", 0, 4));
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
		{ "n", "{\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.254\"}", 0 },
		{ "n", "{\"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.254\", \"defaultRoute\": true}", 0 },
		{ "n", "{\"vlan\": 5}", 26 },
		{ "n", "{\"vlan\": 4095, \"nic\": \"e\"}", 26 },
		{ "n", "{\"vlan\": -1, \"nic\": \"e\"}", 26 },
		{ "n", "{\"vlan\": 4094, \"nic\": \"e\"}", 0 },
		{ "n", "{\"nic\": \"e\", \"bonding\": \"bond0\"}", 21 },
		{ "n", "{\"bootproto\": \"dhcp\"}", 0 },
		{ "n", "{\"bootproto\": \"dhcp\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}", 21 },
		{ "n", "{\"bridged\": false}", 21 },
		{ "n", "{\"bridged\": false, \"nic\": \"e\"}", 0 },
		{ "n", "{\"bridged\": false, \"nic\": \"e\", \"stp\": true}", 21 },
		{ "n", "{\"bridged\": false, \"nic\": \"e\", \"roles\": [\"vm\"]}", 21 },
		{ "n", "{\"bridged\": false, \"nic\": \"e\", \"custom\": {\"bridge_opts\": \"priority=1\"}}", 21 },
		{ "n", "{\"custom\": {\"bridge_opts\": \"priority=1 ageing_time=100 vlan_filtering=1\"}}", 0 },
		{ "n", "{\"custom\": {\"bridge_opts\": \"priority=65536\"}}", 21 },
		{ "n", "{\"custom\": {\"bridge_opts\": \"nonsense=1\"}}", 21 },
		{ "n", "{\"custom\": {\"bridge_opts\": \"priority\"}}", 21 },
		{ "n", "{\"custom\": {\"bridge_opts\": \"stp_state=1\"}}", 21 },
		{ "n", "{\"roles\": [\"management\", \"migration\"]}", 0 },
		{ "n", "{\"roles\": [\"king\"]}", 21 },
		{ "n", "{\"switch\": \"ovs\"}", 75 },
		{ "n", "{\"nameservers\": [\"192.0.2.53\"]}", 21 },
		{ "n", "{\"nameservers\": [\"192.0.2.53\"], \"defaultRoute\": true}", 0 },
		{ "n", "{\"nameservers\": [\"ns1\"], \"defaultRoute\": true}", 22 },
		{ "n", "{\"ipv6autoconf\": true}", 0 },
		{ "n", "{\"dhcpv6\": true}", 0 },
		{ "n", "{\"dhcpv6\": true, \"ipv6addr\": \"2001:db8::1/64\"}", 21 },
		{ "n", "{\"dhcpv6\": true, \"ipv6gateway\": \"2001:db8::1\"}", 21 },
		{ "n", "{\"dhcpv6\": true, \"mtu\": 1000}", 21 },
		{ "n", "{\"hostQos\": {\"out\": {}}}", 21 },
		{ "n", "{\"remove\": true, \"vlan\": 5000}", 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		json_t *json = json_loads(rows[i].config, 0, NULL);
		g_autoptr(GError) error = NULL;
		struct network_config *config = net_parse(&network_config_type, "n", json, &error);
		bool fine = config && net_check_config(rows[i].name, config, &error);

		if (error)
			print_message("# %s\n", error->message);
		assert_true(fine == !error);
		assert_int_equal(error ? error->code : 0, rows[i].code);
		record_unref(config);
		json_decref(json);
	}
}

/* What nobody would write by hand: refused with the object and the value. */
static void test_check_hostile(void **unused)
{
	static const struct { const char *name, *config; int code; const char *says; } rows[] = {
		{ "all", "{}", 27, "'all'" },
		{ "default", "{}", 27, "'default'" },
		{ "net%d", "{}", 27, "'net%d'" },
		{ "n\xc3\xa9", "{}", 27, "'n\xc3\xa9'" },
		{ "a:1", "{}", 27, "'a:1'" },
		{ "n", "{'vlan': '4095', 'nic': 'e'}", 26, "4095" },
		{ "n", "{'vlan': '5x', 'nic': 'e'}", 21, "'5x'" },
		{ "n", "{'vlan': 5.5, 'nic': 'e'}", 21, "'5.5'" },
		{ "n", "{'vlan': true, 'nic': 'e'}", 21, "vlan: 'true'" },
		{ "n", "{'vlan': '5', 'nic': 'e'}", 0, NULL },
		{ "n", "{'vlan': '', 'nic': 'e'}", 0, NULL },
		{ "n", "{'mtu': 67}", 21, "'67'" },
		{ "n", "{'mtu': 68}", 0, NULL },
		{ "n", "{'mtu': 65536}", 21, "'65536'" },
		{ "n", "{'mtu': 1279, 'ipv6autoconf': true}", 21, "mtu 1279 is below 1280" },
		{ "n", "{'bridged': 'no'}", 21, "bridged: 'no'" },
		{ "n", "{'bridged': 'False', 'nic': 'e'}", 0, NULL },
		{ "n", "{'stp': 1}", 21, "stp: '1'" },
		{ "n", "{'remove': 'perhaps'}", 21, "remove: 'perhaps'" },
		{ "n", "{'custom': 'bridge_opts=priority=1'}", 21, "'n': custom is no object" },
		{ "n", "{'custom': ''}", 0, NULL },
		{ "n", "{'custom': {'bridge_opts': 7}}", 21, "bridge_opts is no text" },
		{ "n", "{'nic': 'e', 'hostQos': []}", 21, "'n': hostQos is no object" },
		{ "n", "{'portForwards': {}}", 21, "'n': portForwards is no array" },
		{ "n", "{'outboundNat': 7}", 21, "'n': outboundNat is no object" },
		{ "n", "{'unknown': {}, 'IPADDR': 7}", 0, NULL },
		/* addresses that no host has */
		{ "n", "{'ipaddr': '10.0.0.0', 'netmask': '24'}", 22, "'10.0.0.0/24'" },
		{ "n", "{'ipaddr': '10.0.0.255', 'netmask': '255.255.255.0'}", 22, "'10.0.0.255/24'" },
		{ "n", "{'ipaddr': '10.0.0.0', 'netmask': '31'}", 0, NULL },
		{ "n", "{'ipaddr': '10.0.0.255', 'netmask': '32'}", 0, NULL },
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '0'}", 22, "'10.0.0.1/0'" },
		{ "n", "{'ipaddr': '0.1.2.3', 'netmask': '24'}", 22, "'0.1.2.3/24'" },
		{ "n", "{'ipaddr': '127.5.0.1', 'netmask': '24'}", 22, "'127.5.0.1/24'" },
		{ "n", "{'ipaddr': '255.255.255.255', 'netmask': '32'}", 22, "'255.255.255.255/32'" },
		{ "n", "{'ipaddr': '10.0.0.1/24', 'netmask': '24'}", 22, "'10.0.0.1/24/24'" },
		{ "n", "{'ipaddr': '010.0.0.1', 'netmask': '24'}", 22, "'010.0.0.1/24'" },
		{ "n", "{'ipaddr': ' 10.0.0.1', 'netmask': '24'}", 22, "' 10.0.0.1/24'" },
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '255.255.255.0/24'}", 22, "'255.255.255.0/24'" },
		{ "n", "{'ipv6addr': '::1/64'}", 22, "'::1/64'" },
		{ "n", "{'ipv6addr': '::/64'}", 22, "'::/64'" },
		{ "n", "{'ipv6addr': '::ffff:192.0.2.1/120'}", 22, "'::ffff:192.0.2.1/120'" },
		{ "n", "{'ipv6addr': '::192.0.2.1/96'}", 22, "'::192.0.2.1/96'" },
		{ "n", "{'ipv6addr': 'ff02::1/64'}", 22, "'ff02::1/64'" },
		{ "n", "{'ipv6addr': '2001:db8::1/0'}", 22, "'2001:db8::1/0'" },
		{ "n", "{'ipv6addr': '2001:db8::1/64%eth0'}", 22, "'2001:db8::1/64%eth0'" },
		/* gateways that are none */
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '24', 'gateway': '10.0.0.1'}", 22, "gateway '10.0.0.1'" },
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '24', 'gateway': '10.0.0.0'}", 22, "gateway '10.0.0.0'" },
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '24', 'gateway': '10.0.0.255'}", 22, "gateway '10.0.0.255'" },
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '31', 'gateway': '10.0.0.0'}", 0, NULL },
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '32', 'gateway': '10.0.0.2'}", 22, "gateway '10.0.0.2'" },
		{ "n", "{'ipaddr': '10.0.0.1', 'netmask': '24', 'gateway': '::1'}", 22, "gateway '::1'" },
		{ "n", "{'ipv6addr': '2001:db8::1/64', 'ipv6gateway': '2001:DB8::0001'}", 22, "ipv6gateway '2001:DB8::0001'" },
		{ "n", "{'ipv6addr': '2001:db8::1/64', 'ipv6gateway': '2001:db8:1::1'}", 22, "ipv6gateway '2001:db8:1::1'" },
		{ "n", "{'ipv6addr': '2001:db8::1/64', 'ipv6gateway': 'ff02::2'}", 22, "ipv6gateway 'ff02::2'" },
		{ "n", "{'ipv6addr': '2001:db8::1/64', 'ipv6gateway': 'fe80::1'}", 0, NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *text = g_strdelimit(g_strdup(rows[i].config), "'", '"');
		json_t *json = json_loads(text, 0, NULL);
		g_autoptr(GError) error = NULL;
		struct network_config *config = net_parse(&network_config_type, rows[i].name, json, &error);
		bool fine = config && net_check_config(rows[i].name, config, &error);

		assert_true(fine == !error);
		if ((error ? error->code : 0) != rows[i].code || (error && (!strstr(error->message, rows[i].says) || !strstr(error->message, rows[i].name))))
			fail_msg("%s %s: %s", rows[i].name, rows[i].config, error ? error->message : "accepted");
		record_unref(config);
		json_decref(json);
	}
}

static void test_check_bond(void **unused)
{
	static const struct { const char *name, *nics, *options; int code; } rows[] = {
		{ "bond0", "[\"eth0\"]", "", 0 },
		{ "a-very-long-bond-name", "[\"eth0\"]", "", 25 },
		{ "bond0", "[]", "", 25 },
		{ "bond0", "[\"eth0\", \"eth0\"]", "", 25 },
		{ "bond0", "[\"eth0\"]", "mode=802.3ad lacp_rate=fast xmit_hash_policy=layer3+4 min_links=1", 0 },
		{ "bond0", "[\"eth0\"]", "mode=4 miimon=100 updelay=200 downdelay=200 custom=x", 0 },
		{ "bond0", "[\"eth0\"]", "mode=7", 25 },
		{ "bond0", "[\"eth0\"]", "mode=fastest", 25 },
		{ "bond0", "[\"eth0\"]", "turbo=1", 25 },
		{ "bond0", "[\"eth0\"]", "mode", 25 },
		{ "bond0", "[\"eth0\"]", "mode=1 mode=2", 25 },
		{ "bond0", "[\"eth0\"]", "mode=1 lacp_rate=1", 25 },
		{ "bond0", "[\"eth0\"]", "mode=1 miimon=100 updelay=150", 25 },
		{ "bond0", "[\"eth0\"]", "mode=1 arp_interval=100", 25 },
		{ "bond0", "[\"eth0\"]", "mode=1 arp_interval=100 arp_ip_target=192.0.2.1,192.0.2.2 arp_validate=all", 0 },
		{ "bond0", "[\"eth0\"]", "mode=1 arp_interval=100 arp_ip_target=192.0.2.1 miimon=100", 25 },
		{ "bond0", "[\"eth0\"]", "mode=1 arp_interval=100 arp_ip_target=gateway", 25 },
		{ "bond0", "[\"eth0\"]", "mode=4 arp_interval=100 arp_ip_target=192.0.2.1", 25 },
		{ "bond0", "[\"eth0\"]", "mode=1 primary=eth0", 0 },
		{ "bond0", "[\"eth0\"]", "mode=1 primary=eth1", 25 },
		{ "bond0", "[\"eth0\"]", "mode=0 primary=eth0", 25 },
		{ "bond0", "[\"eth0\"]", "mode=0 packets_per_slave=65536", 25 },
		{ "bond0", "[\"eth0\"]", "mode=4 ad_actor_system=02:00:00:00:00:01 ad_actor_sys_prio=1 ad_user_port_key=5", 0 },
		{ "bond0", "[\"eth0\"]", "mode=4 ad_actor_system=02:00:00", 25 },
		{ "bond0", "[\"eth0\"]", "mode=5 tlb_dynamic_lb=0 lp_interval=2 num_grat_arp=3 resend_igmp=0", 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		json_t *json = json_pack("{s:o, s:s}", "nics", json_loads(rows[i].nics, 0, NULL), "options", rows[i].options);
		g_autoptr(GError) error = NULL;
		struct bond_config *config = net_parse(&bond_config_type, "b", json, &error);
		bool fine = config && net_check_bond(rows[i].name, config, &error);

		if (error)
			print_message("# %s\n", error->message);
		assert_true(fine == !error);
		assert_int_equal(error ? error->code : 0, rows[i].code);
		record_unref(config);
		json_decref(json);
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

static void test_ranges(void **unused)
{
	static const char *const bad[] = { "", ",", "1,", ",1", "0", "0-1", "5-4", "1-", "-1", "1-2-3", "1 ,2", " 1", "+1", "101", "1-101", "a", "0x10", "99999999999999999999",
		"1\n", "1 }; flush ruleset" };
	g_autoptr(GArray) good = net_ranges_parse("7,1-3,100-100,99", 100);

	assert_non_null(good);
	assert_int_equal(good->len, 4);
	assert_int_equal(g_array_index(good, struct net_range, 0).from, 7);
	assert_int_equal(g_array_index(good, struct net_range, 0).to, 7);
	assert_int_equal(g_array_index(good, struct net_range, 1).to, 3);
	assert_int_equal(g_array_index(good, struct net_range, 2).to, 100);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (net_ranges_parse(bad[i], 100))
			fail_msg("'%s'", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_ranges), cmocka_unit_test(test_check), cmocka_unit_test(test_check_hostile),
		cmocka_unit_test(test_check_bond), cmocka_unit_test(test_add),
		cmocka_unit_test(test_filtering), cmocka_unit_test(test_openvswitch), cmocka_unit_test(test_ovs),
		cmocka_unit_test(test_layers), cmocka_unit_test(test_change),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
