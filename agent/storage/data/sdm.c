/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SDM verbs: jobs on one volume whose id the caller gives, as vdsm's (lib/vdsm/storage/sdm/api). Merging is in merge.c.
 *
 * copy_data      what the source reads goes into a volume that is there; between two volumes that both have a parent only what lies above it, because the
 *                caller has copied, or shares, the parents. Above the old contents of a target without parent nothing is left: qemu-img writes zeros there.
 * update_volume  legality, description, type and generation in one write of the metadata
 * amend_volume   version of the qcow2 format
 * sparsify       thin.c
 * add_bitmap     a bitmap that notes what changes from now on, for a backup of a volume that no VM uses; its name is new to the whole chain
 * remove_bitmap  one that is not there is removed
 * clear_bitmaps  all of a volume
 */
#include <string.h>
#include "agent/storage/data/data.h"
#include "agent/storage/data/thin.h"
#include "common/error.h"

/* Each image once; the target, which is written, comes first. */
static void claim(struct data_run *run, const struct endpoint *endpoint, bool write)
{
	for (size_t i = 0; i < run->n_claims; i++)
		if (!strcmp(run->claims[i].domain, endpoint->domain_id) && !strcmp(run->claims[i].image, endpoint->image_id))
			return;
	run->claims[run->n_claims++] = (struct claim){ endpoint->domain_id, endpoint->image_id, write };
}

static void aim(struct data_run *run, const struct endpoint *endpoint)
{
	claim(run, endpoint, /* write= */ true);
	run->domain_id = endpoint->domain_id;
	run->image = endpoint->image_id;
	run->volume = endpoint->volume_id;
	run->generation = HAS(endpoint, generation) ? endpoint->generation : -1;
}

static bool is_volume(const struct endpoint *endpoint)
{
	return !strcmp(endpoint->type, "div");
}

/* ---- copy_data ---- */

static void copy_target(struct data_run *run)
{
	const struct sdm_params *params = run->params;

	if (is_volume(params->destination))
		aim(run, params->destination);
	else if (params->destination->lease_id)
		run->guarded = params->destination;
	if (is_volume(params->source))
		claim(run, params->source, /* write= */ false);
}

static bool copy_check(struct data_run *run, GError **error)
{
	const struct sdm_params *params = run->params;
	struct end source = END_NONE, target = END_NONE;
	bool good = end_open(run->storage, params->source, /* write= */ false, run->again, &source, error) &&
		    end_open(run->storage, params->destination, /* write= */ true, run->again, &target, error);

	if (good && run->volume && volume_in_use(run->domain, run->image, run->volume)) {
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", run->volume);
		good = false;
	} else if (good && target.capacity && source.capacity > target.capacity) {
		error_set(error, ERR_DESTINATION_VOLUME_TOO_SMALL, "'%s' has %" PRId64 " bytes, the source %" PRId64, run->volume ? run->volume : target.path,
			  target.capacity, source.capacity);
		good = false;
	}
	end_close(&source);
	end_close(&target);
	return good;
}

static bool drop_bitmaps(const char *path, const char *format, GError **error)
{
	json_t *bitmaps = qemu_img_bitmaps(path, format, error), *bitmap;
	bool good = bitmaps != NULL;
	const char *name;

	json_object_foreach(bitmaps, name, bitmap)
		good = good && qemu_img_bitmap_remove(path, name, error);
	json_decref(bitmaps);
	return good;
}

static bool convert(const struct data_run *run, const struct end *source, const struct end *target, GError **error)
{
	const struct sdm_params *params = run->params;
	struct qemu_img_work work = data_work(run, 0, 100);
	g_autofree char *backing = NULL;
	const char *backing_format = NULL;

	if (target->values && volume_has_parent(target->values) && source->values && volume_has_parent(source->values)) {
		g_autoptr(metadata) parent = volume_read(target->domain, run->image, target->hold.volumes->pdata[1], error);
		g_autofree char *directory = g_path_get_dirname(target->path);

		if (!parent)
			return false;
		backing = g_build_filename(directory, target->hold.volumes->pdata[1], NULL);
		backing_format = volume_format(parent);
	}
	/* work that is repeated finds the bitmaps of the first time */
	if (params->bitmaps && target->domain && !drop_bitmaps(target->path, target->format, error))
		return false;
	return qemu_img_convert(&(struct qemu_img_convert){
		.source = source->path, .source_format = source->format, .source_size = source->domain ? source->capacity : 0,
		.target = target->path, .target_format = target->format, .backing = backing,
		.backing_format = backing_format, .create = target->file != NULL, .rate = params->rate,
		.zeroed = params->destination->is_zero && !target->domain && !target->file && !run->again,
		.bitmaps = params->bitmaps && !strcmp(source->format, "qcow2") && !strcmp(target->format, "qcow2") }, &work, error);
}

