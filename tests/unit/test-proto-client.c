/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's client: against our own server over TLS, and against a listener that says what the test wants. All on one loop, which
 * runs until what the test waits for has happened; GUARD_USEC is for failures.
 */
#include <arpa/inet.h>
#include <string.h>
#include "common/log.h"
#include "proto/channel.h"
#include "tests/unit/cmocka-all.h"
#include "tests/unit/tls-fixture.h"

#define GUARD_USEC (30 * G_USEC_PER_SEC)

static struct {
	struct pki *pki;
	struct tls_context *server_tls, *client_tls;
	struct loop *loop;
	struct timer *guard;
	struct channel_server *server;
	GPtrArray *held;                /* struct call */
	/* the listener of the other kind */
	struct listener *listener;
	struct stream *said_to;
	GString *heard;
	const char *to_say, *until;     /* stop when this was heard */
	bool stop_at_end, was_reset;    /* stop when the client hangs up; how it did */
	size_t to_say_size;
	const char *answer_form;        /* an answer with %s for the id: said to the call that is heard */
	/* what the client has seen */
	struct channel *channel;
	unsigned ups, downs, events, results, errors, wanted;
	int code;
	char *message, *method;
	json_t *result;
	char *text;
	int64_t down_usec;
	bool free_in_callback, call_again;
} world;

/* ---- servers ---- */

static void on_request(struct call *call, const char *method, const json_t *params, void *data)
{
	if (!strcmp(method, "Host.echo")) {
		char *text = json_dumps(params, JSON_COMPACT);

		call_reply(call, text, strlen(text));
		free(text);
	} else if (!strcmp(method, "Test.hold")) {
		g_ptr_array_add(world.held, call);
	} else if (!strcmp(method, "Test.event")) {
		channel_server_publish(world.server, "|virt|VM_status|x", "{\"notify_time\": 5}");
		call_reply(call, "true", 4);
	} else if (!strcmp(method, "Test.flow")) {
		g_autofree char *text = g_strdup_printf("\"%s\"", call_flow_id(call));

		call_reply(call, text, strlen(text));
	} else if (!strcmp(method, "Test.end")) {
		g_ptr_array_add(world.held, call);
		world.server = channel_server_free(world.server);
	} else {
		g_autoptr(GError) error = NULL;

		error_set(&error, ERR_NO_SUCH_VM, "{'vmId': 'x'}");
		call_fail(call, error);
	}
}

static void start_server(void)
{
	struct channel_server_settings settings = { .loop = world.loop, .address = "127.0.0.1", .tls = world.server_tls, .request = on_request };

	world.server = channel_server_new(&settings, NULL);
	assert_non_null(world.server);
}

static void on_heard(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	const char *asked;

	g_string_append_len(world.heard, (const char *)bytes, (gssize)n);
	/* after the first SUBSCRIBE, once */
	if (world.to_say && memmem(world.heard->str, world.heard->len, "CONNECT", 7)) {
		(void)stream_send_copy(stream, world.to_say, world.to_say_size);
		world.to_say = NULL;
	}
	asked = memmem(world.heard->str, world.heard->len, "Test.text", 9);
	if (world.answer_form && asked) {
		static const char before[] = "\"id\": \"";
		const char *id = strstr(asked, before);
		g_autoptr(GString) message = g_string_new("MESSAGE\n\n");

		/* a call comes in one piece: it is written so */
		assert_non_null(id);
		id += strlen(before);
		g_string_append_printf(message, world.answer_form, (int)strcspn(id, "\""), id);
		(void)stream_send_copy(stream, message->str, message->len + 1);
		world.answer_form = NULL;
	}
	if (world.until && memmem(world.heard->str, world.heard->len, world.until, strlen(world.until)))
		loop_stop(world.loop);
}

static void on_said_to_closed(struct stream *stream, const GError *error, void *data)
{
	world.said_to = NULL;
	world.was_reset = error && strstr(error->message, "reset by peer");
	if (world.stop_at_end)
		loop_stop(world.loop);
}

static void on_accepted(struct stream *stream, void *data)
{
	static const struct stream_events events = { .input = on_heard, .closed = on_said_to_closed };

	world.said_to = stream;
	stream_set_events(stream, &events, NULL);
}

