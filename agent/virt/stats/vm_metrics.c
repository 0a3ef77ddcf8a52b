/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMs' part of /metrics: counters as the last sample has them, never asked for (vm_sampling.c). They are copied under the lock and written
 * without it. A family without a sample is left out; a VM that has no sample, or whose guest does not tell of its memory, is not in those families.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include "agent/virt/stats/vm_sample.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/metrics.h"

/* A VM; where it has no sample, the parts' at_usec is 0. */
struct row {
	char *labels;                   /* vm="...",name="..." */
	int status;
	double start_time;              /* epoch, s; 0: not known, or it does not run */
	uint64_t silent_usec;           /* age of what its monitor told, or how long it told nothing */
	struct kernel_part kernel;
	struct monitor_part monitor;
};

static void row_clear(void *data)
{
	struct row *row = data;

	g_free(row->labels);
	g_free(row->monitor.disks);
	g_free(row->kernel.nics);
}

static void row_read(struct row *row, const struct vm *vm, int64_t now)
{
	g_autoptr(GString) labels = g_string_new(NULL);

	metrics_write_label(labels, "vm", vm->id);
	g_string_append_c(labels, ',');
	metrics_write_label(labels, "name", vm->name ? vm->name : "");
	row->labels = g_string_free(g_steal_pointer(&labels), FALSE);
	row->status = (int)vm->status;
	if (!vm_is_running_status(vm->status))
		return;
	row->start_time = vm->start_time;
	row->silent_usec = (uint64_t)MAX(now - (vm->sample && vm->sample->monitor.at_usec ? vm->sample->monitor.at_usec : vm->running_since_usec), 0);
	if (!vm->sample)
		return;
	row->kernel = vm->sample->kernel;
	row->monitor = vm->sample->monitor;
	row->monitor.disks = g_memdup2(row->monitor.disks, row->monitor.n_disks * sizeof(*row->monitor.disks));
	row->kernel.nics = g_memdup2(row->kernel.nics, row->kernel.n_nics * sizeof(*row->kernel.nics));
}

/* ---- families ---- */

struct family {
	const char *name, *kind, *help;
	enum { OF_VM, OF_BALLOON, OF_GUEST, OF_DISK, OF_NIC } of;      /* OF_GUEST: of the balloon, when the guest tells of its memory */
	enum { PLAIN, NSEC, KIB } unit;                 /* of the number; it is shown plain, in seconds, in bytes */
	size_t offset;                                  /* of a uint64_t in struct kernel_part, monitor_part, disk_sample, nic_sample */
};

#define VM(name, kind, unit, member, help) { "berth_vm_" name, kind, help, OF_VM, unit, offsetof(struct kernel_part, member) }
#define BALLOON(name, kind, unit, member, help) { "berth_vm_" name, kind, help, OF_BALLOON, unit, offsetof(struct monitor_part, member) }
#define GUEST(name, kind, unit, member, help) { "berth_vm_" name, kind, help, OF_GUEST, unit, offsetof(struct monitor_part, member) }
#define DISK(name, kind, unit, member, help) { "berth_vm_disk_" name, kind, help, OF_DISK, unit, offsetof(struct disk_sample, member) }
#define NIC(name, member, help) { "berth_vm_network_" name, "counter", help, OF_NIC, PLAIN, offsetof(struct nic_sample, member) }
static const struct family families[] = {
	VM("cpu_seconds_total", "counter", NSEC, cpu_time, "Processor time of the VM, QEMU's own included"),
	VM("cpu_user_seconds_total", "counter", NSEC, cpu_user, "Of it, QEMU's own in user space"),
	VM("cpu_system_seconds_total", "counter", NSEC, cpu_system, "Of it, the host kernel's for QEMU"),
	BALLOON("memory_bytes", "gauge", KIB, balloon_current, "Memory the balloon leaves the guest"),
	GUEST("memory_available_bytes", "gauge", KIB, available, "Memory as the guest sees it"),
	GUEST("memory_unused_bytes", "gauge", KIB, unused, "Memory the guest does not use at all"),
	GUEST("memory_disk_caches_bytes", "gauge", KIB, disk_caches, "Memory of the guest's file caches, which it can give back"),
	GUEST("swapped_in_bytes_total", "counter", KIB, swap_in, "What the guest read back from its swap space"),
	GUEST("swapped_out_bytes_total", "counter", KIB, swap_out, "What the guest wrote to its swap space"),
	GUEST("major_faults_total", "counter", PLAIN, major_fault, "Page faults in the guest that had to read a disk"),
	GUEST("minor_faults_total", "counter", PLAIN, minor_fault, "Other page faults in the guest"),
	DISK("read_bytes_total", "counter", PLAIN, rd_bytes, "What the guest read"),
	DISK("written_bytes_total", "counter", PLAIN, wr_bytes, "What the guest wrote"),
	DISK("reads_total", "counter", PLAIN, rd_reqs, "Reads"),
	DISK("writes_total", "counter", PLAIN, wr_reqs, "Writes"),
	DISK("flushes_total", "counter", PLAIN, fl_reqs, "Flushes"),
	DISK("read_seconds_total", "counter", NSEC, rd_times, "Time of all reads together"),
	DISK("write_seconds_total", "counter", NSEC, wr_times, "Time of all writes together"),
	DISK("flush_seconds_total", "counter", NSEC, fl_times, "Time of all flushes together"),
	NIC("receive_bytes_total", rx_bytes, "What the guest received"),
	NIC("transmit_bytes_total", tx_bytes, "What the guest sent"),
	NIC("receive_errors_total", rx_errs, "Errors on the way to the guest"),
	NIC("transmit_errors_total", tx_errs, "Errors on the way from the guest"),
	NIC("receive_dropped_total", rx_drop, "Packets to the guest that were dropped"),
	NIC("transmit_dropped_total", tx_drop, "Packets from the guest that were dropped"),
};
#undef VM
#undef BALLOON
#undef GUEST
#undef DISK
#undef NIC

