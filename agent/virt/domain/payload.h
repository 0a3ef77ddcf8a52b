/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DOMAIN_PAYLOAD_H
#define BERTH_AGENT_VIRT_DOMAIN_PAYLOAD_H
/*
 * Disk images made of files: a CD (ISO 9660 with Joliet and Rock Ridge, as cloud-init's label config-2 wants it) or a floppy (FAT, 1440 KiB).
 */
#include <jansson.h>
#include <stdbool.h>
#include <glib.h>

/* Writes path anew. files: path in the image -> base64; label NULL: none. ERR_INVALID_PARAMETER: they do not fit; ERR_IO_FAILED. Worker. */
bool payload_write(const char *path, bool floppy, const char *label, const json_t *files, GError **error);

#endif
