/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's schema, the same in every back end.
 *
 * One table per kind, all of the same shape: id TEXT PRIMARY KEY, parent TEXT, name TEXT, doc TEXT. The row order (rowid) is the order of creation. A kind
 * that is new gets its table when the database is opened; only a change of what stands in `doc` needs a migration. parent and name are copies of what is
 * in doc, for people who look into the database with tools of their own.
 *
 * The table `engine` has one row: the id of this engine. The table `schema` has one row per step that was made; the highest version is that of the
 * database. Version numbers only grow; a database that is newer than the program is refused, for the program would not know what it must not lose.
 * The table `writer` has one row: which run of an engine writes (store.c).
 */
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/store/store-priv.h"
#include <string.h>

#define LOG_MODULE "store"

/* ---- steps ---- */

static bool make_identity(struct database *db, GError **error)
{
	g_autofree char *id = g_uuid_string_random();

	return database_run(db, "CREATE TABLE engine (id TEXT PRIMARY KEY NOT NULL)", error) &&
	       db->ops->run(db, "INSERT INTO engine (id) VALUES ($1)", (const char *const[]) { id }, 1, error);
}

struct edits { bool (*edit)(json_t *doc); GPtrArray *rows; };         /* id, new doc, id, new doc, ... */

static bool edit_row(const char *const *columns, void *data, GError **error)
{
	struct edits *edits = data;
	json_t *doc = json_loads(columns[1] ? columns[1] : "", 0, NULL);

	if (!json_is_object(doc)) {
		json_decref(doc);
		error_set(error, ERR_STORE_FAILED, "row '%s' is damaged: not the object that it should be", columns[0]);
		return false;
	}
	if (edits->edit(doc)) {
		char *text = json_dumps(doc, JSON_COMPACT);

		g_ptr_array_add(edits->rows, g_strdup(columns[0]));
		g_ptr_array_add(edits->rows, g_strdup(text));
		free(text);
	}
	json_decref(doc);
	return true;
}

bool schema_edit(struct database *db, const char *table, bool (*edit)(json_t *doc), GError **error)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *select = g_strdup_printf("SELECT id, doc FROM \"%s\" ORDER BY rowid", table);
	g_autofree char *update = g_strdup_printf("UPDATE \"%s\" SET doc = $1 WHERE id = $2", table);
	struct edits edits = { edit, rows };
	bool done = db->ops->query(db, select, edit_row, &edits, error);

	for (unsigned i = 0; done && i < rows->len; i += 2)
		done = db->ops->run(db, update, (const char *const[]) { rows->pdata[i + 1], rows->pdata[i] }, 2, error);
	if (!done)
		error_wrap(error, "%s: table %s", db->name, table);
	return done;
}

/* Permissions name their object as a reference too, so that it can be searched for. */
static bool refer_permission(json_t *doc)
{
	static const char *const members[][2] = {
		{ "datacenters", "data_center" }, { "clusters", "cluster" }, { "hosts", "host" }, { "vms", "vm" }, { "templates", "template" },
		{ "storagedomains", "storage_domain" }, { "networks", "network" }, { "disks", "disk" }, { "cpuprofiles", "cpu_profile" },
	};
	const char *kind = json_string_value(json_object_get(doc, "object_kind"));
	json_t *id = json_object_get(doc, "object_id");

	for (size_t i = 0; kind && id && i < G_N_ELEMENTS(members); i++)
		if (!strcmp(kind, members[i][0]))
			return json_object_set(doc, members[i][1], id) == 0;
	return false;
}

static bool refer_permissions(struct database *db, GError **error)
{
	return schema_edit(db, "permissions", refer_permission, error);
}

/* Texts that became references: another name of the member, the same id. */
static bool refer(json_t *doc, const char *text, const char *reference)
{
	json_t *id = json_object_get(doc, text);

	return id && json_object_set(doc, reference, id) == 0 && json_object_del(doc, text) == 0;
}

static bool refer_disk(json_t *doc)
{
	return refer(doc, "disk_profile@id", "disk_profile");
}

static bool refer_nic(json_t *doc)
{
	return refer(doc, "vnic_profile@id", "vnic_profile");
}

static bool refer_cpu_profile(json_t *doc)
{
	return refer(doc, "qos@id", "qos");
}

