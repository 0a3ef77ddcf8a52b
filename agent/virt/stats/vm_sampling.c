/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking libvirt for the numbers of all VMs: one list and one bulk call (virDomainListGetStats) a period, on any free worker.
 *
 * A QEMU that hangs holds up for ever the call that comes to it. NOWAIT does not help who comes first: it passes only over VMs that another
 * call is busy with. So when a bulk call has not returned after a third of the period, another is begun beside it, without the VMs
 * whose monitor has had a command for LATE_MS (virDomainGetControlInfo never waits for QEMU), as vdsm does when its bulk sampling hangs. It meets
 * one more such VM at worst. So n VMs that hang cost n calls that are out and n thirds of a period; all others' numbers are fresh
 * again then, and stay so. With SAMPLINGS_MAX out nothing more is asked: libvirtd has no more than 20 workers (its max_workers) for everybody. A VM
 * without news has monitorResponse -1 in the end (vm_stats.c).
 *
 * When no VM has become late, it is not a QEMU that hangs but libvirtd that is slow: then the call that is out is waited for.
 *
 * The list tells what runs, too. A VM of ours that is MISSED_MAX times not in it has ended and nobody told: its lane looks once more, after whatever is
 * being done to it, and takes it down. Once is not enough, because the news of its end, which says more, may be on its way.
 */
#define LOG_MODULE "stats"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/metrics.h"

#define SAMPLINGS_MAX 8
#define LATE_MS 1000
#define MISSED_MAX 2

struct task {
	struct vms *vms;
	unsigned number;
	bool careful, doubtful;         /* some call is out: leave late VMs out; the newest is: only if that is because of one that became late */
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
	return vm_is_running_status(vm->status) && vm->status != VM_WIRE_RESTORING && !vm->leaving && !vm->arriving && !vm->destroying;
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

static void free_domain(void *domain)
{
	if (domain)
		virDomainFree(domain);
}

/* Our domains that run and that may be asked; the array ends with NULL. NULL: nobody is to be asked now. */
static GPtrArray *listed(const struct task *task, virConnectPtr conn)
{
	struct vms *vms = task->vms;
	g_autoptr(GPtrArray) ours = g_ptr_array_new_with_free_func(free_domain);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	bool became_late = false;

	if (n < 0) {
		log_warn("no statistics this time: %s", virGetLastErrorMessage());
		return NULL;
	}
	for (int i = 0; i < n; i++) {
		char id[VIR_UUID_STRING_BUFLEN];
		AUTO_VM vm = NULL;
		bool late;

		if (virDomainGetUUIDString(domains[i], id) == 0) {
			g_hash_table_add(seen, g_strdup(id));
			vm = vms_lookup(vms, id);
		}
		late = vm && task->careful && is_late(domains[i]);
		if (late)
			became_late |= set_late(vm, true);
		if (vm && !late)
			g_ptr_array_add(ours, domains[i]);
		else
			virDomainFree(domains[i]);
	}
	free(domains);
	count_missing(vms, seen);
	if (!ours->len || (task->doubtful && !became_late))
		return NULL;
	g_ptr_array_add(ours, NULL);
	return g_steal_pointer(&ours);
}

static void ask(struct vms *vms, GPtrArray *domains)
{
	unsigned wanted = VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU |
			  VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK;
	virDomainStatsRecordPtr *records = NULL;
	int64_t begun = now_usec();
	int n = virDomainListGetStats((virDomainPtr *)domains->pdata, wanted, &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);

	if (n < 0)
		log_warn("no statistics this time: %s", virGetLastErrorMessage());
	for (int i = 0; i < n; i++) {
		char id[VIR_UUID_STRING_BUFLEN];
		AUTO_VM vm = NULL;

		if (virDomainGetUUIDString(records[i]->dom, id) == 0 && (vm = vms_lookup(vms, id)) && vm_stats_take(vm, records[i], begun))
			(void)set_late(vm, false);
	}
	if (records)
		virDomainStatsRecordListFree(records);
	metric_observe(metric_histogram("berth_agent_sample_seconds", NULL, "Time of the bulk statistics call"), now_usec() - begun);
}

static void sample(void *data)
{
	struct task *task = data;
	struct vms *vms = task->vms;
	g_autoptr(virConnect) conn = libvirt_connection_get(vms->connection, NULL);
	g_autoptr(GPtrArray) domains = conn ? listed(task, conn) : NULL;

	if (domains) {
		{
			AUTO_LOCK(&vms->lock);
			vms->sampling.asking = MAX(vms->sampling.asking, task->number);
		}
		ask(vms, domains);
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

		if ((!back && !hangs) || s->out >= SAMPLINGS_MAX || (s->begun && now - s->begun_usec < (back ? s->period_usec : s->period_usec / 3)))
			return;
		s->begun_usec = now;
		task = g_new(struct task, 1);
		*task = (struct task){ .vms = vms, .number = ++s->begun, .careful = s->out > 0, .doubtful = !back };
		if (++s->out == SAMPLINGS_MAX)
			log_warn("%u bulk calls to libvirt are out: no more statistics until one comes back", s->out);
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
