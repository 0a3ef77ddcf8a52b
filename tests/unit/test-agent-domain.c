/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and domains: states, codes, layout, restart, kill and ENOSPC at every step.
 * rows: verb:StoragePool.connectStorageServer verb:StoragePool.disconnectStorageServer verb:StorageDomain.create verb:StorageDomain.attach
 * verb:StorageDomain.activate verb:StorageDomain.deactivate verb:StorageDomain.detach verb:StorageDomain.format verb:StorageDomain.getInfo
 * verb:StorageDomain.getStats verb:StorageDomain.getImages verb:StorageDomain.validate */
#include "agent-storage.h"
#include <sys/statvfs.h>
#include "agent/storage/form/block.h"
#include "agent/storage/lease/lock.h"
#include "agent/storage/lease/xlease.h"

static int disconnect_path(struct room *room, const char *path)
{
	json_t *result;
	int status;

	assert_int_equal(call_full(room, "StoragePool.disconnectStorageServer",
				   json_pack("{s:s, s:i, s:[{s:s, s:s}]}", "storagepoolID", BLANK_UUID, "domainType", STORAGE_LOCALFS, "connectionParams", "id",
					     POOL, "connection", path), &result, NULL), 0);
	status = (int)json_integer_value(json_object_get(json_array_get(result, 0), "status"));
	json_decref(result);
	return status;
}

static void test_link_names(void **state)
{
	const char *paths[] = { "/a/b", "/a_b", "/a__b", "/a/_b", "/a_/b", "/a%5Fb", "/a%b" };
	g_autofree char *longest = g_strnfill(3000, 'x');
	g_autofree char *name = connection_link_name(longest);

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		for (size_t j = 0; j < i; j++) {
			g_autofree char *a = connection_link_name(paths[i]);
			g_autofree char *b = connection_link_name(paths[j]);

			assert_string_not_equal(a, b);
		}
	assert_true(strlen(name) < 255);
}

/* The metadata area of a volume group: 64 MiB, and more than a fifth of it free; the codes and texts are vdsm's. */
static void test_alerts(void **state)
{
	static const struct { int64_t size, free; int codes[3]; } cases[] = {
		{ 64 << 20, (64 << 20) / 5 + 1, { 0 } }, { (64 << 20) - 1, 60 << 20, { 614 } }, { 64 << 20, (64 << 20) / 5, { 613 } }, { 1 << 20, 0, { 614, 613 } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct block block = { .mda_size = cases[i].size, .mda_free = cases[i].free };
		json_t *alerts = domain_alerts(domain_warnings(&(struct domain){ .block = &block }));
		size_t n = 0;

		for (; cases[i].codes[n]; n++) {
			assert_int_equal(json_integer_value(json_object_get(json_array_get(alerts, n), "code")), cases[i].codes[n]);
			assert_non_null(strstr(json_string_value(json_object_get(json_array_get(alerts, n), "message")), "VG metadata area size"));
		}
		assert_int_equal(json_array_size(alerts), n);
		json_decref(alerts);
	}
	assert_int_equal(domain_warnings(&(struct domain){ .block = NULL }), 0);
}

static void test_connect(void **state)
{
	struct room *room = room_open();
	g_autofree char *missing = g_build_filename(room->base, "missing", NULL);
	g_autofree char *file = g_build_filename(room->base, "file", NULL);
	g_autofree char *doubled = g_strdup_printf("%s//./", room->data);
	json_t *result;

	assert_true(g_file_set_contents(file, "x", 1, NULL));
	assert_int_equal(connect_path(room, missing), 453);
	assert_int_equal(connect_path(room, file), 453);
	assert_int_equal(connect_path(room, "relative/path"), 390);
	assert_int_equal(connect_path(room, "/a/../b"), 390);
	assert_int_equal(entries(room->repository, "mnt"), 0);
	assert_int_equal(connect_path(room, room->data), 0);
	assert_int_equal(connect_path(room, doubled), 0);
	assert_int_equal(entries(room->repository, "mnt"), 1);
	/* another type: told per connection */
	assert_int_equal(call_full(room, "StoragePool.connectStorageServer",
				   json_pack("{s:s, s:i, s:[{s:s, s:s}]}", "storagepoolID", BLANK_UUID, "domainType", STORAGE_NFS, "connectionParams",
					     "id", POOL, "connection", "nothing"), &result, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(result, 0), "status")), 390);
	assert_string_equal(json_string_value(json_object_get(json_array_get(result, 0), "id")), POOL);
	assert_non_null(strstr(json_string_value(json_object_get(json_array_get(result, 0), "message")), "is not server:/path"));
	json_decref(result);
	assert_int_equal(disconnect_path(room, room->data), 0);
	assert_int_equal(disconnect_path(room, room->data), 0);
	assert_int_equal(entries(room->repository, "mnt"), 0);
	room_close(room);
}

