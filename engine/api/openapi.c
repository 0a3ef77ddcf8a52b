/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ?openapi: an OpenAPI 3.0 document of every operation, in JSON, from the tables of resources and records that the RSDL is made of. Schemas are in the
 * form of the JSON that the API speaks: booleans and small integers are strings there, sizes and times are numbers.
 */
#include <jansson.h>
#include <string.h>
#include "engine/api/api-priv.h"
#include "engine/model/misc.h"

struct document {
	json_t *paths, *schemas;
	const char *base;
};

/* ---- schemas ---- */

static const char *schema_name(struct document *document, const struct record_type *type);

static json_t *reference_to(const char *name)
{
	return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", name));
}

static json_t *scalar(const struct field *field)
{
	switch (field->kind) {
	case FIELD_BOOL:
		return json_pack("{s:s, s:[s, s]}", "type", "string", "enum", "true", "false");
	case FIELD_INT:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^-?[0-9]+$");
	case FIELD_LONG:
	case FIELD_TIME:
		return json_pack("{s:s, s:s}", "type", "integer", "format", "int64");
	case FIELD_DECIMAL:
		return json_pack("{s:s}", "type", "number");
	case FIELD_ENUM: {
		json_t *names = json_array();
		for (const char *const *name = field->names; *name; name++)
			json_array_append_new(names, json_string(*name));
		return json_pack("{s:s, s:o}", "type", "string", "enum", names);
	}
	default:
		return json_pack("{s:s}", "type", "string");
	}
}

static json_t *member_schema(struct document *document, const struct field *field)
{
	json_t *schema;

	if (field->kind == FIELD_REF)
		return reference_to("reference");
	if (field->kind == FIELD_RECORD)
		return reference_to(schema_name(document, field->item));
	if (field->kind == FIELD_LIST || field->kind == FIELD_STRINGS)
		schema = json_pack("{s:s, s:o}", "type", "array", "items",
				   field->kind == FIELD_LIST ? reference_to(schema_name(document, field->item)) : json_pack("{s:s}", "type", "string"));
	else
		schema = scalar(field);
	g_autofree char *doc = field->unit ? g_strdup_printf("%s (%s)", field->doc, field->unit) : g_strdup(field->doc);
	json_object_set_new(schema, "description", json_string(doc));
	if (!(field->flags & (CREATE | UPDATE)))
		json_object_set_new(schema, "readOnly", json_true());
	if (field->def && *field->def)
		json_object_set_new(schema, "default", json_string(field->def));
	return schema;
}

/* "cpu/topology@sockets" is a member of an object of an object. What stands in the way of a path (a member that is also an element) keeps its place. */
static void put_member(struct document *document, json_t *schema, const struct field *field)
{
	g_auto(GStrv) steps = g_strsplit_set(field->path, "/@", -1);
	json_t *at = schema;

	for (char **step = steps; *step; step++) {
		if (!**step)
			continue;
		json_t *properties = json_object_get(at, "properties");
		if (!properties) {
			if (json_object_get(at, "$ref") || json_object_get(at, "items"))
				return;
			properties = json_object();
			json_object_set_new(at, "properties", properties);
		}
		json_t *next = json_object_get(properties, *step);
		if (!next) {
			next = step[1] ? json_pack("{s:s}", "type", "object") : member_schema(document, field);
			json_object_set_new(properties, *step, next);
		}
		at = next;
	}
}

/* Several records share an element's name (action): the later ones get a number. */
static const char *schema_name(struct document *document, const struct record_type *type)
{
	g_autofree char *mark = g_strdup_printf("%p", (const void *)type), *name = g_strdup(type->name);
	json_t *schema;

	for (int i = 2; (schema = json_object_get(document->schemas, name)) != NULL; i++) {
		if (strcmp(json_string_value(json_object_get(schema, "x-type")), mark) == 0)
			return json_object_iter_key(json_object_iter_at(document->schemas, name));
		g_free(name);
		name = g_strdup_printf("%s%d", type->name, i);
	}
	/* its place first: records may hold their own kind */
	schema = json_pack("{s:s, s:s, s:s, s:{}}", "type", "object", "description", type->doc, "x-type", mark, "properties");
	json_object_set_new(document->schemas, name, schema);
	for (size_t i = 0; i < type->n_fields; i++)
		if (!(type->fields[i].flags & (INTERNAL | ALIAS)) && type->fields[i].kind != FIELD_JSON)
			put_member(document, schema, &type->fields[i]);
	return json_object_iter_key(json_object_iter_at(document->schemas, name));
}

