/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/disk/drive.h"

#include <string.h>
#include "agent/storage/storage.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"

static bool read_text(const json_t *json, const char *member, char **ret_text, GError **error)
{
	const json_t *value = json_object_get(json, member);

	if (!value || json_is_null(value))
		return true;
	if (!json_is_string(value)) {
		error_set(error, ERR_INVALID_PARAMETER, "drive: %s is not a text", member);
		return false;
	}
	g_free(*ret_text);
	*ret_text = g_strdup(json_string_value(value));
	return true;
}

static bool read_index(const json_t *json, int *ret_index, GError **error)
{
	const json_t *value = json_object_get(json, "index");
	const char *text = json_string_value(value);
	guint64 index = (guint64)json_integer_value(value);

	if (!value || json_is_null(value) || (text && !*text))
		return true;
	if (text ? !g_ascii_string_to_unsigned(text, 10, 0, 1000, &index, NULL) : !json_is_integer(value) || index > 1000) {
		error_set(error, ERR_INVALID_PARAMETER, "drive: index is not a number from 0 to 1000");
		return false;
	}
	*ret_index = (int)index;
	return true;
}

/* "" stands for "not given". */
static void drop_empty(char **text)
{
	if (*text && !**text)
		g_clear_pointer(text, g_free);
}

static bool read_map(const json_t *json, struct drive_spec *spec, GError **error)
{
	const struct { const char *member; char **text; } texts[] = {
		{ "poolID", &spec->pool }, { "domainID", &spec->domain }, { "imageID", &spec->image }, { "volumeID", &spec->volume },
		{ "path", &spec->path }, { "name", &spec->name }, { "iface", &spec->iface },
	};
	g_autofree char *guid = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		if (!read_text(json, texts[i].member, texts[i].text, error))
			return false;
		if (texts[i].text != &spec->path)
			drop_empty(texts[i].text);
	}
	if (!read_text(json, "GUID", &guid, error) || !read_index(json, &spec->index, error))
		return false;
	if (guid && *guid && strchr(guid, '/')) {
		error_set(error, ERR_INVALID_PARAMETER, "drive: GUID '%s' is not the name of a device", guid);
		return false;
	}
	if (guid && *guid && !spec->path)
		spec->path = g_strconcat("/dev/mapper/", guid, NULL);
	if ((spec->domain || spec->image || spec->volume) && !(spec->domain && spec->image && spec->volume)) {
		error_set(error, ERR_MISSING_PARAMETER, "drive: domainID, imageID and volumeID go together");
		return false;
	}
	return true;
}

bool drive_spec_read(const json_t *json, struct drive_spec *ret_spec, GError **error)
{
	AUTO_DRIVE spec = { .index = -1 };
	const json_t *inner = json_object_get(json, "drive_spec");

	if (json_is_string(json))
		spec.path = g_strdup(json_string_value(json));
	else if (!json_is_object(json)) {
		error_set(error, ERR_INVALID_PARAMETER, "drive: neither a map nor a text");
		return false;
	} else if (!read_map(json, &spec, error))
		return false;
	if (json_is_string(inner)) {
		g_free(spec.path);
		spec.path = g_strdup(json_string_value(inner));
	} else if (json_is_object(inner)) {
		if (!read_map(inner, &spec, error))
			return false;
	} else if (inner && !json_is_null(inner)) {
		error_set(error, ERR_INVALID_PARAMETER, "drive: drive_spec is neither a map nor a text");
		return false;
	}
	*ret_spec = spec;
	spec = (struct drive_spec){ 0 };
	return true;
}

void drive_spec_clear(struct drive_spec *spec)
{
	g_free(spec->pool);
	g_free(spec->domain);
	g_free(spec->image);
	g_free(spec->volume);
	g_free(spec->path);
	g_free(spec->name);
	g_free(spec->iface);
	*spec = (struct drive_spec){ .index = -1 };
}

char *drive_spec_text(const struct drive_spec *spec)
{
	if (spec->name)
		return g_strdup(spec->name);
	if (spec->image)
		return g_strconcat("image ", spec->image, NULL);
	return g_strdup(spec->path ? spec->path : "");
}

bool drive_prepare(struct agent *agent, const char *vm_id, const struct drive_spec *spec, char **ret_path, const char **ret_format, bool *ret_block,
		   GError **error)
{
	g_autofree char *path = NULL;
	const char *format = "raw";
	bool block = false;

	if (spec->image) {
		if (!storage_prepare(agent->storage, vm_id, spec->domain, spec->image, spec->volume, &path, &format, error))
			return false;
	} else if (spec->path && *spec->path) {
		path = g_strdup(spec->path);
	}
	if (path && !domain_xml_check_file(path, "disk image", &block, error))
		return false;
	*ret_path = g_steal_pointer(&path);
	*ret_format = format;
	*ret_block = block;
	return true;
}

/* ---- in the domain ---- */

char *drive_target(const xmlNode *disk)
{
	return xml_get(xml_child(disk, "target"), "dev");
}

char *drive_path(const xmlNode *disk)
{
	xmlNode *source = xml_child(disk, "source");
	char *path = xml_get(source, "file");

	if (!path)
		path = xml_get(source, "dev");
	if (path && !*path)
		g_clear_pointer(&path, g_free);
	return path;
}

bool drive_is_removable(const xmlNode *disk)
{
	return xml_is(disk, "device", "cdrom") || xml_is(disk, "device", "floppy");
}

static bool is_it(const struct live *live, xmlNode *disk, const struct drive_spec *spec)
{
	if (spec->name)
		return xml_is(xml_child(disk, "target"), "dev", spec->name);
	if (spec->image) {
		g_autofree char *image = vm_metadata_get(live_kept(live, disk, /* make= */ false), "imageID");

		return image && !g_ascii_strcasecmp(image, spec->image);
	}
	if (spec->path && *spec->path) {
		g_autofree char *path = drive_path(disk);

		return path && !strcmp(path, spec->path);
	}
	return false;
}

xmlNode *drive_find(const struct live *live, const struct drive_spec *spec)
{
	for XML_EACH(disk, live->devices, "disk")
		if (is_it(live, disk, spec))
			return disk;
	return NULL;
}

xmlNode *drive_need(const struct live *live, const json_t *json, enum error_code code, GError **error)
{
	AUTO_DRIVE spec = { .index = -1 };
	g_autofree char *text = NULL;
	xmlNode *disk;

	if (!drive_spec_read(json, &spec, error))
		return NULL;
	disk = drive_find(live, &spec);
	text = drive_spec_text(&spec);
	if (!disk)
		error_set(error, code, "VM %s has no disk '%s'", live->vm->id, text);
	return disk;
}
