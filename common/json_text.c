/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text from outside to json_t. Our own parser and not jansson's, for three reasons: a bound on depth before anything is built, line and
 * column of the first error, and speed (jansson's lexer takes characters one by one through a callback; loading the store took twice as long).
 *
 * What is accepted is in json_reader.h; duplicate names are refused, too. Any value may be the root.
 */
#include "common/json_reader.h"
#include "common/record-priv.h"

static json_t *parse_value(struct json_reader *reader);

static bool parse_member(struct json_reader *reader, json_t *object)
{
	const char *name_at = reader->p;
	g_autofree char *copy = NULL;
	struct json_slice name = { NULL, 0 };
	json_t *value;

	if (reader->p == reader->end || *reader->p != '"')
		return json_unexpected(reader);
	if (!json_lex_text(reader, &name))
		return false;
	if (reader->scratch && name.text == reader->scratch->str) {
		copy = g_strndup(name.text, name.length);       /* the value may need the scratch */
		name.text = copy;
	}
	json_skip_blanks(reader);
	if (reader->p == reader->end || *reader->p != ':')
		return json_unexpected(reader);
	reader->p++;
	value = parse_value(reader);
	if (!value)
		return false;
	if (json_object_getn(object, name.text, name.length)) {
		json_decref(value);
		reader->p = name_at;
		return json_fail(reader, "duplicate name");
	}
	return !json_object_setn_new_nocheck(object, name.text, name.length, value) || json_fail(reader, "no memory");
}

static bool parse_item(struct json_reader *reader, json_t *array)
{
	json_t *value = parse_value(reader);

	return value && (!json_array_append_new(array, value) || json_fail(reader, "no memory"));
}

/* An object or an array, at its opening bracket. */
static json_t *parse_container(struct json_reader *reader, json_t *container, char close)
{
	bool object = close == '}', done;

	if (++reader->depth > JSON_DEPTH_MAX) {
		(void)json_fail(reader, "more than 64 levels deep");
		json_decref(container);
		return NULL;
	}
	reader->p++;
	json_skip_blanks(reader);
	done = reader->p < reader->end && *reader->p == close;
	while (!done) {
		json_skip_blanks(reader);
		if (!(object ? parse_member(reader, container) : parse_item(reader, container)))
			break;
		json_skip_blanks(reader);
		done = reader->p < reader->end && *reader->p == close;
		if (!done && (reader->p == reader->end || *reader->p != ',')) {
			(void)json_unexpected(reader);
			break;
		}
		if (!done)
			reader->p++;
	}
	if (!done) {
		json_decref(container);
		return NULL;
	}
	reader->p++;
	reader->depth--;
	return container;
}

static json_t *parse_number(struct json_reader *reader)
{
	struct json_number number;

	if (!json_lex_number(reader, &number))
		return NULL;
	return number.real ? json_real(number.value) : json_integer(number.integer);
}

static json_t *parse_value(struct json_reader *reader)
{
	struct json_slice slice;

	json_skip_blanks(reader);
	if (reader->p == reader->end) {
		(void)json_unexpected(reader);
		return NULL;
	}
	switch (*reader->p) {
	case '{':
		return parse_container(reader, json_object(), '}');
	case '[':
		return parse_container(reader, json_array(), ']');
	case '"':
		return json_lex_text(reader, &slice) ? json_stringn_nocheck(slice.text, slice.length) : NULL;
	case 't':
		return json_lex_word(reader, "true") ? json_true() : NULL;
	case 'f':
		return json_lex_word(reader, "false") ? json_false() : NULL;
	case 'n':
		return json_lex_word(reader, "null") ? json_null() : NULL;
	case '-':
	case '0' ... '9':
		return parse_number(reader);
	default:
		(void)json_unexpected(reader);
		return NULL;
	}
}

json_t *json_parse(const char *text, size_t length, GError **error)
{
	struct json_reader reader;
	json_t *json;

	json_reader_init(&reader, text, length);
	json = parse_value(&reader);
	if (!json)
		(void)json_fail(&reader, "no memory");          /* else it has said what */
	if (!json_reader_end(&reader, error)) {
		json_decref(json);
		json = NULL;
	}
	return json;
}