static bool copy_work(struct data_run *run, GError **error)
{
	const struct sdm_params *params = run->params;
	struct end source = END_NONE, target = END_NONE;
	bool good = end_open(run->storage, params->source, /* write= */ false, run->again, &source, error) &&
		    end_open(run->storage, params->destination, /* write= */ true, run->again, &target, error) && convert(run, &source, &target, error) &&
		    (!target.domain || volume_settle(target.domain, run->image, run->volume, VOLUME_WHOLE, run->job, error)) &&
		    (!target.file || end_publish(&target, run->again, error));

	end_close(&source);
	end_close(&target);
	return good;
}

DATA_KIND_RUN(sdm_copy_kind)
const struct data_kind sdm_copy_kind = {
	.kind = { "copy_data", "storage", sdm_copy_kind_run }, .params = &sdm_copy_params_type, .illegal = true, .target = copy_target, .check = copy_check,
	.work = copy_work,
};

/* ---- update_volume ---- */

static void volume_target(struct data_run *run)
{
	aim(run, ((const struct sdm_params *)run->params)->volume);
}

static bool update_check(struct data_run *run, GError **error)
{
	const struct volume_attributes *wanted = ((const struct sdm_params *)run->params)->attributes;

	if (wanted->type && strcmp(metadata_get(run->values, "VOLTYPE"), "LEAF"))
		error_set(error, ERR_INVALID_VOLUME_UPDATE, "'%s' is %s and cannot become %s", run->volume, metadata_get(run->values, "VOLTYPE"), wanted->type);
	else if (wanted->type && volume_has_parent(run->values))
		error_set(error, ERR_INVALID_VOLUME_UPDATE, "'%s' has the parent '%s' and cannot become %s", run->volume, metadata_get(run->values, "PUUID"),
			  wanted->type);
	else if (wanted->description && !metadata_is_value(wanted->description))
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "description: contains control characters");
	else
		return true;
	return false;
}

static bool update_work(struct data_run *run, GError **error)
{
	const struct volume_attributes *wanted = ((const struct sdm_params *)run->params)->attributes;
	int generation = (int)json_integer_value(json_object_get(run->state, "generation"));
	g_autofree char *text = g_strdup_printf("%d", HAS(wanted, generation) ? wanted->generation : data_next_generation(generation));
	g_autofree char *description = volume_description(wanted->description ? wanted->description : metadata_get(run->values, "DESCRIPTION"));

	return volume_change(run->domain, run->image, run->volume, error, "GEN", text, "DESCRIPTION", description,
			     "LEGALITY", wanted->legality ? wanted->legality : metadata_get(run->values, "LEGALITY"),
			     "VOLTYPE", wanted->type ? wanted->type : metadata_get(run->values, "VOLTYPE"), NULL);
}

DATA_KIND_RUN(sdm_update_kind)
const struct data_kind sdm_update_kind = {
	.kind = { "update_volume", "storage", sdm_update_kind_run }, .params = &sdm_update_params_type, .quiet = true, .target = volume_target,
	.check = update_check, .work = update_work,
};

/* ---- amend_volume, sparsify_volume ---- */

/* Does it with the volume held. */
static bool with_volume(struct data_run *run, bool (*work)(struct data_run *run, const struct chain_hold *hold, GError **error), GError **error)
{
	struct chain_hold hold;
	bool good = chain_hold(&hold, run->domain, run->image, run->volume, /* write= */ true, /* allow_illegal= */ false, error);

	if (good) {
		good = work(run, &hold, error);
		chain_release(&hold);
	}
	return good;
}

bool volume_check_idle(struct data_run *run, GError **error)
{
	if (!strcmp(metadata_get(run->values, "VOLTYPE"), "SHARED"))
		error_set(error, ERR_SHARED_VOLUME_NON_WRITABLE, "'%s'", run->volume);
	else if (volume_in_use(run->domain, run->image, run->volume))
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", run->volume);
	else
		return true;
	return false;
}

static bool amend_check(struct data_run *run, GError **error)
{
	if (strcmp(metadata_get(run->values, "FORMAT"), "COW")) {
		error_set(error, ERR_INCORRECT_FORMAT, "'%s' is %s, not qcow2", run->volume, metadata_get(run->values, "FORMAT"));
		return false;
	}
	return volume_check_idle(run, error);
}

