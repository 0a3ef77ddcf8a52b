/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /hosts/{id}/nics/setupnetworks, the older form of setupnetworks: a list of the host's interfaces as they are to be. What the list does not have goes:
 * a network that no interface of it names leaves the host, a bond that is not in it is removed. That becomes the wishes of the newer form, so its rules hold.
 *
 *	host_nic     by id or name; an interface, a bond (one that is new by its name), or the VLAN device that the list of interfaces shows
 *	network      on it; the one that it has moves here from wherever it is. An interface may stand there once for each of its networks
 *	bonding      members and options of the bond
 *	force        older clients ask with it to change networks that differ from their definition, which is always done
 */
#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/host_network.h"
#include "engine/api/res_host.h"

struct nics_action { ACTION_MEMBERS GPtrArray *nics; bool check_connectivity; int connectivity_timeout; };
#define N struct nics_action
static const struct field nics_fields[] = {
	ACTION_FIELDS(N),
	FIELD_LIST_(N, nics, "host_nics/host_nic", CREATE | REQUIRED, &bond_type, "all interfaces that have networks, and all bonds, as they are to be"),
	FIELD_BOOL_(N, check_connectivity, "checkConnectivity", CREATE, "take everything back when the host cannot be reached any more", .def = "true"),
	FIELD_BOOL_(N, check_connectivity, "check_connectivity", CREATE | ALIAS, "other spelling of checkConnectivity"),
	FIELD_INT_(N, connectivity_timeout, "connectivityTimeout", CREATE, "how long the host may be out of reach", .unit = "s", .min = 1, .max = 120,
		   .def = "120"),
	FIELD_INT_(N, connectivity_timeout, "connectivity_timeout", CREATE | ALIAS, "other spelling of connectivityTimeout", .min = 1, .max = 120),
};
#undef N
const struct record_type nics_setup_action_type = RECORD_TYPE("action", NULL, struct nics_action, nics_fields, "The interfaces of a host as they are to be");

/* The interface, bond or VLAN device that is meant; NULL: the host has none such. */
static const char *device_meant(const struct host *host, const struct host_caps *caps, const struct host_nic *nic)
{
	json_t *const maps[] = { caps->nics, caps->bondings, caps->vlans };
	const char *key;
	json_t *value;

	for (size_t i = 0; i < G_N_ELEMENTS(maps); i++)
		if (maps[i])
			json_object_foreach(maps[i], key, value) {
				g_autofree char *id = host_part_id("nic", host->id, key);

				if (nic->id ? !strcmp(nic->id, id) : !g_strcmp0(nic->name, key))
					return key;
			}
	return NULL;
}

static bool is_of(const struct network_attachment *attachment, const struct ref *network)
{
	return network->id ? !g_strcmp0(network->id, attachment->network.id) : network->name && !g_ascii_strcasecmp(network->name, attachment->name);
}

/* The network of an interface of the list as a wish; current: where the host has it, NULL: nowhere. */
static struct network_attachment *wish_of(const struct host_nic *nic, const char *device, const struct network_attachment *current)
{
	struct network_attachment *wish = host_nic_wish(nic, device, nic->network.id);

	set_string(&wish->network.name, nic->network.name);
	set_string(&wish->id, current ? current->id : NULL);
	return wish;
}

/* setup gets what one interface of the list means; the entries of `gone` that stay are taken out of it. */
static bool plan_nic(const struct host *host, const struct host_caps *caps, const struct host_nic *nic, const GPtrArray *current, struct network_setup *setup,
		     GHashTable *gone, GError **error)
{
	const char *device = device_meant(host, caps, nic);
	bool bonded = nic->bond_slaves || nic->bond_options;
	const struct network_attachment *now = NULL;

	if (!device && !(bonded && !nic->id && nic->name)) {
		error_set(error, nic->id || nic->name ? ERR_NOT_FOUND : ERR_INCOMPLETE, nic->id || nic->name ? "host_nic '%.128s' of host '%s'" :
			  "HostNic [id|name%s] required for setupnetworks of host '%s'", nic->id ? nic->id : nic->name ? nic->name : "", host->name);
		return false;
	}
	device = device ? host_device_below(caps, device) : nic->name;
	g_hash_table_remove(gone, device);
	if (bonded) {
		struct host_nic *bond = record_copy(nic);

		set_string(&bond->id, NULL);
		set_string(&bond->name, device);
		g_ptr_array_add(setup->modified_bonds, bond);
	}
	if (!nic->network.id && !nic->network.name)
		return true;
	for (guint i = 0; i < current->len && !now; i++)
		if (is_of(current->pdata[i], &nic->network))
			now = current->pdata[i];
	if (now)
		g_hash_table_remove(gone, now->id);
	g_ptr_array_add(setup->modified, wish_of(nic, device, now));
	return true;
}

/* Ids of attachments and names of bonds that the host has -> what a set-up names to remove it. */
static GHashTable *everything(const struct host_caps *caps, const GPtrArray *current)
{
	GHashTable *all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, record_unref);
	const char *name;
	json_t *bond;

	for (guint i = 0; i < current->len; i++)
		g_hash_table_insert(all, g_strdup(object_id(current->pdata[i])), record_ref(current->pdata[i]));
	if (caps->bondings)
		json_object_foreach(caps->bondings, name, bond) {
			struct host_nic *wish = record_new(&bond_type);

			set_string(&wish->name, name);
			g_hash_table_insert(all, g_strdup(name), wish);
		}
	return all;
}

bool host_nics_setup(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct nics_action *how = params;
	const struct host *host = object;
	struct host_caps *caps = host_capabilities(request, host, error);
	g_autoptr(GPtrArray) current = caps ? host_attachments(request, host, caps) : list_new();
	g_autoptr(GPtrArray) modified = list_new(), removed = list_new(), bonds = list_new(), removed_bonds = list_new();
	g_autoptr(GHashTable) gone = caps ? everything(caps, current) : NULL;
	struct network_setup setup = {
		.modified = modified, .removed = removed, .modified_bonds = bonds, .removed_bonds = removed_bonds,
		.check_connectivity = how->check_connectivity, .timeout_s = how->connectivity_timeout,
	};
	bool ok = caps != NULL;
	GHashTableIter iter;
	void *what;

	for (guint i = 0; ok && i < how->nics->len; i++)
		ok = plan_nic(host, caps, how->nics->pdata[i], current, &setup, gone, error);
	if (ok) {
		g_hash_table_iter_init(&iter, gone);
		while (g_hash_table_iter_next(&iter, NULL, &what))
			g_ptr_array_add(((struct record *)what)->type == &bond_type ? removed_bonds : removed, record_ref(what));
		ok = host_setup_networks(request, host, &setup, NULL, error);
	}
	record_unref(caps);
	return ok;
}
