/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume is based on, and what is based on it (verbs of our own).
 *
 * Volume.setParent with check: qemu-img compares the old and the new chain below and copies into the volume what differs, so a guest reads the same as
 * before, whatever the new parent holds. What the volume is based on from then on is noted with it: a sample of its data (thin.h), which stays the same
 * whatever merges and copies do below the volume. So
 *
 *   the old parent is there, but holds something else than was noted (it was replaced)      refused
 *   it is gone (moved, under another name), and the new one is what was noted               only the new name is put into the header
 *   it is gone, and the new one is another, or nothing was noted                            refused
 *
 * check=false believes the caller. Killed in between, the header tells which of the two parents is true, and the job goes on from there.
 */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/storage/data/data.h"
#include "agent/storage/data/thin.h"
#include "common/log.h"

#define NOTE VOLUME_NOTE_PREFIX "parent-content"

static bool has_new_parent(const struct data_run *run)
{
	return strcmp(((const struct volume_call *)run->params)->parent_id, BLANK_UUID) != 0;
}

static bool check_parent(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	g_autoptr(GPtrArray) below = chain_list(run->domain, run->image, params->parent_id, error);
	g_autoptr(metadata) parent = below ? volume_read(run->domain, run->image, params->parent_id, error) : NULL;

	if (!parent)
		return false;
	if (g_ptr_array_find_with_equal_func(below, run->volume, g_str_equal, NULL))
		error_set(error, ERR_WRONG_PARENT_VOLUME, "'%s' is based on '%s'", params->parent_id, run->volume);
	else if (!strcmp(metadata_get(parent, "LEGALITY"), "ILLEGAL"))
		error_set(error, ERR_PREPARE_ILLEGAL_VOLUME_ERROR, "'%s'", params->parent_id);
	else if (metadata_get_int(parent, "CAP", 0) > metadata_get_int(run->values, "CAP", 0))
		error_set(error, ERR_WRONG_PARENT_VOLUME, "'%s' has %s bytes, '%s' has %s", params->parent_id, metadata_get(parent, "CAP"), run->volume,
			  metadata_get(run->values, "CAP"));
	else
		return true;
	return false;
}

/* Of what a guest would read from a volume; NULL + error. g_free */
static char *sample(const struct data_run *run, const char *volume, GError **error)
{
	struct chain_hold hold;
	char *text;

	if (!chain_hold(&hold, run->domain, run->image, volume, /* write= */ false, /* allow_illegal= */ false, error))
		return NULL;
	text = thin_sample(hold.path, hold.format, error);
	chain_release(&hold);
	return text;
}

/* Is that what the volume was based on, as far as it was noted? */
static bool is_what_was_noted(const struct data_run *run, const char *parent, const char *noted, GError **error)
{
	g_autofree char *text = sample(run, parent, error);

	if (text && strcmp(text, noted))
		error_set(error, ERR_WRONG_PARENT_VOLUME, "'%s' does not hold what volume '%s' was based on", parent, run->volume);
	return text && !strcmp(text, noted);
}

/* What it is based on now cannot be read, so nothing can be compared: is the new parent the same, moved? */
static bool check_lost(struct data_run *run, const char *noted, GError *why, GError **error)
{
	if (!noted || !has_new_parent(run)) {
		g_propagate_error(error, why);
		error_wrap(error, "what volume '%s' is based on now cannot be read, so nothing can be compared (check is true)", run->volume);
		return false;
	}
	g_error_free(why);
	json_object_set_new(run->state, "moved", json_true());
	return is_what_was_noted(run, ((const struct volume_call *)run->params)->parent_id, noted, error);
}

static bool check(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	g_autofree char *noted = NULL;
	struct chain_hold hold;
	GError *why = NULL;

	if (strcmp(metadata_get(run->values, "FORMAT"), "COW")) {
		error_set(error, ERR_INCORRECT_FORMAT, "raw volume '%s' has no parent", run->volume);
		return false;
	}
	if (!volume_check_idle(run, error) || (has_new_parent(run) && !check_parent(run, error)))
		return false;
	if (!params->check)
		return true;
	noted = volume_noted(run->domain, run->image, run->volume, NOTE);
	if (!chain_hold(&hold, run->domain, run->image, run->volume, /* write= */ true, /* allow_illegal= */ false, &why))
		return check_lost(run, noted, why, error);
	chain_release(&hold);
	return !noted || !volume_has_parent(run->values) || is_what_was_noted(run, metadata_get(run->values, "PUUID"), noted, error);
}

static bool rebase(struct data_run *run, const char *format, GError **error)
{
	const struct volume_call *params = run->params;
	struct qemu_img_work work = data_work(run, 0, 100);
	const char *parent = has_new_parent(run) ? params->parent_id : NULL;
	struct chain_hold now = { .path = NULL }, wanted = { .path = NULL };
	g_autofree char *path = NULL;
	bool good;

	if (!params->check || json_is_true(json_object_get(run->state, "moved"))) {
		if (!params->check)
			log_warn("volume %s is based on %s from now on, unproved", run->volume, params->parent_id);
		good = volume_hold(run->domain, run->image, run->volume, /* write= */ true, &path, error);
		if (good) {
			good = qemu_img_rebase(path, parent, format, /* unsafe= */ true, &work, error);
			volume_release(run->domain, run->image, run->volume);
		}
		return good;
	}
	good = chain_hold(&now, run->domain, run->image, run->volume, /* write= */ true, /* allow_illegal= */ false, error) &&
	       (!parent || chain_hold(&wanted, run->domain, run->image, parent, /* write= */ false, /* allow_illegal= */ false, error)) &&
	       qemu_img_rebase(now.path, parent, format, /* unsafe= */ false, &work, error);
	chain_release(&wanted);
	chain_release(&now);
	return good;
}

