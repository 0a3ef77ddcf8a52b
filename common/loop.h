/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_LOOP_H
#define BERTH_COMMON_LOOP_H
/*
 * The loop: one thread that owns sockets and timers (libevent) and never blocks.
 * Everything here may be used on the loop's thread only, except loop_post() and loop_stop().
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

struct event_base;
struct loop;
struct timer;
struct watch;

typedef void (*loop_fn)(void *data);

struct loop *loop_new(void);
struct loop *loop_free(struct loop *loop);                 /* NULL accepted; returns NULL */
void loop_run(struct loop *loop);                          /* until loop_stop() */
void loop_stop(struct loop *loop);                         /* any thread */
bool loop_is_current(const struct loop *loop);             /* is this the loop's thread? (false before loop_run) */
struct event_base *loop_base(struct loop *loop);

/* Runs fn(data) on the loop's thread, in the order posted. Any thread. free_data (may be NULL) runs instead of fn when the
 * loop is freed with the call still queued. */
void loop_post(struct loop *loop, loop_fn fn, void *data, GDestroyNotify free_data);

/* Timers: one shot; armed with timer_set(), again from inside fn for a period. */
struct timer *timer_new(struct loop *loop, loop_fn fn, void *data);
void timer_set(struct timer *timer, int64_t delay_usec);
void timer_cancel(struct timer *timer);
struct timer *timer_free(struct timer *timer);

/* Descriptor readiness. */
#define WATCH_READ 1u
#define WATCH_WRITE 2u
struct watch *watch_new(struct loop *loop, int fd, void (*fn)(int fd, unsigned what, void *data), void *data);
void watch_set(struct watch *watch, unsigned what);        /* 0 disarms; level-triggered, stays armed */
struct watch *watch_free(struct watch *watch);             /* does not close fd */

/* Signals, delivered on the loop. */
void loop_on_signal(struct loop *loop, int signum, loop_fn fn, void *data);

int64_t now_usec(void);                                    /* monotonic */
int64_t wall_msec(void);                                   /* since the epoch */

#endif
