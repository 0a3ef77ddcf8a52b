/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_BACKUP_H
#define BERTH_ENGINE_BACKUP_H
/*
 * Backup of what an engine keeps in its data directory: the database and the accounts, in one file, which is a database itself. May be made while the
 * engine runs: it is the state at one instant, every change whole.
 */
#include <stdbool.h>
#include <glib.h>

/* The file must not exist; it is there when it is whole, readable by its owner only. */
bool store_backup(const char *data_dir, const char *file, GError **error);
/* The engine must not run. What was in the directory is replaced, or stays as it was when this fails. force: although a database is there. */
bool store_restore(const char *file, const char *data_dir, bool force, GError **error);

#endif
