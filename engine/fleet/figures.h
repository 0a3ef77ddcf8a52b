/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FIGURES_H
#define BERTH_ENGINE_FIGURES_H
/*
 * What the engine keeps of a running VM's reports: what REST shows of it, and the counters that the next rates come from. About 600 bytes a VM with two disks
 * and two NICs. Never changed once made; counted.
 */
#include <stdbool.h>
#include <stdint.h>
#include "common/record.h"
#include "proto/vm.h"

struct disk_figures {
	char id[37];                            /* the image's: the disk's id */
	int64_t actual_size;                    /* bytes; 0: not told */
	float read_rate, write_rate;            /* bytes/s */
	float read_latency, write_latency, flush_latency;       /* s */
};

struct nic_figures {
	char mac[18];
	double sampled;                         /* of the agent's clock, s */
	int64_t rx, tx, rx_errors, tx_errors;   /* bytes, packets */
	float rx_rate, tx_rate;                 /* bytes/s since the report before; 0 with the first */
};

/* Strings: NULL when not told. The guest's are shared between VMs that say the same. */
struct vm_figures {
	double cpu_user, cpu_sys;               /* % of one CPU: the guest's, QEMU's own */
	int mem_usage;                          /* % of the VM's memory */
	int display_port, display_secure_port;  /* 0: none */
	GRefString *display_address;
	GRefString *guest_ips, *guest_fqdn;     /* addresses, blank-separated */
	GRefString *os_family, *os_distribution, *os_version, *os_kernel, *os_architecture;
	guint n_disks, n_nics;
	struct disk_figures *disks;
	struct nic_figures *nics;
};

/* From a report (full) or from an event, which has only what changed: the rest is as before. before may be NULL. */
struct vm_figures *figures_new(const struct vm_stats *stats, const struct vm_figures *before, bool full);
struct vm_figures *figures_ref(struct vm_figures *figures);
struct vm_figures *figures_unref(struct vm_figures *figures);
/* NULL: none. figures may be NULL. */
const struct disk_figures *figures_of_disk(const struct vm_figures *figures, const char *disk_id);
const struct nic_figures *figures_of_nic(const struct vm_figures *figures, const char *mac);
/* Parameters of Host.getAllVmStats: the members that are used here and in sync.c. Shared; not changed. */
struct all_vm_stats_params *figures_wanted(void);

#endif
