/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VMS_H
#define BERTH_AGENT_VMS_H
/* The virtual machines of this host. Theory of operation in vms.c. */
#include <stdbool.h>
#include <glib.h>
#include "agent/agent.h"
#include "proto/vm.h"

struct vms *vms_new(struct agent *agent, const char *uri, GError **error);
struct vms *vms_free(struct vms *vms);            /* VMs go on */
/* Connects to libvirt (and again whenever it went away), recovers the running VMs, then calls recovered once on the loop. Loop thread. */
void vms_start(struct vms *vms, void (*recovered)(void *data), void *data);
bool vms_recovering(struct vms *vms);

/* The VM neither leaves this host nor comes to it: else ERR_MIGRATION_IN_PROGRESS. One that is not there: true. Any thread, never blocks. */
bool vms_check_still(struct vms *vms, const char *id, GError **error);

struct vms_counts { int all, up, migrating, incoming, outgoing; int64_t committed_mib; };
struct vms_counts vms_count(struct vms *vms);     /* any thread, never blocks */

/* State and counters of all VMs in Prometheus text (vm_metrics.c). Any thread, never blocks. */
void vms_write_metrics(struct vms *vms, GString *out);

/* What libvirt says of this host, for Host.getCapabilities. Worker. Domain capabilities are of the type VMs of this host have; NULL when unknown. */
struct vms_libvirt { char *capabilities, *domain_capabilities; unsigned long libvirt_version, qemu_version; };     /* versions: a * 1000000 + b * 1000 + c */
bool vms_libvirt(struct vms *vms, struct vms_libvirt *ret_libvirt, GError **error);
/* Can VMs of this host's architecture run without KVM? Worker. */
bool vms_has_emulator(struct vms *vms, GError **error);
void vms_libvirt_clear(struct vms_libvirt *libvirt);

#endif
