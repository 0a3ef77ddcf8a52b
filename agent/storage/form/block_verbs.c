/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about block devices, volume groups, portals, and what is asked of domains beside storage.c. Shapes are those of vdsm (vdsm-api.yml). */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/connection/iscsi.h"
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"
#include "common/log.h"
#include "proto/block.h"

#define VERB(name) static bool name(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
#define FILE_STATUS_OK "0"

static json_t *bytes(int64_t number)
{
	g_autofree char *text = g_strdup_printf("%" PRId64, number);

	return json_string(text);
}

static json_t *texts(const GPtrArray *names)
{
	json_t *array = json_array();

	for (guint i = 0; i < names->len; i++)
		json_array_append_new(array, json_string(names->pdata[i]));
	return array;
}

/* ---- devices ---- */

static bool is_type(const struct device *device, int type)
{
	return !type || !strcmp(device->type, type == STORAGE_ISCSI ? "iSCSI" : "FCP");
}

static json_t *path_list(const struct device *device)
{
	json_t *list = json_array();

	for (guint i = 0; i < device->paths->len; i++) {
		const struct device_path *path = device->paths->pdata[i];

		if (path->iqn)
			json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "iqn", path->iqn, "connection", path->address ? path->address : "", "port",
							      path->port ? path->port : "", "portal", "1", "initiatorname", "default"));
	}
	return list;
}

static json_t *path_status(const struct device *device)
{
	json_t *list = json_array();

	for (guint i = 0; i < device->paths->len; i++) {
		const struct device_path *path = device->paths->pdata[i];
		const char *lun = strrchr(path->hctl, ':');

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:o}", "physdev", path->name, "state",
						      strcmp(path->state, "running") ? "failed" : "active", "type", device->type, "lun", lun ? lun + 1 : "0",
						      "capacity", bytes(device->size)));
	}
	return list;
}

/* The physical volume on a device, and the group it is in. */
static const struct group_device *on_device(GPtrArray *groups, const struct device *device, const struct group **ret_group)
{
	for (guint i = 0; groups && i < groups->len; i++) {
		const struct group *group = groups->pdata[i];

		for (guint j = 0; j < group->devices->len; j++) {
			const struct group_device *own = group->devices->pdata[j];

			if (strcmp(own->path, device->path))
				continue;
			*ret_group = group;
			return own;
		}
	}
	return NULL;
}

static json_t *device_json(const struct device *device, GPtrArray *groups)
{
	const struct group *group = NULL;
	const struct group_device *own = on_device(groups, device, &group);
	g_autofree char *logical = g_strdup_printf("%" PRId64, device->logical_block);
	g_autofree char *physical = g_strdup_printf("%" PRId64, device->physical_block);
	const char *status = own || device->used ? "used" : groups ? "free" : "unknown";
	json_t *json = json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "GUID", device->guid, "capacity", bytes(device->size), "devtype", device->type,
				 "status", status, "vendorID", device->vendor, "productID", device->product, "fwrev", device->revision, "serial", device->serial,
				 "logicalblocksize", logical, "physicalblocksize", physical);

	json_object_set_new(json, "pvUUID", json_string(own ? own->id : ""));
	json_object_set_new(json, "pvsize", own ? bytes(own->size) : json_string(""));
	json_object_set_new(json, "vgUUID", json_string(group ? group->id : ""));
	json_object_set_new(json, "discard_max_size", json_integer(device->discard_max));
	json_object_set_new(json, "discard_zeroes_data", json_integer(0));
	json_object_set_new(json, "pathlist", path_list(device));
	json_object_set_new(json, "pathstatus", path_status(device));
	return json;
}

VERB(device_list_verb)
{
	const struct device_list_params *params = data;
	g_autoptr(GPtrArray) devices = NULL;
	g_autoptr(GPtrArray) groups = NULL;
	json_t *list;

	if (params->refresh)
		iscsi_rescan();
	devices = device_list();
	if (params->check_status && !(groups = group_list(error)))
		return false;
	list = json_array();
	for (guint i = 0; i < devices->len; i++) {
		const struct device *device = devices->pdata[i];

		if (is_type(device, params->storage_type) && (!params->guids || !params->guids->len ||
							       g_ptr_array_find_with_equal_func(params->guids, device->guid, g_str_equal, NULL)))
			json_array_append_new(list, device_json(device, groups));
	}
	result_json(ret_result, list);
	return true;
}

