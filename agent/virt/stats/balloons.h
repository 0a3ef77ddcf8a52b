/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_BALLOONS_H
#define BERTH_AGENT_BALLOONS_H
/* The balloons of all running VMs: for who divides the host's memory among them (agent/host/policy.c). */
#include "agent/virt/vms.h"

struct vm;

/* KiB; used_kib: what the guest itself says it needs (no free memory, no caches), -1: it does not say. Current: as of the last sample. */
struct balloon { char id[37]; int64_t guaranteed_kib, max_kib, current_kib, used_kib; };

/* Lock held. false: nothing is known of its memory. */
bool vm_locked_balloon(const struct vm *vm, struct balloon *ret);
/* Of VMs that are Up and answer, have a balloon and neither come nor go; by id. Never blocks. g_array_unref */
GArray *balloons_read(struct vms *vms);
/* Sets it, on a lane of the VM that holds up no verb of it, some time soon; what fails is logged. */
void balloon_aim(struct vms *vms, const char *id, int64_t target_kib);

#endif
