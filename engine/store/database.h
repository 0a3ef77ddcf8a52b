/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DATABASE_H
#define BERTH_ENGINE_DATABASE_H
/*
 * What the store wants of a database; a back end is one table of functions, in a folder of its own.
 *
 * The SQL is the store's and the same everywhere: tables of TEXT columns, `rowid` in the order of creation, INSERT ... ON CONFLICT, parameters $1, $2, ...
 * that occur in this order. What is not the same (how a table gets its rowid, how tables are listed, how a database is marked as ours) are the strings
 * in the table of the back end.
 *
 * One thread at a time. Values are UTF-8 text; NULL is SQL's NULL. Errors: ERR_STORE_AWAY when a database that is elsewhere did not answer by the deadline
 * or lost the connection; whether a transaction that was being committed is in it is not known then. Any other: nothing of the transaction is in it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

enum database_use {
	DATABASE_READ,                           /* must exist; beside its owner */
	DATABASE_OWN,                            /* made when it is not there; nobody else may own it meanwhile */
	DATABASE_REPLACE,                        /* own; the first commit puts what it wrote in the place of all that was there */
	DATABASE_MAKE,                           /* a file that nobody else knows (a backup): as REPLACE, it must not be there */
};

struct database_ops;

/* What every back end's own struct begins with. */
struct database {
	const struct database_ops *ops;
	char *name;                              /* for messages: a path, or "database berth at db1:5432"; never a secret */
	bool found;                              /* it was there before it was opened */
	int64_t deadline_usec;                   /* now_usec(); until when what is asked of it may take. Not looked at by a back end that is not remote */
};

/* Gets the columns of a row; false + error ends the query. */
typedef bool (*database_row)(const char *const *columns, void *data, GError **error);

struct database_ops {
	const char *const *schemes;              /* what `where` begins with, "sqlite:"; NULL-terminated */
	bool remote;                             /* may be away, may hang */
	const char *rowid;                       /* first column of a table's definition, with its comma; "" when tables have it by themselves */
	const char *tables;                      /* query: names of the tables */
	const char *mark;                        /* statement: this database is ours, whose table `schema` exists */
	const char *marked;                      /* query: a row when it is */

	struct database *(*open)(const char *where, enum database_use use, int64_t deadline_usec, GError **error);
	/* Only remote: whether the connection is there, as far as that can be told without asking; connects again, and owns it again. */
	bool (*check)(struct database *db, GError **error);
	bool (*reopen)(struct database *db, GError **error);
	void (*close)(struct database *db);      /* undoes what was not committed */

	bool (*begin)(struct database *db, bool write, GError **error);                  /* reading: all of one instant */
	/* Within a transaction. May be queued: then its failure is told by a later call, at the latest by commit. */
	bool (*run)(struct database *db, const char *sql, const char *const *values, size_t n, GError **error);
	bool (*commit)(struct database *db, GError **error);                             /* true: durable */
	void (*rollback)(struct database *db);
	/* Also outside of transactions. row must not use the same database. */
	bool (*query)(struct database *db, const char *sql, database_row row, void *data, GError **error);
};
extern const struct database_ops sqlite_database, postgresql_database;

/* where: "sqlite:/path/of/a/file" or "postgresql://...", see berth-engine.conf(5). */
const struct database_ops *database_find(const char *where, GError **error);
struct database *database_open(const char *where, enum database_use use, int64_t deadline_usec, GError **error);
struct database *database_close(struct database *db);                           /* NULL accepted; returns NULL */

/* A transaction of one function. */
bool database_transaction(struct database *db, bool (*fn)(struct database *db, void *data, GError **error), void *data, GError **error);
/* A statement without parameters. */
bool database_run(struct database *db, const char *sql, GError **error);
/* The number in the only row; no row, NULL: `none`. */
bool database_number(struct database *db, const char *sql, int64_t none, int64_t *ret_number, GError **error);
/* The text in the first row, NULL when there is none; g_free. */
bool database_text(struct database *db, const char *sql, char **ret_text, GError **error);
/* Names of the tables, as a set. */
GHashTable *database_tables(struct database *db, GError **error);

#endif
