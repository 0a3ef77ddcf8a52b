/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power devices of a host: objects of their own (REST 14.4, link fenceagents) that the host's power_management shows and takes, too. A list given there is
 * the whole list: an agent whose id it names is changed, one without id is new, and the others go.
 */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/model/fence_agent.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

const struct resource resource_host_fence_agent = {
	.kind = &fence_agent_kind, .path = "fenceagents", .parent = &resource_host, .methods = RESOURCE_ALL, .links = no_links, .event_added = 20330,
	.event_updated = 20331, .event_removed = 20332, .permit_add = "edit_host_configuration", .permit_update = "edit_host_configuration",
	.permit_remove = "edit_host_configuration", .doc = "Power devices of the host",
};

void host_show_agents(struct model *model, struct host *shown)
{
	g_autoptr(GPtrArray) agents = model_children(model, &fence_agent_kind, shown->id);

	CLEAR(shown, pm_agents);
	for (guint i = 0; i < agents->len; i++) {
		struct fence_agent *agent = record_copy(agents->pdata[i]);

		agent->record.type = &power_agent_type;
		if (!shown->pm_agents)
			shown->pm_agents = list_new();
		g_ptr_array_add(shown->pm_agents, agent);
	}
}

static struct fence_agent *find(const GPtrArray *agents, const char *id)
{
	for (guint i = 0; id && i < agents->len; i++)
		if (!g_strcmp0(object_id(agents->pdata[i]), id))
			return agents->pdata[i];
	return NULL;
}

bool host_take_agents(struct model *model, struct change *change, const struct host *host, const GPtrArray *wanted, GError **error)
{
	g_autoptr(GPtrArray) now = model_children(model, &fence_agent_kind, host->id);
	g_autoptr(GHashTable) kept = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < wanted->len; i++) {
		const struct fence_agent *wish = wanted->pdata[i], *base = find(now, wish->id);
		struct fence_agent *agent = base ? record_copy(base) : record_new(&fence_agent_type);

		agent->record.type = &power_agent_type;
		record_overlay(agent, wish);
		record_defaults(agent, 0);
		agent->record.type = &fence_agent_type;
		set_string(&agent->id, base ? base->id : NULL);
		set_ref(&agent->host, host->id);
		if (!agent->type || !agent->address) {
			error_set(error, ERR_INCOMPLETE, "Host [%s%s%s] required", agent->type ? "" : "powerManagement.agents.agent.type",
				  agent->type || agent->address ? "" : ", ", agent->address ? "" : "powerManagement.agents.agent.ip");
			record_unref(agent);
			return false;
		}
		if (base)
			g_hash_table_add(kept, base->id);
		if (base)
			change_replace(change, base, agent);
		else
			change_add(change, agent);
		record_unref(agent);
	}
	for (guint i = 0; i < now->len; i++)
		if (!g_hash_table_contains(kept, object_id(now->pdata[i])))
			change_remove(change, now->pdata[i]);
	return true;
}
