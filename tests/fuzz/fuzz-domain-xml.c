/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain XML from an engine (VM.create's xml form), and from libvirt.
 *
 * The input is fitted to a host. What comes of it must be XML that is read again (by the reader of running domains), still with the VM's id, of the
 * type this host can run, without passwords that were only masked, and must not be changed by a second pass.
 * The first byte chooses the host: bit 0 KVM, bit 1 prepare() knows the disks, bit 2 the networks and filters are known, bit 3 no guest agent's
 * channel, bit 4 a ticket. Bit 7: the rest is the XML of a running domain instead, for domain_info_read() alone.
 */
#include <stdlib.h>
#include <string.h>
#include "agent/virt/domain/domain_info.h"
#include "agent/virt/domain/domain_xml.h"
#include "common/xml.h"
#include "common/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VM_ID "11111111-2222-4333-8444-555555555555"

static void must(bool holds, const char *xml)
{
	if (holds)
		return;
	g_printerr("%s\n", xml);
	abort();                        /* libFuzzer keeps the input on abort() */
}

static bool prepare(void *data, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format, GError **error)
{
	if (*(const uint8_t *)data & 2) {
		*ret_path = g_strdup("/dev/null");
		*ret_format = "qcow2";
		return true;
	}
	error_set(error, ERR_IMAGE_FILE_NOT_FOUND, "%s %s %s", domain, image, volume);
	return false;
}

static char *bridge(void *data, const char *network, int *ret_tag, GError **error)
{
	*ret_tag = *(const uint8_t *)data & 8 ? 5 : -1;
	if (*(const uint8_t *)data & 4)
		return g_strdup_printf("br-%.8s", network);
	error_set(error, ERR_BAD_BRIDGE, "%s", network);
	return NULL;
}

static bool filter(void *data, const char *name, GError **error)
{
	if (*(const uint8_t *)data & 4)
		return true;
	error_set(error, ERR_INVALID_PARAMETER, "%s", name);
	return false;
}

static char *address(void *data, const char *network)
{
	return network && *(const uint8_t *)data & 4 ? g_strdup("192.0.2.1") : NULL;
}

static char *node_device(void *data, const char *name, GError **error)
{
	if (*(const uint8_t *)data & 4 && g_str_has_prefix(name, "pci"))
		return g_strdup("<device><name>pci_0000_00_1f_0</name><capability type='pci'><domain>0</domain><bus>0</bus><slot>31</slot><function>0</function>"
				"<iommuGroup number='3'/></capability></device>");
	error_set(error, ERR_HOSTDEV_DETACH_FAILED, "%s", name);
	return NULL;
}

static void check_result(const char *text, bool kvm)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), &error);
	xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
	g_autofree char *id = NULL;
	struct domain_info *info;
	bool ours = false;

	must(doc && !error, text);
	id = xml_text(xml_child(root, "uuid"));
	must(id && !g_ascii_strcasecmp(id, VM_ID), text);
	must(xml_is(root, "type", kvm ? "kvm" : "qemu"), text);
	for XML_EACH(graphics, xml_child(root, "devices"), "graphics")
		must(!xml_is(graphics, "passwd", "*****"), text);
	info = domain_info_read(text, &ours, &error);
	must(info && ours, text);
	domain_info_unref(info);
}

/* Written again it is indented anew where there is text beside elements. */
static char *without_space(const char *text)
{
	GString *out = g_string_new(NULL);

	for (; *text; text++)
		if (!g_ascii_isspace(*text))
			g_string_append_c(out, *text);
	return g_string_free(out, FALSE);
}

static void check_same(const char *once, const char *twice)
{
	g_autofree char *a = without_space(once), *b = without_space(twice);

	if (strcmp(a, b))
		g_printerr("%s\n", once);
	must(!strcmp(a, b), twice);
}

static void fit(const uint8_t *choice, const char *xml)
{
	g_autoptr(GPtrArray) orders = g_ptr_array_new_with_free_func(domain_order_free);
	struct domain_xml_env env = {
		.vm_id = VM_ID, .kvm = *choice & 1, .no_kvm = "there is no /dev/kvm", .host_uuid = "99999999-8888-4777-8666-555555555555", .os_name = "Debian",
		.os_version = "12", .host_cpus = "0-3", .host_nodes = "0", .display_address = "127.0.0.1", .password = "random12", .files_dir = "/run/berth/vms",
		.nvram_dir = "/var/lib/berth/nvram", .start_time = 1700000000.5, .prepare = prepare, .bridge = bridge, .address = address, .filter = filter,
		.node_device = node_device, .data = (void *)choice, .orders = orders,
	};
	struct vm_params *params = record_new(&vm_params_type);
	g_autoptr(GError) error = NULL;
	g_autofree char *once = NULL, *twice = NULL;

	set_string(&params->xml, xml);
	SET(params, agent_channel, !(*choice & 8));
	if (*choice & 16)
		set_string(&params->ticket, "ticket");
	once = domain_xml_build(params, &env, &error);
	must(!!once == !error, xml);
	if (once) {
		check_result(once, env.kvm);
		/* What was looked up is not looked up again by its new name: only disks and bridges that were found stay as they are. */
		if (!(*choice & 6)) {
			set_string(&params->xml, once);
			twice = domain_xml_build(params, &env, &error);
			must(twice, error ? error->message : once);
			check_same(once, twice);
		}
	}
	record_unref(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *xml = NULL;

	if (!size || memchr(data + 1, 0, size - 1))
		return 0;               /* texts of JSON have no NUL */
	xml = g_strndup((const char *)data + 1, size - 1);
	if (!g_utf8_validate(xml, -1, NULL))
		return 0;               /* nor anything but UTF-8 */
	if (*data & 0x80) {
		bool ours;
		struct domain_info *info = domain_info_read(xml, &ours, NULL);

		if (info && info->disks->len)
			must(domain_info_disk(info, "none") == NULL || info->disks->len, xml);
		domain_info_unref(info);
		return 0;
	}
	fit(data, xml);
	return 0;
}
