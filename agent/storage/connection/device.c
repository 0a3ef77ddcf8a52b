/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices for storage domains: each multipath device, and each whole disk that is no path of one, if it has an identity (udev's ID_SERIAL; of
 * multipath devices the WWID): what has none cannot be recognised by another host, or after a restart. Loop devices, RAM disks, CD drives, partitions,
 * network block devices and everything that lies on logical volumes are none: a guest's disk must never look like the host's.
 *
 * All is read from udev's database and sysfs; no device is opened, for one that does not answer would hold us.
 */
#include "agent/storage/connection/device.h"
#include <libudev.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

static void path_free(void *data)
{
	struct device_path *path = data;

	g_free(path->name);
	g_free(path->state);
	g_free(path->hctl);
	g_free(path->iqn);
	g_free(path->address);
	g_free(path->port);
	g_free(path);
}

static void device_free(void *data)
{
	struct device *device = data;

	g_free(device->guid);
	g_free(device->path);
	g_free(device->vendor);
	g_free(device->product);
	g_free(device->revision);
	g_free(device->serial);
	g_ptr_array_unref(device->paths);
	g_free(device);
}

/* An attribute without blanks around it; "" when there is none. g_free */
static char *text_of(struct udev_device *device, const char *name)
{
	const char *value = udev_device_get_sysattr_value(device, name);

	return g_strstrip(g_strdup(value ? value : ""));
}

static int64_t number_of(struct udev_device *device, const char *name)
{
	g_autofree char *text = text_of(device, name);

	return g_ascii_strtoll(text, NULL, 10);
}

static const char *property(struct udev_device *device, const char *name)
{
	const char *value = udev_device_get_property_value(device, name);

	return value ? value : "";
}

/* Is there anything in the directory `name` of its sysfs? first: its first name, g_free; may be NULL */
static bool has_entries(struct udev_device *device, const char *name, char **ret_first)
{
	g_autofree char *path = g_build_filename(udev_device_get_syspath(device), name, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *first = dir ? g_dir_read_name(dir) : NULL;

	if (ret_first)
		*ret_first = g_strdup(first);
	return first != NULL;
}

static bool is_multipath(struct udev_device *device)
{
	return g_str_has_prefix(property(device, "DM_UUID"), "mpath-");
}

/* Is a multipath device made of it? */
static bool is_path(struct udev *udev, struct udev_device *device)
{
	g_autofree char *holder = NULL;
	struct udev_device *above;
	bool found;

	if (!has_entries(device, "holders", &holder))
		return false;
	above = udev_device_new_from_subsystem_sysname(udev, "block", holder);
	found = above && is_multipath(above);
	udev_device_unref(above);
	return found;
}

static bool is_mounted(const char *node)
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char buffer[16384];
	bool found = false;

	while (table && !found && getmntent_r(table, &entry, buffer, sizeof(buffer)))
		found = !strcmp(entry.mnt_fsname, node);
	if (table)
		endmntent(table);
	return found;
}

static bool has_partitions(struct udev_device *device)
{
	g_autoptr(GDir) dir = g_dir_open(udev_device_get_syspath(device), 0, NULL);
	const char *own = udev_device_get_sysname(device), *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, own))
			return true;
	return property(device, "ID_PART_TABLE_TYPE")[0] != 0;
}

