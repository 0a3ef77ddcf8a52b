/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volume groups of block domains. A group has the name of its domain's id; a tag says that it holds one. LVM's metadata (128 MiB, so that thousands of
 * volumes fit) are kept on the first device only, as vdsm does: the others may be slow or away without every change noticing.
 *
 * In memory is only on which devices each group was seen last (storage->groups), so that what is done with one domain touches no other's devices. It may
 * be wrong: who does not find a group, or finds it partial, has all devices looked at again. That is done on one lane, "block/scan", and waited for
 * SCAN_WAIT_USEC at most: a device that does not answer hides what is not known yet, but stops nothing.
 */
#define LOG_MODULE "storage"
#include "agent/storage/form/group.h"
#include <string.h>
#include "agent/storage/connection/errand.h"
#include "agent/storage/form/lvm.h"
#include "common/log.h"

#define SCAN_WAIT_USEC (30 * G_USEC_PER_SEC)
#define METADATA_SIZE "128m"

static void group_device_free(void *data)
{
	struct group_device *device = data;

	g_free(device->path);
	g_free(device->id);
	g_free(device);
}

static void group_free(void *data)
{
	struct group *group = data;

	g_free(group->name);
	g_free(group->id);
	g_strfreev(group->tags);
	g_ptr_array_unref(group->devices);
	g_free(group);
}

bool group_has_tag(const struct group *group, const char *tag)
{
	return g_strv_contains((const char *const *)group->tags, tag);
}

struct group *group_find(GPtrArray *groups, const char *id_or_name)
{
	for (guint i = 0; i < groups->len; i++) {
		struct group *group = groups->pdata[i];

		if (!strcmp(group->id, id_or_name) || !strcmp(group->name, id_or_name))
			return group;
	}
	return NULL;
}

static void add_row(GPtrArray *groups, const json_t *row)
{
	struct group *group = group_find(groups, lvm_text(row, "vg_uuid"));
	struct group_device *device = g_new0(struct group_device, 1);

	if (!group) {
		group = g_new0(struct group, 1);
		group->name = g_strdup(lvm_text(row, "vg_name"));
		group->id = g_strdup(lvm_text(row, "vg_uuid"));
		group->tags = g_strsplit(lvm_text(row, "vg_tags"), ",", -1);
		group->size = lvm_number(row, "vg_size");
		group->free = lvm_number(row, "vg_free");
		group->extent = lvm_number(row, "vg_extent_size");
		group->mda_size = lvm_number(row, "vg_mda_size");
		group->mda_free = lvm_number(row, "vg_mda_free");
		group->partial = lvm_number(row, "vg_missing_pv_count") > 0;
		group->devices = g_ptr_array_new_with_free_func(group_device_free);
		g_ptr_array_add(groups, group);
	}
	device->path = g_strdup(lvm_text(row, "pv_name"));
	device->id = g_strdup(lvm_text(row, "pv_uuid"));
	device->size = lvm_number(row, "pv_size");
	device->free = lvm_number(row, "pv_free");
	device->used = lvm_number(row, "pv_used");
	device->metadata = lvm_number(row, "pv_mda_used_count") > 0;
	g_ptr_array_add(group->devices, device);
}

static GPtrArray *all_paths(void)
{
	g_autoptr(GPtrArray) devices = device_list();
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < devices->len; i++)
		g_ptr_array_add(paths, g_strdup(((const struct device *)devices->pdata[i])->path));
	return paths;
}

GPtrArray *group_list(GError **error)
{
	g_autoptr(GPtrArray) paths = all_paths();
	GPtrArray *groups = g_ptr_array_new_with_free_func(group_free);
	json_t *rows, *row;
	size_t i;

	if (!paths->len)
		return groups;
	rows = LVM_ROWS(paths, error, "pvs", "-o",
			"pv_name,pv_uuid,pv_size,pv_free,pv_used,pv_mda_used_count,vg_name,vg_uuid,vg_tags,vg_size,vg_free,vg_extent_size,vg_mda_size,vg_mda_free,"
			"vg_missing_pv_count");
	if (!rows) {
		g_ptr_array_unref(groups);
		return NULL;
	}
	json_array_foreach(rows, i, row)
		if (lvm_text(row, "vg_uuid")[0])
			add_row(groups, row);
	json_decref(rows);
	return groups;
}

/* ---- where they were seen ---- */

