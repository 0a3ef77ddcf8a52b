/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include "agent/jobs.h"
#include "common/error.h"
#include "proto/storage.h"

static struct { struct loop *loop; struct lane_pool *lanes; struct events *events; struct jobs *jobs; GPtrArray *sent; } t;
static pthread_barrier_t barrier;

static void take(const char *method, const char *params_json, void *data)
{
	g_ptr_array_add(t.sent, g_strconcat(method, " ", params_json, NULL));
	if (strstr(params_json, "\"done\"") || strstr(params_json, "\"failed\""))
		loop_stop(t.loop);
}

static int set_up(void **state)
{
	t.loop = loop_new();
	t.lanes = lane_pool_new(4);
	t.sent = g_ptr_array_new_with_free_func(g_free);
	t.events = events_new(t.loop, take, NULL);
	events_open(t.events);
	t.jobs = jobs_new(t.lanes, t.events);
	pthread_barrier_init(&barrier, NULL, 2);
	return 0;
}

static int tear_down(void **state)
{
	lane_pool_free(t.lanes, G_USEC_PER_SEC);
	jobs_free(t.jobs);
	loop_free(t.loop);
	events_free(t.events);
	g_ptr_array_unref(t.sent);
	pthread_barrier_destroy(&barrier);
	return 0;
}

static bool work(struct job *job, void *data, GError **error)
{
	pthread_barrier_wait(&barrier);
	job_progress(job, 50);
	job_progress(job, 50);
	if (data) {
		error_set(error, ERR_VOLUME_ALREADY_EXISTS, "it");
		return false;
	}
	return true;
}

static char *start(void *data, const char *id)
{
	struct job_work job = { .id = id, .type = "storage", .description = "Volume.create x", .lane = "domain/x", .run = work, .data = data };
	g_autoptr(GError) error = NULL;
	char *made = NULL;

	assert_true(jobs_start(t.jobs, &job, &made, &error));
	assert_non_null(made);
	return made;
}

static const char *member(json_t *map, const char *id, const char *name)
{
	return json_string_value(json_object_get(json_object_get(map, id), name));
}

static void test_good(void **state)
{
	g_autofree char *id = start(NULL, NULL);
	g_autoptr(GError) error = NULL;
	json_t *all = jobs_task_statuses(t.jobs);
	struct task_status *status;

	assert_string_not_equal(member(all, id, "taskState"), "finished");
	json_decref(all);
	assert_false(jobs_clear(t.jobs, id, &error));
	assert_true(error_is(error, ERR_TASK_NOT_FINISHED));
	pthread_barrier_wait(&barrier);
	loop_run(t.loop);
	assert_int_equal(t.sent->len, 3);               /* running, 50 %, done */
	assert_true(g_str_has_prefix(t.sent->pdata[0], "|jobs|status|"));
	assert_non_null(strstr(t.sent->pdata[1], "\"progress\": 50"));
	assert_non_null(strstr(t.sent->pdata[2], "notify_time"));
	status = jobs_task_status(t.jobs, id, NULL);
	assert_string_equal(status->state, "finished");
	assert_string_equal(status->result, "success");
	assert_int_equal(status->code, 0);
	record_unref(status);
	assert_true(jobs_clear(t.jobs, id, NULL));
	g_clear_error(&error);
	assert_null(jobs_task_status(t.jobs, id, &error));
	assert_true(error_is(error, ERR_UNKNOWN_TASK));
}

static void test_bad(void **state)
{
	g_autofree char *id = start((void *)1, "11111111-0000-4000-8000-000000000001");
	json_t *all;

	pthread_barrier_wait(&barrier);
	loop_run(t.loop);
	all = jobs_task_statuses(t.jobs);
	assert_string_equal(member(all, id, "taskState"), "finished");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(all, id), "code")), ERR_VOLUME_ALREADY_EXISTS);
	json_decref(all);
	all = jobs_list(t.jobs, "storage", NULL);
	assert_string_equal(member(all, id, "status"), "failed");
	assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(all, id), "error"), "message")), "Volume already exists: it");
	json_decref(all);
	all = jobs_list(t.jobs, "virt", NULL);
	assert_int_equal(json_object_size(all), 0);
	json_decref(all);
}

static bool freed;
static void mark(void *data)
{
	freed = true;
}

static void test_same_id(void **state)
{
	g_autofree char *id = start(NULL, "11111111-0000-4000-8000-000000000001");
	struct job_work again = { .id = id, .type = "storage", .description = "x", .lane = "domain/x", .run = work, .data = t.jobs, .free_data = mark };
	g_autoptr(GError) error = NULL;

	freed = false;
	assert_false(jobs_start(t.jobs, &again, NULL, &error));
	assert_true(error_is(error, ERR_JOB_EXISTS));
	assert_false(freed);                            /* still the caller's */
	pthread_barrier_wait(&barrier);
	loop_run(t.loop);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = { TEST(test_good), TEST(test_bad), TEST(test_same_id) };

	return cmocka_run_group_tests_name("agent jobs", tests, NULL, NULL);
}
