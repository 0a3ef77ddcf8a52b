/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts (REST chapter 14): the resource; actions are in host_actions.c.
 *
 * A host is added in this order: the agent is asked who it is (so TLS has checked its certificate), nobody else may have it, it is claimed for this engine,
 * then it is stored and its session begins. Until it is stored nothing has changed here; a claim whose host could not be stored is given back.
 * Where no agent answers with a certificate of our CA and this engine has the agent's package, the host is stored as *installing*, and installed over SSH
 * after the answer (host_install.c).
 */
#include "engine/api/res_host.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/api/action.h"
#include "engine/api/host_deploy.h"
#include "engine/api/host_install.h"
#include "engine/api/res_data.h"
#include "engine/api/statistics.h"
#include "engine/deploy/package.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/agent.h"
#include "engine/flow/flow.h"
#include "engine/flow/host_policy.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include "engine/model/storage_domain.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"
#include "proto/host.h"

#define LOG_MODULE "api"
#define PROBE_TIMEOUT_S 10
#define RECOVERY_S 15
#define DEFAULT_CLUSTER "Default"
#define RESERVE_BYTES (INT64_C(256) << 20)       /* of the host itself, as in placement */
#define OVERHEAD_BYTES (INT64_C(65) << 20)       /* of each VM */
#define STATE(state) (1u << (state))

/* Event codes, appendix C */
#define EVENT_ADDED 42
#define EVENT_UPDATED 43
#define EVENT_REMOVED 44

/* ---- shown ---- */

static int64_t schedulable(struct model *model, const struct host *host, const GPtrArray *vms)
{
	struct cluster *cluster = host->cluster.id ? model_get(model, &cluster_kind, host->cluster.id) : NULL;
	int percent = cluster && HAS(cluster, overcommit_percent) ? MAX(cluster->overcommit_percent, 100) : 100;
	int64_t left = host->memory / 100 * percent - RESERVE_BYTES;

	for (guint i = 0; i < vms->len; i++)
		left -= ((const struct vm *)vms->pdata[i])->memory + OVERHEAD_BYTES;
	record_unref(cluster);
	return MAX(left, 0);
}

static void *view(struct request *request, void *record)
{
	struct host *host = record_shadow(record);
	g_autoptr(GPtrArray) vms = model_referring(request->engine->model, &vm_kind, offsetof(struct vm, host), host->id);
	int active = 0, migrating = 0;

	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];

		active += vm->state == VM_UP || vm->state == VM_POWERING_UP || vm->state == VM_REBOOT_IN_PROGRESS;
		migrating += vm->state == VM_MIGRATING_FROM || vm->state == VM_MIGRATING_TO;
	}
	SET(host, vms_active, active);
	SET(host, vms_migrating, migrating);
	SET(host, vms_total, (int)vms->len);
	SET(host, update_available, package_is_update(request->engine->config, host->version_full));
	host_show_agents(request->engine->model, host);
	if (HAS(host, memory))
		SET(host, max_scheduling_memory, schedulable(request->engine->model, host, vms));
	return host;
}

/* ---- rules ---- */

bool host_fits_cluster(struct model *model, void *data, GError **error)
{
	const struct host *host = data;
	struct cluster *cluster = model_get(model, &cluster_kind, host->cluster.id);
	struct datacenter *data_center = cluster && cluster->data_center.id ? model_get(model, &datacenter_kind, cluster->data_center.id) : NULL;
	g_autoptr(GPtrArray) clusters = NULL;
	bool ok = true;

	if (data_center && data_center->local)
		clusters = model_referring(model, &cluster_kind, offsetof(struct cluster, data_center), data_center->id);
	for (guint i = 0; clusters && i < clusters->len && ok; i++) {
		g_autoptr(GPtrArray) hosts = model_referring(model, &host_kind, offsetof(struct host, cluster), object_id(clusters->pdata[i]));

		for (guint j = 0; j < hosts->len && ok; j++) {
			ok = !strcmp(object_id(hosts->pdata[j]), host->id);
			if (!ok)
				error_set(error, ERR_OPERATION_FAILED, "cluster '%s': data center '%s' has local storage, which belongs to its one host '%s'",
					  cluster->name, data_center->name, object_name(hosts->pdata[j]));
		}
	}
	record_unref(data_center);
	record_unref(cluster);
	return ok;
}

