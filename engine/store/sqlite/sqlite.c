/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite: a file on this machine, with a write-ahead log, each commit synced (WAL, synchronous=FULL).
 *
 * Who owns the file holds a lock on a file beside it, engine.lock for engine.db, so that there is one engine; SQLite's own tools and backups may read
 * meanwhile. A database that replaces another, and a backup, are written as FILE.part and get their name when they are whole and on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"
#include "engine/store/sqlite/checkpoint.h"
#include "engine/store/store-priv.h"

#define LOG_MODULE "store"
#define SCHEME "sqlite:"
#define BUSY_MSEC 2000
#define READER_BUSY_MSEC 10000
#define APPLICATION_ID "0x42657274"              /* "Bert" in the file's header: whose database this is */

struct sqlite {
	struct database base;
	sqlite3 *db;
	char *part;                              /* what is written, until it gets its name; NULL: the file itself */
	GHashTable *statements;                  /* text -> sqlite3_stmt */
	struct checkpointer *checkpointer;       /* of the one that owns the file */
	int lock_fd;
};

/* Says in people's words what SQLite's last error means. */
static bool fail(const struct sqlite *sqlite, GError **error)
{
	const char *name = sqlite->base.name, *what = sqlite3_errmsg(sqlite->db);

	switch (sqlite3_errcode(sqlite->db) & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		error_set(error, ERR_STORE_FAILED, "%s is locked by another program", name);
		break;
	case SQLITE_NOTADB:
		error_set(error, ERR_STORE_FAILED, "%s is not a database", name);
		break;
	case SQLITE_CORRUPT:
		error_set(error, ERR_STORE_FAILED, "%s is damaged (%s): restore it from a backup", name, what);
		break;
	case SQLITE_FULL:
		error_set(error, ERR_STORE_FAILED, "%s: no space left on the device", name);
		break;
	default:
		error_set(error, ERR_STORE_FAILED, "%s: %s", name, what);
	}
	return false;
}

static bool execute(struct sqlite *sqlite, const char *sql, GError **error)
{
	return sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(sqlite, error);
}

/* ---- files ---- */

/* engine.lock for engine.db */
static int lock_file(const char *file, GError **error)
{
	size_t stem = strlen(file) - (g_str_has_suffix(file, ".db") ? strlen(".db") : 0);
	g_autofree char *path = g_strdup_printf("%.*s.lock", (int)stem, file);

	return store_lock(path, file, error);
}

