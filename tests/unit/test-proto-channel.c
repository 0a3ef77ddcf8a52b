/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's server over real sockets, seen by a peer that knows nothing but bytes.
 *
 * The server and its loop have a thread of their own; the test's thread reads and writes blocking sockets, TLS unless the test is about
 * something else. Every wait ends with an event: a frame, the end of the connection, or READ_SECONDS for a failure.
 */
#include "tests/unit/channel-fixture.h"

static void test_connect(void **state)
{
	static const char *const accepted[] = { "1.2", "1.0,1.1,1.2", "1.2,1.1", "1.1, 1.2" };
	struct peer *peer;

	start(NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(accepted); i++) {
		g_autofree char *frame = g_strdup_printf("%s\naccept-version:%s\nhost:x\nheart-beat:400,15000\n\n", i % 2 ? "STOMP" : "CONNECT", accepted[i]);

		peer = peer_open();
		assert_true(peer_send(peer, frame, strlen(frame) + 1));
		EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:15000,1000\n\n");
		peer_close(peer);
	}
	peer = peer_open();
	SEND(peer, "CONNECT\naccept-version:1.1,1.20\n\n");
	EXPECT(peer, "ERROR\ncontent-length:19\n\nVersion unsupported");
	SEND(peer, "CONNECT\n\n");
	EXPECT(peer, "ERROR\ncontent-length:19\n\nVersion unsupported");
	SEND(peer, "CONNECT\naccept-version:1.2\nheart-beat:what\n\n");
	EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n");
	SEND(peer, "CONNECT\r\naccept-version:1.2\r\nheart-beat:0,24000\r\n\r\n");
	EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:24000,0\n\n");
	peer_close(peer);
}

static void test_subscribe_and_send_before_connect(void **state)
{
	struct peer *peer;

	start(NULL);
	peer = peer_open();
	peer_subscribe(peer);
	peer_ask(peer, PING("\"1\""));
	EXPECT_JSON(peer, PONG("\"1\""));
	SEND(peer, "CONNECT\naccept-version:1.2\n\n");
	EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n");
	peer_close(peer);
}

static void test_errors_keep_the_connection(void **state)
{
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	SEND(peer, "SUBSCRIBE\ndestination:d\n\n");
	EXPECT(peer, "ERROR\ncontent-length:45\n\nMissing destination or subscription id header");
	SEND(peer, "SUBSCRIBE\nid:d\n\n");
	EXPECT(peer, "ERROR\ncontent-length:45\n\nMissing destination or subscription id header");
	SEND(peer, "SUBSCRIBE\ndestination:d\nid:s1\n\n");
	EXPECT(peer, "ERROR\ncontent-length:30\n\nSubscription id already exists");
	SEND(peer, "UNSUBSCRIBE\n\n");
	EXPECT(peer, "ERROR\ncontent-length:17\n\nMissing id header");
	SEND(peer, "UNSUBSCRIBE\nid:nobody\n\n");
	SEND(peer, "SEND\ndestination:elsewhere\n\n{}");
	EXPECT(peer, "ERROR\ncontent-length:26\n\nSubscription not available");
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requestsx\n\n{}");
	EXPECT(peer, "ERROR\ncontent-length:26\n\nSubscription not available");
	SEND(peer, "SEND\nreply-to:mine\n\n{}");
	EXPECT(peer, "ERROR\ncontent-length:26\n\nSubscription not available");
	assert_quiet(peer);

	/* below a request queue, and the second one */
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requests.below\nreply-to:mine\n\n" PING("1"));
	EXPECT_JSON(peer, PONG("1"));
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_irs_requests\nreply-to:mine\n\n" PING("2"));
	EXPECT_JSON(peer, PONG("2"));

	/* an id is free again after UNSUBSCRIBE */
	SEND(peer, "UNSUBSCRIBE\nid:s1\n\n");
	peer_subscribe(peer);
	assert_quiet(peer);
	peer_close(peer);
}

