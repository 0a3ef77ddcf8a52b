/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth vms, hosts, ...: the resources of an engine.
 *
 *   berth COLLECTION [list]                                  berth COLLECTION show NAME
 *   berth COLLECTION create NAME=VALUE...                    berth COLLECTION update NAME NAME=VALUE...
 *   berth COLLECTION delete NAME...                          berth COLLECTION ACTION NAME... [NAME=VALUE...]
 *   berth COLLECTION NAME SUBCOLLECTION ...                  and the same again below it
 *
 * Which actions, sub-collections and parameters there are, the engine says (rsdl.c). Objects are named by id or name.
 */
#include "client/client.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/view.h"
#include "common/error.h"
#include <string.h>

#define TIMEOUT_SECONDS 600           /* an operation is waited for, unless --async */
#define COMPLETION_SECONDS 2

static bool help, as_json, async;
static const char *search, *max, *timeout;

static const struct cli_option resource_options[] = {
	{ "search", 's', "QUERY", "only those that match: \"name=web* and status=up sortby name\"", .text = &search },
	{ "max", 0, "N", "at most so many", .text = &max },
	{ "json", 'j', NULL, "print the engine's answer as JSON", .flag = &as_json },
	{ "async", 0, NULL, "do not wait until it is done", .flag = &async },
	{ "timeout", 0, "SECONDS", "limit for each answer of the engine (600)", .text = &timeout },
	{ "help", 'h', NULL, "explain operations, or the parameters of one", .flag = &help },
};

/* A collection: where it is, and what the description calls it. */
struct place {
	char *path;             /* "/vms/<id>/nics" */
	char *template;         /* "vms/{}/nics" */
	const char *name;       /* "nics" */
};

struct client {
	struct session *session;
	struct rest *rest;
	struct rsdl *rsdl;      /* loaded when it is needed */
	bool rsdl_tried;
};

static void client_close(struct client *client)
{
	client->rsdl = rsdl_free(client->rsdl);
	client->rest = rest_free(client->rest);
	client->session = session_free(client->session);
}

static bool client_open(struct client *client, double seconds, GError **error)
{
	client->session = session_load(error);
	client->rest = client->session ? rest_new(client->session, seconds, error) : NULL;
	return client->rest != NULL;
}

/* An engine that describes nothing is used without: then all names are sent as they are, and it judges them. */
static bool describe(struct client *client, bool offline, GError **error)
{
	g_autoptr(GError) cause = NULL;

	if (client->rsdl_tried)
		return true;
	client->rsdl_tried = true;
	client->rsdl = rsdl_load(client->rest, client->session, offline, &cause);
	if (!client->rsdl && !error_is(cause, ERR_NOT_FOUND) && !error_is(cause, ERR_SYNTAX)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	return true;
}

static bool has_name(GPtrArray *names, const char *name)
{
	return g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL);
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

		if (!text || !id || (fold ? g_ascii_strcasecmp(text, name) : strcmp(text, name)) != 0)
			continue;
		g_string_append_printf(several, "%s%s", (*ret_n)++ ? ", " : "", id);
		if (!found)
			found = g_steal_pointer(&id);
	}
	return found;
}

static char *resolve(struct client *client, const struct place *place, const char *name, GError **error)
{
	bool searchable = !strchr(place->template, '/') && !strpbrk(name, "\"*\\");
	g_autofree char *query = g_strdup_printf("name=\"%s\"", name);
	g_autofree char *path = searchable ? rest_search_path(place->path, query, 0) : g_strdup(place->path);
	g_autoptr(GString) several = g_string_new(NULL);
	g_autoptr(GError) cause = NULL;
	g_autofree char *id = NULL;
	struct rest_answer answer = { 0 };
	unsigned n;

	if (looks_like_id(name))
		return g_strdup(name);
	if (!rest_request(client->rest, "GET", path, NULL, &answer, &cause)) {
		/* not every collection can be searched */
		if (!searchable || !error_is(cause, ERR_OPERATION_FAILED)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return NULL;
		}
		if (!rest_request(client->rest, "GET", place->path, NULL, &answer, error))
			return NULL;
	}
	id = match_name(collection_items(answer.json), name, /* fold= */ false, several, &n);
	if (!id)
		id = match_name(collection_items(answer.json), name, /* fold= */ true, several, &n);
	rest_answer_clear(&answer);
	if (!id) {
		g_set_error(error, BERTH_ERROR, ERR_NOT_FOUND, "there is no '%s' in %s; `berth %s` lists them", name, place->path + 1,
			    strchr(place->template, '/') ? "... list" : place->name);
		return NULL;
	}
	if (n > 1) {
		g_set_error(error, BERTH_ERROR, ERR_CONFLICT, "%u objects in %s are called '%s'; name one by its id: %s", n, place->path + 1, name,
			    several->str);
		return NULL;
	}
	return g_steal_pointer(&id);
}

