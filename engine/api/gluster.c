/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/gluster.h"

#include <string.h>
#include "common/error.h"
#include "common/lane.h"
#include "common/loop.h"
#include "engine/api/host_network.h"
#include "engine/api/res_host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "proto/verb.h"

#define TIMEOUT_S 170                   /* above the agent's own limit of a command */
#define PEER_TIMEOUT_USEC (60 * G_USEC_PER_SEC)
#define PEER_LOOK_USEC (200 * 1000)

bool gluster_check_served(const struct cluster *cluster, GError **error)
{
	if (!cluster->gluster_service)
		error_set(error, ERR_WRONG_STATE, "cluster '%s' does not serve Gluster: its gluster_service is false", cluster->name);
	return cluster->gluster_service;
}

struct gluster_params *gluster_params_new(const char *verb)
{
	return record_new(verb_find(verb)->params);
}

bool gluster_call(struct request *request, const struct gluster_volume *volume, const char *verb, struct gluster_params *params, json_t **ret_answer,
		  GError **error)
{
	struct host *host = model_get(request->engine->model, &host_kind, volume->host_id);
	struct gluster_params *all = params ? record_ref(params) : gluster_params_new(verb);
	bool ok;

	set_string(&all->volume, volume->name);
	if (!host)
		error_set(error, ERR_NOT_FOUND, "host '%s'", volume->host_id);
	ok = host && host_call(request, host, verb, all, TIMEOUT_S, ret_answer, error);
	if (!ok)
		error_wrap(error, "gluster volume '%s'", volume->name);
	record_unref(all);
	record_unref(host);
	return ok;
}

/* ---- what hosts tell ---- */

static const char *text(const json_t *object, const char *name)
{
	const char *value = host_json_text(object, name);

	return value ? value : "";
}

static int number(const json_t *object, const char *name)
{
	return (int)g_ascii_strtoll(text(object, name), NULL, 10);
}

/* The host whose address the brick's server is, else the server as Gluster names it; g_free */
static char *server_of(const GPtrArray *hosts, const char *address)
{
	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];

		if (!g_strcmp0(host->address, address))
			return g_strdup(host->id);
	}
	return g_strdup(address);
}

static void fill_brick(struct gluster_volume *volume, const GPtrArray *hosts, const char *place)
{
	struct gluster_brick *brick = list_add(&volume->bricks, &gluster_brick_type);
	const char *colon = strstr(place, ":/");
	g_autofree char *address = g_strndup(place, colon ? (size_t)(colon - place) : strlen(place));

	brick->id = host_part_id("brick", volume->id, place);
	set_string(&brick->name, place);
	brick->server_id = server_of(hosts, address);
	set_string(&brick->brick_dir, colon ? colon + 1 : "");
	if (HAS(volume, replica_count))
		SET(brick, replica_count, volume->replica_count);
	if (HAS(volume, stripe_count))
		SET(brick, stripe_count, volume->stripe_count);
}

static struct gluster_volume *volume_from(const json_t *told, const struct host *host, const GPtrArray *hosts)
{
	struct gluster_volume *volume = record_new(&gluster_volume_type);
	int type = enum_value(gluster_volume_type_names, text(told, "volumeType"));
	const char *name;
	json_t *value;
	size_t i;

	set_string(&volume->id, text(told, "uuid"));
	set_string(&volume->name, text(told, "volumeName"));
	set_string(&volume->host_id, host->id);
	if (type >= 0)
		SET(volume, volume_type, type);
	volume->transport_types = strings_new();
	json_array_foreach(json_object_get(told, "transportType"), i, value)
		g_ptr_array_add(volume->transport_types, g_ascii_strdown(json_string_value(value) ? json_string_value(value) : "", -1));
	SET(volume, replica_count, number(told, "replicaCount"));
	SET(volume, stripe_count, number(told, "stripeCount"));
	SET(volume, state, strcmp(text(told, "volumeStatus"), "ONLINE") ? GLUSTER_DOWN : GLUSTER_UP);
	volume->options = list_new();
	json_object_foreach(json_object_get(told, "options"), name, value) {
		struct option_item *option = list_add(&volume->options, &gluster_option_type);

		set_string(&option->name, name);
		set_string(&option->value, json_string_value(value));
	}
	volume->bricks = list_new();
	json_array_foreach(json_object_get(told, "bricks"), i, value)
		if (json_string_value(value))
			fill_brick(volume, hosts, json_string_value(value));
	return volume;
}

static GPtrArray *hosts_of(struct request *request, const struct cluster *cluster)
{
	return model_referring(request->engine->model, &host_kind, offsetof(struct host, cluster), cluster->id);
}

/* Another host may know more: this one is not there, or has no Gluster, or no glusterd. */
static bool ask_next(const GError *error)
{
	return error_is(error, ERR_NO_CONNECTION) || error_is(error, ERR_MESSAGE_TIMEOUT) || error_is(error, ERR_GLUSTER_CMD_EXEC_FAILED) ||
	       error_is(error, ERR_GLUSTER_COMMAND_TIMEOUT) || error_is(error, ERR_JSONRPC_NO_METHOD);
}

