/* SPDX-License-Identifier: Apache-2.0 */
/* The ring keeps the newest lines whole; levels decide what standard error gets. */
#define LOG_MODULE "test"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/log.h"
#include "tests/unit/cmocka-all.h"

/* What fn() in a child of its own writes to standard error; *ret_status is how the child ended. */
static char *stderr_of(void (*fn)(void), int *ret_status)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char buffer[4096];
	int ends[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		fn();
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], buffer, sizeof(buffer))) > 0)
		g_string_append_len(text, buffer, n);
	close(ends[0]);
	assert_int_equal(waitpid(pid, ret_status, 0), pid);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void quiet(void)
{
	log_set_level(NULL, LOG_LEVEL_ERROR);
}

static void test_level_names(void **state)
{
	assert_int_equal(log_level_from_name("warn"), LOG_LEVEL_WARN);
	assert_int_equal(log_level_from_name("WARNING"), LOG_LEVEL_WARN);
	assert_int_equal(log_level_from_name("DEBUG"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_from_name("loud"), LOG_LEVEL_INVALID);
	assert_int_equal(log_level_from_name(NULL), LOG_LEVEL_INVALID);
	assert_string_equal(log_level_name(LOG_LEVEL_TRACE), "trace");
	assert_null(log_level_name(LOG_LEVEL_INVALID));
}

static void test_line_has_its_context(void **state)
{
	g_autofree char *dump = NULL;

	quiet();
	log_context_set("vm-1", "flow-2");
	log_info("started %d\nforged line", 7);
	log_context_clear();
	log_debug("without");
	dump = log_dump();
	assert_non_null(strstr(dump, "Z I test vm=vm-1 flow=flow-2 started 7 forged line\n"));
	assert_non_null(strstr(dump, "Z D test without\n"));
}

static void test_long_line_is_cut(void **state)
{
	g_autofree char *text = g_strnfill(100000, 'x'), *dump = NULL;
	const char *start, *end;

	quiet();
	log_info("long %s", text);
	dump = log_dump();
	start = strstr(dump, "long x");
	assert_non_null(start);
	end = strchr(start, '\n');
	assert_non_null(end);
	assert_in_range(end - start, 100, 4096);
}

static void test_ring_keeps_the_newest(void **state)
{
	g_autofree char *filler = g_strnfill(1000, 'f'), *dump = NULL;

	quiet();
	log_debug("the first line");
	for (int i = 0; i < 2 * LOG_RING_BYTES / 1000; i++)
		log_debug("%d %s", i, filler);
	log_debug("the last line");
	dump = log_dump();
	assert_null(strstr(dump, "the first line"));
	assert_true(g_str_has_suffix(dump, "the last line\n"));
	assert_in_range(strlen(dump), LOG_RING_BYTES - 2000, LOG_RING_BYTES);
	/* what is left of the oldest line is not shown */
	assert_true(g_str_has_prefix(dump, "20"));
	assert_int_equal(dump[10], 'T');
}

static void write_levels(void)
{
	g_unsetenv("JOURNAL_STREAM");
	log_set_level(NULL, LOG_LEVEL_WARN);
	log_info("not shown");
	log_warn("shown");
	log_set_level("test", LOG_LEVEL_DEBUG);
	log_debug("shown too");
	log_write(LOG_LEVEL_DEBUG, "other", "not this");
	log_set_level("", LOG_LEVEL_ERROR);
	log_warn("not any more");
}

static void test_levels_switch_at_run_time(void **state)
{
	int status;
	g_autofree char *text = stderr_of(write_levels, &status);

	assert_non_null(strstr(text, "W test shown\n"));
	assert_non_null(strstr(text, "D test shown too\n"));
	assert_null(strstr(text, "not"));
}

static void test_levels_of_a_module_can_be_forgotten(void **state)
{
	log_set_level(NULL, LOG_LEVEL_ERROR);
	log_set_level("a", LOG_LEVEL_DEBUG);
	assert_int_equal(log_get_level("a"), LOG_LEVEL_DEBUG);
	log_set_level("a", LOG_LEVEL_INVALID);
	assert_int_equal(log_get_level("a"), LOG_LEVEL_ERROR);
	assert_int_equal(log_get_level(NULL), LOG_LEVEL_ERROR);
}

static void write_to_journal(void)
{
	g_setenv("JOURNAL_STREAM", "1:2", TRUE);
	log_set_level(NULL, LOG_LEVEL_INFO);
	log_error("broken");
}

/* The process must not have logged yet, since the journal is looked for once: a program of its own, run by name. */
static void test_journal_prefix(void **state)
{
	g_autofree char *text = NULL, *self = g_file_read_link("/proc/self/exe", NULL), *out = NULL;
	char *argv[] = { self, (char *)"journal", NULL };

	assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &text, NULL, NULL));
	assert_string_equal(text, "<3>E test broken\n");
}

static void crash(void)
{
	log_dump_on_crash();
	log_set_level(NULL, LOG_LEVEL_ERROR);
	log_debug("just before the end");
	raise(SIGSEGV);
}

static void test_crash_shows_the_ring(void **state)
{
	int status;
	g_autofree char *text = stderr_of(crash, &status);

	assert_non_null(strstr(text, "just before the end\n"));
	assert_non_null(strstr(text, "--- end ---"));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void *write_many(void *data)
{
	for (int i = 0; i < 2000; i++)
		log_debug("thread %s line %d end", (const char *)data, i);
	return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	pthread_t threads[G_N_ELEMENTS(names)];
	g_autofree char *dump = NULL;
	g_auto(GStrv) lines = NULL;

	quiet();
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)names[i]), 0);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		pthread_join(threads[i], NULL);
	dump = log_dump();
	lines = g_strsplit(dump, "\n", -1);
	for (char **line = lines; *line; line++)
		if (strstr(*line, "thread "))
			assert_true(g_str_has_suffix(*line, " end"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level_names),
		cmocka_unit_test(test_line_has_its_context),
		cmocka_unit_test(test_long_line_is_cut),
		cmocka_unit_test(test_ring_keeps_the_newest),
		cmocka_unit_test(test_levels_switch_at_run_time),
		cmocka_unit_test(test_levels_of_a_module_can_be_forgotten),
		cmocka_unit_test(test_journal_prefix),
		cmocka_unit_test(test_crash_shows_the_ring),
		cmocka_unit_test(test_threads_do_not_mix_lines),
	};

	if (argc > 1) {
		write_to_journal();
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
