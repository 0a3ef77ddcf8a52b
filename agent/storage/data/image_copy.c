/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole images to another domain: the chain is built there with the same ids, blank, each volume illegal (Image.cloneStructure ends here, all legal); then
 * from the root on each volume's own data are copied into it; then all become legal. A template the chain is based on must be in the other domain already.
 *
 *   move        = copy; then the source is removed. Killed at any step: the source is whole until every volume of the target is legal.
 *   failed, or canceled: what was made in the target is removed.
 *
 * How many volumes are copied is written after each: a killed job goes on with the next.
 */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/storage/data/data.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"

static const struct volume_call *call_of(const struct data_run *run)
{
	return run->params;
}

/* The source is changed by a move only at its end, but then nobody may have begun to read it. */
static void target(struct data_run *run)
{
	const struct volume_call *params = run->params;

	run->claims[run->n_claims++] = (struct claim){ params->dst_domain_id, params->image_id, true };
	run->claims[run->n_claims++] = (struct claim){ params->domain_id, params->image_id, params->operation == IMAGE_MOVE };
	run->domain_id = params->domain_id;
	run->image = params->image_id;
}

/* The other way round: root first for making, children first for removing. */
static json_t *turned(json_t *volumes)
{
	json_t *order = json_array();

	for (size_t i = json_array_size(volumes); i > 0; i--)
		json_array_append(order, json_array_get(volumes, i - 1));
	return order;
}

static struct domain *open_target(const struct data_run *run, GError **error)
{
	return domain_open_active(run->storage, call_of(run)->dst_domain_id, error);
}

/* ---- before ---- */

/* The volume's parent, when it is another image's: it must be there. */
static bool check_template(const struct data_run *run, const struct domain *to, const char *root, GError **error)
{
	g_autoptr(metadata) values = volume_read(run->domain, run->image, root, error);
	g_autoptr(metadata) parent = NULL;
	g_autoptr(metadata) there = NULL;

	if (!values || !volume_has_parent(values))
		return values != NULL;
	if (!(parent = volume_read(run->domain, run->image, metadata_get(values, "PUUID"), error)))
		return false;
	if ((there = volume_read(to, metadata_get(parent, "IMAGE"), metadata_get(values, "PUUID"), NULL)))
		return true;
	error_set(error, ERR_IMAGE_NOT_ON_TARGET_DOMAIN, "template '%s' of image '%s' is not in domain '%s'", metadata_get(values, "PUUID"), run->image, to->id);
	return false;
}

static bool check_source(struct data_run *run, json_t *volumes, GError **error)
{
	bool move = call_of(run)->operation == IMAGE_MOVE;
	json_t *id;
	size_t i;

	json_array_foreach(volumes, i, id) {
		g_autoptr(metadata) values = volume_read(run->domain, run->image, json_string_value(id), error);
		g_autoptr(GPtrArray) children = values ? volume_children(run->domain, run->image, json_string_value(id), error) : NULL;

		if (!children)
			return false;
		if (!strcmp(metadata_get(values, "LEGALITY"), "ILLEGAL")) {
			error_set(error, ERR_PREPARE_ILLEGAL_VOLUME_ERROR, "'%s'", json_string_value(id));
			return false;
		}
		if (move && volume_in_use(run->domain, run->image, json_string_value(id))) {
			error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", json_string_value(id));
			return false;
		}
		if (move && !strcmp(metadata_get(values, "VOLTYPE"), "SHARED") && children->len) {
			error_set(error, ERR_MOVE_TEMPLATE_IMAGE_ERROR, "'%s' is the parent of '%s'", json_string_value(id), (char *)children->pdata[0]);
			return false;
		}
	}
	return true;
}

/* State "volumes": root first. */
static bool check(struct data_run *run, GError **error)
{
	autodomain to = open_target(run, error);
	json_t *volumes = to ? image_own_volumes(run->domain, run->image, error) : NULL, *there, *order;

	if (!volumes)
		return false;
	if (!strcmp(run->domain_id, to->id)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "image '%s' is in domain '%s' already", run->image, to->id);
		json_decref(volumes);
		return false;
	}
	if ((there = image_own_volumes(to, run->image, NULL))) {
		error_set(error, ERR_OVERWRITE_IMAGE_ERROR, "image '%s' is in domain '%s', too", run->image, to->id);
		json_decref(there);
		json_decref(volumes);
		return false;
	}
	order = turned(volumes);
	json_decref(volumes);
	json_object_set_new(run->state, "volumes", order);
	return check_source(run, order, error) && check_template(run, to, json_string_value(json_array_get(order, 0)), error);
}

