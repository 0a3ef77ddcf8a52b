/* SPDX-License-Identifier: Apache-2.0 */
/* Events: the table, severities by code. See event.h. */
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

const char *const severity_names[] = { "normal", "warning", "error", "alert", NULL };

#define ABOUT(member, collection, text) FIELD_REF_(struct event, member, #member, CREATE | SEARCH | WEAK | WITHIN, collection, text)

static const struct field event_fields[] = {
	FIELD_STRING_(struct event, id, "@id", READ_ONLY, "number; grows"),
	FIELD_STRING_(struct event, description, "description", CREATE | REQUIRED | SEARCH | HEAD, "what happened", .search = "message", .min = 1, .max = 4096),
	FIELD_INT_(struct event, code, "code", SEARCH, "what kind of event", .search = "type"),
	FIELD_ENUM_(struct event, severity, "severity", CREATE | REQUIRED | SEARCH, severity_names, "how bad it is"),
	FIELD_TIME_(struct event, time, "time", SEARCH, "when it happened"),
	FIELD_STRING_(struct event, correlation_id, "correlation_id", SEARCH, "the client's name for the action", .max = 255),
	ABOUT(user, "users", "who did it"),
	ABOUT(vm, "vms", "virtual machine it is about"),
	ABOUT(storage_domain, "storagedomains", "storage domain it is about"),
	ABOUT(host, "hosts", "host it is about"),
	FIELD_ENUM_(struct event, host_external_state, "host/external_status/state", CREATE | INPUT_ONLY, external_state_names,
		    "new external status of the host"),
	FIELD_ENUM_(struct event, domain_external_state, "storage_domain/external_status/state", CREATE | INPUT_ONLY, external_state_names,
		    "new external status of the storage domain"),
	ABOUT(template, "templates", "template it is about"),
	ABOUT(cluster, "clusters", "cluster it is about"),
	ABOUT(data_center, "datacenters", "data center it is about"),
	FIELD_REF_(struct event, network, "network", WEAK, "networks", "network it is about"),
	FIELD_REF_(struct event, disk, "disk", WEAK, "disks", "disk it is about"),
	FIELD_STRING_(struct event, origin, "origin", CREATE | REQUIRED | SEARCH, "who reports it", .min = 1, .max = 255),
	FIELD_INT_(struct event, custom_id, "custom_id", CREATE | REQUIRED | SEARCH, "number that a foreign origin gave it; else -1", .min = -1,
		   .max = 2147483647),
	FIELD_INT_(struct event, flood_rate, "flood_rate", CREATE, "the same event is not taken again within this time", .unit = "s", .min = 0,
		   .max = 86400, .def = "30"),
};
const struct record_type event_type = RECORD_TYPE("event", "events", struct event, event_fields, "Something that happened");

