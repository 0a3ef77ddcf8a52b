/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth vms, hosts, ...: the resources of an engine.
 *
 *   berth COLLECTION [list]                                  berth COLLECTION show NAME...
 *   berth COLLECTION create NAME=VALUE...                    berth COLLECTION update NAME NAME=VALUE...
 *   berth COLLECTION delete NAME...                          berth COLLECTION ACTION NAME... [NAME=VALUE...]
 *   berth COLLECTION NAME SUBCOLLECTION ...                  and the same again below it
 *
 * Who comes from oVirt's shell says add for create, and remove for delete.
 *
 * Which actions, sub-collections and parameters there are, the engine says (rsdl.c). Objects are named by id or name.
 */
#include "client/resource.h"
#include "client/view.h"
#include "common/error.h"
#include <string.h>

#define TIMEOUT_SECONDS 600           /* an operation is waited for, unless --async */

struct resource_settings settings = { .seconds = TIMEOUT_SECONDS };

const struct cli_option resource_options[] = {
	{ "search", 's', "QUERY", "list only those that match: \"name=web* and status=up sortby name\"", .text = &settings.search },
	{ "max", 0, "N", "list at most so many", .text = &settings.max },
	{ "json", 'j', NULL, "print the engine's answer as JSON", .flag = &settings.json },
	{ "exact", 'x', NULL, "sizes in bytes, times with milliseconds, references as ids", .flag = &settings.exact },
	{ "wait", 'w', NULL, "wait until it has arrived (start: up, a new host: up, a new disk: ok), for --timeout", .flag = &settings.wait },
	{ "async", 0, NULL, "do not even wait until it is done", .flag = &settings.async },
	{ "timeout", 0, "SECONDS", "limit for each answer of the engine, and for --wait (600)", .text = &settings.timeout },
	{ "help", 'h', NULL, "explain operations, or the parameters of one", .flag = &settings.help },
};
const size_t n_resource_options = G_N_ELEMENTS(resource_options);

static bool has_name(const GPtrArray *names, const char *name)
{
	return g_ptr_array_find_with_equal_func((GPtrArray *)names, name, g_str_equal, NULL);
}

/* As oVirt's shell calls them. */
static const char *synonym(const char *word)
{
	return strcmp(word, "add") == 0 ? "create" : strcmp(word, "remove") == 0 ? "delete" : word;
}

static bool is_argument(const char *word)
{
	return *word == '{' || strchr(word, '=') != NULL;
}

/* An option that does nothing here would be a wish silently ignored. */
static bool options_fit(const struct place *place, const char *operation)
{
	bool lists = strcmp(operation, "list") == 0, at_once = lists || strcmp(operation, "show") == 0 || strcmp(operation, "update") == 0;
	const char *useless = !lists && settings.search ? "search" : !lists && settings.max ? "max" : at_once && settings.wait ? "wait" :
			      at_once && settings.async ? "async" : NULL;

	if (useless)
		(void)usage_error("%s %s: --%s does not go with it", place->shown, operation, useless);
	return !useless;
}

/* ---- operations ---- */

static bool take_body(const struct operation *operation, GPtrArray *words, guint from)
{
	g_autofree char *label = g_strconcat(operation->place->shown, " ", operation->name, NULL);

	return body_take(operation->body, operation->link, label, words, from);
}

static int create(struct client *client, const struct place *place, GPtrArray *words, guint from)
{
	const struct operation operation = { client, place, "create", place_link(client, place, "create"), json_object() };
	int status = take_body(&operation, words, from) ? create_object(&operation) : EXIT_USAGE;

	json_decref(operation.body);
	return status;
}

/* The objects that these words name; what cannot be found is said. The worst exit status. */
static int resolve_all(struct client *client, const struct place *place, GPtrArray *words, guint from, guint end, GPtrArray *ids, GPtrArray *names)
{
	int worst = 0;

	for (guint i = from; i < end; i++) {
		g_autoptr(GError) error = NULL;
		char *id = place_resolve(client, place, words->pdata[i], &error);

		if (!id) {
			int status = report_failure(error);

			worst = MAX(worst, status);
			continue;
		}
		g_ptr_array_add(ids, id);
		g_ptr_array_add(names, words->pdata[i]);
	}
	return worst;
}

