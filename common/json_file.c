/* SPDX-License-Identifier: Apache-2.0 */
/* Files of JSON that are promises. */
#define LOG_MODULE "files"
#include "common/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common/error.h"
#include "common/record.h"
#include "common/log.h"

json_t *json_file_read(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autofree char *aside = g_strconcat(path, ".bad", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) problem = NULL;
	gsize length;
	json_t *json;

	if (!g_file_get_contents(path, &text, &length, &problem)) {
		if (!g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			log_error("%s, ignoring", problem->message);
		return NULL;
	}
	json = json_parse(text, length, &problem);
	if (json && json_integer_value(json_object_get(json, "version")) == 1)
		return json;
	log_error("'%s': %s, ignoring; kept as '%s'", path, problem ? problem->message : "not version 1", aside);
	json_decref(json);
	(void)g_rename(path, aside);
	return NULL;
}

static bool sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), errnum;
	bool synced;

	if (fd < 0)
		return false;
	synced = fsync(fd) == 0;
	errnum = errno;
	close(fd);
	errno = errnum;
	return synced;
}

bool json_file_write(const char *directory, const char *name, const json_t *json, GError **error)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) problem = NULL;
	char *dumped = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS);

	text = g_strconcat(dumped, "\n", NULL);
	free(dumped);
	if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, &problem)) {
		error_set(error, ERR_MISC_FILE_WRITE_EXCEPTION, "%s", problem->message);
		return false;
	}
	if (!sync_directory(directory)) {
		error_set_errno(error, ERR_MISC_FILE_WRITE_EXCEPTION, errno, "'%s'", directory);
		return false;
	}
	return true;
}

void json_file_remove(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);

	if ((unlink(path) < 0 && errno != ENOENT) || !sync_directory(directory))
		log_error("cannot remove '%s': %s, ignoring", path, g_strerror(errno));
}
