/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a volume. The verb checks everything that can be checked and starts a job on the domain's lane; its id is the answer. The job makes the data
 * where the domain's form has them made (volume_make()), fills them, and publishes the volume; killed or failed before that nothing is left.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/storage/data/data.h"
#include "agent/storage/form/block.h"
#include "common/log.h"

#define ALLOCATE_STEP (INT64_C(256) << 20)
#define ZERO_BLOCK (1 << 20)

struct creation {
	struct storage *storage;
	struct volume_params *params;
	int64_t capacity, allocate, initial;      /* bytes */
};

static void creation_free(void *data)
{
	struct creation *creation = data;

	storage_unref(creation->storage);
	record_unref(creation->params);
	g_free(creation);
}

static bool has_parent(const struct volume_params *params)
{
	return strcmp(params->src_volume, BLANK_UUID) != 0;
}

/* ---- what can be checked before ---- */

static bool parse_size(const char *name, const char *text, int64_t *ret_size, GError **error)
{
	guint64 size;

	if (!g_ascii_string_to_unsigned(text, 10, 0, VOLUME_SIZE_MAX, &size, NULL)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "%s: '%s' is not a number of bytes of at most %" PRId64, name, text, VOLUME_SIZE_MAX);
		return false;
	}
	*ret_size = (int64_t)size;
	return true;
}

static bool check_values(const struct volume_params *params, int64_t *ret_capacity, int64_t *ret_allocate, int64_t *ret_initial, GError **error)
{
	int64_t capacity, initial = 0;

	if (!parse_size("size", params->size, &capacity, error) ||
	    (params->initial_size && params->initial_size[0] && !parse_size("initialSize", params->initial_size, &initial, error)))
		return false;
	if (capacity < 1)
		error_set(error, ERR_CREATE_VOLUME_SIZE_ERROR, "size %" PRId64, capacity);
	else if (params->format != VOLUME_COW && params->format != VOLUME_RAW)
		error_set(error, ERR_INCORRECT_FORMAT, "volFormat %d", params->format);
	else if (params->preallocate != VOLUME_PREALLOCATED && params->preallocate != VOLUME_SPARSE)
		error_set(error, ERR_INCORRECT_TYPE, "preallocate %d", params->preallocate);
	else if (has_parent(params) && params->format != VOLUME_COW)
		error_set(error, ERR_INCORRECT_FORMAT, "a raw volume cannot have a parent ('%s')", params->src_volume);
	else if (has_parent(params) && params->preallocate != VOLUME_SPARSE)
		error_set(error, ERR_INCORRECT_TYPE, "a volume with a parent ('%s') is sparse", params->src_volume);
	else if (!g_regex_match_simple("^[A-Z0-9]{1,8}$", params->disk_type, G_REGEX_DOLLAR_ENDONLY, 0))
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "diskType: '%s'", params->disk_type);
	else if (!metadata_is_value(params->desc))
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "desc: contains control characters");
	else if (params->add_bitmaps || params->bitmap)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "%s is not supported by this agent yet", params->bitmap ? "bitmap" : "addBitmaps");
	else {
		capacity = (capacity + VOLUME_SIZE_STEP - 1) / VOLUME_SIZE_STEP * VOLUME_SIZE_STEP;
		if (initial > capacity) {
			error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "initialSize %" PRId64 " is above size %" PRId64, initial, capacity);
			return false;
		}
		*ret_capacity = capacity;
		*ret_initial = initial;
		*ret_allocate = params->preallocate == VOLUME_SPARSE ? 0 : initial ? initial : capacity;
		return true;
	}
	return false;
}

static bool check_parent(const struct domain *domain, const struct volume_params *params, int64_t capacity, GError **error)
{
	const char *image = strcmp(params->src_image, BLANK_UUID) ? params->src_image : params->image_id;
	g_autoptr(metadata) parent = volume_read(domain, image, params->src_volume, error);

	if (!parent) {
		error_wrap(error, "parent of volume '%s'", params->volume_id);
		return false;
	}
	if (!strcmp(metadata_get(parent, "LEGALITY"), "ILLEGAL")) {
		error_set(error, ERR_CREATE_ILLEGAL_VOLUME_SNAPSHOT_ERROR, "'%s'", params->src_volume);
		return false;
	}
	if (strcmp(image, params->image_id) && strcmp(metadata_get(parent, "VOLTYPE"), "SHARED")) {
		error_set(error, ERR_VOLUME_NON_SHAREABLE, "'%s' of image '%s'", params->src_volume, image);
		return false;
	}
	if (capacity < metadata_get_int(parent, "CAP", 0)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "size %" PRId64 " is below the parent's %s", capacity, metadata_get(parent, "CAP"));
		return false;
	}
	return true;
}

