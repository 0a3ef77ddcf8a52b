/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmocka-all.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/hooks.h"
#include "common/error.h"
#include "common/loop.h"

static char *directory;

static int set_up(void **state)
{
	directory = g_dir_make_tmp("hooks-XXXXXX", NULL);
	*state = hooks_new(&(struct hooks_settings){ .directory = directory, .run_dir = directory, .limit_usec = 500 * 1000 }, NULL);
	return 0;
}

static int tear_down(void **state)
{
	const char *argv[] = { "rm", "-rf", directory, NULL };

	hooks_free(*state);
	g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
	g_clear_pointer(&directory, g_free);
	return 0;
}

static void script(const char *point, const char *name, const char *text, mode_t mode)
{
	g_autofree char *folder = g_build_filename(directory, point, NULL), *path = g_build_filename(folder, name, NULL);
	g_autofree char *whole = g_strconcat("#!/bin/sh\n", text, "\n", NULL);

	g_mkdir_with_parents(folder, 0755);
	assert_true(g_file_set_contents(path, whole, -1, NULL));
	chmod(path, mode);
}

/* Runs a point that may fail, with data "start"; the data afterwards, or the error's message after "! ". */
static char *run_with(struct hooks *hooks, const json_t *parameters, const json_t *custom)
{
	struct hook_run run = { .point = "before_vm_start", .vm_id = "the-vm", .data = "start", .parameters = parameters, .custom = custom };
	g_autoptr(GError) error = NULL;
	char *data = NULL;

	if (hooks_run(hooks, &run, &data, &error))
		return data;
	assert_true(error_is(error, ERR_HOOK_ERROR));
	assert_null(data);
	return g_strconcat("! ", error->message, NULL);
}

static void test_none(void **state)
{
	assert_null(run_with(*state, NULL, NULL));
	script("before_vm_start", "a_dir_file", "exit 1", 0644);       /* not executable */
	script("before_vm_start", ".hidden", "exit 1", 0755);
	assert_null(run_with(*state, NULL, NULL));
}

static void test_order_and_data(void **state)
{
	g_autofree char *data = NULL;

	script("before_vm_start", "9_z", "printf ' nine' >> $_hook_domxml", 0755);
	script("before_vm_start", "10_a", "printf ' ten' >> $_hook_domxml", 0755);
	script("before_vm_start", "20_b", "printf ' twenty' >> $_hook_domxml", 0755);
	data = run_with(*state, NULL, NULL);
	assert_string_equal(data, "start ten twenty nine");
}

static void test_environment(void **state)
{
	json_t *parameters = json_pack("{s:s, s:s, s:s}", "both", "parameter", "one", "1", "vmId", "forged");
	json_t *custom = json_pack("{s:s, s:s, s:s, s:b}", "both", "custom", "LD_PRELOAD", "evil.so", "PATH", "/evil", "yes", 1);
	g_autofree char *data = NULL;

	script("before_vm_start", "10", "printf \"$vmId $both $one $yes ${LD_PRELOAD:-clean}\" > $_hook_domxml; [ \"$PATH\" != /evil ] && [ $# = 0 ]", 0755);
	data = run_with(*state, parameters, custom);
	assert_string_equal(data, "the-vm custom 1 True clean");
	json_decref(parameters);
	json_decref(custom);
}

static void test_exit_codes(void **state)
{
	g_autofree char *one = NULL, *two = NULL, *signaled = NULL, *odd = NULL, *gone = g_build_filename(directory, "ran", NULL);
	g_autofree char *touch = g_strconcat("touch ", gone, NULL);

	script("before_vm_start", "20", touch, 0755);
	script("before_vm_start", "10", "echo first words >&2; exit 1", 0755);
	one = run_with(*state, NULL, NULL);
	assert_non_null(strstr(one, "10: exit status 1: first words"));
	assert_int_equal(unlink(gone), 0);              /* the second ran */
	script("before_vm_start", "10", "echo no >&2; exit 2", 0755);
	two = run_with(*state, NULL, NULL);
	assert_non_null(strstr(two, "10: exit status 2: no"));
	assert_int_not_equal(access(gone, F_OK), 0);    /* the second was skipped */
	script("before_vm_start", "10", "exit 7", 0755);
	odd = run_with(*state, NULL, NULL);
	assert_non_null(strstr(odd, "exit status 7"));
	assert_int_equal(unlink(gone), 0);
	script("before_vm_start", "10", "kill -9 $$", 0755);
	signaled = run_with(*state, NULL, NULL);
	assert_non_null(strstr(signaled, "killed by signal 9"));
}

static void test_may_not_fail(void **state)
{
	struct hook_run run = { .point = "after_get_caps", .data = "{}" }, unused = { .point = "after_vm_start", .data = "<domain/>" };
	g_autofree char *data = NULL, *none = NULL;

	script("after_get_caps", "10", "printf x > $_hook_json; exit 1", 0755);
	assert_true(hooks_run(*state, &run, &data, NULL));
	assert_string_equal(data, "x");
	script("after_vm_start", "10", "printf x > $_hook_domxml; exit 1", 0755);
	assert_true(hooks_run(*state, &unused, &none, NULL));
	assert_null(none);                              /* what is left at this point counts for nothing */
}

