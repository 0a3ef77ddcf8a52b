/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gluster volumes of a cluster (REST 10.7.2.1, 10.7.2.3). Nothing is stored: a volume is what Gluster says, a change is a verb of the host that said so, and so
 * a restart of the engine has nothing to take up. Servers become peers of each other when a volume first needs them.
 */
#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/gluster.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define TIMEOUT_S 170

#define EVENT_CREATED 4000
#define EVENT_OPTION_SET 4002
#define EVENT_STARTED 4004
#define EVENT_STOPPED 4006
#define EVENT_OPTIONS_RESET 4008
#define EVENT_DELETED 4010
#define EVENT_REBALANCE_STARTED 4012
/* A code of our own */
#define EVENT_REBALANCE_STOPPED 20360

static void tell(struct request *request, int code, const char *volume, const char *what)
{
	const struct cluster *cluster = request->parent;

	store_event(request->engine->store, code, &request->actor, (void *[]){ (void *)cluster, NULL }, "Gluster volume %s of cluster %s %s by %s.", volume,
		    cluster->name, what, request->actor.user_name);
}

static GPtrArray *list(struct request *request, GError **error)
{
	return gluster_volumes(request, request->parent, error);
}

/* ---- creation ---- */

static bool count_error(const struct gluster_volume *wish, const char *member, const char *rule, GError **error)
{
	error_set(error, ERR_BAD_VALUE, "gluster_volume: %s: %s, and volume_type is %s with %u bricks", member, rule,
		  gluster_volume_type_names[wish->volume_type], wish->bricks->len);
	return false;
}

/* Copies of each file that the type asks for; 0: none. */
static bool take_counts(const struct gluster_volume *wish, struct gluster_params *params, GError **error)
{
	bool copies = false, striped = wish->volume_type >= GLUSTER_STRIPE;
	unsigned bricks = wish->bricks->len;
	int replica = 0;

	switch (wish->volume_type) {
	case GLUSTER_REPLICATE:
		copies = true;
		replica = HAS(wish, replica_count) ? wish->replica_count : (int)bricks;
		break;
	case GLUSTER_DISTRIBUTED_REPLICATE:
	case GLUSTER_STRIPED_REPLICATE:
	case GLUSTER_DISTRIBUTED_STRIPED_REPLICATE:
		copies = true;
		replica = HAS(wish, replica_count) ? wish->replica_count : 2;
		break;
	default:
		break;
	}
	if (!copies && HAS(wish, replica_count) && wish->replica_count > 1)
		return count_error(wish, "replica_count", "must be absent or 1", error);
	if (copies && (replica < 2 || bricks % (unsigned)replica))
		return count_error(wish, "replica_count", "must be 2 or more, and divide the number of bricks", error);
	if (wish->volume_type == GLUSTER_REPLICATE && (unsigned)replica != bricks)
		return count_error(wish, "replica_count", "must be the number of bricks", error);
	if (striped != (HAS(wish, stripe_count) && wish->stripe_count > 1))
		return count_error(wish, "stripe_count", striped ? "must be 2 or more" : "must be absent or 1", error);
	SET(params, replica_count, replica);
	SET(params, stripe_count, striped ? wish->stripe_count : 0);
	return true;
}

static bool create(struct request *request, const struct gluster_volume *wish, struct gluster_params *params, GError **error)
{
	g_autoptr(GPtrArray) hosts = NULL;
	struct host *host;
	bool ok;

	params->bricks = gluster_places(request, request->parent, wish->bricks, &hosts, error);
	if (!params->bricks)
		return false;
	host = gluster_pool_host(request, request->parent, hosts);
	ok = gluster_make_peers(request, host, hosts, error) && host_call(request, host, "GlusterVolume.create", params, TIMEOUT_S, NULL, error);
	record_unref(host);
	return ok;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	const struct gluster_volume *wish = input;
	struct gluster_params *params = gluster_params_new("GlusterVolume.create");
	bool ok;

	set_string(&params->volume, wish->name);
	SET(params, force, request_flag(request, "force"));
	for (guint i = 0; wish->transport_types && i < wish->transport_types->len; i++) {
		if (!params->transports)
			params->transports = strings_new();
		g_ptr_array_add(params->transports, g_strdup(wish->transport_types->pdata[i]));
	}
	ok = gluster_check_served(request->parent, error) && take_counts(wish, params, error) && create(request, wish, params, error);
	record_unref(params);
	if (!ok) {
		error_wrap(error, "gluster volume '%s'", wish->name);
		return false;
	}
	tell(request, EVENT_CREATED, wish->name, "was created");
	*ret_record = gluster_volume_named(request, request->parent, wish->name, error);
	return *ret_record != NULL;
}

static bool remove_volume(struct request *request, const void *current, const void *options, GError **error)
{
	const struct gluster_volume *volume = current;

	if (!gluster_call(request, volume, "GlusterVolume.delete", NULL, NULL, error))
		return false;
	tell(request, EVENT_DELETED, volume->name, "was removed");
	return true;
}

/* ---- actions ---- */

struct option_action { ACTION_MEMBERS char *name, *value; bool fix_layout; };
#define O struct option_action
#define OPTION_NAME \
	FIELD_STRING_(O, name, "option/name", CREATE | REQUIRED, "name of the option", .min = 1, .max = 255, .pattern = "[A-Za-z0-9_][A-Za-z0-9_.*-]*")