/* ---- operations ---- */

static json_t *content(json_t *schema)
{
	return json_pack("{s:{s:{s:o}, s:{s:{s:s}}}}", "content", "application/json", "schema", schema, "application/xml", "schema", "type", "object");
}

static void describe(json_t *operation, const char *doc)
{
	if (doc)
		json_object_set_new(operation, "summary", json_string(doc));
}

static void add_answer(json_t *operation, const char *status, const char *text, json_t *schema)
{
	json_t *answer = schema ? content(schema) : json_object(), *responses = json_object_get(operation, "responses");

	json_object_set_new(answer, "description", json_string(text));
	json_object_set_new(responses, status, answer);
}

static void add_parameter(json_t *operation, const char *name, const char *where, const char *doc, bool required)
{
	json_array_append_new(json_object_get(operation, "parameters"),
			      json_pack("{s:s, s:s, s:b, s:s, s:{s:s}}", "name", name, "in", where, "required", required, "description", doc, "schema", "type", "string"));
}

/* "/vms/{vm_id}/nics" and "list": vms_nics_list, what generated clients call their functions. An action has its name in the path: verb NULL. */
static void name_operation(json_t *operation, const char *path, const char *verb)
{
	g_auto(GStrv) steps = g_strsplit(path, "/", -1);
	GString *id = g_string_new(NULL);

	for (char **step = steps; *step; step++)
		if (**step && **step != '{')
			g_string_append_printf(id, "%s%s", id->len ? "_" : "", *step);
	json_object_set_new(operation, "tags", json_pack("[s#]", id->len ? id->str : "api", id->len ? (int)strcspn(id->str, "_") : 3));
	if (verb)
		g_string_append_printf(id, "%s%s", id->len ? "_" : "", verb);
	json_object_set_new(operation, "operationId", json_string(id->str));
	g_string_free(id, TRUE);
}

static json_t *operation_new(struct document *document, const char *path, const char *method, const char *verb, const char *doc, const char *permit)
{
	json_t *item = json_object_get(document->paths, path), *operation = json_pack("{s:[], s:{}}", "parameters", "responses");

	if (!item) {
		item = json_object();
		json_object_set_new(document->paths, path, item);
	}
	json_object_set_new(item, method, operation);
	describe(operation, doc);
	name_operation(operation, path, verb);
	if (permit)
		json_object_set_new(operation, "x-permit", json_string(permit));
	/* {vm_id} and the like */
	for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{')) {
		g_autofree char *name = g_strndup(p + 1, strcspn(p + 1, "}"));
		add_parameter(operation, name, "path", "id", true);
	}
	add_answer(operation, "4XX", "Refused: why", reference_to(schema_name(document, &fault_type)));
	add_answer(operation, "default", "Failed: why", reference_to(schema_name(document, &fault_type)));
	return operation;
}

static void add_body(struct document *document, json_t *operation, const struct record_type *type)
{
	json_t *body = content(reference_to(schema_name(document, type)));

	json_object_set_new(operation, "requestBody", body);
}

static json_t *list_of(struct document *document, const struct record_type *type)
{
	return json_pack("{s:s, s:{s:{s:s, s:o}}}", "type", "object", "properties", type->name, "type", "array", "items",
			 reference_to(schema_name(document, type)));
}

static void resource_path(const struct resource *resource, bool item, GString *out)
{
	if (resource->parent) {
		resource_path(resource->parent, true, out);
	}
	g_string_append_printf(out, "/%s", resource->path);
	if (item)
		g_string_append_printf(out, "/{%s%s}", resource_type(resource)->name, "_id");
}

static void add_actions(struct document *document, const struct resource *resource, const char *item)
{
	for (const struct action *action = resource->actions; action && action->name; action++) {
		const struct record_type *type = action->params ? action->params : &plain_action_type;
		g_autofree char *path = g_strconcat(item, "/", action->name, NULL);
		json_t *operation = operation_new(document, path, "post", NULL, action->doc, action->permit);

		add_body(document, operation, type);
		add_answer(operation, "200", "Done", reference_to(schema_name(document, type)));
		add_answer(operation, "202", "Under way", reference_to(schema_name(document, type)));
	}
}

