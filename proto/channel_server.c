/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's server: connections and frames. Requests and answers are in channel_call.c.
 *
 * A connection:
 *
 *   (handshake)   bounded in time and number by the listener
 *   DETECT        waits for enough bytes to know the protocol: the name of a STOMP frame, "GET /" or "PUT /". Closed when they can be none
 *                 of these, and after detect_usec.
 *   STOMP         no further state: SUBSCRIBE and SEND work before CONNECT, a second CONNECT is answered again (clients do both)
 *   HTTP          one request, headers at most CHANNEL_HEADER_MAX and within detect_usec; one response, then closed
 *   LEAVING       we said our last word (an ERROR that ends the connection, RECEIPT of a DISCONNECT): input is thrown away so that a reset does
 *                 not overtake it; closed once the peer has been quiet for LEAVE_QUIET_USEC, or for its goodbye at the latest after LEAVE_USEC
 *   CLOSED        closed() of the stream is on its way
 *
 * Errors of a frame (a missing header, an unknown queue) are answered with ERROR and the connection stays. A frame that no client of the
 * protocol sends, or bytes that are no frame, close it without a word, as the original does; exceeded bounds close it with an ERROR.
 *
 * Heart-beats (beats.c): the client's "cx,cy" is raised to BEAT_FLOOR_MS where not zero and answered "cy,cx". We send after cy ms without
 * output, and close after cx ms without input and a small margin (a twentieth, at least BEAT_MARGIN_MS): there are clients that send each beat
 * when cx ms are over, so that it always comes a little late. Calls do not hold them up: handlers return at once and answer later.
 *
 * Traps of the Java client, which takes a connection for dead otherwise: every frame is one block of the stream (own write, own TLS
 * record) and has less than 1024 bytes of headers - guaranteed by bounding subscriptions (HEAD_MAX), since ids and destinations are all that
 * varies - and frames to it are paced. It is known by its "host:null".
 *
 * Bounds: connections and handshakes (settings), SUBSCRIPTIONS_MAX a connection, header block, body, calls in flight and send queue
 * (channel.h). A client that does not read until its queue is full is dropped: the queue is emptied, it gets an ERROR, and the connection ends. Up to then
 * it loses nothing.
 */
#define LOG_MODULE "channel"
#include <arpa/inet.h>
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"
#include "proto/channel-priv.h"
#include "proto/jsonrpc.h"

#define BEAT_FLOOR_MS 1000
#define BEAT_MARGIN_MS 100
#define SUBSCRIPTIONS_MAX 100
#define HEAD_MAX 960                    /* of a subscription's head: leaves room for "content-length:16777216\n\n" below 1024 */
#define DEFAULT_CONNECTIONS 1000
#define DEFAULT_HANDSHAKES 100
#define DEFAULT_USEC (10 * G_USEC_PER_SEC)
#define LEAVE_QUIET_USEC 100000
#define LEAVE_USEC (2 * G_USEC_PER_SEC)

static void subscription_free(void *data)
{
	struct subscription *subscription = data;

	g_free(subscription->id);
	g_free(subscription->destination);
	g_string_free(subscription->head, TRUE);
	g_free(subscription);
}

/* ---- life of a connection ---- */

void connection_unref(struct connection *connection)
{
	if (--connection->refs)
		return;
	g_free(connection->peer);
	g_free(connection->local);
	g_free(connection->fingerprint);
	g_free(connection);
}

/* Gives back all that only a living connection needs, and the reference of the server's list. */
static void forget(struct connection *connection)
{
	GPtrArray *all = connection->server->connections;

	g_ptr_array_remove_index_fast(all, connection->index);
	if (connection->index < all->len)
		((struct connection *)g_ptr_array_index(all, connection->index))->index = connection->index;
	connection->mode = MODE_CLOSED;
	connection->server = NULL;
	connection->stream = NULL;
	connection->events = NULL;
	connection->beats = beats_free(connection->beats);
	connection->inbox = inbox_free(connection->inbox);
	connection->timer = timer_free(connection->timer);
	g_clear_pointer(&connection->first, g_byte_array_unref);
	g_clear_pointer(&connection->subscriptions, g_ptr_array_unref);
	connection_unref(connection);
}

