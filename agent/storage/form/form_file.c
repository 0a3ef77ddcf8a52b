/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes as files: images/<image>/<volume> (the data), .meta (metadata) and .lease. A volume is there when its .meta is there.
 *
 * A volume based on a shared volume of another image (a template) has that volume's three files linked into its own image, as vdsm does, so that
 * every backing name is the name of a file in the same directory.
 *
 * Making one:
 *   1  images/.berth-new-<image>.<volume>/ is made, the data in it; then the caller fills them
 *   2  lease and metadata are added; all on disk
 *   3a the image is new: the links to a shared parent's files are added, and the directory gets the image's name by one rename. Done.
 *   3b the image is there: lease and data are moved into it, the parent becomes INTERNAL, the metadata are moved in: now the volume is there.
 *      The directory is removed.
 * Killed or failed before the last move: undo() takes back what was moved (before step 1 it was checked that no such files existed, so they are ours)
 * and removes the directory.
 *
 * Removing one:
 *   1  images/.berth-del-<image>.<volume>/ is made, with a file "zero" in it when the data shall be overwritten
 *   2  the metadata are moved there: from now on the volume is gone
 *   3  data overwritten if wanted, data and lease unlinked, the parent looked at again, the directory removed; an image without volumes of its own too
 * Killed before 2: nothing happened, the directory is removed. After it: 3 is done, which may be repeated.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "agent/storage/lease/lock.h"
#include "agent/storage/storage-priv.h"
#include "common/log.h"

/* QEMU locks bytes 100.. (what it does) and 200.. (what it lets others do) of a file it has open. */
#define QEMU_LOCK_START 100
#define QEMU_LOCK_LENGTH 200
#define DATA_MODE 0660
#define META_MODE 0644
#define SUFFIX_META ".meta"
#define SUFFIX_LEASE ".lease"
#define ZERO_MARK "zero"

static char *meta_name(const char *volume)
{
	return g_strconcat(volume, SUFFIX_META, NULL);
}

static char *lease_name(const char *volume)
{
	return g_strconcat(volume, SUFFIX_LEASE, NULL);
}

/* Names of the directories in images/ where a volume is made or removed. */
static char *work_name(const char *prefix, const char *image, const char *volume)
{
	return g_strconcat(prefix, image, ".", volume, NULL);
}

static int open_images(const struct domain *domain, GError **error)
{
	int fd = files_open_dir(domain->fd, DIR_IMAGES);

	if (fd < 0)
		error_set_errno(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, errno, "'%s/" DIR_IMAGES "'", domain->path);
	return fd;
}

static int open_image(const struct domain *domain, const char *image, GError **error)
{
	g_autofree char *path = g_build_filename(DIR_IMAGES, image, NULL);
	int fd = files_open_dir(domain->fd, path);

	if (fd < 0)
		error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_ACCESS_ERROR, errno, "image '%s' in domain '%s'", image,
				domain->id);
	return fd;
}

/* ---- the domain ---- */

static void close_domain(struct domain *domain)
{
	if (domain->fd >= 0)
		close(domain->fd);
}

static bool save_domain(struct domain *domain, GError **error)
{
	g_autofree char *text = metadata_domain_text(domain->values);
	autofd fd = files_open_dir(domain->fd, DIR_METADATA);

	if (fd >= 0 && files_write(fd, FILE_METADATA, text, META_MODE))
		return true;
	files_error(error, ERR_META_DATA_GENERAL_ERROR, errno, "storage domain '%s'", domain->id);
	return false;
}

/* Discs are often exported read-only. */
static bool is_written(metadata *values)
{
	return strcmp(metadata_get(values, "CLASS"), "Iso");
}

static bool check_domain(const struct domain *domain, GError **error)
{
	const int access = R_OK | X_OK | (is_written(domain->values) ? W_OK : 0);
	static const char *const directories[] = { DIR_METADATA, DIR_IMAGES };

	for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
		autofd fd = files_open_dir(domain->fd, directories[i]);

		if (fd < 0) {
			error_set_errno(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, errno, "'%s/%s'", domain->path, directories[i]);
			return false;
		}
		if (faccessat(fd, ".", access, AT_EACCESS) < 0) {
			error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errno, "'%s/%s'", domain->path, directories[i]);
			return false;
		}
	}
	return true;
}

