/* SPDX-License-Identifier: Apache-2.0 */
/* Help and completion for the resources of an engine, from its own description. */
#include "client/resource.h"
#include "client/view.h"
#include <string.h>

#define COMPLETION_SECONDS 2

int operation_help(const struct client *client, const struct place *place, const char *operation)
{
	const struct rsdl_link *link = place_link(client, place, operation);
	bool lists = strcmp(operation, "list") == 0, creates = strcmp(operation, "create") == 0, attaches = strcmp(operation, "attach") == 0;
	const char *goal = wait_goal(place, operation);

	if (lists || strcmp(operation, "show") == 0)
		return place_help(client, place);
	printf("usage: berth %s %s%s%s\n", place->shown, operation, creates ? "" : " NAME|ID",
	       attaches ? " datacenter=NAME|ID" : link && link->parameters->len ? " [NAME=VALUE | JSON]..." : "");
	if (link && link->description && *link->description)
		printf("\n%s.\n", link->description);
	if (goal)
		printf("\nWith --wait: until the status is %s.\n", goal);
	if (link)
		body_help(link);
	return 0;
}

static void usage_line(const struct place *place, const GPtrArray *operations, const char *operation, const char *arguments)
{
	if (g_ptr_array_find_with_equal_func((GPtrArray *)operations, operation, g_str_equal, NULL))
		printf("       berth %s %s %s\n", place->shown, operation, arguments);
}

int place_help(const struct client *client, const struct place *place)
{
	g_autoptr(GPtrArray) operations = place_operations(client, place), below = rsdl_subcollections(client->rsdl, place->template);
	static const char *const general[] = { "list", "show", "create", "update", "delete", NULL };
	bool some = false;

	printf("usage: berth %s [list] [--search QUERY] [--max N] [--json]\n", place->shown);
	usage_line(place, operations, "show", "NAME|ID...");
	usage_line(place, operations, "create", "NAME=VALUE...");
	usage_line(place, operations, "update", "NAME|ID NAME=VALUE...");
	usage_line(place, operations, "delete", "NAME|ID...");
	if (!client->rsdl || operations->len > G_N_ELEMENTS(general) - 1)
		printf("       berth %s ACTION NAME|ID... [NAME=VALUE...]\n", place->shown);
	if (!client->rsdl || below->len)
		printf("       berth %s NAME|ID SUBCOLLECTION ...\n", place->shown);
	for (guint i = 0; client->rsdl && i < operations->len; i++) {
		const char *name = operations->pdata[i];
		const struct rsdl_link *link = place_link(client, place, name);

		if (g_strv_contains(general, name))
			continue;
		if (!some)
			puts("\nActions:");
		some = true;
		print_entry(stdout, name, link ? link->description : "below its data center");
	}
	if (below->len) {
		puts("\nSub-collections:");
		for (guint i = 0; i < below->len; i++) {
			g_autofree char *template = g_strconcat(place->template, "/{}/", (const char *)below->pdata[i], NULL);
			const struct rsdl_link *link = rsdl_find(client->rsdl, template, /* member= */ false, "get");

			print_entry(stdout, below->pdata[i], link ? link->description : NULL);
		}
	}
	if (!client->rsdl)
		puts("\nActions and sub-collections are known after `berth login`.");
	options_help(stdout, resource_options, n_resource_options);
	printf("\n`berth %s create -h`, `berth %s ACTION -h` explain parameters; `berth help values` how they are written.\n", place->shown, place->shown);
	return 0;
}

/* ---- completion ---- */

static void add_all(GPtrArray *ret, const GPtrArray *names, const char *prefix, const char *suffix)
{
	for (guint i = 0; i < names->len; i++)
		g_ptr_array_add(ret, g_strconcat(prefix, names->pdata[i], suffix, NULL));
}

static void add_objects(const struct client *client, const char *path, const char *prefix, GPtrArray *ret)
{
	struct rest_answer answer = { 0 };
	const json_t *items, *item;
	size_t i;

	if (!client->rest || !rest_request(client->rest, "GET", path, NULL, &answer, NULL))
		return;
	items = collection_items(answer.json);
	json_array_foreach(items, i, item) {
		g_autofree char *name = json_text_at(item, "name|alias|id");

		if (name)
			g_ptr_array_add(ret, g_strconcat(prefix, name, NULL));
	}
	rest_answer_clear(&answer);
}

/* "name=" before the sign, values after it */
static void complete_argument(const struct client *client, const struct rsdl_link *link, const char *word, GPtrArray *ret)
{
	const char *equals = strchr(word, '=');
	g_autofree char *name = equals ? g_strndup(word, (gsize)(equals - word)) : NULL, *prefix = name ? g_strconcat(name, "=", NULL) : NULL;
	g_autoptr(GPtrArray) names = NULL;
	const char *collection;
	char **values;

	if (!name) {
		names = body_names(link);
		add_all(ret, names, "", "=");
		return;
	}
	values = body_values(client->rsdl, link, name, &collection);
	for (; values && *values; values++)
		g_ptr_array_add(ret, g_strconcat(prefix, *values, NULL));
	if (collection) {
		g_autofree char *path = g_strconcat("/", collection, NULL);

		add_objects(client, path, prefix, ret);
	}
}

static void complete(struct client *client, const struct place *place, GPtrArray *words, guint from, GPtrArray *ret)
{
	const char *word = words->pdata[from], *last = words->pdata[words->len - 1];
	g_autoptr(GPtrArray) operations = place_operations(client, place), below = rsdl_subcollections(client->rsdl, place->template);
	guint n = words->len - from;
	const struct rsdl_link *link;
	bool creates = strcmp(word, "create") == 0, operates;

	operates = g_ptr_array_find_with_equal_func(operations, word, g_str_equal, NULL);
	if (n == 1) {
		add_all(ret, operations, "", "");
		add_objects(client, place->path, "", ret);
	} else if (operates && strcmp(word, "list") != 0) {
		link = place_link(client, place, word);
		/* an update is of one object, the others of several */
		if (!creates && (n == 2 || strcmp(word, "update") != 0) && !strchr(last, '='))
			add_objects(client, place->path, "", ret);
		if (link && strcmp(word, "show") != 0 && (creates || n > 2))
			complete_argument(client, link, last, ret);
	} else if (!operates && n == 2) {
		add_all(ret, below, "", "");
	} else if (!operates && g_ptr_array_find_with_equal_func(below, words->pdata[from + 1], g_str_equal, NULL)) {
		g_autofree char *id = place_resolve(client, place, word, NULL);
		struct place next = place_below(place, id ? id : word, word, words->pdata[from + 1]);

		complete(client, &next, words, from + 2, ret);
		place_clear(&next);
	}
}

void resource_complete(const char *collection, GPtrArray *words, GPtrArray *ret)
{
	g_autoptr(GPtrArray) plain = options_skip(resource_options, n_resource_options, words);
	const char *last = words->pdata[words->len - 1];
	struct client client = { 0 };
	struct place place;

	if (*last == '-') {
		options_complete(resource_options, n_resource_options, ret);
		return;
	}
	place = place_top(collection);
	(void)client_open(&client, COMPLETION_SECONDS, NULL);
	(void)client_describe(&client, /* offline= */ true, NULL);
	complete(&client, &place, plain, 0, ret);
	place_clear(&place);
	client_close(&client);
}
