/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_NIC_MAC_H
#define BERTH_ENGINE_NIC_MAC_H
/* Hardware addresses of VMs' NICs: no two have the same. */
#include "engine/model/model.h"
#include "engine/model/nic.h"

/* Does another NIC than this one (NULL: any) have it? */
bool nic_mac_is_taken(struct model *model, const char *mac, const char *but_not);
/* For change_check(), data is a struct nic: two changes at a time cannot get the same address. */
bool nic_mac_is_free(struct model *model, void *data, GError **error);
/* Gives it a free one of the pool. */
bool nic_mac_draw(struct model *model, struct nic *nic, GError **error);

#endif
