/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is left behind because every thing has its file here before it is made: an image is written under the name it is swept by (<name>.new) and
 * renamed when it is whole, the mark of a mediated device is there before the device is. Whatever the agent was doing when it was killed, the next one
 * finds by these names what belongs to no VM that runs.
 *
 * The directory can be passed by anybody but not listed; images are 0640 of group kvm, libvirt makes them QEMU's when it starts.
 */
#define LOG_MODULE "virt"
#include "agent/virt/domain/vm_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/fault.h"
#include "agent/virt/device/mdev.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/domain/payload.h"
#include "common/error.h"
#include "common/log.h"

#define UUID_LENGTH 36
#define MDEV_SUFFIX ".mdev"

char *vm_files_dir(const char *run_dir, GError **error)
{
	char *dir = g_build_filename(run_dir, "vms", NULL);

	if ((mkdir(dir, 0711) == 0 || errno == EEXIST) && chmod(dir, 0711) == 0)
		return dir;
	error_set_errno(error, ERR_IO_FAILED, errno, "directory %s", dir);
	g_free(dir);
	return NULL;
}

static bool make_image(const struct domain_order *order, GError **error)
{
	g_autofree char *path = g_strconcat(order->path, ".new", NULL);
	const struct group *kvm = getgrnam("kvm");

	if (!payload_write(path, order->floppy, order->label, order->files, error))
		return false;
	fault_point("VM.create: image written");
	if (chmod(path, 0640) < 0 || (kvm && chown(path, (uid_t)-1, kvm->gr_gid) < 0) || rename(path, order->path) < 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "image %s", order->path);
		return false;
	}
	return true;
}

static bool make_mdev(const char *dir, const char *vm_id, const struct domain_order *order, GError **error)
{
	g_autofree char *mark = g_strdup_printf("%s/%s.%s" MDEV_SUFFIX, dir, vm_id, order->mdev_uuid);
	int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "%s", mark);
		return false;
	}
	close(fd);
	return mdev_make(MDEV_SYS, order->mdev_type, order->mdev_uuid, error);
}

bool vm_files_make(const char *dir, const char *vm_id, const GPtrArray *orders, GError **error)
{
	for (guint i = 0; i < orders->len; i++) {
		const struct domain_order *order = orders->pdata[i];

		if (order->kind == ORDER_PAYLOAD ? make_image(order, error) : make_mdev(dir, vm_id, order, error))
			continue;
		vm_files_remove(dir, vm_id);
		return false;
	}
	return true;
}

static void remove_file(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL), *uuid = NULL;
	g_autoptr(GError) error = NULL;

	if (g_str_has_suffix(name, MDEV_SUFFIX)) {
		uuid = g_strndup(name + UUID_LENGTH + 1, strlen(name) - UUID_LENGTH - 1 - strlen(MDEV_SUFFIX));
		if (!mdev_remove(MDEV_SYS, uuid, &error)) {
			log_warn("%s; the next start of the agent tries again", error->message);
			return;
		}
	}
	if (unlink(path) < 0 && errno != ENOENT)
		log_warn("%s cannot be removed: %s", path, g_strerror(errno));
}

void vm_files_sweep(const char *dir, bool (*runs)(void *data, const char *vm_id), void *data)
{
	g_autoptr(GDir) names = g_dir_open(dir, 0, NULL);
	const char *name;

	while (names && (name = g_dir_read_name(names))) {
		g_autofree char *vm_id = g_strndup(name, UUID_LENGTH);

		if (strlen(name) > UUID_LENGTH + 1 && !runs(data, vm_id))
			remove_file(dir, name);
	}
}

static bool is_another(void *data, const char *vm_id)
{
	return strcmp(vm_id, data) != 0;
}

void vm_files_remove(const char *dir, const char *vm_id)
{
	vm_files_sweep(dir, is_another, (void *)vm_id);
}
