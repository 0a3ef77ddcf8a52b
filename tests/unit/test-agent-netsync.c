/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody else changes of our networks: told property by property, what it should be and what it is, of the network it is of and of no other; and
 * made good by the same wish. On a real kernel, in a network namespace; VLANs and bonds, which not every kernel has, are in tests/agent/netlab.py. */
#include "agent-net.h"

#define NETWORKS "{\"net1\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\", \"gateway\": \"192.0.2.254\", \"defaultRoute\": true, " \
		 "\"ipv6addr\": \"2001:db8::1/64\", \"ipv6gateway\": \"2001:DB8::FE\", \"mtu\": 1400, \"stp\": true, \"nameservers\": [\"192.0.2.53\"], " \
		 "\"hostQos\": {\"out\": {\"ls\": {\"m2\": 8000000}}}, \"custom\": {\"bridge_opts\": \"ageing_time=1000 priority=4096\"}}, " \
		 "\"net2\": {\"ipaddr\": \"10.2.0.1\", \"netmask\": \"24\", \"forward\": \"nat\"}, " \
		 "\"net3\": {\"nic\": \"eth1\", \"bridged\": false, \"ipaddr\": \"10.3.0.1\", \"netmask\": \"24\", \"gateway\": \"10.3.0.2\", " \
		 "\"ipv6addr\": \"2001:db8:3::1/64\", \"ipv6gateway\": \"fe80::2\"}, " \
		 "\"net4\": {\"forward\": \"private\"}}"

/* The network's answer of Host.getNetworkCapabilities, NULL: it is not told; new reference */
static json_t *told(struct room *room, const char *network)
{
	int code;
	json_t *caps = answer(room, "Host.getNetworkCapabilities", "{}", &code);
	json_t *object = json_incref(json_object_get(json_object_get(caps, "networks"), network));

	assert_int_equal(code, 0);
	json_decref(caps);
	return object;
}

/* All networks but this one (NULL: all) are as they should be. */
static void assert_in_sync(struct room *room, const char *but)
{
	static const char *const names[] = { "net1", "net2", "net3", "net4" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		json_t *network = strcmp(names[i], but ? but : "") ? told(room, names[i]) : NULL;
		g_autofree char *text = network ? json_dumps(json_object_get(network, "differences"), 0) : NULL;

		if (network && (!json_is_true(json_object_get(network, "in_sync")) || strcmp(text, "[]")))
			fail_msg("%s: %s", names[i], text);
		json_decref(network);
	}
}

static bool has_difference(const json_t *network, const char *link, const char *property, const char *expected, const char *actual)
{
	const json_t *list = json_object_get(network, "differences"), *difference;
	size_t i;

	json_array_foreach(list, i, difference) {
		const char *texts[] = { link, property, expected, actual }, *const members[] = { "link", "property", "expected", "actual" };
		size_t same = 0;

		for (size_t k = 0; k < G_N_ELEMENTS(texts); k++) {
			const char *text = json_string_value(json_object_get(difference, members[k]));

			/* "default via*": that and more */
			same += g_str_has_suffix(texts[k], "*") ? !strncmp(texts[k], text, strlen(texts[k]) - 1) : !strcmp(texts[k], text);
		}
		if (same == G_N_ELEMENTS(texts))
			return true;
	}
	return false;
}

