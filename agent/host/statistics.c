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
#define NODES "/sys/devices/system/node"
#define NODES_MAX 64

struct cpu_ticks { uint64_t user, sys; bool online; };

struct sample {
	int64_t at_usec;
	struct cpu_ticks all, self, *cpus;      /* cpus: n_cpus, by number; those that are not online are zero */
	unsigned n_cpus, n_online;
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

		/* A blank of the format would also match none. */
		if (line[3] == ' ' && sscanf(line, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64, &user, &nice, &system) == 3) {
			sample->all = (struct cpu_ticks){ .user = user + nice, .sys = system };
		} else if (sscanf(line, "cpu%u %" SCNu64 " %" SCNu64 " %" SCNu64, &cpu, &user, &nice, &system) == 4 && cpu < CPUS_MAX) {
			if (cpu >= sample->n_cpus) {
				sample->cpus = g_renew(struct cpu_ticks, sample->cpus, cpu + 1);
				memset(sample->cpus + sample->n_cpus, 0, (cpu + 1 - sample->n_cpus) * sizeof(*sample->cpus));
				sample->n_cpus = cpu + 1;
			}
			sample->cpus[cpu] = (struct cpu_ticks){ user + nice, system, true };
			sample->n_online++;
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

/* The NUMA node of each processor by its number; a file a node, so that it need not be kept, and what is plugged is known at once. g_free */
static int *nodes_of_cpus(void)
{
	int *nodes = g_new0(int, CPUS_MAX);

	for (int node = 0; node < NODES_MAX; node++) {
		g_autofree char *path = g_strdup_printf(NODES "/node%d/cpulist", node), *list = file_text(path);
		g_auto(GStrv) ranges = g_strsplit(list ? list : "", ",", -1);                  /* "0-3,8-11" */

		for (char **range = ranges; *range; range++) {
			unsigned first, last;
			int found = sscanf(*range, "%u-%u", &first, &last);

			for (unsigned cpu = first; found > 0 && cpu <= (found > 1 ? last : first) && cpu < CPUS_MAX; cpu++)
				nodes[cpu] = node;
		}
	}
	return nodes;
}

/* Lock held. */
static json_t *per_cpu(const struct statistics *s, const int *nodes, int64_t usec)
{
	json_t *map = json_object();

	for (unsigned i = 0; i < s->last.n_cpus && i < s->before.n_cpus; i++) {
		double user = percent(s->last.cpus[i].user, s->before.cpus[i].user, usec, 1),
			sys = percent(s->last.cpus[i].sys, s->before.cpus[i].sys, usec, 1);
		char name[16];

		if (!s->last.cpus[i].online || !s->before.cpus[i].online)
			continue;
		snprintf(name, sizeof(name), "%u", i);
		json_object_set_new(map, name, json_pack("{s:i, s:o, s:o, s:o}", "nodeIndex", nodes[i], "cpuUser", percent_text(user), "cpuSys",
							 percent_text(sys), "cpuIdle", percent_text(MAX(0.0, 100 - user - sys))));
	}
	return map;
}

static void fill_cpu(struct statistics *s, struct host_stats *stats)
{
	g_autofree char *load = file_text("/proc/loadavg");
	g_autofree int *nodes = nodes_of_cpus();
	double user = 0, sys = 0, own_user = 0, own_sys = 0, load5 = 0;

	if (load)
		load5 = g_ascii_strtod(strchr(load, ' ') ? strchr(load, ' ') : load, NULL);
	{
		AUTO_LOCK(&s->lock);
		if (s->before.at_usec) {
			int64_t usec = s->last.at_usec - s->before.at_usec;

			user = percent(s->last.all.user, s->before.all.user, usec, s->last.n_online);
			sys = percent(s->last.all.sys, s->before.all.sys, usec, s->last.n_online);
			own_user = percent(s->last.self.user, s->before.self.user, usec, 1);
			own_sys = percent(s->last.self.sys, s->before.self.sys, usec, 1);
			stats->cpu_statistics = per_cpu(s, nodes, usec);
		}
	}
	SET(stats, cpu_user, user);
	SET(stats, cpu_sys, sys);
	SET(stats, cpu_idle, MAX(0.0, 100 - user - sys));
	SET(stats, cpu_user_agent, own_user);
	SET(stats, cpu_sys_agent, own_sys);
	SET(stats, cpu_load, load5);
}

/* directory/hugepages-2048kB, ...: map of the size in kB to what `of` tells of one. */
static json_t *page_sizes(const char *directory, json_t *(*of)(const char *path))
{
	GDir *dir = g_dir_open(directory, 0, NULL);
	json_t *map = json_object();
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, name, NULL);
		char kib[24];

		if (!g_str_has_prefix(name, "hugepages-"))
			continue;
		snprintf(kib, sizeof(kib), "%" PRId64, g_ascii_strtoll(name + strlen("hugepages-"), NULL, 10));
		json_object_set_new(map, kib, of(path));
	}
	if (dir)
		g_dir_close(dir);
	return map;
}

static json_t *page_counts(const char *path)
{
	static const char *const counts[] = { "nr_hugepages", "nr_hugepages_mempolicy", "nr_overcommit_hugepages", "free_hugepages", "resv_hugepages",
					      "surplus_hugepages" };
	json_t *size = json_object();

	for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
		g_autofree char *file = g_build_filename(path, counts[i], NULL);

		json_object_set_new(size, counts[i], json_integer(file_number(file, 0)));
	}
	json_object_set(size, "vm.free_hugepages", json_object_get(size, "free_hugepages"));      /* none are kept for the host */
	return size;
}

static json_t *free_pages(const char *path)
{
	g_autofree char *file = g_build_filename(path, "free_hugepages", NULL);

	return json_pack("{s:I}", "freePages", (json_int_t)file_number(file, 0));
}

static json_t *nodes_free(void)
{
	json_t *map = json_object();

	for (int node = 0; node < NODES_MAX; node++) {
		g_autofree char *path = g_strdup_printf(NODES "/node%d/meminfo", node), *text = file_text(path);
		g_autofree char *pages = g_strdup_printf(NODES "/node%d/hugepages", node);
		char name[16];
		int64_t total, unused;

		if (!text)
			continue;
		snprintf(name, sizeof(name), "%d", node);
		total = meminfo_kib(text, "MemTotal");
		unused = meminfo_kib(text, "MemFree") + meminfo_kib(text, "FilePages") + meminfo_kib(text, "SReclaimable");
		json_object_set_new(map, name, json_pack("{s:o, s:i, s:o}", "memFree", json_sprintf("%" PRId64, unused / 1024), "memPercent",
							 total ? (int)(100 - 100 * MIN(unused, total) / total) : 0, "hugepages",
							 page_sizes(pages, free_pages)));
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
	stats->hugepages = page_sizes("/sys/kernel/mm/hugepages", page_counts);
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
	stats->multipath_health = multipath_health();
	stats->v2v_jobs = json_object();        /* conversions are refused: there never is one */
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
