/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this host can do (Host.getCapabilities). Computed at each call, on a worker, from /proc, /sys and one look at libvirt;
 * engines ask rarely. kvmEnabled is what was measured (acceleration.c), not that a device file exists. Feature flags say what
 * this agent has: an engine takes a missing one for a reason to do without.
 */
#define LOG_MODULE "host"
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "agent/host/host-priv.h"
#include "agent/virt/vms.h"
#include "common/xml.h"
#include "common/log.h"

#ifndef BERTH_VERSION
#define BERTH_VERSION "0.1.0"
#endif
#define GUEST_OVERHEAD_MIB "65"
#define RESERVED_MIB "321"

/* "key : value" of /proc/cpuinfo, first processor; g_free */
static char *cpuinfo(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line && *line && *line != '\n'; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *colon = strchr(line, ':'), *end = strchr(line, '\n');

		if (!strncmp(line, key, length) && strchr("\t :", line[length]) && colon && (!end || colon < end))
			return g_strstrip(end ? g_strndup(colon + 1, (gsize)(end - colon - 1)) : g_strdup(colon + 1));
	}
	return NULL;
}

/* ---- processors ---- */

static void fill_flags(struct host_caps *caps, const char *info, const xmlNode *domain)
{
	g_autofree char *flags = cpuinfo(info, "flags");
	g_autoptr(GString) all = g_string_new(NULL);
	g_auto(GStrv) words = g_strsplit(flags ? flags : "", " ", -1);

	for (char **word = words; *word; word++)
		if (**word)
			g_string_append_printf(all, "%s%s", all->len ? "," : "", *word);
	for XML_EACH(mode, xml_child(domain, "cpu"), "mode") {
		if (!xml_is(mode, "name", "custom"))
			continue;
		for XML_EACH(model, mode, "model") {
			g_autofree char *name = xml_is(model, "usable", "yes") ? xml_text(model) : NULL;

			if (name)
				g_string_append_printf(all, "%smodel_%s", all->len ? "," : "", name);
		}
	}
	/* what the hypervisor adds to the processor's own: spec-ctrl, ssbd, md-clear ... */
	for XML_EACH(mode, xml_child(domain, "cpu"), "mode") {
		if (!xml_is(mode, "name", "host-model"))
			continue;
		for XML_EACH(feature, mode, "feature") {
			g_autofree char *name = xml_is(feature, "policy", "require") ? xml_get(feature, "name") : NULL;

			if (name && !g_strv_contains((const char *const *)words, name))
				g_string_append_printf(all, "%s%s", all->len ? "," : "", name);
		}
	}
	set_string(&caps->cpu_flags, all->str);
}

/* {"4": {"totalPages": "123"}}: by size in KiB */
static json_t *cell_pages(const xmlNode *cell)
{
	json_t *map = json_object();

	for XML_EACH(pages, cell, "pages") {
		g_autofree char *size = xml_get(pages, "size"), *count = xml_text(pages);

		if (size && count)
			json_object_set_new(map, size, json_pack("{s:s}", "totalPages", count));
	}
	return map;
}

static int distinct(GHashTable *set)
{
	int n = (int)g_hash_table_size(set);

	g_hash_table_destroy(set);
	return MAX(n, 1);
}

