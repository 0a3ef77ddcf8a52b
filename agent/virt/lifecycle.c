/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and ending VMs.
 *
 * VM.create, all on the VM's lane:
 *   t=0     parameters -> domain XML: volumes and bridges looked up, files seen; what is wrong with them is the answer
 *           the VM is in the table, WaitForLaunch, and the answer goes out
 *   then    before_vm_start (may change the XML, may fail) -> virDomainCreateXML (transient: nothing stays behind) -> Powering up
 *           after_vm_start; or, when it could not be made, Down with reason 3 and libvirt's words
 *
 * VM.shutdown and VM.reboot answer when the guest is about to be asked. Asking waits for the guest (libvirt: up to a minute), so it is done on
 * the lane "guest/<id>": a VM.destroy meanwhile does not wait for it. First the guest agent, then ACPI. A guest that does not go within the
 * time-out is Up again, or, with force, powered off.
 */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "agent/events.h"
#include "agent/host/host.h"
#include "agent/net/net.h"
#include "agent/storage/storage.h"
#include "agent/virt/domain_xml.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define AGENT_SHUTDOWN_LIMIT_S 30
#define REBOOT_WAIT_S 120

/* ---- create ---- */

static bool prepare(void *data, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format, GError **error)
{
	struct agent *agent = data;

	return storage_prepare(agent->storage, domain, image, volume, ret_path, ret_format, error);
}

static char *bridge(void *data, const char *network, GError **error)
{
	struct agent *agent = data;

	return net_bridge_of(agent->net, network, error);
}

static void random_password(char out[VNC_PASSWORD_MAX + 1])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	unsigned char bytes[VNC_PASSWORD_MAX];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)g_random_int();
	for (size_t i = 0; i < sizeof(bytes); i++)
		out[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	out[VNC_PASSWORD_MAX] = '\0';
}

/* A copy that may be shown. */
static char *without_passwords(const char *xml)
{
	g_autoptr(GRegex) regex = g_regex_new("passwd=(\"[^\"]*\"|'[^']*')", 0, 0, NULL);

	return g_regex_replace_literal(regex, xml, -1, 0, "passwd=\"*****\"", 0, NULL);
}

static void start_failed(struct vm *vm, enum vm_exit_reason reason, const GError *error)
{
	log_error("VM %s could not be started: %s", vm->id, error->message);
	vm_set_down(vm, 1, reason, error->message);
}

/* What a start is made of. */
struct start { char *xml, *memory; };          /* memory: file to restore from; NULL: boot */

static void start_free(void *data)
{
	struct start *start = data;

	g_free(start->xml);
	g_free(start->memory);
	g_free(start);
}

/* A new domain, or the one whose memory was saved: its XML is in the file. */
static virDomainPtr boot_or_restore(struct vm *vm, virConnectPtr conn, const char *xml, const char *memory, bool paused)
{
	if (!memory)
		return virDomainCreateXML(conn, xml, paused ? VIR_DOMAIN_START_PAUSED : 0);
	vm_set_status(vm, VM_WIRE_RESTORING);
	if (virDomainRestoreFlags(conn, memory, NULL, paused ? VIR_DOMAIN_SAVE_PAUSED : VIR_DOMAIN_SAVE_RUNNING) < 0)
		return NULL;
	return virDomainLookupByUUIDString(conn, vm->id);
}

static void start_run(struct vm *vm, const struct start *start)
{
	g_autofree char *changed = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(virConnect) conn = NULL;
	g_autoptr(virDomain) domain = NULL;
	bool paused;
	int64_t begun = now_usec();

	{
		AUTO_LOCK(&vm->vms->lock);
		paused = HAS(vm->params, launch_paused) && vm->params->launch_paused;
	}
	if (!vm_hook(vm, start->memory ? "before_vm_dehibernate" : "before_vm_start", start->xml, NULL, /* may_fail= */ true, &changed, &error)) {
		start_failed(vm, VM_EXIT_GENERIC, error);
		return;
	}
	conn = libvirt_connection_get(vm->vms->connection, &error);
	if (conn) {
		domain = boot_or_restore(vm, conn, changed ? changed : start->xml, start->memory, paused);
		if (!domain)
			error_set_literal(&error, ERR_CANNOT_CREATE_VM, virGetLastErrorMessage());
	}
	if (!domain) {
		if (conn && virConnectIsAlive(conn) != 1) {
			AUTO_LOCK(&vm->vms->lock);
			vm->start_unknown = true;
		}
		start_failed(vm, VM_EXIT_LIBVIRT_START_FAILED, error);
		return;
	}
	log_info("VM %s runs, %.0f ms after its start began", vm->id, (double)(now_usec() - begun) / 1e3);
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->running_since_usec = now_usec();
	}
	vm_refresh(vm, domain);
	if (paused)
		vm_set_paused(vm, "NOERR");
	else
		vm_set_running(vm);
	vms_wake(vm->vms);
	(void)vm_hook(vm, start->memory ? "after_vm_dehibernate" : "after_vm_start", NULL, NULL, /* may_fail= */ false, NULL, NULL);
}

