/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/negotiate.h"

#include <string.h>

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* One parameter at p (after ';'): name and value, unquoted. Returns where it ends. */
static const char *parameter(const char *p, char **ret_name, char **ret_value)
{
	p = skip_blanks(p);
	size_t n = strcspn(p, "=;, \t");
	*ret_name = g_ascii_strdown(p, (gssize)n);
	*ret_value = NULL;
	p = skip_blanks(p + n);
	if (*p == '=') {
		p = skip_blanks(p + 1);
		if (*p == '"') {
			p++;
			n = strcspn(p, "\"");
			*ret_value = g_strndup(p, n);
			p += n;
			if (*p)
				p++;
		} else {
			n = strcspn(p, ";, \t");
			*ret_value = g_strndup(p, n);
			p += n;
		}
	}
	return skip_blanks(p);
}

static void add_details(GPtrArray *details, const char *value)
{
	if (!details || !value)
		return;
	/* '+' separates here; it is not an encoded blank */
	char **names = g_strsplit(value, "+", 16);
	for (char **name = names; *name; name++)
		if (**name && details->len < 16 && !g_ptr_array_find_with_equal_func(details, *name, g_str_equal, NULL))
			g_ptr_array_add(details, g_strdup(*name));
	g_strfreev(names);
}

/* Bit 0: XML, bit 1: JSON. */
static unsigned formats_of(const char *type, size_t n)
{
	static const struct { const char *type; unsigned formats; } types[] = {
		{ "application/xml", 1 }, { "text/xml", 1 }, { "application/json", 2 }, { "text/json", 2 }, { "application/*", 3 }, { "*/*", 3 }, { "*", 3 },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
		if (strlen(types[i].type) == n && g_ascii_strncasecmp(type, types[i].type, n) == 0)
			return types[i].formats;
	return 0;
}

bool negotiate_accept(const char *accept, enum format *ret_format, GPtrArray *details)
{
	double best[2] = { -1, -1 };
	bool named[2] = { false, false }, any = false;

	const char *p = accept ? skip_blanks(accept) : "";
	while (*p) {
		size_t n = strcspn(p, ";, \t");
		unsigned formats = formats_of(p, n);
		bool exact = n && !memchr(p, '*', n);
		double q = 1;
		any = any || n > 0;
		p = skip_blanks(p + n);
		while (*p == ';') {
			char *name, *value;
			p = parameter(p + 1, &name, &value);
			if (strcmp(name, "q") == 0 && value)
				q = g_ascii_strtod(value, NULL);
			else if (strcmp(name, "detail") == 0)
				add_details(details, value);
			g_free(name);
			g_free(value);
		}
		for (unsigned i = 0; i < 2; i++) {
			if (!(formats >> i & 1) || (named[i] && !exact))
				continue;
			/* an exact name says more than a wildcard, whatever the order */
			best[i] = exact && !named[i] ? q : MAX(best[i], q);
			named[i] = named[i] || exact;
		}
		while (*p && *p != ',')
			p++;
		while (*p == ',' || *p == ' ' || *p == '\t')
			p++;
	}
	if (!any) {
		*ret_format = FORMAT_XML;
		return true;
	}
	if (best[0] <= 0 && best[1] <= 0)
		return false;
	*ret_format = best[1] > best[0] ? FORMAT_JSON : FORMAT_XML;
	return true;
}

enum format negotiate_content(const char *content_type)
{
	if (!content_type)
		return FORMAT_NONE;
	content_type = skip_blanks(content_type);
	unsigned formats = formats_of(content_type, strcspn(content_type, ";, \t"));
	return formats == 1 ? FORMAT_XML : formats == 2 ? FORMAT_JSON : FORMAT_NONE;
}

const char *format_type(enum format format)
{
	return format == FORMAT_JSON ? "application/json" : "application/xml";
}