static void test_frames_nobody_sends_close(void **state)
{
	static const char *const frames[] = { "ACK\nid:1\n\n", "BEGIN\ntransaction:1\n\n", "connect\naccept-version:1.2\n\n", "CONNECTED\n\n", "MESSAGE\n\n",
					      "SEND\nwithout colon\n\n", "SEND\ncontent-length:1\n\nxyz", "SEND\na:\\t\n\n" };

	start(NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
		struct peer *peer = peer_ready();

		assert_true(peer_send(peer, frames[i], strlen(frames[i]) + 1));
		EXPECT_CLOSED(peer);
		peer_close(peer);
	}
}

static void test_disconnect(void **state)
{
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	SEND(peer, "UNSUBSCRIBE\nid:s1\n\n");
	SEND(peer, "DISCONNECT\nreceipt:a\\cb\n\n");
	EXPECT(peer, "RECEIPT\nreceipt-id:a\\cb\n\n");
	peer_close(peer);
	peer = peer_ready();
	SEND(peer, "DISCONNECT\n\n");
	EXPECT_CLOSED(peer);
	peer_close(peer);
}

static void test_receipts(void **state)
{
	struct peer *peer;

	start(NULL);
	peer = peer_open();
	SEND(peer, "SUBSCRIBE\ndestination:mine\nid:s1\nreceipt:r1\n\n");
	EXPECT(peer, "RECEIPT\nreceipt-id:r1\n\n");
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requests\nreply-to:mine\nreceipt:r2\n\n" PING("1"));
	EXPECT_JSON(peer, PONG("1"));
	EXPECT(peer, "RECEIPT\nreceipt-id:r2\n\n");
	SEND(peer, "UNSUBSCRIBE\nid:s1\nreceipt:r3\n\n");
	EXPECT(peer, "RECEIPT\nreceipt-id:r3\n\n");
	peer_close(peer);
}

static void test_escapes_and_colons(void **state)
{
	g_autofree char *expected = message_text("a\\cb\\\\\\n", "x\\c1", PONG("1"));
	struct peer *peer;

	start(NULL);
	peer = peer_open();
	SEND(peer, "SUBSCRIBE\ndestination:a:b\\\\\\n\nid:x\\c1\n\n");
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requests\nreply-to:a\\cb\\\\\\n\ndate:{\"$date\":1}\n\n" PING("1"));
	EXPECT(peer, expected);
	peer_close(peer);
}

static void test_bounds(void **state)
{
	g_autofree char *nine = g_strnfill(9 * 1024, 'x'), *long_id = g_strnfill(950, 'i'), *chunk = g_strnfill(65536, 'b');
	g_autofree char *frame = g_strdup_printf("SEND\nx:%s\n\n", nine), *subscribe = g_strdup_printf("SUBSCRIBE\ndestination:d\nid:%s\n\n", long_id);
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	assert_true(peer_send(peer, subscribe, strlen(subscribe) + 1));
	EXPECT(peer, "ERROR\ncontent-length:42\n\nDestination or subscription id is too long");
	assert_quiet(peer);
	assert_true(peer_send(peer, frame, strlen(frame) + 1));
	EXPECT(peer, "ERROR\ncontent-length:25\n\nheader block is too large");
	EXPECT_CLOSED(peer);
	peer_close(peer);

	peer = peer_ready();
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requests\ncontent-length:16777217\n\n{}");
	EXPECT(peer, "ERROR\ncontent-length:17\n\nbody is too large");
	EXPECT_CLOSED(peer);
	peer_close(peer);

	/* Without content-length; the client reads only after it has written everything. */
	peer = peer_ready();
	assert_true(peer_send(peer, "SEND\n\n", 6));
	for (unsigned i = 0; i < 258; i++)
		assert_true(peer_send(peer, chunk, 65536));
	EXPECT(peer, "ERROR\ncontent-length:17\n\nbody is too large");
	EXPECT_CLOSED(peer);
	peer_close(peer);

	/* a hundred subscriptions are enough for anyone */
	peer = peer_ready();
	for (unsigned i = 2; i <= 100; i++) {
		g_autofree char *more = g_strdup_printf("SUBSCRIBE\ndestination:d\nid:%u\n\n", i);

		assert_true(peer_send(peer, more, strlen(more) + 1));
	}
	assert_quiet(peer);
	SEND(peer, "SUBSCRIBE\ndestination:d\nid:101\n\n");
	EXPECT(peer, "ERROR\ncontent-length:22\n\nToo many subscriptions");
	peer_close(peer);
}