GPtrArray *gluster_volumes(struct request *request, const struct cluster *cluster, GError **error)
{
	g_autoptr(GPtrArray) hosts = hosts_of(request, cluster);
	GPtrArray *volumes = list_new();
	GError *failure = NULL;
	bool told = !cluster->gluster_service || !hosts->len;

	for (guint i = 0; cluster->gluster_service && i < hosts->len && !volumes->len; i++) {
		const struct host *host = hosts->pdata[i];
		const char *name;
		json_t *answer = NULL, *one;

		if (host->state != HOST_UP)
			continue;
		g_clear_error(&failure);
		if (!host_call(request, host, "GlusterVolume.list", NULL, TIMEOUT_S, &answer, &failure)) {
			error_wrap(&failure, "host '%s'", host->name);
			if (!ask_next(failure))
				break;
			continue;
		}
		told = true;
		json_object_foreach(json_object_get(answer, "volumes"), name, one)
			g_ptr_array_add(volumes, volume_from(one, host, hosts));
		json_decref(answer);
	}
	if (told) {
		g_clear_error(&failure);
		return volumes;
	}
	if (failure)
		g_propagate_error(error, failure);
	else
		error_set(error, ERR_WRONG_STATE, "cluster '%s' has no host that is up and could be asked for Gluster volumes", cluster->name);
	g_ptr_array_unref(volumes);
	return NULL;
}

struct gluster_volume *gluster_volume_named(struct request *request, const struct cluster *cluster, const char *name, GError **error)
{
	GPtrArray *volumes = gluster_volumes(request, cluster, error);
	struct gluster_volume *found = NULL;

	for (guint i = 0; volumes && !found && i < volumes->len; i++)
		if (!strcmp(((struct gluster_volume *)volumes->pdata[i])->name, name))
			found = record_ref(volumes->pdata[i]);
	if (volumes && !found)
		error_set(error, ERR_NOT_FOUND, "gluster_volume '%s'", name);
	if (volumes)
		g_ptr_array_unref(volumes);
	return found;
}

/* ---- bricks and servers ---- */

GPtrArray *gluster_places(struct request *request, const struct cluster *cluster, const GPtrArray *bricks, GPtrArray **ret_hosts, GError **error)
{
	g_autoptr(GPtrArray) hosts = hosts_of(request, cluster), places = strings_new(), used = list_new();

	for (guint i = 0; i < bricks->len; i++) {
		const struct gluster_brick *brick = bricks->pdata[i];
		const struct host *host = NULL;

		for (guint k = 0; !host && k < hosts->len; k++) {
			const struct host *one = hosts->pdata[k];

			if (!g_ascii_strcasecmp(one->id, brick->server_id) || !g_strcmp0(one->name, brick->server_id))
				host = one;
		}
		if (!host) {
			error_set(error, ERR_BAD_VALUE, "brick %u: server_id '%s' is no host of cluster '%s'", i + 1, brick->server_id, cluster->name);
			return NULL;
		}
		if (!host_check_up(host, error))
			return NULL;
		g_ptr_array_add(places, g_strdup_printf("%s:%s", host->address, brick->brick_dir));
		g_ptr_array_add(used, record_ref(host));
	}
	*ret_hosts = g_steal_pointer(&used);
	return g_steal_pointer(&places);
}

static json_t *peers_of(struct request *request, const struct host *host, GError **error)
{
	json_t *answer = NULL;

	return host_call(request, host, "GlusterHost.list", NULL, TIMEOUT_S, &answer, error) ? answer : NULL;
}

/* "CONNECTED"...; NULL: no peer */
static const char *state_in(const json_t *peers, const char *address)
{
	json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(peers, "hosts"), i, peer)
		if (!strcmp(text(peer, "hostname"), address))
			return text(peer, "status");
	return NULL;
}

static bool add_peer(struct request *request, const struct host *host, const char *address, GError **error)
{
	struct gluster_params *params = gluster_params_new("GlusterHost.add");
	bool ok;

	set_string(&params->host, address);
	ok = host_call(request, host, "GlusterHost.add", params, TIMEOUT_S, NULL, error);
	record_unref(params);
	return ok;
}

/* A new peer can be used once the two have agreed, which nothing tells. */
static bool wait_peer(struct request *request, const struct host *host, const char *address, GError **error)
{
	int64_t end = now_usec() + PEER_TIMEOUT_USEC;

	for (;;) {
		json_t *peers = peers_of(request, host, error);
		const char *state = peers ? state_in(peers, address) : NULL;
		bool there = !g_strcmp0(state, "CONNECTED");

		if (peers && !there && now_usec() > end)
			error_set(error, ERR_TIMEOUT, "the server is %s, not CONNECTED", state ? state : "not a peer");
		json_decref(peers);
		if (!peers || there || now_usec() > end)
			return there;
		lane_pause(PEER_LOOK_USEC);
	}
}

bool gluster_make_peers(struct request *request, const struct host *host, const GPtrArray *hosts, GError **error)
{
	json_t *peers = peers_of(request, host, error);
	bool ok = peers != NULL;

	for (guint i = 0; ok && i < hosts->len; i++) {
		const struct host *one = hosts->pdata[i];

		if (!strcmp(one->id, host->id) || !g_strcmp0(state_in(peers, one->address), "CONNECTED"))
			continue;
		ok = (state_in(peers, one->address) || add_peer(request, host, one->address, error)) && wait_peer(request, host, one->address, error);
		if (!ok)
			error_wrap(error, "host '%s' as a Gluster peer of '%s'", one->name, host->name);
	}
	json_decref(peers);
	return ok;
}

struct host *gluster_pool_host(struct request *request, const struct cluster *cluster, const GPtrArray *hosts)
{
	g_autoptr(GPtrArray) all = hosts_of(request, cluster);

	for (guint i = 0; i < all->len; i++) {
		const struct host *host = all->pdata[i];
		json_t *peers = host->state == HOST_UP ? peers_of(request, host, NULL) : NULL;
		bool has = json_array_size(json_object_get(peers, "hosts")) > 1;

		json_decref(peers);
		if (has)
			return record_ref(host);
	}
	return record_ref(hosts->pdata[0]);
}
