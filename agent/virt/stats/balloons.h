/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_BALLOONS_H
#define BERTH_AGENT_BALLOONS_H
/* The balloons of all running VMs: for who divides the host's memory among them (agent/host/policy.c). */
#include "agent/virt/vms.h"

struct vm;

/* KiB; used_kib: what the guest itself says it needs (no free memory, no caches), -1: it does not say. Current: as of the last sample, sampled_usec. */
struct balloon { char id[37]; int64_t guaranteed_kib, max_kib, current_kib, used_kib, sampled_usec; };

/*
 * What came of asking a VM to shrink. It ignores its balloon when that has not moved at all by the next sample, BALLOON_IGNORED times in a row: the guest has
 * no driver, or a dead one. When it moves, or need not shrink any more, that is forgotten.
 */
#define BALLOON_IGNORED 3
struct balloon_watch { bool asked; int64_t current_kib, sampled_usec; unsigned ignored; };
/* At each look of the policy; target_kib: 0: nothing is asked. */
void balloon_watch(struct balloon_watch *watch, const struct balloon *balloon, int64_t target_kib);

/* Lock held. false: nothing is known of its memory. */
bool vm_locked_balloon(const struct vm *vm, struct balloon *ret);
/* Of VMs that are Up and answer, have a balloon and neither come nor go; by id. Never blocks. g_array_unref */
GArray *balloons_read(struct vms *vms);
/* What was asked of it before is looked at; then, unless target_kib is 0, it is set, on a lane of the VM that holds up no verb of it, some time soon. Both are
 * logged, and so is what fails. */
void balloon_aim(struct vms *vms, const struct balloon *balloon, int64_t target_kib);

#endif
