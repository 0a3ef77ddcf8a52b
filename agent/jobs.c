/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: one table, two views (agent/jobs.h).
 *
 * States: pending (queued on its lane) -> running -> done | failed | aborted. A job is in the table from its start until it is cleared,
 * or until JOBS_KEEP_USEC after its end; old ones go whenever the table is used, so no timer is needed. At most JOBS_MAX are kept: starting
 * one more fails rather than forgetting a result that nobody has seen.
 *
 * The table holds one reference of a job, the lane's queue another. A job's state is changed under the table's lock; its work runs
 * without it. A job that the pool drops at the end of the process never runs and stays pending, which nobody can see any more.
 */
#include "agent/jobs.h"

#include <stdatomic.h>
#include <string.h>
#include "agent/agent.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/refs.h"
#include "proto/host.h"
#include "proto/storage.h"
#include "proto/vm.h"

#define LOG_MODULE "jobs"
#define JOBS_MAX 10000

enum job_state { JOB_PENDING, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_ABORTED };
static const char *const state_names[] = { "pending", "running", "done", "failed", "aborted" };

struct jobs {
	pthread_mutex_t lock;
	GHashTable *table;            /* id -> struct job */
	struct lane_pool *lanes;
	struct events *events;
};

struct job {
	struct jobs *jobs;
	atomic_int refs;
	char *id, *type, *description;
	enum job_state state;
	int progress;                 /* percent; -1: not told */
	int64_t ended_usec;
	GError *error;
	atomic_bool canceled;
	bool (*run)(struct job *job, void *data, GError **error);
	void *data;
	GDestroyNotify free_data;
};

static void job_unref(void *data)
{
	struct job *job = data;

	if (atomic_fetch_sub(&job->refs, 1) > 1)
		return;
	if (job->free_data)
		job->free_data(job->data);
	g_clear_error(&job->error);
	g_free(job->id);
	g_free(job->type);
	g_free(job->description);
	counted_free(job);
}

struct jobs *jobs_new(struct lane_pool *lanes, struct events *events)
{
	struct jobs *jobs = g_new0(struct jobs, 1);

	pthread_mutex_init(&jobs->lock, NULL);
	jobs->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, job_unref);
	jobs->lanes = lanes;
	jobs->events = events;
	return jobs;
}

struct jobs *jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return NULL;
	g_hash_table_destroy(jobs->table);
	pthread_mutex_destroy(&jobs->lock);
	g_free(jobs);
	return NULL;
}

static bool is_over(const struct job *job)
{
	return job->state >= JOB_DONE;
}

static gboolean is_old(gpointer id, gpointer value, gpointer now)
{
	const struct job *job = value;

	return is_over(job) && *(int64_t *)now - job->ended_usec > JOBS_KEEP_USEC;
}

/* Lock held. */
static void forget_old(struct jobs *jobs)
{
	int64_t now = now_usec();

	g_hash_table_foreach_remove(jobs->table, is_old, &now);
}

/* Lock held. */
static json_t *describe(const struct job *job)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "id", job->id, "status", state_names[job->state], "description", job->description,
				 "job_type", job->type);

	if (job->progress >= 0)
		json_object_set_new(json, "progress", json_integer(job->progress));
	if (job->error)
		json_object_set_new(json, "error", json_pack("{s:i, s:s}", "code", job->error->code, "message", job->error->message));
	return json;
}

static void publish(struct job *job)
{
	g_autofree char *method = g_strconcat(EVENT_JOB_STATUS, job->id, NULL);
	json_t *json;

	{
		AUTO_LOCK(&job->jobs->lock);
		json = describe(job);
	}
	events_publish(job->jobs->events, method, json);
}

static void set_state(struct job *job, enum job_state state, GError *error)
{
	{
		AUTO_LOCK(&job->jobs->lock);
		job->state = state;
		job->error = error;
		if (is_over(job)) {
			job->ended_usec = now_usec();
			if (state == JOB_DONE && job->progress >= 0)
				job->progress = 100;
		}
	}
	publish(job);
}

static void job_main(void *data)
{
	struct job *job = data;
	GError *error = NULL;
	int64_t begun = now_usec();

	set_state(job, JOB_RUNNING, NULL);
	if (job->run(job, job->data, &error)) {
		log_info("job %s (%s) is done after %.2f s", job->id, job->description, (double)(now_usec() - begun) / 1e6);
		set_state(job, JOB_DONE, NULL);
		return;
	}
	if (!error)
		error_set(&error, ERR_UNEXPECTED_ERROR, "job %s failed and did not say why", job->id);
	log_error("job %s (%s) failed after %.2f s: %s", job->id, job->description, (double)(now_usec() - begun) / 1e6, error->message);
	set_state(job, job_canceled(job) ? JOB_ABORTED : JOB_FAILED, error);
}