static void add_resource(struct document *document, const struct resource *resource)
{
	const struct record_type *type = resource_type(resource);
	GString *collection = g_string_new(NULL), *item = g_string_new(NULL);
	const char *name = schema_name(document, type);
	json_t *operation;

	resource_path(resource, false, collection);
	resource_path(resource, true, item);
	if (resource->methods & RESOURCE_LIST) {
		operation = operation_new(document, collection->str, "get", "list", resource->doc, NULL);
		if (resource->kind) {
			add_parameter(operation, "search", "query", "search query", false);
			add_parameter(operation, "case_sensitive", "query", "true or false", false);
		}
		add_parameter(operation, "max", "query", "members at most", false);
		add_answer(operation, "200", "The members", list_of(document, type));
	}
	if (resource->methods & RESOURCE_ADD) {
		operation = operation_new(document, collection->str, "post", "add", resource->doc, resource->permit_add);
		add_body(document, operation, type);
		add_answer(operation, "201", "Made", reference_to(name));
		if (resource->asynchronous)
			add_answer(operation, "202", "Being made", reference_to(name));
	}
	if (resource->methods & RESOURCE_GET)
		add_answer(operation_new(document, item->str, "get", "get", type->doc, NULL), "200", "The object", reference_to(name));
	if (resource->methods & RESOURCE_UPDATE) {
		operation = operation_new(document, item->str, "put", "update", type->doc, resource->permit_update);
		add_body(document, operation, type);
		add_answer(operation, "200", "Changed", reference_to(name));
	}
	if (resource->methods & RESOURCE_REMOVE) {
		operation = operation_new(document, item->str, "delete", "remove", type->doc, resource->permit_remove);
		add_answer(operation, "204", "Removed", NULL);
	}
	add_actions(document, resource, item->str);
	g_string_free(collection, TRUE);
	g_string_free(item, TRUE);
}

/* The marks told the types apart while the document was made. */
static void drop_marks(json_t *schemas)
{
	const char *name;
	json_t *schema;

	json_object_foreach(schemas, name, schema)
		json_object_del(schema, "x-type");
}

void answer_openapi(struct call *call)
{
	struct document document = { .paths = json_object(), .schemas = json_object(), .base = call->route.base };
	json_t *root;

	json_object_set_new(document.schemas, "reference",
			    json_pack("{s:s, s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}}, s:s}", "type", "object", "description", "Another object: by id, or on input by name",
				      "properties", "id", "type", "string", "href", "type", "string", "name", "type", "string", "x-type", ""));
	/* what stands by itself gets the plain names */
	for (size_t i = 0; resources[i]; i++)
		if (!resources[i]->parent)
			(void)schema_name(&document, resource_type(resources[i]));
	add_answer(operation_new(&document, "/", "get", "get", "The entry point", NULL), "200", "The entry point", reference_to(schema_name(&document, &entry_type)));
	add_answer(operation_new(&document, "/capabilities", "get", "get", "What each compatibility level knows", NULL), "200", "The capabilities",
		   reference_to(schema_name(&document, &capabilities_type)));
	for (size_t i = 0; resources[i]; i++)
		add_resource(&document, resources[i]);
	drop_marks(document.schemas);
	root = json_pack("{s:s, s:{s:s, s:o, s:{s:s, s:s}}, s:[{s:s}], s:o, s:{s:o, s:{s:{s:s, s:s}, s:{s:s, s:s, s:s}}}, s:[{s:[]}, {s:[]}]}", "openapi", "3.0.3", "info", "title",
			 "Berth", "version", json_sprintf("%d.%d", LEVEL_MAJOR, LEVEL_MINOR), "license", "name", "Apache-2.0", "url",
			 "https://www.apache.org/licenses/LICENSE-2.0", "servers", "url", call->route.base, "paths", document.paths,
			 "components", "schemas", document.schemas, "securitySchemes", "basic", "type", "http", "scheme", "basic", "session", "type", "apiKey",
			 "in", "cookie", "name", "JSESSIONID", "security", "basic", "session");
	char *text = json_dumps(root, JSON_COMPACT);
	exchange_answer(call->exchange, 200, "application/json", g_string_new(text));
	free(text);
	json_decref(root);
}
