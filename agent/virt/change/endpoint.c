/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of end points; what they are is in agent/net/endpoint.c. Here is what VMs have to do with them.
 *
 * To be attached to a VM is to be plugged into it as any NIC (hotplug.c), of libvirt's type ethernet on a tap that libvirt neither makes nor removes. The end
 * point knows which VM, from before it is plugged until after it is gone; whether the VM has it is asked of the VM: one that has ended, or whose
 * guest let go late, has it no more, and one that an agent was killed over while it attached it may have it or not.
 */
#define LOG_MODULE "virt"
#include <string.h>
#include "agent/net/net.h"
#include "agent/virt/change/hotplug.h"
#include "agent/virt/domain/domain_info.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/endpoint.h"

/* Does a VM of this host have the NIC? One that is not known well yet may. */
static bool vm_has(struct agent *agent, const struct net_endpoint *endpoint)
{
	struct vms *vms = agent->vms;
	AUTO_VM vm = vms_lookup(vms, endpoint->vm_id);

	AUTO_LOCK(&vms->lock);
	if (vms->recovering || (vm && !vm->info))
		return true;
	for (guint i = 0; vm && vm->status != VM_WIRE_DOWN && i < vm->info->nics->len; i++) {
		const struct domain_nic *nic = vm->info->nics->pdata[i];

		if (nic->mac && !g_ascii_strcasecmp(nic->mac, endpoint->mac))
			return true;
	}
	return false;
}

/* Whose VM has it no more is attached to none. */
static bool forget_vm(struct agent *agent, struct net_endpoint *endpoint, GError **error)
{
	return !endpoint->vm_id || vm_has(agent, endpoint) || net_endpoint_note(agent->net, endpoint, NULL, error);
}

static void tell(struct agent *agent, struct net_endpoint *endpoint)
{
	if (endpoint->vm_id && !vm_has(agent, endpoint))
		set_string(&endpoint->vm_id, NULL);
}

static bool answer(struct agent *agent, const char *id, GString *ret_result, GError **error)
{
	struct net_endpoint *endpoint = net_endpoint_get(agent->net, id, error);

	if (!endpoint)
		return false;
	tell(agent, endpoint);
	result_record(ret_result, endpoint);
	record_unref(endpoint);
	return true;
}

/* ---- what is no business of a VM ---- */

static bool create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct net_endpoint *endpoint = params;
	struct net_endpoint *wish = record_new(&net_endpoint_type);
	g_autofree char *id = endpoint->id ? g_strdup(endpoint->id) : g_uuid_string_random();
	g_autofree char *mac = endpoint->mac ? g_strdup(endpoint->mac) : g_strdup_printf("52:54:00:%02x:%02x:%02x", g_random_int_range(0, 256),
											   g_random_int_range(0, 256), g_random_int_range(0, 256));
	bool made;

	set_string(&wish->id, id);
	set_string(&wish->mac, mac);
	set_string(&wish->network, endpoint->network);
	set_string(&wish->name, endpoint->name && *endpoint->name ? endpoint->name : NULL);
	wish->ips = endpoint->ips ? g_ptr_array_ref(endpoint->ips) : NULL;
	wish->gateways = endpoint->gateways ? g_ptr_array_ref(endpoint->gateways) : NULL;
	wish->policies = endpoint->policies ? json_incref(endpoint->policies) : NULL;
	made = net_endpoint_create(agent->net, wish, error);
	record_unref(wish);
	return made && answer(agent, id, ret_result, error);
}

static bool modify_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct net_endpoint *wish = params;

	return net_endpoint_modify(agent->net, wish, error) && answer(agent, wish->id, ret_result, error);
}

static bool delete_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct net_endpoint *endpoint = net_endpoint_begin(agent->net, ((const struct net_endpoint *)params)->id, error);
	bool deleted = endpoint && forget_vm(agent, endpoint, error) && net_endpoint_delete(agent->net, endpoint, error);

	net_endpoint_end(agent->net, endpoint);
	return deleted;
}

static bool get_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return answer(agent, ((const struct net_endpoint *)params)->id, ret_result, error);
}

static bool list_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	g_autoptr(GPtrArray) all = net_endpoint_all(agent->net);

	for (guint i = 0; i < all->len; i++)
		tell(agent, all->pdata[i]);
	result_list(ret_result, all);
	return true;
}

/* ---- in and out of VMs ---- */

