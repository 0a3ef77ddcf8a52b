/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_QEMU_IMG_H
#define BERTH_AGENT_STORAGE_QEMU_IMG_H
/*
 * The one place that runs qemu-img. Theory of operation in qemu_img.c. Blocks: workers only.
 *
 * Formats are qemu-img's names ("raw", "qcow2", "vpc", ...), never NULL where an image is opened: nothing is guessed. Paths are absolute. Errors:
 * ERR_NO_SPACE_LEFT_ON_DOMAIN, ERR_VOLUME_IS_BUSY (another process has it open), ERR_TASK_ABORTED (the job was canceled), ERR_TIMEOUT, else
 * ERR_STORAGE_EXCEPTION with what qemu-img said.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/jobs.h"
#include "common/error.h"

#define QEMU_IMG_OUTPUT_MAX (4 * 1024 * 1024)
#define QEMU_IMG_INFO_USEC (60 * G_USEC_PER_SEC)
#define QEMU_IMG_CREATE_USEC (600 * G_USEC_PER_SEC)
#define QEMU_IMG_DATA_USEC (INT64_C(7) * 24 * 3600 * G_USEC_PER_SEC)       /* moving data: as long as it takes; a job can be canceled */

/* What the text means that a program of QEMU ended with: one of the first two of these, or ERR_STORAGE_EXCEPTION. */
enum error_code qemu_img_code(const char *text);

/* Whose work it is: the job's progress goes from..to percent, and its cancel ends the process. job NULL: nobody's. */
struct qemu_img_work { struct job *job; int from, to; };

struct qemu_img_create {
	const char *path, *format;             /* "qcow2" or "raw" */
	uint64_t size;
	const char *backing, *backing_format;  /* as it shall stand in the header; not opened. NULL: none */
	bool preallocate;
};
bool qemu_img_create(const struct qemu_img_create *image, GError **error);

/* `qemu-img info --output=json`; new reference. The process may use 1 GiB of memory and 30 s of processor time: the image may be hostile. */
json_t *qemu_img_info(const char *path, const char *format, GError **error);
/* {"required", "fully-allocated", "bitmaps"?} for a copy in that format; image: a path or "json:{...}". */
json_t *qemu_img_measure(const char *image, const char *format, const char *target_format, GError **error);

/* `qemu-img check --output=json`, also when it finds something: new reference. Repairs nothing. */
json_t *qemu_img_check(const char *path, const char *format, GError **error);
/* `qemu-img map --output=json` of length bytes from offset (0: to the end): new reference. At most QEMU_IMG_OUTPUT_MAX bytes of text: ask for parts. */
json_t *qemu_img_map(const char *path, const char *format, int64_t offset, int64_t length, GError **error);
/* Would a guest read the same from both? What one has more must be zeros. ERR_IMAGE_VERIFICATION_ERROR: no, with where. */
bool qemu_img_compare(const char *path, const char *format, const char *other, const char *other_format, const struct qemu_img_work *work, GError **error);
/* Where the data of a qcow2 image end in its file, as `qemu-img check` tells; only for images that were checked to be ours. */
bool qemu_img_end(const char *path, const char *format, int64_t *ret_end, GError **error);

struct qemu_img_convert {
	const char *source, *source_format;    /* path, "json:{...}" or "nbd:..." */
	int64_t source_size;                   /* of a raw one on a device that may be larger: no more is read; 0: all */
	const char *target, *target_format;
	const char *backing, *backing_format;  /* of both: only what lies above it is copied. NULL: everything */
	bool create;                           /* make the target; else it is there and large enough */
	const char *options;                   /* -o of a target that is made; NULL: none */
	bool compress, bitmaps, keep_allocated; /* keep_allocated: zeros are written, too (a preallocated target stays so) */
	bool zeroed;                           /* the target reads as zeros already */
	int64_t rate;                          /* bytes a second; 0: no limit */
};
bool qemu_img_convert(const struct qemu_img_convert *what, const struct qemu_img_work *work, GError **error);

/* What is in top goes into base, which may be any volume below it. top stays as it is. */
bool qemu_img_commit(const char *top, const char *base, const struct qemu_img_work *work, GError **error);
/* A qcow2 image is based on another. unsafe: only the name in the header is changed, nothing is opened or compared. backing NULL: on none. */
bool qemu_img_rebase(const char *path, const char *backing, const char *backing_format, bool unsafe, const struct qemu_img_work *work, GError **error);
bool qemu_img_resize(const char *path, const char *format, uint64_t size, bool shrink, bool preallocate, GError **error);
bool qemu_img_amend(const char *path, const char *options, GError **error);

/* Bitmaps of a qcow2 image, as `qemu-img info` tells of them: {name: {"granularity", "flags"}}, new reference. */
json_t *qemu_img_bitmaps(const char *path, const char *format, GError **error);
bool qemu_img_bitmap_add(const char *path, const char *name, int64_t granularity, GError **error);
bool qemu_img_bitmap_remove(const char *path, const char *name, GError **error);
bool qemu_img_bitmap_merge(const char *from, const char *to, const char *name, GError **error);

#endif
