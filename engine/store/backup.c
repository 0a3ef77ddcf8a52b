/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup and restore, run by a process of their own (berth-engine backup, restore).
 *
 * SQLite's VACUUM INTO reads one snapshot of the write-ahead log beside a running writer and writes a compact copy. The accounts are put into that copy, in
 * the table `files`, and it gets its name when all is on the disk. Restoring makes the same copy in the directory, takes the accounts out of it and gives
 * them, then the database, their names. An engine that is newer than the backup brings it up to date when it starts.
 */
#include "engine/store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/error.h"
#include "engine/store/store-priv.h"

/* beside the database; what is not there is left out */
static const char *const kept_files[] = { "auth" };

static sqlite3 *open_database(const char *path, int flags, GError **error)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK && sqlite3_busy_timeout(db, 10000) == SQLITE_OK)
		return db;
	sql_error(db, path, error);
	(void)sqlite3_close(db);
	return NULL;
}

static bool run_with(sqlite3 *db, const char *path, const char *sql, const char *text, const void *blob, size_t size, GError **error)
{
	sqlite3_stmt *statement = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC) == SQLITE_OK &&
		  (!blob || sqlite3_bind_blob64(statement, 2, blob, size, SQLITE_STATIC) == SQLITE_OK) && sqlite3_step(statement) == SQLITE_DONE;

	if (!ok)
		sql_error(db, path, error);
	sqlite3_finalize(statement);
	return ok;
}

/* A compact copy of one instant; to must not exist. */
static bool copy_database(const char *from, const char *to, GError **error)
{
	int fd = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);         /* so that nobody else reads it meanwhile */
	sqlite3 *db;
	bool ok;

	if (fd < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", to);
		return false;
	}
	(void)close(fd);
	db = open_database(from, SQLITE_OPEN_READWRITE, error);        /* read-only cannot take part in a write-ahead log */
	if (!db)
		return false;
	ok = run_with(db, from, "VACUUM INTO ?1", to, NULL, 0, error);
	(void)sqlite3_close(db);
	return ok;
}