static int show(struct client *client, const struct place *place, const GPtrArray *ids)
{
	int worst = 0, status;

	for (guint i = 0; i < ids->len; i++) {
		if (i && !settings.json)
			putchar('\n');
		status = show_one(client, place, ids->pdata[i]);
		worst = MAX(worst, status);
	}
	return worst;
}

/* show, update, delete, actions: the names that follow, then the body. */
static int operate(struct client *client, const struct place *place, const char *name, GPtrArray *words, guint from)
{
	bool updates = strcmp(name, "update") == 0, shows = strcmp(name, "show") == 0;
	struct operation operation = { client, place, name, shows ? NULL : place_link(client, place, name), json_object() };
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free), names = g_ptr_array_new();
	guint end = from;
	int status = EXIT_USAGE, worst;

	while (end < words->len && (end == from || !updates) && !is_argument(words->pdata[end]))
		end++;
	if (end == from) {
		(void)usage_error("%s %s: which one? berth %s %s NAME|ID%s", place->shown, name, place->shown, name, updates ? " NAME=VALUE..." : "");
	} else if (shows && end < words->len) {
		(void)usage_error("%s show: '%s' is not expected", place->shown, (const char *)words->pdata[end]);
	} else if (updates && end == words->len) {
		(void)usage_error("%s update: what? berth %s update %s NAME=VALUE...", place->shown, place->shown, (const char *)words->pdata[from]);
	} else if (take_body(&operation, words, end)) {
		/* what is waited for is begun first and asked about later; a removal that is begun tells nobody why it failed */
		if (!shows && !updates && (settings.async || (settings.wait && strcmp(name, "delete") != 0)))
			json_object_set_new(operation.body, "async", json_string("true"));
		worst = resolve_all(client, place, words, from, end, ids, names);
		status = shows ? show(client, place, ids) : change_objects(&operation, ids, names);
		status = MAX(status, worst);
	}
	json_decref(operation.body);
	return status;
}

/* ---- storage domains ---- */

/*
 * Attaching, detaching and (de)activating a storage domain is done below its data center; `berth storagedomains attach NAME datacenter=DC` finds
 * the way there.
 */
const char *const domain_operations[] = { "attach", "detach", "activate", "deactivate", NULL };

static bool is_domain_shorthand(const struct place *place, const char *word)
{
	return strcmp(place->template, "storagedomains") == 0 && g_strv_contains(domain_operations, word);
}

static char *data_center_of(struct client *client, const char *id, GPtrArray *words, guint from, GError **error)
{
	const struct place centers = { (char *)"/datacenters", (char *)"datacenters", (char *)"datacenters", "datacenters" };
	struct rest_answer answer = { 0 };
	const json_t *items, *item;
	char *found = NULL;
	size_t i;

	for (guint at = from; at < words->len; at++)
		if (g_str_has_prefix(words->pdata[at], "datacenter=")) {
			const char *word = words->pdata[at];

			g_ptr_array_remove_index(words, at);
			return place_resolve(client, &centers, word + strlen("datacenter="), error);
		}
	/* A domain does not say where it is attached; the data centers do. */
	if (!rest_request(client->rest, "GET", centers.path, NULL, &answer, error))
		return NULL;
	items = collection_items(answer.json);
	json_array_foreach(items, i, item) {
		g_autofree char *center = json_text_at(item, "id"), *path = g_strconcat(centers.path, "/", center, "/storagedomains/", id, NULL);
		struct rest_answer attached = { 0 };

		if (center && !found && rest_request(client->rest, "GET", path, NULL, &attached, NULL))
			found = g_steal_pointer(&center);
		rest_answer_clear(&attached);
	}
	rest_answer_clear(&answer);
	if (!found)
		g_set_error(error, BERTH_ERROR, ERR_INCOMPLETE, "the storage domain is in no data center; say which one: datacenter=NAME");
	return found;
}

