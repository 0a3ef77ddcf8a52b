/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage domain in its data center: attached, activated, deactivated, detached.
 *
 *	mark (locked, activating, ...) > tell (the agents) > settle          interrupted: goes on
 *
 *	unattached -- attach --> inactive -- activate --> active -- deactivate --> maintenance -- detach --> unattached
 *
 * A directory of one host is that host's affair. Shared storage is the affair of the data center's pool (storage_pool.c): the verbs go to its manager, and
 * those of the master domain begin, raise, lower and end the pool itself. The first data domain attached is the master.
 */
#include "engine/flow/storage_flow.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/definitions.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_pool.h"
#include "engine/flow/storage_target.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

static bool is_shared(const struct storage_domain *domain)
{
	return !domain->local_host.id && domain->storage_type != STORAGE_LOCALFS;
}

#define STATE(state) (1u << (state))
static const struct {
	const char *name, *verb;
	uint32_t from;
	int during, after;
	int event, failed;
	const char *done, *undone;
} moves[] = {
	[STORAGE_ATTACH] = { "attach", "StorageDomain.attach", STATE(DOMAIN_UNATTACHED), DOMAIN_LOCKED, DOMAIN_INACTIVE, 962, 963, "attached to", "attach" },
	[STORAGE_ACTIVATE] = { "activate", "StorageDomain.activate", STATE(DOMAIN_INACTIVE) | STATE(DOMAIN_MAINTENANCE) | STATE(DOMAIN_UNKNOWN),
			       DOMAIN_ACTIVATING, DOMAIN_ACTIVE, 966, 967, "activated in", "activate" },
	[STORAGE_DEACTIVATE] = { "deactivate", "StorageDomain.deactivate", STATE(DOMAIN_ACTIVE) | STATE(DOMAIN_UNKNOWN) | STATE(DOMAIN_MIXED),
				 DOMAIN_PREPARING_FOR_MAINTENANCE, DOMAIN_MAINTENANCE, 968, 969, "deactivated in", "deactivate" },
	[STORAGE_DETACH] = { "detach", "StorageDomain.detach", STATE(DOMAIN_INACTIVE) | STATE(DOMAIN_MAINTENANCE), DOMAIN_DETACHING, DOMAIN_UNATTACHED,
			     964, 965, "detached from", "detach" },
};

json_t *storage_move_data(struct engine *engine, enum storage_move move, const struct storage_domain *domain, const char *host_id, const char *data_center_id)
{
	json_t *data = json_pack("{s:s, s:s, s:s, s:s}", "move", moves[move].name, "host", host_id, "pool", data_center_id, "before",
				 storage_domain_state_names[domain->state]);

	/* a directory of the host is always there; shared storage may not have been connected to this host yet */
	if (!domain->local_host.id)
		json_object_set_new(data, "targets", storage_targets(engine->model, host_id, domain->connections));
	return data;
}

bool storage_move_check(enum storage_move move, const struct storage_domain *domain, GError **error)
{
	if (moves[move].from & STATE(domain->state))
		return true;
	error_set(error, ERR_WRONG_STATE, "cannot %s storage domain '%s': it is %s", moves[move].name, domain->name, storage_domain_state_names[domain->state]);
	return false;
}

static enum storage_move move_of(const struct flow *flow)
{
	const char *name = flow_text(flow, "move");

	for (size_t i = 0; i < G_N_ELEMENTS(moves); i++)
		if (!g_strcmp0(moves[i].name, name))
			return (enum storage_move)i;
	g_assert_not_reached();
}

/* Through which host: the manager of a pool that runs, else one that is up. */
char *storage_move_host(struct engine *engine, enum storage_move move, const struct storage_domain *domain, const char *data_center_id, GError **error)
{
	autostorage_pool pool = is_shared(domain) ? storage_pool_read(engine->model, data_center_id) : NULL;
	bool by_manager = pool && (pool->runs || (move == STORAGE_ACTIVATE && !domain->master));

	return by_manager ? storage_manager_host(engine, data_center_id, error) : storage_host_in(engine, domain, data_center_id, error);
}

/* ---- mark ---- */

