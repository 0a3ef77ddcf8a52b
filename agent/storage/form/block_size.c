/* SPDX-License-Identifier: Apache-2.0 */
/* How large logical volumes are: whole extents. Their contents are not looked at: who makes one smaller knows that the rest is not needed. */
#define LOG_MODULE "storage"
#include "agent/fault.h"
#include "agent/storage/form/block.h"
#include "common/log.h"

static bool extend(const struct domain *domain, const struct lv *lv, int64_t bytes, GError **error)
{
	g_autofree char *size = g_strdup_printf("%" PRId64 "b", bytes);
	g_autofree char *name = block_lv_name(domain, lv->name);

	if (bytes - lv->size > domain->block->free) {
		error_set(error, ERR_NO_SPACE_LEFT_ON_DOMAIN, "'%s': %" PRId64 " bytes are free", domain->id, domain->block->free);
		return false;
	}
	return block_change(domain, ERR_LOGICAL_VOLUME_EXTEND_ERROR, error, "lvextend", "-qq", "-L", size, name, NULL);
}

/* LVM asks for a file system it cannot know of: -f */
static bool reduce(const struct domain *domain, const struct lv *lv, int64_t bytes, GError **error)
{
	g_autofree char *size = g_strdup_printf("%" PRId64 "b", bytes);
	g_autofree char *name = block_lv_name(domain, lv->name);

	return block_change(domain, ERR_LOGICAL_VOLUME_EXTEND_ERROR, error, "lvreduce", "-qq", "-f", "-L", size, name, NULL);
}

bool block_fit(const struct domain *domain, const char *image, const char *volume, int64_t bytes, bool shrink, GError **error)
{
	struct lv *lv;
	g_autofree char *path = block_lv_path(domain, volume);
	int64_t extent = domain->block->extent, size = MAX((bytes + extent - 1) / extent, 1) * extent, before;
	AUTO_LOCK(domain->changing);

	/* another host, or another lane, may have changed it: then this one is told */
	if (!block_reload(domain, error) || !block_find(domain, image, volume, error))
		return false;
	lv = g_hash_table_lookup(domain->block->lvs, volume);
	before = lv->size;
	if (shrink ? before <= size : before >= size)
		return shrink || !g_file_test(path, G_FILE_TEST_EXISTS) || block_activate(domain, volume, error);
	fault_point("lv: resize");
	if (!(shrink ? reduce(domain, lv, size, error) : extend(domain, lv, size, error)))
		return false;
	domain->block->free -= size - before;
	lv->size = size;
	fault_point("lv: resized");
	log_info("volume %s of domain %s has %" PRId64 " bytes, it had %" PRId64, volume, domain->id, size, before);
	return true;
}
