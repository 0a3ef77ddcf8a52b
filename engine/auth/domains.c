/* SPDX-License-Identifier: Apache-2.0 */
/* The domains besides the built-in one: a file each. */
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "engine/auth/auth-priv.h"
#include "engine/auth/ldap.h"

#define LOG_MODULE "auth"

static bool add_domain(struct directory **directories, size_t max, const char *file, GError **error)
{
	struct directory *directory = ldap_directory_new(file, error);
	size_t n = 0;

	if (!directory)
		return false;
	while (directories[n] && g_ascii_strcasecmp(directories[n]->name, directory->name) != 0)
		n++;
	if (!directories[n] && n < max) {
		log_info("domain '%s' is of %s", directory->name, file);
		directories[n] = directory;
		return true;
	}
	if (directories[n])
		error_set(error, ERR_CONFIG_INVALID, "%s: [domain] name=%s: there is another of that name", file, directory->name);
	else
		error_set(error, ERR_CONFIG_INVALID, "%s: more than %zu domains", file, max);
	directory_free(directory);
	return false;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool domains_load(struct directory **directories, size_t max, const char *dir, GError **error)
{
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) problem = NULL;
	GDir *entries = dir ? g_dir_open(dir, 0, &problem) : NULL;
	const char *name;

	if (!entries) {
		bool none = !dir || g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT);
		if (!none)
			error_set(error, ERR_IO_FAILED, "[auth] domains_dir: %s", problem->message);
		return none;
	}
	while ((name = g_dir_read_name(entries)))
		if (g_str_has_suffix(name, ".conf"))
			g_ptr_array_add(files, g_build_filename(dir, name, NULL));
	g_dir_close(entries);
	g_ptr_array_sort(files, by_name);
	for (guint i = 0; i < files->len; i++)
		if (!add_domain(directories, max, files->pdata[i], error))
			return false;
	return true;
}
