/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes and their threads.
 *
 * A lane is in one of three places: nowhere (it has no jobs and does not exist), in the pool's ready list (it has jobs, none runs), or
 * with a worker (its first job runs). So the jobs of a lane cannot overlap, and lanes take turns: a lane that has more to do goes to the
 * end of the ready list. Jobs without a lane get one each, which nobody else can find. A lane made ready wakes the worker that went idle last, or
 * makes a new one; therefore few threads stay warm under a light load and the rest reach their idle limit and end.
 *
 * A job is freed by the last of those who hold it: its lane until run() returned, and lane_pool_check() around expired(). The list of
 * deadlines holds only jobs that have not finished and were not told yet, which is what makes expired() come at most once.
 *
 * Workers are detached and hold a reference to the pool: one that hangs for ever outlives lane_pool_free() without harm; it ends when
 * its job returns. One mutex guards everything; no callback runs under it.
 */
#define LOG_MODULE "lane"
#include "common/lane.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"

/* Address space, not memory: only touched pages count. libvirt and name look-ups want some. */
#define STACK_BYTES (512 * 1024)

struct job {
	struct lane_job call;
	struct lane *lane;
	struct job *next;                    /* in the lane */
	GList deadline;                      /* link in pool->deadlines while told is false and there is a deadline */
	int64_t submitted_usec;
	unsigned holders;
	bool running, waits;                 /* waits: linked in pool->deadlines */
	char name[];
};

struct lane {
	char *name;                          /* NULL: of one job without a lane */
	struct job *first, **last;
	unsigned queued;                     /* not counting the one that runs */
	GList link;                          /* in pool->lanes */
	struct lane *next_ready;
};

/* Lives as long as its pool, for the thread of another worker later: so it can be signalled without the lock. */
struct worker {
	pthread_cond_t wake;
	bool woken;
	struct worker *next;
};

struct lane_pool {
	pthread_mutex_t lock;
	pthread_cond_t idle;                 /* a thread ended; lane_pool_free() waits for it */
	pthread_condattr_t monotonic;
	GHashTable *by_name;
	GQueue lanes;                        /* all, for the list */
	GQueue deadlines;
	struct lane *first_ready, **last_ready;
	struct worker *workers;              /* idle ones, last come first */
	struct worker *spare;                /* without a thread */
	unsigned n_threads, n_waiting, max_threads, unordered, holders;       /* at most max_threads of those that do not wait */
	bool stopping;
};

/* The worker that this thread is. */
static _Thread_local struct lane_pool *own_pool;
static _Thread_local bool own_wait;     /* counted in n_waiting */

struct lane_pool *lane_pool_new(unsigned max_threads)
{
	struct lane_pool *pool = g_new0(struct lane_pool, 1);

	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&pool->monotonic);
	pthread_condattr_setclock(&pool->monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->idle, &pool->monotonic);
	pool->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	g_queue_init(&pool->lanes);
	g_queue_init(&pool->deadlines);
	pool->last_ready = &pool->first_ready;
	pool->max_threads = MAX(max_threads, 1);
	pool->holders = 1;
	return pool;
}

/* Drops the lock, which the caller holds; the pool may be gone afterwards. */
static void pool_release(struct lane_pool *pool)
{
	bool last = --pool->holders == 0;

	pthread_mutex_unlock(&pool->lock);
	if (!last)
		return;
	for (struct worker *worker = pool->spare, *next; worker; worker = next) {
		next = worker->next;
		pthread_cond_destroy(&worker->wake);
		g_free(worker);
	}
	g_hash_table_unref(pool->by_name);
	pthread_cond_destroy(&pool->idle);
	pthread_condattr_destroy(&pool->monotonic);
	pthread_mutex_destroy(&pool->lock);
	g_free(pool);
}