/* agents: the host has power devices as objects of their own. */
static bool check_power_management(const struct host *host, bool agents, GError **error)
{
	bool complete = !host->pm_enabled || (host->pm_type && host->pm_address) || (host->pm_agents && host->pm_agents->len) || agents;

	if (!complete)
		error_set(error, ERR_OPERATION_FAILED, "host: power_management: enabled needs %s", host->pm_type ? "address" : host->pm_address ? "@type" :
			  "@type and address");
	return complete;
}

/* ---- calls ---- */

bool host_check_up(const struct host *host, GError **error)
{
	if (host->state != HOST_UP)
		error_set(error, ERR_WRONG_STATE, "host '%s' is %s: it can be asked only while it is up", host->name, host_state_names[host->state]);
	return host->state == HOST_UP;
}

bool host_call(struct request *request, const struct host *host, const char *verb, const void *params, int timeout_s, json_t **ret_result, GError **error)
{
	struct fleet *fleet = request->engine->fleet;

	if (fleet_is_connected(fleet, host->id) || host->state != HOST_MAINTENANCE)
		return fleet_call(fleet, host->id, verb, params, request->actor.correlation_id, timeout_s, ret_result, error);
	return fleet_probe(fleet, host->address, host->port, verb, params, timeout_s, ret_result, NULL, error);
}

static struct host_caps *caps_from(const json_t *json, GError **error)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct host_caps *caps = record_from_json(&host_caps_type, json, &input, error);

	record_input_clear(&input);
	return caps;
}

struct host_caps *host_capabilities(struct request *request, const struct host *host, GError **error)
{
	struct host_caps *caps = fleet_host_caps(request->engine->fleet, host->id);
	json_t *json = NULL;

	if (!caps && host_call(request, host, "Host.getCapabilities", NULL, PROBE_TIMEOUT_S, &json, error))
		caps = caps_from(json, error);
	json_decref(json);
	return caps;
}

/* One call to an agent without a session. One that has just started answers 99 until it knows its VMs: that is waited for. */
static bool probe(struct request *request, const struct host *host, const char *verb, const void *params, json_t **ret_result, char **ret_subject,
		  GError **error)
{
	int64_t end = now_usec() + RECOVERY_S * G_USEC_PER_SEC;

	while (true) {
		GError *own = NULL;

		if (fleet_probe(request->engine->fleet, host->address, host->port, verb, params, PROBE_TIMEOUT_S, ret_result, ret_subject, &own))
			return true;
		if (!error_is(own, ERR_RECOVERY_IN_PROGRESS) || now_usec() > end) {
			g_propagate_error(error, own);
			return false;
		}
		g_error_free(own);
		lane_pause(G_USEC_PER_SEC / 5);
	}
}

static bool claim(struct request *request, const struct host *host, const char *verb, bool force, GError **error)
{
	struct host_claim_params *params = record_new(&host_claim_params_type);
	GError *own = NULL;

	set_string(&params->engine_id, store_engine_id(request->engine->store));
	set_string(&params->engine_name, g_get_host_name());
	if (force)
		SET(params, force, true);
	if (!probe(request, host, verb, params, NULL, NULL, &own) && error_is(own, ERR_JSONRPC_NO_METHOD)) {
		/* an agent of another make */
		log_info("host '%s': its agent does not know %s, ignoring", host->name, verb);
		g_clear_error(&own);
	}
	record_unref(params);
	if (own)
		g_propagate_error(error, own);
	return !own;
}

/* ---- add ---- */

/* "O=Berth,CN=host1": the organization. g_free */
static char *organization_of(const char *subject)
{
	g_auto(GStrv) parts = g_strsplit(subject ? subject : "", ",", -1);

	for (char **part = parts; *part; part++)
		if (g_str_has_prefix(g_strstrip(*part), "O="))
			return g_strdup(*part + 2);
	return NULL;
}

/*
 * For change_check(): data is a struct host. Address and port are one agent's; several agents may stand behind one address (forwarded ports, network
 * namespaces). That it is not the same agent by another name its id shows, which is UNIQUE.
 */
static bool endpoint_is_free(struct model *model, void *data, GError **error)
{
	const struct host *host = data;
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *other = hosts->pdata[i];

		if (strcmp(other->id, host->id) && other->port == host->port && !g_ascii_strcasecmp(other->address, host->address)) {
			error_set(error, ERR_OPERATION_FAILED, "host: address: '%s', port %d is that of host '%s'", host->address, host->port, other->name);
			return false;
		}
	}
	return true;
}

