/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest tells about itself: the commands of qemu-ga, most of them through libvirt's virDomainGetGuestInfo(), into vm->guest, in the form in which
 * VM.getStats has it. (When: guest_agent.c.)
 *
 * Which disk of the VM is which device in the guest is not kept here but in the domain's metadata, as vdsm does (ovirt-vm:guestName of the disk):
 * there the engine finds it, it outlives the agent, and it is part of the hash that tells the engine to look.
 */
#define LOG_MODULE "guest"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "agent/virt/change/live.h"
#include "agent/virt/guest/guest.h"
#include "agent/virt/vm_metadata.h"
#include "common/lock.h"
#include "common/log.h"

#define COMMAND_LIMIT_S 2
#define SERIAL_SEEN 20               /* of a disk's serial number a virtio guest sees so much */
#define DEVICES_MAX 1000

void guest_facts_clear(struct guest_facts *facts)
{
	g_free(facts->username);
	g_free(facts->ips);
	g_free(facts->fqdn);
	g_free(facts->os);
	g_free(facts->kernel);
	g_free(facts->agent_version);
	json_decref(facts->os_info);
	json_decref(facts->timezone);
	json_decref(facts->commands);
	json_decref(facts->pci_devices);
	if (facts->nics)
		g_ptr_array_unref(facts->nics);
	if (facts->filesystems)
		g_ptr_array_unref(facts->filesystems);
	g_free(facts->text);
	*facts = (struct guest_facts){ .cpu_count = -1 };
}

/* ---- what libvirt hands over: a flat list of "if.0.addr.1.addr" ---- */

struct typed { virTypedParameterPtr params; int n; };

static const char *text_of(const struct typed *typed, const char *format, ...) G_GNUC_PRINTF(2, 3);
static const char *text_of(const struct typed *typed, const char *format, ...)
{
	const char *value = NULL;
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];
	va_list arguments;

	va_start(arguments, format);
	g_vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	return virTypedParamsGetString(typed->params, typed->n, name, &value) == 1 ? value : NULL;
}

static int64_t number_of(const struct typed *typed, const char *format, ...) G_GNUC_PRINTF(2, 3);
static int64_t number_of(const struct typed *typed, const char *format, ...)
{
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];
	virTypedParameterPtr found;
	va_list arguments;

	va_start(arguments, format);
	g_vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	found = virTypedParamsGet(typed->params, typed->n, name);
	if (!found)
		return -1;
	switch (found->type) {
	case VIR_TYPED_PARAM_INT: return found->value.i;
	case VIR_TYPED_PARAM_UINT: return found->value.ui;
	case VIR_TYPED_PARAM_LLONG: return found->value.l;
	case VIR_TYPED_PARAM_ULLONG: return (int64_t)found->value.ul;
	case VIR_TYPED_PARAM_BOOLEAN: return found->value.b;
	default: return -1;
	}
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* ---- operating system ---- */

/* The names that engines know of old; later ones in the same manner. All since Windows 10 call themselves 10.0 and differ in their build. */
const char *guest_windows_name(const char *version, bool server, int build)
{
	static const struct { const char *version, *desktop, *server; } names[] = {
		{ "5.0", "Win 2000", NULL }, { "5.1", "Win XP", NULL }, { "5.2", NULL, "Win 2003" }, { "6.0", "Win Vista", "Win 2008" },
		{ "6.1", "Win 7", "Win 2008 R2" }, { "6.2", "Win 8", "Win 2012" }, { "6.3", "Win 8.1", "Win 2012 R2" },
	};

	if (!g_strcmp0(version, "10.0") && server)
		return build >= 26100 ? "Win 2025" : build >= 20348 ? "Win 2022" : build >= 17763 ? "Win 2019" : "Win 2016";
	if (!g_strcmp0(version, "10.0"))
		return build >= 22000 ? "Win 11" : "Win 10";
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const char *name = server ? names[i].server : names[i].desktop;

		if (name && !g_strcmp0(version, names[i].version))
			return name;
	}
	return "unknown";
}

