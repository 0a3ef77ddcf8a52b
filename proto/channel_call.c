/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the channel's server, from the SEND they came in to the MESSAGE that answers.
 *
 * One SEND makes one `asked`: it keeps the parsed body (the calls borrow method, params and ids from it), where the answer goes, and one
 * struct call for each request. It lives until its last call is answered, whatever happens to the connection meanwhile; so nothing is
 * ever looked up by id, and the same id may be in flight any number of times, from one connection or many.
 *
 * A plain object, and an array of one, is answered with a plain object; a longer array with an array once all its requests are answered
 * (in the order of the answers; notifications leave nothing; no answers: no message). Errors that belong to no id go the same way.
 * The answer goes to the connection that asked, through its subscription to the reply-to name (errors without id: to the common response
 * topic when no name was given), and is dropped and counted when there is no such subscription.
 *
 * Bounds: CHANNEL_CALLS_MAX calls in flight on a connection, JSONRPC_BATCH_MAX requests in an array.
 */
#define LOG_MODULE "channel"
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"
#include "proto/channel-priv.h"
#include "proto/jsonrpc.h"

#define SLOW_USEC G_USEC_PER_SEC        /* a good call that takes longer is worth a line in the log */
#define METHOD_SHOWN 100                /* bytes of a method's name in the log */

struct call {
	struct asked *asked;            /* NULL: answered */
	const char *method;
	const json_t *id;               /* NULL: a notification */
	int64_t start_usec;
};

struct asked {
	unsigned open;                  /* calls without answer, and one while requests are still being started */
	struct connection *connection;
	json_t *json;
	size_t json_size;               /* of its text */
	char *reply_to, *flow_id;
	bool has_unowned;               /* an error without id is among the answers */
	GString *answers;               /* an array under way: "[{...}, {...}"; NULL: a plain object is answered at once */
	struct call calls[];
};

/* ---- answers ---- */

static void send_answer(struct asked *asked, const struct stomp_part *parts, unsigned n_parts)
{
	struct connection *connection = asked->connection;
	const char *destination = asked->reply_to ? asked->reply_to : asked->has_unowned ? DESTINATION_RESPONSES : NULL;
	const struct subscription *subscription;

	if (!connection->server || connection->mode != MODE_STOMP)      /* closed meanwhile */
		return;
	subscription = destination ? connection_subscription(connection, destination) : NULL;
	if (subscription) {
		connection_message(connection, subscription, parts, n_parts);
	} else {
		metric_add(connection->server->dropped, 1);
		log_debug("%s: answer dropped: %s", connection->peer, destination ? "the client is not subscribed to its reply-to" : "no reply-to was given");
	}
}

static void add_error(struct asked *asked, const json_t *id, const GError *error)
{
	g_autoptr(GString) text = asked->answers ? NULL : g_string_sized_new(256);
	GString *out = asked->answers ? asked->answers : text;

	if (!id)
		asked->has_unowned = true;
	if (asked->answers)
		g_string_append(out, out->len ? ", " : "[");
	jsonrpc_write_error(out, id, error->code, error->message);
	if (!asked->answers)
		send_answer(asked, &(struct stomp_part){ out->str, out->len }, 1);
}

static void add_result(struct asked *asked, const json_t *id, const char *result, size_t size)
{
	g_autoptr(GString) head = NULL;

	if (asked->answers) {
		g_string_append(asked->answers, asked->answers->len ? ", " : "[");
		jsonrpc_write_result(asked->answers, id, result, size);
		return;
	}
	head = g_string_sized_new(120);
	jsonrpc_write_result_head(head, id);
	send_answer(asked, (struct stomp_part[]){ { head->str, head->len }, { result, size }, { "}", 1 } }, 3);
}

/* One call less, or all are started. */
static void asked_done(struct asked *asked)
{
	if (--asked->open)
		return;
	if (asked->answers && asked->answers->len)
		send_answer(asked, (struct stomp_part[]){ { asked->answers->str, asked->answers->len }, { "]", 1 } }, 2);
	if (asked->answers)
		g_string_free(asked->answers, TRUE);
	inbox_discard(asked->json, asked->json_size);
	connection_unref(asked->connection);
	g_free(asked->reply_to);
	g_free(asked->flow_id);
	g_free(asked);
}

static void call_done(struct call *call)
{
	struct asked *asked = call->asked;

	call->asked = NULL;
	asked->connection->in_flight--;
	asked_done(asked);
}

