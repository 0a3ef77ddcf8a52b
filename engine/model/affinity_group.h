/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_AFFINITY_GROUP_H
#define BERTH_ENGINE_MODEL_AFFINITY_GROUP_H
/* Affinity groups: VMs of a cluster to keep together or apart (REST 10.7.3). Go with their cluster. */
#include "common/record.h"

struct affinity_group {
	struct record record;
	char *id, *name, *description;
	struct ref cluster;                  /* parent */
	bool positive;                       /* together; else apart */
	bool enforcing;                      /* rather no place than a wrong one */
	GPtrArray *vms;                      /* INTERNAL: struct object_ref; a VM that was removed may still stand here */
};
extern const struct record_type affinity_group_type;

#endif
