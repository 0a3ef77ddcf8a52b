/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams over the real loopback: both ends on one loop, or a raw OpenSSL client on a thread where the wire itself is looked at.
 * run_until() turns the loop until what the test waits for has happened; its time limit is only there to fail.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "common/error.h"
#include "common/stream.h"
#include "tests/unit/cmocka-all.h"
#include "tests/unit/tls-fixture.h"

#define LIMIT_USEC (20 * G_USEC_PER_SEC)
#define MIB (1024 * 1024)

struct end {
	struct test *test;
	struct stream *stream;
	GString *in;
	GArray *chunks;          /* sizes, as input() got them */
	bool ready, closed, drained, echo, in_call;
	GError *error;
	int64_t last_usec;
};

struct test {
	struct loop *loop;
	struct tls_context *server_tls, *client_tls;
	struct listener *listener;
	struct listener_settings settings;
	struct end server, client, *more;
	unsigned n_accepted, n_more;
	GPtrArray *others;       /* accepted after the first and still open */
	bool (*goal)(struct test *test);
	size_t wanted;
};

static struct pki *pki, *foreign;

static int make_certificates(void **state)
{
	pki = pki_new("good", 1);
	foreign = pki_new("stranger", 1);
	return 0;
}

static int remove_certificates(void **state)
{
	pki_free(pki);
	pki_free(foreign);
	return 0;
}

static void check_goal(struct test *test)
{
	if (test->goal && test->goal(test)) {
		test->goal = NULL;
		loop_stop(test->loop);
	}
}

static void on_ready(struct stream *stream, void *data)
{
	struct end *end = data;

	assert_ptr_equal(stream, end->stream);
	end->ready = true;
	check_goal(end->test);
}

static void on_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	struct end *end = data;
	guint size = (guint)n;

	g_string_append_len(end->in, (const char *)bytes, (gssize)n);
	g_array_append_val(end->chunks, size);
	end->last_usec = now_usec();
	if (end->echo)
		assert_true(stream_send_copy(stream, bytes, n));
	check_goal(end->test);
}

static void on_drained(struct stream *stream, void *data)
{
	struct end *end = data;

	end->drained = true;
	check_goal(end->test);
}

static void on_closed(struct stream *stream, const GError *error, void *data)
{
	struct end *end = data;

	assert_false(end->in_call);
	assert_false(end->closed);
	end->closed = true;
	g_clear_error(&end->error);
	end->error = error ? g_error_copy(error) : NULL;
	/* harmless: it is on its way out */
	stream_abort(stream);
	stream_close(stream);
	assert_false(stream_send_copy(stream, "x", 1));
	end->stream = NULL;
	check_goal(end->test);
}

static const struct stream_events events = { on_ready, on_input, on_drained, on_closed };

static void end_init(struct end *end, struct test *test)
{
	end->test = test;
	end->in = g_string_new(NULL);
	end->chunks = g_array_new(FALSE, FALSE, sizeof(guint));
}

static void end_abort(struct end *end)
{
	if (end->stream)
		stream_abort(end->stream);
}

static void end_clear(struct end *end)
{
	g_string_free(end->in, TRUE);
	g_array_unref(end->chunks);
	g_clear_error(&end->error);
}

static void on_other_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	assert_true(stream_send_copy(stream, bytes, n));
}

static void on_other_closed(struct stream *stream, const GError *error, void *data)
{
	struct test *test = data;

	assert_true(g_ptr_array_remove_fast(test->others, stream));
	check_goal(test);
}

static const struct stream_events other_events = { .input = on_other_input, .closed = on_other_closed };

/* The first is looked at; the others send back what they get. */
static void on_accepted(struct stream *stream, void *data)
{
	struct test *test = data;

	if (test->n_accepted++ == 0) {
		test->server.stream = stream;
		stream_set_events(stream, &events, &test->server);
	} else {
		g_ptr_array_add(test->others, stream);
		stream_set_events(stream, &other_events, test);
	}
	check_goal(test);
}

