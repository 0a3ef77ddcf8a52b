/* SPDX-License-Identifier: Apache-2.0 */
/* The store: sudden death, full disks, files that are not what they should be, older schemas. Of a database on a server what is not about files. */
#include "tests/unit/store-fixture.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "common/loop.h"
#include "engine/model/datacenter.h"
#include "engine/model/misc.h"
#include "engine/store/store-priv.h"
#include <sqlite3.h>

/* ---- death ---- */

/* In the child: commits from several threads; each acknowledged name is written to a pipe at once. */
struct storm { struct world *world; int fd, number; };

static void *storm(void *data)
{
	struct storm *mine = data;

	for (int i = 0;; i++) {
		char name[32];
		int n = snprintf(name, sizeof(name), "s%d-%06d\n", mine->number, i);
		struct vm *vm;

		name[n - 1] = '\0';
		vm = vm_new(mine->world, name);
		name[n - 1] = '\n';
		if (!add(mine->world, vm, NULL) || write(mine->fd, name, (size_t)n) != n)
			_exit(1);
	}
	return NULL;
}

static void child_storm(const char *dir, int fd)
{
	struct world world = { .dir = (char *)dir };
	static struct storm storms[4];

	world_open(&world);
	for (int i = 0; i < 4; i++) {
		pthread_t thread;

		storms[i] = (struct storm) { &world, fd, i };
		if (pthread_create(&thread, NULL, storm, &storms[i]))
			_exit(1);
	}
	for (;;)
		(void)pause();
}

static void nothing_acknowledged_is_lost_by_kill(void **state)
{
	struct world *world = *state;

	for (int round = 0; round < 4; round++) {
		GString *names = g_string_new(NULL);
		g_auto(GStrv) lines = NULL;
		int pipes[2], want = 100 + round * 150, status;
		char buffer[4096];
		ssize_t n;
		pid_t child;

		world_close(world);
		g_rmdir(world->dir);
		g_free(world->dir);
		world->dir = g_dir_make_tmp("berth-store-XXXXXX", NULL);
		assert_int_equal(pipe(pipes), 0);
		child = fork();
		if (child == 0) {
			(void)close(pipes[0]);
			child_storm(world->dir, pipes[1]);
		}
		(void)close(pipes[1]);
		while (want > 0 && (n = read(pipes[0], buffer, sizeof(buffer))) > 0) {
			g_string_append_len(names, buffer, n);
			for (ssize_t i = 0; i < n; i++)
				want -= buffer[i] == '\n';
		}
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		while ((n = read(pipes[0], buffer, sizeof(buffer))) > 0)
			g_string_append_len(names, buffer, n);
		(void)close(pipes[0]);
		world_open(world);
		lines = g_strsplit(names->str, "\n", -1);
		for (size_t i = 0; lines[i] && *lines[i]; i++) {
			g_autofree char *id = vm_id(world, lines[i]);

			if (!id)
				fail_msg("round %d: %s was acknowledged and is lost", round, lines[i]);
		}
		g_string_free(names, TRUE);
		world_close(world);
		clean(world->dir);
		world_open(world);
	}
}

/* ---- full disks ---- */

static int add_until_full(struct world *world, GError **error)
{
	for (int i = 0; i < 20000; i++) {
		g_autofree char *name = g_strdup_printf("vm%d", i), *text = g_strnfill(3000, 'x');
		struct vm *vm = vm_new(world, name);

		set_string(&vm->description, text);
		if (!add(world, vm, error))
			return i;
	}
	return -1;
}

