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
	case MATCH_WITHIN:
		return strstr(text, term->value) != NULL;
	default:
		return wildcard(term->value, text);
	}
}

char *text_fold(const char *text)
{
	size_t length = 0;
	unsigned char all = 0;

	if (!text)
		return NULL;
	for (; text[length]; length++)
		all |= (unsigned char)text[length];
	return all & 0x80 ? g_utf8_casefold(text, (gssize)length) : g_ascii_strdown(text, (gssize)length);
}

#define FOLDED_ROOM 256

/* The same into `room`, when it is ASCII and short; else allocated, and ret_own says so. */
static const char *fold_into(char room[FOLDED_ROOM], const char *text, char **ret_own)
{
	size_t i = 0;

	for (; text[i] && !(text[i] & 0x80) && i + 1 < FOLDED_ROOM; i++)
		room[i] = (char)ASCII_LOWER(text[i]);
	room[i] = '\0';
	*ret_own = text[i] ? text_fold(text) : NULL;
	return *ret_own ? *ret_own : room;
}

static bool text_matches(const struct term *term, const char *text, bool case_insensitive)
{
	char room[FOLDED_ROOM], *own;
	bool same;

	if (!text)
		text = "";
	if (term->empty)
		return !*text;
	if (!case_insensitive)
		return text_is(term, text);
	same = text_is(term, fold_into(room, text, &own));
	g_free(own);
	return same;
}

/* Free text: anywhere within. */
static bool text_contains(const struct term *term, const char *text, bool case_insensitive)
{
	char room[FOLDED_ROOM], *own = NULL;
	const char *where;
	bool found;

	if (!text)
		return false;
	where = case_insensitive ? fold_into(room, text, &own) : text;
	found = term->match == MATCH_WILDCARD ? wildcard(term->value, where) : strstr(where, term->value) != NULL;
	g_free(own);
	return found;
}

/* ---- members ---- */

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

bool number_of(const void *object, const struct field *field, double *ret_number)
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
			return text_matches(term, text, insensitive && field->kind != FIELD_UUID) != negative;
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
	for (guint i = 0; i < query->texts->len; i++) {
		const struct field *field = query->texts->pdata[i];

		if (field->kind == FIELD_STRING || field->kind == FIELD_ENUM) {
			const char *text = field->kind == FIELD_STRING ? MEMBER(object, field, char *)
						       : record_has(object, field->offset) ? enum_name(field->names, MEMBER(object, field, int)) : NULL;

			if (text_contains(term, text, query->options.case_insensitive))
				return true;
		} else {
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
	case NODE_RELATED: {
		const char *id = term->member ? MEMBER(object, term->member, struct ref).id : object_id(object);

		return term->ids && id && g_hash_table_contains(term->ids, id);
	}
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

static void add_if_named(GHashTable *ids, const struct query *query, const struct term *term, const void *object)
{
	const char *name = object_name(object), *id = object_id(object);
	bool case_insensitive = query->options.case_insensitive;

	if (((name && text_matches(term, name, case_insensitive)) || text_matches(term, id, case_insensitive)) && counts(query, object))
		g_hash_table_add(ids, g_strdup(id));
}

/* Ids of what a reference may mean: objects with that name or id. */
static GHashTable *named(const struct query *query, const struct term *term, struct model *model)
{
	const struct kind *kind = term->property.target;
	bool exact = term->match == MATCH_EXACT;
	g_autoptr(GPtrArray) objects = exact ? model_named(model, kind, term->value) : model_list(model, kind);
	void *object = exact ? model_get(model, kind, term->value) : NULL;
	GHashTable *ids = id_set();

	if (object)
		g_ptr_array_add(objects, object);
	for (guint i = 0; i < objects->len; i++)
		add_if_named(ids, query, term, objects->pdata[i]);
	return ids;
}

static bool is_id(const struct field *field)
{
	return field->offset == sizeof(struct record);
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
		term->member = term->property.field;
	} else if (term->kind == NODE_COMPARE && is_id(term->property.field) && term->comparison == EQUAL && term->match == MATCH_EXACT && !term->empty) {
		term->ids = id_set();
		g_hash_table_add(term->ids, g_strdup(term->value));
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
			const struct hop *hop = &term->hops[i];
			GHashTable *reached;

			/* who names one of them is seen when an object is looked at */
			if (hop->backward && i + 1 == term->n_hops) {
				term->member = hop->field;
				break;
			}
			reached = cross(model, hop, ids);
			g_hash_table_unref(ids);
			ids = reached;
		}
		term->ids = ids;
	}
}

