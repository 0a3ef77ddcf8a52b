/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains in volume groups, as a whole: made, erased, extended by devices, rid of them. The volumes in them are form_block.c's.
 *
 * Making: the group is there, with the tag that says that it is for a new domain (LVMVolumeGroup.create). The domain's own LVs are made and cleared in it;
 * one vgchange that writes the metadata as tags and exchanges the tag makes it a domain. Killed before that, the next attempt begins with removing them.
 *
 * Emptying a device (SDM.move_domain_device) is a job that survives the agent: LVM writes into its own metadata what it moves and goes on after any
 * interruption, so the job's one step is repeated until nothing lies on the device. Canceled, what is moved stays moved.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include "agent/process.h"
#include "agent/storage/connection/iscsi.h"
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"
#include "common/log.h"
#include "proto/block.h"

#define MIB (INT64_C(1) << 20)
#define MKFS "/sbin/mkfs.ext4"
#define MKFS_USEC (300 * G_USEC_PER_SEC)

/* The domain's own volumes; zero: how much of the beginning must hold nothing from before. master: a file system for what the pool's manager keeps. */
static const struct { const char *name; int64_t size, zero; } own_volumes[] = {
	{ "metadata", 128 * MIB, 128 * MIB }, { "ids", 8 * MIB, 8 * MIB }, { "leases", 2048 * MIB, 128 * MIB }, { "xleases", 1024 * MIB, 16 * MIB },
	{ "inbox", 16 * MIB, 16 * MIB }, { "outbox", 16 * MIB, 16 * MIB }, { "master", 1024 * MIB, MIB },
};

static bool is_block(const struct domain *domain, GError **error)
{
	if (domain->block)
		return true;
	error_set(error, ERR_STORAGE_DOMAIN_TYPE_ERROR, "domain '%s' lies in files, it has no devices", domain->id);
	return false;
}

/* ---- making and erasing ---- */

static bool clear(const char *path, int64_t bytes, GError **error)
{
	uint64_t range[2] = { 0, (uint64_t)bytes };
	autofd fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, BLKZEROOUT, range) == 0)
		return true;
	error_set_errno(error, ERR_STORAGE_DOMAIN_CREATION_ERROR, errno, "'%s'", path);
	return false;
}

static bool make_master(const char *path, GError **error)
{
	const char *argv[] = { MKFS, "-q", "-F", "-E", "nodiscard", path, NULL };
	struct process process = { .argv = argv, .limit_usec = MKFS_USEC };
	bool done = process_run(&process, error);

	if (done && process.status) {
		error_set(error, ERR_STORAGE_DOMAIN_CREATION_ERROR, "file system on '%s': %s", path, g_strstrip(process.output->str));
		done = false;
	}
	if (process.output)
		g_string_free(process.output, TRUE);
	return done;
}

static bool make_own_volumes(const GPtrArray *paths, const char *name, GError **error)
{
	g_autofree char *master = g_build_filename("/dev", name, "master", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(own_volumes); i++) {
		g_autofree char *size = g_strdup_printf("%" PRId64 "b", own_volumes[i].size);

		if (!LVM(paths, ERR_CANNOT_CREATE_LOGICAL_VOLUME, error, "lvcreate", "-qq", "-y", "-W", "n", "-Z", "n", "-a", "n", "-L", size, "-n", own_volumes[i].name,
			 name))
			return false;
	}
	/* all at once: udev is what takes time */
	if (!LVM(paths, ERR_CANNOT_ACTIVATE_LOGICAL_VOLUMES, error, "vgchange", "-qq", "-ay", name))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(own_volumes); i++) {
		g_autofree char *path = g_build_filename("/dev", name, own_volumes[i].name, NULL);

		if (!clear(path, own_volumes[i].zero, error))
			return false;
	}
	return make_master(master, error);
}

