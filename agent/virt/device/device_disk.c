/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks, direct LUNs, CD-ROMs, floppies. Names inside the guest's buses follow `index`, or the next free one.
 *
 * specParams: ioTune {total_bytes_sec, ...}; pinToIoThread; vmPayload {volId, file: {path: base64}}: an image made of these files.
 */
#include <string.h>
#include "agent/storage/connection/device.h"
#include "agent/virt/device/device.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

#define DISKS_MAX 676

/* Where the data are. */
struct source {
	const char *type, *attribute;           /* "file", "file"; "block", "dev"; "network", "name" */
	char *path;                             /* "": an empty drive */
	const char *format;
};

/* "vda" for 0 ... "vdzz" */
static char *target_name(const char *prefix, int index)
{
	return index < 26 ? g_strdup_printf("%s%c", prefix, 'a' + index) : g_strdup_printf("%s%c%c", prefix, 'a' + index / 26 - 1, 'a' + index % 26);
}

static const char *bus_of(const struct device_build *b, const struct vm_device *d)
{
	bool cdrom = !strcmp(d->device, "cdrom");

	if (!strcmp(d->device, "floppy"))
		return "fdc";
	if (cdrom && !strcmp(d->iface, "virtio"))
		return b->scope->q35 ? "sata" : "ide";
	if (!strcmp(d->device, "lun") && !strcmp(d->iface, "virtio"))
		return "scsi";                          /* only SCSI passes commands on */
	if (b->scope->q35 && !strcmp(d->iface, "ide"))
		return "sata";                          /* q35 has no IDE */
	return !strcmp(d->iface, "virtio_scsi") ? "scsi" : d->iface;
}

static char *pick_target(const struct device_build *b, const struct vm_device *d, const char *bus, GError **error)
{
	const char *prefix = !strcmp(bus, "virtio") ? "vd" : !strcmp(bus, "ide") ? "hd" : !strcmp(bus, "fdc") ? "fd" : "sd";

	for (int i = HAS(d, index) ? d->index : 0; i < DISKS_MAX; i++) {
		char *name = target_name(prefix, i);

		if (!g_hash_table_contains(b->scope->targets, name)) {
			g_hash_table_add(b->scope->targets, g_strdup(name));
			return name;
		}
		g_free(name);
		if (HAS(d, index)) {
			error_set(error, ERR_INVALID_PARAMETER, "index: there is a disk with index %d on bus %s already", d->index, bus);
			return NULL;
		}
	}
	error_set(error, ERR_INVALID_PARAMETER, "index: no place for a disk with index %d on bus %s", d->index, bus);
	return NULL;
}

/* ---- source ---- */

static bool is_removable(const struct vm_device *d)
{
	return !strcmp(d->device, "cdrom") || !strcmp(d->device, "floppy");
}

static bool payload_source(const struct device_build *b, const struct vm_device *d, const char *target, struct source *source, GError **error)
{
	const json_t *payload = json_object_get(d->spec_params, "vmPayload");

	if (!is_removable(d)) {
		error_set(error, ERR_INVALID_PARAMETER, "specParams/vmPayload: a %s cannot have one", d->device);
		return false;
	}
	source->path = domain_xml_payload(target, !strcmp(d->device, "floppy"), json_string_value(json_object_get(payload, "volId")),
					  json_object_get(payload, "file"), b->scope->env, error);
	return source->path != NULL;
}

static bool network_source(const struct vm_device *d, struct source *source, GError **error)
{
	static const char *const protocols[] = { "rbd", "iscsi", "nbd", "gluster", "nfs", NULL };

	if (!device_check("protocol", d->protocol, protocols, error))
		return false;
	if (!d->path || !*d->path || !json_array_size(d->hosts)) {
		error_set(error, ERR_MISSING_PARAMETER, "%s of a network disk", d->path && *d->path ? "hosts" : "path");
		return false;
	}
	source->type = "network";
	source->attribute = "name";
	source->path = g_strdup(d->path);
	return true;
}

/* Of the device with that identity: as multipath shows it, or, where it does not, as the kernel does. g_free */
static char *lun_path(const char *guid)
{
	char *path = g_strconcat("/dev/mapper/", guid, NULL);
	g_autoptr(GPtrArray) devices = g_file_test(path, G_FILE_TEST_EXISTS) ? NULL : device_list();
	const struct device *found = devices ? device_find(devices, guid) : NULL;

	if (!found)
		return path;
	g_free(path);
	return g_strdup(found->path);
}

