/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host/owner.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "proto/host.h"

#define LOG_MODULE "host"

static GMutex lock;          /* two claims at a time: one wins */

static char *owner_file(const struct agent *agent)
{
	return g_build_filename(agent->state_dir, "owner.json", NULL);
}

/* NULL when nobody owns the host. A file that cannot be read is an error: better no new owner than two. */
static bool owner_read(const char *file, json_t **ret_owner, GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) own = NULL;
	gsize length;

	*ret_owner = NULL;
	if (!g_file_get_contents(file, &text, &length, &own)) {
		if (g_error_matches(own, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			return true;
		error_set(error, ERR_IO_FAILED, "%s", own->message);
		return false;
	}
	*ret_owner = json_parse(text, length, error);
	error_wrap(error, "%s", file);
	return *ret_owner != NULL;
}

static bool owner_write(const char *file, const struct host_claim_params *claim, GError **error)
{
	json_t *owner = json_pack("{s:s, s:s}", "engineID", claim->engine_id, "engineName", claim->engine_name ? claim->engine_name : "");
	char *text = json_dumps(owner, JSON_INDENT(4));
	g_autoptr(GError) own = NULL;
	bool ok = g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &own);

	if (!ok)
		error_set(error, ERR_IO_FAILED, "%s", own->message);
	free(text);
	json_decref(owner);
	return ok;
}

/* Whose it is when it is neither free nor the claimer's. */
static bool belongs_to_other(const json_t *owner, const struct host_claim_params *claim, GError **error)
{
	const char *id = json_string_value(json_object_get(owner, "engineID"));
	const char *name = json_string_value(json_object_get(owner, "engineName"));

	if (!owner || claim->force || !g_strcmp0(id, claim->engine_id))
		return false;
	error_set(error, ERR_RESOURCE_UNAVAILABLE, "this host belongs to engine %s%s%s", id ? id : "?", name && *name ? " at " : "", name ? name : "");
	return true;
}

bool owner_claim(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_claim_params *claim = params;
	g_autofree char *file = owner_file(agent);
	json_t *owner = NULL;
	bool ok;

	g_mutex_lock(&lock);
	ok = owner_read(file, &owner, error) && !belongs_to_other(owner, claim, error) && owner_write(file, claim, error);
	g_mutex_unlock(&lock);
	json_decref(owner);
	if (ok)
		log_info("this host belongs to engine %s now", claim->engine_id);
	return ok;
}

bool owner_release(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_claim_params *claim = params;
	g_autofree char *file = owner_file(agent);
	json_t *owner = NULL;
	bool ok;

	g_mutex_lock(&lock);
	ok = owner_read(file, &owner, error) && !belongs_to_other(owner, claim, error);
	if (ok && unlink(file) < 0 && errno != ENOENT) {
		error_set_errno(error, ERR_IO_FAILED, errno, "%s", file);
		ok = false;
	}
	g_mutex_unlock(&lock);
	json_decref(owner);
	return ok;
}
