/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmocka-all.h"
#include <pthread.h>
#include <stdio.h>
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
	t.jobs = jobs_new(t.loop, t.lanes, t.events, NULL, NULL);
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

/* The first holds the lane; the second is stopped before it begins, and leaves nothing that would have to be undone. rows: verb:Task.stop verb:Task.revert */
static void test_stop(void **state)
{
	g_autofree char *first = start(NULL, NULL), *second = start(NULL, NULL);
	g_autoptr(GError) error = NULL;
	json_t *all;

	assert_true(jobs_stop(t.jobs, second, &error));
	all = jobs_task_infos(t.jobs, true);
	assert_string_equal(member(all, second, "state"), "aborting");
	assert_string_equal(member(all, second, "verb"), "Volume.create");
	json_decref(all);
	assert_false(jobs_revert(t.jobs, second, &error));
	assert_true(error_is(error, ERR_TASK_NOT_FINISHED));
	g_clear_error(&error);
	pthread_barrier_wait(&barrier);                 /* the first goes on; the second would wait here for ever */
	assert_false(jobs_wait(t.jobs, second, now_usec() + 20 * G_USEC_PER_SEC, &error));
	assert_true(error_is(error, ERR_TASK_ABORTED));
	g_clear_error(&error);
	assert_true(jobs_revert(t.jobs, second, &error) && jobs_stop(t.jobs, second, &error));
	assert_false(jobs_revert(t.jobs, first, &error));
	assert_true(error_is(error, ERR_TASK_STATE_ERROR));
	g_clear_error(&error);
	assert_false(jobs_stop(t.jobs, "none", &error));
	assert_true(error_is(error, ERR_UNKNOWN_TASK));
}

