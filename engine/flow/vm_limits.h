/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_VM_LIMITS_H
#define BERTH_ENGINE_VM_LIMITS_H
/*
 * What a VM may use: the limits (QoS) that its CPU profile, the disk profiles of its disks and the vNIC profiles of its NICs name, and the networks whose
 * traffic its NICs see. A start gives them to the agent; of a VM that runs they are brought to it when they change, whoever changed what.
 */
#include <jansson.h>
#include "engine/engine.h"
#include "engine/model/vm.h"
#include "proto/vm.h"

/*
 * As the model has it now; NULL: no limits. Kept in vm.limits as it was last told to the agent:
 *	{"cpu": percent, "disks": {id: {"total_bytes_sec": text, ...}}, "nics": {id: {"qos": {"inbound": {...}, "outbound": {...}}, "mirror": [names]}}}
 * As in specParams of VM.create.
 */
json_t *vm_limits(struct model *model, const struct vm *vm);
/* Into the parameters of VM.create, devices by their deviceId. */
void vm_limits_put(const json_t *limits, struct vm_params *params);

/* Brings what has changed to the agents of the VM (NULL: of all VMs) if it runs. Does not wait: a failure is an event. What cannot be said because the host is
 * away is said when it is up (vm_limits_host_up()). */
void vm_limits_follow(struct engine *engine, const char *vm_id, const struct actor *actor);
void vm_limits_host_up(struct engine *engine, const char *host_id);

#endif
