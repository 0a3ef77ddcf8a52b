/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_WRITER_PRIV_H
#define BERTH_COMMON_WRITER_PRIV_H
/*
 * What the two files of the writer share; nothing else includes this.
 *
 * A *ready* name needs no escape and can be read NAME_BYTES far: those of plans, and what the writer makes of a caller's. It is copied NAME_BYTES at
 * once, which is cheaper than to count.
 */
#include "common/record-priv.h"
#include <string.h>

enum frame_kind { FRAME_OBJECT, FRAME_LIST };

struct frame {
	const char *name;              /* XML; NULL: in writer.names at `at` */
	uint32_t at;
	uint16_t length;
	uint8_t kind;
	bool empty;                    /* JSON: no comma yet */
	bool inline_text;              /* XML: text stands right before the end tag */
};

struct writer {
	GString *out;
	enum record_dialect dialect;
	bool xml, pretty, ascii;
	bool tag_open;                 /* XML: "<name" was written, ">" not yet */
	unsigned level;                /* open elements or brackets: indentation */
	unsigned depth, allocated;
	struct frame *frames;
	GString *names;                /* of open elements whose names are the caller's */
	GString *scratch;
};

enum escape { ESCAPE_XML_TEXT, ESCAPE_XML_ATTRIBUTE, ESCAPE_JSON, ESCAPE_JSON_ASCII };

/* What is written of a value: */
enum value_form {
	TEXT_VALUE,                    /* any text: may need escapes */
	PLAIN_VALUE,                   /* a text that needs none */
	BARE_VALUE                     /* the same, in JSON without quotes */
};

static inline char *text_reserve(GString *out, size_t size)
{
	size_t length = out->len;

	if (G_UNLIKELY(length + size >= out->allocated_len)) {
		g_string_set_size(out, length + size);
		out->len = length;
	}
	return out->str + length;
}

static inline void text_filled(GString *out, char *end)
{
	*end = '\0';
	out->len = (size_t)(end - out->str);
}

static inline char *text_put(char *p, const char *text, size_t length)
{
	memcpy(p, text, length);
	return p + length;
}

static inline void text_append(GString *out, const char *text, size_t length)
{
	text_filled(out, text_put(text_reserve(out, length), text, length));
}

void writer_escape(GString *out, const char *text, size_t length, enum escape how);
struct frame *writer_push(struct writer *w, enum frame_kind kind, const char *name, size_t length);
/* The name of what these write is ready. It is one that lives until the element is closed, where one is opened. */
void writer_json_lead(struct writer *w, const char *name, size_t length);       /* what comes before a value: comma, line, name */
void writer_json_close(struct writer *w, char bracket);
void writer_json_value(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, enum value_form form);
char *writer_xml_lead(struct writer *w, size_t size);                           /* ends the parent's start tag; where the child's line goes on, size bytes */
void writer_ready_attribute(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, enum value_form form);
void writer_open_ready(struct writer *w, const char *name, size_t length);
void writer_leaf(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, enum value_form form);
void writer_own_text(struct writer *w, const char *value, size_t length, enum value_form form);       /* text of the element that is open */

#endif