static int setup(void **state)
{
	struct test *test = g_new0(struct test, 1);

	test->loop = loop_new();
	test->others = g_ptr_array_new();
	test->settings = (struct listener_settings){ .address = "::", .max_connections = 100, .max_handshakes = 50, .handshake_usec = LIMIT_USEC,
						     .max_queue = 32 * MIB, .accepted = on_accepted, .data = test };
	end_init(&test->server, test);
	end_init(&test->client, test);
	*state = test;
	return 0;
}

static void too_late(void *data)
{
	loop_stop(data);
}

static void run_until(struct test *test, bool (*goal)(struct test *test))
{
	struct timer *limit = timer_new(test->loop, too_late, test->loop);

	test->goal = goal;
	if (!goal(test)) {
		timer_set(limit, LIMIT_USEC);
		loop_run(test->loop);
	}
	timer_free(limit);
	if (!goal(test))
		fail_msg("too late; client: %s, server: %s", test->client.error ? test->client.error->message : "-",
			 test->server.error ? test->server.error->message : "-");
	test->goal = NULL;
}

static bool all_closed(struct test *test)
{
	for (unsigned i = 0; i < test->n_more; i++)
		if (test->more[i].stream)
			return false;
	return !test->client.stream && !test->server.stream && !test->others->len;
}

static int teardown(void **state)
{
	struct test *test = *state;

	test->listener = listener_free(test->listener);
	end_abort(&test->server);
	end_abort(&test->client);
	for (unsigned i = 0; i < test->n_more; i++)
		end_abort(&test->more[i]);
	for (guint i = 0; i < test->others->len; i++)
		stream_abort(test->others->pdata[i]);
	/* closed() of each is allowed once more, whatever the test has seen */
	test->server.closed = test->client.closed = test->server.in_call = test->client.in_call = false;
	run_until(test, all_closed);
	end_clear(&test->server);
	end_clear(&test->client);
	for (unsigned i = 0; i < test->n_more; i++)
		end_clear(&test->more[i]);
	g_free(test->more);
	g_ptr_array_unref(test->others);
	loop_free(test->loop);
	tls_context_free(test->server_tls);
	tls_context_free(test->client_tls);
	g_free(test);
	return 0;
}

static void run_for(struct test *test, int64_t usec)
{
	struct timer *end = timer_new(test->loop, too_late, test->loop);

	timer_set(end, usec);
	loop_run(test->loop);
	timer_free(end);
}

static void start_listener(struct test *test, bool tls)
{
	if (tls) {
		test->server_tls = pki_context(pki, pki->cert, pki->key, true);
		test->client_tls = pki_context(pki, pki->cert, pki->key, false);
	}
	test->settings.tls = test->server_tls;
	test->listener = listener_new(test->loop, &test->settings, NULL);
	assert_non_null(test->listener);
}

static void connect_end(struct test *test, struct end *end, struct tls_context *tls, const char *address, size_t max_queue)
{
	struct sockaddr_storage peer = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer;
	uint16_t port = htons(listener_port(test->listener));
	bool is_v4 = inet_pton(AF_INET, address, &v4->sin_addr) == 1;

	if (is_v4) {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
	} else {
		memset(&peer, 0, sizeof(peer));
		assert_int_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
	}
	end->stream = stream_connect(test->loop, (struct sockaddr *)&peer, is_v4 ? sizeof(*v4) : sizeof(*v6), tls, tls ? "localhost" : NULL,
				     LIMIT_USEC, max_queue, &events, end, NULL);
	assert_non_null(end->stream);
}

static bool both_ready(struct test *test)
{
	return test->server.ready && test->client.ready;
}

static bool client_has_all(struct test *test)
{
	return test->client.in->len >= test->wanted;
}

static bool server_has_all(struct test *test)
{
	return test->server.in->len >= test->wanted;
}

static bool client_closed(struct test *test)
{
	return test->client.closed;
}

static bool server_closed(struct test *test)
{
	return test->server.closed;
}

