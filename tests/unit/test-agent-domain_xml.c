/* SPDX-License-Identifier: Apache-2.0 */
/* VM.create's parameters -> domain XML, against golden files: NAME.json -> NAME.xml, or NAME.error. REGENERATE=1 writes them anew: review the diff. */
#include "tests/unit/cmocka-all.h"
#include <stdlib.h>
#include <string.h>
#include "agent/virt/domain/domain_info.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

#define VM "aaaaaaaa-0000-4000-8000-000000000001"

static char *golden(const char *name, const char *suffix)
{
	g_autofree char *file = g_strconcat(name, suffix, NULL);
	const char *root = getenv("ROOT");

	return g_build_filename(root ? root : ".", "tests/golden/domain_xml", file, NULL);
}

static bool prepare(void *data, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format, GError **error)
{
	if (g_str_has_prefix(volume, "dead")) {
		error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "('%s',)", volume);
		return false;
	}
	*ret_path = g_strdup("/dev/null");
	*ret_format = "qcow2";
	return true;
}

static bool lease(void *data, const char *domain, const char *image, const char *id, char **ret_path, int64_t *ret_offset, GError **error)
{
	*ret_path = g_strdup(image ? "/dev/null.lease" : "/dev/null.xleases");
	*ret_offset = image ? 0 : 3 << 20;
	return true;
}

static bool holds_leases(void *data, GError **error)
{
	return true;
}

static char *bridge(void *data, const char *network, int *ret_tag, GError **error)
{
	if (!strcmp(network, "nowhere")) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s' is not on this host", network);
		return NULL;
	}
	*ret_tag = g_str_has_prefix(network, "ovs") ? 5 : -1;
	return g_strconcat("br-", network, NULL);
}

static char *address(void *data, const char *network)
{
	return strcmp(network, "display") ? NULL : g_strdup("192.0.2.7");
}

static char *link_below(void *data, const char *network, GError **error)
{
	return g_strconcat("nic-", network, NULL);
}

static bool filter(void *data, const char *name, GError **error)
{
	if (strcmp(name, "none"))
		return true;
	error_set(error, ERR_INVALID_PARAMETER, "filter: '%s' is no network filter of this host", name);
	return false;
}

