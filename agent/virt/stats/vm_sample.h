/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_STATS_VM_SAMPLE_H
#define BERTH_AGENT_VIRT_STATS_VM_SAMPLE_H
/* What is kept of a VM's last two samples: made in vm_stats.c, shown there and in vm_metrics.c. Under vms->lock. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Counters of a disk; the names of libvirt's keys beside the members are in disk_keys. */
struct disk_sample {
	char name[32];
	uint64_t rd_reqs, rd_bytes, rd_times, wr_reqs, wr_bytes, wr_times, fl_reqs, fl_times, physical;
};
struct nic_sample {
	char name[32];
	uint64_t rx_bytes, tx_bytes, rx_errs, tx_errs, rx_drop, tx_drop;
};

struct counters {
	int64_t at_usec;                /* 0: none */
	uint64_t cpu_time, cpu_user, cpu_system;
	uint64_t balloon_current, available, unused, disk_caches, swap_in, swap_out, major_fault, minor_fault;
	bool has_cpu, has_memory;
	int vcpus;
	struct disk_sample *disks;
	struct nic_sample *nics;
	unsigned n_disks, n_nics;
};

struct vm_sample {
	struct counters last;
	int64_t interval_usec;          /* between the last two; 0: only one */
	double cpu_user, cpu_sys;
	int64_t swap_in, swap_out, major_fault, minor_fault;      /* a second */
	json_t *network, *disks, *memory;         /* as they are sent */
	bool has_rates;
};

#endif
