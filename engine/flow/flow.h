/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLOW_H
#define BERTH_ENGINE_FLOW_H
/*
 * Flows: changes of many steps. A flow type is a table of steps; the flow's position and data are stored (kind "flows") after every step, so an engine
 * killed between any two steps goes on (forward) or rolls back (undo, in reverse order) when it starts again, and says which in an event.
 *
 * A step's `run` may block (it is on the object's lane) and must be idempotent: it first looks whether its work was already done. `data` is a JSON object
 * that travels with the flow; a step puts there what later steps and its own undo need. Agent calls carry the flow's id as flow id.
 *
 * A host that is away (agent_is_away()): an undo that fails for it is put off. The flow stays stored and names the host it waits for (member "host" of its
 * data), an event says so, and flow_run() returns; when the host is up again the flow goes on with that undo. Until then the object stays as the steps not
 * yet undone left it. The same holds for the `run` of a step that is marked `waits`; who asked for the flow is told then that it is done.
 *
 * A store that is away (ERR_STORE_AWAY) breaks a flow off as a kill does: flow_run() fails with that error, and when the store is back the flow goes on or
 * rolls back from what was stored last, as after a restart.
 */
#include <jansson.h>
#include <stdbool.h>
#include "engine/engine.h"
#include "engine/model/model.h"

struct flow {
	struct engine *engine;
	const char *id;                      /* uuid */
	const char *object_id;               /* what it works on */
	json_t *data;
	struct actor actor;
	bool waited;                         /* it was put off before; an event has told of it */
	bool completed;                      /* set by an undo that finds everything done: the event of the end says so */
};

struct flow_step {
	const char *name;
	bool (*run)(struct flow *flow, GError **error);      /* false: error is set, always */
	bool (*undo)(struct flow *flow, GError **error);     /* may be NULL; a failure that cannot be waited for becomes an event, and the other undos follow */
	bool waits;                          /* nobody needs this step at once: when its host is away it is put off */
};

struct flow_type {
	const char *name;                    /* "start_vm": stored, never changes meaning */
	const struct kind *kind;             /* of object_id */
	const struct flow_step *steps;
	size_t n_steps;
	bool forward;                        /* after a restart: go on (true) or roll back (false) */
	void (*failed)(struct flow *flow, const GError *error);      /* after the undos, or when the first one is put off; writes the event; may be NULL */
};
extern const struct flow_type *const flow_types[];          /* NULL-terminated; engine/flow/flows.c */

/* What a step needs of its flow: members of data (NULL, false when absent), and the user's name for events. */
const char *flow_text(const struct flow *flow, const char *key);
bool flow_flag(const struct flow *flow, const char *key);
const char *flow_user(const struct flow *flow);

/* Runs the flow to its end on the calling thread (a worker on the object's lane). data: taken over, may be NULL.
 * On failure everything done was undone, or will be (see above), and the error is the failed step's, wrapped with its name. ret_data (may be NULL): data at the
 * end, new reference. */
bool flow_run(struct engine *engine, const struct flow_type *type, const char *object_id, const struct actor *actor, json_t *data, json_t **ret_data,
	      GError **error);
/* After start: takes up what was interrupted, each on its object's lane ("<collection>/<id>"). What waits for a host goes on waiting. */
void flow_resume_all(struct engine *engine);
/* The store is back: takes up what its absence broke off. Any thread; does not block. */
void flow_take_up_broken(struct engine *engine);
/* The host is up, or does not exist any more: takes up the flows that wait for it. Any thread; does not block. */
void flow_take_up(struct engine *engine, const char *host_id);

#endif
