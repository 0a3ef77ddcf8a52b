/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_NETWORK_H
#define BERTH_ENGINE_RES_NETWORK_H
#include "engine/model/network.h"

struct change;
struct model;
/* The management network of a new data center. */
/* The profile that a network for VMs begins with. */
void network_add_profile(struct change *change, const struct network *network);
void network_add_management(struct change *change, const char *datacenter_id);
/* The network and its memberships in clusters. */
void network_remove(struct model *model, struct change *change, const struct network *network);

#endif