static bool check_new(struct model *model, struct host *host, GError **error)
{
	struct host *other = model_find(model, &host_kind, NULL, host->name);

	if (other)
		error_set(error, ERR_OPERATION_FAILED, "host: name: '%s' is in use", host->name);
	record_unref(other);
	return !other && endpoint_is_free(model, host, error);
}

/* The host whose agent has this id; NULL: none. */
static struct host *host_of_agent(struct model *model, const char *agent_uuid)
{
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);

	for (guint i = 0; i < hosts->len; i++)
		if (!g_strcmp0(((const struct host *)hosts->pdata[i])->agent_uuid, agent_uuid))
			return record_ref(hosts->pdata[i]);
	return NULL;
}

static bool check_identity(struct model *model, const struct host_caps *caps, const struct host *host, GError **error)
{
	struct host *other;

	if (host->agent_uuid && g_strcmp0(host->agent_uuid, caps->uuid)) {
		error_set(error, ERR_OPERATION_FAILED, "another agent answers at %s:%d: its id is %s", host->address, host->port, caps->uuid ? caps->uuid : "none");
		return false;
	}
	if (!caps->uuid || !*caps->uuid) {
		error_set(error, ERR_OPERATION_FAILED, "cannot add host '%s': the agent at %s:%d has no id", host->name, host->address, host->port);
		return false;
	}
	other = host_of_agent(model, caps->uuid);
	if (other && !strcmp(other->id, host->id))
		g_clear_pointer(&other, record_unref);
	if (other)
		error_set(error, ERR_OPERATION_FAILED, "cannot add host '%s': the agent at %s:%d is that of host '%s' (id %s)", host->name, host->address,
			  host->port, other->name, caps->uuid);
	record_unref(other);
	return !other;
}

/* Whom nobody can reach, or whose certificate is not one of ours, is the request's mistake, not a failure of this service. */
static bool refuse(const struct host *host, GError *own, GError **error)
{
	error_set(error, ERR_OPERATION_FAILED, "cannot add host '%s': %s", host->name, own->message);
	g_error_free(own);
	return false;
}

/* What its agent says of itself. caps: of an agent that answered; its id is not yet looked at. */
static struct host_caps *ask_agent(struct request *request, const struct host *host, char **ret_subject, GError **error)
{
	struct host_caps *caps = NULL;
	json_t *json = NULL;

	if (probe(request, host, "Host.getCapabilities", NULL, &json, ret_subject, error))
		caps = caps_from(json, error);
	json_decref(json);
	return caps;
}

static bool identify(struct request *request, struct host *host, const struct host_caps *caps, const char *subject, GError **error)
{
	if (!check_identity(request->engine->model, caps, host, error))
		return false;
	set_string(&host->agent_uuid, caps->uuid);
	set_string(&host->certificate_subject, subject);
	g_free(host->certificate_organization);
	host->certificate_organization = organization_of(subject);
	if (caps->mem_size)
		SET(host, memory, caps->mem_size << 20);
	host_take_version(host, caps);
	return true;
}

/* One that was just started may not answer yet. */
static struct host_caps *ask_until(struct request *request, const struct host *host, int64_t until_usec, char **ret_subject, GError **error)
{
	while (true) {
		GError *own = NULL;
		struct host_caps *caps = ask_agent(request, host, ret_subject, &own);

		if (caps)
			return caps;
		if (now_usec() >= until_usec) {
			g_propagate_error(error, own);
			return NULL;
		}
		g_error_free(own);
		lane_pause(G_USEC_PER_SEC / 2);
	}
}

bool host_take_over(struct request *request, struct host *host, int64_t until_usec, GError **error)
{
	g_autofree char *subject = NULL;
	struct host_caps *caps = ask_until(request, host, until_usec, &subject, error);
	bool ok = caps && identify(request, host, caps, subject, error) && claim(request, host, "Host.claim", /* force= */ false, error);

	record_unref(caps);
	return ok;
}

void host_known(struct host *host, const struct host *taken_over)
{
	set_string(&host->agent_uuid, taken_over->agent_uuid);
	set_string(&host->certificate_subject, taken_over->certificate_subject);
	set_string(&host->certificate_organization, taken_over->certificate_organization);
	set_string(&host->version_full, taken_over->version_full);
	if (HAS(taken_over, memory))
		SET(host, memory, taken_over->memory);
	SET(host, version_major, taken_over->version_major);
	SET(host, version_minor, taken_over->version_minor);
	SET(host, version_build, taken_over->version_build);
	SET(host, version_revision, taken_over->version_revision);
}

