/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and images: formats, chains, codes, full disk, kill at every step, hostile files.
 * rows: verb:Volume.create verb:Volume.delete verb:Volume.getInfo verb:Volume.getSize verb:Image.prepare verb:Image.teardown */
#include "agent-storage.h"
#include "agent/storage/qemu_img.h"

#define MIB (INT64_C(1) << 20)

static json_t *create_params(const char *image, const char *volume, int64_t size, int format, int preallocate)
{
	g_autofree char *text = g_strdup_printf("%" PRId64, size);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:s}", "volumeID", volume, "storagepoolID", POOL, "storagedomainID", DOMAIN,
			 "imageID", image, "size", text, "volFormat", format, "preallocate", preallocate, "diskType", "DATA", "desc", "a disk",
			 "srcImgUUID", BLANK_UUID, "srcVolUUID", BLANK_UUID);
}

static json_t *child_params(const char *image, const char *volume, int64_t size, const char *parent_image, const char *parent)
{
	json_t *params = create_params(image, volume, size, VOLUME_COW, VOLUME_SPARSE);

	json_object_set_new(params, "srcImgUUID", json_string(parent_image));
	json_object_set_new(params, "srcVolUUID", json_string(parent));
	return params;
}

static json_t *volume_ids(const char *image, const char *volume)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "volumeID", volume, "storagepoolID", POOL, "storagedomainID", DOMAIN, "imageID", image);
}

static json_t *delete_params(const char *image, const char *volume, bool zero, bool force)
{
	json_t *params = volume_ids(image, volume);

	json_object_set_new(params, "postZero", json_boolean(zero));
	json_object_set_new(params, "force", json_boolean(force));
	return params;
}

/* Calls a verb that answers with a task and waits: code of the verb, else of the task */
static int task(struct room *room, const char *verb, json_t *params)
{
	json_t *result;
	int code = call_full(room, verb, params, &result, NULL);

	if (code)
		return code;
	code = wait_task(room, json_string_value(result));
	json_decref(result);
	return code;
}

static char *text_of(struct room *room, const char *image, const char *volume, const char *member)
{
	json_t *result = NULL;
	char *text;

	if (call_full(room, "Volume.getInfo", volume_ids(image, volume), &result, NULL))
		return NULL;
	text = json_is_array(json_object_get(result, member)) ? g_strdup_printf("%zu", json_array_size(json_object_get(result, member)))
							       : g_strdup(json_string_value(json_object_get(result, member)));
	json_decref(result);
	return text;
}

static void assert_member(struct room *room, const char *image, const char *volume, const char *member, const char *expected)
{
	g_autofree char *text = text_of(room, image, volume, member);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static char *volume_path(struct room *room, const char *image, const char *volume)
{
	return g_build_filename(room->data, DOMAIN, "images", image, volume, NULL);
}

static void test_raw(void **state)
{
	struct room *room = room_open();
	g_autofree char *path = volume_path(room, IMAGE, VOLUME);
	g_autofree char *prepared = NULL;
	const char *format;
	json_t *result;
	struct stat st;

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, 10 * MIB + 1, VOLUME_RAW, VOLUME_SPARSE)), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 10 * MIB + 4096);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(leftovers(room->data), 0);
	assert_int_equal(entries(room->data, DOMAIN "/images/" IMAGE), 3);
	assert_member(room, IMAGE, VOLUME, "format", "RAW");
	assert_member(room, IMAGE, VOLUME, "type", "SPARSE");
	assert_member(room, IMAGE, VOLUME, "voltype", "LEAF");
	assert_member(room, IMAGE, VOLUME, "legality", "LEGAL");
	assert_member(room, IMAGE, VOLUME, "description", "a disk");
	assert_member(room, IMAGE, VOLUME, "capacity", "10489856");
	assert_member(room, IMAGE, VOLUME, "pool", POOL);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, MIB, VOLUME_RAW, VOLUME_SPARSE)), 212);

	assert_int_equal(task(room, "Volume.create", create_params(IMAGE2, VOLUME2, 4 * MIB, VOLUME_RAW, VOLUME_PREALLOCATED)), 0);
	assert_int_equal(call_full(room, "Volume.getSize", volume_ids(IMAGE2, VOLUME2), &result, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(result, "truesize")), "4194304");
	assert_string_equal(json_string_value(json_object_get(result, "apparentsize")), "4194304");
	json_decref(result);
	assert_int_equal(call_full(room, "StorageDomain.getImages", id_params(DOMAIN), &result, NULL), 0);
	assert_int_equal(json_array_size(result), 2);
	json_decref(result);

	assert_int_equal(call_full(room, "Image.prepare", volume_ids(IMAGE, VOLUME), &result, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(result, "path")), path);
	json_decref(result);
	assert_true(storage_prepare(room->agent.storage, "vm", DOMAIN, IMAGE, VOLUME, &prepared, &format, NULL));
	assert_string_equal(prepared, path);
	assert_string_equal(format, "raw");
	assert_int_equal(call(room, "Image.teardown", volume_ids(IMAGE, VOLUME)), 0);

	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, false)), 0);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, false)), 201);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE2, VOLUME2, true, false)), 0);
	assert_int_equal(entries(room->data, DOMAIN "/images"), 0);
	assert_int_equal(call(room, "Volume.getInfo", volume_ids(IMAGE, VOLUME)), 201);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 201);
	room_close(room);
}

