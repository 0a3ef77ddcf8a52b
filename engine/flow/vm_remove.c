/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a VM: a saved memory goes, its disks are destroyed (each a flow of its own) or become floating ones, then the VM goes, last the entry that its last
 * run may have left at an agent (fleet/entries.h). Interrupted, it goes on: what is gone is not missed. A disk that cannot be removed stops the flow; the VM
 * stays with the disks that are left. An agent that is away is waited for with the entry alone.
 */
#include "common/error.h"
#include "common/log.h"
#include "engine/fleet/entries.h"
#include "engine/flow/agent.h"
#include "engine/flow/definitions.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/vm_flow.h"
#include "engine/flow/vm_memory.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

/* Event codes, appendix C */
#define EVENT_REMOVED 113
#define EVENT_REMOVE_FAILED 59

static bool edit_float(void *copy, struct change *change, void *data, GError **error)
{
	struct disk *disk = copy;

	if (!disk->vm.id)
		return false;
	set_ref(&disk->vm, NULL);
	return true;
}

static bool remove_disk(struct flow *flow, const struct disk *disk, GError **error)
{
	json_t *data = disk->image_id ? disk_flow_data(flow->engine, disk, error) : NULL;

	if (disk->image_id)
		return data && flow_run(flow->engine, &remove_disk_flow, disk->id, &flow->actor, data, NULL, error);
	return store_modify(flow->engine->store, &disk_kind, disk->id, edit_float, NULL, NULL, error);       /* a LUN: nothing of ours to destroy */
}

static bool remove_memory(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	bool ok = !vm || !vm->memory_volume || vm_memory_remove(flow, vm->memory_volume, error);

	/* for the last step, when the VM is gone */
	if (vm && vm->entry_host.id)
		json_object_set_new(flow->data, "host", json_string(vm->entry_host.id));
	record_unref(vm);
	return ok;
}

/* A data domain with a disk of it knew it by name. */
static void forget_definition(struct flow *flow, const struct disk *disk)
{
	struct storage_domain *domain = disk_domain(disk) ? model_get(flow->engine->model, &storage_domain_kind, disk_domain(disk)) : NULL;
	g_autofree char *host = domain && domain->state == DOMAIN_ACTIVE ? storage_host(flow->engine, domain, NULL) : NULL;
	const struct storage_call call = { flow->engine, host, flow->id, AGENT_PATIENCE_NONE };

	if (host)
		definitions_forget(&call, domain, flow->object_id);
	record_unref(domain);
}

static bool disks(struct flow *flow, GError **error)
{
	g_autoptr(GPtrArray) list = model_children(flow->engine->model, &disk_kind, flow->object_id);
	bool keep = json_is_true(json_object_get(flow->data, "keep"));

	if (!remove_memory(flow, error))
		return false;
	for (guint i = 0; i < list->len; i++) {
		const struct disk *disk = list->pdata[i];

		forget_definition(flow, disk);
		if (!(keep ? store_modify(flow->engine->store, &disk_kind, disk->id, edit_float, NULL, NULL, error) : remove_disk(flow, disk, error)))
			return false;
	}
	return true;
}

static bool forget(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	struct change *change;
	bool ok;

	if (!vm)
		return true;
	change = change_new(flow->engine->store);
	change_remove(change, vm);
	change_event(change, EVENT_REMOVED, &flow->actor, (void *[]){ vm, NULL }, "VM %s was successfully removed.", vm->name);
	ok = change_commit(change, error);
	record_unref(vm);
	return ok;
}

static bool entry(struct flow *flow, GError **error)
{
	const char *host_id = flow_text(flow, "host");
	struct host *host = host_id ? model_get(flow->engine->model, &host_kind, host_id) : NULL;
	bool there = host != NULL, gone;
	g_autoptr(GError) own = NULL;

	record_unref(host);
	if (!there || entry_drop(flow->engine->fleet, host_id, flow->object_id, flow->id, &gone, &own))
		return true;
	if (agent_is_away(own)) {
		g_propagate_error(error, g_steal_pointer(&own));
		return false;
	}
	log_warn("host %s: the entry of VM %s, which is removed, stays: %s, ignoring", host_id, flow->object_id, own->message);
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);

	if (vm)
		store_event(flow->engine->store, EVENT_REMOVE_FAILED, &flow->actor, (void *[]){ vm, NULL }, "Failed to remove VM %s: %s", vm->name,
			    cause->message);
	record_unref(vm);
}

static const struct flow_step steps[] = { { "disks", disks, NULL }, { "forget", forget, NULL }, { "entry", entry, NULL, .waits = true } };

const struct flow_type remove_vm_flow = {
	.name = "remove_vm", .kind = &vm_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};