/* Engines know these and no others. */
static const char *arch_name(const char *machine)
{
	static const char *const known[] = { "x86_64", "x86", "ppc", "ppcle", "ppc64", "ppc64le", "s390x", "aarch64" };

	for (size_t i = 0; machine && i < G_N_ELEMENTS(known); i++)
		if (!strcmp(machine, known[i]))
			return known[i];
	return machine && machine[0] == 'i' && g_str_has_suffix(machine, "86") ? "x86" : "unknown";
}

static void take_os_name(struct guest_facts *facts, const struct typed *typed)
{
	const char *id = text_of(typed, "os.id"), *kernel = text_of(typed, "os.kernel-release"), *arch = arch_name(text_of(typed, "os.machine"));
	const char *name = text_of(typed, "os.name");

	if (!id && !name)
		return;
	json_decref(facts->os_info);
	if (id && !strcmp(id, "mswindows")) {
		const char *version = text_of(typed, "os.kernel-version");
		const char *known = guest_windows_name(version, !g_strcmp0(text_of(typed, "os.variant-id"), "server"), kernel ? atoi(kernel) : 0);

		facts->os_info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "windows", "arch", arch, "kernel", "", "distribution", "", "version",
					   or_empty(version), "codename", known);
		set_string(&facts->os, known);
		set_string(&facts->kernel, NULL);
		return;
	}
	facts->os_info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "linux", "arch", arch, "kernel", or_empty(kernel), "distribution",
				   name ? name : id, "version", or_empty(text_of(typed, "os.version-id")), "codename", or_empty(text_of(typed, "os.variant")));
	set_string(&facts->os, kernel);
	set_string(&facts->kernel, kernel);
}

static void take_os(struct guest_facts *facts, const struct typed *typed)
{
	take_os_name(facts, typed);
	if (text_of(typed, "hostname"))
		set_string(&facts->fqdn, text_of(typed, "hostname"));
	if (text_of(typed, "timezone.name") || number_of(typed, "timezone.offset") != -1) {
		json_decref(facts->timezone);
		facts->timezone = json_pack("{s:I, s:s}", "offset", (json_int_t)number_of(typed, "timezone.offset") / 60, "zone",
					    or_empty(text_of(typed, "timezone.name")));
	}
}

/* ---- network, users ---- */

static bool is_useful(const char *address)
{
	return !g_str_has_prefix(address, "127.") && strcmp(address, "::1") && g_ascii_strncasecmp(address, "fe80:", 5) &&
	       !g_str_has_prefix(address, "169.254.");
}

static void take_network(struct guest_facts *facts, const struct typed *typed)
{
	g_autoptr(GString) ips = g_string_new(NULL);
	int64_t count = number_of(typed, "if.count");

	if (facts->nics)
		g_ptr_array_unref(facts->nics);
	facts->nics = list_new();
	for (int i = 0; i < count; i++) {
		const char *name = text_of(typed, "if.%d.name", i);
		int64_t addresses = number_of(typed, "if.%d.addr.count", i);
		struct vm_guest_nic *nic;

		if (!name || !strcmp(name, "lo"))
			continue;
		nic = list_add(&facts->nics, &vm_guest_nic_type);
		set_string(&nic->name, name);
		set_string(&nic->hw, text_of(typed, "if.%d.hwaddr", i));
		nic->inet = strings_new();
		nic->inet6 = strings_new();
		for (int j = 0; j < addresses; j++) {
			const char *address = text_of(typed, "if.%d.addr.%d.addr", i, j), *type = text_of(typed, "if.%d.addr.%d.type", i, j);

			if (!address)
				continue;
			g_ptr_array_add(type && !strcmp(type, "ipv6") ? nic->inet6 : nic->inet, g_strdup(address));
			if (is_useful(address))
				g_string_append_printf(ips, "%s%s", ips->len ? " " : "", address);
		}
	}
	set_string(&facts->ips, ips->str);
}

