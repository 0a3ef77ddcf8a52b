/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_FORM_GROUP_H
#define BERTH_AGENT_STORAGE_FORM_GROUP_H
/* Volume groups of block domains: which are there, on which devices. Theory of operation in group.c. Workers only. */
#include "agent/storage/connection/device.h"
#include "agent/storage/storage-priv.h"

#define GROUP_TAG_DOMAIN "RHAT_storage_domain"              /* it holds a domain */
#define GROUP_TAG_UNREADY "RHAT_storage_domain_UNREADY"     /* made for one */

/* A physical volume; id: LVM's; bytes; metadata: the group's are there */
struct group_device { char *path, *id; int64_t size, free, used; bool metadata; };
struct group {
	char *name, *id;
	char **tags;
	int64_t size, free, extent, mda_size, mda_free;
	GPtrArray *devices;              /* struct group_device * */
	bool partial;                    /* a device is missing */
};
/* All on all devices; blocks as long as a device does. struct group *, g_ptr_array_unref; NULL + error */
GPtrArray *group_list(GError **error);
/* By LVM's id or by name. Among those of group_list(). NULL: not there */
struct group *group_find(GPtrArray *groups, const char *id_or_name);
GPtrArray *group_device_paths(const struct group *group);       /* char *, g_ptr_array_unref */
bool group_has_tag(const struct group *group, const char *tag);

/* Paths of the devices of the group with this name, from what was seen last; scan: look again (bounded in time). NULL: not known. g_ptr_array_unref */
GPtrArray *group_paths(struct storage *storage, const char *name, bool scan);
/* Ids of the domains in groups, looked for now. char *, g_ptr_array_unref */
GPtrArray *group_domains(struct storage *storage);
void group_forget(struct storage *storage, const char *name);

/* Paths of devices by their GUIDs, each free unless force. ERR_INACCESSIBLE_PHYS_DEV, ERR_PHYS_DEV_INITIALIZATION_ERROR */
GPtrArray *group_check_devices(GPtrArray *devices, GPtrArray *guids, bool force, GError **error);
/* Makes them physical volumes; LVM's metadata are kept on the first one when `first` */
bool group_init_devices(const GPtrArray *paths, bool force, bool first, GError **error);

#endif
