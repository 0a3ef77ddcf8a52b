/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_reader.h"
#include <math.h>
#include "common/error.h"
#include "common/record-priv.h"

bool json_fail(struct json_reader *reader, const char *problem)
{
	if (!reader->problem)
		reader->problem = problem;
	return false;
}

void json_skip_blanks(struct json_reader *reader)
{
	while (reader->p < reader->end && (*reader->p == ' ' || *reader->p == '\n' || *reader->p == '\r' || *reader->p == '\t'))
		reader->p++;
}

bool json_unexpected(struct json_reader *reader)
{
	return json_fail(reader, reader->p < reader->end ? "unexpected character" : "unexpected end");
}

/* ---- texts ---- */

static bool parse_hex(struct json_reader *reader, uint32_t *ret_value)
{
	uint32_t value = 0;

	if (reader->end - reader->p < 4)
		return json_fail(reader, "unexpected end");
	for (int i = 0; i < 4; i++) {
		int digit = g_ascii_xdigit_value(*reader->p);

		if (digit < 0)
			return json_fail(reader, "bad \\u escape");
		value = value << 4 | (uint32_t)digit;
		reader->p++;
	}
	*ret_value = value;
	return true;
}

/* After the backslash. */
static bool parse_escape(struct json_reader *reader)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t c = 0, low = 0;

	if (reader->p == reader->end)
		return json_fail(reader, "unexpected end");
	if (*reader->p != 'u') {
		found = *reader->p ? strchr(names, *reader->p) : NULL;
		if (!found)
			return json_fail(reader, "bad escape");
		g_string_append_c(reader->scratch, values[found - names]);
		reader->p++;
		return true;
	}
	reader->p++;
	if (!parse_hex(reader, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00) {
		if (reader->end - reader->p < 2 || reader->p[0] != '\\' || reader->p[1] != 'u')
			return json_fail(reader, "lone surrogate");
		reader->p += 2;
		if (!parse_hex(reader, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return json_fail(reader, "lone surrogate");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000) {
		return json_fail(reader, "lone surrogate");
	}
	if (!c)
		return json_fail(reader, "\\u0000 is not accepted");
	g_string_append_unichar(reader->scratch, c);
	return true;
}

static void begin_scratch(struct json_reader *reader)
{
	if (reader->scratch)
		g_string_truncate(reader->scratch, 0);
	else
		reader->scratch = g_string_new(NULL);
}

/* At the opening quote. The slice lies in the input, or in scratch until the next text is parsed. */
bool json_lex_text(struct json_reader *reader, struct json_slice *ret_text)
{
	const char *run = ++reader->p;
	bool escaped = false;

	for (;;) {
		unsigned char c;

		if (reader->p == reader->end)
			return json_fail(reader, "unexpected end");
		c = (unsigned char)*reader->p;
		if (c == '"') {
			break;
		} else if (c >= 0x80) {
			uint32_t unused;
			unsigned length = utf8_decode((const unsigned char *)reader->p, (const unsigned char *)reader->end, &unused);

			if (!length)
				return json_fail(reader, "not UTF-8");
			reader->p += length;
		} else if (c == '\\') {
			if (!escaped)
				begin_scratch(reader);
			escaped = true;
			g_string_append_len(reader->scratch, run, reader->p - run);
			reader->p++;
			if (!parse_escape(reader))
				return false;
			run = reader->p;
		} else if (c < 0x20) {
			return json_fail(reader, "control character in a text");
		} else {
			reader->p++;
		}
	}
	if (escaped) {
		g_string_append_len(reader->scratch, run, reader->p - run);
		*ret_text = (struct json_slice) { reader->scratch->str, reader->scratch->len };
	} else {
		*ret_text = (struct json_slice) { run, (size_t)(reader->p - run) };
	}
	reader->p++;
	return true;
}

/* ---- numbers ---- */

static bool skip_digits(struct json_reader *reader)
{
	if (reader->p == reader->end || !g_ascii_isdigit(*reader->p))
		return json_unexpected(reader);
	while (reader->p < reader->end && g_ascii_isdigit(*reader->p))
		reader->p++;
	return true;
}

static bool lex_real(struct json_reader *reader, const char *begin, struct json_number *ret_number)
{
	size_t length = (size_t)(reader->p - begin);
	char buffer[64], *copy = length < sizeof(buffer) ? buffer : g_malloc(length + 1);
	double value;

	memcpy(copy, begin, length);
	copy[length] = '\0';
	value = g_ascii_strtod(copy, NULL);
	if (copy != buffer)
		g_free(copy);
	if (!isfinite(value)) {
		reader->p = begin;
		return json_fail(reader, "number is out of range");
	}
	*ret_number = (struct json_number){ .real = true, .value = value };
	return true;
}

bool json_lex_number(struct json_reader *reader, struct json_number *ret_number)
{
	const char *begin = reader->p, *digit;
	bool negative = *begin == '-', real = false, overflow = false;
	uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;

	if (negative)
		reader->p++;
	digit = reader->p;
	if (!skip_digits(reader))
		return false;
	if (*digit == '0' && reader->p - digit > 1) {
		reader->p = digit + 1;
		return json_fail(reader, "number with leading zero");
	}
	for (; digit < reader->p; digit++) {
		unsigned add = (unsigned)(*digit - '0');

		if (value > (limit - add) / 10)
			overflow = true;
		else
			value = value * 10 + add;
	}
	if (reader->p < reader->end && *reader->p == '.') {
		real = true;
		reader->p++;
		if (!skip_digits(reader))
			return false;
	}
	if (reader->p < reader->end && (*reader->p == 'e' || *reader->p == 'E')) {
		real = true;
		reader->p++;
		if (reader->p < reader->end && (*reader->p == '+' || *reader->p == '-'))
			reader->p++;
		if (!skip_digits(reader))
			return false;
	}
	if (real)
		return lex_real(reader, begin, ret_number);
	if (overflow) {
		reader->p = begin;
		return json_fail(reader, "integer is out of range");
	}
	*ret_number = (struct json_number){ .integer = negative ? (int64_t)(0 - value) : (int64_t)value };
	return true;
}

bool json_lex_word(struct json_reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->p) < length || memcmp(reader->p, word, length) != 0)
		return json_unexpected(reader);
	reader->p += length;
	return true;
}