/* Waits on cond with the lock held; false when until_usec has passed. */
static bool wait_until(struct lane_pool *pool, pthread_cond_t *cond, int64_t until_usec)
{
	struct timespec until = { .tv_sec = until_usec / G_USEC_PER_SEC, .tv_nsec = until_usec % G_USEC_PER_SEC * 1000 };

	return pthread_cond_timedwait(cond, &pool->lock, &until) != ETIMEDOUT;
}

static void forget_deadline(struct lane_pool *pool, struct job *job)
{
	if (job->waits)
		g_queue_unlink(&pool->deadlines, &job->deadline);
	job->waits = false;
}

/* With the lock held; true: the caller frees the job after dropping the lock. */
static bool job_release(struct job *job)
{
	return --job->holders == 0;
}

static void job_free(struct job *job)
{
	if (job->call.free_data)
		job->call.free_data(job->call.data);
	g_free(job);
}

static void lane_free(struct lane_pool *pool, struct lane *lane)
{
	g_queue_unlink(&pool->lanes, &lane->link);
	if (lane->name)
		g_hash_table_remove(pool->by_name, lane->name);
	g_free(lane->name);
	g_free(lane);
}

static struct lane *lane_get(struct lane_pool *pool, const char *name)
{
	struct lane *lane = name ? g_hash_table_lookup(pool->by_name, name) : NULL;

	if (lane)
		return lane;
	lane = g_new0(struct lane, 1);
	lane->name = g_strdup(name);
	lane->last = &lane->first;
	lane->link.data = lane;
	g_queue_push_tail_link(&pool->lanes, &lane->link);
	if (name)
		g_hash_table_insert(pool->by_name, lane->name, lane);
	return lane;
}

static void lane_ready(struct lane_pool *pool, struct lane *lane)
{
	lane->next_ready = NULL;
	*pool->last_ready = lane;
	pool->last_ready = &lane->next_ready;
}

static struct lane *lane_take(struct lane_pool *pool)
{
	struct lane *lane = pool->first_ready;

	if (lane && !(pool->first_ready = lane->next_ready))
		pool->last_ready = &pool->first_ready;
	return lane;
}

/* Runs the first job of a lane; called and left with the lock held. */
static void run_one(struct lane_pool *pool, struct lane *lane)
{
	struct job *job = lane->first;
	bool last;

	job->running = true;
	lane->queued--;
	pool->unordered -= !lane->name;
	pthread_mutex_unlock(&pool->lock);
	job->call.run(job->call.data);
	log_context_clear();
	pthread_mutex_lock(&pool->lock);

	forget_deadline(pool, job);
	lane->first = job->next;
	last = job_release(job);
	if (lane->first)
		lane_ready(pool, lane);
	else
		lane_free(pool, lane);
	if (!last)
		return;
	pthread_mutex_unlock(&pool->lock);
	job_free(job);
	pthread_mutex_lock(&pool->lock);
}

/* Until there is work (true), or the worker has been idle for too long or the pool stops (false). */
static bool wait_for_work(struct lane_pool *pool, struct worker *self)
{
	int64_t until_usec = now_usec() + LANE_IDLE_USEC;

	while (!pool->first_ready) {
		if (pool->stopping)
			return false;
		self->woken = false;
		self->next = pool->workers;
		pool->workers = self;
		while (!self->woken && wait_until(pool, &self->wake, until_usec))
			;
		if (self->woken)
			continue;
		for (struct worker **at = &pool->workers; *at; at = &(*at)->next)
			if (*at == self) {
				*at = self->next;
				break;
			}
		return false;
	}
	return true;
}

static struct worker *worker_get(struct lane_pool *pool)
{
	struct worker *worker = pool->spare;

	if (worker) {
		pool->spare = worker->next;
		return worker;
	}
	worker = g_new0(struct worker, 1);
	pthread_cond_init(&worker->wake, &pool->monotonic);
	return worker;
}

