/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of a disk is given up: the volume above it is merged into it, and removed. What the disk holds, and what its other snapshots hold, stays.
 *
 *	lock > chain > room > data > finish > switch > volume > settle (ok)          interrupted: goes on
 *
 *	chain     who is based on the snapshot (top) and on that (child; none when the disk itself is top), read under the lock
 *	room      the snapshot's volume becomes as large as top
 *	data      those of top go into it: a job of the agent
 *	finish    the child is based on it from now on; top is of no use to anybody any more
 *	switch    it is the volume of the disk, if top was
 *
 * Up to the end of `data` top reads the same as before, so that the disk is as it was when one of these steps fails: only the moment that was to go may be
 * gone, and it can be tried again. From `finish` on there is no way back; a host that is away then is waited for. After `switch` the worst that a failure
 * leaves is a volume that nobody reads and that goes with the disk.
 *
 * A volume keeps its id: when top was a snapshot itself, its moment has the id of the one that was given up afterwards.
 */
#include "engine/flow/disk_merge.h"

#include <string.h>

#include "common/error.h"
#include "engine/flow/agent.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/rivals.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/storage_domain.h"
#include "engine/model/vm.h"

/* Event codes of our own */
#define EVENT_MERGE_BEGUN 20425
#define EVENT_MERGED 20426
#define EVENT_MERGE_FAILED 20427

json_t *disk_merge_data(struct engine *engine, const struct disk *disk, const char *snapshot, GError **error)
{
	json_t *data = disk_flow_data(engine, disk, error);
	g_autofree char *job = g_uuid_string_random();

	if (data) {
		json_object_set_new(data, "base", json_string(snapshot));
		json_object_set_new(data, "job", json_string(job));
	}
	return data;
}

static struct volume_place place_of(const struct flow *flow, const char *volume)
{
	struct volume_place place = disk_flow_volume(flow);

	place.volume_id = volume;
	return place;
}

static struct volume_merge merge_of(const struct flow *flow)
{
	return (struct volume_merge){ .base = place_of(flow, flow_text(flow, "base")), .top_id = flow_text(flow, "top") };
}

/* In the change; NULL: by itself. disk may be NULL. */
static void tell(const struct flow *flow, struct change *change, int code, struct disk *disk, const char *text)
{
	struct storage_domain *domain = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "domain"));
	void *about[] = { disk, domain, NULL }, **refs = disk ? about : about + 1;

	if (change)
		change_event(change, code, &flow->actor, refs, "%s", text);
	else
		store_event(flow->engine->store, code, &flow->actor, refs, "%s", text);
	record_unref(domain);
}

/* ---- lock ---- */

/* Run by the store's writer. A suspended VM goes on with the volumes that it had. data: a struct disk */
static bool vm_is_down(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;
	struct vm *vm = disk->vm.id && disk->active ? model_get(model, &vm_kind, disk->vm.id) : NULL;
	bool ok = !vm || vm->state == VM_DOWN;

	if (!ok)
		error_set(error, ERR_WRONG_STATE, "cannot remove a snapshot of disk '%s': VM '%s' is %s", disk_label(disk), vm->name, vm_state_names[vm->state]);
	record_unref(vm);
	return ok;
}

static bool edit_lock(void *copy, struct change *change, void *data, GError **error)
{
	g_autofree char *text = NULL;
	struct flow *flow = data;
	struct disk *disk = copy;

	if (disk->state == DISK_LOCKED && flow_is_alone(flow, NULL))
		return false;           /* ours, from before a restart */
	if (disk->state != DISK_OK) {
		error_set(error, ERR_WRONG_STATE, "cannot remove a snapshot of disk '%s': it is %s", disk_label(disk), disk_state_names[disk->state]);
		return false;
	}
	SET(disk, state, DISK_LOCKED);
	change_check(change, vm_is_down, disk);
	change_check(change, disk_domain_is_active, disk);
	text = g_strdup_printf("Removal of snapshot %s of disk %s was initiated by %s.", flow_text(flow, "base"), disk_label(disk), flow_user(flow));
	tell(flow, change, EVENT_MERGE_BEGUN, disk, text);
	return true;
}

static bool lock(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_lock, flow, NULL, error))
		return false;
	json_object_set_new(flow->data, "locked", json_true());
	return true;
}

/* What it has for a volume now may be of no use any more: then nobody may start with it. */
static bool unlock(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	const struct volume_place place = place_of(flow, disk ? disk->image_id : NULL);
	struct volume_facts facts = { .good = true };
	g_autoptr(GError) own = NULL;
	int state;

	if (!disk || !flow_flag(flow, "locked")) {
		record_unref(disk);
		return true;
	}
	(void)volume_describe(&call, &place, &facts, &own);
	record_unref(disk);
	if (agent_is_away(own)) {
		g_propagate_error(error, g_steal_pointer(&own));
		return false;
	}
	state = facts.good ? DISK_OK : DISK_ILLEGAL;
	return store_modify(flow->engine->store, &disk_kind, flow->object_id, disk_edit_unlock, &state, NULL, error);
}

/* ---- chain ---- */

static bool is_base(const struct flow *flow, const char *volume)
{
	return !g_strcmp0(volume, flow_text(flow, "base"));
}

