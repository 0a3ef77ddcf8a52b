/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_XML_H
#define BERTH_COMMON_XML_H
/* Short ways to read and make libxml2 trees. Names are local names: prefixes do not count. NULL nodes are accepted and have nothing in them. */
#include <libxml/tree.h>
#include <stdbool.h>
#include <glib.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

xmlNode *xml_child(const xmlNode *parent, const char *name);            /* first child element of that name (NULL: any); NULL when none */
xmlNode *xml_next(const xmlNode *node, const char *name);               /* next sibling element of that name */
xmlNode *xml_find(const xmlNode *parent, const char *path);             /* "devices/graphics": first along the path */
#define XML_EACH(node, parent, name) (xmlNode *node = xml_child((parent), (name)); node; node = xml_next(node, (name)))
char *xml_get(const xmlNode *node, const char *attribute);              /* g_free; NULL when absent */
char *xml_get_any(const xmlNode *node, const char *attribute);          /* the same, whatever namespace the attribute is in */
bool xml_is(const xmlNode *node, const char *attribute, const char *value);
int64_t xml_get_number(const xmlNode *node, const char *attribute, int64_t otherwise);
char *xml_text(const xmlNode *node);                                    /* of the element; g_free; NULL when node is NULL */

xmlNode *xml_add(xmlNode *parent, const char *name);
xmlNode *xml_add_text(xmlNode *parent, const char *name, const char *text);
/* xml_add() with attributes: name, value, ... NULL; those with a NULL value are left out */
xmlNode *xml_add_with(xmlNode *parent, const char *name, ...) G_GNUC_NULL_TERMINATED;
void xml_set(xmlNode *node, const char *attribute, const char *value);  /* NULL removes */
void xml_set_number(xmlNode *node, const char *attribute, int64_t value);
void xml_remove(xmlNode *node);                                         /* NULL accepted */
char *xml_to_text(xmlNode *node);                                       /* of the element, indented; g_free */

#endif
