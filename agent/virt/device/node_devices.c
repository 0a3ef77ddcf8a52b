/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host.hostdevListByCaps and Host.hostdevReattach.
 *
 * Form of the answer, as vdsm has it (lib/vdsm/common/hostdev.py): {"pci_0000_00_1f_2": {"params": {...}}}; every value is text but totalvfs (a
 * number), address (a map of texts) and mdev. What a device lacks is left out. A PCI device can be given to a VM when it is no bridge: its header type in
 * the configuration space is 0 (libvirt names only some kinds of bridges). SCSI disks have their maker and product from their "storage" child and
 * their /dev/sg node from the "scsi_generic" one.
 *
 * Devices come and go: one that is listed and gone before it was read is left out.
 */
#define LOG_MODULE "virt"
#include "agent/virt/device/node_devices.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/hooks.h"
#include "agent/host/host.h"
#include "agent/virt/libvirt_connection.h"
#include "agent/virt/vm.h"
#include "common/xml.h"
#include "common/log.h"
#include "proto/host_calls.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virNodeDevice, virNodeDeviceFree)

static const struct { const char *name; unsigned flag; } kinds[] = {
	{ "system", VIR_CONNECT_LIST_NODE_DEVICES_CAP_SYSTEM }, { "pci", VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV },
	{ "usb_device", VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV }, { "usb", VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_INTERFACE },
	{ "net", VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET }, { "scsi_host", VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI_HOST },
	{ "scsi_target", VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI_TARGET }, { "scsi", VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI },
	{ "storage", VIR_CONNECT_LIST_NODE_DEVICES_CAP_STORAGE }, { "fc_host", VIR_CONNECT_LIST_NODE_DEVICES_CAP_FC_HOST },
	{ "vports", VIR_CONNECT_LIST_NODE_DEVICES_CAP_VPORTS }, { "scsi_generic", VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI_GENERIC },
	{ "drm", VIR_CONNECT_LIST_NODE_DEVICES_CAP_DRM }, { "mdev", VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV },
	{ "mdev_types", VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV_TYPES }, { "ccw", VIR_CONNECT_LIST_NODE_DEVICES_CAP_CCW_DEV },
};

/* ---- one device ---- */

static void set_text(json_t *map, const char *key, const xmlNode *node)
{
	g_autofree char *text = xml_text(node);

	if (text && *text)
		json_object_set_new(map, key, json_string(text));
}

static void set_attribute(json_t *map, const char *key, const xmlNode *node, const char *attribute)
{
	g_autofree char *text = xml_get(node, attribute);

	if (text)
		json_object_set_new(map, key, json_string(text));
}

static void set_address(json_t *map, const xmlNode *capability, const char *const *parts)
{
	json_t *address = json_object();

	for (; *parts; parts++)
		set_text(address, *parts, xml_child(capability, *parts));
	json_object_set_new(map, "address", address);
}

/* <capability type="..."> within the device's capability */
static const xmlNode *inner(const xmlNode *capability, const char *type)
{
	for XML_EACH(node, capability, "capability")
		if (xml_is(node, "type", type))
			return node;
	return NULL;
}

/* "pci_0000_00_1f_2" -> /sys/bus/pci/devices/0000:00:1f.2/<file>; g_free; NULL when the name has another form */
static char *pci_file(const char *sys, const char *name, const char *file)
{
	unsigned domain, bus, slot, function;

	return sscanf(name, "pci_%x_%x_%x_%x", &domain, &bus, &slot, &function) == 4
		       ? g_strdup_printf("%s/bus/pci/devices/%04x:%02x:%02x.%x/%s", sys, domain, bus, slot, function, file) : NULL;
}

/* Byte 0x0e of the configuration space without its highest bit (several functions); -1 when it cannot be read. */
static int header_type(const char *sys, const char *name)
{
	g_autofree char *path = pci_file(sys, name, "config");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	unsigned char type = 0xff;
	ssize_t n = fd >= 0 ? pread(fd, &type, 1, 0x0e) : -1;

	if (fd >= 0)
		close(fd);
	return n == 1 ? type & 0x7f : -1;
}

static void add_virtual_functions(json_t *map, const char *sys, const char *name)
{
	g_autofree char *path = pci_file(sys, name, "sriov_totalvfs"), *text = NULL;

	if (path && g_file_get_contents(path, &text, NULL, NULL))
		json_object_set_new(map, "totalvfs", json_integer(g_ascii_strtoll(text, NULL, 10)));
}

