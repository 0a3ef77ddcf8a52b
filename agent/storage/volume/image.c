/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: directories of volumes that form chains, each volume based on its parent down to one without.
 *
 * Preparing an image checks the whole chain before a VM may see it: every volume is there and legal, and every file says the same as the
 * metadata (format, backing file in the same directory, no data elsewhere), so that nothing QEMU opens lies outside the image. Its volumes are then held
 * (volume_hold()) until teardown; for files that is nothing: the path is the volume's real path.
 */
#define LOG_MODULE "storage"
#include "agent/storage/data/data.h"

GPtrArray *image_list(const struct domain *domain, GError **error)
{
	return domain->form->images(domain, error);
}

bool image_prepare(struct domain *domain, const char *image, const char *volume, bool allow_illegal, char **ret_path, const char **ret_format, GError **error)
{
	struct chain_hold hold;

	if (!chain_hold(&hold, domain, image, volume, /* write= */ true, allow_illegal, error))
		return false;
	*ret_path = g_steal_pointer(&hold.path);
	*ret_format = hold.format;
	chain_keep(&hold);
	return true;
}

bool image_prepare_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	g_autofree char *path = NULL;
	const char *format;

	if (!domain || !image_prepare(domain, params->image_id, params->volume_id, params->allow_illegal, &path, &format, error))
		return false;
	result_json(ret_result, json_pack("{s:s}", "path", path));
	return true;
}

bool image_teardown_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) volumes = NULL;

	if (!domain)
		return false;
	/* an image that is gone needs nothing more */
	volumes = params->volume_id ? chain_list(domain, params->image_id, params->volume_id, NULL) : volume_list(domain, params->image_id, NULL);
	for (guint i = 0; volumes && i < volumes->len; i++)
		volume_release(domain, params->image_id, volumes->pdata[i]);
	return true;
}
