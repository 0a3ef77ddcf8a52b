/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_LIFE_CRASH_H
#define BERTH_AGENT_VIRT_LIFE_CRASH_H
/* The guest's kernel said that it crashed (pvpanic). Theory of operation in crash.c. */
#include "agent/virt/vm.h"

void crash_register(struct vms *vms);                /* at start: the kind of job */
/* libvirt told of it. Lane. */
void crash_seen(struct vm *vm);
/* An agent that was started since, and whose jobs run again, looks for one. Lane. */
void crash_look(struct vm *vm, void *unused);
bool crash_report_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
