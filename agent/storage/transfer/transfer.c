/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of data transfers but those of jobs (image_share.c), and what they have in common from the agent's start to its end. */
#define LOG_MODULE "transfer"
#include "agent/storage/transfer/transfer.h"
#include <string.h>
#include "agent/storage/storage-priv.h"
#include "agent/storage/transfer/nbd_server.h"
#include "agent/storage/transfer/service.h"
#include "agent/storage/transfer/ticket.h"
#include "common/log.h"

/* Servers that were started for a ticket which nobody was told of: known before anybody is served, ended on a worker. */
struct orphans { struct storage *storage; GPtrArray *ids; };

static void orphans_free(void *data)
{
	struct orphans *orphans = data;

	storage_unref(orphans->storage);
	g_ptr_array_unref(orphans->ids);
	g_free(orphans);
}

static void end_orphans(void *data)
{
	const struct orphans *orphans = data;

	for (guint i = 0; i < orphans->ids->len; i++) {
		const char *id = orphans->ids->pdata[i];
		g_autoptr(GError) problem = NULL;

		if (!nbd_stop(orphans->storage, id, NBD_TICKET, &problem))
			log_error("NBD server of the lost ticket %s: %s", id, problem->message);
	}
}

static void find_orphans(struct storage *storage)
{
	struct orphans *orphans = g_new0(struct orphans, 1);
	g_autoptr(GError) problem = NULL;

	orphans->storage = storage_ref(storage);
	orphans->ids = nbd_ids(storage, NBD_TICKET);
	for (guint i = orphans->ids->len; i-- > 0;)
		if (ticket_exists(storage, orphans->ids->pdata[i]))
			g_ptr_array_remove_index(orphans->ids, i);
	if (orphans->ids->len && lane_submit(storage->agent->lanes, "transfer", &(struct lane_job){ .name = "end lost servers", .run = end_orphans, .data = orphans,
												    .free_data = orphans_free }, &problem))
		return;
	if (problem)
		log_error("lost servers are not ended: %s", problem->message);
	orphans_free(orphans);
}

void transfer_begin(struct storage *storage)
{
	storage->transfer = g_new0(struct transfer, 1);
	storage->transfer->service = service_new(storage);
	nbd_servers_new(storage);
	tickets_new(storage);
	find_orphans(storage);
}

void transfer_stop(struct transfer *transfer)
{
	if (transfer)
		service_stop(transfer->service);
}

struct transfer *transfer_free(struct transfer *transfer)
{
	if (!transfer)
		return NULL;
	tickets_free(transfer->tickets);
	nbd_servers_free(transfer->servers);
	service_free(transfer->service);
	g_free(transfer);
	return NULL;
}

/* ---- NBD servers ---- */

static bool start_server(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct nbd_call *params = data;
	g_autofree char *url = NULL;

	if (!nbd_start(agent->storage, params->server_id, NBD_SERVED, params->config, call->local_address, &url, error))
		return false;
	result_json(ret_result, json_string(url));
	return true;
}

static bool stop_server(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return nbd_stop(agent->storage, ((const struct nbd_call *)data)->server_id, NBD_SERVED, error);
}

/* ---- tickets ---- */

static bool add_ticket(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return ticket_add(agent->storage, ((const struct ticket_call *)data)->ticket, error);
}

static bool get_ticket(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct ticket_info *info = ticket_info(agent->storage, ((const struct ticket_call *)data)->id, error);

	if (!info)
		return false;
	result_record(ret_result, info);
	record_unref(info);
	return true;
}

static bool extend_ticket(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct ticket_call *params = data;

	return ticket_extend(agent->storage, params->id, params->timeout, error);
}

static bool remove_ticket(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return ticket_remove(agent->storage, ((const struct ticket_call *)data)->id, error);
}

/* ---- volumes attached to this host ---- */

/* Those that fit; id, path and volume may be NULL. g_ptr_array_unref */
static GPtrArray *find_attached(struct storage *storage, const char *id, const char *path, const char *volume)
{
	GPtrArray *list = nbd_attachments(storage);

	for (guint i = list->len; i-- > 0;) {
		const struct attach_call *attachment = list->pdata[i];

		if ((id && strcmp(id, attachment->attachment_id)) || (path && strcmp(path, attachment->path)) ||
		    (volume && strcmp(volume, attachment->volume_id)))
			g_ptr_array_remove_index(list, i);
	}
	return list;
}

static bool attach(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct attach_call *params = data;
	g_autofree char *id = params->attachment_id ? g_strdup(params->attachment_id) : g_uuid_string_random();
	struct nbd_config *config = record_new(&nbd_config_type);
	g_autoptr(GPtrArray) list = NULL;
	g_autofree char *url = NULL;
	bool good;

	config->domain_id = g_strdup(params->domain_id);
	config->image_id = g_strdup(params->image_id);
	config->volume_id = g_strdup(params->volume_id);
	config->checkpoint_id = g_strdup(params->checkpoint_id);
	SET(config, readonly, params->readonly);
	SET(config, discard, !params->readonly);
	record_defaults(config, 0);
	good = nbd_start(agent->storage, id, !strcmp(params->as, "nbd_device") ? NBD_DEVICE : NBD_SOCKET, config, /* address= */ "", &url, error);
	record_unref(config);
	list = good ? find_attached(agent->storage, id, NULL, NULL) : NULL;
	if (good && list->len)
		result_record(ret_result, list->pdata[0]);
	else if (good)
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "attachment '%s' was ended meanwhile", id);
	return good && list->len;
}

static bool detach(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const char *id = ((const struct attach_call *)data)->attachment_id;

	return nbd_stop(agent->storage, id, NBD_SOCKET, error) && nbd_stop(agent->storage, id, NBD_DEVICE, error);
}

static bool find(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct attach_call *params = data;
	g_autoptr(GPtrArray) list = find_attached(agent->storage, NULL, params->path, params->volume_id);

	result_list(ret_result, list);
	return true;
}

const struct verb_binding transfer_bindings[] = {
	{ "NBD.start_server", start_server },
	{ "NBD.stop_server", stop_server },
	{ "Host.add_image_ticket", add_ticket },
	{ "Host.get_image_ticket", get_ticket },
	{ "Host.extend_image_ticket", extend_ticket },
	{ "Host.remove_image_ticket", remove_ticket },
	{ "Image.attachLocal", attach },
	{ "Image.detachLocal", detach },
	{ "Image.findLocal", find },
	{ "Image.download", image_download_verb },
	{ "Image.upload", image_upload_verb },
};
const size_t n_transfer_bindings = G_N_ELEMENTS(transfer_bindings);
