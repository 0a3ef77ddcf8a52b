/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_LUN_H
#define BERTH_ENGINE_LUN_H
/*
 * Disks that are a LUN of their own, beside all storage domains; the flows about them are those of all disks (disk_flow.h).
 *
 * Nothing is ever written to the LUN. That of an iSCSI target is reached by storage connections, as a domain's is, and they go with the last that uses them. A
 * host logs in when it looks at a new disk and when it starts a VM that has one. Who may have is noted in the disk before, and leaves when the disk is removed
 * and nothing else needs the target; one that is away then stays logged in, which does no harm and is logged.
 */
#include "engine/flow/flow.h"
#include "engine/model/disk.h"

/* For change_check(), data is a struct disk: no storage domain and no other disk has its LUN. */
bool lun_is_free(struct model *model, void *data, GError **error);
/* Does a disk need the connection on this host? */
bool lun_needs(struct model *model, const char *connection_id, const char *host_id);

/* ---- for steps of flows; may be repeated ---- */
/* The host logs in to the targets of all LUNs that the VM has plugged. */
bool lun_connect_vm(const struct flow *flow, const char *host_id, const char *vm_id, GError **error);
/* The flow's object is the disk, its data has "host". The host logs in to the disk's targets; */
bool lun_reach(const struct flow *flow, GError **error);
/* all who may have done so leave what only this disk needs. */
void lun_leave(const struct flow *flow);
/* The LUN as the host sees it; new record. NULL + error: it does not, it is of another type, or a storage domain that nobody here knows is on it. */
struct logical_unit *lun_look(const struct flow *flow, GError **error);
/* The disk is what was seen. */
void lun_take(struct disk *disk, struct logical_unit *unit);

#endif
