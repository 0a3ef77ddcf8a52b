/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of a host, for VMs to be given: it is asked when somebody looks. */
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "proto/host_calls.h"

#define ASK_TIMEOUT_S 60

struct host_device {
	struct record record;
	char *id, *name, *capability, *product_id, *product, *vendor_id, *vendor, *driver;
	struct ref host;
	char *parent_id, *parent_name, *iommu_group;
};
#define D struct host_device
static const struct field host_device_fields[] = {
	FIELD_UUID_(D, id, "@id", READ_ONLY, "made from the name, stays the same"),
	FIELD_STRING_(D, name, "name", HEAD, "name that the host gives it"),
	FIELD_REF_(D, host, "host", READ_ONLY, "hosts", "host that has it"),
	FIELD_STRING_(D, capability, "capability", READ_ONLY, "kind of device"),
	FIELD_STRING_(D, product_id, "product@id", READ_ONLY, "number of the product"),
	FIELD_STRING_(D, product, "product/name", READ_ONLY, "name of the product"),
	FIELD_STRING_(D, vendor_id, "vendor@id", READ_ONLY, "number of the vendor"),
	FIELD_STRING_(D, vendor, "vendor/name", READ_ONLY, "name of the vendor"),
	FIELD_STRING_(D, parent_id, "parent_device@id", READ_ONLY, "device that it is part of"),
	FIELD_STRING_(D, parent_name, "parent_device/name", READ_ONLY, "name of that one"),
	FIELD_STRING_(D, iommu_group, "iommu_group", READ_ONLY, "devices of one group are given to a VM together"),
	FIELD_STRING_(D, driver, "driver", READ_ONLY, "driver of the host that it is bound to"),
};
static const struct record_type host_device_type = RECORD_TYPE("host_device", "host_devices", D, host_device_fields, "A device of a host");

static struct host_device *device_of(const struct host *host, const char *name, const json_t *found)
{
	const json_t *params = json_object_get(found, "params");
	struct host_device *device = record_new(&host_device_type);
	const char *parent = host_json_text(params, "parent");

	device->id = host_part_id("device", host->id, name);
	set_string(&device->name, name);
	set_ref(&device->host, host->id);
	set_string(&device->capability, host_json_text(params, "capability"));
	set_string(&device->product_id, host_json_text(params, "product_id"));
	set_string(&device->product, host_json_text(params, "product"));
	set_string(&device->vendor_id, host_json_text(params, "vendor_id"));
	set_string(&device->vendor, host_json_text(params, "vendor"));
	set_string(&device->iommu_group, host_json_text(params, "iommu_group"));
	set_string(&device->driver, host_json_text(params, "driver"));
	if (parent) {
		device->parent_id = host_part_id("device", host->id, parent);
		set_string(&device->parent_name, parent);
	}
	return device;
}

static GPtrArray *device_list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	struct host_devices_params *params;
	GPtrArray *devices;
	const char *name;
	json_t *answer = NULL, *found;
	bool ok;

	if (!host_check_up(host, error))
		return NULL;
	params = record_new(&host_devices_params_type);
	ok = host_call(request, host, "Host.hostdevListByCaps", params, ASK_TIMEOUT_S, &answer, error);
	record_unref(params);
	if (!ok)
		return NULL;
	devices = list_new();
	json_object_foreach(answer, name, found)
		g_ptr_array_add(devices, device_of(host, name, found));
	json_decref(answer);
	return devices;
}

const struct resource resource_host_device = {
	.type = &host_device_type, .path = "devices", .parent = &resource_host, .methods = RESOURCE_READ, .links = no_links, .slow = true,
	.doc = "Devices of a host", .list = device_list,
};
