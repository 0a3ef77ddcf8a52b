/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: life, members, comparing and merging. See record.h.
 *
 * A record is written by its maker until it is published; then it is shared and only its reference count moves (atomically).
 */
#include "common/error.h"
#include "common/record-priv.h"
#include "common/ref_id.h"
#include <string.h>

/* ---- life ---- */

void *record_new(const struct record_type *type)
{
	struct record *record = g_malloc0(type->size);

	record->type = type;
	record->refs = 1;
	return record;
}

void *record_ref(const void *record)
{
	struct record *r = (struct record *)record;

	if (r)
		g_atomic_int_inc(&r->refs);
	return r;
}

static void ref_clear(struct ref *ref)
{
	g_clear_pointer(&ref->id, ref_id_unref);
	g_clear_pointer(&ref->name, g_free);
}

static void member_free(void *record, const struct field *field)
{
	void **at = member_at(record, field);

	switch (field->kind) {
	case FIELD_STRING:
	case FIELD_UUID:
		g_clear_pointer(at, g_free);
		break;
	case FIELD_STRINGS:
	case FIELD_LIST:
		g_clear_pointer((GPtrArray **)at, g_ptr_array_unref);
		break;
	case FIELD_RECORD:
		g_clear_pointer(at, record_unref);
		break;
	case FIELD_JSON:
		g_clear_pointer((json_t **)at, json_decref);
		break;
	case FIELD_REF:
		ref_clear((struct ref *)at);
		break;
	default:
		break;
	}
}