static void test_read_only(void **state)
{
	struct room *room = room_open();

	if (mount("none", room->data, "tmpfs", MS_RDONLY, "size=64k") < 0) {
		room_close(room);
		skip();
	}
	assert_int_equal(connect_path(room, room->data), 469);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 469);
	assert_int_equal(umount(room->data), 0);
	assert_int_equal(entries(room->repository, "mnt"), 0);
	room_close(room);
}

static void test_create(void **state)
{
	struct room *room = room_open();
	g_autofree char *other = g_build_filename(room->base, "other", NULL);
	g_autofree char *metadata_file = g_build_filename(room->data, DOMAIN, "dom_md/metadata", NULL);
	g_autofree char *text = NULL;
	json_t *wrong;

	assert_int_equal(mkdir(other, 0755), 0);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 360);
	assert_int_equal(connect_path(room, room->data), 0);
	assert_int_equal(connect_path(room, other), 0);
	wrong = domain_params(DOMAIN, room->data);
	json_object_set_new(wrong, "domainType", json_integer(STORAGE_NFS));
	assert_int_equal(call(room, "StorageDomain.create", wrong), 360);
	wrong = domain_params(DOMAIN, room->data);
	json_object_set_new(wrong, "version", json_integer(3));
	assert_int_equal(call(room, "StorageDomain.create", wrong), 394);
	wrong = domain_params(DOMAIN, room->data);
	json_object_set_new(wrong, "blockSize", json_integer(1000));
	assert_int_equal(call(room, "StorageDomain.create", wrong), 348);
	wrong = domain_params(DOMAIN, room->data);
	json_object_set_new(wrong, "name", json_string("two\nlines"));
	assert_int_equal(call(room, "StorageDomain.create", wrong), 1000);
	assert_int_equal(call(room, "StorageDomain.create", domain_params("../../etc", room->data)), -32602);
	assert_int_equal(entries(room->data, NULL), 0);

	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 0);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 365);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, other)), 365);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN2, room->data)), 361);
	assert_int_equal(entries(room->data, NULL), 1);
	assert_int_equal(entries(other, NULL), 0);

	/* the layout, and a seal that another program computes */
	assert_int_equal(entries(room->data, DOMAIN "/dom_md"), 6);
	assert_int_equal(entries(room->data, DOMAIN "/images"), 0);
	assert_true(g_file_get_contents(metadata_file, &text, NULL, NULL));
	assert_non_null(strstr(text, "CLASS=Data\nDESCRIPTION=store\n"));
	g_autofree char *command = g_strdup_printf("test \"$(grep -v _SHA_CKSUM '%s' | tr -d '\\n' | sha1sum | cut -d' ' -f1)\" = "
						   "\"$(sed -n 's/^_SHA_CKSUM=//p' '%s')\"", metadata_file, metadata_file);
	assert_int_equal(system(command), 0);
	room_close(room);
}

static json_t *info(struct room *room)
{
	json_t *result;

	assert_int_equal(call_full(room, "StorageDomain.getInfo", id_params(DOMAIN), &result, NULL), 0);
	return result;
}