bool block_create(struct storage *storage, const struct domain_create_params *params, metadata *values, GError **error)
{
	g_autoptr(GPtrArray) groups = group_list(error);
	const struct group *group = groups ? group_find(groups, params->type_args) : NULL;
	g_autoptr(GPtrArray) paths = NULL;
	struct block block = { .tags = NULL };
	const struct domain domain = { .id = params->domain_id, .block = &block };
	g_autofree char *master = block_lv_name(&domain, "master");

	if (!groups)
		return false;
	if (!group) {
		error_set(error, ERR_VOLUME_GROUP_DOES_NOT_EXIST, "'%s'", params->type_args);
		return false;
	}
	if (strcmp(group->name, params->domain_id) || !group_has_tag(group, GROUP_TAG_UNREADY)) {
		error_set(error, group_has_tag(group, GROUP_TAG_DOMAIN) ? ERR_STORAGE_DOMAIN_ALREADY_EXISTS : ERR_VOLUME_GROUP_UNINITIALIZED,
			  "volume group '%s' was not made for the new domain '%s'", group->name, params->domain_id);
		return false;
	}
	block.paths = paths = group_device_paths(group);
	block.tags = group->tags;
	metadata_set(values, "VGUUID", group->id);
	/* what a killed attempt left; nothing else can be in a group that is not ready */
	if (group->free < group->size && !LVM(paths, ERR_CANNOT_REMOVE_LOGICAL_VOLUME, error, "lvremove", "-qq", "-f", group->name))
		return false;
	if (!make_own_volumes(paths, group->name, error) || !block_save_tags(&domain, values, GROUP_TAG_DOMAIN, GROUP_TAG_UNREADY, error)) {
		(void)LVM(paths, ERR_CANNOT_REMOVE_LOGICAL_VOLUME, NULL, "lvremove", "-qq", "-f", group->name);
		return false;
	}
	/* the others stay active: they are what the domain is opened with */
	(void)block_lvm(&domain, ERR_CANNOT_DEACTIVATE_LOGICAL_VOLUME, NULL, "lvchange", "-qq", "-an", master, NULL);
	log_info("made storage domain %s in its volume group", params->domain_id);
	return true;
}

bool block_remove(struct storage *storage, const struct domain *domain, GError **error)
{
	g_autofree char *links = g_build_filename(storage->repository, "block", domain->id, NULL);

	if (!block_change(domain, ERR_STORAGE_DOMAIN_FORMAT_ERROR, error, "vgremove", "-qq", "-f", domain->id, NULL))
		return false;
	(void)files_remove_tree(AT_FDCWD, links);
	group_forget(storage, domain->id);
	log_info("erased storage domain %s with its volume group", domain->id);
	return true;
}

/* ---- devices of a domain ---- */

static struct group *own_group(GPtrArray *groups, const struct domain *domain, GError **error)
{
	struct group *group = groups ? group_find(groups, domain->id) : NULL;

	if (groups && !group)
		error_set(error, ERR_VOLUME_GROUP_DOES_NOT_EXIST, "'%s'", domain->id);
	return group;
}

/* The domain's device with this GUID. */
static const struct group_device *own_device(const struct group *group, const char *guid, GError **error)
{
	g_autoptr(GPtrArray) devices = device_list();
	const struct device *device = device_find(devices, guid);

	for (guint i = 0; device && i < group->devices->len; i++) {
		const struct group_device *own = group->devices->pdata[i];

		if (!strcmp(own->path, device->path))
			return own;
	}
	error_set(error, ERR_NO_SUCH_PHYSICAL_VOLUME, "'%s' is no device of domain '%s'", guid, group->name);
	return NULL;
}

bool block_extend_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct domain_change_params *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) devices = NULL;
	g_autoptr(GPtrArray) paths = NULL;
	g_autoptr(GPtrArray) known = NULL;
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	bool good;

	if (!domain || !is_block(domain, error) || !block_check_manager(agent->storage, domain->id, error))
		return false;
	iscsi_rescan();
	devices = device_list();
	if (!(paths = group_check_devices(devices, params->devices, params->force, error)) || !group_init_devices(paths, params->force, /* first= */ false, error))
		return false;
	g_ptr_array_extend(all, domain->block->paths, NULL, NULL);
	g_ptr_array_extend(all, paths, NULL, NULL);
	g_ptr_array_add(words, (gpointer) "vgextend");
	g_ptr_array_add(words, (gpointer) "-qq");
	g_ptr_array_add(words, domain->id);
	g_ptr_array_extend(words, paths, NULL, NULL);
	g_ptr_array_add(words, NULL);
	if (!block_lock(domain, error))
		return false;
	good = lvm_run(all, ERR_VOLUME_GROUP_EXTEND_ERROR, NULL, error, (const char *const *)words->pdata);
	block_unlock(domain);
	known = group_paths(agent->storage, domain->id, /* scan= */ true);
	return good;
}

