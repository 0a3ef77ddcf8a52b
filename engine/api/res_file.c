/* SPDX-License-Identifier: Apache-2.0 */
/* Disc images on an ISO domain (REST 12.8.1): whoever manages the storage puts them there; a host is asked what there is. Other domains have none;
 * those for data have the link all the same, as the guide's samples show it (3.8, 12.2). */
#include <string.h>

#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_storage_domain.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"

struct file { struct record record; char *id, *name, *type; struct ref storage_domain; };
static const struct field file_fields[] = {
	FIELD_STRING_(struct file, id, "@id", READ_ONLY, "name of the file"),
	FIELD_STRING_(struct file, name, "name", HEAD, "name of the file"),
	FIELD_STRING_(struct file, type, "type", READ_ONLY, "iso or vfd"),
	FIELD_REF_(struct file, storage_domain, "storage_domain", READ_ONLY, "storagedomains", "domain that holds it"),
};
static const struct record_type file_type = RECORD_TYPE("file", "files", struct file, file_fields, "A disc image on an ISO domain");

static const char *type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && !g_ascii_strcasecmp(dot, ".iso") ? "iso" : dot && !g_ascii_strcasecmp(dot, ".vfd") ? "vfd" : NULL;
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct storage_domain *domain = request->parent;
	GPtrArray *files = list_new();
	const char *name;
	json_t *found = NULL, *about;

	if (domain->type == DOMAIN_ISO && domain->state == DOMAIN_ACTIVE) {
		g_autofree char *host = storage_host(request->engine, domain, error);
		const struct storage_call call = { request->engine, host, request->actor.correlation_id, AGENT_PATIENCE_NONE };

		found = host ? storage_files(&call, domain->id, error) : NULL;
		if (!found) {
			g_ptr_array_unref(files);
			return NULL;
		}
	}
	json_object_foreach(found, name, about) {
		struct file *file;

		if (!type_of(name))
			continue;
		file = record_new(&file_type);
		set_string(&file->id, name);
		set_string(&file->name, name);
		set_string(&file->type, type_of(name));
		set_ref(&file->storage_domain, domain->id);
		g_ptr_array_add(files, file);
	}
	json_decref(found);
	return files;
}

const struct resource resource_storage_domain_file = {
	.type = &file_type, .path = "files", .parent = &resource_storage_domain, .methods = RESOURCE_READ, .links = no_links, .slow = true,
	.doc = "Disc images on an ISO domain; empty while it is not active, and for other domains", .list = list,
};
