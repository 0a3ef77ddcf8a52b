/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_AGENT_NET_H
#define BERTH_TESTS_AGENT_NET_H
/* The network room on a real kernel: an agent with nothing else, in a network namespace with one wire, eth0 - peer0. */
#include "cmocka-all.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
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

static inline void on_event(const char *method, const char *params, void *data)
{
	if (!strcmp(method, EVENT_HOST_CONN))
		__atomic_add_fetch(&((struct room *)data)->events, 1, __ATOMIC_SEQ_CST);
}

static inline void *run_loop(void *data)
{
	loop_run(((struct room *)data)->agent.loop);
	return NULL;
}

static inline struct room *room_open_at(const char *directory, const char *hooks, bool threaded)
{
	struct room *room = g_new0(struct room, 1);
	GError *error = NULL;

	if (g_getenv("OVS_LIMIT_MS"))
		net_openvswitch_usec = atoi(g_getenv("OVS_LIMIT_MS")) * (int64_t)1000;
	log_set_level(NULL, g_getenv("WARNINGS") ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR);
	room->directory = g_strdup(directory);
	room->agent.state_dir = room->directory;
	room->agent.loop = loop_new();
	room->agent.lanes = lane_pool_new(2);
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

static inline void room_leave(struct room *room)
{
	if (room->threaded) {
		loop_stop(room->agent.loop);
		pthread_join(room->thread, NULL);
	}
	assert_null(lane_pool_free(room->agent.lanes, 60 * G_USEC_PER_SEC));
	net_free(room->agent.net);
	hooks_free(room->agent.hooks);
	events_free(room->agent.events);
	loop_free(room->agent.loop);
	g_free(room->directory);
	g_free(room);
}

/* On the lane of networks, as the dispatcher does it: a lease that comes meanwhile waits. */
struct lane_call {
	struct room *room;
	const struct verb_binding *binding;
	void *params;
	GString *out;
	GError **error;
	sem_t done;
};

static inline void run_call(void *data)
{
	const struct verb_call who = { "", "", "" };
	struct lane_call *call = data;

	(void)call->binding->handler(&call->room->agent, &who, call->params, call->out, call->error);
	sem_post(&call->done);
}

static inline void call_on_lane(struct room *room, const struct verb_binding *binding, void *params, GString *out, GError **error)
{
	struct lane_call call = { .room = room, .binding = binding, .params = params, .out = out, .error = error };

	sem_init(&call.done, 0, 0);
	assert_true(lane_submit(room->agent.lanes, "network", &(struct lane_job){ .name = binding->name, .run = run_call, .data = &call }, NULL));
	while (sem_wait(&call.done) < 0)
		;
	sem_destroy(&call.done);
}

/* ret_result: as written, "": true; may be NULL */
static inline int call_whole(struct room *room, const char *name, json_t *json, char **ret_message, char **ret_result)
{
	const struct verb_call who = { "", "", "" };
	g_autoptr(GString) out = g_string_new(NULL);
	GError *error = NULL;
	void *params;
	int code;

	assert_non_null(json);
	if ((params = verb_params(verb_find(name), json, NULL, &error))) {
		for (size_t i = 0; i < n_net_bindings + n_endpoint_bindings; i++) {
			const struct verb_binding *binding = i < n_net_bindings ? &net_bindings[i] : &endpoint_bindings[i - n_net_bindings];

			if (strcmp(binding->name, name))
				continue;
			if (verb_find(name)->lane == VERB_NETWORK)
				call_on_lane(room, binding, params, out, &error);
			else
				(void)binding->handler(&room->agent, &who, params, out, &error);
		}
		record_unref(params);
	}
	json_decref(json);
	if (ret_result)
		*ret_result = error ? NULL : g_strdup(out->str);
	code = error ? error->code : 0;
	if (ret_message)
		*ret_message = error ? g_strdup(error->message) : NULL;
	g_clear_error(&error);
	return code;
}

static inline int call_full(struct room *room, const char *name, json_t *json, char **ret_message)
{
	g_autofree char *message = NULL;
	int code = call_whole(room, name, json, &message, NULL);

	if (message)
		print_message("# %s: %s\n", name, message);
	if (ret_message)
		*ret_message = g_steal_pointer(&message);
	return code;
}

/* What a verb that changes nothing answers; new reference */
static inline json_t *answer(struct room *room, const char *name, const char *text, int *ret_code)
{
	const struct verb_call who = { "", "", "" };
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	json_t *json = json_loads(text, 0, NULL), *result;
	void *params = verb_params(verb_find(name), json, NULL, &error);

	assert_null(error);
	for (size_t i = 0; i < n_net_bindings; i++)
		if (!strcmp(net_bindings[i].name, name))
			(void)net_bindings[i].handler(&room->agent, &who, params, out, &error);
	*ret_code = error ? error->code : 0;
	result = json_loads(out->str, 0, NULL);
	record_unref(params);
	json_decref(json);
	return result;
}

static inline json_t *request(const char *networks, const char *options)
{
	json_t *n = json_loads(networks, 0, NULL), *o = json_loads(options, 0, NULL);

	assert_non_null(n);
	assert_non_null(o);
	return json_pack("{s:o, s:{}, s:o}", "networks", n, "bondings", "options", o);
}

static inline int setup(struct room *room, const char *networks)
{
	return call_full(room, "Host.setupNetworks", request(networks, "{}"), NULL);
}

static inline int G_GNUC_PRINTF(1, 2) sh(const char *format, ...)
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
static inline char *snapshot(void)
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

static inline void assert_same(const char *before)
{
	g_autofree char *now = snapshot();

	assert_string_equal(before, now);
}

static inline void clean_links(void)
{
	(void)sh("for l in $(ip -br link | sed 's/[@ ].*//' | grep -v '^lo$'); do ip link del $l 2>/dev/null; done; true");
}

static inline int room_setup(void **state)
{
	g_autofree char *directory = g_dir_make_tmp("berth-net-XXXXXX", NULL);

	clean_links();
	assert_int_equal(sh("ip link add eth0 type veth peer name peer0 && ip link set eth0 up && ip link set peer0 up"), 0);
	*state = room_open_at(directory, NULL, true);
	return 0;
}

static inline int room_teardown(void **state)
{
	struct room *room = *state;
	g_autofree char *directory = g_strdup(room->directory);

	room_leave(room);
	return sh("rm -rf '%s'", directory);
}

static inline bool G_GNUC_PRINTF(1, 2) wait_sh(const char *format, ...)
{
	g_autofree char *command = NULL;
	va_list arguments;

	va_start(arguments, format);
	command = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	for (int i = 0; i < 900; i++) {
		if (sh("%s", command) == 0)
			return true;
		usleep(100 * 1000);
	}
	return false;
}

#define ROOM_TEST(function) cmocka_unit_test_setup_teardown(function, room_setup, room_teardown)

/* Into a namespace of its own; false: not here. */
static inline bool room_enter(void)
{
	if (unshare(CLONE_NEWNET) == 0 && sh("command -v ip >/dev/null && ip link set lo up") == 0)
		return true;
	printf("1..0 # SKIP needs to be root and the program ip\n");
	return false;
}

#endif
