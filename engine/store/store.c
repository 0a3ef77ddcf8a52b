/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: opening, loading, and the one writer.
 *
 * Goals. A change that was acknowledged survives kill -9 and power loss (WAL, synchronous=FULL: each commit is synced); readers see it only then. Many
 * small changes are cheap: what queues up while one commit is synced shares the next one.
 *
 * A change goes: change_commit() queues it and waits > the writer takes up to BATCH_MAX changes > each is checked against the newest state (the model
 * and what the batch has put over it so far, change.c); those that fail are answered and leave the batch > one SQLite transaction writes the rest >
 * COMMIT > model_publish() > the waiting threads are told. A change that has checks of its own opens a batch, so that these checks see all that came before
 * in the model.
 *
 * When writing fails (disk full, I/O error) the transaction is rolled back; nothing of it is in the file or the model. A batch of several is then tried
 * again one by one, so that a change that does not fit does not take the others with it. The engine goes on with what it has in memory.
 *
 * Limits. Events: the newest EVENTS_KEPT stay in the file, the newest EVENTS_IN_MEMORY of these in the model; both are cut EVENTS_SLACK at a time.
 *
 * Who else may touch the file: nobody writes. A lock file beside it keeps a second engine away; sqlite3's own tools may read or back it up meanwhile.
 */
#include "common/error.h"
#include "common/log.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/store/store-priv.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "store"
#define BATCH_MAX 200
#define QUEUE_MAX 10000
#define BUSY_MSEC 2000
#define EVENTS_SLACK 1000

/* ---- opening ---- */

int store_lock(const char *data_dir, GError **error)
{
	g_autofree char *path = g_build_filename(data_dir, "engine.lock", NULL);
	char pid[32] = "", *end;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", path);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
			log_debug("%s: cannot note the process, ignoring", path);
		return fd;
	}
	n = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[MAX(n, 0)] = '\0';
	end = strchr(pid, '\n');
	if (end)
		*end = '\0';
	error_set(error, ERR_STORE_FAILED, "%s is in use by another engine%s%s%s", data_dir, *pid ? " (process " : "", pid, *pid ? ")" : "");
	(void)close(fd);
	return -1;
}

static bool configure(sqlite3 *db, const char *path, GError **error)
{
	sqlite3_stmt *query = NULL;
	bool wal = false;

	if (!sql_run(db, "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 16777216", error))
		return false;
	if (sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW)
		wal = !g_strcmp0((const char *)sqlite3_column_text(query, 0), "wal");
	if (!wal && sqlite3_errcode(db) != SQLITE_ROW)
		sql_error(db, path, error);
	else if (!wal)
		error_set(error, ERR_STORE_FAILED, "%s: its file system cannot hold a write-ahead log", path);
	sqlite3_finalize(query);
	return wal;
}

static sqlite3 *open_file(const char *path, bool *ret_fresh, GError **error)
{
	sqlite3 *db = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);        /* password hashes are in it */

	if (fd < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", path);
		return NULL;
	}
	(void)close(fd);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		sql_error(db, path, error);
	else if (sqlite3_busy_timeout(db, BUSY_MSEC) == SQLITE_OK && schema_prepare(db, path, store_migrations, store_n_migrations, ret_fresh, error) &&
		 configure(db, path, error))
		return db;
	(void)sqlite3_close(db);
	return NULL;
}

/* ---- loading ---- */

static void *read_row(struct store *store, const struct kind *kind, sqlite3_stmt *query, GError **error)
{
	struct record_input input = { .dialect = RECORD_STORE };
	const char *id = (const char *)sqlite3_column_text(query, 0), *doc = (const char *)sqlite3_column_text(query, 1);
	json_t *json = doc ? json_loadb(doc, (size_t)sqlite3_column_bytes(query, 1), 0, NULL) : NULL;
	g_autoptr(GError) problem = NULL;
	void *record = NULL;

	if (json_is_object(json))
		record = record_from_json(kind->type, json, &input, &problem);
	if (record && g_strcmp0(object_id(record), id)) {
		record_unref(record);
		record = NULL;
	}
	if (!record)
		error_set(error, ERR_STORE_FAILED, "%s: table %s, row '%s' is damaged: %s", store->path, kind->collection, id ? id : "",
			  problem ? problem->message : "not the object that it should be");
	if (input.ignored)
		log_info("table %s, row '%s': members of another version left out: %s...", kind->collection, id, (char *)input.ignored->pdata[0]);
	record_input_clear(&input);
	json_decref(json);
	return record;
}

