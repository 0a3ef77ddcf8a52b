/* SPDX-License-Identifier: Apache-2.0 */
/* The network room on a real kernel, in a network namespace of its own. Without arguments: unit tests. With arguments it is the driver of
 * tests/agent/net.test, one agent's life per call:  test-agent-net STATE_DIR RUN_DIR KILL_AT VERB [JSON]     (VERB "restore": only start;
 * "capabilities", "statistics", "state": what the kernel has; "killed VERB JSON STRIDE": the change, killed before its steps 0, STRIDE, ... in turn,
 * until it is done; "port TAP MAC POLICIES"; "sweep"; "time VERB JSON", "cpu", "latency LINK", "bare LINK N": for the bench;
 * KILL_AT n: killed before step n; -1: never).
 * rows: verb:Host.setupNetworks verb:Host.setSafeNetworkConfig verb:Host.confirmConnectivity verb:Host.getLldp verb:Host.hostdevChangeNumvfs
 * rows: verb:Host.getNetworkCapabilities verb:Host.getNetworkStatistics */
#include "agent-net.h"
#include <event2/event.h>
#include <math.h>
#include <sys/time.h>
#include <linux/if_packet.h>

#define FULL "{\"net1\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"255.255.255.0\", \"gateway\": \"192.0.2.254\", " \
	     "\"defaultRoute\": true, \"ipv6addr\": \"2001:db8::1/64\", \"mtu\": 1400, \"stp\": true}, " \
	     "\"net2\": {\"ipaddr\": \"198.51.100.1\", \"netmask\": \"24\"}}"

static void test_setup(void **state)
{
	struct room *room = *state;
	g_autofree char *before = snapshot();
	g_autofree char *bridge = NULL;
	g_autofree char *after = NULL;
	g_autoptr(GError) error = NULL;

	assert_int_equal(setup(room, FULL), 0);
	assert_int_equal(sh("ip -4 -o addr show net1 | grep -q 'inet 192.0.2.1/24'"), 0);
	assert_int_equal(sh("ip -6 -o addr show net1 | grep -q 'inet6 2001:db8::1/64'"), 0);
	assert_int_equal(sh("ip -d link show net1 | grep -q 'stp_state 1'"), 0);
	assert_int_equal(sh("ip -o link show net1 | grep -q 'mtu 1400 .*'"), 0);
	assert_int_equal(sh("ip -o link show eth0 | grep -q 'mtu 1400 .*master net1'"), 0);
	assert_int_equal(sh("ip route show default | grep -q 'via 192.0.2.254 dev net1'"), 0);
	assert_true(net_config_dirty(room->agent.net));
	bridge = net_bridge_of(room->agent.net, "net1", NULL, &error);
	assert_string_equal(bridge, "net1");
	assert_null(net_bridge_of(room->agent.net, "eth0", NULL, &error));
	assert_int_equal(error->code, 27);
	/* again: nothing to do */
	after = snapshot();
	net_before_step = NULL;
	assert_int_equal(setup(room, FULL), 0);
	assert_same(after);
	assert_int_equal(call_full(room, "Host.setSafeNetworkConfig", json_object(), NULL), 0);
	assert_false(net_config_dirty(room->agent.net));
	assert_int_equal(setup(room, "{\"net1\": {\"remove\": true}, \"net2\": {\"remove\": true}}"), 0);
	assert_int_equal(sh("ip link set eth0 mtu 1500"), 0);
	assert_same(before);
	assert_int_equal(setup(room, "{\"net1\": {\"remove\": true}}"), 27);
}

static void test_refused(void **state)
{
	struct room *room = *state;
	g_autofree char *message = NULL;
	char *before;

	assert_int_equal(setup(room, "{\"net1\": {}}"), 0);
	assert_int_equal(sh("ip tuntap add vnet0 mode tap && ip link set vnet0 master net1"), 0);
	before = snapshot();
	assert_int_equal(call_full(room, "Host.setupNetworks", request("{\"net1\": {\"remove\": true}}", "{}"), &message), 40);
	assert_non_null(strstr(message, "vnet0"));
	assert_int_equal(setup(room, "{\"good\": {}, \"net3\": {\"nic\": \"nope\"}}"), 23);
	assert_int_equal(setup(room, "{\"good\": {}, \"sixteen-letters-\": {}}"), 27);
	assert_int_equal(setup(room, "{\"good\": {}, \"net3\": {\"mtu\": 12}}"), 21);
	assert_int_equal(setup(room, "{\"good\": {}, \"net3\": {\"mtu\": \"x\"}}"), 21);
	assert_int_equal(setup(room, "{\"good\": 7}"), 21);
	assert_int_equal(setup(room, "{\"good\": {\"vlan\": 5}}"), 26);
	assert_int_equal(call_full(room, "Host.setupNetworks", json_pack("{s:{}, s:{s:{}}, s:{}}", "networks", "bondings", "bond0", "options"), NULL), 25);
	assert_int_equal(call_full(room, "Host.setupNetworks", request("{\"good\": {}}", "{\"connectivityTimeout\": \"x\"}"), NULL), 21);
	/* a failure in the middle, by the kernel: a name it refuses only at the last step of the request is not possible, an address is */
	assert_same(before);
	g_free(before);
}

