/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the answer: text without regard to case; what has no value last, either way. Of a page among many the model chooses the candidates first
 * (rank.c); what is found is sorted here, by a key of each.
 */
#include <stdlib.h>
#include <string.h>
#include "engine/search/search-priv.h"

/* ---- how many ---- */

size_t order_page_size(const struct query *query)
{
	return !query->page ? 0 : query->options.max ? query->options.max : SEARCH_PAGE;
}

size_t order_enough(const struct query *query)
{
	size_t page = order_page_size(query);

	if (query->page)
		return page > SIZE_MAX / query->page ? SIZE_MAX : page * query->page;
	return query->options.max ? query->options.max : SIZE_MAX;
}

/* ---- sorting ---- */

struct sort_key {
	void *object;
	char *text;
	double number;
	bool absent;
	guint at;
};

static int by_key(const void *a, const void *b)
{
	const struct sort_key *left = a, *right = b;
	if (left->absent != right->absent)
		return left->absent ? 1 : -1;
	int order = 0;
	if (left->text && right->text)
		order = strcmp(left->text, right->text);
	else if (left->number != right->number)
		order = left->number < right->number ? -1 : 1;
	return order ? order : left->at < right->at ? -1 : 1;
}

static int by_key_descending(const void *a, const void *b)
{
	const struct sort_key *left = a, *right = b;
	if (left->absent != right->absent)
		return left->absent ? 1 : -1;        /* what has no value stands last, either way */
	return -by_key(a, b);
}

static void make_key(const struct query *query, struct model *model, const void *object, struct sort_key *key)
{
	const struct field *field = query->sort.field;
	double number;

	if (query->kind->sequence && strcmp(field->path, "@id") == 0) {
		key->number = g_ascii_strtod(object_id(object), NULL);
		return;
	}
	switch (field->kind) {
	case FIELD_BOOL: case FIELD_INT: case FIELD_LONG: case FIELD_DECIMAL: case FIELD_TIME: case FIELD_ENUM:
		key->absent = !number_of(object, field, &number);
		key->number = key->absent ? 0 : number;
		return;
	case FIELD_REF: {
		const char *id = MEMBER(object, field, struct ref).id;
		void *target = id && query->sort.target ? model_get(model, query->sort.target, id) : NULL;
		const char *name = target ? object_name(target) : id;
		key->text = text_fold(name);
		record_unref(target);
		break;
	}
	case FIELD_STRING:
		key->text = text_fold(MEMBER(object, field, char *));
		break;
	default: {
		g_autofree char *text = record_text(object, field);
		key->text = text_fold(text);
	}
	}
	key->absent = !key->text;
}

static void key_drop(struct sort_key *key)
{
	record_unref(key->object);
	g_free(key->text);
}

/* Does it come after `last` for sure? Told without a key made for it; false where that takes more than looking at ASCII letters. */
static bool comes_after(const struct query *query, const void *object, const struct sort_key *last)
{
	const char *text = query->sort.field->kind == FIELD_STRING ? MEMBER(object, query->sort.field, char *) : NULL, *other = last->text;

	if (!text || !other)
		return false;
	while (*text && ASCII_LOWER(*text) == *other)
		text++, other++;
	if ((*text | *other) & 0x80)
		return false;
	return query->descending ? ASCII_LOWER(*text) < *other : ASCII_LOWER(*text) > *other;
}

/*
 * For a page of many it collects twice as many as are wanted, sorts these, and drops the second half; from then on
 * what comes after the last of the first half is not even collected.
 */
void order_sort(const struct query *query, struct model *model, GPtrArray *objects, size_t wanted)
{
	int (*order)(const void *a, const void *b) = query->descending ? by_key_descending : by_key;
	size_t room = wanted < objects->len / 2 ? 2 * wanted : objects->len, n = 0;
	struct sort_key *keys = g_new(struct sort_key, room + 1);
	const struct sort_key *last = NULL;

	for (guint i = 0; i < objects->len; i++) {
		/* events come newest first: those of the same moment follow their numbers, either way */
		struct sort_key key = { .object = g_steal_pointer(&objects->pdata[i]), .at = query->kind->sequence ? objects->len - i : i };

		if (last && comes_after(query, key.object, last)) {
			record_unref(key.object);
			continue;
		}
		make_key(query, model, key.object, &key);
		if (last && order(&key, last) > 0) {
			key_drop(&key);
			continue;
		}
		keys[n++] = key;
		if (n < room || i + 1 == objects->len)
			continue;
		qsort(keys, n, sizeof(*keys), order);
		while (n > wanted)
			key_drop(&keys[--n]);
		last = &keys[wanted - 1];
	}
	qsort(keys, n, sizeof(*keys), order);
	for (size_t i = 0; i < n; i++) {
		objects->pdata[i] = keys[i].object;
		g_free(keys[i].text);
	}
	g_ptr_array_set_size(objects, (gint)n);
	g_free(keys);
}
