/* SPDX-License-Identifier: Apache-2.0 */
/* rows: verb:VM.getExternalData */
/* What is made for one run of a VM (payload images, mediated devices) and what outlives it (TPM and UEFI state, in vdsm's form). */
#include "tests/unit/cmocka-all.h"
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/virt/device/mdev.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/domain/payload.h"
#include "agent/virt/domain/vm_files.h"
#include "common/error.h"

#define VM "aaaaaaaa-0000-4000-8000-000000000001"
#define OTHER "bbbbbbbb-0000-4000-8000-000000000002"
#define MDEV "cccccccc-0000-4000-8000-000000000003"

static int set_up(void **state)
{
	char *dir = g_dir_make_tmp("berth-files-XXXXXX", NULL);

	*state = dir;
	return dir ? 0 : -1;
}

static int tear_down(void **state)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", (char *)*state);
	int r = system(command);

	g_free(*state);
	return r;
}

static char *at(void **state, const char *name)
{
	return g_build_filename(*state, name, NULL);
}

static void put(void **state, const char *name, const char *text)
{
	g_autofree char *path = at(state, name), *dir = g_path_get_dirname(path);

	assert_int_equal(g_mkdir_with_parents(dir, 0755), 0);
	assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *get(void **state, const char *name)
{
	g_autofree char *path = at(state, name);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static json_t *two_files(void)
{
	return json_pack("{s:s, s:s}", "openstack/latest/meta_data.json", "e30=", "openstack/content/A long name, with blanks.txt", "b25lIHR3bw==");
}

/* ---- payloads ---- */

static void test_cd(void **state)
{
	g_autofree char *path = at(state, "cd.img"), *image = NULL;
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	json_t *files = two_files();
	bool seen = false;
	char text[16] = "";
	gsize length;

	assert_true(payload_write(path, /* floppy= */ false, "config-2", files, NULL));
	archive_read_support_format_iso9660(archive);
	assert_int_equal(archive_read_open_filename(archive, path, 10240), ARCHIVE_OK);
	while (archive_read_next_header(archive, &entry) == ARCHIVE_OK)
		if (!strcmp(archive_entry_pathname(entry), "openstack/content/A long name, with blanks.txt")) {
			assert_int_equal(archive_read_data(archive, text, sizeof(text)), 7);
			assert_string_equal(text, "one two");
			assert_int_equal(archive_entry_perm(entry), 0444);
			seen = true;
		}
	archive_read_free(archive);
	assert_true(seen);
	/* the label as it was asked for is that of the Joliet descriptor, the second: UCS-2, big endian */
	assert_true(g_file_get_contents(path, &image, &length, NULL) && length > 18 * 2048);
	assert_memory_equal(image + 17 * 2048, "\2CD001", 6);
	assert_memory_equal(image + 17 * 2048 + 40, "\0c\0o\0n\0f\0i\0g\0-\0002", 16);
	json_decref(files);
}

static void test_floppy(void **state)
{
	g_autofree char *tool = g_find_program_in_path("mcopy"), *path = at(state, "floppy.img"), *command = NULL, *text = NULL;
	json_t *files = two_files(), *big = json_object();
	g_autofree guchar *much = g_malloc0(2000000);
	g_autofree char *zeros = g_base64_encode(much, 2000000);
	g_autoptr(GError) error = NULL;
	struct stat st;

	if (!tool)
		skip();
	assert_true(payload_write(path, /* floppy= */ true, "ANSWERS", files, NULL));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1440 * 1024);
	command = g_strdup_printf("MTOOLSRC=/dev/null mtype -i '%s' '::/openstack/content/A long name, with blanks.txt' > '%s/text'", path, (char *)*state);
	assert_int_equal(system(command), 0);
	text = get(state, "text");
	assert_string_equal(text, "one two");
	json_object_set_new(big, "big", json_string(zeros));
	assert_false(payload_write(path, /* floppy= */ true, NULL, big, &error));
	assert_int_equal(error->code, ERR_INVALID_PARAMETER);
	assert_non_null(strstr(error->message, "full"));
	json_decref(files);
	json_decref(big);
}

/* ---- files of a run ---- */

static GPtrArray *one_order(void **state, const char *content)
{
	GPtrArray *orders = g_ptr_array_new_with_free_func(domain_order_free);
	struct domain_order *order = g_new0(struct domain_order, 1);

	order->kind = ORDER_PAYLOAD;
	order->path = at(state, "vms/" VM ".sdd.img");
	order->files = json_pack("{s:s}", "x", content);
	g_ptr_array_add(orders, order);
	return orders;
}

static bool is_vm(void *data, const char *vm_id)
{
	return !strcmp(vm_id, VM);
}

static void test_run(void **state)
{
	g_autofree char *dir = vm_files_dir(*state, NULL), *image = at(state, "vms/" VM ".sdd.img");
	g_autoptr(GPtrArray) orders = one_order(state, "eA==");
	struct domain_order *second = g_new0(struct domain_order, 1);
	g_autofree char *theirs = NULL, *mine = NULL;
	struct stat st;

	assert_non_null(dir);
	put(state, "vms/" OTHER ".sdd.img.new", "half of an image");
	put(state, "vms/README", "not of a VM");
	assert_true(vm_files_make(dir, VM, orders, NULL));
	assert_int_equal(stat(image, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	vm_files_sweep(dir, is_vm, NULL);               /* the other one does not run any more */
	assert_int_equal(access(image, F_OK), 0);
	theirs = get(state, "vms/" OTHER ".sdd.img.new");
	assert_null(theirs);
	mine = get(state, "vms/README");
	assert_non_null(mine);
	vm_files_remove(dir, VM);
	assert_int_not_equal(access(image, F_OK), 0);
	/* all or nothing */
	second->kind = ORDER_MDEV;
	second->mdev_type = g_strdup("no-such-type");
	second->mdev_uuid = g_strdup(MDEV);
	g_ptr_array_add(orders, second);
	assert_false(vm_files_make(dir, VM, orders, NULL));
	assert_int_not_equal(access(image, F_OK), 0);
}

static void test_mdev(void **state)
{
	const char *sys = *state;
	g_autofree char *created = NULL, *removed = NULL;
	g_autoptr(GError) error = NULL, left = NULL;

	assert_false(mdev_make(sys, "nvidia-11", MDEV, &error));
	assert_int_equal(error->code, ERR_HOSTDEV_DETACH_FAILED);
	assert_non_null(strstr(error->message, "'nvidia-11': no device of this host offers it"));
	put(state, "class/mdev_bus/0000:05:00.0/mdev_supported_types/nvidia-11/name", "GRID M60-0B\n");
	put(state, "class/mdev_bus/0000:05:00.0/mdev_supported_types/nvidia-11/available_instances", "0\n");
	put(state, "class/mdev_bus/0000:05:00.0/mdev_supported_types/nvidia-11/create", "");
	assert_false(mdev_make(sys, "nvidia-11", MDEV, &left));
	assert_non_null(strstr(left->message, "all that this host offers are in use"));
	put(state, "class/mdev_bus/0000:05:00.0/mdev_supported_types/nvidia-11/available_instances", "2\n");
	assert_true(mdev_make(sys, "GRID M60-0B", MDEV, NULL));
	created = get(state, "class/mdev_bus/0000:05:00.0/mdev_supported_types/nvidia-11/create");
	assert_string_equal(created, MDEV);
	assert_true(mdev_remove(sys, MDEV, NULL));      /* not there: fine */
	put(state, "bus/mdev/devices/" MDEV "/remove", "");
	assert_true(mdev_make(sys, "nvidia-12", MDEV, NULL));   /* there already: fine */
	assert_true(mdev_remove(sys, MDEV, NULL));
	removed = get(state, "bus/mdev/devices/" MDEV "/remove");
	assert_string_equal(removed, "1");
}

/* ---- TPM and UEFI state ---- */

static void test_encoding(void **state)
{
	/* python3: "=0=" + base64.b64encode(bz2.compress(b"berth " * 9)).decode() */
	static const char theirs[] = "=0=QlpoOTFBWSZTWVHIxZAAAAiRgEAAEkAUACAAIKVDIMA9HI7GxkbHxdyRThQkFHIxZAA=";
	g_autoptr(GBytes) data = g_bytes_new_static("berth berth berth berth berth berth berth berth berth ", 54), back = NULL, plain = NULL, decoded = NULL;
	static const struct { const char *text, *message; } bad[] = {
		{ "=0=AAAA", "not compressed with bzip2" }, { "=7=AAAA", "format '7' is not known" }, { "not base64!", "not base64" },
	};
	g_autofree char *text = external_encode(data), *again = external_encode(data);

	assert_true(g_str_has_prefix(text, "=0="));
	assert_string_equal(text, again);
	back = external_decode(text, NULL);
	assert_true(g_bytes_equal(back, data));
	plain = external_decode("YmVydGg\n=", NULL);
	assert_memory_equal(g_bytes_get_data(plain, NULL), "berth", 5);
	decoded = external_decode(theirs, NULL);
	assert_non_null(decoded);
	assert_true(g_bytes_equal(decoded, data));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		assert_null(external_decode(bad[i].text, &error));
		assert_int_equal(error->code, ERR_EXTERNAL_DATA_FAILED);
		assert_non_null(strstr(error->message, bad[i].message));
	}
}

static void test_directory(void **state)
{
	g_autofree char *from = at(state, "from"), *to = at(state, "to"), *theirs = at(state, "theirs.tar.xz"), *command = NULL, *text = NULL, *stale = NULL;
	g_autofree char *archive = NULL;
	g_autoptr(GBytes) packed = NULL, again = NULL, tar = NULL, evil = NULL;
	g_autoptr(GError) error = NULL;
	gsize length;

	put(state, "from/tpm2/tpm2-00.permall", "state");
	put(state, "from/tpm2/.lock", "");
	packed = external_pack(from, NULL);
	again = external_pack(from, NULL);
	assert_true(g_bytes_equal(packed, again));
	put(state, "to/tpm2/stale", "of another time");
	assert_true(external_unpack(to, packed, NULL));
	text = get(state, "to/tpm2/tpm2-00.permall");
	assert_string_equal(text, "state");
	stale = get(state, "to/tpm2/stale");
	assert_null(stale);
	/* as vdsm packs it */
	command = g_strdup_printf("tar --create --xz --sort=name --directory='%s' . > '%s' && rm '%s/tpm2/tpm2-00.permall'", from, theirs, to);
	assert_int_equal(system(command), 0);
	assert_true(g_file_get_contents(theirs, &archive, &length, NULL));
	tar = g_bytes_new(archive, length);
	assert_true(external_unpack(to, tar, NULL));
	g_free(text);
	text = get(state, "to/tpm2/tpm2-00.permall");
	assert_string_equal(text, "state");
	/* nothing gets out of its directory, and what is there stays when an archive is refused */
	g_free(command);
	command = g_strdup_printf("cd '%s' && echo x > evil && tar --create --xz --transform=s,evil,../evil, -P evil > '%s'", (char *)*state, theirs);
	assert_int_equal(system(command), 0);
	g_free(archive);
	assert_true(g_file_get_contents(theirs, &archive, &length, NULL));
	evil = g_bytes_new(archive, length);
	assert_false(external_unpack(to, evil, &error));
	assert_int_equal(error->code, ERR_EXTERNAL_DATA_FAILED);
	g_free(text);
	text = get(state, "to/tpm2/tpm2-00.permall");
	assert_string_equal(text, "state");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cd, set_up, tear_down), cmocka_unit_test_setup_teardown(test_floppy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_run, set_up, tear_down), cmocka_unit_test_setup_teardown(test_mdev, set_up, tear_down),
		cmocka_unit_test(test_encoding), cmocka_unit_test_setup_teardown(test_directory, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("agent vm_files", tests, NULL, NULL);
}
