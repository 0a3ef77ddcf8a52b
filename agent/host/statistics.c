/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load of the host. Every SAMPLE_USEC a timer on the loop reads a few small files of /proc (no disk, no libvirt: under 1 ms) and keeps the last
 * two samples; rates are over these two. Until there are two, the start values of a host at rest are sent. What needs no rate is read when
 * it is asked for, on the worker that asks. The lock is held to copy samples only.
 */
#define LOG_MODULE "host"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include "agent/host/host-priv.h"
#include "agent/host/ksm.h"
#include "agent/virt/vms.h"
#include "common/lock.h"
#include "common/log.h"

#define SAMPLE_USEC (15 * G_USEC_PER_SEC)
#define FIRST_SAMPLE_USEC (1 * G_USEC_PER_SEC)
#define CPUS_MAX 1024

struct cpu_ticks { uint64_t user, sys; };

struct sample {
	int64_t at_usec;
	struct cpu_ticks all, self, *cpus;      /* cpus: n_cpus */
	unsigned n_cpus;
};

struct statistics {
	struct host *host;
	pthread_mutex_t lock;
	struct timer *timer;
	struct sample last, before;             /* at_usec 0: none */
	unsigned taken;
};

static void read_cpus(struct sample *sample)
{
	g_autofree char *text = file_text("/proc/stat");

	for (const char *line = text; line && g_str_has_prefix(line, "cpu"); line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		uint64_t user, nice, system;
		unsigned cpu;

		if (sscanf(line, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64, &user, &nice, &system) == 3) {
			sample->all = (struct cpu_ticks){ user + nice, system };
		} else if (sscanf(line, "cpu%u %" SCNu64 " %" SCNu64 " %" SCNu64, &cpu, &user, &nice, &system) == 4 && cpu < CPUS_MAX) {
			if (cpu >= sample->n_cpus) {
				sample->cpus = g_renew(struct cpu_ticks, sample->cpus, cpu + 1);
				memset(sample->cpus + sample->n_cpus, 0, (cpu + 1 - sample->n_cpus) * sizeof(*sample->cpus));
				sample->n_cpus = cpu + 1;
			}
			sample->cpus[cpu] = (struct cpu_ticks){ user + nice, system };
		}
	}
}

static void read_self(struct sample *sample)
{
	g_autofree char *text = file_text("/proc/self/stat");
	const char *rest = text ? strrchr(text, ')') : NULL;

	if (rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &sample->self.user, &sample->self.sys) != 2)
		sample->self = (struct cpu_ticks){ 0 };
}

static void take_sample(void *data)
{
	struct statistics *s = data;
	struct sample sample = { .at_usec = now_usec() };

	read_cpus(&sample);
	read_self(&sample);
	{
		AUTO_LOCK(&s->lock);
		g_free(s->before.cpus);
		s->before = s->last;
		s->last = sample;
	}
	timer_set(s->timer, s->taken++ ? SAMPLE_USEC : FIRST_SAMPLE_USEC);
}

struct statistics *statistics_new(struct host *host)
{
	struct statistics *s = g_new0(struct statistics, 1);

	s->host = host;
	pthread_mutex_init(&s->lock, NULL);
	s->timer = timer_new(host->agent->loop, take_sample, s);
	take_sample(s);
	return s;
}

struct statistics *statistics_free(struct statistics *s)
{
	if (!s)
		return NULL;
	timer_free(s->timer);
	g_free(s->last.cpus);
	g_free(s->before.cpus);
	pthread_mutex_destroy(&s->lock);
	g_free(s);
	return NULL;
}

/* Percent of `cpus` processors between two readings. A counter that went back (it does, with CPUs unplugged) counts as no use. */
static double percent(uint64_t now, uint64_t before, int64_t usec, unsigned cpus)
{
	static long hertz;

	if (!hertz)
		hertz = sysconf(_SC_CLK_TCK);
	if (now < before || usec <= 0 || !cpus)
		return 0;
	return (double)(now - before) / (double)hertz / ((double)usec / 1e6) * 100 / cpus;
}

