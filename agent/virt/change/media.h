/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CHANGE_MEDIA_H
#define BERTH_AGENT_VIRT_CHANGE_MEDIA_H
#include "agent/virt/change/live.h"

bool change_cd_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool change_floppy_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
