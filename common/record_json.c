/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records from JSON, in the three dialects.
 *
 * Attributes, elements and the text of an element ("value") are members of one object. Where the table says "repeated", one value stands
 * for an array of one; where it says "wrapper of a repeated element", the array may stand in place of the wrapper.
 */
#include "common/error.h"
#include "common/record-priv.h"
#include <string.h>

static bool read_object(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
			const json_t *json);
static bool read_flat(const struct reader *reader, const struct crumb *up, const struct plan *plan, void *record, const json_t *json);

/* A few bytes that show the value, for messages. */
static char *show(const json_t *json)
{
	GString *out = g_string_new(NULL);

	if (json_is_object(json) || json_is_array(json))
		g_string_append(out, json_is_object(json) ? "{...}" : "[...]");
	else
		json_append(out, json, /* compact= */ true, /* ascii= */ false);
	return g_string_free(out, FALSE);
}

static bool refuse(const struct reader *reader, const struct crumb *up, const struct node *node, const json_t *json, const char *problem)
{
	g_autofree char *text = show(json);

	return reader_refuse(reader, up, node, json_is_string(json) ? json_string_value(json) : text, g_strdup(problem));
}

static const char *what_it_should_be(enum field_kind kind)
{
	switch (kind) {
	case FIELD_INT:
	case FIELD_LONG:
		return "is not an integer";
	case FIELD_BOOL:
		return "is not true or false";
	case FIELD_DECIMAL:
		return "is not a number";
	case FIELD_TIME:
		return "is not a time";
	case FIELD_UUID:
		return "is not a UUID";
	default:
		return "is not a text";
	}
}

static bool read_scalar(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
			const json_t *json)
{
	const struct field *field = node->input;
	char *problem = NULL;
	bool done;

	switch (json_typeof(json)) {
	case JSON_STRING:
		return reader_set_text(reader, up, plan, node, record, json_string_value(json));
	case JSON_INTEGER:
		done = field_set_integer(plan, field, record, json_integer_value(json), reader->check, &problem);
		break;
	case JSON_REAL:
		done = field_set_real(plan, field, record, json_real_value(json), reader->check, &problem);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		done = field_set_bool(plan, field, record, json_is_true(json), reader->check, &problem);
		break;
	case JSON_NULL:
		return true;
	default:
		return refuse(reader, up, node, json, what_it_should_be(field->kind));
	}
	if (done)
		return true;
	{
		g_autofree char *text = show(json);

		return reader_refuse(reader, up, node, text, problem);
	}
}

static bool read_string_item(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
			     const json_t *json)
{
	if (json_is_string(json))
		return reader_add_string(reader, up, plan, node, record, json_string_value(json));
	if (json_is_null(json))
		return true;
	if (json_is_object(json) || json_is_array(json))
		return refuse(reader, up, node, json, "is not a text");
	{
		g_autofree char *text = show(json);

		return reader_add_string(reader, up, plan, node, record, text);
	}
}

/* Into a list item or nested record that exists already. */
static bool read_nested(const struct reader *reader, const struct crumb *up, const struct node *node, void *item, const json_t *json)
{
	const struct plan *plan = node_item_plan(node);
	struct crumb here = { up, node };

	if (json_is_object(json))
		return reader->input->dialect == RECORD_STORE ? read_flat(reader, &here, plan, item, json) :
								read_object(reader, &here, plan, plan->root, item, json);
	/* an item whose element has a text: the text alone will do */
	if (plan->root->input && !json_is_array(json))
		return !reader_takes(reader, &here, plan->root) ? reader_note(reader, &here, plan->root, NULL, false) :
								  read_scalar(reader, &here, plan, plan->root, item, json);
	return refuse(reader, up, node, json, "is not an object");
}

static bool read_list_item(const struct reader *reader, const struct crumb *up, const struct node *node, void *record, const json_t *json)
{
	if (json_is_null(json))
		return true;
	return read_nested(reader, up, node, list_add(member_at(record, node->input), node->input->item), json);
}