static void test_differences(void **state)
{
	static const struct { const char *network, *change, *link, *property, *expected, *actual; } rows[] = {
		{ "net1", "ip link set net1 mtu 1300", "net1", "mtu", "1400", "1300" },
		{ "net1", "ip link set eth0 mtu 1450", "eth0", "mtu", "1400", "1450" },
		{ "net1", "ip link set net1 type bridge stp_state 0", "net1", "stp_state", "1", "0" },
		{ "net1", "ip link set net1 type bridge ageing_time 5000", "net1", "ageing_time", "1000", "5000" },
		{ "net1", "ip link set net1 type bridge priority 8192", "net1", "priority", "4096", "8192" },
		{ "net1", "ip link set net1 down", "net1", "up", "1", "0" },
		{ "net1", "ip link set eth0 down", "eth0", "up", "1", "0" },
		{ "net1", "ip link set eth0 nomaster", "eth0", "master", "net1", "" },
		{ "net1", "ip addr del 192.0.2.1/24 dev net1", "net1", "address", "192.0.2.1/24 brd 192.0.2.255", "" },
		{ "net1", "ip addr del 2001:db8::1/64 dev net1", "net1", "address", "2001:db8::1/64", "" },
		{ "net1", "ip route del default", "net1", "route", "default via 192.0.2.254 *", "" },
		{ "net1", "ip route replace default via 192.0.2.77", "net1", "route", "default via 192.0.2.254 *", "" },
		{ "net1", "ip -6 route del default", "net1", "route", "default via 2001:db8::fe *", "" },
		{ "net1", "echo 2 > /proc/sys/net/ipv6/conf/net1/accept_ra", "net1", "accept_ra", "0", "2" },
		{ "net1", "echo nameserver 192.0.2.99 > $RESOLV", "net1", "resolv", "nameserver 192.0.2.53\n*", "nameserver 192.0.2.99\n" },
		{ "net1", "tc qdisc del dev eth0 root", "eth0", "qos", "5000:ls=0,0,1000000:*", "missing or changed" },
		{ "net2", "echo 0 > /proc/sys/net/ipv4/ip_forward", "", "forwarding", "1", "0" },
		{ "net2", "nft delete table inet berth", "", "ruleset", "ours", "missing or changed" },
		{ "net2", "ip rule del $(ip rule | sed -n 's/^[0-9]*:\\t\\(.*fwmark [^ ]*\\).*/\\1/p')", "net2", "rule", "fwmark *", "" },
		{ "net2", "ip addr del 10.2.0.1/24 dev net2", "net2", "address", "10.2.0.1/24 *", "" },
		{ "net3", "ip rule del from 10.3.0.0/24", "eth1", "rule", "from 10.3.0.0/24 *", "" },
		{ "net3", "ip route flush table 167968769", "eth1", "route", "default via 10.3.0.2 *", "" },
		{ "net3", "ip -6 rule del from 2001:db8:3::/64", "eth1", "rule", "from 2001:db8:3::/64 *", "" },
		{ "net3", "ip -6 route del default dev eth1 table $(ip -6 rule | sed -n 's/.*2001:db8:3::.*lookup \\([0-9]*\\).*/\\1/p')", "eth1", "route",
		  "default via fe80::2 *", "" },
		{ "net3", "ip link set eth1 down", "eth1", "up", "1", "0" },
		{ "net4", "ip link set net4 arp on", "net4", "arp", "0", "1" },
	};
	struct room *room = *state;
	g_autofree char *resolv = g_build_filename(room->directory, "resolv.conf", NULL);
	const char *real = net_resolv_path;
	json_t *network;

	net_resolv_path = resolv;
	g_setenv("RESOLV", resolv, TRUE);
	assert_true(g_file_set_contents(resolv, "nameserver 198.51.100.1\n", -1, NULL));
	assert_int_equal(sh("ip link add eth1 type veth peer name peer1 && ip link set eth1 up && ip link set peer1 up"), 0);
	assert_int_equal(setup(room, NETWORKS), 0);
	assert_in_sync(room, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		assert_int_equal(sh("%s", rows[i].change), 0);
		network = told(room, rows[i].network);
		if (json_is_true(json_object_get(network, "in_sync")) ||
		    !has_difference(network, rows[i].link, rows[i].property, rows[i].expected, rows[i].actual)) {
			g_autofree char *text = json_dumps(json_object_get(network, "differences"), 0);

			fail_msg("%s: %s", rows[i].change, text);
		}
		json_decref(network);
		if (*rows[i].link)             /* else it is of all networks behind this host */
			assert_in_sync(room, rows[i].network);
		if (setup(room, NETWORKS))
			fail_msg("%s: cannot be made good", rows[i].change);
		assert_in_sync(room, NULL);
	}
	/* what is ours to look at and nobody's fault: addresses of others, a machine */
	assert_int_equal(sh("ip addr add 198.51.100.7/24 dev net1 && ip tuntap add vnet0 mode tap && ip link set vnet0 master net1 up"), 0);
	assert_in_sync(room, NULL);
	/* a network without its bridge is none; the same wish makes it */
	assert_int_equal(sh("ip link del net1"), 0);
	assert_null(told(room, "net1"));
	assert_in_sync(room, "net1");
	assert_int_equal(setup(room, NETWORKS), 0);
	assert_in_sync(room, NULL);
	/* somebody else has what the network should be on: the reason is told */
	assert_int_equal(sh("ip link set eth0 nomaster && ip link add br9 type bridge && ip link set eth0 master br9"), 0);
	network = told(room, "net1");
	assert_true(json_is_false(json_object_get(network, "in_sync")));
	assert_true(has_difference(network, "net1", "link", "usable", "Network device is in use: network 'net1': nic 'eth0' is a port of 'br9'"));
	json_decref(network);
	assert_in_sync(room, "net1");
	net_resolv_path = real;
}