static void test_states(void **state)
{
	struct room *room = room_open();
	json_t *result;
	struct statvfs vfs;

	assert_int_equal(call(room, "StorageDomain.getInfo", id_params(DOMAIN)), 358);
	assert_int_equal(connect_path(room, room->data), 0);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 0);
	result = info(room);
	assert_int_equal(json_array_size(json_object_get(result, "pool")), 0);
	assert_null(json_object_get(result, "state"));
	assert_string_equal(json_string_value(json_object_get(result, "class")), "Data");
	assert_string_equal(json_string_value(json_object_get(result, "remotePath")), room->data);
	json_decref(result);

	assert_int_equal(call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL)), 353);
	assert_int_equal(call(room, "StorageDomain.detach", pool_params(DOMAIN, POOL)), 353);
	assert_int_equal(call(room, "StorageDomain.attach", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.attach", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.attach", pool_params(DOMAIN, POOL2)), 380);
	assert_int_equal(call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL2)), 375);
	result = info(room);
	assert_string_equal(json_string_value(json_object_get(result, "state")), "inactive");
	json_decref(result);
	assert_int_equal(call(room, "StorageDomain.format", format_params(DOMAIN, false)), 391);
	assert_int_equal(call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.detach", pool_params(DOMAIN, POOL)), 382);
	assert_int_equal(call(room, "StorageDomain.format", format_params(DOMAIN, true)), 382);
	assert_int_equal(disconnect_path(room, room->data), 452);

	/* active stays active over a restart, and is watched */
	room = room_restart(room);
	result = info(room);
	assert_string_equal(json_string_value(json_object_get(result, "state")), "active");
	assert_string_equal(json_string_value(json_array_get(json_object_get(result, "pool"), 0)), POOL);
	json_decref(result);
	assert_int_equal(disconnect_path(room, room->data), 452);
	health_check(room->agent.storage, DOMAIN);
	result = storage_health(room->agent.storage);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(result, DOMAIN), "code")), 0);
	assert_true(json_is_true(json_object_get(json_object_get(result, DOMAIN), "actual")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(result, DOMAIN), "version")), 5);
	json_decref(result);

	assert_int_equal(call_full(room, "StorageDomain.getStats", id_params(DOMAIN), &result, NULL), 0);
	assert_int_equal(statvfs(room->data, &vfs), 0);
	g_autofree char *total = g_strdup_printf("%" PRIu64, (uint64_t)vfs.f_blocks * vfs.f_frsize);
	assert_string_equal(json_string_value(json_object_get(result, "disktotal")), total);
	json_decref(result);
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 0);
	assert_int_equal(call_full(room, "StorageDomain.getImages", id_params(DOMAIN), &result, NULL), 0);
	assert_int_equal(json_array_size(result), 0);
	json_decref(result);

	assert_int_equal(call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL2)), 353);
	assert_int_equal(call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)), 0);
	result = storage_health(room->agent.storage);
	assert_int_equal(json_object_size(result), 0);
	json_decref(result);
	assert_int_equal(call(room, "StorageDomain.detach", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.format", format_params(DOMAIN, false)), 0);
	assert_int_equal(call(room, "StorageDomain.format", format_params(DOMAIN, false)), 358);
	assert_int_equal(entries(room->data, NULL), 0);
	assert_int_equal(disconnect_path(room, room->data), 0);
	room_close(room);
}

static void run_in(const char *directory, const char *format, const char *name)
{
	g_autofree char *commands = g_strdup_printf(format, name);
	g_autofree char *all = g_strdup_printf("set -e; cd '%s'; %s", directory, commands);

	assert_int_equal(system(all), 0);
}

static void test_broken_seal(void **state)
{
	struct room *room = room_open();
	g_autofree char *file = g_build_filename(room->data, DOMAIN, "dom_md/metadata", NULL);
	g_autofree char *text = NULL;
	json_t *result;

	make_active(room);
	assert_true(g_file_get_contents(file, &text, NULL, NULL));
	*strstr(text, "store") = 'X';
	assert_true(g_file_set_contents(file, text, -1, NULL));
	assert_int_equal(call(room, "StorageDomain.getInfo", id_params(DOMAIN)), 752);
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 752);
	health_check(room->agent.storage, DOMAIN);
	result = storage_health(room->agent.storage);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(result, DOMAIN), "code")), 752);
	assert_true(json_is_false(json_object_get(json_object_get(result, DOMAIN), "valid")));
	json_decref(result);
	assert_true(g_file_set_contents(file, "no metadata at all", -1, NULL));
	assert_int_equal(call(room, "StorageDomain.getInfo", id_params(DOMAIN)), 751);
	/* an agent that starts with it starts */
	room = room_restart(room);
	assert_int_equal(call(room, "StorageDomain.getInfo", id_params(DOMAIN)), 751);
	assert_int_equal(call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)), 0);
	room_close(room);
}

