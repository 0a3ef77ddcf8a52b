/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host's kernel knows of the VMs, read from where libvirt's bulk call reads it, at a fiftieth of its price (that call asks QEMU's monitor
 * for each group but two, and reads the table of links once for each NIC).
 *
 *   processor   the cgroup that libvirt made for the QEMU (cpuacct.usage and .stat, or cpu.stat); without one /proc/PID/stat
 *   who ran     the first number of /proc/PID/task/TID/schedstat, exact to the nanosecond: a vCPU whose number stands still did not run an instruction,
 *               so its guest asked no disk for anything and told nothing of its memory
 *   NICs        /proc/net/dev, once. What the host sends to a tap the guest receives
 *
 * A QEMU is found by its command line, which has the VM's id (`-uuid`), among processes whose name begins with "qemu"; it is looked for once, and known
 * by PID and start time from then on. libvirt's files with PIDs are not used: their directory, and in a container the numbers, are libvirtd's own. Two that
 * claim one id: somebody plays tricks, neither is believed. Who is not known here is asked of libvirt, and so is a NIC that is not a tap.
 *
 * Nothing here waits for a QEMU, however it hangs: of a process that is in the kernel the command line, which needs its memory map, is not read.
 */
#define LOG_MODULE "stats"
#include "agent/virt/stats/kernel_counters.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"

#define VCPUS_MAX 1024

struct qemu {
	int pid;                        /* -1: more than one */
	uint64_t started;               /* ticks since the boot */
	char *cgroup;                   /* directory with the processor's counters; NULL: /proc has them */
	bool unified;                   /* it is one of cgroup version 2 */
	GArray *vcpus;                  /* int: TIDs; empty: not known */
	unsigned threads;               /* as many there were when they were looked for */
	bool in_turns;                  /* one thread runs all vCPUs */
};

struct kernel_counters {
	pthread_mutex_t lock;           /* held from begin to end */
	GHashTable *qemus;              /* id -> struct qemu */
	GHashTable *links;              /* name -> struct nic_sample */
};

static void qemu_free(void *data)
{
	struct qemu *qemu = data;

	g_free(qemu->cgroup);
	g_array_unref(qemu->vcpus);
	g_free(qemu);
}

struct kernel_counters *kernel_counters_new(void)
{
	struct kernel_counters *counters = g_new0(struct kernel_counters, 1);

	pthread_mutex_init(&counters->lock, NULL);
	counters->qemus = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, qemu_free);
	counters->links = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	return counters;
}

struct kernel_counters *kernel_counters_free(struct kernel_counters *counters)
{
	if (!counters)
		return NULL;
	g_hash_table_unref(counters->qemus);
	g_hash_table_unref(counters->links);
	pthread_mutex_destroy(&counters->lock);
	g_free(counters);
	return NULL;
}

/* ---- files ---- */

static char *text_of(const char *path)
{
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/* "user 12\nsystem 3": a line's number */
static uint64_t named(const char *text, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (!strncmp(line, name, length) && line[length] == ' ')
			return g_ascii_strtoull(line + length, NULL, 10);
	return 0;
}

static uint64_t ticks_nsec(uint64_t ticks)
{
	static long hertz;

	if (!hertz)
		hertz = sysconf(_SC_CLK_TCK);
	return ticks * (1000000000 / (uint64_t)hertz);
}

/* /proc/PID/stat */
struct process { char name[32], state; uint64_t user, system, started; unsigned threads; };

static bool read_process(int pid, struct process *ret)
{
	char path[64];
	g_autofree char *text = NULL;
	const char *open, *close;

	g_snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = text_of(path);
	open = text ? strchr(text, '(') : NULL;
	close = open ? strrchr(open, ')') : NULL;
	if (!close)
		return false;
	g_strlcpy(ret->name, open + 1, MIN(sizeof(ret->name), (size_t)(close - open)));
	return sscanf(close, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %*d %*d %*d %*d %u %*d %" SCNu64, &ret->state, &ret->user,
		      &ret->system, &ret->threads, &ret->started) == 5;
}

static uint64_t ran(int pid, int tid)
{
	char path[64];
	g_autofree char *text = NULL;

	g_snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	text = text_of(path);
	return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

/* ---- finding ---- */

/* The cgroup of the whole machine: the main thread is in its "emulator". A QEMU that is not in such a one has none of its own. */
static void find_cgroup(struct qemu *qemu)
{
	char path[64];
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	g_snprintf(path, sizeof(path), "/proc/%d/cgroup", qemu->pid);
	text = text_of(path);
	lines = g_strsplit(text ? text : "", "\n", -1);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) parts = g_strsplit(*line, ":", 3);                 /* number, controllers, path */
		bool unified = !g_strcmp0(parts[0], "0");
		g_auto(GStrv) controllers = g_strsplit(parts[0] && parts[1] ? parts[1] : "", ",", -1);
		g_autofree char *dir = NULL, *file = NULL;

		if (g_strv_length(parts) != 3 || !g_str_has_suffix(parts[2], "/emulator") ||
		    (!unified && !g_strv_contains((const char *const *)controllers, "cpuacct")))
			continue;
		parts[2][strlen(parts[2]) - strlen("/emulator")] = '\0';
		dir = g_build_filename("/sys/fs/cgroup", parts[1], parts[2], NULL);
		file = g_build_filename(dir, unified ? "cpu.stat" : "cpuacct.usage", NULL);
		if (access(file, R_OK) < 0)
			continue;
		g_free(qemu->cgroup);
		qemu->cgroup = g_steal_pointer(&dir);
		qemu->unified = unified;
		if (!unified)
			return;         /* version 1 has the counters where both are mounted */
	}
}