static void add_mdev_types(json_t *map, const xmlNode *types)
{
	json_t *all = json_object();

	for XML_EACH(type, types, "type") {
		g_autofree char *id = xml_get(type, "id");
		json_t *entry = json_object();

		set_text(entry, "name", xml_child(type, "name"));
		set_text(entry, "available_instances", xml_child(type, "availableInstances"));
		if (id && json_object_get(entry, "available_instances"))
			json_object_set(all, id, entry);
		json_decref(entry);
	}
	if (json_object_size(all))
		json_object_set(map, "mdev", all);
	json_decref(all);
}

/* "0x1f" */
static unsigned hex(const xmlNode *node, const char *attribute)
{
	g_autofree char *text = xml_get(node, attribute);

	return text ? (unsigned)strtoul(text, NULL, 0) : 0;
}

static void add_pci(json_t *map, const char *sys, const char *name, const xmlNode *capability)
{
	static const char *const parts[] = { "domain", "bus", "slot", "function", NULL };
	const xmlNode *physical = xml_child(inner(capability, "phys_function"), "address");
	bool bridge = inner(capability, "pci-bridge") || inner(capability, "cardbus-bridge");

	set_address(map, capability, parts);
	json_object_set_new(map, "is_assignable", json_string(!bridge && header_type(sys, name) == 0 ? "true" : "false"));
	set_attribute(map, "iommu_group", xml_child(capability, "iommuGroup"), "number");
	set_attribute(map, "numa_node", xml_child(capability, "numa"), "node");
	add_virtual_functions(map, sys, name);
	add_mdev_types(map, inner(capability, "mdev_types"));
	if (physical)
		json_object_set_new(map, "physfn", json_sprintf("pci_%04x_%02x_%02x_%x", hex(physical, "domain"), hex(physical, "bus"),
								hex(physical, "slot"), hex(physical, "function")));
}

json_t *node_device_params(const char *xml, const char *sys, GError **error)
{
	static const char *const usb[] = { "bus", "device", NULL }, *const scsi[] = { "host", "bus", "target", "lun", NULL };
	static const char *const about[][2] = { { "vendor", "vendor_id" }, { "product", "product_id" }, { "interface", "interface_id" } };
	g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), error);
	const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *capability = xml_child(root, "capability");
	g_autofree char *name = xml_text(xml_child(root, "name")), *type = xml_get(capability, "type");
	json_t *map;

	if (!doc)
		return NULL;
	if (!name || !type) {
		error_set(error, ERR_UNEXPECTED_ERROR, "libvirt describes a host device without name or capability");
		return NULL;
	}
	map = json_pack("{s:s, s:s}", "capability", type, "is_assignable", "true");
	if (strcmp(name, "computer"))
		set_text(map, "parent", xml_child(root, "parent"));
	set_text(map, "driver", xml_find(root, "driver/name"));
	for (size_t i = 0; i < G_N_ELEMENTS(about); i++) {
		const xmlNode *node = xml_child(capability, about[i][0]);

		set_text(map, about[i][0], node);
		set_attribute(map, about[i][1], node, "id");
	}
	if (!strcmp(type, "pci"))
		add_pci(map, sys, name, capability);
	else if (!strcmp(type, "usb_device"))
		set_address(map, capability, usb);
	else if (!strcmp(type, "scsi"))
		set_address(map, capability, scsi);
	else if (!strcmp(type, "storage"))
		set_text(map, "product", xml_child(capability, "model"));
	else if (!strcmp(type, "scsi_generic"))
		set_text(map, "udev_path", xml_child(capability, "char"));
	else if (!strcmp(type, "mdev")) {
		set_attribute(map, "mdev_type", xml_child(capability, "type"), "id");
		set_attribute(map, "iommu_group", xml_child(capability, "iommuGroup"), "number");
		set_text(map, "uuid", xml_child(capability, "uuid"));
	}
	return map;
}

/* ---- all ---- */