static void fill(struct host *host)
{
	host->id = g_uuid_string_random();
	SET(host, state, HOST_INITIALIZING);
	SET(host, type, HOST_RHEL);
	SET(host, storage_manager, false);
	SET(host, spm_state, SPM_NONE);
	CLEAR(host, root_password);
	CLEAR(host, ssh_password);
	CLEAR(host, ssh_user);
	CLEAR(host, ssh_method);
}

static bool set_default_cluster(struct model *model, struct host *host, GError **error)
{
	struct cluster *cluster = host->cluster.id ? NULL : model_find(model, &cluster_kind, NULL, DEFAULT_CLUSTER);

	if (cluster)
		set_ref(&host->cluster, cluster->id);
	record_unref(cluster);
	if (!host->cluster.id)
		error_set(error, ERR_INCOMPLETE, "Host [cluster.id|name] required for add: there is no cluster named '" DEFAULT_CLUSTER "'");
	return host->cluster.id != NULL;
}

static bool store_new(struct request *request, struct host *host, GError **error)
{
	struct change *change = change_new(request->engine->store);
	g_autoptr(GPtrArray) agents = g_steal_pointer(&host->pm_agents);

	change_add(change, host);
	if (agents && !host_take_agents(request->engine->model, change, host, agents, error)) {
		change_free(change);
		return false;
	}
	change_check(change, endpoint_is_free, host);
	change_check(change, host_fits_cluster, host);
	change_event(change, EVENT_ADDED, &request->actor, (void *[]){ host, NULL }, "Host %s was added by %s.", host->name, request->actor.user_name);
	return change_commit(change, error);
}

/* A host that was claimed could not be stored. When another request for the same agent was, the claim is that one's. */
static void give_back(struct request *request, const struct host *host)
{
	struct host *other = host_of_agent(request->engine->model, host->agent_uuid);
	g_autoptr(GError) error = NULL;

	if (!other && !claim(request, host, "Host.release", false, &error))
		log_warn("host '%s' was not added and keeps its claim: %s, ignoring", host->name, error->message);
	record_unref(other);
}

/* Its agent is there. */
static bool add_answering(struct request *request, struct host *host, const struct host_caps *caps, const char *subject, GError **error)
{
	GError *own = NULL;

	if (!identify(request, host, caps, subject, error))
		return false;
	if (!claim(request, host, "Host.claim", request_flag(request, "force"), &own))
		return refuse(host, own, error);
	if (!store_new(request, host, error)) {
		give_back(request, host);
		return false;
	}
	fleet_watch(request->engine->fleet, host->id);
	return true;
}

/* No agent is there that this engine may talk to: it is installed, after the answer. Takes login. */
static bool add_bare(struct request *request, struct host *host, struct host_login *login, const GError *why, GError **error)
{
	bool ok = host_login_is_complete(login);

	if (!ok)
		error_set(error, ERR_INCOMPLETE, "Host [root_password] required for add, since its agent has to be installed: %s", why->message);
	SET(host, state, HOST_INSTALLING);
	ok = ok && store_new(request, host, error);
	if (ok)
		host_install_new(request, host, login);
	else
		host_login_free(login);
	return ok;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct model *model = request->engine->model;
	g_autofree char *subject = NULL;
	struct host_caps *caps = NULL;
	struct host_login *login;
	struct host *host = input;
	GError *own = NULL;
	bool ok = false;

	if (host->protocol && g_ascii_strcasecmp(host->protocol, "stomp")) {
		error_set(error, ERR_BAD_VALUE, "host: protocol: '%s' is not stomp", host->protocol);
		return false;
	}
	login = host_login_of(host);
	fill(host);
	if (check_power_management(host, /* agents= */ false, error) && set_default_cluster(model, host, error) && check_new(model, host, error) &&
	    host_fits_cluster(model, host, error)) {
		caps = ask_agent(request, host, &subject, &own);
		if (caps)
			ok = add_answering(request, host, caps, subject, error);
		else if (package_is_known(request->engine->config))
			ok = add_bare(request, host, g_steal_pointer(&login), own, error);
		else
			ok = refuse(host, g_steal_pointer(&own), error);
	}
	g_clear_error(&own);
	host_login_free(login);
	record_unref(caps);
	if (ok)
		*ret_record = record_ref(host);
	return ok;
}

