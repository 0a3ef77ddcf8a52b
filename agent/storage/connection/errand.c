/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/connection/errand.h"
#include <pthread.h>
#include <time.h>
#include "common/lock.h"
#include "common/loop.h"

struct errand {
	int refs;                        /* atomic: one of who waits, one of the lane */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over;
	void (*run)(void *data);
	void *data;
	GDestroyNotify free_data;
};

static void unref(void *data)
{
	struct errand *errand = data;

	if (__atomic_sub_fetch(&errand->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	errand->free_data(errand->data);
	pthread_cond_destroy(&errand->changed);
	pthread_mutex_destroy(&errand->lock);
	g_free(errand);
}

static void run(void *data)
{
	struct errand *errand = data;

	errand->run(errand->data);
	AUTO_LOCK(&errand->lock);
	errand->over = true;
	pthread_cond_broadcast(&errand->changed);
}

struct errand *errand_begin(struct lane_pool *lanes, const char *lane, const char *name, void (*work)(void *data), void *data, GDestroyNotify free_data,
			    GError **error)
{
	struct errand *errand = g_new0(struct errand, 1);
	pthread_condattr_t attributes;

	errand->refs = 2;
	errand->run = work;
	errand->data = data;
	errand->free_data = free_data;
	pthread_mutex_init(&errand->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&errand->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (lane_submit(lanes, lane, &(struct lane_job){ .name = name, .run = run, .data = errand, .free_data = unref }, error))
		return errand;
	errand->refs = 1;
	unref(errand);
	return NULL;
}

bool errand_wait(struct errand *errand, int64_t until_usec)
{
	struct timespec until = { .tv_sec = until_usec / G_USEC_PER_SEC, .tv_nsec = until_usec % G_USEC_PER_SEC * 1000 };
	AUTO_LOCK(&errand->lock);

	while (!errand->over)
		if (pthread_cond_timedwait(&errand->changed, &errand->lock, &until) != 0)
			break;
	return errand->over;
}

struct errand *errand_done(struct errand *errand)
{
	if (errand)
		unref(errand);
	return NULL;
}