static GPtrArray *others_of(struct model *model, const struct storage_domain *domain)
{
	GPtrArray *all = model_referring(model, &storage_domain_kind, offsetof(struct storage_domain, data_center), domain->data_center.id);

	for (guint i = all->len; i > 0; i--)
		if (!strcmp(object_id(all->pdata[i - 1]), domain->id))
			g_ptr_array_remove_index(all, i - 1);
	return all;
}

/* Another that makes the move impossible; NULL: none. */
static const struct storage_domain *obstacle(const struct storage_domain *domain, const GPtrArray *others)
{
	for (guint i = 0; i < others->len; i++) {
		const struct storage_domain *other = others->pdata[i];

		if (domain->state == DOMAIN_LOCKED ? domain->master && other->master :
		    domain->state == DOMAIN_DETACHING ? domain->master :
		    domain->master && other->type != DOMAIN_DATA && other->state == DOMAIN_ACTIVE)
			return other;
	}
	return NULL;
}

/* What needs the domain as it is; its changes begin with disk_domain_is_active(), so none comes in between. */
static bool is_at_rest(struct model *model, const struct storage_domain *domain, GError **error)
{
	g_autoptr(GPtrArray) disks = model_list(model, &disk_kind);
	bool ok = true;

	for (guint i = 0; ok && i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];
		bool here = !g_strcmp0(disk_domain(disk), domain->id);
		struct vm *vm = here && disk->active && disk->vm.id ? model_get(model, &vm_kind, disk->vm.id) : NULL;

		ok = !here || (disk->state != DISK_LOCKED && !(vm && vm_is_running(vm)));
		if (!ok && disk->state == DISK_LOCKED)
			error_set(error, ERR_WRONG_STATE, "cannot deactivate storage domain '%s': disk '%s' is locked", domain->name, disk_label(disk));
		else if (!ok)
			error_set(error, ERR_WRONG_STATE, "cannot deactivate storage domain '%s': VM '%s' runs from it", domain->name, vm->name);
		record_unref(vm);
	}
	return ok;
}

/* Run by the writer. data: the domain as it is to be, marked */
static bool fits(struct model *model, void *data, GError **error)
{
	const struct storage_domain *domain = data;
	g_autoptr(GPtrArray) others = others_of(model, domain);
	const struct storage_domain *other;
	g_autofree char *heir = NULL;

	if (domain->state == DOMAIN_PREPARING_FOR_MAINTENANCE && !is_at_rest(model, domain, error))
		return false;
	if (!is_shared(domain) && domain->state != DOMAIN_LOCKED)
		return true;
	if (domain->state == DOMAIN_ACTIVATING)
		return true;
	if (domain->state == DOMAIN_PREPARING_FOR_MAINTENANCE && (heir = storage_pool_heir(model, domain->data_center.id)))
		return true;
	if (!(other = obstacle(domain, others)))
		return true;
	if (domain->state == DOMAIN_LOCKED)
		error_set(error, ERR_CONFLICT, "storage domain '%s' became the data center's master meanwhile", other->name);
	else
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is the data center's master: %s storage domain '%s' first", domain->name,
			  domain->state == DOMAIN_DETACHING ? "detach" : "deactivate", other->name);
	return false;
}

static bool has_master(struct model *model, const struct storage_domain *domain)
{
	g_autoptr(GPtrArray) others = others_of(model, domain);

	for (guint i = 0; i < others->len; i++)
		if (((const struct storage_domain *)others->pdata[i])->master)
			return true;
	return false;
}

static bool edit_mark(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	struct flow *flow = data;
	enum storage_move move = move_of(flow);

	if (domain->state == moves[move].during && !g_strcmp0(domain->data_center.id, flow_text(flow, "pool")) && flow_is_alone(flow, NULL))
		return false;
	if (!storage_move_check(move, domain, error))
		return false;
	SET(domain, state, moves[move].during);
	if (move == STORAGE_ATTACH) {
		set_ref(&domain->data_center, flow_text(flow, "pool"));
		SET(domain, master, domain->type == DOMAIN_DATA && !has_master(flow->engine->model, domain));
	}
	change_check(change, fits, domain);
	return true;
}

static bool move_mark(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_mark, flow, NULL, error))
		return false;
	json_object_set_new(flow->data, "locked", json_true());
	return true;
}

