/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an object stands among the others, told from its record alone (engine/model/sorted_page.h): so the model chooses those that can stand on a page, and
 * only these are sorted (order.c). Both compare the same.
 *
 * Numbers are their own ranks. For references the order of the objects that they name is worked out beforehand. Texts are compared with one of them, the
 * pivot: those that part from it early stand far from it, below or above, and among those that part at the same letter the next few letters tell. Texts of
 * which most begin alike are told apart so by what they do not have in common.
 */
#include <stdlib.h>
#include <string.h>
#include "common/ref_id.h"
#include "engine/model/name_start.h"
#include "engine/search/search-priv.h"

/* ---- texts ---- */

#define LETTERS 5                    /* that tell from where they part */
#define LETTERS_BITS (8 * LETTERS)
#define PART_MAX (1 << 20)           /* texts that part later are not told apart */
#define PIVOT_VALUE (UINT64_C(1) << 63)

static struct sort_rank rank_of_text(const char *text, const char *pivot)
{
	uint64_t letters = 0, parted, value;
	size_t n = 0;
	char letter;

	for (; *text && ASCII_LOWER(*text) == *pivot; text++, pivot++)
		n++;
	if (!*text && !*pivot)
		return (struct sort_rank){ PIVOT_VALUE, true };
	if (n >= PART_MAX)
		return SORT_RANK_UNKNOWN;
	letter = (char)ASCII_LOWER(*text);
	for (int i = 0; i < LETTERS; i++) {
		if (*text & 0x80)
			return SORT_RANK_UNKNOWN;
		letters = letters << 8 | (unsigned char)ASCII_LOWER(*text);
		text += *text != '\0';
	}
	parted = letter < *pivot ? n : PART_MAX - n;
	value = (parted << LETTERS_BITS | letters) + 1;
	return (struct sort_rank){ letter < *pivot ? value : PIVOT_VALUE + value, !(letters & 0xff) };
}

#define SAMPLES 64

/*
 * Looks at some of them: sets the pivot, the longest of these. Do all begin alike, for as many letters as the model has at hand of each name?
 */
static bool look_at_samples(struct query *query, struct model *model)
{
	const struct model_filter all = { 0 };
	g_autoptr(GPtrArray) samples = model_select(model, query->kind, &all, SAMPLES);
	const char *longest = "";
	uint64_t start = 0;
	bool alike = true;

	for (guint i = 0; i < samples->len; i++) {
		const char *text = MEMBER(samples->pdata[i], query->sort.field, char *);
		uint64_t own = text ? name_start_fold(name_start_of(text, SIZE_MAX)) : 0;

		if (text && strlen(text) > strlen(longest) && g_str_is_ascii(text))
			longest = text;
		alike = alike && (i == 0 || own == start);
		start = own;
	}
	g_free(query->pivot);
	query->pivot = text_fold(longest);
	return alike;
}

/* ---- references ---- */

#define TARGETS_MAX 10000           /* of so many objects that a reference may name the order is worked out */

struct target { const char *id; char *name; };

static int by_target_name(const void *a, const void *b)
{
	return strcmp(((const struct target *)a)->name, ((const struct target *)b)->name);
}

/* The ids of a kind's objects -> how their names stand; those of the same name stand together. */
static GHashTable *target_ranks(struct model *model, const struct kind *kind)
{
	GHashTable *ranks = g_hash_table_new_full(id_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) objects = model_list(model, kind);
	g_autofree struct target *targets = g_new(struct target, objects->len + 1);
	guint n = 0, rank = 0;

	for (guint i = 0; i < objects->len; i++) {
		const void *object = objects->pdata[i];

		if (object_name(object))
			targets[n++] = (struct target){ object_id(object), text_fold(object_name(object)) };
	}
	qsort(targets, n, sizeof(*targets), by_target_name);
	for (guint i = 0; i < n; i++) {
		rank += i > 0 && strcmp(targets[i].name, targets[i - 1].name) != 0;
		g_hash_table_insert(ranks, g_strdup(targets[i].id), GUINT_TO_POINTER(rank));
	}
	for (guint i = 0; i < n; i++)
		g_free(targets[i].name);
	return ranks;
}

static struct sort_rank rank_of_reference(const struct query *query, const char *id)
{
	gpointer rank;

	return g_hash_table_lookup_extended(query->ranks, id, NULL, &rank) ? sort_rank_of_number(GPOINTER_TO_UINT(rank)) : SORT_RANK_UNKNOWN;
}

/* ---- any ---- */

/* Step by step for all of them: memory is waited for once and not for one record after the other. */
static void rank_texts(const struct query *query, void *const *objects, size_t n, struct sort_rank *ranks)
{
	const struct field *field = query->sort.field;
	const char *texts[SORTED_PAGE_BATCH];

	for (size_t i = 0; i < n; i++) {
		texts[i] = field->kind == FIELD_REF ? MEMBER(objects[i], field, struct ref).id : MEMBER(objects[i], field, char *);
		__builtin_prefetch(texts[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (!texts[i])
			ranks[i] = SORT_RANK_LAST;
		else
			ranks[i] = query->ranks ? rank_of_reference(query, texts[i]) : rank_of_text(texts[i], query->pivot);
	}
}

static void rank(void *const *objects, size_t n, struct sort_rank *ranks, void *data)
{
	const struct query *query = data;
	const struct field *field = query->sort.field;
	double number;

	if (field->kind == FIELD_REF || field->kind == FIELD_STRING || field->kind == FIELD_UUID)
		rank_texts(query, objects, n, ranks);
	else
		for (size_t i = 0; i < n; i++)
			ranks[i] = number_of(objects[i], field, &number) ? sort_rank_of_number(number) : SORT_RANK_LAST;
}

static bool can_rank(const struct query *query, struct model *model)
{
	const struct property *sort = &query->sort;

	/* of events those of the same moment keep another order */
	if (query->kind->sequence)
		return false;
	switch (sort->field->kind) {
	case FIELD_BOOL: case FIELD_INT: case FIELD_LONG: case FIELD_DECIMAL: case FIELD_TIME: case FIELD_ENUM: case FIELD_STRING: case FIELD_UUID:
		return true;
	case FIELD_REF:
		return sort->target && model_count(model, sort->target) <= TARGETS_MAX;
	default:
		return false;
	}
}

bool rank_page(struct query *query, struct model *model, struct sorted_page *ret_page)
{
	const struct property *sort = &query->sort;
	size_t wanted = order_enough(query), page = query->page ? order_page_size(query) : wanted;

	if (!query->sort_set || wanted == SIZE_MAX || !can_rank(query, model))
		return false;
	*ret_page = (struct sorted_page){ .skip = wanted - page, .size = page, .descending = query->descending, .rank = rank, .data = query };
	g_clear_pointer(&query->ranks, g_hash_table_unref);
	if (sort->field->kind == FIELD_REF)
		query->ranks = target_ranks(model, sort->target);
	else if ((sort->field->kind == FIELD_STRING || sort->field->kind == FIELD_UUID) && !look_at_samples(query, model) && field_is_name(sort->field))
		ret_page->rank = NULL;
	return true;
}
