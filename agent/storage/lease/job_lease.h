/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_LEASE_JOB_LEASE_H
#define BERTH_AGENT_STORAGE_LEASE_JOB_LEASE_H
/* Leases that guard jobs. Theory of operation in job_lease.c. Whoever holds locks may block on storage: lanes only. */
#include "agent/storage/lease/lock.h"
#include "proto/lease.h"

struct job;
struct storage;

/* What is noted with a new lease. g_free; NULL + error: too long */
char *job_lease_note(const struct lease_metadata *guarded, GError **error);
/* The job that the lease guards; NULL without error: none. ERR_INVALID_METADATA. record_unref */
struct lease_metadata *job_lease_read(const struct domain *domain, const struct lease *lease, GError **error);

/* What a job holds while it runs. */
struct job_lease { struct domain *domain; struct lease lease; struct lease_metadata *metadata; };
#define JOB_LEASE_NONE { .domain = NULL }
/*
 * For as long as the job runs: nobody else runs it, nor fences it. Its metadata are read, not judged. job NULL: for a moment. ERR_ACQUIRE_LOCK_FAILURE;
 * ERR_UNSUPPORTED_OPERATION: it guards no job
 */
bool job_lease_take(struct storage *storage, const char *domain, const char *lease, const char *job, struct job_lease *ret_held, GError **error);
/* May a job of this generation (-1: any) run? ERR_GENERATION_MISMATCH, ERR_JOB_STATUS_MISMATCH */
bool job_lease_check(const struct job_lease *held, int generation, GError **error);
/* Gives it back; status: with the next generation and that; NULL: as it was. */
bool job_lease_give(struct storage *storage, struct job_lease *held, const char *status, GError **error);

#endif
