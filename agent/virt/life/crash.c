/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's kernel that crashes tells its panic device, QEMU stops the machine, libvirt does what on_crash says: destroy, restart, preserve. A dump is ours
 * (onCrash coredump-...; libvirt has preserve then), because libvirt's own has no bound: a job that, on the VM's lane,
 *
 *	dump    writes the guest's memory to state_dir/crash/<vm>.dump (one a VM, the newest; CRASH_KEPT in all), if it may be that long
 *	end     ends the VM or starts it anew
 *
 * and outlives the agent. A dump is written under another name first; one that is cut off by anything is written again.
 *
 * The report, VM.getCrashReport's answer, is a file beside the dump, <vm>.json, and outlives the VM: time, reason (what the kernel said on the serial
 * console, if that goes to a file), the console's last lines, action, and state: seen, dumping, dumped, failed. Each change of it is the event
 * |virt|VM_crash|<vm>.
 */
#define LOG_MODULE "virt"
#include "agent/virt/life/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/events.h"
#include "agent/jobs.h"
#include "common/lock.h"
#include "common/log.h"

#define CRASH_KEPT 16
#define CONSOLE_TAIL 4096               /* bytes */
#define MIB (INT64_C(1) << 20)

static char *file_of(const struct agent *agent, const char *vm_id, const char *suffix)
{
	return g_strdup_printf("%s/crash/%s%s", agent->state_dir, vm_id, suffix);
}

/* ---- the report ---- */

static json_t *report_read(const struct agent *agent, const char *vm_id)
{
	g_autofree char *path = file_of(agent, vm_id, ".json"), *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? json_parse(text, strlen(text), NULL) : NULL;
}

/* Takes the report over. */
static void report_keep(const struct agent *agent, const char *vm_id, json_t *report)
{
	g_autofree char *path = file_of(agent, vm_id, ".json"), *dir = g_path_get_dirname(path), *method = g_strconcat(EVENT_VM_CRASH, vm_id, NULL);
	char *text = json_dumps(report, JSON_INDENT(1));
	g_autoptr(GError) error = NULL;

	if (g_mkdir_with_parents(dir, 0700) < 0 ||
	    !g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &error))
		log_warn("VM %s: the report of its crash cannot be kept: %s", vm_id, error ? error->message : g_strerror(errno));
	free(text);
	events_publish(agent->events, method, json_pack("{s:o}", vm_id, report));
}

static int64_t age_of(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_mtime : 0;
}

/* Of the crashes of other VMs the newest stay. */
static void forget_old(const struct agent *agent)
{
	g_autofree char *dir = g_build_filename(agent->state_dir, "crash", NULL);

	for (;;) {
		g_autoptr(GDir) names = g_dir_open(dir, 0, NULL);
		g_autofree char *oldest = NULL, *report = NULL, *dump = NULL;
		const char *name;
		int n = 0;

		while (names && (name = g_dir_read_name(names))) {
			if (!g_str_has_suffix(name, ".json"))
				continue;
			n++;
			if (!oldest || age_of(dir, name) < age_of(dir, oldest)) {
				g_free(oldest);
				oldest = g_strndup(name, strlen(name) - strlen(".json"));
			}
		}
		if (n <= CRASH_KEPT)
			return;
		report = file_of(agent, oldest, ".json");
		dump = file_of(agent, oldest, ".dump");
		(void)unlink(dump);
		if (unlink(report) < 0)
			return;
	}
}

/* The end of the file that the serial console goes to; NULL: to none. */
static char *console_tail(const struct vm_params *params)
{
	int fd = params && params->console ? open(params->console, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	char text[CONSOLE_TAIL];
	ssize_t n = -1;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = pread(fd, text, sizeof(text), MAX(st.st_size - CONSOLE_TAIL, 0));
	if (fd >= 0)
		close(fd);
	return n > 0 ? g_utf8_make_valid(text, n) : NULL;
}

/* "Fatal exception" of "Kernel panic - not syncing: Fatal exception" */
static char *reason_of(const char *console)
{
	static const char mark[] = "Kernel panic - not syncing: ";
	const char *at = console ? g_strrstr(console, mark) : NULL;

	return at ? g_strndup(at + strlen(mark), strcspn(at + strlen(mark), "\r\n")) : g_strdup("the guest's kernel crashed");
}

static struct vm_params *params_of(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->params ? record_ref(vm->params) : NULL;
}

/* ---- the dump and what follows ---- */

static enum job_run run(struct job *job, json_t *state, void *context, GError **error);
static const struct job_kind kind = { .name = "crash", .type = "virt", .run = run };

void crash_register(struct vms *vms)
{
	jobs_register(vms->agent->jobs, &kind, vms);
}

static bool has_crashed(virDomainPtr domain)
{
	int state = 0, reason = 0;

	return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_CRASHED && virDomainIsActive(domain) == 1;
}

static bool write_dump(struct vm *vm, virDomainPtr domain, int64_t *ret_size, GError **error)
{
	const struct agent *agent = vm->vms->agent;
	g_autofree char *path = file_of(agent, vm->id, ".dump"), *fresh = file_of(agent, vm->id, ".dump.new");
	int64_t most = config_int(agent->config, "vm", "crash_dump_max") * MIB;
	struct stat st;

	if (virDomainCoreDumpWithFormat(domain, fresh, VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_ZLIB, VIR_DUMP_MEMORY_ONLY) < 0) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "dump VM %s", vm->id);
	} else if (stat(fresh, &st) < 0 || st.st_size > most) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "the dump of VM %s has %" G_GINT64_FORMAT " bytes, [vm] crash_dump_max allows %" G_GINT64_FORMAT, vm->id,
			  (int64_t)st.st_size, most);
	} else if (rename(fresh, path) == 0) {
		*ret_size = st.st_size;
		return true;
	} else {
		error_set_errno(error, ERR_IO_FAILED, errno, "%s", path);
	}
	(void)unlink(fresh);
	return false;
}