/* The change that did not fit is not there, the others are, and the store works again when there is room. */
static int full_and_free_again(const char *dir, bool (*make_room)(void))
{
	struct world world = { .dir = (char *)dir };
	g_autoptr(GError) error = NULL, second = NULL;
	g_autofree char *last = NULL, *before = NULL;
	int n;

	world.model = model_new();
	world.store = place_open(dir, world.model, &error);
	if (!world.store)
		return 10;
	n = add_until_full(&world, &error);
	if (n <= 0 || !error_is(error, ERR_STORE_FAILED))
		return 11;
	last = g_strdup_printf("vm%d", n);
	before = g_strdup_printf("vm%d", n - 1);
	if (vm_id(&world, last) || !vm_id(&world, before) || model_count(world.model, &vm_kind) != (size_t)n)
		return 12;
	if (!make_room())
		return 13;
	if (!add(&world, vm_new(&world, "after"), &second))
		return 14;
	world_close(&world);
	world.model = model_new();
	world.store = place_open(dir, world.model, NULL);
	if (!world.store || model_count(world.model, &vm_kind) != (size_t)n + 1 || vm_id(&world, last))
		return 15;
	world_close(&world);
	return 0;
}

static bool lift_limit(void)
{
	return setrlimit(RLIMIT_FSIZE, &(struct rlimit) { RLIM_INFINITY, RLIM_INFINITY }) == 0;
}

static int run_child(int (*run)(const char *dir), const char *dir)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(run(dir));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int child_file_limit(const char *dir)
{
	(void)signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &(struct rlimit) { 4 << 20, RLIM_INFINITY }))
		return 1;
	return full_and_free_again(dir, lift_limit);
}

static void a_file_that_cannot_grow_fails_the_change_only(void **state)
{
	struct world *world = *state;
	g_autofree char *dir = g_dir_make_tmp("berth-store-XXXXXX", NULL);

	world_close(world);                      /* no threads while forking */
	assert_int_equal(run_child(child_file_limit, dir), 0);
	clean(dir);
	world_open(world);
}

static const char *mounted;

static bool grow_disk(void)
{
	return mount("tmpfs", mounted, "tmpfs", MS_REMOUNT, "size=64m") == 0;
}

static int child_small_disk(const char *dir)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("tmpfs", dir, "tmpfs", 0, "size=3m"))
		return 77;
	mounted = dir;
	return full_and_free_again(dir, grow_disk);
}

static void a_full_disk_fails_the_change_only(void **state)
{
	struct world *world = *state;
	g_autofree char *dir = g_dir_make_tmp("berth-store-XXXXXX", NULL);
	int status;

	world_close(world);
	status = run_child(child_small_disk, dir);
	clean(dir);
	world_open(world);
	if (status == 77)
		skip();                          /* needs the right to mount */
	assert_int_equal(status, 0);
}

/* ---- files that are not what they should be ---- */

static void sql(const char *dir, const char *text)
{
	g_autofree char *path = g_build_filename(dir, STORE_FILE, NULL);
	char *problem = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &problem) != SQLITE_OK)
		fail_msg("%s", problem);
	sqlite3_close(db);
}

static void open_refused(struct world *world, const char *part)
{
	g_autoptr(GError) error = NULL;
	struct model *model = model_new();
	struct store *store = place_open(world->dir, model, &error);

	assert_null(store);
	assert_non_null(error);
	if (error->code != ERR_STORE_FAILED || !strstr(error->message, part) ||
	    (!strstr(error->message, world->dir) && !(place_is_postgresql() && strstr(error->message, "database stores at "))))
		fail_msg("got %d '%s', expected '%s' and the place", error->code, error->message, part);
	model_free(model);
}

static struct database *open_database(const char *dir)
{
	g_autofree char *server = place_where(dir), *where = server ? g_strdup(server) : g_strdup_printf("sqlite:%s/" STORE_FILE, dir);
	g_autoptr(GError) error = NULL;
	struct database *db = database_open(where, DATABASE_READ, now_usec() + 60 * G_USEC_PER_SEC, &error);

	if (!db)
		fail_msg("%s", error->message);
	db->deadline_usec = now_usec() + 60 * G_USEC_PER_SEC;
	return db;
}

static bool run_all(struct database *db, void *data, GError **error)
{
	for (const char *const *text = data; *text; text++)
		if (!database_run(db, *text, error))
			return false;
	return true;
}

