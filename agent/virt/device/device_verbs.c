/* SPDX-License-Identifier: Apache-2.0 */
/* VM.updateDevice and VM.setDestroyOnReboot, and the table of the verbs that change a running VM. */
#include <string.h>
#include "agent/virt/change/hotplug.h"
#include "agent/virt/change/live.h"
#include "agent/virt/change/media.h"
#include "agent/virt/change/nic.h"
#include "agent/virt/change/tune.h"
#include "agent/virt/change/vcpus.h"
#include "agent/virt/console/input.h"
#include "agent/virt/console/screenshot.h"
#include "agent/virt/disk/disk_size.h"
#include "agent/virt/migration/dirty_rate.h"
#include "common/error.h"
#include "proto/device.h"

static bool update_graphics(struct live *live, const struct device_update *u, GError **error)
{
	struct vm_ticket_params *ticket;
	bool good;

	if (u->xml) {
		error_set(error, ERR_METHOD_NOT_IMPLEMENTED, "deviceType graphics has no XML form");
		return false;
	}
	if (!u->graphics_type || !u->password) {
		error_set(error, ERR_MISSING_PARAMETER, "params: %s", u->graphics_type ? "password" : "graphicsType");
		return false;
	}
	/* Locking the screen is left to what the guest does by itself: QEMU's agent cannot. The others would be surprising not to happen. */
	if (u->disconnect_action && strcmp(u->disconnect_action, "NONE") && strcmp(u->disconnect_action, "LOCK_SCREEN")) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "disconnectAction '%s'", u->disconnect_action);
		return false;
	}
	ticket = record_new(&vm_ticket_params_type);
	set_string(&ticket->vm_id, live->vm->id);
	set_string(&ticket->password, u->password);
	set_string(&ticket->existing_conn_action, u->existing_conn_action ? u->existing_conn_action : "disconnect");
	SET(ticket, ttl, u->ttl);
	ticket->params = json_incref(u->params);
	good = vm_ticket_set(live->vm, u->graphics_type, ticket, error);
	record_unref(ticket);
	return good;
}

static bool update_device(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct device_update_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);
	bool good;

	if (!live)
		return false;
	if (!p->params->device_type)
		error_set(error, ERR_MISSING_PARAMETER, "params: deviceType");
	else if (strcmp(p->params->device_type, "interface") && strcmp(p->params->device_type, "graphics"))
		error_set(error, ERR_METHOD_NOT_IMPLEMENTED, "deviceType '%s' cannot be changed", p->params->device_type);
	else {
		good = !strcmp(p->params->device_type, "interface") ? nic_update(live, p, error) : update_graphics(live, p->params, error);
		if (good)
			live_answer_empty(ret_result);
		return good;
	}
	return false;
}

/* QEMU ends instead of resetting; libvirt and the events' reader know by why it ended (ending.c). */
static bool set_destroy_on_reboot(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);

	if (!live)
		return false;
	if (virDomainSetLifecycleAction(live->domain, VIR_DOMAIN_LIFECYCLE_REBOOT, VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY, VIR_DOMAIN_AFFECT_LIVE) == 0)
		return live_read(live, error);
	live_failed(live, error, ERR_UNEXPECTED_ERROR, "destroy on reboot");
	return false;
}

const struct verb_binding device_bindings[] = {
	{ "VM.hotplugDisk", hotplug_disk_verb },
	{ "VM.hotunplugDisk", hotunplug_disk_verb },
	{ "VM.hotplugNic", hotplug_nic_verb },
	{ "VM.hotunplugNic", hotunplug_nic_verb },
	{ "VM.hotplugMemory", hotplug_memory_verb },
	{ "VM.hotunplugMemory", hotunplug_memory_verb },
	{ "VM.hotplugLease", hotplug_lease_verb },
	{ "VM.hotunplugLease", hotunplug_lease_verb },
	{ "VM.hotplugHostdev", hotplug_hostdev_verb },
	{ "VM.hotunplugHostdev", hotunplug_hostdev_verb },
	{ "VM.setNumberOfCpus", vcpus_set_verb },
	{ "VM.changeCD", change_cd_verb },
	{ "VM.changeFloppy", change_floppy_verb },
	{ "VM.updateDevice", update_device },
	{ "VM.getNicPolicies", nic_policies_verb },
	{ "VM.setIoTune", io_tune_set_verb },
	{ "VM.getIoTune", io_tune_get_verb },
	{ "VM.getIoTunePolicy", io_policy_get_verb },
	{ "Host.getAllVmIoTunePolicies", io_policies_verb },
	{ "VM.updateVmPolicy", policy_update_verb },
	{ "VM.setCpuTunePeriod", cpu_period_verb },
	{ "VM.setCpuTuneQuota", cpu_quota_verb },
	{ "VM.setBalloonTarget", balloon_verb },
	{ "VM.diskSizeExtend", disk_extend_verb },
	{ "VM.refresh_disk", disk_refresh_verb },
	{ "VM.getDiskAlignment", disk_alignment_verb },
	{ "VM.setDestroyOnReboot", set_destroy_on_reboot },
	{ "VM.screenshot", screenshot_verb },
	{ "VM.sendInput", input_send_verb },
	{ "VM.startDirtyRate", dirty_rate_start_verb },
	{ "VM.getDirtyRate", dirty_rate_get_verb },
};
const size_t n_device_bindings = G_N_ELEMENTS(device_bindings);
