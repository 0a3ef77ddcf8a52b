/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts that a host runs at its hook points, from what the host told last. */
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"

struct host_hook { struct record record; char *id, *name, *event_name, *md5, *checksum; struct ref host; };
static const struct field host_hook_fields[] = {
	FIELD_UUID_(struct host_hook, id, "@id", READ_ONLY, "made from point, name and content"),
	FIELD_STRING_(struct host_hook, name, "name", HEAD, "name of the script"),
	FIELD_STRING_(struct host_hook, event_name, "event_name", READ_ONLY, "point at which it runs"),
	FIELD_REF_(struct host_hook, host, "host", READ_ONLY, "hosts", "host that has it"),
	FIELD_STRING_(struct host_hook, md5, "md5", READ_ONLY, "MD5 of its content, where the host tells it"),
	FIELD_STRING_(struct host_hook, checksum, "checksum", READ_ONLY, "SHA-256 of its content, where the host tells it"),
};
static const struct record_type host_hook_type = RECORD_TYPE("hook", "hooks", struct host_hook, host_hook_fields, "A script that a host runs at a point");

/* {point: {script: {"checksum" or "md5": ...}}} */
static GPtrArray *hook_list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	struct host_caps *caps = fleet_host_caps(request->engine->fleet, host->id);
	GPtrArray *hooks = list_new();
	const char *point, *script;
	json_t *scripts, *about;

	if (caps && caps->hooks)
		json_object_foreach(caps->hooks, point, scripts)
			json_object_foreach(scripts, script, about) {
				struct host_hook *hook = record_new(&host_hook_type);
				g_autofree char *whole = NULL;

				set_string(&hook->name, script);
				set_string(&hook->event_name, point);
				set_string(&hook->md5, host_json_text(about, "md5"));
				set_string(&hook->checksum, host_json_text(about, "checksum"));
				set_ref(&hook->host, host->id);
				whole = g_strdup_printf("%s/%s/%s", point, script, hook->md5 ? hook->md5 : hook->checksum ? hook->checksum : "");
				hook->id = host_part_id("hook", host->id, whole);
				g_ptr_array_add(hooks, hook);
			}
	record_unref(caps);
	return hooks;
}

const struct resource resource_host_hook = {
	.type = &host_hook_type, .path = "hooks", .parent = &resource_host, .methods = RESOURCE_READ, .links = no_links, .doc = "Scripts that a host runs",
	.list = hook_list,
};
