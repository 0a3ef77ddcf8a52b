/* SPDX-License-Identifier: Apache-2.0 */
/* What LVM said is taken again as long as the headers of the group's metadata on all its devices are the same, and never otherwise. */
#include "tests/unit/cmocka-all.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"
#include "agent/storage/form/lvm_layout.h"

#define DEVICE_SIZE (1 << 20)
#define DATA_AT (512 << 10)
#define HEADER_AT 4096

static int asked;                        /* how often LVM was */
static bool broken;                      /* it fails */
static void (*meanwhile)(void);          /* what happens on the devices while it answers; NULL: nothing */

/* Instead of the one that runs lvm(8): what is here already the linker does not take from the library. */
json_t *lvm_rows(const GPtrArray *paths, GError **error, const char *const *words)
{
	asked++;
	assert_string_equal(words[0], "lvs");
	if (meanwhile)
		meanwhile();
	if (!broken)
		return json_pack("[{s:i}]", "answer", asked);
	error_set(error, ERR_LVM_COMMAND_ERROR, "lvs: no such group");
	return NULL;
}

static char *directory;
static struct storage storage;
static GPtrArray *paths;

static void put(const char *path, off_t at, const void *data, size_t n)
{
	autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && ftruncate(fd, DEVICE_SIZE) == 0);
	assert_int_equal(pwrite(fd, data, n, at), (ssize_t)n);
}

static struct lvm_header header_of(uint64_t text_at, uint32_t checksum, uint32_t flags)
{
	struct lvm_header header = { .version = GUINT32_TO_LE(1), .start = GUINT64_TO_LE(HEADER_AT), .size = GUINT64_TO_LE(DATA_AT - HEADER_AT),
				 .text = { .offset = GUINT64_TO_LE(text_at), .size = GUINT64_TO_LE(1000), .crc = GUINT32_TO_LE(checksum),
					   .flags = GUINT32_TO_LE(flags) } };

	memcpy(header.magic, LVM_HEADER_MAGIC, sizeof(header.magic));
	return header;
}

static void put_header(guint device, uint32_t checksum, uint32_t flags)
{
	struct lvm_header header = header_of(512, checksum, flags);

	put(paths->pdata[device], HEADER_AT, &header, sizeof(header));
}

/* As pvcreate leaves it: the label in the second sector; data in one place, the headers' places in another list. */
static void put_label(guint device, uint32_t physical_at)
{
	char sector[LVM_SECTOR] = "";
	struct lvm_label label = { .sector = GUINT64_TO_LE(1), .offset = GUINT32_TO_LE(physical_at) };
	struct lvm_place data = { GUINT64_TO_LE(DATA_AT), 0 }, header = { GUINT64_TO_LE(HEADER_AT), GUINT64_TO_LE(DATA_AT - HEADER_AT) };
	size_t at = physical_at + sizeof(struct lvm_physical);

	memcpy(label.id, LVM_LABEL_ID, sizeof(label.id));
	memcpy(label.type, LVM_LABEL_TYPE, sizeof(label.type));
	memcpy(sector, &label, sizeof(label));
	if (at + 3 * sizeof(data) <= LVM_SECTOR) {
		memcpy(sector + at, &data, sizeof(data));
		memcpy(sector + at + 2 * sizeof(data), &header, sizeof(header));
	}
	put(paths->pdata[device], LVM_LABEL_AT, sector, sizeof(sector));
}

static int set_up(void **state)
{
	char name[] = "/tmp/berth-picture-XXXXXX";

	asked = 0;
	broken = false;
	meanwhile = NULL;
	directory = g_strdup(g_mkdtemp(name));
	storage = (struct storage){ .pictures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, picture_free) };
	pthread_mutex_init(&storage.lock, NULL);
	paths = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < 2; i++) {
		g_ptr_array_add(paths, g_strdup_printf("%s/device%u", directory, i));
		put_label(i, 32);
		put_header(i, 1, 0);
	}
	return 0;
}

static int tear_down(void **state)
{
	for (guint i = 0; i < paths->len; i++)
		unlink(paths->pdata[i]);
	rmdir(directory);
	g_free(directory);
	g_ptr_array_unref(paths);
	g_hash_table_unref(storage.pictures);
	pthread_mutex_destroy(&storage.lock);
	return 0;
}

/* The number of LVM's answer that is told. */
static int told_of(const char *name)
{
	g_autoptr(GError) error = NULL;
	json_t *rows = picture_rows(&storage, name, paths, &error);
	int answer = (int)json_integer_value(json_object_get(json_array_get(rows, 0), "answer"));

	assert_null(error);
	json_decref(rows);
	return answer;
}
#define told() told_of("group")

