/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's description of its operations (GET base?rsdl): which collections, actions and parameters there are. It is kept beside the
 * session and asked for again only to hear that it has not changed (ETag), or once in CACHE_SECONDS where the engine gives no tag.
 */
#include "client/rest.h"
#include "common/error.h"
#include "common/record.h"
#include <string.h>
#include <glib/gstdio.h>

#define CACHE_FILE "rsdl.xml"
#define CACHE_INFO "rsdl.info"
#define CACHE_GROUP "rsdl"
#define CACHE_SECONDS 600

struct rsdl { GPtrArray *links; };

static void parameter_free(void *data)
{
	struct rsdl_parameter *parameter = data;

	g_free(parameter->name);
	g_free(parameter->type);
	g_clear_pointer(&parameter->item, g_ptr_array_unref);
	g_free(parameter);
}

static void link_free(void *data)
{
	struct rsdl_link *link = data;

	g_strfreev(link->path);
	g_free(link->rel);
	g_free(link->method);
	g_free(link->description);
	g_free(link->type);
	g_ptr_array_unref(link->parameters);
	g_free(link);
}

struct rsdl *rsdl_free(struct rsdl *rsdl)
{
	if (rsdl) {
		g_ptr_array_unref(rsdl->links);
		g_free(rsdl);
	}
	return NULL;
}

/* ---- reading ---- */

static const xmlNode *child(const xmlNode *node, const char *name)
{
	for (const xmlNode *c = node ? node->children : NULL; c; c = c->next)
		if (c->type == XML_ELEMENT_NODE && strcmp((const char *)c->name, name) == 0)
			return c;
	return NULL;
}

static char *content(const xmlNode *node)
{
	xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
	char *copy = text ? g_strstrip(g_strdup((const char *)text)) : NULL;

	xmlFree(text);
	return copy;
}

static char *attribute(const xmlNode *node, const char *name)
{
	xmlChar *text = xmlGetProp(node, (const xmlChar *)name);
	char *copy = g_strdup((const char *)text);

	xmlFree(text);
	return copy;
}

static bool is_set(const char *name)
{
	return strcmp(name, "parameters_set") == 0 || strcmp(name, "parameter_set") == 0;
}

static void read_sets(const xmlNode *body, GPtrArray *ret);

/* "vm.cluster.id|name" -> "cluster.id|name"; the names inside a collection begin with the item's element. */
static void read_parameter(const xmlNode *node, GPtrArray *ret)
{
	struct rsdl_parameter *parameter;
	g_autofree char *name = content(child(node, "name")), *required = attribute(node, "required");
	const char *dot = name ? strchr(name, '.') : NULL;

	if (!name)
		return;
	if (dot)
		dot++;
	else
		dot = name;
	for (guint i = 0; i < ret->len; i++)
		if (strcmp(((struct rsdl_parameter *)ret->pdata[i])->name, dot) == 0)
			return;
	parameter = g_new0(struct rsdl_parameter, 1);
	parameter->name = g_strdup(dot);
	parameter->type = attribute(node, "type");
	parameter->required = required && strcmp(required, "true") == 0;
	if (child(node, "parameters_set") || child(node, "parameter_set")) {
		parameter->item = g_ptr_array_new_with_free_func(parameter_free);
		read_sets(node, parameter->item);
	}
	g_ptr_array_add(ret, parameter);
}

static void read_sets(const xmlNode *body, GPtrArray *ret)
{
	for (const xmlNode *set = body ? body->children : NULL; set; set = set->next)
		if (set->type == XML_ELEMENT_NODE && is_set((const char *)set->name))
			for (const xmlNode *p = set->children; p; p = p->next)
				if (p->type == XML_ELEMENT_NODE && strcmp((const char *)p->name, "parameter") == 0)
					read_parameter(p, ret);
}

/* "/ovirt-engine/api/vms/{vm:id}/start" -> { "vms", "{vm:id}", "start" } */
static char **split_path(const char *href)
{
	const char *at = g_str_has_prefix(href, "/") ? strstr(href, "/api") : NULL;
	g_autofree char *rest = g_strdup(at ? at + strlen("/api") : href);
	g_auto(GStrv) parts = NULL;
	g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);

	rest[strcspn(rest, "?;")] = 0;
	parts = g_strsplit(rest, "/", -1);
	for (char **part = parts; *part; part++)
		if (**part)
			g_ptr_array_add(kept, g_strdup(*part));
	g_ptr_array_add(kept, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&kept), FALSE);
}

static void read_link(const xmlNode *node, GPtrArray *ret)
{
	g_autofree char *href = attribute(node, "href"), *rel = attribute(node, "rel");
	const xmlNode *request = child(node, "request"), *body = child(request, "body");
	struct rsdl_link *link;

	if (!href || !rel)
		return;
	link = g_new0(struct rsdl_link, 1);
	link->path = split_path(href);
	link->rel = g_steal_pointer(&rel);
	link->method = content(child(request, "http_method"));
	link->description = content(child(node, "description"));
	link->type = content(child(body, "type"));
	link->parameters = g_ptr_array_new_with_free_func(parameter_free);
	read_sets(body, link->parameters);
	g_ptr_array_add(ret, link);
}

struct rsdl *rsdl_parse(const char *text, size_t length, GError **error)
{
	xmlDoc *doc = xml_parse(text, length, error);
	const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *links;
	struct rsdl *rsdl;

	if (!doc)
		return NULL;
	links = child(root, "links");
	if (!links) {
		error_set(error, ERR_SYNTAX, "description of the engine: no <links>");
		xmlFreeDoc(doc);
		return NULL;
	}
	rsdl = g_new0(struct rsdl, 1);
	rsdl->links = g_ptr_array_new_with_free_func(link_free);
	for (const xmlNode *node = links->children; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "link") == 0)
			read_link(node, rsdl->links);
	xmlFreeDoc(doc);
	return rsdl;
}

