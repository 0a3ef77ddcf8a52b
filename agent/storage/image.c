/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: directories of volumes that form chains, each volume based on its parent down to one without.
 *
 * Preparing an image checks the whole chain before a VM may see it: every volume is there and legal, and every file says the same as the
 * metadata (format, backing file in the same directory, no data elsewhere), so that nothing QEMU opens lies outside the image. On file systems there is
 * nothing to set up: the path is the volume's real path and teardown has nothing to do.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/storage/storage-priv.h"

GPtrArray *image_list(const struct domain *domain, GError **error)
{
	g_autoptr(GPtrArray) names = files_list(domain->fd, DIR_IMAGES);
	GPtrArray *images;

	if (!names) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, errno, "'%s/" DIR_IMAGES "'", domain->path);
		return NULL;
	}
	images = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < names->len; i++)
		if (files_is_uuid(names->pdata[i]))
			g_ptr_array_add(images, g_strdup(names->pdata[i]));
	return images;
}

bool image_prepare(const struct domain *domain, const char *image, const char *volume, bool allow_illegal, char **ret_path,
		   const char **ret_format, GError **error)
{
	autofd image_fd = volume_open_image(domain, image, error);
	g_autofree char *current = g_strdup(volume);
	const char *format = NULL;

	if (image_fd < 0)
		return false;
	for (int n = 0; strcmp(current, BLANK_UUID); n++) {
		g_autoptr(metadata) values = volume_read(image_fd, current, error);
		const char *parent, *own;

		if (!values)
			return false;
		if (n == VOLUME_CHAIN_MAX) {
			error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' has more than %d ancestors", volume, VOLUME_CHAIN_MAX);
			return false;
		}
		if (!allow_illegal && !strcmp(metadata_get(values, "LEGALITY"), "ILLEGAL")) {
			error_set(error, ERR_PREPARE_ILLEGAL_VOLUME_ERROR, "'%s'", current);
			return false;
		}
		own = metadata_get(values, "FORMAT");
		parent = metadata_get(values, "PUUID");
		if (!volume_check_header(image_fd, current, own, strcmp(parent, BLANK_UUID) ? parent : NULL, error))
			return false;
		if (!format)
			format = !strcmp(own, "COW") ? "qcow2" : "raw";
		g_free(current);
		current = g_strdup(parent);
	}
	if (!format) {
		error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "'%s'", volume);
		return false;
	}
	*ret_path = g_build_filename(domain->path, DIR_IMAGES, image, volume, NULL);
	*ret_format = format;
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

	return domain != NULL;
}
