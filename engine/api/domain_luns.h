/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DOMAIN_LUNS_H
#define BERTH_ENGINE_DOMAIN_LUNS_H
/* LUNs of storage domains (REST 12.5.4): how they are reached, checked, added, and domains that are on them already. */
#include <jansson.h>
#include "engine/api/resource.h"
#include "engine/flow/storage_calls.h"
#include "engine/model/storage_domain.h"

/* How a domain is reached. */
struct domain_plan {
	json_t *targets;                     /* array, storage_target.h */
	GPtrArray *connections;              /* struct storage_connection: those that are not stored yet */
	GPtrArray *connection_ids;           /* char *: of all */
};
struct domain_plan domain_plan_new(void);
void domain_plan_clear(struct domain_plan *plan);

/* Names of what a request for a new domain lacks. */
void domain_luns_missing(const struct storage_domain *domain, GPtrArray *names);
/* Connections for the units, stored ones where there are such. Units of iscsi without a target: the host is logged in, and tells of them. Worker. */
bool domain_luns_plan(const struct storage_call *call, int storage_type, GPtrArray *units, struct domain_plan *plan, GError **error);
/* The domain (by its id) is there already: its name, its units, and how they are reached. Worker. */
bool domain_luns_import(const struct storage_call *call, struct storage_domain *domain, struct domain_plan *plan, GError **error);
/* PUT: units that the domain does not have yet are added. */
bool domain_luns_extend(struct request *request, const struct storage_domain *current, struct storage_domain *changed, const struct storage_domain *input,
			bool *ret_extended, GError **error);

extern const struct record_type refresh_luns_type, discover_domains_type;
bool domain_luns_refresh(struct request *request, const void *object, const void *params, void **ret_result, GError **error);
/* Action of a host: logs in to targets, if such are named, and tells of the domains on LUNs that this engine does not know. */
bool domain_luns_discover(struct request *request, const void *object, const void *params, void **ret_result, GError **error);

#endif
