/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_POWER_H
#define BERTH_ENGINE_POWER_H
/* The power of a host, switched by another one (the proxy) through the host's power devices. */
#include "engine/api/resource.h"
#include "engine/model/fence_agent.h"
#include "engine/model/host.h"

/*
 * Host.fenceNode on a proxy for the devices of `host`: in ascending order; those of one order at the same time. To switch off, all of one order must
 * succeed (each may feed the host); to switch on or ask, one is enough. Then the next order is not tried. Worker.
 * ret_state: after POWER_STATUS what the device said; else what was asked for. ERR_OPERATION_FAILED when there is no proxy or device.
 */
bool power_switch(struct request *request, const struct host *host, enum fence_type what, enum power_state *ret_state, GError **error);

#endif
