/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the host is given to one VM: PCI, USB and SCSI devices, mediated devices (vGPU), and leases on storage.
 *
 * The device's name is libvirt's (pci_0000_05_00_0, usb_1_2, scsi_0_0_0_0), as Host.hostdevListByCaps lists it. libvirt takes it from the host at the start
 * and gives it back at the end (managed), so that nothing has to be put right after a crash. A mediated device is "mdev" with specParams/mdevType and
 * is made for the VM.
 */
#include <string.h>
#include "agent/virt/device/device.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/record.h"

/* libvirt's description of a host device; NULL + error. */
static xmlDoc *look_up(const char *name, const struct domain_xml_env *env, GError **error)
{
	g_autofree char *xml = env->node_device(env->data, name, error);

	return xml ? xml_parse(xml, strlen(xml), error) : NULL;
}

static xmlNode *capability_of(xmlDoc *doc)
{
	return xml_child(xmlDocGetRootElement(doc), "capability");
}

/* Elements of the description (pairs: element, attribute) as attributes of <address>. */
static void add_address(xmlNode *source, const xmlNode *capability, const char *const (*pairs)[2])
{
	xmlNode *address = xml_add(source, "address");

	for (; (*pairs)[0]; pairs++) {
		g_autofree char *text = xml_text(xml_child(capability, (*pairs)[0]));

		xml_set(address, (*pairs)[1], text);
	}
}

static bool add_pci(xmlNode *node, const char *name, const xmlNode *capability, GError **error)
{
	static const char *const pairs[][2] = { { "domain", "domain" }, { "bus", "bus" }, { "slot", "slot" }, { "function", "function" }, { NULL } };

	if (!xml_child(capability, "iommuGroup")) {
		error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s': this host has no IOMMU, or it is off", name);
		return false;
	}
	add_address(xml_add(node, "source"), capability, pairs);
	return true;
}

bool device_pci_source(xmlNode *node, const char *name, const struct domain_xml_env *env, GError **error)
{
	g_autoptr(xmlDoc) doc = look_up(name, env, error);

	if (!doc)
		return false;
	if (!xml_is(capability_of(doc), "type", "pci")) {
		error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s' is not a PCI device", name);
		return false;
	}
	if (!add_pci(node, name, capability_of(doc), error))
		return false;
	xml_set(xml_find(node, "source/address"), "type", "pci");       /* an interface's must say it */
	return true;
}

static bool add_usb(xmlNode *node, const char *name, const xmlNode *capability, GError **error)
{
	static const char *const pairs[][2] = { { "bus", "bus" }, { "device", "device" }, { NULL } };

	add_address(xml_add(node, "source"), capability, pairs);
	return true;
}

static bool add_scsi(xmlNode *node, const char *name, const xmlNode *capability, GError **error)
{
	static const char *const pairs[][2] = { { "bus", "bus" }, { "target", "target" }, { "lun", "unit" }, { NULL } };
	g_autofree char *host = xml_text(xml_child(capability, "host")), *adapter = g_strconcat("scsi_host", host ? host : "0", NULL);
	xmlNode *source = xml_add(node, "source");

	xml_add_with(source, "adapter", "name", adapter, NULL);
	add_address(source, capability, pairs);
	xml_set(node, "rawio", "yes");
	return true;
}

/* specParams: mdevType, and a uuid when it has one already. */
static bool add_mdev(const struct device_build *b, GError **error)
{
	const struct domain_xml_env *env = b->scope->env;
	const char *type = device_text(b->device, "mdevType", NULL), *given = device_text(b->device, "uuid", b->device->device_id);
	g_autofree char *uuid = given ? g_strdup(given) : g_uuid_string_random();
	struct domain_order *order;
	xmlNode *node;

	if (!type || !env->orders) {
		error_set(error, type ? ERR_INVALID_PARAMETER : ERR_MISSING_PARAMETER, type ? "mdev '%s': a running VM gets none" : "specParams/mdevType", type);
		return false;
	}
	order = g_new0(struct domain_order, 1);
	order->kind = ORDER_MDEV;
	order->mdev_type = g_strdup(type);
	order->mdev_uuid = g_strdup(uuid);
	g_ptr_array_add(env->orders, order);
	node = xml_add_with(b->parent, "hostdev", "mode", "subsystem", "type", "mdev", "managed", "no", "model", "vfio-pci", NULL);
	xml_add_with(xml_add(node, "source"), "address", "uuid", uuid, NULL);
	device_common(node, b->device);
	return true;
}

bool device_hostdev(const struct device_build *b, GError **error)
{
	static const struct {
		const char *capability, *type;
		bool (*add)(xmlNode *node, const char *name, const xmlNode *capability, GError **error);
	} kinds[] = { { "pci", "pci", add_pci }, { "usb_device", "usb", add_usb }, { "scsi", "scsi", add_scsi } };
	const char *name = b->device->device;
	g_autoptr(xmlDoc) doc = NULL;

	if (!name || !*name) {
		error_set(error, ERR_MISSING_PARAMETER, "device of type 'hostdev'");
		return false;
	}
	if (!strcmp(name, "mdev"))
		return add_mdev(b, error);
	doc = look_up(name, b->scope->env, error);
	if (!doc)
		return false;
	/* a placeholder stands for another device of the same IOMMU group, which goes with it */
	if (!g_ascii_strcasecmp(device_text(b->device, "iommuPlaceholder", "false"), "true"))
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		xmlNode *node;

		if (!xml_is(capability_of(doc), "type", kinds[i].capability))
			continue;
		node = xml_add_with(b->parent, "hostdev", "mode", "subsystem", "type", kinds[i].type, NULL);
		if (strcmp(kinds[i].type, "scsi"))
			xml_set(node, "managed", "yes");
		if (!kinds[i].add(node, name, capability_of(doc), error))
			return false;
		device_common(node, b->device);
		return true;
	}
	error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s' is neither PCI, USB nor SCSI", name);
	return false;
}

bool device_lease(const struct device_build *b, GError **error)
{
	const struct vm_device *d = b->device;
	const struct domain_xml_env *env = b->scope->env;
	g_autofree char *path = g_strdup(d->path), *offset = g_strdup(d->offset);
	int64_t found = 0;
	xmlNode *node;

	if (d->lease_id && d->sd_id && !path && env->lease) {
		if (!env->lease(env->data, d->sd_id, NULL, d->lease_id, &path, &found, error))
			return false;
		g_free(offset);
		offset = g_strdup_printf("%" G_GINT64_FORMAT, found);
	}
	if (!d->lease_id || !d->sd_id || !path) {
		error_set(error, ERR_MISSING_PARAMETER, "%s of a lease", !d->lease_id ? "lease_id" : !d->sd_id ? "sd_id" : "path");
		return false;
	}
	if (!env->holds_leases(env->data, error))
		return false;
	node = xml_add(b->parent, "lease");
	xml_add_text(node, "lockspace", d->sd_id);
	xml_add_text(node, "key", d->lease_id);
	xml_add_with(node, "target", "path", path, "offset", offset ? offset : "0", NULL);
	return true;
}
