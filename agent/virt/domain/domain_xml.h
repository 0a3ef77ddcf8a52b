/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DOMAIN_DOMAIN_XML_H
#define BERTH_AGENT_VIRT_DOMAIN_DOMAIN_XML_H
/*
 * From VM.create's parameters to libvirt's domain XML. Nothing is changed on the host: what it must ask of it goes through domain_xml_env, and what must be
 * made before the VM can start (payload images, mediated devices) is collected in its `orders`.
 *
 * Devices come in two forms. One of the parameter form (struct vm_device) becomes XML in domain_xml_device(); one that came as XML is fitted to this
 * host in domain_xml_fit(). A whole domain goes through the same two, device by device, so that what is plugged later is what VM.create would make.
 */
#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "proto/vm.h"

struct domain_xml_env {
	const char *vm_id;               /* the VM the XML is for */
	bool kvm;                        /* hardware acceleration works here */
	const char *no_kvm;              /* why not */
	const char *host_uuid, *os_name, *os_version;
	const char *host_cpus, *host_nodes;      /* online ones: "0-3" */
	const char *display_address;     /* consoles listen there */
	const char *password;            /* of consoles that were given none; expired from the start */
	const char *files_dir, *nvram_dir;      /* vm_files.h, external_data.h */
	size_t nvram_size;               /* of the UEFI variables that came with the VM; 0: none came */
	double start_time;               /* epoch, seconds */
	/* ids -> path and format; errors of storage */
	bool (*prepare)(void *data, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format, GError **error);
	/* What is to be used instead of a volume that is ready, {path, format, diskType, ids...}: a changed copy, or NULL when nothing changes. NULL: nothing ever
	 * does. false + error: it must not be used. */
	bool (*prepared)(void *data, const json_t *drive, json_t **ret_drive, GError **error);
	/* the lease of a volume, or without an image: one by its own name (Lease.create) -> path, g_free, and offset; NULL: there are none. Errors of storage */
	bool (*lease)(void *data, const char *domain, const char *image, const char *lease, char **ret_path, int64_t *ret_offset, GError **error);
	bool (*holds_leases)(void *data, GError **error);        /* libvirt does, on this host; ERR_CANNOT_CREATE_VM */
	/* network -> bridge, g_free; ret_tag: of net_bridge_of() */
	char *(*bridge)(void *data, const char *network, int *ret_tag, GError **error);
	/* network without a bridge -> the link below it, g_free */
	char *(*link)(void *data, const char *network, GError **error);
	/* network -> the host's address in it, g_free; NULL: it has none */
	char *(*address)(void *data, const char *network);
	/* The filter is there (one of the common ones: now) */
	bool (*filter)(void *data, const char *filter, GError **error);
	/* From now on the policies hold for the NIC with that address; bridge NULL: in none -> what its tap must be called, g_free. net_port_set() */
	char *(*port)(void *data, const char *mac, const char *bridge, const json_t *policies, GError **error);
	/* Once its tap is there, the NIC with that address gets a copy of these networks (NULL-terminated); errors of bridge. NULL: when the VM runs */
	bool (*mirror)(void *data, const char *mac, const char *const *networks, GError **error);
	/* A hardware address, of no other NIC on this host, for one that came without; g_free. NULL: such a NIC is left to libvirt */
	char *(*mac)(void *data);
	/* host device -> libvirt's XML of it, g_free; ERR_HOSTDEV_DETACH_FAILED */
	char *(*node_device)(void *data, const char *name, GError **error);
	bool (*usb_device)(void *data, unsigned bus, unsigned device, GError **error);      /* it is there; ERR_HOSTDEV_DETACH_FAILED */
	void *data;
	GPtrArray *orders;               /* struct domain_order; NULL: what needs one is refused */
};

/* Something to make before the start; gone with the VM. */
struct domain_order {
	enum { ORDER_PAYLOAD, ORDER_MDEV } kind;
	char *path;                      /* payload: the image */
	bool floppy;
	char *label;                     /* of its file system; NULL: none */
	json_t *files;                   /* path in the image -> base64 */
	char *mdev_type, *mdev_uuid;
};
void domain_order_free(void *order);

/* The XML (g_free), with our metadata; of params->xml when there is one, else of the other parameters. */
char *domain_xml_build(const struct vm_params *params, const struct domain_xml_env *env, GError **error);

/* ---- one device (device.c) ---- */

/* The machine that devices go into: what they must know of it, and what each leaves for the next. */
struct device_scope {
	const struct domain_xml_env *env;
	const struct vm_params *params;  /* of the whole VM, with defaults */
	bool q35;
	GHashTable *targets;             /* char *: disk names in use, "vda" */
	unsigned has;                    /* bits of enum device_has: what is there already */
};
enum device_has {
	HAS_GRAPHICS = 1 << 0, HAS_SPICE = 1 << 1, HAS_VIDEO = 1 << 2, HAS_USB = 1 << 3, HAS_NO_USB = 1 << 4, HAS_BALLOON = 1 << 5, HAS_SCSI = 1 << 6,
	WANTS_SCSI = 1 << 7, HAS_INPUT = 1 << 8, HAS_SMARTCARD = 1 << 9, HAS_PANIC = 1 << 10, HAS_SPICE_CHANNEL = 1 << 11,
};

