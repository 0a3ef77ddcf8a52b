/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows. See flow.h.
 *
 * A flow's record (kind "flows") is stored before its first step and after each one, and removed in the end; its `step` says which step is next:
 *
 *	running   steps [0, step) are done; `step` may be half done
 *	undoing   steps [0, step) are still to be undone, last first; so is the one that failed (its undo has run before the record says so or runs again)
 *
 * t=0 record stored, running, step 0; step 0 runs; record stored, step 1; ... ; last step runs; record removed.
 * A step fails at k: record stored, undoing, step k + 1; undo k, k - 1 ... 0, the record stored after each; `failed` is told; record removed.
 * Killed anywhere: what was stored last says where to go on. Between a step and the storing of it lies a gap, therefore steps and undos look first
 * whether their work was done already.
 *
 * Put off: record stored as it is, with waits_for; `failed` is told when it is the first undo that waits. Who stores waits_for looks afterwards whether the
 * host is up, and who makes a host up looks afterwards for flows that wait, so one of the two takes it up; both do no harm: it is the same lane, and the
 * second finds the record gone. A restarted engine leaves a flow that waits alone until its host is up.
 *
 * A store that fails in the middle of a flow (disk full) is a failed step: what was done is undone, without being stored, as well as that goes. One that is
 * away breaks the flow off (BROKEN): nothing is undone that could not be stored, and flow_take_up_broken() does what flow_resume_all() does after a restart.
 */
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/flow/agent.h"
#include "engine/flow/flow.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"
#include <string.h>

#define LOG_MODULE "flow"
#define EVENT_FLOW_RESUMED 20300                /* taken up after a restart, and how it ended */
#define EVENT_FLOW_ROLLED_BACK 20301
#define EVENT_FLOW_WAITS 20302                  /* for its host to be up */
#define EVENT_FLOW_LEFT_BEHIND 20303            /* an undo failed for good */

#define TOLD "told"                            /* member of a flow's data: its type's `failed` was called */

enum outcome { DONE, FAILED, PUT_OFF, BROKEN };

struct place { int step, state; json_t *data; const char *waits_for; };

static bool edit_place(void *copy, struct change *change, void *data, GError **error)
{
	struct flow_record *record = copy;
	const struct place *place = data;

	SET(record, step, place->step);
	SET(record, state, place->state);
	CLEAR(record, data);
	record->data = json_deep_copy(place->data);
	set_string(&record->waits_for, place->waits_for);
	return true;
}

static bool note(struct flow *flow, int step, enum flow_state state, const char *waits_for, GError **error)
{
	struct place place = { step, state, flow->data, waits_for };

	return store_modify(flow->engine->store, &flow_kind, flow->id, edit_place, &place, /* ret_record= */ NULL, error);
}

