/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_CHANNEL_FIXTURE_H
#define BERTH_TESTS_CHANNEL_FIXTURE_H
/* A channel's server on a thread of its own, and a peer over a real socket that knows nothing but bytes: see test-proto-channel.c. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/log.h"
#include "common/metrics.h"
#include "proto/channel.h"
#include "proto/jsonrpc.h"
#include "tests/unit/cmocka-all.h"
#include "tests/unit/tls-fixture.h"

#define READ_SECONDS 30

/* ---- the server's side ---- */

static struct {
	struct pki *pki;
	struct tls_context *server_tls, *client_tls;
	struct loop *loop;
	pthread_t thread;
	struct channel_server *server;
	uint16_t port;
	GPtrArray *deferred;            /* struct call; the loop's thread only */
} world;

static void on_request(struct call *call, const char *method, const json_t *params, void *data)
{
	if (!strcmp(method, "Host.ping")) {
		call_reply(call, "true", 4);
	} else if (!strcmp(method, "Host.echo")) {
		char *text = json_dumps(params, JSON_COMPACT);

		call_reply(call, text, strlen(text));
		free(text);
	} else if (!strcmp(method, "Host.size")) {
		g_autofree char *text = g_strdup_printf("%zu", json_array_size(params));

		call_reply(call, text, strlen(text));
	} else if (!strcmp(method, "Test.who")) {
		const struct sockaddr *address = call_peer_address(call);
		g_autofree char *text = g_strdup_printf("\"%d|%s|%s|%zu|%d\"", g_str_has_prefix(call_peer(call), "127.0.0.1:"), call_local_address(call),
							call_flow_id(call) ? call_flow_id(call) : "none", strlen(call_peer_fingerprint(call)),
							address && address->sa_family == AF_INET);

		call_reply(call, text, strlen(text));
	} else if (!strcmp(method, "Test.defer")) {
		g_ptr_array_add(world.deferred, call);
	} else if (!strcmp(method, "Test.release")) {
		for (guint i = 0; i < world.deferred->len; i++)
			call_reply(g_ptr_array_index(world.deferred, i), "\"late\"", 6);
		g_ptr_array_set_size(world.deferred, 0);
		call_reply(call, "true", 4);
	} else {
		g_autoptr(GError) error = NULL;

		error_set(&error, ERR_JSONRPC_NO_METHOD, "{'method': '%s'}", method);
		call_fail(call, error);
	}
}

static char *on_http(const char *path, const char **ret_content_type, void *data)
{
	*ret_content_type = "text/plain; version=0.0.4";
	return strcmp(path, "/metrics") ? NULL : g_strdup("up 1\n");
}

static void *run_loop(void *data)
{
	loop_run(world.loop);
	return NULL;
}

static void end_on_loop(void *data)
{
	g_autoptr(GError) error = NULL;

	world.server = channel_server_free(world.server);
	/* what is answered after everything is gone */
	error_set(&error, ERR_CANCELED, NULL);
	for (guint i = 0; i < world.deferred->len; i++)
		call_fail(g_ptr_array_index(world.deferred, i), error);
	g_ptr_array_set_size(world.deferred, 0);
	loop_stop(world.loop);
}

static void start(const struct channel_server_settings *given)
{
	struct channel_server_settings settings = given ? *given : (struct channel_server_settings){ .tls = world.server_tls };
	g_autoptr(GError) error = NULL;

	world.loop = loop_new();
	settings.loop = world.loop;
	settings.address = "127.0.0.1";
	settings.request = on_request;
	world.server = channel_server_new(&settings, &error);
	assert_non_null(world.server);
	world.port = channel_server_port(world.server);
	assert_int_equal(pthread_create(&world.thread, NULL, run_loop, NULL), 0);
}

static int setup(void **state)
{
	world.deferred = g_ptr_array_new();
	return 0;
}

static int teardown(void **state)
{
	if (world.loop) {
		loop_post(world.loop, end_on_loop, NULL, NULL);
		pthread_join(world.thread, NULL);
		world.loop = loop_free(world.loop);
	}
	g_clear_pointer(&world.deferred, g_ptr_array_unref);
	return 0;
}

/* ---- the peer's side ---- */

struct peer {
	int fd;
	SSL *ssl;
	GString *got;                   /* read, not yet looked at */
};

