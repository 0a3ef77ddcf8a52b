/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cold merge: the data of top go into its parent, base, in three steps that the caller asks for one after the other (vdsm's, lib/vdsm/storage/merge.py).
 *
 *   StoragePool.prepareMerge    base becomes as large as top; on block storage it also gets the room that the data of both can need
 *   SDM.merge                   qemu-img commit; top stays as it is and reads the same all the time, so this can end anywhere and be done again
 *   StoragePool.finalizeMerge   who is based on top is based on base from now on; top, which nobody needs, is illegal until it is deleted; base gives back what
 *                               it did not need
 *
 * A base on which something else than top is based is never merged into: that would change under it.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/data/data.h"
#include "common/log.h"

static void target(struct data_run *run)
{
	const struct subchain *chain = ((const struct sdm_params *)run->params)->subchain;

	run->claims[run->n_claims++] = (struct claim){ chain->domain_id, chain->image_id, true };
	run->domain_id = chain->domain_id;
	run->image = chain->image_id;
	run->volume = chain->base_id;
	run->generation = HAS(chain, generation) ? chain->generation : -1;
}

static const struct subchain *subchain_of(const struct data_run *run)
{
	return ((const struct sdm_params *)run->params)->subchain;
}

static bool is_listed(const GPtrArray *ids, const char *id)
{
	return g_ptr_array_find_with_equal_func((GPtrArray *)ids, id, g_str_equal, NULL);
}

static bool check_chain(const struct data_run *run, metadata *top, GError **error)
{
	const struct subchain *chain = subchain_of(run);
	g_autoptr(GPtrArray) children = NULL;

	if (strcmp(metadata_get(top, "PUUID"), chain->base_id)) {
		error_set(error, ERR_WRONG_PARENT_VOLUME, "volume '%s' is based on '%s', not on '%s'", chain->top_id, metadata_get(top, "PUUID"), chain->base_id);
		return false;
	}
	if (!strcmp(metadata_get(run->values, "VOLTYPE"), "SHARED") || !strcmp(metadata_get(top, "VOLTYPE"), "SHARED")) {
		error_set(error, ERR_SHARED_VOLUME_NON_WRITABLE, "'%s'", strcmp(metadata_get(top, "VOLTYPE"), "SHARED") ? chain->base_id : chain->top_id);
		return false;
	}
	if (!(children = volume_children(run->domain, run->image, chain->base_id, error)))
		return false;
	for (guint i = 0; i < children->len; i++)
		if (strcmp(children->pdata[i], chain->top_id)) {
			error_set(error, ERR_UNEXPECTED_VOLUME_STATE, "volume '%s' is the parent of '%s', too", chain->base_id, (char *)children->pdata[i]);
			return false;
		}
	return true;
}

static bool check(struct data_run *run, GError **error)
{
	const struct subchain *chain = subchain_of(run);
	g_autoptr(GPtrArray) volumes = volume_list(run->domain, run->image, error);
	g_autoptr(metadata) top = NULL;

	if (!volumes)
		return false;
	if (!is_listed(volumes, chain->top_id)) {
		error_set(error, ERR_VOLUME_IS_NOT_IN_CHAIN, "'%s' of image '%s'", chain->top_id, run->image);
		return false;
	}
	if (!(top = volume_read(run->domain, run->image, chain->top_id, error)) || !check_chain(run, top, error))
		return false;
	if (volume_in_use(run->domain, run->image, chain->base_id) || volume_in_use(run->domain, run->image, chain->top_id)) {
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s' or '%s' is open in a virtual machine", chain->base_id, chain->top_id);
		return false;
	}
	return true;
}

/* ---- prepareMerge ---- */

static bool grow_file(const struct data_run *run, int64_t size, GError **error)
{
	autofd fd = volume_open(run->domain, run->image, run->volume, O_RDWR, error);
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && (st.st_size >= size || ftruncate(fd, size) == 0) && fsync(fd) == 0)
		return true;
	files_error(error, ERR_VOLUME_EXTENDING_ERROR, errno, "'%s'", run->volume);
	return false;
}

static bool is_raw(const struct data_run *run)
{
	return !strcmp(volume_format(run->values), "raw");
}

/* On block storage: what a raw base has as a whole, a qcow2 one as much as both have, but no more than it can need. */
static bool make_room(const struct data_run *run, metadata *top, GError **error)
{
	int64_t base_bytes, top_bytes, ignored;

	if (is_raw(run))
		return volume_fit(run->domain, run->image, run->volume, metadata_get_int(top, "CAP", 0), /* shrink= */ false, error);
	return volume_sizes(run->domain, run->image, run->volume, &base_bytes, &ignored, error) &&
	       volume_sizes(run->domain, run->image, subchain_of(run)->top_id, &top_bytes, &ignored, error) &&
	       volume_fit(run->domain, run->image, run->volume, MIN(base_bytes + top_bytes, volume_largest(top)), /* shrink= */ false, error);
}

static bool prepare_work(struct data_run *run, GError **error)
{
	g_autoptr(metadata) top = volume_read(run->domain, run->image, subchain_of(run)->top_id, error);
	int64_t capacity;

	if (!top || !make_room(run, top, error))
		return false;
	capacity = metadata_get_int(top, "CAP", 0);
	if (capacity <= metadata_get_int(run->values, "CAP", 0))
		return true;
	return (!is_raw(run) || !run->domain->form->grows || grow_file(run, capacity, error)) &&
	       volume_change(run->domain, run->image, run->volume, error, "CAP", metadata_get(top, "CAP"), NULL);
}