/* What anybody who can write to the storage may have put there. Nothing of it is followed, believed, or waited for; mended, the domain is as it was. */
static void test_hostile(void **state)
{
	static const struct { const char *label, *spoil, *mend; int code; } cases[] = {
		{ "the domain is a link", "mv %1$s ../away; ln -s ../away %1$s", "rm %1$s; mv ../away %1$s", 379 },
		{ "its metadata directory is one", "mv %1$s/dom_md ../away; ln -s ../../away %1$s/dom_md", "rm %1$s/dom_md; mv ../away %1$s/dom_md", 379 },
		{ "its metadata are one", "mv %1$s/dom_md/metadata ../away; ln -s ../../../away %1$s/dom_md/metadata", "mv ../away %1$s/dom_md/metadata", 379 },
		{ "a FIFO", "mv %1$s/dom_md/metadata ../away; mkfifo %1$s/dom_md/metadata", "mv ../away %1$s/dom_md/metadata", 379 },
		{ "a directory", "mv %1$s/dom_md/metadata ../away; mkdir %1$s/dom_md/metadata", "rmdir %1$s/dom_md/metadata; mv ../away %1$s/dom_md/metadata", 379 },
		{ "zero bytes", "cp %1$s/dom_md/metadata ../away; printf 'a=b\\0c' > %1$s/dom_md/metadata", "mv ../away %1$s/dom_md/metadata", 379 },
		{ "a gigabyte", "cp %1$s/dom_md/metadata ../away; truncate -s 1G %1$s/dom_md/metadata", "mv ../away %1$s/dom_md/metadata", 379 },
		{ "nothing", "mv %1$s/dom_md/metadata ../away; : > %1$s/dom_md/metadata", "mv ../away %1$s/dom_md/metadata", 752 },
		{ "no directory of images", "mv %1$s/images ../away", "mv ../away %1$s/images", 371 },
		{ "a link instead", "mv %1$s/images ../away; ln -s ../../away %1$s/images", "rm %1$s/images; mv ../away %1$s/images", 371 },
	};
	struct room *room = room_open();

	make_active(room);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		print_message("# %s\n", cases[i].label);
		run_in(room->data, cases[i].spoil, DOMAIN);
		assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), cases[i].code);
		run_in(room->data, cases[i].mend, DOMAIN);
		assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 0);
	}
	room_close(room);
}

