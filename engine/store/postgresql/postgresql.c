/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL through libpq: a database on a server, which may be away, hang, or be used by somebody else meanwhile.
 *
 * A transaction goes through in one round trip: BEGIN, the statements and COMMIT are queued in libpq's pipeline and answered together; when one fails the
 * server skips the rest, COMMIT too. Statements with parameters are prepared once in a connection. Of a long transaction PIPELINE_MAX are under way at most.
 *
 * The tables have a column rowid, which SQLite's have by themselves. Which schema they are in says the search_path of the connection.
 */
#include <poll.h>
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/store/postgresql/postgresql-priv.h"

#define LOG_MODULE "store"
#define PIPELINE_MAX 500

/* ---- the pipeline ---- */

/* What a result says of its statement: keeps the first problem. */
static void judge(struct postgresql *pg, const PGresult *result, GError **problem)
{
	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
		if (!*problem && !strcmp(PQcmdStatus((PGresult *)result), "ROLLBACK"))
			error_set(problem, ERR_STORE_FAILED, "%s: the transaction was rolled back", pg->base.name);
		break;
	case PGRES_TUPLES_OK:
	case PGRES_PIPELINE_SYNC:
		break;
	case PGRES_PIPELINE_ABORTED:             /* behind one that failed */
		if (!*problem)
			error_set(problem, ERR_STORE_FAILED, "%s: the transaction was broken off", pg->base.name);
		break;
	default:
		if (!*problem)
			(void)link_fail(pg, result, problem);
	}
}

/* Waits for the answers to what was queued, and leaves the pipeline. */
static bool settle(struct postgresql *pg, GError **error)
{
	GError *problem = NULL;
	bool synced = false;

	if (!pg->piping)
		return pg->connection || link_lost(pg, "not connected", error);
	if (!PQpipelineSync(pg->connection))
		return link_fail(pg, NULL, error);
	while (pg->connection && !synced && link_wait(pg, problem ? NULL : &problem)) {
		PGresult *result = PQgetResult(pg->connection);

		if (!result && PQstatus(pg->connection) == CONNECTION_BAD)
			(void)link_lost(pg, "the connection was lost", problem ? NULL : &problem);
		if (!result)
			continue;                /* the end of one statement's results */
		synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		judge(pg, result, &problem);
		PQclear(result);
	}
	if (pg->connection && !PQexitPipelineMode(pg->connection))
		(void)link_lost(pg, PQerrorMessage(pg->connection), problem ? NULL : &problem);
	pg->piping = false;
	pg->queued = 0;
	if (!problem)
		return true;
	g_propagate_error(error, problem);
	return false;
}

static bool queue(struct postgresql *pg, int sent, GError **error)
{
	if (!sent)
		return link_fail(pg, NULL, error);
	return ++pg->queued < PIPELINE_MAX || settle(pg, error);
}

static bool postgresql_run(struct database *db, const char *sql, const char *const *values, size_t n, GError **error)
{
	struct postgresql *pg = (struct postgresql *)db;
	const char *name;

	if (!pg->connection)
		return link_lost(pg, "not connected", error);
	if (!pg->piping && !PQenterPipelineMode(pg->connection))
		return link_fail(pg, NULL, error);
	pg->piping = true;
	if (!n)
		return queue(pg, PQsendQueryParams(pg->connection, sql, 0, NULL, NULL, NULL, NULL, 0), error);
	name = g_hash_table_lookup(pg->statements, sql);
	if (!name) {
		char *new = g_strdup_printf("s%u", pg->names++);

		g_hash_table_insert(pg->statements, g_strdup(sql), new);
		name = new;
		if (!PQsendPrepare(pg->connection, name, sql, 0, NULL))
			return link_fail(pg, NULL, error);
	}
	return queue(pg, PQsendQueryPrepared(pg->connection, name, (int)n, values, NULL, NULL, 0), error);
}

/* ---- queries ---- */

static bool give_row(const PGresult *result, database_row row, void *data, GError **error)
{
	const char *columns[8];
	int n = PQnfields(result);

	g_assert(n <= (int)G_N_ELEMENTS(columns));
	for (int i = 0; i < n; i++)
		columns[i] = PQgetisnull(result, 0, i) ? NULL : PQgetvalue(result, 0, i);
	return row(columns, data, error);
}

bool postgresql_ask(struct postgresql *pg, const char *sql, const char *const *values, int n, database_row row, void *data, GError **error)
{
	GError *problem = NULL;
	PGresult *result;

	if (!settle(pg, error))
		return false;
	/* row by row: a table is not held in memory twice */
	if (!PQsendQueryParams(pg->connection, sql, n, NULL, values, NULL, NULL, 0) || !PQsetSingleRowMode(pg->connection))
		return link_fail(pg, NULL, error);
	while (link_wait(pg, problem ? NULL : &problem) && (result = PQgetResult(pg->connection))) {
		if (PQresultStatus(result) != PGRES_SINGLE_TUPLE)
			judge(pg, result, &problem);
		else if (!problem)               /* the rest of a query that is to end is read and dropped */
			(void)give_row(result, row, data, &problem);
		PQclear(result);
		if (!pg->connection)
			break;
	}
	if (!problem)
		return true;
	g_propagate_error(error, problem);
	return false;
}

