/* SPDX-License-Identifier: Apache-2.0 */
/* ?rsdl: every operation the server offers, from the tables of resources and records. Guide 4.5. */
#include <string.h>
#include "engine/api/api-priv.h"
#include "engine/model/misc.h"

#define DESCRIPTION "The REST API of Berth, in the form of version 3.6"

static void header(struct writer *w, const char *name, const char *value, bool required)
{
	writer_open(w, "header");
	writer_attribute(w, "required", required ? "true" : "false");
	writer_text(w, "name", name);
	writer_text(w, "value", value);
	writer_close(w);
}

static void parameter(struct writer *w, const char *name, const char *type, const char *value, const char *context)
{
	writer_open(w, "parameter");
	writer_attribute(w, "required", "false");
	writer_attribute(w, "type", type);
	writer_attribute(w, "context", context);
	writer_text(w, "name", name);
	writer_text(w, "value", value);
	writer_close(w);
}

struct operation {
	const char *rel, *method, *href, *doc, *body_type, *response_type;
	const struct record_type *body;
	uint32_t flags;                  /* CREATE or UPDATE */
	bool list, all_content, asynchronous;
};

static void write_operation(struct writer *w, const struct operation *operation)
{
	bool change = strcmp(operation->method, "GET") != 0;
	writer_open(w, "link");
	writer_attribute(w, "href", operation->href);
	writer_attribute(w, "rel", operation->rel);
	if (operation->doc)
		writer_text(w, "description", operation->doc);
	writer_open(w, "request");
	writer_text(w, "http_method", operation->method);
	writer_open(w, "headers");
	writer_open_list(w, "header");
	if (operation->body)
		header(w, "Content-Type", "application/xml|json", true);
	if (change)
		header(w, "Correlation-Id", "any string", false);
	if (operation->asynchronous)
		header(w, "Expect", "201-created", false);
	if (operation->all_content)
		header(w, "All-Content", "true|false", false);
	if (change)
		header(w, "Prefer", "handling=strict", false);
	writer_close_list(w);
	writer_close(w);
	if (operation->list) {
		writer_open(w, "url");
		writer_open(w, "parameters_set");
		writer_open_list(w, "parameter");
		parameter(w, "search", "xs:string", "search query", "query");
		parameter(w, "case_sensitive", "xs:boolean", "true|false", "matrix");
		parameter(w, "max", "xs:int", "max results", "matrix");
		writer_close_list(w);
		writer_close(w);
		writer_close(w);
	}
	if (operation->body) {
		writer_open(w, "body");
		writer_text(w, "type", operation->body_type);
		record_write_rsdl(w, operation->body, operation->flags);
		writer_close(w);
	}
	writer_close(w);
	if (operation->response_type) {
		writer_open(w, "response");
		writer_text(w, "type", operation->response_type);
		writer_close(w);
	}
	writer_close(w);
}

static void template_href(const struct resource *resource, bool item, GString *out)
{
	if (resource->parent) {
		template_href(resource->parent, true, out);
		g_string_append_c(out, '/');
	}
	g_string_append(out, resource->path);
	if (item) {
		/* {vm:id}: the element's name without '_' */
		g_string_append(out, "/{");
		for (const char *p = resource_type(resource)->name; *p; p++)
			if (*p != '_')
				g_string_append_c(out, *p);
		g_string_append(out, ":id}");
	}
}

static bool has_all_content(const struct record_type *type)
{
	for (size_t i = 0; i < type->n_fields; i++)
		if (type->fields[i].flags & ALL_CONTENT)
			return true;
	return false;
}

