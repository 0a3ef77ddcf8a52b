/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's events. Callbacks run on the loop: each copies what it was told and queues it on the VM's lane, where it is dealt with after what is
 * being done to the VM right now. So a VM.pause has its status set before "suspended" is looked at, and an event that was caused by a
 * verb finds nothing left to do. Events of domains that are not ours find no VM and are dropped.
 */
#define LOG_MODULE "virt"
#include <stdlib.h>
#include <string.h>
#include "agent/virt/news.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

struct told {
	int event, detail;
	int64_t number;
	char *path, *alias, *reason;
};

static void told_free(void *data)
{
	struct told *told = data;

	g_free(told->path);
	g_free(told->alias);
	g_free(told->reason);
	g_free(told);
}

static void queue(struct vms *vms, virDomainPtr domain, const char *name, vm_fn fn, const struct told *told)
{
	char id[VIR_UUID_STRING_BUFLEN];
	struct told *copy;
	AUTO_VM vm = NULL;
	g_autoptr(GError) error = NULL;

	if (virDomainGetUUIDString(domain, id) < 0 || !(vm = vms_lookup(vms, id)))
		return;
	copy = g_memdup2(told, sizeof(*told));
	copy->path = g_strdup(told->path);
	copy->alias = g_strdup(told->alias);
	copy->reason = g_strdup(told->reason);
	if (!vm_queue(vm, name, fn, copy, told_free, &error))
		log_warn("VM %s: event '%s' is lost: %s", id, name, error->message);
}

/* ---- on the lane ---- */

/* An event of an earlier domain with this id, when the VM was destroyed and made again. */
static bool runs(struct vm *vm)
{
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);

	return domain && virDomainIsActive(domain) == 1;
}

static void on_stopped(struct vm *vm, int detail)
{
	bool asked, rebooting;

	if (runs(vm))
		return;
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->destroying)
			return;
		asked = vm->shutdown_asked;
		rebooting = vm->status == VM_WIRE_REBOOT_IN_PROGRESS;
	}
	switch (detail) {
	case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
		if (rebooting)
			vm_set_down(vm, 0, VM_EXIT_DESTROYED_ON_REBOOT, "VM destroyed during the reboot");
		else if (asked)
			vm_set_down(vm, 0, VM_EXIT_ADMIN_SHUTDOWN, "Admin shut down from the engine");
		else
			vm_set_down(vm, 0, VM_EXIT_USER_SHUTDOWN, "User shut down from within the guest");
		break;
	case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
		vm_set_down(vm, 0, VM_EXIT_ADMIN_SHUTDOWN, "Admin shut down from the engine");
		break;
	case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
		vm_set_down(vm, 0, VM_EXIT_MIGRATED, "Migration succeeded");
		break;
	case VIR_DOMAIN_EVENT_STOPPED_SAVED:
		vm_set_down(vm, 0, VM_EXIT_SAVED, "SAVE_STATE succeeded");
		break;
	default:
		vm_set_down(vm, 1, VM_EXIT_LOST_QEMU, "Lost connection with qemu process");
	}
}

static enum vm_wire_status status_of(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status;
}

static void do_lifecycle(struct vm *vm, void *data)
{
	struct told *told = data;

	switch (told->event) {
	case VIR_DOMAIN_EVENT_SUSPENDED:
		if (told->detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR)
			vm_set_paused(vm, status_of(vm) == VM_WIRE_PAUSED ? NULL : "EOTHER");
		else if (told->detail == VIR_DOMAIN_EVENT_SUSPENDED_PAUSED && status_of(vm) != VM_WIRE_SAVING)      /* saving pauses it, too */
			vm_set_paused(vm, "NOERR");
		break;
	case VIR_DOMAIN_EVENT_RESUMED:
		if (status_of(vm) == VM_WIRE_PAUSED)
			vm_set_running(vm);
		break;
	case VIR_DOMAIN_EVENT_SHUTDOWN:
		if (status_of(vm) == VM_WIRE_UP || status_of(vm) == VM_WIRE_POWERING_UP)
			vm_set_status(vm, VM_WIRE_POWERING_DOWN);
		break;
	case VIR_DOMAIN_EVENT_STOPPED:
		on_stopped(vm, told->detail);
		break;
	}
	told_free(told);
}

static void do_reboot(struct vm *vm, void *data)
{
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->running_since_usec = now_usec();
		vm->shutdown_asked = false;
		vm_locked_clear_guest(vm);
	}
	if (status_of(vm) != VM_WIRE_PAUSED)
		vm_set_running(vm);
	told_free(data);
}

static const char *pause_code(const char *reason)
{
	if (reason && !strcmp(reason, "enospc"))
		return "ENOSPC";
	if (reason && (!strcmp(reason, "eio") || !*reason))
		return "EIO";
	return reason && (!strcmp(reason, "eperm") || !strcmp(reason, "eacces")) ? "EPERM" : "EOTHER";
}