bool jobs_start(struct jobs *jobs, const struct job_work *work, char **ret_id, GError **error)
{
	struct job *job = g_new0(struct job, 1);
	struct lane_job lane_job = { .name = work->description, .run = job_main, .data = job, .free_data = job_unref };

	job->jobs = jobs;
	job->refs = 3;                /* table, lane, this function */
	job->id = work->id ? g_strdup(work->id) : g_uuid_string_random();
	job->type = g_strdup(work->type);
	job->description = g_strdup(work->description);
	job->progress = -1;
	job->run = work->run;
	job->data = work->data;
	{
		AUTO_LOCK(&jobs->lock);
		forget_old(jobs);
		if (g_hash_table_contains(jobs->table, job->id))
			error_set(error, ERR_JOB_EXISTS, "{'job_id': '%s'}", job->id);
		else if (g_hash_table_size(jobs->table) >= JOBS_MAX)
			error_set(error, ERR_RESOURCE_EXHAUSTED, "%d jobs are kept already; clear finished ones", JOBS_MAX);
		else {
			g_hash_table_insert(jobs->table, job->id, job);
			goto queue;
		}
	}
	job->refs = 1;
	job_unref(job);
	return false;
queue:
	if (!lane_submit(jobs->lanes, work->lane, &lane_job, error)) {
		{
			AUTO_LOCK(&jobs->lock);
			g_hash_table_remove(jobs->table, job->id);
		}
		job_unref(job);
		job_unref(job);
		return false;
	}
	/* From here on the data are the job's: a caller whose start failed still owns them. */
	{
		AUTO_LOCK(&jobs->lock);
		job->free_data = work->free_data;
	}
	if (ret_id)
		*ret_id = g_strdup(job->id);
	job_unref(job);
	return true;
}

void job_progress(struct job *job, int percent)
{
	{
		AUTO_LOCK(&job->jobs->lock);
		percent = CLAMP(percent, 0, 100);
		if (job->progress == percent)
			return;
		job->progress = percent;
	}
	publish(job);
}

bool job_canceled(struct job *job)
{
	return atomic_load(&job->canceled);
}

static bool listed(const GPtrArray *ids, const char *id)
{
	for (guint i = 0; i < ids->len; i++)
		if (!strcmp(ids->pdata[i], id))
			return true;
	return false;
}

json_t *jobs_list(struct jobs *jobs, const char *type, GPtrArray *ids)
{
	json_t *map = json_object();
	GHashTableIter iter;
	gpointer value;

	AUTO_LOCK(&jobs->lock);
	forget_old(jobs);
	g_hash_table_iter_init(&iter, jobs->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct job *job = value;

		if ((type && *type && strcmp(type, job->type)) || (ids && ids->len && !listed(ids, job->id)))
			continue;
		json_object_set_new(map, job->id, describe(job));
	}
	return map;
}

/* A task is finished in every end state; that it failed is in its code and its result: what was begun is undone. */
static struct task_status *task_of(const struct job *job)
{
	static const char *const states[] = { "init", "running", "finished", "finished", "finished" };
	static const char *const results[] = { "", "", "success", "cleanSuccess", "cleanSuccess" };
	struct task_status *status = record_new(&task_status_type);

	set_string(&status->task_id, job->id);
	set_string(&status->state, states[job->state]);
	set_string(&status->result, results[job->state]);
	SET(status, code, job->error ? job->error->code : 0);
	set_string(&status->message, job->error ? job->error->message : job->state == JOB_DONE ? "1 jobs completed successfully" : "running job 1 of 1");
	return status;
}

json_t *jobs_task_statuses(struct jobs *jobs)
{
	json_t *map = json_object();
	GHashTableIter iter;
	gpointer value;

	AUTO_LOCK(&jobs->lock);
	forget_old(jobs);
	g_hash_table_iter_init(&iter, jobs->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct job *job = value;
		struct task_status *status = task_of(job);

		json_object_set_new(map, job->id, record_to_json(status, RECORD_CHANNEL));
		record_unref(status);
	}
	return map;
}

void *jobs_task_status(struct jobs *jobs, const char *id, GError **error)
{
	const struct job *job;

	AUTO_LOCK(&jobs->lock);
	forget_old(jobs);
	job = g_hash_table_lookup(jobs->table, id);
	if (!job) {
		error_set(error, ERR_UNKNOWN_TASK, "('%s',)", id);
		return NULL;
	}
	return task_of(job);
}

bool jobs_clear(struct jobs *jobs, const char *id, GError **error)
{
	struct job *job;

	AUTO_LOCK(&jobs->lock);
	forget_old(jobs);
	job = g_hash_table_lookup(jobs->table, id);
	if (!job) {
		error_set(error, ERR_UNKNOWN_TASK, "('%s',)", id);
		return false;
	}
	if (!is_over(job)) {
		error_set(error, ERR_TASK_NOT_FINISHED, "('%s',)", id);
		return false;
	}
	g_hash_table_remove(jobs->table, id);
	return true;
}