VERB(visibility_verb)
{
	const struct device_list_params *params = data;
	g_autoptr(GPtrArray) devices = device_list();
	json_t *visible = json_object();

	for (guint i = 0; params->guids && i < params->guids->len; i++)
		json_object_set_new(visible, params->guids->pdata[i], json_boolean(device_find(devices, params->guids->pdata[i]) != NULL));
	result_json(ret_result, visible);
	return true;
}

VERB(discover_verb)
{
	const struct discover_params *params = data;
	g_autofree char *port = g_strdup_printf("%d", params->port);
	g_autofree char *portal = iscsi_portal(params->host, port, error);
	g_autoptr(GPtrArray) found = portal ? iscsi_discover(portal, params->user, params->password, error) : NULL;

	if (!found)
		return false;
	for (guint i = found->len; i > 0; i--)
		if (!params->ipv6_enabled && ((const char *)found->pdata[i - 1])[0] == '[')
			g_ptr_array_remove_index(found, i - 1);
	result_json(ret_result, texts(found));
	return true;
}

/* ---- volume groups ---- */

static json_t *group_json(const struct group *group, GPtrArray *devices)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s}", "name", group->name, "vgUUID", group->id, "state", group->partial ? "PARTIAL" : "OK",
				 "vgsize", bytes(group->size), "vgfree", bytes(group->free), "type", "unknown");
	json_t *list = json_array();

	for (guint i = 0; i < group->devices->len; i++) {
		const struct group_device *own = group->devices->pdata[i];

		for (guint j = 0; j < devices->len; j++) {
			const struct device *device = devices->pdata[j];
			json_t *entry;

			if (strcmp(device->path, own->path))
				continue;
			json_object_set_new(json, "type", json_string(device->type));
			entry = device_json(device, /* groups= */ NULL);
			json_object_set_new(entry, "pvUUID", json_string(own->id));
			json_object_set_new(entry, "vgUUID", json_string(group->id));
			json_object_set_new(entry, "pvsize", bytes(own->size));
			json_object_set_new(entry, "status", json_string("used"));
			json_array_append_new(list, entry);
		}
	}
	json_object_set_new(json, "pvlist", list);
	return json;
}

VERB(group_list_verb)
{
	const struct device_list_params *params = data;
	g_autoptr(GPtrArray) devices = device_list();
	g_autoptr(GPtrArray) groups = group_list(error);
	json_t *list;

	if (!groups)
		return false;
	list = json_array();
	for (guint i = 0; i < groups->len; i++) {
		json_t *json = group_json(groups->pdata[i], devices);
		const char *type = json_string_value(json_object_get(json, "type"));

		if (!params->storage_type || !strcmp(type, params->storage_type == STORAGE_ISCSI ? "iSCSI" : "FCP"))
			json_array_append(list, json);
		json_decref(json);
	}
	result_json(ret_result, list);
	return true;
}

static struct group *find(GPtrArray *groups, const char *id, GError **error)
{
	struct group *group = groups ? group_find(groups, id) : NULL;

	if (groups && !group)
		error_set(error, ERR_VOLUME_GROUP_DOES_NOT_EXIST, "'%s'", id);
	return group;
}

VERB(group_info_verb)
{
	const struct group_params *params = data;
	g_autoptr(GPtrArray) devices = device_list();
	g_autoptr(GPtrArray) groups = group_list(error);
	const struct group *group = find(groups, params->id, error);

	if (!group)
		return false;
	result_json(ret_result, group_json(group, devices));
	return true;
}

