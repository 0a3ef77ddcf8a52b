/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FIGURES_H
#define BERTH_ENGINE_FIGURES_H
/*
 * What the engine keeps of a running VM's reports: what REST shows of it, and the counters that the next rates come from. About 500 bytes a VM with two disks
 * and two NICs. Never changed once made; counted. What seldom changes, the facts, goes from one to the next.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "proto/vm.h"

struct report_row;

struct disk_figures {
	int64_t actual_size;                    /* bytes; 0: not told */
	float read_rate, write_rate;            /* bytes/s */
	float read_latency, write_latency, flush_latency;       /* s */
};

struct nic_figures {
	int64_t rx, tx, rx_errors, tx_errors;   /* bytes, packets */
	float rx_rate, tx_rate;                 /* bytes/s since the report before; 0 with the first */
};

/* Strings: NULL when not told. Shared between VMs that say the same. */
struct vm_facts {
	uint64_t digest;                        /* the agent's; 0: not from a report */
	int display_port, display_secure_port;  /* 0: none */
	GRefString *display_address;
	GRefString *guest_ips, *guest_fqdn;     /* addresses, blank-separated */
	GRefString *os_family, *os_distribution, *os_version, *os_kernel, *os_architecture;
	unsigned n_disks, n_nics;
	char (*disk_ids)[37];                   /* images: the disks' ids; "": a disc or a direct LUN, which are not shown */
	char (*nic_macs)[18];
};

struct vm_figures {
	const struct vm_facts *facts;           /* never NULL */
	double cpu_user, cpu_sys;               /* % of one CPU: the guest's, QEMU's own */
	int mem_usage;                          /* % of the VM's memory */
	bool balloon_ignored;                   /* its host asks it to shrink, in vain */
	unsigned n_disks, n_nics;               /* at most those of the facts, in their order */
	int64_t sampled_usec;                   /* of the host's clock: the counters of the NICs */
	struct nic_figures *nics;
	struct disk_figures *disks;
};

/*
 * From a row of a report. before: of the same VM on the same host, or NULL. NULL: the row is about facts that neither it nor before tells: they must be
 * asked for.
 */
struct vm_figures *figures_from_row(const struct report_row *row, const struct vm_figures *before);
/* From an event or a single answer, which may have only what changed: the rest is as before, and so are the devices. before may be NULL. */
struct vm_figures *figures_from_stats(const struct vm_stats *stats, const struct vm_figures *before);
struct vm_figures *figures_ref(struct vm_figures *figures);
struct vm_figures *figures_unref(struct vm_figures *figures);
/* NULL: none. figures may be NULL. */
const struct disk_figures *figures_of_disk(const struct vm_figures *figures, const char *disk_id);
const struct nic_figures *figures_of_nic(const struct vm_figures *figures, const char *mac);

#endif
