/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: what mount(8) and iscsiadm(8) are told, and what is refused before; POSIX file systems mounted, shared, kept over a restart.
 * rows: verb:StoragePool.connectStorageServer verb:StoragePool.disconnectStorageServer */
#include "agent-storage.h"
#include <sched.h>
#include "agent/storage/connection/iscsi.h"
#include "agent/storage/connection/mount.h"

static void test_plans(void **state)
{
	static const struct { int type; const char *connection, *version, *timeo, *retrans, *vfs, *options; int code; const char *expected; } cases[] = {
		{ STORAGE_NFS, "server:/a", NULL, NULL, NULL, NULL, NULL, 0, "nosuid,nodev,soft,nosharecache,nolock,timeo=100,retrans=3" },
		{ STORAGE_NFS, "[fe80::1%eth0]:/a", "4.1", "50", "2", NULL, "sec=krb5", 0,
		  "nosuid,nodev,soft,nosharecache,nolock,timeo=50,retrans=2,vers=4.1,sec=krb5" },
		{ STORAGE_NFS, "server", NULL, NULL, NULL, NULL, NULL, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH, NULL },
		{ STORAGE_NFS, "server:/a/../b", NULL, NULL, NULL, NULL, NULL, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH, NULL },
		{ STORAGE_NFS, "-o,exec:/a", NULL, NULL, NULL, NULL, NULL, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH, NULL },
		{ STORAGE_NFS, "server:/a", "5", NULL, NULL, NULL, NULL, ERR_MOUNT_PARSING_ERROR, NULL },
		{ STORAGE_NFS, "server:/a", NULL, "0", NULL, NULL, NULL, ERR_MOUNT_PARSING_ERROR, NULL },
		{ STORAGE_NFS, "server:/a", NULL, NULL, "many", NULL, NULL, ERR_MOUNT_PARSING_ERROR, NULL },
		{ STORAGE_NFS, "server:/a", NULL, NULL, NULL, NULL, "a b", ERR_MOUNT_PARSING_ERROR, NULL },
		{ STORAGE_GLUSTERFS, "server:volume", NULL, NULL, NULL, NULL, "backupvolfile-server=b", 0, "nosuid,nodev,backupvolfile-server=b" },
		{ STORAGE_CIFS, "//server/share", NULL, NULL, NULL, NULL, "credentials=/etc/x", 0, "nosuid,nodev,credentials=/etc/x" },
		{ STORAGE_CIFS, "//server/share", NULL, NULL, NULL, NULL, "user=a,password=b", ERR_MOUNT_PARSING_ERROR, NULL },
		{ STORAGE_POSIXFS, "/dev/sdx", NULL, NULL, NULL, "xfs", NULL, 0, "nosuid,nodev" },
		{ STORAGE_POSIXFS, "/dev/sdx", NULL, NULL, NULL, NULL, NULL, ERR_MOUNT_TYPE_ERROR, NULL },
		{ STORAGE_POSIXFS, "/dev/sdx", NULL, NULL, NULL, "-t", NULL, ERR_MOUNT_TYPE_ERROR, NULL },
		{ STORAGE_ISCSI, "server", NULL, NULL, NULL, NULL, NULL, ERR_MOUNT_TYPE_ERROR, NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct connection_ref ref = { .connection = (char *)cases[i].connection, .protocol_version = (char *)cases[i].version,
						    .timeo = (char *)cases[i].timeo, .retrans = (char *)cases[i].retrans, .vfs_type = (char *)cases[i].vfs,
						    .mnt_options = (char *)cases[i].options };
		struct mount_plan plan = { .source = NULL };
		g_autoptr(GError) error = NULL;

		print_message("# %s, %s\n", cases[i].connection, cases[i].options ? cases[i].options : "");
		assert_int_equal(mount_plan(cases[i].type, &ref, &plan, &error), !cases[i].code);
		assert_int_equal(error ? error->code : 0, cases[i].code);
		if (cases[i].expected)
			assert_string_equal(plan.options, cases[i].expected);
		/* what is refused is named, but never a secret */
		assert_false(error && strstr(error->message, "password=b"));
		mount_plan_clear(&plan);
	}
}

static void test_targets(void **state)
{
	static const struct { const char *address, *port, *iqn, *user, *password; int code; const char *expected; } cases[] = {
		{ "10.0.0.1", "3260", "iqn.2026-01.lab:a", NULL, NULL, 0, "10.0.0.1:3260" },
		{ "fe80::1", NULL, "iqn.2026-01.lab:a", "ada", "secret", 0, "[fe80::1]:3260" },
		{ "[fe80::1]", "1", "eui.02004567A425678D", NULL, NULL, 0, "[fe80::1]:1" },
		{ "10.0.0.1", "0", "iqn.2026-01.lab:a", NULL, NULL, ERR_STORAGE_SERVER_VALIDATION_ERROR, NULL },
		{ "10.0.0.1; reboot", "3260", "iqn.2026-01.lab:a", NULL, NULL, ERR_STORAGE_SERVER_VALIDATION_ERROR, NULL },
		{ "10.0.0.1", "3260", "iqn.2026-01/../../x", NULL, NULL, ERR_STORAGE_SERVER_VALIDATION_ERROR, NULL },
		{ "10.0.0.1", "3260", NULL, NULL, NULL, ERR_STORAGE_SERVER_VALIDATION_ERROR, NULL },
		{ "10.0.0.1", "3260", "iqn.2026-01.lab:a", "ada", NULL, ERR_STORAGE_SERVER_VALIDATION_ERROR, NULL },
		{ "10.0.0.1", "3260", "iqn.2026-01.lab:a", "ada", "two\nlines", ERR_STORAGE_SERVER_VALIDATION_ERROR, NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct connection_ref ref = { .connection = (char *)cases[i].address, .port = (char *)cases[i].port, .iqn = (char *)cases[i].iqn,
						    .user = (char *)cases[i].user, .password = (char *)cases[i].password };
		struct iscsi_target target = { .iqn = NULL };
		g_autoptr(GError) error = NULL;

		assert_int_equal(iscsi_target(&ref, &target, &error), !cases[i].code);
		assert_int_equal(error ? error->code : 0, cases[i].code);
		if (cases[i].expected)
			assert_string_equal(target.portal, cases[i].expected);
		iscsi_target_clear(&target);
	}
}

/* Status of one POSIX connection */
static int change(struct room *room, const char *verb, const char *id, const char *what, const char *vfs, const char *options)
{
	json_t *result;
	int status;

	assert_int_equal(call_full(room, verb, json_pack("{s:s, s:i, s:[{s:s, s:s, s:s, s:s}]}", "storagepoolID", POOL, "domainType", STORAGE_POSIXFS,
							 "connectionParams", "id", id, "connection", what, "vfs_type", vfs, "mnt_options", options),
				   &result, NULL), 0);
	status = (int)json_integer_value(json_object_get(json_array_get(result, 0), "status"));
	json_decref(result);
	return status;
}
#define CONNECT "StoragePool.connectStorageServer"
#define DISCONNECT "StoragePool.disconnectStorageServer"

/* Mounts of our own, gone with us. */
static bool own_mounts(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Mounted by two, in use, kept over a restart, gone with the last. */
static void live(struct room *room, const char *source, const char *vfs, const char *options)
{
	g_autofree char *name = connection_link_name(source);
	g_autofree char *inside = g_build_filename(room->repository, "mnt", name, DOMAIN, NULL);
	json_t *params;

	assert_int_equal(change(room, CONNECT, POOL, source, vfs, options), 0);
	assert_int_equal(change(room, CONNECT, POOL2, source, vfs, options), 0);
	assert_int_equal(change(room, CONNECT, POOL2, source, vfs, options), 0);
	params = domain_params(DOMAIN, source);
	json_object_set_new(params, "domainType", json_integer(STORAGE_POSIXFS));
	assert_int_equal(call(room, "StorageDomain.create", params), 0);
	assert_true(g_file_test(inside, G_FILE_TEST_IS_DIR));
	assert_int_equal(call(room, "StorageDomain.attach", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(change(room, DISCONNECT, POOL, source, vfs, options), ERR_STORAGE_SERVER_DISCONNECTION_ERROR);
	room = room_restart(room);
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 0);
	assert_int_equal(call(room, "StorageDomain.deactivate", deactivate_params(DOMAIN, POOL)), 0);
	assert_int_equal(change(room, DISCONNECT, POOL, source, vfs, options), 0);
	assert_int_equal(change(room, DISCONNECT, POOL, source, vfs, options), 0);
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 0);      /* POOL2 still has it */
	assert_int_equal(change(room, DISCONNECT, POOL2, source, vfs, options), 0);
	assert_int_equal(call(room, "StorageDomain.validate", id_params(DOMAIN)), 358);
	assert_int_equal(entries(room->repository, "mnt"), 0);
	assert_int_equal(entries(room->repository, "users"), 0);
	room_close(room);
}

static void test_posix(void **state)
{
	g_autofree char *source = NULL;
	struct room *room;

	if (!own_mounts())
		skip();
	room = room_open();
	source = g_build_filename(room->base, "data_1", NULL);
	assert_int_equal(change(room, CONNECT, POOL, "/nowhere/at/all", "none", "bind"), ERR_MOUNT_ERROR);
	assert_int_equal(change(room, CONNECT, POOL, source, "nosuchfs", ""), ERR_MOUNT_ERROR);
	live(room, source, "none", "bind");
}

/* A file system of another kind, on a device. */
static void test_ext4(void **state)
{
	g_autofree char *image = NULL;
	g_autofree char *command = NULL;
	struct room *room;

	if (!own_mounts())
		skip();
	room = room_open();
	image = g_build_filename(room->base, "fs", NULL);
	command = g_strdup_printf("truncate -s 32M '%s' && mkfs.ext4 -q -F '%s' && m=$(mktemp -d) && mount -o loop '%s' \"$m\" && umount \"$m\"; r=$?; "
				  "rmdir \"$m\"; exit $r", image, image, image);
	if (system(command) != 0) {          /* no loop devices here */
		room_close(room);
		skip();
	}
	assert_int_equal(change(room, CONNECT, POOL, image, "vfat", "loop"), ERR_MOUNT_ERROR);
	live(room, image, "ext4", "loop");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_plans), cmocka_unit_test(test_targets), cmocka_unit_test(test_posix), cmocka_unit_test(test_ext4) };

	return cmocka_run_group_tests_name("agent/connection", tests, NULL, NULL);
}
