/* SPDX-License-Identifier: Apache-2.0 */
/* Network attachments of a host (REST 14.7.1): each change is a set-up of that one network. */
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"
#include "engine/model/kinds.h"

static GPtrArray *list(struct request *request, GError **error)
{
	struct host_caps *caps = fleet_host_caps(request->engine->fleet, object_id(request->parent));
	GPtrArray *attachments = host_attachments(request, request->parent, caps);

	record_unref(caps);
	return attachments;
}

/* As the host has it now; new reference. */
static struct network_attachment *attachment_of(struct request *request, const char *name, GError **error)
{
	struct host_caps *caps = host_capabilities(request, request->parent, error);
	g_autoptr(GPtrArray) attachments = caps ? host_attachments(request, request->parent, caps) : NULL;
	struct network_attachment *found = NULL;

	for (guint i = 0; attachments && i < attachments->len && !found; i++)
		if (!g_strcmp0(((const struct network_attachment *)attachments->pdata[i])->name, name))
			found = record_ref(attachments->pdata[i]);
	if (attachments && !found)
		error_set(error, ERR_NOT_FOUND, "the host was set up, and shows no network '%s'", name);
	record_unref(caps);
	return found;
}

static bool set_up_one(struct request *request, struct network_attachment *wish, bool removal, struct network_attachment **ret_attachment, GError **error)
{
	g_autoptr(GPtrArray) one = list_new();
	struct network_setup setup = { .check_connectivity = true, .timeout_s = SETUP_TIMEOUT_S };
	g_autofree char *name = NULL;

	g_ptr_array_add(one, record_ref(wish));
	if (removal)
		setup.removed = one;
	else
		setup.modified = one;
	if (!host_setup_networks(request, request->parent, &setup, &name, error))
		return false;
	if (removal)
		return true;
	*ret_attachment = attachment_of(request, name, error);
	return *ret_attachment != NULL;
}

static bool is_attached(struct request *request, const struct network_attachment *wish, GError **error)
{
	g_autoptr(GPtrArray) attachments = list(request, NULL);

	for (guint i = 0; i < attachments->len; i++) {
		const struct network_attachment *attachment = attachments->pdata[i];

		if ((wish->network.id && !g_strcmp0(wish->network.id, attachment->network.id)) ||
		    (wish->network.name && !g_ascii_strcasecmp(wish->network.name, attachment->name))) {
			error_set(error, ERR_OPERATION_FAILED, "network '%s' is attached to the host already", attachment->name);
			return true;
		}
	}
	return false;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct network_attachment *wish = input;

	if (wish->id) {
		error_set(error, ERR_BAD_VALUE, "network_attachment: @id: an id names an attachment that is there; use PUT to change it");
		return false;
	}
	return !is_attached(request, wish, error) && set_up_one(request, wish, false, (struct network_attachment **)ret_record, error);
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct network_attachment *before = current;
	struct network_attachment *wish = record_copy(input);
	bool ok;

	set_string(&wish->id, before->id);
	ok = set_up_one(request, wish, false, (struct network_attachment **)ret_record, error);
	record_unref(wish);
	return ok;
}

static bool detach(struct request *request, const void *current, const void *options, GError **error)
{
	return set_up_one(request, (struct network_attachment *)current, true, NULL, error);
}

const struct resource resource_host_network_attachment = {
	.type = &network_attachment_type, .path = "networkattachments", .parent = &resource_host, .methods = RESOURCE_ALL, .links = no_links,
	.permit_add = "configure_host_network", .permit_update = "configure_host_network", .permit_remove = "configure_host_network",
	.doc = "Networks that a host has", .list = list, .add = add, .update = update, .remove = detach,
};
