/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_ENDPOINT_H
#define BERTH_PROTO_ENDPOINT_H
/* End points: ports of networks that are there before and after what is attached to them. Verbs of our own. */
#include "common/record.h"

/* As it is wished, kept and told; each table has the members that count there. */
struct net_endpoint {
	struct record record;
	char *id, *network, *mac, *name;
	GPtrArray *ips, *gateways;
	json_t *policies;
	char *tap;                       /* the host's end: name of a tap or veth */
	char *vm_id, *space, *link;      /* attached to: a VM, or a network namespace, where it is called link */
	int64_t received_bytes, sent_bytes, received_drops, sent_drops;      /* kept: of links that are gone; told: with those of the one there is */
};
extern const struct record_type net_endpoint_type, endpoint_create_params_type, endpoint_modify_params_type, endpoint_id_params_type;

struct endpoint_attach { struct record record; char *id, *vm_id, *space, *link, *model; };
extern const struct record_type endpoint_attach_params_type, endpoint_detach_params_type;

#endif