static void start_listener(const char *to_say, size_t n)
{
	struct listener_settings settings = {
		.address = "127.0.0.1", .max_connections = 5, .max_handshakes = 5, .max_queue = 1000000, .accepted = on_accepted,
	};

	world.listener = listener_new(world.loop, &settings, NULL);
	assert_non_null(world.listener);
	world.to_say = to_say;
	world.to_say_size = n;
}

#define SAYING(text) start_listener((text), sizeof(text))

/* ---- client ---- */

static void on_answer(const json_t *result, const GError *error, void *data);

static void on_up(struct channel *channel, void *data)
{
	assert_true(channel_is_up(channel));
	world.ups++;
	if (world.free_in_callback) {
		world.channel = channel_free(world.channel);
		loop_stop(world.loop);
	}
}

static void on_down(struct channel *channel, const GError *error, void *data)
{
	assert_false(channel_is_up(channel));
	world.downs++;
	world.down_usec = now_usec();
	world.code = error->code;
	g_free(world.message);
	world.message = g_strdup(error->message);
	if (world.call_again)
		channel_call(channel, "Host.echo", NULL, NULL, GUARD_USEC, on_answer, NULL);
	if (world.free_in_callback)
		world.channel = channel_free(world.channel);
	if (!world.call_again || world.free_in_callback)
		loop_stop(world.loop);
}

static void on_event(struct channel *channel, const char *method, const json_t *params, void *data)
{
	world.events++;
	g_free(world.method);
	world.method = g_strdup(method);
	assert_int_equal(json_integer_value(json_object_get(params, "notify_time")), 5);
}

static void on_answer(const json_t *result, const GError *error, void *data)
{
	assert_true(!result != !error);
	if (result) {
		world.results++;
		json_decref(world.result);
		world.result = json_deep_copy(result);
	} else {
		world.errors++;
		world.code = error->code;
		g_free(world.message);
		world.message = g_strdup(error->message);
	}
	if (world.free_in_callback)
		world.channel = channel_free(world.channel);
	if (world.results + world.errors == world.wanted)
		loop_stop(world.loop);
}

static void on_text(GBytes *text, const GError *error, void *data)
{
	assert_true(!text != !error);
	g_clear_pointer(&world.text, g_free);
	if (text) {
		size_t size;
		const char *bytes = g_bytes_get_data(text, &size);

		world.results++;
		world.text = g_strndup(bytes, size);
	} else {
		world.errors++;
		world.code = error->code;
	}
	if (world.free_in_callback)
		world.channel = channel_free(world.channel);
	if (world.results + world.errors == world.wanted)
		loop_stop(world.loop);
}

static const struct channel_events events = { .up = on_up, .down = on_down, .event = on_event };

static void open_channel(uint16_t port, struct tls_context *tls, unsigned beat_ms, bool want_events)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct channel_settings settings = {
		.loop = world.loop, .address = (struct sockaddr *)&address, .address_length = sizeof(address), .tls = tls, .name = tls ? "127.0.0.1" : "a.b",
		.connect_usec = tls ? 0 : 300000, .send_beat_ms = beat_ms, .want_beat_ms = beat_ms, .want_events = want_events, .events = &events,
	};
	g_autoptr(GError) error = NULL;

	world.channel = channel_open(&settings, &error);
	assert_non_null(world.channel);
}

static void open_to_server(void)
{
	start_server();
	open_channel(channel_server_port(world.server), world.client_tls, 0, true);
}

static void call(const char *method, const char *params, int64_t timeout_usec)
{
	channel_call(world.channel, method, params, "flow:1", timeout_usec, on_answer, NULL);
}

static void wait_for(unsigned answers)
{
	world.wanted = answers;
	loop_run(world.loop);
	assert_int_equal(world.results + world.errors, answers);
}

/* ---- against our own server ---- */