/* ---- what speaks first ---- */

static void test_detection(void **state)
{
	static const char *const unknown[] = { "HELLO", "\nCONNECT\n\n", "get / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n\r\n", "SENT" };
	struct channel_server_settings settings = { .tls = world.server_tls, .detect_usec = 150000 };
	struct peer *peer;
	int64_t began;

	start(&settings);
	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
		peer = peer_open();
		assert_true(peer_send(peer, unknown[i], strlen(unknown[i])));
		EXPECT_CLOSED(peer);
		peer_close(peer);
	}
	/* nothing, and too little */
	began = now_usec();
	peer = peer_open();
	EXPECT_CLOSED(peer);
	peer_close(peer);
	assert_true(now_usec() - began >= 150000);
	peer = peer_open();
	assert_true(peer_send(peer, "UNSUB", 5));
	EXPECT_CLOSED(peer);
	peer_close(peer);
	/* byte by byte is fine */
	peer = peer_open();
	for (const char *at = "STOMP\naccept-version:1.2\n\n"; *at; at++)
		assert_true(peer_send(peer, at, 1));
	assert_true(peer_send(peer, "", 1));
	EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n");
	peer_close(peer);
}

static void assert_http(const char *request, const char *expected)
{
	struct peer *peer = peer_open();
	char bytes[4096];
	size_t n;

	assert_true(peer_send(peer, request, strlen(request)));
	while ((n = peer_read(peer, bytes, sizeof(bytes))))
		g_string_append_len(peer->got, bytes, (gssize)n);
	assert_string_equal(peer->got->str, expected);
	peer_close(peer);
}

static void test_http(void **state)
{
	struct channel_server_settings settings = { .tls = world.server_tls, .http_get = on_http, .detect_usec = 150000 };
	static const char metrics[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 5\r\nConnection: close\r\n\r\nup 1\n";

	start(&settings);
	assert_http("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", metrics);
	assert_http("GET /metrics?a=b HTTP/1.0\n\n", metrics);
	assert_http("GET /none HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
		    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nConnection: close\r\n\r\nNot found\n");
	assert_http("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
		    "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain\r\nContent-Length: 16\r\nConnection: close\r\n\r\nNot implemented\n");
	assert_http("GET / nonsense\r\n\r\n",
		    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nBad request\n");
	/* headers without end */
	assert_http("GET /metrics HTTP/1.1\r\nHost: x\r\n", "");
}

/* ---- requests ---- */

static void test_results_and_errors(void **state)
{
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	peer_ask(peer, PING("17"));
	EXPECT_JSON(peer, PONG("17"));
	peer_ask(peer, PING("\"\xc3\xbc\""));
	EXPECT_JSON(peer, PONG("\"\\u00fc\""));
	peer_ask(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"Host.echo\",\"params\":[1,\"x\"],\"id\":\"e\"}");
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": \"e\", \"result\": [1,\"x\"]}");
	peer_ask(peer, ASK("No.such", "1"));
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": {\"code\": -32601, "
			  "\"message\": \"The method does not exist or is not available: {'method': 'No.such'}\"}}");
	peer_ask(peer, "{\"jsonrpc\": \"1.0\", \"method\": \"a\", \"id\": 1}");
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32600, \"message\": \"Invalid request: "
			  "{'request': {'jsonrpc': '1.0', 'method': 'a', 'id': 1}, 'reason': 'wrong protocol version'}\"}}");
	peer_ask(peer, "{\"jsonrpc\": ");
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32700, \"message\": \"Invalid JSON was received by the server. "
			  "An error occurred on the server while parsing the JSON text.\"}}");
	/* once: a second copy would come before this */
	assert_quiet(peer);
	peer_close(peer);
}

