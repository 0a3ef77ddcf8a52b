/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLOW_DOMAIN_CONTENT_H
#define BERTH_ENGINE_FLOW_DOMAIN_CONTENT_H
/*
 * What lives on storage domains that are forgotten, their data untouched: a data center removed by force (REST 9.6.1), a domain that is destroyed (12.9.2).
 * Their disks go; a VM or template goes with the last of its disks that is an image, each with its event. Direct LUNs that a VM leaves float.
 */
#include "engine/store/store.h"

/* domains: their ids. gone (NULL: nobody asks): a set that the ids of the VMs that go are added to. false + ERR_OPERATION_FAILED: one of the VMs runs. */
bool domain_content_forget(struct model *model, struct change *change, const GPtrArray *domains, const struct actor *actor, GHashTable *gone, GError **error);

#endif
