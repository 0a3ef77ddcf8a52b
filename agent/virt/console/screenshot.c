/* SPDX-License-Identifier: Apache-2.0 */
/* VM.screenshot: a picture of the first console, as a PNG of the size that is wanted. */
#include "agent/virt/console/screenshot.h"

#include <stdlib.h>
#include <string.h>
#include "agent/virt/console/picture.h"
#include "common/xml.h"
#include "common/error.h"
#include "proto/device.h"

#define PICTURE_BYTES_MAX (64 << 20)

static int take_bytes(virStreamPtr stream, const char *data, size_t length, void *opaque)
{
	GByteArray *bytes = opaque;

	if (bytes->len + length > PICTURE_BYTES_MAX)
		return -1;
	g_byte_array_append(bytes, (const guint8 *)data, (guint)length);
	return (int)length;
}

static GBytes *take_picture(virDomainPtr domain, GError **error)
{
	virStreamPtr stream = virStreamNew(virDomainGetConnect(domain), 0);
	char *type = stream ? virDomainScreenshot(domain, stream, 0, 0) : NULL;
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	bool good = type && virStreamRecvAll(stream, take_bytes, bytes) == 0 && virStreamFinish(stream) == 0;

	if (!good) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "picture of the console");
		if (type)
			(void)virStreamAbort(stream);
	}
	free(type);
	if (stream)
		virStreamFree(stream);
	return good ? g_byte_array_free_to_bytes(g_steal_pointer(&bytes)) : NULL;
}

static bool check_screen(struct vm *vm, GError **error)
{
	g_autofree char *xml = vm_xml(vm);
	g_autoptr(xmlDoc) doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;

	for XML_EACH(video, doc ? xml_find(xmlDocGetRootElement(doc), "devices") : NULL, "video")
		if (!xml_is(xml_child(video, "model"), "type", "none"))
			return true;
	error_set(error, ERR_UNSUPPORTED_OPERATION, "VM %s has no screen", vm->id);
	return false;
}

bool screenshot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct screenshot_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm && vm_check_running(vm, error) && check_screen(vm, error) ? vm_domain(vm, error) : NULL;
	g_autoptr(GBytes) picture = domain ? take_picture(domain, error) : NULL, png = NULL;
	g_autofree char *text = NULL;
	gsize size;
	const void *data;

	if (!picture || !picture_scale(picture, HAS(p, width) ? (unsigned)p->width : 0, HAS(p, height) ? (unsigned)p->height : 0, &png, error))
		return false;
	data = g_bytes_get_data(png, &size);
	text = g_base64_encode(data, size);
	g_string_append_printf(ret_result, "{\"data\": \"%s\", \"encoding\": \"base64\", \"mime_type\": \"image/png\"}", text);
	return true;
}