static void test_errors_without_reply_to(void **state)
{
	g_autofree char *expected = message_text("jms.topic.vdsm_responses", "r",
						 "{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32600, "
						 "\"message\": \"Invalid request: {'request': [], 'reason': 'request batch is empty'}\"}}");
	struct peer *peer, *other;

	start(NULL);
	peer = peer_ready();
	other = peer_ready();
	SEND(other, "SUBSCRIBE\ndestination:jms.topic.vdsm_responses\nid:r\n\n");
	SEND(peer, "SUBSCRIBE\ndestination:jms.topic.vdsm_responses\nid:r\n\n");
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requests\n\n[]");
	EXPECT(peer, expected);
	/* an answer without reply-to is nobody's */
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requests\n\n" PING("1"));
	assert_quiet(peer);
	assert_quiet(other);
	peer_close(peer);
	peer_close(other);
}

static void test_batches(void **state)
{
	g_autoptr(GString) ask = g_string_new("["), expected = g_string_new("[");
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	peer_ask(peer, "[" PING("\"one\"") "]");
	EXPECT_JSON(peer, PONG("\"one\""));

	for (int i = 0; i < 100; i++) {
		g_string_append_printf(ask, "%s" PING("%d"), i ? ", " : "", i);
		g_string_append_printf(expected, "%s" PONG("%d"), i ? ", " : "", i);
	}
	g_string_append_c(ask, ']');
	g_string_append_c(expected, ']');
	peer_ask(peer, ask->str);
	EXPECT_JSON(peer, expected->str);

	/* a late one, a notification, a bad one, a good one */
	peer_ask(peer, "[" ASK("Test.defer", "\"d\"") ", {\"jsonrpc\": \"2.0\", \"method\": \"Host.ping\"}, 5, " PING("6") "]");
	peer_ask(peer, ASK("Test.release", "7"));
	EXPECT_JSON(peer, "[{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32600, \"message\": "
			  "\"Invalid request: {'request': 5, 'reason': 'the request is not an object'}\"}}, " PONG("6") ", "
			  "{\"jsonrpc\": \"2.0\", \"id\": \"d\", \"result\": \"late\"}]");
	EXPECT_JSON(peer, PONG("7"));
	peer_close(peer);
}

static void test_notifications(void **state)
{
	static const char notification[] = "{\"jsonrpc\": \"2.0\", \"method\": \"Host.ping\", \"params\": {}}";
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	peer_ask(peer, notification);
	peer_ask(peer, "{\"jsonrpc\": \"2.0\", \"method\": \"No.such\", \"id\": null}");
	g_autofree char *two = g_strdup_printf("[%s, %s]", notification, notification);
	peer_ask(peer, two);
	assert_quiet(peer);
	peer_close(peer);
}

static void test_same_id(void **state)
{
	struct peer *a, *b;

	start(NULL);
	a = peer_ready();
	b = peer_ready();
	/* twice from one connection, once from another, all in flight */
	peer_ask(a, ASK("Test.defer", "\"id\""));
	peer_ask(a, ASK("Test.defer", "\"id\""));
	assert_quiet(a);
	peer_ask(b, ASK("Test.defer", "\"id\""));
	peer_ask(b, ASK("Test.release", "1"));
	for (unsigned i = 0; i < 2; i++)
		EXPECT_JSON(a, "{\"jsonrpc\": \"2.0\", \"id\": \"id\", \"result\": \"late\"}");
	EXPECT_JSON(b, "{\"jsonrpc\": \"2.0\", \"id\": \"id\", \"result\": \"late\"}");
	EXPECT_JSON(b, PONG("1"));
	assert_quiet(a);
	assert_quiet(b);
	peer_close(a);
	peer_close(b);
}

