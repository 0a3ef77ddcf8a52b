/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_ACTION_H
#define BERTH_ENGINE_ACTION_H
/*
 * Action bodies: <action> with the common members and those of the particular action.
 *
 *	struct start_action { ACTION_MEMBERS bool pause; struct vm *vm; };
 *	static const struct field start_fields[] = { ACTION_FIELDS(struct start_action), FIELD_BOOL_(struct start_action, pause, "pause", CREATE, "...") };
 */
#include "common/record.h"

#define ACTION_MEMBERS \
	struct record record; \
	char *id; \
	bool async, force; \
	int64_t grace_period; \
	int state; \
	char *fault_reason, *fault_detail;
#define ACTION_FIELDS(s) \
	FIELD_STRING_(s, id, "@id", READ_ONLY, "id of this invocation"), \
	FIELD_BOOL_(s, async, "async", CREATE, "answer 202 at once; poll the action's href"), \
	FIELD_BOOL_(s, force, "force", CREATE, "carry on although a rule says no, where the action allows it"), \
	FIELD_LONG_(s, grace_period, "grace_period", CREATE, "wait before the action starts", .unit = "ms", .min = 0, .max = 86400000), \
	FIELD_LONG_(s, grace_period, "grace_period/expiry", CREATE | ALIAS, "other spelling of grace_period"), \
	FIELD_ENUM_(s, state, "status/state", READ_ONLY, action_state_names, "how far it is"), \
	FIELD_STRING_(s, fault_reason, "fault/reason", READ_ONLY, "why it failed, short"), \
	FIELD_STRING_(s, fault_detail, "fault/detail", READ_ONLY, "why it failed")

enum action_state { ACTION_PENDING, ACTION_IN_PROGRESS, ACTION_COMPLETE, ACTION_FAILED };
extern const char *const action_state_names[];               /* pending, in_progress, complete, failed */

struct plain_action { ACTION_MEMBERS };
extern const struct record_type plain_action_type;           /* actions without parameters of their own */

#endif
