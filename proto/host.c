/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/host.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY
#define C struct host_caps
#define S struct host_stats

static const struct field host_caps_fields[] = {
	FIELD_STRING_(C, kvm_enabled, "kvmEnabled", OUT, "true when VMs run with hardware acceleration: probed, not the mere presence of /dev/kvm"),
	FIELD_STRING_(C, acceleration, "acceleration", OUT, "kvm or tcg: what VMs of this host run on"),
	FIELD_STRING_(C, acceleration_reason, "accelerationReason", OUT, "why not kvm, for people; absent with kvm"),
	FIELD_INT_(C, cpu_cores, "cpuCores", TEXT, "cores in all sockets"),
	FIELD_INT_(C, cpu_threads, "cpuThreads", TEXT, "threads in all sockets"),
	FIELD_INT_(C, cpu_sockets, "cpuSockets", TEXT, "sockets"),
	FIELD_STRING_(C, online_cpus, "onlineCpus", OUT, "logical CPUs that are online, \"0,1,2\""),
	FIELD_JSON_(C, cpu_topology, "cpuTopology", OUT, "[{cpu_id, numa_cell_id, socket_id, die_id, core_id}]"),
	FIELD_STRING_(C, cpu_speed, "cpuSpeed", OUT, "clock of the first CPU", .unit = "MHz"),
	FIELD_STRING_(C, cpu_model, "cpuModel", OUT, "model name"),
	FIELD_STRING_(C, cpu_flags, "cpuFlags", OUT, "flags and usable models as model_<Name>, comma-separated"),
	FIELD_JSON_(C, affinity, "vdsmToCpusAffinity", OUT, "CPUs the agent may run on"),
	FIELD_STRING_(C, kernel_args, "kernelArgs", OUT, "boot arguments"),
	FIELD_BOOL_(C, nested_virtualization, "nestedVirtualization", OUT, "nested virtualization is on"),
	FIELD_BOOL_(C, realtime_kernel, "realtimeKernel", OUT, "real-time kernel"),
	FIELD_JSON_(C, kernel_features, "kernelFeatures", OUT, "CPU flaws and mitigations, NAME -> text"),
	FIELD_STRING_(C, tsc_frequency, "tscFrequency", OUT, "TSC frequency", .unit = "Hz"),
	FIELD_BOOL_(C, tsc_scaling, "tscScaling", OUT, "TSC scaling"),
	FIELD_BOOL_(C, fips_enabled, "fipsEnabled", OUT, "FIPS mode"),
	FIELD_JSON_(C, selinux, "selinux", OUT, "{\"mode\": \"1\" enforcing, \"0\" permissive, \"-1\" disabled}"),
	FIELD_BOOL_(C, apparmor, "apparmor", OUT, "AppArmor is on (a member of our own)"),
	FIELD_BOOL_(C, tpm_supported, "tpmSupported", OUT, "VMs can have a TPM (a member of our own)"),
	FIELD_INT_(C, kdump_status, "kdumpStatus", OUT, "-1 unknown, 0 no, 1 yes"),
	FIELD_STRING_(C, boot_uuid, "boot_uuid", OUT, "id of this boot"),
	FIELD_STRING_(C, uuid, "uuid", OUT, "id of the host"),
	FIELD_JSON_(C, operating_system, "operatingSystem", OUT, "release, version, name, pretty_name"),
	FIELD_JSON_(C, packages2, "packages2", OUT, "name -> {version, release}"),
	FIELD_STRING_(C, version_name, "version_name", OUT, "name of the agent's release"),
	FIELD_STRING_(C, software_version, "software_version", OUT, "version of the agent"),
	FIELD_STRING_(C, software_revision, "software_revision", OUT, "revision of the agent"),
	FIELD_JSON_(C, supported_engines, "supportedENGINEs", OUT, "engine versions"),
	FIELD_JSON_(C, cluster_levels, "clusterLevels", OUT, "compatibility levels"),
	FIELD_JSON_(C, emulated_machines, "emulatedMachines", OUT, "QEMU machine types"),
	FIELD_JSON_(C, vm_types, "vmTypes", OUT, "[\"kvm\"]"),
	FIELD_JSON_(C, rng_sources, "rngSources", OUT, "random, hwrng"),
	FIELD_STRING_(C, guest_overhead, "guestOverhead", OUT, "memory a VM costs beyond its own", .unit = "MiB"),
	FIELD_STRING_(C, reserved_mem, "reservedMem", OUT, "memory kept for the host", .unit = "MiB"),
	FIELD_LONG_(C, mem_size, "memSize", TEXT, "memory", .unit = "MiB"),
	FIELD_JSON_(C, hugepages, "hugepages", OUT, "supported sizes in kB"),
	FIELD_JSON_(C, numa_nodes, "numaNodes", OUT, "node -> {totalMemory, hugepages, cpus}"),
	FIELD_JSON_(C, numa_node_distance, "numaNodeDistance", OUT, "node -> distances"),
	FIELD_INT_(C, auto_numa_balancing, "autoNumaBalancing", OUT, "0 off, 1 on, 2 unknown"),
	FIELD_STRING_(C, iscsi_initiator, "ISCSIInitiatorName", OUT, "IQN"),
	FIELD_JSON_(C, hba_inventory, "HBAInventory", OUT, "{iSCSI: [...], FC: [...]}; always there"),
	FIELD_JSON_(C, domain_versions, "domain_versions", OUT, "storage formats"),
	FIELD_JSON_(C, supported_block_size, "supported_block_size", OUT, "storage type -> block sizes"),
	FIELD_JSON_(C, hooks, "hooks", OUT, "point -> {script -> {checksum}}"),
	FIELD_STRING_(C, live_snapshot, "liveSnapshot", OUT, "true"),
	FIELD_STRING_(C, live_merge, "liveMerge", OUT, "true"),
	FIELD_STRING_(C, hostdev_passthrough, "hostdevPassthrough", OUT, "true when the IOMMU is on"),
	FIELD_JSON_(C, additional_features, "additionalFeatures", OUT, "names"),
	FIELD_BOOL_(C, hosted_engine_deployed, "hostedEngineDeployed", OUT, "hosted engine"),
	FIELD_BOOL_(C, vnc_encrypted, "vncEncrypted", OUT, "TLS for VNC is set up"),
	FIELD_BOOL_(C, deferred_preallocation, "deferred_preallocation", OUT, "feature flag"),
	FIELD_BOOL_(C, backup_enabled, "backupEnabled", OUT, "feature flag: VM.start_backup"),
	FIELD_BOOL_(C, cold_backup_enabled, "coldBackupEnabled", OUT, "feature flag"),
	FIELD_BOOL_(C, clear_bitmaps_enabled, "clearBitmapsEnabled", OUT, "feature flag"),
	FIELD_BOOL_(C, cd_change_pdiv, "cd_change_pdiv", OUT, "feature flag"),
	FIELD_BOOL_(C, refresh_disk_supported, "refresh_disk_supported", OUT, "feature flag"),
	FIELD_BOOL_(C, replicate_extend, "replicate_extend", OUT, "feature flag"),
	FIELD_BOOL_(C, measure_subchain, "measure_subchain", OUT, "feature flag"),
	FIELD_BOOL_(C, measure_active, "measure_active", OUT, "feature flag"),
	FIELD_BOOL_(C, qemu_image_info_bitmaps, "qemu_image_info_bitmaps", OUT, "feature flag"),
	FIELD_BOOL_(C, mailbox_events, "mailbox_events", OUT, "feature flag"),
	FIELD_BOOL_(C, zerocopy_migrations, "zerocopy_migrations", OUT, "feature flag"),
	FIELD_BOOL_(C, ovn_configured, "ovnConfigured", OUT, "OVN controller runs"),
	FIELD_JSON_(C, networks, "networks", OUT, "name -> network"),
	FIELD_JSON_(C, bridges, "bridges", OUT, "name -> bridge"),
	FIELD_JSON_(C, bondings, "bondings", OUT, "name -> bond"),
	FIELD_JSON_(C, nics, "nics", OUT,
		    "name -> interface; sriov {device, totalvfs, numvfs}: it can have virtual functions; physfn: it is one, of that interface"),
	FIELD_JSON_(C, vlans, "vlans", OUT, "name -> VLAN"),
	FIELD_JSON_(C, nameservers, "nameservers", OUT, "addresses"),
	FIELD_BOOL_(C, supports_ipv6, "supportsIPv6", OUT, "true"),
	FIELD_BOOL_(C, openvswitch, "openvswitch", OUT, "Open vSwitch runs on this host: networks can have switch ovs (a member of our own)"),
	FIELD_STRING_(C, net_config_dirty, "netConfigDirty", OUT, "True when the running network configuration is not saved"),
	FIELD_STRING_(C, last_client_iface, "lastClientIface", OUT, "device through which this client came in"),
};
const struct record_type host_caps_type = RECORD_TYPE("capabilities", NULL, C, host_caps_fields, "Host.getCapabilities");

