/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of hot plug: which device is meant, for each sort in its two forms. What is done with it: hotplug.c. */
#define LOG_MODULE "virt"
#include <stdio.h>
#include <string.h>
#include "agent/virt/backup/backup.h"
#include "agent/virt/change/hotplug.h"
#include "agent/virt/change/nic.h"
#include "agent/virt/disk/drive.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/device.h"

static const struct plug_kind disk_kind = {
	.element = "disk", .plug_failed = ERR_HOTPLUG_DISK_FAILED, .unplug_failed = ERR_HOTUNPLUG_DISK_FAILED,
	.plug = { "before_disk_hotplug", "after_disk_hotplug", NULL }, .unplug = { "before_disk_hotunplug", "after_disk_hotunplug", NULL },
};
const struct plug_kind plug_nic = {
	.element = "interface", .plug_failed = ERR_HOTPLUG_NIC_FAILED, .unplug_failed = ERR_HOTUNPLUG_NIC_FAILED,
	.plug = { "before_nic_hotplug", "after_nic_hotplug", "after_nic_hotplug_fail" },
	.unplug = { "before_nic_hotunplug", "after_nic_hotunplug", "after_nic_hotunplug_fail" }, .plugged = nic_plugged, .unplugged = nic_unplugged,
};
static const struct plug_kind memory_kind = {
	.element = "memory", .plug_failed = ERR_HOTPLUG_MEM_FAILED, .unplug_failed = ERR_HOTUNPLUG_MEM_FAILED,
	.plug = { "before_memory_hotplug", "after_memory_hotplug", NULL },
};
static const struct plug_kind lease_kind = { .element = "lease", .plug_failed = ERR_HOTPLUG_LEASE_FAILED, .unplug_failed = ERR_HOTUNPLUG_LEASE_FAILED };
/* vdsm has one code for both ways */
static const struct plug_kind hostdev_kind = { .element = "hostdev", .plug_failed = ERR_HOSTDEV_DETACH_FAILED, .unplug_failed = ERR_HOSTDEV_DETACH_FAILED };

/* ---- which device ---- */

/* The VM, when what is in params is meant for it. */
static struct live *open_for(struct agent *agent, const struct plug_params *p, const struct vm_device *device, const char *member, GError **error)
{
	if (p->params->vm_id && strcmp(p->params->vm_id, p->vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "params/vmId is '%s', not vmID '%s'", p->params->vm_id, p->vm_id);
		return NULL;
	}
	if (!p->params->xml == !device) {
		error_set(error, ERR_INVALID_PARAMETER, "params: either xml or %s is needed, and not both", member);
		return NULL;
	}
	return live_open_id(agent, p->vm_id, error);
}

/* XML of an engine, fitted to this host. */
static bool wish_from_xml(struct live *live, const struct plug_kind *kind, const char *xml, struct plug_wish *ret_wish, GError **error)
{
	struct vm_xml_env env;
	AUTO_WISH wish = { 0 };

	if (!plug_wish_parse(xml, kind->element, &wish, error))
		return false;
	vm_xml_env(live->vm->vms->agent, live->vm->id, &env);
	if (!domain_xml_fit(wish.device, wish.metadata, NULL, &env.env, error))
		return false;
	*ret_wish = wish;
	wish.doc = NULL;
	return true;
}

/* By the alias that was given, or the one that our devices have by their id. */
static xmlNode *by_alias(const struct live *live, const char *element, const struct vm_device *device)
{
	g_autofree char *own = device->device_id ? g_strconcat("ua-", device->device_id, NULL) : NULL;
	xmlNode *found = device->alias ? live_alias(live, element, device->alias) : NULL;

	return found || !own ? found : live_alias(live, element, own);
}