/* What contradicts itself, the host or what is there: the object and the value are named, and nothing is changed. */
static void test_bad_wishes(void **state)
{
	static const struct { const char *networks, *bonds, *options; int code; const char *texts[4]; } rows[] = {
		{ "{'x': {'nic': 'eth77'}}", "{}", "{}", 23, { "'x'", "'eth77'" } },
		{ "{'x': {'bonding': 'bond77'}}", "{}", "{}", 25, { "'x'", "'bond77'" } },
		{ "{}", "{'bond1': {'nics': ['eth1']}, 'bond2': {'nics': ['eth1']}}", "{}", 24, { "'bond2'", "'eth1'", "bond1" } },
		{ "{}", "{'bond1': {'nics': ['eth1', 'eth1']}}", "{}", 25, { "'bond1'", "'eth1'", "twice" } },
		{ "{'x': {'nic': 'eth1', 'vlan': 4095}}", "{}", "{}", 26, { "'x'", "4095" } },
		{ "{'x': {'nic': 'eth1', 'vlan': -1}}", "{}", "{}", 26, { "'x'", "-1" } },
		{ "{'x': {'nic': 'eth1', 'vlan': 5}, 'y': {'nic': 'eth1', 'vlan': 5}}", "{}", "{}", 26, { "'y'", "vlan 5", "'eth1'", "'x'" } },
		{ "{'x': {'mtu': 65536}}", "{}", "{}", 21, { "'x'", "65536" } },
		{ "{'x': {'ipaddr': '192.0.2.9', 'netmask': '25'}}", "{}", "{}", 22, { "'x'", "192.0.2.9/25", "192.0.2.1/24", "'net1'" } },
		{ "{'x': {'ipaddr': '10.0.0.1', 'netmask': '24', 'gateway': '10.0.1.1'}}", "{}", "{}", 22, { "'x'", "10.0.1.1", "10.0.0.1/24" } },
		{ "{'sixteen-letters-': {}}", "{}", "{}", 27, { "'sixteen-letters-'", "15" } },
		{ "{'a b': {}}", "{}", "{}", 27, { "'a b'" } },
		{ "{'x/y': {}}", "{}", "{}", 27, { "'x/y'" } },
		{ "{'gr\303\266\303\237e': {}}", "{}", "{}", 27, { "'gr\303\266\303\237e'" } },
		{ "{'': {}}", "{}", "{}", 27, { "''" } },
		{ "{'eth1': {}}", "{}", "{}", 27, { "'eth1'", "not ours" } },
		{ "{}", "{'a-very-long-bond-name': {'nics': ['eth1']}}", "{}", 25, { "'a-very-long-bond-name'" } },
		{ "{'net1': {'remove': true}}", "{}", "{}", 40, { "'net1'", "vnet0" } },
		{ "{'nowhere': {'remove': true}}", "{}", "{}", 27, { "'nowhere'" } },
		{ "{'x': {'ipaddr': '10.0.0.1', 'netmask': '24', 'gateway': '10.0.0.2', 'defaultRoute': true}}", "{}", "{}", 21, { "'x'", "'net1'" } },
		{ "{'x': {'ipaddr': '10.0.0.256', 'netmask': '24'}}", "{}", "{}", 22, { "'x'", "10.0.0.256" } },
		{ "{'x': {'ipaddr': '10.0.0.1', 'netmask': '255.0.255.0'}}", "{}", "{}", 22, { "'x'", "255.0.255.0" } },
		{ "{'x': {'ipv6addr': '2001:db8::g/64'}}", "{}", "{}", 22, { "'x'", "2001:db8::g/64" } },
		{ "{'x': {'defaultRoute': true, 'nameservers': ['ns1']}}", "{}", "{}", 22, { "'x'", "'ns1'" } },
		{ "{}", "{'bond1': {'nics': ['bond2']}, 'bond2': {'nics': ['bond1']}}", "{}", 25, { "'bond1'", "'bond2'" } },
		{ "{'x': {'nic': 'net1'}}", "{}", "{}", 23, { "'x'", "'net1'" } },
		{ "{'x': {'roles': ['display']}}", "{}", "{}", 21, { "'x'", "'display'", "'net1'" } },
		{ "{'x': {'roles': ['vm'], 'nic': 'eth1', 'bridged': false}}", "{}", "{}", 21, { "'x'", "role vm" } },
		{ "{'x': {'switch': 'ovs'}}", "{}", "{}", 75, { "'x'", "'ovs'" } },
		{ "{}", "{'bond1': {'nics': ['eth1'], 'switch': 'ovs'}}", "{}", 75, { "'bond1'", "'ovs'" } },
		{ "{}", "{}", "{'switch': 'ovs'}", 75, { "'ovs'" } },
		{ "{'net1': {'ipaddr': '203.0.113.1', 'netmask': '24'}}", "{}", "{'connectivityCheck': true, 'connectivityTimeout': 1}", 10, { "within 1 s" } },
		/* what no engine of ours would ask for */
		{ "{'x': {'ipaddr': '10.1.0.1', 'netmask': '24', 'gateway': '10.1.0.2', 'defaultRoute': true}, "
		  "'net1': {'nic': 'eth0', 'ipaddr': '192.0.2.1', 'netmask': '24', 'gateway': '192.0.2.254', 'defaultRoute': true}}", "{}", "{}", 21,
		  { "'x'", "'net1'" } },
		{ "{'x': {'ipv6addr': '2001:db8::1/64'}, 'y': {'ipv6addr': '2001:DB8:0::2/48'}}", "{}", "{}", 22, { "'y'", "2001:db8::2/48", "2001:db8::1/64" } },
		{ "{'x': {'nic': 'eth2'}}", "{}", "{}", 24, { "'x'", "'eth2'", "'br9'" } },
		{ "{}", "{'bond1': {'nics': ['eth2']}}", "{}", 24, { "'bond1'", "'eth2'", "'br9'" } },
		{ "{'x': {'nic': 'br9'}}", "{}", "{}", 23, { "'br9'" } },
		{ "{'br9': {}}", "{}", "{}", 27, { "'br9'", "not ours" } },
		{ "{'x': {'nic': 'vnet0'}}", "{}", "{}", 23, { "'vnet0'" } },
		{ "{'x': {'nic': '../eth1'}}", "{}", "{}", 23, { "'../eth1'" } },
		{ "{'x': {'nic': 'eth1', 'bonding': 'bond1'}}", "{}", "{}", 21, { "'eth1'", "'bond1'" } },
		{ "{'x': {'nic': 'x'}}", "{}", "{}", 27, { "'x'" } },
		{ "{'x': {'nic': 'y'}, 'y': {'nic': 'x'}}", "{}", "{}", 23, { "'x'", "'y'" } },
		{ "{'x': {'bonding': 'y'}, 'y': {'bonding': 'x'}}", "{}", "{}", 25, { "'x'", "'y'" } },
		{ "{'bond1.5': {'bonding': 'bond1', 'vlan': 5}}", "{'bond1': {'nics': ['bond1.5']}}", "{}", 26, { "'bond1.5'" } },
		{ "{'x': {'bonding': 'bond1', 'vlan': 5}, 'y': {'nic': 'bond1.5'}}", "{'bond1': {'nics': ['eth1']}}", "{}", 23, { "'bond1.5'" } },
		{ "{}", "{'bond1': {'nics': ['bond1']}}", "{}", 25, { "'bond1'" } },
		{ "{}", "{'eth1': {'nics': ['eth1']}}", "{}", 25, { "'eth1'" } },
		{ "{'bond1': {}}", "{'bond1': {'nics': ['eth1']}}", "{}", 27, { "'bond1'" } },
		{ "{}", "{'bond1': {'nics': ['eth1'], 'hwaddr': '00:00:00:00:00:00'}}", "{}", 25, { "'00:00:00:00:00:00'" } },
		{ "{}", "{'bond1': {'nics': ['eth1'], 'hwaddr': '01:00:5e:00:00:01'}}", "{}", 25, { "'01:00:5e:00:00:01'" } },
		{ "{}", "{'bond1': {'remove': true}}", "{}", 25, { "'bond1'" } },
		{ "{'x': null}", "{}", "{}", 21, { "'x'" } },
		{ "{'x': []}", "{}", "{}", 21, { "'x'" } },
		{ "{}", "{'bond1': 'eth1'}", "{}", 21, { "'bond1'", "eth1" } },
		{ "{}", "[]", "{}", 21, { "bondings" } },
		{ "{}", "{}", "[]", 21, { "options" } },
		{ "{}", "{}", "{'connectivityTimeout': 0}", 21, { "connectivityTimeout: 0 " } },
		{ "{}", "{}", "{'connectivityTimeout': -1}", 21, { "connectivityTimeout: -1 " } },
		{ "{}", "{}", "{'connectivityTimeout': 151}", 21, { "connectivityTimeout: 151 ", "150" } },
		{ "{}", "{}", "{'connectivityTimeout': 1e300}", 21, { "connectivityTimeout" } },
		{ "{}", "{}", "{'connectivityTimeout': '4s'}", 21, { "4s" } },
		{ "{}", "{}", "{'connectivityTimeout': true}", 21, { "true" } },
		{ "{}", "{}", "{'connectivityCheck': 'yes'}", 21, { "connectivityCheck", "yes" } },
		{ "{}", "{}", "{'connectivityCheck': []}", 21, { "connectivityCheck" } },
		{ "{}", "{}", "{'commitOnSuccess': 2}", 21, { "commitOnSuccess: 2" } },
		{ "{}", "{}", "{'switch': 7}", 21, { "switch" } },
	};
	struct room *room = *state;
	g_autofree char *before = NULL;
	json_t *running, *now;

	assert_int_equal(sh("ip link add eth1 type veth peer name peer1 && ip link set eth1 up"), 0);
	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.254\", "
			       "\"defaultRoute\": true, \"roles\": [\"display\"]}}"), 0);
	assert_int_equal(sh("ip tuntap add vnet0 mode tap && ip link set vnet0 master net1 && ip link add eth2 type veth peer name peer2 && "
			    "ip link add br9 type bridge && ip link set eth2 master br9"), 0);
	before = snapshot();
	running = net_running(room->agent.net);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const char *const parts[] = { rows[i].networks, rows[i].bonds, rows[i].options }, *const names[] = { "networks", "bondings", "options" };
		json_t *wish = json_object();
		g_autofree char *message = NULL;

		for (size_t k = 0; k < G_N_ELEMENTS(parts); k++) {
			g_autofree char *text = g_strdelimit(g_strdup(parts[k]), "'", '"');

			json_object_set_new(wish, names[k], json_loads(text, 0, NULL));
		}
		/* what would be good by itself is not done either */
		json_object_set_new(json_object_get(wish, "networks"), "good", json_object());
		assert_int_equal(call_full(room, "Host.setupNetworks", wish, &message), rows[i].code);
		for (size_t k = 0; k < G_N_ELEMENTS(rows[i].texts) && rows[i].texts[k]; k++)
			if (!strstr(message, rows[i].texts[k]))
				fail_msg("'%s' does not say %s", message, rows[i].texts[k]);
		assert_same(before);
	}
	now = net_running(room->agent.net);
	assert_true(json_equal(running, now));
	assert_int_equal(sh("test -e '%s/net/journal.json'", room->directory), 1);
	json_decref(running);
	json_decref(now);
}

