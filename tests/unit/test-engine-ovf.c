/* SPDX-License-Identifier: Apache-2.0 */
/* OVFs of VMs and templates: what is written is read again; what others wrote; what nobody should have written. */
#include "tests/unit/cmocka-all.h"
#include <string.h>
#include "common/error.h"
#include "common/xml.h"
#include "engine/model/cdrom.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/ovf/ovf.h"

#define VM_ID "11111111-2222-4333-8444-555555555555"
#define NET_ID "aaaaaaaa-2222-4333-8444-555555555555"
#define NIC_ID "bbbbbbbb-2222-4333-8444-555555555555"
#define IMAGE "cccccccc-2222-4333-8444-555555555555"
#define VOLUME "dddddddd-2222-4333-8444-555555555555"
#define VOLUME2 "eeeeeeee-2222-4333-8444-555555555555"
#define NOW INT64_C(1423491144000)               /* 2015-02-09 14:12:24 UTC */

static void set(void *record, const char *path, const char *text)
{
	const struct field *field = record_field(((const struct record *)record)->type, path);
	g_autoptr(GError) error = NULL;

	assert_non_null(field);
	if (!record_set_text(record, field, text, &error))
		fail_msg("%s: %s", path, error->message);
}

/* Every member that OVF carries, with another value than its default. */
static const struct { const char *path, *value; } members[] = {
	{ "name", "web-1" }, { "description", "a <b> & \"c\" \xc3\xa4\xe2\x82\xac" }, { "comment", "c]]>d" }, { "type", "server" },
	{ "memory", "2147483648" }, { "memory_policy/guaranteed", "1073741824" }, { "memory_policy/ballooning", "false" }, { "cpu/topology@sockets", "2" },
	{ "cpu/topology@cores", "3" }, { "cpu/topology@threads", "2" }, { "cpu/mode", "host_passthrough" }, { "bios/boot_menu/enabled", "true" },
	{ "os@type", "rhel_7x64" }, { "os/kernel", "/k" }, { "os/initrd", "/i" }, { "os/cmdline", "a=b  c" }, { "high_availability/enabled", "true" },
	{ "high_availability/priority", "50" }, { "display/type", "spice" }, { "display/monitors", "4" }, { "display/single_qxl_pci", "true" },
	{ "display/allow_override", "true" }, { "display/smartcard_enabled", "true" }, { "display/file_transfer_enabled", "false" },
	{ "display/copy_paste_enabled", "false" }, { "display/keyboard_layout", "de" }, { "origin", "kvm" }, { "stateless", "true" },
	{ "delete_protected", "true" }, { "console@enabled", "true" }, { "timezone", "Europe/Berlin" }, { "domain/name", "example.org" },
	{ "placement_policy/affinity", "user_migratable" }, { "usb/enabled", "true" }, { "usb/type", "legacy" }, { "soundcard_enabled", "true" },
	{ "migration_downtime", "300" }, { "tunnel_migration", "true" }, { "rng_device/source", "hwrng" }, { "rng_device/rate/bytes", "1234" },
	{ "rng_device/rate/period", "2000" }, { "serial_number/policy", "custom" }, { "serial_number/value", "S-1" },
	{ "use_latest_template_version", "true" },
};

static struct vm *full_vm(void)
{
	struct vm *vm = record_new(&vm_type);
	struct boot_item *boot;
	struct option_item *property;
	struct sso_method *method;
	struct cdrom *cdrom;

	set_string(&vm->id, VM_ID);
	for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
		set(vm, members[i].path, members[i].value);
	SET(vm, creation_time, NOW - 5000);
	boot = list_add(&vm->boot, &boot_item_type);
	SET(boot, dev, BOOT_NETWORK);
	boot = list_add(&vm->boot, &boot_item_type);
	SET(boot, dev, BOOT_HD);
	property = list_add(&vm->custom_properties, &option_item_type);
	set_string(&property->name, "viodiskcache");
	set_string(&property->value, "a=b");
	method = list_add(&vm->sso_methods, &sso_method_type);
	set_string(&method->id, "GUEST_AGENT");
	cdrom = list_add(&vm->cdroms, &cdrom_type);
	set_string(&cdrom->id, BLANK_ID);
	set_string(&cdrom->file, "a&b.iso");
	return vm;
}

