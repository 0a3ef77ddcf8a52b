/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DISK_DISK_SIZE_H
#define BERTH_AGENT_VIRT_DISK_DISK_SIZE_H
#include "agent/virt/change/live.h"

bool disk_extend_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool disk_refresh_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool disk_alignment_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
