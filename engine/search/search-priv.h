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
	char *value;                     /* as written, without the stars of WITHIN; folded when the search is case-insensitive */
	enum { MATCH_EXACT, MATCH_PREFIX /* a* */, MATCH_WITHIN /* *a* */, MATCH_WILDCARD } match;
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
	/* set while running: the ids that `member` of an object may name (a COMPARE of a reference, a RELATED whose last hop is one); without it the objects' own */
	GHashTable *ids;
	const struct field *member;
};

struct query {
	const struct kind *kind;
	struct search_options options;
	struct term *condition;          /* NULL: all */
	GPtrArray *texts;                /* struct field: where free text is looked for */
	struct property sort;
	bool sort_set, descending, needs_view;
	/* set while running (rank.c): by id, how the objects that the sorted reference may name stand among each other; the text others are compared with */
	GHashTable *ranks;
	char *pivot;
	size_t page;                     /* 0: none */
	unsigned n_terms;
};

struct term *term_free(struct term *term);
/* The members that free text is looked for in; g_ptr_array_unref() */
GPtrArray *text_fields(const struct record_type *type);

/* ---- values ---- */
#define MEMBER(object, field, type) (*(const type *)(const void *)((const char *)(object) + (field)->offset))
#define ASCII_LOWER(c) ((c) >= 'A' && (c) <= 'Z' ? (c) + ('a' - 'A') : (c))

/* Its number (of BOOL, INT, LONG, DECIMAL, TIME, ENUM); false: it has none. */
bool number_of(const void *object, const struct field *field, double *ret_number);
/* Without regard to case. NULL: NULL. */
char *text_fold(const char *text);
/* Is it the object's own name? */
bool field_is_name(const struct field *field);

/* ---- order.c ---- */
size_t order_page_size(const struct query *query);                 /* 0: no page is asked for */
/* Of so many matches, in the order that is asked for, the answer is made. */
size_t order_enough(const struct query *query);
/* Sorts, and keeps the first `wanted`. */
void order_sort(const struct query *query, struct model *model, GPtrArray *objects, size_t wanted);

/* ---- rank.c ---- */
/* Is it a page of those that match, which the model can choose? The page is good as long as the query. */
bool rank_page(struct query *query, struct model *model, struct sorted_page *ret_page);

/* ---- properties.c ---- */
bool property_find(const struct kind *kind, const char *name, struct property *ret_property);
const struct kind *related_kind(const char *name);
/* How `kind` and `other` hang together; false: not at all. */
bool related_path(const struct kind *kind, const struct kind *other, struct hop *hops, unsigned *ret_n);
/* Makes the comparison's operands from term->value. problem: what is wrong with it. */
bool property_prepare(struct term *term, bool case_insensitive, char **ret_problem);
bool same_word(const char *a, const char *b);            /* case and '_', '-' do not count */
bool parse_time(const char *text, int64_t now_msec, int64_t *ret_from, int64_t *ret_until);

#endif
