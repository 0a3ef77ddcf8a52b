/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's description of its operations (GET base?rsdl): which collections, actions and parameters there are. */
#include "client/rest.h"
#include "common/error.h"
#include <string.h>

struct rsdl { GPtrArray *links; };

static void parameter_free(void *data)
{
	struct rsdl_parameter *parameter = data;

	g_free(parameter->name);
	g_free(parameter->type);
	g_free(parameter->description);
	g_strfreev(parameter->values);
	g_free(parameter->unit);
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
	g_free(link->response_type);
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

/* <value>: the values that are possible, "a|b"; of a number its unit */
static void read_value(const xmlNode *node, struct rsdl_parameter *parameter)
{
	g_autofree char *value = content(child(node, "value"));

	if (!value || !*value)
		return;
	if (g_strcmp0(parameter->type, "xs:string") == 0 || g_strcmp0(parameter->type, "xs:boolean") == 0)
		parameter->values = g_strsplit(value, "|", -1);
	else
		parameter->unit = g_steal_pointer(&value);
}

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
	parameter->description = content(child(node, "description"));
	read_value(node, parameter);
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
	link->response_type = content(child(child(node, "response"), "type"));
	link->parameters = g_ptr_array_new_with_free_func(parameter_free);
	read_sets(body, link->parameters);
	g_ptr_array_add(ret, link);
}

static struct rsdl *rsdl_read(const xmlDoc *doc, GError **error)
{
	const xmlNode *links = child(xmlDocGetRootElement(doc), "links");
	struct rsdl *rsdl;

	if (!links) {
		error_set(error, ERR_SYNTAX, "description of the engine: no <links>");
		return NULL;
	}
	rsdl = g_new0(struct rsdl, 1);
	rsdl->links = g_ptr_array_new_with_free_func(link_free);
	for (const xmlNode *node = links->children; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "link") == 0)
			read_link(node, rsdl->links);
	return rsdl;
}

/* ---- asking ---- */

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

const char *rsdl_collection_of(const struct rsdl *rsdl, const char *element)
{
	g_auto(GStrv) words = g_strsplit(element, "_", -1);
	g_autofree char *plain = g_strjoinv("", words), *placeholder = g_strdup_printf("{%s:id}", plain);

	for (guint i = 0; rsdl && i < rsdl->links->len; i++) {
		const struct rsdl_link *link = rsdl->links->pdata[i];

		if (link->path[0] && g_strcmp0(link->path[1], placeholder) == 0 && !link->path[2])
			return link->path[0];
	}
	return NULL;
}

struct rsdl *rsdl_load(struct rest *rest, bool offline, GError **error)
{
	xmlDoc *doc = document_load(rest, "rsdl", offline, error);
	struct rsdl *rsdl = doc ? rsdl_read(doc, error) : NULL;

	xmlFreeDoc(doc);
	return rsdl;
}
