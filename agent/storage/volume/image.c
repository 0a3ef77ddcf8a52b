/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: directories of volumes that form chains, each volume based on its parent down to one without.
 *
 * Preparing an image checks the whole chain before a VM may see it: every volume is there and legal, and every file says the same as the
 * metadata (format, backing file in the same directory, no data elsewhere), so that nothing QEMU opens lies outside the image. Its volumes are then held
 * (volume_hold()) until teardown; for files that is nothing: the path is the volume's real path.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include "agent/storage/data/data.h"

GPtrArray *image_list(const struct domain *domain, GError **error)
{
	return domain->form->images(domain, error);
}

bool storage_check_path(const char *path, GError **error)
{
	g_autofree char *whole = g_canonicalize_filename(path, "/");
	g_auto(GStrv) parts = g_strsplit(whole, "/", -1);
	const guint n = g_strv_length(parts);
	g_autofree char *inside = NULL;
	autofd fd = -1;

	if (n < 5 || strcmp(parts[n - 3], DIR_IMAGES) || !files_is_uuid(parts[n - 4]) || !files_is_uuid(parts[n - 2]))
		return true;
	inside = g_build_filename(DIR_IMAGES, parts[n - 2], parts[n - 1], NULL);
	whole[strlen(whole) - strlen(inside)] = 0;        /* the domain: our own links may lead to it */
	if ((fd = open(whole, O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0 && files_is_plain(fd, inside))
		return true;
	error_set_errno(error, ERR_IMAGE_PATH_ERROR, errno, "'%s'", path);
	return false;
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