static void take_users(struct guest_facts *facts, const struct typed *typed)
{
	g_autoptr(GString) names = g_string_new(NULL);
	int64_t count = number_of(typed, "user.count"), last = 0;

	for (int i = 0; i < count; i++) {
		const char *name = text_of(typed, "user.%d.name", i), *domain = text_of(typed, "user.%d.domain", i);

		if (name)
			g_string_append_printf(names, "%s%s%s%s", names->len ? ", " : "", name, domain && *domain ? "@" : "", or_empty(domain));
		last = MAX(last, number_of(typed, "user.%d.login-time", i));
	}
	set_string(&facts->username, names->len ? names->str : "None");
	if (last > 0)
		facts->last_login = (double)last / 1e3;
}

/* ---- file systems and disks ---- */

static void take_filesystems(struct guest_facts *facts, const struct typed *typed)
{
	int64_t count = number_of(typed, "fs.count");

	if (facts->filesystems)
		g_ptr_array_unref(facts->filesystems);
	facts->filesystems = list_new();
	for (int i = 0; i < count; i++) {
		int64_t total = number_of(typed, "fs.%d.total-bytes", i), used = number_of(typed, "fs.%d.used-bytes", i);
		struct vm_guest_fs *fs;

		if (total < 0 || used < 0)          /* "System Reserved" of a Windows: there is nothing to say of it */
			continue;
		fs = list_add(&facts->filesystems, &vm_guest_fs_type);
		set_string(&fs->path, text_of(typed, "fs.%d.mountpoint", i));
		set_string(&fs->fs, text_of(typed, "fs.%d.fstype", i));
		SET(fs, total, total);
		SET(fs, used, used);
	}
}

/* libvirt knows it by its address, or by nothing; the guest may know the serial number. */
static bool is_same_disk(const struct domain_disk *disk, const char *target, const char *serial)
{
	if (target)
		return !g_strcmp0(disk->target, target);
	return disk->target && disk->serial && serial && *serial && !strncmp(disk->serial, serial, SERIAL_SEEN);
}

/* On the VM's lane, as all changes of metadata. */
static void keep_names(struct vm *vm, void *data)
{
	g_autoptr(GHashTable) names = data;          /* target ("vda") -> device in the guest */
	g_autoptr(GError) error = NULL;
	AUTO_LIVE live = live_open(vm, &error);
	GHashTableIter iter;
	gpointer target, name;

	g_hash_table_iter_init(&iter, names);
	while (live && g_hash_table_iter_next(&iter, &target, &name))
		vm_metadata_set(vm_metadata_add_device(live->metadata, "disk", "name", target), "guestName", NULL, name);
	if (live && live_keep(live, &error))
		vm_refresh(vm, live->domain);
	else
		log_info("VM %s: names of its disks in the guest are not kept, ignoring: %s", vm->id, error->message);
}

/* What is new among "disk.N.name" goes into the metadata. */
static void take_disks(struct vm *vm, const struct typed *typed)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	int64_t count = number_of(typed, "disk.count");

	{
		AUTO_LOCK(&vm->vms->lock);
		for (int i = 0; vm->info && i < count; i++) {
			const char *target = text_of(typed, "disk.%d.alias", i), *serial = text_of(typed, "disk.%d.serial", i);
			const char *name = text_of(typed, "disk.%d.name", i);

			if (number_of(typed, "disk.%d.partition", i) == 1)
				continue;
			for (guint j = 0; name && j < vm->info->disks->len; j++) {
				const struct domain_disk *disk = vm->info->disks->pdata[j];

				if (is_same_disk(disk, target, serial) && g_strcmp0(disk->guest_name, name))
					g_hash_table_insert(names, g_strdup(disk->target), g_strdup(name));
			}
		}
	}
	if (g_hash_table_size(names) && vm_queue(vm, "names of disks in the guest", keep_names, names, (GDestroyNotify)g_hash_table_unref, NULL))
		(void)g_steal_pointer(&names);
}

/* ---- drivers ---- */

