/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CHANGE_VCPUS_H
#define BERTH_AGENT_VIRT_CHANGE_VCPUS_H
#include "agent/virt/change/live.h"

bool vcpus_set_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
