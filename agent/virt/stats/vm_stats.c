/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of VMs.
 *
 * vm_sampling.c asks libvirt for the numbers of all VMs once a period; each VM keeps what came of its last two samples (struct vm_sample): counters,
 * rates between them, and the JSON of its disks and NICs, ready to be sent. VM.getStats and getAllVmStats only put this together and
 * never ask libvirt.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "agent/events.h"
#include "agent/virt/disk/block_jobs.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/migration/migration.h"
#include "agent/virt/stats/vm_sample.h"
#include "agent/virt/vm.h"
#include "common/lock.h"

#define SILENT_USEC (60 * G_USEC_PER_SEC)
#define DEVICES_MAX 128

static void counters_clear(struct counters *c)
{
	g_free(c->disks);
	g_free(c->nics);
	*c = (struct counters){ 0 };
}

void vm_sample_free(struct vm_sample *sample)
{
	if (!sample)
		return;
	counters_clear(&sample->last);
	json_decref(sample->network);
	json_decref(sample->disks);
	json_decref(sample->memory);
	g_free(sample);
}

/* ---- reading the bulk answer ---- */

struct key { const char *name; size_t offset; };
#define DISK(key, member) { key, offsetof(struct disk_sample, member) }
#define NIC(key, member) { key, offsetof(struct nic_sample, member) }
#define VM(key, member) { key, offsetof(struct counters, member) }
static const struct key disk_keys[] = {
	DISK("rd.reqs", rd_reqs), DISK("rd.bytes", rd_bytes), DISK("rd.times", rd_times), DISK("wr.reqs", wr_reqs), DISK("wr.bytes", wr_bytes),
	DISK("wr.times", wr_times), DISK("fl.reqs", fl_reqs), DISK("fl.times", fl_times), DISK("physical", physical),
};
static const struct key nic_keys[] = {
	NIC("rx.bytes", rx_bytes), NIC("tx.bytes", tx_bytes), NIC("rx.errs", rx_errs), NIC("tx.errs", tx_errs), NIC("rx.drop", rx_drop),
	NIC("tx.drop", tx_drop),
};
static const struct key vm_keys[] = {
	VM("cpu.time", cpu_time), VM("cpu.user", cpu_user), VM("cpu.system", cpu_system), VM("balloon.current", balloon_current),
	VM("balloon.available", available), VM("balloon.unused", unused), VM("balloon.disk_caches", disk_caches), VM("balloon.swap_in", swap_in),
	VM("balloon.swap_out", swap_out), VM("balloon.major_fault", major_fault), VM("balloon.minor_fault", minor_fault),
};
#undef DISK
#undef NIC
#undef VM

static uint64_t number_of(const virTypedParameter *param)
{
	switch (param->type) {
	case VIR_TYPED_PARAM_INT: return (uint64_t)MAX(param->value.i, 0);
	case VIR_TYPED_PARAM_UINT: return param->value.ui;
	case VIR_TYPED_PARAM_LLONG: return (uint64_t)MAX(param->value.l, 0);
	case VIR_TYPED_PARAM_ULLONG: return param->value.ul;
	default: return 0;
	}
}

static void store(void *base, const struct key *keys, size_t n, const char *name, const virTypedParameter *param)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(keys[i].name, name)) {
			*(uint64_t *)((char *)base + keys[i].offset) = number_of(param);
			return;
		}
}

/* "block.3.rd.reqs": the index; *ret_rest: "rd.reqs". -1 when it is not of that form. */
static int indexed(const char *field, const char *prefix, const char **ret_rest)
{
	size_t length = strlen(prefix);
	char *end;
	long index;

	if (strncmp(field, prefix, length) || !g_ascii_isdigit(field[length]))
		return -1;
	index = strtol(field + length, &end, 10);
	*ret_rest = *end == '.' ? end + 1 : end;
	return index < DEVICES_MAX ? (int)index : -1;
}

static void read_param(struct counters *c, const virTypedParameter *param)
{
	const char *rest;
	int i;

	if ((i = indexed(param->field, "block.", &rest)) >= 0) {
		if ((unsigned)i >= c->n_disks) {
			c->disks = g_renew(struct disk_sample, c->disks, (size_t)i + 1);
			memset(c->disks + c->n_disks, 0, ((size_t)i + 1 - c->n_disks) * sizeof(*c->disks));
			c->n_disks = (unsigned)i + 1;
		}
		if (!strcmp(rest, "name"))
			g_strlcpy(c->disks[i].name, param->value.s, sizeof(c->disks[i].name));
		else
			store(&c->disks[i], disk_keys, G_N_ELEMENTS(disk_keys), rest, param);
	} else if ((i = indexed(param->field, "net.", &rest)) >= 0) {
		if ((unsigned)i >= c->n_nics) {
			c->nics = g_renew(struct nic_sample, c->nics, (size_t)i + 1);
			memset(c->nics + c->n_nics, 0, ((size_t)i + 1 - c->n_nics) * sizeof(*c->nics));
			c->n_nics = (unsigned)i + 1;
		}
		if (!strcmp(rest, "name"))
			g_strlcpy(c->nics[i].name, param->value.s, sizeof(c->nics[i].name));
		else
			store(&c->nics[i], nic_keys, G_N_ELEMENTS(nic_keys), rest, param);
	} else if (!strcmp(param->field, "vcpu.current")) {
		c->vcpus = (int)number_of(param);
	} else {
		c->has_cpu |= !strcmp(param->field, "cpu.time");
		c->has_memory |= !strcmp(param->field, "balloon.unused");
		store(c, vm_keys, G_N_ELEMENTS(vm_keys), param->field, param);
	}
}

