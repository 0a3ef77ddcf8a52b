/* SPDX-License-Identifier: Apache-2.0 */
/* Packages by their names: no tool of the distribution is needed where the engine runs. */
#include "engine/deploy/package.h"

#include <string.h>
#include "common/error.h"

#define AGENT_PREFIX "berth-agent-"

struct package *package_free(struct package *package)
{
	if (package) {
		g_free(package->file);
		g_free(package->name);
		g_free(package->version);
		g_free(package->architecture);
		g_free(package);
	}
	return NULL;
}

/* They become words of a command on the host, quoted; and of its output. */
static bool is_word(const char *text)
{
	return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-~:")];
}

struct package *package_new(const char *file, GError **error)
{
	g_autofree char *base = g_path_get_basename(file);
	g_auto(GStrv) parts = NULL;
	struct package *package;

	if (g_str_has_suffix(base, ".deb")) {
		base[strlen(base) - strlen(".deb")] = '\0';
		parts = g_strsplit(base, "_", -1);
	}
	if (!parts || g_strv_length(parts) != 3 || !is_word(parts[0]) || !is_word(parts[1]) || !is_word(parts[2])) {
		error_set(error, ERR_BAD_VALUE, "[deploy] package: '%s' is not named NAME_VERSION_ARCHITECTURE.deb", file);
		return NULL;
	}
	package = g_new(struct package, 1);
	*package = (struct package){ g_strdup(file), g_strdup(parts[0]), g_strdup(parts[1]), g_strdup(parts[2]) };
	return package;
}

char *package_release(const char *version)
{
	const char *colon = strchr(version, ':'), *start = colon ? colon + 1 : version, *dash = strrchr(start, '-');

	return dash ? g_strndup(start, (gsize)(dash - start)) : g_strdup(start);
}

bool package_is_known(const struct config *config)
{
	g_auto(GStrv) files = config_list(config, "deploy", "package");

	return files[0] != NULL;
}

struct package *package_for(const struct config *config, const char *architecture, GError **error)
{
	g_auto(GStrv) files = config_list(config, "deploy", "package");

	for (char **file = files; *file; file++) {
		struct package *package = package_new(*file, error);

		if (!package || !architecture || !strcmp(package->architecture, architecture) || !strcmp(package->architecture, "all"))
			return package;
		(void)package_free(package);
	}
	error_set(error, ERR_OPERATION_FAILED, "[deploy] package: there is none for the architecture '%s'", architecture ? architecture : "any");
	return NULL;
}

bool package_is_update(const struct config *config, const char *version_full)
{
	autopackage package = NULL;
	g_autofree char *release = NULL, *start = NULL;

	if (!version_full || !g_str_has_prefix(version_full, AGENT_PREFIX) || !package_is_known(config) || !(package = package_for(config, NULL, NULL)))
		return false;
	release = package_release(package->version);
	start = g_strdup_printf(AGENT_PREFIX "%s-", release);
	return !g_str_has_prefix(version_full, start);
}
