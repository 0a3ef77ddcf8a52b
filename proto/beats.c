/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heart-beats.
 *
 * Timers: one for each direction that is on. Neither is touched by traffic: when it fires it looks at the stream's clock, and either the time is
 * really over, or it is armed again for what is left. So a busy connection pays one timer call per period, not one per frame.
 *
 *   send      t = last output + send_usec: one "\n". With output still queued none is added - the peer does not take what it has, or
 *             pacing holds it back; looked at again after BLOCKED_USEC.
 *   silence   t = last activity + silence_usec: silent(). Time in which we did not read ourselves does not count (inbox_last_activity()).
 *             The loop runs sockets before timers, so bytes that came while the loop was late are seen first.
 */
#include "proto/beats.h"

#define BLOCKED_USEC 50000
#define PERIOD_MAX_MS (24 * 60 * 60 * 1000u)

struct beats {
	struct stream *stream;
	const struct inbox *inbox;
	int64_t send_usec, silence_usec;
	struct timer *send, *silence;
	loop_fn silent;
	void *data;
};

static void on_send(void *data)
{
	struct beats *beats = data;
	int64_t left = stream_last_output(beats->stream) + beats->send_usec - now_usec();

	if (left > 0) {
		timer_set(beats->send, left);
	} else if (stream_queued(beats->stream)) {
		timer_set(beats->send, BLOCKED_USEC);
	} else {
		timer_set(beats->send, beats->send_usec);
		(void)stream_send_copy(beats->stream, "\n", 1);
	}
}

static void on_silence(void *data)
{
	struct beats *beats = data;
	int64_t left = inbox_last_activity(beats->inbox) + beats->silence_usec - now_usec();

	if (left > 0)
		timer_set(beats->silence, left);
	else
		beats->silent(beats->data);
}

struct beats *beats_new(struct stream *stream, const struct inbox *inbox, int64_t send_usec, int64_t silence_usec, loop_fn silent, void *data)
{
	struct beats *beats;

	if (!send_usec && !silence_usec)
		return NULL;
	beats = g_new0(struct beats, 1);
	*beats = (struct beats){ .stream = stream, .inbox = inbox, .send_usec = send_usec, .silence_usec = silence_usec, .silent = silent, .data = data };
	if (send_usec) {
		beats->send = timer_new(stream_loop(stream), on_send, beats);
		timer_set(beats->send, send_usec);
	}
	if (silence_usec) {
		beats->silence = timer_new(stream_loop(stream), on_silence, beats);
		timer_set(beats->silence, silence_usec);
	}
	return beats;
}

struct beats *beats_free(struct beats *beats)
{
	if (!beats)
		return NULL;
	timer_free(beats->send);
	timer_free(beats->silence);
	g_free(beats);
	return NULL;
}

static bool parse_ms(const char *text, const char **ret_end, unsigned *ret_ms)
{
	uint64_t ms = 0;
	const char *at = text;

	while (*at == ' ')
		at++;
	if (!g_ascii_isdigit(*at))
		return false;
	for (; g_ascii_isdigit(*at); at++)
		ms = MIN(ms * 10 + (uint64_t)(*at - '0'), PERIOD_MAX_MS);
	while (*at == ' ')
		at++;
	*ret_end = at;
	*ret_ms = (unsigned)ms;
	return true;
}

bool beats_parse(const char *header, unsigned *ret_first, unsigned *ret_second)
{
	unsigned first, second;
	const char *at = header;

	*ret_first = *ret_second = 0;
	if (!header || !parse_ms(at, &at, &first) || *at != ',' || !parse_ms(at + 1, &at, &second) || *at)
		return false;
	*ret_first = first;
	*ret_second = second;
	return true;
}