static bool take_files(sqlite3 *db, const char *path, const char *data_dir, GError **error)
{
	if (!sql_run(db, "CREATE TABLE files (name TEXT PRIMARY KEY NOT NULL, content BLOB NOT NULL)", error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(kept_files); i++) {
		g_autofree char *file = g_build_filename(data_dir, kept_files[i], NULL), *content = NULL;
		g_autoptr(GError) problem = NULL;
		gsize size;

		if (!g_file_get_contents(file, &content, &size, &problem)) {
			if (g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
				continue;
			error_set(error, ERR_IO_FAILED, "%s", problem->message);
			return false;
		}
		if (!run_with(db, path, "INSERT INTO files (name, content) VALUES (?1, ?2)", kept_files[i], content, size, error))
			return false;
	}
	return true;
}

/* What is written is on the disk, and so is its name. */
static bool settle(const char *from, const char *to, GError **error)
{
	g_autofree char *dir = g_path_get_dirname(to);
	int fd = open(from, O_RDONLY | O_CLOEXEC), dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && dir_fd >= 0 && fsync(fd) == 0 && rename(from, to) == 0 && fsync(dir_fd) == 0;

	if (!ok)
		error_set_errno(error, ERR_STORE_FAILED, errno, "write '%s'", to);
	if (fd >= 0)
		(void)close(fd);
	if (dir_fd >= 0)
		(void)close(dir_fd);
	return ok;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

bool store_backup(const char *data_dir, const char *file, GError **error)
{
	g_autofree char *path = g_build_filename(data_dir, STORE_FILE, NULL), *part = g_strconcat(file, ".part", NULL);
	sqlite3 *db;
	bool ok;

	if (!is_there(path)) {
		error_set(error, ERR_STORE_FAILED, "%s is not the data directory of an engine: it has no " STORE_FILE, data_dir);
		return false;
	}
	if (is_there(file)) {
		error_set(error, ERR_STORE_FAILED, "%s exists already", file);
		return false;
	}
	(void)unlink(part);
	if (!copy_database(path, part, error) || !(db = open_database(part, SQLITE_OPEN_READWRITE, error))) {
		(void)unlink(part);
		return false;
	}
	ok = take_files(db, part, data_dir, error);
	(void)sqlite3_close(db);
	ok = ok && settle(part, file, error);
	if (!ok)
		(void)unlink(part);
	return ok;
}

/* ---- restore ---- */

static bool is_backup(sqlite3 *db, const char *path)
{
	sqlite3_stmt *query = NULL;
	bool ok = sqlite3_prepare_v2(db, "SELECT 1 FROM files, schema, engine LIMIT 1", -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW;

	sqlite3_finalize(query);
	return ok;
}

static bool give_files(sqlite3 *db, const char *path, const char *data_dir, GError **error)
{
	sqlite3_stmt *query = NULL;
	bool ok = sqlite3_prepare_v2(db, "SELECT name, content FROM files", -1, &query, NULL) == SQLITE_OK;
	int rc = SQLITE_DONE;

	if (!ok)
		sql_error(db, path, error);
	while (ok && (rc = sqlite3_step(query)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(query, 0);
		g_autofree char *file = NULL, *part = NULL;
		g_autoptr(GError) problem = NULL;

		if (!g_strv_contains((const char *const[]){ kept_files[0], NULL }, name))
			continue;
		file = g_build_filename(data_dir, name, NULL);
		part = g_strconcat(file, ".part", NULL);
		ok = g_file_set_contents_full(part, sqlite3_column_blob(query, 1), sqlite3_column_bytes(query, 1), G_FILE_SET_CONTENTS_CONSISTENT, 0600,
					      &problem);
		if (!ok)
			error_set(error, ERR_IO_FAILED, "%s", problem->message);
		ok = ok && settle(part, file, error);
	}
	if (ok && rc != SQLITE_DONE) {
		sql_error(db, path, error);
		ok = false;
	}
	sqlite3_finalize(query);
	return ok;
}

/* The log of the old database would be taken for the new one's. */
static bool drop_log(const char *path, GError **error)
{
	static const char *const tails[] = { "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < G_N_ELEMENTS(tails); i++) {
		g_autofree char *file = g_strconcat(path, tails[i], NULL);

		if (g_unlink(file) != 0 && errno != ENOENT) {
			error_set_errno(error, ERR_STORE_FAILED, errno, "remove '%s'", file);
			return false;
		}
	}
	return true;
}

static bool put_in_place(const char *part, const char *path, const char *data_dir, const char *file, GError **error)
{
	sqlite3 *db = open_database(part, SQLITE_OPEN_READWRITE, error);
	bool ok = db != NULL;

	if (ok && !is_backup(db, part)) {
		error_set(error, ERR_STORE_FAILED, "%s is not a backup of an engine", file);
		ok = false;
	}
	ok = ok && give_files(db, part, data_dir, error) && sql_run(db, "DROP TABLE files", error);
	(void)sqlite3_close(db);
	return ok && drop_log(path, error) && settle(part, path, error);
}

bool store_restore(const char *file, const char *data_dir, bool force, GError **error)
{
	g_autofree char *path = g_build_filename(data_dir, STORE_FILE, NULL), *part = g_strconcat(path, ".part", NULL);
	int lock;
	bool ok = false;

	if (!is_there(file)) {
		error_set_errno(error, ERR_STORE_FAILED, ENOENT, "%s", file);
		return false;
	}
	if (g_mkdir_with_parents(data_dir, 0700) < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", data_dir);
		return false;
	}
	lock = store_lock(data_dir, error);
	if (lock < 0)
		return false;
	if (is_there(path) && !force) {
		error_set(error, ERR_STORE_FAILED, "%s has a database already; --force replaces it", data_dir);
	} else {
		(void)unlink(part);
		ok = copy_database(file, part, error) && put_in_place(part, path, data_dir, file, error);
		if (!ok)
			(void)unlink(part);
	}
	(void)close(lock);
	return ok;
}
