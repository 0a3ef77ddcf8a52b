/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libvirt saved holds the XML of the domain at that moment: devices as the memory knows them, and our metadata. It must be restored with the same
 * devices; only what is behind them on the host may differ, and does, after a move to another host or for a snapshot, whose disks have new layers. So it
 * is the saved XML that counts, and of each disk, NIC and console there what the fresh XML - made of VM.create's parameters, with the paths of now - says of
 * the host's side: source, backing chain, format; bridge; address and password. Devices belong together by image id or target, by MAC address, by type. Of
 * the metadata the saved ones stay, with the ids of the volumes of now.
 */
#define LOG_MODULE "virt"
#include "agent/virt/life/restore.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/virt/libvirt_connection.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/record.h"

/* Both domains. */
struct pair { xmlNode *saved, *fresh, *saved_vm, *fresh_vm; bool moved; };

static char *child_value(const xmlNode *device, const char *child, const char *attribute)
{
	return xml_get(xml_child(device, child), attribute);
}

/* The device of the fresh domain with the same value. */
static xmlNode *find(const struct pair *pair, const char *element, const char *child, const char *attribute, const char *value)
{
	for XML_EACH(device, xml_child(pair->fresh, "devices"), element) {
		g_autofree char *other = child_value(device, child, attribute);

		if (value && !g_strcmp0(other, value))
			return device;
	}
	return NULL;
}

static char *id_of(const xmlNode *vm, const char *target, const char *id)
{
	return target ? vm_metadata_get(vm_metadata_device(vm, "name", target), id) : NULL;
}

static xmlNode *find_disk(const struct pair *pair, const xmlNode *disk)
{
	g_autofree char *target = child_value(disk, "target", "dev"), *image = id_of(pair->saved_vm, target, "imageID");

	for XML_EACH(other, xml_child(pair->fresh, "devices"), "disk") {
		g_autofree char *name = child_value(other, "target", "dev"), *its_image = id_of(pair->fresh_vm, name, "imageID");

		if (image && !g_strcmp0(image, its_image))
			return other;
	}
	return find(pair, "disk", "target", "dev", target);
}

/* The child of that name is from's. */
static void replace_child(xmlNode *to, const xmlNode *from, const char *name)
{
	const xmlNode *child = xml_child(from, name);

	xml_remove(xml_child(to, name));
	if (child)
		xmlAddChild(to, xmlDocCopyNode((xmlNode *)child, to->doc, 1));
}

static void copy_attribute(xmlNode *to, const xmlNode *from, const char *name)
{
	g_autofree char *value = xml_get(from, name);

	xml_set(to, name, value);
}

static char *path_of(const xmlNode *disk)
{
	char *path = child_value(disk, "source", "file");

	return path ? path : child_value(disk, "source", "dev");
}

/* Another volume: by its id, or, without ids, by its path. */
static bool is_moved(const struct pair *pair, const xmlNode *disk, const xmlNode *fresh)
{
	g_autofree char *target = child_value(disk, "target", "dev"), *fresh_target = child_value(fresh, "target", "dev");
	g_autofree char *volume = id_of(pair->saved_vm, target, "volumeID"), *fresh_volume = id_of(pair->fresh_vm, fresh_target, "volumeID");
	g_autofree char *path = path_of(disk), *fresh_path = path_of(fresh);

	return volume || fresh_volume ? g_strcmp0(volume, fresh_volume) != 0 : g_strcmp0(path, fresh_path) != 0;
}

static void fit_ids(const struct pair *pair, const xmlNode *disk, const xmlNode *fresh)
{
	static const char *const ids[] = { "poolID", "domainID", "imageID", "volumeID" };
	g_autofree char *target = child_value(disk, "target", "dev"), *fresh_target = child_value(fresh, "target", "dev");

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		g_autofree char *id = id_of(pair->fresh_vm, fresh_target, ids[i]);

		if (id && pair->saved_vm)
			vm_metadata_set(vm_metadata_add_device(pair->saved_vm, "disk", "name", target), ids[i], NULL, id);
	}
}

