/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks.
 *
 *	create   record (locked) > volume > settle (ok)     interrupted: goes on; failed: volume and record are taken back
 *	remove   lock > volume > forget                     interrupted: goes on; failed: ok again, or illegal when the volume is gone
 *
 * The volume of a disk that is a LUN (lun.h) is its session: the host logs in, and the last step looks at it; when it is removed the LUN stays as it is.
 *
 * While its host is away a disk that is taken back stays locked: whether there is a volume is not known (flow.h).
 *
 * The agent makes or removes a volume whole or not at all and its ids are ours, so each step may be repeated: what is there already is not made again,
 * what is gone is not missed.
 */
#include "engine/flow/disk_flow.h"

#include <inttypes.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/lun.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/storage_domain.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

/* Event codes, appendix C; from 2000 on those of floating disks */
#define EVENT_ADDED 97
#define EVENT_ADD_FAILED 98
#define EVENT_REMOVED 80
#define EVENT_REMOVE_FAILED 81
#define EVENT_FLOATING_ADDED 2021
#define EVENT_FLOATING_ADD_FAILED 2022
#define EVENT_FLOATING_REMOVED 2014
#define EVENT_FLOATING_REMOVE_FAILED 2015

const char *disk_label(const struct disk *disk)
{
	return disk->name ? disk->name : disk->id;
}

void disk_change_state(struct change *change, const struct disk *disk, int state)
{
	struct disk *copy = record_copy(disk);

	SET(copy, state, state);
	change_replace(change, disk, copy);
	if (state == DISK_LOCKED)
		change_check(change, disk_domain_is_active, copy);
	record_unref(copy);
}

bool disk_edit_unlock(void *copy, struct change *change, void *data, GError **error)
{
	struct disk *disk = copy;
	const int *state = data;

	if (disk->state != DISK_LOCKED)
		return false;
	SET(disk, state, state ? *state : DISK_OK);
	return true;
}

bool disk_is_at_rest(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;
	struct vm *vm = disk->vm.id ? model_get(model, &vm_kind, disk->vm.id) : NULL;
	bool ok = !vm || !vm_is_running(vm) || !disk->active;

	if (!ok)
		error_set(error, ERR_WRONG_STATE, "disk '%s' is in use: VM '%s' is %s", disk_label(disk), vm->name, vm_state_names[vm->state]);
	record_unref(vm);
	return ok;
}

bool disk_domain_is_active(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;
	struct storage_domain *domain = disk_domain(disk) ? model_get(model, &storage_domain_kind, disk_domain(disk)) : NULL;
	/* of one that is not seen well the agent says whether it can be worked with */
	bool ok = !domain || domain->state == DOMAIN_ACTIVE || domain->state == DOMAIN_MIXED || domain->state == DOMAIN_UNKNOWN;

	if (!ok)
		error_set(error, ERR_WRONG_STATE, "disk '%s': storage domain '%s' is %s", disk_label(disk), domain->name, storage_domain_state_names[domain->state]);
	record_unref(domain);
	return ok;
}

static json_t *image_data(struct engine *engine, const struct disk *disk, GError **error)
{
	const char *id = disk_domain(disk);
	struct storage_domain *domain = id ? model_get(engine->model, &storage_domain_kind, id) : NULL;
	g_autofree char *host = NULL;
	json_t *data = NULL;

	if (!domain)
		error_set(error, ERR_NOT_FOUND, "disk '%s': its storage domain", disk_label(disk));
	else if (!domain->data_center.id)
		error_set(error, ERR_WRONG_STATE, "disk '%s': storage domain '%s' is %s", disk_label(disk), domain->name, storage_domain_state_names[domain->state]);
	else if ((host = storage_worker(engine, domain, error)))
		data = json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s?, s:I, s:b, s:b, s:b}", "host", host, "pool", domain->data_center.id, "domain",
				 domain->id, "volume", disk->image_id, "name", disk_label(disk), "vm", disk->vm.id, "size", (json_int_t)disk->size, "cow",
				 disk->format == DISK_COW, "sparse", disk->sparse, "wipe", disk->wipe_after_delete);
	record_unref(domain);
	return data;
}

json_t *disk_flow_data(struct engine *engine, const struct disk *disk, GError **error)
{
	if (!disk_is_lun(disk))
		return image_data(engine, disk, error);
	return json_pack("{s:b, s:s?, s:s, s:s?}", "lun", true, "host", disk->lun_hosts ? disk->lun_hosts->pdata[0] : NULL, "name", disk_label(disk), "vm",
			 disk->vm.id);
}

struct storage_call disk_flow_call(const struct flow *flow)
{
	return (struct storage_call){ flow->engine, flow_text(flow, "host"), flow->id, AGENT_PATIENCE_S };
}

