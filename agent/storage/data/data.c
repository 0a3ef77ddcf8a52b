/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that change the data of a volume: copies, merges, resizes. They may take hours, so they do not run on their domain's lane but on one of their
 * image ("image/<domain>/<image>"); claims (claim.c) keep two of them apart, and each change of metadata is one volume_change().
 *
 *	(start) --check--> begun --work--> worked --finish--> over
 *
 *   begun    is written before the first effect. The volume becomes illegal if the kind wants it: whoever looks meanwhile, also from another host, sees that
 *            its data are not to be used. Killed: work is done again, from its beginning; every work can be.
 *   worked   the data are on the storage. finish, then one write of the volume's metadata: legal again, next generation. Killed: repeated; that it was
 *            done is seen by the generation.
 *
 * Data elsewhere have no metadata; there a lease may guard the job, and tells how it ended (lease/job_lease.c). It is given back as the job's last act, with
 * that. A job that goes on after the agent was killed waits for its lease as long as sanlock may need to free it.
 *
 * On block storage the volume's lease is held from begin to end, as vdsm does for its SDM jobs: another host with a job on it, or a VM that has the lease, is
 * refused (ERR_ACQUIRE_LOCK_FAILURE) or refuses this one.
 *
 * The generation is vdsm's: the caller says which one the volume must have, and knows from a changed one that its job, whose answer it may have missed, is
 * done. A job that fails or is canceled leaves the generation, and an illegal volume illegal: its data are not what anybody wanted.
 */
#define LOG_MODULE "storage"
#include "agent/storage/data/data.h"
#include <string.h>
#include "agent/storage/form/block.h"
#include "agent/storage/lease/job_lease.h"
#include "common/log.h"

int data_next_generation(int generation)
{
	return generation >= VOLUME_GENERATION_MAX ? 0 : generation + 1;
}

struct qemu_img_work data_work(const struct data_run *run, int from, int to)
{
	return (struct qemu_img_work){ .job = run->job, .from = from, .to = to };
}

void data_target_image(struct data_run *run, bool write)
{
	const struct volume_call *params = run->params;

	run->claims[run->n_claims++] = (struct claim){ params->domain_id, params->image_id, write };
	run->domain_id = params->domain_id;
	run->image = params->image_id;
}

void data_target_volume(struct data_run *run)
{
	data_target_image(run, /* write= */ true);
	run->volume = ((const struct volume_call *)run->params)->volume_id;
}

static bool load(struct data_run *run, GError **error)
{
	if (run->values)
		g_hash_table_unref(run->values);
	return (run->values = volume_read(run->domain, run->image, run->volume, error)) != NULL;
}

/* The volume is what the caller thinks it is. */
static bool check_generation(struct data_run *run, GError **error)
{
	int64_t actual = metadata_get_int(run->values, "GEN", 0);

	json_object_set_new(run->state, "generation", json_integer(actual));
	if (run->generation < 0 || run->generation == actual)
		return true;
	error_set(error, ERR_GENERATION_MISMATCH, "volume '%s': generation %d is wanted, it has %" PRId64, run->volume, run->generation, actual);
	return false;
}

static bool begin(const struct data_kind *kind, struct data_run *run, GError **error)
{
	if (job_canceled(run->job)) {
		error_set(error, ERR_TASK_ABORTED, "job '%s' was canceled before it began", job_id(run->job));
		return false;
	}
	return (!run->volume || check_generation(run, error)) && (!kind->check || kind->check(run, error)) && job_step(run->job, run->state, "begun", error);
}

static bool work(const struct data_kind *kind, struct data_run *run, GError **error)
{
	if (run->volume && kind->illegal && !volume_change(run->domain, run->image, run->volume, error, "LEGALITY", "ILLEGAL", NULL))
		return false;
	return kind->work(run, error) && job_step(run->job, run->state, "worked", error);
}

