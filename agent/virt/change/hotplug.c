/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot plug.
 *
 *   in    the wish (XML fitted to this host, or parameters as VM.create takes them) -> before_X_hotplug, which may change it and may fail
 *         -> metadata -> attach -> what the sort of device needs besides -> after_X_hotplug, or after_X_hotplug_fail with everything undone
 *   out   the device is found -> before_X_hotunplug, which may fail -> the guest is asked to let go -> it did -> metadata -> after_X_hotunplug
 *
 * Why metadata come first and go last: live.c. The guest is given [vm] unplug_timeout to let go. One that refuses, or does not answer, keeps the
 * device, and so does the VM: the verb fails, and nothing has changed. If the guest lets go later, the device's metadata are forgotten then.
 *
 * Scripts see the device's XML and its custom properties. One that is named by the caller's alias ("ua-...") keeps that name.
 */
#define LOG_MODULE "virt"
#include "agent/virt/change/hotplug.h"

#include <libvirt/virterror.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/virt/disk/disk_rest.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/news.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"

/* ---- wishes ---- */

void plug_wish_clear(struct plug_wish *wish)
{
	if (wish->doc)
		xmlFreeDoc(wish->doc);
	*wish = (struct plug_wish){ 0 };
}

bool plug_wish_parse(const char *xml, const char *element, struct plug_wish *ret_wish, GError **error)
{
	AUTO_WISH wish = { 0 };
	g_autoptr(GError) cause = NULL;
	xmlNode *root;

	wish.doc = xml_parse(xml, strlen(xml), &cause);
	if (!wish.doc) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: %s", cause->message);
		return false;
	}
	root = xmlDocGetRootElement(wish.doc);
	wish.device = xml_child(xml_child(root, "devices"), NULL);
	if (!wish.device || xml_next(wish.device, NULL)) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: <devices> must hold exactly one device");
		return false;
	}
	if (strcmp((const char *)wish.device->name, element)) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: the device is a <%s>, not a <%s>", wish.device->name, element);
		return false;
	}
	wish.metadata = vm_metadata_make(root);
	*ret_wish = wish;
	wish.doc = NULL;
	return true;
}

/* A NIC without an address would get one from libvirt, too late to be known by it. */
static void give_address(const struct live *live, xmlNode *device)
{
	xmlNode *mac = xml_child(device, "mac");
	g_autofree char *given = xml_get(mac, "address"), *made = NULL;

	if (strcmp((const char *)device->name, "interface") || (given && *given))
		return;
	made = vm_new_mac(live->vm->vms);
	if (!mac)
		mac = xml_add(device, "mac");
	xml_set(mac, "address", made);
}

bool plug_wish_build(struct live *live, const char *type, const struct vm_device *device, struct plug_wish *ret_wish, GError **error)
{
	struct vm_device *d = record_copy(device);
	struct vm_xml_env env;
	AUTO_SCOPE scope = NULL;
	AUTO_WISH wish = { .doc = xmlNewDoc((const xmlChar *)"1.0") };
	xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"domain"), *devices = xml_add(root, "devices");
	bool good;

	xmlDocSetRootElement(wish.doc, root);
	wish.metadata = vm_metadata_make(root);
	vm_xml_env(live->vm->vms->agent, live->vm->id, &env);
	scope = device_scope_new(&env.env, NULL, live->root);
	set_string(&d->type, type);
	if (!strcmp(type, "interface") && !d->mac_addr)
		d->mac_addr = vm_new_mac(live->vm->vms);
	good = domain_xml_device(d, devices, wish.metadata, scope, error);
	record_unref(d);
	if (!good)
		return false;
	wish.device = xml_child(devices, NULL);
	*ret_wish = wish;
	wish.doc = NULL;
	return true;
}

/* ---- hooks ---- */

