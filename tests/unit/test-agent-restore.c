/* SPDX-License-Identifier: Apache-2.0 */
#include "cmocka-all.h"
#include <stdio.h>
#include <unistd.h>
#include "agent/virt/life/memory_volume.h"
#include "agent/virt/life/restore.h"
#include "common/error.h"

#define VM "11111111-2222-4333-8444-555555555555"
#define NS "xmlns:ovirt-vm=\"http://ovirt.org/vm/1.0\""

static char *domain(const char *id, const char *disks, const char *rest, const char *metadata)
{
	return g_strdup_printf("<domain type=\"qemu\"><name>web1</name><uuid>%s</uuid><metadata><ovirt-vm:vm " NS ">%s</ovirt-vm:vm></metadata>"
			       "<devices>%s%s</devices></domain>", id, metadata, disks, rest);
}

#define DISK(target, path, more) \
	"<disk type=\"file\" device=\"disk\"><driver name=\"qemu\" type=\"qcow2\"/><source file=\"" path "\"/>" more "<target dev=\"" target "\"/></disk>"
#define IDS(target, image, volume) \
	"<ovirt-vm:device devtype=\"disk\" name=\"" target "\"><ovirt-vm:imageID>" image "</ovirt-vm:imageID><ovirt-vm:volumeID>" volume \
	"</ovirt-vm:volumeID></ovirt-vm:device>"
#define START "<ovirt-vm:startTime type=\"float\">1700000000.000</ovirt-vm:startTime>"

static char *fit(const char *saved, const char *fresh, double start_time, bool *ret_moved)
{
	char *xml = NULL;
	g_autoptr(GError) error = NULL;

	if (!restore_fit(VM, saved, fresh, start_time, &xml, ret_moved, &error))
		fail_msg("%s", error->message);
	return xml;
}

static void has(const char *xml, const char *text)
{
	if (!strstr(xml, text))
		fail_msg("no '%s' in %s", text, xml);
}

static void has_not(const char *xml, const char *text)
{
	if (strstr(xml, text))
		fail_msg("'%s' in %s", text, xml);
}

/* Disks belong together by image, and what is behind them is that of now, with its ids; the rest is that of the memory. */
static void disks_of_now(void **state)
{
	g_autofree char *saved = domain(VM, DISK("vda", "/old/a", "<backingStore type=\"file\"><source file=\"/old/base\"/></backingStore>") DISK("vdb", "/old/b", ""), "",
					START IDS("vda", "image-a", "volume-a") IDS("vdb", "image-b", "volume-b"));
	g_autofree char *fresh = domain(VM, "<disk type=\"block\" device=\"disk\"><driver type=\"raw\"/><source dev=\"/dev/new-a\"/><target dev=\"sda\"/></disk>"
					DISK("vdb", "/new/b", ""), "", IDS("sda", "image-a", "volume-a2") IDS("vdb", "image-b", "volume-b"));
	bool moved = false;
	g_autofree char *xml = fit(saved, fresh, 0, &moved);

	has(xml, "<source dev=\"/dev/new-a\"/>");
	has(xml, "<source file=\"/new/b\"/>");
	has(xml, "<target dev=\"vda\"/>");
	has(xml, "type=\"raw\"");
	has(xml, "volume-a2");
	has(xml, "1700000000.000");
	has_not(xml, "/old/");
	has_not(xml, "sda");
	assert_true(moved);
}

/* The same volumes at another place: that is the same VM, not a snapshot of it. */
static void another_mount_is_no_snapshot(void **state)
{
	g_autofree char *saved = domain(VM, DISK("vda", "/mnt/1/a", ""), "", IDS("vda", "image-a", "volume-a"));
	g_autofree char *fresh = domain(VM, DISK("vda", "/mnt/2/a", ""), "", IDS("vda", "image-a", "volume-a"));
	bool moved = true;
	g_autofree char *xml = fit(saved, fresh, 0, &moved);

	has(xml, "/mnt/2/a");
	assert_false(moved);
}

static void disks_without_ids(void **state)
{
	g_autofree char *saved = domain(VM, DISK("vda", "/a", "") DISK("vdz", "/plugged", ""), "", "");
	g_autofree char *fresh = domain(VM, DISK("vda", "/a", ""), "", "");
	bool moved = true;
	g_autofree char *xml = fit(saved, fresh, 0, &moved), *other = NULL;

	has(xml, "/plugged");           /* VM.create does not know it: as it was */
	assert_false(moved);
	g_free(fresh);
	fresh = domain(VM, DISK("vda", "/b", ""), "", "");
	other = fit(saved, fresh, 0, &moved);
	assert_true(moved);
}