/* The session of an iSCSI disk: ".../session3/target2:0:0/..." */
static void read_session(struct udev *udev, struct udev_device *device, struct device_path *path)
{
	g_autoptr(GRegex) regex = g_regex_new("/session(\\d+)/", 0, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;
	g_autofree char *number = NULL;
	g_autofree char *session = NULL;
	g_autofree char *connection = NULL;
	struct udev_device *of_session, *of_connection;

	if (!g_regex_match(regex, udev_device_get_syspath(device), 0, &match))
		return;
	number = g_match_info_fetch(match, 1);
	session = g_strconcat("session", number, NULL);
	connection = g_strconcat("connection", number, ":0", NULL);
	if ((of_session = udev_device_new_from_subsystem_sysname(udev, "iscsi_session", session)))
		path->iqn = text_of(of_session, "targetname");
	if ((of_connection = udev_device_new_from_subsystem_sysname(udev, "iscsi_connection", connection))) {
		path->address = text_of(of_connection, "persistent_address");
		path->port = text_of(of_connection, "persistent_port");
	}
	udev_device_unref(of_session);
	udev_device_unref(of_connection);
}

static void add_path(struct udev *udev, struct device *device, struct udev_device *disk)
{
	struct udev_device *scsi = udev_device_get_parent_with_subsystem_devtype(disk, "scsi", "scsi_device");
	struct device_path *path = g_new0(struct device_path, 1);

	path->name = g_strdup(udev_device_get_sysname(disk));
	path->state = scsi ? text_of(scsi, "state") : g_strdup("running");
	path->hctl = g_strdup(scsi ? udev_device_get_sysname(scsi) : "");
	read_session(udev, disk, path);
	if (path->iqn)
		device->type = "iSCSI";
	if (scsi && !device->vendor[0]) {
		g_free(device->vendor);
		g_free(device->product);
		g_free(device->revision);
		device->vendor = text_of(scsi, "vendor");
		device->product = text_of(scsi, "model");
		device->revision = text_of(scsi, "rev");
	}
	g_ptr_array_add(device->paths, path);
}

static void add_slaves(struct udev *udev, struct device *device, struct udev_device *map)
{
	g_autofree char *path = g_build_filename(udev_device_get_syspath(map), "slaves", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		struct udev_device *slave = udev_device_new_from_subsystem_sysname(udev, "block", name);

		if (slave)
			add_path(udev, device, slave);
		udev_device_unref(slave);
	}
}

static struct device *read_device(struct udev *udev, struct udev_device *disk)
{
	static const char *const none[] = { "loop", "ram", "zram", "sr", "fd", "nbd", "md", "drbd", "rbd" };
	const char *name = udev_device_get_sysname(disk), *guid;
	bool map = is_multipath(disk);
	struct device *device;

	for (size_t i = 0; i < G_N_ELEMENTS(none); i++)
		if (g_str_has_prefix(name, none[i]) && g_ascii_isdigit(name[strlen(none[i])]))
			return NULL;
	if (g_str_has_prefix(name, "dm-") && !map)
		return NULL;
	guid = map ? property(disk, "DM_UUID") + strlen("mpath-") : property(disk, "ID_SERIAL");
	if (!g_regex_match_simple("^[A-Za-z0-9_.:-]{1,200}$", guid, G_REGEX_DOLLAR_ENDONLY, 0) || !number_of(disk, "size") || is_path(udev, disk))
		return NULL;
	device = g_new0(struct device, 1);
	device->guid = g_strdup(guid);
	device->path = map ? g_strdup_printf("/dev/mapper/%s", property(disk, "DM_NAME")) : g_strdup(udev_device_get_devnode(disk));
	device->serial = g_strdup(property(disk, "ID_SERIAL_SHORT")[0] ? property(disk, "ID_SERIAL_SHORT") : property(disk, "ID_SERIAL"));
	device->vendor = g_strdup("");
	device->product = g_strdup("");
	device->revision = g_strdup("");
	device->type = "FCP";
	device->size = number_of(disk, "size") * SECTOR;
	device->logical_block = number_of(disk, "queue/logical_block_size");
	device->physical_block = number_of(disk, "queue/physical_block_size");
	device->discard_max = number_of(disk, "queue/discard_max_bytes");
	device->used = has_partitions(disk) || has_entries(disk, "holders", NULL) || is_mounted(device->path);
	device->paths = g_ptr_array_new_with_free_func(path_free);
	if (map)
		add_slaves(udev, device, disk);
	else
		add_path(udev, device, disk);
	return device;
}

GPtrArray *device_list(void)
{
	GPtrArray *devices = g_ptr_array_new_with_free_func(device_free);
	struct udev *udev = udev_new();
	struct udev_enumerate *all = udev ? udev_enumerate_new(udev) : NULL;
	struct udev_list_entry *entry;

	if (all && udev_enumerate_add_match_subsystem(all, "block") >= 0 && udev_enumerate_add_match_property(all, "DEVTYPE", "disk") >= 0 &&
	    udev_enumerate_scan_devices(all) >= 0) {
		udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(all)) {
			struct udev_device *disk = udev_device_new_from_syspath(udev, udev_list_entry_get_name(entry));
			struct device *device = disk ? read_device(udev, disk) : NULL;

			if (device)
				g_ptr_array_add(devices, device);
			udev_device_unref(disk);
		}
	}
	udev_enumerate_unref(all);
	udev_unref(udev);
	return devices;
}

const struct device *device_find(GPtrArray *devices, const char *guid)
{
	static const char mapper[] = "/dev/mapper/";
	const char *name = g_str_has_prefix(guid, mapper) ? guid + strlen(mapper) : guid;

	for (guint i = 0; i < devices->len; i++)
		if (!strcmp(((const struct device *)devices->pdata[i])->guid, name))
			return devices->pdata[i];
	return NULL;
}

char *device_busy_of_target(const char *iqn)
{
	g_autoptr(GPtrArray) devices = device_list();

	for (guint i = 0; i < devices->len; i++) {
		const struct device *device = devices->pdata[i];

		for (guint j = 0; device->used && j < device->paths->len; j++) {
			const struct device_path *path = device->paths->pdata[j];

			if (path->iqn && !strcmp(path->iqn, iqn))
				return g_strdup(device->guid);
		}
	}
	return NULL;
}
