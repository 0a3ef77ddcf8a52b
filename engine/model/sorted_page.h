/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_SORTED_PAGE_H
#define BERTH_ENGINE_MODEL_SORTED_PAGE_H
/*
 * Which of many things stand on a page when they are sorted: told from a rank of each, without sorting all of them. Those that are chosen are to be sorted
 * then: where ranks do not tell, there are more of them than the page has.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

/*
 * How a thing stands among the others: by its value, ascending. Those of the same value keep the order in which they are added if they are exact (all of
 * that value are, or none is); else it is not told.
 */
struct sort_rank { uint64_t value; bool exact; };
#define SORT_RANK_UNKNOWN ((struct sort_rank){ 0, false })        /* anywhere */
#define SORT_RANK_LAST ((struct sort_rank){ UINT64_MAX, true })   /* behind all others, in a descending order, too */

/* By the first letters of a text, without regard to case. start: engine/model/name_start.h */
struct sort_rank sort_rank_of_start(uint64_t start);
/* By a number that is one. */
struct sort_rank sort_rank_of_number(double number);

#define SORTED_PAGE_BATCH 64

/* rank: sets those of n records, at most SORTED_PAGE_BATCH; NULL: they are those of their names. */
struct sorted_page {
	size_t skip, size;
	bool descending;
	void (*rank)(void *const *records, size_t n, struct sort_rank *ranks, void *data);
	void *data;
};

struct page_chooser;
struct page_chooser *page_chooser_new(const struct sorted_page *page);
struct page_chooser *page_chooser_free(struct page_chooser *chooser);     /* NULL accepted. Returns NULL. */
/* Can it still come to the page? */
bool page_chooser_wants(const struct page_chooser *chooser, struct sort_rank rank);
/* It is one of those to choose among; `at` is given back. */
void page_chooser_add(struct page_chooser *chooser, struct sort_rank rank, unsigned at);
/* The chosen ones (unsigned, in the order they were added; the chooser's). ret_skipped: so many of page.skip are not among them any more. */
const GArray *page_chooser_end(struct page_chooser *chooser, size_t *ret_skipped);

#endif
