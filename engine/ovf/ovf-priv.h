/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_OVF_PRIV_H
#define BERTH_ENGINE_OVF_PRIV_H
/* One table for both directions: which element of the OVF is which member. */
#include <stddef.h>

#define OVF_NS "http://schemas.dmtf.org/ovf/envelope/1/"
#define RASD_NS "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
#define VSSD_NS "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
#define XSI_NS "http://www.w3.org/2001/XMLSchema-instance"
#define OVF_TIME_FORMAT "%Y/%m/%d %H:%M:%S"
#define OVF_ACTIVE_VM "Active VM"                /* the description of what is no snapshot */

enum ovf_form {
	OVF_PLAIN,                           /* the text of the member */
	OVF_MIB,                             /* bytes as MiB */
	OVF_TIME,                            /* UTC */
	OVF_CODE,                            /* a name as the number that oVirt has for it */
	OVF_BOOT, OVF_SSO, OVF_PROPERTIES,   /* lists, see fields.c */
	OVF_FIXED,                           /* not a member: always `path` when written, not read */
	OVF_WRITER,                          /* the writer knows it: export date, template's id and name */
};
struct ovf_code { const char *name, *code; };                /* ends with name NULL */

/* Children of Content, in oVirt's order. optional: not written when absent or false. */
struct ovf_field { const char *element, *path; enum ovf_form form; const struct ovf_code *codes; };
extern const struct ovf_field ovf_fields[];
extern const size_t n_ovf_fields;

const char *ovf_code_of(const struct ovf_code *codes, const char *name);             /* NULL when none; names: of any case */
const char *ovf_name_of(const struct ovf_code *codes, const char *code);

/* Boot orders by their number: letters c (disk), d (CD), n (network). */
extern const char *const ovf_boot_orders[];
extern const size_t n_ovf_boot_orders;

extern const struct ovf_code ovf_disk_interfaces[], ovf_nic_models[], ovf_usb_policies[];

/* rasd:ResourceType */
enum ovf_resource {
	OVF_OTHER = 0, OVF_CPU = 3, OVF_MEMORY = 4, OVF_NIC = 10, OVF_CDROM = 15, OVF_DISK = 17, OVF_VIDEO = 20, OVF_USB = 23
};

#endif
