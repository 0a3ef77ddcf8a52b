/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: order, independence, deadlines, bounds. Jobs are held at gates, so nothing here depends on speed. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "common/error.h"
#include "common/lane.h"
#include "common/loop.h"
#include "tests/unit/cmocka-all.h"

#define WAIT_USEC (20 * G_USEC_PER_SEC)

struct test {
	struct lane_pool *pool;
	pthread_mutex_t lock;
	GString *order;
	sem_t entered, gate, done;
	atomic_uint expired, freed, ran;
	atomic_bool run_returned;
};

static int setup(void **state)
{
	struct test *test = g_new0(struct test, 1);

	test->pool = lane_pool_new(4);
	test->order = g_string_new(NULL);
	pthread_mutex_init(&test->lock, NULL);
	sem_init(&test->entered, 0, 0);
	sem_init(&test->gate, 0, 0);
	sem_init(&test->done, 0, 0);
	*state = test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	lane_pool_free(test->pool, WAIT_USEC);
	g_string_free(test->order, TRUE);
	g_free(test);
	return 0;
}

static void wait_sem(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_USEC / G_USEC_PER_SEC;
	assert_int_equal(sem_timedwait(sem, &until), 0);
}

struct letter {
	struct test *test;
	char letter;
};

static void say(void *data)
{
	struct letter *letter = data;

	pthread_mutex_lock(&letter->test->lock);
	g_string_append_c(letter->test->order, letter->letter);
	pthread_mutex_unlock(&letter->test->lock);
	sem_post(&letter->test->done);
}

static void hold(void *data)
{
	struct test *test = data;

	sem_post(&test->entered);
	while (sem_wait(&test->gate))
		;
	atomic_store(&test->run_returned, true);
	sem_post(&test->done);
}

static void note_expired(void *data)
{
	atomic_fetch_add(&((struct test *)data)->expired, 1);
}

static void note_freed(void *data)
{
	struct test *test = data;

	atomic_fetch_add(&test->freed, 1);
}

static void note_run(void *data)
{
	atomic_fetch_add(&((struct test *)data)->ran, 1);
}

static void submit_say(struct test *test, const char *lane, char c)
{
	struct letter *letter = g_new(struct letter, 1);
	struct lane_job job = { .name = "say", .run = say, .data = letter, .free_data = g_free };

	*letter = (struct letter){ test, c };
	assert_true(lane_submit(test->pool, lane, &job, NULL));
}

static void submit_hold(struct test *test, const char *lane, int64_t deadline_usec)
{
	struct lane_job job = { .name = "hold", .deadline_usec = deadline_usec, .run = hold, .expired = note_expired, .data = test,
				.free_data = note_freed };

	assert_true(lane_submit(test->pool, lane, &job, NULL));
}

static void test_a_lane_keeps_order(void **state)
{
	struct test *test = *state;

	for (int c = 'a'; c <= 'z'; c++)
		submit_say(test, "vm/1", (char)c);
	for (int c = 'a'; c <= 'z'; c++)
		wait_sem(&test->done);
	assert_string_equal(test->order->str, "abcdefghijklmnopqrstuvwxyz");
}

static void test_lanes_run_beside_each_other(void **state)
{
	struct test *test = *state;

	submit_hold(test, "vm/1", 0);
	submit_hold(test, "vm/2", 0);
	submit_hold(test, NULL, 0);
	submit_hold(test, NULL, 0);
	for (int i = 0; i < 4; i++)
		wait_sem(&test->entered);
	assert_int_equal(lane_pool_threads(test->pool), 4);
	for (int i = 0; i < 4; i++)
		sem_post(&test->gate);
}

static void test_a_hung_job_stops_only_its_lane(void **state)
{
	struct test *test = *state;

	submit_hold(test, "domain/dead", 0);
	wait_sem(&test->entered);
	submit_say(test, "domain/dead", 'x');
	for (int c = 'a'; c <= 'j'; c++)
		submit_say(test, "vm/1", (char)c);
	for (int c = 'a'; c <= 'j'; c++)
		wait_sem(&test->done);
	assert_string_equal(test->order->str, "abcdefghij");
	sem_post(&test->gate);
	wait_sem(&test->done);
	wait_sem(&test->done);
	assert_string_equal(test->order->str, "abcdefghijx");
}

static void test_threads_are_bounded(void **state)
{
	struct test *test = *state;

	for (int i = 0; i < 6; i++)
		submit_hold(test, NULL, 0);
	for (int i = 0; i < 4; i++)
		wait_sem(&test->entered);
	assert_int_equal(lane_pool_threads(test->pool), 4);
	assert_int_equal(sem_trywait(&test->entered), -1);
	for (int i = 0; i < 6; i++)
		sem_post(&test->gate);
	for (int i = 0; i < 6; i++)
		wait_sem(&test->done);
}

static void hold_waiting(void *data)
{
	lane_wait_begin();
	hold(data);
	lane_wait_end();
}

