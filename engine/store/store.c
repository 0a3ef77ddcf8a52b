/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: opening, and the one writer.
 *
 * Goals. A change that was acknowledged survives kill -9 and power loss (each commit is synced before it counts); readers see it only then. Many
 * small changes are cheap: what queues up while one commit is synced shares the next one.
 *
 * A change goes: change_commit() queues it and waits > the writer takes up to BATCH_MAX changes > each is checked against the newest state (the model
 * and what the batch has put over it so far, change.c); those that fail are answered and leave the batch > one transaction writes the rest >
 * COMMIT > model_publish() > the waiting threads are told. A change that has checks of its own opens a batch, so that these checks see all that came before
 * in the model.
 *
 * When writing fails (disk full, I/O error) the transaction is rolled back; nothing of it is in the database or the model. A batch of several is then tried
 * again one by one, so that a change that does not fit does not take the others with it. The engine goes on with what it has in memory.
 *
 * A database on a server goes away (it restarts, hangs, the network is cut):
 *
 *	t=0       no answer, or the connection ends. Ended: connect again every RETRY_USEC and write the batch again; a batch puts and removes rows by
 *	          their ids, so it does no harm when the server had committed it and only the answer was lost
 *	t=10 s    (timeout_usec) the batch and all that wait fail with ERR_STORE_AWAY. *Away*: changes fail with it at once; readers have the model. What the
 *	          batch was about is in doubt
 *	t=11 s... every AWAY_USEC the connection is tried again. There: what is in doubt is written as the model has it, so that a change that was
 *	          refused is not in the database either; then the store is back
 *
 * While nothing is written the connection is looked at every IDLE_USEC, so that the lock on the database is not lost for long without notice. A new
 * connection must find this run's id in the table `writer`, where every engine that opens the database puts its own: another one means that somebody
 * else wrote meanwhile, and what the model has must never be written again (STORE_TAKEN). An engine that is killed while a batch is in doubt finds it
 * whole or not at all when it starts.
 *
 * Limits. Events: the newest EVENTS_KEPT stay in the database, the newest EVENTS_IN_MEMORY of these in the model; both are cut EVENTS_SLACK at a time.
 */
#include "common/error.h"
#include "common/lane.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/store/store-priv.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "store"
#define BATCH_MAX 200
#define QUEUE_MAX 10000
#define EVENTS_SLACK 1000
#define RETRY_USEC (G_USEC_PER_SEC / 10)
#define AWAY_USEC G_USEC_PER_SEC
#define IDLE_USEC G_USEC_PER_SEC
#define OPEN_USEC (600 * (int64_t)G_USEC_PER_SEC)        /* migrations and loading */

const char *store_engine_id(const struct store *store)
{
	return store->engine_id;
}

int64_t store_number(struct store *store, const struct kind *kind)
{
	size_t i = 0;

	while (kinds[i] != kind)
		i++;
	g_assert(i < G_N_ELEMENTS(store->next_number));
	return ++store->next_number[i];
}

/* ---- writing ---- */

static bool write_items(struct store *store, GPtrArray *batch, int64_t *events, GError **error)
{
	for (unsigned i = 0; i < batch->len; i++) {
		const struct change *change = batch->pdata[i];

		for (unsigned j = 0; j < change->items->len; j++) {
			const struct item *item = &g_array_index(change->items, struct item, j);

			if (!rows_put(store->db, item->kind, item->id, item->record, error))
				return false;
			if (item->kind == &event_kind)
				*events += item->op == ITEM_ADD ? 1 : item->op == ITEM_REMOVE ? -1 : 0;
		}
	}
	if (*events <= EVENTS_KEPT + EVENTS_SLACK)
		return true;
	*events = EVENTS_KEPT;
	return rows_cut_events(store->db, error);
}

static bool write_batch(struct store *store, GPtrArray *batch, GError **error)
{
	const struct database_ops *ops = store->db->ops;
	int64_t events = store->events;

	if (ops->begin(store->db, /* write= */ true, error) && write_items(store, batch, &events, error) && ops->commit(store->db, error)) {
		store->events = events;
		return true;
	}
	ops->rollback(store->db);
	return false;
}

/* ---- a database that goes away ---- */

static void object_clear(void *data)
{
	g_free(((struct object *)data)->id);
}

static void doubt(struct store *store, GPtrArray *batch)
{
	for (unsigned i = 0; i < batch->len; i++) {
		const struct change *change = batch->pdata[i];

		for (unsigned j = 0; j < change->items->len; j++) {
			const struct item *item = &g_array_index(change->items, struct item, j);
			struct object object = { item->kind, g_strdup(item->id) };

			g_array_append_val(store->doubt, object);
		}
	}
}

