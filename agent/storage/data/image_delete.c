/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing volumes of an image, or all of them. Which and in what order, children first, is written when the job begins; each is removed as
 * Volume.delete removes one. Killed in between, the rest follows: a volume that is gone is passed over, one half gone is finished.
 */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/fault.h"
#include "agent/storage/data/data.h"
#include "common/log.h"

static bool is_in(json_t *ids, const char *id)
{
	json_t *one;
	size_t i;

	json_array_foreach(ids, i, one)
		if (!strcmp(json_string_value(one), id))
			return true;
	return false;
}

/* The same ids, each before its parent. Metadata whose parents run in a circle have no such order: as they come. */
static json_t *ordered(struct domain *domain, const char *image, json_t *ids, GError **error)
{
	json_t *rest = json_copy(ids), *order = json_array(), *id;

	while (json_array_size(rest)) {
		g_autoptr(GHashTable) parents = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		size_t i, chosen = 0;

		json_array_foreach(rest, i, id) {
			g_autoptr(metadata) values = volume_read(domain, image, json_string_value(id), error);

			if (!values) {
				json_decref(rest);
				json_decref(order);
				return NULL;
			}
			g_hash_table_add(parents, g_strdup(metadata_get(values, "PUUID")));
		}
		json_array_foreach(rest, i, id)
			if (!g_hash_table_contains(parents, json_string_value(id)))
				chosen = i;
		json_array_append(order, json_array_get(rest, chosen));
		json_array_remove(rest, chosen);
	}
	json_decref(rest);
	return order;
}

json_t *image_own_volumes(struct domain *domain, const char *image, GError **error)
{
	g_autoptr(GPtrArray) volumes = volume_list(domain, image, error);
	json_t *own = json_array(), *order;

	for (guint i = 0; volumes && i < volumes->len; i++) {
		g_autoptr(metadata) values = volume_read(domain, image, volumes->pdata[i], error);

		if (!values) {
			json_decref(own);
			return NULL;
		}
		if (!strcmp(metadata_get(values, "IMAGE"), image))
			json_array_append_new(own, json_string(volumes->pdata[i]));
	}
	if (!json_array_size(own)) {
		if (volumes)
			error_set(error, ERR_IMAGE_DOES_NOT_EXIST_IN_SD, "image '%s' in domain '%s'", image, domain->id);
		json_decref(own);
		return NULL;
	}
	order = ordered(domain, image, own, error);
	json_decref(own);
	return order;
}

bool image_remove_volumes(struct domain *domain, const char *image, json_t *volumes, bool zero, bool discard, GError **error)
{
	json_t *one;
	size_t i;

	json_array_foreach(volumes, i, one) {
		const char *id = json_string_value(one);
		g_autoptr(metadata) values = NULL;

		fault_point("volumes: one more");
		/* what a killed one left half gone is finished first */
		if (!volume_remove(domain, image, id, error))
			return false;
		if (!(values = volume_read(domain, image, id, NULL)))
			continue;
		if (!volume_unpublish(domain, image, id, zero, error))
			return false;
		fault_point("volumes: unpublished");
		if (discard && !zero)
			volume_discard(domain, image, id);
		if (!volume_remove(domain, image, id, error))
			return false;
		log_info("deleted volume %s of image %s in domain %s", id, image, domain->id);
	}
	return true;
}

static void target(struct data_run *run)
{
	data_target_image(run, /* write= */ true);
}

static bool check_volume(struct data_run *run, json_t *going, const char *id, GError **error)
{
	const struct volume_call *params = run->params;
	g_autoptr(metadata) values = volume_read(run->domain, run->image, id, error);
	g_autoptr(GPtrArray) children = values ? volume_children(run->domain, run->image, id, error) : NULL;

	if (!children)
		return false;
	for (guint i = 0; i < children->len; i++)
		if (!is_in(going, children->pdata[i])) {
			error_set(error, ERR_VOLUME_IMAGE_HAS_CHILDREN, "'%s' is the parent of '%s'", id, (char *)children->pdata[i]);
			return false;
		}
	if (strcmp(metadata_get(values, "IMAGE"), run->image))
		error_set(error, ERR_CANNOT_DELETE_SHARED_VOLUME, "'%s' belongs to image '%s'", id, metadata_get(values, "IMAGE"));
	else if (!strcmp(metadata_get(values, "VOLTYPE"), "SHARED") && !params->force)
		error_set(error, ERR_CANNOT_DELETE_SHARED_VOLUME, "'%s' (force is not set)", id);
	else if (volume_in_use(run->domain, run->image, id))
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", id);
	else
		return true;
	return false;
}

/* Takes over ids. */
static bool check_all(struct data_run *run, json_t *ids, GError **error)
{
	json_t *id;
	size_t i;

	if (!ids)
		return false;
	json_object_set_new(run->state, "volumes", ids);
	json_array_foreach(ids, i, id)
		if (!check_volume(run, ids, json_string_value(id), error))
			return false;
	return true;
}

static bool image_check(struct data_run *run, GError **error)
{
	return check_all(run, image_own_volumes(run->domain, run->image, error), error);
}

static bool listed_check(struct data_run *run, GError **error)
{
	const GPtrArray *listed = ((const struct volume_call *)run->params)->volumes;
	json_t *ids = json_array(), *order;

	for (guint i = 0; i < listed->len; i++)
		if (!is_in(ids, listed->pdata[i]))
			json_array_append_new(ids, json_string(listed->pdata[i]));
	order = ordered(run->domain, run->image, ids, error);
	json_decref(ids);
	return check_all(run, order, error);
}

static bool work(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;

	return image_remove_volumes(run->domain, run->image, json_object_get(run->state, "volumes"), params->post_zero, params->discard, error);
}

DATA_KIND_RUN(image_delete_kind)
const struct data_kind image_delete_kind = {
	.kind = { "delete_image", "storage", image_delete_kind_run }, .params = &image_delete_params_type, .target = target, .check = image_check, .work = work,
};
DATA_KIND_RUN(image_delete_volumes_kind)
const struct data_kind image_delete_volumes_kind = {
	.kind = { "delete_volumes", "storage", image_delete_volumes_kind_run }, .params = &image_delete_volumes_params_type, .target = target,
	.check = listed_check, .work = work,
};
