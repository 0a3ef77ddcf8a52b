/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORE_PRIV_H
#define BERTH_ENGINE_STORE_PRIV_H
/* What the files of the store share; the tests look in too, nothing else does. */
#include <pthread.h>
#include <sqlite3.h>
#include "engine/store/store.h"

#define STORE_FILE "engine.db"
#define STORE_APPLICATION_ID 0x42657274          /* "Bert" in the file's header: whose database this is */

/* ---- schema.c ---- */
struct migration {
	int version;                             /* the file is of this version afterwards; 1, 2, 3... */
	const char *what;                        /* for the log and the version table */
	bool (*run)(sqlite3 *db, GError **error);        /* in a transaction; NULL: nothing but a new number */
};
extern const struct migration store_migrations[];
extern const size_t store_n_migrations;
/* Makes a new file, or brings an older one forward step by step, each step in its own transaction. Refuses foreign and newer files. */
bool schema_prepare(sqlite3 *db, const char *path, const struct migration *migrations, size_t n, bool *ret_fresh, GError **error);
bool sql_run(sqlite3 *db, const char *sql, GError **error);
/* Says in people's words what SQLite's last error on the file means. */
void sql_error(sqlite3 *db, const char *path, GError **error);

/* ---- seed.c ---- */
/* What a new installation has. */
bool store_seed(struct store *store, GError **error);
/* One engine for a directory. Returns a descriptor to close, -1 + error when another has it. */
int store_lock(const char *data_dir, GError **error);
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
	bool done;
	pthread_cond_t finished;
	GError *error;
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
	char *path;
	char *engine_id;
	sqlite3 *db;
	int lock_fd;
	GHashTable *puts, *removals;             /* kind -> sqlite3_stmt */
	int64_t next_number[32];                 /* of sequence kinds, by position in kinds[] */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct change *first, **last;
	unsigned queued;
	bool stopping, running;

	struct stripe { pthread_mutex_t turn; int contended; } stripes[16];      /* by object: who modifies the same one takes turns */
	int64_t events;                          /* rows in the table of events */
};
int64_t store_number(struct store *store, const struct kind *kind);
bool store_submit(struct store *store, struct change *change, GError **error);

#endif
