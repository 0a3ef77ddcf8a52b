/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_RPC_DISPATCH_H
#define BERTH_AGENT_RPC_DISPATCH_H
/* From a request on the channel to its handler and back. Theory of operation in dispatch.c. Loop thread only. */
#include <jansson.h>
#include "agent/agent.h"
#include "proto/channel.h"

#define DISPATCH_LANE_CALLS_MAX 80      /* calls queued and running on one lane; beyond: ERR_RESOURCE_EXHAUSTED (1100) */

struct dispatch;
struct dispatch *dispatch_new(struct agent *agent);
/* After the lanes are gone; calls that were not answered are failed. */
struct dispatch *dispatch_free(struct dispatch *dispatch);
/* channel_server_settings.request, data: struct dispatch */
void dispatch_request(struct call *call, const char *method, const json_t *params, void *data);

#endif