static void test_chain(void **state)
{
	struct room *room = room_open();
	g_autofree char *path = volume_path(room, IMAGE, VOLUME2);
	g_autofree char *prepared = NULL;
	g_autofree char *backing = NULL;
	const char *format;
	json_t *info;

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, 64 * MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE, VOLUME2, 32 * MIB, IMAGE, VOLUME)), 1000);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE, VOLUME2, 64 * MIB, IMAGE, VOLUME)), 0);
	assert_member(room, IMAGE, VOLUME, "voltype", "INTERNAL");
	assert_member(room, IMAGE, VOLUME, "children", "1");
	assert_member(room, IMAGE, VOLUME2, "parent", VOLUME);
	/* what QEMU sees */
	info = qemu_img_info(path, "qcow2", NULL);
	assert_string_equal(json_string_value(json_object_get(info, "backing-filename")), VOLUME);
	assert_string_equal(json_string_value(json_object_get(info, "backing-filename-format")), "qcow2");
	backing = volume_path(room, IMAGE, VOLUME);
	assert_string_equal(json_string_value(json_object_get(info, "full-backing-filename")), backing);
	json_decref(info);
	assert_true(storage_prepare(room->agent.storage, "vm", DOMAIN, IMAGE, VOLUME2, &prepared, &format, NULL));
	assert_string_equal(format, "qcow2");
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, true)), 204);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME2, false, false)), 0);
	assert_member(room, IMAGE, VOLUME, "voltype", "LEAF");
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, false)), 0);
	assert_int_equal(entries(room->data, DOMAIN "/images"), 0);
	room_close(room);
}

static void edit_meta(struct room *room, const char *image, const char *volume, const char *key, const char *value)
{
	autodomain domain = domain_open(room->agent.storage, DOMAIN, NULL);
	g_autoptr(metadata) values = volume_read(domain, image, volume, NULL);

	metadata_set(values, key, value);
	assert_true(volume_save(domain, image, volume, values, NULL));
}

