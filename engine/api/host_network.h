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
/* The attachments that the capabilities show; struct network_attachment. caps may be NULL: none. */
GPtrArray *host_attachments(struct request *request, const struct host *host, const struct host_caps *caps);

/* One set-up of networks, whole or not at all. */
struct network_setup {
	GPtrArray *modified;                 /* struct network_attachment: without id: new; members that are absent stay as they are. May be NULL */
	GPtrArray *synchronized, *removed;   /* struct network_attachment: their ids count. May be NULL */
	bool check_connectivity;
	int timeout_s;
};
#define SETUP_TIMEOUT_S 120
/* Worker. name: of the first modified network, for the answer; g_free, may be NULL. */
bool host_setup_networks(struct request *request, const struct host *host, const struct network_setup *setup, char **ret_name, GError **error);

/* Members of what the host told: a text (NULL: absent or empty); a truth, or one as text. */
const char *host_json_text(const json_t *object, const char *key);
bool host_json_true(const json_t *object, const char *key);

#endif