static int domain_shorthand(struct client *client, const struct place *place, GPtrArray *words, guint from)
{
	const char *name = words->pdata[from], *domain = from + 1 < words->len ? words->pdata[from + 1] : NULL;
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free), names = g_ptr_array_new();
	g_autofree char *center = NULL;
	g_autoptr(GError) error = NULL;
	struct place below;
	struct operation operation = { client, &below, name, NULL, NULL };
	int status;

	if (!domain || is_argument(domain))
		return usage_error("storagedomains %s: which one? berth storagedomains %s NAME|ID [datacenter=NAME|ID]", name, name);
	status = resolve_all(client, place, words, from + 1, from + 2, ids, names);
	if (status)
		return status;
	center = data_center_of(client, ids->pdata[0], words, from + 2, &error);
	if (!center) {
		complain("storagedomains %s %s: %s", name, domain, error->message);
		return exit_status(error);
	}
	below = (struct place){ g_strconcat("/datacenters/", center, "/storagedomains", NULL), g_strdup("datacenters/{}/storagedomains"),
				g_strdup("storagedomains"), "storagedomains" };
	operation.link = place_link(client, &below, strcmp(name, "attach") == 0 ? "create" : name);
	operation.body = json_object();
	if (!take_body(&operation, words, from + 2)) {
		status = EXIT_USAGE;
	} else if (strcmp(name, "attach") == 0) {
		json_object_set_new(operation.body, "id", json_string(ids->pdata[0]));
		status = create_object(&operation);
	} else {
		status = change_objects(&operation, ids, names);
	}
	json_decref(operation.body);
	place_clear(&below);
	return status;
}

/* ---- grammar ---- */

static int run(struct client *client, const struct place *place, GPtrArray *words, guint from);

static int run_below(struct client *client, const struct place *place, const char *id, const char *shown, GPtrArray *words, guint at)
{
	struct place below = place_below(place, id, shown, words->pdata[at]);
	int status = run(client, &below, words, at + 1);

	place_clear(&below);
	return status;
}

/* What an operation of a sub-collection, or its name, stands for in the hint that puts words into order. */
static const char *name_of_one(const GPtrArray *operations, const char *word)
{
	return word && !is_argument(word) && !has_name(operations, word) ? word : "NAME";
}

/* What to say of `berth vms WORD [BELOW [AFTER]]` that means nothing. */
static int misunderstood(const struct client *client, const struct place *place, const char *word, const char *below, const char *after)
{
	g_autoptr(GPtrArray) operations = place_operations(client, place), known = rsdl_subcollections(client->rsdl, place->template);
	g_autofree char *meant = did_you_mean(word, operations), *list = joined(known);

	if (has_name(known, word)) {
		/* nics create web1, nics web1 create: web1 nics create */
		const char *operation = below && has_name(operations, below) ? below : after && has_name(operations, after) ? after : NULL;

		return usage_error("%s: '%s' stands after the name of one: berth %s %s %s%s%s", place->shown, word, place->shown,
				   name_of_one(operations, below == operation ? after : below), word, operation ? " " : "", operation ? operation : "");
	}
	if (below && has_name(operations, below))
		return usage_error("%s: '%s' comes first: berth %s %s %s", place->shown, below, place->shown, below, word);
	if (below && nearest(below, known))
		return usage_error("%s %s: there is no '%s' below it; did you mean '%s'?", place->shown, word, below, nearest(below, known));
	if (below && !nearest(word, operations))
		return usage_error("%s: '%s' is no operation, and '%s' no sub-collection: %s; `berth %s -h` lists both", place->shown, word, below,
				   known->len ? list : "there are none", place->shown);
	return usage_error("%s: there is no operation '%s'%s `berth %s -h` lists them", place->shown, word, meant, place->shown);
}

