/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a volume: a job on the domain's lane.
 *
 *   1  images/.berth-del-<image>.<volume>/ is made, with a file "zero" in it when the data shall be overwritten
 *   2  the volume's metadata is moved there: from now on the volume is gone
 *   3  data overwritten if wanted, data and lease unlinked, the parent looked at again (LEAF?), the directory removed; an image without volumes of
 *      its own too
 *
 * Killed before 2: nothing happened, the directory is removed. After it: volume_finish_delete() goes on with 3, which may be repeated.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/storage-priv.h"
#include "common/log.h"

#define ZERO_MARK "zero"

struct removal { struct storage *storage; struct volume_params *params; };

static void removal_free(void *data)
{
	struct removal *removal = data;

	storage_unref(removal->storage);
	record_unref(removal->params);
	g_free(removal);
}

static bool check(const struct domain *domain, const struct volume_params *params, GError **error)
{
	const char *volume = params->volume_id;
	autofd image_fd = volume_open_image(domain, params->image_id, error);
	g_autoptr(metadata) values = image_fd < 0 ? NULL : volume_read(image_fd, volume, error);
	g_autoptr(GPtrArray) children = values ? volume_children(domain, image_fd, params->image_id, volume, error) : NULL;

	if (!children)
		return false;
	if (strcmp(metadata_get(values, "IMAGE"), params->image_id))
		error_set(error, ERR_CANNOT_DELETE_SHARED_VOLUME, "'%s' belongs to image '%s'", volume, metadata_get(values, "IMAGE"));
	else if (children->len)
		error_set(error, ERR_VOLUME_IMAGE_HAS_CHILDREN, "'%s' is the parent of '%s'", volume, (char *)children->pdata[0]);
	else if (!strcmp(metadata_get(values, "VOLTYPE"), "SHARED") && !params->force)
		error_set(error, ERR_CANNOT_DELETE_SHARED_VOLUME, "'%s' (force is not set)", volume);
	else if (!strcmp(metadata_get(values, "LEGALITY"), "ILLEGAL") && !params->force)
		error_set(error, ERR_CANNOT_DELETE_VOLUME, "'%s' is illegal (force is not set)", volume);
	else if (volume_in_use(image_fd, volume))
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", volume);
	else
		return true;
	return false;
}

/* Overwrites what is allocated. */
static bool zero(int image_fd, const char *volume)
{
	autofd fd = openat(image_fd, volume, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	off_t data = 0, hole;

	if (fd < 0)
		return errno == ENOENT;
	while ((data = lseek(fd, data, SEEK_DATA)) >= 0) {
		if ((hole = lseek(fd, data, SEEK_HOLE)) < 0 || !volume_write_zeros(fd, data, hole, /* job= */ NULL))
			return false;
		data = hole;
	}
	return errno == ENXIO;
}

/* Removes the image when only links to other images' volumes are in it. */
static void remove_empty_image(int images_fd, const char *image)
{
	autofd image_fd = files_open_dir(images_fd, image);
	g_autoptr(GPtrArray) names = image_fd < 0 ? NULL : files_list(image_fd, ".");

	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *volume = g_strndup(names->pdata[i], 36);
		g_autoptr(metadata) values = files_is_uuid(volume) ? volume_read(image_fd, volume, NULL) : NULL;

		if (!values || !strcmp(metadata_get(values, "IMAGE"), image))
			return;
	}
	if (names && !files_remove_tree(images_fd, image))
		log_warn("cannot remove the empty image '%s': %s, ignoring", image, g_strerror(errno));
}

bool volume_finish_delete(const struct domain *domain, int images_fd, const char *image, const char *volume)
{
	g_autofree char *work = volume_work_name(REMOVED_PREFIX, image, volume);
	g_autofree char *meta = volume_meta_name(volume);
	g_autofree char *lease = volume_lease_name(volume);
	autofd work_fd = files_open_dir(images_fd, work);
	autofd image_fd = files_open_dir(images_fd, image);
	g_autoptr(metadata) values = work_fd < 0 ? NULL : volume_read(work_fd, volume, NULL);
	const char *parent = values ? metadata_get(values, "PUUID") : BLANK_UUID;

	if (image_fd >= 0 && !files_exists(image_fd, meta)) {
		g_autoptr(GError) problem = NULL;

		if (files_exists(work_fd, ZERO_MARK) && !zero(image_fd, volume))
			return false;
		if (!files_sweep(image_fd) || (unlinkat(image_fd, volume, 0) < 0 && errno != ENOENT) ||
		    (unlinkat(image_fd, lease, 0) < 0 && errno != ENOENT) || fsync(image_fd) < 0)
			return false;
		if (strcmp(parent, BLANK_UUID) && !volume_retype(domain, image, parent, &problem))
			log_warn("volume %s: %s, ignoring", parent, problem->message);
		remove_empty_image(images_fd, image);
	}
	return files_remove_tree(images_fd, work) && fsync(images_fd) == 0;
}

/* Steps 1 and 2. false + errno */
static bool begin(int images_fd, const char *work, const struct volume_params *params)
{
	g_autofree char *meta = volume_meta_name(params->volume_id);
	autofd image_fd = files_open_dir(images_fd, params->image_id);
	autofd work_fd = -1;

	if (image_fd < 0 || !files_make_dir(images_fd, work) || (work_fd = files_open_dir(images_fd, work)) < 0)
		return false;
	if ((params->post_zero && !files_make_sparse(work_fd, ZERO_MARK, 0, 0600)) || fsync(work_fd) < 0 || fsync(images_fd) < 0)
		return false;
	return files_rename_new(image_fd, meta, work_fd, meta) && fsync(image_fd) == 0 && fsync(work_fd) == 0;
}

static bool delete_run(struct job *job, void *data, GError **error)
{
	struct removal *removal = data;
	const struct volume_params *params = removal->params;
	g_autofree char *work = volume_work_name(REMOVED_PREFIX, params->image_id, params->volume_id);
	autodomain domain = domain_open_active(removal->storage, params->domain_id, error);
	autofd images_fd = domain ? files_open_dir(domain->fd, DIR_IMAGES) : -1;

	if (!domain)
		return false;
	if (images_fd >= 0 && files_exists(images_fd, work))
		volume_sweep(domain);
	if (!check(domain, params, error))
		return false;
	if (!begin(images_fd, work, params) || !volume_finish_delete(domain, images_fd, params->image_id, params->volume_id)) {
		files_error(error, ERR_CANNOT_DELETE_VOLUME, errno, "'%s'", params->volume_id);
		/* before step 2 only the directory goes; after it the removal stays to be finished */
		(void)volume_finish_delete(domain, images_fd, params->image_id, params->volume_id);
		return false;
	}
	log_info("deleted volume %s of image %s in domain %s", params->volume_id, params->image_id, params->domain_id);
	return true;
}

bool volume_delete_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	g_autofree char *description = g_strdup_printf("Volume.delete %s", params->volume_id);
	g_autofree char *lane = domain_lane(params->domain_id);
	g_autofree char *id = NULL;
	struct removal *removal;

	if (!domain || !check(domain, params, error))
		return false;
	removal = g_new0(struct removal, 1);
	removal->storage = storage_ref(agent->storage);
	removal->params = record_ref(params);
	if (!jobs_start(agent->jobs, &(struct job_work){ .type = "storage", .description = description, .lane = lane, .run = delete_run, .data = removal,
							 .free_data = removal_free }, &id, error)) {
		removal_free(removal);
		return false;
	}
	result_json(ret_result, json_string(id));
	return true;
}