static bool edit_unmark(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	struct flow *flow = data;
	int before = enum_value(storage_domain_state_names, flow_text(flow, "before"));

	if (domain->state != moves[move_of(flow)].during || before < 0)
		return false;
	SET(domain, state, before);
	if (before == DOMAIN_UNATTACHED) {
		set_ref(&domain->data_center, NULL);
		SET(domain, master, false);
	}
	return true;
}

static bool move_unmark(struct flow *flow, GError **error)
{
	if (!flow_flag(flow, "locked"))
		return true;
	if (!store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_unmark, flow, NULL, error))
		return false;
	if (move_of(flow) == STORAGE_ACTIVATE)
		storage_pool_spread(flow->engine, flow_text(flow, "pool"), flow->object_id);
	storage_follow(flow->engine, flow_text(flow, "pool"));
	return true;
}

/* ---- tell ---- */

/* The verb itself: to the manager of a pool that runs, to the host of the flow otherwise. */
static bool tell_verb(struct flow *flow, const struct storage_domain *domain, GError **error)
{
	const char *pool = flow_text(flow, "pool");
	g_autofree char *host = storage_move_host(flow->engine, move_of(flow), domain, pool, error);
	struct storage_call call = storage_flow_call(flow);
	json_t *targets, *target;
	size_t i;
	bool ok = host;

	call.host_id = host;
	targets = ok && is_shared(domain) ? storage_targets(flow->engine->model, host, domain->connections) : NULL;
	json_array_foreach(targets, i, target)
		ok = ok && storage_connect(&call, target, error);
	json_decref(targets);
	return ok && storage_pool_verb(&call, moves[move_of(flow)].verb, domain->id, pool, false, error);
}

static bool tell_connect(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	size_t i;
	json_t *target;

	json_array_foreach(json_object_get(flow->data, "targets"), i, target)
		if (!storage_connect(&call, target, error))
			return false;
	return true;
}

/* What a move of the master is to its pool. *ret_done false: nothing, it goes on as one of any other domain. */
static bool tell_pool(struct flow *flow, bool *ret_done, GError **error)
{
	const char *pool = flow_text(flow, "pool"), *host = flow_text(flow, "host");
	g_autofree char *heir = NULL;

	*ret_done = true;
	switch (move_of(flow)) {
	case STORAGE_ATTACH:
		return tell_connect(flow, error) && storage_pool_begin(flow->engine, host, flow->id, pool, error);
	case STORAGE_ACTIVATE:
		return storage_pool_raise(flow->engine, pool, error);
	case STORAGE_DEACTIVATE:
		if (!(heir = storage_pool_heir(flow->engine->model, pool)))
			return storage_pool_lower(flow->engine, pool, error);
		*ret_done = false;
		return storage_pool_pass(flow->engine, flow->id, pool, heir, error);
	case STORAGE_DETACH:
		return tell_connect(flow, error) && storage_pool_end(flow->engine, host, flow->id, pool, error);
	}
	g_assert_not_reached();
}

/* What is on it is written down while it is still active; one that does not answer is not waited for. */
static void write_down(struct flow *flow, const struct storage_domain *domain)
{
	g_autofree char *host = storage_move_host(flow->engine, move_of(flow), domain, flow_text(flow, "pool"), NULL);
	struct storage_call call = storage_flow_call(flow);

	call.host_id = host;
	call.patience_s = AGENT_PATIENCE_NONE;
	if (host)
		definitions_keep(&call, domain);
}

static bool move_tell(struct flow *flow, GError **error)
{
	struct storage_domain *domain = storage_flow_domain(flow, error);
	bool done = false, ok;

	if (domain && move_of(flow) == STORAGE_DEACTIVATE && !g_strcmp0(flow_text(flow, "before"), storage_domain_state_names[DOMAIN_ACTIVE]))
		write_down(flow, domain);
	ok = domain && (!is_shared(domain) || !domain->master || tell_pool(flow, &done, error)) && (done || tell_verb(flow, domain, error));

	record_unref(domain);
	return ok;
}

