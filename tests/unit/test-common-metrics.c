/* SPDX-License-Identifier: Apache-2.0 */
/* Series and their Prometheus text. */
#include <pthread.h>
#include <string.h>
#include "common/metrics.h"
#include "tests/unit/cmocka-all.h"

static void check_text(const char *part)
{
	g_autoptr(GString) text = g_string_new(NULL);

	metrics_write(text);
	if (!strstr(text->str, part))
		fail_msg("'%s' is not in:\n%s", part, text->str);
}

static void test_same_name_is_same_series(void **state)
{
	struct metric *one = metric_counter("t_same_total", "a=\"1\"", "Help."), *other = metric_counter("t_same_total", "a=\"2\"", NULL);

	assert_ptr_equal(one, metric_counter("t_same_total", "a=\"1\"", "Other help."));
	assert_ptr_not_equal(one, other);
	metric_add(one, 2);
	metric_add(other, 3);
	check_text("# HELP t_same_total Help.\n# TYPE t_same_total counter\nt_same_total{a=\"1\"} 2\nt_same_total{a=\"2\"} 3\n");
}

static void test_gauge(void **state)
{
	struct metric *gauge = metric_gauge("t_gauge", NULL, "Help.");

	metric_set(gauge, 7);
	metric_add(gauge, -9);
	assert_int_equal(metric_value(gauge), -2);
	check_text("# TYPE t_gauge gauge\nt_gauge -2\n");
}

static void test_histogram(void **state)
{
	struct metric *histogram = metric_histogram("t_seconds", "op=\"x\"", "Help.");

	metric_observe(histogram, 50);
	metric_observe(histogram, 51);
	metric_observe(histogram, 1500000);
	metric_observe(histogram, 61 * (int64_t)G_USEC_PER_SEC);
	assert_int_equal(metric_value(histogram), 4);
	check_text("# TYPE t_seconds histogram\nt_seconds_bucket{op=\"x\",le=\"5e-05\"} 1\nt_seconds_bucket{op=\"x\",le=\"0.0001\"} 2\n");
	check_text("t_seconds_bucket{op=\"x\",le=\"1\"} 2\nt_seconds_bucket{op=\"x\",le=\"2.5\"} 3\n");
	check_text("t_seconds_bucket{op=\"x\",le=\"60\"} 3\nt_seconds_bucket{op=\"x\",le=\"+Inf\"} 4\n"
		   "t_seconds_sum{op=\"x\"} 62.500101\nt_seconds_count{op=\"x\"} 4\n");
}

static void test_histogram_without_labels(void **state)
{
	metric_observe(metric_histogram("t_plain_seconds", NULL, "Help."), 1);
	check_text("t_plain_seconds_bucket{le=\"5e-05\"} 1\n");
	check_text("t_plain_seconds_sum 0.000001\nt_plain_seconds_count 1\n");
}

static void test_numbers_kept_elsewhere(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);

	metrics_write_family(text, "t_other", "gauge", "Help.");
	g_string_append(text, "t_other{");
	metrics_write_label(text, "name", "a \"b\" \\ c\nd \xc3\xbc");
	g_string_append(text, "} 1\n");
	assert_string_equal(text->str, "# HELP t_other Help.\n# TYPE t_other gauge\nt_other{name=\"a \\\"b\\\" \\\\ c\\nd \xc3\xbc\"} 1\n");
}

static void *count(void *data)
{
	for (int i = 0; i < 10000; i++)
		metric_add(metric_counter("t_threads_total", NULL, "Help."), 1);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_value(metric_counter("t_threads_total", NULL, NULL)), 40000);
}

/* last: it fills the table */
static void test_series_are_bounded(void **state)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (int i = 0; i < 11000; i++) {
		g_autofree char *labels = g_strdup_printf("i=\"%d\"", i);

		metric_add(metric_counter("t_many_total", labels, "Help."), 1);
	}
	metrics_write(text);
	assert_null(strstr(text->str, "i=\"10999\""));
	assert_non_null(strstr(text->str, "i=\"9000\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_name_is_same_series),
		cmocka_unit_test(test_gauge),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_histogram_without_labels),
		cmocka_unit_test(test_numbers_kept_elsewhere),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_series_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
