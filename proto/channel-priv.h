/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_CHANNEL_PRIV_H
#define BERTH_PROTO_CHANNEL_PRIV_H
/* The server's connections, as channel_server.c (frames) and channel_call.c (requests and answers) share them. */
#include "proto/beats.h"
#include "proto/channel.h"
#include "proto/inbox.h"

enum connection_mode {
	MODE_DETECT,            /* which protocol? */
	MODE_STOMP,
	MODE_HTTP,              /* the headers of one request */
	MODE_LEAVING,           /* our last frame is out, the peer's bytes are thrown away */
	MODE_CLOSED,            /* nothing is read or sent any more */
};

struct subscription {
	char *id, *destination;
	GString *head;          /* "MESSAGE\n..." up to before content-length: what every message through it starts with */
};

/* Lives until its stream is closed and the last of its calls is answered. */
struct connection {
	int refs;
	struct channel_server *server;          /* NULL: gone */
	struct stream *stream;                  /* NULL: gone */
	guint index;                            /* in server->connections */
	enum connection_mode mode;
	GByteArray *first;                      /* MODE_DETECT, MODE_HTTP: what has come */
	struct inbox *inbox;                    /* MODE_STOMP */
	struct beats *beats;
	struct timer *timer;                    /* detection, leaving */
	int64_t leave_usec;                     /* MODE_LEAVING: closed then at the latest */
	GPtrArray *subscriptions;               /* struct subscription; NULL: none yet */
	struct subscription *events;            /* the first to the event queue */
	unsigned in_flight;
	char *peer, *local, *fingerprint;
};

struct channel_server {
	struct channel_server_settings settings;        /* strings are ours */
	struct listener *listener;
	GPtrArray *connections;
	struct metric *requests, *dropped, *slow;
};

void connection_unref(struct connection *connection);
struct subscription *connection_subscription(const struct connection *connection, const char *destination);
/* A MESSAGE of these parts; a full queue ends the connection. */
void connection_message(struct connection *connection, const struct subscription *subscription, const struct stomp_part *parts, unsigned n_parts);

/* One SEND to a request queue. Takes over json (NULL: the body was none). */
void calls_accept(struct connection *connection, const struct stomp_frame *frame, json_t *json);

#endif
