/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CLIENT_VIEW_H
#define BERTH_CLIENT_VIEW_H
/* Representations as people read them, and what people write as representations. */
#include <jansson.h>
#include "client/rest.h"

/* The items of a collection's document ({"vm":[...]}); never NULL, borrowed or an empty array that lives for ever. */
const json_t *collection_items(const json_t *document);
/* collection: last segment of the URL ("vms"). rest: for the names of referenced objects; may be NULL. */
void view_list(const char *collection, const json_t *items, struct rest *rest);
/* One object: "name: value" lines, nested members with dots. */
void view_object(const json_t *object);
/* Member by dotted path with alternatives ("status.state|status"); of an array the first item. As text; NULL when absent. g_free */
char *json_text_at(const json_t *object, const char *path);

/* body.c: words "name=value" or JSON objects into a body, by the parameters of the operation (link may be NULL: as they are).
 * Sizes with units become bytes, references take a name or an id, lists are a,b,c. false: said on standard error, exit EXIT_USAGE. */
bool body_take(json_t *body, const struct rsdl_link *link, const char *operation, GPtrArray *words, guint from);
void body_help(const struct rsdl_link *link);
void body_complete(const struct rsdl_link *link, GPtrArray *ret);
bool looks_like_id(const char *text);

#endif