/* Processors, sockets, cores and NUMA cells from libvirt's view of the topology. */
static void fill_topology(struct host_caps *caps, const xmlNode *host)
{
	GHashTable *sockets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
		*cores = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GString) online = g_string_new(NULL);
	int threads = 0;

	caps->cpu_topology = json_array();
	caps->numa_nodes = json_object();
	caps->numa_node_distance = json_object();
	for XML_EACH(cell, xml_find(host, "topology/cells"), "cell") {
		g_autofree char *cell_id = xml_get(cell, "id"), *memory = xml_text(xml_child(cell, "memory"));
		json_t *cpus = json_array(), *distances = json_array();

		for XML_EACH(cpu, xml_child(cell, "cpus"), "cpu") {
			int64_t id = xml_get_number(cpu, "id", 0), socket = xml_get_number(cpu, "socket_id", 0), die = xml_get_number(cpu, "die_id", 0),
				core = xml_get_number(cpu, "core_id", 0);

			json_array_append_new(cpus, json_integer(id));
			json_array_append_new(caps->cpu_topology,
					      json_pack("{s:I, s:i, s:I, s:I, s:I}", "cpu_id", (json_int_t)id, "numa_cell_id", atoi(cell_id ? cell_id : "0"),
							"socket_id", (json_int_t)socket, "die_id", (json_int_t)die, "core_id", (json_int_t)core));
			g_hash_table_add(sockets, g_strdup_printf("%" PRId64, socket));
			g_hash_table_add(cores, g_strdup_printf("%" PRId64 "/%" PRId64 "/%" PRId64, socket, die, core));
			g_string_append_printf(online, "%s%" PRId64, online->len ? "," : "", id);
			threads++;
		}
		for XML_EACH(sibling, xml_child(cell, "distances"), "sibling")
			json_array_append_new(distances, json_integer(xml_get_number(sibling, "value", 10)));
		json_object_set_new(caps->numa_nodes, cell_id ? cell_id : "0",
				    json_pack("{s:o, s:o, s:o}", "totalMemory",
					      json_sprintf("%" PRId64, (memory ? g_ascii_strtoll(memory, NULL, 10) : 0) / 1024), "hugepages",
					      cell_pages(cell), "cpus", cpus));
		json_object_set_new(caps->numa_node_distance, cell_id ? cell_id : "0", distances);
	}
	if (!threads) {
		threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
		for (int i = 0; i < threads; i++)
			g_string_append_printf(online, "%s%d", i ? "," : "", i);
		g_hash_table_destroy(cores);
		cores = NULL;
	}
	SET(caps, cpu_threads, threads);
	SET(caps, cpu_cores, cores ? distinct(cores) : threads);
	SET(caps, cpu_sockets, distinct(sockets));
	set_string(&caps->online_cpus, online->str);
}

static void fill_cpu(struct host_caps *caps, const xmlNode *host, const xmlNode *domain)
{
	g_autofree char *info = file_text("/proc/cpuinfo"), *speed = cpuinfo(info, "cpu MHz"), *model = cpuinfo(info, "model name");
	g_autofree char *intel = file_text("/sys/module/kvm_intel/parameters/nested"), *amd = file_text("/sys/module/kvm_amd/parameters/nested");
	const char *nested = intel ? intel : amd;
	cpu_set_t set;

	set_string(&caps->cpu_speed, speed ? speed : "0.000");
	set_string(&caps->cpu_model, model ? model : "unknown");
	fill_flags(caps, info, domain);
	fill_topology(caps, host);
	caps->affinity = json_array();
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &set))
				json_array_append_new(caps->affinity, json_integer(i));
	SET(caps, nested_virtualization, nested && (*nested == 'Y' || *nested == '1'));
	for XML_EACH(counter, xml_child(host, "cpu"), "counter")
		if (xml_is(counter, "name", "tsc")) {
			g_free(caps->tsc_frequency);
			caps->tsc_frequency = xml_get(counter, "frequency");
			SET(caps, tsc_scaling, xml_is(counter, "scaling", "yes"));
		}
}

/* ---- software ---- */

static char *os_release(const char *text, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	size_t length = strlen(key);

	for (char **line = lines; *line; line++)
		if (!strncmp(*line, key, length) && (*line)[length] == '=')
			return g_shell_unquote(*line + length + 1, NULL);
	return NULL;
}

/* What runs tells its own version; the release is its package's. */
static void set_package(json_t *packages, const char *name, unsigned long version)
{
	json_t *package = json_object_get(packages, name), *text;

	if (!version)
		return;
	if (!package)
		json_object_set_new(packages, name, package = json_pack("{s:s}", "release", "1"));
	text = json_sprintf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
	json_object_set_new(package, "version", text);
}

