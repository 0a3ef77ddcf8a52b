/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a guest changes its memory: VM.startDirtyRate begins a measurement in QEMU, which ends by itself; VM.getDirtyRate says what came of the last one.
 * QEMU keeps it, so nothing is lost with the agent. Units are QEMU's: MiB/s, whole numbers.
 *
 * Only page-sampling is for all VMs. The others count with the help of KVM, and a QEMU without it (7.2) does not refuse dirty-bitmap but crashes.
 */
#include "agent/virt/migration/dirty_rate.h"

#include <stdio.h>
#include <string.h>
#include "common/error.h"
#include "common/lock.h"
#include "proto/device.h"

static bool has_kvm(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->info && vm->info->kvm;
}

bool dirty_rate_start_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	static const unsigned flags[] = {
		[DIRTY_RATE_PAGES] = VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING, [DIRTY_RATE_BITMAP] = VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_BITMAP,
		[DIRTY_RATE_RING] = VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_RING,
	};
	const struct dirty_rate_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm ? vm_domain(vm, error) : NULL;

	if (!domain)
		return false;
	if (p->mode != DIRTY_RATE_PAGES && !has_kvm(vm)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "VM %s: mode %s needs hardware acceleration", p->vm_id, dirty_rate_modes[p->mode]);
		return false;
	}
	if (virDomainStartDirtyRateCalc(domain, p->seconds, flags[p->mode]) == 0)
		return true;
	libvirt_error_set(error, ERR_UNSUPPORTED_OPERATION, "VM %s: mode %s", p->vm_id, dirty_rate_modes[p->mode]);
	return false;
}

static json_t *per_vcpu(const virDomainStatsRecord *stats)
{
	json_t *list = json_array();
	unsigned long long rate;
	char name[64];

	for (unsigned i = 0;; i++) {
		g_snprintf(name, sizeof(name), "dirtyrate.vcpu.%u.megabytes_per_second", i);
		if (virTypedParamsGetULLong(stats->params, stats->nparams, name, &rate) != 1)
			return list;
		json_array_append_new(list, json_integer((json_int_t)rate));
	}
}

static struct dirty_rate *read_rate(const virDomainStatsRecord *stats)
{
	static const char *const states[] = { "unstarted", "measuring", "measured" };
	struct dirty_rate *rate = record_new(&dirty_rate_type);
	int status = 0, period = 0;
	long long start = 0, speed = 0;
	const char *mode = NULL;

	(void)virTypedParamsGetInt(stats->params, stats->nparams, "dirtyrate.calc_status", &status);
	set_string(&rate->status, states[CLAMP(status, 0, 2)]);
	if (virTypedParamsGetInt(stats->params, stats->nparams, "dirtyrate.calc_period", &period) == 1)
		SET(rate, period, period);
	if (virTypedParamsGetLLong(stats->params, stats->nparams, "dirtyrate.calc_start_time", &start) == 1)
		SET(rate, start_time, start);
	if (virTypedParamsGetString(stats->params, stats->nparams, "dirtyrate.calc_mode", &mode) == 1 && enum_value(dirty_rate_modes, mode) >= 0)
		SET(rate, mode, enum_value(dirty_rate_modes, mode));
	if (status == VIR_DOMAIN_DIRTYRATE_MEASURED &&
	    virTypedParamsGetLLong(stats->params, stats->nparams, "dirtyrate.megabytes_per_second", &speed) == 1)
		SET(rate, rate, speed);
	if (HAS(rate, mode) && rate->mode == DIRTY_RATE_RING)
		rate->vcpus = per_vcpu(stats);
	return rate;
}

struct dirty_rate *dirty_rate_read(virDomainPtr domain, const char *vm_id, GError **error)
{
	virDomainPtr domains[] = { domain, NULL };
	virDomainStatsRecordPtr *stats = NULL;
	struct dirty_rate *rate;

	if (virDomainListGetStats(domains, VIR_DOMAIN_STATS_DIRTYRATE, &stats, VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) < 1) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "dirty rate of VM %s", vm_id);
		return NULL;
	}
	rate = read_rate(stats[0]);
	virDomainStatsRecordListFree(stats);
	return rate;
}

bool dirty_rate_get_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm ? vm_domain(vm, error) : NULL;
	struct dirty_rate *rate = domain ? dirty_rate_read(domain, p->vm_id, error) : NULL;

	if (!rate)
		return false;
	result_record(ret_result, rate);
	record_unref(rate);
	return true;
}
