/* SPDX-License-Identifier: Apache-2.0 */
/* The network room on a real kernel, in a network namespace of its own. Without arguments: unit tests. With arguments it is the driver of
 * tests/agent/net.test, one agent's life per call:  test-agent-net STATE_DIR RUN_DIR KILL_AT VERB [JSON]     (VERB "restore": only start;
 * "capabilities", "statistics"; KILL_AT n: killed before step n; -1: never).
 * rows: verb:Host.setupNetworks verb:Host.setSafeNetworkConfig verb:Host.confirmConnectivity */
#include "cmocka-all.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_tun.h>
#include "agent/events.h"
#include "agent/hooks.h"
#include "agent/net/net-priv.h"
#include "common/log.h"
#include "proto/vm.h"

struct room {
	struct agent agent;
	pthread_t thread;
	char *directory;
	bool threaded;
	int events;                      /* atomic: host_conn events */
};

static void on_event(const char *method, const char *params, void *data)
{
	if (!strcmp(method, EVENT_HOST_CONN))
		__atomic_add_fetch(&((struct room *)data)->events, 1, __ATOMIC_SEQ_CST);
}

static void *run_loop(void *data)
{
	loop_run(((struct room *)data)->agent.loop);
	return NULL;
}

static struct room *room_open_at(const char *directory, const char *hooks, bool threaded)
{
	struct room *room = g_new0(struct room, 1);
	GError *error = NULL;

	log_set_level(NULL, LOG_LEVEL_ERROR);
	room->directory = g_strdup(directory);
	room->agent.state_dir = room->directory;
	room->agent.loop = loop_new();
	room->agent.events = events_new(room->agent.loop, on_event, room);
	room->agent.hooks = hooks ? hooks_new(&(struct hooks_settings){ .directory = hooks, .limit_usec = 10 * G_USEC_PER_SEC }, NULL) : NULL;
	room->agent.net = net_new(&room->agent, &error);
	if (!room->agent.net || !net_restore(room->agent.net, &error)) {
		fprintf(stderr, "%s\n", error->message);
		exit(3);
	}
	events_open(room->agent.events);
	room->threaded = threaded;
	if (threaded)
		pthread_create(&room->thread, NULL, run_loop, room);
	return room;
}

static void room_leave(struct room *room)
{
	if (room->threaded) {
		loop_stop(room->agent.loop);
		pthread_join(room->thread, NULL);
	}
	net_free(room->agent.net);
	hooks_free(room->agent.hooks);
	events_free(room->agent.events);
	loop_free(room->agent.loop);
	g_free(room->directory);
	g_free(room);
}

static int call_full(struct room *room, const char *name, json_t *json, char **ret_message)
{
	const struct verb_call who = { "", "", "" };
	g_autoptr(GString) out = g_string_new(NULL);
	GError *error = NULL;
	void *params;
	int code;

	assert_non_null(json);
	if ((params = verb_params(verb_find(name), json, NULL, &error))) {
		for (size_t i = 0; i < n_net_bindings; i++)
			if (!strcmp(net_bindings[i].name, name))
				(void)net_bindings[i].handler(&room->agent, &who, params, out, &error);
		record_unref(params);
	}
	json_decref(json);
	if (error)
		print_message("# %s: %s\n", name, error->message);
	code = error ? error->code : 0;
	if (ret_message)
		*ret_message = error ? g_strdup(error->message) : NULL;
	g_clear_error(&error);
	return code;
}

static json_t *request(const char *networks, const char *options)
{
	json_t *n = json_loads(networks, 0, NULL), *o = json_loads(options, 0, NULL);

	assert_non_null(n);
	assert_non_null(o);
	return json_pack("{s:o, s:{}, s:o}", "networks", n, "bondings", "options", o);
}

static int setup(struct room *room, const char *networks)
{
	return call_full(room, "Host.setupNetworks", request(networks, "{}"), NULL);
}