/* A VM whose monitor was busy comes with the cheap keys only. */
static bool has_answered(const virDomainStatsRecord *record)
{
	for (int i = 0; i < record->nparams; i++)
		if (!strcmp(record->params[i].field, "balloon.rss") || g_str_has_suffix(record->params[i].field, ".rd.reqs"))
			return true;
	return false;
}

/* ---- what comes of two samples ---- */

static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static json_t *text(uint64_t value)
{
	char buffer[24];

	snprintf(buffer, sizeof(buffer), "%" PRIu64, value);
	return json_string_nocheck(buffer);
}

static const struct disk_sample *disk_before(const struct counters *before, const struct disk_sample *disk, unsigned i)
{
	return before->at_usec && i < before->n_disks && !strcmp(before->disks[i].name, disk->name) ? &before->disks[i] : NULL;
}

static json_t *disks_json(const struct counters *now, const struct counters *before, double seconds, const struct vm *vm)
{
	json_t *map = json_object();

	for (unsigned i = 0; i < now->n_disks; i++) {
		const struct disk_sample *d = &now->disks[i], *b = disk_before(before, d, i);
		const struct domain_disk *known = domain_info_disk(vm->info, d->name);
		const struct disk_sizes *sizes = known && known->path ? g_hash_table_lookup(vm->disk_sizes, known->path) : NULL;
		json_t *disk = json_object();
		uint64_t rates[5] = { 0 };

		if (b && seconds > 0) {
			uint64_t reads = since(d->rd_reqs, b->rd_reqs), writes = since(d->wr_reqs, b->wr_reqs), flushes = since(d->fl_reqs, b->fl_reqs);

			rates[0] = (uint64_t)((double)since(d->rd_bytes, b->rd_bytes) / seconds);
			rates[1] = (uint64_t)((double)since(d->wr_bytes, b->wr_bytes) / seconds);
			rates[2] = reads ? since(d->rd_times, b->rd_times) / reads : 0;
			rates[3] = writes ? since(d->wr_times, b->wr_times) / writes : 0;
			rates[4] = flushes ? since(d->fl_times, b->fl_times) / flushes : 0;
		}
		json_object_set_new_nocheck(disk, "truesize", text(sizes ? sizes->taken : d->physical));
		json_object_set_new_nocheck(disk, "apparentsize", text(sizes ? sizes->apparent : d->physical));
		if (known && known->image_id)
			json_object_set_new_nocheck(disk, "imageID", json_string(known->image_id));
		else if (known && known->lun_guid)
			json_object_set_new_nocheck(disk, "lunGUID", json_string(known->lun_guid));
		json_object_set_new_nocheck(disk, "readRate", text(rates[0]));
		json_object_set_new_nocheck(disk, "writeRate", text(rates[1]));
		json_object_set_new_nocheck(disk, "readLatency", text(rates[2]));
		json_object_set_new_nocheck(disk, "writeLatency", text(rates[3]));
		json_object_set_new_nocheck(disk, "flushLatency", text(rates[4]));
		json_object_set_new_nocheck(disk, "readOps", text(d->rd_reqs));
		json_object_set_new_nocheck(disk, "writeOps", text(d->wr_reqs));
		json_object_set_new_nocheck(disk, "readBytes", text(d->rd_bytes));
		json_object_set_new_nocheck(disk, "writtenBytes", text(d->wr_bytes));
		json_object_set_new(map, d->name, disk);
	}
	return map;
}

static const struct domain_nic *known_nic(const struct domain_info *info, const char *target)
{
	for (guint i = 0; info && i < info->nics->len; i++) {
		const struct domain_nic *nic = info->nics->pdata[i];

		if (!g_strcmp0(nic->target, target))
			return nic;
	}
	return NULL;
}

