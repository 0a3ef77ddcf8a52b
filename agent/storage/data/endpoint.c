/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources and targets of copies. "div" is a volume, by domain, image and volume. "external" is data elsewhere, by a URL:
 *
 *	nbd:unix:/socket:exportname=name, nbd+unix:///name?socket=/socket, nbd://host[:port]/name     always raw: the server hides the format
 *	file:///path         read: a plain file that is there; written: one that must not exist, so nothing can be overwritten;
 *	                     it is <path>.berth-part until it is whole
 *
 *	/dev/...             a volume of another provider that is attached to this host (managed.c); raw
 *
 * A file's header is read by ourselves first: an image that names further files is refused before QEMU sees it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "agent/storage/data/data.h"
#include "agent/storage/volume/image_header.h"
#include "common/error.h"

#define PART_SUFFIX ".berth-part"

static bool is_nbd(const char *url)
{
	return g_str_has_prefix(url, "nbd:") || g_str_has_prefix(url, "nbd+unix:///");
}

static bool is_device(const char *url)
{
	return g_str_has_prefix(url, "/dev/");
}

static bool bad(GError **error, const char *name, const char *what)
{
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "%s: %s", name, what);
	return false;
}

bool end_check(const struct endpoint *endpoint, const char *name, GError **error)
{
	if (!strcmp(endpoint->type, "div")) {
		if (!endpoint->domain_id || !endpoint->image_id || !endpoint->volume_id)
			return bad(error, name, "a 'div' endpoint has sd_id, img_id and vol_id");
		return true;
	}
	if (!endpoint->lease_id != !endpoint->lease_domain_id)
		return bad(error, name, "a lease has sd_id and lease_id");
	if (!endpoint->url || (!is_nbd(endpoint->url) && !is_device(endpoint->url) && !g_str_has_prefix(endpoint->url, "file:///"))) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "%s: url '%s' is neither of NBD nor of a file or device", name, endpoint->url ? endpoint->url : "");
		return false;
	}
	if (!g_str_has_prefix(endpoint->url, "file:///") && strcmp(endpoint->format, "raw"))
		return bad(error, name, "what an NBD server or a device shows is raw");
	return true;
}

static bool open_volume(struct storage *storage, const struct endpoint *endpoint, bool write, struct end *end, GError **error)
{
	const char *volume = endpoint->volume_id, *type;

	if (!(end->domain = domain_open_active(storage, endpoint->domain_id, error)) ||
	    !(end->values = volume_read(end->domain, endpoint->image_id, volume, error)))
		return false;
	type = metadata_get(end->values, "VOLTYPE");
	if (write && !strcmp(type, "SHARED"))
		error_set(error, ERR_SHARED_VOLUME_NON_WRITABLE, "'%s'", volume);
	else if (write && !strcmp(type, "INTERNAL"))
		error_set(error, ERR_INTERNAL_VOLUME_NON_WRITABLE, "'%s' is the parent of another volume", volume);
	else if (chain_hold(&end->hold, end->domain, endpoint->image_id, volume, write, /* allow_illegal= */ write, error)) {
		end->path = g_strdup(end->hold.path);
		end->format = end->hold.format;
		end->capacity = metadata_get_int(end->values, "CAP", 0);
		return true;
	}
	return false;
}

/* What only QEMU can read. */
static bool ask_size(struct end *end, GError **error)
{
	json_t *info = qemu_img_info(end->path, end->format, error);

	if (info)
		end->capacity = json_integer_value(json_object_get(info, "virtual-size"));
	json_decref(info);
	return info != NULL;
}

static bool open_file(const struct endpoint *endpoint, bool write, bool again, struct end *end, GError **error)
{
	g_autofree char *path = g_filename_from_uri(endpoint->url, NULL, NULL);
	struct image_header header = { 0 };
	autofd fd = -1;
	struct stat st;

	if (!path || strstr(path, "/../"))
		return bad(error, "url", endpoint->url);
	end->format = !strcmp(endpoint->format, "cow") ? "qcow2" : g_intern_string(endpoint->format);
	if (write) {
		if (!again && files_exists(AT_FDCWD, path)) {
			error_set(error, ERR_IMAGE_PATH_ERROR, "'%s' is there already", path);
			return false;
		}
		end->path = g_strconcat(path, PART_SUFFIX, NULL);
		end->file = g_steal_pointer(&path);
		return true;
	}
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_set_errno(error, ERR_IMAGE_PATH_ERROR, errno, "'%s'", path);
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(error, ERR_IMAGE_PATH_ERROR, "'%s' is no plain file", path);
		return false;
	}
	if (!image_header_read(fd, end->format, path, &header, error))
		return false;
	if (header.backing[0])
		error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "'%s' is based on '%s'", path, header.backing);
	else if (!header.cut || image_is_whole(path, error))
		end->path = g_steal_pointer(&path);
	end->capacity = header.size ? header.size : st.st_size;
	image_header_clear(&header);
	return end->path && (strcmp(end->format, "vhdx") || ask_size(end, error));
}

/* Only what a client had attached is touched, and nothing that is mounted, or part of something. */
static bool open_device(struct storage *storage, const struct endpoint *endpoint, bool write, struct end *end, GError **error)
{
	uint64_t bytes = 0;
	autofd fd = -1;

	if (!managed_is_attached(storage, endpoint->url)) {
		error_set(error, ERR_IMAGE_PATH_ERROR, "'%s' is no managed volume that is attached to this host", endpoint->url);
		return false;
	}
	if ((fd = open(endpoint->url, (write ? O_RDWR | O_EXCL : O_RDONLY) | O_CLOEXEC)) < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
		error_set_errno(error, ERR_IMAGE_PATH_ERROR, errno, "'%s'", endpoint->url);
		return false;
	}
	end->path = g_strdup(endpoint->url);
	end->format = "raw";
	end->capacity = (int64_t)bytes;
	return true;
}

bool end_open(struct storage *storage, const struct endpoint *endpoint, bool write, bool again, struct end *ret_end, GError **error)
{
	struct end end = END_NONE;
	bool good;

	if (!strcmp(endpoint->type, "div"))
		good = open_volume(storage, endpoint, write, &end, error);
	else if (is_nbd(endpoint->url)) {
		end.path = g_strdup(endpoint->url);
		end.format = "raw";
		good = true;
	} else if (is_device(endpoint->url))
		good = open_device(storage, endpoint, write, &end, error);
	else
		good = open_file(endpoint, write, again, &end, error);
	if (good)
		*ret_end = end;
	else
		end_close(&end);
	return good;
}

bool end_publish(struct end *end, bool replace, GError **error)
{
	autofd fd = open(end->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	g_autofree char *directory = g_path_get_dirname(end->file);

	if (fd >= 0 && fsync(fd) == 0 && (replace ? rename(end->path, end->file) == 0 : files_rename_new(AT_FDCWD, end->path, AT_FDCWD, end->file)) &&
	    files_sync_dir(AT_FDCWD, directory)) {
		g_clear_pointer(&end->file, g_free);
		return true;
	}
	files_error(error, ERR_IMAGE_PATH_ERROR, errno, "'%s'", end->file);
	return false;
}

void end_close(struct end *end)
{
	chain_release(&end->hold);
	if (end->file)
		unlink(end->path);
	g_free(end->file);
	if (end->values)
		g_hash_table_unref(end->values);
	domain_free(end->domain);
	g_free(end->path);
	*end = (struct end)END_NONE;
}
