/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PASS_PAGES more are in the log > the thread copies all there is > ... > the log has LOG_PAGES > the writer copies the few that are left, and the log
 * begins anew with its next commit. See checkpoint.h.
 *
 * Passes are small, since the commits of that moment wait for the same disk. What cannot be copied, because somebody reads an old state or the disk is full,
 * stays in the log, which is as good; the next commit tries again.
 */
#define LOG_MODULE "store"
#include "engine/store/sqlite/checkpoint.h"
#include <pthread.h>
#include <stdbool.h>
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"

#define PASS_PAGES 250                           /* 1 MiB */
#define LOG_PAGES 4000

struct checkpointer {
	sqlite3 *writer, *db;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	int begun;                               /* pages in the log when the last pass began */
	bool copying, running, stopping;         /* copying: the thread is at it */
};

static void copy(sqlite3 *db)
{
	int rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		log_debug("the log stays as it is for now: %s", sqlite3_errmsg(db));
}

static bool wait_for_work(struct checkpointer *checkpointer)
{
	AUTO_LOCK(&checkpointer->lock);

	while (!checkpointer->copying && !checkpointer->stopping)
		pthread_cond_wait(&checkpointer->work, &checkpointer->lock);
	return !checkpointer->stopping;
}

static void *work(void *data)
{
	struct checkpointer *checkpointer = data;

	(void)pthread_setname_np(pthread_self(), "store-log");
	while (wait_for_work(checkpointer)) {
		copy(checkpointer->db);
		AUTO_LOCK(&checkpointer->lock);
		checkpointer->copying = false;
	}
	return NULL;
}

/* After each commit of the writer, outside of its transaction. */
static int committed(void *data, sqlite3 *writer, const char *name, int pages)
{
	struct checkpointer *checkpointer = data;
	bool rest, begin;

	{
		AUTO_LOCK(&checkpointer->lock);
		if (pages < checkpointer->begun)         /* it began anew */
			checkpointer->begun = 0;
		rest = !checkpointer->copying && pages >= LOG_PAGES;
		begin = !checkpointer->copying && !rest && pages - checkpointer->begun >= PASS_PAGES;
		if (begin) {
			checkpointer->begun = pages;
			checkpointer->copying = true;
		}
	}
	if (begin)
		pthread_cond_signal(&checkpointer->work);
	if (rest)
		copy(writer);
	return SQLITE_OK;
}

struct checkpointer *checkpointer_new(sqlite3 *writer, const char *path, GError **error)
{
	struct checkpointer *checkpointer = g_new0(struct checkpointer, 1);
	int rc;

	checkpointer->writer = writer;
	pthread_mutex_init(&checkpointer->lock, NULL);
	pthread_cond_init(&checkpointer->work, NULL);
	if (sqlite3_open_v2(path, &checkpointer->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		error_set(error, ERR_STORE_FAILED, "%s: %s", path, checkpointer->db ? sqlite3_errmsg(checkpointer->db) : "no memory");
		return checkpointer_free(checkpointer);
	}
	rc = pthread_create(&checkpointer->thread, NULL, work, checkpointer);
	if (rc) {
		error_set_errno(error, ERR_STORE_FAILED, rc, "%s: start the thread for its log", path);
		return checkpointer_free(checkpointer);
	}
	checkpointer->running = true;
	(void)sqlite3_wal_hook(writer, committed, checkpointer);        /* in the place of SQLite's own */
	return checkpointer;
}

struct checkpointer *checkpointer_free(struct checkpointer *checkpointer)
{
	if (!checkpointer)
		return NULL;
	if (checkpointer->running) {
		(void)sqlite3_wal_hook(checkpointer->writer, NULL, NULL);
		pthread_mutex_lock(&checkpointer->lock);
		checkpointer->stopping = true;
		pthread_mutex_unlock(&checkpointer->lock);
		pthread_cond_signal(&checkpointer->work);
		pthread_join(checkpointer->thread, NULL);
	}
	(void)sqlite3_close(checkpointer->db);
	pthread_cond_destroy(&checkpointer->work);
	pthread_mutex_destroy(&checkpointer->lock);
	g_free(checkpointer);
	return NULL;
}