/* ---- update ---- */

static bool has_agents(struct model *model, const struct host *host)
{
	g_autoptr(GPtrArray) agents = model_children(model, &fence_agent_kind, host->id);

	return agents->len > 0;
}

#define STATES_MOVABLE \
	(STATE(HOST_MAINTENANCE) | STATE(HOST_DOWN) | STATE(HOST_NON_RESPONSIVE) | STATE(HOST_UNASSIGNED) | STATE(HOST_INSTALL_FAILED) | \
	 STATE(HOST_PENDING_APPROVAL) | STATE(HOST_INSTALLING_OS))

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct host *before = current;
	struct host *host = changed;
	bool moved = g_strcmp0(before->cluster.id, host->cluster.id);
	struct change *change;

	if (moved && !(STATES_MOVABLE >> before->state & 1)) {
		error_set(error, ERR_WRONG_STATE, "host '%s' is %s: its cluster can be changed only in maintenance", before->name, host_state_names[before->state]);
		return false;
	}
	if (!check_power_management(host, has_agents(request->engine->model, host), error))
		return false;
	change = change_new(request->engine->store);
	CLEAR(host, pm_agents);
	if (((const struct host *)input)->pm_agents && !host_take_agents(request->engine->model, change, host, ((const struct host *)input)->pm_agents, error)) {
		change_free(change);
		return false;
	}
	change_replace(change, before, host);
	if (moved)
		change_check(change, host_fits_cluster, host);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]){ host, NULL }, "Host %s configuration was updated by %s.", host->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	if (before->ksm != host->ksm)
		host_policy_push(request->engine, host->id);
	*ret_record = model_get(request->engine->model, &host_kind, host->id);
	return *ret_record != NULL;
}

/* ---- remove ---- */

#define STATES_REMOVABLE (STATES_MOVABLE | STATE(HOST_NON_OPERATIONAL))

/* Run by the writer. */
static bool is_unused(struct model *model, void *data, GError **error)
{
	const struct host *host = data;
	g_autoptr(GPtrArray) vms = model_referring(model, &vm_kind, offsetof(struct vm, host), host->id);
	g_autoptr(GPtrArray) domains = model_list(model, &storage_domain_kind);

	if (vms->len) {
		error_set(error, ERR_OPERATION_FAILED, "cannot remove host '%s': VM '%s' runs on it%s", host->name, object_name(vms->pdata[0]),
			  vms->len > 1 ? ", and others" : "");
		return false;
	}
	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (g_strcmp0(domain->local_host.id, host->id))
			continue;
		error_set(error, ERR_OPERATION_FAILED, "cannot remove host '%s': it has the local storage domain '%s'", host->name, domain->name);
		return false;
	}
	return true;
}