static void fail_third(unsigned n)
{
	/* takes the bridge away under the plan's feet */
	if (n == 2)
		(void)sh("ip link del net1");
}

static void test_undo(void **state)
{
	struct room *room = *state;
	g_autofree char *before = snapshot();

	net_before_step = fail_third;
	assert_int_not_equal(setup(room, FULL), 0);
	net_before_step = NULL;
	assert_same(before);
	assert_int_equal(setup(room, FULL), 0);
}

/* Moving the nic's own address and routes, and back. */
static void test_nic_in_use(void **state)
{
	struct room *room = *state;
	g_autofree char *before = NULL;

	assert_int_equal(sh("ip addr add 192.0.2.1/24 brd + dev eth0 && ip route add default via 192.0.2.254 && ip route add 203.0.113.0/24 via 192.0.2.253"),
			 0);
	before = snapshot();
	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"eth0\"}}"), 24);
	assert_same(before);
	/* nobody confirms: as before, routes included */
	assert_int_equal(call_full(room, "Host.setupNetworks", request(FULL, "{\"connectivityCheck\": true, \"connectivityTimeout\": 1}"), NULL), 10);
	assert_same(before);
	assert_int_equal(setup(room, FULL), 0);
	assert_int_equal(sh("ip route show 203.0.113.0/24 | grep -q 'via 192.0.2.253 dev net1'"), 0);
	assert_int_equal(sh("ip -4 -o addr show eth0 | grep -q inet"), 1);
}