static void *work(void *data)
{
	struct lane_pool *pool = data;
	struct worker *self;

	own_pool = pool;
	pthread_setname_np(pthread_self(), "lane");
	pthread_mutex_lock(&pool->lock);
	self = worker_get(pool);
	/* There may be too many after some waited: the others do the work. */
	while (pool->n_threads - pool->n_waiting <= pool->max_threads && wait_for_work(pool, self))
		run_one(pool, lane_take(pool));
	self->next = pool->spare;
	pool->spare = self;
	pool->n_threads--;
	pthread_cond_broadcast(&pool->idle);
	pool_release(pool);
	return NULL;
}

/* The worker to be signalled, best when the lock is dropped: it would run into it. NULL: none is idle. */
static struct worker *wake(struct lane_pool *pool)
{
	struct worker *worker = pool->workers;

	if (worker) {
		pool->workers = worker->next;
		worker->woken = true;
	}
	return worker;
}

static int start_worker(struct lane_pool *pool)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int result;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	result = pthread_create(&thread, &attributes, work, pool);
	pthread_attr_destroy(&attributes);
	if (result == 0) {
		pool->n_threads++;
		pool->holders++;
	}
	return result;
}

static bool submit(struct lane_pool *pool, const char *lane_name, const struct lane_job *call, struct worker **ret_worker, GError **error)
{
	AUTO_LOCK(&pool->lock);
	struct lane *lane = lane_name ? g_hash_table_lookup(pool->by_name, lane_name) : NULL;
	unsigned queued = lane ? lane->queued : lane_name ? 0 : pool->unordered;
	bool must_run = !lane;
	struct job *job;
	size_t length;
	int result;

	if (pool->stopping) {
		error_set(error, ERR_CANCELED, "%s: the lanes are closed", call->name);
		return false;
	}
	if (queued >= LANE_QUEUE_MAX) {
		error_set(error, ERR_RESOURCE_EXHAUSTED, "%s: %u jobs are queued on lane %s", call->name, queued, lane_name ? lane_name : "(any)");
		return false;
	}
	if (must_run && !pool->workers && pool->n_threads - pool->n_waiting < pool->max_threads) {
		result = start_worker(pool);
		/* With a worker at all the job waits for its turn; without one nobody would ever run it. */
		if (result && !pool->n_threads) {
			error_set_errno(error, ERR_RESOURCE_EXHAUSTED, result, "%s: no thread", call->name);
			return false;
		}
	}

	length = strlen(call->name) + 1;
	job = g_malloc0(sizeof(*job) + length);
	memcpy(job->name, call->name, length);
	job->call = *call;
	job->call.name = job->name;
	job->submitted_usec = now_usec();
	job->holders = 1;
	job->deadline.data = job;
	job->lane = lane ? lane : lane_get(pool, lane_name);
	*job->lane->last = job;
	job->lane->last = &job->next;
	job->lane->queued++;
	pool->unordered += !lane_name;
	if (call->deadline_usec) {
		g_queue_push_tail_link(&pool->deadlines, &job->deadline);
		job->waits = true;
	}
	if (must_run) {
		lane_ready(pool, job->lane);
		*ret_worker = wake(pool);
	}
	return true;
}

bool lane_submit(struct lane_pool *pool, const char *lane_name, const struct lane_job *call, GError **error)
{
	struct worker *worker = NULL;
	bool good = submit(pool, lane_name, call, &worker, error);

	if (worker)
		pthread_cond_signal(&worker->wake);
	return good;
}

void lane_wait_begin(void)
{
	struct lane_pool *pool = own_pool;

	if (!pool)
		return;
	AUTO_LOCK(&pool->lock);

	own_wait = pool->n_waiting < LANE_WAITING_MAX;
	pool->n_waiting += own_wait;
	/* Its place is free for a lane that had none. Without a thread it stays so until one is done. */
	if (own_wait && pool->first_ready && !pool->workers && !pool->stopping)
		(void)start_worker(pool);
}

void lane_wait_end(void)
{
	struct lane_pool *pool = own_pool;

	if (!pool)
		return;
	AUTO_LOCK(&pool->lock);

	pool->n_waiting -= own_wait;
	own_wait = false;
}

