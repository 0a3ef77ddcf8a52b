/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_ROUTER_H
#define BERTH_ENGINE_ROUTER_H
/* What a request's target means. */
#include "engine/api/resource.h"

#define ROUTE_DEPTH 4                    /* /datacenters/{id}/storagedomains/{id}/permissions/{id}: 3 resources */

enum route_kind {
	ROUTE_NONE,                      /* nothing there: 404 */
	ROUTE_ROOT,                      /* "/" */
	ROUTE_ENTRY,                     /* the base itself; ?rsdl and ?schema are parameters */
	ROUTE_CAPABILITIES,              /* tail: id of one version, or NULL */
	ROUTE_COLLECTION,
	ROUTE_OBJECT,
	ROUTE_ACTION,
	ROUTE_ACTION_STATUS,             /* tail: id of the invocation */
	ROUTE_CREATION,                  /* tail: id of the creation */
	ROUTE_CA,
	ROUTE_METRICS,
};

struct route {
	enum route_kind kind;
	const char *base;                /* "/api" or "/ovirt-engine/api": a constant; NULL outside */
	const struct resource *chain[ROUTE_DEPTH];
	char *ids[ROUTE_DEPTH];          /* ids[depth - 1] is NULL for a collection */
	unsigned depth;
	const struct action *action;     /* NULL with ROUTE_ACTION: no such action; its name is in tail */
	char *tail;
	GHashTable *parameters;          /* of all segments and the query; names in lower case with '-' for '_' */
};

/* table: NULL-terminated, parents before children. false: the target is malformed (ERR_SYNTAX). */
bool route_parse(const char *target, const struct resource *const *table, struct route *route, GError **error);
void route_clear(struct route *route);
const struct resource *route_resource(const struct route *route);        /* the last one, NULL when none */
/* Appends the path of the route's object (with_last) or of its collection: "/api/vms/1/nics". */
void route_href(const struct route *route, bool with_last, GString *out);

#endif
