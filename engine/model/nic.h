/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_NIC_H
#define BERTH_ENGINE_MODEL_NIC_H
/* Network interfaces of virtual machines (REST 15.6.2). */
#include "common/record.h"

enum nic_interface { NIC_E1000, NIC_VIRTIO, NIC_RTL8139, NIC_RTL8139_VIRTIO, NIC_INTERFACE_MAX };
extern const char *const nic_interface_names[];

struct nic {
	struct record record;
	char *id, *name, *description;
	struct ref vm;                       /* parent; absent: it is a template's */
	struct ref template;                 /* it has no address: VMs made from the template get theirs */
	struct ref network;                  /* absent: not connected */
	struct ref vnic_profile;             /* of that network */
	int interface;                       /* enum nic_interface */
	char *mac;
	GPtrArray *port_mirroring;           /* struct object_ref: networks */
	bool plugged, linked;
	GPtrArray *reported_ips;             /* struct ip; known only when shown */
};
extern const struct record_type nic_type;

#endif
