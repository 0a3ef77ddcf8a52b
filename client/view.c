/* SPDX-License-Identifier: Apache-2.0 */
#include "client/view.h"
#include "client/client.h"
#include "client/table.h"
#include <string.h>

enum cell_kind { CELL_TEXT, CELL_NUMBER, CELL_SIZE, CELL_TIME, CELL_REF };

struct cell_spec {
	const char *title, *path;
	enum cell_kind kind;
	const char *target;             /* CELL_REF: collection of the object */
};

struct view {
	const char *collection;
	struct cell_spec cells[8];
};

#define NAME { "NAME", "name|alias" }
#define ID { "ID", "id" }
#define STATUS { "STATUS", "status.state|status" }
#define CLUSTER { "CLUSTER", "cluster.id", CELL_REF, "clusters" }
#define DATA_CENTER { "DATA CENTER", "data_center.id", CELL_REF, "datacenters" }

static const struct view views[] = {
	{ "vms", { NAME, STATUS, { "MEMORY", "memory", CELL_SIZE }, { "ADDRESS", "guest_info.ips.ip.address" }, { "HOST", "host.id", CELL_REF, "hosts" },
		   CLUSTER, ID } },
	{ "hosts", { NAME, STATUS, { "ADDRESS", "address" }, { "MEMORY", "memory", CELL_SIZE }, { "VMS", "summary.active", CELL_NUMBER }, CLUSTER, ID } },
	{ "datacenters", { NAME, STATUS, { "LOCAL", "local" }, { "DESCRIPTION", "description" }, ID } },
	{ "clusters", { NAME, { "CPU", "cpu.id" }, DATA_CENTER, { "DESCRIPTION", "description" }, ID } },
	{ "networks", { NAME, STATUS, { "VLAN", "vlan.id", CELL_NUMBER }, { "MTU", "mtu", CELL_NUMBER }, DATA_CENTER, ID } },
	{ "storagedomains", { NAME, STATUS, { "TYPE", "type" }, { "STORAGE", "storage.type" }, { "AVAILABLE", "available", CELL_SIZE },
			      { "USED", "used", CELL_SIZE }, ID } },
	{ "templates", { NAME, STATUS, { "MEMORY", "memory", CELL_SIZE }, CLUSTER, ID } },
	{ "disks", { NAME, STATUS, { "SIZE", "provisioned_size|size", CELL_SIZE }, { "ACTUAL", "actual_size", CELL_SIZE }, { "FORMAT", "format" },
		     { "INTERFACE", "interface" }, ID } },
	{ "nics", { NAME, { "MAC", "mac.address" }, { "NETWORK", "network.id", CELL_REF, "networks" }, { "INTERFACE", "interface" },
		    { "PLUGGED", "plugged" }, { "LINKED", "linked" }, ID } },
	{ "statistics", { NAME, { "VALUE", "values.value.datum", CELL_NUMBER }, { "UNIT", "unit" }, { "DESCRIPTION", "description" } } },
	{ "events", { { "TIME", "time", CELL_TIME }, { "SEVERITY", "severity" }, { "ID", "id", CELL_NUMBER }, { "DESCRIPTION", "description" } } },
	{ "cdroms", { ID, { "FILE", "file.id" } } },
	{ NULL, { NAME, STATUS, { "DESCRIPTION", "description" }, ID } },
};

/* ---- members ---- */

const json_t *collection_items(const json_t *document)
{
	static json_t *none;
	const char *name;
	json_t *value;

	if (json_is_array(document))
		return document;
	json_object_foreach((json_t *)document, name, value)
		if (json_is_array(value))
			return value;
	if (!none)
		none = json_array();
	return none;
}

static char *scalar_text(const json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return g_strdup(json_string_value(value));
	case JSON_INTEGER:
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_REAL: {
		char buffer[G_ASCII_DTOSTR_BUF_SIZE];

		return g_strdup(g_ascii_formatd(buffer, sizeof(buffer), "%.10g", json_real_value(value)));
	}
	case JSON_TRUE:
		return g_strdup("true");
	case JSON_FALSE:
		return g_strdup("false");
	default:
		return NULL;
	}
}

static char *text_at(const json_t *object, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, ".", -1);
	const json_t *value = object;

	for (char **part = parts; *part; part++) {
		value = json_object_get(value, *part);
		if (json_is_array(value))
			value = json_array_get(value, 0);
	}
	return scalar_text(value);
}

char *json_text_at(const json_t *object, const char *path)
{
	g_auto(GStrv) alternatives = g_strsplit(path, "|", -1);
	char *text = NULL;

	for (char **alternative = alternatives; *alternative && !text; alternative++)
		text = text_at(object, *alternative);
	return text;
}

/* ---- tables ---- */