static void launch(struct vm *vm, void *data)
{
	start_run(vm, data);
	start_free(data);
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->launching = false;
	}
}

static char *make_xml(struct agent *agent, const char *vm_id, const struct vm_params *params, GError **error)
{
	char password[VNC_PASSWORD_MAX + 1];
	struct domain_xml_env env = {
		.kvm = host_has_kvm(agent->host), .host_uuid = host_uuid(agent->host), .display_address = config_string(agent->config, "vm", "display_address"),
		.password = password, .start_time = (double)wall_msec() / 1e3, .prepare = prepare, .bridge = bridge, .data = agent,
	};

	random_password(password);
	return domain_xml_build(vm_id, params, &env, error);
}

/* What VM.create was asked for, without its secrets. */
static struct vm_params *kept_params(const struct vm_params *params, const char *vm_id)
{
	struct vm_params *kept = record_copy(params);

	set_string(&kept->vm_id, vm_id);
	set_string(&kept->ticket, NULL);
	return kept;
}

bool vm_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_create_params *p = params;
	struct vms *vms = agent->vms;
	g_autofree char *xml = NULL, *shown = NULL, *memory = NULL;
	struct start *start;
	struct vm_short *answer;
	AUTO_VM old = vms_lookup(vms, p->vm_id);
	AUTO_VM vm = NULL;

	if (old) {
		error_set(error, ERR_VM_EXISTS, "{'vmId': '%s'}", p->vm_id);
		return false;
	}
	if (p->params->vm_id && strcmp(p->params->vm_id, p->vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "vmParams/vmId is '%s', not vmID '%s'", p->params->vm_id, p->vm_id);
		return false;
	}
	xml = make_xml(agent, p->vm_id, p->params, error);
	if (!xml || (p->params->memory_dump && !vm_memory_path(agent, p->params->memory_dump, &memory, error)))
		return false;
	shown = without_passwords(xml);
	vm = vm_new(vms, p->vm_id);
	vm_take_xml(vm, shown);
	{
		AUTO_LOCK(&vms->lock);
		vm->params = kept_params(p->params, p->vm_id);
		vm->custom = vm->info ? json_incref(vm->info->custom) : NULL;
		if (!vm->custom && p->params->custom)
			vm->custom = json_incref(p->params->custom);
		vm->launching = true;
	}
	if (!vms_add(vms, vm, error))
		return false;
	start = g_new0(struct start, 1);
	start->xml = g_steal_pointer(&xml);
	start->memory = g_steal_pointer(&memory);
	if (!vm_queue(vm, "start", launch, start, start_free, error)) {
		vms_remove(vms, vm);
		return false;
	}
	answer = record_new(&vm_short_type);
	set_string(&answer->vm_id, vm->id);
	SET(answer, status, VM_WIRE_WAIT_FOR_LAUNCH);
	SET(answer, status_time, events_time());
	answer->xml = g_steal_pointer(&shown);
	result_record(ret_result, answer);
	record_unref(answer);
	return true;
}

/* ---- destroy ---- */

static bool power_off(struct vm *vm, int attempts, GError **error)
{
	g_autoptr(virDomain) domain = vm_domain(vm, error);
	int r = -1;

	if (!domain) {
		bool gone = error_is(*error, ERR_VM_IS_DOWN);

		if (gone)
			g_clear_error(error);
		return gone;
	}
	/* The plain way is SIGTERM, 10 s, SIGKILL: one attempt. Each more is 15 s of SIGTERM only (and 45 s when another call on a hung QEMU is out). */
	for (int i = 1; i < attempts && r < 0; i++)
		r = virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_GRACEFUL);
	if (r < 0)
		r = virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_DEFAULT);
	if (r < 0 && (libvirt_error_code() == VIR_ERR_NO_DOMAIN || libvirt_error_code() == VIR_ERR_OPERATION_INVALID))
		r = 0;                  /* it ended by itself meanwhile */
	if (r < 0)
		libvirt_error_set(error, ERR_VM_DESTROY_FAILED, "VM %s", vm->id);
	return r == 0;
}

