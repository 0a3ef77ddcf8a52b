/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_USER_H
#define BERTH_ENGINE_MODEL_USER_H
/* Users that may log in (REST chapter 22), groups (20) and directory domains (19). */
#include "common/record.h"

#define ADMIN_USER_ID "fdfc627c-d875-11e0-90f0-83df133b58cc"
#define INTERNAL_DOMAIN_ID "696e7465-726e-616c-696e-7465726e616c"

struct user {
	struct record record;
	char *id, *name, *last_name;
	char *domain;                        /* "internal" */
	bool logged_in;                      /* known only when shown */
	char *user_name;                     /* "admin@internal": what is typed to log in */
	char *email;
	GPtrArray *groups;                   /* strings */
	GPtrArray *roles;                    /* INPUT_ONLY: struct object_ref */
	char *password_hash;                 /* INTERNAL: of local users, crypt(3) form */
};
extern const struct record_type user_type;

struct group {
	struct record record;
	char *id, *name;
	char *domain_entry_id, *namespace_;
	char *domain_name;                   /* INPUT_ONLY */
};
extern const struct record_type group_type;

/* Not a kind: the engine knows the domain "internal" only. */
struct directory_domain { struct record record; char *id, *name; };
extern const struct record_type directory_domain_type;

#endif
