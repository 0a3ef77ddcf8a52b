/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_STATS_KERNEL_COUNTERS_H
#define BERTH_AGENT_VIRT_STATS_KERNEL_COUNTERS_H
/* What the host's kernel knows of the VMs: processor time of their QEMUs, counters of their taps. Theory of operation in kernel_counters.c. */
#include <stdbool.h>
#include <glib.h>
#include "agent/virt/stats/vm_sample.h"

struct qemu_counters {
	uint64_t cpu_time, cpu_user, cpu_system;        /* ns; as libvirt's cpu.time, cpu.user, cpu.system */
	uint64_t vcpus_ran, main_ran;                   /* ns that the threads of the vCPUs together, and the main thread, were on a processor; 0: not known */
	unsigned n_vcpus;                               /* 0: not known */
	char state;                                     /* of the main thread, as in /proc: 'T' stopped, 'D' in the kernel, ... */
};

struct kernel_counters;
struct kernel_counters *kernel_counters_new(void);
struct kernel_counters *kernel_counters_free(struct kernel_counters *counters);

/* One look at a time: from begin, which reads what VMs share and finds the QEMUs of ids (a set of VM ids), to end. Never waits for a QEMU. */
void kernel_counters_begin(struct kernel_counters *counters, GHashTable *ids);
bool kernel_counters_qemu(struct kernel_counters *counters, const char *id, struct qemu_counters *ret);    /* false: not known */
bool kernel_counters_tap(struct kernel_counters *counters, const char *name, struct nic_sample *ret);      /* false: no tap of ours */
void kernel_counters_end(struct kernel_counters *counters);

#endif
