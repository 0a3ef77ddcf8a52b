/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of all VMs, once a period, on any free worker. They have two parts (vm_sample.h):
 *
 *   kernel's   processor and NICs: from the host's kernel (kernel_counters.c), of all VMs, whatever their QEMUs do
 *   monitor's  disks, balloon, the guest's memory: from one bulk call (virDomainListGetStats) for those VMs where it may have changed
 *   told       state, devices: by libvirt's events, not here
 *
 * The bulk call sends commands to the monitor of each QEMU for every group but STATE and INTERFACE: about 4 ms a VM of QEMU's, libvirtd's and our
 * time. What the monitor tells changes only when the guest runs or a device comes or goes. So a VM whose vCPUs have not run since it was asked
 * last (they are counted in ns; paused VMs are such), and whose XML is the same, is quiet: what it told is still so. It is asked every QUIET_USEC all the
 * same, which shows that it answers: without an answer for a minute monitorResponse is -1 (vm_stats.c). A VM that the kernel's counters do not know, or
 * with a NIC that they do not, is asked for everything, in a bulk call of its own kind.
 *
 * A QEMU that hangs holds up for ever the call that comes to it. NOWAIT does not help who comes first: it passes only over VMs that another
 * call is busy with. So:
 *
 *   - a QEMU that is stopped, or whose main thread is in the kernel and did not run since the last period, is not asked at all
 *   - when a bulk call has not returned after a third of the period, another is begun beside it, without the VMs whose monitor has had a command
 *     for LATE_MS (virDomainGetControlInfo never waits for QEMU), as vdsm does when its bulk sampling hangs. It meets one more such VM at
 *     worst. So n VMs that hang in user space cost n calls that are out and n thirds of a period; all others' numbers are fresh again then, and
 *     stay so
 *   - with SAMPLINGS_MAX out no monitor is asked any more, as libvirtd has no more than 20 workers (its max_workers) for everybody. The kernel's part
 *     and quiet VMs go on
 *
 * When no VM has become late, it is not a QEMU that hangs but libvirtd that is slow: then the call that is out is waited for.
 *
 * The list tells what runs, too. A VM of ours that is MISSED_MAX times not in it has ended and nobody told: its lane looks once more, after whatever is
 * being done to it, and takes it down. Once is not enough, because the news of its end, which says more, may be on its way.
 */
#define LOG_MODULE "stats"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include "agent/virt/stats/kernel_counters.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/metrics.h"

#define SAMPLINGS_MAX 12
#define LATE_MS 1000
#define MISSED_MAX 2

struct task {
	struct vms *vms;
	unsigned number;
	bool careful, doubtful;         /* some call is out: leave late VMs out; the newest is: only if that is because of one that became late */
	bool mute;                      /* too many are: ask no monitor */
	int64_t begun_usec;
};

/* A VM that runs. */
struct look {
	struct vm *vm;
	virDomainPtr domain;
	enum { ASK_NOTHING, ASK_MONITOR, ASK_EVERYTHING } ask;
};

/* ---- VMs that libvirt does not know ---- */

static void look_once_more(struct vm *vm, void *unused)
{
	g_autoptr(virConnect) conn = libvirt_connection_get(vm->vms->connection, NULL);
	g_autoptr(virDomain) domain = conn ? virDomainLookupByUUIDString(conn, vm->id) : NULL;

	if (domain ? virDomainIsActive(domain) == 0 : conn && libvirt_error_code() == VIR_ERR_NO_DOMAIN)
		vm_set_down(vm, 1, VM_EXIT_DOMAIN_MISSING, "Failed to find the libvirt domain");
}

/* Lock held. One that is being made, or that comes from elsewhere, need not have a domain yet. */
static bool must_be_there(const struct vm *vm)
{
	return vm_is_running_status(vm->status) && vm->status != VM_WIRE_RESTORING && !vm->saving && !vm->leaving && !vm->arriving && !vm->destroying;
}

static void count_missing(struct vms *vms, GHashTable *seen)
{
	GHashTableIter iter;
	gpointer value;

	AUTO_LOCK(&vms->lock);
	g_hash_table_iter_init(&iter, vms->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct vm *vm = value;

		vm->missed = must_be_there(vm) && !g_hash_table_contains(seen, vm->id) ? vm->missed + 1 : 0;
		if (vm->missed == MISSED_MAX) {
			vm->missed = 0;
			(void)vm_queue(vm, "look for a missing domain", look_once_more, NULL, NULL, NULL);
		}
	}
}