/* The host has: a PCI device with and one without an IOMMU group, a USB and a SCSI device, and a disk. */
static char *node_device(void *data, const char *name, GError **error)
{
	static const struct { const char *name, *capability; } devices[] = {
		{ "pci_0000_05_00_0", "<capability type='pci'><domain>0</domain><bus>5</bus><slot>0</slot><function>0</function><iommuGroup number='9'/></capability>" },
		{ "pci_0000_05_10_1", "<capability type='pci'><domain>0</domain><bus>5</bus><slot>16</slot><function>1</function><iommuGroup number='10'/></capability>" },
		{ "pci_0000_00_03_0", "<capability type='pci'><domain>0</domain><bus>0</bus><slot>3</slot><function>0</function></capability>" },
		{ "usb_1_2", "<capability type='usb_device'><bus>1</bus><device>4</device></capability>" },
		{ "scsi_2_0_0_1", "<capability type='scsi'><host>2</host><bus>0</bus><target>0</target><lun>1</lun></capability>" },
		{ "block_sda", "<capability type='storage'/>" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(devices); i++)
		if (!strcmp(devices[i].name, name))
			return g_strdup_printf("<device><name>%s</name>%s</device>", name, devices[i].capability);
	error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s': no such device", name);
	return NULL;
}

static bool usb_device(void *data, unsigned bus, unsigned device, GError **error)
{
	if (bus == 1 && device == 4)
		return true;
	error_set(error, ERR_HOSTDEV_DETACH_FAILED, "no device %u on USB bus %u", device, bus);
	return false;
}

static bool prepared(void *data, const json_t *drive, json_t **ret_drive, GError **error)
{
	if (!g_strcmp0(json_string_value(json_object_get(drive, "volumeID")), "11111111-0000-4000-8000-0000000000ff"))
		*ret_drive = json_pack("{s:s, s:s}", "path", "/dev/zero", "format", "raw");
	return true;
}

static struct domain_xml_env env_of(bool kvm, const char *display)
{
	return (struct domain_xml_env){
		.vm_id = VM, .kvm = kvm, .no_kvm = kvm ? NULL : "there is no /dev/kvm", .host_uuid = "bbbbbbbb-0000-4000-8000-000000000002", .os_name = "Debian GNU/Linux",
		.os_version = "12", .host_cpus = "0-3", .host_nodes = "0-1", .display_address = display, .password = "drawn123", .files_dir = "/run/agent/vms",
		.nvram_dir = "/var/lib/agent/nvram", .start_time = 1700000000.25, .prepare = prepare, .prepared = prepared, .lease = lease,
		.holds_leases = holds_leases, .bridge = bridge, .link = link_below, .address = address,
		.filter = filter, .node_device = node_device, .usb_device = usb_device,
	};
}

static struct vm_params *read_params(const char *name)
{
	g_autofree char *file = golden(name, ".json"), *text = NULL;
	g_autoptr(GError) error = NULL;
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct vm_params *params;
	json_t *json;
	gsize length;

	if (!g_file_get_contents(file, &text, &length, &error))
		fail_msg("%s", error->message);
	json = json_parse(text, length, &error);
	params = json ? record_from_json(&vm_params_type, json, &input, &error) : NULL;
	if (!params)
		fail_msg("%s: %s", file, error->message);
	record_input_clear(&input);
	json_decref(json);
	return params;
}

static void compare(const char *name, const char *suffix, const char *got)
{
	g_autofree char *file = golden(name, suffix), *expected = NULL;

	if (getenv("REGENERATE")) {
		assert_true(g_file_set_contents(file, got, -1, NULL));
		return;
	}
	if (!g_file_get_contents(file, &expected, NULL, NULL))
		fail_msg("%s is missing: REGENERATE=1", file);
	assert_string_equal(got, expected);
}

/* What the XML wants made, as a comment below it. */
static void show_orders(GString *out, const GPtrArray *orders)
{
	for (guint i = 0; i < orders->len; i++) {
		const struct domain_order *order = orders->pdata[i];
		char *files = order->files ? json_dumps(order->files, JSON_COMPACT) : NULL;

		if (order->kind == ORDER_PAYLOAD)
			g_string_append_printf(out, "<!-- %s %s, label %s: %s -->\n", order->floppy ? "floppy" : "cd", order->path, order->label ? order->label : "none", files);
		else
			g_string_append_printf(out, "<!-- mdev %s of type %s -->\n", order->mdev_uuid, order->mdev_type);
		free(files);
	}
}

static void check(const char *name, bool kvm)
{
	struct domain_xml_env env = env_of(kvm, "127.0.0.1");
	struct vm_params *params = read_params(name);
	g_autoptr(GPtrArray) orders = g_ptr_array_new_with_free_func(domain_order_free);
	g_autoptr(GString) got = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *xml = NULL, *line = NULL;

	env.orders = orders;
	xml = domain_xml_build(params, &env, &error);
	record_unref(params);
	if (xml) {
		g_string_append_printf(got, "%s\n", xml);
		show_orders(got, orders);
		compare(name, ".xml", got->str);
		return;
	}
	line = g_strdup_printf("%d %s\n", error->code, error->message);
	compare(name, ".error", line);
}

static void test_least(void **state) { check("least", false); }
static void test_least_kvm(void **state) { check("least-kvm", true); }
static void test_everything(void **state) { check("everything", false); }
static void test_everything_kvm(void **state) { check("everything-kvm", true); }
static void test_pc(void **state) { check("pc", false); }
static void test_engine(void **state) { check("engine", false); }
static void test_engine_kvm(void **state) { check("engine-kvm", true); }
static void test_machine(void **state) { check("machine", false); }
static void test_machine_kvm(void **state) { check("machine-kvm", true); }
static void test_devices(void **state) { check("devices", false); }
static void test_engine_devices(void **state) { check("engine-devices", false); }
static void test_refused(void **state)
{
	static const char *const names[] = {
		"bad-memory", "bad-device", "bad-bus", "bad-file", "bad-volume", "bad-network", "bad-index", "bad-ids", "bad-cpus", "bad-name", "bad-root",
		"bad-xml",
		"bad-uuid",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		check(names[i], false);
}

/* What is wrong is named with its path and value, and refused with the code a caller can act on. */
static void test_wrong_values(void **state)
{
#define DEVICE(type, ...) "{'memSize': 64, 'devices': [{'type': '" type "'" __VA_ARGS__ "}]}"
	static const struct { const char *params; enum error_code code; const char *message; } cases[] = {
		{ "{}", ERR_MISSING_PARAMETER, "memSize" },
		{ "{'memSize': 64, 'maxMemSize': 32}", ERR_INVALID_PARAMETER, "maxMemSize: 32 is less than memSize, 64" },
		{ "{'memSize': 64, 'memGuaranteedSize': 65}", ERR_INVALID_PARAMETER, "memGuaranteedSize: 65 is more than memSize, 64" },
		{ "{'memSize': 64, 'custom': {'hugepages': '3'}}", ERR_INVALID_PARAMETER, "custom/hugepages: this host has no memory pages of '3' KiB" },
		{ "{'memSize': 64, 'cpuPinning': {'1': '0'}}", ERR_INVALID_PARAMETER, "cpuPinning: '1' is no vCPU of this VM (0-0)" },
		{ "{'memSize': 64, 'cpuPinning': {'0': '2-5'}}", ERR_INVALID_PARAMETER, "cpuPinning/0: 4 is no CPU of this host (0-3)" },
		{ "{'memSize': 64, 'cpuPinning': {'0': 'all'}}", ERR_INVALID_PARAMETER, "cpuPinning/0: 'all' is not a set of numbers (0-3,^2)" },
		{ "{'memSize': 64, 'cpuPinning': {'0': '1,^1'}}", ERR_INVALID_PARAMETER, "cpuPinning/0: '1,^1' is empty" },
		{ "{'memSize': 64, 'numaTune': {'mode': 'loose', 'nodeset': '0'}}", ERR_INVALID_PARAMETER,
		  "numaTune/mode: 'loose' is not strict, interleave or preferred" },
		{ "{'memSize': 64, 'numaTune': {'nodeset': '7'}}", ERR_INVALID_PARAMETER, "numaTune/nodeset: 7 is no NUMA node of this host (0-1)" },
		{ "{'memSize': 64, 'numaTune': {'memnodes': [{'vmNodeIndex': 0, 'nodeset': 'x'}]}}", ERR_INVALID_PARAMETER,
		  "numaTune/memnodes/0/nodeset: 'x' is not a set of numbers (0-3,^2)" },
		{ "{'memSize': 64, 'guestNumaNodes': [{'nodeIndex': 1, 'cpus': '0', 'memory': 64}]}", ERR_INVALID_PARAMETER,
		  "guestNumaNodes: nodeIndex '1' where 0 would follow" },
		{ "{'memSize': 64, 'guestNumaNodes': [{'cpus': '0-3', 'memory': 64}]}", ERR_INVALID_PARAMETER,
		  "guestNumaNodes/0/cpus: 1 is no vCPU of this VM (0-0)" },
		{ "{'memSize': 64, 'guestNumaNodes': [{'cpus': '0', 'memory': 'much'}]}", ERR_INVALID_PARAMETER,
		  "guestNumaNodes/0/memory: 'much' is not a size in MiB" },
		{ "{'memSize': 64, 'accelerator': 'kvm'}", ERR_CANNOT_CREATE_VM, "accelerator 'kvm' is not usable on this host: there is no /dev/kvm" },
		{ "{'memSize': 64, 'firmware': 'uefi', 'emulatedMachine': 'pc'}", ERR_INVALID_PARAMETER,
		  "firmware: UEFI needs a q35 machine, emulatedMachine is 'pc'" },
		{ "{'memSize': 64, 'timeZone': 'Mars/Phobos'}", ERR_INVALID_PARAMETER, "timeZone: 'Mars/Phobos' is no time zone that this host knows" },
		{ DEVICE("disk", ", 'path': '/dev/null', 'cache': 'hot'"), ERR_INVALID_PARAMETER,
		  "cache: 'hot' is not one of none, writethrough, writeback, directsync, unsafe" },
		{ DEVICE("disk", ", 'path': '/dev/null', 'sgio': 'filtered'"), ERR_INVALID_PARAMETER, "sgio: only a lun can have it, this is a disk" },
		{ DEVICE("disk", ", 'device': 'lun', 'path': '/dev/null'"), ERR_INVALID_PARAMETER, "a lun is a block device, '/dev/null' is none" },
		{ DEVICE("disk", ", 'device': 'lun', 'format': 'cow', 'path': '/dev/null'"), ERR_INVALID_PARAMETER, "format: 'cow' of a lun" },
		{ DEVICE("disk", ", 'GUID': '../../etc/passwd'"), ERR_INVALID_PARAMETER, "GUID: '../../etc/passwd'" },
		{ DEVICE("disk", ", 'GUID': '36000'"), ERR_IMAGE_FILE_NOT_FOUND, "disk image '/dev/mapper/36000': No such file or directory" },
		{ DEVICE("disk", ", 'diskType': 'network', 'protocol': 'ftp'"), ERR_INVALID_PARAMETER,
		  "protocol: 'ftp' is not one of rbd, iscsi, nbd, gluster, nfs" },
		{ DEVICE("disk", ", 'diskType': 'network', 'protocol': 'nbd', 'path': 'x'"), ERR_MISSING_PARAMETER, "hosts of a network disk" },
		{ DEVICE("disk", ", 'diskType': 'network', 'protocol': 'nbd', 'path': '', 'hosts': [{'name': 'x'}]"), ERR_MISSING_PARAMETER, "path of a network disk" },
		{ DEVICE("disk", ", 'path': '/dev/null', 'specParams': {'ioTune': {'speed': 1}}"), ERR_INVALID_PARAMETER,
		  "specParams/ioTune: 'speed' is not one of total_bytes_sec" },
		{ DEVICE("disk", ", 'path': '/dev/null', 'specParams': {'ioTune': {'total_iops_sec': -1}}"), ERR_INVALID_PARAMETER,
		  "specParams/ioTune/total_iops_sec: '-1' is not a number" },
		{ DEVICE("disk", ", 'path': '/dev/null', 'specParams': {'pinToIoThread': 0}"), ERR_INVALID_PARAMETER,
		  "specParams/pinToIoThread: '0' is not the number of an I/O thread that a disk on bus virtio can have" },
		{ DEVICE("disk", ", 'specParams': {'vmPayload': {}}"), ERR_INVALID_PARAMETER, "specParams/vmPayload: a disk cannot have one" },
		{ DEVICE("disk", ", 'device': 'cdrom', 'specParams': {'vmPayload': {'file': {'../x': ''}}}"), ERR_INVALID_PARAMETER,
		  "payload: file '../x' is not a path inside an image" },
		{ DEVICE("disk", ", 'device': 'cdrom', 'specParams': {'vmPayload': {'file': {'x': '{}'}}}"), ERR_INVALID_PARAMETER,
		  "payload: the content of file 'x' is not base64" },
		{ DEVICE("disk", ", 'device': 'floppy', 'specParams': {'vmPayload': {'volId': 'longer than it may be', 'file': {}}}"), ERR_INVALID_PARAMETER,
		  "payload: volId 'longer than it may be' is not a label of a floppy (1 to 11 characters)" },
		{ DEVICE("interface", ", 'nicModel': 'ne3000'"), ERR_INVALID_PARAMETER,
		  "nicModel: 'ne3000' is not one of virtio, pv, e1000, e1000e, rtl8139, ne2k_pci, vmxnet3" },
		{ DEVICE("interface", ", 'filter': 'none'"), ERR_INVALID_PARAMETER, "filter: 'none' is no network filter of this host" },
		{ DEVICE("interface", ", 'specParams': {'inbound': {'peak': 5}}"), ERR_INVALID_PARAMETER, "specParams/inbound/average: '' is not a number" },
		{ DEVICE("interface", ", 'device': 'direct'"), ERR_MISSING_PARAMETER, "network of an interface of device 'direct'" },
		{ DEVICE("interface", ", 'device': 'direct', 'network': 'red', 'specParams': {'mode': 'passthrough'}"), ERR_INVALID_PARAMETER,
		  "specParams/mode: 'passthrough' is not one of bridge, vepa, private" },
		{ DEVICE("interface", ", 'device': 'direct', 'network': 'red', 'filter': 'clean-traffic'"), ERR_INVALID_PARAMETER,
		  "filter: what a NIC of device direct sends passes the host's bridges by" },
		{ DEVICE("interface", ", 'device': 'hostdev'"), ERR_MISSING_PARAMETER, "hostdev of an interface of device 'hostdev'" },
		{ DEVICE("interface", ", 'device': 'hostdev', 'hostdev': 'usb_1_2'"), ERR_HOSTDEV_DETACH_FAILED, "host device 'usb_1_2' is not a PCI device" },
		{ DEVICE("interface", ", 'device': 'hostdev', 'hostdev': 'pci_0000_00_03_0'"), ERR_HOSTDEV_DETACH_FAILED,
		  "host device 'pci_0000_00_03_0': this host has no IOMMU, or it is off" },
		{ DEVICE("hostdev"), ERR_MISSING_PARAMETER, "device of type 'hostdev'" },
		{ DEVICE("hostdev", ", 'device': 'pci_0000_ff_00_0'"), ERR_HOSTDEV_DETACH_FAILED, "host device 'pci_0000_ff_00_0': no such device" },
		{ DEVICE("hostdev", ", 'device': 'pci_0000_00_03_0'"), ERR_HOSTDEV_DETACH_FAILED,
		  "host device 'pci_0000_00_03_0': this host has no IOMMU, or it is off" },
		{ DEVICE("hostdev", ", 'device': 'block_sda'"), ERR_HOSTDEV_DETACH_FAILED, "host device 'block_sda' is neither PCI, USB nor SCSI" },
		{ DEVICE("hostdev", ", 'device': 'mdev'"), ERR_MISSING_PARAMETER, "specParams/mdevType" },
		{ DEVICE("graphics", ", 'device': 'rdp'"), ERR_INVALID_PARAMETER, "device: 'rdp' is not one of vnc, spice" },
		{ DEVICE("video", ", 'device': 'voodoo'"), ERR_INVALID_PARAMETER, "device: 'voodoo' is not one of vga, qxl, cirrus, virtio, bochs" },
		{ DEVICE("sound", ", 'device': 'organ'"), ERR_INVALID_PARAMETER, "device: 'organ' is not one of ich6, ich9, ac97, es1370, sb16, usb" },
		{ DEVICE("watchdog", ", 'specParams': {'action': 'bark'}"), ERR_INVALID_PARAMETER,
		  "action: 'bark' is not one of none, reset, poweroff, pause, shutdown, dump, inject-nmi" },
		{ DEVICE("input", ", 'bus': 'serial'"), ERR_INVALID_PARAMETER, "bus: 'serial' is not one of usb, ps2, virtio" },
		{ DEVICE("console", ", 'specParams': {'consoleType': 'teletype'}"), ERR_INVALID_PARAMETER,
		  "specParams/consoleType: 'teletype' is not one of virtio, serial" },
		{ DEVICE("rng", ", 'specParams': {'source': 'dice'}"), ERR_INVALID_PARAMETER, "specParams/source: 'dice' is not one of random, hwrng, urandom" },
		{ DEVICE("rng", ", 'specParams': {'bytes': 'many'}"), ERR_INVALID_PARAMETER, "specParams/bytes: 'many' is not a number of bytes" },
		{ DEVICE("tpm", ", 'specParams': {'mode': 'passthrough', 'path': '/dev/tpm9'}"), ERR_IMAGE_FILE_NOT_FOUND,
		  "TPM of the host '/dev/tpm9': No such file or directory" },
		{ DEVICE("controller", ", 'device': 'mca'"), ERR_INVALID_PARAMETER,
		  "device: 'mca' is not one of usb, scsi, virtio-serial, ide, sata, fdc, ccid, pci" },
		{ DEVICE("lease", ", 'lease_id': '11111111-0000-4000-8000-00000000000d'"), ERR_MISSING_PARAMETER, "sd_id of a lease" },
		{ DEVICE("memory"), ERR_MISSING_PARAMETER, "size of memory" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct domain_xml_env env = env_of(false, "::");
		g_autoptr(GPtrArray) orders = g_ptr_array_new_with_free_func(domain_order_free);
		struct record_input input = { .dialect = RECORD_CHANNEL };
		g_autofree char *text = g_strdelimit(g_strdup(cases[i].params), "'", '"'), *xml = NULL;
		g_autoptr(GError) error = NULL;
		json_t *json = json_parse(text, strlen(text), &error);
		struct vm_params *params = json ? record_from_json(&vm_params_type, json, &input, &error) : NULL;

		if (!params)
			fail_msg("%s: %s", text, error->message);
		env.orders = orders;
		xml = domain_xml_build(params, &env, &error);
		if (xml || error->code != (int)cases[i].code || !strstr(error->message, cases[i].message))
			fail_msg("%s: %s, expected %d %s", text, error ? error->message : xml, cases[i].code, cases[i].message);
		if (strstr(text, "devices") && !g_str_has_prefix(error->message, "devices/0: "))
			fail_msg("%s does not say which device", error->message);
		record_input_clear(&input);
		record_unref(params);
		json_decref(json);
	}
#undef DEVICE
}

/* Into a machine that runs: names in use are known, and what only a start can have is refused. */
static void test_plugged(void **state)
{
	static const char running[] = "<domain><os><type machine='pc-q35-7.2'>hvm</type></os>"
				      "<devices><disk><target dev='vda' bus='virtio'/></disk></devices></domain>";
	struct domain_xml_env env = env_of(false, "::");
	g_autoptr(xmlDoc) doc = xml_parse(running, strlen(running), NULL);
	AUTO_SCOPE scope = device_scope_new(&env, NULL, xmlDocGetRootElement(doc));
	xmlNode *devices = xml_child(xmlDocGetRootElement(doc), "devices");
	struct vm_device *device = record_new(&vm_device_type);
	g_autoptr(GError) error = NULL;

	set_string(&device->type, "disk");
	set_string(&device->path, "/dev/null");
	assert_true(domain_xml_device(device, devices, NULL, scope, NULL));
	assert_true(xml_is(xml_find(xml_next(xml_child(devices, "disk"), "disk"), "target"), "dev", "vdb"));
	set_string(&device->iface, "ide");
	set_string(&device->device, "cdrom");
	assert_true(domain_xml_device(device, devices, NULL, scope, NULL));
	assert_true(xml_is(xml_child(xmlGetLastChild(devices), "target"), "bus", "sata"));       /* a q35 machine has no IDE */
	device->spec_params = json_pack("{s:{s:{}}}", "vmPayload", "file");
	assert_false(domain_xml_device(device, devices, NULL, scope, &error));
	assert_non_null(strstr(error->message, "payload: a running VM gets none"));
	record_unref(device);
}

/* Counts; data: the number of the next. */
static char *mac(void *data)
{
	return g_strdup_printf("52:54:00:00:00:%02x", (*(unsigned *)data)++);
}

/* A NIC that comes without an address has one before its properties are kept by it: another one than its neighbours'. */
static void test_addresses(void **state)
{
	static const char parameters[] = "{\"memSize\": 64, \"devices\": [{\"type\": \"interface\", \"custom\": {\"a\": \"first\"}}, "
					 "{\"type\": \"interface\", \"macAddr\": \"52:54:00:00:00:0A\"}, {\"type\": \"interface\", \"custom\": {\"a\": \"third\"}}]}";
	static const char domain[] = "{\"xml\": \"<domain><devices><interface type='ethernet'/><interface type='ethernet'><mac address=''/></interface>"
				     "<interface type='ethernet'><mac address='02:00:00:00:00:01'/></interface></devices></domain>\"}";
	const char *const given[] = { parameters, domain }, *const expected[] = { "52:54:00:00:00:0b 52:54:00:00:00:0A 52:54:00:00:00:0c",
										   "52:54:00:00:00:0a 52:54:00:00:00:0b 02:00:00:00:00:01" };

	for (size_t i = 0; i < G_N_ELEMENTS(given); i++) {
		struct domain_xml_env env = env_of(false, "::");
		struct record_input input = { .dialect = RECORD_CHANNEL };
		unsigned next = 10;
		json_t *json = json_parse(given[i], strlen(given[i]), NULL);
		struct vm_params *params = record_from_json(&vm_params_type, json, &input, NULL);
		g_autoptr(GError) error = NULL;
		g_autofree char *xml = NULL;
		g_autoptr(xmlDoc) doc = NULL;
		g_autoptr(GString) found = g_string_new(NULL);
		xmlNode *metadata;

		env.mac = mac;
		env.data = &next;
		xml = domain_xml_build(params, &env, &error);
		if (!xml)
			fail_msg("%s", error->message);
		doc = xml_parse(xml, strlen(xml), NULL);
		metadata = vm_metadata_of(xmlDocGetRootElement(doc));
		for XML_EACH(nic, xml_child(xmlDocGetRootElement(doc), "devices"), "interface") {
			g_autofree char *address = xml_get(xml_child(nic, "mac"), "address");
			json_t *custom = vm_metadata_custom(vm_metadata_device(metadata, "mac_address", address));

			g_string_append_printf(found, "%s%s", found->len ? " " : "", address);
			assert_int_equal(custom != NULL, !i && strcmp(address, "52:54:00:00:00:0A"));
			json_decref(custom);
		}
		assert_string_equal(found->str, expected[i]);
		record_input_clear(&input);
		record_unref(params);
		json_decref(json);
	}
}

static char *built(struct vm_params **ret_params)
{
	struct domain_xml_env env = env_of(false, "::");
	struct vm_params *params = read_params("everything");
	char *xml = domain_xml_build(params, &env, NULL);

	assert_non_null(xml);
	*ret_params = params;
	return xml;
}

static void test_metadata_round_trip(void **state)
{
	struct vm_params *params;
	g_autofree char *xml = built(&params);
	struct domain_info *info;
	bool ours = false;

	info = domain_info_read(xml, &ours, NULL);
	assert_non_null(info);
	assert_true(ours);
	assert_string_equal(info->name, params->vm_name);
	assert_true(info->start_time == 1700000000.25);
	assert_non_null(info->params);
	assert_null(info->params->ticket);
	assert_int_equal(info->params->mem_size, params->mem_size);
	assert_int_equal(info->params->devices->len, params->devices->len);
	assert_string_equal(json_string_value(json_object_get(info->custom, "colour")), "blue");
	assert_int_equal(info->disks->len, 5);
	assert_string_equal(domain_info_disk(info, "vda")->image_id, "11111111-0000-4000-8000-000000000003");
	*strstr(xml, "<devices>") = '\0';
	assert_null(strstr(xml, "topsecret"));          /* the metadata hold no secrets */
	domain_info_unref(info);
	record_unref(params);
}

/* What statistics show of limits and of a direct LUN. */
static void test_limits(void **state)
{
	static const char xml[] =
		"<domain type='kvm'><name>x</name>"
		"<metadata xmlns:ovirt-vm='http://ovirt.org/vm/1.0'>"
		"<ovirt-tune:qos xmlns:ovirt-tune='http://ovirt.org/vm/tune/1.0'><ovirt-tune:vcpuLimit>60</ovirt-tune:vcpuLimit></ovirt-tune:qos>"
		"<ovirt-vm:vm><ovirt-vm:device devtype='disk' name='sda'><ovirt-vm:GUID>3600c0ff</ovirt-vm:GUID></ovirt-vm:device></ovirt-vm:vm></metadata>"
		"<cputune><period>50000</period><quota>-1</quota></cputune><devices>"
		"<disk device='disk'><source file='/a'/><target dev='vda'/>"
		"<iotune><total_iops_sec>70</total_iops_sec><read_bytes_sec>0</read_bytes_sec></iotune></disk>"
		"<disk device='lun'><source dev='/dev/mapper/3600c0ff'/><target dev='sda'/><iotune><write_bytes_sec>0</write_bytes_sec></iotune></disk>"
		"</devices></domain>";
	struct domain_info *info = domain_info_read(xml, NULL, NULL);
	g_autofree char *tune = NULL;

	assert_non_null(info);
	assert_int_equal(info->vcpu_quota, -1);
	assert_int_equal(info->vcpu_period, 50000);
	assert_int_equal(info->vcpu_limit, 60);
	tune = json_dumps(info->io_tune, JSON_COMPACT);
	assert_string_equal(tune, "[{\"name\":\"vda\",\"path\":\"/a\",\"ioTune\":{\"total_iops_sec\":\"70\"}}]");
	assert_string_equal(domain_info_disk(info, "sda")->lun_guid, "3600c0ff");
	assert_null(domain_info_disk(info, "vda")->lun_guid);
	domain_info_unref(info);
	info = domain_info_read("<domain type='kvm'><name>x</name><devices/></domain>", NULL, NULL);
	assert_non_null(info);
	assert_null(info->io_tune);
	assert_int_equal(info->vcpu_quota, 0);
	assert_int_equal(info->vcpu_limit, 0);
	domain_info_unref(info);
}

static void test_hash(void **state)
{
	struct vm_params *params;
	g_autofree char *xml = built(&params), *connected = NULL, *changed = NULL;
	struct domain_info *a, *b, *c;
	g_auto(GStrv) parts = NULL;

	parts = g_strsplit(xml, "name=\"org.qemu.guest_agent.0\"", 2);
	connected = g_strjoinv("name=\"org.qemu.guest_agent.0\" state=\"connected\"", parts);
	g_strfreev(parts);
	parts = g_strsplit(xml, "br-blue", 2);
	changed = g_strjoinv("br-red", parts);
	a = domain_info_read(xml, NULL, NULL);
	b = domain_info_read(connected, NULL, NULL);
	c = domain_info_read(changed, NULL, NULL);
	assert_false(a->agent_connected);
	assert_true(b->agent_connected);
	assert_string_equal(a->hash, b->hash);
	assert_string_not_equal(a->hash, c->hash);
	domain_info_unref(a);
	domain_info_unref(b);
	domain_info_unref(c);
	record_unref(params);
}

static void test_not_ours(void **state)
{
	bool ours = true;
	struct domain_info *info = domain_info_read("<domain><name>x</name><metadata><vm xmlns='urn:other'/></metadata><devices/></domain>", &ours, NULL);
	g_autoptr(GError) error = NULL;

	assert_non_null(info);
	assert_false(ours);
	domain_info_unref(info);
	assert_null(domain_info_read("<domain/>", NULL, &error));
	assert_non_null(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least), cmocka_unit_test(test_least_kvm), cmocka_unit_test(test_everything), cmocka_unit_test(test_everything_kvm),
		cmocka_unit_test(test_pc), cmocka_unit_test(test_machine), cmocka_unit_test(test_machine_kvm), cmocka_unit_test(test_devices),
		cmocka_unit_test(test_engine_devices), cmocka_unit_test(test_engine), cmocka_unit_test(test_engine_kvm), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_wrong_values), cmocka_unit_test(test_addresses), cmocka_unit_test(test_plugged),
		cmocka_unit_test(test_metadata_round_trip), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hash), cmocka_unit_test(test_not_ours),
	};

	return cmocka_run_group_tests_name("agent domain_xml", tests, NULL, NULL);
}