static size_t shadow_offset(const struct record_type *type)
{
	return (type->size + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
}

/* Where a shadow keeps its record. */
static void **shadowed(struct record *shadow)
{
	return (void **)((char *)shadow + shadow_offset(shadow->type));
}

void record_unref(void *record)
{
	struct record *r = record;
	const struct plan *plan;

	if (!r || !g_atomic_int_dec_and_test(&r->refs))
		return;
	plan = record_plan(r->type);
	for (unsigned i = 0; i < plan->n_members; i++)
		if (!r->shadow || plan->members[i].field->flags & VOLATILE_)
			member_free(r, plan->members[i].field);
	if (r->shadow)
		record_unref(*shadowed(r));
	g_free(r);
}

static GPtrArray *list_copy(const GPtrArray *list, bool records)
{
	GPtrArray *copy;

	if (!list)
		return NULL;
	copy = g_ptr_array_new_full(list->len, records ? record_unref : g_free);
	for (unsigned i = 0; i < list->len; i++)
		g_ptr_array_add(copy, records ? record_copy(list->pdata[i]) : g_strdup(list->pdata[i]));
	return copy;
}

/* Replaces the member of `to` by a copy of that of `from`; present bits are not touched. */
static void member_copy(void *to, const void *from, const struct field *field)
{
	void *target = member_at(to, field);
	const void *source = member_at(from, field);

	switch (field->kind) {
	case FIELD_STRING:
	case FIELD_UUID:
		*(char **)target = g_strdup(*(char *const *)source);
		break;
	case FIELD_STRINGS:
	case FIELD_LIST:
		*(GPtrArray **)target = list_copy(*(GPtrArray *const *)source, field->kind == FIELD_LIST);
		break;
	case FIELD_RECORD:
		*(void **)target = record_copy(*(void *const *)source);
		break;
	case FIELD_JSON:
		*(json_t **)target = json_deep_copy(*(json_t *const *)source);
		break;
	case FIELD_REF:
		((struct ref *)target)->id = ref_id_ref(((const struct ref *)source)->id);
		((struct ref *)target)->name = g_strdup(((const struct ref *)source)->name);
		break;
	case FIELD_BOOL:
		*(bool *)target = *(const bool *)source;
		break;
	case FIELD_INT:
	case FIELD_ENUM:
		*(int *)target = *(const int *)source;
		break;
	case FIELD_LONG:
	case FIELD_TIME:
		*(int64_t *)target = *(const int64_t *)source;
		break;
	case FIELD_DECIMAL:
		*(double *)target = *(const double *)source;
		break;
	case FIELD_KIND_MAX:
		break;
	}
}

/* Scalars, bits, and whatever private members the struct has beside the table; not the count, which other threads change. */
static struct record *twin(const struct record *from, size_t size)
{
	struct record *to = g_malloc(size);

	memcpy((char *)to + offsetof(struct record, present), (const char *)from + offsetof(struct record, present),
	       from->type->size - offsetof(struct record, present));
	to->type = from->type;
	to->refs = 1;
	to->shadow = false;
	return to;
}

void *record_copy(const void *record)
{
	const struct record *from = record;
	const struct plan *plan;
	struct record *copy;

	if (!from)
		return NULL;
	plan = record_plan(from->type);
	copy = twin(from, from->type->size);
	for (unsigned i = 0; i < plan->n_members; i++)
		member_copy(copy, from, plan->members[i].field);
	return copy;
}

void *record_shadow(const void *record)
{
	const struct record *from = record;
	const struct plan *plan = record_plan(from->type);
	struct record *shadow = twin(from, shadow_offset(from->type) + sizeof(void *));

	shadow->shadow = true;
	*shadowed(shadow) = record_ref(from);
	for (unsigned i = 0; i < plan->n_members; i++)
		if (plan->members[i].field->flags & VOLATILE_)
			member_copy(shadow, from, plan->members[i].field);
	return shadow;
}

/* Items that are resources of their own bring their own defaults and requirements; parameter records share those of what holds them. */
static bool belongs_to_holder(const struct record_type *type)
{
	return !type->plural;
}

void record_defaults(void *record, uint32_t flags)
{
	const struct plan *plan = record_plan(((struct record *)record)->type);

	for (unsigned i = 0; i < plan->n_members; i++) {
		const struct field *field = plan->members[i].field;
		bool present = member_present(record, field, plan->members[i].index);

		if (!present && field->def && (!flags || field->flags & flags)) {
			g_autoptr(GError) error = NULL;

			if (!record_set_text(record, field, field->def, &error))
				g_error("record type %s: default of '%s': %s", plan->type->name, field->path, error->message);
		} else if (present && field->kind == FIELD_RECORD && belongs_to_holder(field->item)) {
			record_defaults(*(void **)member_at(record, field), flags);
		} else if (present && field->kind == FIELD_LIST && belongs_to_holder(field->item)) {
			const GPtrArray *list = *(GPtrArray **)member_at(record, field);

			for (unsigned j = 0; j < list->len; j++)
				record_defaults(list->pdata[j], flags);
		}
	}
}

/* ---- members ---- */

static unsigned index_at(const struct plan *plan, size_t offset)
{
	unsigned index = offset < plan->type->size ? plan->index_at[offset] : PLAN_NO_MEMBER;

	if (index == PLAN_NO_MEMBER)
		g_error("record type %s has no member at offset %zu", plan->type->name, offset);
	return index;
}

const struct field *record_field_at(const struct record_type *type, size_t offset)
{
	const struct plan *plan = record_plan(type);
	unsigned index = offset < type->size ? plan->index_at[offset] : PLAN_NO_MEMBER;

	return index == PLAN_NO_MEMBER ? NULL : &type->fields[index];
}

const struct field *record_field(const struct record_type *type, const char *path)
{
	return plan_field(record_plan(type), path, strlen(path));
}

bool record_has(const void *record, size_t offset)
{
	const struct plan *plan = record_plan(((const struct record *)record)->type);
	unsigned index = index_at(plan, offset);

	return member_present(record, &plan->type->fields[index], index);
}

void record_mark(void *record, size_t offset, bool present)
{
	struct record *r = record;
	unsigned index = index_at(record_plan(r->type), offset);

	if (present)
		present_set(r, index);
	else
		r->present[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

void record_clear(void *record, size_t offset)
{
	const struct plan *plan = record_plan(((struct record *)record)->type);

	member_free(record, &plan->type->fields[index_at(plan, offset)]);
	record_mark(record, offset, false);
}

void set_string(char **member, const char *value)
{
	char *copy = g_strdup(value);          /* first: value may lie within *member */

	g_free(*member);
	*member = copy;
}

void set_ref(struct ref *member, const char *id)
{
	const char *copy = ref_id_new(id);          /* before: it may be that of the member */

	ref_clear(member);
	member->id = copy;
}

GPtrArray *list_new(void)
{
	return g_ptr_array_new_with_free_func(record_unref);
}

GPtrArray *strings_new(void)
{
	return g_ptr_array_new_with_free_func(g_free);
}

void *list_add(GPtrArray **list, const struct record_type *type)
{
	void *record = record_new(type);

	if (!*list)
		*list = list_new();
	g_ptr_array_add(*list, record);
	return record;
}

const char *enum_name(const char *const *names, int value)
{
	if (value < 0)
		return NULL;
	for (int i = 0; names[i]; i++)
		if (i == value)
			return names[i];
	return NULL;
}

int enum_value(const char *const *names, const char *name)
{
	for (int i = 0; name && names[i]; i++)
		if (!g_ascii_strcasecmp(names[i], name))
			return i;
	return -1;
}

/* ---- comparing ---- */

/*
 * EQUAL: the same. COVERED: what b has, a has too; what b leaves out does not count, and a reference by name is the same as one by id when
 * the names are. COVERED asks whether a client that sends b wants to change a.
 */
enum comparison { EQUAL, COVERED };

static bool records_compare(const void *a, const void *b, enum comparison how);

static bool refs_compare(const struct ref *a, const struct ref *b, enum comparison how)
{
	if (how == EQUAL)
		return !g_strcmp0(a->id, b->id) && !g_strcmp0(a->name, b->name);
	if (b->id)
		return a->id && !g_ascii_strcasecmp(a->id, b->id);
	return a->name && b->name && !g_ascii_strcasecmp(a->name, b->name);
}

static bool lists_compare(const GPtrArray *a, const GPtrArray *b, bool records, enum comparison how)
{
	if (a->len != b->len)
		return false;
	for (unsigned i = 0; i < a->len; i++)
		if (records ? !records_compare(a->pdata[i], b->pdata[i], how) : g_strcmp0(a->pdata[i], b->pdata[i]))
			return false;
	return true;
}

static bool member_compare(const void *a, const void *b, const struct field *field, unsigned index, enum comparison how)
{
	const void *left = member_at(a, field), *right = member_at(b, field);
	bool has_left = member_present(a, field, index), has_right = member_present(b, field, index);

	if (!has_right && how == COVERED)
		return true;
	if (has_left != has_right) {
		/* an element sent back empty is no change of an absent one */
		if (how == EQUAL || !has_right)
			return false;
		if (field->kind == FIELD_STRING)
			return !**(char *const *)right;
		return (field->kind == FIELD_STRINGS || field->kind == FIELD_LIST) && !(*(GPtrArray *const *)right)->len;
	}
	if (!has_left)
		return true;
	switch (field->kind) {
	case FIELD_STRING:
	case FIELD_UUID:
		return !strcmp(*(char *const *)left, *(char *const *)right);
	case FIELD_BOOL:
		return *(const bool *)left == *(const bool *)right;
	case FIELD_INT:
	case FIELD_ENUM:
		return *(const int *)left == *(const int *)right;
	case FIELD_LONG:
	case FIELD_TIME:
		return *(const int64_t *)left == *(const int64_t *)right;
	case FIELD_DECIMAL: {
		char texts[2][FIELD_TEXT_SIZE];

		if (*(const double *)left == *(const double *)right)
			return true;
		if (how == EQUAL)
			return false;
		(void)decimal_format(*(const double *)left, 15, false, texts[0]);      /* the client has seen 15 digits */
		(void)decimal_format(*(const double *)right, 15, false, texts[1]);
		return !strcmp(texts[0], texts[1]);
	}
	case FIELD_REF:
		return refs_compare(left, right, how);
	case FIELD_STRINGS:
	case FIELD_LIST:
		return lists_compare(*(GPtrArray *const *)left, *(GPtrArray *const *)right, field->kind == FIELD_LIST, how);
	case FIELD_RECORD:
		return records_compare(*(void *const *)left, *(void *const *)right, how);
	case FIELD_JSON:
		return json_equal(*(json_t *const *)left, *(json_t *const *)right);
	case FIELD_KIND_MAX:
		break;
	}
	return true;
}

static bool records_compare(const void *a, const void *b, enum comparison how)
{
	const struct record_type *type = ((const struct record *)a)->type;
	const struct plan *plan = record_plan(type);

	if (a == b)
		return true;
	if (((const struct record *)b)->type != type)
		return false;
	for (unsigned i = 0; i < plan->n_members; i++)
		if (!member_compare(a, b, plan->members[i].field, plan->members[i].index, how))
			return false;
	return true;
}

bool record_equal(const void *a, const void *b)
{
	if (!a || !b)
		return a == b;
	return records_compare(a, b, EQUAL);
}

bool record_member_equal(const void *a, const void *b, const struct field *field)
{
	const struct plan *plan = record_plan(((const struct record *)a)->type);

	return member_compare(a, b, field, plan->index_at[field->offset], EQUAL);
}

/* ---- merging ---- */

static void member_replace(void *record, const void *from, const struct field *field, unsigned index)
{
	member_free(record, field);
	member_copy(record, from, field);
	if (present_bit(from, index))
		present_set(record, index);
}

static bool same_id(const void *a, const void *b, const struct field *id)
{
	const char *left = *(char *const *)member_at(a, id), *right = *(char *const *)member_at(b, id);

	return left && right && !g_ascii_strcasecmp(left, right);
}

static bool settable(const struct field *field)
{
	return field->flags & (CREATE | UPDATE) && !(field->flags & INTERNAL);
}

/* Does wanted ask for no change of known? */
static bool same_item(const void *known, const void *wanted, const struct plan *plan)
{
	for (unsigned i = 0; i < plan->n_members; i++)
		if (settable(plan->members[i].field) && !member_compare(known, wanted, plan->members[i].field, plan->members[i].index, COVERED))
			return false;
	return true;
}

/* The item of `list` that `wanted` stands for: the one with the same id, or where there are no ids the one that looks the same. */
static const void *find_item(const GPtrArray *list, const void *wanted, const struct field *id, const struct plan *plan)
{
	for (unsigned i = 0; list && i < list->len; i++)
		if (id ? same_id(list->pdata[i], wanted, id) : same_item(list->pdata[i], wanted, plan))
			return list->pdata[i];
	return NULL;
}

/* An item as the client wants it: what it may not set is kept from the item it had before, or left out. */
static void *merge_item(const void *known, const void *wanted, const struct field *id, const struct plan *plan)
{
	void *item = record_new(plan->type);

	for (unsigned i = 0; i < plan->n_members; i++) {
		const struct field *field = plan->members[i].field;

		if (settable(field) || field == id)
			member_replace(item, wanted, field, plan->members[i].index);
		else if (known)
			member_replace(item, known, field, plan->members[i].index);
	}
	return item;
}

static GPtrArray *merge_list(const GPtrArray *old, const GPtrArray *change, const struct plan *plan)
{
	const struct field *id = plan_field(plan, "@id", 3);
	GPtrArray *merged = g_ptr_array_new_full(change->len, record_unref);

	if (id && id->kind != FIELD_STRING && id->kind != FIELD_UUID)
		id = NULL;
	for (unsigned i = 0; i < change->len; i++)
		g_ptr_array_add(merged, merge_item(find_item(old, change->pdata[i], id, plan), change->pdata[i], id, plan));
	return merged;
}

static bool merge(void *record, const void *change, const char *prefix, GError **error)
{
	const struct plan *plan = record_plan(((struct record *)record)->type);

	for (unsigned i = 0; i < plan->n_members; i++) {
		const struct field *field = plan->members[i].field;
		unsigned index = plan->members[i].index;
		void **at = member_at(record, field), *const *wanted = member_at(change, field);

		if (field->flags & INTERNAL || !member_present(change, field, index))
			continue;
		if (field->flags & UPDATE && field->kind == FIELD_RECORD) {
			g_autofree char *below = g_strconcat(prefix, field->path, "/", NULL);

			if (!*at)
				*at = merge_item(/* known= */ NULL, *wanted, /* id= */ NULL, record_plan(field->item));
			else if (!merge(*at, *wanted, below, error))
				return false;
		} else if (field->flags & UPDATE && field->kind == FIELD_LIST) {
			GPtrArray *merged = merge_list(*(GPtrArray **)at, *(GPtrArray *const *)wanted, record_plan(field->item));

			member_free(record, field);
			*(GPtrArray **)at = merged;
		} else if (field->flags & UPDATE) {
			member_replace(record, change, field, index);
		} else if ((field->flags & CREATE || !strcmp(field->path, "@id")) && !member_compare(record, change, field, index, COVERED)) {
			error_set(error, ERR_IMMUTABLE, "Attempt to set immutable field: %s%s", prefix, field->path + (*field->path == '@'));
			return false;
		}
	}
	return true;
}

bool record_merge(void *record, const void *change, GError **error)
{
	g_return_val_if_fail(((struct record *)record)->type == ((const struct record *)change)->type, false);
	return merge(record, change, "", error);
}

void record_overlay(void *record, const void *change)
{
	const struct plan *plan = record_plan(((struct record *)record)->type);

	for (unsigned i = 0; i < plan->n_members; i++)
		if (member_present(change, plan->members[i].field, plan->members[i].index))
			member_replace(record, change, plan->members[i].field, plan->members[i].index);
}

/* ---- completeness ---- */

/* "memory_policy/guaranteed" -> "memoryPolicy.guaranteed"; "data_center" -> "DataCenter" */
static void append_camel(GString *out, const char *path, bool upper)
{
	if (*path == '@')
		path++;
	for (; *path; path++) {
		if (*path == '/' || *path == '@') {
			g_string_append_c(out, '.');
			upper = false;
		} else if (*path == '_') {
			upper = true;
		} else {
			g_string_append_c(out, upper ? g_ascii_toupper(*path) : *path);
			upper = false;
		}
	}
}

static bool is_missing(const void *record, const struct member *member)
{
	const void *at = member_at(record, member->field);

	if (!member_present(record, member->field, member->index))
		return true;
	switch (member->field->kind) {
	case FIELD_STRING:
	case FIELD_UUID:
		return !**(char *const *)at;
	case FIELD_STRINGS:
	case FIELD_LIST:
		return !(*(GPtrArray *const *)at)->len;
	default:
		return false;
	}
}

static void add_missing(GPtrArray *missing, const char *prefix, const struct field *field)
{
	GString *name = g_string_new(prefix);

	append_camel(name, field->path, /* upper= */ false);
	if (field->kind == FIELD_REF)
		g_string_append(name, ".id|name");
	if (g_ptr_array_find_with_equal_func(missing, name->str, g_str_equal, NULL))
		g_string_free(name, TRUE);
	else
		g_ptr_array_add(missing, g_string_free(name, FALSE));
}

static void find_missing(const void *record, const char *prefix, GPtrArray *missing)
{
	const struct plan *plan = record_plan(((const struct record *)record)->type);

	for (unsigned i = 0; i < plan->n_members; i++) {
		const struct member *member = &plan->members[i];
		const struct field *field = member->field;
		void *const *at = member_at(record, field);

		if (field->flags & REQUIRED && is_missing(record, member)) {
			add_missing(missing, prefix, field);
		} else if ((field->kind == FIELD_RECORD || field->kind == FIELD_LIST) && *at && belongs_to_holder(field->item)) {
			GString *below = g_string_new(prefix);

			append_camel(below, field->path, /* upper= */ false);
			g_string_append_c(below, '.');
			if (field->kind == FIELD_RECORD)
				find_missing(*at, below->str, missing);
			else
				for (unsigned j = 0; j < (*(GPtrArray *const *)at)->len; j++)
					find_missing((*(GPtrArray *const *)at)->pdata[j], below->str, missing);
			g_string_free(below, TRUE);
		}
	}
}

bool record_check_required(const void *record, const char *operation, const GPtrArray *more, GError **error)
{
	g_autoptr(GPtrArray) missing = strings_new();
	g_autofree char *names = NULL;
	GString *type;

	find_missing(record, "", missing);
	for (guint i = 0; more && i < more->len; i++)
		g_ptr_array_add(missing, g_strdup(more->pdata[i]));
	if (!missing->len)
		return true;
	g_ptr_array_add(missing, NULL);
	names = g_strjoinv(", ", (char **)missing->pdata);
	type = g_string_new(NULL);
	append_camel(type, ((const struct record *)record)->type->name, /* upper= */ true);
	error_set(error, ERR_INCOMPLETE, "%s [%s] required for %s", type->str, names, operation);
	g_string_free(type, TRUE);
	return false;
}
