/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_VM_METADATA_H
#define BERTH_AGENT_VIRT_VM_METADATA_H
/*
 * What the agent must know of a VM after it was killed and started again, kept where it cannot get lost: in the libvirt domain's
 * <metadata>, element vm of namespace http://ovirt.org/vm/1.0 (prefix ovirt-vm), as vdsm has it:
 *
 *	<ovirt-vm:startTime type="float">1700000000.123</ovirt-vm:startTime>     when the VM started, epoch
 *	<ovirt-vm:parameters type="json">{...}</ovirt-vm:parameters>             what VM.create was asked for, without secrets and xml
 *	<ovirt-vm:custom><ovirt-vm:NAME>value</ovirt-vm:NAME></ovirt-vm:custom>  custom properties
 *	<ovirt-vm:device devtype="disk" name="vda"><ovirt-vm:imageID>...         ids of a disk (poolID, domainID, imageID, volumeID), deviceId
 *	<ovirt-vm:device devtype="interface" mac_address="..."><ovirt-vm:network>...
 *	<ovirt-vm:minGuaranteedMemoryMb type="int">512</ovirt-vm:minGuaranteedMemoryMb>     what the balloon leaves the guest
 *
 * An element that the engine gave is kept with all that is in it; ours is added.
 */
#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include "proto/vm.h"

#define METADATA_NS "http://ovirt.org/vm/1.0"

xmlNode *vm_metadata_of(const xmlNode *domain);                    /* the vm element; NULL: not a VM of ours */
xmlNode *vm_metadata_make(xmlNode *domain);                        /* the same, made when missing */
void vm_metadata_set(xmlNode *parent, const char *name, const char *type, const char *text);      /* child of our namespace, replaced; type may be NULL */
xmlNode *vm_metadata_add(xmlNode *parent, const char *name, const char *text);     /* one more child of our namespace; text may be NULL */
char *vm_metadata_get(const xmlNode *parent, const char *name);    /* g_free; NULL */
/* The device element with attribute=value (NULL when missing), made on request. */
xmlNode *vm_metadata_device(const xmlNode *vm, const char *attribute, const char *value);
xmlNode *vm_metadata_add_device(xmlNode *vm, const char *devtype, const char *attribute, const char *value);

void vm_metadata_write(xmlNode *vm, const struct vm_params *params, double start_time);
/* One reference; NULL when there are none. With launchPaused and minGuaranteedMemoryMb of an engine's metadata. */
struct vm_params *vm_metadata_params(const xmlNode *vm);
/* A copy of what VM.create was asked for that may be kept and shown: without xml, secrets and the contents of payloads. */
struct vm_params *vm_params_shown(const struct vm_params *params);
/* Custom properties of the VM, or of a device (parent: its element); names that XML cannot have and values that are no texts are left out. */
void vm_metadata_set_custom(xmlNode *parent, const json_t *custom);
/* <policies> of a NIC, JSON (net_port_set()); *ret_policies NULL: none; new reference. ERR_INVALID_PARAMETER: it is no JSON. */
void vm_metadata_set_policies(xmlNode *parent, const json_t *policies);
bool vm_metadata_policies(const xmlNode *parent, json_t **ret_policies, GError **error);
GPtrArray *vm_metadata_mirroring(const xmlNode *parent);           /* <portMirroring> of a NIC: names of networks; NULL: none. g_ptr_array_unref */
json_t *vm_metadata_custom(const xmlNode *parent);                 /* map; new reference; NULL when none */
void vm_metadata_set_start_time(xmlNode *vm, double start_time);
double vm_metadata_start_time(const xmlNode *vm);                  /* 0: unknown */

#endif
