/* SPDX-License-Identifier: Apache-2.0 */
/* Fence agents: the tables. See fence_agent.h. */
#include "engine/model/fence_agent.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

const char *const power_manager_names[] = { "apc", "apc_snmp", "bladecenter", "cisco_ucs", "drac5", "drac7", "eps", "hpblade", "ilo", "ilo2", "ilo3",
					    "ilo4", "ilo_ssh", "ipmilan", "rsa", "rsb", "wti", NULL };
const char *const fence_type_names[] = { "manual", "restart", "start", "stop", "status", NULL };
const char *const power_state_names[] = { "on", "off", "unknown", NULL };

#define CU (CREATE | UPDATE)
#define A struct fence_agent

/* One struct, two forms: the rows are in the same order, so that a record of one may become one of the other (record.type). */
#define AGENT_FIELDS(id_flags, type_path, type_alias, host_flags, order_flags, order_default, address_path, address_alias, user_path, user_alias, need) \
	FIELD_STRING_(A, id, "@id", id_flags, "identity, given by the engine", .max = 64), \
	FIELD_STRING_(A, type, type_path, CU | REQUIRED, "kind of the power device", .max = 64, .names = power_manager_names), \
	FIELD_STRING_(A, type, type_alias, CU | ALIAS, "other place of the type", .max = 64, .names = power_manager_names), \
	FIELD_REF_(A, host, "host", host_flags, "hosts", "host that it switches"), \
	FIELD_INT_(A, order, "order", order_flags, "lower ones are tried first, equal ones together", .min = 1, .max = 1000, .def = order_default), \
	FIELD_STRING_(A, address, address_path, CU | REQUIRED, "address of the power device", .min = 1, .max = 255), \
	FIELD_STRING_(A, address, address_alias, CU | ALIAS, "other name of the address", .min = 1, .max = 255), \
	FIELD_STRING_(A, username, user_path, CU | need, "user at the power device", .max = 255), \
	FIELD_STRING_(A, username, user_alias, CU | ALIAS, "other name of the user", .max = 255), \
	FIELD_STRING_(A, password, "password", CU | need | SECRET, "password at the power device", .max = 255), \
	FIELD_INT_(A, port, "port", CU, "port of the power device", .min = 0, .max = 65535), \
	FIELD_BOOL_(A, encrypt_options, "encrypt_options", CU, "the options are not for everybody's eyes"), \
	FIELD_LIST_(A, options, "options/option", CU, &option_item_type, "options of the power device")

static const struct field fence_agent_fields[] = {
	AGENT_FIELDS(READ_ONLY, "@type", "type", CREATE | REQUIRED, CU | REQUIRED, NULL, "address", "ip", "username", "user", REQUIRED)
};
const struct record_type fence_agent_type = RECORD_TYPE("agent", "agents", A, fence_agent_fields, "A power device of a host");

static const struct field power_agent_fields[] = {
	AGENT_FIELDS(CU, "type", "@type", INTERNAL | WEAK, CU, "1", "ip", "address", "user", "username", READ_ONLY)
};
const struct record_type power_agent_type = RECORD_TYPE("agent", "agents", A, power_agent_fields, "A power device of a host, in its power management");