void call_reply(struct call *call, const char *result_json, size_t length)
{
	int64_t took_usec;

	g_return_if_fail(call->asked);
	took_usec = now_usec() - call->start_usec;
	if (took_usec > SLOW_USEC)
		log_info("RPC call %.*s took more than 1.00 seconds to succeed: %.2f", METHOD_SHOWN, call->method, (double)took_usec / G_USEC_PER_SEC);
	if (call->id)
		add_result(call->asked, call->id, result_json, length);
	call_done(call);
}

void call_fail(struct call *call, const GError *error)
{
	g_return_if_fail(call->asked);
	log_info("RPC call %.*s failed (error %d) in %.2f seconds", METHOD_SHOWN, call->method, error->code,
		 (double)(now_usec() - call->start_usec) / G_USEC_PER_SEC);
	if (call->id)
		add_error(call->asked, call->id, error);
	call_done(call);
}

/* ---- requests ---- */

static void start_request(struct asked *asked, struct call *call, const json_t *value)
{
	struct connection *connection = asked->connection;
	struct channel_server *server = connection->server;
	g_autoptr(GError) error = NULL;
	struct jsonrpc_request request;

	if (!jsonrpc_request(value, &request, &error)) {
		log_debug("%s: %s", connection->peer, error->message);
		add_error(asked, /* id= */ NULL, error);
		return;
	}
	if (connection->in_flight >= CHANNEL_CALLS_MAX) {
		error_set(&error, ERR_RESOURCE_EXHAUSTED, "{'resource': 'jsonrpc', 'current_tasks': %u, 'reason': 'Too many tasks'}", connection->in_flight);
		if (request.id)
			add_error(asked, request.id, error);
		return;
	}
	*call = (struct call){ .asked = asked, .method = request.method, .id = request.id, .start_usec = now_usec() };
	asked->open++;
	connection->in_flight++;
	metric_add(server->requests, 1);
	server->settings.request(call, request.method, request.params, server->settings.data);
}

static struct asked *asked_new(struct connection *connection, const struct stomp_frame *frame, json_t *json, size_t n_calls)
{
	struct asked *asked = g_malloc0(sizeof(*asked) + n_calls * sizeof(struct call));

	asked->open = 1;
	asked->connection = connection;
	connection->refs++;
	asked->json = json;
	asked->json_size = frame->body_size;
	asked->reply_to = g_strdup(stomp_header(frame, "reply-to"));
	asked->flow_id = g_strdup(stomp_header(frame, "ovirtCorrelationId"));
	return asked;
}

void calls_accept(struct connection *connection, const struct stomp_frame *frame, json_t *json)
{
	bool is_array = json_is_array(json);
	size_t n = is_array ? json_array_size(json) : 1, n_calls = n <= JSONRPC_BATCH_MAX ? n : 0;
	struct asked *asked = asked_new(connection, frame, json, n_calls);
	g_autoptr(GError) error = NULL;

	if (!json)
		error_set(&error, ERR_JSONRPC_PARSE, /* format= */ NULL);
	else if (!n)
		jsonrpc_set_invalid(&error, json, "request batch is empty");
	else if (!n_calls)
		jsonrpc_set_invalid(&error, json, "request batch is too large");
	if (error) {
		log_debug("%s: %s", connection->peer, error->message);
		add_error(asked, /* id= */ NULL, error);
		asked_done(asked);
		return;
	}
	if (n > 1)
		asked->answers = g_string_new(NULL);
	/* The handler may answer at once, and may end the server. */
	for (size_t i = 0; i < n && connection->server; i++)
		start_request(asked, &asked->calls[i], is_array ? json_array_get(json, i) : json);
	asked_done(asked);
}

/* ---- what handlers ask of a call ---- */

const char *call_flow_id(const struct call *call)
{
	return call->asked->flow_id;
}

const char *call_peer(const struct call *call)
{
	return call->asked->connection->peer;
}

const struct sockaddr *call_peer_address(const struct call *call)
{
	const struct connection *connection = call->asked->connection;

	return connection->stream ? stream_peer_address(connection->stream) : NULL;
}

const char *call_local_address(const struct call *call)
{
	return call->asked->connection->local;
}

const char *call_peer_fingerprint(const struct call *call)
{
	return call->asked->connection->fingerprint;
}