static json_t *network_json(const struct counters *now, const struct domain_info *info)
{
	json_t *map = json_object();

	for (unsigned i = 0; i < now->n_nics; i++) {
		const struct nic_sample *n = &now->nics[i];
		const struct domain_nic *known = known_nic(info, n->name);
		bool fast = known && known->model && (g_str_has_prefix(known->model, "virtio") || g_str_has_prefix(known->model, "e1000"));
		json_t *nic;

		if (!*n->name)          /* libvirt leaves its number out: the NIC has no link on the host */
			continue;
		nic = json_object();
		json_object_set_new_nocheck(nic, "macAddr", json_string(known && known->mac ? known->mac : ""));
		json_object_set_new_nocheck(nic, "name", json_string(n->name));
		json_object_set_new_nocheck(nic, "speed", json_string_nocheck(fast ? "1000" : "100"));
		json_object_set_new_nocheck(nic, "state", json_string_nocheck("unknown"));
		json_object_set_new_nocheck(nic, "rx", text(n->rx_bytes));
		json_object_set_new_nocheck(nic, "tx", text(n->tx_bytes));
		json_object_set_new_nocheck(nic, "rxErrors", text(n->rx_errs));
		json_object_set_new_nocheck(nic, "txErrors", text(n->tx_errs));
		json_object_set_new_nocheck(nic, "rxDropped", text(n->rx_drop));
		json_object_set_new_nocheck(nic, "txDropped", text(n->tx_drop));
		json_object_set_new_nocheck(nic, "sampleTime", json_real((double)now->at_usec / 1e6));
		json_object_set_new(map, n->name, nic);
	}
	return map;
}

static void compute(struct vm_sample *s, const struct counters *before)
{
	const struct counters *now = &s->last;
	double seconds = before->at_usec ? (double)(now->at_usec - before->at_usec) / 1e6 : 0;

	s->interval_usec = before->at_usec ? now->at_usec - before->at_usec : 0;
	s->has_rates = seconds > 0 && now->has_cpu && before->has_cpu;
	if (s->has_rates) {
		double all = (double)since(now->cpu_time, before->cpu_time) / 1e9;
		double own = (double)since(now->cpu_user + now->cpu_system, before->cpu_user + before->cpu_system) / 1e9;

		s->cpu_user = MAX(0.0, (all - own) / seconds * 100);
		s->cpu_sys = own / seconds * 100;
	}
	if (seconds > 0) {
		s->swap_in = (int64_t)((double)since(now->swap_in, before->swap_in) / seconds);
		s->swap_out = (int64_t)((double)since(now->swap_out, before->swap_out) / seconds);
		s->major_fault = (int64_t)((double)since(now->major_fault, before->major_fault) / seconds);
		s->minor_fault = (int64_t)((double)since(now->minor_fault, before->minor_fault) / seconds);
	}
}

/* NULL: the guest does not tell. */
static json_t *memory_json(const struct vm_sample *s)
{
	const struct counters *c = &s->last;

	if (!c->has_memory)
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "mem_total", text(c->available), "mem_unused", text(c->unused), "mem_free",
			 text(c->unused + c->disk_caches), "swap_in", (json_int_t)s->swap_in, "swap_out", (json_int_t)s->swap_out, "majflt",
			 (json_int_t)s->major_fault, "minflt", (json_int_t)s->minor_fault, "pageflt", (json_int_t)s->major_fault + (json_int_t)s->minor_fault);
}

bool vm_stats_take(struct vm *vm, const virDomainStatsRecord *record, int64_t at_usec)
{
	struct vm_sample *sample, *old;
	struct domain_info *info;
	static const struct counters none;

	if (!has_answered(record))
		return false;
	sample = g_new0(struct vm_sample, 1);
	sample->last.at_usec = at_usec;
	for (int i = 0; i < record->nparams; i++)
		read_param(&sample->last, &record->params[i]);
	AUTO_LOCK(&vm->vms->lock);
	info = vm->info;
	old = vm->sample;
	if (old && old->last.at_usec > at_usec) {
		vm_sample_free(sample);         /* a call that was stuck, with old news */
		return true;
	}
	compute(sample, old ? &old->last : &none);
	sample->disks = disks_json(&sample->last, old ? &old->last : &none, (double)sample->interval_usec / 1e6, vm);
	sample->network = network_json(&sample->last, info);
	sample->memory = memory_json(sample);
	vm->sample = sample;
	vm_sample_free(old);
	return true;
}

/* ---- what is sent ---- */