/* ---- structure ---- */

/* A blank twin in the target; one that is there is fine. */
static bool make_twin(struct data_run *run, struct domain *to, const char *id, GError **error)
{
	g_autoptr(metadata) values = volume_read(run->domain, run->image, id, error);
	g_autoptr(metadata) there = volume_read(to, run->image, id, NULL);
	g_autoptr(metadata) parent = NULL;
	struct volume_draft draft = { .image = run->image, .volume = id };
	int64_t truesize, apparentsize;
	g_autoptr(GError) left = NULL;

	if (!values || there)
		return values != NULL;
	if (volume_has_parent(values)) {
		draft.parent = metadata_get(values, "PUUID");
		if (!(parent = volume_read(run->domain, run->image, draft.parent, error)))
			return false;
		draft.parent_image = metadata_get(parent, "IMAGE");
	}
	if (!volume_sizes(run->domain, run->image, id, &truesize, &apparentsize, error))
		return false;
	draft.bytes = !strcmp(volume_format(values), "raw") ? metadata_get_int(values, "CAP", 0) : truesize + truesize / 10 + VOLUME_LEASE_SIZE;
	metadata_set(values, "DOMAIN", to->id);
	metadata_set(values, "LEGALITY", "ILLEGAL");
	if (strcmp(metadata_get(values, "VOLTYPE"), "SHARED"))
		metadata_set(values, "VOLTYPE", "LEAF");
	if (!volume_undo(to, run->image, id, error))
		return false;
	if (volume_build(to, &draft, values, !strcmp(metadata_get(values, "TYPE"), "PREALLOCATED") ? metadata_get_int(values, "CAP", 0) : 0, run->job, error))
		return true;
	if (!volume_undo(to, run->image, id, &left))
		log_warn("storage domain %s: cannot clean up after volume %s: %s, ignoring", to->id, id, left->message);
	return false;
}

static bool make_structure(struct data_run *run, struct domain *to, GError **error)
{
	json_t *id;
	size_t i;

	json_array_foreach(json_object_get(run->state, "volumes"), i, id)
		if (!make_twin(run, to, json_string_value(id), error) ||
		    !volume_copy_items(run->domain, to, run->image, json_string_value(id), error))
			return false;
	return true;
}

static bool make_legal(struct data_run *run, struct domain *to, GError **error)
{
	json_t *id;
	size_t i;

	json_array_foreach(json_object_get(run->state, "volumes"), i, id)
		if (!volume_change(to, run->image, json_string_value(id), error, "LEGALITY", "LEGAL", NULL))
			return false;
	return true;
}

/* ---- data ---- */

/* What this volume itself has, without what is below it; volumes below it are copied already. */
static bool copy_held(const struct data_run *run, const struct chain_hold *from, const struct chain_hold *to, size_t nth, size_t n, GError **error)
{
	g_autofree char *directory = g_path_get_dirname(to->path);
	g_autofree char *backing = to->volumes->len > 1 ? g_build_filename(directory, to->volumes->pdata[1], NULL) : NULL;
	g_autoptr(metadata) parent = backing ? volume_read(to->domain, to->image, to->volumes->pdata[1], error) : NULL;
	struct qemu_img_work work = data_work(run, (int)(nth * 100 / n), (int)((nth + 1) * 100 / n));

	if (backing && !parent)
		return false;
	return qemu_img_convert(&(struct qemu_img_convert){ .source = from->path, .source_format = from->format,
							    .source_size = chain_raw_size(from), .target = to->path, .target_format = to->format,
							    .backing = backing, .backing_format = parent ? volume_format(parent) : NULL }, &work, error);
}

static bool copy_volume(struct data_run *run, struct domain *to, const char *id, size_t nth, size_t n, GError **error)
{
	struct chain_hold source, copy;
	bool good;

	if (!chain_hold(&source, run->domain, run->image, id, /* write= */ false, /* allow_illegal= */ false, error))
		return false;
	good = chain_hold_all(&copy, to, run->image, id, error);
	if (good) {
		good = copy_held(run, &source, &copy, nth, n, error);
		chain_release(&copy);
	}
	chain_release(&source);
	return good && volume_settle(to, run->image, id, VOLUME_WHOLE, run->job, error);
}

