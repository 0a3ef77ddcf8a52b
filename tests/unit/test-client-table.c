/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include "client/table.h"
#include "cmocka-all.h"
#include <locale.h>
#include <string.h>

static char text[4096];

static const char *shown(const struct table *table, const json_t *json)
{
	FILE *file = tmpfile();

	if (table)
		table_print(table, file, /* titles= */ true);
	else
		json_print(file, json);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	return text;
}

static void test_alignment(void **state)
{
	static const char *const cells[] = { "a", "1", "x", "d\303\251j\303\240", "22", NULL, "\346\227\245\346\234\254", "333", "a\033[2Jb\n" };
	struct table *table = table_new();

	table_column(table, "NAME", false);
	table_column(table, "N", true);
	table_column(table, "LAST", false);
	for (size_t i = 0; i < G_N_ELEMENTS(cells); i++)
		table_cell(table, cells[i]);
	assert_string_equal(shown(table, NULL), "NAME    N  LAST\na       1  x\nd\303\251j\303\240   22  \n\346\227\245\346\234\254  333  a?[2Jb \n");
	table_free(table);
}

static void test_json(void **state)
{
	json_t *json = json_loads("{\"b\": [1, 2.5, {\"x\": null}], \"a\": {}, \"c\": [], \"d\": \"\\u00e9\\\"\", \"e\": [true]}", 0, NULL);
	json_t *scalar = json_true();

	assert_string_equal(shown(NULL, json),
			    "{\n    \"a\": {},\n    \"b\": [\n        1,\n        2.5,\n        {\n            \"x\": null\n        }\n    ],\n"
			    "    \"c\": [],\n    \"d\": \"\\u00e9\\\"\",\n    \"e\": [\n        true\n    ]\n}\n");
	assert_string_equal(shown(NULL, scalar), "true\n");
	json_decref(json);
}

static void check_size(const char *given, const char *expected)
{
	g_autofree char *bytes = parse_size(given);

	if (expected)
		assert_string_equal(bytes, expected);
	else
		assert_null(bytes);
}

static void test_sizes(void **state)
{
	g_autofree char *whole = format_size(1073741824), *part = format_size(1610612736), *small = format_size(17);

	check_size("1GiB", "1073741824");
	check_size("1G", "1073741824");
	check_size("1g", "1073741824");
	check_size("1.5 MiB", "1572864");
	check_size("2kB", "2000");
	check_size("1TB", "1000000000000");
	check_size("512B", "512");
	check_size("512", NULL);
	check_size("web1", NULL);
	check_size("1x", NULL);
	check_size("1GiBx", NULL);
	check_size("9999999PiB", NULL);
	check_size("", NULL);
	assert_string_equal(whole, "1 GiB");
	assert_string_equal(part, "1.5 GiB");
	assert_string_equal(small, "17 B");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_alignment), cmocka_unit_test(test_json), cmocka_unit_test(test_sizes) };

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
