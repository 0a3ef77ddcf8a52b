/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: libevent over epoll, on one thread.
 *
 * - Nothing of libevent is used from other threads, so its locking is off. What other threads have to say goes through
 *   loop_post(): a list under a mutex and one eventfd that is written only when the list was empty. A batch is taken whole and run in
 *   order; calls posted meanwhile come in the next turn, after the sockets had theirs.
 * - At rest the loop sleeps without a time limit: there is no tick.
 * - libevent reads a coarse clock once a turn, so its timers may be some milliseconds early. A timer here never is: an early one is armed
 *   again for the rest.
 * - SIGPIPE is ignored for the whole process, since OpenSSL's socket BIO writes without MSG_NOSIGNAL. (GLib's g_spawn*() restores the
 *   default in the child.)
 * - libevent delivers signals to one base of the process only: loop_on_signal() is for the main loop.
 */
#include "common/loop.h"
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/lock.h"

struct post {
	struct post *next;
	loop_fn fn;
	void *data;
	GDestroyNotify free_data;
};

struct on_signal {
	struct event event;
	loop_fn fn;
	void *data;
};

struct loop {
	struct event_base *base;
	struct event posted;                 /* readiness of post_fd */
	int post_fd;
	pthread_mutex_t lock;                /* first, last */
	struct post *first, **last;
	GPtrArray *signals;                  /* struct on_signal */
	_Atomic(pthread_t) thread;
	atomic_bool running;
};

struct timer {
	struct event event;
	int64_t due_usec;
	loop_fn fn;
	void *data;
};

struct watch {
	struct event readable, writable;
	unsigned armed;
	void (*fn)(int fd, unsigned what, void *data);
	void *data;
};

int64_t now_usec(void)
{
	return g_get_monotonic_time();
}

int64_t wall_msec(void)
{
	return g_get_real_time() / 1000;
}

static struct post *take_posts(struct loop *loop)
{
	AUTO_LOCK(&loop->lock);
	struct post *first = loop->first;

	loop->first = NULL;
	loop->last = &loop->first;
	return first;
}

static void on_posted(int fd, short what, void *data)
{
	struct loop *loop = data;
	struct post *next;
	uint64_t count;

	/* Emptied before the list is taken: a post after this writes again. */
	(void)!read(fd, &count, sizeof(count));
	for (struct post *post = take_posts(loop); post; post = next) {
		next = post->next;
		post->fn(post->data);
		g_free(post);
	}
}

static void on_signal_free(void *data)
{
	struct on_signal *on_signal = data;

	event_del(&on_signal->event);
	g_free(on_signal);
}

struct loop *loop_new(void)
{
	struct loop *loop = g_new0(struct loop, 1);
	struct event_config *config = event_config_new();

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);              /* a file size limit fails the write, not the process */
	event_config_require_features(config, EV_FEATURE_O1);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	loop->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!loop->base || loop->post_fd < 0)
		g_error("no event loop: %s", g_strerror(errno));
	pthread_mutex_init(&loop->lock, NULL);
	loop->last = &loop->first;
	loop->signals = g_ptr_array_new_with_free_func(on_signal_free);
	event_assign(&loop->posted, loop->base, loop->post_fd, EV_READ | EV_PERSIST, on_posted, loop);
	event_add(&loop->posted, NULL);
	return loop;
}

struct loop *loop_free(struct loop *loop)
{
	struct post *next;

	if (!loop)
		return NULL;
	/* free_data may post again */
	for (struct post *post; (post = take_posts(loop));)
		for (; post; post = next) {
			next = post->next;
			if (post->free_data)
				post->free_data(post->data);
			g_free(post);
		}
	g_ptr_array_unref(loop->signals);
	event_del(&loop->posted);
	event_base_free(loop->base);
	close(loop->post_fd);
	pthread_mutex_destroy(&loop->lock);
	g_free(loop);
	return NULL;
}

void loop_run(struct loop *loop)
{
	atomic_store(&loop->thread, pthread_self());
	atomic_store(&loop->running, true);
	event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
	atomic_store(&loop->running, false);
}

