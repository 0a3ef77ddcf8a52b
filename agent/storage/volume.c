/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: images/<image>/<volume> (the data), .meta (metadata) and .lease. A volume is there when its .meta is there: creation moves it in last,
 * removal takes it away first. What a volume is stands in its metadata; sizes come from the file.
 *
 * A volume based on a shared volume of another image (a template) has that volume's three files linked into its own image, as vdsm does, so that
 * every backing name is the name of a file in the same directory.
 */
#define LOG_MODULE "storage"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/storage-priv.h"
#include "common/log.h"

#define FILE_MODE 0644
#define SUFFIX_META ".meta"
#define SUFFIX_LEASE ".lease"
/* QEMU locks bytes 100.. (what it does) and 200.. (what it lets others do) of a file it has open. */
#define QEMU_LOCK_START 100
#define QEMU_LOCK_LENGTH 200
#define QCOW2_MAGIC 0x514649fb
#define QCOW2_DATA_FILE (1u << 2)

static const char *const required_keys[] = { "CAP", "CTIME", "DISKTYPE", "DOMAIN", "FORMAT", "IMAGE", "LEGALITY", "PUUID", "TYPE", "VOLTYPE", NULL };

char *volume_meta_name(const char *volume)
{
	return g_strconcat(volume, SUFFIX_META, NULL);
}

char *volume_lease_name(const char *volume)
{
	return g_strconcat(volume, SUFFIX_LEASE, NULL);
}

char *volume_work_name(const char *prefix, const char *image, const char *volume)
{
	return g_strconcat(prefix, image, ".", volume, NULL);
}

int volume_open_image(const struct domain *domain, const char *image, GError **error)
{
	g_autofree char *path = g_build_filename(DIR_IMAGES, image, NULL);
	int fd = files_open_dir(domain->fd, path);

	if (fd < 0)
		error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_ACCESS_ERROR, errno, "image '%s' in domain '%s'", image,
				domain->id);
	return fd;
}

metadata *volume_read(int image_fd, const char *volume, GError **error)
{
	g_autofree char *name = volume_meta_name(volume);
	g_autofree char *text = files_read(image_fd, name, METADATA_MAX);
	g_autoptr(metadata) values = NULL;

	if (!text) {
		if (errno == ENOENT)
			error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "'%s'", volume);
		else
			error_set_errno(error, ERR_VOLUME_METADATA_READ_ERROR, errno, "'%s'", volume);
		return NULL;
	}
	if (!(values = metadata_parse_volume(text, required_keys, error))) {
		error_wrap(error, "volume '%s'", volume);
		return NULL;
	}
	if (!files_is_uuid(metadata_get(values, "PUUID"))) {
		error_set(error, ERR_INVALID_METADATA, "volume '%s': PUUID is no id", volume);
		return NULL;
	}
	return g_steal_pointer(&values);
}

bool volume_save(int image_fd, const char *volume, metadata *values, GError **error)
{
	g_autofree char *name = volume_meta_name(volume);
	g_autofree char *text = metadata_volume_text(values);

	if (files_write(image_fd, name, text, FILE_MODE))
		return true;
	files_error(error, ERR_VOLUME_METADATA_WRITE_ERROR, errno, "'%s'", volume);
	return false;
}

bool volume_change(const struct domain *domain, int image_fd, const char *volume, GError **error, ...)
{
	g_autoptr(metadata) values = NULL;
	bool differs = false;
	const char *key;
	va_list changes;

	AUTO_LOCK(domain->changing);
	if (!(values = volume_read(image_fd, volume, error)))
		return false;
	va_start(changes, error);
	while ((key = va_arg(changes, const char *))) {
		const char *value = va_arg(changes, const char *);

		differs |= strcmp(metadata_get(values, key), value) != 0;
		metadata_set(values, key, value);
	}
	va_end(changes);
	return !differs || volume_save(image_fd, volume, values, error);
}

/* Id of the volume a file is the metadata of; NULL: another file. g_free */
static char *volume_of_meta(const char *name)
{
	g_autofree char *volume = g_str_has_suffix(name, SUFFIX_META) ? g_strndup(name, strlen(name) - strlen(SUFFIX_META)) : NULL;

	return volume && files_is_uuid(volume) ? g_steal_pointer(&volume) : NULL;
}