static bool find_source(const struct device_build *b, const struct vm_device *d, const char *target, struct source *source, GError **error)
{
	const char *const ids[] = { d->domain_id, d->image_id, d->volume_id };
	bool block = false;
	unsigned given = 0;

	source->type = source->attribute = "file";
	source->format = !strcmp(d->format, "raw") ? "raw" : "qcow2";
	if (json_object_get(d->spec_params, "vmPayload"))
		return payload_source(b, d, target, source, error);
	if (!g_strcmp0(d->disk_type, "network"))
		return network_source(d, source, error);
	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
		given += ids[i] != NULL;
	if (given == G_N_ELEMENTS(ids)) {
		json_t *drive = record_to_json(d, RECORD_CHANNEL);
		bool good = domain_xml_prepare(b->scope->env, drive, &source->path, &source->format, error);

		json_decref(drive);
		if (!good)
			return false;
	} else if (d->guid || d->uuid) {
		if (strchr(d->guid ? d->guid : d->uuid, '/')) {
			error_set(error, ERR_INVALID_PARAMETER, "%s: '%s'", d->guid ? "GUID" : "UUID", d->guid ? d->guid : d->uuid);
			return false;
		}
		source->path = d->guid ? lun_path(d->guid) : g_strconcat("/dev/disk/by-uuid/", d->uuid, NULL);
	} else if (d->path || (!given && is_removable(d))) {
		source->path = g_strdup(d->path ? d->path : "");
	} else {
		error_set(error, ERR_MISSING_PARAMETER, "a disk needs domainID, imageID and volumeID, or GUID, UUID or path");
		return false;
	}
	if (*source->path && !domain_xml_check_file(source->path, "disk image", &block, error))
		return false;
	if (!block && !strcmp(d->device, "lun")) {
		error_set(error, ERR_INVALID_PARAMETER, "a lun is a block device, '%s' is none", source->path);
		return false;
	}
	if (block || (!*source->path && !g_strcmp0(d->disk_type, "block"))) {
		source->type = "block";
		source->attribute = "dev";
	}
	return true;
}

static void add_source(xmlNode *disk, const struct source *source, const struct vm_device *d)
{
	xmlNode *node = xml_add_with(disk, "source", source->attribute, source->path, NULL);
	json_t *host, *value;
	const char *name;
	size_t i;

	if (is_removable(d) && !strcmp(source->type, "file"))
		xml_set(node, "startupPolicy", "optional");
	if (strcmp(source->type, "network"))
		return;
	xml_set(node, "protocol", d->protocol);
	json_array_foreach(d->hosts, i, host) {
		xmlNode *element = xml_add(node, "host");

		json_object_foreach(host, name, value)
			xml_set(element, name, json_string_value(value));
	}
	if (json_object_size(d->auth)) {
		xmlNode *auth = xml_add_with(disk, "auth", "username", json_string_value(json_object_get(d->auth, "username")), NULL);

		xml_add_with(auth, "secret", "type", json_string_value(json_object_get(d->auth, "type")), "uuid",
			     json_string_value(json_object_get(d->auth, "uuid")), NULL);
	}
}

/* ---- how it is used ---- */

static bool add_driver(xmlNode *disk, const struct device_build *b, const struct vm_device *d, const struct source *source, const char *bus, GError **error)
{
	static const char *const policies[] = {
		[DISK_ERRORS_FALSE] = "stop", [DISK_ERRORS_TRUE] = "enospace", [DISK_ERRORS_OFF] = "stop", [DISK_ERRORS_ON] = "enospace",
		[DISK_ERRORS_REPORT] = "report",
	};
	static const char *const caches[] = { "none", "writethrough", "writeback", "directsync", "unsafe", NULL };
	const struct vm_params *p = b->scope->params;
	const char *custom = json_string_value(json_object_get(p->custom, "viodiskcache")), *cache = d->cache && *d->cache ? d->cache : NULL;
	const char *thread = device_text(d, "pinToIoThread", NULL);
	bool paravirtual = !strcmp(bus, "virtio") || !strcmp(bus, "scsi");
	xmlNode *driver;

	/* The image of a transient disk may be where there is no O_DIRECT. */
	cache = cache ? cache : d->shared == DISK_TRANSIENT ? "writethrough" : custom && paravirtual ? custom : "none";
	if (!device_check("cache", cache, caches, error))
		return false;
	/* A CD is only read: QEMU's own choice, which works on file systems without O_DIRECT, too. QEMU's floppies know no policy for errors. */
	driver = xml_add_with(disk, "driver", "name", "qemu", "type", source->format, "cache", is_removable(d) ? NULL : cache, "error_policy",
			      !strcmp(d->device, "floppy") ? NULL : is_removable(d) ? "report" : policies[d->propagate_errors], NULL);
	if (!is_removable(d)) {
		xml_set(driver, "io", strcmp(source->type, "block") || (strcmp(cache, "none") && strcmp(cache, "directsync")) ? "threads" : "native");
		xml_set(driver, "discard", d->discard ? "unmap" : NULL);
	}
	if (!thread)
		return true;
	if (!g_ascii_string_to_unsigned(thread, 10, 1, HAS(p, io_threads) ? (guint64)MAX(p->io_threads, 1) : G_MAXUINT16, NULL, NULL) || strcmp(bus, "virtio")) {
		error_set(error, ERR_INVALID_PARAMETER, "specParams/pinToIoThread: '%s' is not the number of an I/O thread that a disk on bus %s can have", thread, bus);
		return false;
	}
	xml_set(driver, "iothread", thread);
	return true;
}