static bool read_list(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		      const json_t *json)
{
	bool strings = node->input->kind == FIELD_STRINGS;
	GPtrArray **list = member_at(record, node->input);
	const json_t *item;
	size_t i;

	if (!json_is_array(json))
		return strings ? read_string_item(reader, up, plan, node, record, json) : read_list_item(reader, up, node, record, json);
	if (!*list)
		*list = strings ? strings_new() : list_new();
	json_array_foreach(json, i, item)
		if (!(strings ? read_string_item(reader, up, plan, node, record, item) : read_list_item(reader, up, node, record, item)))
			return false;
	return true;
}

static bool read_ref(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		     const json_t *json)
{
	struct ref *ref = member_at(record, node->input);

	if (json_is_string(json)) {
		if (reader->input->dialect == RECORD_REST)
			ref_set_text(ref, json_string_value(json));
		else
			ref_set_id(ref, json_string_value(json));
		return true;
	}
	if (json_is_object(json))
		return read_object(reader, up, plan, node, record, json);
	return refuse(reader, up, node, json, "is not a reference");
}

bool reader_set_json(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		     const json_t *value)
{
	const struct field *field = node->input;
	void **at = member_at(record, field);

	switch (field->kind) {
	case FIELD_STRINGS:
	case FIELD_LIST:
		return read_list(reader, up, plan, node, record, value);
	case FIELD_RECORD:
		if (!*at)
			*at = record_new(field->item);
		return read_nested(reader, up, node, *at, value);
	case FIELD_REF:
		return read_ref(reader, up, plan, node, record, value);
	case FIELD_JSON:
		if (reader->input->dialect == RECORD_REST)
			return reader_note(reader, up, node, NULL, false);
		g_clear_pointer((json_t **)at, json_decref);
		*at = json_deep_copy(value);           /* the record may outlive and outnumber its document: json_t is not ours to share */
		return true;
	default:
		return read_scalar(reader, up, plan, node, record, value);
	}
}

/* A prefix, an alias or a member, whatever the document has there. */
static bool read_child(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		       const json_t *value)
{
	const struct field *field = node->input;
	g_autofree char *text = NULL;

	if (field && !reader_takes(reader, up, node)) {
		if (json_is_object(value) && node->first)
			return read_object(reader, up, plan, node, record, value);
		return reader_note(reader, up, node, NULL, false);
	}
	if (!field) {
		if (json_is_array(value) && json_array_size(value) == 1 && !node->sole_list)
			value = json_array_get(value, 0);
		if (json_is_object(value))
			return read_object(reader, up, plan, node, record, value);
		if (json_is_string(value) && is_blank(json_string_value(value)))
			return true;
		if (node->sole_list)
			return read_child(reader, up, plan, node->sole_list, record, value);
		text = show(value);
		return reader_no_value(reader, up, node, json_is_string(value) ? json_string_value(value) : text);
	}
	if (json_is_object(value) && (node->first || json_object_get(value, "value")) && field->kind < FIELD_REF)
		return read_object(reader, up, plan, node, record, value);
	return reader_set_json(reader, up, plan, node, record, value);
}

static bool known_everywhere(const struct reader *reader, const char *key)
{
	return reader->input->dialect == RECORD_REST && (!strcmp(key, "href") || !strcmp(key, "link") || !strcmp(key, "actions"));
}

/* Members of a reference that no table need mention. */
static bool read_ref_member(const struct reader *reader, const struct node *node, void *record, const char *key, const json_t *value)
{
	bool id = !strcmp(key, "id"), name = !strcmp(key, "name");
	g_autofree char *digits = NULL;
	struct ref *ref;

	if (!node->input || node->input->kind != FIELD_REF || (!id && !name) || (!json_is_string(value) && !json_is_integer(value)))
		return false;
	ref = member_at(record, node->input);
	digits = json_is_integer(value) ? show(value) : NULL;         /* some ids are numbers */
	(id ? ref_set_id : ref_set_name)(ref, digits ? digits : json_string_value(value));
	return true;
}

