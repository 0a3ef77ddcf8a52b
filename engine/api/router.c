/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets: "/ovirt-engine/api/vms;max=2/{id}/nics/?search=..." is split at '/', each segment at ';', then decoded. Empty segments are skipped, so that a
 * trailing or a doubled slash changes nothing. Both bases mean the same; an answer's hrefs use the one the request came in on.
 *
 * Parameters of all segments and of the query land in one table: the guide writes ";max=1", clients also "?max=1".
 */
#include "engine/api/router.h"

#include <string.h>
#include "common/error.h"

#define SEGMENTS_MAX 16

static int hex(char c)
{
	return g_ascii_isxdigit(c) ? g_ascii_xdigit_value(c) : -1;
}

/* Percent-decoded copy; NULL when malformed, not UTF-8 or with a NUL. */
static char *decode(const char *text, size_t n, bool plus)
{
	char *out = g_malloc(n + 1), *q = out;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (c == '%') {
			int high = i + 2 < n ? hex(text[i + 1]) : -1, low = i + 2 < n ? hex(text[i + 2]) : -1;
			if (high < 0 || low < 0 || (high == 0 && low == 0)) {
				g_free(out);
				return NULL;
			}
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		*q++ = c;
	}
	*q = '\0';
	if (!g_utf8_validate(out, q - out, NULL)) {
		g_free(out);
		return NULL;
	}
	return out;
}

static bool add_parameter(struct route *route, const char *text, size_t n, bool plus)
{
	const char *equals = memchr(text, '=', n);
	size_t name_length = equals ? (size_t)(equals - text) : n;
	char *name = decode(text, name_length, plus);
	char *value = equals ? decode(equals + 1, n - name_length - 1, plus) : g_strdup("");
	if (!name || !value) {
		g_free(name);
		g_free(value);
		return false;
	}
	for (char *p = name; *p; p++)
		*p = *p == '_' ? '-' : g_ascii_tolower(*p);
	if (!route->parameters)
		route->parameters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_replace(route->parameters, name, value);
	return true;
}

/* "a;x=1;y" -> the decoded "a"; its parameters are kept. */
static char *take_segment(struct route *route, const char *text, size_t n)
{
	const char *semicolon = memchr(text, ';', n);
	size_t length = semicolon ? (size_t)(semicolon - text) : n;
	const char *p = text + length, *end = text + n;
	while (p < end) {
		p++;
		size_t part = 0;
		while (p + part < end && p[part] != ';')
			part++;
		if (part && !add_parameter(route, p, part, false))
			return NULL;
		p += part;
	}
	return decode(text, length, false);
}

static bool split(const char *target, struct route *route, char **segments, unsigned *ret_n)
{
	const char *query = strchr(target, '?'), *fragment = strchr(target, '#');
	const char *end = query ? query : fragment ? fragment : target + strlen(target);
	const char *p = target;

	if (*p != '/' && strncmp(p, "http", 4) == 0) {                  /* absolute form */
		const char *slashes = strstr(p, "://");
		p = slashes ? strchr(slashes + 3, '/') : NULL;
		if (!p || p > end)
			p = end;
	}
	for (; p < end;) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t n = slash ? (size_t)(slash - p) : (size_t)(end - p);
		if (n > 0) {
			char *segment = *ret_n < SEGMENTS_MAX ? take_segment(route, p, n) : NULL;
			if (!segment)
				return false;
			if (*segment)
				segments[(*ret_n)++] = segment;
			else
				g_free(segment);
		}
		p += n + (slash ? 1 : 0);
	}
	if (query) {
		for (p = query + 1; *p && *p != '#';) {
			size_t n = strcspn(p, "&#");
			if (n && !add_parameter(route, p, n, true))
				return false;
			p += n;
			if (*p == '&')
				p++;
		}
	}
	return true;
}

static const struct resource *find(const struct resource *const *table, const struct resource *parent, const char *path)
{
	for (size_t i = 0; table[i]; i++)
		if (table[i]->parent == parent && strcmp(table[i]->path, path) == 0)
			return table[i];
	return NULL;
}

static const struct action *find_action(const struct resource *resource, const char *name)
{
	for (const struct action *action = resource->actions; action && action->name; action++)
		if (strcmp(action->name, name) == 0)
			return action;
	return NULL;
}

/* "nics/setupnetworks": an action of the object that stands below one of its sub-collections */
static const struct action *find_action_below(const struct resource *resource, const char *child, const char *name)
{
	g_autofree char *whole = resource->actions ? g_strconcat(child, "/", name, NULL) : NULL;
	return whole ? find_action(resource, whole) : NULL;
}

