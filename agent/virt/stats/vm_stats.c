/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of VMs, as VM.getStats and Host.getAllVmStats answer them. Nobody is asked for anything here: vm_sampling.c takes the numbers, events
 * and the guest's agent tell the rest.
 *
 * An answer about hundreds of VMs is mostly text that is the same as in the last one. So what a VM has to tell is written in parts, each kept with what it
 * was made of and gone with that, so that nobody has to remember to say that it changed:
 *
 *   sample   network, disks, guest memory, processor use   vm->sample->text     cleared where a sample is taken (vm_sample.c)
 *   domain   displays, hash, limits                         vm->info->text       another XML is another domain_info
 *   guest    all that its agent told                        vm->guest.text       cleared where it is asked (guest_facts.c)
 *   now      everything else: states and what time alone changes; written each time
 *
 * A member belongs to one part. A part is a `struct vm_stats` with only its members present, written by the same table as the whole; the two big maps, of
 * NICs and disks, are written straight from their counters.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "agent/events.h"
#include "agent/virt/disk/block_jobs.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/migration/migration.h"
#include "agent/virt/stats/balloons.h"
#include "agent/virt/stats/vm_sample.h"
#include "agent/virt/vm.h"

#define SILENT_USEC (60 * G_USEC_PER_SEC)

static json_t *text(uint64_t value)
{
	char buffer[24];

	snprintf(buffer, sizeof(buffer), "%" PRIu64, value);
	return json_string_nocheck(buffer);
}

/* ---- sample ---- */

static void write_number(struct writer *w, const char *name, uint64_t value)
{
	char buffer[24], *p = buffer + sizeof(buffer);

	*--p = '\0';
	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	writer_text(w, name, p);
}

static void write_disk(struct writer *w, const struct vm *vm, const struct disk_sample *d)
{
	const struct domain_disk *known = domain_info_disk(vm->info, d->name);
	const struct disk_sizes *sizes = known && known->path ? g_hash_table_lookup(vm->disk_sizes, known->path) : NULL;

	writer_open(w, d->name);
	write_number(w, "truesize", sizes ? sizes->taken : d->physical);
	write_number(w, "apparentsize", sizes ? sizes->apparent : d->physical);
	if (known && known->image_id)
		writer_text(w, "imageID", known->image_id);
	else if (known && known->lun_guid)
		writer_text(w, "lunGUID", known->lun_guid);
	write_number(w, "readRate", d->read_rate);
	write_number(w, "writeRate", d->write_rate);
	write_number(w, "readLatency", d->read_latency);
	write_number(w, "writeLatency", d->write_latency);
	write_number(w, "flushLatency", d->flush_latency);
	write_number(w, "readOps", d->rd_reqs);
	write_number(w, "writeOps", d->wr_reqs);
	write_number(w, "readBytes", d->rd_bytes);
	write_number(w, "writtenBytes", d->wr_bytes);
	writer_close(w);
}

static void write_nic(struct writer *w, const struct domain_info *info, const struct nic_sample *n, int64_t at_usec)
{
	const struct domain_nic *known = domain_info_nic(info, n->name);
	bool fast = known && known->model && (g_str_has_prefix(known->model, "virtio") || g_str_has_prefix(known->model, "e1000"));
	char seconds[32];

	writer_open(w, n->name);
	writer_text(w, "macAddr", known && known->mac ? known->mac : "");
	writer_text(w, "name", n->name);
	writer_text(w, "speed", fast ? "1000" : "100");
	writer_text(w, "state", "unknown");
	write_number(w, "rx", n->rx_bytes);
	write_number(w, "tx", n->tx_bytes);
	write_number(w, "rxErrors", n->rx_errs);
	write_number(w, "txErrors", n->tx_errs);
	write_number(w, "rxDropped", n->rx_drop);
	write_number(w, "txDropped", n->tx_drop);
	snprintf(seconds, sizeof(seconds), "%" PRId64 ".%06d", at_usec / G_USEC_PER_SEC, (int)(at_usec % G_USEC_PER_SEC));
	writer_number(w, "sampleTime", seconds);
	writer_close(w);
}

struct devices { const struct vm *vm; bool nics, disks; };

