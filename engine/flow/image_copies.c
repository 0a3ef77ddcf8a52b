/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/image_copies.h"

#include <string.h>

#include "common/error.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/storage_flow.h"

void copies_add(json_t *copies, const struct disk *from, const char *from_domain, const struct disk *to, const char *to_domain)
{
	g_autofree char *job = g_uuid_string_random();

	json_array_append_new(copies, json_pack("{s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:b, s:b, s:b, s:s}", "name", disk_label(to),
						"from", "domain", from_domain, "image", from->id, "volume", from->image_id,
						"to", "domain", to_domain, "image", to->id, "volume", to->image_id,
						"cow", to->format == DISK_COW, "sparse", to->sparse, "wipe",
						to->wipe_after_delete, "job", job));
}

void copies_fit(struct disk *to, const struct storage_domain *target)
{
	if (!storage_type_is_block(target->storage_type))
		return;
	SET(to, format, DISK_RAW);
	SET(to, sparse, false);
}

static const char *text(const json_t *copy, const char *end, const char *key)
{
	return json_string_value(json_object_get(json_object_get(copy, end), key));
}

static struct volume_place place_of(const struct flow *flow, const json_t *copy, const char *end)
{
	return (struct volume_place){
		.pool_id = flow_text(flow, "pool"), .domain_id = text(copy, end, "domain"), .image_id = text(copy, end, "image"),
		.volume_id = text(copy, end, "volume"), .description = json_string_value(json_object_get(copy, "name")),
		.cow = json_is_true(json_object_get(copy, "cow")), .sparse = json_is_true(json_object_get(copy, "sparse")),
		.wipe = json_is_true(json_object_get(copy, "wipe")),
	};
}

/* fn for each copy, until one fails; its error names the disk. */
static bool each(struct flow *flow, bool (*fn)(const struct flow *flow, const struct storage_call *call, const json_t *copy, GError **error), GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	size_t i;
	json_t *copy;

	json_array_foreach(json_object_get(flow->data, "copies"), i, copy)
		if (!fn(flow, &call, copy, error)) {
			error_wrap(error, "disk '%s'", json_string_value(json_object_get(copy, "name")));
			return false;
		}
	return true;
}

static bool check(const struct flow *flow, const struct storage_call *call, const json_t *copy, GError **error)
{
	const struct volume_place to = place_of(flow, copy, "to");
	bool exists;

	if (!volume_exists(call, &to, &exists, error))
		return false;
	if (exists)
		error_set(error, ERR_OPERATION_FAILED, "image %s is on storage domain %s already", to.image_id, to.domain_id);
	return !exists;
}

bool copies_check(struct flow *flow, GError **error)
{
	return each(flow, check, error);
}

static bool make(const struct flow *flow, const struct storage_call *call, const json_t *copy, GError **error)
{
	const struct volume_place from = place_of(flow, copy, "from");
	struct volume_place to = place_of(flow, copy, "to");
	int64_t used;

	return volume_sizes(call, &from, &to.size, &used, error) && volume_create(call, &to, error);
}

bool copies_make(struct flow *flow, GError **error)
{
	return each(flow, make, error);
}

static bool unmake(const struct flow *flow, const struct storage_call *call, const json_t *copy, GError **error)
{
	const struct volume_place to = place_of(flow, copy, "to");

	return volume_remove(call, &to, error);
}

bool copies_unmake(struct flow *flow, GError **error)
{
	return each(flow, unmake, error);
}

static bool run(const struct flow *flow, const struct storage_call *call, const json_t *copy, GError **error)
{
	const struct volume_place from = place_of(flow, copy, "from"), to = place_of(flow, copy, "to");

	return volume_copy(call, &from, &to, json_string_value(json_object_get(copy, "job")), error);
}

bool copies_run(struct flow *flow, GError **error)
{
	return each(flow, run, error);
}

static bool stop(const struct flow *flow, const struct storage_call *call, const json_t *copy, GError **error)
{
	return volume_copy_cancel(call, json_string_value(json_object_get(copy, "job")), error);
}

bool copies_stop(struct flow *flow, GError **error)
{
	return each(flow, stop, error);
}

static bool renew(const struct flow *flow, const struct storage_call *call, const json_t *copy, GError **error)
{
	const struct volume_place to = place_of(flow, copy, "to");

	return image_keep_only(call, &to, error);
}

bool copies_renew(struct flow *flow, GError **error)
{
	return each(flow, renew, error);
}

const char *copies_volume(const struct flow *flow, const char *image_id)
{
	size_t i;
	json_t *copy;

	json_array_foreach(json_object_get(flow->data, "copies"), i, copy)
		if (!g_strcmp0(text(copy, "to", "image"), image_id))
			return text(copy, "to", "volume");
	return NULL;
}

bool copies_sizes(const struct flow *flow, const char *disk_id, int64_t *ret_capacity, int64_t *ret_used, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	size_t i;
	json_t *copy;

	json_array_foreach(json_object_get(flow->data, "copies"), i, copy) {
		const struct volume_place to = place_of(flow, copy, "to");

		if (!g_strcmp0(to.image_id, disk_id))
			return volume_sizes(&call, &to, ret_capacity, ret_used, error);
	}
	error_set(error, ERR_NOT_FOUND, "disk '%s' among the copies", disk_id);
	return false;
}
