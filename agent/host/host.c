/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host: who it is, what it can do (capabilities.c), how busy it is (statistics.c), and the verbs that ask.
 *
 * The id is made once and never changes: state_dir/host.id, else the one that a vdsm on this host had, else the DMI UUID, else a random one; it is
 * written to state_dir/host.id so that a firmware update or a swapped board does not turn the host into another. Machines without DMI (this is
 * common in VMs) share no id.
 */
#define LOG_MODULE "host"
#include <errno.h>
#include <string.h>
#include "agent/hooks.h"
#include "agent/host/fence.h"
#include "agent/host/host-priv.h"
#include "agent/host/ova.h"
#include "agent/host/certificate.h"
#include "agent/host/owner.h"
#include "agent/host/policy.h"
#include "agent/net/net.h"
#include "agent/storage/storage.h"
#include "agent/virt/device/node_devices.h"
#include "agent/virt/domain/external_vms.h"
#include "agent/virt/vms.h"
#include "common/error.h"
#include "common/log.h"

#define DMI_DIRECTORY "/sys/class/dmi/id"
#define VDSM_ID "/etc/vdsm/vdsm.id"

/* ---- small files ---- */

char *file_text(const char *path)
{
	char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strchomp(text);
}

int64_t file_number(const char *path, int64_t otherwise)
{
	g_autofree char *text = file_text(path);
	gint64 value;

	return text && g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &value, NULL) ? value : otherwise;
}

int64_t meminfo_kib(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *at = line;

		if (g_str_has_prefix(at, "Node ")) {            /* "Node 0 MemTotal: ..." of a node's own file */
			at = strchr(at + 5, ' ');
			at = at ? at + 1 : line;
		}
		if (!strncmp(at, key, length) && at[length] == ':')
			return g_ascii_strtoll(at + length + 1, NULL, 10);
	}
	return 0;
}

int64_t meminfo_free_kib(const char *text)
{
	return meminfo_kib(text, "MemFree") + meminfo_kib(text, "Cached") + meminfo_kib(text, "Buffers") + meminfo_kib(text, "SReclaimable");
}

/* ---- identity ---- */

static char *find_uuid(const char *file)
{
	g_autofree char *kept = file_text(file), *dmi = NULL, *lower = NULL;

	if (!kept)
		kept = file_text(VDSM_ID);
	if (kept && g_uuid_string_is_valid(kept))
		return g_ascii_strdown(kept, -1);
	dmi = file_text(DMI_DIRECTORY "/product_uuid");
	lower = dmi ? g_ascii_strdown(dmi, -1) : NULL;
	if (lower && g_uuid_string_is_valid(lower) && strcmp(lower, "00000000-0000-0000-0000-000000000000") &&
	    strcmp(lower, "ffffffff-ffff-ffff-ffff-ffffffffffff"))
		return g_steal_pointer(&lower);
	return g_uuid_string_random();
}

struct host *host_new(struct agent *agent, GError **error)
{
	struct host *host = g_new0(struct host, 1);
	g_autofree char *file = g_build_filename(agent->state_dir, "host.id", NULL), *line = NULL;
	g_autoptr(GError) cause = NULL;

	host->agent = agent;
	host->uuid = find_uuid(file);
	line = g_strconcat(host->uuid, "\n", NULL);
	if (!g_file_test(file, G_FILE_TEST_EXISTS) && !g_file_set_contents(file, line, -1, &cause)) {
		error_set(error, ERR_INVALID_CONFIGURATION, "cannot keep the host's id: %s", cause->message);
		return host_free(host);
	}
	host->kvm = acceleration_probe("/dev/kvm", /* ret_level= */ NULL, &host->reason);
	if (host->kvm)
		log_info("host %s: VMs run on KVM", host->uuid);
	else
		log_warn("host %s: VMs run without hardware acceleration: %s", host->uuid, host->reason);
	host->statistics = statistics_new(host);
	host->policy = policy_new(agent, config_int(agent->config, "host", "policy_period") * G_USEC_PER_SEC);
	return host;
}

struct host *host_free(struct host *host)
{
	if (!host)
		return NULL;
	policy_free(host->policy);
	statistics_free(host->statistics);
	g_free(host->uuid);
	g_free(host->reason);
	g_free(host);
	return NULL;
}

const char *host_uuid(struct host *host)
{
	return host->uuid;
}

bool host_has_kvm(struct host *host)
{
	return host->kvm;
}

const char *host_acceleration_reason(struct host *host)
{
	return host->reason;
}

struct policy *host_policy(struct host *host)
{
	return host->policy;
}

/* ---- verbs ---- */

static bool ping(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return true;
}

/* The deprecated one also confirms connectivity to a waiting setupNetworks. */
static bool ping_confirm(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	net_confirm(agent->net);
	return true;
}

static bool echo(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_text_params *p = params;
	g_autofree char *quoted = g_strescape(p->message, NULL);

	log_info("echo: \"%.200s\"%s", quoted, strlen(quoted) > 200 ? "..." : "");
	result_json(ret_result, json_string(p->message));
	return true;
}

static bool get_capabilities(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct host_caps *caps;
	g_autoptr(GError) cause = NULL;

	if (!hooks_run_over(agent->hooks, "before_get_caps", NULL, NULL, error))
		return false;
	caps = record_new(&host_caps_type);
	capabilities_fill(agent->host, caps);
	if (!net_capabilities(agent->net, call->local_address, caps, &cause))
		log_warn("network part of the capabilities is missing, ignoring: %s", cause->message);
	caps->hooks = hooks_inventory(agent->hooks);
	result_record(ret_result, caps);
	record_unref(caps);
	return hooks_run_over(agent->hooks, "after_get_caps", NULL, ret_result, error);
}

