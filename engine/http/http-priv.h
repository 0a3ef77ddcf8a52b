/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HTTP_PRIV_H
#define BERTH_ENGINE_HTTP_PRIV_H
#include <http_parser.h>
#include "common/stream.h"
#include "engine/http/http.h"

struct connection;

struct http_server {
	struct http_settings settings;
	struct listener *listener;
	struct connection *connections;         /* list */
	unsigned n_connections;
	bool draining;
	time_t date_at;
	char date[40];
};

void connection_new(struct http_server *server, struct stream *stream);
void connection_abort(struct connection *connection);
void connection_drain(struct connection *connection);
/* Ends the one that is worth least and at least HTTP_GRACE_USEC old; false: there is none. */
bool connection_displace(struct http_server *server);
struct connection *connection_next(struct connection *connection);
/* "Sun, 06 Nov 1994 08:49:37 GMT", made once a second */
const char *http_server_date(struct http_server *server);

#endif
