/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_H
#define BERTH_AGENT_STORAGE_H
/* Storage of this host: connections, domains, volumes. Theory of operation in storage.c. Worker threads only, except where said. */
#include <stdbool.h>
#include <glib.h>
#include "agent/agent.h"

struct storage *storage_new(struct agent *agent, const char *repository, GError **error);      /* repository: "/var/lib/berth-agent/storage" */
struct storage *storage_free(struct storage *storage);

/* Path of a volume that a VM may open; chain checked. ret_format: "raw" or "qcow2" (static). */
bool storage_prepare(struct storage *storage, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format,
		     GError **error);
/* {domain: {code, lastCheck, delay, valid, version, acquired, actual}} for Host.getStats, from the last checks; never blocks; new reference */
json_t *storage_health(struct storage *storage);

#endif