static bool both_closed(struct test *test)
{
	return test->server.closed && test->client.closed;
}

static void start(struct test *test, bool tls)
{
	start_listener(test, tls);
	connect_end(test, &test->client, test->client_tls, "127.0.0.1", 32 * MIB);
	run_until(test, both_ready);
}

static void check_echo(struct test *test, bool tls)
{
	start(test, tls);
	test->server.echo = true;
	test->wanted = 5;
	assert_true(stream_send_copy(test->client.stream, "hello", 5));
	run_until(test, client_has_all);
	assert_string_equal(test->client.in->str, "hello");
	assert_int_equal(stream_queued(test->client.stream), 0);
	assert_int_equal(tls, stream_ssl(test->client.stream) != NULL);
}

static void test_echo_tls(void **state)
{
	check_echo(*state, true);
}

static void test_echo_plain(void **state)
{
	check_echo(*state, false);
}

static void test_addresses(void **state)
{
	struct test *test = *state;

	start(test, false);
	/* an IPv4 peer of the dual-stack socket is an IPv4 peer */
	assert_true(g_str_has_prefix(stream_peer(test->server.stream), "127.0.0.1:"));
	assert_string_equal(stream_local_address(test->server.stream), "127.0.0.1");
	assert_int_equal(stream_peer_address(test->server.stream)->sa_family, AF_INET);
}

static void test_addresses_v6(void **state)
{
	struct test *test = *state;

	start_listener(test, false);
	connect_end(test, &test->client, NULL, "::1", MIB);
	run_until(test, both_ready);
	assert_true(g_str_has_prefix(stream_peer(test->server.stream), "[::1]:"));
	assert_string_equal(stream_local_address(test->server.stream), "::1");
}

static int64_t cpu_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* CPU that a block of n bytes costs both ends. */
static int64_t move_block(struct test *test, size_t n)
{
	uint8_t *bytes = g_malloc(n);
	int64_t begin;

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 251);
	begin = cpu_usec();
	test->wanted = n;
	g_string_truncate(test->server.in, 0);
	assert_true(stream_send(test->client.stream, g_bytes_new_static(bytes, n)));
	run_until(test, server_has_all);
	begin = cpu_usec() - begin;
	assert_int_equal(test->server.in->len, n);
	assert_memory_equal(test->server.in->str, bytes, n);
	g_free(bytes);
	return begin;
}

static void check_large_block(struct test *test, bool tls)
{
	int64_t small, large;

	start(test, tls);
	(void)move_block(test, 10 * MIB);
	small = move_block(test, MIB);
	large = move_block(test, 10 * MIB);
	/* linear is 10; the rest is for a busy machine */
	if (large > 40 * small)
		fail_msg("1 MiB: %d us, 10 MiB: %d us", (int)small, (int)large);
}

static void test_large_block_tls(void **state)
{
	check_large_block(*state, true);
}

static void test_large_block_plain(void **state)
{
	check_large_block(*state, false);
}

static void test_blocks_sent_before_ready(void **state)
{
	struct test *test = *state;

	start_listener(test, true);
	connect_end(test, &test->client, test->client_tls, "127.0.0.1", MIB);
	assert_true(stream_send_copy(test->client.stream, "one", 3));
	assert_true(stream_send_copy(test->client.stream, "two", 3));
	test->wanted = 6;
	run_until(test, server_has_all);
	assert_string_equal(test->server.in->str, "onetwo");
	assert_int_equal(test->server.chunks->len, 2);
}

static void test_queue_is_bounded(void **state)
{
	struct test *test = *state;
	static char block[100 * 1024];
	unsigned n = 0;

	start_listener(test, true);
	connect_end(test, &test->client, test->client_tls, "127.0.0.1", MIB);
	run_until(test, both_ready);
	stream_pause(test->server.stream, true);
	while (stream_send_copy(test->client.stream, block, 100 * 1024) && n < 1000)
		n++;
	assert_in_range(n, 10, 999);
	assert_in_range(stream_queued(test->client.stream), MIB - 100 * 1024, MIB);
	/* it was only refused: what was taken arrives */
	test->wanted = n * 100 * 1024;
	stream_pause(test->server.stream, false);
	run_until(test, server_has_all);
	assert_int_equal(test->server.in->len, test->wanted);
}