/* Below 1280 bytes a link has no IPv6, and nothing of it can be set. */
static void test_small_mtu(void **state)
{
	struct room *room = *state;

	assert_int_equal(setup(room, "{\"small\": {\"nic\": \"eth0\", \"mtu\": 1000, \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}, \"tiny\": {\"mtu\": 68}}"), 0);
	assert_int_equal(sh("ip -o link show small | grep -q 'mtu 1000 ' && ip -o link show eth0 | grep -q 'mtu 1000 ' && ip -o link show tiny | grep -q 'mtu 68 '"),
			 0);
	/* larger: IPv6 comes back, and does not take what routers say */
	assert_int_equal(setup(room, "{\"tiny\": {\"mtu\": 1280, \"ipv6addr\": \"2001:db8::1/64\"}}"), 0);
	assert_int_equal(sh("grep -qx 0 /proc/sys/net/ipv6/conf/tiny/accept_ra"), 0);
	/* smaller, and nobody confirms */
	assert_int_equal(call_full(room, "Host.setupNetworks",
				   request("{\"tiny\": {\"mtu\": 1000}}", "{\"connectivityCheck\": true, \"connectivityTimeout\": 1}"), NULL), 10);
	assert_int_equal(sh("ip -o link show tiny | grep -q 'mtu 1280 ' && grep -qx 0 /proc/sys/net/ipv6/conf/tiny/accept_ra"), 0);
	assert_int_equal(sh("ip -6 -o addr show tiny | grep -q 2001:db8::1/64"), 0);
	assert_int_equal(setup(room, "{\"tiny\": {\"mtu\": 1000}}"), 0);
	assert_int_equal(setup(room, "{\"tiny\": {\"remove\": true}, \"small\": {\"remove\": true}}"), 0);
}

static void machine_comes(unsigned n)
{
	if (n == 0)
		(void)sh("ip tuntap add vnet0 mode tap && ip link set vnet0 master net1");
}

/* A machine starts on the network while it is about to go. */
static void test_machine_meanwhile(void **state)
{
	struct room *room = *state;
	g_autofree char *message = NULL;
	g_autofree char *before = NULL;

	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}, \"net2\": {}}"), 0);
	before = snapshot();
	net_before_step = machine_comes;
	assert_int_equal(call_full(room, "Host.setupNetworks", request("{\"net1\": {\"remove\": true}, \"net2\": {\"remove\": true}}", "{}"), &message), 40);
	net_before_step = NULL;
	assert_non_null(strstr(message, "'net1' is used by vnet0"));
	assert_int_equal(sh("ip -o link show vnet0 | grep -q 'master net1' && ip tuntap del vnet0 mode tap"), 0);
	assert_same(before);
}

static struct room *hooked;
static unsigned steps_seen;

/* Between two steps nobody reads the links to tell of them. */
static void nobody_tells(unsigned n)
{
	assert_int_equal(pthread_rwlock_tryrdlock(&hooked->agent.net->telling), EBUSY);
	steps_seen++;
}