struct volume_place disk_flow_volume(const struct flow *flow)
{
	return (struct volume_place){
		.pool_id = flow_text(flow, "pool"), .domain_id = flow_text(flow, "domain"), .image_id = flow->object_id, .volume_id = flow_text(flow, "volume"),
		.description = flow_text(flow, "name"), .size = json_integer_value(json_object_get(flow->data, "size")), .cow = flow_flag(flow, "cow"),
		.sparse = flow_flag(flow, "sparse"), .wipe = flow_flag(flow, "wipe"),
	};
}

/* An event about the disk and, if it belongs to one, its VM. */
static void tell(struct flow *flow, struct change *change, int code, int floating_code, const char *format, const char *floating_format, const char *why)
{
	const char *vm_id = flow_text(flow, "vm");
	struct vm *vm = vm_id ? model_get(flow->engine->model, &vm_kind, vm_id) : NULL;
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	struct storage_domain *domain = disk && disk_domain(disk) ? model_get(flow->engine->model, &storage_domain_kind, disk_domain(disk)) : NULL;
	void *about[] = { vm, disk, domain }, *refs[G_N_ELEMENTS(about) + 1] = { NULL }, **next = refs;
	g_autofree char *text = NULL;
	g_auto(GStrv) parts = g_strsplit(vm ? format : floating_format, "$", -1);
	GString *line = g_string_new(parts[0]);

	for (size_t i = 0; i < G_N_ELEMENTS(about); i++)
		if (about[i])
			*next++ = about[i];
	/* "Disk $d of VM $v ($u)$w": d the disk, v the VM, u the user, w why */
	for (char **part = parts + 1; parts[0] && *part; part++) {
		g_string_append(line, **part == 'd' ? flow_text(flow, "name") : **part == 'v' && vm ? vm->name : **part == 'u' ? flow_user(flow) : why ? why : "");
		g_string_append(line, **part ? *part + 1 : "");
	}
	text = g_string_free(line, FALSE);
	if (change)
		change_event(change, vm ? code : floating_code, &flow->actor, refs, "%s", text);
	else
		store_event(flow->engine->store, vm ? code : floating_code, &flow->actor, refs, "%s", text);
	record_unref(vm);
	record_unref(disk);
	record_unref(domain);
}

/* ---- create ---- */

bool disk_record(struct flow *flow, GError **error)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);

	bool there = disk != NULL;

	record_unref(disk);
	flow_took_over(flow);
	if (!there)
		error_set(error, ERR_NOT_FOUND, "disk '%s'", flow->object_id);
	return there;
}

bool disk_record_undo(struct flow *flow, GError **error)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	struct change *change;
	bool ok = true;

	if (disk && disk->state == DISK_LOCKED) {
		change = change_new(flow->engine->store);
		change_remove(change, disk);
		storage_drop_connections(flow->engine->model, change, disk->connections, disk->id);
		ok = change_commit(change, error);
	}
	record_unref(disk);
	return ok;
}

static bool is_ok(const struct flow *flow)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	bool ok = disk && disk->state == DISK_OK;

	record_unref(disk);
	return ok;
}

static bool is_lun(const struct flow *flow)
{
	return flow_flag(flow, "lun");
}

bool disk_volume_undo(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);

	if (is_ok(flow))
		return true;
	if (is_lun(flow)) {
		lun_leave(flow);
		return true;
	}
	if (volume_remove(&call, &volume, error))
		return true;
	error_wrap(error, "volume %s on storage domain %s", volume.volume_id, volume.domain_id);
	return false;
}

bool disk_volume(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);

	return is_ok(flow) || (is_lun(flow) ? lun_reach(flow, error) : volume_create(&call, &volume, error));
}

struct settling {
	struct flow *flow;
	void (*tell)(struct flow *flow, struct change *change, struct disk *disk);
	int64_t capacity, used;
	struct logical_unit *unit;
};

static bool edit_settle(void *copy, struct change *change, void *data, GError **error)
{
	struct disk *disk = copy;
	struct settling *settling = data;

	if (disk->state != DISK_LOCKED)
		return false;
	SET(disk, state, DISK_OK);
	SET(disk, size, settling->capacity);
	SET(disk, actual_size, settling->used);
	if (settling->unit)
		lun_take(disk, settling->unit);
	settling->tell(settling->flow, change, disk);
	return true;
}

bool disk_settle(struct flow *flow, void (*tell_end)(struct flow *flow, struct change *change, struct disk *disk), GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);
	struct settling settling = { .flow = flow, .tell = tell_end };
	bool ok;

	if (is_ok(flow))
		return true;
	if (is_lun(flow)) {
		ok = (settling.unit = lun_look(flow, error)) != NULL;
		if (ok)
			settling.capacity = settling.used = settling.unit->size;
	} else {
		ok = volume_sizes(&call, &volume, &settling.capacity, &settling.used, error);
	}
	ok = ok && store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_settle, &settling, NULL, error);
	record_unref(settling.unit);
	if (ok && volume.domain_id)
		domain_sizes_refresh(flow->engine, volume.domain_id);
	return ok;
}