/* In either back end. */
#define statements(dir, ...) do { \
	struct database *db_ = open_database(dir); \
	assert_done(database_transaction(db_, run_all, (void *)(const char *const[]) { __VA_ARGS__, NULL }, &e_)); \
	database_close(db_); \
} while (0)

static void a_second_engine_is_kept_away(void **state)
{
	struct world *world = *state;
	g_autofree char *elsewhere = g_dir_make_tmp("berth-store-XXXXXX", NULL), *where = place_where(world->dir);
	g_autoptr(GError) error = NULL;

	open_refused(world, "in use by another engine (process ");
	if (!where)
		where = g_strdup_printf("sqlite:%s/" STORE_FILE, world->dir);
	assert_null(store_open(&(struct store_settings) { .data_dir = elsewhere, .where = where }, world->model, &error));
	if (!strstr(error->message, "in use by another engine (process "))
		fail_msg("%s", error->message);
	place_remove(elsewhere, NULL);
}

static void a_locked_file_says_so(void **state)
{
	struct world *world = *state;
	g_autofree char *path = g_build_filename(world->dir, STORE_FILE, NULL);
	sqlite3 *db;

	world_close(world);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE; CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
	/* readers are let in by the write-ahead log; the writer finds out */
	{
		g_autoptr(GError) problem = NULL;

		world->model = model_new();
		world->store = place_open(world->dir, world->model, &problem);
		if (world->store)
			assert_fails(ERR_STORE_FAILED, "is locked by another program", add(world, vm_new(world, "vm1"), &error));
		else
			assert_non_null(strstr(problem->message, "is locked by another program"));
	}
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	if (world->store)
		assert_done(add(world, vm_new(world, "vm1"), &e_));
}

static void damaged_and_newer_databases_are_refused(void **state)
{
	struct world *world = *state;

	world_close(world);
	statements(world->dir, "UPDATE schema SET version = 99");
	open_refused(world, "version 99 and was written by a newer program; this one knows up to");
	statements(world->dir, "UPDATE schema SET version = 2");
	statements(world->dir, "UPDATE networks SET doc = '{\"@id\": 5' WHERE id = '00000000-0000-0000-0000-000000000009'");
	open_refused(world, "table networks, row '00000000-0000-0000-0000-000000000009' is damaged");
	statements(world->dir, "UPDATE networks SET doc = '{\"@id\":\"00000000-0000-0000-0000-000000000009\",\"mtu\":\"x\"}'");
	open_refused(world, "mtu");
	statements(world->dir, "UPDATE permissions SET doc = '[1]'", "DELETE FROM schema WHERE version > 2");
	open_refused(world, "bring the database to version 3 (permissions refer to their objects): ");
	if (place_is_postgresql()) {             /* of a file other_files_are_refused() */
		statements(world->dir, "COMMENT ON TABLE schema IS 'something else'");
		open_refused(world, "is the database of another program");
	}
	clean(world->dir);
	world_open(world);
}

static void other_files_are_refused(void **state)
{
	struct world *world = *state;
	g_autofree char *path = g_build_filename(world->dir, STORE_FILE, NULL);

	world_close(world);
	clean(world->dir);
	assert_int_equal(g_mkdir(world->dir, 0700), 0);
	sql(world->dir, "CREATE TABLE songs (title)");
	open_refused(world, "is the database of another program");
	(void)g_unlink(path);
	assert_true(g_file_set_contents(path,
					"This is a letter, not a database. It is long enough for a header, and then some: ................................", -1,
					NULL));
	open_refused(world, "is not a database");
	(void)g_unlink(path);
	world_open(world);
}

