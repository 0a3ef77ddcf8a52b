/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_BENCH_MADE_UP_VMS_H
#define BERTH_TESTS_BENCH_MADE_UP_VMS_H
/*
 * VMs of an agent that are made up, with the counters a bulk call gives for two disks and two NICs, and a guest that told all it can; and what the
 * agent answers about them. For benches: what fails ends the program.
 */
#include "agent/agent.h"
#include "agent/hooks.h"
#include "agent/virt/stats/vm_sample.h"
#include "agent/virt/vm.h"
#include "tests/bench/channel-bench.h"

static struct vms vms;
static struct agent agent = { .vms = &vms };
static verb_handler handler, figures_handler;           /* Host.getAllVmStats, Host.getAllVmFigures */

static void sample(struct vm *vm, int64_t at_usec)
{
	static const char *const of_vm[] = { "cpu.time", "cpu.user", "cpu.system", "balloon.current", "balloon.available", "balloon.unused", "balloon.disk_caches",
					     "balloon.swap_in", "balloon.swap_out", "balloon.major_fault", "balloon.minor_fault", "balloon.rss", "vcpu.current" };
	static const char *const of_disk[] = { "rd.reqs", "rd.bytes", "rd.times", "wr.reqs", "wr.bytes", "wr.times", "fl.reqs", "fl.times", "physical" };
	static const char *const of_nic[] = { "rx.bytes", "tx.bytes", "rx.errs", "tx.errs", "rx.drop", "tx.drop" };
	virDomainStatsRecord record = { 0 };
	virTypedParameterPtr params = NULL;
	int n = 0, max = 0;
	char name[64];

	for (size_t i = 0; i < G_N_ELEMENTS(of_vm); i++)
		(void)virTypedParamsAddULLong(&params, &n, &max, of_vm[i], (unsigned long long)at_usec * 100 + i);
	for (int d = 0; d < 2; d++) {
		g_snprintf(name, sizeof(name), "block.%d.name", d);
		(void)virTypedParamsAddString(&params, &n, &max, name, d ? "vdb" : "vda");
		for (size_t i = 0; i < G_N_ELEMENTS(of_disk); i++) {
			g_snprintf(name, sizeof(name), "block.%d.%s", d, of_disk[i]);
			(void)virTypedParamsAddULLong(&params, &n, &max, name, (unsigned long long)at_usec * 10 + i);
		}
		g_snprintf(name, sizeof(name), "net.%d.name", d);
		(void)virTypedParamsAddString(&params, &n, &max, name, d ? "vnet1" : "vnet0");
		for (size_t i = 0; i < G_N_ELEMENTS(of_nic); i++) {
			g_snprintf(name, sizeof(name), "net.%d.%s", d, of_nic[i]);
			(void)virTypedParamsAddULLong(&params, &n, &max, name, (unsigned long long)at_usec * 10 + i);
		}
	}
	record.params = params;
	record.nparams = n;
	(void)vm_sample_told(vm, &record, /* everything= */ true, at_usec);
	virTypedParamsFree(params, n);
}

static void *file_system(const char *path)
{
	struct vm_guest_fs *fs = record_new(&vm_guest_fs_type);

	set_string(&fs->path, path);
	set_string(&fs->fs, "ext4");
	SET(fs, total, (int64_t)100 << 30);
	SET(fs, used, (int64_t)40 << 30);
	return fs;
}

static void *guest_nic(const char *name)
{
	struct vm_guest_nic *nic = record_new(&vm_guest_nic_type);

	set_string(&nic->name, name);
	set_string(&nic->hw, "52:54:00:00:00:05");
	nic->inet = strings_new();
	g_ptr_array_add(nic->inet, g_strdup("192.0.2.17"));
	return nic;
}