/* What the children of a SCSI disk know of it. */
static void join_scsi(json_t *devices)
{
	const char *name;
	json_t *params;

	json_object_foreach(devices, name, params) {
		const char *kind = json_string_value(json_object_get(params, "capability")), *parent = json_string_value(json_object_get(params, "parent"));
		json_t *disk = parent ? json_object_get(devices, parent) : NULL;

		if (!disk || g_strcmp0(json_string_value(json_object_get(disk, "capability")), "scsi"))
			continue;
		if (!g_strcmp0(kind, "storage")) {
			if (json_object_get(params, "vendor"))
				json_object_set(disk, "vendor", json_object_get(params, "vendor"));
			if (json_object_get(params, "product"))
				json_object_set(disk, "product", json_object_get(params, "product"));
		} else if (!g_strcmp0(kind, "scsi_generic") && json_object_get(params, "udev_path")) {
			json_object_set(disk, "udev_path", json_object_get(params, "udev_path"));
		}
	}
}

/* name -> params of every device; a filter would cut the SCSI disks from their children. */
static json_t *read_all(virConnectPtr conn, GError **error)
{
	virNodeDevicePtr *list = NULL;
	int n = virConnectListAllNodeDevices(conn, &list, 0);
	json_t *devices;

	if (n < 0) {
		libvirt_error_set(error, ERR_RESOURCE_UNAVAILABLE, "list of the host's devices");
		return NULL;
	}
	devices = json_object();
	for (int i = 0; i < n; i++) {
		g_autoptr(virNodeDevice) device = list[i];
		char *xml = virNodeDeviceGetXMLDesc(device, 0);
		g_autoptr(GError) cause = NULL;
		json_t *params = xml ? node_device_params(xml, "/sys", &cause) : NULL;
		const char *name = virNodeDeviceGetName(device);

		if (params)
			json_object_set_new(devices, name, params);
		else
			log_debug("host device %s: %s, leaving it out", name, cause ? cause->message : "it is gone");
		free(xml);
	}
	free(list);
	join_scsi(devices);
	return devices;
}

/* The names that libvirt gives for these kinds: a device may have a kind beside its main one (fc_host, vports, mdev_types). NULL + error. */
static GHashTable *names_of(virConnectPtr conn, const GPtrArray *caps, GError **error)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	virNodeDevicePtr *list = NULL;
	unsigned flags = 0;
	int n;

	for (guint i = 0; i < caps->len; i++) {
		size_t k = 0;

		while (k < G_N_ELEMENTS(kinds) && strcmp(kinds[k].name, caps->pdata[i]))
			k++;
		if (k == G_N_ELEMENTS(kinds)) {
			error_set(error, ERR_INVALID_PARAMETER, "caps: '%s' is no kind of device", (const char *)caps->pdata[i]);
			return NULL;
		}
		flags |= kinds[k].flag;
	}
	n = virConnectListAllNodeDevices(conn, &list, flags);
	if (n < 0) {
		libvirt_error_set(error, ERR_RESOURCE_UNAVAILABLE, "list of the host's devices");
		return NULL;
	}
	for (int i = 0; i < n; i++) {
		g_hash_table_add(names, g_strdup(virNodeDeviceGetName(list[i])));
		virNodeDeviceFree(list[i]);
	}
	free(list);
	return g_steal_pointer(&names);
}

bool node_devices_list_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_devices_params *p = params;
	g_autoptr(virConnect) conn = libvirt_connection_get(agent->vms->connection, error);
	json_t *devices = conn ? read_all(conn, error) : NULL, *answer, *device;
	g_autoptr(GHashTable) names = NULL;
	bool all = !p->caps || !p->caps->len;
	const char *name;

	if (!devices)
		return false;
	if (!all && !(names = names_of(conn, p->caps, error))) {
		json_decref(devices);
		return false;
	}
	answer = json_object();
	json_object_foreach(devices, name, device)
		if (all || g_hash_table_contains(names, name))
			json_object_set_new(answer, name, json_pack("{s:O}", "params", device));
	json_decref(devices);
	result_json(ret_result, answer);
	return hooks_run_over(agent->hooks, "after_hostdev_list_by_caps", NULL, ret_result, error);
}

bool node_devices_reattach_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_device_name_params *p = params;
	g_autoptr(virConnect) conn = libvirt_connection_get(agent->vms->connection, error);
	g_autoptr(virNodeDevice) device = conn ? virNodeDeviceLookupByName(conn, p->device_name) : NULL;

	if (!conn)
		return false;
	if (!device || virNodeDeviceReAttach(device) < 0) {
		libvirt_error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s'", p->device_name);
		return false;
	}
	log_info("host device %s was given back to the host", p->device_name);
	return true;
}
