/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RIVALS_H
#define BERTH_ENGINE_RIVALS_H
/*
 * Two flows on one object. Objects that can be reached in two ways (a disk below its VM and by itself, a domain below its data center) are changed on two
 * lanes; what keeps flows apart there is the object's locked state, and whose lock it is shows in the flows that are stored.
 */
#include "engine/flow/flow.h"
#include "engine/store/store.h"

/* No other flow works on the object: a lock that it has is ours, from before a restart, or nobody's. except (may be NULL): flows of this type do not count. */
bool flow_is_alone(const struct flow *flow, const struct flow_type *except);

/* Does any flow work on the object, or wait to go on with it? */
bool flow_works_on(struct model *model, const char *object_id);

/*
 * A flow that shall begin after the change that makes its object: stored with the object, so that an engine killed in between goes on with it. The first
 * step of the flow, once it runs by flow_run(), calls flow_took_over().
 */
void flow_announce(struct change *change, const struct flow_type *type, const char *object_id, const struct actor *actor, json_t *data);
/* The data of the object's flow that is announced, for flow_run(); NULL: none. New reference. */
json_t *flow_announced(struct model *model, const char *object_id);
void flow_took_over(const struct flow *flow);

#endif