static bool load_rows(struct store *store, const struct kind *kind, sqlite3_stmt *query, GArray *changes, GError **error)
{
	int rc;

	while ((rc = sqlite3_step(query)) == SQLITE_ROW) {
		struct model_change change = { kind, NULL, read_row(store, kind, query, error) };

		if (!change.record)
			return false;
		change.id = object_id(change.record);
		g_array_append_val(changes, change);
	}
	if (rc != SQLITE_DONE)
		sql_error(store->db, store->path, error);
	return rc == SQLITE_DONE;
}

static bool load_kind(struct store *store, const struct kind *kind, GError **error)
{
	g_autofree char *sql = kind->sequence ?
		g_strdup_printf("SELECT id, doc FROM (SELECT rowid AS r, id, doc FROM \"%s\" ORDER BY rowid DESC LIMIT %d) ORDER BY r", kind->collection,
				EVENTS_IN_MEMORY) :
		g_strdup_printf("SELECT id, doc FROM \"%s\" ORDER BY rowid", kind->collection);
	GArray *changes = g_array_new(FALSE, FALSE, sizeof(struct model_change));
	sqlite3_stmt *query = NULL;
	bool good = false;

	if (sqlite3_prepare_v2(store->db, sql, -1, &query, NULL) != SQLITE_OK)
		sql_error(store->db, store->path, error);
	else
		good = load_rows(store, kind, query, changes, error);
	sqlite3_finalize(query);
	if (good)
		model_publish(store->model, (struct model_change *)(void *)changes->data, changes->len);
	for (unsigned i = 0; i < changes->len; i++)
		record_unref(g_array_index(changes, struct model_change, i).record);
	g_array_unref(changes);
	return good;
}

