/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.1 connection, blocking: its thread reads a head, then as much of the body as it wants, then writes an answer. Nothing of a body is kept.
 *
 * Waiting: each read and write ends after `patience` seconds (SO_RCVTIMEO, SO_SNDTIMEO); a head must be there within HEAD_USEC of its first byte. Whoever
 * shuts the socket down ends every wait.
 *
 * A body that was not read when the answer is written (an error): up to DRAIN_MAX bytes are read and thrown away, so that the next request is found;
 * else the connection ends, after a while in which input is thrown away, because closing a socket with unread input destroys the answer on its way.
 * "Expect: 100-continue" is answered when the body is first read, so that a client whose upload is refused does not send it.
 *
 * Bodies without Content-Length are refused with 400 as ovirt-imageio does; a head beyond HTTP_HEAD_MAX with 431, what http_parser refuses with 400.
 */
#define LOG_MODULE "transfer"
#include "agent/storage/transfer/http.h"
#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "common/log.h"
#include "common/loop.h"
#include "common/tls.h"

#define PATIENCE_S 60
#define HEAD_USEC (30 * G_USEC_PER_SEC)
#define DRAIN_MAX (1024 * 1024)
#define LINGER_USEC (2 * G_USEC_PER_SEC)
#define HEADERS_MAX 100
#define TLS_READ_BYTES (256 * 1024)

struct http {
	int fd;
	SSL *ssl;
	bool ready, keep_alive, expects, answered, broken;
	bool chunked;                    /* the answer is */
	char input[HTTP_HEAD_MAX];       /* the head, and what came with it */
	size_t have, at;                 /* of input: bytes in it, bytes used */
	/* the request */
	http_parser parser;
	GString *text;                   /* names and values, each ended by NUL; target first */
	GArray *offsets;                 /* size_t: of target, name, value, name, value, ... in text */
	bool in_value;
	char *path;
	GHashTable *query;
	int64_t length, left;            /* of the body */
};

/* ---- bytes ---- */