static struct disk *full_disk(void)
{
	struct disk *disk = record_new(&disk_type);

	set_string(&disk->id, IMAGE);
	set_string(&disk->image_id, VOLUME);
	set(disk, "alias", "root <disk>");
	set(disk, "description", "one");
	SET(disk, size, INT64_C(10) * 1024 * 1024 * 1024 - 4096);
	SET(disk, format, DISK_COW);
	SET(disk, sparse, false);
	SET(disk, interface, DISK_VIRTIO_SCSI);
	SET(disk, bootable, true);
	SET(disk, wipe_after_delete, true);
	SET(disk, read_only, true);
	SET(disk, active, false);
	return disk;
}

static struct model *model_with_nic(void)
{
	struct model *model = model_new();
	struct network *network = record_new(&network_type);
	struct nic *nic = record_new(&nic_type);
	struct model_change changes[] = { { &network_kind, NET_ID, network }, { &nic_kind, NIC_ID, nic } };

	set_string(&network->id, NET_ID);
	set_string(&network->name, "red");
	set_string(&nic->id, NIC_ID);
	set_string(&nic->name, "nic1");
	set_ref(&nic->vm, VM_ID);
	set_ref(&nic->network, NET_ID);
	set(nic, "mac@address", "00:1a:4a:01:02:03");
	SET(nic, interface, NIC_E1000);
	SET(nic, plugged, false);
	SET(nic, linked, true);
	model_publish(model, changes, G_N_ELEMENTS(changes));
	record_unref(network);
	record_unref(nic);
	return model;
}

static void same_members(const struct record_type *type, const void *a, const void *b)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		g_autofree char *left = NULL, *right = NULL;

		if (record_member_equal(a, b, &type->fields[i]))
			continue;
		left = record_text(a, &type->fields[i]);
		right = record_text(b, &type->fields[i]);
		fail_msg("%s: %s became %s", type->fields[i].path, left, right);
	}
}

static void test_round_trip(void **state)
{
	struct model *model = model_with_nic();
	struct vm *vm = full_vm();
	struct disk *disk = full_disk();
	g_autoptr(GPtrArray) disks = list_new();
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	autoovf ovf = NULL;
	const struct disk *back;
	const struct nic *nic;

	(void)state;
	g_ptr_array_add(disks, disk);
	text = ovf_write(model, vm, disks, NOW);
	assert_non_null(strstr(text, "<ovf:Envelope"));
	assert_non_null(strstr(text, "<ExportDate>2015/02/09 14:12:24</ExportDate>"));
	ovf = ovf_read(text, strlen(text), &error);
	if (!ovf)
		fail_msg("%s\n%s", error->message, text);
	assert_non_null(ovf->vm);
	same_members(&vm_type, vm, ovf->vm);
	assert_int_equal(ovf->disks->len, 1);
	back = ovf->disks->pdata[0];
	CLEAR(disk, actual_size);
	set_string(&disk->type, "system");
	SET(disk, shareable, false);
	SET(disk, propagate_errors, false);
	same_members(&disk_type, disk, back);
	assert_int_equal(ovf->nics->len, 1);
	nic = ovf->nics->pdata[0];
	assert_string_equal(nic->id, NIC_ID);
	assert_string_equal(nic->network.name, "red");
	assert_string_equal(nic->mac, "00:1a:4a:01:02:03");
	assert_int_equal(nic->interface, NIC_E1000);
	assert_false(nic->plugged);
	record_unref(vm);
	model_free(model);
}

/* What XML cannot hold does not make the text unreadable. */
static void test_odd_text(void **state)
{
	struct model *model = model_new();
	struct vm *vm = full_vm();
	g_autoptr(GPtrArray) disks = list_new();
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	autoovf ovf = NULL;

	(void)state;
	set_string(&vm->description, "a\x01\x1f" "b\xef\xbf\xbf" "c");
	text = ovf_write(model, vm, disks, NOW);
	ovf = ovf_read(text, strlen(text), &error);
	assert_non_null(ovf);
	assert_string_equal(ovf->vm->description, "abc");
	record_unref(vm);
	model_free(model);
}

