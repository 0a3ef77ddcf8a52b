/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_JOBS_H
#define BERTH_AGENT_JOBS_H
/*
 * Long work: a job has an id (given by the caller or made), a type, progress and a result that is kept until it is collected (Task.clear) or
 * for JOBS_KEEP_USEC after its end. Storage tasks (Task.*, Host.getAllTasksStatuses) and host jobs (Host.getJobs) are two views of the same table.
 * Each change of state is the event |jobs|status|<id>. Thread-safe.
 *
 * Two sorts. A *plain* job is one function that runs to its end and dies with the process. A job of a *kind* survives it: what it is to do and how far it
 * came (its state) is in a file of state_dir/jobs, written before the caller is told that it has begun and at every job_step(). Theory of operation: jobs.c.
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
/* state_dir: for jobs of a kind; NULL: there are none (tests). loop: as events'. */
struct jobs *jobs_new(struct loop *loop, struct lane_pool *lanes, struct events *events, const char *state_dir, GError **error);
struct jobs *jobs_free(struct jobs *jobs);

/* ---- plain jobs ---- */

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

/* ---- jobs of a kind ---- */

enum job_run { JOB_FAILED, JOB_DONE, JOB_WAITS };

/*
 * run() is called when the job begins, whenever it is woken, and once after each start of the agent (jobs_resume()): always on the job's lane, never
 * twice at a time. It looks at the step in its state and at what is true, does what is next and returns JOB_DONE, JOB_FAILED + error (everything
 * undone), or JOB_WAITS: then somebody calls jobs_wake() (an event came) or it asked for job_wake_after(). It must cope with being called at any time, and
 * with a step that was begun, done, or not, before the agent died. What it keeps between two calls is in the state and nowhere else.
 */
struct job_kind {
	const char *name;                 /* in the file: "snapshot" */
	const char *type;                 /* of Host.getJobs: "virt", "storage" */
	enum job_run (*run)(struct job *job, json_t *state, void *context, GError **error);
	/*
	 * May it be asked to end now? NULL: always. From the moment it says yes, jobs_requests() without `ending` does not have it any more, so nobody can come in
	 * between. The jobs' lock is held: it must not call them.
	 */
	bool (*may_end)(const json_t *request, void *context, GError **error);
};
/* At start, before jobs_load(). kind must stay; context is handed to run(). */
void jobs_register(struct jobs *jobs, const struct job_kind *kind, void *context);

struct job_order {
	const char *id;                   /* NULL: a new uuid */
	const struct job_kind *kind;
	const char *description, *lane;
	json_t *request;                  /* what is asked for (borrowed): the state begins with it, as its member "request" */
};
/*
 * Starts it; true when it is on disk. The same id, kind and request again: true, nothing is started (the caller did not hear the first answer). The
 * id for anything else: ERR_JOB_EXISTS. Blocking (disk).
 */
bool jobs_begin(struct jobs *jobs, const struct job_order *order, char **ret_id, GError **error);
/* At start, when all kinds are registered: the journaled jobs of earlier agents are known. None runs, whoever wakes it. Loop thread. */
void jobs_load(struct jobs *jobs);
/* Those that are not over run again. Once, when what they need is there (VMs recovered, and marked with what their jobs do). Loop thread. */
void jobs_resume(struct jobs *jobs);
/* It has a reason to look again. Any thread; an id that is not there or over: nothing. */
void jobs_wake(struct jobs *jobs, const char *id);
/* All whose request has member = value ("vmID", id): something happened to it. */
void jobs_wake_about(struct jobs *jobs, const char *member, const char *value);
/* All of a type that wait: libvirt is back. */
void jobs_wake_type(struct jobs *jobs, const char *type);
/*
 * Asks it to end: job_canceled() becomes true, also for the next agent, and it is woken. ERR_NO_SUCH_JOB, ERR_JOB_NOT_ACTIVE; may_end()'s; the disk's.
 * Blocking (disk).
 */
bool jobs_cancel(struct jobs *jobs, const char *id, GError **error);
bool jobs_has(struct jobs *jobs, const char *id);             /* also one that is over; jobs_begin() then says whether it is the same */
/* Waits on this worker until it is over: true, or its error. ERR_NO_SUCH_JOB; ERR_TIMEOUT at until_usec (now_usec() clock), when it goes on. */
bool jobs_wait(struct jobs *jobs, const char *id, int64_t until_usec, GError **error);
/* The ids of jobs of a kind that are not over and whose request has member = value ("vmID", id); GPtrArray of char *, g_ptr_array_unref. */
GPtrArray *jobs_active(struct jobs *jobs, const struct job_kind *kind, const char *member, const char *value);
/* What was asked of those that are not over; ending: also of those that were asked to end. GPtrArray of json_t *, g_ptr_array_unref. */
GPtrArray *jobs_requests(struct jobs *jobs, const struct job_kind *kind, bool ending);

/* ---- from inside run() ---- */

const char *job_id(const struct job *job);
void job_progress(struct job *job, int percent);
bool job_canceled(struct job *job);
bool job_is_resumed(const struct job *job);       /* it began under an agent that has ended since */
int job_cancel_fd(struct job *job);               /* can be read from the moment it is canceled on: for a poll(). The job's own; -1: none to be had */
/*
 * State "step" becomes step, the whole state goes to disk, and the fault points "<kind>: <step>" (before the write) and "<kind>: <step> written" are
 * passed. Call it before a step's first effect. false + error: the disk did not take it, the step must not begin.
 */
bool job_step(struct job *job, json_t *state, const char *step, GError **error);
/* run() is called again after this time at the latest; holds for the JOB_WAITS that follows. */
void job_wake_after(struct job *job, int64_t delay_usec);

/* ---- what others see ---- */

json_t *jobs_list(struct jobs *jobs, const char *type, GPtrArray *ids);       /* Host.getJobs form */
json_t *jobs_task_statuses(struct jobs *jobs);                                /* Host.getAllTasksStatuses form */
void *jobs_task_status(struct jobs *jobs, const char *id, GError **error);    /* struct task_status; ERR_UNKNOWN_TASK */
/* {id, verb}, of one: ERR_UNKNOWN_TASK, and of all by their ids; details: {id, verb, state, code, message, result, tag} */
json_t *jobs_task_info(struct jobs *jobs, const char *id, GError **error);
json_t *jobs_task_infos(struct jobs *jobs, bool details);
/* Asks it to end and to undo what it began; one that is over is left as it is. ERR_UNKNOWN_TASK */
bool jobs_stop(struct jobs *jobs, const char *id, GError **error);
/* What it did is undone. A job that failed or was stopped has done so itself; one that is done cannot: ERR_TASK_STATE_ERROR. ERR_TASK_NOT_FINISHED. */
bool jobs_revert(struct jobs *jobs, const char *id, GError **error);
bool jobs_clear(struct jobs *jobs, const char *id, GError **error);           /* ERR_UNKNOWN_TASK, ERR_TASK_NOT_FINISHED */

#endif
