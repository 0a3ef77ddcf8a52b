/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network interfaces of a host (REST 14.7.2), from its capabilities: interfaces, bonds and VLANs. A host that has no session (maintenance) shows none.
 * Only bonds can be made and removed; what else is changed of an interface is a change of the network on it. Every change is one set-up of networks.
 *
 * Rates need two samples. The agent's counters carry the time they were taken; the last two different samples of an interface that was asked for are kept
 * here, so the first look at an interface has no rate yet.
 */
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "common/lock.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/api/statistics.h"
#include "engine/fleet/fleet.h"
#include "engine/model/misc.h"

/* The network that is on the device: its name and what the host says of it. NULL: none. */
static const json_t *network_on(const struct host_caps *caps, const char *device, const char **ret_name)
{
	const char *name;
	json_t *network;
	size_t i;
	json_t *port;

	if (caps->networks)
		json_object_foreach(caps->networks, name, network) {
			bool here = !g_strcmp0(host_json_text(network, "southbound"), device);

			json_array_foreach(json_object_get(network, "ports"), i, port)
				here = here || !g_strcmp0(json_string_value(port), device);
			if (here) {
				*ret_name = name;
				return network;
			}
		}
	return NULL;
}

/* NULL: the mode has none. */
static const char *bond_mode_text(const char *mode)
{
	static const char *const texts[] = {
		[1] = "Active-Backup", [2] = "Load balance (balance-xor)", [4] = "Dynamic link aggregation (802.3ad)",
		[5] = "Adaptive transmit load balancing (balance-tlb)",
	};
	guint64 number = 0;

	return mode && g_ascii_string_to_unsigned(mode, 10, 0, G_N_ELEMENTS(texts) - 1, &number, NULL) ? texts[number] : NULL;
}

static void fill_bond(const struct host *host, const json_t *found, struct host_nic *nic)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach(json_object_get(found, "opts"), name, value) {
		struct option_item *option = list_add(&nic->bond_options, &option_item_type);

		set_string(&option->name, name);
		set_string(&option->value, json_string_value(value));
		if (!strcmp(name, "mode"))
			set_string(&option->type, bond_mode_text(json_string_value(value)));
	}
	json_array_foreach(json_object_get(found, "slaves"), i, value) {
		struct object_ref *slave = list_add(&nic->bond_slaves, &object_ref_type);

		slave->id = host_part_id("nic", host->id, json_string_value(value) ? json_string_value(value) : "");
	}
}

/* SR-IOV: what it has of virtual functions, or whose it is. */
static void fill_vfs(struct request *request, const struct host *host, const json_t *found, struct host_nic *nic)
{
	const json_t *sriov = json_object_get(found, "sriov");
	const char *physical = host_json_text(found, "physfn");

	if (sriov) {
		SET(nic, vfs_all_networks, host_nic_vfs_carry_all(host, nic->name));
		SET(nic, vfs_max, (int)host_json_number(sriov, "totalvfs"));
		SET(nic, vfs_number, (int)host_json_number(sriov, "numvfs"));
		set_string(&nic->vfs_device, host_json_text(sriov, "device"));
	}
	if (physical) {
		nic->physical_id = host_part_id("nic", host->id, physical);
		nic->physical_href = g_strdup_printf("%s/hosts/%s/nics/%s", request->base, host->id, nic->physical_id);
	}
}

