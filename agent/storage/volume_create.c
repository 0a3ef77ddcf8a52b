/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a volume.
 *
 * The verb checks everything that can be checked and starts a job on the domain's lane; its id is the answer. The job:
 *
 *   1  images/.berth-new-<image>.<volume>/ is made; in it the data, the lease, the metadata; all on disk
 *   2a the image is new: the links to a shared parent's files are added, and the directory gets the image's name by one rename. Done.
 *   2b the image is there: lease and data are moved into it, the parent becomes INTERNAL, the metadata is moved in: now the volume is there.
 *      The directory is removed.
 *
 * Killed or failed before the last move: volume_undo_create() takes back what was moved (before step 1 it was checked that no such files existed,
 * so they are ours), looks again whether the parent is a leaf, and removes the directory. Killed after it: only the empty directory is left and is removed.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "agent/storage/qemu_img.h"
#include "agent/storage/storage-priv.h"
#include "common/log.h"

#define DATA_MODE 0660
#define META_MODE 0644
#define ALLOCATE_STEP (INT64_C(256) << 20)
#define ZERO_BLOCK (1 << 20)

struct creation {
	struct storage *storage;
	struct volume_params *params;
	int64_t capacity, allocate;      /* bytes */
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

static bool check_values(const struct volume_params *params, int64_t *ret_capacity, int64_t *ret_allocate, GError **error)
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
		*ret_allocate = params->preallocate == VOLUME_SPARSE ? 0 : initial ? initial : capacity;
		return true;
	}
	return false;
}

static bool check_parent(const struct domain *domain, const struct volume_params *params, int64_t capacity, GError **error)
{
	const char *image = strcmp(params->src_image, BLANK_UUID) ? params->src_image : params->image_id;
	autofd image_fd = volume_open_image(domain, image, error);
	g_autoptr(metadata) parent = image_fd < 0 ? NULL : volume_read(image_fd, params->src_volume, error);

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
	g_autofree char *path = g_build_filename(DIR_IMAGES, params->image_id, NULL);
	g_autofree char *meta = volume_meta_name(params->volume_id);
	g_autofree char *lease = volume_lease_name(params->volume_id);
	autofd image_fd = files_open_dir(domain->fd, path);

	if (image_fd >= 0 && (files_exists(image_fd, params->volume_id) || files_exists(image_fd, meta) || files_exists(image_fd, lease))) {
		error_set(error, ERR_VOLUME_ALREADY_EXISTS, "'%s' in image '%s'", params->volume_id, params->image_id);
		return false;
	}
	return true;
}

