/* SPDX-License-Identifier: Apache-2.0 */
/* The memory policy's decisions, on a table of cases; MOM's texts; KSM's values, on a directory like the kernel's; and what else of the host is read. */
#include "tests/unit/cmocka-all.h"
#include <string.h>
#include <glib/gstdio.h>
#include "agent/host/host-priv.h"
#include "agent/host/ksm.h"
#include "agent/host/policy.h"
#include "agent/virt/device/node_devices.h"
#include "common/error.h"

#define MIB INT64_C(1024)
#define GIB (1024 * MIB)

/* ---- balloons ---- */

#define VM(least, most, now, used) { .guaranteed_kib = (least), .max_kib = (most), .current_kib = (now), .used_kib = (used) }

static void test_balloons(void **state)
{
	static const struct {
		const char *name;
		struct policy_memory memory;
		struct balloon vms[3];
		int64_t targets[3];
	} cases[] = {
		{ "in between: nothing moves", { 100 * GIB, 22 * GIB }, { VM(1 * GIB, 4 * GIB, 3 * GIB, -1) }, { 0 } },
		{ "room, but all are full", { 100 * GIB, 80 * GIB }, { VM(1 * GIB, 4 * GIB, 4 * GIB, -1) }, { 0 } },
		{ "room: up, by 5 % of its size", { 100 * GIB, 80 * GIB }, { VM(1 * GIB, 4 * GIB, 2 * GIB, -1) }, { 2 * GIB + 4 * GIB / 20 } },
		{ "room for less than that: shared by what is lacking", { 1000 * MIB, 340 * MIB },
		  { VM(0, 4000 * MIB, 3800 * MIB, -1), VM(0, 4000 * MIB, 3900 * MIB, -1) }, { 3860 * MIB, 3930 * MIB } },
		{ "the last bit is given whole", { 100 * GIB, 80 * GIB }, { VM(1 * GIB, 4 * GIB, 4 * GIB - 100, -1) }, { 4 * GIB } },
		{ "pressure: down, by 5 % of its size", { 100 * GIB, 10 * GIB }, { VM(1 * GIB, 4 * GIB, 4 * GIB, -1) }, { 4 * GIB - 4 * GIB / 20 } },
		{ "pressure: shared by what each can spare", { 1000 * MIB, 170 * MIB },
		  { VM(1000 * MIB, 4000 * MIB, 3000 * MIB, -1), VM(1000 * MIB, 4000 * MIB, 2000 * MIB, -1) }, { 2980 * MIB, 1990 * MIB } },
		{ "not below the guarantee", { 100 * GIB, 10 * GIB }, { VM(2 * GIB, 4 * GIB, 2 * GIB, 0) }, { 0 } },
		{ "not even by what its share would be", { 100 * GIB, 10 * GIB }, { VM(4 * GIB - 10 * MIB, 4 * GIB, 4 * GIB, 0) }, { 4 * GIB - 10 * MIB } },
		{ "not below what the guest uses, and a tenth", { 100 * GIB, 10 * GIB }, { VM(0, 4 * GIB, 1100 * MIB, 1000 * MIB) }, { 0 } },
		{ "but in the emergency, faster", { 100 * GIB, 4 * GIB }, { VM(0, 4000 * MIB, 2000 * MIB, 2000 * MIB) }, { 1200 * MIB } },
		{ "a guarantee that is not kept is, at once, also under pressure", { 100 * GIB, 4 * GIB }, { VM(2 * GIB, 4 * GIB, 1 * GIB, -1) }, { 2 * GIB } },
		{ "changes below 4 MiB are not made", { 1000 * MIB, 197 * MIB }, { VM(0, 4 * GIB, 4 * GIB, -1) }, { 0 } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		int64_t targets[3];
		size_t n = 0;

		while (n < 3 && cases[i].vms[n].max_kib)
			n++;
		policy_balloons(&cases[i].memory, cases[i].vms, n, targets);
		for (size_t k = 0; k < n; k++)
			/* shares are fractions: to 16 KiB */
			if (ABS(targets[k] - cases[i].targets[k]) > 16)
				fail_msg("%s: VM %zu: got %" G_GINT64_FORMAT ", expected %" G_GINT64_FORMAT, cases[i].name, k, targets[k], cases[i].targets[k]);
	}
}

/* Whatever the numbers: no target leaves [guarantee, size], and under pressure no more is taken than lacks. */
static void test_balloon_ignored(void **state)
{
	/* what is at hand at each look: current, sampled, asked for; how often it was ignored by then */
	static const struct { int64_t current, sampled, target; unsigned ignored; } looks[] = {
		{ 1000, 10, 0, 0 }, { 1000, 20, 900, 0 }, { 1000, 20, 900, 0 }, { 1000, 30, 900, 1 }, { 1000, 30, 900, 1 }, { 1000, 40, 900, 2 },
		{ 990, 50, 890, 0 }, { 990, 60, 890, 1 }, { 990, 70, 890, 2 }, { 990, 80, 890, 3 }, { 990, 90, 890, 4 },       /* it moved, then no more */
		{ 990, 100, 0, 0 }, { 990, 110, 890, 0 }, { 990, 120, 1000, 0 }, { 990, 130, 890, 0 }, { 990, 140, 890, 1 },   /* not asked to shrink */
	};
	struct balloon_watch watch = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(looks); i++) {
		struct balloon b = { .current_kib = looks[i].current, .sampled_usec = looks[i].sampled };

		balloon_watch(&watch, &b, looks[i].target);
		if (watch.ignored != looks[i].ignored)
			fail_msg("look %zu: ignored %u times, expected %u", i, watch.ignored, looks[i].ignored);
	}
}

