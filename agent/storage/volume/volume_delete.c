/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a volume: a job on the domain's lane. From volume_unpublish() on it is gone; what then is left to do is done also after a kill. */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include "agent/storage/data/data.h"
#include "agent/storage/form/block.h"
#include "common/log.h"

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
	g_autoptr(metadata) values = volume_read(domain, params->image_id, volume, error);
	g_autoptr(GPtrArray) children = values ? volume_children(domain, params->image_id, volume, error) : NULL;

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
	else if (volume_in_use(domain, params->image_id, volume))
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", volume);
	else
		return true;
	return false;
}

void volume_discard(const struct domain *domain, const char *image, const char *volume)
{
	autofd fd = domain->form->grows ? -1 : volume_open(domain, image, volume, O_WRONLY, NULL);
	uint64_t range[2] = { 0, 0 };

	if (fd >= 0 && (ioctl(fd, BLKGETSIZE64, &range[1]) < 0 || ioctl(fd, BLKDISCARD, range) < 0))
		log_warn("volume %s: cannot discard its blocks: %s, ignoring", volume, g_strerror(errno));
}

static bool delete_run(struct job *job, void *data, GError **error)
{
	struct removal *removal = data;
	const struct volume_params *params = removal->params;
	const char *image = params->image_id, *volume = params->volume_id;
	autodomain domain = domain_open_active(removal->storage, params->domain_id, error);

	if (!domain || !claim_check(removal->storage, params->domain_id, image, /* write= */ true, error))
		return false;
	if (!volume_remove(domain, image, volume, error) || !check(domain, params, error))
		return false;
	if (!volume_unpublish(domain, image, volume, params->post_zero, error)) {
		/* it is still there; what was begun is taken back */
		(void)volume_remove(domain, image, volume, NULL);
		return false;
	}
	if (params->discard && !params->post_zero)
		volume_discard(domain, image, volume);
	if (!volume_remove(domain, image, volume, error))
		return false;
	log_info("deleted volume %s of image %s in domain %s", volume, image, params->domain_id);
	return true;
}

bool volume_delete_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = block_check_manager(agent->storage, params->domain_id, error) ? domain_open_active(agent->storage, params->domain_id, error) : NULL;
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
