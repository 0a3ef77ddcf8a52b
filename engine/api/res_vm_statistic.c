/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of virtual machines and their NICs (REST 15.6.6, 15.6.2.2), from the latest figures of the host. A VM that is down shows zeros. */
#include <string.h>

#include "common/error.h"
#include "engine/api/res_vm.h"
#include "engine/api/statistics.h"
#include "engine/fleet/fleet.h"
#include "engine/model/nic.h"

enum { MEMORY_INSTALLED, MEMORY_USED, CPU_GUEST, CPU_HYPERVISOR, CPU_TOTAL };
static const struct statistic_row vm_rows[] = {
	[MEMORY_INSTALLED] = { "memory.installed", "Total memory configured", STATISTIC_BYTES, STATISTIC_GAUGE, STATISTIC_INTEGER },
	[MEMORY_USED] = { "memory.used", "Memory used (agent)", STATISTIC_BYTES, STATISTIC_GAUGE, STATISTIC_INTEGER },
	[CPU_GUEST] = { "cpu.current.guest", "CPU used by guest", STATISTIC_PERCENT, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[CPU_HYPERVISOR] = { "cpu.current.hypervisor", "CPU overhead", STATISTIC_PERCENT, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[CPU_TOTAL] = { "cpu.current.total", "Total CPU used", STATISTIC_PERCENT, STATISTIC_GAUGE, STATISTIC_DECIMAL },
};

static GPtrArray *vm_list(struct request *request, GError **error)
{
	const struct vm *vm = request->parent;
	struct vm_stats *stats = vm_is_running(vm) ? fleet_vm_stats(request->engine->fleet, vm->id) : NULL;
	GPtrArray *list = statistics_new();

	statistic_add(list, vm, &vm_rows[MEMORY_INSTALLED], (double)vm->memory);
	statistic_add(list, vm, &vm_rows[MEMORY_USED], stats ? (double)vm->memory * stats->mem_usage / 100 : 0);
	statistic_add(list, vm, &vm_rows[CPU_GUEST], stats ? stats->cpu_user : 0);
	statistic_add(list, vm, &vm_rows[CPU_HYPERVISOR], stats ? stats->cpu_sys : 0);
	statistic_add(list, vm, &vm_rows[CPU_TOTAL], stats ? stats->cpu_user + stats->cpu_sys : 0);
	record_unref(stats);
	return list;
}

const struct resource resource_vm_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_vm, .methods = RESOURCE_READ, .doc = "Figures of a virtual machine", .list = vm_list,
};

enum { RATE_RX, RATE_TX, ERRORS_RX, ERRORS_TX };
static const struct statistic_row nic_rows[] = {
	[RATE_RX] = { "data.current.rx", "Receive data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[RATE_TX] = { "data.current.tx", "Transmit data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[ERRORS_RX] = { "errors.total.rx", "Total receive errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[ERRORS_TX] = { "errors.total.tx", "Total transmit errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
};

/* A counter of the agent: decimal text. */
static double counter(const json_t *figures, const char *key)
{
	const char *text = json_string_value(json_object_get(figures, key));

	return text ? g_ascii_strtod(text, NULL) : 0;
}

/* The figures of the NIC with this hardware address. */
static const json_t *figures_of(const struct vm_stats *stats, const char *mac)
{
	const char *key;
	json_t *value;

	if (stats && mac)
		json_object_foreach(stats->network, key, value) {
			const char *address = json_string_value(json_object_get(value, "macAddr"));

			if (address && !g_ascii_strcasecmp(address, mac))
				return value;
		}
	return NULL;
}

static GPtrArray *nic_list(struct request *request, GError **error)
{
	const struct nic *nic = request->parent;
	struct vm_stats *stats = fleet_vm_stats(request->engine->fleet, nic->vm.id), *before = fleet_vm_stats_before(request->engine->fleet, nic->vm.id);
	const json_t *now = figures_of(stats, nic->mac), *then = figures_of(before, nic->mac);
	double seconds = json_number_value(json_object_get(now, "sampleTime")) - json_number_value(json_object_get(then, "sampleTime"));
	GPtrArray *list = statistics_new();
	bool rates = now && then && seconds > 0;

	statistic_add(list, nic, &nic_rows[RATE_RX], rates ? MAX(counter(now, "rx") - counter(then, "rx"), 0) / seconds : 0);
	statistic_add(list, nic, &nic_rows[RATE_TX], rates ? MAX(counter(now, "tx") - counter(then, "tx"), 0) / seconds : 0);
	statistic_add(list, nic, &nic_rows[ERRORS_RX], counter(now, "rxErrors"));
	statistic_add(list, nic, &nic_rows[ERRORS_TX], counter(now, "txErrors"));
	record_unref(stats);
	record_unref(before);
	return list;
}

const struct resource resource_vm_nic_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_vm_nic, .methods = RESOURCE_READ,
	.doc = "Figures of a virtual machine's network interface", .list = nic_list,
};
