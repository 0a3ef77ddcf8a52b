/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about one volume that read, or change a little: all on the domain's lane. Those that move data are jobs (data.c). */
#include <fcntl.h>
#include <string.h>
#include "agent/storage/data/data.h"
#include "agent/storage/volume/image_header.h"
#include "common/error.h"

char *volume_description(const char *text)
{
	char *kept = g_strndup(text, VOLUME_DESCRIPTION_MAX);
	const char *end;

	if (!g_utf8_validate(kept, -1, &end))
		kept[end - kept] = 0;           /* not in the middle of a character */
	return kept;
}

static struct domain *open_domain(struct agent *agent, const struct volume_call *params, GError **error)
{
	return domain_open_active(agent->storage, params->domain_id, error);
}

/* ---- looking ---- */

static void fill_info(struct image_info *info, json_t *json)
{
	json_t *data = json_object_get(json_object_get(json, "format-specific"), "data");

	info->format = g_strdup(json_string_value(json_object_get(json, "format")));
	info->compat = g_strdup(json_string_value(json_object_get(data, "compat")));
	info->backing = g_strdup(json_string_value(json_object_get(json, "backing-filename")));
	SET(info, virtual_size, json_integer_value(json_object_get(json, "virtual-size")));
	SET(info, actual_size, json_integer_value(json_object_get(json, "actual-size")));
	if (json_object_get(json, "cluster-size"))
		SET(info, cluster_size, json_integer_value(json_object_get(json, "cluster-size")));
	info->bitmaps = json_incref(json_object_get(data, "bitmaps"));
}

static bool info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	autodomain domain = open_domain(agent, params, error);
	struct chain_hold hold;
	struct image_info *info;
	json_t *json;

	if (!domain || !chain_hold(&hold, domain, params->image_id, params->volume_id, /* write= */ false, /* allow_illegal= */ true, error))
		return false;
	json = qemu_img_info(hold.path, hold.format, error);
	chain_release(&hold);
	if (!json)
		return false;
	info = record_new(&image_info_type);
	fill_info(info, json);
	json_decref(json);
	result_record(ret_result, info);
	record_unref(info);
	return true;
}

/* As JSON for QEMU: volumes first..last of the chain, each on the next, the last on nothing. */
static json_t *part_of_chain(const struct chain_hold *hold, guint first, guint last, GError **error)
{
	g_autoptr(metadata) values = volume_read(hold->domain, hold->image, hold->volumes->pdata[first], error);
	g_autofree char *directory = g_path_get_dirname(hold->path);
	g_autofree char *path = g_build_filename(directory, hold->volumes->pdata[first], NULL);
	json_t *node, *below = json_null();

	if (!values || (first < last && !(below = part_of_chain(hold, first + 1, last, error))))
		return NULL;
	node = json_pack("{s:s, s:{s:s, s:s}}", "driver", volume_format(values), "file", "driver", hold->domain->form->grows ? "file" : "host_device", "filename",
			 path);
	if (!strcmp(volume_format(values), "qcow2"))
		json_object_set(node, "backing", below);
	json_decref(below);
	return node;
}

/* Where the part ends that is asked for. */
static bool find_base(const struct chain_hold *hold, const struct volume_call *params, guint *ret_last, GError **error)
{
	if (params->base_id && !g_ptr_array_find_with_equal_func(hold->volumes, params->base_id, g_str_equal, ret_last)) {
		error_set(error, ERR_VOLUME_IS_NOT_IN_CHAIN, "'%s' is not below '%s'", params->base_id, params->volume_id);
		return false;
	}
	if (!params->base_id)
		*ret_last = params->backing_chain ? hold->volumes->len - 1 : 0;
	return true;
}

static json_t *measure(const struct chain_hold *hold, const struct volume_call *params, GError **error)
{
	g_autofree char *text = NULL;
	g_autofree char *spec = NULL;
	json_t *node;
	guint last;

	if (!find_base(hold, params, &last, error) || !(node = part_of_chain(hold, 0, last, error)))
		return NULL;
	text = json_dumps(node, JSON_COMPACT);
	json_decref(node);
	spec = g_strconcat("json:", text, NULL);
	return qemu_img_measure(spec, hold->format, params->dst_format == VOLUME_COW ? "qcow2" : "raw", error);
}