static json_t *pci_device(const json_t *device)
{
	/* "id" since QEMU 5.2, "address" before */
	const json_t *id = json_object_get(device, "id"), *date = json_object_get(device, "driver-date");
	json_t *json;
	char day[16] = "";

	if (!id)
		id = json_object_get(device, "address");
	if (g_strcmp0(json_string_value(json_object_get(id, "type")), "pci"))
		return NULL;
	if (json_is_integer(date)) {                                    /* ns since the epoch */
		time_t seconds = (time_t)(json_integer_value(date) / 1000000000);
		struct tm tm;

		if (gmtime_r(&seconds, &tm))
			strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	}
	json = json_pack("{s:I, s:I, s:s, s:s}", "device_id", json_integer_value(json_object_get(id, "device-id")), "vendor_id",
			 json_integer_value(json_object_get(id, "vendor-id")), "driver_name",
			 or_empty(json_string_value(json_object_get(device, "driver-name"))), "driver_version",
			 or_empty(json_string_value(json_object_get(device, "driver-version"))));
	json_object_set_new(json, "driver_date", json_string(json_is_string(date) ? json_string_value(date) : day));
	return json;
}

static bool has(const json_t *list, const json_t *item)
{
	const json_t *other;
	size_t i;

	json_array_foreach((json_t *)list, i, other)
		if (json_equal(other, item))
			return true;
	return false;
}

/* Each driver once, however many devices use it. */
json_t *guest_pci_devices(const json_t *devices)
{
	json_t *list = json_array(), *device;
	size_t i;

	json_array_foreach((json_t *)devices, i, device) {
		json_t *json = pci_device(device);

		if (json && json_array_size(list) < DEVICES_MAX && !has(list, json))
			json_array_append(list, json);
		json_decref(json);
	}
	return list;
}

/* ---- asking ---- */

char *guest_signature(const struct guest_facts *facts)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char *os = facts->os_info ? json_dumps(facts->os_info, JSON_SORT_KEYS) : NULL;

	g_string_append_printf(text, "%s|%s|%s|%s|%s|%d|%s|", or_empty(facts->username), or_empty(facts->ips), or_empty(facts->fqdn), or_empty(facts->kernel),
			       or_empty(facts->agent_version), facts->cpu_count, or_empty(os));
	free(os);
	for (guint i = 0; facts->filesystems && i < facts->filesystems->len; i++)
		g_string_append_printf(text, "%s|", ((struct vm_guest_fs *)facts->filesystems->pdata[i])->path);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static enum guest_outcome failure(struct guest_talk *talk, const char *what)
{
	int code = libvirt_error_code();

	log_debug("VM %s: %s: %s", talk->vm->id, what, virGetLastErrorMessage());
	return guest_is_silent() || code == VIR_ERR_OPERATION_INVALID || code == VIR_ERR_NO_DOMAIN ? GUEST_SILENT : GUEST_CANNOT;
}

static enum guest_outcome ask_libvirt(struct guest_talk *talk, unsigned types, const char *what, void (*take)(struct guest_facts *, const struct typed *))
{
	struct vm *vm = talk->vm;
	struct typed typed = { 0 };

	if (virDomainGetGuestInfo(talk->domain, types, &typed.params, &typed.n, 0) < 0)
		return failure(talk, what);
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->agent_connected && typed.n) {
			take(&vm->guest, &typed);
			vm->guest.any = true;
		}
	}
	virTypedParamsFree(typed.params, typed.n);
	return typed.n ? GUEST_TOLD : GUEST_CANNOT;
}

static enum guest_outcome ask_disks(struct guest_talk *talk)
{
	struct typed typed = { 0 };

	if (virDomainGetGuestInfo(talk->domain, VIR_DOMAIN_GUEST_INFO_DISKS, &typed.params, &typed.n, 0) < 0)
		return failure(talk, "disks");
	take_disks(talk->vm, &typed);
	virTypedParamsFree(typed.params, typed.n);
	return GUEST_TOLD;
}