/* What the metadata say of a merge in a running VM: base <- top <- leaf, then top, then the leaf, go down. */
static void test_merge(void **state)
{
	struct room *room = room_open();
	struct storage *storage = room->agent.storage;
	static const char leaf[] = "33333333-0000-4000-8000-00000000000f";
	struct storage_merge inner = { .domain = DOMAIN, .image = IMAGE, .base = VOLUME, .top = VOLUME2, .child = leaf };
	struct storage_merge active = { .domain = DOMAIN, .image = IMAGE, .base = VOLUME, .top = leaf };
	g_autoptr(GError) error = NULL;
	bool based = true;

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, 64 * MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE, VOLUME2, 96 * MIB, IMAGE, VOLUME)), 0);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE, leaf, 96 * MIB, IMAGE, VOLUME2)), 0);
	assert_true(storage_is_based(storage, DOMAIN, IMAGE, leaf, VOLUME2, &based, NULL) && based);
	assert_true(storage_is_based(storage, DOMAIN, IMAGE, leaf, VOLUME, &based, NULL) && !based);

	assert_true(storage_merge_check(storage, &inner, NULL));
	for (int i = 0; i < 2; i++)
		assert_true(storage_merge_record(storage, &inner, NULL));
	assert_member(room, IMAGE, leaf, "parent", VOLUME);
	assert_member(room, IMAGE, VOLUME, "capacity", "100663296");
	assert_member(room, IMAGE, VOLUME2, "legality", "LEGAL");
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME2, false, false)), 0);
	assert_member(room, IMAGE, VOLUME, "voltype", "INTERNAL");

	assert_true(storage_merge_record(storage, &active, NULL));
	assert_member(room, IMAGE, leaf, "legality", "ILLEGAL");
	assert_true(storage_merge_undo(storage, &active, NULL));
	assert_member(room, IMAGE, leaf, "legality", "LEGAL");

	edit_meta(room, IMAGE, VOLUME, "VOLTYPE", "SHARED");
	assert_false(storage_merge_check(storage, &active, &error));
	assert_true(error_is(error, ERR_MERGE_FAILED));
	g_clear_error(&error);
	active.base = VOLUME2;
	assert_false(storage_merge_record(storage, &active, &error));
	assert_true(error_is(error, ERR_VOLUME_DOES_NOT_EXIST));
	assert_member(room, IMAGE, leaf, "legality", "LEGAL");
	room_close(room);
}

/* A volume on the shared volume of another image */
static void test_template(void **state)
{
	struct room *room = room_open();
	g_autofree char *prepared = NULL;
	const char *format;

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, 8 * MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE2, VOLUME2, 8 * MIB, IMAGE, VOLUME)), 214);
	edit_meta(room, IMAGE, VOLUME, "VOLTYPE", "SHARED");
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE2, VOLUME2, 8 * MIB, IMAGE, VOLUME)), 0);
	assert_true(storage_prepare(room->agent.storage, "vm", DOMAIN, IMAGE2, VOLUME2, &prepared, &format, NULL));
	assert_member(room, IMAGE, VOLUME, "voltype", "SHARED");
	assert_member(room, IMAGE, VOLUME, "children", "1");
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, true)), 204);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE2, VOLUME, false, true)), 223);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE2, VOLUME2, false, false)), 0);
	assert_int_equal(entries(room->data, DOMAIN "/images/" IMAGE2), -1);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, false)), 223);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, true)), 0);
	room_close(room);
}

static int create_with(struct room *room, const char *member, json_t *value)
{
	json_t *params = create_params(IMAGE, VOLUME, MIB, VOLUME_RAW, VOLUME_SPARSE);

	json_object_set_new(params, member, value);
	return task(room, "Volume.create", params);
}

static void test_bad_input(void **state)
{
	struct room *room = room_open();

	assert_int_equal(create_with(room, "size", json_string("1048576")), 358);
	make_active(room);
	assert_int_equal(create_with(room, "size", json_string("0")), 229);
	assert_int_equal(create_with(room, "size", json_string("-1")), 1000);
	assert_int_equal(create_with(room, "size", json_string("big")), 1000);
	assert_int_equal(create_with(room, "size", json_string("9223372036854775807")), 1000);
	assert_int_equal(create_with(room, "volFormat", json_integer(3)), -32602);
	assert_int_equal(create_with(room, "preallocate", json_integer(7)), -32602);
	assert_int_equal(create_with(room, "diskType", json_string("../x")), 1000);
	assert_int_equal(create_with(room, "desc", json_string("a\nLEGALITY=ILLEGAL")), 1000);
	assert_int_equal(create_with(room, "initialSize", json_string("1099511627776")), 1000);
	assert_int_equal(create_with(room, "addBitmaps", json_true()), 75);
	assert_int_equal(create_with(room, "srcVolUUID", json_string(VOLUME2)), 202);
	assert_int_equal(create_with(room, "imageID", json_string("../../../etc")), -32602);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE, VOLUME, MIB, IMAGE, VOLUME2)), 201);
	assert_int_equal(entries(room->data, DOMAIN "/images"), 0);
	/* not active */
	assert_int_equal(create_with(room, "legal", json_false()), 0);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 227);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE, VOLUME2, MIB, IMAGE, VOLUME)), 226);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, false)), 222);
	assert_int_equal(call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)), 0);
	assert_int_equal(create_with(room, "volumeID", json_string(VOLUME2)), 369);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 369);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, true)), 369);
	room_close(room);
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

