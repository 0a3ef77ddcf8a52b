/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs about jobs and tasks. */
#include "agent/agent.h"
#include "agent/jobs.h"
#include "proto/host.h"
#include "proto/storage.h"

static bool get_jobs(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_jobs_params *p = params;

	result_json(ret_result, jobs_list(agent->jobs, p->job_type, p->job_ids));
	return true;
}

static bool cancel(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct job_id_params *p = params;

	return jobs_cancel(agent->jobs, p->job_id, error);
}

static bool get_all_tasks_statuses(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	result_json(ret_result, jobs_task_statuses(agent->jobs));
	return true;
}

static bool get_all_tasks_info(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	result_json(ret_result, jobs_task_infos(agent->jobs, /* details= */ false));
	return true;
}

static bool get_all_tasks(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	result_json(ret_result, jobs_task_infos(agent->jobs, /* details= */ true));
	return true;
}

static bool get_info(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct task_id_params *p = params;
	json_t *info = jobs_task_info(agent->jobs, p->task_id, error);

	if (info)
		result_json(ret_result, info);
	return info;
}

static bool get_status(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct task_id_params *p = params;
	struct task_status *status = jobs_task_status(agent->jobs, p->task_id, error);

	if (!status)
		return false;
	result_record(ret_result, status);
	record_unref(status);
	return true;
}

static bool stop(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct task_id_params *p = params;

	return jobs_stop(agent->jobs, p->task_id, error);
}

static bool revert(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct task_id_params *p = params;

	return jobs_revert(agent->jobs, p->task_id, error);
}

static bool clear(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct task_id_params *p = params;

	return jobs_clear(agent->jobs, p->task_id, error);
}

const struct verb_binding job_bindings[] = {
	{ "Host.getJobs", get_jobs },
	{ "Host.cancelJob", cancel },
	{ "Host.getAllTasksStatuses", get_all_tasks_statuses },
	{ "Host.getAllTasksInfo", get_all_tasks_info },
	{ "Host.getAllTasks", get_all_tasks },
	{ "Task.getInfo", get_info },
	{ "Task.getStatus", get_status },
	{ "Task.stop", stop },
	{ "Task.revert", revert },
	{ "Task.clear", clear },
};
const size_t n_job_bindings = G_N_ELEMENTS(job_bindings);
