/* SPDX-License-Identifier: Apache-2.0 */
#define LOG_MODULE "virt"
#include "agent/virt/life/memory_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/storage/storage.h"
#include "agent/virt/vm.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"

#define PICKLE_PROTO 0x80              /* first byte of a Python pickle since protocol 2 */

void memory_files_clear(struct memory_files *files)
{
	g_clear_pointer(&files->memory, g_free);
	g_clear_pointer(&files->conf, g_free);
}

static bool prepare(struct agent *agent, const char *vm_id, const json_t *handle, const char *purpose, char **ret_path, GError **error)
{
	const char *domain = json_string_value(json_object_get(handle, "domainID")), *image = json_string_value(json_object_get(handle, "imageID"));
	const char *volume = json_string_value(json_object_get(handle, "volumeID")), *format;
	g_autofree char *path = NULL;

	if (!domain || !image || !volume) {
		error_set(error, ERR_INVALID_PARAMETER, "volume for the %s: domainID, imageID and volumeID are needed", purpose);
		return false;
	}
	if (!storage_prepare(agent->storage, vm_id, domain, image, volume, &path, &format, error))
		return false;
	if (strcmp(format, "raw")) {
		error_set(error, ERR_UNSUPPORTED_IMAGE_FORMAT, "volume %s for the %s is %s, not raw", volume, purpose, format);
		return false;
	}
	*ret_path = g_steal_pointer(&path);
	return true;
}

/* The n-th volume of the text "domain,pool,image,volume,image,volume"; NULL: it has not so many. */
static json_t *handle_of(char **parts, guint n)
{
	guint at = 2 + 2 * n;

	if (g_strv_length(parts) < at + 2)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s}", "domainID", parts[0], "poolID", parts[1], "imageID", parts[at], "volumeID", parts[at + 1]);
}

bool memory_files_prepare(struct agent *agent, const char *vm_id, const json_t *handle, const json_t *conf, struct memory_files *ret_files, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(json_is_string(handle) ? json_string_value(handle) : "", ",", -1);
	json_t *first = json_is_string(handle) ? handle_of(parts, 0) : json_incref((json_t *)handle);
	json_t *second = json_is_string(handle) ? handle_of(parts, 1) : json_incref((json_t *)conf);
	struct memory_files files = { 0 };
	bool good = prepare(agent, vm_id, first, "memory", &files.memory, error) &&
		    (!second || prepare(agent, vm_id, second, "description of the memory", &files.conf, error));

	json_decref(first);
	json_decref(second);
	if (good)
		*ret_files = files;
	else
		memory_files_clear(&files);
	return good;
}

/* ---- the description ---- */

static bool write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		length -= (size_t)n;
	}
	return true;
}

/* A zero byte behind it ends it: a block device has something else after that. */
static bool store(const char *path, const char *text, GError **error)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct stat st;
	bool good = fd >= 0 && fstat(fd, &st) == 0 && (!S_ISREG(st.st_mode) || ftruncate(fd, 0) == 0) && write_all(fd, text, strlen(text) + 1) &&
		    fsync(fd) == 0;

	if (!good)
		error_set_errno(error, ERR_MISC_FILE_WRITE_EXCEPTION, errno, "description of the memory, %s", path);
	if (fd >= 0)
		close(fd);
	return good;
}

bool memory_conf_write(const char *path, const char *vm_id, const struct memory_conf *conf, const char *xml, GError **error)
{
	json_t *json = json_pack("{s:i, s:s, s:b, s:f, s:s}", "version", 1, "vmId", vm_id, "restoreFromSnapshot", conf->from_snapshot, "elapsedTimeOffset",
				 conf->elapsed, "_srcDomXML", xml ? xml : "");
	char *text = json_dumps(json, JSON_COMPACT);
	bool good = text && store(path, text, error);

	free(text);
	json_decref(json);
	return good;
}

bool memory_conf_keep(struct vm *vm, const char *path, bool from_snapshot, GError **error)
{
	g_autofree char *xml = vm_xml(vm);
	struct memory_conf conf = { .from_snapshot = from_snapshot, .elapsed = -1 };

	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->start_time > 0)
			conf.elapsed = MAX((double)wall_msec() / 1e3 - vm->start_time, 0);
	}
	return memory_conf_write(path, vm->id, &conf, xml, error);
}

static char *load(const char *path, GError **error)
{
	char *text = g_malloc0(MEMORY_CONF_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = -1;

	while (fd >= 0 && length < MEMORY_CONF_MAX && ((n = read(fd, text + length, MEMORY_CONF_MAX - length)) > 0 || (n < 0 && errno == EINTR)))
		length += n > 0 ? (size_t)n : 0;
	if (n < 0) {
		error_set_errno(error, ERR_IMAGE_FILE_NOT_FOUND, errno, "description of the memory, %s", path);
		g_clear_pointer(&text, g_free);
	}
	if (fd >= 0)
		close(fd);
	return text;
}

bool memory_conf_read(const char *path, const char *vm_id, struct memory_conf *ret_conf, GError **error)
{
	g_autofree char *text = load(path, error);
	json_t *json = NULL;
	const char *id;
	bool good;

	*ret_conf = (struct memory_conf){ .elapsed = -1 };
	if (!text)
		return false;
	if ((unsigned char)text[0] == PICKLE_PROTO) {
		log_info("%s was written by vdsm: not read", path);
		return true;
	}
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	id = json_string_value(json_object_get(json, "vmId"));
	good = id && !g_ascii_strcasecmp(id, vm_id);
	if (!id)
		error_set(error, ERR_INVALID_PARAMETER, "%s is no description of saved memory", path);
	else if (!good)
		error_set(error, ERR_INVALID_PARAMETER, "%s describes the saved memory of VM %s", path, id);
	ret_conf->from_snapshot = json_is_true(json_object_get(json, "restoreFromSnapshot"));
	if (json_is_number(json_object_get(json, "elapsedTimeOffset")))
		ret_conf->elapsed = json_number_value(json_object_get(json, "elapsedTimeOffset"));
	json_decref(json);
	return good;
}