bool block_resize_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct domain_change_params *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) groups = domain && is_block(domain, error) && block_check_manager(agent->storage, domain->id, error) ? group_list(error) : NULL;
	const struct group *group = groups ? own_group(groups, domain, error) : NULL;
	const struct group_device *device = group ? own_device(group, params->guid, error) : NULL;
	g_autoptr(GPtrArray) after = NULL;
	g_autofree char *text = NULL;

	if (!device)
		return false;
	iscsi_rescan();
	if (!block_change(domain, ERR_COULD_NOT_RESIZE_PHYSICAL_VOLUME, error, "pvresize", "-qq", device->path, NULL) || !(after = group_list(error)) ||
	    !(group = own_group(after, domain, error)) || !(device = own_device(group, params->guid, error)))
		return false;
	text = g_strdup_printf("%" PRId64, device->size);
	result_json(ret_result, json_string(text));
	return true;
}

/* ---- jobs ---- */

static const char *order_text(json_t *request, const char *member)
{
	const char *text = json_string_value(json_object_get(json_object_get(request, "order"), member));

	return text ? text : "";
}

/* The domain, its group and the device that is to leave it. */
struct leaving { struct domain *domain; GPtrArray *groups; struct group *group; const struct group_device *device; };

static void leaving_clear(struct leaving *leaving)
{
	domain_free(leaving->domain);
	if (leaving->groups)
		g_ptr_array_unref(leaving->groups);
}
#define autoleaving __attribute__((cleanup(leaving_clear))) struct leaving

static bool leaving_open(struct storage *storage, const char *id, const char *guid, struct leaving *ret_leaving, GError **error)
{
	if (!files_is_uuid(id)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "sd_id: '%s' is no id", id);
		return false;
	}
	if (!(ret_leaving->domain = domain_open_active(storage, id, error)) || !is_block(ret_leaving->domain, error) || !(ret_leaving->groups = group_list(error)) ||
	    !(ret_leaving->group = own_group(ret_leaving->groups, ret_leaving->domain, error)) ||
	    !(ret_leaving->device = own_device(ret_leaving->group, guid, error)))
		return false;
	if (!ret_leaving->device->metadata)
		return true;
	error_set(error, ERR_FORBIDDEN_PHYSICAL_VOLUME_OPERATION, "'%s' has the metadata of domain '%s'", guid, id);
	return false;
}

static enum job_run reduce_run(struct job *job, json_t *state, void *data, GError **error)
{
	json_t *request = json_object_get(state, "request");
	autoleaving leaving = { .domain = NULL };
	struct storage *storage = data;
	g_autoptr(GPtrArray) known = NULL;
	g_autoptr(GError) problem = NULL;
	const char *guid = order_text(request, "guid");

	if (!leaving_open(storage, order_text(request, "sd_id"), guid, &leaving, &problem)) {
		/* done before the agent was killed */
		if (error_is(problem, ERR_NO_SUCH_PHYSICAL_VOLUME) && json_object_get(state, "step"))
			return JOB_DONE;
		g_propagate_error(error, g_steal_pointer(&problem));
		return JOB_FAILED;
	}
	if (health_joins(storage, leaving.domain->id) && !job_canceled(job)) {
		job_wake_after(job, HEALTH_JOIN_USEC);
		return JOB_WAITS;
	}
	if (leaving.device->used) {
		error_set(error, ERR_VOLUME_GROUP_REDUCE_ERROR, "'%s' is not empty: %" PRId64 " bytes lie on it (SDM.move_domain_device)", guid, leaving.device->used);
		return JOB_FAILED;
	}
	if (!job_step(job, state, "reduce", error) ||
	    !block_change(leaving.domain, ERR_VOLUME_GROUP_REDUCE_ERROR, error, "vgreduce", "-qq", leaving.domain->id, leaving.device->path, NULL))
		return JOB_FAILED;
	if (!block_lvm(leaving.domain, ERR_VOLUME_GROUP_REDUCE_ERROR, &problem, "pvremove", "-qq", leaving.device->path, NULL))
		log_warn("device %s: %s, ignoring", guid, problem->message);
	known = group_paths(storage, leaving.domain->id, /* scan= */ true);
	return JOB_DONE;
}

