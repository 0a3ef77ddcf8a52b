/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to the server.
 *
 * Nothing here waits longer than db->deadline_usec: libpq is used without blocking, and a server that does not answer by then is given up like one that
 * closed the connection. Only a name look-up has its own limit (resolv.conf): addresses, /etc/hosts and sockets need none.
 *
 * One owner: a session-level advisory lock, whose key is the schema, held as long as the connection. After a lost connection the server may not have noticed
 * yet, or still be at what was sent last: the new connection first ends what is left of the old one and then waits for the lock. When it has the lock the
 * old session is over, and whatever it did is done.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/store/postgresql/postgresql-priv.h"

#define LOG_MODULE "store"
#define OLDEST_SERVER 120000             /* 12.0 */
#define LOCK_SPACE "1113944692"          /* "Bert": advisory locks of this program; the second half of the key is the schema's */

/* For what the administrator did not choose. tcp_user_timeout and keepalives: a peer that is gone is noticed while nothing is asked. */
static const char *const defaults[][2] = {
	{ "client_encoding", "UTF8" }, { "keepalives_idle", "10" }, { "keepalives_interval", "5" }, { "keepalives_count", "3" },
	{ "tcp_user_timeout", "30000" }, { "target_session_attrs", "read-write" }, { "gssencmode", "disable" },
};

bool link_lost(struct postgresql *pg, const char *why, GError **error)
{
	g_autofree char *line = g_strdup(why);

	line[strcspn(line, "\n")] = '\0';
	error_set(error, ERR_STORE_AWAY, "%s: %s", pg->base.name, line);
	g_clear_pointer(&pg->connection, PQfinish);
	pg->piping = false;
	pg->queued = 0;
	return false;
}

/* SQLSTATEs of a server that cannot be used now: connection exceptions, too many connections, shutting down or starting, a stand-by that only reads. */
static bool is_away(const char *state)
{
	static const char *const states[] = { "08", "53300", "57P", "25006" };

	for (size_t i = 0; state && i < G_N_ELEMENTS(states); i++)
		if (g_str_has_prefix(state, states[i]))
			return true;
	return false;
}

bool link_fail(struct postgresql *pg, const PGresult *result, GError **error)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL, *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	if (!text)
		text = result && *PQresultErrorMessage(result) ? PQresultErrorMessage(result) : PQerrorMessage(pg->connection);
	if (PQstatus(pg->connection) == CONNECTION_BAD || is_away(state))
		return link_lost(pg, *text ? text : "the connection was lost", error);
	error_set(error, ERR_STORE_FAILED, "%s: %s", pg->base.name, text);
	return false;
}

/* Until the socket is ready for one of events. */
static bool wait_socket(struct postgresql *pg, short events, GError **error)
{
	for (;;) {
		int64_t left = pg->base.deadline_usec - now_usec();
		struct pollfd fd = { .fd = PQsocket(pg->connection), .events = events };
		int n = left > 0 ? poll(&fd, 1, (int)MIN(left / 1000 + 1, G_MAXINT)) : 0;

		if (n > 0)
			return true;
		if (n == 0)
			return link_lost(pg, "no answer in time", error);
		if (errno != EINTR)
			return link_lost(pg, g_strerror(errno), error);
	}
}

bool link_wait(struct postgresql *pg, GError **error)
{
	for (;;) {
		int unsent = PQflush(pg->connection);

		if (unsent < 0)
			return link_fail(pg, NULL, error);
		if (!unsent && !PQisBusy(pg->connection))
			return true;
		if (!wait_socket(pg, (short)(POLLIN | (unsent ? POLLOUT : 0)), error))
			return false;
		/* an error that the server sent before it closed comes as a result */
		if (!PQconsumeInput(pg->connection) && !PQisBusy(pg->connection))
			return true;
		if (PQstatus(pg->connection) == CONNECTION_BAD)
			return link_fail(pg, NULL, error);
	}
}

/* ---- connecting ---- */

static void on_notice(void *data, const char *message)
{
	log_debug("%s: %s", (const char *)data, message);
}

static void give(GPtrArray *keys, GPtrArray *values, const char *key, const char *value)
{
	g_ptr_array_add(keys, (void *)key);
	g_ptr_array_add(values, (void *)value);
}

/* Starts connecting with what `where` says, and with defaults for the rest. */
static bool start(struct postgresql *pg, GError **error)
{
	char *problem = NULL;
	PQconninfoOption *options = PQconninfoParse(pg->where, &problem);
	g_autoptr(GPtrArray) keys = g_ptr_array_new(), values = g_ptr_array_new();

	if (!options) {
		g_autofree char *line = g_strndup(problem ? problem : "", strcspn(problem ? problem : "", "\n:"));

		/* after a colon libpq repeats what was given, perhaps with a password */
		error_set(error, ERR_CONFIG_INVALID, "[engine] store: not a connection string of PostgreSQL: %s", line);
		PQfreemem(problem);
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(defaults); i++)
		give(keys, values, defaults[i][0], defaults[i][1]);
	for (const PQconninfoOption *option = options; option->keyword; option++)
		if (option->val)
			give(keys, values, option->keyword, option->val);
	give(keys, values, "application_name", pg->session);
	give(keys, values, NULL, NULL);
	pg->connection = PQconnectStartParams((const char *const *)keys->pdata, (const char *const *)values->pdata, /* expand_dbname= */ 0);
	PQconninfoFree(options);
	if (!pg->connection) {
		error_set(error, ERR_STORE_FAILED, "%s: no memory for a connection", pg->base.name);
		return false;
	}
	(void)PQsetNoticeProcessor(pg->connection, on_notice, pg->base.name);
	return true;
}

