/* SPDX-License-Identifier: Apache-2.0 */
/* Disks and their chains, from a running domain's XML. */
#include "cmocka-all.h"

#include <string.h>
#include "agent/virt/disk/disk_chain.h"
#include "common/xml.h"
#include "common/record.h"

#define IMAGE "22222222-0000-4000-8000-000000000001"
#define TOP "33333333-0000-4000-8000-000000000002"
#define BASE "33333333-0000-4000-8000-000000000001"

static const char domain[] =
	"<domain><metadata><ovirt-vm:vm xmlns:ovirt-vm='http://ovirt.org/vm/1.0'>"
	"<ovirt-vm:device devtype='disk' name='vda'><ovirt-vm:domainID>d</ovirt-vm:domainID><ovirt-vm:imageID>" IMAGE "</ovirt-vm:imageID>"
	"<ovirt-vm:volumeID>" TOP "</ovirt-vm:volumeID><ovirt-vm:diskReplicate><ovirt-vm:domainID>e</ovirt-vm:domainID>"
	"<ovirt-vm:path>/e/" TOP "</ovirt-vm:path></ovirt-vm:diskReplicate></ovirt-vm:device></ovirt-vm:vm></metadata><devices>"
	"<disk type='file' device='disk'><driver type='qcow2'/><source file='/d/" TOP "' index='4'/><backingStore type='file' index='2'><format type='raw'/>"
	"<source file='/d/" BASE "'/><backingStore/></backingStore><mirror type='file' job='copy' ready='yes'><source file='/e/" TOP "'/></mirror>"
	"<target dev='vda'/><alias name='ua-1'/></disk>"
	"<disk type='block' device='lun'><source dev='/dev/mapper/360'/><target dev='sda'/><shareable/></disk>"
	"<disk type='file' device='cdrom'><target dev='sdb'/><readonly/></disk></devices></domain>";

static GPtrArray *read_domain(void)
{
	g_autoptr(xmlDoc) doc = xml_parse(domain, strlen(domain), NULL);

	assert_non_null(doc);
	return disk_chains_read(xmlDocGetRootElement(doc));
}

static const struct disk_chain *find(const GPtrArray *chains, struct disk_key key)
{
	return disk_chains_find(chains, &key);
}

static void test_read(void **state)
{
	g_autoptr(GPtrArray) chains = read_domain();
	const struct disk_chain *vda = chains->pdata[0], *sda = chains->pdata[1], *sdb = chains->pdata[2];
	const struct disk_layer *top = disk_chain_layer(vda, TOP), *base = disk_chain_layer(vda, BASE);
	g_autofree char *node = disk_layer_node(base);

	assert_int_equal(chains->len, 3);
	assert_int_equal(vda->layers->len, 2);
	assert_int_equal(top->index, 4);
	assert_string_equal(top->format, "qcow2");
	assert_int_equal(base->index, 2);
	assert_string_equal(base->format, "raw");
	assert_ptr_equal(disk_chain_above(vda, base), top);
	assert_null(disk_chain_above(vda, top));
	assert_string_equal(node, "libvirt-2-format");
	assert_true(disk_chain_is_on(vda, TOP));
	assert_false(disk_chain_is_on(vda, BASE));
	assert_null(disk_chain_layer(vda, IMAGE));
	assert_string_equal(vda->job, "copy");
	assert_true(vda->mirror_ready);
	assert_string_equal(vda->mirror_path, "/e/" TOP);
	assert_string_equal(vda->replica_domain, "e");
	assert_string_equal(vda->replica_path, "/e/" TOP);
	assert_null(vda->replica_volume);
	assert_true(sda->block && sda->shareable && !sda->removable && !sda->volume);
	assert_true(sdb->removable && sdb->readonly);
	assert_int_equal(sdb->layers->len, 0);
}

static void test_find(void **state)
{
	g_autoptr(GPtrArray) chains = read_domain();

	assert_ptr_equal(find(chains, (struct disk_key){ .domain = "d", .image = IMAGE, .volume = TOP }), chains->pdata[0]);
	assert_ptr_equal(find(chains, (struct disk_key){ .image = IMAGE, .volume = TOP }), chains->pdata[0]);
	assert_null(find(chains, (struct disk_key){ .domain = "e", .image = IMAGE, .volume = TOP }));
	assert_null(find(chains, (struct disk_key){ .image = IMAGE, .volume = BASE }));
	assert_ptr_equal(find(chains, (struct disk_key){ .guid = "360" }), chains->pdata[1]);
	assert_null(find(chains, (struct disk_key){ .guid = "361" }));
	assert_ptr_equal(find(chains, (struct disk_key){ .target = "sdb" }), chains->pdata[2]);
	/* what says nothing fits nothing */
	assert_null(find(chains, (struct disk_key){ 0 }));
	assert_null(find(chains, (struct disk_key){ .image = IMAGE }));
}

static void test_text(void **state)
{
	g_autofree char *ids = disk_key_text(&(struct disk_key){ .image = "i", .volume = "v" });
	g_autofree char *none = disk_key_text(&(struct disk_key){ 0 });

	assert_string_equal(ids, "image i, volume v");
	assert_string_equal(none, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_read), cmocka_unit_test(test_find), cmocka_unit_test(test_text) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