/* Files a guest or somebody else made to look like something else are refused before QEMU sees them. */
static void test_hostile(void **state)
{
	struct room *room = room_open();
	g_autofree char *path = volume_path(room, IMAGE, VOLUME);

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 0);
	run("qemu-img create -q -u -f qcow2 -F raw -b /etc/passwd '%s' 1M", path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 262);
	run("qemu-img create -q -f qcow2 -o data_file='%s.data' '%s' 1M", path, path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 262);
	run("truncate -s 50 '%s'", path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 262);
	run("rm '%s'; ln -s /etc/passwd '%s'", path, path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 209);
	run("rm '%s'; mkfifo '%s'", path, path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 209);
	/* directories that are elsewhere */
	run("mkdir '%s/elsewhere'; rm '%s'; qemu-img create -q -f qcow2 '%s' 1M", room->data, path, path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 0);
	run("cd '%s'; mv " DOMAIN "/images/" IMAGE " elsewhere/i; ln -s ../../elsewhere/i " DOMAIN "/images/" IMAGE, room->data);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 209);
	assert_int_equal(call(room, "Volume.getInfo", volume_ids(IMAGE, VOLUME)), 209);
	assert_int_not_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, true, false)), 0);
	assert_int_not_equal(task(room, "Volume.create", child_params(IMAGE, VOLUME2, MIB, IMAGE, VOLUME)), 0);
	assert_int_equal(entries(room->data, "elsewhere/i"), 4);        /* with the other file of the image above */
	run("cd '%s/" DOMAIN "'; rm images/" IMAGE "; mv ../elsewhere/i images/" IMAGE "; mv images ../elsewhere; ln -s ../elsewhere/images images", room->data);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 209);
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 371);
	assert_int_not_equal(task(room, "Volume.create", create_params(IMAGE2, VOLUME2, MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	assert_int_equal(entries(room->data, "elsewhere/images"), 1);
	run("cd '%s/" DOMAIN "'; rm images; mv ../elsewhere/images images; rmdir ../elsewhere", room->data);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 0);
	/* its own parent */
	run("rm '%s'; qemu-img create -q -u -f qcow2 -F qcow2 -b %s '%s' 1M", path, VOLUME, path);
	edit_meta(room, IMAGE, VOLUME, "PUUID", VOLUME);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 262);
	run("printf 'CAP=1\\n' > '%s.meta'", path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 751);
	assert_int_equal(call(room, "Volume.getInfo", volume_ids(IMAGE, VOLUME)), 751);
	/* one bad volume does not stop its neighbours */
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE2, VOLUME2, MIB, VOLUME_RAW, VOLUME_SPARSE)), 0);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE2, VOLUME2)), 0);
	room_close(room);
}

/* A guest wrote an image of another file of the host into its raw disk; QEMU must never take that disk for an image because of what its child says. */
static void test_guessed(void **state)
{
	struct room *room = room_open();
	g_autofree char *path = volume_path(room, IMAGE, VOLUME);
	g_autofree char *child = volume_path(room, IMAGE, VOLUME2);

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, MIB, VOLUME_RAW, VOLUME_SPARSE)), 0);
	assert_int_equal(task(room, "Volume.create", child_params(IMAGE, VOLUME2, MIB, IMAGE, VOLUME)), 0);
	run("qemu-img create -q -u -f qcow2 -F raw -b /etc/passwd '%s' 1M; truncate -s 1M '%s'", path, path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME2)), 0);
	run("qemu-img rebase -u -f qcow2 -F qcow2 -b %s '%s'", VOLUME, child);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME2)), 262);
	run("qemu-img rebase -u -f qcow2 -F file -b %s '%s'", VOLUME, child);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME2)), 0);
	/* no format at all: the extension is made one that nobody knows */
	run("printf '\\1\\2\\3\\4' | dd of='%s' bs=1 seek=112 conv=notrunc status=none", child);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME2)), 262);
	room_close(room);
}