static void dump(struct vm *vm, virDomainPtr domain)
{
	json_t *report = report_read(vm->vms->agent, vm->id);
	g_autofree char *path = file_of(vm->vms->agent, vm->id, ".dump");
	g_autoptr(GError) error = NULL;
	int64_t size = 0;

	if (!report)
		report = json_object();
	if (write_dump(vm, domain, &size, &error)) {
		json_object_set_new(report, "dump", json_string(path));
		json_object_set_new(report, "size", json_integer(size));
		json_object_set_new(report, "format", json_string("kdump-zlib"));
	} else {
		log_error("VM %s crashed, and: %s", vm->id, error->message);
		json_object_set_new(report, "error", json_string(error->message));
	}
	json_object_set_new(report, "state", json_string(error ? "failed" : "dumped"));
	report_keep(vm->vms->agent, vm->id, report);
	forget_old(vm->vms->agent);
}

static bool end_or_restart(struct vm *vm, virDomainPtr domain, bool restart, GError **error)
{
	bool good;

	if (restart && virDomainReset(domain, 0) == 0 && virDomainResume(domain) == 0)
		return true;
	if (restart)
		log_error("VM %s cannot be started again after its crash: %s", vm->id, virGetLastErrorMessage());
	if (!vm_claim_end(vm))
		return true;                                    /* VM.destroy does */
	good = vm_power_off(vm, 1, error);
	if (good) {
		vm_set_down(vm, 1, VM_EXIT_GENERIC, "The guest's kernel crashed");
		vm_tell_end(vm, NULL);
	}
	AUTO_LOCK(&vm->vms->lock);
	vm->destroying = false;
	return good;
}

static enum job_run run(struct job *job, json_t *state, void *context, GError **error)
{
	const json_t *request = json_object_get(state, "request");
	struct vms *vms = context;
	AUTO_VM vm = vms_lookup(vms, json_string_value(json_object_get(request, "vmID")));
	g_autoptr(virDomain) domain = vm ? vm_domain(vm, error) : NULL;

	if (vm && !domain && !error_is(*error, ERR_VM_IS_DOWN)) {
		g_clear_error(error);
		return JOB_WAITS;                               /* libvirt is away */
	}
	g_clear_error(error);
	if (!domain || !has_crashed(domain))
		return JOB_DONE;                                /* it was ended or started again by somebody */
	if (g_strcmp0(json_string_value(json_object_get(state, "step")), "end")) {
		if (!job_step(job, state, "dump", error))
			return JOB_FAILED;
		dump(vm, domain);
		if (!job_step(job, state, "end", error))
			return JOB_FAILED;
	}
	return end_or_restart(vm, domain, json_is_true(json_object_get(request, "restart")), error) ? JOB_DONE : JOB_FAILED;
}

/* ---- seen ---- */

static void begin(struct vm *vm, bool restart)
{
	g_autofree char *lane = g_strconcat("vm/", vm->id, NULL);
	json_t *request = json_pack("{s:s, s:b}", "vmID", vm->id, "restart", restart);
	struct job_order order = { .kind = &kind, .description = "dump of a crashed guest", .lane = lane, .request = request };
	g_autoptr(GError) error = NULL;

	if (!jobs_begin(vm->vms->agent->jobs, &order, NULL, &error))
		log_error("VM %s crashed and is not dumped: %s", vm->id, error->message);
	json_decref(request);
}

static void make_report(struct vm *vm, const struct vm_params *params, int action, bool dumps)
{
	g_autofree char *console = console_tail(params), *reason = reason_of(console);
	json_t *report;

	log_error("VM %s crashed: %s", vm->id, reason);
	report = json_pack("{s:f, s:s, s:s, s:s}", "time", (double)wall_msec() / 1e3, "reason", reason, "action", vm_on_crash_names[action], "state",
			   dumps ? "dumping" : "seen");
	if (console)
		json_object_set_new(report, "console", json_string(console));
	report_keep(vm->vms->agent, vm->id, report);
}

/* now: libvirt told of it; else it may have been dealt with already. */
static void deal_with(struct vm *vm, bool now)
{
	struct vm_params *params = params_of(vm);
	int action = params && HAS(params, on_crash) ? params->on_crash : VM_CRASH_DESTROY;
	bool dumps = action == VM_CRASH_DUMP_DESTROY || action == VM_CRASH_DUMP_RESTART;
	g_autoptr(GPtrArray) running = jobs_active(vm->vms->agent->jobs, &kind, "vmID", vm->id);
	json_t *report = now || dumps ? NULL : report_read(vm->vms->agent, vm->id);
	bool known = report && json_number_value(json_object_get(report, "time")) >= vm->start_time;

	json_decref(report);
	if (!running->len && !known)
		make_report(vm, params, action, dumps);
	record_unref(params);
	if (dumps || action == VM_CRASH_PRESERVE)
		vm_set_paused(vm, "NOERR");           /* of an error of a disk it would be helped to go on */
	if (dumps && !running->len)
		begin(vm, action == VM_CRASH_DUMP_RESTART);
}

void crash_seen(struct vm *vm)
{
	deal_with(vm, /* now= */ true);
}

void crash_look(struct vm *vm, void *unused)
{
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);

	if (domain && has_crashed(domain))
		deal_with(vm, /* now= */ false);
}

bool crash_report_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	json_t *report = report_read(agent, p->vm_id);
	AUTO_VM vm = report ? NULL : vms_find(agent->vms, p->vm_id, error);

	if (!report && !vm)
		return false;
	result_json(ret_result, report ? report : json_object());
	return true;
}
