/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_EVENT_H
#define BERTH_ENGINE_MODEL_EVENT_H
/* Events (REST chapter 24). Ids are integers that grow. References may be to objects that are gone. */
#include "common/record.h"

/* In rank: severity>normal compares */
enum severity { SEVERITY_NORMAL, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_ALERT, SEVERITY_MAX };
extern const char *const severity_names[];

/* Codes are those of the guide's appendix C and, where that ends (356), of oVirt's AuditLogType. Ours begin where it has none. */
#define EVENT_OWN_FIRST 20000
#define EVENT_NOT_PERMITTED 20805             /* somebody lacked a permit */
#define EVENT_ORIGIN "oVirt"                 /* of the engine's own events: clients look for it */
#define EVENTS_KEPT 100000                   /* in the database */
#define EVENTS_IN_MEMORY 20000               /* of these, the newest */

struct event {
	struct record record;
	char *id, *name;                     /* no name */
	char *description;
	int code;
	int severity;
	int64_t time;
	char *correlation_id;
	struct ref user, vm, host, storage_domain, cluster, data_center, template, network, disk;
	char *origin;
	int custom_id;
	int flood_rate;                      /* seconds */
	int host_external_state, domain_external_state;      /* INPUT_ONLY */
};
extern const struct record_type event_type;

/* Severity of an event code (appendix C): normal unless the table says otherwise. */
enum severity event_severity(int code);
/* The same event, by the same rules as for floods: one not older than its flood_rate with the same origin, id, severity, text and code. New reference or
 * NULL. */
struct model;
struct event *event_recent(struct model *model, const struct event *event);
/* Sets the reference of `event` that fits the record; others are ignored. */
void event_refer(struct event *event, const void *record);

#endif
