/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SEARCH_H
#define BERTH_ENGINE_SEARCH_H
/*
 * The search language of the REST collections: "name=vm* and (cluster=Default or hosts.status=up) sortby name desc page 2".
 * Grammar: parse.c. Meaning: match.c. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <glib.h>
#include "engine/model/model.h"

#define SEARCH_PAGE 100             /* members on a page when the client does not say ;max= */
#define SEARCH_TEXT_MAX 4096
#define SEARCH_TERMS_MAX 200

struct search_options {
	bool case_insensitive;
	size_t max;                     /* 0: all */
	/* May an associated object decide, of which the answer would tell? NULL: all may. */
	bool (*sees)(const void *object, void *data);
	void *data;
};

struct query;

/* Parses a query over records of `kind`. Errors are ERR_SYNTAX or ERR_BAD_VALUE: "search: at character 5: ...". */
struct query *query_new(const struct kind *kind, const char *text, const struct search_options *options, GError **error);
struct query *query_free(struct query *query);
/* Does it look at members that are only known when an object is shown (VOLATILE_)? Then give query_run() such objects. */
bool query_needs_view(const struct query *query);
bool query_sorts(const struct query *query);
/* The members that match, sorted and cut to the page; new references. objects is not changed. */
GPtrArray *query_run(struct query *query, struct model *model, GPtrArray *objects);
/* What who asks is shown: none but those of these ids (a set; NULL: that is not known), and of them those that `shown` lets through. */
struct query_limit {
	GHashTable *among;
	bool (*shown)(const void *object, void *data);
	void *data;
	bool by_record;                 /* shown looks at the record and nothing else: the model is not asked, whose lock may be held */
};
/* The same among all objects of the kind that there are, of which a list need not be made; for a query that needs no view. limit NULL: all are shown. */
GPtrArray *query_run_all(struct query *query, struct model *model, const struct query_limit *limit);

/* Wildcard match: '*' stands for any part. */
bool search_wildcard(const char *pattern, const char *text, bool case_insensitive);

#endif