/* record_view.extra */
static void write_devices(const struct record_view *view, struct writer *w, const void *record)
{
	const struct devices *wanted = view->data;
	const struct vm *vm = wanted->vm;
	const struct kernel_part *kernel = &vm->sample->kernel;
	const struct monitor_part *monitor = &vm->sample->monitor;
	unsigned shown = 0;

	/* A NIC without a name has no link on the host: libvirt leaves its number out. */
	for (unsigned i = 0; i < kernel->n_nics && wanted->nics; i++)
		if (*kernel->nics[i].name) {
			if (!shown++)
				writer_open(w, "network");
			write_nic(w, vm->info, &kernel->nics[i], kernel->at_usec);
		}
	if (shown)
		writer_close(w);
	if (!monitor->n_disks || !wanted->disks)
		return;
	writer_open(w, "disks");
	for (unsigned i = 0; i < monitor->n_disks; i++)
		write_disk(w, vm, &monitor->disks[i]);
	writer_close(w);
}

static void fill_sample(const struct vm *vm, struct vm_stats *stats)
{
	const struct vm_sample *s = vm->sample;
	const struct monitor_part *m = &s->monitor;

	SET(stats, cpu_user, s->cpu_user);
	SET(stats, cpu_sys, s->cpu_sys);
	SET(stats, cpu_usage, (int64_t)(s->kernel.cpu_user + s->kernel.cpu_system));
	SET(stats, cpu_actual, s->has_rates);
	if (m->has_memory)
		stats->memory_stats = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "mem_total", text(m->available), "mem_unused", text(m->unused),
						"mem_free", text(m->unused + m->disk_caches), "swap_in", (json_int_t)s->swap_in, "swap_out",
						(json_int_t)s->swap_out, "majflt", (json_int_t)s->major_fault, "minflt", (json_int_t)s->minor_fault,
						"pageflt", (json_int_t)(s->major_fault + s->minor_fault));
}

/* ---- domain ---- */

static GPtrArray *shared_list(const GPtrArray *records)
{
	GPtrArray *list = list_new();

	for (guint i = 0; i < records->len; i++)
		g_ptr_array_add(list, record_ref(records->pdata[i]));
	return list;
}

static void fill_domain(const struct vm *vm, struct vm_stats *stats)
{
	const struct domain_info *info = vm->info;

	stats->display_info = shared_list(info->displays);
	set_string(&stats->hash, info->hash);
	stats->io_tune = json_incref(info->io_tune);
	if (info->vcpu_quota)
		SET(stats, vcpu_quota, info->vcpu_quota);
	if (info->vcpu_period)
		SET(stats, vcpu_period, (int)info->vcpu_period);
	if (info->vcpu_limit)
		SET(stats, vcpu_user_limit, info->vcpu_limit);
}

/* ---- guest ---- */

static void add_app(struct vm_stats *stats, const char *name, const char *version)
{
	if (version)
		g_ptr_array_add(stats->apps_list, g_strconcat(name, "-", version, NULL));
}

static void fill_guest(const struct vm *vm, struct vm_stats *stats)
{
	const struct guest_facts *g = &vm->guest;
	g_autofree char *label = g->fqdn ? g_strndup(g->fqdn, strcspn(g->fqdn, ".")) : NULL;
	bool logged_on = g->username && strcmp(g->username, "None");

	set_string(&stats->username, g->username ? g->username : "Unknown");
	set_string(&stats->session, !g->username ? "Unknown" : logged_on ? "UserLoggedOn" : "LoggedOff");
	SET(stats, guest_cpu_count, g->cpu_count);
	stats->apps_list = strings_new();
	add_app(stats, "kernel", g->kernel);
	add_app(stats, "qemu-guest-agent", g->agent_version);
	set_string(&stats->guest_ips, g->ips ? g->ips : "");
	set_string(&stats->guest_fqdn, g->fqdn ? g->fqdn : "");
	set_string(&stats->guest_name, label);
	set_string(&stats->guest_os, g->os);
	if (g->last_login > 0)
		SET(stats, last_login, g->last_login);
	stats->pci_devices = json_incref(g->pci_devices);
	stats->guest_os_info = json_incref(g->os_info);
	stats->guest_timezone = json_incref(g->timezone);
	if (g->nics)
		stats->net_ifaces = shared_list(g->nics);
	if (g->filesystems)
		stats->disks_usage = shared_list(g->filesystems);
}

