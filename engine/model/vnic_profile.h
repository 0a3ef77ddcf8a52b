/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_VNIC_PROFILE_H
#define BERTH_ENGINE_MODEL_VNIC_PROFILE_H
/* vNIC profiles: what an interface of a VM may do on a network (REST 11.5.1). Go with their network. */
#include "common/record.h"

struct vnic_profile {
	struct record record;
	char *id, *name, *description;
	struct ref network;                  /* parent */
	bool port_mirroring;
	int pass_through;                    /* index of pass_through_names */
	struct ref qos;
	GPtrArray *custom_properties;        /* struct option_item */
};
extern const struct record_type vnic_profile_type;
extern const char *const pass_through_names[];               /* disabled, enabled */

#endif
