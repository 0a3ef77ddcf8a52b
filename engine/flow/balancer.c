/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/balancer.h"

#include <string.h>

#include "common/log.h"
#include "engine/flow/vm_migrate.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/sched/balance.h"

#define LOG_MODULE "flow"

struct balancer {
	struct engine *engine;
	struct timer *timer;
	struct balance *balance;             /* lane "balance" only */
};

static bool is_moving(struct model *model, const char *cluster_id)
{
	g_autoptr(GPtrArray) flows = model_list(model, &flow_kind);
	bool moving = false;

	for (guint i = 0; i < flows->len && !moving; i++) {
		const struct flow_record *flow = flows->pdata[i];
		struct vm *vm = !strcmp(flow->name, FLOW_MIGRATE_VM) ? model_get(model, &vm_kind, flow->object_id) : NULL;

		moving = vm && !g_strcmp0(vm->cluster.id, cluster_id);
		record_unref(vm);
	}
	return moving;
}

struct move { struct engine *engine; char *vm_id, *host_id; };

static void move_free(void *data)
{
	struct move *move = data;

	g_free(move->vm_id);
	g_free(move->host_id);
	g_free(move);
}

static void run_move(void *data)
{
	const struct move *move = data;
	const struct actor nobody = { NULL, NULL, NULL };
	g_autoptr(GError) error = NULL;

	/* why not is an event; the next look may find something else */
	if (!vm_migrate(move->engine, move->vm_id, move->host_id, MIGRATE_BALANCE, &nobody, &error))
		log_info("VM %s stays: %s", move->vm_id, error->message);
}

/* Takes over both. */
static void submit(struct engine *engine, char *vm_id, char *host_id)
{
	struct move *move = g_new0(struct move, 1);
	struct lane_job job = { .name = "balance load", .run = run_move, .data = move, .free_data = move_free };
	g_autofree char *lane = g_strdup_printf("%s/%s", vm_kind.collection, vm_id);
	g_autoptr(GError) error = NULL;

	*move = (struct move){ engine, vm_id, host_id };
	if (!lane_submit(engine->lanes, lane, &job, &error)) {
		log_warn("VM %s: %s, ignoring: the next look finds it again", vm_id, error->message);
		move_free(move);
	}
}

static void look(void *data)
{
	struct balancer *balancer = data;
	struct engine *engine = balancer->engine;
	g_autoptr(GPtrArray) clusters = model_list(engine->model, &cluster_kind);

	for (guint i = 0; i < clusters->len; i++) {
		const struct cluster *cluster = clusters->pdata[i];
		char *vm_id, *host_id;

		if (!is_moving(engine->model, cluster->id) && balance_look(balancer->balance, engine, cluster, now_usec(), &vm_id, &host_id))
			submit(engine, vm_id, host_id);
	}
}

static void tick(void *data)
{
	struct balancer *balancer = data;
	struct lane_job job = { .name = "look at the hosts' load", .run = look, .data = balancer };
	g_autoptr(GError) error = NULL;

	if (!lane_submit(balancer->engine->lanes, "balance", &job, &error))
		log_warn("%s, ignoring: the hosts' load is looked at again", error->message);
	timer_set(balancer->timer, config_int(balancer->engine->config, "sched", "balance_period") * G_USEC_PER_SEC);
}

struct balancer *balancer_new(struct engine *engine)
{
	struct balancer *balancer = g_new0(struct balancer, 1);

	*balancer = (struct balancer){ engine, timer_new(engine->loop, tick, balancer), balance_new() };
	timer_set(balancer->timer, config_int(engine->config, "sched", "balance_period") * G_USEC_PER_SEC);
	return balancer;
}

void balancer_stop(struct balancer *balancer)
{
	if (balancer)
		balancer->timer = timer_free(balancer->timer);
}

struct balancer *balancer_free(struct balancer *balancer)
{
	if (balancer)
		balancer->balance = balance_free(balancer->balance);
	g_free(balancer);
	return NULL;
}
