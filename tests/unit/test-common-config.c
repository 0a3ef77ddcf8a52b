/* SPDX-License-Identifier: Apache-2.0 */
/* The table decides what a configuration file may say. */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/config.h"
#include "common/error.h"
#include "tests/unit/cmocka-all.h"

static const struct option options[] = {
	{ "server", "port", OPTION_INT, "54321", 1, 65535, "TCP port of the channel." },
	{ "server", "address", OPTION_STRING, "::", 0, 0, "Address to listen on." },
	{ "storage", "dir", OPTION_PATH, "/var/lib/berth", 0, 0, "Where things are." },
	{ "server", "ssl", OPTION_BOOL, "true", 0, 0, "TLS or plain." },
	{ "storage", "formats", OPTION_LIST, "raw, qcow2", 0, 0, "Formats that are allowed." },
	{ "storage", "offset", OPTION_INT, NULL, 0, 0, "Any number." },
	{ "storage", "label", OPTION_STRING, NULL, 0, 0, "No default." },
};

static struct config *load(const char *text, GError **error)
{
	g_autofree char *name = NULL;
	int fd = g_file_open_tmp("berth-test-XXXXXX", &name, NULL);
	struct config *config;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	config = config_load(name, options, G_N_ELEMENTS(options), error);
	(void)g_unlink(name);
	return config;
}

static void check_refused(const char *text, const char *part)
{
	g_autoptr(GError) error = NULL;

	assert_null(load(text, &error));
	assert_true(error_is(error, ERR_CONFIG_INVALID));
	if (!strstr(error->message, part))
		fail_msg("'%s' is not in '%s'", part, error->message);
}

static void test_defaults(void **state)
{
	struct config *config = config_load(NULL, options, G_N_ELEMENTS(options), NULL);
	g_auto(GStrv) list = config_list(config, "storage", "formats");

	assert_int_equal(config_int(config, "server", "port"), 54321);
	assert_string_equal(config_string(config, "server", "address"), "::");
	assert_true(config_bool(config, "server", "ssl"));
	assert_null(config_string(config, "storage", "label"));
	assert_int_equal(g_strv_length(list), 2);
	assert_string_equal(list[1], "qcow2");
	config_free(config);
}

static void test_file_overrides(void **state)
{
	struct config *config = load("# comment\n[server]\nport = 1234\nssl=no\n\n[storage]\ndir=\noffset=-7\nformats=a,,b ,\n", NULL);
	g_auto(GStrv) list = config_list(config, "storage", "formats");

	assert_int_equal(config_int(config, "server", "port"), 1234);
	assert_false(config_bool(config, "server", "ssl"));
	assert_int_equal(config_int(config, "storage", "offset"), -7);
	assert_null(config_string(config, "storage", "dir"));
	assert_int_equal(g_strv_length(list), 2);
	assert_string_equal(list[1], "b");
	assert_string_equal(config_string(config, "server", "address"), "::");
	config_free(config);
}

static void test_empty_list_is_not_null(void **state)
{
	struct config *config = load("[storage]\nformats=\n", NULL);
	g_auto(GStrv) list = config_list(config, "storage", "formats");

	assert_non_null(list);
	assert_null(list[0]);
	config_free(config);
}

static void test_empty_file_is_good(void **state)
{
	struct config *config = load("", NULL);

	assert_non_null(config);
	config_free(config);
}

static void test_unknown_key_is_refused_by_line(void **state)
{
	check_refused("[server]\nport=1\nprot=2\n", "line 3: [server] prot: unknown key");
	check_refused("# x\n\n[sever]\nport=1\n", "line 3: unknown section [sever]");
	check_refused("[storage]\nport=1\n", "line 2: [storage] port: unknown key");
}

static void test_double_key_is_refused(void **state)
{
	check_refused("[server]\nport=1\naddress=x\nport = 2\n", "line 4: [server] port: set twice");
}

static void test_bad_values_are_refused(void **state)
{
	check_refused("[server]\nport=0\n", "line 2: Invalid configuration: [server] port=0: not a number from 1 to 65535");
	check_refused("[server]\nport=12x\n", "port=12x");
	check_refused("[storage]\noffset=x\n", "offset=x: not a number");
	check_refused("[server]\nssl=perhaps\n", "ssl=perhaps: not true or false");
	check_refused("[storage]\ndir=relative/path\n", "dir=relative/path: not an absolute path");
	check_refused("no section\n", "no section");
}

static void test_missing_file_is_named(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_null(config_load("/nonexistent/berth.conf", options, G_N_ELEMENTS(options), &error));
	assert_non_null(strstr(error->message, "/nonexistent/berth.conf"));
}

static void test_printed_defaults_load_again(void **state)
{
	g_autofree char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct config *config;

	config_print_defaults(out, options, G_N_ELEMENTS(options));
	fclose(out);
	assert_non_null(strstr(text, "[server]\n# TCP port of the channel. (number, 1 to 65535)\n#port=54321\n"));
	assert_non_null(strstr(text, "#label=\n"));
	config = load(text, NULL);
	assert_non_null(config);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_file_overrides),
		cmocka_unit_test(test_empty_list_is_not_null),
		cmocka_unit_test(test_empty_file_is_good),
		cmocka_unit_test(test_unknown_key_is_refused_by_line),
		cmocka_unit_test(test_double_key_is_refused),
		cmocka_unit_test(test_bad_values_are_refused),
		cmocka_unit_test(test_missing_file_is_named),
		cmocka_unit_test(test_printed_defaults_load_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
