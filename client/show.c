/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object for people. Each member is a line: its name, as `update` takes it (os.kernel), and its value. The lines stand in groups: what it is, what it
 * belongs to, its times, its plain members, and each member that has more than one member of its own.
 */
#include "client/client.h"
#include "client/table.h"
#include "client/view.h"
#include <string.h>

/* Where a line belongs; from GROUP_NESTED on each first segment of the names is a group. */
enum group { GROUP_IDENTITY, GROUP_REFERENCES, GROUP_TIMES, GROUP_PLAIN, GROUP_NESTED };

struct line {
	enum group group;
	char *name, *value;
};

struct lines {
	const struct show_context *context;
	GPtrArray *all;                 /* struct line */
};

static void line_free(void *data)
{
	struct line *line = data;

	g_free(line->name);
	g_free(line->value);
	g_free(line);
}

static void add(struct lines *lines, enum group group, const char *name, char *value)
{
	struct line *line = g_new0(struct line, 1);

	line->group = strchr(name, '.') && group == GROUP_PLAIN ? GROUP_NESTED : group;
	line->name = g_strdup(name);
	line->value = value;
	g_ptr_array_add(lines->all, line);
}

/* What an object that is a mere reference refers to, below the base; NULL: it is none. g_free */
static char *target_of(const struct show_context *context, const char *name, const json_t *value)
{
	const char *id = json_string_value(json_object_get(value, "id")), *href = json_string_value(json_object_get(value, "href")), *collection;

	if (!id || !context->rest)
		return NULL;
	if (href)
		return g_strdup(rest_below_base(context->rest, href));
	/* items of lists come with their id alone */
	collection = json_object_size(value) == 1 ? rsdl_collection_of(context->rsdl, name) : NULL;
	return collection ? g_strdup_printf("/%s/%s", collection, id) : NULL;
}

static char *reference_value(const struct show_context *context, const json_t *value, const char *target)
{
	const char *name = context->exact ? NULL : json_string_value(json_object_get(value, "name"));

	if (!name && !context->exact)
		name = reference_name(context->rest, target, /* all= */ false);
	return g_strdup(name ? name : json_string_value(json_object_get(value, "id")));
}

static void add_scalar(struct lines *lines, const char *name, const json_t *value, const xmlNode *declaration, const char *unit)
{
	static const char *const identity[] = { "name", "alias", "id", "status", "status.detail", "description", "comment", NULL };
	g_autofree char *text = json_scalar(value), *own_unit = schema_unit(declaration);
	bool time = schema_is_time(declaration), exact = lines->context->exact;

	if (!text || !*text)
		return;
	add(lines, time ? GROUP_TIMES : g_strv_contains(identity, name) ? GROUP_IDENTITY : GROUP_PLAIN, name,
	    time ? format_time(text, exact) : format_quantity(text, own_unit ? own_unit : unit, exact));
}

static void add_value(struct lines *lines, const char *path, const char *name, const json_t *value, const xmlNode *declaration, const char *unit);

static void add_members(struct lines *lines, const char *path, const json_t *object, const xmlNode *declaration, const char *unit)
{
	const char *name, *own_unit = json_string_value(json_object_get(object, "unit"));
	json_t *member;

	json_object_foreach((json_t *)object, name, member) {
		bool state = strcmp(name, "state") == 0 && *path;
		g_autofree char *below = state ? g_strdup(path) : *path ? g_strconcat(path, ".", name, NULL) : g_strdup(name);

		if (strcmp(name, "href") == 0 || strcmp(name, "link") == 0 || (!*path && strcmp(name, "actions") == 0))
			continue;
		add_value(lines, below, name, member, schema_member(lines->context->schema, declaration, name), own_unit ? own_unit : unit);
	}
}

static void add_list(struct lines *lines, const char *path, const char *name, const json_t *list, const xmlNode *declaration, const char *unit)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	const json_t *item;
	bool references = false;
	size_t i;

	json_array_foreach(list, i, item) {
		g_autofree char *target = target_of(lines->context, name, item), *below = NULL;
		char *text = target ? reference_value(lines->context, item, target) : json_scalar(item);

		references |= target != NULL;
		if (text) {
			g_ptr_array_add(texts, text);
			continue;
		}
		below = json_array_size(list) > 1 ? g_strdup_printf("%s[%zu]", path, i) : g_strdup(path);
		add_members(lines, below, item, declaration, unit);
	}
	if (texts->len)
		add(lines, references ? GROUP_REFERENCES : GROUP_PLAIN, path, joined(texts));
}

static void add_value(struct lines *lines, const char *path, const char *name, const json_t *value, const xmlNode *declaration, const char *unit)
{
	g_autofree char *target = json_is_object(value) ? target_of(lines->context, name, value) : NULL;

	if (target)
		add(lines, GROUP_REFERENCES, path, reference_value(lines->context, value, target));
	else if (json_is_object(value))
		add_members(lines, path, value, declaration, unit);
	else if (json_is_array(value))
		add_list(lines, path, name, value, declaration, unit);
	else
		add_scalar(lines, path, value, declaration, unit);
}

/* ---- groups ---- */

/* "cpu.topology.sockets" and "cpu.architecture" are of one group. */
static bool same_group(const struct line *a, const struct line *b)
{
	size_t n = strcspn(a->name, ".[");

	if (a->group != b->group)
		return false;
	return a->group != GROUP_NESTED || (strncmp(a->name, b->name, n) == 0 && strcspn(b->name, ".[") == n);
}

static guint group_size(const GPtrArray *all, const struct line *line)
{
	guint n = 0;

	for (guint i = 0; i < all->len; i++)
		n += same_group(line, all->pdata[i]);
	return n;
}

static void print_group(const struct lines *lines, const struct line *first)
{
	struct table *table = table_new();

	table_column(table, "", false);
	table_column(table, "", false);
	for (guint i = 0; i < lines->all->len; i++) {
		const struct line *line = lines->all->pdata[i];

		if (same_group(first, line)) {
			table_cell(table, line->name);
			table_cell(table, line->value);
		}
	}
	table_print(table, stdout, /* titles= */ false);
	table_free(table);
}

void show_object(const json_t *object, const struct show_context *context)
{
	static const char *const first[] = { "name", "alias", "id", "status" };
	struct lines lines = { context, g_ptr_array_new_with_free_func(line_free) };
	const xmlNode *declaration = schema_element(context->schema, context->element);
	json_t *others = json_copy((json_t *)object);
	bool some = false;

	for (size_t i = 0; i < G_N_ELEMENTS(first); i++) {
		add_value(&lines, first[i], first[i], json_object_get(others, first[i]), schema_member(context->schema, declaration, first[i]), NULL);
		json_object_del(others, first[i]);
	}
	add_members(&lines, "", others, declaration, NULL);
	json_decref(others);
	/* a member of one member makes no group */
	for (guint i = 0; i < lines.all->len; i++) {
		struct line *line = lines.all->pdata[i];

		if (line->group == GROUP_NESTED && group_size(lines.all, line) == 1)
			line->group = GROUP_PLAIN;
	}
	for (enum group group = 0; group <= GROUP_NESTED; group++)
		for (guint i = 0; i < lines.all->len; i++) {
			const struct line *line = lines.all->pdata[i];
			bool is_first = line->group == group;

			for (guint j = 0; j < i && is_first; j++)
				is_first = !same_group(line, lines.all->pdata[j]);
			if (!is_first)
				continue;
			if (some)
				putchar('\n');
			some = true;
			print_group(&lines, line);
		}
	g_ptr_array_unref(lines.all);
}