static bool refer_profiles(struct database *db, GError **error)
{
	return schema_edit(db, "disks", refer_disk, error) && schema_edit(db, "nics", refer_nic, error) &&
	       schema_edit(db, "cpuprofiles", refer_cpu_profile, error);
}

const struct migration store_migrations[] = {
	{ 1, "first form", NULL },
	{ 2, "identity of the engine", make_identity },
	{ 3, "permissions refer to their objects", refer_permissions },
	{ 4, "profiles and limits are referred to", refer_profiles },
};
const size_t store_n_migrations = G_N_ELEMENTS(store_migrations);

/* ---- tables ---- */

bool schema_make_table(struct database *db, const char *name, GError **error)
{
	g_autofree char *sql = g_strdup_printf("CREATE TABLE \"%s\" (%sid TEXT PRIMARY KEY NOT NULL, parent TEXT, name TEXT, doc TEXT NOT NULL)", name,
					       db->ops->rowid);

	return database_run(db, sql, error);
}

bool schema_begin(struct database *db, GError **error)
{
	return database_run(db, "CREATE TABLE schema (version BIGINT PRIMARY KEY, made BIGINT NOT NULL, what TEXT NOT NULL)", error) &&
	       database_run(db, db->ops->mark, error);
}

bool schema_note_version(struct database *db, const char *version, const char *made, const char *what, GError **error)
{
	/* a parameter has the type of its column, a value is text */
	return db->ops->run(db, "INSERT INTO schema (version, made, what) VALUES (CAST($1 AS BIGINT), CAST($2 AS BIGINT), $3)",
			    (const char *const[]) { version, made, what }, 3, error);
}

static bool note(struct database *db, const struct migration *migration, GError **error)
{
	g_autofree char *version = g_strdup_printf("%d", migration->version), *made = g_strdup_printf("%" G_GINT64_FORMAT, wall_msec());

	return schema_note_version(db, version, made, migration->what, error);
}

static bool make_missing(struct database *db, GHashTable *there, GError **error)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!kinds[i]->transient && !g_hash_table_contains(there, kinds[i]->collection) && !schema_make_table(db, kinds[i]->collection, error))
			return false;
	return g_hash_table_contains(there, STORE_WRITER) || database_run(db, "CREATE TABLE " STORE_WRITER " (run TEXT NOT NULL)", error);
}

static bool create(struct database *db, void *newest, GError **error)
{
	g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);

	return schema_begin(db, error) && make_identity(db, error) && make_missing(db, none, error) && note(db, newest, error);
}

static bool step(struct database *db, void *data, GError **error)
{
	const struct migration *migration = data;

	return (!migration->run || migration->run(db, error)) && note(db, migration, error);
}

static bool complete(struct database *db, void *tables, GError **error)
{
	return make_missing(db, tables, error);
}

bool schema_check_version(struct database *db, const struct migration *newest, int64_t *ret_version, GError **error)
{
	int64_t version;

	if (!database_number(db, "SELECT max(version) FROM schema", 0, &version, error))
		return false;
	if (version > newest->version) {
		error_set(error, ERR_STORE_FAILED, "%s has version %" G_GINT64_FORMAT " and was written by a newer program; this one knows up to %d", db->name,
			  version, newest->version);
		return false;
	}
	*ret_version = version;
	return true;
}

bool schema_prepare(struct database *db, const struct migration *migrations, size_t n, GError **error)
{
	g_autoptr(GHashTable) tables = database_tables(db, error);
	const struct migration *newest = &migrations[n - 1];
	g_autofree char *marked = NULL;
	int64_t version;

	if (!tables)
		return false;
	if (g_hash_table_size(tables) == 0)
		return database_transaction(db, create, (void *)newest, error);
	if (!database_text(db, db->ops->marked, &marked, error))
		return false;
	if (!marked) {
		error_set(error, ERR_STORE_FAILED, "%s is the database of another program", db->name);
		return false;
	}
	if (!schema_check_version(db, newest, &version, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (migrations[i].version <= version)
			continue;
		log_info("%s: to version %d, %s", db->name, migrations[i].version, migrations[i].what);
		if (!database_transaction(db, step, (void *)&migrations[i], error)) {
			error_wrap(error, "bring the database to version %d (%s)", migrations[i].version, migrations[i].what);
			return false;
		}
	}
	return database_transaction(db, complete, tables, error);
}