/* sanlock would write through a link, wherever it leads. */
static void test_hostile_areas(void **state)
{
	static const char *const names[] = { "ids", "leases", "xleases" };
	static const char *const cuts[] = { "truncate -s 1100000 %s/dom_md/xleases", "truncate -s 0 %s/dom_md/xleases" };
	struct room *room = room_open();
	autodomain domain = NULL;

	make_active(room);
	domain = domain_open(room->agent.storage, DOMAIN, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *spoil = g_strdup_printf("mv %%s/dom_md/%s ../away; ln -s ../../../away %s/dom_md/%s", names[i], DOMAIN, names[i]);
		g_autofree char *remove = g_strdup_printf("rm %%s/dom_md/%s", names[i]);
		g_autofree char *mend = g_strdup_printf("mv ../away %%s/dom_md/%s", names[i]);
		g_autofree char *path = NULL;
		int64_t offset;

		for (int step = 0; step < 2; step++) {
			g_autoptr(GError) error = NULL;

			run_in(room->data, step ? remove : spoil, DOMAIN);
			assert_null(domain_area(domain, names[i], &offset, &error));
			assert_true(error_is(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR));
			assert_non_null(strstr(error->message, names[i]));
		}
		run_in(room->data, mend, DOMAIN);
		path = domain_area(domain, names[i], &offset, NULL);
		assert_non_null(path);
	}
	/* one that is cut off, also in the middle of the index, is not taken for one without leases */
	assert_true(xlease_add(domain, VOLUME, NULL, NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(cuts); i++) {
		g_autoptr(GError) error = NULL;
		struct lease lease;

		run_in(room->data, cuts[i], DOMAIN);
		assert_false(xlease_find(domain, VOLUME, &lease, &error));
		assert_true(error_is(error, ERR_STORAGE_EXCEPTION));
		assert_non_null(strstr(error->message, "xleases"));
	}
	room_close(room);
}

/* Discs are named by their paths: one that is a link, or is behind one, is none. */
static void test_hostile_path(void **state)
{
	static const char iso[] = "/images/11111111-1111-1111-1111-111111111111";
	static const struct { const char *spoil, *name; bool good; } cases[] = {
		{ ":", "a.iso", true }, { ":", "none.iso", false }, { "ln -s /etc/passwd $I/b.iso", "b.iso", false }, { "ln -s a.iso $I/c.iso", "c.iso", false },
		{ "mkfifo $I/d.iso", "d.iso", false }, { "mkdir $I/e.iso", "e.iso", false }, { ":", "../a.iso", true },      /* of no domain's layout */
		{ "mv $I ../away; ln -s ../../../away $I", "a.iso", false }, { "rm $I; mv ../away $I", "a.iso", true },
		{ "mv $D/images ../away; ln -s ../../away $D/images", "a.iso", false },
	};
	struct room *room = room_open();
	g_autofree char *link = g_build_filename(room->repository, POOL, NULL);

	make_active(room);
	run_in(room->data, "I=%s/images/11111111-1111-1111-1111-111111111111; mkdir $I; : > $I/a.iso", DOMAIN);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *const tops[] = { room->data, link };

		g_autofree char *spoil = g_strdup_printf("D=%%s; I=$D%s; %s", iso, cases[i].spoil);

		run_in(room->data, spoil, DOMAIN);
		for (size_t j = 0; j < G_N_ELEMENTS(tops); j++) {
			g_autofree char *path = g_strconcat(tops[j], "/", DOMAIN, iso, "/", cases[i].name, NULL);
			g_autoptr(GError) error = NULL;

			if (storage_check_path(path, &error) != cases[i].good)
				fail_msg("%s: %s", path, cases[i].good ? error->message : "passes");
			assert_true(cases[i].good || error_is(error, ERR_IMAGE_PATH_ERROR));
		}
	}
	assert_true(storage_check_path("/etc/passwd", NULL) && storage_check_path("/dev/null", NULL));
	room_close(room);
}

static void test_hostile_values(void **state)
{
	static const struct { const char *key, *value; int code; } cases[] = {
		{ "BLOCK_SIZE", "-1000000", 751 }, { "BLOCK_SIZE", "2147483647", 751 }, { "BLOCK_SIZE", "0", 751 }, { "ALIGNMENT", "-1048576", 751 },
		{ "ALIGNMENT", "1", 751 }, { "SDUUID", DOMAIN2, 751 }, { "IOOPTIMEOUTSEC", "99999999999", 0 }, { "VERSION", "-7", 0 },
		{ "DESCRIPTION", "no UTF-8: \xff\xfe", 0 }, { "POOL_UUID", "../../../etc", 0 }, { "CLASS", "", 0 },
	};
	struct room *room = room_open();
	g_autofree char *file = g_build_filename(room->data, DOMAIN, "dom_md/metadata", NULL);
	g_autofree char *good = NULL;

	make_active(room);
	assert_true(g_file_get_contents(file, &good, NULL, NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(metadata) values = metadata_parse_domain(good, NULL, NULL);
		g_autofree char *text = NULL;
		json_t *result;

		metadata_set(values, cases[i].key, cases[i].value);
		text = metadata_domain_text(values);
		assert_true(g_file_set_contents(file, text, -1, NULL));
		assert_int_equal(call_full(room, "StorageDomain.getInfo", id_params(DOMAIN), &result, NULL), cases[i].code);
		assert_true(cases[i].code || json_is_object(result));          /* whatever is in it, the answer is JSON */
		json_decref(result);
	}
	assert_true(g_file_set_contents(file, good, -1, NULL));
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 0);
	room_close(room);
}

