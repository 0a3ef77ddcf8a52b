/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What block jobs of a running VM make of an image's chain. QEMU changes the data and the backing names in the files; the metadata follow here.
 *
 *   before         base <- top <- child            base <- top (leaf)
 *   after          base <- child; top: on base,    base; top: on base, illegal; the VM runs on base
 *                  nobody's parent
 *
 * In both cases top stays until Volume.delete, as with vdsm.
 */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/storage/storage-priv.h"

/* What the functions below have in common: domain and directory of the image. */
static int open_image(struct storage *storage, const char *id, const char *image, struct domain **ret_domain, GError **error)
{
	autodomain domain = NULL;
	int fd;

	if (!files_is_uuid(id) || !files_is_uuid(image)) {
		error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "domain '%s', image '%s' are no ids", id, image);
		return -1;
	}
	if (!(domain = domain_open_active(storage, id, error)))
		return -1;
	fd = volume_open_image(domain, image, error);
	if (fd >= 0)
		*ret_domain = g_steal_pointer(&domain);
	return fd;
}

bool storage_merge_check(struct storage *storage, const struct storage_merge *merge, GError **error)
{
	autodomain domain = NULL;
	autofd image_fd = open_image(storage, merge->domain, merge->image, &domain, error);
	g_autoptr(metadata) base = image_fd < 0 ? NULL : volume_read(image_fd, merge->base, error);
	g_autoptr(metadata) top = base ? volume_read(image_fd, merge->top, error) : NULL;

	if (!top)
		return false;
	if (!strcmp(metadata_get(base, "VOLTYPE"), "SHARED") || strcmp(metadata_get(base, "IMAGE"), merge->image)) {
		error_set(error, ERR_MERGE_FAILED, "base volume '%s' is shared, other images are based on it", merge->base);
		return false;
	}
	return true;
}

bool storage_merge_record(struct storage *storage, const struct storage_merge *merge, GError **error)
{
	autodomain domain = NULL;
	autofd image_fd = open_image(storage, merge->domain, merge->image, &domain, error);
	g_autoptr(metadata) base = image_fd < 0 ? NULL : volume_read(image_fd, merge->base, error);
	g_autoptr(metadata) top = base ? volume_read(image_fd, merge->top, error) : NULL;
	g_autofree char *capacity = NULL;

	if (!top)
		return false;
	capacity = g_strdup_printf("%" PRId64, MAX(metadata_get_int(base, "CAP", 0), metadata_get_int(top, "CAP", 0)));
	return volume_change(domain, image_fd, merge->base, error, "CAP", capacity, NULL) &&
	       (merge->child ? volume_change(domain, image_fd, merge->child, error, "PUUID", merge->base, NULL)
			     : volume_change(domain, image_fd, merge->top, error, "LEGALITY", "ILLEGAL", NULL));
}

bool storage_merge_undo(struct storage *storage, const struct storage_merge *merge, GError **error)
{
	autodomain domain = NULL;
	autofd image_fd = open_image(storage, merge->domain, merge->image, &domain, error);

	return image_fd >= 0 && volume_change(domain, image_fd, merge->top, error, "LEGALITY", "LEGAL", NULL);
}

bool storage_is_based(struct storage *storage, const char *id, const char *image, const char *volume, const char *parent, bool *ret_based,
		      GError **error)
{
	autodomain domain = NULL;
	autofd image_fd = open_image(storage, id, image, &domain, error);
	g_autofree char *backing = image_fd < 0 ? NULL : volume_backing(image_fd, volume, error);

	if (!backing)
		return false;
	*ret_based = !strcmp(backing, parent);
	return true;
}

bool storage_set_capacity(struct storage *storage, const char *id, const char *image, const char *volume, int64_t bytes, GError **error)
{
	autodomain domain = NULL;
	autofd image_fd = open_image(storage, id, image, &domain, error);
	g_autofree char *capacity = g_strdup_printf("%" PRId64, bytes);

	return image_fd >= 0 && volume_change(domain, image_fd, volume, error, "CAP", capacity, NULL);
}