static const struct field set_fields[] = {
	ACTION_FIELDS(O), OPTION_NAME,
	FIELD_STRING_(O, value, "option/value", CREATE | REQUIRED, "its value", .min = 1, .max = 4000, .pattern = "[^-\\x00-\\x1f][^\\x00-\\x1f]*"),
};
static const struct record_type set_type = RECORD_TYPE("action", NULL, O, set_fields, "An option of a Gluster volume and its value");
static const struct field reset_fields[] = { ACTION_FIELDS(O), OPTION_NAME };
static const struct record_type reset_type = RECORD_TYPE("action", NULL, O, reset_fields, "An option of a Gluster volume");
static const struct field rebalance_fields[] = { ACTION_FIELDS(O), FIELD_BOOL_(O, fix_layout, "fix_layout", CREATE, "directories only: no file moves") };
static const struct record_type rebalance_type = RECORD_TYPE("action", NULL, O, rebalance_fields, "How files are spread anew");

/* One verb about the volume; takes over params. */
static bool act(struct request *request, const struct gluster_volume *volume, const char *verb, struct gluster_params *params, int event, const char *what,
		GError **error)
{
	bool ok = gluster_call(request, volume, verb, params, NULL, error);

	record_unref(params);
	if (ok)
		tell(request, event, volume->name, what);
	return ok;
}

static struct gluster_params *params_of(const char *verb, bool force)
{
	struct gluster_params *params = gluster_params_new(verb);

	SET(params, force, force);
	return params;
}

static bool start(struct request *request, const void *object, const void *how, void **ret_result, GError **error)
{
	static const char verb[] = "GlusterVolume.start";

	return act(request, object, verb, params_of(verb, ((const struct plain_action *)how)->force), EVENT_STARTED, "was started", error);
}

static bool stop(struct request *request, const void *object, const void *how, void **ret_result, GError **error)
{
	static const char verb[] = "GlusterVolume.stop";

	return act(request, object, verb, params_of(verb, ((const struct plain_action *)how)->force), EVENT_STOPPED, "was stopped", error);
}

static bool rebalance(struct request *request, const void *object, const void *how, void **ret_result, GError **error)
{
	static const char verb[] = "GlusterVolume.rebalanceStart";
	const struct option_action *wish = how;
	struct gluster_params *params = params_of(verb, wish->force);

	set_string(&params->rebalance_type, wish->fix_layout ? "fix-layout" : "");
	return act(request, object, verb, params, EVENT_REBALANCE_STARTED, "began to be rebalanced", error);
}

static bool stop_rebalance(struct request *request, const void *object, const void *how, void **ret_result, GError **error)
{
	static const char verb[] = "GlusterVolume.rebalanceStop";

	return act(request, object, verb, params_of(verb, ((const struct plain_action *)how)->force), EVENT_REBALANCE_STOPPED, "was no longer rebalanced", error);
}

static bool set_option(struct request *request, const void *object, const void *how, void **ret_result, GError **error)
{
	static const char verb[] = "GlusterVolume.set";
	const struct option_action *wish = how;
	struct gluster_params *params = gluster_params_new(verb);
	g_autofree char *what = g_strdup_printf("got the option %s=%s", wish->name, wish->value);

	set_string(&params->option, wish->name);
	set_string(&params->value, wish->value);
	return act(request, object, verb, params, EVENT_OPTION_SET, what, error);
}

/* name "": all */
static bool reset(struct request *request, const struct gluster_volume *volume, const char *name, bool force, GError **error)
{
	static const char verb[] = "GlusterVolume.reset";
	struct gluster_params *params = params_of(verb, force);
	g_autofree char *what = g_strdup_printf("lost %s%s", *name ? "the option " : "all options", name);

	set_string(&params->option, name);
	return act(request, volume, verb, params, EVENT_OPTIONS_RESET, what, error);
}

static bool reset_option(struct request *request, const void *object, const void *how, void **ret_result, GError **error)
{
	const struct option_action *wish = how;

	return reset(request, object, wish->name, wish->force, error);
}

static bool reset_all(struct request *request, const void *object, const void *how, void **ret_result, GError **error)
{
	return reset(request, object, "", ((const struct plain_action *)how)->force, error);
}

#define MANIPULATE "manipulate_gluster_volume"
static const struct action actions[] = {
	{ "start", &plain_action_type, start, MANIPULATE, "Starts the volume; with force also bricks of a started one that died" },
	{ "stop", &plain_action_type, stop, MANIPULATE, "Stops the volume" },
	{ "rebalance", &rebalance_type, rebalance, MANIPULATE, "Begins to spread files over the bricks anew" },
	{ "stoprebalance", &plain_action_type, stop_rebalance, MANIPULATE, "Ends that" },
	{ "setoption", &set_type, set_option, MANIPULATE, "Sets an option" },
	{ "resetoption", &reset_type, reset_option, MANIPULATE, "Gives up an option" },
	{ "resetalloptions", &plain_action_type, reset_all, MANIPULATE, "Gives up all options; with force protected ones, too" },
	{ "bricks/migrate", &gluster_migrate_type, gluster_bricks_migrate, MANIPULATE,
	  "Begins to move the files of bricks to the others, so that they can be removed" },
	{ "bricks/stopmigrate", &gluster_migrate_type, gluster_bricks_stop_migrate, MANIPULATE, "Ends that: the bricks are used again" },
	{ NULL }
};

static const char *const links[] = { "bricks", NULL };
const struct resource resource_cluster_gluster_volume = {
	.type = &gluster_volume_type, .path = "glustervolumes", .parent = &resource_cluster, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE,
	.links = links, .actions = actions, .slow = true, .permit_add = "create_gluster_volume", .permit_remove = "delete_gluster_volume",
	.doc = "Gluster volumes of the cluster", .list = list, .add = add, .remove = remove_volume,
};