static struct host_nic *make(struct request *request, const struct host *host, const struct host_caps *caps, const struct host_stats *stats,
			     const char *name, const json_t *found)
{
	struct host_nic *nic = record_new(&host_nic_type);
	const char *network_name = NULL, *state;
	const json_t *network = network_on(caps, name, &network_name), *addresses = network ? network : found;
	struct network *known = network ? host_network_named(request->engine->model, host, network_name) : NULL;

	nic->id = host_part_id("nic", host->id, name);
	set_string(&nic->name, name);
	set_ref(&nic->host, host->id);
	set_ref(&nic->network, known ? known->id : NULL);
	set_string(&nic->mac, host_json_text(found, "hwaddr"));
	set_string(&nic->ip_address, host_json_text(addresses, "addr"));
	set_string(&nic->ip_netmask, host_json_text(addresses, "netmask"));
	set_string(&nic->ip_gateway, host_json_text(addresses, "gateway"));
	SET(nic, boot_protocol, host_json_true(addresses, "dhcpv4") ? BOOT_DHCP : nic->ip_address ? BOOT_STATIC : BOOT_NONE);
	if (json_object_get(found, "vlanid")) {
		SET(nic, vlan, (int)host_json_number(found, "vlanid"));
		set_string(&nic->base_interface, host_json_text(found, "iface"));
	}
	if (host_json_number(found, "speed") > 0)
		SET(nic, speed, (int64_t)host_json_number(found, "speed") * 1000000);
	state = stats ? host_json_text(json_object_get(stats->network, name), "state") : NULL;
	if (state)
		SET(nic, state, strcmp(state, "up") ? NIC_DOWN : NIC_UP);
	if (json_object_get(found, "slaves"))
		fill_bond(host, found, nic);
	fill_vfs(request, host, found, nic);
	SET(nic, mtu, (int)host_json_number(found, "mtu"));
	SET(nic, bridged, network && host_json_true(network, "bridged"));
	if (network)
		SET(nic, custom_configuration, known && host_json_number(network, "mtu") != (known->mtu ? known->mtu : 1500));
	record_unref(known);
	return nic;
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	struct host_caps *caps = fleet_host_caps(request->engine->fleet, host->id);
	struct host_stats *stats = fleet_host_stats(request->engine->fleet, host->id);
	GPtrArray *nics = list_new();

	if (caps) {
		json_t *const maps[] = { caps->nics, caps->bondings, caps->vlans };
		const char *name;
		json_t *found;

		for (size_t i = 0; i < G_N_ELEMENTS(maps); i++)
			if (maps[i])
				json_object_foreach(maps[i], name, found)
					g_ptr_array_add(nics, make(request, host, caps, stats, name, found));
	}
	record_unref(caps);
	record_unref(stats);
	return nics;
}

const char *host_nic_bond(const struct host_caps *caps, const char *name)
{
	const char *bond;
	json_t *found, *slave;
	size_t i;

	if (caps && caps->bondings)
		json_object_foreach(caps->bondings, bond, found)
			json_array_foreach(json_object_get(found, "slaves"), i, slave)
				if (!g_strcmp0(json_string_value(slave), name))
					return bond;
	return NULL;
}

static char *nic_link(struct request *request, const void *record, const char *rel)
{
	const struct host_nic *nic = record;
	struct host_caps *caps;
	const char *bond;
	char *href = NULL;

	if (g_str_has_prefix(rel, "virtualfunction") || !strcmp(rel, HOST_NIC_VFS_ACTION))
		return nic->vfs_device ? g_strdup("") : NULL;
	if (strcmp(rel, "master"))
		return g_strdup("");
	caps = fleet_host_caps(request->engine->fleet, nic->host.id);
	bond = host_nic_bond(caps, nic->name);
	if (bond) {
		g_autofree char *id = host_part_id("nic", nic->host.id, bond);

		href = g_strdup_printf("%s/hosts/%s/nics/%s", request->base, nic->host.id, id);
	}
	record_unref(caps);
	return href;
}

/* ---- changes ---- */

static bool set_up(struct request *request, const struct host *host, struct network_setup *setup, GError **error)
{
	setup->check_connectivity = true;
	setup->timeout_s = SETUP_TIMEOUT_S;
	return host_setup_networks(request, host, setup, NULL, error);
}