/* Falls back where O_DIRECT does not exist. What the kernel made read-only because of errors, or what came back so, is not there for VMs either. */
static bool probe(const struct domain *domain, GError **error)
{
	static const char name[] = DIR_METADATA "/" FILE_METADATA;
	autofd fd = files_open(domain->fd, name, O_RDONLY | O_DIRECT);
	g_autoptr(metadata) values = NULL;
	struct statvfs vfs = { 0 };
	void *block = NULL;
	ssize_t n = -1;
	int errnum;

	if (fd < 0 && errno == EINVAL)
		fd = files_open(domain->fd, name, O_RDONLY);
	if (fd >= 0 && fstatvfs(fd, &vfs) == 0 && posix_memalign(&block, 4096, METADATA_MAX + 4096) == 0)
		n = read(fd, block, METADATA_MAX);
	errnum = errno;
	if (n >= 0) {
		((char *)block)[n] = 0;
		values = metadata_parse_domain(block, /* required= */ NULL, error);
	} else
		error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errnum, "'%s/%s'", domain->path, name);
	free(block);
	if (values && (vfs.f_flag & ST_RDONLY) && is_written(values)) {
		error_set(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, "'%s' is mounted read-only", domain->path);
		return false;
	}
	return values != NULL;
}

static bool space(const struct domain *domain, int64_t *ret_total, int64_t *ret_free, GError **error)
{
	struct statvfs vfs;

	if (fstatvfs(domain->fd, &vfs) < 0) {
		error_set_errno(error, ERR_GET_FILE_STATS_ERROR, errno, "'%s'", domain->path);
		return false;
	}
	*ret_total = (int64_t)vfs.f_blocks * (int64_t)vfs.f_frsize;
	*ret_free = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
	return true;
}

static int open_master(const struct domain *domain, GError **error)
{
	int fd = files_open_dir(domain->fd, "master");

	if (fd < 0)
		error_set_errno(error, ERR_STORAGE_DOMAIN_MASTER_ERROR, errno, "'%s/master'", domain->path);
	return fd;
}

static char *area(const struct domain *domain, const char *name, int64_t *ret_offset, GError **error)
{
	g_autofree char *file = g_build_filename(DIR_METADATA, name, NULL);

	if (!files_is_plain(domain->fd, file)) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, errno, "'%s/%s'", domain->path, file);
		return NULL;
	}
	*ret_offset = 0;
	return g_build_filename(domain->path, file, NULL);
}

/* ---- volumes that are there ---- */

static GPtrArray *images(const struct domain *domain, GError **error)
{
	g_autoptr(GPtrArray) names = files_list(domain->fd, DIR_IMAGES);
	GPtrArray *found;

	if (!names) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, errno, "'%s/" DIR_IMAGES "'", domain->path);
		return NULL;
	}
	found = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < names->len; i++)
		if (files_is_uuid(names->pdata[i]))
			g_ptr_array_add(found, g_strdup(names->pdata[i]));
	return found;
}

/* Id of the volume a file is the metadata of; NULL: another file. g_free */
static char *volume_of_meta(const char *name)
{
	g_autofree char *volume = g_str_has_suffix(name, SUFFIX_META) ? g_strndup(name, strlen(name) - strlen(SUFFIX_META)) : NULL;

	return volume && files_is_uuid(volume) ? g_steal_pointer(&volume) : NULL;
}

static GPtrArray *list(const struct domain *domain, const char *image, GError **error)
{
	autofd fd = open_image(domain, image, error);
	g_autoptr(GPtrArray) names = fd < 0 ? NULL : files_list(fd, ".");
	GPtrArray *volumes;

	if (!names) {
		if (fd >= 0)
			error_set_errno(error, ERR_VOLUME_ACCESS_ERROR, errno, "image '%s' in domain '%s'", image, domain->id);
		return NULL;
	}
	volumes = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < names->len; i++) {
		char *volume = volume_of_meta(names->pdata[i]);

		if (volume)
			g_ptr_array_add(volumes, volume);
	}
	return volumes;
}