static void on_closed(struct stream *stream, const GError *error, void *data)
{
	struct connection *connection = data;

	if (error)
		log_debug("%s", error->message);
	forget(connection);
}

/* How a connection ends on our side. */
enum ending { WHEN_SENT, AT_ONCE };

static void end(struct connection *connection, enum ending ending, const char *why)
{
	if (connection->mode == MODE_CLOSED)
		return;
	connection->mode = MODE_CLOSED;
	connection->beats = beats_free(connection->beats);
	if (connection->timer)
		timer_cancel(connection->timer);
	log_debug("%s: closed: %s", connection->peer, why);
	if (ending == AT_ONCE)
		stream_abort(connection->stream);
	else
		stream_close(connection->stream);
}

static void on_timer(void *data)
{
	struct connection *connection = data;

	end(connection, WHEN_SENT, connection->mode == MODE_LEAVING ? "the last frame is sent" : "no protocol was recognized in time");
}

static void leave(struct connection *connection)
{
	connection->mode = MODE_LEAVING;
	connection->beats = beats_free(connection->beats);
	connection->leave_usec = now_usec() + LEAVE_USEC;
	if (!connection->timer)
		connection->timer = timer_new(stream_loop(connection->stream), on_timer, connection);
}

/* ---- sending ---- */

static void send_block(struct connection *connection, GBytes *block)
{
	static const char why[] = "The client does not read: what was queued for it is dropped";

	if (stream_send(connection->stream, block) || connection->mode == MODE_CLOSED)
		return;
	if (!stream_queued(connection->stream)) {
		end(connection, AT_ONCE, "what is to be sent cannot be");
		return;
	}
	log_warn("%s: dropped: it does not read, %zu bytes wait for it", connection->peer, stream_queued(connection->stream));
	metric_add(connection->server->slow, 1);
	/* It is told if it reads on before the stream's time to close is over. */
	stream_discard(connection->stream);
	block = stomp_end(stomp_begin("ERROR"), &(struct stomp_part){ why, sizeof(why) - 1 }, 1);
	end(connection, stream_send(connection->stream, block) ? WHEN_SENT : AT_ONCE, "it does not read");
}

static void send_error(struct connection *connection, const char *text)
{
	log_debug("%s: ERROR %s", connection->peer, text);
	send_block(connection, stomp_end(stomp_begin("ERROR"), &(struct stomp_part){ text, strlen(text) }, 1));
}

static void send_receipt(struct connection *connection, const char *receipt)
{
	GString *out;

	if (!receipt || !*receipt)
		return;
	out = stomp_begin("RECEIPT");
	stomp_add(out, "receipt-id", receipt);
	if (out->len > HEAD_MAX) {
		g_string_free(out, TRUE);
		send_error(connection, "Receipt is too long");
		return;
	}
	send_block(connection, stomp_end(out, /* parts= */ NULL, 0));
}

void connection_message(struct connection *connection, const struct subscription *subscription, const struct stomp_part *parts, unsigned n_parts)
{
	size_t size = subscription->head->len + 40;
	GString *out;

	if (connection->mode != MODE_STOMP)
		return;
	for (unsigned i = 0; i < n_parts; i++)
		size += parts[i].size;
	out = g_string_sized_new(size);
	g_string_append_len(out, subscription->head->str, (gssize)subscription->head->len);
	send_block(connection, stomp_end(out, parts, n_parts));
}

void channel_server_publish(struct channel_server *server, const char *method, const char *params_json)
{
	g_autoptr(GString) head = g_string_new(NULL);
	struct stomp_part parts[3];

	jsonrpc_write_request_head(head, method, /* has_params= */ true);
	parts[0] = (struct stomp_part){ head->str, head->len };
	parts[1] = (struct stomp_part){ params_json, strlen(params_json) };
	parts[2] = (struct stomp_part){ "}", 1 };
	for (guint i = 0; i < server->connections->len; i++) {
		struct connection *connection = g_ptr_array_index(server->connections, i);

		if (connection->events)
			connection_message(connection, connection->events, parts, 3);
	}
}

