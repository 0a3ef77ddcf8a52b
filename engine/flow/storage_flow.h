/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORAGE_FLOW_H
#define BERTH_ENGINE_STORAGE_FLOW_H
/* Storage domains: made, attached, activated, deactivated, detached, removed. */
#include "engine/flow/flow.h"
#include "engine/flow/storage_calls.h"
#include "engine/model/storage_domain.h"
#include "engine/store/store.h"

/* object: the id of the domain, which is made by the flow. data: storage_create_data() */
extern const struct flow_type create_domain_flow;
struct storage_connection;
/* targets: array as in storage_target.h, taken over; connections: those that are to be stored, too (may be NULL); import: the domain is there already */
json_t *storage_create_data(const struct storage_domain *domain, json_t *targets, const GPtrArray *connections, bool import);

/* data: storage_move_data() */
extern const struct flow_type move_domain_flow;
enum storage_move { STORAGE_ATTACH, STORAGE_ACTIVATE, STORAGE_DEACTIVATE, STORAGE_DETACH };
json_t *storage_move_data(struct engine *engine, enum storage_move move, const struct storage_domain *domain, const char *host_id, const char *data_center_id);
/* The host through which it is made. g_free. */
char *storage_move_host(struct engine *engine, enum storage_move move, const struct storage_domain *domain, const char *data_center_id, GError **error);
/* ERR_WRONG_STATE naming the state when the move does not start from it. */
bool storage_move_check(enum storage_move move, const struct storage_domain *domain, GError **error);

/* data: storage_remove_data(). format: erase it; destroy: forget it and its disks, touch nothing */
extern const struct flow_type remove_domain_flow;
json_t *storage_remove_data(struct engine *engine, const struct storage_domain *domain, const char *host_id, bool format, bool destroy);

/* The host that works on the domain: up, or ERR_WRONG_STATE naming it and its state. Its id; g_free. */
char *storage_host(struct engine *engine, const struct storage_domain *domain, GError **error);
/* As storage_host(); the one host of a local domain in any state: who is away is waited for by flows. */
char *storage_worker(struct engine *engine, const struct storage_domain *domain, GError **error);
/* As storage_host() for a domain that comes into the data center. */
char *storage_host_in(struct engine *engine, const struct storage_domain *domain, const char *data_center_id, GError **error);
/* The host of the data center (NULL: of any) that is up and works on its shared storage; g_free. NULL: none. */
char *storage_any_host(struct model *model, const char *data_center_id);
/* What uses the connection, beside the domain or disk `except` (may be NULL): "storage domain 'd'"; NULL: nothing. g_free */
char *storage_connection_user(struct model *model, const struct storage_connection *connection, const char *except);
/* connections: struct object_ref; may be NULL */
bool storage_is_among(const GPtrArray *connections, const char *connection_id);
bool storage_domain_uses(const struct storage_domain *domain, const char *connection_id);
/* Of the connections of `owner` (an id) those that nothing else uses are removed with the change. */
void storage_drop_connections(struct model *model, struct change *change, const GPtrArray *connections, const char *owner);
/* No domain or disk but `except` (its id; may be NULL) has one of the LUNs (struct logical_unit; may be NULL); the error names who does. */
bool storage_units_are_free(struct model *model, const GPtrArray *units, const char *except, GError **error);
/* Is its directory that of another domain of this host, or one of its LUNs that of another domain or disk? For change_check(): data is a struct
 * storage_domain. */
bool storage_place_is_free(struct model *model, void *data, GError **error);

/* For the steps of flows about a storage domain: calls to the flow's host; the domain, a new reference. */
struct storage_call storage_flow_call(const struct flow *flow);
struct storage_domain *storage_flow_domain(const struct flow *flow, GError **error);
/* The connections that the flow makes ("connections" of its data) are stored with a change, or taken back. */
bool storage_flow_add_connections(const struct flow *flow, struct change *change, GError **error);
void storage_flow_remove_connections(const struct flow *flow, struct change *change);
/* Array of records as they are stored; of the ids of LUNs. NULL: none. New reference. */
json_t *storage_records_to_json(const GPtrArray *records);
json_t *storage_unit_ids(const GPtrArray *units);
/* A record of the flow's data; new, NULL + error. */
void *storage_flow_record(const json_t *data, const struct record_type *type, GError **error);
/* Ends the connections to the targets but those that another domain or disk uses. Tries all; the first error. */
bool storage_flow_disconnect(const struct flow *flow, const struct storage_call *call, const json_t *targets, GError **error);

#endif
