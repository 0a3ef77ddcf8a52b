/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DISK_DISK_CHAIN_H
#define BERTH_AGENT_VIRT_DISK_DISK_CHAIN_H
/* The disks of a running domain with the chains of volumes behind them, as its XML tells it. Pure. */
#include <libxml/tree.h>
#include <stdbool.h>
#include <glib.h>

/* One of four ways to say which disk is meant: the ids of its volume, a LUN, a file system, or its name in the VM. What is NULL says nothing. */
struct disk_key { const char *domain, *image, *volume, *guid, *uuid, *target; };

struct disk_layer { char *path, *format; int index; };       /* index: libvirt's number, "vda[3]"; -1: none */

struct disk_chain {
	char *target, *alias;
	char *pool, *domain, *image, *volume;                 /* ids of the active volume, from the metadata; NULL: not of a storage domain */
	bool removable, block, shareable, transient, readonly;
	GPtrArray *layers;                                    /* struct disk_layer, the active one first; empty: an empty drive */
	char *job, *mirror_path;                              /* a block job with a mirror: "copy", "active-commit"; NULL: none */
	bool mirror_ready;
	/* where it is being copied to (VM.diskReplicateStart), from the metadata; NULL: nowhere */
	char *replica_pool, *replica_domain, *replica_image, *replica_volume, *replica_path;
};

/* Of a <domain>; g_ptr_array_unref. */
GPtrArray *disk_chains_read(const xmlNode *domain);
/* NULL: none. A volume that is not the active one is no match. */
const struct disk_chain *disk_chains_find(const GPtrArray *chains, const struct disk_key *key);
/* The volume in the chain: its file is named by its id. NULL: it is not in it. */
const struct disk_layer *disk_chain_layer(const struct disk_chain *chain, const char *volume);
/* Its name in QEMU, as libvirt gives it. g_free */
char *disk_layer_node(const struct disk_layer *layer);
/* The layer right above; NULL: it is the active one, or not in the chain. */
const struct disk_layer *disk_chain_above(const struct disk_chain *chain, const struct disk_layer *layer);
/* Is the active layer this volume? */
bool disk_chain_is_on(const struct disk_chain *chain, const char *volume);
/* "image 1234..., volume 5678...", what of the key is there; for errors. g_free */
char *disk_key_text(const struct disk_key *key);
/* Path of the LUN or file system of a key without ids; NULL: none. g_free */
char *disk_key_path(const struct disk_key *key);

#endif