/* ---- frames ---- */

static bool lists_version_1_2(const char *versions)
{
	g_auto(GStrv) list = g_strsplit(versions ? versions : "", ",", -1);

	for (char **version = list; *version; version++)
		if (!strcmp(g_strstrip(*version), "1.2"))
			return true;
	return false;
}

static void on_silence(void *data)
{
	end(data, AT_ONCE, "the client was silent longer than it promised");
}

static unsigned floor_ms(unsigned ms)
{
	return ms ? MAX(ms, BEAT_FLOOR_MS) : 0;
}

static void on_connect(struct connection *connection, const struct stomp_frame *frame)
{
	const char *host = stomp_header(frame, "host");
	unsigned they_send, they_want, silence_ms;
	char header[32];
	GString *out;

	if (!lists_version_1_2(stomp_header(frame, "accept-version"))) {
		send_error(connection, "Version unsupported");
		return;
	}
	(void)beats_parse(stomp_header(frame, "heart-beat"), &they_send, &they_want);
	they_send = floor_ms(they_send);
	they_want = floor_ms(they_want);
	if (host && !strcmp(host, "null"))
		stream_set_pace(connection->stream, CHANNEL_JAVA_PACE_USEC);
	out = stomp_begin("CONNECTED");
	stomp_add(out, "version", "1.2");
	g_snprintf(header, sizeof(header), "%u,%u", they_want, they_send);
	stomp_add_plain(out, "heart-beat", header);
	send_block(connection, stomp_end(out, /* parts= */ NULL, 0));
	silence_ms = they_send ? they_send + MAX(they_send / 20, BEAT_MARGIN_MS) : 0;
	connection->beats = beats_free(connection->beats);
	if (connection->mode == MODE_STOMP)
		connection->beats = beats_new(connection->stream, connection->inbox, they_want * (int64_t)1000, silence_ms * (int64_t)1000, on_silence,
					      connection);
}

struct subscription *connection_subscription(const struct connection *connection, const char *destination)
{
	for (guint i = 0; connection->subscriptions && i < connection->subscriptions->len; i++) {
		struct subscription *subscription = g_ptr_array_index(connection->subscriptions, i);

		if (!strcmp(subscription->destination, destination))
			return subscription;
	}
	return NULL;
}

static bool find_id(const struct connection *connection, const char *id, guint *ret_index)
{
	for (guint i = 0; connection->subscriptions && i < connection->subscriptions->len; i++)
		if (!strcmp(((struct subscription *)g_ptr_array_index(connection->subscriptions, i))->id, id)) {
			*ret_index = i;
			return true;
		}
	return false;
}

static void on_subscribe(struct connection *connection, const struct stomp_frame *frame)
{
	const char *id = stomp_header(frame, "id"), *destination = stomp_header(frame, "destination");
	struct subscription *subscription;
	GString *head;
	guint index;

	if (!id || !*id || !destination || !*destination) {
		send_error(connection, "Missing destination or subscription id header");
		return;
	}
	if (find_id(connection, id, &index)) {
		send_error(connection, "Subscription id already exists");
		return;
	}
	if (connection->subscriptions && connection->subscriptions->len >= SUBSCRIPTIONS_MAX) {
		send_error(connection, "Too many subscriptions");
		return;
	}
	head = stomp_begin("MESSAGE");
	stomp_add(head, "destination", destination);
	stomp_add(head, "content-type", "application/json");
	stomp_add(head, "subscription", id);
	if (head->len > HEAD_MAX) {
		g_string_free(head, TRUE);
		send_error(connection, "Destination or subscription id is too long");
		return;
	}
	subscription = g_new(struct subscription, 1);
	*subscription = (struct subscription){ .id = g_strdup(id), .destination = g_strdup(destination), .head = head };
	if (!connection->subscriptions)
		connection->subscriptions = g_ptr_array_new_with_free_func(subscription_free);
	g_ptr_array_add(connection->subscriptions, subscription);
	connection->events = connection_subscription(connection, connection->server->settings.event_queue);
	send_receipt(connection, stomp_header(frame, "receipt"));
}