static bool connect_until(struct postgresql *pg, GError **error)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (PQstatus(pg->connection) != CONNECTION_BAD && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		if (!wait_socket(pg, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, error))
			return false;
		status = PQconnectPoll(pg->connection);
	}
	if (status != PGRES_POLLING_OK)
		return link_lost(pg, PQerrorMessage(pg->connection), error);
	return PQsetnonblocking(pg->connection, 1) == 0 || link_fail(pg, NULL, error);
}

/* ---- the session ---- */

struct answer { char *texts[4]; };

static bool take_answer(const char *const *columns, void *data, GError **error)
{
	struct answer *answer = data;

	for (size_t i = 0; i < G_N_ELEMENTS(answer->texts) && columns[i]; i++) {
		g_free(answer->texts[i]);
		answer->texts[i] = g_strdup(columns[i]);
	}
	return true;
}

static void answer_clear(struct answer *answer)
{
	for (size_t i = 0; i < G_N_ELEMENTS(answer->texts); i++)
		g_free(answer->texts[i]);
}

/* What is set for a role, a database or a server must not weaken what the store promises, nor end a session that is at rest. */
static bool prepare_session(struct postgresql *pg, GError **error)
{
	static const char sql[] =
		"SELECT coalesce(current_schema(), ''), current_setting('server_encoding'), current_setting('fsync'), "
		"(SELECT count(set_config(name, CASE name WHEN 'client_min_messages' THEN 'warning' WHEN 'synchronous_commit' THEN "
		"CASE setting WHEN 'off' THEN 'on' ELSE setting END ELSE '0' END, false)) FROM pg_settings WHERE name IN ('client_min_messages', "
		"'synchronous_commit', 'statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout'))";
	__attribute__((cleanup(answer_clear))) struct answer answer = { 0 };

	if (!postgresql_ask(pg, sql, NULL, 0, take_answer, &answer, error))
		return false;
	if (PQserverVersion(pg->connection) < OLDEST_SERVER)
		error_set(error, ERR_STORE_FAILED, "%s: its version is %d, which is before 12", pg->base.name, PQserverVersion(pg->connection) / 10000);
	else if (!*answer.texts[0])
		error_set(error, ERR_STORE_FAILED, "%s: the schema of its search_path does not exist", pg->base.name);
	else if (strcmp(answer.texts[1], "UTF8") != 0)
		error_set(error, ERR_STORE_FAILED, "%s: its encoding is %s, not UTF8", pg->base.name, answer.texts[1]);
	else {
		if (pg->owner && strcmp(answer.texts[2], "on") != 0)
			log_warn("%s: the server runs with fsync=off: what it confirms may be lost when its machine fails", pg->base.name);
		return true;
	}
	return false;
}

static bool take_first(const char *const *columns, void *data, GError **error)
{
	g_free(*(char **)data);
	*(char **)data = g_strdup(columns[0]);
	return true;
}

static bool own(struct postgresql *pg, GError **error)
{
	static const char leftovers[] = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database() AND "
					"usename = current_user AND pid <> pg_backend_pid()";
	static const char lock[] = "SELECT pg_advisory_lock(" LOCK_SPACE ", hashtext(current_schema()))";
	static const char holder[] = "SELECT 'process ' || l.pid || coalesce(' of ' || client_addr, '') FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
				     "WHERE locktype = 'advisory' AND granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
				     "AND classid = " LOCK_SPACE " AND objid::bigint = hashtext(current_schema())::bigint & 4294967295";
	g_autofree char *patience = g_strdup_printf("SELECT set_config('lock_timeout', '%d', false)",
						    (int)CLAMP((pg->base.deadline_usec - now_usec()) / 2000, 1, 5000));
	g_autofree char *ignored = NULL, *who = NULL;
	g_autoptr(GError) problem = NULL;

	if (!postgresql_ask(pg, leftovers, (const char *const[]) { pg->session }, 1, take_first, &ignored, error) ||
	    !postgresql_ask(pg, patience, NULL, 0, take_first, &ignored, error))
		return false;
	if (postgresql_ask(pg, lock, NULL, 0, take_first, &ignored, &problem))
		return postgresql_ask(pg, "SELECT set_config('lock_timeout', '0', false)", NULL, 0, take_first, &ignored, error);
	if (!pg->connection || !postgresql_ask(pg, holder, NULL, 0, take_first, &who, NULL) || !who)
		g_propagate_error(error, g_steal_pointer(&problem));
	else
		error_set(error, ERR_STORE_FAILED, "%s is in use by another engine (%s)", pg->base.name, who);
	return false;
}

static void set_name(struct postgresql *pg)
{
	const char *host = PQhost(pg->connection), *port = PQport(pg->connection);

	g_free(pg->base.name);
	pg->base.name = g_strdup_printf("database %s at %s%s%s", PQdb(pg->connection) ? PQdb(pg->connection) : "?", host && *host ? host : "localhost",
					port && *port ? ":" : "", port ? port : "");
	(void)PQsetNoticeProcessor(pg->connection, on_notice, pg->base.name);
}

bool link_open(struct postgresql *pg, GError **error)
{
	if (!start(pg, error))
		return false;
	set_name(pg);
	if (!connect_until(pg, error))
		return false;
	set_name(pg);                            /* of several hosts this one */
	if (prepare_session(pg, error) && (!pg->owner || own(pg, error)))
		return true;
	g_clear_pointer(&pg->connection, PQfinish);
	return false;
}
