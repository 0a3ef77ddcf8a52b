/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of VMs: parts that are kept and what they make together, when a monitor need not be asked, and what the kernel knows of a QEMU. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/virt/stats/balloons.h"
#include "agent/virt/stats/kernel_counters.h"
#include "agent/virt/stats/vm_sample.h"
#include "agent/virt/vm.h"
#include "cmocka-all.h"

#define ID "11111111-2222-4333-8444-555555555555"
#define XML(disk, limit) \
	"<domain type='kvm'><name>web</name><memory unit='MiB'>4096</memory><currentMemory unit='MiB'>4096</currentMemory><vcpu>4</vcpu>" \
	"<cputune>" limit "</cputune><devices><memballoon model='virtio'/><disk device='disk'><source file='/a'/><target dev='" disk "'/></disk>" \
	"<interface type='bridge'><mac address='52:54:00:00:00:05'/><target dev='vnet0'/><model type='virtio'/></interface></devices></domain>"

static struct vms vms;

static struct vm *machine(void)
{
	struct vm *vm = vm_new(&vms, ID);

	vm->status = VM_WIRE_UP;
	vm->running_since_usec = now_usec();
	vm_take_xml(vm, XML("vda", ""));
	return vm;
}

static json_t *stats(struct vm *vm, const GPtrArray *fields)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	json_t *json;

	pthread_mutex_lock(&vms.lock);
	vm_locked_write_stats(vm, fields, out);
	pthread_mutex_unlock(&vms.lock);
	json = json_parse(out->str, out->len, &error);
	if (!json)
		fail_msg("%s: %s", error->message, out->str);
	return json;
}

/* A member's text, or that of a member of a member's member: "disks/vda/readOps". Until the next call. */
static const char *member(struct vm *vm, const char *path)
{
	static char text[64];
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	json_t *all = stats(vm, NULL);
	const json_t *at = all;

	for (char **part = parts; *part; part++)
		at = json_object_get(at, *part);
	g_strlcpy(text, json_is_string(at) ? json_string_value(at) : "absent", sizeof(text));
	json_decref(all);
	return text;
}

/* Answers of a monitor about one disk that was read from n times. */
static void tell(struct vm *vm, unsigned long long n, bool memory, int64_t at_usec)
{
	virTypedParameterPtr params = NULL;
	virDomainStatsRecord record = { 0 };
	int count = 0, max = 0;

	(void)virTypedParamsAddULLong(&params, &count, &max, "balloon.rss", 1);
	(void)virTypedParamsAddULLong(&params, &count, &max, "balloon.current", 2097152);
	if (memory) {
		(void)virTypedParamsAddULLong(&params, &count, &max, "balloon.available", 4000000);
		(void)virTypedParamsAddULLong(&params, &count, &max, "balloon.unused", 3000000);
	}
	(void)virTypedParamsAddString(&params, &count, &max, "block.0.name", "vda");
	(void)virTypedParamsAddULLong(&params, &count, &max, "block.0.rd.reqs", n);
	(void)virTypedParamsAddULLong(&params, &count, &max, "block.0.rd.bytes", n * 4096);
	(void)virTypedParamsAddULLong(&params, &count, &max, "block.0.rd.times", n * 500);
	record.params = params;
	record.nparams = count;
	assert_true(vm_sample_told(vm, &record, /* everything= */ false, at_usec));
	record.nparams = 0;
	assert_false(vm_sample_told(vm, &record, false, at_usec));
	virTypedParamsFree(params, count);
}

static void kernel_tells(struct vm *vm, uint64_t ran, int64_t at_usec)
{
	struct kernel_part part = { .at_usec = at_usec, .has_cpu = true, .cpu_time = ran, .vcpus_ran = ran, .n_nics = 1 };

	part.nics = g_new0(struct nic_sample, 1);
	g_strlcpy(part.nics->name, "vnet0", sizeof(part.nics->name));
	part.nics->rx_bytes = ran;
	vm_sample_kernel(vm, &part);
	assert_null(part.nics);
}

/* All members by name is another way to the same text. */
static void assert_whole(struct vm *vm)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	json_t *parts, *whole;

	for (size_t i = 0; i < vm_stats_type.n_fields; i++)
		g_ptr_array_add(all, (gpointer)vm_stats_type.fields[i].path);
	parts = stats(vm, NULL);
	whole = stats(vm, all);
	json_object_del(parts, "statusTime");
	json_object_del(whole, "statusTime");
	if (!json_equal(parts, whole))
		fail_msg("%s\nis not\n%s", json_dumps(parts, JSON_SORT_KEYS), json_dumps(whole, JSON_SORT_KEYS));
	json_decref(parts);
	json_decref(whole);
}

