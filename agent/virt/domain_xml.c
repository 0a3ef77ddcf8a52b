/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameter form -> domain XML: all but the devices (domain_devices.c). The other form is domain_adapt.c.
 *
 * Choices where the caller leaves them open: q35; UTC clock; the CPU libvirt's default for the accelerator; a console (VNC), a balloon and the
 * guest agent's channel; spare PCIe ports to plug into. Under TCG host-passthrough and host-model do not exist and become `maximum`.
 */
#include "agent/virt/domain_xml.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "agent/virt/vm_metadata.h"
#include "agent/xml.h"
#include "common/error.h"

#define MEMORY_SLOTS "16"

bool domain_xml_check_file(const char *path, const char *purpose, bool *ret_block, GError **error)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		error_set_errno(error, ERR_IMAGE_FILE_NOT_FOUND, errno, "%s '%s'", purpose, path);
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		error_set(error, ERR_IMAGE_FILE_NOT_FOUND, "%s '%s' is a directory", purpose, path);
		return false;
	}
	if (ret_block)
		*ret_block = S_ISBLK(st.st_mode);
	return true;
}

void domain_xml_ticket(xmlNode *graphics, const char *password, int ttl, const struct domain_xml_env *env)
{
	const char *given = password ? password : env->password;
	g_autofree char *cut = xml_is(graphics, "type", "vnc") ? g_strndup(given, VNC_PASSWORD_MAX) : g_strdup(given);
	time_t until = password ? (time_t)env->start_time + ttl : 1;
	struct tm utc;
	char text[32];

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&until, &utc));
	xml_set(graphics, "passwd", cut);
	xml_set(graphics, "passwdValidTo", text);
}

static void add_number(xmlNode *parent, const char *name, const char *unit, int64_t value)
{
	xmlNode *node;
	char text[24];

	g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, value);
	node = xml_add_text(parent, name, text);
	if (unit)
		xml_set(node, "unit", unit);
}

static bool add_cpus(xmlNode *domain, const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	int threads = p->smp_threads_per_core, cores = p->smp_cores_per_socket, max = HAS(p, max_vcpus) ? p->max_vcpus : p->smp;
	bool passthrough = p->cpu_type && !g_ascii_strcasecmp(p->cpu_type, "hostPassthrough");
	bool model = p->cpu_type && !g_ascii_strcasecmp(p->cpu_type, "hostModel");
	bool numa = HAS(p, max_mem_size), named = p->cpu_type && *p->cpu_type && !passthrough && !model;
	xmlNode *vcpu, *cpu, *topology;
	char text[24];

	if (max < p->smp) {
		error_set(error, ERR_INVALID_PARAMETER, "maxVCpus: %d is less than smp, %d", max, p->smp);
		return false;
	}
	max = (max + cores * threads - 1) / (cores * threads) * (cores * threads);
	g_snprintf(text, sizeof(text), "%d", max);
	vcpu = xml_add_text(domain, "vcpu", text);
	xml_set_number(vcpu, "current", p->smp);
	cpu = xml_add(domain, "cpu");
	if (passthrough || model) {
		xml_set(cpu, "mode", !env->kvm ? "maximum" : passthrough ? "host-passthrough" : "host-model");
	} else if (named) {
		g_auto(GStrv) words = g_strsplit(p->cpu_type, ",", -1);         /* "Nehalem,+aes,-vmx" */

		xml_set(cpu, "mode", "custom");
		xml_set(cpu, "match", "exact");
		xml_add_text(cpu, "model", words[0]);
		for (char **word = words + 1; *word; word++)
			if (**word == '+' || **word == '-')
				xml_add_with(cpu, "feature", "policy", **word == '+' ? "require" : "disable", "name", *word + 1, NULL);
	}
	topology = xml_add(cpu, "topology");
	xml_set_number(topology, "sockets", max / (cores * threads));
	xml_set_number(topology, "cores", cores);
	xml_set_number(topology, "threads", threads);
	if (numa) {
		xmlNode *cell = xml_add(xml_add(cpu, "numa"), "cell");
		g_autofree char *cpus = max > 1 ? g_strdup_printf("0-%d", max - 1) : g_strdup("0");

		xml_set(cell, "id", "0");
		xml_set(cell, "cpus", cpus);
		xml_set_number(cell, "memory", p->mem_size);
		xml_set(cell, "unit", "MiB");
	}
	return true;
}

static bool add_memory(xmlNode *domain, const struct vm_params *p, GError **error)
{
	if (!HAS(p, mem_size)) {
		error_set(error, ERR_MISSING_PARAMETER, "memSize");
		return false;
	}
	if (HAS(p, max_mem_size)) {
		if (p->max_mem_size < p->mem_size) {
			error_set(error, ERR_INVALID_PARAMETER, "maxMemSize: %" G_GINT64_FORMAT " is less than memSize, %" G_GINT64_FORMAT, p->max_mem_size,
				  p->mem_size);
			return false;
		}
		add_number(domain, "maxMemory", "MiB", p->max_mem_size);
		xml_set(xml_child(domain, "maxMemory"), "slots", MEMORY_SLOTS);
	}
	add_number(domain, "memory", "MiB", p->mem_size);
	add_number(domain, "currentMemory", "MiB", p->mem_size);
	return true;
}

static bool has_boot_order(const struct vm_params *p)
{
	for (guint i = 0; p->devices && i < p->devices->len; i++)
		if (HAS((struct vm_device *)p->devices->pdata[i], boot_order))
			return true;
	return false;
}

