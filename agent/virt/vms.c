/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machines of this host.
 *
 * Nothing of this is on disk: libvirt's domains, with what is kept in their metadata, are the table's truth. vms_start() connects to libvirt
 * (libvirt_connection.c), recovery.c reads what runs, and only then verbs are answered; when libvirt goes away the table stays, and is
 * compared with what runs when it is back.
 *
 * The clock ticks once a second while any VM runs, and not at all otherwise: it starts bulk samples (vm_sampling.c), asks guests that are due
 * (guest_agent.c), ends waits (Powering up, Powering down) and VMs paused for too long. It only queues; the work is done on lanes.
 */
#define LOG_MODULE "virt"
#include "agent/virt/vms.h"

#include <stdlib.h>
#include <string.h>
#include "agent/host/host.h"
#include "agent/jobs.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/domain/vm_files.h"
#include "agent/virt/life/crash.h"
#include "agent/virt/life/end_scripts.h"
#include "agent/virt/migration/migration.h"
#include "agent/virt/stats/kernel_counters.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define TICK_USEC (1 * G_USEC_PER_SEC)

/* ---- the table ---- */

struct vm *vms_lookup(struct vms *vms, const char *id)
{
	struct vm *vm;

	AUTO_LOCK(&vms->lock);
	vm = g_hash_table_lookup(vms->table, id);
	return vm ? vm_ref(vm) : NULL;
}

struct vm *vms_find(struct vms *vms, const char *id, GError **error)
{
	struct vm *vm = vms_lookup(vms, id);

	if (!vm)
		error_set(error, ERR_NO_SUCH_VM, "{'vmId': '%s'}", id);
	return vm;
}

static int by_id(const void *a, const void *b)
{
	return strcmp((*(const struct vm *const *)a)->id, (*(const struct vm *const *)b)->id);
}

GPtrArray *vms_all(struct vms *vms)
{
	GPtrArray *all = g_ptr_array_new_with_free_func(vm_unref);
	GHashTableIter iter;
	gpointer vm;

	{
		AUTO_LOCK(&vms->lock);
		g_hash_table_iter_init(&iter, vms->table);
		while (g_hash_table_iter_next(&iter, NULL, &vm))
			g_ptr_array_add(all, vm_ref(vm));
	}
	g_ptr_array_sort(all, by_id);
	return all;
}

bool vms_add(struct vms *vms, struct vm *vm, GError **error)
{
	AUTO_LOCK(&vms->lock);
	if (g_hash_table_contains(vms->table, vm->id)) {
		error_set(error, ERR_VM_EXISTS, "{'vmId': '%s'}", vm->id);
		return false;
	}
	g_hash_table_insert(vms->table, vm->id, vm_ref(vm));
	return true;
}

void vms_remove(struct vms *vms, struct vm *vm)
{
	AUTO_LOCK(&vms->lock);
	if (g_hash_table_lookup(vms->table, vm->id) == vm)
		g_hash_table_remove(vms->table, vm->id);
}

/* ---- the clock ---- */

static void wait_is_over(struct vm *vm, void *unused)
{
	vm_set_up(vm);
}

/* Lock held. true: this VM needs the clock. */
static bool tick_vm(struct vm *vm, int64_t now)
{
	if (!vm_is_running_status(vm->status))
		return vm->status == VM_WIRE_WAIT_FOR_LAUNCH;
	if (vm->launch == LAUNCH_SEEN) {
		recovery_tick(vm);
		return true;
	}
	if (vm->status_until_usec && now >= vm->status_until_usec) {
		vm->status_until_usec = 0;
		(void)vm_queue(vm, "end of a wait", wait_is_over, NULL, NULL, NULL);
	}
	if (vm->paused_by_error_usec && vm->info && vm->info->kill_paused && now - vm->paused_by_error_usec > vm->vms->kill_paused_usec &&
	    vm_queue_on(vm, "end", "end of a VM paused by an I/O error", vm_kill_paused, NULL, NULL, NULL))
		vm->paused_by_error_usec = now;         /* if it fails: again after the same time */
	guest_agent_tick(vm, now);
	external_tick(vm, now);
	disk_size_tick(vm, now);
	resume_tick(vm, now);
	return true;
}

