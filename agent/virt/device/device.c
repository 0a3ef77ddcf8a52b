/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the parameter form: each goes to its row below or to the file of its noun; a machine that is made gets what the caller left out.
 *
 * A device's id becomes its alias (ua-<id>) and, for disks and NICs, is kept with the other ids in the metadata, so that statistics can say
 * which image a disk is. Custom properties of any device that libvirt gives an alias (screens have none) are kept there, for scripts.
 */
#include "agent/virt/device/device.h"

#include <string.h>
#include "agent/virt/change/live.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

#define SPARE_PORTS 10                  /* PCIe root ports to plug into while the VM runs */
#define SERIAL_PORTS "16"
#define BALLOON_PERIOD_S "5"

const char *device_text(const struct vm_device *d, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(d->spec_params, name));
	const struct field *field = record_field(&vm_device_type, name);

	if ((!text || !*text) && field && field->kind == FIELD_STRING)
		text = G_STRUCT_MEMBER(const char *, d, field->offset);
	return text && *text ? text : otherwise;
}

bool device_check(const char *member, const char *value, const char *const *names, GError **error)
{
	g_autofree char *known = NULL;

	if (value && g_strv_contains(names, value))
		return true;
	known = g_strjoinv(", ", (char **)names);
	error_set(error, ERR_INVALID_PARAMETER, "%s: '%s' is not one of %s", member, value ? value : "", known);
	return false;
}

void device_common(xmlNode *node, const struct vm_device *d)
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

/* ---- devices that are an element with attributes ---- */

#define NAMES(...) (const char *const[]){ __VA_ARGS__, NULL }

static const struct plain {
	const char *type, *element;
	struct { const char *attribute, *member, *def; const char *const *values; } attributes[3];      /* member NULL: always def */
	unsigned has;
} plain[] = {
	{ "sound", "sound", { { "model", "device", "ich6", NAMES("ich6", "ich9", "ac97", "es1370", "sb16", "usb") } }, 0 },
	{ "watchdog", "watchdog", { { "model", "model", "i6300esb", NAMES("i6300esb", "ib700") },
				    { "action", "action", "none", NAMES("none", "reset", "poweroff", "pause", "shutdown", "dump", "inject-nmi") } }, 0 },
	{ "input", "input", { { "type", "device", "tablet", NAMES("tablet", "mouse", "keyboard") }, { "bus", "bus", "usb", NAMES("usb", "ps2", "virtio") } },
	  HAS_INPUT },
	{ "redir", "redirdev", { { "bus", NULL, "usb", NULL }, { "type", NULL, "spicevmc", NULL } }, 0 },
	{ "smartcard", "smartcard", { { "mode", "mode", "passthrough", NAMES("passthrough") }, { "type", NULL, "spicevmc", NULL } }, HAS_SMARTCARD },
	{ "panic", "panic", { { "model", "model", "isa", NAMES("isa") } }, HAS_PANIC },
};

static bool add_plain(const struct plain *row, const struct device_build *b, GError **error)
{
	xmlNode *node = xml_add(b->parent, row->element);

	for (size_t i = 0; i < G_N_ELEMENTS(row->attributes) && row->attributes[i].attribute; i++) {
		const char *member = row->attributes[i].member, *value = row->attributes[i].def;

		/* "device" may just repeat the type ("watchdog", "smartcard") */
		if (member && g_strcmp0(device_text(b->device, member, NULL), row->type))
			value = device_text(b->device, member, value);
		if (member && !device_check(member, value, row->attributes[i].values, error))
			return false;
		xml_set(node, row->attributes[i].attribute, value);
	}
	device_common(node, b->device);
	b->scope->has |= row->has;
	return true;
}

/* ---- the small ones ---- */

/* specParams: consoleType virtio or serial; enableSocket: a socket others can connect to instead of a terminal of libvirt's. */
static bool add_console(const struct device_build *b, GError **error)
{
	const struct domain_xml_env *env = b->scope->env;
	const char *type = device_text(b->device, "consoleType", "virtio");
	bool serial = !strcmp(type, "serial"), socket = !g_ascii_strcasecmp(device_text(b->device, "enableSocket", "false"), "true");
	xmlNode *node;

	if (!device_check("specParams/consoleType", type, NAMES("virtio", "serial"), error))
		return false;
	node = xml_add_with(b->parent, serial ? "serial" : "console", "type", socket ? "unix" : "pty", NULL);
	if (socket) {
		g_autofree char *path = g_strdup_printf("%s/%s.sock", env->files_dir, env->vm_id);

		xml_add_with(node, "source", "mode", "bind", "path", path, NULL);
	}
	if (!serial)
		xml_add_with(node, "target", "type", "virtio", NULL);
	device_common(node, b->device);
	return true;
}

