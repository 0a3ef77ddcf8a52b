/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_REQUIRED_NETWORKS_H
#define BERTH_ENGINE_REQUIRED_NETWORKS_H
/*
 * Networks that every host of a cluster has to have (clusters/{}/networks, `required`), as ovirt-engine has it: a host that is found without one is
 * non_operational, and a network that a host which is up lacks (it became required since) is.
 *
 * The management network is not asked for: hosts are taken over with the networks they have, and that the engine reaches one shows that it is managed.
 */
#include "engine/engine.h"
#include "engine/model/network.h"
#include "proto/host.h"

/* Those of a cluster that the host does not have, as "red,blue"; NULL: it has all of them, or has not told. g_free */
char *required_networks_missing(struct model *model, const char *cluster_id, const struct host_caps *caps);
/* Is the network required in the cluster (NULL: in any), and is there a host of it that is up and does not have it? */
enum network_state required_network_state(struct engine *engine, const struct network *network, const char *cluster_id);

#endif