/* ---- asking ---- */

const GPtrArray *rsdl_links(const struct rsdl *rsdl)
{
	return rsdl->links;
}

/* Does the link's path begin with the template ("vms/{}/nics")? The number of segments the template has, or -1. */
static int starts_with(const struct rsdl_link *link, const char *collection)
{
	g_auto(GStrv) parts = g_strsplit(collection, "/", -1);
	int i;

	for (i = 0; parts[i]; i++)
		if (!link->path[i] || (*parts[i] == '{' ? *link->path[i] != '{' : strcmp(parts[i], link->path[i]) != 0))
			return -1;
	return i;
}

const struct rsdl_link *rsdl_find(const struct rsdl *rsdl, const char *collection, bool member, const char *rel)
{
	for (guint i = 0; rsdl && i < rsdl->links->len; i++) {
		const struct rsdl_link *link = rsdl->links->pdata[i];
		int n = strcmp(link->rel, rel) == 0 ? starts_with(link, collection) : -1;
		bool is_member = n >= 0 && link->path[n] && *link->path[n] == '{';

		if (n < 0 || is_member != member)
			continue;
		if (!link->path[member ? n + 1 : n] || (member && strcmp(link->path[n + 1], rel) == 0 && !link->path[n + 2]))
			return link;
	}
	return NULL;
}

static bool is_action(const struct rsdl_link *link, int n)
{
	return link->path[n] && *link->path[n] == '{' && link->path[n + 1] && !link->path[n + 2] && strcmp(link->rel, link->path[n + 1]) == 0 &&
	       g_strcmp0(link->method, "POST") == 0;
}

GPtrArray *rsdl_actions(const struct rsdl *rsdl, const char *collection)
{
	GPtrArray *found = g_ptr_array_new();

	for (guint i = 0; rsdl && i < rsdl->links->len; i++) {
		const struct rsdl_link *link = rsdl->links->pdata[i];
		int n = starts_with(link, collection);

		if (n >= 0 && is_action(link, n))
			g_ptr_array_add(found, link->rel);
	}
	return found;
}

GPtrArray *rsdl_subcollections(const struct rsdl *rsdl, const char *collection)
{
	GPtrArray *found = g_ptr_array_new();

	for (guint i = 0; rsdl && i < rsdl->links->len; i++) {
		const struct rsdl_link *link = rsdl->links->pdata[i];
		int n = starts_with(link, collection);

		if (n >= 0 && link->path[n] && *link->path[n] == '{' && link->path[n + 1] && !link->path[n + 2] && strcmp(link->rel, "get") == 0)
			g_ptr_array_add(found, link->path[n + 1]);
	}
	return found;
}

/* ---- the copy beside the session ---- */

static char *cached(const struct session *session, bool offline, char **ret_etag, gsize *ret_length)
{
	g_autofree char *info_file = session_file(CACHE_INFO), *file = session_file(CACHE_FILE), *url = NULL, *etag = NULL;
	g_autoptr(GKeyFile) info = g_key_file_new();
	char *text = NULL;
	gint64 age;

	if (!g_key_file_load_from_file(info, info_file, G_KEY_FILE_NONE, NULL))
		return NULL;
	url = g_key_file_get_string(info, CACHE_GROUP, "url", NULL);
	etag = g_key_file_get_string(info, CACHE_GROUP, "etag", NULL);
	age = g_get_real_time() / G_USEC_PER_SEC - g_key_file_get_int64(info, CACHE_GROUP, "time", NULL);
	if (g_strcmp0(url, session->url) != 0 || (!offline && !etag && (age < 0 || age > CACHE_SECONDS)) ||
	    !g_file_get_contents(file, &text, ret_length, NULL))
		return NULL;
	*ret_etag = g_steal_pointer(&etag);
	return text;
}

/* Not being able to keep a copy is no failure: the next command asks again. */
static void keep(const struct session *session, const struct rest_answer *answer)
{
	g_autofree char *info_file = session_file(CACHE_INFO), *file = session_file(CACHE_FILE), *directory = g_path_get_dirname(file), *text = NULL;
	g_autoptr(GKeyFile) info = g_key_file_new();

	g_key_file_set_string(info, CACHE_GROUP, "url", session->url);
	if (answer->etag)
		g_key_file_set_string(info, CACHE_GROUP, "etag", answer->etag);
	g_key_file_set_int64(info, CACHE_GROUP, "time", g_get_real_time() / G_USEC_PER_SEC);
	text = g_key_file_to_data(info, NULL, NULL);
	if (g_mkdir_with_parents(directory, 0700) == 0 && g_file_set_contents(file, answer->body, -1, NULL))
		(void)g_file_set_contents(info_file, text, -1, NULL);
}

struct rsdl *rsdl_load(struct rest *rest, const struct session *session, bool offline, GError **error)
{
	struct rest_answer answer = { 0 };
	g_autofree char *etag = NULL, *text = NULL;
	struct rsdl *rsdl = NULL;
	gsize length = 0;

	text = cached(session, offline, &etag, &length);
	if (text && (offline || !etag) && (rsdl = rsdl_parse(text, length, NULL)))
		return rsdl;
	if (!rest_request_full(rest, "GET", "?rsdl", NULL, REST_XML, text ? etag : NULL, &answer, error))
		return NULL;
	if (answer.status == 304 && text) {
		rsdl = rsdl_parse(text, length, error);
	} else {
		rsdl = rsdl_parse(answer.body, strlen(answer.body), error);
		if (rsdl)
			keep(session, &answer);
	}
	rest_answer_clear(&answer);
	return rsdl;
}
