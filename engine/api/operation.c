/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The general operations: list, get, add, update, remove, the same for every resource. What is particular is in the resource's row.
 *
 * A change runs as one job on the lane of what it changes, so two changes of one object never overlap, and what happened before them is seen. Lanes:
 * an object that lives by itself has "<collection>/<id>", also when it is reached through another (a storage domain below its data center, so that dead
 * storage stops nobody else); an object that is part of another (a NIC) shares that one's lane; adding to a top-level collection has none.
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/api-priv.h"
#include "engine/model/features.h"
#include "engine/model/kinds.h"
#include "engine/model/model.h"
#include "engine/search/search.h"
#include "engine/store/store.h"

#define UPDATE_TRIES 10

char *operation_lane(const struct call *call)
{
	const struct route *route = &call->route;
	for (unsigned i = route->depth; i-- > 0;) {
		const struct resource *resource = route->chain[i];
		if (!route->ids[i])
			continue;
		/* a part is its owner's business */
		if (i > 0 && (!resource->kind || resource->kind->parent))
			continue;
		return g_strdup_printf("%s/%s", resource->kind ? resource->kind->collection : resource->path, route->ids[i]);
	}
	return NULL;
}

/* ---- reading ---- */

static bool read_max(const struct request *request, size_t *ret_max, GError **error)
{
	const char *text = request_parameter(request, "max");
	guint64 max = 0;
	/* -1 is what client libraries send for "all" */
	if (text && strcmp(text, "-1") != 0 && !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT32, &max, NULL)) {
		error_set(error, ERR_BAD_VALUE, "max: '%.64s' is not a number", text);
		return false;
	}
	*ret_max = max;
	return true;
}

static GPtrArray *viewed(struct request *request, const GPtrArray *objects)
{
	GPtrArray *seen = g_ptr_array_new_full(objects->len, record_unref);
	for (guint i = 0; i < objects->len; i++)
		g_ptr_array_add(seen, member_view(request, g_ptr_array_index(objects, i)));
	return seen;
}

static bool is_seen(const void *object, void *data)
{
	return request_sees(data, object);
}

/* Of the objects of the model, or of a list. */
static GPtrArray *run_query(struct request *request, struct query *query, GError **error)
{
	struct model *model = request->engine->model;

	if (member_of_model(request) && !query_needs_view(query)) {
		struct sight *sight = member_sight(request, request->resource->kind);
		struct query_limit limit = { .shown = is_seen, .data = request };
		GPtrArray *found;

		if (sight)
			limit = (struct query_limit){ .among = sight_ids(sight), .shown = sight_sees, .data = sight, .by_record = true };
		found = query_run_all(query, model, member_all_shown(request) ? NULL : &limit);
		sight_free(sight);
		return found;
	}
	GPtrArray *objects = member_list(request, error);
	if (!objects)
		return NULL;
	GPtrArray *seen = query_needs_view(query) && request->resource->view ? viewed(request, objects) : g_ptr_array_ref(objects);
	GPtrArray *found = query_run(query, model, seen);
	g_ptr_array_unref(seen);
	g_ptr_array_unref(objects);
	return found;
}

static GPtrArray *select_members(struct call *call, GError **error)
{
	struct request *request = &call->request;
	const struct resource *resource = request->resource;
	const char *text = request_parameter(request, "search"), *sensitive = request_parameter(request, "case-sensitive");
	struct search_options options = {
		.case_insensitive = sensitive && g_ascii_strcasecmp(sensitive, "false") == 0, .sees = is_seen, .data = request,
	};

	if (!read_max(request, &options.max, error))
		return NULL;
	if (!resource->kind || (!text && !options.max)) {
		GPtrArray *some = member_list(request, error);
		if (some && options.max && some->len > options.max)
			g_ptr_array_set_size(some, (gint)options.max);
		return some;
	}
	struct query *query = query_new(resource->kind, text ? text : "", &options, error);
	if (!query)
		return NULL;
	GPtrArray *found = run_query(request, query, error);
	query_free(query);
	return found;
}

void operation_read(struct call *call)
{
	GError *error = NULL;
	if (call->route.kind == ROUTE_OBJECT) {
		void *object = object_of_call(call, &error);
		if (!object) {
			answer_fault(call, error);
			return;
		}
		answer_object(call, 200, object, NULL);
		record_unref(object);
		return;
	}
	GPtrArray *found = member_parents(call, call->route.depth - 1, &error) ? select_members(call, &error) : NULL;
	if (found) {
		exchange_answer(call->exchange, 200, format_type(call->format), render_collection(call, found));
		g_ptr_array_unref(found);
	} else {
		answer_fault(call, error);
	}
}