/* ---- VMs that do not answer ---- */

/* true: it was not so before */
static bool set_late(struct vm *vm, bool late)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->late == late)
		return false;
	vm->late = late;
	if (late)
		log_warn("VM %s (%s) does not answer its monitor", vm->id, vm->name ? vm->name : "");
	else
		log_info("VM %s (%s) answers its monitor again", vm->id, vm->name ? vm->name : "");
	return true;
}

static bool is_late(virDomainPtr domain)
{
	virDomainControlInfo info;

	return virDomainGetControlInfo(domain, &info, 0) == 0 &&
	       (info.state == VIR_DOMAIN_CONTROL_ERROR || (info.state == VIR_DOMAIN_CONTROL_OCCUPIED && info.stateTime >= LATE_MS));
}

/* ---- one sampling ---- */

static void look_clear(void *data)
{
	struct look *look = data;

	vm_unref(look->vm);
	virDomainFree(look->domain);
}

/* Our VMs that run. NULL: libvirt did not say. */
static GArray *looks_new(struct vms *vms, virConnectPtr conn)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	GArray *looks;

	if (n < 0) {
		log_warn("no statistics this time: %s", virGetLastErrorMessage());
		return NULL;
	}
	looks = g_array_new(FALSE, TRUE, sizeof(struct look));
	g_array_set_clear_func(looks, look_clear);
	for (int i = 0; i < n; i++) {
		struct look look = { .domain = domains[i], .ask = ASK_EVERYTHING };
		char id[VIR_UUID_STRING_BUFLEN];

		if (virDomainGetUUIDString(domains[i], id) == 0) {
			g_hash_table_add(seen, g_strdup(id));
			look.vm = vms_lookup(vms, id);
		}
		if (look.vm)
			g_array_append_val(looks, look);
		else
			virDomainFree(domains[i]);
	}
	free(domains);
	count_missing(vms, seen);
	return looks;
}

/* Lock held. false: one of its NICs is no tap. */
static bool read_nics(struct kernel_counters *counters, const struct domain_info *info, struct kernel_part *part)
{
	part->nics = g_new0(struct nic_sample, info->nics->len);
	for (guint i = 0; i < info->nics->len; i++) {
		const struct domain_nic *nic = info->nics->pdata[i];

		if (nic->target && !kernel_counters_tap(counters, nic->target, &part->nics[part->n_nics++]))
			return false;
	}
	return true;
}

/* Lock held. A process in this state answers nobody. */
static bool is_stopped(const struct vm *vm, const struct qemu_counters *qemu)
{
	return strchr("Tt", qemu->state) || (qemu->state == 'D' && qemu->main_ran && vm->sample && vm->sample->kernel.main_ran == qemu->main_ran);
}

static void look_at(struct kernel_counters *counters, struct look *look, int64_t now)
{
	struct vm *vm = look->vm;
	struct kernel_part part = { .at_usec = now, .has_cpu = true };
	struct qemu_counters qemu;
	bool known, stopped, quiet;

	if (!kernel_counters_qemu(counters, vm->id, &qemu))
		return;
	part.cpu_time = qemu.cpu_time;
	part.cpu_user = qemu.cpu_user;
	part.cpu_system = qemu.cpu_system;
	part.vcpus_ran = qemu.vcpus_ran;
	part.main_ran = qemu.main_ran;
	part.n_vcpus = qemu.n_vcpus;
	{
		AUTO_LOCK(&vm->vms->lock);
		stopped = is_stopped(vm, &qemu);
		known = vm->info && read_nics(counters, vm->info, &part);
		quiet = known && vm_sample_is_quiet(vm, &part);
	}
	look->ask = stopped || quiet ? ASK_NOTHING : known ? ASK_MONITOR : ASK_EVERYTHING;
	if (known)
		vm_sample_kernel(vm, &part);
	g_free(part.nics);
	if (stopped)
		(void)set_late(vm, true);
	else if (quiet)
		vm_sample_unchanged(vm, now);
}

static void look_at_all(struct vms *vms, GArray *looks, int64_t now)
{
	g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < looks->len; i++)
		g_hash_table_add(ids, g_array_index(looks, struct look, i).vm->id);
	kernel_counters_begin(vms->sampling.counters, ids);
	for (guint i = 0; i < looks->len; i++)
		look_at(vms->sampling.counters, &g_array_index(looks, struct look, i), now);
	kernel_counters_end(vms->sampling.counters);
}

