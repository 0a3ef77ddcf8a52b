/* SPDX-License-Identifier: Apache-2.0 */
/* Networks whose addresses come from a DHCP server.
 * rows: verb:Host.setupNetworks */
#include "agent-net.h"

/* Succeeds when so many ("-ge 2", "-eq 0") processes of DHCP clients are in this network namespace. */
static bool wait_clients(const char *count)
{
	return wait_sh("n=0; for p in /proc/[0-9]*; do [ \"$(readlink $p/ns/net)\" = \"$(readlink /proc/self/ns/net)\" ] && grep -qx dhcpcd $p/comm && "
		       "n=$((n + 1)); done 2>/dev/null; [ $n %s ]", count);
}

#define HAS_IPV4 "ip -4 -o addr show net1 | grep -q 'inet 192.0.2.10[0-9]/24'"
#define HAS_IPV6 "ip -6 -o addr show net1 | grep -q 'inet6 2001:db8::10[0-9]/128'"
#define HAS_AUTOCONF "ip -6 -o addr show net1 | grep -q 'inet6 2001:db8::[0-9a-f:]*/64 .*dynamic'"

/* net1 as it is told once the lease that its files have is taken in whole; new reference */
static json_t *told_in_sync(struct room *room)
{
	g_autofree char *text = NULL;

	for (int i = 0; i < 900; i++) {
		int code;
		json_t *caps = answer(room, "Host.getNetworkCapabilities", "{}", &code);
		json_t *network = json_incref(json_object_get(json_object_get(caps, "networks"), "net1"));

		json_decref(caps);
		if (json_is_true(json_object_get(network, "in_sync")))
			return network;
		g_free(text);
		text = json_dumps(network, 0);
		json_decref(network);
		usleep(100 * 1000);
	}
	fail_msg("%s", text);
	return NULL;
}

