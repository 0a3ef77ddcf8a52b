/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people write on the command line as a representation: by the parameters that the engine's description lists for the operation.
 *
 *   name=web1                      {"name":"web1"}
 *   cpu.topology.sockets=2         {"cpu":{"topology":{"sockets":"2"}}}
 *   memory=1GiB                    {"memory":"1073741824"}           the engine takes numbers as text
 *   cluster=default                {"cluster":{"name":"default"}}    described as cluster.id|name; an id goes into "id"
 *   os.boot.dev=network,hd         {"os":{"boot":[{"dev":"network"},{"dev":"hd"}]}}     described as a collection
 *
 *   version=3.6                    {"version":{"major":"3","minor":"6"}}
 *
 * The end of a name is enough where it is the end of one only: sockets=2. Never so short are names that any object may have: id, name, value. So is its
 * beginning, where one member is required, or there is one only, or an id: cpu="Intel Penryn Family", ksm=true, vlan=20.
 */
#include "client/client.h"
#include "client/view.h"
#include "common/error.h"
#include "common/record.h"
#include <string.h>

/* ---- descriptions ---- */

/* "cluster.id|name" -> "cluster", { "id", "name" } */
static char **alternatives(const char *name, char **ret_stem)
{
	const char *bar = strchr(name, '|');
	const char *dot = bar ? g_strrstr_len(name, bar - name, ".") : NULL;

	if (!bar)
		return NULL;
	*ret_stem = dot ? g_strndup(name, (gsize)(dot - name)) : g_strdup("");
	return g_strsplit(dot ? dot + 1 : name, "|", -1);
}

static bool is_collection(const struct rsdl_parameter *parameter)
{
	return parameter->item || g_strcmp0(parameter->type, "collection") == 0;
}

static bool is_number(const struct rsdl_parameter *parameter)
{
	const char *type = parameter->type ? parameter->type : "";

	return strstr(type, "int") || strstr(type, "long") || strstr(type, "Long") || strstr(type, "double");
}

struct match {
	const struct rsdl_parameter *parameter;
	char *path;                     /* where the value goes */
	char *item;                     /* of a collection: the member of each item, "" when items are plain texts */
};

/* Is `name` this parameter, or one of its alternatives? */
static bool match_simple(const struct rsdl_parameter *parameter, const char *name, const char *value, struct match *ret)
{
	g_autofree char *stem = NULL;
	g_auto(GStrv) choices = alternatives(parameter->name, &stem);

	if (!choices) {
		if (strcmp(parameter->name, name) != 0)
			return false;
		*ret = (struct match){ .parameter = parameter, .path = g_strdup(name) };
		return true;
	}
	if (strcmp(stem, name) == 0) {
		bool id = g_strv_contains((const char *const *)choices, "id") && g_uuid_string_is_valid(value);

		*ret = (struct match){ .parameter = parameter, .path = g_strconcat(stem, id ? ".id" : ".name", NULL) };
		return true;
	}
	for (char **choice = choices; *choice; choice++) {
		g_autofree char *full = *stem ? g_strconcat(stem, ".", *choice, NULL) : g_strdup(*choice);

		if (strcmp(full, name) == 0) {
			*ret = (struct match){ .parameter = parameter, .path = g_steal_pointer(&full) };
			return true;
		}
	}
	return false;
}

static bool has_member(const struct rsdl_parameter *parameter, const char *name)
{
	for (guint i = 0; parameter->item && i < parameter->item->len; i++)
		if (strcmp(((struct rsdl_parameter *)parameter->item->pdata[i])->name, name) == 0)
			return true;
	return false;
}

/* The member of a collection's items that a plain list fills: the name or id of references, or the only one there is; "" when the items are
 * texts themselves. */
static char *only_member(const struct rsdl_parameter *parameter, const char *value)
{
	const struct rsdl_parameter *only = parameter->item && parameter->item->len == 1 ? parameter->item->pdata[0] : NULL;
	const char *last = strrchr(parameter->name, '.');

	if (has_member(parameter, "id|name") || (has_member(parameter, "id") && has_member(parameter, "name")))
		return g_strdup(g_uuid_string_is_valid(value) ? "id" : "name");
	if (!only || strcmp(only->name, last ? last + 1 : parameter->name) == 0)
		return g_strdup("");
	return g_strdup(only->name);
}

