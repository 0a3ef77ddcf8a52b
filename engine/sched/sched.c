/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement. A host can take the VM when it is up, of the VM's cluster, allowed by the placement policy, in the storage pool if the VM needs one, has the
 * VM's networks and as many processors as the VM has, and has memory for it: what the cluster's overcommit allows of its memory, less what its running VMs
 * and those on their way to it have, less its reserve. Enforcing affinity groups leave out more (affinity.h).
 *
 * Of several hosts: first those that do not go against other affinity groups; then as the cluster's policy says; then the one with most free memory; then the
 * first by name. evenly_distributed wants the least loaded one, power_saving the most loaded one below the threshold, so that others stay empty; both take one
 * above the threshold only when there is no other. Load is what its processors did lately, and what VMs that just start may do. A VM that migrates is placed
 * in the same way.
 */
#include "engine/sched/sched.h"

#include <string.h>

#include "common/error.h"
#include "engine/fleet/fleet.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/sched/affinity.h"

#define RESERVE_BYTES (INT64_C(256) << 20)         /* the host's own; what the agent reports as reservedMem when it did not say */
#define OVERHEAD_BYTES (INT64_C(65) << 20)         /* of each VM */

/* What is looked for, and for whom. */
struct search {
	struct engine *engine;
	const struct vm *vm;
	const struct sched_move *move;       /* NULL: it starts */
	struct cluster *cluster;             /* may be NULL */
	char *pool;                          /* that the host must be in, or NULL */
	GPtrArray *networks;                 /* names that the host must have */
	struct affinity *affinity;
};

/* What speaks for a host. */
struct score { const struct host *host; unsigned broken; bool overloaded; double load; int64_t left; };

static bool placed_on(const struct vm *vm, const struct host *host)
{
	bool any = vm->placement_host.id || (vm->placement_hosts && vm->placement_hosts->len);

	if (!any || g_strcmp0(vm->placement_host.id, host->id) == 0)
		return true;
	for (guint i = 0; vm->placement_hosts && i < vm->placement_hosts->len; i++)
		if (!g_strcmp0(((const struct object_ref *)vm->placement_hosts->pdata[i])->id, host->id))
			return true;
	return false;
}

/* The id of the data center with shared storage that the VM has disks on, or its disc; NULL: none. g_free */
static char *pool_of(struct model *model, const struct vm *vm, const struct cluster *cluster)
{
	const char *id = cluster ? cluster->data_center.id : NULL;
	struct datacenter *data_center = id ? model_get(model, &datacenter_kind, id) : NULL;
	g_autoptr(GPtrArray) disks = model_children(model, &disk_kind, vm->id);
	bool needs = vm->cdroms && vm->cdroms->len;

	for (guint i = 0; i < disks->len; i++)
		needs = needs || (((const struct disk *)disks->pdata[i])->active && disk_domain(disks->pdata[i]));
	needs = needs && data_center && !data_center->local;
	record_unref(data_center);
	return needs ? g_strdup(id) : NULL;
}

static GPtrArray *networks_of(struct model *model, const struct vm *vm)
{
	g_autoptr(GPtrArray) nics = model_children(model, &nic_kind, vm->id);
	GPtrArray *names = strings_new();

	for (guint i = 0; i < nics->len; i++) {
		const struct nic *nic = nics->pdata[i];
		struct network *network = nic->plugged && nic->network.id ? model_get(model, &network_kind, nic->network.id) : NULL;

		if (network)
			g_ptr_array_add(names, g_strdup(network->name));
		record_unref(network);
	}
	return names;
}

static int64_t need_of(const struct vm *vm)
{
	return vm->memory + OVERHEAD_BYTES;
}

/* Bytes of the VMs that are on their way to the host. */
static int64_t coming(struct model *model, const struct host *host, const char *vm_id)
{
	g_autoptr(GPtrArray) flows = model_list(model, &flow_kind);
	int64_t bytes = 0;

	for (guint i = 0; i < flows->len; i++) {
		const struct flow_record *flow = flows->pdata[i];
		struct vm *vm = !strcmp(flow->name, FLOW_MIGRATE_VM) && g_strcmp0(flow->object_id, vm_id) ? model_get(model, &vm_kind, flow->object_id) : NULL;

		if (vm && !g_strcmp0(vm->migration_host, host->id))
			bytes += need_of(vm);
		record_unref(vm);
	}
	return bytes;
}