/* ---- running ---- */

/* As many matches as have to be found: to be sorted, all of them. */
static size_t to_find(const struct query *query)
{
	return query->sort_set ? SIZE_MAX : order_enough(query);
}

/* skipped: so many that stand before the page are not in `found`. */
static void sort_and_cut(const struct query *query, struct model *model, GPtrArray *found, size_t skipped)
{
	size_t page = order_page_size(query), wanted = order_enough(query) - skipped;

	if (query->sort_set)
		order_sort(query, model, found, wanted);
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
	sort_and_cut(query, model, found, /* skipped= */ 0);
	return found;
}

/* Removes those that are not good; of the others the first ones are enough. */
static void keep(GPtrArray *objects, bool (*good)(const void *object, void *data), void *data, size_t wanted)
{
	guint kept = 0;

	for (guint i = 0; i < objects->len; i++) {
		void *object = g_steal_pointer(&objects->pdata[i]);

		if (kept < wanted && good(object, data))
			objects->pdata[kept++] = object;
		else
			record_unref(object);
	}
	g_ptr_array_set_size(objects, (gint)kept);
}

/* The one id that the condition wants the kind's group (engine/model/model.h) to be; NULL: none. */
static const char *wanted_group(const struct query *query, const struct term *term)
{
	GHashTableIter iter;
	gpointer id = NULL;

	if (term && term->kind == NODE_AND) {
		const char *left = wanted_group(query, term->left);

		return left ? left : wanted_group(query, term->right);
	}
	if (!term || !(term->kind == NODE_RELATED || (term->kind == NODE_COMPARE && term->comparison == EQUAL)) || !term->member ||
	    term->member->offset != query->kind->group || !term->ids || g_hash_table_size(term->ids) != 1)
		return NULL;
	g_hash_table_iter_init(&iter, term->ids);
	(void)g_hash_table_iter_next(&iter, &id, NULL);
	return id;
}

/* The ids of which the condition wants the object's own to be one; NULL: it is not said. */
static GHashTable *wanted_ids(const struct term *term)
{
	if (term && term->kind == NODE_AND) {
		GHashTable *left = wanted_ids(term->left);

		return left ? left : wanted_ids(term->right);
	}
	return term && !term->member && (term->kind == NODE_RELATED || term->kind == NODE_COMPARE) ? term->ids : NULL;
}

/* Free text of which pairs of letters tell: no name of an enumeration's value has it. */
static bool is_in_texts(const struct query *query, const struct term *term)
{
	for (guint i = 0; i < query->texts->len; i++) {
		const struct field *field = query->texts->pdata[i];

		if (field->kind != FIELD_STRING && field->kind != FIELD_ENUM)
			return false;
		for (int j = 0; field->kind == FIELD_ENUM && field->names[j]; j++)
			if (text_contains(term, field->names[j], query->options.case_insensitive))
				return false;
	}
	return true;
}

/* The pairs of letters that the texts of each match have. */
static void wanted_sign(const struct query *query, const struct term *term, struct text_sign *sign)
{
	const struct field *field = term ? term->property.field : NULL;

	if (term && term->kind == NODE_AND) {
		wanted_sign(query, term->left, sign);
		wanted_sign(query, term->right, sign);
	} else if (term && !term->empty &&
		   (term->kind == NODE_TEXT ? is_in_texts(query, term) : term->kind == NODE_COMPARE && term->comparison == EQUAL &&
		    field->kind == FIELD_STRING && field->flags & SEARCH)) {
		text_sign_want(sign, term->value);
	}
}