static void write_resource(struct writer *w, const char *base, const struct resource *resource)
{
	const struct record_type *type = resource_type(resource);
	GString *path = g_string_new(NULL);
	template_href(resource, false, path);
	char *collection = g_strconcat(base, "/", path->str, NULL);
	g_string_truncate(path, 0);
	template_href(resource, true, path);
	char *item = g_strconcat(base, "/", path->str, NULL);
	bool all = has_all_content(type);

	if (resource->methods & RESOURCE_LIST)
		write_operation(w, &(struct operation){ .rel = "get", .method = "GET", .href = collection, .doc = resource->doc, .response_type = type->plural,
							.list = resource->kind != NULL, .all_content = all });
	if (resource->methods & RESOURCE_GET)
		write_operation(w, &(struct operation){ .rel = "get", .method = "GET", .href = item, .response_type = type->name, .all_content = all });
	if (resource->methods & RESOURCE_ADD)
		write_operation(w, &(struct operation){ .rel = "add", .method = "POST", .href = collection, .body = type, .body_type = type->name,
							.flags = CREATE, .response_type = type->name, .asynchronous = resource->asynchronous });
	if (resource->methods & RESOURCE_UPDATE)
		write_operation(w, &(struct operation){ .rel = "update", .method = "PUT", .href = item, .body = type, .body_type = type->name, .flags = UPDATE,
							.response_type = type->name });
	if (resource->methods & RESOURCE_REMOVE)
		write_operation(w, &(struct operation){ .rel = "delete", .method = "DELETE", .href = item, .body = resource->remove_params,
							.body_type = "action", .flags = CREATE });
	for (const struct action *action = resource->actions; action && action->name; action++) {
		char *href = g_strconcat(item, "/", action->name, NULL);
		write_operation(w, &(struct operation){ .rel = action->name, .method = "POST", .href = href, .doc = action->doc,
							.body = action->params ? action->params : &plain_action_type, .body_type = "action", .flags = CREATE,
							.response_type = "action" });
		g_free(href);
	}
	g_free(collection);
	g_free(item);
	g_string_free(path, TRUE);
}

void answer_rsdl(struct call *call)
{
	const char *base = call->route.base;
	GString *out = g_string_sized_new(256 * 1024);
	struct writer *w = render_writer(call->format, out);
	char *href = g_strconcat(base, "?rsdl", NULL), *schema = g_strconcat(base, "?schema", NULL), number[16];

	writer_open(w, "rsdl");
	writer_attribute(w, "href", href);
	writer_attribute(w, "rel", "rsdl");
	writer_text(w, "description", DESCRIPTION);
	writer_open(w, "version");
	g_snprintf(number, sizeof(number), "%d", LEVEL_MAJOR);
	writer_attribute(w, "major", number);
	g_snprintf(number, sizeof(number), "%d", LEVEL_MINOR);
	writer_attribute(w, "minor", number);
	writer_attribute(w, "build", "0");
	writer_attribute(w, "revision", "0");
	writer_close(w);
	writer_open(w, "schema");
	writer_attribute(w, "href", schema);
	writer_attribute(w, "rel", "schema");
	writer_text(w, "name", "api.xsd");
	writer_text(w, "description", "The XML schema of all representations");
	writer_close(w);
	writer_open(w, "general");
	writer_open(w, "request");
	writer_open(w, "headers");
	writer_open_list(w, "header");
	header(w, "Authorization", "Basic user@domain:password", false);
	header(w, "Prefer", "persistent-auth", false);
	header(w, "Session-TTL", "minutes", false);
	header(w, "Accept", "application/xml|json", false);
	writer_close_list(w);
	writer_close(w);
	writer_close(w);
	writer_close(w);
	writer_open(w, "links");
	writer_open_list(w, "link");
	char *capabilities = g_strconcat(base, "/capabilities", NULL);
	write_operation(w, &(struct operation){ .rel = "get", .method = "GET", .href = base, .response_type = "api" });
	write_operation(w, &(struct operation){ .rel = "get", .method = "GET", .href = capabilities, .response_type = "capabilities" });
	g_free(capabilities);
	for (size_t i = 0; resources[i]; i++)
		write_resource(w, base, resources[i]);
	writer_close_list(w);
	writer_close(w);
	writer_close(w);
	writer_free(w);
	exchange_answer(call->exchange, 200, format_type(call->format), out);
	g_free(href);
	g_free(schema);
}
