/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/fleet/figures.h"

#include <stdlib.h>
#include <string.h>

#include "engine/fleet/report.h"

/* ---- facts ---- */

static void set(GRefString **string, const char *value)
{
	GRefString *old = *string;

	*string = value && *value ? g_ref_string_new_intern(value) : NULL;
	if (old)
		g_ref_string_release(old);
}

/* One block with the ids behind it. */
static struct vm_facts *facts_new(unsigned n_disks, unsigned n_nics)
{
	struct vm_facts *facts;
	size_t disks = n_disks * sizeof(*facts->disk_ids), nics = n_nics * sizeof(*facts->nic_macs);

	facts = g_atomic_rc_box_alloc0(sizeof(*facts) + disks + nics);
	facts->n_disks = n_disks;
	facts->n_nics = n_nics;
	facts->disk_ids = (void *)(facts + 1);
	facts->nic_macs = (void *)((char *)(facts + 1) + disks);
	return facts;
}

static void facts_clear(void *data)
{
	struct vm_facts *facts = data;
	GRefString **strings[] = { &facts->display_address, &facts->guest_ips, &facts->guest_fqdn, &facts->os_family, &facts->os_distribution,
				   &facts->os_version, &facts->os_kernel, &facts->os_architecture };

	for (size_t i = 0; i < G_N_ELEMENTS(strings); i++)
		set(strings[i], NULL);
}

static const struct vm_facts *facts_ref(const struct vm_facts *facts)
{
	return g_atomic_rc_box_acquire((void *)facts);
}

static struct vm_facts *facts_from_row(const struct report_row *row)
{
	struct vm_facts *facts = facts_new(row->n_disk_ids, row->n_nic_macs);

	facts->digest = row->digest;
	facts->display_port = row->display_port;
	facts->display_secure_port = row->display_secure_port;
	set(&facts->display_address, row->display_address);
	set(&facts->guest_ips, row->guest_ips);
	set(&facts->guest_fqdn, row->guest_fqdn);
	set(&facts->os_family, row->os_family);
	set(&facts->os_distribution, row->os_distribution);
	set(&facts->os_version, row->os_version);
	set(&facts->os_kernel, row->os_kernel);
	set(&facts->os_architecture, row->os_architecture);
	memcpy(facts->disk_ids, row->disk_ids, row->n_disk_ids * sizeof(*row->disk_ids));
	memcpy(facts->nic_macs, row->nic_macs, row->n_nic_macs * sizeof(*row->nic_macs));
	return facts;
}

