/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CLIENT_VIEW_H
#define BERTH_CLIENT_VIEW_H
/* Representations as people read them, and what people write as representations. */
#include <jansson.h>
#include "client/rest.h"

/* ---- members (view.c) ---- */
/* The items of a collection's document ({"vm":[...]}); never NULL, borrowed or an empty array that lives for ever. */
const json_t *collection_items(const json_t *document);
char *json_scalar(const json_t *value);                         /* as text; NULL: it has members, or is null; g_free */
/* Member by dotted path with alternatives ("status.state|status"); of an array the first item. As text; NULL when absent. g_free */
char *json_text_at(const json_t *object, const char *path);

/* ---- output. exact: sizes in bytes, times with milliseconds, references as ids ---- */
/* collection: last segment of the URL ("vms") (view.c) */
void view_list(const char *collection, const json_t *items, struct rest *rest, bool exact);
/* One object in groups of "name  value" lines, nested members with dots (show.c) */
struct show_context {
	struct rest *rest;              /* for the names of references */
	const struct rsdl *rsdl;        /* may be NULL */
	const struct schema *schema;    /* may be NULL: then numbers are shown as they come */
	const char *element;            /* "vm"; may be NULL */
	bool exact;
};
void show_object(const json_t *object, const struct show_context *context);
/* The name of the object at this path below the base ("/hosts/<id>"), asked for once a command; NULL: not to be had. all: ask for its whole collection,
 * since others will be wanted. Borrowed (names.c) */
const char *reference_name(struct rest *rest, const char *path, bool all);

/* ---- input (body.c) ----
 * Words "name=value" or JSON objects into a body, by the parameters of the operation (link may be NULL: as they are). Sizes with units become bytes,
 * references take a name or an id, lists are a,b,c. operation: for messages ("vms create"). false: said on standard error, exit EXIT_USAGE. */
bool body_take(json_t *body, const struct rsdl_link *link, const char *operation, GPtrArray *words, guint from);
void body_help(const struct rsdl_link *link);
GPtrArray *body_names(const struct rsdl_link *link);            /* what may stand before "=" (owned) */
/* The permitted values of a name, or in ret_collection the collection that it refers to; NULL: anything. Borrowed */
char **body_values(const struct rsdl *rsdl, const struct rsdl_link *link, const char *name, const char **ret_collection);

#endif