VERB(group_create_verb)
{
	const struct group_params *params = data;
	g_autoptr(GPtrArray) devices = device_list();
	g_autoptr(GPtrArray) paths = group_check_devices(devices, params->devices, params->force, error);
	g_autoptr(GPtrArray) groups = paths ? group_list(error) : NULL;
	g_autoptr(GPtrArray) after = NULL;
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *fixed[] = { "vgcreate", "-qq", "--physicalextentsize", "128m", "--metadatasize", "128m", "--setautoactivation", "n", "--addtag", GROUP_TAG_UNREADY,
				params->name };
	const struct group *group;

	if (!groups)
		return false;
	if (group_find(groups, params->name)) {
		error_set(error, ERR_VOLUME_GROUP_ALREADY_EXISTS_ERROR, "'%s'", params->name);
		return false;
	}
	for (guint i = 0; i < devices->len; i++) {
		const struct device *device = devices->pdata[i];

		if (g_ptr_array_find_with_equal_func(paths, device->path, g_str_equal, NULL) && on_device(groups, device, &group) && !params->force) {
			error_set(error, ERR_PHYS_DEV_INITIALIZATION_ERROR, "'%s' belongs to volume group '%s'", device->guid, group->name);
			return false;
		}
	}
	if (!group_init_devices(paths, params->force, /* first= */ true, error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
		g_ptr_array_add(words, (gpointer)fixed[i]);
	g_ptr_array_extend(words, paths, NULL, NULL);
	g_ptr_array_add(words, NULL);
	if (!lvm_run(paths, ERR_VOLUME_GROUP_CREATE_ERROR, NULL, error, (const char *const *)words->pdata) || !(after = group_list(error)) ||
	    !(group = find(after, params->name, error)))
		return false;
	log_info("made volume group %s", params->name);
	result_json(ret_result, json_string(group->id));
	return true;
}

VERB(group_remove_verb)
{
	const struct group_params *params = data;
	g_autoptr(GPtrArray) groups = group_list(error);
	const struct group *group = find(groups, params->id, error);
	g_autoptr(GPtrArray) paths = NULL;

	if (!group)
		return false;
	if (group_has_tag(group, GROUP_TAG_DOMAIN) || !group_has_tag(group, GROUP_TAG_UNREADY)) {
		error_set(error, group_has_tag(group, GROUP_TAG_DOMAIN) ? ERR_VOLUME_GROUP_HAS_DOMAIN_TAG : ERR_VOLUME_GROUP_REMOVE_ERROR,
			  "'%s' was not made for a new domain, or holds one", group->name);
		return false;
	}
	paths = group_device_paths(group);
	return LVM(paths, ERR_VOLUME_GROUP_REMOVE_ERROR, error, "vgremove", "-qq", "-f", group->name);
}

/* ---- domains ---- */

static bool is_wanted(struct storage *storage, const struct domain_list_params *params, const char *id)
{
	static const char *const classes[] = { "", "Data", "Iso", "Backup" };
	static const char *const types[] = { "", "NFS", "FCP", "ISCSI", "LOCALFS", "CIFS", "POSIXFS", "GLUSTERFS" };
	g_autoptr(GError) problem = NULL;
	autodomain domain = domain_open(storage, id, &problem);
	const char *pool = params->pool_id && strcmp(params->pool_id, BLANK_UUID) ? params->pool_id : "";

	if (!domain) {
		log_warn("storage domain %s: %s, it is not listed", id, problem->message);
		return false;
	}
	return (!params->pool_id || !strcmp(domain_pool(domain), pool)) &&
	       (!params->domain_class || !strcmp(metadata_get(domain->values, "CLASS"), classes[params->domain_class])) &&
	       (!params->storage_type || !strcmp(metadata_get(domain->values, "TYPE"), types[params->storage_type])) &&
	       (!params->remote_path || !params->remote_path[0] || !strcmp(metadata_get(domain->values, "REMOTE_PATH"), params->remote_path));
}

VERB(domain_list_verb)
{
	const struct domain_list_params *params = data;
	g_autoptr(GPtrArray) ids = domain_list(agent->storage);
	json_t *list = json_array();

	for (guint i = 0; i < ids->len; i++)
		if (is_wanted(agent->storage, params, ids->pdata[i]))
			json_array_append_new(list, json_string(ids->pdata[i]));
	result_json(ret_result, list);
	return true;
}

VERB(description_verb)
{
	const struct domain_change_params *params = data;

	if (metadata_is_value(params->description))
		return block_check_manager(agent->storage, params->domain_id, error) &&
		       pool_write(agent->storage, params->domain_id, error, "DESCRIPTION", params->description, NULL);
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "description: contains control characters");
	return false;
}

VERB(volumes_verb)
{
	const struct domain_change_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	bool all = !params->image_id || !params->image_id[0] || !strcmp(params->image_id, BLANK_UUID);
	g_autoptr(GPtrArray) volumes = domain ? volume_list(domain, all ? NULL : params->image_id, error) : NULL;

	if (!volumes)
		return false;
	result_json(ret_result, texts(volumes));
	return true;
}

/* ISO files lie in one directory, as vdsm has it: images/11111111-... */
#define ISO_DIRECTORY DIR_IMAGES "/11111111-1111-1111-1111-111111111111"

VERB(file_stats_verb)
{
	const struct domain_change_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) names = NULL;
	autofd fd = -1;
	json_t *found;

	if (!domain)
		return false;
	if (strcmp(metadata_get(domain->values, "CLASS"), "Iso")) {
		error_set(error, ERR_STORAGE_DOMAIN_TYPE_ERROR, "domain '%s' is no ISO domain, but %s", domain->id, metadata_get(domain->values, "CLASS"));
		return false;
	}
	if ((fd = files_open_dir(domain->fd, ISO_DIRECTORY)) < 0 && errno != ENOENT) {
		error_set_errno(error, ERR_GET_FILE_STATS_ERROR, errno, "'%s/" ISO_DIRECTORY "'", domain->path);
		return false;
	}
	names = fd < 0 ? NULL : files_list(fd, ".");
	found = json_object();
	for (guint i = 0; names && i < names->len; i++) {
		const char *name = names->pdata[i];
		struct stat st;
		g_autofree char *changed = NULL, *path = NULL;

		if (fnmatch(params->pattern, name, params->case_sensitive ? 0 : FNM_CASEFOLD) || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		changed = g_strdup_printf("%" PRId64, (int64_t)st.st_ctime);
		path = g_build_filename(domain->path, ISO_DIRECTORY, name, NULL);
		json_object_set_new(found, name, json_pack("{s:o, s:s, s:s, s:s}", "size", bytes(st.st_size), "ctime", changed, "status", FILE_STATUS_OK, "path", path));
	}
	result_json(ret_result, found);
	return true;
}

static json_t *values_json(metadata *values)
{
	json_t *json = json_object();
	GHashTableIter iter;
	void *key, *value;

	g_hash_table_iter_init(&iter, values);
	while (g_hash_table_iter_next(&iter, &key, &value))
		json_object_set_new(json, key, json_string(value));
	return json;
}

/* What cannot be read is told at its place: it may be what is looked for. */
static json_t *dump_volume(const struct domain *domain, const char *image, const char *volume)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(metadata) values = volume_read(domain, image, volume, &problem);
	json_t *json = values ? values_json(values) : json_pack("{s:s, s:s}", "status", "INVALID", "problem", problem->message);
	int64_t truesize, apparentsize;

	if (volume_sizes(domain, image, volume, &truesize, &apparentsize, NULL)) {
		json_object_set_new(json, "truesize", json_integer(truesize));
		json_object_set_new(json, "apparentsize", json_integer(apparentsize));
	}
	return json;
}

