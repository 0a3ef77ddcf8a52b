/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_UNIT_STORE_PLACE_H
#define BERTH_TESTS_UNIT_STORE_PLACE_H
/*
 * Where the stores of tests are: files in a directory of their own, or with BERTH_TEST_STORE=postgresql schemas, named after the directory, of the database
 * `stores` on the server that tests/engine/postgres.py started.
 */
#include <libpq-fe.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include <glib/gstdio.h>
#include "engine/store/store.h"

static inline bool place_is_postgresql(void)
{
	return !g_strcmp0(g_getenv("BERTH_TEST_STORE"), "postgresql");
}

/* In the database that holds the schemas. */
static inline void place_sql(const char *format, const char *dir)
{
	g_autofree char *name = g_path_get_basename(dir), *sql = NULL;
	PGconn *connection = PQsetdbLogin(g_getenv("BERTH_TEST_POSTGRESQL"), NULL, NULL, NULL, "stores", "berth", NULL);
	PGresult *result;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	sql = g_strdup_printf(format, name);
#pragma GCC diagnostic pop
	result = PQexec(connection, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		g_error("%s: %s", sql, PQerrorMessage(connection));
	PQclear(result);
	PQfinish(connection);
}

/* For settings.where; NULL: a file. g_free. */
static inline char *place_where(const char *dir)
{
	g_autofree char *name = g_path_get_basename(dir);

	if (!place_is_postgresql())
		return NULL;
	place_sql("SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS \"%s\"", dir);
	return g_strdup_printf("postgresql://berth@/stores?host=%s&options=-csearch_path%%3D\"%s\"", g_getenv("BERTH_TEST_POSTGRESQL"), name);
}

/* timeout_usec 0: the usual one. */
static inline struct store *place_open_within(const char *dir, int64_t timeout_usec, struct model *model, GError **error)
{
	g_autofree char *where = place_where(dir);

	return store_open(&(struct store_settings) { .data_dir = dir, .where = where, .timeout_usec = timeout_usec }, model, error);
}

static inline struct store *place_open(const char *dir, struct model *model, GError **error)
{
	return place_open_within(dir, 0, model, error);
}

/* Only PostgreSQL: the store loses its connection and finds no database when it comes again, until place_show(). */
static inline void place_hide(const char *dir)
{
	place_sql("ALTER SCHEMA \"%1$s\" RENAME TO \"%1$s-hidden\"", dir);
	place_sql("DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND "
		  "objid::bigint = hashtext('%s')::bigint & 4294967295; END $$", dir);
}

static inline void place_show(const char *dir)
{
	place_sql("ALTER SCHEMA \"%1$s-hidden\" RENAME TO \"%1$s\"", dir);
}

/* The store's files, and others by name; NULL-terminated. */
static inline void place_remove(const char *dir, const char *const *others)
{
	static const char *const files[] = { "engine.db", "engine.db-wal", "engine.db-shm", "engine.db-journal", "engine.lock", NULL };
	const char *const *lists[] = { files, others };

	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		for (const char *const *file = lists[i]; file && *file; file++) {
			g_autofree char *path = g_build_filename(dir, *file, NULL);

			(void)g_unlink(path);
		}
	(void)g_rmdir(dir);
	if (place_is_postgresql())
		place_sql("SET client_min_messages = warning; DROP SCHEMA IF EXISTS \"%s\" CASCADE", dir);
}

#endif
