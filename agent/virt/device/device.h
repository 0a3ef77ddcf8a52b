/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DEVICE_DEVICE_H
#define BERTH_AGENT_VIRT_DEVICE_DEVICE_H
/* What the device_*.c files share: each turns the devices of its noun into XML. */
#include "agent/virt/domain/domain_xml.h"

/* The device, with defaults and specParams in texts, and where it goes. */
struct device_build {
	const struct vm_device *device;
	xmlNode *parent, *metadata;      /* metadata may be NULL */
	struct device_scope *scope;
};
typedef bool (*device_fn)(const struct device_build *b, GError **error);

bool device_disk(const struct device_build *b, GError **error);
bool device_nic(const struct device_build *b, GError **error);
bool device_graphics(const struct device_build *b, GError **error);
bool device_video(const struct device_build *b, GError **error);
bool device_hostdev(const struct device_build *b, GError **error);
bool device_lease(const struct device_build *b, GError **error);

/* A text of specParams or, when it has none of that name, the device's own member; otherwise when both are absent or empty. */
const char *device_text(const struct vm_device *device, const char *name, const char *otherwise);
/* value is one of names (NULL-terminated): else ERR_INVALID_PARAMETER with member, value and names. */
bool device_check(const char *member, const char *value, const char *const *names, GError **error);
/* QoS, added to a NIC: spec_params' inbound and outbound, each {average, peak (KiB/s), burst (KiB)} in texts; others are left out. ERR_INVALID_PARAMETER. */
bool device_bandwidth(xmlNode *nic, const json_t *spec_params, GError **error);
/* Into this bridge; tag: of net_bridge_of(). */
void device_plug(xmlNode *nic, const char *bridge, int tag);
bool device_is_ovs(const xmlNode *nic);
/* The policies of a NIC with that address (both may be NULL) take hold, and it gets the name that they are for. Errors of net_port_set(). */
bool device_policies(xmlNode *nic, const char *mac, const json_t *policies, const struct domain_xml_env *env, GError **error);
/* Alias, boot order, address: what every device may have. */
void device_common(xmlNode *node, const struct vm_device *device);
/* <source><address> of a PCI device given to the VM, which must have an IOMMU group; else ERR_HOSTDEV_DETACH_FAILED. */
bool device_pci_source(xmlNode *node, const char *name, const struct domain_xml_env *env, GError **error);

#endif
