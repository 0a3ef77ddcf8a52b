/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a query.
 *
 * Conditions on other kinds are worked out first, once: the ids of the other kind's matches, carried over the references to ids of this kind. What is
 * left is one pass over the members, where a condition on a member costs a comparison of bytes and nothing is allocated.
 *
 * An absent member equals "" and nothing else; it is unequal to everything else. A member with several values (lists) equals when one of them does.
 */
#include <stdlib.h>
#include <string.h>
#include "engine/search/search-priv.h"

/* ---- text ---- */

static bool wildcard(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;
	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool search_wildcard(const char *pattern, const char *text, bool case_insensitive)
{
	if (!case_insensitive)
		return wildcard(pattern, text);
	char *folded_pattern = g_utf8_casefold(pattern, -1), *folded_text = g_utf8_casefold(text, -1);
	bool same = wildcard(folded_pattern, folded_text);
	g_free(folded_pattern);
	g_free(folded_text);
	return same;
}

static bool text_is(const struct term *term, const char *text)
{
	switch (term->match) {
	case MATCH_EXACT:
		return strcmp(term->value, text) == 0;
	case MATCH_PREFIX:
		return strncmp(term->value, text, term->value_length) == 0;
	default:
		return wildcard(term->value, text);
	}
}

static bool text_matches(const struct term *term, const char *text, bool case_insensitive)
{
	if (!text)
		text = "";
	if (term->empty)
		return !*text;
	if (!case_insensitive)
		return text_is(term, text);
	char *folded = g_utf8_casefold(text, -1);
	bool same = text_is(term, folded);
	g_free(folded);
	return same;
}

/* Free text: anywhere within. */
static bool text_contains(const struct term *term, const char *text, bool case_insensitive)
{
	if (!text)
		return false;
	char *folded = case_insensitive ? g_utf8_casefold(text, -1) : NULL;
	const char *where = folded ? folded : text;
	bool found;
	if (term->match == MATCH_EXACT) {
		found = strstr(where, term->value) != NULL;
	} else {
		char *pattern = g_strdup_printf("*%s*", term->value);
		found = wildcard(pattern, where);
		g_free(pattern);
	}
	g_free(folded);
	return found;
}

/* ---- members ---- */

#define MEMBER(object, field, type) (*(const type *)(const void *)((const char *)(object) + (field)->offset))

static bool ordered(enum comparison comparison, double a, double b)
{
	switch (comparison) {
	case EQUAL: return a == b;
	case NOT_EQUAL: return a != b;
	case LESS: return a < b;
	case LESS_EQUAL: return a <= b;
	case GREATER: return a > b;
	default: return a >= b;
	}
}

static bool time_compares(const struct term *term, int64_t time)
{
	switch (term->comparison) {
	case EQUAL: return time >= term->from && time < term->until;
	case NOT_EQUAL: return time < term->from || time >= term->until;
	case LESS: return time < term->from;
	case LESS_EQUAL: return time < term->until;
	case GREATER: return time >= term->until;
	default: return time >= term->from;
	}
}

static bool number_of(const void *object, const struct field *field, double *ret_number)
{
	if (!record_has(object, field->offset))
		return false;
	switch (field->kind) {
	case FIELD_BOOL: *ret_number = MEMBER(object, field, bool); break;
	case FIELD_INT:
	case FIELD_ENUM: *ret_number = MEMBER(object, field, int); break;
	case FIELD_LONG:
	case FIELD_TIME: *ret_number = (double)MEMBER(object, field, int64_t); break;
	default: *ret_number = MEMBER(object, field, double); break;
	}
	return true;
}

static bool list_matches(const struct term *term, const void *object, const struct field *field, bool case_insensitive)
{
	const GPtrArray *list = MEMBER(object, field, GPtrArray *);
	if (!list || list->len == 0)
		return term->empty;
	for (guint i = 0; i < list->len; i++) {
		if (field->kind == FIELD_STRINGS) {
			if (text_matches(term, g_ptr_array_index(list, i), case_insensitive))
				return true;
			continue;
		}
		const struct record *item = g_ptr_array_index(list, i);
		for (size_t j = 0; j < item->type->n_fields; j++) {
			char *text = record_text(item, &item->type->fields[j]);
			bool same = text && text_matches(term, text, case_insensitive);
			g_free(text);
			if (same)
				return true;
		}
	}
	return false;
}

static bool compare(const struct query *query, const struct term *term, const void *object)
{
	const struct field *field = term->property.field;
	bool insensitive = query->options.case_insensitive, negative = term->comparison == NOT_EQUAL;
	double number;

	switch (field->kind) {
	case FIELD_STRING:
	case FIELD_UUID: {
		const char *text = MEMBER(object, field, char *);
		if (term->comparison == EQUAL || negative)
			return text_matches(term, text, insensitive || field->kind == FIELD_UUID) != negative;
		return text && ordered(term->comparison, g_ascii_strtod(text, NULL), term->number);
	}
	case FIELD_REF: {
		const char *id = MEMBER(object, field, struct ref).id;
		if (term->empty)
			return (id == NULL) != negative;
		bool same = id && (term->ids ? g_hash_table_contains(term->ids, id) : text_matches(term, id, insensitive));
		return same != negative;
	}
	case FIELD_STRINGS:
	case FIELD_LIST:
		return list_matches(term, object, field, insensitive) != negative;
	default:
		break;
	}
	if (term->empty)
		return record_has(object, field->offset) == negative;
	if (!number_of(object, field, &number))
		return negative;
	if (field->kind == FIELD_TIME)
		return time_compares(term, MEMBER(object, field, int64_t));
	if (field->kind == FIELD_ENUM) {
		int value = MEMBER(object, field, int);
		if (term->comparison == EQUAL || negative)
			return (value >= 0 && value < 64 && (term->enums >> value & 1)) != negative;
		return ordered(term->comparison, value, term->rank);
	}
	return ordered(term->comparison, number, term->number);
}

static bool free_text(const struct query *query, const struct term *term, const void *object)
{
	const struct record_type *type = ((const struct record *)object)->type;
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];
		if (!(field->flags & SEARCH) || field->flags & (ALIAS | INTERNAL | SECRET))
			continue;
		if (field->kind == FIELD_STRING) {
			if (text_contains(term, MEMBER(object, field, char *), query->options.case_insensitive))
				return true;
		} else if (field->kind == FIELD_STRINGS || field->kind == FIELD_LIST || field->kind == FIELD_ENUM) {
			char *text = record_text(object, field);
			bool found = text_contains(term, text, query->options.case_insensitive);
			g_free(text);
			if (found)
				return true;
		}
	}
	return false;
}