static ssize_t receive(struct http *http, void *buffer, size_t n)
{
	ssize_t got;

	if (http->ssl) {
		int r = SSL_read(http->ssl, buffer, (int)MIN(n, (size_t)INT_MAX));

		return r > 0 ? r : SSL_get_error(http->ssl, r) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
	}
	do
		got = recv(http->fd, buffer, n, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool transmit(struct http *http, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n && !http->broken) {
		ssize_t sent = http->ssl ? SSL_write(http->ssl, at, (int)MIN(n, (size_t)INT_MAX)) : send(http->fd, at, n, MSG_NOSIGNAL);

		if (sent < 0 && !http->ssl && errno == EINTR)
			continue;
		if (sent <= 0) {
			http->broken = true;
			break;
		}
		at += sent;
		n -= (size_t)sent;
	}
	return !http->broken;
}

void http_set_patience(struct http *http, int seconds)
{
	struct timeval time = { .tv_sec = seconds };

	(void)setsockopt(http->fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	(void)setsockopt(http->fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

/* ---- heads ---- */

static void begin_text(struct http *http)
{
	size_t offset = http->text->len;

	g_array_append_val(http->offsets, offset);
}

static int on_url(http_parser *parser, const char *at, size_t n)
{
	struct http *http = parser->data;

	g_string_append_len(http->text, at, (gssize)n);
	return 0;
}

static int on_field(http_parser *parser, const char *at, size_t n)
{
	struct http *http = parser->data;

	if (http->in_value || http->offsets->len == 1) {
		g_string_append_c(http->text, '\0');
		begin_text(http);
		http->in_value = false;
	}
	g_string_append_len(http->text, at, (gssize)n);
	return http->offsets->len > 2 * HEADERS_MAX;
}

static int on_value(http_parser *parser, const char *at, size_t n)
{
	struct http *http = parser->data;

	/* the head comes in one piece: a second one is a folded line, which two readers may read differently */
	if (http->in_value)
		return 1;
	g_string_append_c(http->text, '\0');
	begin_text(http);
	http->in_value = true;
	g_string_append_len(http->text, at, (gssize)n);
	return 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct http *http = parser->data;

	http->keep_alive = http_should_keep_alive(parser);
	return 0;
}

static const char *text_at(const struct http *http, guint i)
{
	return http->text->str + g_array_index(http->offsets, size_t, i);
}

const char *http_header(const struct http *http, const char *name)
{
	for (guint i = 1; i + 1 < http->offsets->len; i += 2)
		if (!g_ascii_strcasecmp(text_at(http, i), name))
			return text_at(http, i + 1);
	return NULL;
}

/* Fills in to the end of the head; its length, 0: there is none, -1: it is too long or too slow. */
static ssize_t fill_head(struct http *http)
{
	int64_t limit = 0;

	memmove(http->input, http->input + http->at, http->have - http->at);
	http->have -= http->at;
	http->at = 0;
	for (;;) {
		const char *end = memmem(http->input, http->have, "\r\n\r\n", 4);
		ssize_t got;

		if (end)
			return end + 4 - http->input;
		if (http->have == sizeof(http->input) || (limit && now_usec() > limit))
			return -1;
		if ((got = receive(http, http->input + http->have, sizeof(http->input) - http->have)) <= 0)
			return 0;
		http->have += (size_t)got;
		if (!limit)
			limit = now_usec() + HEAD_USEC;
	}
}

static bool parse_target(struct http *http)
{
	const char *target = text_at(http, 0), *query = strchr(target, '?');
	g_auto(GStrv) pairs = g_strsplit(query ? query + 1 : "", "&", -1);

	g_free(http->path);
	http->path = g_uri_unescape_segment(target, query, NULL);
	g_hash_table_remove_all(http->query);
	for (char **pair = pairs; *pair; pair++) {
		char *equals = strchr(*pair, '=');
		char *name = g_uri_unescape_segment(*pair, equals, NULL), *value = g_uri_unescape_string(equals ? equals + 1 : "", NULL);

		if (name && value)
			g_hash_table_replace(http->query, name, value);
		else {
			g_free(name);
			g_free(value);
		}
	}
	return http->path;
}

static bool refuse(struct http *http, int status, const char *why)
{
	http_close_after(http);
	(void)http_answer(http, status, NULL, "text/plain", why, strlen(why));
	return false;
}

static bool parse_head(struct http *http, size_t length)
{
	static const http_parser_settings callbacks = {
		.on_url = on_url, .on_header_field = on_field, .on_header_value = on_value, .on_headers_complete = on_headers_complete,
	};
	const char *expect, *text;
	guint64 body = 0;

	g_string_truncate(http->text, 0);
	g_array_set_size(http->offsets, 0);
	begin_text(http);
	http->in_value = http->answered = http->chunked = false;
	http->keep_alive = false;
	http->left = 0;
	http_parser_init(&http->parser, HTTP_REQUEST);
	http->parser.data = http;
	(void)http_parser_execute(&http->parser, &callbacks, http->input, length);
	http->at = length;
	g_string_append_c(http->text, '\0');
	if (HTTP_PARSER_ERRNO(&http->parser) != HPE_OK)
		return refuse(http, 400, http_errno_description(HTTP_PARSER_ERRNO(&http->parser)));
	if (!parse_target(http))
		return refuse(http, 400, "The target is not understood");
	/* the parser has seen that it is a number, and the only one */
	text = http_header(http, "Content-Length");
	if (text && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &body, NULL))
		return refuse(http, 400, "Content-Length is not understood");
	if (http_header(http, "Transfer-Encoding"))
		return refuse(http, 400, "Content-Length header is required");
	http->length = text ? (int64_t)body : -1;
	http->left = (int64_t)body;
	expect = http_header(http, "Expect");
	http->expects = expect && !g_ascii_strcasecmp(expect, "100-continue") && http->left;
	return true;
}

/* What is left of a body that nobody read; false: too much. */
static bool drain(struct http *http)
{
	char buffer[16 * 1024];

	/* a client that was never told to go on does not send it */
	if (http->expects || http->left > DRAIN_MAX)
		return false;
	while (http->left > 0)
		if (http_read(http, buffer, sizeof(buffer)) <= 0)
			return false;
	return true;
}

bool http_next(struct http *http)
{
	ssize_t length;

	if (!http->ready && http->ssl && SSL_accept(http->ssl) != 1) {
		g_autofree char *why = tls_error_text(http->ssl);

		log_debug("TLS handshake: %s", why);
		http->broken = true;
	}
	if (http->ready && (!http->keep_alive || !drain(http)))
		return false;
	http->ready = true;
	if (http->broken || (length = fill_head(http)) == 0)
		return false;
	if (length > 0)
		return parse_head(http, (size_t)length);
	return refuse(http, 431, "The head of the request is too long, or came too slowly");
}

const char *http_method(const struct http *http)
{
	return http_method_str((enum http_method)http->parser.method);
}

const char *http_path(const struct http *http)
{
	return http->path;
}

const char *http_query(const struct http *http, const char *name)
{
	return g_hash_table_lookup(http->query, name);
}

int64_t http_length(const struct http *http)
{
	return http->length;
}

ssize_t http_read(struct http *http, void *buffer, size_t n)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	size_t ahead = http->have - http->at;
	ssize_t got;

	n = (size_t)MIN((int64_t)n, http->left);
	if (!n)
		return 0;
	if (http->expects && !ahead && !transmit(http, go_on, strlen(go_on)))
		return -1;
	http->expects = false;
	if (ahead) {
		got = (ssize_t)MIN(n, ahead);
		memcpy(buffer, http->input + http->at, (size_t)got);
		http->at += (size_t)got;
	} else {
		got = receive(http, buffer, n);
	}
	if (got <= 0)
		http->keep_alive = false;
	else
		http->left -= got;
	return got;
}

/* ---- answers ---- */

bool http_begin(struct http *http, int status, const char *headers, const char *type, int64_t length)
{
	g_autoptr(GString) head = g_string_sized_new(512);
	time_t now = time(NULL);
	g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(now);
	static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	g_autofree char *time_text = g_date_time_format(date, "%H:%M:%S");

	if (http->expects || http->left > DRAIN_MAX)
		http->keep_alive = false;
	g_string_append_printf(head, "HTTP/1.1 %d %s\r\nDate: %s, %02d %s %04d %s GMT\r\nServer: Berth\r\n", status,
			       http_status_str((enum http_status)status), days[g_date_time_get_day_of_week(date) - 1], g_date_time_get_day_of_month(date),
			       months[g_date_time_get_month(date) - 1], g_date_time_get_year(date), time_text);
	if (type)
		g_string_append_printf(head, "Content-Type: %s\r\n", type);
	if (length >= 0)
		g_string_append_printf(head, "Content-Length: %" G_GINT64_FORMAT "\r\n", length);
	else
		g_string_append(head, "Transfer-Encoding: chunked\r\n");
	if (headers)
		g_string_append(head, headers);
	if (!http->keep_alive)
		g_string_append(head, "Connection: close\r\n");
	g_string_append(head, "\r\n");
	http->chunked = length < 0;
	http->answered = true;
	return transmit(http, head->str, head->len);
}

bool http_write(struct http *http, const void *bytes, size_t n)
{
	g_autofree char *size = NULL;

	if (!n || !http->chunked)
		return transmit(http, bytes, n);
	size = g_strdup_printf("%zx\r\n", n);
	return transmit(http, size, strlen(size)) && transmit(http, bytes, n) && transmit(http, "\r\n", 2);
}

bool http_end(struct http *http)
{
	return !http->chunked || transmit(http, "0\r\n\r\n", 5);
}

bool http_answer(struct http *http, int status, const char *headers, const char *type, const char *body, size_t length)
{
	return http_begin(http, status, headers, type, (int64_t)length) && http_write(http, body, length);
}

void http_close_after(struct http *http)
{
	http->keep_alive = false;
}

/* ---- life ---- */

struct http *http_new(int fd, SSL *ssl)
{
	struct http *http = g_new0(struct http, 1);

	http->fd = fd;
	http->ssl = ssl;
	http->text = g_string_new(NULL);
	http->offsets = g_array_new(FALSE, FALSE, sizeof(size_t));
	http->query = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	http_set_patience(http, PATIENCE_S);
	if (ssl) {
		/* several records with one call of the kernel, instead of two calls for each */
		SSL_set_read_ahead(ssl, 1);
		SSL_set_default_read_buffer_len(ssl, TLS_READ_BYTES);
		SSL_set_fd(ssl, fd);
	}
	return http;
}

/* The peer gets to read the last answer. */
static void linger(struct http *http)
{
	int64_t until = now_usec() + LINGER_USEC;
	char buffer[16 * 1024];

	if (http->ssl)
		(void)SSL_shutdown(http->ssl);
	(void)shutdown(http->fd, SHUT_WR);
	http_set_patience(http, LINGER_USEC / G_USEC_PER_SEC);
	while (now_usec() < until && recv(http->fd, buffer, sizeof(buffer), 0) > 0)
		;
}

struct http *http_free(struct http *http)
{
	if (!http)
		return NULL;
	if (http->answered && !http->broken)
		linger(http);
	SSL_free(http->ssl);
	g_string_free(http->text, TRUE);
	g_array_unref(http->offsets);
	g_hash_table_unref(http->query);
	g_free(http->path);
	g_free(http);
	return NULL;
}