static bool remove_host(struct request *request, const void *current, const void *options, GError **error)
{
	const struct host *host = current;
	g_autoptr(GError) own = NULL;
	struct change *change;

	if (!(STATES_REMOVABLE >> host->state & 1)) {
		error_set(error, ERR_WRONG_STATE, "host '%s' is %s: put it in maintenance before it is removed", host->name, host_state_names[host->state]);
		return false;
	}
	change = change_new(request->engine->store);
	change_check(change, is_unused, (void *)host);
	change_remove(change, host);
	change_event(change, EVENT_REMOVED, &request->actor, (void *[]){ (void *)host, NULL }, "Host %s was removed by %s.", host->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	fleet_forget(request->engine->fleet, host->id);
	flow_take_up(request->engine, host->id);
	if (!claim(request, host, "Host.release", false, &own))
		log_warn("host '%s' was removed and keeps its claim: %s, ignoring", host->name, own->message);
	return true;
}

/* In the guide's order (14.2). */
static const char *const links[] = {
	"storage", "nics", "numanodes", "tags", "permissions", "statistics", "hooks", "fenceagents", "katelloerrata", "devices", "networkattachments",
	"unmanagednetworks", "storageconnectionextensions", NULL
};
const struct resource resource_host = {
	.kind = &host_kind, .path = "hosts", .methods = RESOURCE_ALL, .links = links, .actions = host_actions, .permit_add = "create_host",
	.permit_update = "edit_host_configuration", .permit_remove = "delete_host", .doc = "Hypervisors", .view = view, .add = add, .update = update,
	.remove = remove_host,
};

const struct resource resource_host_permission = PERMISSION_RESOURCE(&resource_host);

/* ---- statistics ---- */

enum {
	MEMORY_TOTAL, MEMORY_USED, MEMORY_FREE, MEMORY_SHARED, MEMORY_BUFFERS, MEMORY_CACHED, SWAP_TOTAL, SWAP_FREE, SWAP_USED, SWAP_CACHED, KSM_CPU, CPU_USER,
	CPU_SYSTEM, CPU_IDLE, CPU_LOAD, BOOT_TIME
};
#define GAUGE_BYTES STATISTIC_BYTES, STATISTIC_GAUGE, STATISTIC_INTEGER
#define GAUGE_PERCENT STATISTIC_PERCENT, STATISTIC_GAUGE, STATISTIC_DECIMAL
static const struct statistic_row rows[] = {
	[MEMORY_TOTAL] = { "memory.total", "Total memory", GAUGE_BYTES }, [MEMORY_USED] = { "memory.used", "Used memory", GAUGE_BYTES },
	[MEMORY_FREE] = { "memory.free", "Free memory", GAUGE_BYTES }, [MEMORY_SHARED] = { "memory.shared", "Shared memory", GAUGE_BYTES },
	[MEMORY_BUFFERS] = { "memory.buffers", "IO buffers", GAUGE_BYTES }, [MEMORY_CACHED] = { "memory.cached", "OS caches", GAUGE_BYTES },
	[SWAP_TOTAL] = { "swap.total", "Total swap", GAUGE_BYTES }, [SWAP_FREE] = { "swap.free", "Free swap", GAUGE_BYTES },
	[SWAP_USED] = { "swap.used", "Used swap", GAUGE_BYTES }, [SWAP_CACHED] = { "swap.cached", "Swap also in memory", GAUGE_BYTES },
	[KSM_CPU] = { "ksm.cpu.current", "KSM CPU usage", GAUGE_PERCENT }, [CPU_USER] = { "cpu.current.user", "User CPU usage", GAUGE_PERCENT },
	[CPU_SYSTEM] = { "cpu.current.system", "System CPU usage", GAUGE_PERCENT }, [CPU_IDLE] = { "cpu.current.idle", "Idle CPU usage", GAUGE_PERCENT },
	[CPU_LOAD] = { "cpu.load.avg.5m", "CPU 5 minute load average", GAUGE_PERCENT },
	[BOOT_TIME] = { "boot.time", "Boot time of the machine", STATISTIC_NONE, STATISTIC_GAUGE, STATISTIC_INTEGER },
};

#define MIB 1048576.0

/* Before the first figures of a host have come everything is 0, as clients know it. */
static GPtrArray *statistic_list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	struct host_stats *stats = fleet_host_stats(request->engine->fleet, host->id);
	double total = stats ? (double)host->memory : 0, free_memory = stats ? (double)stats->mem_free * MIB : 0;
	GPtrArray *list = statistics_new();

	const double values[] = {
		[MEMORY_TOTAL] = total, [MEMORY_USED] = MAX(total - free_memory, 0), [MEMORY_FREE] = free_memory,
		[MEMORY_SHARED] = stats ? (double)stats->mem_shared * MIB : 0, [MEMORY_BUFFERS] = stats ? (double)stats->mem_buffers * MIB : 0,
		[MEMORY_CACHED] = stats ? (double)stats->mem_cached * MIB : 0, [SWAP_TOTAL] = stats ? (double)stats->swap_total * MIB : 0,
		[SWAP_FREE] = stats ? (double)stats->swap_free * MIB : 0, [SWAP_USED] = stats ? (double)(stats->swap_total - stats->swap_free) * MIB : 0,
		[SWAP_CACHED] = stats ? (double)stats->swap_cached * MIB : 0, [KSM_CPU] = stats ? stats->ksm_cpu : 0,
		[CPU_USER] = stats ? stats->cpu_user : 0, [CPU_SYSTEM] = stats ? stats->cpu_sys : 0, [CPU_IDLE] = stats ? stats->cpu_idle : 0,
		[CPU_LOAD] = stats ? stats->cpu_load : 0, [BOOT_TIME] = stats ? (double)stats->boot_time : 0,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		statistic_add(list, host, &rows[i], values[i]);
	record_unref(stats);
	return list;
}

const struct resource resource_host_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_host, .methods = RESOURCE_READ, .links = no_links, .doc = "Figures of a host",
	.brief = true, .list = statistic_list,
};
