/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_EXTEND_FLOW_H
#define BERTH_ENGINE_EXTEND_FLOW_H
/* More LUNs for a storage domain in a volume group; LUNs of it that have grown. */
#include "engine/flow/flow.h"
#include "engine/model/storage_domain.h"

/* data: extend_data() */
extern const struct flow_type extend_domain_flow;
/* units: of struct logical_unit, new ones; connections: of struct storage_connection, to be stored, too; connection_ids: of all that the units are reached by;
 * force: also LUNs that hold something */
json_t *extend_data(const struct storage_domain *domain, const GPtrArray *units, const GPtrArray *connections, const GPtrArray *connection_ids, bool force);

/* All hosts of the data center that are up look at the LUNs (array of ids) anew, the manager takes them to their end, and the domain's record follows. Worker. */
bool extend_refresh(struct engine *engine, const struct storage_domain *domain, const json_t *units, const struct actor *actor, GError **error);

#endif