static void *set_up_and_wait(void *data)
{
	assert_int_equal(call_full(data, "Host.setupNetworks", request("{\"net2\": {\"ipaddr\": \"192.0.2.9\", \"netmask\": \"24\"}}",
				   "{\"connectivityCheck\": true, \"connectivityTimeout\": 150}"), NULL), 0);
	return NULL;
}

static void take_lease(void *data)
{
	net_dhcp_apply(((struct room *)data)->agent.net);
}

/* What is told while something changes is of one state: what waits to be confirmed is told, and a lease that is being taken in is not somebody's change. */
static void test_told_meanwhile(void **state)
{
	struct room *room = hooked = *state;
	struct net *net = room->agent.net;
	json_t *network = NULL;
	pthread_t thread;

	net_before_step = nobody_tells;
	pthread_create(&thread, NULL, set_up_and_wait, room);
	while (!(network = told(room, "net2")))
		usleep(10 * 1000);
	assert_string_equal(json_string_value(json_object_get(network, "addr")), "192.0.2.9");
	assert_in_sync(room, NULL);
	assert_int_equal(call_full(room, "Host.confirmConnectivity", json_object(), NULL), 0);
	pthread_join(thread, NULL);
	json_decref(network);
	assert_in_sync(room, NULL);
	assert_int_equal(setup(room, "{\"net1\": {\"bootproto\": \"dhcp\"}}"), 0);
	steps_seen = 0;
	{
		AUTO_LOCK(&net->lock);
		json_object_set_new(net->offered, "net1", json_pack("{s:s, s:s, s:s, s:[], s:I}", "ip", "10.5.0.7", "mask", "24", "gateway", "", "nameservers",
								    "until", (json_int_t)4102444800));
	}
	assert_true(lane_submit(room->agent.lanes, "network", &(struct lane_job){ .name = "lease", .run = take_lease, .data = room }, NULL));
	/* each answer is from before the lease or after it */
	for (bool has = false; !has; json_decref(network)) {
		assert_non_null(network = told(room, "net1"));
		assert_true(json_is_true(json_object_get(network, "in_sync")));
		has = !strcmp(json_string_value(json_object_get(network, "addr")), "10.5.0.7");
	}
	assert_int_equal(setup(room, "{\"net1\": {\"remove\": true}, \"net2\": {\"remove\": true}}"), 0);
	assert_true(steps_seen > 3);
	net_before_step = NULL;
}

struct rival { struct room *room; const char *networks; int code; };

static void *contend(void *data)
{
	struct rival *rival = data;

	rival->code = call_full(rival->room, "Host.setupNetworks", request(rival->networks, "{}"), NULL);
	return NULL;
}

/* Two requests at once, each good by itself: one after the other, and the second is judged by what the first has made. */
static void test_two_at_once(void **state)
{
	struct rival rivals[] = { { *state, "{\"a\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.1\", \"netmask\": \"24\"}}", -1 },
				  { *state, "{\"b\": {\"nic\": \"eth0\", \"ipaddr\": \"192.0.2.2\", \"netmask\": \"24\"}}", -1 } };
	struct room *room = *state;
	pthread_t threads[2];
	json_t *running;
	int winner;

	for (size_t i = 0; i < G_N_ELEMENTS(rivals); i++)
		pthread_create(&threads[i], NULL, contend, &rivals[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(rivals); i++)
		pthread_join(threads[i], NULL);
	winner = rivals[0].code ? 1 : 0;
	assert_int_equal(rivals[winner].code, 0);
	assert_int_equal(rivals[!winner].code, 24);
	running = json_object_get(room->agent.net->running, "networks");
	assert_int_equal(json_object_size(running), 1);
	assert_non_null(json_object_get(running, winner ? "b" : "a"));
	assert_int_equal(sh("ip -o link show eth0 | grep -q 'master %s' && ! ip link show %s 2>/dev/null", winner ? "b" : "a", winner ? "a" : "b"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { ROOM_TEST(test_differences), ROOM_TEST(test_small_mtu), ROOM_TEST(test_told_meanwhile),
					     ROOM_TEST(test_machine_meanwhile), ROOM_TEST(test_two_at_once) };

	return room_enter() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
