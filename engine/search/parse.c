/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar. Words are case-insensitive; blanks around operators do not matter.
 *
 *	query     = [condition] ["sortby" property ["asc" | "desc"]] ["page" number]
 *	condition = all ("or" all)*
 *	all       = one (["and"] one)*
 *	one       = "(" condition ")" | "not" one | property operator value | value
 *	property  = name | kind "." name
 *	operator  = "=" | "!=" | "<" | "<=" | ">" | ">="
 *	value     = word | quoted text
 *
 * A value alone is looked for in all text members. "kind.name" with the collection's own kind is the plain property; with another kind the
 * condition holds when an associated object of that kind fulfils it.
 *
 * Bounds: SEARCH_TEXT_MAX bytes, SEARCH_TERMS_MAX conditions, DEPTH_MAX parentheses.
 */
#include <stdlib.h>
#include <string.h>
#include "common/error.h"
#include "engine/search/search-priv.h"

#define DEPTH_MAX 32

struct parser {
	struct lexer lexer;
	struct query *query;
	unsigned depth;
};

static struct term *parse_condition(struct parser *parser, GError **error);

struct term *term_free(struct term *term)
{
	if (!term)
		return NULL;
	term_free(term->left);
	term_free(term->right);
	g_free(term->value);
	if (term->ids)
		g_hash_table_unref(term->ids);
	g_free(term);
	return NULL;
}

static struct term *term_new(struct parser *parser, enum node_kind kind, struct term *left, struct term *right)
{
	struct term *term = g_new0(struct term, 1);
	term->kind = kind;
	term->left = left;
	term->right = right;
	parser->query->n_terms++;
	return term;
}

static bool is_word(const struct parser *parser, const char *word)
{
	return parser->lexer.token.kind == TOKEN_WORD && g_ascii_strcasecmp(parser->lexer.token.text, word) == 0;
}

static bool next(struct parser *parser, GError **error)
{
	return lexer_next(&parser->lexer, false, error);
}

static void syntax(const struct parser *parser, GError **error, const char *what)
{
	error_set(error, ERR_SYNTAX, "search: at character %zu: %s", parser->lexer.token.at, what);
}

static void unknown(const struct kind *kind, size_t at, const char *name, GError **error)
{
	error_set(error, ERR_BAD_VALUE, "search: at character %zu: %s have no property '%.64s'", at, kind->collection, name);
}

/* Finishes a COMPARE or TEXT whose value is the current token. */
static struct term *with_value(struct parser *parser, struct term *term, GError **error)
{
	struct query *query = parser->query;
	char *problem = NULL;
	size_t at = parser->lexer.token.at;
	bool quoted = parser->lexer.token.kind == TOKEN_QUOTED;
	term->value = g_steal_pointer(&parser->lexer.token.text);
	term->empty = quoted && !term->value[0];
	if (!property_prepare(term, query->options.case_insensitive, &problem)) {
		error_set(error, ERR_BAD_VALUE, "search: at character %zu: %s", at, problem);
		g_free(problem);
		return term_free(term);
	}
	if (term->property.field && term->property.field->flags & VOLATILE_)
		query->needs_view = true;
	if (!next(parser, error))
		return term_free(term);
	return term;
}

static struct term *parse_comparison(struct parser *parser, const char *name, size_t at, GError **error)
{
	const struct kind *kind = parser->query->kind, *other = NULL;
	struct term *related = NULL;
	struct property property;
	const char *dot = strchr(name, '.');

	if (dot) {
		char *prefix = g_strndup(name, (size_t)(dot - name));
		other = related_kind(prefix);
		g_free(prefix);
		if (!other) {
			unknown(kind, at, name, error);
			return NULL;
		}
		if (other != kind) {
			related = term_new(parser, NODE_RELATED, NULL, NULL);
			related->other = other;
			(void)related_path(kind, other, related->hops, &related->n_hops);        /* none: nothing is associated */
		}
		kind = other;
		name = dot + 1;
	}
	if (!property_find(kind, name, &property)) {
		/* "cluster.name" apart, a bare kind names the associated object: datacenter=Default on hosts */
		const struct kind *named = related ? NULL : related_kind(name);
		struct hop hops[HOPS_MAX];
		unsigned n_hops;
		if (!named || named == kind || !related_path(kind, named, hops, &n_hops) || !property_find(named, "name", &property)) {
			unknown(kind, at, name, error);
			return term_free(related);
		}
		related = term_new(parser, NODE_RELATED, NULL, NULL);
		related->other = named;
		memcpy(related->hops, hops, sizeof(hops));
		related->n_hops = n_hops;
	}
	struct term *term = term_new(parser, NODE_COMPARE, NULL, NULL);
	term->property = property;
	term->comparison = parser->lexer.token.comparison;
	if (!lexer_next(&parser->lexer, true, error))
		goto failed;
	if (parser->lexer.token.kind != TOKEN_WORD && parser->lexer.token.kind != TOKEN_QUOTED) {
		syntax(parser, error, "a value is missing");
		goto failed;
	}
	term = with_value(parser, term, error);
	if (!term)
		goto failed;
	if (!related)
		return term;
	related->left = term;
	return related;
failed:
	term_free(term);
	return term_free(related);
}

static struct term *parse_one(struct parser *parser, GError **error)
{
	struct token *token = &parser->lexer.token;

