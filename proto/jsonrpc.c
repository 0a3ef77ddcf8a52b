/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0.
 *
 * Requests: "jsonrpc" must be "2.0", "method" a string, "params" (if there) an object or an array, "id" a string or an integer. No id, or
 * null, makes a notification, as in the original. An invalid request is answered with id null even if it has a readable one: clients of the
 * original know it so. What a peer sends and we quote back is bounded (JSONRPC_ECHO_MAX) and secrets in it are masked.
 *
 * Answers are written straight into the text of the frame; only ids, methods and messages pass through an escaper, results are text already.
 */
#include "proto/jsonrpc.h"
#include "common/error.h"
#include <math.h>
#include <string.h>

json_t *jsonrpc_load(const char *text, size_t size)
{
	return json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, /* error= */ NULL);
}

bool jsonrpc_has_nul(const json_t *value)
{
	const char *name;
	json_t *member;
	size_t i;

	if (json_is_string(value))
		return strlen(json_string_value(value)) != json_string_length(value);
	json_object_foreach((json_t *)value, name, member)
		if (jsonrpc_has_nul(member))
			return true;
	json_array_foreach(value, i, member)
		if (jsonrpc_has_nul(member))
			return true;
	return false;
}

/* ---- reading ---- */

static bool is_version_2(const json_t *object)
{
	const char *version = json_string_value(json_object_get(object, "jsonrpc"));

	return version && !strcmp(version, "2.0");
}

void jsonrpc_set_invalid(GError **error, const json_t *value, const char *reason)
{
	g_autoptr(GString) context = g_string_new("{'request': ");

	jsonrpc_write_python(context, value, JSONRPC_ECHO_MAX);
	g_string_append_printf(context, ", 'reason': '%s'}", reason);
	error_set(error, ERR_JSONRPC_INVALID_REQUEST, "%s", context->str);
}

bool jsonrpc_request(const json_t *value, struct jsonrpc_request *ret_request, GError **error)
{
	const json_t *method = json_object_get(value, "method"), *params = json_object_get(value, "params"), *id = json_object_get(value, "id");
	const char *reason = NULL;

	if (!json_is_object(value))
		reason = "the request is not an object";
	else if (!is_version_2(value))
		reason = "wrong protocol version";
	else if (!json_is_string(method) || jsonrpc_has_nul(method))
		reason = "the method is missing or not a string";
	else if (params && !json_is_object(params) && !json_is_array(params))
		reason = "the params are neither an object nor an array";
	else if (id && !json_is_null(id) && !json_is_string(id) && !json_is_integer(id))
		reason = "the id is neither a string nor an integer";
	if (reason) {
		jsonrpc_set_invalid(error, value, reason);
		return false;
	}
	*ret_request = (struct jsonrpc_request){ .method = json_string_value(method), .params = params, .id = json_is_null(id) ? NULL : id };
	return true;
}

bool jsonrpc_answer(const json_t *value, struct jsonrpc_answer *ret_answer)
{
	const json_t *id = json_object_get(value, "id"), *failure = json_object_get(value, "error"), *code = json_object_get(failure, "code");
	struct jsonrpc_answer answer = { .id = json_is_null(id) ? NULL : id };

	if (!is_version_2(value))
		return false;
	answer.method = json_string_value(json_object_get(value, "method"));
	if (answer.method) {
		answer.params = json_object_get(value, "params");
		*ret_answer = answer;
		return true;
	}
	if (failure && !json_is_null(failure)) {
		json_int_t number = json_integer_value(code);

		answer.message = json_string_value(json_object_get(failure, "message"));
		if (!json_is_integer(code) || number < G_MININT || number > G_MAXINT)
			return false;
		answer.code = (int)number;
		if (!answer.message)
			answer.message = error_info(answer.code)->text;
	} else {
		answer.result = json_object_get(value, "result");
		if (!answer.result)
			return false;
	}
	*ret_answer = answer;
	return true;
}

/* ---- writing JSON ---- */

/* The next character of valid or broken UTF-8; always moves on. */
static gunichar next_character(const char **at, const char *end)
{
	gunichar c = g_utf8_get_char_validated(*at, end - *at);

	if (c == (gunichar)-1 || c == (gunichar)-2) {
		*at += 1;
		return 0xfffd;
	}
	*at += g_unichar_to_utf8(c, NULL);
	return c;
}

static void write_escape(GString *out, gunichar c)
{
	if (c > 0xffff) {
		c -= 0x10000;
		g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
	} else {
		g_string_append_printf(out, "\\u%04x", c);
	}
}

void jsonrpc_write_string(GString *out, const char *text, size_t size)
{
	const char *end = text + size;

	g_string_append_c(out, '"');
	while (text < end) {
		const char *plain = text;

		while (text < end && *text >= ' ' && *text < 0x7f && *text != '"' && *text != '\\')
			text++;
		g_string_append_len(out, plain, text - plain);
		if (text == end)
			break;
		switch (*text) {
		case '"':
			g_string_append(out, "\\\"");
			break;
		case '\\':
			g_string_append(out, "\\\\");
			break;
		case '\n':
			g_string_append(out, "\\n");
			break;
		case '\r':
			g_string_append(out, "\\r");
			break;
		case '\t':
			g_string_append(out, "\\t");
			break;
		case '\b':
			g_string_append(out, "\\b");
			break;
		case '\f':
			g_string_append(out, "\\f");
			break;
		default:
			write_escape(out, next_character(&text, end));
			continue;
		}
		text++;
	}
	g_string_append_c(out, '"');
}

