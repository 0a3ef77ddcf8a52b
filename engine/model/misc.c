/* SPDX-License-Identifier: Apache-2.0 */
/* Small shared records, CPU profiles, flows: the tables. See misc.h. */
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

const char *const external_state_names[] = { "ok", "info", "warning", "error", "failure", NULL };
const char *const flow_state_names[] = { "running", "undoing", NULL };

#define CU (CREATE | UPDATE)

static const struct field version_fields[] = {
	FIELD_INT_(struct version, major, "@major", CU, "first number", .min = 0, .max = 1000),
	FIELD_INT_(struct version, minor, "@minor", CU, "second number", .min = 0, .max = 1000),
};
const struct record_type version_type = RECORD_TYPE("version", NULL, struct version, version_fields, "A compatibility level");

const struct level levels[] = { { 3, 0 }, { 3, 1 }, { 3, 2 }, { 3, 3 }, { 3, 4 }, { 3, 5 }, { LEVEL_MAJOR, LEVEL_MINOR }, { 0, 0 } };

bool level_known(int major, int minor)
{
	for (const struct level *level = levels; level->major; level++)
		if (level->major == major && level->minor == minor)
			return true;
	return false;
}

int level_compare(const struct level *a, const struct level *b)
{
	return a->major != b->major ? a->major - b->major : a->minor - b->minor;
}

void level_list(GPtrArray **list, struct level from, const struct level *limit)
{
	g_clear_pointer(list, g_ptr_array_unref);
	*list = list_new();
	for (const struct level *level = levels; level->major; level++) {
		struct version *version;

		if (level_compare(level, &from) <= 0 || (limit && level_compare(level, limit) > 0))
			continue;
		version = list_add(list, &version_type);
		SET(version, major, level->major);
		SET(version, minor, level->minor);
	}
}

static const struct field object_ref_fields[] = {
	FIELD_STRING_(struct object_ref, id, "@id", CU, "id of the object", .max = 64),
	FIELD_STRING_(struct object_ref, name, "name", CU | INPUT_ONLY, "or its name", .max = 255),
};
const struct record_type object_ref_type = RECORD_TYPE("reference", NULL, struct object_ref, object_ref_fields, "A reference in a list");

static const struct field option_item_fields[] = {
	FIELD_STRING_(struct option_item, name, "@name", CU | REQUIRED, "name", .min = 1, .max = 255),
	FIELD_STRING_(struct option_item, value, "@value", CU, "value", .max = 4096),
	FIELD_STRING_(struct option_item, type, "@type", CU, "meaning of the value", .max = 255),
};
const struct record_type option_item_type = RECORD_TYPE("option", NULL, struct option_item, option_item_fields, "A name with a value");

static const struct field ip_fields[] = {
	FIELD_STRING_(struct ip, address, "@address", CU, "address", .max = 64),
	FIELD_STRING_(struct ip, netmask, "@netmask", CU, "mask", .max = 64),
	FIELD_STRING_(struct ip, gateway, "@gateway", CU, "gateway", .max = 64),
};
const struct record_type ip_type = RECORD_TYPE("ip", NULL, struct ip, ip_fields, "An IP address");

static const struct field cpu_profile_fields[] = {
	FIELD_UUID_(struct cpu_profile, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct cpu_profile, name, "name", CU | REQUIRED | SEARCH | HEAD, "name within the cluster", .min = 1, .max = 50),
	FIELD_STRING_(struct cpu_profile, description, "description", CU | HEAD | SEARCH, "free text", .max = 4096),
	FIELD_REF_(struct cpu_profile, qos, "qos", CU, "qoss", "limits that hold for the VMs of the profile"),
	FIELD_REF_(struct cpu_profile, cluster, "cluster", CREATE | REQUIRED | SEARCH | WITHIN, "clusters", "cluster it belongs to"),
};
const struct record_type cpu_profile_type =
	RECORD_TYPE("cpu_profile", "cpu_profiles", struct cpu_profile, cpu_profile_fields, "CPU limits for the virtual machines of a cluster");

static const struct field flow_fields[] = {
	FIELD_UUID_(struct flow_record, id, "@id", INTERNAL, "identity"),
	FIELD_STRING_(struct flow_record, name, "name", INTERNAL, "type of the flow"),
	FIELD_STRING_(struct flow_record, object_id, "object_id", INTERNAL, "what it works on"),
	FIELD_INT_(struct flow_record, step, "step", INTERNAL, "the next step"),
	FIELD_ENUM_(struct flow_record, state, "state", INTERNAL, flow_state_names, "forward or back"),
	FIELD_JSON_(struct flow_record, data, "data", INTERNAL, "what steps leave for each other"),
	FIELD_TIME_(struct flow_record, started, "started", INTERNAL, "when it began"),
	FIELD_STRING_(struct flow_record, user_id, "user_id", INTERNAL, "who caused it"),
	FIELD_STRING_(struct flow_record, user_name, "user_name", INTERNAL, "who caused it"),
	FIELD_STRING_(struct flow_record, correlation_id, "correlation_id", INTERNAL, "the client's name for it"),
	FIELD_STRING_(struct flow_record, waits_for, "waits_for", INTERNAL, "host that must be up before it goes on"),
};
const struct record_type flow_record_type = RECORD_TYPE("flow", "flows", struct flow_record, flow_fields, "A change of many steps under way");
