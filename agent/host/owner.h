/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_OWNER_H
#define BERTH_AGENT_OWNER_H
/*
 * Which engine this host belongs to. The owner is kept in state_dir/owner.json; any holder of a certificate of the CA may still call every verb, as
 * vdsm's clients expect: the claim is what two engines of ours look at before they both manage one host.
 */
#include "agent/agent.h"

bool owner_claim(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool owner_release(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