static void parts_are_true(void **state)
{
	struct vm *vm = machine();
	int64_t now = now_usec();

	assert_whole(vm);
	assert_string_equal(member(vm, "cpuUser"), "0.00");
	assert_string_equal(member(vm, "disks/vda/readOps"), "absent");
	kernel_tells(vm, 1000000000, now - 20 * G_USEC_PER_SEC);
	tell(vm, 100, true, now - 20 * G_USEC_PER_SEC);
	assert_string_equal(member(vm, "disks/vda/readOps"), "100");
	assert_string_equal(member(vm, "network/vnet0/rx"), "1000000000");
	assert_string_equal(member(vm, "memoryStats/mem_unused"), "3000000");
	assert_string_equal(member(vm, "balloonInfo/balloon_cur"), "2097152");
	assert_whole(vm);
	kernel_tells(vm, 6000000000, now - 10 * G_USEC_PER_SEC);
	tell(vm, 200, true, now - 10 * G_USEC_PER_SEC);
	assert_string_equal(member(vm, "disks/vda/readRate"), "40960");
	assert_string_equal(member(vm, "disks/vda/readLatency"), "500");
	assert_string_equal(member(vm, "cpuUser"), "50.00");
	assert_string_equal(member(vm, "network/vnet0/rx"), "6000000000");
	tell(vm, 150, true, now - 15 * G_USEC_PER_SEC);                     /* a call that was stuck */
	assert_string_equal(member(vm, "disks/vda/readOps"), "200");
	kernel_tells(vm, 6000000000, now);
	vm_sample_unchanged(vm, now);
	assert_string_equal(member(vm, "disks/vda/readOps"), "200");
	assert_string_equal(member(vm, "disks/vda/readRate"), "0");
	assert_string_equal(member(vm, "cpuUser"), "0.00");
	assert_whole(vm);

	assert_string_equal(member(vm, "vcpuQuota"), "absent");
	vm_take_xml(vm, XML("vda", "<period>100000</period><quota>50000</quota>"));
	assert_string_equal(member(vm, "vcpuQuota"), "50000");
	assert_string_equal(member(vm, "guestFQDN"), "");
	pthread_mutex_lock(&vms.lock);
	guest_facts_clear(&vm->guest);
	vm->guest.fqdn = g_strdup("web.example.com");
	pthread_mutex_unlock(&vms.lock);
	assert_string_equal(member(vm, "guestFQDN"), "web.example.com");
	assert_whole(vm);
	vm->status = VM_WIRE_DOWN;
	assert_string_equal(member(vm, "exitMessage"), "");
	assert_string_equal(member(vm, "cpuUser"), "absent");
	assert_whole(vm);
	vm_unref(vm);
}

static void members_are_chosen(void **state)
{
	struct vm *vm = machine();
	g_autoptr(GPtrArray) fields = g_ptr_array_new();
	json_t *json;

	kernel_tells(vm, 1000, now_usec());
	tell(vm, 1, false, now_usec());
	g_ptr_array_add(fields, (gpointer) "disks");
	json = stats(vm, fields);
	assert_int_equal(json_object_size(json), 2);
	assert_string_equal(json_string_value(json_object_get(json, "vmId")), ID);
	assert_int_equal(json_object_size(json_object_get(json, "disks")), 1);
	json_decref(json);
	vm_unref(vm);
}

static void silence(void **state)
{
	struct vm *vm = machine();
	int64_t now = now_usec();

	assert_string_equal(member(vm, "monitorResponse"), "0");
	vm->running_since_usec = now - 61 * G_USEC_PER_SEC;
	assert_string_equal(member(vm, "monitorResponse"), "-1");
	kernel_tells(vm, 1000, now);                                         /* QEMU said nothing by that */
	assert_string_equal(member(vm, "monitorResponse"), "-1");
	tell(vm, 1, false, now - 59 * G_USEC_PER_SEC);
	assert_string_equal(member(vm, "monitorResponse"), "0");
	vm->sample->answered_usec = now - 61 * G_USEC_PER_SEC;
	vm_sample_unchanged(vm, now);                                        /* nor by that */
	assert_string_equal(member(vm, "monitorResponse"), "-1");
	vm_unref(vm);
}

static bool is_quiet(struct vm *vm, uint64_t ran, int64_t at_usec)
{
	struct kernel_part part = { .at_usec = at_usec, .vcpus_ran = ran };

	return vm_sample_is_quiet(vm, &part);
}

