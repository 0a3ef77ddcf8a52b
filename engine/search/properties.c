/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be searched: the SEARCH members of the record tables, and how kinds hang together through their references.
 *
 * A property's name is the row's `search`, or the last step of its path, or the step before "/state" ("status/state" is "status"). Case, '_' and '-' do
 * not count, in names as in enumeration values ("nonoperational" is non_operational, "datacenter" is data_center).
 */
#include <stdlib.h>
#include <string.h>
#include "common/loop.h"
#include "engine/search/search-priv.h"

bool same_word(const char *a, const char *b)
{
	for (;;) {
		while (*a == '_' || *a == '-')
			a++;
		while (*b == '_' || *b == '-')
			b++;
		if (g_ascii_tolower(*a) != g_ascii_tolower(*b))
			return false;
		if (!*a)
			return true;
		a++;
		b++;
	}
}

static bool has_name(const struct field *field, const char *name)
{
	if (field->search)
		return same_word(field->search, name);
	const char *last = field->path;
	for (const char *p = field->path; *p; p++)
		if (*p == '/' || *p == '@')
			last = p + 1;
	if (strcmp(last, "state") == 0 && last > field->path && last[-1] == '/') {
		char *before = g_strndup(field->path, (size_t)(last - field->path - 1));
		const char *slash = strrchr(before, '/');
		bool same = same_word(slash ? slash + 1 : before, name);
		g_free(before);
		if (same)
			return true;
	}
	return same_word(last, name);
}

const struct kind *related_kind(const char *name)
{
	for (size_t i = 0; kinds[i]; i++)
		if (same_word(kinds[i]->collection, name) || same_word(kinds[i]->type->name, name))
			return kinds[i];
	/* the query language's own words */
	static const struct { const char *word, *collection; } words[] = {
		{ "storage", "storagedomains" }, { "storages", "storagedomains" }, { "vnic", "nics" }, { "audit", "events" },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (same_word(words[i].word, name))
			return kind_by_collection(words[i].collection);
	return NULL;
}

bool property_find(const struct kind *kind, const char *name, struct property *ret_property)
{
	const struct field *found = NULL;
	for (size_t i = 0; i < kind->type->n_fields; i++) {
		const struct field *field = &kind->type->fields[i];
		if (field->flags & (ALIAS | INTERNAL | SECRET) || field->kind == FIELD_JSON || field->kind == FIELD_RECORD)
			continue;
		if (!(field->flags & SEARCH) && strcmp(field->path, "@id") != 0 && field->kind != FIELD_REF)
			continue;
		if (!has_name(field, name))
			continue;
		/* a name given in the table counts more than one made from the path, a short path more than a long one */
		if (!found || (field->search && !found->search) || (!found->search && strlen(field->path) < strlen(found->path)))
			found = field;
	}
	if (!found)
		return false;
	ret_property->field = found;
	ret_property->target = found->kind == FIELD_REF ? kind_by_collection(found->target) : NULL;
	return true;
}

GPtrArray *text_fields(const struct record_type *type)
{
	GPtrArray *fields = g_ptr_array_new();

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];

		if (field->flags & SEARCH && !(field->flags & (ALIAS | INTERNAL | SECRET)) &&
		    (field->kind == FIELD_STRING || field->kind == FIELD_STRINGS || field->kind == FIELD_LIST || field->kind == FIELD_ENUM))
			g_ptr_array_add(fields, (void *)field);
	}
	return fields;
}

/* The reference of `kind` to `target`: the one named as the target's element first ("host" before "placement_policy/host"). */
static const struct field *reference(const struct kind *kind, const struct kind *target)
{
	const struct field *found = NULL;
	for (size_t i = 0; i < kind->type->n_fields; i++) {
		const struct field *field = &kind->type->fields[i];
		if (field->kind != FIELD_REF || field->flags & (ALIAS | INPUT_ONLY | VOLATILE_) || !field->target || strcmp(field->target, target->collection) != 0)
			continue;
		if (!found || strlen(field->path) < strlen(found->path))
			found = field;
	}
	return found;
}

static bool direct(const struct kind *from, const struct kind *to, struct hop *hop)
{
	const struct field *field = reference(to, from);
	if (field) {
		*hop = (struct hop){ .from = from, .field = field, .to = to, .backward = true };
		return true;
	}
	field = reference(from, to);
	if (field) {
		*hop = (struct hop){ .from = from, .field = field, .to = to, .backward = false };
		return true;
	}
	return false;
}

