/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cookie sessions: an opaque random id stands for a user who gave a password before.
 *
 * Opened by a request with credentials and "Prefer: persistent-auth", kept alive by use, ended by a request that brings the cookie without that
 * preference, or by the idle time-out (30 minutes, or what Session-TTL said; there "0" means never). At most AUTH_SESSIONS_MAX exist: a new one beyond
 * that takes the place of the one that was idle longest, so that a client that never closes its sessions costs itself, not others' logins.
 * Sessions live in memory: after a restart clients are asked for credentials again.
 */
#include <limits.h>
#include <string.h>
#include <openssl/rand.h>
#include "common/lock.h"
#include "engine/auth/auth-priv.h"

struct session {
	const struct auth_user *user;
	int64_t used_usec;
	int64_t idle_usec;               /* 0: never expires */
};

static bool is_over(const struct session *session, int64_t now)
{
	return session->idle_usec > 0 && now - session->used_usec > session->idle_usec;
}

static void make_room(struct auth *auth, int64_t now)
{
	GHashTableIter iter;
	gpointer key, value, oldest = NULL;
	int64_t oldest_used = INT64_MAX;
	g_hash_table_iter_init(&iter, auth->sessions);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const struct session *session = value;
		if (is_over(session, now)) {
			g_hash_table_iter_remove(&iter);
		} else if (session->used_usec < oldest_used) {
			oldest_used = session->used_usec;
			oldest = key;
		}
	}
	if (g_hash_table_size(auth->sessions) >= AUTH_SESSIONS_MAX && oldest)
		g_hash_table_remove(auth->sessions, oldest);
}

char *session_open(struct auth *auth, const struct auth_user *user, int ttl_min)
{
	uint8_t bytes[18];                        /* 24 letters without padding */
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		g_error("no random numbers");
	char *id = g_base64_encode(bytes, sizeof(bytes));
	for (char *p = id; *p; p++)
		if (*p == '/')
			*p = '-';

	AUTO_LOCK(&auth->lock);
	int64_t now = auth->clock();
	if (g_hash_table_size(auth->sessions) >= AUTH_SESSIONS_MAX)
		make_room(auth, now);
	struct session *session = g_new0(struct session, 1);
	session->user = user;
	session->used_usec = now;
	session->idle_usec = ttl_min == INT_MIN ? auth->session_idle_usec : ttl_min <= 0 ? 0 : ttl_min * 60 * (int64_t)G_USEC_PER_SEC;
	g_hash_table_replace(auth->sessions, g_strdup(id), session);
	return id;
}

const struct auth_user *session_use(struct auth *auth, const char *id)
{
	if (!id)
		return NULL;
	auth_look_at_accounts(auth, /* now= */ false);
	AUTO_LOCK(&auth->lock);
	struct session *session = g_hash_table_lookup(auth->sessions, id);
	int64_t now = auth->clock();
	if (!session)
		return NULL;
	if (is_over(session, now)) {
		g_hash_table_remove(auth->sessions, id);
		return NULL;
	}
	session->used_usec = now;
	return session->user;
}

bool session_end(struct auth *auth, const char *id)
{
	AUTO_LOCK(&auth->lock);
	return id && g_hash_table_remove(auth->sessions, id);
}

unsigned session_count(struct auth *auth)
{
	AUTO_LOCK(&auth->lock);
	return g_hash_table_size(auth->sessions);
}

bool session_of(struct auth *auth, const char *user_id)
{
	GHashTableIter iter;
	gpointer value;
	AUTO_LOCK(&auth->lock);
	int64_t now = auth->clock();
	g_hash_table_iter_init(&iter, auth->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct session *session = value;
		if (!is_over(session, now) && g_strcmp0(session->user->id, user_id) == 0)
			return true;
	}
	return false;
}

unsigned session_users(struct auth *auth)
{
	GHashTableIter iter;
	gpointer value;
	AUTO_LOCK(&auth->lock);
	int64_t now = auth->clock();
	GHashTable *users = g_hash_table_new(g_str_hash, g_str_equal);
	g_hash_table_iter_init(&iter, auth->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct session *session = value;
		if (!is_over(session, now))
			g_hash_table_add(users, (char *)session->user->id);
	}
	unsigned n = g_hash_table_size(users);
	g_hash_table_unref(users);
	return n;
}

struct keep { const char *domain; GHashTable *ids; };

static gboolean is_gone(gpointer key, gpointer value, gpointer data)
{
	const struct auth_user *user = ((const struct session *)value)->user;
	const struct keep *keep = data;
	const char *at = strrchr(user->name, '@');

	return at && g_ascii_strcasecmp(at + 1, keep->domain) == 0 && !g_hash_table_contains(keep->ids, user->id);
}

void session_keep(struct auth *auth, const char *domain, GHashTable *ids)
{
	struct keep keep = { domain, ids };
	AUTO_LOCK(&auth->lock);
	g_hash_table_foreach_remove(auth->sessions, is_gone, &keep);
}

static gboolean is_of(gpointer key, gpointer value, gpointer user)
{
	return strcmp(((const struct session *)value)->user->id, ((const struct auth_user *)user)->id) == 0;
}

void session_end_all(struct auth *auth, const struct auth_user *user)
{
	AUTO_LOCK(&auth->lock);
	g_hash_table_foreach_remove(auth->sessions, is_of, (gpointer)user);
}

void session_rename(struct auth *auth, const struct auth_user *user)
{
	GHashTableIter iter;
	gpointer session;

	g_hash_table_iter_init(&iter, auth->sessions);
	while (g_hash_table_iter_next(&iter, NULL, &session))
		if (is_of(NULL, session, (gpointer)user))
			((struct session *)session)->user = user;
}
