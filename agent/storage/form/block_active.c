/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which logical volumes of a domain are active on this host.
 *
 * The domain's own are as long as it is used here. One of a volume is active while somebody holds it, as a link <repository>/block/<domain>/<image>/<volume>
 * too: backing names are names in that directory, as they are in file domains.
 *
 *   jobs, Image.prepare   count (storage->holds): each hold is released once
 *   a VM                  has a set of volumes (storage->vm_holds), one hold each however often they are prepared for it, until it ends, or the disk is
 *                         taken out of it and no other disk of it is on that volume
 *
 * When the last hold ends, the LV is deactivated, unless somebody has it open (the kernel refuses): QEMU may read a volume of which nobody here knows, for
 * holds are in memory only. What an agent that was killed left active, and what was still open when its last hold ended, is looked for when a domain is taken
 * up again after a restart and whenever a VM or a disk of it goes: an LV that is active, not open and held by nobody is deactivated (vdsm's lvm.bootstrap() does the same).
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <string.h>
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"
#include "common/log.h"

bool block_wake(const struct domain *domain, GError **error)
{
	static const char *const names[] = { BLOCK_SPECIAL };
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = block_lv_path(domain, names[i]);

		if (!g_file_test(path, G_FILE_TEST_EXISTS))
			g_ptr_array_add(words, block_lv_name(domain, names[i]));
	}
	if (!words->len)
		return true;
	g_ptr_array_insert(words, 0, g_strdup("lvchange"));
	g_ptr_array_insert(words, 1, g_strdup("-ay"));
	g_ptr_array_add(words, NULL);
	return lvm_run(domain->block->paths, ERR_CANNOT_ACTIVATE_LOGICAL_VOLUMES, NULL, error, (const char *const *)words->pdata);
}

/* Active, and as large here as LVM says: another host may have extended it. */
bool block_activate(const struct domain *domain, const char *volume, GError **error)
{
	g_autofree char *name = block_lv_name(domain, volume);
	g_autofree char *path = block_lv_path(domain, volume);

	if (g_file_test(path, G_FILE_TEST_EXISTS))
		return block_lvm(domain, ERR_LOGICAL_VOLUME_REFRESH_ERROR, error, "lvchange", "-qq", "--refresh", name, NULL);
	return block_lvm(domain, ERR_CANNOT_ACTIVATE_LOGICAL_VOLUME, error, "lvchange", "-qq", "-ay", name, NULL);
}

/* ---- holds ---- */

static char *hold_key(const char *domain, const char *volume)
{
	return g_build_filename(domain, volume, NULL);
}

/* The count after the change; storage->lock held. */
static int count_locked(struct storage *storage, const char *key, int change)
{
	int n = MAX(GPOINTER_TO_INT(g_hash_table_lookup(storage->holds, key)) + change, 0);

	if (n)
		g_hash_table_replace(storage->holds, g_strdup(key), GINT_TO_POINTER(n));
	else
		g_hash_table_remove(storage->holds, key);
	return n;
}

static int count_holds(const struct domain *domain, const char *volume, int change)
{
	struct storage *storage = domain->block->storage;
	g_autofree char *key = hold_key(domain->id, volume);
	AUTO_LOCK(&storage->lock);

	return count_locked(storage, key, change);
}

char *block_link_directory(const struct domain *domain, const char *image)
{
	return g_build_filename(domain->block->storage->repository, "block", domain->id, image, NULL);
}

bool block_hold(const struct domain *domain, const char *image, const char *volume, bool write, char **ret_path, GError **error)
{
	g_autofree char *directory = block_link_directory(domain, image);
	g_autofree char *path = g_build_filename(directory, volume, NULL);
	g_autofree char *target = block_lv_path(domain, volume);

	if (!block_find(domain, image, volume, error))
		return false;
	count_holds(domain, volume, 1);
	{
		AUTO_LOCK(domain->activity);
		if (block_activate(domain, volume, error)) {
			if (g_mkdir_with_parents(directory, 0755) == 0 && (symlink(target, path) == 0 || errno == EEXIST)) {
				*ret_path = g_steal_pointer(&path);
				return true;
			}
			error_set_errno(error, ERR_VOLUME_ACCESS_ERROR, errno, "'%s'", path);
		}
	}
	count_holds(domain, volume, -1);
	return false;
}