/* What was attached, and a pool that was raised, is taken back: the other moves can be made again. */
static bool move_untell(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	struct storage_domain *domain = storage_flow_domain(flow, NULL);
	bool of_pool = domain && is_shared(domain) && domain->master, ok = true;

	if (move_of(flow) == STORAGE_ATTACH)
		ok = storage_pool_verb(&call, "StorageDomain.detach", flow->object_id, flow_text(flow, "pool"), of_pool, error);
	else if (move_of(flow) == STORAGE_ACTIVATE && of_pool)
		ok = storage_pool_lower(flow->engine, flow_text(flow, "pool"), error);
	record_unref(domain);
	return ok;
}

/* ---- settle ---- */

struct settling { struct flow *flow; int64_t total, free; bool has_sizes, master; };

static bool edit_settle(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	struct settling *settling = data;
	struct flow *flow = settling->flow;
	enum storage_move move = move_of(flow);
	struct datacenter *data_center;

	if (domain->state != moves[move].during)
		return false;
	SET(domain, state, moves[move].after);
	set_string(&domain->state_detail, NULL);
	if (settling->has_sizes)
		storage_domain_set_sizes(domain, settling->total, settling->free);
	if (move == STORAGE_DETACH) {
		settling->master = domain->master;
		SET(domain, master, false);
		set_ref(&domain->data_center, NULL);
	}
	data_center = model_get(flow->engine->model, &datacenter_kind, flow_text(flow, "pool"));
	change_event(change, moves[move].event, &flow->actor, (void *[]){ domain, data_center, NULL }, "Storage Domain %s was %s Data Center %s by %s",
		     domain->name, moves[move].done, data_center ? data_center->name : flow_text(flow, "pool"), flow_user(flow));
	record_unref(data_center);
	return true;
}

static bool edit_master(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;

	if (domain->master)
		return false;
	SET(domain, master, true);
	return true;
}

/* The master of local storage went: the next data domain takes its place. (That of a pool goes last.) */
static void pass_master(struct engine *engine, const char *data_center_id)
{
	g_autoptr(GPtrArray) domains = model_referring(engine->model, &storage_domain_kind, offsetof(struct storage_domain, data_center), data_center_id);
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (domain->type != DOMAIN_DATA)
			continue;
		if (!store_modify(engine->store, &storage_domain_kind, domain->id, edit_master, NULL, NULL, &error))
			log_warn("storage domain %s: not made master: %s, ignoring", domain->id, error->message);
		return;
	}
}

static bool move_settle(struct flow *flow, GError **error)
{
	const struct storage_call call = { flow->engine, flow_text(flow, "host"), flow->id, AGENT_PATIENCE_NONE };
	const char *pool = flow_text(flow, "pool");
	struct settling settling = { .flow = flow };

	settling.has_sizes = move_of(flow) == STORAGE_ACTIVATE && storage_sizes(&call, flow->object_id, &settling.total, &settling.free, NULL);
	if (!store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_settle, &settling, NULL, error))
		return false;
	if (move_of(flow) == STORAGE_ACTIVATE || move_of(flow) == STORAGE_DEACTIVATE)
		storage_pool_spread(flow->engine, pool, move_of(flow) == STORAGE_DEACTIVATE ? flow->object_id : NULL);
	if (settling.master)
		pass_master(flow->engine, pool);
	storage_follow(flow->engine, pool);
	return true;
}

static void move_failed(struct flow *flow, const GError *cause)
{
	struct storage_domain *domain = storage_flow_domain(flow, NULL);
	enum storage_move move = move_of(flow);

	store_event(flow->engine->store, moves[move].failed, &flow->actor, (void *[]){ domain, NULL }, "Failed to %s Storage Domain %s. (User: %s): %s",
		    moves[move].undone, domain ? domain->name : flow->object_id, flow_user(flow), cause->message);
	record_unref(domain);
}

static const struct flow_step move_steps[] = {
	{ "mark", move_mark, move_unmark },
	{ "tell", move_tell, move_untell },
	{ "settle", move_settle, NULL },
};

const struct flow_type move_domain_flow = {
	.name = "move_domain", .kind = &storage_domain_kind, .steps = move_steps, .n_steps = G_N_ELEMENTS(move_steps), .forward = true, .failed = move_failed,
};