/* ---- by others ---- */

#define HEAD "<ovf:Envelope xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1/\" xmlns:rasd=\"urn:r\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
#define FILES "<References/>"
#define DISKS(items) "<Section xsi:type=\"ovf:DiskSection_Type\"><Info/>" items "</Section>"
#define DISK(image, volume, parent) "<Disk ovf:diskId=\"" volume "\" ovf:size=\"1\" ovf:fileRef=\"" image "/" volume "\" ovf:parentRef=\"" parent "\"/>"
#define OS(id) "<Section ovf:id=\"" id "\" xsi:type=\"ovf:OperatingSystemSection_Type\"><Description>other</Description></Section>"
#define ITEM(type, rest) "<Item><rasd:ResourceType>" #type "</rasd:ResourceType>" rest "</Item>"
#define MEMORY ITEM(4, "<rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits><rasd:VirtualQuantity>512</rasd:VirtualQuantity>")
#define HARDWARE(items) "<Section xsi:type=\"ovf:VirtualHardwareSection_Type\">" items "</Section>"
#define CONTENT(fields, os, hardware) "<Content ovf:id=\"out\" xsi:type=\"ovf:VirtualSystem_Type\">" fields os hardware "</Content>"
#define TAIL "</ovf:Envelope>"
#define GOOD_CONTENT CONTENT("<Name>web</Name>", OS(VM_ID), HARDWARE(MEMORY))
#define WITH_FIELDS(fields) HEAD CONTENT("<Name>web</Name>" fields, OS(VM_ID), HARDWARE(MEMORY)) TAIL
#define WITH_ITEMS(items) HEAD CONTENT("<Name>web</Name>", OS(VM_ID), HARDWARE(MEMORY items)) TAIL
#define WITH_DISKS(items) HEAD FILES DISKS(items) GOOD_CONTENT TAIL
#define NIC(name, id) ITEM(10, "<rasd:InstanceId>" id "</rasd:InstanceId><rasd:Name>" name "</rasd:Name>")

static struct ovf *read_good(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct ovf *ovf = ovf_read(text, strlen(text), &error);

	if (!ovf)
		fail_msg("%s", error->message);
	return ovf;
}

/* Only the leaf of each image is a disk; the volumes of its snapshots are not. */
static void test_snapshots(void **state)
{
	autoovf ovf = read_good(WITH_DISKS(DISK(IMAGE, VOLUME, "") DISK(IMAGE, VOLUME2, IMAGE "/" VOLUME)));

	(void)state;
	assert_int_equal(ovf->disks->len, 1);
	assert_string_equal(((const struct disk *)ovf->disks->pdata[0])->image_id, VOLUME2);
}

static void test_template(void **state)
{
	autoovf ovf = read_good(WITH_FIELDS("<TemplateId>" VM_ID "</TemplateId><VmType>1</VmType><default_display_type>1</default_display_type>"));

	(void)state;
	assert_null(ovf->vm);
	assert_string_equal(ovf->template->id, VM_ID);
	assert_string_equal(ovf->template->name, "web");
	assert_int_equal(ovf->template->type, VM_SERVER);
	assert_int_equal(ovf->template->display_type, DISPLAY_SPICE);
	assert_int_equal(ovf->template->memory, 512 * 1024 * 1024);
}

/* A VM based on a template is a VM. Unknown elements, older dates, dots: fine. */
static void test_tolerance(void **state)
{
	autoovf ovf = read_good(WITH_FIELDS("<TemplateId>" IMAGE "</TemplateId><CreationDate>2014.12.03 04:25:45</CreationDate><Novelty a=\"b\"><c/></Novelty>"
					    "<default_boot_sequence>3</default_boot_sequence><SsoMethod>none</SsoMethod><Comment/>"));

	(void)state;
	assert_non_null(ovf->vm);
	assert_true(ovf->vm->creation_time == INT64_C(1417580745000));
	assert_int_equal(ovf->vm->boot->len, 3);
	assert_null(ovf->vm->sso_methods);
}