static void test_calls(void **state)
{
	open_to_server();
	/* before it is up: sent when it can be */
	call("Host.echo", "{\"a\": [1, \"\\u00fc\"]}", GUARD_USEC);
	wait_for(1);
	assert_int_equal(world.ups, 1);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(world.result, "a"), 0)), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(world.result, "a"), 1)), "\xc3\xbc");
	assert_string_equal(channel_local_address(world.channel), "127.0.0.1");
	assert_non_null(channel_ssl(world.channel));
	assert_true(now_usec() - channel_last_input(world.channel) < GUARD_USEC);

	call("VM.getStats", NULL, GUARD_USEC);
	wait_for(2);
	assert_int_equal(world.code, 1);
	assert_string_equal(world.message, "Virtual machine does not exist: {'vmId': 'x'}");

	call("Test.flow", NULL, GUARD_USEC);
	wait_for(3);
	assert_string_equal(json_string_value(world.result), "flow:1");

	call("Test.event", NULL, GUARD_USEC);
	wait_for(4);
	assert_int_equal(world.events, 1);
	assert_string_equal(world.method, "|virt|VM_status|x");

	for (unsigned i = 0; i < 900; i++)
		call("Host.echo", "[]", GUARD_USEC - i);
	wait_for(904);
	assert_int_equal(world.errors, 1);
	assert_int_equal(world.downs, 0);
}

static void call_text(const char *method, const char *params, int64_t timeout_usec)
{
	channel_call_text(world.channel, method, params, NULL, timeout_usec, on_text, NULL);
}

static void test_texts(void **state)
{
	g_autoptr(GString) big = g_string_new("[");

	for (int i = 0; i < 30000; i++)
		g_string_append(big, "123456,");
	g_string_append(big, "0]");
	open_to_server();
	call_text("Host.echo", "{\"a\": [1, \"x\"]}", GUARD_USEC);
	wait_for(1);
	assert_string_equal(world.text, "{\"a\":[1,\"x\"]}");
	call_text("Host.echo", big->str, GUARD_USEC);
	wait_for(2);
	assert_string_equal(world.text, big->str);
	call_text("VM.getStats", NULL, GUARD_USEC);
	wait_for(3);
	assert_int_equal(world.code, 1);
	call_text("Test.hold", NULL, 100000);
	wait_for(4);
	assert_int_equal(world.code, ERR_MESSAGE_TIMEOUT);
	world.free_in_callback = true;
	call_text("Host.echo", "[]", GUARD_USEC);
	wait_for(5);
	assert_string_equal(world.text, "[]");
	/* closed by that: an answer all the same */
	assert_null(world.channel);
}

/* Answers that are written as we do not. */
static void test_texts_of_other_servers(void **state)
{
	static const struct { const char *form, *text; } cases[] = {
		{ "{\"jsonrpc\": \"2.0\", \"id\": \"%.*s\", \"result\": [1, 2]}", "[1, 2]" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":\"%.*s\",\"result\":[1,2]}", "[1, 2]" },
		{ "{\"id\": \"%.*s\", \"result\": \"x\", \"jsonrpc\": \"2.0\"}", "\"x\"" },
		{ "[{\"jsonrpc\": \"2.0\", \"id\": \"%.*s\", \"result\": {}}]", "{}" },
		{ "{\"jsonrpc\": \"2.0\", \"id\": \"%.*s\", \"error\": {\"code\": 1, \"message\": \"x\"}}", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		SAYING("CONNECTED\nversion:1.2\n\n");
		open_channel(listener_port(world.listener), NULL, 0, false);
		world.answer_form = cases[i].form;
		call_text("Test.text", NULL, GUARD_USEC);
		wait_for((unsigned)i + 1);
		if (g_strcmp0(world.text, cases[i].text))
			fail_msg("%s: %s", cases[i].form, world.text);
		world.channel = channel_free(world.channel);
		world.listener = listener_free(world.listener);
		if (world.said_to)
			stream_abort(world.said_to);
		world.said_to = NULL;
		g_string_truncate(world.heard, 0);
	}
}

static void test_timeouts(void **state)
{
	int64_t began;

	open_to_server();
	call("Host.echo", "{}", GUARD_USEC);
	wait_for(1);
	began = now_usec();
	/* the later deadline first, so that the timer has to be moved forward */
	call("Test.hold", NULL, 80000);
	call("Test.hold2", NULL, GUARD_USEC);
	wait_for(2);
	call("Host.echo", "{}", 0);
	wait_for(3);
	assert_int_equal(world.code, ERR_MESSAGE_TIMEOUT);
	wait_for(4);
	assert_int_equal(world.code, ERR_MESSAGE_TIMEOUT);
	assert_true(now_usec() - began >= 80000);
	/* an answer that comes too late harms nobody */
	call_reply(g_ptr_array_steal_index(world.held, 0), "true", 4);
	call("Host.echo", "{}", GUARD_USEC);
	wait_for(5);
	assert_int_equal(world.results, 2);
}

static void test_server_goes(void **state)
{
	open_to_server();
	call("Test.hold", NULL, GUARD_USEC);
	call("Test.end", NULL, GUARD_USEC);
	world.call_again = true;
	wait_for(3);
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.errors, 3);
	assert_int_equal(world.code, ERR_NO_CONNECTION);
	assert_false(channel_is_up(world.channel));
	assert_null(channel_ssl(world.channel));
	assert_null(channel_local_address(world.channel));
	/* and a call on a dead channel fails from the loop, not at once */
	call("Host.echo", NULL, GUARD_USEC);
	assert_int_equal(world.errors, 3);
	wait_for(4);
	assert_int_equal(world.code, ERR_NO_CONNECTION);
}