/* A new machine; domain: one that runs, into which something is plugged (NULL: none). params may be NULL: defaults. env must stay. */
struct device_scope *device_scope_new(const struct domain_xml_env *env, const struct vm_params *params, const xmlNode *domain);
struct device_scope *device_scope_free(struct device_scope *scope);
static inline void device_scope_free_at(struct device_scope **scope)
{
	device_scope_free(*scope);
}
#define AUTO_SCOPE __attribute__((cleanup(device_scope_free_at))) struct device_scope *

/*
 * Appends the device to parent (<devices>, or any element) and what must be kept of it to metadata (ovirt-vm:vm; NULL: nothing is kept). Errors:
 * ERR_INVALID_PARAMETER and ERR_MISSING_PARAMETER naming member and value, ERR_IMAGE_FILE_NOT_FOUND, those of storage, network and host devices.
 * The new element is parent's last child.
 */
bool domain_xml_device(const struct vm_device *device, xmlNode *parent, xmlNode *metadata, struct device_scope *scope, GError **error);

/* ---- a device that came as XML (domain_adapt.c) ---- */

/* One element of <devices>, fitted to this host; metadata: the ovirt-vm:vm element that came with it (NULL: none). Elements without rules stay. */
bool domain_xml_fit(xmlNode *device, xmlNode *metadata, const struct vm_params *params, const struct domain_xml_env *env, GError **error);

/* ---- parts of domain_xml_build() ---- */

bool domain_xml_devices(xmlNode *domain, xmlNode *metadata, const struct vm_params *params, const struct domain_xml_env *env, GError **error);
/* A domain that came as XML: fitted to this host. */
bool domain_xml_adapt(xmlNode *domain, const struct vm_params *params, const struct domain_xml_env *env, GError **error);
/* CPUs, their pinning, NUMA (domain_cpu.c); memory (domain_memory.c) */
bool domain_xml_cpus(xmlNode *domain, const struct vm_params *params, const struct domain_xml_env *env, GError **error);
bool domain_xml_memory(xmlNode *domain, xmlNode *metadata, const struct vm_params *params, GError **error);
/* domain_os.c: how it boots, SMBIOS, clock, features */
bool domain_xml_os(xmlNode *domain, const struct vm_params *params, const struct domain_xml_env *env, GError **error);
/* The loader and the place of its variables as this host has them; secure: Secure Boot with enrolled keys. */
bool domain_xml_firmware(xmlNode *os, bool secure, const struct domain_xml_env *env, GError **error);
/* "kvm" or "qemu" by what is wanted and what is here: ERR_CANNOT_CREATE_VM when kvm is a must and does not work. NULL + error. */
const char *domain_xml_accelerator(const struct vm_params *params, const struct domain_xml_env *env, GError **error);
/* The choice was left to the host, and it has no better one than software. */
bool domain_xml_falls_back(const struct vm_params *params, const struct domain_xml_env *env);
/* A machine type of a distribution that is not this one (pc-q35-rhel8.6.0) becomes the plain q35 or pc; others stay. */
const char *domain_xml_machine(const char *given);
/* <genid>: what was given, what is there, the VM's id. */
void domain_xml_generation(xmlNode *domain, const struct vm_params *params, const struct domain_xml_env *env);

/* The guest agent's channel, when it is not there. */
void domain_xml_agent_channel(xmlNode *devices);
/* passwd and passwdValidTo; password NULL: env->password, already expired. */
void domain_xml_ticket(xmlNode *graphics, const char *password, int ttl, const struct domain_xml_env *env);
/* A volume made ready: env->prepare and env->prepared. drive: ids and whatever else is known of it, gets path, format and diskType. */
bool domain_xml_prepare(const struct domain_xml_env *env, json_t *drive, char **ret_path, const char **ret_format, GError **error);
/* The file is there: else ERR_IMAGE_FILE_NOT_FOUND with what it is for. ret_block may be NULL. */
bool domain_xml_check_file(const char *path, const char *purpose, bool *ret_block, GError **error);
/* The image of a payload disk: <files_dir>/<vm>.<target>.img, ordered. files: path -> base64. ERR_INVALID_PARAMETER. g_free */
char *domain_xml_payload(const char *target, bool floppy, const char *label, const json_t *files, const struct domain_xml_env *env, GError **error);
/* A copy in which numbers and booleans are texts, at every depth: engines send "1" and 1. New reference; NULL: none. */
json_t *domain_json_texts(const json_t *json);

#define VNC_PASSWORD_MAX 8               /* the protocol's; libvirt refuses longer ones */
#define AGENT_CHANNEL "org.qemu.guest_agent.0"
#define SPICE_CHANNEL "com.redhat.spice.0"

#endif
