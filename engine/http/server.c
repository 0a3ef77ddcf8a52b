/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/http/http.h"

#include <stdio.h>
#include <time.h>
#include "common/log.h"
#include "engine/http/http-priv.h"

#define LOG_MODULE "http"

/* An answer is queued whole; the next request of the connection is not served before most of it is gone. */
#define HTTP_QUEUE_BYTES ((size_t)512 * 1024 * 1024)

static void accepted(struct stream *stream, void *data)
{
	connection_new(data, stream);
}

static bool full(void *data)
{
	return connection_displace(data);
}

struct http_server *http_server_new(const struct http_settings *settings, GError **error)
{
	struct http_server *server = g_new0(struct http_server, 1);
	server->settings = *settings;
	if (!server->settings.header_usec)
		server->settings.header_usec = 30 * G_USEC_PER_SEC;
	if (!server->settings.body_usec)
		server->settings.body_usec = 60 * G_USEC_PER_SEC;
	if (!server->settings.idle_usec)
		server->settings.idle_usec = 120 * G_USEC_PER_SEC;
	if (!server->settings.max_connections)
		server->settings.max_connections = 2000;
	if (!server->settings.max_held)
		server->settings.max_held = (size_t)512 * 1024 * 1024;
	http_parser_set_max_header_size(HTTP_HEADER_BYTES);

	const struct listener_settings listener = {
		.address = settings->address,
		.port = settings->port,
		.tls = settings->tls,
		.max_connections = server->settings.max_connections,
		.max_handshakes = 256,
		.handshake_usec = 10 * G_USEC_PER_SEC,
		.max_queue = HTTP_QUEUE_BYTES,
		.accepted = accepted,
		.full = full,
		.data = server,
	};
	server->listener = listener_new(settings->loop, &listener, error);
	if (!server->listener) {
		g_free(server);
		return NULL;
	}
	return server;
}

struct http_server *http_server_free(struct http_server *server)
{
	if (!server)
		return NULL;
	server->listener = listener_free(server->listener);
	while (server->connections)
		connection_abort(server->connections);
	g_free(server);
	return NULL;
}

void http_server_drain(struct http_server *server)
{
	server->listener = listener_free(server->listener);
	server->draining = true;
	for (struct connection *connection = server->connections, *next; connection; connection = next) {
		next = connection_next(connection);
		connection_drain(connection);
	}
}

unsigned http_server_connections(const struct http_server *server)
{
	return server->n_connections;
}

uint16_t http_server_port(const struct http_server *server)
{
	return listener_port(server->listener);
}

const char *http_server_date(struct http_server *server)
{
	time_t now = time(NULL);
	if (now != server->date_at) {
		static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
		static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
		struct tm tm;
		gmtime_r(&now, &tm);
		/* not strftime(): the header must not follow the locale */
		snprintf(server->date, sizeof(server->date), "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7], (unsigned)tm.tm_mday % 32,
			 months[tm.tm_mon % 12], ((unsigned)tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 24, (unsigned)tm.tm_min % 60,
			 (unsigned)tm.tm_sec % 61);
		server->date_at = now;
	}
	return server->date;
}