static xmlNode *by_xml(const struct live *live, const struct plug_kind *kind, const char *xml, GError **error)
{
	AUTO_WISH wish = { 0 };
	g_autofree char *alias = NULL, *image = NULL;
	xmlNode *found = NULL;

	if (!plug_wish_parse(xml, kind->element, &wish, error))
		return NULL;
	alias = xml_get(xml_child(wish.device, "alias"), "name");
	if (alias)
		found = live_alias(live, kind->element, alias);
	if (!found)
		found = live_same(live, wish.device);
	image = vm_metadata_get(live_kept_in(wish.metadata, wish.device, /* make= */ false), "imageID");
	if (!found && image)
		found = drive_find(live, &(struct drive_spec){ .image = image, .index = -1 });
	if (!found)
		error_set(error, kind->unplug_failed, "VM %s has no such %s '%s'", live->vm->id, kind->element, alias ? alias : "");
	return found;
}

static xmlNode *by_mac(const struct live *live, const struct vm_device *device)
{
	for XML_EACH(nic, live->devices, "interface") {
		g_autofree char *mac = live_identity(nic);

		if (mac && device->mac_addr && !g_ascii_strcasecmp(mac, device->mac_addr))
			return nic;
	}
	return NULL;
}

static xmlNode *by_parameters(const struct live *live, const struct plug_kind *kind, const struct vm_device *d, GError **error)
{
	const struct drive_spec spec = { .image = d->image_id, .path = d->path, .index = -1 };
	xmlNode *found = by_alias(live, kind->element, d);

	if (!found && kind == &plug_nic)
		found = by_mac(live, d);
	if (!found && kind == &disk_kind)
		found = drive_find(live, &spec);
	if (!found)
		error_set(error, kind->unplug_failed, "VM %s has no such %s", live->vm->id, kind->element);
	return found;
}

/* ---- disks, NICs, memory ---- */

/* The wish of either form. That its network is not here is the failure of the verb, as with vdsm. */
static bool make_wish(struct live *live, const struct plug_kind *kind, const struct vm_device *device, const char *xml, struct plug_wish *ret_wish,
		      GError **error)
{
	if (device ? plug_wish_build(live, kind->element, device, ret_wish, error) : wish_from_xml(live, kind, xml, ret_wish, error))
		return true;
	live_recode(error, ERR_BAD_BRIDGE, kind->plug_failed);
	return false;
}

static bool plug(struct agent *agent, const struct plug_params *p, const struct plug_kind *kind, const struct vm_device *device, const char *member,
		 struct live **ret_live, xmlNode **ret_device, GError **error)
{
	AUTO_LIVE live = open_for(agent, p, device, member, error);
	AUTO_WISH wish = { 0 };

	if (!live || !make_wish(live, kind, device, p->params->xml, &wish, error) || !plug_in(live, kind, &wish, ret_device, error))
		return false;
	*ret_live = g_steal_pointer(&live);
	return true;
}

static bool check_no_backup(const struct live *live, const xmlNode *disk, GError **error)
{
	g_autofree char *target = drive_target(disk);

	return !target || backup_allows(live->vm, target, ERR_HOTUNPLUG_DISK_FAILED, "unplugged", error);
}

static bool unplug(struct agent *agent, const struct plug_params *p, const struct plug_kind *kind, const struct vm_device *device, const char *member,
		   struct live **ret_live, GError **error)
{
	AUTO_LIVE live = open_for(agent, p, device, member, error);
	xmlNode *found = !live ? NULL : device ? by_parameters(live, kind, device, error) : by_xml(live, kind, p->params->xml, error);

	if (!found || (kind == &disk_kind && !check_no_backup(live, found, error)) || !plug_out(live, kind, found, error))
		return false;
	*ret_live = g_steal_pointer(&live);
	return true;
}

bool hotplug_disk_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct plug_params *p = params;
	AUTO_LIVE live = NULL;

	if (!plug(agent, p, &disk_kind, p->params->drive, "drive", &live, NULL, error))
		return false;
	live_answer_empty(ret_result);
	return true;
}

