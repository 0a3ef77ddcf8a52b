/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lease.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY
#define D struct lease_id_params

#define LEASE \
	FIELD_UUID_(D, domain_id, "lease/sd_id", NEED, "domain the lease is in"), \
	FIELD_UUID_(D, lease_id, "lease/lease_id", NEED, "the lease: id of a VM, of a job")
static const struct field lease_id_fields[] = { LEASE };
const struct record_type lease_id_params_type = RECORD_TYPE("lease id", NULL, D, lease_id_fields, "A lease");
static const struct field lease_metadata_fields[] = {
	LEASE,
	FIELD_JSON_(D, metadata, "metadata", IN, "{type, generation, job_id, job_status, ...}: what is known of the job that the lease guards"),
};
const struct record_type lease_metadata_params_type = RECORD_TYPE("lease and metadata", NULL, D, lease_metadata_fields, "A lease and what it says");
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
