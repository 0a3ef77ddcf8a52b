/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies: XML or JSON text to a record, and its references to ids. */
#include <string.h>
#include "common/error.h"
#include "engine/api/api-priv.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/model.h"
#include "engine/model/network.h"

#define IGNORED_TEXT_MAX 1000

static void note_ignored(struct call *call, const struct record_type *type, const GPtrArray *ignored)
{
	for (guint i = 0; ignored && i < ignored->len; i++) {
		if (!call->ignored)
			call->ignored = g_string_new(NULL);
		if (call->ignored->len > IGNORED_TEXT_MAX)
			return;
		if (call->ignored->len > 0)
			g_string_append(call->ignored, ", ");
		g_string_append_printf(call->ignored, "%s/%s", type->name, (const char *)g_ptr_array_index(ignored, i));
	}
}

/* The root's id, as attribute or as element; taken out, so that the table's rules for it do not matter here. */
static char *take_xml_id(xmlNode *root)
{
	char *id = NULL;
	xmlChar *text = xmlGetProp(root, BAD_CAST "id");
	if (text) {
		id = g_strdup((const char *)text);
		xmlFree(text);
		xmlUnsetProp(root, BAD_CAST "id");
	}
	for (xmlNode *child = root->children, *next; child; child = next) {
		next = child->next;
		if (child->type != XML_ELEMENT_NODE || strcmp((const char *)child->name, "id") != 0)
			continue;
		if (!id) {
			text = xmlNodeGetContent(child);
			id = g_strstrip(g_strdup(text ? (const char *)text : ""));
			xmlFree(text);
		}
		xmlUnlinkNode(child);
		xmlFreeNode(child);
	}
	return id;
}

static char *take_json_id(json_t *root)
{
	const json_t *value = json_object_get(root, "id");
	char *id = json_is_string(value) ? g_strdup(json_string_value(value)) : NULL;
	if (json_is_integer(value))
		id = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	if (value)
		json_object_del(root, "id");
	return id;
}

bool input_read(struct call *call, const struct record_type *type, uint32_t take, bool take_id, void **ret_record, char **ret_id, GError **error)
{
	const struct exchange *exchange = call->exchange;
	const char *content_type = exchange_header(exchange, "Content-Type");
	enum format format = negotiate_content(content_type);
	struct record_input input = { .dialect = RECORD_REST, .take = take, .strict = call->strict };
	void *record = NULL;
	char *id = NULL;

	if (!exchange->body || exchange->body->len == 0) {
		error_set(error, ERR_SYNTAX, "the request needs a body, at least <%s/>", type->name);
		return false;
	}
	if (format == FORMAT_NONE) {
		if (content_type)
			error_set(error, ERR_UNSUPPORTED_MEDIA_TYPE, "Content-Type '%.64s' is neither application/xml nor application/json", content_type);
		else
			error_set(error, ERR_UNSUPPORTED_MEDIA_TYPE, "a body needs a Content-Type: application/xml or application/json");
		return false;
	}
	if (format == FORMAT_XML) {
		xmlDoc *doc = xml_parse(exchange->body->str, exchange->body->len, error);
		if (!doc)
			return false;
		xmlNode *root = xmlDocGetRootElement(doc);
		if (take_id)
			id = take_xml_id(root);
		record = record_from_xml(type, root, &input, error);
		xmlFreeDoc(doc);
	} else {
		/* PowerShell and editors on Windows begin a file with a byte order mark, which XML may have anyway */
		size_t mark = g_str_has_prefix(exchange->body->str, "\xef\xbb\xbf") ? 3 : 0;
		json_t *root = json_parse(exchange->body->str + mark, exchange->body->len - mark, error);
		if (!root)
			return false;
		if (take_id && json_is_object(root))
			id = take_json_id(root);
		record = record_from_json(type, root, &input, error);
		json_decref(root);
	}
	note_ignored(call, type, input.ignored);
	record_input_clear(&input);
	if (!record) {
		g_free(id);
		return false;
	}
	*ret_record = record;
	if (take_id)
		*ret_id = id;
	return true;
}

/* ---- references ---- */