/* 4.7 came with libvirt 8.0, 4.8 with libvirt 10.10 and QEMU 9.1: what VMs of these levels are made of is missing before. */
static json_t *cluster_levels(const struct vms_libvirt *libvirt)
{
	json_t *levels = json_pack("[s,s,s,s,s]", "4.2", "4.3", "4.4", "4.5", "4.6");

	if (libvirt->libvirt_version >= 8000000)
		json_array_append_new(levels, json_string("4.7"));
	if (libvirt->libvirt_version >= 10010000 && libvirt->qemu_version >= 9001000)
		json_array_append_new(levels, json_string("4.8"));
	return levels;
}

static void fill_software(struct host_caps *caps, const struct vms_libvirt *libvirt)
{
	g_autofree char *release = file_text("/etc/os-release"), *name = os_release(release, "NAME"), *version = os_release(release, "VERSION_ID");
	g_autofree char *pretty = os_release(release, "PRETTY_NAME"), *cmdline = file_text("/proc/cmdline"),
		*boot = file_text("/proc/sys/kernel/random/boot_id");
	struct utsname kernel;

	uname(&kernel);
	caps->operating_system =
		json_pack("{s:s, s:s, s:s, s:s}", "release", "1", "version", version ? version : "", "name", name ? name : "Linux",
			  "pretty_name", pretty ? pretty : "Linux");
	caps->packages2 = packages_installed();
	json_object_set_new(caps->packages2, "kernel", json_pack("{s:s, s:s}", "version", kernel.release, "release", "1"));
	json_object_set_new(caps->packages2, "vdsm", json_pack("{s:s, s:s}", "version", BERTH_VERSION, "release", "1"));
	set_package(caps->packages2, "libvirt", libvirt->libvirt_version);
	set_package(caps->packages2, "qemu-kvm", libvirt->qemu_version);
	set_package(caps->packages2, "qemu-img", libvirt->qemu_version);
	set_string(&caps->kernel_args, cmdline ? cmdline : "");
	set_string(&caps->boot_uuid, boot);
	set_string(&caps->version_name, "Berth");
	set_string(&caps->software_version, BERTH_VERSION);
	set_string(&caps->software_revision, "1");
	caps->supported_engines = json_pack("[s,s,s,s]", "4.2", "4.3", "4.4", "4.5");
	caps->cluster_levels = cluster_levels(libvirt);
}

static json_t *machines(const xmlNode *capabilities)
{
	struct utsname kernel;
	json_t *names = json_array();

	uname(&kernel);
	for XML_EACH(guest, capabilities, "guest") {
		xmlNode *arch = xml_child(guest, "arch");
		g_autofree char *os = xml_text(xml_child(guest, "os_type"));

		if (!xml_is(arch, "name", kernel.machine) || g_strcmp0(os, "hvm"))
			continue;
		for XML_EACH(machine, arch, "machine") {
			g_autofree char *name = xml_text(machine);

			json_array_append_new(names, json_string(name));
		}
	}
	return names;
}

/* ---- the rest ---- */

static json_t *flaws(void)
{
	static const char *const switches[][2] = { { "PTI", "pti_enabled" }, { "IBRS", "ibrs_enabled" }, { "RETP", "retp_enabled" } };
	const char *const directory = "/sys/devices/system/cpu/vulnerabilities";
	GDir *dir = g_dir_open(directory, 0, NULL);
	json_t *map = json_object();
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, name, NULL), *text = file_text(path), *upper = g_ascii_strup(name, -1);

		if (text)
			json_object_set_new(map, upper, json_string(text));
	}
	for (size_t i = 0; i < G_N_ELEMENTS(switches); i++) {
		g_autofree char *path = g_build_filename("/sys/kernel/debug/x86", switches[i][1], NULL);
		int64_t value = file_number(path, -1);

		if (value >= 0)
			json_object_set_new(map, switches[i][0], json_integer(value));
	}
	if (dir)
		g_dir_close(dir);
	return map;
}