/* ---- events ---- */

void request_event(struct request *request, struct change *change, int code, void *record, const char *how)
{
	char *noun, *parent = NULL;

	if (!code)
		return;
	noun = g_strdelimit(g_strdup(((const struct record *)record)->type->name), "_", ' ');
	noun[0] = g_ascii_toupper(noun[0]);
	if (request->parent)
		parent = g_strdup_printf(" (%s %s)", ((const struct record *)request->parent)->type->name,
					 object_name(request->parent) ? object_name(request->parent) : object_id(request->parent));
	change_event(change, code, &request->actor, (void *[]){ record, request->parent, NULL }, "%s %s%s was %s by %s.", noun,
		     object_name(record) ? object_name(record) : object_id(record), parent ? parent : "", how, request->actor.user_name);
	g_free(parent);
	g_free(noun);
}

/* Changes that came to nothing, for kinds that have events for it (appendix C). What was malformed or not permitted is not among them. */
static const struct { const struct kind *kind; const char *method; int code; const char *text; } failures[] = {
	{ &vm_kind, "POST", 57, "Failed to create VM" }, { &vm_kind, "PUT", 58, "Failed to update VM" }, { &host_kind, "POST", 104, "Failed to add Host" },
	{ &host_kind, "PUT", 105, "Failed to update Host" }, { &host_kind, "DELETE", 106, "Failed to remove Host" },
	{ &template_kind, "PUT", 109, "Failed to update Template" }, { &template_kind, "DELETE", 110, "Failed to initiate removal of Template" },
	{ &image_provider_kind, "POST", 206, "Failed to add provider" }, { &image_provider_kind, "PUT", 208, "Failed to update provider" },
	{ &image_provider_kind, "DELETE", 210, "Failed to remove provider" },
	{ &host_provider_kind, "POST", 206, "Failed to add provider" }, { &host_provider_kind, "PUT", 208, "Failed to update provider" },
	{ &host_provider_kind, "DELETE", 210, "Failed to remove provider" },
};

static void failure_event(const struct call *call, const char *method, void *object, const GError *error)
{
	const struct request *request = &call->request;
	const char *name = object ? object_name(object) : NULL;
	int status = fault_status(error);

	if (!request->engine->store || !request->resource || !name || (status != 409 && status < 500))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(failures); i++)
		if (failures[i].kind == request->resource->kind && strcmp(failures[i].method, method) == 0)
			store_event(request->engine->store, failures[i].code, &request->actor, strcmp(method, "POST") != 0 ? (void *[]){ object, NULL } : NULL,
				    "%s %s (User: %s).", failures[i].text, name, request->actor.user_name);
}

/* ---- adding ---- */

static void location(struct call *call, const void *object)
{
	GString *path = g_string_new(NULL);
	const char *host = call->exchange->local;
	size_t n = host ? strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") : 0;
	if (n > 0 && host[n] == '\0' && exchange_header(call->exchange, "Host"))
		g_string_append_printf(path, "https://%s", host);
	route_href(&call->route, false, path);
	g_string_append_printf(path, "/%s", object_id(object));
	exchange_add_header(call->exchange, "Location", "%s", path->str);
	g_string_free(path, TRUE);
}

static bool add_record(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct resource *resource = request->resource;
	if (resource->add)
		return resource->add(request, input, ret_record, error);
	/* a view of the kind with other rules for input: the same struct and rows, the record becomes one of the kind */
	struct record *record = input;
	const struct record_type *type = resource->kind->type;
	if (record->type->size == type->size && record->type->n_fields == type->n_fields)
		record->type = type;
	struct change *change = change_new(request->engine->store);
	if (resource->check)
		change_check(change, resource->check, input);
	request_add(request, change, input);
	request_event(request, change, resource->event_added, input, "added");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(input);
	return true;
}

/* Where the parent's object is a member of the new one, it is the one of the URL. */
static void set_parent(const struct request *request, void *input)
{
	const struct field *field = member_parent_field(request->resource);
	const struct field *own = field ? record_field(((const struct record *)input)->type, field->path) : NULL;
	if (own && own->kind == FIELD_REF && request->parent)
		set_ref((struct ref *)(void *)((char *)input + own->offset), object_id(request->parent));
}