/* Below an object: a sub-collection, an action, creation_status. */
static enum route_kind below_object(struct route *route, const struct resource *const *table, char **segments, unsigned n)
{
	const struct resource *resource = route->chain[route->depth - 1];
	if (n == 0)
		return ROUTE_OBJECT;
	if ((n == 2 || n == 3) && (route->action = find_action_below(resource, segments[0], segments[1]))) {
		route->tail = g_strdup(segments[n - 1]);
		return n == 2 ? ROUTE_ACTION : ROUTE_ACTION_STATUS;
	}
	const struct resource *child = find(table, resource, segments[0]);
	if (child) {
		if (route->depth == ROUTE_DEPTH)
			return ROUTE_NONE;
		route->chain[route->depth++] = child;
		if (n == 1)
			return ROUTE_COLLECTION;
		route->ids[route->depth - 1] = g_strdup(segments[1]);
		return below_object(route, table, segments + 2, n - 2);
	}
	if (strcmp(segments[0], "creation_status") == 0 && n == 2) {
		route->tail = g_strdup(segments[1]);
		return ROUTE_CREATION;
	}
	if (n > 2)
		return ROUTE_NONE;
	route->action = find_action(resource, segments[0]);
	route->tail = g_strdup(segments[n - 1]);
	if (n == 2)
		return route->action ? ROUTE_ACTION_STATUS : ROUTE_NONE;
	return route->action ? ROUTE_ACTION : ROUTE_NONE;
}

/* The CA's certificate, where oVirt's clients look for it: services/pki-resource?resource=ca-certificate&format=X509-PEM-CA */
static bool names_ca(const struct route *route)
{
	const char *resource = route->parameters ? g_hash_table_lookup(route->parameters, "resource") : NULL;
	const char *format = route->parameters ? g_hash_table_lookup(route->parameters, "format") : NULL;

	return resource && !strcmp(resource, "ca-certificate") && (!format || !strcmp(format, "X509-PEM-CA") || !strcmp(format, "X509-PEM"));
}

static enum route_kind match(struct route *route, const struct resource *const *table, char **segments, unsigned n)
{
	if (n == 0)
		return ROUTE_ROOT;
	if (n == 1 && strcmp(segments[0], "ca.crt") == 0)
		return ROUTE_CA;
	if (n == 1 && strcmp(segments[0], "metrics") == 0)
		return ROUTE_METRICS;
	if (strcmp(segments[0], "api") == 0) {
		route->base = "/api";
		segments++;
		n--;
	} else if (n >= 2 && strcmp(segments[0], "ovirt-engine") == 0 && strcmp(segments[1], "api") == 0) {
		route->base = "/ovirt-engine/api";
		segments += 2;
		n -= 2;
	} else if (n == 3 && !strcmp(segments[0], "ovirt-engine") && !strcmp(segments[1], "services") && !strcmp(segments[2], "pki-resource")) {
		return names_ca(route) ? ROUTE_CA : ROUTE_NONE;
	} else {
		return ROUTE_NONE;
	}
	if (n == 0)
		return ROUTE_ENTRY;
	if (strcmp(segments[0], "capabilities") == 0 && n <= 2) {
		route->tail = n == 2 ? g_strdup(segments[1]) : NULL;
		return ROUTE_CAPABILITIES;
	}
	const struct resource *top = find(table, NULL, segments[0]);
	if (!top)
		return ROUTE_NONE;
	route->chain[0] = top;
	route->depth = 1;
	if (n == 1)
		return ROUTE_COLLECTION;
	route->ids[0] = g_strdup(segments[1]);
	return below_object(route, table, segments + 2, n - 2);
}

bool route_parse(const char *target, const struct resource *const *table, struct route *route, GError **error)
{
	char *segments[SEGMENTS_MAX];
	unsigned n = 0;
	memset(route, 0, sizeof(*route));
	bool ok = split(target, route, segments, &n);
	if (ok)
		route->kind = match(route, table, segments, n);
	else
		error_set(error, ERR_SYNTAX, "the URL is malformed");
	for (unsigned i = 0; i < n; i++)
		g_free(segments[i]);
	return ok;
}

void route_clear(struct route *route)
{
	for (unsigned i = 0; i < ROUTE_DEPTH; i++)
		g_clear_pointer(&route->ids[i], g_free);
	g_clear_pointer(&route->tail, g_free);
	g_clear_pointer(&route->parameters, g_hash_table_unref);
}

const struct resource *route_resource(const struct route *route)
{
	return route->depth ? route->chain[route->depth - 1] : NULL;
}

void route_href(const struct route *route, bool with_last, GString *out)
{
	g_string_append(out, route->base);
	for (unsigned i = 0; i < route->depth; i++) {
		g_string_append_c(out, '/');
		g_string_append(out, route->chain[i]->path);
		if (route->ids[i] && (with_last || i + 1 < route->depth)) {
			g_string_append_c(out, '/');
			g_string_append_uri_escaped(out, route->ids[i], "!*'()@:&=+$,", FALSE);
		}
	}
}