static void test_one_block_beyond_the_bound(void **state)
{
	struct test *test = *state;

	start_listener(test, false);
	connect_end(test, &test->client, NULL, "127.0.0.1", 1000);
	assert_false(stream_send(test->client.stream, g_bytes_new_take(g_malloc0(1001), 1001)));
	assert_true(stream_send(test->client.stream, g_bytes_new_take(g_malloc0(1000), 1000)));
}

static bool client_drained(struct test *test)
{
	return test->client.drained;
}

static void test_drained_comes_after_queueing(void **state)
{
	struct test *test = *state;
	size_t n = 8 * MIB;

	start(test, true);
	assert_true(stream_send_copy(test->client.stream, "small", 5));
	assert_false(test->client.drained);
	assert_true(stream_send(test->client.stream, g_bytes_new_take(g_malloc0(n), n)));
	assert_true(stream_queued(test->client.stream) > 0);
	run_until(test, client_drained);
	assert_int_equal(stream_queued(test->client.stream), 0);
}

static void test_pace_leaves_a_gap(void **state)
{
	struct test *test = *state;
	int64_t begin;

	start(test, true);
	stream_set_pace(test->server.stream, 10000);
	begin = now_usec();
	for (int i = 0; i < 5; i++)
		assert_true(stream_send_copy(test->server.stream, "block", 5));
	assert_true(stream_queued(test->server.stream) >= 20);
	test->wanted = 25;
	run_until(test, client_has_all);
	assert_int_equal(test->client.chunks->len, 5);
	assert_true(test->client.last_usec - begin >= 4 * 10000);
}

static void test_pace_does_not_hold_a_single_block(void **state)
{
	struct test *test = *state;

	start(test, true);
	stream_set_pace(test->server.stream, LIMIT_USEC);
	assert_true(stream_send_copy(test->server.stream, "block", 5));
	assert_int_equal(stream_queued(test->server.stream), 0);
}

static void test_pace_does_not_hold_the_rest_of_a_block(void **state)
{
	struct test *test = *state;
	size_t n = 10 * MIB;

	start(test, true);
	stream_set_pace(test->server.stream, LIMIT_USEC);
	test->wanted = n;
	assert_true(stream_send(test->server.stream, g_bytes_new_take(g_malloc0(n), n)));
	assert_true(stream_queued(test->server.stream) > 0);
	run_until(test, client_has_all);
}

static void test_close_sends_the_queue_first(void **state)
{
	struct test *test = *state;
	size_t n = 4 * MIB;

	start(test, true);
	assert_true(stream_send(test->server.stream, g_bytes_new_take(g_malloc0(n), n)));
	stream_close(test->server.stream);
	assert_false(test->server.closed);
	assert_false(stream_send_copy(test->server.stream, "late", 4));
	run_until(test, both_closed);
	assert_int_equal(test->client.in->len, n);
	assert_null(test->client.error);
	assert_null(test->server.error);
}

static void test_abort_is_told_later(void **state)
{
	struct test *test = *state;

	start(test, true);
	test->client.in_call = true;
	stream_abort(test->client.stream);
	stream_abort(test->client.stream);
	assert_false(test->client.closed);
	assert_false(stream_send_copy(test->client.stream, "x", 1));
	assert_non_null(stream_peer(test->client.stream));
	test->client.in_call = false;
	run_until(test, both_closed);
	assert_null(test->client.error);
}