static void on_unsubscribe(struct connection *connection, const struct stomp_frame *frame)
{
	const char *id = stomp_header(frame, "id");
	guint index;

	if (!id || !*id) {
		send_error(connection, "Missing id header");
		return;
	}
	if (find_id(connection, id, &index)) {
		g_ptr_array_remove_index(connection->subscriptions, index);
		connection->events = connection_subscription(connection, connection->server->settings.event_queue);
	}
	send_receipt(connection, stomp_header(frame, "receipt"));
}

/* A request queue, or something below it: "<queue>.<anything>". */
static bool is_request_queue(const struct channel_server *server, const char *destination)
{
	for (char **queue = server->settings.request_queues; *queue; queue++) {
		size_t n = strlen(*queue);

		if (!strncmp(destination, *queue, n) && (!destination[n] || destination[n] == '.'))
			return true;
	}
	return false;
}

/* Takes over json. */
static void on_send(struct connection *connection, const struct stomp_frame *frame, json_t *json)
{
	const char *destination = stomp_header(frame, "destination");

	if (!destination || !is_request_queue(connection->server, destination)) {
		inbox_discard(json, frame->body_size);
		send_error(connection, "Subscription not available");
		return;
	}
	calls_accept(connection, frame, json);
	if (connection->mode == MODE_STOMP)
		send_receipt(connection, stomp_header(frame, "receipt"));
}

static void on_disconnect(struct connection *connection, const struct stomp_frame *frame)
{
	const char *receipt = stomp_header(frame, "receipt");

	if (!receipt) {
		end(connection, WHEN_SENT, "DISCONNECT");
		return;
	}
	send_receipt(connection, receipt);
	if (connection->mode != MODE_STOMP)
		return;
	/* The client closes; it has LEAVE_USEC for that. */
	leave(connection);
	timer_set(connection->timer, LEAVE_USEC);
}

static void on_frame(const struct stomp_frame *frame, json_t *json, void *data)
{
	struct connection *connection = data;

	connection->refs++;
	if (connection->mode != MODE_STOMP) {
		inbox_discard(json, frame->body_size);
	} else if (!strcmp(frame->command, "SEND")) {
		on_send(connection, frame, json);
	} else if (!strcmp(frame->command, "CONNECT") || !strcmp(frame->command, "STOMP")) {
		on_connect(connection, frame);
	} else if (!strcmp(frame->command, "SUBSCRIBE")) {
		on_subscribe(connection, frame);
	} else if (!strcmp(frame->command, "UNSUBSCRIBE")) {
		on_unsubscribe(connection, frame);
	} else if (!strcmp(frame->command, "DISCONNECT")) {
		on_disconnect(connection, frame);
	} else {
		end(connection, WHEN_SENT, "a frame that no client sends");
	}
	connection_unref(connection);
}

static void on_broken(enum stomp_result result, const char *reason, void *data)
{
	struct connection *connection = data;

	if (connection->mode != MODE_STOMP)
		return;
	if (result != STOMP_TOO_LARGE) {
		end(connection, WHEN_SENT, reason);
		return;
	}
	send_error(connection, reason);
	if (connection->mode != MODE_STOMP)
		return;
	leave(connection);
	timer_set(connection->timer, LEAVE_QUIET_USEC);
}

/* ---- HTTP ---- */

static void respond(struct connection *connection, const char *status, const char *type, const char *body)
{
	GString *out;

	if (connection->mode != MODE_HTTP)
		return;
	out = g_string_new(NULL);
	g_string_append_printf(out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status, type, strlen(body));
	g_string_append(out, body);
	send_block(connection, g_string_free_to_bytes(out));
	end(connection, WHEN_SENT, status);
}

