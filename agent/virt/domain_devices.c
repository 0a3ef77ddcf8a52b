/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the parameter form.
 *
 * Names inside the guest's buses follow `index`, or the next free one. A device's id becomes its alias (ua-<id>) and, for disks and
 * NICs, is kept with the other ids in the metadata, so that statistics can say which image a disk is.
 */
#include <string.h>
#include <unistd.h>
#include "agent/virt/domain_xml.h"
#include "agent/virt/vm_metadata.h"
#include "agent/xml.h"
#include "common/error.h"

#define SPARE_PORTS 10                  /* PCIe root ports to plug into while the VM runs */
#define DISKS_MAX 676

struct build {
	xmlNode *domain, *devices, *metadata;
	const struct vm_params *params;
	const struct domain_xml_env *env;
	bool q35, scsi, usb, graphics, spice, video, balloon, channel;
	GHashTable *targets;            /* names in use */
};

static const char *spec(const struct vm_device *d, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(d->spec_params, name));

	return text && *text ? text : otherwise;
}

static bool refuse(GError **error, const struct vm_device *d, const char *member, const char *value)
{
	error_set(error, ERR_INVALID_PARAMETER, "devices: %s '%s' of a device of type '%s' is not known", member, value ? value : "", d->type);
	return false;
}

static bool is_one_of(const char *text, const char *const *names)
{
	return text && g_strv_contains(names, text);
}

/* What every device may have. */
static void add_common(xmlNode *node, const struct vm_device *d)
{
	const char *name;
	json_t *value;

	if (d->device_id || (d->alias && g_str_has_prefix(d->alias, "ua-"))) {
		g_autofree char *alias = d->alias && g_str_has_prefix(d->alias, "ua-") ? g_strdup(d->alias) : g_strconcat("ua-", d->device_id, NULL);

		xml_add_with(node, "alias", "name", alias, NULL);
	}
	if (HAS(d, boot_order)) {
		xmlNode *boot = xml_add(node, "boot");

		xml_set_number(boot, "order", d->boot_order);
	}
	if (json_object_size(d->address)) {
		xmlNode *address = xml_add(node, "address");

		json_object_foreach(d->address, name, value)
			if (json_is_string(value))
				xml_set(address, name, json_string_value(value));
	}
}

/* ---- disks ---- */

/* "vda" for 0 ... "vdzz" */
static char *target_name(const char *prefix, int index)
{
	return index < 26 ? g_strdup_printf("%s%c", prefix, 'a' + index) : g_strdup_printf("%s%c%c", prefix, 'a' + index / 26 - 1, 'a' + index % 26);
}

static const char *bus_of(const struct build *b, const struct vm_device *d)
{
	bool removable = !strcmp(d->device, "cdrom"), floppy = !strcmp(d->device, "floppy");

	if (floppy)
		return "fdc";
	if (removable && !strcmp(d->iface, "virtio"))
		return b->q35 ? "sata" : "ide";
	if (b->q35 && !strcmp(d->iface, "ide"))
		return "sata";                          /* q35 has no IDE */
	return !strcmp(d->iface, "virtio_scsi") ? "scsi" : d->iface;
}

static char *pick_target(struct build *b, const struct vm_device *d, const char *bus, GError **error)
{
	const char *prefix = !strcmp(bus, "virtio") ? "vd" : !strcmp(bus, "ide") ? "hd" : !strcmp(bus, "fdc") ? "fd" : "sd";

	for (int i = HAS(d, index) ? d->index : 0; i >= 0 && i < DISKS_MAX; i++) {
		char *name = target_name(prefix, i);

		if (!g_hash_table_contains(b->targets, name)) {
			g_hash_table_add(b->targets, g_strdup(name));
			return name;
		}
		if (HAS(d, index)) {
			error_set(error, ERR_INVALID_PARAMETER, "devices: two disks have index %d on bus %s", d->index, bus);
			g_free(name);
			return NULL;
		}
		g_free(name);
	}
	error_set(error, ERR_INVALID_PARAMETER, "devices: no place for a disk with index %d on bus %s", d->index, bus);
	return NULL;
}