static bool amend(struct data_run *run, const struct chain_hold *hold, GError **error)
{
	g_autofree char *options = g_strconcat("compat=", ((const struct sdm_params *)run->params)->qcow2->compat, NULL);

	return qemu_img_amend(hold->path, options, error);
}

static bool amend_work(struct data_run *run, GError **error)
{
	return with_volume(run, amend, error);
}

DATA_KIND_RUN(sdm_amend_kind)
const struct data_kind sdm_amend_kind = {
	.kind = { "amend_volume", "storage", sdm_amend_kind_run }, .params = &sdm_amend_params_type, .target = volume_target, .check = amend_check,
	.work = amend_work,
};

bool volume_check_idle_leaf(struct data_run *run, GError **error)
{
	if (!strcmp(metadata_get(run->values, "VOLTYPE"), "INTERNAL")) {
		error_set(error, ERR_INTERNAL_VOLUME_NON_WRITABLE, "'%s' is the parent of another volume", run->volume);
		return false;
	}
	return volume_check_idle(run, error);
}

static bool sparsify(struct data_run *run, const struct chain_hold *hold, GError **error)
{
	return thin_zeros(hold->path, hold->format, run->job, error);
}

bool volume_sparsify(struct data_run *run, GError **error)
{
	return with_volume(run, sparsify, error);
}

DATA_KIND_RUN(sdm_sparsify_kind)
const struct data_kind sdm_sparsify_kind = {
	.kind = { "sparsify_volume", "storage", sdm_sparsify_kind_run }, .params = &sdm_volume_params_type, .target = volume_target, .check = volume_check_idle_leaf,
	.work = volume_sparsify,
};

/* ---- add_bitmap, remove_bitmap, clear_bitmaps ---- */

/* The code that vdsm has for what fails otherwise than storage does. */
static bool bitmap_check(struct data_run *run, enum error_code code, GError **error)
{
	if (strcmp(metadata_get(run->values, "FORMAT"), "COW")) {
		error_set(error, code, "volume '%s' is %s: only qcow2 has bitmaps", run->volume, metadata_get(run->values, "FORMAT"));
		return false;
	}
	return volume_check_idle(run, error);
}

/* ret_volume: the one of the chain that has the bitmap; NULL: none. g_free */
static bool find_bitmap(const struct data_run *run, const struct chain_hold *hold, const char *name, char **ret_volume, GError **error)
{
	g_autofree char *directory = g_path_get_dirname(hold->path);

	*ret_volume = NULL;
	for (guint i = 0; i < hold->volumes->len && !*ret_volume; i++) {
		const char *volume = hold->volumes->pdata[i];
		g_autoptr(metadata) values = volume_read(run->domain, run->image, volume, error);
		g_autofree char *path = g_build_filename(directory, volume, NULL);
		json_t *bitmaps = values ? qemu_img_bitmaps(path, volume_format(values), error) : NULL;

		if (!bitmaps)
			return false;
		if (json_object_get(bitmaps, name))
			*ret_volume = g_strdup(volume);
		json_decref(bitmaps);
	}
	return true;
}

static bool add_bitmap_check(struct data_run *run, GError **error)
{
	return bitmap_check(run, ERR_ADD_BITMAP_ERROR, error);
}

static bool add_bitmap(struct data_run *run, const struct chain_hold *hold, GError **error)
{
	const char *name = ((const struct sdm_params *)run->params)->bitmap;
	g_autofree char *there = NULL;

	if (!find_bitmap(run, hold, name, &there, error))
		return false;
	if (!there)
		return qemu_img_bitmap_add(hold->path, name, /* granularity= */ 0, error);
	if (run->again && !strcmp(there, run->volume))
		return true;                    /* before the agent was killed */
	error_set(error, ERR_ADD_BITMAP_ERROR, "volume '%s' has bitmap '%s' already", there, name);
	return false;
}

static bool add_bitmap_work(struct data_run *run, GError **error)
{
	return with_volume(run, add_bitmap, error);
}

DATA_KIND_RUN(sdm_add_bitmap_kind)
const struct data_kind sdm_add_bitmap_kind = {
	.kind = { "add_bitmap", "storage", sdm_add_bitmap_kind_run }, .params = &sdm_bitmap_params_type, .target = volume_target, .check = add_bitmap_check,
	.work = add_bitmap_work,
};

static bool remove_bitmap_check(struct data_run *run, GError **error)
{
	return bitmap_check(run, ERR_REMOVE_BITMAP_ERROR, error);
}

