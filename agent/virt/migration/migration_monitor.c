/* SPDX-License-Identifier: Apache-2.0 */
/* A migration that runs: its numbers from libvirt, what its convergence schedule wants, and how it will go on. */
#define LOG_MODULE "migration"
#include <libvirt/virterror.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/virt/migration/convergence.h"
#include "agent/virt/migration/dirty_rate.h"
#include "agent/virt/migration/migration.h"
#include "common/lock.h"
#include "common/log.h"

#define FORECAST_BANDWIDTH (1000 * 1000 * 1000 / 8)     /* nothing is known: a network of 1 Gbit/s */

/* ---- numbers ---- */

struct numbers { bool out; int64_t total, processed, remaining, data_total, data_remaining, bandwidth, dirty_rate, iteration; };

static int64_t number(virTypedParameterPtr params, int n, const char *name)
{
	unsigned long long value = 0;

	return virTypedParamsGetULLong(params, n, name, &value) == 1 ? (int64_t)MIN(value, G_MAXINT64) : 0;
}

static bool read_numbers(virDomainPtr domain, struct numbers *ret_numbers)
{
	virTypedParameterPtr params = NULL;
	int type = 0, n = 0, operation = 0;
	struct numbers numbers;

	if (virDomainGetJobStats(domain, &type, &params, &n, 0) < 0)
		return false;
	(void)virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
	numbers = (struct numbers){
		.out = type != VIR_DOMAIN_JOB_NONE && operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT,
		.total = number(params, n, VIR_DOMAIN_JOB_MEMORY_TOTAL), .processed = number(params, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED),
		.remaining = number(params, n, VIR_DOMAIN_JOB_MEMORY_REMAINING), .data_total = number(params, n, VIR_DOMAIN_JOB_DATA_TOTAL),
		.data_remaining = number(params, n, VIR_DOMAIN_JOB_DATA_REMAINING), .bandwidth = number(params, n, VIR_DOMAIN_JOB_MEMORY_BPS),
		.dirty_rate = number(params, n, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) * number(params, n, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE),
		.iteration = number(params, n, VIR_DOMAIN_JOB_MEMORY_ITERATION),
	};
	virTypedParamsFree(params, n);
	*ret_numbers = numbers;
	return true;
}

/* Lock held. It never goes back: what a guest writes again is sent again. */
static void locked_take(struct vms *vms, struct migration *m, const struct numbers *numbers)
{
	int percent = MAX(convergence_percent(numbers->data_remaining, numbers->data_total), m->progress);
	bool told = percent != m->progress;

	m->total = numbers->total;
	m->processed = numbers->processed;
	m->remaining = numbers->remaining;
	m->bandwidth = numbers->bandwidth;
	m->dirty_rate = numbers->dirty_rate;
	m->iteration = numbers->iteration;
	m->progress = percent;
	if (told)
		migration_publish(vms, m);
}

/* ---- the schedule ---- */

static void set_max_downtime(struct vms *vms, struct migration *m, int ms)
{
	AUTO_LOCK(&vms->lock);
	m->max_downtime = ms;
}

static bool act(struct vms *vms, struct migration *m, virDomainPtr domain, const struct migration_action *action, int64_t iterations)
{
	int downtime = convergence_downtime(action), r;

	log_info("VM %s: its migration does not end, %" G_GINT64_FORMAT " iterations: %s %d", m->vm_id, iterations, action->name, downtime);
	if (downtime) {
		r = virDomainMigrateSetMaxDowntime(domain, (unsigned long long)downtime, 0);
		if (r == 0)
			set_max_downtime(vms, m, downtime);
	} else if (!strcmp(action->name, "postcopy")) {
		r = virDomainMigrateStartPostCopy(domain, 0);
	} else {
		{
			AUTO_LOCK(&vms->lock);
			m->given_up = true;
		}
		r = virDomainAbortJob(domain);
	}
	/* As in vdsm, one that cannot be done is passed over: the next one comes. */
	if (r < 0)
		log_warn("VM %s: %s: %s", m->vm_id, action->name, virGetLastErrorMessage());
	return r == 0;
}