static bool check_space(const struct domain *domain, int64_t allocate, GError **error)
{
	struct statvfs vfs;
	int64_t available;

	if (!allocate || fstatvfs(domain->fd, &vfs) < 0)
		return true;
	available = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
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

static bool make_raw(int fd, const struct creation *creation, struct job *job, GError **error)
{
	const char *volume = creation->params->volume_id;
	autofd data = openat(fd, volume, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, DATA_MODE);

	if (data < 0 || fchmod(data, DATA_MODE) < 0 || ftruncate(data, creation->capacity) < 0 || !allocate(data, creation->allocate, job) || fsync(data) < 0) {
		files_error(error, errno == ECANCELED ? ERR_TASK_ABORTED : ERR_VOLUME_CREATION_ERROR, errno, "'%s'", volume);
		return false;
	}
	return true;
}

static bool make_qcow2(const struct domain *domain, int fd, const char *work, const struct creation *creation, const char *parent_format, GError **error)
{
	const char *volume = creation->params->volume_id;
	g_autofree char *path = g_build_filename(domain->path, DIR_IMAGES, work, volume, NULL);
	const struct qemu_img_create image = {
		.path = path, .format = "qcow2", .size = (uint64_t)creation->capacity, .preallocate = creation->allocate > 0,
		.backing = parent_format ? creation->params->src_volume : NULL, .backing_format = parent_format,
	};
	autofd data = -1;

	if (!qemu_img_create(&image, error))
		return false;
	if ((data = openat(fd, volume, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0 || fchmod(data, DATA_MODE) < 0 || fsync(data) < 0) {
		files_error(error, ERR_VOLUME_CREATION_ERROR, errno, "'%s'", volume);
		return false;
	}
	return true;
}

static char *meta_text(const struct creation *creation)
{
	const struct volume_params *params = creation->params;
	g_autofree char *description = g_strndup(params->desc, VOLUME_DESCRIPTION_MAX);
	const char *end;
	g_autoptr(metadata) values = metadata_new();

	if (!g_utf8_validate(description, -1, &end))
		description[end - description] = 0;      /* not in the middle of a character */
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
	return metadata_volume_text(values);
}

/* A shared parent's three files in the directory of the child. false + errno */
static bool link_parent(const struct domain *domain, const struct volume_params *params, int to)
{
	g_autofree char *path = g_build_filename(DIR_IMAGES, params->src_image, NULL);
	g_autofree char *meta = volume_meta_name(params->src_volume);
	g_autofree char *lease = volume_lease_name(params->src_volume);
	const char *names[] = { lease, params->src_volume, meta };
	autofd from = files_open_dir(domain->fd, path);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (from < 0 || (linkat(from, names[i], to, names[i], 0) < 0 && errno != EEXIST))
			return false;
	return true;
}

bool volume_undo_create(const struct domain *domain, int images_fd, const char *image, const char *volume)
{
	g_autofree char *work = volume_work_name(NEW_PREFIX, image, volume);
	g_autofree char *meta = volume_meta_name(volume);
	g_autofree char *lease = volume_lease_name(volume);
	g_autofree char *parent = NULL;
	autofd work_fd = files_open_dir(images_fd, work);
	autofd image_fd = files_open_dir(images_fd, image);
	g_autoptr(metadata) values = work_fd < 0 ? NULL : volume_read(work_fd, volume, NULL);

	if (image_fd >= 0 && !files_exists(image_fd, meta)) {
		if (!files_sweep(image_fd) || (unlinkat(image_fd, volume, 0) < 0 && errno != ENOENT) ||
		    (unlinkat(image_fd, lease, 0) < 0 && errno != ENOENT))
			return false;
		parent = values ? g_strdup(metadata_get(values, "PUUID")) : NULL;
		if (parent && strcmp(parent, BLANK_UUID))
			(void)volume_retype(domain, image, parent, NULL);
	}
	return files_remove_tree(images_fd, work) && fsync(images_fd) == 0;
}

/* The move that makes it visible: on disk, or taken back. */
static bool put(int from, const char *old_name, int to, const char *new_name)
{
	int errnum;

	if (!files_rename_new(from, old_name, to, new_name))
		return false;
	if (fsync(to) == 0)
		return true;
	errnum = errno;
	(void)files_rename_new(to, new_name, from, old_name);
	errno = errnum;
	return false;
}

/* Step 2. false + errno */
static bool publish(const struct domain *domain, int images_fd, const char *work, int work_fd, const struct creation *creation, GError **error)
{
	const struct volume_params *params = creation->params;
	const char *image = params->image_id, *volume = params->volume_id;
	bool shared = has_parent(params) && strcmp(params->src_image, BLANK_UUID) && strcmp(params->src_image, image);
	g_autofree char *meta = volume_meta_name(volume);
	g_autofree char *lease = volume_lease_name(volume);
	autofd image_fd = files_open_dir(images_fd, image);

	if (image_fd < 0 && errno != ENOENT)
		return false;
	if (shared && !link_parent(domain, params, image_fd < 0 ? work_fd : image_fd))
		return false;
	if (fsync(work_fd) < 0)
		return false;
	if (image_fd < 0)
		return put(images_fd, work, images_fd, image);
	if (!files_rename_new(work_fd, lease, image_fd, lease) || !files_rename_new(work_fd, volume, image_fd, volume))
		return false;
	if (has_parent(params) && !shared) {
		g_autoptr(metadata) parent = volume_read(image_fd, params->src_volume, error);

		if (!parent)
			return false;
		if (!strcmp(metadata_get(parent, "VOLTYPE"), "LEAF") &&
		    !volume_change(domain, image_fd, params->src_volume, error, "VOLTYPE", "INTERNAL", NULL))
			return false;
	}
	if (fsync(image_fd) < 0 || !put(work_fd, meta, image_fd, meta))
		return false;
	if (!files_remove_tree(images_fd, work))
		log_warn("storage domain %s: cannot remove '%s': %s, ignoring", domain->id, work, g_strerror(errno));
	return true;
}

/* "raw" or "qcow2"; NULL: no parent, or error */
static const char *format_of_parent(const struct domain *domain, const struct volume_params *params, GError **error)
{
	const char *image = strcmp(params->src_image, BLANK_UUID) ? params->src_image : params->image_id;
	autofd image_fd = volume_open_image(domain, image, error);
	g_autoptr(metadata) parent = image_fd < 0 ? NULL : volume_read(image_fd, params->src_volume, error);

	return !parent ? NULL : !strcmp(metadata_get(parent, "FORMAT"), "COW") ? "qcow2" : "raw";
}

static bool build(const struct domain *domain, int images_fd, const char *work, const struct creation *creation, struct job *job, GError **error)
{
	const struct volume_params *params = creation->params;
	g_autofree char *meta = volume_meta_name(params->volume_id);
	g_autofree char *lease = volume_lease_name(params->volume_id);
	g_autofree char *text = meta_text(creation);
	const char *parent_format = NULL;
	autofd work_fd = -1;

	if (has_parent(params) && !(parent_format = format_of_parent(domain, params, error)))
		return false;
	if (!files_make_dir(images_fd, work) || (work_fd = files_open_dir(images_fd, work)) < 0) {
		files_error(error, ERR_VOLUME_CREATION_ERROR, errno, "'%s'", params->volume_id);
		return false;
	}
	if (!(params->format == VOLUME_RAW ? make_raw(work_fd, creation, job, error) : make_qcow2(domain, work_fd, work, creation, parent_format, error)))
		return false;
	errno = 0;
	if (files_make_sparse(work_fd, lease, VOLUME_LEASE_SIZE, DATA_MODE) && files_write(work_fd, meta, text, META_MODE) &&
	    publish(domain, images_fd, work, work_fd, creation, error))
		return true;
	if (!error || !*error)
		files_error(error, ERR_VOLUME_CREATION_ERROR, errno, "'%s'", params->volume_id);
	return false;
}

static bool create_run(struct job *job, void *data, GError **error)
{
	struct creation *creation = data;
	const struct volume_params *params = creation->params;
	g_autofree char *work = volume_work_name(NEW_PREFIX, params->image_id, params->volume_id);
	autodomain domain = domain_open_active(creation->storage, params->domain_id, error);
	autofd images_fd = domain ? files_open_dir(domain->fd, DIR_IMAGES) : -1;
	GError *problem = NULL;

	if (!domain)
		return false;
	if (images_fd < 0) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, errno, "'%s/" DIR_IMAGES "'", domain->path);
		return false;
	}
	if (files_exists(images_fd, work))
		volume_sweep(domain);
	/* again: other jobs of this lane came in between */
	if (!check(domain, params, creation->capacity, creation->allocate, error))
		return false;
	if (build(domain, images_fd, work, creation, job, &problem)) {
		log_info("made volume %s of image %s in domain %s", params->volume_id, params->image_id, params->domain_id);
		return true;
	}
	if (!volume_undo_create(domain, images_fd, params->image_id, params->volume_id))
		log_warn("storage domain %s: cannot remove '%s': %s, ignoring", domain->id, work, g_strerror(errno));
	g_propagate_error(error, problem);
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
	int64_t capacity, allocated;

	if (!check_values(params, &capacity, &allocated, error) || !(domain = domain_open_active(agent->storage, params->domain_id, error)) ||
	    !check(domain, params, capacity, allocated, error))
		return false;
	creation = g_new0(struct creation, 1);
	creation->storage = storage_ref(agent->storage);
	creation->params = record_ref(params);
	creation->capacity = capacity;
	creation->allocate = allocated;
	if (!jobs_start(agent->jobs, &(struct job_work){ .type = "storage", .description = description, .lane = lane, .run = create_run, .data = creation,
							 .free_data = creation_free }, &id, error)) {
		creation_free(creation);
		return false;
	}
	result_json(ret_result, json_string(id));
	return true;
}
