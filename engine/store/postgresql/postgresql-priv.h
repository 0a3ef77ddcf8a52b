/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_POSTGRESQL_PRIV_H
#define BERTH_ENGINE_POSTGRESQL_PRIV_H
/* What the files of the back end share. */
#include <libpq-fe.h>
#include "engine/store/database.h"

struct postgresql {
	struct database base;
	char *where;
	char *session;                           /* this process, as application_name: what is left of a connection that was lost is known by it */
	bool owner;
	PGconn *connection;                      /* NULL: lost */
	/* postgresql.c */
	GHashTable *statements;                  /* text -> name, prepared in this connection */
	unsigned names;
	bool piping;
	unsigned queued;                         /* in the pipeline, not answered */
};

/* ---- link.c: waiting with a deadline, and what errors mean ---- */
/* Sends what is to be sent and waits until PQgetResult() does not block. false + ERR_STORE_AWAY: the connection is given up. */
bool link_wait(struct postgresql *pg, GError **error);
/* Gives the connection up. Returns false. */
bool link_lost(struct postgresql *pg, const char *why, GError **error);
/* The server's error, of a result or (NULL) of the connection. Gives the connection up when it is of no use any more. Returns false. */
bool link_fail(struct postgresql *pg, const PGresult *result, GError **error);
/* Connects, makes the session what the store needs, owns the database when pg->owner. */
bool link_open(struct postgresql *pg, GError **error);

/* A query outside of the pipeline. */
bool postgresql_ask(struct postgresql *pg, const char *sql, const char *const *values, int n, database_row row, void *data, GError **error);

#endif