/* Nobody whose monitor is known to hang is asked. false: nobody at all now. */
static bool choose(const struct task *task, GArray *looks)
{
	bool became_late = false;

	for (guint i = 0; task->careful && i < looks->len; i++) {
		struct look *look = &g_array_index(looks, struct look, i);

		if (look->ask != ASK_NOTHING && is_late(look->domain)) {
			became_late |= set_late(look->vm, true);
			look->ask = ASK_NOTHING;
		}
	}
	return !task->mute && (!task->doubtful || became_late);
}

static void take(struct vms *vms, virDomainStatsRecordPtr record, bool everything, int64_t begun)
{
	char id[VIR_UUID_STRING_BUFLEN];
	AUTO_VM vm = NULL;

	if (virDomainGetUUIDString(record->dom, id) == 0 && (vm = vms_lookup(vms, id)) && vm_sample_told(vm, record, everything, begun))
		(void)set_late(vm, false);
}

static void ask(const struct task *task, GArray *looks, int kind)
{
	unsigned wanted = VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK;
	g_autoptr(GPtrArray) domains = g_ptr_array_new();
	virDomainStatsRecordPtr *records = NULL;
	int64_t begun = now_usec();
	int n;

	if (kind == ASK_EVERYTHING)
		wanted |= VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_INTERFACE;
	for (guint i = 0; i < looks->len; i++)
		if ((int)g_array_index(looks, struct look, i).ask == kind)
			g_ptr_array_add(domains, g_array_index(looks, struct look, i).domain);
	if (!domains->len)
		return;
	g_ptr_array_add(domains, NULL);
	n = virDomainListGetStats((virDomainPtr *)domains->pdata, wanted, &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
	if (n < 0)
		log_warn("no statistics this time: %s", virGetLastErrorMessage());
	for (int i = 0; i < n; i++)
		take(task->vms, records[i], kind == ASK_EVERYTHING, task->begun_usec);
	if (records)
		virDomainStatsRecordListFree(records);
	metric_observe(metric_histogram("berth_agent_sample_seconds", NULL, "Time of the bulk statistics call"), now_usec() - begun);
}

static void sample(void *data)
{
	struct task *task = data;
	struct vms *vms = task->vms;
	g_autoptr(virConnect) conn = libvirt_connection_get(vms->connection, NULL);
	g_autoptr(GArray) looks = conn ? looks_new(vms, conn) : NULL;

	if (looks) {
		task->begun_usec = now_usec();
		look_at_all(vms, looks, task->begun_usec);
		if (choose(task, looks)) {
			{
				AUTO_LOCK(&vms->lock);
				vms->sampling.asking = MAX(vms->sampling.asking, task->number);
			}
			ask(task, looks, ASK_MONITOR);
			ask(task, looks, ASK_EVERYTHING);
		}
	}
	AUTO_LOCK(&vms->lock);
	vms->sampling.back = MAX(vms->sampling.back, task->number);
	vms->sampling.out--;
}

void vm_sampling_tick(struct vms *vms, int64_t now)
{
	struct sampling *s = &vms->sampling;
	struct task *task;
	struct lane_job job = { .name = "sample all VMs", .run = sample, .free_data = g_free };

	{
		AUTO_LOCK(&vms->lock);
		bool back = s->back == s->begun, hangs = !back && s->asking == s->begun;

		if ((!back && !hangs) || (s->begun && now - s->begun_usec < (back ? s->period_usec : s->period_usec / 3)))
			return;
		s->begun_usec = now;
		if (!s->counters)
			s->counters = kernel_counters_new();
		task = g_new(struct task, 1);
		*task = (struct task){ .vms = vms, .number = ++s->begun, .careful = s->out > 0, .doubtful = !back, .mute = s->out >= SAMPLINGS_MAX };
		if (++s->out == SAMPLINGS_MAX)
			log_warn("%u bulk calls to libvirt are out: no more statistics of disks and memory until one comes back", s->out);
	}
	job.data = task;
	/* Without a lane: it must not wait for the one that is stuck. */
	if (lane_submit(vms->agent->lanes, NULL, &job, NULL))
		return;
	AUTO_LOCK(&vms->lock);
	s->back = s->begun;
	s->out--;
	g_free(task);
}