static bool read_number(struct store *store, const char *format, const struct kind *kind, int64_t *ret_number, GError **error)
{
	g_autofree char *sql = g_strdup_printf(format, kind->collection);
	sqlite3_stmt *query = NULL;
	bool good = sqlite3_prepare_v2(store->db, sql, -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW;

	if (good)
		*ret_number = sqlite3_column_int64(query, 0);
	else
		sql_error(store->db, store->path, error);
	sqlite3_finalize(query);
	return good;
}

static bool read_identity(struct store *store, GError **error)
{
	sqlite3_stmt *query = NULL;
	bool good = sqlite3_prepare_v2(store->db, "SELECT id FROM engine", -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW;

	if (good)
		store->engine_id = g_strdup((const char *)sqlite3_column_text(query, 0));
	else
		error_set(error, ERR_STORE_FAILED, "%s is damaged: it does not say which engine it belongs to", store->path);
	sqlite3_finalize(query);
	return good;
}

const char *store_engine_id(const struct store *store)
{
	return store->engine_id;
}

static sqlite3_stmt *prepare(struct store *store, const char *format, const struct kind *kind, GError **error)
{
	g_autofree char *sql = g_strdup_printf(format, kind->collection);
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
		sql_error(store->db, store->path, error);
	return statement;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static bool prepare_kind(struct store *store, const struct kind *kind, GError **error)
{
	sqlite3_stmt *put = prepare(store, "INSERT INTO \"%s\" (id, parent, name, doc) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET "
				    "parent = excluded.parent, name = excluded.name, doc = excluded.doc", kind, error);
	sqlite3_stmt *removal = put ? prepare(store, "DELETE FROM \"%s\" WHERE id = ?1", kind, error) : NULL;

	g_hash_table_insert(store->puts, (void *)kind, put);
	g_hash_table_insert(store->removals, (void *)kind, removal);
	return removal;
}
#pragma GCC diagnostic pop

static bool load(struct store *store, GError **error)
{
	for (size_t i = 0; kinds[i]; i++) {
		if (kinds[i]->transient)
			continue;
		if (!load_kind(store, kinds[i], error) || !prepare_kind(store, kinds[i], error))
			return false;
		if (kinds[i]->sequence && (!read_number(store, "SELECT max(CAST(id AS INTEGER)) FROM \"%s\"", kinds[i], &store->next_number[i], error) ||
					   !read_number(store, "SELECT count(*) FROM \"%s\"", kinds[i], &store->events, error)))
			return false;
	}
	(void)sqlite3_db_release_memory(store->db);
	(void)malloc_trim(0);                    /* the documents' JSON was garbage by the thousand */
	return true;
}

int64_t store_number(struct store *store, const struct kind *kind)
{
	size_t i = 0;

	while (kinds[i] != kind)
		i++;
	return ++store->next_number[i];
}

/* ---- writing ---- */

static bool write_item(struct store *store, const struct item *item, GError **error)
{
	sqlite3_stmt *statement = g_hash_table_lookup(item->op == ITEM_REMOVE ? store->removals : store->puts, item->kind);
	g_autofree char *doc = NULL;
	int rc;

	sqlite3_bind_text(statement, 1, item->id, -1, SQLITE_STATIC);
	if (item->op != ITEM_REMOVE) {
		doc = record_to_text(item->record, RECORD_STORE);
		sqlite3_bind_text(statement, 2, object_parent(item->record), -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 3, object_name(item->record), -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 4, doc, -1, SQLITE_STATIC);
	}
	rc = sqlite3_step(statement);
	if (rc != SQLITE_DONE)
		sql_error(store->db, store->path, error);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	if (rc == SQLITE_DONE && item->kind == &event_kind)
		store->events += item->op == ITEM_ADD ? 1 : -1;
	return rc == SQLITE_DONE;
}

static bool cut_events(struct store *store, GError **error)
{
	if (store->events <= EVENTS_KEPT + EVENTS_SLACK)
		return true;
	if (!sql_run(store->db, "DELETE FROM events WHERE rowid <= (SELECT rowid FROM events ORDER BY rowid DESC LIMIT 1 OFFSET " G_STRINGIFY(EVENTS_KEPT) ")",
		     error))
		return false;
	store->events -= sqlite3_changes(store->db);
	return true;
}

static bool write_batch(struct store *store, GPtrArray *batch, GError **error)
{
	int64_t events = store->events;
	bool good = sql_run(store->db, "BEGIN IMMEDIATE", error);

	for (unsigned i = 0; good && i < batch->len; i++) {
		const struct change *change = batch->pdata[i];

		for (unsigned j = 0; good && j < change->items->len; j++)
			good = write_item(store, &g_array_index(change->items, struct item, j), error);
	}
	good = good && cut_events(store, error) && sql_run(store->db, "COMMIT", error);
	if (good)
		return true;
	store->events = events;
	if (!sqlite3_get_autocommit(store->db))         /* a full disk may have rolled back by itself */
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

static void cut_model(struct store *store)
{
	size_t count = model_count(store->model, &event_kind);
	struct model_change changes[EVENTS_SLACK];
	g_autoptr(GPtrArray) events = NULL;

	if (count < EVENTS_IN_MEMORY + EVENTS_SLACK)
		return;
	events = model_list(store->model, &event_kind);
	for (unsigned i = 0; i < EVENTS_SLACK; i++)
		changes[i] = (struct model_change) { &event_kind, object_id(events->pdata[i]), NULL };
	model_publish(store->model, changes, EVENTS_SLACK);
}

static void publish(struct store *store, GPtrArray *batch)
{
	g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(struct model_change));

	for (unsigned i = 0; i < batch->len; i++) {
		const struct change *change = batch->pdata[i];

		for (unsigned j = 0; j < change->items->len; j++) {
			const struct item *item = &g_array_index(change->items, struct item, j);
			struct model_change entry = { item->kind, item->id, item->record };

			g_array_append_val(changes, entry);
		}
	}
	model_publish(store->model, (struct model_change *)(void *)changes->data, changes->len);
	cut_model(store);
}

static void finish(struct store *store, struct change *change, GError *error)
{
	pthread_mutex_lock(&store->lock);
	change->error = error;
	change->done = true;
	pthread_cond_signal(&change->finished);
	pthread_mutex_unlock(&store->lock);
}

static void process(struct store *store, GPtrArray *batch)
{
	struct overlay overlay = { store->model, g_array_new(FALSE, FALSE, sizeof(struct pending)) };
	g_autoptr(GPtrArray) good = g_ptr_array_new();
	GError *error = NULL;

	for (unsigned i = 0; i < batch->len; i++) {
		GError *problem = NULL;

		if (change_apply(batch->pdata[i], &overlay, &problem))
			g_ptr_array_add(good, batch->pdata[i]);
		else
			finish(store, batch->pdata[i], problem);
	}
	g_array_unref(overlay.pending);
	if (!good->len)
		return;
	if (write_batch(store, good, &error)) {
		publish(store, good);
		for (unsigned i = 0; i < good->len; i++)
			finish(store, good->pdata[i], NULL);
		return;
	}
	log_error("%s: %u changes were not written: %s", store->path, good->len, error->message);
	if (good->len == 1) {
		finish(store, good->pdata[0], error);
		return;
	}
	g_clear_error(&error);
	for (unsigned i = 0; i < good->len; i++) {
		g_autoptr(GPtrArray) one = g_ptr_array_new();

		g_ptr_array_add(one, good->pdata[i]);
		process(store, one);
	}
}

/* The next batch, or NULL when there is nothing left to do. */
static GPtrArray *next_batch(struct store *store)
{
	GPtrArray *batch = NULL;

	pthread_mutex_lock(&store->lock);
	while (!store->first && !store->stopping)
		pthread_cond_wait(&store->work, &store->lock);
	while (store->first && (!batch || (batch->len < BATCH_MAX && !store->first->checks->len))) {
		struct change *change = store->first;

		if (!batch)
			batch = g_ptr_array_new();
		g_ptr_array_add(batch, change);
		store->first = change->next;
		if (!store->first)
			store->last = &store->first;
		store->queued--;
	}
	pthread_mutex_unlock(&store->lock);
	return batch;
}

static void *writer(void *data)
{
	struct store *store = data;
	GPtrArray *batch;

	(void)pthread_setname_np(pthread_self(), "store");
	while ((batch = next_batch(store)) != NULL) {
		process(store, batch);
		g_ptr_array_unref(batch);
	}
	return NULL;
}

bool store_submit(struct store *store, struct change *change, GError **error)
{
	bool refused;

	change->given = change->items->len;
	pthread_mutex_lock(&store->lock);
	refused = store->stopping || store->queued >= QUEUE_MAX;
	if (!refused) {
		*store->last = change;
		store->last = &change->next;
		store->queued++;
		pthread_cond_signal(&store->work);
		while (!change->done)
			pthread_cond_wait(&change->finished, &store->lock);
	}
	pthread_mutex_unlock(&store->lock);
	if (refused) {
		error_set(error, ERR_RESOURCE_EXHAUSTED, store->stopping ? "the database is being closed" : "too many changes wait for the database");
		return false;
	}
	if (!change->error)
		return true;
	g_propagate_error(error, g_steal_pointer(&change->error));
	return false;
}

/* ---- life ---- */

static void finalize(void *statement)
{
	(void)sqlite3_finalize(statement);
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	if (store->running) {
		pthread_mutex_lock(&store->lock);
		store->stopping = true;
		pthread_cond_signal(&store->work);
		pthread_mutex_unlock(&store->lock);
		pthread_join(store->thread, NULL);
	}
	g_clear_pointer(&store->puts, g_hash_table_unref);
	g_clear_pointer(&store->removals, g_hash_table_unref);
	if (sqlite3_close(store->db) != SQLITE_OK)
		log_error("%s: cannot be closed: %s", store->path, sqlite3_errmsg(store->db));
	if (store->lock_fd >= 0)
		(void)close(store->lock_fd);
	pthread_mutex_destroy(&store->lock);
	pthread_cond_destroy(&store->work);
	for (size_t i = 0; i < G_N_ELEMENTS(store->stripes); i++)
		pthread_mutex_destroy(&store->stripes[i].turn);
	g_free(store->engine_id);
	g_free(store->path);
	g_free(store);
	return NULL;
}

static bool start_writer(struct store *store, GError **error)
{
	int rc = pthread_create(&store->thread, NULL, writer, store);

	if (rc) {
		error_set_errno(error, ERR_STORE_FAILED, rc, "start the writer");
		return false;
	}
	store->running = true;
	return true;
}

struct store *store_open(const char *data_dir, struct model *model, GError **error)
{
	struct store *store = g_new0(struct store, 1);
	bool fresh = false;

	store->model = model;
	store->lock_fd = -1;
	store->last = &store->first;
	store->path = g_build_filename(data_dir, STORE_FILE, NULL);
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->work, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(store->stripes); i++)
		pthread_mutex_init(&store->stripes[i].turn, NULL);
	store->puts = g_hash_table_new_full(NULL, NULL, NULL, finalize);
	store->removals = g_hash_table_new_full(NULL, NULL, NULL, finalize);

	if (g_mkdir_with_parents(data_dir, 0700) < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", data_dir);
		return store_close(store);
	}
	store->lock_fd = store_lock(data_dir, error);
	if (store->lock_fd < 0)
		return store_close(store);
	store->db = open_file(store->path, &fresh, error);
	if (!store->db || !read_identity(store, error) || !load(store, error) || !start_writer(store, error))
		return store_close(store);
	if (model_count(model, &datacenter_kind) == 0 && model_count(model, &role_kind) == 0 && !store_seed(store, error))
		return store_close(store);
	if (!store_update_builtin(store, error))
		return store_close(store);
	return store;
}
