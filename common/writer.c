/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: XML or JSON text from the same calls, straight into a GString; and records through it.
 *
 * Hot path of every list the engine answers: one reservation per element, names and values copied with their known lengths, no allocation
 * per member. Parents of a member are opened when the first member below them turns out to be present.
 */
#include "common/record-priv.h"
#include <string.h>

#define XML_DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
#define BLANKS "                                                                "
#define INDENT_XML 4
#define INDENT_JSON 2

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

/* ---- text ---- */

static inline char *reserve(GString *out, size_t size)
{
	size_t length = out->len;

	if (G_UNLIKELY(length + size >= out->allocated_len)) {
		g_string_set_size(out, length + size);
		out->len = length;
	}
	return out->str + length;
}

static inline void filled(GString *out, char *end)
{
	*end = '\0';
	out->len = (size_t)(end - out->str);
}

static inline char *put(char *p, const char *text, size_t length)
{
	memcpy(p, text, length);
	return p + length;
}

static inline void append(GString *out, const char *text, size_t length)
{
	filled(out, put(reserve(out, length), text, length));
}

static char *put_blanks(char *p, size_t count)
{
	memset(p, ' ', count);
	return p + count;
}

enum escape { ESCAPE_XML_TEXT, ESCAPE_XML_ATTRIBUTE, ESCAPE_JSON, ESCAPE_JSON_ASCII };

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
			return put(p, "&amp;", 5);
		case '<':
			return put(p, "&lt;", 4);
		case '>':
			return put(p, "&gt;", 4);
		case '"':
			return put(p, "&quot;", 6);
		case '\t':
		case '\n':
			if (how == ESCAPE_XML_ATTRIBUTE)
				return put(p, c == '\t' ? "&#9;" : "&#10;", c == '\t' ? 4 : 5);
			*p++ = (char)c;
			return p;
		case '\r':
			return put(p, "&#13;", 5);
		default:
			return c == 0xfffd ? put(p, "\xef\xbf\xbd", 3) : p;      /* the others cannot be in XML 1.0 at all */
		}
	}
	switch (c) {
	case '"':
		return put(p, "\\\"", 2);
	case '\\':
		return put(p, "\\\\", 2);
	case '\n':
		return put(p, "\\n", 2);
	case '\r':
		return put(p, "\\r", 2);
	case '\t':
		return put(p, "\\t", 2);
	case '\b':
		return put(p, "\\b", 2);
	case '\f':
		return put(p, "\\f", 2);
	default:
		return c == 0xfffd && how == ESCAPE_JSON ? put(p, "\xef\xbf\xbd", 3) : put_unicode(p, c);
	}
}

static void append_escaped(GString *out, const char *text, size_t length, enum escape how)
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
		append(out, (const char *)run, (size_t)(p - run));
		filled(out, put_escape(reserve(out, 16), c, how));
		p += size;
		run = p;
	}
	append(out, (const char *)run, (size_t)(p - run));
}

static inline bool is_plain(const char *text, size_t length, const bool *special)
{
	for (size_t i = 0; i < length; i++)
		if (special[(unsigned char)text[i]])
			return false;
	return true;
}

/* ---- JSON values ---- */

static void append_json_string(GString *out, const char *text, size_t length, bool ascii)
{
	append(out, "\"", 1);
	append_escaped(out, text, length, ascii ? ESCAPE_JSON_ASCII : ESCAPE_JSON);
	append(out, "\"", 1);
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
		append(out, buffer, decimal_format(json_real_value(json), 0, /* fraction= */ true, buffer));
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

static struct frame *push(struct writer *w, enum frame_kind kind, const char *name, size_t length)
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

/* JSON: what comes before a value: comma, line, name. */
static void json_lead(struct writer *w, const char *name, size_t length)
{
	struct frame *frame = top(w);
	size_t indent = w->pretty ? w->level * INDENT_JSON : 0;
	char *p;

	if (!frame)
		return;
	p = reserve(w->out, indent + length + 8);
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
		if (G_UNLIKELY(!is_plain(name, length, special_json))) {
			filled(w->out, p);
			append_json_string(w->out, name, length, w->ascii);
			p = reserve(w->out, 4);
		} else {
			*p++ = '"';
			p = put(p, name, length);
			*p++ = '"';
		}
		*p++ = ':';
		if (w->ascii || w->pretty)
			*p++ = ' ';
	}
	filled(w->out, p);
}

