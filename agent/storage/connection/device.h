/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_CONNECTION_DEVICE_H
#define BERTH_AGENT_STORAGE_CONNECTION_DEVICE_H
/* Block devices that can hold storage domains. Theory of operation in device.c. Any worker; reads udev's database and sysfs, never a device. */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* One way to a device. */
struct device_path { char *name, *state, *hctl, *iqn, *address, *port; };
struct device {
	char *guid, *path;               /* identity, the same on all hosts; path on this one */
	char *vendor, *product, *revision, *serial;
	const char *type;                /* "iSCSI"; else "FCP", whatever brought it: vdsm knows no third */
	int64_t size, logical_block, physical_block, discard_max;
	bool used;                       /* partitions, a file system in use, something of ours or of others on top of it */
	GPtrArray *paths;                /* struct device_path */
};
/* struct device *, g_ptr_array_unref */
GPtrArray *device_list(void);
/* Among those. guid may also be a path /dev/mapper/<guid>. NULL: not there */
const struct device *device_find(GPtrArray *devices, const char *guid);
/* A disk of this iSCSI target that something lies on: its name; NULL: none. g_free */
char *device_busy_of_target(const char *iqn);

#endif
