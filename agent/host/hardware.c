/* SPDX-License-Identifier: Apache-2.0 */
/* Who made this machine: DMI as the kernel shows it. Members without a value, or with a maker's placeholder, are left out. */
#include <string.h>
#include "agent/host/host-priv.h"

static void take(char **member, const char *directory, const char *file)
{
	g_autofree char *path = g_build_filename(directory, file, NULL);
	g_autofree char *text = file_text(path);

	if (text && *text && g_ascii_strcasecmp(text, "Not Specified") && g_ascii_strcasecmp(text, "To be filled by O.E.M.") &&
	    g_utf8_validate(text, -1, NULL))
		set_string(member, text);
}

void hardware_fill(struct host_hardware *hardware, const char *directory)
{
	take(&hardware->manufacturer, directory, "sys_vendor");
	take(&hardware->product_name, directory, "product_name");
	take(&hardware->version, directory, "product_version");
	take(&hardware->serial_number, directory, "product_serial");
	take(&hardware->uuid, directory, "product_uuid");
	take(&hardware->family, directory, "product_family");
}