static bool measure_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	autodomain domain = open_domain(agent, params, error);
	struct volume_measure *result;
	struct chain_hold hold;
	json_t *json;

	if (!domain || !chain_hold(&hold, domain, params->image_id, params->volume_id, /* write= */ false, /* allow_illegal= */ false, error))
		return false;
	json = measure(&hold, params, error);
	chain_release(&hold);
	if (!json)
		return false;
	result = record_new(&volume_measure_type);
	SET(result, required, json_integer_value(json_object_get(json, "required")));
	SET(result, fully_allocated, json_integer_value(json_object_get(json, "fully-allocated")));
	if (json_object_get(json, "bitmaps"))
		SET(result, bitmaps, json_integer_value(json_object_get(json, "bitmaps")));
	json_decref(json);
	result_record(ret_result, result);
	record_unref(result);
	return true;
}

/* A raw volume may hold any bytes, but not those that would make it another format to whoever guesses. */
bool volume_verify(struct domain *domain, const char *image, const char *volume, GError **error)
{
	g_autoptr(metadata) values = volume_read(domain, image, volume, error);
	autofd fd = values ? volume_open(domain, image, volume, O_RDONLY, error) : -1;
	const char *format = fd < 0 ? NULL : image_header_format(fd), *wanted;
	g_autoptr(GError) problem = NULL;
	json_t *info;
	struct chain_hold hold;

	if (fd < 0)
		return false;
	wanted = volume_format(values);
	if (g_strcmp0(format, wanted)) {
		error_set(error, ERR_IMAGE_VERIFICATION_ERROR, "volume '%s' is to be %s, its data are %s", volume, wanted, format ? format : "unreadable");
		return false;
	}
	if (!chain_hold(&hold, domain, image, volume, /* write= */ false, /* allow_illegal= */ true, &problem)) {
		error_set(error, ERR_IMAGE_VERIFICATION_ERROR, "%s", problem->message);
		return false;
	}
	info = qemu_img_info(hold.path, hold.format, &problem);
	chain_release(&hold);
	if (!info)
		error_set(error, ERR_IMAGE_VERIFICATION_ERROR, "volume '%s': %s", volume, problem->message);
	else if (json_integer_value(json_object_get(info, "virtual-size")) > metadata_get_int(values, "CAP", 0) && !strcmp(wanted, "qcow2"))
		error_set(error, ERR_IMAGE_VERIFICATION_ERROR, "volume '%s' has %s bytes, its data say %" JSON_INTEGER_FORMAT, volume,
			  metadata_get(values, "CAP"), json_integer_value(json_object_get(info, "virtual-size")));
	else {
		json_decref(info);
		return true;
	}
	json_decref(info);
	return false;
}

static bool verify_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct volume_call *params = data;
	autodomain domain = open_domain(agent, data, error);

	return domain && volume_verify(domain, params->image_id, params->volume_id, error);
}

static bool result_ids(GString *ret_result, GPtrArray *ids)
{
	json_t *json = json_array();

	for (guint i = 0; i < ids->len; i++)
		json_array_append_new(json, json_string(ids->pdata[i]));
	result_json(ret_result, json);
	return true;
}

static bool image_volumes_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) volumes = domain ? volume_list(domain, params->image_id, error) : NULL;

	return volumes && result_ids(ret_result, volumes);
}

/* Ids of the domains of a pool that are active here. */
static GPtrArray *active_domains(struct storage *storage, const char *pool)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *id, *watched;

	AUTO_LOCK(&storage->lock);
	g_hash_table_iter_init(&iter, storage->watched);
	while (g_hash_table_iter_next(&iter, &id, &watched))
		if (!g_strcmp0(((const struct watched *)watched)->pool, pool))
			g_ptr_array_add(found, g_strdup(id));
	return found;
}

/* A domain that cannot be read now does not keep the others from answering. */
static bool find_image_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	g_autoptr(GPtrArray) active = active_domains(agent->storage, params->pool_id), found = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < active->len; i++) {
		autodomain domain = domain_open(agent->storage, active->pdata[i], NULL);
		g_autoptr(GPtrArray) images = domain && !strcmp(metadata_get(domain->values, "CLASS"), "Data") ? image_list(domain, NULL) : NULL;

		if (images && g_ptr_array_find_with_equal_func(images, params->image_id, g_str_equal, NULL))
			g_ptr_array_add(found, g_strdup(active->pdata[i]));
	}
	return result_ids(ret_result, found);
}

