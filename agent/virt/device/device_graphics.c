/* SPDX-License-Identifier: Apache-2.0 */
/* Consoles and the cards they show. */
#include <string.h>
#include "agent/virt/device/device.h"
#include "common/xml.h"

static bool is_no(const struct vm_device *d, const char *name, bool otherwise)
{
	const char *text = device_text(d, name, NULL);

	return text ? !g_ascii_strcasecmp(text, "false") : otherwise;
}

/* specParams, and before them the VM's own members of the same meaning: keyMap, copyPasteEnable, fileTransferEnable, displayNetwork. */
bool device_graphics(const struct device_build *b, GError **error)
{
	static const char *const consoles[] = { "vnc", "spice", NULL };
	const struct domain_xml_env *env = b->scope->env;
	const struct vm_params *p = b->scope->params;
	const struct vm_device *d = b->device;
	const char *type = d->device ? d->device : "vnc", *keymap = device_text(d, "keyMap", p->keyboard_layout);
	const char *network = device_text(d, "displayNetwork", p->display_network);
	bool spice = !strcmp(type, "spice");
	g_autofree char *address = NULL;
	xmlNode *graphics;

	if (!device_check("device", type, consoles, error))
		return false;
	if (network && *network)
		address = env->address(env->data, network);
	graphics = xml_add_with(b->parent, "graphics", "type", type, "port", "-1", "autoport", "yes", NULL);
	if (keymap && *keymap && !spice)
		xml_set(graphics, "keymap", keymap);
	domain_xml_ticket(graphics, p->ticket && *p->ticket ? p->ticket : NULL, p->ticket_ttl, env);
	xml_add_with(graphics, "listen", "type", "address", "address", address ? address : env->display_address, NULL);
	if (spice && is_no(d, "copyPasteEnable", !p->copy_paste))
		xml_add_with(graphics, "clipboard", "copypaste", "no", NULL);
	if (spice && is_no(d, "fileTransferEnable", !p->file_transfer))
		xml_add_with(graphics, "filetransfer", "enable", "no", NULL);
	device_common(graphics, d);
	b->scope->has |= HAS_GRAPHICS | (spice ? HAS_SPICE : 0);
	return true;
}

/* specParams: ram, vram, vgamem (KiB), heads. */
bool device_video(const struct device_build *b, GError **error)
{
	static const char *const cards[] = { "vga", "qxl", "cirrus", "virtio", "bochs", NULL };
	const struct vm_device *d = b->device;
	const char *model = d->device ? d->device : "vga";
	g_autofree char *monitors = g_strdup_printf("%d", b->scope->params->spice_monitors);
	xmlNode *video;

	if (!device_check("device", model, cards, error))
		return false;
	video = xml_add(b->parent, "video");
	xml_add_with(video, "model", "type", model, "ram", device_text(d, "ram", NULL), "vram", device_text(d, "vram", NULL), "vgamem", device_text(d, "vgamem", NULL),
		     "heads", device_text(d, "heads", strcmp(model, "qxl") ? "1" : monitors), NULL);
	device_common(video, d);
	b->scope->has |= HAS_VIDEO;
	return true;
}
