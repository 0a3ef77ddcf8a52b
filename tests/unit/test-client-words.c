/* SPDX-License-Identifier: Apache-2.0 */
/* What people write and read: sizes, times, quantities, mistyped words; and which exit status an error becomes. */
#include "client/client.h"
#include "cmocka-all.h"
#include "common/error.h"
#include <stdlib.h>

static void test_sizes(void **state)
{
	static const char *const good[][2] = {
		{ "1K", "1024" }, { "1KiB", "1024" }, { "1kB", "1000" }, { "1.5GiB", "1610612736" }, { "2 TB", "2000000000000" }, { "7B", "7" },
		{ "1073741824 B", "1073741824" }, { "1p", "1125899906842624" },
	};
	static const char *const bad[] = { "1", "", "K", "1X", "1KX", "-1K", "1e30P", "1GiBs" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *bytes = parse_size(good[i][0]);

		assert_string_equal(bytes, good[i][1]);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_null(parse_size(bad[i]));
}

static void test_quantities(void **state)
{
	static const struct { const char *text, *unit, *shown, *exact; } rows[] = {
		{ "0", "bytes", "0 B", "0 B" }, { "1023", "bytes", "1023 B", "1023 B" }, { "1536", "bytes", "1.5 KiB", "1536 B" },
		{ "1073741824", "BYTES", "1 GiB", "1073741824 B" }, { "1000000000", "bit/s", "1 Gbit/s", "1000000000 bit/s" },
		{ "2500", "BITS_PER_SECOND", "2.5 kbit/s", "2500 bit/s" }, { "2048", "BYTES_PER_SECOND", "2 KiB/s", "2048 B/s" },
		{ "4.5", "PERCENT", "4.5 %", "4.5 %" }, { "50", "ms", "50 ms", "50 ms" }, { "7", "NONE", "7", "7" }, { "7", NULL, "7", "7" },
		/* no quantities */
		{ "-1", "ms", "-1", "-1" }, { "auto", "bytes", "auto", "auto" }, { "", "bytes", "", "" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *shown = format_quantity(rows[i].text, rows[i].unit, false), *exact = format_quantity(rows[i].text, rows[i].unit, true);

		assert_string_equal(shown, rows[i].shown);
		assert_string_equal(exact, rows[i].exact);
	}
}

static void test_times(void **state)
{
	g_autofree char *shown = format_time("1700000000123", false), *exact = format_time("1700000000123", true), *other = format_time("never", false);

	assert_string_equal(shown, "2023-11-15T03:43:20+05:30");
	assert_string_equal(exact, "2023-11-15T03:43:20.123+05:30");
	assert_string_equal(other, "never");
}

static void test_guesses(void **state)
{
	static const char *const names[] = { "start", "stop", "shutdown", "VM", "freezefilesystems" };
	static const char *const guesses[][2] = {
		{ "strat", "start" }, { "satrt", "start" }, { "stpo", "stop" }, { "STOP", "stop" }, { "shutdwon", "shutdown" }, { "vm", "VM" },
		{ "freezefilesystem", "freezefilesystems" }, { "freezfilsystem", "freezefilesystems" }, { "stopp", "stop" }, { "xyzzy", NULL },
		{ "st", NULL }, { "", NULL },
	};
	g_autoptr(GPtrArray) known = g_ptr_array_new(), none = g_ptr_array_new();
	g_autofree char *meant = NULL, *nothing = NULL, *long_word = g_strnfill(100000, 'x');

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		g_ptr_array_add(known, (char *)names[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(guesses); i++) {
		const char *found = nearest(guesses[i][0], known);

		if (g_strcmp0(found, guesses[i][1]) != 0)
			fail_msg("'%s': got '%s', wanted '%s'", guesses[i][0], found ? found : "nothing", guesses[i][1] ? guesses[i][1] : "nothing");
	}
	assert_null(nearest(long_word, known));
	assert_null(nearest("stop", none));
	meant = did_you_mean("strat", known);
	assert_string_equal(meant, "; did you mean 'start'?");
	nothing = did_you_mean("xyzzy", known);
	assert_string_equal(nothing, ";");
}

static void test_exit_statuses(void **state)
{
	static const struct { int code, status; } rows[] = {
		{ ERR_OPERATION_FAILED, EXIT_FAILED }, { ERR_BAD_VALUE, EXIT_FAILED }, { ERR_NOT_FOUND, EXIT_NOT_FOUND }, { ERR_CONFLICT, EXIT_NOT_FOUND },
		{ ERR_UNAUTHORIZED, EXIT_LOGIN }, { ERR_NO_CONNECTION, EXIT_NO_CONNECTION }, { ERR_TIMEOUT, EXIT_TIMEOUT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = g_error_new_literal(BERTH_ERROR, rows[i].code, "x");

		assert_int_equal(exit_status(error), rows[i].status);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(exit_statuses); i++)
		assert_non_null(exit_statuses[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_quantities),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_guesses),
		cmocka_unit_test(test_exit_statuses),
	};

	setenv("TZ", "Asia/Kolkata", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
