/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as the client sees them: hrefs, links, actions, and what "detail=" puts inside.
 *
 * Hot path of big lists: one writer and one output string for all members, the href is built in one string that is cut back to the collection's; the
 * string is made as long as the first member lets expect.
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/api-priv.h"
#include "engine/model/model.h"

#define ANSWER_BYTES (16 * 1024)                /* most objects need no more */
#define AHEAD_BYTES ((size_t)8 * 1024 * 1024)   /* a string that gets longer than that grows by doubling */

/* Which sub-collections may stand inside a member, guide 7.3.3. Others are not an error; they are left out. */
static const struct { const char *path, *detail; } inline_details[] = {
	{ "hosts", "statistics" }, { "vms", "statistics" }, { "vms", "nics" }, { "vms", "disks" },
};

struct shown {
	struct call *call;
	const struct resource *resource;
	const char *creation;
	const char *const *links;                /* JSON with a creation: written here, because "link" can be there only once */
	void *object;
};

static const char **children(const struct resource *resource)
{
	GPtrArray *names = g_ptr_array_new();
	for (size_t i = 0; resources[i]; i++)
		if (resources[i]->parent == resource)
			g_ptr_array_add(names, (gpointer)resources[i]->path);
	g_ptr_array_add(names, NULL);
	return (const char **)g_ptr_array_free(names, FALSE);
}

/* Objects of the kind have no collection of their own: they are shown below another object. */
static bool only_below(const struct kind *kind)
{
	for (size_t i = 0; resources[i]; i++)
		if (!resources[i]->parent && resources[i]->kind == kind)
			return false;
	return kind->parent != 0;
}

static bool refers_below(const struct record_type *type)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];
		const struct kind *kind = field->kind == FIELD_REF && field->target ? kind_by_collection(field->target) : NULL;

		if (kind && only_below(kind))
			return true;
	}
	return false;
}

const struct face *api_face(struct api *api, const struct resource *resource)
{
	struct face *face = g_hash_table_lookup(api->faces, resource);
	if (face)
		return face;
	/* made for every resource by api_new(); later only read, from any thread */
	face = g_new0(struct face, 1);
	if (!resource->links) {
		face->links = children(resource);
	} else {
		GPtrArray *names = g_ptr_array_new();
		for (const char *const *link = resource->links; *link; link++)
			if (**link)
				g_ptr_array_add(names, (gpointer)*link);
		g_ptr_array_add(names, NULL);
		face->links = (const char **)g_ptr_array_free(names, FALSE);
	}
	GPtrArray *names = g_ptr_array_new();
	for (const struct action *action = resource->actions; action && action->name; action++)
		if (!strchr(action->name, '/'))
			g_ptr_array_add(names, (gpointer)action->name);
	g_ptr_array_add(names, NULL);
	face->actions = (const char **)g_ptr_array_free(names, FALSE);
	face->refers_below = refers_below(resource_type(resource));
	g_hash_table_insert(api->faces, (gpointer)resource, face);
	return face;
}

struct writer *render_writer(enum format format, GString *out)
{
	return format == FORMAT_JSON ? writer_new_json(out, RECORD_REST, false) : writer_new_xml(out);
}

static void write_link(struct writer *w, const char *href, const char *rel, const char *tail)
{
	char *full = g_strconcat(href, "/", rel, tail ? "/" : NULL, tail, NULL);
	writer_open(w, "link");
	writer_attribute(w, "href", full);
	writer_attribute(w, "rel", rel);
	writer_close(w);
	g_free(full);
}

static void write_members(struct writer *w, struct call *call, const struct resource *resource, GPtrArray *objects, GString *href, GString *out);

/* One sub-collection inside its object. Errors leave it out: the object is shown all the same. */
static void write_inline(struct writer *w, struct shown *shown, const struct record_view *view, const struct resource *child)
{
	struct request request = shown->call->request;
	request.resource = child;
	request.parent = shown->object;
	GPtrArray *objects = member_list(&request, NULL);
	if (!objects)
		return;
	const struct record_type *type = resource_type(child);
	GString *href = g_string_new(view->href);
	g_string_append_c(href, '/');
	g_string_append(href, child->path);
	struct request outer = shown->call->request;
	shown->call->request = request;
	GPtrArray *details = g_steal_pointer(&shown->call->details);
	writer_open(w, type->plural);
	writer_open_list(w, type->name);
	write_members(w, shown->call, child, objects, href, /* out= */ NULL);
	writer_close_list(w);
	writer_close(w);
	shown->call->details = details;
	shown->call->request = outer;
	g_string_free(href, TRUE);
	g_ptr_array_unref(objects);
}

