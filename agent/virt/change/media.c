/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.changeCD, VM.changeFloppy: what is in a drive. The tray is opened by force, as vdsm does: a guest that has it locked (because it has mounted the
 * medium) cannot keep the administrator from it. A volume of a storage domain is kept in the drive's metadata, as for disks.
 */
#define LOG_MODULE "virt"
#include "agent/virt/change/media.h"

#include <string.h>
#include "agent/fault.h"
#include "agent/virt/disk/drive.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "proto/device.h"

static const char *const ids[] = { "poolID", "domainID", "imageID", "volumeID" };

/* Names on a bus follow the index: "hdc", "sda", "fda". */
static bool has_place(const xmlNode *disk, const struct drive_spec *spec)
{
	static const struct { const char *iface, *prefix; } buses[] = {
		{ "ide", "hd" }, { "sata", "sd" }, { "scsi", "sd" }, { "virtio_scsi", "sd" }, { "usb", "sd" }, { "fdc", "fd" },
	};
	g_autofree char *target = drive_target(disk);

	for (size_t i = 0; spec->iface && i < G_N_ELEMENTS(buses); i++) {
		char name[] = { buses[i].prefix[0], buses[i].prefix[1], (char)('a' + spec->index % 26), '\0' };

		if (!strcmp(buses[i].iface, spec->iface) && !g_strcmp0(target, name))
			return true;
	}
	return false;
}

/* The drive at that place; without a place, or when no drive is there (machines of ours have no IDE but SATA), the only one. */
static xmlNode *find_drive(const struct live *live, const char *kind, const struct drive_spec *spec, GError **error)
{
	xmlNode *only = NULL;
	unsigned n = 0;

	for XML_EACH(disk, live->devices, "disk") {
		if (!xml_is(disk, "device", kind))
			continue;
		if ((spec->index >= 0 && has_place(disk, spec)) || (spec->name && xml_is(xml_child(disk, "target"), "dev", spec->name)))
			return disk;
		only = disk;
		n++;
	}
	if (n == 1 && !spec->name)
		return only;
	error_set(error, ERR_CHANGE_DISK_FAILED, n ? "VM %s has %u drives of type %s, and none of them is meant" : "VM %s has no drive (%u) of type %s",
		  live->vm->id, n, kind);
	return NULL;
}

/* The drive's XML with that in it; path NULL: empty. g_free */
static char *with_medium(const xmlNode *drive, const char *path, const char *format, bool block)
{
	g_autofree char *text = xml_to_text((xmlNode *)drive);
	g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), NULL);
	xmlNode *disk = xmlDocGetRootElement(doc), *driver = xml_child(disk, "driver");

	xml_remove(xml_child(disk, "source"));
	xml_remove(xml_child(disk, "backingStore"));
	xml_set(disk, "type", block ? "block" : "file");
	if (path)
		xml_add_with(disk, "source", block ? "dev" : "file", path, "startupPolicy", "optional", NULL);
	if (path && driver)
		xml_set(driver, "type", format);
	return xml_to_text(disk);
}

static void keep_ids(const struct live *live, const xmlNode *drive, const struct drive_spec *spec)
{
	const char *const values[] = { spec->pool, spec->domain, spec->image, spec->volume };
	xmlNode *kept = live_kept(live, drive, /* make= */ spec->image != NULL);

	for (size_t i = 0; kept && i < G_N_ELEMENTS(ids); i++) {
		xml_remove(xml_child(kept, ids[i]));
		if (spec->image && values[i])
			vm_metadata_set(kept, ids[i], NULL, values[i]);
	}
}

static bool change_to(struct live *live, const char *verb, const struct media_params *params, const xmlNode *drive, const struct drive_spec *spec,
		      GError **error)
{
	g_autofree char *target = drive_target(drive), *old = drive_path(drive), *path = NULL, *xml = NULL;
	const char *format = NULL;
	bool block = false, good;

	if (!drive_prepare(live->vm->vms->agent, live->vm->id, spec, &path, &format, &block, error) || !live_begin(live, verb, params, error))
		return false;
	xml = with_medium(drive, path, format, block);
	good = !g_strcmp0(old, path) ||
	       virDomainUpdateDeviceFlags(live->domain, xml, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_DEVICE_MODIFY_FORCE) == 0;
	fault_point("medium: changed");
	if (good)
		keep_ids(live, drive, spec);
	else
		live_failed(live, error, ERR_CHANGE_DISK_FAILED, "drive '%s'", target);
	good = live_end(live, good ? error : NULL) && good;
	return good && live_read(live, error);
}

static bool change_medium(struct live *live, const char *verb, const char *kind, const struct media_params *params, GError **error)
{
	AUTO_DRIVE spec = { .index = -1 };
	xmlNode *drive;

	return drive_spec_read(params->drive, &spec, error) && (drive = find_drive(live, kind, &spec, error)) &&
	       change_to(live, verb, params, drive, &spec, error);
}

bool media_redo(struct live *live, const void *params, GError **error)
{
	bool floppy = xml_is(xml_child(live->metadata, "change"), "verb", "VM.changeFloppy");

	return change_medium(live, floppy ? "VM.changeFloppy" : "VM.changeCD", floppy ? "floppy" : "cdrom", params, error);
}

static bool verb(struct agent *agent, const char *name, const char *kind, const struct media_params *params, GString *ret_result, GError **error)
{
	AUTO_LIVE live = live_open_id(agent, params->vm_id, error);

	if (!live || !change_medium(live, name, kind, params, error))
		return false;
	live_answer_empty(ret_result);
	return true;
}

bool change_cd_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return verb(agent, "VM.changeCD", "cdrom", params, ret_result, error);
}

bool change_floppy_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return verb(agent, "VM.changeFloppy", "floppy", params, ret_result, error);
}