static void on_http(struct connection *connection)
{
	const struct channel_server_settings *settings = &connection->server->settings;
	const char *head, *line_end, *type = "text/plain";
	g_autofree char *body = NULL;
	g_auto(GStrv) words = NULL;
	g_autofree char *line = NULL;

	if (connection->first->len > CHANNEL_HEADER_MAX) {
		respond(connection, "431 Request Header Fields Too Large", "text/plain", "Request header fields are too large\n");
		return;
	}
	head = (const char *)connection->first->data;
	if (!memmem(head, connection->first->len, "\r\n\r\n", 4) && !memmem(head, connection->first->len, "\n\n", 2))
		return;
	line_end = memchr(head, '\n', connection->first->len);
	line = g_strchomp(g_strndup(head, (gsize)(line_end - head)));
	words = g_strsplit(line, " ", -1);
	if (g_strv_length(words) != 3 || !g_str_has_prefix(words[2], "HTTP/1.")) {
		respond(connection, "400 Bad Request", type, "Bad request\n");
		return;
	}
	if (strcmp(words[0], "GET")) {
		respond(connection, "501 Not Implemented", type, "Not implemented\n");
		return;
	}
	words[1][strcspn(words[1], "?")] = '\0';
	g_assert(settings->http_get);           /* else detect() knows no HTTP */
	body = settings->http_get(words[1], &type, settings->data);
	if (body)
		respond(connection, "200 OK", type, body);
	else
		respond(connection, "404 Not Found", "text/plain", "Not found\n");
}

/* ---- input ---- */

enum detected { NOT_YET, IS_STOMP, IS_HTTP, IS_NOTHING };

/* Longer names that start with a shorter one (CONNECTED) need no row. */
static enum detected detect(const uint8_t *bytes, size_t n, bool http)
{
	static const struct { const char *start; enum detected is; } rows[] = {
		{ "CONNECT", IS_STOMP }, { "STOMP", IS_STOMP }, { "SUBSCRIBE", IS_STOMP }, { "UNSUBSCRIBE", IS_STOMP }, { "SEND", IS_STOMP },
		{ "DISCONNECT", IS_STOMP }, { "ERROR", IS_STOMP }, { "MESSAGE", IS_STOMP }, { "RECEIPT", IS_STOMP }, { "GET /", IS_HTTP }, { "PUT /", IS_HTTP },
	};
	enum detected best = IS_NOTHING;

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		size_t length = strlen(rows[i].start);

		if ((rows[i].is == IS_HTTP && !http) || memcmp(bytes, rows[i].start, MIN(n, length)))
			continue;
		if (n >= length)
			return rows[i].is;
		best = NOT_YET;
	}
	return best;
}

static const struct inbox_events inbox_events = { .frame = on_frame, .broken = on_broken };

static void on_first(struct connection *connection, const uint8_t *bytes, size_t n)
{
	enum detected detected;

	if (!connection->first)
		connection->first = g_byte_array_new();
	g_byte_array_append(connection->first, bytes, (guint)n);
	detected = detect(connection->first->data, connection->first->len, connection->server->settings.http_get != NULL);
	if (detected == IS_NOTHING)
		end(connection, WHEN_SENT, "the first bytes are of no protocol we speak");
	if (detected == IS_HTTP) {
		connection->mode = MODE_HTTP;
		on_http(connection);
	}
	if (detected == IS_STOMP) {
		g_autoptr(GByteArray) first = g_steal_pointer(&connection->first);

		connection->mode = MODE_STOMP;
		connection->timer = timer_free(connection->timer);
		connection->inbox = inbox_new(connection->stream, "SEND", &inbox_events, connection);
		inbox_feed(connection->inbox, first->data, first->len);
	}
}

static void on_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	struct connection *connection = data;

	connection->refs++;
	switch (connection->mode) {
	case MODE_DETECT:
		on_first(connection, bytes, n);
		break;
	case MODE_STOMP:
		inbox_feed(connection->inbox, bytes, n);
		break;
	case MODE_HTTP:
		g_byte_array_append(connection->first, bytes, (guint)n);
		on_http(connection);
		break;
	case MODE_LEAVING:
		timer_set(connection->timer, MIN(LEAVE_QUIET_USEC, connection->leave_usec - now_usec()));
		break;
	case MODE_CLOSED:
		break;
	}
	connection_unref(connection);
}

