/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_LANE_H
#define BERTH_COMMON_LANE_H
/*
 * Lanes: nothing that can hang may stop anything else.
 *
 * A lane is a named queue whose jobs run one after the other, on some thread of the shared pool. "vm/<id>", "domain/<id>",
 * "network", "host". A pool makes a thread when a lane has work and no thread is idle (up to max_threads) and ends idle ones
 * after LANE_IDLE_USEC, so that a job that hangs costs its own lane and one thread, nothing else; at rest there are no threads.
 *
 * A job that waits for somebody else's answer and not for a processor says so (lane_wait_begin()): its thread does not count meanwhile, so however
 * many hosts are silent, there are threads for what need not ask them.
 *
 * A job has a name and may have a deadline. When the deadline passes, its `expired` function is called once (on the thread that calls
 * lane_pool_check(), i.e. the loop's timer) so that who waits can be told; the job itself keeps its place until it returns.
 * A queue holds at most LANE_QUEUE_MAX jobs: lane_submit() then fails with ERR_RESOURCE_EXHAUSTED.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define LANE_IDLE_USEC (5 * G_USEC_PER_SEC)
#define LANE_QUEUE_MAX 1000
#define LANE_WAITING_MAX 1000       /* threads that do not count */

struct lane_pool;

struct lane_job {
	const char *name;                      /* what it is, for the list of jobs: "VM.create" (copied) */
	int64_t deadline_usec;                 /* absolute, now_usec() clock; 0 = none */
	void (*run)(void *data);               /* on a worker */
	void (*expired)(void *data);           /* may be NULL; see above; run() may be running at the same time */
	void *data;
	GDestroyNotify free_data;              /* after run() returned and expired() cannot come any more; may be NULL */
};

struct lane_pool *lane_pool_new(unsigned max_threads);
/* Drops queued jobs (free_data is called) and waits for running ones, at most wait_usec; false: some still run. Nothing can be submitted any more. */
bool lane_pool_close(struct lane_pool *pool, int64_t wait_usec);
/* The same, and the end of the pool: a job that still runs goes on without it. NULL accepted. Returns NULL. */
struct lane_pool *lane_pool_free(struct lane_pool *pool, int64_t wait_usec);

/* Queues a job on the named lane, which exists as long as it has jobs. Any thread. On failure nothing was taken over
 * (free_data is not called). A lane name of NULL means: no order, any free thread. */
bool lane_submit(struct lane_pool *pool, const char *lane, const struct lane_job *job, GError **error);

/* Around a wait in a job; elsewhere they do nothing. Not nested. */
void lane_wait_begin(void);
void lane_wait_end(void);
/* Such a wait for a time. For what has no event: asking again. */
void lane_pause(int64_t usec);

/* Calls expired() of the jobs whose deadline passed; returns the next deadline, or 0 when none. */
int64_t lane_pool_check(struct lane_pool *pool);

/* [{"lane","job","state":"running"|"queued","age" (s, real),"overdue" bool}]; new reference. */
json_t *lane_pool_list(struct lane_pool *pool);
unsigned lane_pool_threads(struct lane_pool *pool);

#endif