/* path "" and format for an empty drive. */
static bool disk_source(const struct build *b, const struct vm_device *d, char **ret_path, const char **ret_format, GError **error)
{
	const char *const ids[] = { d->domain_id, d->image_id, d->volume_id };
	unsigned given = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
		given += ids[i] != NULL;
	if (given && given < G_N_ELEMENTS(ids) && !d->path) {
		error_set(error, ERR_MISSING_PARAMETER, "devices: a disk needs domainID, imageID and volumeID, or path");
		return false;
	}
	if (given == G_N_ELEMENTS(ids))
		return b->env->prepare(b->env->data, d->domain_id, d->image_id, d->volume_id, ret_path, ret_format, error);
	if (!d->path && strcmp(d->device, "cdrom") && strcmp(d->device, "floppy")) {
		error_set(error, ERR_MISSING_PARAMETER, "devices: a disk needs domainID, imageID and volumeID, or path");
		return false;
	}
	*ret_path = g_strdup(d->path ? d->path : "");
	*ret_format = !strcmp(d->format, "cow") || !strcmp(d->format, "qcow2") ? "qcow2" : "raw";
	return true;
}

static void keep_disk(const struct build *b, const struct vm_device *d, const char *target)
{
	xmlNode *node;

	if (!d->image_id && !d->device_id)
		return;
	node = vm_metadata_add_device(b->metadata, "disk", "name", target);
	if (d->pool_id)
		vm_metadata_set(node, "poolID", NULL, d->pool_id);
	if (d->domain_id)
		vm_metadata_set(node, "domainID", NULL, d->domain_id);
	if (d->image_id)
		vm_metadata_set(node, "imageID", NULL, d->image_id);
	if (d->volume_id)
		vm_metadata_set(node, "volumeID", NULL, d->volume_id);
	if (d->device_id)
		vm_metadata_set(node, "deviceId", NULL, d->device_id);
}

static bool add_disk(struct build *b, const struct vm_device *d, GError **error)
{
	static const char *const kinds[] = { "disk", "cdrom", "floppy", "lun", NULL };
	static const char *const buses[] = { "virtio", "virtio_scsi", "scsi", "ide", "sata", "fdc", "usb", NULL };
	static const char *const formats[] = { "raw", "cow", "qcow2", NULL };
	struct vm_device fixed = *d;
	g_autofree char *path = NULL, *target = NULL;
	const char *format = NULL, *bus;
	bool block = false, removable;
	xmlNode *disk, *driver;

	fixed.device = d->device ? d->device : (char *)"disk";
	d = &fixed;
	if (!is_one_of(d->device, kinds))
		return refuse(error, d, "device", d->device);
	if (!is_one_of(d->iface, buses))
		return refuse(error, d, "iface", d->iface);
	if (!is_one_of(d->format, formats))
		return refuse(error, d, "format", d->format);
	removable = !strcmp(d->device, "cdrom") || !strcmp(d->device, "floppy");
	bus = bus_of(b, d);
	if (!disk_source(b, d, &path, &format, error) || (*path && !domain_xml_check_file(path, "disk image", &block, error)) ||
	    !(target = pick_target(b, d, bus, error)))
		return false;
	if (d->disk_type && *d->disk_type)
		block = !strcmp(d->disk_type, "block");
	disk = xml_add_with(b->devices, "disk", "type", block ? "block" : "file", "device", d->device, "snapshot", "no", NULL);
	driver = xml_add_with(disk, "driver", "name", "qemu", "type", format, "cache", removable && !*path ? NULL : d->cache, "error_policy",
			      removable || d->propagate_errors ? "report" : "stop", NULL);
	if (!removable) {
		xml_set(driver, "io", block ? "native" : "threads");
		xml_set(driver, "discard", "unmap");
	}
	if (*path) {
		xmlNode *source = xml_add_with(disk, "source", block ? "dev" : "file", path, NULL);

		if (removable)
			xml_set(source, "startupPolicy", "optional");
	}
	xml_add_with(disk, "target", "dev", target, "bus", bus, NULL);
	if (!removable && (d->serial || d->image_id))
		xml_add_text(disk, "serial", d->serial ? d->serial : d->image_id);
	if (d->readonly || removable)
		xml_add(disk, "readonly");
	if (d->shared)
		xml_add(disk, "shareable");
	add_common(disk, d);
	b->scsi |= !strcmp(bus, "scsi");
	keep_disk(b, d, target);
	return true;
}

/* ---- the others ---- */