static char *description(struct room *room)
{
	json_t *result = info(room);
	char *text = g_strdup(json_string_value(json_object_get(result, "name")));

	json_decref(result);
	return text;
}

static void set_description(struct room *room, const char *text)
{
	assert_true(pool_write(room->agent.storage, DOMAIN, NULL, "DESCRIPTION", text, NULL));
}

/* A copy of a domain is connected, too: what is meant for the one that is in use never reaches the copy, nor the other way round. */
static void test_copy(void **state)
{
	struct room *room = room_open();
	g_autofree char *copy = g_build_filename(room->base, "copy", NULL);

	make_active(room);
	set_description(room, "the first");
	run_in(room->base, "cp -a data_1 %s", "copy");
	assert_int_equal(connect_path(room, copy), 0);
	set_description(room, "changed");
	run_in(room->base, "grep -q '^DESCRIPTION=changed' data_1/%s/dom_md/metadata", DOMAIN);
	run_in(room->base, "grep -q '^DESCRIPTION=the first' copy/%s/dom_md/metadata", DOMAIN);
	for (int i = 0; i < 3; i++) {
		g_autoptr(GPtrArray) all = NULL;
		g_autofree char *text = NULL;

		room = room_restart(room);
		all = domain_list(room->agent.storage);              /* looks everywhere */
		assert_int_equal(all->len, 1);
		text = description(room);
		assert_string_equal(text, "changed");
	}
	assert_int_equal(disconnect_path(room, room->data), 452);
	assert_int_equal(call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)), 0);
	assert_int_equal(disconnect_path(room, room->data), 0);
	{
		g_autofree char *text = description(room);       /* now it is the only one */

		assert_string_equal(text, "the first");
	}
	assert_int_equal(disconnect_path(room, copy), 0);
	room_close(room);
}

/* The kernel makes a file system read-only when its disk fails. */
static void test_turned_read_only(void **state)
{
	struct room *room = room_open();
	json_t *result;

	if (mount("none", room->data, "tmpfs", 0, "size=4m") < 0) {
		room_close(room);
		skip();
	}
	make_active(room);
	for (int step = 0; step < 2; step++) {
		assert_int_equal(mount("none", room->data, NULL, MS_REMOUNT | (step ? 0 : MS_RDONLY), NULL), 0);
		health_check(room->agent.storage, DOMAIN);
		result = storage_health(room->agent.storage);
		assert_int_equal(json_integer_value(json_object_get(json_object_get(result, DOMAIN), "code")), step ? 0 : 379);
		assert_int_equal(json_is_true(json_object_get(json_object_get(result, DOMAIN), "valid")), step);
		json_decref(result);
		assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), step ? 0 : 379);
	}
	assert_int_equal(umount(room->data), 0);
	room_close(room);
}

static void test_discs_read_only(void **state)
{
	struct room *room = room_open();
	json_t *params = domain_params(DOMAIN, room->data);

	if (mount("none", room->data, "tmpfs", 0, "size=4m") < 0) {
		json_decref(params);
		room_close(room);
		skip();
	}
	json_object_set_new(params, "domainClass", json_integer(STORAGE_CLASS_ISO));
	assert_int_equal(connect_path(room, room->data), 0);
	assert_int_equal(call(room, "StorageDomain.create", params), 0);
	assert_int_equal(mount("none", room->data, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 0);
	assert_int_equal(umount(room->data), 0);
	room_close(room);
}

/* A file system that is full, really. */
static void test_full(void **state)
{
	struct room *room = room_open();
	g_autofree char *ballast = g_build_filename(room->data, "ballast", NULL);
	int fd;

	if (mount("none", room->data, "tmpfs", 0, "size=64k") < 0) {
		room_close(room);
		skip();
	}
	fd = open(ballast, O_CREAT | O_WRONLY, 0600);
	while (write(fd, "0123456789abcdef", 16) == 16)
		;
	close(fd);
	assert_int_equal(connect_path(room, room->data), 0);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 397);
	assert_int_equal(entries(room->data, NULL), 1);
	assert_int_equal(unlink(ballast), 0);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 0);
	assert_int_equal(umount(room->data), 0);
	room_close(room);
}