static const struct field host_hardware_fields[] = {
	FIELD_STRING_(struct host_hardware, manufacturer, "systemManufacturer", OUT, "DMI manufacturer"),
	FIELD_STRING_(struct host_hardware, product_name, "systemProductName", OUT, "DMI product name"),
	FIELD_STRING_(struct host_hardware, version, "systemVersion", OUT, "DMI version"),
	FIELD_STRING_(struct host_hardware, serial_number, "systemSerialNumber", OUT, "DMI serial number"),
	FIELD_STRING_(struct host_hardware, uuid, "systemUUID", OUT, "DMI UUID"),
	FIELD_STRING_(struct host_hardware, family, "systemFamily", OUT, "DMI family"),
};
const struct record_type host_hardware_type = RECORD_TYPE("hardware", NULL, struct host_hardware, host_hardware_fields, "Host.getHardwareInfo");

static const struct field host_stats_fields[] = {
	FIELD_DECIMAL_(S, cpu_user, "cpuUser", TEXT, "user + nice, of all CPUs", .unit = "%"),
	FIELD_DECIMAL_(S, cpu_sys, "cpuSys", TEXT, "system", .unit = "%"),
	FIELD_DECIMAL_(S, cpu_idle, "cpuIdle", TEXT, "100 - user - system, not below 0", .unit = "%"),
	FIELD_DECIMAL_(S, cpu_user_agent, "cpuUserVdsmd", TEXT, "the agent's user time of one CPU", .unit = "%"),
	FIELD_DECIMAL_(S, cpu_sys_agent, "cpuSysVdsmd", TEXT, "the agent's system time of one CPU", .unit = "%"),
	FIELD_DECIMAL_(S, cpu_load, "cpuLoad", TEXT, "5-minute load average"),
	FIELD_INT_(S, mem_used, "memUsed", TEXT, "memory in use", .unit = "%"),
	FIELD_LONG_(S, anon_huge_pages, "anonHugePages", TEXT, "transparent huge pages", .unit = "MiB"),
	FIELD_JSON_(S, hugepages, "hugepages", OUT, "size in kB -> counts"),
	FIELD_JSON_(S, cpu_statistics, "cpuStatistics", OUT, "cpu -> {nodeIndex, cpuUser, cpuSys, cpuIdle}"),
	FIELD_JSON_(S, numa_node_mem_free, "numaNodeMemFree", OUT, "node -> {memFree (MiB), memPercent (used), hugepages {size in kB -> {freePages}}}"),
	FIELD_JSON_(S, network, "network", OUT, "name -> counters of each link"),
	FIELD_LONG_(S, rx_dropped, "rxDropped", TEXT, "sum over links", .unit = "packets"),
	FIELD_LONG_(S, tx_dropped, "txDropped", TEXT, "sum over links", .unit = "packets"),
	FIELD_JSON_(S, storage_domains, "storageDomains", OUT, "domain -> {code, lastCheck, delay, valid, version, acquired, actual}"),
	FIELD_JSON_(S, disk_stats, "diskStats", OUT, "directory -> {free MiB}"),
	FIELD_JSON_(S, thp_state, "thpState", OUT, "transparent huge page mode"),
	FIELD_JSON_(S, multipath_health, "multipathHealth", OUT, "guid -> {failed_paths, valid_paths} of multipath devices with failed paths; absent: not known"),
	FIELD_JSON_(S, v2v_jobs, "v2vJobs", OUT, "conversions of external VMs under way: always {}"),
	FIELD_LONG_(S, elapsed_time, "elapsedTime", TEXT, "since the agent started", .unit = "s"),
	FIELD_LONG_(S, boot_time, "bootTime", TEXT, "when the host booted, epoch", .unit = "s"),
	FIELD_LONG_(S, mem_committed, "memCommitted", OUT, "memory promised to VMs", .unit = "MiB"),
	FIELD_LONG_(S, mem_available, "memAvailable", OUT, "memory available to new VMs", .unit = "MiB"),
	FIELD_LONG_(S, mem_free, "memFree", OUT, "free + cached + buffers + reclaimable", .unit = "MiB"),
	FIELD_LONG_(S, mem_buffers, "memBuffers", OUT, "buffers", .unit = "MiB"),
	FIELD_LONG_(S, mem_cached, "memCached", OUT, "page cache", .unit = "MiB"),
	FIELD_LONG_(S, swap_cached, "swapCached", OUT, "swap also in memory", .unit = "MiB"),
	FIELD_LONG_(S, swap_total, "swapTotal", OUT, "swap", .unit = "MiB"),
	FIELD_LONG_(S, swap_free, "swapFree", OUT, "free swap", .unit = "MiB"),
	FIELD_INT_(S, vm_count, "vmCount", OUT, "VMs known"),
	FIELD_INT_(S, vm_active, "vmActive", OUT, "VMs that are Up"),
	FIELD_INT_(S, vm_migrating, "vmMigrating", OUT, "VMs that migrate either way"),
	FIELD_INT_(S, incoming_migrations, "incomingVmMigrations", OUT, "VMs that migrate in"),
	FIELD_INT_(S, outgoing_migrations, "outgoingVmMigrations", OUT, "VMs that migrate out"),
	FIELD_STRING_(S, date_time, "dateTime", OUT, "UTC, YYYY-MM-DDTHH:MM:SS GMT"),
	FIELD_STRING_(S, mom_status, "momStatus", OUT, "memory policy: active or inactive"),
	FIELD_BOOL_(S, ksm_state, "ksmState", OUT, "KSM runs"),
	FIELD_INT_(S, ksm_pages, "ksmPages", OUT, "pages to scan"),
	FIELD_BOOL_(S, ksm_merge_across_nodes, "ksmMergeAcrossNodes", OUT, "KSM merges across NUMA nodes"),
	FIELD_LONG_(S, mem_shared, "memShared", OUT, "merged memory", .unit = "MiB"),
	FIELD_INT_(S, ksm_cpu, "ksmCpu", OUT, "CPU of ksmd", .unit = "%"),
	FIELD_STRING_(S, net_config_dirty, "netConfigDirty", OUT, "True when the running network configuration is not saved"),
	FIELD_JSON_(S, ha_stats, "haStats", OUT, "hosted engine: configured, active, score, globalMaintenance, localMaintenance"),
};
const struct record_type host_stats_type = RECORD_TYPE("hostStats", NULL, S, host_stats_fields, "Host.getStats");

