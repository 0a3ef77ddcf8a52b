/* SPDX-License-Identifier: Apache-2.0 */
/* LUNs that a host sees (REST 14.7.3): it is asked when somebody looks, for they come and go without the host saying so. */
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"

#define ASK_TIMEOUT_S 60

struct host_lun {
	struct record record;
	char *id, *name, *type;
	char *lun_id, *address, *target, *serial, *vendor_id, *product_id, *status;
	int port, portal_group, lun_mapping, paths;
	int64_t size;
	char *volume_group_id;
};
#define L struct host_lun
static const struct field host_lun_fields[] = {
	FIELD_STRING_(L, id, "@id", READ_ONLY, "identity of the LUN"),
	FIELD_STRING_(L, name, "name", HEAD, "identity of the LUN"),
	FIELD_STRING_(L, type, "type", READ_ONLY, "iscsi or fcp"),
	FIELD_STRING_(L, lun_id, "logical_unit@id", READ_ONLY, "identity of the LUN"),
	FIELD_STRING_(L, address, "logical_unit/address", READ_ONLY, "server"),
	FIELD_INT_(L, port, "logical_unit/port", READ_ONLY, "port of the server"),
	FIELD_STRING_(L, target, "logical_unit/target", READ_ONLY, "iSCSI target"),
	FIELD_STRING_(L, serial, "logical_unit/serial", READ_ONLY, "serial number"),
	FIELD_STRING_(L, vendor_id, "logical_unit/vendor_id", READ_ONLY, "vendor"),
	FIELD_STRING_(L, product_id, "logical_unit/product_id", READ_ONLY, "product"),
	FIELD_INT_(L, lun_mapping, "logical_unit/lun_mapping", READ_ONLY, "number of the LUN at its target"),
	FIELD_LONG_(L, size, "logical_unit/size", READ_ONLY, "size", .unit = "bytes"),
	FIELD_INT_(L, paths, "logical_unit/paths", READ_ONLY, "ways to it"),
	FIELD_STRING_(L, status, "logical_unit/status", READ_ONLY, "free, used or unusable"),
	FIELD_STRING_(L, volume_group_id, "logical_unit/volume_group_id", READ_ONLY, "volume group that it is part of"),
};
static const struct record_type host_lun_type = RECORD_TYPE("storage", "host_storage", L, host_lun_fields, "A LUN that a host sees");

/* One of Host.getDeviceList: vdsm's names. */
static struct host_lun *lun(const json_t *device)
{
	struct host_lun *found = record_new(&host_lun_type);
	const json_t *path = json_array_get(json_object_get(device, "pathlist"), 0), *state = json_array_get(json_object_get(device, "pathstatus"), 0);
	const char *type = host_json_text(device, "devtype"), *group = host_json_text(device, "vgUUID"), *status = host_json_text(device, "status");

	set_string(&found->id, host_json_text(device, "GUID"));
	set_string(&found->name, found->id);
	set_string(&found->lun_id, found->id);
	set_string(&found->type, !g_strcmp0(type, "iSCSI") ? "iscsi" : "fcp");
	set_string(&found->address, host_json_text(path, "connection"));
	set_string(&found->target, host_json_text(path, "iqn"));
	if (path && host_json_number(path, "port"))
		SET(found, port, (int)host_json_number(path, "port"));
	set_string(&found->serial, host_json_text(device, "serial"));
	set_string(&found->vendor_id, host_json_text(device, "vendorID"));
	set_string(&found->product_id, host_json_text(device, "productID"));
	if (state)
		SET(found, lun_mapping, (int)host_json_number(state, "lun"));
	SET(found, size, (int64_t)host_json_number(device, "capacity"));
	SET(found, paths, (int)json_array_size(json_object_get(device, "pathstatus")));
	set_string(&found->status, status ? status : group ? "used" : "free");
	set_string(&found->volume_group_id, group);
	return found;
}

static GPtrArray *storage_list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	GPtrArray *luns = list_new();
	json_t *answer = NULL, *device;
	size_t i;

	if (!host_check_up(host, error) || !host_call(request, host, "Host.getDeviceList", NULL, ASK_TIMEOUT_S, &answer, error)) {
		g_ptr_array_unref(luns);
		return NULL;
	}
	json_array_foreach(answer, i, device)
		if (host_json_text(device, "GUID"))
			g_ptr_array_add(luns, lun(device));
	json_decref(answer);
	return luns;
}

const struct resource resource_host_storage = {
	.type = &host_lun_type, .path = "storage", .parent = &resource_host, .methods = RESOURCE_READ, .links = no_links, .slow = true,
	.doc = "LUNs that a host sees", .list = storage_list,
};