static bool match_collection(const struct rsdl_parameter *parameter, const char *name, const char *value, struct match *ret)
{
	size_t n = strlen(parameter->name);
	bool whole = strcmp(parameter->name, name) == 0;

	if (!whole && (strncmp(name, parameter->name, n) != 0 || name[n] != '.'))
		return false;
	*ret = (struct match){ .parameter = parameter, .path = g_strdup(parameter->name),
			       .item = whole ? only_member(parameter, value) : g_strdup(name + n + 1) };
	return true;
}

static bool find_exact(const struct rsdl_link *link, const char *name, const char *value, struct match *ret)
{
	for (guint i = 0; i < link->parameters->len; i++) {
		const struct rsdl_parameter *parameter = link->parameters->pdata[i];

		if (is_collection(parameter) ? match_collection(parameter, name, value, ret) : match_simple(parameter, name, value, ret))
			return true;
	}
	return false;
}

/* The names that end in this one: "sockets" for cpu.topology.sockets. Owned. */
static GPtrArray *find_ends(const struct rsdl_link *link, const char *name)
{
	static const char *const never[] = { "id", "name", "value", NULL };
	g_autofree char *suffix = g_strconcat(".", name, NULL);
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < link->parameters->len && !g_strv_contains(never, name); i++) {
		const struct rsdl_parameter *parameter = link->parameters->pdata[i];
		g_autofree char *stem = NULL;
		g_auto(GStrv) choices = alternatives(parameter->name, &stem);

		if (g_str_has_suffix(choices ? stem : parameter->name, suffix))
			g_ptr_array_add(found, g_strdup(choices ? stem : parameter->name));
	}
	return found;
}

/* The parameter "vlan.id" that vlan=20 means. NULL: there is none; all: the names that begin so. */
static const char *find_beginning(const struct rsdl_link *link, const char *name, GPtrArray *all)
{
	g_autofree char *prefix = g_strconcat(name, ".", NULL), *id = g_strconcat(name, ".id", NULL);
	const char *required = NULL, *by_id = NULL;
	unsigned n_required = 0;

	for (guint i = 0; i < link->parameters->len; i++) {
		const struct rsdl_parameter *parameter = link->parameters->pdata[i];

		if (!g_str_has_prefix(parameter->name, prefix))
			continue;
		g_ptr_array_add(all, parameter->name);
		if (parameter->required && n_required++ == 0)
			required = parameter->name;
		if (strcmp(parameter->name, id) == 0)
			by_id = parameter->name;
	}
	return n_required == 1 ? required : all->len == 1 ? all->pdata[0] : by_id;
}

/* Which parameter is meant; ret->path stays NULL when the description does not list it. false: said, it may be several. */
static bool find(const struct rsdl_link *link, const char *operation, const char *name, const char *value, struct match *ret)
{
	g_autoptr(GPtrArray) ends = NULL;
	g_autofree char *list = NULL;

	if (!link || find_exact(link, name, value, ret))
		return true;
	ends = find_ends(link, name);
	if (ends->len == 1)
		(void)find_exact(link, ends->pdata[0], value, ret);
	if (ends->len == 0) {
		g_autoptr(GPtrArray) members = g_ptr_array_new();
		const char *member = find_beginning(link, name, members);

		if (member)
			(void)find_exact(link, member, value, ret);
		if (member || !members->len)
			return true;
		list = joined(members);
		(void)usage_error("%s: '%s' has several members: %s; write the whole name of one", operation, name, list);
		return false;
	}
	if (ends->len < 2)
		return true;
	list = joined(ends);
	(void)usage_error("%s: '%s' is the end of several names: %s; write the whole one", operation, name, list);
	return false;
}

/* ---- values ---- */

static json_t *value_of(const struct rsdl_parameter *parameter, const char *text)
{
	g_autofree char *size = !parameter || is_number(parameter) ? parse_size(text) : NULL;

	return json_string(size ? size : text);
}

/* The object that holds the last part of the path; objects on the way are made. NULL when something else is there. */
static json_t *holder(json_t *body, const char *path, const char **ret_last)
{
	const char *dot;

	while ((dot = strchr(path, '.'))) {
		g_autofree char *name = g_strndup(path, (gsize)(dot - path));
		json_t *next = json_object_get(body, name);

		if (!next) {
			json_object_set_new(body, name, json_object());
			next = json_object_get(body, name);
		}
		if (!json_is_object(next))
			return NULL;
		body = next;
		path = dot + 1;
	}
	*ret_last = path;
	return body;
}

static bool put(json_t *body, const char *path, json_t *value)
{
	const char *last;
	json_t *object = holder(body, path, &last);

	if (!object) {
		json_decref(value);
		return false;
	}
	json_object_set_new(object, last, value);
	return true;
}