static void test_balloons_bounds(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);

	for (int round = 0; round < 20000; round++) {
		struct policy_memory memory = { 64 * GIB, 0 };
		struct balloon vms[8] = { 0 };
		int64_t targets[8], taken = 0, lack;

		memory.available_kib = (int64_t)(g_rand_double(rand) * (double)memory.total_kib);
		lack = memory.total_kib / 5 - memory.available_kib;
		for (size_t i = 0; i < 8; i++) {
			vms[i].max_kib = g_rand_int_range(rand, 1, 1 << 24);
			vms[i].guaranteed_kib = (int64_t)(g_rand_double(rand) * (double)vms[i].max_kib);
			vms[i].current_kib = (int64_t)(g_rand_double(rand) * (double)vms[i].max_kib);
			vms[i].used_kib = g_rand_boolean(rand) ? -1 : (int64_t)(g_rand_double(rand) * (double)vms[i].max_kib);
		}
		policy_balloons(&memory, vms, 8, targets);
		for (size_t i = 0; i < 8; i++) {
			assert_true(!targets[i] || (targets[i] >= vms[i].guaranteed_kib && targets[i] <= vms[i].max_kib));
			taken += targets[i] && targets[i] < vms[i].current_kib ? vms[i].current_kib - targets[i] : 0;
		}
		assert_true(taken <= MAX(lack, 0));
	}
}

static void test_merging(void **state)
{
	static const struct { int64_t available; struct policy_merging now, next; } cases[] = {
		{ 50, { false, 100 }, { false, 64 } }, { 22, { false, 100 }, { false, 64 } }, { 19, { false, 100 }, { true, 64 } },
		{ 19, { true, 64 }, { true, 364 } }, { 19, { true, 1200 }, { true, 1250 } }, { 22, { true, 364 }, { true, 314 } },
		{ 22, { true, 70 }, { true, 64 } }, { 26, { true, 364 }, { false, 64 } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct policy_merging next = policy_merging(&(struct policy_memory){ 100, cases[i].available }, &cases[i].now);

		assert_int_equal(next.run, cases[i].next.run);
		assert_int_equal(next.pages, cases[i].next.pages);
	}
}

static void test_parse(void **state)
{
	static const char *const bad[] = { "(set noSuch 1)", "(set ksmEnabled)", "(defun f (a) { 1 })", "(set ksmEnabled 1) x", "hello" };
	g_autoptr(GError) error = NULL;
	json_t *values = policy_parse("# the engine's\n (defvar balloonEnabled True) (set ksmEnabled 0)\n(set ksmMergeAcrossNodes 1) # end", &error);

	assert_non_null(values);
	assert_int_equal(json_object_size(values), 3);
	assert_string_equal(json_string_value(json_object_get(values, "balloonEnabled")), "True");
	assert_string_equal(json_string_value(json_object_get(values, "ksmEnabled")), "0");
	json_decref(values);
	values = policy_parse("  # nothing \n", &error);
	assert_int_equal(json_object_size(values), 0);
	json_decref(values);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		assert_null(policy_parse(bad[i], &error));
		assert_true(error_is(error, ERR_MOM_POLICY_UPDATE_FAILED));
		g_clear_error(&error);
	}
}

/* ---- KSM ---- */

