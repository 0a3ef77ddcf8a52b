/* SPDX-License-Identifier: Apache-2.0 */
/* LUNs that a host sees (REST 14.7.3): it is asked when somebody looks, for they come and go without the host saying so. */
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/flow/block_calls.h"

#define ASK_TIMEOUT_S 60

struct host_lun { struct record record; char *id, *name, *type; struct logical_unit *unit; };
#define L struct host_lun
static const struct field host_lun_fields[] = {
	FIELD_STRING_(L, id, "@id", READ_ONLY, "identity of the LUN"),
	FIELD_STRING_(L, name, "name", HEAD, "identity of the LUN"),
	FIELD_STRING_(L, type, "type", READ_ONLY, "iscsi or fcp"),
	FIELD_RECORD_(L, unit, "logical_unit", READ_ONLY, &logical_unit_type, "the LUN itself"),
};
static const struct record_type host_lun_type = RECORD_TYPE("storage", "host_storage", L, host_lun_fields, "A LUN that a host sees");

static struct host_lun *lun(const json_t *device)
{
	struct host_lun *found = record_new(&host_lun_type);

	found->unit = block_unit(device);
	set_string(&found->id, found->unit->id);
	set_string(&found->name, found->id);
	set_string(&found->type, block_device_type(device));
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