static void test_free_in_up(void **state)
{
	open_to_server();
	world.free_in_callback = true;
	loop_run(world.loop);
	assert_int_equal(world.ups, 1);
	assert_null(world.channel);
}

static void test_free_in_up_with_a_call(void **state)
{
	open_to_server();
	world.free_in_callback = true;
	call("Test.hold", NULL, GUARD_USEC);
	/* up() frees it here: the call fails inside of that */
	wait_for(1);
	assert_int_equal(world.errors, 1);
	assert_int_equal(world.downs, 0);
	assert_null(world.channel);
}

static void test_free_in_answer_of_many(void **state)
{
	open_to_server();
	call("Host.echo", "{}", GUARD_USEC);
	wait_for(1);
	world.free_in_callback = true;
	call("Host.echo", "{}", GUARD_USEC);
	call("Test.hold", NULL, GUARD_USEC);
	call("Test.end", NULL, GUARD_USEC);
	wait_for(4);
	assert_int_equal(world.results, 2);
	assert_int_equal(world.errors, 2);
	assert_int_equal(world.code, ERR_NO_CONNECTION);
	assert_int_equal(world.downs, 0);
}

static void test_big_answer(void **state)
{
	g_autoptr(GString) params = g_string_new("[0");

	open_to_server();
	while (params->len < 1000000)
		g_string_append(params, ", \"item\"");
	g_string_append_c(params, ']');
	call("Host.echo", params->str, GUARD_USEC);
	call("Host.echo", "[5]", GUARD_USEC);
	wait_for(2);
	/* in order: the small one is behind the big one */
	assert_int_equal(json_integer_value(json_array_get(world.result, 0)), 5);
	/* freed while a big answer is looked at, or before */
	call("Host.echo", params->str, GUARD_USEC);
	world.free_in_callback = true;
	call("VM.getStats", NULL, 100000);
	wait_for(4);
	assert_null(world.channel);
}

static void test_refused_and_untrusted(void **state)
{
	struct tls_context *foreign;
	struct pki *other = pki_new("other", 1);

	start_server();
	uint16_t port = channel_server_port(world.server);
	foreign = pki_context(other, other->cert, other->key, false);
	open_channel(port, foreign, 0, false);
	call("Host.echo", NULL, GUARD_USEC);
	loop_run(world.loop);
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.errors, 1);
	assert_non_null(strstr(world.message, "certificate verify failed"));
	world.channel = channel_free(world.channel);
	tls_context_free(foreign);
	pki_free(other);

	world.server = channel_server_free(world.server);
	open_channel(port, world.client_tls, 0, false);
	loop_run(world.loop);
	assert_int_equal(world.downs, 2);
	assert_non_null(strstr(world.message, "Connection refused"));
	assert_int_equal(world.ups, 0);
}

/* ---- against a listener ---- */

