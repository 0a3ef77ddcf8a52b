/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing a running VM so that it is always whole.
 *
 * What runs is the truth: which devices there are, libvirt says. What only we know of them (ids of the volume, the network, custom properties) is in
 * the domain's metadata. The two are changed by two calls, and the agent may die in between:
 *
 *   plug       metadata -> attach                    dead in between: metadata of a device that is not there
 *   unplug     detach -> the device is gone -> metadata       the same
 *   the guest lets a device go after we stopped waiting       the same
 *
 * so one rule heals all: metadata of a device that is not there are forgotten (live_settle()). Before it believes that a device is missing it writes
 * the metadata as they are, which libvirt does only when an attach that was under way is through; then it looks again.
 *
 * A verb that changes several things of what is there already (link, network and mirroring of a NIC; a medium and its ids) writes first what it was asked for:
 *
 *	<ovirt-vm:change type="json" verb="VM.changeCD">{parameters}</ovirt-vm:change>
 *
 * and removes it with the last step, whether it was done or undone. Found at a start of the agent, it is done again, from its beginning, which does no
 * harm where it was done already; it was never acknowledged, so that both would be right, but half of it would not. The same happens when libvirt
 * went away in the middle: the caller was told that it is not known what came of it.
 *
 * All this is on the VM's lane, so at most one change is under way for each VM.
 */
#define LOG_MODULE "virt"
#include "agent/virt/change/live.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/virt/change/nic.h"
#include "agent/virt/disk/disk_rest.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

#define METADATA_PREFIX "ovirt-vm"

static const struct { const char *verb; live_redo redo; } changes[] = {
	{ "VM.changeCD", media_redo }, { "VM.changeFloppy", media_redo }, { "VM.updateDevice", nic_redo }, { "VM.setIoTune", io_tune_redo },
};

/* ---- the domain ---- */

static bool check_not_migrating(struct vm *vm, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status != VM_WIRE_MIGRATION_SOURCE && vm->status != VM_WIRE_MIGRATION_DESTINATION && vm->status != VM_WIRE_SAVING)
		return true;
	error_set(error, ERR_MIGRATION_IN_PROGRESS, "VM %s is in state '%s'", vm->id, vm_wire_status_names[vm->status]);
	return false;
}

struct live *live_open(struct vm *vm, GError **error)
{
	AUTO_LIVE live = g_new0(struct live, 1);

	live->vm = vm_ref(vm);
	if (!check_not_migrating(vm, error) || !(live->domain = vm_domain(vm, error)) || !live_read(live, error))
		return NULL;
	return g_steal_pointer(&live);
}

struct live *live_open_id(struct agent *agent, const char *vm_id, GError **error)
{
	AUTO_VM vm = vms_find(agent->vms, vm_id, error);

	return vm ? live_open(vm, error) : NULL;
}

struct live *live_free(struct live *live)
{
	if (!live)
		return NULL;
	if (live->doc)
		xmlFreeDoc(live->doc);
	if (live->domain)
		virDomainFree(live->domain);
	vm_unref(live->vm);
	g_free(live);
	return NULL;
}

bool live_read(struct live *live, GError **error)
{
	char *text = vm_read_xml(live->vm, live->domain);
	xmlDoc *doc;

	if (!text) {
		libvirt_error_set(error, libvirt_error_code() == VIR_ERR_NO_DOMAIN ? ERR_VM_IS_DOWN : ERR_UNEXPECTED_ERROR, "VM %s", live->vm->id);
		return false;
	}
	doc = xml_parse(text, strlen(text), error);
	free(text);
	if (!doc)
		return false;
	if (live->doc)
		xmlFreeDoc(live->doc);
	live->doc = doc;
	live->root = xmlDocGetRootElement(doc);
	live->devices = xml_child(live->root, "devices");
	live->metadata = vm_metadata_make(live->root);
	return true;
}

/* libvirt puts its own declaration of the namespace in. */
static void drop_namespace(xmlNode *node)
{
	xmlSetNs(node, NULL);
	xmlFreeNsList(node->nsDef);
	node->nsDef = NULL;
	for (xmlNode *child = node->children; child; child = child->next)
		if (child->type == XML_ELEMENT_NODE)
			drop_namespace(child);
}