DATA_KIND_RUN(merge_prepare_kind)
const struct data_kind merge_prepare_kind = {
	.kind = { "prepare_merge", "storage", merge_prepare_kind_run }, .params = &merge_task_params_type, .quiet = true, .target = target, .check = check,
	.work = prepare_work,
};

/* ---- SDM.merge ---- */

static bool is_valid(json_t *bitmap)
{
	json_t *flag;
	bool automatic = false, in_use = false;
	size_t i;

	json_array_foreach(json_object_get(bitmap, "flags"), i, flag) {
		automatic |= !g_strcmp0(json_string_value(flag), "auto");
		in_use |= !g_strcmp0(json_string_value(flag), "in-use");
	}
	return automatic && !in_use;
}

/*
 * The bitmaps of top count for base, too: what changed up to now. One that base does not have, but its parent has, ended there: its chain is broken,
 * and it would tell less than what changed.
 */
static bool merge_bitmaps(const char *base, const char *top, json_t *below, GError **error)
{
	json_t *of_top = qemu_img_bitmaps(top, "qcow2", error), *of_base = of_top ? qemu_img_bitmaps(base, "qcow2", error) : NULL, *bitmap;
	bool good = of_base != NULL;
	const char *name;

	json_object_foreach(of_top, name, bitmap) {
		bool there = json_object_get(of_base, name) != NULL;

		if (!good || !is_valid(bitmap) || (!there && json_object_get(below, name)))
			continue;
		good = (there || qemu_img_bitmap_add(base, name, json_integer_value(json_object_get(bitmap, "granularity")), error)) &&
		       qemu_img_bitmap_merge(top, base, name, error);
	}
	json_decref(of_top);
	json_decref(of_base);
	return good;
}

static bool merge_held(struct data_run *run, const struct chain_hold *hold, const char *base, GError **error)
{
	struct qemu_img_work work = data_work(run, 0, 95);
	bool bitmaps = ((const struct sdm_params *)run->params)->bitmaps && !strcmp(metadata_get(run->values, "FORMAT"), "COW"), good;
	json_t *below = NULL;

	if (!qemu_img_commit(hold->path, base, &work, error))
		return false;
	if (!bitmaps)
		return true;
	if (hold->volumes->len > 2) {
		g_autoptr(metadata) values = volume_read(run->domain, run->image, hold->volumes->pdata[2], error);
		g_autofree char *path = NULL;

		if (!values || !volume_hold(run->domain, run->image, hold->volumes->pdata[2], /* write= */ false, &path, error))
			return false;
		below = qemu_img_bitmaps(path, volume_format(values), error);
		volume_release(run->domain, run->image, hold->volumes->pdata[2]);
		if (!below)
			return false;
	}
	good = merge_bitmaps(base, hold->path, below, error);
	json_decref(below);
	return good;
}

static bool merge_work(struct data_run *run, GError **error)
{
	g_autofree char *base = NULL;
	struct chain_hold hold;
	bool good;

	if (!chain_hold(&hold, run->domain, run->image, subchain_of(run)->top_id, /* write= */ false, /* allow_illegal= */ false, error))
		return false;
	good = volume_hold(run->domain, run->image, run->volume, /* write= */ true, &base, error);
	if (good) {
		good = merge_held(run, &hold, base, error);
		volume_release(run->domain, run->image, run->volume);
	}
	chain_release(&hold);
	return good;
}

DATA_KIND_RUN(sdm_merge_kind)
const struct data_kind sdm_merge_kind = {
	.kind = { "cold_merge", "storage", sdm_merge_kind_run }, .params = &sdm_merge_params_type, .target = target, .check = check, .work = merge_work,
};

/* ---- finalizeMerge ---- */

/* The header of the volume on top of top names base. */
static bool move_child(struct data_run *run, const char *child, GError **error)
{
	g_autofree char *path = NULL;
	bool good;

	if (!volume_hold(run->domain, run->image, child, /* write= */ true, &path, error))
		return false;
	good = qemu_img_rebase(path, run->volume, volume_format(run->values), /* unsafe= */ true, /* work= */ NULL, error);
	volume_release(run->domain, run->image, child);
	return good;
}

static bool finalize_work(struct data_run *run, GError **error)
{
	const struct subchain *chain = subchain_of(run);
	g_autoptr(GPtrArray) children = volume_children(run->domain, run->image, chain->top_id, error);
	g_autoptr(GError) problem = NULL;

	if (!children || !volume_change(run->domain, run->image, chain->top_id, error, "LEGALITY", "ILLEGAL", NULL))
		return false;
	for (guint i = 0; i < children->len; i++)
		if (!move_child(run, children->pdata[i], error) ||
		    !volume_change(run->domain, run->image, children->pdata[i], error, "PUUID", run->volume, NULL))
			return false;
	if (!volume_retype(run->domain, run->image, chain->top_id, error))
		return false;
	/* when top was the leaf, base will be */
	if (!volume_give_back(run->domain, run->image, run->volume, /* leaf= */ children->len == 0, &problem))
		log_warn("volume %s keeps the room it does not need: %s, ignoring", run->volume, problem->message);
	return true;
}

DATA_KIND_RUN(merge_finalize_kind)
const struct data_kind merge_finalize_kind = {
	.kind = { "finalize_merge", "storage", merge_finalize_kind_run }, .params = &merge_task_params_type, .quiet = true, .target = target, .check = check,
	.work = finalize_work,
};
