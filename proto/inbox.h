/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_INBOX_H
#define BERTH_PROTO_INBOX_H
/*
 * The receiving half of a channel, the same for server and client: bytes of a stream in, frames with parsed bodies out, in their order.
 * Private to proto/. Loop thread only; every callback may call inbox_free().
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/stream.h"
#include "proto/stomp.h"

#define INBOX_BIG (64 * 1024)           /* a body above this is parsed by the helper thread */

struct inbox;

struct inbox_events {
	/* May be NULL. A frame with the inbox's command, before its body is parsed; it is valid during the call. true: that was all that it was needed for. */
	bool (*text)(const struct stomp_frame *frame, void *data);
	/* json: the parsed body of a frame with the inbox's command, NULL when it is no JSON; the callee owns it and gives it back to
	 * inbox_discard(). The frame is valid during the call. */
	void (*frame)(const struct stomp_frame *frame, json_t *json, void *data);
	/* The bytes are not STOMP or exceed a bound; there is no further frame. */
	void (*broken)(enum stomp_result result, const char *reason, void *data);
};

/* json_command: frames with this command have a JSON body. */
struct inbox *inbox_new(struct stream *stream, const char *json_command, const struct inbox_events *events, void *data);
struct inbox *inbox_free(struct inbox *inbox);
void inbox_feed(struct inbox *inbox, const uint8_t *bytes, size_t n);
/* The stream is closed: it is not touched any more. */
void inbox_detach(struct inbox *inbox);
/* When the peer was last known to be alive as far as we read: a stream that we paused ourselves is not silent. */
int64_t inbox_last_activity(const struct inbox *inbox);

/* For an owner that goes: no more callbacks, and the stream ends - at once where nothing is queued, so that it does not outlive a loop that is
 * freed next; else after its queue. */
void inbox_hang_up(struct stream *stream);
/* The same at once, and what was sent and is under way still never arrives. */
void inbox_cut_off(struct stream *stream);

/* Drops a reference; what came from a big text is taken apart by the helper thread. */
void inbox_discard(json_t *json, size_t text_size);

#endif
