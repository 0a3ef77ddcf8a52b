/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include <errno.h>
#include <math.h>
#include <string.h>

static void say(const char *format, va_list ap)
{
	g_autofree char *text = g_strdup_vprintf(format, ap);
	g_autofree char *clean = NULL;

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

int report_failure(const GError *error)
{
	complain("%s", error->message);
	return EXIT_FAILED;
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

/* K, M, G, T, P and KiB, MiB, ... are powers of 1024; kB, MB, GB, ... powers of 1000; B is a byte. */
char *parse_size(const char *text)
{
	static const char letters[] = "KMGTP";
	char *end;
	double number, factor = 1;
	const char *letter;

	if (!g_ascii_isdigit(*text))
		return NULL;
	number = g_ascii_strtod(text, &end);
	while (*end == ' ')
		end++;
	if (!*end || !isfinite(number))
		return NULL;
	letter = strchr(letters, g_ascii_toupper(*end));
	if (letter) {
		bool decimal = g_ascii_strcasecmp(end + 1, "B") == 0;

		if (!decimal && end[1] && g_ascii_strcasecmp(end + 1, "iB") != 0)
			return NULL;
		factor = pow(decimal ? 1000 : 1024, (double)(letter - letters + 1));
	} else if (g_ascii_strcasecmp(end, "B") != 0) {
		return NULL;
	}
	number *= factor;
	if (number >= 9.2e18)
		return NULL;
	return g_strdup_printf("%" G_GINT64_FORMAT, (gint64)llround(number));
}

char *format_size(gint64 bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	while (fabs(value) >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
		value /= 1024;
		unit++;
	}
	if (value == floor(value))
		return g_strdup_printf("%.0f %s", value, units[unit]);
	return g_strdup_printf("%.1f %s", value, units[unit]);
}
