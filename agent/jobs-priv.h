/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_JOBS_PRIV_H
#define BERTH_AGENT_JOBS_PRIV_H
/* What jobs.c (the table and its work) and job_views.c (what others see of it) share. */
#include <pthread.h>
#include <stdatomic.h>
#include "agent/jobs.h"

enum job_state { STATE_PENDING, STATE_RUNNING, STATE_DONE, STATE_FAILED, STATE_ABORTED };

struct registered { const struct job_kind *kind; void *context; };

struct jobs {
	pthread_mutex_t lock;
	GHashTable *table;            /* id -> struct job */
	struct loop *loop;
	struct lane_pool *lanes;
	struct events *events;
	char *directory;              /* NULL: no jobs of a kind */
	GArray *kinds;                /* struct registered */
	pthread_cond_t over;          /* some job is */
	struct timer *timer;          /* made with the first need; loop's thread only */
};

struct job {
	struct jobs *jobs;
	atomic_int refs;
	char *id, *type, *description;
	enum job_state state;
	int progress;                 /* percent; -1: not told */
	int64_t ended_usec;
	GError *error;
	bool told;                    /* over, and whoever waits was told */
	bool ending;                  /* it is being asked to end: canceled, when that is on disk */
	atomic_bool canceled;
	int cancel_fd;                /* eventfd; -1: nobody asked for it */
	bool (*run)(struct job *job, void *data, GError **error);
	void *data;
	GDestroyNotify free_data;

	/* of a kind */
	const struct job_kind *kind;  /* NULL: plain */
	bool resumed;                 /* read by jobs_resume() */
	void *context;
	char *lane;
	json_t *request;              /* for whoever asks; never changed */
	json_t *memory;               /* its state, run()'s own */
	bool queued, runs, wake;      /* wake: somebody called while it ran */
	bool held;                    /* of an earlier agent: jobs_resume() lets it run */
	int64_t wake_at_usec;         /* 0: nobody asked */
};

/* Lock held, all of these. */
bool job_is_over(const struct job *job);
json_t *job_describe(const struct job *job);      /* as in Host.getJobs; new reference */
void job_remove_file(struct job *job);
void jobs_forget_old(struct jobs *jobs);

struct job *job_ref(struct job *job);
void job_unref(void *job);
/* Cancels it and wakes it; true when that is on disk. Without the lock, with a reference. Blocking. */
bool job_ask_to_end(struct job *job, GError **error);

#endif