static void test_greeting(void **state)
{
	SAYING("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n");
	open_channel(listener_port(world.listener), NULL, 5000, true);
	call("Host.ping", "{}", GUARD_USEC);
	world.until = "Host.ping";
	loop_run(world.loop);
	/* CONNECT, SUBSCRIBE to a destination of our own and to the events, SEND: each ends with NUL */
	static const char *const starts[] = { "CONNECT\naccept-version:1.2\nhost:a.b\nheart-beat:5000,5000\n\n", "SUBSCRIBE\ndestination:",
					      "SUBSCRIBE\ndestination:jms.queue.events\nack:auto\nid:", "SEND\ndestination:jms.topic.vdsm_requests\n" };
	const char *at = world.heard->str;

	for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
		assert_true(g_str_has_prefix(at, starts[i]));
		if (i == 3) {
			assert_non_null(strstr(at, "\novirtCorrelationId:flow\\c1\n"));
			assert_non_null(strstr(at, "\n\n{\"jsonrpc\": \"2.0\", \"method\": \"Host.ping\", \"params\": {}, \"id\": \""));
		}
		at += strlen(at) + 1;
	}
}

/* What has failed must not be done later: it is taken out of the network, too. */
static void test_calls_in_flight_are_cut_off(void **state)
{
	for (int calls = 0; calls <= 1; calls++) {
		SAYING("CONNECTED\nversion:1.2\n\n");
		open_channel(listener_port(world.listener), NULL, 0, false);
		world.until = calls ? "Host.ping" : "SUBSCRIBE";
		if (calls)
			call("Host.ping", "{}", GUARD_USEC);
		loop_run(world.loop);
		world.until = NULL;
		world.stop_at_end = true;
		world.channel = channel_free(world.channel);
		loop_run(world.loop);
		assert_int_equal(world.was_reset, calls);
		assert_int_equal(world.errors, calls);
		listener_free(g_steal_pointer(&world.listener));
		g_string_truncate(world.heard, 0);
		world.stop_at_end = false;
	}
}

static void test_beats_and_silence(void **state)
{
	int64_t began = now_usec();
	size_t beats = 0;

	/* it promises a beat every 100 ms, and never sends one */
	SAYING("CONNECTED\nversion:1.2\nheart-beat:100,100\n\n");
	open_channel(listener_port(world.listener), NULL, 100, false);
	loop_run(world.loop);
	assert_int_equal(world.ups, 1);
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.code, ERR_NO_CONNECTION);
	if (world.down_usec - began < 150000 || world.down_usec - began > 20000000)
		fail_msg("down after %" PRId64 " us instead of 150000", world.down_usec - began);
	/* ours came meanwhile, twice as often as promised */
	for (const char *at = world.heard->str + world.heard->len; at > world.heard->str && at[-1] == '\n'; at--)
		beats++;
	assert_true(beats >= 1);
}

static void test_no_greeting(void **state)
{
	SAYING("\n");
	open_channel(listener_port(world.listener), NULL, 0, false);
	call("Host.ping", NULL, GUARD_USEC);
	loop_run(world.loop);
	assert_int_equal(world.ups, 0);
	assert_int_equal(world.downs, 1);
	assert_int_equal(world.errors, 1);
	assert_non_null(strstr(world.message, "no answer in time"));
}

static void test_refusal(void **state)
{
	SAYING("ERROR\ncontent-length:19\n\nVersion unsupported");
	open_channel(listener_port(world.listener), NULL, 0, false);
	loop_run(world.loop);
	assert_int_equal(world.downs, 1);
	assert_non_null(strstr(world.message, "Version unsupported"));
}

static void test_nonsense(void **state)
{
	SAYING("HTTP/1.1 400 Bad Request\r\n\r\n");
	world.free_in_callback = true;
	open_channel(listener_port(world.listener), NULL, 0, false);
	loop_run(world.loop);
	assert_int_equal(world.ups, 0);
	assert_int_equal(world.downs, 1);
}

