/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_EXTERNAL_VMS_H
#define BERTH_AGENT_EXTERNAL_VMS_H
/* VMs of other hypervisors, seen through their libvirt. Theory of operation in external_vms.c. Blocks: workers only. */
#include "agent/agent.h"

bool external_vms_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool external_vm_names_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ERR_INVALID_PARAMETER: the URI would have libvirt run a program of the caller's choice here. */
bool external_uri_check(const char *uri, GError **error);

#endif
