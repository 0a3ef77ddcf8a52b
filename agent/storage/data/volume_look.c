/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at volumes that nobody writes (verbs of our own): are the tables of a qcow2 image sound, where are data and who has them, do two volumes hold the
 * same. A volume that a VM has open is refused, for what is told of it would be of no moment. Nothing is repaired: a leak is only a loss of room, and a
 * corrupt image has no repair that loses nothing; a good copy, or the checkpoint before, is what helps.
 */
#include <string.h>
#include "agent/storage/data/data.h"
#include "common/error.h"

/* Keeps the chain while it is looked at. */
static json_t *look(struct agent *agent, const struct volume_call *params, json_t *(*tell)(const struct chain_hold *hold, const struct volume_call *params,
											    GError **error), GError **error)
{
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	struct chain_hold hold;
	json_t *json;

	if (!domain || !chain_hold(&hold, domain, params->image_id, params->volume_id, /* write= */ false, /* allow_illegal= */ true, error))
		return NULL;
	json = tell(&hold, params, error);
	chain_release(&hold);
	return json;
}

/* ---- Volume.check ---- */

static json_t *check_image(const struct chain_hold *hold, const struct volume_call *params, GError **error)
{
	if (!strcmp(hold->format, "qcow2"))
		return qemu_img_check(hold->path, hold->format, error);
	error_set(error, ERR_INCORRECT_FORMAT, "volume '%s' is raw: it has no tables that could be checked", params->volume_id);
	return NULL;
}

bool volume_check_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	json_t *json = look(agent, data, check_image, error);
	struct volume_health *result;

	if (!json)
		return false;
	result = record_new(&volume_health_type);
	SET(result, corruptions, json_integer_value(json_object_get(json, "corruptions")));
	SET(result, leaks, json_integer_value(json_object_get(json, "leaks")));
	SET(result, check_errors, json_integer_value(json_object_get(json, "check-errors")));
	SET(result, allocated, json_integer_value(json_object_get(json, "allocated-clusters")));
	SET(result, total, json_integer_value(json_object_get(json, "total-clusters")));
	SET(result, end, json_integer_value(json_object_get(json, "image-end-offset")));
	json_decref(json);
	result_record(ret_result, result);
	record_unref(result);
	return true;
}

/* ---- Volume.map ---- */

static json_t *map_image(const struct chain_hold *hold, const struct volume_call *params, GError **error)
{
	json_t *extents = qemu_img_map(hold->path, hold->format, params->offset, params->length, error), *answer = extents ? json_array() : NULL, *extent;
	size_t i;

	json_array_foreach(extents, i, extent) {
		size_t depth = (size_t)json_integer_value(json_object_get(extent, "depth"));
		bool there = !json_is_false(json_object_get(extent, "present")) && depth < hold->volumes->len;

		json_array_append_new(answer, json_pack("{s:O, s:O, s:O, s:O, s:s*}", "start", json_object_get(extent, "start"), "length",
							json_object_get(extent, "length"), "zero", json_object_get(extent, "zero"), "data",
							json_object_get(extent, "data"), "volumeID", there ? hold->volumes->pdata[depth] : NULL));
	}
	json_decref(extents);
	return answer;
}

bool volume_map_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	json_t *json = look(agent, data, map_image, error);

	if (json)
		result_json(ret_result, json);
	return json;
}

/* ---- Volume.compare ---- */

static void compare_target(struct data_run *run)
{
	const struct volume_call *params = run->params;

	data_target_image(run, /* write= */ false);
	run->claims[run->n_claims++] = (struct claim){ params->dst_domain_id, params->dst_image_id, /* write= */ false };
}

static bool compare_check(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	g_autoptr(metadata) values = volume_read(run->domain, run->image, params->volume_id, error);

	return values != NULL;
}

static bool compare_work(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	autodomain domain = domain_open_active(run->storage, params->dst_domain_id, error);
	struct qemu_img_work work = data_work(run, 0, 100);
	struct chain_hold one = { .path = NULL }, other = { .path = NULL };
	bool good = domain && chain_hold(&one, run->domain, run->image, params->volume_id, /* write= */ false, /* allow_illegal= */ false, error) &&
		    chain_hold(&other, domain, params->dst_image_id, params->dst_volume_id, /* write= */ false, /* allow_illegal= */ false, error) &&
		    qemu_img_compare(one.path, one.format, other.path, other.format, &work, error);

	chain_release(&other);
	chain_release(&one);
	if (!good)
		error_wrap(error, "volumes '%s' and '%s'", params->volume_id, params->dst_volume_id);
	return good;
}

DATA_KIND_RUN(volume_compare_kind)
const struct data_kind volume_compare_kind = {
	.kind = { "compare_volumes", "storage", volume_compare_kind_run }, .params = &volume_compare_params_type, .target = compare_target,
	.check = compare_check, .work = compare_work,
};

bool volume_compare_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return data_own_job(agent, &volume_compare_kind, data, "Volume.compare", ret_result, error);
}