static bool add_input(struct call *call, GError **error)
{
	struct request *request = &call->request;
	const struct record_type *type = resource_type(request->resource);
	g_autoptr(GPtrArray) missing = strings_new();
	if (!input_read(call, type, CREATE, false, &call->input, NULL, error))
		return false;
	set_parent(request, call->input);
	if (request->resource->missing)
		request->resource->missing(request, call->input, missing);
	if (!record_check_required(call->input, "add", missing, error) ||
	    !input_resolve(request, call->input, request->parent ? request->parent : call->input, error))
		return false;
	/* an id that may be given names an object that exists: there is nothing to be filled in */
	const struct field *id = record_field(type, "@id");
	if (!request->resource->bare && (!id || !record_has(call->input, id->offset)))
		record_defaults(call->input, 0);
	return true;
}

/* The object as it is now: the long part may have changed it. */
static void *again(struct call *call, void *object)
{
	void *now = call->request.resource->kind ? model_get(call->api->engine->model, call->request.resource->kind, object_id(object)) : NULL;
	if (!now || call->request.resource->type) {
		record_unref(now);
		return record_ref(object);
	}
	return now;
}

static void finish_creation(struct call *call)
{
	GError *error = NULL;
	struct api *api = call->api;
	if (call->invocation)
		invocation_run(api->invocations, call->invocation);
	bool ok = error_ensure(call->request.resource->finish(&call->request, call->object, &error), &error, "adding to %s", call->request.resource->path);
	if (call->invocation)
		invocation_end(api->invocations, call->invocation, NULL, error);
	if (!call->exchange) {
		g_clear_error(&error);
		call_free(call);
		return;
	}
	if (ok) {
		void *object = again(call, call->object);
		answer_object(call, 201, object, NULL);
		record_unref(object);
	} else {
		answer_fault(call, error);
	}
	call_done(call);
}

static void answer_added(struct call *call, void *object)
{
	g_autoptr(GPtrArray) one = g_ptr_array_new();

	g_ptr_array_add(one, object);
	if (call->request.resource->wrapped)
		exchange_answer(call->exchange, 201, format_type(call->format), render_collection(call, one));
	else
		answer_object(call, 201, object, NULL);
}

static void add(struct call *call)
{
	const struct resource *resource = call->request.resource;
	GError *error = NULL;
	void *object = NULL;

	bool ok = api_permitted_somewhere(call, resource->permit_add, &error) && add_input(call, &error) &&
		  api_permitted(call, resource->permit_add, call->request.parent ? NULL : call->input, &error) &&
		  features_check(call->api->engine->model, call->input, NULL, &error) &&
		  add_record(&call->request, call->input, &object, &error);
	if (!error_ensure(ok, &error, "adding to %s", resource->path)) {
		failure_event(call, "POST", call->input, error);
		answer_fault(call, error);
		call_done(call);
		return;
	}
	bool wait = !resource->asynchronous || exchange_has_token(call->exchange, "Expect", "201-created", NULL);
	location(call, object);
	call->object = object;
	char *lane = g_strdup_printf("%s/%s", resource->kind ? resource->kind->collection : resource->path, object_id(object));
	if (wait && resource->finish) {
		call_submit(call, lane, finish_creation);
	} else if (wait) {
		answer_added(call, object);
		call_done(call);
	} else {
		GString *href = g_string_new(NULL);
		route_href(&call->route, false, href);
		g_string_append_printf(href, "/%s", object_id(object));
		call->invocation = invocation_begin(call->api->invocations, href->str + strlen(call->route.base), NULL);
		g_string_free(href, TRUE);
		answer_object(call, 202, object, call->invocation);
		if (resource->finish) {
			call_answer_early(call);
			call_submit(call, lane, finish_creation);
		} else {
			invocation_end(call->api->invocations, call->invocation, NULL, NULL);
			call_done(call);
		}
	}
	g_free(lane);
}

/* ---- updating ---- */

static bool update_record(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct resource *resource = request->resource;
	if (resource->update)
		return resource->update(request, current, changed, input, ret_record, error);
	struct change *change = change_new(request->engine->store);
	if (resource->check)
		change_check(change, resource->check, changed);
	change_replace(change, current, changed);
	request_event(request, change, resource->event_updated, changed, "updated");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(changed);
	return true;
}

static bool update_once(struct call *call, void **ret_record, GError **error)
{
	void *current = object_of_call(call, error);
	if (!current)
		return false;
	void *changed = record_copy(current);
	bool ok = record_merge(changed, call->input, error) && api_permitted_there(call, call->request.resource->permit_update, current, changed, error) &&
		  features_check(call->api->engine->model, changed, current, error) &&
		  update_record(&call->request, current, changed, call->input, ret_record, error);
	record_unref(changed);
	record_unref(current);
	return ok;
}

