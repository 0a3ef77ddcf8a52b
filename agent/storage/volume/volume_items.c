/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items: small texts that belong to a volume and go where it goes (verbs of our own; the virtual disk's metadata of other systems). They are one JSON object
 * in a file beside the data, <volume>.items, replaced as a whole; a volume without items has none. Block storage has no place for them. Those whose names
 * begin with "berth." are the agent's own notes: callers can read them.
 */
#include <errno.h>
#include <string.h>
#include "agent/storage/data/data.h"
#include "common/error.h"
#include "common/record.h"

#define ITEMS_MAX 200
#define ITEMS_BYTES_MAX (1024 * 1024)

static int open_image(const struct domain *domain, const char *image, GError **error)
{
	g_autofree char *path = g_build_filename(DIR_IMAGES, image, NULL);
	int fd;

	if (!domain->form->grows) {
		error_set(error, ERR_MISC_UNSUPPORTED_OPERATION, "domain '%s' is on block storage", domain->id);
		return -1;
	}
	if ((fd = files_open_dir(domain->fd, path)) < 0)
		error_set_errno(error, ERR_VOLUME_ACCESS_ERROR, errno, "image '%s'", image);
	return fd;
}

/* New reference; NULL + error */
static json_t *read_items(int fd, const char *volume, GError **error)
{
	g_autofree char *name = g_strconcat(volume, VOLUME_ITEMS_SUFFIX, NULL);
	g_autofree char *text = files_read(fd, name, ITEMS_BYTES_MAX);
	json_t *items;

	if (!text && errno == ENOENT)
		return json_object();
	items = text ? json_parse(text, strlen(text), NULL) : NULL;
	if (json_is_object(items))
		return items;
	json_decref(items);
	error_set(error, ERR_VOLUME_METADATA_READ_ERROR, "items of volume '%s'", volume);
	return NULL;
}

static bool write_items(int fd, const char *volume, json_t *items, GError **error)
{
	g_autofree char *name = g_strconcat(volume, VOLUME_ITEMS_SUFFIX, NULL);
	g_autofree char *text = json_dumps(items, JSON_COMPACT | JSON_SORT_KEYS);

	if (strlen(text) > ITEMS_BYTES_MAX) {
		error_set(error, ERR_METADATA_OVERFLOW_ERROR, "items of volume '%s': %zu bytes, at most %d are kept", volume, strlen(text), ITEMS_BYTES_MAX);
		return false;
	}
	if (files_write(fd, name, text, 0644))
		return true;
	files_error(error, ERR_VOLUME_METADATA_WRITE_ERROR, errno, "items of volume '%s'", volume);
	return false;
}

/* The volume must be there. */
static json_t *items_of(const struct domain *domain, const struct volume_call *params, int *ret_fd, GError **error)
{
	g_autoptr(metadata) values = domain ? volume_read(domain, params->image_id, params->volume_id, error) : NULL;

	*ret_fd = values ? open_image(domain, params->image_id, error) : -1;
	return *ret_fd < 0 ? NULL : read_items(*ret_fd, params->volume_id, error);
}

static bool change(struct agent *agent, const struct volume_call *params, GError **error)
{
	if (g_str_has_prefix(params->key, VOLUME_NOTE_PREFIX)) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "key: '%s' is the agent's own", params->key);
		return false;
	}
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	autofd fd = -1;
	json_t *items = items_of(domain, params, &fd, error);
	bool good = false;

	if (!items)
		return false;
	if (params->value)
		json_object_set_new(items, params->key, json_string(params->value));
	if (!params->value && json_object_del(items, params->key) < 0)
		error_set(error, ERR_META_DATA_KEY_ERROR, "volume '%s' has no item '%s'", params->volume_id, params->key);
	else if (json_object_size(items) > ITEMS_MAX)
		error_set(error, ERR_METADATA_OVERFLOW_ERROR, "volume '%s' has %d items already", params->volume_id, ITEMS_MAX);
	else
		good = write_items(fd, params->volume_id, items, error);
	json_decref(items);
	return good;
}

bool volume_set_item_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return change(agent, data, error);
}

bool volume_delete_item_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return change(agent, data, error);
}

bool volume_get_item_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct volume_call *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	autofd fd = -1;
	json_t *items = items_of(domain, params, &fd, error), *item = json_object_get(items, params->key);

	if (items && !item)
		error_set(error, ERR_META_DATA_KEY_ERROR, "volume '%s' has no item '%s'", params->volume_id, params->key);
	if (item)
		result_json(ret_result, json_incref(item));
	json_decref(items);
	return item != NULL;
}

bool volume_list_items_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	autodomain domain = domain_open_active(agent->storage, ((const struct volume_call *)data)->domain_id, error);
	autofd fd = -1;
	json_t *items = items_of(domain, data, &fd, error);

	if (items)
		result_json(ret_result, items);
	return items != NULL;
}

bool volume_note(const struct domain *domain, const char *image, const char *volume, const char *key, const char *value, GError **error)
{
	autofd fd = domain->form->grows ? open_image(domain, image, error) : -1;
	json_t *items, *before;
	bool good;

	if (!domain->form->grows)
		return true;
	if (fd < 0 || !(items = read_items(fd, volume, error)))
		return false;
	before = json_object_get(items, key);
	if (value ? !g_strcmp0(json_string_value(before), value) : !before)
		good = true;
	else if (value ? json_object_set_new(items, key, json_string(value)) == 0 : json_object_del(items, key) == 0)
		good = write_items(fd, volume, items, error);
	else
		good = false;
	json_decref(items);
	return good;
}

char *volume_noted(const struct domain *domain, const char *image, const char *volume, const char *key)
{
	autofd fd = domain->form->grows ? open_image(domain, image, NULL) : -1;
	json_t *items = fd < 0 ? NULL : read_items(fd, volume, NULL);
	char *value = g_strdup(json_string_value(json_object_get(items, key)));

	json_decref(items);
	return value;
}

bool volume_copy_items(const struct domain *from, const struct domain *to, const char *image, const char *volume, GError **error)
{
	autofd source = from->form->grows ? open_image(from, image, error) : -1;
	autofd target = -1;
	json_t *items;
	bool good;

	if (!from->form->grows)
		return true;
	if (source < 0 || !(items = read_items(source, volume, error)))
		return false;
	good = json_object_size(items) == 0 || ((target = open_image(to, image, error)) >= 0 && write_items(target, volume, items, error));
	json_decref(items);
	return good;
}
