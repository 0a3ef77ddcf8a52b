/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_FENCE_AGENT_H
#define BERTH_ENGINE_MODEL_FENCE_AGENT_H
/*
 * Fence agents: the power devices of a host (REST 14.4). Those of a lower order are tried first, those of the same order are used together. A host's
 * power_management shows and takes the same records in the guide's form. Go with their host.
 */
#include "common/record.h"

struct fence_agent {
	struct record record;
	char *id, *name;                     /* no name */
	struct ref host;                     /* parent */
	char *type;                          /* one of power_manager_names */
	int order;
	char *address, *username, *password;
	int port;
	bool encrypt_options;
	GPtrArray *options;                  /* struct option_item */
};
extern const struct record_type fence_agent_type;
/* The same struct with the element names of power_management/agents/agent. */
extern const struct record_type power_agent_type;

extern const char *const power_manager_names[];
extern const char *const fence_type_names[];                 /* manual, restart, start, stop, status */
enum fence_type { FENCE_MANUAL, FENCE_RESTART, FENCE_START, FENCE_STOP, FENCE_STATUS, FENCE_TYPE_MAX };
extern const char *const power_state_names[];                /* on, off, unknown */
enum power_state { POWER_ON, POWER_OFF, POWER_UNKNOWN, POWER_STATE_MAX };

#endif