static const struct field echo_fields[] = { FIELD_STRING_(struct host_text_params, message, "message", NEED, "text") };
const struct record_type host_echo_params_type = RECORD_TYPE("Host.echo", NULL, struct host_text_params, echo_fields, "Parameters of Host.echo");

static const struct field log_level_fields[] = {
	FIELD_STRING_(struct host_log_level_params, level, "level", NEED, "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
	FIELD_STRING_(struct host_log_level_params, name, "name", IN, "module; all when absent or empty"),
};
const struct record_type host_log_level_params_type =
	RECORD_TYPE("Host.setLogLevel", NULL, struct host_log_level_params, log_level_fields, "Parameters of Host.setLogLevel");

static const struct field claim_fields[] = {
	FIELD_UUID_(struct host_claim_params, engine_id, "engineID", NEED, "id of the engine"),
	FIELD_STRING_(struct host_claim_params, engine_name, "engineName", IN, "where it can be found, for people", .max = 255),
	FIELD_BOOL_(struct host_claim_params, force, "force", IN, "take the host over from another engine", .def = "false"),
};
const struct record_type host_claim_params_type =
	RECORD_TYPE("Host.claim", NULL, struct host_claim_params, claim_fields, "An engine that wants to manage the host");

static const struct field certificate_request_fields[] = {
	FIELD_STRING_(struct certificate_request, request, "request", OUT, "what is to be signed: PKCS #10, PEM"),
	FIELD_STRING_(struct certificate_request, certificate, "certificate", OUT, "the certificate of now, whose names the new one is to have; PEM"),
};
const struct record_type certificate_request_type =
	RECORD_TYPE("certificate request", NULL, struct certificate_request, certificate_request_fields, "A wish for a new certificate");
static const struct field host_certificate_fields[] = {
	FIELD_STRING_(struct host_certificate_params, certificate, "certificate", NEED, "PEM", .max = 65536),
};
const struct record_type host_certificate_params_type =
	RECORD_TYPE("Host.setCertificate", NULL, struct host_certificate_params, host_certificate_fields, "A new certificate");

static const struct field jobs_fields[] = {
	FIELD_STRING_(struct host_jobs_params, job_type, "job_type", IN, "only jobs of this type"),
	FIELD_STRINGS_(struct host_jobs_params, job_ids, "job_ids", IN, "only these jobs; all when absent or empty"),
};
const struct record_type host_jobs_params_type = RECORD_TYPE("Host.getJobs", NULL, struct host_jobs_params, jobs_fields, "Parameters of Host.getJobs");

static const struct field job_id_fields[] = { FIELD_STRING_(struct job_id_params, job_id, "jobID", NEED, "id of the job") };
const struct record_type job_id_params_type = RECORD_TYPE("job id", NULL, struct job_id_params, job_id_fields, "A job");
