/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's client.
 *
 *   OPENING   connecting, TLS, and waiting for CONNECTED; CONNECT and our SUBSCRIBEs are queued from the start, and so are calls that are
 *             made meanwhile                                                   -> UP at CONNECTED, DOWN after connect_usec
 *   UP        up() was called                                                  -> DOWN when the connection ends, is silent too long or full
 *   DOWN      every call failed with ERR_NO_CONNECTION, then down() was called; further calls fail the same way, from the loop
 *
 * A channel is one connection: it does not come back by itself, its owner opens another one.
 *
 * Answers come to a destination of our own (a fresh uuid), so that nobody else's come with them. The id of a call is "<uuid>.<number>": unique
 * among all clients, since the original finds the asker of an answer by the id alone.
 *
 * Timers: `connect` until UP; two of beats.c - we send at half the period we promised, because servers close without grace, and go down
 * after 1.5 times the period we asked for (or the server's, if it is longer); `deadline` for the call that expires first. Calls are kept in
 * the order of their deadlines; an answer does not touch the timer, which looks for itself when it fires.
 *
 * Every callback may call channel_free(): it takes the channel out of use at once and the memory goes with the last reference, which whoever
 * is calling back holds. Calls in flight fail inside of channel_free(); a call made by one of these callbacks fails at once, in the call.
 */
#define LOG_MODULE "channel"
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "common/refs.h"
#include "proto/beats.h"
#include "proto/channel.h"
#include "proto/inbox.h"
#include "proto/jsonrpc.h"

#define DEFAULT_CONNECT_USEC (20 * G_USEC_PER_SEC)

struct pending {
	uint64_t number;
	int64_t deadline_usec;
	GSequenceIter *place;           /* in channel->deadlines or channel->failing */
	channel_answer answer;
	channel_text_answer text_answer;        /* instead of answer */
	void *data;
};

struct channel {
	int refs;                       /* owner, running callbacks */
	bool freed, is_up, is_down;
	struct loop *loop;
	struct stream *stream;          /* NULL: DOWN */
	int64_t last_input_usec;        /* of a stream that is gone */
	struct inbox *inbox;
	struct beats *beats;
	const struct channel_events *events;
	void *data;
	unsigned send_beat_ms, want_beat_ms;
	char *peer, *uuid;
	char *head;                     /* "SEND\n..." of every call */
	GHashTable *calls;              /* &pending->number -> pending */
	GSequence *deadlines;           /* pending, first to expire first */
	GSequence *failing;             /* pending whose turn to fail comes, see fail_all() */
	int64_t armed_usec;             /* when deadline_timer fires; 0: not armed */
	struct timer *connect, *deadline_timer;
	uint64_t last_number;
};

static void channel_unref(struct channel *channel)
{
	if (--channel->refs)
		return;
	g_hash_table_unref(channel->calls);
	g_sequence_free(channel->deadlines);
	g_sequence_free(channel->failing);
	g_free(channel->peer);
	g_free(channel->uuid);
	g_free(channel->head);
	counted_free(channel);
}

/* ---- calls ---- */

/* The pending is out of the books before its callback runs. */
static void settle(struct channel *channel, struct pending *pending)
{
	g_hash_table_remove(channel->calls, &pending->number);
	g_sequence_remove(pending->place);
}

static void answer_text(struct channel *channel, struct pending *pending, const char *text, size_t size)
{
	g_autoptr(GBytes) bytes = g_bytes_new(text, size);

	settle(channel, pending);
	pending->text_answer(bytes, /* error= */ NULL, pending->data);
	g_free(pending);
}

static void answer_call(struct channel *channel, struct pending *pending, const json_t *result, const GError *error)
{
	char *text = pending->text_answer && result ? json_dumps(result, JSON_ENCODE_ANY) : NULL;

	if (text) {
		answer_text(channel, pending, text, strlen(text));
		free(text);
		return;
	}
	settle(channel, pending);
	if (pending->text_answer)
		pending->text_answer(/* text= */ NULL, error, pending->data);
	else
		pending->answer(result, error, pending->data);
	g_free(pending);
}

/* Set apart first: a callback may call again, and that call is to fail from the loop, not here in a circle. */
static void fail_all(struct channel *channel, const GError *error)
{
	g_sequence_move_range(g_sequence_get_end_iter(channel->failing), g_sequence_get_begin_iter(channel->deadlines),
			      g_sequence_get_end_iter(channel->deadlines));
	while (!g_sequence_is_empty(channel->failing))
		answer_call(channel, g_sequence_get(g_sequence_get_begin_iter(channel->failing)), /* result= */ NULL, error);
}

/* Ends every use of the connection. */
static void let_go(struct channel *channel)
{
	channel->is_up = false;
	channel->is_down = true;
	channel->beats = beats_free(channel->beats);
	channel->inbox = inbox_free(channel->inbox);
	channel->connect = timer_free(channel->connect);
	if (channel->stream) {
		channel->last_input_usec = stream_last_input(channel->stream);
		/* A call that fails now must not be done by a server that gets it when the network is back. */
		if (g_hash_table_size(channel->calls))
			inbox_cut_off(channel->stream);
		else
			inbox_hang_up(channel->stream);
	}
	channel->stream = NULL;
}

/* Takes over error. */
static void go_down(struct channel *channel, GError *error)
{
	g_autoptr(GError) reason = error, lost = NULL;

	if (channel->is_down)
		return;
	channel->refs++;
	let_go(channel);
	log_debug("channel to %s is down: %s", channel->peer, reason->message);
	error_set_literal(&lost, ERR_NO_CONNECTION, reason->message);
	fail_all(channel, lost);
	if (!channel->freed && channel->events->down)
		channel->events->down(channel, reason, channel->data);
	channel_unref(channel);
}

static GError *no_connection(const struct channel *channel, const char *why)
{
	GError *error = NULL;

	error_set(&error, ERR_NO_CONNECTION, "%s: %s", channel->peer, why);
	return error;
}

static void arm_deadline(struct channel *channel)
{
	const struct pending *first;

	if (g_sequence_is_empty(channel->deadlines))
		return;
	first = g_sequence_get(g_sequence_get_begin_iter(channel->deadlines));
	if (channel->armed_usec && channel->armed_usec <= first->deadline_usec)
		return;
	channel->armed_usec = first->deadline_usec;
	timer_set(channel->deadline_timer, first->deadline_usec - now_usec());
}

static void on_deadline(void *data)
{
	struct channel *channel = data;

	channel->refs++;
	channel->armed_usec = 0;
	while (!g_sequence_is_empty(channel->deadlines)) {
		struct pending *first = g_sequence_get(g_sequence_get_begin_iter(channel->deadlines));
		g_autoptr(GError) error = NULL;

		if (first->deadline_usec > now_usec())
			break;
		if (channel->is_down)
			error = no_connection(channel, "the channel is down");
		else
			error_set(&error, ERR_MESSAGE_TIMEOUT, /* format= */ NULL);
		answer_call(channel, first, /* result= */ NULL, error);
	}
	if (!channel->freed)
		arm_deadline(channel);
	channel_unref(channel);
}

static gint compare_deadlines(const void *a, const void *b, void *data)
{
	const struct pending *first = a, *second = b;

	if (first->deadline_usec != second->deadline_usec)
		return first->deadline_usec < second->deadline_usec ? -1 : 1;
	return first->number < second->number ? -1 : first->number > second->number;
}

static void send_call(struct channel *channel, uint64_t number, const char *method, const char *params_json, const char *flow_id)
{
	g_autoptr(GString) head = g_string_sized_new(120), tail = g_string_sized_new(80);
	size_t params_size = params_json ? strlen(params_json) : 0;
	GString *out = g_string_sized_new(strlen(channel->head) + params_size + 300);
	char id[80];

	g_snprintf(id, sizeof(id), "%s.%" G_GUINT64_FORMAT, channel->uuid, number);
	jsonrpc_write_request_head(head, method, params_json != NULL);
	jsonrpc_write_request_tail(tail, id);
	g_string_append(out, channel->head);
	if (flow_id)
		stomp_add(out, "ovirtCorrelationId", flow_id);
	if (!stream_send(channel->stream, stomp_end(out,
						    (struct stomp_part[]){ { head->str, head->len }, { params_json ? params_json : "", params_size },
									   { tail->str, tail->len } },
						    3)))
		stream_abort(channel->stream);  /* closed() follows, and the calls fail then */
}

static void call(struct channel *channel, const char *method, const char *params_json, const char *flow_id, int64_t timeout_usec,
		 const struct pending *model)
{
	struct pending *pending = g_memdup2(model, sizeof(*model));

	pending->number = ++channel->last_number;
	pending->deadline_usec = channel->is_down ? now_usec() : now_usec() + timeout_usec;
	pending->place = g_sequence_insert_sorted(channel->deadlines, pending, compare_deadlines, NULL);
	g_hash_table_insert(channel->calls, &pending->number, pending);
	arm_deadline(channel);
	if (channel->stream)
		send_call(channel, pending->number, method, params_json, flow_id);
}

void channel_call(struct channel *channel, const char *method, const char *params_json, const char *flow_id, int64_t timeout_usec,
		  channel_answer answer, void *data)
{
	g_autoptr(GError) error = channel->freed ? no_connection(channel, "the channel is closed") : NULL;

	if (error)
		answer(/* result= */ NULL, error, data);
	else
		call(channel, method, params_json, flow_id, timeout_usec, &(struct pending){ .answer = answer, .data = data });
}

void channel_call_text(struct channel *channel, const char *method, const char *params_json, const char *flow_id, int64_t timeout_usec,
		       channel_text_answer answer, void *data)
{
	g_autoptr(GError) error = channel->freed ? no_connection(channel, "the channel is closed") : NULL;

	if (error)
		answer(/* text= */ NULL, error, data);
	else
		call(channel, method, params_json, flow_id, timeout_usec, &(struct pending){ .text_answer = answer, .data = data });
}

static struct pending *find_call(const struct channel *channel, const json_t *id)
{
	const char *text = json_string_value(id);
	size_t n = strlen(channel->uuid);
	guint64 number;

	if (!text || strncmp(text, channel->uuid, n) || text[n] != '.' || !g_ascii_string_to_unsigned(text + n + 1, 10, 0, G_MAXUINT64, &number, NULL))
		return NULL;
	return g_hash_table_lookup(channel->calls, &number);
}

/* inbox_events.text: the answer to a call for text, if it has just the form in which we write answers: head, id, result. */
static bool on_text(const struct stomp_frame *frame, void *data)
{
	static const char head[] = "{\"jsonrpc\": \"2.0\", \"id\": \"", middle[] = "\", \"result\": ";
	struct channel *channel = data;
	const char *p = (const char *)frame->body, *end = p + frame->body_size;
	size_t uuid = strlen(channel->uuid), wanted = strlen(head) + uuid + 1;
	struct pending *pending;
	char *after;
	guint64 number;

	/* The parser ends bodies with a NUL. */
	if (channel->is_down || frame->body_size < wanted || !g_str_has_prefix(p, head) || strncmp(p + strlen(head), channel->uuid, uuid) != 0 ||
	    p[wanted - 1] != '.' || end[-1] != '}')
		return false;
	number = g_ascii_strtoull(p + wanted, &after, 10);
	pending = g_str_has_prefix(after, middle) ? g_hash_table_lookup(channel->calls, &number) : NULL;
	if (!pending || !pending->text_answer)
		return false;
	after += strlen(middle);
	channel->refs++;
	answer_text(channel, pending, after, (size_t)(end - 1 - after));
	channel_unref(channel);
	return true;
}

/* ---- frames ---- */

static void on_value(struct channel *channel, const json_t *value)
{
	struct jsonrpc_answer answer;
	g_autoptr(GError) error = NULL;
	struct pending *pending;

	if (!jsonrpc_answer(value, &answer)) {
		log_debug("%s: a message that is neither answer nor event, ignoring", channel->peer);
		return;
	}
	if (answer.method) {
		if (channel->events->event)
			channel->events->event(channel, answer.method, answer.params, channel->data);
		return;
	}
	pending = find_call(channel, answer.id);
	if (!pending) {
		/* Too late, or an error that belongs to no call: its call will expire. */
		log_debug("%s: an answer nobody waits for%s%s, ignoring", channel->peer, answer.result ? "" : ": ", answer.result ? "" : answer.message);
		return;
	}
	if (!answer.result)
		error_set_literal(&error, answer.code, answer.message);
	answer_call(channel, pending, answer.result, error);
}

static void on_message(struct channel *channel, const json_t *json)
{
	if (!json_is_array(json)) {
		on_value(channel, json);
		return;
	}
	for (size_t i = 0; i < json_array_size(json) && !channel->is_down; i++)
		on_value(channel, json_array_get(json, i));
}

static void on_silence(void *data)
{
	struct channel *channel = data;

	go_down(channel, no_connection(channel, "nothing came for longer than the heart-beat allows"));
}

static void on_connected(struct channel *channel, const struct stomp_frame *frame)
{
	unsigned they_send, they_want, send_ms = 0, silence_ms = 0;

	if (channel->is_up)
		return;
	(void)beats_parse(stomp_header(frame, "heart-beat"), &they_send, &they_want);
	if (channel->send_beat_ms && they_want)
		send_ms = MAX(channel->send_beat_ms, they_want);
	if (channel->want_beat_ms && they_send)
		silence_ms = MAX(channel->want_beat_ms, they_send);
	channel->beats = beats_new(channel->stream, channel->inbox, send_ms * (int64_t)500, silence_ms * (int64_t)1500, on_silence, channel);
	channel->connect = timer_free(channel->connect);
	channel->is_up = true;
	if (channel->events->up)
		channel->events->up(channel, channel->data);
}

static void on_error(struct channel *channel, const struct stomp_frame *frame)
{
	g_autofree char *text = g_utf8_make_valid((const char *)frame->body, (gssize)MIN(frame->body_size, 200));

	if (channel->is_up)
		log_warn("%s: the server says: %s", channel->peer, text);
	else
		go_down(channel, no_connection(channel, text));
}

static void on_frame(const struct stomp_frame *frame, json_t *json, void *data)
{
	struct channel *channel = data;

	channel->refs++;
	if (channel->is_down)
		log_debug("%s: a frame after the end, ignoring", channel->peer);
	else if (!strcmp(frame->command, "MESSAGE") && json)
		on_message(channel, json);
	else if (!strcmp(frame->command, "CONNECTED"))
		on_connected(channel, frame);
	else if (!strcmp(frame->command, "ERROR"))
		on_error(channel, frame);
	else
		log_debug("%s: a frame of no use, ignoring", channel->peer);
	inbox_discard(json, frame->body_size);
	channel_unref(channel);
}

static void on_broken(enum stomp_result result, const char *reason, void *data)
{
	struct channel *channel = data;

	go_down(channel, no_connection(channel, reason));
}

static void on_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	struct channel *channel = data;

	inbox_feed(channel->inbox, bytes, n);
}

