/* SPDX-License-Identifier: Apache-2.0 */
#define LOG_MODULE "virt"
#include "agent/virt/device/device_hooks.h"

#include <string.h>
#include "agent/hooks.h"
#include "agent/virt/change/live.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"

/* Puts what the scripts left in the device's place; true when it is something else. */
static bool replace(xmlNode **device, const char *text)
{
	g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), NULL);
	xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *changed;

	if (!root || strcmp((const char *)root->name, (const char *)(*device)->name))
		return false;
	changed = xmlDocCopyNode(root, (*device)->doc, 1);
	xmlReplaceNode(*device, changed);
	xmlFreeNode(*device);
	*device = changed;
	return true;
}

bool device_hooks(struct vm *vm, const char *point, const char *xml, char **ret_xml, GError **error)
{
	g_autofree char *seen = xml ? NULL : vm_xml(vm);
	const char *text = xml ? xml : seen;
	g_autoptr(xmlDoc) doc = text && strstr(text, "<ovirt-vm:custom") ? xml_parse(text, strlen(text), NULL) : NULL;
	xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *metadata = vm_metadata_of(root);
	json_t *custom;
	bool good = true, any = false;

	{
		AUTO_LOCK(&vm->vms->lock);
		custom = json_incref(vm->custom);
	}
	for XML_EACH(device, xml_child(root, "devices"), NULL) {
		json_t *own = vm_metadata_custom(live_kept_in(metadata, device, /* make= */ false));
		g_autofree char *before = own ? xml_to_text(device) : NULL, *after = NULL;
		struct hook_run run = { .point = point, .vm_id = vm->id, .data = before, .parameters = own, .custom = custom };

		good = !own || hooks_run(vm->vms->agent->hooks, &run, ret_xml ? &after : NULL, error);
		json_decref(own);
		if (!good)
			break;
		if (after && strcmp((const char *)device->name, "disk"))
			any |= replace(&device, after);
	}
	json_decref(custom);
	if (good && any && ret_xml)
		*ret_xml = xml_to_text(root);
	return good;
}