/* ---- changing a little ---- */

static bool change(struct agent *agent, const struct volume_call *params, const char *key, const char *value, GError **error)
{
	autodomain domain = open_domain(agent, params, error);

	return domain && volume_change(domain, params->image_id, params->volume_id, error, key, value, NULL);
}

static bool description_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	g_autofree char *kept = volume_description(params->description);

	if (metadata_is_value(kept))
		return change(agent, params, "DESCRIPTION", kept, error);
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "description: contains control characters");
	return false;
}

static bool legality_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;

	return claim_check(agent->storage, params->domain_id, params->image_id, /* write= */ true, error) &&
	       change(agent, params, "LEGALITY", params->legality, error);
}

/* Nothing of a volume is kept in memory: looking whether it is there is all there is to do. */
static bool refresh_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	autodomain domain = open_domain(agent, params, error);
	g_autoptr(metadata) values = domain ? volume_read(domain, params->image_id, params->volume_id, error) : NULL;

	return values != NULL;
}

static bool teardown_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);

	if (!domain)
		return false;
	volume_release(domain, params->image_id, params->volume_id);
	return true;
}

DATA_TASK_VERB(extend, volume_extend_kind, "Volume.extendSize")

static bool shrink_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return data_own_job(agent, &volume_shrink_kind, data, "Volume.shrink", ret_result, error);
}

DATA_TASK_VERB(reduce, volume_reduce_kind, "StoragePool.reduceVolume")
DATA_TASK_VERB(prepare_merge, merge_prepare_kind, "StoragePool.prepareMerge")
DATA_TASK_VERB(finalize_merge, merge_finalize_kind, "StoragePool.finalizeMerge")

const struct verb_binding volume_bindings[] = {
	{ "Volume.getQemuImageInfo", info_verb },
	{ "Volume.measure", measure_verb },
	{ "Volume.verify_untrusted", verify_verb },
	{ "Volume.setDescription", description_verb },
	{ "Volume.setLegality", legality_verb },
	{ "Volume.refresh", refresh_verb },
	{ "Volume.teardown", teardown_verb },
	{ "Volume.extendSize", extend_verb },
	{ "Volume.shrink", shrink_verb },
	{ "Volume.smallestSafeSize", volume_smallest_verb },
	{ "Volume.convert", volume_convert_verb },
	{ "Volume.compact", volume_compact_verb },
	{ "Volume.setParent", volume_parent_verb },
	{ "Volume.check", volume_check_verb },
	{ "Volume.map", volume_map_verb },
	{ "Volume.compare", volume_compare_verb },
	{ "Volume.getDependencies", volume_dependencies_verb },
	{ "Volume.setMetadata", volume_set_item_verb },
	{ "Volume.getMetadata", volume_get_item_verb },
	{ "Volume.listMetadata", volume_list_items_verb },
	{ "Volume.deleteMetadata", volume_delete_item_verb },
	{ "Image.getVolumes", image_volumes_verb },
	{ "StoragePool.getDomainsContainingImage", find_image_verb },
	{ "StoragePool.reduceVolume", reduce_verb },
	{ "StoragePool.prepareMerge", prepare_merge_verb },
	{ "StoragePool.finalizeMerge", finalize_merge_verb },
};
const size_t n_volume_bindings = G_N_ELEMENTS(volume_bindings);

void data_register(struct storage *storage)
{
	static const struct data_kind *const kinds[] = { &sdm_copy_kind, &sdm_update_kind, &sdm_amend_kind, &sdm_sparsify_kind, &sdm_merge_kind,
							 &sdm_add_bitmap_kind, &sdm_remove_bitmap_kind, &sdm_clear_bitmaps_kind, &merge_prepare_kind,
							 &merge_finalize_kind, &volume_extend_kind, &volume_shrink_kind, &volume_reduce_kind, &image_delete_kind,
							 &image_delete_volumes_kind, &image_move_kind, &image_clone_kind, &image_sync_kind,
							 &volume_convert_kind, &volume_compact_kind, &volume_parent_kind, &volume_copy_kind,
							 &volume_compare_kind };

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		jobs_register(storage->agent->jobs, &kinds[i]->kind, storage);
}
