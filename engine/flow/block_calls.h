/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_BLOCK_CALLS_H
#define BERTH_ENGINE_BLOCK_CALLS_H
/*
 * The agent's verbs of block devices and of domains in volume groups, as flows need them: each may be repeated, and answers true when what it is for is the
 * case. The group of a domain has the domain's id for its name.
 */
#include "engine/flow/storage_calls.h"
#include "engine/model/logical_unit.h"

/* ---- devices: objects of Host.getDeviceList ---- */
/* Those of these ids (array of texts) that the host sees now, after it looked for new ones; NULL: all, and whether they are used. New reference. */
json_t *block_devices(const struct storage_call *call, const json_t *ids, GError **error);
/* "iscsi" or "fcp": what is no iSCSI disk is taken for one of the fabric. */
const char *block_device_type(const json_t *device);
/* The LUN that the device is; new record. */
struct logical_unit *block_unit(const json_t *device);
/* ERR_NOT_FOUND names a LUN that the host does not see. */
bool block_check_seen(const struct storage_call *call, const json_t *ids, GError **error);

/* ---- domains ---- */
/* What a domain is made on; type: "iscsi", "fcp" */
struct block_place { const char *type; const json_t *devices; bool force; };
/* The group and the domain in it. */
bool block_domain_create(const struct storage_call *call, const char *domain_id, const char *name, const struct block_place *place, GError **error);
/* The group that was made for a domain that did not come to be. */
bool block_group_remove(const struct storage_call *call, const char *domain_id, GError **error);
/* Its group's id (g_free) and LUNs (list of struct logical_unit); *ret_group NULL: the host sees no such group. */
bool block_group(const struct storage_call *call, const char *domain_id, char **ret_group, GPtrArray **ret_units, GError **error);
/* The domain whose group has the device; NULL: none. g_free */
bool block_domain_on(const struct storage_call *call, const char *device, char **ret_domain_id, GError **error);
/* Has its group all of these devices? */
bool block_has(const struct storage_call *call, const char *domain_id, const json_t *devices, bool *ret_has, GError **error);
/* The devices are added, by the pool's manager. */
bool block_extend(const struct storage_call *call, const char *domain_id, const char *pool_id, const json_t *devices, bool force, GError **error);
/* A LUN that has grown is used to its end. */
bool block_resize(const struct storage_call *call, const char *domain_id, const char *pool_id, const char *device, GError **error);
/* Ids of domains in volume groups that the host sees. Array; new reference. */
json_t *block_domains(const struct storage_call *call, const char *type, GError **error);

#endif
