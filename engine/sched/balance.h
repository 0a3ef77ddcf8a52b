/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_BALANCE_H
#define BERTH_ENGINE_BALANCE_H
/*
 * Which VM should leave its host because of the cluster's scheduling policy (REST 10.3), and where to.
 *
 *	evenly_distributed   a host above thresholds@high for thresholds@duration gives a VM away
 *	power_saving         the same; and a host below thresholds@low for so long gives its VMs away one by one, until it is empty
 *
 * It goes where sched_pick_host() would put it, if that host stays at or below the high threshold, and, from an under-used host, only to one that is used
 * more: two hosts do not exchange VMs. The VM is the one that keeps processors least busy, as moving it costs least. VMs that only a user may migrate stay.
 * No host is looked at before it was over (or under) the threshold in each look for the whole duration.
 */
#include "engine/engine.h"
#include "engine/model/cluster.h"

#define BALANCE_DURATION_S 120               /* when the cluster does not say; as oVirt's CpuOverCommitDurationMinutes */

struct balance;                              /* since when hosts are over or under a threshold */
struct balance *balance_new(void);
struct balance *balance_free(struct balance *balance);
/* One look. true: VM *ret_vm shall go to host *ret_host (g_free both). Reads only. */
bool balance_look(struct balance *balance, struct engine *engine, const struct cluster *cluster, int64_t now_usec, char **ret_vm, char **ret_host);

#endif