static void json_close(struct writer *w, char bracket)
{
	struct frame *frame = top(w);
	char *p;

	w->level--;
	p = reserve(w->out, w->level * INDENT_JSON + 4);
	if (w->pretty && !frame->empty) {
		*p++ = '\n';
		p = put_blanks(p, w->level * INDENT_JSON);
	}
	*p++ = bracket;
	w->depth--;
	if (w->pretty && !w->depth)
		*p++ = '\n';
	filled(w->out, p);
}

static void json_value(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, bool quoted)
{
	char *p;

	json_lead(w, name, name_length);
	if (!quoted) {
		append(w->out, value, length);
	} else if (is_plain(value, length, special_json)) {
		p = reserve(w->out, length + 2);
		*p++ = '"';
		p = put(p, value, length);
		*p++ = '"';
		filled(w->out, p);
	} else {
		append_json_string(w->out, value, length, w->ascii);
	}
}

/* XML: ends the start tag of the parent; returns where the child's line begins. */
static char *xml_lead(struct writer *w, size_t size)
{
	char *p = reserve(w->out, w->level * INDENT_XML + size + 2);

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
	char *p = xml_lead(w, length + 2);

	*p++ = '<';
	filled(w->out, put(p, name, length));
	w->tag_open = true;
	w->level++;
}

static void xml_leaf(struct writer *w, const char *name, size_t name_length, const char *value, size_t length)
{
	char *p = xml_lead(w, 2 * name_length + length + 8);

	*p++ = '<';
	p = put(p, name, name_length);
	if (!length) {
		filled(w->out, put(p, "/>\n", 3));
		return;
	}
	*p++ = '>';
	if (is_plain(value, length, special_xml)) {
		p = put(p, value, length);
	} else {
		filled(w->out, p);
		append_escaped(w->out, value, length, ESCAPE_XML_TEXT);
		p = reserve(w->out, name_length + 8);
	}
	p = put(p, "</", 2);
	p = put(p, name, name_length);
	filled(w->out, put(p, ">\n", 2));
}

static void attribute(struct writer *w, const char *name, size_t name_length, const char *value, size_t length)
{
	char *p;

	if (!w->xml) {
		json_value(w, name, name_length, value, length, /* quoted= */ true);
		return;
	}
	g_return_if_fail(w->tag_open);
	p = reserve(w->out, name_length + length + 8);
	*p++ = ' ';
	p = put(p, name, name_length);
	p = put(p, "=\"", 2);
	if (is_plain(value, length, special_xml)) {
		p = put(p, value, length);
	} else {
		filled(w->out, p);
		append_escaped(w->out, value, length, ESCAPE_XML_ATTRIBUTE);
		p = reserve(w->out, 4);
	}
	*p++ = '"';
	filled(w->out, p);
}

/* name must live until the element is closed. */
static void open_static(struct writer *w, const char *name, size_t length)
{
	if (w->xml) {
		xml_open(w, name, length);
	} else {
		json_lead(w, name, length);
		append(w->out, "{", 1);
		w->level++;
	}
	push(w, FRAME_OBJECT, name, length);
}

static void leaf(struct writer *w, const char *name, size_t name_length, const char *value, size_t length, bool quoted)
{
	if (w->xml)
		xml_leaf(w, name, name_length, value, length);
	else
		json_value(w, name, name_length, value, length, quoted);
}

/* Text of the element that is open. */
static void own_text(struct writer *w, const char *value, size_t length, bool quoted)
{
	if (!w->xml) {
		json_value(w, "value", 5, value, length, quoted);
		return;
	}
	if (!length || !w->tag_open)
		return;
	append(w->out, ">", 1);
	w->tag_open = false;
	append_escaped(w->out, value, length, ESCAPE_XML_TEXT);
	top(w)->inline_text = true;
}

/* ---- the calls ---- */

void writer_open(struct writer *w, const char *name)
{
	size_t length = strlen(name);
	struct frame *frame;

	open_static(w, name, length);
	frame = top(w);
	frame->name = NULL;
	frame->at = (uint32_t)w->names->len;
	if (w->xml)
		g_string_append_len(w->names, name, (gssize)length);
}