static void *confirm_for_a_while(void *data)
{
	struct room *room = data;

	for (int i = 0; i < 200; i++) {
		assert_int_equal(call_full(room, "Host.confirmConnectivity", json_object(), NULL), 0);
		usleep(10 * 1000);
	}
	return NULL;
}

static void test_confirm(void **state)
{
	struct room *room = *state;
	pthread_t thread;

	pthread_create(&thread, NULL, confirm_for_a_while, room);
	assert_int_equal(call_full(room, "Host.setupNetworks",
				   request("{\"net1\": {}}", "{\"connectivityCheck\": true, \"connectivityTimeout\": 20, "
							     "\"commitOnSuccess\": true}"), NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(if_nametoindex("net1") > 0, true);
	assert_false(net_config_dirty(room->agent.net));
}

static void test_report(void **state)
{
	struct room *room = *state;
	struct host_caps *caps = record_new(&host_caps_type);
	struct host_stats *stats = record_new(&host_stats_type);
	json_t *network, *nic, *part, *told;
	int code;

	assert_int_equal(setup(room, FULL), 0);
	assert_true(net_capabilities(room->agent.net, "::ffff:192.0.2.1", caps, NULL));
	network = json_object_get(caps->networks, "net1");
	assert_string_equal(json_string_value(json_object_get(network, "iface")), "net1");
	assert_true(json_is_true(json_object_get(network, "bridged")));
	assert_string_equal(json_string_value(json_object_get(network, "addr")), "192.0.2.1");
	assert_string_equal(json_string_value(json_object_get(network, "netmask")), "255.255.255.0");
	assert_string_equal(json_string_value(json_object_get(network, "gateway")), "192.0.2.254");
	assert_true(json_is_true(json_object_get(network, "ipv4defaultroute")));
	assert_string_equal(json_string_value(json_object_get(network, "mtu")), "1400");
	assert_string_equal(json_string_value(json_object_get(network, "stp")), "on");
	assert_string_equal(json_string_value(json_object_get(network, "southbound")), "eth0");
	assert_string_equal(json_string_value(json_array_get(json_object_get(network, "ports"), 0)), "eth0");
	assert_string_equal(json_string_value(json_array_get(json_object_get(network, "ipv4addrs"), 0)), "192.0.2.1/24");
	assert_int_equal(json_object_size(caps->bridges), 2);
	nic = json_object_get(caps->nics, "eth0");
	assert_true(json_integer_value(json_object_get(nic, "speed")) > 0);
	assert_int_equal(strlen(json_string_value(json_object_get(nic, "hwaddr"))), 17);
	assert_null(json_object_get(caps->nics, "lo"));
	assert_string_equal(caps->last_client_iface, "net1");
	assert_string_equal(caps->net_config_dirty, "True");
	assert_int_equal(json_object_size(caps->vlans) + json_object_size(caps->bondings), 0);

	assert_true(net_statistics(room->agent.net, stats, NULL));
	nic = json_object_get(stats->network, "eth0");
	assert_string_equal(json_string_value(json_object_get(nic, "name")), "eth0");
	assert_true(json_is_string(json_object_get(nic, "rx")));
	assert_true(json_is_real(json_object_get(nic, "sampleTime")));
	assert_string_equal(json_string_value(json_object_get(nic, "state")), "up");
	assert_string_equal(json_string_value(json_object_get(json_object_get(stats->network, "net1"), "speed")), "1000");
	assert_non_null(json_object_get(stats->network, "lo"));
	assert_true(HAS(stats, rx_dropped));
	/* the verb of its own says the same, and nothing else */
	part = answer(room, "Host.getNetworkCapabilities", "{}", &code);
	assert_int_equal(code, 0);
	told = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:b, s:b, s:s}", "networks", caps->networks, "bridges", caps->bridges, "bondings", caps->bondings,
			 "nics", caps->nics, "vlans", caps->vlans, "nameservers", caps->nameservers, "supportsIPv6", true, "openvswitch", net_has_openvswitch(),
			 "netConfigDirty", "True");
	json_object_del(part, "lastClientIface");              /* nobody came in over a network */
	assert_true(json_equal(part, told));
	json_decref(told);
	json_decref(part);
	record_unref(caps);
	record_unref(stats);
}

/* Sends a frame of Ethernet type 0x88TYPE into eth0, to an address of LLDP. */
static void send_frame_of(uint8_t type, const char *body, size_t length)
{
	uint8_t frame[1500] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, type };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("peer0"), .sll_halen = 6 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	memcpy(frame + 14, body, length);
	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, frame, 14 + length, 0, (struct sockaddr *)&to, sizeof(to)), 14 + length);
	close(fd);
}

static void send_frame(const char *body, size_t length)
{
	send_frame_of(0xcc, body, length);
}

/* eth0's member of Host.getNetworkStatistics; -1: there is none. */
static double counter(struct room *room, const char *name)
{
	int code;
	json_t *stats = answer(room, "Host.getNetworkStatistics", "{}", &code);
	const char *text = json_string_value(json_object_get(json_object_get(json_object_get(stats, "network"), "eth0"), name));
	double value = text ? g_ascii_strtod(text, NULL) : -1;

	json_decref(stats);
	return value;
}

/* What the kernel counts on eth0, in the order of `names`, and what it dropped on all links. */
static char *kernel_counts(void)
{
	FILE *pipe = popen("awk 'NR > 2 { sub(\":\", \" \"); rx += $5; tx += $13 } $1 == \"eth0\" { nic = $2 \" \" $10 \" \" $4 \" \" $12 \" \" $5 \" \" $13 } "
			   "END { printf \"%s %d %d \", nic, rx, tx }' /proc/net/dev", "r");
	char text[400] = "";
	size_t n = fread(text, 1, sizeof(text) - 1, pipe);

	pclose(pipe);
	text[n] = '\0';
	return g_strdup(text);
}