/* Somebody waits for a place on the VM's lane. The lane's job and who waits share it; the last one frees it. */
struct turn {
	int refs;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool come;
};

static void turn_unref(void *data)
{
	struct turn *turn = data;

	if (!g_atomic_int_dec_and_test(&turn->refs))
		return;
	pthread_mutex_destroy(&turn->lock);
	pthread_cond_destroy(&turn->cond);
	g_free(turn);
}

static void turn_come(struct vm *vm, void *data)
{
	struct turn *turn = data;

	{
		AUTO_LOCK(&turn->lock);
		turn->come = true;
		pthread_cond_signal(&turn->cond);
	}
	turn_unref(turn);
}

/* What a start makes would outlive the VM's entry: it comes to its end first. (VM.destroy is not on the VM's own lane.) */
static bool wait_for_start(struct vm *vm, GError **error)
{
	struct turn *turn;
	bool launching;

	{
		AUTO_LOCK(&vm->vms->lock);
		launching = vm->launching;
	}
	if (!launching)
		return true;
	turn = g_new0(struct turn, 1);
	turn->refs = 2;
	pthread_mutex_init(&turn->lock, NULL);
	pthread_cond_init(&turn->cond, NULL);
	if (!vm_queue(vm, "wait for the start", turn_come, turn, turn_unref, error)) {
		turn_unref(turn);
		return false;
	}
	{
		AUTO_LOCK(&turn->lock);
		while (!turn->come)
			pthread_cond_wait(&turn->cond, &turn->lock);
	}
	turn_unref(turn);
	return true;
}

/* Its domain may turn up when libvirt is back: without its entry nobody would end it then. */
static bool check_start_known(struct vm *vm, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->start_unknown)
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "libvirt went away while VM %s was started; what came of it is seen when it is back", vm->id);
	return !vm->start_unknown;
}

static void set_destroying(struct vm *vm, bool destroying)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->destroying = destroying;
}

bool vm_destroy_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_destroy_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(GError) cause = NULL;

	if (!vm || !wait_for_start(vm, error) || !check_start_known(vm, error))
		return false;
	if (vm_check_running(vm, NULL)) {
		(void)vm_hook(vm, "before_vm_destroy", NULL, NULL, /* may_fail= */ false, NULL, NULL);
		set_destroying(vm, true);
		if (!power_off(vm, p->graceful_attempts, &cause)) {
			set_destroying(vm, false);
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		vm_set_down(vm, 0, VM_EXIT_ADMIN_SHUTDOWN, "Admin shut down from the engine");
		(void)vm_hook(vm, "after_vm_destroy", NULL, NULL, /* may_fail= */ false, NULL, NULL);
	}
	vms_remove(agent->vms, vm);
	return true;
}

/* ---- shutdown, reboot ---- */

static void ask_guest(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(virDomain) domain = vm_domain(vm, &error);
	bool reboot, agent;
	int r = -1;

	if (!domain)
		return;
	{
		AUTO_LOCK(&vm->vms->lock);
		reboot = vm->shutdown_reboot;
		agent = vm->agent_connected && !vm->frozen && vm->status != VM_WIRE_PAUSED;
	}
	if (agent && guest_agent_begin(vm, domain, AGENT_SHUTDOWN_LIMIT_S, /* wait= */ true)) {
		r = reboot ? virDomainReboot(domain, VIR_DOMAIN_REBOOT_GUEST_AGENT) : virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT);
		if (r < 0)
			log_debug("VM %s: its agent does not shut it down, trying ACPI: %s", vm->id, virGetLastErrorMessage());
		guest_agent_end(vm);
	}
	if (r < 0)
		r = reboot ? virDomainReboot(domain, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN) : virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
	if (r < 0 && vm_check_running(vm, NULL))
		log_warn("VM %s cannot be asked to %s: %s", vm->id, reboot ? "reboot" : "shut down", virGetLastErrorMessage());
}

