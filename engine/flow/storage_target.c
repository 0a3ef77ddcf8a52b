/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/storage_target.h"

#include "engine/model/kinds.h"
#include "engine/model/misc.h"

json_t *storage_target(const struct storage_connection *connection)
{
	return record_to_json(connection, RECORD_STORE);
}

json_t *storage_target_for(struct model *model, const char *host_id, const struct storage_connection *connection)
{
	json_t *target = storage_target(connection);
	g_autoptr(GPtrArray) extensions = connection->target ? model_children(model, &connection_extension_kind, host_id) : NULL;

	for (guint i = 0; extensions && i < extensions->len; i++) {
		const struct connection_extension *extension = extensions->pdata[i];

		if (g_strcmp0(extension->target, connection->target))
			continue;
		json_object_set_new(target, "username", json_string(extension->username));
		json_object_set_new(target, "password", json_string(extension->password));
	}
	return target;
}

json_t *storage_targets(struct model *model, const char *host_id, const GPtrArray *connections)
{
	json_t *targets = json_array();

	for (guint i = 0; connections && i < connections->len; i++) {
		struct storage_connection *connection = model_get(model, &storage_connection_kind, object_id(connections->pdata[i]));

		if (connection)
			json_array_append_new(targets, storage_target_for(model, host_id, connection));
		record_unref(connection);
	}
	return targets;
}