static char *make_ksm(void)
{
	static const char *const files[][2] = { { "run", "0\n" }, { "pages_to_scan", "100\n" }, { "sleep_millisecs", "20\n" }, { "merge_across_nodes", "1\n" },
						{ "pages_sharing", "512\n" } };
	char *directory = g_dir_make_tmp("ksm-XXXXXX", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(directory, files[i][0], NULL);

		assert_true(g_file_set_contents(path, files[i][1], -1, NULL));
	}
	return directory;
}

static void remove_ksm(char *directory)
{
	GDir *dir = g_dir_open(directory, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, name, NULL);

		g_unlink(path);
	}
	g_dir_close(dir);
	g_rmdir(directory);
	g_free(directory);
}

static void test_ksm(void **state)
{
	static const char *const bad[] = { "{\"run\": 1, \"pages_to_scan\": -1}", "{\"run\": 3}", "{\"run\": \"x\"}", "{\"pages_to_scan\": 5, \"color\": 1}",
					   "{\"run\": []}" };
	char *directory = make_ksm();
	g_autoptr(GError) error = NULL;
	struct ksm ksm;
	json_t *values = json_pack("{s:i, s:s, s:b}", "run", 1, "pages_to_scan", "300", "merge_across_nodes", 0);

	ksm_read(directory, &ksm);
	assert_true(ksm.there && !ksm.run && ksm.merge_across_nodes && ksm.pages_to_scan == 100 && ksm.shared_kib == 2048);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		json_t *json = json_loads(bad[i], 0, NULL);

		assert_false(ksm_write(directory, json, &error));
		assert_true(error_is(error, ERR_KSM_UPDATE_FAILED));
		g_clear_error(&error);
		json_decref(json);
	}
	ksm_read(directory, &ksm);
	assert_true(!ksm.run && ksm.pages_to_scan == 100);      /* nothing half done */
	assert_true(ksm_write(directory, values, &error));
	ksm_read(directory, &ksm);
	assert_true(ksm.run && !ksm.merge_across_nodes && ksm.pages_to_scan == 300);
	remove_ksm(directory);
	ksm_read("/nonexistent", &ksm);
	assert_false(ksm.there);
	assert_false(ksm_write("/nonexistent", values, &error));
	assert_true(error_is(error, ERR_KSM_UPDATE_FAILED));
	json_decref(values);
}

/* ---- devices this machine lacks ---- */

static json_t *device(const char *xml)
{
	g_autoptr(GError) error = NULL;
	json_t *json = node_device_params(xml, "/nonexistent", &error);

	assert_non_null(json);
	return json;
}

static void is_json(json_t *got, const char *expected)
{
	json_t *json = json_loads(expected, 0, NULL);
	char *text = json_dumps(got, JSON_SORT_KEYS);

	assert_non_null(json);
	if (!json_equal(got, json))
		fail_msg("got %s", text);
	free(text);
	json_decref(json);
	json_decref(got);
}

static void test_devices(void **state)
{
	is_json(device("<device><name>pci_0000_05_10_1</name><parent>pci_0000_00_02_0</parent><driver><name>igbvf</name></driver><capability type='pci'>"
		       "<domain>0</domain><bus>5</bus><slot>16</slot><function>1</function><product id='0x10ca'>82576 VF</product><vendor id='0x8086'>Intel</vendor>"
		       "<capability type='phys_function'><address domain='0x0000' bus='0x05' slot='0x1f' function='0x1'/></capability>"
		       "<capability type='mdev_types'><type id='nvidia-11'><name>GRID M60-0B</name><deviceAPI>vfio-pci</deviceAPI><availableInstances>16"
		       "</availableInstances></type><type id='broken'><name>x</name></type></capability>"
		       "<iommuGroup number='42'><address domain='0' bus='5' slot='16' function='1'/></iommuGroup><numa node='1'/></capability></device>"),
		"{\"capability\": \"pci\", \"is_assignable\": \"false\", \"parent\": \"pci_0000_00_02_0\", \"driver\": \"igbvf\", \"product\": \"82576 VF\","
		" \"product_id\": \"0x10ca\", \"vendor\": \"Intel\", \"vendor_id\": \"0x8086\", \"address\": {\"domain\": \"0\", \"bus\": \"5\", \"slot\": \"16\","
		" \"function\": \"1\"}, \"iommu_group\": \"42\", \"numa_node\": \"1\", \"physfn\": \"pci_0000_05_1f_1\","
		" \"mdev\": {\"nvidia-11\": {\"name\": \"GRID M60-0B\", \"available_instances\": \"16\"}}}");
	is_json(device("<device><name>usb_1_2</name><parent>usb_usb1</parent><capability type='usb_device'><bus>1</bus><device>7</device>"
		       "<product id='0x0002'>Stick</product><vendor id='0x1d6b'/></capability></device>"),
		"{\"capability\": \"usb_device\", \"is_assignable\": \"true\", \"parent\": \"usb_usb1\", \"product\": \"Stick\", \"product_id\": \"0x0002\","
		" \"vendor_id\": \"0x1d6b\", \"address\": {\"bus\": \"1\", \"device\": \"7\"}}");
	is_json(device("<device><name>scsi_1_0_0_3</name><parent>scsi_target1_0_0</parent><capability type='scsi'><host>1</host><bus>0</bus><target>0</target>"
		       "<lun>3</lun><type>disk</type></capability></device>"),
		"{\"capability\": \"scsi\", \"is_assignable\": \"true\", \"parent\": \"scsi_target1_0_0\","
		" \"address\": {\"host\": \"1\", \"bus\": \"0\", \"target\": \"0\", \"lun\": \"3\"}}");
	is_json(device("<device><name>computer</name><capability type='system'><product>X</product></capability></device>"),
		"{\"capability\": \"system\", \"is_assignable\": \"true\", \"product\": \"X\"}");
}