static json_t *huge_sizes(void)
{
	GDir *dir = g_dir_open("/sys/kernel/mm/hugepages", 0, NULL);
	json_t *sizes = json_array();
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, "hugepages-"))
			json_array_append_new(sizes, json_integer(g_ascii_strtoll(name + strlen("hugepages-"), NULL, 10)));
	if (dir)
		g_dir_close(dir);
	return sizes;
}

static json_t *adapters(const char *iqn)
{
	GDir *dir = g_dir_open("/sys/class/fc_host", 0, NULL);
	json_t *fc = json_array(), *iscsi = json_array();
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *port = g_build_filename("/sys/class/fc_host", name, "port_name", NULL),
			*node = g_build_filename("/sys/class/fc_host", name, "node_name", NULL),
			*symbol = g_build_filename("/sys/class/fc_host", name, "symbolic_name", NULL);
		g_autofree char *wwpn = file_text(port), *wwnn = file_text(node), *model = file_text(symbol);

		/* as vdsm has them: without 0x */
		json_array_append_new(fc, json_pack("{s:s, s:s, s:s}", "wwpn", wwpn ? wwpn + 2 * g_str_has_prefix(wwpn, "0x") : "", "wwnn",
						    wwnn ? wwnn + 2 * g_str_has_prefix(wwnn, "0x") : "", "model", model ? model : ""));
	}
	if (dir)
		g_dir_close(dir);
	if (iqn)
		json_array_append_new(iscsi, json_pack("{s:s}", "InitiatorName", iqn));
	return json_pack("{s:o, s:o}", "iSCSI", iscsi, "FC", fc);
}

static char *initiator(void)
{
	g_autofree char *text = file_text("/etc/iscsi/initiatorname.iscsi");
	const char *line = text ? strstr(text, "InitiatorName=") : NULL;

	return line ? g_strchomp(g_strndup(line + strlen("InitiatorName="), strcspn(line + strlen("InitiatorName="), "\n"))) : NULL;
}

static bool has_entries(const char *directory)
{
	GDir *dir = g_dir_open(directory, 0, NULL);
	bool any = dir && g_dir_read_name(dir);

	if (dir)
		g_dir_close(dir);
	return any;
}

/* On: there is one, and devices are in its groups. */
static bool iommu(void)
{
	return has_entries("/sys/class/iommu") && has_entries("/sys/kernel/iommu_groups");
}

/* kexec is loaded and other hosts are told of a dump (fence_kdump): 1; not both: 0; the kernel does not say: -1 */
static int kdump(void)
{
	int64_t loaded = file_number("/sys/kernel/kexec_crash_loaded", -1);
	g_autofree char *conf = file_text("/etc/kdump.conf");
	g_auto(GStrv) lines = g_strsplit(conf ? conf : "", "\n", -1);

	if (loaded != 1)
		return (int)loaded;
	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(g_strchug(*line), "fence_kdump_nodes"))
			return 1;
	return 0;
}

/* "vnc_tls = 1" of libvirt's qemu.conf */
static bool vnc_tls(const struct agent *agent)
{
	g_autofree char *text = file_text(config_string(agent->config, "libvirt", "qemu_conf"));

	return text && g_regex_match_simple("^\\s*vnc_tls\\s*=\\s*1\\s*$", text, G_REGEX_MULTILINE, 0);
}

