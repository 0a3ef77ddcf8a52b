/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's events. Callbacks run on the loop, and nothing that is done to the VM holds them up: its lane may be with a script or a call that hangs.
 *
 *	facts      its clock, its watchdog, who looks at its console: taken in and told at once
 *	states     it is paused, goes on, reboots, has an I/O error, its agent comes or goes: through the VM's mailbox, one after the other, as a rule at once
 *	ends       it ended, its guest crashed: from the mailbox to the lane "end/<id>", in turn with VM.destroy, for libvirt and files are looked at;
 *	           while VM.destroy is still at its scripts, to the lane "ended/<id>", beside it
 *	devices    they and the limits are other ones: the XML is read again, on the lane "events/<id>"; changed devices are an event, too (vm_refresh())
 *
 * The mailbox. Who looks how a VM is and says so, or looks at its state and changes it, must not have an event in between that knows better: he holds the
 * mailbox (vm_events_hold(); short). So does a start, until the VM runs or does not. What comes meanwhile waits, and is dealt with by who lets go last. It
 * is never dealt with by two at a time, and handlers wait for nothing: neither for libvirt nor for who holds. A verb whose call succeeded says what came
 * of it with vm_see(), which asks libvirt: its own event, and another after that one, may have been dealt with already.
 *
 * Events of domains that are not ours find no VM and are dropped.
 */
#define LOG_MODULE "virt"
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/jobs.h"
#include "agent/virt/change/live.h"
#include "agent/virt/disk/block_jobs.h"
#include "agent/virt/life/crash.h"
#include "agent/virt/migration/migration.h"
#include "agent/virt/news.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define SAME_RESET_USEC (500 * 1000)
#define MAILBOX_MAX 1000

struct told {
	int event, detail;
	char *path, *alias, *reason;
	vm_fn fn;                     /* in the mailbox: what it is for; takes it over, and does not block */
};

static void told_free(void *data)
{
	struct told *told = data;

	if (!told)
		return;
	g_free(told->path);
	g_free(told->alias);
	g_free(told->reason);
	g_free(told);
}

/* A reference; NULL: it is not ours. */
static struct vm *vm_of(struct vms *vms, virDomainPtr domain)
{
	char id[VIR_UUID_STRING_BUFLEN];

	return virDomainGetUUIDString(domain, id) < 0 ? NULL : vms_lookup(vms, id);
}

static struct told *told_copy(const struct told *told)
{
	struct told *copy = g_memdup2(told, sizeof(*told));

	copy->path = g_strdup(told->path);
	copy->alias = g_strdup(told->alias);
	copy->reason = g_strdup(told->reason);
	return copy;
}

/* Takes it over. */
static void queue(struct vm *vm, const char *lane, const char *name, vm_fn fn, struct told *told)
{
	g_autoptr(GError) error = NULL;

	if (vm_queue_on(vm, lane, name, fn, told, told_free, &error))
		return;
	log_warn("VM %s: event '%s' is lost: %s", vm->id, name, error->message);
	told_free(told);
}

/* ---- the mailbox ---- */

/* Lock held, let go meanwhile. Whoever deals already finds what was put in since. */
static void locked_deal(struct vm *vm)
{
	struct told *told;

	while (!vm->events_held && !vm->events_dealt && (told = g_queue_pop_head(&vm->mailbox))) {
		vm->events_dealt = true;
		pthread_mutex_unlock(&vm->vms->lock);
		told->fn(vm, told);
		pthread_mutex_lock(&vm->vms->lock);
		vm->events_dealt = false;
		pthread_cond_broadcast(&vm->event_over);
	}
}

void vm_events_hold(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->events_held++;
	while (vm->events_dealt)
		pthread_cond_wait(&vm->event_over, &vm->vms->lock);
}

void vm_events_release(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->events_held--;
	locked_deal(vm);
}

void vm_events_drop(struct vm *vm)
{
	g_queue_clear_full(&vm->mailbox, told_free);
}

