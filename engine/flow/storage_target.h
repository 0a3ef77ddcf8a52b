/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORAGE_TARGET_H
#define BERTH_ENGINE_STORAGE_TARGET_H
/*
 * How a host reaches storage, as the agent's connection verbs are told: made from a storage connection, or from a storage domain and its connections. It
 * travels as JSON in the data of flows (with its password, as the database has it too).
 */
#include <jansson.h>
#include "engine/engine.h"
#include "engine/model/storage_connection.h"

/* {"type", "id", "address"?, "path"?, ...}: the members of the connection. New reference. */
json_t *storage_target(const struct storage_connection *connection);
/* The same for use by one host: with its own credentials, where it has some for the target. */
json_t *storage_target_for(struct model *model, const char *host_id, const struct storage_connection *connection);
/* All of a domain or disk (struct object_ref; may be NULL); array, new reference. */
json_t *storage_targets(struct model *model, const char *host_id, const GPtrArray *connections);

#endif
