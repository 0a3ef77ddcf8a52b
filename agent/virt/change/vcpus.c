/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.setNumberOfCpus: virtual CPUs in, and out.
 *
 * libvirt plugs one after the other; when the third of four fails, the VM has two more than before, so the number is set back. Taking CPUs out needs the
 * guest's consent, for which libvirt waits 5 s a CPU. Without hardware acceleration it is refused: QEMU's translator leaves such an attempt with broken
 * memory (seen with 7.2: "malloc(): largebin double linked list corrupted" at the next change of devices), and that ends the VM.
 *
 * With cpusets each virtual CPU is bound to its set of physical ones. Hooks see the event only: no XML, as with vdsm.
 */
#define LOG_MODULE "virt"
#include "agent/virt/change/vcpus.h"

#include <stdlib.h>
#include <unistd.h>
#include "agent/hooks.h"
#include "common/xml.h"
#include "common/log.h"
#include "proto/device.h"

#define HOST_CPUS_MAX 4096

static bool run_hook(struct live *live, const char *point, GError **error)
{
	const struct hook_run run = { .point = point };

	return hooks_run(live->vm->vms->agent->hooks, &run, NULL, error);
}

/* "0-3,^2" as libvirt's bit map; NULL + error. */
static unsigned char *parse_set(const char *text, size_t length, GError **error)
{
	g_autofree unsigned char *map = g_malloc0(length);
	g_auto(GStrv) words = g_strsplit(text, ",", -1);
	bool any = false;

	for (char **word = words; *word; word++) {
		bool without = **word == '^';
		char *end = NULL;
		unsigned long first = strtoul(*word + without, &end, 10), last = first;

		if (end && *end == '-' && end != *word + without) {
			const char *rest = end + 1;

			last = strtoul(rest, &end, 10);
			end = end == rest ? NULL : end;
		}
		if (!g_ascii_isdigit((*word)[without]) || !end || *end || last < first || last >= length * 8) {
			error_set(error, ERR_INVALID_PARAMETER, "cpusets: '%s' is not a set of processors of this host", text);
			return NULL;
		}
		for (unsigned long cpu = first; cpu <= last; cpu++)
			map[cpu / 8] = without ? (unsigned char)(map[cpu / 8] & ~(1 << cpu % 8)) : (unsigned char)(map[cpu / 8] | 1 << cpu % 8);
	}
	for (size_t i = 0; i < length; i++)
		any |= map[i] != 0;
	if (!any) {
		error_set(error, ERR_INVALID_PARAMETER, "cpusets: '%s' is an empty set", text);
		return NULL;
	}
	return g_steal_pointer(&map);
}

static size_t map_length(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	return ((size_t)CLAMP(cpus, 1, HOST_CPUS_MAX) + 7) / 8;
}

static GPtrArray *parse_sets(const struct vcpus_params *p, GError **error)
{
	g_autoptr(GPtrArray) maps = g_ptr_array_new_with_free_func(g_free);

	if (p->cpusets && (int)p->cpusets->len != p->number) {
		error_set(error, ERR_INVALID_PARAMETER, "cpusets: %u sets for %d virtual CPUs", p->cpusets->len, p->number);
		return NULL;
	}
	for (guint i = 0; p->cpusets && i < p->cpusets->len; i++) {
		unsigned char *map = parse_set(p->cpusets->pdata[i], map_length(), error);

		if (!map)
			return NULL;
		g_ptr_array_add(maps, map);
	}
	return g_steal_pointer(&maps);
}

static int now_there(const struct live *live)
{
	xmlNode *vcpu = xml_child(live->root, "vcpu");
	g_autofree char *max = xml_text(vcpu);

	return (int)xml_get_number(vcpu, "current", max ? atoi(max) : 1);
}

static bool set_number(struct live *live, int number, GError **error)
{
	int before = now_there(live);

	if (number == before)
		return true;
	if (number < before && !xml_is(live->root, "type", "kvm")) {
		error_set(error, ERR_SET_NUMBER_OF_CPUS_FAILED, "VM %s has %d: taking CPUs out needs hardware acceleration", live->vm->id, before);
		return false;
	}
	if (virDomainSetVcpusFlags(live->domain, (unsigned)number, VIR_DOMAIN_AFFECT_LIVE) == 0)
		return live_read(live, error);
	live_failed(live, error, ERR_SET_NUMBER_OF_CPUS_FAILED, "%d instead of %d", number, before);
	if (live_read(live, NULL) && now_there(live) > before && xml_is(live->root, "type", "kvm"))
		(void)virDomainSetVcpusFlags(live->domain, (unsigned)before, VIR_DOMAIN_AFFECT_LIVE);
	return false;
}

static bool pin(struct live *live, const GPtrArray *maps, GError **error)
{
	for (guint i = 0; i < maps->len; i++)
		if (virDomainPinVcpuFlags(live->domain, i, maps->pdata[i], (int)map_length(), VIR_DOMAIN_AFFECT_LIVE) < 0) {
			live_failed(live, error, ERR_SET_NUMBER_OF_CPUS_FAILED, "CPU %u to its set", i);
			return false;
		}
	return true;
}

bool vcpus_set_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vcpus_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);
	g_autoptr(GPtrArray) maps = live ? parse_sets(p, error) : NULL;

	if (!maps || !run_hook(live, "before_set_num_of_cpus", error) || !set_number(live, p->number, error) || !pin(live, maps, error))
		return false;
	tune_settle(live);              /* the part of the host is now one of more, or fewer */
	log_info("VM %s has %d virtual CPUs", p->vm_id, p->number);
	(void)run_hook(live, "after_set_num_of_cpus", NULL);
	live_answer_empty(ret_result);
	return true;
}
