/* SPDX-License-Identifier: Apache-2.0 */
/* The short statistics of VMs, as Host.getAllVmFigures answers them: see struct vm_figures_row. From the same samples as vm_stats.c. */
#include <inttypes.h>
#include "agent/virt/stats/vm_sample.h"
#include "agent/virt/vm.h"

/* ---- facts ---- */

static void add_disk(struct vm_figures_row *row, const struct vm *vm, const struct disk_sample *disk)
{
	const struct domain_disk *known = domain_info_disk(vm->info, disk->name);

	g_ptr_array_add(row->disk_ids, g_strdup(known && known->image_id ? known->image_id : ""));
}

static void add_nic(struct vm_figures_row *row, const struct vm *vm, const struct nic_sample *nic)
{
	const struct domain_nic *known = domain_info_nic(vm->info, nic->name);

	g_ptr_array_add(row->nic_macs, g_strdup(known && known->mac ? known->mac : ""));
}

static void fill_facts(const struct vm *vm, struct vm_figures_row *row)
{
	const struct vm_sample *s = vm->sample;

	row->disk_ids = strings_new();
	row->nic_macs = strings_new();
	row->display_info = list_new();
	for (guint i = 0; vm->info && i < vm->info->displays->len; i++)
		g_ptr_array_add(row->display_info, record_ref(vm->info->displays->pdata[i]));
	set_string(&row->guest_ips, vm->guest.ips);
	set_string(&row->guest_fqdn, vm->guest.fqdn);
	row->guest_os_info = json_incref(vm->guest.os_info);
	for (unsigned i = 0; s && i < s->monitor.n_disks; i++)
		add_disk(row, vm, &s->monitor.disks[i]);
	for (unsigned i = 0; s && i < s->kernel.n_nics; i++)
		if (*s->kernel.nics[i].name)
			add_nic(row, vm, &s->kernel.nics[i]);
}

/* FNV-1a of what would be told. */
static char *digest(const struct vm *vm)
{
	struct vm_figures_row *facts = record_new(&vm_figures_row_type);
	g_autofree char *text = NULL;
	uint64_t hash = 0xcbf29ce484222325u;

	fill_facts(vm, facts);
	text = record_to_text(facts, RECORD_CHANNEL);
	record_unref(facts);
	for (const char *p = text; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
	return g_strdup_printf("%016" PRIx64, hash);
}

/* ---- figures ---- */

static uint64_t taken(const struct vm *vm, const struct disk_sample *disk)
{
	const struct domain_disk *known = domain_info_disk(vm->info, disk->name);
	const struct disk_sizes *sizes = known && known->path ? g_hash_table_lookup(vm->disk_sizes, known->path) : NULL;

	return sizes ? sizes->taken : disk->physical;
}

static json_t *numbers(const uint64_t *values, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_integer((json_int_t)MIN(values[i], INT64_MAX)));
	return array;
}

static void fill_figures(const struct vm *vm, struct vm_figures_row *row)
{
	const struct vm_sample *s = vm->sample;

	SET(row, cpu_user, s->cpu_user);
	SET(row, cpu_sys, s->cpu_sys);
	SET(row, sampled_usec, s->kernel.at_usec);
	row->disks = json_array();
	row->nics = json_array();
	for (unsigned i = 0; i < s->monitor.n_disks; i++) {
		const struct disk_sample *d = &s->monitor.disks[i];
		const uint64_t values[] = { taken(vm, d), d->read_rate, d->write_rate, d->read_latency, d->write_latency, d->flush_latency };

		json_array_append_new(row->disks, numbers(values, G_N_ELEMENTS(values)));
	}
	for (unsigned i = 0; i < s->kernel.n_nics; i++) {
		const struct nic_sample *n = &s->kernel.nics[i];
		const uint64_t values[] = { n->rx_bytes, n->tx_bytes, n->rx_errs, n->tx_errs };

		if (*n->name)
			json_array_append_new(row->nics, numbers(values, G_N_ELEMENTS(values)));
	}
}

static void take_state(struct vm_figures_row *row, struct vm_stats *stats)
{
	row->vm_id = g_steal_pointer(&stats->vm_id);
	SET(row, status, stats->status);
	SET(row, status_time, stats->status_time);
	if (HAS(stats, exit_code)) {
		SET(row, exit_code, stats->exit_code);
		SET(row, exit_reason, stats->exit_reason);
		row->exit_message = g_steal_pointer(&stats->exit_message);
	}
	if (g_strcmp0(stats->pause_code, "NOERR") != 0)
		row->pause_code = g_steal_pointer(&stats->pause_code);
}

void vm_locked_write_figures(struct vm *vm, bool facts, GString *out)
{
	struct vm_stats *stats = record_new(&vm_stats_type);
	struct vm_figures_row *row = record_new(&vm_figures_row_type);
	bool runs = vm_locked_fill_state(vm, stats);

	take_state(row, stats);
	if (runs) {
		SET(row, elapsed_time, vm_locked_elapsed(vm));
		if (vm->info)
			SET(row, mem_usage, vm_locked_mem_usage(vm));
		if (vm->balloon.ignored >= BALLOON_IGNORED)
			SET(row, balloon_ignored, (int)vm->balloon.ignored);
		if (vm->sample)
			fill_figures(vm, row);
		row->facts = digest(vm);
		if (facts)
			fill_facts(vm, row);
	}
	result_record(out, row);
	record_unref(row);
	record_unref(stats);
}
