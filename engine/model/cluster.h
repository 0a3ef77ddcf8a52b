/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_CLUSTER_H
#define BERTH_ENGINE_MODEL_CLUSTER_H
/* Clusters: hosts between which virtual machines can move (REST chapter 10). */
#include "common/record.h"

enum on_error { ON_ERROR_MIGRATE, ON_ERROR_DO_NOT_MIGRATE, ON_ERROR_MIGRATE_HIGHLY_AVAILABLE, ON_ERROR_MAX };
extern const char *const on_error_names[];
extern const char *const scheduling_policy_names[];
/* CPU families that a cluster can name; ends with id NULL. Within a maker a higher level can do what a lower one can. */
extern const struct cpu_family { const char *id; int level; } cpu_families[];

struct cluster {
	struct record record;
	char *id, *name, *description, *comment;
	char *cpu_id, *cpu_architecture;
	struct ref data_center;
	int overcommit_percent;
	bool transparent_hugepages;
	char *scheduling_policy;             /* one of scheduling_policy_names */
	char *policy_href, *policy_id, *policy_name;         /* filled in when shown */
	int threshold_low, threshold_high, threshold_duration;
	int major, minor;
	GPtrArray *supported_versions;       /* struct version; filled in when shown */
	int on_error;                        /* enum on_error */
	bool virt_service, gluster_service, threads_as_cores, tunnel_migration, trusted_service, ha_reservation, optional_reason, ballooning_enabled, ksm;
	GPtrArray *required_rng_sources;     /* strings */
};
extern const struct record_type cluster_type;
/* The same rows for a data center's collection: data_center comes from the URL. A record of one may become one of the other: record.type. */
extern const struct record_type datacenter_cluster_type;

/* %: above it a host is overloaded; 80 when the cluster (may be NULL) does not say, as oVirt's HighUtilization. */
int cluster_threshold_high(const struct cluster *cluster);

#endif
