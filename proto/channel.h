/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_CHANNEL_H
#define BERTH_PROTO_CHANNEL_H
/*
 * The channel: JSON-RPC 2.0 over STOMP 1.2 over a stream, both sides. Everything on the loop's thread unless said otherwise.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "common/loop.h"
#include "common/stream.h"

#define CHANNEL_HEADER_MAX (8 * 1024)
#define CHANNEL_BODY_MAX (16 * 1024 * 1024)
#define CHANNEL_QUEUE_MAX (64 * 1024 * 1024)
#define CHANNEL_CALLS_MAX 1000                 /* requests in flight on one connection; beyond: ERR_RESOURCE_EXHAUSTED (1100) */
#define CHANNEL_JAVA_PACE_USEC 10000           /* between frames queued for the Java client (it sends host:null) */

#define DESTINATION_REQUESTS "jms.topic.vdsm_requests"
#define DESTINATION_IRS_REQUESTS "jms.topic.vdsm_irs_requests"
#define DESTINATION_RESPONSES "jms.topic.vdsm_responses"
#define DESTINATION_EVENTS "jms.queue.events"

/* ---- server ---- */
struct channel_server;

/* One request in flight. Exactly one of call_reply() and call_fail() must follow, on the loop's thread, at once or later; it frees the call.
 * A call whose client has gone, or that is a notification, is answered the same way; the answer is dropped. */
struct call;
void call_reply(struct call *call, const char *result_json, size_t length);       /* JSON text of the result */
void call_fail(struct call *call, const GError *error);                           /* code and message as they stand */
const char *call_flow_id(const struct call *call);                                /* ovirtCorrelationId or NULL */
const char *call_peer(const struct call *call);                                   /* "[::1]:4711" */
const struct sockaddr *call_peer_address(const struct call *call);                /* NULL when gone */
const char *call_local_address(const struct call *call);
const char *call_peer_fingerprint(const struct call *call);                       /* SHA-256 of the client's certificate; "" on plain */

struct channel_server_settings {
	struct loop *loop;
	const char *address;
	uint16_t port;
	struct tls_context *tls;               /* NULL: plain; refused unless address is loopback */
	char **request_queues;                 /* NULL: the two known ones */
	const char *event_queue;               /* NULL: DESTINATION_EVENTS */
	unsigned max_connections, max_handshakes;      /* 0: 1000, 100 */
	int64_t handshake_usec, detect_usec;   /* 0: 10 s each */
	/* A request. params: object, array or NULL; borrowed until the call is answered. */
	void (*request)(struct call *call, const char *method, const json_t *params, void *data);
	/* GET path over HTTP on the same port ("/metrics"): body with its content type, or NULL for 404. g_free. May be NULL: HTTP is refused. */
	char *(*http_get)(const char *path, const char **ret_content_type, void *data);
	void *data;
};
struct channel_server *channel_server_new(const struct channel_server_settings *settings, GError **error);
struct channel_server *channel_server_free(struct channel_server *server);        /* closes all connections */
uint16_t channel_server_port(const struct channel_server *server);
/* Sends a notification {"jsonrpc","method","params"} to every connection subscribed to the event queue. */
void channel_server_publish(struct channel_server *server, const char *method, const char *params_json);
unsigned channel_server_connections(const struct channel_server *server);

/* ---- client ---- */
struct channel;

struct channel_events {
	void (*up)(struct channel *channel, void *data);                               /* CONNECTED came, subscriptions are made */
	/* The last call of a channel: connection failed, lost, silent. Calls in flight have failed already (ERR_NO_CONNECTION). Free it now or later. */
	void (*down)(struct channel *channel, const GError *error, void *data);
	void (*event)(struct channel *channel, const char *method, const json_t *params, void *data);
};
struct channel_settings {
	struct loop *loop;
	const struct sockaddr *address;
	socklen_t address_length;
	struct tls_context *tls;               /* NULL: plain */
	const char *name;                      /* checked against the server's certificate; NULL: chain only */
	int64_t connect_usec;                  /* until CONNECTED; 0: 20 s */
	unsigned send_beat_ms, want_beat_ms;   /* heart-beat offered and wanted; the channel goes down after 1.5 x want_beat_ms of silence */
	bool want_events;                      /* subscribe to the event queue */
	const struct channel_events *events;
	void *data;
};
struct channel *channel_open(const struct channel_settings *settings, GError **error);
struct channel *channel_free(struct channel *channel);                            /* no callbacks after it; calls in flight fail first */
bool channel_is_up(const struct channel *channel);
SSL *channel_ssl(struct channel *channel);
const char *channel_local_address(const struct channel *channel);                 /* by which the server sees us */
int64_t channel_last_input(const struct channel *channel);

/* result borrowed for the call's time; exactly one of result and error is set. Error codes of the server come as they are. */
typedef void (*channel_answer)(const json_t *result, const GError *error, void *data);
/* params_json: text of an object, or NULL. Fails (callback from the loop, later) with ERR_MESSAGE_TIMEOUT after timeout_usec. flow_id may be NULL. */
void channel_call(struct channel *channel, const char *method, const char *params_json, const char *flow_id, int64_t timeout_usec,
		  channel_answer answer, void *data);
/*
 * The same for an answer that is wanted as text, for a json_reader: no tree is built of it (unless the server writes answers in another form than ours).
 * Whether the text is well-formed is for its reader to see. Exactly one of text (take a reference to keep it) and error is set.
 */
typedef void (*channel_text_answer)(GBytes *text, const GError *error, void *data);
void channel_call_text(struct channel *channel, const char *method, const char *params_json, const char *flow_id, int64_t timeout_usec,
		       channel_text_answer answer, void *data);

#endif
