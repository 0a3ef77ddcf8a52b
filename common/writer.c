/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: XML or JSON text from the same calls, straight into a GString. Records go through it in writer_records.c.
 *
 * Hot path of every list the engine answers: one reservation per element, names and values copied with their known lengths, no allocation
 * per member.
 */
#include "common/writer-priv.h"

#define XML_DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
#define INDENT_XML 4
#define INDENT_JSON 2

/* ---- text ---- */

/* Both write NAME_BYTES at once: so many more must be reserved. */
static inline char *put_blanks(char *p, size_t count)
{
	memset(p, ' ', NAME_BYTES);
	if (G_UNLIKELY(count > NAME_BYTES))
		memset(p, ' ', count);
	return p + count;
}

static inline char *put_name(char *p, const char *name, size_t length)
{
	memcpy(p, name, NAME_BYTES);
	if (G_UNLIKELY(length > NAME_BYTES))
		memcpy(p, name, length);
	return p + length;
}

static const char name_value[NAME_BYTES] = "value";

static const bool special_xml[256] = { [0 ... 31] = true, ['&'] = true, ['<'] = true, ['>'] = true, ['"'] = true, [128 ... 255] = true };
static const bool special_json[256] = { [0 ... 31] = true, ['"'] = true, ['\\'] = true, [128 ... 255] = true };