/* Each member is the kernel's counter of that meaning. */
static void test_counters(void **state)
{
	static const char *const names[] = { "rx", "tx", "rxErrors", "txErrors", "rxDropped", "txDropped" };
	static const char body[1000];
	struct room *room = *state;
	bool compared = false;

	/* what is of no protocol that anybody wants is dropped */
	for (int i = 0; i < 20; i++)
		send_frame_of(0xb6, body, sizeof(body));
	for (int try = 0; try < 200 && !compared; try++) {
		g_autofree char *before = kernel_counts();
		int code;
		json_t *stats = answer(room, "Host.getNetworkStatistics", "{}", &code), *nic = json_object_get(json_object_get(stats, "network"), "eth0");
		g_autofree char *after = kernel_counts();
		g_autoptr(GString) said = g_string_new(NULL);

		assert_int_equal(code, 0);
		for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
			g_string_append_printf(said, "%s ", json_string_value(json_object_get(nic, names[i])));
		g_string_append_printf(said, "%s %s ", json_string_value(json_object_get(stats, "rxDropped")),
				       json_string_value(json_object_get(stats, "txDropped")));
		if ((compared = !strcmp(before, after))) {
			assert_string_equal(said->str, before);
			assert_true(g_ascii_strtoll(json_string_value(json_object_get(stats, "rxDropped")), NULL, 10) >= 20);
			assert_string_equal(json_string_value(json_object_get(nic, "name")), "eth0");
			assert_string_equal(json_string_value(json_object_get(nic, "state")), "up");
			assert_string_equal(json_string_value(json_object_get(nic, "duplex")), "full");
			assert_string_equal(json_string_value(json_object_get(nic, "speed")), "10000");
			assert_true(fabs(json_real_value(json_object_get(nic, "sampleTime")) - (double)wall_msec() / 1000) < 60);
			assert_int_equal(json_object_size(nic), 11);         /* and rates from the second question on */
		}
		print_message("# %s\n", said->str);
		json_decref(stats);
	}
	assert_true(compared);
}

/* Rates are those of the counters, over the time between two questions. */
static void test_rates(void **state)
{
	static const char body[1000];
	struct room *room = *state;
	int64_t begun = now_usec(), took;
	double before, rate;

	assert_true(counter(room, "rxRate") < 0);              /* nothing to compare with */
	before = counter(room, "rx");
	for (int i = 0; i < 100; i++)
		send_frame(body, sizeof(body));
	while ((rate = counter(room, "rxRate")) <= 0 && now_usec() - begun < 60 * G_USEC_PER_SEC)
		usleep(10 * 1000);
	took = now_usec() - begun;
	assert_true(rate * (double)took / G_USEC_PER_SEC >= 100 * 1000 && rate <= counter(room, "rx") - before);
	assert_true(counter(room, "txRate") >= 0);
}

/* ---- events: the loop is turned here, so that it shows what it waits for ---- */

struct timers { unsigned n; int64_t first_usec; };       /* armed ones; how long until the first */

static int count_timer(const struct event_base *base, const struct event *event, void *data)
{
	struct timers *timers = data;
	struct timeval at, now;

	if (!event_pending(event, EV_TIMEOUT, &at))
		return 0;
	gettimeofday(&now, NULL);
	timers->first_usec = MIN(timers->first_usec, (at.tv_sec - now.tv_sec) * G_USEC_PER_SEC + at.tv_usec - now.tv_usec);
	timers->n++;
	return 0;
}

static struct timers timers_of(const struct room *room)
{
	struct timers timers = { 0, INT64_MAX };

	event_base_foreach_event(loop_base(room->agent.loop), count_timer, &timers);
	return timers;
}

static int turn(const struct room *room, int flags)
{
	assert_int_equal(event_base_loop(loop_base(room->agent.loop), flags), 0);
	return __atomic_load_n(&room->events, __ATOMIC_SEQ_CST);
}

/* Until nothing is there and nothing is waited for; the number of events. */
static int rest(const struct room *room)
{
	while (turn(room, EVLOOP_NONBLOCK) >= 0 && timers_of(room).n)
		(void)turn(room, EVLOOP_ONCE);
	return turn(room, EVLOOP_NONBLOCK);
}

/*
 * A change is told within 100 ms: at rest no timer runs that could find it later, the kernel's message alone wakes the loop, and what is waited for then
 * is over in less. Neither depends on how fast this machine is.
 */
static void test_events(void **state)
{
	struct room *room = *state;
	g_autofree char *directory = g_strdup(room->directory);
	struct timers timers;
	int seen;

	room_leave(room);
	*state = room = room_open_at(directory, NULL, /* threaded= */ false);
	for (int up = 0; up < 2; up++) {
		seen = rest(room);
		assert_int_equal(timers_of(room).n, 0);
		assert_int_equal(sh("ip link set peer0 %s", up ? "up" : "down"), 0);
		assert_int_equal(turn(room, EVLOOP_NONBLOCK), seen);
		timers = timers_of(room);
		assert_int_equal(timers.n, 1);
		assert_true(timers.first_usec <= 100 * 1000);
		/* that it is over is told in the same turn, or what it posts in the next: no other timer is needed */
		while (turn(room, EVLOOP_ONCE) == seen)
			assert_true(timers_of(room).n <= 1);
		/* the other end's carrier, which the kernel tells when it likes */
		assert_true(wait_sh("ip link show eth0 | grep -q '%s'", up ? "LOWER_UP" : "NO-CARRIER"));
	}
	/* quiet again, then a VM's tap: nothing */
	seen = rest(room);
	assert_int_equal(sh("ip link add br9 type bridge && ip tuntap add vnet0 mode tap && ip link set vnet0 master br9 up && "
			    "ip link set br9 up && ip link del vnet0"), 0);
	assert_int_equal(turn(room, EVLOOP_NONBLOCK), seen);
	assert_int_equal(timers_of(room).n, 0);
	/* more than the kernel keeps for us, while nobody reads: told as hardly more than one change, and what comes after it is told again */
	log_set_level(NULL, LOG_LEVEL_ERROR);
	assert_int_equal(sh("{ for i in $(seq 1000); do echo link set peer0 down; echo link set peer0 up; done; "
			    "for i in $(seq 50); do echo link add v$i group 7 type bridge; done; } | ip -batch -"), 0);
	assert_in_range(rest(room), seen + 1, seen + 3);
	assert_int_equal(sh("ip link del group 7"), 0);
	seen = rest(room);
	assert_int_equal(sh("ip link set peer0 down"), 0);
	while (turn(room, EVLOOP_ONCE) == seen)
		;
	assert_int_equal(sh("ip link set peer0 up"), 0);
}