/* id -> name of all objects of a collection; asked for once a command. */
static GHashTable *names_of(const char *collection, struct rest *rest)
{
	static GHashTable *known;
	g_autofree char *path = g_strconcat("/", collection, NULL);
	struct rest_answer answer = { 0 };
	GHashTable *names;
	const json_t *items;
	const json_t *item;
	size_t i;

	if (!known)
		known = g_hash_table_new(g_str_hash, g_str_equal);
	names = g_hash_table_lookup(known, collection);
	if (names)
		return names;
	names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_insert(known, (char *)collection, names);
	/* without an answer the ids are shown */
	if (!rest || !rest_request(rest, "GET", path, NULL, &answer, NULL))
		return names;
	items = collection_items(answer.json);
	json_array_foreach(items, i, item) {
		char *id = json_text_at(item, "id"), *name = json_text_at(item, "name");

		if (id && name) {
			g_hash_table_insert(names, id, name);
		} else {
			g_free(id);
			g_free(name);
		}
	}
	rest_answer_clear(&answer);
	return names;
}

static char *time_text(const char *text)
{
	g_autoptr(GDateTime) time = NULL;
	char *end;
	gint64 ms = g_ascii_strtoll(text, &end, 10);

	if (!*end && end != text)
		time = g_date_time_new_from_unix_local(ms / 1000);
	return time ? g_date_time_format(time, "%F %T") : g_strdup(text);
}

static char *cell_text(const struct cell_spec *spec, const json_t *item, struct rest *rest)
{
	g_autofree char *text = json_text_at(item, spec->path);
	const char *name;
	char *end;
	gint64 bytes;

	if (!text)
		return NULL;
	switch (spec->kind) {
	case CELL_SIZE:
		bytes = g_ascii_strtoll(text, &end, 10);
		return *end ? g_steal_pointer(&text) : format_size(bytes);
	case CELL_TIME:
		return time_text(text);
	case CELL_REF:
		name = g_hash_table_lookup(names_of(spec->target, rest), text);
		return g_strdup(name ? name : text);
	default:
		return g_steal_pointer(&text);
	}
}

static const struct view *view_of(const char *collection)
{
	const struct view *view = views;

	while (view->collection && strcmp(view->collection, collection) != 0)
		view++;
	return view;
}

void view_list(const char *collection, const json_t *items, struct rest *rest)
{
	const struct view *view = view_of(collection);
	struct table *table = table_new();
	bool used[G_N_ELEMENTS(view->cells)] = { false };
	const json_t *item;
	size_t i;

	/* a column that is empty for all is not shown */
	for (size_t c = 0; c < G_N_ELEMENTS(view->cells) && view->cells[c].title; c++) {
		json_array_foreach(items, i, item) {
			g_autofree char *text = json_text_at(item, view->cells[c].path);

			used[c] |= text && *text;
		}
		if (!json_array_size(items))
			used[c] = true;
		if (used[c])
			table_column(table, view->cells[c].title, view->cells[c].kind == CELL_NUMBER || view->cells[c].kind == CELL_SIZE);
	}
	json_array_foreach(items, i, item)
		for (size_t c = 0; c < G_N_ELEMENTS(view->cells); c++)
			if (used[c]) {
				g_autofree char *text = cell_text(&view->cells[c], item, rest);

				table_cell(table, text);
			}
	table_print(table, stdout, /* titles= */ true);
	table_free(table);
}

static void add_line(struct table *table, const char *path, const char *text)
{
	table_cell(table, path);
	table_cell(table, text);
}

static void add_lines(struct table *table, const char *prefix, const json_t *value)
{
	const char *name;
	json_t *member;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)value, name, member) {
			g_autofree char *path = *prefix ? g_strconcat(prefix, ".", name, NULL) : g_strdup(name);

			if (strcmp(name, "href") == 0 || strcmp(name, "link") == 0 || (!*prefix && strcmp(name, "actions") == 0))
				continue;
			/* a reference is its id */
			if (json_is_object(member) && json_object_get(member, "id") && json_object_get(member, "href")) {
				g_autofree char *id = scalar_text(json_object_get(member, "id"));

				add_line(table, path, id);
				continue;
			}
			add_lines(table, path, member);
		}
	} else if (json_is_array(value)) {
		bool simple = !json_is_object(json_array_get(value, 0));
		g_autoptr(GString) all = g_string_new(NULL);

		json_array_foreach((json_t *)value, i, member) {
			if (simple) {
				g_autofree char *text = scalar_text(member);

				g_string_append_printf(all, "%s%s", i ? ", " : "", text ? text : "");
			} else {
				g_autofree char *path = json_array_size(value) > 1 ? g_strdup_printf("%s[%zu]", prefix, i) : g_strdup(prefix);

				add_lines(table, path, member);
			}
		}
		if (simple && all->len)
			add_line(table, prefix, all->str);
	} else {
		g_autofree char *text = scalar_text(value);

		if (text)
			add_line(table, prefix, text);
	}
}

void view_object(const json_t *object)
{
	static const char *const first[] = { "name", "alias", "id", "status" };
	struct table *table = table_new();
	json_t *rest = json_copy((json_t *)object);

	table_column(table, "", false);
	table_column(table, "", false);
	for (size_t i = 0; i < G_N_ELEMENTS(first); i++) {
		add_lines(table, first[i], json_object_get(rest, first[i]));
		json_object_del(rest, first[i]);
	}
	add_lines(table, "", rest);
	table_print(table, stdout, /* titles= */ false);
	json_decref(rest);
	table_free(table);
}
