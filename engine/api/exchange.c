/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/exchange.h"

#include <string.h>

struct exchange *exchange_new(void)
{
	return g_new0(struct exchange, 1);
}

struct exchange *exchange_free(struct exchange *exchange)
{
	if (!exchange)
		return NULL;
	g_free(exchange->target);
	if (exchange->text)
		g_string_free(exchange->text, TRUE);
	g_free(exchange->headers);
	if (exchange->body)
		g_string_free(exchange->body, TRUE);
	g_free(exchange->peer);
	g_free(exchange->local);
	if (exchange->extra)
		g_string_free(exchange->extra, TRUE);
	if (exchange->answer)
		g_string_free(exchange->answer, TRUE);
	g_free(exchange);
	return NULL;
}

const char *exchange_next_header(const struct exchange *exchange, const char *name, size_t *index)
{
	for (; *index < exchange->n_headers; (*index)++) {
		const char *other = exchange->headers[*index].name;
		/* letters that differ in more than bit 5 are not the same in any case: spares most of the calls */
		if (((*other ^ *name) & ~0x20) == 0 && g_ascii_strcasecmp(other, name) == 0)
			return exchange->headers[(*index)++].value;
	}
	return NULL;
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
	size_t index = 0;
	return exchange_next_header(exchange, name, &index);
}

bool exchange_has_token(const struct exchange *exchange, const char *name, const char *token, char **ret_value)
{
	size_t index = 0, length = strlen(token);
	const char *value;

	while ((value = exchange_next_header(exchange, name, &index))) {
		const char *p = value;
		while (*p) {
			p += strspn(p, " \t,;");
			size_t n = strcspn(p, ",;");
			size_t end = n;
			while (end > 0 && g_ascii_isspace(p[end - 1]))
				end--;
			size_t key = strcspn(p, "= \t,;");
			if (key > end)
				key = end;
			if (key == length && g_ascii_strncasecmp(p, token, length) == 0) {
				if (ret_value) {
					const char *equals = memchr(p, '=', end);
					*ret_value = equals ? g_strndup(equals + 1, (size_t)(p + end - equals - 1)) : g_strdup("");
					g_strstrip(*ret_value);
				}
				return true;
			}
			p += n;
		}
	}
	return false;
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type, GString *body)
{
	exchange->status = status;
	exchange->content_type = content_type;
	if (exchange->answer)
		g_string_free(exchange->answer, TRUE);
	exchange->answer = body;
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *format, ...)
{
	if (!exchange->extra)
		exchange->extra = g_string_new(NULL);
	g_string_append_printf(exchange->extra, "%s: ", name);
	size_t start = exchange->extra->len;
	va_list arguments;
	va_start(arguments, format);
	g_string_append_vprintf(exchange->extra, format, arguments);
	va_end(arguments);
	/* A value can hold what a client sent: it must not end the header. */
	for (size_t i = start; i < exchange->extra->len; i++)
		if ((unsigned char)exchange->extra->str[i] < ' ' || exchange->extra->str[i] == 0x7f)
			exchange->extra->str[i] = ' ';
	g_string_append(exchange->extra, "\r\n");
}

void exchange_finish(struct exchange *exchange)
{
	exchange->finish(exchange);
}
