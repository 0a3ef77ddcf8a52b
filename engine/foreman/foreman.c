/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rests on Foreman's and Katello's API of version 2 as publicly documented (apidocs.theforeman.org) and as oVirt 3.6 uses it:
 *	/api/v2/status                                       {"version": "1.11.0", ...}
 *	Foreman since 1.11 (Katello 3):  /api/v2/hosts?search=name=...             results[] of {id, name}
 *	                                 /api/v2/hosts/ID/errata[/ERRATUM]
 *	before (Katello 2):              /katello/api/v2/systems?search=name:...   results[] of {uuid, name}
 *	                                 /katello/api/v2/systems/UUID/errata[/ERRATUM]
 * Lists come in pages: page=1.., per_page; {"results": [...], "subtotal": how many match}. Users are known by HTTP Basic.
 */
#include "engine/foreman/foreman.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/error.h"
#include "engine/model/kinds.h"
#include "engine/web/web.h"

#define PAGE 100
#define BYTES_MAX ((size_t)4 * WEB_ANSWER_MAX)        /* of all answers to one question */
#define KATELLO_3_MAJOR 1
#define KATELLO_3_MINOR 11

struct talk {
	struct engine *engine;
	struct host_provider *provider;
	char *base;
	int64_t until_usec;
	size_t bytes;
};

static struct web_gate gate = { .what = "external host provider" };

static bool begin(struct talk *talk, struct engine *engine, const char *provider_id, GError **error)
{
	struct host_provider *provider = provider_id ? model_get(engine->model, &host_provider_kind, provider_id) : NULL;

	*talk = (struct talk){ 0 };
	if (!provider)
		error_set(error, ERR_NOT_FOUND, "external host provider '%s'", provider_id ? provider_id : "");
	else if (web_gate_enter(&gate, provider->name, error)) {
		*talk = (struct talk){ .engine = engine, .provider = record_ref(provider), .base = web_base(provider->url) };
		talk->until_usec = now_usec() + config_int(engine->config, "foreman", "timeout") * (int64_t)G_USEC_PER_SEC;
	}
	record_unref(provider);
	return talk->provider != NULL;
}

static void end(struct talk *talk)
{
	record_unref(talk->provider);
	g_free(talk->base);
	web_gate_leave(&gate);
}

/* The answer's object, or why there is none. */
static json_t *judge(struct talk *talk, const struct web_question *question, const struct web_answer *answer, GError **error)
{
	json_t *json = NULL;

	talk->bytes += answer->body->len;
	if (answer->status == 401 && !talk->provider->requires_authentication)
		web_error(error, question, "a user is wanted, but requires_authentication is false");
	else if (answer->status == 401)
		web_error(error, question, "user '%s' and his password are not accepted", talk->provider->username);
	else if (answer->status == 403)
		web_error(error, question, "it is not permitted there");
	else if (answer->status == 404)
		json = json_null();
	else if (answer->status != 200)
		web_error(error, question, "the server answered %ld", answer->status);
	else if (talk->bytes > BYTES_MAX)
		web_error(error, question, "the answers have more than %zu bytes together", BYTES_MAX);
	else if (!(json = web_answer_object(answer)))
		web_error(error, question, "the answer is no JSON object");
	return json;
}

/* path: "/api/v2/..."; what is not there is JSON null. NULL + error */
static json_t *ask(struct talk *talk, const char *path, GError **error)
{
	const struct host_provider *provider = talk->provider;
	g_autofree char *url = g_strconcat(talk->base, path, NULL);
	struct web_question question = { .method = "GET", .url = url };
	struct web_answer answer;
	json_t *json = NULL;

	if (provider->requires_authentication) {
		question.user = provider->username;
		question.password = provider->password;
	}
	if (web_ask(talk->engine, &question, talk->until_usec, &answer, error)) {
		json = judge(talk, &question, &answer, error);
		web_answer_clear(&answer);
	}
	if (!json)
		error_wrap(error, "external host provider '%s'", provider->name);
	return json;
}

static const char *text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value && *value ? value : NULL;
}

/* "1.11.0-RC1". NULL: there is no Foreman; g_free */
static char *version(struct talk *talk, GError **error)
{
	json_t *status = ask(talk, "/api/v2/status", error);
	char *found = g_strdup(text(status, "version"));

	if (status && !found)
		error_set(error, ERR_PROVIDER_FAILURE, "external host provider '%s': there is no Foreman API of version 2 at %s", talk->provider->name, talk->base);
	json_decref(status);
	return found;
}

static bool has_katello_3(const char *version)
{
	char *rest;
	long major = strtol(version, &rest, 10);
	long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;

	return major > KATELLO_3_MAJOR || (major == KATELLO_3_MAJOR && minor >= KATELLO_3_MINOR);
}

/* It becomes part of a path. */
static bool is_word(const char *id)
{
	return id && g_regex_match_simple("^[A-Za-z0-9][A-Za-z0-9:._-]{0,127}$", id, G_REGEX_DOLLAR_ENDONLY, 0);
}

static char *path_of(const json_t *found, const char *machine, bool katello_3)
{
	const char *name = text(found, "name"), *uuid = text(found, "uuid");
	json_t *id = json_object_get(found, "id");

	/* the search may be laxer than we are */
	if (!name || g_ascii_strcasecmp(name, machine))
		return NULL;
	if (katello_3)
		return json_is_integer(id) ? g_strdup_printf("/api/v2/hosts/%" JSON_INTEGER_FORMAT "/errata", json_integer_value(id)) : NULL;
	return is_word(uuid) ? g_strdup_printf("/katello/api/v2/systems/%s/errata", uuid) : NULL;
}

