/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lease.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY
#define D struct lease_metadata
static const struct field lease_metadata_fields[] = {
	FIELD_STRING_(D, type, "type", IN, "JOB: the lease guards a job", .def = "JOB", .pattern = "JOB"),
	FIELD_INT_(D, generation, "generation", IN, "of the job; one that ended, or was fenced, has the next", .def = "0", .min = 0, .max = 999),
	FIELD_UUID_(D, job_id, "job_id", NEED, "the job"),
	FIELD_STRING_(D, job_status, "job_status", IN, "PENDING: may run, or runs; SUCCEEDED, FAILED; FENCED: it must not run any more", .def = "PENDING",
		      .pattern = "PENDING|SUCCEEDED|FAILED|FENCED"),
	FIELD_LONG_(D, created, "created", OUT, "when the lease was made", .unit = "s since 1970"),
	FIELD_LONG_(D, modified, "modified", OUT, "when this was written", .unit = "s since 1970"),
};
const struct record_type lease_metadata_type = RECORD_TYPE("leaseMetadata", NULL, D, lease_metadata_fields, "The job that a lease guards");
#undef D

#define D struct lease_id_params

#define LEASE \
	FIELD_UUID_(D, domain_id, "lease/sd_id", NEED, "domain the lease is in"), \
	FIELD_UUID_(D, lease_id, "lease/lease_id", NEED, "the lease: id of a VM, of a job")
static const struct field lease_id_fields[] = { LEASE };
const struct record_type lease_id_params_type = RECORD_TYPE("lease id", NULL, D, lease_id_fields, "A lease");
static const struct field lease_create_fields[] = {
	LEASE,
	FIELD_RECORD_(D, metadata, "metadata", IN, &lease_metadata_type, "the job that it is to guard; absent: it guards none"),
};
const struct record_type lease_create_params_type = RECORD_TYPE("Lease.create", NULL, D, lease_create_fields, "A lease that is to be");
static const struct field lease_fence_fields[] = {
	LEASE,
	FIELD_RECORD_(D, metadata, "metadata", NEED, &lease_metadata_type, "the job as its caller knows it"),
};
const struct record_type lease_fence_params_type = RECORD_TYPE("Lease.fence", NULL, D, lease_fence_fields, "A lease and its job");
static const struct field lease_rebuild_fields[] = { FIELD_UUID_(D, domain_id, "sd_id", NEED, "domain") };
const struct record_type lease_rebuild_params_type = RECORD_TYPE("Lease.rebuild_leases", NULL, D, lease_rebuild_fields, "A domain with leases");
#undef D

#define D struct lease_info
static const struct field lease_info_fields[] = {
	FIELD_STRING_(D, domain_id, "sd_id", OUT, "domain"),
	FIELD_STRING_(D, lease_id, "lease_id", OUT, "lease"),
	FIELD_STRING_(D, path, "path", OUT, "file or device"),
	FIELD_LONG_(D, offset, "offset", OUT, "where in it", .unit = "bytes"),
};
const struct record_type lease_info_type = RECORD_TYPE("leaseInfo", NULL, D, lease_info_fields, "Lease.info");
#undef D

#define D struct lease_status
static const struct field lease_status_fields[] = {
	FIELD_JSON_(D, owners, "owners", OUT, "[number of the host that holds it]; []: it is free"),
	FIELD_LONG_(D, version, "version", OUT, "how often it was taken"),
	FIELD_RECORD_(D, metadata, "metadata", OUT, &lease_metadata_type, "the job that it guards; absent: none"),
};
const struct record_type lease_status_type = RECORD_TYPE("leaseStatus", NULL, D, lease_status_fields, "Lease.status");
