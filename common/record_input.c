/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of JSON and XML have in common: what may be taken, what is noted, and how errors name their place.
 */
#include "common/error.h"
#include "common/record-priv.h"
#include <string.h>

#define IGNORED_MAX 64                 /* notes kept of one document; more are dropped */

void record_input_clear(struct record_input *input)
{
	g_clear_pointer(&input->ignored, g_ptr_array_unref);
}

/* Read only to be compared: what a PUT sends back of members nobody can set. */
static bool is_sent_back(const struct reader *reader, const struct node *node)
{
	return reader->input->take & UPDATE && !(reader->input->take & CREATE) && !(node->main->flags & (CREATE | UPDATE)) &&
	       strcmp(node->path, "@id") != 0;
}

bool reader_takes(const struct reader *reader, const struct crumb *up, const struct node *node)
{
	uint32_t flags = node->main->flags, take = reader->input->take;

	if (reader->input->dialect == RECORD_STORE)
		return true;
	if (flags & INTERNAL)
		return false;
	/* UPDATE alone takes read-only members too: record_merge() tells "changed" from "sent back as it was" */
	if (!take || (take & UPDATE && !(take & CREATE)))
		return true;
	if (up && !strcmp(node->path, "@id"))
		return true;           /* names the object the item stands for */
	return flags & take;
}

/* Is a member that can be set here somewhere below the node? Then the node is no stranger, and what it holds can be of the wrong type. */
static bool sets_below(const struct reader *reader, const struct crumb *up, const struct node *node)
{
	for (const struct node *child = node->first; child; child = child->next)
		if ((child->input && reader_takes(reader, up, child) && !is_sent_back(reader, child)) || sets_below(reader, up, child))
			return true;
	return false;
}

static void append_path(GString *out, const struct crumb *up)
{
	if (!up)
		return;
	append_path(out, up->up);
	if (out->len)
		g_string_append_c(out, '/');
	g_string_append(out, up->node->path);
}

static char *full_path(const struct crumb *up, const struct node *node, const char *name, bool attribute)
{
	GString *out = g_string_new(NULL);

	append_path(out, up);
	if (out->len && *node->path && *node->path != '@')
		g_string_append_c(out, '/');
	g_string_append(out, node->path);
	if (name) {
		g_autofree char *cleaned = clean_name(name);

		if (attribute || out->len)
			g_string_append_c(out, attribute ? '@' : '/');
		g_string_append(out, cleaned);
	}
	return g_string_free(out, FALSE);
}

bool reader_note(const struct reader *reader, const struct crumb *up, const struct node *node, const char *name, bool attribute)
{
	struct record_input *input = reader->input;
	g_autofree char *path = full_path(up, node, name, attribute);

	if (input->strict) {
		error_set(reader->error, ERR_UNKNOWN_MEMBER, "%s: %s%s", reader->type->name, path, name ? "" : " cannot be set here");
		return false;
	}
	if (!input->ignored)
		input->ignored = strings_new();
	if (input->ignored->len < IGNORED_MAX && !g_ptr_array_find_with_equal_func(input->ignored, path, g_str_equal, NULL))
		g_ptr_array_add(input->ignored, g_steal_pointer(&path));
	return true;
}

bool reader_refuse(const struct reader *reader, const struct crumb *up, const struct node *node, const char *value, char *problem)
{
	g_autofree char *path = full_path(up, node, /* name= */ NULL, false), *text = problem;
	bool secret = node->main->flags & SECRET;         /* only nodes with an input come here */
	g_autofree char *quoted = secret ? g_strdup("the value") : quote_value(value);

	if (is_sent_back(reader, node))
		return reader_note(reader, up, node, /* name= */ NULL, false);
	error_set(reader->error, ERR_BAD_VALUE, "%s: %s%s%s %s", reader->type->name, path, *path ? ": " : "", quoted, text);
	return false;
}

bool reader_no_value(const struct reader *reader, const struct crumb *up, const struct node *node, const char *value)
{
	g_autofree char *path = NULL, *quoted = NULL;

	/* the channel's other side may be of a later version: there it is only noted */
	if (!reader->input->take || !sets_below(reader, up, node))
		return reader_note(reader, up, node, /* name= */ NULL, false);
	path = full_path(up, node, /* name= */ NULL, false);
	quoted = quote_value(value);
	error_set(reader->error, ERR_BAD_VALUE, "%s: %s%s%s is not an object", reader->type->name, path, *path ? ": " : "", quoted);
	return false;
}

bool reader_set_text(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		     const char *text)
{
	char *problem = NULL;

	/* an empty element or attribute says nothing, except that a text is empty */
	if (node->input->kind != FIELD_STRING && is_blank(text))
		return true;
	if (field_set_text(plan, node->input, record, text, reader->check, &problem))
		return true;
	return reader_refuse(reader, up, node, text, problem);
}

bool reader_add_string(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		       const char *text)
{
	GPtrArray **list = member_at(record, node->input);
	char *problem = NULL, *copy;

	if (node->input->names && is_blank(text))
		return true;
	copy = field_check_string(plan, node->input, text, reader->check, &problem);
	if (!copy)
		return reader_refuse(reader, up, node, text, problem);
	if (!*list)
		*list = strings_new();
	g_ptr_array_add(*list, copy);
	return true;
}
