/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_USER_H
#define BERTH_ENGINE_MODEL_USER_H
/* Users that may log in (REST chapter 22), groups (20) and directory domains (19). */
#include "common/record.h"

#define ADMIN_USER_ID "fdfc627c-d875-11e0-90f0-83df133b58cc"
/* Whoever may log in is a member of this group. What it is given lets nobody log in. */
#define EVERYONE_GROUP_ID "eee00000-0000-0000-0000-123456789eee"
#define INTERNAL_DOMAIN_ID "696e7465-726e-616c-696e-7465726e616c"

struct user {
	struct record record;
	char *id, *name, *last_name;
	char *domain;                        /* "internal" */
	bool logged_in;                      /* known only when shown */
	char *user_name;                     /* "admin@internal": what is typed to log in */
	char *email;
	GPtrArray *groups;                   /* strings, as the directory writes them */
	GPtrArray *group_ids;                /* INTERNAL: strings; the same groups by id */
	GPtrArray *roles;                    /* INPUT_ONLY: struct object_ref */
};
extern const struct record_type user_type;

struct group {
	struct record record;
	char *id, *name;
	char *domain_entry_id, *namespace_;
	char *domain_name;                   /* INPUT_ONLY */
};
extern const struct record_type group_type;

/* What a directory has (chapter 19); not in the database. An imported user or group keeps its id. */
struct directory_domain { struct record record; char *id, *name; };
extern const struct record_type directory_domain_type;
struct directory_group {
	struct record record;
	char *id, *name;                     /* "internal/Groups/dev" */
	struct ref domain;
};
extern const struct record_type directory_group_type;
struct directory_user {
	struct record record;
	char *id, *name, *last_name;
	char *user_name;                     /* "joe@internal" */
	char *email;
	struct ref domain;
	GPtrArray *groups;                   /* struct directory_group */
	bool disabled;                       /* INTERNAL */
};
extern const struct record_type directory_user_type;

#endif