static const struct resource *inline_child(const struct resource *resource, const char *detail)
{
	bool allowed = false;
	for (size_t i = 0; i < G_N_ELEMENTS(inline_details); i++)
		allowed = allowed ||
			  (!resource->parent && strcmp(inline_details[i].path, resource->path) == 0 && strcmp(inline_details[i].detail, detail) == 0);
	for (size_t i = 0; allowed && resources[i]; i++)
		if (resources[i]->parent == resource && strcmp(resources[i]->path, detail) == 0)
			return resources[i];
	return NULL;
}

static void write_extra(const struct record_view *view, struct writer *w, const void *record)
{
	struct shown *shown = view->data;
	if (shown->creation) {
		if (shown->links) {
			writer_open_list(w, "link");
			for (const char *const *link = shown->links; *link; link++)
				write_link(w, view->href, *link, NULL);
		}
		write_link(w, view->href, "creation_status", shown->creation);
		if (shown->links)
			writer_close_list(w);
		writer_open(w, "creation_status");
		writer_text(w, "state", action_state_names[ACTION_PENDING]);
		writer_close(w);
	}
	const GPtrArray *details = shown->call->details;
	for (guint i = 0; details && i < details->len; i++) {
		const struct resource *child = inline_child(shown->resource, g_ptr_array_index(details, i));
		if (child)
			write_inline(w, shown, view, child);
	}
}

/* A reference to the object that the collection belongs to: where it is seen from here (a NIC has no collection of its own). */
static void owner_href(const struct record_view *view, GString *out, const struct field *field, const struct ref *ref)
{
	const struct shown *shown = view->data;
	const void *owner = shown->call->request.parent;
	if (owner && ref->id && strcmp(object_id(owner), ref->id) == 0) {
		const char *end = strrchr(view->href, '/');
		while (end > view->href && *--end != '/') {
		}
		g_string_append_len(out, view->href, end - view->href);
	} else if (ref->id) {
		g_string_append_printf(out, "%s/%s/%s", view->base, field->target, ref->id);
	}
}

/* A reference to what is below another object: /datacenters/{}/qoss/{}. */
static void below_href(const struct record_view *view, GString *out, const struct field *field, const struct ref *ref)
{
	const struct shown *shown = view->data;
	const struct kind *kind = kind_by_collection(field->target);
	void *object = ref->id && kind && only_below(kind) ? model_get(shown->call->api->engine->model, kind, ref->id) : NULL;

	if (object)
		g_string_append_printf(out, "%s/%s/%s/%s/%s", view->base, kind->parent_kind->collection, object_parent(object), field->target, ref->id);
	else if (ref->id && field->target)
		g_string_append_printf(out, "%s/%s/%s", view->base, field->target, ref->id);
	record_unref(object);
}

/* The links, or actions, that this very record has; names stay the face's. */
static void choose_links(struct call *call, const struct resource *resource, const void *seen, const char *const *names, GPtrArray *links, GPtrArray *hrefs)
{
	for (; names && *names; names++) {
		char *href = resource->link(&call->request, seen, *names);
		if (!href)
			continue;
		g_ptr_array_add(links, (gpointer)*names);
		if (!*href)
			g_clear_pointer(&href, g_free);
		g_ptr_array_add(hrefs, href);
	}
	g_ptr_array_add(links, NULL);
}