/* QEMU reads zeros behind the end of a file: what is cut off is refused, not copied as if it were whole. */
static void test_cut(void **state)
{
	struct room *room = room_open();
	g_autofree char *path = volume_path(room, IMAGE, VOLUME);

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, 8 * MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	run("qemu-io -f qcow2 -c 'write 0 4M' '%s' >/dev/null", path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 0);
	/* a cluster counted and never written, as by a QEMU that was killed: entry 200 of the first refcount block */
	run("printf '\\0\\1' | dd of='%s' bs=1 seek=$((0x20000 + 400)) conv=notrunc status=none", path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 0);
	run("truncate -s 2M '%s'", path);
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE, VOLUME)), 262);
	room_close(room);
}

/* QEMU's locks: whoever has the disk open as QEMU does keeps it from being deleted. */
static void test_in_use(void **state)
{
	struct room *room = room_open();
	g_autofree char *path = volume_path(room, IMAGE, VOLUME);
	int to[2], from[2];
	char byte;
	pid_t pid;

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	if ((pid = fork()) == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		execlp("qemu-io", "qemu-io", "-f", "qcow2", path, NULL);
		_exit(127);
	}
	close(from[1]);
	close(to[0]);
	/* its prompt says that the disk is open */
	if (read(from[0], &byte, 1) != 1) {
		waitpid(pid, NULL, 0);
		room_close(room);
		skip();
	}
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, true)), 203);
	close(to[1]);
	waitpid(pid, NULL, 0);
	close(from[0]);
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, true)), 0);
	room_close(room);
}

static void test_full(void **state)
{
	struct room *room = room_open();
	g_autofree char *ballast = g_build_filename(room->data, "ballast", NULL);
	int fd;

	if (mount("none", room->data, "tmpfs", 0, "size=4m") < 0) {
		room_close(room);
		skip();
	}
	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, 64 * MIB, VOLUME_RAW, VOLUME_PREALLOCATED)), 397);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, 3 * MIB, VOLUME_RAW, VOLUME_PREALLOCATED)), 0);
	fd = open(ballast, O_CREAT | O_WRONLY, 0600);
	while (write(fd, "0123456789abcdef", 16) == 16)
		;
	close(fd);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME2, 64 * MIB, VOLUME_RAW, VOLUME_SPARSE)), 397);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE2, VOLUME2, 64 * MIB, VOLUME_COW, VOLUME_SPARSE)), 397);
	assert_int_equal(leftovers(room->data), 0);
	assert_int_equal(entries(room->data, DOMAIN "/images"), 1);
	assert_int_equal(entries(room->data, DOMAIN "/images/" IMAGE), 3);
	/* a full disk can be emptied */
	assert_int_equal(task(room, "Volume.delete", delete_params(IMAGE, VOLUME, false, false)), 0);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE2, VOLUME2, 64 * MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	assert_int_equal(umount(room->data), 0);
	room_close(room);
}

/* Each change of the storage fails once, with this error. */
static void fail_at_each_step(int errnum, int expected)
{
	struct room *room = room_open();
	int at;

	make_active(room);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	for (at = 1;; at++) {
		int code;

		fault_count = 0;
		fault_errno = errnum;
		fault_at = at;
		code = task(room, "Volume.create", child_params(IMAGE, VOLUME2, MIB, IMAGE, VOLUME));
		fault_at = 0;
		if (!code)
			break;
		if (expected)
			assert_int_equal(code, expected);
		assert_int_equal(call(room, "Volume.getInfo", volume_ids(IMAGE, VOLUME2)), 201);
		assert_int_equal(entries(room->data, DOMAIN "/images"), 1);
		assert_int_equal(entries(room->data, DOMAIN "/images/" IMAGE), 3);
		assert_member(room, IMAGE, VOLUME, "voltype", "LEAF");
	}
	assert_true(at > 10);
	print_message("# failed at %d places\n", at - 1);
	room_close(room);
}