/* The file is there, for its owner only: password hashes are in it. */
static bool make_file(const char *path, int flags, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	if (fd < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", path);
		return false;
	}
	(void)close(fd);
	return true;
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

/* ---- opening ---- */

static bool configure(struct sqlite *sqlite, GError **error)
{
	sqlite3_stmt *query = NULL;
	bool wal = false;

	if (!execute(sqlite, "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 16777216", error))
		return false;
	if (sqlite3_prepare_v2(sqlite->db, "PRAGMA journal_mode = WAL", -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW)
		wal = !g_strcmp0((const char *)sqlite3_column_text(query, 0), "wal");
	if (!wal && sqlite3_errcode(sqlite->db) != SQLITE_ROW)
		(void)fail(sqlite, error);
	else if (!wal)
		error_set(error, ERR_STORE_FAILED, "%s: its file system cannot hold a write-ahead log", sqlite->base.name);
	sqlite3_finalize(query);
	return wal;
}

static void sqlite_close(struct database *db)
{
	struct sqlite *sqlite = (struct sqlite *)db;

	sqlite->checkpointer = checkpointer_free(sqlite->checkpointer);
	g_hash_table_unref(sqlite->statements);
	if (sqlite3_close(sqlite->db) != SQLITE_OK)
		log_error("%s: cannot be closed: %s", db->name, sqlite3_errmsg(sqlite->db));
	if (sqlite->part)
		(void)g_unlink(sqlite->part);
	if (sqlite->lock_fd >= 0)
		(void)close(sqlite->lock_fd);
	g_free(sqlite->part);
	g_free(db->name);
	g_free(sqlite);
}

static bool open_file(struct sqlite *sqlite, enum database_use use, GError **error)
{
	const char *name = sqlite->base.name;

	sqlite->base.found = access(name, F_OK) == 0;
	if (use == DATABASE_READ && !sqlite->base.found) {
		error_set(error, ERR_STORE_FAILED, "%s: there is no such database", name);
		return false;
	}
	if (use == DATABASE_MAKE && sqlite->base.found) {
		error_set(error, ERR_STORE_FAILED, "%s exists already", name);
		return false;
	}
	if ((use == DATABASE_OWN || use == DATABASE_REPLACE) && (sqlite->lock_fd = lock_file(name, error)) < 0)
		return false;
	if (use == DATABASE_REPLACE || use == DATABASE_MAKE) {
		sqlite->part = g_strconcat(name, ".part", NULL);
		(void)g_unlink(sqlite->part);
		if (!make_file(sqlite->part, O_EXCL, error)) {
			g_clear_pointer(&sqlite->part, g_free);
			return false;
		}
	}
	if (use == DATABASE_OWN && !make_file(name, 0, error))
		return false;
	/* read-only cannot take part in a write-ahead log */
	if (sqlite3_open_v2(sqlite->part ? sqlite->part : name, &sqlite->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_busy_timeout(sqlite->db, use == DATABASE_OWN ? BUSY_MSEC : READER_BUSY_MSEC) != SQLITE_OK)
		return fail(sqlite, error);
	if (use != DATABASE_OWN)
		return true;
	if (!configure(sqlite, error))
		return false;
	sqlite->checkpointer = checkpointer_new(sqlite->db, name, error);
	return sqlite->checkpointer != NULL;
}

static void finalize(void *statement)
{
	(void)sqlite3_finalize(statement);
}

static struct database *sqlite_open(const char *where, enum database_use use, int64_t deadline_usec, GError **error)
{
	struct sqlite *sqlite = g_new0(struct sqlite, 1);

	sqlite->base = (struct database) { .ops = &sqlite_database, .name = g_strdup(where + strlen(SCHEME)) };
	sqlite->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, finalize);
	sqlite->lock_fd = -1;
	if (!g_path_is_absolute(sqlite->base.name))
		error_set(error, ERR_CONFIG_INVALID, "[engine] store '%s': not an absolute path", where);
	else if (open_file(sqlite, use, error))
		return &sqlite->base;
	sqlite_close(&sqlite->base);
	return NULL;
}

/* ---- statements ---- */

/* Parsed once for each text. */
static sqlite3_stmt *prepare(struct sqlite *sqlite, const char *sql, GError **error)
{
	sqlite3_stmt *statement = g_hash_table_lookup(sqlite->statements, sql);

	if (statement)
		return statement;
	if (sqlite3_prepare_v3(sqlite->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
		(void)fail(sqlite, error);
		return NULL;
	}
	g_hash_table_insert(sqlite->statements, g_strdup(sql), statement);
	return statement;
}

static bool sqlite_run(struct database *db, const char *sql, const char *const *values, size_t n, GError **error)
{
	struct sqlite *sqlite = (struct sqlite *)db;
	sqlite3_stmt *statement;
	bool done;

	if (!n)
		return execute(sqlite, sql, error);
	statement = prepare(sqlite, sql, error);
	if (!statement)
		return false;
	for (size_t i = 0; i < n; i++)
		(void)sqlite3_bind_text(statement, (int)i + 1, values[i], -1, SQLITE_STATIC);
	done = sqlite3_step(statement) == SQLITE_DONE || fail(sqlite, error);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return done;
}

static bool each_row(struct sqlite *sqlite, sqlite3_stmt *query, database_row row, void *data, GError **error)
{
	int rc, n = sqlite3_column_count(query);
	const char *columns[8];

	g_assert(n <= (int)G_N_ELEMENTS(columns));
	while ((rc = sqlite3_step(query)) == SQLITE_ROW) {
		for (int i = 0; i < n; i++)
			columns[i] = (const char *)sqlite3_column_text(query, i);
		if (!row(columns, data, error))
			return false;
	}
	return rc == SQLITE_DONE || fail(sqlite, error);
}

static bool sqlite_query(struct database *db, const char *sql, database_row row, void *data, GError **error)
{
	struct sqlite *sqlite = (struct sqlite *)db;
	sqlite3_stmt *query = NULL;
	bool done = sqlite3_prepare_v2(sqlite->db, sql, -1, &query, NULL) == SQLITE_OK ? each_row(sqlite, query, row, data, error) : fail(sqlite, error);

	(void)sqlite3_finalize(query);
	(void)sqlite3_db_release_memory(sqlite->db);
	return done;
}

/* ---- transactions ---- */

static bool sqlite_begin(struct database *db, bool write, GError **error)
{
	return execute((struct sqlite *)db, write ? "BEGIN IMMEDIATE" : "BEGIN", error);
}

static bool take_name(struct sqlite *sqlite, GError **error)
{
	const char *name = sqlite->base.name;

	g_hash_table_remove_all(sqlite->statements);
	if (sqlite3_close(sqlite->db) != SQLITE_OK)
		return fail(sqlite, error);
	sqlite->db = NULL;
	if (!drop_log(name, error) || !settle(sqlite->part, name, error))
		return false;
	g_clear_pointer(&sqlite->part, g_free);
	return true;
}

static bool sqlite_commit(struct database *db, GError **error)
{
	struct sqlite *sqlite = (struct sqlite *)db;

	return execute(sqlite, "COMMIT", error) && (!sqlite->part || take_name(sqlite, error));
}

static void sqlite_rollback(struct database *db)
{
	struct sqlite *sqlite = (struct sqlite *)db;

	if (sqlite->db && !sqlite3_get_autocommit(sqlite->db))         /* a full disk may have rolled back by itself */
		(void)sqlite3_exec(sqlite->db, "ROLLBACK", NULL, NULL, NULL);
}

const struct database_ops sqlite_database = {
	.schemes = (const char *const[]) { SCHEME, NULL },
	.rowid = "",
	.tables = "SELECT name FROM sqlite_master WHERE type = 'table'",
	.mark = "PRAGMA application_id = " APPLICATION_ID,
	.marked = "SELECT 1 FROM pragma_application_id WHERE application_id = " APPLICATION_ID,
	.open = sqlite_open,
	.close = sqlite_close,
	.begin = sqlite_begin,
	.run = sqlite_run,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.query = sqlite_query,
};