static void post(struct vms *vms, virDomainPtr domain, vm_fn fn, const struct told *told)
{
	AUTO_VM vm = vm_of(vms, domain);
	struct told *copy;

	if (!vm)
		return;
	copy = told_copy(told);
	copy->fn = fn;
	AUTO_LOCK(&vms->lock);
	g_queue_push_tail(&vm->mailbox, copy);
	if (vm->mailbox.length > MAILBOX_MAX)           /* its start hangs: what is newest counts */
		told_free(g_queue_pop_head(&vm->mailbox));
	if (vm->launch == LAUNCH_SEEN)
		recovery_tick(vm);
	locked_deal(vm);
}

/* ---- the end ---- */

/* An event of an earlier domain with this id, when the VM was destroyed and made again. */
static bool runs(struct vm *vm)
{
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);

	return domain && virDomainIsActive(domain) == 1;
}

static void do_stopped(struct vm *vm, void *data)
{
	struct told *told = data;
	int detail = told->detail;
	struct ending ending;

	told_free(told);
	if (runs(vm))
		return;
	{
		struct ending_facts facts = { .detail = detail };
		AUTO_LOCK(&vm->vms->lock);

		if (vm->destroying && !vm->end_prepared)
			return;
		facts.cause = vm->end_cause;
		facts.status = vm->status;
		facts.asked = vm->shutdown_asked;
		ending = ending_of(&facts);
	}
	vm_set_down(vm, ending.code, ending.reason, NULL);
}

static void do_crashed(struct vm *vm, void *told)
{
	told_free(told);
	crash_seen(vm);
}

/* ---- states ---- */

static enum vm_wire_status status_of(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status;
}

/* Who ends it is still at its scripts, and holds the lane of ends meanwhile. */
static bool end_is_prepared(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->end_prepared;
}

/* Its memory is, which libvirt pauses it for. */
static bool is_saved(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_SAVING || snapshot_is_out(vm);
}

static void do_lifecycle(struct vm *vm, void *data)
{
	struct told *told = data;

	migration_news(vm);
	switch (told->event) {
	case VIR_DOMAIN_EVENT_SUSPENDED:
		if (told->detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR) {
			/* The news of the error came first, and says more; but libvirt 9.0 loses it for disks without a path. */
			vm_set_paused(vm, status_of(vm) == VM_WIRE_PAUSED ? NULL : "EOTHER");
			(void)vm_queue_on(vm, "error", "ask for the I/O error", vm_ask_io_error, NULL, NULL, NULL);
		} else if (told->detail == VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG || (told->detail == VIR_DOMAIN_EVENT_SUSPENDED_PAUSED && !is_saved(vm))) {
			vm_set_paused(vm, "NOERR");
		}
		break;
	case VIR_DOMAIN_EVENT_STARTED:
		watermark_arm(vm);
		break;
	case VIR_DOMAIN_EVENT_RESUMED:
		if (status_of(vm) == VM_WIRE_PAUSED)
			vm_set_running(vm);
		break;
	case VIR_DOMAIN_EVENT_SHUTDOWN:
		if (status_of(vm) == VM_WIRE_UP || status_of(vm) == VM_WIRE_POWERING_UP)
			vm_set_status(vm, VM_WIRE_POWERING_DOWN);
		break;
	case VIR_DOMAIN_EVENT_CRASHED:
		queue(vm, "end", "its guest crashed", do_crashed, told);
		return;
	case VIR_DOMAIN_EVENT_STOPPED:
		queue(vm, end_is_prepared(vm) ? "ended" : "end", "it ended", do_stopped, told);
		return;
	}
	told_free(told);
}

/* libvirt 9.0 tells of one reset up to five times, within a moment. */
static bool is_same_reset(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->reboots && now_usec() - vm->running_since_usec < SAME_RESET_USEC;
}

static void do_reboot(struct vm *vm, void *data)
{
	if (is_same_reset(vm)) {
		told_free(data);
		return;
	}
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->running_since_usec = now_usec();
		vm->shutdown_asked = false;
		vm->end_cause = END_UNKNOWN;
		vm->reboots++;
		vm_locked_clear_guest(vm);
	}
	if (status_of(vm) != VM_WIRE_PAUSED)
		vm_set_running(vm);
	jobs_wake_about(vm->vms->agent->jobs, "vmID", vm->id);
	told_free(data);
}

