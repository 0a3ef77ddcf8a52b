/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records from XML, and XML text from outside.
 *
 * The parser takes no document type at all: without one there are no entities but the five, no default attributes and nothing to load.
 * Namespaces are ignored, for clients of this kind of API use none.
 */
#include "common/error.h"
#include "common/record-priv.h"
#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <string.h>

#define DEPTH_MAX 64

/* ---- records ---- */

static bool read_element(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
			 const xmlNode *element);

static bool is_text(const xmlNode *node)
{
	return node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE;
}

/* The text directly below; *ret_heap is to be freed. Mostly there is one text node and nothing is copied. */
static const char *text_of(const xmlNode *first, char **ret_heap)
{
	const char *only = NULL;
	GString *joined = NULL;

	*ret_heap = NULL;
	for (const xmlNode *node = first; node; node = node->next) {
		const char *text = (const char *)node->content;

		if (!is_text(node) || !text)
			continue;
		if (!only) {
			only = text;
			continue;
		}
		if (!joined)
			joined = g_string_new(only);
		g_string_append(joined, text);
	}
	if (joined)
		only = *ret_heap = g_string_free(joined, FALSE);
	return only ? only : "";
}

static bool has_elements(const xmlNode *element)
{
	for (const xmlNode *child = element->children; child; child = child->next)
		if (child->type == XML_ELEMENT_NODE)
			return true;
	return false;
}

/* `id` (attribute or child) and <name> of a reference, where no table mentions them. */
static bool read_ref_part(const struct node *node, void *record, const char *name, const xmlNode *first)
{
	g_autofree char *heap = NULL;
	struct ref *ref;

	if (!node->input || node->input->kind != FIELD_REF)
		return false;
	ref = member_at(record, node->input);
	if (!strcmp(name, "id"))
		ref_set_id(ref, text_of(first, &heap));
	else if (!strcmp(name, "name"))
		ref_set_name(ref, text_of(first, &heap));
	else
		return false;
	return true;
}

static bool read_attributes(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
			    const xmlNode *element)
{
	for (const xmlAttr *attribute = element->properties; attribute; attribute = attribute->next) {
		const char *name = (const char *)attribute->name;
		const struct node *child = plan_child(plan, node, name, strlen(name), NODE_ATTRIBUTE);
		g_autofree char *heap = NULL;
		bool done = true;

		if (child && reader_takes(reader, up, child))
			done = reader_set_text(reader, up, plan, child, record, text_of(attribute->children, &heap));
		else if (child)
			done = reader_note(reader, up, child, NULL, false);
		else if (!attribute->ns && strcmp(name, "href") && !read_ref_part(node, record, name, attribute->children))
			done = reader_note(reader, up, node, name, true);
		if (!done)
			return false;
	}
	return true;
}

static bool read_child(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		       const xmlNode *element)
{
	const struct field *field = node->input;
	struct crumb here = { up, node };
	g_autofree char *heap = NULL;
	void **at;

	if (!field)
		return read_element(reader, up, plan, node, record, element);
	if (!reader_takes(reader, up, node))
		return node->first && has_elements(element) ? read_element(reader, up, plan, node, record, element) :
							      reader_note(reader, up, node, NULL, false);
	at = member_at(record, field);
	switch (field->kind) {
	case FIELD_STRINGS:
		return reader_add_string(reader, up, plan, node, record, text_of(element->children, &heap));
	case FIELD_LIST: {
		const struct plan *items = node_item_plan(node);

		return read_element(reader, &here, items, items->root, list_add((GPtrArray **)at, items->type), element);
	}
	case FIELD_RECORD: {
		const struct plan *items = node_item_plan(node);

		if (!*at)
			*at = record_new(items->type);
		return read_element(reader, &here, items, items->root, *at, element);
	}
	case FIELD_JSON:
		return reader_note(reader, up, node, NULL, false);
	default:
		return read_element(reader, up, plan, node, record, element);
	}
}

/* The element's own text. */
static bool read_text(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		      const xmlNode *element)
{
	g_autofree char *heap = NULL;
	const char *text = text_of(element->children, &heap);

	if (!node->input)
		return is_blank(text) || (element->properties || has_elements(element) ? reader_note(reader, up, node, NULL, false) :
											 reader_no_value(reader, up, node, text));
	/* <x priority="5"/> does not say that the text of x is empty; <x/> does */
	if (is_blank(text) && (node->input->kind != FIELD_STRING || element->properties || has_elements(element)))
		return true;
	if (!reader_takes(reader, up, node))
		return reader_note(reader, up, node, NULL, false);
	if (has_elements(element)) {
		g_autofree char *trimmed = g_strstrip(g_strdup(text));      /* the layout around the elements is no part of it */

		return reader_set_text(reader, up, plan, node, record, trimmed);
	}
	return reader_set_text(reader, up, plan, node, record, text);
}

