/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about whole images. */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/storage/data/data.h"
#include "common/log.h"

DATA_TASK_VERB(delete, image_delete_kind, "Image.delete")

static bool delete_volumes_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct volume_call *params = data;

	for (guint i = 0; i < params->volumes->len; i++)
		if (!files_is_uuid(params->volumes->pdata[i])) {
			error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "volumeList: '%s' is no id", (char *)params->volumes->pdata[i]);
			return false;
		}
	if (!params->volumes->len) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "volumeList: is empty");
		return false;
	}
	return data_task(agent, &image_delete_volumes_kind, data, "Image.deleteVolumes", /* id= */ NULL, ret_result, error);
}

DATA_TASK_VERB(move, image_move_kind, "Image.move")
DATA_TASK_VERB(clone, image_clone_kind, "Image.cloneStructure")
DATA_TASK_VERB(sync, image_sync_kind, "Image.syncData")

static bool copy_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct volume_call *params = data;

	if (metadata_is_value(params->description))
		return data_task(agent, &volume_copy_kind, data, "Volume.copy", /* id= */ NULL, ret_result, error);
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "desc: contains control characters");
	return false;
}

/* What the files say, from the leaf down; a volume whose metadata name another parent follows its file. */
static bool reconcile(struct domain *domain, const char *image, const char *leaf, GPtrArray *chain, GError **error)
{
	for (g_autofree char *volume = g_strdup(leaf); volume[0];) {
		g_autoptr(metadata) values = volume_read(domain, image, volume, error);
		g_autofree char *backing = NULL;

		if (!values)
			return false;
		if (chain->len == VOLUME_CHAIN_MAX) {
			error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' has more than %d ancestors", leaf, VOLUME_CHAIN_MAX);
			return false;
		}
		backing = strcmp(volume_format(values), "qcow2") ? g_strdup("") : volume_backing(domain, image, volume, error);
		if (!backing)
			return false;
		if (backing[0] && !files_is_uuid(backing)) {
			error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' is based on '%s', which is no volume", volume, backing);
			return false;
		}
		g_ptr_array_insert(chain, 0, g_strdup(volume));
		g_free(volume);
		volume = g_steal_pointer(&backing);
	}
	return true;
}

static bool follow(struct domain *domain, const char *image, const GPtrArray *chain, GError **error)
{
	for (guint i = 0; i < chain->len; i++) {
		const char *parent = i ? chain->pdata[i - 1] : BLANK_UUID;
		g_autoptr(metadata) values = volume_read(domain, image, chain->pdata[i], error);

		if (!values)
			return false;
		if (!strcmp(metadata_get(values, "PUUID"), parent))
			continue;
		log_warn("volume %s is based on %s, its metadata said %s", (char *)chain->pdata[i], parent, metadata_get(values, "PUUID"));
		if (!volume_change(domain, image, chain->pdata[i], error, "PUUID", parent, NULL))
			return false;
	}
	return true;
}

static bool reconcile_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct volume_call *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(g_free);
	json_t *ids;

	if (!domain || !claim_check(agent->storage, params->domain_id, params->image_id, /* write= */ true, error) ||
	    !reconcile(domain, params->image_id, params->leaf_id, chain, error) || !follow(domain, params->image_id, chain, error))
		return false;
	ids = json_array();
	for (guint i = 0; i < chain->len; i++)
		json_array_append_new(ids, json_string(chain->pdata[i]));
	result_json(ret_result, ids);
	return true;
}

const struct verb_binding image_bindings[] = {
	{ "Image.delete", delete_verb },
	{ "Image.deleteVolumes", delete_volumes_verb },
	{ "Image.move", move_verb },
	{ "Image.cloneStructure", clone_verb },
	{ "Image.syncData", sync_verb },
	{ "Image.reconcileVolumeChain", reconcile_verb },
	{ "Volume.copy", copy_verb },
};
const size_t n_image_bindings = G_N_ELEMENTS(image_bindings);
