/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes of other providers (managed volumes). vdsm reaches them through the Python library os-brick; this agent does not. What needs no library is a block
 * device that is on this host already (os-brick's "local"); the others (iscsi, fibre_channel, rbd, nvmeof, ...) are refused and named.
 *
 * What is attached is one file each, <repository>/managed/<volume>.json, written before the answer: it survives the agent, and the device is somebody else's.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/pool/pool.h"
#include "agent/storage/storage-priv.h"
#include "common/json_file.h"
#include "proto/secret.h"

static char *directory_of(struct storage *storage)
{
	return g_build_filename(storage->repository, "managed", NULL);
}

static char *file_of(const char *volume)
{
	return g_strconcat(volume, ".json", NULL);
}

static bool is_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

static const char *path_in(const json_t *connection)
{
	return json_string_value(json_object_get(json_object_get(connection, "data"), "device_path"));
}

static bool check(const struct managed_params *p, GError **error)
{
	const char *type = json_string_value(json_object_get(p->connection, "driver_volume_type")), *path = path_in(p->connection);

	if (g_strcmp0(type, "local"))
		error_set(error, ERR_MANAGED_VOLUME_NOT_SUPPORTED, "volume '%s' of type '%s': only local is possible without os-brick", p->volume_id, type ? type : "");
	else if (!path || path[0] != '/' || !is_device(path))
		error_set(error, ERR_MANAGED_VOLUME_UNSUPPORTED_DEVICE, "volume '%s': device_path '%s' is no block device of this host", p->volume_id, path ? path : "");
	else
		return true;
	return false;
}

static json_t *describe(const char *volume, const json_t *file)
{
	const json_t *connection = json_object_get(file, "connection_info");
	const char *path = path_in(connection);

	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:O, s:b}", "vol_id", volume, "path", path, "attachment", "path", path, "type", "block", "connection_info",
			 connection, "exists", is_device(path));
}

bool managed_attach_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct managed_params *p = data;
	g_autofree char *directory = directory_of(agent->storage), *name = file_of(p->volume_id);
	json_t *known = json_file_read(directory, name), *file = NULL;
	bool good = false;

	if (known)
		error_set(error, json_equal(json_object_get(known, "connection_info"), p->connection) ? ERR_MANAGED_VOLUME_ALREADY_ATTACHED :
			  ERR_MANAGED_VOLUME_CONNECTION_MISMATCH, "volume '%s'", p->volume_id);
	else if (check(p, error)) {
		file = json_pack("{s:i, s:s, s:O}", "version", 1, "sd_id", p->domain_id, "connection_info", p->connection);
		if (g_mkdir_with_parents(directory, 0700) < 0)
			error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "'%s'", directory);
		else
			good = json_file_write(directory, name, file, error);
	}
	if (good)
		result_json(ret_result, describe(p->volume_id, file));
	json_decref(known);
	json_decref(file);
	return good;
}

bool managed_is_attached(struct storage *storage, const char *path)
{
	g_autofree char *directory = directory_of(storage);
	g_autoptr(GPtrArray) names = files_list(AT_FDCWD, directory);
	bool found = false;

	for (guint i = 0; names && i < names->len && !found; i++) {
		json_t *file = g_str_has_suffix(names->pdata[i], ".json") ? json_file_read(directory, names->pdata[i]) : NULL;

		found = file && !g_strcmp0(path_in(json_object_get(file, "connection_info")), path) && is_device(path);
		json_decref(file);
	}
	return found;
}

bool managed_detach_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct managed_params *p = data;
	g_autofree char *directory = directory_of(agent->storage), *name = file_of(p->volume_id);

	json_file_remove(directory, name);
	return true;
}

bool managed_info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct managed_params *p = data;
	g_autofree char *directory = directory_of(agent->storage);
	g_autoptr(GPtrArray) names = files_list(AT_FDCWD, directory);
	json_t *list = json_array();

	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *volume = g_strdup(names->pdata[i]);
		json_t *file;

		if (!g_str_has_suffix(volume, ".json"))
			continue;
		volume[strlen(volume) - strlen(".json")] = 0;
		if (p->volumes && p->volumes->len && !g_ptr_array_find_with_equal_func(p->volumes, volume, g_str_equal, NULL))
			continue;
		if ((file = json_file_read(directory, names->pdata[i])))
			json_array_append_new(list, describe(volume, file));
		json_decref(file);
	}
	result_json(ret_result, list);
	return true;
}