void writer_close(struct writer *w)
{
	struct frame *frame = top(w);
	const char *name;
	char *p;

	g_return_if_fail(frame && frame->kind == FRAME_OBJECT);
	if (!w->xml) {
		json_close(w, '}');
		return;
	}
	w->level--;
	p = reserve(w->out, w->level * INDENT_XML + frame->length + 8);
	if (w->tag_open) {
		p = put(p, "/>\n", 3);
		w->tag_open = false;
	} else {
		if (!frame->inline_text)
			p = put_blanks(p, w->level * INDENT_XML);
		name = frame->name ? frame->name : w->names->str + frame->at;
		p = put(p, "</", 2);
		p = put(p, name, frame->length);
		p = put(p, ">\n", 2);
	}
	filled(w->out, p);
	if (!frame->name)
		g_string_truncate(w->names, frame->at);
	w->depth--;
}

void writer_open_list(struct writer *w, const char *item_name)
{
	if (!w->xml) {
		json_lead(w, item_name, strlen(item_name));
		append(w->out, "[", 1);
		w->level++;
		push(w, FRAME_LIST, "", 0);
	}
}

void writer_close_list(struct writer *w)
{
	if (w->xml)
		return;
	g_return_if_fail(w->depth && top(w)->kind == FRAME_LIST);
	json_close(w, ']');
}

void writer_attribute(struct writer *w, const char *name, const char *value)
{
	attribute(w, name, strlen(name), value, strlen(value));
}

void writer_text(struct writer *w, const char *name, const char *value)
{
	leaf(w, name, strlen(name), value, strlen(value), /* quoted= */ true);
}

void writer_number(struct writer *w, const char *name, const char *digits)
{
	leaf(w, name, strlen(name), digits, strlen(digits), /* quoted= */ false);
}

/* ---- records ---- */

#define PENDING_MAX 32                 /* path segments; the plan's own bound is the length of a path anyone would write */

struct walk {
	struct writer *w;
	const void *record;
	const struct record_view *view;
	unsigned bit;
	unsigned opened, pending;
	const struct node *path[PENDING_MAX];      /* parents of the member at hand; the first `opened` are written */
};

static void write_members(struct writer *w, const struct plan *plan, const void *record, const struct record_view *view);

static void open_parents(struct walk *walk)
{
	for (; walk->opened < walk->pending; walk->opened++)
		open_static(walk->w, walk->path[walk->opened]->name, walk->path[walk->opened]->length);
}

static void write_record(struct writer *w, const char *name, size_t length, const struct plan *plan, const void *record,
			 const struct record_view *view)
{
	open_static(w, name, length);
	write_members(w, plan, record, view);
	writer_close(w);
}

/* base/target/id, or what the view makes of it. Written as attribute or member "href". */
static void write_href(struct writer *w, const struct record_view *view, const struct field *field, const struct ref *ref)
{
	GString *href = w->scratch;

	if (!view || (!view->ref_href && (!view->base || !field->target || !ref->id)))
		return;
	g_string_truncate(href, 0);
	if (view->ref_href) {
		view->ref_href(view, href, field, ref);
	} else {
		append(href, view->base, strlen(view->base));
		append(href, "/", 1);
		append(href, field->target, strlen(field->target));
		append(href, "/", 1);
		append(href, ref->id, strlen(ref->id));
	}
	if (href->len)
		attribute(w, "href", 4, href->str, href->len);
}

static void write_ref(struct walk *walk, const struct node *node, const struct ref *ref)
{
	struct writer *w = walk->w;

	open_parents(walk);
	if (w->dialect != RECORD_REST && ref->id) {
		json_value(w, node->name, node->length, ref->id, strlen(ref->id), /* quoted= */ true);
		return;
	}
	open_static(w, node->name, node->length);
	write_href(w, walk->view, node->field, ref);
	if (ref->id)
		attribute(w, "id", 2, ref->id, strlen(ref->id));
	else
		leaf(w, "name", 4, ref->name, strlen(ref->name), /* quoted= */ true);
	writer_close(w);
}