static void test_strange_messages(void **state)
{
	static const char text[] = "CONNECTED\nversion:1.2\n\n\0MESSAGE\n\nno json\0"
				   "MESSAGE\n\n[1, {}, {\"jsonrpc\": \"2.0\", \"id\": \"x\", \"result\": 1}]\0"
				   "MESSAGE\n\n{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32700, \"message\": \"x\"}}\0"
				   "RECEIPT\nreceipt-id:1\n\n\0ERROR\n\nwhat\0"
				   "MESSAGE\n\n[{\"jsonrpc\": \"2.0\", \"method\": \"|a|b|c\", \"params\": {\"notify_time\": 5}}]";

	start_listener(text, sizeof(text));
	open_channel(listener_port(world.listener), NULL, 0, false);
	call("Host.ping", NULL, 200000);
	wait_for(1);
	assert_int_equal(world.code, ERR_MESSAGE_TIMEOUT);
	assert_int_equal(world.events, 1);
	assert_int_equal(world.downs, 0);
}

/* ---- frame ---- */

static void on_guard(void *data)
{
	print_error("nothing happened in %d s\n", (int)(GUARD_USEC / G_USEC_PER_SEC));
	abort();
}

static int setup(void **state)
{
	world.loop = loop_new();
	world.guard = timer_new(world.loop, on_guard, NULL);
	timer_set(world.guard, GUARD_USEC);
	world.heard = g_string_new(NULL);
	world.held = g_ptr_array_new();
	return 0;
}

struct farewell { struct timer *timer; int tries; };

static void look_again(void *data)
{
	struct farewell *farewell = data;

	if (!channel_server_connections(world.server) || !--farewell->tries)
		loop_stop(world.loop);
	else
		timer_set(farewell->timer, G_USEC_PER_SEC / 100);
}

/* A connection that has much to say yet ends on the loop only: it hears that its client is gone. */
static void say_farewell(void)
{
	struct farewell farewell = { .tries = 500 };

	farewell.timer = timer_new(world.loop, look_again, &farewell);
	timer_set(farewell.timer, 1);
	loop_run(world.loop);
	timer_free(farewell.timer);
}

static int teardown(void **state)
{
	g_autoptr(GError) error = NULL;

	world.channel = channel_free(world.channel);
	if (world.server)
		say_farewell();
	world.server = channel_server_free(world.server);
	error_set(&error, ERR_CANCELED, NULL);
	listener_free(world.listener);
	if (world.said_to)
		stream_abort(world.said_to);
	timer_free(world.guard);
	/* calls that nobody answered; the server is gone */
	for (guint i = 0; i < world.held->len; i++)
		call_fail(g_ptr_array_index(world.held, i), error);
	g_ptr_array_unref(world.held);
	loop_free(world.loop);
	g_string_free(world.heard, TRUE);
	g_free(world.message);
	g_free(world.method);
	json_decref(world.result);
	g_free(world.text);

	struct pki *pki = world.pki;
	struct tls_context *server_tls = world.server_tls, *client_tls = world.client_tls;

	memset(&world, 0, sizeof(world));
	world.pki = pki;
	world.server_tls = server_tls;
	world.client_tls = client_tls;
	return 0;
}

static int setup_world(void **state)
{
	log_set_level(NULL, LOG_LEVEL_ERROR);
	world.pki = pki_new("server", 1);
	world.server_tls = pki_context(world.pki, world.pki->cert, world.pki->key, true);
	world.client_tls = pki_context(world.pki, world.pki->cert, world.pki->key, false);
	return 0;
}

static int teardown_world(void **state)
{
	tls_context_free(world.server_tls);
	tls_context_free(world.client_tls);
	pki_free(world.pki);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_calls),
		TEST(test_texts), TEST(test_texts_of_other_servers), TEST(test_timeouts),
		TEST(test_server_goes),
		TEST(test_free_in_up),
		TEST(test_free_in_up_with_a_call),
		TEST(test_free_in_answer_of_many),
		TEST(test_big_answer),
		TEST(test_refused_and_untrusted),
		TEST(test_greeting),
		TEST(test_calls_in_flight_are_cut_off),
		TEST(test_beats_and_silence),
		TEST(test_no_greeting),
		TEST(test_refusal),
		TEST(test_nonsense),
		TEST(test_strange_messages),
	};

	return cmocka_run_group_tests(tests, setup_world, teardown_world);
}