static void test_answer_to_nobody(void **state)
{
	struct peer *a, *b;

	start(NULL);
	a = peer_ready();
	b = peer_ready();
	/* gone before the answer; unsubscribed before the answer; never answered before the server ends */
	peer_ask(a, ASK("Test.defer", "1"));
	assert_quiet(a);
	peer_close(a);
	peer_ask(b, ASK("Test.defer", "2"));
	SEND(b, "UNSUBSCRIBE\nid:s1\n\n");
	SEND(b, "SUBSCRIBE\ndestination:other\nid:s2\n\n");
	peer_ask(b, ASK("Test.release", "3"));
	SEND(b, "UNSUBSCRIBE\nid:s2\n\n");
	peer_subscribe(b);
	assert_quiet(b);
	peer_ask(b, ASK("Test.defer", "4"));
	assert_quiet(b);
	peer_close(b);
}

static void test_too_many_calls(void **state)
{
	g_autoptr(GString) ask = g_string_new("[");
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	for (int i = 0; i < CHANNEL_CALLS_MAX; i++)
		g_string_append_printf(ask, "%s" ASK("Test.defer", "%d"), i ? ", " : "", i);
	g_string_append_c(ask, ']');
	peer_ask(peer, ask->str);
	peer_ask(peer, PING("\"over\""));
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": \"over\", \"error\": {\"code\": 1100, \"message\": "
			  "\"Not enough resources: {'resource': 'jsonrpc', 'current_tasks': 1000, 'reason': 'Too many tasks'}\"}}");
	/* another connection is not concerned, and lets them go */
	struct peer *other = peer_ready();
	peer_ask(other, ASK("Test.release", "1"));
	EXPECT_JSON(other, PONG("1"));
	peer_close(other);

	g_autofree char *all = peer_frame(peer);
	assert_true(g_str_has_suffix(all, "{\"jsonrpc\": \"2.0\", \"id\": 999, \"result\": \"late\"}]"));
	assert_quiet(peer);

	/* an array that is longer than any client's */
	g_string_assign(ask, "[1");
	for (unsigned i = 0; i < JSONRPC_BATCH_MAX; i++)
		g_string_append(ask, ",1");
	g_string_append_c(ask, ']');
	peer_ask(peer, ask->str);
	g_autofree char *refused = peer_frame(peer);
	assert_non_null(strstr(refused, "'reason': 'request batch is too large'}"));
	peer_close(peer);
}

static void test_who_asks(void **state)
{
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	SEND(peer, "SEND\ndestination:jms.topic.vdsm_requests\nreply-to:mine\novirtCorrelationId:flow\n\n" ASK("Test.who", "1"));
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": \"1|127.0.0.1|flow|64|1\"}");
	peer_ask(peer, ASK("Test.who", "2"));
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": 2, \"result\": \"1|127.0.0.1|none|64|1\"}");
	peer_close(peer);
}

/* ---- events ---- */

static void publish(void *data)
{
	channel_server_publish(world.server, "|net|host_conn|no_id", "{\"notify_time\": 5}");
}

static void test_events(void **state)
{
	g_autofree char *expected = message_text("jms.queue.events", "ev",
						 "{\"jsonrpc\": \"2.0\", \"method\": \"|net|host_conn|no_id\", \"params\": {\"notify_time\": 5}}");
	struct peer *peers[3];

	start(NULL);
	for (unsigned i = 0; i < 3; i++) {
		peers[i] = peer_ready();
		if (i < 2) {
			SEND(peers[i], "SUBSCRIBE\ndestination:jms.queue.events\nid:ev\n\n");
			/* a second subscription does not make it come twice */
			SEND(peers[i], "SUBSCRIBE\ndestination:jms.queue.events\nid:ev2\n\n");
		}
		assert_quiet(peers[i]);
	}
	loop_post(world.loop, publish, NULL, NULL);
	EXPECT(peers[0], expected);
	EXPECT(peers[1], expected);
	for (unsigned i = 0; i < 3; i++)
		assert_quiet(peers[i]);
	/* after UNSUBSCRIBE of both nothing comes */
	SEND(peers[0], "UNSUBSCRIBE\nid:ev\n\n");
	SEND(peers[0], "UNSUBSCRIBE\nid:ev2\n\n");
	assert_quiet(peers[0]);
	loop_post(world.loop, publish, NULL, NULL);
	EXPECT(peers[1], expected);
	for (unsigned i = 0; i < 3; i++) {
		assert_quiet(peers[i]);
		peer_close(peers[i]);
	}
}

