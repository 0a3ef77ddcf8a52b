/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HTTP_H
#define BERTH_ENGINE_HTTP_H
/*
 * An HTTP/1.1 server on the loop, over streams (TLS or plain) and http_parser. Theory of operation: connection.c.
 * All functions: loop thread (http_server_new() also before the loop runs).
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "common/loop.h"
#include "common/tls.h"
#include "engine/api/exchange.h"

#define HTTP_HEADER_BYTES (32 * 1024)
#define HTTP_BODY_BYTES ((size_t)16 * 1024 * 1024)
#define HTTP_PIPELINE_BYTES (128 * 1024)    /* read ahead while a request is served */
#define HTTP_SMALL_BYTES (64 * 1024)        /* what anybody may hold of the engine's memory, however little is left of max_held */
#define HTTP_GRACE_USEC G_USEC_PER_SEC      /* a client that has been silent for less gives way to nobody */

struct http_server;

struct http_settings {
	struct loop *loop;
	const char *address;
	uint16_t port;                      /* 0: any */
	struct tls_context *tls;            /* NULL: plain HTTP */
	unsigned max_connections;           /* 0: 2000 */
	size_t max_held;                    /* bytes of bodies and answers, of all connections together; 0: 512 MiB */
	/* Times; 0: the default. */
	int64_t header_usec;                /* first byte of a request to the end of its headers: 30 s */
	int64_t body_usec;                  /* silence within a body, or a peer that takes nothing of the answer: 60 s */
	int64_t idle_usec;                  /* between requests: 120 s */
	/* Serves one request: calls exchange_finish() at once or later, on the loop. */
	void (*serve)(struct exchange *exchange, void *data);
	void *data;
};

struct http_server *http_server_new(const struct http_settings *settings, GError **error);
/* Stops listening and cuts the open connections. */
struct http_server *http_server_free(struct http_server *server);
/* Stops listening; answers what is being served, closes what is idle. */
void http_server_drain(struct http_server *server);
unsigned http_server_connections(const struct http_server *server);
uint16_t http_server_port(const struct http_server *server);

#endif
