/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the known word that a mistyped one is nearest to. */
#include "client/client.h"
#include <string.h>

#define WORD_MAX 64

/* Letters to insert, remove, change or swap with their neighbour (restricted Damerau-Levenshtein); upper and lower case are the same letter. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
	size_t n = strlen(b);

	if (strlen(a) > WORD_MAX || n > WORD_MAX)
		return G_MAXUINT;
	for (unsigned j = 0; j <= n; j++)
		last[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned *spare = before;

		now[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);

			now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) && y == g_ascii_tolower(a[i - 2]))
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[n];
}

const char *nearest(const char *word, const GPtrArray *known)
{
	/* one mistake in three letters: more would be guessing */
	unsigned best = (unsigned)MAX(1, strlen(word) / 3) + 1;
	const char *found = NULL;

	for (guint i = 0; i < known->len; i++) {
		const char *name = known->pdata[i];
		unsigned n = distance(word, name);

		if (n < best) {
			best = n;
			found = name;
		}
	}
	return found;
}

char *did_you_mean(const char *word, const GPtrArray *known)
{
	const char *found = nearest(word, known);

	return found ? g_strdup_printf("; did you mean '%s'?", found) : g_strdup(";");
}