static void nothing_changes(void **state)
{
	assert_int_equal(told(), 1);
	assert_int_equal(told(), 1);
	put(paths->pdata[0], DATA_AT, "what a VM writes", 16);
	put(paths->pdata[0], HEADER_AT + 512, "text", 4);
	assert_int_equal(told(), 1);
	assert_int_equal(asked, 1);
}

static void a_commit_on_any_device(void **state)
{
	assert_int_equal(told(), 1);
	put_header(1, 2, 0);
	assert_int_equal(told(), 2);
	assert_int_equal(told(), 2);
	put_header(0, 2, 0);
	assert_int_equal(told(), 3);
	put_header(0, 1, 0);                     /* back again: only the last is remembered, and it is another */
	assert_int_equal(told(), 4);
	assert_int_equal(told(), 4);
}

static void a_device_joins_or_leaves(void **state)
{
	g_autofree char *last = NULL;

	assert_int_equal(told(), 1);
	last = g_ptr_array_steal_index(paths, 1);
	assert_int_equal(told(), 2);
	g_ptr_array_add(paths, g_steal_pointer(&last));
	assert_int_equal(told(), 3);
}

static void groups_apart(void **state)
{
	assert_int_equal(told_of("one"), 1);
	assert_int_equal(told_of("two"), 2);
	assert_int_equal(told_of("one"), 1);
	assert_int_equal(told_of("two"), 2);
}

static void commit(void)
{
	put_header(0, 7, 0);
}

/* LVM may have read before it or after it: nobody knows, so the answer is good for nobody else. */
static void a_commit_while_lvm_answers(void **state)
{
	meanwhile = commit;
	assert_int_equal(told(), 1);
	meanwhile = NULL;
	assert_int_equal(told(), 2);
	assert_int_equal(told(), 2);
}

static void always_asked(void)
{
	int before = asked;

	assert_int_equal(told(), before + 1);
	assert_int_equal(told(), before + 2);
}

static void what_is_not_understood(void **state)
{
	static const uint32_t offsets[] = { LVM_SECTOR - 40, LVM_SECTOR, 0x7fffffff, 0xffffffff };
	struct lvm_header header = header_of(512, 1, 0);
	char sector[LVM_SECTOR];
	int known_now;

	for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
		put_label(0, offsets[i]);
		always_asked();
	}
	/* nowhere an end of the places */
	put_label(0, 32);
	memset(sector, 0xff, sizeof(sector));
	put(paths->pdata[0], LVM_LABEL_AT + 32 + sizeof(struct lvm_physical), sector, LVM_SECTOR - 32 - sizeof(struct lvm_physical));
	always_asked();
	put_label(0, 32);
	header.magic[3] ^= 1;
	put(paths->pdata[0], HEADER_AT, &header, sizeof(header));
	always_asked();
	put_header(0, 1, 0);
	put(paths->pdata[1], LVM_LABEL_AT, "LABELTWO", 8);
	always_asked();
	put_label(1, 32);
	put(paths->pdata[1], LVM_LABEL_AT + offsetof(struct lvm_label, type), "LVM3 001", 8);
	always_asked();
	put_label(1, 32);
	known_now = told();                      /* asked once more */
	assert_int_equal(told(), known_now);
}

static void a_device_without_metadata(void **state)
{
	struct lvm_header empty = header_of(0, 0, 0);

	put(paths->pdata[0], HEADER_AT, &empty, sizeof(empty));
	put_header(1, 1, LVM_HEADER_IGNORED);
	always_asked();                          /* no copy in use on any device */
	put_header(0, 1, 0);
	assert_int_equal(told(), 3);
	assert_int_equal(told(), 3);
}

static void a_device_that_is_gone(void **state)
{
	assert_int_equal(told(), 1);
	unlink(paths->pdata[1]);
	always_asked();
	put(paths->pdata[1], 0, "", 1);
	assert_int_equal(truncate(paths->pdata[1], LVM_SECTOR), 0);
	always_asked();
}

static void lvm_fails(void **state)
{
	g_autoptr(GError) error = NULL;

	broken = true;
	assert_null(picture_rows(&storage, "group", paths, &error));
	assert_true(error_is(error, ERR_LVM_COMMAND_ERROR));
	broken = false;
	assert_int_equal(told(), 2);
	broken = true;
	assert_int_equal(told(), 2);             /* known: not asked */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		TEST(nothing_changes), TEST(a_commit_on_any_device), TEST(a_device_joins_or_leaves), TEST(groups_apart), TEST(a_commit_while_lvm_answers),
		TEST(what_is_not_understood), TEST(a_device_without_metadata), TEST(a_device_that_is_gone), TEST(lvm_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