/* ---- operations ---- */

static int print_answer(const struct rest_answer *answer)
{
	if (answer->warning)
		complain("the engine warns: %s", answer->warning);
	if (as_json && answer->json)
		json_print(stdout, answer->json);
	return 0;
}

static int finish(struct rest_answer *answer)
{
	int status = print_answer(answer);

	rest_answer_clear(answer);
	return status;
}

static int list(struct client *client, const struct place *place)
{
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };
	long limit = 0;

	if (max && !option_number("max", max, 1, G_MAXINT, &limit))
		return EXIT_USAGE;
	path = rest_search_path(place->path, search, limit);
	if (!rest_request(client->rest, "GET", path, NULL, &answer, &error))
		return report_failure(error);
	if (!as_json)
		view_list(place->name, collection_items(answer.json), client->rest);
	return finish(&answer);
}

static int show(struct client *client, const struct place *place, const char *id)
{
	g_autofree char *path = g_strconcat(place->path, "/", id, NULL);
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };

	if (!rest_request(client->rest, "GET", path, NULL, &answer, &error))
		return report_failure(error);
	if (!as_json)
		view_object(answer.json);
	return finish(&answer);
}

/* An action that is over, or running: what it brought beside its state. */
static int show_action(const struct rest_answer *answer, const char *operation, const char *name)
{
	static const char *const known[] = { "status", "id", "href", "link", "actions", "async", "force", "grace_period", "job", "vm", "host", "fault" };
	g_autofree char *state = json_text_at(answer->json, "status.state|status"), *detail = json_text_at(answer->json, "fault.detail|fault.reason");
	json_t *rest;

	if (g_strcmp0(state, "failed") == 0) {
		complain("%s %s: %s", operation, name, detail ? detail : "failed");
		return EXIT_FAILED;
	}
	if (as_json || !json_is_object(answer->json))
		return 0;
	if (answer->status == 202)
		printf("%s %s: %s\n", operation, name, state ? state : "pending");
	rest = json_copy(answer->json);
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		json_object_del(rest, known[i]);
	if (json_object_size(rest))
		view_object(rest);
	json_decref(rest);
	return 0;
}

static int act(struct client *client, const char *path, const json_t *body, const char *operation, const char *name)
{
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };
	int status;

	if (!rest_request(client->rest, "POST", path, body, &answer, &error)) {
		complain("%s %s: %s", operation, name, error->message);
		return EXIT_FAILED;
	}
	status = show_action(&answer, operation, name);
	(void)finish(&answer);
	return status;
}

static int create(struct client *client, const struct place *place, const json_t *body)
{
	unsigned flags = async ? 0 : REST_EXPECT_CREATED;
	g_autofree char *id = NULL;
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };

	if (!rest_request_full(client->rest, "POST", place->path, body, flags, /* etag= */ NULL, &answer, &error))
		return report_failure(error);
	id = json_text_at(answer.json, "id");
	if (!as_json && id)
		puts(id);
	return finish(&answer);
}

static int update(struct client *client, const struct place *place, const char *id, const json_t *body)
{
	g_autofree char *path = g_strconcat(place->path, "/", id, NULL);
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };

	if (!rest_request(client->rest, "PUT", path, body, &answer, &error))
		return report_failure(error);
	return finish(&answer);
}

static int remove_object(struct client *client, const char *path, const json_t *body, const char *name)
{
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };

	if (!rest_request(client->rest, "DELETE", path, json_object_size(body) ? body : NULL, &answer, &error)) {
		complain("delete %s: %s", name, error->message);
		return EXIT_FAILED;
	}
	return finish(&answer);
}

/* ---- grammar ---- */

static bool is_argument(const char *word)
{
	return *word == '{' || strchr(word, '=') != NULL;
}

