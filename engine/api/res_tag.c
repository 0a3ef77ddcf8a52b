/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tags (REST chapter 23): a flat collection, the tree is in their parents. The root is its own parent and stays as it is; its id is -1, and the entry
 * point links to it by the zero id: both are found.
 *
 * That an object has a tag is an object of its own (a tag assignment), which goes with either. Below a VM, host, user, group or template a tag is shown
 * with a reference to that instead of its parent. The id of an assignment is made from both ids, so that there is one at most.
 */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/api/res_vm.h"
#include "engine/model/kinds.h"
#include "engine/model/tag.h"
#include "engine/store/store.h"
#include <string.h>

#define EVENT_UPDATED 430
#define EVENT_ADDED 432
#define EVENT_REMOVED 434

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
	change_event(change, EVENT_ADDED, &request->actor, NULL, "Tag %s was added by %s.", tag->name, request->actor.user_name);
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
	change_event(change, EVENT_UPDATED, &request->actor, NULL, "Tag %s configuration was updated by %s.", object_name(changed), request->actor.user_name);
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
	change_event(change, EVENT_REMOVED, &request->actor, NULL, "Tag %s was removed by %s.", object_name(current), request->actor.user_name);
	return change_commit(change, error);
}

const struct resource resource_tag = {
	.kind = &tag_kind, .path = "tags", .methods = RESOURCE_ALL, .links = no_links, .permit_add = "tag_management", .permit_update = "tag_management",
	.permit_remove = "tag_management", .doc = "Labels for hosts, users and virtual machines", .get = get, .add = add, .update = update, .remove = remove_,
};

/* ---- tags of an object ---- */

struct place { const struct kind *kind; size_t assigned, shown; const char *noun; int attached, detached; };
#define PLACE(member, noun, attached, detached) \
	{ &member##_kind, offsetof(struct tag_assignment, member), offsetof(struct tag, member), noun, attached, detached }
static const struct place places[] = {
	PLACE(vm, "VM(s)", 440, 446), PLACE(host, "Host(s)", 442, 444), PLACE(user, "User(s)", 436, 448), PLACE(group, "Group(s)", 438, 450),
	PLACE(template, "Template(s)", 183, 185),
};

static const struct place *place_of(const void *object)
{
	const struct kind *kind = kind_of(object);
	size_t i = 0;

	while (places[i].kind != kind)
		i++;
	return &places[i];
}

static struct ref *ref_at(void *record, size_t offset)
{
	return (struct ref *)(void *)((char *)record + offset);
}

/* One for each pair. */
static char *assignment_id(const char *tag, const char *object)
{
	g_autofree char *pair = g_strconcat(tag, " ", object, NULL), *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, pair, -1);

	return g_strdup_printf("%.8s-%.4s-5%.3s-a%.3s-%.12s", sum, sum + 8, sum + 13, sum + 17, sum + 20);
}

/* The tag as it is shown below the object. */
static struct tag *attached(const struct tag *tag, const void *object)
{
	struct tag *shown = record_copy(tag);

	CLEAR(shown, parent);
	set_ref(ref_at(shown, place_of(object)->shown), object_id(object));
	return shown;
}

static GPtrArray *attached_list(struct request *request, GError **error)
{
	struct model *model = request->engine->model;
	g_autoptr(GPtrArray) assignments =
		model_referring(model, &tag_assignment_kind, place_of(request->parent)->assigned, object_id(request->parent));
	GPtrArray *list = list_new();

	for (unsigned i = 0; i < assignments->len; i++) {
		struct tag *tag = model_get(model, &tag_kind, ((const struct tag_assignment *)assignments->pdata[i])->tag.id);

		if (tag)
			g_ptr_array_add(list, attached(tag, request->parent));
		record_unref(tag);
	}
	return list;
}

/* The tag that is meant: there by id or name, or new when the request says where it belongs or what it is. */
static struct tag *wanted_tag(struct request *request, struct tag *input, struct change *change, GError **error)
{
	struct model *model = request->engine->model;
	struct tag *tag = input->id ? model_get(model, &tag_kind, input->id) : model_find(model, &tag_kind, NULL, input->name);

	if (tag)
		return tag;
	if (!input->id && !input->name) {
		error_set(error, ERR_INCOMPLETE, "Tag [id|name] required for add");
		return NULL;
	}
	if (input->id || (!input->parent.id && !input->description)) {
		error_set(error, ERR_NOT_FOUND, "tag '%s'", input->id ? input->id : input->name);
		return NULL;
	}
	if (!input->parent.id)
		set_ref(&input->parent, ROOT_TAG_ID);
	change_add(change, input);
	change_event(change, EVENT_ADDED, &request->actor, NULL, "Tag %s was added by %s.", input->name, request->actor.user_name);
	return record_ref(input);
}

static const char *name_of(const void *object)
{
	return object_name(object) ? object_name(object) : object_id(object);
}

static bool attach(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct place *place = place_of(request->parent);
	struct change *change = change_new(request->engine->store);
	struct tag *tag = wanted_tag(request, input, change, error);
	struct tag_assignment *assignment;
	void *there;
	bool ok = true;

	if (!tag) {
		change_free(change);
		return false;
	}
	assignment = record_new(&tag_assignment_type);
	assignment->id = assignment_id(tag->id, object_id(request->parent));
	set_ref(&assignment->tag, tag->id);
	set_ref(ref_at(assignment, place->assigned), object_id(request->parent));
	there = model_get(request->engine->model, &tag_assignment_kind, assignment->id);
	if (there) {
		change_free(change);
	} else {
		change_add(change, assignment);
		change_event(change, place->attached, &request->actor, (void *[]){ request->parent, NULL }, "Tag %s was attached to %s %s by %s.", tag->name,
			     place->kind == &template_kind ? "Templates(s)" : place->noun, name_of(request->parent), request->actor.user_name);
		ok = change_commit(change, error);
	}
	if (ok)
		*ret_record = attached(tag, request->parent);
	record_unref(there);
	record_unref(assignment);
	record_unref(tag);
	return ok;
}

static bool detach(struct request *request, const void *current, const void *options, GError **error)
{
	const struct place *place = place_of(request->parent);
	g_autofree char *id = assignment_id(object_id(current), object_id(request->parent));
	void *assignment = model_get(request->engine->model, &tag_assignment_kind, id);
	struct change *change;
	bool ok;

	if (!assignment) {
		error_set(error, ERR_NOT_FOUND, "tag '%s'", object_id(current));
		return false;
	}
	change = change_new(request->engine->store);
	change_remove(change, assignment);
	change_event(change, place->detached, &request->actor, (void *[]){ request->parent, NULL }, "Tag %s was detached from %s %s by %s.",
		     object_name(current), place->noun, name_of(request->parent), request->actor.user_name);
	ok = change_commit(change, error);
	record_unref(assignment);
	return ok;
}

#define TAGS_RESOURCE(of, text) { \
	.type = &attached_tag_type, .path = "tags", .parent = (of), .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links, \
	.permit_add = "tag_management", .permit_remove = "tag_management", .doc = (text), .list = attached_list, .add = attach, .remove = detach }
const struct resource resource_vm_tag = TAGS_RESOURCE(&resource_vm, "Tags of the virtual machine");
const struct resource resource_host_tag = TAGS_RESOURCE(&resource_host, "Tags of the host");
const struct resource resource_user_tag = TAGS_RESOURCE(&resource_user, "Tags of the user");
const struct resource resource_group_tag = TAGS_RESOURCE(&resource_group, "Tags of the group");
const struct resource resource_template_tag = TAGS_RESOURCE(&resource_template, "Tags of the template");