/* Where the machine's errata are; ret_path NULL: it is not known there. */
static bool find(struct talk *talk, const char *machine, char **ret_path, GError **error)
{
	g_autofree char *release = version(talk, error);
	bool katello_3 = release && has_katello_3(release);
	g_autofree char *term = g_strdup_printf(katello_3 ? "name=\"%s\"" : "name:\"%s\"", machine), *query = g_uri_escape_string(term, NULL, false);
	g_autofree char *path = g_strconcat(katello_3 ? "/api/v2/hosts?search=" : "/katello/api/v2/systems?search=", query, NULL);
	json_t *answer = release ? ask(talk, path, error) : NULL, *results = json_object_get(answer, "results"), *found;
	bool good = json_is_array(results);
	size_t i;

	*ret_path = NULL;
	json_array_foreach(results, i, found)
		if (!*ret_path)
			*ret_path = path_of(found, machine, katello_3);
	if (answer && !good)
		error_set(error, ERR_PROVIDER_FAILURE, "external host provider '%s': its list of hosts has no results%s", talk->provider->name,
			  json_is_null(answer) ? ": is there a Katello?" : "");
	json_decref(answer);
	return good;
}

/* "2015-08-17", or a whole time, of which clients show the day */
static bool day_of(const char *value, int64_t *ret_ms)
{
	g_autofree char *whole = value && strlen(value) >= 10 ? g_strdup_printf("%.10sT00:00:00Z", value) : NULL;
	g_autoptr(GDateTime) time = whole && g_utf8_validate(whole, -1, NULL) ? g_date_time_new_from_iso8601(whole, NULL) : NULL;

	if (time)
		*ret_ms = g_date_time_to_unix(time) * 1000;
	return time != NULL;
}

/* NULL: it has no id that can be asked for */
static struct erratum *erratum_of(const json_t *json)
{
	const char *id = text(json, "errata_id");
	struct erratum *erratum;
	int64_t issued;
	json_t *package;
	size_t i;

	if (!is_word(id))
		return NULL;
	erratum = record_new(&erratum_type);
	set_string(&erratum->id, id);
	set_string(&erratum->name, id);
	set_string(&erratum->description, text(json, "description"));
	set_string(&erratum->title, text(json, "title"));
	set_string(&erratum->type, text(json, "type"));
	set_string(&erratum->severity, text(json, "severity"));
	set_string(&erratum->solution, text(json, "solution"));
	set_string(&erratum->summary, text(json, "summary"));
	if (day_of(text(json, "issued"), &issued))
		SET(erratum, issued, issued);
	json_array_foreach(json_object_get(json, "packages"), i, package)
		if (json_is_string(package))
			set_string(&((struct erratum_package *)list_add(&erratum->packages, &erratum_package_type))->name, json_string_value(package));
	return erratum;
}

/* One page; ret_more: there are others. */
static bool add_page(struct talk *talk, const char *path, int page, GPtrArray *errata, size_t *seen, bool *ret_more, GError **error)
{
	g_autofree char *where = g_strdup_printf("%s?page=%d&per_page=%d", path, page, PAGE);
	json_t *answer = ask(talk, where, error), *results = json_object_get(answer, "results"), *total = json_object_get(answer, "subtotal"), *item;
	bool good = json_is_array(results);
	size_t i;

	json_array_foreach(results, i, item) {
		struct erratum *erratum = errata->len < FOREMAN_ERRATA_MAX ? erratum_of(item) : NULL;

		if (erratum)
			g_ptr_array_add(errata, erratum);
	}
	if (answer && !good && !json_is_null(answer))
		error_set(error, ERR_PROVIDER_FAILURE, "external host provider '%s': the answer has no results", talk->provider->name);
	good = good || json_is_null(answer);                   /* a host that has no content of Katello's */
	*seen += json_array_size(results);
	*ret_more = json_array_size(results) && *seen < FOREMAN_ERRATA_MAX &&
		    (!json_is_integer(total) || json_integer_value(total) > (json_int_t)*seen);
	json_decref(answer);
	return good;
}

bool foreman_check(struct engine *engine, const char *provider_id, GError **error)
{
	struct talk talk;
	char *release;

	if (!begin(&talk, engine, provider_id, error))
		return false;
	release = version(&talk, error);
	end(&talk);
	g_free(release);
	return release != NULL;
}

GPtrArray *foreman_errata(struct engine *engine, const char *provider_id, const char *machine, GError **error)
{
	GPtrArray *errata = list_new();
	g_autofree char *path = NULL;
	struct talk talk;
	bool good, more;
	size_t seen = 0;

	good = begin(&talk, engine, provider_id, error);
	if (good) {
		good = find(&talk, machine, &path, error);
		more = path != NULL;
		for (int page = 1; good && more; page++)
			good = add_page(&talk, path, page, errata, &seen, &more, error);
		end(&talk);
	}
	if (!good)
		g_clear_pointer(&errata, g_ptr_array_unref);
	return errata;
}

struct erratum *foreman_erratum(struct engine *engine, const char *provider_id, const char *machine, const char *id, GError **error)
{
	struct erratum *erratum = NULL;
	g_autofree char *path = NULL, *where = NULL;
	struct talk talk;
	json_t *json = NULL;
	bool good;

	if (!begin(&talk, engine, provider_id, error))
		return NULL;
	good = find(&talk, machine, &path, error);
	if (good && path && is_word(id)) {
		where = g_strdup_printf("%s/%s", path, id);
		json = ask(&talk, where, error);
		good = json != NULL;
	}
	end(&talk);
	erratum = json ? erratum_of(json) : NULL;
	if (good && !erratum)
		error_set(error, ERR_NOT_FOUND, "erratum '%.128s' of '%s'", id, machine);
	json_decref(json);
	return erratum;
}