/* Volumes first..end of the chain; counted in the state, so that a killed job does none twice. */
static bool copy_data(struct data_run *run, struct domain *to, size_t first, size_t end, GError **error)
{
	json_t *volumes = json_object_get(run->state, "volumes");
	size_t copied = (size_t)json_integer_value(json_object_get(run->state, "copied"));

	for (size_t i = MAX(first, copied); i < end; i++) {
		if (!copy_volume(run, to, json_string_value(json_array_get(volumes, i)), i, json_array_size(volumes), error))
			return false;
		json_object_set_new(run->state, "copied", json_integer((json_int_t)i + 1));
		if (!job_step(run->job, run->state, "begun", error))
			return false;
	}
	return true;
}

static void undo(struct data_run *run, struct domain *to)
{
	json_t *order = turned(json_object_get(run->state, "volumes"));
	g_autoptr(GError) problem = NULL;

	if (!image_remove_volumes(to, run->image, order, /* zero= */ false, /* discard= */ false, &problem))
		log_warn("copy of image %s in domain %s is not removed: %s, ignoring", run->image, to->id, problem->message);
	json_decref(order);
}

/* ---- copy, move ---- */

static bool move_work(struct data_run *run, GError **error)
{
	autodomain to = open_target(run, error);

	if (!to)
		return false;
	if (make_structure(run, to, error) && copy_data(run, to, 0, json_array_size(json_object_get(run->state, "volumes")), error) && make_legal(run, to, error))
		return true;
	undo(run, to);
	return false;
}

static bool move_finish(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	json_t *order;
	bool good;

	if (params->operation != IMAGE_MOVE)
		return true;
	order = turned(json_object_get(run->state, "volumes"));
	good = image_remove_volumes(run->domain, run->image, order, params->post_zero, params->discard, error);
	json_decref(order);
	return good;
}

DATA_KIND_RUN(image_move_kind)
const struct data_kind image_move_kind = {
	.kind = { "move_image", "storage", image_move_kind_run }, .params = &image_move_params_type, .target = target, .check = check, .work = move_work,
	.finish = move_finish,
};

/* ---- structure alone, data alone ---- */

static bool clone_work(struct data_run *run, GError **error)
{
	autodomain to = open_target(run, error);

	if (!to)
		return false;
	if (make_structure(run, to, error) && make_legal(run, to, error))
		return true;
	undo(run, to);
	return false;
}

DATA_KIND_RUN(image_clone_kind)
const struct data_kind image_clone_kind = {
	.kind = { "clone_structure", "storage", image_clone_kind_run }, .params = &image_clone_params_type, .target = target, .check = check, .work = clone_work,
};

static bool sync_check(struct data_run *run, GError **error)
{
	autodomain to = open_target(run, error);
	json_t *volumes = to ? image_own_volumes(run->domain, run->image, error) : NULL, *order, *id;
	size_t i;

	if (!volumes)
		return false;
	order = turned(volumes);
	json_decref(volumes);
	json_object_set_new(run->state, "volumes", order);
	json_array_foreach(order, i, id) {
		g_autoptr(metadata) twin = volume_read(to, run->image, json_string_value(id), error);

		if (!twin)
			return false;
	}
	return true;
}

static bool sync_work(struct data_run *run, GError **error)
{
	autodomain to = open_target(run, error);
	const char *which = call_of(run)->kind;
	size_t n = json_array_size(json_object_get(run->state, "volumes"));

	return to && copy_data(run, to, !strcmp(which, "LEAF") ? n - 1 : 0, !strcmp(which, "INTERNAL") ? n - 1 : n, error);
}

DATA_KIND_RUN(image_sync_kind)
const struct data_kind image_sync_kind = {
	.kind = { "sync_image", "storage", image_sync_kind_run }, .params = &image_sync_params_type, .target = target, .check = sync_check, .work = sync_work,
};

/* ---- Volume.copy: one volume of what a guest would read through a chain ---- */

static void copy_target(struct data_run *run)
{
	const struct volume_call *params = run->params;

	run->claims[run->n_claims++] = (struct claim){ params->dst_domain_id, params->dst_image_id, true };
	if (strcmp(params->dst_domain_id, params->domain_id) || strcmp(params->dst_image_id, params->image_id))
		run->claims[run->n_claims++] = (struct claim){ params->domain_id, params->image_id, false };
	run->domain_id = params->domain_id;
	run->image = params->image_id;
}