static bool postgresql_query(struct database *db, const char *sql, database_row row, void *data, GError **error)
{
	return postgresql_ask((struct postgresql *)db, sql, NULL, 0, row, data, error);
}

/* ---- transactions ---- */

static bool postgresql_begin(struct database *db, bool write, GError **error)
{
	return postgresql_run(db, write ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, 0, error);
}

static bool postgresql_commit(struct database *db, GError **error)
{
	return postgresql_run(db, "COMMIT", NULL, 0, error) && settle((struct postgresql *)db, error);
}

static bool no_row(const char *const *columns, void *data, GError **error)
{
	return true;
}

static void postgresql_rollback(struct database *db)
{
	struct postgresql *pg = (struct postgresql *)db;

	(void)settle(pg, NULL);
	if (pg->connection)
		(void)postgresql_query(db, "ROLLBACK", no_row, NULL, NULL);
	/* which were parsed before it failed is not known */
	g_hash_table_remove_all(pg->statements);
	if (pg->connection)
		(void)postgresql_query(db, "DEALLOCATE ALL", no_row, NULL, NULL);
}

/* ---- opening ---- */

static bool postgresql_reopen(struct database *db, GError **error)
{
	struct postgresql *pg = (struct postgresql *)db;

	g_clear_pointer(&pg->connection, PQfinish);
	g_hash_table_remove_all(pg->statements);
	pg->piping = false;
	pg->queued = 0;
	return link_open(pg, error);
}

/* What the server says unasked: that it ends. */
static bool postgresql_check(struct database *db, GError **error)
{
	struct postgresql *pg = (struct postgresql *)db;
	struct pollfd fd = { .events = POLLIN };

	if (!pg->connection)
		return link_lost(pg, "not connected", error);
	fd.fd = PQsocket(pg->connection);
	if (poll(&fd, 1, 0) <= 0)
		return true;
	if (PQconsumeInput(pg->connection) && PQstatus(pg->connection) != CONNECTION_BAD)
		return true;
	return link_fail(pg, NULL, error);
}

static void postgresql_close(struct database *db)
{
	struct postgresql *pg = (struct postgresql *)db;

	PQfinish(pg->connection);
	g_hash_table_unref(pg->statements);
	g_free(pg->session);
	g_free(pg->where);
	g_free(db->name);
	g_free(pg);
}

/* A password in engine.conf would be readable by whoever reads that; libpq has a file for it. */
static bool has_password(const char *where)
{
	PQconninfoOption *options = PQconninfoParse(where, NULL);
	bool found = false;

	for (const PQconninfoOption *option = options; option && option->keyword; option++)
		found = found || (!strcmp(option->keyword, "password") && option->val);
	PQconninfoFree(options);
	return found;
}

static struct database *postgresql_open(const char *where, enum database_use use, int64_t deadline_usec, GError **error)
{
	struct postgresql *pg = g_new0(struct postgresql, 1);
	g_autofree char *id = g_uuid_string_random();
	g_autofree char *there = NULL;

	pg->base = (struct database) { .ops = &postgresql_database, .name = g_strdup("PostgreSQL"), .deadline_usec = deadline_usec };
	pg->where = g_strdup(where);
	pg->session = g_strdup_printf("berth-engine %s", id);
	pg->owner = use == DATABASE_OWN || use == DATABASE_REPLACE;
	pg->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	if (has_password(where))
		error_set(error, ERR_CONFIG_INVALID, "[engine] store: a password does not belong here; name a file that has it with passfile=");
	else if (link_open(pg, error) && database_text(&pg->base, postgresql_database.marked, &there, error)) {
		pg->base.found = there;
		if (pg->base.found || use != DATABASE_READ)
			return &pg->base;
		error_set(error, ERR_STORE_FAILED, "%s: there is no database of an engine", pg->base.name);
	}
	postgresql_close(&pg->base);
	return NULL;
}

const struct database_ops postgresql_database = {
	.schemes = (const char *const[]) { "postgresql://", "postgres://", NULL },
	.remote = true,
	.rowid = "rowid BIGINT GENERATED BY DEFAULT AS IDENTITY, ",
	.tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
	.mark = "COMMENT ON TABLE schema IS 'berth-engine'",
	.marked = "SELECT 1 FROM pg_class WHERE relname = 'schema' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = "
		  "current_schema()) AND obj_description(oid, 'pg_class') = 'berth-engine'",
	.open = postgresql_open,
	.check = postgresql_check,
	.reopen = postgresql_reopen,
	.close = postgresql_close,
	.begin = postgresql_begin,
	.run = postgresql_run,
	.commit = postgresql_commit,
	.rollback = postgresql_rollback,
	.query = postgresql_query,
};
