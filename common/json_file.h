/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_JSON_FILE_H
#define BERTH_COMMON_JSON_FILE_H
/*
 * Readable JSON files that outlive the process: replaced as a whole and synced with their directory, so that after kill -9 or a power cut a file is
 * as it was before or after its last write. What cannot be read is set aside as <name>.bad and logged, never overwritten. Blocking.
 */
#include <jansson.h>
#include <stdbool.h>
#include <glib.h>

/* An object with "version": 1. NULL: not there, or bad. New reference. */
json_t *json_file_read(const char *directory, const char *name);
/* json: an object with "version": 1. ERR_MISC_FILE_WRITE_EXCEPTION names the file and the reason. */
bool json_file_write(const char *directory, const char *name, const json_t *json, GError **error);
void json_file_remove(const char *directory, const char *name);           /* none there: fine */

#endif