static bool finish(const struct data_kind *kind, struct data_run *run, GError **error)
{
	int generation = (int)json_integer_value(json_object_get(run->state, "generation")), next = data_next_generation(generation);
	g_autofree char *text = g_strdup_printf("%d", next);

	if (kind->finish && !kind->finish(run, error))
		return false;
	if (!run->volume || kind->quiet)
		return true;
	if (!load(run, error))
		return false;
	if (metadata_get_int(run->values, "GEN", 0) == next)
		return true;                    /* before the agent was killed */
	return kind->illegal ? volume_change(run->domain, run->image, run->volume, error, "LEGALITY", "LEGAL", "GEN", text, NULL)
			     : volume_change(run->domain, run->image, run->volume, error, "GEN", text, NULL);
}

/* Its lease; on block storage that is in a pool a job has it from its begin to its end. Path: g_free; NULL: it is to have none, or error */
static bool find_lease(const struct data_run *run, struct lease *ret_lease, GError **error)
{
	*ret_lease = (struct lease){ .name = run->volume };
	return !run->volume || !run->domain->block || !domain_pool(run->domain)[0] ||
	       (ret_lease->path = volume_lease(run->domain, run->image, run->volume, &ret_lease->offset, error)) != NULL;
}

static bool go_on(const struct data_kind *kind, struct data_run *run, GError **error)
{
	const char *step = json_string_value(json_object_get(run->state, "step"));

	if (run->volume && !load(run, error))
		return false;
	run->again = step != NULL;
	if (!step && !begin(kind, run, error))
		return false;
	if ((!step || !strcmp(step, "begun")) && !work(kind, run, error))
		return false;
	return finish(kind, run, error);
}

static bool is_step(const struct data_run *run, const char *step)
{
	return !g_strcmp0(json_string_value(json_object_get(run->state, "step")), step);
}

/* Succeeded, before the agent was killed: the lease tells what became of the generation that the job began with. */
static bool was_told(const struct data_run *run, const struct job_lease *held)
{
	const json_t *began = json_object_get(run->state, "lease_generation");

	return is_step(run, "worked") && !strcmp(held->metadata->job_status, "SUCCEEDED") &&
	       held->metadata->generation == data_next_generation((int)json_integer_value(began));
}

/* Under the lease. A job that failed before its first effect leaves it pending: it may be tried again. */
static bool go_guarded(const struct data_kind *kind, struct data_run *run, GError **error)
{
	const struct endpoint *guarded = run->guarded;
	g_autoptr(GError) problem = NULL;
	struct job_lease held;
	bool good;

	if (!job_lease_take(run->storage, guarded->lease_domain_id, guarded->lease_id, job_id(run->job), &held, error))
		return false;
	if (was_told(run, &held))
		return job_lease_give(run->storage, &held, /* status= */ NULL, error);
	if (!job_lease_check(&held, HAS(guarded, generation) ? guarded->generation : -1, error)) {
		(void)job_lease_give(run->storage, &held, /* status= */ NULL, NULL);
		return false;
	}
	json_object_set_new(run->state, "lease_generation", json_integer(held.metadata->generation));
	good = go_on(kind, run, error);
	if (good)
		return job_lease_give(run->storage, &held, "SUCCEEDED", error);
	if (!job_lease_give(run->storage, &held, json_object_get(run->state, "step") ? "FAILED" : NULL, &problem))
		log_warn("the end of job %s: %s, ignoring", job_id(run->job), problem->message);
	return false;
}

static bool go(const struct data_kind *kind, struct data_run *run, GError **error)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *path = NULL;
	struct lease lease;
	bool good;

	if (run->guarded)
		return go_guarded(kind, run, error);
	if (!run->domain_id)
		return go_on(kind, run, error);
	if (!(run->domain = domain_open_active(run->storage, run->domain_id, error)) || (kind->find && !kind->find(run, error)) ||
	    !find_lease(run, &lease, error))
		return false;
	path = (char *)lease.path;
	if (path && !lock_acquire(run->storage->locks, run->domain, &lease, NULL, error))
		return false;
	good = go_on(kind, run, error);
	if (path && !lock_release(run->storage->locks, run->domain_id, &lease, &problem))
		log_warn("%s, ignoring", problem->message);
	return good;
}

