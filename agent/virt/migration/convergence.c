/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/migration/convergence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/error.h"

#define DEFAULT_STEPS 5                 /* vdsm's migration_downtime_steps */
#define DEFAULT_LAST_LIMIT 42           /* iterations before vdsm gives up */
#define ITERATIONS_MAX 1000

/* ---- schedules ---- */

static struct migration_action *action_new(const char *name, int downtime_ms)
{
	struct migration_action *action = record_new(&migration_action_type);

	set_string(&action->name, name);
	action->params = json_array();
	if (downtime_ms)
		json_array_append_new(action->params, json_integer(downtime_ms));
	return action;
}

static void add_step(struct migration_schedule *schedule, int limit, struct migration_action *action)
{
	struct migration_stall *step = list_add(&schedule->stalling, &migration_stall_type);

	SET(step, limit, limit);
	step->action = action;
}

/* From a fifth of the downtime to the whole, in steps that grow by the same factor. */
static int step_downtime(int downtime_ms, int i)
{
	double first = (double)downtime_ms / DEFAULT_STEPS, factor = pow(downtime_ms - first, 1.0 / (DEFAULT_STEPS - 1));

	return MAX((int)(first + pow(factor, i)), 1);
}

struct migration_schedule *convergence_default(int downtime_ms)
{
	struct migration_schedule *schedule = record_new(&migration_schedule_type);

	schedule->init = list_new();
	g_ptr_array_add(schedule->init, action_new("setDowntime", step_downtime(downtime_ms, 0)));
	for (int i = 1; i < DEFAULT_STEPS; i++)
		add_step(schedule, i, action_new("setDowntime", step_downtime(downtime_ms, i)));
	add_step(schedule, DEFAULT_LAST_LIMIT, action_new("setDowntime", downtime_ms));
	add_step(schedule, -1, action_new("abort", 0));
	return schedule;
}

int convergence_downtime(const struct migration_action *action)
{
	const json_t *first = json_array_get(action->params, 0);
	gint64 ms = json_integer_value(first);

	if (strcmp(action->name, "setDowntime"))
		return 0;
	if (json_is_string(first) && !g_ascii_string_to_signed(json_string_value(first), 10, 0, G_MAXINT, &ms, NULL))
		return 0;
	return (int)CLAMP(ms, 0, G_MAXINT);
}

static bool check_action(const struct migration_action *action, const char *list, guint i, GError **error)
{
	if (strcmp(action->name, "setDowntime") || convergence_downtime(action) > 0)
		return true;
	error_set(error, ERR_INVALID_PARAMETER, "convergenceSchedule/%s[%u]: setDowntime needs its milliseconds as the first of params", list, i);
	return false;
}

bool convergence_check(const struct migration_schedule *schedule, GError **error)
{
	for (guint i = 0; schedule && schedule->init && i < schedule->init->len; i++) {
		const struct migration_action *action = schedule->init->pdata[i];

		if (strcmp(action->name, "setDowntime")) {
			error_set(error, ERR_INVALID_PARAMETER, "convergenceSchedule/init[%u]: '%s' cannot be done before the migration runs", i, action->name);
			return false;
		}
		if (!check_action(action, "init", i, error))
			return false;
	}
	for (guint i = 0; schedule && schedule->stalling && i < schedule->stalling->len; i++)
		if (!check_action(((struct migration_stall *)schedule->stalling->pdata[i])->action, "stalling", i, error))
			return false;
	return true;
}

bool convergence_wants_postcopy(const struct migration_schedule *schedule)
{
	for (guint i = 0; schedule && schedule->stalling && i < schedule->stalling->len; i++)
		if (!strcmp(((struct migration_stall *)schedule->stalling->pdata[i])->action->name, "postcopy"))
			return true;
	return false;
}

const struct migration_action *convergence_due(const struct migration_schedule *schedule, unsigned done, int64_t iterations)
{
	const struct migration_stall *step;

	if (!schedule || !schedule->stalling || done >= schedule->stalling->len)
		return NULL;
	step = schedule->stalling->pdata[done];
	return step->limit < iterations ? step->action : NULL;
}

/* ---- forecast ---- */

bool convergence_forecast(const struct convergence *now, struct convergence_end *ret_end)
{
	double left = (double)now->memory, speed = (double)now->bandwidth, seconds = 0;
	double in_downtime = speed * now->downtime_ms / 1000;
	struct convergence_end end = { 0 };

	if (now->bandwidth <= 0)
		return false;
	for (int i = 0; i < ITERATIONS_MAX && left > in_downtime; i++) {
		double takes = left / speed, written = (double)now->dirty * takes;

		if (written >= left)
			break;
		seconds += takes;
		left = written;
	}
	end.converges = left <= in_downtime;
	end.downtime_ms = (int64_t)(left / speed * 1000);
	end.time_ms = end.converges ? (int64_t)(seconds * 1000) + end.downtime_ms : 0;
	*ret_end = end;
	return true;
}

int convergence_percent(int64_t remaining, int64_t total)
{
	if (total <= 0)
		return 0;
	return remaining <= 0 ? 100 : (int)MIN(100 - 100 * remaining / total, 99);
}
