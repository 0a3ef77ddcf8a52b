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
#include "agent/storage/qemu_img.h"
#include "agent/storage/storage-priv.h"

static struct domain *open_active(struct storage *storage, const char *id, const char *image, GError **error)
{
	if (files_is_uuid(id) && files_is_uuid(image))
		return domain_open_active(storage, id, error);
	error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "domain '%s', image '%s' are no ids", id, image);
	return NULL;
}

bool storage_merge_check(struct storage *storage, const struct storage_merge *merge, GError **error)
{
	autodomain domain = open_active(storage, merge->domain, merge->image, error);
	g_autoptr(metadata) base = domain ? volume_read(domain, merge->image, merge->base, error) : NULL;
	g_autoptr(metadata) top = base ? volume_read(domain, merge->image, merge->top, error) : NULL;

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
	autodomain domain = open_active(storage, merge->domain, merge->image, error);
	g_autoptr(metadata) base = domain ? volume_read(domain, merge->image, merge->base, error) : NULL;
	g_autoptr(metadata) top = base ? volume_read(domain, merge->image, merge->top, error) : NULL;
	g_autofree char *capacity = NULL;

	if (!top)
		return false;
	capacity = g_strdup_printf("%" PRId64, MAX(metadata_get_int(base, "CAP", 0), metadata_get_int(top, "CAP", 0)));
	return volume_change(domain, merge->image, merge->base, error, "CAP", capacity, NULL) &&
	       (merge->child ? volume_change(domain, merge->image, merge->child, error, "PUUID", merge->base, NULL)
			     : volume_change(domain, merge->image, merge->top, error, "LEGALITY", "ILLEGAL", NULL));
}

bool storage_merge_undo(struct storage *storage, const struct storage_merge *merge, GError **error)
{
	autodomain domain = open_active(storage, merge->domain, merge->image, error);

	return domain && volume_change(domain, merge->image, merge->top, error, "LEGALITY", "LEGAL", NULL);
}

bool storage_is_based(struct storage *storage, const char *id, const char *image, const char *volume, const char *parent, bool *ret_based,
		      GError **error)
{
	autodomain domain = open_active(storage, id, image, error);
	g_autofree char *backing = domain ? volume_backing(domain, image, volume, error) : NULL;

	if (!backing)
		return false;
	*ret_based = !strcmp(backing, parent);
	return true;
}

bool storage_set_capacity(struct storage *storage, const char *id, const char *image, const char *volume, int64_t bytes, GError **error)
{
	autodomain domain = open_active(storage, id, image, error);
	g_autofree char *capacity = g_strdup_printf("%" PRId64, bytes);

	return domain && volume_change(domain, image, volume, error, "CAP", capacity, NULL);
}

bool storage_drop_bitmap(struct storage *storage, const char *id, const char *image, const char *volume, const char *name, GError **error)
{
	autodomain domain = open_active(storage, id, image, error);
	g_autofree char *path = NULL;
	json_t *bitmaps;
	bool good;

	if (!domain || !volume_hold(domain, image, volume, /* write= */ true, &path, error))
		return false;
	bitmaps = qemu_img_bitmaps(path, "qcow2", error);
	good = bitmaps && (!json_object_get(bitmaps, name) || qemu_img_bitmap_remove(path, name, error));
	json_decref(bitmaps);
	volume_release(domain, image, volume);
	return good;
}