/* More of them than there may be threads, and one that does not wait gets its turn: both when it comes after them and when it was there before they
 * said that they wait. */
static void test_who_waits_holds_up_nobody(void **state)
{
	struct test *test = *state;
	struct lane_job job = { .name = "wait", .run = hold_waiting, .data = test };

	for (int i = 0; i < 10; i++)
		assert_true(lane_submit(test->pool, NULL, &job, NULL));
	submit_say(test, "vm/1", 'a');
	for (int i = 0; i < 10; i++)
		wait_sem(&test->entered);
	wait_sem(&test->done);
	submit_say(test, "vm/1", 'b');
	wait_sem(&test->done);
	assert_string_equal(test->order->str, "ab");
	for (int i = 0; i < 10; i++)
		sem_post(&test->gate);
	for (int i = 0; i < 10; i++)
		wait_sem(&test->done);
	for (int i = 0; i < 6; i++)                     /* as before, there are four threads that do not wait */
		submit_hold(test, NULL, 0);
	for (int i = 0; i < 4; i++)
		wait_sem(&test->entered);
	assert_int_equal(sem_trywait(&test->entered), -1);
	for (int i = 0; i < 6; i++)
		sem_post(&test->gate);
	for (int i = 0; i < 6; i++)
		wait_sem(&test->done);
}

static void test_an_idle_thread_is_used_again(void **state)
{
	struct test *test = *state;

	for (int i = 0; i < 50; i++) {
		submit_say(test, "vm/1", 'a');
		wait_sem(&test->done);
	}
	/* the second may start while the first is still putting its job away */
	assert_in_range(lane_pool_threads(test->pool), 1, 2);
}

static void test_expired_comes_once(void **state)
{
	struct test *test = *state;
	int64_t later = now_usec() + 3600 * (int64_t)G_USEC_PER_SEC;

	submit_hold(test, "vm/1", now_usec() - 1);
	submit_hold(test, "vm/2", later);
	wait_sem(&test->entered);
	wait_sem(&test->entered);
	assert_int_equal(lane_pool_check(test->pool), later);
	assert_int_equal(atomic_load(&test->expired), 1);
	assert_int_equal(lane_pool_check(test->pool), later);
	assert_int_equal(atomic_load(&test->expired), 1);
	/* it still runs: its data are still there */
	assert_int_equal(atomic_load(&test->freed), 0);
	sem_post(&test->gate);
	sem_post(&test->gate);
	test->pool = lane_pool_free(test->pool, WAIT_USEC);
	assert_int_equal(atomic_load(&test->freed), 2);
	assert_int_equal(atomic_load(&test->expired), 1);
}

static void test_finished_job_does_not_expire(void **state)
{
	struct test *test = *state;
	struct lane_job job = { .name = "quick", .deadline_usec = now_usec() + 1, .run = note_run, .expired = note_expired, .data = test };

	assert_true(lane_submit(test->pool, "vm/1", &job, NULL));
	submit_say(test, "vm/1", 'a');
	wait_sem(&test->done);
	assert_int_equal(lane_pool_check(test->pool), 0);
	assert_int_equal(atomic_load(&test->expired), 0);
}

static void finish_meanwhile(void *data)
{
	struct test *test = data;

	sem_post(&test->gate);
	wait_sem(&test->done);
	atomic_fetch_add(&test->expired, 1);
	/* run() has returned, and yet the data live until we return */
	assert_int_equal(atomic_load(&test->freed), 0);
}

static void test_data_live_through_expired(void **state)
{
	struct test *test = *state;
	struct lane_job job = { .name = "race", .deadline_usec = 1, .run = hold, .expired = finish_meanwhile, .data = test, .free_data = note_freed };

	assert_true(lane_submit(test->pool, "vm/1", &job, NULL));
	wait_sem(&test->entered);
	lane_pool_check(test->pool);
	assert_int_equal(atomic_load(&test->expired), 1);
	test->pool = lane_pool_free(test->pool, WAIT_USEC);
	assert_int_equal(atomic_load(&test->freed), 1);
}

static void test_queued_job_expires_and_still_runs(void **state)
{
	struct test *test = *state;
	struct lane_job job = { .name = "late", .deadline_usec = 1, .run = note_run, .expired = note_expired, .data = test };

	submit_hold(test, "vm/1", 0);
	wait_sem(&test->entered);
	assert_true(lane_submit(test->pool, "vm/1", &job, NULL));
	assert_int_equal(lane_pool_check(test->pool), 0);
	assert_int_equal(atomic_load(&test->expired), 1);
	sem_post(&test->gate);
	submit_say(test, "vm/1", 'a');
	wait_sem(&test->done);
	wait_sem(&test->done);
	assert_int_equal(atomic_load(&test->ran), 1);
}