static bool put_list(json_t *body, const struct match *match, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ",", -1);
	const char *last;
	json_t *object = holder(body, match->path, &last), *array;

	if (!object)
		return false;
	array = json_object_get(object, last);
	if (!json_is_array(array) || !*match->item) {
		json_object_set_new(object, last, json_array());
		array = json_object_get(object, last);
	}
	for (size_t i = 0; parts[i]; i++) {
		if (!*match->item) {
			json_array_append_new(array, json_string(parts[i]));
			continue;
		}
		if (json_array_size(array) <= i)
			json_array_append_new(array, json_object());
		if (!put(json_array_get(array, i), match->item, json_string(parts[i])))
			return false;
	}
	return true;
}

/* version=3.6, where there is version.major and version.minor */
static bool take_version(json_t *body, const struct rsdl_link *link, const char *name, const char *value)
{
	g_autofree char *major = g_strconcat(name, ".major", NULL), *minor = g_strconcat(name, ".minor", NULL);
	g_auto(GStrv) numbers = g_strsplit(value, ".", 2);
	struct match match = { 0 };
	bool both = link && g_strv_length(numbers) == 2;

	for (int i = 0; i < 2 && both; i++) {
		both = find_exact(link, i ? minor : major, numbers[i], &match) && match.path;
		g_clear_pointer(&match.path, g_free);
		g_clear_pointer(&match.item, g_free);
	}
	return both && put(body, major, json_string(numbers[0])) && put(body, minor, json_string(numbers[1]));
}

static bool take_pair(json_t *body, const struct rsdl_link *link, const char *operation, const char *word)
{
	const char *equals = strchr(word, '=');
	g_autofree char *name = NULL;
	struct match match = { 0 };
	bool done;

	if (!equals || equals == word) {
		bool named = !equals && link && find_exact(link, "name", word, &match);

		g_free(match.path);
		(void)usage_error("%s: '%s' is neither NAME=VALUE nor a JSON object%s%s%s `berth help values` explains it", operation, word,
				  named ? "; did you mean name=" : ";", named ? word : "", named ? "?" : "");
		return false;
	}
	if (!g_utf8_validate(word, -1, NULL)) {
		(void)usage_error("%s: '%s' is not UTF-8", operation, word);
		return false;
	}
	name = g_strndup(word, (gsize)(equals - word));
	g_strdelimit(name, "/@", '.');
	if (take_version(body, link, name, equals + 1))
		return true;
	if (!find(link, operation, name, equals + 1, &match))
		return false;
	/* A name that the description does not list may be another spelling that the engine takes; if not, it refuses it: we ask for strictness. */
	if (!match.path)
		done = put(body, name, value_of(NULL, equals + 1));
	else if (match.item)
		done = put_list(body, &match, equals + 1);
	else
		done = put(body, match.path, value_of(match.parameter, equals + 1));
	if (!done)
		(void)usage_error("%s: '%s' contradicts an earlier argument", operation, word);
	g_free(match.path);
	g_free(match.item);
	return done;
}

bool body_take(json_t *body, const struct rsdl_link *link, const char *operation, GPtrArray *words, guint from)
{
	for (guint i = from; i < words->len; i++) {
		const char *word = words->pdata[i];
		g_autoptr(GError) error = NULL;
		json_t *object;

		if (*word != '{') {
			if (!take_pair(body, link, operation, word))
				return false;
			continue;
		}
		object = json_parse(word, strlen(word), &error);
		if (!object || !json_is_object(object)) {
			(void)usage_error("%s: %s", operation, error ? error->message : "the argument is no JSON object");
			json_decref(object);
			return false;
		}
		json_object_update_recursive(body, object);
		json_decref(object);
	}
	return true;
}

/* ---- help and completion ---- */

/* One NAME=VALUE that can be given. */
struct entry {
	char *name;
	const struct rsdl_parameter *value;          /* whose type, values and unit hold */
	const char *description;
	bool required, reference, list, json;        /* json: it can only be given as JSON */
};

static void entry_free(void *data)
{
	struct entry *entry = data;

	g_free(entry->name);
	g_free(entry);
}

static struct entry *add_entry(GPtrArray *ret, const struct rsdl_parameter *parameter, const char *name)
{
	struct entry *entry = g_new0(struct entry, 1);

	*entry = (struct entry){ .name = g_strdup(name), .value = parameter, .description = parameter->description, .required = parameter->required };
	g_ptr_array_add(ret, entry);
	return entry;
}

