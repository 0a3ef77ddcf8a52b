/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_POLICY_H
#define BERTH_AGENT_POLICY_H
/* How this host's memory is divided among its VMs. Theory of operation in policy.c. */
#include "agent/agent.h"
#include "agent/virt/stats/balloons.h"

struct policy;
/* Parameters are those kept in state_dir. period_usec: between two looks. Loop thread. */
struct policy *policy_new(struct agent *agent, int64_t period_usec);
struct policy *policy_free(struct policy *policy);

bool policy_ksm_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool policy_text_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool policy_parameters_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- the decisions, without side effects ---- */

struct policy_memory { int64_t total_kib, available_kib; };
/* Targets of the balloons, in KiB; 0: stays as it is. ret_targets: n of them. */
void policy_balloons(const struct policy_memory *memory, const struct balloon *balloons, size_t n, int64_t *ret_targets);
struct policy_merging { bool run; int pages; };
struct policy_merging policy_merging(const struct policy_memory *memory, const struct policy_merging *now);
/* "(set balloonEnabled 1)(defvar ksmEnabled False) # ...": {name: value} of known parameters; NULL + ERR_MOM_POLICY_UPDATE_FAILED. New reference. */
json_t *policy_parse(const char *text, GError **error);

#endif