bool hotunplug_disk_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct plug_params *p = params;
	AUTO_LIVE live = NULL;

	if (!unplug(agent, p, &disk_kind, p->params->drive, "drive", &live, error))
		return false;
	live_answer_empty(ret_result);
	return true;
}

bool hotplug_nic_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct plug_params *p = params;
	g_autofree char *mac = NULL, *alias = NULL, *xml = NULL;
	AUTO_LIVE live = NULL;
	xmlNode *nic;

	if (!plug(agent, p, &plug_nic, p->params->nic, "nic", &live, &nic, error))
		return false;
	mac = live_identity(nic);
	alias = xml_get(xml_child(nic, "alias"), "name");
	xml = vm_xml(live->vm);
	result_json(ret_result, json_pack("{s:[{s:s, s:s?}], s:s}", "devices", "macAddr", mac, "alias", alias, "xml", xml));
	return true;
}

bool hotunplug_nic_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct plug_params *p = params;
	AUTO_LIVE live = NULL;

	if (!unplug(agent, p, &plug_nic, p->params->nic, "nic", &live, error))
		return false;
	live_answer_empty(ret_result);
	return true;
}

/* What the VM is sure to have goes with its memory. */
static void guarantee(struct live *live, const struct plug *p)
{
	struct vm_params *params = HAS(p, mem_guaranteed) ? vm_metadata_params(live->metadata) : NULL;
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	char number[24];

	if (!params)
		return;
	SET(params, mem_guaranteed, p->mem_guaranteed);
	text = record_to_text(params, RECORD_CHANNEL);
	g_snprintf(number, sizeof(number), "%" G_GINT64_FORMAT, p->mem_guaranteed);
	vm_metadata_set(live->metadata, "parameters", "json", text);
	vm_metadata_set(live->metadata, "minGuaranteedMemoryMb", "int", number);
	if (!live_keep(live, &error))
		log_warn("VM %s: its guaranteed memory stays as it was: %s", live->vm->id, error->message);
	{
		AUTO_LOCK(&live->vm->vms->lock);
		record_unref(live->vm->params);
		live->vm->params = params;
	}
}

bool hotplug_memory_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct plug_params *p = params;
	AUTO_LIVE live = NULL;

	if (!plug(agent, p, &memory_kind, p->params->memory, "memory", &live, NULL, error))
		return false;
	guarantee(live, p->params);
	live_answer_empty(ret_result);
	return true;
}

bool hotunplug_memory_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct plug_params *p = params;
	AUTO_LIVE live = NULL;

	if (!unplug(agent, p, &memory_kind, p->params->memory, "memory", &live, error))
		return false;
	guarantee(live, p->params);
	return true;
}

/* ---- leases ---- */

bool hotplug_lease_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct lease_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);
	AUTO_WISH wish = { 0 };

	if (live && plug_wish_build(live, "lease", p->lease, &wish, error) && plug_in(live, &lease_kind, &wish, NULL, error)) {
		live_answer_empty(ret_result);
		return true;
	}
	live_recode(error, ERR_CANNOT_CREATE_VM, ERR_HOTPLUG_LEASE_FAILED);
	return false;
}

bool hotunplug_lease_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct lease_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);
	g_autofree char *identity = g_strdup_printf("%s/%s", p->lease->sd_id ? p->lease->sd_id : "", p->lease->lease_id ? p->lease->lease_id : "");
	xmlNode *found = NULL;

	if (!live)
		return false;
	for XML_EACH(lease, live->devices, "lease") {
		g_autofree char *other = live_identity(lease);

		if (!g_strcmp0(other, identity))
			found = lease;
	}
	if (!found) {
		error_set(error, ERR_HOTUNPLUG_LEASE_FAILED, "VM %s has no lease '%s'", live->vm->id, identity);
		return false;
	}
	if (!plug_out(live, &lease_kind, found, error))
		return false;
	live_answer_empty(ret_result);
	return true;
}

/* ---- devices of the host ---- */

