/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the guest to shut down or to reboot: VM.shutdown, VM.reboot.
 *
 *	message   who is logged in reads it (with a message)
 *	delay     ... and has that long to save his work (with a delay)
 *	agent     the guest agent is asked; without one, or when it does not answer, ACPI follows at once
 *	acpi      the power button is pressed
 *	force     power off, or reset (with force)
 *
 * Each way of asking has `timeout` to work; then comes the next, as in vdsm (virt/vmpowerdown.py). A guest that has not done it after the last one is Up
 * again. It is a journaled job, so that what was promised outlives the agent: one that is killed between asking and the end asks again - within the
 * timeout of a reboot that may be once too often, but it is not forgotten. A new call ends an older one. The job is on the guest's lane, for the
 * agent may hang, and waits without a thread: the end of the VM or its reboot wakes it, and that a paused one goes on, which is asked then only.
 */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/jobs.h"
#include "agent/virt/guest/guest.h"
#include "common/lock.h"
#include "common/log.h"

#define REFUSAL_LIMIT_S 2
#define REBOOT_TIMEOUT_S 60

enum way { WAY_NONE, WAY_MESSAGE, WAY_AGENT, WAY_ACPI, WAY_FORCE };
static const char *const way_names[] = { "delay", "message", "agent", "acpi", "force", NULL };

/* What the job's state says. */
struct order { bool reboot, force; int64_t at_ms, timeout_ms; const char *message; };

static struct order order_of(const json_t *state)
{
	const json_t *request = json_object_get(state, "request");

	return (struct order){
		.reboot = json_is_true(json_object_get(request, "reboot")), .force = json_is_true(json_object_get(request, "force")),
		.at_ms = json_integer_value(json_object_get(request, "at")), .timeout_ms = json_integer_value(json_object_get(request, "timeout")) * 1000,
		.message = json_string_value(json_object_get(request, "message")),
	};
}

static const char *wish(const struct order *order)
{
	return order->reboot ? "reboot" : "shut down";
}

/* ---- is it done? ---- */

/* Reboots are counted from the agent's start: of a count of an earlier one nothing can be told. */
static void note_reboots(struct vm *vm, json_t *state)
{
	AUTO_LOCK(&vm->vms->lock);
	json_object_set_new(state, "reboots", json_integer(vm->reboots));
	json_object_set_new(state, "counted", json_integer(vm->vms->agent->started_usec));
}

static bool is_of_earlier_agent(const struct vm *vm, const json_t *state)
{
	return json_integer_value(json_object_get(state, "counted")) != vm->vms->agent->started_usec;
}

static bool has_rebooted(struct vm *vm, const json_t *state)
{
	AUTO_LOCK(&vm->vms->lock);
	return !is_of_earlier_agent(vm, state) && json_integer_value(json_object_get(state, "reboots")) != vm->reboots;
}

/* ---- asking ---- */

static bool is_paused(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_PAUSED;
}

/* The state stays until the job ends it. */
static void set_asked(struct vm *vm, const struct order *order)
{
	vm_events_hold(vm);
	if (!is_paused(vm))
		vm_set_status(vm, order->reboot ? VM_WIRE_REBOOT_IN_PROGRESS : VM_WIRE_POWERING_DOWN);
	vm_events_release(vm);
	AUTO_LOCK(&vm->vms->lock);
	vm->status_until_usec = 0;
	vm->shutdown_asked = !order->reboot;
}

/*
 * guest-shutdown is not answered when it is done. virDomainShutdown() would wait for the end for a minute; what is waited for here is a refusal. Any other
 * failure is silence or the end of QEMU, and that the agent was there was seen a moment ago.
 */
static bool tell_agent(struct guest_talk *talk, const struct order *order)
{
	json_t *mode = json_pack("{s:s}", "mode", order->reboot ? "reboot" : "powerdown");
	json_t *answer = guest_command(talk, json_pack("{s:s, s:o}", "execute", "guest-shutdown", "arguments", mode), REFUSAL_LIMIT_S);

	g_autofree char *failure = answer ? NULL : g_strdup(virGetLastErrorMessage());

	json_decref(answer);
	if (answer || guest_is_silent() || !guest_answers(talk, REFUSAL_LIMIT_S))
		return true;
	log_info("VM %s: its agent does not %s it: %s", talk->vm->id, wish(order), failure);
	return false;
}