static bool copy_check(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	autodomain to = open_target(run, error);
	struct chain_hold hold;

	if (!to)
		return false;
	if (volume_exists(to, params->dst_image_id, params->dst_volume_id)) {
		error_set(error, ERR_VOLUME_ALREADY_EXISTS, "'%s' in image '%s'", params->dst_volume_id, params->dst_image_id);
		return false;
	}
	if (!chain_hold(&hold, run->domain, run->image, params->volume_id, /* write= */ false, /* allow_illegal= */ false, error))
		return false;
	chain_release(&hold);
	return true;
}

/* Illegal until the data are in it. */
static bool make_copy(struct data_run *run, struct domain *to, GError **error)
{
	const struct volume_call *params = run->params;
	g_autoptr(metadata) values = volume_read(run->domain, run->image, params->volume_id, error);
	g_autoptr(metadata) there = volume_read(to, params->dst_image_id, params->dst_volume_id, NULL);
	g_autofree char *description = volume_description(params->description);
	struct volume_draft draft = { .image = params->dst_image_id, .volume = params->dst_volume_id };
	bool full = params->preallocate == VOLUME_PREALLOCATED;
	int64_t capacity;

	if (!values || there)
		return values != NULL;
	capacity = metadata_get_int(values, "CAP", 0);
	draft.bytes = params->dst_format == VOLUME_RAW || full ? capacity : capacity / 10 + VOLUME_LEASE_SIZE;
	metadata_set(values, "DOMAIN", to->id);
	metadata_set(values, "IMAGE", params->dst_image_id);
	metadata_set(values, "PUUID", BLANK_UUID);
	metadata_set(values, "LEGALITY", "ILLEGAL");
	metadata_set(values, "GEN", "0");
	metadata_set(values, "SEQ", "0");
	metadata_set(values, "DESCRIPTION", description);
	metadata_set_int(values, "CTIME", wall_msec() / 1000);
	metadata_set(values, "FORMAT", params->dst_format == VOLUME_RAW ? "RAW" : "COW");
	metadata_set(values, "TYPE", full ? "PREALLOCATED" : "SPARSE");
	metadata_set(values, "VOLTYPE", "LEAF");
	return volume_undo(to, params->dst_image_id, params->dst_volume_id, error) &&
	       volume_build(to, &draft, values, full ? capacity : 0, run->job, error);
}

static bool fill_copy(struct data_run *run, struct domain *to, GError **error)
{
	const struct volume_call *params = run->params;
	struct qemu_img_work work = data_work(run, 0, 100);
	struct chain_hold source, copy;
	bool good = false;

	if (!chain_hold(&source, run->domain, run->image, params->volume_id, /* write= */ false, /* allow_illegal= */ false, error))
		return false;
	if (chain_hold(&copy, to, params->dst_image_id, params->dst_volume_id, /* write= */ true, /* allow_illegal= */ true, error)) {
		good = qemu_img_convert(&(struct qemu_img_convert){ .source = source.path, .source_format = source.format,
								     .source_size = chain_raw_size(&source), .target = copy.path,
								     .target_format = copy.format }, &work, error);
		chain_release(&copy);
	}
	chain_release(&source);
	return good && volume_settle(to, params->dst_image_id, params->dst_volume_id, VOLUME_WHOLE, run->job, error);
}

static bool copy_work(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	autodomain to = open_target(run, error);
	g_autoptr(GError) left = NULL;
	json_t *made;

	if (!to)
		return false;
	if (make_copy(run, to, error) && fill_copy(run, to, error) &&
	    volume_change(to, params->dst_image_id, params->dst_volume_id, error, "LEGALITY", "LEGAL", "VOLTYPE",
			  params->volume_type == VOLUME_ROLE_SHARED ? "SHARED" : "LEAF", NULL))
		return true;
	made = json_pack("[s]", params->dst_volume_id);
	if (!volume_undo(to, params->dst_image_id, params->dst_volume_id, &left) ||
	    !image_remove_volumes(to, params->dst_image_id, made, /* zero= */ false, /* discard= */ false, &left))
		log_warn("copy %s of volume %s is not removed: %s, ignoring", params->dst_volume_id, params->volume_id, left->message);
	json_decref(made);
	return false;
}

DATA_KIND_RUN(volume_copy_kind)
const struct data_kind volume_copy_kind = {
	.kind = { "copy_volume", "storage", volume_copy_kind_run }, .params = &volume_copy_params_type, .target = copy_target, .check = copy_check,
	.work = copy_work,
};