static bool write_as_known(struct database *db, void *data, GError **error)
{
	struct store *store = data;
	bool good = true;

	for (unsigned i = 0; good && i < store->doubt->len; i++) {
		const struct object *object = &g_array_index(store->doubt, struct object, i);
		void *record = model_get(store->model, object->kind, object->id);

		good = rows_put(db, object->kind, object->id, record, error);
		record_unref(record);
	}
	return good;
}

/* What is in doubt becomes in the database what it is in the model. */
static bool settle_doubt(struct store *store, GError **error)
{
	if (!store->doubt->len)
		return true;
	if (!database_transaction(store->db, write_as_known, store, error) || !rows_count_events(store, error))
		return false;
	g_array_set_size(store->doubt, 0);
	return true;
}

static bool is_ours(struct store *store, GError **error)
{
	g_autofree char *run = NULL;

	if (!database_text(store->db, "SELECT run FROM " STORE_WRITER, &run, error))
		return false;
	store->taken = g_strcmp0(run, store->run) != 0;
	if (store->taken)
		error_set(error, ERR_STORE_AWAY, "%s: another engine wrote to it meanwhile; this one must be started anew", store->db->name);
	return !store->taken;
}

/* Sleeps, unless the store is being closed. */
static void pause_writer(struct store *store, int64_t usec)
{
	int64_t end = now_usec() + usec;
	struct timespec until = { end / G_USEC_PER_SEC, end % G_USEC_PER_SEC * 1000 };
	AUTO_LOCK(&store->lock);

	while (!store->stopping && now_usec() < end)
		(void)pthread_cond_timedwait(&store->work, &store->lock, &until);
}

/* A new connection to the database that is still ours. */
static bool connect_again(struct store *store, GError **error)
{
	store->db->deadline_usec = MAX(store->db->deadline_usec, now_usec() + RETRY_USEC);
	return !store->taken && store->db->ops->reopen(store->db, error) && is_ours(store, error);
}

/* Tries until the deadline. The error is the last one's. */
static bool connect_until(struct store *store, int64_t deadline_usec, GError **error)
{
	for (;;) {
		g_clear_error(error);
		store->db->deadline_usec = deadline_usec;
		if (connect_again(store, error))
			return true;
		if (store->taken || now_usec() + RETRY_USEC >= deadline_usec)
			return false;
		pause_writer(store, RETRY_USEC);
	}
}

static void tell(struct store *store, enum store_news news)
{
	AUTO_LOCK(&store->listening);

	if (store->told)
		store->told(news, store->told_data);
}

/* The change is its thread's again. */
static void finish(struct change *change, const GError *error)
{
	change->error = error ? g_error_copy(error) : NULL;
	sem_post(&change->finished);
}

/* Who waits is told, and who comes from now on at once. Whatever keeps the store from coming back is, to them, that it is away. */
static void go_away(struct store *store, const GError *cause)
{
	g_autoptr(GError) why = NULL;
	struct change *queue;

	error_set_literal(&why, ERR_STORE_AWAY, cause->message);
	log_error("%s; no change can be made until it answers again", why->message);
	pthread_mutex_lock(&store->lock);
	store->away = true;
	g_free(store->why);
	store->why = g_strdup(why->message);
	queue = store->first;
	store->first = NULL;
	store->last = &store->first;
	store->queued = 0;
	pthread_mutex_unlock(&store->lock);
	while (queue) {
		struct change *next = queue->next;

		finish(queue, why);
		queue = next;
	}
	if (store->taken)
		tell(store, STORE_TAKEN);
}

/* Away: one try to come back. */
static void come_back(struct store *store)
{
	g_autoptr(GError) error = NULL;

	store->db->deadline_usec = now_usec() + store->timeout_usec;
	if (!connect_again(store, &error) || !settle_doubt(store, &error)) {
		bool news;

		if (!error)
			return;                  /* taken, as was told */
		pthread_mutex_lock(&store->lock);
		news = strcmp(store->why, error->message) != 0;
		g_free(store->why);
		store->why = g_strdup(error->message);
		pthread_mutex_unlock(&store->lock);
		if (news)
			log_warn("%s", error->message);
		if (store->taken)
			tell(store, STORE_TAKEN);
		return;
	}
	pthread_mutex_lock(&store->lock);
	store->away = false;
	pthread_mutex_unlock(&store->lock);
	log_info("%s answers again", store->db->name);
	tell(store, STORE_BACK);
}

