/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bricks of a Gluster volume (REST 10.7.2.2). A brick of a volume with copies leaves at once, and the volume has a copy less. Another one is emptied first: its
 * files move to the other bricks, which Gluster does by itself. A request waits EMPTY_TIMEOUT_USEC for that; after it the answer is 409, the move goes on, and
 * the same request later takes the brick out when all has moved. With ;force a brick leaves with its files.
 *
 * The two halves of that alone: POST .../bricks/migrate begins to empty bricks, all of them together, and answers; .../bricks/stopmigrate ends it, and they
 * are used again.
 */
#include <string.h>
#include "common/error.h"
#include "common/lane.h"
#include "common/loop.h"
#include "engine/api/action.h"
#include "engine/api/gluster.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"

#define EMPTY_TIMEOUT_USEC (60 * G_USEC_PER_SEC)
#define EMPTY_LOOK_USEC (300 * 1000)

#define EVENT_BRICKS_REMOVED 4014
#define EVENT_BRICKS_ADDED 4019
/* Codes of our own */
#define EVENT_EMPTYING 20361
#define EVENT_EMPTYING_STOPPED 20362

static void tell(struct request *request, int code, struct cluster *cluster, const struct gluster_volume *volume, const char *place, const char *what)
{
	store_event(request->engine->store, code, &request->actor, (void *[]){ cluster, NULL }, "Brick %s was %s Gluster volume %s of cluster %s by %s.", place, what,
		    volume->name, cluster->name, request->actor.user_name);
}

/* Of the volume's host; new reference; NULL + error when the host is gone meanwhile. */
static struct cluster *cluster_of(struct request *request, const struct gluster_volume *volume, GError **error)
{
	struct host *host = model_get(request->engine->model, &host_kind, volume->host_id);
	struct cluster *cluster = host ? model_get(request->engine->model, &cluster_kind, host->cluster.id) : NULL;

	record_unref(host);
	if (!cluster)
		error_set(error, ERR_NOT_FOUND, "host '%s'", volume->host_id);
	return cluster;
}

/* ---- reading ---- */

static const json_t *status_in(const json_t *answer, const char *place)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(answer, "volumeStatus"), "bricks"), i, one)
		if (!g_strcmp0(host_json_text(one, "brick"), place))
			return one;
	return NULL;
}

static int64_t bytes(const json_t *status, const char *name)
{
	const char *mib = host_json_text(status, name);

	return mib ? (int64_t)(g_ascii_strtod(mib, NULL) * 1024 * 1024) : 0;
}

static void show_status(struct gluster_brick *brick, const json_t *status)
{
	const char *port = host_json_text(status, "port"), *pid = host_json_text(status, "pid");
	bool up = !g_strcmp0(host_json_text(status, "status"), "ONLINE");

	SET(brick, state, !status ? GLUSTER_UNKNOWN : up ? GLUSTER_UP : GLUSTER_DOWN);
	if (!up)
		return;
	set_string(&brick->device, host_json_text(status, "device"));
	set_string(&brick->fs_name, host_json_text(status, "fsName"));
	set_string(&brick->mount_options, host_json_text(status, "mntOptions"));
	if (port && g_ascii_isdigit(*port))
		SET(brick, port, (int)g_ascii_strtoll(port, NULL, 10));
	if (pid && g_ascii_isdigit(*pid))
		SET(brick, pid, (int)g_ascii_strtoll(pid, NULL, 10));
	SET(brick, total_size, bytes(status, "sizeTotal"));
	SET(brick, free_size, bytes(status, "sizeFree"));
}

/* Only a volume that is started has more to tell. */
static bool show_all(struct request *request, const struct gluster_volume *volume, const GPtrArray *bricks, GError **error)
{
	struct gluster_params *params;
	json_t *answer = NULL;
	bool ok;

	if (volume->state != GLUSTER_UP) {
		for (guint i = 0; i < bricks->len; i++)
			SET((struct gluster_brick *)bricks->pdata[i], state, GLUSTER_DOWN);
		return true;
	}
	params = gluster_params_new("GlusterVolume.status");
	set_string(&params->status_option, "detail");
	ok = gluster_call(request, volume, "GlusterVolume.status", params, &answer, error);
	for (guint i = 0; ok && i < bricks->len; i++)
		show_status(bricks->pdata[i], status_in(answer, ((struct gluster_brick *)bricks->pdata[i])->name));
	json_decref(answer);
	record_unref(params);
	return ok;
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct gluster_volume *volume = request->parent;
	GPtrArray *bricks = list_new();

	for (guint i = 0; i < volume->bricks->len; i++)
		g_ptr_array_add(bricks, record_copy(volume->bricks->pdata[i]));
	if (!request->all_content || show_all(request, volume, bricks, error))
		return bricks;
	g_ptr_array_unref(bricks);
	return NULL;
}

