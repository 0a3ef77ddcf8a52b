/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_FENCE_H
#define BERTH_AGENT_FENCE_H
/* Power of other hosts, through their power devices. Theory of operation in fence.c. */
#include "agent/agent.h"
#include "proto/host_calls.h"

bool fence_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* What the fence agent reads; g_free. ERR_INVALID_PARAMETER: a value that would be more than one line, or an option that is none. */
char *fence_input(const struct fence_params *params, GError **error);

#endif
