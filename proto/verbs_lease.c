/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about leases. */
#include "proto/lease.h"
#include "proto/verb.h"

#define LEASE_READ(verb, parameters, ...) \
	{ .name = "Lease." verb, .params = &(parameters), .lane = VERB_DOMAIN, .lane_key = "lease/sd_id", ##__VA_ARGS__ }
#define LEASE_ROW(verb, parameters, ...) LEASE_READ(verb, parameters, .changes = true, ##__VA_ARGS__)

const struct verb lease_verbs[] = {
	LEASE_ROW("create", lease_create_params_type, .kind = RESULT_JSON, .doc = "Makes a lease in a domain, for a job if metadata are given (task); one that is "
		  "there, for the same job, stays as it is. Needs the manager of the pool", .returns = "task id", .errors = "358 369 397 654 751"),
	LEASE_ROW("delete", lease_id_params_type, .kind = RESULT_JSON, .doc = "Removes a lease that nobody holds (task). Needs the manager of the pool",
		  .returns = "task id", .errors = "358 369 651 654 936"),
	LEASE_READ("info", lease_id_params_type, .kind = RESULT_RECORD, .result = &lease_info_type, .doc = "Where a lease is",
		   .returns = "{sd_id, lease_id, path, offset}; bytes", .errors = "358 369 936"),
	LEASE_READ("status", lease_id_params_type, .kind = RESULT_RECORD, .result = &lease_status_type, .doc = "Who holds a lease, and which job it guards",
		   .returns = "{owners: [host ids], version, metadata}", .errors = "358 369 704 751 936"),
	LEASE_ROW("fence", lease_fence_params_type, .doc = "The job that a lease guards, of this generation and still pending, shall not run any more: its status "
		  "becomes FENCED and its generation the next. Not while a host runs it, which then holds the lease", .returns = "true",
		  .errors = "75 358 369 651 703 751 911 912 936"),
	{ .name = "Lease.rebuild_leases", .params = &lease_rebuild_params_type, .kind = RESULT_JSON, .lane = VERB_DOMAIN, .lane_key = "sd_id", .changes = true,
	  .doc = "Makes the index of leases anew from the leases that are there (task). Needs the manager of the pool", .returns = "task id",
	  .errors = "358 369 654" },
};
const size_t n_lease_verbs = G_N_ELEMENTS(lease_verbs);