/* The drive is empty now: that is no other disk. */
static void a_medium_of_now(void **state)
{
	g_autofree char *saved = domain(VM, "<disk type=\"file\" device=\"cdrom\"><source file=\"/old.iso\"/><target dev=\"sdc\"/></disk>", "", "");
	g_autofree char *fresh = domain(VM, "<disk type=\"file\" device=\"cdrom\"><target dev=\"sdc\"/></disk>", "", "");
	bool moved = true;
	g_autofree char *xml = fit(saved, fresh, 0, &moved);

	has_not(xml, "source");
	assert_false(moved);
}

static void host_side_of_nics_and_consoles(void **state)
{
	g_autofree char *saved = domain(VM, "", "<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"old\"/><model type=\"virtio\"/></interface>"
					"<graphics type=\"vnc\" passwd=\"oldsecret\" listen=\"10.0.0.1\"><listen type=\"address\" address=\"10.0.0.1\"/></graphics>", "");
	g_autofree char *fresh = domain(VM, "", "<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"new\"/><model type=\"e1000\"/></interface>"
					"<graphics type=\"vnc\" passwd=\"new\" passwdValidTo=\"1970-01-01T00:00:01\"><listen type=\"address\" address=\"10.0.0.2\"/></graphics>", "");
	bool moved = false;
	g_autofree char *xml = fit(saved, fresh, 0, &moved);

	has(xml, "bridge=\"new\"");
	has(xml, "model type=\"virtio\"");
	has(xml, "passwd=\"new\"");
	has(xml, "passwdValidTo=\"1970-01-01T00:00:01\"");
	has(xml, "10.0.0.2");
	has_not(xml, "10.0.0.1");
	has_not(xml, "oldsecret");
}

/* As long as the VM ran before, so long it runs now. */
static void start_time_moves_on(void **state)
{
	g_autofree char *saved = domain(VM, "", "", START), *fresh = domain(VM, "", "", "");
	bool moved = false;
	g_autofree char *xml = fit(saved, fresh, 1800000000.5, &moved);

	has(xml, "1800000000.500");
	has_not(xml, "1700000000.000");
}

static void memory_of_another_vm(void **state)
{
	g_autofree char *saved = domain("99999999-2222-4333-8444-555555555555", "", "", ""), *fresh = domain(VM, "", "", ""), *xml = NULL;
	g_autoptr(GError) error = NULL;
	bool moved;

	assert_false(restore_fit(VM, saved, fresh, 0, &xml, &moved, &error));
	assert_true(error_is(error, ERR_INVALID_PARAMETER));
	has(error->message, "99999999-2222-4333-8444-555555555555");
	assert_null(xml);
	g_clear_error(&error);
	assert_false(restore_fit(VM, "<domain", fresh, 0, &xml, &moved, &error));
	assert_non_null(error);
}

/* ---- the description ---- */

static void description(void **state)
{
	char path[] = "/tmp/test-agent-restore-XXXXXX";
	int fd = mkstemp(path);
	struct memory_conf conf = { .from_snapshot = true, .elapsed = 12.5 }, read;
	g_autoptr(GError) error = NULL;
	static const char pickle[] = "\x80\x02}q\x01.";
	static const char *const wrong[] = { "", "{}", "not JSON at all", "{\"vmId\": 5}" };

	assert_true(fd >= 0);
	close(fd);
	assert_true(g_file_set_contents(path, "much longer than what is written over it, as a volume may have been used before .......................................", -1, NULL));
	assert_true(memory_conf_write(path, VM, &conf, "<domain/>", &error));
	assert_true(memory_conf_read(path, VM, &read, &error));
	assert_true(read.from_snapshot);
	assert_true(read.elapsed == 12.5);
	assert_false(memory_conf_read(path, "99999999-2222-4333-8444-555555555555", &read, &error));
	assert_true(error_is(error, ERR_INVALID_PARAMETER));
	has(error->message, VM);
	g_clear_error(&error);
	assert_true(g_file_set_contents(path, pickle, sizeof(pickle), NULL));
	assert_true(memory_conf_read(path, VM, &read, &error));
	assert_true(read.elapsed < 0);
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		assert_true(g_file_set_contents(path, wrong[i], -1, NULL));
		assert_false(memory_conf_read(path, VM, &read, &error));
		assert_true(error_is(error, ERR_INVALID_PARAMETER));
		g_clear_error(&error);
	}
	unlink(path);
	assert_false(memory_conf_read(path, VM, &read, &error));
	assert_true(error_is(error, ERR_IMAGE_FILE_NOT_FOUND));
	g_clear_error(&error);
	assert_false(memory_conf_write(path, VM, &conf, NULL, &error));          /* the volume is made by others */
	assert_true(error_is(error, ERR_MISC_FILE_WRITE_EXCEPTION));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disks_of_now),
		cmocka_unit_test(another_mount_is_no_snapshot),
		cmocka_unit_test(disks_without_ids),
		cmocka_unit_test(a_medium_of_now),
		cmocka_unit_test(host_side_of_nics_and_consoles),
		cmocka_unit_test(start_time_moves_on),
		cmocka_unit_test(memory_of_another_vm),
		cmocka_unit_test(description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
