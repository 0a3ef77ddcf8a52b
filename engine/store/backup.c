/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup and restore, run by a process of their own (berth-engine backup, restore).
 *
 * Both are the same copy of one database into another, row by row in the order of creation: out of one snapshot, beside a running writer, and in one
 * transaction, so that the copy is there when it is whole. A backup has the accounts besides, in the table `files`. The copy is of the version that the
 * original has; an engine that is newer brings it up to date when it starts.
 */
#include "engine/store/backup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/error.h"
#include "common/loop.h"
#include "engine/store/store-priv.h"

#define TABLE_USEC (60 * (int64_t)G_USEC_PER_SEC)        /* for one table, towards a server */

/* beside the database; what is not there is left out */
static const char *const kept_files[] = { "auth" };

/* ---- copying ---- */

struct copy { struct database *from, *to; const char *table; };

static bool copy_row(const char *const *columns, void *data, GError **error)
{
	const struct copy *copy = data;

	return rows_put_text(copy->to, copy->table, columns, error);
}

static bool copy_engine(const char *const *columns, void *data, GError **error)
{
	const struct copy *copy = data;

	return copy->to->ops->run(copy->to, "INSERT INTO engine (id) VALUES ($1)", columns, 1, error);
}

static bool copy_version(const char *const *columns, void *data, GError **error)
{
	const struct copy *copy = data;

	return schema_note_version(copy->to, columns[0], columns[1], columns[2], error);
}

static bool begin_engine(struct database *to, GError **error)
{
	return database_run(to, "CREATE TABLE engine (id TEXT PRIMARY KEY NOT NULL)", error);
}

/* Tables of another shape than the kinds'. No query: not copied. */
static const struct special {
	const char *name, *query;
	bool (*make)(struct database *to, GError **error);
	database_row row;
} specials[] = {
	{ "schema", "SELECT version, made, what FROM schema ORDER BY version", schema_begin, copy_version },
	{ "engine", "SELECT id FROM engine", begin_engine, copy_engine },
	{ STORE_WRITER },
	{ STORE_FILES },
};

static const struct special *special(const char *table)
{
	for (size_t i = 0; i < G_N_ELEMENTS(specials); i++)
		if (!strcmp(specials[i].name, table))
			return &specials[i];
	return NULL;
}

static bool drop(struct database *db, const char *table, GError **error)
{
	g_autofree char *sql = g_strdup_printf("DROP TABLE IF EXISTS \"%s\"", table);

	return database_run(db, sql, error);
}

static bool copy_table(struct copy *copy, GError **error)
{
	const struct special *other = special(copy->table);
	g_autofree char *query = g_strdup_printf("SELECT id, parent, name, doc FROM \"%s\" ORDER BY rowid", copy->table);
	const struct database_ops *ops = copy->from->ops;

	copy->from->deadline_usec = copy->to->deadline_usec = now_usec() + TABLE_USEC;
	if (!drop(copy->to, copy->table, error))
		return false;
	if (!other)
		return schema_make_table(copy->to, copy->table, error) && ops->query(copy->from, query, copy_row, copy, error);
	return !other->query || (other->make(copy->to, error) && ops->query(copy->from, other->query, other->row, copy, error));
}

/* What the target has beyond that: tables of kinds that the original does not know. */
static bool drop_others(struct database *to, GHashTable *tables, GError **error)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!kinds[i]->transient && !g_hash_table_contains(tables, kinds[i]->collection) && !drop(to, kinds[i]->collection, error))
			return false;
	return drop(to, STORE_WRITER, error);
}

static bool is_internal(const char *table)
{
	return g_str_has_prefix(table, "sqlite_");
}

/* Into the transaction that is open on `to`. */
static bool copy_all(struct database *from, struct database *to, GError **error)
{
	g_autoptr(GHashTable) tables = NULL;
	GHashTableIter iter;
	gpointer name;
	int64_t version;

	if (!from->ops->begin(from, /* write= */ false, error) || !(tables = database_tables(from, error)) ||
	    !schema_check_version(from, &store_migrations[store_n_migrations - 1], &version, error) || !drop_others(to, tables, error))
		return false;
	for (g_hash_table_iter_init(&iter, tables); g_hash_table_iter_next(&iter, &name, NULL);) {
		struct copy copy = { from, to, name };

		if (!is_internal(name) && !copy_table(&copy, error))
			return false;
	}
	return true;
}

static struct database *open_until(const char *where, enum database_use use, const struct store_settings *settings, GError **error)
{
	int64_t timeout = settings->timeout_usec ? settings->timeout_usec : STORE_TIMEOUT_USEC;

	return database_open(where, use, now_usec() + timeout, error);
}

/* ---- backup ---- */

