/* SPDX-License-Identifier: Apache-2.0 */
/* NUMA nodes of a host (REST 14.7.4) and their figures, from what the host told last. */
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/api/statistics.h"
#include "engine/fleet/fleet.h"

#include <stdlib.h>

#define MIB 1048576.0

struct numa_core { struct record record; int index; };
static const struct field numa_core_fields[] = {
	FIELD_INT_(struct numa_core, index, "@index", READ_ONLY, "number of the logical CPU"),
};
static const struct record_type numa_core_type = RECORD_TYPE("core", NULL, struct numa_core, numa_core_fields, "A logical CPU of a NUMA node");

struct numa_node { struct record record; char *id, *name; struct ref host; int index; int64_t memory; GPtrArray *cores; char *distance; };
static const struct field numa_node_fields[] = {
	FIELD_UUID_(struct numa_node, id, "@id", READ_ONLY, "made from the node's number, stays the same"),
	FIELD_REF_(struct numa_node, host, "host", READ_ONLY, "hosts", "host that has it"),
	FIELD_INT_(struct numa_node, index, "index", READ_ONLY, "number that the kernel gives it"),
	FIELD_LONG_(struct numa_node, memory, "memory", READ_ONLY, "its memory", .unit = "MiB"),
	FIELD_LIST_(struct numa_node, cores, "cpu/cores/core", READ_ONLY, &numa_core_type, "its logical CPUs"),
	FIELD_STRING_(struct numa_node, distance, "node_distance", READ_ONLY, "to each node in order, as the firmware says"),
};
static const struct record_type numa_node_type = RECORD_TYPE("host_numa_node", "host_numa_nodes", struct numa_node, numa_node_fields, "A NUMA node of a host");

static struct numa_node *numa_node(const struct host *host, const struct host_caps *caps, const char *name, const json_t *found)
{
	struct numa_node *node = record_new(&numa_node_type);
	GString *distance = g_string_new(NULL);
	size_t i;
	json_t *value;

	node->id = host_part_id("numa", host->id, name);
	set_ref(&node->host, host->id);
	SET(node, index, atoi(name));
	SET(node, memory, (int64_t)host_json_number(found, "totalMemory"));
	json_array_foreach(json_object_get(found, "cpus"), i, value) {
		struct numa_core *core = list_add(&node->cores, &numa_core_type);

		SET(core, index, (int)json_integer_value(value));
	}
	json_array_foreach(json_object_get(caps->numa_node_distance, name), i, value)
		g_string_append_printf(distance, "%s%" JSON_INTEGER_FORMAT, i ? " " : "", json_integer_value(value));
	node->distance = g_string_free(distance, FALSE);
	return node;
}

static GPtrArray *numa_list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	struct host_caps *caps = fleet_host_caps(request->engine->fleet, host->id);
	GPtrArray *nodes = list_new();
	const char *name;
	json_t *found;

	if (caps && caps->numa_nodes)
		json_object_foreach(caps->numa_nodes, name, found)
			g_ptr_array_add(nodes, numa_node(host, caps, name, found));
	record_unref(caps);
	return nodes;
}

const struct resource resource_host_numa_node = {
	.type = &numa_node_type, .path = "numanodes", .parent = &resource_host, .methods = RESOURCE_READ, .doc = "NUMA nodes of a host", .list = numa_list,
};

enum { MEMORY_TOTAL, MEMORY_USED, MEMORY_FREE, CPU_USER, CPU_SYSTEM, CPU_IDLE };
#define BYTES STATISTIC_BYTES, STATISTIC_GAUGE, STATISTIC_INTEGER
#define PERCENT STATISTIC_PERCENT, STATISTIC_GAUGE, STATISTIC_DECIMAL
static const struct statistic_row numa_rows[] = {
	[MEMORY_TOTAL] = { "memory.total", "Total memory", BYTES }, [MEMORY_USED] = { "memory.used", "Used memory", BYTES },
	[MEMORY_FREE] = { "memory.free", "Free memory", BYTES }, [CPU_USER] = { "cpu.current.user", "User CPU usage", PERCENT },
	[CPU_SYSTEM] = { "cpu.current.system", "System CPU usage", PERCENT }, [CPU_IDLE] = { "cpu.current.idle", "Idle CPU usage", PERCENT },
};

/* Of the node's processors, on average. */
static void add_cpus(const struct numa_node *node, const struct host_stats *stats, double values[])
{
	unsigned n = 0;

	for (guint i = 0; stats && node->cores && i < node->cores->len; i++) {
		g_autofree char *name = g_strdup_printf("%d", ((const struct numa_core *)node->cores->pdata[i])->index);
		const json_t *cpu = json_object_get(stats->cpu_statistics, name);

		if (!cpu)
			continue;
		n++;
		values[CPU_USER] += host_json_number(cpu, "cpuUser");
		values[CPU_SYSTEM] += host_json_number(cpu, "cpuSys");
		values[CPU_IDLE] += host_json_number(cpu, "cpuIdle");
	}
	for (int i = CPU_USER; n && i <= CPU_IDLE; i++)
		values[i] /= n;
}

static GPtrArray *numa_statistic_list(struct request *request, GError **error)
{
	const struct numa_node *node = request->parent;
	struct host_stats *stats = fleet_host_stats(request->engine->fleet, node->host.id);
	g_autofree char *name = g_strdup_printf("%d", node->index);
	double total = stats ? (double)node->memory * MIB : 0;
	double unused = stats ? host_json_number(json_object_get(stats->numa_node_mem_free, name), "memFree") * MIB : 0;
	double values[G_N_ELEMENTS(numa_rows)] = { [MEMORY_TOTAL] = total, [MEMORY_USED] = MAX(total - unused, 0), [MEMORY_FREE] = unused };
	GPtrArray *list = statistics_new();

	add_cpus(node, stats, values);
	for (size_t i = 0; i < G_N_ELEMENTS(numa_rows); i++)
		statistic_add(list, node, &numa_rows[i], values[i]);
	record_unref(stats);
	return list;
}

const struct resource resource_host_numa_node_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_host_numa_node, .methods = RESOURCE_READ, .links = no_links,
	.doc = "Figures of a NUMA node", .list = numa_statistic_list,
};