#define EVENTS 10000

struct flood {
	unsigned fill;
	sem_t done;
};

/* All at once, numbered from 0, each with so many bytes to fill it. */
static void publish_many(void *data)
{
	struct flood *flood = data;
	g_autofree char *fill = g_strnfill(flood->fill, 'x');

	for (int i = 0; i < EVENTS; i++) {
		g_autofree char *params = g_strdup_printf("{\"n\": %d, \"fill\": \"%s\"}", i, fill);

		channel_server_publish(world.server, "|net|host_conn|no_id", params);
	}
	sem_post(&flood->done);
}

/* Publishes them to one that does not read; another connection is answered all the same. */
static struct peer *peer_flooded(unsigned fill)
{
	struct peer *slow = peer_ready(), *other = peer_ready();
	struct flood flood = { .fill = fill };

	SEND(slow, "SUBSCRIBE\ndestination:jms.queue.events\nid:ev\n\n");
	assert_quiet(slow);
	sem_init(&flood.done, 0, 0);
	loop_post(world.loop, publish_many, &flood, NULL);
	while (sem_wait(&flood.done) < 0) /* the other's socket may have its turn before it */
		;
	sem_destroy(&flood.done);
	assert_quiet(other);
	peer_close(other);
	return slow;
}

/* Number of the next event; -1: something else, or the end. */
static int peer_event(struct peer *peer, char **ret_frame)
{
	const char *n;

	*ret_frame = peer_frame(peer);
	n = *ret_frame && g_str_has_prefix(*ret_frame, "MESSAGE\n") ? strstr(*ret_frame, "{\"n\": ") : NULL;
	return n ? atoi(n + strlen("{\"n\": ")) : -1;
}

static void test_a_slow_reader_loses_nothing(void **state)
{
	struct peer *peer;

	start(NULL);
	peer = peer_flooded(1000);
	for (int i = 0; i < EVENTS; i++) {
		g_autofree char *frame = NULL;

		assert_int_equal(peer_event(peer, &frame), i);
	}
	assert_quiet(peer);
	peer_close(peer);
}

/* More than its queue may hold: that is thrown away at once, it is told, and the connection ends. */
static void test_who_does_not_read_is_dropped(void **state)
{
	const struct metric *dropped = metric_counter("berth_channel_clients_dropped_total", NULL, NULL);
	int64_t before = metric_value(dropped);
	g_autofree char *frame = NULL;
	struct peer *peer;
	size_t got = 0;
	int i, n;

	start(NULL);
	peer = peer_flooded(10000);
	assert_int_equal(metric_value(dropped), before + 1);
	for (i = 0; (n = peer_event(peer, &frame)) >= 0; i++) {
		assert_int_equal(n, i);
		got += strlen(frame);
		g_clear_pointer(&frame, g_free);
	}
	assert_string_equal(frame, "ERROR\ncontent-length:59\n\nThe client does not read: what was queued for it is dropped");
	EXPECT_CLOSED(peer);
	/* what the sockets held, and not the queue */
	assert_in_range(got, 1, CHANNEL_QUEUE_MAX / 2);
	peer_close(peer);
}

/* ---- time ---- */

static void test_silent_client_is_dropped(void **state)
{
	int64_t began, took;
	struct peer *peer;

	start(NULL);
	peer = peer_open();
	SEND(peer, "CONNECT\naccept-version:1.2\nheart-beat:1500,0\n\n");
	EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:0,1500\n\n");
	began = now_usec();
	assert_true(peer_send(peer, "\n", 1));
	EXPECT_CLOSED(peer);
	took = now_usec() - began;
	/* the byte restarted the clock; the margin is 100 ms; the upper bound is for slow machines, nothing else ends it earlier */
	if (took < 1550000 || took > 3000000)
		fail_msg("closed after %" PRId64 " us instead of 1600000", took);
	peer_close(peer);
}