/* specParams: source random, hwrng or urandom; bytes each period (ms). */
static bool add_rng(const struct device_build *b, GError **error)
{
	const char *source = device_text(b->device, "source", "urandom"), *bytes = device_text(b->device, "bytes", NULL);
	g_autofree char *path = g_strconcat("/dev/", source, NULL);
	xmlNode *node;

	if (!device_check("specParams/source", source, NAMES("random", "hwrng", "urandom"), error) ||
	    !domain_xml_check_file(path, "source of random numbers", NULL, error))
		return false;
	if (bytes && !g_ascii_string_to_unsigned(bytes, 10, 1, G_MAXUINT32, NULL, NULL)) {
		error_set(error, ERR_INVALID_PARAMETER, "specParams/bytes: '%s' is not a number of bytes", bytes);
		return false;
	}
	node = xml_add_with(b->parent, "rng", "model", "virtio", NULL);
	if (bytes)
		xml_add_with(node, "rate", "bytes", bytes, "period", device_text(b->device, "period", "1000"), NULL);
	xml_set(xml_add_text(node, "backend", path), "model", "random");
	device_common(node, b->device);
	return true;
}

static bool add_balloon(const struct device_build *b, GError **error)
{
	const char *model = device_text(b->device, "model", "virtio");
	xmlNode *node;

	if (!device_check("model", model, NAMES("virtio", "none"), error))
		return false;
	node = xml_add_with(b->parent, "memballoon", "model", model, NULL);
	if (strcmp(model, "none"))
		xml_add_with(node, "stats", "period", BALLOON_PERIOD_S, NULL);
	device_common(node, b->device);
	b->scope->has |= HAS_BALLOON;
	return true;
}

/* specParams: mode emulator (swtpm; its state outlives the VM's run: external_data.c) or passthrough with path; model tpm-crb or tpm-tis. */
static bool add_tpm(const struct device_build *b, GError **error)
{
	const struct vm_device *d = b->device;
	const char *model = device_text(d, "model", "tpm-crb"), *mode = device_text(d, "mode", "emulator"), *path = device_text(d, "path", "/dev/tpm0");
	xmlNode *node, *backend;

	if (!device_check("model", model, NAMES("tpm-crb", "tpm-tis"), error) ||
	    !device_check("specParams/mode", mode, NAMES("emulator", "passthrough"), error) ||
	    (!strcmp(mode, "passthrough") && !domain_xml_check_file(path, "TPM of the host", NULL, error)))
		return false;
	node = xml_add_with(b->parent, "tpm", "model", model, NULL);
	backend = xml_add_with(node, "backend", "type", mode, NULL);
	if (!strcmp(mode, "passthrough")) {
		xml_add_with(backend, "device", "path", path, NULL);
	} else {
		xml_set(backend, "version", "2.0");
		xml_set(backend, "persistent_state", "yes");
	}
	device_common(node, d);
	return true;
}

static bool add_channel(const struct device_build *b, GError **error)
{
	const struct vm_device *d = b->device;
	bool spice = !g_strcmp0(d->device, "spicevmc");
	const char *name = device_text(d, "name", spice ? SPICE_CHANNEL : d->device && strcmp(d->device, "unix") ? d->device : AGENT_CHANNEL);
	xmlNode *channel = xml_add_with(b->parent, "channel", "type", spice ? "spicevmc" : "unix", NULL);

	xml_add_with(channel, "target", "type", "virtio", "name", name, NULL);
	device_common(channel, d);
	b->scope->has |= spice ? HAS_SPICE_CHANNEL : 0;
	return true;
}