static bool matches(const struct query *query, const struct term *term, const void *object)
{
	switch (term->kind) {
	case NODE_AND: return matches(query, term->left, object) && matches(query, term->right, object);
	case NODE_OR: return matches(query, term->left, object) || matches(query, term->right, object);
	case NODE_NOT: return !matches(query, term->left, object);
	case NODE_TEXT: return free_text(query, term, object);
	case NODE_RELATED: return term->ids && g_hash_table_contains(term->ids, object_id(object));
	case NODE_COMPARE: return compare(query, term, object);
	}
	return false;
}

/* ---- other kinds ---- */

static bool counts(const struct query *query, const void *object)
{
	return !query->options.sees || query->options.sees(object, query->options.data);
}

static GHashTable *id_set(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static GHashTable *cross(struct model *model, const struct hop *hop, GHashTable *ids)
{
	GHashTable *reached = id_set();
	if (hop->backward) {
		GPtrArray *objects = model_list(model, hop->to);
		for (guint i = 0; i < objects->len; i++) {
			const void *object = g_ptr_array_index(objects, i);
			const char *id = MEMBER(object, hop->field, struct ref).id;
			if (id && g_hash_table_contains(ids, id))
				g_hash_table_add(reached, g_strdup(object_id(object)));
		}
		g_ptr_array_unref(objects);
		return reached;
	}
	GHashTableIter iter;
	gpointer id;
	g_hash_table_iter_init(&iter, ids);
	while (g_hash_table_iter_next(&iter, &id, NULL)) {
		void *object = model_get(model, hop->from, id);
		const char *target = object ? MEMBER(object, hop->field, struct ref).id : NULL;
		if (target)
			g_hash_table_add(reached, g_strdup(target));
		record_unref(object);
	}
	return reached;
}

/* Ids of what a reference may mean: objects with that name or id. */
static GHashTable *named(const struct query *query, const struct term *term, struct model *model)
{
	GHashTable *ids = id_set();
	GPtrArray *objects = model_list(model, term->property.target);
	for (guint i = 0; i < objects->len; i++) {
		const void *object = g_ptr_array_index(objects, i);
		const char *name = object_name(object);
		if (((name && text_matches(term, name, query->options.case_insensitive)) ||
		     text_matches(term, object_id(object), query->options.case_insensitive)) && counts(query, object))
			g_hash_table_add(ids, g_strdup(object_id(object)));
	}
	g_ptr_array_unref(objects);
	return ids;
}

static void work_out(const struct query *query, struct term *term, struct model *model)
{
	if (!term)
		return;
	work_out(query, term->left, model);
	work_out(query, term->right, model);
	g_clear_pointer(&term->ids, g_hash_table_unref);
	if (term->kind == NODE_COMPARE && term->property.target && !term->empty) {
		term->ids = named(query, term, model);
	} else if (term->kind == NODE_RELATED && term->n_hops > 0) {
		GHashTable *ids = id_set();
		GPtrArray *objects = model_list(model, term->other);
		for (guint i = 0; i < objects->len; i++) {
			const void *object = g_ptr_array_index(objects, i);
			if (matches(query, term->left, object) && counts(query, object))
				g_hash_table_add(ids, g_strdup(object_id(object)));
		}
		g_ptr_array_unref(objects);
		for (unsigned i = 0; i < term->n_hops; i++) {
			GHashTable *reached = cross(model, &term->hops[i], ids);
			g_hash_table_unref(ids);
			ids = reached;
		}
		term->ids = ids;
	}
}

/* ---- order ---- */

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

static char *fold(const char *text)
{
	size_t length = 0;
	unsigned char all = 0;

	if (!text)
		return NULL;
	for (; text[length]; length++)
		all |= (unsigned char)text[length];
	return all & 0x80 ? g_utf8_casefold(text, (gssize)length) : g_ascii_strdown(text, (gssize)length);
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
		key->text = fold(name);
		record_unref(target);
		break;
	}
	case FIELD_STRING:
		key->text = fold(MEMBER(object, field, char *));
		break;
	default: {
		g_autofree char *text = record_text(object, field);
		key->text = fold(text);
	}
	}
	key->absent = !key->text;
}