static bool add_nic(struct build *b, const struct vm_device *d, GError **error)
{
	static const char *const models[] = { "virtio", "pv", "e1000", "e1000e", "rtl8139", NULL };
	g_autofree char *bridge = NULL;
	bool plugged = d->network && *d->network;
	xmlNode *nic;

	if (!is_one_of(d->nic_model, models))
		return refuse(error, d, "nicModel", d->nic_model);
	if (plugged && !(bridge = b->env->bridge(b->env->data, d->network, error)))
		return false;
	/* Not connected: a tap that leads nowhere; it can be plugged into a network while the VM runs. */
	nic = xml_add_with(b->devices, "interface", "type", plugged ? "bridge" : "ethernet", NULL);
	if (d->mac_addr)
		xml_add_with(nic, "mac", "address", d->mac_addr, NULL);
	if (plugged)
		xml_add_with(nic, "source", "bridge", bridge, NULL);
	xml_add_with(nic, "model", "type", !strcmp(d->nic_model, "pv") ? "virtio" : d->nic_model, NULL);
	xml_add_with(nic, "link", "state", plugged && d->link_active ? "up" : "down", NULL);
	if (d->filter && *d->filter)
		xml_add_with(nic, "filterref", "filter", d->filter, NULL);
	add_common(nic, d);
	if (d->mac_addr && (plugged || d->device_id)) {
		xmlNode *kept = vm_metadata_add_device(b->metadata, "interface", "mac_address", d->mac_addr);

		if (plugged)
			vm_metadata_set(kept, "network", NULL, d->network);
		if (d->device_id)
			vm_metadata_set(kept, "deviceId", NULL, d->device_id);
	}
	return true;
}

static void add_graphics(struct build *b, const char *type, const struct vm_device *d)
{
	const struct vm_params *p = b->params;
	xmlNode *graphics = xml_add_with(b->devices, "graphics", "type", type, "port", "-1", "autoport", "yes", NULL);

	if (p->keyboard_layout && *p->keyboard_layout && !strcmp(type, "vnc"))
		xml_set(graphics, "keymap", p->keyboard_layout);
	domain_xml_ticket(graphics, p->ticket && *p->ticket ? p->ticket : NULL, p->ticket_ttl, b->env);
	xml_add_with(graphics, "listen", "type", "address", "address", b->env->display_address, NULL);
	if (d)
		add_common(graphics, d);
	b->graphics = true;
	b->spice |= !strcmp(type, "spice");
}

static void add_video(struct build *b, const char *model, const struct vm_device *d)
{
	xmlNode *video = xml_add(b->devices, "video");

	xml_add_with(video, "model", "type", model, "vram", d ? spec(d, "vram", NULL) : NULL, "heads", d ? spec(d, "heads", "1") : "1", NULL);
	if (d)
		add_common(video, d);
	b->video = true;
}

static void add_usb(struct build *b)
{
	xml_add_with(b->devices, "controller", "type", "usb", "model", b->q35 ? "qemu-xhci" : "piix3-uhci", NULL);
	b->usb = true;
}

static void add_channel(struct build *b, const struct vm_device *d)
{
	const char *name = d->device && strcmp(d->device, "unix") ? d->device : spec(d, "name", AGENT_CHANNEL);
	xmlNode *channel = xml_add_with(b->devices, "channel", "type", "unix", NULL);

	xml_add_with(channel, "target", "type", "virtio", "name", name, NULL);
	add_common(channel, d);
}

static void add_controller(struct build *b, const struct vm_device *d)
{
	const char *kind = d->device && *d->device ? d->device : "virtio-serial", *model = spec(d, "model", NULL);
	xmlNode *controller;

	if (!strcmp(kind, "virtio-scsi")) {
		kind = "scsi";
		model = model ? model : "virtio-scsi";
	}
	controller = xml_add_with(b->devices, "controller", "type", kind, "index", spec(d, "index", NULL), "model", model, NULL);
	b->usb |= !strcmp(kind, "usb");
	if (!strcmp(kind, "scsi"))
		b->scsi = false;
	add_common(controller, d);
}