bool live_keep(struct live *live, GError **error)
{
	xmlNode *copy = xmlDocCopyNode(live->metadata, live->doc, 1);
	g_autofree char *text = NULL;
	int r;

	drop_namespace(copy);
	text = xml_to_text(copy);
	xmlFreeNode(copy);
	r = virDomainSetMetadata(live->domain, VIR_DOMAIN_METADATA_ELEMENT, text, METADATA_PREFIX, METADATA_NS, VIR_DOMAIN_AFFECT_LIVE);
	if (r < 0)
		live_failed(live, error, ERR_UNEXPECTED_ERROR, "keep what is known of it");
	return r == 0;
}

void live_failed(const struct live *live, GError **error, enum error_code code, const char *format, ...)
{
	g_autoptr(GError) cause = NULL;
	g_autofree char *what = NULL;
	bool gone = libvirt_error_code() == VIR_ERR_NO_DOMAIN;
	va_list arguments;

	va_start(arguments, format);
	what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	libvirt_error_set(&cause, code, "VM %s: %s", live->vm->id, what);         /* first: the next call forgets what libvirt said */
	if (gone)
		error_set(error, ERR_VM_IS_DOWN, "{'vmId': '%s'}", live->vm->id);
	else if (virConnectIsAlive(virDomainGetConnect(live->domain)) == 1)
		g_propagate_error(error, g_steal_pointer(&cause));
	else
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "VM %s: %s: libvirt went away; what came of it is seen when it is back", live->vm->id, what);
}

void live_recode(GError **error, enum error_code from, enum error_code to)
{
	g_autoptr(GError) cause = NULL;

	if (!error || !error_is(*error, from))
		return;
	cause = g_steal_pointer(error);
	error_set(error, to, "%s", cause->message);
}

/* ---- devices ---- */

xmlNode *live_alias(const struct live *live, const char *element, const char *alias)
{
	for XML_EACH(device, live->devices, element)
		if (xml_is(xml_child(device, "alias"), "name", alias))
			return device;
	return NULL;
}

/* How a sort of device is told apart: child and attribute in <devices>, attribute in the metadata. The last holds for all others. */
static const struct sort { const char *element, *child, *attribute, *kept_as; } sorts[] = {
	{ "disk", "target", "dev", "name" }, { "interface", "mac", "address", "mac_address" }, { NULL, "alias", "name", "alias" },
};

static const struct sort *sort_of(const xmlNode *device)
{
	const struct sort *sort = sorts;

	while (sort->element && strcmp(sort->element, (const char *)device->name))
		sort++;
	return sort;
}

char *live_identity(const xmlNode *device)
{
	const struct sort *sort = sort_of(device);
	char *value;

	if (!strcmp((const char *)device->name, "lease")) {
		g_autofree char *space = xml_text(xml_child(device, "lockspace")), *key = xml_text(xml_child(device, "key"));

		return space && key ? g_strconcat(space, "/", key, NULL) : NULL;
	}
	value = xml_get(xml_child(device, sort->child), sort->attribute);
	if (value && !strcmp(sort->kept_as, "mac_address")) {
		char *mac = g_ascii_strdown(value, -1);

		g_free(value);
		return mac;
	}
	return value;
}

static xmlNode *find_device(const xmlNode *devices, const char *element, const char *identity)
{
	for XML_EACH(device, devices, element) {
		g_autofree char *other = live_identity(device);

		if (other && !g_ascii_strcasecmp(identity, other))
			return device;
	}
	return NULL;
}

xmlNode *live_same(const struct live *live, const xmlNode *device)
{
	g_autofree char *identity = live_identity(device);

	return identity ? find_device(live->devices, (const char *)device->name, identity) : NULL;
}

xmlNode *live_kept_in(xmlNode *metadata, const xmlNode *device, bool make)
{
	g_autofree char *identity = live_identity(device);
	const char *attribute = sort_of(device)->kept_as;

	if (!identity || !metadata)
		return NULL;
	for XML_EACH(node, metadata, "device") {
		g_autofree char *other = xml_get(node, attribute);

		if (other && !g_ascii_strcasecmp(identity, other))
			return node;
	}
	return make ? vm_metadata_add_device(metadata, (const char *)device->name, attribute, identity) : NULL;
}