static bool ask_agent(struct vm *vm, const struct order *order)
{
	g_autoptr(GError) error = NULL;
	struct guest_talk talk;
	bool good;

	if (!guest_talk_begin(vm, REFUSAL_LIMIT_S, ERR_NON_RESPONSIVE_GUEST_AGENT, &talk, &error)) {
		log_debug("VM %s is not asked to %s by its agent: %s", vm->id, wish(order), error->message);
		return false;
	}
	good = tell_agent(&talk, order);
	guest_talk_end(&talk);
	return good;
}

static bool has_acpi(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return !vm->info || vm->info->acpi;
}

static bool ask_acpi(struct vm *vm, const struct order *order)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(virDomain) domain = has_acpi(vm) ? vm_domain(vm, &error) : NULL;

	if (!domain)
		return false;
	if ((order->reboot ? virDomainReboot(domain, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
			   : virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)) == 0)
		return true;
	if (libvirt_error_code() == VIR_ERR_NO_DOMAIN || libvirt_error_code() == VIR_ERR_OPERATION_INVALID)
		return true;                    /* it is just ending */
	log_warn("VM %s: its power button cannot be pressed: %s", vm->id, virGetLastErrorMessage());
	return false;
}

static bool do_force(struct vm *vm, const struct order *order, GError **error)
{
	g_autoptr(virDomain) domain = NULL;

	log_warn("VM %s did not %s in time: %s", vm->id, wish(order), order->reboot ? "reset" : "power off");
	if (!order->reboot)
		return vm_power_off(vm, 1, error);
	domain = vm_domain(vm, error);
	if (!domain)
		return error_is(*error, ERR_VM_IS_DOWN);
	if (virDomainReset(domain, 0) == 0)
		return true;
	libvirt_error_set(error, ERR_RESET_FAILED, "VM %s", vm->id);
	return false;
}

/* ---- the job ---- */

/* The next way after this one, begun; false + error: the journal did not take it, or nothing is left. */
static bool try_next(struct job *job, json_t *state, struct vm *vm, const struct order *order, enum way way, GError **error)
{
	for (way++; way <= WAY_FORCE; way++) {
		bool asked = false;

		if ((way == WAY_MESSAGE && !order->message) || (way == WAY_FORCE && !order->force))
			continue;
		note_reboots(vm, state);
		json_object_set_new(state, "until", json_integer(way == WAY_MESSAGE ? order->at_ms : wall_msec() + order->timeout_ms));
		if (!job_step(job, state, way_names[way], error))
			return false;
		if (way == WAY_MESSAGE) {
			guest_tell_users(vm, order->message);
			return true;
		}
		set_asked(vm, order);
		if (way == WAY_FORCE)
			return do_force(vm, order, error);
		asked = way == WAY_AGENT ? ask_agent(vm, order) : ask_acpi(vm, order);
		fault_point(way == WAY_AGENT ? "shutdown: agent asked" : "shutdown: acpi asked");
		if (asked)
			return true;
	}
	error_set(error, ERR_NON_RESPONSIVE_GUEST_AGENT, "VM %s does not %s: %s", vm->id, wish(order),
		  is_paused(vm) ? "it is paused" : "neither its guest agent nor ACPI made it do so");
	return false;
}

static enum way way_of(const json_t *state)
{
	const char *step = json_string_value(json_object_get(state, "step"));
	int way = step ? enum_value(way_names, step) : WAY_NONE;

	return way < 0 ? WAY_NONE : (enum way)way;
}

static enum job_run go_on(struct job *job, json_t *state, struct vm *vm, const struct order *order, enum way way, GError **error)
{
	if (try_next(job, state, vm, order, way, error)) {
		job_wake_after(job, MAX(json_integer_value(json_object_get(state, "until")) - wall_msec(), 1) * 1000);
		return JOB_WAITS;
	}
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->shutdown_asked = false;
	}
	vm_set_up(vm);
	return JOB_FAILED;
}