/* Its lease will be free soon: the host takes its number again, or sanlock does not know yet that the process is dead that began the job. */
static bool lease_comes(const struct data_run *run)
{
	const char *domain = run->guarded ? run->guarded->lease_domain_id : run->domain_id;

	if (!domain || job_canceled(run->job))
		return false;
	return health_joins(run->storage, domain) ||
	       (job_is_resumed(run->job) && now_usec() - run->storage->agent->started_usec < lock_join_usec(LOCK_IO_TIMEOUT_S));
}

enum job_run data_run(const struct data_kind *kind, struct job *job, json_t *state, void *storage, GError **error)
{
	struct data_run run = { .storage = storage, .job = job, .state = state, .generation = -1 };
	void *params = record_from_json(kind->params, json_object_get(state, "request"), &(struct record_input){ .dialect = RECORD_CHANNEL }, error);
	g_autoptr(GError) problem = NULL;
	bool good, waits;

	if (!params)
		return JOB_FAILED;
	record_defaults(params, 0);
	run.params = params;
	kind->target(&run);
	if (!claim_take(run.storage, run.claims, run.n_claims, NULL)) {
		record_unref(params);
		if (!job_canceled(job))
			return JOB_WAITS;       /* claim_drop() wakes it */
		error_set(error, ERR_TASK_ABORTED, "job '%s' was canceled before it began", job_id(job));
		return JOB_FAILED;
	}
	good = go(kind, &run, &problem);
	waits = error_is(problem, ERR_ACQUIRE_LOCK_FAILURE) && lease_comes(&run);
	domain_free(run.domain);
	if (run.values)
		g_hash_table_unref(run.values);
	claim_drop(run.storage, run.claims, run.n_claims);
	record_unref(params);
	if (waits) {
		job_wake_after(job, HEALTH_JOIN_USEC);
		return JOB_WAITS;
	}
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	return good ? JOB_DONE : JOB_FAILED;
}

bool data_begin(struct agent *agent, const struct data_kind *kind, const void *params, const char *verb, const char *id, char **ret_id, GError **error)
{
	struct data_run run = { .storage = agent->storage, .params = params };
	json_t *request = record_to_json(params, RECORD_CHANNEL);
	g_autofree char *lane = NULL;
	g_autofree char *description = NULL;
	bool good;

	kind->target(&run);
	lane = g_strdup_printf("image/%s/%s", run.claims[0].domain, run.claims[0].image);
	description = g_strdup_printf("%s %s", verb, run.volume ? run.volume : run.claims[0].image);
	good = jobs_begin(agent->jobs, &(struct job_order){ .id = id, .kind = &kind->kind, .description = description, .lane = lane, .request = request }, ret_id,
			  error);
	json_decref(request);
	return good;
}

bool data_task(struct agent *agent, const struct data_kind *kind, const void *params, const char *verb, const char *id, GString *ret_result, GError **error)
{
	struct data_run run = { .params = params };
	g_autofree char *given = NULL;

	kind->target(&run);
	for (size_t i = 0; i < run.n_claims; i++)
		if (run.claims[i].write && !block_check_manager(agent->storage, run.claims[i].domain, error))
			return false;
	if (!data_begin(agent, kind, params, verb, id, &given, error))
		return false;
	result_json(ret_result, json_string(given));
	return true;
}

bool data_own_job(struct agent *agent, const struct data_kind *kind, const void *params, const char *verb, GString *ret_result, GError **error)
{
	g_autofree char *id = NULL;

	if (!data_begin(agent, kind, params, verb, ((const struct volume_call *)params)->job_id, &id, error))
		return false;
	result_json(ret_result, json_string(id));
	return true;
}
