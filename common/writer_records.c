/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records through the writer. Parents of a member are opened when the first member below them turns out to be present.
 */
#include "common/writer-priv.h"

static const char name_href[NAME_BYTES] = "href", name_id[NAME_BYTES] = "id", name_name[NAME_BYTES] = "name", name_link[NAME_BYTES] = "link",
		  name_rel[NAME_BYTES] = "rel", name_actions[NAME_BYTES] = "actions";

#define PENDING_MAX 32                 /* path segments; the plan's own bound is the length of a path anyone would write */

struct walk {
	struct writer *w;
	const void *record;
	const struct record_view *view;
	unsigned bit;
	unsigned opened, pending;
	const struct node *path[PENDING_MAX];      /* parents of the member at hand; the first `opened` are written */
};

static void write_members(struct writer *w, const struct plan *plan, const void *record, const struct record_view *view);

static void open_parents(struct walk *walk)
{
	for (; walk->opened < walk->pending; walk->opened++)
		writer_open_ready(walk->w, walk->path[walk->opened]->name, walk->path[walk->opened]->length);
}

static void write_record(struct writer *w, const char *name, size_t length, const struct plan *plan, const void *record,
			 const struct record_view *view)
{
	writer_open_ready(w, name, length);
	write_members(w, plan, record, view);
	writer_close(w);
}

/* base/target/id, or what the view makes of it. Written as attribute or member "href". */
static void write_href(struct writer *w, const struct record_view *view, const struct field *field, const struct ref *ref)
{
	GString *href = w->scratch;

	if (!view || (!view->ref_href && (!view->base || !field->target || !ref->id)))
		return;
	g_string_truncate(href, 0);
	if (view->ref_href) {
		view->ref_href(view, href, field, ref);
	} else {
		text_append(href, view->base, strlen(view->base));
		text_append(href, "/", 1);
		text_append(href, field->target, strlen(field->target));
		text_append(href, "/", 1);
		text_append(href, ref->id, strlen(ref->id));
	}
	if (href->len)
		writer_ready_attribute(w, name_href, 4, href->str, href->len, TEXT_VALUE);
}

static void write_ref(struct walk *walk, const struct node *node, const struct ref *ref)
{
	struct writer *w = walk->w;

	open_parents(walk);
	if (w->dialect != RECORD_REST && ref->id) {
		writer_json_value(w, node->name, node->length, ref->id, strlen(ref->id), TEXT_VALUE);
		return;
	}
	writer_open_ready(w, node->name, node->length);
	write_href(w, walk->view, node->field, ref);
	if (ref->id)
		writer_ready_attribute(w, name_id, 2, ref->id, strlen(ref->id), TEXT_VALUE);
	else
		writer_leaf(w, name_name, 4, ref->name, strlen(ref->name), TEXT_VALUE);
	writer_close(w);
}

/* The view of a nested record: the caller's, or one that only knows how references look. */
static const struct record_view *view_of_item(const struct record_view *view, const struct field *field, const void *item, struct record_view *plain)
{
	const struct record_view *own;

	if (!view)
		return NULL;
	own = view->item_view ? view->item_view(view, field, item) : NULL;
	if (own)
		return own;
	*plain = (struct record_view) { .base = view->base, .all_content = view->all_content, .ref_href = view->ref_href,
					.item_view = view->item_view, .data = view->data };
	return plain;
}

static void write_list(struct walk *walk, const struct node *node, const GPtrArray *list)
{
	struct writer *w = walk->w;
	struct record_view plain;

	open_parents(walk);
	if (!w->xml) {
		/* a wrapper without items is an empty object in REST */
		if (!list->len && w->dialect == RECORD_REST)
			return;
		writer_json_lead(w, node->name, node->length);
		text_append(w->out, "[", 1);
		w->level++;
		writer_push(w, FRAME_LIST, "", 0);
	}
	for (unsigned i = 0; i < list->len; i++) {
		const char *text = list->pdata[i];

		if (node->field->kind == FIELD_STRINGS)
			writer_leaf(w, node->name, node->length, text, strlen(text), TEXT_VALUE);
		else
			write_record(w, node->name, node->length, node_item_plan(node), list->pdata[i],
				     view_of_item(walk->view, node->field, list->pdata[i], &plain));
	}
	if (!w->xml)
		writer_json_close(w, ']');
}