/* ---- now ---- */

bool vm_locked_balloon(const struct vm *vm, struct balloon *ret)
{
	const struct monitor_part *m = vm->sample ? &vm->sample->monitor : NULL;
	struct balloon b = { .used_kib = -1 };

	if (!vm->info)
		return false;
	g_strlcpy(b.id, vm->id, sizeof(b.id));
	b.max_kib = b.guaranteed_kib = vm->info->max_memory_kib;
	b.current_kib = m && m->balloon_current ? (int64_t)m->balloon_current : vm->info->memory_kib;
	if (vm->params && HAS(vm->params, mem_guaranteed) && vm->params->mem_guaranteed > 0)
		b.guaranteed_kib = MIN(b.max_kib, (int64_t)vm->params->mem_guaranteed * 1024);
	b.sampled_usec = m ? m->at_usec : 0;
	if (m && m->has_memory)
		b.used_kib = MAX((int64_t)m->available - (int64_t)(m->unused + m->disk_caches), 0);
	*ret = b;
	return b.current_kib > 0;
}

int vm_locked_mem_usage(const struct vm *vm)
{
	const struct monitor_part *m = vm->sample ? &vm->sample->monitor : NULL;

	if (vm->guest.mem_usage || !m || !m->has_memory || !vm->info->memory_kib)
		return vm->guest.mem_usage;
	return (int)(100 - MIN(100 * (m->unused + m->disk_caches) / (uint64_t)vm->info->memory_kib, 100));
}

static void fill_memory(const struct vm *vm, struct vm_stats *stats)
{
	struct balloon b;

	if (vm_locked_balloon(vm, &b))
		stats->balloon_info = json_pack("{s:o, s:o, s:o, s:o, s:b}", "balloon_max", text((uint64_t)b.max_kib), "balloon_min",
						text((uint64_t)b.guaranteed_kib), "balloon_cur", text((uint64_t)b.current_kib), "balloon_target",
						text((uint64_t)b.current_kib), "ballooning_enabled", vm->info->balloon);
	SET(stats, mem_usage, vm_locked_mem_usage(vm));
}

int64_t vm_locked_elapsed(const struct vm *vm)
{
	return vm->start_time > 0 ? MAX((int64_t)((double)wall_msec() / 1e3 - vm->start_time), 0) : 0;
}

static void fill_now(const struct vm *vm, struct vm_stats *stats)
{
	const struct vm_sample *s = vm->sample;
	int64_t answered = s && s->answered_usec ? s->answered_usec : vm->running_since_usec;

	SET(stats, elapsed_time, vm_locked_elapsed(vm));
	SET(stats, monitor_response, now_usec() - answered > MAX(SILENT_USEC, 2 * vm->vms->sampling.period_usec) ? -1 : 0);
	set_string(&stats->client_ip, vm->client_ip ? vm->client_ip : "");
	stats->ioerror = json_incref(vm->ioerror);
	stats->vm_jobs = block_jobs_locked(vm);
	stats->watchdog_event = json_incref(vm->watchdog_event);
	set_string(&stats->tpm_hash, vm->external[EXTERNAL_TPM].hash);
	set_string(&stats->nvram_hash, vm->external[EXTERNAL_NVRAM].hash);
	if (vm->info) {
		/* Somebody else may plug some, which is not told; as soon as it is told what we did, that is newer. */
		SET(stats, vcpu_count, s && s->info == vm->info && s->kernel.n_vcpus ? (int)s->kernel.n_vcpus : vm->info->vcpus);
		fill_memory(vm, stats);
	}
	if (s)
		return;
	SET(stats, cpu_user, 0);
	SET(stats, cpu_sys, 0);
	SET(stats, cpu_usage, 0);
	SET(stats, cpu_actual, false);
}

