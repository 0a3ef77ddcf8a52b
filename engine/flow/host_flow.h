/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_FLOW_H
#define BERTH_ENGINE_HOST_FLOW_H
#include "engine/flow/flow.h"
#include "engine/model/host.h"

/* A host goes to maintenance. data: host_retire_data() */
extern const struct flow_type retire_host_flow;
json_t *host_retire_data(const struct host *host, const char *reason);
/* May it? ERR_WRONG_STATE naming its state, or the VMs on it that cannot leave it, each with the reason. */
bool host_retire_check(struct engine *engine, const struct host *host, GError **error);

#endif