/* Puts what the scripts made of it in the device's place. */
static bool replace_device(struct plug_wish *wish, const char *text, const char *point, GError **error)
{
	g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), NULL);
	xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *kept = live_kept_in(wish->metadata, wish->device, /* make= */ false), *changed;

	if (!root || strcmp((const char *)root->name, (const char *)wish->device->name)) {
		error_set(error, ERR_HOOK_ERROR, "%s left what is not the XML of a <%s>", point, wish->device->name);
		return false;
	}
	changed = xmlDocCopyNode(root, wish->doc, 1);
	xmlReplaceNode(wish->device, changed);
	xmlFreeNode(wish->device);
	wish->device = changed;
	live_kept_follow(kept, changed);
	return true;
}

static bool hook_before(struct live *live, const char *point, xmlNode *device, const json_t *custom, char **ret_changed, GError **error)
{
	g_autofree char *xml = point ? xml_to_text(device) : NULL;

	return !point || vm_hook(live->vm, point, xml, custom, ret_changed, error);
}

static void hook_after(struct live *live, const char *point, const char *xml, const json_t *custom)
{
	if (point)
		(void)vm_hook(live->vm, point, xml, custom, NULL, NULL);
}

/* ---- in ---- */

/* What the wish says of the device becomes part of the VM's metadata; false: it says nothing. */
static bool keep_kept(struct live *live, const struct plug_wish *wish)
{
	xmlNode *kept = live_kept_in(wish->metadata, wish->device, /* make= */ false);

	xml_remove(live_kept(live, wish->device, /* make= */ false));         /* of one that is long gone */
	if (kept)
		xmlAddChild(live->metadata, xmlDocCopyNode(kept, live->doc, 1));
	return kept;
}

/* What libvirt does not do for it; when that fails, the device is taken out again. */
static bool finish(struct live *live, const struct plug_kind *kind, const struct plug_wish *wish, xmlNode **ret_device, GError **error)
{
	const struct plug_kind quiet = { .element = kind->element, .unplug_failed = kind->unplug_failed, .unplugged = kind->unplugged };
	xmlNode *device = live_same(live, wish->device);
	g_autoptr(GError) cause = NULL;
	const char *but = "";

	if (!kind->plugged || !device || kind->plugged(live, device, &cause)) {
		*ret_device = device;
		return true;
	}
	if (!plug_out(live, &quiet, device, NULL))
		but = "; it is there, and cannot be taken out again";
	error_set(error, kind->plug_failed, "%s: %s%s", kind->element, cause->message, but);
	return false;
}

