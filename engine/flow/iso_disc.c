/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/iso_disc.h"

#include "common/error.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"

/* The file on this domain; NULL without error: it is not there. g_free */
static char *look_on(struct engine *engine, const struct storage_domain *domain, const char *file, const char *host_id, GError **error)
{
	g_autofree char *any = host_id ? NULL : storage_host(engine, domain, error);
	const struct storage_call call = { engine, host_id ? host_id : any, NULL, AGENT_PATIENCE_NONE };
	json_t *files = call.host_id ? storage_files(&call, domain->id, error) : NULL, *about = json_object_get(files, file);
	char *path = g_strdup(json_string_value(json_object_get(about, "path")));

	if (about && !path)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "file '%s': the host does not tell where it has the files of storage domain '%s'", file, domain->name);
	json_decref(files);
	return path;
}

char *iso_disc_path(struct engine *engine, const char *data_center_id, const char *file, const char *host_id, GError **error)
{
	g_autoptr(GPtrArray) domains = model_referring(engine->model, &storage_domain_kind, offsetof(struct storage_domain, data_center),
						       data_center_id ? data_center_id : "");
	bool any = false;

	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];
		GError *own = NULL;
		char *path;

		if (domain->type != DOMAIN_ISO || domain->state != DOMAIN_ACTIVE)
			continue;
		any = true;
		path = look_on(engine, domain, file, host_id, &own);
		if (path)
			return path;
		if (own) {
			error_wrap(&own, "file '%s': ISO domain '%s'", file, domain->name);
			g_propagate_error(error, own);
			return NULL;
		}
	}
	error_set(error, ERR_NOT_FOUND, "file '%s': the data center has no active ISO domain%s", file, any ? " that holds it" : "");
	return NULL;
}