static void test_hooks(void **state)
{
	struct room *old = *state, *room;
	g_autofree char *directory = g_strdup(old->directory);
	g_autofree char *hooks = g_build_filename(directory, "hooks", NULL);

	room_leave(old);
	assert_int_equal(sh("mkdir -p '%s'/before_network_setup '%s'/after_network_setup '%s'/after_network_setup_fail", hooks, hooks, hooks), 0);
	assert_int_equal(sh("printf '#!/bin/sh\\nsed -i s/net1/changed/ $_hook_json\\n' > '%s'/before_network_setup/10; "
			    "printf '#!/bin/sh\\ncp $_hook_json %s/after\\n' > '%s'/after_network_setup/10; "
			    "printf '#!/bin/sh\\ncp $_hook_json %s/failed\\n' > '%s'/after_network_setup_fail/10; chmod +x '%s'/*/10",
			    hooks, directory, hooks, directory, hooks, hooks), 0);
	*state = room = room_open_at(directory, hooks, true);
	assert_int_equal(setup(room, "{\"net1\": {}}"), 0);
	assert_true(if_nametoindex("changed") && !if_nametoindex("net1"));
	assert_int_equal(sh("grep -q '\"request\".*changed' '%s/after' && ! test -e '%s/failed'", directory, directory), 0);
	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"nope\"}}"), 23);
	assert_int_equal(sh("test -e '%s/failed'", directory), 0);
	assert_int_equal(sh("printf '#!/bin/sh\\necho no >&2; exit 2\\n' > '%s'/before_network_setup/10", hooks), 0);
	assert_int_equal(setup(room, "{\"net5\": {}}"), 78);
	assert_false(if_nametoindex("net5"));
}

/* ---- LLDP ---- */

#define CHASSIS "\x02\x07\x04\x02\x00\x00\x00\x00\x01"
#define PORT "\x04\x08\x05Gi0/1/7"
#define TTL "\x06\x02\x00\x78"

static size_t n_tlvs(struct room *room, const char *nic)
{
	int code;
	json_t *told = answer(room, "Host.getLldp", "{}", &code);
	size_t n = json_array_size(json_object_get(json_object_get(told, nic), "tlvs"));

	json_decref(told);
	return n;
}

static bool wait_tlvs(struct room *room, size_t n)
{
	for (int i = 0; i < 500; i++) {
		if (n_tlvs(room, "eth0") == n)
			return true;
		usleep(20 * 1000);
	}
	return false;
}

static void test_lldp(void **state)
{
	static const char whole[] = CHASSIS PORT TTL "\x08\x06uplink" "\x0a\x04" "sw-1" "\x0c\x02\xff\xfe" "\x0e\x04\x00\x14\x00\x04"
		"\x10\x0c\x05\x01\xc0\x00\x02\x05\x02\x00\x00\x00\x07\x00" "\xfe\x06\x00\x80\xc2\x01\x00\x05" "\xfe\x06\x00\x12\x0f\x04\x05\xee"
		"\xfe\x05\x00\x00\x01\x01\x01" "\x00\x00";
	static const char *const expected[] = { "\"chassis ID\": \"02:00:00:00:00:01\"", "\"chassis ID subtype\": \"MAC\"", "\"port ID\": \"Gi0/1/7\"",
		"\"port ID subtype\": \"Ifname\"", "\"time to live\": \"120\"", "\"port description\": \"uplink\"", "\"system name\": \"sw-1\"",
		"\"system description\": \"fffe\"", "\"system capabilities\": \"Bridge, Router\"", "\"enabled capabilities\": \"Bridge\"",
		"\"management address\": \"192.0.2.5\"", "\"interface numbering\": \"7\"", "\"Port VLAN ID\": \"5\"", "\"mtu\": \"1518\"" };
	struct room *room = *state;
	unsigned seconds;
	g_autofree char *text = NULL;
	json_t *told;
	int code;

	/* a nic that is a bridge's port, seen by its link event */
	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"eth0\"}}"), 0);
	assert_int_equal(n_tlvs(room, "eth0"), 0);
	send_frame(whole, sizeof(whole) - 1);
	assert_true(wait_tlvs(room, 10));
	told = answer(room, "Host.getLldp", "{\"filter\": {\"devices\": [\"eth0\"]}}", &code);
	text = json_dumps(told, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
		if (!strstr(text, expected[i]))
			fail_msg("%s is not in %s", expected[i], text);
	assert_int_equal(json_object_size(told), 1);
	json_decref(told);
	json_decref(answer(room, "Host.getLldp", "{\"filter\": {\"devices\": 7}}", &code));
	assert_int_equal(code, 21);
	/* good-bye */
	send_frame(CHASSIS PORT "\x06\x02\x00\x00", sizeof(CHASSIS PORT) - 1 + 4);
	assert_true(wait_tlvs(room, 0));
	/* whatever is cut off where ever: refused or read, never beyond its end (as the sanitizers see) */
	for (size_t length = 0; length < sizeof(whole) - 1; length++) {
		g_autofree uint8_t *cut = g_memdup2(whole, length);

		told = net_lldp_parse(cut, length, &seconds);
		assert_true(!told || length >= sizeof(CHASSIS PORT TTL) - 1);
		json_decref(told);
	}
	assert_null(net_lldp_parse((const uint8_t *)PORT CHASSIS TTL, sizeof(PORT CHASSIS TTL) - 1, &seconds));
}

/* ---- SR-IOV ---- */

static int numvfs(struct room *room, const char *device, int number)
{
	return call_full(room, "Host.hostdevChangeNumvfs", json_pack("{s:s, s:i}", "deviceName", device, "numvfs", number), NULL);
}

