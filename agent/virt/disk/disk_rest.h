/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DISK_DISK_REST_H
#define BERTH_AGENT_VIRT_DISK_DISK_REST_H
/* Volumes of disks that a running VM has no more: on block storage they need not be active for it. */
#include "agent/virt/change/live.h"

/* Disks that go: made by disk_gone_new(), g_ptr_array_unref. */
GPtrArray *disk_gone_new(void);
/* kept: what the metadata say of a device (NULL: nothing). One that is no disk of a storage domain is passed over. */
void disk_gone_add(GPtrArray *gone, xmlNode *kept);
/* They are gone, as live has been read since: what the VM's other disks do not need, either, is given back. What fails is done when the VM ends. */
void disk_gone_rest(const struct live *live, const GPtrArray *gone);

#endif