/* Nothing to do: is the connection still there? */
static void look_after(struct store *store)
{
	g_autoptr(GError) error = NULL;
	int64_t deadline = now_usec() + store->timeout_usec;

	if (store->db->ops->check(store->db, &error))
		return;
	log_warn("%s; connecting again", error->message);
	if (!connect_until(store, deadline, &error))
		go_away(store, error);
}

/* Writes the batch, with as many connections as that takes until the deadline. */
static bool write_surely(struct store *store, GPtrArray *batch, GError **error)
{
	int64_t deadline = now_usec() + store->timeout_usec;

	if (store->away) {                       /* since an earlier one of the same batch */
		error_set_literal(error, ERR_STORE_AWAY, store->why);
		return false;
	}
	store->db->deadline_usec = deadline;
	for (;;) {
		g_autoptr(GError) problem = NULL;

		if (write_batch(store, batch, &problem)) {
			g_array_set_size(store->doubt, 0);
			return true;
		}
		if (!error_is(problem, ERR_STORE_AWAY)) {
			g_autoptr(GError) second = NULL;

			/* an earlier try may have been committed */
			if (!settle_doubt(store, &second))
				go_away(store, second);
			g_propagate_error(error, g_steal_pointer(&problem));
			return false;
		}
		doubt(store, batch);
		log_warn("%s; connecting again", problem->message);
		if (!connect_until(store, deadline, &problem)) {
			go_away(store, problem);
			error_set_literal(error, ERR_STORE_AWAY, store->why);
			return false;
		}
	}
}

bool store_is_away(struct store *store)
{
	AUTO_LOCK(&store->lock);

	return store->away;
}

void store_listen(struct store *store, void (*told)(enum store_news news, void *data), void *data)
{
	AUTO_LOCK(&store->listening);

	store->told = told;
	store->told_data = data;
}

/* ---- batches ---- */

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

static void process(struct store *store, GPtrArray *batch)
{
	struct overlay overlay = { store->model, g_array_new(FALSE, FALSE, sizeof(struct pending)) };
	g_autoptr(GPtrArray) good = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < batch->len; i++) {
		g_autoptr(GError) problem = NULL;

		if (change_apply(batch->pdata[i], &overlay, &problem))
			g_ptr_array_add(good, batch->pdata[i]);
		else
			finish(batch->pdata[i], problem);
	}
	g_array_unref(overlay.pending);
	if (!good->len)
		return;
	if (write_surely(store, good, &error))
		publish(store, good);
	else
		log_error("%u changes were not written: %s", good->len, error->message);
	if (!error || good->len == 1 || store->away) {
		for (unsigned i = 0; i < good->len; i++)
			finish(good->pdata[i], error);
		return;
	}
	for (unsigned i = 0; i < good->len; i++) {
		g_autoptr(GPtrArray) one = g_ptr_array_new();

		g_ptr_array_add(one, good->pdata[i]);
		process(store, one);
	}
}

/* Waits for work; of a database that may go away, at most IDLE_USEC. */
static void wait_for_work(struct store *store)
{
	int64_t end = now_usec() + IDLE_USEC;
	struct timespec until = { end / G_USEC_PER_SEC, end % G_USEC_PER_SEC * 1000 };

	while (!store->first && !store->stopping)
		if (!store->db->ops->remote)
			pthread_cond_wait(&store->work, &store->lock);
		else if (pthread_cond_timedwait(&store->work, &store->lock, &until))
			return;
}

/* The next batch; an empty one when nothing came for a while, NULL when there is nothing left to do. */
static GPtrArray *next_batch(struct store *store)
{
	GPtrArray *batch = g_ptr_array_new();
	AUTO_LOCK(&store->lock);

	wait_for_work(store);
	while (store->first && (!batch->len || (batch->len < BATCH_MAX && !store->first->checks->len))) {
		struct change *change = store->first;

		g_ptr_array_add(batch, change);
		store->first = change->next;
		if (!store->first)
			store->last = &store->first;
		store->queued--;
	}
	if (!batch->len && store->stopping)
		g_clear_pointer(&batch, g_ptr_array_unref);
	return batch;
}

static bool is_stopping(struct store *store)
{
	AUTO_LOCK(&store->lock);

	return store->stopping;
}

static void *writer(void *data)
{
	struct store *store = data;
	GPtrArray *batch;

	(void)pthread_setname_np(pthread_self(), "store");
	while ((batch = next_batch(store)) != NULL) {
		if (batch->len)
			process(store, batch);
		else
			look_after(store);
		g_ptr_array_unref(batch);
		while (store->away && !is_stopping(store)) {
			pause_writer(store, AWAY_USEC);
			come_back(store);
		}
	}
	return NULL;
}