static bool build_hostdev(struct live *live, const char *name, struct plug_wish *ret_wish, GError **error)
{
	struct vm_device *device = record_new(&vm_device_type);
	bool good;

	set_string(&device->device, name);
	good = plug_wish_build(live, "hostdev", device, ret_wish, error);
	record_unref(device);
	if (good && !ret_wish->device) {
		error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s' cannot be given alone", name);
		plug_wish_clear(ret_wish);
		good = false;
	}
	return good;
}

/* Numbers may be written in more than one way. */
static bool same_text(const char *a, const char *b)
{
	return a && b && (!g_ascii_strcasecmp(a, b) || (g_ascii_isdigit(*a) && g_ascii_isdigit(*b) && g_ascii_strtoull(a, NULL, 0) == g_ascii_strtoull(b, NULL, 0)));
}

/* Does the source of b say all that the one of a says? */
static bool same_source(const xmlNode *a, const xmlNode *b)
{
	for (const xmlAttr *attribute = a->properties; attribute; attribute = attribute->next) {
		g_autofree char *left = xml_get(a, (const char *)attribute->name), *right = xml_get(b, (const char *)attribute->name);

		if (strcmp((const char *)attribute->name, "type") && !same_text(left, right))
			return false;
	}
	for XML_EACH(child, a, NULL) {
		xmlNode *other = xml_child(b, (const char *)child->name);

		if (!other || !same_source(child, other))
			return false;
	}
	return true;
}

static xmlNode *find_hostdev(const struct live *live, const xmlNode *wanted)
{
	xmlNode *source = xml_child(wanted, "source");

	for XML_EACH(device, live->devices, "hostdev")
		if (source && xml_child(device, "source") && same_source(source, xml_child(device, "source")))
			return device;
	return NULL;
}

/* One name after the other; the first error is the answer when none went. */
static bool each_hostdev(struct live *live, const GPtrArray *names, bool (*fn)(struct live *live, const char *name, GError **error), GString *ret_result,
			 GError **error)
{
	g_autoptr(GError) first = NULL;
	json_t *done = json_array();

	for (guint i = 0; i < names->len; i++) {
		g_autoptr(GError) cause = NULL;

		if (fn(live, names->pdata[i], &cause)) {
			json_array_append_new(done, json_string(names->pdata[i]));
		} else {
			log_warn("VM %s: host device '%s': %s", live->vm->id, (char *)names->pdata[i], cause->message);
			if (!first)
				first = g_steal_pointer(&cause);
		}
	}
	if (!json_array_size(done) && first) {
		json_decref(done);
		g_propagate_error(error, g_steal_pointer(&first));
		return false;
	}
	result_json(ret_result, done);
	return true;
}

static bool plug_hostdev(struct live *live, const char *name, GError **error)
{
	AUTO_WISH wish = { 0 };

	if (!build_hostdev(live, name, &wish, error))
		return false;
	if (find_hostdev(live, wish.device)) {
		error_set(error, ERR_HOSTDEV_DETACH_FAILED, "VM %s has host device '%s' already", live->vm->id, name);
		return false;
	}
	return plug_in(live, &hostdev_kind, &wish, NULL, error);
}

static bool unplug_hostdev(struct live *live, const char *name, GError **error)
{
	AUTO_WISH wish = { 0 };
	xmlNode *device;

	if (!build_hostdev(live, name, &wish, error))
		return false;
	device = find_hostdev(live, wish.device);
	if (!device) {
		error_set(error, ERR_HOSTDEV_DETACH_FAILED, "VM %s does not have host device '%s'", live->vm->id, name);
		return false;
	}
	return plug_out(live, &hostdev_kind, device, error);
}

bool hotplug_hostdev_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct hostdev_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);

	return live && each_hostdev(live, p->devices, plug_hostdev, ret_result, error);
}

bool hotunplug_hostdev_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct hostdev_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);

	return live && each_hostdev(live, p->devices, unplug_hostdev, ret_result, error);
}
