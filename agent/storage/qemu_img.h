/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_QEMU_IMG_H
#define BERTH_AGENT_STORAGE_QEMU_IMG_H
/* The one place that runs qemu-img. Theory of operation in qemu_img.c. Blocks: workers only. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define QEMU_IMG_OUTPUT_MAX (4 * 1024 * 1024)
#define QEMU_IMG_INFO_USEC (60 * G_USEC_PER_SEC)
#define QEMU_IMG_CREATE_USEC (600 * G_USEC_PER_SEC)

/* argv without "qemu-img", NULL-terminated. ret_output: what it wrote (g_free), may be NULL. Ended at limit_usec (ERR_TIMEOUT) or when it writes
 * more than QEMU_IMG_OUTPUT_MAX. Its error text is in the error; "No space left" is ERR_NO_SPACE_LEFT_ON_DOMAIN. */
bool qemu_img_run(const char *const *argv, int64_t limit_usec, char **ret_output, GError **error);

struct qemu_img_create {
	const char *path, *format;             /* absolute path; "qcow2" or "raw" */
	uint64_t size;
	const char *backing, *backing_format;  /* as it shall stand in the header; not opened. NULL: none */
	bool preallocate;
};
bool qemu_img_create(const struct qemu_img_create *image, GError **error);
/* `qemu-img info --output=json`; new reference. format: never guessed. */
json_t *qemu_img_info(const char *path, const char *format, GError **error);

#endif
