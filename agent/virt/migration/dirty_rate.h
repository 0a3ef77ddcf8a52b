/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_MIGRATION_DIRTY_RATE_H
#define BERTH_AGENT_VIRT_MIGRATION_DIRTY_RATE_H
#include "agent/virt/vm.h"
#include "proto/device.h"

/* The last measurement; one reference. Worker. */
struct dirty_rate *dirty_rate_read(virDomainPtr domain, const char *vm_id, GError **error);
bool dirty_rate_start_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool dirty_rate_get_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
