/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_STORAGE_CONNECTION_H
#define BERTH_ENGINE_RES_STORAGE_CONNECTION_H
/* Storage connections, by themselves and as storage domains have them. */
#include "engine/api/resource.h"
#include "engine/model/storage_connection.h"

extern const struct resource resource_storage_connection;
extern const struct resource resource_storage_domain_connection;       /* after resource_storage_domain */

bool storage_connection_same(const struct storage_connection *a, const struct storage_connection *b);
/* Another connection with the same details; NULL: none. New reference. */
struct storage_connection *storage_connection_twin(struct model *model, const struct storage_connection *connection);
/* A domain shows the details of its connection. */
void storage_domain_copy(struct storage_domain *domain, const struct storage_connection *connection);

#endif