/* specParams, or members: model, index, master (startport of a companion); specParams/ioThreadId: I/O thread of a virtio-scsi controller. */
static bool add_controller(const struct device_build *b, GError **error)
{
	const struct vm_device *d = b->device;
	const char *kind = d->device && *d->device ? d->device : "virtio-serial", *model = device_text(d, "model", NULL), *port;
	xmlNode *node;

	if (!strcmp(kind, "virtio-scsi")) {
		kind = "scsi";
		model = model ? model : "virtio-scsi";
	}
	if (!device_check("device", kind, NAMES("usb", "scsi", "virtio-serial", "ide", "sata", "fdc", "ccid", "pci"), error))
		return false;
	node = xml_add_with(b->parent, "controller", "type", kind, "index", device_text(d, "index", NULL), "model", model, NULL);
	if (HAS(d, index))
		xml_set_number(node, "index", d->index);
	if (!strcmp(kind, "virtio-serial"))
		xml_set(node, "ports", device_text(d, "ports", SERIAL_PORTS));
	if (device_text(d, "ioThreadId", NULL))
		xml_add_with(node, "driver", "iothread", device_text(d, "ioThreadId", NULL), NULL);
	port = json_string_value(json_object_get(d->master ? d->master : json_object_get(d->spec_params, "master"), "startport"));
	if (port)
		xml_add_with(node, "master", "startport", port, NULL);
	device_common(node, d);
	if (!strcmp(kind, "usb"))
		b->scope->has |= HAS_USB | (g_strcmp0(model, "none") ? 0 : HAS_NO_USB);
	if (!strcmp(kind, "scsi"))
		b->scope->has |= HAS_SCSI;
	return true;
}

static bool add_memory(const struct device_build *b, GError **error)
{
	g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, b->device->size), *cell = g_strdup_printf("%d", b->device->node);
	xmlNode *node, *target;

	if (!HAS(b->device, size)) {
		error_set(error, ERR_MISSING_PARAMETER, "size of memory");
		return false;
	}
	node = xml_add_with(b->parent, "memory", "model", "dimm", NULL);
	target = xml_add(node, "target");
	xml_set(xml_add_text(target, "size", size), "unit", "MiB");
	xml_add_text(target, "node", cell);
	device_common(node, b->device);
	return true;
}

/* ---- which is which ---- */

static const struct { const char *type; device_fn add; } kinds[] = {
	{ "disk", device_disk }, { "interface", device_nic }, { "graphics", device_graphics }, { "video", device_video }, { "console", add_console },
	{ "rng", add_rng }, { "balloon", add_balloon }, { "tpm", add_tpm }, { "channel", add_channel }, { "controller", add_controller },
	{ "hostdev", device_hostdev }, { "lease", device_lease }, { "memory", add_memory },
};

static bool add(const struct device_build *b, GError **error)
{
	const char *type = b->device->type;

	for (size_t i = 0; type && i < G_N_ELEMENTS(kinds); i++)
		if (!strcmp(kinds[i].type, type))
			return kinds[i].add(b, error);
	for (size_t i = 0; type && i < G_N_ELEMENTS(plain); i++)
		if (!strcmp(plain[i].type, type))
			return add_plain(&plain[i], b, error);
	error_set(error, type ? ERR_INVALID_PARAMETER : ERR_MISSING_PARAMETER, type ? "type: '%s' is not known" : "type", type);
	return false;
}

static void keep_custom(xmlNode *metadata, const xmlNode *device, const json_t *custom)
{
	xmlNode *kept = live_kept_in(metadata, device, /* make= */ true);

	if (kept)
		vm_metadata_set_custom(kept, custom);
}

bool domain_xml_device(const struct vm_device *device, xmlNode *parent, xmlNode *metadata, struct device_scope *scope, GError **error)
{
	struct vm_device *d = record_copy(device);
	struct device_build b = { .device = d, .parent = parent, .metadata = metadata, .scope = scope };
	json_t **maps[] = { &d->spec_params, &d->address, &d->master, &d->hosts, &d->auth, &d->filter_parameters };
	const xmlNode *last = xmlGetLastChild(parent);
	bool good;

	record_defaults(d, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(maps); i++) {
		json_t *texts = domain_json_texts(*maps[i]);

		json_decref(*maps[i]);
		*maps[i] = texts;
	}
	if (json_object_size(d->custom) && !d->device_id && g_strcmp0(d->type, "disk") && g_strcmp0(d->type, "interface"))
		d->device_id = g_uuid_string_random();          /* by its alias its properties are found again */
	good = add(&b, error);
	if (good && json_object_size(d->custom) && xmlGetLastChild(parent) != last)
		keep_custom(metadata, xmlGetLastChild(parent), d->custom);
	record_unref(d);
	return good;
}

/* ---- the machine ---- */

struct device_scope *device_scope_new(const struct domain_xml_env *env, const struct vm_params *params, const xmlNode *domain)
{
	struct device_scope *scope = g_new0(struct device_scope, 1);
	struct vm_params *p = params ? record_copy(params) : record_new(&vm_params_type);
	g_autofree char *machine = NULL;

