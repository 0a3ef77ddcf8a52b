/* SPDX-License-Identifier: Apache-2.0 */
/* VM.getNicPolicies: what may pass between a VM and its networks, and what its rules have counted. */
#include <string.h>
#include "agent/net/net.h"
#include "agent/agent.h"
#include "agent/virt/change/nic.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

/* New reference; NULL without error: it has none. */
static json_t *look(const xmlNode *nic, xmlNode *metadata, GError **error)
{
	g_autofree char *alias = xml_get(xml_child(nic, "alias"), "name"), *mac = xml_get(xml_child(nic, "mac"), "address"),
		   *tap = xml_get(xml_child(nic, "target"), "dev");
	json_t *policies = NULL, *counts = NULL, *told = NULL;

	if (!vm_metadata_policies(live_kept_in(metadata, nic, /* make= */ false), &policies, error) || !policies || !tap)
		return NULL;
	if ((counts = net_port_counts(tap, policies, error)))
		told = json_pack("{s:s*, s:s*, s:s, s:O, s:O}", "alias", alias, "macAddr", mac, "tap", tap, "policies", policies, "counters", counts);
	json_decref(counts);
	json_decref(policies);
	return told;
}

bool nic_policies_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	AUTO_VM vm = vms_find(agent->vms, ((struct vm_id_params *)params)->vm_id, error);
	g_autofree char *xml = vm && vm_check_running(vm, error) ? vm_xml(vm) : NULL;
	g_autoptr(xmlDoc) doc = xml ? xml_parse(xml, strlen(xml), error) : NULL;
	xmlNode *domain = doc ? xmlDocGetRootElement(doc) : NULL;
	g_autoptr(GError) problem = NULL;
	json_t *list = json_array();

	for XML_EACH(nic, xml_child(domain, "devices"), "interface") {
		json_t *told = problem ? NULL : look(nic, vm_metadata_of(domain), &problem);

		if (told)
			json_array_append_new(list, told);
	}
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	else if (domain) {
		result_json(ret_result, list);
		return true;
	}
	json_decref(list);
	return false;
}
