/* SPDX-License-Identifier: Apache-2.0 */
/* Templates (REST chapter 17). Blank cannot be changed or removed. */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/model/kinds.h"
#include "engine/model/template.h"
#include "engine/store/store.h"
#include <string.h>

#define EVENT_UPDATED 49
#define EVENT_REMOVED 251

static bool check_blank(const struct template *template, const char *what, GError **error)
{
	if (strcmp(template->id, BLANK_ID))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "template '%s' is what all others are made from: it cannot be %s", template->name, what);
	return false;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct template *template = changed;
	struct change *change;

	if (record_equal(current, changed)) {
		*ret_record = record_ref(current);
		return true;
	}
	if (!check_blank(current, "changed", error))
		return false;
	change = change_new(request->engine->store);
	change_replace(change, current, template);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]) { template, NULL }, "Template %s configuration was updated by %s.", template->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(template);
	return true;
}

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	const struct template *template = current;
	struct change *change;

	if (!check_blank(template, "removed", error))
		return false;
	change = change_new(request->engine->store);
	change_remove(change, template);
	change_event(change, EVENT_REMOVED, &request->actor, NULL, "Removal of Template %s has been completed.", template->name);
	return change_commit(change, error);
}

static const char *const links[] = { "disks", "nics", "cdroms", "permissions", "watchdogs", NULL };
const struct resource resource_template = {
	.kind = &template_kind, .path = "templates", .methods = RESOURCE_READ | RESOURCE_UPDATE | RESOURCE_REMOVE, .links = links,
	.permit_update = "edit_template_properties", .permit_remove = "delete_template", .doc = "What virtual machines are made from", .update = update,
	.remove = remove_,
};
const struct resource resource_template_permission = PERMISSION_RESOURCE(&resource_template);
