/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the engine for each operation, and what is said of its answer. */
#include "client/resource.h"
#include "client/table.h"
#include "client/view.h"
#include "common/error.h"
#include <string.h>

static int finish(struct rest_answer *answer)
{
	if (answer->warning)
		complain("the engine warns: %s", answer->warning);
	if (settings.json && answer->json)
		json_print(stdout, answer->json);
	rest_answer_clear(answer);
	return 0;
}

/* "vms start web1": how messages about one object begin. g_free */
static char *label_of(const struct operation *operation, const char *name)
{
	return g_strconcat(operation->place->shown, " ", operation->name, name ? " " : NULL, name, NULL);
}

/* The member that the engine refused ("Unknown member: vm: os/knel") as it is written here. g_free */
static char *refused_member(const char *message)
{
	const char *last = g_strrstr(message, ": ");
	char *member = g_strdup(last ? last + 2 : message);

	member[strcspn(member, " ")] = 0;
	return g_strdelimit(member, "/@", '.');
}

/* "cluster: cluster named 'nope'": what the engine says of a reference to nothing. g_free; NULL: it says something else */
static char *suggest_reference(struct client *client, const char *message)
{
	g_autoptr(GRegex) regex = g_regex_new("(\\w+) named '([^']*)'$", 0, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;
	g_autofree char *element = NULL, *name = NULL;
	const char *collection;
	struct place place;
	char *hint;

	if (!g_regex_match(regex, message, 0, &match))
		return NULL;
	element = g_match_info_fetch(match, 1);
	name = g_match_info_fetch(match, 2);
	collection = rsdl_collection_of(client->rsdl, element);
	if (!collection)
		return NULL;
	place = place_top(collection);
	hint = place_suggest(client, &place, name);
	place_clear(&place);
	return hint;
}

/* Says why not; where the question was wrong, also what would be right. */
static int refused(const struct operation *operation, const char *name, const GError *error)
{
	g_autofree char *label = label_of(operation, name), *hint = NULL;

	if (error_is(error, ERR_UNKNOWN_MEMBER) && operation->link) {
		g_autofree char *member = refused_member(error->message);
		g_autoptr(GPtrArray) known = body_names(operation->link);

		hint = did_you_mean(member, known);
	} else if (error_is(error, ERR_UNKNOWN_MEMBER) || error_is(error, ERR_INCOMPLETE) || error_is(error, ERR_BAD_VALUE)) {
		hint = g_strdup(";");
	}
	if (hint) {
		complain("%s: %s%s `berth %s %s -h` explains it", label, error->message, hint, operation->place->shown, operation->name);
	} else {
		hint = suggest_reference(operation->client, error->message);
		complain("%s: %s%s", label, error->message, hint ? hint : "");
	}
	return exit_status(error);
}

/* ---- reading ---- */

int list_objects(struct client *client, const struct place *place)
{
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };
	long limit = 0;

	if (settings.max && !option_number("max", settings.max, 1, G_MAXINT, &limit))
		return EXIT_USAGE;
	path = rest_search_path(place->path, settings.search, limit);
	if (!rest_request(client->rest, "GET", path, NULL, &answer, &error)) {
		if (error_is(error, ERR_NOT_FOUND) && !strchr(place->template, '/'))
			complain("%s; is %s the engine's API?", error->message, rest_session(client->rest)->url);
		else
			complain("%s%s", error->message, settings.search && exit_status(error) == EXIT_FAILED ? "; `berth help search` explains it" : "");
		return exit_status(error);
	}
	if (!settings.json)
		view_list(place->name, collection_items(answer.json), client->rest, settings.exact);
	return finish(&answer);
}

int show_one(struct client *client, const struct place *place, const char *id)
{
	g_autofree char *path = g_strconcat(place->path, "/", id, NULL);
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };

	if (!rest_request(client->rest, "GET", path, NULL, &answer, &error))
		return report_failure(error);
	if (!settings.json) {
		struct schema *schema = schema_load(client->rest);
		const struct rsdl_link *link;

		/* an engine that does not describe itself is shown as it answers */
		(void)client_describe(client, /* offline= */ false, NULL);
		link = place_link(client, place, "show");
		show_object(answer.json, &(struct show_context){ client->rest, client->rsdl, schema, link ? link->response_type : NULL, settings.exact });
		schema_free(schema);
	}
	return finish(&answer);
}

/* ---- creating ---- */