/* ---- writing ---- */

/* One sample; device NULL: none. */
static void write_sample(GString *out, const struct family *family, const struct row *row, const char *device, const void *of)
{
	uint64_t value = *(const uint64_t *)((const char *)of + family->offset);
	char number[48];

	switch (family->unit) {
	case PLAIN:
		g_snprintf(number, sizeof(number), "%" PRIu64, value);
		break;
	case KIB:
		g_snprintf(number, sizeof(number), "%" PRIu64, value * 1024);
		break;
	case NSEC:
		g_snprintf(number, sizeof(number), "%" PRIu64 ".%09" PRIu64, value / 1000000000, value % 1000000000);
		break;
	}
	g_string_append(out, family->name);
	g_string_append_c(out, '{');
	g_string_append(out, row->labels);
	if (device) {
		g_string_append_c(out, ',');
		metrics_write_label(out, "device", device);
	}
	g_string_append(out, "} ");
	g_string_append(out, number);
	g_string_append_c(out, '\n');
}

static void write_row(GString *out, const struct family *family, const struct row *row)
{
	const struct kernel_part *k = &row->kernel;
	const struct monitor_part *m = &row->monitor;

	switch (family->of) {
	case OF_VM:
		if (k->at_usec)
			write_sample(out, family, row, NULL, k);
		break;
	case OF_GUEST:
		if (!m->has_memory)
			return;
		/* fall through */
	case OF_BALLOON:
		if (m->at_usec)
			write_sample(out, family, row, NULL, m);
		break;
	case OF_DISK:
		for (unsigned i = 0; i < m->n_disks; i++)
			if (*m->disks[i].name)
				write_sample(out, family, row, m->disks[i].name, &m->disks[i]);
		break;
	case OF_NIC:
		for (unsigned i = 0; i < k->n_nics; i++)
			if (*k->nics[i].name)
				write_sample(out, family, row, k->nics[i].name, &k->nics[i]);
		break;
	}
}

static void write_states(GString *out, const struct row *rows, guint n)
{
	metrics_write_family(out, "berth_vm_state", "gauge", "1: the state the VM is in, as getStats names it");
	for (guint i = 0; i < n; i++)
		g_string_append_printf(out, "berth_vm_state{%s,state=\"%s\"} 1\n", rows[i].labels, vm_wire_status_names[rows[i].status]);
	metrics_write_family(out, "berth_vm_start_time_seconds", "gauge", "When the VM was started, since the epoch");
	for (guint i = 0; i < n; i++)
		if (rows[i].start_time > 0)
			g_string_append_printf(out, "berth_vm_start_time_seconds{%s} %.3f\n", rows[i].labels, rows[i].start_time);
	metrics_write_family(out, "berth_vm_sample_age_seconds", "gauge", "Age of what QEMU tells of the VM (disks, memory): high when it does not answer");
	for (guint i = 0; i < n; i++)
		if (vm_is_running_status((enum vm_wire_status)rows[i].status))
			g_string_append_printf(out, "berth_vm_sample_age_seconds{%s} %" PRIu64 ".%06d\n", rows[i].labels, rows[i].silent_usec / G_USEC_PER_SEC,
					       (int)(rows[i].silent_usec % G_USEC_PER_SEC));
}

void vms_write_metrics(struct vms *vms, GString *out)
{
	g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(struct row));
	int64_t now = now_usec();
	GHashTableIter iter;
	gpointer vm;

	g_array_set_clear_func(rows, row_clear);
	{
		AUTO_LOCK(&vms->lock);
		g_hash_table_iter_init(&iter, vms->table);
		while (g_hash_table_iter_next(&iter, NULL, &vm)) {
			struct row row = { 0 };

			row_read(&row, vm, now);
			g_array_append_val(rows, row);
		}
	}
	if (!rows->len)
		return;
	write_states(out, (const struct row *)rows->data, rows->len);
	for (size_t f = 0; f < G_N_ELEMENTS(families); f++) {
		gsize before = out->len, head;

		metrics_write_family(out, families[f].name, families[f].kind, families[f].help);
		head = out->len;
		for (guint i = 0; i < rows->len; i++)
			write_row(out, &families[f], &g_array_index(rows, struct row, i));
		if (out->len == head)
			g_string_truncate(out, before);
	}
}
