/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text from outside to json_t. Our own parser and not jansson's, for three reasons: a bound on depth before anything is built, line and
 * column of the first error, and speed (jansson's lexer takes characters one by one through a callback; loading the store took twice as long).
 *
 * RFC 8259 without extensions. Any value may be the root. Refused beside syntax errors: duplicate names, "\u0000" and lone surrogates,
 * bytes that are no UTF-8, integers beyond 64 bits, reals beyond double.
 */
#include "common/error.h"
#include "common/record-priv.h"
#include <math.h>
#include <string.h>

#define DEPTH_MAX 64

struct parser {
	const char *start, *p, *end;
	const char *problem;           /* NULL: none yet; p stands where it is */
	unsigned depth;
	GString *scratch;              /* the last text that had escapes */
};

struct slice {
	const char *text;
	size_t length;
};

static json_t *parse_value(struct parser *parser);

static bool fail(struct parser *parser, const char *problem)
{
	if (!parser->problem)
		parser->problem = problem;
	return false;
}

static inline void skip_blanks(struct parser *parser)
{
	while (parser->p < parser->end && (*parser->p == ' ' || *parser->p == '\n' || *parser->p == '\r' || *parser->p == '\t'))
		parser->p++;
}

static bool unexpected(struct parser *parser)
{
	return fail(parser, parser->p < parser->end ? "unexpected character" : "unexpected end");
}

/* ---- texts ---- */

static bool parse_hex(struct parser *parser, uint32_t *ret_value)
{
	uint32_t value = 0;

	if (parser->end - parser->p < 4)
		return fail(parser, "unexpected end");
	for (int i = 0; i < 4; i++) {
		int digit = g_ascii_xdigit_value(*parser->p);

		if (digit < 0)
			return fail(parser, "bad \\u escape");
		value = value << 4 | (uint32_t)digit;
		parser->p++;
	}
	*ret_value = value;
	return true;
}

/* After the backslash. */
static bool parse_escape(struct parser *parser)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t c = 0, low = 0;

	if (parser->p == parser->end)
		return fail(parser, "unexpected end");
	if (*parser->p != 'u') {
		found = *parser->p ? strchr(names, *parser->p) : NULL;
		if (!found)
			return fail(parser, "bad escape");
		g_string_append_c(parser->scratch, values[found - names]);
		parser->p++;
		return true;
	}
	parser->p++;
	if (!parse_hex(parser, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00) {
		if (parser->end - parser->p < 2 || parser->p[0] != '\\' || parser->p[1] != 'u')
			return fail(parser, "lone surrogate");
		parser->p += 2;
		if (!parse_hex(parser, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(parser, "lone surrogate");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000) {
		return fail(parser, "lone surrogate");
	}
	if (!c)
		return fail(parser, "\\u0000 is not accepted");
	g_string_append_unichar(parser->scratch, c);
	return true;
}

/* At the opening quote. The slice lies in the input, or in scratch until the next text is parsed. */
static bool parse_text(struct parser *parser, struct slice *ret_slice)
{
	const char *run = ++parser->p;
	bool escaped = false;

	for (;;) {
		unsigned char c;

		if (parser->p == parser->end)
			return fail(parser, "unexpected end");
		c = (unsigned char)*parser->p;
		if (c == '"') {
			break;
		} else if (c >= 0x80) {
			uint32_t unused;
			unsigned length = utf8_decode((const unsigned char *)parser->p, (const unsigned char *)parser->end, &unused);

			if (!length)
				return fail(parser, "not UTF-8");
			parser->p += length;
		} else if (c == '\\') {
			if (!escaped)
				g_string_truncate(parser->scratch, 0);
			escaped = true;
			g_string_append_len(parser->scratch, run, parser->p - run);
			parser->p++;
			if (!parse_escape(parser))
				return false;
			run = parser->p;
		} else if (c < 0x20) {
			return fail(parser, "control character in a text");
		} else {
			parser->p++;
		}
	}
	if (escaped) {
		g_string_append_len(parser->scratch, run, parser->p - run);
		*ret_slice = (struct slice) { parser->scratch->str, parser->scratch->len };
	} else {
		*ret_slice = (struct slice) { run, (size_t)(parser->p - run) };
	}
	parser->p++;
	return true;
}

/* ---- numbers ---- */

static bool skip_digits(struct parser *parser)
{
	if (parser->p == parser->end || !g_ascii_isdigit(*parser->p))
		return unexpected(parser);
	while (parser->p < parser->end && g_ascii_isdigit(*parser->p))
		parser->p++;
	return true;
}

static json_t *parse_real(struct parser *parser, const char *begin)
{
	size_t length = (size_t)(parser->p - begin);
	char buffer[64], *copy = length < sizeof(buffer) ? buffer : g_malloc(length + 1);
	double value;

	memcpy(copy, begin, length);
	copy[length] = '\0';
	value = g_ascii_strtod(copy, NULL);
	if (copy != buffer)
		g_free(copy);
	if (!isfinite(value)) {
		parser->p = begin;
		(void)fail(parser, "number is out of range");
		return NULL;
	}
	return json_real(value);
}

static json_t *parse_number(struct parser *parser)
{
	const char *begin = parser->p, *digit;
	bool negative = *begin == '-', real = false, overflow = false;
	uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;

	if (negative)
		parser->p++;
	digit = parser->p;
	if (!skip_digits(parser))
		return NULL;
	if (*digit == '0' && parser->p - digit > 1) {
		parser->p = digit + 1;
		(void)fail(parser, "number with leading zero");
		return NULL;
	}
	for (; digit < parser->p; digit++) {
		unsigned add = (unsigned)(*digit - '0');

		if (value > (limit - add) / 10)
			overflow = true;
		else
			value = value * 10 + add;
	}
	if (parser->p < parser->end && *parser->p == '.') {
		real = true;
		parser->p++;
		if (!skip_digits(parser))
			return NULL;
	}
	if (parser->p < parser->end && (*parser->p == 'e' || *parser->p == 'E')) {
		real = true;
		parser->p++;
		if (parser->p < parser->end && (*parser->p == '+' || *parser->p == '-'))
			parser->p++;
		if (!skip_digits(parser))
			return NULL;
	}
	if (real)
		return parse_real(parser, begin);
	if (overflow) {
		parser->p = begin;
		(void)fail(parser, "integer is out of range");
		return NULL;
	}
	return json_integer(negative ? (json_int_t)(0 - value) : (json_int_t)value);
}

/* ---- the rest ---- */

static bool parse_member(struct parser *parser, json_t *object)
{
	const char *name_at = parser->p;
	g_autofree char *copy = NULL;
	struct slice name = { NULL, 0 };
	json_t *value;

	if (parser->p == parser->end || *parser->p != '"')
		return unexpected(parser);
	if (!parse_text(parser, &name))
		return false;
	if (name.text == parser->scratch->str) {
		copy = g_strndup(name.text, name.length);       /* the value may need the scratch */
		name.text = copy;
	}
	skip_blanks(parser);
	if (parser->p == parser->end || *parser->p != ':')
		return unexpected(parser);
	parser->p++;
	value = parse_value(parser);
	if (!value)
		return false;
	if (json_object_getn(object, name.text, name.length)) {
		json_decref(value);
		parser->p = name_at;
		return fail(parser, "duplicate name");
	}
	return !json_object_setn_new_nocheck(object, name.text, name.length, value) || fail(parser, "no memory");
}

static bool parse_item(struct parser *parser, json_t *array)
{
	json_t *value = parse_value(parser);

	return value && (!json_array_append_new(array, value) || fail(parser, "no memory"));
}

/* An object or an array, at its opening bracket. */
static json_t *parse_container(struct parser *parser, json_t *container, char close)
{
	bool object = close == '}', done;

	if (++parser->depth > DEPTH_MAX) {
		(void)fail(parser, "more than 64 levels deep");
		json_decref(container);
		return NULL;
	}
	parser->p++;
	skip_blanks(parser);
	done = parser->p < parser->end && *parser->p == close;
	while (!done) {
		skip_blanks(parser);
		if (!(object ? parse_member(parser, container) : parse_item(parser, container)))
			break;
		skip_blanks(parser);
		done = parser->p < parser->end && *parser->p == close;
		if (!done && (parser->p == parser->end || *parser->p != ',')) {
			(void)unexpected(parser);
			break;
		}
		if (!done)
			parser->p++;
	}
	if (!done) {
		json_decref(container);
		return NULL;
	}
	parser->p++;
	parser->depth--;
	return container;
}

static json_t *parse_word(struct parser *parser, const char *word, json_t *value)
{
	size_t length = strlen(word);

	if ((size_t)(parser->end - parser->p) >= length && !memcmp(parser->p, word, length)) {
		parser->p += length;
		return value;
	}
	(void)unexpected(parser);
	return NULL;
}

static json_t *parse_value(struct parser *parser)
{
	struct slice slice;

	skip_blanks(parser);
	if (parser->p == parser->end) {
		(void)unexpected(parser);
		return NULL;
	}
	switch (*parser->p) {
	case '{':
		return parse_container(parser, json_object(), '}');
	case '[':
		return parse_container(parser, json_array(), ']');
	case '"':
		return parse_text(parser, &slice) ? json_stringn_nocheck(slice.text, slice.length) : NULL;
	case 't':
		return parse_word(parser, "true", json_true());
	case 'f':
		return parse_word(parser, "false", json_false());
	case 'n':
		return parse_word(parser, "null", json_null());
	case '-':
	case '0' ... '9':
		return parse_number(parser);
	default:
		(void)unexpected(parser);
		return NULL;
	}
}

json_t *json_parse(const char *text, size_t length, GError **error)
{
	struct parser parser = { .start = text, .p = text, .end = text + length, .scratch = g_string_new(NULL) };
	json_t *json = parse_value(&parser);

	if (json)
		skip_blanks(&parser);
	if (json && parser.p < parser.end) {
		(void)fail(&parser, "more after the end");
		json_decref(json);
		json = NULL;
	}
	if (!json) {
		unsigned line = 1, column = 1;

		for (const char *p = text; p < parser.p; p++) {
			column = *p == '\n' ? 1 : column + 1;
			line += *p == '\n';
		}
		error_set(error, ERR_SYNTAX, "JSON line %u, column %u: %s", line, column, parser.problem ? parser.problem : "no memory");
	}
	g_string_free(parser.scratch, TRUE);
	return json;
}
