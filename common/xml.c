/* SPDX-License-Identifier: Apache-2.0 */
#include "common/xml.h"

#include <string.h>
#include <libxml/xmlsave.h>

static bool matches(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && (!name || !strcmp((const char *)node->name, name));
}

static xmlNode *seek(xmlNode *node, const char *name)
{
	while (node && !matches(node, name))
		node = node->next;
	return node;
}

xmlNode *xml_child(const xmlNode *parent, const char *name)
{
	return parent ? seek(parent->children, name) : NULL;
}

xmlNode *xml_next(const xmlNode *node, const char *name)
{
	return seek(node->next, name);
}

xmlNode *xml_find(const xmlNode *parent, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	xmlNode *node = (xmlNode *)parent;

	for (char **name = names; *name && node; name++)
		node = xml_child(node, *name);
	return node;
}

static char *taken(xmlChar *text)
{
	char *copy = g_strdup((char *)text);

	xmlFree(text);
	return copy;
}

char *xml_get(const xmlNode *node, const char *attribute)
{
	return node ? taken(xmlGetNoNsProp((xmlNode *)node, (const xmlChar *)attribute)) : NULL;
}

char *xml_get_any(const xmlNode *node, const char *attribute)
{
	return node ? taken(xmlGetProp((xmlNode *)node, (const xmlChar *)attribute)) : NULL;
}

bool xml_is(const xmlNode *node, const char *attribute, const char *value)
{
	g_autofree char *text = xml_get(node, attribute);

	return text && !strcmp(text, value);
}

int64_t xml_get_number(const xmlNode *node, const char *attribute, int64_t otherwise)
{
	g_autofree char *text = xml_get(node, attribute);
	gint64 value;

	return text && g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &value, NULL) ? value : otherwise;
}

char *xml_text(const xmlNode *node)
{
	char *text = node ? taken(xmlNodeGetContent((xmlNode *)node)) : NULL;

	return text ? g_strstrip(text) : NULL;
}

xmlNode *xml_add(xmlNode *parent, const char *name)
{
	xmlNode *node = xmlNewNode(NULL, (const xmlChar *)name);

	return xmlAddChild(parent, node);
}

xmlNode *xml_add_text(xmlNode *parent, const char *name, const char *text)
{
	return xmlNewTextChild(parent, NULL, (const xmlChar *)name, (const xmlChar *)(text ? text : ""));
}

xmlNode *xml_add_with(xmlNode *parent, const char *name, ...)
{
	xmlNode *node = xml_add(parent, name);
	const char *attribute;
	va_list arguments;

	va_start(arguments, name);
	while ((attribute = va_arg(arguments, const char *))) {
		const char *value = va_arg(arguments, const char *);

		if (value)
			xml_set(node, attribute, value);
	}
	va_end(arguments);
	return node;
}

void xml_set(xmlNode *node, const char *attribute, const char *value)
{
	if (value)
		xmlSetProp(node, (const xmlChar *)attribute, (const xmlChar *)value);
	else
		xmlUnsetProp(node, (const xmlChar *)attribute);
}

void xml_set_number(xmlNode *node, const char *attribute, int64_t value)
{
	char text[24];

	g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, value);
	xml_set(node, attribute, text);
}

void xml_remove(xmlNode *node)
{
	if (!node)
		return;
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

char *xml_to_text(xmlNode *node)
{
	xmlBuffer *buffer = xmlBufferCreate();
	xmlSaveCtxt *save = xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_FORMAT | XML_SAVE_NO_DECL | XML_SAVE_AS_XML);
	char *text;

	if (node->doc && !node->doc->encoding)
		node->doc->encoding = xmlStrdup((const xmlChar *)"UTF-8");      /* else attributes beyond ASCII are written as character references */
	xmlSaveTree(save, node);
	xmlSaveClose(save);
	text = g_strdup((const char *)xmlBufferContent(buffer));
	xmlBufferFree(buffer);
	return text;
}