	record_defaults(p, 0);
	machine = domain ? xml_get(xml_find(domain, "os/type"), "machine") : g_strdup(p->emulated_machine);
	scope->env = env;
	scope->params = p;
	scope->q35 = machine && strstr(machine, "q35");
	scope->targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for XML_EACH(disk, xml_child(domain, "devices"), "disk") {
		char *target = xml_get(xml_child(disk, "target"), "dev");

		if (target)
			g_hash_table_add(scope->targets, target);
	}
	return scope;
}

struct device_scope *device_scope_free(struct device_scope *scope)
{
	if (!scope)
		return NULL;
	record_unref((void *)scope->params);
	g_hash_table_destroy(scope->targets);
	g_free(scope);
	return NULL;
}

void domain_xml_agent_channel(xmlNode *devices)
{
	for XML_EACH(channel, devices, "channel")
		if (xml_is(xml_child(channel, "target"), "name", AGENT_CHANNEL))
			return;
	xml_add_with(xml_add_with(devices, "channel", "type", "unix", NULL), "target", "type", "virtio", "name", AGENT_CHANNEL, NULL);
}

/* A device that the caller left out: as if it had been listed with nothing said of it but what it is. */
static bool add_default(struct device_scope *scope, xmlNode *devices, const char *type, const char *device, const char *model, GError **error)
{
	struct vm_device *d = record_new(&vm_device_type);
	bool good;

	set_string(&d->type, type);
	set_string(&d->device, device);
	set_string(&d->model, model);
	good = domain_xml_device(d, devices, NULL, scope, error);
	record_unref(d);
	return good;
}

static bool add_rest(struct device_scope *scope, xmlNode *devices, GError **error)
{
	const struct vm_params *p = scope->params;
	bool headless = !strcmp(p->display, "none") && !(scope->has & HAS_GRAPHICS), spice = g_strv_contains(NAMES("qxl", "qxlnc", "spice"), p->display);
	/* wanted unless one is there, and, for some, only because of another */
	const struct { bool wanted; unsigned unless, because; const char *type, *device, *model; } rows[] = {
		{ !headless, HAS_GRAPHICS, 0, "graphics", spice ? "spice" : "vnc", NULL },
		{ true, HAS_VIDEO, HAS_SPICE, "video", "qxl", NULL },
		{ true, HAS_VIDEO, HAS_GRAPHICS, "video", "vga", NULL },
		{ true, HAS_USB, 0, "controller", "usb", scope->q35 ? "qemu-xhci" : "piix3-uhci" },
		{ p->tablet, HAS_INPUT | HAS_NO_USB, 0, "input", "tablet", NULL },
		{ true, HAS_SCSI, WANTS_SCSI, "controller", "virtio-scsi", NULL },
		{ true, HAS_BALLOON, 0, "balloon", NULL, p->balloon_enabled ? "virtio" : "none" },
		{ p->smartcard, HAS_SMARTCARD, 0, "smartcard", NULL, NULL },
		{ true, HAS_SPICE_CHANNEL, HAS_SPICE, "channel", "spicevmc", NULL },
		{ true, HAS_PANIC, 0, "panic", NULL, NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (rows[i].wanted && !(scope->has & rows[i].unless) && (!rows[i].because || scope->has & rows[i].because) &&
		    !add_default(scope, devices, rows[i].type, rows[i].device, rows[i].model, error))
			return false;
	if (scope->q35)         /* the first PCI controller that is named is number 0, which must be the root */
		xml_add_with(devices, "controller", "type", "pci", "index", "0", "model", "pcie-root", NULL);
	if (scope->q35)
		for (int i = 0; i < SPARE_PORTS; i++)
			xml_add_with(devices, "controller", "type", "pci", "model", "pcie-root-port", NULL);
	if (p->console && *p->console)
		xml_add_with(xml_add_with(devices, "serial", "type", "file", NULL), "source", "path", p->console, "append", "on", NULL);
	if (p->agent_channel)
		domain_xml_agent_channel(devices);
	return true;
}

bool domain_xml_devices(xmlNode *domain, xmlNode *metadata, const struct vm_params *params, const struct domain_xml_env *env, GError **error)
{
	AUTO_SCOPE scope = device_scope_new(env, params, NULL);
	xmlNode *devices = xml_add(domain, "devices");

	for (guint i = 0; params->devices && i < params->devices->len; i++)
		if (!domain_xml_device(params->devices->pdata[i], devices, metadata, scope, error)) {
			error_wrap(error, "devices/%u", i);
			return false;
		}
	return add_rest(scope, devices, error);
}
