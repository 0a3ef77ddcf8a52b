/* SPDX-License-Identifier: Apache-2.0 */
/* Storage domains of a data center (REST 9.5.1): attached, activated, deactivated, detached. */
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_data.h"
#include "engine/api/res_storage_domain.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"

static void *view(struct request *request, void *record)
{
	struct storage_domain *shown = record_copy(record);

	storage_domain_fill(request, shown);
	return shown;
}

/* ---- attach ---- */

static struct storage_domain *named_domain(struct request *request, const struct storage_domain *input, GError **error)
{
	struct model *model = request->engine->model;
	struct storage_domain *domain;

	if (!input->id && !input->name) {
		error_set(error, ERR_INCOMPLETE, "StorageDomain [id|name] required for add");
		return NULL;
	}
	domain = input->id ? model_get(model, &storage_domain_kind, input->id) : model_find(model, &storage_domain_kind, NULL, input->name);
	if (!domain)
		error_set(error, ERR_NOT_FOUND, "storage_domain '%.128s'", input->id ? input->id : input->name);
	return domain;
}

static bool check_fit(struct model *model, const struct storage_domain *domain, const struct datacenter *data_center, GError **error)
{
	bool local = domain->storage_type == STORAGE_LOCALFS;
	struct host *host = domain->local_host.id ? model_get(model, &host_kind, domain->local_host.id) : NULL;
	struct cluster *cluster = host && host->cluster.id ? model_get(model, &cluster_kind, host->cluster.id) : NULL;
	bool ok = false;

	if (domain->type == DOMAIN_IMAGE)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' stands for an image service: it serves all data centers and is attached to none",
			  domain->name);
	else if (local != data_center->local)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is %s storage, data center '%s' takes %s storage", domain->name,
			  local ? "local" : "shared", data_center->name, data_center->local ? "local" : "shared");
	else if (local && (!cluster || g_strcmp0(cluster->data_center.id, data_center->id)))
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is a directory of host '%s', which is not in data center '%s'", domain->name,
			  host ? host->name : "?", data_center->name);
	else
		ok = true;
	record_unref(cluster);
	record_unref(host);
	return ok;
}

static bool move(struct request *request, enum storage_move how, const struct storage_domain *domain, const char *data_center_id, GError **error)
{
	g_autofree char *host = storage_move_check(how, domain, error) ? storage_move_host(request->engine, how, domain, data_center_id, error) : NULL;

	return host && flow_run(request->engine, &move_domain_flow, domain->id, &request->actor,
				storage_move_data(request->engine, how, domain, host, data_center_id), NULL, error);
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct datacenter *data_center = request->parent;
	struct storage_domain *domain = named_domain(request, input, error);
	bool ok = false;

	if (!domain)
		return false;
	if (domain->data_center.id)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is attached to a data center already", domain->name);
	else
		ok = check_fit(request->engine->model, domain, data_center, error) && move(request, STORAGE_ATTACH, domain, data_center->id, error);
	if (ok)
		*ret_record = model_get(request->engine->model, &storage_domain_kind, domain->id);
	if (ok && !*ret_record) {
		error_set(error, ERR_NOT_FOUND, "storage domain '%s' was removed meanwhile", domain->name);
		ok = false;
	}
	record_unref(domain);
	return ok;
}

/* ---- detach ---- */

static bool detach(struct request *request, const void *current, const void *options, GError **error)
{
	return move(request, STORAGE_DETACH, current, object_id(request->parent), error);
}

/* ---- actions ---- */

static bool activate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return move(request, STORAGE_ACTIVATE, object, object_id(request->parent), error);
}

static bool deactivate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return move(request, STORAGE_DEACTIVATE, object, object_id(request->parent), error);
}

static const struct action actions[] = {
	{ "activate", &plain_action_type, activate, "manipulate_storage_domain", "Makes an attached storage domain usable" },
	{ "deactivate", &plain_action_type, deactivate, "manipulate_storage_domain", "Stops the use of a storage domain, so that it can be detached" },
	{ 0 },
};

const struct resource resource_attached_domain = {
	.kind = &storage_domain_kind, .type = &attached_domain_type, .path = "storagedomains", .parent = &resource_datacenter,
	.methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links, .actions = actions, .permit_add = "manipulate_storage_domain",
	.permit_remove = "manipulate_storage_domain", .doc = "Storage domains of a data center", .view = view, .add = add, .remove = detach,
};