static bool check_base(const struct flow *flow, const struct storage_call *call, GError **error)
{
	const struct volume_place base = place_of(flow, flow_text(flow, "base"));
	struct volume_facts facts;

	if (!volume_describe(call, &base, &facts, error))
		return false;
	if (facts.shared)
		error_set(error, ERR_WRONG_STATE, "snapshot '%s' of disk '%s' is a template's: it cannot be removed", base.volume_id, flow_text(flow, "name"));
	return !facts.shared;
}

static bool find_chain(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	struct volume_facts facts;
	char top[sizeof(facts.parent_id)], child[sizeof(top)] = "";

	g_strlcpy(top, flow_text(flow, "volume"), sizeof(top));
	for (int i = 0; i < DISK_CHAIN_MAX && *top; i++) {
		const struct volume_place place = place_of(flow, top);

		if (!volume_describe(&call, &place, &facts, error))
			return false;
		if (is_base(flow, facts.parent_id)) {
			json_object_set_new(flow->data, "top", json_string(top));
			if (*child)
				json_object_set_new(flow->data, "child", json_string(child));
			return check_base(flow, &call, error);
		}
		g_strlcpy(child, top, sizeof(child));
		g_strlcpy(top, facts.parent_id, sizeof(top));
	}
	error_set(error, ERR_NOT_FOUND, "snapshot '%s' of disk '%s'", flow_text(flow, "base"), flow_text(flow, "name"));
	return false;
}

/* ---- room, data, finish ---- */

static bool make_room(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_merge merge = merge_of(flow);

	return volume_merge_prepare(&call, &merge, error);
}

static bool merge_data(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_merge merge = merge_of(flow);

	return volume_merge_data(&call, &merge, flow_text(flow, "job"), error);
}

static bool stop_data(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);

	return volume_copy_cancel(&call, flow_text(flow, "job"), error);
}

/* Once the child is based on the snapshot the agent would take the two for rivals, and refuse to do it again. */
static bool is_finished(const struct flow *flow, const struct storage_call *call, bool *ret_finished, GError **error)
{
	const char *child = flow_text(flow, "child");
	const struct volume_place place = place_of(flow, child);
	struct volume_facts facts;

	*ret_finished = false;
	if (!child)
		return true;
	if (!volume_describe(call, &place, &facts, error))
		return false;
	*ret_finished = is_base(flow, facts.parent_id);
	return true;
}

static bool finish(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_merge merge = merge_of(flow);
	bool finished;

	return is_finished(flow, &call, &finished, error) && (finished || volume_merge_finish(&call, &merge, error));
}

/* ---- switch ---- */

static bool edit_switch(void *copy, struct change *change, void *data, GError **error)
{
	const struct volume_facts *facts = ((void **)data)[1];
	const struct flow *flow = ((void **)data)[0];
	struct disk *disk = copy;

	if (is_base(flow, disk->image_id))
		return false;
	set_string(&disk->image_id, flow_text(flow, "base"));
	SET(disk, format, facts->cow ? DISK_COW : DISK_RAW);
	SET(disk, sparse, facts->sparse);
	return true;
}

static bool switch_volume(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place base = place_of(flow, flow_text(flow, "base"));
	struct volume_facts facts;

	if (flow_text(flow, "child"))
		return true;
	return volume_describe(&call, &base, &facts, error) &&
	       store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_switch, (void *[]){ flow, &facts }, NULL, error);
}

/* ---- volume, settle ---- */

static bool remove_volume(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place top = place_of(flow, flow_text(flow, "top"));

	return volume_remove(&call, &top, error);
}

struct settling { struct flow *flow; struct volume_facts facts; };

static bool edit_settle(void *copy, struct change *change, void *data, GError **error)
{
	const struct settling *settling = data;
	g_autofree char *text = NULL;
	struct disk *disk = copy;

	if (!disk_edit_unlock(disk, change, /* state= */ NULL, error))
		return false;
	SET(disk, size, settling->facts.capacity);
	SET(disk, actual_size, settling->facts.used);
	text = g_strdup_printf("Snapshot %s of disk %s was removed by %s.", flow_text(settling->flow, "base"), disk_label(disk), flow_user(settling->flow));
	tell(settling->flow, change, EVENT_MERGED, disk, text);
	return true;
}

static bool settle(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place leaf = place_of(flow, flow_text(flow, flow_text(flow, "child") ? "volume" : "base"));
	struct settling settling = { .flow = flow };

	if (!volume_describe(&call, &leaf, &settling.facts, error) ||
	    !store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_settle, &settling, NULL, error))
		return false;
	domain_sizes_refresh(flow->engine, leaf.domain_id);
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	g_autofree char *text = g_strdup_printf("Failed to remove snapshot %s of disk %s (User: %s): %s", flow_text(flow, "base"), flow_text(flow, "name"),
						flow_user(flow), cause->message);

	tell(flow, NULL, EVENT_MERGE_FAILED, disk, text);
	record_unref(disk);
}

static const struct flow_step steps[] = {
	{ "lock", lock, unlock }, { "chain", find_chain, NULL }, { "room", make_room, NULL }, { "data", merge_data, stop_data },
	{ "finish", finish, NULL, .waits = true }, { "switch", switch_volume, NULL, .waits = true }, { "volume", remove_volume, NULL, .waits = true },
	{ "settle", settle, NULL, .waits = true },
};

const struct flow_type merge_disk_flow = {
	.name = "merge_disk", .kind = &disk_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};