static void tick(void *data)
{
	struct vms *vms = data;
	int64_t now = now_usec();
	bool any = false;
	GHashTableIter iter;
	gpointer vm;

	{
		AUTO_LOCK(&vms->lock);
		g_hash_table_iter_init(&iter, vms->table);
		while (g_hash_table_iter_next(&iter, NULL, &vm))
			any |= tick_vm(vm, now);
		vms->clock_runs = any;
	}
	if (!any)
		return;
	vm_sampling_tick(vms, now);
	timer_set(vms->clock, TICK_USEC);
}

static void start_clock(void *data)
{
	struct vms *vms = data;

	{
		AUTO_LOCK(&vms->lock);
		if (vms->clock_runs)
			return;
		vms->clock_runs = true;
	}
	timer_set(vms->clock, TICK_USEC / 4);
}

void vms_wake(struct vms *vms)
{
	{
		AUTO_LOCK(&vms->lock);
		if (vms->clock_runs)
			return;
	}
	loop_post(vms->agent->loop, start_clock, vms, NULL);
}

/* ---- life ---- */

static bool on_opened(virConnectPtr conn, void *data)
{
	struct vms *vms = data;
	g_autoptr(GError) error = NULL;

	if (vm_events_register(vms, conn, &error) && recovery_run(vms, conn, &error))
		return true;
	log_error("libvirt answers, but: %s", error->message);
	return false;
}

static bool is_there(void *data, const char *id)
{
	AUTO_VM vm = vms_lookup(data, id);

	return vm != NULL;
}

static void on_up(void *data)
{
	struct vms *vms = data;
	g_autoptr(GPtrArray) all = vms_all(vms);
	bool first = vms_recovering(vms);

	for (guint i = 0; i < all->len && first; i++)
		block_jobs_unknown(all->pdata[i]);
	{
		AUTO_LOCK(&vms->lock);
		vms->recovering = false;
	}
	if (first)
		vm_files_sweep(vms->files_dir, is_there, vms);
	if (first) {            /* before their jobs run: a job that is over at once must not leave its mark */
		hibernate_resumed(vms);
		migrations_resumed(vms);
		end_scripts_resumed(vms);
	}
	if (first && vms->recovered)
		vms->recovered(vms->recovered_data);
	for (guint i = 0; i < all->len; i++) {
		/* Who subscribed before a connection was lost hears at once how everything is now. */
		if (!first)
			vm_publish(all->pdata[i]);
		vm_adopted(all->pdata[i]);
	}
	if (!first)
		jobs_wake_type(vms->agent->jobs, "virt");
	vms_wake(vms);
}

static void on_down(void *data)
{
}

struct vms *vms_new(struct agent *agent, const char *uri, GError **error)
{
	static const struct libvirt_connection_events events = { .opened = on_opened, .up = on_up, .down = on_down };
	struct vms *vms;

