/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/fleet/figures.h"

#include <stdlib.h>
#include <string.h>

/* ---- from JSON: counters are decimal text or numbers ---- */

static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : json_is_string(value) ? g_ascii_strtod(json_string_value(value), NULL) : 0;
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value && *value ? value : NULL;
}

static void read_disk(struct disk_figures *disk, const json_t *told, const char *id)
{
	g_strlcpy(disk->id, id, sizeof(disk->id));
	disk->actual_size = (int64_t)number(told, "truesize");
	disk->read_rate = (float)number(told, "readRate");
	disk->write_rate = (float)number(told, "writeRate");
	disk->read_latency = (float)(number(told, "readLatency") * 1e-9);
	disk->write_latency = (float)(number(told, "writeLatency") * 1e-9);
	disk->flush_latency = (float)(number(told, "flushLatency") * 1e-9);
}

static void read_nic(struct nic_figures *nic, const json_t *told, const char *mac, const struct nic_figures *before)
{
	double seconds;

	g_strlcpy(nic->mac, mac, sizeof(nic->mac));
	nic->sampled = number(told, "sampleTime");
	nic->rx = (int64_t)number(told, "rx");
	nic->tx = (int64_t)number(told, "tx");
	nic->rx_errors = (int64_t)number(told, "rxErrors");
	nic->tx_errors = (int64_t)number(told, "txErrors");
	seconds = before ? nic->sampled - before->sampled : 0;
	if (before && seconds <= 0) {                   /* the same sample again */
		nic->rx_rate = before->rx_rate;
		nic->tx_rate = before->tx_rate;
	} else if (before) {
		nic->rx_rate = (float)((double)MAX(nic->rx - before->rx, 0) / seconds);
		nic->tx_rate = (float)((double)MAX(nic->tx - before->tx, 0) / seconds);
	}
}

/* Disks without an image are discs and direct LUNs: not shown. */
static void read_disks(struct vm_figures *figures, const json_t *told)
{
	const char *target, *id;
	json_t *disk;

	figures->disks = g_new0(struct disk_figures, json_object_size(told));
	json_object_foreach((json_t *)told, target, disk)
		if ((id = text(disk, "imageID")) != NULL)
			read_disk(&figures->disks[figures->n_disks++], disk, id);
}

static void read_nics(struct vm_figures *figures, const json_t *told, const struct vm_figures *before)
{
	const char *target, *mac;
	json_t *nic;

	figures->nics = g_new0(struct nic_figures, json_object_size(told));
	json_object_foreach((json_t *)told, target, nic)
		if ((mac = text(nic, "macAddr")) != NULL)
			read_nic(&figures->nics[figures->n_nics++], nic, mac, figures_of_nic(before, mac));
}

/* ---- figures ---- */

static void set(GRefString **string, const char *value)
{
	GRefString *old = *string;

	*string = value && *value ? g_ref_string_new_intern(value) : NULL;
	if (old)
		g_ref_string_release(old);
}

static int port_of(const char *port)
{
	return port ? MAX(atoi(port), 0) : 0;           /* "-1": none */
}

static struct vm_figures *copy_of(const struct vm_figures *from)
{
	struct vm_figures *figures = g_atomic_rc_box_new0(struct vm_figures);
	GRefString **strings[] = { &figures->display_address, &figures->guest_ips, &figures->guest_fqdn, &figures->os_family, &figures->os_distribution,
				   &figures->os_version, &figures->os_kernel, &figures->os_architecture };

	*figures = *from;
	for (size_t i = 0; i < G_N_ELEMENTS(strings); i++)
		if (*strings[i])
			g_ref_string_acquire(*strings[i]);
	figures->disks = g_memdup2(from->disks, from->n_disks * sizeof(*from->disks));
	figures->nics = g_memdup2(from->nics, from->n_nics * sizeof(*from->nics));
	return figures;
}

struct vm_figures *figures_new(const struct vm_stats *stats, const struct vm_figures *before, bool full)
{
	struct vm_figures *figures = before && !full ? copy_of(before) : g_atomic_rc_box_new0(struct vm_figures);
	const struct vm_display *display = stats->display_info && stats->display_info->len ? stats->display_info->pdata[0] : NULL;

	if (HAS(stats, cpu_user))
		figures->cpu_user = stats->cpu_user;
	if (HAS(stats, cpu_sys))
		figures->cpu_sys = stats->cpu_sys;
	if (HAS(stats, mem_usage))
		figures->mem_usage = stats->mem_usage;
	if (display) {
		set(&figures->display_address, display->ip_address);
		figures->display_port = port_of(display->port);
		figures->display_secure_port = port_of(display->tls_port);
	}
	if (stats->guest_ips)
		set(&figures->guest_ips, stats->guest_ips);
	if (stats->guest_fqdn)
		set(&figures->guest_fqdn, stats->guest_fqdn);
	if (stats->guest_os_info) {
		set(&figures->os_family, text(stats->guest_os_info, "type"));
		set(&figures->os_distribution, text(stats->guest_os_info, "distribution"));
		set(&figures->os_version, text(stats->guest_os_info, "version"));
		set(&figures->os_kernel, text(stats->guest_os_info, "kernel"));
		set(&figures->os_architecture, text(stats->guest_os_info, "arch"));
	}
	if (full && stats->disks)
		read_disks(figures, stats->disks);
	if (full && stats->network)
		read_nics(figures, stats->network, before);
	return figures;
}

struct vm_figures *figures_ref(struct vm_figures *figures)
{
	return figures ? g_atomic_rc_box_acquire(figures) : NULL;
}

static void clear(void *data)
{
	struct vm_figures *figures = data;

	set(&figures->display_address, NULL);
	set(&figures->guest_ips, NULL);
	set(&figures->guest_fqdn, NULL);
	set(&figures->os_family, NULL);
	set(&figures->os_distribution, NULL);
	set(&figures->os_version, NULL);
	set(&figures->os_kernel, NULL);
	set(&figures->os_architecture, NULL);
	g_free(figures->disks);
	g_free(figures->nics);
}

struct vm_figures *figures_unref(struct vm_figures *figures)
{
	if (figures)
		g_atomic_rc_box_release_full(figures, clear);
	return NULL;
}

const struct disk_figures *figures_of_disk(const struct vm_figures *figures, const char *disk_id)
{
	for (guint i = 0; figures && i < figures->n_disks; i++)
		if (!g_strcmp0(figures->disks[i].id, disk_id))
			return &figures->disks[i];
	return NULL;
}

const struct nic_figures *figures_of_nic(const struct vm_figures *figures, const char *mac)
{
	for (guint i = 0; figures && mac && i < figures->n_nics; i++)
		if (!g_ascii_strcasecmp(figures->nics[i].mac, mac))
			return &figures->nics[i];
	return NULL;
}

struct all_vm_stats_params *figures_wanted(void)
{
	static const char *const members[] = {
		"status", "statusTime", "exitCode", "exitReason", "exitMessage", "elapsedTime", "pauseCode", "cpuUser", "cpuSys", "memUsage", "network", "disks",
		"displayInfo", "guestIPs", "guestFQDN", "guestOsInfo",
	};
	static struct all_vm_stats_params *params;

	if (g_once_init_enter(&params)) {
		struct all_vm_stats_params *made = record_new(&all_vm_stats_params_type);

		made->fields = strings_new();
		for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
			g_ptr_array_add(made->fields, g_strdup(members[i]));
		g_once_init_leave(&params, made);
	}
	return params;
}