/* pvmove's words for where to; false + error */
static bool add_targets(const struct group *group, json_t *request, GPtrArray *words, GError **error)
{
	json_t *guids = json_object_get(json_object_get(request, "order"), "dst_guids"), *guid;
	size_t i;

	json_array_foreach(guids, i, guid) {
		const struct group_device *target = json_is_string(guid) ? own_device(group, json_string_value(guid), NULL) : NULL;

		if (!target) {
			error_set(error, ERR_NO_SUCH_DESTINATION_PHYSICAL_VOLUMES, "'%s' is no device of domain '%s'",
				  json_is_string(guid) ? json_string_value(guid) : "?", group->name);
			return false;
		}
		g_ptr_array_add(words, target->path);
	}
	return true;
}

static enum job_run move_run(struct job *job, json_t *state, void *data, GError **error)
{
	json_t *request = json_object_get(state, "request");
	autoleaving leaving = { .domain = NULL };
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	bool good;

	if (!leaving_open(data, order_text(request, "sd_id"), order_text(request, "src_guid"), &leaving, error))
		return JOB_FAILED;
	if (job_canceled(job)) {
		(void)block_change(leaving.domain, ERR_LVM_COMMAND_ERROR, NULL, "pvmove", "-qq", "--abort", NULL);
		error_set(error, ERR_TASK_ABORTED, "'%s' was canceled", job_id(job));
		return JOB_FAILED;
	}
	if (!leaving.device->used)
		return JOB_DONE;
	if (health_joins(data, leaving.domain->id)) {
		job_wake_after(job, HEALTH_JOIN_USEC);
		return JOB_WAITS;
	}
	g_ptr_array_add(words, (gpointer) "pvmove");
	g_ptr_array_add(words, (gpointer) "-i");
	g_ptr_array_add(words, (gpointer) "1");
	g_ptr_array_add(words, leaving.device->path);
	if (!add_targets(leaving.group, request, words, error))
		return JOB_FAILED;
	g_ptr_array_add(words, NULL);
	if (!job_step(job, state, "move", error) || !block_lock(leaving.domain, error))
		return JOB_FAILED;
	good = lvm_move(leaving.domain->block->paths, job, error, (const char *const *)words->pdata);
	block_unlock(leaving.domain);
	return good ? JOB_DONE : JOB_FAILED;
}

static const struct job_kind reduce_kind = { .name = "reduce_domain", .type = "storage", .run = reduce_run };
static const struct job_kind move_kind = { .name = "move_domain_device", .type = "storage", .run = move_run };

void block_register(struct storage *storage)
{
	jobs_register(storage->agent->jobs, &reduce_kind, storage);
	jobs_register(storage->agent->jobs, &move_kind, storage);
}

static bool begin(struct agent *agent, const struct job_kind *kind, const struct domain_change_params *params, const char *guid_member, GError **error)
{
	const char *id = json_string_value(json_object_get(params->order, "sd_id")), *guid = json_string_value(json_object_get(params->order, guid_member));
	g_autofree char *description = NULL;
	g_autofree char *lane = NULL;
	autoleaving leaving = { .domain = NULL };
	json_t *request;
	bool done;

	if (!id || !guid) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "sd_id and %s are needed", guid_member);
		return false;
	}
	if (!jobs_has(agent->jobs, params->job_id) && !leaving_open(agent->storage, id, guid, &leaving, error))
		return false;
	description = g_strdup_printf("SDM.%s %s of %s", kind->name, guid, id);
	lane = domain_lane(id);
	request = json_pack("{s:O}", "order", params->order);
	done = jobs_begin(agent->jobs, &(struct job_order){ .id = params->job_id, .kind = kind, .description = description, .lane = lane, .request = request }, NULL,
			  error);
	json_decref(request);
	return done;
}

bool block_reduce_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return begin(agent, &reduce_kind, data, "guid", error);
}

bool block_move_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return begin(agent, &move_kind, data, "src_guid", error);
}