static struct host_nic *nic_named(struct request *request, const struct host *host, const char *name, GError **error)
{
	struct host_caps *caps = host_capabilities(request, host, error);
	struct host_stats *stats = fleet_host_stats(request->engine->fleet, host->id);
	const json_t *found = host_bond_object(caps, name) ? host_bond_object(caps, name) : host_nic_object(caps, name);
	struct host_nic *nic = found ? make(request, host, caps, stats, name, found) : NULL;

	if (caps && !nic)
		error_set(error, ERR_NOT_FOUND, "the host was set up, and shows no interface '%s'", name);
	record_unref(stats);
	record_unref(caps);
	return nic;
}

/* Attachment of the network (NULL: of any that has no VLAN tag, else of the only one) on the interface; new reference. NULL: none. */
static struct network_attachment *attachment_on(struct request *request, const struct host *host, const struct host_nic *nic, const char *network_id)
{
	struct host_caps *caps = host_capabilities(request, host, NULL);
	g_autoptr(GPtrArray) attachments = host_attachments(request, host, caps);
	struct network_attachment *found = NULL;
	unsigned n = 0;

	for (guint i = 0; i < attachments->len; i++) {
		struct network_attachment *attachment = attachments->pdata[i];

		if (g_strcmp0(attachment->host_nic_id, nic->id))
			continue;
		n++;
		if (network_id ? !g_strcmp0(attachment->network.id, network_id) : !g_strcmp0(nic->network.id, attachment->network.id) || !found) {
			record_unref(found);
			found = record_ref(attachment);
		}
	}
	if (!network_id && n > 1 && found && g_strcmp0(nic->network.id, found->network.id)) {
		record_unref(found);
		found = NULL;
	}
	record_unref(caps);
	return found;
}

struct network_attachment *host_nic_wish(const struct host_nic *input, const char *nic_name, const char *network_id)
{
	struct network_attachment *wish = record_new(&network_attachment_type);
	struct address_assignment *assignment;

	set_ref(&wish->network, network_id);
	set_string(&wish->host_nic_name, nic_name);
	if (input && (input->ip_address || HAS(input, boot_protocol))) {
		assignment = list_add(&wish->assignments, &address_assignment_type);
		set_string(&assignment->address, input->ip_address);
		set_string(&assignment->netmask, input->ip_netmask);
		set_string(&assignment->gateway, input->ip_gateway);
		SET(assignment, method, HAS(input, boot_protocol) ? input->boot_protocol : BOOT_STATIC);
	}
	return wish;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct host_nic *bond = input;
	g_autoptr(GPtrArray) bonds = list_new(), attachments = list_new();
	struct network_setup setup = { .modified_bonds = bonds, .modified = attachments };
	struct host_caps *caps = host_capabilities(request, request->parent, error);
	bool there = host_bond_object(caps, bond->name) || host_nic_object(caps, bond->name);

	if (there)
		error_set(error, ERR_OPERATION_FAILED, "host_nic: name: '%s' is in use", bond->name);
	if (!caps || there) {
		record_unref(caps);
		return false;
	}
	record_unref(caps);
	g_ptr_array_add(bonds, record_ref(bond));
	g_ptr_array_add(attachments, host_nic_wish(bond, bond->name, bond->network.id));
	if (!set_up(request, request->parent, &setup, error))
		return false;
	*ret_record = nic_named(request, request->parent, bond->name, error);
	return *ret_record != NULL;
}

