/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_AFFINITY_H
#define BERTH_ENGINE_AFFINITY_H
/*
 * What the affinity groups of a VM say about hosts, as oVirt's VmAffinityFilterPolicyUnit and VmAffinityWeightPolicyUnit: a positive group wants the VM where
 * other VMs of the group run, a negative one where none of them does. Groups that enforce forbid hosts, the others only count against them. A VM that is
 * about to start on a host counts as running there.
 */
#include <stdbool.h>
#include "engine/model/model.h"
#include "engine/model/vm.h"

struct affinity;
struct affinity *affinity_new(struct model *model, const struct vm *vm);
struct affinity *affinity_free(struct affinity *affinity);
/* Why the VM cannot be on the host, naming group and VM; NULL: it can. g_free */
char *affinity_forbids(const struct affinity *affinity, const char *host_id);
/* How many groups that do not enforce would rather have it elsewhere. */
unsigned affinity_broken(const struct affinity *affinity, const char *host_id);

#endif
