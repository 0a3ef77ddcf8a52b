/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records to rows and back. The SQL here is what both back ends have in common (database.h).
 *
 * Events: the newest EVENTS_KEPT stay in the database, the newest EVENTS_IN_MEMORY of these in the model.
 */
#include <malloc.h>
#include "common/error.h"
#include "common/log.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/store/store-priv.h"

#define LOG_MODULE "store"

/* ---- reading ---- */

struct loading { struct database *db; const struct kind *kind; GArray *changes; };

static void *read_row(const struct loading *loading, const char *id, const char *doc, GError **error)
{
	struct record_input input = { .dialect = RECORD_STORE };
	json_t *json = doc ? json_loads(doc, 0, NULL) : NULL;
	g_autoptr(GError) problem = NULL;
	void *record = NULL;

	if (json_is_object(json))
		record = record_from_json(loading->kind->type, json, &input, &problem);
	if (record && g_strcmp0(object_id(record), id)) {
		record_unref(record);
		record = NULL;
	}
	if (!record)
		error_set(error, ERR_STORE_FAILED, "%s: table %s, row '%s' is damaged: %s", loading->db->name, loading->kind->collection, id ? id : "",
			  problem ? problem->message : "not the object that it should be");
	if (input.ignored)
		log_info("table %s, row '%s': members of another version left out: %s...", loading->kind->collection, id, (char *)input.ignored->pdata[0]);
	record_input_clear(&input);
	json_decref(json);
	return record;
}

static bool take_row(const char *const *columns, void *data, GError **error)
{
	const struct loading *loading = data;
	struct model_change change = { loading->kind, NULL, read_row(loading, columns[0], columns[1], error) };

	if (!change.record)
		return false;
	change.id = object_id(change.record);
	g_array_append_val(loading->changes, change);
	return true;
}

static bool load_kind(struct store *store, const struct kind *kind, GError **error)
{
	g_autofree char *sql = kind->sequence ?
		g_strdup_printf("SELECT id, doc FROM (SELECT rowid AS r, id, doc FROM \"%s\" ORDER BY rowid DESC LIMIT %d) AS newest ORDER BY r",
				kind->collection, EVENTS_IN_MEMORY) :
		g_strdup_printf("SELECT id, doc FROM \"%s\" ORDER BY rowid", kind->collection);
	struct loading loading = { store->db, kind, g_array_new(FALSE, FALSE, sizeof(struct model_change)) };
	bool good = store->db->ops->query(store->db, sql, take_row, &loading, error);

	if (good)
		model_publish(store->model, (struct model_change *)(void *)loading.changes->data, loading.changes->len);
	for (unsigned i = 0; i < loading.changes->len; i++)
		record_unref(g_array_index(loading.changes, struct model_change, i).record);
	g_array_unref(loading.changes);
	return good;
}

static bool load_number(struct store *store, size_t at, GError **error)
{
	g_autofree char *sql = g_strdup_printf("SELECT max(CAST(id AS BIGINT)) FROM \"%s\"", kinds[at]->collection);

	return database_number(store->db, sql, 0, &store->next_number[at], error);
}

bool rows_count_events(struct store *store, GError **error)
{
	g_autofree char *sql = g_strdup_printf("SELECT count(*) FROM \"%s\"", event_kind.collection);

	return database_number(store->db, sql, 0, &store->events, error);
}

bool rows_load(struct store *store, GError **error)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!kinds[i]->transient && (!load_kind(store, kinds[i], error) || (kinds[i]->sequence && !load_number(store, i, error))))
			return false;
	if (!rows_count_events(store, error))
		return false;
	(void)malloc_trim(0);                    /* the documents' JSON was garbage by the thousand */
	return true;
}

/* ---- writing ---- */

bool rows_put_text(struct database *db, const char *table, const char *const values[4], GError **error)
{
	g_autofree char *sql = g_strdup_printf("INSERT INTO \"%s\" (id, parent, name, doc) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET "
					       "parent = excluded.parent, name = excluded.name, doc = excluded.doc", table);

	return db->ops->run(db, sql, values, 4, error);
}

bool rows_put(struct database *db, const struct kind *kind, const char *id, const void *record, GError **error)
{
	g_autofree char *text = record ? record_to_text(record, RECORD_STORE) : g_strdup_printf("DELETE FROM \"%s\" WHERE id = $1", kind->collection);

	if (!record)
		return db->ops->run(db, text, &id, 1, error);
	return rows_put_text(db, kind->collection, (const char *const[]) { id, object_parent(record), object_name(record), text }, error);
}

bool rows_cut_events(struct database *db, GError **error)
{
	g_autofree char *sql = g_strdup_printf("DELETE FROM \"%s\" WHERE rowid <= (SELECT rowid FROM \"%s\" ORDER BY rowid DESC LIMIT 1 OFFSET %d)",
					       event_kind.collection, event_kind.collection, EVENTS_KEPT);

	return database_run(db, sql, error);
}