static void on_ready(struct stream *stream, void *data)
{
	struct connection *connection = data;

	connection->local = g_strdup(stream_local_address(stream));
	connection->fingerprint = stream_ssl(stream) ? tls_peer_fingerprint(stream_ssl(stream)) : NULL;
	if (!connection->fingerprint)
		connection->fingerprint = g_strdup("");
	connection->timer = timer_new(stream_loop(stream), on_timer, connection);
	timer_set(connection->timer, connection->server->settings.detect_usec);
}

static const struct stream_events connection_events = { .ready = on_ready, .input = on_input, .closed = on_closed };

static void on_accepted(struct stream *stream, void *data)
{
	struct channel_server *server = data;
	struct connection *connection = g_new0(struct connection, 1);

	connection->refs = 1;
	connection->server = server;
	connection->stream = stream;
	connection->peer = g_strdup(stream_peer(stream));
	connection->index = server->connections->len;
	g_ptr_array_add(server->connections, connection);
	stream_set_events(stream, &connection_events, connection);
}

/* ---- the server ---- */

static bool is_loopback(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, address, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
	return false;
}

struct channel_server *channel_server_new(const struct channel_server_settings *settings, GError **error)
{
	static char *default_queues[] = { (char *)DESTINATION_REQUESTS, (char *)DESTINATION_IRS_REQUESTS, NULL };
	struct channel_server *server;
	struct listener_settings listener;

	if (!settings->tls && !is_loopback(settings->address)) {
		error_set(error, ERR_CONFIG_INVALID, "address '%s': without TLS the agent listens on loopback addresses only", settings->address);
		return NULL;
	}
	server = g_new0(struct channel_server, 1);
	server->settings = *settings;
	server->settings.address = NULL;
	server->settings.request_queues = g_strdupv(settings->request_queues ? settings->request_queues : default_queues);
	server->settings.event_queue = g_strdup(settings->event_queue ? settings->event_queue : DESTINATION_EVENTS);
	if (!server->settings.detect_usec)
		server->settings.detect_usec = DEFAULT_USEC;
	server->connections = g_ptr_array_new();
	server->requests = metric_counter("berth_channel_requests_total", /* labels= */ NULL, "Requests taken from clients of the agent channel");
	server->dropped = metric_counter("berth_channel_answers_dropped_total", /* labels= */ NULL,
					 "Answers nobody could get: no reply-to, or no subscription to it");
	server->slow = metric_counter("berth_channel_clients_dropped_total", /* labels= */ NULL, "Clients dropped because they did not read");
	listener = (struct listener_settings){
		.address = settings->address,
		.port = settings->port,
		.tls = settings->tls,
		.max_connections = settings->max_connections ? settings->max_connections : DEFAULT_CONNECTIONS,
		.max_handshakes = settings->max_handshakes ? settings->max_handshakes : DEFAULT_HANDSHAKES,
		.handshake_usec = settings->handshake_usec ? settings->handshake_usec : DEFAULT_USEC,
		.max_queue = CHANNEL_QUEUE_MAX,
		.accepted = on_accepted,
		.data = server,
	};
	server->listener = listener_new(settings->loop, &listener, error);
	return server->listener ? server : channel_server_free(server);
}

struct channel_server *channel_server_free(struct channel_server *server)
{
	if (!server)
		return NULL;
	server->listener = listener_free(server->listener);
	while (server->connections->len) {
		struct connection *connection = g_ptr_array_index(server->connections, server->connections->len - 1);

		inbox_hang_up(connection->stream);
		forget(connection);
	}
	g_ptr_array_unref(server->connections);
	g_strfreev(server->settings.request_queues);
	g_free((char *)server->settings.event_queue);
	g_free(server);
	return NULL;
}

uint16_t channel_server_port(const struct channel_server *server)
{
	return listener_port(server->listener);
}

unsigned channel_server_connections(const struct channel_server *server)
{
	return server->connections->len;
}