/* For the next time; without it all is well, too. A parent that the caller just believes in is not noted. */
static void note_parent(const struct data_run *run)
{
	const struct volume_call *params = run->params;
	g_autoptr(GError) problem = NULL;
	g_autofree char *text = NULL;

	if (!params->check || !has_new_parent(run) || !run->domain->form->grows)
		return;
	if (!(text = sample(run, params->parent_id, &problem)) || !volume_note(run->domain, run->image, run->volume, NOTE, text, &problem))
		log_warn("what volume %s is based on is not noted: %s, ignoring", run->volume, problem->message);
}

static bool work(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	g_autofree char *before = g_strdup(metadata_get(run->values, "PUUID"));
	g_autofree char *backing = volume_backing(run->domain, run->image, run->volume, error);
	g_autoptr(metadata) parent = has_new_parent(run) ? volume_read(run->domain, run->image, params->parent_id, error) : NULL;

	/* the note is of the old parent */
	if (!backing || (has_new_parent(run) && !parent) || !volume_note(run->domain, run->image, run->volume, NOTE, NULL, error))
		return false;
	if (strcmp(backing, has_new_parent(run) ? params->parent_id : "") && !rebase(run, parent ? volume_format(parent) : NULL, error))
		return false;
	if (!volume_change(run->domain, run->image, run->volume, error, "PUUID", params->parent_id, NULL) ||
	    (parent && !volume_retype(run->domain, run->image, params->parent_id, error)))
		return false;
	if (strcmp(before, BLANK_UUID))
		(void)volume_retype(run->domain, run->image, before, NULL);      /* it may be gone */
	note_parent(run);
	return true;
}

DATA_KIND_RUN(volume_parent_kind)
const struct data_kind volume_parent_kind = {
	.kind = { "set_parent", "storage", volume_parent_kind_run }, .params = &volume_parent_params_type, .target = data_target_volume, .check = check, .work = work,
};

bool volume_parent_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return data_own_job(agent, &volume_parent_kind, data, "Volume.setParent", ret_result, error);
}

/* ---- who needs whom ---- */

static json_t *ids_of(const GPtrArray *list, guint from)
{
	json_t *ids = json_array();

	for (guint i = from; i < list->len; i++)
		json_array_append_new(ids, json_string(list->pdata[i]));
	return ids;
}

static bool add_dependants(const struct domain *domain, const char *image, const char *volume, json_t *found, GError **error);

/* Of those of these volumes that are in the image; they are taken out. */
static bool add_in_image(const struct domain *domain, const char *image, GHashTable *volumes, json_t *found, GError **error)
{
	g_autoptr(GPtrArray) list = volume_list(domain, image, error);

	for (guint i = 0; list && i < list->len; i++)
		if (g_hash_table_remove(volumes, list->pdata[i]) && !add_dependants(domain, image, list->pdata[i], found, error))
			return false;
	return list != NULL;
}

/* Each volume that is based on it, at any depth: of its image, and where it is a template those of others. */
static bool add_dependants(const struct domain *domain, const char *image, const char *volume, json_t *found, GError **error)
{
	g_autoptr(GPtrArray) children = volume_children(domain, image, volume, error);
	g_autoptr(GHashTable) left = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) images = NULL;

	for (guint i = 0; children && i < children->len; i++) {
		json_array_append_new(found, json_string(children->pdata[i]));
		g_hash_table_add(left, children->pdata[i]);
	}
	if (json_array_size(found) > VOLUME_CHAIN_MAX * VOLUME_CHAIN_MAX) {
		error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "more volumes than there can be are based on '%s'", volume);
		return false;
	}
	if (!children || !g_hash_table_size(left))
		return children != NULL;
	if (!add_in_image(domain, image, left, found, error))
		return false;
	if (g_hash_table_size(left) && !(images = image_list(domain, error)))
		return false;
	for (guint i = 0; images && i < images->len && g_hash_table_size(left); i++)
		if (strcmp(images->pdata[i], image) && !add_in_image(domain, images->pdata[i], left, found, error))
			return false;
	return true;
}

bool volume_dependencies_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct volume_call *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) chain = domain ? chain_list(domain, params->image_id, params->volume_id, error) : NULL;
	bool in_use, claimed;
	json_t *children;

	if (!chain)
		return false;
	children = json_array();
	if (!add_dependants(domain, params->image_id, params->volume_id, children, error)) {
		json_decref(children);
		return false;
	}
	in_use = volume_in_use(domain, params->image_id, params->volume_id);
	claimed = !claim_check(agent->storage, params->domain_id, params->image_id, /* write= */ true, NULL);
	result_json(ret_result, json_pack("{s:o, s:o, s:b, s:b}", "parents", ids_of(chain, 1), "children", children, "inUse", in_use, "inJob", claimed));
	return true;
}
