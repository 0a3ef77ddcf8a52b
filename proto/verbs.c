/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs, joined from those of the nouns. Names, parameters, results and error codes are those of vdsm (lib/vdsm/api/vdsm-api.yml);
 * verbs of our own say so. */
#include "proto/verb.h"
#include "common/error.h"
#include "proto/jsonrpc.h"

#define TABLE(noun) { noun##_verbs, &n_##noun##_verbs }
static const struct { const struct verb *rows; const size_t *n; } tables[] = {
	TABLE(host), TABLE(vm), TABLE(migration), TABLE(guest), TABLE(device), TABLE(storage), TABLE(volume), TABLE(block), TABLE(pool),
	TABLE(transfer), TABLE(lease), TABLE(secret), TABLE(snapshot), TABLE(backup), TABLE(endpoint), TABLE(gluster),
};

const struct verb *verb_nth(size_t i)
{
	for (size_t t = 0; t < G_N_ELEMENTS(tables); i -= *tables[t++].n)
		if (i < *tables[t].n)
			return &tables[t].rows[i];
	return NULL;
}

static gpointer make_index(gpointer unused)
{
	GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);
	const struct verb *verb;

	for (size_t i = 0; (verb = verb_nth(i)); i++)
		g_hash_table_insert(index, (gpointer)verb->name, (gpointer)verb);
	return index;
}

const struct verb *verb_find(const char *name)
{
	static GOnce once = G_ONCE_INIT;

	return g_hash_table_lookup(g_once(&once, make_index, NULL), name);
}

/* By position, in the order of the table. */
static json_t *named(const struct verb *verb, const json_t *array, GError **error)
{
	json_t *object = json_object();

	for (size_t i = 0; i < json_array_size(array); i++) {
		if (!verb->params || i >= verb->params->n_fields) {
			error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s takes %zu parameters, %zu are given", verb->name,
				  verb->params ? verb->params->n_fields : (size_t)0, json_array_size(array));
			json_decref(object);
			return NULL;
		}
		json_object_set(object, verb->params->fields[i].path, json_array_get(array, i));
	}
	return object;
}

void *verb_params(const struct verb *verb, const json_t *params, struct record_input *input, GError **error)
{
	struct record_input own = { .dialect = RECORD_CHANNEL };
	json_t *object = NULL;
	void *record = NULL;
	GError *cause = NULL;
	const char *name;
	json_t *value;

	static const struct record_type none = { .name = "no parameters", .size = sizeof(struct record), .doc = "A verb without parameters" };

	if (json_is_array(params) && !(object = named(verb, params, error)))
		return NULL;
	if (!object)
		object = params ? json_incref((json_t *)params) : json_object();
	if (!json_is_object(object)) {
		error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s: parameters must be an object or an array", verb->name);
		json_decref(object);
		return NULL;
	}
	json_object_foreach(object, name, value) {
		if (!jsonrpc_has_nul(value))
			continue;
		error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s: a text of parameter '%s' has the character U+0000 in it", verb->name, name);
		json_decref(object);
		return NULL;
	}
	record = record_from_json(verb->params ? verb->params : &none, object, input ? input : &own, &cause);
	json_decref(object);
	if (!input)
		record_input_clear(&own);
	if (!record) {
		if (error_is(cause, ERR_UNKNOWN_MEMBER))
			g_propagate_error(error, cause);
		else {
			error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s", cause->message);
			g_error_free(cause);
		}
		return NULL;
	}
	if (!record_check_required(record, verb->name, /* more= */ NULL, &cause)) {
		error_set(error, ERR_JSONRPC_INTERNAL, "{'reason': '%s'}", cause->message);
		g_error_free(cause);
		record_unref(record);
		return NULL;
	}
	record_defaults(record, 0);
	return record;
}