static void test_full_at_each_step(void **state)
{
	fail_at_each_step(ENOSPC, 397);
}

static void test_broken_at_each_step(void **state)
{
	fail_at_each_step(EIO, /* expected= */ 0);
}

/* write(2) may take less than it was given. */
static void test_short_writes(void **state)
{
	struct room *room = room_open();

	make_active(room);
	fault_short = true;
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE, VOLUME, MIB, VOLUME_RAW, VOLUME_PREALLOCATED)), 0);
	assert_int_equal(task(room, "Volume.create", create_params(IMAGE2, VOLUME2, MIB, VOLUME_COW, VOLUME_SPARSE)), 0);
	fault_short = false;
	assert_true(fault_shortened > 0);
	assert_member(room, IMAGE, VOLUME, "capacity", "1048576");
	assert_int_equal(call(room, "Image.prepare", volume_ids(IMAGE2, VOLUME2)), 0);
	room_close(room);
}

/* ---- killed ---- */

static void kill_prepare(struct room *room)
{
	if (connect_path(room, room->data))
		_exit(10);
	if (call(room, "StorageDomain.getInfo", id_params(DOMAIN)) == 358) {
		if (call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)) || call(room, "StorageDomain.attach", pool_params(DOMAIN, POOL)) ||
		    call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL)) ||
		    task(room, "Volume.create", create_params(IMAGE, VOLUME, MIB, VOLUME_COW, VOLUME_SPARSE)))
			_exit(11);
	}
}

static void kill_work(struct room *room)
{
	if (task(room, "Volume.create", child_params(IMAGE, VOLUME2, MIB, IMAGE, VOLUME)) ||
	    task(room, "Volume.delete", delete_params(IMAGE, VOLUME2, true, false)) ||
	    task(room, "Volume.create", create_params(IMAGE2, VOLUME2, MIB, VOLUME_RAW, VOLUME_SPARSE)) ||
	    task(room, "Volume.delete", delete_params(IMAGE2, VOLUME2, false, false)))
		_exit(12);
}

static void kill_check(struct room *room)
{
	g_autofree char *path = NULL;
	const char *format;
	int code, count;

	/* a verb on the domain's lane comes after the recovery; here it is a job */
	code = task(room, "Volume.delete", delete_params(IMAGE2, VOLUME2, false, false));
	if (code != 0 && code != 201)
		_exit(20);
	code = call(room, "Volume.getInfo", volume_ids(IMAGE, VOLUME2));
	while (lane_pool_threads(room->agent.lanes) && json_array_size(lane_pool_list(room->agent.lanes)))
		usleep(1000);
	if (code != 0 && code != 201)
		_exit(21);
	code = call(room, "Volume.getInfo", volume_ids(IMAGE, VOLUME2));
	if (!code && !storage_prepare(room->agent.storage, "vm", DOMAIN, IMAGE, VOLUME2, &path, &format, NULL))
		_exit(22);
	if (leftovers(room->data))
		_exit(23);
	count = entries(room->data, DOMAIN "/images/" IMAGE);
	if (count != (code ? 3 : 6))
		_exit(24);
	g_autofree char *type = text_of(room, IMAGE, VOLUME, "voltype");
	if (!type || strcmp(type, code ? "LEAF" : "INTERNAL"))
		_exit(25);
	if (!code && task(room, "Volume.delete", delete_params(IMAGE, VOLUME2, false, false)))
		_exit(26);
	if (entries(room->data, DOMAIN "/images") != 1 || entries(room->data, DOMAIN "/images/" IMAGE) != 3)
		_exit(27);
}

static void test_kill(void **state)
{
	g_autofree char *base = g_dir_make_tmp("berth-storage-XXXXXX", NULL);

	kill_everywhere(base, kill_prepare, kill_work, kill_check);
	assert_true(files_remove_tree(AT_FDCWD, base));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_raw), cmocka_unit_test(test_chain), cmocka_unit_test(test_merge), cmocka_unit_test(test_template), cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_guessed), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_in_use), cmocka_unit_test(test_full), cmocka_unit_test(test_full_at_each_step),
		cmocka_unit_test(test_broken_at_each_step), cmocka_unit_test(test_short_writes),
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