static void test_wait(void **state)
{
	g_autofree char *good = start(NULL, NULL), *bad = NULL;
	g_autoptr(GError) error = NULL;

	assert_false(jobs_wait(t.jobs, good, now_usec() + 1000, &error));
	assert_true(error_is(error, ERR_TIMEOUT));
	g_clear_error(&error);
	pthread_barrier_wait(&barrier);
	assert_true(jobs_wait(t.jobs, good, now_usec() + 20 * G_USEC_PER_SEC, &error));
	assert_true(jobs_has(t.jobs, good));
	bad = start((void *)1, NULL);
	pthread_barrier_wait(&barrier);
	assert_false(jobs_wait(t.jobs, bad, now_usec() + 20 * G_USEC_PER_SEC, &error));
	assert_true(error_is(error, ERR_VOLUME_ALREADY_EXISTS));
	g_clear_error(&error);
	assert_false(jobs_has(t.jobs, "none"));
	assert_false(jobs_wait(t.jobs, "none", now_usec() + G_USEC_PER_SEC, &error));
	assert_true(error_is(error, ERR_NO_SUCH_JOB));
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

/* ---- jobs of a kind ---- */

static char directory[] = "/tmp/berth-test-jobs-XXXXXX";
static GString *steps;
static bool may_end, deaf, needed;

/* "one", then waits until may_end, then "two". deaf: does not hear that it is canceled. */
static enum job_run two_steps(struct job *job, json_t *state, void *context, GError **error)
{
	const char *step = json_string_value(json_object_get(state, "step"));

	assert_ptr_equal(context, &steps);
	g_string_append_printf(steps, "[%s]", step ? step : "begin");
	if (job_canceled(job) && !deaf) {
		error_set(error, ERR_UNEXPECTED_ERROR, "canceled");
		return JOB_FAILED;
	}
	if (!step && !job_step(job, state, "one", error))
		return JOB_FAILED;
	if (!may_end)
		return JOB_WAITS;
	return job_step(job, state, "two", error) ? JOB_DONE : JOB_FAILED;
}

/* Somebody needs it: it may not be asked to end. */
static bool is_free(const json_t *request, void *context, GError **error)
{
	assert_string_equal(json_string_value(json_object_get(request, "vmID")), "a");
	assert_ptr_equal(context, &steps);
	if (needed)
		error_set(error, ERR_VOLUME_IS_BUSY, "it is needed");
	return !needed;
}

static const struct job_kind kind = { .name = "two_steps", .type = "virt", .run = two_steps, .may_end = is_free };

static void restart(void)
{
	lane_pool_free(t.lanes, G_USEC_PER_SEC);
	if (t.jobs)
		jobs_free(t.jobs);
	t.lanes = lane_pool_new(4);
	t.jobs = jobs_new(t.loop, t.lanes, t.events, directory, NULL);
	assert_non_null(t.jobs);
	jobs_register(t.jobs, &kind, &steps);
	g_ptr_array_set_size(t.sent, 0);
}

static int kind_set_up(void **state)
{
	set_up(state);
	memset(directory + strlen(directory) - 6, 'X', 6);
	assert_non_null(g_mkdtemp(directory));
	steps = g_string_new(NULL);
	may_end = deaf = needed = false;
	restart();
	return 0;
}

static int kind_tear_down(void **state)
{
	const char *const rm[] = { "rm", "-r", directory, NULL };

	assert_true(g_spawn_sync(NULL, (char **)rm, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
	g_string_free(steps, TRUE);
	return tear_down(state);
}

#define ID "22222222-0000-4000-8000-000000000002"

static bool begin(const char *vm, GError **error)
{
	json_t *request = json_pack("{s:s}", "vmID", vm);
	bool good = jobs_begin(t.jobs, &(struct job_order){ .id = ID, .kind = &kind, .description = "test", .lane = "vm/x", .request = request }, NULL, error);

	json_decref(request);
	return good;
}

/* A job of the same lane is behind whatever was queued there. */
static void settle(const char *lane)
{
	const struct job_work last = { .type = "storage", .description = "last", .lane = lane, .run = work };

	assert_true(jobs_start(t.jobs, &last, NULL, NULL));
	pthread_barrier_wait(&barrier);
	loop_run(t.loop);
}

static const char *status(void)
{
	static char text[16];
	json_t *all = jobs_list(t.jobs, "virt", NULL);
	const char *now = member(all, ID, "status");

	g_strlcpy(text, now ? now : "none", sizeof(text));
	json_decref(all);
	return text;
}

static void test_kind(void **state)
{
	g_autoptr(GPtrArray) active = NULL;
	g_autoptr(GError) error = NULL;

	assert_true(begin("a", NULL));
	settle("vm/x");
	assert_string_equal(steps->str, "[begin]");
	assert_string_equal(status(), "running");
	assert_true(begin("a", NULL));                  /* the same again: nothing new */
	assert_false(begin("b", &error));
	assert_true(error_is(error, ERR_JOB_EXISTS));
	active = jobs_active(t.jobs, &kind, "vmID", "A");
	assert_int_equal(active->len, 1);
	assert_string_equal(active->pdata[0], ID);
	may_end = true;
	jobs_wake(t.jobs, ID);
	loop_run(t.loop);
	assert_string_equal(steps->str, "[begin][one]");
	assert_string_equal(status(), "done");
	jobs_wake(t.jobs, ID);                          /* over: nothing */
	settle("vm/x");
	assert_string_equal(steps->str, "[begin][one]");
}

static void check_requests(bool ending, guint wanted)
{
	g_autoptr(GPtrArray) requests = jobs_requests(t.jobs, &kind, ending);

	assert_int_equal(requests->len, wanted);
}

/* One that says no is as before; from its yes on, only who asks for them finds those that end. */
static void test_kind_may_end(void **state)
{
	g_autoptr(GError) error = NULL;

	deaf = needed = true;
	assert_true(begin("a", NULL));
	settle("vm/x");
	assert_false(jobs_cancel(t.jobs, ID, &error));
	assert_true(error_is(error, ERR_VOLUME_IS_BUSY));
	assert_string_equal(status(), "running");
	check_requests(/* ending= */ false, 1);
	needed = false;
	assert_true(jobs_cancel(t.jobs, ID, NULL));
	check_requests(/* ending= */ false, 0);
	check_requests(/* ending= */ true, 1);
	needed = true;                                  /* is not asked twice */
	assert_true(jobs_cancel(t.jobs, ID, NULL));
	settle("vm/x");
	restart();
	jobs_load(t.jobs);
	check_requests(/* ending= */ false, 0);
	check_requests(/* ending= */ true, 1);
}

/* The agent ends while it waits: the next one goes on from the step that was written, and shows what was over. */
static void test_kind_restart(void **state)
{
	assert_true(begin("a", NULL));
	settle("vm/x");
	restart();
	assert_string_equal(status(), "none");
	may_end = true;
	jobs_load(t.jobs);
	jobs_wake(t.jobs, ID);                          /* what it needs is not there yet */
	settle("vm/x");
	assert_string_equal(status(), "pending");
	assert_string_equal(steps->str, "[begin]");
	jobs_resume(t.jobs);
	loop_run(t.loop);
	assert_string_equal(steps->str, "[begin][one]");
	assert_string_equal(status(), "done");
	restart();
	jobs_load(t.jobs);
	jobs_resume(t.jobs);
	assert_string_equal(status(), "done");
	assert_true(jobs_clear(t.jobs, ID, NULL));
	settle("jobs");                                 /* the file is removed there */
	restart();
	jobs_load(t.jobs);
	jobs_resume(t.jobs);
	assert_string_equal(status(), "none");
	assert_string_equal(steps->str, "[begin][one]");
}

static void test_kind_cancel(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_false(jobs_cancel(t.jobs, ID, &error));
	assert_true(error_is(error, ERR_NO_SUCH_JOB));
	g_clear_error(&error);
	assert_true(begin("a", NULL));
	settle("vm/x");
	assert_true(jobs_cancel(t.jobs, ID, NULL));
	settle("vm/x");
	assert_string_equal(status(), "aborted");
	assert_false(jobs_cancel(t.jobs, ID, &error));
	assert_true(error_is(error, ERR_JOB_NOT_ACTIVE));
	restart();
	jobs_load(t.jobs);
	jobs_resume(t.jobs);
	assert_string_equal(status(), "aborted");
}

/* Who was told that it is canceled is right, also when the agent ends before it hears of it. With the job the wish is forgotten. */
static void test_kind_cancel_restart(void **state)
{
	g_autofree char *wish = g_build_filename(directory, "jobs", ID ".end", NULL);

	deaf = true;
	assert_true(begin("a", NULL));
	settle("vm/x");
	assert_true(jobs_cancel(t.jobs, ID, NULL));
	settle("vm/x");
	assert_string_equal(status(), "running");
	restart();
	deaf = false;
	jobs_load(t.jobs);
	jobs_resume(t.jobs);
	settle("vm/x");
	assert_string_equal(status(), "aborted");
	assert_true(jobs_clear(t.jobs, ID, NULL));
	settle("jobs");
	assert_false(g_file_test(wish, G_FILE_TEST_EXISTS));
	/* one whose job was forgotten in the same moment is of nobody */
	assert_true(g_file_set_contents(wish, "{\"version\": 1}", -1, NULL));
	restart();
	jobs_load(t.jobs);
	jobs_resume(t.jobs);
	assert_false(g_file_test(wish, G_FILE_TEST_EXISTS));
}

/* A name that would leave the directory; a directory that cannot be written to. */
static void test_kind_bad(void **state)
{
	json_t *request = json_object();
	struct job_order order = { .id = "../x", .kind = &kind, .description = "test", .lane = "vm/x", .request = request };
	g_autofree char *jobs = g_build_filename(directory, "jobs", NULL), *aside = g_build_filename(directory, "aside", NULL);
	g_autoptr(GError) error = NULL;

	assert_false(jobs_begin(t.jobs, &order, NULL, &error));
	assert_true(error_is(error, ERR_INVALID_PARAMETER));
	g_clear_error(&error);
	assert_int_equal(rename(jobs, aside), 0);
	order.id = ID;
	assert_false(jobs_begin(t.jobs, &order, NULL, &error));
	assert_true(error_is(error, ERR_MISC_FILE_WRITE_EXCEPTION));
	assert_string_equal(status(), "none");
	assert_int_equal(rename(aside, jobs), 0);
	settle("vm/x");
	assert_string_equal(steps->str, "");
	json_decref(request);
}

int main(void)
{
#define KIND_TEST(name) cmocka_unit_test_setup_teardown(name, kind_set_up, kind_tear_down)
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = { TEST(test_good), TEST(test_stop), TEST(test_wait), TEST(test_bad), TEST(test_same_id),
		KIND_TEST(test_kind), KIND_TEST(test_kind_may_end), KIND_TEST(test_kind_restart), KIND_TEST(test_kind_cancel),
		KIND_TEST(test_kind_cancel_restart), KIND_TEST(test_kind_bad) };

	return cmocka_run_group_tests_name("agent jobs", tests, NULL, NULL);
}
