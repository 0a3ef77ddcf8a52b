/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's schema.
 *
 * One table per kind, all of the same shape: id TEXT PRIMARY KEY, parent TEXT, name TEXT, doc TEXT. The row order (rowid) is the order of creation. A kind
 * that is new gets its table when the file is opened; only a change of what stands in `doc` needs a migration. parent and name are copies of what is
 * in doc, for people who look into the file with SQLite's own tools.
 *
 * The table `engine` has one row: the id of this engine. The table `schema` has one row per step that was made; the highest version is that of the
 * file. Version numbers only grow; a file that is newer than the program is refused, for the program would not know what it must not lose.
 */
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/store/store-priv.h"

#define LOG_MODULE "store"

void sql_error(sqlite3 *db, const char *path, GError **error)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		error_set(error, ERR_STORE_FAILED, "%s is locked by another program", path);
		break;
	case SQLITE_NOTADB:
		error_set(error, ERR_STORE_FAILED, "%s is not a database", path);
		break;
	case SQLITE_CORRUPT:
		error_set(error, ERR_STORE_FAILED, "%s is damaged (%s): restore it from a backup", path, sqlite3_errmsg(db));
		break;
	case SQLITE_FULL:
		error_set(error, ERR_STORE_FAILED, "%s: no space left on the device", path);
		break;
	default:
		error_set(error, ERR_STORE_FAILED, "%s: %s", path, sqlite3_errmsg(db));
	}
}

bool sql_run(sqlite3 *db, const char *sql, GError **error)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	sql_error(db, sqlite3_db_filename(db, "main"), error);
	return false;
}

/* ---- steps ---- */

static bool make_identity(sqlite3 *db, GError **error)
{
	g_autofree char *id = g_uuid_string_random();
	g_autofree char *sql = g_strdup_printf("CREATE TABLE engine (id TEXT PRIMARY KEY NOT NULL); INSERT INTO engine (id) VALUES ('%s')", id);

	return sql_run(db, sql, error);
}

/* Permissions name their object as a reference too, so that it can be searched for. */
static bool refer_permissions(sqlite3 *db, GError **error)
{
	static const char *const columns[][2] = {
		{ "datacenters", "data_center" }, { "clusters", "cluster" }, { "hosts", "host" }, { "vms", "vm" }, { "templates", "template" },
		{ "storagedomains", "storage_domain" }, { "networks", "network" }, { "disks", "disk" }, { "cpuprofiles", "cpu_profile" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(columns); i++) {
		g_autofree char *sql = g_strdup_printf("UPDATE permissions SET doc = json_set(doc, '$.%s', json_extract(doc, '$.object_id')) "
						       "WHERE json_extract(doc, '$.object_kind') = '%s'", columns[i][1], columns[i][0]);

		if (!sql_run(db, sql, error))
			return false;
	}
	return true;
}

const struct migration store_migrations[] = {
	{ 1, "first form", NULL },
	{ 2, "identity of the engine", make_identity },
	{ 3, "permissions refer to their objects", refer_permissions },
};
const size_t store_n_migrations = G_N_ELEMENTS(store_migrations);

/* The number that a query gives, or -1 with an error. No row: `none`. */
static int64_t query_number(sqlite3 *db, const char *path, const char *sql, int64_t none, GError **error)
{
	sqlite3_stmt *query = NULL;
	int64_t number = none;
	int rc = sqlite3_prepare_v2(db, sql, -1, &query, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(query);
		if (rc == SQLITE_ROW)
			number = sqlite3_column_type(query, 0) == SQLITE_NULL ? none : sqlite3_column_int64(query, 0);
	}
	if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
		sql_error(db, path, error);
		number = -1;
	}
	sqlite3_finalize(query);
	return number;
}

static bool make_tables(sqlite3 *db, GError **error)
{
	for (size_t i = 0; kinds[i]; i++) {
		g_autofree char *sql = NULL;

		if (kinds[i]->transient)
			continue;
		sql = g_strdup_printf("CREATE TABLE IF NOT EXISTS \"%s\" (id TEXT PRIMARY KEY NOT NULL, parent TEXT, name TEXT, doc TEXT NOT NULL)",
				      kinds[i]->collection);
		if (!sql_run(db, sql, error))
			return false;
	}
	return true;
}

static bool note_version(sqlite3 *db, const struct migration *migration, GError **error)
{
	g_autofree char *sql = g_strdup_printf("INSERT INTO schema (version, made, what) VALUES (%d, %" G_GINT64_FORMAT ", '%s')", migration->version,
					       wall_msec(), migration->what);

	return sql_run(db, sql, error);
}

static bool step(sqlite3 *db, const struct migration *migration, GError **error)
{
	if (!sql_run(db, "BEGIN IMMEDIATE", error))
		return false;
	if ((!migration->run || migration->run(db, error)) && note_version(db, migration, error) && sql_run(db, "COMMIT", error))
		return true;
	(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	error_wrap(error, "bring the database to version %d (%s)", migration->version, migration->what);
	return false;
}

static bool create(sqlite3 *db, const struct migration *newest, GError **error)
{
	g_autofree char *mark = g_strdup_printf("PRAGMA application_id = %d", STORE_APPLICATION_ID);

	if (!sql_run(db, "BEGIN IMMEDIATE", error))
		return false;
	if (sql_run(db, mark, error) &&
	    sql_run(db, "CREATE TABLE schema (version INTEGER PRIMARY KEY, made INTEGER NOT NULL, what TEXT NOT NULL)", error) &&
	    make_identity(db, error) && make_tables(db, error) && note_version(db, newest, error) && sql_run(db, "COMMIT", error))
		return true;
	(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

bool schema_prepare(sqlite3 *db, const char *path, const struct migration *migrations, size_t n, bool *ret_fresh, GError **error)
{
	int64_t things = query_number(db, path, "SELECT count(*) FROM sqlite_master", 0, error), owner, version;
	const struct migration *newest = &migrations[n - 1];

	if (things < 0)
		return false;
	if (things == 0) {
		if (!create(db, newest, error))
			return false;
		*ret_fresh = true;
		return true;
	}
	owner = query_number(db, path, "PRAGMA application_id", 0, error);
	if (owner < 0)
		return false;
	if (owner != STORE_APPLICATION_ID) {
		error_set(error, ERR_STORE_FAILED, "%s is the database of another program", path);
		return false;
	}
	version = query_number(db, path, "SELECT max(version) FROM schema", 0, error);
	if (version < 0)
		return false;
	if (version > newest->version) {
		error_set(error, ERR_STORE_FAILED, "%s has version %" G_GINT64_FORMAT " and was written by a newer program; this one knows up to %d", path,
			  version, newest->version);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (migrations[i].version > version) {
			log_info("database %s: version %d, %s", path, migrations[i].version, migrations[i].what);
			if (!step(db, &migrations[i], error))
				return false;
		}
	*ret_fresh = false;
	return make_tables(db, error);
}
