/* SPDX-License-Identifier: Apache-2.0 */
/* Actions of hosts (REST 14.8). Each runs on the host's lane and may wait for the agent. */
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/domain_luns.h"
#include "engine/api/fence.h"
#include "engine/api/host_install.h"
#include "engine/api/host_iscsi.h"
#include "engine/api/host_network.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"
#include "engine/fleet/refresh.h"
#include "engine/flow/host_flow.h"
#include "engine/flow/storage_pool.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"

#define TIMEOUT_S 60
#define STATE(state) (1u << (state))

/* Event codes, appendix C */
#define EVENT_ACTIVATED 16
#define EVENT_COMMITTED 1104

static bool wrong_state(const struct host *host, const char *what, GError **error)
{
	error_set(error, ERR_WRONG_STATE, "cannot %s host '%s': it is %s", what, host->name, host_state_names[host->state]);
	return false;
}

static bool check(const struct host *host, uint32_t states, const char *what, GError **error)
{
	return states >> host->state & 1 || wrong_state(host, what, error);
}

/* ---- approve, activate ---- */

struct awakening { struct request *request; const char *what, *cluster_id; uint32_t from; };

static bool edit_awake(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct awakening *awakening = data;

	if (!check(host, awakening->from, awakening->what, error))
		return false;
	SET(host, state, HOST_UNASSIGNED);
	set_string(&host->state_detail, NULL);
	if (awakening->cluster_id) {
		set_ref(&host->cluster, awakening->cluster_id);
		change_check(change, host_fits_cluster, host);
	}
	change_event(change, EVENT_ACTIVATED, &awakening->request->actor, (void *[]){ host, NULL }, "Activation of host %s initiated by %s.", host->name,
		     awakening->request->actor.user_name);
	return true;
}

static bool awake(struct request *request, const struct host *host, struct awakening *awakening, GError **error)
{
	awakening->request = request;
	if (!store_modify(request->engine->store, &host_kind, host->id, edit_awake, awakening, NULL, error))
		return false;
	/* A session that there is begins anew: it is what looks whether the host can be up. */
	fleet_forget(request->engine->fleet, host->id);
	fleet_watch(request->engine->fleet, host->id);
	return true;
}

/* 14.9; a host that the engine is trying to reach anyhow needs no help */
#define STATES_AWAKABLE \
	(STATE(HOST_MAINTENANCE) | STATE(HOST_ERROR) | STATE(HOST_NON_OPERATIONAL) | STATE(HOST_INSTALL_FAILED) | STATE(HOST_DOWN) | \
	 STATE(HOST_UNASSIGNED) | STATE(HOST_PREPARING_FOR_MAINTENANCE))

static bool activate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	struct awakening awakening = { .what = "activate", .from = STATES_AWAKABLE };

	return awake(request, object, &awakening, error);
}

struct approve_action { ACTION_MEMBERS struct ref cluster; };
static const struct field approve_fields[] = {
	ACTION_FIELDS(struct approve_action),
	FIELD_REF_(struct approve_action, cluster, "cluster", CREATE, "clusters", "cluster that the host joins"),
};
static const struct record_type approve_action_type = RECORD_TYPE("action", NULL, struct approve_action, approve_fields, "How to approve a host");

static bool approve(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct approve_action *how = params;
	struct awakening awakening = {
		.what = "approve", .cluster_id = how->cluster.id,
		/* the guide's first steps (3.7) approve one that is non_operational */
		.from = STATE(HOST_PENDING_APPROVAL) | STATE(HOST_INSTALL_FAILED) | STATE(HOST_INSTALLING_OS) | STATE(HOST_NON_OPERATIONAL),
	};

	return awake(request, object, &awakening, error);
}

/* ---- deactivate ---- */

struct deactivate_action { ACTION_MEMBERS char *reason; };
static const struct field deactivate_fields[] = {
	ACTION_FIELDS(struct deactivate_action),
	FIELD_STRING_(struct deactivate_action, reason, "reason", CREATE, "shown as the host's status/detail", .max = 4000),
};
static const struct record_type deactivate_action_type =
	RECORD_TYPE("action", NULL, struct deactivate_action, deactivate_fields, "How to put a host in maintenance");

static bool deactivate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct deactivate_action *how = params;

	return host_retire_check(request->engine, object, error) &&
	       flow_run(request->engine, &retire_host_flow, object_id(object), &request->actor, host_retire_data(object, how->reason), NULL, error);
}

/* ---- networks ---- */

