/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a VM boots and what it reads of itself: firmware, kernel, boot order, SMBIOS, clock, features.
 *
 * Firmware: SeaBIOS is QEMU's own; UEFI is Debian's OVMF. Its variables are a file of ours, one a VM, in env->nvram_dir (external_data.c keeps it); libvirt
 * fills a missing one from the template. There are builds for variables of 2 and of 4 MiB: a file that is there decides, so that the state of a VM
 * that came from another distribution is used by firmware that can read it.
 */
#include "agent/virt/domain/domain_xml.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/xml.h"
#include "common/error.h"

#define BOOT_MENU_MSEC "10000"
#define OVMF "/usr/share/OVMF/"
#define OVMF_VARS_SMALL (128 << 10)             /* bytes of the variables of a 2 MiB build */

static const struct {
	bool secure, small;
	const char *code, *vars;
} firmwares[] = {
	{ false, false, OVMF "OVMF_CODE_4M.fd", OVMF "OVMF_VARS_4M.fd" },
	{ false, true, OVMF "OVMF_CODE.fd", OVMF "OVMF_VARS.fd" },
	{ true, false, OVMF "OVMF_CODE_4M.ms.fd", OVMF "OVMF_VARS_4M.ms.fd" },
	{ true, true, OVMF "OVMF_CODE.ms.fd", OVMF "OVMF_VARS.ms.fd" },
};

bool domain_xml_firmware(xmlNode *os, bool secure, const struct domain_xml_env *env, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/%s.fd", env->nvram_dir, env->vm_id);
	struct stat st = { .st_size = (off_t)env->nvram_size };
	bool small;
	xmlNode *node;
	size_t i = 0;

	if (!env->nvram_size && stat(path, &st) < 0)
		st.st_size = 0;
	small = st.st_size == OVMF_VARS_SMALL;
	while (firmwares[i].secure != secure || firmwares[i].small != small)
		i++;
	if (!domain_xml_check_file(firmwares[i].code, "UEFI firmware (package ovmf)", NULL, error))
		return false;
	xml_set(os, "firmware", NULL);
	xml_remove(xml_child(os, "firmware"));
	xml_remove(xml_child(os, "loader"));
	xml_remove(xml_child(os, "nvram"));
	node = xml_add_text(os, "loader", firmwares[i].code);
	xml_set(node, "readonly", "yes");
	xml_set(node, "type", "pflash");
	xml_set(node, "secure", secure ? "yes" : "no");
	node = xml_add_text(os, "nvram", path);
	xml_set(node, "template", firmwares[i].vars);
	return true;
}

static bool has_boot_order(const struct vm_params *p)
{
	for (guint i = 0; p->devices && i < p->devices->len; i++)
		if (HAS((struct vm_device *)p->devices->pdata[i], boot_order))
			return true;
	return false;
}

static bool add_kernel(xmlNode *os, const struct vm_params *p, GError **error)
{
	const struct { const char *element, *path; } files[] = { { "kernel", p->kernel }, { "initrd", p->initrd } };

	if (!p->kernel || !*p->kernel)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		if (!files[i].path || !*files[i].path)
			continue;
		if (!domain_xml_check_file(files[i].path, files[i].element, NULL, error))
			return false;
		xml_add_text(os, files[i].element, files[i].path);
	}
	if (p->kernel_args)
		xml_add_text(os, "cmdline", p->kernel_args);
	return true;
}

static bool add_os(xmlNode *domain, const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	static const char *const boots[] = { ['a'] = "fd", ['c'] = "hd", ['d'] = "cdrom", ['n'] = "network" };
	xmlNode *os = xml_add(domain, "os"), *type = xml_add_text(os, "type", "hvm");

	xml_set(type, "arch", "x86_64");
	xml_set(type, "machine", domain_xml_machine(p->emulated_machine));
	if (p->firmware != VM_FIRMWARE_BIOS && !strstr(p->emulated_machine, "q35")) {
		error_set(error, ERR_INVALID_PARAMETER, "firmware: UEFI needs a q35 machine, emulatedMachine is '%s'", p->emulated_machine);
		return false;
	}
	if (p->firmware != VM_FIRMWARE_BIOS && !domain_xml_firmware(os, p->firmware == VM_FIRMWARE_UEFI_SECURE, env, error))
		return false;
	if (!add_kernel(os, p, error))
		return false;
	if (!has_boot_order(p))
		for (const char *c = p->boot ? p->boot : "c"; *c; c++)
			xml_add_with(os, "boot", "dev", boots[(unsigned char)*c], NULL);
	if (HAS(p, boot_menu) && p->boot_menu)
		xml_add_with(os, "bootmenu", "enable", "yes", "timeout", BOOT_MENU_MSEC, NULL);
	xml_add_with(os, "smbios", "mode", "sysinfo", NULL);
	return true;
}

