/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and NICs that are mirrored before they are there: what is wanted of a tap that is to come holds when the kernel tells of it, and nothing
 * passes a mirrored port before. Nobody but the links' events sets anything here: no machine is ever settled. */
#include "agent-net.h"

#define OWN "52:54:00:00:00:01"
#define OWN_TAP "bt525400000001"
#define WATCHER "52:54:00:00:00:09"

static bool set(struct room *room, const char *policies)
{
	json_t *json = json_loads(policies, 0, NULL);
	bool good = net_port_set(room->agent.net, OWN_TAP, OWN, json, NULL);

	json_decref(json);
	return good;
}

static void test_nic_to_come(void **state)
{
	struct room *room = *state;
	g_autoptr(GPtrArray) bridges = g_ptr_array_new();

	g_ptr_array_add(bridges, (char *)"br9");
	assert_int_equal(sh("ip link add br9 type bridge && ip link set br9 up"), 0);
	net_mirror_expected(room->agent.net, WATCHER, bridges);
	/* as libvirt makes it: with an address of the host, then with that of the NIC but for its first byte */
	assert_int_equal(sh("ip tuntap add vnet7 mode tap && ip link set vnet7 address fe:54:00:00:00:09"), 0);
	assert_true(wait_sh("tc filter show dev br9 ingress | grep -q 'device vnet7' && ip -d link show br9 | grep -q 'promiscuity 1'"));
	assert_int_equal(sh("tc filter show dev br9 egress | grep -q 'device vnet7'"), 0);
	assert_int_equal(sh("ip link del vnet7"), 0);
	net_mirror_sweep(room->agent.net);
	assert_int_equal(sh("! tc qdisc show dev br9 | grep -q clsact && ip -d link show br9 | grep -q 'promiscuity 0'"), 0);
	assert_int_equal(sh("ip link del br9"), 0);
}

static void test_port_to_come(void **state)
{
	struct room *room = *state;

	assert_true(set(room, "{\"mirrorTo\": \"" WATCHER "\", \"raGuard\": true}"));
	assert_int_equal(sh("nft list chain bridge berth in_" OWN_TAP " | grep -q waiting && nft list chain bridge berth out_" OWN_TAP " | grep -q waiting"), 0);
	assert_int_equal(sh("ip tuntap add vnet7 mode tap && ip link set vnet7 address fe:54:00:00:00:09 && ip tuntap add " OWN_TAP " mode tap"), 0);
	assert_true(wait_sh("nft list chain bridge berth out_" OWN_TAP " | grep -q raGuard && ! nft list table bridge berth | grep -q waiting"));
	/* it never passes without: the filters are there first */
	assert_int_equal(sh("tc filter show dev " OWN_TAP " ingress | grep -q 'device vnet7' && tc filter show dev " OWN_TAP " egress | grep -q 'device vnet7'"), 0);
	/* who gets the copy goes, and is there again as another link: of a container */
	assert_int_equal(sh("ip link del vnet7"), 0);
	assert_true(wait_sh("! tc qdisc show dev " OWN_TAP " | grep -q clsact"));
	assert_int_equal(sh("ip link add bt525400000009 type veth peer name inside"), 0);
	assert_true(wait_sh("tc filter show dev " OWN_TAP " ingress | grep -q 'device bt525400000009'"));
	/* killed and started again: what is set again is what there is */
	net_port_settled(room->agent.net, OWN_TAP);
	net_mirror_forget(room->agent.net, OWN_TAP);
	assert_true(set(room, "{\"mirrorTo\": \"" WATCHER "\", \"raGuard\": true}"));
	assert_int_equal(sh("test $(tc filter show dev " OWN_TAP " egress | grep -c 'device bt525400000009') = 2"), 0);
	/* the port goes */
	assert_int_equal(sh("ip link del " OWN_TAP " && ip link del inside"), 0);
	net_port_sweep(room->agent.net);
	assert_int_equal(g_hash_table_size(room->agent.net->mirrored_ports), 0);
	assert_int_not_equal(sh("nft list table bridge berth 2>/dev/null"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { ROOM_TEST(test_nic_to_come), ROOM_TEST(test_port_to_come) };

	return room_enter() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
