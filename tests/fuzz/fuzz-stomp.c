/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The STOMP parser on any bytes: no read or write out of bounds, and the same frames however the bytes are cut. The first byte of the input
 * says how they are cut. What was parsed is built again and must parse to the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "proto/stomp.h"

#define HEADER_MAX 200
#define BODY_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Frames as text, for comparison. */
static void write_frame(GString *out, const struct stomp_frame *frame)
{
	must(frame->body[frame->body_size] == '\0');
	g_string_append(out, frame->command);
	g_string_append_c(out, '\0');
	g_string_append_len(out, frame->headers, (gssize)frame->headers_size);
	g_string_append_c(out, '\1');
	g_string_append_len(out, (const char *)frame->body, (gssize)frame->body_size);
	g_string_append_c(out, '\2');
}

static void rebuild(const struct stomp_frame *frame)
{
	struct stomp_parser *parser = stomp_parser_new(10 * HEADER_MAX, BODY_MAX);
	GString *out = stomp_begin(frame->command);
	struct stomp_part part = { (const char *)frame->body, frame->body_size };
	struct stomp_frame again;
	const char *reason;
	size_t used, n;
	GBytes *bytes;

	/* with content-length in front, whatever the frame had of its own does not count */
	bytes = stomp_end(out, &part, 1);
	const uint8_t *text = g_bytes_get_data(bytes, &n);

	/* a command that looks like nothing (only CR) is not a frame any more */
	if (frame->command[0] && frame->command[0] != '\r' && !strchr(frame->command, '\r')) {
		must(stomp_parse(parser, text, n, &used, &again, &reason) == STOMP_FRAME && used == n);
		must(!strcmp(again.command, frame->command) && again.body_size == frame->body_size);
		must(!memcmp(again.body, frame->body, frame->body_size));
	}
	g_bytes_unref(bytes);
	stomp_parser_free(parser);

	/* header values survive escaping */
	if (frame->headers_size) {
		const char *value = frame->headers + strlen(frame->headers) + 1;

		parser = stomp_parser_new(10 * HEADER_MAX, BODY_MAX);
		out = stomp_begin("SEND");
		stomp_add(out, "v", value);
		bytes = stomp_end(out, NULL, 0);
		text = g_bytes_get_data(bytes, &n);
		must(stomp_parse(parser, text, n, &used, &again, &reason) == STOMP_FRAME && used == n);
		must(!strcmp(stomp_header(&again, "v"), value));
		g_bytes_unref(bytes);
		stomp_parser_free(parser);
	}
}

static GString *parse(const uint8_t *data, size_t size, size_t piece, bool steal)
{
	struct stomp_parser *parser = stomp_parser_new(HEADER_MAX, BODY_MAX);
	enum stomp_result result = STOMP_MORE;
	GString *out = g_string_new(NULL);

	for (size_t at = 0; at < size && result < STOMP_TOO_LARGE; at += piece) {
		size_t n = MIN(piece, size - at);
		uint8_t *copy = g_memdup2(data + at, n);

		for (size_t done = 0; done < n && result < STOMP_TOO_LARGE;) {
			struct stomp_frame frame;
			const char *reason;
			size_t used;

			result = stomp_parse(parser, copy + done, n - done, &used, &frame, &reason);
			must(used <= n - done && (used > 0 || result >= STOMP_TOO_LARGE));
			done += used;
			if (result == STOMP_FRAME && steal) {
				struct stomp_frame *stolen = stomp_frame_steal(parser, &frame);

				write_frame(out, stolen);
				stomp_frame_free(stolen);
			} else if (result == STOMP_FRAME) {
				write_frame(out, &frame);
				rebuild(&frame);
			}
		}
		g_free(copy);
	}
	g_string_append_printf(out, "%d%d", result < STOMP_TOO_LARGE ? 0 : (int)result, stomp_parser_idle(parser));
	stomp_parser_free(parser);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GString *whole, *cut;

	if (size < 2)
		return 0;
	whole = parse(data + 1, size - 1, size, false);
	cut = parse(data + 1, size - 1, data[0] % 64 + 1u, data[0] & 128);
	must(g_string_equal(whole, cut));
	g_string_free(whole, TRUE);
	g_string_free(cut, TRUE);
	return 0;
}