	if (!uri) {
		error_set(error, ERR_INVALID_CONFIGURATION, "[libvirt] uri must not be empty");
		return NULL;
	}
	vms = g_new0(struct vms, 1);
	vms->agent = agent;
	vms->tpm_dir = config_string(agent->config, "libvirt", "swtpm_dir");
	if (!(vms->files_dir = vm_files_dir(agent->run_dir, error)) || !(vms->nvram_dir = external_dir(agent->state_dir, error)) ||
	    !(vms->ends_dir = end_scripts_dir(agent->run_dir, error)) || !backup_make_dirs(agent, error)) {
		g_free(vms->files_dir);
		g_free(vms->nvram_dir);
		g_free(vms->ends_dir);
		g_free(vms);
		return NULL;
	}
	pthread_mutex_init(&vms->lock, NULL);
	vms->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vm_unref);
	vms->recovering = true;
	vms->sampling.period_usec = config_int(agent->config, "vm", "stats_period") * G_USEC_PER_SEC;
	vms->guest_wait_usec = config_int(agent->config, "vm", "guest_wait") * G_USEC_PER_SEC;
	vms->kill_paused_usec = config_int(agent->config, "vm", "kill_paused_time") * G_USEC_PER_SEC;
	vms->sync_time = config_bool(agent->config, "vm", "sync_time");
	vms->guest_poll = config_bool(agent->config, "vm", "guest_poll");
	vms->clock = timer_new(agent->loop, tick, vms);
	shutdown_register(vms);
	hibernate_register(vms);
	crash_register(vms);
	block_jobs_register(vms);
	storage_moments(agent->storage, backup_moment);
	if (!(vms->migrations = migrations_new(vms, error)))
		return vms_free(vms);
	vms->connection = libvirt_connection_new(agent->loop, agent->lanes, uri, &events, vms);
	return vms;
}

struct vms *vms_free(struct vms *vms)
{
	if (!vms)
		return NULL;
	timer_free(vms->clock);
	libvirt_connection_free(vms->connection);
	g_hash_table_destroy(vms->table);
	migrations_free(vms->migrations);
	kernel_counters_free(vms->sampling.counters);
	pthread_mutex_destroy(&vms->lock);
	g_free(vms->files_dir);
	g_free(vms->nvram_dir);
	g_free(vms->ends_dir);
	g_free(vms);
	return NULL;
}

void vms_start(struct vms *vms, void (*recovered)(void *data), void *data)
{
	vms->recovered = recovered;
	vms->recovered_data = data;
	libvirt_connection_start(vms->connection);
}

bool vms_recovering(struct vms *vms)
{
	AUTO_LOCK(&vms->lock);
	return vms->recovering;
}

struct vms_counts vms_count(struct vms *vms)
{
	struct vms_counts counts = { 0 };
	GHashTableIter iter;
	gpointer value;

	AUTO_LOCK(&vms->lock);
	g_hash_table_iter_init(&iter, vms->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct vm *vm = value;

		counts.all++;
		counts.up += vm->status == VM_WIRE_UP;
		counts.outgoing += vm->leaving;
		counts.incoming += vm->arriving;
		if (vm->status != VM_WIRE_DOWN && vm->info)
			counts.committed_mib += vm->info->memory_kib / 1024;
	}
	counts.migrating = counts.incoming + counts.outgoing;
	return counts;
}

bool vms_libvirt(struct vms *vms, struct vms_libvirt *ret_libvirt, GError **error)
{
	g_autoptr(virConnect) conn = libvirt_connection_get(vms->connection, error);
	struct vms_libvirt libvirt = { 0 };

	if (!conn)
		return false;
	libvirt.capabilities = virConnectGetCapabilities(conn);
	libvirt.domain_capabilities = virConnectGetDomainCapabilities(conn, NULL, NULL, NULL, host_has_kvm(vms->agent->host) ? "kvm" : "qemu", 0);
	(void)virConnectGetLibVersion(conn, &libvirt.libvirt_version);
	(void)virConnectGetVersion(conn, &libvirt.qemu_version);
	*ret_libvirt = libvirt;
	return true;
}

bool vms_has_emulator(struct vms *vms, GError **error)
{
	g_autoptr(virConnect) conn = libvirt_connection_get(vms->connection, error);
	char *text = conn ? virConnectGetDomainCapabilities(conn, NULL, NULL, NULL, "qemu", 0) : NULL;

	if (conn && !text)
		libvirt_error_set(error, ERR_RESOURCE_UNAVAILABLE, "QEMU without KVM");
	free(text);
	return text != NULL;
}

void vms_libvirt_clear(struct vms_libvirt *libvirt)
{
	free(libvirt->capabilities);
	free(libvirt->domain_capabilities);
	*libvirt = (struct vms_libvirt){ 0 };
}
