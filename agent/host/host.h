/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_HOST_H
#define BERTH_AGENT_HOST_H
/* Description and load of this host. Theory of operation in host.c. */
#include <stdbool.h>
#include <glib.h>
#include "agent/agent.h"

struct host *host_new(struct agent *agent, GError **error);
struct host *host_free(struct host *host);
const char *host_uuid(struct host *host);         /* from state_dir/host.id, else DMI, else made and kept; never changes */

/* What VMs run on. Probed once at start (agent/host/acceleration.c): "kvm" works, or "qemu" with the reason. Blocks at most ~1 s: worker or start-up. */
bool host_has_kvm(struct host *host);
const char *host_acceleration_reason(struct host *host);   /* NULL with kvm */

struct policy *host_policy(struct host *host);    /* agent/host/policy.h */

/* Processors, memory and load in Prometheus text, read now from /proc. Any thread, never blocks. */
void host_write_metrics(GString *out);

#endif
