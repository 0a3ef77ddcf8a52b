/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CONSOLE_SCREENSHOT_H
#define BERTH_AGENT_VIRT_CONSOLE_SCREENSHOT_H
#include "agent/virt/vm.h"

bool screenshot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
