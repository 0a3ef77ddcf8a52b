/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_BACKUP_H
#define BERTH_ENGINE_BACKUP_H
/*
 * Backup of what an engine keeps: the database and the accounts of its data directory, in one file, which is an SQLite database whatever the engine's own
 * is. May be made while the engine runs: it is the state at one instant, every change whole. It can be restored into any back end.
 */
#include <stdbool.h>
#include <glib.h>
#include "engine/store/store.h"

/* The file must not exist; it is there when it is whole, readable by its owner only. */
bool store_backup(const struct store_settings *settings, const char *file, GError **error);
/* The engine must not run. What was there is replaced, or stays as it was when this fails. force: although a database is there. */
bool store_restore(const char *file, const struct store_settings *settings, bool force, GError **error);

#endif