static bool take_files(struct database *db, const char *data_dir, GError **error)
{
	if (!database_run(db, "CREATE TABLE " STORE_FILES " (name TEXT PRIMARY KEY NOT NULL, content BLOB NOT NULL)", error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(kept_files); i++) {
		g_autofree char *file = g_build_filename(data_dir, kept_files[i], NULL), *content = NULL;
		g_autoptr(GError) problem = NULL;

		if (!g_file_get_contents(file, &content, NULL, &problem)) {
			if (g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
				continue;
			error_set(error, ERR_IO_FAILED, "%s", problem->message);
			return false;
		}
		if (!db->ops->run(db, "INSERT INTO " STORE_FILES " (name, content) VALUES ($1, CAST($2 AS BLOB))",
				  (const char *const[]) { kept_files[i], content }, 2, error))
			return false;
	}
	return true;
}

static char *absolute(const char *file)
{
	g_autofree char *path = g_canonicalize_filename(file, NULL);

	return g_strconcat("sqlite:", path, NULL);
}

bool store_backup(const struct store_settings *settings, const char *file, GError **error)
{
	g_autofree char *where = store_where(settings), *target = absolute(file);
	struct database *from = open_until(where, DATABASE_READ, settings, error), *to = from ? open_until(target, DATABASE_MAKE, settings, error) : NULL;
	bool ok = to && to->ops->begin(to, /* write= */ true, error) && copy_all(from, to, error) && take_files(to, settings->data_dir, error) &&
		  to->ops->commit(to, error);

	(void)database_close(to);
	(void)database_close(from);
	return ok;
}

/* ---- restore ---- */

static bool is_backup(struct database *db, GError **error)
{
	g_autoptr(GHashTable) tables = database_tables(db, error);

	if (!tables)
		return false;
	if (g_hash_table_contains(tables, "schema") && g_hash_table_contains(tables, "engine") && g_hash_table_contains(tables, STORE_FILES))
		return true;
	error_set(error, ERR_STORE_FAILED, "%s is not a backup of an engine", db->name);
	return false;
}

static bool give_file(const char *const *columns, void *data, GError **error)
{
	const char *data_dir = data;
	g_autofree char *file = g_build_filename(data_dir, columns[0], NULL);
	g_autoptr(GError) problem = NULL;

	if (!g_strv_contains((const char *const[]){ kept_files[0], NULL }, columns[0]))
		return true;
	if (g_file_set_contents_full(file, columns[1], -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &problem))
		return true;
	error_set(error, ERR_IO_FAILED, "%s", problem->message);
	return false;
}

/* What is there may go: nothing, or with force the database of an engine. Never tables of somebody else. */
static bool is_free(struct database *db, bool force, GError **error)
{
	g_autoptr(GHashTable) tables = NULL;
	g_autofree char *marked = NULL;

	if (db->found && !force) {
		error_set(error, ERR_STORE_FAILED, "%s has a database already; --force replaces it", db->name);
		return false;
	}
	if (!(tables = database_tables(db, error)) || !database_text(db, db->ops->marked, &marked, error))
		return false;
	if (g_hash_table_size(tables) == 0 || marked)
		return true;
	error_set(error, ERR_STORE_FAILED, "%s is the database of another program", db->name);
	return false;
}

/* The files get their names last but one: what may fail has been done, and only the commit is left. */
static bool replace(struct database *from, struct database *to, const struct store_settings *settings, bool force, GError **error)
{
	return is_free(to, force, error) && is_backup(from, error) && to->ops->begin(to, /* write= */ true, error) && copy_all(from, to, error) &&
	       from->ops->query(from, "SELECT name, content FROM " STORE_FILES, give_file, (void *)settings->data_dir, error) && to->ops->commit(to, error);
}

bool store_restore(const char *file, const struct store_settings *settings, bool force, GError **error)
{
	g_autofree char *where = store_where(settings), *source = absolute(file), *lock = g_build_filename(settings->data_dir, "engine.lock", NULL);
	struct database *from = open_until(source, DATABASE_READ, settings, error), *to = NULL;
	const struct database_ops *ops = database_find(where, from ? error : NULL);
	int lock_fd = -1;
	bool ok = from && ops;

	if (ok && g_mkdir_with_parents(settings->data_dir, 0700) < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", settings->data_dir);
		ok = false;
	}
	if (ok && ops->remote)
		ok = (lock_fd = store_lock(lock, settings->data_dir, error)) >= 0;
	ok = ok && (to = open_until(where, DATABASE_REPLACE, settings, error)) && replace(from, to, settings, force, error);
	(void)database_close(to);
	(void)database_close(from);
	if (lock_fd >= 0)
		(void)close(lock_fd);
	return ok;
}