static bool enqueue(struct store *store, struct change *change, GError **error)
{
	AUTO_LOCK(&store->lock);

	change->given = change->items->len;
	if (store->away && !store->stopping) {
		error_set_literal(error, ERR_STORE_AWAY, store->why);
		return false;
	}
	if (store->stopping || store->queued >= QUEUE_MAX) {
		error_set(error, ERR_RESOURCE_EXHAUSTED, store->stopping ? "the database is being closed" : "too many changes wait for the database");
		return false;
	}
	*store->last = change;
	store->last = &change->next;
	store->queued++;
	return true;
}

bool store_submit(struct store *store, struct change *change, GError **error)
{
	if (!enqueue(store, change, error))
		return false;
	lane_wait_begin();
	pthread_cond_signal(&store->work);       /* not under the lock: the writer would run into it */
	while (sem_wait(&change->finished) < 0)
		;
	lane_wait_end();
	if (!change->error)
		return true;
	g_propagate_error(error, g_steal_pointer(&change->error));
	return false;
}

/* ---- life ---- */

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
	store->db = database_close(store->db);
	if (store->lock_fd >= 0)
		(void)close(store->lock_fd);
	pthread_mutex_destroy(&store->lock);
	pthread_mutex_destroy(&store->listening);
	pthread_cond_destroy(&store->work);
	for (size_t i = 0; i < G_N_ELEMENTS(store->stripes); i++)
		pthread_mutex_destroy(&store->stripes[i].turn);
	g_array_unref(store->doubt);
	g_free(store->engine_id);
	g_free(store->run);
	g_free(store->why);
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

static bool read_identity(struct store *store, GError **error)
{
	if (!database_text(store->db, "SELECT id FROM engine", &store->engine_id, error))
		return false;
	if (!store->engine_id)
		error_set(error, ERR_STORE_FAILED, "%s is damaged: it does not say which engine it belongs to", store->db->name);
	return store->engine_id;
}

static bool sign(struct database *db, void *data, GError **error)
{
	const struct store *store = data;

	return database_run(db, "DELETE FROM " STORE_WRITER, error) &&
	       db->ops->run(db, "INSERT INTO " STORE_WRITER " (run) VALUES ($1)", (const char *const *)&store->run, 1, error);
}

char *store_where(const struct store_settings *settings)
{
	return settings->where ? g_strdup(settings->where) : g_strconcat("sqlite:", settings->data_dir, "/" STORE_FILE, NULL);
}

static bool open_database(struct store *store, const struct store_settings *settings, GError **error)
{
	g_autofree char *where = store_where(settings), *lock = g_build_filename(settings->data_dir, "engine.lock", NULL);
	const struct database_ops *ops = database_find(where, error);

	if (!ops)
		return false;
	if (g_mkdir_with_parents(settings->data_dir, 0700) < 0) {
		error_set_errno(error, ERR_STORE_FAILED, errno, "%s", settings->data_dir);
		return false;
	}
	/* the accounts are in data_dir in any case */
	if (ops->remote && (store->lock_fd = store_lock(lock, settings->data_dir, error)) < 0)
		return false;
	store->db = database_open(where, DATABASE_OWN, now_usec() + store->timeout_usec, error);
	if (!store->db)
		return false;
	store->db->deadline_usec = now_usec() + MAX(store->timeout_usec, OPEN_USEC);
	return schema_prepare(store->db, store_migrations, store_n_migrations, error) && database_transaction(store->db, sign, store, error) &&
	       read_identity(store, error) && rows_load(store, error);
}

struct store *store_open(const struct store_settings *settings, struct model *model, GError **error)
{
	struct store *store = g_new0(struct store, 1);
	pthread_condattr_t clock;

	store->model = model;
	store->lock_fd = -1;
	store->last = &store->first;
	store->run = g_uuid_string_random();
	store->timeout_usec = settings->timeout_usec ? settings->timeout_usec : STORE_TIMEOUT_USEC;
	store->doubt = g_array_new(FALSE, FALSE, sizeof(struct object));
	g_array_set_clear_func(store->doubt, object_clear);
	pthread_mutex_init(&store->lock, NULL);
	pthread_mutex_init(&store->listening, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&store->work, &clock);
	pthread_condattr_destroy(&clock);
	for (size_t i = 0; i < G_N_ELEMENTS(store->stripes); i++)
		pthread_mutex_init(&store->stripes[i].turn, NULL);

	if (!open_database(store, settings, error) || !start_writer(store, error))
		return store_close(store);
	if (model_count(model, &datacenter_kind) == 0 && model_count(model, &role_kind) == 0 && !store_seed(store, error))
		return store_close(store);
	if (!store_update_builtin(store, error))
		return store_close(store);
	return store;
}
