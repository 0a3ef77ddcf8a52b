/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tags (REST chapter 23): a flat collection, the tree is in their parents. The root is its own parent and stays as it is; its id is -1, and the entry
 * point links to it by the zero id: both are found.
 */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/model/kinds.h"
#include "engine/model/tag.h"
#include "engine/store/store.h"
#include <string.h>

static void *get(struct request *request, const char *id, GError **error)
{
	struct tag *tag = model_get(request->engine->model, &tag_kind, strcmp(id, ROOT_TAG_ALIAS) ? id : ROOT_TAG_ID);

	if (!tag)
		error_set(error, ERR_NOT_FOUND, "tag '%s'", id);
	return tag;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct tag *tag = input;
	struct change *change;

	if (!tag->parent.id)
		set_ref(&tag->parent, ROOT_TAG_ID);
	change = change_new(request->engine->store);
	change_add(change, tag);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(tag);
	return true;
}

/* Run by the writer: the way up from the tag leads to the root, not back to the tag. */
static bool check_circle(struct model *model, void *data, GError **error)
{
	const struct tag *tag = data;
	g_autofree char *up = g_strdup(tag->parent.id);

	while (up && strcmp(up, ROOT_TAG_ID)) {
		struct tag *parent;

		if (!strcmp(up, tag->id)) {
			error_set(error, ERR_OPERATION_FAILED, "tag '%s' cannot be put below itself", tag->name);
			return false;
		}
		parent = model_get(model, &tag_kind, up);
		g_free(up);
		up = parent ? g_strdup(parent->parent.id) : NULL;
		record_unref(parent);
	}
	return true;
}

static bool check_root(const struct tag *tag, const char *what, GError **error)
{
	if (strcmp(tag->id, ROOT_TAG_ID))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "tag '%s' is the root: it cannot be %s", tag->name, what);
	return false;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct change *change;

	if (!check_root(current, "changed", error))
		return false;
	change = change_new(request->engine->store);
	change_check(change, check_circle, changed);
	change_replace(change, current, changed);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(changed);
	return true;
}

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	struct change *change;

	if (!check_root(current, "removed", error))
		return false;
	change = change_new(request->engine->store);
	change_remove(change, current);
	return change_commit(change, error);
}

const struct resource resource_tag = {
	.kind = &tag_kind, .path = "tags", .methods = RESOURCE_ALL, .links = no_links, .permit_add = "tag_management", .permit_update = "tag_management",
	.permit_remove = "tag_management", .doc = "Labels for hosts, users and virtual machines", .get = get, .add = add, .update = update, .remove = remove_,
};