static bool read_element(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
			 const xmlNode *element)
{
	if (!read_attributes(reader, up, plan, node, record, element))
		return false;
	for (const xmlNode *child = element->children; child; child = child->next) {
		const char *name = (const char *)child->name;
		const struct node *known;
		bool done = true;

		if (child->type != XML_ELEMENT_NODE)
			continue;
		known = plan_child(plan, node, name, strlen(name), NODE_ELEMENT);
		if (known)
			done = read_child(reader, up, plan, known, record, child);
		else if (!read_ref_part(node, record, name, child->children) && strcmp(name, "link") && strcmp(name, "actions"))
			done = reader_note(reader, up, node, name, false);
		if (!done)
			return false;
	}
	if (node->sole_list && reader_takes(reader, up, node->sole_list)) {
		GPtrArray **list = member_at(record, node->sole_list->input);

		if (!*list)
			*list = node->sole_list->input->kind == FIELD_LIST ? list_new() : strings_new();
	}
	return read_text(reader, up, plan, node, record, element);
}

void *record_from_xml(const struct record_type *type, const xmlNode *element, struct record_input *input, GError **error)
{
	struct record_input plain = { .dialect = RECORD_REST };
	struct reader reader = { .input = input ? input : &plain, .type = type, .check = true, .error = error };
	const struct plan *plan = record_plan(type);
	const char *name = (const char *)element->name;
	void *record = record_new(type);
	bool done;

	/* clients call the outermost element what they like (<nic>, <host_nic>): it is as any name that no table knows */
	done = !strcmp(name, type->name) || reader_note(&reader, NULL, plan->root, name, false);
	done = done && read_element(&reader, NULL, plan, plan->root, record, element);
	if (!done)
		g_clear_pointer(&record, record_unref);
	if (!input)
		record_input_clear(&plain);
	return record;
}

/* ---- text ---- */

/* The first thing that was wrong (what follows is mostly its consequence); reached through the context's _private. */
struct watch {
	char *problem;
	int line;
};

static void on_error(void *data, xmlError *error)
{
	xmlParserCtxt *context = data;
	struct watch *watch = context->_private;

	if (watch->problem || error->level < XML_ERR_ERROR)
		return;
	watch->problem = error->message ? g_strndup(error->message, strcspn(error->message, "\n")) : g_strdup("not well-formed");
	watch->line = error->line;
}

static void stop(xmlParserCtxt *context, const char *why)
{
	struct watch *watch = context->_private;

	if (watch->problem)
		return;
	watch->problem = g_strdup(why);
	watch->line = context->input ? context->input->line : 0;
	xmlStopParser(context);
}

static void on_doctype(void *data, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	stop(data, "a document type is not accepted");
}

static void on_element(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_namespaces, const xmlChar **namespaces,
		       int n_attributes, int n_defaulted, const xmlChar **attributes)
{
	xmlParserCtxt *context = data;

	if (context->nodeNr >= DEPTH_MAX) {
		stop(context, "more than 64 levels deep");
		return;
	}
	xmlSAX2StartElementNs(data, name, prefix, uri, n_namespaces, namespaces, n_attributes, n_defaulted, attributes);
}

xmlDoc *xml_parse(const char *text, size_t length, GError **error)
{
	static gsize initialized;
	struct watch watch = { NULL, 1 };
	xmlParserCtxt *context;
	xmlDoc *doc;

	if (g_once_init_enter(&initialized)) {
		xmlInitParser();
		g_once_init_leave(&initialized, 1);
	}
	if (length > INT_MAX) {
		error_set(error, ERR_TOO_LARGE, "XML of %zu bytes", length);
		return NULL;
	}
	context = xmlNewParserCtxt();
	if (!context) {
		error_set(error, ERR_GENERAL, "no memory for an XML parser");
		return NULL;
	}
	context->_private = &watch;
	context->sax->internalSubset = on_doctype;
	context->sax->startElementNs = on_element;
	context->sax->serror = on_error;
	doc = xmlCtxtReadMemory(context, text, (int)length, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT);
	if (watch.problem || !doc || !xmlDocGetRootElement(doc)) {
		g_autofree char *what = clean_name(watch.problem ? watch.problem : "no document");

		error_set(error, ERR_SYNTAX, "XML line %d: %s", watch.line, what);
		xmlFreeDoc(doc);
		doc = NULL;
	}
	g_free(watch.problem);
	xmlFreeParserCtxt(context);
	return doc;
}