/* Before libvirt tells of the end: why QEMU ends. Of itself libvirt tells a VM that is not to reboot from one that was shut down by nothing. */
static void do_end_cause(struct vm *vm, void *data)
{
	struct told *told = data;
	json_t *details = told->reason ? json_loads(told->reason, 0, NULL) : NULL;

	{
		AUTO_LOCK(&vm->vms->lock);
		/* The first counts: when QEMU stands still at its end, libvirt ends it with a signal. */
		if (vm->end_cause == END_UNKNOWN)
			vm->end_cause = ending_cause(json_string_value(json_object_get(details, "reason")));
	}
	json_decref(details);
	told_free(told);
}

static void do_io_error(struct vm *vm, void *data)
{
	struct told *told = data;

	log_error("VM %s: I/O error on disk %s (%s): %s", vm->id, told->alias ? told->alias : "", told->path ? told->path : "",
		  told->reason ? told->reason : "");
	if (told->event == VIR_DOMAIN_EVENT_IO_ERROR_PAUSE)
		vm_set_io_error(vm, told->reason, told->alias, told->path);
	jobs_wake_about(vm->vms->agent->jobs, "vmID", vm->id);
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

/* ---- devices ---- */

static void do_refresh(struct vm *vm, void *unused)
{
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);

	if (domain)
		vm_refresh(vm, domain);
}

static void do_block_job(struct vm *vm, void *unused)
{
	do_refresh(vm, NULL);
	watermark_arm(vm);
	jobs_wake_about(vm->vms->agent->jobs, "vmID", vm->id);
}

static void do_device(struct vm *vm, void *unused)
{
	do_refresh(vm, NULL);
	guest_agent_plugged(vm);
}

/* Maybe long after the one who asked for it stopped waiting. */
static void do_device_gone(struct vm *vm, void *unused)
{
	do_device(vm, NULL);
	(void)vm_queue(vm, "settle", live_settle, NULL, NULL, NULL);
}

static void queue_devices(struct vms *vms, virDomainPtr domain, const char *name, vm_fn fn)
{
	AUTO_VM vm = vm_of(vms, domain);

	if (vm)
		queue(vm, "events", name, fn, NULL);
}

/* ---- on the loop ---- */

/* To whoever waits for it, at once. */
static void tell(struct vms *vms, virDomainPtr domain, enum news_kind kind, const char *subject, int detail)
{
	AUTO_VM vm = vm_of(vms, domain);

	if (vm)
		news_tell(vm, kind, subject, detail);
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *data)
{
	if (event == VIR_DOMAIN_EVENT_STOPPED)
		tell(data, domain, NEWS_STOPPED, NULL, detail);
	if (event == VIR_DOMAIN_EVENT_STARTED)
		recovery_started(data, domain);
	post(data, domain, do_lifecycle, &(struct told){ .event = event, .detail = detail });
	return 0;
}

static void on_reboot(virConnectPtr conn, virDomainPtr domain, void *data)
{
	post(data, domain, do_reboot, &(struct told){ 0 });
}

static void on_io_error(virConnectPtr conn, virDomainPtr domain, const char *path, const char *alias, int action, const char *reason, void *data)
{
	post(data, domain, do_io_error, &(struct told){ .event = action, .path = (char *)path, .alias = (char *)alias, .reason = (char *)reason });
}

static void on_agent(virConnectPtr conn, virDomainPtr domain, int state, int reason, void *data)
{
	post(data, domain, do_agent, &(struct told){ .event = state, .detail = reason });
}

static void on_device_removed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	tell(data, domain, NEWS_DEVICE_REMOVED, alias, 0);
	queue_devices(data, domain, "device event", do_device_gone);
}

static void on_device_kept(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	tell(data, domain, NEWS_DEVICE_KEPT, alias, 0);
}

static void on_block_job(virConnectPtr conn, virDomainPtr domain, const char *target, int type, int status, void *data)
{
	tell(data, domain, NEWS_BLOCK_JOB, target, status);
	queue_devices(data, domain, "block job event", do_block_job);
}

static void on_watermark(virConnectPtr conn, virDomainPtr domain, const char *name, const char *path, unsigned long long mark, unsigned long long excess,
			 void *data)
{
	AUTO_VM vm = vm_of(data, domain);

	if (vm)
		watermark_reached(vm, name);
}

