/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORE_PRIV_H
#define BERTH_ENGINE_STORE_PRIV_H
/* What the files of the store share; the tests look in too, nothing else does. */
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include "engine/store/database.h"
#include "engine/store/store.h"

#define STORE_FILE "engine.db"
#define STORE_WRITER "writer"                    /* tables that are not of a kind */
#define STORE_FILES "files"

/* ---- schema.c ---- */
struct migration {
	int version;                             /* the database is of this version afterwards; 1, 2, 3... */
	const char *what;                        /* for the log and the version table */
	bool (*run)(struct database *db, GError **error);        /* in a transaction; NULL: nothing but a new number */
};
extern const struct migration store_migrations[];
extern const size_t store_n_migrations;
/* Makes a new database, or brings an older one forward step by step, each step in its own transaction. Refuses foreign and newer ones. */
bool schema_prepare(struct database *db, const struct migration *migrations, size_t n, GError **error);
/* For migrations: edits every row's doc; edit returns whether it changed something. */
bool schema_edit(struct database *db, const char *table, bool (*edit)(json_t *doc), GError **error);
/* For copies, in a transaction: the table `schema` and the mark, a row of it, the table of a kind; and whether this program may read it. */
bool schema_begin(struct database *db, GError **error);
bool schema_note_version(struct database *db, const char *version, const char *made, const char *what, GError **error);
bool schema_make_table(struct database *db, const char *name, GError **error);
bool schema_check_version(struct database *db, const struct migration *newest, int64_t *ret_version, GError **error);

/* ---- seed.c ---- */
/* What a new installation has. */
bool store_seed(struct store *store, GError **error);
/* At every start: roles of this program that the file lacks or has otherwise; the group Everyone. */
bool store_update_builtin(struct store *store, GError **error);

/* ---- change.c ---- */
enum item_op { ITEM_ADD, ITEM_REPLACE, ITEM_REMOVE };
struct item {
	enum item_op op;
	const struct kind *kind;
	char *id;                                /* NULL until the writer numbered it */
	void *base, *record;
};
struct check { bool (*run)(struct model *model, void *data, GError **error); void *data; };

struct change {
	struct store *store;
	GArray *items;                           /* struct item */
	GArray *checks;                          /* struct check */
	unsigned given;                          /* items that the caller gave; those after them are implied */
	/* while it is queued */
	struct change *next;
	GError *error;
	sem_t finished;                          /* its thread is told; error is set before */
};

/* What the changes of a batch make of the objects, before they are published: the newest state is this over the model. */
struct pending { const struct kind *kind; const char *id; void *record; uint32_t hash; };
struct overlay {
	struct model *model;
	GArray *pending;                         /* struct pending; later ones win */
};
/* Numbers, checks and adds the change to the overlay; on failure the overlay is as before. */
bool change_apply(struct change *change, struct overlay *overlay, GError **error);

/* ---- store.c ---- */
struct store {
	struct model *model;
	struct database *db;
	char *engine_id;
	char *run;                               /* this one, in the table `writer` */
	int lock_fd;                             /* of data_dir, when the database is elsewhere */
	int64_t timeout_usec;
	int64_t next_number[64];                 /* of sequence kinds, by position in kinds[] */
	int64_t events;                          /* rows in the table of events */
	GArray *doubt;                           /* struct object: what the database has of them may not be what the model has */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct change *first, **last;
	unsigned queued;
	bool stopping, running;
	bool away, taken;
	char *why;                               /* it is away */

	pthread_mutex_t listening;
	void (*told)(enum store_news news, void *data);
	void *told_data;

	struct stripe { pthread_mutex_t turn; int contended; } stripes[16];      /* by object: who modifies the same one takes turns */
};
struct object { const struct kind *kind; char *id; };
int64_t store_number(struct store *store, const struct kind *kind);
bool store_submit(struct store *store, struct change *change, GError **error);

/* ---- rows.c: between records and rows ---- */
/* Everything into the model; the store's numbers. */
bool rows_load(struct store *store, GError **error);
bool rows_count_events(struct store *store, GError **error);
/* In a transaction. record NULL: removes. */
bool rows_put(struct database *db, const struct kind *kind, const char *id, const void *record, GError **error);
/* The same for a row that is a row already. */
bool rows_put_text(struct database *db, const char *table, const char *const values[4], GError **error);
bool rows_cut_events(struct database *db, GError **error);

/* "sqlite:DATA_DIR/engine.db" unless settings say where; g_free. */
char *store_where(const struct store_settings *settings);
/* One engine for what the file stands beside. A descriptor to close, -1 + an error that names what is locked when another has it. */
int store_lock(const char *file, const char *what, GError **error);

#endif
