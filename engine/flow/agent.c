/* SPDX-License-Identifier: Apache-2.0 */
/* See agent.h. Limits: a task or job is asked for after 20 ms, 40 ms, ... and then every second. */
#include "engine/flow/agent.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/fleet/fleet.h"
#include "proto/host.h"
#include "proto/storage.h"

#define LOG_MODULE "flow"
#define PAUSE_FIRST_USEC (20 * 1000)
#define PAUSE_MOST_USEC G_USEC_PER_SEC
#define CANCEL_MAX_S 600

bool agent_is_away(const GError *error)
{
	return error_is(error, ERR_NO_CONNECTION) || error_is(error, ERR_RECOVERY_IN_PROGRESS);
}

/* Is a host that is away waited for any longer? end_usec: as far as the call's own patience goes. */
static bool is_waited_for(struct engine *engine, const char *host_id, int64_t end_usec, const GError *error)
{
	enum fleet_reach reach = fleet_reach(engine->fleet, host_id);
	/* The engine, or the agent, has just started, and what they know of each other is still to come. */
	bool is_new = error_is(error, ERR_RECOVERY_IN_PROGRESS) || reach == REACH_NEW;

	if (is_new)
		end_usec = MAX(end_usec, engine->started_usec + AGENT_PATIENCE_START_S * (int64_t)G_USEC_PER_SEC);
	return reach != REACH_SILENT && now_usec() < end_usec;
}

bool agent_call_timed(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *flow_id, int timeout_s, int patience_s,
		      json_t **ret_result, GError **error)
{
	int64_t end = now_usec() + patience_s * (int64_t)G_USEC_PER_SEC, pause = PAUSE_FIRST_USEC;

	while (true) {
		GError *own = NULL;

		if (fleet_call(engine->fleet, host_id, verb, params, flow_id, timeout_s, ret_result, &own))
			return true;
		if (!agent_is_away(own) || patience_s == AGENT_PATIENCE_NONE || !is_waited_for(engine, host_id, end, own)) {
			g_propagate_error(error, own);
			return false;
		}
		g_error_free(own);
		lane_pause(pause);
		pause = MIN(pause * 2, PAUSE_MOST_USEC);
	}
}

bool agent_call(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *flow_id, int patience_s, json_t **ret_result,
		GError **error)
{
	return agent_call_timed(engine, host_id, verb, params, flow_id, AGENT_TIMEOUT_S, patience_s, ret_result, error);
}

/* ---- tasks ---- */

/* The answer of Task.getStatus. true: it is over; error: how. */
static bool is_over(const json_t *answer, const char *verb, GError **error)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct task_status *status = record_from_json(&task_status_type, answer, &input, error);
	bool over = true;

	record_input_clear(&input);
	if (!status) {
		error_wrap(error, "%s: state of its task", verb);
		return true;
	}
	if (g_strcmp0(status->state, "finished"))
		over = false;
	else if (status->code)
		error_set_literal(error, status->code, status->message ? status->message : error_info(status->code)->text);
	else if (g_strcmp0(status->result, "success"))
		error_set(error, ERR_TASK_ABORTED, "%s", verb);
	record_unref(status);
	return over;
}

static void clear(struct engine *engine, const char *host_id, const struct task_id_params *task, const char *flow_id)
{
	g_autoptr(GError) error = NULL;

	if (!fleet_call(engine->fleet, host_id, "Task.clear", task, flow_id, AGENT_TIMEOUT_S, NULL, &error))
		log_debug("task %s: not cleared: %s, ignoring", task->task_id, error->message);
}

static bool wait_for(struct engine *engine, const char *host_id, const char *verb, const struct task_id_params *task, const char *flow_id, int max_s,
		     bool *ret_lost, GError **error)
{
	int64_t end = now_usec() + max_s * (int64_t)G_USEC_PER_SEC, pause = PAUSE_FIRST_USEC;

	while (true) {
		json_t *answer = NULL;
		GError *own = NULL;
		bool over;

		lane_pause(pause);
		pause = MIN(pause * 2, PAUSE_MOST_USEC);
		if (!agent_call(engine, host_id, "Task.getStatus", task, flow_id, AGENT_TIMEOUT_S, &answer, &own)) {
			*ret_lost = error_is(own, ERR_UNKNOWN_TASK);
			g_propagate_error(error, own);
			return false;
		}
		over = is_over(answer, verb, &own);
		json_decref(answer);
		if (over) {
			clear(engine, host_id, task, flow_id);
			if (own)
				g_propagate_error(error, own);
			return !own;
		}
		if (now_usec() >= end) {
			error_set(error, ERR_TIMEOUT, "%s is not done after %d s", verb, max_s);
			return false;
		}
	}
}