static int port_of(const char *port)
{
	return port ? MAX(atoi(port), 0) : 0;           /* "-1": none */
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Without a digest: whether they are the agent's the next report cannot tell, so that it asks for all of them. */
static const struct vm_facts *facts_from_stats(const struct vm_stats *stats, const struct vm_facts *before)
{
	const struct vm_display *display = stats->display_info && stats->display_info->len ? stats->display_info->pdata[0] : NULL;
	const json_t *os = stats->guest_os_info;
	struct vm_facts *facts;

	if (before && !display && !os && !stats->guest_ips && !stats->guest_fqdn)
		return facts_ref(before);
	facts = facts_new(before ? before->n_disks : 0, before ? before->n_nics : 0);
	facts->display_port = display ? port_of(display->port) : before ? before->display_port : 0;
	facts->display_secure_port = display ? port_of(display->tls_port) : before ? before->display_secure_port : 0;
	set(&facts->display_address, display ? display->ip_address : before ? before->display_address : NULL);
	set(&facts->guest_ips, stats->guest_ips ? stats->guest_ips : before ? before->guest_ips : NULL);
	set(&facts->guest_fqdn, stats->guest_fqdn ? stats->guest_fqdn : before ? before->guest_fqdn : NULL);
	set(&facts->os_family, os ? text(os, "type") : before ? before->os_family : NULL);
	set(&facts->os_distribution, os ? text(os, "distribution") : before ? before->os_distribution : NULL);
	set(&facts->os_version, os ? text(os, "version") : before ? before->os_version : NULL);
	set(&facts->os_kernel, os ? text(os, "kernel") : before ? before->os_kernel : NULL);
	set(&facts->os_architecture, os ? text(os, "arch") : before ? before->os_architecture : NULL);
	if (before) {
		memcpy(facts->disk_ids, before->disk_ids, before->n_disks * sizeof(*before->disk_ids));
		memcpy(facts->nic_macs, before->nic_macs, before->n_nics * sizeof(*before->nic_macs));
	}
	return facts;
}

/* ---- figures ---- */

/* One block; takes over facts. */
static struct vm_figures *new_with(const struct vm_facts *facts, unsigned n_disks, unsigned n_nics)
{
	struct vm_figures *figures;
	size_t nics = n_nics * sizeof(*figures->nics), disks = n_disks * sizeof(*figures->disks);

	figures = g_atomic_rc_box_alloc0(sizeof(*figures) + nics + disks);
	figures->facts = facts;
	figures->n_disks = n_disks;
	figures->n_nics = n_nics;
	figures->nics = (void *)(figures + 1);
	figures->disks = (void *)((char *)(figures + 1) + nics);
	return figures;
}

static void read_disk(struct disk_figures *disk, const int64_t *told)
{
	*disk = (struct disk_figures){
		.actual_size = told[ROW_TAKEN], .read_rate = (float)told[ROW_READ_RATE], .write_rate = (float)told[ROW_WRITE_RATE],
		.read_latency = (float)((double)told[ROW_READ_LATENCY] * 1e-9), .write_latency = (float)((double)told[ROW_WRITE_LATENCY] * 1e-9),
		.flush_latency = (float)((double)told[ROW_FLUSH_LATENCY] * 1e-9),
	};
}

/* usec: since before was sampled; 0: it is the same sample again */
static void read_nic(struct nic_figures *nic, const int64_t *told, const struct nic_figures *before, int64_t usec)
{
	*nic = (struct nic_figures){ .rx = told[ROW_RX], .tx = told[ROW_TX], .rx_errors = told[ROW_RX_ERRORS], .tx_errors = told[ROW_TX_ERRORS] };
	if (before && usec <= 0) {
		nic->rx_rate = before->rx_rate;
		nic->tx_rate = before->tx_rate;
	} else if (before) {
		nic->rx_rate = (float)((double)MAX(nic->rx - before->rx, 0) * 1e6 / (double)usec);
		nic->tx_rate = (float)((double)MAX(nic->tx - before->tx, 0) * 1e6 / (double)usec);
	}
}

struct vm_figures *figures_from_row(const struct report_row *row, const struct vm_figures *before)
{
	bool same = before && before->facts->digest == row->digest && row->digest;
	struct vm_figures *figures;

	if (!same && !row->has_facts)
		return NULL;
	figures = new_with(same ? facts_ref(before->facts) : facts_from_row(row), row->n_disks, row->n_nics);
	/* Of what is told in one breath there are as many; an agent in which that is not so shall do no harm. */
	figures->n_disks = MIN(figures->n_disks, figures->facts->n_disks);
	figures->n_nics = MIN(figures->n_nics, figures->facts->n_nics);
	figures->cpu_user = row->cpu_user;
	figures->cpu_sys = row->cpu_sys;
	figures->mem_usage = row->mem_usage;
	figures->balloon_ignored = row->balloon_ignored > 0;
	figures->sampled_usec = row->sampled_usec;
	for (unsigned i = 0; i < figures->n_disks; i++)
		read_disk(&figures->disks[i], row->disks[i]);
	for (unsigned i = 0; i < figures->n_nics; i++)
		read_nic(&figures->nics[i], row->nics[i],
			 same ? (i < before->n_nics ? &before->nics[i] : NULL) : figures_of_nic(before, figures->facts->nic_macs[i]),
			 before ? row->sampled_usec - before->sampled_usec : 0);
	return figures;
}

struct vm_figures *figures_from_stats(const struct vm_stats *stats, const struct vm_figures *before)
{
	const struct vm_facts *facts = facts_from_stats(stats, before ? before->facts : NULL);
	struct vm_figures *figures = new_with(facts, before ? before->n_disks : 0, before ? before->n_nics : 0);

	figures->cpu_user = HAS(stats, cpu_user) || !before ? stats->cpu_user : before->cpu_user;
	figures->cpu_sys = HAS(stats, cpu_sys) || !before ? stats->cpu_sys : before->cpu_sys;
	figures->mem_usage = HAS(stats, mem_usage) || !before ? stats->mem_usage : before->mem_usage;
	if (before) {
		figures->balloon_ignored = before->balloon_ignored;
		figures->sampled_usec = before->sampled_usec;
		memcpy(figures->nics, before->nics, before->n_nics * sizeof(*before->nics));
		memcpy(figures->disks, before->disks, before->n_disks * sizeof(*before->disks));
	}
	return figures;
}

struct vm_figures *figures_ref(struct vm_figures *figures)
{
	return figures ? g_atomic_rc_box_acquire(figures) : NULL;
}

static void clear(void *data)
{
	struct vm_figures *figures = data;

	g_atomic_rc_box_release_full((void *)figures->facts, facts_clear);
}

struct vm_figures *figures_unref(struct vm_figures *figures)
{
	if (figures)
		g_atomic_rc_box_release_full(figures, clear);
	return NULL;
}

const struct disk_figures *figures_of_disk(const struct vm_figures *figures, const char *disk_id)
{
	for (unsigned i = 0; figures && i < figures->n_disks; i++)
		if (*figures->facts->disk_ids[i] && !g_strcmp0(figures->facts->disk_ids[i], disk_id))
			return &figures->disks[i];
	return NULL;
}

const struct nic_figures *figures_of_nic(const struct vm_figures *figures, const char *mac)
{
	for (unsigned i = 0; figures && mac && i < figures->n_nics; i++)
		if (*figures->facts->nic_macs[i] && !g_ascii_strcasecmp(figures->facts->nic_macs[i], mac))
			return &figures->nics[i];
	return NULL;
}