static void fill_memory(const struct vm *vm, struct vm_stats *stats, const struct counters *c)
{
	const struct domain_info *info = vm->info;
	uint64_t current = c && c->balloon_current ? c->balloon_current : (uint64_t)info->memory_kib, least = (uint64_t)info->max_memory_kib;
	int used = vm->guest.mem_usage;

	if (vm->params && HAS(vm->params, mem_guaranteed) && vm->params->mem_guaranteed > 0)
		least = MIN(least, (uint64_t)vm->params->mem_guaranteed * 1024);
	if (current)
		stats->balloon_info = json_pack("{s:o, s:o, s:o, s:o, s:b}", "balloon_max", text((uint64_t)info->max_memory_kib), "balloon_min", text(least),
						"balloon_cur", text(current), "balloon_target", text(current), "ballooning_enabled", info->balloon);
	if (c && c->has_memory) {
		const struct vm_sample *s = vm->sample;
		uint64_t unused = c->unused + c->disk_caches;

		stats->memory_stats = json_incref(s->memory);
		if (!used && info->memory_kib)
			used = (int)(100 - MIN(100 * unused / (uint64_t)info->memory_kib, 100));
	}
	SET(stats, mem_usage, used);
}

static void fill_sample(const struct vm *vm, struct vm_stats *stats)
{
	const struct vm_sample *s = vm->sample;
	int64_t age = now_usec() - (s ? s->last.at_usec : vm->running_since_usec);

	SET(stats, monitor_response, age > SILENT_USEC ? -1 : 0);
	SET(stats, cpu_user, s ? s->cpu_user : 0);
	SET(stats, cpu_sys, s ? s->cpu_sys : 0);
	SET(stats, cpu_usage, s ? (int64_t)(s->last.cpu_user + s->last.cpu_system) : 0);
	SET(stats, cpu_actual, s && s->has_rates);
	if (s && s->last.vcpus)
		SET(stats, vcpu_count, s->last.vcpus);
	else if (vm->info)
		SET(stats, vcpu_count, vm->info->vcpus);
	if (s && json_object_size(s->network))
		stats->network = json_incref(s->network);
	if (s && json_object_size(s->disks))
		stats->disks = json_incref(s->disks);
	if (vm->info)
		fill_memory(vm, stats, s ? &s->last : NULL);
}

static void fill_processors(const struct domain_info *info, struct vm_stats *stats)
{
	if (info->vcpu_quota)
		SET(stats, vcpu_quota, info->vcpu_quota);
	if (info->vcpu_period)
		SET(stats, vcpu_period, (int)info->vcpu_period);
	if (info->vcpu_limit)
		SET(stats, vcpu_user_limit, info->vcpu_limit);
}

static GPtrArray *shared_list(const GPtrArray *records)
{
	GPtrArray *list = list_new();

	for (guint i = 0; i < records->len; i++)
		g_ptr_array_add(list, record_ref(records->pdata[i]));
	return list;
}

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

struct vm_stats *vm_locked_stats(struct vm *vm)
{
	struct vm_stats *stats = record_new(&vm_stats_type);

	set_string(&stats->vm_id, vm->id);
	SET(stats, status, vm->status);
	SET(stats, status_time, events_time());
	set_string(&stats->vm_name, vm->name);
	SET(stats, time_offset, (int)vm->time_offset);
	if (vm->status == VM_WIRE_DOWN) {
		SET(stats, exit_code, vm->exit_code);
		SET(stats, exit_reason, vm->exit_reason);
		set_string(&stats->exit_message, vm->exit_message ? vm->exit_message : "");
		return stats;
	}
	set_string(&stats->vm_type, "kvm");
	set_string(&stats->kvm_enable, vm->info && vm->info->kvm ? "true" : "false");
	set_string(&stats->acpi_enable, vm->info && vm->info->acpi ? "true" : "false");
	if (vm->status == VM_WIRE_WAIT_FOR_LAUNCH)
		return stats;
	if (migration_locked_progress(vm) >= 0)
		SET(stats, migration_progress, migration_locked_progress(vm));
	if (migration_locked_postcopy(vm)) {
		/* It runs on the other host, which tells the rest. */
		set_string(&stats->pause_code, vm->pause_code);
		CLEAR(stats, time_offset);
		return stats;
	}
	SET(stats, elapsed_time, vm->start_time > 0 ? MAX((int64_t)((double)wall_msec() / 1e3 - vm->start_time), 0) : 0);
	set_string(&stats->client_ip, vm->client_ip ? vm->client_ip : "");
	set_string(&stats->pause_code, vm->pause_code);
	stats->ioerror = json_incref(vm->ioerror);
	fill_sample(vm, stats);
	stats->vm_jobs = block_jobs_locked(vm);
	if (vm->info) {
		stats->display_info = shared_list(vm->info->displays);
		set_string(&stats->hash, vm->info->hash);
		stats->io_tune = json_incref(vm->info->io_tune);
		fill_processors(vm->info, stats);
	}
	stats->watchdog_event = json_incref(vm->watchdog_event);
	set_string(&stats->tpm_hash, vm->external[EXTERNAL_TPM].hash);
	set_string(&stats->nvram_hash, vm->external[EXTERNAL_NVRAM].hash);
	fill_guest(vm, stats);
	return stats;
}
