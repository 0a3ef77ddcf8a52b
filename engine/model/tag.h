/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_TAG_H
#define BERTH_ENGINE_MODEL_TAG_H
/* Tags (REST chapter 23): a tree of names. The root is its own parent. */
#include "common/record.h"
#include "engine/model/misc.h"

#define ROOT_TAG_ID "-1"
#define ROOT_TAG_ALIAS BLANK_ID             /* the id that the entry point links to */

struct tag {
	struct record record;
	char *id, *name, *description;
	struct ref parent;
	struct ref vm, host, user, group, template;    /* known only when shown below the tagged object */
};
extern const struct record_type tag_type, attached_tag_type;      /* attached: by id or name, below the object */

/* That an object has a tag. Goes with either. One of the references besides tag is there. Never shown. */
struct tag_assignment {
	struct record record;
	char *id, *name;                     /* no name */
	struct ref tag;
	struct ref vm, host, user, group, template;
};
extern const struct record_type tag_assignment_type;

#endif