bool related_path(const struct kind *kind, const struct kind *other, struct hop *hops, unsigned *ret_n)
{
	/* From the other kind's matches to this kind's: at once, or over one kind between, where both steps go the same way (vm -> cluster -> data center)
	 * or the one between refers to both (permissions). */
	*ret_n = 0;
	if (direct(other, kind, &hops[0])) {
		*ret_n = 1;
		return true;
	}
	for (unsigned turn = 0; turn < 2; turn++) {
		for (size_t i = 0; kinds[i]; i++) {
			const struct kind *between = kinds[i];
			/* events mention everything; that is no association */
			if (between == kind || between == other || between->sequence || between->transient)
				continue;
			const struct field *here = reference(kind, between), *there = reference(between, other);
			if (turn == 0 && here && there) {
				hops[0] = (struct hop){ .from = other, .field = there, .to = between, .backward = true };
				hops[1] = (struct hop){ .from = between, .field = here, .to = kind, .backward = true };
				*ret_n = 2;
				return true;
			}
			here = reference(between, kind);
			const struct field *far = reference(other, between);
			if (turn == 0 && here && far) {
				hops[0] = (struct hop){ .from = other, .field = far, .to = between, .backward = false };
				hops[1] = (struct hop){ .from = between, .field = here, .to = kind, .backward = false };
				*ret_n = 2;
				return true;
			}
			if (turn == 1 && here && there) {
				hops[0] = (struct hop){ .from = other, .field = there, .to = between, .backward = true };
				hops[1] = (struct hop){ .from = between, .field = here, .to = kind, .backward = false };
				*ret_n = 2;
				return true;
			}
		}
	}
	return false;
}

/* ---- values ---- */

static bool read_digits(const char **p, unsigned count, int *ret_value)
{
	int value = 0;
	for (unsigned i = 0; i < count; i++) {
		if (!g_ascii_isdigit((*p)[i]))
			return false;
		value = value * 10 + ((*p)[i] - '0');
	}
	*p += count;
	*ret_value = value;
	return true;
}