void block_release(const struct domain *domain, const char *image, const char *volume)
{
	g_autofree char *name = block_lv_name(domain, volume);
	g_autoptr(GError) problem = NULL;
	AUTO_LOCK(domain->activity);

	if (count_holds(domain, volume, -1) == 0 &&
	    !block_lvm(domain, ERR_CANNOT_DEACTIVATE_LOGICAL_VOLUME, &problem, "lvchange", "-qq", "-an", name, NULL))
		log_debug("volume %s stays active: %s", volume, problem->message);
}

void block_give(const struct domain *domain, const char *vm, const GPtrArray *volumes)
{
	struct storage *storage = domain->block->storage;
	GHashTable *own;
	AUTO_LOCK(&storage->lock);

	if (!(own = g_hash_table_lookup(storage->vm_holds, vm))) {
		own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_hash_table_insert(storage->vm_holds, g_strdup(vm), own);
	}
	for (guint i = 0; i < volumes->len; i++) {
		g_autofree char *key = hold_key(domain->id, volumes->pdata[i]);

		if (g_hash_table_contains(own, key))
			count_locked(storage, key, -1);
		else
			g_hash_table_add(own, g_steal_pointer(&key));
	}
}

void block_take_one_back(struct storage *storage, const char *vm, const char *domain, const char *volume)
{
	g_autofree char *key = hold_key(domain, volume);
	GHashTable *own;
	AUTO_LOCK(&storage->lock);

	if ((own = g_hash_table_lookup(storage->vm_holds, vm)) && g_hash_table_remove(own, key))
		count_locked(storage, key, -1);
}

void block_take_back(struct storage *storage, const char *vm)
{
	GHashTableIter iter;
	gpointer key;
	GHashTable *own;
	AUTO_LOCK(&storage->lock);

	if (!(own = g_hash_table_lookup(storage->vm_holds, vm)))
		return;
	g_hash_table_iter_init(&iter, own);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		count_locked(storage, key, -1);
	g_hash_table_remove(storage->vm_holds, vm);
}

/* ---- what is active for nobody ---- */

static bool is_held(const struct domain *domain, const char *volume)
{
	return count_holds(domain, volume, 0) > 0;
}

void block_idle(const struct domain *domain)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) problem = NULL;
	json_t *rows, *row;
	size_t i;
	AUTO_LOCK(domain->activity);

	rows = LVM_ROWS(domain->block->paths, &problem, "lvs", "-o", "lv_name,lv_active,lv_device_open", domain->id);
	json_array_foreach(rows, i, row) {
		const char *name = lvm_text(row, "lv_name");

		if (files_is_uuid(name) && !strcmp(lvm_text(row, "lv_active"), "active") && !*lvm_text(row, "lv_device_open") && !is_held(domain, name))
			g_ptr_array_add(words, block_lv_name(domain, name));
	}
	json_decref(rows);
	if (words->len) {
		guint n = words->len;

		for (const char *const *word = (const char *const[]){ "-an", "-qq", "lvchange", NULL }; *word; word++)
			g_ptr_array_insert(words, 0, g_strdup(*word));
		g_ptr_array_add(words, NULL);
		if (lvm_run(domain->block->paths, ERR_CANNOT_DEACTIVATE_LOGICAL_VOLUME, NULL, &problem, (const char *const *)words->pdata))
			log_info("storage domain %s: %u volumes that nobody uses here are no longer active", domain->id, n);
	}
	if (problem)
		log_warn("storage domain %s: volumes that nobody uses stay active: %s, ignoring", domain->id, problem->message);
}

void block_rest(const struct domain *domain)
{
	g_autoptr(GError) problem = NULL;

	if (!block_lvm(domain, ERR_CANNOT_DEACTIVATE_LOGICAL_VOLUME, &problem, "vgchange", "-qq", "-an", domain->id, NULL))
		log_warn("storage domain %s: %s, ignoring", domain->id, problem->message);
}
