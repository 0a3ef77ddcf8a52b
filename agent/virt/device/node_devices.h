/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_NODE_DEVICES_H
#define BERTH_AGENT_NODE_DEVICES_H
/* The devices of this host, as libvirt knows them: what of them VMs can be given, and giving them back. Blocks: workers only. */
#include "agent/agent.h"

bool node_devices_list_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool node_devices_reattach_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* One device, from libvirt's XML: {"capability", "is_assignable": "true"/"false", "parent", ...}. sys: "/sys". New reference; NULL + error. */
json_t *node_device_params(const char *xml, const char *sys, GError **error);

#endif