/* false: it stays, the store is away. */
static bool forget(struct flow *flow, GError **error)
{
	g_autoptr(GError) problem = NULL;
	void *record = model_get(flow->engine->model, &flow_kind, flow->id);
	struct change *change;

	if (!record)
		return true;
	change = change_new(flow->engine->store);
	change_remove(change, record);
	record_unref(record);
	if (change_commit(change, &problem))
		return true;
	if (error_is(problem, ERR_STORE_AWAY)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	log_warn("flow %s: its record stays: %s, ignoring", flow->id, problem->message);
	return true;
}

/* "<begin> start_vm of vm web <end>" */
static void tell(struct flow *flow, const struct flow_type *type, int code, const char *begin, const char *end)
{
	void *object = model_get(flow->engine->model, type->kind, flow->object_id), *refs[] = { object, NULL };
	const char *name = object ? object_name(object) : flow_text(flow, "name");

	store_event(flow->engine->store, code, &flow->actor, refs, "%s %s of %s %s %s", begin, type->name, type->kind->type->name,
		    name ? name : flow->object_id, end);
	record_unref(object);
}

static void tell_failed(struct flow *flow, const struct flow_type *type, const GError *cause)
{
	if (type->failed && !flow_flag(flow, TOLD))
		type->failed(flow, cause);
	json_object_set_new(flow->data, TOLD, json_true());
}

static void take_up(struct engine *engine, const struct flow_record *record);

static bool is_up(struct engine *engine, const char *host_id)
{
	struct host *host = model_get(engine->model, &host_kind, host_id);
	bool up = host && host->state == HOST_UP;

	record_unref(host);
	return up;
}

/* true: the problem is that the flow's host is away, and the flow, as it is, waits for it. */
static bool put_off(struct flow *flow, const struct flow_type *type, int step, enum flow_state state, const GError *problem)
{
	const char *host_id = flow_text(flow, "host");
	struct host *host = host_id && agent_is_away(problem) ? model_get(flow->engine->model, &host_kind, host_id) : NULL;
	g_autoptr(GError) error = NULL;
	bool stored = host && note(flow, step, state, host_id, &error);
	struct flow_record *record = stored ? model_get(flow->engine->model, &flow_kind, flow->id) : NULL;

	if (error)
		log_warn("flow %s: cannot wait, its position is not stored: %s, ignoring", flow->id, error->message);
	if (stored && !flow->waited) {
		g_autofree char *end = g_strdup_printf("waits until host %s is up: %s", host->name, problem->message);

		tell(flow, type, EVENT_FLOW_WAITS, state == FLOW_UNDOING ? "Taking back operation" : "The rest of operation", end);
		flow->waited = true;
	}
	if (record && is_up(flow->engine, host_id))
		take_up(flow->engine, record);
	record_unref(record);
	record_unref(host);
	return stored;
}

/* Flows that the store's absence broke off, by id, until they are taken up. */
static GHashTable *broken;
static pthread_mutex_t broken_lock = PTHREAD_MUTEX_INITIALIZER;

static void break_off(struct flow *flow, const struct flow_type *type, const GError *cause)
{
	log_warn("flow %s %s: broken off: %s", type->name, flow->id, cause->message);
	{
		AUTO_LOCK(&broken_lock);

		if (!broken)
			broken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_hash_table_add(broken, g_strdup(flow->id));
	}
	/* the news that it is back may have come before this one was noted */
	if (!store_is_away(flow->engine->store))
		flow_take_up_broken(flow->engine);
}

typedef bool (*step_fn)(struct flow *flow, GError **error);

/* The one place where steps and undos are called: what fails says why. */
static bool call_step(struct flow *flow, const struct flow_type *type, int step, step_fn fn, const char *what, GError **error)
{
	return error_ensure(fn(flow, error), error, "%s %s of %s", what, type->steps[step].name, type->name);
}

/* Undoes one step; false: put off, or (ret_away is set) the store is away. */
static bool undo_step(struct flow *flow, const struct flow_type *type, int step, const GError *cause, GError **ret_away)
{
	const char *name = type->steps[step].name;
	g_autoptr(GError) problem = NULL;
	g_autofree char *end = NULL;

	if (!type->steps[step].undo)
		return true;
	log_info("flow %s %s: undo %s", type->name, flow->id, name);
	if (call_step(flow, type, step, type->steps[step].undo, "undo", &problem))
		return true;
	if (error_is(problem, ERR_STORE_AWAY)) {
		*ret_away = g_steal_pointer(&problem);
		return false;
	}
	if (agent_is_away(problem))
		tell_failed(flow, type, cause);
	if (put_off(flow, type, step + 1, FLOW_UNDOING, problem))
		return false;
	log_warn("flow %s %s: undo %s: %s, ignoring", type->name, flow->id, name, problem->message);
	end = g_strdup_printf("could not take back its step %s: %s", name, problem->message);
	tell(flow, type, EVENT_FLOW_LEFT_BEHIND, "Operation", end);
	return true;
}

/* Undoes the steps before `step` and ends the flow; or that is put off. */
static enum outcome roll_back(struct flow *flow, const struct flow_type *type, int step, const GError *cause)
{
	g_autoptr(GError) away = NULL;

	for (int i = MIN(step, (int)type->n_steps) - 1; i >= 0; i--) {
		g_autoptr(GError) error = NULL;

		if (!undo_step(flow, type, i, cause, &error) && !error)
			return PUT_OFF;
		if (!error && !note(flow, i, FLOW_UNDOING, /* waits_for= */ NULL, &error) && !error_is(error, ERR_STORE_AWAY))
			log_warn("flow %s: position not stored: %s, ignoring", flow->id, error->message);
		if (error_is(error, ERR_STORE_AWAY)) {
			break_off(flow, type, error);
			return BROKEN;
		}
	}
	tell_failed(flow, type, cause);
	if (!forget(flow, &away)) {
		break_off(flow, type, away);
		return BROKEN;
	}
	return FAILED;
}

static enum outcome fail(struct flow *flow, const struct flow_type *type, int step, const GError *problem)
{
	g_autoptr(GError) error = NULL;

	log_info("flow %s %s: %s", type->name, flow->id, problem->message);
	if (!error_is(problem, ERR_STORE_AWAY) && !note(flow, step + 1, FLOW_UNDOING, /* waits_for= */ NULL, &error) &&
	    !error_is(error, ERR_STORE_AWAY))
		log_warn("flow %s: position not stored: %s, ignoring", flow->id, error->message);
	if (error_is(problem, ERR_STORE_AWAY) || error_is(error, ERR_STORE_AWAY)) {
		break_off(flow, type, error ? error : problem);
		return BROKEN;
	}
	return roll_back(flow, type, step + 1, problem);
}

/* From `step` to the end. error is set when a step failed, whether the undos are done or put off. */
static enum outcome go(struct flow *flow, const struct flow_type *type, int step, GError **error)
{
	enum outcome outcome;

	for (; step < (int)type->n_steps; step++) {
		GError *problem = NULL;

		log_debug("flow %s %s: %s", type->name, flow->id, type->steps[step].name);
		if (call_step(flow, type, step, type->steps[step].run, "step", &problem) &&
		    (step + 1 == (int)type->n_steps || note(flow, step + 1, FLOW_RUNNING, /* waits_for= */ NULL, &problem)))
			continue;
		if (type->steps[step].waits && put_off(flow, type, step, FLOW_RUNNING, problem)) {
			g_error_free(problem);
			return PUT_OFF;
		}
		error_wrap(&problem, "%s", type->steps[step].name);
		outcome = fail(flow, type, step, problem);
		g_propagate_error(error, problem);
		return outcome;
	}
	if (forget(flow, error))
		return DONE;
	break_off(flow, type, *error);
	return BROKEN;
}

static struct flow_record *begin(struct engine *engine, const struct flow_type *type, const char *object_id, const struct actor *actor, json_t *data,
				 GError **error)
{
	struct flow_record *record = record_new(&flow_record_type);
	struct change *change = change_new(engine->store);

	set_string(&record->name, type->name);
	set_string(&record->object_id, object_id);
	SET(record, step, 0);
	SET(record, state, FLOW_RUNNING);
	SET(record, started, wall_msec());
	record->data = json_deep_copy(data);
	if (actor) {
		set_string(&record->user_id, actor->user_id);
		set_string(&record->user_name, actor->user_name);
		set_string(&record->correlation_id, actor->correlation_id);
	}
	change_add(change, record);
	if (change_commit(change, error))
		return record;
	record_unref(record);
	return NULL;
}

bool flow_run(struct engine *engine, const struct flow_type *type, const char *object_id, const struct actor *actor, json_t *data, json_t **ret_data,
	      GError **error)
{
	struct flow flow = { .engine = engine, .object_id = object_id, .data = data ? data : json_object() };
	struct flow_record *record;
	GError *problem = NULL;
	bool good;

	if (actor)
		flow.actor = *actor;
	record = begin(engine, type, object_id, actor, flow.data, error);
	if (!record) {
		json_decref(flow.data);
		return false;
	}
	flow.id = record->id;
	log_context_set(NULL, flow.id);
	(void)go(&flow, type, 0, &problem);
	log_context_clear();
	good = !problem;
	if (problem)
		g_propagate_error(error, problem);
	if (good && ret_data)
		*ret_data = json_incref(flow.data);
	json_decref(flow.data);
	record_unref(record);
	return good;
}

/* ---- after a restart, and after a wait ---- */

struct resumption { struct engine *engine; const struct flow_type *type; char *id; };

static void tell_end(struct flow *flow, const struct flow_type *type, enum outcome outcome, const GError *error)
{
	bool completed = outcome == DONE || flow->completed;
	g_autofree char *end = g_strdup_printf("was %s.%s%s", completed ? "completed" : "rolled back", error ? " " : "", error ? error->message : "");

	if (outcome != PUT_OFF && outcome != BROKEN)
		tell(flow, type, completed ? EVENT_FLOW_RESUMED : EVENT_FLOW_ROLLED_BACK, "Interrupted operation", end);
}

static void resume_record(struct resumption *resumption, const struct flow_record *record)
{
	const struct flow_type *type = resumption->type;
	struct flow flow = {
		.engine = resumption->engine, .id = record->id, .object_id = record->object_id,
		.data = record->data ? json_deep_copy(record->data) : json_object(),
		.actor = { record->user_id, record->user_name, record->correlation_id },
		.waited = record->waits_for,
	};
	g_autoptr(GError) error = NULL;
	enum outcome outcome;

	log_context_set(NULL, flow.id);
	if (record->state == FLOW_RUNNING && type->forward) {
		outcome = go(&flow, type, record->step, &error);
		tell_end(&flow, type, outcome, error);
	} else {
		/* running: the step that was under way may have begun */
		error_set(&error, ERR_CANCELED, "the operation was broken off at step %d of %s", record->step, type->name);
		outcome = record->state == FLOW_RUNNING ? fail(&flow, type, record->step, error) : roll_back(&flow, type, record->step, error);
		tell_end(&flow, type, outcome, /* error= */ NULL);
	}
	log_context_clear();
	json_decref(flow.data);
}

static void resume(void *data)
{
	struct resumption *resumption = data;
	struct flow_record *record = model_get(resumption->engine->model, &flow_kind, resumption->id);

	if (record)             /* it has not ended meanwhile */
		resume_record(resumption, record);
	record_unref(record);
}

static void resumption_free(void *data)
{
	struct resumption *resumption = data;

	g_free(resumption->id);
	g_free(resumption);
}

static const struct flow_type *find_type(const char *name)
{
	for (size_t i = 0; flow_types[i]; i++)
		if (!strcmp(flow_types[i]->name, name))
			return flow_types[i];
	return NULL;
}

static void take_up(struct engine *engine, const struct flow_record *record)
{
	const struct flow_type *type = find_type(record->name);
	struct resumption *resumption;
	g_autofree char *lane = NULL;
	g_autoptr(GError) error = NULL;
	struct lane_job job = { .name = record->name, .run = resume, .free_data = resumption_free };

	if (!type) {
		log_error("flow %s: this program does not know the type '%s': left as it is", record->id, record->name);
		return;
	}
	resumption = g_new0(struct resumption, 1);
	*resumption = (struct resumption) { engine, type, g_strdup(record->id) };
	job.data = resumption;
	lane = g_strdup_printf("%s/%s", type->kind->collection, record->object_id);
	if (!lane_submit(engine->lanes, lane, &job, &error)) {
		log_error("flow %s %s: not taken up: %s", record->name, record->id, error->message);
		resumption_free(resumption);
	}
}

void flow_resume_all(struct engine *engine)
{
	g_autoptr(GPtrArray) flows = model_list(engine->model, &flow_kind);

	for (unsigned i = 0; i < flows->len; i++) {
		const struct flow_record *record = flows->pdata[i];
		struct host *host = record->waits_for ? model_get(engine->model, &host_kind, record->waits_for) : NULL;

		if (!host)
			take_up(engine, record);
		record_unref(host);
	}
}

void flow_take_up_broken(struct engine *engine)
{
	g_autoptr(GHashTable) ids = NULL;
	GHashTableIter iter;
	gpointer id;

	{
		AUTO_LOCK(&broken_lock);

		ids = g_steal_pointer(&broken);
	}
	if (!ids)
		return;
	for (g_hash_table_iter_init(&iter, ids); g_hash_table_iter_next(&iter, &id, NULL);) {
		struct flow_record *record = model_get(engine->model, &flow_kind, id);

		if (record)
			take_up(engine, record);
		record_unref(record);
	}
}

void flow_take_up(struct engine *engine, const char *host_id)
{
	g_autoptr(GPtrArray) flows = model_list(engine->model, &flow_kind);

	for (unsigned i = 0; i < flows->len; i++)
		if (!g_strcmp0(((const struct flow_record *)flows->pdata[i])->waits_for, host_id))
			take_up(engine, flows->pdata[i]);
}

const char *flow_text(const struct flow *flow, const char *key)
{
	return json_string_value(json_object_get(flow->data, key));
}

bool flow_flag(const struct flow *flow, const char *key)
{
	return json_is_true(json_object_get(flow->data, key));
}

const char *flow_user(const struct flow *flow)
{
	return flow->actor.user_name ? flow->actor.user_name : "the engine";
}