static const char *link_href(const json_t *object, const char *rel)
{
	const json_t *links = json_object_get(object, "link"), *link;
	size_t i;

	json_array_foreach(links, i, link)
		if (g_strcmp0(json_string_value(json_object_get(link, "rel")), rel) == 0)
			return json_string_value(json_object_get(link, "href"));
	return NULL;
}

int create_object(const struct operation *operation)
{
	struct rest *rest = operation->client->rest;
	struct wait *wait = settings.wait ? wait_new(rest, settings.seconds) : NULL;
	unsigned flags = settings.async || wait ? 0 : REST_EXPECT_CREATED;
	g_autofree char *id = NULL, *href = NULL, *label = NULL;
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };
	int status = 0;

	if (!rest_request_full(rest, "POST", operation->place->path, operation->body, flags, /* etag= */ NULL, &answer, &error)) {
		wait_free(wait);
		return refused(operation, NULL, error);
	}
	id = json_text_at(answer.json, "id");
	href = g_strdup(answer.status == 202 ? link_href(answer.json, "creation_status") : NULL);
	if (!settings.json && id)
		puts(id);
	(void)finish(&answer);
	if (wait && id) {
		/* who waits for the id shall have it now */
		fflush(stdout);
		label = label_of(operation, id);
		status = wait_task(wait, href, label);
		if (status == 0)
			status = wait_object(wait, operation->place, id, operation->name, NULL, label);
	}
	wait_free(wait);
	return status;
}

/* ---- changing ---- */

/* An action that is over, or running: what it brought beside its state. */
static int show_action(const struct rest_answer *answer, const char *label)
{
	static const char *const known[] = { "status", "id", "href", "link", "actions", "async", "force", "grace_period", "job", "vm", "host", "fault" };
	g_autofree char *state = json_text_at(answer->json, "status.state|status"), *detail = json_text_at(answer->json, "fault.detail|fault.reason");
	json_t *rest;

	if (g_strcmp0(state, "failed") == 0) {
		complain("%s: %s", label, detail ? detail : "failed");
		return EXIT_FAILED;
	}
	if (settings.json || !json_is_object(answer->json))
		return 0;
	if (answer->status == 202)
		printf("%s: %s\n", label, state ? state : "pending");
	rest = json_copy(answer->json);
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		json_object_del(rest, known[i]);
	if (json_object_size(rest))
		show_object(rest, &(struct show_context){ .exact = settings.exact });
	json_decref(rest);
	return 0;
}

/* ret_href: where a task that goes on can be asked about; stays as it is when none does. */
static int change(const struct operation *operation, const char *id, const char *name, char **ret_href)
{
	bool updates = strcmp(operation->name, "update") == 0, removes = strcmp(operation->name, "delete") == 0 || strcmp(operation->name, "detach") == 0;
	bool acts = !updates && !removes;
	const char *method = updates ? "PUT" : removes ? "DELETE" : "POST";
	g_autofree char *path = g_strconcat(operation->place->path, "/", id, acts ? "/" : NULL, operation->name, NULL);
	g_autofree char *label = label_of(operation, name);
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };
	int status = 0;

	if (!rest_request(operation->client->rest, method, path, removes && !json_object_size(operation->body) ? NULL : operation->body, &answer, &error))
		return refused(operation, name, error);
	if (settings.wait && answer.status == 202)
		*ret_href = json_text_at(answer.json, "href");
	else if (acts)
		status = show_action(&answer, label);
	(void)finish(&answer);
	return status;
}

int change_objects(const struct operation *operation, const GPtrArray *ids, const GPtrArray *names)
{
	struct wait *wait = settings.wait ? wait_new(operation->client->rest, settings.seconds) : NULL;
	g_autoptr(GPtrArray) hrefs = g_ptr_array_new_with_free_func(g_free);
	int worst = 0, status;

	for (guint i = 0; i < ids->len; i++) {
		char *href = NULL;

		status = change(operation, ids->pdata[i], names->pdata[i], &href);
		worst = MAX(worst, status);
		/* "": begun, and done at once */
		g_ptr_array_add(hrefs, status ? NULL : href ? href : g_strdup(""));
	}
	for (guint i = 0; wait && i < ids->len; i++) {
		g_autofree char *label = label_of(operation, names->pdata[i]);

		if (!hrefs->pdata[i])
			continue;
		status = wait_task(wait, hrefs->pdata[i], label);
		if (status == 0)
			status = wait_object(wait, operation->place, ids->pdata[i], operation->name, operation->body, label);
		worst = MAX(worst, status);
	}
	wait_free(wait);
	return worst;
}