/* Adds the volumes in one image whose parent is `volume`. */
static bool add_children(const struct domain *domain, const char *image, const char *volume, GPtrArray *found, GError **error)
{
	g_autoptr(GPtrArray) volumes = list(domain, image, error);

	for (guint i = 0; volumes && i < volumes->len; i++) {
		g_autoptr(metadata) values = volume_read(domain, image, volumes->pdata[i], error);

		if (!values) {
			error_wrap(error, "children of volume '%s'", volume);
			return false;
		}
		if (!strcmp(metadata_get(values, "PUUID"), volume))
			g_ptr_array_add(found, g_strdup(volumes->pdata[i]));
	}
	return volumes != NULL;
}

static bool exists(const struct domain *domain, const char *image, const char *volume)
{
	g_autofree char *path = g_build_filename(DIR_IMAGES, image, volume, NULL);
	g_autofree char *meta = meta_name(path);
	g_autofree char *lease = lease_name(path);

	return files_exists(domain->fd, path) || files_exists(domain->fd, meta) || files_exists(domain->fd, lease);
}

static GPtrArray *children(const struct domain *domain, const char *image, const char *volume, bool shared, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) others = NULL;

	if (!add_children(domain, image, volume, found, error) || (shared && !(others = images(domain, error))))
		return NULL;
	for (guint i = 0; others && i < others->len; i++)
		if (strcmp(others->pdata[i], image) && exists(domain, others->pdata[i], volume) &&
		    !add_children(domain, others->pdata[i], volume, found, error))
			return NULL;
	return g_steal_pointer(&found);
}

static char *read_meta(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	autofd fd = open_image(domain, image, error);
	g_autofree char *name = meta_name(volume);
	char *text = fd < 0 ? NULL : files_read(fd, name, METADATA_MAX);

	if (!text && fd >= 0)
		error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_METADATA_READ_ERROR, errno, "'%s'", volume);
	return text;
}

static bool write_meta(const struct domain *domain, const char *image, const char *volume, metadata *values, GError **error)
{
	autofd fd = open_image(domain, image, error);
	g_autofree char *name = meta_name(volume);
	g_autofree char *text = metadata_volume_text(values);

	if (fd < 0 || files_write(fd, name, text, META_MODE))
		return fd >= 0;
	files_error(error, ERR_VOLUME_METADATA_WRITE_ERROR, errno, "'%s'", volume);
	return false;
}

static int open_data(const struct domain *domain, const char *image, const char *volume, int flags, GError **error)
{
	autofd fd = open_image(domain, image, error);
	autofd data = fd < 0 ? -1 : openat(fd, volume, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -1;
	if (data < 0 || fstat(data, &st) < 0) {
		error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_ACCESS_ERROR, errno, "'%s'", volume);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(error, ERR_VOLUME_ACCESS_ERROR, "'%s' is no regular file", volume);
		return -1;
	}
	return steal_fd(&data);
}

static bool hold(const struct domain *domain, const char *image, const char *volume, bool write, char **ret_path, GError **error)
{
	autofd data = open_data(domain, image, volume, O_RDONLY, error);

	if (data < 0)
		return false;
	*ret_path = g_build_filename(domain->path, DIR_IMAGES, image, volume, NULL);
	return true;
}

static void release(const struct domain *domain, const char *image, const char *volume)
{
}

static bool sizes(const struct domain *domain, const char *image, const char *volume, int64_t *ret_truesize, int64_t *ret_apparentsize, GError **error)
{
	g_autofree char *path = g_build_filename(DIR_IMAGES, image, volume, NULL);
	struct stat st;

	if (fstatat(domain->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_ACCESS_ERROR, errno, "'%s'", volume);
		return false;
	}
	*ret_truesize = (int64_t)st.st_blocks * 512;
	*ret_apparentsize = st.st_size;
	return true;
}

static bool in_use(const struct domain *domain, const char *image, const char *volume)
{
	autofd fd = volume_open(domain, image, volume, O_RDONLY, NULL);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_LOCK_START, .l_len = QEMU_LOCK_LENGTH };

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static char *lease(const struct domain *domain, const char *image, const char *volume, int64_t *ret_offset, GError **error)
{
	g_autofree char *name = lease_name(volume);

	*ret_offset = 0;
	return g_build_filename(domain->path, DIR_IMAGES, image, name, NULL);
}

