/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single values: text and numbers to members and back. No locale, no allocation but for strings.
 */
#include "common/error.h"
#include "common/record-priv.h"
#include "common/ref_id.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#define QUOTED_MAX 64                  /* bytes of a value or name from outside that go into a message */

/* ---- text for messages ---- */

static char *clean(const char *text, const char *quote)
{
	size_t length = strnlen(text, QUOTED_MAX + 1);
	const char *end, *more = "";
	GString *out = g_string_new(quote);

	if (length > QUOTED_MAX) {
		length = QUOTED_MAX;
		more = "...";
	}
	for (const char *p = text; p < text + length; p = end) {
		gunichar c = g_utf8_get_char_validated(p, text + length - p);

		if (c == (gunichar)-2 && *more)
			break;                 /* cut inside a character */
		if (c == (gunichar)-1 || c == (gunichar)-2) {
			end = p + 1;
			g_string_append_c(out, '?');
			continue;
		}
		end = g_utf8_next_char(p);
		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029)
			g_string_append_c(out, '?');
		else
			g_string_append_len(out, p, end - p);
	}
	g_string_append(out, more);
	g_string_append(out, quote);
	return g_string_free(out, FALSE);
}

char *quote_value(const char *value)
{
	return clean(value, "'");
}

char *clean_name(const char *name)
{
	return clean(name, "");
}

/* ---- small parsers ---- */

bool is_blank(const char *text)
{
	return !text[strspn(text, " \t\r\n")];
}

bool is_uuid(const char *text)
{
	for (int i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !g_ascii_isxdigit(text[i]))
			return false;
	return !text[36];
}

static char *problem_new(const char *text, char **ret_problem)
{
	*ret_problem = g_strdup(text);
	return NULL;
}

/* The range of text without blanks around it. */
static size_t trim(const char **text)
{
	size_t length;

	*text += strspn(*text, " \t\r\n");
	length = strlen(*text);
	while (length && strchr(" \t\r\n", (*text)[length - 1]))
		length--;
	return length;
}