static void test_numvfs(void **state)
{
	struct room *room = *state;
	const char *real = net_pci_devices, *real_class = net_class_devices;
	json_t *told = json_object();

	/* files in the place of sysfs: no machine of ours has such a device */
	assert_int_equal(sh("cd '%s' && mkdir -p pci/0000:03:00.0/net/eth0 pci/0000:03:00.1 && echo 8 > pci/0000:03:00.0/sriov_totalvfs && "
			    "echo 2 > pci/0000:03:00.0/sriov_numvfs && mkdir -p class/eth0 class/eth1 && ln -s ../../pci/0000:03:00.0 class/eth0/device && "
			    "ln -s ../../pci/0000:03:00.1 class/eth1/device && ln -s ../0000:03:00.0 pci/0000:03:00.1/physfn", room->directory), 0);
	net_pci_devices = g_build_filename(room->directory, "pci", NULL);
	net_class_devices = g_build_filename(room->directory, "class", NULL);
	net_describe_vfs(told, "eth0");
	assert_string_equal(json_string_value(json_object_get(json_object_get(told, "sriov"), "device")), "pci_0000_03_00_0");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(told, "sriov"), "totalvfs")), 8);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(told, "sriov"), "numvfs")), 2);
	json_object_clear(told);
	net_describe_vfs(told, "eth1");
	assert_string_equal(json_string_value(json_object_get(told, "physfn")), "eth0");
	json_object_clear(told);
	net_describe_vfs(told, "eth2");
	assert_int_equal(json_object_size(told), 0);
	json_decref(told);
	assert_int_equal(numvfs(room, "pci_0000_03_00_0", 9), 91);
	assert_int_equal(numvfs(room, "pci_0000_03_00_1", 1), 75);
	assert_int_equal(numvfs(room, "pci_0000_04_00_0", 1), 23);
	assert_int_equal(numvfs(room, "../../etc", 1), 23);
	assert_int_equal(sh("grep -qx 2 '%s/pci/0000:03:00.0/sriov_numvfs'", room->directory), 0);
	assert_int_equal(numvfs(room, "pci_0000_03_00_0", 4), 0);
	assert_int_equal(sh("grep -qx 4 '%s/pci/0000:03:00.0/sriov_numvfs'", room->directory), 0);
	assert_int_equal(numvfs(room, "pci_0000_03_00_0", 0), 0);
	assert_int_equal(sh("grep -qx 0 '%s/pci/0000:03:00.0/sriov_numvfs'", room->directory), 0);
	g_free((char *)net_pci_devices);
	g_free((char *)net_class_devices);
	net_pci_devices = real;
	net_class_devices = real_class;
}

/* ---- driver ---- */

static int kill_at;

static void kill_before(unsigned n)
{
	const char *other = g_getenv("STOPPED_PID");

	if ((int)n == kill_at && other)
		kill(atoi(other), SIGSTOP);
	else if ((int)n == kill_at)
		kill(getpid(), SIGKILL);
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Everything a network change could change, sorted; without what comes and goes by itself. */
static char *kernel_state(void)
{
	struct netlink *netlink = netlink_new(NULL);
	struct net_state *state = net_state_read(netlink, /* addresses= */ true, NULL);
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

	assert_non_null(state);
	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i], *master = net_state_index(state, link->master);
		g_autofree char *options = net_options_text(link->kind, link->options);

		g_ptr_array_add(lines, g_strdup_printf("%s %s mac %s master %s lower %d vlan %d mtu %u %s accept_ra %d%s", link->name, link->kind, link->mac,
						       master ? master->name : "-", *link->kind ? 0 : link->lower, link->vlan, link->mtu,
						       link->flags & IFF_UP ? "up" : "down", link->accept_ra, options));
		for (guint k = 0; k < link->addresses->len; k++) {
			const struct net_address *address = link->addresses->pdata[k];

			if (!address->link_local)
				g_ptr_array_add(lines, g_strdup_printf("%s address %s %s", link->name, address->text, address->broadcast));
		}
		for (guint k = 0; k < link->routes->len; k++) {
			const struct net_route *route = link->routes->pdata[k];

			g_ptr_array_add(lines, g_strdup_printf("%s route %s %s %u %u %u", link->name, route->destination, route->gateway, route->metric,
							       route->protocol, route->table));
		}
	}
	for (guint i = 0; i < state->rules->len; i++)
		g_ptr_array_add(lines, g_strdup_printf("rule %s", (char *)state->rules->pdata[i]));
	g_ptr_array_add(lines, g_strdup_printf("resolver %s", state->resolv));
	g_ptr_array_sort(lines, compare_lines);
	g_ptr_array_add(lines, NULL);
	net_state_free(state);
	netlink_free(netlink);
	return g_strjoinv("\n", (char **)lines->pdata);
}

static int drive(int argc, char **argv);

