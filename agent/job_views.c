/* SPDX-License-Identifier: Apache-2.0 */
/* The table of jobs as others see it: jobs of the host (Host.getJobs) and storage tasks (Task.*, Host.getAllTasks*). */
#include "agent/jobs-priv.h"

#include <string.h>
#include "common/error.h"
#include "common/lock.h"
#include "proto/storage.h"

static bool listed(const GPtrArray *ids, const char *id)
{
	for (guint i = 0; i < ids->len; i++)
		if (!strcmp(ids->pdata[i], id))
			return true;
	return false;
}

/* id -> view of the job, for all that match. */
static json_t *viewed(struct jobs *jobs, bool (*match)(const struct job *job, const void *data), const void *data, json_t *(*view)(const struct job *job))
{
	json_t *map = json_object();
	GHashTableIter iter;
	gpointer value;

	AUTO_LOCK(&jobs->lock);
	jobs_forget_old(jobs);
	g_hash_table_iter_init(&iter, jobs->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct job *job = value;

		if (!match || match(job, data))
			json_object_set_new(map, job->id, view(job));
	}
	return map;
}

struct listing { const char *type; const GPtrArray *ids; };

static bool is_asked_for(const struct job *job, const void *data)
{
	const struct listing *listing = data;

	return (!listing->type || !*listing->type || !strcmp(listing->type, job->type)) &&
	       (!listing->ids || !listing->ids->len || listed(listing->ids, job->id));
}

json_t *jobs_list(struct jobs *jobs, const char *type, GPtrArray *ids)
{
	return viewed(jobs, is_asked_for, &(struct listing){ type, ids }, job_describe);
}

/* A task is finished in every end state; that it failed is in its code and its result: what was begun is undone. */
static struct task_status *task_of(const struct job *job)
{
	static const char *const states[] = { "init", "running", "finished", "finished", "finished" };
	static const char *const results[] = { "", "", "success", "cleanSuccess", "cleanSuccess" };
	struct task_status *status = record_new(&task_status_type);

	set_string(&status->task_id, job->id);
	set_string(&status->state, !job_is_over(job) && atomic_load(&job->canceled) ? "aborting" : states[job->state]);
	set_string(&status->result, results[job->state]);
	SET(status, code, job->error ? job->error->code : 0);
	set_string(&status->message, job->error ? job->error->message : job->state == STATE_DONE ? "1 jobs completed successfully" : "running job 1 of 1");
	return status;
}

static json_t *task_view(const struct job *job)
{
	struct task_status *status = task_of(job);
	json_t *json = record_to_json(status, RECORD_CHANNEL);

	record_unref(status);
	return json;
}

/* The verb is the first word of what the job says of itself. */
static json_t *info_view(const struct job *job)
{
	return json_pack("{s:s, s:s%}", "id", job->id, "verb", job->description, strcspn(job->description, " "));
}

static json_t *details_view(const struct job *job)
{
	struct task_status *status = task_of(job);
	json_t *json = info_view(job);

	json_object_update_new(json, json_pack("{s:s, s:i, s:s, s:s, s:s}", "state", status->state, "code", status->code, "message", status->message,
					       "result", status->result, "tag", job->type));
	record_unref(status);
	return json;
}

json_t *jobs_task_statuses(struct jobs *jobs)
{
	return viewed(jobs, NULL, NULL, task_view);
}

json_t *jobs_task_infos(struct jobs *jobs, bool details)
{
	return viewed(jobs, NULL, NULL, details ? details_view : info_view);
}

/* Lock held. */
static struct job *find_task(struct jobs *jobs, const char *id, GError **error)
{
	struct job *job;

	jobs_forget_old(jobs);
	if (!(job = g_hash_table_lookup(jobs->table, id)))
		error_set(error, ERR_UNKNOWN_TASK, "('%s',)", id);
	return job;
}

/* Lock held. */
static struct job *find_finished_task(struct jobs *jobs, const char *id, GError **error)
{
	struct job *job = find_task(jobs, id, error);

	if (!job || job_is_over(job))
		return job;
	error_set(error, ERR_TASK_NOT_FINISHED, "('%s',)", id);
	return NULL;
}

void *jobs_task_status(struct jobs *jobs, const char *id, GError **error)
{
	const struct job *job;
	AUTO_LOCK(&jobs->lock);

	job = find_task(jobs, id, error);
	return job ? task_of(job) : NULL;
}

json_t *jobs_task_info(struct jobs *jobs, const char *id, GError **error)
{
	const struct job *job;
	AUTO_LOCK(&jobs->lock);

	job = find_task(jobs, id, error);
	return job ? info_view(job) : NULL;
}

bool jobs_stop(struct jobs *jobs, const char *id, GError **error)
{
	struct job *job;
	bool good;

	{
		AUTO_LOCK(&jobs->lock);
		if (!(job = find_task(jobs, id, error)))
			return false;
		if (job_is_over(job))
			return true;
		job_ref(job);
	}
	good = job_ask_to_end(job, error);
	job_unref(job);
	return good;
}

bool jobs_revert(struct jobs *jobs, const char *id, GError **error)
{
	const struct job *job;
	AUTO_LOCK(&jobs->lock);

	if (!(job = find_finished_task(jobs, id, error)))
		return false;
	if (job->state != STATE_DONE)
		return true;
	error_set(error, ERR_TASK_STATE_ERROR, "task '%s' (%s) is done and is not undone afterwards", id, job->description);
	return false;
}

bool jobs_clear(struct jobs *jobs, const char *id, GError **error)
{
	struct job *job;
	AUTO_LOCK(&jobs->lock);

	if (!(job = find_finished_task(jobs, id, error)))
		return false;
	if (job->kind)
		job_remove_file(job);
	g_hash_table_remove(jobs->table, id);
	return true;
}
