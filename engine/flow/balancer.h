/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_BALANCER_H
#define BERTH_ENGINE_BALANCER_H
/*
 * Moves VMs as their clusters' scheduling policies want it (engine/sched/balance.h): looks every [sched] balance_period seconds, moves one VM of a cluster at a
 * time, and none while another one of the cluster is on its way.
 */
#include "engine/engine.h"

struct balancer *balancer_new(struct engine *engine);                    /* looks from now on; loop thread */
void balancer_stop(struct balancer *balancer);                           /* no look begins any more; NULL accepted; loop thread */
struct balancer *balancer_free(struct balancer *balancer);               /* when no look is under way; NULL accepted */

#endif
