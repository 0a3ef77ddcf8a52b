/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_REPORT_H
#define BERTH_ENGINE_REPORT_H
/*
 * A host's report of its VMs, read row by row from the text of an answer to Host.getAllVmFigures (proto/vm.h, struct vm_figures_row). There are very many
 * of these: 100,000 VMs make 7,000 rows a second. So nothing is built of a row but this one struct, which the next row overwrites.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* Bounds of what is kept; of more devices the first so many are. */
#define REPORT_DISKS_MAX 64
#define REPORT_NICS_MAX 32
#define REPORT_ID_SIZE 37

enum { ROW_TAKEN, ROW_READ_RATE, ROW_WRITE_RATE, ROW_READ_LATENCY, ROW_WRITE_LATENCY, ROW_FLUSH_LATENCY, ROW_DISK_NUMBERS };
enum { ROW_RX, ROW_TX, ROW_RX_ERRORS, ROW_TX_ERRORS, ROW_NIC_NUMBERS };

struct report_row {
	char vm_id[REPORT_ID_SIZE];
	int status;                             /* enum vm_wire_status */
	int64_t status_time;                    /* 0: not told */
	int exit_code, exit_reason;             /* -1: not told */
	char *exit_message, *pause_code;        /* NULL: not told */
	int64_t elapsed_time;                   /* s */
	/* of one that runs */
	uint64_t digest;                        /* of its facts; 0: it has none */
	double cpu_user, cpu_sys;               /* % */
	int mem_usage;                          /* % */
	int balloon_ignored;                    /* so often; 0: it follows */
	int64_t sampled_usec;
	unsigned n_disks, n_nics;
	int64_t disks[REPORT_DISKS_MAX][ROW_DISK_NUMBERS], nics[REPORT_NICS_MAX][ROW_NIC_NUMBERS];
	/* facts; NULL, 0, "": not told */
	bool has_facts;
	char *display_address, *guest_ips, *guest_fqdn, *os_family, *os_distribution, *os_version, *os_kernel, *os_architecture;
	int display_port, display_secure_port;
	unsigned n_disk_ids, n_nic_macs;
	char disk_ids[REPORT_DISKS_MAX][REPORT_ID_SIZE], nic_macs[REPORT_NICS_MAX][18];
};

/* Calls take for each row. false + error: the text is not such a report; the rows before that were taken. */
bool report_read(GBytes *text, void (*take)(const struct report_row *row, void *data), void *data, GError **error);

#endif
