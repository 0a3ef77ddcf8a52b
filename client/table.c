/* SPDX-License-Identifier: Apache-2.0 */
#include "client/table.h"
#include "client/client.h"
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "common/record.h"

struct column {
	char *title;
	bool right;
	int width;
};

struct table {
	GArray *columns;
	GPtrArray *cells;
};

static void column_clear(void *data)
{
	g_free(((struct column *)data)->title);
}

struct table *table_new(void)
{
	struct table *table = g_new0(struct table, 1);

	table->columns = g_array_new(FALSE, FALSE, sizeof(struct column));
	g_array_set_clear_func(table->columns, column_clear);
	table->cells = g_ptr_array_new_with_free_func(g_free);
	return table;
}

struct table *table_free(struct table *table)
{
	if (table) {
		g_array_unref(table->columns);
		g_ptr_array_unref(table->cells);
		g_free(table);
	}
	return NULL;
}

int text_width(const char *text)
{
	int width = 0;

	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
	}
	return width;
}

void table_column(struct table *table, const char *title, bool right)
{
	struct column column = { .title = g_strdup(title), .right = right, .width = text_width(title) };

	g_array_append_val(table->columns, column);
}

void table_cell(struct table *table, const char *text)
{
	struct column *column = &g_array_index(table->columns, struct column, table->cells->len % table->columns->len);
	char *clean = printable(text ? text : "");

	column->width = MAX(column->width, text_width(clean));
	g_ptr_array_add(table->cells, clean);
}

static void print_cell(FILE *out, const struct column *column, const char *text, bool last)
{
	int blanks = column->width - text_width(text);

	if (column->right)
		fprintf(out, "%*s", blanks, "");
	fputs(text, out);
	if (!last)
		fprintf(out, "%*s", (column->right ? 0 : blanks) + 2, "");
}

void table_print(const struct table *table, FILE *out, bool titles)
{
	bool bold = titles && isatty(fileno(out));
	unsigned n = table->columns->len;

	if (bold)
		fputs("\033[1m", out);
	for (unsigned i = 0; titles && i < n; i++) {
		const struct column *column = &g_array_index(table->columns, struct column, i);

		print_cell(out, column, column->title, i + 1 == n);
	}
	if (bold)
		fputs("\033[0m", out);
	if (titles)
		fputc('\n', out);
	for (unsigned i = 0; n && i < table->cells->len; i++) {
		print_cell(out, &g_array_index(table->columns, struct column, i % n), table->cells->pdata[i], i % n + 1 == n);
		if (i % n + 1 == n)
			fputc('\n', out);
	}
}

/* ---- JSON ---- */

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_value(GString *out, const json_t *json, int indent);

static void print_object(GString *out, json_t *json, int indent)
{
	g_autofree const char **keys = g_new(const char *, json_object_size(json));
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach(json, key, value)
		keys[n++] = key;
	qsort(keys, n, sizeof(*keys), compare_keys);
	g_string_append(out, "{\n");
	for (size_t i = 0; i < n; i++) {
		json_t *name = json_string(keys[i]);

		g_string_append_printf(out, "%*s", indent + 4, "");
		json_write(out, name);
		json_decref(name);
		g_string_append(out, ": ");
		print_value(out, json_object_get(json, keys[i]), indent + 4);
		g_string_append(out, i + 1 < n ? ",\n" : "\n");
	}
	g_string_append_printf(out, "%*s}", indent, "");
}

static void print_value(GString *out, const json_t *json, int indent)
{
	size_t n;

	if (json_is_object(json) && json_object_size(json)) {
		print_object(out, (json_t *)json, indent);
	} else if (json_is_array(json) && (n = json_array_size(json))) {
		g_string_append(out, "[\n");
		for (size_t i = 0; i < n; i++) {
			g_string_append_printf(out, "%*s", indent + 4, "");
			print_value(out, json_array_get(json, i), indent + 4);
			g_string_append(out, i + 1 < n ? ",\n" : "\n");
		}
		g_string_append_printf(out, "%*s]", indent, "");
	} else {
		json_write(out, json);
	}
}

void json_print(FILE *out, const json_t *json)
{
	g_autoptr(GString) text = g_string_new(NULL);

	print_value(text, json, 0);
	g_string_append_c(text, '\n');
	fputs(text->str, out);
}