bool vm_locked_fill_state(struct vm *vm, struct vm_stats *stats)
{
	set_string(&stats->vm_id, vm->id);
	SET(stats, status, vm->status);
	SET(stats, status_time, events_time());
	set_string(&stats->vm_name, vm->name);
	SET(stats, time_offset, (int)vm->time_offset);
	if (vm->status == VM_WIRE_DOWN) {
		SET(stats, exit_code, vm->exit_code);
		SET(stats, exit_reason, vm->exit_reason);
		set_string(&stats->exit_message, vm->exit_message ? vm->exit_message : "");
		return false;
	}
	set_string(&stats->vm_type, "kvm");
	set_string(&stats->kvm_enable, vm->info && vm->info->kvm ? "true" : "false");
	set_string(&stats->acpi_enable, vm->info && vm->info->acpi ? "true" : "false");
	if (vm->status == VM_WIRE_WAIT_FOR_LAUNCH)
		return false;
	if (migration_locked_progress(vm) >= 0)
		SET(stats, migration_progress, migration_locked_progress(vm));
	set_string(&stats->pause_code, vm->pause_code);
	if (!migration_locked_postcopy(vm))
		return true;
	CLEAR(stats, time_offset);              /* it runs on the other host, which tells the rest */
	return false;
}

/* ---- putting it together ---- */

static void write_whole(GString *out, const struct vm_stats *stats, struct devices *devices)
{
	struct record_view view = { .extra = write_devices, .data = devices };
	struct writer *w = writer_new_json(out, RECORD_CHANNEL, false);

	record_write(w, NULL, stats, devices->vm->sample ? &view : NULL);
	writer_free(w);
}

/* Only what was asked for. */
static void write_chosen(struct vm *vm, struct vm_stats *stats, bool runs, const GPtrArray *fields, GString *out)
{
	struct devices devices = { .vm = vm, .nics = runs, .disks = runs };

	if (runs && vm->sample)
		fill_sample(vm, stats);
	if (runs && vm->info)
		fill_domain(vm, stats);
	if (runs)
		fill_guest(vm, stats);
	for (size_t i = 0; i < vm_stats_type.n_fields; i++) {
		const struct field *field = &vm_stats_type.fields[i];
		bool wanted = field->offset == offsetof(struct vm_stats, vm_id);

		for (guint k = 0; k < fields->len && !wanted; k++)
			wanted = !strcmp(fields->pdata[k], field->path);
		devices.nics &= wanted || field->offset != offsetof(struct vm_stats, network);
		devices.disks &= wanted || field->offset != offsetof(struct vm_stats, disks);
		if (!wanted)
			record_clear(stats, field->offset);
	}
	write_whole(out, stats, &devices);
}

/* Appends the members of a part to the object that is open at the end of out; *text keeps them. */
static void write_part(struct vm *vm, char **text, void (*fill)(const struct vm *, struct vm_stats *), bool has_devices, GString *out)
{
	if (!*text) {
		struct devices devices = { .vm = vm, .nics = has_devices, .disks = has_devices };
		g_autoptr(GString) part = g_string_new(NULL);
		struct vm_stats *stats = record_new(&vm_stats_type);

		fill(vm, stats);
		write_whole(part, stats, &devices);
		record_unref(stats);
		*text = g_strndup(part->str + 1, part->len - 2);         /* without braces */
	}
	if (**text) {
		g_string_append(out, ", ");
		g_string_append(out, *text);
	}
}

void vm_locked_write_stats(struct vm *vm, const GPtrArray *fields, GString *out)
{
	struct vm_stats *stats = record_new(&vm_stats_type);
	bool runs = vm_locked_fill_state(vm, stats);

	if (runs)
		fill_now(vm, stats);
	if (fields) {
		write_chosen(vm, stats, runs, fields, out);
	} else {
		result_record(out, stats);
		g_string_truncate(out, out->len - 1);
		if (runs && vm->sample)
			write_part(vm, &vm->sample->text, fill_sample, true, out);
		if (runs && vm->info)
			write_part(vm, &vm->info->text, fill_domain, false, out);
		if (runs)
			write_part(vm, &vm->guest.text, fill_guest, false, out);
		g_string_append_c(out, '}');
	}
	record_unref(stats);
}