/* A scalar's text and its form; NULL when absent. */
static const char *value_of(const struct walk *walk, const struct node *node, char buffer[FIELD_TEXT_SIZE], size_t *ret_length, enum value_form *ret_form)
{
	const struct field *field = node->field;
	bool quoted, text = field->kind == FIELD_STRING || field->kind == FIELD_UUID;
	const char *value = field_format(field, node->index, walk->record, walk->w->dialect, walk->w->xml, buffer, ret_length, &quoted);

	if (value)
		*ret_form = text ? TEXT_VALUE : quoted ? PLAIN_VALUE : BARE_VALUE;
	return value;
}

/* A member that has nothing below it. */
static void write_member(struct walk *walk, const struct node *node)
{
	const void *at = member_at(walk->record, node->field);
	struct writer *w = walk->w;
	char buffer[FIELD_TEXT_SIZE];
	struct record_view plain;
	const char *value;
	size_t length;
	enum value_form form;

	switch (node->field->kind) {
	case FIELD_REF:
		if (((const struct ref *)at)->id || ((const struct ref *)at)->name)
			write_ref(walk, node, at);
		return;
	case FIELD_STRINGS:
	case FIELD_LIST:
		if (*(GPtrArray *const *)at)
			write_list(walk, node, *(GPtrArray *const *)at);
		return;
	case FIELD_RECORD:
		if (!*(void *const *)at)
			return;
		open_parents(walk);
		write_record(w, node->name, node->length, node_item_plan(node), *(void *const *)at,
			     view_of_item(walk->view, node->field, *(void *const *)at, &plain));
		return;
	case FIELD_JSON:
		if (!*(json_t *const *)at)
			return;
		open_parents(walk);
		writer_json_lead(w, node->name, node->length);
		json_append(w->out, *(json_t *const *)at, /* compact= */ !w->ascii, w->ascii);
		return;
	default:
		value = value_of(walk, node, buffer, &length, &form);
		if (!value)
			return;
		open_parents(walk);
		writer_leaf(w, node->name, node->length, value, length, form);
	}
}

static bool hidden(const struct walk *walk, const struct node *node)
{
	return node->field->flags & ALL_CONTENT && walk->w->dialect == RECORD_REST && !(walk->view && walk->view->all_content);
}

static void write_attributes(struct walk *walk, const struct node *node)
{
	char buffer[FIELD_TEXT_SIZE];
	const char *value;
	size_t length;
	enum value_form form;

	for (const struct node *child = node->first; child && child->attribute; child = child->next) {
		if (!(child->written & walk->bit) || hidden(walk, child))
			continue;
		value = value_of(walk, child, buffer, &length, &form);
		if (!value)
			continue;
		open_parents(walk);
		writer_ready_attribute(walk->w, child->name, child->length, value, length, form);
	}
}

/* The text, or the id and href, of an element that also has members below it. */
static void write_own(struct walk *walk, const struct node *node)
{
	char buffer[FIELD_TEXT_SIZE];
	const struct ref *ref;
	const char *value;
	size_t length;
	enum value_form form;

	if (!(node->written & walk->bit) || hidden(walk, node))
		return;
	if (node->field->kind == FIELD_REF) {
		ref = member_at(walk->record, node->field);
		if (!ref->id)
			return;
		open_parents(walk);
		if (walk->w->dialect == RECORD_REST)
			write_href(walk->w, walk->view, node->field, ref);
		writer_ready_attribute(walk->w, name_id, 2, ref->id, strlen(ref->id), TEXT_VALUE);
		return;
	}
	value = value_of(walk, node, buffer, &length, &form);
	if (!value)
		return;
	open_parents(walk);
	writer_own_text(walk->w, value, length, form);
}

static void write_node(struct walk *walk, const struct node *node)
{
	bool ref;

	if (!(node->live & walk->bit) || walk->pending == PENDING_MAX)
		return;
	if (!node->object || (node->written & walk->bit && node->field->kind > FIELD_REF)) {
		if (!hidden(walk, node))
			write_member(walk, node);
		return;
	}
	ref = node->field && node->field->kind == FIELD_REF;
	walk->path[walk->pending++] = node;
	if (ref)
		write_own(walk, node);
	write_attributes(walk, node);
	if (!ref && node->field)
		write_own(walk, node);
	for (const struct node *child = node->first; child; child = child->next)
		if (!child->attribute)
			write_node(walk, child);
	walk->pending--;
	if (walk->opened > walk->pending) {
		writer_close(walk->w);
		walk->opened--;
	}
}

