/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing a page. See sorted_page.h.
 *
 * The first skip + size ranks are on the page or before it, and the bar is the last one of these; what is above it is not even collected. From time to time
 * the bar is set anew, for as many as lie above it. Whose rank is not known is always chosen and never counted.
 */
#include "engine/model/sorted_page.h"

#include "engine/model/name_start.h"

#define BATCH 1000

struct candidate { uint64_t rank; unsigned at; bool exact; };

struct page_chooser {
	size_t wanted, skip;
	bool descending;
	uint64_t bar;
	bool bar_full;               /* of the bar's own rank there are enough */
	GArray *list;                /* struct candidate, the first n of it */
	guint n;
	size_t limit;                /* when it has so many the bar is set anew */
	GArray *ranks, *chosen;      /* for one step; the answer */
};

struct sort_rank sort_rank_of_start(uint64_t start)
{
	uint64_t value = GUINT64_SWAP_LE_BE(name_start_fold(start));

	if (start & NAME_START_NOT_ASCII)
		return SORT_RANK_UNKNOWN;
	/* shorter than eight letters: that is all of it. No letter at all: before all others */
	return (struct sort_rank){ value ? value : 1, !(value & 0xff) };
}

struct sort_rank sort_rank_of_number(double number)
{
	uint64_t bits;

	number += 0.0;                /* of two zeros one */
	memcpy(&bits, &number, sizeof(bits));
	return (struct sort_rank){ bits >> 63 ? ~bits : bits | UINT64_C(1) << 63, true };
}

struct page_chooser *page_chooser_new(const struct sorted_page *page)
{
	struct page_chooser *chooser = g_new0(struct page_chooser, 1);

	chooser->wanted = page->size > SIZE_MAX - page->skip ? SIZE_MAX : page->skip + page->size;
	chooser->skip = page->skip;
	chooser->descending = page->descending;
	chooser->bar = UINT64_MAX;
	chooser->list = g_array_new(FALSE, FALSE, sizeof(struct candidate));
	chooser->ranks = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	chooser->chosen = g_array_new(FALSE, FALSE, sizeof(unsigned));
	chooser->limit = chooser->wanted > SIZE_MAX - BATCH ? SIZE_MAX : chooser->wanted + BATCH;
	return chooser;
}

struct page_chooser *page_chooser_free(struct page_chooser *chooser)
{
	if (!chooser)
		return NULL;
	g_array_unref(chooser->list);
	g_array_unref(chooser->ranks);
	g_array_unref(chooser->chosen);
	g_free(chooser);
	return NULL;
}

static bool is_known(uint64_t rank)
{
	return rank != SORT_RANK_UNKNOWN.value;
}

/* Its value in the order that is asked for. */
static uint64_t value_of(const struct page_chooser *chooser, struct sort_rank rank)
{
	return chooser->descending && is_known(rank.value) && rank.value != SORT_RANK_LAST.value ? UINT64_MAX - rank.value : rank.value;
}

bool page_chooser_wants(const struct page_chooser *chooser, struct sort_rank rank)
{
	uint64_t value = value_of(chooser, rank);

	return value < chooser->bar || (value == chooser->bar && !chooser->bar_full);
}

/* The rank that has k others before it. The array is put into another order. */
static uint64_t nth(GArray *ranks, size_t k)
{
	uint64_t *list = (uint64_t *)(void *)ranks->data;
	ssize_t low = 0, high = (ssize_t)ranks->len - 1;

	while (low < high) {
		uint64_t pivot = list[low + (high - low) / 2];
		ssize_t i = low, j = high;

		while (i <= j) {
			while (list[i] < pivot)
				i++;
			while (list[j] > pivot)
				j--;
			if (i <= j) {
				uint64_t other = list[i];

				list[i++] = list[j];
				list[j--] = other;
			}
		}
		if ((ssize_t)k <= j)
			high = j;
		else if ((ssize_t)k >= i)
			low = i;
		else
			break;
	}
	return list[k];
}

static struct candidate *candidate(const struct page_chooser *chooser, guint i)
{
	return &g_array_index(chooser->list, struct candidate, i);
}

/* Those that are known. */
static void collect_ranks(struct page_chooser *chooser)
{
	guint n = 0;

	g_array_set_size(chooser->ranks, chooser->n);
	for (guint i = 0; i < chooser->n; i++)
		if (is_known(candidate(chooser, i)->rank))
			g_array_index(chooser->ranks, uint64_t, n++) = candidate(chooser, i)->rank;
	g_array_set_size(chooser->ranks, n);
}

/* Where the k-th candidate stands: with its rank, behind `before` others of that rank (told if they are exact). */
struct place { uint64_t rank; size_t before; bool exact; };

static struct place place_of(struct page_chooser *chooser, size_t k)
{
	struct place place = { .rank = nth(chooser->ranks, k), .before = k };

	for (guint i = 0; i < chooser->n; i++) {
		const struct candidate *one = candidate(chooser, i);

		place.before -= is_known(one->rank) && one->rank < place.rank;
		place.exact |= one->rank == place.rank && one->exact;
	}
	return place;
}

/* Drops those that stand before a place or, `behind`, from it on. Those that might stand on the other side stay. */
static void drop(struct page_chooser *chooser, const struct place *place, bool behind)
{
	size_t same = 0;
	guint kept = 0;

	for (guint i = 0; i < chooser->n; i++) {
		struct candidate one = *candidate(chooser, i);
		bool stays = one.rank == place->rank ? !place->exact || (same++ < place->before) == behind : (one.rank < place->rank) == behind;

		if (stays || !is_known(one.rank))
			*candidate(chooser, kept++) = one;
	}
	chooser->n = kept;
}

static void set_bar(struct page_chooser *chooser)
{
	struct place last;

	collect_ranks(chooser);
	if (chooser->wanted > 0 && chooser->ranks->len >= chooser->wanted) {
		last = place_of(chooser, chooser->wanted - 1);
		last.before++;
		chooser->bar = last.rank;
		chooser->bar_full = last.exact;
		drop(chooser, &last, /* behind= */ true);
	}
	chooser->limit = chooser->n + MAX(chooser->n, BATCH);
}

void page_chooser_add(struct page_chooser *chooser, struct sort_rank rank, unsigned at)
{
	struct candidate one = { value_of(chooser, rank), at, rank.exact };

	if (chooser->n == chooser->list->len)
		g_array_set_size(chooser->list, MAX(2 * chooser->n, BATCH));
	*candidate(chooser, chooser->n++) = one;
	if (chooser->n >= chooser->limit)
		set_bar(chooser);
}

const GArray *page_chooser_end(struct page_chooser *chooser, size_t *ret_skipped)
{
	struct place first;
	size_t before;

	set_bar(chooser);
	before = chooser->n;
	collect_ranks(chooser);
	/* what stands before the page need not be sorted, unless there is some of which that is not known */
	if (chooser->ranks->len == before && chooser->skip < before) {
		first = place_of(chooser, chooser->skip);
		drop(chooser, &first, /* behind= */ false);
	}
	*ret_skipped = before - chooser->n;
	for (guint i = 0; i < chooser->n; i++)
		g_array_append_val(chooser->chosen, candidate(chooser, i)->at);
	return chooser->chosen;
}