static bool add_device(struct build *b, const struct vm_device *d, GError **error)
{
	static const char *const consoles[] = { "vnc", "spice", NULL }, *const cards[] = { "vga", "qxl", "cirrus", "virtio", "bochs", NULL };
	xmlNode *node;

	if (!strcmp(d->type, "disk"))
		return add_disk(b, d, error);
	if (!strcmp(d->type, "interface"))
		return add_nic(b, d, error);
	if (!strcmp(d->type, "graphics")) {
		if (!is_one_of(d->device ? d->device : "vnc", consoles))
			return refuse(error, d, "device", d->device);
		add_graphics(b, d->device ? d->device : "vnc", d);
	} else if (!strcmp(d->type, "video")) {
		if (!is_one_of(d->device ? d->device : "vga", cards))
			return refuse(error, d, "device", d->device);
		add_video(b, d->device ? d->device : "vga", d);
	} else if (!strcmp(d->type, "console")) {
		node = xml_add_with(b->devices, "serial", "type", "pty", NULL);
		xml_add_with(node, "target", "port", "0", NULL);
	} else if (!strcmp(d->type, "watchdog")) {
		node = xml_add_with(b->devices, "watchdog", "model", spec(d, "model", "i6300esb"), "action", spec(d, "action", "none"), NULL);
		add_common(node, d);
	} else if (!strcmp(d->type, "rng")) {
		const char *source = spec(d, "source", "urandom");
		g_autofree char *path = g_strconcat("/dev/", source, NULL);

		if (!domain_xml_check_file(path, "source of random numbers", NULL, error))
			return false;
		node = xml_add_with(b->devices, "rng", "model", "virtio", NULL);
		xml_set(xml_add_text(node, "backend", path), "model", "random");
		add_common(node, d);
	} else if (!strcmp(d->type, "balloon")) {
		node = xml_add_with(b->devices, "memballoon", "model", spec(d, "model", "virtio"), NULL);
		if (strcmp(spec(d, "model", "virtio"), "none"))
			xml_add_with(node, "stats", "period", "5", NULL);
		add_common(node, d);
		b->balloon = true;
	} else if (!strcmp(d->type, "channel")) {
		add_channel(b, d);
	} else if (!strcmp(d->type, "controller")) {
		add_controller(b, d);
	} else {
		error_set(error, ERR_INVALID_PARAMETER, "devices: type '%s' is not known", d->type);
		return false;
	}
	return true;
}

void domain_xml_agent_channel(xmlNode *devices)
{
	for XML_EACH(channel, devices, "channel")
		if (xml_is(xml_child(channel, "target"), "name", AGENT_CHANNEL))
			return;
	xml_add_with(xml_add_with(devices, "channel", "type", "unix", NULL), "target", "type", "virtio", "name", AGENT_CHANNEL, NULL);
}

/* What the caller left out. */
static void add_rest(struct build *b)
{
	const struct vm_params *p = b->params;

	if (!b->graphics)
		add_graphics(b, !strcmp(p->display, "qxl") || !strcmp(p->display, "qxlnc") || !strcmp(p->display, "spice") ? "spice" : "vnc", NULL);
	if (!b->video)
		add_video(b, b->spice ? "qxl" : "vga", NULL);
	if (!b->usb)
		add_usb(b);
	xml_add_with(b->devices, "input", "type", "tablet", "bus", "usb", NULL);
	if (b->scsi)
		xml_add_with(b->devices, "controller", "type", "scsi", "index", "0", "model", "virtio-scsi", NULL);
	if (b->q35)             /* the first PCI controller that is named is number 0, which must be the root */
		xml_add_with(b->devices, "controller", "type", "pci", "index", "0", "model", "pcie-root", NULL);
	if (b->q35)
		for (int i = 0; i < SPARE_PORTS; i++)
			xml_add_with(b->devices, "controller", "type", "pci", "model", "pcie-root-port", NULL);
	if (p->console && *p->console)
		xml_add_with(xml_add_with(b->devices, "serial", "type", "file", NULL), "source", "path", p->console, "append", "on", NULL);
	if (!b->balloon) {
		xmlNode *balloon = xml_add_with(b->devices, "memballoon", "model", p->balloon_enabled ? "virtio" : "none", NULL);

		if (p->balloon_enabled)
			xml_add_with(balloon, "stats", "period", "5", NULL);
	}
	if (p->agent_channel)
		domain_xml_agent_channel(b->devices);
}

bool domain_xml_devices(xmlNode *domain, xmlNode *metadata, const struct vm_params *params, const struct domain_xml_env *env, GError **error)
{
	struct build b = {
		.domain = domain, .devices = xml_add(domain, "devices"), .metadata = metadata, .params = params, .env = env,
		.q35 = strstr(params->emulated_machine, "q35") != NULL, .targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
	};
	bool good = true;

	for (guint i = 0; good && params->devices && i < params->devices->len; i++) {
		struct vm_device *device = params->devices->pdata[i];

		record_defaults(device, 0);
		if (!device->type) {
			error_set(error, ERR_MISSING_PARAMETER, "devices: type of device %u", i + 1);
			good = false;
		} else {
			good = add_device(&b, device, error);
		}
	}
	if (good)
		add_rest(&b);
	g_hash_table_destroy(b.targets);
	return good;
}
