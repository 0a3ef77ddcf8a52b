/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DIRECTORY_H
#define BERTH_ENGINE_DIRECTORY_H
/*
 * A directory of users and groups: the built-in one (internal.c) or a server's (ldap.c). It says who there is and whether a password is right; who may
 * do what is not its business. Calls may take as long as the server does: workers only.
 */
#include <stdbool.h>
#include <glib.h>
#include "engine/model/user.h"

struct directory;

struct directory_ops {
	/* New arrays of new records. */
	GPtrArray *(*users)(struct directory *directory, GError **error);
	GPtrArray *(*groups)(struct directory *directory, GError **error);
	/* By id or by name ("joe", "joe@internal"); NULL + ERR_NOT_FOUND when there is none. */
	struct directory_user *(*user)(struct directory *directory, const char *id, const char *name, GError **error);
	/* By id or by name ("dev", "internal/Groups/dev"). */
	struct directory_group *(*group)(struct directory *directory, const char *id, const char *name, GError **error);
	/* NULL + ERR_FORBIDDEN: wrong password, or (*ret_disabled) the account is switched off. Costs as much for names that there are not. */
	struct directory_user *(*login)(struct directory *directory, const char *name, const char *password, bool *ret_disabled, GError **error);
	/* Ends what waits for the directory, and lets nothing begin; then free() may be called. NULL: nothing ever waits. */
	void (*stop)(struct directory *directory);
	void (*free)(struct directory *directory);
};

/* The first member of each kind of directory. */
struct directory {
	const struct directory_ops *ops;
	char *id, *name;                     /* name: the domain, after the '@' of user names */
	int64_t recheck_usec;                /* what is known of a user's account counts that long; 0: changes are noticed by themselves */
};

struct directory *directory_free(struct directory *directory);

/* internal.c: the accounts of data_dir/auth. Reads the file again when it is another. */
struct directory *internal_directory_new(const char *data_dir, GError **error);
/* Reads the file again if it changed; true: it did. */
bool internal_directory_refresh(struct directory *directory);

#endif