static void test_packages(void **state)
{
	static const char status[] = "Package: qemu-utils\nStatus: install ok installed\nVersion: 1:7.2+dfsg-7+deb12u12\nDescription: x\n Package: y\n\n"
				     "Package: lvm2\nStatus: deinstall ok config-files\nVersion: 2.03.16-2\n\nPackage: swtpm\nStatus: install ok installed\n"
				     "Version: 0.7.1\n\nPackage: swtpm-tools\nStatus: install ok installed\nVersion: 9\n";
	g_autofree char *path = NULL;
	int fd = g_file_open_tmp("status-XXXXXX", &path, NULL);

	g_close(fd, NULL);
	assert_true(g_file_set_contents(path, status, -1, NULL));
	is_json(packages_read(path), "{\"qemu-img\": {\"version\": \"7.2+dfsg\", \"release\": \"7+deb12u12\"},"
				     " \"swtpm\": {\"version\": \"0.7.1\", \"release\": \"1\"}}");
	g_unlink(path);
	is_json(packages_read(path), "{}");
}

/* ---- multipath ---- */

static void test_multipath(void **state)
{
	static const struct { const char *status, *failed; int valid; } cases[] = {
		/* as a kernel 6.1 writes it: groups of one path; one group with words of its selector, and for each path */
		{ "2 0 0 0 2 1 A 0 1 0 8:16 A 0 E 0 1 0 8:32 A 0 ", "", 2 },
		{ "2 0 0 0 2 1 A 0 1 0 8:16 F 1 E 0 1 0 8:32 A 0 ", "8:16", 1 },
		{ "2 0 1 0 1 1 A 0 3 2 8:16 A 0 0 1 8:32 F 3 0 1 259:0 F 12 7 1 ", "8:32 259:0", 1 },
		{ "3 queue_if_no_path x y 1 alua 0 0", "", 0 },
		/* no such lines */
		{ "", NULL, 0 }, { "2 0", NULL, 0 }, { "2 0 0 0 1 1 A 0 1 0 8:16", NULL, 0 }, { "2 0 0 0 1 1 A 0 1 0 8:16 X 0", NULL, 0 },
		{ "2 0 0 0 1 1 A 0 2 0 8:16 A 0", NULL, 0 }, { "2 0 0 0 1 1 A 0 1 -1 8:16 A 0", NULL, 0 }, { "99999999999 0 0 0 1 1", NULL, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) failed = g_ptr_array_new_with_free_func(g_free);
		g_autofree char *names = NULL;
		int valid = -1;

		assert_int_equal(multipath_read(cases[i].status, failed, &valid), cases[i].failed != NULL);
		if (!cases[i].failed)
			continue;
		g_ptr_array_add(failed, NULL);
		names = g_strjoinv(" ", (char **)failed->pdata);
		assert_string_equal(names, cases[i].failed);
		assert_int_equal(valid, cases[i].valid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balloons), cmocka_unit_test(test_balloons_bounds), cmocka_unit_test(test_balloon_ignored), cmocka_unit_test(test_merging), cmocka_unit_test(test_parse),
		cmocka_unit_test(test_ksm), cmocka_unit_test(test_devices), cmocka_unit_test(test_packages),
		cmocka_unit_test(test_multipath),
	};

	return cmocka_run_group_tests_name("agent policy", tests, NULL, NULL);
}