/* The NIC as libvirt is to have it, and what the VM's metadata say of it: that it is in a network (nic.c). */
static bool make_wish(const struct net_endpoint *endpoint, const char *model, struct plug_wish *ret_wish, GError **error)
{
	g_autofree char *xml = g_strdup_printf("<domain><devices><interface type='ethernet'><mac address='%s'/><target dev='%s' managed='no'/>"
					       "<model type='%s'/></interface></devices></domain>", endpoint->mac, endpoint->tap, model);
	xmlNode *kept;

	if (!plug_wish_parse(xml, "interface", ret_wish, error))
		return false;
	kept = live_kept_in(ret_wish->metadata, ret_wish->device, /* make= */ true);
	vm_metadata_set(kept, "network", NULL, endpoint->network);
	return true;
}

static bool plug(struct agent *agent, struct net_endpoint *endpoint, const struct endpoint_attach *p, GError **error)
{
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);
	AUTO_WISH wish = { 0 };
	g_autoptr(GError) problem = NULL;

	if (!live || !make_wish(endpoint, p->model, &wish, error) || !net_endpoint_note(agent->net, endpoint, p->vm_id, error))
		return false;
	if (plug_in(live, &plug_nic, &wish, NULL, error))
		return true;
	if (!forget_vm(agent, endpoint, &problem))
		log_error("end point %s: %s", endpoint->id, problem->message);
	return false;
}

static bool attach(struct agent *agent, struct net_endpoint *endpoint, const struct endpoint_attach *p, GError **error)
{
	if (!p->vm_id == !p->space) {
		error_set(error, ERR_INVALID_PARAMETER, "end point %s: either vmID or namespace is needed, and not both", endpoint->id);
		return false;
	}
	if (!forget_vm(agent, endpoint, error))
		return false;
	if (p->space)
		return net_endpoint_enter(agent->net, endpoint, p->space, p->link, error);
	if (endpoint->vm_id || endpoint->space) {
		error_set(error, ERR_USED_NIC, "end point %s: it is attached to %s '%s'", endpoint->id, endpoint->vm_id ? "VM" : "namespace",
			  endpoint->vm_id ? endpoint->vm_id : endpoint->space);
		return false;
	}
	return plug(agent, endpoint, p, error);
}

static bool attach_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct endpoint_attach *p = params;
	struct net_endpoint *endpoint = net_endpoint_begin(agent->net, p->id, error);
	bool attached = endpoint && attach(agent, endpoint, p, error);

	net_endpoint_end(agent->net, endpoint);
	return attached && answer(agent, p->id, ret_result, error);
}

static xmlNode *nic_of(const struct live *live, const struct net_endpoint *endpoint)
{
	for XML_EACH(nic, live->devices, "interface") {
		g_autofree char *mac = live_identity(nic);

		if (mac && !g_ascii_strcasecmp(mac, endpoint->mac))
			return nic;
	}
	return NULL;
}

static bool detach(struct agent *agent, struct net_endpoint *endpoint, const struct endpoint_attach *p, GError **error)
{
	AUTO_LIVE live = NULL;
	xmlNode *nic;

	if (!forget_vm(agent, endpoint, error))
		return false;
	if (!p->vm_id)
		return net_endpoint_leave(agent->net, endpoint, error);
	if (g_strcmp0(endpoint->vm_id, p->vm_id)) {
		error_set(error, ERR_USED_NIC, "end point %s: it is not attached to VM %s", endpoint->id, p->vm_id);
		return false;
	}
	if (!(live = live_open_id(agent, p->vm_id, error)))
		return false;
	nic = nic_of(live, endpoint);
	return (!nic || plug_out(live, &plug_nic, nic, error)) && net_endpoint_note(agent->net, endpoint, NULL, error);
}

static bool detach_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct endpoint_attach *p = params;
	struct net_endpoint *endpoint = net_endpoint_begin(agent->net, p->id, error);
	bool detached = endpoint && detach(agent, endpoint, p, error);

	net_endpoint_end(agent->net, endpoint);
	return detached && answer(agent, p->id, ret_result, error);
}

const struct verb_binding endpoint_bindings[] = {
	{ "Endpoint.create", create_verb },
	{ "Endpoint.modify", modify_verb },
	{ "Endpoint.delete", delete_verb },
	{ "Endpoint.get", get_verb },
	{ "Endpoint.list", list_verb },
	{ "Endpoint.attach", attach_verb },
	{ "Endpoint.detach", detach_verb },
};
const size_t n_endpoint_bindings = G_N_ELEMENTS(endpoint_bindings);
