/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_SECRET_H
#define BERTH_PROTO_SECRET_H
/* Secrets of libvirt, and volumes that something else than this agent's storage provides. Wire names are vdsm's. */
#include "common/record.h"

struct secret { struct record record; char *uuid, *usage_type, *usage_id, *password, *description; };
extern const struct record_type secret_type;
struct secrets_params { struct record record; GPtrArray *secrets, *uuids; bool clear; };
extern const struct record_type secrets_register_params_type, secrets_unregister_params_type;

struct managed_params { struct record record; char *volume_id, *domain_id; json_t *connection; GPtrArray *volumes; };
extern const struct record_type managed_attach_params_type, managed_detach_params_type, managed_info_params_type;

#endif
