/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DEVICE_DEVICE_HOOKS_H
#define BERTH_AGENT_VIRT_DEVICE_DEVICE_HOOKS_H
#include "agent/virt/vm.h"

/*
 * Runs a device point (before_device_create...) for each device that carries custom properties, which are in the scripts' environment with those of the VM.
 * xml: the domain (NULL: the last seen). ret_xml (may be NULL): the domain with what the scripts made of its devices, disks excepted; NULL when nothing
 * changed; g_free. Worker.
 */
bool device_hooks(struct vm *vm, const char *point, const char *xml, char **ret_xml, GError **error);

#endif