/* One life in a process of its own; its wait status. */
static int life(char *const *argv, char *kill_before_step, char *verb, char *json)
{
	char *arguments[] = { argv[0], argv[1], argv[2], kill_before_step, verb, json, NULL };
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(drive(6, arguments));
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

/* Kills a change before its steps 0, STRIDE, ..., until it is done; each time the next start must restore all. */
static int kill_everywhere(char **argv)
{
	g_autofree char *before = kernel_state();
	int status = 0, n = 0, stride = MAX(1, atoi(argv[7]));

	for (; n < 1000; n += stride) {
		g_autofree char *text = g_strdup_printf("%d", n);
		g_autofree char *after = NULL;

		status = life(argv, text, argv[5], argv[6]);
		if (!WIFSIGNALED(status) || life(argv, (char *)"-1", (char *)"restore", (char *)"{}"))
			break;
		after = kernel_state();
		if (strcmp(before, after)) {
			printf("killed before step %d: before:\n%s\nafter:\n%s\n", n, before, after);
			return 1;
		}
	}
	printf("%d\n", n);
	return status ? 1 : 0;
}

static double cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* For the bench: "bare LINK N": the fewest messages that make N bridges, each with a VLAN of LINK; prints ms. */
static int bare(const char *lower, int n)
{
	struct netlink *netlink = netlink_new(NULL);
	int64_t begun = now_usec();
	int errnum = 0;

	for (int i = 1; i <= n && !errnum; i++) {
		g_autofree char *bridge = g_strdup_printf("net%d", i);
		g_autofree char *vlan = g_strdup_printf("%s.%d", lower, i);
		g_autofree char *text = g_strdup_printf("vlan lower=%s id=%d", lower, i);
		g_autofree char *master = g_strdup_printf("link master=%s", bridge);

		if (!(errnum = netlink_link(netlink, bridge, "bridge", true)) && !(errnum = netlink_link(netlink, vlan, text, true)) &&
		    !(errnum = netlink_link(netlink, vlan, master, false)) && !(errnum = netlink_link(netlink, vlan, "link up=1", false)))
			errnum = netlink_link(netlink, bridge, "link up=1", false);
	}
	printf("%.3f\n", (double)(now_usec() - begun) / 1e3);
	netlink_free(netlink);
	return errnum ? 1 : 0;
}

/* A life that lasts: a line of input is "VERB JSON", its answer a line, {"code", "message", "result"}; until there are no more. */
static void converse(struct room *room)
{
	g_autofree char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		g_auto(GStrv) words = g_strsplit(g_strstrip(line), " ", 2);
		g_autofree char *message = NULL;
		g_autofree char *result = NULL;
		json_t *answer;
		int code = call_whole(room, words[0], json_loads(words[1], 0, NULL), &message, &result);

		answer = json_pack("{s:i, s:i, s:s?, s:o*}", "code", code, "events", __atomic_load_n(&room->events, __ATOMIC_SEQ_CST), "message", message,
				   "result", result ? json_loads(result, JSON_DECODE_ANY, NULL) : NULL);
		json_dumpf(answer, stdout, JSON_COMPACT);
		json_decref(answer);
		puts("");
		fflush(stdout);
	}
}

static int drive(int argc, char **argv)
{
	struct room *room;
	json_t *json = NULL;
	int code = 0;

	if (argc < 5)
		return 2;
	if (!strcmp(argv[4], "killed"))
		return argc > 7 ? kill_everywhere(argv) : 2;
	if (!strcmp(argv[4], "state")) {
		g_autofree char *state = kernel_state();

		puts(state);
		return 0;
	}
	if (!strcmp(argv[4], "bare"))
		return argc > 6 ? bare(argv[5], atoi(argv[6])) : 2;
	kill_at = atoi(argv[3]);
	room = room_open_at(argv[1], NULL, true);
	net_before_step = kill_before;
	if (!strcmp(argv[4], "capabilities")) {
		struct host_caps *caps = record_new(&host_caps_type);

		if (!net_capabilities(room->agent.net, NULL, caps, NULL))
			return 3;
		json = record_to_json(caps, RECORD_CHANNEL);
		record_unref(caps);
	} else if (!strcmp(argv[4], "statistics")) {
		struct host_stats *stats = record_new(&host_stats_type);

		if (!net_statistics(room->agent.net, stats, NULL))
			return 3;
		json = record_to_json(stats, RECORD_CHANNEL);
		record_unref(stats);
	} else if (!strcmp(argv[4], "cpu")) {                 /* ms of processor time of one Host.getNetworkStatistics, the least of ten */
		double least = 1e9;

		for (int i = 0; i < 10; i++) {
			double begun = cpu_ms();

			code |= call_full(room, "Host.getNetworkStatistics", json_object(), NULL);
			least = MIN(least, cpu_ms() - begun);
		}
		printf("%.3f\n", least);
	} else if (!strcmp(argv[4], "latency")) {             /* "latency LINK": ms from a change of its state to the event, the most of ten */
		struct netlink *netlink = netlink_new(NULL);
		int64_t most = 0;

		for (int i = 0; i < 10; i++) {
			int seen = __atomic_load_n(&room->events, __ATOMIC_SEQ_CST);
			int64_t begun = now_usec();

			code |= netlink_link(netlink, argv[5], i % 2 ? "link up=1" : "link up=0", false);
			while (__atomic_load_n(&room->events, __ATOMIC_SEQ_CST) == seen)
				usleep(200);
			most = MAX(most, now_usec() - begun);
		}
		netlink_free(netlink);
		printf("%.3f\n", (double)most / 1e3);
	} else if (!strcmp(argv[4], "port") && argc > 7) {    /* "port TAP MAC POLICIES ..." */
		for (int i = 5; i + 2 < argc && !code; i += 3) {
			json_t *policies = json_loads(argv[i + 2], 0, NULL);
			GError *error = NULL;

			if (!net_port_set(room->agent.net, argv[i], argv[i + 1], policies, &error)) {
				print_message("# %s\n", error->message);
				code = error->code;
			}
			g_clear_error(&error);
			json_decref(policies);
		}
	} else if (!strcmp(argv[4], "converse")) {
		converse(room);
	} else if (!strcmp(argv[4], "sweep")) {
		net_port_sweep(room->agent.net);
	} else if (!strcmp(argv[4], "time")) {                /* "time VERB JSON": and ms on the clock */
		int64_t begun = now_usec();

		code = call_full(room, argv[5], json_loads(argv[6], 0, NULL), NULL);
		printf("%.3f\n", (double)(now_usec() - begun) / 1e3);
	} else if (strcmp(argv[4], "restore"))
		code = call_full(room, argv[4], argc > 5 ? json_loads(argv[5], 0, NULL) : json_object(), NULL);
	if (json)
		json_dumpf(json, stdout, JSON_COMPACT);
	json_decref(json);
	room_leave(room);
	if (code)
		printf("error %d\n", code);
	return code ? 1 : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(test_setup), ROOM_TEST(test_refused), ROOM_TEST(test_bad_wishes), ROOM_TEST(test_undo), ROOM_TEST(test_nic_in_use), ROOM_TEST(test_confirm),
		ROOM_TEST(test_report), ROOM_TEST(test_counters), ROOM_TEST(test_rates),
		ROOM_TEST(test_events), ROOM_TEST(test_hooks), ROOM_TEST(test_lldp),
		ROOM_TEST(test_numvfs),
	};

	if (argc > 1)
		return drive(argc, argv);
	return room_enter() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