/*
 * Attaching, detaching and (de)activating a storage domain is done below its data center; `berth storagedomains attach NAME datacenter=DC` finds
 * the way there.
 */
static bool is_domain_shorthand(const struct place *place, const char *word)
{
	static const char *const words[] = { "attach", "detach", "activate", "deactivate", NULL };

	return strcmp(place->template, "storagedomains") == 0 && g_strv_contains(words, word);
}

static char *data_center_of(struct client *client, const char *id, GPtrArray *words, guint from, GError **error)
{
	const struct place centers = { .path = (char *)"/datacenters", .template = (char *)"datacenters", .name = "datacenters" };
	struct rest_answer answer = { 0 };
	const json_t *items, *item;
	char *found = NULL;
	size_t i;

	for (guint at = from; at < words->len; at++)
		if (g_str_has_prefix(words->pdata[at], "datacenter=")) {
			const char *word = words->pdata[at];

			g_ptr_array_remove_index(words, at);
			return resolve(client, &centers, word + strlen("datacenter="), error);
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
	const char *operation = words->pdata[from], *name = from + 1 < words->len ? words->pdata[from + 1] : NULL;
	g_autofree char *id = NULL, *center = NULL, *path = NULL;
	g_autoptr(GError) error = NULL;
	json_t *body;
	int status;

	if (!name || is_argument(name))
		return usage_error("storagedomains %s: which one? berth storagedomains %s NAME [datacenter=NAME]", operation, operation);
	id = resolve(client, place, name, &error);
	if (!id || !(center = data_center_of(client, id, words, from + 2, &error)))
		return report_failure(error);
	body = json_object();
	if (!body_take(body, NULL, operation, words, from + 2)) {
		json_decref(body);
		return EXIT_USAGE;
	}
	if (strcmp(operation, "attach") == 0) {
		struct place attached = { .path = g_strconcat("/datacenters/", center, "/storagedomains", NULL), .name = "storagedomains" };

		json_object_set_new(body, "id", json_string(id));
		status = create(client, &attached, body);
		g_free(attached.path);
	} else if (strcmp(operation, "detach") == 0) {
		path = g_strconcat("/datacenters/", center, "/storagedomains/", id, NULL);
		status = remove_object(client, path, body, name);
	} else {
		path = g_strconcat("/datacenters/", center, "/storagedomains/", id, "/", operation, NULL);
		status = act(client, path, body, operation, name);
	}
	json_decref(body);
	return status;
}

static const struct rsdl_link *link_of(const struct client *client, const struct place *place, const char *operation)
{
	if (strcmp(operation, "create") == 0)
		return rsdl_find(client->rsdl, place->template, /* member= */ false, "add");
	return rsdl_find(client->rsdl, place->template, /* member= */ true, operation);
}

static int operation_help(struct client *client, const struct place *place, const char *operation)
{
	const struct rsdl_link *link = link_of(client, place, operation);
	bool creates = strcmp(operation, "create") == 0;

	printf("usage: berth %s %s%s [NAME=VALUE | JSON]...\n", place->name, operation, creates ? "" : " NAME|ID");
	if (link && link->description && *link->description)
		printf("\n%s\n", link->description);
	if (link && link->parameters->len) {
		puts("\nParameters:");
		body_help(link);
	} else if (client->rsdl) {
		puts("\nIt takes no parameters.");
	} else {
		puts("\nParameters are known after `berth login`.");
	}
	return 0;
}

static void print_names(const char *title, GPtrArray *names)
{
	if (!names->len)
		return;
	printf("\n%s:\n ", title);
	for (guint i = 0; i < names->len; i++)
		printf(" %s", (const char *)names->pdata[i]);
	putchar('\n');
}

static int place_help(struct client *client, const struct place *place)
{
	g_autoptr(GPtrArray) actions = rsdl_actions(client->rsdl, place->template), below = rsdl_subcollections(client->rsdl, place->template);

	printf("usage: berth %s [list] [--search QUERY] [--max N] [--json]\n"
	       "       berth %s show NAME|ID\n"
	       "       berth %s create NAME=VALUE...\n"
	       "       berth %s update NAME|ID NAME=VALUE...\n"
	       "       berth %s delete NAME|ID...\n"
	       "       berth %s ACTION NAME|ID... [NAME=VALUE...]\n"
	       "       berth %s NAME|ID SUBCOLLECTION ...\n",
	       place->name, place->name, place->name, place->name, place->name, place->name, place->name);
	print_names("Actions", actions);
	print_names("Sub-collections", below);
	if (!client->rsdl)
		puts("\nActions and sub-collections are known after `berth login`.");
	options_help(stdout, resource_options, G_N_ELEMENTS(resource_options));
	printf("\n`berth %s create -h`, `berth %s ACTION -h` explain parameters.\n", place->name, place->name);
	return 0;
}

/* The names that follow an operation, its body, and the operation once for each name. */
static int operate(struct client *client, const struct place *place, const char *operation, GPtrArray *words, guint from)
{
	bool updates = strcmp(operation, "update") == 0, deletes = strcmp(operation, "delete") == 0, shows = strcmp(operation, "show") == 0;
	const struct rsdl_link *link = shows ? NULL : link_of(client, place, operation);
	guint end = from;
	json_t *body;
	int status = 0;

	if (help)
		return operation_help(client, place, operation);
	while (end < words->len && (end == from || (!updates && !is_argument(words->pdata[end]))))
		end++;
	if (end == from || is_argument(words->pdata[from]))
		return usage_error("%s %s: which one? berth %s %s NAME|ID", place->name, operation, place->name, operation);
	if (shows && end < words->len)
		return usage_error("%s show: '%s' is not expected", place->name, (const char *)words->pdata[end]);
	if (updates && end == words->len)
		return usage_error("%s update: what? NAME=VALUE is missing", place->name);
	body = json_object();
	if (!body_take(body, link, operation, words, end)) {
		json_decref(body);
		return EXIT_USAGE;
	}
	if (async && !updates && !shows)
		json_object_set_new(body, "async", json_string("true"));
	for (guint i = from; i < end; i++) {
		const char *name = words->pdata[i];
		g_autoptr(GError) error = NULL;
		g_autofree char *id = resolve(client, place, name, &error), *path = NULL;
		int one;

		path = g_strconcat(place->path, "/", id ? id : "", deletes ? "" : "/", deletes ? "" : operation, NULL);
		one = !id ? report_failure(error) : shows ? show(client, place, id) : updates ? update(client, place, id, body) :
		      deletes ? remove_object(client, path, body, name) : act(client, path, body, operation, name);
		status = MAX(status, one);
	}
	json_decref(body);
	return status;
}

static int run(struct client *client, const struct place *place, GPtrArray *words, guint from);

static int descend(struct client *client, const struct place *place, GPtrArray *words, guint from)
{
	const char *name = words->pdata[from], *below = from + 1 < words->len ? words->pdata[from + 1] : NULL;
	g_autoptr(GPtrArray) known = rsdl_subcollections(client->rsdl, place->template), actions = rsdl_actions(client->rsdl, place->template);
	g_autofree char *id = NULL;
	g_autoptr(GError) error = NULL;
	struct place next = { .name = below };
	int status;

	if (!below && is_argument(name))
		return usage_error("%s: '%s' needs an operation before it: create or update", place->name, name);
	if (below && client->rsdl && !has_name(known, below)) {
		g_ptr_array_add(known, NULL);
		g_autofree char *list = g_strjoinv(", ", (char **)known->pdata);

		if (has_name(actions, below))
			return usage_error("%s: the action comes first: berth %s %s %s", place->name, place->name, below, name);
		return usage_error("%s: '%s' is neither an action nor followed by a sub-collection; sub-collections are: %s", place->name, name, list);
	}
	id = resolve(client, place, name, &error);
	if (!id)
		return report_failure(error);
	if (!below)
		return show(client, place, id);
	next.path = g_strconcat(place->path, "/", id, "/", below, NULL);
	next.template = g_strconcat(place->template, "/{}/", below, NULL);
	status = run(client, &next, words, from + 2);
	g_free(next.path);
	g_free(next.template);
	return status;
}

static int run(struct client *client, const struct place *place, GPtrArray *words, guint from)
{
	const char *word = from < words->len ? words->pdata[from] : NULL;
	g_autoptr(GPtrArray) actions = NULL;
	g_autoptr(GError) error = NULL;
	json_t *body;
	int status;

	if (!help && (!word || strcmp(word, "list") == 0)) {
		if (from + 1 < words->len)
			return usage_error("%s list: '%s' is not expected; use --search", place->name, (const char *)words->pdata[from + 1]);
		return list(client, place);
	}
	if (!help && word && strcmp(word, "show") == 0)
		return operate(client, place, word, words, from + 1);
	if (!describe(client, /* offline= */ help, &error) && !help)
		return report_failure(error);
	if (!word)
		return place_help(client, place);
	if (strcmp(word, "list") == 0 || (help && strcmp(word, "show") == 0))
		return place_help(client, place);
	if (strcmp(word, "create") == 0) {
		if (help)
			return operation_help(client, place, word);
		body = json_object();
		status = body_take(body, link_of(client, place, word), word, words, from + 1) ? create(client, place, body) : EXIT_USAGE;
		json_decref(body);
		return status;
	}
	actions = rsdl_actions(client->rsdl, place->template);
	if (strcmp(word, "update") == 0 || strcmp(word, "delete") == 0 || has_name(actions, word))
		return operate(client, place, word, words, from + 1);
	if (is_domain_shorthand(place, word) && !help)
		return domain_shorthand(client, place, words, from);
	if (help && (from + 1 >= words->len || !client->rsdl))
		return place_help(client, place);
	return descend(client, place, words, from);
}

int resource_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autofree char *path = g_strconcat("/", argv[0], NULL);
	const struct place place = { .path = path, .template = argv[0], .name = argv[0] };
	struct client client = { 0 };
	g_autoptr(GError) error = NULL;
	long seconds = TIMEOUT_SECONDS;
	int status;

	if (!options_parse(resource_options, G_N_ELEMENTS(resource_options), argv[0], argc, argv, words) ||
	    (timeout && !option_number("timeout", timeout, 1, 86400, &seconds)))
		return EXIT_USAGE;
	if (!client_open(&client, (double)seconds, &error)) {
		client.rsdl_tried = true;
		status = help ? place_help(&client, &place) : report_failure(error);
	} else {
		status = run(&client, &place, words, 0);
	}
	client_close(&client);
	return status;
}

