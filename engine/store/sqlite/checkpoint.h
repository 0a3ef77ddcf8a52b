/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORE_SQLITE_CHECKPOINT_H
#define BERTH_ENGINE_STORE_SQLITE_CHECKPOINT_H
/*
 * Keeps the write-ahead log of a database short, beside the connection that writes (https://www.sqlite.org/wal.html, "Checkpointing").
 *
 * SQLite does this within a commit: every thousand pages one commit writes them all to the database and waits until they are on the disk, and everybody who
 * has a change waits with it. Here a thread with a connection of its own does it while commits go on. What these add meanwhile is a few pages; the writer
 * itself takes over those when the thread is done, and so the log begins anew.
 */
#include <glib.h>
#include <sqlite3.h>

struct checkpointer;

/* For the writer's connection to the file, from now on. NULL + error: ERR_STORE_FAILED. */
struct checkpointer *checkpointer_new(sqlite3 *writer, const char *path, GError **error);
/* Before the writer's connection is closed. Returns NULL. */
struct checkpointer *checkpointer_free(struct checkpointer *checkpointer);

#endif