static void key_drop(struct sort_key *key)
{
	record_unref(key->object);
	g_free(key->text);
}

/*
 * Sorts, and keeps the first `wanted`. For a page of many it collects twice as many as are wanted, sorts these, and drops the second half; from then on
 * what comes after the last of the first half is not even collected.
 */
static void sort(const struct query *query, struct model *model, GPtrArray *objects, size_t wanted)
{
	int (*order)(const void *a, const void *b) = query->descending ? by_key_descending : by_key;
	size_t room = wanted < objects->len / 2 ? 2 * wanted : objects->len, n = 0;
	struct sort_key *keys = g_new(struct sort_key, room + 1);
	const struct sort_key *last = NULL;

	for (guint i = 0; i < objects->len; i++) {
		/* events come newest first: those of the same moment follow their numbers, either way */
		struct sort_key key = { .object = g_steal_pointer(&objects->pdata[i]), .at = query->kind->sequence ? objects->len - i : i };

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

/* ---- running ---- */

static size_t page_size(const struct query *query)
{
	return !query->page ? 0 : query->options.max ? query->options.max : SEARCH_PAGE;
}

/* Of so many matches, in the order that is asked for, the answer is made. */
static size_t enough(const struct query *query)
{
	size_t page = page_size(query);

	if (query->page)
		return page > SIZE_MAX / query->page ? SIZE_MAX : page * query->page;
	return query->options.max ? query->options.max : SIZE_MAX;
}

/* As many matches as have to be found: to be sorted, all of them. */
static size_t to_find(const struct query *query)
{
	return query->sort_set ? SIZE_MAX : enough(query);
}

static void sort_and_cut(const struct query *query, struct model *model, GPtrArray *found)
{
	size_t page = page_size(query), wanted = enough(query);

	if (query->sort_set)
		sort(query, model, found, wanted);
	if (found->len > wanted)
		g_ptr_array_set_size(found, (gint)wanted);
	if (query->page)
		g_ptr_array_remove_range(found, 0, (guint)MIN(wanted - page, found->len));
}

static bool fits(const void *object, void *data)
{
	const struct query *query = data;

	return !query->condition || matches(query, query->condition, object);
}

GPtrArray *query_run(struct query *query, struct model *model, GPtrArray *objects)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(record_unref);
	size_t wanted = to_find(query);

	work_out(query, query->condition, model);
	for (guint i = 0; i < objects->len && found->len < wanted; i++)
		if (fits(objects->pdata[i], query))
			g_ptr_array_add(found, record_ref(objects->pdata[i]));
	sort_and_cut(query, model, found);
	return found;
}

/* Removes those that do not fit. */
static void keep(GPtrArray *objects, bool (*good)(const void *object, void *data), void *data)
{
	guint kept = 0;

	for (guint i = 0; i < objects->len; i++) {
		void *object = g_steal_pointer(&objects->pdata[i]);

		if (good(object, data))
			objects->pdata[kept++] = object;
		else
			record_unref(object);
	}
	g_ptr_array_set_size(objects, (gint)kept);
}

/* The one id that the condition wants the kind's group (engine/model/model.h) to be; NULL: none. */
static const char *wanted_group(const struct query *query, const struct term *term)
{
	const struct field *field = term ? term->property.field : NULL;
	GHashTableIter iter;
	gpointer id = NULL;

	if (term && term->kind == NODE_AND) {
		const char *left = wanted_group(query, term->left);

		return left ? left : wanted_group(query, term->right);
	}
	if (!term || term->kind != NODE_COMPARE || term->comparison != EQUAL || field->kind != FIELD_REF || field->offset != query->kind->group || !term->ids ||
	    g_hash_table_size(term->ids) != 1)
		return NULL;
	g_hash_table_iter_init(&iter, term->ids);
	(void)g_hash_table_iter_next(&iter, &id, NULL);
	return id;
}

/* Does it only compare bytes and numbers, so that all objects can be looked at under the model's lock? */
static bool is_cheap(const struct query *query, const struct term *term)
{
	if (!term)
		return true;
	switch (term->kind) {
	case NODE_AND:
	case NODE_OR:
	case NODE_NOT:
		return is_cheap(query, term->left) && is_cheap(query, term->right);
	case NODE_RELATED:
		return true;
	case NODE_COMPARE:
		return !query->options.case_insensitive && term->match != MATCH_WILDCARD && term->property.field->kind != FIELD_UUID &&
		       term->property.field->kind != FIELD_STRINGS && term->property.field->kind != FIELD_LIST;
	default:
		return false;
	}
}

/* How the name of each match begins, as it is written (for is_cheap()); false: that is not said. */
static bool wanted_start(const struct term *term, struct name_start *ret_start)
{
	const struct field *field;

	if (!term)
		return false;
	if (term->kind == NODE_AND)
		return wanted_start(term->left, ret_start) || wanted_start(term->right, ret_start);
	field = term->property.field;
	if (term->kind != NODE_COMPARE || term->comparison != EQUAL || term->empty || field->kind != FIELD_STRING ||
	    field->offset != sizeof(struct record) + sizeof(char *))
		return false;
	*ret_start = (struct name_start){ term->value, term->value_length };
	return true;
}

GPtrArray *query_run_all(struct query *query, struct model *model, bool (*shown)(const void *object, void *data), void *data)
{
	GPtrArray *found;
	struct name_start start = { "", 0 };
	const char *group;

	work_out(query, query->condition, model);
	group = wanted_group(query, query->condition);
	if (group) {
		found = model_referring(model, query->kind, query->kind->group, group);
		keep(found, fits, query);
	} else if (is_cheap(query, query->condition)) {
		(void)wanted_start(query->condition, &start);
		found = model_select(model, query->kind, &start, fits, query, shown ? SIZE_MAX : to_find(query));
	} else {
		found = model_list(model, query->kind);
		keep(found, fits, query);
	}
	if (shown)
		keep(found, shown, data);
	sort_and_cut(query, model, found);
	return found;
}
