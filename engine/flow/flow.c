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
 * A store that fails in the middle of a flow (disk full) is a failed step: what was done is undone, without being stored, as well as that goes.
 */
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/flow/flow.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"
#include <string.h>

#define LOG_MODULE "flow"
#define EVENT_FLOW_RESUMED 1300                /* taken up after a restart, and how it ended */
#define EVENT_FLOW_ROLLED_BACK 1301

struct place { int step, state; json_t *data; };

static bool edit_place(void *copy, struct change *change, void *data, GError **error)
{
	struct flow_record *record = copy;
	const struct place *place = data;

	SET(record, step, place->step);
	SET(record, state, place->state);
	CLEAR(record, data);
	record->data = json_deep_copy(place->data);
	return true;
}

static bool note(struct flow *flow, int step, enum flow_state state, GError **error)
{
	struct place place = { step, state, flow->data };

	return store_modify(flow->engine->store, &flow_kind, flow->id, edit_place, &place, /* ret_record= */ NULL, error);
}

static void forget(struct flow *flow)
{
	g_autoptr(GError) error = NULL;
	void *record = model_get(flow->engine->model, &flow_kind, flow->id);
	struct change *change;

	if (!record)
		return;
	change = change_new(flow->engine->store);
	change_remove(change, record);
	record_unref(record);
	if (!change_commit(change, &error))
		log_warn("flow %s: its record stays: %s, ignoring", flow->id, error->message);
}

/* Undoes the steps before `step`. */
static void undo(struct flow *flow, const struct flow_type *type, int step)
{
	for (int i = MIN(step, (int)type->n_steps) - 1; i >= 0; i--) {
		g_autoptr(GError) error = NULL;

		if (type->steps[i].undo) {
			log_info("flow %s %s: undo %s", type->name, flow->id, type->steps[i].name);
			type->steps[i].undo(flow);
		}
		if (!note(flow, i, FLOW_UNDOING, &error))
			log_warn("flow %s: position not stored: %s, ignoring", flow->id, error->message);
	}
}

static void fail(struct flow *flow, const struct flow_type *type, int step, const GError *problem)
{
	g_autoptr(GError) error = NULL;

	log_info("flow %s %s: %s", type->name, flow->id, problem->message);
	if (!note(flow, step + 1, FLOW_UNDOING, &error))
		log_warn("flow %s: position not stored: %s, ignoring", flow->id, error->message);
	undo(flow, type, step + 1);
	if (type->failed)
		type->failed(flow, problem);
	forget(flow);
}

/* From `step` to the end. On failure everything was undone. */
static bool go(struct flow *flow, const struct flow_type *type, int step, GError **error)
{
	for (; step < (int)type->n_steps; step++) {
		GError *problem = NULL;

		log_debug("flow %s %s: %s", type->name, flow->id, type->steps[step].name);
		if (type->steps[step].run(flow, &problem) && (step + 1 == (int)type->n_steps || note(flow, step + 1, FLOW_RUNNING, &problem)))
			continue;
		if (!problem)
			error_set(&problem, ERR_GENERAL, "step failed without a reason");
		error_wrap(&problem, "%s", type->steps[step].name);
		fail(flow, type, step, problem);
		g_propagate_error(error, problem);
		return false;
	}
	forget(flow);
	return true;
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
	good = go(&flow, type, 0, error);
	log_context_clear();
	if (good && ret_data)
		*ret_data = json_incref(flow.data);
	json_decref(flow.data);
	record_unref(record);
	return good;
}

/* ---- after a restart ---- */

struct resumption { struct engine *engine; const struct flow_type *type; struct flow_record *record; };

static void tell(struct flow *flow, const struct flow_type *type, bool done, const GError *error)
{
	void *object = model_get(flow->engine->model, type->kind, flow->object_id), *refs[] = { object, NULL };
	const char *name = object ? object_name(object) : NULL;

	store_event(flow->engine->store, done ? EVENT_FLOW_RESUMED : EVENT_FLOW_ROLLED_BACK, &flow->actor, refs,
		    done ? "Interrupted operation %s of %s %s was completed.%s%s" : "Interrupted operation %s of %s %s was rolled back.%s%s", type->name,
		    type->kind->type->name, name ? name : flow->object_id, error ? " " : "", error ? error->message : "");
	record_unref(object);
}

static void resume(void *data)
{
	struct resumption *resumption = data;
	const struct flow_record *record = resumption->record;
	const struct flow_type *type = resumption->type;
	struct flow flow = {
		.engine = resumption->engine, .id = record->id, .object_id = record->object_id,
		.data = record->data ? json_deep_copy(record->data) : json_object(),
		.actor = { record->user_id, record->user_name, record->correlation_id },
	};
	g_autoptr(GError) error = NULL;

	log_context_set(NULL, flow.id);
	if (record->state == FLOW_RUNNING && type->forward) {
		bool done = go(&flow, type, record->step, &error);

		tell(&flow, type, done, error);
	} else {
		/* running: the step that was under way may have begun */
		error_set(&error, ERR_CANCELED, "the engine was stopped at step %d of %s", record->step, type->name);
		if (record->state == FLOW_RUNNING)
			fail(&flow, type, record->step, error);
		else {
			undo(&flow, type, record->step);
			if (type->failed)
				type->failed(&flow, error);
			forget(&flow);
		}
		tell(&flow, type, false, /* error= */ NULL);
	}
	log_context_clear();
	json_decref(flow.data);
}

static void resumption_free(void *data)
{
	struct resumption *resumption = data;

	record_unref(resumption->record);
	g_free(resumption);
}

static const struct flow_type *find_type(const char *name)
{
	for (size_t i = 0; flow_types[i]; i++)
		if (!strcmp(flow_types[i]->name, name))
			return flow_types[i];
	return NULL;
}

void flow_resume_all(struct engine *engine)
{
	g_autoptr(GPtrArray) flows = model_list(engine->model, &flow_kind);

	for (unsigned i = 0; i < flows->len; i++) {
		struct flow_record *record = flows->pdata[i];
		const struct flow_type *type = find_type(record->name);
		struct resumption *resumption;
		g_autofree char *lane = NULL;
		g_autoptr(GError) error = NULL;
		struct lane_job job = { .name = record->name, .run = resume, .free_data = resumption_free };

		if (!type) {
			log_error("flow %s: this program does not know the type '%s': left as it is", record->id, record->name);
			continue;
		}
		resumption = g_new0(struct resumption, 1);
		*resumption = (struct resumption) { engine, type, record_ref(record) };
		job.data = resumption;
		lane = g_strdup_printf("%s/%s", type->kind->collection, record->object_id);
		if (!lane_submit(engine->lanes, lane, &job, &error)) {
			log_error("flow %s %s: not taken up: %s", record->name, record->id, error->message);
			resumption_free(resumption);
		}
	}
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