static void write_one(struct writer *w, struct call *call, const struct resource *resource, void *object, const char *href, const char *creation)
{
	const struct face *face = api_face(call->api, resource);
	void *seen = member_view(&call->request, object);
	g_autofree char *own = resource->by_itself ? g_strdup_printf("%s/%s/%s", call->route.base, resource->kind->collection, object_id(object)) : NULL;
	g_autoptr(GPtrArray) links = NULL, hrefs = NULL, actions = NULL, unused = NULL;
	struct shown shown = { .call = call, .resource = resource, .creation = creation, .object = object };
	struct record_view view = {
		.base = call->route.base,
		.href = own ? own : href,
		.actions = resource->actions ? face->actions : NULL,
		.links = face->links,
		.all_content = call->request.all_content,
		.data = &shown,
	};
	if (resource->link) {
		links = g_ptr_array_new();
		hrefs = g_ptr_array_new_with_free_func(g_free);
		choose_links(call, resource, seen, face->links, links, hrefs);
		view.links = (const char *const *)links->pdata;
		view.link_hrefs = (const char *const *)hrefs->pdata;
		actions = g_ptr_array_new();
		unused = g_ptr_array_new_with_free_func(g_free);
		choose_links(call, resource, seen, view.actions, actions, unused);
		if (view.actions)
			view.actions = (const char *const *)actions->pdata;
	}
	if (!resource->kind && call->request.parent)
		view.ref_href = owner_href;
	else if (face->refers_below)
		view.ref_href = below_href;
	if (creation || (call->details && call->details->len > 0))
		view.extra = write_extra;
	if (creation && call->format == FORMAT_JSON) {
		shown.links = face->links;
		view.links = NULL;
	}
	record_write(w, NULL, seen, &view);
	record_unref(seen);
}

/* out: what the writer writes to, when these are all that it will hold. */
static void write_members(struct writer *w, struct call *call, const struct resource *resource, GPtrArray *objects, GString *href, GString *out)
{
	g_string_append_c(href, '/');
	size_t length = href->len;
	for (guint i = 0; i < objects->len; i++) {
		void *object = g_ptr_array_index(objects, i);
		g_string_truncate(href, length);
		g_string_append_uri_escaped(href, object_id(object), "!*'()@:&=+$,", FALSE);
		write_one(w, call, resource, object, href->str, NULL);
		if (i == 0 && out) {
			size_t so_far = out->len;
			g_string_set_size(out, MAX(so_far, MIN(so_far * objects->len, AHEAD_BYTES)));
			g_string_truncate(out, so_far);
		}
	}
}

GString *render_object(struct call *call, const void *object, const char *href, const char *creation)
{
	GString *out = g_string_sized_new(ANSWER_BYTES), *path = g_string_sized_new(128);
	const struct resource *resource = route_resource(&call->route);
	if (href) {
		g_string_append(path, href);
	} else {
		route_href(&call->route, false, path);
		g_string_append_c(path, '/');
		g_string_append_uri_escaped(path, object_id(object), "!*'()@:&=+$,", FALSE);
	}
	struct writer *w = render_writer(call->format, out);
	write_one(w, call, resource, (void *)object, path->str, creation);
	writer_free(w);
	g_string_free(path, TRUE);
	return out;
}

GString *render_collection(struct call *call, GPtrArray *objects)
{
	const struct resource *resource = route_resource(&call->route);
	const struct record_type *type = resource_type(resource);
	GString *out = g_string_sized_new(ANSWER_BYTES), *href = g_string_sized_new(128);
	struct writer *w = render_writer(call->format, out);
	route_href(&call->route, false, href);
	writer_open(w, type->plural);
	writer_open_list(w, type->name);
	write_members(w, call, resource, objects, href, out);
	writer_close_list(w);
	writer_close(w);
	writer_free(w);
	g_string_free(href, TRUE);
	return out;
}

GString *render_plain(struct call *call, const void *record, const char *href)
{
	GString *out = g_string_sized_new(1024);
	struct writer *w = render_writer(call->format, out);
	const struct record_view view = { .base = call->route.base ? call->route.base : "/api", .href = href };
	record_write(w, NULL, record, &view);
	writer_free(w);
	return out;
}

void answer_object(struct call *call, int status, const void *object, const char *creation)
{
	exchange_answer(call->exchange, status, format_type(call->format), render_object(call, object, NULL, creation));
}

void answer_record(struct call *call, int status, const void *record, const char *href)
{
	exchange_answer(call->exchange, status, format_type(call->format), render_plain(call, record, href));
}
