/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual functions of SR-IOV devices: sriov_numvfs of the device in sysfs. The kernel changes the number only by way of 0, which takes the functions
 * there are away from who uses them; it refuses while one is given to a VM. A nic's PCI device is /sys/class/net/<nic>/device; that of a virtual function has
 * a link physfn to the device it is part of, whose nics are in its directory net (Documentation/ABI/testing/sysfs-bus-pci of Linux).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/net/net-priv.h"

const char *net_pci_devices = "/sys/bus/pci/devices", *net_class_devices = "/sys/class/net";

/* "pci_0000_03_00_0" -> "<net_pci_devices>/0000:03:00.0"; NULL: no such name. g_free */
static char *device_path(const char *name)
{
	unsigned domain, bus, slot, function;
	int end = 0;

	if (sscanf(name, "pci_%4x_%2x_%2x_%1x%n", &domain, &bus, &slot, &function, &end) != 4 || name[end])
		return NULL;
	return g_strdup_printf("%s/%04x:%02x:%02x.%x", net_pci_devices, domain, bus, slot, function);
}

static bool read_number(const char *path, const char *file, int *ret_number)
{
	g_autofree char *name = g_build_filename(path, file, NULL);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(name, &text, NULL, NULL))
		return false;
	*ret_number = (int)g_ascii_strtoll(text, NULL, 10);
	return true;
}

static int write_number(const char *path, int number)
{
	g_autofree char *name = g_build_filename(path, "sriov_numvfs", NULL);
	FILE *file = fopen(name, "we");
	int errnum;

	if (!file)
		return errno;
	errnum = fprintf(file, "%d", number) < 0 ? errno : 0;
	return fclose(file) && !errnum ? errno : errnum;
}

/* "0000:03:00.0" -> "pci_0000_03_00_0", as libvirt names it; g_free */
static char *device_name(const char *path)
{
	g_autofree char *address = g_path_get_basename(path);

	return g_strconcat("pci_", g_strdelimit(address, ":.", '_'), NULL);
}

void net_describe_vfs(json_t *object, const char *nic)
{
	g_autofree char *path = g_build_filename(net_class_devices, nic, "device", NULL);
	g_autofree char *above = g_build_filename(path, "physfn", "net", NULL);
	int most, now;

	if (read_number(path, "sriov_totalvfs", &most) && read_number(path, "sriov_numvfs", &now)) {
		char *real = realpath(path, NULL);
		g_autofree char *name = real ? device_name(real) : NULL;

		if (name)
			json_object_set_new(object, "sriov", json_pack("{s:s, s:i, s:i}", "device", name, "totalvfs", most, "numvfs", now));
		free(real);
	} else {
		GDir *dir = g_dir_open(above, 0, NULL);
		const char *physical = dir ? g_dir_read_name(dir) : NULL;

		if (physical)
			json_object_set_new(object, "physfn", json_string(physical));
		if (dir)
			g_dir_close(dir);
	}
}

bool net_numvfs_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct numvfs_params *params = data;
	g_autofree char *path = device_path(params->device_name);
	int most, now, errnum = 0;

	if (!path || !g_file_test(path, G_FILE_TEST_IS_DIR)) {
		error_set(error, ERR_BAD_NIC, "device '%s' is no PCI device of this host", params->device_name);
		return false;
	}
	if (!read_number(path, "sriov_totalvfs", &most) || !read_number(path, "sriov_numvfs", &now)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "device '%s' has no virtual functions (SR-IOV)", params->device_name);
		return false;
	}
	if (params->numvfs > most) {
		error_set(error, ERR_INVALID_PARAMETER, "device '%s': numvfs %d is above its %d", params->device_name, params->numvfs, most);
		return false;
	}
	if (now != params->numvfs && now)
		errnum = write_number(path, 0);
	if (!errnum && now != params->numvfs && params->numvfs)
		errnum = write_number(path, params->numvfs);
	if (!errnum)
		return true;
	(void)write_number(path, now);
	error_set_errno(error, ERR_BAD_NIC, errnum, "device '%s': %d virtual functions instead of %d", params->device_name, params->numvfs, now);
	return false;
}
