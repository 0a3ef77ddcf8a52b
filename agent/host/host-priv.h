/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_HOST_PRIV_H
#define BERTH_AGENT_HOST_PRIV_H
/* What the files of this room share. */
#include "agent/host/host.h"
#include "proto/host.h"

struct statistics;
struct policy;

struct host {
	struct agent *agent;
	char *uuid;
	bool kvm;
	char *reason;                 /* why not kvm */
	struct statistics *statistics;
	struct policy *policy;
};

/* How far a processor of a VM gets. realmode: 16-bit code runs, but 64-bit code does not, or not at the hardware's speed. */
enum acceleration_level { ACCELERATION_NONE, ACCELERATION_REAL_MODE, ACCELERATION_LONG_MODE };
/* Does the hardware run guest code at its own speed? Blocks at most ~1 s, whatever KVM does. ret_reason: why not; g_free. ret_level may be NULL. */
bool acceleration_probe(const char *device, enum acceleration_level *ret_level, char **ret_reason);

void capabilities_fill(struct host *host, struct host_caps *caps);
#define HOSTED_ENGINE_CONF "/etc/ovirt-hosted-engine/hosted-engine.conf"

/* {name: {version, release}} of what dpkg has installed (packages.c); packages_read(): of that status file, for tests. New references. */
json_t *packages_installed(void);
json_t *packages_read(const char *status);

void hardware_fill(struct host_hardware *hardware, const char *directory);

struct statistics *statistics_new(struct host *host);
struct statistics *statistics_free(struct statistics *statistics);
void statistics_fill(struct host *host, struct host_stats *stats);      /* any thread */

/*
 * {guid: {failed_paths: [names of devices], valid_paths: n}}, of multipath devices with failed paths only; NULL: there are some, and the kernel does not tell.
 * New reference (multipath.c). multipath_read(): the status line of one; failed: gets "major:minor" of each; false: it is no such line.
 */
json_t *multipath_health(void);
bool multipath_read(const char *status, GPtrArray *failed, int *ret_valid);

/* Small files of /proc and /sys: content without trailing blanks; NULL when it cannot be read. g_free */
char *file_text(const char *path);
int64_t file_number(const char *path, int64_t otherwise);
/* "MemTotal:  123 kB" of a /proc/meminfo-like text; 0 when absent */
int64_t meminfo_kib(const char *text, const char *key);
/* Free + Cached + Buffers + SReclaimable */
int64_t meminfo_free_kib(const char *text);

#endif
