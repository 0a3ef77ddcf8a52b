/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/rivals.h"

#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

#define LOG_MODULE "flow"
#define ANNOUNCED "announced"

bool flow_is_alone(const struct flow *flow, const struct flow_type *except)
{
	g_autoptr(GPtrArray) flows = model_list(flow->engine->model, &flow_kind);

	for (guint i = 0; i < flows->len; i++) {
		const struct flow_record *other = flows->pdata[i];

		if (strcmp(other->id, flow->id) && !g_strcmp0(other->object_id, flow->object_id) && !(except && !g_strcmp0(other->name, except->name)))
			return false;
	}
	return true;
}

bool flow_works_on(struct model *model, const char *object_id)
{
	g_autoptr(GPtrArray) flows = model_list(model, &flow_kind);

	for (guint i = 0; i < flows->len; i++)
		if (!g_strcmp0(((const struct flow_record *)flows->pdata[i])->object_id, object_id))
			return true;
	return false;
}

void flow_announce(struct change *change, const struct flow_type *type, const char *object_id, const struct actor *actor, json_t *data)
{
	struct flow_record *record = record_new(&flow_record_type);

	set_string(&record->name, type->name);
	set_string(&record->object_id, object_id);
	SET(record, step, 0);
	SET(record, state, FLOW_RUNNING);
	SET(record, started, wall_msec());
	record->data = json_deep_copy(data);
	json_object_set_new(record->data, ANNOUNCED, json_true());
	set_string(&record->user_id, actor->user_id);
	set_string(&record->user_name, actor->user_name);
	set_string(&record->correlation_id, actor->correlation_id);
	change_add(change, record);
	record_unref(record);
}

json_t *flow_announced(struct model *model, const char *object_id)
{
	g_autoptr(GPtrArray) flows = model_list(model, &flow_kind);

	for (guint i = 0; i < flows->len; i++) {
		const struct flow_record *record = flows->pdata[i];
		json_t *data;

		if (g_strcmp0(record->object_id, object_id) || !json_is_true(json_object_get(record->data, ANNOUNCED)))
			continue;
		data = json_deep_copy(record->data);
		json_object_del(data, ANNOUNCED);
		return data;
	}
	return NULL;
}

void flow_took_over(const struct flow *flow)
{
	g_autoptr(GPtrArray) flows = model_list(flow->engine->model, &flow_kind);
	g_autoptr(GError) error = NULL;

	/* After a restart it may be the announced one that runs. */
	if (json_is_true(json_object_get(flow->data, ANNOUNCED)))
		return;
	for (guint i = 0; i < flows->len; i++) {
		const struct flow_record *other = flows->pdata[i];
		struct change *change;

		if (!strcmp(other->id, flow->id) || g_strcmp0(other->object_id, flow->object_id) || !json_is_true(json_object_get(other->data, ANNOUNCED)))
			continue;
		change = change_new(flow->engine->store);
		change_remove(change, other);
		if (!change_commit(change, &error))
			log_warn("flow %s: its announcement stays: %s, ignoring", other->id, error->message);
		return;
	}
}