/* ---- making ---- */

static bool make(const struct domain *domain, const struct volume_draft *draft, char **ret_path, int *ret_fd, GError **error)
{
	g_autofree char *work = work_name(NEW_PREFIX, draft->image, draft->volume);
	autofd images_fd = open_images(domain, error);
	autofd work_fd = -1;
	autofd data = -1;

	if (images_fd < 0)
		return false;
	if (!files_make_dir(images_fd, work) || (work_fd = files_open_dir(images_fd, work)) < 0 ||
	    (data = openat(work_fd, draft->volume, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, DATA_MODE)) < 0 || fchmod(data, DATA_MODE) < 0) {
		files_error(error, ERR_VOLUME_CREATION_ERROR, errno, "'%s'", draft->volume);
		return false;
	}
	*ret_path = g_build_filename(domain->path, DIR_IMAGES, work, draft->volume, NULL);
	*ret_fd = steal_fd(&data);
	return true;
}

/* A shared parent's three files in the directory of the child. false + errno */
static bool link_parent(const struct domain *domain, const struct volume_draft *draft, int to)
{
	g_autofree char *path = g_build_filename(DIR_IMAGES, draft->parent_image, NULL);
	g_autofree char *meta = meta_name(draft->parent);
	g_autofree char *lease = lease_name(draft->parent);
	const char *names[] = { lease, draft->parent, meta };
	autofd from = files_open_dir(domain->fd, path);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (from < 0 || (linkat(from, names[i], to, names[i], 0) < 0 && errno != EEXIST))
			return false;
	return true;
}

/* The move that makes it visible: on disk, or taken back. false + errno */
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

/* Step 3. false + errno, or error */
static bool move_in(const struct domain *domain, const struct volume_draft *draft, int images_fd, int work_fd, const char *work, GError **error)
{
	bool shared = draft->parent && strcmp(draft->parent_image, draft->image);
	g_autofree char *meta = meta_name(draft->volume);
	g_autofree char *lease = lease_name(draft->volume);
	autofd image_fd = files_open_dir(images_fd, draft->image);

	if (image_fd < 0 && errno != ENOENT)
		return false;
	if (shared && !link_parent(domain, draft, image_fd < 0 ? work_fd : image_fd))
		return false;
	if (shared && image_fd < 0 && fsync(work_fd) < 0)        /* all else in it is synced with the metadata */
		return false;
	if (image_fd < 0)
		return put(images_fd, work, images_fd, draft->image);
	if (!files_rename_new(work_fd, lease, image_fd, lease) || !files_rename_new(work_fd, draft->volume, image_fd, draft->volume))
		return false;
	if (draft->parent && !shared) {
		g_autoptr(metadata) parent = volume_read(domain, draft->image, draft->parent, error);

		if (!parent)
			return false;
		if (!strcmp(metadata_get(parent, "VOLTYPE"), "LEAF") &&
		    !volume_change(domain, draft->image, draft->parent, error, "VOLTYPE", "INTERNAL", NULL))
			return false;
	}
	if (fsync(image_fd) < 0 || !put(work_fd, meta, image_fd, meta))
		return false;
	if (!files_remove_tree(images_fd, work))
		log_warn("storage domain %s: cannot remove '%s': %s, ignoring", domain->id, work, g_strerror(errno));
	return true;
}

static bool publish(const struct domain *domain, const struct volume_draft *draft, metadata *values, GError **error)
{
	g_autofree char *work = work_name(NEW_PREFIX, draft->image, draft->volume);
	g_autofree char *meta = meta_name(draft->volume);
	g_autofree char *lease = lease_name(draft->volume);
	g_autofree char *lease_path = g_build_filename(domain->path, DIR_IMAGES, work, lease, NULL);
	g_autofree char *text = metadata_volume_text(values);
	autofd images_fd = open_images(domain, error);
	autofd work_fd = images_fd < 0 ? -1 : files_open_dir(images_fd, work);
	GError *problem = NULL;

	if (images_fd < 0)
		return false;
	errno = work_fd < 0 ? errno : 0;
	if (work_fd >= 0 && files_make_sparse(work_fd, lease, metadata_get_int(domain->values, "ALIGNMENT", VOLUME_LEASE_SIZE), DATA_MODE) &&
	    lock_format_volume(domain, &(struct lease){ .name = draft->volume, .path = lease_path }, &problem) && files_write(work_fd, meta, text, META_MODE) &&
	    move_in(domain, draft, images_fd, work_fd, work, &problem))
		return true;
	if (problem)
		g_propagate_error(error, problem);
	else
		files_error(error, ERR_VOLUME_CREATION_ERROR, errno, "'%s'", draft->volume);
	return false;
}