static void test_heart_beats_while_calls_run(void **state)
{
	int64_t began, took;
	struct peer *peer;
	char byte;

	start(NULL);
	peer = peer_open();
	SEND(peer, "CONNECT\naccept-version:1.2\nheart-beat:0,1000\n\n");
	EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:1000,0\n\n");
	peer_subscribe(peer);
	peer_ask(peer, ASK("Test.defer", "1"));
	began = now_usec();
	assert_int_equal(peer_read(peer, &byte, 1), 1);
	took = now_usec() - began;
	assert_int_equal(byte, '\n');
	if (took < 950000 || took > 2500000)
		fail_msg("a heart-beat after %" PRId64 " us instead of 1000000", took);
	peer_close(peer);
}

/* Frames for the Java client leave apart, and each in a record of its own. */
static void test_java_is_paced(void **state)
{
	int64_t last = 0;
	struct peer *peer;

	start(NULL);
	peer = peer_open();
	SEND(peer, "SUBSCRIBE\ndestination:mine\nid:s1\n\n");
	SEND(peer, "CONNECT\naccept-version:1.2\nheart-beat:0,15000\nhost:null\n\n");
	for (int i = 0; i < 5; i++)
		peer_ask(peer, PING("1"));
	for (int i = 0; i < 6; i++) {
		char bytes[16384];
		size_t n = peer_read(peer, bytes, sizeof(bytes));
		int64_t now = now_usec();

		assert_int_equal((const char *)memchr(bytes, '\0', n) - bytes, n - 1);
		/* what is measured here includes this thread's own delays: half the pace is certain to be one */
		assert_true(!i || now - last >= CHANNEL_JAVA_PACE_USEC / 2);
		last = now;
	}
	peer_close(peer);
}

/* ---- size ---- */

static void test_big_frame_beside_others(void **state)
{
	static const size_t size = 5 * 1024 * 1024;
	g_autoptr(GString) body = g_string_new("{\"jsonrpc\": \"2.0\", \"id\": \"big\", \"method\": \"Host.size\", \"params\": [0");
	g_autofree char *head = NULL;
	struct peer *big, *small;
	size_t n = 1, sent = 0;
	unsigned served = 0;

	for (; body->len < size; n++)
		g_string_append(body, ", \"item\"");
	g_string_append(body, "]}");
	g_autofree char *expected = g_strdup_printf("{\"jsonrpc\": \"2.0\", \"id\": \"big\", \"result\": %zu}", n);

	start(NULL);
	big = peer_ready();
	small = peer_ready();
	head = g_strdup_printf("SEND\ndestination:jms.topic.vdsm_requests\nreply-to:mine\ncontent-length:%zu\n\n", body->len);
	assert_true(peer_send(big, head, strlen(head)));
	while (sent < body->len + 1) {
		size_t piece = MIN(body->len + 1 - sent, 100000);

		assert_true(peer_send(big, body->str + sent, piece));
		sent += piece;
		assert_quiet(small);
		served++;
	}
	assert_true(served > 50);
	/* what is behind a big frame waits for it, what other connections send does not */
	peer_ask(big, PING("\"after\""));
	assert_quiet(small);
	EXPECT_JSON(big, expected);
	EXPECT_JSON(big, PONG("\"after\""));

	/* gone while its frame is looked at */
	assert_true(peer_send(big, head, strlen(head)) && peer_send(big, body->str, body->len + 1));
	peer_close(big);
	assert_quiet(small);

	/* big, but no JSON */
	big = peer_ready();
	body->str[body->len - 1] = '!';
	assert_true(peer_send(big, head, strlen(head)) && peer_send(big, body->str, body->len + 1));
	g_autofree char *error = peer_frame(big);
	assert_non_null(strstr(error, "\"code\": -32700"));
	peer_close(big);
	peer_close(small);
}