/* Another network takes the place of the one that is there; the same one changes. */
static bool plan_network(struct request *request, const struct host_nic *before, const struct host_nic *input, GPtrArray *modified, GPtrArray *removed,
			 GError **error)
{
	bool moved = input->network.id && g_strcmp0(input->network.id, before->network.id);
	struct network_attachment *now = attachment_on(request, request->parent, before, NULL), *wish;

	if (!input->network.id && !input->ip_address && !HAS(input, boot_protocol)) {
		record_unref(now);
		return true;
	}
	if (!moved && !now) {
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s': it has no network whose address could be changed", before->name);
		return false;
	}
	wish = host_nic_wish(input, before->name, moved ? input->network.id : now->network.id);
	if (!moved)
		set_string(&wish->id, now->id);
	g_ptr_array_add(modified, wish);
	if (moved && now)
		g_ptr_array_add(removed, record_ref(now));
	record_unref(now);
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	const struct host_nic *before = current, *wish = input;
	g_autoptr(GPtrArray) bonds = list_new(), modified = list_new(), removed = list_new();
	struct network_setup setup = { .modified_bonds = bonds, .modified = modified, .removed = removed };

	if (wish->bond_slaves || wish->bond_options) {
		struct host_nic *bond = record_copy(wish);

		set_string(&bond->id, NULL);
		set_string(&bond->name, before->name);
		g_ptr_array_add(bonds, bond);
	}
	if (HAS(wish, mtu) && wish->mtu != before->mtu) {
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s': mtu: it is that of its network: change the network", before->name);
		return false;
	}
	if (!plan_network(request, before, wish, modified, removed, error) || !set_up(request, request->parent, &setup, error))
		return false;
	*ret_record = nic_named(request, request->parent, before->name, error);
	return *ret_record != NULL;
}

/* With the network that is on it. */
static bool remove_bond(struct request *request, const void *current, const void *options, GError **error)
{
	const struct host_nic *nic = current;
	g_autoptr(GPtrArray) bonds = list_new(), removed = list_new();
	struct network_setup setup = { .removed_bonds = bonds, .removed = removed };
	struct network_attachment *now = attachment_on(request, request->parent, nic, NULL);

	g_ptr_array_add(bonds, record_ref(nic));
	if (now)
		g_ptr_array_add(removed, now);
	return set_up(request, request->parent, &setup, error);
}

struct nic_network_action { ACTION_MEMBERS struct ref network; };
static const struct field attach_fields[] = {
	ACTION_FIELDS(struct nic_network_action),
	FIELD_REF_(struct nic_network_action, network, "network", CREATE | REQUIRED, "networks", "network to attach"),
};
static const struct record_type attach_type = RECORD_TYPE("action", NULL, struct nic_network_action, attach_fields, "Which network to attach");
static const struct field detach_fields[] = {
	ACTION_FIELDS(struct nic_network_action),
	FIELD_REF_(struct nic_network_action, network, "network", CREATE, "networks", "network to detach; absent: the one that is there"),
};
static const struct record_type detach_type = RECORD_TYPE("action", NULL, struct nic_network_action, detach_fields, "Which network to detach");

static bool attach(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct nic_network_action *how = params;
	const struct host_nic *nic = object;
	g_autoptr(GPtrArray) modified = list_new();
	struct network_setup setup = { .modified = modified };

	g_ptr_array_add(modified, host_nic_wish(NULL, nic->name, how->network.id));
	return set_up(request, request->parent, &setup, error);
}

static bool detach(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct nic_network_action *how = params;
	const struct host_nic *nic = object;
	g_autoptr(GPtrArray) removed = list_new();
	struct network_setup setup = { .removed = removed };
	struct network_attachment *now = attachment_on(request, request->parent, nic, how->network.id);

	if (!now) {
		error_set(error, ERR_OPERATION_FAILED, "host_nic '%s' has no%s network to detach", nic->name, how->network.id ? " such" : " single");
		return false;
	}
	g_ptr_array_add(removed, now);
	return set_up(request, request->parent, &setup, error);
}

static const struct action nic_actions[] = {
	{ "attach", &attach_type, attach, "configure_host_network", "Puts a network on the interface" },
	{ "detach", &detach_type, detach, "configure_host_network", "Takes a network off the interface" },
	{ HOST_NIC_VFS_ACTION, &host_nic_vfs_type, host_nic_vfs_update, "configure_host_network",
	  "Changes how many virtual functions the interface has (SR-IOV), and whether they may carry every network" },
	{ 0 },
};

