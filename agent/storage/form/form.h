/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_FORM_FORM_H
#define BERTH_AGENT_STORAGE_FORM_FORM_H
/*
 * The form of a domain: where its parts lie. form_file.c: files in directories; form_block.c: logical volumes of a volume group. Everything above
 * (volumes, images, chains, jobs) is written once, with the functions of the second half, and knows no paths.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/storage/metadata.h"

struct domain;

/* What a killed creation (made), or removal, of a volume left. */
struct volume_leftover { char *image, *volume; bool made; };

/* A volume in the making. parent_image, parent: NULL or the volume it is based on, which may be the shared one of another image. */
struct volume_draft {
	const char *image, *volume, *parent_image, *parent;
	int64_t bytes;                   /* what block storage must have for it from the start; files ignore it */
};

struct domain_form {
	const char *name;                /* "file", "block" */
	bool grows;                      /* volumes get their blocks when they are written; else what volume_make() gave is all there is, and is there */
	/* ---- the domain. area: see domain_area() ---- */
	void (*close)(struct domain *domain);
	bool (*save)(struct domain *domain, GError **error);
	bool (*check)(const struct domain *domain, GError **error);
	bool (*probe)(const struct domain *domain, GError **error);      /* reads from the storage, past all caches */
	bool (*space)(const struct domain *domain, int64_t *ret_total, int64_t *ret_free, GError **error);
	char *(*area)(const struct domain *domain, const char *name, int64_t *ret_offset, GError **error);
	int (*master)(const struct domain *domain, GError **error);      /* the directory for the manager of the pool; -1 + error */
	/* ---- its volumes; as the functions below ---- */
	GPtrArray *(*images)(const struct domain *domain, GError **error);
	GPtrArray *(*list)(const struct domain *domain, const char *image, GError **error);
	GPtrArray *(*children)(const struct domain *domain, const char *image, const char *volume, bool shared, GError **error);
	char *(*read)(const struct domain *domain, const char *image, const char *volume, GError **error);
	bool (*write)(const struct domain *domain, const char *image, const char *volume, metadata *values, GError **error);
	bool (*exists)(const struct domain *domain, const char *image, const char *volume);
	int (*open)(const struct domain *domain, const char *image, const char *volume, int flags, GError **error);
	bool (*hold)(const struct domain *domain, const char *image, const char *volume, bool write, char **ret_path, GError **error);
	void (*release)(const struct domain *domain, const char *image, const char *volume);
	bool (*in_use)(const struct domain *domain, const char *image, const char *volume);
	bool (*fit)(const struct domain *domain, const char *image, const char *volume, int64_t bytes, bool shrink, GError **error);      /* NULL: grows */
	bool (*sizes)(const struct domain *domain, const char *image, const char *volume, int64_t *ret_truesize, int64_t *ret_apparentsize, GError **error);
	char *(*lease)(const struct domain *domain, const char *image, const char *volume, int64_t *ret_offset, GError **error);
	bool (*make)(const struct domain *domain, const struct volume_draft *draft, char **ret_path, int *ret_fd, GError **error);
	bool (*publish)(const struct domain *domain, const struct volume_draft *draft, metadata *values, GError **error);
	bool (*undo)(const struct domain *domain, const char *image, const char *volume, GError **error);
	bool (*unpublish)(const struct domain *domain, const char *image, const char *volume, bool zero, GError **error);
	bool (*remove)(const struct domain *domain, const char *image, const char *volume, GError **error);
	GPtrArray *(*leftovers)(const struct domain *domain);
};
extern const struct domain_form form_file, form_block;

/* ---- what all forms offer (volume.c) ---- */

/* Metadata of a volume: ERR_VOLUME_DOES_NOT_EXIST, ERR_VOLUME_METADATA_READ_ERROR, ERR_INVALID_METADATA */
metadata *volume_read(const struct domain *domain, const char *image, const char *volume, GError **error);
bool volume_save(const struct domain *domain, const char *image, const char *volume, metadata *values, GError **error);
/* Sets values of a volume that is there ("KEY", value, ..., NULL), one such change in a domain at a time: its lane and the VMs' lanes make them. */
bool volume_change(const struct domain *domain, const char *image, const char *volume, GError **error, ...) G_GNUC_NULL_TERMINATED;
/* Ids of the volumes that can be seen in an image, also the shared ones of others that its own are based on; image NULL: each volume of the domain once. */
GPtrArray *volume_list(const struct domain *domain, const char *image, GError **error);
/* Ids of the volumes that are based on this one; of a shared volume also those in other images. */
GPtrArray *volume_children(const struct domain *domain, const char *image, const char *volume, GError **error);
/* LEAF or INTERNAL by its children; SHARED stays. */
bool volume_retype(const struct domain *domain, const char *image, const char *volume, GError **error);
/* Anything of that name in the image, also what is no volume (yet, any more). */
bool volume_exists(const struct domain *domain, const char *image, const char *volume);
/* The data. flags: as open(2)'s; never through a link, never outside the domain. -1 + ERR_VOLUME_DOES_NOT_EXIST, ERR_VOLUME_ACCESS_ERROR */
int volume_open(const struct domain *domain, const char *image, const char *volume, int flags, GError **error);
/*
 * Makes the data reachable at a path (g_free) until as many volume_release() as volume_hold() were called, or the host restarts; write: not only for reading.
 * Backing names are names in the directory of that path: whoever opens a chain holds each volume of it.
 */
bool volume_hold(const struct domain *domain, const char *image, const char *volume, bool write, char **ret_path, GError **error);
void volume_release(const struct domain *domain, const char *image, const char *volume);
/* Bytes that the data take up, and bytes that can be read. */
bool volume_sizes(const struct domain *domain, const char *image, const char *volume, int64_t *ret_truesize, int64_t *ret_apparentsize, GError **error);
/*
 * Gives the data room: at least these bytes; shrink: no more than these (what lies beyond is lost). Of a volume that is in use only the former. Nothing where
 * files grow by themselves. ERR_NO_SPACE_LEFT_ON_DOMAIN
 */
bool volume_fit(const struct domain *domain, const char *image, const char *volume, int64_t bytes, bool shrink, GError **error);
/* Path (g_free) and offset of the volume's lease. */
char *volume_lease(const struct domain *domain, const char *image, const char *volume, int64_t *ret_offset, GError **error);

/*
 * Making a volume: volume_make() gives its empty data a place where nobody sees it, with a path for qemu-img and a descriptor for reading and writing;
 * volume_publish() writes lease and metadata and makes it a volume, in one step that is on disk when it returns. Killed or failed before that:
 * volume_undo(), which sweeping does, too, removes everything. May be repeated.
 */
bool volume_make(const struct domain *domain, const struct volume_draft *draft, char **ret_path, int *ret_fd, GError **error);
bool volume_publish(const struct domain *domain, const struct volume_draft *draft, metadata *values, GError **error);
bool volume_undo(const struct domain *domain, const char *image, const char *volume, GError **error);
/*
 * Removing one: after volume_unpublish() it is no volume any more; volume_remove() overwrites its data with zeros if that was asked for, frees them, and
 * looks at the parent again (LEAF?). Killed in between, sweeping does the second. May be repeated.
 */
bool volume_unpublish(const struct domain *domain, const char *image, const char *volume, bool zero, GError **error);
bool volume_remove(const struct domain *domain, const char *image, const char *volume, GError **error);

#endif