static void add_simple(GPtrArray *ret, const struct rsdl_parameter *parameter)
{
	g_autofree char *stem = NULL;
	g_auto(GStrv) choices = alternatives(parameter->name, &stem);

	if (!choices)
		add_entry(ret, parameter, parameter->name);
	else if (*stem)
		add_entry(ret, parameter, stem)->reference = true;
	else
		for (char **choice = choices; *choice; choice++)
			add_entry(ret, parameter, *choice);
}

static void add_collection(GPtrArray *ret, const struct rsdl_parameter *parameter)
{
	g_autofree char *only = only_member(parameter, "");
	bool texts = !parameter->item || (parameter->item->len == 1 && !*only);
	bool references = strcmp(only, "name") == 0 && (has_member(parameter, "id") || has_member(parameter, "id|name"));
	struct entry *entry;

	if (texts || references) {
		entry = add_entry(ret, parameter, parameter->name);
		entry->value = texts && parameter->item ? parameter->item->pdata[0] : parameter;
		entry->reference = references;
		entry->list = true;
	}
	for (guint i = 0; !texts && i < parameter->item->len; i++) {
		const struct rsdl_parameter *member = parameter->item->pdata[i];
		g_autofree char *name = g_strconcat(parameter->name, ".", member->name, NULL);

		if (references && (g_str_has_prefix(member->name, "id") || strcmp(member->name, "name") == 0))
			continue;
		entry = add_entry(ret, member, name);
		entry->required = parameter->required && member->required;
		entry->list = true;
		entry->json = member->item != NULL;
	}
}

static GPtrArray *entries(const struct rsdl_link *link)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(entry_free);

	for (guint i = 0; i < link->parameters->len; i++) {
		const struct rsdl_parameter *parameter = link->parameters->pdata[i];

		if (is_collection(parameter))
			add_collection(found, parameter);
		else
			add_simple(found, parameter);
	}
	return found;
}

static char *value_shape(const struct entry *entry)
{
	const struct rsdl_parameter *parameter = entry->value;

	if (entry->json)
		return g_strdup("JSON");
	if (entry->reference)
		return g_strdup("NAME|ID");
	if (parameter->values)
		return g_strjoinv("|", parameter->values);
	if (is_number(parameter))
		return g_strdup(g_strcmp0(parameter->unit, "bytes") == 0 ? "SIZE" : "NUMBER");
	return g_strdup(g_strcmp0(parameter->type, "xs:boolean") == 0 ? "true|false" : g_strcmp0(parameter->type, "xs:dateTime") == 0 ? "TIME" : "TEXT");
}

static void print_parameter(const struct entry *entry)
{
	g_autofree char *shape = value_shape(entry), *left = g_strdup_printf("%s=%s%s", entry->name, shape, entry->list && !entry->json ? ",..." : "");
	const char *unit = g_strcmp0(entry->value->unit, "bytes") != 0 ? entry->value->unit : NULL;
	g_autofree char *doc = g_strdup_printf("%s%s%s%s", entry->description ? entry->description : "", unit ? " (" : "", unit ? unit : "", unit ? ")" : "");

	print_entry(stdout, left, doc);
}

void body_help(const struct rsdl_link *link)
{
	g_autoptr(GPtrArray) all = entries(link);

	for (int optional = 0; optional < 2; optional++) {
		bool some = false;

		for (guint i = 0; i < all->len; i++) {
			const struct entry *entry = all->pdata[i];

			if (entry->required == optional)
				continue;
			if (!some)
				puts(optional ? "\nOptional:" : "\nRequired:");
			some = true;
			print_parameter(entry);
		}
	}
}

GPtrArray *body_names(const struct rsdl_link *link)
{
	g_autoptr(GPtrArray) all = entries(link);
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < all->len; i++) {
		const struct entry *entry = all->pdata[i];

		if (!entry->json)
			g_ptr_array_add(names, g_strdup(entry->name));
	}
	return names;
}

char **body_values(const struct rsdl *rsdl, const struct rsdl_link *link, const char *name, const char **ret_collection)
{
	g_autoptr(GPtrArray) all = entries(link);
	g_autofree char *suffix = g_strconcat(".", name, NULL);

	*ret_collection = NULL;
	for (guint i = 0; i < all->len; i++) {
		const struct entry *entry = all->pdata[i];
		const char *last = strrchr(entry->name, '.');

		if (strcmp(entry->name, name) != 0 && !g_str_has_suffix(entry->name, suffix))
			continue;
		if (entry->reference)
			*ret_collection = rsdl_collection_of(rsdl, last ? last + 1 : entry->name);
		return entry->value->values;
	}
	return NULL;
}
