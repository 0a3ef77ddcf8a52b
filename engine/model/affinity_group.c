/* SPDX-License-Identifier: Apache-2.0 */
/* Affinity groups: the table. See affinity_group.h. */
#include "engine/model/affinity_group.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

#define CU (CREATE | UPDATE)

static const struct field affinity_group_fields[] = {
	FIELD_UUID_(struct affinity_group, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct affinity_group, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "name within the cluster", .min = 1, .max = 255),
	FIELD_STRING_(struct affinity_group, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_REF_(struct affinity_group, cluster, "cluster", CREATE | REQUIRED, "clusters", "cluster it belongs to"),
	FIELD_BOOL_(struct affinity_group, positive, "positive", CU, "keep the VMs on one host; else on different ones", .def = "false"),
	FIELD_BOOL_(struct affinity_group, enforcing, "enforcing", CU, "a VM that finds no fitting host is not started", .def = "false"),
	FIELD_LIST_(struct affinity_group, vms, "vms/vm", INTERNAL | WEAK, &object_ref_type, "its VMs", .target = "vms"),
};
const struct record_type affinity_group_type =
	RECORD_TYPE("affinity_group", "affinity_groups", struct affinity_group, affinity_group_fields, "VMs to keep together or apart");