static bool get_hardware_info(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct host_hardware *hardware = record_new(&host_hardware_type);

	hardware_fill(hardware, DMI_DIRECTORY);
	result_record(ret_result, hardware);
	record_unref(hardware);
	return true;
}

static bool get_stats(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct host_stats *stats;
	g_autoptr(GError) cause = NULL;

	if (!hooks_run_over(agent->hooks, "before_get_stats", NULL, NULL, error))
		return false;
	stats = record_new(&host_stats_type);
	statistics_fill(agent->host, stats);
	if (!net_statistics(agent->net, stats, &cause))
		log_warn("network part of the statistics is missing, ignoring: %s", cause->message);
	stats->storage_domains = storage_health(agent->storage);
	set_string(&stats->net_config_dirty, net_config_dirty(agent->net) ? "True" : "False");
	result_record(ret_result, stats);
	record_unref(stats);
	return hooks_run_over(agent->hooks, "after_get_stats", NULL, ret_result, error);
}

static bool set_log_level(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct host_log_level_params *p = params;
	enum log_level level = !g_ascii_strcasecmp(p->level, "CRITICAL") ? LOG_LEVEL_ERROR : log_level_from_name(p->level);

	if (level == LOG_LEVEL_INVALID) {
		error_set(error, ERR_INVALID_PARAMETER, "level: '%s' is not one of DEBUG, INFO, WARNING, ERROR, CRITICAL", p->level);
		return false;
	}
	log_set_level(p->name && *p->name ? p->name : NULL, level);
	log_info("log level of %s is %s", p->name && *p->name ? p->name : "everything", log_level_name(level));
	return true;
}

/* What VMs could run on, tried now; what they do run on was found when the agent started (Host.getCapabilities). */
static bool probe_accelerators(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	static const char *const levels[] = { [ACCELERATION_NONE] = "none", [ACCELERATION_REAL_MODE] = "realmode", [ACCELERATION_LONG_MODE] = "longmode" };
	g_autofree char *reason = NULL, *tcg_reason = NULL;
	g_autoptr(GError) cause = NULL;
	int64_t begun = now_usec(), kvm_usec;
	enum acceleration_level level;
	bool kvm = acceleration_probe("/dev/kvm", &level, &reason), tcg;

	kvm_usec = now_usec() - begun;
	begun = now_usec();
	tcg = vms_has_emulator(agent->vms, &cause);
	if (!tcg)
		tcg_reason = g_strdup(cause->message);
	result_json(ret_result, json_pack("[{s:s, s:b, s:s, s:s, s:I}, {s:s, s:b, s:s, s:s, s:I}]", "name", "kvm", "usable", kvm, "reason", reason ? reason : "",
					  "level", levels[level], "ms", (json_int_t)kvm_usec / 1000, "name", "tcg", "usable", tcg, "reason",
					  tcg_reason ? tcg_reason : "", "level", tcg ? "longmode" : "none", "ms", (json_int_t)(now_usec() - begun) / 1000));
	return true;
}

static bool no_import(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	error_set(error, ERR_UNSUPPORTED_OPERATION, "this agent does not convert VMs (virt-v2v); Host.getExternalVMs and Host.getExternalVmFromOva describe them");
	return false;
}

/* The agent of a hosted engine keeps its state on shared storage; there is none beside this agent. */
static bool set_ha_maintenance(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct ha_maintenance_params *p = params;

	error_set(error, ERR_SET_HA_POLICY_FAILED, "mode '%s': no hosted engine's HA agent serves this host", p->mode);
	return false;
}

const struct verb_binding host_bindings[] = {
	{ "Host.ping", ping_confirm },
	{ "Host.ping2", ping },
	{ "Host.echo", echo },
	{ "Host.getCapabilities", get_capabilities },
	{ "Host.getHardwareInfo", get_hardware_info },
	{ "Host.getStats", get_stats },
	{ "Host.setLogLevel", set_log_level },
	{ "Host.requestCertificate", certificate_request_verb },
	{ "Host.setCertificate", certificate_set_verb },
	{ "Host.claim", owner_claim },
	{ "Host.release", owner_release },
	{ "Host.probeAccelerators", probe_accelerators },
	{ "Host.hostdevListByCaps", node_devices_list_verb },
	{ "Host.hostdevReattach", node_devices_reattach_verb },
	{ "Host.getExternalVMs", external_vms_verb },
	{ "Host.getExternalVMNames", external_vm_names_verb },
	{ "Host.getExternalVmFromOva", ova_verb },
	{ "Host.convertExternalVm", no_import },
	{ "Host.convertExternalVmFromOva", no_import },
	{ "Host.getConvertedVm", no_import },
	{ "Host.abortV2VJob", no_import },
	{ "Host.deleteV2VJob", no_import },
	{ "Host.setKsmTune", policy_ksm_verb },
	{ "Host.setMOMPolicy", policy_text_verb },
	{ "Host.setMOMPolicyParameters", policy_parameters_verb },
	{ "Host.fenceNode", fence_verb },
	{ "Host.setHaMaintenanceMode", set_ha_maintenance },
};
const size_t n_host_bindings = G_N_ELEMENTS(host_bindings);
