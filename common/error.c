/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: the table of error_table.h as rows, found by binary search (the header keeps them in order; the unit test checks it),
 * and the constructors, which all end in compose(): one place decides how a message looks.
 */
#include "common/error.h"
#include <stdlib.h>
#include <string.h>

static const struct error_info rows[] = {
#define ERROR_ROW(code_, symbol_, name_, http_, retry_, text_) \
	{ .code = (code_), .name = (name_), .text = (text_), .http_status = (http_), .retry = (retry_) },
#include "common/error_table.h"
#undef ERROR_ROW
};

GQuark error_quark(void)
{
	return g_quark_from_static_string("berth-error");
}

static int compare_code(const void *key, const void *row)
{
	int code = *(const int *)key, other = ((const struct error_info *)row)->code;

	return (code > other) - (code < other);
}

const struct error_info *error_info(int code)
{
	static const int general = ERR_GENERAL;
	const struct error_info *info = bsearch(&code, rows, G_N_ELEMENTS(rows), sizeof(rows[0]), compare_code);

	return info ? info : bsearch(&general, rows, G_N_ELEMENTS(rows), sizeof(rows[0]), compare_code);
}

/* "<text>: <context>: <reason>", without the parts that are NULL. */
static void G_GNUC_PRINTF(4, 0) compose(GError **error, enum error_code code, const char *reason, const char *format, va_list args)
{
	g_autoptr(GString) message = g_string_new(error_info(code)->text);

	if (format) {
		g_string_append(message, ": ");
		g_string_append_vprintf(message, format, args);
	}
	if (reason)
		g_string_append_printf(message, ": %s", reason);
	error_set_literal(error, code, message->str);
}

void error_set(GError **error, enum error_code code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	compose(error, code, /* reason= */ NULL, format, args);
	va_end(args);
}

void error_set_literal(GError **error, int code, const char *message)
{
	g_set_error_literal(error, BERTH_ERROR, code, message);
}

void error_set_errno(GError **error, enum error_code code, int errnum, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	compose(error, code, g_strerror(errnum), format, args);
	va_end(args);
}

void error_wrap(GError **error, const char *format, ...)
{
	g_autofree char *noun = NULL;
	const char *general;
	va_list args;

	if (!error || !*error)
		return;
	va_start(args, format);
	noun = g_strdup_vprintf(format, args);
	va_end(args);
	/* between nouns "Operation Failed" says nothing; other texts say what kind of failure it is */
	general = error_info(ERR_OPERATION_FAILED)->text;
	if (error_is(*error, ERR_OPERATION_FAILED) && g_str_has_prefix((*error)->message, general) && g_str_has_prefix((*error)->message + strlen(general), ": "))
		memmove((*error)->message, (*error)->message + strlen(general) + 2, strlen((*error)->message) - strlen(general) - 1);
	g_prefix_error(error, "%s: ", noun);
}

bool error_ensure(bool ok, GError **error, const char *format, ...)
{
	g_autofree char *noun = NULL;
	va_list args;

	if (ok || !error || *error)
		return ok;
	va_start(args, format);
	noun = g_strdup_vprintf(format, args);
	va_end(args);
	error_set(error, ERR_UNEXPECTED_ERROR, "%s failed and did not say why", noun);
	return false;
}
