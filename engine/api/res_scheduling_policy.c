/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling policies (REST 10.5): what clusters may name. They are built in and the same on every engine; their ids are made from their names. */
#include "engine/api/res_scheduling_policy.h"

#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/model/cluster.h"

/* in the order of scheduling_policy_names */
static const char *const texts[] = {
	"VMs start on the host with the least load", "VMs start on the host with the most load that is not overloaded, so that others stay empty",
	"VMs start on the host with the most free memory",
};

struct policy { struct record record; char *id, *name, *description, *policy; };
static const struct field policy_fields[] = {
	FIELD_UUID_(struct policy, id, "@id", READ_ONLY, "made from the name, the same on every engine"),
	FIELD_STRING_(struct policy, name, "name", HEAD, "name"),
	FIELD_STRING_(struct policy, description, "description", HEAD, "what it does"),
	FIELD_STRING_(struct policy, policy, "policy", READ_ONLY, "the word that clusters name it by"),
};
static const struct record_type policy_type = RECORD_TYPE("scheduling_policy", "scheduling_policies", struct policy, policy_fields, "How hosts are chosen");

char *scheduling_policy_id(const char *name)
{
	return host_part_id("policy", "scheduling", name);
}

static GPtrArray *list(struct request *request, GError **error)
{
	GPtrArray *policies = list_new();

	for (size_t i = 0; i < G_N_ELEMENTS(texts) && scheduling_policy_names[i]; i++) {
		struct policy *policy = record_new(&policy_type);

		policy->id = scheduling_policy_id(scheduling_policy_names[i]);
		set_string(&policy->name, scheduling_policy_names[i]);
		set_string(&policy->description, texts[i]);
		set_string(&policy->policy, scheduling_policy_names[i]);
		g_ptr_array_add(policies, policy);
	}
	return policies;
}

const struct resource resource_scheduling_policy = {
	.type = &policy_type, .path = "schedulingpolicies", .methods = RESOURCE_READ, .links = no_links, .doc = "How hosts are chosen", .list = list,
};