static void write_id(GString *out, const json_t *id)
{
	g_string_append(out, "{\"jsonrpc\": \"2.0\", \"id\": ");
	if (json_is_string(id))
		jsonrpc_write_string(out, json_string_value(id), json_string_length(id));
	else if (json_is_integer(id))
		g_string_append_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
	else
		g_string_append(out, "null");
}

void jsonrpc_write_result_head(GString *out, const json_t *id)
{
	write_id(out, id);
	g_string_append(out, ", \"result\": ");
}

void jsonrpc_write_result(GString *out, const json_t *id, const char *result, size_t size)
{
	jsonrpc_write_result_head(out, id);
	g_string_append_len(out, result, (gssize)size);
	g_string_append_c(out, '}');
}

void jsonrpc_write_error(GString *out, const json_t *id, int code, const char *message)
{
	write_id(out, id);
	g_string_append_printf(out, ", \"error\": {\"code\": %d, \"message\": ", code);
	jsonrpc_write_string(out, message, strlen(message));
	g_string_append(out, "}}");
}

void jsonrpc_write_request_head(GString *out, const char *method, bool has_params)
{
	g_string_append(out, "{\"jsonrpc\": \"2.0\", \"method\": ");
	jsonrpc_write_string(out, method, strlen(method));
	if (has_params)
		g_string_append(out, ", \"params\": ");
}

void jsonrpc_write_request_tail(GString *out, const char *id)
{
	if (id) {
		g_string_append(out, ", \"id\": ");
		jsonrpc_write_string(out, id, strlen(id));
	}
	g_string_append_c(out, '}');
}

/* ---- writing Python ---- */

struct python {
	GString *out;
	size_t limit;           /* length of out at which we stop */
};

static bool full(const struct python *p)
{
	return p->out->len >= p->limit;
}

static void python_string(struct python *p, const char *text, size_t size)
{
	const char *end = text + size;
	char quote = memchr(text, '\'', size) && !memchr(text, '"', size) ? '"' : '\'';

	g_string_append_c(p->out, quote);
	while (text < end && !full(p)) {
		gunichar c = next_character(&text, end);

		if (c == '\\' || c == (gunichar)quote)
			g_string_append_printf(p->out, "\\%c", (char)c);
		else if (c == '\n' || c == '\r' || c == '\t')
			g_string_append(p->out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
		else if (c == ' ' || (g_unichar_isprint(c) && !g_unichar_isspace(c)))
			g_string_append_unichar(p->out, c);
		else
			g_string_append_printf(p->out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	g_string_append_c(p->out, quote);
}

/* The shortest digits that read back as the same number, with ".0" or an exponent as Python has it. */
static void python_real(struct python *p, double value)
{
	char digits[G_ASCII_DTOSTR_BUF_SIZE];

	for (int precision = 15; precision <= 17; precision++) {
		char format[8];

		g_snprintf(format, sizeof(format), "%%.%dg", precision);
		g_ascii_formatd(digits, sizeof(digits), format, value);
		if (g_ascii_strtod(digits, NULL) == value)
			break;
	}
	g_string_append(p->out, digits);
	if (isfinite(value) && !strpbrk(digits, ".e"))
		g_string_append(p->out, ".0");
}

static void python_value(struct python *p, const json_t *value);

/* methodArgs: headers with tokens, and URLs that are signed. */
bool jsonrpc_is_secret(const char *name)
{
	g_autofree char *lower = g_ascii_strdown(name, -1);

	return strstr(lower, "password") || g_str_has_prefix(name, "_X_") || !strcmp(name, "vmPayload") || !strcmp(name, "methodArgs");
}

static void python_object(struct python *p, const json_t *object)
{
	const char *name, *separator = "", *close = "}";
	json_t *member;

	g_string_append_c(p->out, '{');
	/* The iterators do not change the object; jansson has no const form. */
	json_object_foreach((json_t *)object, name, member) {
		if (full(p))
			break;
		g_string_append(p->out, separator);
		python_string(p, name, strlen(name));
		g_string_append(p->out, ": ");
		if (jsonrpc_is_secret(name))
			g_string_append(p->out, "'********'");
		else
			python_value(p, member);
		separator = ", ";
	}
	g_string_append(p->out, close);
}

static void python_value(struct python *p, const json_t *value)
{
	size_t index;
	json_t *item;

	if (full(p))
		return;
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_OBJECT:
		python_object(p, value);
		break;
	case JSON_ARRAY:
		g_string_append_c(p->out, '[');
		json_array_foreach(value, index, item) {
			if (full(p))
				break;
			g_string_append(p->out, index ? ", " : "");
			python_value(p, item);
		}
		g_string_append_c(p->out, ']');
		break;
	case JSON_STRING:
		python_string(p, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		g_string_append_printf(p->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		python_real(p, json_real_value(value));
		break;
	case JSON_TRUE:
		g_string_append(p->out, "True");
		break;
	case JSON_FALSE:
		g_string_append(p->out, "False");
		break;
	default:
		g_string_append(p->out, "None");
	}
}

void jsonrpc_write_python(GString *out, const json_t *value, size_t limit)
{
	size_t start = out->len;
	struct python p = { .out = out, .limit = start + limit };

	python_value(&p, value);
	if (out->len > p.limit) {
		const char *cut = g_utf8_find_prev_char(out->str + start, out->str + p.limit + 1);

		g_string_truncate(out, cut ? (gsize)(cut - out->str) : start);
		g_string_append(out, "...");
	}
}