static void find_vcpus(struct qemu *qemu, unsigned threads)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task", qemu->pid);
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *tid;

	qemu->threads = threads;
	qemu->in_turns = false;
	g_array_set_size(qemu->vcpus, 0);
	while (dir && (tid = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, tid, "comm", NULL), *name = text_of(file);
		int number = atoi(tid);

		/* "CPU 0/KVM"; "ALL CPUs/TCG" */
		if (!name || !(g_str_has_prefix(name, "CPU ") || g_str_has_prefix(name, "ALL CPUs")) || qemu->vcpus->len == VCPUS_MAX)
			continue;
		g_array_append_val(qemu->vcpus, number);
		qemu->in_turns |= *name == 'A';
	}
	if (dir)
		g_dir_close(dir);
}

/* The id on its command line; "": none. */
static void read_id(int pid, char ret_id[static 37])
{
	char path[64];
	g_autofree char *text = NULL;
	gsize length = 0;

	*ret_id = '\0';
	g_snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (!g_file_get_contents(path, &text, &length, NULL))
		return;
	for (const char *word = text; word < text + length; word += strlen(word) + 1)
		if (!strcmp(word, "-uuid") && word + sizeof("-uuid") < text + length) {
			g_strlcpy(ret_id, word + sizeof("-uuid"), 37);
			return;
		}
}

static void find_qemus(struct kernel_counters *counters, GHashTable *missing)
{
	GDir *dir = g_dir_open("/proc", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		struct process process;
		struct qemu *qemu;
		char id[37];

		if (!g_ascii_isdigit(*name) || !read_process(atoi(name), &process) || !g_str_has_prefix(process.name, "qemu") || strchr("DZX", process.state))
			continue;
		read_id(atoi(name), id);
		if (!g_hash_table_contains(missing, id))
			continue;
		qemu = g_hash_table_lookup(counters->qemus, id);
		if (qemu) {
			log_warn("processes %d and %s both claim to be VM %s: its processor time is asked of libvirt", qemu->pid, name, id);
			qemu->pid = -1;
			continue;
		}
		qemu = g_new0(struct qemu, 1);
		qemu->pid = atoi(name);
		qemu->started = process.started;
		qemu->vcpus = g_array_new(FALSE, FALSE, sizeof(int));
		find_cgroup(qemu);
		g_hash_table_insert(counters->qemus, g_strdup(id), qemu);
	}
	if (dir)
		g_dir_close(dir);
}

/* ---- a look ---- */

static void read_links(struct kernel_counters *counters)
{
	g_autofree char *text = text_of("/proc/net/dev");

	g_hash_table_remove_all(counters->links);
	for (char *line = text, *next; line; line = next) {
		struct nic_sample nic = { 0 };
		char *colon;

		if ((next = strchr(line, '\n')))
			*next++ = '\0';
		line += strspn(line, " ");
		if (!(colon = strchr(line, ':')))
			continue;       /* the two lines of the head */
		*colon = '\0';
		if (strlen(line) >= sizeof(nic.name) || strlen(line) == 0)
			continue;
		g_strlcpy(nic.name, line, sizeof(nic.name));
		/* bytes, packets, errors, dropped, 4 more; the same of what is sent; the guest is at the other end */
		if (sscanf(colon + 1, "%" SCNu64 " %*u %" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %" SCNu64 " %*u %" SCNu64 " %" SCNu64, &nic.tx_bytes,
			   &nic.tx_errs, &nic.tx_drop, &nic.rx_bytes, &nic.rx_errs, &nic.rx_drop) == 6) {
			struct nic_sample *kept = g_memdup2(&nic, sizeof(nic));

			g_hash_table_insert(counters->links, kept->name, kept);
		}
	}
}

