/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.setTicket: a password for every console of the VM, valid for ttl seconds from now. QEMU changes it in the running domain; the other
 * parts of the <graphics> element must be what they are, so the live XML is taken. It is never logged nor kept.
 */
#define LOG_MODULE "virt"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/vm.h"
#include "common/xml.h"
#include "common/log.h"

static char *live_xml(virDomainPtr domain)
{
	char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_SECURE), *copy = g_strdup(xml);

	free(xml);
	return copy;
}

static bool set_on(virDomainPtr domain, xmlNode *graphics, const struct vm_ticket_params *p, GError **error)
{
	struct domain_xml_env env = { .start_time = (double)time(NULL) };
	g_autofree char *text = NULL, *type = xml_get(graphics, "type");

	domain_xml_ticket(graphics, p->password, p->ttl, &env);
	if (!p->ttl)
		xml_set(graphics, "passwdValidTo", "1970-01-01T00:00:01");
	/* VNC connections stay whatever is asked: QEMU knows the choice for SPICE only. */
	if (!xml_is(graphics, "type", "vnc"))
		xml_set(graphics, "connected", p->existing_conn_action);
	text = xml_to_text(graphics);
	if (virDomainUpdateDeviceFlags(domain, text, VIR_DOMAIN_AFFECT_LIVE) == 0)
		return true;
	libvirt_error_set(error, ERR_SPICE_TICKET_ERROR, "console %s", type ? type : "");
	return false;
}

bool vm_ticket_set(struct vm *vm, const char *type, const struct vm_ticket_params *p, GError **error)
{
	g_autoptr(virDomain) domain = vm_domain(vm, error);
	g_autofree char *xml = domain ? live_xml(domain) : NULL;
	g_autoptr(xmlDoc) doc = NULL;
	bool good = true, any = false;

	if (!domain)
		return false;
	doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;
	if (!doc) {
		libvirt_error_set(error, ERR_SPICE_TICKET_ERROR, "VM %s", vm->id);
		return false;
	}
	(void)vm_hook(vm, "before_vm_set_ticket", NULL, p->params, NULL, NULL);
	for XML_EACH(graphics, xml_find(xmlDocGetRootElement(doc), "devices"), "graphics") {
		if (type && !xml_is(graphics, "type", type))
			continue;
		any = true;
		good = good && set_on(domain, graphics, p, error);
	}
	if (!any) {
		error_set(error, ERR_SPICE_TICKET_ERROR, "VM %s has no graphical console%s%s", vm->id, type ? " of type " : "", type ? type : "");
		good = false;
	}
	if (good)
		(void)vm_hook(vm, "after_vm_set_ticket", NULL, p->params, NULL, NULL);
	return good;
}

bool vm_ticket_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_ticket_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);

	return vm && vm_ticket_set(vm, NULL, p, error);
}