static bool attach(struct live *live, const struct plug_kind *kind, const struct plug_wish *wish, const char *xml, xmlNode **ret_device, GError **error)
{
	g_autofree char *identity = live_identity(wish->device);
	bool kept;

	if (live_same(live, wish->device)) {
		error_set(error, kind->plug_failed, "VM %s has a %s '%s' already", live->vm->id, kind->element, identity);
		return false;
	}
	kept = keep_kept(live, wish);
	if (kept && !live_keep(live, error))
		return false;
	fault_point("plug: kept");
	if (virDomainAttachDeviceFlags(live->domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		live_failed(live, error, kind->plug_failed, "%s %s", kind->element, identity ? identity : "");
		xml_remove(live_kept(live, wish->device, /* make= */ false));
		if (kept)
			(void)live_keep(live, NULL);
		return false;
	}
	fault_point("plug: attached");
	return live_read(live, error) && finish(live, kind, wish, ret_device, error);
}

/* It did not become the VM's: what was made ready for it is not needed. */
static void rest(struct live *live, const struct plug_wish *wish)
{
	g_autoptr(GPtrArray) gone = disk_gone_new();

	disk_gone_add(gone, live_kept_in(wish->metadata, wish->device, /* make= */ false));
	if (live_read(live, NULL))
		disk_gone_rest(live, gone);
}

bool plug_in(struct live *live, const struct plug_kind *kind, struct plug_wish *wish, xmlNode **ret_device, GError **error)
{
	json_t *custom = vm_metadata_custom(live_kept_in(wish->metadata, wish->device, /* make= */ false));
	g_autofree char *changed = NULL, *xml = NULL;
	xmlNode *device = NULL;
	bool good;

	give_address(live, wish->device);
	good = hook_before(live, kind->plug.before, wish->device, custom, &changed, error) &&
	       (!changed || replace_device(wish, changed, kind->plug.before, error));
	if (good) {
		give_address(live, wish->device);             /* it may be another one now */
		xml = xml_to_text(wish->device);
		log_info("VM %s: plugging in %s", live->vm->id, xml);
		good = attach(live, kind, wish, xml, &device, error);
		hook_after(live, good ? kind->plug.after : kind->plug.failed, xml, custom);
	}
	json_decref(custom);
	if (good && ret_device)
		*ret_device = device;
	if (!good)
		rest(live, wish);
	return good;
}

/* ---- out ---- */

static bool is_gone(struct live *live, const char *element, const char *alias)
{
	return live_read(live, NULL) && !live_alias(live, element, alias);
}

/* Until the guest let go, refused, or did not answer. */
static bool wait_gone(struct live *live, const struct plug_kind *kind, struct news_wait *news, const char *alias, GError **error)
{
	int seconds = config_int(live->vm->vms->agent->config, "vm", "unplug_timeout");
	g_autoptr(GError) cause = NULL;
	enum news_kind told;

	if (!news_next(news, seconds * (int64_t)G_USEC_PER_SEC, &told, NULL, &cause)) {
		if (error_is(cause, ERR_VM_IS_DOWN)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		if (is_gone(live, kind->element, alias))       /* the news were lost with a connection */
			return true;
		error_set(error, kind->unplug_failed, "the guest of VM %s has not let go of '%s' within %d s", live->vm->id, alias, seconds);
		return false;
	}
	if (told == NEWS_DEVICE_REMOVED)
		return true;
	error_set(error, kind->unplug_failed, "the guest of VM %s refuses to let go of '%s'", live->vm->id, alias);
	return false;
}

static bool is_paused(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_PAUSED;
}

static bool detach(struct live *live, const struct plug_kind *kind, xmlNode *device, GError **error)
{
	g_autofree char *alias = xml_get(xml_child(device, "alias"), "name"), *xml = xml_to_text(device);
	AUTO_NEWS news = NULL;

	if (!alias) {           /* nothing that the guest sees: at once */
		if (virDomainDetachDeviceFlags(live->domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
			return true;
		live_failed(live, error, kind->unplug_failed, "%s", kind->element);
		return false;
	}
	if (is_paused(live->vm)) {
		error_set(error, kind->unplug_failed, "VM %s is paused: its guest cannot let go of '%s'", live->vm->id, alias);
		return false;
	}
	news = news_wait_new(live->vm, alias);
	if (virDomainDetachDeviceAlias(live->domain, alias, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		live_failed(live, error, kind->unplug_failed, "'%s'", alias);
		return false;
	}
	fault_point("unplug: asked");
	return wait_gone(live, kind, news, alias, error);
}

static bool take_out(struct live *live, const struct plug_kind *kind, xmlNode *device, GError **error)
{
	g_autofree char *xml = xml_to_text(device);
	g_autoptr(xmlDoc) copy = xml_parse(xml, strlen(xml), NULL);
	g_autoptr(GPtrArray) gone = disk_gone_new();
	xmlNode *kept;

	if (!detach(live, kind, device, error))
		return false;
	fault_point("unplug: gone");
	if (kind->unplugged)
		kind->unplugged(live);
	kept = live_kept(live, xmlDocGetRootElement(copy), /* make= */ false);
	disk_gone_add(gone, kept);
	xml_remove(kept);
	if (kept && !live_keep(live, error))
		return false;
	fault_point("unplug: forgotten");
	if (!live_read(live, error))
		return false;
	disk_gone_rest(live, gone);
	return true;
}

bool plug_out(struct live *live, const struct plug_kind *kind, xmlNode *device, GError **error)
{
	json_t *custom = vm_metadata_custom(live_kept(live, device, /* make= */ false));
	g_autofree char *xml = xml_to_text(device);
	bool good;

	good = hook_before(live, kind->unplug.before, device, custom, NULL, error);
	if (good) {
		log_info("VM %s: taking out %s", live->vm->id, xml);
		good = take_out(live, kind, device, error);
		hook_after(live, good ? kind->unplug.after : kind->unplug.failed, xml, custom);
	}
	json_decref(custom);
	return good;
}
