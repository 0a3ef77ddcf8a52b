/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of the programs that engines ask after (packages2), from dpkg's status file. It is some megabytes long, so what was found is kept until the
 * file changes. Names are those of vdsm; {"version": "7.2+dfsg", "release": "7+deb12u12"}: the epoch is left out, the release is what follows the
 * last dash. A host without dpkg has none of them.
 */
#include <string.h>
#include <sys/stat.h>
#include "agent/host/host-priv.h"
#include "common/lock.h"

static const char *const names[][2] = {
	{ "libvirt", "libvirt-daemon" }, { "qemu-kvm", "qemu-system-x86" }, { "qemu-img", "qemu-utils" }, { "spice-server", "libspice-server1" },
	{ "mom", "mom" }, { "glusterfs-cli", "glusterfs-client" }, { "glusterfs-server", "glusterfs-server" }, { "librbd1", "librbd1" },
	{ "openvswitch", "openvswitch-switch" },
	{ "nmstate", "nmstate" }, { "lvm2", "lvm2" }, { "ovirt-hosted-engine-ha", "ovirt-hosted-engine-ha" }, { "swtpm", "swtpm" }, { "ovmf", "ovmf" },
};

/* "1:7.2+dfsg-7+deb12u12" */
static json_t *version_of(const char *text)
{
	const char *colon = strchr(text, ':'), *start = colon ? colon + 1 : text, *dash = strrchr(start, '-');

	return json_pack("{s:o, s:s}", "version", dash ? json_stringn(start, (size_t)(dash - start)) : json_string(start), "release", dash ? dash + 1 : "1");
}

/* "Key: value" of one paragraph; g_free; NULL */
static char *value_of(const char *paragraph, const char *end, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = paragraph; line && line < end; line = memchr(line, '\n', (size_t)(end - line)), line = line ? line + 1 : NULL)
		if (!strncmp(line, key, length) && line[length] == ':')
			return g_strstrip(g_strndup(line + length + 1, strcspn(line + length + 1, "\n")));
	return NULL;
}

json_t *packages_read(const char *status)
{
	g_autofree char *text = NULL;
	json_t *map = json_object();

	if (!g_file_get_contents(status, &text, NULL, NULL))
		return map;
	for (const char *at = text; *at;) {
		const char *end = strstr(at, "\n\n") ? strstr(at, "\n\n") : at + strlen(at);

		for (size_t i = 0; g_str_has_prefix(at, "Package: ") && i < G_N_ELEMENTS(names); i++) {
			size_t length = strlen(names[i][1]);
			g_autofree char *state = NULL, *version = NULL;

			if (strncmp(at + 9, names[i][1], length) || at[9 + length] != '\n')
				continue;
			state = value_of(at, end, "Status");
			version = value_of(at, end, "Version");
			if (state && g_str_has_suffix(state, " installed") && version)
				json_object_set_new(map, names[i][0], version_of(version));
		}
		at = *end ? end + 2 : end;
	}
	return map;
}

json_t *packages_installed(void)
{
	static const char status[] = "/var/lib/dpkg/status";
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct timespec seen;
	static json_t *kept;
	struct stat now = { 0 };

	AUTO_LOCK(&lock);
	(void)stat(status, &now);
	if (!kept || memcmp(&seen, &now.st_mtim, sizeof(seen))) {
		json_decref(kept);
		kept = packages_read(status);
		seen = now.st_mtim;
	}
	return json_deep_copy(kept);
}
