/* SPDX-License-Identifier: Apache-2.0 */
/* The severity of every code of the catalogue. rows: r16-245 */
#include "tests/unit/cmocka-all.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/model/event.h"

static void test_severities(void **state)
{
	const char *root = getenv("ROOT");
	g_autofree char *file = g_build_filename(root ? root : ".", "tests/golden/events.tsv", NULL), *text = NULL;
	unsigned n = 0;

	assert_true(g_file_get_contents(file, &text, NULL, NULL));
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line && **line; line++) {
		if (**line == '#')
			continue;
		g_auto(GStrv) columns = g_strsplit(*line, "\t", -1);
		assert_true(g_strv_length(columns) >= 3);
		int code = atoi(columns[0]);
		const char *severity = severity_names[event_severity(code)];
		if (strcmp(severity, columns[2]) != 0)
			fail_msg("code %d (%s) is %s, not %s", code, columns[1], severity, columns[2]);
		n++;
	}
	assert_true(n > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_severities) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
