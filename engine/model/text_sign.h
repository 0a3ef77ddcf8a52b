/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_TEXT_SIGN_H
#define BERTH_ENGINE_MODEL_TEXT_SIGN_H
/*
 * Which letters and which pairs of neighbouring letters texts have: 256 bits, of which each sets one. Case does not count. What has not all of a text does
 * not contain that text; what has them may contain it.
 */
#include <stdbool.h>
#include <stdint.h>

struct text_sign { uint64_t bits[4]; };

/* Adds those of an object's text. */
void text_sign_add(struct text_sign *sign, const char *text);
/* Adds such as each text has in which the parts of the pattern between its stars stand, as they are or folded (g_utf8_casefold()). */
void text_sign_want(struct text_sign *sign, const char *pattern);

static inline bool text_sign_is_empty(const struct text_sign *sign)
{
	return !(sign->bits[0] | sign->bits[1] | sign->bits[2] | sign->bits[3]);
}

/* Has it all that are wanted? */
static inline bool text_sign_has(const struct text_sign *sign, const struct text_sign *wanted)
{
	return !((wanted->bits[0] & ~sign->bits[0]) | (wanted->bits[1] & ~sign->bits[1]) | (wanted->bits[2] & ~sign->bits[2]) |
		 (wanted->bits[3] & ~sign->bits[3]));
}

#endif