static bool remove_bitmap(struct data_run *run, const struct chain_hold *hold, GError **error)
{
	const char *name = ((const struct sdm_params *)run->params)->bitmap;
	json_t *bitmaps = qemu_img_bitmaps(hold->path, hold->format, error);
	bool good = bitmaps && (!json_object_get(bitmaps, name) || qemu_img_bitmap_remove(hold->path, name, error));

	json_decref(bitmaps);
	return good;
}

static bool remove_bitmap_work(struct data_run *run, GError **error)
{
	return with_volume(run, remove_bitmap, error);
}

DATA_KIND_RUN(sdm_remove_bitmap_kind)
const struct data_kind sdm_remove_bitmap_kind = {
	.kind = { "remove_bitmap", "storage", sdm_remove_bitmap_kind_run }, .params = &sdm_bitmap_params_type, .target = volume_target,
	.check = remove_bitmap_check, .work = remove_bitmap_work,
};

static bool clear_bitmaps_check(struct data_run *run, GError **error)
{
	if (!strcmp(metadata_get(run->values, "VOLTYPE"), "SHARED")) {
		error_set(error, ERR_MISC_UNSUPPORTED_OPERATION, "volume '%s' is a template's: its bitmaps stay", run->volume);
		return false;
	}
	return bitmap_check(run, ERR_MISC_UNSUPPORTED_OPERATION, error);
}

static bool clear_bitmaps(struct data_run *run, const struct chain_hold *hold, GError **error)
{
	return drop_bitmaps(hold->path, hold->format, error);
}

static bool clear_bitmaps_work(struct data_run *run, GError **error)
{
	return with_volume(run, clear_bitmaps, error);
}

DATA_KIND_RUN(sdm_clear_bitmaps_kind)
const struct data_kind sdm_clear_bitmaps_kind = {
	.kind = { "clear_bitmaps", "storage", sdm_clear_bitmaps_kind_run }, .params = &sdm_volume_params_type, .target = volume_target,
	.check = clear_bitmaps_check, .work = clear_bitmaps_work,
};

/* ---- the verbs ---- */

static bool copy_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct sdm_params *params = data;

	if (!end_check(params->source, "source", error) || !end_check(params->destination, "destination", error))
		return false;
	if (!is_volume(params->source) && !is_volume(params->destination)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "source, destination: one of them must be a volume ('div')");
		return false;
	}
	if (is_volume(params->source) && is_volume(params->destination) && !strcmp(params->source->volume_id, params->destination->volume_id) &&
	    !strcmp(params->source->domain_id, params->destination->domain_id)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "source, destination: both are volume '%s'", params->source->volume_id);
		return false;
	}
	return data_begin(agent, &sdm_copy_kind, data, "SDM.copy_data", params->job_id, /* ret_id= */ NULL, error);
}

static bool begin(struct agent *agent, const struct data_kind *kind, const char *verb, const struct sdm_params *params, GError **error)
{
	if (!end_check(params->volume, "vol_info", error))
		return false;
	if (!is_volume(params->volume)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "vol_info: endpoint_type '%s' is no volume", params->volume->type);
		return false;
	}
	return data_begin(agent, kind, params, verb, params->job_id, /* ret_id= */ NULL, error);
}

#define VOLUME_JOB(name, verb) \
	static bool name##_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error) \
	{ \
		return begin(agent, &sdm_##name##_kind, verb, data, error); \
	}
VOLUME_JOB(update, "SDM.update_volume")
VOLUME_JOB(amend, "SDM.amend_volume")
VOLUME_JOB(sparsify, "SDM.sparsify_volume")
VOLUME_JOB(add_bitmap, "SDM.add_bitmap")
VOLUME_JOB(remove_bitmap, "SDM.remove_bitmap")
VOLUME_JOB(clear_bitmaps, "SDM.clear_bitmaps")

static bool merge_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return data_begin(agent, &sdm_merge_kind, data, "SDM.merge", ((const struct sdm_params *)data)->job_id, /* ret_id= */ NULL, error);
}

const struct verb_binding sdm_bindings[] = {
	{ "SDM.copy_data", copy_verb },
	{ "SDM.update_volume", update_verb },
	{ "SDM.amend_volume", amend_verb },
	{ "SDM.sparsify_volume", sparsify_verb },
	{ "SDM.add_bitmap", add_bitmap_verb },
	{ "SDM.remove_bitmap", remove_bitmap_verb },
	{ "SDM.clear_bitmaps", clear_bitmaps_verb },
	{ "SDM.merge", merge_verb },
};
const size_t n_sdm_bindings = G_N_ELEMENTS(sdm_bindings);