/* Bytes that are left for further VMs than those that run there or come; the VM itself does not count. */
static int64_t free_memory(struct model *model, const struct host *host, const struct cluster *cluster, const char *vm_id)
{
	g_autoptr(GPtrArray) vms = model_referring(model, &vm_kind, offsetof(struct vm, host), host->id);
	int64_t left = host->memory / 100 * (cluster && HAS(cluster, overcommit_percent) ? cluster->overcommit_percent : 100) - RESERVE_BYTES;

	for (guint i = 0; i < vms->len; i++)
		if (g_strcmp0(object_id(vms->pdata[i]), vm_id))
			left -= need_of(vms->pdata[i]);
	return left - coming(model, host, vm_id);
}

static char *why_no_memory(const struct vm *vm, int64_t left)
{
	int64_t need = (HAS(vm, memory_guaranteed) ? vm->memory_guaranteed : vm->memory) + OVERHEAD_BYTES;

	return left >= need ? NULL : g_strdup_printf("it has %" G_GINT64_FORMAT " MiB left and the VM needs %" G_GINT64_FORMAT " MiB", left >> 20, need >> 20);
}

static int processors(const struct vm *vm)
{
	return MAX(vm->sockets, 1) * MAX(vm->cores, 1) * MAX(vm->threads, 1);
}

/* 0: unknown */
static int processors_of(const struct host *host, const struct cluster *cluster)
{
	int cores = host->cpu_cores * MAX(host->cpu_sockets, 1);

	return cluster && cluster->threads_as_cores ? cores * MAX(host->cpu_threads, 1) : cores;
}

/* The first of the networks that the host does not have; NULL: it has all, or has not told. */
static const char *missing_network(const struct search *search, const struct host *host)
{
	struct host_caps *caps = search->networks->len ? fleet_host_caps(search->engine->fleet, host->id) : NULL;
	const char *missing = NULL;

	for (guint i = 0; caps && caps->networks && !missing && i < search->networks->len; i++)
		if (!json_object_get(caps->networks, search->networks->pdata[i]))
			missing = search->networks->pdata[i];
	record_unref(caps);
	return missing;
}

/* NULL when the host can take it. */
static char *why_not(const struct search *search, const struct host *host, int64_t left)
{
	const struct vm *vm = search->vm;
	int there = processors_of(host, search->cluster);
	const char *network;
	char *why;

	if (host->state != HOST_UP)
		return g_strdup_printf("its state is %s", host_state_names[host->state]);
	if (!fleet_is_connected(search->engine->fleet, host->id))
		return g_strdup("its agent is not connected");
	if (!search->move && !placed_on(vm, host))
		return g_strdup("the VM's placement policy does not allow it");
	if (search->move && !g_strcmp0(vm->host.id, host->id))
		return g_strdup("the VM runs there");
	if (search->pool && (g_strcmp0(host->pool_id, search->pool) || !host->pool_joined))
		return g_strdup("it is not in the storage pool of its data center");
	if ((network = missing_network(search, host)))
		return g_strdup_printf("it does not have network '%s'", network);
	if (there && processors(vm) > there)
		return g_strdup_printf("it has %d processors and the VM %d", there, processors(vm));
	why = affinity_forbids(search->affinity, host->id);
	return why ? why : why_no_memory(vm, left);
}

/* VMs that just start do not show in the load yet: a processor each of theirs. */
static double load_of(struct engine *engine, const struct cluster *cluster, const struct host *host)
{
	struct host_stats *stats = fleet_host_stats(engine->fleet, host->id);
	g_autoptr(GPtrArray) vms = model_referring(engine->model, &vm_kind, offsetof(struct vm, host), host->id);
	double load = stats && HAS(stats, cpu_idle) ? 100 - stats->cpu_idle : 0;
	int there = MAX(processors_of(host, cluster), 1);

	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];

		if (vm->state == VM_WAIT_FOR_LAUNCH || vm->state == VM_POWERING_UP)
			load += 100.0 * processors(vm) / there;
	}
	record_unref(stats);
	return load;
}

