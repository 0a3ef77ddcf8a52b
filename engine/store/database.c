/* SPDX-License-Identifier: Apache-2.0 */
/* Databases: choosing a back end, and what is put together from its functions. See database.h. */
#include "engine/store/database.h"

#include <string.h>
#include "common/error.h"

static const struct database_ops *const back_ends[] = { &sqlite_database, &postgresql_database };

const struct database_ops *database_find(const char *where, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(back_ends); i++)
		for (const char *const *scheme = back_ends[i]->schemes; *scheme; scheme++)
			if (g_str_has_prefix(where, *scheme))
				return back_ends[i];
	/* the rest may hold a password */
	error_set(error, ERR_CONFIG_INVALID, "[engine] store '%.*s...': neither sqlite:FILE nor postgresql://...", (int)strcspn(where, ":/ ="), where);
	return NULL;
}

struct database *database_open(const char *where, enum database_use use, int64_t deadline_usec, GError **error)
{
	const struct database_ops *ops = database_find(where, error);

	return ops ? ops->open(where, use, deadline_usec, error) : NULL;
}

struct database *database_close(struct database *db)
{
	if (db)
		db->ops->close(db);
	return NULL;
}

bool database_transaction(struct database *db, bool (*fn)(struct database *db, void *data, GError **error), void *data, GError **error)
{
	if (db->ops->begin(db, /* write= */ true, error) && fn(db, data, error) && db->ops->commit(db, error))
		return true;
	db->ops->rollback(db);
	return false;
}

bool database_run(struct database *db, const char *sql, GError **error)
{
	return db->ops->run(db, sql, NULL, 0, error);
}

static bool take_text(const char *const *columns, void *data, GError **error)
{
	char **text = data;

	if (!*text)
		*text = g_strdup(columns[0]);
	return true;
}

bool database_text(struct database *db, const char *sql, char **ret_text, GError **error)
{
	g_autofree char *text = NULL;

	if (!db->ops->query(db, sql, take_text, &text, error))
		return false;
	*ret_text = g_steal_pointer(&text);
	return true;
}

bool database_number(struct database *db, const char *sql, int64_t none, int64_t *ret_number, GError **error)
{
	g_autofree char *text = NULL;

	if (!database_text(db, sql, &text, error))
		return false;
	*ret_number = text ? g_ascii_strtoll(text, NULL, 10) : none;
	return true;
}

static bool take_name(const char *const *columns, void *data, GError **error)
{
	g_hash_table_add(data, g_strdup(columns[0]));
	return true;
}

GHashTable *database_tables(struct database *db, GError **error)
{
	GHashTable *tables = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	if (db->ops->query(db, db->ops->tables, take_name, tables, error))
		return tables;
	g_hash_table_unref(tables);
	return NULL;
}