struct setup_action {
	ACTION_MEMBERS
	GPtrArray *modified_bonds, *removed_bonds;                                           /* struct host_nic */
	GPtrArray *modified_labels, *removed_labels;                                         /* struct nic_label */
	GPtrArray *modified, *synchronized, *removed;                                        /* struct network_attachment */
	bool check_connectivity;
	int connectivity_timeout;
};
#define S struct setup_action
static const struct field setup_fields[] = {
	ACTION_FIELDS(S),
	FIELD_LIST_(S, modified_bonds, "modified_bonds/host_nic", CREATE, &bond_type, "bonds to make or change"),
	FIELD_LIST_(S, removed_bonds, "removed_bonds/host_nic", CREATE, &bond_type, "bonds to remove"),
	FIELD_LIST_(S, modified, "modified_network_attachments/network_attachment", CREATE, &network_attachment_type, "to add (no id) or change (id)"),
	FIELD_LIST_(S, synchronized, "synchronized_network_attachments/network_attachment", CREATE, &network_attachment_type,
		    "to make as their networks are defined"),
	FIELD_LIST_(S, removed, "removed_network_attachments/network_attachment", CREATE, &network_attachment_type, "to remove"),
	FIELD_LIST_(S, modified_labels, "modified_labels/label", CREATE, &nic_label_type, "labels to add or move"),
	FIELD_LIST_(S, removed_labels, "removed_labels/label", CREATE, &nic_label_type, "labels to remove"),
	FIELD_BOOL_(S, check_connectivity, "check_connectivity", CREATE, "take everything back when the host cannot be reached any more", .def = "true"),
	FIELD_BOOL_(S, check_connectivity, "checkConnectivity", CREATE | ALIAS, "other spelling of check_connectivity"),
	FIELD_INT_(S, connectivity_timeout, "connectivity_timeout", CREATE, "how long the host may be out of reach", .unit = "s", .min = 1, .max = 120, .def = "120"),
	FIELD_INT_(S, connectivity_timeout, "connectivityTimeout", CREATE | ALIAS, "other spelling of connectivity_timeout", .min = 1, .max = 120),
};
#undef S
static const struct record_type setup_action_type = RECORD_TYPE("action", NULL, struct setup_action, setup_fields, "How to set up a host's networks");

static bool setup_networks(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct setup_action *how = params;
	const struct network_setup setup = {
		how->modified, how->synchronized, how->removed, how->modified_bonds, how->removed_bonds, NULL, how->modified_labels, how->removed_labels,
		how->check_connectivity, how->connectivity_timeout,
	};

	return host_setup_networks(request, object, &setup, NULL, error);
}

static bool commit_networks(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;

	if (!check(host, STATE(HOST_UP) | STATE(HOST_MAINTENANCE) | STATE(HOST_NON_OPERATIONAL), "save the networks of", error) ||
	    !host_call(request, host, "Host.setSafeNetworkConfig", NULL, TIMEOUT_S, NULL, error))
		return false;
	store_event(request->engine->store, EVENT_COMMITTED, &request->actor, (void *[]){ (void *)host, NULL }, "Networks of host %s were saved by %s.", host->name,
		    request->actor.user_name);
	return true;
}

/* ---- refresh ---- */

static bool refresh(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;

	if (!check(host, STATE(HOST_UP) | STATE(HOST_NON_OPERATIONAL), "refresh", error))
		return false;
	return fleet_refresh(request->engine->fleet, host->id, TIMEOUT_S, error);
}

/* ---- storage manager ---- */

/* The host through which the engine works on the shared storage of a data center: engine/flow/storage_manager.c. */
static bool force_spm(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;
	g_autofree char *data_center = host_data_center(request->engine->model, host);

	if (!check(host, STATE(HOST_UP), "make the storage manager of", error))
		return false;
	if (!data_center)
		error_set(error, ERR_OPERATION_FAILED, "host '%s' is in no data center", host->name);
	else if (host->spm_priority < 0)
		error_set(error, ERR_OPERATION_FAILED, "host '%s' has the priority %d: it is never storage manager", host->name, host->spm_priority);
	else
		return storage_manager_force(request->engine, host, &request->actor, error);
	return false;
}

/* In the guide's order (14.2). */
const struct action host_actions[] = {
	{ "upgrade", &install_action_type, host_upgrade, "edit_host_configuration", "Gives the host the agent of this engine's package over SSH, or a rhev-h host a new image" },
	{ "install", &install_action_type, host_install, "edit_host_configuration", "Installs the host's agent over SSH, when this engine has its package, and takes it into use" },
	{ "forceselectspm", &plain_action_type, force_spm, "manipulate_host", "Makes the host the storage manager of its data center", "Force Select SPM" },
	{ "enrollcertificate", &plain_action_type, host_enroll, "edit_host_configuration", "Gives the agent a new key and certificate, when this engine has the key of the CA" },
	{ "iscsilogin", &iscsi_login_type, host_iscsi_login, "manipulate_host", "Logs the host in to an iSCSI target" },
	{ "iscsidiscover", &iscsi_discover_type, host_iscsi_discover, "manipulate_host", "Asks an iSCSI portal for its targets" },
	{ "unregisteredstoragedomainsdiscover", &discover_domains_type, domain_luns_discover, "manipulate_host",
	  "Tells of storage domains on LUNs that the host sees and this engine does not know" },
	{ "approve", &approve_action_type, approve, "manipulate_host", "Approves a host that waits for it" },
	{ "activate", &plain_action_type, activate, "manipulate_host", "Ends the maintenance of a host" },
	{ "deactivate", &deactivate_action_type, deactivate, "manipulate_host", "Puts a host in maintenance; VMs that run on it migrate to other hosts first" },
	{ "setupnetworks", &setup_action_type, setup_networks, "configure_host_network", "Changes several networks of a host at once, whole or not at all" },
	{ "nics/setupnetworks", &nics_setup_action_type, host_nics_setup, "configure_host_network", "Older form of setupnetworks" },
	{ "commitnetconfig", &plain_action_type, commit_networks, "configure_host_network", "Keeps the present networks over the next boot" },
	{ "fence", &fence_action_type, host_fence, "manipulate_host", "Switches the host's power through its power devices" },
	{ "refresh", &plain_action_type, refresh, "manipulate_host", "Reads the host's capabilities anew", "Refresh Host Capabilities" },
	{ 0 },
};