static gboolean is_over(void *id, void *value, void *ids)
{
	return ((const struct qemu *)value)->pid < 0 || !g_hash_table_contains(ids, id);
}

void kernel_counters_begin(struct kernel_counters *counters, GHashTable *ids)
{
	g_autoptr(GHashTable) missing = g_hash_table_new(g_str_hash, g_str_equal);
	GHashTableIter iter;
	gpointer id;

	pthread_mutex_lock(&counters->lock);
	g_hash_table_foreach_remove(counters->qemus, is_over, ids);
	g_hash_table_iter_init(&iter, ids);
	while (g_hash_table_iter_next(&iter, &id, NULL))
		if (!g_hash_table_contains(counters->qemus, id))
			g_hash_table_add(missing, id);
	if (g_hash_table_size(missing))
		find_qemus(counters, missing);
	read_links(counters);
}

void kernel_counters_end(struct kernel_counters *counters)
{
	g_hash_table_remove_all(counters->links);
	pthread_mutex_unlock(&counters->lock);
}

static bool read_cgroup(const struct qemu *qemu, struct qemu_counters *ret)
{
	g_autofree char *path = g_build_filename(qemu->cgroup, qemu->unified ? "cpu.stat" : "cpuacct.stat", NULL), *text = text_of(path);
	g_autofree char *usage_path = NULL, *usage = NULL;

	if (!text)
		return false;
	if (qemu->unified) {
		ret->cpu_time = named(text, "usage_usec") * 1000;
		ret->cpu_user = named(text, "user_usec") * 1000;
		ret->cpu_system = named(text, "system_usec") * 1000;
		return true;
	}
	usage_path = g_build_filename(qemu->cgroup, "cpuacct.usage", NULL);
	if (!(usage = text_of(usage_path)))
		return false;
	ret->cpu_time = g_ascii_strtoull(usage, NULL, 10);
	ret->cpu_user = ticks_nsec(named(text, "user"));
	ret->cpu_system = ticks_nsec(named(text, "system"));
	return true;
}

static uint64_t all_ran(struct qemu *qemu, unsigned threads)
{
	uint64_t sum = 0;

	if (threads != qemu->threads)
		find_vcpus(qemu, threads);
	for (guint i = 0; i < qemu->vcpus->len; i++) {
		uint64_t one = ran(qemu->pid, g_array_index(qemu->vcpus, int, i));

		if (!one) {             /* unplugged, or this kernel does not count: nothing is known this time */
			qemu->threads = 0;
			return 0;
		}
		sum += one;
	}
	return sum;
}

bool kernel_counters_qemu(struct kernel_counters *counters, const char *id, struct qemu_counters *ret)
{
	struct qemu *qemu = g_hash_table_lookup(counters->qemus, id);
	struct qemu_counters now = { 0 };
	struct process process;

	if (!qemu || qemu->pid < 0)
		return false;
	if (!read_process(qemu->pid, &process) || process.started != qemu->started) {
		g_hash_table_remove(counters->qemus, id);       /* it has ended; the next look finds its successor */
		return false;
	}
	now.state = process.state;
	now.vcpus_ran = all_ran(qemu, process.threads);
	now.n_vcpus = now.vcpus_ran && !qemu->in_turns ? qemu->vcpus->len : 0;
	now.main_ran = ran(qemu->pid, qemu->pid);
	if (!qemu->cgroup) {
		now.cpu_user = ticks_nsec(process.user);
		now.cpu_system = ticks_nsec(process.system);
		now.cpu_time = ticks_nsec(process.user + process.system);
	} else if (!read_cgroup(qemu, &now)) {
		return false;
	}
	*ret = now;
	return true;
}

bool kernel_counters_tap(struct kernel_counters *counters, const char *name, struct nic_sample *ret)
{
	const struct nic_sample *nic = g_hash_table_lookup(counters->links, name);
	g_autofree char *flags = g_build_filename("/sys/class/net", name, "tun_flags", NULL);

	if (!nic || access(flags, F_OK) < 0)
		return false;
	*ret = *nic;
	return true;
}