/* Any of its files counts: one without metadata may be somebody's data. */
static bool check_new(const struct domain *domain, const struct volume_params *params, GError **error)
{
	if (volume_exists(domain, params->image_id, params->volume_id)) {
		error_set(error, ERR_VOLUME_ALREADY_EXISTS, "'%s' in image '%s'", params->volume_id, params->image_id);
		return false;
	}
	return true;
}

static bool check_space(const struct domain *domain, int64_t allocate, GError **error)
{
	int64_t total, available;

	if (!allocate || !domain->form->space(domain, &total, &available, NULL))
		return true;
	if (allocate <= available)
		return true;
	error_set(error, ERR_NO_SPACE_LEFT_ON_DOMAIN, "'%s': %" PRId64 " bytes wanted, %" PRId64 " available", domain->id, allocate, available);
	return false;
}

static bool check(const struct domain *domain, const struct volume_params *params, int64_t capacity, int64_t allocate, GError **error)
{
	return check_new(domain, params, error) && (!has_parent(params) || check_parent(domain, params, capacity, error)) &&
	       check_space(domain, allocate, error);
}

/* ---- the job ---- */

bool volume_write_zeros(int fd, int64_t from, int64_t to, struct job *job)
{
	static char zeros[ZERO_BLOCK];          /* never written: pages that cost nothing */
	int64_t start = from;

	while (from < to) {
		ssize_t n = pwrite(fd, zeros, (size_t)MIN(to - from, ZERO_BLOCK), from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		from += n;
		if (job && job_canceled(job)) {
			errno = ECANCELED;
			return false;
		}
		if (job)
			job_progress(job, (int)((from - start) * 100 / (to - start)));
	}
	return fsync(fd) == 0;
}

static bool allocate(int fd, int64_t size, struct job *job)
{
	for (int64_t at = 0; at < size; at += ALLOCATE_STEP) {
		if (job_canceled(job)) {
			errno = ECANCELED;
			return false;
		}
		if (fallocate(fd, 0, at, MIN(size - at, ALLOCATE_STEP)) < 0)
			return errno == EOPNOTSUPP && volume_write_zeros(fd, at, size, job);
		job_progress(job, (int)(MIN(at + ALLOCATE_STEP, size) * 100 / size));
	}
	return true;
}

static bool fill_raw(int fd, const struct domain *domain, const char *volume, int64_t capacity, int64_t allocated, struct job *job, GError **error)
{
	if (!domain->form->grows || (ftruncate(fd, capacity) == 0 && allocate(fd, allocated, job)))
		return true;
	files_error(error, errno == ECANCELED ? ERR_TASK_ABORTED : ERR_VOLUME_CREATION_ERROR, errno, "'%s'", volume);
	return false;
}

bool volume_build(const struct domain *domain, const struct volume_draft *draft, metadata *values, int64_t allocated, struct job *job, GError **error)
{
	g_autoptr(metadata) parent = draft->parent ? volume_read(domain, draft->parent_image, draft->parent, error) : NULL;
	int64_t capacity = metadata_get_int(values, "CAP", 0);
	struct qemu_img_create image = { .format = "qcow2", .size = (uint64_t)capacity, .preallocate = domain->form->grows && allocated > 0 };
	g_autofree char *path = NULL;
	autofd fd = -1;

	if ((draft->parent && !parent) || !volume_make(domain, draft, &path, &fd, error))
		return false;
	image.path = path;
	image.backing = draft->parent;
	image.backing_format = parent ? volume_format(parent) : NULL;
	if (!(strcmp(volume_format(values), "raw") ? qemu_img_create(&image, error) : fill_raw(fd, domain, draft->volume, capacity, allocated, job, error)))
		return false;
	if (fsync(fd) < 0) {
		files_error(error, ERR_VOLUME_CREATION_ERROR, errno, "'%s'", draft->volume);
		return false;
	}
	close(steal_fd(&fd));           /* a device that is open stays active */
	return volume_publish(domain, draft, values, error);
}

static metadata *new_values(const struct creation *creation)
{
	const struct volume_params *params = creation->params;
	g_autofree char *description = volume_description(params->desc);
	metadata *values = metadata_new();

	metadata_set_int(values, "CAP", creation->capacity);
	metadata_set_int(values, "CTIME", wall_msec() / 1000);
	metadata_set(values, "DESCRIPTION", description);
	metadata_set(values, "DISKTYPE", params->disk_type);
	metadata_set(values, "DOMAIN", params->domain_id);
	metadata_set(values, "FORMAT", params->format == VOLUME_COW ? "COW" : "RAW");
	metadata_set(values, "GEN", "0");
	metadata_set(values, "IMAGE", params->image_id);
	metadata_set(values, "LEGALITY", params->legal ? "LEGAL" : "ILLEGAL");
	metadata_set(values, "PUUID", params->src_volume);
	metadata_set_int(values, "SEQ", params->sequence);
	metadata_set(values, "TYPE", params->preallocate == VOLUME_PREALLOCATED ? "PREALLOCATED" : "SPARSE");
	metadata_set(values, "VOLTYPE", "LEAF");
	return values;
}

/* Bytes that block storage must have for it: a raw disk all, a qcow2 one also room for its tables; a thin one grows from a first piece. */
static int64_t bytes_of(const struct creation *creation)
{
	if (creation->params->format == VOLUME_RAW)
		return creation->capacity;
	return creation->allocate ? creation->allocate + creation->allocate / 10 : creation->initial;
}

static bool build(const struct domain *domain, const struct creation *creation, struct job *job, GError **error)
{
	const struct volume_params *params = creation->params;
	const struct volume_draft draft = {
		.image = params->image_id, .volume = params->volume_id, .parent = has_parent(params) ? params->src_volume : NULL,
		.parent_image = strcmp(params->src_image, BLANK_UUID) ? params->src_image : params->image_id, .bytes = bytes_of(creation),
	};
	g_autoptr(metadata) values = new_values(creation);

	return volume_build(domain, &draft, values, creation->allocate, job, error);
}

static bool create_run(struct job *job, void *data, GError **error)
{
	struct creation *creation = data;
	const struct volume_params *params = creation->params;
	autodomain domain = domain_open_active(creation->storage, params->domain_id, error);
	g_autoptr(GError) left = NULL;

	if (!domain || !claim_check(creation->storage, params->domain_id, params->image_id, /* write= */ false, error))
		return false;
	/* what a killed one of this volume left; then all again: other jobs of this lane came in between */
	if (!volume_undo(domain, params->image_id, params->volume_id, error) || !check(domain, params, creation->capacity, creation->allocate, error))
		return false;
	if (build(domain, creation, job, error)) {
		log_info("made volume %s of image %s in domain %s", params->volume_id, params->image_id, params->domain_id);
		return true;
	}
	if (!volume_undo(domain, params->image_id, params->volume_id, &left))
		log_warn("storage domain %s: cannot clean up after volume %s: %s, ignoring", domain->id, params->volume_id, left->message);
	return false;
}

bool volume_create_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = NULL;
	g_autofree char *description = g_strdup_printf("Volume.create %s", params->volume_id);
	g_autofree char *lane = domain_lane(params->domain_id);
	g_autofree char *id = NULL;
	struct creation *creation;
	int64_t capacity, allocated, initial;

	if (!check_values(params, &capacity, &allocated, &initial, error) || !block_check_manager(agent->storage, params->domain_id, error) ||
	    !(domain = domain_open_active(agent->storage, params->domain_id, error)) ||
	    !check(domain, params, capacity, allocated, error))
		return false;
	creation = g_new0(struct creation, 1);
	creation->storage = storage_ref(agent->storage);
	creation->params = record_ref(params);
	creation->capacity = capacity;
	creation->allocate = allocated;
	creation->initial = initial;
	if (!jobs_start(agent->jobs, &(struct job_work){ .type = "storage", .description = description, .lane = lane, .run = create_run, .data = creation,
							 .free_data = creation_free }, &id, error)) {
		creation_free(creation);
		return false;
	}
	result_json(ret_result, json_string(id));
	return true;
}