bool agent_task(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *flow_id, int patience_s, int max_s,
		bool *ret_lost, GError **error)
{
	struct task_id_params *task;
	json_t *answer = NULL;
	bool ok, lost = false;

	if (ret_lost)
		*ret_lost = false;
	if (!agent_call(engine, host_id, verb, params, flow_id, patience_s, &answer, error))
		return false;
	if (!json_is_string(answer)) {
		error_set(error, ERR_JSONRPC_INTERNAL, "%s: the agent did not name a task", verb);
		json_decref(answer);
		return false;
	}
	task = record_new(&task_id_params_type);
	set_string(&task->task_id, json_string_value(answer));
	json_decref(answer);
	ok = wait_for(engine, host_id, verb, task, flow_id, max_s, &lost, error);
	record_unref(task);
	if (ret_lost)
		*ret_lost = lost;
	return ok;
}

/* ---- jobs ---- */

/* What the agent says of the job; JSON null: it knows none. New reference; NULL + error */
static json_t *job_of(struct engine *engine, const char *host_id, const char *job_id, const char *flow_id, int patience_s, GError **error)
{
	struct host_jobs_params *params = record_new(&host_jobs_params_type);
	json_t *answer = NULL, *job = NULL;

	params->job_ids = strings_new();
	g_ptr_array_add(params->job_ids, g_strdup(job_id));
	if (agent_call(engine, host_id, "Host.getJobs", params, flow_id, patience_s, &answer, error)) {
		job = json_object_get(answer, job_id);
		job = job ? json_incref(job) : json_null();
	}
	json_decref(answer);
	record_unref(params);
	return job;
}

static bool job_is_over(const json_t *job)
{
	const char *status = json_string_value(json_object_get(job, "status"));

	return g_strcmp0(status, "running") && g_strcmp0(status, "pending");
}

static bool job_outcome(const json_t *job, const char *verb, GError **error)
{
	const json_t *own = json_object_get(job, "error");
	const char *message = json_string_value(json_object_get(own, "message"));
	int code = (int)json_integer_value(json_object_get(own, "code"));

	if (!g_strcmp0(json_string_value(json_object_get(job, "status")), "done"))
		return true;
	if (code)
		error_set_literal(error, code, message ? message : error_info(code)->text);
	else
		error_set(error, ERR_TASK_ABORTED, "%s", verb);
	return false;
}

/* Waits until it is over: its last state; JSON null: it is not there any more. */
static json_t *job_wait(struct engine *engine, const char *host_id, const char *verb, const char *job_id, const char *flow_id, int max_s, GError **error)
{
	int64_t end = now_usec() + max_s * (int64_t)G_USEC_PER_SEC, pause = PAUSE_FIRST_USEC;

	while (true) {
		json_t *job = job_of(engine, host_id, job_id, flow_id, AGENT_TIMEOUT_S, error);

		if (!job || json_is_null(job) || job_is_over(job))
			return job;
		json_decref(job);
		if (now_usec() >= end) {
			error_set(error, ERR_TIMEOUT, "%s is not done after %d s", verb, max_s);
			return NULL;
		}
		lane_pause(pause);
		pause = MIN(pause * 2, PAUSE_MOST_USEC);
	}
}

/* The id is ours: a job that has it already was begun by this call, before the agent was restarted and could answer. */
static bool begin_job(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *flow_id, int patience_s, GError **error)
{
	GError *own = NULL;

	if (agent_call(engine, host_id, verb, params, flow_id, patience_s, NULL, &own))
		return true;
	if (error_is(own, ERR_JOB_EXISTS)) {
		g_error_free(own);
		return true;
	}
	g_propagate_error(error, own);
	return false;
}

bool agent_job(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *job_id, const char *flow_id, int patience_s,
	       int max_s, bool *ret_lost, GError **error)
{
	json_t *job = job_of(engine, host_id, job_id, flow_id, patience_s, error);
	bool ok = job != NULL;

	*ret_lost = false;
	if (ok && json_is_null(job))
		ok = begin_job(engine, host_id, verb, params, flow_id, patience_s, error);
	json_decref(job);
	job = ok ? job_wait(engine, host_id, verb, job_id, flow_id, max_s, error) : NULL;
	if (job && json_is_null(job)) {
		*ret_lost = true;
		error_set(error, ERR_UNKNOWN_TASK, "%s: job '%s' is gone", verb, job_id);
	}
	ok = job && !json_is_null(job) && job_outcome(job, verb, error);
	json_decref(job);
	return ok;
}

bool agent_job_cancel(struct engine *engine, const char *host_id, const char *job_id, const char *flow_id, int patience_s, GError **error)
{
	json_t *job = job_of(engine, host_id, job_id, flow_id, patience_s, error);
	bool ok = job && (json_is_null(job) || job_is_over(job)), known = job != NULL;
	struct job_id_params *params;

	json_decref(job);
	if (!known || ok)
		return ok;
	params = record_new(&job_id_params_type);
	set_string(&params->job_id, job_id);
	/* it may end by itself meanwhile */
	if (!agent_call(engine, host_id, "Host.cancelJob", params, flow_id, patience_s, NULL, NULL))
		log_debug("job %s: not canceled, ignoring", job_id);
	record_unref(params);
	job = job_wait(engine, host_id, "Host.cancelJob", job_id, flow_id, CANCEL_MAX_S, error);
	ok = job != NULL;
	json_decref(job);
	return ok;
}