static bool add_os(xmlNode *domain, const struct vm_params *p, GError **error)
{
	static const char *const names[] = { ['c'] = "hd", ['d'] = "cdrom", ['n'] = "network" };
	xmlNode *os = xml_add(domain, "os");
	xmlNode *type = xml_add_text(os, "type", "hvm");

	xml_set(type, "arch", "x86_64");
	xml_set(type, "machine", p->emulated_machine);
	if (p->kernel && *p->kernel) {
		if (!domain_xml_check_file(p->kernel, "kernel", NULL, error))
			return false;
		xml_add_text(os, "kernel", p->kernel);
		if (p->initrd && *p->initrd) {
			if (!domain_xml_check_file(p->initrd, "initrd", NULL, error))
				return false;
			xml_add_text(os, "initrd", p->initrd);
		}
		if (p->kernel_args)
			xml_add_text(os, "cmdline", p->kernel_args);
	}
	if (!has_boot_order(p))
		for (const char *c = p->boot ? p->boot : "c"; *c; c++)
			xml_add_with(os, "boot", "dev", names[(unsigned char)*c], NULL);
	if (HAS(p, boot_menu) && p->boot_menu)
		xml_add_with(os, "bootmenu", "enable", "yes", "timeout", "10000", NULL);
	return true;
}

static void add_clock(xmlNode *domain, const struct vm_params *p)
{
	xmlNode *clock = xml_add(domain, "clock");

	if (p->time_zone && *p->time_zone && strcmp(p->time_zone, "UTC") && strcmp(p->time_zone, "Etc/GMT")) {
		xml_set(clock, "offset", "timezone");
		xml_set(clock, "timezone", p->time_zone);
	} else {
		xml_set(clock, "offset", "variable");
		xml_set_number(clock, "adjustment", HAS(p, time_offset) ? p->time_offset : 0);
	}
	xml_add_with(clock, "timer", "name", "rtc", "tickpolicy", "catchup", NULL);
	xml_add_with(clock, "timer", "name", "pit", "tickpolicy", "delay", NULL);
	xml_add_with(clock, "timer", "name", "hpet", "present", "no", NULL);
}

/* given: as it came; p: with the defaults. */
static bool from_parameters(xmlNode *domain, const char *vm_id, const struct vm_params *given, const struct vm_params *p, const struct domain_xml_env *env,
			    GError **error)
{
	const char *name = p->vm_name ? p->vm_name : vm_id;
	xmlNode *features;

	if (strpbrk(name, "/\n\r")) {
		error_set(error, ERR_INVALID_PARAMETER, "vmName: '%s' has a character that a name cannot have", name);
		return false;
	}
	xml_set(domain, "type", env->kvm && g_ascii_strcasecmp(p->kvm_enable, "false") ? "kvm" : "qemu");
	xml_add_text(domain, "name", name);
	xml_add_text(domain, "uuid", vm_id);
	vm_metadata_write(vm_metadata_make(domain), given, env->start_time);
	if (!add_memory(domain, p, error) || !add_cpus(domain, p, env, error) || !add_os(domain, p, error))
		return false;
	features = xml_add(domain, "features");
	if (p->acpi_enable)
		xml_add(features, "acpi");
	xml_add(features, "apic");
	add_clock(domain, p);
	xml_add_text(domain, "on_poweroff", "destroy");
	xml_add_text(domain, "on_reboot", "restart");
	xml_add_text(domain, "on_crash", "destroy");
	return domain_xml_devices(domain, vm_metadata_of(domain), p, env, error);
}

char *domain_xml_build(const char *vm_id, const struct vm_params *params, const struct domain_xml_env *env, GError **error)
{
	g_autoptr(xmlDoc) doc = NULL;
	struct vm_params *p = record_copy(params);
	char *text = NULL;
	bool good;

	record_defaults(p, 0);
	if (p->xml) {
		xmlNode *root;
		g_autofree char *uuid = NULL;

		g_autoptr(GError) cause = NULL;

		doc = xml_parse(p->xml, strlen(p->xml), &cause);
		if (!doc) {
			error_set(error, ERR_INVALID_PARAMETER, "xml: %s", cause->message);
			record_unref(p);
			return NULL;
		}
		root = xmlDocGetRootElement(doc);
		uuid = xml_text(xml_child(root, "uuid"));
		good = false;
		if (strcmp((const char *)root->name, "domain"))
			error_set(error, ERR_INVALID_PARAMETER, "xml: the root element is '%s', not 'domain'", root->name);
		else if (uuid && g_ascii_strcasecmp(uuid, vm_id))
			error_set(error, ERR_INVALID_PARAMETER, "xml: uuid is '%s', not vmID '%s'", uuid, vm_id);
		else {
			if (!uuid)
				xml_add_text(root, "uuid", vm_id);
			if (!xml_child(root, "name"))
				xml_add_text(root, "name", p->vm_name ? p->vm_name : vm_id);
			vm_metadata_write(vm_metadata_make(root), params, env->start_time);
			good = domain_xml_adapt(root, p, env, error);
		}
	} else {
		doc = xmlNewDoc((const xmlChar *)"1.0");
		xmlDocSetRootElement(doc, xmlNewNode(NULL, (const xmlChar *)"domain"));
		good = from_parameters(xmlDocGetRootElement(doc), vm_id, params, p, env, error);
	}
	if (good)
		text = xml_to_text(xmlDocGetRootElement(doc));
	record_unref(p);
	return text;
}
