/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "common/error.h"
#include "engine/search/search-priv.h"

void lexer_init(struct lexer *lexer, const char *text)
{
	*lexer = (struct lexer){ .text = text, .p = text };
}

void lexer_clear(struct lexer *lexer)
{
	g_clear_pointer(&lexer->token.text, g_free);
}

static bool is_operator(char c)
{
	return c == '=' || c == '<' || c == '>' || c == '!';
}

static bool read_quoted(struct lexer *lexer, GError **error)
{
	GString *text = g_string_new(NULL);
	const char *p = lexer->p + 1;
	while (*p && *p != '"') {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		g_string_append_c(text, *p++);
	}
	if (!*p) {
		error_set(error, ERR_SYNTAX, "search: at character %zu: the quotation has no end", lexer->token.at);
		g_string_free(text, TRUE);
		return false;
	}
	lexer->p = p + 1;
	lexer->token.kind = TOKEN_QUOTED;
	lexer->token.text = g_string_free(text, FALSE);
	return true;
}

static bool read_operator(struct lexer *lexer, GError **error)
{
	const char *p = lexer->p;
	lexer->token.kind = TOKEN_OPERATOR;
	bool equals = p[1] == '=';
	switch (*p) {
	case '=':
		lexer->token.comparison = EQUAL;
		equals = false;
		break;
	case '<':
		lexer->token.comparison = equals ? LESS_EQUAL : LESS;
		break;
	case '>':
		lexer->token.comparison = equals ? GREATER_EQUAL : GREATER;
		break;
	default:
		if (!equals) {
			error_set(error, ERR_SYNTAX, "search: at character %zu: '!' without '='", lexer->token.at);
			return false;
		}
		lexer->token.comparison = NOT_EQUAL;
	}
	lexer->p += equals ? 2 : 1;
	return true;
}

bool lexer_next(struct lexer *lexer, bool value, GError **error)
{
	lexer_clear(lexer);
	while (g_ascii_isspace(*lexer->p))
		lexer->p++;
	lexer->token.at = (size_t)(lexer->p - lexer->text) + 1;
	char c = *lexer->p;
	if (c == '\0') {
		lexer->token.kind = TOKEN_END;
		return true;
	}
	if (c == '"')
		return read_quoted(lexer, error);
	if (c == '(' || c == ')') {
		lexer->token.kind = c == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
		lexer->p++;
		return true;
	}
	if (is_operator(c) && !value)
		return read_operator(lexer, error);
	const char *start = lexer->p;
	while (*lexer->p && !g_ascii_isspace(*lexer->p) && *lexer->p != '(' && *lexer->p != ')' && *lexer->p != '"' && (value || !is_operator(*lexer->p)))
		lexer->p++;
	lexer->token.kind = TOKEN_WORD;
	lexer->token.text = g_strndup(start, (size_t)(lexer->p - start));
	return true;
}