VERB(dump_verb)
{
	const struct domain_change_params *params = data;
	static const char *const areas[] = { "ids", "leases", "xleases", "inbox", "outbox", "metadata" };
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) images = domain ? image_list(domain, error) : NULL;
	json_t *volumes, *places;

	if (!images)
		return false;
	volumes = json_object();
	for (guint i = 0; i < images->len; i++) {
		g_autoptr(GPtrArray) list = volume_list(domain, images->pdata[i], NULL);
		json_t *image = json_object();

		for (guint j = 0; list && j < list->len; j++)
			json_object_set_new(image, list->pdata[j], dump_volume(domain, images->pdata[i], list->pdata[j]));
		json_object_set_new(volumes, images->pdata[i], image);
	}
	places = json_object();
	for (size_t i = 0; params->full && i < G_N_ELEMENTS(areas); i++) {
		int64_t offset;
		g_autofree char *path = domain_area(domain, areas[i], &offset, NULL);

		if (path)
			json_object_set_new(places, areas[i], json_pack("{s:s, s:I}", "path", path, "offset", (json_int_t)offset));
	}
	result_json(ret_result, json_pack("{s:o, s:o, s:o}", "metadata", values_json(domain->values), "volumes", volumes, "areas", places));
	return true;
}

const struct verb_binding block_bindings[] = {
	{ "Host.getDeviceList", device_list_verb },
	{ "Host.getDevicesVisibility", visibility_verb },
	{ "Host.getLVMVolumeGroups", group_list_verb },
	{ "Host.getStorageDomains", domain_list_verb },
	{ "ISCSIConnection.discoverSendTargets", discover_verb },
	{ "LVMVolumeGroup.create", group_create_verb },
	{ "LVMVolumeGroup.getInfo", group_info_verb },
	{ "LVMVolumeGroup.remove", group_remove_verb },
	{ "StorageDomain.setDescription", description_verb },
	{ "StorageDomain.getVolumes", volumes_verb },
	{ "StorageDomain.getFileStats", file_stats_verb },
	{ "StorageDomain.dump", dump_verb },
	{ "StorageDomain.extend", block_extend_verb },
	{ "StorageDomain.resizePV", block_resize_verb },
	{ "SDM.reduce_domain", block_reduce_verb },
	{ "SDM.move_domain_device", block_move_verb },
};
const size_t n_block_bindings = G_N_ELEMENTS(block_bindings);