#define SHORT_TEXT 255
#define IDS_FEW 8                       /* a table of so many times as many objects is not gone through for them */

static bool compares_cheaply(const struct term *term, const struct field *field)
{
	return (term->match != MATCH_WILDCARD || field->kind == FIELD_UUID || field->kind == FIELD_ENUM || (field->max > 0 && field->max <= SHORT_TEXT)) &&
	       field->kind != FIELD_STRINGS && field->kind != FIELD_LIST;
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
		return compares_cheaply(term, term->property.field);
	case NODE_TEXT:
		for (guint i = 0; i < query->texts->len; i++)
			if (!compares_cheaply(term, query->texts->pdata[i]))
				return false;
		return true;
	}
	return false;
}

bool field_is_name(const struct field *field)
{
	return field->kind == FIELD_STRING && field->offset == sizeof(struct record) + sizeof(char *);
}

/* How the name of each match begins; false: that is not said. */
static bool wanted_start(const struct query *query, const struct term *term, struct name_start *ret_start)
{
	bool fold = query->options.case_insensitive;

	if (!term)
		return false;
	if (term->kind == NODE_AND)
		return wanted_start(query, term->left, ret_start) || wanted_start(query, term->right, ret_start);
	if (term->kind != NODE_COMPARE || term->comparison != EQUAL || term->empty || term->match == MATCH_WITHIN || term->match == MATCH_WILDCARD ||
	    !field_is_name(term->property.field) || (fold && !g_str_is_ascii(term->value)))
		return false;
	*ret_start = (struct name_start){ term->value, term->value_length, fold };
	return true;
}

struct limited { struct query *query; const struct query_limit *limit; };

static bool fits_limited(const void *object, void *data)
{
	const struct limited *limited = data;

	return fits(object, limited->query) && limited->limit->shown(object, limited->limit->data);
}

GPtrArray *query_run_all(struct query *query, struct model *model, const struct query_limit *limit)
{
	struct limited limited = { query, limit };
	bool early = limit && limit->by_record, late = limit && !early, cheap;
	bool (*fit)(const void *, void *) = early ? fits_limited : fits;
	struct model_filter filter = { .data = early ? (void *)&limited : query };
	size_t wanted = late ? SIZE_MAX : to_find(query), skipped = 0;
	GPtrArray *found;
	struct sorted_page page;
	const char *group;
	GHashTable *ids;

	work_out(query, query->condition, model);
	group = wanted_group(query, query->condition);
	ids = wanted_ids(query->condition);
	if (limit && limit->among && (!ids || g_hash_table_size(limit->among) < g_hash_table_size(ids)))
		ids = limit->among;
	if (group || (ids && g_hash_table_size(ids) < model_count(model, query->kind) / IDS_FEW + 2)) {
		found = group ? model_referring(model, query->kind, query->kind->group, group) : model_pick(model, query->kind, ids);
		keep(found, fit, filter.data, wanted);
	} else {
		(void)wanted_start(query, query->condition, &filter.start);
		wanted_sign(query, query->condition, &filter.sign);
		cheap = is_cheap(query, query->condition);
		filter.fits = cheap && (query->condition || early) ? fit : NULL;
		found = cheap && !late && rank_page(query, model, &page) ? model_select_page(model, query->kind, &filter, &page, &skipped)
								    : model_select(model, query->kind, &filter, cheap ? wanted : SIZE_MAX);
		if (!cheap)
			keep(found, fit, filter.data, wanted);
	}
	if (late)
		keep(found, limit->shown, limit->data, to_find(query));
	sort_and_cut(query, model, found, skipped);
	return found;
}
