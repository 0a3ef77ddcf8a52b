/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_ACCESS_H
#define BERTH_ENGINE_ACCESS_H
/*
 * What a user may do and see. The one decision that all operations ask. Theory of operation: access.c. Any thread; never blocks.
 */
#include <stdbool.h>
#include "engine/model/model.h"

struct access;
struct user;

/* Worked out anew for the user (an id), from the model as it is. */
struct access *access_new(struct model *model, const char *user_id);
struct access *access_ref(struct access *access);                     /* NULL accepted */
void access_unref(struct access *access);                             /* NULL accepted */
/* Does it still say what the model says? */
bool access_is_current(const struct access *access, struct model *model);

/* Is the user in the group? One directory's ids say nothing of another's groups: the group, "domain/...", must be of the user's domain. */
bool access_is_member(struct model *model, const struct user *user, const char *group_id);

/* May the user log in at all: does a permission of his own or of one of his groups carry the permit "login"? */
bool access_logs_in(const struct access *access);
/* Has the user a role for administrators, on whatever? */
bool access_is_administrator(const struct access *access);
/* Is the permit given on the object (NULL: on everything) or on something it is in? A record that is not in the model yet counts by what it names. */
bool access_permits(const struct access *access, struct model *model, const char *permit, const void *object);
/* Is it given on anything? */
bool access_permits_somewhere(const struct access *access, const char *permit);
/* May the user know of the object? filter: an administrator, too, is shown only what his permissions are about. */
bool access_sees(const struct access *access, struct model *model, const void *object, bool filter);
/* Everything that there is? Then nothing need be looked at one by one. */
bool access_sees_all(const struct access *access, bool filter);

/*
 * Of one kind, what the user may know of, worked out beforehand so that a record tells it by itself. It holds as long as access lives.
 * NULL: there is too much that decides, or the kind has rules of its own: access_sees() of each.
 */
struct sight;
struct sight *access_sight(const struct access *access, struct model *model, const struct kind *kind, bool filter);
struct sight *sight_free(struct sight *sight);                         /* NULL accepted; returns NULL */
/* As access_sees(); the model is not asked, whose lock may be held. */
bool sight_sees(const void *record, void *sight);
/* The ids (a set; the sight's) of all that are seen, and of some that are no more; NULL: what they are in decides, too. */
GHashTable *sight_ids(const struct sight *sight);

/* Has the user every permit of the role on the object (NULL: on everything)? Nobody gives away what he has not. *ret_missing: a constant. */
bool access_covers_role(const struct access *access, struct model *model, const char *role_id, const void *object, const char **ret_missing);

#endif