static bool read_object(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
			const json_t *json)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)json, key, value) {
		const struct node *child = plan_child(plan, node, key, strlen(key), NODE_ANY);

		if (json_is_null(value))
			continue;
		if (child) {
			if (!read_child(reader, up, plan, child, record, value))
				return false;
		} else if (!strcmp(key, "value") && node->input && node->input->kind < FIELD_REF) {
			if (!reader_takes(reader, up, node) ? !reader_note(reader, up, node, NULL, false) :
							      !read_scalar(reader, up, plan, node, record, value))
				return false;
		} else if (!read_ref_member(reader, node, record, key, value) && !known_everywhere(reader, key)) {
			if (!reader_note(reader, up, node, key, false))
				return false;
		}
	}
	if (node->sole_list && reader_takes(reader, up, node->sole_list)) {
		GPtrArray **list = member_at(record, node->sole_list->input);

		if (!*list)
			*list = node->sole_list->input->kind == FIELD_LIST ? list_new() : strings_new();
	}
	return true;
}

/* RECORD_STORE: path -> value. */
static bool read_flat(const struct reader *reader, const struct crumb *up, const struct plan *plan, void *record, const json_t *json)
{
	struct node node = { .path = "" };
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)json, key, value) {
		const struct field *field = plan_field(plan, key, strlen(key));

		if (json_is_null(value))
			continue;
		if (!field) {
			if (!reader_note(reader, up, plan->root, key, false))
				return false;
			continue;
		}
		node.path = field->path;
		node.input = field;
		node.main = plan_owner(plan, field);
		node.item_plan = 0;
		if (!reader_set_json(reader, up, plan, &node, record, value))
			return false;
	}
	return true;
}

void *record_from_json(const struct record_type *type, const json_t *json, struct record_input *input, GError **error)
{
	struct record_input plain = { .dialect = RECORD_REST };
	struct reader reader = { .input = input ? input : &plain, .type = type, .error = error };
	const struct plan *plan = record_plan(type);
	void *record;
	bool done;

	reader.check = reader.input->dialect != RECORD_STORE;
	if (!json_is_object(json)) {
		g_autofree char *text = show(json), *quoted = quote_value(text);

		error_set(error, ERR_BAD_VALUE, "%s: %s is not an object", type->name, quoted);
		return NULL;
	}
	/* {"vm": {...}} for {...}, unless the type has a member of its own name */
	if (reader.input->dialect == RECORD_REST && json_object_size(json) == 1 &&
	    !plan_child(plan, plan->root, type->name, strlen(type->name), NODE_ANY)) {
		const json_t *inner = json_object_get(json, type->name);

		if (json_is_array(inner) && json_array_size(inner) == 1)
			inner = json_array_get(inner, 0);
		if (json_is_object(inner))
			json = inner;
	}
	record = record_new(type);
	if (reader.input->dialect == RECORD_STORE)
		done = read_flat(&reader, NULL, plan, record, json);
	else
		done = read_object(&reader, NULL, plan, plan->root, record, json);
	if (!input)
		record_input_clear(&plain);
	if (!done)
		g_clear_pointer(&record, record_unref);
	return record;
}

/* ---- to JSON ---- */

char *record_to_text(const void *record, enum record_dialect dialect)
{
	GString *out = g_string_sized_new(512);
	struct writer *w = writer_new_json(out, dialect, /* pretty= */ false);

	record_write(w, NULL, record, NULL);
	writer_free(w);
	return g_string_free(out, FALSE);
}

json_t *record_to_json(const void *record, enum record_dialect dialect)
{
	g_autofree char *text = record_to_text(record, dialect);
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (!json)
		g_error("record type %s: what was written is no JSON: %s", ((const struct record *)record)->type->name, error.text);
	return json;
}
