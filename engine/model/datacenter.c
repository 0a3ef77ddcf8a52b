/* SPDX-License-Identifier: Apache-2.0 */
/* Data centers: the table, and the status that follows from the storage. See datacenter.h. */
#include "engine/model/datacenter.h"
#include "engine/model/cluster.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/storage_domain.h"

const char *const datacenter_state_names[] = { "uninitialized", "up", "maintenance", "not_operational", "problematic", "contend", NULL };
const char *const storage_format_names[] = { "v1", "v2", "v3", NULL };

#define CU (CREATE | UPDATE)

static const struct field datacenter_fields[] = {
	FIELD_UUID_(struct datacenter, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct datacenter, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "unique name", .min = 1, .max = 40,
		      .pattern = "[-\\w ]*[-\\w]"),
	FIELD_STRING_(struct datacenter, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_STRING_(struct datacenter, comment, "comment", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_BOOL_(struct datacenter, local, "local", CREATE | REQUIRED | SEARCH, "its storage is local to one host"),
	FIELD_ENUM_(struct datacenter, storage_type, "storage_type", CU | INPUT_ONLY, storage_type_names, "old form of local"),
	FIELD_ENUM_(struct datacenter, storage_format, "storage_format", CU, storage_format_names, "format of its storage domains", .def = "v3"),
	FIELD_INT_(struct datacenter, major, "version@major", CU, "compatibility level, first number", .min = 0, .max = 1000, .def = "3"),
	FIELD_INT_(struct datacenter, minor, "version@minor", CU, "compatibility level, second number", .min = 0, .max = 1000, .def = "6"),
	FIELD_LIST_(struct datacenter, supported_versions, "supported_versions/version", VOLATILE_, &version_type, "levels it can be raised to"),
	FIELD_ENUM_(struct datacenter, state, "status/state", SEARCH, datacenter_state_names, "can its storage be used", .search = "status"),
	FIELD_INT_(struct datacenter, master_version, "master_version", INTERNAL, "how often its master domain changed, from 1"),
};
const struct record_type datacenter_type =
	RECORD_TYPE("data_center", "data_centers", struct datacenter, datacenter_fields, "Clusters that share storage and networks");

/*
 * Of shared storage whose master is active: up with a manager, contend while one is being made, not_operational when no host is up that could be it,
 * problematic when none has become it. A manager that does not answer counts until the grace of its host is over.
 */
static enum datacenter_state managed_state(struct model *model, const char *id)
{
	g_autoptr(GPtrArray) clusters = model_referring(model, &cluster_kind, offsetof(struct cluster, data_center), id);
	enum datacenter_state state = DATACENTER_NOT_OPERATIONAL;

	for (unsigned i = 0; i < clusters->len; i++) {
		g_autoptr(GPtrArray) hosts = model_referring(model, &host_kind, offsetof(struct host, cluster), object_id(clusters->pdata[i]));

		for (unsigned j = 0; j < hosts->len; j++) {
			const struct host *host = hosts->pdata[j];

			if (host->storage_manager && (host->state == HOST_UP || host->state == HOST_CONNECTING || host->state == HOST_UNASSIGNED))
				return DATACENTER_UP;
			if (host->state == HOST_UP && host->spm_state == SPM_CONTENDING)
				state = DATACENTER_CONTEND;
			else if (host->state == HOST_UP && host->spm_priority >= 0 && state == DATACENTER_NOT_OPERATIONAL)
				state = DATACENTER_PROBLEMATIC;
		}
	}
	return state;
}

/*
 * up: a data domain is active (and shared storage has a manager). maintenance: there are data domains, all put aside on purpose. problematic: some are
 * neither. uninitialized: none is attached yet, or the first is on its way.
 */
enum datacenter_state datacenter_status(struct model *model, const char *id)
{
	g_autoptr(GPtrArray) domains = model_referring(model, &storage_domain_kind, offsetof(struct storage_domain, data_center), id);
	unsigned attached = 0, aside = 0, coming = 0;

	for (unsigned i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (domain->type != DOMAIN_DATA)
			continue;
		if (domain->state == DOMAIN_ACTIVE || domain->state == DOMAIN_MIXED)
			return domain->local_host.id ? DATACENTER_UP : managed_state(model, id);
		attached++;
		aside += domain->state == DOMAIN_MAINTENANCE || domain->state == DOMAIN_INACTIVE || domain->state == DOMAIN_PREPARING_FOR_MAINTENANCE;
		coming += domain->state == DOMAIN_LOCKED || domain->state == DOMAIN_ACTIVATING || domain->state == DOMAIN_DETACHING;
	}
	if (attached == coming)
		return DATACENTER_UNINITIALIZED;
	return attached == aside + coming ? DATACENTER_MAINTENANCE : DATACENTER_PROBLEMATIC;
}
