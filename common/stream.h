/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_STREAM_H
#define BERTH_COMMON_STREAM_H
/*
 * Streams: a non-blocking connection on the loop, plain or TLS, the same for listeners and connectors, for STOMP and HTTP.
 *
 * - Output is a queue of blocks. A block starts a new TLS record and is never joined with its neighbour in one write (other
 *   engines' clients need that); with pacing set, the next block leaves at least pace_usec after the one before.
 * - Input goes to `input` as it comes, at most STREAM_TURN bytes a turn, so that a 10 MiB frame does not stop the neighbours.
 * - The queue is bounded: stream_send() fails beyond max_queue bytes and the owner closes.
 * - Handshakes end within handshake_usec; a listener bounds open and half-open connections; TCP_NODELAY and keep-alive
 *   (and TCP_USER_TIMEOUT 60 s) are on.
 * All functions: loop thread only. Callbacks may call anything here, stream_close() and stream_abort() included.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <glib.h>
#include "common/loop.h"
#include "common/tls.h"

#define STREAM_TURN (64 * 1024)
#define HANDSHAKE_GRACE_USEC G_USEC_PER_SEC

struct stream;

struct stream_events {
	void (*ready)(struct stream *stream, void *data);                             /* connected, handshake done */
	void (*input)(struct stream *stream, const uint8_t *bytes, size_t n, void *data);
	void (*drained)(struct stream *stream, void *data);                           /* queue became empty; may be NULL */
	/* The last call for this stream; it is freed after it. error NULL: the peer closed in order or we did. */
	void (*closed)(struct stream *stream, const GError *error, void *data);
};

struct listener;
struct listener_settings {
	const char *address;           /* "::" (dual stack), "127.0.0.1", ... */
	uint16_t port;                 /* 0: any, see listener_port() */
	struct tls_context *tls;       /* NULL: plain */
	unsigned max_connections;      /* beyond: closed at once, unless full() makes room */
	unsigned max_handshakes;       /* beyond: the one begun first ends when it has had HANDSHAKE_GRACE_USEC, till then newcomers wait in the kernel */
	int64_t handshake_usec;        /* 10 s */
	size_t max_queue;
	/* A new stream; set its events with stream_set_events() here. Called before the handshake; ready() comes after it. */
	void (*accepted)(struct stream *stream, void *data);
	bool (*full)(void *data);      /* true: it has ended one of the connections, by stream_abort(); may be NULL */
	void *data;
};
struct listener *listener_new(struct loop *loop, const struct listener_settings *settings, GError **error);
struct listener *listener_free(struct listener *listener);        /* open streams stay */
uint16_t listener_port(const struct listener *listener);

/* Connects to a numeric address. name: for the certificate check (NULL: chain only). tls NULL: plain. */
struct stream *stream_connect(struct loop *loop, const struct sockaddr *address, socklen_t length, struct tls_context *tls, const char *name,
			      int64_t timeout_usec, size_t max_queue, const struct stream_events *events, void *data, GError **error);

void stream_set_events(struct stream *stream, const struct stream_events *events, void *data);
bool stream_send(struct stream *stream, GBytes *block);           /* takes over the reference, also on failure */
bool stream_send_copy(struct stream *stream, const void *bytes, size_t n);
void stream_set_pace(struct stream *stream, int64_t pace_usec);   /* 0: none */
void stream_pause(struct stream *stream, bool paused);            /* stop reading: back-pressure */
size_t stream_queued(const struct stream *stream);                /* bytes */
void stream_discard(struct stream *stream);                       /* what is queued and not begun never goes out */
int64_t stream_last_input(const struct stream *stream);           /* now_usec() of the last input/output */
int64_t stream_last_output(const struct stream *stream);
void stream_close(struct stream *stream);                         /* after the queue is sent (at most 5 s) */
void stream_abort(struct stream *stream);                         /* now; closed() follows from the loop, not from inside this call */
void stream_reset(struct stream *stream);                         /* as stream_abort(), and what has not reached the peer yet never does */
const char *stream_peer(const struct stream *stream);             /* "[::1]:4711" */
const char *stream_local_address(const struct stream *stream);    /* "192.0.2.1" the peer reached us by */
const struct sockaddr *stream_peer_address(const struct stream *stream);
SSL *stream_ssl(struct stream *stream);                           /* NULL when plain */
struct loop *stream_loop(struct stream *stream);

#endif