static void on_closed(struct stream *stream, const GError *error, void *data)
{
	struct channel *channel = data;

	/* It is freed after this call: not to be touched by let_go(). */
	channel->stream = NULL;
	inbox_detach(channel->inbox);
	go_down(channel, error ? g_error_copy(error) : no_connection(channel, "the server closed the connection"));
}

static void on_connect_time(void *data)
{
	struct channel *channel = data;

	go_down(channel, no_connection(channel, "no answer in time"));
}

/* ---- life ---- */

static const struct stream_events stream_events = { .input = on_input, .closed = on_closed };
static const struct inbox_events inbox_events = { .text = on_text, .frame = on_frame, .broken = on_broken };

static void subscribe(struct channel *channel, const char *destination)
{
	g_autofree char *id = g_uuid_string_random();
	GString *out = stomp_begin("SUBSCRIBE");

	stomp_add(out, "destination", destination);
	stomp_add(out, "ack", "auto");
	stomp_add(out, "id", id);
	(void)stream_send(channel->stream, stomp_end(out, /* parts= */ NULL, 0));
}

static void say_hello(struct channel *channel, const struct channel_settings *settings)
{
	GString *out = stomp_begin("CONNECT");
	char header[32];

	stomp_add_plain(out, "accept-version", "1.2");
	/* The standard wants a host; the original closes on a value with ':' and takes "null" for the Java client. */
	if (settings->name && !strpbrk(settings->name, ":\r\n") && strcmp(settings->name, "null"))
		stomp_add_plain(out, "host", settings->name);
	g_snprintf(header, sizeof(header), "%u,%u", settings->send_beat_ms, settings->want_beat_ms);
	stomp_add_plain(out, "heart-beat", header);
	(void)stream_send(channel->stream, stomp_end(out, /* parts= */ NULL, 0));
	subscribe(channel, channel->uuid);
	if (settings->want_events)
		subscribe(channel, DESTINATION_EVENTS);
}