static void add_sysinfo(xmlNode *domain, const struct vm_params *p, const struct domain_xml_env *env)
{
	const struct { const char *name, *value; } entries[] = {
		{ "manufacturer", "Berth" }, { "product", env->os_name }, { "version", env->os_version }, { "serial", p->serial && *p->serial ? p->serial : env->host_uuid },
		{ "uuid", env->vm_id },
	};
	xmlNode *sysinfo = xml_add_with(domain, "sysinfo", "type", "smbios", NULL), *system = xml_add(sysinfo, "system");

	for (size_t i = 0; i < G_N_ELEMENTS(entries); i++)
		if (entries[i].value)
			xml_set(xml_add_text(system, "entry", entries[i].value), "name", entries[i].name);
}

static bool add_clock(xmlNode *domain, const struct vm_params *p, bool hyperv, GError **error)
{
	bool utc = !p->time_zone || !*p->time_zone || !strcmp(p->time_zone, "UTC") || !strcmp(p->time_zone, "Etc/GMT");
	xmlNode *clock = xml_add(domain, "clock");

	if (!utc) {
		GTimeZone *zone = g_time_zone_new_identifier(p->time_zone);

		if (!zone) {
			error_set(error, ERR_INVALID_PARAMETER, "timeZone: '%s' is no time zone that this host knows", p->time_zone);
			return false;
		}
		g_time_zone_unref(zone);
	}
	xml_set(clock, "offset", utc ? "variable" : "timezone");
	if (utc)
		xml_set_number(clock, "adjustment", HAS(p, time_offset) ? p->time_offset : 0);
	else
		xml_set(clock, "timezone", p->time_zone);
	if (hyperv)
		xml_add_with(clock, "timer", "name", "hypervclock", "present", "yes", NULL);
	xml_add_with(clock, "timer", "name", "rtc", "tickpolicy", "catchup", NULL);
	xml_add_with(clock, "timer", "name", "pit", "tickpolicy", "delay", NULL);
	xml_add_with(clock, "timer", "name", "hpet", "present", "no", NULL);
	return true;
}

static void add_features(xmlNode *domain, const struct vm_params *p, bool hyperv)
{
	xmlNode *features = xml_add(domain, "features"), *node;

	if (p->acpi_enable)
		xml_add(features, "acpi");
	xml_add(features, "apic");
	if (p->firmware == VM_FIRMWARE_UEFI_SECURE)     /* its variables are only safe from the guest's kernel in system management mode */
		xml_add_with(features, "smm", "state", "on", NULL);
	if (p->on_crash >= VM_CRASH_DUMP_DESTROY)       /* tells a dump where the guest's kernel is */
		xml_add_with(features, "vmcoreinfo", "state", "on", NULL);
	if (!hyperv)
		return;
	node = xml_add(features, "hyperv");
	xml_add_with(node, "relaxed", "state", "on", NULL);
	xml_add_with(node, "vapic", "state", "on", NULL);
	xml_add_with(node, "spinlocks", "state", "on", "retries", "8191", NULL);
}

bool domain_xml_os(xmlNode *domain, const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	bool hyperv = p->hyperv && xml_is(domain, "type", "kvm");       /* TCG has none of it */

	if (!add_os(domain, p, env, error) || !add_clock(domain, p, hyperv, error))
		return false;
	add_sysinfo(domain, p, env);
	add_features(domain, p, hyperv);
	xml_add_text(domain, "on_poweroff", "destroy");
	xml_add_text(domain, "on_reboot", "restart");
	/* a dump is ours (crash.c) */
	xml_add_text(domain, "on_crash", vm_on_crash_names[p->on_crash >= VM_CRASH_DUMP_DESTROY ? VM_CRASH_PRESERVE : p->on_crash]);
	return true;
}
