/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DISK_DRIVE_H
#define BERTH_AGENT_VIRT_DISK_DRIVE_H
/* Which disk of a running VM is meant, and which volume: the many forms of vdsm's DriveSpec. */
#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/virt/change/live.h"

struct drive_spec {
	char *pool, *domain, *image, *volume;        /* all of the last three, or none */
	char *path;                                  /* NULL: not given; "": nothing */
	char *name, *iface;                          /* target; bus */
	int index;                                   /* on the bus; -1: not given */
};

/*
 * A text is a path. A map has poolID, domainID, imageID, volumeID, or path, or GUID (multipath); name, iface, index; or all that once more in its member
 * drive_spec, which a text or {} may stand for. Errors: ERR_INVALID_PARAMETER, ERR_MISSING_PARAMETER (some of the ids).
 */
bool drive_spec_read(const json_t *json, struct drive_spec *ret_spec, GError **error);
void drive_spec_clear(struct drive_spec *spec);
#define AUTO_DRIVE __attribute__((cleanup(drive_spec_clear))) struct drive_spec
/* For messages; g_free. */
char *drive_spec_text(const struct drive_spec *spec);

/* Path and format of the volume or path it names; path NULL: it names none. Errors of storage, ERR_IMAGE_FILE_NOT_FOUND. */
bool drive_prepare(struct agent *agent, const char *vm_id, const struct drive_spec *spec, char **ret_path, const char **ret_format, bool *ret_block,
		   GError **error);

/* The <disk> it means: by name, image, or path. NULL when there is none. */
xmlNode *drive_find(const struct live *live, const struct drive_spec *spec);
/* The same, else an error with this code. */
xmlNode *drive_need(const struct live *live, const json_t *json, enum error_code code, GError **error);
char *drive_target(const xmlNode *disk);             /* "vda"; g_free */
char *drive_path(const xmlNode *disk);               /* file or block device; NULL: empty, or a network disk; g_free */
bool drive_is_removable(const xmlNode *disk);

#endif