static enum job_run shutdown_run(struct job *job, json_t *state, void *context, GError **error)
{
	const char *id = json_string_value(json_object_get(json_object_get(state, "request"), "vmID"));
	struct order order = order_of(state);
	AUTO_VM vm = vms_lookup(context, id);
	enum way way = way_of(state);
	int64_t left;

	if (!vm || !vm_check_running(vm, NULL) || (order.reboot && way > WAY_MESSAGE && has_rebooted(vm, state)))
		return JOB_DONE;
	if (job_canceled(job)) {
		error_set(error, ERR_ACTION_STOPPED, "VM %s was asked anew to shut down or reboot", vm->id);
		return JOB_FAILED;
	}
	if (way > WAY_MESSAGE && is_of_earlier_agent(vm, state)) {
		if (order.reboot && wall_msec() >= json_integer_value(json_object_get(state, "until")))
			return JOB_DONE;                 /* it had its time, and nobody saw what it did */
		return go_on(job, state, vm, &order, way - 1, error);
	}
	if (way == WAY_NONE && order.message)
		return go_on(job, state, vm, &order, way, error);
	left = (way <= WAY_MESSAGE ? order.at_ms : json_integer_value(json_object_get(state, "until"))) - wall_msec();
	/* Nobody in it can be asked, and libvirt presses no button: when it goes on, or not at all. */
	if (left <= 0 && way <= WAY_MESSAGE && is_paused(vm)) {
		left = order.at_ms + order.timeout_ms - wall_msec();
		way = WAY_ACPI;
	}
	if (left <= 0)
		return go_on(job, state, vm, &order, way, error);
	job_wake_after(job, left * 1000);
	return JOB_WAITS;
}

static const struct job_kind shutdown_kind = { .name = "shutdown", .type = "virt", .run = shutdown_run };

void shutdown_register(struct vms *vms)
{
	jobs_register(vms->agent->jobs, &shutdown_kind, vms);
}

/* ---- the verbs ---- */

static bool check_way(struct vm *vm, bool force, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->agent_connected || !vm->info || vm->info->acpi || force)
		return true;
	error_set(error, ERR_NON_RESPONSIVE_GUEST_AGENT, "VM %s has neither a guest agent nor ACPI", vm->id);
	return false;
}

static bool begin(struct agent *agent, const struct vm_shutdown_params *p, GError **error)
{
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autofree char *lane = g_strconcat("guest/", p->vm_id, NULL), *what = NULL;
	g_autoptr(GPtrArray) older = NULL;
	json_t *request;
	bool good;

	if (!vm || !vm_check_running(vm, error) || !check_way(vm, p->force, error))
		return false;
	older = jobs_active(agent->jobs, &shutdown_kind, "vmID", vm->id);
	what = g_strdup_printf("VM.%s %s", p->reboot ? "reboot" : "shutdown", vm->id);
	request = json_pack("{s:s, s:b, s:b, s:i, s:I}", "vmID", vm->id, "reboot", p->reboot, "force", p->force, "timeout", p->timeout, "at",
			    (json_int_t)(wall_msec() + p->delay * INT64_C(1000)));
	if (p->message && *p->message)
		json_object_set_new(request, "message", json_string(p->message));
	good = jobs_begin(agent->jobs, &(struct job_order){ .kind = &shutdown_kind, .description = what, .lane = lane, .request = request }, NULL, error);
	json_decref(request);
	for (guint i = 0; good && i < older->len; i++)
		(void)jobs_cancel(agent->jobs, older->pdata[i], NULL);
	return good;
}

bool vm_shutdown_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return begin(agent, params, error);
}

bool vm_reboot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_reboot_params *p = params;
	struct vm_shutdown_params *plain = record_new(&vm_shutdown_params_type);
	bool good;

	set_string(&plain->vm_id, p->vm_id);
	SET(plain, delay, p->delay);
	SET(plain, reboot, true);
	SET(plain, timeout, REBOOT_TIMEOUT_S);
	good = begin(agent, plain, error);
	record_unref(plain);
	return good;
}
