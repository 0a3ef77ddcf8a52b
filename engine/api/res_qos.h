/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_QOS_H
#define BERTH_ENGINE_RES_QOS_H
/* Limits of a data center, and who may name which. */
#include "engine/api/resource.h"
#include "engine/model/qos.h"

/* For .check of what names a QoS: there is none, or it is of this class and of this data center. what: "vnic_profile 'gold'" */
bool qos_fits(struct model *model, const struct ref *ref, enum qos_class class_, const char *data_center_id, const char *what, GError **error);

/* The quota (an id; NULL: none) is one of the data center. what: "disk 'd1'". For the writer's checks. */
bool quota_fits(struct model *model, const char *id, const char *data_center_id, const char *what, GError **error);
/* Who names a quota sees it. */
bool quota_is_seen(const struct request *request, const char *id, const char *what, GError **error);

/* For .updated: running VMs get the limits that they have from now on. Of all VMs; of the VM; of the VM whose device the record is. */
void limits_of_all(struct request *request, const void *record);
void limits_of_vm(struct request *request, const void *record);
void limits_of_device(struct request *request, const void *record);

#endif
