/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gluster/answer.h"

#include <string.h>
#include "common/xml.h"

/* Text at one path; g_free; NULL when there is none. */
static char *text_at(const xmlNode *node, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);

	for (char **name = names; *name && node; name++) {
		if (**name == '@')
			return xml_get(node, *name + 1);
		node = !strcmp(*name, "..") ? node->parent : xml_child(node, *name);
	}
	return xml_text(node);
}

/* The texts of all paths, joined by what is between these; NULL when none of them is there. */
static char *text_of(const xmlNode *node, const char *paths)
{
	g_autoptr(GString) joined = g_string_new(NULL);
	bool any = false;

	while (*paths) {
		size_t length = strcspn(paths, " :");
		g_autofree char *path = g_strndup(paths, length), *text = text_at(node, path);

		any |= text != NULL;
		g_string_append(joined, text ? text : "");
		paths += length;
		if (*paths)
			g_string_append_c(joined, *paths++);
	}
	return any ? g_string_free(g_steal_pointer(&joined), FALSE) : NULL;
}

static void gather(const xmlNode *node, char **names, GPtrArray *found)
{
	if (!*names) {
		g_ptr_array_add(found, (gpointer)node);
		return;
	}
	for XML_EACH(child, node, *names)
		gather(child, names + 1, found);
}

/* Every element along the path; of each step all, not only the first. */
static GPtrArray *elements(const xmlNode *node, const struct shape *shape)
{
	g_auto(GStrv) names = g_strsplit(shape->path, "/", -1);
	GPtrArray *found = g_ptr_array_new();

	gather(node, names, found);
	for (guint i = 0; shape->where && i < found->len;) {
		g_autofree char *text = text_at(found->pdata[i], shape->where);

		if (text && g_pattern_match_simple(shape->like, text))
			i++;
		else
			g_ptr_array_remove_index(found, i);
	}
	return found;
}

/* Of "3 1=CONNECTED;=UNKNOWN" what stands for the text; g_free */
static char *choose(const char *choices, const char *text)
{
	g_auto(GStrv) rows = g_strsplit(choices, ";", -1);

	for (char **row = rows; *row; row++) {
		char *value = strchr(*row, '=');

		*value++ = '\0';
		if (!row[1] || !strcmp(*row, text))
			return g_strdup(value);
	}
	return NULL;
}

static json_t *array_of(char *words)
{
	g_auto(GStrv) all = g_strsplit(words, " ", -1);
	json_t *array = json_array();

	for (char **word = all; *word; word++)
		json_array_append_new(array, json_string(*word));
	return array;
}

static json_t *children(const xmlNode *node)
{
	json_t *object = json_object();

	for XML_EACH(child, node, NULL) {
		g_autofree char *text = xml_text(child);

		json_object_set_new(object, (const char *)child->name, json_string(text));
	}
	return object;
}

static json_t *many(const struct shape *shape, const xmlNode *node, const char *own)
{
	g_autoptr(GPtrArray) all = elements(node, shape);
	g_auto(GStrv) pair = shape->how == SHAPE_PAIRS ? g_strsplit(shape->as, " ", 2) : NULL;
	json_t *result = shape->how == SHAPE_MAP || shape->how == SHAPE_PAIRS ? json_object() : json_array();

	for (guint i = 0; i < all->len; i++) {
		const xmlNode *element = all->pdata[i];
		g_autofree char *text = shape->how == SHAPE_MAP ? text_of(element, shape->as) : pair ? text_of(element, pair[0]) : xml_text(element);
		g_autofree char *value = pair ? text_of(element, pair[1]) : NULL;

		if (shape->how == SHAPE_MAP && text)
			json_object_set_new(result, text, answer_read(shape->item, element, own));
		else if (pair && text)
			json_object_set_new(result, text, json_string(value ? value : ""));
		else if (shape->how == SHAPE_TEXTS)
			json_array_append_new(result, json_string(text));
		else if (shape->how == SHAPE_LIST)
			json_array_append_new(result, answer_read(shape->item, element, own));
		else if (shape->how == SHAPE_CHILDREN)
			json_array_append_new(result, children(element));
	}
	return result;
}

static json_t *upper(char *text)
{
	g_autofree char *name = g_ascii_strup(text, -1);

	return json_string(g_strdelimit(name, "- ", '_'));
}

static json_t *mib(const char *text)
{
	g_autofree char *size = g_strdup_printf("%.3f", (double)g_ascii_strtoull(text, NULL, 10) / (1024.0 * 1024.0));

	return json_string(size);
}

static json_t *value_of(const struct shape *shape, const xmlNode *node, const char *own)
{
	g_autofree char *text = NULL, *chosen = NULL;
	xmlNode *element;

	if (shape->how == SHAPE_OBJECT) {
		element = xml_find(node, shape->path);
		return element ? answer_read(shape->item, element, own) : NULL;
	}
	if (shape->how >= SHAPE_TEXTS)
		return many(shape, node, own);
	text = text_of(node, shape->path);
	if (!text && !(text = g_strdup(shape->otherwise)))
		return NULL;
	switch (shape->how) {
	case SHAPE_DIGITS:
		return *text && strspn(text, "0123456789") == strlen(text) ? json_string(text) : NULL;
	case SHAPE_UPPER:
		return upper(text);
	case SHAPE_CHOICE:
	case SHAPE_WORDS:
		chosen = choose(shape->as, text);
		return shape->how == SHAPE_CHOICE ? json_string(chosen) : array_of(chosen);
	case SHAPE_OWN:
		return json_string(!strcmp(text, "localhost") ? own : text);
	case SHAPE_MIB:
		return mib(text);
	case SHAPE_IS_ONE:
		return json_boolean(!strcmp(text, "1"));
	default:
		return json_string(text);
	}
}

json_t *answer_read(const struct shape *shape, const xmlNode *root, const char *own)
{
	json_t *object = json_object();

	for (; shape && shape->name; shape++) {
		json_t *value = value_of(shape, root, own);

		if (value)
			json_object_set_new(object, shape->name, value);
	}
	return object;
}
