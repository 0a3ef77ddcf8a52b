/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects and collections of resources, by their handlers or, where a row has none, from the model: members of a sub-collection are the records that
 * refer to the parent's object.
 */
#include <string.h>
#include "common/error.h"
#include "engine/api/api-priv.h"
#include "engine/model/model.h"

const char *request_parameter(const struct request *request, const char *name)
{
	return request->parameters ? g_hash_table_lookup(request->parameters, name) : NULL;
}

bool request_flag(const struct request *request, const char *name)
{
	const char *value = request_parameter(request, name);
	return value && (!*value || g_ascii_strcasecmp(value, "true") == 0);
}

const struct record_type *resource_type(const struct resource *resource)
{
	g_assert(resource->type || resource->kind);
	return resource->type ? resource->type : resource->kind->type;
}

const struct field *member_parent_field(const struct resource *resource)
{
	const struct resource *parent = resource->parent;
	if (!parent || !resource->kind || !parent->kind)
		return NULL;
	if (resource->kind->parent && resource->kind->parent_kind == parent->kind)
		return record_field_at(resource->kind->type, resource->kind->parent);
	/* a top-level kind seen through another: clusters of a data center */
	const struct field *field = record_field(resource->kind->type, parent->kind->type->name);
	return field && field->kind == FIELD_REF && field->target && strcmp(field->target, parent->kind->collection) == 0 ? field : NULL;
}

#define REFERENCE(object, field) ((const struct ref *)(const void *)((const char *)(object) + (field)->offset))

/* Events are shown newest first, and from an id on when asked so. */
static void newest_first(const struct request *request, GPtrArray *objects)
{
	for (guint i = 0; i < objects->len / 2; i++) {
		gpointer other = objects->pdata[objects->len - 1 - i];
		objects->pdata[objects->len - 1 - i] = objects->pdata[i];
		objects->pdata[i] = other;
	}
	const char *from = request_parameter(request, "from");
	if (!from)
		return;
	gint64 first = g_ascii_strtoll(from, NULL, 10);
	while (objects->len > 0 && g_ascii_strtoll(object_id(objects->pdata[objects->len - 1]), NULL, 10) < first)
		g_ptr_array_set_size(objects, (gint)objects->len - 1);
}

struct sight *member_sight(const struct request *request, const struct kind *kind)
{
	return request->access ? access_sight(request->access, request->engine->model, kind, request->filter) : NULL;
}

/* All, but for those of which the records tell that they are not shown. */
static GPtrArray *all_of_kind(const struct request *request, const struct kind *kind)
{
	struct model *model = request->engine->model;
	struct sight *sight = member_sight(request, kind);
	struct model_filter filter = { .fits = sight ? sight_sees : NULL, .data = sight };
	GHashTable *ids = sight ? sight_ids(sight) : NULL;
	GPtrArray *objects = ids ? model_pick(model, kind, ids) : model_select(model, kind, &filter, SIZE_MAX);

	sight_free(sight);
	return objects;
}

static GPtrArray *all_members(struct request *request, GError **error)
{
	const struct resource *resource = request->resource;
	if (resource->list)
		return resource->list(request, error);
	if (!resource->kind)
		return g_ptr_array_new_with_free_func(record_unref);
	GPtrArray *objects;
	const struct field *field = member_parent_field(resource);
	if (field && resource->kind->parent == field->offset)
		objects = model_children(request->engine->model, resource->kind, object_id(request->parent));
	else if (field)
		objects = model_referring(request->engine->model, resource->kind, field->offset, object_id(request->parent));
	else
		objects = all_of_kind(request, resource->kind);
	if (resource->kind->sequence)
		newest_first(request, objects);
	return objects;
}

bool member_all_shown(const struct request *request)
{
	return !request->access || access_sees_all(request->access, request->filter);
}

bool member_of_model(const struct request *request)
{
	const struct resource *resource = request->resource;

	return resource->kind && !resource->list && !resource->kind->sequence && !member_parent_field(resource);
}

GPtrArray *member_list(struct request *request, GError **error)
{
	GPtrArray *objects = all_members(request, error);
	guint kept = 0;

	if (member_all_shown(request))
		return objects;
	for (guint i = 0; objects && i < objects->len; i++) {
		void *object = objects->pdata[i];

		objects->pdata[i] = NULL;
		if (request_sees(request, object))
			objects->pdata[kept++] = object;
		else
			record_unref(object);
	}
	if (objects)
		g_ptr_array_set_size(objects, (gint)kept);
	return objects;
}

static void not_found(const struct resource *resource, const char *id, GError **error)
{
	error_set(error, ERR_NOT_FOUND, "%s '%.128s'", resource_type(resource)->name, id);
}

static void *any_member(struct request *request, const char *id, GError **error)
{
	const struct resource *resource = request->resource;
	if (resource->get)
		return resource->get(request, id, error);
	if (!resource->kind || resource->list) {
		/* few members: look through them */
		GPtrArray *objects = all_members(request, error);
		void *found = NULL;
		for (guint i = 0; objects && !found && i < objects->len; i++)
			if (g_strcmp0(object_id(g_ptr_array_index(objects, i)), id) == 0)
				found = record_ref(g_ptr_array_index(objects, i));
		if (objects && !found)
			not_found(resource, id, error);
		if (objects)
			g_ptr_array_unref(objects);
		return found;
	}
	void *object = model_get(request->engine->model, resource->kind, id);
	const struct field *field = object ? member_parent_field(resource) : NULL;
	if (field && g_strcmp0(REFERENCE(object, field)->id, object_id(request->parent)) != 0) {
		record_unref(object);
		object = NULL;
	}
	if (!object)
		not_found(resource, id, error);
	return object;
}

void *member_get(struct request *request, const char *id, GError **error)
{
	void *object = any_member(request, id, error);

	if (!object || request_sees(request, object))
		return object;
	record_unref(object);
	not_found(request->resource, id, error);
	return NULL;
}

void *member_view(struct request *request, void *record)
{
	return request->resource && request->resource->view ? request->resource->view(request, record) : record_ref(record);
}

bool member_parents(struct call *call, unsigned depth, GError **error)
{
	struct request *request = &call->request;
	void *parent = NULL;
	for (unsigned i = 0; i < depth; i++) {
		request->resource = call->route.chain[i];
		request->parent = parent;
		void *object = member_get(request, call->route.ids[i], error);
		record_unref(parent);
		request->parent = NULL;
		if (!object)
			return false;
		parent = object;
	}
	record_unref(request->parent);
	request->resource = call->route.chain[depth];
	request->parent = parent;
	return true;
}

void *object_of_call(struct call *call, GError **error)
{
	unsigned last = call->route.depth - 1;
	g_clear_pointer(&call->request.parent, record_unref);
	return member_parents(call, last, error) ? member_get(&call->request, call->route.ids[last], error) : NULL;
}
