/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of virtual machines and their NICs (REST 15.6.6, 15.6.2.2), from the latest figures of the host. A VM that is down shows zeros. */
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
	struct vm_figures *now = vm_is_running(vm) ? fleet_vm_figures(request->engine->fleet, vm->id) : NULL;
	GPtrArray *list = statistics_new();

	statistic_add(list, vm, &vm_rows[MEMORY_INSTALLED], (double)vm->memory);
	statistic_add(list, vm, &vm_rows[MEMORY_USED], now ? (double)vm->memory * now->mem_usage / 100 : 0);
	statistic_add(list, vm, &vm_rows[CPU_GUEST], now ? now->cpu_user : 0);
	statistic_add(list, vm, &vm_rows[CPU_HYPERVISOR], now ? now->cpu_sys : 0);
	statistic_add(list, vm, &vm_rows[CPU_TOTAL], now ? now->cpu_user + now->cpu_sys : 0);
	figures_unref(now);
	return list;
}

const struct resource resource_vm_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_vm, .methods = RESOURCE_READ, .brief = true, .doc = "Figures of a virtual machine",
	.list = vm_list,
};

enum { RATE_RX, RATE_TX, ERRORS_RX, ERRORS_TX };
static const struct statistic_row nic_rows[] = {
	[RATE_RX] = { "data.current.rx", "Receive data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[RATE_TX] = { "data.current.tx", "Transmit data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[ERRORS_RX] = { "errors.total.rx", "Total receive errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[ERRORS_TX] = { "errors.total.tx", "Total transmit errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
};

static GPtrArray *nic_list(struct request *request, GError **error)
{
	const struct nic *nic = request->parent;
	struct vm_figures *figures = fleet_vm_figures(request->engine->fleet, nic->vm.id);
	const struct nic_figures *now = figures_of_nic(figures, nic->mac);
	GPtrArray *list = statistics_new();

	statistic_add(list, nic, &nic_rows[RATE_RX], now ? now->rx_rate : 0);
	statistic_add(list, nic, &nic_rows[RATE_TX], now ? now->tx_rate : 0);
	statistic_add(list, nic, &nic_rows[ERRORS_RX], now ? (double)now->rx_errors : 0);
	statistic_add(list, nic, &nic_rows[ERRORS_TX], now ? (double)now->tx_errors : 0);
	figures_unref(figures);
	return list;
}

const struct resource resource_vm_nic_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_vm_nic, .methods = RESOURCE_READ,
	.brief = true, .doc = "Figures of a virtual machine's network interface", .list = nic_list,
};