static bool add_iotune(xmlNode *disk, const struct vm_device *d, GError **error)
{
	static const char *const limits[] = {
		"total_bytes_sec", "read_bytes_sec", "write_bytes_sec", "total_iops_sec", "read_iops_sec", "write_iops_sec", "total_bytes_sec_max",
		"read_bytes_sec_max", "write_bytes_sec_max", "total_iops_sec_max", "read_iops_sec_max", "write_iops_sec_max", "size_iops_sec",
		"group_name", "total_bytes_sec_max_length", "read_bytes_sec_max_length", "write_bytes_sec_max_length", "total_iops_sec_max_length",
		"read_iops_sec_max_length", "write_iops_sec_max_length", NULL
	};
	json_t *tune = json_object_get(d->spec_params, "ioTune"), *value;
	xmlNode *iotune = json_object_size(tune) ? xml_add(disk, "iotune") : NULL;
	const char *name;

	json_object_foreach(tune, name, value) {
		const char *text = json_string_value(value);

		if (!device_check("specParams/ioTune", name, limits, error))
			return false;
		if (!text || (strcmp(name, "group_name") && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, NULL, NULL))) {
			error_set(error, ERR_INVALID_PARAMETER, "specParams/ioTune/%s: '%s' is not a number", name, text ? text : "");
			return false;
		}
		xml_add_text(iotune, name, text);
	}
	return true;
}

static void keep(const struct device_build *b, const struct vm_device *d, const char *target)
{
	const struct { const char *name, *value; } ids[] = {
		{ "poolID", d->pool_id }, { "domainID", d->domain_id }, { "imageID", d->image_id }, { "volumeID", d->volume_id }, { "GUID", d->guid },
		{ "deviceId", d->device_id },
	};
	xmlNode *node;

	if (!b->metadata || (!d->image_id && !d->device_id && !d->guid))
		return;
	node = vm_metadata_add_device(b->metadata, "disk", "name", target);
	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
		if (ids[i].value)
			vm_metadata_set(node, ids[i].name, NULL, ids[i].value);
}

static bool check(const struct vm_device *d, GError **error)
{
	static const char *const kinds[] = { "disk", "cdrom", "floppy", "lun", NULL }, *const formats[] = { "raw", "cow", "qcow2", NULL };
	static const char *const buses[] = { "virtio", "virtio_scsi", "scsi", "ide", "sata", "fdc", "usb", NULL };
	static const char *const types[] = { "file", "block", "network", NULL }, *const commands[] = { "filtered", "unfiltered", NULL };

	if (!device_check("device", d->device, kinds, error) || !device_check("iface", d->iface, buses, error) ||
	    !device_check("format", d->format, formats, error) || (d->disk_type && *d->disk_type && !device_check("diskType", d->disk_type, types, error)) ||
	    (d->sgio && !device_check("sgio", d->sgio, commands, error)))
		return false;
	if (d->sgio && strcmp(d->device, "lun")) {
		error_set(error, ERR_INVALID_PARAMETER, "sgio: only a lun can have it, this is a %s", d->device);
		return false;
	}
	if (!strcmp(d->device, "lun") && strcmp(d->format, "raw")) {
		error_set(error, ERR_INVALID_PARAMETER, "format: '%s' of a lun", d->format);
		return false;
	}
	return true;
}

bool device_disk(const struct device_build *b, GError **error)
{
	struct vm_device fixed = *b->device;
	const struct vm_device *d = &fixed;
	struct source source = { 0 };
	g_autofree char *target = NULL, *path = NULL;
	const char *bus;
	xmlNode *disk;
	bool good;

	if (!fixed.device)
		fixed.device = (char *)"disk";
	if (!check(d, error))
		return false;
	bus = bus_of(b, d);
	target = pick_target(b, d, bus, error);
	good = target && find_source(b, d, target, &source, error);
	path = source.path;
	if (!good)
		return false;
	disk = xml_add_with(b->parent, "disk", "type", source.type, "device", d->device, "snapshot", "no", NULL);
	xml_set(disk, "sgio", d->sgio);
	if (!add_driver(disk, b, d, &source, bus, error))
		return false;
	if (*path)
		add_source(disk, &source, d);
	xml_add_with(disk, "target", "dev", target, "bus", bus, NULL);
	if (!is_removable(d) && strcmp(d->device, "lun") && (d->serial || d->image_id))
		xml_add_text(disk, "serial", d->serial ? d->serial : d->image_id);
	if (d->readonly || is_removable(d))
		xml_add(disk, "readonly");
	if (d->shared == DISK_SHARED || d->shared == DISK_SHARED_TRUE)
		xml_add(disk, "shareable");
	if (d->shared == DISK_TRANSIENT)
		xml_add(disk, "transient");
	if (!add_iotune(disk, d, error))
		return false;
	device_common(disk, d);
	if (!strcmp(bus, "scsi"))
		b->scope->has |= WANTS_SCSI;
	keep(b, d, target);
	return true;
}
