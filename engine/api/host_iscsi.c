/* SPDX-License-Identifier: Apache-2.0 */
/* iSCSI through a host (REST 14.8.7, 14.8.8): which targets a portal offers, and logging in to one. A host's own credentials for a target come first. */
#include "engine/api/host_iscsi.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_host.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_target.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define PORT "3260"

/* Codes of our own */
#define EVENT_LOGGED_IN 20345

struct iscsi_action { ACTION_MEMBERS char *address, *target, *username, *password; int port; GPtrArray *targets; };
#define I struct iscsi_action
#define ISCSI_FIELDS(target_flags) \
	ACTION_FIELDS(I), \
	FIELD_STRING_(I, address, "iscsi/address", CREATE | REQUIRED, "name or address of the portal", .min = 1, .max = 255, .pattern = "\\S+"), \
	FIELD_INT_(I, port, "iscsi/port", CREATE, "its port", .min = 1, .max = 65535, .def = PORT), \
	FIELD_STRING_(I, target, "iscsi/target", target_flags, "iSCSI target", .min = 1, .max = 255, .pattern = "\\S+"), \
	FIELD_STRING_(I, username, "iscsi/username", CREATE, "CHAP user", .max = 255), \
	FIELD_STRING_(I, password, "iscsi/password", CREATE | SECRET, "CHAP password", .max = 255), \
	FIELD_STRINGS_(I, targets, "iscsi_target", READ_ONLY, "targets that the portal offers")
static const struct field login_fields[] = { ISCSI_FIELDS(CREATE | REQUIRED) };
const struct record_type iscsi_login_type = RECORD_TYPE("action", NULL, I, login_fields, "A target to log in to");
static const struct field discover_fields[] = { ISCSI_FIELDS(READ_ONLY) };
const struct record_type iscsi_discover_type = RECORD_TYPE("action", NULL, I, discover_fields, "A portal to ask");

static struct storage_call call_of(const struct request *request, const struct host *host)
{
	return (struct storage_call){ request->engine, host->id, request->actor.correlation_id, AGENT_PATIENCE_NONE };
}

bool host_iscsi_discover(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct iscsi_action *how = params;
	const struct storage_call call = call_of(request, object);
	json_t *found = host_check_up(object, error) ? storage_discover(&call, how->address, how->port, how->username, how->password, error) : NULL, *item;
	struct iscsi_action *result;
	size_t i;

	if (!found)
		return false;
	result = record_copy(how);
	result->targets = strings_new();
	json_array_foreach(found, i, item) {
		const char *text = json_string_value(item), *space = text ? strrchr(text, ' ') : NULL;

		/* one target may have several portals */
		if (text && !g_ptr_array_find_with_equal_func(result->targets, space ? space + 1 : text, g_str_equal, NULL))
			g_ptr_array_add(result->targets, g_strdup(space ? space + 1 : text));
	}
	json_decref(found);
	*ret_result = result;
	return true;
}

bool host_iscsi_login(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct iscsi_action *how = params;
	const struct host *host = object;
	const struct storage_call call = call_of(request, host);
	struct storage_connection *connection = record_new(&storage_connection_type);
	json_t *target;
	bool ok;

	connection->id = g_uuid_string_random();
	SET(connection, type, STORAGE_ISCSI);
	set_string(&connection->address, how->address);
	SET(connection, port, how->port);
	set_string(&connection->target, how->target);
	set_string(&connection->username, how->username);
	set_string(&connection->password, how->password);
	target = storage_target_for(request->engine->model, host->id, connection);
	ok = host_check_up(host, error) && storage_connect(&call, target, error);
	json_decref(target);
	record_unref(connection);
	if (ok)
		store_event(request->engine->store, EVENT_LOGGED_IN, &request->actor, (void *[]){ (void *)host, NULL }, "Host %s was logged in to iSCSI target %s by %s.",
			    host->name, how->target, request->actor.user_name);
	return ok;
}
