/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CHANGE_LIVE_H
#define BERTH_AGENT_VIRT_CHANGE_LIVE_H
/*
 * A running domain as libvirt has it at this moment, to be looked at and changed, by a worker on the VM's lane. Theory of operation (what makes changes
 * of a running VM whole) in live.c.
 */
#include <libxml/tree.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/virt/vm.h"

struct live {
	struct vm *vm;
	virDomainPtr domain;
	xmlDoc *doc;
	xmlNode *root, *devices;
	xmlNode *metadata;               /* ovirt-vm:vm; made when it is missing. A change of it counts when live_keep() said so */
};

/* ERR_VM_IS_DOWN, ERR_MIGRATION_IN_PROGRESS, ERR_RESOURCE_UNAVAILABLE. */
struct live *live_open(struct vm *vm, GError **error);
/* The VM of that id first: ERR_NO_SUCH_VM. */
struct live *live_open_id(struct agent *agent, const char *vm_id, GError **error);
struct live *live_free(struct live *live);
static inline void live_free_at(struct live **live)
{
	live_free(*live);
}
#define AUTO_LIVE __attribute__((cleanup(live_free_at))) struct live *

/* Reads it anew; the vm knows it, too. Nodes from before are gone. */
bool live_read(struct live *live, GError **error);
/* The metadata as they are now, to libvirt. When it returns they are safe, and no change of the domain that was under way before goes on. */
bool live_keep(struct live *live, GError **error);

/* Sets an error after libvirt refused: with code, or, when it is gone or the domain is, ERR_RESOURCE_UNAVAILABLE or ERR_VM_IS_DOWN. */
void live_failed(const struct live *live, GError **error, enum error_code code, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* An error with the code `from` gets the code `to`: vdsm's verbs have codes of their own for what the rooms below say in theirs. */
void live_recode(GError **error, enum error_code from, enum error_code to);

/* ---- devices and what the metadata say of them ---- */

/* The device of <devices> with that alias; element: "disk", "interface"... (NULL: any). NULL when missing. */
xmlNode *live_alias(const struct live *live, const char *element, const char *alias);
/* What tells a device from others of its sort and is known before it is plugged: target of a disk, address of a NIC, alias of the rest. g_free; NULL. */
char *live_identity(const xmlNode *device);
/* The device of <devices> that has the identity of this one. */
xmlNode *live_same(const struct live *live, const xmlNode *device);
/* Its element in the metadata; make: when missing (the device needs an identity). */
xmlNode *live_kept(const struct live *live, const xmlNode *device, bool make);
/* The same below any ovirt-vm:vm. */
xmlNode *live_kept_in(xmlNode *metadata, const xmlNode *device, bool make);

/* That element from now on stands for this device, which has got another identity. */
void live_kept_follow(xmlNode *kept, const xmlNode *device);

/* ---- changes of many steps ---- */

/*
 * The verb and its parameters, in the metadata, before the first step: an agent that dies before live_end() does the change again when it is back
 * (live_settle()). Only verbs of the table in live.c.
 */
bool live_begin(struct live *live, const char *verb, const void *params, GError **error);
/* The change is over, done or undone; other changes of the metadata go with it. */
bool live_end(struct live *live, GError **error);
/*
 * After a start of the agent, a new connection to libvirt, or a device that went away by itself: finishes or forgets what was begun, forgets what the
 * metadata say of devices that are not there, puts policies and NICs back to what they say. Lane.
 */
void live_settle(struct vm *vm, void *unused);

/* What a verb of many steps does, for live_settle(). */
typedef bool (*live_redo)(struct live *live, const void *params, GError **error);

/* ---- the parts of live_settle() ---- */
void tune_settle(struct live *live);                         /* tune.c */
void nic_settle(struct live *live);                          /* nic.c */
bool media_redo(struct live *live, const void *params, GError **error);              /* media.c */
bool nic_redo(struct live *live, const void *params, GError **error);                /* nic.c */
bool io_tune_redo(struct live *live, const void *params, GError **error);            /* tune.c */

/* Answer of verbs whose vdsm result is an empty map. */
void live_answer_empty(GString *out);
/* {"code": 0, "message": "Done"} */
void live_answer_done(GString *out);

#endif