static void check_bound(struct test *test, const char *lane, unsigned holders)
{
	struct lane_job job = { .name = "one too many", .run = note_run, .data = test, .free_data = note_freed };
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < holders; i++)
		submit_hold(test, lane, 0);
	for (unsigned i = 0; i < holders; i++)
		wait_sem(&test->entered);
	for (int i = 0; i < LANE_QUEUE_MAX; i++)
		assert_true(lane_submit(test->pool, lane, &job, NULL));
	assert_false(lane_submit(test->pool, lane, &job, &error));
	assert_true(error_is(error, ERR_RESOURCE_EXHAUSTED));
	assert_int_equal(atomic_load(&test->freed), 0);
	for (unsigned i = 0; i < holders; i++)
		sem_post(&test->gate);
	/* there is room again as soon as one has started */
	for (unsigned i = 0; i < holders; i++)
		wait_sem(&test->done);
}

static void test_a_lane_is_bounded(void **state)
{
	check_bound(*state, "vm/1", 1);
}

static void test_unordered_jobs_are_bounded(void **state)
{
	check_bound(*state, NULL, 4);
}

static void test_list(void **state)
{
	struct test *test = *state;
	json_t *list, *first, *second;

	submit_hold(test, "vm/1", 1);
	wait_sem(&test->entered);
	submit_say(test, "vm/1", 'a');
	list = lane_pool_list(test->pool);
	assert_int_equal(json_array_size(list), 2);
	first = json_array_get(list, 0);
	second = json_array_get(list, 1);
	assert_string_equal(json_string_value(json_object_get(first, "lane")), "vm/1");
	assert_string_equal(json_string_value(json_object_get(first, "job")), "hold");
	assert_string_equal(json_string_value(json_object_get(first, "state")), "running");
	assert_true(json_is_real(json_object_get(first, "age")));
	assert_true(json_is_true(json_object_get(first, "overdue")));
	assert_string_equal(json_string_value(json_object_get(second, "job")), "say");
	assert_string_equal(json_string_value(json_object_get(second, "state")), "queued");
	assert_true(json_is_false(json_object_get(second, "overdue")));
	json_decref(list);
	sem_post(&test->gate);
	wait_sem(&test->done);
	wait_sem(&test->done);
}

static void test_free_drops_what_is_queued(void **state)
{
	struct test *test = *state;
	struct lane_job job = { .name = "never", .run = note_run, .data = test, .free_data = note_freed };

	submit_hold(test, "vm/1", 0);
	wait_sem(&test->entered);
	assert_true(lane_submit(test->pool, "vm/1", &job, NULL));
	sem_post(&test->gate);
	assert_true(lane_pool_close(test->pool, WAIT_USEC));
	/* the held one, and the queued one whether it came to its turn or not */
	assert_int_equal(atomic_load(&test->freed), 2);
}

static void test_free_does_not_wait_for_the_hung(void **state)
{
	struct test *test = *state;
	struct lane_job job = { .name = "never", .run = note_run, .data = test, .free_data = note_freed };

	submit_hold(test, "vm/1", 0);
	wait_sem(&test->entered);
	assert_true(lane_submit(test->pool, "vm/1", &job, NULL));
	assert_false(lane_pool_close(test->pool, 1000));
	assert_false(lane_submit(test->pool, "vm/2", &job, NULL));
	test->pool = lane_pool_free(test->pool, 0);
	assert_int_equal(atomic_load(&test->freed), 1);
	assert_int_equal(atomic_load(&test->ran), 0);
	sem_post(&test->gate);
	wait_sem(&test->done);
	/* the thread puts its own job away; only its memory is left, wait for that */
	for (int64_t until = now_usec() + WAIT_USEC; atomic_load(&test->freed) < 2 && now_usec() < until;)
		g_thread_yield();
	assert_int_equal(atomic_load(&test->freed), 2);
}

#define CHEAP_JOBS 20000

static void test_many_small_jobs(void **state)
{
	struct test *test = *state;
	struct lane_job job = { .name = "small", .run = note_run, .data = test };
	unsigned submitted = 0;

	while (submitted < CHEAP_JOBS) {
		g_autofree char *lane = g_strdup_printf("vm/%u", submitted % 50);

		if (lane_submit(test->pool, lane, &job, NULL))
			submitted++;
		else
			g_thread_yield();
	}
	while (atomic_load(&test->ran) < CHEAP_JOBS)
		g_thread_yield();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_lane_keeps_order),
		TEST(test_lanes_run_beside_each_other),
		TEST(test_a_hung_job_stops_only_its_lane),
		TEST(test_threads_are_bounded),
		TEST(test_who_waits_holds_up_nobody),
		TEST(test_an_idle_thread_is_used_again),
		TEST(test_expired_comes_once),
		TEST(test_finished_job_does_not_expire),
		TEST(test_data_live_through_expired),
		TEST(test_queued_job_expires_and_still_runs),
		TEST(test_a_lane_is_bounded),
		TEST(test_unordered_jobs_are_bounded),
		TEST(test_list),
		TEST(test_free_drops_what_is_queued),
		TEST(test_free_does_not_wait_for_the_hung),
		TEST(test_many_small_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
