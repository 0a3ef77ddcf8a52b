/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_OVA_H
#define BERTH_AGENT_OVA_H
/* The description inside an OVA. Theory of operation in ova.c. Blocks: workers only. */
#include "agent/agent.h"

bool ova_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* The OVF text of a tar or zip file or of a directory; g_free. ERR_V2V_NO_SUCH_OVF, ERR_INVALID_PARAMETER. */
char *ova_read(const char *path, GError **error);
/* What it describes: {"vmName", "status": "Down", "memSize" MiB, "smp", "disks": [...], "networks": [...]}. file: the OVA's path, for a VM without name. */
json_t *ova_describe(const char *ovf, const char *file, GError **error);

#endif