void lane_pause(int64_t usec)
{
	lane_wait_begin();
	g_usleep((gulong)usec);
	lane_wait_end();
}

int64_t lane_pool_check(struct lane_pool *pool)
{
	g_autoptr(GPtrArray) told = g_ptr_array_new();
	int64_t now = now_usec(), next = 0;

	{
		AUTO_LOCK(&pool->lock);

		for (GList *link = pool->deadlines.head, *following; link; link = following) {
			struct job *job = link->data;

			following = link->next;
			if (job->call.deadline_usec > now) {
				next = next ? MIN(next, job->call.deadline_usec) : job->call.deadline_usec;
				continue;
			}
			forget_deadline(pool, job);
			job->holders++;
			g_ptr_array_add(told, job);
		}
	}
	for (guint i = 0; i < told->len; i++) {
		struct job *job = told->pdata[i];
		bool last;

		if (job->call.expired)
			job->call.expired(job->call.data);
		pthread_mutex_lock(&pool->lock);
		last = job_release(job);
		pthread_mutex_unlock(&pool->lock);
		if (last)
			job_free(job);
	}
	return next;
}

json_t *lane_pool_list(struct lane_pool *pool)
{
	json_t *list = json_array();
	int64_t now = now_usec();
	AUTO_LOCK(&pool->lock);

	for (GList *link = pool->lanes.head; link; link = link->next) {
		struct lane *lane = link->data;

		for (struct job *job = lane->first; job; job = job->next)
			json_array_append_new(list, json_pack("{s:s?, s:s, s:s, s:f, s:b}", "lane", lane->name, "job", job->name,
							      "state", job->running ? "running" : "queued",
							      "age", (double)(now - job->submitted_usec) / G_USEC_PER_SEC,
							      "overdue", job->call.deadline_usec && now >= job->call.deadline_usec));
	}
	return list;
}

unsigned lane_pool_threads(struct lane_pool *pool)
{
	AUTO_LOCK(&pool->lock);

	return pool->n_threads;
}

/* Takes the jobs that do not run yet off their lane; adds to `dropped` those nobody else holds. The lane is gone when none runs. */
static void lane_drop_queued(struct lane_pool *pool, struct lane *lane, GPtrArray *dropped)
{
	struct job **at = lane->first->running ? &lane->first->next : &lane->first;
	struct job *job;

	while ((job = *at)) {
		*at = job->next;
		lane->queued--;
		pool->unordered -= !lane->name;
		forget_deadline(pool, job);
		if (job_release(job))
			g_ptr_array_add(dropped, job);
	}
	lane->last = at;
	if (!lane->first)
		lane_free(pool, lane);
}

bool lane_pool_close(struct lane_pool *pool, int64_t wait_usec)
{
	g_autoptr(GPtrArray) dropped = g_ptr_array_new();
	int64_t until_usec = now_usec() + wait_usec;
	bool none;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	while (lane_take(pool))
		;
	for (GList *link = pool->lanes.head, *following; link; link = following) {
		following = link->next;
		lane_drop_queued(pool, link->data, dropped);
	}
	while (pool->workers)
		pthread_cond_signal(&wake(pool)->wake);
	pthread_mutex_unlock(&pool->lock);

	for (guint i = 0; i < dropped->len; i++)
		job_free(dropped->pdata[i]);

	pthread_mutex_lock(&pool->lock);
	while (pool->n_threads && wait_until(pool, &pool->idle, until_usec))
		;
	none = !pool->n_threads;
	pthread_mutex_unlock(&pool->lock);
	return none;
}

struct lane_pool *lane_pool_free(struct lane_pool *pool, int64_t wait_usec)
{
	if (!pool)
		return NULL;
	(void)lane_pool_close(pool, wait_usec);
	pthread_mutex_lock(&pool->lock);
	pool_release(pool);
	return NULL;
}