static void do_io_error(struct vm *vm, void *data)
{
	struct told *told = data;

	log_error("VM %s: I/O error on disk %s (%s): %s", vm->id, told->alias ? told->alias : "", told->path ? told->path : "",
		  told->reason ? told->reason : "");
	if (told->event == VIR_DOMAIN_EVENT_IO_ERROR_PAUSE) {
		{
			const struct domain_disk *disk;
			AUTO_LOCK(&vm->vms->lock);

			disk = domain_info_disk(vm->info, told->alias);
			json_decref(vm->ioerror);
			vm->ioerror = json_pack("{s:s, s:s, s:s}", "alias", told->alias ? told->alias : "", "name", disk ? disk->target : "", "path",
						told->path ? told->path : "");
		}
		vm_set_paused(vm, pause_code(told->reason));
	}
	told_free(told);
}

static void do_agent(struct vm *vm, void *data)
{
	struct told *told = data;

	if (told->event == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED)
		guest_agent_connected(vm);
	else
		guest_agent_disconnected(vm);
	told_free(told);
}

static void do_refresh(struct vm *vm, void *data)
{
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);

	if (domain)
		vm_refresh(vm, domain);
	told_free(data);
}

static void do_clock(struct vm *vm, void *data)
{
	struct told *told = data;

	{
		AUTO_LOCK(&vm->vms->lock);
		vm->time_offset = told->number;
	}
	told_free(told);
}

static void do_graphics(struct vm *vm, void *data)
{
	struct told *told = data;

	{
		AUTO_LOCK(&vm->vms->lock);
		set_string(&vm->client_ip, told->event == VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT ? NULL : told->path);
		vm_locked_publish(vm);
	}
	told_free(told);
}

/* ---- on the loop ---- */

/* To whoever waits for it, at once. */
static void tell(struct vms *vms, virDomainPtr domain, enum news_kind kind, const char *subject, int detail)
{
	char id[VIR_UUID_STRING_BUFLEN];
	AUTO_VM vm = NULL;

	if (virDomainGetUUIDString(domain, id) == 0 && (vm = vms_lookup(vms, id)))
		news_tell(vm, kind, subject, detail);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *data)
{
	if (event == VIR_DOMAIN_EVENT_STOPPED)
		tell(data, domain, NEWS_STOPPED, NULL, detail);
	queue(data, domain, "lifecycle event", do_lifecycle, &(struct told){ .event = event, .detail = detail });
	return 0;
}

static void on_reboot(virConnectPtr conn, virDomainPtr domain, void *data)
{
	queue(data, domain, "reboot event", do_reboot, &(struct told){ 0 });
}

static void on_io_error(virConnectPtr conn, virDomainPtr domain, const char *path, const char *alias, int action, const char *reason, void *data)
{
	queue(data, domain, "I/O error event", do_io_error,
	      &(struct told){ .event = action, .path = (char *)path, .alias = (char *)alias, .reason = (char *)reason });
}

static void on_agent(virConnectPtr conn, virDomainPtr domain, int state, int reason, void *data)
{
	queue(data, domain, "agent event", do_agent, &(struct told){ .event = state, .detail = reason });
}

static void on_device_removed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	tell(data, domain, NEWS_DEVICE_REMOVED, alias, 0);
	queue(data, domain, "device event", do_refresh, &(struct told){ 0 });
}

static void on_device_kept(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	tell(data, domain, NEWS_DEVICE_KEPT, alias, 0);
}

static void on_block_job(virConnectPtr conn, virDomainPtr domain, const char *target, int type, int status, void *data)
{
	tell(data, domain, NEWS_BLOCK_JOB, target, status);
	queue(data, domain, "block job event", do_refresh, &(struct told){ 0 });
}

static void on_device_added(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	queue(data, domain, "device event", do_refresh, &(struct told){ 0 });
}

static void on_balloon(virConnectPtr conn, virDomainPtr domain, unsigned long long actual, void *data)
{
	queue(data, domain, "balloon event", do_refresh, &(struct told){ .number = (int64_t)actual });
}

static void on_clock(virConnectPtr conn, virDomainPtr domain, long long offset, void *data)
{
	queue(data, domain, "clock event", do_clock, &(struct told){ .number = offset });
}

static void on_graphics(virConnectPtr conn, virDomainPtr domain, int phase, const virDomainEventGraphicsAddress *local,
			const virDomainEventGraphicsAddress *remote, const char *scheme, const virDomainEventGraphicsSubject *subject, void *data)
{
	if (phase != VIR_DOMAIN_EVENT_GRAPHICS_CONNECT)
		queue(data, domain, "console event", do_graphics, &(struct told){ .event = phase, .path = remote ? remote->node : NULL });
}

bool vm_events_register(struct vms *vms, virConnectPtr conn, GError **error)
{
	static const struct { int id; virConnectDomainEventGenericCallback callback; } wanted[] = {
		{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
		{ VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot) },
		{ VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error) },
		{ VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent) },
		{ VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device_added) },
		{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed) },
		{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(on_device_kept) },
		{ VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, VIR_DOMAIN_EVENT_CALLBACK(on_block_job) },
		{ VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_balloon) },
		{ VIR_DOMAIN_EVENT_ID_RTC_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_clock) },
		{ VIR_DOMAIN_EVENT_ID_GRAPHICS, VIR_DOMAIN_EVENT_CALLBACK(on_graphics) },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
		if (virConnectDomainEventRegisterAny(conn, NULL, wanted[i].id, wanted[i].callback, vms, NULL) < 0) {
			libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "register for event %d", wanted[i].id);
			return false;
		}
	return true;
}
