/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs leave a host. See host_evacuation.h. Each migrates on its own lane, TOGETHER of them at a time; whoever cannot leave stops no other.
 */
#include "engine/flow/host_evacuation.h"

#include "common/error.h"
#include "common/lane.h"
#include "common/log.h"
#include "engine/flow/vm_migrate.h"
#include "engine/model/cluster.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"
#define TOGETHER 2                        /* VMs that leave a host at a time: as the agent's outgoing_limit */
#define EVENT_NOT_FLED 20428               /* of our own */

/* Shared by who waits and by the jobs, each on its VM's lane; the last one frees it. */
struct evacuation {
	int refs;
	struct engine *engine;
	enum migrate_cause cause;
	char *host_id, *user_id, *user_name, *correlation_id;
	GMutex lock;
	GCond changed;
	unsigned under_way;
	GString *stayed;                 /* "'web1': why; ..." */
};
struct departure { struct evacuation *evacuation; char *vm_id; };

static void evacuation_unref(struct evacuation *evacuation)
{
	if (!g_atomic_int_dec_and_test(&evacuation->refs))
		return;
	g_free(evacuation->host_id);
	g_free(evacuation->user_id);
	g_free(evacuation->user_name);
	g_free(evacuation->correlation_id);
	g_mutex_clear(&evacuation->lock);
	g_cond_clear(&evacuation->changed);
	g_string_free(evacuation->stayed, TRUE);
	g_free(evacuation);
}

static void departure_free(void *data)
{
	struct departure *departure = data;
	struct evacuation *evacuation = departure->evacuation;

	g_mutex_lock(&evacuation->lock);
	evacuation->under_way--;
	g_cond_signal(&evacuation->changed);
	g_mutex_unlock(&evacuation->lock);
	evacuation_unref(evacuation);
	g_free(departure->vm_id);
	g_free(departure);
}

static void depart(void *data)
{
	struct departure *departure = data;
	struct evacuation *evacuation = departure->evacuation;
	const struct actor actor = { evacuation->user_id, evacuation->user_name, evacuation->correlation_id };
	struct vm *vm = model_get(evacuation->engine->model, &vm_kind, departure->vm_id);
	g_autoptr(GError) error = NULL;

	/* its lane may have had something else to do first */
	if (vm && !g_strcmp0(vm->host.id, evacuation->host_id) &&
	    !vm_migrate(evacuation->engine, vm->id, /* to= */ NULL, evacuation->cause, &actor, &error)) {
		g_mutex_lock(&evacuation->lock);
		g_string_append_printf(evacuation->stayed, "%s'%s': %s", evacuation->stayed->len ? "; " : "", vm->name, error->message);
		g_mutex_unlock(&evacuation->lock);
	}
	record_unref(vm);
}

static bool submit(struct evacuation *evacuation, const char *vm_id, GError **error)
{
	struct departure *departure = g_new0(struct departure, 1);
	struct lane_job job = { .name = "leave its host", .run = depart, .data = departure, .free_data = departure_free };
	g_autofree char *lane = g_strdup_printf("%s/%s", vm_kind.collection, vm_id);

	*departure = (struct departure){ evacuation, g_strdup(vm_id) };
	g_atomic_int_inc(&evacuation->refs);
	g_mutex_lock(&evacuation->lock);
	evacuation->under_way++;
	g_mutex_unlock(&evacuation->lock);
	if (lane_submit(evacuation->engine->lanes, lane, &job, error))
		return true;
	departure_free(departure);
	return false;
}

static void wait_for_less_than(struct evacuation *evacuation, unsigned limit)
{
	lane_wait_begin();
	g_mutex_lock(&evacuation->lock);
	while (evacuation->under_way >= limit)
		g_cond_wait(&evacuation->changed, &evacuation->lock);
	g_mutex_unlock(&evacuation->lock);
	lane_wait_end();
}

/* Moves these VMs of the host away, as vms_evacuate() does. */
static bool evacuate(struct engine *engine, const char *host_id, const GPtrArray *vms, enum migrate_cause cause, const struct actor *actor, GError **error)
{
	struct evacuation *evacuation = g_new0(struct evacuation, 1);
	bool ok = true;

	*evacuation = (struct evacuation){ .refs = 1, .engine = engine, .cause = cause, .host_id = g_strdup(host_id), .user_id = g_strdup(actor->user_id),
					   .user_name = g_strdup(actor->user_name), .correlation_id = g_strdup(actor->correlation_id), .stayed = g_string_new(NULL) };
	g_mutex_init(&evacuation->lock);
	g_cond_init(&evacuation->changed);
	for (guint i = 0; ok && i < vms->len; i++) {
		wait_for_less_than(evacuation, TOGETHER);
		ok = submit(evacuation, object_id(vms->pdata[i]), error);
	}
	wait_for_less_than(evacuation, 1);
	if (ok && evacuation->stayed->len) {
		error_set(error, ERR_OPERATION_FAILED, "VMs stay on it: %s", evacuation->stayed->str);
		ok = false;
	}
	evacuation_unref(evacuation);
	return ok;
}

bool vms_evacuate(struct engine *engine, const char *host_id, const struct actor *actor, GError **error)
{
	g_autoptr(GPtrArray) vms = model_referring(engine->model, &vm_kind, offsetof(struct vm, host), host_id);

	return evacuate(engine, host_id, vms, MIGRATE_MAINTENANCE, actor, error);
}

struct flight { struct engine *engine; char *host_id; };

static void flight_free(void *data)
{
	struct flight *flight = data;

	g_free(flight->host_id);
	g_free(flight);
}

static void run_flight(void *data)
{
	const struct flight *flight = data;
	const struct actor nobody = { NULL, NULL, NULL };
	struct host *host = model_get(flight->engine->model, &host_kind, flight->host_id);
	struct cluster *cluster = host ? model_get(flight->engine->model, &cluster_kind, host->cluster.id) : NULL;
	g_autoptr(GPtrArray) vms = model_referring(flight->engine->model, &vm_kind, offsetof(struct vm, host), flight->host_id);
	g_autoptr(GError) error = NULL;

	if (cluster && cluster->on_error == ON_ERROR_MIGRATE_HIGHLY_AVAILABLE)
		for (guint i = vms->len; i > 0; i--)
			if (!((const struct vm *)vms->pdata[i - 1])->ha_enabled)
				g_ptr_array_remove_index(vms, i - 1);
	/* it may be mended by now */
	if (cluster && host->state == HOST_NON_OPERATIONAL && cluster->on_error != ON_ERROR_DO_NOT_MIGRATE &&
	    !evacuate(flight->engine, host->id, vms, MIGRATE_FLEE, &nobody, &error))
		store_event(flight->engine->store, EVENT_NOT_FLED, NULL, (void *[]){ host, NULL }, "Host %s is non operational, but not all VMs could leave it: %s", host->name,
			    error->message);
	record_unref(cluster);
	record_unref(host);
}

void vms_flee(struct engine *engine, const char *host_id)
{
	struct flight *flight = g_new0(struct flight, 1);
	struct lane_job job = { .name = "VMs leave a host that is non-operational", .run = run_flight, .data = flight, .free_data = flight_free };
	g_autofree char *lane = g_strdup_printf("flight/%s", host_id);
	g_autoptr(GError) error = NULL;

	*flight = (struct flight){ engine, g_strdup(host_id) };
	if (!lane_submit(engine->lanes, lane, &job, &error)) {
		log_warn("host %s: its VMs stay: %s", host_id, error->message);
		flight_free(flight);
	}
}
