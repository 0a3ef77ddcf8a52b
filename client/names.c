/* SPDX-License-Identifier: Apache-2.0 */
#include "client/view.h"
#include <string.h>

static GHashTable *known;             /* path below the base -> name; "": asked for in vain */
static GHashTable *listed;            /* collections that were asked for */

static void take(const char *path, const json_t *object)
{
	char *name = json_text_at(object, "name|alias");

	g_hash_table_insert(known, g_strdup(path), name ? name : g_strdup(""));
}

static void take_all(struct rest *rest, const char *collection)
{
	struct rest_answer answer = { 0 };
	const json_t *items, *item;
	size_t i;

	if (!g_hash_table_add(listed, g_strdup(collection)) || !rest_request(rest, "GET", collection, NULL, &answer, NULL))
		return;
	items = collection_items(answer.json);
	json_array_foreach(items, i, item) {
		const char *path = rest_below_base(rest, json_string_value(json_object_get(item, "href")));

		if (path)
			take(path, item);
	}
	rest_answer_clear(&answer);
}

static void take_one(struct rest *rest, const char *path)
{
	struct rest_answer answer = { 0 };

	/* without an answer the id is shown */
	take(path, rest_request(rest, "GET", path, NULL, &answer, NULL) ? answer.json : NULL);
	rest_answer_clear(&answer);
}

const char *reference_name(struct rest *rest, const char *path, bool all)
{
	const char *name;

	if (!known) {
		known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
		listed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	}
	if (all && !g_hash_table_contains(known, path)) {
		g_autofree char *collection = g_path_get_dirname(path);

		take_all(rest, collection);
	}
	if (!all && !g_hash_table_contains(known, path))
		take_one(rest, path);
	name = g_hash_table_lookup(known, path);
	return name && *name ? name : NULL;
}
