/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of images of others: what would have QEMU open another file, guess a format, or take memory for nothing is refused; what tools really make is not.
 * rows: hv-056 */
#include "cmocka-all.h"
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/storage/files.h"
#include "agent/storage/volume/image_header.h"

static char *base, *path;

static int set_up(void **state)
{
	base = g_dir_make_tmp("berth-header-XXXXXX", NULL);
	path = g_build_filename(base, "image", NULL);
	return base ? 0 : -1;
}

static int tear_down(void **state)
{
	bool done = files_remove_tree(AT_FDCWD, base);

	g_free(base);
	g_free(path);
	return done ? 0 : -1;
}

static void run(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void run(const char *format, ...)
{
	g_autofree char *command = NULL;
	va_list args;

	va_start(args, format);
	command = g_strdup_vprintf(format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

/* The file is made anew by qemu-img with these words. */
static void make(const char *words)
{
	run("cd '%s' && rm -f image && qemu-img create -q %s", base, words);
}

static void patch(int64_t at, const void *bytes, size_t length)
{
	autofd fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, length, at), length);
}

static void patch32(int64_t at, uint32_t value)
{
	patch(at, &value, sizeof(value));
}

static void patch64(int64_t at, uint64_t value)
{
	patch(at, &value, sizeof(value));
}

/* NULL: it passes; else why not. g_free */
static char *judge(const char *format, struct image_header *ret_header)
{
	autofd fd = open(path, O_RDONLY);
	g_autoptr(GError) error = NULL;

	if (image_header_read(fd, format, path, ret_header, &error))
		return NULL;
	assert_true(error_is(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN));
	assert_non_null(strstr(error->message, path));
	return g_strdup(error->message);
}

static void assert_fine(const char *format)
{
	g_autofree char *why = judge(format, NULL);

	if (why)
		fail_msg("%s", why);
}

static void assert_refused(const char *format, const char *reason)
{
	g_autofree char *why = judge(format, NULL);

	assert_non_null(why);
	if (!strstr(why, reason))
		fail_msg("'%s' is refused for another reason than '%s'", why, reason);
}

static void test_genuine(void **state)
{
	static const struct { const char *format, *options; } cases[] = {
		{ "qcow2", "compat=0.10" }, { "qcow2", "cluster_size=512" }, { "qcow2", "cluster_size=2M" }, { "qcow2", "refcount_bits=1" },
		{ "qcow2", "refcount_bits=64" }, { "qcow2", "preallocation=metadata" }, { "qcow2", "compression_type=zstd" },
		{ "qcow2", "extended_l2=on,cluster_size=128k" }, { "vmdk", "subformat=monolithicSparse" }, { "vmdk", "subformat=streamOptimized" },
		{ "vpc", "subformat=dynamic" }, { "vpc", "subformat=fixed" }, { "vhdx", "subformat=dynamic" }, { "vhdx", "subformat=fixed" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *words = g_strdup_printf("-f %s -o %s image 20M", cases[i].format, cases[i].options);
		struct image_header header;
		char *why;

		make(words);
		if ((why = judge(cases[i].format, &header)))
			fail_msg("%s, %s: %s", cases[i].format, cases[i].options, why);
		if (header.cut)
			fail_msg("%s, %s: cut", cases[i].format, cases[i].options);
		assert_string_equal(header.backing, "");
		image_header_clear(&header);
	}
	make("-f vhdx image 64T");
	assert_fine("vhdx");
	make("-f vpc image 2040G");
	assert_fine("vpc");
}

/* The format in which QEMU reads the file below: the caller compares it with what that file is. */
static void test_format_of_backing(void **state)
{
	static const struct { const char *words, *backing, *format; } cases[] = {
		{ "-u -f qcow2 -F raw -b below image 1M", "below", "raw" }, { "-u -f qcow2 -F qcow2 -b below image 1M", "below", "qcow2" },
		{ "-u -f qcow2 -o compat=0.10 -F vmdk -b below image 1M", "below", "vmdk" }, { "-f qcow2 image 1M", "", "" },
		{ "-u -f qcow2 -F raw -b 'json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}' image 1M",
		  "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}", "raw" },
		{ "-u -f qcow2 -F raw -b nbd://192.0.2.1/x image 1M", "nbd://192.0.2.1/x", "raw" },
	};
	struct image_header header;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		make(cases[i].words);
		assert_null(judge("qcow2", &header));
		assert_string_equal(header.backing, cases[i].backing);
		assert_string_equal(header.backing_format, cases[i].format);
		image_header_clear(&header);
	}
	/* the name of the format taken out of the extensions: QEMU would guess */
	make("-u -f qcow2 -F raw -b below image 1M");
	patch32(112, htobe32(0x12345678));
	assert_null(judge("qcow2", &header));
	assert_string_equal(header.backing_format, "");
	image_header_clear(&header);
	patch32(116, htobe32(0xffffffff));
	assert_null(judge("qcow2", &header));             /* it ends behind the extensions, as far as QEMU looks, too */
	image_header_clear(&header);
	make("-u -f qcow2 -F raw -b below image 1M");
	patch32(116, htobe32(16));
	assert_refused("qcow2", "extensions");
	patch64(8, htobe64(UINT64_C(1) << 63));
	assert_refused("qcow2", "out of bounds");
}

static void test_cut(void **state)
{
	struct image_header header;
	static const int64_t sizes[] = { 200000, 1 << 20, (5 << 20) - 65536 };

	make("-f qcow2 -o preallocation=metadata image 5M");
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		assert_int_equal(truncate(path, sizes[G_N_ELEMENTS(sizes) - 1 - i]), 0);
		assert_null(judge("qcow2", &header));
		assert_true(header.cut);
		image_header_clear(&header);
	}
	assert_int_equal(truncate(path, 100), 0);
	assert_refused("qcow2", "unknown version");
	make("-f qcow2 image 5M");
	patch32(56, htobe32(0x7fffffff));
	assert_refused("qcow2", "out of bounds");
	make("-f qcow2 image 5M");
	patch32(96, htobe32(7));
	assert_refused("qcow2", "out of bounds");
}

