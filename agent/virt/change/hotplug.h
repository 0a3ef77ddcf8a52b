/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CHANGE_HOTPLUG_H
#define BERTH_AGENT_VIRT_CHANGE_HOTPLUG_H
/* Devices into and out of a running VM: one way for all sorts of them. Theory of operation in hotplug.c. */
#include <libxml/tree.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/virt/change/live.h"

struct plug_points { const char *before, *after, *failed; };             /* hook points; NULL: none */

/* A sort of device. */
struct plug_kind {
	const char *element;                         /* in <devices>: "disk" */
	enum error_code plug_failed, unplug_failed;
	struct plug_points plug, unplug;
	bool (*plugged)(struct live *live, xmlNode *device, GError **error);         /* it is there, the rest is done here; false: it is taken out again */
	void (*unplugged)(struct live *live);                                        /* it is gone */
};

extern const struct plug_kind plug_nic;

/* A device that is to be plugged, in a document of its own: <domain><devices/><metadata/></domain>. */
struct plug_wish { xmlDoc *doc; xmlNode *device, *metadata; };
void plug_wish_clear(struct plug_wish *wish);
#define AUTO_WISH __attribute__((cleanup(plug_wish_clear))) struct plug_wish
/* From text: exactly one device, of the element's name, is in it. ERR_INVALID_PARAMETER. */
bool plug_wish_parse(const char *xml, const char *element, struct plug_wish *ret_wish, GError **error);
/* From the parameter form, for this VM: as VM.create would make it. */
bool plug_wish_build(struct live *live, const char *type, const struct vm_device *device, struct plug_wish *ret_wish, GError **error);

/* Puts it in. ret_device (may be NULL): the device as libvirt has it now, in live. */
bool plug_in(struct live *live, const struct plug_kind *kind, struct plug_wish *wish, xmlNode **ret_device, GError **error);
/* Takes a device of live out. */
bool plug_out(struct live *live, const struct plug_kind *kind, xmlNode *device, GError **error);

bool hotplug_disk_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotunplug_disk_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotplug_nic_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotunplug_nic_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotplug_memory_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotunplug_memory_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotplug_lease_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotunplug_lease_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotplug_hostdev_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool hotunplug_hostdev_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
