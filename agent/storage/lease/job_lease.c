/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases that guard jobs, as vdsm's engine uses them (CopyDataCommand, ExternalLeasePoller of oVirt's engine): a job that writes where no volume's generation
 * can tell whether it is done, a copy to a volume of another provider, say. With the lease is noted (lock.h), as JSON:
 *
 *	{"type": "JOB", "generation": 0, "job_id": "...", "job_status": "PENDING", "created": ..., "modified": ...}
 *
 *	Lease.create         PENDING, 0
 *	job begins           takes the lease; goes on only if the metadata say PENDING and the generation it was asked for
 *	job ends             SUCCEEDED or FAILED and the next generation, written when the lease is given back: one block
 *	host lost            the lease is free when the host is dead for sure (lock.c), or at once when only its agent was killed, which goes on when it is back
 *	Lease.fence          takes the lease: the job does not run; PENDING of that generation becomes FENCED and the next: it never will
 *
 * So of several hosts that run the job, and others that fence it, exactly one ends it, and everybody reads how (Lease.status): the one that comes later finds
 * another generation. What is read without holding the lease is what stood there when it was given back last: first who holds it, then the metadata.
 *
 * Killed: the note is written by sanlock, before it frees the lease, or not at all; in a directory of this host by the agent, under a lock of the kernel that
 * ends with it.
 */
#include "agent/storage/lease/job_lease.h"
#include <string.h>
#include <time.h>
#include "agent/storage/data/data.h"
#include "agent/storage/lease/xlease.h"

char *job_lease_note(const struct lease_metadata *guarded, GError **error)
{
	json_t *json = record_to_json(guarded, RECORD_CHANNEL);
	char *text = json_dumps(json, JSON_COMPACT), *note = g_strdup(text);

	json_decref(json);
	free(text);
	if (strlen(note) <= LOCK_NOTE_MAX)
		return note;
	error_set(error, ERR_METADATA_OVERFLOW_ERROR, "metadata: %zu bytes, at most %d can be kept", strlen(note), LOCK_NOTE_MAX);
	g_free(note);
	return NULL;
}

struct lease_metadata *job_lease_read(const struct domain *domain, const struct lease *lease, GError **error)
{
	g_autofree char *note = lock_read_note(domain, lease, error);
	struct lease_metadata *guarded = NULL;
	g_autoptr(GError) problem = NULL;
	json_t *json;

	if (!note || !*note)
		return NULL;
	if ((json = json_parse(note, strlen(note), &problem)))
		guarded = record_from_json(&lease_metadata_type, json, &(struct record_input){ .dialect = RECORD_CHANNEL }, &problem);
	json_decref(json);
	if (guarded && record_check_required(guarded, "lease", NULL, &problem)) {
		record_defaults(guarded, 0);
		return guarded;
	}
	record_unref(guarded);
	error_set(error, ERR_INVALID_METADATA, "lease '%s' of domain '%s': %s", lease->name, domain->id, problem->message);
	return NULL;
}

static void forget(struct job_lease *held)
{
	g_free((char *)held->lease.path);
	g_free((char *)held->lease.name);
	record_unref(held->metadata);
	domain_free(held->domain);
	*held = (struct job_lease)JOB_LEASE_NONE;
}

static bool find(struct storage *storage, const char *domain, const char *lease, struct job_lease *held, GError **error)
{
	if (!(held->domain = domain_open_active(storage, domain, error)) || !xlease_find(held->domain, lease, &held->lease, error))
		return false;
	held->lease.name = g_strdup(lease);
	return true;
}

static bool read_held(struct job_lease *held, GError **error)
{
	g_autoptr(GError) problem = NULL;

	held->metadata = job_lease_read(held->domain, &held->lease, &problem);
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	else if (!held->metadata)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "lease '%s' of domain '%s' guards no job: it has no metadata", held->lease.name, held->domain->id);
	return held->metadata != NULL;
}

bool job_lease_take(struct storage *storage, const char *domain, const char *lease, const char *job, struct job_lease *ret_held, GError **error)
{
	struct job_lease held = JOB_LEASE_NONE;

	if (find(storage, domain, lease, &held, error) && lock_acquire_noted(storage->locks, held.domain, &held.lease, job, error)) {
		if (read_held(&held, error)) {
			*ret_held = held;
			return true;
		}
		(void)lock_release(storage->locks, domain, &held.lease, NULL);
	}
	forget(&held);
	return false;
}

bool job_lease_check(const struct job_lease *held, int generation, GError **error)
{
	const struct lease_metadata *now = held->metadata;

	if (generation >= 0 && generation != now->generation)
		error_set(error, ERR_GENERATION_MISMATCH, "lease '%s': generation %d is wanted, it has %d, %s", held->lease.name, generation, now->generation,
			  now->job_status);
	else if (strcmp(now->job_status, "PENDING"))
		error_set(error, ERR_JOB_STATUS_MISMATCH, "lease '%s': job '%s' of generation %d is %s, not PENDING", held->lease.name, now->job_id,
			  now->generation, now->job_status);
	else
		return true;
	return false;
}

bool job_lease_give(struct storage *storage, struct job_lease *held, const char *status, GError **error)
{
	g_autofree char *note = NULL;
	bool good;

	if (status) {
		set_string(&held->metadata->job_status, status);
		SET(held->metadata, generation, data_next_generation(held->metadata->generation));
		SET(held->metadata, modified, (int64_t)time(NULL));
		note = job_lease_note(held->metadata, error);
	}
	if (note)
		good = lock_release_noted(storage->locks, held->domain, &held->lease, note, error);
	else
		good = lock_release(storage->locks, held->domain->id, &held->lease, status ? NULL : error) && !status;
	forget(held);
	return good;
}
