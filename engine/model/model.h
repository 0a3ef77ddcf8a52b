/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_H
#define BERTH_ENGINE_MODEL_H
/*
 * The model: everything the engine knows, in memory, as immutable reference-counted records.
 *
 * One table per kind. A reader takes references under a read lock that is held for pointer copies only, never while anything is rendered, parsed or
 * waited for; what it holds then never changes. The one writer is the store, which swaps records in after they are durable.
 * Any thread may read. A record returned is a new reference: record_unref() it (lists: g_ptr_array_unref()).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>
#include "engine/model/sorted_page.h"
#include "engine/model/text_sign.h"
#include "common/record.h"

/* A kind of object. Rows live in engine/model/kinds.c; the record types in one file per noun (vm.c, host.c, ...). */
struct kind {
	const struct record_type *type;       /* every type's first field is its id, path "@id" */
	const char *collection;               /* URL segment: "vms"; also the name of its database table */
	size_t parent;                        /* offset of the struct ref member that names the parent object; 0: top-level */
	const struct kind *parent_kind;
	size_t other_parent;                  /* with a parent: offset of the struct ref that names who has it instead, and within which names are unique; 0: none */
	size_t group;                         /* without a parent: offset of the struct ref by which objects are looked for most (model_referring()); 0: none */
	bool sequence;                        /* ids are growing integers (events), not UUIDs */
	bool transient;                       /* not in the database (actions, creations) */
	bool owned;                           /* goes with its parent without being named: NICs with the VM, a cluster's networks with the cluster */
	bool open;                            /* anybody who may log in sees its objects: roles, tags */
};
extern const struct kind *const kinds[];      /* NULL-terminated */
const struct kind *kind_of(const void *record);
const struct kind *kind_by_collection(const char *collection);        /* top-level ones and unique sub-collections; NULL when none */

/* Members every kind's struct begins with, after `struct record record`: char *id, *name; access without knowing the kind: */
const char *object_id(const void *record);
const char *object_name(const void *record);                          /* NULL when the kind has no name member */
const char *object_parent(const void *record);                        /* parent's id or NULL */

struct model *model_new(void);
struct model *model_free(struct model *model);

void *model_get(struct model *model, const struct kind *kind, const char *id);                              /* NULL when none */
GPtrArray *model_list(struct model *model, const struct kind *kind);                                        /* in order of creation (events: of id) */
/* Those of these ids (a set) that there are, in that order. */
GPtrArray *model_pick(struct model *model, const struct kind *kind, GHashTable *ids);
/*
 * What is looked for in a walk through all of a kind. Zero: all fit. start: only names that begin so, letter by letter; fold: as `text`, which is in lower
 * case, when they are folded (of a name that is not ASCII that is not known: it is taken). sign: only those whose members of text (FIELD_STRING, SEARCH)
 * have these pairs of letters. fits (NULL: all of these) is not asked about others; it runs under the lock: it looks at the record and nothing else.
 */
struct name_start { const char *text; size_t length; bool fold; };
struct model_filter {
	struct name_start start;
	struct text_sign sign;
	bool (*fits)(const void *record, void *data);
	void *data;
};
/* Those that fit, in that order, at most max. */
GPtrArray *model_select(struct model *model, const struct kind *kind, const struct model_filter *filter, size_t max);
/*
 * The same, but those that can stand on that page of them when they are sorted; ret_skipped: so many of page->skip are left out. page->rank runs as
 * fits does.
 */
GPtrArray *model_select_page(struct model *model, const struct kind *kind, const struct model_filter *filter, const struct sorted_page *page,
			     size_t *ret_skipped);
GPtrArray *model_children(struct model *model, const struct kind *kind, const char *parent_id);
void *model_find(struct model *model, const struct kind *kind, const char *parent_id, const char *name);     /* case-insensitive; parent NULL: any */
GPtrArray *model_named(struct model *model, const struct kind *kind, const char *name);                     /* case-insensitive, of any parent, in no order */
size_t model_count(struct model *model, const struct kind *kind);
/* Grows with every change of an object of the kind: what was worked out from them holds as long as it is the same. */
uint64_t model_version(struct model *model, const struct kind *kind);
/* Grows with every object that comes to be in another one: gets another parent, or another value of a member WITHIN. */
uint64_t model_moves(struct model *model);
/* Objects of `kind` whose reference member at offset `member` names id. */
GPtrArray *model_referring(struct model *model, const struct kind *kind, size_t member, const char *id);

/* For the store only: publishes a set of changes at once. record NULL removes. */
struct model_change { const struct kind *kind; const char *id; void *record; };
void model_publish(struct model *model, const struct model_change *changes, size_t n);

#endif
