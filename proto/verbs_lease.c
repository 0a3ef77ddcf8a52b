/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about leases. */
#include "proto/lease.h"
#include "proto/verb.h"

#define LEASE_READ(verb, parameters, ...) \
	{ .name = "Lease." verb, .params = &(parameters), .lane = VERB_DOMAIN, .lane_key = "lease/sd_id", .kind = RESULT_JSON, ##__VA_ARGS__ }
#define LEASE_ROW(verb, parameters, ...) LEASE_READ(verb, parameters, .changes = true, ##__VA_ARGS__)

const struct verb lease_verbs[] = {
	LEASE_ROW("create", lease_metadata_params_type, .doc = "Makes a lease in a domain (task); one that is there stays as it is. Needs the manager of the pool",
		  .returns = "task id", .errors = "75 358 369 397 654"),
	LEASE_ROW("delete", lease_id_params_type, .doc = "Removes a lease that nobody holds (task). Needs the manager of the pool", .returns = "task id",
		  .errors = "358 369 651 654 936"),
	{ .name = "Lease.info", .params = &lease_id_params_type, .kind = RESULT_RECORD, .result = &lease_info_type, .lane = VERB_DOMAIN,
	  .lane_key = "lease/sd_id", .doc = "Where a lease is", .returns = "{sd_id, lease_id, path, offset}; bytes", .errors = "358 369 936" },
	LEASE_READ("status", lease_id_params_type, .doc = "Who holds a lease", .returns = "{owners: [host ids], version}", .errors = "358 369 704 936"),
	LEASE_ROW("fence", lease_metadata_params_type, .doc = "Raises the generation of the job that a lease guards; not supported here", .errors = "75"),
	{ .name = "Lease.rebuild_leases", .params = &lease_rebuild_params_type, .kind = RESULT_JSON, .lane = VERB_DOMAIN, .lane_key = "sd_id", .changes = true,
	  .doc = "Makes the index of leases anew from the leases that are there (task). Needs the manager of the pool", .returns = "task id",
	  .errors = "358 369 654" },
};
const size_t n_lease_verbs = G_N_ELEMENTS(lease_verbs);