xmlNode *live_kept(const struct live *live, const xmlNode *device, bool make)
{
	return live_kept_in(live->metadata, device, make);
}

void live_kept_follow(xmlNode *kept, const xmlNode *device)
{
	g_autofree char *identity = live_identity(device);

	if (kept && identity)
		xml_set(kept, sort_of(device)->kept_as, identity);
}

/* ---- changes of many steps ---- */

bool live_begin(struct live *live, const char *verb, const void *params, GError **error)
{
	g_autofree char *text = record_to_text(params, RECORD_CHANNEL), *before = g_strconcat(verb, ": begun", NULL);

	vm_metadata_set(live->metadata, "change", "json", text);
	xml_set(xml_child(live->metadata, "change"), "verb", verb);
	if (!live_keep(live, error))
		return false;
	fault_point(before);
	return true;
}

bool live_end(struct live *live, GError **error)
{
	fault_point("change: done");
	xml_remove(xml_child(live->metadata, "change"));
	return live_keep(live, error);
}

/* ---- settling ---- */

static void redo_change(struct live *live)
{
	xmlNode *change = xml_child(live->metadata, "change");
	g_autofree char *name = xml_get(change, "verb"), *text = xml_text(change);
	const struct verb *verb = name ? verb_find(name) : NULL;
	json_t *json = text ? json_parse(text, strlen(text), NULL) : NULL;
	void *params = verb && json ? verb_params(verb, json, NULL, NULL) : NULL;
	g_autoptr(GError) error = NULL;
	size_t i = 0;

	json_decref(json);
	if (!change)
		return;
	while (i < G_N_ELEMENTS(changes) && g_strcmp0(changes[i].verb, name))
		i++;
	if (!params || i == G_N_ELEMENTS(changes)) {
		log_warn("VM %s: a change '%s' that was under way is not known here, forgetting it", live->vm->id, name ? name : "");
		(void)live_end(live, NULL);
	} else if (changes[i].redo(live, params, &error)) {
		log_info("VM %s: %s, which was under way, is done", live->vm->id, name);
	} else {
		log_warn("VM %s: %s, which was under way, is not done: %s", live->vm->id, name, error->message);
		(void)live_end(live, NULL);
	}
	record_unref(params);
}

/* A device element of the metadata whose device is not there; those of which it cannot be told are left alone. */
static bool is_stale(const struct live *live, const xmlNode *kept)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sorts); i++) {
		g_autofree char *identity = xml_get(kept, sorts[i].kept_as);

		if (identity)
			return !find_device(live->devices, sorts[i].element, identity);
	}
	return false;
}

/* gone (NULL: they are only counted): disks among them. */
static unsigned drop_stale(struct live *live, GPtrArray *gone)
{
	xmlNode *next;
	unsigned n = 0;

	for (xmlNode *kept = xml_child(live->metadata, "device"); kept; kept = next) {
		next = xml_next(kept, "device");
		if (!is_stale(live, kept))
			continue;
		n++;
		if (gone) {
			disk_gone_add(gone, kept);
			xml_remove(kept);
		}
	}
	return n;
}

static bool forget_missing(struct live *live, GError **error)
{
	g_autoptr(GPtrArray) gone = disk_gone_new();
	unsigned n;

	if (!drop_stale(live, /* gone= */ NULL))
		return true;
	if (!live_keep(live, error) || !live_read(live, error))
		return false;
	n = drop_stale(live, gone);
	if (!n)
		return true;
	log_info("VM %s: forgetting %u devices that are not there", live->vm->id, n);
	nic_unplugged(live);
	if (!live_keep(live, error) || !live_read(live, error))
		return false;
	disk_gone_rest(live, gone);
	return true;
}

void live_settle(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;
	AUTO_LIVE live = live_open(vm, &error);

	if (live && forget_missing(live, &error)) {
		redo_change(live);
		if (live_read(live, &error)) {
			nic_settle(live);
			tune_settle(live);
		}
	}
	if (error && !error_is(error, ERR_VM_IS_DOWN))
		log_warn("VM %s is not settled: %s", vm->id, error->message);
}

void live_answer_empty(GString *out)
{
	g_string_append(out, "{}");
}

void live_answer_done(GString *out)
{
	g_string_append(out, "{\"code\": 0, \"message\": \"Done\"}");
}
