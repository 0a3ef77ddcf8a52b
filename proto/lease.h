/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_LEASE_H
#define BERTH_PROTO_LEASE_H
/* Leases that are not of volumes: those of VMs, of jobs. Wire names are vdsm's. */
#include "common/record.h"

struct lease_id_params { struct record record; char *domain_id, *lease_id; json_t *metadata; };
extern const struct record_type lease_id_params_type, lease_metadata_params_type, lease_rebuild_params_type;

struct lease_info { struct record record; char *domain_id, *lease_id, *path; int64_t offset; };
extern const struct record_type lease_info_type;

#endif