static struct peer *peer_open_with(struct tls_context *tls)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(world.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval limit = { .tv_sec = READ_SECONDS };
	struct peer *peer = g_new0(struct peer, 1);
	static const int on = 1;

	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(peer->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	peer->got = g_string_new(NULL);
	if (!tls)
		return peer;
	peer->ssl = tls_context_session(tls, "127.0.0.1");
	SSL_set_fd(peer->ssl, peer->fd);
	assert_int_equal(SSL_connect(peer->ssl), 1);
	return peer;
}

static struct peer *peer_open(void)
{
	return peer_open_with(world.client_tls);
}

static void peer_close(struct peer *peer)
{
	SSL_free(peer->ssl);
	close(peer->fd);
	g_string_free(peer->got, TRUE);
	g_free(peer);
}

static bool peer_send(struct peer *peer, const char *bytes, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		int result;

		ERR_clear_error();
		result = peer->ssl ? SSL_write(peer->ssl, bytes + sent, (int)(n - sent)) : (int)send(peer->fd, bytes + sent, n - sent, MSG_NOSIGNAL);
		if (result <= 0)
			return false;
		sent += (size_t)result;
	}
	return true;
}

/* A literal with its own NULs; the last one (which ends a frame) is counted. */
#define SEND(peer, text) assert_true(peer_send((peer), (text), sizeof(text)))

static size_t peer_read(struct peer *peer, char *bytes, size_t n)
{
	int result;

	ERR_clear_error();
	result = peer->ssl ? SSL_read(peer->ssl, bytes, (int)n) : (int)recv(peer->fd, bytes, n, 0);
	if (result < 0 && !peer->ssl && errno == EAGAIN)
		fail_msg("nothing came in %d s", READ_SECONDS);
	if (result < 0 && peer->ssl && SSL_get_error(peer->ssl, result) == SSL_ERROR_WANT_READ)
		fail_msg("nothing came in %d s", READ_SECONDS);
	return result > 0 ? (size_t)result : 0;
}

/* The next frame with its NUL cut off, without heart-beats before it; NULL at the end of the connection. g_free */
static char *peer_frame(struct peer *peer)
{
	for (;;) {
		char bytes[16384];
		const char *nul;
		size_t n;

		while (peer->got->len && peer->got->str[0] == '\n')
			g_string_erase(peer->got, 0, 1);
		nul = memchr(peer->got->str, '\0', peer->got->len);
		if (nul && peer->got->len) {
			char *frame = g_strdup(peer->got->str);

			g_string_erase(peer->got, 0, nul - peer->got->str + 1);
			return frame;
		}
		n = peer_read(peer, bytes, sizeof(bytes));
		if (!n)
			return NULL;
		g_string_append_len(peer->got, bytes, (gssize)n);
	}
}

#define EXPECT(peer, expected) do { \
		g_autofree char *frame_ = peer_frame(peer); \
		assert_non_null(frame_); \
		assert_string_equal(frame_, (expected)); \
	} while (0)
#define EXPECT_CLOSED(peer) do { g_autofree char *frame_ = peer_frame(peer); assert_null(frame_); } while (0)

static char *message_text(const char *destination, const char *subscription, const char *json)
{
	return g_strdup_printf("MESSAGE\ndestination:%s\ncontent-type:application/json\nsubscription:%s\ncontent-length:%zu\n\n%s",
			       destination, subscription, strlen(json), json);
}

/* A message through the subscription "s1" to "mine". */
#define EXPECT_JSON(peer, json) do { g_autofree char *text_ = message_text("mine", "s1", (json)); EXPECT((peer), text_); } while (0)

static void peer_ask(struct peer *peer, const char *json)
{
	g_autofree char *frame = g_strdup_printf("SEND\ndestination:jms.topic.vdsm_requests\nreply-to:mine\ncontent-length:%zu\n\n%s", strlen(json), json);

	assert_true(peer_send(peer, frame, strlen(frame) + 1));
}

static void peer_subscribe(struct peer *peer)
{
	SEND(peer, "SUBSCRIBE\ndestination:mine\nack:auto\nid:s1\n\n");
}

static struct peer *peer_ready(void)
{
	struct peer *peer = peer_open();

	SEND(peer, "CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n");
	EXPECT(peer, "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n");
	peer_subscribe(peer);
	return peer;
}

#define PING(id) "{\"jsonrpc\": \"2.0\", \"method\": \"Host.ping\", \"params\": {}, \"id\": " id "}"
#define PONG(id) "{\"jsonrpc\": \"2.0\", \"id\": " id ", \"result\": true}"
#define ASK(method, id) "{\"jsonrpc\": \"2.0\", \"method\": \"" method "\", \"id\": " id "}"

/* Whatever was to come before has come. */
static void assert_quiet(struct peer *peer)
{
	peer_ask(peer, PING("\"quiet\""));
	EXPECT_JSON(peer, PONG("\"quiet\""));
}

/* ---- frames ---- */

#endif