/* A real server of both families at the other end of the wire, in a namespace of its own. */
static void test_dhcp(void **state)
{
	struct room *room = *state;
	g_autofree char *directory = g_strdup(room->directory);
	g_autofree char *resolv = g_build_filename(directory, "resolv.conf", NULL);
	g_autofree char *message = NULL;
	json_t *network;
	pid_t pid;
	int status;

	if (sh("command -v dnsmasq && command -v dhcpcd >/dev/null"))
		skip();
	net_resolv_path = resolv;
	assert_int_equal(sh("cd '%s' && (unshare -n sh -c 'echo $$ > server; until ip link show peer0 >/dev/null 2>&1; do sleep 0.05; done; "
			    "ip addr add 192.0.2.254/24 dev peer0; ip addr add 2001:db8::fe/64 dev peer0 nodad; ip link set peer0 up; ip link set lo up; "
			    "exec dnsmasq -k --port=0 --user=root --interface=peer0 --bind-dynamic --dhcp-authoritative "
			    "--dhcp-range=192.0.2.100,192.0.2.109,255.255.255.0,10m --dhcp-option=3,192.0.2.254 --dhcp-option=6,192.0.2.53 "
			    "--dhcp-range=2001:db8::100,2001:db8::109,slaac,64,10m --enable-ra \"--dhcp-option=option6:dns-server,[2001:db8::53]\" "
			    "--dhcp-leasefile=$PWD/dnsmasq.leases --pid-file= --log-facility=$PWD/log' >/dev/null 2>&1 &); "
			    "until [ -s server ]; do sleep 0.05; done; ip link set peer0 netns $(cat server)", directory), 0);
	/* rolled back while the clients ask: nothing is left */
	assert_int_equal(call_full(room, "Host.setupNetworks", request("{\"net1\": {\"nic\": \"eth0\", \"bootproto\": \"dhcp\", \"dhcpv6\": true}}",
								       "{\"connectivityCheck\": true, \"connectivityTimeout\": 4}"), &message), 10);
	assert_false(if_nametoindex("net1"));
	assert_true(wait_clients("-eq 0"));

	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"eth0\", \"bootproto\": \"dhcp\", \"dhcpv6\": true, \"defaultRoute\": true}}"), 0);
	assert_true(wait_sh(HAS_IPV4 " && " HAS_IPV6));
	assert_true(wait_sh("ip route show default | grep -q 'via 192.0.2.254 dev net1'"));
	assert_true(wait_sh("grep -qx 'nameserver 192.0.2.53' '%s' && grep -qx 'nameserver 2001:db8::53' '%s'", resolv, resolv));
	assert_true(wait_sh("grep -q 192.0.2.10 '%s/net/leases.json' && grep -q 2001:db8::10 '%s/net/leases.json'", directory, directory));
	network = told_in_sync(room);
	assert_true(json_is_true(json_object_get(network, "dhcpv4")) && json_is_true(json_object_get(network, "dhcpv6")));
	assert_string_equal(json_string_value(json_object_get(network, "gateway")), "192.0.2.254");
	json_decref(network);

	/* a cable that is pulled and put back: the same addresses are asked for, and were there all the time */
	assert_int_equal(sh("cd '%s' && ip -o monitor address > monitor & echo $! > '%s/monitoring'; : > '%s/log'", directory, directory, directory), 0);
	assert_int_equal(sh("nsenter -n -t $(cat '%s/server') ip link set peer0 down", directory), 0);
	assert_true(wait_sh("ip -o link show net1 | grep -q NO-CARRIER"));
	assert_int_equal(sh("nsenter -n -t $(cat '%s/server') sh -c 'ip link set peer0 up; ip addr add 2001:db8::fe/64 dev peer0 nodad'", directory), 0);
	assert_true(wait_sh("grep -q DHCPACK '%s/log' && grep -q DHCPREPLY '%s/log'", directory, directory));
	assert_int_equal(sh("kill $(cat '%s/monitoring'); ! grep -E 'Deleted.*(192.0.2.10|2001:db8::10).*' '%s/monitor'", directory, directory), 0);

	/* killed: the clients end with the agent, the addresses stay */
	room_leave(room);
	if ((pid = fork()) == 0) {
		(void)room_open_at(directory, NULL, true);
		(void)wait_clients("-ge 2");
		_exit(raise(SIGKILL));
	}
	assert_true(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	assert_true(wait_clients("-eq 0"));
	assert_int_equal(sh(HAS_IPV4 " && " HAS_IPV6), 0);

	/* the next agent's clients ask for the same ones */
	assert_int_equal(sh(": > '%s/log'", directory), 0);
	*state = room = room_open_at(directory, NULL, true);
	assert_true(wait_sh("grep -q DHCPACK '%s/log' && grep -q DHCPREPLY '%s/log'", directory, directory));
	assert_int_equal(sh("! grep -E 'DHCPDISCOVER|DHCPSOLICIT' '%s/log'", directory), 0);

	/* the server is gone, and the leases ended while the agent did not run: the addresses go, and come back with the server */
	assert_int_equal(sh("kill -STOP $(cat '%s/server')", directory), 0);
	room_leave(room);
	assert_int_equal(sh("sed -i 's/\"until\": [0-9]*/\"until\": 1/' '%s/net/leases.json'", directory), 0);
	*state = room = room_open_at(directory, NULL, true);
	assert_true(wait_sh("! { " HAS_IPV4 " || " HAS_IPV6 "; }"));
	assert_int_equal(sh("kill -CONT $(cat '%s/server')", directory), 0);
	assert_true(wait_sh(HAS_IPV4 " && " HAS_IPV6));

	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"eth0\"}}"), 0);
	assert_int_equal(sh(HAS_IPV4 " || " HAS_IPV6), 1);
	assert_int_equal(sh("grep -q nameserver '%s'", resolv), 1);
	assert_true(wait_clients("-eq 0"));
	/* the server is a router, too: until now nothing of what it advertises was taken */
	assert_int_equal(sh(HAS_AUTOCONF " || ip -6 route show default | grep -q net1"), 1);
	assert_int_equal(setup(room, "{\"net1\": {\"nic\": \"eth0\", \"ipv6autoconf\": true}}"), 0);
	assert_true(wait_sh(HAS_AUTOCONF " && ip -6 route show default | grep -q 'via fe80:.* dev net1 proto ra'"));
	network = told_in_sync(room);
	assert_true(json_is_true(json_object_get(network, "ipv6autoconf")));
	assert_true(g_str_has_prefix(json_string_value(json_object_get(network, "ipv6gateway")), "fe80:"));
	json_decref(network);
	assert_int_equal(sh("kill $(cat '%s/server')", directory), 0);
	net_resolv_path = "/etc/resolv.conf";
}

int main(void)
{
	const struct CMUnitTest tests[] = { ROOM_TEST(test_dhcp) };

	return room_enter() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
