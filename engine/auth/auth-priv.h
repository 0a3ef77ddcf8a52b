/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_AUTH_PRIV_H
#define BERTH_ENGINE_AUTH_PRIV_H
#include <pthread.h>
#include "engine/auth/auth.h"

#define AUTH_KEY_BYTES 32
#define AUTH_DIRECTORIES_MAX 16

struct known_user {
	struct auth_user user;
	int64_t checked_usec;                /* when the directory was asked */
};

struct auth {
	pthread_mutex_t lock;                /* everything below it */
	GHashTable *users;                   /* id -> struct known_user; only grows */
	GPtrArray *renamed;                  /* struct known_user of names that are not theirs any more: somebody may still hold one */
	uint8_t key[AUTH_KEY_BYTES];         /* of this process: what the cache holds is worth nothing outside it */
	GHashTable *cache;                   /* HMAC of the header (GBytes) -> struct cached */
	GHashTable *tries;                   /* lower-case name -> struct tries */
	GHashTable *accesses;                /* user id -> struct access */
	GHashTable *sessions;                /* id -> struct session */
	int64_t session_idle_usec;
	int64_t (*clock)(void);
	struct model *model;
	struct store *store;
	int64_t looked_usec;                 /* when the file of accounts was looked at */
	struct directory *directories[AUTH_DIRECTORIES_MAX + 1];
};

/* Reads the file of accounts again if it changed; now: even if that was looked at a moment ago. */
void auth_look_at_accounts(struct auth *auth, bool now);
void session_end_all(struct auth *auth, const struct auth_user *user);
/* The user's sessions are of him under his new name. Under auth->lock. */
void session_rename(struct auth *auth, const struct auth_user *user);
/* Ends the sessions of the domain's users whose ids are not in the set. */
void session_keep(struct auth *auth, const char *domain, GHashTable *ids);

/* domains.c: adds the domains of the files NAME.conf in the directory, which need not be (NULL: none), in the order of their names. */
bool domains_load(struct directory **directories, size_t max, const char *dir, GError **error);

#endif