/* QEMU looks for a parent in 10 KiB from the second sector on, whatever the header says of the description's place and size. */
static void test_vmdk_parent(void **state)
{
	static const char hint[] = "# Disk DescriptorFile\ncreateType=\"monolithicSparse\"\nparentFileNameHint=\"/etc/passwd\"\n";
	g_autofree char *text = NULL;
	int64_t end;
	size_t length;

	make("-f vmdk -o subformat=monolithicSparse image 4M");
	assert_true(g_file_get_contents(path, &text, &length, NULL));
	end = ((int64_t)length + 511) / 512;
	patch(end * 512, text + 512, 20 * 512);
	patch64(28, htole64((uint64_t)end));
	assert_fine("vmdk");                              /* a description elsewhere */
	patch(512, hint, sizeof(hint));
	assert_refused("vmdk", "based on another file");

	make("-f vmdk -o subformat=monolithicSparse image 4M");
	patch64(36, htole64(1));                          /* a short one, which QEMU reads on from */
	patch(512 + strlen(text + 512), "\n#", 2);
	g_autofree char *filler = g_strnfill(512, '#');
	patch(1024 - 64, filler, 512);
	patch(1024 + 100, hint, sizeof(hint));
	g_free(text);
	assert_true(g_file_get_contents(path, &text, &length, NULL));
	for (size_t i = 512; i < 1024; i++)               /* no zero byte before */
		if (!text[i])
			patch((int64_t)i, "\n", 1);
	assert_refused("vmdk", "based on another file");

	make("-f vmdk -o subformat=monolithicFlat image 4M");
	assert_refused("vmdk", "one file");
	make("-f vmdk -o subformat=twoGbMaxExtentSparse image 4M");
	assert_refused("vmdk", "one file");
	make("-f vmdk -o subformat=monolithicSparse image 4M");
	patch64(12, 0);                                   /* no capacity: QEMU takes the description for one of extents */
	assert_refused("vmdk", "one file");
}

static void test_tables(void **state)
{
	/* a dynamic VHD: footer, then the header, whose table has this many entries */
	make("-f vpc -o subformat=dynamic image 20M");
	patch32(512 + 28, htobe32((4 << 20) + 1));
	assert_refused("vpc", "dynamic VHD header");
	make("-f vpc -o subformat=dynamic image 20M");
	patch64(16, htobe64(INT64_MAX));
	assert_refused("vpc", "dynamic VHD header");
	make("-f vpc -o subformat=dynamic image 20M");
	patch32(60, htobe32(4));
	assert_refused("vpc", "differencing");
	/* the copy at the start is the one that counts */
	make("-f vpc -o subformat=dynamic image 20M");
	patch64(48, htobe64(UINT64_C(1) << 60));
	assert_refused("vpc", "VHD footer");

	make("-f vhdx image 20M");
	patch32(192 * 1024 + 16 + 24, htole32((64 << 20) + 1));
	assert_refused("vhdx", "region table");
	make("-f vhdx image 20M");
	patch32(192 * 1024 + 8, htole32(2048));
	assert_refused("vhdx", "region table");
	make("-f vhdx image 20M");
	assert_int_equal(truncate(path, 100000), 0);
	assert_refused("vhdx", "no VHDX image");
}

/* Whatever the bytes: an answer, and nothing read that is not there. */
static void test_noise(void **state)
{
	static const char *const formats[] = { "qcow2", "vmdk", "vpc", "vhdx" };
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
		g_autofree char *words = g_strdup_printf("-f %s image 3M", formats[i]);
		g_autofree char *text = NULL;
		size_t length;

		make(words);
		assert_true(g_file_get_contents(path, &text, &length, NULL));
		for (int n = 0; n < 300; n++) {
			char noise[8];
			int at = g_rand_int_range(random, 0, strcmp(formats[i], "vhdx") ? 1200 : 200000);

			for (size_t j = 0; j < sizeof(noise); j++)
				noise[j] = (char)g_rand_int(random);
			patch(at, noise, sizeof(noise));
			g_free(judge(formats[i], NULL));
			patch(at, text + at, sizeof(noise));
		}
		assert_fine(formats[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_genuine), cmocka_unit_test(test_format_of_backing), cmocka_unit_test(test_cut), cmocka_unit_test(test_vmdk_parent),
		cmocka_unit_test(test_tables), cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("agent/image_header", tests, set_up, tear_down);
}