bool migration_start_actions(struct vms *vms, struct migration *m, virDomainPtr domain, GError **error)
{
	for (guint i = 0; m->schedule->init && i < m->schedule->init->len; i++) {
		int downtime = convergence_downtime(m->schedule->init->pdata[i]);

		if (virDomainMigrateSetMaxDowntime(domain, (unsigned long long)downtime, 0) < 0) {
			libvirt_error_set(error, ERR_MIGRATION_ERROR, "downtime of %d ms", downtime);
			return false;
		}
		set_max_downtime(vms, m, downtime);
	}
	return true;
}

/* Where it is in the schedule is in the journal, so that the next agent does not begin anew. Done first and noted then: done twice does no harm. */
static void follow(struct vms *vms, struct migration *m, struct job *job, json_t *state, virDomainPtr domain, int64_t iteration)
{
	json_t *looked = json_object_get(state, "looked"), *first = json_object_get(state, "first");
	unsigned done = (unsigned)json_integer_value(json_object_get(state, "done"));
	const struct migration_action *action;
	g_autoptr(GError) error = NULL;

	if (!looked || wall_msec() - json_integer_value(looked) < vms->migrations->settings.look_usec / 1000) {
		if (!looked)
			json_object_set_new(state, "looked", json_integer(wall_msec()));
		return;
	}
	json_object_set_new(state, "looked", json_integer(wall_msec()));
	if (!first) {
		/* not 1: iterations of an earlier migration that was canceled may be counted */
		json_object_set_new(state, "first", json_integer(iteration));
		json_object_set_new(state, "last", json_integer(iteration));
		return;
	}
	if (iteration <= json_integer_value(json_object_get(state, "last")))
		return;
	json_object_set_new(state, "last", json_integer(iteration));
	iteration -= json_integer_value(first);
	action = convergence_due(m->schedule, done, iteration);
	if (!action)
		return;
	(void)act(vms, m, domain, action, iteration);
	json_object_set_new(state, "done", json_integer((json_int_t)done + 1));
	if (!job_step(job, state, "run", &error))
		log_warn("%s", error->message);
}

/* ---- a look ---- */

/* Why it is paused; -1: it is not. */
static int paused_by(virDomainPtr domain)
{
	int state = 0, reason = 0;

	return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED ? reason : -1;
}

/* The VM runs there from here on; for whoever looks at it here it is paused. */
static void went_over(struct vms *vms, struct migration *m)
{
	AUTO_VM vm = migration_vm(vms, m);

	log_info("VM %s runs on %s, the rest of its memory follows", m->vm_id, m->dst);
	{
		AUTO_LOCK(&vms->lock);
		m->postcopy = true;
		if (vm)
			vm->pause_code = "POSTCOPY";
		migration_publish(vms, m);
	}
	if (vm)
		vm_set_status(vm, VM_WIRE_PAUSED);
}

bool migration_look(struct vms *vms, struct migration *m, struct job *job, json_t *state, virDomainPtr domain)
{
	struct numbers numbers;
	bool canceled;
	int paused;

	if (!read_numbers(domain, &numbers) || !numbers.out)
		return false;
	paused = paused_by(domain);
	{
		AUTO_LOCK(&vms->lock);
		locked_take(vms, m, &numbers);
		canceled = m->canceled;
	}
	if (paused == VIR_DOMAIN_PAUSED_POSTCOPY && !m->postcopy)
		went_over(vms, m);
	else if (canceled)
		(void)virDomainAbortJob(domain);        /* it began after it was canceled */
	else if (!m->postcopy)
		follow(vms, m, job, state, domain, numbers.iteration);
	return true;
}

/* ---- what is told ---- */

static struct migration_forecast *forecast_of(const struct convergence *now, int64_t elapsed_ms)
{
	struct migration_forecast *forecast;
	struct convergence_end end;

