/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/stats/vm_sample.h"

#include <stdlib.h>
#include <string.h>
#include "agent/virt/vm.h"
#include "common/lock.h"

#define DEVICES_MAX 128
/* A monitor that nobody need ask is asked so often nevertheless, to see that it answers. */
#define QUIET_USEC (25 * G_USEC_PER_SEC)

static void kernel_clear(struct kernel_part *part)
{
	g_free(part->nics);
	*part = (struct kernel_part){ 0 };
}

static void monitor_clear(struct monitor_part *part)
{
	g_free(part->disks);
	*part = (struct monitor_part){ 0 };
}

void vm_sample_free(struct vm_sample *sample)
{
	if (!sample)
		return;
	kernel_clear(&sample->kernel);
	monitor_clear(&sample->monitor);
	domain_info_unref(sample->info);
	g_free(sample->text);
	g_free(sample);
}

/* Lock held; the VM's, whose text is no longer true. */
static struct vm_sample *changed(struct vm *vm)
{
	if (!vm->sample)
		vm->sample = g_new0(struct vm_sample, 1);
	g_clear_pointer(&vm->sample->text, g_free);
	return vm->sample;
}

/* ---- reading the bulk answer ---- */

struct key { const char *name; size_t offset; };
#define DISK(key, member) { key, offsetof(struct disk_sample, member) }
#define NIC(key, member) { key, offsetof(struct nic_sample, member) }
#define MEMORY(key, member) { key, offsetof(struct monitor_part, member) }
#define CPU(key, member) { key, offsetof(struct kernel_part, member) }
static const struct key disk_keys[] = {
	DISK("rd.reqs", rd_reqs), DISK("rd.bytes", rd_bytes), DISK("rd.times", rd_times), DISK("wr.reqs", wr_reqs), DISK("wr.bytes", wr_bytes),
	DISK("wr.times", wr_times), DISK("fl.reqs", fl_reqs), DISK("fl.times", fl_times), DISK("physical", physical), { NULL, 0 },
};
static const struct key nic_keys[] = {
	NIC("rx.bytes", rx_bytes), NIC("tx.bytes", tx_bytes), NIC("rx.errs", rx_errs), NIC("tx.errs", tx_errs), NIC("rx.drop", rx_drop),
	NIC("tx.drop", tx_drop), { NULL, 0 },
};
static const struct key memory_keys[] = {
	MEMORY("balloon.current", balloon_current), MEMORY("balloon.available", available), MEMORY("balloon.unused", unused),
	MEMORY("balloon.disk_caches", disk_caches), MEMORY("balloon.swap_in", swap_in), MEMORY("balloon.swap_out", swap_out),
	MEMORY("balloon.major_fault", major_fault), MEMORY("balloon.minor_fault", minor_fault), { NULL, 0 },
};
static const struct key cpu_keys[] = {
	CPU("cpu.time", cpu_time), CPU("cpu.user", cpu_user), CPU("cpu.system", cpu_system), { NULL, 0 },
};
#undef DISK
#undef NIC
#undef MEMORY
#undef CPU

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