static void who_is_asked(void **state)
{
	struct vm *vm = machine();
	int64_t now = now_usec();

	assert_false(is_quiet(vm, 1000, now));
	kernel_tells(vm, 1000, now);
	assert_false(is_quiet(vm, 1000, now));
	tell(vm, 1, false, now);
	assert_true(is_quiet(vm, 1000, now + 1));
	assert_false(is_quiet(vm, 1001, now + 1));                           /* it ran */
	assert_false(is_quiet(vm, 1000, now + 26 * G_USEC_PER_SEC));         /* does it answer? */
	assert_false(is_quiet(vm, 0, now + 1));                              /* not known */
	vm->late = true;
	assert_false(is_quiet(vm, 1000, now + 1));
	vm->late = false;
	assert_true(is_quiet(vm, 1000, now + 1));
	vm_take_xml(vm, XML("vdb", ""));                                     /* a disk came, another went */
	assert_false(is_quiet(vm, 1000, now + 1));
	kernel_tells(vm, 1000, now + 1);
	assert_false(is_quiet(vm, 1000, now + 2));
	tell(vm, 2, false, now + 1);
	assert_true(is_quiet(vm, 1000, now + 2));
	vm_take_xml(vm, XML("vda", ""));                                     /* while the monitor was asked */
	tell(vm, 3, false, now + 2);
	assert_false(is_quiet(vm, 1000, now + 3));
	kernel_tells(vm, 1000, now + 4);
	kernel_tells(vm, 1000, now + 6);                                     /* what was asked before that look may not be of that look */
	tell(vm, 3, false, now + 5);
	assert_false(is_quiet(vm, 1000, now + 7));
	vm_unref(vm);
}

static void balloon(void **state)
{
	struct vm *vm = machine();
	struct balloon b;

	assert_true(vm_locked_balloon(vm, &b));
	assert_int_equal(b.max_kib, 4 << 20);
	assert_int_equal(b.current_kib, 4 << 20);
	assert_int_equal(b.used_kib, -1);
	tell(vm, 1, true, now_usec());
	assert_true(vm_locked_balloon(vm, &b));
	assert_int_equal(b.current_kib, 2 << 20);
	assert_int_equal(b.used_kib, 1000000);
	vm_unref(vm);
}

/* ---- the kernel's ---- */

/* A process that looks like a QEMU, until *ret_fd is closed. */
static pid_t start_qemu(const char *dir, int *ret_fd)
{
	g_autofree char *program = g_build_filename(dir, "qemu-like", NULL);
	int ends[2], begun[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pipe(begun), 0);
	if (access(program, F_OK) < 0)
		assert_int_equal(symlink("/bin/sh", program), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		dup2(begun[1], STDOUT_FILENO);
		close(ends[1]);
		execl(program, "qemu-like", "-c", "echo; read x", "-uuid", ID, "-more", (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	close(ends[0]);
	close(begun[1]);
	assert_int_equal(read(begun[0], &byte, 1), 1);
	close(begun[0]);
	*ret_fd = ends[1];
	return pid;
}

static bool look(struct kernel_counters *counters, struct qemu_counters *ret)
{
	g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
	struct nic_sample nic;
	bool known;

	g_hash_table_add(ids, (gpointer)ID);
	kernel_counters_begin(counters, ids);
	known = kernel_counters_qemu(counters, ID, ret);
	assert_false(kernel_counters_qemu(counters, "22222222-2222-4333-8444-555555555555", ret));
	assert_false(kernel_counters_tap(counters, "lo", &nic));             /* which is no tap */
	assert_false(kernel_counters_tap(counters, "none", &nic));
	kernel_counters_end(counters);
	return known;
}

static void finding_a_qemu(void **state)
{
	struct kernel_counters *counters = kernel_counters_new();
	g_autofree char *dir = g_dir_make_tmp("qemu-XXXXXX", NULL), *program = g_build_filename(dir, "qemu-like", NULL);
	struct qemu_counters qemu;
	int first_fd, second_fd, status;
	pid_t first, second;

	assert_false(look(counters, &qemu));
	first = start_qemu(dir, &first_fd);
	assert_true(look(counters, &qemu));
	assert_int_equal(qemu.cpu_time, qemu.cpu_user + qemu.cpu_system);    /* it has no cgroup of libvirt's */
	assert_int_equal(qemu.vcpus_ran, 0);                                 /* nor threads of vCPUs */
	kill(first, SIGSTOP);
	assert_int_equal(waitpid(first, &status, WUNTRACED), first);
	assert_true(look(counters, &qemu));
	assert_int_equal(qemu.state, 'T');
	kill(first, SIGCONT);
	close(first_fd);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_false(look(counters, &qemu));                                 /* it has ended */
	first = start_qemu(dir, &first_fd);
	second = start_qemu(dir, &second_fd);
	assert_false(look(counters, &qemu));                                 /* who is it? */
	close(second_fd);
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_true(look(counters, &qemu));
	close(first_fd);
	assert_int_equal(waitpid(first, &status, 0), first);
	kernel_counters_free(counters);
	unlink(program);
	rmdir(dir);
}

int main(void)
{
	static struct agent agent = { .vms = &vms };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_true), cmocka_unit_test(members_are_chosen), cmocka_unit_test(silence), cmocka_unit_test(who_is_asked),
		cmocka_unit_test(balloon), cmocka_unit_test(finding_a_qemu),
	};

	if (virInitialize() < 0)
		return 1;
	vms.agent = &agent;
	vms.table = g_hash_table_new(g_str_hash, g_str_equal);
	pthread_mutex_init(&vms.lock, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
