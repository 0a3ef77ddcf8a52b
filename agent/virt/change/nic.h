/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CHANGE_NIC_H
#define BERTH_AGENT_VIRT_CHANGE_NIC_H
/* NICs of running VMs: what libvirt does not do for them. Theory of operation in nic.c. */
#include <libxml/tree.h>
#include <stdbool.h>
#include "agent/virt/change/live.h"
#include "proto/device.h"

/* After the NIC was plugged in: mirroring, as its metadata say. */
bool nic_plugged(struct live *live, xmlNode *device, GError **error);
void nic_unplugged(struct live *live);
/* The VM ended; its taps are gone. Any thread, without the lock. */
void nic_ended(struct vm *vm);
/* updateDevice of deviceType interface. */
bool nic_update(struct live *live, const struct device_update_params *params, GError **error);
bool nic_policies_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
