/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_AUTH_PRIV_H
#define BERTH_ENGINE_AUTH_PRIV_H
#include <pthread.h>
#include "engine/auth/auth.h"

#define AUTH_KEY_BYTES 32

struct auth {
	pthread_mutex_t lock;                /* everything below it */
	GHashTable *hashes;                  /* lower-case name -> crypt(3) hash; fixed after auth_new() */
	struct auth_user admin;
	uint8_t key[AUTH_KEY_BYTES];         /* of this process: what the cache holds is worth nothing outside it */
	GHashTable *cache;                   /* HMAC of the header (GBytes) -> struct cached */
	GHashTable *sessions;                /* id -> struct session */
	int64_t session_idle_usec;
	int64_t last_login_usec;             /* of the administrator by Basic */
	int64_t (*clock)(void);
};

#endif