static bool skip(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* "2014-12-03", "2014-12-03T14:25", "2014-12-03 14:25:45.588+10:00" */
static bool parse_date(const char *p, int64_t *ret_from, int64_t *ret_until)
{
	int year, month, day, hour = 0, minute = 0, second = 0, milli = 0, offset = 0;
	int64_t span = 86400000;
	if (!read_digits(&p, 4, &year) || !skip(&p, '-') || !read_digits(&p, 2, &month) || !skip(&p, '-') || !read_digits(&p, 2, &day))
		return false;
	if (skip(&p, 'T') || skip(&p, ' ')) {
		if (!read_digits(&p, 2, &hour) || !skip(&p, ':') || !read_digits(&p, 2, &minute))
			return false;
		span = 60000;
		if (skip(&p, ':')) {
			if (!read_digits(&p, 2, &second))
				return false;
			span = 1000;
			if (skip(&p, '.')) {
				if (!read_digits(&p, 3, &milli))
					return false;
				span = 1;
			}
		}
		if (!skip(&p, 'Z') && (*p == '+' || *p == '-')) {
			int hours, minutes, sign = *p == '-' ? -1 : 1;
			p++;
			if (!read_digits(&p, 2, &hours))
				return false;
			(void)skip(&p, ':');
			if (!read_digits(&p, 2, &minutes))
				return false;
			offset = sign * (hours * 60 + minutes);
		}
	}
	if (*p)
		return false;
	GDateTime *time = g_date_time_new_utc(year, month, day, hour, minute, second);
	if (!time)
		return false;
	*ret_from = g_date_time_to_unix(time) * 1000 + milli - offset * 60000L;
	*ret_until = *ret_from + span;
	g_date_time_unref(time);
	return true;
}

bool parse_time(const char *text, int64_t now_msec, int64_t *ret_from, int64_t *ret_until)
{
	static const char *const weekdays[] = { "thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday" };   /* of day 0, 1970-01-01 */
	const int64_t day = 86400000;
	int64_t today = now_msec - now_msec % day;
	char *end;

	if (parse_date(text, ret_from, ret_until))
		return true;
	int64_t from = -1;
	if (g_ascii_strcasecmp(text, "today") == 0)
		from = today;
	else if (g_ascii_strcasecmp(text, "yesterday") == 0)
		from = today - day;
	for (int64_t back = 0; from < 0 && back < 7; back++)
		if (g_ascii_strcasecmp(text, weekdays[(today / day - back) % 7]) == 0)
			from = today - back * day;
	if (from >= 0) {
		*ret_from = from;
		*ret_until = from + day;
		return true;
	}
	if (g_ascii_strcasecmp(text, "now") == 0) {
		*ret_from = now_msec;
		*ret_until = now_msec + 1;
		return true;
	}
	gint64 number = g_ascii_strtoll(text, &end, 10);
	if (end == text)
		return false;
	if (*end == '\0') {
		if (number < 100000 && number > -100000)
			return false;           /* not ms since the epoch; a bare "7" says nothing */
		*ret_from = number;
		*ret_until = number + 1;
		return true;
	}
	while (*end == ' ')
		end++;
	/* that long ago: "7 days", "-3d", "12h" */
	if (number < 0)
		number = -number;
	if (number < 0 || number > 1000000)
		return false;
	static const struct { const char *word; int64_t msec; bool whole_day; } units[] = {
		{ "d", 86400000, true }, { "day", 86400000, true }, { "days", 86400000, true }, { "w", 7 * 86400000L, true }, { "week", 7 * 86400000L, true },
		{ "weeks", 7 * 86400000L, true }, { "h", 3600000, false }, { "hour", 3600000, false }, { "hours", 3600000, false },
		{ "m", 60000, false }, { "minute", 60000, false }, { "minutes", 60000, false },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
		if (g_ascii_strcasecmp(end, units[i].word) == 0) {
			*ret_from = (units[i].whole_day ? today : now_msec) - number * units[i].msec;
			*ret_until = *ret_from + (units[i].whole_day ? day : 1);
			return true;
		}
	return false;
}

static bool prepare_enum(struct term *term, char **ret_problem)
{
	const struct field *field = term->property.field;
	const char *value = term->value;
	for (int i = 0; i < 64 && field->names[i]; i++) {
		const char *name = field->names[i];
		/* the query language knows migratingfrom and migratingto where the API may know only migrating */
		bool same = same_word(name, value) ||
			    (strcmp(name, "migrating") == 0 && (same_word("migratingfrom", value) || same_word("migratingto", value))) ||
			    (g_str_has_prefix(name, "migrating_") && same_word("migrating", value)) ||
			    (strchr(value, '*') && search_wildcard(value, name, true));
		if (same) {
			term->enums |= UINT64_C(1) << i;
			term->rank = i;
		}
	}
	if (!term->enums && !strchr(value, '*')) {
		*ret_problem = g_strdup_printf("'%.64s' is no value of '%s'", value, field->path);
		return false;
	}
	return true;
}

static bool prepare_number(struct term *term, char **ret_problem)
{
	char *end;
	term->number = g_ascii_strtod(term->value, &end);
	if (end == term->value || (*end && strcmp(end, "%") != 0)) {
		*ret_problem = g_strdup_printf("'%.64s' is not a number", term->value);
		return false;
	}
	return true;
}

/* Free text stands anywhere: within stars. */
static void prepare_free_text(struct term *term)
{
	char *start = term->value + strspn(term->value, "*");

	memmove(term->value, start, strlen(start) + 1);
	for (size_t length = strlen(term->value); length > 0 && term->value[length - 1] == '*'; length--)
		term->value[length - 1] = '\0';
	term->match = MATCH_WITHIN;
	if (strchr(term->value, '*')) {
		char *pattern = g_strdup_printf("*%s*", term->value);

		g_free(term->value);
		term->value = pattern;
		term->match = MATCH_WILDCARD;
	}
	term->value_length = strlen(term->value);
}

static void prepare_text(struct term *term)
{
	const char *star = strchr(term->value, '*'), *next = star ? strchr(star + 1, '*') : NULL;

	term->value_length = strlen(term->value);
	if (!star) {
		term->match = MATCH_EXACT;
	} else if (star[1] == '\0') {
		term->match = MATCH_PREFIX;
		term->value_length--;
	} else if (star == term->value && next && next[1] == '\0') {
		term->match = MATCH_WITHIN;
		term->value_length -= 2;
		memmove(term->value, term->value + 1, term->value_length);
		term->value[term->value_length] = '\0';
	} else {
		term->match = MATCH_WILDCARD;
	}
}

bool property_prepare(struct term *term, bool case_insensitive, char **ret_problem)
{
	const struct field *field = term->property.field;
	enum field_kind kind = field ? field->kind : FIELD_STRING;
	bool ordered = field && term->kind == NODE_COMPARE && term->comparison != EQUAL && term->comparison != NOT_EQUAL;
	bool can_order = kind == FIELD_INT || kind == FIELD_LONG || kind == FIELD_DECIMAL || kind == FIELD_TIME || kind == FIELD_ENUM;

	if (ordered && !can_order && strcmp(field->path, "@id") != 0) {
		*ret_problem = g_strdup_printf("'%s' has no order: only = and != can be used", field->path);
		return false;
	}
	if (term->empty && !ordered)
		return true;
	switch (kind) {
	case FIELD_ENUM:
		return prepare_enum(term, ret_problem);
	case FIELD_INT:
	case FIELD_LONG:
	case FIELD_DECIMAL:
		return prepare_number(term, ret_problem);
	case FIELD_BOOL:
		if (g_ascii_strcasecmp(term->value, "true") != 0 && g_ascii_strcasecmp(term->value, "false") != 0) {
			*ret_problem = g_strdup_printf("'%.64s' is neither true nor false", term->value);
			return false;
		}
		term->number = g_ascii_strcasecmp(term->value, "true") == 0;
		return true;
	case FIELD_TIME:
		if (!parse_time(term->value, wall_msec(), &term->from, &term->until)) {
			*ret_problem =
				g_strdup_printf("'%.64s' is not a time (2014-12-03, 2014-12-03T14:25:45, today, yesterday, monday, \"7 days\")", term->value);
			return false;
		}
		return true;
	default:
		break;
	}
	if (ordered) {                          /* ids of events */
		return prepare_number(term, ret_problem);
	}
	/* ids are kept in lower case */
	if (case_insensitive || kind == FIELD_UUID) {
		char *folded = g_utf8_casefold(term->value, -1);
		g_free(term->value);
		term->value = folded;
	}
	if (term->kind == NODE_TEXT)
		prepare_free_text(term);
	else
		prepare_text(term);
	return true;
}