/* ---- completion ---- */

static void add_all(GPtrArray *ret, GPtrArray *names)
{
	for (guint i = 0; i < names->len; i++)
		g_ptr_array_add(ret, g_strdup(names->pdata[i]));
}

static void add_objects(struct client *client, const char *path, GPtrArray *ret)
{
	struct rest_answer answer = { 0 };
	const json_t *items, *item;
	size_t i;

	if (!rest_request(client->rest, "GET", path, NULL, &answer, NULL))
		return;
	items = collection_items(answer.json);
	json_array_foreach(items, i, item) {
		char *name = json_text_at(item, "name|alias|id");

		if (name)
			g_ptr_array_add(ret, name);
	}
	rest_answer_clear(&answer);
}

void resource_complete(const char *collection, GPtrArray *words, GPtrArray *ret)
{
	static const char *const own[] = { "list", "show", "create", "update", "delete" };
	const struct place place = { .template = (char *)collection, .name = collection };
	g_autofree char *path = g_strconcat("/", collection, NULL);
	g_autoptr(GPtrArray) actions = NULL, below = NULL;
	struct client client = { 0 };
	const char *first = words->pdata[0], *last = words->pdata[words->len - 1];
	const struct rsdl_link *link;
	bool ours = false;

	if (*last == '-') {
		options_complete(resource_options, G_N_ELEMENTS(resource_options), ret);
		return;
	}
	if (client_open(&client, COMPLETION_SECONDS, NULL))
		(void)describe(&client, /* offline= */ true, NULL);
	actions = rsdl_actions(client.rsdl, collection);
	below = rsdl_subcollections(client.rsdl, collection);
	for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
		ours |= words->len > 1 && strcmp(own[i], first) == 0;
	if (words->len == 1) {
		for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
			g_ptr_array_add(ret, g_strdup(own[i]));
		add_all(ret, actions);
	}
	if (client.rest && (words->len == 1 || (words->len == 2 && (ours || has_name(actions, first)) && strcmp(first, "create") != 0 &&
						strcmp(first, "list") != 0)))
		add_objects(&client, path, ret);
	if (words->len == 2 && !ours && !has_name(actions, first))
		add_all(ret, below);
	if (words->len >= 2 && (ours || has_name(actions, first)) && (link = link_of(&client, &place, first)) &&
	    (words->len > 2 || strcmp(first, "create") == 0))
		body_complete(link, ret);
	client_close(&client);
}