static bool parse_integer(const char *text, int64_t *ret_value, char **ret_problem)
{
	size_t length = trim(&text), i = 0;
	bool negative = false, overflow = false;
	uint64_t value = 0, limit;

	if (length && (*text == '-' || *text == '+'))
		negative = text[i++] == '-';
	if (i == length)
		return problem_new("is not an integer", ret_problem);
	limit = (uint64_t)INT64_MAX + negative;
	for (; i < length; i++) {
		unsigned digit = (unsigned char)text[i] - '0';

		if (digit > 9)
			return problem_new("is not an integer", ret_problem);
		if (value > (limit - digit) / 10)
			overflow = true;
		else
			value = value * 10 + digit;
	}
	if (overflow)
		return problem_new(negative ? "is below the minimum -9223372036854775808" : "is above the maximum 9223372036854775807", ret_problem);
	*ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

static bool parse_real(const char *text, double *ret_value, char **ret_problem)
{
	size_t length = trim(&text);
	char *end;
	double value;

	if (!length || strspn(text, "0123456789+-.eE") < length)
		return problem_new("is not a number", ret_problem);
	value = g_ascii_strtod(text, &end);
	if (end != text + length)
		return problem_new("is not a number", ret_problem);
	if (!isfinite(value))
		return problem_new("is out of range", ret_problem);
	*ret_value = value;
	return true;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; years are counted from March so that the leap day is the last. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1, m = (month + 9) % 12;

	return 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
}

static bool digits(const char **p, int count, int *ret_value)
{
	int value = 0;

	for (int i = 0; i < count; i++, (*p)++) {
		if (!g_ascii_isdigit(**p))
			return false;
		value = value * 10 + (**p - '0');
	}
	*ret_value = value;
	return true;
}

static bool eat(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

bool time_parse(const char *text, int64_t *ret_ms)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year, month, day, hour, minute, second, ms = 0, zone_hour = 0, zone_minute = 0, sign = 1;
	const char *p = text + strspn(text, " \t\r\n");
	bool leap;

	if (!digits(&p, 4, &year) || !eat(&p, '-') || !digits(&p, 2, &month) || !eat(&p, '-') || !digits(&p, 2, &day) || !eat(&p, 'T') ||
	    !digits(&p, 2, &hour) || !eat(&p, ':') || !digits(&p, 2, &minute) || !eat(&p, ':') || !digits(&p, 2, &second))
		return false;
	if (eat(&p, '.')) {
		if (!g_ascii_isdigit(*p))
			return false;
		for (int scale = 100; g_ascii_isdigit(*p); p++, scale /= 10)
			ms += (*p - '0') * scale;
	}
	if (*p == '+' || *p == '-') {
		sign = *p++ == '-' ? -1 : 1;
		if (!digits(&p, 2, &zone_hour) || (eat(&p, ':'), !digits(&p, 2, &zone_minute)) || zone_hour > 14 || zone_minute > 59)
			return false;
	} else {
		(void)eat(&p, 'Z');            /* without a zone: UTC */
	}
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (!is_blank(p) || year < 1 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1] + (leap && month == 2) ||
	    hour > 23 || minute > 59 || second > 59)
		return false;
	*ret_ms = (((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms -
		  (int64_t)sign * (zone_hour * 60 + zone_minute) * 60000;
	return true;
}

#define TIME_MIN INT64_C(-62135596800000)      /* 0001-01-01 */
#define TIME_MAX INT64_C(253402300799999)      /* 9999-12-31 */

static char *two(char *p, unsigned value)
{
	*p++ = (char)('0' + value / 10);
	*p++ = (char)('0' + value % 10);
	return p;
}

size_t time_format(int64_t ms, char buffer[TIME_TEXT_SIZE])
{
	int64_t clamped = CLAMP(ms, TIME_MIN, TIME_MAX), days = clamped / 86400000, rest = clamped % 86400000;
	int64_t era, year, day_of_era, year_of_era, day_of_year, month;
	char *p = buffer;

	if (rest < 0) {
		rest += 86400000;
		days--;
	}
	days += 719468;                        /* since 0000-03-01; never negative in the range above but for the first two months */
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	year = era * 400 + year_of_era + (month >= 10);
	p = two(two(p, (unsigned)year / 100), (unsigned)year % 100);
	*p++ = '-';
	p = two(p, (unsigned)(month < 10 ? month + 3 : month - 9));
	*p++ = '-';
	p = two(p, (unsigned)(day_of_year - (153 * month + 2) / 5 + 1));
	*p++ = 'T';
	p = two(p, (unsigned)(rest / 3600000));
	*p++ = ':';
	p = two(p, (unsigned)(rest / 60000 % 60));
	*p++ = ':';
	p = two(p, (unsigned)(rest / 1000 % 60));
	*p++ = '.';
	*p++ = (char)('0' + rest / 100 % 10);
	p = two(p, (unsigned)(rest % 100));
	*p++ = 'Z';
	*p = '\0';
	return (size_t)(p - buffer);
}

/* ---- setting ---- */

static void bound_text(double bound, char buffer[64])
{
	g_ascii_formatd(buffer, 64, fabs(bound) < 1e18 && bound == (double)(int64_t)bound ? "%.0f" : "%.10g", bound);
}

/* min alone (max 0) is a lower bound only. */
static bool check_bounds(const struct field *field, double value, bool bytes, char **ret_problem)
{
	bool below = value < field->min, above = field->max >= field->min && value > field->max;
	char text[64];

	if ((field->min == 0 && field->max == 0) || (!below && !above))
		return true;
	bound_text(below ? field->min : field->max, text);
	if (bytes)
		*ret_problem = g_strdup_printf("is %s than %s bytes", below ? "shorter" : "longer", text);
	else
		*ret_problem = g_strdup_printf("is %s %s", below ? "below the minimum" : "above the maximum", text);
	return false;
}

static char *check_enum(const struct field *field, const char *text, int *ret_value, char **ret_problem)
{
	*ret_value = enum_value(field->names, text);
	if (*ret_value < 0) {
		g_autofree char *names = g_strjoinv(", ", (char **)field->names);

		*ret_problem = g_strdup_printf("is not a member of [%s]", names);
		return NULL;
	}
	return (char *)field->names[*ret_value];
}

char *field_check_string(const struct plan *plan, const struct field *field, const char *text, bool check, char **ret_problem)
{
	int value;

	if (!check)
		return g_strdup(text);
	if (field->kind == FIELD_UUID) {
		g_autofree char *copy = g_strstrip(g_strdup(text));

		if (!is_uuid(copy))
			return problem_new("is not a UUID", ret_problem);
		return g_ascii_strdown(copy, -1);
	}
	if (field->names) {
		char *name = check_enum(field, text, &value, ret_problem);

		return name ? g_strdup(name) : NULL;
	}
	if (!g_utf8_validate(text, -1, NULL))
		return problem_new("is not UTF-8", ret_problem);
	if (!check_bounds(field, (double)strlen(text), /* bytes= */ true, ret_problem))
		return NULL;
	if (field->pattern && !g_regex_match(plan_regex(plan, field), text, 0, NULL))
		return problem_new("has not the right form", ret_problem);
	return g_strdup(text);
}

static bool set_checked_string(const struct plan *plan, const struct field *field, void *record, const char *text, bool check, char **ret_problem)
{
	char **member = member_at(record, field), *copy = field_check_string(plan, field, text, check, ret_problem);

	if (!copy)
		return false;
	g_free(*member);
	*member = copy;
	return true;
}

static void mark(const struct plan *plan, const struct field *field, void *record)
{
	present_set(record, plan->index_at[field->offset]);
}

bool field_set_bool(const struct plan *plan, const struct field *field, void *record, bool value, bool check, char **ret_problem)
{
	switch (field->kind) {
	case FIELD_BOOL:
		*(bool *)member_at(record, field) = value;
		mark(plan, field, record);
		return true;
	case FIELD_STRING:
	case FIELD_ENUM:
		return field_set_text(plan, field, record, value ? "true" : "false", check, ret_problem);
	default:
		return problem_new(field->kind == FIELD_UUID ? "is not a UUID" : "is not a number", ret_problem);
	}
}

bool field_set_integer(const struct plan *plan, const struct field *field, void *record, int64_t value, bool check, char **ret_problem)
{
	char text[32];

	switch (field->kind) {
	case FIELD_INT:
		if (value < INT32_MIN || value > INT32_MAX)
			return problem_new(value < 0 ? "is below the minimum -2147483648" : "is above the maximum 2147483647", ret_problem);
		if (check && !check_bounds(field, (double)value, /* bytes= */ false, ret_problem))
			return false;
		*(int *)member_at(record, field) = (int)value;
		break;
	case FIELD_TIME:
		if (value < TIME_MIN || value > TIME_MAX)
			return problem_new("is not a time between the years 1 and 9999", ret_problem);
		*(int64_t *)member_at(record, field) = value;
		break;
	case FIELD_LONG:
		if (check && !check_bounds(field, (double)value, /* bytes= */ false, ret_problem))
			return false;
		*(int64_t *)member_at(record, field) = value;
		break;
	case FIELD_DECIMAL:
		return field_set_real(plan, field, record, (double)value, check, ret_problem);
	case FIELD_BOOL:
		return problem_new("is not true or false", ret_problem);
	default:
		(void)g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, value);
		return field_set_text(plan, field, record, text, check, ret_problem);
	}
	mark(plan, field, record);
	return true;
}

bool field_set_real(const struct plan *plan, const struct field *field, void *record, double value, bool check, char **ret_problem)
{
	char text[FIELD_TEXT_SIZE];

	switch (field->kind) {
	case FIELD_DECIMAL:
		if (!isfinite(value))
			return problem_new("is out of range", ret_problem);
		if (check && !check_bounds(field, value, /* bytes= */ false, ret_problem))
			return false;
		*(double *)member_at(record, field) = value;
		mark(plan, field, record);
		return true;
	case FIELD_INT:
	case FIELD_LONG:
	case FIELD_TIME:
		if (!(fabs(value) <= 9007199254740992.0) || value != (double)(int64_t)value)
			return problem_new("is not an integer", ret_problem);
		return field_set_integer(plan, field, record, (int64_t)value, check, ret_problem);
	case FIELD_BOOL:
		return problem_new("is not true or false", ret_problem);
	default:
		(void)decimal_format(value, 0, false, text);
		return field_set_text(plan, field, record, text, check, ret_problem);
	}
}

bool field_set_text(const struct plan *plan, const struct field *field, void *record, const char *text, bool check, char **ret_problem)
{
	int64_t integer = 0;
	double real = 0;
	int value;

	switch (field->kind) {
	case FIELD_STRING:
	case FIELD_UUID:
		return set_checked_string(plan, field, record, text, check, ret_problem);
	case FIELD_BOOL: {
		size_t length = trim(&text);
		bool yes = length == 4 && !g_ascii_strncasecmp(text, "true", 4), no = length == 5 && !g_ascii_strncasecmp(text, "false", 5);

		if (!yes && !no)
			return problem_new("is not true or false", ret_problem);
		return field_set_bool(plan, field, record, yes, check, ret_problem);
	}
	case FIELD_INT:
	case FIELD_LONG:
		return parse_integer(text, &integer, ret_problem) && field_set_integer(plan, field, record, integer, check, ret_problem);
	case FIELD_DECIMAL:
		return parse_real(text, &real, ret_problem) && field_set_real(plan, field, record, real, check, ret_problem);
	case FIELD_TIME:
		if (!time_parse(text, &integer) && !parse_integer(text, &integer, ret_problem)) {
			g_free(*ret_problem);
			return problem_new("is not a time such as 2011-06-15T04:48:02.167Z", ret_problem);
		}
		return field_set_integer(plan, field, record, integer, check, ret_problem);
	case FIELD_ENUM: {
		size_t length = trim(&text);
		char name[128];

		(void)g_strlcpy(name, text, MIN(sizeof(name), length + 1));
		if (!check_enum(field, name, &value, ret_problem))
			return false;
		*(int *)member_at(record, field) = value;
		mark(plan, field, record);
		return true;
	}
	case FIELD_REF:
		ref_set_text(member_at(record, field), text);
		return true;
	default:
		return problem_new("cannot be given as text", ret_problem);
	}
}

/* ---- references ---- */

void ref_set_id(struct ref *ref, const char *id)
{
	g_autofree char *copy = g_strstrip(g_strdup(id)), *lower = is_uuid(copy) ? g_ascii_strdown(copy, -1) : NULL;

	if (!*copy)
		return;
	ref_id_unref(ref->id);
	ref->id = ref_id_new(lower ? lower : copy);
}

void ref_set_name(struct ref *ref, const char *name)
{
	if (*name)
		set_string(&ref->name, name);
}

void ref_set_text(struct ref *ref, const char *text)
{
	g_autofree char *copy = g_strstrip(g_strdup(text));

	if (is_uuid(copy))
		ref_set_id(ref, copy);
	else
		ref_set_name(ref, copy);
}

/* ---- to text ---- */

size_t decimal_format(double value, int significant, bool fraction, char buffer[FIELD_TEXT_SIZE])
{
	char format[8] = "%.10g";
	size_t length;

	if (significant) {
		(void)g_snprintf(format, sizeof(format), "%%.%dg", significant);
		g_ascii_formatd(buffer, FIELD_TEXT_SIZE - 2, format, value);
	} else {
		g_ascii_formatd(buffer, FIELD_TEXT_SIZE - 2, "%.15g", value);
		if (g_ascii_strtod(buffer, NULL) != value)
			g_ascii_formatd(buffer, FIELD_TEXT_SIZE - 2, "%.17g", value);
	}
	length = strlen(buffer);
	if (fraction && !strpbrk(buffer, ".e")) {
		memcpy(buffer + length, ".0", 3);
		length += 2;
	}
	return length;
}

static const char *integer_text(int64_t value, char buffer[FIELD_TEXT_SIZE], size_t *ret_length)
{
	char *end = &buffer[FIELD_TEXT_SIZE - 1], *p = end;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	*p = '\0';
	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		*--p = '-';
	*ret_length = (size_t)(end - p);
	return p;
}

const char *field_format(const struct field *field, unsigned index, const void *record, enum record_dialect dialect, bool xml,
			 char buffer[FIELD_TEXT_SIZE], size_t *ret_length, bool *ret_quoted)
{
	const void *at = member_at(record, field);
	bool text = dialect == RECORD_CHANNEL && field->flags & TEXT;
	const char *string;
	double real;

	switch (field->kind) {
	case FIELD_STRING:
	case FIELD_UUID:
		string = *(char *const *)at;
		if (!string)
			return NULL;
		*ret_length = strlen(string);
		*ret_quoted = true;
		return string;
	case FIELD_BOOL:
		if (!present_bit(record, index))
			return NULL;
		*ret_quoted = dialect == RECORD_REST || text;
		*ret_length = *(const bool *)at ? 4 : 5;
		return *(const bool *)at ? "true" : "false";
	case FIELD_INT:
		if (!present_bit(record, index))
			return NULL;
		*ret_quoted = dialect == RECORD_REST || text;
		return integer_text(*(const int *)at, buffer, ret_length);
	case FIELD_LONG:
		if (!present_bit(record, index))
			return NULL;
		*ret_quoted = text;
		return integer_text(*(const int64_t *)at, buffer, ret_length);
	case FIELD_DECIMAL:
		if (!present_bit(record, index))
			return NULL;
		real = *(const double *)at;
		if (!isfinite(real))
			return NULL;           /* neither JSON nor the schema has a word for it */
		*ret_quoted = text;
		if (text) {
			g_ascii_formatd(buffer, FIELD_TEXT_SIZE, fabs(real) < 1e30 ? "%.2f" : "%.10g", real);
			*ret_length = strlen(buffer);
			return buffer;
		}
		if (dialect == RECORD_REST && fabs(real) < 1e9 && real == (double)(int)real)
			return integer_text((int)real, buffer, ret_length);
		*ret_length = decimal_format(real, dialect == RECORD_STORE ? 0 : 15, dialect == RECORD_CHANNEL, buffer);
		return buffer;
	case FIELD_ENUM:
		if (!present_bit(record, index))
			return NULL;
		string = enum_name(field->names, *(const int *)at);
		if (!string)
			return NULL;
		*ret_length = strlen(string);
		*ret_quoted = true;
		return string;
	case FIELD_TIME:
		if (!present_bit(record, index))
			return NULL;
		*ret_quoted = text;
		if (!xml)
			return integer_text(*(const int64_t *)at, buffer, ret_length);
		*ret_length = time_format(*(const int64_t *)at, buffer);
		return buffer;
	default:
		return NULL;
	}
}

/* A list item or nested record in few letters: its name, its id, or the first member it has. */
static char *item_text(const void *record)
{
	const struct plan *plan = record_plan(((const struct record *)record)->type);
	static const char *const paths[] = { "name", "@id", "@name" };

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		const struct field *field = plan_field(plan, paths[i], strlen(paths[i]));
		char *text = field && !(field->flags & SECRET) ? record_text(record, field) : NULL;

		if (text)
			return text;
	}
	for (unsigned i = 0; i < plan->n_members; i++) {
		char *text = plan->members[i].field->flags & SECRET ? NULL : record_text(record, plan->members[i].field);

		if (text)
			return text;
	}
	return g_strdup("");
}

char *record_text(const void *record, const struct field *field)
{
	const struct plan *plan = record_plan(((const struct record *)record)->type);
	const void *at = member_at(record, field);
	char buffer[FIELD_TEXT_SIZE];
	size_t length;
	bool quoted;
	const char *text;

	if (!member_present(record, field, plan->index_at[field->offset]))
		return NULL;
	if (field->flags & SECRET)
		return g_strdup("***");
	switch (field->kind) {
	case FIELD_REF:
		text = ((const struct ref *)at)->id;
		return g_strdup(text ? text : ((const struct ref *)at)->name);
	case FIELD_STRINGS:
	case FIELD_LIST: {
		const GPtrArray *list = *(GPtrArray *const *)at;
		GString *out = g_string_new(NULL);

		for (unsigned i = 0; i < list->len; i++) {
			g_autofree char *item = field->kind == FIELD_LIST ? item_text(list->pdata[i]) : NULL;

			if (i)
				g_string_append_c(out, ',');
			g_string_append(out, item ? item : (const char *)list->pdata[i]);
		}
		return g_string_free(out, FALSE);
	}
	case FIELD_RECORD:
		return item_text(*(void *const *)at);
	case FIELD_JSON: {
		GString *out = g_string_new(NULL);

		json_append(out, *(json_t *const *)at, /* compact= */ true, /* ascii= */ false);
		return g_string_free(out, FALSE);
	}
	default:
		text = field_format(field, plan->index_at[field->offset], record, RECORD_REST, /* xml= */ true, buffer, &length, &quoted);
		return g_strdup(text);
	}
}

bool record_set_text(void *record, const struct field *field, const char *text, GError **error)
{
	const struct plan *plan = record_plan(((struct record *)record)->type);
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct reader reader = { .input = &input, .type = plan->type, .check = true, .error = error };
	struct node node = { .path = field->path, .field = field, .input = field, .main = field };   /* for the message */
	char *problem = NULL;

	switch (field->kind) {
	case FIELD_STRINGS: {
		g_auto(GStrv) parts = g_strsplit(text, ",", -1);
		GPtrArray **list = member_at(record, field);
		g_autoptr(GPtrArray) fresh = strings_new();

		for (char **part = parts; *part; part++) {
			char *copy = *g_strstrip(*part) ? field_check_string(plan, field, *part, /* check= */ true, &problem) : NULL;

			if (copy)
				g_ptr_array_add(fresh, copy);
			else if (problem)
				return reader_refuse(&reader, NULL, &node, *part, problem);
		}
		g_clear_pointer(list, g_ptr_array_unref);
		*list = g_steal_pointer(&fresh);
		return true;
	}
	case FIELD_LIST:
	case FIELD_RECORD:
	case FIELD_JSON: {
		json_t *json = json_parse(text, strlen(text), error);
		void *fresh;
		bool done;

		if (!json) {
			error_wrap(error, "%s: %s", plan->type->name, field->path);
			return false;
		}
		input.dialect = field->kind == FIELD_JSON ? RECORD_CHANNEL : RECORD_REST;
		fresh = record_new(plan->type);          /* the member is replaced, and only by what is right as a whole */
		done = reader_set_json(&reader, NULL, plan, &node, fresh, json);
		if (done) {
			record_clear(record, field->offset);
			*(void **)member_at(record, field) = *(void **)member_at(fresh, field);
			*(void **)member_at(fresh, field) = NULL;
		}
		record_unref(fresh);
		record_input_clear(&input);
		json_decref(json);
		return done;
	}
	default:
		if (field_set_text(plan, field, record, text, /* check= */ true, &problem))
			return true;
		return reader_refuse(&reader, NULL, &node, text, problem);
	}
}