static void test_vanished_peer(void **state)
{
	struct test *test = *state;
	struct linger hard = { .l_onoff = 1 };

	start(test, true);
	/* what a killed machine's kernel would do: a reset, no alert */
	assert_int_equal(setsockopt(SSL_get_fd(stream_ssl(test->client.stream)), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	stream_abort(test->client.stream);
	run_until(test, both_closed);
	assert_true(error_is(test->server.error, ERR_NO_CONNECTION));
}

static void test_write_to_a_vanished_peer(void **state)
{
	struct test *test = *state;
	struct linger hard = { .l_onoff = 1 };
	int fd;

	start(test, true);
	fd = SSL_get_fd(stream_ssl(test->client.stream));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	stream_abort(test->client.stream);
	/* the reset is already here, the loop has not looked yet */
	test->server.in_call = true;
	(void)stream_send_copy(test->server.stream, "x", 1);
	(void)stream_send_copy(test->server.stream, "y", 1);
	assert_false(test->server.closed);
	test->server.in_call = false;
	run_until(test, both_closed);
	assert_true(error_is(test->server.error, ERR_NO_CONNECTION));
}

static void test_connection_refused(void **state)
{
	struct test *test = *state;

	start_listener(test, false);
	connect_end(test, &test->client, NULL, "127.0.0.1", MIB);
	run_until(test, both_ready);
	stream_abort(test->client.stream);
	run_until(test, both_closed);
	test->client.closed = false;
	listener_free(g_steal_pointer(&test->listener));
	{
		struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		g_autoptr(GError) error = NULL;

		test->client.stream = stream_connect(test->loop, (struct sockaddr *)&peer, sizeof(peer), NULL, NULL, LIMIT_USEC, MIB, &events,
						     &test->client, &error);
		if (!test->client.stream) {
			assert_true(error_is(error, ERR_NO_CONNECTION));
			return;
		}
		run_until(test, client_closed);
		assert_true(error_is(test->client.error, ERR_NO_CONNECTION));
	}
}

static void test_handshake_has_a_time_limit(void **state)
{
	struct test *test = *state;

	test->settings.handshake_usec = 50 * 1000;
	start_listener(test, true);
	connect_end(test, &test->client, /* tls= */ NULL, "127.0.0.1", MIB);
	run_until(test, server_closed);
	assert_true(error_is(test->server.error, ERR_TIMEOUT));
	assert_false(test->server.ready);
}

static void test_connect_has_a_time_limit(void **state)
{
	struct test *test = *state;
	struct sockaddr_in6 peer = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	/* a listener that never answers the TLS handshake */
	start_listener(test, false);
	test->client_tls = pki_context(pki, pki->cert, pki->key, false);
	peer.sin6_port = htons(listener_port(test->listener));
	test->client.stream = stream_connect(test->loop, (struct sockaddr *)&peer, sizeof(peer), test->client_tls, NULL, 50 * 1000, MIB, &events,
					     &test->client, NULL);
	run_until(test, client_closed);
	assert_true(error_is(test->client.error, ERR_TIMEOUT));
}

static void connect_more(struct test *test, unsigned n, struct tls_context *tls)
{
	test->more = g_new0(struct end, n);
	test->n_more = n;
	for (unsigned i = 0; i < n; i++) {
		end_init(&test->more[i], test);
		connect_end(test, &test->more[i], tls, "127.0.0.1", MIB);
	}
}

static unsigned closed_of_more(struct test *test)
{
	unsigned n = 0;

	for (unsigned i = 0; i < test->n_more; i++)
		n += test->more[i].closed;
	return n;
}

static bool two_of_more_closed(struct test *test)
{
	return closed_of_more(test) >= 2;
}

static bool five_accepted(struct test *test)
{
	return test->n_accepted == 5;
}

static void test_half_open_connections_are_bounded(void **state)
{
	struct test *test = *state;

	test->settings.max_handshakes = 3;
	test->settings.handshake_usec = 100 * G_USEC_PER_SEC;
	start_listener(test, true);
	connect_more(test, 5, /* tls= */ NULL);
	run_until(test, two_of_more_closed);
	/* those that came first made room for the others */
	assert_int_equal(test->n_accepted, 5);
	assert_int_equal(closed_of_more(test), 2);
}

static void test_connections_are_bounded(void **state)
{
	struct test *test = *state;

	test->settings.max_connections = 3;
	start_listener(test, true);
	connect_more(test, 5, test->client_tls);
	run_until(test, two_of_more_closed);
	assert_int_equal(test->n_accepted, 3);
}

static void test_no_descriptors_left(void **state)
{
	struct test *test = *state;
	struct rlimit limit, none;
	struct rusage before, after;
	int probe;

	start_listener(test, false);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	connect_more(test, 5, NULL);
	probe = dup(STDERR_FILENO);
	close(probe);
	none = (struct rlimit){ .rlim_cur = (rlim_t)probe, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	getrusage(RUSAGE_THREAD, &before);
	run_for(test, 250 * 1000);
	getrusage(RUSAGE_THREAD, &after);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(test->n_accepted, 0);
	/* it rested instead of spinning */
	assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 1, 60);
	run_until(test, five_accepted);
}

static void check_refused(struct test *test, struct tls_context *client_tls, const char *server_says, const char *client_hears)
{
	start_listener(test, true);
	tls_context_free(test->client_tls);
	test->client_tls = client_tls;
	connect_end(test, &test->client, client_tls, "127.0.0.1", MIB);
	/* TLS 1.3 lets a client talk before it is judged; it must hear the judgement all the same */
	assert_true(stream_send_copy(test->client.stream, "hello", 5));
	run_until(test, both_closed);
	assert_false(test->server.ready);
	assert_int_equal(test->server.in->len, 0);
	assert_true(error_is(test->server.error, ERR_TLS_FAILED));
	assert_true(error_is(test->client.error, ERR_TLS_FAILED));
	if (!strstr(test->server.error->message, server_says))
		fail_msg("'%s' is not in '%s'", server_says, test->server.error->message);
	if (!strstr(test->client.error->message, client_hears))
		fail_msg("'%s' is not in '%s'", client_hears, test->client.error->message);
}

static void test_foreign_client_is_refused(void **state)
{
	check_refused(*state, pki_context(pki, foreign->cert, foreign->key, false), "unable to get local issuer certificate", "unknown ca");
}

static void test_expired_client_is_refused(void **state)
{
	g_autofree char *cert = NULL, *key = NULL;

	pki_issue(pki, "past", -1, &cert, &key);
	check_refused(*state, pki_context(pki, cert, key, false), "certificate has expired", "certificate expired");
}

static void test_client_without_certificate_is_refused(void **state)
{
	check_refused(*state, pki_context(pki, NULL, NULL, false), "did not return a certificate", "certificate required");
}

static void test_foreign_server_is_refused(void **state)
{
	check_refused(*state, pki_context(foreign, pki->cert, pki->key, false), "unknown ca", "certificate verify failed");
}

static void test_plain_bytes_on_a_tls_port(void **state)
{
	struct test *test = *state;

	start_listener(test, true);
	connect_end(test, &test->client, /* tls= */ NULL, "127.0.0.1", MIB);
	assert_true(stream_send_copy(test->client.stream, "CONNECT\naccept-version:1.2\n\n", 29));
	run_until(test, both_closed);
	assert_true(error_is(test->server.error, ERR_TLS_FAILED));
	assert_false(test->server.ready);
}

static void test_reload_is_for_new_connections(void **state)
{
	struct test *test = *state;
	g_autofree char *cert = NULL, *key = NULL, *first = NULL, *second = NULL, *kept = NULL;

	pki_issue(pki, "changing", 1, &cert, &key);
	test->server_tls = pki_context(pki, cert, key, true);
	test->client_tls = pki_context(pki, pki->cert, pki->key, false);
	start_listener(test, false);
	listener_free(test->listener);
	test->settings.tls = test->server_tls;
	test->listener = listener_new(test->loop, &test->settings, NULL);
	connect_end(test, &test->client, test->client_tls, "127.0.0.1", MIB);
	run_until(test, both_ready);
	first = tls_peer_fingerprint(stream_ssl(test->client.stream));

	g_free(g_steal_pointer(&cert));
	g_free(g_steal_pointer(&key));
	pki_issue(pki, "changing", 1, &cert, &key);
	assert_true(tls_context_reload(test->server_tls, NULL));
	test->wanted = 5;
	assert_true(stream_send_copy(test->client.stream, "still", 5));
	run_until(test, server_has_all);
	kept = tls_peer_fingerprint(stream_ssl(test->client.stream));
	assert_string_equal(kept, first);

	stream_abort(test->client.stream);
	run_until(test, both_closed);
	test->client.closed = test->client.ready = false;
	connect_end(test, &test->client, test->client_tls, "127.0.0.1", MIB);
	{
		struct end *client = &test->client;

		for (int64_t until = now_usec() + LIMIT_USEC; !client->ready && now_usec() < until;)
			run_for(test, 1000);
	}
	second = tls_peer_fingerprint(stream_ssl(test->client.stream));
	assert_string_not_equal(second, first);
}

struct raw {
	uint16_t port;
	unsigned long records;
	GArray *sizes;
	size_t wanted;
};

static void count_records(int written, int version, int type, const void *bytes, size_t n, SSL *ssl, void *data)
{
	struct raw *raw = data;

	/* the header of a record that came in; in 1.3 they all say application data */
	if (!written && type == SSL3_RT_HEADER && n >= 1 && ((const uint8_t *)bytes)[0] == SSL3_RT_APPLICATION_DATA)
		raw->records++;
}

/* An OpenSSL client of its own, blocking: SSL_read() gives one record at a time. */
static void *raw_client(void *data)
{
	struct raw *raw = data;
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(raw->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
	static char bytes[32 * 1024];
	size_t got = 0;
	SSL *ssl;

	SSL_CTX_use_certificate_chain_file(ctx, pki->cert);
	SSL_CTX_use_PrivateKey_file(ctx, pki->key, SSL_FILETYPE_PEM);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	ssl = SSL_new(ctx);
	if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) == 0 && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1) {
		SSL_set_msg_callback(ssl, count_records);
		SSL_set_msg_callback_arg(ssl, raw);
		while (got < raw->wanted && (n = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
			guint size = (guint)n;

			g_array_append_val(raw->sizes, size);
			got += size;
		}
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return NULL;
}

static bool server_ready(struct test *test)
{
	return test->server.ready;
}

static void test_each_block_has_its_own_record(void **state)
{
	struct test *test = *state;
	struct raw raw = { .sizes = g_array_new(FALSE, FALSE, sizeof(guint)), .wanted = 100 + 200 + 20000 + 7 };
	pthread_t thread;

	start_listener(test, true);
	raw.port = listener_port(test->listener);
	assert_int_equal(pthread_create(&thread, NULL, raw_client, &raw), 0);
	run_until(test, server_ready);
	assert_true(stream_send(test->server.stream, g_bytes_new_take(g_malloc0(100), 100)));
	assert_true(stream_send(test->server.stream, g_bytes_new_take(g_malloc0(200), 200)));
	assert_true(stream_send(test->server.stream, g_bytes_new_take(g_malloc0(20000), 20000)));
	assert_true(stream_send_copy(test->server.stream, "1234567", 7));
	run_until(test, server_closed);
	pthread_join(thread, NULL);
	/* a block of more than 16 KiB is as few records as there can be, and shares none */
	assert_int_equal(raw.sizes->len, 5);
	assert_int_equal(raw.records, 5);
	assert_int_equal(g_array_index(raw.sizes, guint, 0), 100);
	assert_int_equal(g_array_index(raw.sizes, guint, 1), 200);
	assert_int_equal(g_array_index(raw.sizes, guint, 2), 16384);
	assert_int_equal(g_array_index(raw.sizes, guint, 3), 20000 - 16384);
	assert_int_equal(g_array_index(raw.sizes, guint, 4), 7);
	g_array_unref(raw.sizes);
}

static bool small_is_back(struct test *test)
{
	return test->more[0].in->len == 5;
}

/* Many megabytes are on their way on one connection; a small question on another is answered long before they are through. */
static void test_a_large_block_does_not_stop_the_neighbours(void **state)
{
	struct test *test = *state;
	size_t n = 30 * MIB;

	start(test, true);
	connect_more(test, 1, test->client_tls);
	for (int64_t until = now_usec() + LIMIT_USEC; !test->more[0].ready && now_usec() < until;)
		run_for(test, 1000);
	assert_true(stream_send(test->client.stream, g_bytes_new_take(g_malloc0(n), n)));
	assert_true(stream_send_copy(test->more[0].stream, "small", 5));
	run_until(test, small_is_back);
	assert_in_range(test->server.in->len, 0, n / 10);
	test->wanted = n;
	run_until(test, server_has_all);
}

static void test_paused_stream_is_silent(void **state)
{
	struct test *test = *state;

	start(test, true);
	stream_pause(test->server.stream, true);
	assert_true(stream_send_copy(test->client.stream, "x", 1));
	run_for(test, 20 * 1000);
	assert_int_equal(test->server.in->len, 0);
	stream_pause(test->server.stream, false);
	test->wanted = 1;
	run_until(test, server_has_all);
}

static void abort_on_accept(struct stream *stream, void *data)
{
	struct test *test = data;

	on_accepted(stream, data);
	stream_abort(stream);
	test->listener = listener_free(test->listener);
}

static void test_abort_and_free_inside_accepted(void **state)
{
	struct test *test = *state;

	test->settings.accepted = abort_on_accept;
	start_listener(test, true);
	connect_end(test, &test->client, test->client_tls, "127.0.0.1", MIB);
	run_until(test, both_closed);
	assert_false(test->server.ready);
}

static void test_bad_listen_address(void **state)
{
	struct test *test = *state;
	g_autoptr(GError) error = NULL, busy = NULL;

	test->settings.address = "not-an-address";
	assert_null(listener_new(test->loop, &test->settings, &error));
	assert_true(error_is(error, ERR_BAD_VALUE));
	test->settings.address = "127.0.0.1";
	start_listener(test, false);
	test->settings.port = listener_port(test->listener);
	assert_null(listener_new(test->loop, &test->settings, &busy));
	assert_true(error_is(busy, ERR_IO_FAILED));
	assert_non_null(strstr(busy->message, "127.0.0.1"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_echo_tls),
		TEST(test_echo_plain),
		TEST(test_addresses),
		TEST(test_addresses_v6),
		TEST(test_large_block_tls),
		TEST(test_large_block_plain),
		TEST(test_blocks_sent_before_ready),
		TEST(test_queue_is_bounded),
		TEST(test_one_block_beyond_the_bound),
		TEST(test_drained_comes_after_queueing),
		TEST(test_pace_leaves_a_gap),
		TEST(test_pace_does_not_hold_a_single_block),
		TEST(test_pace_does_not_hold_the_rest_of_a_block),
		TEST(test_close_sends_the_queue_first),
		TEST(test_abort_is_told_later),
		TEST(test_vanished_peer),
		TEST(test_write_to_a_vanished_peer),
		TEST(test_connection_refused),
		TEST(test_handshake_has_a_time_limit),
		TEST(test_connect_has_a_time_limit),
		TEST(test_half_open_connections_are_bounded),
		TEST(test_connections_are_bounded),
		TEST(test_no_descriptors_left),
		TEST(test_foreign_client_is_refused),
		TEST(test_expired_client_is_refused),
		TEST(test_client_without_certificate_is_refused),
		TEST(test_foreign_server_is_refused),
		TEST(test_plain_bytes_on_a_tls_port),
		TEST(test_reload_is_for_new_connections),
		TEST(test_each_block_has_its_own_record),
		TEST(test_a_large_block_does_not_stop_the_neighbours),
		TEST(test_paused_stream_is_silent),
		TEST(test_abort_and_free_inside_accepted),
		TEST(test_bad_listen_address),
	};

	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
