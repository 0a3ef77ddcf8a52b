/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions: POST .../{action} with an <action> body.
 *
 *	stage 1 (no lane):          object, permit, body, references; the invocation gets an id; asynchronous: answer 202 now
 *	[grace period]
 *	stage 2 (the object's lane): the object as it is by now, run; synchronous: answer 200, or the error's status with the fault inside <action>
 *
 * An asynchronous action with the lane busy is answered all the same, because stage 1 waits for nobody.
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/api-priv.h"
#include "engine/model/features.h"
#include "engine/model/model.h"

const char *const action_state_names[] = { "pending", "in_progress", "complete", "failed", NULL };

static const struct field plain_fields[] = { ACTION_FIELDS(struct plain_action) };
const struct record_type plain_action_type = RECORD_TYPE("action", NULL, struct plain_action, plain_fields, "An action without parameters of its own");

struct links { const char *object, *action; };

static void write_links(const struct record_view *view, struct writer *w, const void *record)
{
	const struct links *links = view->data;
	writer_open_list(w, "link");
	writer_open(w, "link");
	writer_attribute(w, "href", links->object);
	writer_attribute(w, "rel", "parent");
	writer_close(w);
	writer_open(w, "link");
	writer_attribute(w, "href", links->action);
	writer_attribute(w, "rel", "replay");
	writer_close(w);
	writer_close_list(w);
}

/* record: of the action's parameter type, its common members first; a private copy is shown. */
static void answer_action(struct call *call, int status, const void *record, const char *id, enum action_state state, const char *reason,
			  const char *detail) {
	struct plain_action *shown = record_copy(record);
	GString *object = g_string_new(NULL);
	route_href(&call->route, true, object);
	char *action = g_strdup_printf("%s/%s", object->str, call->route.action->name);
	char *href = g_strdup_printf("%s/%s", action, id);

	set_string(&shown->id, id);
	SET(shown, state, (int)state);
	set_string(&shown->fault_reason, reason);
	set_string(&shown->fault_detail, detail);
	struct links links = { object->str, action };
	const struct record_view view = { .base = call->route.base, .href = href, .extra = write_links, .data = &links };
	GString *out = g_string_sized_new(1024);
	struct writer *w = render_writer(call->format, out);
	record_write(w, "action", shown, &view);
	writer_free(w);
	exchange_answer(call->exchange, status, format_type(call->format), out);
	g_string_free(object, TRUE);
	g_free(action);
	g_free(href);
	record_unref(shown);
}

static const struct record_type *params_type(const struct action *action)
{
	return action->params ? action->params : &plain_action_type;
}

static void run(struct call *call)
{
	const struct action *action = call->route.action;
	struct api *api = call->api;
	GError *error = NULL;
	void *result = NULL;

	invocation_run(api->invocations, call->invocation);
	void *object = object_of_call(call, &error);
	bool ok = object && (!action->feature || feature_check(api->engine->model, object, action->feature, &error)) &&
		  action->run(&call->request, object, call->input, &result, &error);
	(void)error_ensure(ok, &error, "action %s", action->name);
	record_unref(object);
	invocation_end(api->invocations, call->invocation, result, error);
	if (call->exchange) {
		const void *shown = result ? result : call->input;
		if (ok) {
			answer_action(call, 200, shown, call->invocation, ACTION_COMPLETE, NULL, NULL);
		} else {
			char *reason, *detail;
			fault_split(error, &reason, &detail);
			answer_action(call, fault_status(error), shown, call->invocation, ACTION_FAILED, reason, detail);
			g_free(reason);
			g_free(detail);
		}
	}
	record_unref(result);
	g_clear_error(&error);
	if (call->exchange)
		call_done(call);
	else
		call_free(call);
}

void action_start(struct call *call)
{
	const struct action *action = call->route.action;
	GError *error = NULL;
	void *object = object_of_call(call, &error);
	bool ok = object && api_permitted(call, action->permit, object, &error) &&
		  input_read(call, params_type(action), CREATE, false, &call->input, NULL, &error) &&
		  record_check_required(call->input, action->name, /* more= */ NULL, &error) && input_resolve(&call->request, call->input, object, &error);
	record_unref(object);
	if (!ok) {
		answer_fault(call, error);
		call_done(call);
		return;
	}
	record_defaults(call->input, 0);
	const struct plain_action *common = call->input;
	GString *href = g_string_new(NULL);
	route_href(&call->route, true, href);
	call->invocation = invocation_begin(call->api->invocations, href->str + strlen(call->route.base), call->input);
	g_string_free(href, TRUE);
	int64_t grace_usec = common->grace_period * 1000;
	if (common->async || request_flag(&call->request, "async")) {
		answer_action(call, 202, call->input, call->invocation, ACTION_PENDING, NULL, NULL);
		call_answer_early(call);
	}
	char *owner = operation_lane(call), *lane = action->beside ? g_strconcat(owner, "/beside", NULL) : g_strdup(owner);
	g_free(owner);
	if (grace_usec > 0)
		call_submit_later(call, lane, run, grace_usec);
	else
		call_submit(call, lane, run);
	g_free(lane);
}

/* What is no longer (or never was) known: the object itself says how it is. */
static void answer_target(struct call *call)
{
	GError *error = NULL;
	void *object = object_of_call(call, &error);
	if (!object) {
		answer_fault(call, error);
		return;
	}
	record_unref(object);
	GString *href = g_string_new(NULL);
	route_href(&call->route, true, href);
	exchange_answer(call->exchange, 301, NULL, NULL);
	exchange_add_header(call->exchange, "Location", "%s", href->str);
	g_string_free(href, TRUE);
}

void action_status(struct call *call)
{
	enum action_state state;
	void *record;
	char *reason, *detail;
	GString *href = g_string_new(NULL);
	route_href(&call->route, true, href);
	bool known = invocation_find(call->api->invocations, call->route.tail, href->str, &state, &record, &reason, &detail);
	g_string_free(href, TRUE);
	if (!known || !record) {
		answer_target(call);
		return;
	}
	answer_action(call, 200, record, call->route.tail, state, reason, detail);
	record_unref(record);
	g_free(reason);
	g_free(detail);
}

/* ---- creation_status ---- */

struct creation { struct record record; char *id; int state; char *fault_reason, *fault_detail; };
static const struct field creation_fields[] = {
	FIELD_STRING_(struct creation, id, "@id", READ_ONLY, "id of this creation"),
	FIELD_ENUM_(struct creation, state, "status/state", READ_ONLY, action_state_names, "how far it is"),
	FIELD_STRING_(struct creation, fault_reason, "fault/reason", READ_ONLY, "why it failed, short"),
	FIELD_STRING_(struct creation, fault_detail, "fault/detail", READ_ONLY, "why it failed"),
};
const struct record_type creation_type = RECORD_TYPE("creation", NULL, struct creation, creation_fields, "State of an asynchronous creation");

void creation_status(struct call *call)
{
	enum action_state state;
	void *record;
	char *reason, *detail;
	GString *href = g_string_new(NULL);
	route_href(&call->route, true, href);
	if (!invocation_find(call->api->invocations, call->route.tail, href->str, &state, &record, &reason, &detail)) {
		g_string_free(href, TRUE);
		answer_target(call);
		return;
	}
	struct creation *creation = record_new(&creation_type);
	creation->id = g_strdup(call->route.tail);
	SET(creation, state, (int)state);
	creation->fault_reason = reason;
	creation->fault_detail = detail;
	g_string_append_printf(href, "/creation_status/%s", call->route.tail);
	answer_record(call, 200, creation, href->str);
	record_unref(creation);
	record_unref(record);
	g_string_free(href, TRUE);
}
