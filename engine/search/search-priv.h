/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_SEARCH_PRIV_H
#define BERTH_ENGINE_SEARCH_PRIV_H
#include "engine/search/search.h"

/* ---- words ---- */
enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_QUOTED, TOKEN_OPERATOR, TOKEN_OPEN, TOKEN_CLOSE };
enum comparison { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

struct token {
	enum token_kind kind;
	char *text;                      /* words */
	enum comparison comparison;
	size_t at;                       /* first character in the query, from 1 */
};

struct lexer {
	const char *text, *p;
	struct token token;              /* the current one */
};
void lexer_init(struct lexer *lexer, const char *text);
void lexer_clear(struct lexer *lexer);
/* value: after an operator, where words may hold '=', '<', '>' and '!' too */
bool lexer_next(struct lexer *lexer, bool value, GError **error);

/* ---- tree ---- */
enum node_kind { NODE_AND, NODE_OR, NODE_NOT, NODE_TEXT, NODE_COMPARE, NODE_RELATED };

/* A property that was found in a record type. */
struct property {
	const struct field *field;
	const struct kind *target;       /* FIELD_REF: kind it refers to */
};

/* How objects of one kind are reached from another: a chain of references, read from the far end. */
struct hop {
	const struct kind *from;         /* objects whose members are in the set so far... */
	const struct field *field;       /* ...FIELD_REF of `from` (forward) or of `to` (backward) */
	const struct kind *to;
	bool backward;                   /* `to` names `from`: to.field in set. Else from.field names `to`: collect the ids */
};
#define HOPS_MAX 3

struct term {
	enum node_kind kind;
	struct term *left, *right;       /* AND, OR, NOT (left), RELATED (left: condition on the other kind) */
	/* COMPARE, TEXT */
	struct property property;
	enum comparison comparison;
	char *value;                     /* as written; folded when the search is case-insensitive */
	enum { MATCH_EXACT, MATCH_PREFIX, MATCH_WILDCARD } match;
	size_t value_length;
	bool empty;                      /* "": absent or empty */
	double number;                   /* INT, LONG, DECIMAL, BOOL */
	int64_t from, until;             /* TIME: the value is a span, [from, until) */
	uint64_t enums;                  /* ENUM, EQUAL: set of accepted values */
	int rank;                        /* ENUM: ordered comparisons */
	/* RELATED */
	const struct kind *other;
	struct hop hops[HOPS_MAX];
	unsigned n_hops;
	GHashTable *ids;                 /* set while running: ids of the query's own kind (or the referred kind for a COMPARE of a reference) */
};

struct query {
	const struct kind *kind;
	struct search_options options;
	struct term *condition;          /* NULL: all */
	struct property sort;
	bool sort_set, descending, needs_view;
	size_t page;                     /* 0: none */
	unsigned n_terms;
};

struct term *term_free(struct term *term);

/* properties.c */
bool property_find(const struct kind *kind, const char *name, struct property *ret_property);
const struct kind *related_kind(const char *name);
/* How `kind` and `other` hang together; false: not at all. */
bool related_path(const struct kind *kind, const struct kind *other, struct hop *hops, unsigned *ret_n);
/* Makes the comparison's operands from term->value. problem: what is wrong with it. */
bool property_prepare(struct term *term, bool case_insensitive, char **ret_problem);
bool same_word(const char *a, const char *b);            /* case and '_', '-' do not count */
bool parse_time(const char *text, int64_t now_msec, int64_t *ret_from, int64_t *ret_until);

#endif