	if (parser->query->n_terms >= SEARCH_TERMS_MAX || parser->depth >= DEPTH_MAX) {
		syntax(parser, error, "too many conditions");
		return NULL;
	}
	if (token->kind == TOKEN_OPEN) {
		parser->depth++;
		struct term *inner = next(parser, error) ? parse_condition(parser, error) : NULL;
		parser->depth--;
		if (!inner)
			return NULL;
		if (token->kind != TOKEN_CLOSE) {
			syntax(parser, error, "')' is missing");
			return term_free(inner);
		}
		return next(parser, error) ? inner : term_free(inner);
	}
	if (is_word(parser, "not")) {
		parser->depth++;
		struct term *inner = next(parser, error) ? parse_one(parser, error) : NULL;
		parser->depth--;
		return inner ? term_new(parser, NODE_NOT, inner, NULL) : NULL;
	}
	if (token->kind == TOKEN_QUOTED)
		return with_value(parser, term_new(parser, NODE_TEXT, NULL, NULL), error);
	if (token->kind != TOKEN_WORD || is_word(parser, "and") || is_word(parser, "or")) {
		syntax(parser, error, "a property or a text is missing");
		return NULL;
	}
	/* a word: a property when an operator follows, else free text */
	char *word = g_steal_pointer(&token->text);
	size_t at = token->at;
	struct term *term = NULL;
	if (next(parser, error)) {
		if (token->kind == TOKEN_OPERATOR) {
			term = parse_comparison(parser, word, at, error);
		} else {
			char *problem = NULL;
			term = term_new(parser, NODE_TEXT, NULL, NULL);
			term->value = g_steal_pointer(&word);
			(void)property_prepare(term, parser->query->options.case_insensitive, &problem);
		}
	}
	g_free(word);
	return term;
}

static bool ends(const struct parser *parser)
{
	return parser->lexer.token.kind == TOKEN_END || parser->lexer.token.kind == TOKEN_CLOSE || is_word(parser, "sortby") || is_word(parser, "page");
}

static struct term *parse_all(struct parser *parser, GError **error)
{
	struct term *left = parse_one(parser, error);
	while (left && !ends(parser) && !is_word(parser, "or")) {
		if (is_word(parser, "and") && !next(parser, error))
			return term_free(left);
		struct term *right = parse_one(parser, error);
		if (!right)
			return term_free(left);
		left = term_new(parser, NODE_AND, left, right);
	}
	return left;
}

static struct term *parse_condition(struct parser *parser, GError **error)
{
	struct term *left = parse_all(parser, error);
	while (left && is_word(parser, "or")) {
		struct term *right = next(parser, error) ? parse_all(parser, error) : NULL;
		if (!right)
			return term_free(left);
		left = term_new(parser, NODE_OR, left, right);
	}
	return left;
}

static bool parse_sort(struct parser *parser, GError **error)
{
	struct query *query = parser->query;
	struct token *token = &parser->lexer.token;
	if (!next(parser, error))
		return false;
	if (token->kind != TOKEN_WORD) {
		syntax(parser, error, "sortby needs a property");
		return false;
	}
	const char *name = token->text, *dot = strchr(name, '.');
	if (dot) {
		char *prefix = g_strndup(name, (size_t)(dot - name));
		if (related_kind(prefix) == query->kind)
			name = dot + 1;
		g_free(prefix);
	}
	if (!property_find(query->kind, name, &query->sort)) {
		unknown(query->kind, token->at, token->text, error);
		return false;
	}
	query->sort_set = true;
	if (query->sort.field->flags & VOLATILE_)
		query->needs_view = true;
	if (!next(parser, error))
		return false;
	if (is_word(parser, "asc") || is_word(parser, "desc")) {
		query->descending = is_word(parser, "desc");
		return next(parser, error);
	}
	return true;
}

static bool parse_page(struct parser *parser, GError **error)
{
	struct token *token = &parser->lexer.token;
	if (!next(parser, error))
		return false;
	guint64 page = 0;
	if (token->kind != TOKEN_WORD || !g_ascii_string_to_unsigned(token->text, 10, 1, 1000000000, &page, NULL)) {
		syntax(parser, error, "page needs a number from 1 on");
		return false;
	}
	parser->query->page = page;
	return next(parser, error);
}

static bool parse(struct parser *parser, GError **error)
{
	struct query *query = parser->query;
	if (!next(parser, error))
		return false;
	if (!ends(parser)) {
		query->condition = parse_condition(parser, error);
		if (!query->condition)
			return false;
	}
	if (is_word(parser, "sortby") && !parse_sort(parser, error))
		return false;
	if (is_word(parser, "page") && !parse_page(parser, error))
		return false;
	if (parser->lexer.token.kind != TOKEN_END) {
		syntax(parser, error, parser->lexer.token.kind == TOKEN_CLOSE ? "')' without '('" : "the end of the query was expected");
		return false;
	}
	return true;
}

struct query *query_new(const struct kind *kind, const char *text, const struct search_options *options, GError **error)
{
	if (strlen(text) > SEARCH_TEXT_MAX) {
		error_set(error, ERR_SYNTAX, "search: the query is longer than %d bytes", SEARCH_TEXT_MAX);
		return NULL;
	}
	if (!g_utf8_validate(text, -1, NULL)) {
		error_set(error, ERR_SYNTAX, "search: the query is not UTF-8");
		return NULL;
	}
	struct query *query = g_new0(struct query, 1);
	query->kind = kind;
	query->options = *options;
	query->texts = text_fields(kind->type);
	struct parser parser = { .query = query };
	lexer_init(&parser.lexer, text);
	bool ok = parse(&parser, error);
	lexer_clear(&parser.lexer);
	return ok ? query : query_free(query);
}

struct query *query_free(struct query *query)
{
	if (!query)
		return NULL;
	term_free(query->condition);
	g_clear_pointer(&query->texts, g_ptr_array_unref);
	g_clear_pointer(&query->ranks, g_hash_table_unref);
	g_free(query->pivot);
	g_free(query);
	return NULL;
}

bool query_needs_view(const struct query *query)
{
	return query->needs_view;
}

bool query_sorts(const struct query *query)
{
	return query->sort_set;
}