/* vdsm has another code for some points. */
static void test_codes(void **state)
{
	struct hook_run stats = { .point = "before_get_stats", .data = "{}" }, caps = { .point = "before_get_caps", .data = "{}" };
	g_autoptr(GError) of_stats = NULL, of_caps = NULL;

	script("before_get_stats", "10", "exit 1", 0755);
	script("before_get_caps", "10", "exit 1", 0755);
	assert_false(hooks_run(*state, &stats, NULL, &of_stats));
	assert_true(error_is(of_stats, ERR_HOOK_FAILED));
	assert_false(hooks_run(*state, &caps, NULL, &of_caps));
	assert_true(error_is(of_caps, ERR_HOOK_ERROR));
}

static void test_over(void **state)
{
	g_autoptr(GString) answer = g_string_new("{\"a\": 1}");

	assert_true(hooks_run_over(*state, "after_get_caps", NULL, answer, NULL));
	assert_string_equal(answer->str, "{\"a\": 1}");
	script("after_get_caps", "10", "sed -i s/a/b/ $_hook_json", 0755);
	assert_true(hooks_run_over(*state, "after_get_caps", NULL, answer, NULL));
	assert_string_equal(answer->str, "{\"b\":1}");
	script("after_get_caps", "20", "echo '{' > $_hook_json", 0755);
	assert_true(hooks_run_over(*state, "after_get_caps", NULL, answer, NULL));
	assert_string_equal(answer->str, "{\"b\":1}");
}

static void test_time_limit(void **state)
{
	int64_t begun = now_usec();
	g_autofree char *message = NULL;

	script("before_vm_start", "10", "sleep 30 & sleep 30", 0755);
	message = run_with(*state, NULL, NULL);
	assert_non_null(strstr(message, "did not end within 0.5 s"));
	assert_true(now_usec() - begun < 20 * G_USEC_PER_SEC);
}

static void test_much_output(void **state)
{
	g_autofree char *message = NULL;

	script("before_vm_start", "10", "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1", 0755);
	message = run_with(*state, NULL, NULL);
	assert_true(strlen(message) < 8192);
}

static void test_inventory(void **state)
{
	json_t *inventory;

	script("before_vm_start", "10", "exit 0", 0755);
	script("before_vm_start", "11", "exit 0", 0644);
	inventory = hooks_inventory(*state);
	assert_int_equal(json_object_size(inventory), 1);
	assert_int_equal(json_object_size(json_object_get(inventory, "before_vm_start")), 1);
	assert_int_equal(json_string_length(json_object_get(json_object_get(json_object_get(inventory, "before_vm_start"), "10"), "checksum")), 64);
	json_decref(inventory);
}

static void test_bad_point(void **state)
{
	struct hook_run run = { .point = "../before_vm_start", .data = "{}" };

	script("before_vm_start", "10", "exit 1", 0755);
	assert_true(hooks_run(*state, &run, NULL, NULL));
}

static void test_launch_flags(void **state)
{
	g_autofree char *folder = g_build_filename(directory, "the-vm", NULL), *data = NULL, *again = NULL;

	assert_int_equal(hooks_take_launch_flags(*state, "the-vm"), 0);
	script("before_vm_start", "10", "echo 1 > \"$_hook_launchflags\"", 0755);
	data = run_with(*state, NULL, NULL);
	assert_string_equal(data, "start");
	assert_int_equal(hooks_take_launch_flags(*state, "the-vm"), 1);
	assert_int_equal(hooks_take_launch_flags(*state, "the-vm"), 0);         /* taken once */
	assert_int_not_equal(access(folder, F_OK), 0);
	script("before_vm_start", "10", "echo many > \"$_hook_launchflags\"", 0755);
	again = run_with(*state, NULL, NULL);
	assert_int_equal(hooks_take_launch_flags(*state, "the-vm"), 0);
}

static void test_limits(void **state)
{
	struct hooks_settings settings = { .directory = directory, .limit_usec = 60 * G_USEC_PER_SEC, .limits = "before_vm_start=1, after_vm_start=2" };
	struct hooks *hooks = hooks_new(&settings, NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *said = NULL;
	int64_t begun = now_usec();

	assert_non_null(hooks);
	script("before_vm_start", "10", "exec sleep 30", 0755);
	said = run_with(hooks, NULL, NULL);
	assert_non_null(strstr(said, "did not end within 1 s"));
	assert_in_range(now_usec() - begun, 900 * 1000, 20 * G_USEC_PER_SEC);
	hooks_free(hooks);
	settings.limits = "before_vm_begin=1";
	assert_null(hooks_new(&settings, &error));
	assert_non_null(strstr(error->message, "no hook point 'before_vm_begin'"));
	g_clear_error(&error);
	settings.limits = "before_vm_start=soon";
	assert_null(hooks_new(&settings, &error));
	assert_non_null(strstr(error->message, "before_vm_start: 'soon' is not a number"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_none), TEST(test_order_and_data), TEST(test_environment), TEST(test_exit_codes), TEST(test_may_not_fail), TEST(test_codes), TEST(test_over), TEST(test_time_limit),
		TEST(test_much_output), TEST(test_inventory), TEST(test_bad_point), TEST(test_launch_flags), TEST(test_limits),
	};

	return cmocka_run_group_tests_name("agent hooks", tests, NULL, NULL);
}
