/* SPDX-License-Identifier: Apache-2.0 */
#define LOG_MODULE "virt"
#include "agent/virt/device/mdev.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"

static char *read_text(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : NULL;
}

static bool write_text(const char *directory, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int errnum = errno;

	if (fd >= 0)
		close(fd);
	errno = errnum;
	return good;
}

static bool exists(const char *sys, const char *uuid)
{
	g_autofree char *path = g_build_filename(sys, "bus/mdev/devices", uuid, NULL);

	return access(path, F_OK) == 0;
}

/* types: mdev_supported_types of one card. The directory of that type; NULL: the card has none; g_free. */
static char *find_type(const char *types, const char *type)
{
	g_autoptr(GDir) dir = g_dir_open(types, 0, NULL);
	const char *id;

	while (dir && (id = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(types, id, NULL), *name = read_text(path, "name");

		if (!strcmp(id, type) || !g_strcmp0(name, type))
			return g_steal_pointer(&path);
	}
	return NULL;
}

bool mdev_make(const char *sys, const char *type, const char *uuid, GError **error)
{
	g_autofree char *cards = g_build_filename(sys, "class/mdev_bus", NULL);
	g_autoptr(GDir) dir = g_dir_open(cards, 0, NULL);
	const char *card;
	bool offered = false;

	if (exists(sys, uuid))
		return true;
	while (dir && (card = g_dir_read_name(dir))) {
		g_autofree char *types = g_build_filename(cards, card, "mdev_supported_types", NULL), *path = find_type(types, type);
		g_autofree char *left = path ? read_text(path, "available_instances") : NULL;

		offered |= path != NULL;
		if (!left || !g_ascii_strtoull(left, NULL, 10))
			continue;
		if (write_text(path, "create", uuid)) {
			log_info("mediated device %s of type '%s' was made on %s", uuid, type, card);
			return true;
		}
		error_set_errno(error, ERR_HOSTDEV_DETACH_FAILED, errno, "mediated device of type '%s' on %s", type, card);
		return false;
	}
	error_set(error, ERR_HOSTDEV_DETACH_FAILED, "mediated device of type '%s': %s", type,
		  offered ? "all that this host offers are in use" : "no device of this host offers it");
	return false;
}

bool mdev_remove(const char *sys, const char *uuid, GError **error)
{
	g_autofree char *path = g_build_filename(sys, "bus/mdev/devices", uuid, NULL);

	if (!exists(sys, uuid) || write_text(path, "remove", "1"))
		return true;
	error_set_errno(error, ERR_HOSTDEV_DETACH_FAILED, errno, "remove mediated device %s", uuid);
	return false;
}
