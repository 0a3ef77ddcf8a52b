/* SPDX-License-Identifier: Apache-2.0 */
/* ?schema: the XML schema of everything that is shown or taken. */
#include "engine/api/api-priv.h"
#include "engine/model/model.h"

static void add_type(GPtrArray *types, const struct record_type *type)
{
	if (type && !g_ptr_array_find(types, type, NULL))
		g_ptr_array_add(types, (gpointer)type);
}

void answer_schema(struct call *call)
{
	GPtrArray *types = g_ptr_array_new();
	add_type(types, &entry_type);
	add_type(types, &capabilities_type);
	add_type(types, &capability_version_type);
	add_type(types, &fault_type);
	add_type(types, &creation_type);
	add_type(types, &plain_action_type);
	for (size_t i = 0; resources[i]; i++) {
		add_type(types, resource_type(resources[i]));
		add_type(types, resources[i]->remove_params);
		for (const struct action *action = resources[i]->actions; action && action->name; action++)
			add_type(types, action->params);
	}
	GString *out = g_string_sized_new(256 * 1024);
	record_write_xsd(out, (const struct record_type *const *)types->pdata, types->len);
	g_ptr_array_unref(types);
	exchange_answer(call->exchange, 200, "application/xml", out);
}