static json_t *percent_text(double value)
{
	char text[32];

	g_ascii_formatd(text, sizeof(text), "%.2f", value);
	return json_string(text);
}

static int node_of(unsigned cpu)
{
	for (int node = 0; node < 64; node++) {
		g_autofree char *path = g_strdup_printf("/sys/devices/system/node/node%d/cpu%u", node, cpu);

		if (access(path, F_OK) == 0)
			return node;
	}
	return 0;
}

/* Lock held. */
static json_t *per_cpu(const struct statistics *s, int64_t usec)
{
	json_t *map = json_object();

	for (unsigned i = 0; i < s->last.n_cpus && i < s->before.n_cpus; i++) {
		double user = percent(s->last.cpus[i].user, s->before.cpus[i].user, usec, 1),
			sys = percent(s->last.cpus[i].sys, s->before.cpus[i].sys, usec, 1);
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		json_object_set_new(map, name, json_pack("{s:i, s:o, s:o, s:o}", "nodeIndex", node_of(i), "cpuUser", percent_text(user), "cpuSys",
							 percent_text(sys), "cpuIdle", percent_text(MAX(0.0, 100 - user - sys))));
	}
	return map;
}

static void fill_cpu(struct statistics *s, struct host_stats *stats)
{
	g_autofree char *load = file_text("/proc/loadavg");
	double user = 0, sys = 0, own_user = 0, own_sys = 0, load5 = 0;

	if (load)
		load5 = g_ascii_strtod(strchr(load, ' ') ? strchr(load, ' ') : load, NULL);
	{
		AUTO_LOCK(&s->lock);
		if (s->before.at_usec) {
			int64_t usec = s->last.at_usec - s->before.at_usec;

			user = percent(s->last.all.user, s->before.all.user, usec, s->last.n_cpus);
			sys = percent(s->last.all.sys, s->before.all.sys, usec, s->last.n_cpus);
			own_user = percent(s->last.self.user, s->before.self.user, usec, 1);
			own_sys = percent(s->last.self.sys, s->before.self.sys, usec, 1);
			stats->cpu_statistics = per_cpu(s, usec);
		}
	}
	SET(stats, cpu_user, user);
	SET(stats, cpu_sys, sys);
	SET(stats, cpu_idle, MAX(0.0, 100 - user - sys));
	SET(stats, cpu_user_agent, own_user);
	SET(stats, cpu_sys_agent, own_sys);
	SET(stats, cpu_load, load5);
}

static json_t *hugepages(void)
{
	static const char *const counts[] = { "nr_hugepages", "nr_hugepages_mempolicy", "nr_overcommit_hugepages", "free_hugepages", "resv_hugepages",
					      "surplus_hugepages" };
	GDir *dir = g_dir_open("/sys/kernel/mm/hugepages", 0, NULL);
	json_t *map = json_object();
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *kib = NULL;
		json_t *size = json_object();

		if (!g_str_has_prefix(name, "hugepages-")) {
			json_decref(size);
			continue;
		}
		for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
			g_autofree char *path = g_build_filename("/sys/kernel/mm/hugepages", name, counts[i], NULL);

			json_object_set_new(size, counts[i], json_integer(file_number(path, 0)));
		}
		json_object_set(size, "vm.free_hugepages", json_object_get(size, "free_hugepages"));
		kib = g_strdup_printf("%" G_GINT64_FORMAT, g_ascii_strtoll(name + strlen("hugepages-"), NULL, 10));
		json_object_set_new(map, kib, size);
	}
	if (dir)
		g_dir_close(dir);
	return map;
}

static json_t *nodes_free(void)
{
	json_t *map = json_object();

	for (int node = 0; node < 64; node++) {
		g_autofree char *path = g_strdup_printf("/sys/devices/system/node/node%d/meminfo", node), *text = file_text(path);
		g_autofree char *name = g_strdup_printf("%d", node);
		int64_t total, unused;

		if (!text)
			continue;
		total = meminfo_kib(text, "MemTotal");
		unused = meminfo_kib(text, "MemFree") + meminfo_kib(text, "FilePages") + meminfo_kib(text, "SReclaimable");
		json_object_set_new(map, name, json_pack("{s:o, s:i, s:{}}", "memFree", json_sprintf("%" PRId64, unused / 1024), "memPercent",
							 total ? (int)(100 - 100 * MIN(unused, total) / total) : 0, "hugepages"));
	}
	return map;
}