static void test_full_at_each_step(void **state)
{
	struct room *room = room_open();
	int at;

	assert_int_equal(connect_path(room, room->data), 0);
	for (at = 1;; at++) {
		int code;

		fault_count = 0;
		fault_errno = ENOSPC;
		fault_at = at;
		code = call(room, "StorageDomain.create", domain_params(DOMAIN, room->data));
		fault_at = 0;
		if (!code)
			break;
		assert_int_equal(code, 397);
		assert_int_equal(entries(room->data, NULL), 0);
	}
	assert_true(at > 10);
	room_close(room);
}

static void create_work(struct room *room)
{
	if (connect_path(room, room->data) || call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)))
		_exit(1);
}

static void create_check(struct room *room)
{
	int code;

	if (connect_path(room, room->data))
		_exit(2);
	/* whole, or nothing */
	code = call(room, "StorageDomain.validate", id_params(DOMAIN));
	if (code != 0 && code != 358)
		_exit(3);
	if (entries(room->data, NULL) != (code ? 0 : 1))
		_exit(4);
	if (!code && (entries(room->data, DOMAIN "/dom_md") != 6 || call(room, "StorageDomain.format", format_params(DOMAIN, false))))
		_exit(5);
	if (entries(room->data, NULL) != 0)
		_exit(6);
}

static void test_kill_create(void **state)
{
	g_autofree char *base = g_dir_make_tmp("berth-storage-XXXXXX", NULL);

	kill_everywhere(base, NULL, create_work, create_check);
	assert_true(files_remove_tree(AT_FDCWD, base));
}

static void cycle_work(struct room *room)
{
	if (connect_path(room, room->data) || call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)) ||
	    call(room, "StorageDomain.attach", pool_params(DOMAIN, POOL)) || call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL)) ||
	    call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)) || call(room, "StorageDomain.detach", pool_params(DOMAIN, POOL)) ||
	    call(room, "StorageDomain.format", format_params(DOMAIN, false)))
		_exit(1);
}

static void cycle_check(struct room *room)
{
	json_t *result = NULL;
	const char *at;
	int code;

	if (connect_path(room, room->data))
		_exit(2);
	code = call_full(room, "StorageDomain.getInfo", id_params(DOMAIN), &result, NULL);
	if (code != 0 && code != 358)
		_exit(3);
	at = json_string_value(json_object_get(result, "state"));
	if (at && !strcmp(at, "active") && call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)))
		_exit(4);
	if (at && call(room, "StorageDomain.detach", pool_params(DOMAIN, POOL)))
		_exit(5);
	if (!code && call(room, "StorageDomain.format", format_params(DOMAIN, false)))
		_exit(6);
	json_decref(result);
	if (entries(room->data, NULL) != 0)
		_exit(7);
}

static void test_kill_cycle(void **state)
{
	g_autofree char *base = g_dir_make_tmp("berth-storage-XXXXXX", NULL);

	kill_everywhere(base, NULL, cycle_work, cycle_check);
	assert_true(files_remove_tree(AT_FDCWD, base));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_names), cmocka_unit_test(test_alerts), cmocka_unit_test(test_connect), cmocka_unit_test(test_read_only), cmocka_unit_test(test_create),
		cmocka_unit_test(test_states), cmocka_unit_test(test_broken_seal), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_hostile_areas), cmocka_unit_test(test_hostile_path),
		cmocka_unit_test(test_hostile_values), cmocka_unit_test(test_copy), cmocka_unit_test(test_turned_read_only),
		cmocka_unit_test(test_discs_read_only),
		cmocka_unit_test(test_full), cmocka_unit_test(test_full_at_each_step),
		cmocka_unit_test(test_kill_create), cmocka_unit_test(test_kill_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