/* The view of a nested record: the caller's, or one that only knows how references look. */
static const struct record_view *view_of_item(const struct record_view *view, const struct field *field, const void *item, struct record_view *plain)
{
	const struct record_view *own;

	if (!view)
		return NULL;
	own = view->item_view ? view->item_view(view, field, item) : NULL;
	if (own)
		return own;
	*plain = (struct record_view) { .base = view->base, .all_content = view->all_content, .ref_href = view->ref_href,
					.item_view = view->item_view, .data = view->data };
	return plain;
}

static void write_list(struct walk *walk, const struct node *node, const GPtrArray *list)
{
	struct writer *w = walk->w;
	struct record_view plain;

	open_parents(walk);
	if (!w->xml) {
		/* a wrapper without items is an empty object in REST */
		if (!list->len && w->dialect == RECORD_REST)
			return;
		json_lead(w, node->name, node->length);
		append(w->out, "[", 1);
		w->level++;
		push(w, FRAME_LIST, "", 0);
	}
	for (unsigned i = 0; i < list->len; i++) {
		const char *text = list->pdata[i];

		if (node->field->kind == FIELD_STRINGS)
			leaf(w, node->name, node->length, text, strlen(text), /* quoted= */ true);
		else
			write_record(w, node->name, node->length, node_item_plan(node), list->pdata[i],
				     view_of_item(walk->view, node->field, list->pdata[i], &plain));
	}
	if (!w->xml)
		json_close(w, ']');
}

/* A member that has nothing below it. */
static void write_member(struct walk *walk, const struct node *node)
{
	const void *at = member_at(walk->record, node->field);
	struct writer *w = walk->w;
	char buffer[FIELD_TEXT_SIZE];
	struct record_view plain;
	const char *value;
	size_t length;
	bool quoted;

	switch (node->field->kind) {
	case FIELD_REF:
		if (((const struct ref *)at)->id || ((const struct ref *)at)->name)
			write_ref(walk, node, at);
		return;
	case FIELD_STRINGS:
	case FIELD_LIST:
		if (*(GPtrArray *const *)at)
			write_list(walk, node, *(GPtrArray *const *)at);
		return;
	case FIELD_RECORD:
		if (!*(void *const *)at)
			return;
		open_parents(walk);
		write_record(w, node->name, node->length, node_item_plan(node), *(void *const *)at,
			     view_of_item(walk->view, node->field, *(void *const *)at, &plain));
		return;
	case FIELD_JSON:
		if (!*(json_t *const *)at)
			return;
		open_parents(walk);
		json_lead(w, node->name, node->length);
		json_append(w->out, *(json_t *const *)at, /* compact= */ !w->ascii, w->ascii);
		return;
	default:
		value = field_format(node->field, node->index, walk->record, w->dialect, w->xml, buffer, &length, &quoted);
		if (!value)
			return;
		open_parents(walk);
		leaf(w, node->name, node->length, value, length, quoted);
	}
}

static bool hidden(const struct walk *walk, const struct node *node)
{
	return node->field->flags & ALL_CONTENT && walk->w->dialect == RECORD_REST && !(walk->view && walk->view->all_content);
}

static void write_attributes(struct walk *walk, const struct node *node)
{
	char buffer[FIELD_TEXT_SIZE];
	const char *value;
	size_t length;
	bool quoted;

	for (const struct node *child = node->first; child && child->attribute; child = child->next) {
		if (!(child->written & walk->bit) || hidden(walk, child))
			continue;
		value = field_format(child->field, child->index, walk->record, walk->w->dialect, walk->w->xml, buffer, &length, &quoted);
		if (!value)
			continue;
		open_parents(walk);
		if (walk->w->xml)
			attribute(walk->w, child->name, child->length, value, length);
		else
			json_value(walk->w, child->name, child->length, value, length, quoted);
	}
}

/* The text, or the id and href, of an element that also has members below it. */
static void write_own(struct walk *walk, const struct node *node)
{
	char buffer[FIELD_TEXT_SIZE];
	const struct ref *ref;
	const char *value;
	size_t length;
	bool quoted;

	if (!(node->written & walk->bit) || hidden(walk, node))
		return;
	if (node->field->kind == FIELD_REF) {
		ref = member_at(walk->record, node->field);
		if (!ref->id)
			return;
		open_parents(walk);
		if (walk->w->dialect == RECORD_REST)
			write_href(walk->w, walk->view, node->field, ref);
		attribute(walk->w, "id", 2, ref->id, strlen(ref->id));
		return;
	}
	value = field_format(node->field, node->index, walk->record, walk->w->dialect, walk->w->xml, buffer, &length, &quoted);
	if (!value)
		return;
	open_parents(walk);
	own_text(walk->w, value, length, quoted);
}