/* ---- bad ones ---- */

static const struct { const char *text, *says; } bad[] = {
	{ "", "XML" },
	{ "hello", "XML" },
	{ HEAD GOOD_CONTENT, "XML" },
	{ "<a/>", "<a>, no <Envelope>" },
	{ "<!DOCTYPE a [<!ENTITY b \"c\">]>" HEAD GOOD_CONTENT TAIL, "XML line 1" },
	{ "<!DOCTYPE a SYSTEM \"file:///etc/passwd\">" HEAD GOOD_CONTENT TAIL, "XML line 1" },
	{ HEAD TAIL, "no Content" },
	{ HEAD GOOD_CONTENT GOOD_CONTENT TAIL, "more than one Content" },
	{ HEAD CONTENT("<Name>web</Name>", "", HARDWARE(MEMORY)) TAIL, "no OperatingSystemSection" },
	{ HEAD CONTENT("<Name>web</Name>", OS("7"), HARDWARE(MEMORY)) TAIL, "'7'" },
	{ HEAD CONTENT("", OS(VM_ID), HARDWARE(MEMORY)) TAIL, "no Name" },
	{ HEAD CONTENT("<Name>a</Name><Name>b</Name>", OS(VM_ID), HARDWARE(MEMORY)) TAIL, "more than one Name" },
	{ HEAD CONTENT("<Name>&lt;script&gt;</Name>", OS(VM_ID), HARDWARE(MEMORY)) TAIL, "Name" },
	{ HEAD CONTENT("<Name>../../etc</Name>", OS(VM_ID), HARDWARE(MEMORY)) TAIL, "Name" },
	{ HEAD CONTENT("<Name>web</Name>", OS(VM_ID), "") TAIL, "no VirtualHardwareSection" },
	{ HEAD CONTENT("<Name>web</Name>", OS(VM_ID), HARDWARE("")) TAIL, "no memory" },
	{ HEAD CONTENT("<Name>web</Name>", OS(VM_ID), HARDWARE(ITEM(4, "<rasd:VirtualQuantity>99999999999999999999</rasd:VirtualQuantity>"))) TAIL, "VirtualQuantity" },
	{ HEAD CONTENT("<Name>web</Name>", OS(VM_ID), HARDWARE(ITEM(4, "<rasd:VirtualQuantity>-1</rasd:VirtualQuantity>"))) TAIL, "'-1'" },
	{ HEAD CONTENT("<Name>web</Name>", OS(VM_ID), HARDWARE(ITEM(4, "<rasd:VirtualQuantity>0</rasd:VirtualQuantity>"))) TAIL, "memory" },
	{ HEAD CONTENT("<Name>web</Name>", OS(VM_ID), HARDWARE(ITEM(4, "<rasd:AllocationUnits>Pints</rasd:AllocationUnits>"))) TAIL, "'Pints'" },
	{ WITH_FIELDS("<Priority>1000</Priority>"), "Priority" },
	{ WITH_FIELDS("<VmType>7</VmType>"), "VmType: '7'" },
	{ WITH_FIELDS("<default_boot_sequence>15</default_boot_sequence>"), "default_boot_sequence" },
	{ WITH_FIELDS("<CreationDate>2014/13/03 04:25:45</CreationDate>"), "CreationDate" },
	{ WITH_FIELDS("<CreationDate>yesterday</CreationDate>"), "'yesterday'" },
	{ WITH_FIELDS("<IsStateless>perhaps</IsStateless>"), "IsStateless" },
	{ WITH_ITEMS(ITEM(3, "<rasd:num_of_sockets>100000</rasd:num_of_sockets>")), "num_of_sockets" },
	{ WITH_ITEMS(ITEM(23, "<rasd:UsbPolicy>SOMETIMES</rasd:UsbPolicy>")), "'SOMETIMES'" },
	{ WITH_ITEMS(NIC("a", NIC_ID) NIC("b", NIC_ID)), "NIC 'b' is there twice" },
	{ WITH_ITEMS(NIC("a", NIC_ID) NIC("A", IMAGE)), "NIC 'A' is there twice" },
	{ WITH_ITEMS(ITEM(10, "<rasd:InstanceId>" NIC_ID "</rasd:InstanceId>")), "no Name of a NIC" },
	{ WITH_ITEMS(ITEM(10, "<rasd:Name>a</rasd:Name><rasd:MACAddress>01:02</rasd:MACAddress>")), "MACAddress" },
	{ WITH_DISKS("<Disk ovf:size=\"1\"/>"), "no Disk fileRef" },
	{ WITH_DISKS("<Disk ovf:fileRef=\"" IMAGE "/" VOLUME "\"/>"), "no Disk size" },
	{ WITH_DISKS("<Disk ovf:fileRef=\"" IMAGE "/" VOLUME "\" ovf:size=\"-1\"/>"), "size" },
	{ WITH_DISKS("<Disk ovf:fileRef=\"" IMAGE "/" VOLUME "\" ovf:size=\"70000000\"/>"), "size" },
	{ WITH_DISKS("<Disk ovf:fileRef=\"" IMAGE "/" VOLUME "\" ovf:size=\"1\" ovf:disk-interface=\"ESDI\"/>"), "'ESDI'" },
	{ WITH_DISKS("<Disk ovf:fileRef=\"../" VOLUME "\" ovf:size=\"1\"/>"), "fileRef" },
	{ WITH_DISKS("<Disk ovf:fileRef=\"" IMAGE "/" VOLUME "/..\" ovf:size=\"1\"/>"), "fileRef" },
	{ WITH_DISKS(DISK(IMAGE, VOLUME, "") DISK(IMAGE, VOLUME2, "")), "disk '" IMAGE "' is there twice" },
	{ WITH_DISKS(DISK(IMAGE, VOLUME, "") DISK(VOLUME2, VOLUME, "")), "is there twice" },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		autoovf ovf = ovf_read(bad[i].text, strlen(bad[i].text), &error);

		if (ovf)
			fail_msg("read: %s", bad[i].text);
		if (!strstr(error->message, "OVF") || !strstr(error->message, bad[i].says))
			fail_msg("'%s' does not say '%s': %s", error->message, bad[i].says, bad[i].text);
	}
}

