/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_AUTH_H
#define BERTH_ENGINE_AUTH_H
/*
 * Who is asking: HTTP Basic credentials and cookie sessions. Theory of operation: auth.c, session.c.
 * Any thread may call; auth_verify() is slow by design and is for workers only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* The built-in administrator. */
#define AUTH_ADMIN_ID "fdfc627c-d875-11e0-90f0-83df133b58cc"
#define AUTH_ADMIN_NAME "admin@internal"

#define AUTH_SESSIONS_MAX 1000
#define AUTH_SESSION_IDLE_MIN 30
#define AUTH_CACHE_MAX 256
#define AUTH_CACHE_USEC (300 * (int64_t)G_USEC_PER_SEC)

struct auth;

struct auth_user { const char *id, *name; };       /* constant as long as the auth object lives */

struct auth_settings {
	const char *data_dir;                /* data_dir/auth: "user@domain:hash" lines, 0600 */
	const char *admin_password_file;     /* first line: the administrator's password; NULL: none */
	int64_t session_idle_usec;           /* 0: 30 min */
	int64_t (*clock)(void);              /* NULL: now_usec(); tests move it */
};

/* Reads data_dir/auth. When the password of admin_password_file is another than the stored one, it replaces it; when there is neither, a password is
 * drawn and left in data_dir/initial-password (0600). */
struct auth *auth_new(const struct auth_settings *settings, GError **error);
struct auth *auth_free(struct auth *auth);

/* Parses the value of an Authorization header. false: not Basic, broken base64, no "user@domain:password" inside. The outputs are g_free()d. */
bool auth_parse_basic(const char *header, char **ret_name, char **ret_password);

/* Was this header verified lately? NULL: not known; ask auth_verify(). Cheap. */
const struct auth_user *auth_cached(struct auth *auth, const char *header);
/* Checks the password: tens of ms. ret_first (may be NULL): this login is the user's first after a pause. NULL: refused. */
const struct auth_user *auth_verify(struct auth *auth, const char *header, bool *ret_first);

/* Sessions. ttl_min: from Session-TTL; 0 or negative: never expires; INT_MIN: the default. The id is g_free()d. */
char *session_open(struct auth *auth, const struct auth_user *user, int ttl_min);
const struct auth_user *session_use(struct auth *auth, const char *id);        /* NULL: no such session; renews the idle time */
bool session_end(struct auth *auth, const char *id);
unsigned session_count(struct auth *auth);

#endif
