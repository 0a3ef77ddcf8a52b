/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP connection.
 *
 * Requests of a connection are served strictly one after the other, so that answers come in order and a pipelined GET sees what the POST before it
 * did. While one is served, what the client sends ahead is kept (at most HTTP_PIPELINE_BYTES, then reading stops).
 *
 * A request is handed to serve() when it is complete. Some clients announce a body of a GET or HEAD and never send it: theirs is waited for for
 * UNSENT_USEC, then the request is served without it and the connection ends with the answer, for what comes next on it could be the body or another
 * request. (Not answered before: libsoup 3, of libgovirt, does not send the body any more once it sees the answer, and goes on with its next request.)
 * Such a body is thrown away.
 *
 * The parser is paused where a message is complete (the parser's own pause), the rest of the input waits in `rest`:
 *
 *	HEADERS --headers complete--> BODY --message complete--> SERVING --answer sent--> HEADERS
 *	                                `-- UNSENT_USEC, GET or HEAD --> SERVING --answer sent--> end
 *
 * Clocks (one timer, armed for the nearest): first byte of a request to the end of its headers, header_usec in all, so that a client that trickles
 * ends; silence within a body, body_usec, and BODY_TOTAL_USEC for the whole of it; silence between requests, idle_usec; a peer that takes nothing of
 * an answer for body_usec. While a request is served no clock runs: the API bounds its own work.
 *
 * Clients that open connections only to have them, or send or read slowly on purpose, must not keep others out nor use up the memory:
 *
 *	all connections are in use     a newcomer takes the place of the one that waits for its client for longest; those that never sent a whole request go first
 *	bodies and unread answers      beyond max_held bytes in all the body begun first, and the answer that nothing was taken of for longest, end with their
 *	                               connections; when all of them are new a body that grows beyond HTTP_SMALL_BYTES is refused (503)
 *
 * Refused with an answer and the end of the connection: what http_parser refuses (400, both Content-Length and Transfer-Encoding among it), folded
 * header lines (400: two readers may read them differently, and a credential broken over lines must not pass), headers beyond HTTP_HEADER_BYTES (431),
 * bodies beyond HTTP_BODY_BYTES (413), HTTP versions other than 1.x (505). After such an answer input is thrown away for LINGER_USEC, because closing
 * a socket with unread input makes the kernel destroy the answer on its way.
 */
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"
#include "engine/http/http-priv.h"

#define LOG_MODULE "http"
#define LINGER_USEC (2 * G_USEC_PER_SEC)
#define UNSENT_USEC (200 * 1000)
#define BODY_TOTAL_USEC (600 * (int64_t)G_USEC_PER_SEC)
#define JOIN_BYTES (16 * 1024)                  /* smaller answers travel with their head in one block */
#define AHEAD_BYTES (1024 * 1024)               /* next request is served when at most this much of the last answer is left */

struct connection {
	struct http_server *server;
	struct connection *next, *previous;
	struct stream *stream;
	http_parser parser;
	struct timer *timer;
	int64_t timer_at;                       /* when the timer will fire; 0: not armed */
	int64_t header_start, body_start;       /* 0: not within */
	int64_t idle_since;
	struct exchange *incoming;              /* being parsed */
	struct exchange *serving;
	GByteArray *rest;                       /* read but not parsed; NULL: nothing */
	const uint8_t *chunk;                   /* what the parser is fed now */
	GArray *offsets;                        /* of names and values within incoming->text */
	char *peer;
	int refuse;                             /* status to refuse with, found inside the parser */
	bool in_value, paused, closing, lingering, work;
	bool loopback;
	unsigned n_requests;
};

static void connection_work(struct connection *connection);
static void serve(struct connection *connection);

struct connection *connection_next(struct connection *connection)
{
	return connection->next;
}

/* ---- clocks ---- */

/* A body that means nothing. */
static bool has_idle_body(const struct connection *connection)
{
	return connection->parser.method == HTTP_GET || connection->parser.method == HTTP_HEAD;
}

static bool waits_for_idle_body(const struct connection *connection)
{
	return connection->body_start && has_idle_body(connection) && !connection->serving && !connection->lingering && !stream_queued(connection->stream);
}

static int64_t deadline(const struct connection *connection)
{
	const struct http_settings *settings = &connection->server->settings;
	int64_t at = 0;
	size_t queued = stream_queued(connection->stream);

	if (queued > 0)
		at = stream_last_output(connection->stream) + settings->body_usec;
	else if (connection->lingering)
		at = connection->idle_since + LINGER_USEC;
	else if (connection->serving)
		at = 0;
	else if (connection->header_start)
		at = connection->header_start + settings->header_usec;
	else if (waits_for_idle_body(connection))
		at = connection->body_start + UNSENT_USEC;
	else if (connection->body_start)
		at = MIN(connection->body_start + BODY_TOTAL_USEC, MAX(stream_last_input(connection->stream), connection->idle_since) + settings->body_usec);
	else
		at = connection->idle_since + settings->idle_usec;
	return at;
}

/* The timer is only moved forward to an earlier time; when it fires too early it is set again. Keeps timers out of the cost of a request. */
static void arm(struct connection *connection)
{
	int64_t at = deadline(connection);
	if (at == 0 || (connection->timer_at != 0 && connection->timer_at <= at))
		return;
	connection->timer_at = at;
	timer_set(connection->timer, MAX(at - now_usec(), 1000));
}

static void tick(void *data)
{
	struct connection *connection = data;
	connection->timer_at = 0;
	int64_t at = deadline(connection);
	if (at == 0)
		return;
	if (now_usec() < at) {
		arm(connection);
		return;
	}
	if (waits_for_idle_body(connection)) {
		connection->body_start = 0;
		connection->incoming->keep_alive = false;
		serve(connection);
		return;
	}
	log_debug("%s: time is over (%s)", connection->peer, connection->header_start ? "headers" : connection->body_start ? "body" : "idle");
	stream_abort(connection->stream);
	connection->closing = true;
}

/* ---- room for others ---- */

static void displace(struct connection *connection, const char *why)
{
	log_debug("%s: ended: %s", connection->peer, why);
	stream_abort(connection->stream);
	connection->closing = true;
	connection->lingering = false;
}

/* Does its client still cost anything? */
static bool is_gone(const struct connection *connection)
{
	return connection->closing && !connection->lingering;
}

/* Since when it waits for its client. */
static int64_t waits_since(const struct connection *connection)
{
	return connection->header_start ? connection->header_start : connection->body_start ? connection->body_start : connection->idle_since;
}

bool connection_displace(struct http_server *server)
{
	int64_t latest = now_usec() - HTTP_GRACE_USEC;
	struct connection *worst = NULL;

	for (struct connection *c = server->connections; c; c = c->next) {
		if (c->closing || c->serving || waits_since(c) > latest)
			continue;
		if (!worst || !c->n_requests > !worst->n_requests || (!c->n_requests == !worst->n_requests && waits_since(c) < waits_since(worst)))
			worst = c;
	}
	if (worst)
		displace(worst, "others want its place");
	return worst != NULL;
}

static size_t body_of(const struct exchange *exchange)
{
	return exchange && exchange->body ? exchange->body->len : 0;
}

static size_t held_by(const struct connection *connection)
{
	return stream_queued(connection->stream) + body_of(connection->incoming) + body_of(connection->serving);
}

/* Of what it holds: when the body was begun, when some of the answer was taken. */
static int64_t holds_since(const struct connection *connection)
{
	return stream_queued(connection->stream) ? stream_last_output(connection->stream) : connection->body_start;
}

/* May it hold `more`? Makes room if it must. */
static bool may_hold(const struct connection *connection, size_t more)
{
	const struct http_server *server = connection->server;
	int64_t latest = now_usec() - HTTP_GRACE_USEC;
	size_t sum = more;

	if (held_by(connection) + more <= HTTP_SMALL_BYTES)
		return true;
	for (const struct connection *c = server->connections; c; c = c->next)
		sum += is_gone(c) ? 0 : held_by(c);
	while (sum > server->settings.max_held) {
		struct connection *worst = NULL;

		for (struct connection *c = server->connections; c; c = c->next)
			if (c != connection && !is_gone(c) && !c->serving && held_by(c) > HTTP_SMALL_BYTES && holds_since(c) <= latest &&
			    (!worst || holds_since(c) < holds_since(worst)))
				worst = c;
		if (!worst)
			return false;
		sum -= held_by(worst);
		displace(worst, "others want its memory");
	}
	return true;
}

/* ---- answers ---- */

static const char *status_phrase(int status)
{
	switch (status) {
#define XX(num, name, string) case num: return #string;
	HTTP_STATUS_MAP(XX)
#undef XX
	default: return "Unknown";
	}
}

static void send_answer(struct connection *connection, struct exchange *exchange)
{
	GString *body = exchange->answer;
	bool head_only = strcmp(exchange->method, "HEAD") == 0;
	bool empty = exchange->status == 204 || exchange->status == 304;
	size_t length = body && !empty ? body->len : 0;
	bool join = body && !head_only && length <= JOIN_BYTES;
	GString *out = g_string_sized_new(512 + (join ? length : 0));

	g_string_append(out, "HTTP/1.1 ");
	char digits[24];
	g_snprintf(digits, sizeof(digits), "%d ", exchange->status);
	g_string_append(out, digits);
	g_string_append(out, exchange->reason ? exchange->reason : status_phrase(exchange->status));
	g_string_append(out, "\r\nDate: ");
	g_string_append(out, http_server_date(connection->server));
	g_string_append(out, "\r\nServer: Berth\r\n");
	if (exchange->content_type && !empty) {
		g_string_append(out, "Content-Type: ");
		g_string_append(out, exchange->content_type);
		g_string_append(out, "\r\n");
	}
	if (!empty) {
		g_snprintf(digits, sizeof(digits), "%zu", length);
		g_string_append(out, "Content-Length: ");
		g_string_append(out, digits);
		g_string_append(out, "\r\n");
	}
	if (exchange->extra)
		g_string_append_len(out, exchange->extra->str, (gssize)exchange->extra->len);
	if (!exchange->keep_alive)
		g_string_append(out, "Connection: close\r\n");
	else if (connection->parser.http_minor == 0)
		g_string_append(out, "Connection: keep-alive\r\n");
	g_string_append(out, "\r\n");
	if (join)
		g_string_append_len(out, body->str, (gssize)length);
	if (!join)
		(void)may_hold(connection, length);      /* it is there: others make room, or it is more for once */
	bool sent = stream_send(connection->stream, g_string_free_to_bytes(out));
	if (sent && body && !head_only && !join && length > 0) {
		exchange->answer = NULL;
		sent = stream_send(connection->stream, g_string_free_to_bytes(body));
	}
	if (!sent)
		stream_abort(connection->stream);
}

static void end_after_answer(struct connection *connection)
{
	connection->idle_since = now_usec();
	connection->closing = true;
	connection->lingering = true;
	if (connection->rest)
		g_byte_array_set_size(connection->rest, 0);
	stream_pause(connection->stream, false);
	arm(connection);
}

/* Refuses what could not be read as a request; plain text, because the client's wishes are not known. */
static void refuse(struct connection *connection, int status, const char *why)
{
	struct exchange *exchange = exchange_new();
	exchange->method = "GET";
	GString *body = g_string_new(NULL);
	g_string_printf(body,
			"<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
			"<fault>\n    <reason>%s</reason>\n    <detail>%s</detail>\n</fault>\n",
			status_phrase(status), why);
	exchange_answer(exchange, status, "application/xml", body);
	send_answer(connection, exchange);
	exchange_free(exchange);
	connection->incoming = exchange_free(connection->incoming);
	connection->header_start = connection->body_start = 0;
	end_after_answer(connection);
}

static void finished(struct exchange *exchange)
{
	struct connection *connection = exchange->connection;
	if (!connection) {
		exchange_free(exchange);
		return;
	}
	g_assert(connection->serving == exchange);
	connection->serving = NULL;
	connection->idle_since = now_usec();
	if (connection->server->draining)
		exchange->keep_alive = false;
	if (!connection->closing) {
		send_answer(connection, exchange);
		if (!exchange->keep_alive)
			end_after_answer(connection);
	}
	exchange_free(exchange);
	if (!connection->work)
		connection_work(connection);
}

static void serve(struct connection *connection)
{
	struct exchange *exchange = g_steal_pointer(&connection->incoming);
	connection->serving = exchange;
	connection->n_requests++;
	exchange->connection = connection;
	exchange->finish = finished;
	connection->server->settings.serve(exchange, connection->server->settings.data);
}

/* ---- parser ---- */

static int on_message_begin(http_parser *parser)
{
	struct connection *connection = parser->data;
	exchange_free(connection->incoming);
	connection->incoming = exchange_new();
	connection->incoming->text = g_string_sized_new(512);
	g_array_set_size(connection->offsets, 0);
	connection->header_start = now_usec();
	connection->body_start = 0;
	connection->in_value = false;
	return 0;
}

static int on_url(http_parser *parser, const char *at, size_t n)
{
	struct connection *connection = parser->data;
	/* the target stands first in text until the headers begin */
	g_string_append_len(connection->incoming->text, at, (gssize)n);
	return 0;
}

static void end_of_target(struct connection *connection)
{
	struct exchange *exchange = connection->incoming;
	if (exchange->target)
		return;
	exchange->target = g_strndup(exchange->text->str, exchange->text->len);
	g_string_truncate(exchange->text, 0);
}

static int on_field(http_parser *parser, const char *at, size_t n)
{
	struct connection *connection = parser->data;
	if (!connection->incoming || connection->incoming->headers)
		return 0;                       /* trailer of a chunked body */
	GString *text = connection->incoming->text;
	end_of_target(connection);
	if (connection->in_value || connection->offsets->len == 0) {
		if (connection->offsets->len > 0)
			g_string_append_c(text, '\0');
		size_t offset = text->len;
		g_array_append_val(connection->offsets, offset);
		connection->in_value = false;
	}
	g_string_append_len(text, at, (gssize)n);
	return 0;
}

static int on_value(http_parser *parser, const char *at, size_t n)
{
	struct connection *connection = parser->data;
	if (!connection->incoming || connection->incoming->headers)
		return 0;
	GString *text = connection->incoming->text;
	if (!connection->in_value) {
		g_string_append_c(text, '\0');
		size_t offset = text->len;
		g_array_append_val(connection->offsets, offset);
		connection->in_value = true;
	} else if ((const uint8_t *)at != connection->chunk) {
		/* A second piece that does not begin where the input does: a folded line. */
		connection->refuse = 400;
		return 1;
	}
	g_string_append_len(text, at, (gssize)n);
	return 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct connection *connection = parser->data;
	struct exchange *exchange = connection->incoming;

	end_of_target(connection);
	g_string_append_c(exchange->text, '\0');
	exchange->n_headers = connection->offsets->len / 2;
	exchange->headers = g_new(struct exchange_header, exchange->n_headers + 1);
	for (size_t i = 0; i < exchange->n_headers; i++) {
		exchange->headers[i].name = exchange->text->str + g_array_index(connection->offsets, size_t, 2 * i);
		char *value = exchange->text->str + g_array_index(connection->offsets, size_t, 2 * i + 1);
		exchange->headers[i].value = g_strchomp(value);
	}
	exchange->method = http_method_str((enum http_method)parser->method);
	exchange->secure = connection->server->settings.tls != NULL;
	exchange->keep_alive = http_should_keep_alive(parser) != 0;
	exchange->peer = g_strdup(connection->peer);
	exchange->loopback = connection->loopback;
	const char *host = exchange_header(exchange, "Host");
	exchange->local = g_strdup(host ? host : stream_local_address(connection->stream));
	connection->header_start = 0;
	connection->body_start = now_usec();

	if (parser->http_major != 1) {
		connection->refuse = 505;
		return -1;
	}
	parser->upgrade = 0;                    /* no other protocol is offered; the request is an ordinary one */
	bool chunked = (parser->flags & F_CHUNKED) != 0;
	bool body = chunked || (parser->content_length > 0 && parser->content_length != UINT64_MAX);
	if (!body)
		return 0;
	if (parser->content_length != UINT64_MAX && parser->content_length > HTTP_BODY_BYTES) {
		connection->refuse = 413;
		return -1;
	}
	if (parser->http_minor >= 1 && exchange_has_token(exchange, "Expect", "100-continue", NULL)) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
		(void)stream_send_copy(connection->stream, go_on, sizeof(go_on) - 1);
	}
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t n)
{
	struct connection *connection = parser->data;
	struct exchange *exchange = connection->incoming;
	if (has_idle_body(connection))
		return 0;
	if (!exchange->body)
		exchange->body = g_string_sized_new(parser->content_length != UINT64_MAX ? MIN(parser->content_length + n + 1, 65536) : 1024);
	if (exchange->body->len + n > HTTP_BODY_BYTES || !may_hold(connection, n)) {
		connection->refuse = exchange->body->len + n > HTTP_BODY_BYTES ? 413 : 503;
		return 1;
	}
	g_string_append_len(exchange->body, at, (gssize)n);
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct connection *connection = parser->data;
	connection->body_start = 0;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings callbacks = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* Parses up to the next point to act at; returns how many bytes were used. */
static size_t parse(struct connection *connection, const uint8_t *bytes, size_t n)
{
	connection->chunk = bytes;
	size_t used = http_parser_execute(&connection->parser, &callbacks, (const char *)bytes, n);
	enum http_errno problem = HTTP_PARSER_ERRNO(&connection->parser);
	if (problem == HPE_OK)
		return used;
	if (problem == HPE_PAUSED) {
		http_parser_pause(&connection->parser, 0);
		if (connection->incoming)
			serve(connection);
		return used;
	}
	int status = connection->refuse ? connection->refuse : problem == HPE_HEADER_OVERFLOW ? 431 : problem == HPE_INVALID_VERSION ? 505 : 400;
	log_debug("%s: refused: %s", connection->peer, http_errno_description(problem));
	refuse(connection, status, status == 413 ? "The body is larger than 16 MiB"
				   : status == 503 ? "Too many large bodies are being sent"
				   : status == 431 ? "The headers are larger than 32 KiB"
						   : connection->refuse == 400 ? "A header is folded over several lines" : http_errno_description(problem));
	return n;
}

static void pause_input(struct connection *connection, bool paused)
{
	if (connection->paused == paused)
		return;
	connection->paused = paused;
	stream_pause(connection->stream, paused);
}

/* Parses and serves as much as there is and may be. Not entered twice: a request served at once comes back through finished(). */
static void connection_work(struct connection *connection)
{
	connection->work = true;
	while (!connection->closing && !connection->serving && connection->rest && connection->rest->len > 0 &&
	       stream_queued(connection->stream) <= AHEAD_BYTES) {
		GByteArray *rest = g_steal_pointer(&connection->rest);
		size_t used = 0;
		while (used < rest->len && !connection->closing && !connection->serving && stream_queued(connection->stream) <= AHEAD_BYTES)
			used += parse(connection, rest->data + used, rest->len - used);
		if (used < rest->len && !connection->closing) {
			g_byte_array_remove_range(rest, 0, (guint)used);
			connection->rest = rest;
		} else {
			g_byte_array_unref(rest);
		}
	}
	connection->work = false;
	if (!connection->closing)
		pause_input(connection, connection->rest && connection->rest->len > HTTP_PIPELINE_BYTES);
	arm(connection);
}

static void on_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	struct connection *connection = data;
	if (connection->closing)
		return;
	size_t used = 0;
	if (!connection->rest) {
		connection->work = true;
		while (used < n && !connection->closing && !connection->serving && stream_queued(stream) <= AHEAD_BYTES)
			used += parse(connection, bytes + used, n - used);
		connection->work = false;
	}
	if (connection->closing)
		return;
	if (used < n) {
		if (!connection->rest)
			connection->rest = g_byte_array_new();
		g_byte_array_append(connection->rest, bytes + used, (guint)(n - used));
	}
	connection_work(connection);
}

static void on_drained(struct stream *stream, void *data)
{
	struct connection *connection = data;
	connection->idle_since = now_usec();
	if (!connection->work)
		connection_work(connection);
}

static void on_ready(struct stream *stream, void *data)
{
	struct connection *connection = data;
	connection->idle_since = now_usec();
	arm(connection);
}

static void on_closed(struct stream *stream, const GError *error, void *data)
{
	struct connection *connection = data;
	struct http_server *server = connection->server;

	if (error)
		log_debug("%s: %s", connection->peer, error->message);
	if (connection->serving)
		connection->serving->connection = NULL;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	server->n_connections--;
	exchange_free(connection->incoming);
	timer_free(connection->timer);
	if (connection->rest)
		g_byte_array_unref(connection->rest);
	g_array_unref(connection->offsets);
	g_free(connection->peer);
	g_free(connection);
}

static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24) == 127;
	if (address->sa_family == AF_INET6) {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
		return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
	}
	return false;
}

void connection_new(struct http_server *server, struct stream *stream)
{
	static const struct stream_events events = { .ready = on_ready, .input = on_input, .drained = on_drained, .closed = on_closed };
	struct connection *connection = g_new0(struct connection, 1);

	connection->server = server;
	connection->stream = stream;
	connection->idle_since = now_usec();
	connection->offsets = g_array_sized_new(FALSE, FALSE, sizeof(size_t), 32);
	connection->loopback = is_loopback(stream_peer_address(stream));
	connection->peer = g_strdup(stream_peer(stream));
	char *colon = strrchr(connection->peer, ':');
	if (colon)
		*colon = '\0';
	http_parser_init(&connection->parser, HTTP_REQUEST);
	connection->parser.data = connection;
	connection->timer = timer_new(server->settings.loop, tick, connection);
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
	server->n_connections++;
	stream_set_events(stream, &events, connection);
}

/* The stream's last call would come from the loop; the server goes now. */
void connection_abort(struct connection *connection)
{
	static const struct stream_events none;
	struct stream *stream = connection->stream;
	stream_set_events(stream, &none, NULL);
	on_closed(stream, NULL, connection);
	stream_abort(stream);
}

void connection_drain(struct connection *connection)
{
	if (!connection->serving && !connection->closing) {
		connection->closing = true;
		stream_close(connection->stream);
	}
}
