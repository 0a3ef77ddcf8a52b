/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's XML schema (GET base?schema) as far as it helps people: which members are times, and in what units numbers are. JSON has the names
 * of XML, so the declaration of a JSON member is found by its name below that of the object it is in.
 */
#include "client/rest.h"
#include <string.h>

struct schema { xmlDoc *doc; };

struct schema *schema_load(struct rest *rest)
{
	xmlDoc *doc = document_load(rest, "schema", /* offline= */ false, NULL);
	struct schema *schema = doc ? g_new0(struct schema, 1) : NULL;

	if (schema)
		schema->doc = doc;
	return schema;
}

struct schema *schema_free(struct schema *schema)
{
	if (schema) {
		xmlFreeDoc(schema->doc);
		g_free(schema);
	}
	return NULL;
}

static bool is_node(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static bool has_attribute(const xmlNode *node, const char *name, const char *value)
{
	xmlChar *text = xmlGetProp(node, (const xmlChar *)name);
	bool same = text && strcmp((const char *)text, value) == 0;

	xmlFree(text);
	return same;
}

static const xmlNode *named_child(const xmlNode *parent, const char *kind, const char *name)
{
	for (const xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
		if (is_node(node, kind) && (!name || has_attribute(node, "name", name)))
			return node;
	return NULL;
}

const xmlNode *schema_element(const struct schema *schema, const char *name)
{
	return schema && name ? named_child(xmlDocGetRootElement(schema->doc), "element", name) : NULL;
}

/* Below a complex type stand choices, extensions and the like; members of members are not looked at. */
static const xmlNode *find(const xmlNode *type, const char *name)
{
	const xmlNode *found = NULL;

	for (const xmlNode *node = type->children; node && !found; node = node->next) {
		if (node->type != XML_ELEMENT_NODE)
			continue;
		if (is_node(node, "element") || is_node(node, "attribute"))
			found = has_attribute(node, "name", name) ? node : NULL;
		else
			found = find(node, name);
	}
	return found;
}

const xmlNode *schema_member(const struct schema *schema, const xmlNode *declaration, const char *name)
{
	const xmlNode *type = named_child(declaration, "complexType", NULL);
	xmlChar *named;

	if (!declaration)
		return NULL;
	if (!type && (named = xmlGetProp(declaration, (const xmlChar *)"type"))) {
		type = named_child(xmlDocGetRootElement(schema->doc), "complexType", (const char *)named);
		xmlFree(named);
	}
	return type ? find(type, name) : NULL;
}

bool schema_is_time(const xmlNode *declaration)
{
	return declaration && has_attribute(declaration, "type", "xs:dateTime");
}

char *schema_unit(const xmlNode *declaration)
{
	const xmlNode *annotation = named_child(declaration, "annotation", NULL);

	for (const xmlNode *node = annotation ? annotation->children : NULL; node; node = node->next)
		if (is_node(node, "appinfo") && has_attribute(node, "source", "unit")) {
			xmlChar *text = xmlNodeGetContent(node);
			char *unit = g_strdup((const char *)text);

			xmlFree(text);
			return unit;
		}
	return NULL;
}