static void write_node(struct walk *walk, const struct node *node)
{
	bool ref;

	if (!(node->live & walk->bit) || walk->pending == PENDING_MAX)
		return;
	if (!node->object || (node->written & walk->bit && node->field->kind > FIELD_REF)) {
		if (!hidden(walk, node))
			write_member(walk, node);
		return;
	}
	ref = node->field && node->field->kind == FIELD_REF;
	walk->path[walk->pending++] = node;
	if (ref)
		write_own(walk, node);
	write_attributes(walk, node);
	if (!ref && node->field)
		write_own(walk, node);
	for (const struct node *child = node->first; child; child = child->next)
		if (!child->attribute)
			write_node(walk, child);
	walk->pending--;
	if (walk->opened > walk->pending) {
		writer_close(walk->w);
		walk->opened--;
	}
}

static void write_links(struct writer *w, const char *href, const char *const *names, const char *const *hrefs)
{
	writer_open_list(w, "link");
	for (size_t i = 0; names[i]; i++) {
		open_static(w, "link", 4);
		g_string_truncate(w->scratch, 0);
		if (hrefs && hrefs[i]) {
			append(w->scratch, hrefs[i], strlen(hrefs[i]));
		} else {
			append(w->scratch, href, strlen(href));
			append(w->scratch, "/", 1);
			append(w->scratch, names[i], strlen(names[i]));
		}
		attribute(w, "href", 4, w->scratch->str, w->scratch->len);
		attribute(w, "rel", 3, names[i], strlen(names[i]));
		writer_close(w);
	}
	writer_close_list(w);
}

static void write_tree(struct writer *w, const struct plan *plan, const void *record, const struct record_view *view)
{
	struct walk walk = { .w = w, .record = record, .view = view, .bit = DIALECT_BIT(w->dialect) };
	const struct node *root = plan->root, *child;
	bool links = view && view->href && view->links && *view->links;

	if (view && view->href)
		attribute(w, "href", 4, view->href, strlen(view->href));
	write_attributes(&walk, root);
	if (root->field)
		write_own(&walk, root);
	if (view && view->href && view->actions) {
		open_static(w, "actions", 7);
		write_links(w, view->href, view->actions, NULL);
		writer_close(w);
	}
	for (child = root->first; child; child = child->next)
		if (!child->attribute && child->head)
			write_node(&walk, child);
	if (links)
		write_links(w, view->href, view->links, view->link_hrefs);
	for (child = root->first; child; child = child->next)
		if (!child->attribute && !child->head)
			write_node(&walk, child);
	if (view && view->extra)
		view->extra(view, w, record);
}

/* RECORD_STORE: path -> value, nothing nested but items. */
static void write_flat(struct writer *w, const struct plan *plan, const void *record)
{
	struct walk walk = { .w = w, .record = record, .bit = DIALECT_BIT(RECORD_STORE) };

	for (unsigned i = 0; i < plan->n_members; i++) {
		const struct field *field = plan->members[i].field;
		struct node node = { .name = field->path, .path = field->path, .field = field, .input = field, .index = plan->members[i].index };

		if (field->flags & (VOLATILE_ | INPUT_ONLY) || !member_present(record, field, node.index))
			continue;
		node.length = (uint16_t)strlen(field->path);
		write_member(&walk, &node);
	}
}

static void write_members(struct writer *w, const struct plan *plan, const void *record, const struct record_view *view)
{
	if (w->dialect == RECORD_STORE)
		write_flat(w, plan, record);
	else
		write_tree(w, plan, record, view);
}

void record_write(struct writer *w, const char *name, const void *record, const struct record_view *view)
{
	const struct plan *plan = record_plan(((const struct record *)record)->type);

	if (name) {
		writer_open(w, name);
		write_members(w, plan, record, view);
		writer_close(w);
	} else {
		write_record(w, plan->type->name, strlen(plan->type->name), plan, record, view);
	}
}