/* Networks have a name of their own only within a data center: the one of the object that is worked on counts first. */
static void *find_named(struct model *model, const struct kind *kind, const char *data_center, const char *name)
{
	if (kind == &network_kind && data_center) {
		g_autoptr(GPtrArray) networks = model_referring(model, kind, offsetof(struct network, data_center), data_center);
		for (guint i = 0; i < networks->len; i++)
			if (!g_ascii_strcasecmp(object_name(networks->pdata[i]), name))
				return record_ref(networks->pdata[i]);
	}
	return model_find(model, kind, NULL, name);
}

/* The id (g_free) of the object that is meant by an id or else by a name; NULL where neither is given. */
static bool resolve_one(const struct request *request, const struct field *field, const char *data_center, const char *id, const char *name, char **ret_id,
			GError **error)
{
	struct model *model = request->engine->model;
	const struct kind *kind = field->target ? kind_by_collection(field->target) : NULL;
	void *target;

	*ret_id = NULL;
	if (!kind || (!id && !name))
		return true;
	target = id ? model_get(model, kind, id) : find_named(model, kind, data_center, name);
	if (!target || !request_sees(request, target)) {
		record_unref(target);
		error_set(error, ERR_NOT_FOUND, "%s: %s %s'%.128s'", field->path, kind->type->name, id ? "" : "named ", id ? id : name);
		return false;
	}
	*ret_id = g_strdup(object_id(target));
	record_unref(target);
	return true;
}

static bool resolve_ref(const struct request *request, const struct field *field, const char *data_center, struct ref *ref, GError **error)
{
	g_autofree char *id = NULL;

	if (!resolve_one(request, field, data_center, ref->id, ref->name, &id, error))
		return false;
	if (id)
		set_ref(ref, id);
	return true;
}

static bool resolve_object(const struct request *request, const struct field *field, const char *data_center, struct object_ref *object, GError **error)
{
	g_autofree char *id = NULL;

	if (!resolve_one(request, field, data_center, object->id, object->name, &id, error))
		return false;
	if (id) {
		set_string(&object->id, id);
		set_string(&object->name, NULL);
	}
	return true;
}

static bool resolve(const struct request *request, void *record, const char *data_center, GError **error)
{
	const struct record_type *type = ((const struct record *)record)->type;
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];
		void *at = (char *)record + field->offset;
		if (field->flags & (ALIAS | INTERNAL))
			continue;
		if (field->kind == FIELD_REF) {
			if (!(field->flags & WEAK) && !resolve_ref(request, field, data_center, at, error))
				return false;
		} else if (field->kind == FIELD_RECORD && *(void **)at) {
			if (!resolve(request, *(void **)at, data_center, error))
				return false;
		} else if (field->kind == FIELD_LIST && *(GPtrArray **)at) {
			const GPtrArray *list = *(GPtrArray **)at;
			for (guint j = 0; j < list->len; j++) {
				struct object_ref *item = g_ptr_array_index(list, j);
				bool ok = item->record.type == &object_ref_type ? resolve_object(request, field, data_center, item, error)
										: resolve(request, item, data_center, error);
				if (!ok)
					return false;
			}
		}
	}
	return true;
}

/* Data center that an object belongs to; g_free; NULL when it has none. */
static char *data_center_of(struct model *model, const void *object)
{
	const struct field *field = object ? record_field(((const struct record *)object)->type, "data_center") : NULL;
	const struct field *cluster = object ? record_field(((const struct record *)object)->type, "cluster") : NULL;
	if (object && kind_of(object) == &datacenter_kind)
		return g_strdup(object_id(object));
	if (field && field->kind == FIELD_REF)
		return g_strdup(((const struct ref *)(const void *)((const char *)object + field->offset))->id);
	if (!cluster || cluster->kind != FIELD_REF)
		return NULL;
	const struct ref *ref = (const void *)((const char *)object + cluster->offset);
	struct cluster *found = ref->id ? model_get(model, &cluster_kind, ref->id) : NULL;
	char *id = found ? g_strdup(found->data_center.id) : NULL;
	record_unref(found);
	return id;
}

bool input_resolve(const struct request *request, void *record, const void *within, GError **error)
{
	g_autofree char *data_center = data_center_of(request->engine->model, within);
	return resolve(request, record, data_center, error);
}
