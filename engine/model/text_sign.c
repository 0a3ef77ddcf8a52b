/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See text_sign.h. Only ASCII letters count, in lower case. Folding a text keeps them, whatever stands beside them; it may make new ones (the
 * Kelvin sign becomes a 'k'), so the sign of a text that is not ASCII is that of the folded text.
 */
#include "engine/model/text_sign.h"

#include <glib.h>
#include <stddef.h>

#define IS_ASCII(c) (!((c) & 0x80))

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool counts(unsigned char letter)
{
	return letter && letter != '*' && IS_ASCII(letter);
}

/* 0: one letter alone */
static void add(struct text_sign *sign, unsigned char first, unsigned char second)
{
	unsigned bit = (lower(first) * 37u + lower(second)) * 2654435761u >> 24;

	sign->bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

void text_sign_add(struct text_sign *sign, const char *text)
{
	g_autofree char *folded = NULL;

	if (!text)
		return;
	if (!g_str_is_ascii(text))
		folded = g_utf8_casefold(text, -1);
	for (const unsigned char *p = (const unsigned char *)(folded ? folded : text); *p; p++) {
		if (counts(p[0]))
			add(sign, 0, p[0]);
		if (counts(p[0]) && counts(p[1]))
			add(sign, p[0], p[1]);
	}
}

void text_sign_want(struct text_sign *sign, const char *pattern)
{
	bool paired = false;

	for (const unsigned char *p = (const unsigned char *)pattern; *p; p++) {
		bool pair = counts(p[0]) && counts(p[1]);

		if (pair)
			add(sign, p[0], p[1]);
		else if (counts(p[0]) && !paired)
			add(sign, 0, p[0]);
		paired = pair;
	}
}
