/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_JOBS_H
#define BERTH_AGENT_JOBS_H
/*
 * Long work: a job has an id (given by the caller or made), a type, progress and a result that is kept until it is collected (Task.clear) or
 * for JOBS_KEEP_USEC after its end. Storage tasks (Task.*, Host.getAllTasksStatuses) and host jobs (Host.getJobs) are two views of the same table.
 * Each change of state is the event |jobs|status|<id>. Thread-safe.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/events.h"
#include "common/lane.h"

#define JOBS_KEEP_USEC (INT64_C(3600) * G_USEC_PER_SEC)

struct jobs;
struct job;
struct jobs *jobs_new(struct lane_pool *lanes, struct events *events);
struct jobs *jobs_free(struct jobs *jobs);

struct job_work {
	const char *id;                   /* NULL: a new uuid */
	const char *type;                 /* "storage", "virt" */
	const char *description;          /* "Volume.create <volume>" */
	const char *lane;                 /* lane it runs on */
	bool (*run)(struct job *job, void *data, GError **error);     /* on a worker */
	void *data;
	GDestroyNotify free_data;
};
/* Starts it; the id in ret_id (g_free). An id that exists: ERR_JOB_EXISTS. */
bool jobs_start(struct jobs *jobs, const struct job_work *work, char **ret_id, GError **error);
void job_progress(struct job *job, int percent);
bool job_canceled(struct job *job);

json_t *jobs_list(struct jobs *jobs, const char *type, GPtrArray *ids);       /* Host.getJobs form */
json_t *jobs_task_statuses(struct jobs *jobs);                                /* Host.getAllTasksStatuses form */
void *jobs_task_status(struct jobs *jobs, const char *id, GError **error);    /* struct task_status; ERR_UNKNOWN_TASK */
bool jobs_clear(struct jobs *jobs, const char *id, GError **error);           /* ERR_UNKNOWN_TASK, ERR_TASK_NOT_FINISHED */

#endif
