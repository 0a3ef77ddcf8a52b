/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of disks: record (both locked) > volume > data > settle (both ok). Interrupted it goes on; failed, the volume and the record of the copy are taken
 * back and the disk is as it was. The disk is only read, and nobody writes to it meanwhile: what is locked is neither started with nor changed.
 *
 * An engine killed between the announcement and the end of the first step leaves two flows that do the same, one after the other: to the second
 * everything is done, and a copy that is ok is never taken back.
 */
#include "engine/flow/disk_copy.h"

#include "common/error.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/image_copies.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

/* Event codes: AuditLogType of ovirt-engine */
#define EVENT_COPIED 2012
#define EVENT_COPY_FAILED 2013

json_t *disk_copy_data(struct engine *engine, const struct disk *from, const struct disk *to, const struct storage_domain *target, GError **error)
{
	g_autofree char *host = storage_host(engine, target, error);
	json_t *copies = json_array(), *data;

	copies_add(copies, from, disk_domain(from), to, target->id);
	data = json_pack("{s:s?, s:s, s:s, s:s, s:s, s:s, s:o}", "host", host, "pool", target->data_center.id, "target", target->id, "target_name",
			 target->name, "name", disk_label(from), "copy", to->id, "copies", copies);
	if (!host)
		g_clear_pointer(&data, json_decref);
	return data;
}

static struct disk *copy_of(const struct flow *flow)
{
	return model_get(flow->engine->model, &disk_kind, flow_text(flow, "copy"));
}

static bool is_settled(const struct flow *flow)
{
	struct disk *copy = copy_of(flow);
	bool settled = copy && copy->state == DISK_OK;

	record_unref(copy);
	return settled;
}

/* ---- record ---- */

static bool record(struct flow *flow, GError **error)
{
	struct disk *copy = copy_of(flow);

	flow_took_over(flow);
	if (!copy)
		error_set(error, ERR_NOT_FOUND, "disk '%s'", flow_text(flow, "copy"));
	record_unref(copy);
	return copy != NULL;
}

/* In one change with the end of the copy: as long as there is a locked copy, the disk's lock is ours. */
static bool edit_forget(void *record, struct change *change, void *data, GError **error)
{
	struct disk *disk = record, *copy = copy_of(data);
	bool ours = copy && copy->state == DISK_LOCKED;

	if (ours) {
		change_remove(change, copy);
		SET(disk, state, DISK_OK);
	}
	record_unref(copy);
	return ours;
}

static bool forget(struct flow *flow, GError **error)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id), *copy = copy_of(flow);
	struct change *change;
	bool ok = true;

	if (disk) {
		ok = store_modify(flow->engine->store, &disk_kind, flow->object_id, edit_forget, flow, NULL, error);
	} else if (copy && copy->state == DISK_LOCKED) {        /* its storage domain was given up with all that is on it */
		change = change_new(flow->engine->store);
		change_remove(change, copy);
		ok = change_commit(change, error);
	}
	record_unref(copy);
	record_unref(disk);
	return ok;
}

/* ---- volume, data ---- */

static bool make(struct flow *flow, GError **error)
{
	return is_settled(flow) || copies_make(flow, error);
}

static bool unmake(struct flow *flow, GError **error)
{
	return is_settled(flow) || copies_unmake(flow, error);
}

static bool run(struct flow *flow, GError **error)
{
	return is_settled(flow) || copies_run(flow, error);
}

/* ---- settle ---- */

struct settling { struct flow *flow; int64_t capacity, used; };

static bool edit_settle(void *record, struct change *change, void *data, GError **error)
{
	struct disk *copy = record, *disk;
	const struct settling *settling = data;
	struct flow *flow = settling->flow;
	struct storage_domain *target;

	if (copy->state != DISK_LOCKED)
		return false;
	SET(copy, state, DISK_OK);
	SET(copy, size, settling->capacity);
	SET(copy, actual_size, settling->used);
	disk = model_get(flow->engine->model, &disk_kind, flow->object_id);
	target = model_get(flow->engine->model, &storage_domain_kind, flow_text(flow, "target"));
	if (disk && disk->state == DISK_LOCKED)
		disk_change_state(change, disk, DISK_OK);
	change_event(change, EVENT_COPIED, &flow->actor, target ? (void *[]){ copy, target, NULL } : (void *[]){ copy, NULL },
		     "User %s finished copying disk %s to domain %s.", flow_user(flow), flow_text(flow, "name"), flow_text(flow, "target_name"));
	record_unref(target);
	record_unref(disk);
	return true;
}

static bool settle(struct flow *flow, GError **error)
{
	struct settling settling = { .flow = flow };

	if (is_settled(flow))
		return true;
	if (!copies_sizes(flow, flow_text(flow, "copy"), &settling.capacity, &settling.used, error) ||
	    !store_modify(flow->engine->store, &disk_kind, flow_text(flow, "copy"), edit_settle, &settling, NULL, error))
		return false;
	domain_sizes_refresh(flow->engine, flow_text(flow, "target"));
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	struct disk *disk = model_get(flow->engine->model, &disk_kind, flow->object_id);

	store_event(flow->engine->store, EVENT_COPY_FAILED, &flow->actor, (void *[]){ disk, NULL }, "User %s finished with error copying disk %s to domain %s: %s",
		    flow_user(flow), flow_text(flow, "name"), flow_text(flow, "target_name"), cause->message);
	record_unref(disk);
}

static const struct flow_step steps[] = {
	{ "record", record, forget }, { "volume", make, unmake }, { "data", run, copies_stop }, { "settle", settle, NULL },
};

const struct flow_type copy_disk_flow = {
	.name = "copy_disk", .kind = &disk_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};