static void on_device_added(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	queue_devices(data, domain, "device event", do_device);
}

static void on_tunable(virConnectPtr conn, virDomainPtr domain, virTypedParameterPtr params, int n, void *data)
{
	queue_devices(data, domain, "limits event", do_refresh);
}

static void on_balloon(virConnectPtr conn, virDomainPtr domain, unsigned long long actual, void *data)
{
	queue_devices(data, domain, "balloon event", do_refresh);
}

static void on_clock(virConnectPtr conn, virDomainPtr domain, long long offset, void *data)
{
	AUTO_VM vm = vm_of(data, domain);

	if (!vm)
		return;
	AUTO_LOCK(&vm->vms->lock);
	vm->time_offset = offset;
}

static void on_watchdog(virConnectPtr conn, virDomainPtr domain, int number, void *data)
{
	/* vdsm's texts, by enum virDomainEventWatchdogAction */
	static const char *const actions[] = { "No action, watchdog ignored", "Guest CPUs are paused", "Guest CPUs are reset", "Guest is forcibly powered off",
					       "Guest is requested to gracefully shutdown", "No action, a debug message logged" };
	bool known = number >= 0 && (size_t)number < G_N_ELEMENTS(actions);
	AUTO_VM vm = vm_of(data, domain);
	json_t *action;

	if (!vm)
		return;
	action = known ? json_string(actions[number]) : json_sprintf("Received unknown watchdog action(%d)", number);
	log_warn("VM %s: its watchdog fired: %s", vm->id, json_string_value(action));
	AUTO_LOCK(&vm->vms->lock);
	json_decref(vm->watchdog_event);
	vm->watchdog_event = json_pack("{s:f, s:o}", "time", (double)wall_msec() / 1e3, "action", action);
	vm_locked_publish(vm);
}

static void on_graphics(virConnectPtr conn, virDomainPtr domain, int phase, const virDomainEventGraphicsAddress *local,
			const virDomainEventGraphicsAddress *remote, const char *scheme, const virDomainEventGraphicsSubject *subject, void *data)
{
	AUTO_VM vm = phase != VIR_DOMAIN_EVENT_GRAPHICS_CONNECT ? vm_of(data, domain) : NULL;

	if (!vm)
		return;
	AUTO_LOCK(&vm->vms->lock);
	set_string(&vm->client_ip, phase == VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT || !remote ? NULL : remote->node);
	vm_locked_publish(vm);
}

static void on_qemu_shutdown(virConnectPtr conn, virDomainPtr domain, const char *event, long long seconds, unsigned micros, const char *details, void *data)
{
	post(data, domain, do_end_cause, &(struct told){ .reason = (char *)details });
}

static void on_job_completed(virConnectPtr conn, virDomainPtr domain, virTypedParameterPtr params, int n, void *data)
{
	AUTO_VM vm = vm_of(data, domain);

	if (!vm)
		return;
	migration_completed(vm, params, n);
	jobs_wake_about(vm->vms->agent->jobs, "vmID", vm->id);
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
		{ VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD, VIR_DOMAIN_EVENT_CALLBACK(on_watermark) },
		{ VIR_DOMAIN_EVENT_ID_TUNABLE, VIR_DOMAIN_EVENT_CALLBACK(on_tunable) },
		{ VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_balloon) },
		{ VIR_DOMAIN_EVENT_ID_RTC_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_clock) },
		{ VIR_DOMAIN_EVENT_ID_WATCHDOG, VIR_DOMAIN_EVENT_CALLBACK(on_watchdog) },
		{ VIR_DOMAIN_EVENT_ID_GRAPHICS, VIR_DOMAIN_EVENT_CALLBACK(on_graphics) },
		{ VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_completed) },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
		if (virConnectDomainEventRegisterAny(conn, NULL, wanted[i].id, wanted[i].callback, vms, NULL) < 0) {
			libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "register for event %d", wanted[i].id);
			return false;
		}
	if (virConnectDomainQemuMonitorEventRegister(conn, NULL, "SHUTDOWN", on_qemu_shutdown, vms, NULL, 0) < 0)
		log_warn("why a VM ends is told less exactly: %s", virGetLastErrorMessage());
	return true;
}
