/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of a DriveSpec, and how devices are told apart. rows: verb:VM.changeCD verb:VM.hotunplugDisk verb:VM.hotunplugNic */
#include "tests/unit/cmocka-all.h"

#include <string.h>
#include "agent/virt/change/hotplug.h"
#include "agent/virt/disk/drive.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"

#define ID "01234567-89ab-4cde-8123-456789abcdef"

/* What a spec says: "image domain/image/volume", "path /x", with "name vda", "at ide 2" after it. g_free */
static char *read_spec(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	AUTO_DRIVE spec = { .index = -1 };
	GString *out = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	assert_non_null(json);
	if (!drive_spec_read(json, &spec, &error))
		g_string_printf(out, "%d", error->code);
	else {
		if (spec.image)
			g_string_append_printf(out, "image %s ", spec.volume);
		if (spec.path)
			g_string_append_printf(out, "path '%s' ", spec.path);
		if (spec.name)
			g_string_append_printf(out, "name %s ", spec.name);
		if (spec.index >= 0 || spec.iface)
			g_string_append_printf(out, "at %s %d ", spec.iface ? spec.iface : "-", spec.index);
	}
	json_decref(json);
	return g_string_free(out, FALSE);
}

static void reads_specs(void **state)
{
	static const struct { const char *json, *expected; } cases[] = {
		{ "\"/a/b.iso\"", "path '/a/b.iso' " },
		{ "\"\"", "path '' " },
		{ "{}", "" },
		{ "{\"path\": \"/x\", \"iface\": \"ide\", \"index\": \"2\"}", "path '/x' at ide 2 " },
		{ "{\"iface\": \"sata\", \"index\": 2, \"drive_spec\": \"\"}", "path '' at sata 2 " },
		{ "{\"iface\": \"sata\", \"index\": 2, \"drive_spec\": {}}", "at sata 2 " },
		{ "{\"drive_spec\": {\"poolID\": \"" ID "\", \"domainID\": \"" ID "\", \"imageID\": \"" ID "\", \"volumeID\": \"" ID "\"}}", "image " ID " " },
		{ "{\"domainID\": \"\", \"imageID\": \"\", \"volumeID\": \"\", \"path\": \"/x\"}", "path '/x' " },
		{ "{\"GUID\": \"3600a\"}", "path '/dev/mapper/3600a' " },
		{ "{\"name\": \"vda\", \"other\": 5}", "name vda " },
		{ "{\"index\": null, \"path\": null}", "" },
		{ "{\"imageID\": \"" ID "\"}", "11" },
		{ "{\"GUID\": \"../x\"}", "91" },
		{ "{\"path\": 5}", "91" },
		{ "{\"index\": \"two\"}", "91" },
		{ "{\"index\": -1}", "91" },
		{ "{\"drive_spec\": 5}", "91" },
		{ "[]", "91" },
		{ "7", "91" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *got = read_spec(cases[i].json);

		assert_string_equal(got, cases[i].expected);
	}
}

#define DEVICES "<disk><target dev='vda'/></disk><interface><mac address='52:54:00:AA:00:01'/></interface><memory><alias name='dimm0'/></memory>" \
		"<lease><lockspace>space</lockspace><key>key</key></lease><hostdev/>"

static void tells_devices(void **state)
{
	static const char *const expected[] = { "vda", "52:54:00:aa:00:01", "dimm0", "space/key", NULL };
	const char *text = "<domain><devices>" DEVICES "</devices></domain>";
	g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), NULL);
	xmlNode *device = xml_find(xmlDocGetRootElement(doc), "devices/disk");

	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++, device = xml_next(device, NULL)) {
		g_autofree char *identity = live_identity(device);

		if (expected[i])
			assert_string_equal(identity, expected[i]);
		else
			assert_null(identity);
	}
}

/* What is kept of a device is found by what it is, however it is written. */
static void finds_what_is_kept(void **state)
{
	const char *text = "<domain xmlns:o='" METADATA_NS "'><metadata><o:vm><o:device mac_address='52:54:00:aa:00:01'/>"
			   "<o:device devtype='disk' name='vdb'/></o:vm></metadata><devices>" DEVICES "</devices></domain>";
	g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), NULL);
	xmlNode *root = xmlDocGetRootElement(doc), *vm = vm_metadata_of(root), *made;
	xmlNode *disk = xml_find(root, "devices/disk"), *nic = xml_find(root, "devices/interface");

	assert_non_null(live_kept_in(vm, nic, false));
	assert_null(live_kept_in(vm, disk, false));
	made = live_kept_in(vm, disk, true);
	assert_true(xml_is(made, "name", "vda") && xml_is(made, "devtype", "disk"));
	assert_ptr_equal(live_kept_in(vm, disk, false), made);
	assert_null(live_kept_in(vm, xml_find(root, "devices/hostdev"), true));
	assert_null(live_kept_in(NULL, disk, true));
}

static int parse_wish(const char *xml, const char *element)
{
	AUTO_WISH wish = { 0 };
	g_autoptr(GError) error = NULL;

	if (plug_wish_parse(xml, element, &wish, &error)) {
		assert_string_equal((const char *)wish.device->name, element);
		assert_non_null(wish.metadata);
		return 0;
	}
	return error->code;
}

static void reads_wishes(void **state)
{
	assert_int_equal(parse_wish("<hotplug><devices><disk/></devices></hotplug>", "disk"), 0);
	assert_int_equal(parse_wish("<domain><devices><!-- one --><disk/></devices><metadata/></domain>", "disk"), 0);
	assert_int_equal(parse_wish("<domain><devices><disk/><disk/></devices></domain>", "disk"), 91);
	assert_int_equal(parse_wish("<domain><devices/></domain>", "disk"), 91);
	assert_int_equal(parse_wish("<disk/>", "disk"), 91);
	assert_int_equal(parse_wish("<domain><devices><interface/></devices></domain>", "disk"), 91);
	assert_int_equal(parse_wish("", "disk"), 91);
	assert_int_equal(parse_wish("<!DOCTYPE a [<!ENTITY b 'c'>]><domain><devices><disk>&b;</disk></devices></domain>", "disk"), 91);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_specs), cmocka_unit_test(tells_devices), cmocka_unit_test(finds_what_is_kept), cmocka_unit_test(reads_wishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