/* ---- large ones ---- */

static void too_much(const char *before, const char *again, size_t times, const char *after, const char *says)
{
	GString *text = g_string_new(before);
	g_autoptr(GError) error = NULL;
	autoovf ovf = NULL;

	for (size_t i = 0; i < times; i++)
		g_string_append_printf(text, again, (unsigned)i);
	g_string_append(text, after);
	ovf = ovf_read(text->str, text->len, &error);
	assert_null(ovf);
	if (!strstr(error->message, says))
		fail_msg("'%s' does not say '%s'", error->message, says);
	g_string_free(text, TRUE);
}

static void test_large(void **state)
{
	(void)state;
	too_much(HEAD, "<!-- %u -->", 400000, GOOD_CONTENT TAIL, "longer than");
	too_much(HEAD FILES "<Section xsi:type=\"ovf:DiskSection_Type\">", "<Disk ovf:size=\"1\" ovf:fileRef=\"%08x-2222-4333-8444-555555555555/" VOLUME "\"/>",
		 30000, "</Section>" GOOD_CONTENT TAIL, "more than 2048 times Disk");
	too_much(HEAD "<Content ovf:id=\"out\"><Name>web</Name>" OS(VM_ID) "<Section xsi:type=\"ovf:VirtualHardwareSection_Type\">" MEMORY,
		 "<Item><rasd:ResourceType>10</rasd:ResourceType><rasd:Name>n%u</rasd:Name></Item>", 300, "</Section></Content>" TAIL, "more than 256 NICs");
	too_much("<a>", "<b%u>", 100, "", "XML");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_odd_text), cmocka_unit_test(test_snapshots), cmocka_unit_test(test_template),
		cmocka_unit_test(test_tolerance), cmocka_unit_test(test_bad), cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