static void tell_added(struct flow *flow, struct change *change, struct disk *disk)
{
	tell(flow, change, EVENT_ADDED, EVENT_FLOATING_ADDED, "The disk $d was successfully added to VM $v.", "The disk $d was successfully added.", NULL);
}

static bool create_settle(struct flow *flow, GError **error)
{
	return disk_settle(flow, tell_added, error);
}

static void create_failed(struct flow *flow, const GError *cause)
{
	tell(flow, NULL, EVENT_ADD_FAILED, EVENT_FLOATING_ADD_FAILED, "Add-Disk operation failed to complete on VM $v. (Disk: $d, User: $u) $w",
	     "Add-Disk operation of $d failed to complete (User: $u): $w", cause->message);
}

static const struct flow_step create_steps[] = {
	{ "record", disk_record, disk_record_undo },
	{ "volume", disk_volume, disk_volume_undo },
	{ "settle", create_settle, NULL },
};

const struct flow_type create_disk_flow = {
	.name = "create_disk", .kind = &disk_kind, .steps = create_steps, .n_steps = G_N_ELEMENTS(create_steps), .forward = true, .failed = create_failed,
};

/* ---- remove ---- */

static bool edit_lock(void *copy, struct change *change, void *data, GError **error)
{
	struct disk *disk = copy;

	/* Two removals do no harm to each other, and after a restart that of the VM and that of its disk may meet. */
	if (disk->state == DISK_LOCKED && !flow_is_alone(data, &remove_disk_flow)) {
		error_set(error, ERR_WRONG_STATE, "disk '%s' is locked", disk_label(disk));
		return false;
	}
	SET(disk, state, DISK_LOCKED);
	change_check(change, disk_is_at_rest, disk);
	return true;
}

/* Another removal was faster: that of the VM or template, taken up after a restart, begins one of its own beside the one that was under way. */
static bool is_gone(GError **error)
{
	bool gone = error_is(*error, ERR_NOT_FOUND);

	if (gone)
		g_clear_error(error);
	return gone;
}

static bool remove_lock(struct flow *flow, GError **error)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	bool there = disk != NULL;
	GError *own = NULL;

	record_unref(disk);
	if (there && !store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_lock, flow, NULL, &own) && !is_gone(&own)) {
		g_propagate_error(error, own);
		return false;
	}
	json_object_set_new(flow->data, "locked", json_true());
	return true;
}

static bool remove_unlock(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);
	int64_t capacity, used;
	int state = DISK_OK;
	g_autoptr(GError) own = NULL;

	if (!flow_flag(flow, "locked"))
		return true;
	if (!is_lun(flow) && !volume_sizes(&call, &volume, &capacity, &used, &own) && agent_is_away(own)) {
		g_propagate_error(error, g_steal_pointer(&own));
		return false;
	}
	if (error_is(own, ERR_VOLUME_DOES_NOT_EXIST))
		state = DISK_ILLEGAL;
	return store_modify(flow->engine->store, &disk_kind, flow->object_id, disk_edit_unlock, &state, NULL, error);
}

static bool remove_volume(struct flow *flow, GError **error)
{
	const struct storage_call call = disk_flow_call(flow);
	const struct volume_place volume = disk_flow_volume(flow);

	if (is_lun(flow))
		lun_leave(flow);
	/* with those that it is based on: a disk may have brought snapshots along */
	return !volume.volume_id || image_remove(&call, volume.pool_id, volume.domain_id, volume.image_id, volume.wipe, error);
}

static bool remove_forget(struct flow *flow, GError **error)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	struct change *change;
	GError *own = NULL;
	bool ok;

	if (!disk)
		return true;
	change = change_new(flow->engine->store);
	change_remove(change, disk);
	storage_drop_connections(flow->engine->model, change, disk->connections, disk->id);
	tell(flow, change, EVENT_REMOVED, EVENT_FLOATING_REMOVED, "Disk was removed from VM $v by $u. ($d)", "Disk $d was successfully removed by $u.", NULL);
	ok = change_commit(change, &own) || is_gone(&own);
	record_unref(disk);
	if (own)
		g_propagate_error(error, own);
	if (ok && !is_lun(flow))
		domain_sizes_refresh(flow->engine, flow_text(flow, "domain"));
	return ok;
}

static void remove_failed(struct flow *flow, const GError *cause)
{
	tell(flow, NULL, EVENT_REMOVE_FAILED, EVENT_FLOATING_REMOVE_FAILED, "Failed to remove Disk from VM $v (User: $u). $d: $w",
	     "Failed to remove Disk $d (User: $u): $w", cause->message);
}

static const struct flow_step remove_steps[] = {
	{ "lock", remove_lock, remove_unlock },
	{ "volume", remove_volume, NULL },
	{ "forget", remove_forget, NULL },
};

const struct flow_type remove_disk_flow = {
	.name = "remove_disk", .kind = &disk_kind, .steps = remove_steps, .n_steps = G_N_ELEMENTS(remove_steps), .forward = true, .failed = remove_failed,
};