static void fill_rest(const struct host *host, const struct vms_libvirt *libvirt, const xmlNode *domain, struct host_caps *caps)
{
	g_autofree char *memory = file_text("/proc/meminfo"), *iqn = initiator(), *selinux = file_text("/sys/fs/selinux/enforce"),
		*apparmor = file_text("/sys/module/apparmor/parameters/enabled");

	SET(caps, mem_size, meminfo_kib(memory, "MemTotal") / 1024);
	set_string(&caps->guest_overhead, GUEST_OVERHEAD_MIB);
	set_string(&caps->reserved_mem, RESERVED_MIB);
	caps->vm_types = json_pack("[s]", "kvm");
	caps->rng_sources = access("/dev/hwrng", F_OK) == 0 ? json_pack("[s,s]", "random", "hwrng") : json_pack("[s]", "random");
	caps->hugepages = huge_sizes();
	caps->hba_inventory = adapters(iqn);
	set_string(&caps->iscsi_initiator, iqn ? iqn : "");
	caps->domain_versions = json_pack("[i,i,i,i,i]", 0, 2, 3, 4, 5);
	caps->supported_block_size = json_pack("{s:[i], s:[i], s:[i]}", "LOCALFS", 512, "NFS", 512, "POSIXFS", 512);
	caps->selinux = json_pack("{s:s}", "mode", selinux ? selinux : "-1");
	caps->kernel_features = flaws();
	caps->additional_features = json_array();
	set_string(&caps->live_snapshot, "true");
	set_string(&caps->live_merge, "true");
	set_string(&caps->hostdev_passthrough, iommu() ? "true" : "false");
	SET(caps, apparmor, apparmor && *apparmor == 'Y');
	SET(caps, tpm_supported, xml_is(xml_find(domain, "devices/tpm"), "supported", "yes"));
	SET(caps, kdump_status, kdump());
	SET(caps, auto_numa_balancing, (int)file_number("/proc/sys/kernel/numa_balancing", 2));
	SET(caps, realtime_kernel, file_number("/sys/kernel/realtime", 0) == 1);
	SET(caps, fips_enabled, file_number("/proc/sys/crypto/fips_enabled", 0) == 1);
	SET(caps, hosted_engine_deployed, access(HOSTED_ENGINE_CONF, F_OK) == 0);
	SET(caps, vnc_encrypted, vnc_tls(host->agent));
	SET(caps, deferred_preallocation, true);
	SET(caps, backup_enabled, true);
	SET(caps, cold_backup_enabled, true);
	SET(caps, clear_bitmaps_enabled, true);
	SET(caps, cd_change_pdiv, true);
	SET(caps, refresh_disk_supported, true);
	SET(caps, replicate_extend, false);
	SET(caps, measure_subchain, false);
	SET(caps, measure_active, false);
	SET(caps, qemu_image_info_bitmaps, true);
	SET(caps, mailbox_events, false);
	SET(caps, zerocopy_migrations, libvirt->libvirt_version >= 8005000);
	SET(caps, ovn_configured, access("/run/ovn/ovn-controller.pid", F_OK) == 0);
	SET(caps, supports_ipv6, true);
}

void capabilities_fill(struct host *host, struct host_caps *caps)
{
	struct vms_libvirt libvirt = { 0 };
	g_autoptr(xmlDoc) capabilities = NULL;
	g_autoptr(xmlDoc) domain = NULL;
	g_autoptr(GError) error = NULL;
	xmlNode *root = NULL;

	if (!vms_libvirt(host->agent->vms, &libvirt, &error))
		log_warn("capabilities without libvirt's part, ignoring: %s", error->message);
	if (libvirt.capabilities && (capabilities = xml_parse(libvirt.capabilities, strlen(libvirt.capabilities), NULL)))
		root = xmlDocGetRootElement(capabilities);
	if (libvirt.domain_capabilities)
		domain = xml_parse(libvirt.domain_capabilities, strlen(libvirt.domain_capabilities), NULL);
	set_string(&caps->uuid, host->uuid);
	set_string(&caps->kvm_enabled, host->kvm ? "true" : "false");
	set_string(&caps->acceleration, host->kvm ? "kvm" : "tcg");
	set_string(&caps->acceleration_reason, host->reason);
	fill_cpu(caps, xml_child(root, "host"), domain ? xmlDocGetRootElement(domain) : NULL);
	fill_software(caps, &libvirt);
	caps->emulated_machines = machines(root);
	fill_rest(host, &libvirt, domain ? xmlDocGetRootElement(domain) : NULL, caps);
	vms_libvirt_clear(&libvirt);
}