/* The parent of the volume whose metadata are in a work directory; NULL: none. g_free */
static char *parent_in(int work_fd, const char *volume)
{
	g_autofree char *meta = meta_name(volume);
	g_autofree char *text = work_fd < 0 ? NULL : files_read(work_fd, meta, METADATA_MAX);
	g_autoptr(metadata) values = text ? metadata_parse_volume(text, /* required= */ NULL, NULL) : NULL;
	const char *parent = values ? metadata_get(values, "PUUID") : BLANK_UUID;

	return files_is_uuid(parent) && strcmp(parent, BLANK_UUID) ? g_strdup(parent) : NULL;
}

/* false + errno */
static bool unlink_volume(int image_fd, const char *volume)
{
	g_autofree char *lease = lease_name(volume);
	g_autofree char *items = g_strconcat(volume, VOLUME_ITEMS_SUFFIX, NULL);

	return files_sweep(image_fd) && (unlinkat(image_fd, volume, 0) == 0 || errno == ENOENT) &&
	       (unlinkat(image_fd, items, 0) == 0 || errno == ENOENT) && (unlinkat(image_fd, lease, 0) == 0 || errno == ENOENT);
}

static bool failed(GError **error, enum error_code code, const char *volume)
{
	files_error(error, code, errno, "'%s'", volume);
	return false;
}

/* Work on a volume, its directories open where they are there. */
struct work { char *name, *meta, *parent; int images_fd, work_fd, image_fd; };

static void work_close(struct work *work)
{
	const int fds[] = { work->image_fd, work->work_fd, work->images_fd };

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	g_free(work->name);
	g_free(work->meta);
	g_free(work->parent);
}
#define AUTO_WORK __attribute__((cleanup(work_close))) struct work

static bool work_open(struct work *work, const char *prefix, const struct domain *domain, const char *image, const char *volume, GError **error)
{
	*work = (struct work){ .name = work_name(prefix, image, volume), .meta = meta_name(volume), .images_fd = open_images(domain, error), .work_fd = -1,
			       .image_fd = -1 };
	if (work->images_fd < 0)
		return false;
	work->work_fd = files_open_dir(work->images_fd, work->name);
	work->image_fd = files_open_dir(work->images_fd, image);
	work->parent = parent_in(work->work_fd, volume);
	return true;
}

/* Its data are to go: without a directory of work nothing in the image is ours, and a volume with metadata is whole. */
static bool is_going(const struct work *work)
{
	return work->work_fd >= 0 && work->image_fd >= 0 && !files_exists(work->image_fd, work->meta);
}

/* false + errno */
static bool work_over(const struct work *work)
{
	if (work->work_fd < 0 && !files_exists(work->images_fd, work->name) && errno == ENOENT)
		return true;
	return files_remove_tree(work->images_fd, work->name) && fsync(work->images_fd) == 0;
}

static bool undo(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	AUTO_WORK work;

	if (!work_open(&work, NEW_PREFIX, domain, image, volume, error))
		return false;
	if (is_going(&work)) {
		if (!unlink_volume(work.image_fd, volume))
			return failed(error, ERR_VOLUME_UNLINK_ERROR, volume);
		if (work.parent)
			(void)volume_retype(domain, image, work.parent, NULL);
	}
	return work_over(&work) || failed(error, ERR_VOLUME_UNLINK_ERROR, volume);
}

/* ---- removing ---- */

/* false + errno */
static bool begin_removal(int images_fd, const char *work, const char *image, const char *volume, bool zero)
{
	g_autofree char *meta = meta_name(volume);
	autofd image_fd = files_open_dir(images_fd, image);
	autofd work_fd = -1;

	if (image_fd < 0 || !files_make_dir(images_fd, work) || (work_fd = files_open_dir(images_fd, work)) < 0)
		return false;
	if ((zero && (!files_make_sparse(work_fd, ZERO_MARK, 0, 0600) || fsync(work_fd) < 0)) || fsync(images_fd) < 0)
		return false;
	return files_rename_new(image_fd, meta, work_fd, meta) && fsync(image_fd) == 0 && fsync(work_fd) == 0;
}