/* Adds the volumes in one image whose parent is `volume`. */
static bool add_children(int image_fd, const char *volume, GPtrArray *children, GError **error)
{
	g_autoptr(GPtrArray) names = files_list(image_fd, ".");

	if (!names) {
		error_set_errno(error, ERR_VOLUME_ACCESS_ERROR, errno, "children of '%s'", volume);
		return false;
	}
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *other = volume_of_meta(names->pdata[i]);
		g_autoptr(metadata) values = other ? volume_read(image_fd, other, error) : NULL;

		if (!other)
			continue;
		if (!values) {
			error_wrap(error, "children of volume '%s'", volume);
			return false;
		}
		if (!strcmp(metadata_get(values, "PUUID"), volume))
			g_ptr_array_add(children, g_steal_pointer(&other));
	}
	return true;
}

GPtrArray *volume_children(const struct domain *domain, int image_fd, const char *image, const char *volume, GError **error)
{
	g_autoptr(GPtrArray) children = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) images = NULL;
	g_autoptr(metadata) values = volume_read(image_fd, volume, error);

	if (!values || !add_children(image_fd, volume, children, error))
		return NULL;
	if (strcmp(metadata_get(values, "VOLTYPE"), "SHARED") || strcmp(metadata_get(values, "IMAGE"), image))
		return g_steal_pointer(&children);
	if (!(images = image_list(domain, error)))
		return NULL;
	for (guint i = 0; i < images->len; i++) {
		autofd other = -1;

		if (!strcmp(images->pdata[i], image))
			continue;
		if ((other = volume_open_image(domain, images->pdata[i], error)) < 0)
			return NULL;
		if (files_exists(other, volume) && !add_children(other, volume, children, error))
			return NULL;
	}
	return g_steal_pointer(&children);
}

bool volume_retype(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	autofd image_fd = volume_open_image(domain, image, error);
	g_autoptr(metadata) values = image_fd < 0 ? NULL : volume_read(image_fd, volume, error);
	g_autoptr(GPtrArray) children = NULL;

	if (!values)
		return false;
	if (!strcmp(metadata_get(values, "VOLTYPE"), "SHARED"))
		return true;
	if (!(children = volume_children(domain, image_fd, image, volume, error)))
		return false;
	return volume_change(domain, image_fd, volume, error, "VOLTYPE", children->len ? "INTERNAL" : "LEAF", NULL);
}

bool volume_in_use(int image_fd, const char *volume)
{
	autofd fd = openat(image_fd, volume, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_LOCK_START, .l_len = QEMU_LOCK_LENGTH };

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* The backing name in a qcow2 header; "" when none. NULL + error when it is not what we make. g_free */
static char *qcow2_backing(int fd, const char *volume, GError **error)
{
	struct { uint32_t magic, version; uint64_t backing_offset; uint32_t backing_size, cluster_bits; uint64_t size; uint8_t rest[40]; uint64_t features; }
		__attribute__((packed)) header;
	uint32_t length;
	g_autofree char *name = NULL;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || be32toh(header.magic) != QCOW2_MAGIC) {
		error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' is no qcow2 file", volume);
		return NULL;
	}
	if (be32toh(header.version) >= 3 && (be64toh(header.features) & QCOW2_DATA_FILE)) {
		error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' keeps its data in another file", volume);
		return NULL;
	}
	length = be32toh(header.backing_size);
	if (!header.backing_offset)
		return g_strdup("");
	if (length > 1023 || !(name = g_malloc0(length + 1)) || pread(fd, name, length, (off_t)be64toh(header.backing_offset)) != (ssize_t)length) {
		error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s': bad backing name", volume);
		return NULL;
	}
	return g_steal_pointer(&name);
}

char *volume_backing(int image_fd, const char *volume, GError **error)
{
	autofd fd = openat(image_fd, volume, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return qcow2_backing(fd, volume, error);
	error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_ACCESS_ERROR, errno, "'%s'", volume);
	return NULL;
}

bool volume_check_header(int image_fd, const char *volume, const char *format, const char *backing, GError **error)
{
	autofd fd = openat(image_fd, volume, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	g_autofree char *name = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_ACCESS_ERROR, errno, "'%s'", volume);
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(error, ERR_VOLUME_ACCESS_ERROR, "'%s' is no regular file", volume);
		return false;
	}
	if (!strcmp(format, "RAW")) {
		if (!backing)
			return true;
		error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "raw volume '%s' has the parent '%s'", volume, backing);
		return false;
	}
	if (!(name = qcow2_backing(fd, volume, error)))
		return false;
	if (!strcmp(name, backing ? backing : ""))
		return true;
	error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' is based on '%s' where '%s' is expected", volume, name, backing ? backing : "");
	return false;
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