/* ---- value by value ---- */

void json_reader_init(struct json_reader *reader, const char *text, size_t length)
{
	*reader = (struct json_reader){ .start = text, .p = text, .end = text + length };
}

bool json_reader_end(struct json_reader *reader, GError **error)
{
	unsigned line = 1, column = 1;

	if (!reader->problem) {
		json_skip_blanks(reader);
		if (reader->p < reader->end)
			(void)json_fail(reader, "more after the end");
	}
	if (reader->scratch)
		g_string_free(reader->scratch, TRUE);
	reader->scratch = NULL;
	if (!reader->problem)
		return true;
	for (const char *p = reader->start; p < reader->p; p++) {
		column = *p == '\n' ? 1 : column + 1;
		line += *p == '\n';
	}
	error_set(error, ERR_SYNTAX, "JSON line %u, column %u: %s", line, column, reader->problem);
	return false;
}

/* Stands at the first character of a value then. */
static bool at_value(struct json_reader *reader)
{
	if (reader->problem)
		return false;
	reader->first = false;
	json_skip_blanks(reader);
	return reader->p < reader->end || json_unexpected(reader);
}

bool json_enter(struct json_reader *reader, char open)
{
	if (!at_value(reader))
		return false;
	if (*reader->p != open)
		return json_fail(reader, open == '{' ? "not an object" : "not an array");
	if (++reader->depth > JSON_DEPTH_MAX)
		return json_fail(reader, "more than 64 levels deep");
	reader->p++;
	reader->first = true;
	return true;
}

/* Is there one more in this container? */
static bool more(struct json_reader *reader, char close)
{
	bool first = reader->first;

	if (!at_value(reader))
		return false;
	if (*reader->p == close) {
		reader->p++;
		reader->depth--;
		return false;
	}
	if (first)
		return true;
	if (*reader->p != ',')
		return json_unexpected(reader);
	reader->p++;
	return at_value(reader);
}

bool json_member(struct json_reader *reader, struct json_slice *ret_name)
{
	if (!more(reader, '}'))
		return false;
	if (*reader->p != '"')
		return json_unexpected(reader);
	if (!json_lex_text(reader, ret_name) || !at_value(reader))
		return false;
	if (*reader->p != ':')
		return json_unexpected(reader);
	reader->p++;
	return true;
}

bool json_item(struct json_reader *reader)
{
	return more(reader, ']');
}

bool json_read_text(struct json_reader *reader, struct json_slice *ret_text)
{
	if (!at_value(reader))
		return false;
	return *reader->p == '"' ? json_lex_text(reader, ret_text) : json_fail(reader, "not a text");
}

static bool read_number(struct json_reader *reader, struct json_number *ret_number)
{
	struct json_reader inner = { 0 };
	struct json_slice text;
	const char *begin;

	if (!at_value(reader))
		return false;
	begin = reader->p;
	if (*begin == '-' || g_ascii_isdigit(*begin))
		return json_lex_number(reader, ret_number);
	if (*begin != '"')
		return json_fail(reader, "not a number");
	if (!json_lex_text(reader, &text))
		return false;
	json_reader_init(&inner, text.text, text.length);
	if (text.length && json_lex_number(&inner, ret_number) && inner.p == inner.end)
		return true;
	reader->p = begin;
	return json_fail(reader, "not a number");
}

bool json_read_long(struct json_reader *reader, int64_t *ret_value)
{
	struct json_number number;

	if (!read_number(reader, &number))
		return false;
	if (number.real)
		return json_fail(reader, "not an integer");
	*ret_value = number.integer;
	return true;
}

bool json_read_double(struct json_reader *reader, double *ret_value)
{
	struct json_number number;

	if (!read_number(reader, &number))
		return false;
	*ret_value = number.real ? number.value : (double)number.integer;
	return true;
}

static bool skip_all(struct json_reader *reader, char open)
{
	struct json_slice name;

	if (!json_enter(reader, open))
		return false;
	while (open == '{' ? json_member(reader, &name) : json_item(reader))
		if (!json_skip(reader))
			return false;
	return !reader->problem;
}

bool json_skip(struct json_reader *reader)
{
	struct json_number number;
	struct json_slice text;

	if (!at_value(reader))
		return false;
	switch (*reader->p) {
	case '{':
	case '[':
		return skip_all(reader, *reader->p);
	case '"':
		return json_lex_text(reader, &text);
	case 't':
		return json_lex_word(reader, "true");
	case 'f':
		return json_lex_word(reader, "false");
	case 'n':
		return json_lex_word(reader, "null");
	case '-':
	case '0' ... '9':
		return json_lex_number(reader, &number);
	default:
		return json_unexpected(reader);
	}
}