/* A name: one object is shown, or what is below it. */
static int descend(struct client *client, const struct place *place, GPtrArray *words, guint from)
{
	const char *name = words->pdata[from], *below = from + 1 < words->len ? words->pdata[from + 1] : NULL;
	const char *after = from + 2 < words->len ? synonym(words->pdata[from + 2]) : NULL;
	g_autoptr(GPtrArray) known = rsdl_subcollections(client->rsdl, place->template), ids = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) operations = place_operations(client, place);
	g_autoptr(GError) error = NULL;
	char *id;

	if (!below && is_argument(name))
		return usage_error("%s: '%s' needs an operation before it: berth %s create %s", place->shown, name, place->shown, name);
	if (has_name(known, name) || (below && client->rsdl && !has_name(known, below)))
		return misunderstood(client, place, name, below ? synonym(below) : NULL, after);
	id = place_resolve(client, place, name, &error);
	if (!id && !below && error_is(error, ERR_NOT_FOUND) && nearest(name, operations)) {
		complain("%s: there is no operation '%s', and nothing of that name; did you mean '%s'?", place->shown, name, nearest(name, operations));
		return EXIT_NOT_FOUND;
	}
	if (!id)
		return report_failure(error);
	g_ptr_array_add(ids, id);
	if (below)
		return run_below(client, place, id, name, words, from + 1);
	return options_fit(place, "show") ? show(client, place, ids) : EXIT_USAGE;
}

/* Objects need not be there to be told about: `berth vms nics create -h`, `berth vms web1 nics create -h`. */
static int run_help(struct client *client, const struct place *place, GPtrArray *words, guint from)
{
	const char *word = from < words->len ? synonym(words->pdata[from]) : NULL, *below = word && from + 1 < words->len ? words->pdata[from + 1] : NULL;
	g_autoptr(GPtrArray) known = rsdl_subcollections(client->rsdl, place->template), operations = place_operations(client, place);

	if (!word || !client->rsdl)
		return place_help(client, place);
	if (has_name(operations, word))
		return operation_help(client, place, word);
	if (has_name(known, word))
		return run_below(client, place, "{}", "NAME", words, from);
	if (below && has_name(known, below))
		return run_below(client, place, "{}", word, words, from + 1);
	return misunderstood(client, place, word, below, NULL);
}

static int run(struct client *client, const struct place *place, GPtrArray *words, guint from)
{
	const char *word = from < words->len ? synonym(words->pdata[from]) : NULL;
	g_autoptr(GPtrArray) actions = NULL;
	g_autoptr(GError) error = NULL;

	if (settings.help)
		return run_help(client, place, words, from);
	if (!word || strcmp(word, "list") == 0) {
		if (from + 1 < words->len)
			return usage_error("%s list: '%s' is not expected; use --search", place->shown, (const char *)words->pdata[from + 1]);
		return options_fit(place, "list") ? list_objects(client, place) : EXIT_USAGE;
	}
	if (strcmp(word, "show") == 0)
		return options_fit(place, word) ? operate(client, place, word, words, from + 1) : EXIT_USAGE;
	if (!client_describe(client, /* offline= */ false, &error))
		return report_failure(error);
	actions = rsdl_actions(client->rsdl, place->template);
	if (strcmp(word, "create") == 0 || strcmp(word, "update") == 0 || strcmp(word, "delete") == 0) {
		if (client->rsdl && !place_link(client, place, word))
			return usage_error("%s: there is no %s here; `berth %s -h` lists what there is", place->shown, word, place->shown);
	} else if (!has_name(actions, word) && !is_domain_shorthand(place, word)) {
		return descend(client, place, words, from);
	}
	if (!options_fit(place, word))
		return EXIT_USAGE;
	if (strcmp(word, "create") == 0)
		return create(client, place, words, from + 1);
	if (is_domain_shorthand(place, word))
		return domain_shorthand(client, place, words, from);
	return operate(client, place, word, words, from + 1);
}

int resource_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	struct client client = { 0 };
	g_autoptr(GError) error = NULL;
	struct place place;
	int status;

	if (!options_parse(resource_options, n_resource_options, argv[0], argc, argv, words) ||
	    (settings.timeout && !option_number("timeout", settings.timeout, 1, 86400, &settings.seconds)))
		return EXIT_USAGE;
	place = place_top(argv[0]);
	if (!client_open(&client, (double)settings.seconds, &error) && !settings.help) {
		status = report_failure(error);
	} else {
		/* help needs no engine: it tells what it can */
		if (settings.help)
			(void)client_describe(&client, /* offline= */ true, NULL);
		status = run(&client, &place, words, 0);
	}
	place_clear(&place);
	client_close(&client);
	return status;
}
