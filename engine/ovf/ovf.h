/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_OVF_H
#define BERTH_ENGINE_OVF_H
/*
 * VMs and templates as the OVF text that oVirt keeps beside their disks on export and data domains: its dialect of OVF 1.0 (envelope namespace with a slash at
 * the end, no namespace for most elements, CIM fields as rasd: and vssd:). Source: ovirt-engine 3.6, org.ovirt.engine.core.utils.ovf, and what that engine
 * writes. Sizes of memory are MiB, of disks GiB, times UTC.
 *
 * Not carried: what names things of one installation (preferred hosts, pinning, quotas, CPU profiles), cloud-init and payloads (they hold passwords).
 * A text from storage is taken from a stranger: at most OVF_BYTES_MAX, no document type, OVF_ITEMS_MAX disks and NICs, OVF_VOLUMES_MAX volumes, every value checked by the rules
 * of the REST API's own input.
 */
#include <glib.h>
#include "engine/model/disk.h"
#include "engine/model/model.h"
#include "engine/model/nic.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

#define OVF_BYTES_MAX (4 * 1024 * 1024)          /* what an agent keeps of one */
#define OVF_ITEMS_MAX 256
#define OVF_VOLUMES_MAX 2048                     /* with those of snapshots */

struct ovf {
	struct vm *vm;                       /* one of the two */
	struct template *template;
	GPtrArray *disks;                    /* struct disk: the leaf of each image; id: image, image_id: volume, on no domain */
	GPtrArray *nics;                     /* struct nic; network.name and vnic_profile are names */
};

/* object: a VM or template; disks: struct disk, those that the text shall name. g_free */
char *ovf_write(struct model *model, const void *object, const GPtrArray *disks, int64_t now_msec);
/* NULL + ERR_BAD_VALUE, ERR_INCOMPLETE, ERR_SYNTAX, ERR_TOO_LARGE naming the element. */
struct ovf *ovf_read(const char *text, size_t length, GError **error);
struct ovf *ovf_free(struct ovf *ovf);
static inline void ovf_freep(struct ovf **ovf) { (void)ovf_free(*ovf); }
#define autoovf __attribute__((cleanup(ovf_freep))) struct ovf *

/* The VM or template. */
const void *ovf_object(const struct ovf *ovf);

#endif
