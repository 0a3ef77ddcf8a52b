/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_EVACUATION_H
#define BERTH_ENGINE_HOST_EVACUATION_H
#include "engine/engine.h"

/* Moves all VMs away from the host, some at a time, each on its own lane; returns when none is left, or all have been tried: ERR_OPERATION_FAILED names
 * those that stay, each with the reason. On the host's lane. */
bool vms_evacuate(struct engine *engine, const char *host_id, const struct actor *actor, GError **error);

/* The host has become non-operational: those of its VMs that the cluster's on_error names leave it as they can; an event names those that stay. Does not
 * wait. */
void vms_flee(struct engine *engine, const char *host_id);

#endif