static void update(struct call *call)
{
	const struct resource *resource = call->request.resource;
	GError *error = NULL;
	void *record = NULL;
	char *id = NULL;
	void *current = object_of_call(call, &error);
	bool ok = current && api_permitted(call, resource->permit_update, current, &error) &&
		  input_read(call, ((const struct record *)current)->type, CREATE | UPDATE, true, &call->input, &id, &error);

	if (ok && id && g_ascii_strcasecmp(id, object_id(current)) != 0) {
		error_set(&error, ERR_IMMUTABLE, "Attempt to set immutable field: id");
		ok = false;
	}
	ok = ok && input_resolve(&call->request, call->input, call->request.parent ? call->request.parent : current, &error);
	/* somebody else (a host's report) may change the object between the reading and the writing */
	for (unsigned try = 0; ok; try++) {
		ok = update_once(call, &record, &error);
		if (ok || try + 1 == UPDATE_TRIES || !error_is(error, ERR_CONFLICT))
			break;
		g_clear_error(&error);
		ok = true;
	}
	if (error_ensure(ok, &error, "change of one of %s", resource->path)) {
		if (resource->updated)
			resource->updated(&call->request, record);
		answer_object(call, 200, record, NULL);
		record_unref(record);
	} else {
		failure_event(call, "PUT", current, error);
		answer_fault(call, error);
	}
	g_free(id);
	record_unref(current);
	call_done(call);
}

/* ---- removing ---- */

static bool remove_record(struct request *request, const void *current, const void *options, GError **error)
{
	const struct resource *resource = request->resource;
	if (resource->remove)
		return resource->remove(request, current, options, error);
	struct change *change = change_new(request->engine->store);
	change_remove(change, current);
	request_event(request, change, resource->event_removed, (void *)current, "removed");
	return change_commit(change, error);
}

static void remove_stage(struct call *call)
{
	GError *error = NULL;
	void *current = object_of_call(call, &error);
	bool ok = current != NULL;
	for (unsigned try = 0; ok; try++) {
		ok = remove_record(&call->request, current, call->request.resource->remove_params ? call->input : NULL, &error);
		if (ok || try + 1 == UPDATE_TRIES || !error_is(error, ERR_CONFLICT))
			break;
		g_clear_error(&error);
		record_unref(current);
		current = object_of_call(call, &error);
		ok = current != NULL;
	}
	if (!error_ensure(ok, &error, "removal from %s", call->request.resource->path))
		failure_event(call, "DELETE", current, error);
	record_unref(current);
	if (call->invocation)
		invocation_end(call->api->invocations, call->invocation, NULL, error);
	if (!call->exchange) {
		g_clear_error(&error);
		call_free(call);
		return;
	}
	if (ok)
		exchange_answer(call->exchange, 204, NULL, NULL);
	else
		answer_fault(call, error);
	call_done(call);
}

static bool wants_async(const struct call *call)
{
	if (request_flag(&call->request, "async"))
		return true;
	const struct field *field = call->input ? record_field(((const struct record *)call->input)->type, "async") : NULL;
	return field && field->kind == FIELD_BOOL && *(const bool *)(const void *)((const char *)call->input + field->offset);
}

void operation_remove(struct call *call)
{
	const struct resource *resource = call->request.resource;
	GError *error = NULL;
	void *current = object_of_call(call, &error);
	bool ok = current && api_permitted(call, resource->permit_remove, current, &error);
	if (ok && call->exchange->body && call->exchange->body->len > 0) {
		const struct record_type *type = resource->remove_params ? resource->remove_params : &plain_action_type;
		ok = input_read(call, type, CREATE, false, &call->input, NULL, &error) && input_resolve(&call->request, call->input, current, &error);
	}
	record_unref(current);
	if (!ok) {
		answer_fault(call, error);
		call_done(call);
		return;
	}
	if (wants_async(call)) {
		struct plain_action *action = record_new(&plain_action_type);
		SET(action, async, true);
		SET(action, state, ACTION_PENDING);
		answer_record(call, 202, action, NULL);
		record_unref(action);
		call_answer_early(call);
	}
	char *lane = operation_lane(call);
	call_submit(call, lane, remove_stage);
	g_free(lane);
}

void operation_change(struct call *call)
{
	GError *error = NULL;
	const char *method = call->exchange->method;
	if (strcmp(method, "PUT") == 0) {
		update(call);
		return;
	}
	if (member_parents(call, call->route.depth - 1, &error)) {
		add(call);
		return;
	}
	answer_fault(call, error);
	call_done(call);
}