	if (!convergence_forecast(now, &end))
		return NULL;
	forecast = record_new(&migration_forecast_type);
	SET(forecast, converges, end.converges);
	if (end.converges) {
		SET(forecast, total_time, elapsed_ms + end.time_ms);
		SET(forecast, remaining_time, end.time_ms);
	}
	SET(forecast, downtime, end.downtime_ms);
	SET(forecast, memory, now->memory);
	SET(forecast, dirty_rate, now->dirty);
	SET(forecast, bandwidth, now->bandwidth);
	return forecast;
}

struct migration_stats *migration_locked_stats(const struct migration *m)
{
	static const char *const phases[] = { "queued", "preparing", "running", "finishing", "over" };
	struct migration_stats *stats = record_new(&migration_stats_type);
	int64_t elapsed;

	stats->status = record_new(&migration_code_type);
	SET(stats->status, code, m ? m->code : 0);
	set_string(&stats->status->message, m ? m->message : "No migration");
	SET(stats, progress, m ? m->progress : 0);
	if (!m)
		return stats;
	elapsed = (m->ended_msec ? m->ended_msec : wall_msec()) - m->begun_msec;
	if (m->downtime >= 0)
		SET(stats, downtime, m->downtime);
	set_string(&stats->phase, phases[m->phase]);
	set_string(&stats->dst, m->dst);
	set_string(&stats->migration_id, m->job);
	SET(stats, postcopy, m->postcopy);
	SET(stats, elapsed, elapsed);
	SET(stats, max_bandwidth, m->max_bandwidth);
	if (m->max_downtime)
		SET(stats, max_downtime, m->max_downtime);
	if (!m->total)
		return stats;
	SET(stats, memory_total, m->total);
	SET(stats, memory_processed, m->processed);
	SET(stats, memory_remaining, m->remaining);
	SET(stats, bandwidth, m->bandwidth);
	SET(stats, dirty_rate, m->dirty_rate);
	SET(stats, iteration, m->iteration);
	if (m->phase == PHASE_RUNNING)
		stats->forecast = forecast_of(&(struct convergence){ m->remaining, m->postcopy ? 0 : m->dirty_rate, m->bandwidth, m->max_downtime }, elapsed);
	return stats;
}

/* ---- before it begins: VM.migrationForecast ---- */

/* Bytes a second, as VM.startDirtyRate measured it last. */
static bool read_dirty_rate(virDomainPtr domain, const char *vm_id, int64_t *ret_rate, GError **error)
{
	struct dirty_rate *rate = dirty_rate_read(domain, vm_id, error);
	bool measured = rate && HAS(rate, rate);

	if (measured)
		*ret_rate = rate->rate * 1024 * 1024;
	else if (rate)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "what VM %s writes was not measured yet (%s): VM.startDirtyRate", vm_id, rate->status);
	record_unref(rate);
	return measured;
}

static int64_t assumed_bandwidth(struct vms *vms, const struct forecast_params *p)
{
	int mib = HAS(p, max_bandwidth) ? p->max_bandwidth : vms->migrations->settings.bandwidth;

	AUTO_LOCK(&vms->lock);
	return mib ? (int64_t)mib * 1024 * 1024 : vms->migrations->reached ? vms->migrations->reached : FORECAST_BANDWIDTH;
}

bool migration_forecast_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct forecast_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm ? vm_domain(vm, error) : NULL;
	struct convergence now = { .downtime_ms = HAS(p, downtime) ? p->downtime : agent->vms->migrations->settings.downtime_ms };
	struct migration_forecast *forecast;

	if (!domain || !read_dirty_rate(domain, vm->id, &now.dirty, error))
		return false;
	now.bandwidth = assumed_bandwidth(agent->vms, p);
	{
		AUTO_LOCK(&agent->vms->lock);
		now.memory = vm->info ? vm->info->memory_kib * 1024 : 0;
	}
	forecast = forecast_of(&now, 0);
	result_record(ret_result, forecast);
	record_unref(forecast);
	return true;
}
