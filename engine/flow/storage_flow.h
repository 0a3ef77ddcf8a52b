/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORAGE_FLOW_H
#define BERTH_ENGINE_STORAGE_FLOW_H
/* Storage domains: made, attached, activated, deactivated, detached, removed. */
#include "engine/flow/flow.h"
#include "engine/flow/storage_calls.h"
#include "engine/model/storage_domain.h"

/* object: the id of the domain, which is made by the flow. data: storage_create_data() */
extern const struct flow_type create_domain_flow;
struct storage_connection;
/* target: as in storage_target.h, taken over; new: the connection is to be stored, too; import: the domain is there already */
json_t *storage_create_data(const struct storage_domain *domain, const struct storage_connection *connection, json_t *target, bool new, bool import);

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
/* What uses the connection, beside the domain `except` (may be NULL): "storage domain 'd'"; NULL: nothing. g_free */
char *storage_connection_user(struct model *model, const struct storage_connection *connection, const char *except);
bool storage_domain_uses(const struct storage_domain *domain, const char *connection_id);
/* Is the directory that of another domain of this host? For change_check(): data is a struct storage_domain. */
bool storage_path_is_free(struct model *model, void *data, GError **error);

/* For the steps of flows about a storage domain: calls to the flow's host; the domain, a new reference. */
struct storage_call storage_flow_call(const struct flow *flow);
struct storage_domain *storage_flow_domain(const struct flow *flow, GError **error);

#endif
