/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_AUTH_H
#define BERTH_ENGINE_AUTH_H
/*
 * Who is asking: HTTP Basic credentials and cookie sessions. Theory of operation: auth.c, session.c. What he may do: access.h.
 * Any thread may call; auth_verify() and the directories are slow by design and are for workers only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "engine/auth/access.h"
#include "engine/auth/directory.h"

struct store;

/* The built-in administrator. */
#define AUTH_ADMIN_ID ADMIN_USER_ID
#define AUTH_ADMIN_NAME "admin@internal"

#define AUTH_SESSIONS_MAX 1000
#define AUTH_SESSION_IDLE_MIN 30
#define AUTH_CACHE_MAX 256
#define AUTH_CACHE_USEC (300 * (int64_t)G_USEC_PER_SEC)
#define AUTH_TRIES 5                         /* wrong passwords in a row until an account is slowed down */

struct auth;

struct auth_user { const char *id, *name; };       /* constant as long as the auth object lives */

struct auth_settings {
	const char *data_dir;                /* data_dir/auth: the accounts of the domain "internal" */
	const char *domains_dir;             /* files of LDAP domains; may be NULL or not there */
	const char *admin_password_file;     /* first line: the administrator's password; NULL: none */
	int64_t session_idle_usec;           /* 0: 30 min */
	int64_t (*clock)(void);              /* NULL: now_usec(); tests move it */
	struct model *model;                 /* users and permissions; NULL: only the administrator may log in */
	struct store *store;                 /* where users that come with a group are added; may be NULL */
};

/* Reads data_dir/auth. When the password of admin_password_file is another than the stored one, it replaces it; when there is neither, a password is
 * drawn and left in data_dir/initial-password (0600). */
struct auth *auth_new(const struct auth_settings *settings, GError **error);
struct auth *auth_free(struct auth *auth);
/* What waits for a directory ends, and nothing more is asked. */
void auth_stop(struct auth *auth);

/* Parses the value of an Authorization header. false: not Basic, broken base64, no "user@domain:password" inside. The outputs are g_free()d. */
bool auth_parse_basic(const char *header, char **ret_name, char **ret_password);

/* Was this header verified lately? NULL: not known; ask auth_verify(). Cheap. */
const struct auth_user *auth_cached(struct auth *auth, const char *header);

enum login_outcome {
	LOGIN_OK,
	LOGIN_WRONG,                         /* name or password */
	LOGIN_LOCKED,                        /* right, but the account is disabled, or slowed down after wrong passwords: not even looked at */
	LOGIN_NOT_ALLOWED,                   /* right, but no permission lets him log in */
	LOGIN_UNAVAILABLE,                   /* the directory does not answer */
};
struct login {
	enum login_outcome outcome;
	char *name;                          /* as typed; g_free */
	bool tell;                           /* worth an event: not the same as a moment ago */
};
/* Checks the password: tens of ms. NULL: refused, *ret_login says why. */
const struct auth_user *auth_verify(struct auth *auth, const char *header, struct login *ret_login);

/* Must the user of a session be looked up again? Then a worker must call auth_recheck(), which ends his sessions if the account is not good any more. Cheap;
 * says so once per period. NULL: no. */
struct directory *auth_recheck_due(struct auth *auth, const struct auth_user *user);
void auth_recheck(struct auth *auth, const struct auth_user *user, struct directory *directory);

/* What the user may do now; a new reference. */
struct access *auth_access(struct auth *auth, struct model *model, const char *user_id);

/* The directories: of the id or name; NULL: none. They live as long as the auth object. */
struct directory *auth_directory(struct auth *auth, const char *id_or_name);
struct directory *const *auth_directories(struct auth *auth);                 /* NULL-terminated */
/* The directory that a name with '@' belongs to; NULL: none. */
struct directory *auth_directory_of(struct auth *auth, const char *user_name);
/* A user of the engine made from what the directory says: groups that were imported are among his group_ids. New reference. */
struct user *auth_import(const struct directory_user *person, const struct directory *directory);

/* Sessions. ttl_min: from Session-TTL; 0 or negative: never expires; INT_MIN: the default. The id is g_free()d. */
char *session_open(struct auth *auth, const struct auth_user *user, int ttl_min);
const struct auth_user *session_use(struct auth *auth, const char *id);        /* NULL: no such session; renews the idle time */
bool session_end(struct auth *auth, const char *id);
unsigned session_count(struct auth *auth);
bool session_of(struct auth *auth, const char *user_id);                       /* has the user one? */
unsigned session_users(struct auth *auth);                                     /* how many users have one */

#endif