/* A link to elsewhere, or in indented JSON. */
static void write_whole_link(struct writer *w, const char *rel, const char *href)
{
	writer_open_ready(w, name_link, 4);
	writer_ready_attribute(w, name_href, 4, href, strlen(href), TEXT_VALUE);
	writer_ready_attribute(w, name_rel, 3, rel, strlen(rel), PLAIN_VALUE);
	writer_close(w);
}

/* Most of what an object with many sub-collections shows: in one piece. scratch: where the record is, escaped, and a slash. rel: plain. */
static void write_link(struct writer *w, const char *rel)
{
	size_t length = strlen(rel), size = w->scratch->len + 2 * length + 32;
	char *p;

	if (w->xml) {
		p = text_put(writer_xml_lead(w, size), "<link href=\"", 12);
	} else {
		writer_json_lead(w, name_link, 4);
		p = text_put(text_reserve(w->out, size), "{\"href\":\"", 9);
	}
	p = text_put(text_put(p, w->scratch->str, w->scratch->len), rel, length);
	p = w->xml ? text_put(p, "\" rel=\"", 7) : text_put(p, "\",\"rel\":\"", 9);
	p = text_put(p, rel, length);
	text_filled(w->out, w->xml ? text_put(p, "\"/>\n", 4) : text_put(p, "\"}", 2));
}

/* href: where the record is; hrefs: of links that lead elsewhere. */
static void write_links(struct writer *w, const char *href, const char *const *names, const char *const *hrefs)
{
	writer_open_list(w, name_link);
	g_string_truncate(w->scratch, 0);
	writer_escape(w->scratch, href, strlen(href), w->xml ? ESCAPE_XML_ATTRIBUTE : ESCAPE_JSON);
	text_append(w->scratch, "/", 1);
	for (size_t i = 0; names[i]; i++) {
		if (hrefs && hrefs[i]) {
			write_whole_link(w, names[i], hrefs[i]);
		} else if (w->pretty || w->ascii) {
			g_autofree char *below = g_strconcat(href, "/", names[i], NULL);

			write_whole_link(w, names[i], below);
		} else {
			write_link(w, names[i]);
		}
	}
	writer_close_list(w);
}

static void write_tree(struct writer *w, const struct plan *plan, const void *record, const struct record_view *view)
{
	struct walk walk = { .w = w, .record = record, .view = view, .bit = DIALECT_BIT(w->dialect) };
	const struct node *root = plan->root, *child;
	bool links = view && view->href && view->links && *view->links;

	if (view && view->href)
		writer_ready_attribute(w, name_href, 4, view->href, strlen(view->href), TEXT_VALUE);
	write_attributes(&walk, root);
	if (root->field)
		write_own(&walk, root);
	if (view && view->href && view->actions) {
		writer_open_ready(w, name_actions, 7);
		write_links(w, view->href, view->actions, NULL);
		writer_close(w);
	}
	for (child = root->first; child; child = child->next)
		if (!child->attribute && child->head)
			write_node(&walk, child);
	if (links)
		write_links(w, view->href, view->links, view->link_hrefs);
	for (child = root->first; child; child = child->next)
		if (!child->attribute && !child->head)
			write_node(&walk, child);
	if (view && view->extra)
		view->extra(view, w, record);
}

/* RECORD_STORE: path -> value, nothing nested but items. */
static void write_flat(struct writer *w, const struct plan *plan, const void *record)
{
	struct walk walk = { .w = w, .record = record, .bit = DIALECT_BIT(RECORD_STORE) };

	for (unsigned i = 0; i < plan->n_flat; i++)
		if (member_present(record, plan->flat[i].field, plan->flat[i].index))
			write_member(&walk, &plan->flat[i]);
}

static void write_members(struct writer *w, const struct plan *plan, const void *record, const struct record_view *view)
{
	if (w->dialect == RECORD_STORE)
		write_flat(w, plan, record);
	else
		write_tree(w, plan, record, view);
}

void record_write(struct writer *w, const char *name, const void *record, const struct record_view *view)
{
	const struct plan *plan = record_plan(((const struct record *)record)->type);

	if (name) {
		writer_open(w, name);
		write_members(w, plan, record, view);
		writer_close(w);
	} else {
		write_record(w, plan->name, plan->name_length, plan, record, view);
	}
}
