/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_ACCOUNTS_H
#define BERTH_ENGINE_ACCOUNTS_H
/*
 * The accounts of the built-in directory: the file data_dir/auth (0600), one line each, for people and for "berth engine user".
 *
 *	name@internal:hash:id:first name:last name:mail:group,group:disabled
 *	%group:id
 *
 * Only the first two are needed; the hash is crypt(3)'s. What is missing of an id is made from the name, always the same.
 */
#include <stdbool.h>
#include <glib.h>

#define ACCOUNTS_DOMAIN "internal"

struct account {
	char *name;                          /* "joe" */
	char *hash, *id, *first, *last, *mail;
	char **groups;                       /* names; never NULL */
	bool disabled;
};
struct account_group { char *name, *id; };

struct accounts {
	GPtrArray *users;                    /* struct account */
	GPtrArray *groups;                   /* struct account_group */
};

/* A directory without the file has no accounts. */
struct accounts *accounts_load(const char *data_dir, GError **error);
bool accounts_save(const struct accounts *accounts, const char *data_dir, GError **error);
struct accounts *accounts_free(struct accounts *accounts);
/* Between load and save of one process: others wait. Returns a descriptor to close, -1 on error. */
int accounts_lock(const char *data_dir, GError **error);

/* Case does not count. NULL: none. */
struct account *accounts_user(const struct accounts *accounts, const char *name);
struct account_group *accounts_group(const struct accounts *accounts, const char *name);
/* With a new id. NULL: the name is taken or has letters that the file cannot hold. */
struct account *accounts_add_user(struct accounts *accounts, const char *name, GError **error);
struct account_group *accounts_add_group(struct accounts *accounts, const char *name, GError **error);
/* Can the text stand in the file? what: for the message. */
bool accounts_check_text(const char *what, const char *text, GError **error);

/* setting NULL: a new yescrypt hash. NULL: not possible. Tens of ms. g_free */
char *password_hash(const char *password, const char *setting);
bool password_matches(const char *password, const char *hash);
/* Writes a file that only the owner reads, whole or not at all. */
bool write_secret(const char *file, const char *text, GError **error);

#endif