static bool unpublish(const struct domain *domain, const char *image, const char *volume, bool zero, GError **error)
{
	g_autofree char *work = work_name(REMOVED_PREFIX, image, volume);
	autofd images_fd = open_images(domain, error);

	return images_fd >= 0 && (begin_removal(images_fd, work, image, volume, zero) || failed(error, ERR_CANNOT_DELETE_VOLUME, volume));
}

/* Overwrites what is allocated. */
static bool zero_data(int image_fd, const char *volume)
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
static void remove_empty_image(const struct domain *domain, int images_fd, const char *image)
{
	autofd image_fd = files_open_dir(images_fd, image);
	g_autoptr(GPtrArray) names = image_fd < 0 ? NULL : files_list(image_fd, ".");

	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *volume = g_strndup(names->pdata[i], 36);
		g_autoptr(metadata) values = files_is_uuid(volume) ? volume_read(domain, image, volume, NULL) : NULL;

		if (!values || !strcmp(metadata_get(values, "IMAGE"), image))
			return;
	}
	if (names && !files_remove_tree(images_fd, image))
		log_warn("cannot remove the empty image '%s': %s, ignoring", image, g_strerror(errno));
}

static bool remove_volume(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	AUTO_WORK work;

	if (!work_open(&work, REMOVED_PREFIX, domain, image, volume, error))
		return false;
	if (is_going(&work)) {
		g_autoptr(GError) problem = NULL;

		if ((files_exists(work.work_fd, ZERO_MARK) && !zero_data(work.image_fd, volume)) || !unlink_volume(work.image_fd, volume) ||
		    fsync(work.image_fd) < 0)
			return failed(error, ERR_CANNOT_DELETE_VOLUME, volume);
		if (work.parent && !volume_retype(domain, image, work.parent, &problem))
			log_warn("volume %s: %s, ignoring", work.parent, problem->message);
		remove_empty_image(domain, work.images_fd, image);
	}
	return work_over(&work) || failed(error, ERR_CANNOT_DELETE_VOLUME, volume);
}

/* ---- what a killed agent left ---- */

/* Splits the name of a work directory after its prefix. */
static bool work_ids(const char *name, const char *prefix, char **ret_image, char **ret_volume)
{
	g_auto(GStrv) ids = NULL;

	if (!g_str_has_prefix(name, prefix))
		return false;
	ids = g_strsplit(name + strlen(prefix), ".", 3);
	if (g_strv_length(ids) != 2 || !files_is_uuid(ids[0]) || !files_is_uuid(ids[1]))
		return false;
	*ret_image = g_strdup(ids[0]);
	*ret_volume = g_strdup(ids[1]);
	return true;
}

static GPtrArray *leftovers(const struct domain *domain)
{
	g_autoptr(GPtrArray) names = files_list(domain->fd, DIR_IMAGES);
	GPtrArray *found = g_ptr_array_new_with_free_func(volume_leftover_free);

	for (guint i = 0; names && i < names->len; i++) {
		struct volume_leftover left = { .made = g_str_has_prefix(names->pdata[i], NEW_PREFIX) };

		if (work_ids(names->pdata[i], left.made ? NEW_PREFIX : REMOVED_PREFIX, &left.image, &left.volume))
			g_ptr_array_add(found, g_memdup2(&left, sizeof(left)));
	}
	return found;
}

const struct domain_form form_file = {
	.name = "file", .grows = true, .close = close_domain, .save = save_domain, .check = check_domain, .probe = probe, .space = space, .area = area,
	.images = images, .list = list, .children = children, .read = read_meta, .write = write_meta, .exists = exists, .open = open_data,
	.hold = hold, .release = release, .sizes = sizes, .lease = lease, .make = make, .publish = publish, .undo = undo,
	.unpublish = unpublish, .remove = remove_volume, .leftovers = leftovers, .in_use = in_use, .master = open_master,
};
