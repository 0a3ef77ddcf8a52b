/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_NETWORK_H
#define BERTH_ENGINE_HOST_NETWORK_H
/*
 * Networks of a host: an attachment says which logical network a host has, on which interface and with which addresses. Nothing of it is stored but what
 * was last sent (host.networks): attachments and interfaces are made from the host's capabilities whenever they are asked for. Their ids are made from
 * the host's id and their name, so they stay the same.
 */
#include <jansson.h>
#include "engine/api/resource.h"
#include "engine/model/host.h"
#include "engine/model/network.h"
#include "proto/host.h"
#include "proto/net.h"

struct address_assignment { struct record record; char *address, *netmask, *gateway; int method; };          /* enum boot_protocol */
extern const struct record_type address_assignment_type;
struct network_property { struct record record; char *name, *value; };
extern const struct record_type network_property_type;
struct reported_configuration { struct record record; char *name, *expected, *actual; bool in_sync; };
extern const struct record_type reported_configuration_type;

struct network_attachment {
	struct record record;
	char *id, *name;                     /* name: of the network, not shown */
	struct ref network;                  /* input: looked up in the host's data center */
	char *host_nic_href, *host_nic_id, *host_nic_name;
	GPtrArray *assignments;              /* struct address_assignment */
	char *ip_address, *ip_netmask, *ip_gateway;      /* input: short form of one static assignment */
	GPtrArray *properties;               /* struct network_property */
	bool in_sync;
	GPtrArray *reported;                 /* struct reported_configuration */
	struct ref host;
};
extern const struct record_type network_attachment_type;

/* "nic" or "attachment" of a host by name; g_free */
char *host_part_id(const char *what, const char *host_id, const char *name);
/* Network of that name in the host's data center or NULL; new reference. */
struct network *host_network_named(struct model *model, const struct host *host, const char *name);
/* Can VMs be on it? Then it is a bridge. */
bool network_carries_vms(const struct network *network);
/* What the network's QoS means for the agent, {"out": {"ls", "ul", "rt": {"m2": bit/s}}}; NULL: it has none. New reference. */
json_t *network_host_qos(struct model *model, const struct network *network);
/* The attachments that the capabilities show; struct network_attachment. caps may be NULL: none. */
GPtrArray *host_attachments(struct request *request, const struct host *host, const struct host_caps *caps);

/* What an interface as a client describes it (NULL: he does not) means for the network on it: a wish for a set-up. network_id may be NULL. */
struct network_attachment *host_nic_wish(const struct host_nic *input, const char *nic_name, const char *network_id);

/* POST /hosts/{}/nics/setupnetworks: host_nics_setup.c */
extern const struct record_type nics_setup_action_type;
bool host_nics_setup(struct request *request, const void *object, const void *params, void **ret_result, GError **error);

/* The bond that an interface is part of; NULL: none. */
const char *host_nic_bond(const struct host_caps *caps, const char *name);

/* Virtual functions of an interface (SR-IOV): res_host_nic_vfs.c */
#define HOST_NIC_VFS_ACTION "updatevirtualfunctionsconfiguration"
extern const struct record_type host_nic_vfs_type;
bool host_nic_vfs_update(struct request *request, const void *nic, const void *params, void **ret_result, GError **error);
/* May they carry every network? */
bool host_nic_vfs_carry_all(const struct host *host, const char *nic);

/* A label of an interface, which gets every network of the host's cluster that has the label, too. */
struct nic_label { struct record record; char *id, *inner_id, *host_nic_id, *host_nic_name; };
extern const struct record_type nic_label_type;
#define LABEL_PATTERN "[-\\w]+"

/* One set-up of networks, whole or not at all. Any list may be NULL. */
struct network_setup {
	GPtrArray *modified;                 /* struct network_attachment: without id: new; members that are absent stay as they are */
	GPtrArray *synchronized, *removed;   /* struct network_attachment: their ids count */
	GPtrArray *modified_bonds, *removed_bonds;           /* struct host_nic: by id or name */
	GPtrArray *removed_unmanaged;                        /* names of networks that the data center does not have */
	GPtrArray *modified_labels, *removed_labels;         /* struct nic_label */
	bool check_connectivity;
	int timeout_s;
};
#define SETUP_TIMEOUT_S 120
/* Worker. name: of the first modified network, for the answer; g_free, may be NULL. */
bool host_setup_networks(struct request *request, const struct host *host, const struct network_setup *setup, char **ret_name, GError **error);
/* The hosts that have the network's cluster follow its label, each on its own lane: they get the network on interfaces with the label, or, when it has lost
 * the label `lost` (NULL: none), let it go. Does not wait; events tell how it went. */
void hosts_follow_label(struct request *request, const struct network *network, const char *lost);

/* What a set-up means for the agent: made by host_plan.c. */
struct network_plan {
	json_t *networks, *bonds;            /* name -> what is sent */
	json_t *labels;                      /* the host's nic_labels afterwards */
	char *first;                         /* name of the first modified network */
};
bool network_plan_make(struct request *request, const struct host *host, const struct host_caps *caps, const struct network_setup *setup,
		       struct network_plan *ret_plan, GError **error);
void network_plan_clear(struct network_plan *plan);

/* Device of the host that carries `device`: of a VLAN its interface, else itself. */
const char *host_device_below(const struct host_caps *caps, const char *device);
/* Is it a plain interface, or a bond? The object that tells of it, or NULL. */
const json_t *host_nic_object(const struct host_caps *caps, const char *name);
const json_t *host_bond_object(const struct host_caps *caps, const char *name);
/* Has the interface the label? */
bool host_nic_has_label(const json_t *labels, const char *nic, const char *label);

/* Members of what the host told: a text (NULL: absent or empty); a truth, or one as text; a number, or one as text. */
const char *host_json_text(const json_t *object, const char *key);
bool host_json_true(const json_t *object, const char *key);
double host_json_number(const json_t *object, const char *key);

#endif