static void stop(void *data)
{
	event_base_loopbreak(data);
}

void loop_stop(struct loop *loop)
{
	loop_post(loop, stop, loop->base, /* free_data= */ NULL);
}

bool loop_is_current(const struct loop *loop)
{
	return atomic_load(&loop->running) && pthread_equal(atomic_load(&loop->thread), pthread_self());
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_post(struct loop *loop, loop_fn fn, void *data, GDestroyNotify free_data)
{
	struct post *post = g_new(struct post, 1);
	static const uint64_t one = 1;
	AUTO_LOCK(&loop->lock);
	bool was_empty = !loop->first;

	*post = (struct post){ .fn = fn, .data = data, .free_data = free_data };
	*loop->last = post;
	loop->last = &post->next;
	/* Under the lock, so that the loop cannot be stopped and freed between the queueing and the write. */
	if (was_empty)
		(void)!write(loop->post_fd, &one, sizeof(one));
}

static void on_timer(int fd, short what, void *data)
{
	struct timer *timer = data;
	int64_t early = timer->due_usec - now_usec();

	if (early > 0)
		timer_set(timer, early);
	else
		timer->fn(timer->data); /* may free the timer */
}

struct timer *timer_new(struct loop *loop, loop_fn fn, void *data)
{
	struct timer *timer = g_new0(struct timer, 1);

	timer->fn = fn;
	timer->data = data;
	evtimer_assign(&timer->event, loop->base, on_timer, timer);
	return timer;
}

void timer_set(struct timer *timer, int64_t delay_usec)
{
	struct timeval delay;

	delay_usec = MAX(delay_usec, 0);
	delay = (struct timeval){ .tv_sec = delay_usec / G_USEC_PER_SEC, .tv_usec = delay_usec % G_USEC_PER_SEC };
	timer->due_usec = now_usec() + delay_usec;
	evtimer_add(&timer->event, &delay);
}

void timer_cancel(struct timer *timer)
{
	evtimer_del(&timer->event);
}

struct timer *timer_free(struct timer *timer)
{
	if (timer)
		evtimer_del(&timer->event);
	g_free(timer);
	return NULL;
}

static void on_ready(int fd, short what, void *data)
{
	struct watch *watch = data;

	watch->fn(fd, (what & EV_READ ? WATCH_READ : 0) | (what & EV_WRITE ? WATCH_WRITE : 0), watch->data); /* may free the watch */
}

struct watch *watch_new(struct loop *loop, int fd, void (*fn)(int fd, unsigned what, void *data), void *data)
{
	struct watch *watch = g_new0(struct watch, 1);

	watch->fn = fn;
	watch->data = data;
	event_assign(&watch->readable, loop->base, fd, EV_READ | EV_PERSIST, on_ready, watch);
	event_assign(&watch->writable, loop->base, fd, EV_WRITE | EV_PERSIST, on_ready, watch);
	return watch;
}

static void arm(struct watch *watch, struct event *event, unsigned bit, unsigned what)
{
	if (what & ~watch->armed & bit)
		event_add(event, NULL);
	else if (~what & watch->armed & bit)
		event_del(event);
}

void watch_set(struct watch *watch, unsigned what)
{
	arm(watch, &watch->readable, WATCH_READ, what);
	arm(watch, &watch->writable, WATCH_WRITE, what);
	watch->armed = what;
}

struct watch *watch_free(struct watch *watch)
{
	if (watch)
		watch_set(watch, 0);
	g_free(watch);
	return NULL;
}

static void on_signal(int signum, short what, void *data)
{
	struct on_signal *on = data;

	on->fn(on->data);
}

void loop_on_signal(struct loop *loop, int signum, loop_fn fn, void *data)
{
	struct on_signal *on = g_new0(struct on_signal, 1);

	on->fn = fn;
	on->data = data;
	evsignal_assign(&on->event, loop->base, signum, on_signal, on);
	evsignal_add(&on->event, NULL);
	g_ptr_array_add(loop->signals, on);
}
