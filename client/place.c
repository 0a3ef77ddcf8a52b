/* SPDX-License-Identifier: Apache-2.0 */
/* Collections of the engine, and which of their objects a name means. */
#include "client/resource.h"
#include "client/view.h"
#include "common/error.h"
#include <string.h>

#define SUGGEST_FROM_MAX 1000         /* objects among which a similar name is looked for */

bool client_open(struct client *client, double seconds, GError **error)
{
	client->session = session_load(error);
	client->rest = client->session ? rest_new(client->session, seconds, error) : NULL;
	return client->rest != NULL;
}

void client_close(struct client *client)
{
	client->rsdl = rsdl_free(client->rsdl);
	client->rest = rest_free(client->rest);
	client->session = session_free(client->session);
}

bool client_describe(struct client *client, bool offline, GError **error)
{
	g_autoptr(GError) cause = NULL;

	if (client->rsdl_tried)
		return true;
	client->rsdl_tried = true;
	client->rsdl = client->rest ? rsdl_load(client->rest, offline, &cause) : NULL;
	if (cause && !error_is(cause, ERR_NOT_FOUND) && !error_is(cause, ERR_SYNTAX)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	return true;
}

struct place place_top(const char *collection)
{
	return (struct place){ g_strconcat("/", collection, NULL), g_strdup(collection), g_strdup(collection), collection };
}

struct place place_below(const struct place *place, const char *id, const char *shown, const char *collection)
{
	return (struct place){ g_strconcat(place->path, "/", id, "/", collection, NULL), g_strconcat(place->template, "/{}/", collection, NULL),
			       g_strconcat(place->shown, " ", shown, " ", collection, NULL), collection };
}

void place_clear(struct place *place)
{
	g_free(place->path);
	g_free(place->template);
	g_free(place->shown);
}

/* ---- names ---- */

static char *match_name(const json_t *items, const char *name, bool fold, GString *several, unsigned *ret_n)
{
	char *found = NULL;
	const json_t *item;
	size_t i;

	*ret_n = 0;
	json_array_foreach(items, i, item) {
		g_autofree char *text = json_text_at(item, "name|alias"), *id = json_text_at(item, "id");
		bool called = text && (fold ? g_ascii_strcasecmp(text, name) : strcmp(text, name)) == 0;

		/* not every id is a UUID: those of files and permits */
		if (!id || (!called && strcmp(id, name) != 0))
			continue;
		g_string_append_printf(several, "%s%s", (*ret_n)++ ? ", " : "", id);
		if (!found)
			found = g_steal_pointer(&id);
	}
	return found;
}

char *place_suggest(struct client *client, const struct place *place, const char *name)
{
	g_autofree char *path = rest_search_path(place->path, NULL, SUGGEST_FROM_MAX), *meant = NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	struct rest_answer answer = { 0 };
	const json_t *items, *item;
	size_t i;

	if (rest_request(client->rest, "GET", path, NULL, &answer, NULL)) {
		items = collection_items(answer.json);
		json_array_foreach(items, i, item) {
			char *text = json_text_at(item, "name|alias");

			if (text)
				g_ptr_array_add(names, text);
		}
	}
	rest_answer_clear(&answer);
	meant = did_you_mean(name, names);
	return g_strdup_printf("%s `berth %s` lists them", meant, place->shown);
}

/* The members that may be called by the name: those that a search finds, or all where there is none. */
static bool candidates(struct client *client, const struct place *place, const char *name, struct rest_answer *ret, GError **error)
{
	bool searchable = !strchr(place->template, '/') && !strpbrk(name, "\"*\\");
	g_autofree char *query = g_strdup_printf("name=\"%s\"", name), *path = rest_search_path(place->path, query, 0);
	g_autoptr(GError) cause = NULL;

	if (searchable && rest_request(client->rest, "GET", path, NULL, ret, &cause))
		return true;
	if (cause && (exit_status(cause) == EXIT_LOGIN || exit_status(cause) == EXIT_NO_CONNECTION || exit_status(cause) == EXIT_TIMEOUT)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	return rest_request(client->rest, "GET", place->path, NULL, ret, error);
}

char *place_resolve(struct client *client, const struct place *place, const char *name, GError **error)
{
	g_autoptr(GString) several = g_string_new(NULL);
	g_autofree char *id = NULL;
	struct rest_answer answer = { 0 };
	unsigned n;

	/* events have numbers, and are too many to be listed */
	if (g_uuid_string_is_valid(name) || (strcmp(place->name, "events") == 0 && *name && !name[strspn(name, "0123456789")]))
		return g_strdup(name);
	if (!candidates(client, place, name, &answer, error))
		return NULL;
	id = match_name(collection_items(answer.json), name, /* fold= */ false, several, &n);
	if (!id)
		id = match_name(collection_items(answer.json), name, /* fold= */ true, several, &n);
	rest_answer_clear(&answer);
	if (!id) {
		g_autofree char *hint = place_suggest(client, place, name);

		g_set_error(error, BERTH_ERROR, ERR_NOT_FOUND, "there is no '%s' in %s%s", name, place->shown, hint);
		return NULL;
	}
	if (n > 1) {
		g_set_error(error, BERTH_ERROR, ERR_CONFLICT, "%u objects in %s are called '%s'; name one by its id: %s", n, place->shown, name, several->str);
		return NULL;
	}
	return g_uri_escape_string(id, NULL, FALSE);
}

/* ---- operations ---- */

const struct rsdl_link *place_link(const struct client *client, const struct place *place, const char *operation)
{
	bool creates = strcmp(operation, "create") == 0, shows = strcmp(operation, "show") == 0;

	return rsdl_find(client->rsdl, place->template, /* member= */ !creates, creates ? "add" : shows ? "get" : operation);
}

GPtrArray *place_operations(const struct client *client, const struct place *place)
{
	static const char *const general[] = { "show", "create", "update", "delete" };
	GPtrArray *found = g_ptr_array_new();
	g_autoptr(GPtrArray) actions = rsdl_actions(client->rsdl, place->template);

	g_ptr_array_add(found, (char *)"list");
	for (size_t i = 0; i < G_N_ELEMENTS(general); i++)
		if (!client->rsdl || place_link(client, place, general[i]))
			g_ptr_array_add(found, (char *)general[i]);
	/* these go by their data centers */
	if (strcmp(place->template, "storagedomains") == 0)
		for (const char *const *word = domain_operations; *word; word++)
			g_ptr_array_add(found, (char *)*word);
	g_ptr_array_extend(found, actions, NULL, NULL);
	return found;
}
