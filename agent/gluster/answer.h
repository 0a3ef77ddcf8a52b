/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_GLUSTER_ANSWER_H
#define BERTH_AGENT_GLUSTER_ANSWER_H
/* From the XML that Gluster's command prints to what verbs answer, by tables: one row a member. */
#include <jansson.h>
#include <libxml/tree.h>

enum shape_how {
	SHAPE_TEXT,      /* the text; left out when there is none and no `otherwise` */
	SHAPE_DIGITS,    /* the same, but left out when it is no number */
	SHAPE_UPPER,     /* "Distributed-Replicate" -> "DISTRIBUTED_REPLICATE" */
	SHAPE_CHOICE,    /* by `as`: "Started=ONLINE;=OFFLINE"; the last, without text, is for all others */
	SHAPE_WORDS,     /* the same, as an array of the words chosen */
	SHAPE_OWN,       /* "localhost" becomes the address by which this host is called */
	SHAPE_MIB,       /* bytes -> "1.500" MiB */
	SHAPE_IS_ONE,    /* true when it is "1" */
	SHAPE_TEXTS,     /* array of the texts of all elements of the path */
	SHAPE_CHILDREN,  /* array: of each element of the path, an object of all its children's texts */
	SHAPE_OBJECT,    /* by `item`; left out when there is none */
	SHAPE_LIST,      /* array of objects by `item`, one for each element of the path */
	SHAPE_MAP,       /* the same as an object; `as` is the path, in the element, of the key */
	SHAPE_PAIRS,     /* object of texts; `as`: "Option Value", the children that are name and value */
};

/* Ends with .name NULL. */
struct shape {
	const char *name;              /* of the member */
	/* Names of elements from where one is, ".." upwards, "@x" an attribute at the end. Several paths with ' ' or ':' between: the texts so joined */
	const char *path;
	enum shape_how how;
	const char *as;
	const struct shape *item;
	const char *where, *like;      /* of LIST: only elements whose text at the path `where` fits the pattern `like` ('*' anything) */
	const char *otherwise;         /* for a text that is not there */
};

/* own: the address for SHAPE_OWN. New reference. */
json_t *answer_read(const struct shape *shape, const xmlNode *root, const char *own);

#endif
