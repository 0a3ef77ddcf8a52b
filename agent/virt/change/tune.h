/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CHANGE_TUNE_H
#define BERTH_AGENT_VIRT_CHANGE_TUNE_H
/* What a running VM may use of its disks, the processors and its memory. Theory of operation in tune.c. */
#include "agent/virt/change/live.h"

/* A policy for a VM that is about to start: its part of the host's processors, into the domain's <metadata>. In force when it runs (live_settle()). */
void tune_add_limit(xmlNode *metadata, int percent);
bool io_tune_set_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool io_tune_get_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool io_policy_get_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool io_policies_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool policy_update_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool cpu_period_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool cpu_quota_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool balloon_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
