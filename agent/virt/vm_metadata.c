/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/vm_metadata.h"

#include <string.h>
#include "common/xml.h"
#include "common/error.h"

static bool is_ours(const xmlNode *node)
{
	return node->ns && !strcmp((const char *)node->ns->href, METADATA_NS);
}

xmlNode *vm_metadata_of(const xmlNode *domain)
{
	for XML_EACH(node, xml_child(domain, "metadata"), "vm")
		if (is_ours(node))
			return node;
	return NULL;
}

xmlNode *vm_metadata_make(xmlNode *domain)
{
	xmlNode *vm = vm_metadata_of(domain), *metadata = xml_child(domain, "metadata");

	if (vm)
		return vm;
	if (!metadata)
		metadata = xml_add(domain, "metadata");
	vm = xml_add(metadata, "vm");
	xmlSetNs(vm, xmlNewNs(vm, (const xmlChar *)METADATA_NS, (const xmlChar *)"ovirt-vm"));
	return vm;
}

xmlNode *vm_metadata_add(xmlNode *parent, const char *name, const char *text)
{
	xmlNode *node = text ? xml_add_text(parent, name, text) : xml_add(parent, name);

	xmlSetNs(node, parent->ns);
	return node;
}

void vm_metadata_set(xmlNode *parent, const char *name, const char *type, const char *text)
{
	xmlNode *node;

	xml_remove(xml_child(parent, name));
	node = vm_metadata_add(parent, name, text);
	if (type)
		xml_set(node, "type", type);
}

char *vm_metadata_get(const xmlNode *parent, const char *name)
{
	return xml_text(xml_child(parent, name));
}

xmlNode *vm_metadata_device(const xmlNode *vm, const char *attribute, const char *value)
{
	for XML_EACH(node, vm, "device")
		if (xml_is(node, attribute, value))
			return node;
	return NULL;
}

xmlNode *vm_metadata_add_device(xmlNode *vm, const char *devtype, const char *attribute, const char *value)
{
	xmlNode *node = vm_metadata_device(vm, attribute, value);

	if (node)
		return node;
	node = vm_metadata_add(vm, "device", NULL);
	xml_set(node, "devtype", devtype);
	xml_set(node, attribute, value);
	return node;
}

/* A property's name must be an XML name, else it cannot be kept. */
static bool is_name(const char *name)
{
	if (!g_ascii_isalpha(*name) && *name != '_')
		return false;
	for (const char *p = name; *p; p++)
		if (!g_ascii_isalnum(*p) && !strchr("_-.", *p))
			return false;
	return true;
}

struct vm_params *vm_params_shown(const struct vm_params *params)
{
	struct vm_params *kept = record_copy(params);

	set_string(&kept->xml, NULL);
	set_string(&kept->ticket, NULL);
	set_string(&kept->tpm_data, NULL);
	set_string(&kept->nvram_data, NULL);
	for (guint i = 0; kept->devices && i < kept->devices->len; i++) {
		struct vm_device *device = kept->devices->pdata[i];
		json_t *spec = device->spec_params;

		if (!json_object_get(spec, "vmPayload"))
			continue;
		device->spec_params = json_copy(spec);          /* the record's copy is shared */
		json_object_del(device->spec_params, "vmPayload");
		json_decref(spec);
	}
	return kept;
}

void vm_metadata_set_custom(xmlNode *parent, const json_t *custom)
{
	xmlNode *list;
	const char *name;
	json_t *value;

	xml_remove(xml_child(parent, "custom"));
	list = vm_metadata_add(parent, "custom", NULL);
	json_object_foreach((json_t *)custom, name, value)
		if (is_name(name) && json_is_string(value))
			vm_metadata_set(list, name, NULL, json_string_value(value));
}

void vm_metadata_set_policies(xmlNode *parent, const json_t *policies)
{
	g_autofree char *text = json_object_size(policies) ? json_dumps(policies, JSON_COMPACT) : NULL;

	xml_remove(xml_child(parent, "policies"));
	if (text)
		vm_metadata_set(parent, "policies", "json", text);
}

bool vm_metadata_policies(const xmlNode *parent, json_t **ret_policies, GError **error)
{
	g_autofree char *text = vm_metadata_get(parent, "policies");
	g_autoptr(GError) cause = NULL;

	*ret_policies = text ? json_parse(text, strlen(text), &cause) : NULL;
	if (cause)
		error_set(error, ERR_INVALID_PARAMETER, "policies: %s", cause->message);
	return !cause;
}

void vm_metadata_set_start_time(xmlNode *vm, double start_time)
{
	char seconds[32];

	g_ascii_formatd(seconds, sizeof(seconds), "%.3f", start_time);
	vm_metadata_set(vm, "startTime", "float", seconds);
}

void vm_metadata_write(xmlNode *vm, const struct vm_params *params, double start_time)
{
	struct vm_params *kept = vm_params_shown(params);
	g_autofree char *text = NULL;

	text = record_to_text(kept, RECORD_CHANNEL);
	record_unref(kept);
	vm_metadata_set_start_time(vm, start_time);
	vm_metadata_set(vm, "parameters", "json", text);
	if (params->resume_behavior && !params->xml)
		vm_metadata_set(vm, "resumeBehavior", NULL, params->resume_behavior);
	if (params->custom && !params->xml)
		vm_metadata_set_custom(vm, params->custom);
}

struct vm_params *vm_metadata_params(const xmlNode *vm)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	g_autofree char *text = vm_metadata_get(vm, "parameters");
	json_t *json = text ? json_parse(text, strlen(text), NULL) : NULL;
	struct vm_params *params = json ? record_from_json(&vm_params_type, json, &input, NULL) : NULL;
	g_autofree char *paused = vm_metadata_get(vm, "launchPaused"), *guaranteed = vm_metadata_get(vm, "minGuaranteedMemoryMb");

	record_input_clear(&input);
	json_decref(json);
	if (params && !HAS(params, launch_paused) && paused && !g_ascii_strcasecmp(paused, "true"))
		SET(params, launch_paused, true);
	if (params && !HAS(params, mem_guaranteed) && guaranteed)
		SET(params, mem_guaranteed, g_ascii_strtoll(guaranteed, NULL, 10));
	return params;
}

GPtrArray *vm_metadata_mirroring(const xmlNode *parent)
{
	xmlNode *list = xml_child(parent, "portMirroring");
	GPtrArray *names = NULL;

	for XML_EACH(network, list, "network") {
		if (!names)
			names = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(names, xml_text(network));
	}
	return names;
}

json_t *vm_metadata_custom(const xmlNode *vm)
{
	xmlNode *custom = xml_child(vm, "custom");
	json_t *map = NULL;

	for XML_EACH(node, custom, NULL) {
		g_autofree char *text = xml_text(node);

		if (!map)
			map = json_object();
		json_object_set_new(map, (const char *)node->name, json_string(text ? text : ""));
	}
	return map;
}

double vm_metadata_start_time(const xmlNode *vm)
{
	g_autofree char *text = vm_metadata_get(vm, "startTime");

	return text ? g_ascii_strtod(text, NULL) : 0;
}