GPtrArray *group_device_paths(const struct group *group)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < group->devices->len; i++)
		g_ptr_array_add(paths, g_strdup(((const struct group_device *)group->devices->pdata[i])->path));
	return paths;
}

static void scan_run(void *data)
{
	struct storage *storage = data;
	g_autoptr(GError) problem = NULL;
	g_autoptr(GPtrArray) groups = group_list(&problem);

	if (problem) {
		log_error("looking for volume groups: %s", problem->message);
		return;
	}
	AUTO_LOCK(&storage->lock);
	g_hash_table_remove_all(storage->groups);
	for (guint i = 0; i < groups->len; i++) {
		const struct group *group = groups->pdata[i];

		if (group_has_tag(group, GROUP_TAG_DOMAIN) && files_is_uuid(group->name))
			g_hash_table_replace(storage->groups, g_strdup(group->name), group_device_paths(group));
	}
}

static void scan(struct storage *storage)
{
	struct errand *errand = errand_begin(storage->agent->lanes, "block/scan", "look for volume groups", scan_run, storage_ref(storage), storage_unref, NULL);

	if (errand && !errand_wait(errand, now_usec() + SCAN_WAIT_USEC))
		log_warn("block devices do not answer: volume groups that are not known yet are not found");
	errand_done(errand);
}

GPtrArray *group_paths(struct storage *storage, const char *name, bool look)
{
	GPtrArray *paths;

	if (look)
		scan(storage);
	AUTO_LOCK(&storage->lock);
	paths = g_hash_table_lookup(storage->groups, name);
	return paths ? g_ptr_array_ref(paths) : NULL;
}

GPtrArray *group_domains(struct storage *storage)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *name;

	scan(storage);
	AUTO_LOCK(&storage->lock);
	g_hash_table_iter_init(&iter, storage->groups);
	while (g_hash_table_iter_next(&iter, &name, NULL))
		g_ptr_array_add(names, g_strdup(name));
	return names;
}

void group_forget(struct storage *storage, const char *name)
{
	AUTO_LOCK(&storage->lock);
	g_hash_table_remove(storage->groups, name);
	g_hash_table_remove(storage->pictures, name);
}

/* ---- devices for them ---- */

GPtrArray *group_check_devices(GPtrArray *devices, GPtrArray *guids, bool force, GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; guids && i < guids->len; i++) {
		const struct device *device = device_find(devices, guids->pdata[i]);

		if (!device) {
			error_set(error, ERR_INACCESSIBLE_PHYS_DEV, "'%s' is not there", (char *)guids->pdata[i]);
			return NULL;
		}
		/* what is in use is never taken, force or not */
		if (device->used) {
			error_set(error, ERR_PHYS_DEV_INITIALIZATION_ERROR, "'%s' ('%s') is in use, or has partitions", device->guid, device->path);
			return NULL;
		}
		if (device->logical_block != 512) {
			error_set(error, ERR_DEVICE_BLOCK_SIZE_ERROR, "'%s' has blocks of %" PRId64 " bytes, only 512 is supported", device->guid, device->logical_block);
			return NULL;
		}
		g_ptr_array_add(paths, g_strdup(device->path));
	}
	if (!paths->len) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "devlist: names no device");
		return NULL;
	}
	return g_steal_pointer(&paths);
}

static bool init_devices(const GPtrArray *paths, guint from, guint to, bool force, const char *ignore, GError **error)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *fixed[] = { "pvcreate", "--metadatasize", METADATA_SIZE, "--metadatacopies", "2", "--metadataignore", ignore };

	for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
		g_ptr_array_add(words, (gpointer)fixed[i]);
	if (force) {
		g_ptr_array_add(words, (gpointer) "-y");
		g_ptr_array_add(words, (gpointer) "-ff");
	}
	for (guint i = from; i < to; i++)
		g_ptr_array_add(words, paths->pdata[i]);
	g_ptr_array_add(words, NULL);
	return from == to || lvm_run(paths, ERR_PHYS_DEV_INITIALIZATION_ERROR, NULL, error, (const char *const *)words->pdata);
}

bool group_init_devices(const GPtrArray *paths, bool force, bool first, GError **error)
{
	guint keeping = first ? 1 : 0;

	return init_devices(paths, 0, keeping, force, "n", error) && init_devices(paths, keeping, paths->len, force, "y", error);
}