static void fit_disk(struct pair *pair, xmlNode *disk)
{
	const xmlNode *fresh = find_disk(pair, disk);

	if (!fresh)
		return;
	if (xml_is(disk, "device", "disk") || xml_is(disk, "device", "lun"))
		pair->moved |= is_moved(pair, disk, fresh);
	fit_ids(pair, disk, fresh);
	copy_attribute(disk, fresh, "type");
	copy_attribute(xml_child(disk, "driver"), xml_child(fresh, "driver"), "type");
	replace_child(disk, fresh, "source");
	replace_child(disk, fresh, "backingStore");
	xml_remove(xml_child(disk, "mirror"));
}

static void fit_nic(const struct pair *pair, xmlNode *nic)
{
	g_autofree char *mac = child_value(nic, "mac", "address");
	const xmlNode *fresh = find(pair, "interface", "mac", "address", mac);

	if (!fresh || xml_is(nic, "type", "hostdev") || xml_is(fresh, "type", "hostdev"))
		return;
	copy_attribute(nic, fresh, "type");
	replace_child(nic, fresh, "source");
	replace_child(nic, fresh, "target");
}

static void fit_graphics(const struct pair *pair, xmlNode *graphics)
{
	g_autofree char *type = xml_get(graphics, "type");

	for XML_EACH(fresh, xml_child(pair->fresh, "devices"), "graphics")
		if (type && xml_is(fresh, "type", type)) {
			copy_attribute(graphics, fresh, "passwd");
			copy_attribute(graphics, fresh, "passwdValidTo");
			copy_attribute(graphics, fresh, "listen");
			replace_child(graphics, fresh, "listen");
			return;
		}
}

bool restore_fit(const char *vm_id, const char *saved, const char *fresh, double start_time, char **ret_xml, bool *ret_moved, GError **error)
{
	g_autoptr(xmlDoc) saved_doc = xml_parse(saved, strlen(saved), error);
	g_autoptr(xmlDoc) fresh_doc = saved_doc ? xml_parse(fresh, strlen(fresh), error) : NULL;
	g_autofree char *uuid = NULL;
	struct pair pair;
	xmlNode *devices;

	if (!fresh_doc)
		return false;
	pair = (struct pair){ .saved = xmlDocGetRootElement(saved_doc), .fresh = xmlDocGetRootElement(fresh_doc) };
	pair.saved_vm = vm_metadata_of(pair.saved);
	pair.fresh_vm = vm_metadata_of(pair.fresh);
	uuid = xml_text(xml_child(pair.saved, "uuid"));
	if (!uuid || g_ascii_strcasecmp(uuid, vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "it is the memory of VM %s", uuid ? uuid : "without id");
		return false;
	}
	devices = xml_child(pair.saved, "devices");
	for XML_EACH(disk, devices, "disk")
		fit_disk(&pair, disk);
	for XML_EACH(nic, devices, "interface")
		fit_nic(&pair, nic);
	for XML_EACH(graphics, devices, "graphics")
		fit_graphics(&pair, graphics);
	if (start_time > 0)
		vm_metadata_set_start_time(vm_metadata_make(pair.saved), start_time);
	*ret_xml = xml_to_text(pair.saved);
	*ret_moved = pair.moved;
	return true;
}

bool restore_prepare(virConnectPtr conn, const char *vm_id, const struct memory_files *files, const char *fresh, char **ret_xml, bool *ret_from_snapshot,
		     GError **error)
{
	struct memory_conf conf = { .elapsed = -1 };
	bool good, moved = false;
	char *saved;

	if (files->conf && !memory_conf_read(files->conf, vm_id, &conf, error))
		return false;
	saved = virDomainSaveImageGetXMLDesc(conn, files->memory, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
	if (!saved) {
		libvirt_error_set(error, ERR_CANNOT_CREATE_VM, "saved memory %s", files->memory);
		return false;
	}
	good = restore_fit(vm_id, saved, fresh, conf.elapsed < 0 ? 0 : (double)wall_msec() / 1e3 - conf.elapsed, ret_xml, &moved, error);
	free(saved);
	*ret_from_snapshot = moved || conf.from_snapshot;
	if (!good)
		error_wrap(error, "saved memory %s", files->memory);
	return good;
}