static enum guest_outcome ask_cpus(struct guest_talk *talk)
{
	virTypedParameterPtr params = NULL;
	const char *online = NULL;
	unsigned n = 0;
	int count = 0;

	if (virDomainGetGuestVcpus(talk->domain, &params, &n, 0) < 0)
		return failure(talk, "CPUs");
	if (virTypedParamsGetString(params, (int)n, "online", &online) == 1) {
		g_auto(GStrv) ranges = g_strsplit(online, ",", -1);

		for (char **range = ranges; *range; range++) {
			const char *dash = strchr(*range, '-');

			count += dash ? atoi(dash + 1) - atoi(*range) + 1 : 1;
		}
	}
	virTypedParamsFree(params, (int)n);
	AUTO_LOCK(&talk->vm->vms->lock);
	if (talk->vm->agent_connected)
		talk->vm->guest.cpu_count = count ? count : -1;
	return GUEST_TOLD;
}

static enum guest_outcome ask_agent(struct guest_talk *talk)
{
	struct vm *vm = talk->vm;
	json_t *info = guest_command(talk, json_pack("{s:s}", "execute", "guest-info"), COMMAND_LIMIT_S), *commands, *command;
	size_t i;

	if (!info)
		return failure(talk, "guest-info");
	commands = json_object();
	json_array_foreach(json_object_get(info, "supported_commands"), i, command)
		if (json_is_true(json_object_get(command, "enabled")) && json_string_value(json_object_get(command, "name")))
			json_object_set_new(commands, json_string_value(json_object_get(command, "name")), json_true());
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->agent_connected) {
			set_string(&vm->guest.agent_version, json_string_value(json_object_get(info, "version")));
			json_decref(vm->guest.commands);
			vm->guest.commands = json_incref(commands);
		}
	}
	json_decref(commands);
	json_decref(info);
	return GUEST_TOLD;
}

static enum guest_outcome ask_devices(struct guest_talk *talk)
{
	struct vm *vm = talk->vm;
	json_t *devices;

	if (!guest_can(vm, "guest-get-devices"))
		return GUEST_CANNOT;
	devices = guest_command(talk, json_pack("{s:s}", "execute", "guest-get-devices"), COMMAND_LIMIT_S);
	if (!devices)
		return failure(talk, "guest-get-devices");
	{
		AUTO_LOCK(&vm->vms->lock);
		json_decref(vm->guest.pci_devices);
		vm->guest.pci_devices = vm->agent_connected ? guest_pci_devices(devices) : NULL;
	}
	json_decref(devices);
	return GUEST_TOLD;
}

static enum guest_outcome ask(struct guest_talk *talk, enum guest_query query)
{
	switch (query) {
	case QUERY_AGENT:
		return ask_agent(talk);
	case QUERY_OS:
		return ask_libvirt(talk, VIR_DOMAIN_GUEST_INFO_OS | VIR_DOMAIN_GUEST_INFO_TIMEZONE | VIR_DOMAIN_GUEST_INFO_HOSTNAME, "system", take_os);
	case QUERY_NETWORK:
		return ask_libvirt(talk, VIR_DOMAIN_GUEST_INFO_INTERFACES, "network", take_network);
	case QUERY_USERS:
		return ask_libvirt(talk, VIR_DOMAIN_GUEST_INFO_USERS, "users", take_users);
	case QUERY_FILESYSTEMS:
		return ask_libvirt(talk, VIR_DOMAIN_GUEST_INFO_FILESYSTEM, "file systems", take_filesystems);
	case QUERY_DISKS:
		return ask_disks(talk);
	case QUERY_CPUS:
		return ask_cpus(talk);
	case QUERY_DEVICES:
		return ask_devices(talk);
	default:
		return GUEST_CANNOT;
	}
}

enum guest_outcome guest_ask(struct guest_talk *talk, enum guest_query query)
{
	enum guest_outcome outcome = ask(talk, query);

	AUTO_LOCK(&talk->vm->vms->lock);
	g_clear_pointer(&talk->vm->guest.text, g_free);
	return outcome;
}