static int sh(const char *format, ...) G_GNUC_PRINTF(1, 2);
static int sh(const char *format, ...)
{
	g_autofree char *command = NULL;
	va_list args;
	int status;

	va_start(args, format);
	command = g_strdup_vprintf(format, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Everything a network change could change, as another program tells it. */
static char *snapshot(void)
{
	FILE *pipe = popen("{ ip -o link | sed -e 's/<[^>]*>//' -e 's/state [A-Z]*//' -e 's/qdisc [a-z]*//'; ip -o link show up | sed 's/<.*//'; "
			   "ip -d -o link show type bridge | sed 's/<.*stp_state/stp/;s/priority.*//'; "
			   "ip -o addr; ip route; ip -6 route show proto static; } | sed -e 's/ valid_lft.*//' -e 's/^[0-9]*: //' -e 's/ tentative//' "
			   "-e '/fe80::/d' -e 's/ linkdown//' | sort", "r");
	g_autoptr(GString) text = g_string_new(NULL);
	char buffer[4096];
	size_t n;

	while ((n = fread(buffer, 1, sizeof(buffer), pipe)) > 0)
		g_string_append_len(text, buffer, (gssize)n);
	pclose(pipe);
	return g_strdup(text->str);
}

static void assert_same(const char *before)
{
	g_autofree char *now = snapshot();

	assert_string_equal(before, now);
}

static void clean_links(void)
{
	(void)sh("for l in $(ip -br link | sed 's/[@ ].*//' | grep -v '^lo$'); do ip link del $l 2>/dev/null; done; true");
}

static int room_setup(void **state)
{
	g_autofree char *directory = g_dir_make_tmp("berth-net-XXXXXX", NULL);

	clean_links();
	assert_int_equal(sh("ip link add eth0 type veth peer name peer0 && ip link set eth0 up && ip link set peer0 up"), 0);
	*state = room_open_at(directory, NULL, true);
	return 0;
}

static int room_teardown(void **state)
{
	struct room *room = *state;
	g_autofree char *directory = g_strdup(room->directory);

	room_leave(room);
	return sh("rm -rf '%s'", directory);
}

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
	bridge = net_bridge_of(room->agent.net, "net1", &error);
	assert_string_equal(bridge, "net1");
	assert_null(net_bridge_of(room->agent.net, "eth0", &error));
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
	assert_int_equal(setup(room, "{\"good\": {\"vlan\": 5}}"), 75);
	assert_int_equal(call_full(room, "Host.setupNetworks", json_pack("{s:{}, s:{s:{}}, s:{}}", "networks", "bondings", "bond0", "options"), NULL), 75);
	assert_int_equal(call_full(room, "Host.setupNetworks", request("{\"good\": {}}", "{\"connectivityTimeout\": \"x\"}"), NULL), 21);
	/* a failure in the middle, by the kernel: a name it refuses only at the last step of the request is not possible, an address is */
	assert_same(before);
	g_free(before);
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
	json_t *network, *nic;

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
	record_unref(caps);
	record_unref(stats);
}

static bool wait_events(struct room *room, int more_than)
{
	for (int i = 0; i < 500; i++) {
		if (__atomic_load_n(&room->events, __ATOMIC_SEQ_CST) > more_than)
			return true;
		usleep(10 * 1000);
	}
	return false;
}

static void test_events(void **state)
{
	struct room *room = *state;
	int seen;

	assert_int_equal(sh("ip link set peer0 down"), 0);
	assert_true(wait_events(room, 0));
	/* quiet again, then a VM's tap: no event */
	usleep(200 * 1000);
	seen = __atomic_load_n(&room->events, __ATOMIC_SEQ_CST);
	assert_int_equal(sh("ip link add br9 type bridge && ip tuntap add vnet0 mode tap && ip link set vnet0 master br9 up && "
			    "ip link set br9 up && ip link del vnet0"), 0);
	usleep(300 * 1000);
	assert_int_equal(__atomic_load_n(&room->events, __ATOMIC_SEQ_CST), seen);
	assert_int_equal(sh("ip link set peer0 up"), 0);
	assert_true(wait_events(room, seen));
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

/* ---- driver ---- */

static int kill_at;

static void kill_before(unsigned n)
{
	if ((int)n == kill_at)
		kill(getpid(), SIGKILL);
}

static int drive(int argc, char **argv)
{
	struct room *room;
	json_t *json = NULL;
	int code = 0;

	if (argc < 5)
		return 2;
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

#define ROOM_TEST(function) cmocka_unit_test_setup_teardown(function, room_setup, room_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(test_setup), ROOM_TEST(test_refused), ROOM_TEST(test_undo), ROOM_TEST(test_nic_in_use), ROOM_TEST(test_confirm),
		ROOM_TEST(test_report),
		ROOM_TEST(test_events), ROOM_TEST(test_hooks),
	};

	if (argc > 1)
		return drive(argc, argv);
	if (unshare(CLONE_NEWNET) < 0 || sh("command -v ip >/dev/null && ip link set lo up")) {
		printf("1..0 # SKIP needs to be root and the program ip\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