unsigned utf8_decode(const unsigned char *p, const unsigned char *end, uint32_t *ret_char)
{
	unsigned length = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c;

	if (*p < 0xc2 || *p > 0xf4 || (size_t)(end - p) < length)
		return 0;
	c = *p & (0x7fu >> length);
	for (unsigned i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret_char = c;
	return length;
}

static char *put_unicode(char *p, uint32_t c)
{
	static const char hex[] = "0123456789abcdef";

	if (c > 0xffff) {
		p = put_unicode(p, 0xd7c0 + (c >> 10));
		c = 0xdc00 + (c & 0x3ff);
	}
	*p++ = '\\';
	*p++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*p++ = hex[c >> shift & 15];
	return p;
}

/* What stands for a character that cannot stand for itself; at most 16 bytes. */
static char *put_escape(char *p, uint32_t c, enum escape how)
{
	if (how <= ESCAPE_XML_ATTRIBUTE) {
		switch (c) {
		case '&':
			return text_put(p, "&amp;", 5);
		case '<':
			return text_put(p, "&lt;", 4);
		case '>':
			return text_put(p, "&gt;", 4);
		case '"':
			return text_put(p, "&quot;", 6);
		case '\t':
		case '\n':
			if (how == ESCAPE_XML_ATTRIBUTE)
				return text_put(p, c == '\t' ? "&#9;" : "&#10;", c == '\t' ? 4 : 5);
			*p++ = (char)c;
			return p;
		case '\r':
			return text_put(p, "&#13;", 5);
		default:
			return c == 0xfffd ? text_put(p, "\xef\xbf\xbd", 3) : p;      /* the others cannot be in XML 1.0 at all */
		}
	}
	switch (c) {
	case '"':
		return text_put(p, "\\\"", 2);
	case '\\':
		return text_put(p, "\\\\", 2);
	case '\n':
		return text_put(p, "\\n", 2);
	case '\r':
		return text_put(p, "\\r", 2);
	case '\t':
		return text_put(p, "\\t", 2);
	case '\b':
		return text_put(p, "\\b", 2);
	case '\f':
		return text_put(p, "\\f", 2);
	default:
		return c == 0xfffd && how == ESCAPE_JSON ? text_put(p, "\xef\xbf\xbd", 3) : put_unicode(p, c);
	}
}

void writer_escape(GString *out, const char *text, size_t length, enum escape how)
{
	const bool *special = how <= ESCAPE_XML_ATTRIBUTE ? special_xml : special_json;
	const unsigned char *p = (const unsigned char *)text, *end = p + length, *run = p;

	while (p < end) {
		unsigned size = 1;
		uint32_t c = *p;

		if (!special[*p]) {
			p++;
			continue;
		}
		if (*p >= 0x80) {
			size = utf8_decode(p, end, &c);
			if (size && how != ESCAPE_JSON_ASCII && (how == ESCAPE_JSON || (c != 0xfffe && c != 0xffff))) {
				p += size;
				continue;
			}
			if (!size) {
				size = 1;
				c = 0xfffd;
			}
		}
		text_append(out, (const char *)run, (size_t)(p - run));
		text_filled(out, put_escape(text_reserve(out, 16), c, how));
		p += size;
		run = p;
	}
	text_append(out, (const char *)run, (size_t)(p - run));
}

/* Sixteen bytes at once; where there are no such registers the compiler makes ordinary code of it. */
typedef uint8_t block __attribute__((vector_size(16)));

static inline bool block_is_plain(const char *text, bool xml)
{
	uint64_t halves[2];
	block at, special;

	memcpy(&at, text, sizeof(at));
	special = (block)((at < 32) | (at >= 128) | (at == '"'));
	special |= (block)(xml ? (at == '&') | (at == '<') | (at == '>') : at == '\\');
	memcpy(halves, &special, sizeof(halves));
	return !(halves[0] | halves[1]);
}

static inline bool is_plain(const char *text, size_t length, bool xml)
{
	const bool *special = xml ? special_xml : special_json;

	if (length < sizeof(block)) {
		for (size_t i = 0; i < length; i++)
			if (special[(unsigned char)text[i]])
				return false;
		return true;
	}
	for (size_t i = 0; i < length - sizeof(block); i += sizeof(block))
		if (!block_is_plain(text + i, xml))
			return false;
	return block_is_plain(text + length - sizeof(block), xml);
}

/* ---- JSON values ---- */

static void append_json_string(GString *out, const char *text, size_t length, bool ascii)
{
	text_append(out, "\"", 1);
	writer_escape(out, text, length, ascii ? ESCAPE_JSON_ASCII : ESCAPE_JSON);
	text_append(out, "\"", 1);
}

void json_append(GString *out, const json_t *json, bool compact, bool ascii)
{
	const char *key, *comma = compact ? "," : ", ", *colon = compact ? ":" : ": ";
	char buffer[FIELD_TEXT_SIZE];
	bool first = true;
	json_t *value;
	size_t i;

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		g_string_append_c(out, '{');
		json_object_foreach((json_t *)json, key, value) {
			if (!first)
				g_string_append(out, comma);
			first = false;
			append_json_string(out, key, strlen(key), ascii);
			g_string_append(out, colon);
			json_append(out, value, compact, ascii);
		}
		g_string_append_c(out, '}');
		break;
	case JSON_ARRAY:
		g_string_append_c(out, '[');
		json_array_foreach(json, i, value) {
			if (i)
				g_string_append(out, comma);
			json_append(out, value, compact, ascii);
		}
		g_string_append_c(out, ']');
		break;
	case JSON_STRING:
		append_json_string(out, json_string_value(json), json_string_length(json), ascii);
		break;
	case JSON_INTEGER:
		(void)g_snprintf(buffer, sizeof(buffer), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
		g_string_append(out, buffer);
		break;
	case JSON_REAL:
		text_append(out, buffer, decimal_format(json_real_value(json), 0, /* fraction= */ true, buffer));
		break;
	case JSON_TRUE:
		g_string_append(out, "true");
		break;
	case JSON_FALSE:
		g_string_append(out, "false");
		break;
	case JSON_NULL:
		g_string_append(out, "null");
		break;
	}
}

void json_write(GString *out, const json_t *json)
{
	json_append(out, json, /* compact= */ false, /* ascii= */ true);
}

/* ---- life ---- */

static struct writer *writer_new(GString *out)
{
	struct writer *w = g_new0(struct writer, 1);

	w->out = out;
	w->allocated = 32;
	w->frames = g_new(struct frame, w->allocated);
	w->names = g_string_new(NULL);
	w->scratch = g_string_new(NULL);
	return w;
}

struct writer *writer_new_xml(GString *out)
{
	struct writer *w = writer_new(out);

	w->xml = true;
	w->dialect = RECORD_REST;
	g_string_append(out, XML_DECLARATION);
	return w;
}

struct writer *writer_new_json(GString *out, enum record_dialect dialect, bool pretty)
{
	struct writer *w = writer_new(out);

	w->dialect = dialect;
	w->pretty = pretty;
	w->ascii = dialect == RECORD_CHANNEL;
	return w;
}

struct writer *writer_free(struct writer *w)
{
	if (!w)
		return NULL;
	g_string_free(w->names, TRUE);
	g_string_free(w->scratch, TRUE);
	g_free(w->frames);
	g_free(w);
	return NULL;
}

/* ---- frames ---- */

struct frame *writer_push(struct writer *w, enum frame_kind kind, const char *name, size_t length)
{
	struct frame *frame;

	if (w->depth == w->allocated) {
		g_assert(w->allocated > 0);
		w->allocated *= 2;
		w->frames = g_renew(struct frame, w->frames, w->allocated);
	}
	frame = &w->frames[w->depth++];
	*frame = (struct frame) { .name = name, .length = (uint16_t)length, .kind = (uint8_t)kind, .empty = true };
	return frame;
}

static inline struct frame *top(struct writer *w)
{
	return w->depth ? &w->frames[w->depth - 1] : NULL;
}

/* JSON: what comes before a value: comma, line, name (ready). */
void writer_json_lead(struct writer *w, const char *name, size_t length)
{
	struct frame *frame = top(w);
	size_t indent = w->pretty ? w->level * INDENT_JSON : 0;
	char *p;

	if (!frame)
		return;
	p = text_reserve(w->out, indent + length + NAME_BYTES + 8);
	if (!frame->empty) {
		*p++ = ',';
		if (w->ascii && !w->pretty)
			*p++ = ' ';
	}
	frame->empty = false;
	if (w->pretty) {
		*p++ = '\n';
		p = put_blanks(p, indent);
	}
	if (frame->kind == FRAME_OBJECT) {
		*p++ = '"';
		p = put_name(p, name, length);
		*p++ = '"';
		*p++ = ':';
		if (w->ascii || w->pretty)
			*p++ = ' ';
	}
	text_filled(w->out, p);
}

void writer_json_close(struct writer *w, char bracket)
{
	struct frame *frame = top(w);
	char *p;

	w->level--;
	p = text_reserve(w->out, w->level * INDENT_JSON + NAME_BYTES + 4);
	if (w->pretty && !frame->empty) {
		*p++ = '\n';
		p = put_blanks(p, w->level * INDENT_JSON);
	}
	*p++ = bracket;
	w->depth--;
	if (w->pretty && !w->depth)
		*p++ = '\n';
	text_filled(w->out, p);
}

void writer_json_value(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, enum value_form form)
{
	char *p;

	writer_json_lead(w, name, name_length);
	if (form == BARE_VALUE) {
		text_append(w->out, value, length);
	} else if (form == PLAIN_VALUE || is_plain(value, length, /* xml= */ false)) {
		p = text_reserve(w->out, length + 2);
		*p++ = '"';
		p = text_put(p, value, length);
		*p++ = '"';
		text_filled(w->out, p);
	} else {
		append_json_string(w->out, value, length, w->ascii);
	}
}

/* XML: ends the start tag of the parent; returns where the child's line begins. */
char *writer_xml_lead(struct writer *w, size_t size)
{
	char *p = text_reserve(w->out, w->level * INDENT_XML + size + NAME_BYTES + 2);

	if (w->tag_open) {
		*p++ = '>';
		*p++ = '\n';
		w->tag_open = false;
	} else if (w->depth && top(w)->inline_text) {
		*p++ = '\n';
		top(w)->inline_text = false;
	}
	return put_blanks(p, w->level * INDENT_XML);
}

static void xml_open(struct writer *w, const char *name, size_t length)
{
	char *p = writer_xml_lead(w, length + 2);

	*p++ = '<';
	text_filled(w->out, put_name(p, name, length));
	w->tag_open = true;
	w->level++;
}

static void xml_leaf(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, enum value_form form)
{
	char *p = writer_xml_lead(w, 2 * name_length + length + 8);

	*p++ = '<';
	p = put_name(p, name, name_length);
	if (!length) {
		text_filled(w->out, text_put(p, "/>\n", 3));
		return;
	}
	*p++ = '>';
	if (form != TEXT_VALUE || is_plain(value, length, /* xml= */ true)) {
		p = text_put(p, value, length);
	} else {
		text_filled(w->out, p);
		writer_escape(w->out, value, length, ESCAPE_XML_TEXT);
		p = text_reserve(w->out, name_length + NAME_BYTES + 8);
	}
	p = text_put(p, "</", 2);
	p = put_name(p, name, name_length);
	text_filled(w->out, text_put(p, ">\n", 2));
}

void writer_ready_attribute(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, enum value_form form)
{
	char *p;

	if (!w->xml) {
		writer_json_value(w, name, name_length, value, length, form);
		return;
	}
	g_return_if_fail(w->tag_open);
	p = text_reserve(w->out, name_length + length + NAME_BYTES + 8);
	*p++ = ' ';
	p = put_name(p, name, name_length);
	p = text_put(p, "=\"", 2);
	if (form != TEXT_VALUE || is_plain(value, length, /* xml= */ true)) {
		p = text_put(p, value, length);
	} else {
		text_filled(w->out, p);
		writer_escape(w->out, value, length, ESCAPE_XML_ATTRIBUTE);
		p = text_reserve(w->out, 4);
	}
	*p++ = '"';
	text_filled(w->out, p);
}

/* The name is ready, and lives until the element is closed. */
void writer_open_ready(struct writer *w, const char *name, size_t length)
{
	if (w->xml) {
		xml_open(w, name, length);
	} else {
		writer_json_lead(w, name, length);
		text_append(w->out, "{", 1);
		w->level++;
	}
	writer_push(w, FRAME_OBJECT, name, length);
}

void writer_leaf(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, enum value_form form)
{
	if (w->xml)
		xml_leaf(w, name, name_length, value, length, form);
	else
		writer_json_value(w, name, name_length, value, length, form);
}

/* Text of the element that is open. */
void writer_own_text(struct writer *w, const char *value, size_t length, enum value_form form)
{
	if (!w->xml) {
		writer_json_value(w, name_value, 5, value, length, form);
		return;
	}
	if (!length || !w->tag_open)
		return;
	text_append(w->out, ">", 1);
	w->tag_open = false;
	writer_escape(w->out, value, length, ESCAPE_XML_TEXT);
	top(w)->inline_text = true;
}

/* ---- the calls ---- */

/* A caller's name, behind what `names` holds. */
static const char *ready_name(struct writer *w, const char *name, size_t *ret_length)
{
	size_t at = w->names->len, length = strlen(name);

	if (w->xml || is_plain(name, length, /* xml= */ false))
		text_append(w->names, name, length);
	else
		writer_escape(w->names, name, length, w->ascii ? ESCAPE_JSON_ASCII : ESCAPE_JSON);
	(void)text_reserve(w->names, NAME_BYTES);
	*ret_length = w->names->len - at;
	return w->names->str + at;
}

void writer_open(struct writer *w, const char *name)
{
	size_t length;
	const char *ready = ready_name(w, name, &length);
	struct frame *frame;

	writer_open_ready(w, ready, length);
	frame = top(w);
	frame->name = NULL;
	frame->at = (uint32_t)(w->names->len - length);
	if (!w->xml)
		g_string_truncate(w->names, frame->at);
}

void writer_close(struct writer *w)
{
	struct frame *frame = top(w);
	const char *name;
	char *p;

	g_return_if_fail(frame && frame->kind == FRAME_OBJECT);
	if (!w->xml) {
		writer_json_close(w, '}');
		return;
	}
	w->level--;
	p = text_reserve(w->out, w->level * INDENT_XML + frame->length + NAME_BYTES + 8);
	if (w->tag_open) {
		p = text_put(p, "/>\n", 3);
		w->tag_open = false;
	} else {
		if (!frame->inline_text)
			p = put_blanks(p, w->level * INDENT_XML);
		name = frame->name ? frame->name : w->names->str + frame->at;
		p = text_put(p, "</", 2);
		p = put_name(p, name, frame->length);
		p = text_put(p, ">\n", 2);
	}
	text_filled(w->out, p);
	if (!frame->name)
		g_string_truncate(w->names, frame->at);
	w->depth--;
}

void writer_open_list(struct writer *w, const char *item_name)
{
	const char *ready;
	size_t length;

	if (w->xml)
		return;
	ready = ready_name(w, item_name, &length);
	writer_json_lead(w, ready, length);
	g_string_truncate(w->names, w->names->len - length);
	text_append(w->out, "[", 1);
	w->level++;
	writer_push(w, FRAME_LIST, "", 0);
}

void writer_close_list(struct writer *w)
{
	if (w->xml)
		return;
	g_return_if_fail(w->depth && top(w)->kind == FRAME_LIST);
	writer_json_close(w, ']');
}

void writer_attribute(struct writer *w, const char *name, const char *value)
{
	size_t length;
	const char *ready = ready_name(w, name, &length);

	writer_ready_attribute(w, ready, length, value, strlen(value), TEXT_VALUE);
	g_string_truncate(w->names, w->names->len - length);
}

static void caller_leaf(struct writer *w, const char *name, const char *value, enum value_form form)
{
	size_t length;
	const char *ready = ready_name(w, name, &length);

	writer_leaf(w, ready, length, value, strlen(value), form);
	g_string_truncate(w->names, w->names->len - length);
}

void writer_text(struct writer *w, const char *name, const char *value)
{
	caller_leaf(w, name, value, TEXT_VALUE);
}

void writer_number(struct writer *w, const char *name, const char *digits)
{
	caller_leaf(w, name, digits, BARE_VALUE);
}