/* ---- adding ---- */

static void missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct gluster_brick *wish = input;

	if (wish->bricks && wish->bricks->len)
		return;
	if (!wish->server_id)
		g_ptr_array_add(names, g_strdup("serverId"));
	if (!wish->brick_dir)
		g_ptr_array_add(names, g_strdup("brickDir"));
}

static struct gluster_brick *brick_at(const struct gluster_volume *volume, const char *place)
{
	for (guint i = 0; i < volume->bricks->len; i++) {
		struct gluster_brick *brick = volume->bricks->pdata[i];

		if (!strcmp(brick->name, place))
			return record_ref(brick);
	}
	return NULL;
}

static bool add_places(struct request *request, struct cluster *cluster, const struct gluster_brick *wish, const GPtrArray *bricks, void **ret_record,
		       GError **error)
{
	const struct gluster_volume *volume = request->parent;
	struct host *host = model_get(request->engine->model, &host_kind, volume->host_id);
	struct gluster_params *params = gluster_params_new("GlusterVolume.addBrick");
	struct gluster_volume *now = NULL;
	g_autoptr(GPtrArray) hosts = NULL;
	bool ok;

	params->bricks = gluster_places(request, cluster, bricks, &hosts, error);
	if (HAS(wish, replica_count) && wish->replica_count != volume->replica_count)
		SET(params, replica_count, wish->replica_count);
	if (HAS(wish, stripe_count) && wish->stripe_count != volume->stripe_count)
		SET(params, stripe_count, wish->stripe_count);
	SET(params, force, request_flag(request, "force"));
	ok = params->bricks && host && gluster_make_peers(request, host, hosts, error) &&
	     gluster_call(request, volume, "GlusterVolume.addBrick", params, NULL, error);
	for (guint i = 0; ok && i < params->bricks->len; i++)
		tell(request, EVENT_BRICKS_ADDED, cluster, volume, params->bricks->pdata[i], "added to");
	if (ok)
		now = gluster_volume_named(request, cluster, volume->name, error);
	if (now && !(*ret_record = brick_at(now, params->bricks->pdata[0])))
		error_set(error, ERR_NOT_FOUND, "brick '%s', which was added to gluster volume '%s'", (char *)params->bricks->pdata[0], volume->name);
	record_unref(now);
	record_unref(params);
	record_unref(host);
	return *ret_record != NULL;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct gluster_brick *wish = input;
	struct cluster *cluster = cluster_of(request, request->parent, error);
	g_autoptr(GPtrArray) one = list_new();
	bool ok;

	if (!wish->bricks || !wish->bricks->len)
		g_ptr_array_add(one, record_ref(wish));
	ok = cluster && add_places(request, cluster, wish, one->len ? one : wish->bricks, ret_record, error);
	record_unref(cluster);
	return ok;
}

/* ---- removing ---- */

static bool call_about(struct request *request, const struct gluster_volume *volume, const char *verb, GPtrArray *places, int replica, json_t **ret_answer,
		       GError **error)
{
	struct gluster_params *params = gluster_params_new(verb);
	bool ok;

	params->bricks = g_ptr_array_ref(places);
	SET(params, replica_count, replica);
	ok = gluster_call(request, volume, verb, params, ret_answer, error);
	record_unref(params);
	return ok;
}

/* "COMPLETED", "IN_PROGRESS", "FAILED", ...; g_free; NULL: nothing was begun, or it cannot be told. */
static char *move_state(struct request *request, const struct gluster_volume *volume, GPtrArray *places, int64_t *ret_failed)
{
	json_t *answer = NULL, *summary;
	const char *failed;
	char *state = NULL;

	if (call_about(request, volume, "GlusterVolume.removeBrickStatus", places, 0, &answer, NULL)) {
		summary = json_object_get(answer, "summary");
		state = g_strdup(host_json_text(summary, "status"));
		failed = host_json_text(summary, "filesFailed");
		*ret_failed = failed ? g_ascii_strtoll(failed, NULL, 10) : 0;
	}
	json_decref(answer);
	return state;
}

static bool goes_on(const char *state)
{
	return state && (!strcmp(state, "IN_PROGRESS") || !strcmp(state, "NOT_STARTED"));
}

