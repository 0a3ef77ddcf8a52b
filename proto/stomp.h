/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_STOMP_H
#define BERTH_PROTO_STOMP_H
/*
 * STOMP 1.2 frames: an incremental parser and a builder. No sockets, no time; see stomp.c for states and bounds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/*
 * One received frame. Everything is owned by the parser (or lies in the bytes just fed) and lives until the next call with the
 * same parser; stomp_frame_steal() makes it live longer.
 */
struct stomp_frame {
	const char *command;
	const char *headers;            /* "name\0value\0name\0value\0", escapes decoded */
	size_t headers_size;
	const uint8_t *body;            /* followed by a NUL that does not belong to it */
	size_t body_size;
};

enum stomp_result {
	STOMP_MORE,                     /* all bytes used, no frame complete */
	STOMP_FRAME,                    /* a frame; call again with the rest of the bytes */
	STOMP_TOO_LARGE,                /* a bound is exceeded; the parser takes no more */
	STOMP_MALFORMED,                /* not STOMP; the parser takes no more */
};

struct stomp_parser;
struct stomp_parser *stomp_parser_new(size_t header_max, size_t body_max);
struct stomp_parser *stomp_parser_free(struct stomp_parser *parser);
/* Uses up to n bytes, says how many. On STOMP_TOO_LARGE and STOMP_MALFORMED *ret_reason is a static text for people. */
enum stomp_result stomp_parse(struct stomp_parser *parser, const uint8_t *bytes, size_t n, size_t *ret_used, struct stomp_frame *ret_frame,
			      const char **ret_reason);
/* Is the parser between two frames? (At the end of the input: else the peer left in the middle of one.) */
bool stomp_parser_idle(const struct stomp_parser *parser);

/* Gives the memory of the last frame back if it is much; the frame is gone then. For connections that now rest. */
void stomp_parser_trim(struct stomp_parser *parser);

/* First header of that name; NULL when there is none. */
const char *stomp_header(const struct stomp_frame *frame, const char *name);

/* A frame that owns its parts. Call with the frame that stomp_parse() gave last. */
struct stomp_frame *stomp_frame_steal(struct stomp_parser *parser, const struct stomp_frame *frame);
struct stomp_frame *stomp_frame_free(struct stomp_frame *frame);

/*
 * Building: out = stomp_begin("SEND"); stomp_add(out, "destination", name)...; bytes = stomp_end(out, parts, n_parts).
 * stomp_end() takes over out. With parts (the body, given in pieces so that a big one is copied once) it adds content-length.
 */
struct stomp_part { const char *text; size_t size; };
GString *stomp_begin(const char *command);
void stomp_add(GString *out, const char *name, const char *value);          /* escapes the value */
void stomp_add_plain(GString *out, const char *name, const char *value);    /* as it stands: CONNECT and CONNECTED have no escapes */
GBytes *stomp_end(GString *out, const struct stomp_part *parts, unsigned n_parts);
void stomp_escape(GString *out, const char *text);

#endif