/* Codes whose severity is not normal (appendix C); ranges of the same severity in order. */
static const struct { short first, last; signed char severity; } severities[] = {
	{ 12, 12, SEVERITY_ERROR }, { 17, 19, SEVERITY_ERROR }, { 22, 22, SEVERITY_ERROR }, { 23, 23, SEVERITY_WARNING }, { 24, 24, SEVERITY_ERROR },
	{ 25, 28, SEVERITY_WARNING }, { 36, 36, SEVERITY_ERROR }, { 52, 52, SEVERITY_ERROR }, { 54, 60, SEVERITY_ERROR }, { 64, 66, SEVERITY_ERROR },
	{ 69, 70, SEVERITY_ERROR }, { 74, 75, SEVERITY_ERROR }, { 77, 77, SEVERITY_ERROR }, { 79, 79, SEVERITY_ERROR }, { 81, 81, SEVERITY_ERROR },
	{ 83, 83, SEVERITY_ERROR }, { 85, 85, SEVERITY_ERROR }, { 87, 87, SEVERITY_ERROR }, { 89, 89, SEVERITY_ERROR }, { 90, 90, SEVERITY_WARNING },
	{ 92, 92, SEVERITY_ERROR }, { 94, 94, SEVERITY_ERROR }, { 96, 96, SEVERITY_ERROR }, { 98, 99, SEVERITY_ERROR }, { 101, 110, SEVERITY_ERROR },
	{ 112, 112, SEVERITY_ERROR }, { 114, 120, SEVERITY_ERROR }, { 122, 122, SEVERITY_ERROR }, { 123, 123, SEVERITY_WARNING },
	{ 125, 125, SEVERITY_ERROR }, { 126, 126, SEVERITY_WARNING }, { 127, 127, SEVERITY_ERROR }, { 128, 128, SEVERITY_WARNING },
	{ 130, 130, SEVERITY_ERROR }, { 132, 132, SEVERITY_ERROR }, { 134, 134, SEVERITY_ERROR }, { 136, 141, SEVERITY_ERROR },
	{ 142, 142, SEVERITY_WARNING }, { 145, 146, SEVERITY_ERROR }, { 147, 147, SEVERITY_WARNING }, { 148, 148, SEVERITY_ERROR },
	{ 151, 152, SEVERITY_WARNING }, { 154, 156, SEVERITY_ERROR }, { 158, 158, SEVERITY_ERROR }, { 160, 160, SEVERITY_ERROR },
	{ 162, 162, SEVERITY_ERROR }, { 165, 165, SEVERITY_ERROR }, { 166, 166, SEVERITY_WARNING }, { 169, 172, SEVERITY_WARNING },
	{ 173, 173, SEVERITY_ERROR }, { 175, 175, SEVERITY_WARNING }, { 176, 177, SEVERITY_ERROR }, { 178, 178, SEVERITY_WARNING },
	{ 181, 182, SEVERITY_ERROR }, { 184, 184, SEVERITY_ERROR }, { 186, 189, SEVERITY_ERROR }, { 190, 193, SEVERITY_WARNING },
	{ 195, 195, SEVERITY_ERROR }, { 200, 202, SEVERITY_ERROR }, { 206, 206, SEVERITY_ERROR }, { 208, 208, SEVERITY_ERROR },
	{ 210, 210, SEVERITY_ERROR }, { 214, 214, SEVERITY_ERROR }, { 252, 252, SEVERITY_ERROR }, { 303, 303, SEVERITY_ERROR },
	{ 305, 305, SEVERITY_ERROR }, { 307, 307, SEVERITY_ERROR }, { 309, 309, SEVERITY_ERROR }, { 311, 311, SEVERITY_ERROR },
	{ 313, 313, SEVERITY_ERROR }, { 315, 315, SEVERITY_ERROR }, { 317, 317, SEVERITY_ERROR }, { 319, 320, SEVERITY_ERROR },
	{ 326, 326, SEVERITY_ERROR }, { 327, 327, SEVERITY_WARNING }, { 343, 343, SEVERITY_ERROR }, { 345, 345, SEVERITY_ERROR },
	{ 347, 347, SEVERITY_ERROR }, { 349, 349, SEVERITY_ERROR }, { 351, 351, SEVERITY_ERROR }, { 353, 353, SEVERITY_ERROR },
	{ 355, 355, SEVERITY_ERROR }, { 604, 604, SEVERITY_WARNING },
	/* where the guide's table ends: AuditLogType */
	{ 495, 495, SEVERITY_ERROR }, { 505, 505, SEVERITY_ERROR }, { 519, 519, SEVERITY_WARNING }, { 957, 957, SEVERITY_ERROR },
	{ 959, 959, SEVERITY_ERROR }, { 961, 961, SEVERITY_ERROR }, { 963, 963, SEVERITY_ERROR }, { 965, 965, SEVERITY_ERROR }, { 967, 967, SEVERITY_ERROR },
	{ 969, 969, SEVERITY_ERROR }, { 973, 973, SEVERITY_ERROR }, { 979, 979, SEVERITY_ERROR }, { 983, 983, SEVERITY_WARNING },
	{ 985, 985, SEVERITY_ERROR }, { 1023, 1023, SEVERITY_ERROR }, { 1133, 1133, SEVERITY_ERROR }, { 1155, 1155, SEVERITY_ERROR },
	{ 1161, 1161, SEVERITY_ERROR },
	{ 2013, 2013, SEVERITY_ERROR }, { 2015, 2015, SEVERITY_WARNING }, { 2022, 2023, SEVERITY_ERROR }, { 2029, 2029, SEVERITY_ERROR },
	{ 2032, 2032, SEVERITY_ERROR }, { 9600, 9600, SEVERITY_WARNING },
	/* our own: flows that wait, or leave something behind; a host's memory policy; limits of VMs; a storage domain that is none; VMs that stay on a host */
	{ 20302, 20302, SEVERITY_WARNING }, { 20303, 20303, SEVERITY_ERROR }, { 20310, 20310, SEVERITY_WARNING }, { 20352, 20352, SEVERITY_ERROR },
	{ 20354, 20354, SEVERITY_ERROR }, { 20390, 20390, SEVERITY_WARNING }, { 20402, 20402, SEVERITY_ERROR }, { 20427, 20427, SEVERITY_ERROR },
	{ 20428, 20428, SEVERITY_WARNING }, { EVENT_NOT_PERMITTED, EVENT_NOT_PERMITTED, SEVERITY_WARNING },
};

enum severity event_severity(int code)
{
	for (size_t i = 0; i < G_N_ELEMENTS(severities); i++)
		if (code >= severities[i].first && code <= severities[i].last)
			return (enum severity)severities[i].severity;
	return SEVERITY_NORMAL;
}

void event_refer(struct event *event, const void *record)
{
	const struct { const struct kind *kind; struct ref *ref; } places[] = {
		{ &user_kind, &event->user }, { &vm_kind, &event->vm }, { &host_kind, &event->host }, { &storage_domain_kind, &event->storage_domain },
		{ &template_kind, &event->template }, { &cluster_kind, &event->cluster }, { &datacenter_kind, &event->data_center },
		{ &network_kind, &event->network }, { &disk_kind, &event->disk },
	};
	const struct kind *kind = kind_of(record);

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
		if (places[i].kind == kind)
			set_ref(places[i].ref, object_id(record));
}

#define FLOOD_SEEN 1000                /* so many of the newest events are looked through */

struct event *event_recent(struct model *model, const struct event *event)
{
	g_autoptr(GPtrArray) events = model_list(model, &event_kind);
	int64_t since = event->time - event->flood_rate * INT64_C(1000);

	for (unsigned i = events->len; i > 0 && events->len - i < FLOOD_SEEN; i--) {
		struct event *other = events->pdata[i - 1];

		if (other->time < since)
			break;
		if (other->custom_id == event->custom_id && other->code == event->code && other->severity == event->severity &&
		    !g_strcmp0(other->origin, event->origin) && !g_strcmp0(other->description, event->description))
			return record_ref(other);
	}
	return NULL;
}