void volume_sweep(const struct domain *domain)
{
	autofd images_fd = files_open_dir(domain->fd, DIR_IMAGES);
	g_autoptr(GPtrArray) names = images_fd < 0 ? NULL : files_list(images_fd, ".");

	for (guint i = 0; names && i < names->len; i++) {
		const char *name = names->pdata[i];
		g_autofree char *image = NULL;
		g_autofree char *volume = NULL;
		bool done;

		if (work_ids(name, NEW_PREFIX, &image, &volume))
			done = volume_undo_create(domain, images_fd, image, volume);
		else if (work_ids(name, REMOVED_PREFIX, &image, &volume))
			done = volume_finish_delete(domain, images_fd, image, volume);
		else
			continue;
		if (done)
			log_info("storage domain %s: cleaned up after the interrupted %s of volume %s", domain->id,
				 g_str_has_prefix(name, NEW_PREFIX) ? "creation" : "removal", volume);
		else
			log_warn("storage domain %s: cannot clean up '%s': %s, ignoring", domain->id, name, g_strerror(errno));
	}
}

/* ---- verbs that read ---- */

static bool sizes(int image_fd, const char *volume, int64_t *ret_truesize, int64_t *ret_apparentsize, GError **error)
{
	struct stat st;

	if (fstatat(image_fd, volume, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		error_set_errno(error, errno == ENOENT ? ERR_VOLUME_DOES_NOT_EXIST : ERR_VOLUME_ACCESS_ERROR, errno, "'%s'", volume);
		return false;
	}
	*ret_truesize = (int64_t)st.st_blocks * 512;
	*ret_apparentsize = st.st_size;
	return true;
}

static json_t *lease_of(const struct domain *domain, const char *image, const char *volume)
{
	g_autofree char *name = volume_lease_name(volume);
	g_autofree char *path = g_build_filename(domain->path, DIR_IMAGES, image, name, NULL);

	return json_pack("{s:s, s:i, s:[], s:n}", "path", path, "offset", 0, "owners", "version");
}

bool volume_info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	autofd image_fd = domain ? volume_open_image(domain, params->image_id, error) : -1;
	g_autoptr(metadata) values = image_fd < 0 ? NULL : volume_read(image_fd, params->volume_id, error);
	g_autoptr(GPtrArray) children = NULL;
	int64_t truesize, apparentsize;
	struct volume_info *info;

	if (!values || !sizes(image_fd, params->volume_id, &truesize, &apparentsize, error))
		return false;
	info = record_new(&volume_info_type);
	info->uuid = g_strdup(params->volume_id);
	info->pool = g_strdup(domain_pool(domain));
	info->domain = g_strdup(domain->id);
	info->image = g_strdup(metadata_get(values, "IMAGE"));
	info->parent = g_strdup(metadata_get(values, "PUUID"));
	info->format = g_strdup(metadata_get(values, "FORMAT"));
	info->type = g_strdup(metadata_get(values, "TYPE"));
	info->vol_type = g_strdup(metadata_get(values, "VOLTYPE"));
	info->disk_type = g_strdup(metadata_get(values, "DISKTYPE"));
	info->description = g_strdup(metadata_get(values, "DESCRIPTION"));
	info->legality = g_strdup(metadata_get(values, "LEGALITY"));
	info->status = g_strdup(!strcmp(info->legality, "ILLEGAL") ? "ILLEGAL" : "OK");
	SET(info, capacity, metadata_get_int(values, "CAP", 0));
	SET(info, truesize, truesize);
	SET(info, apparentsize, apparentsize);
	SET(info, ctime, metadata_get_int(values, "CTIME", 0));
	SET(info, generation, (int)metadata_get_int(values, "GEN", 0));
	SET(info, sequence, (int)metadata_get_int(values, "SEQ", 0));
	info->children = json_array();
	children = volume_children(domain, image_fd, params->image_id, params->volume_id, NULL);
	for (guint i = 0; children && i < children->len; i++)
		json_array_append_new(info->children, json_string(children->pdata[i]));
	info->lease = lease_of(domain, params->image_id, params->volume_id);
	result_record(ret_result, info);
	record_unref(info);
	return true;
}

bool volume_size_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	autofd image_fd = domain ? volume_open_image(domain, params->image_id, error) : -1;
	g_autoptr(metadata) values = image_fd < 0 ? NULL : volume_read(image_fd, params->volume_id, error);
	int64_t truesize, apparentsize;
	struct volume_size *size;

	if (!values || !sizes(image_fd, params->volume_id, &truesize, &apparentsize, error))
		return false;
	size = record_new(&volume_size_type);
	SET(size, truesize, truesize);
	SET(size, apparentsize, apparentsize);
	result_record(ret_result, size);
	record_unref(size);
	return true;
}
