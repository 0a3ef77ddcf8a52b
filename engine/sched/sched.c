/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement. A host can take the VM when it is up, of the VM's cluster, allowed by the placement policy, in the storage pool if the VM needs one, and has memory
 * for it: what the cluster's overcommit allows of its memory, less what its running VMs have, less its reserve. Of several the one with most free memory is
 * taken.
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

#define RESERVE_BYTES (INT64_C(256) << 20)         /* the host's own; what the agent reports as reservedMem when it did not say */
#define OVERHEAD_BYTES (INT64_C(65) << 20)         /* of each VM */

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

/* Bytes that are left for further VMs. */
static int64_t free_memory(struct engine *engine, const struct host *host, int overcommit_percent)
{
	g_autoptr(GPtrArray) vms = model_referring(engine->model, &vm_kind, offsetof(struct vm, host), host->id);
	int64_t left = host->memory / 100 * MAX(overcommit_percent, 100) - RESERVE_BYTES;

	for (guint i = 0; i < vms->len; i++)
		left -= ((const struct vm *)vms->pdata[i])->memory + OVERHEAD_BYTES;
	return left;
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

/* NULL when the host can take it. pool: that it must be in, or NULL */
static char *why_not(struct engine *engine, const struct vm *vm, const struct host *host, const char *pool, int64_t left)
{
	int64_t need = (HAS(vm, memory_guaranteed) ? vm->memory_guaranteed : vm->memory) + OVERHEAD_BYTES;

	if (host->state != HOST_UP)
		return g_strdup_printf("its state is %s", host_state_names[host->state]);
	if (!fleet_is_connected(engine->fleet, host->id))
		return g_strdup("its agent is not connected");
	if (!placed_on(vm, host))
		return g_strdup("the VM's placement policy does not allow it");
	if (pool && (g_strcmp0(host->pool_id, pool) || !host->pool_joined))
		return g_strdup("it is not in the storage pool of its data center");
	if (left < need)
		return g_strdup_printf("it has %" G_GINT64_FORMAT " MiB left and the VM needs %" G_GINT64_FORMAT " MiB", left >> 20, need >> 20);
	return NULL;
}

char *sched_pick_host(struct engine *engine, const struct vm *vm, GError **error)
{
	g_autoptr(GPtrArray) hosts = model_referring(engine->model, &host_kind, offsetof(struct host, cluster), vm->cluster.id);
	g_autoptr(GString) reasons = g_string_new(NULL);
	struct cluster *cluster = model_get(engine->model, &cluster_kind, vm->cluster.id);
	int overcommit = cluster && HAS(cluster, overcommit_percent) ? cluster->overcommit_percent : 100;
	g_autofree char *pool = pool_of(engine->model, vm, cluster);
	const struct host *best = NULL;
	int64_t most = 0;

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		int64_t left = free_memory(engine, host, overcommit);
		g_autofree char *why = why_not(engine, vm, host, pool, left);

		if (why)
			g_string_append_printf(reasons, "%shost %s: %s", reasons->len ? "; " : "", host->name, why);
		else if (!best || left > most) {
			best = host;
			most = left;
		}
	}
	if (!best)
		error_set(error, ERR_OPERATION_FAILED, "no host of cluster '%s' can run VM '%s': %s", cluster ? cluster->name : "?", vm->name,
			  reasons->len ? reasons->str : "it has no hosts");
	record_unref(cluster);
	return best ? g_strdup(best->id) : NULL;
}