static void build_head(struct channel *channel)
{
	GString *head = stomp_begin("SEND");

	stomp_add(head, "destination", DESTINATION_REQUESTS);
	stomp_add(head, "content-type", "application/json");
	stomp_add(head, "reply-to", channel->uuid);
	channel->head = g_string_free(head, FALSE);
}

struct channel *channel_open(const struct channel_settings *settings, GError **error)
{
	int64_t connect_usec = settings->connect_usec ? settings->connect_usec : DEFAULT_CONNECT_USEC;
	struct channel *channel = g_new0(struct channel, 1);

	channel->stream = stream_connect(settings->loop, settings->address, settings->address_length, settings->tls, settings->name, connect_usec,
					 CHANNEL_QUEUE_MAX, &stream_events, channel, error);
	if (!channel->stream) {
		g_free(channel);
		return NULL;
	}
	channel->refs = 1;
	channel->loop = settings->loop;
	channel->events = settings->events;
	channel->data = settings->data;
	channel->send_beat_ms = settings->send_beat_ms;
	channel->want_beat_ms = settings->want_beat_ms;
	channel->peer = g_strdup(stream_peer(channel->stream));
	channel->uuid = g_uuid_string_random();
	channel->calls = g_hash_table_new(g_int64_hash, g_int64_equal);
	channel->deadlines = g_sequence_new(/* data_destroy= */ NULL);
	channel->failing = g_sequence_new(/* data_destroy= */ NULL);
	channel->inbox = inbox_new(channel->stream, "MESSAGE", &inbox_events, channel);
	channel->deadline_timer = timer_new(channel->loop, on_deadline, channel);
	channel->connect = timer_new(channel->loop, on_connect_time, channel);
	timer_set(channel->connect, connect_usec);
	build_head(channel);
	say_hello(channel, settings);
	return channel;
}

struct channel *channel_free(struct channel *channel)
{
	g_autoptr(GError) error = NULL;

	if (!channel || channel->freed)
		return NULL;
	channel->freed = true;
	let_go(channel);
	channel->deadline_timer = timer_free(channel->deadline_timer);
	error = no_connection(channel, "the channel is closed");
	fail_all(channel, error);
	channel_unref(channel);
	return NULL;
}

bool channel_is_up(const struct channel *channel)
{
	return channel->is_up;
}

SSL *channel_ssl(struct channel *channel)
{
	return channel->stream ? stream_ssl(channel->stream) : NULL;
}

const char *channel_local_address(const struct channel *channel)
{
	return channel->stream ? stream_local_address(channel->stream) : NULL;
}

int64_t channel_last_input(const struct channel *channel)
{
	return channel->stream ? stream_last_input(channel->stream) : channel->last_input_usec;
}
