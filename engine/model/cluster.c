/* SPDX-License-Identifier: Apache-2.0 */
/* Clusters: the tables. See cluster.h. */
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

const char *const on_error_names[] = { "migrate", "do_not_migrate", "migrate_highly_available", NULL };
const struct cpu_family cpu_families[] = {
	{ "Intel Conroe Family", 3 }, { "Intel Penryn Family", 4 }, { "Intel Nehalem Family", 5 }, { "Intel Westmere Family", 6 },
	{ "Intel SandyBridge Family", 7 }, { "Intel Haswell-noTSX Family", 8 }, { "Intel Haswell Family", 9 }, { "Intel Broadwell-noTSX Family", 10 },
	{ "Intel Broadwell Family", 11 }, { "AMD Opteron G1", 2 }, { "AMD Opteron G2", 3 }, { "AMD Opteron G3", 4 }, { "AMD Opteron G4", 5 },
	{ "AMD Opteron G5", 6 }, { NULL, 0 }
};

const char *const scheduling_policy_names[] = { "evenly_distributed", "power_saving", "none", NULL };
static const char *const rng_source_names[] = { "RANDOM", "HWRNG", "URANDOM", NULL };

#define CU (CREATE | UPDATE)
#define FLAG(member, text) FIELD_BOOL_(struct cluster, member, #member, CU, text, .def = "false")

#define CLUSTER_FIELDS(data_center_flags) \
	FIELD_UUID_(struct cluster, id, "@id", READ_ONLY, "identity, given by the engine"), \
	FIELD_STRING_(struct cluster, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "unique name", .min = 1, .max = 40, .pattern = "[-\\w.]+"), \
	FIELD_STRING_(struct cluster, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_STRING_(struct cluster, comment, "comment", CU | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_STRING_(struct cluster, cpu_id, "cpu@id", CU | REQUIRED, "CPU family that every host must have", .max = 255), \
	FIELD_STRING_(struct cluster, cpu_architecture, "cpu/architecture", CU, "instruction set", .max = 32, .def = "X86_64"), \
	FIELD_REF_(struct cluster, data_center, "data_center", data_center_flags | WITHIN, "datacenters", "data center it belongs to", .search = "datacenter"), \
	FIELD_INT_(struct cluster, overcommit_percent, "memory_policy/overcommit@percent", CU, "memory that VMs may be given, of what the host has", \
		   .unit = "%", .min = 1, .max = 10000, .def = "100"), \
	FIELD_BOOL_(struct cluster, transparent_hugepages, "memory_policy/transparent_hugepages/enabled", CU, "huge pages for VMs", .def = "true"), \
	FIELD_STRING_(struct cluster, policy_href, "scheduling_policy@href", VOLATILE_, "where the policy is shown"), \
	FIELD_STRING_(struct cluster, policy_id, "scheduling_policy@id", VOLATILE_, "id of the policy"), \
	FIELD_STRING_(struct cluster, policy_name, "scheduling_policy/name", VOLATILE_, "name of the policy"), \
	FIELD_STRING_(struct cluster, scheduling_policy, "scheduling_policy/policy", CU, "how hosts are chosen", .names = scheduling_policy_names, .def = "none"), \
	FIELD_STRING_(struct cluster, scheduling_policy, "scheduling_policies/policy", CU | ALIAS, "other spelling of scheduling_policy/policy", \
		      .names = scheduling_policy_names), \
	FIELD_INT_(struct cluster, threshold_low, "scheduling_policy/thresholds@low", CU, "below it a host is under-used", .unit = "%", .min = 0, .max = 100), \
	FIELD_INT_(struct cluster, threshold_high, "scheduling_policy/thresholds@high", CU, "above it a host is overloaded", .unit = "%", .min = 0, \
		   .max = 100), \
	FIELD_INT_(struct cluster, threshold_duration, "scheduling_policy/thresholds@duration", CU, "overload lasts so long before load moves", \
		   .unit = "s", .min = 0, .max = 86400), \
	FIELD_INT_(struct cluster, major, "version@major", CU, "compatibility level, first number", .min = 0, .max = 1000), \
	FIELD_INT_(struct cluster, minor, "version@minor", CU, "compatibility level, second number", .min = 0, .max = 1000), \
	FIELD_LIST_(struct cluster, supported_versions, "supported_versions/version", VOLATILE_, &version_type, "levels it can be raised to"), \
	FIELD_ENUM_(struct cluster, on_error, "error_handling/on_error", CU, on_error_names, "which VMs are migrated away when their host becomes non-operational", .def = "migrate"), \
	FIELD_BOOL_(struct cluster, virt_service, "virt_service", CU, "its hosts run VMs", .def = "true"), \
	FLAG(gluster_service, "its hosts serve Gluster volumes"), \
	FLAG(threads_as_cores, "threads of a host count as cores"), \
	FLAG(tunnel_migration, "migrate through libvirt's connection"), \
	FLAG(trusted_service, "hosts are attested"), \
	FLAG(ha_reservation, "keep room for VMs of a failing host"), \
	FLAG(optional_reason, "ask why a VM is stopped"), \
	FLAG(ballooning_enabled, "hosts take unused memory back from VMs"), \
	FIELD_BOOL_(struct cluster, ksm, "ksm/enabled", CU, "hosts merge equal memory pages", .def = "false"), \
	FIELD_BOOL_(struct cluster, ksm, "ksm", CU | ALIAS, "short form of ksm/enabled"), \
	FIELD_STRINGS_(struct cluster, required_rng_sources, "required_rng_sources/required_rng_source", CU, "random number sources each host must have", \
		       .names = rng_source_names)

static const struct field cluster_fields[] = { CLUSTER_FIELDS(CREATE | REQUIRED | SEARCH) };
const struct record_type cluster_type = RECORD_TYPE("cluster", "clusters", struct cluster, cluster_fields, "Hosts between which virtual machines can move");

static const struct field datacenter_cluster_fields[] = { CLUSTER_FIELDS(CREATE | SEARCH) };
const struct record_type datacenter_cluster_type =
	RECORD_TYPE("cluster", "clusters", struct cluster, datacenter_cluster_fields, "A cluster of the data center");

int cluster_threshold_high(const struct cluster *cluster)
{
	return cluster && HAS(cluster, threshold_high) ? cluster->threshold_high : 80;
}
