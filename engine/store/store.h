/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORE_H
#define BERTH_ENGINE_STORE_H
/*
 * The store: each change is durable before anybody is told. SQLite or PostgreSQL (database.h), one writer thread, group commit: the changes that
 * queue up while one commit is written share the next one. One table per kind: id TEXT PRIMARY KEY, parent TEXT, name TEXT, doc TEXT (RECORD_STORE).
 *
 * A change is a set of puts and removals that happens whole or not at all. It is checked by the writer against the newest state: a put made from a
 * base that is no longer the newest fails with ERR_CONFLICT (store_modify() then tries again), so are duplicate UNIQUE members refused
 * (ERR_OPERATION_FAILED naming member and value) and references to objects that are gone (ERR_NOT_FOUND).
 * ERR_STORE_AWAY: a database on a server did not answer in time; from then on changes fail with it at once, until it answers again (store_listen()).
 * Worker threads only: commits block until durable.
 */
#include <stdbool.h>
#include "engine/engine.h"
#include "engine/model/model.h"

struct change;

struct store_settings {
	const char *data_dir;                    /* made when it is not there */
	const char *where;                       /* "sqlite:FILE", "postgresql://..."; NULL: sqlite:DATA_DIR/engine.db */
	int64_t timeout_usec;                    /* for an answer of a database on a server; 0: STORE_TIMEOUT_USEC */
};
#define STORE_TIMEOUT_USEC (10 * (int64_t)G_USEC_PER_SEC)

/* Opens or makes the database, migrates older schemas forward, loads everything into the model. */
struct store *store_open(const struct store_settings *settings, struct model *model, GError **error);
/* Id of this engine (of its database): a UUID made when the database was made. */
const char *store_engine_id(const struct store *store);
struct store *store_close(struct store *store);           /* waits for queued changes */

/* What becomes of a database on a server, told on the writer's thread; told must not block nor use the store. NULL: nobody listens any more; when this
 * returns, nobody is being told. */
enum store_news {
	STORE_BACK,                              /* it was away; changes are possible again */
	STORE_TAKEN,                             /* another engine used it meanwhile: what is in the model is not what is in it. Never comes back */
};
void store_listen(struct store *store, void (*told)(enum store_news news, void *data), void *data);
bool store_is_away(struct store *store);

struct change *change_new(struct store *store);
void change_free(struct change *change);                  /* NULL accepted; a change that was not committed does nothing */
/* A new object (id absent: a UUID or the next number is given here). Takes over nothing; references record. */
void change_add(struct change *change, void *record);
/* A new version of base (a record from the model). */
void change_replace(struct change *change, const void *base, void *record);
void change_remove(struct change *change, const void *base);
/* A check run by the writer before the change, against the newest state: may look at the model, must not block. */
void change_check(struct change *change, bool (*check)(struct model *model, void *data, GError **error), void *data);
/* An event (audit) in the same commit: code per appendix C; refs: NULL-terminated records that the event names. */
void change_event(struct change *change, int code, const struct actor *actor, void *const *refs, const char *format, ...) G_GNUC_PRINTF(5, 6);
/* Frees change in any case. */
bool change_commit(struct change *change, GError **error);

/* Read, copy, edit, commit, again on conflict (at most 20 times). edit returns false + error to give up; false without error: nothing to change.
 * change may get more (events). ret_record (may be NULL): the published record, new reference. */
typedef bool (*store_edit)(void *copy, struct change *change, void *data, GError **error);
bool store_modify(struct store *store, const struct kind *kind, const char *id, store_edit edit, void *data, void **ret_record, GError **error);

/* One event on its own; _once: not when there was the same one within its flood rate. */
void store_event(struct store *store, int code, const struct actor *actor, void *const *refs, const char *format, ...) G_GNUC_PRINTF(5, 6);
void store_event_once(struct store *store, int code, const struct actor *actor, void *const *refs, const char *format, ...) G_GNUC_PRINTF(5, 6);

#endif