static void test_big_answer(void **state)
{
	g_autofree char *text = g_strnfill(2 * 1024 * 1024, 'x');
	g_autofree char *ask = g_strdup_printf("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"Host.echo\", \"params\": [\"%s\"]}", text);
	g_autofree char *expected = g_strdup_printf("{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": [\"%s\"]}", text);
	struct peer *peer;

	start(NULL);
	peer = peer_ready();
	peer_ask(peer, ask);
	EXPECT_JSON(peer, expected);
	peer_close(peer);
}

/* ---- who may come ---- */

static void test_plain_only_on_loopback(void **state)
{
	struct channel_server_settings settings = { .address = "0.0.0.0", .request = on_request };
	struct channel_server_settings plain = { 0 };
	g_autoptr(GError) error = NULL;
	struct peer *peer;

	settings.loop = loop_new();
	assert_null(channel_server_new(&settings, &error));
	assert_true(error_is(error, ERR_CONFIG_INVALID));
	g_clear_error(&error);
	settings.address = "::";
	assert_null(channel_server_new(&settings, &error));
	loop_free(settings.loop);

	start(&plain);
	peer = peer_open_with(NULL);
	peer_subscribe(peer);
	peer_ask(peer, ASK("Test.who", "1"));
	EXPECT_JSON(peer, "{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": \"1|127.0.0.1|none|0|1\"}");
	peer_close(peer);
}

static void test_certificates(void **state)
{
	struct pki *foreign = pki_new("stranger", 1);
	/* trusts our server, but shows a certificate of another CA */
	struct tls_context *context = pki_context(world.pki, foreign->cert, foreign->key, false);
	struct peer *peer;

	start(NULL);
	peer = peer_open_with(context);
	(void)peer_send(peer, "CONNECT\naccept-version:1.2\n\n", 28);
	EXPECT_CLOSED(peer);
	peer_close(peer);
	tls_context_free(context);
	pki_free(foreign);
	/* plain bytes to a TLS port */
	peer = peer_open_with(NULL);
	SEND(peer, "CONNECT\naccept-version:1.2\n\n");
	char bytes[64];
	size_t n = peer_read(peer, bytes, sizeof(bytes));
	assert_true(n == 0 || bytes[0] == 0x15);        /* at most a TLS alert */
	peer_close(peer);
	peer = peer_ready();
	assert_quiet(peer);
	peer_close(peer);
}

static int setup_world(void **state)
{
	char *cert, *key;

	log_set_level(NULL, LOG_LEVEL_ERROR);
	world.pki = pki_new("server", 1);
	pki_issue(world.pki, "client", 1, &cert, &key);
	world.server_tls = pki_context(world.pki, world.pki->cert, world.pki->key, true);
	world.client_tls = pki_context(world.pki, cert, key, false);
	g_free(cert);
	g_free(key);
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
		TEST(test_connect),
		TEST(test_subscribe_and_send_before_connect),
		TEST(test_errors_keep_the_connection),
		TEST(test_frames_nobody_sends_close),
		TEST(test_disconnect),
		TEST(test_receipts),
		TEST(test_escapes_and_colons),
		TEST(test_bounds),
		TEST(test_detection),
		TEST(test_http),
		TEST(test_results_and_errors),
		TEST(test_errors_without_reply_to),
		TEST(test_batches),
		TEST(test_notifications),
		TEST(test_same_id),
		TEST(test_answer_to_nobody),
		TEST(test_too_many_calls),
		TEST(test_who_asks),
		TEST(test_events),
		TEST(test_a_slow_reader_loses_nothing),
		TEST(test_who_does_not_read_is_dropped),
		TEST(test_silent_client_is_dropped),
		TEST(test_heart_beats_while_calls_run),
		TEST(test_java_is_paced),
		TEST(test_big_frame_beside_others),
		TEST(test_big_answer),
		TEST(test_plain_only_on_loopback),
		TEST(test_certificates),
	};

	return cmocka_run_group_tests(tests, setup_world, teardown_world);
}
