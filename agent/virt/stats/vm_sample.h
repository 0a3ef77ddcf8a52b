/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_STATS_VM_SAMPLE_H
#define BERTH_AGENT_VIRT_STATS_VM_SAMPLE_H
/*
 * What is kept of a VM's last two samples. The kernel's part (processor, NICs) is new in each period; the monitor's part (disks, memory) when QEMU
 * was asked and answered, or when it is known not to have changed: vm_sampling.c. Filled in vm_sample.c; shown in vm_stats.c and vm_metrics.c.
 */
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

struct vm;
struct domain_info;

/* Counters of a disk, as in libvirt's bulk call; and over the last period: bytes a second, ns a request. */
struct disk_sample {
	char name[32];
	uint64_t rd_reqs, rd_bytes, rd_times, wr_reqs, wr_bytes, wr_times, fl_reqs, fl_times, physical;
	uint64_t read_rate, write_rate, read_latency, write_latency, flush_latency;
};
struct nic_sample {
	char name[32];
	uint64_t rx_bytes, tx_bytes, rx_errs, tx_errs, rx_drop, tx_drop;
};

struct kernel_part {
	int64_t at_usec;                /* 0: none */
	uint64_t cpu_time, cpu_user, cpu_system, vcpus_ran, main_ran;
	unsigned n_vcpus;               /* 0: not known */
	bool has_cpu;
	struct nic_sample *nics;
	unsigned n_nics;
};

struct monitor_part {
	int64_t at_usec;                /* true as of then; 0: none */
	uint64_t balloon_current, available, unused, disk_caches, swap_in, swap_out, major_fault, minor_fault;
	bool has_memory;
	struct disk_sample *disks;
	unsigned n_disks;
};

struct vm_sample {
	struct kernel_part kernel;
	struct monitor_part monitor;
	int64_t answered_usec;          /* when the monitor was asked last and answered; 0: never */
	uint64_t vcpus_ran;             /* kernel.vcpus_ran of that moment; 0: what was told then may be out of date */
	struct domain_info *info;       /* the VM's when the kernel's part was taken; a reference, so that a new one is another one */
	double cpu_user, cpu_sys;       /* % of one processor */
	bool has_rates;
	int64_t swap_in, swap_out, major_fault, minor_fault;      /* a second */
	char *text;                     /* its members of VM.getStats, once they were written (vm_stats.c) */
};

/* ---- taking; without the lock ---- */
/* Hands part over and empties it. An older one than what is there is dropped. */
void vm_sample_kernel(struct vm *vm, struct kernel_part *part);
/* The vCPUs have not run since the monitor was asked, nor have devices come or gone: what it told is still so. */
void vm_sample_unchanged(struct vm *vm, int64_t at_usec);
/* What the bulk call brought, which was begun at at_usec. everything: the kernel's part as well. false: QEMU did not answer, nothing is taken. */
bool vm_sample_told(struct vm *vm, const virDomainStatsRecord *record, bool everything, int64_t at_usec);

/* ---- lock held ---- */
/* Need its monitor not be asked, the kernel's part being as in now? */
bool vm_sample_is_quiet(const struct vm *vm, const struct kernel_part *now);
void vm_sample_free(struct vm_sample *sample);

#endif