static void machine(unsigned number)
{
	static const char xml[] =
		"<domain type='kvm'><name>x</name><memory unit='MiB'>4096</memory><currentMemory unit='MiB'>4096</currentMemory><vcpu>4</vcpu>"
		"<features><acpi/></features><devices><memballoon model='virtio'/>"
		"<disk device='disk'><source file='/a'/><target dev='vda'/></disk><disk device='disk'><source file='/b'/><target dev='vdb'/></disk>"
		"<interface type='bridge'><mac address='52:54:00:00:00:05'/><target dev='vnet0'/><model type='virtio'/></interface>"
		"<interface type='bridge'><mac address='52:54:00:00:00:06'/><target dev='vnet1'/><model type='virtio'/></interface>"
		"<graphics type='vnc' port='5901' listen='192.0.2.1'/></devices></domain>";
	g_autofree char *id = g_strdup_printf("%08x-1111-4222-8333-%012x", number * 2654435761U, number);
	struct vm *vm = vm_new(&vms, id);
	struct guest_facts *guest = &vm->guest;

	vm->status = VM_WIRE_UP;
	vm->name = g_strdup_printf("machine-%u", number);
	vm->info = domain_info_read(xml, NULL, NULL);
	vm->start_time = 1700000000;
	guest->username = g_strdup("root");
	guest->ips = g_strdup("192.0.2.17 2001:db8::17");
	guest->fqdn = g_strdup_printf("machine-%u.example.com", number);
	guest->os = g_strdup("6.1.0-56-cloud-amd64");
	guest->kernel = g_strdup(guest->os);
	guest->agent_version = g_strdup("7.2.22");
	guest->cpu_count = 4;
	guest->os_info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "linux", "arch", "x86_64", "kernel", guest->os, "distribution",
				   "Debian GNU/Linux", "version", "12", "codename", "bookworm");
	guest->timezone = json_pack("{s:i, s:s}", "offset", 60, "zone", "CET");
	guest->filesystems = list_new();
	guest->nics = list_new();
	g_ptr_array_add(guest->filesystems, file_system("/"));
	g_ptr_array_add(guest->filesystems, file_system("/srv"));
	g_ptr_array_add(guest->nics, guest_nic("eth0"));
	g_ptr_array_add(guest->nics, guest_nic("eth1"));
	sample(vm, now_usec());
	g_hash_table_insert(vms.table, vm->id, vm);
}

static verb_handler handler_of(const char *name)
{
	for (size_t i = 0; i < n_vm_bindings; i++)
		if (!strcmp(vm_bindings[i].name, name))
			return vm_bindings[i].handler;
	return NULL;
}

static void sample_all(void)
{
	GHashTableIter iter;
	gpointer vm;

	g_hash_table_iter_init(&iter, vms.table);
	while (g_hash_table_iter_next(&iter, NULL, &vm))
		sample(vm, now_usec());
}

/* wanted: parameters of Host.getAllVmStats, or NULL */
static inline void all_stats(const json_t *wanted, GString *out)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	GError *error = NULL;
	struct all_vm_stats_params *params = wanted ? record_from_json(&all_vm_stats_params_type, wanted, &input, &error) : record_new(&all_vm_stats_params_type);

	check(params && handler(&agent, NULL, params, out, &error), error);
	record_input_clear(&input);
	record_unref(params);
}

/* The same of Host.getAllVmFigures. */
static inline void all_figures(bool facts, GString *out)
{
	struct vm_figures_params *params = record_new(&vm_figures_params_type);
	GError *error = NULL;

	SET(params, facts, facts);
	check(figures_handler(&agent, NULL, params, out, &error), error);
	record_unref(params);
}

static void vms_make_up(unsigned count)
{
	struct hooks_settings settings = { .directory = "/nonexistent", .limit_usec = G_USEC_PER_SEC };

	log_set_level(NULL, LOG_LEVEL_WARN);
	check(virInitialize() >= 0, NULL);
	handler = handler_of("Host.getAllVmStats");
	figures_handler = handler_of("Host.getAllVmFigures");
	vms.agent = &agent;
	vms.table = g_hash_table_new(g_str_hash, g_str_equal);
	pthread_mutex_init(&vms.lock, NULL);
	agent.hooks = hooks_new(&settings, NULL);
	for (unsigned i = 0; i < count; i++)
		machine(i);
}

#endif
