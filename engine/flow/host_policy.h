/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_POLICY_H
#define BERTH_ENGINE_HOST_POLICY_H
#include "engine/engine.h"

/* Tells the host, or all hosts of the cluster that are up, what their memory policy is. Does not wait. */
void host_policy_push(struct engine *engine, const char *host_id);
void cluster_policy_push(struct engine *engine, const char *cluster_id);

#endif
