/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include <string.h>
#include "common/error.h"

#define LEFT_WIDTH 32

const char *const exit_statuses[EXIT_TIMEOUT + 1] = {
	"it is done",
	"what was asked for did not happen: refused, or failed on the way; every failure of `berth host`",
	"the question makes no sense; nothing was sent",
	"there is no object of this name or id, or several of this name",
	"not logged in, the session has ended, or the password is wrong: run `berth login`",
	"the engine cannot be reached, or its certificate is not trusted",
	"no answer, or not in the wanted state, within --timeout; it may happen yet",
};

static void say(const char *format, va_list ap)
{
	g_autofree char *text = g_strdup_vprintf(format, ap);
	g_autofree char *clean = NULL;

	/* what went well before comes first, also where both go into one file */
	fflush(stdout);
	/* newlines are ours: vdsm-client's errors have two lines */
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = '\v';
	clean = g_utf8_validate(text, -1, NULL) ? g_strdup(text) : g_utf8_make_valid(text, -1);
	fputs("berth: ", stderr);
	for (const char *p = clean; *p; p++) {
		unsigned char c = (unsigned char)*p;

		fputc(c == '\v' ? '\n' : c < 0x20 || c == 0x7f ? '?' : c, stderr);
	}
	fputc('\n', stderr);
}

void complain(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(format, ap);
	va_end(ap);
}

int usage_error(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(format, ap);
	va_end(ap);
	return EXIT_USAGE;
}

int exit_status(const GError *error)
{
	static const struct { int code, status; } known[] = {
		{ ERR_NOT_FOUND, EXIT_NOT_FOUND }, { ERR_CONFLICT, EXIT_NOT_FOUND }, { ERR_UNAUTHORIZED, EXIT_LOGIN },
		{ ERR_NO_CONNECTION, EXIT_NO_CONNECTION }, { ERR_TIMEOUT, EXIT_TIMEOUT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (error_is(error, known[i].code))
			return known[i].status;
	return EXIT_FAILED;
}

int report_failure(const GError *error)
{
	complain("%s", error->message);
	return exit_status(error);
}

char *printable(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *out = g_string_sized_new(strlen(valid));

	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
			g_string_append_c(out, c == '\n' || c == '\t' ? ' ' : '?');
		else
			g_string_append_unichar(out, c);
	}
	return g_string_free(out, FALSE);
}

char *joined(GPtrArray *names)
{
	GString *all = g_string_new(NULL);

	for (guint i = 0; i < names->len; i++)
		g_string_append_printf(all, "%s%s", i ? ", " : "", (const char *)names->pdata[i]);
	return g_string_free(all, FALSE);
}

void print_entry(FILE *out, const char *left, const char *doc)
{
	if (!doc || !*doc)
		fprintf(out, "  %s\n", left);
	else if (strlen(left) < LEFT_WIDTH)
		fprintf(out, "  %-*s%s\n", LEFT_WIDTH, left, doc);
	else
		fprintf(out, "  %s\n  %*s%s\n", left, LEFT_WIDTH, "", doc);
}
