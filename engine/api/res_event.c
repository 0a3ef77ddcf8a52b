/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events (REST chapter 24). The engine's own are written by what it does; programs may add theirs, and with them set the external status of a host or
 * storage domain. The same event of the same origin is not taken again within its flood_rate: the answer is the one that is there.
 */
#include "common/error.h"
#include "common/loop.h"
#include "engine/api/res_data.h"
#include "engine/model/event.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/storage_domain.h"
#include "engine/store/store.h"

#define EVENT_REMOVED 20373                  /* of our own */

/* Codes of events that others report, by severity. */
static const int external_codes[SEVERITY_MAX] = { 9801, 9802, 9803, 9804 };
/* A new version of the object with the external status that the event tells. */
static void set_status(struct model *model, struct change *change, const struct kind *kind, const char *id, size_t member, int state)
{
	void *object = model_get(model, kind, id), *copy;

	if (!object)
		return;
	copy = record_copy(object);
	*(int *)(void *)((char *)copy + member) = state;
	record_mark(copy, member, true);
	change_replace(change, object, copy);
	record_unref(copy);
	record_unref(object);
}

static bool add_once(struct request *request, struct event *event, GError **error)
{
	struct model *model = request->engine->model;
	struct change *change = change_new(request->engine->store);

	if (event->host.id && HAS(event, host_external_state))
		set_status(model, change, &host_kind, event->host.id, offsetof(struct host, external_state), event->host_external_state);
	if (event->storage_domain.id && HAS(event, domain_external_state))
		set_status(model, change, &storage_domain_kind, event->storage_domain.id, offsetof(struct storage_domain, external_state),
			   event->domain_external_state);
	change_add(change, event);
	return change_commit(change, error);
}

/* An event is about things that exist, though it may outlive them. */
static bool check_about(struct model *model, const struct event *event, GError **error)
{
	const struct { const struct kind *kind; const struct ref *ref; } about[] = {
		{ &user_kind, &event->user }, { &vm_kind, &event->vm }, { &host_kind, &event->host }, { &storage_domain_kind, &event->storage_domain },
		{ &template_kind, &event->template }, { &cluster_kind, &event->cluster }, { &datacenter_kind, &event->data_center },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(about); i++) {
		void *object = about[i].ref->id ? model_get(model, about[i].kind, about[i].ref->id) : NULL;

		if (about[i].ref->id && !object) {
			error_set(error, ERR_NOT_FOUND, "event: %s '%s'", about[i].kind->type->name, about[i].ref->id);
			return false;
		}
		record_unref(object);
	}
	return true;
}

/* By name, as everywhere else a reference can be given. */
static void take_names(struct model *model, struct event *event)
{
	struct { const struct kind *kind; struct ref *ref; } about[] = {
		{ &user_kind, &event->user }, { &vm_kind, &event->vm }, { &host_kind, &event->host }, { &storage_domain_kind, &event->storage_domain },
		{ &template_kind, &event->template }, { &cluster_kind, &event->cluster }, { &datacenter_kind, &event->data_center },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(about); i++) {
		void *object = !about[i].ref->id && about[i].ref->name ? model_find(model, about[i].kind, NULL, about[i].ref->name) : NULL;

		if (object)
			set_ref(about[i].ref, object_id(object));
		record_unref(object);
	}
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct model *model = request->engine->model;
	struct event *event = input, *same;
	g_autoptr(GError) problem = NULL;
	bool added = false;

	take_names(model, event);
	if (!check_about(model, event, error))
		return false;
	SET(event, time, wall_msec());
	SET(event, code, external_codes[event->severity]);
	if (!event->user.id)
		set_ref(&event->user, request->actor.user_id);
	if (request->actor.correlation_id)
		set_string(&event->correlation_id, request->actor.correlation_id);
	same = event_recent(model, event);
	if (same) {
		*ret_record = same;
		return true;
	}
	/* a host's record may change under our hands */
	for (int i = 0; i < 5 && !added; i++) {
		g_clear_error(&problem);
		added = add_once(request, event, &problem);
		if (!added && !error_is(problem, ERR_CONFLICT))
			break;
	}
	if (!added) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	*ret_record = record_ref(event);
	return true;
}

const struct resource resource_event = {
	.kind = &event_kind, .path = "events", .methods = RESOURCE_LIST | RESOURCE_GET | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links,
	.permit_add = "inject_external_events", .permit_remove = "audit_log_management", .event_removed = EVENT_REMOVED,
	.doc = "What happened, newest first", .add = add,
};