double sched_load(struct engine *engine, const struct host *host)
{
	struct cluster *cluster = model_get(engine->model, &cluster_kind, host->cluster.id);
	double load = load_of(engine, cluster, host);

	record_unref(cluster);
	return load;
}

/* Below 0: a is better. */
static int compare(const struct score *a, const struct score *b, const char *policy)
{
	bool even = !g_strcmp0(policy, "evenly_distributed"), save = !g_strcmp0(policy, "power_saving");

	if (a->broken != b->broken)
		return a->broken < b->broken ? -1 : 1;
	if ((even || save) && a->overloaded != b->overloaded)
		return b->overloaded ? -1 : 1;
	if ((even || save) && a->load != b->load)
		return (a->load < b->load) == (even || a->overloaded) ? -1 : 1;
	if (a->left != b->left)
		return (a->left > b->left) == !save ? -1 : 1;
	return strcmp(a->host->name, b->host->name);
}

static int by_name(const void *a, const void *b)
{
	return g_strcmp0(object_name(*(void *const *)a), object_name(*(void *const *)b));
}

static void search_clear(struct search *search)
{
	record_unref(search->cluster);
	g_free(search->pool);
	g_ptr_array_unref(search->networks);
	affinity_free(search->affinity);
}

static bool is_candidate(const struct sched_move *move, const struct host *host)
{
	size_t i;
	json_t *id;

	json_array_foreach(move ? move->but_not : NULL, i, id)
		if (!strcmp(json_string_value(id), host->id))
			return false;
	return !move || !move->to || !strcmp(move->to, host->id);
}

char *sched_pick_host(struct engine *engine, const struct vm *vm, const struct sched_move *move, GError **error)
{
	struct search search = { engine, vm, move, model_get(engine->model, &cluster_kind, vm->cluster.id), NULL, networks_of(engine->model, vm),
				 affinity_new(engine->model, vm) };
	g_autoptr(GPtrArray) hosts = model_referring(engine->model, &host_kind, offsetof(struct host, cluster), vm->cluster.id);
	g_autoptr(GString) reasons = g_string_new(NULL);
	struct score best = { NULL };

	search.pool = pool_of(engine->model, vm, search.cluster);
	g_ptr_array_sort(hosts, by_name);
	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		struct score score = { .host = host, .left = free_memory(engine->model, host, search.cluster, vm->id) };
		g_autofree char *why = is_candidate(move, host) ? why_not(&search, host, score.left) : NULL;

		if (!is_candidate(move, host))
			continue;
		if (why) {
			g_string_append_printf(reasons, "%shost %s: %s", reasons->len ? "; " : "", host->name, why);
			continue;
		}
		score.broken = affinity_broken(search.affinity, host->id);
		score.load = load_of(engine, search.cluster, host);
		score.overloaded = score.load > cluster_threshold_high(search.cluster);
		if (!best.host || compare(&score, &best, search.cluster ? search.cluster->scheduling_policy : NULL) < 0)
			best = score;
	}
	if (!best.host)
		error_set(error, ERR_OPERATION_FAILED, "no host of cluster '%s' can run VM '%s': %s", search.cluster ? search.cluster->name : "?", vm->name,
			  reasons->len ? reasons->str : move ? "it has no other host" : "it has no hosts");
	search_clear(&search);
	return best.host ? g_strdup(best.host->id) : NULL;
}

bool sched_still_fits(struct model *model, void *data, GError **error)
{
	const struct vm *vm = data;
	struct host *host = model_get(model, &host_kind, vm->host.id);
	struct cluster *cluster = model_get(model, &cluster_kind, vm->cluster.id);
	struct affinity *affinity = affinity_new(model, vm);
	g_autofree char *why = host ? affinity_forbids(affinity, host->id) : g_strdup("it is gone");

	if (host && !why && host->state != HOST_UP)
		why = g_strdup_printf("its state is %s", host_state_names[host->state]);
	if (host && !why)
		why = why_no_memory(vm, free_memory(model, host, cluster, vm->id));
	if (why)
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "host %s: %s", host ? host->name : vm->host.id, why);
	affinity_free(affinity);
	record_unref(cluster);
	record_unref(host);
	return !why;
}
