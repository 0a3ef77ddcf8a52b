/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, times and other quantities as people write and read them. */
#include "client/client.h"
#include <math.h>
#include <string.h>

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

static char *scaled(double value, double step, const char *const *units)
{
	while (fabs(value) >= step && units[1]) {
		value /= step;
		units++;
	}
	return g_strdup_printf(value == floor(value) ? "%.0f %s" : "%.1f %s", value, *units);
}

char *format_size(gint64 bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", NULL };

	return scaled((double)bytes, 1024, units);
}

char *format_quantity(const char *text, const char *unit, bool exact)
{
	static const char *const bits[] = { "bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", NULL };
	static const char *const rates[] = { "B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s", NULL };
	/* how statistics call their units; NULL: said by nothing */
	static const char *const names[][2] = { { "BYTES", "bytes" }, { "PERCENT", "%" }, { "SECONDS", "s" }, { "BITS_PER_SECOND", "bit/s" },
						{ "BYTES_PER_SECOND", "B/s" }, { "COUNT_PER_SECOND", "/s" }, { "NONE", NULL } };
	char *end;
	double number = g_ascii_strtod(text, &end);

	for (size_t i = 0; unit && i < G_N_ELEMENTS(names); i++)
		if (strcmp(unit, names[i][0]) == 0)
			unit = names[i][1];
	/* below 0 stands no quantity, but "the default" or "unknown" */
	if (!unit || end == text || *end || number < 0)
		return g_strdup(text);
	if (exact)
		return g_strdup_printf("%s %s", text, strcmp(unit, "bytes") == 0 ? "B" : unit);
	if (strcmp(unit, "bytes") == 0)
		return format_size(g_ascii_strtoll(text, NULL, 10));
	if (strcmp(unit, *bits) == 0)
		return scaled(number, 1000, bits);
	if (strcmp(unit, *rates) == 0)
		return scaled(number, 1024, rates);
	return g_strdup_printf("%s %s", text, unit);
}

char *format_time(const char *text, bool exact)
{
	char *end;
	gint64 ms = g_ascii_strtoll(text, &end, 10);
	g_autoptr(GDateTime) time = *end || end == text ? NULL : g_date_time_new_from_unix_local(ms / 1000);
	g_autofree char *clock = time ? g_date_time_format(time, "%FT%T") : NULL, *zone = time ? g_date_time_format(time, "%:z") : NULL;

	if (!clock)
		return g_strdup(text);
	return exact ? g_strdup_printf("%s.%03d%s", clock, (int)(ms % 1000), zone) : g_strconcat(clock, zone, NULL);
}
