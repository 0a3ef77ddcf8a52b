/* SPDX-License-Identifier: Apache-2.0 */
/* Network attachments of a host (REST 14.7.1) and of one of its interfaces (14.7.2.3.1): each change is a set-up of that one network. */
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"
#include "engine/model/kinds.h"

/* Below a host the parent is the host, below its interface the interface; new reference. NULL + error: the host went meanwhile. */
static struct host *host_of(struct request *request, GError **error)
{
	const struct host_nic *nic = request->resource == &resource_nic_network_attachment ? request->parent : NULL;
	struct host *host = nic ? model_get(request->engine->model, &host_kind, nic->host.id) : record_ref(request->parent);

	if (!host && nic)
		error_set(error, ERR_NOT_FOUND, "host '%s'", nic->host.id);
	return host;
}

static const char *nic_id_of(const struct request *request)
{
	return request->resource == &resource_nic_network_attachment ? object_id(request->parent) : NULL;
}

static GPtrArray *list(struct request *request, GError **error)
{
	struct host *host = host_of(request, error);
	struct host_caps *caps = host ? fleet_host_caps(request->engine->fleet, host->id) : NULL;
	GPtrArray *attachments = host ? host_attachments(request, host, caps) : NULL;

	for (guint i = attachments && nic_id_of(request) ? attachments->len : 0; i > 0; i--)
		if (g_strcmp0(((const struct network_attachment *)attachments->pdata[i - 1])->host_nic_id, nic_id_of(request)))
			g_ptr_array_remove_index(attachments, i - 1);
	record_unref(caps);
	record_unref(host);
	return attachments;
}

/* As the host has it now, and as it was told just before; new reference. */
static struct network_attachment *attachment_of(struct request *request, const char *host_id, const char *name, GError **error)
{
	struct host *host = model_get(request->engine->model, &host_kind, host_id);
	struct host_caps *caps = host ? host_capabilities(request, host, error) : NULL;
	g_autoptr(GPtrArray) attachments = caps ? host_attachments(request, host, caps) : NULL;
	struct network_attachment *found = NULL;

	for (guint i = 0; attachments && i < attachments->len && !found; i++)
		if (!g_strcmp0(((const struct network_attachment *)attachments->pdata[i])->name, name))
			found = record_ref(attachments->pdata[i]);
	if (!host)
		error_set(error, ERR_NOT_FOUND, "host '%s'", host_id);
	else if (attachments && !found)
		error_set(error, ERR_NOT_FOUND, "the host was set up, and shows no network '%s'", name);
	record_unref(caps);
	record_unref(host);
	return found;
}

static bool set_up_one(struct request *request, struct network_attachment *wish, bool removal, struct network_attachment **ret_attachment, GError **error)
{
	g_autoptr(GPtrArray) one = list_new();
	struct network_setup setup = { .check_connectivity = true, .timeout_s = SETUP_TIMEOUT_S };
	g_autofree char *name = NULL;
	struct host *host;
	bool ok;

	g_ptr_array_add(one, record_ref(wish));
	if (removal)
		setup.removed = one;
	else
		setup.modified = one;
	host = host_of(request, error);
	ok = host && host_setup_networks(request, host, &setup, &name, error);
	if (ok && !removal) {
		*ret_attachment = attachment_of(request, host->id, name, error);
		ok = *ret_attachment != NULL;
	}
	record_unref(host);
	return ok;
}

static bool is_attached(struct request *request, const struct network_attachment *wish, GError **error)
{
	struct host *host = host_of(request, NULL);
	struct host_caps *caps = host ? fleet_host_caps(request->engine->fleet, host->id) : NULL;
	g_autoptr(GPtrArray) attachments = host ? host_attachments(request, host, caps) : list_new();
	bool attached = false;

	for (guint i = 0; i < attachments->len && !attached; i++) {
		const struct network_attachment *attachment = attachments->pdata[i];

		attached = (wish->network.id && !g_strcmp0(wish->network.id, attachment->network.id)) ||
			   (wish->network.name && !g_ascii_strcasecmp(wish->network.name, attachment->name));
		if (attached)
			error_set(error, ERR_OPERATION_FAILED, "network '%s' is attached to the host already", attachment->name);
	}
	record_unref(caps);
	record_unref(host);
	return attached;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct network_attachment *wish = input;

	if (wish->id) {
		error_set(error, ERR_BAD_VALUE, "network_attachment: @id: an id names an attachment that is there; use PUT to change it");
		return false;
	}
	if (nic_id_of(request))
		set_string(&wish->host_nic_id, nic_id_of(request));
	return !is_attached(request, wish, error) && set_up_one(request, wish, false, (struct network_attachment **)ret_record, error);
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct network_attachment *before = current;
	struct network_attachment *wish = record_copy(input);
	bool ok;

	set_string(&wish->id, before->id);
	if (nic_id_of(request) && ((wish->host_nic_id && g_strcmp0(wish->host_nic_id, nic_id_of(request))) || wish->host_nic_name)) {
		error_set(error, ERR_IMMUTABLE, "Attempt to set immutable field: host_nic");
		record_unref(wish);
		return false;
	}
	ok = set_up_one(request, wish, false, (struct network_attachment **)ret_record, error);
	record_unref(wish);
	return ok;
}

static bool detach(struct request *request, const void *current, const void *options, GError **error)
{
	return set_up_one(request, (struct network_attachment *)current, true, NULL, error);
}

/* Below the host it must be said where; a set-up knows networks without interface, too. */
static void missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct network_attachment *wish = input;

	if (!wish->network.id && !wish->network.name)
		g_ptr_array_add(names, g_strdup("network.id|name"));
	if (!wish->host_nic_id && !wish->host_nic_name)
		g_ptr_array_add(names, g_strdup("hostNic.id|name"));
}

/* Below an interface the host is not shown. */
static void *nic_view(struct request *request, void *record)
{
	struct network_attachment *shown = record_copy(record);

	CLEAR(shown, host);
	return shown;
}

#define ATTACHMENT_RESOURCE .type = &network_attachment_type, .path = "networkattachments", .methods = RESOURCE_ALL, .links = no_links, \
	.permit_add = "configure_host_network", .permit_update = "configure_host_network", .permit_remove = "configure_host_network", .list = list, \
	.add = add, .update = update, .remove = detach
const struct resource resource_host_network_attachment = {
	ATTACHMENT_RESOURCE, .parent = &resource_host, .doc = "Networks that a host has", .missing = missing
};
const struct resource resource_nic_network_attachment = {
	ATTACHMENT_RESOURCE, .parent = &resource_host_nic, .doc = "Networks on an interface of a host", .view = nic_view
};