static const char *const links[] = {
	"statistics", "labels", "networkattachments", "master", "virtualfunctionallowedlabels", "virtualfunctionallowednetworks", NULL
};

const struct resource resource_host_nic = {
	.type = &host_nic_type, .path = "nics", .parent = &resource_host, .methods = RESOURCE_ALL, .links = links, .doc = "Network interfaces of a host",
	.actions = nic_actions, .permit_add = "configure_host_network", .permit_update = "configure_host_network", .permit_remove = "configure_host_network",
	.list = list, .link = nic_link, .add = add, .update = update, .remove = remove_bond,
};

/* ---- statistics ---- */

enum { RATE_RX, RATE_TX, TOTAL_RX, TOTAL_TX, ERRORS_RX, ERRORS_TX };
static const struct statistic_row rows[] = {
	[RATE_RX] = { "data.current.rx", "Receive data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[RATE_TX] = { "data.current.tx", "Transmit data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[TOTAL_RX] = { "data.total.rx", "Total received data", STATISTIC_BYTES, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[TOTAL_TX] = { "data.total.tx", "Total transmitted data", STATISTIC_BYTES, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[ERRORS_RX] = { "errors.total.rx", "Total receive errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[ERRORS_TX] = { "errors.total.tx", "Total transmit errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
};

struct sample { double time, rx, tx; };
struct samples { struct sample old, new; };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *samples_by_nic;           /* id of the interface -> struct samples; at most SAMPLES_MAX */
#define SAMPLES_MAX 10000

/* false: there is no older sample yet. */
static bool rates(const char *nic_id, struct sample now, double *ret_rx, double *ret_tx)
{
	struct samples *samples;
	double seconds;
	AUTO_LOCK(&lock);

	if (!samples_by_nic)
		samples_by_nic = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	samples = g_hash_table_lookup(samples_by_nic, nic_id);
	if (!samples) {
		if (g_hash_table_size(samples_by_nic) >= SAMPLES_MAX)
			g_hash_table_remove_all(samples_by_nic);
		samples = g_new0(struct samples, 1);
		g_hash_table_insert(samples_by_nic, g_strdup(nic_id), samples);
	}
	if (now.time > samples->new.time) {
		samples->old = samples->new;
		samples->new = now;
	}
	seconds = samples->new.time - samples->old.time;
	if (samples->old.time <= 0 || seconds <= 0)
		return false;
	*ret_rx = MAX(samples->new.rx - samples->old.rx, 0) / seconds;
	*ret_tx = MAX(samples->new.tx - samples->old.tx, 0) / seconds;
	return true;
}

static GPtrArray *statistic_list(struct request *request, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct host_stats *stats = fleet_host_stats(request->engine->fleet, nic->host.id);
	const json_t *now = stats ? json_object_get(stats->network, nic->name) : NULL;
	const struct sample sample = { host_json_number(now, "sampleTime"), host_json_number(now, "rx"), host_json_number(now, "tx") };
	GPtrArray *figures = statistics_new();
	double values[G_N_ELEMENTS(rows)] = {
		[TOTAL_RX] = sample.rx, [TOTAL_TX] = sample.tx, [ERRORS_RX] = host_json_number(now, "rxErrors"), [ERRORS_TX] = host_json_number(now, "txErrors"),
	};
	bool known = now && rates(nic->id, sample, &values[RATE_RX], &values[RATE_TX]);

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (now && (known || (i != RATE_RX && i != RATE_TX)))
			statistic_add(figures, nic, &rows[i], values[i]);
		else
			statistic_add_unknown(figures, nic, &rows[i]);
	record_unref(stats);
	return figures;
}

const struct resource resource_host_nic_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_host_nic, .methods = RESOURCE_READ, .links = no_links,
	.doc = "Figures of an interface of a host", .list = statistic_list,
};