static void store(void *base, const struct key *keys, const char *name, const virTypedParameter *param)
{
	for (; keys->name; keys++)
		if (!strcmp(keys->name, name)) {
			*(uint64_t *)((char *)base + keys->offset) = number_of(param);
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

/* The index-th of an array of n, which grows with zeros. */
static void *at_index(void *array, unsigned *n, unsigned index, size_t size)
{
	char **items = array;

	if (index >= *n) {
		*items = g_realloc_n(*items, index + 1, size);
		memset(*items + *n * size, 0, (index + 1 - *n) * size);
		*n = index + 1;
	}
	return *items + index * size;
}

static void read_param(struct kernel_part *kernel, struct monitor_part *monitor, const virTypedParameter *param)
{
	const char *rest;
	int i;

	if ((i = indexed(param->field, "block.", &rest)) >= 0) {
		struct disk_sample *disk = at_index(&monitor->disks, &monitor->n_disks, (unsigned)i, sizeof(*disk));

		if (!strcmp(rest, "name"))
			g_strlcpy(disk->name, param->value.s, sizeof(disk->name));
		else
			store(disk, disk_keys, rest, param);
	} else if ((i = indexed(param->field, "net.", &rest)) >= 0) {
		struct nic_sample *nic = at_index(&kernel->nics, &kernel->n_nics, (unsigned)i, sizeof(*nic));

		if (!strcmp(rest, "name"))
			g_strlcpy(nic->name, param->value.s, sizeof(nic->name));
		else
			store(nic, nic_keys, rest, param);
	} else {
		kernel->has_cpu |= !strcmp(param->field, "cpu.time");
		monitor->has_memory |= !strcmp(param->field, "balloon.unused");
		store(kernel, cpu_keys, param->field, param);
		store(monitor, memory_keys, param->field, param);
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

static uint64_t each(uint64_t sum, uint64_t n)
{
	return n ? sum / n : 0;
}

static void disk_rates(struct disk_sample *now, const struct disk_sample *before, double seconds)
{
	now->read_rate = (uint64_t)((double)since(now->rd_bytes, before->rd_bytes) / seconds);
	now->write_rate = (uint64_t)((double)since(now->wr_bytes, before->wr_bytes) / seconds);
	now->read_latency = each(since(now->rd_times, before->rd_times), since(now->rd_reqs, before->rd_reqs));
	now->write_latency = each(since(now->wr_times, before->wr_times), since(now->wr_reqs, before->wr_reqs));
	now->flush_latency = each(since(now->fl_times, before->fl_times), since(now->fl_reqs, before->fl_reqs));
}

static void monitor_rates(struct vm_sample *s, struct monitor_part *now)
{
	const struct monitor_part *before = &s->monitor;
	double seconds = (double)(now->at_usec - before->at_usec) / 1e6;

	s->swap_in = s->swap_out = s->major_fault = s->minor_fault = 0;
	if (!before->at_usec || seconds <= 0)
		return;
	s->swap_in = (int64_t)((double)since(now->swap_in, before->swap_in) / seconds);
	s->swap_out = (int64_t)((double)since(now->swap_out, before->swap_out) / seconds);
	s->major_fault = (int64_t)((double)since(now->major_fault, before->major_fault) / seconds);
	s->minor_fault = (int64_t)((double)since(now->minor_fault, before->minor_fault) / seconds);
	for (unsigned i = 0; i < now->n_disks && i < before->n_disks; i++)
		if (!strcmp(now->disks[i].name, before->disks[i].name))
			disk_rates(&now->disks[i], &before->disks[i], seconds);
}

static void kernel_rates(struct vm_sample *s, const struct kernel_part *now)
{
	const struct kernel_part *before = &s->kernel;
	double seconds = (double)(now->at_usec - before->at_usec) / 1e6;

	s->has_rates = before->at_usec && seconds > 0 && now->has_cpu && before->has_cpu;
	if (s->has_rates) {
		double all = (double)since(now->cpu_time, before->cpu_time) / 1e9;
		double own = (double)since(now->cpu_user + now->cpu_system, before->cpu_user + before->cpu_system) / 1e9;

		s->cpu_user = MAX(0.0, (all - own) / seconds * 100);
		s->cpu_sys = own / seconds * 100;
	}
}

/* ---- taking ---- */

static void take_kernel(struct vm_sample *s, struct kernel_part *part)
{
	if (s->kernel.at_usec > part->at_usec) {
		kernel_clear(part);     /* a call that was stuck, with old news */
		return;
	}
	kernel_rates(s, part);
	kernel_clear(&s->kernel);
	s->kernel = *part;
	*part = (struct kernel_part){ 0 };
}

void vm_sample_kernel(struct vm *vm, struct kernel_part *part)
{
	AUTO_LOCK(&vm->vms->lock);
	struct vm_sample *s = changed(vm);

	take_kernel(s, part);
	if (s->info != vm->info) {
		domain_info_unref(s->info);
		s->info = vm->info ? domain_info_ref(vm->info) : NULL;
		s->vcpus_ran = 0;
	}
}

bool vm_sample_is_quiet(const struct vm *vm, const struct kernel_part *now)
{
	const struct vm_sample *s = vm->sample;

	return s && !vm->late && s->answered_usec && now->at_usec - s->answered_usec < QUIET_USEC && now->vcpus_ran && now->vcpus_ran == s->vcpus_ran &&
	       s->info == vm->info;
}

void vm_sample_unchanged(struct vm *vm, int64_t at_usec)
{
	AUTO_LOCK(&vm->vms->lock);
	struct vm_sample *s = changed(vm);

	s->swap_in = s->swap_out = s->major_fault = s->minor_fault = 0;
	for (unsigned i = 0; i < s->monitor.n_disks; i++) {
		struct disk_sample *d = &s->monitor.disks[i];

		d->read_rate = d->write_rate = d->read_latency = d->write_latency = d->flush_latency = 0;
	}
	s->monitor.at_usec = at_usec;
}

bool vm_sample_told(struct vm *vm, const virDomainStatsRecord *record, bool everything, int64_t at_usec)
{
	struct kernel_part kernel = { .at_usec = at_usec };
	struct monitor_part monitor = { .at_usec = at_usec };
	struct vm_sample *s;

	if (!has_answered(record))
		return false;
	for (int i = 0; i < record->nparams; i++)
		read_param(&kernel, &monitor, &record->params[i]);
	AUTO_LOCK(&vm->vms->lock);
	s = changed(vm);
	if (everything)
		take_kernel(s, &kernel);
	kernel_clear(&kernel);
	if (s->monitor.at_usec > at_usec) {
		monitor_clear(&monitor);
		return true;
	}
	monitor_rates(s, &monitor);
	monitor_clear(&s->monitor);
	s->monitor = monitor;
	s->answered_usec = at_usec;
	/* Both as seen before the monitor was asked: what ran or came in between did so since. */
	s->vcpus_ran = s->kernel.at_usec == at_usec && s->info == vm->info ? s->kernel.vcpus_ran : 0;
	return true;
}
