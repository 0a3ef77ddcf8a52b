/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_JSON_READER_H
#define BERTH_COMMON_JSON_READER_H
/*
 * JSON text from outside, value by value, without a tree in between: for answers that are big and come often. json_parse() (record.h) builds its trees
 * on the same lexer.
 *
 *	json_reader_init(&r, text, length);
 *	for (bool more = json_enter(&r, '{'); more && json_member(&r, &name);)
 *		json_slice_is(name, "size") ? json_read_long(&r, &size) : json_skip(&r);
 *	ok = json_reader_end(&r, error);
 *
 * RFC 8259 without extensions. Refused beside syntax errors: "\u0000" and lone surrogates, bytes that are no UTF-8, integers beyond 64 bits, reals
 * beyond double, more than 64 levels. After the first problem every function fails or says that there is no more; json_reader_end() tells it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>

#define JSON_DEPTH_MAX 64

struct json_reader {
	const char *start, *p, *end;
	const char *problem;           /* NULL: none yet; p stands where it is */
	unsigned depth;
	bool first;                    /* p stands behind the bracket that opened the container */
	GString *scratch;              /* the last text that had escapes; made when there is one */
};

/* Not ended by NUL. */
struct json_slice { const char *text; size_t length; };

static inline bool json_slice_is(struct json_slice slice, const char *text)
{
	return slice.length == strlen(text) && !memcmp(slice.text, text, slice.length);
}

/* The text must stay as long as the reader. */
void json_reader_init(struct json_reader *reader, const char *text, size_t length);
/* The end, which every reader must come to. false + ERR_SYNTAX with line and column: there was a problem, or there is more than one value. */
bool json_reader_end(struct json_reader *reader, GError **error);
/* Notes a problem of the caller's own ("no id") where the reader stands. Returns false. */
bool json_fail(struct json_reader *reader, const char *problem);

/* The next value is an object '{', an array '[': its members, items follow. */
bool json_enter(struct json_reader *reader, char open);
/* The next member's name; its value must be read or skipped then. false: there is none, and the object is behind. */
bool json_member(struct json_reader *reader, struct json_slice *ret_name);
/* Is there a next item? It must be read or skipped then. false: the array is behind. */
bool json_item(struct json_reader *reader);
/* A text; it is good until the next one is read. */
bool json_read_text(struct json_reader *reader, struct json_slice *ret_text);
/* Numbers, also as text ("12"). */
bool json_read_long(struct json_reader *reader, int64_t *ret_value);
bool json_read_double(struct json_reader *reader, double *ret_value);
/* Any value. */
bool json_skip(struct json_reader *reader);

/* ---- the lexer, for json_text.c; at the value's first character ---- */
struct json_number { bool real; int64_t integer; double value; };
void json_skip_blanks(struct json_reader *reader);
bool json_lex_text(struct json_reader *reader, struct json_slice *ret_text);
bool json_lex_number(struct json_reader *reader, struct json_number *ret_number);
bool json_lex_word(struct json_reader *reader, const char *word);
bool json_unexpected(struct json_reader *reader);

#endif
