/* SPDX-License-Identifier: Apache-2.0 */
/* The host's part of /metrics: what its kernel tells in three small files of /proc, which never block. Numbers of its disks and links are other exporters'. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent/host/host-priv.h"
#include "agent/host/host.h"
#include "common/metrics.h"

static void write_number(GString *out, const char *name, const char *help, int64_t value)
{
	metrics_write_family(out, name, "gauge", help);
	g_string_append_printf(out, "%s %" PRId64 "\n", name, value);
}

static void write_cpus(GString *out)
{
	static const char *const modes[] = { "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal" };
	g_autofree char *text = file_text("/proc/stat");
	const char *at = text && g_str_has_prefix(text, "cpu ") ? text + strlen("cpu ") : NULL, *boot = text ? strstr(text, "\nbtime ") : NULL;
	uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK);

	if (at) {
		metrics_write_family(out, "berth_host_cpu_seconds_total", "counter", "Time of all processors together, by what they did");
		for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
			char *end;
			uint64_t ticks = g_ascii_strtoull(at, &end, 10);

			if (end == at)
				break;
			at = end;
			g_string_append_printf(out, "berth_host_cpu_seconds_total{mode=\"%s\"} %" PRIu64 ".%03" PRIu64 "\n", modes[i], ticks / hertz,
					       ticks % hertz * 1000 / hertz);
		}
	}
	write_number(out, "berth_host_cpus", "Processors that are online", sysconf(_SC_NPROCESSORS_ONLN));
	if (boot)
		write_number(out, "berth_host_boot_time_seconds", "When the host booted, since the epoch", g_ascii_strtoll(boot + strlen("\nbtime "), NULL, 10));
}

static void write_memory(GString *out)
{
	static const struct { const char *name, *key, *help; } numbers[] = {
		{ "berth_host_memory_bytes", "MemTotal", "Memory" },
		{ "berth_host_memory_available_bytes", "MemAvailable", "Memory that can be had without swapping" },
		{ "berth_host_memory_huge_bytes", "AnonHugePages", "Transparent huge pages" },
		{ "berth_host_swap_bytes", "SwapTotal", "Swap space" },
		{ "berth_host_swap_free_bytes", "SwapFree", "Swap space that is free" },
	};
	g_autofree char *text = file_text("/proc/meminfo");

	for (size_t i = 0; text && i < G_N_ELEMENTS(numbers); i++)
		write_number(out, numbers[i].name, numbers[i].help, meminfo_kib(text, numbers[i].key) * 1024);
}

void host_write_metrics(GString *out)
{
	g_autofree char *load = file_text("/proc/loadavg");
	double one, five;

	write_cpus(out);
	write_memory(out);
	if (load && sscanf(load, "%lf %lf", &one, &five) == 2) {
		char number[32];

		metrics_write_family(out, "berth_host_load5", "gauge", "Processes that run or wait for a disk, mean of five minutes");
		g_string_append_printf(out, "berth_host_load5 %s\n", g_ascii_formatd(number, sizeof(number), "%.2f", five));
	}
}