static void a_damaged_file_is_named(void **state)
{
	struct world *world = *state;
	g_autofree char *path = g_build_filename(world->dir, STORE_FILE, NULL), *junk = g_strnfill(4096, '\x5a');
	int fd;

	for (int i = 0; i < 50; i++) {
		g_autofree char *name = g_strdup_printf("vm%d", i), *text = g_strnfill(3000, 'x');
		struct vm *vm = vm_new(world, name);

		set_string(&vm->description, text);
		assert_done(add(world, vm, &e_));
	}
	world_close(world);
	sql(world->dir, "PRAGMA wal_checkpoint(TRUNCATE)");
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	for (off_t at = 4096; at < 60 * 4096; at += 4096)
		assert_int_equal(pwrite(fd, junk, 4096, at), 4096);
	(void)close(fd);
	open_refused(world, "is damaged");
	clean(world->dir);
	world_open(world);
}

/* ---- migrations ---- */

static bool describe(json_t *doc)
{
	return json_object_set_new(doc, "description", json_string("migrated")) == 0;
}

static bool rename_things(struct database *db, GError **error)
{
	return schema_edit(db, "datacenters", describe, error);
}

static bool break_things(struct database *db, GError **error)
{
	return database_run(db, "DELETE FROM datacenters", error) && database_run(db, "DELETE FROM nowhere", error);
}

static int64_t number_of(struct database *db, const char *text)
{
	int64_t number = -1;

	assert_done(database_number(db, text, -1, &number, &e_));
	return number;
}

static void older_databases_come_forward_step_by_step(void **state)
{
	struct world *world = *state;
	const struct migration later[] = {
		store_migrations[0], store_migrations[1], { 3, "rename things", rename_things }, { 4, "nothing", NULL }, { 5, "break", break_things }
	};
	g_autofree char *id = NULL;
	struct datacenter *dc;
	struct cpu_profile *profile;
	struct database *db;

	world_close(world);
	/* as an older program left it */
	statements(world->dir, "DROP TABLE flows", "DROP TABLE engine", "DROP TABLE writer", "UPDATE schema SET version = 1");
	db = open_database(world->dir);
	assert_done(schema_prepare(db, later, 4, &e_));
	assert_int_equal(number_of(db, "SELECT max(version) FROM schema"), 4);
	assert_int_equal(number_of(db, "SELECT count(*) FROM flows"), 0);
	/* again: nothing to do. A step that fails leaves the database as it was before the step */
	assert_done(schema_prepare(db, later, 4, &e_));
	assert_fails(ERR_STORE_FAILED, "bring the database to version 5 (break)", schema_prepare(db, later, 5, &error));
	assert_int_equal(number_of(db, "SELECT max(version) FROM schema"), 4);
	assert_int_equal(number_of(db, "SELECT count(*) FROM datacenters"), 1);
	database_close(db);
	statements(world->dir, "DELETE FROM schema WHERE version > 2",
		   "UPDATE cpuprofiles SET doc = replace(doc, '\"name\":', '\"qos@id\":\"00000000-0000-0000-0000-0000000000aa\",\"name\":')");
	world_open(world);
	id = g_strdup(store_engine_id(world->store));
	assert_true(g_uuid_string_is_valid(id));
	world_close(world);
	world_open(world);
	assert_string_equal(store_engine_id(world->store), id);
	dc = model_find(world->model, &datacenter_kind, NULL, "Default");
	assert_string_equal(dc->description, "migrated");
	record_unref(dc);
	profile = model_find(world->model, &cpu_profile_kind, NULL, "Default");
	assert_string_equal(profile->qos.id, "00000000-0000-0000-0000-0000000000aa");
	record_unref(profile);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(nothing_acknowledged_is_lost_by_kill),
		TEST(a_second_engine_is_kept_away),
		TEST(damaged_and_newer_databases_are_refused),
		TEST(older_databases_come_forward_step_by_step),
	};
	static const struct CMUnitTest of_files[] = {
		TEST(a_file_that_cannot_grow_fails_the_change_only),
		TEST(a_full_disk_fails_the_change_only),
		TEST(a_locked_file_says_so),
		TEST(other_files_are_refused),
		TEST(a_damaged_file_is_named),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return place_is_postgresql() ? failed : failed + cmocka_run_group_tests(of_files, NULL, NULL);
}