/* Its files are with the other bricks. */
static bool empty(struct request *request, const struct gluster_volume *volume, GPtrArray *one, GError **error)
{
	const char *place = one->pdata[0];
	int64_t end = now_usec() + EMPTY_TIMEOUT_USEC, failed = 0;
	g_autofree char *state = move_state(request, volume, one, &failed);

	if (!goes_on(state) && g_strcmp0(state, "COMPLETED")) {
		if (!call_about(request, volume, "GlusterVolume.removeBrickStart", one, 0, NULL, error))
			return false;
		g_free(state);
		state = move_state(request, volume, one, &failed);
	}
	while (goes_on(state) && now_usec() < end) {
		lane_pause(EMPTY_LOOK_USEC);
		g_free(state);
		state = move_state(request, volume, one, &failed);
	}
	if (!g_strcmp0(state, "COMPLETED") && !failed)
		return true;
	if (goes_on(state))
		error_set(error, ERR_WRONG_STATE, "brick '%s' is being emptied: remove it again when that is over", place);
	else
		error_set(error, ERR_OPERATION_FAILED, "brick '%s' could not be emptied: %s, %" G_GINT64_FORMAT " files failed", place, state ? state : "unknown", failed);
	return false;
}

static bool remove_brick(struct request *request, const void *current, const void *options, GError **error)
{
	const struct gluster_volume *volume = request->parent;
	const struct gluster_brick *brick = current;
	struct cluster *cluster = cluster_of(request, volume, error);
	bool single = volume->replica_count > 1 && (int)volume->bricks->len == volume->replica_count, forced = request_flag(request, "force");
	g_autoptr(GPtrArray) one = strings_new();
	bool ok;

	g_ptr_array_add(one, g_strdup(brick->name));
	if (single)
		ok = cluster && call_about(request, volume, "GlusterVolume.removeBrickForce", one, volume->replica_count - 1, NULL, error);
	else if (forced)
		ok = cluster && call_about(request, volume, "GlusterVolume.removeBrickForce", one, 0, NULL, error);
	else
		ok = cluster && empty(request, volume, one, error) &&
		     call_about(request, volume, "GlusterVolume.removeBrickCommit", one, 0, NULL, error);
	if (ok)
		tell(request, EVENT_BRICKS_REMOVED, cluster, volume, brick->name, "removed from");
	record_unref(cluster);
	return ok;
}

/* ---- migrate, stopmigrate ---- */

struct migrate_action { ACTION_MEMBERS GPtrArray *bricks; };
static const struct field migrate_fields[] = {
	ACTION_FIELDS(struct migrate_action),
	FIELD_LIST_(struct migrate_action, bricks, "bricks/brick", CREATE | REQUIRED, &object_ref_type, "bricks of the volume, each by id or name"),
};
const struct record_type gluster_migrate_type = RECORD_TYPE("action", NULL, struct migrate_action, migrate_fields, "Bricks that are emptied together");

/* Their places; NULL + error: there is none of that id or name. */
static GPtrArray *places_of(const struct gluster_volume *volume, const GPtrArray *wanted, GError **error)
{
	g_autoptr(GPtrArray) places = strings_new();

	for (guint i = 0; i < wanted->len; i++) {
		const struct object_ref *ref = wanted->pdata[i];
		const struct gluster_brick *found = NULL;

		for (guint k = 0; !found && k < volume->bricks->len; k++) {
			const struct gluster_brick *brick = volume->bricks->pdata[k];

			if (ref->id ? !g_ascii_strcasecmp(brick->id, ref->id) : !g_strcmp0(brick->name, ref->name))
				found = brick;
		}
		if (!found) {
			error_set(error, ERR_NOT_FOUND, "bricks/brick: '%s' is no brick of gluster volume '%s'", ref->id ? ref->id : ref->name ? ref->name : "",
				  volume->name);
			return NULL;
		}
		if (!g_ptr_array_find_with_equal_func(places, found->name, g_str_equal, NULL))
			g_ptr_array_add(places, g_strdup(found->name));
	}
	return g_steal_pointer(&places);
}

static bool move_files(struct request *request, const struct gluster_volume *volume, const struct migrate_action *how, const char *verb, int code,
		       const char *what, GError **error)
{
	g_autoptr(GPtrArray) places = places_of(volume, how->bricks, error);
	struct cluster *cluster = places ? cluster_of(request, volume, error) : NULL;
	bool ok = cluster && call_about(request, volume, verb, places, 0, NULL, error);

	for (guint i = 0; ok && i < places->len; i++)
		tell(request, code, cluster, volume, places->pdata[i], what);
	record_unref(cluster);
	return ok;
}

bool gluster_bricks_migrate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return move_files(request, object, params, "GlusterVolume.removeBrickStart", EVENT_EMPTYING, "begun to be emptied in", error);
}

bool gluster_bricks_stop_migrate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return move_files(request, object, params, "GlusterVolume.removeBrickStop", EVENT_EMPTYING_STOPPED, "no longer emptied in", error);
}

const struct resource resource_gluster_brick = {
	.type = &gluster_brick_type, .path = "bricks", .parent = &resource_cluster_gluster_volume,
	.methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links, .slow = true, .permit_add = "manipulate_gluster_volume",
	.permit_remove = "manipulate_gluster_volume", .doc = "Bricks of a Gluster volume", .missing = missing, .list = list, .add = add, .remove = remove_brick,
};