static void fill_memory(struct host_stats *stats)
{
	g_autofree char *text = file_text("/proc/meminfo");
	int64_t total = meminfo_kib(text, "MemTotal"), unused = meminfo_free_kib(text);

	SET(stats, mem_used, total ? (int)(100 - (int)(100.0 * (double)unused / (double)total)) : 0);
	SET(stats, anon_huge_pages, meminfo_kib(text, "AnonHugePages") / 1024);
	SET(stats, mem_free, unused / 1024);
	SET(stats, mem_available, meminfo_kib(text, "MemAvailable") / 1024);
	SET(stats, mem_buffers, meminfo_kib(text, "Buffers") / 1024);
	SET(stats, mem_cached, meminfo_kib(text, "Cached") / 1024);
	SET(stats, swap_cached, meminfo_kib(text, "SwapCached") / 1024);
	SET(stats, swap_total, meminfo_kib(text, "SwapTotal") / 1024);
	SET(stats, swap_free, meminfo_kib(text, "SwapFree") / 1024);
	stats->hugepages = hugepages();
	stats->numa_node_mem_free = nodes_free();
}

static json_t *disk_room(const struct agent *agent)
{
	const char *const directories[] = { "/tmp", "/var/log", agent->run_dir };
	json_t *map = json_object();

	for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
		struct statvfs room;

		if (statvfs(directories[i], &room) == 0)
			json_object_set_new(map, directories[i],
					    json_pack("{s:o}", "free", json_sprintf("%" PRIu64, (uint64_t)room.f_bavail * room.f_frsize >> 20)));
	}
	return map;
}

static json_t *huge_page_mode(void)
{
	g_autofree char *text = file_text("/sys/kernel/mm/transparent_hugepage/enabled");
	const char *open = text ? strchr(text, '[') : NULL, *close = open ? strchr(open, ']') : NULL;

	return close ? json_stringn(open + 1, (size_t)(close - open - 1)) : json_string("never");
}

static int64_t boot_time(void)
{
	g_autofree char *text = file_text("/proc/stat");
	const char *line = text ? strstr(text, "\nbtime ") : NULL;

	return line ? g_ascii_strtoll(line + strlen("\nbtime "), NULL, 10) : 0;
}

void statistics_fill(struct host *host, struct host_stats *stats)
{
	struct vms_counts vms = vms_count(host->agent->vms);
	time_t now = time(NULL);
	struct tm utc;
	char text[40];
	struct ksm ksm;

	fill_cpu(host->statistics, stats);
	fill_memory(stats);
	stats->disk_stats = disk_room(host->agent);
	stats->thp_state = huge_page_mode();
	SET(stats, boot_time, boot_time());
	SET(stats, elapsed_time, (now_usec() - host->agent->started_usec) / G_USEC_PER_SEC);
	SET(stats, vm_count, vms.all);
	SET(stats, vm_active, vms.up);
	SET(stats, vm_migrating, vms.migrating);
	SET(stats, incoming_migrations, vms.incoming);
	SET(stats, outgoing_migrations, vms.outgoing);
	SET(stats, mem_committed, vms.committed_mib);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S GMT", gmtime_r(&now, &utc));
	set_string(&stats->date_time, text);
	set_string(&stats->mom_status, "active");
	ksm_read(KSM_DIRECTORY, &ksm);
	SET(stats, ksm_state, ksm.run);
	SET(stats, ksm_pages, ksm.pages_to_scan);
	SET(stats, ksm_merge_across_nodes, ksm.merge_across_nodes);
	SET(stats, mem_shared, ksm.shared_kib >> 10);
	SET(stats, ksm_cpu, ksm_cpu());
	stats->ha_stats = json_pack("{s:b, s:b, s:i, s:b, s:b}", "configured", 0, "active", 0, "score", 0, "globalMaintenance", 0, "localMaintenance", 0);
}
