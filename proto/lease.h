/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_LEASE_H
#define BERTH_PROTO_LEASE_H
/* Leases that are not of volumes: those of VMs, of jobs. Wire names are vdsm's. */
#include "common/record.h"

/* What is kept with a lease that guards a job: which, and how far it is. On storage it is this, as JSON, so that vdsm understands it. */
struct lease_metadata { struct record record; char *type, *job_id, *job_status; int generation; int64_t created, modified; };
extern const struct record_type lease_metadata_type;

struct lease_id_params { struct record record; char *domain_id, *lease_id; struct lease_metadata *metadata; };
extern const struct record_type lease_id_params_type, lease_create_params_type, lease_fence_params_type, lease_rebuild_params_type;

struct lease_info { struct record record; char *domain_id, *lease_id, *path; int64_t offset; };
extern const struct record_type lease_info_type;

struct lease_status { struct record record; json_t *owners; int64_t version; struct lease_metadata *metadata; };
extern const struct record_type lease_status_type;

#endif