void vm_ask_shutdown(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;
	bool reboot, force, paused;
	int64_t wait;

	{
		AUTO_LOCK(&vm->vms->lock);
		reboot = vm->shutdown_reboot;
		force = vm->force_at_end;
		wait = vm->shutdown_timeout_s * (int64_t)G_USEC_PER_SEC;
		vm->shutdown_asked = !reboot;
		paused = vm->status == VM_WIRE_PAUSED;
	}
	if (!paused)
		vm_set_status(vm, reboot ? VM_WIRE_REBOOT_IN_PROGRESS : VM_WIRE_POWERING_DOWN);
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->force_at_end = force;
		vm->status_until_usec = now_usec() + wait;
	}
	if (!vm_queue_on(vm, "guest", reboot ? "reboot" : "shut down", ask_guest, NULL, NULL, &error))
		log_warn("VM %s is not asked: %s", vm->id, error->message);
}

void vm_force_off(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;

	log_warn("VM %s did not shut down in time: power off", vm->id);
	if (!power_off(vm, 1, &error))
		log_error("VM %s: %s", vm->id, error->message);
}

static bool shut_down(struct agent *agent, const char *id, bool reboot, int delay_s, int timeout_s, bool force, GError **error)
{
	AUTO_VM vm = vms_find(agent->vms, id, error);

	if (!vm || !vm_check_running(vm, error))
		return false;
	{
		AUTO_LOCK(&agent->vms->lock);
		if (!vm->agent_connected && vm->info && !vm->info->acpi) {
			error_set(error, ERR_NON_RESPONSIVE_GUEST_AGENT, "VM %s has neither a guest agent nor ACPI", id);
			return false;
		}
		vm->shutdown_reboot = reboot;
		vm->force_at_end = force;
		vm->shutdown_timeout_s = timeout_s;
		vm->shutdown_at_usec = delay_s ? now_usec() + delay_s * (int64_t)G_USEC_PER_SEC : 0;
	}
	vms_wake(agent->vms);
	if (!delay_s)
		vm_ask_shutdown(vm, NULL);
	return true;
}

bool vm_shutdown_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_shutdown_params *p = params;

	return shut_down(agent, p->vm_id, p->reboot, p->delay, p->timeout, p->force && !p->reboot, error);
}

bool vm_reboot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_reboot_params *p = params;

	return shut_down(agent, p->vm_id, /* reboot= */ true, p->delay, REBOOT_WAIT_S, /* force= */ false, error);
}

bool vm_reset_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm ? vm_domain(vm, error) : NULL;

	if (!domain)
		return false;
	if (virDomainReset(domain, 0) < 0) {
		libvirt_error_set(error, ERR_RESET_FAILED, "VM %s", vm->id);
		return false;
	}
	return true;                    /* the rest comes with the reboot event */
}

/* ---- pause, cont ---- */

static void empty_list(GString *out)
{
	g_string_append(out, "{\"vmList\": {}}");
}

bool vm_pause_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm ? vm_domain(vm, error) : NULL;

	if (!domain || !vm_hook(vm, "before_vm_pause", NULL, NULL, /* may_fail= */ true, NULL, error))
		return false;
	if (virDomainSuspend(domain) < 0) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "pause VM %s", vm->id);
		return false;
	}
	vm_set_paused(vm, "NOERR");
	(void)vm_hook(vm, "after_vm_pause", NULL, NULL, /* may_fail= */ false, NULL, NULL);
	empty_list(ret_result);
	return true;
}

static bool is_paused(virDomainPtr domain)
{
	int state = 0;

	return virDomainGetState(domain, &state, NULL, 0) == 0 && state == VIR_DOMAIN_PAUSED;
}

bool vm_cont_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm ? vm_domain(vm, error) : NULL;

	if (!domain || !vm_hook(vm, "before_vm_cont", NULL, NULL, /* may_fail= */ true, NULL, error))
		return false;
	/* It may run already: that is what was wanted. */
	if (virDomainResume(domain) < 0 && is_paused(domain)) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "resume VM %s", vm->id);
		return false;
	}
	vm_set_running(vm);
	(void)vm_hook(vm, "after_vm_cont", NULL, NULL, /* may_fail= */ false, NULL, NULL);
	empty_list(ret_result);
	return true;
}
