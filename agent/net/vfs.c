/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual functions of SR-IOV devices: sriov_numvfs of the device in sysfs. The kernel changes the number only by way of 0, which takes the functions
 * there are away from who uses them; it refuses while one is given to a VM.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "agent/net/net-priv.h"

const char *net_pci_devices = "/sys/bus/pci/devices";

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
