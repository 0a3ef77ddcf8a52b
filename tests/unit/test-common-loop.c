/* SPDX-License-Identifier: Apache-2.0 */
/* Posts, timers, watches, signals; and no wake-up at rest. */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/loop.h"
#include "tests/unit/cmocka-all.h"

struct test {
	struct loop *loop;
	struct timer *timer;
	struct watch *watch;
	GString *order;
	int64_t start_usec, fired_usec;
	unsigned count;
	int ends[2];
};

static int setup(void **state)
{
	struct test *test = g_new0(struct test, 1);

	test->loop = loop_new();
	test->order = g_string_new(NULL);
	assert_int_equal(pipe(test->ends), 0);
	*state = test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	timer_free(test->timer);
	watch_free(test->watch);
	loop_free(test->loop);
	close(test->ends[0]);
	close(test->ends[1]);
	g_string_free(test->order, TRUE);
	g_free(test);
	return 0;
}

static void stop(void *data)
{
	loop_stop(data);
}

static void say_a(void *data)
{
	g_string_append_c(((struct test *)data)->order, 'a');
}

static void say_b(void *data)
{
	g_string_append_c(((struct test *)data)->order, 'b');
}

static void test_posts_come_in_order(void **state)
{
	struct test *test = *state;

	loop_post(test->loop, say_a, test, NULL);
	loop_post(test->loop, say_b, test, NULL);
	loop_post(test->loop, say_a, test, NULL);
	loop_stop(test->loop);
	loop_run(test->loop);
	assert_string_equal(test->order->str, "aba");
}

static void test_queued_posts_are_freed(void **state)
{
	struct test *test = *state;

	loop_post(test->loop, say_a, test, say_b);
	loop_post(test->loop, say_a, test, NULL);
	test->loop = loop_free(test->loop);
	assert_string_equal(test->order->str, "b");
}

static void note_current(void *data)
{
	struct test *test = data;

	test->count = loop_is_current(test->loop);
}

static void test_current_thread(void **state)
{
	struct test *test = *state;

	assert_false(loop_is_current(test->loop));
	loop_post(test->loop, note_current, test, NULL);
	loop_stop(test->loop);
	loop_run(test->loop);
	assert_int_equal(test->count, 1);
	assert_false(loop_is_current(test->loop));
}

#define POSTS 20000

static void count_post(void *data)
{
	struct test *test = data;

	assert_true(loop_is_current(test->loop));
	if (++test->count == 4 * POSTS)
		loop_stop(test->loop);
}

static void *post_many(void *data)
{
	struct test *test = data;

	for (int i = 0; i < POSTS; i++)
		loop_post(test->loop, count_post, test, NULL);
	return NULL;
}

static void test_posts_of_threads(void **state)
{
	struct test *test = *state;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, test), 0);
	loop_run(test->loop);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(test->count, 4 * POSTS);
}

static void note_time(void *data)
{
	struct test *test = data;

	test->fired_usec = now_usec();
	if (++test->count < 3)
		timer_set(test->timer, 7000);
	else
		loop_stop(test->loop);
}

static void test_timer_is_never_early(void **state)
{
	struct test *test = *state;

	test->timer = timer_new(test->loop, note_time, test);
	test->start_usec = now_usec();
	timer_set(test->timer, 7000);
	loop_run(test->loop);
	assert_int_equal(test->count, 3);
	assert_true(test->fired_usec - test->start_usec >= 3 * 7000);
}

static void test_canceled_timer_is_silent(void **state)
{
	struct test *test = *state;
	struct timer *end = timer_new(test->loop, stop, test->loop);

	test->timer = timer_new(test->loop, say_a, test);
	timer_set(test->timer, 0);
	timer_cancel(test->timer);
	timer_set(end, 10000);
	loop_run(test->loop);
	timer_free(end);
	assert_string_equal(test->order->str, "");
}

static void free_own_timer(void *data)
{
	struct test *test = data;

	test->timer = timer_free(test->timer);
	loop_stop(test->loop);
}

static void test_timer_may_free_itself(void **state)
{
	struct test *test = *state;

	test->timer = timer_new(test->loop, free_own_timer, test);
	timer_set(test->timer, 0);
	loop_run(test->loop);
	assert_null(test->timer);
}

static void on_ready(int fd, unsigned what, void *data)
{
	struct test *test = data;
	char byte;

	assert_int_equal(what, WATCH_READ);
	assert_int_equal(read(fd, &byte, 1), 1);
	g_string_append_c(test->order, byte);
	if (byte == 'z') {
		test->watch = watch_free(test->watch);
		loop_stop(test->loop);
	}
}

static void test_watch_stays_armed(void **state)
{
	struct test *test = *state;

	assert_int_equal(write(test->ends[1], "xyz", 3), 3);
	test->watch = watch_new(test->loop, test->ends[0], on_ready, test);
	watch_set(test->watch, WATCH_READ);
	loop_run(test->loop);
	assert_string_equal(test->order->str, "xyz");
}

static void test_disarmed_watch_is_silent(void **state)
{
	struct test *test = *state;
	struct timer *end = timer_new(test->loop, stop, test->loop);

	assert_int_equal(write(test->ends[1], "x", 1), 1);
	test->watch = watch_new(test->loop, test->ends[0], on_ready, test);
	watch_set(test->watch, WATCH_READ);
	watch_set(test->watch, 0);
	timer_set(end, 10000);
	loop_run(test->loop);
	timer_free(end);
	assert_string_equal(test->order->str, "");
}

static void test_signal(void **state)
{
	struct test *test = *state;

	loop_on_signal(test->loop, SIGUSR1, stop, test->loop);
	raise(SIGUSR1);
	loop_run(test->loop);
}

static void test_no_wake_ups_at_rest(void **state)
{
	struct test *test = *state;
	struct rusage before, after;

	test->timer = timer_new(test->loop, stop, test->loop);
	timer_set(test->timer, 200 * 1000);
	getrusage(RUSAGE_THREAD, &before);
	loop_run(test->loop);
	getrusage(RUSAGE_THREAD, &after);
	/* the one timer, which the coarse clock may split into a few; a page that is not there counts, too. One that turns does it thousands of times */
	assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 1, 60);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_posts_come_in_order),
		TEST(test_queued_posts_are_freed),
		TEST(test_current_thread),
		TEST(test_posts_of_threads),
		TEST(test_timer_is_never_early),
		TEST(test_canceled_timer_is_silent),
		TEST(test_timer_may_free_itself),
		TEST(test_watch_stays_armed),
		TEST(test_disarmed_watch_is_silent),
		TEST(test_signal),
		TEST(test_no_wake_ups_at_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
